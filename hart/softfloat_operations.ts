// The hart's entry to exact floating point: the numbered operations of isa/float.ts on whole f and x registers, with NaN
// boxing at both ends (unprivileged manual, chapter "D", section "NaN Boxing of Narrower Values").

import { FLOAT_OPERATIONS } from "../isa/float.ts";
import { FLI_CONSTANTS, FLI_SMALLEST_NORMAL } from "../isa/zfa.ts";
import { DOUBLE, type Flags, type Format, HALF, RNE, SINGLE } from "./softfloat.ts";
import { add, divide, multiply, multiplyAdd, squareRoot, subtract } from "./softfloat_arithmetic.ts";
import { classify, equal, less, lessOrEqual, pick } from "./softfloat_compare.ts";
import { convert, fromInteger, roundToIntegral, toInteger, toIntegerModulo } from "./softfloat_convert.ts";

/** An operation on registers: 64 bits each, as unsigned bigints. */
type FloatOperation = (roundingMode: number, a: bigint, b: bigint, c: bigint, flags: Flags) => bigint;

/** Puts the bits of a format into a register: ones above them. */
export function box(format: Format, bits: bigint): bigint {
  return format === DOUBLE ? bits : 0xffff_ffff_ffff_ffffn << BigInt(format.width) & 0xffff_ffff_ffff_ffffn | bits;
}

/** Bits of a format in a register, or the canonical NaN if the bits above are not all ones. */
export function unbox(format: Format, register: bigint): bigint {
  if (format === DOUBLE) return register;
  const bits = BigInt.asUintN(format.width, register);
  return box(format, bits) === register ? bits : format.nan;
}

/** Bits of the constants of FLI.fmt by number. */
function constants(format: Format): bigint[] {
  const view = new DataView(new ArrayBuffer(8));
  return FLI_CONSTANTS.map((value, number) => {
    if (number === FLI_SMALLEST_NORMAL) return format.quietBit << 1n;
    view.setFloat64(0, value);
    // A host's NaN may be any; 2^16 as a half is infinite.
    return Number.isNaN(value) ? format.nan : convert(DOUBLE, format, view.getBigUint64(0), RNE, { bits: 0 });
  });
}

const operations = new Map<string, FloatOperation>();
const formats = [{ suffix: "h", format: HALF }, { suffix: "s", format: SINGLE }, { suffix: "d", format: DOUBLE }];

for (const { suffix, format: x } of formats) {
  /** Adds an operation from one format into the same. */
  const within = (name: string, f: FloatOperation) => {
    operations.set(`${name}.${suffix}`, (mode, a, b, c, flags) => {
      return box(x, f(mode, unbox(x, a), unbox(x, b), unbox(x, c), flags));
    });
  };
  /** Adds an operation from one format to an integer of a width in bits, which is sign-extended to a register. */
  const integer = (name: string, width: 32 | 64, f: FloatOperation) => {
    operations.set(`${name}.${suffix}`, (mode, a, b, c, flags) => {
      return BigInt.asUintN(64, BigInt.asIntN(width, f(mode, unbox(x, a), unbox(x, b), unbox(x, c), flags)));
    });
  };
  const negative = (bits: bigint) => bits ^ x.signBit;
  within("fadd", (mode, a, b, _, flags) => add(x, a, b, mode, flags));
  within("fsub", (mode, a, b, _, flags) => subtract(x, a, b, mode, flags));
  within("fmul", (mode, a, b, _, flags) => multiply(x, a, b, mode, flags));
  within("fdiv", (mode, a, b, _, flags) => divide(x, a, b, mode, flags));
  within("fsqrt", (mode, a, _, _c, flags) => squareRoot(x, a, mode, flags));
  within("fmadd", (mode, a, b, c, flags) => multiplyAdd(x, a, b, c, mode, flags));
  within("fmsub", (mode, a, b, c, flags) => multiplyAdd(x, a, b, negative(c), mode, flags));
  within("fnmsub", (mode, a, b, c, flags) => multiplyAdd(x, negative(a), b, c, mode, flags));
  within("fnmadd", (mode, a, b, c, flags) => multiplyAdd(x, negative(a), b, negative(c), mode, flags));
  within("fmin", (_, a, b, _c, flags) => pick(x, "minimum", false, a, b, flags));
  within("fmax", (_, a, b, _c, flags) => pick(x, "maximum", false, a, b, flags));
  within("fminm", (_, a, b, _c, flags) => pick(x, "minimum", true, a, b, flags));
  within("fmaxm", (_, a, b, _c, flags) => pick(x, "maximum", true, a, b, flags));
  within("fround", (mode, a, _, _c, flags) => roundToIntegral(x, a, false, mode, flags));
  within("froundnx", (mode, a, _, _c, flags) => roundToIntegral(x, a, true, mode, flags));
  integer("feq", 64, (_, a, b, _c, flags) => equal(x, a, b, flags));
  integer("flt", 64, (_, a, b, _c, flags) => less(x, a, b, true, flags));
  integer("fle", 64, (_, a, b, _c, flags) => lessOrEqual(x, a, b, true, flags));
  integer("fltq", 64, (_, a, b, _c, flags) => less(x, a, b, false, flags));
  integer("fleq", 64, (_, a, b, _c, flags) => lessOrEqual(x, a, b, false, flags));
  integer("fclass", 64, (_, a) => classify(x, a));

  const constant = constants(x);
  operations.set(`fli.${suffix}`, (_, a) => box(x, constant[Number(a & 31n)]!));

  for (const width of [32, 64] as const) {
    for (const signed of [true, false]) {
      const letters = (width === 32 ? "w" : "l") + (signed ? "" : "u");
      integer(`fcvt.${letters}`, width, (mode, a, _, _c, flags) => toInteger(x, a, width, signed, mode, flags));
      operations.set(`fcvt.${suffix}.${letters}`, (mode, a, _, _c, flags) => {
        const value = signed ? BigInt.asIntN(width, a) : BigInt.asUintN(width, a);
        return box(x, fromInteger(x, value, mode, flags));
      });
    }
  }
  for (const { suffix: letter, format: to } of formats) {
    if (to === x) continue;
    operations.set(`fcvt.${letter}.${suffix}`, (mode, a, _, _c, flags) => {
      return box(to, convert(x, to, unbox(x, a), mode, flags));
    });
  }
  if (x === DOUBLE) integer("fcvtmod.w", 32, (_, a, _b, _c, flags) => toIntegerModulo(a, flags));
}

const byNumber = FLOAT_OPERATIONS.map((name) => {
  const operation = operations.get(name);
  if (operation === undefined) throw new Error(`floating-point operation ${name} is not defined`);
  return operation;
});

/**
 * Does operation `number` of FLOAT_OPERATIONS on whole registers. `a`, `b` and `c` are 64 bits each, unsigned, and so is the
 * result; those that an operation does not use do not matter. `roundingMode` is RNE to RMM: the caller has put frm in the place
 * of "dynamic" and trapped where that is reserved. Exception flags are added to `flags`.
 */
export function floatOperation(
  number: number,
  roundingMode: number,
  a: bigint,
  b: bigint,
  c: bigint,
  flags: Flags,
): bigint {
  return byNumber[number]!(roundingMode, a, b, c, flags);
}
