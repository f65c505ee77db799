// The text form of the IR, for tests, for `-d jit` and for people.
//
//     t0 = load i32 plain [add(x2, 8)]
//     x10 = signExtend64(t0)
//     branch if ne(x10, 0)
//
// Constants are decimal (signed); register operands are `x5` and `f5`, or the field's name where the instruction is not
// known (`rs1`); `pc` and `next` are the addresses of the instruction and of the one that follows.

import { FIELD_AFTER, FIELD_IMM, FIELD_RD, FIELD_RS1, FIELD_RS2, FIELD_RS3, type Statement, type Value } from "./ir.ts";

const FIELD_NAMES: Readonly<Record<number, string>> = {
  [FIELD_RD]: "rd",
  [FIELD_RS1]: "rs1",
  [FIELD_RS2]: "rs2",
  [FIELD_RS3]: "rs3",
  [FIELD_IMM]: "imm",
};

function register(letter: "x" | "f", number: number): string {
  if (number >= FIELD_AFTER) return `${letter}[${FIELD_NAMES[number - FIELD_AFTER]} + 1]`;
  const field = FIELD_NAMES[number];
  return field === undefined ? `${letter}${number}` : `${letter}[${field}]`;
}

/** Text of a value. */
export function valueText(v: Value): string {
  switch (v.operation) {
    case "const":
      return v.type === "i64" ? String(BigInt.asIntN(64, BigInt(v.high) << 32n | BigInt(v.low >>> 0))) : String(v.low);
    case "x":
    case "f":
      return register(v.operation, v.low);
    case "field":
      return v.name === "" ? FIELD_NAMES[v.low]! : `${v.name}(${FIELD_NAMES[v.low]})`;
    case "pc":
    case "next":
      return v.operation;
    case "temp":
      return `t${v.low}`;
    default: {
      const operands = [v.a, v.b, v.c].filter((operand) => operand !== null).map(valueText);
      return `${v.operation === "pure" ? v.name : v.operation}(${operands.join(", ")})`;
    }
  }
}

/** Text of a statement. */
export function statementText(s: Statement): string {
  switch (s.kind) {
    case "setX":
      return `${register("x", s.register)} = ${valueText(s.value)}`;
    case "setF":
      return `${register("f", s.register)} = ${valueText(s.value)}`;
    case "let":
      return `${valueText(s.temp)} = ${valueText(s.value)}`;
    case "load":
      return `${valueText(s.temp)} = load ${s.memory} ${s.access} [${valueText(s.address)}]`;
    case "store":
      return `store ${s.memory} ${s.access} [${valueText(s.address)}], ${valueText(s.value)}`;
    case "call":
      return `${s.temp === null ? "" : `${valueText(s.temp)} = `}call ${s.name}(${s.args.map(valueText).join(", ")})`;
    case "branch":
      return `branch if ${valueText(s.condition)}`;
    case "jump":
      return "jump";
    case "jumpTo":
      return `jump to ${valueText(s.target)}`;
    case "leave":
      return `leave ${s.name}(${s.args.map(valueText).join(", ")})`;
  }
}

/** Text of statements, a line each. */
export function irText(statements: readonly Statement[]): string {
  return statements.map(statementText).join("\n");
}
