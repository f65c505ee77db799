// Rewrites the values of IR statements: what passes have in common.

import { type Statement, Value } from "../../isa/ir.ts";

/** Gives the value to take in place of one whose operands have been replaced already; the value itself to leave it. */
export type Replace = (value: Value) => Value;

/** A value that is the same but for its operands; its uses are counted anew. */
function copyOf(v: Value, a: Value | null, b: Value | null, c: Value | null): Value {
  return new Value(v.operation, v.type, a, b, c, v.low, v.high, v.name);
}

/**
 * The statements of one instruction with other values. The list itself if nothing changes; else all values are new, so that each
 * knows how often it is used. Temporaries stay the same values.
 */
export function rewriteStatements(statements: readonly Statement[], replace: Replace): readonly Statement[] {
  const known = new Map<Value, Value>();
  let changed = false;
  const operand = (v: Value | null) => v === null ? null : value(v);
  const value = (v: Value): Value => {
    if (v.operation === "temp") return v;
    let result = known.get(v);
    if (result === undefined) {
      const copy = copyOf(v, operand(v.a), operand(v.b), operand(v.c));
      result = replace(copy);
      if (result !== copy) changed = true;
      known.set(v, result);
    }
    return result;
  };
  const use = (v: Value): Value => {
    const result = value(v);
    result.uses++;
    return result;
  };
  const rewritten = statements.map((s): Statement => {
    switch (s.kind) {
      case "setX":
      case "setF":
      case "let":
        return { ...s, value: use(s.value) };
      case "load":
        return { ...s, address: use(s.address) };
      case "store":
        return { ...s, address: use(s.address), value: use(s.value) };
      case "call":
      case "leave":
        return { ...s, args: s.args.map(use) };
      case "branch":
        return { ...s, condition: use(s.condition) };
      case "jumpTo":
        return { ...s, target: use(s.target) };
      case "jump":
        return s;
    }
  });
  return changed ? rewritten : statements;
}
