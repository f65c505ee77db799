// Functions that generated code calls for operations with no short form in JavaScript. A 64-bit result comes as its low
// half; the high half is left in HIGH[0].

import { give, HIGH, signed64, unsigned64 } from "../isa/pair.ts";

export { sumHigh } from "../isa/pair.ts";

/** Number of trailing zeros; 32 for 0. */
export function countTrailingZeros(x: number): number {
  return x === 0 ? 32 : 31 - Math.clz32(x & -x);
}

/** Number of ones. */
export function countOnes(x: number): number {
  x = x - ((x >>> 1) & 0x55555555) | 0;
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333) | 0;
  x = (x + (x >>> 4)) & 0x0f0f0f0f;
  return Math.imul(x, 0x01010101) >>> 24;
}

const SCALE = 2.3283064365386963e-10; // 2^-32

function highOf(a: number, b: number, low: number): number {
  return (((a >>> 0) * (b >>> 0) - (low >>> 0)) * SCALE + 0.5) >>> 0;
}

/** Upper 64 bits of the unsigned 128-bit product. */
export function mulHighUnsigned64(a: number, ah: number, b: number, bh: number): number {
  const l0 = Math.imul(a, b), h0 = highOf(a, b, l0);
  const l1 = Math.imul(ah, b), h1 = highOf(ah, b, l1);
  const l2 = Math.imul(a, bh), h2 = highOf(a, bh, l2);
  const l3 = Math.imul(ah, bh), h3 = highOf(ah, bh, l3);
  const carry = Math.floor((h0 + (l1 >>> 0) + (l2 >>> 0)) * SCALE);
  const sum = h1 + h2 + (l3 >>> 0) + carry;
  HIGH[0] = h3 + Math.floor(sum * SCALE);
  return sum | 0;
}

/** Subtracts (b, bh) from a pair if `condition` is negative: the correction of an unsigned product for a sign. */
function lessIfNegative(condition: number, low: number, b: number, bh: number): number {
  if (condition >= 0) return low;
  const difference = (low - b) | 0;
  HIGH[0] = HIGH[0]! - bh - ((low >>> 0) < (b >>> 0) ? 1 : 0);
  return difference;
}

/** Upper 64 bits of the signed product. */
export function mulHighSigned64(a: number, ah: number, b: number, bh: number): number {
  return lessIfNegative(bh, lessIfNegative(ah, mulHighUnsigned64(a, ah, b, bh), b, bh), a, ah);
}

/** Upper 64 bits of the product of a signed and an unsigned number. */
export function mulHighSignedUnsigned64(a: number, ah: number, b: number, bh: number): number {
  return lessIfNegative(ah, mulHighUnsigned64(a, ah, b, bh), b, bh);
}

/** True if a pair is a double-exact non-negative integer (below 2^53). */
function small(high: number): boolean {
  return (high & 0xffe00000) === 0;
}

/** Returns an integer of magnitude below 2^53 as a pair. */
function giveNumber(value: number): number {
  HIGH[0] = Math.floor(value * SCALE);
  return value | 0;
}

/** Signed quotient; -1 for division by zero, the dividend on overflow. */
export function divSigned64(a: number, ah: number, b: number, bh: number): number {
  if (ah === a >> 31 && bh === b >> 31 && b !== 0) return giveNumber(Math.trunc(a / b));
  if (small(ah) && small(bh) && (b | bh) !== 0) return divUnsigned64(a, ah, b, bh);
  const divisor = signed64(b, bh);
  return give(divisor === 0n ? -1n : signed64(a, ah) / divisor);
}

/** Unsigned quotient; all ones for division by zero. */
export function divUnsigned64(a: number, ah: number, b: number, bh: number): number {
  if (small(ah) && small(bh) && (b | bh) !== 0) {
    const x = ah * 4294967296 + (a >>> 0), y = bh * 4294967296 + (b >>> 0);
    // The rounded quotient is never below the true one's floor; it may have been rounded up to the next integer.
    let quotient = Math.floor(x / y);
    if (quotient * y > x) quotient--;
    return giveNumber(quotient);
  }
  const divisor = unsigned64(b, bh);
  return give(divisor === 0n ? -1n : unsigned64(a, ah) / divisor);
}

/** Signed remainder; the dividend for division by zero. */
export function remSigned64(a: number, ah: number, b: number, bh: number): number {
  if (ah === a >> 31 && bh === b >> 31 && b !== 0) return giveNumber((a % b) | 0);
  const divisor = signed64(b, bh), dividend = signed64(a, ah);
  return give(divisor === 0n ? dividend : dividend % divisor);
}

/** Unsigned remainder; the dividend for division by zero. */
export function remUnsigned64(a: number, ah: number, b: number, bh: number): number {
  if (small(ah) && small(bh) && (b | bh) !== 0) {
    return giveNumber((ah * 4294967296 + (a >>> 0)) % (bh * 4294967296 + (b >>> 0)));
  }
  const divisor = unsigned64(b, bh), dividend = unsigned64(a, ah);
  return give(divisor === 0n ? dividend : dividend % divisor);
}

/** Rotates left by the low six bits of `n`. */
export function rotateLeft64(a: number, ah: number, n: number): number {
  if (n & 32) [a, ah] = [ah, a];
  HIGH[0] = (ah << n) | (a >>> 1 >>> ~n);
  return (a << n) | (ah >>> 1 >>> ~n);
}

/** Rotates right by the low six bits of `n`. */
export function rotateRight64(a: number, ah: number, n: number): number {
  return rotateLeft64(a, ah, -n);
}
