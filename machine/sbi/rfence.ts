// SBI: fences on other harts (chapter "RFENCE Extension"). All harts see writes to code at once, so a remote FENCE.I has nothing
// to do; address spaces share what is remembered of translations, so an ASID narrows nothing.

import type { Hart } from "../../hart/hart.ts";
import { failed, idOf, type SbiAnswer, type SbiExtension, type SbiFunction, SUCCESS } from "./extension.ts";
import type { SbiFirmware } from "./firmware.ts";
import { FIRMWARE_EVENT } from "./pmu.ts";

const PAGE = 4096n;
/** Above this many pages, everything is forgotten. */
const MOST_PAGES = 64n;

type Sent = "fenceISent" | "sfenceVmaSent" | "sfenceVmaAsidSent";
const RECEIVED = {
  fenceISent: "fenceIReceived",
  sfenceVmaSent: "sfenceVmaReceived",
  sfenceVmaAsidSent: "sfenceVmaAsidReceived",
} as const;

function count(firmware: SbiFirmware, from: Hart, to: readonly Hart[], event: Sent): void {
  for (const hart of to) {
    if (hart.stopped) continue;
    firmware.pmu.count(from, FIRMWARE_EVENT[event]);
    firmware.pmu.count(hart, FIRMWARE_EVENT[RECEIVED[event]]);
  }
}

/** FENCE.I on harts. */
export function fenceInstructions(firmware: SbiFirmware, from: Hart, to: readonly Hart[]): void {
  count(firmware, from, to, "fenceISent");
}

/**
 * SFENCE.VMA on harts, for `size` bytes of virtual addresses from `start`: all of them if both are 0 or the size is 2^XLEN - 1.
 * INVALID_ADDRESS if the range goes past the last address.
 */
export function fenceAddresses(
  firmware: SbiFirmware,
  from: Hart,
  to: readonly Hart[],
  start: bigint,
  size: bigint,
  event: "sfenceVmaSent" | "sfenceVmaAsidSent",
): SbiAnswer {
  const space = 1n << BigInt(from.xlen), all = start === 0n && size === 0n || size === space - 1n;
  if (!all && start + size > space) return failed("INVALID_ADDRESS");
  count(firmware, from, to, event);
  const first = start / PAGE, end = (start + size + PAGE - 1n) / PAGE;
  for (const hart of to) {
    if (all || end - first > MOST_PAGES) hart.forgetTranslations();
    else {
      for (let page = first; page < end; page++) {
        const address = page * PAGE;
        hart.forgetTranslation(Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(32, address >> 32n)));
      }
    }
  }
  return SUCCESS;
}

const range = (name: string, more: readonly string[], event: "sfenceVmaSent" | "sfenceVmaAsidSent"): SbiFunction => ({
  name,
  parameters: ["hart_mask", "hart_mask_base", "start_addr", "size", ...more],
  run: ({ firmware, hart }, mask, base, start, size) => {
    const to = firmware.select(mask, base);
    return to === null ? failed("INVALID_PARAM") : fenceAddresses(firmware, hart, to, start, size, event);
  },
});

/** There is no hypervisor extension. */
const guest = (name: string, more: readonly string[]): SbiFunction => ({
  name,
  parameters: ["hart_mask", "hart_mask_base", "start_addr", "size", ...more],
  run: () => failed("NOT_SUPPORTED"),
});

/** Fences on other harts. */
export const RFENCE: SbiExtension = {
  id: idOf("RFNC"),
  name: "RFENCE",
  functions: [
    {
      name: "remote_fence_i",
      parameters: ["hart_mask", "hart_mask_base"],
      run: ({ firmware, hart }, mask, base) => {
        const to = firmware.select(mask, base);
        if (to === null) return failed("INVALID_PARAM");
        fenceInstructions(firmware, hart, to);
        return SUCCESS;
      },
    },
    range("remote_sfence_vma", [], "sfenceVmaSent"),
    range("remote_sfence_vma_asid", ["asid"], "sfenceVmaAsidSent"),
    guest("remote_hfence_gvma_vmid", ["vmid"]),
    guest("remote_hfence_gvma", []),
    guest("remote_hfence_vvma_asid", ["asid"]),
    guest("remote_hfence_vvma", []),
  ],
};
