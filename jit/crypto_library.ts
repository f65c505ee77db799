// Fast forms of the pure helpers for AES and SM4: tables of words, for 32-bit values and for pairs. The high half of a 64-bit
// result is left in HIGH[0].

import { HIGH } from "../isa/pair.ts";
import { AES_BOX, AES_INVERSE_BOX, AES_POLYNOMIAL, fieldProduct, SM4_BOX } from "../isa/substitution_boxes.ts";

/** A column's first byte times the first column of a matrix, lowest byte first. */
function columnTable(matrix: readonly number[]): Int32Array {
  return Int32Array.from(
    { length: 256 },
    (_, byte) => matrix.reduce((word, factor, k) => word | fieldProduct(byte, factor, AES_POLYNOMIAL) << 8 * k, 0),
  );
}
const MIX = columnTable([2, 1, 1, 3]), INVERSE_MIX = columnTable([14, 9, 13, 11]);
const ROUND_CONSTANTS = [1, 2, 4, 8, 16, 32, 64, 128, 27, 54];

const rotateLeft = (word: number, by: number) => word << by | word >>> 32 - by;

function mixedColumn(table: Int32Array, word: number): number {
  return table[word & 0xff]! ^ rotateLeft(table[word >>> 8 & 0xff]!, 8) ^ rotateLeft(table[word >>> 16 & 0xff]!, 16) ^
    rotateLeft(table[word >>> 24]!, 24);
}
/** Bytes 0 to 3, each of a word of its own, through a box. */
function substituted(box: Uint8Array, w0: number, w1: number, w2: number, w3: number): number {
  return box[w0 & 0xff]! | box[w1 >>> 8 & 0xff]! << 8 | box[w2 >>> 16 & 0xff]! << 16 | box[w3 >>> 24]! << 24;
}

/** AES64ES. */
export function aesEncrypt64(a: number, ah: number, b: number, bh: number): number {
  HIGH[0] = substituted(AES_BOX, ah, b, bh, a);
  return substituted(AES_BOX, a, ah, b, bh);
}
/** AES64ESM. */
export function aesEncryptMix64(a: number, ah: number, b: number, bh: number): number {
  const low = aesEncrypt64(a, ah, b, bh);
  HIGH[0] = mixedColumn(MIX, HIGH[0]!);
  return mixedColumn(MIX, low);
}
/** AES64DS. */
export function aesDecrypt64(a: number, ah: number, b: number, bh: number): number {
  HIGH[0] = substituted(AES_INVERSE_BOX, ah, a, bh, b);
  return substituted(AES_INVERSE_BOX, a, bh, b, ah);
}
/** AES64DSM. */
export function aesDecryptMix64(a: number, ah: number, b: number, bh: number): number {
  const low = aesDecrypt64(a, ah, b, bh);
  return aesInverseMix64(low, HIGH[0]!);
}
/** AES64IM. */
export function aesInverseMix64(a: number, ah: number): number {
  HIGH[0] = mixedColumn(INVERSE_MIX, ah);
  return mixedColumn(INVERSE_MIX, a);
}
/** AES64KS1I. */
export function aesKeyWord64(_a: number, ah: number, b: number, _bh: number): number {
  const constant = ROUND_CONSTANTS[b & 15], word = constant === undefined ? ah : rotateLeft(ah, 24);
  const result = substituted(AES_BOX, word, word, word, word) ^ (constant ?? 0);
  HIGH[0] = result;
  return result;
}

/** The low byte through the box. */
export function aesSubstituteByte32(a: number): number {
  return AES_BOX[a & 0xff]!;
}
/** The low byte through the inverse box. */
export function aesInverseSubstituteByte32(a: number): number {
  return AES_INVERSE_BOX[a & 0xff]!;
}
/** MixColumns on the low byte, substituted. */
export function aesMixByte32(a: number): number {
  return MIX[AES_BOX[a & 0xff]!]!;
}
/** The inverse of MixColumns on the low byte, substituted by the inverse box. */
export function aesInverseMixByte32(a: number): number {
  return INVERSE_MIX[AES_INVERSE_BOX[a & 0xff]!]!;
}
/** The low byte through SM4's box. */
export function sm4SubstituteByte32(a: number): number {
  return SM4_BOX[a & 0xff]!;
}
