// M and Zmmul: integer multiplication and division (unprivileged manual, chapter "M"). Division by zero gives all ones, the
// remainder by zero the dividend, and the signed overflow wraps: the operations of the IR mean just that.

import type { Builder, Value } from "./ir.ts";
import type { Extension } from "./extensions.ts";
import type { Definition } from "./instruction.ts";

/** Zmmul is M without division. */
function extensionsOf(name: string): readonly Extension[] {
  return name.startsWith("mul") ? ["M", "Zmmul"] : ["M"];
}

function whole(name: string, funct3: string, f: (b: Builder, x: Value, y: Value) => Value): Definition {
  return {
    name,
    extensions: extensionsOf(name),
    format: "R",
    pattern: `0000001tttttsssss${funct3}ddddd0110011`,
    semantics: (b, i) => b.setX(i.rd, f(b, b.x(i.rs1), b.x(i.rs2))),
  };
}

function low(name: string, funct3: string, f: (b: Builder, x: Value, y: Value) => Value): Definition {
  return {
    name,
    extensions: extensionsOf(name),
    xlen: 64,
    format: "R",
    pattern: `0000001tttttsssss${funct3}ddddd0111011`,
    semantics: (b, i) => b.setX(i.rd, f(b, b.w(i.rs1), b.w(i.rs2))),
  };
}

/** Multiplication and division. */
export const RV_M: readonly Definition[] = [
  whole("mul", "000", (b, x, y) => b.mul(x, y)),
  whole("mulh", "001", (b, x, y) => b.mulHigh("Signed", x, y)),
  whole("mulhsu", "010", (b, x, y) => b.mulHigh("SignedUnsigned", x, y)),
  whole("mulhu", "011", (b, x, y) => b.mulHigh("Unsigned", x, y)),
  whole("div", "100", (b, x, y) => b.div("Signed", x, y)),
  whole("divu", "101", (b, x, y) => b.div("Unsigned", x, y)),
  whole("rem", "110", (b, x, y) => b.rem("Signed", x, y)),
  whole("remu", "111", (b, x, y) => b.rem("Unsigned", x, y)),
  low("mulw", "000", (b, x, y) => b.mul(x, y)),
  low("divw", "100", (b, x, y) => b.div("Signed", x, y)),
  low("divuw", "101", (b, x, y) => b.div("Unsigned", x, y)),
  low("remw", "110", (b, x, y) => b.rem("Signed", x, y)),
  low("remuw", "111", (b, x, y) => b.rem("Unsigned", x, y)),
];
