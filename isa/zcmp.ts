// Zcmp and Zcmt: saving and restoring of registers, moves of pairs and table jumps in 16 bits (unprivileged manual, chapter "Zc*",
// sections "Zcmp" and "Zcmt"). They have the encodings of Zcd's stores, so a hart has these or those.

import type { Definition } from "./instruction.ts";

/** What CM.PUSH and its like name in their immediate: `rlist` above two bits of `spimm`. */
export function stackList(immediate: number, xlen: 32 | 64): { registers: readonly number[]; adjustment: number } {
  const list = immediate >> 2, saved = list === 15 ? 12 : list - 4;
  // ra, s0, s1 and s2 to s11: all lists but the last one grow by one.
  const registers = [1, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27].slice(0, saved + 1);
  const needed = registers.length * xlen / 8;
  return { registers, adjustment: Math.ceil(needed / 16) * 16 + (immediate & 3) * 16 };
}

const validList = (i: { readonly imm: number }) => i.imm >> 2 >= 4;

/** Sets of registers on the stack; `returns`: with RET behind, `zero` with LI a0, 0 before that. */
function pop(name: string, opcode: string, returns: boolean, zero: boolean): Definition {
  return {
    name,
    extensions: ["Zcmp"],
    format: "stack",
    pattern: `101${opcode}iiiiii10`,
    valid: validList,
    semantics: (b, i) => {
      const ra = b.call("pop", b.word, b.imm32(i));
      if (zero) b.setX(10, b.int(0));
      if (returns) b.jumpTo(b.and(ra, b.int(-2)));
    },
  };
}

/** Both. */
export const ZCMP: readonly Definition[] = [
  {
    name: "cm.push",
    extensions: ["Zcmp"],
    format: "stack",
    pattern: "10111000iiiiii10",
    valid: validList,
    semantics: (b, i) => void b.call("push", null, b.imm32(i)),
  },
  pop("cm.pop", "11010", false, false),
  pop("cm.popretz", "11100", true, true),
  pop("cm.popret", "11110", true, false),
  {
    name: "cm.mvsa01",
    extensions: ["Zcmp"],
    format: "saved",
    pattern: "101011SSS01TTT10",
    valid: (i) => i.rs1 !== i.rs2,
    semantics: (b, i) => {
      const first = b.let(b.x(10)), second = b.let(b.x(11));
      b.setX(i.rs1, first);
      b.setX(i.rs2, second);
    },
  },
  {
    name: "cm.mva01s",
    extensions: ["Zcmp"],
    format: "saved",
    pattern: "101011SSS11TTT10",
    semantics: (b, i) => {
      const first = b.let(b.x(i.rs1)), second = b.let(b.x(i.rs2));
      b.setX(10, first);
      b.setX(11, second);
    },
  },
  {
    name: "cm.jt",
    extensions: ["Zcmt"],
    format: "table",
    pattern: "101000iiiiiiii10",
    valid: (i) => i.imm < 32,
    semantics: (b, i) => b.leave("tableJump", b.imm32(i)),
  },
  {
    name: "cm.jalt",
    extensions: ["Zcmt"],
    format: "table",
    pattern: "101000iiiiiiii10",
    valid: (i) => i.imm >= 32,
    semantics: (b, i) => b.leave("tableJump", b.imm32(i)),
  },
];
