// Zba: address generation (unprivileged manual, chapter "B", section "Zba: Address generation").

import type { Builder, Value } from "./ir.ts";
import type { Definition } from "./instruction.ts";

type Term = (b: Builder, rs1: number) => Value;

/** rd = rs2 + (term of rs1 << amount). */
function shiftAndAdd(name: string, pattern: string, amount: number, term: Term, xlen?: 64): Definition {
  return {
    name,
    extensions: ["Zba"],
    ...(xlen === undefined ? {} : { xlen }),
    format: "R",
    pattern,
    semantics: (b, i) => b.setX(i.rd, b.add(b.x(i.rs2), b.shl(term(b, i.rs1), b.i32(amount)))),
  };
}

const whole: Term = (b, rs1) => b.x(rs1);
const unsignedWord: Term = (b, rs1) => b.zeroExtend(b.w(rs1));

/** Shifts with additions, of whole registers and of unsigned words. */
export const ZBA: readonly Definition[] = [
  shiftAndAdd("sh1add", "0010000tttttsssss010ddddd0110011", 1, whole),
  shiftAndAdd("sh2add", "0010000tttttsssss100ddddd0110011", 2, whole),
  shiftAndAdd("sh3add", "0010000tttttsssss110ddddd0110011", 3, whole),
  shiftAndAdd("add.uw", "0000100tttttsssss000ddddd0111011", 0, unsignedWord, 64),
  shiftAndAdd("sh1add.uw", "0010000tttttsssss010ddddd0111011", 1, unsignedWord, 64),
  shiftAndAdd("sh2add.uw", "0010000tttttsssss100ddddd0111011", 2, unsignedWord, 64),
  shiftAndAdd("sh3add.uw", "0010000tttttsssss110ddddd0111011", 3, unsignedWord, 64),
  {
    name: "slli.uw",
    extensions: ["Zba"],
    xlen: 64,
    format: "shift",
    pattern: "000010iiiiiisssss001ddddd0011011",
    semantics: (b, i) => b.setX(i.rd, b.shl(unsignedWord(b, i.rs1), b.imm32(i))),
  },
];
