// Conversions between formats, to and from integers, and to integral values (unprivileged manual, chapters "F", "D", "Zfh"
// and "Zfa").

import {
  DOUBLE,
  type Flags,
  type Format,
  isNaNKind,
  NV,
  NX,
  propagateNaN,
  roundAndPack,
  roundedShift,
  RTZ,
  unpack,
  type Unpacked,
  withSign,
} from "./softfloat.ts";

/** Converts from one format to another. */
export function convert(from: Format, to: Format, a: bigint, roundingMode: number, flags: Flags): bigint {
  const x = unpack(from, a);
  if (isNaNKind(x)) return propagateNaN(to, flags, x);
  if (x.kind === "infinite") return withSign(to, x.sign, to.infinity);
  return roundAndPack(to, x.sign, x.exponent, x.significand, roundingMode, flags);
}

/** The number of an integer. */
export function fromInteger(format: Format, value: bigint, roundingMode: number, flags: Flags): bigint {
  return roundAndPack(format, value < 0n, 0, value < 0n ? -value : value, roundingMode, flags);
}

/** A finite number rounded to an integer, and whether that changed it. */
function integral(x: Unpacked, roundingMode: number): { value: bigint; inexact: boolean } {
  const magnitude = roundedShift(x.sign, x.significand, -x.exponent, roundingMode);
  const inexact = x.exponent < 0 && magnitude << BigInt(-x.exponent) !== x.significand;
  return { value: x.sign ? -magnitude : magnitude, inexact };
}

/** Smallest and largest integer of a width in bits. */
function range(width: 32 | 64, signed: boolean): [bigint, bigint] {
  const size = 1n << BigInt(width);
  return signed ? [-size / 2n, size / 2n - 1n] : [0n, size - 1n];
}

/**
 * Converts to an integer (FCVT.int.fmt). What does not fit gives the nearest integer that does, a NaN the largest, and both
 * raise NV and not NX (chapter "F", table "Domains of float-to-integer conversions and behavior for invalid inputs").
 */
export function toInteger(
  format: Format,
  a: bigint,
  width: 32 | 64,
  signed: boolean,
  roundingMode: number,
  flags: Flags,
): bigint {
  const x = unpack(format, a), [smallest, largest] = range(width, signed);
  if (x.kind !== "finite") {
    flags.bits |= NV;
    return x.kind === "infinite" && x.sign ? smallest : largest;
  }
  const { value, inexact } = integral(x, roundingMode);
  if (value < smallest || value > largest) {
    flags.bits |= NV;
    return value < smallest ? smallest : largest;
  }
  if (inexact) flags.bits |= NX;
  return value;
}

/**
 * Converts a double to a signed 32-bit integer modulo 2^32, rounding towards zero (FCVTMOD.W.D). Infinities and NaNs give 0.
 * Raises what FCVT.W.D with RTZ does.
 */
export function toIntegerModulo(a: bigint, flags: Flags): bigint {
  toInteger(DOUBLE, a, 32, true, RTZ, flags);
  const x = unpack(DOUBLE, a);
  return x.kind === "finite" ? BigInt.asIntN(32, integral(x, RTZ).value) : 0n;
}

/**
 * Rounds to an integral value in the same format (FROUND; FROUNDNX if `exact`, which raises NX where that changes the number).
 */
export function roundToIntegral(
  format: Format,
  a: bigint,
  exact: boolean,
  roundingMode: number,
  flags: Flags,
): bigint {
  const x = unpack(format, a);
  if (isNaNKind(x)) return propagateNaN(format, flags, x);
  if (x.kind === "infinite" || x.exponent >= 0) return a;
  const { value, inexact } = integral(x, roundingMode);
  if (exact && inexact) flags.bits |= NX;
  // Never rounded here: an integer that has no more bits than the precision.
  return roundAndPack(format, x.sign, 0, value < 0n ? -value : value, roundingMode, flags);
}
