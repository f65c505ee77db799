// Addition, multiplication, division, square root and fused multiply-add on bit patterns, exact and rounded once
// (unprivileged manual, chapter "F"; IEEE 754-2019, 5.4.1).

import {
  bitLength,
  DZ,
  type Flags,
  type Format,
  invalid,
  isNaNKind,
  propagateNaN,
  RDN,
  roundAndPack,
  unpack,
  type Unpacked,
  withSign,
} from "./softfloat.ts";

/** A finite number. */
type Finite = Pick<Unpacked, "sign" | "exponent" | "significand">;

/** Exponent of the first power of two above a number that is not 0. */
function top(x: Finite): number {
  return x.exponent + bitLength(x.significand);
}

/** Rounds x + y. */
function sum(format: Format, x: Finite, y: Finite, roundingMode: number, flags: Flags): bigint {
  if (x.significand === 0n && y.significand === 0n) {
    return withSign(format, x.sign === y.sign ? x.sign : roundingMode === RDN, 0n);
  }
  if (x.significand === 0n) return roundAndPack(format, y.sign, y.exponent, y.significand, roundingMode, flags);
  if (y.significand === 0n) return roundAndPack(format, x.sign, x.exponent, x.significand, roundingMode, flags);
  const [big, other] = top(x) >= top(y) ? [x, y] : [y, x];
  // All that a result can be rounded to, and all halfway points, are multiples of 2^grain. So a number below that only
  // needs to be there, and must not make the significands as long as the distance between the exponents.
  const grain = Math.min(big.exponent, top(big) - format.precision - 3);
  const small: Finite = top(other) <= grain ? { sign: other.sign, exponent: grain - 1, significand: 1n } : other;
  const exponent = Math.min(big.exponent, small.exponent);
  const aligned = (z: Finite) => {
    const magnitude = z.significand << BigInt(z.exponent - exponent);
    return z.sign ? -magnitude : magnitude;
  };
  const total = aligned(big) + aligned(small);
  // An exact zero is positive but for RDN (IEEE 754-2019, 6.3).
  if (total === 0n) return withSign(format, roundingMode === RDN, 0n);
  return roundAndPack(format, total < 0n, exponent, total < 0n ? -total : total, roundingMode, flags);
}

/** a + b. */
export function add(format: Format, a: bigint, b: bigint, roundingMode: number, flags: Flags): bigint {
  const x = unpack(format, a), y = unpack(format, b);
  if (isNaNKind(x) || isNaNKind(y)) return propagateNaN(format, flags, x, y);
  if (x.kind === "infinite" && y.kind === "infinite" && x.sign !== y.sign) return invalid(format, flags);
  if (x.kind === "infinite") return a;
  if (y.kind === "infinite") return b;
  return sum(format, x, y, roundingMode, flags);
}

/** a − b. */
export function subtract(format: Format, a: bigint, b: bigint, roundingMode: number, flags: Flags): bigint {
  return add(format, a, b ^ format.signBit, roundingMode, flags);
}

/** a × b. */
export function multiply(format: Format, a: bigint, b: bigint, roundingMode: number, flags: Flags): bigint {
  const x = unpack(format, a), y = unpack(format, b), sign = x.sign !== y.sign;
  if (isNaNKind(x) || isNaNKind(y)) return propagateNaN(format, flags, x, y);
  if (x.kind === "infinite" || y.kind === "infinite") {
    return isZero(x) || isZero(y) ? invalid(format, flags) : withSign(format, sign, format.infinity);
  }
  return roundAndPack(format, sign, x.exponent + y.exponent, x.significand * y.significand, roundingMode, flags);
}

function isZero(x: Unpacked): boolean {
  return x.kind === "finite" && x.significand === 0n;
}

/** a ÷ b. A finite number divided by zero raises DZ. */
export function divide(format: Format, a: bigint, b: bigint, roundingMode: number, flags: Flags): bigint {
  const x = unpack(format, a), y = unpack(format, b), sign = x.sign !== y.sign;
  if (isNaNKind(x) || isNaNKind(y)) return propagateNaN(format, flags, x, y);
  if (x.kind === "infinite") {
    return y.kind === "infinite" ? invalid(format, flags) : withSign(format, sign, format.infinity);
  }
  if (y.kind === "infinite") return withSign(format, sign, 0n);
  if (isZero(y)) {
    if (isZero(x)) return invalid(format, flags);
    flags.bits |= DZ;
    return withSign(format, sign, format.infinity);
  }
  // Two bits more than the precision, and a sticky bit for the remainder.
  const shift = Math.max(0, format.precision + 2 + bitLength(y.significand) - bitLength(x.significand));
  const dividend = x.significand << BigInt(shift), quotient = dividend / y.significand;
  const sticky = quotient * y.significand === dividend ? 0n : 1n;
  const exponent = x.exponent - y.exponent - shift - 1;
  return roundAndPack(format, sign, exponent, (quotient << 1n) | sticky, roundingMode, flags);
}

/** The largest integer whose square is not above `value`. */
function integerSquareRoot(value: bigint): bigint {
  // The host's root has 50 correct bits or more, one step of Newton's method doubles them, and the rest is counted off:
  // the result does not depend on how good the host's root is.
  let root = BigInt(Math.floor(Math.sqrt(Number(value))));
  if (root > 0n) root = (root + value / root) >> 1n;
  while (root * root > value) root--;
  while ((root + 1n) * (root + 1n) <= value) root++;
  return root;
}

/** √a. The root of −0 is −0. */
export function squareRoot(format: Format, a: bigint, roundingMode: number, flags: Flags): bigint {
  const x = unpack(format, a);
  if (isNaNKind(x)) return propagateNaN(format, flags, x);
  if (isZero(x)) return a;
  if (x.sign) return invalid(format, flags);
  if (x.kind === "infinite") return a;
  // An even exponent, and enough bits that the root has two more than the precision; then a sticky bit.
  let shift = Math.max(0, 2 * (format.precision + 2) - bitLength(x.significand));
  if ((x.exponent - shift) % 2 !== 0) shift++;
  const square = x.significand << BigInt(shift), root = integerSquareRoot(square);
  const sticky = root * root === square ? 0n : 1n;
  return roundAndPack(format, false, (x.exponent - shift) / 2 - 1, (root << 1n) | sticky, roundingMode, flags);
}

/**
 * a × b + c, rounded once. The other three of the manual are had by turning signs: of a for a negated product, of c for a
 * negated addend. Infinity times zero raises NV even if c is a quiet NaN (chapter "F", section "Single-Precision
 * Floating-Point Computational Instructions").
 */
export function multiplyAdd(
  format: Format,
  a: bigint,
  b: bigint,
  c: bigint,
  roundingMode: number,
  flags: Flags,
): bigint {
  const x = unpack(format, a), y = unpack(format, b), z = unpack(format, c), sign = x.sign !== y.sign;
  if ((x.kind === "infinite" && isZero(y)) || (isZero(x) && y.kind === "infinite")) return invalid(format, flags);
  if (isNaNKind(x) || isNaNKind(y) || isNaNKind(z)) return propagateNaN(format, flags, x, y, z);
  if (x.kind === "infinite" || y.kind === "infinite") {
    if (z.kind === "infinite" && z.sign !== sign) return invalid(format, flags);
    return withSign(format, sign, format.infinity);
  }
  if (z.kind === "infinite") return c;
  const product = { sign, exponent: x.exponent + y.exponent, significand: x.significand * y.significand };
  return sum(format, product, z, roundingMode, flags);
}
