// Zbc and Zbkc: carry-less multiplication (unprivileged manual, chapter "B", section "Zbc: Carry-less multiplication", and
// chapter "Cryptography Extensions: Scalar & Entropy Source Instructions", section "Zbkc").

import type { Extension } from "./extensions.ts";
import type { Definition } from "./instruction.ts";
import type { PureOperation } from "./pure_operations.ts";

function product(name: string, funct3: string, extensions: readonly Extension[], pure: PureOperation): Definition {
  return {
    name,
    extensions,
    format: "R",
    pattern: `0000101tttttsssss${funct3}ddddd0110011`,
    semantics: (b, i) => b.setX(i.rd, b.pure(pure, b.x(i.rs1), b.x(i.rs2))),
  };
}

/** Low half, high half, and the product's bits 2·XLEN−2 to XLEN−1. */
export const ZBC: readonly Definition[] = [
  product("clmul", "001", ["Zbc", "Zbkc"], "carrylessMultiply"),
  product("clmulh", "011", ["Zbc", "Zbkc"], "carrylessMultiplyHigh"),
  product("clmulr", "010", ["Zbc"], "carrylessMultiplyReversed"),
];
