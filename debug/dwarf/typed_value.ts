// Values on the stack of an expression, and what operations make of them (DWARF 5, 2.5.1.4).

import { DwarfError } from "./cursor.ts";

/** How the bits of a value are understood. */
export interface ValueType {
  /** In bytes. */
  readonly size: number;
  readonly float: boolean;
  readonly signed: boolean;
}

/** A value: its bits, unsigned, as many as its type has. */
export interface Typed {
  readonly bits: bigint;
  readonly type: ValueType;
}

const ADDRESS_4: ValueType = { size: 4, float: false, signed: false };
const ADDRESS_8: ValueType = { size: 8, float: false, signed: false };

/** The type of everything that says nothing else: an address's size, signed where an operation cares. */
export function genericType(addressSize: number): ValueType {
  return addressSize === 4 ? ADDRESS_4 : ADDRESS_8;
}

/** Operations with two operands, by the standard's names. */
export type BinaryOperation =
  | ("and" | "div" | "minus" | "mod" | "mul" | "or" | "plus" | "shl" | "shr" | "shra" | "xor")
  | ("eq" | "ge" | "gt" | "le" | "lt" | "ne");

const scratch = new DataView(new ArrayBuffer(8));

/** The number that floating-point bits stand for. */
export function floatOf({ bits, type }: Typed): number {
  if (type.size === 4) {
    scratch.setUint32(0, Number(bits));
    return scratch.getFloat32(0);
  }
  if (type.size !== 8) throw new DwarfError(`floating-point numbers of ${type.size} bytes`);
  scratch.setBigUint64(0, bits);
  return scratch.getFloat64(0);
}

function floatBits(value: number, size: number): bigint {
  if (size === 4) {
    scratch.setFloat32(0, value);
    return BigInt(scratch.getUint32(0));
  }
  if (size !== 8) throw new DwarfError(`floating-point numbers of ${size} bytes`);
  scratch.setFloat64(0, value);
  return scratch.getBigUint64(0);
}

function integerOf({ bits, type }: Typed): bigint {
  return type.signed ? BigInt.asIntN(8 * type.size, bits) : bits;
}

/** The bits of a value in another type, as C converts. */
export function convert(value: Typed, type: ValueType): bigint {
  const from = value.type;
  if (from.float && type.float) return floatBits(floatOf(value), type.size);
  if (from.float) {
    const number = Math.trunc(floatOf(value));
    return BigInt.asUintN(8 * type.size, Number.isFinite(number) ? BigInt(number) : 0n);
  }
  if (type.float) return floatBits(Number(integerOf(value)), type.size);
  return BigInt.asUintN(8 * type.size, integerOf(value));
}

function onFloats(operation: BinaryOperation, left: number, right: number): number | boolean {
  switch (operation) {
    case "plus":
      return left + right;
    case "minus":
      return left - right;
    case "mul":
      return left * right;
    case "div":
      return left / right;
    case "eq":
      return left === right;
    case "ne":
      return left !== right;
    case "ge":
      return left >= right;
    case "gt":
      return left > right;
    case "le":
      return left <= right;
    case "lt":
      return left < right;
  }
  throw new DwarfError(`${operation} of floating-point numbers`);
}

function onIntegers(operation: BinaryOperation, left: Typed, right: Typed, generic: boolean): bigint | boolean {
  const bits = 8 * left.type.size, a = left.bits, b = right.bits;
  // Division and comparison of the generic type are signed, its remainder is not.
  const signed = (value: Typed) => generic || value.type.signed ? BigInt.asIntN(bits, value.bits) : value.bits;
  const x = signed(left), y = signed(right);
  const division = (quotient: () => bigint) => {
    if (b === 0n) throw new DwarfError("a division by zero");
    return quotient();
  };
  const far = b >= BigInt(bits);
  switch (operation) {
    case "and":
      return a & b;
    case "or":
      return a | b;
    case "xor":
      return a ^ b;
    case "plus":
      return a + b;
    case "minus":
      return a - b;
    case "mul":
      return a * b;
    case "div":
      return division(() => x / y);
    case "mod":
      return division(() => generic ? a % b : x % y);
    case "shl":
      return far ? 0n : a << b;
    case "shr":
      return far ? 0n : a >> b;
    case "shra":
      return BigInt.asIntN(bits, a) >> (far ? BigInt(bits - 1) : b);
    case "eq":
      return a === b;
    case "ne":
      return a !== b;
    case "ge":
      return x >= y;
    case "gt":
      return x > y;
    case "le":
      return x <= y;
    case "lt":
      return x < y;
  }
}

/** The result of an operation; a comparison gives 1 or 0 of the generic type. */
export function binaryOperation(operation: BinaryOperation, left: Typed, right: Typed, generic: ValueType): Typed {
  const { type } = left;
  const result = type.float
    ? onFloats(operation, floatOf(left), floatOf(right))
    : onIntegers(operation, left, right, type === generic);
  if (typeof result === "boolean") return { bits: result ? 1n : 0n, type: generic };
  return { bits: typeof result === "number" ? floatBits(result, type.size) : result, type };
}
