// How a hart recognises a semihosting call ("RISC-V Semihosting", section "Semihosting Trap Instruction Sequence").

import type { Hart } from "./hart.ts";
import { USER } from "./trap.ts";

/** The three instructions of a call, none of them compressed: slli x0, x0, 0x1f; ebreak; srai x0, x0, 7. */
const BEFORE = 0x01f01013, AFTER = 0x40705013;

/** Who answers semihosting calls. */
export interface SemihostingHost {
  /** Whether user mode may make calls. */
  readonly userMode: boolean;
  /** Does what a hart asks for; false if the call is to be made again. */
  call(hart: Hart): boolean;
}

/** Whether an EBREAK of 4 bytes at pc is part of a call: all three instructions lie in one page. */
export function isSemihostingCall(hart: Hart, pcLow: number, pcHigh: number): boolean {
  if (hart.privilege === USER && !hart.semihosting?.userMode) return false;
  const offset = pcLow & 4095;
  if (offset < 4 || offset > 4096 - 8) return false;
  const physical = hart.translation.probe(pcLow, pcHigh);
  if (physical === undefined) return false;
  const { memory } = hart;
  return memory.read(physical - 4, 4) === BEFORE && !memory.fault && memory.read(physical + 4, 4) === AFTER &&
    !memory.fault;
}
