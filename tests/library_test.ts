// The functions that generated code calls, against BigInt: 64-bit multiplication, division and rotation on pairs of int32,
// and the fast forms of the pure helpers against their meanings.

import assert from "node:assert/strict";
import { test } from "node:test";
import { HIGH, signed64, unsigned64 } from "../isa/pair.ts";
import { PURE_OPERATIONS, type PureOperation } from "../isa/pure_operations.ts";
import * as library from "../jit/library.ts";
import * as pureLibrary from "../jit/pure_library.ts";
import { randomWords } from "./random_words.ts";

/** Random pairs of operands for each function of the library. */
const RANDOM_PAIRS = 100_000;
/** The same for the pure helpers, whose meanings on BigInt are slow. */
const RANDOM_PURE_PAIRS = 20_000;

/** Words that are likely to go wrong: signs, carries, the limits of exact doubles. */
const CORNERS = [0, 1, 2, 3, -1, -2, 0x7fff_ffff, -0x8000_0000, -0x7fff_ffff, 0x001f_ffff, 0x0020_0000, 0x5555_5555];

/** A random word with few, half or most bits set, or a small number. */
function shapedWord(random: () => number): number {
  const shape = random() & 7;
  if (shape === 0) return random() & random() & random();
  if (shape === 1) return random() | random() | random();
  if (shape === 2) return random() >> (random() & 31);
  if (shape === 3) return CORNERS[random() % CORNERS.length]!;
  return random() | 0;
}

function* quadruples(count: number, seed: number): Generator<[number, number, number, number]> {
  for (const a of CORNERS) {
    for (const b of CORNERS) for (const c of CORNERS) for (const d of CORNERS) yield [a, b, c, d];
  }
  const random = randomWords(seed);
  for (let k = 0; k < count; k++) {
    const [a, b, c, d] = [shapedWord(random), shapedWord(random), shapedWord(random), shapedWord(random)];
    // Sign-extended and 53-bit operands take paths of their own.
    const shape = random() & 3;
    if (shape === 0) yield [a, a >> 31, c, c >> 31];
    else if (shape === 1) yield [a, b & 0x1f_ffff, c, d & 0x1f_ffff];
    else yield [a, b, c, d];
  }
}

type Binary = (a: number, ah: number, b: number, bh: number) => number;
type Meaning = (x: bigint, y: bigint, sx: bigint, sy: bigint) => bigint;

const ARITHMETIC: readonly (readonly [name: string, f: Binary, meaning: Meaning])[] = [
  ["mulHighUnsigned64", library.mulHighUnsigned64, (x, y) => x * y >> 64n],
  ["mulHighSigned64", library.mulHighSigned64, (_x, _y, sx, sy) => sx * sy >> 64n],
  ["mulHighSignedUnsigned64", library.mulHighSignedUnsigned64, (_, y, sx) => sx * y >> 64n],
  ["divSigned64", library.divSigned64, (_x, _y, sx, sy) => sy === 0n ? -1n : sx / sy],
  ["divUnsigned64", library.divUnsigned64, (x, y) => y === 0n ? -1n : x / y],
  ["remSigned64", library.remSigned64, (_x, _y, sx, sy) => sy === 0n ? sx : sx % sy],
  ["remUnsigned64", library.remUnsigned64, (x, y) => y === 0n ? x : x % y],
];

const hex = (...words: number[]) => words.map((word) => `0x${(word >>> 0).toString(16)}`).join(", ");

for (const [name, f, meaning] of ARITHMETIC) {
  test(`${name} is exact`, () => {
    for (const [a, ah, b, bh] of quadruples(RANDOM_PAIRS, 0x1234567)) {
      const low = f(a, ah, b, bh), high = HIGH[0]!;
      const expected = meaning(unsigned64(a, ah), unsigned64(b, bh), signed64(a, ah), signed64(b, bh));
      if (low !== (low | 0) || signed64(low, high) !== BigInt.asIntN(64, expected)) {
        assert.fail(`${name}(${hex(a, ah, b, bh)}) is ${hex(low, high)}, not ${BigInt.asUintN(64, expected)}`);
      }
    }
  });
}

test("rotations take the amount modulo 64", () => {
  const random = randomWords(99);
  for (let k = 0; k < RANDOM_PAIRS; k++) {
    const a = shapedWord(random), ah = shapedWord(random), n = k < 256 ? k - 128 : random() | 0;
    const x = unsigned64(a, ah), by = BigInt(n & 63);
    const left = BigInt.asUintN(64, x << by | x >> 64n - by);
    const right = BigInt.asUintN(64, x >> by | x << 64n - by);
    const rotatedLeft = library.rotateLeft64(a, ah, n);
    assert.equal(unsigned64(rotatedLeft, HIGH[0]!), left, `rotateLeft64(${hex(a, ah)}, ${n})`);
    const rotatedRight = library.rotateRight64(a, ah, n);
    assert.equal(unsigned64(rotatedRight, HIGH[0]!), right, `rotateRight64(${hex(a, ah)}, ${n})`);
  }
});

test("ones and trailing zeros of a word are counted", () => {
  const random = randomWords(7);
  const words = [...CORNERS, ...Array.from({ length: 32 }, (_, k) => 1 << k)];
  for (let k = 0; k < 10_000; k++) words.push(shapedWord(random));
  for (const word of words) {
    const digits = (word >>> 0).toString(2).padStart(32, "0");
    assert.equal(library.countOnes(word), digits.replaceAll("0", "").length, hex(word));
    assert.equal(library.countTrailingZeros(word), word === 0 ? 32 : 31 - digits.lastIndexOf("1"), hex(word));
  }
});

const pureFunctions: Readonly<Record<string, unknown>> = pureLibrary;

test("each pure helper has a fast form for every width that has instructions of it, and there are no others", () => {
  const only32 = /^(interleaveHalves|separateEvenOdd|.*Byte)$/, only64 = /^aes.*(crypt|Mix|Word)$/;
  const expected = Object.keys(PURE_OPERATIONS).flatMap((name) => [
    ...(only64.test(name) ? [] : [`${name}32`]),
    ...(only32.test(name) ? [] : [`${name}64`]),
  ]);
  assert.deepEqual(Object.keys(pureLibrary).sort(), expected.sort());
});

for (const name of Object.keys(PURE_OPERATIONS) as PureOperation[]) {
  test(`${name}: the fast forms compute what the helper means`, () => {
    const fast32 = pureFunctions[`${name}32`] as ((a: number, b: number) => number) | undefined;
    const fast64 = pureFunctions[`${name}64`] as Binary | undefined;
    const meaning = PURE_OPERATIONS[name], random = randomWords(0xabcdef);
    const trial = (a: number, ah: number, b: number, bh: number) => {
      if (fast32 !== undefined) {
        const narrow = fast32(a, b);
        const expected = meaning(32, BigInt(a >>> 0), BigInt(b >>> 0));
        assert.equal(narrow, narrow | 0, "an int32");
        assert.equal(BigInt(narrow >>> 0), expected, `${name}32(${hex(a, b)})`);
      }
      if (fast64 === undefined) return;
      const low = fast64(a, ah, b, bh);
      assert.equal(unsigned64(low, HIGH[0]!), meaning(64, unsigned64(a, ah), unsigned64(b, bh)), hex(a, ah, b, bh));
    };
    for (const a of CORNERS) for (const b of CORNERS) trial(a, b, b, a);
    for (let k = 0; k < RANDOM_PURE_PAIRS; k++) {
      trial(shapedWord(random), shapedWord(random), shapedWord(random), shapedWord(random));
    }
  });
}
