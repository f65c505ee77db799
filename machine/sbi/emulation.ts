// What firmware does for a hart that lacks it: reads of the counters `cycle`, `time` and `instret` (and their upper halves on RV32)
// where there is no Zicntr.

import { CSR } from "../../hart/csr.ts";
import type { Hart } from "../../hart/hart.ts";
import { USER } from "../../hart/trap.ts";
import { HIGH } from "../../isa/pair.ts";

const SYSTEM = 0x73;
const CYCLE = 0xc00, TIME = 0xc01, INSTRET = 0xc02, UPPER = 0x80;
/** Low bits of funct3 of the instruction that writes in any case. */
const CSRRW = 1;

/** Does the work of an illegal instruction that reads such a counter; false if it is something else. */
export function emulateCounter(hart: Hart, instruction: number, pcLow: number, pcHigh: number): boolean {
  const operation = instruction >>> 12 & 3, number = instruction >>> 20, rd = instruction >>> 7 & 31;
  if ((instruction & 0x7f) !== SYSTEM || operation === 0) return false;
  const writes = operation === CSRRW || (instruction >>> 15 & 31) !== 0;
  const counter = hart.xlen === 32 ? number & ~UPPER : number;
  if (writes || counter < CYCLE || counter > INSTRET || hart.csrTable[number] !== undefined) return false;
  if (hart.privilege === USER && (hart.csrs[2 * CSR.scounteren]! >>> (counter - CYCLE) & 1) === 0) return false;
  let low: number;
  if (counter === TIME) {
    low = hart.time.timeLow();
    HIGH[0] = hart.time.timeHigh();
  } else low = (counter === CYCLE ? hart.mcycle : hart.minstret).read();
  const value = BigInt(HIGH[0]! >>> 0) << 32n | BigInt(low >>> 0);
  hart.writeX(rd, number === counter ? value : value >> 32n);
  hart.setPc((pcLow + 4) | 0, (pcLow >>> 0) + 4 > 0xffff_ffff ? pcHigh + 1 | 0 : pcHigh);
  return true;
}
