// Zba, Zbb, Zbc, Zbs, Zbkb, Zbkx, Zicond and Zimop: what they compute, bit by bit, as the manual's descriptions say.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Xlen } from "../isa/instruction.ts";
import { INSTRUCTIONS } from "../isa/table.ts";
import { resultOf } from "./evaluate_ir.ts";
import { randomWords } from "./random_words.ts";

/** Bits of a register, the least significant first. */
type Bits = readonly number[];

const bitsOf = (value: bigint, count: number): Bits =>
  Array.from({ length: count }, (_, k) => Number(value >> BigInt(k) & 1n));
const numberOf = (bits: Bits): bigint => bits.reduceRight((value, bit) => value << 1n | BigInt(bit), 0n);
const signed = (value: bigint, width: number) => BigInt.asIntN(width, value);
const low = (value: bigint, width: number) => BigInt.asUintN(width, value);

/** Result of an instruction on two registers and an immediate; it is cut to the register's width. */
type Meaning = (x: bigint, y: bigint, xlen: Xlen, imm: number) => bigint;

/** An instruction on the low 32 bits, with a sign-extended result. */
const word = (f: Meaning): Meaning => (x, y, _xlen, imm) => signed(low(f(low(x, 32), low(y, 32), 32, imm), 32), 32);
/** Bits moved or computed one by one: `f` gives bit k of the result. */
const bitwise = (f: (x: Bits, k: number, y: Bits) => number): Meaning => (x, y, xlen) => {
  const a = bitsOf(x, xlen), b = bitsOf(y, xlen);
  return numberOf(a.map((_, k) => f(a, k, b)));
};
const leadingZeros: Meaning = (x, _, xlen) => BigInt(xlen - 1 - bitsOf(x, xlen).lastIndexOf(1));
const trailingZeros: Meaning = (x, _, xlen) => BigInt([...bitsOf(x, xlen), 1].indexOf(1));
const ones: Meaning = (x, _, xlen) => BigInt(bitsOf(x, xlen).filter((bit) => bit === 1).length);
const rotateRight = (x: bigint, by: number, xlen: Xlen) => {
  const bits = bitsOf(x, xlen);
  return numberOf(bits.map((_, k) => bits[(k + by) % xlen]!));
};
const index = (y: bigint, xlen: Xlen) => Number(y % BigInt(xlen));
const bit = (n: number) => 1n << BigInt(n);
/** Carry-less product: bit n is the parity of the pairs of bits whose numbers add up to n. */
const carryless = (x: bigint, y: bigint, xlen: Xlen): bigint => {
  const a = bitsOf(x, xlen), b = bitsOf(y, xlen), sum = new Array(2 * xlen).fill(0);
  a.forEach((p, i) => b.forEach((q, j) => sum[i + j] ^= p & q));
  return numberOf(sum);
};
/** Looks fields of `width` bits up. */
const permute = (width: number): Meaning => (x, y, xlen) => {
  let result = 0n;
  for (let at = 0; at < xlen; at += width) {
    const from = Number(low(y >> BigInt(at), width)) * width;
    if (from < xlen) result |= low(x >> BigInt(from), width) << BigInt(at);
  }
  return result;
};
const single = (name: string, f: (x: bigint, n: number) => bigint): Record<string, Meaning> => ({
  [name]: (x, y, xlen) => f(x, index(y, xlen)),
  [`${name}i`]: (x, _, __, imm) => f(x, imm),
});

const MEANINGS: Readonly<Record<string, Meaning>> = {
  sh1add: (x, y) => y + x * 2n,
  sh2add: (x, y) => y + x * 4n,
  sh3add: (x, y) => y + x * 8n,
  "add.uw": (x, y) => y + low(x, 32),
  "sh1add.uw": (x, y) => y + low(x, 32) * 2n,
  "sh2add.uw": (x, y) => y + low(x, 32) * 4n,
  "sh3add.uw": (x, y) => y + low(x, 32) * 8n,
  "slli.uw": (x, _, __, imm) => low(x, 32) * bit(imm),

  andn: bitwise((x, k, y) => x[k]! & (1 - y[k]!)),
  orn: bitwise((x, k, y) => x[k]! | (1 - y[k]!)),
  xnor: bitwise((x, k, y) => x[k] === y[k] ? 1 : 0),
  clz: leadingZeros,
  ctz: trailingZeros,
  cpop: ones,
  clzw: word(leadingZeros),
  ctzw: word(trailingZeros),
  cpopw: word(ones),
  min: (x, y, xlen) => signed(x, xlen) < signed(y, xlen) ? x : y,
  minu: (x, y) => x < y ? x : y,
  max: (x, y, xlen) => signed(x, xlen) < signed(y, xlen) ? y : x,
  maxu: (x, y) => x < y ? y : x,
  "sext.b": (x) => signed(x, 8),
  "sext.h": (x) => signed(x, 16),
  "zext.h": (x) => low(x, 16),
  rol: (x, y, xlen) => rotateRight(x, (xlen - index(y, xlen)) % xlen, xlen),
  ror: (x, y, xlen) => rotateRight(x, index(y, xlen), xlen),
  rori: (x, _, xlen, imm) => rotateRight(x, imm, xlen),
  rolw: word((x, y) => rotateRight(x, (32 - index(y, 32)) % 32, 32)),
  rorw: word((x, y) => rotateRight(x, index(y, 32), 32)),
  roriw: word((x, _, __, imm) => rotateRight(x, imm, 32)),
  "orc.b": bitwise((x, k) => x.slice(k & ~7, (k & ~7) + 8).includes(1) ? 1 : 0),
  rev8: bitwise((x, k) => x[x.length - 8 - (k & ~7) + (k & 7)]!),

  clmul: (x, y, xlen) => carryless(x, y, xlen),
  clmulh: (x, y, xlen) => carryless(x, y, xlen) >> BigInt(xlen),
  clmulr: (x, y, xlen) => carryless(x, y, xlen) >> BigInt(xlen - 1),

  ...single("bclr", (x, n) => x - (x & bit(n))),
  ...single("bext", (x, n) => x >> BigInt(n) & 1n),
  ...single("binv", (x, n) => x ^ bit(n)),
  ...single("bset", (x, n) => x | bit(n)),

  pack: (x, y, xlen) => low(y, xlen / 2) * bit(xlen / 2) + low(x, xlen / 2),
  packh: (x, y) => low(y, 8) * 256n + low(x, 8),
  packw: word((x, y) => low(y, 16) * 65536n + low(x, 16)),
  brev8: bitwise((x, k) => x[(k & ~7) + 7 - (k & 7)]!),
  zip: bitwise((x, k) => x[k % 2 === 0 ? k / 2 : 16 + (k - 1) / 2]!),
  unzip: bitwise((x, k) => x[k < 16 ? 2 * k : 2 * (k - 16) + 1]!),
  xperm4: permute(4),
  xperm8: permute(8),

  "czero.eqz": (x, y) => y === 0n ? 0n : x,
  "czero.nez": (x, y) => y === 0n ? x : 0n,
  "mop.r": () => 0n,
  "mop.rr": () => 0n,
};

const EXTENSIONS = ["Zba", "Zbb", "Zbc", "Zbs", "Zbkb", "Zbkc", "Zbkx", "Zicond", "Zimop"];

/** Values that are likely to be wrong, and random ones with few, half or most bits set. */
function operands(xlen: Xlen, random: () => number): bigint[] {
  const wide = () => BigInt(random()) << 32n | BigInt(random());
  const ends = [0n, 1n, 2n, 0x7fn, 0x80n, 0x7fffn, 0x8000n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0x1_0000_0000n];
  const few = Array.from(
    { length: 12 },
    () => [wide(), wide() & wide() & wide(), wide() | wide(), wide() & 0x3fn][random() & 3]!,
  );
  return [
    ...new Set([...ends, -1n, 1n << BigInt(xlen - 1), ~(1n << BigInt(xlen - 1)), ...few].map((n) => low(n, xlen))),
  ];
}

for (const xlen of [32, 64] as const) {
  test(`bit manipulation on RV${xlen} computes what the manual says`, () => {
    const random = randomWords(xlen);
    for (const instruction of INSTRUCTIONS) {
      if (!instruction.extensions.some((name) => EXTENSIONS.includes(name))) continue;
      if (instruction.xlen !== undefined && instruction.xlen !== xlen) continue;
      const { name } = instruction, meaning = MEANINGS[name];
      assert.ok(meaning, `${name} has no meaning here`);
      const amounts = instruction.format !== "shift"
        ? [0]
        : name.endsWith("w") && name !== "slli.uw"
        ? [0, 1, 17, 31]
        : [0, 1, 17, xlen - 1];
      for (const rs1 of operands(xlen, random)) {
        for (const rs2 of operands(xlen, random)) {
          for (const imm of amounts) {
            assert.equal(
              resultOf(name, xlen, { rs1, rs2 }, imm),
              low(meaning(rs1, rs2, xlen, imm), xlen),
              `${name} 0x${rs1.toString(16)} 0x${rs2.toString(16)} ${imm}`,
            );
          }
        }
      }
    }
  });
}

test("known results: what the descriptions of the manual and simple reasoning give", () => {
  const run = (name: string, xlen: Xlen, rs1: bigint, rs2 = 0n) => resultOf(name, xlen, { rs1, rs2 });
  assert.equal(run("rev8", 64, 0x0102030405060708n), 0x0807060504030201n);
  assert.equal(run("rev8", 32, 0x01020304n), 0x04030201n);
  assert.equal(run("orc.b", 64, 0x0100_0080_ff00_0001n), 0xff00_00ff_ff00_00ffn);
  assert.equal(run("brev8", 32, 0x01_80_f0_12n), 0x80_01_0f_48n);
  assert.equal(run("zip", 32, 0x0000ffffn), 0x55555555n);
  assert.equal(run("unzip", 32, 0x55555555n), 0x0000ffffn);
  assert.equal(run("clmul", 32, 3n, 3n), 5n);
  assert.equal(run("clmulh", 64, 1n << 63n, 1n << 63n), 1n << 62n);
  assert.equal(run("clmulr", 64, 1n << 63n, 1n << 63n), 1n << 63n);
  assert.equal(run("xperm8", 64, 0x8877665544332211n, 0x0706050403020108n), 0x8877665544332200n);
  assert.equal(run("xperm4", 32, 0x87654321n, 0x80706050n), 0x01_81_71_61n);
  assert.equal(run("pack", 64, 0x1111111122222222n, 0x3333333344444444n), 0x4444444422222222n);
  assert.equal(run("packw", 64, 0x1234n, 0x8765n), 0xffffffff87651234n);
  assert.equal(run("sext.b", 64, 0x80n), 0xffffffffffffff80n);
  assert.equal(run("rolw", 64, 0x4000_0000n, 1n), 0xffffffff80000000n);
  assert.equal(run("clz", 32, 0n), 32n);
  assert.equal(run("ctzw", 64, 0n), 32n);
});
