// The pure helpers that meanings name with `Builder.pure`, and what each of them means. These are reference
// implementations on BigInt: exact and slow. Code generators have fast forms of their own, tested against these.

import type { Xlen } from "./instruction.ts";

/** Name of a pure helper. */
export type PureOperation =
  | "carrylessMultiply"
  | "carrylessMultiplyHigh"
  | "carrylessMultiplyReversed"
  | "interleaveHalves"
  | "orCombineBytes"
  | "permuteBytes"
  | "permuteNibbles"
  | "reverseBitsInBytes"
  | "reverseBytes"
  | "separateEvenOdd";

/**
 * Meaning of a pure helper. Operands and result are unsigned and `xlen` bits wide; helpers of one operand ignore `b`.
 */
export type PureMeaning = (xlen: Xlen, a: bigint, b: bigint) => bigint;

/** Product of two polynomials over GF(2), all 2·XLEN−1 bits of it. */
function carrylessProduct(xlen: Xlen, a: bigint, b: bigint): bigint {
  let product = 0n;
  for (let k = 0; k < xlen; k++) if ((b >> BigInt(k) & 1n) !== 0n) product ^= a << BigInt(k);
  return product;
}

/** The fields of `width` bits that make up a value, lowest first. */
function fields(xlen: Xlen, a: bigint, width: number): bigint[] {
  return Array.from({ length: xlen / width }, (_, k) => BigInt.asUintN(width, a >> BigInt(k * width)));
}

/** The value that fields of `width` bits make up. */
function joined(parts: readonly bigint[], width: number): bigint {
  return parts.reduceRight((value, part) => value << BigInt(width) | part, 0n);
}

/** Field of `a` whose number is in each field of `b`; 0 where `a` has none of that number. */
function permute(width: number): PureMeaning {
  return (xlen, a, b) => {
    const table = fields(xlen, a, width);
    return joined(fields(xlen, b, width).map((index) => table[Number(index)] ?? 0n), width);
  };
}

/** Meanings by name. Bit numbers count from 0, the least significant. */
export const PURE_OPERATIONS: Readonly<Record<PureOperation, PureMeaning>> = {
  /** CLMUL: the low XLEN bits of the carry-less product. */
  carrylessMultiply: (xlen, a, b) => BigInt.asUintN(xlen, carrylessProduct(xlen, a, b)),
  /** CLMULH: the bits of the carry-less product from XLEN on. */
  carrylessMultiplyHigh: (xlen, a, b) => carrylessProduct(xlen, a, b) >> BigInt(xlen),
  /** CLMULR: XLEN bits of the carry-less product from bit XLEN−1 on: the product of the reversed operands, reversed. */
  carrylessMultiplyReversed: (xlen, a, b) => carrylessProduct(xlen, a, b) >> BigInt(xlen - 1),
  /** ZIP: bit k of the low half goes to bit 2k, bit k of the high half to bit 2k+1. */
  interleaveHalves: (xlen, a) => {
    const bits = fields(xlen, a, 1);
    return joined(bits.map((_, k) => bits[(k >> 1) + (k & 1) * xlen / 2]!), 1);
  },
  /** ORC.B: each byte becomes 0xff if any of its bits is set. */
  orCombineBytes: (xlen, a) => joined(fields(xlen, a, 8).map((byte) => byte === 0n ? 0n : 0xffn), 8),
  /** XPERM8: byte k of the result is the byte of `a` whose number is in byte k of `b`, 0 where there is none. */
  permuteBytes: permute(8),
  /** XPERM4: nibble k of the result is the nibble of `a` whose number is in nibble k of `b`, 0 where there is none. */
  permuteNibbles: permute(4),
  /** BREV8: the bits of each byte in reverse order. */
  reverseBitsInBytes: (xlen, a) => {
    const bits = fields(xlen, a, 1);
    return joined(bits.map((_, k) => bits[k ^ 7]!), 1);
  },
  /** REV8: the bytes in reverse order. */
  reverseBytes: (xlen, a) => joined(fields(xlen, a, 8).reverse(), 8),
  /** UNZIP: even bits go to the low half, odd bits to the high half. */
  separateEvenOdd: (xlen, a) => {
    const bits = fields(xlen, a, 1), half = xlen / 2;
    return joined(bits.map((_, k) => bits[k < half ? 2 * k : 2 * (k - half) + 1]!), 1);
  },
};
