// SBI: the timer (chapter "Timer Extension").

import type { Hart } from "../../hart/hart.ts";
import { idOf, type SbiExtension, SUCCESS } from "./extension.ts";
import type { SbiFirmware } from "./firmware.ts";
import { FIRMWARE_EVENT } from "./pmu.ts";

/** Asks for a timer interrupt when mtime reaches a value; a pending one is cleared if that is in the future. */
export function setTimer(firmware: SbiFirmware, hart: Hart, time: bigint): void {
  hart.compareTimer(Number(BigInt.asIntN(32, time)), Number(BigInt.asIntN(32, time >> 32n)));
  firmware.pmu.count(hart, FIRMWARE_EVENT.setTimer);
}

/** The timer of a hart. */
export const TIME: SbiExtension = {
  id: idOf("TIME"),
  name: "TIME",
  functions: [{
    name: "set_timer",
    parameters: ["stime_value*"],
    run: ({ firmware, hart }, time) => {
      setTimer(firmware, hart, time);
      return SUCCESS;
    },
  }],
};
