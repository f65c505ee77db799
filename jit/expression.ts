// Pieces of JavaScript text with their precedence, so that generated code carries no more parentheses than it needs.

/** A JavaScript expression. All that stand for an i32 have a value in int32 range; conditions are JavaScript booleans. */
export interface Expression {
  readonly text: string;
  /** Precedence: higher binds tighter. */
  readonly level: number;
}

/** Precedence levels of the operators that are generated. */
export const PRIMARY = 20,
  UNARY = 16,
  PRODUCT = 14,
  SUM = 13,
  SHIFT = 12,
  RELATION = 11,
  EQUALITY = 10,
  AND = 9,
  XOR = 8,
  OR = 7,
  LOGICAL_AND = 6,
  LOGICAL_OR = 5,
  CONDITIONAL = 4;

/** An identifier, an element access or a call: never needs parentheses. */
export function primary(text: string): Expression {
  return { text, level: PRIMARY };
}

/** An integer literal. */
export function literal(value: number): Expression {
  return { text: String(value), level: value < 0 ? UNARY : PRIMARY };
}

/** The text, in parentheses if it binds less tightly than `level`. */
export function inside(e: Expression, level: number): string {
  return e.level < level ? `(${e.text})` : e.text;
}

/** A left-associative binary operation. */
export function binary(a: Expression, operator: string, b: Expression, level: number): Expression {
  return { text: `${inside(a, level)} ${operator} ${inside(b, level + 1)}`, level };
}

/** True for expressions that cost nothing to repeat: literals and identifiers. */
export function isSimple(e: Expression): boolean {
  return /^-?[\w$]+$/.test(e.text);
}

/** The number that a literal stands for, or undefined. */
export function literalValue(e: Expression): number | undefined {
  return /^-?\d+$/.test(e.text) ? Number(e.text) : undefined;
}

export const ZERO: Expression = literal(0);

/** a + b modulo 2^32. */
export function add(a: Expression, b: Expression): Expression {
  const x = literalValue(a), y = literalValue(b);
  if (x !== undefined && y !== undefined) return literal((x + y) | 0);
  if (x === 0) return b;
  if (y === 0) return a;
  if (y !== undefined && y < 0) return toInt(binary(a, "-", literal(-y), SUM));
  return toInt(binary(a, "+", b, SUM));
}

/** a - b modulo 2^32. */
export function sub(a: Expression, b: Expression): Expression {
  const x = literalValue(a), y = literalValue(b);
  if (x !== undefined && y !== undefined) return literal((x - y) | 0);
  if (y === 0) return a;
  return toInt(binary(a, "-", b, SUM));
}

/** Any number to int32. */
export function toInt(e: Expression): Expression {
  return binary(e, "|", ZERO, OR);
}

/** An int32 as the unsigned number with the same bits. */
export function unsigned(e: Expression): Expression {
  const value = literalValue(e);
  return value !== undefined ? literal(value >>> 0) : binary(e, ">>>", ZERO, SHIFT);
}

export function and(a: Expression, b: Expression): Expression {
  const x = literalValue(a), y = literalValue(b);
  if (x !== undefined && y !== undefined) return literal(x & y);
  if (x === 0 || y === 0) return ZERO;
  if (x === -1) return b;
  if (y === -1) return a;
  return binary(a, "&", b, AND);
}

export function or(a: Expression, b: Expression): Expression {
  const x = literalValue(a), y = literalValue(b);
  if (x !== undefined && y !== undefined) return literal(x | y);
  if (x === 0) return b;
  if (y === 0) return a;
  if (x === -1 || y === -1) return literal(-1);
  return binary(a, "|", b, OR);
}

export function xor(a: Expression, b: Expression): Expression {
  const x = literalValue(a), y = literalValue(b);
  if (x !== undefined && y !== undefined) return literal(x ^ y);
  if (x === 0) return b;
  if (y === 0) return a;
  if (x === -1) return not(b);
  if (y === -1) return not(a);
  return binary(a, "^", b, XOR);
}

export function not(a: Expression): Expression {
  const x = literalValue(a);
  return x !== undefined ? literal(~x) : { text: `~${inside(a, UNARY)}`, level: UNARY };
}

/** Shift by an int32 amount, of which JavaScript uses the low five bits, as RISC-V does. */
export function shift(a: Expression, operator: "<<" | ">>" | ">>>", amount: Expression): Expression {
  const x = literalValue(a), n = literalValue(amount);
  if (n !== undefined && (n & 31) === 0) return a;
  if (x === 0) return ZERO;
  if (x !== undefined && n !== undefined) {
    return literal(operator === "<<" ? x << n : operator === ">>" ? x >> n : (x >>> n) | 0);
  }
  const shifted = binary(a, operator, amount, SHIFT);
  // Only a shift by nothing can leave a result of >>> outside of int32.
  return operator === ">>>" && n === undefined ? toInt(shifted) : shifted;
}

export function compare(a: Expression, operator: "===" | "!==" | "<" | ">=", b: Expression): Expression {
  const x = literalValue(a), y = literalValue(b);
  if (x !== undefined && y !== undefined) {
    const is = operator === "===" ? x === y : operator === "!==" ? x !== y : operator === "<" ? x < y : x >= y;
    return primary(String(is));
  }
  return binary(a, operator, b, operator === "===" || operator === "!==" ? EQUALITY : RELATION);
}

export function conditional(condition: Expression, a: Expression, b: Expression): Expression {
  if (condition.text === "true") return a;
  if (condition.text === "false") return b;
  const c = inside(condition, CONDITIONAL + 1);
  return { text: `${c} ? ${inside(a, CONDITIONAL)} : ${inside(b, CONDITIONAL)}`, level: CONDITIONAL };
}

/** A call. */
export function call(name: string, ...args: Expression[]): Expression {
  return primary(`${name}(${args.map((e) => e.text).join(", ")})`);
}
