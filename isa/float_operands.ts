// Which operands of an instruction are floating-point registers, as its meaning says.

import type { FloatRegisters } from "./extensions.ts";
import type { Definition, Xlen } from "./instruction.ts";
import { Builder, FIELDS, type Operands, type Statement, type Value } from "./ir.ts";

/** Whether each register operand names an f register. */
export type FloatOperands = Readonly<Record<Exclude<keyof Operands, "imm">, boolean>>;

/** The values that a statement uses. */
export function valuesOf(s: Statement): readonly Value[] {
  switch (s.kind) {
    case "setX":
    case "setF":
    case "let":
      return [s.value];
    case "load":
      return [s.address];
    case "store":
      return [s.address, s.value];
    case "call":
    case "leave":
      return s.args;
    case "branch":
      return [s.condition];
    case "jumpTo":
      return [s.target];
    case "jump":
      return [];
  }
}

/** The operands of an instruction that are f registers; with Zfinx (`floats`) none are. */
export function floatOperands({ semantics }: Definition, xlen: Xlen, floats: FloatRegisters = "f"): FloatOperands {
  const builder = new Builder(xlen, true, floats), found = new Set<number>();
  semantics?.(builder, FIELDS);
  const visit = (v: Value | null) => {
    if (v === null) return;
    if (v.operation === "f") found.add(v.low);
    visit(v.a), visit(v.b), visit(v.c);
  };
  for (const s of builder.statements) {
    if (s.kind === "setF") found.add(s.register);
    valuesOf(s).forEach(visit);
  }
  const { rd, rs1, rs2, rs3 } = FIELDS;
  return { rd: found.has(rd), rs1: found.has(rs1), rs2: found.has(rs2), rs3: found.has(rs3) };
}
