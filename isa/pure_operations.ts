// The pure helpers that meanings name with `Builder.pure`, and what each of them means. These are reference
// implementations on BigInt: exact and slow. Code generators have fast forms of their own, tested against these.

import type { Xlen } from "./instruction.ts";
import { AES_BOX, AES_INVERSE_BOX, AES_POLYNOMIAL, fieldProduct, SM4_BOX } from "./substitution_boxes.ts";

/** Name of a pure helper. */
export type PureOperation =
  | "aesDecrypt"
  | "aesDecryptMix"
  | "aesEncrypt"
  | "aesEncryptMix"
  | "aesInverseMix"
  | "aesInverseMixByte"
  | "aesInverseSubstituteByte"
  | "aesKeyWord"
  | "aesMixByte"
  | "aesSubstituteByte"
  | "carrylessMultiply"
  | "carrylessMultiplyHigh"
  | "carrylessMultiplyReversed"
  | "interleaveHalves"
  | "orCombineBytes"
  | "permuteBytes"
  | "permuteNibbles"
  | "reverseBitsInBytes"
  | "reverseBytes"
  | "separateEvenOdd"
  | "sm4SubstituteByte";

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

/** First column of the matrix of MixColumns and of its inverse (FIPS 197, sections 5.1.3 and 5.3.3). */
const MIX = [2, 1, 1, 3], INVERSE_MIX = [14, 9, 13, 11];

/** Multiplies each column of four bytes by the circulant matrix with a first column. */
function mixed(state: readonly bigint[], matrix: readonly number[]): bigint[] {
  return state.map((_, k) => {
    const column = k - k % 4;
    return [0, 1, 2, 3].reduce(
      (sum, row) => sum ^ BigInt(fieldProduct(Number(state[column + row]), matrix[(k - row + 4) % 4]!, AES_POLYNOMIAL)),
      0n,
    );
  });
}

/**
 * The first two columns of a round of AES: rows shifted (`direction` is -1 for the inverse), bytes substituted. `a` holds the
 * first two columns of the state, `b` the others.
 */
function round(box: Uint8Array, direction: 1 | -1): (a: bigint, b: bigint) => bigint[] {
  return (a, b) => {
    const state = [...fields(64, a, 8), ...fields(64, b, 8)];
    return Array.from({ length: 8 }, (_, k) => {
      const row = k % 4, column = (k - row) / 4;
      return BigInt(box[Number(state[4 * ((column + direction * row + 4) % 4) + row])]!);
    });
  };
}
const encrypted = round(AES_BOX, 1), decrypted = round(AES_INVERSE_BOX, -1);
const lowByte = (a: bigint) => Number(a & 0xffn);

/** The number of the round whose key word is neither rotated nor given a constant: the extra step of 256-bit keys. */
const PLAIN_KEY_ROUND = 10;

/** Meanings by name. Bit numbers count from 0, the least significant. */
export const PURE_OPERATIONS: Readonly<Record<PureOperation, PureMeaning>> = {
  /** AES64DS: half of the last round of decryption. */
  aesDecrypt: (_, a, b) => joined(decrypted(a, b), 8),
  /** AES64DSM: half of a middle round of decryption. */
  aesDecryptMix: (_, a, b) => joined(mixed(decrypted(a, b), INVERSE_MIX), 8),
  /** AES64ES: half of the last round of encryption. */
  aesEncrypt: (_, a, b) => joined(encrypted(a, b), 8),
  /** AES64ESM: half of a middle round of encryption. */
  aesEncryptMix: (_, a, b) => joined(mixed(encrypted(a, b), MIX), 8),
  /** AES64IM: the inverse of MixColumns on two columns. */
  aesInverseMix: (_, a) => joined(mixed(fields(64, a, 8), INVERSE_MIX), 8),
  /** Inverse of MixColumns on a column whose first byte is the low byte of `a`, substituted; the others are 0. */
  aesInverseMixByte: (_, a) => joined(mixed([BigInt(AES_INVERSE_BOX[lowByte(a)]!), 0n, 0n, 0n], INVERSE_MIX), 8),
  /** The low byte through the inverse box. */
  aesInverseSubstituteByte: (_, a) => BigInt(AES_INVERSE_BOX[lowByte(a)]!),
  /** AES64KS1I: the high word of `a`, rotated, substituted and with the constant of round `b` added, twice. */
  aesKeyWord: (_, a, b) => {
    const number = Number(b & 15n), bytes = fields(64, a, 8).slice(4), plain = number >= PLAIN_KEY_ROUND;
    const word = bytes.map((_, k) => BigInt(AES_BOX[Number(plain ? bytes[k] : bytes[(k + 1) % 4])]!));
    let constant = 1;
    for (let k = 0; k < number; k++) constant = fieldProduct(constant, 2, AES_POLYNOMIAL);
    if (!plain) word[0]! ^= BigInt(constant);
    return joined([...word, ...word], 8);
  },
  /** MixColumns on a column whose first byte is the low byte of `a`, substituted; the others are 0. */
  aesMixByte: (_, a) => joined(mixed([BigInt(AES_BOX[lowByte(a)]!), 0n, 0n, 0n], MIX), 8),
  /** The low byte through the box. */
  aesSubstituteByte: (_, a) => BigInt(AES_BOX[lowByte(a)]!),
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
  /** The low byte through SM4's box. */
  sm4SubstituteByte: (_, a) => BigInt(SM4_BOX[lowByte(a)]!),
};
