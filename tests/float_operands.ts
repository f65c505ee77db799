// Operands that find mistakes in floating-point arithmetic: corners, numbers close to each other or to a limit, significands
// that are runs of ones or zeros. Deterministic.

import { DOUBLE, type Format, HALF, RNE, SINGLE } from "../hart/softfloat.ts";
import { multiply } from "../hart/softfloat_arithmetic.ts";
import { convert, fromInteger } from "../hart/softfloat_convert.ts";
import { box } from "../hart/softfloat_operations.ts";

/** Random numbers (Marsaglia's xorshift, 32 bits). */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = (seed ^ 0x9e37_79b9) | 0 || 1;
    for (let k = 0; k < 8; k++) this.below(2);
  }
  /** An integer from 0 to `limit` - 1. */
  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }
  /** That many random bits. */
  bits(count: number): bigint {
    const low = BigInt(this.below(2 ** 32)), high = BigInt(this.below(2 ** 32));
    return BigInt.asUintN(count, high << 32n | low);
  }
  /** One of these. */
  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}

/** Formats by the suffix of mnemonics. */
export const FORMATS = { h: HALF, s: SINGLE, d: DOUBLE } as const;

/** The positive patterns at which something changes. */
function corners(format: Format): bigint[] {
  const one = fromInteger(format, 1n, RNE, { bits: 0 }), smallestNormal = format.quietBit << 1n;
  return [
    ...[0n, 1n, 2n, smallestNormal - 1n, smallestNormal, smallestNormal + 1n, smallestNormal << 1n],
    ...[one - 1n, one, one + 1n, one | format.quietBit, one + smallestNormal],
    ...[format.infinity - 2n, format.infinity - 1n, format.infinity],
    ...[format.infinity + 1n, format.nan - 1n, format.nan, format.nan + 1n, format.signBit - 1n],
  ];
}

/** A significand without its implicit one. */
function fraction(random: Random, format: Format): bigint {
  const width = format.precision - 1, all = random.bits(width), n = BigInt(random.below(width + 1));
  switch (random.below(6)) {
    case 0:
      return all;
    case 1:
      return all >> n << n;
    case 2:
      return all >> n;
    case 3:
      return BigInt.asUintN(width, -1n << n);
    case 4:
      return (1n << n) - 1n;
    default:
      return BigInt.asUintN(width, (1n << n) + BigInt(random.below(5)) - 2n);
  }
}

/** A pattern of a format. */
export function pattern(random: Random, format: Format): bigint {
  const sign = random.below(2) === 0 ? 0n : format.signBit;
  const choice = random.below(16);
  if (choice < 4) return sign | random.of(corners(format));
  const bias = (format.specialExponent - 1) / 2, p = format.precision;
  let exponent = random.below(format.specialExponent + 1);
  if (choice < 9) exponent = bias - p - 3 + random.below(2 * p + 7);
  if (choice === 9) exponent = random.below(p + 3);
  if (choice === 10) exponent = bias + random.below(3) - 1;
  if (choice === 11) exponent = format.specialExponent - 1 - random.below(3);
  exponent = Math.min(Math.max(exponent, 0), format.specialExponent);
  return sign | BigInt(exponent) << BigInt(p - 1) | fraction(random, format);
}

/** A few units in the last place off, perhaps of the other sign. */
function near(random: Random, format: Format, bits: bigint): bigint {
  const moved = BigInt.asUintN(format.width, bits + BigInt(random.below(7)) - 3n);
  return random.below(2) === 0 ? moved : moved ^ format.signBit;
}

/** Two numbers whose product or quotient is about where normal numbers or finite ones end. */
function atBorder(random: Random, format: Format): [bigint, bigint] {
  const shift = BigInt(format.precision - 1), special = format.specialExponent, bias = (special - 1) / 2;
  const border = random.of([0, 1, 1, 1, special - 1, special]);
  const first = 1 + random.below(special - 1),
    second = random.below(2) === 0 ? border + bias - first : first + bias - border;
  const exponents = [first, Math.min(Math.max(second, 0), special - 1)];
  const simple = random.below(2) === 0;
  const [a, b] = exponents.map((exponent) => {
    const sign = random.below(2) === 0 ? 0n : format.signBit;
    // A power of two, some units in the last place off, or a random significand.
    const tail = simple ? BigInt(random.below(17) - 8) : fraction(random, format);
    return sign | BigInt.asUintN(format.width - 1, (BigInt(exponent) << shift) + tail);
  });
  return [a!, b!];
}

/** Patterns for an operation on one to three numbers. */
export function patterns(random: Random, format: Format): [bigint, bigint, bigint] {
  let a = pattern(random, format), b = pattern(random, format), c = pattern(random, format);
  const choice = random.below(8);
  if (choice === 0) b = near(random, format, a);
  else if (choice <= 2) [a, b] = atBorder(random, format);
  // A sum that all but cancels.
  if (random.below(3) === 0) c = near(random, format, multiply(format, a, b, RNE, { bits: 0 }));
  return [a, b, c];
}

/** A pattern of a format that another format can hold just about, or not quite. */
export function nearOtherFormat(random: Random, format: Format, other: Format): bigint {
  if (random.below(2) === 0) return pattern(random, format);
  const there = random.of([
    pattern(random, other),
    random.of(corners(other)),
    random.of(corners(other)) | other.signBit,
  ]);
  const here = convert(other, format, there, RNE, { bits: 0 });
  const gap = BigInt(Math.max(1, format.precision - other.precision + 2));
  // Off by a few units in this format's last place, or around halves and quarters of the other's.
  const off = (1n << BigInt(random.below(Number(gap)))) + BigInt(random.below(3) - 1);
  return BigInt.asUintN(format.width, here + random.of([off, -off, 0n, BigInt(random.below(7) - 3)]));
}

/** All pairs of the numbers that operations treat specially. */
export function specialPairs(format: Format): [bigint, bigint][] {
  const one = fromInteger(format, 1n, RNE, { bits: 0 });
  const positive = [0n, 1n, one, format.infinity - 1n, format.infinity];
  const all = [...positive, ...positive.map((bits) => bits | format.signBit), format.nan, format.infinity + 1n];
  return all.flatMap((a) => all.map((b): [bigint, bigint] => [a, b]));
}

/** A register with a pattern in it, now and then not NaN-boxed. */
export function inRegister(random: Random, format: Format, bits: bigint): bigint {
  if (format === DOUBLE || random.below(16) !== 0) return box(format, bits);
  const upper = random.of([0n, random.bits(64), BigInt.asUintN(64, -1n) ^ (1n << BigInt(random.below(64)))]);
  return upper >> BigInt(format.width) << BigInt(format.width) | bits;
}

/** 64 bits of an integer register. */
export function integer(random: Random): bigint {
  const n = BigInt(random.below(64));
  const value = random.of([random.bits(64) >> n, 1n << n, (1n << n) + BigInt(random.below(5)) - 2n, -1n << n]);
  return BigInt.asUintN(64, random.below(2) === 0 ? value : -value);
}

/** A pattern of a format that is close to a number which an integer can or just cannot hold. */
export function nearInteger(random: Random, format: Format): bigint {
  if (random.below(4) === 0) return pattern(random, format);
  const quarters = BigInt.asIntN(64, integer(random)) * 4n + BigInt(random.below(9)) - 4n;
  // Through a double, so that the quarters survive; it does not matter how either conversion rounds.
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, Number(quarters) / 4);
  return convert(DOUBLE, format, view.getBigUint64(0), random.below(5), { bits: 0 });
}
