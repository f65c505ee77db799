// Constant folding: operations on constants become constants, and operations that do nothing go.

import { type Type, Value } from "../../isa/ir.ts";

const WIDTH = { i32: 32, i64: 64 } as const;

function bits(v: Value): bigint {
  return v.type === "i64" ? BigInt(v.high) << 32n | BigInt(v.low >>> 0) : BigInt(v.low);
}

/** A constant of a type with the low bits of a number. */
export function constant(type: Type, value: bigint): Value {
  const low = Number(BigInt.asIntN(32, value)),
    high = type === "i64" ? Number(BigInt.asIntN(32, value >> 32n)) : low >> 31;
  return new Value("const", type, null, null, null, low, high);
}

/** The result of an operation on constants, of whose bits those of its type count; undefined where it is not folded. */
function evaluate({ operation, type }: Value, a: Value, b: Value | null): bigint | undefined {
  const width = WIDTH[a.type as "i32"], x = bits(a), y = b === null ? 0n : bits(b);
  const ux = BigInt.asUintN(width, x), uy = BigInt.asUintN(width, y);
  // Of a shift amount the low five or six bits count.
  const amount = y & BigInt(WIDTH[type as "i32"] - 1);
  switch (operation) {
    case "add":
      return x + y;
    case "sub":
      return x - y;
    case "and":
      return x & y;
    case "or":
      return x | y;
    case "xor":
      return x ^ y;
    case "mul":
      return x * y;
    case "shiftLeft":
      return x << amount;
    case "shiftRightSigned":
      return x >> amount;
    case "shiftRightUnsigned":
      return ux >> amount;
    case "wrap":
    case "signExtend64":
      return x;
    case "zeroExtend64":
      return ux;
    case "signExtend8":
      return BigInt.asIntN(8, x);
    case "signExtend16":
      return BigInt.asIntN(16, x);
    case "zeroExtend8":
      return BigInt.asUintN(8, x);
    case "zeroExtend16":
      return BigInt.asUintN(16, x);
    case "eq":
      return x === y ? 1n : 0n;
    case "ne":
      return x !== y ? 1n : 0n;
    case "ltSigned":
      return x < y ? 1n : 0n;
    case "geSigned":
      return x >= y ? 1n : 0n;
    case "ltUnsigned":
      return ux < uy ? 1n : 0n;
    case "geUnsigned":
      return ux >= uy ? 1n : 0n;
    default:
      return undefined;
  }
}

/** Operations that give their first operand back if the second is 0. */
const NEUTRAL_ZERO = new Set(["add", "sub", "or", "xor", "shiftLeft", "shiftRightSigned", "shiftRightUnsigned"]);

/** A simpler form of a value whose operands are simple already; the value itself if there is none. */
export function foldConstants(v: Value): Value {
  const { a, b, c } = v;
  if (a === null) return v;
  if (v.operation === "select") return a.operation !== "const" ? v : a.low !== 0 ? b! : c!;
  if (a.operation === "const" && (b === null || b.operation === "const") && c === null) {
    const result = evaluate(v, a, b);
    return result === undefined ? v : constant(v.type, result);
  }
  if (b?.operation === "const" && bits(b) === 0n) {
    if (NEUTRAL_ZERO.has(v.operation)) return a;
    if (v.operation === "and" || v.operation === "mul") return constant(v.type, 0n);
  }
  // Extending and wrapping again.
  if (v.operation === "wrap" && (a.operation === "signExtend64" || a.operation === "zeroExtend64")) return a.a!;
  return v;
}
