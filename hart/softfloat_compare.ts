// Operations on bit patterns that round nothing: comparison, minimum and maximum, classification (unprivileged manual,
// chapters "F" and "Zfa").

import { type Flags, type Format, isNaNKind, NV, unpack, type Unpacked } from "./softfloat.ts";

/** Raises NV if an operand is a signalling NaN, or any NaN where `signalling`. True if one is a NaN. */
function unordered(flags: Flags, signalling: boolean, x: Unpacked, y: Unpacked): boolean {
  const either = isNaNKind(x) || isNaNKind(y);
  if (x.kind === "signalling NaN" || y.kind === "signalling NaN" || (either && signalling)) flags.bits |= NV;
  return either;
}

/** A number that orders bit patterns that are not NaN: equal for both zeros. */
function order(format: Format, bits: bigint): bigint {
  return (bits & format.signBit) !== 0n ? format.signBit - bits : bits;
}

/** a = b (FEQ): a quiet comparison, only signalling NaNs raise NV. 0 or 1. */
export function equal(format: Format, a: bigint, b: bigint, flags: Flags): bigint {
  if (unordered(flags, false, unpack(format, a), unpack(format, b))) return 0n;
  return order(format, a) === order(format, b) ? 1n : 0n;
}

/** a < b: `signalling` comparisons raise NV for every NaN (FLT), the others only for signalling ones (FLTQ). 0 or 1. */
export function less(format: Format, a: bigint, b: bigint, signalling: boolean, flags: Flags): bigint {
  if (unordered(flags, signalling, unpack(format, a), unpack(format, b))) return 0n;
  return order(format, a) < order(format, b) ? 1n : 0n;
}

/** a ≤ b (FLE, FLEQ); as `less`. 0 or 1. */
export function lessOrEqual(format: Format, a: bigint, b: bigint, signalling: boolean, flags: Flags): bigint {
  if (unordered(flags, signalling, unpack(format, a), unpack(format, b))) return 0n;
  return order(format, a) <= order(format, b) ? 1n : 0n;
}

/**
 * The lesser of two numbers, or the greater; −0 is less than +0. Signalling NaNs raise NV. Where only one operand is a NaN,
 * the result is the other one (FMIN, FMAX: IEEE 754-2019 minimumNumber), or the canonical NaN where `propagate` (FMINM, FMAXM:
 * IEEE 754-2019 minimum).
 */
export function pick(
  format: Format,
  which: "minimum" | "maximum",
  propagate: boolean,
  a: bigint,
  b: bigint,
  flags: Flags,
): bigint {
  const x = unpack(format, a), y = unpack(format, b);
  if (unordered(flags, false, x, y)) {
    if (propagate || (isNaNKind(x) && isNaNKind(y))) return format.nan;
    return isNaNKind(x) ? b : a;
  }
  const first = order(format, a), second = order(format, b);
  const isLess = first < second || (first === second && x.sign);
  return isLess === (which === "minimum") ? a : b;
}

/** One bit for the class of a number (FCLASS; chapter "F", table "Format of result of FCLASS instruction"). */
export function classify(format: Format, a: bigint): bigint {
  const { kind, sign, significand } = unpack(format, a);
  let bit: number;
  if (kind === "signalling NaN") bit = 8;
  else if (kind === "quiet NaN") bit = 9;
  else {
    let size = 3; // infinite
    if (kind === "finite") size = significand === 0n ? 0 : significand < format.quietBit << 1n ? 1 : 2;
    bit = sign ? 3 - size : 4 + size;
  }
  return 1n << BigInt(bit);
}
