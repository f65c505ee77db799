// Zknd, Zkne and Zknh: AES and SHA-2 (unprivileged manual, chapter "Cryptography Extensions: Scalar & Entropy Source
// Instructions", sections "Zknd", "Zkne", "Zknh").

import type { Extension } from "./extensions.ts";
import type { Definition, Xlen } from "./instruction.ts";
import type { Builder, Operands, Value } from "./ir.ts";
import type { PureOperation } from "./pure_operations.ts";

/** Byte number `imm` of rs2, as an i32. */
export function selectedByte(b: Builder, i: Operands): Value {
  return b.zeroExtend8(b.shrUnsigned(b.w(i.rs2), b.shl(b.imm32(i), b.i32(3))));
}
/** A word rotated to the place of byte number `imm`, added to rs1. */
export function addRotated(b: Builder, i: Operands, word: Value): void {
  b.setX(i.rd, b.xor(b.w(i.rs1), b.rotl(word, b.shl(b.imm32(i), b.i32(3)))));
}

function aes32(name: string, extension: Extension, funct5: string, pure: PureOperation): Definition {
  return {
    name,
    extensions: [extension],
    xlen: 32,
    format: "Rbs",
    pattern: `ii${funct5}tttttsssss000ddddd0110011`,
    semantics: (b, i) => addRotated(b, i, b.pure(pure, selectedByte(b, i))),
  };
}

function aes64(name: string, extension: Extension, funct7: string, pure: PureOperation): Definition {
  return {
    name,
    extensions: [extension],
    xlen: 64,
    format: "R",
    pattern: `${funct7}tttttsssss000ddddd0110011`,
    semantics: (b, i) => b.setX(i.rd, b.pure(pure, b.x(i.rs1), b.x(i.rs2))),
  };
}

/** A function of one register: the sum of two rotations to the right and a third or a shift. */
export function sigma(
  name: string,
  extension: Extension,
  funct12: string,
  width: Xlen,
  f: (b: Builder, x: Value) => Value,
): Definition {
  return {
    name,
    extensions: [extension],
    ...(width === 64 ? { xlen: 64 } as const : {}),
    format: "R1",
    pattern: `${funct12}sssss001ddddd0010011`,
    semantics: (b, i) => b.setX(i.rd, f(b, width === 64 ? b.x(i.rs1) : b.w(i.rs1))),
  };
}

const sum = (b: Builder, first: Value, ...rest: Value[]) => rest.reduce((total, value) => b.xor(total, value), first);
/** The sum of three rotations to the right. */
const rotations = (...amounts: number[]) => (b: Builder, x: Value) =>
  sum(b, ...amounts.map((n) => b.rotr(x, b.i32(n))) as [Value, ...Value[]]);
/** The sum of two rotations and a shift to the right. */
const rotationsAndShift = (r1: number, r2: number, n: number) => (b: Builder, x: Value) =>
  b.xor(rotations(r1, r2)(b, x), b.shrUnsigned(x, b.i32(n)));

/**
 * Half of a SHA-512 function on RV32: shifts of the register with the half that is computed and of the one with the other half;
 * positive to the left.
 */
function half(name: string, funct7: string, own: readonly number[], other: readonly number[]): Definition {
  const shifted = (b: Builder, x: Value, n: number) => n > 0 ? b.shl(x, b.i32(n)) : b.shrUnsigned(x, b.i32(-n));
  return {
    name,
    extensions: ["Zknh"],
    xlen: 32,
    format: "R",
    pattern: `${funct7}tttttsssss000ddddd0110011`,
    semantics: (b, i) => {
      const terms = [...own.map((n) => shifted(b, b.x(i.rs1), n)), ...other.map((n) => shifted(b, b.x(i.rs2), n))];
      b.setX(i.rd, sum(b, ...terms as [Value, ...Value[]]));
    },
  };
}

/** AES, SHA-256 and SHA-512. */
export const ZKN: readonly Definition[] = [
  aes32("aes32dsi", "Zknd", "10101", "aesInverseSubstituteByte"),
  aes32("aes32dsmi", "Zknd", "10111", "aesInverseMixByte"),
  aes32("aes32esi", "Zkne", "10001", "aesSubstituteByte"),
  aes32("aes32esmi", "Zkne", "10011", "aesMixByte"),
  aes64("aes64ds", "Zknd", "0011101", "aesDecrypt"),
  aes64("aes64dsm", "Zknd", "0011111", "aesDecryptMix"),
  aes64("aes64es", "Zkne", "0011001", "aesEncrypt"),
  aes64("aes64esm", "Zkne", "0011011", "aesEncryptMix"),
  {
    name: "aes64im",
    extensions: ["Zknd"],
    xlen: 64,
    format: "R1",
    pattern: "001100000000sssss001ddddd0010011",
    semantics: (b, i) => b.setX(i.rd, b.pure("aesInverseMix", b.x(i.rs1))),
  },
  {
    name: "aes64ks1i",
    extensions: ["Zknd", "Zkne"],
    xlen: 64,
    format: "shift",
    pattern: "00110001iiiisssss001ddddd0010011",
    // Round numbers above 10 are reserved.
    valid: (i) => i.imm <= 10,
    semantics: (b, i) => b.setX(i.rd, b.pure("aesKeyWord", b.x(i.rs1), b.imm(i))),
  },
  {
    name: "aes64ks2",
    extensions: ["Zknd", "Zkne"],
    xlen: 64,
    format: "R",
    pattern: "0111111tttttsssss000ddddd0110011",
    semantics: (b, i) => {
      const first = b.xor(b.shrUnsigned(b.x(i.rs1), b.i32(32)), b.zeroExtend(b.w(i.rs2)));
      const second = b.xor(first, b.shrUnsigned(b.x(i.rs2), b.i32(32)));
      b.setX(i.rd, b.or(b.shl(second, b.i32(32)), first));
    },
  },

  sigma("sha256sig0", "Zknh", "000100000010", 32, rotationsAndShift(7, 18, 3)),
  sigma("sha256sig1", "Zknh", "000100000011", 32, rotationsAndShift(17, 19, 10)),
  sigma("sha256sum0", "Zknh", "000100000000", 32, rotations(2, 13, 22)),
  sigma("sha256sum1", "Zknh", "000100000001", 32, rotations(6, 11, 25)),
  sigma("sha512sig0", "Zknh", "000100000110", 64, rotationsAndShift(1, 8, 7)),
  sigma("sha512sig1", "Zknh", "000100000111", 64, rotationsAndShift(19, 61, 6)),
  sigma("sha512sum0", "Zknh", "000100000100", 64, rotations(28, 34, 39)),
  sigma("sha512sum1", "Zknh", "000100000101", 64, rotations(14, 18, 41)),
  half("sha512sig0h", "0101110", [-1, -7, -8], [31, 24]),
  half("sha512sig0l", "0101010", [-1, -7, -8], [31, 25, 24]),
  half("sha512sig1h", "0101111", [3, -6, -19], [-29, 13]),
  half("sha512sig1l", "0101011", [3, -6, -19], [-29, 26, 13]),
  half("sha512sum0r", "0101000", [25, 30, -28], [-7, -2, 4]),
  half("sha512sum1r", "0101001", [23, -14, -18], [-9, 18, 14]),
];
