// Zbkb: bit manipulation for cryptography (unprivileged manual, chapter "Cryptography Extensions: Scalar & Entropy
// Source Instructions", section "Zbkb"). What it shares with Zbb stands in zbb.ts; so does ZEXT.H, which is PACK (RV32) or
// PACKW (RV64) with rs2 = x0.

import type { Definition, Xlen } from "./instruction.ts";
import type { Builder, Operands, Value } from "./ir.ts";
import type { PureOperation } from "./pure_operations.ts";

/** Packs the low 16 bits of two registers into an i32. */
function packHalfwords(b: Builder, i: Operands): Value {
  return b.or(b.zeroExtend16(b.x(i.rs1)), b.shl(b.w(i.rs2), b.i32(16)));
}

function permutes(name: string, pattern: string, pure: PureOperation, xlen?: Xlen): Definition {
  return {
    name,
    extensions: ["Zbkb"],
    ...(xlen === undefined ? {} : { xlen }),
    format: "R1",
    pattern,
    semantics: (b, i) => b.setX(i.rd, b.pure(pure, b.x(i.rs1))),
  };
}

/** Packing, reversal of bits within bytes, and (un)interleaving. */
export const ZBKB: readonly Definition[] = [
  {
    name: "pack",
    extensions: ["Zbkb"],
    format: "R",
    pattern: "0000100tttttsssss100ddddd0110011",
    valid: (i, xlen) => xlen === 64 || i.rs2 !== 0,
    semantics: (b, i) =>
      b.setX(
        i.rd,
        b.xlen === 32 ? packHalfwords(b, i) : b.or(b.zeroExtend(b.w(i.rs1)), b.shl(b.x(i.rs2), b.i32(32))),
      ),
  },
  {
    name: "packw",
    extensions: ["Zbkb"],
    xlen: 64,
    format: "R",
    pattern: "0000100tttttsssss100ddddd0111011",
    valid: (i) => i.rs2 !== 0,
    semantics: (b, i) => b.setX(i.rd, packHalfwords(b, i)),
  },
  {
    name: "packh",
    extensions: ["Zbkb"],
    format: "R",
    pattern: "0000100tttttsssss111ddddd0110011",
    semantics: (b, i) => b.setX(i.rd, b.or(b.zeroExtend8(b.x(i.rs1)), b.shl(b.zeroExtend8(b.x(i.rs2)), b.i32(8)))),
  },
  permutes("brev8", "011010000111sssss101ddddd0010011", "reverseBitsInBytes"),
  permutes("zip", "000010001111sssss001ddddd0010011", "interleaveHalves", 32),
  permutes("unzip", "000010001111sssss101ddddd0010011", "separateEvenOdd", 32),
];
