// SBI: interrupts from hart to hart (chapter "IPI Extension").

import { CSR } from "../../hart/csr.ts";
import type { Hart } from "../../hart/hart.ts";
import { INTERRUPT } from "../../hart/trap.ts";
import { failed, idOf, type SbiExtension, SUCCESS } from "./extension.ts";
import type { SbiFirmware } from "./firmware.ts";
import { FIRMWARE_EVENT } from "./pmu.ts";

/** Makes a software interrupt pending at harts, as far as they are started. */
export function sendInterrupts(firmware: SbiFirmware, from: Hart, to: readonly Hart[]): void {
  for (const hart of to) {
    if (hart.stopped) continue;
    firmware.pmu.count(from, FIRMWARE_EVENT.ipiSent);
    firmware.pmu.count(hart, FIRMWARE_EVENT.ipiReceived);
    hart.csrs[2 * CSR.mip]! |= 1 << INTERRUPT.supervisorSoftware;
    hart.interruptsChanged();
  }
}

/** Clears the software interrupt of a hart. */
export function clearInterrupt(hart: Hart): void {
  hart.csrs[2 * CSR.mip]! &= ~(1 << INTERRUPT.supervisorSoftware);
}

/** Interrupts between harts. */
export const IPI: SbiExtension = {
  id: idOf("\0sPI"),
  name: "IPI",
  functions: [{
    name: "send_ipi",
    parameters: ["hart_mask", "hart_mask_base"],
    run: ({ firmware, hart }, mask, base) => {
      const to = firmware.select(mask, base);
      if (to === null) return failed("INVALID_PARAM");
      sendInterrupts(firmware, hart, to);
      return SUCCESS;
    },
  }],
};
