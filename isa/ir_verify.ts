// Checks that a list of statements is well-formed IR: types fit, temporaries are defined before they are used, and nothing
// reads a register that the same instruction has already set.

import type { MemoryType, Statement, Type, Value } from "./ir.ts";
import { statementText, valueText } from "./ir_text.ts";

/** IR that breaks a rule: a bug of the instruction table or of a pass. */
export class IrError extends Error {
  override name = "IrError";
}

const UNARY: Readonly<Record<string, readonly [from: Type | null, to: Type | null]>> = {
  wrap: ["i64", "i32"],
  signExtend64: ["i32", "i64"],
  zeroExtend64: ["i32", "i64"],
  signExtend8: ["i32", "i32"],
  signExtend16: ["i32", "i32"],
  zeroExtend8: ["i32", "i32"],
  zeroExtend16: ["i32", "i32"],
  countLeadingZeros: [null, null],
  countTrailingZeros: [null, null],
  countOnes: [null, null],
};
const SHIFTS = new Set(["shiftLeft", "shiftRightSigned", "shiftRightUnsigned", "rotateLeft", "rotateRight"]);
const BINARY = new Set([
  ...["add", "sub", "and", "or", "xor", "mul", "mulHighSigned", "mulHighUnsigned", "mulHighSignedUnsigned"],
  ...["divSigned", "divUnsigned", "remSigned", "remUnsigned"],
]);
const COMPARISONS = new Set(["eq", "ne", "ltSigned", "ltUnsigned", "geSigned", "geUnsigned"]);
const LAST = new Set(["branch", "jump", "jumpTo", "leave"]);

function loadedType(memory: MemoryType): Type {
  return memory === "i64" || memory === "f32" || memory === "f64" ? memory : "i32";
}

/**
 * Checks the statements of one instruction.
 *
 * @throws {IrError} Naming the rule and the statement.
 */
export function verifyIr(statements: readonly Statement[], xlen: 32 | 64): void {
  const word: Type = xlen === 64 ? "i64" : "i32";
  const defined = new Set<number>();
  const set = new Set<string>();
  let current: Statement | undefined;
  const fail = (rule: string): never => {
    throw new IrError(`${rule}: ${current === undefined ? "" : statementText(current)}`);
  };
  const is = (v: Value, type: Type) => {
    if (v.type !== type) fail(`${valueText(v)} is ${v.type}, not ${type}`);
  };
  const check = (v: Value): void => {
    for (const operand of [v.a, v.b, v.c]) if (operand !== null) check(operand);
    const { operation } = v;
    if (operation === "x") {
      is(v, word);
      if (set.has(`x${v.low}`) || (v.low >= 64 && [...set].some((name) => name[0] === "x"))) {
        fail(`${valueText(v)} is read after a register was set`);
      }
    } else if (operation === "f") is(v, "i64");
    else if (operation === "pc" || operation === "next") is(v, word);
    else if (operation === "temp" && !defined.has(v.low)) fail(`t${v.low} is used before it is defined`);
    else if (operation in UNARY) {
      const [from, to] = UNARY[operation]!;
      is(v.a!, from ?? v.type);
      is(v, to ?? v.a!.type);
    } else if (SHIFTS.has(operation)) {
      is(v.a!, v.type);
      is(v.b!, "i32");
    } else if (BINARY.has(operation)) {
      is(v.a!, v.type);
      is(v.b!, v.type);
    } else if (COMPARISONS.has(operation)) {
      is(v, "i32");
      is(v.b!, v.a!.type);
    } else if (operation === "select") {
      is(v.a!, "i32");
      is(v.b!, v.type);
      is(v.c!, v.type);
    }
  };
  const define = (temp: Value | null) => {
    if (temp === null) return;
    if (defined.has(temp.low)) fail(`t${temp.low} is defined twice`);
    defined.add(temp.low);
  };
  statements.forEach((s, k) => {
    current = s;
    if (LAST.has(s.kind) && k !== statements.length - 1) fail("control leaves before the last statement");
    switch (s.kind) {
      case "setX":
        check(s.value);
        is(s.value, word);
        if (s.register === 0) fail("x0 is never set");
        set.add(`x${s.register}`);
        break;
      case "setF":
        check(s.value);
        is(s.value, "i64");
        break;
      case "let":
        check(s.value);
        is(s.value, s.temp.type);
        define(s.temp);
        break;
      case "load":
        check(s.address);
        is(s.address, word);
        is(s.temp, loadedType(s.memory));
        define(s.temp);
        break;
      case "store":
        check(s.address);
        check(s.value);
        is(s.address, word);
        is(s.value, loadedType(s.memory));
        break;
      case "call":
        s.args.forEach(check);
        define(s.temp);
        break;
      case "leave":
        s.args.forEach(check);
        break;
      case "branch":
        check(s.condition);
        is(s.condition, "i32");
        break;
      case "jumpTo":
        check(s.target);
        is(s.target, word);
        break;
      case "jump":
        break;
    }
  });
}
