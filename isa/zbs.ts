// Zbs: single-bit instructions (unprivileged manual, chapter "B", section "Zbs: Single-bit instructions").

import type { Definition } from "./instruction.ts";
import type { Builder, Value } from "./ir.ts";

type Change = (b: Builder, x: Value, index: Value) => Value;

/** Both forms of one operation: bit number in rs2 (modulo XLEN) and in the immediate. */
function singleBit(name: string, funct6: string, funct3: string, f: Change): Definition[] {
  return [
    {
      name,
      extensions: ["Zbs"],
      format: "R",
      pattern: `${funct6}0tttttsssss${funct3}ddddd0110011`,
      semantics: (b, i) => b.setX(i.rd, f(b, b.x(i.rs1), b.w(i.rs2))),
    },
    {
      name: `${name}i`,
      extensions: ["Zbs"],
      format: "shift",
      pattern: `${funct6}iiiiiisssss${funct3}ddddd0010011`,
      valid: (i, xlen) => i.imm < xlen,
      semantics: (b, i) => b.setX(i.rd, f(b, b.x(i.rs1), b.imm32(i))),
    },
  ];
}

const bit = (b: Builder, index: Value) => b.shl(b.int(1), index);

/** Clear, extract, invert and set one bit. */
export const ZBS: readonly Definition[] = [
  ...singleBit("bclr", "010010", "001", (b, x, index) => b.and(x, b.not(bit(b, index)))),
  ...singleBit("bext", "010010", "101", (b, x, index) => b.and(b.shrUnsigned(x, index), b.int(1))),
  ...singleBit("binv", "011010", "001", (b, x, index) => b.xor(x, bit(b, index))),
  ...singleBit("bset", "001010", "001", (b, x, index) => b.or(x, bit(b, index))),
];
