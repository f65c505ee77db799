// SBI: the calls of version 0.1 (chapter "Legacy Extensions"). Each has an EID of its own and returns only a0. Masks of harts are
// words in memory, at virtual addresses.

import type { Hart } from "../../hart/hart.ts";
import { READ } from "../../hart/pmp.ts";
import { CAUSE, raise } from "../../hart/trap.ts";
import { HIGH } from "../../isa/pair.ts";
import { type SbiAnswer, type SbiExtension, type SbiFunction, type SbiRequest, SUCCESS } from "./extension.ts";
import { clearInterrupt, sendInterrupts } from "./ipi.ts";
import { fenceAddresses, fenceInstructions } from "./rfence.ts";
import { setTimer } from "./timer.ts";

/** What console_getchar returns if nothing was typed. */
const NOTHING = -1;

/** The word of XLEN bits at a virtual address. What refuses the access is an exception of the ECALL. */
function load(hart: Hart, address: bigint): bigint {
  const size = hart.xlen / 8;
  const low = Number(BigInt.asIntN(32, address)), high = Number(BigInt.asIntN(32, address >> 32n));
  if (address % BigInt(size) !== 0n) raise(CAUSE.loadMisaligned, low, high);
  const physical = hart.bare ? Number(address) : hart.translation.translate(low, high, size, READ);
  const value = hart.memory.read(physical, size);
  if (hart.memory.fault) raise(CAUSE.loadAccess, low, high);
  return BigInt(value >>> 0) | (size === 8 ? BigInt(HIGH[0]! >>> 0) << 32n : 0n);
}

/** The harts of a mask in memory, as far as they exist; all if there is no mask. */
function selected({ firmware, hart }: SbiRequest, address: bigint): readonly Hart[] {
  if (address === 0n) return firmware.harts;
  const mask = load(hart, address);
  return firmware.harts.filter(({ id }) => (mask >> BigInt(id) & 1n) !== 0n);
}

const legacy = (
  id: number,
  name: string,
  parameters: readonly string[],
  run: (request: SbiRequest, ...parameters: bigint[]) => SbiAnswer | null | void,
): SbiExtension => {
  const answer: SbiFunction["run"] = (request, ...values) => {
    const result = run(request, ...values);
    return result === undefined ? SUCCESS : result;
  };
  return { id, name: "LEGACY", isLegacy: true, functions: [{ name, parameters, run: answer }] };
};

/** All of them, by EID. */
export const LEGACY: readonly SbiExtension[] = [
  legacy(0, "set_timer", ["stime_value*"], ({ firmware, hart }, time) => setTimer(firmware, hart, time)),
  legacy(1, "console_putchar", ["ch"], ({ firmware }, byte) => firmware.console.write(Number(byte & 0xffn))),
  legacy(2, "console_getchar", [], ({ firmware }) => ({ error: firmware.console.read() ?? NOTHING })),
  legacy(3, "clear_ipi", [], ({ hart }) => clearInterrupt(hart)),
  legacy(
    4,
    "send_ipi",
    ["hart_mask"],
    (request, mask) => sendInterrupts(request.firmware, request.hart, selected(request, mask)),
  ),
  legacy(
    5,
    "remote_fence_i",
    ["hart_mask"],
    (request, mask) => fenceInstructions(request.firmware, request.hart, selected(request, mask)),
  ),
  legacy(
    6,
    "remote_sfence_vma",
    ["hart_mask", "start", "size"],
    (request, mask, start, size) =>
      fenceAddresses(request.firmware, request.hart, selected(request, mask), start, size, "sfenceVmaSent"),
  ),
  legacy(
    7,
    "remote_sfence_vma_asid",
    ["hart_mask", "start", "size", "asid"],
    (request, mask, start, size) =>
      fenceAddresses(request.firmware, request.hart, selected(request, mask), start, size, "sfenceVmaAsidSent"),
  ),
  legacy(8, "shutdown", [], ({ firmware }) => {
    firmware.exit(0);
    return null;
  }),
];
