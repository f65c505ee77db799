// Fast forms of the pure helpers of isa/pure_operations.ts, for 32-bit values and for pairs. The high half of a 64-bit
// result is left in HIGH[0].

import { HIGH } from "../isa/pair.ts";

/** REV8 on 32 bits. */
export function reverseBytes32(a: number): number {
  return a << 24 | (a & 0xff00) << 8 | a >>> 8 & 0xff00 | a >>> 24;
}
/** REV8 on 64 bits. */
export function reverseBytes64(a: number, ah: number): number {
  HIGH[0] = reverseBytes32(a);
  return reverseBytes32(ah);
}

/** BREV8 on 32 bits. */
export function reverseBitsInBytes32(a: number): number {
  a = a >>> 1 & 0x55555555 | (a & 0x55555555) << 1;
  a = a >>> 2 & 0x33333333 | (a & 0x33333333) << 2;
  return a >>> 4 & 0x0f0f0f0f | (a & 0x0f0f0f0f) << 4;
}
/** BREV8 on 64 bits. */
export function reverseBitsInBytes64(a: number, ah: number): number {
  HIGH[0] = reverseBitsInBytes32(ah);
  return reverseBitsInBytes32(a);
}

/** ORC.B on 32 bits. */
export function orCombineBytes32(a: number): number {
  a |= a >>> 4 & 0x0f0f0f0f;
  a |= a >>> 2 & 0x03030303;
  a = (a | a >>> 1) & 0x01010101;
  return Math.imul(a, 0xff);
}
/** ORC.B on 64 bits. */
export function orCombineBytes64(a: number, ah: number): number {
  HIGH[0] = orCombineBytes32(ah);
  return orCombineBytes32(a);
}

/** Low half of the carry-less product of two words, with the high half in HIGH[0]. */
function carrylessProduct(a: number, b: number): number {
  let low = 0, high = 0;
  for (let k = 0; b !== 0; k++, b >>>= 1) {
    if ((b & 1) === 0) continue;
    low ^= a << k;
    high ^= k === 0 ? 0 : a >>> 32 - k;
  }
  HIGH[0] = high;
  return low;
}

/** CLMUL on 32 bits. */
export function carrylessMultiply32(a: number, b: number): number {
  return carrylessProduct(a, b);
}
/** CLMULH on 32 bits. */
export function carrylessMultiplyHigh32(a: number, b: number): number {
  carrylessProduct(a, b);
  return HIGH[0]!;
}
/** CLMULR on 32 bits. */
export function carrylessMultiplyReversed32(a: number, b: number): number {
  const low = carrylessProduct(a, b);
  return HIGH[0]! << 1 | low >>> 31;
}

const product = new Int32Array(4);

/** All four words of the carry-less product of two pairs. */
function carrylessWords(a: number, ah: number, b: number, bh: number): void {
  product[0] = carrylessProduct(a, b);
  const p1 = HIGH[0]!;
  const m0 = carrylessProduct(a, bh), m1 = HIGH[0]!;
  const n0 = carrylessProduct(ah, b), n1 = HIGH[0]!;
  const h0 = carrylessProduct(ah, bh), h1 = HIGH[0]!;
  product[1] = p1 ^ m0 ^ n0;
  product[2] = m1 ^ n1 ^ h0;
  product[3] = h1;
}

/** CLMUL on 64 bits. */
export function carrylessMultiply64(a: number, ah: number, b: number, bh: number): number {
  carrylessWords(a, ah, b, bh);
  HIGH[0] = product[1]!;
  return product[0]!;
}
/** CLMULH on 64 bits. */
export function carrylessMultiplyHigh64(a: number, ah: number, b: number, bh: number): number {
  carrylessWords(a, ah, b, bh);
  HIGH[0] = product[3]!;
  return product[2]!;
}
/** CLMULR on 64 bits. */
export function carrylessMultiplyReversed64(a: number, ah: number, b: number, bh: number): number {
  carrylessWords(a, ah, b, bh);
  HIGH[0] = product[3]! << 1 | product[2]! >>> 31;
  return product[2]! << 1 | product[1]! >>> 31;
}

/** Spreads the low 16 bits over the even places. */
function spread(a: number): number {
  a &= 0xffff;
  a = (a | a << 8) & 0x00ff00ff;
  a = (a | a << 4) & 0x0f0f0f0f;
  a = (a | a << 2) & 0x33333333;
  return (a | a << 1) & 0x55555555;
}
/** Collects the bits at even places in the low 16. */
function collect(a: number): number {
  a &= 0x55555555;
  a = (a | a >>> 1) & 0x33333333;
  a = (a | a >>> 2) & 0x0f0f0f0f;
  a = (a | a >>> 4) & 0x00ff00ff;
  return (a | a >>> 8) & 0xffff;
}
/** ZIP. */
export function interleaveHalves32(a: number): number {
  return spread(a) | spread(a >>> 16) << 1;
}
/** UNZIP. */
export function separateEvenOdd32(a: number): number {
  return collect(a) | collect(a >>> 1) << 16;
}

/** XPERM8 on 32 bits. */
export function permuteBytes32(a: number, b: number): number {
  let result = 0;
  for (let k = 0; k < 32; k += 8) {
    const index = b >>> k & 0xff;
    if (index < 4) result |= (a >>> 8 * index & 0xff) << k;
  }
  return result;
}
/** XPERM4 on 32 bits. */
export function permuteNibbles32(a: number, b: number): number {
  let result = 0;
  for (let k = 0; k < 32; k += 4) {
    const index = b >>> k & 0xf;
    if (index < 8) result |= (a >>> 4 * index & 0xf) << k;
  }
  return result;
}

function permute64(a: number, ah: number, b: number, width: number): number {
  const mask = (1 << width) - 1, perWord = 32 / width;
  let result = 0;
  for (let k = 0; k < 32; k += width) {
    const index = b >>> k & mask;
    if (index >= 2 * perWord) continue;
    const word = index < perWord ? a : ah;
    result |= (word >>> width * (index % perWord) & mask) << k;
  }
  return result;
}
/** XPERM8 on 64 bits. */
export function permuteBytes64(a: number, ah: number, b: number, bh: number): number {
  HIGH[0] = permute64(a, ah, bh, 8);
  return permute64(a, ah, b, 8);
}
/** XPERM4 on 64 bits. */
export function permuteNibbles64(a: number, ah: number, b: number, bh: number): number {
  HIGH[0] = permute64(a, ah, bh, 4);
  return permute64(a, ah, b, 4);
}
export * from "./crypto_library.ts";
