// Floating-point operations on the host's doubles, where that is provably right: round to nearest, operands and results far
// from overflow and underflow. Whether a result is exact (NX) follows from error-free transformations: the error of a sum or
// product of doubles is a double itself (Handbook of Floating-Point Arithmetic, chapter 4, TwoSum and Dekker's product).
// Whatever is not handled here is for softfloat_operations.ts.

import { FLOAT_OPERATIONS } from "../isa/float.ts";
import { RDN, RNE, RTZ, RUP } from "./softfloat.ts";

/** The result of the last operation that was done here. */
export const result = {
  /** Low half of the register. */
  low: 0,
  /** High half. */
  high: 0,
  /** Whether it raises NX. No other flag is ever raised by what is done here. */
  inexact: false,
};

// Operands and result as words and as numbers; longer than needed (see `Count.state`).
const words = new Int32Array(32);
const doubles = new Float64Array(words.buffer), singles = new Float32Array(words.buffer);

/** Words of the result. */
const LOW = 6, HIGH_WORD = 7;

/** Magnitudes whose products, quotients and errors of products are far from overflow and underflow. */
export const LARGE: number = 2 ** 480, SMALL: number = 2 ** -480;
/** Magnitudes whose sums are far from overflow. */
export const VERY_LARGE: number = 2 ** 1000;
/** A fused result of this magnitude is normal. */
export const FUSED_SMALL: number = 2 ** -960;
/** A single of this magnitude was normal before rounding, too. */
const SINGLE_SMALL = 2 ** -125, SINGLE_LARGEST = 2 ** 128 - 2 ** 104;
const TWO_32 = 2 ** 32;
/** Factors that move a double by one to two units in its last place. */
export const UP: number = 1 + 2 ** -52, DOWN: number = 1 - 2 ** -52;

/** Whether the last of the functions below rounded. */
let inexact = false;

function isMedium(x: number): boolean {
  const magnitude = Math.abs(x);
  return magnitude >= SMALL && magnitude <= LARGE;
}

/** a + b - s, where s is a + b rounded. */
function sumError(a: number, b: number, s: number): number {
  const w = s - a;
  return (a - (s - w)) + (b - w);
}

/** a·b - p, where p is a·b rounded. */
function productError(a: number, b: number, p: number): number {
  const x = 134217729 * a, y = 134217729 * b; // 2^27 + 1
  const ah = x - (x - a), al = a - ah, bh = y - (y - b), bl = b - bh;
  return al * bl - (((p - ah * bh) - al * bh) - ah * bl);
}

// Each gives NaN where it cannot tell.

function add(a: number, b: number): number {
  if (!(Math.abs(a) <= VERY_LARGE && Math.abs(b) <= VERY_LARGE)) return NaN;
  const s = a + b;
  inexact = sumError(a, b, s) !== 0;
  return s;
}

function multiply(a: number, b: number): number {
  const p = a * b;
  inexact = false;
  if (a === 0 || b === 0) return p;
  if (!isMedium(a) || !isMedium(b)) return NaN;
  inexact = productError(a, b, p) !== 0;
  return p;
}

function divide(a: number, b: number): number {
  const q = a / b;
  inexact = false;
  if (a === 0) return q;
  if (!isMedium(a) || !isMedium(b)) return NaN;
  const p = q * b;
  inexact = p !== a || productError(q, b, p) !== 0;
  return q;
}

/** The engines use the processor's square root, which is rounded as IEEE 754 says. */
function squareRoot(a: number): number {
  const r = Math.sqrt(a);
  inexact = false;
  if (a === 0) return r;
  if (!isMedium(a)) return NaN;
  const p = r * r;
  inexact = p !== a || productError(r, r, p) !== 0;
  return r;
}

/**
 * a·b + c rounded once, or NaN where that is not sure. With p and s rounded, a·b + c is s plus two small errors; if their sum
 * has an error itself, it is less than a unit in its last place, and the result is sure if that does not change it.
 */
export function multiplyAdd(a: number, b: number, c: number): number {
  inexact = false;
  const p = a * b;
  if (a === 0 || b === 0) return Math.abs(c) <= VERY_LARGE ? p + c : NaN;
  if (!isMedium(a) || !isMedium(b)) return NaN;
  const pe = productError(a, b, p);
  if (c === 0) {
    inexact = pe !== 0;
    return p;
  }
  if (!isMedium(c)) return NaN;
  const s = p + c, d = sumError(p, c, s), e = d + pe;
  let r: number;
  if (sumError(d, pe, e) === 0) {
    r = s + e;
    inexact = sumError(s, e, r) !== 0;
  } else {
    r = s + e * UP;
    if (r !== s + e * DOWN) return NaN;
    inexact = true;
  }
  return r === 0 || Math.abs(r) >= FUSED_SMALL ? r : NaN;
}

/** Rounds a double, which is off by less than a unit in its last place where `rounded`, to a single. */
function toSingle(x: number, rounded: boolean): number {
  const r = Math.fround(x);
  inexact = rounded || r !== x;
  if (x === 0) return r;
  const magnitude = Math.abs(r);
  return magnitude >= SINGLE_SMALL && magnitude <= SINGLE_LARGEST ? r : NaN;
}

/** Sums, products, quotients and roots of singles may be rounded to double first: 53 ≥ 2·24 + 2 (Figueroa, 1995). */
function addSingles(a: number, b: number): number {
  const s = a + b;
  return toSingle(s, sumError(a, b, s) !== 0);
}
function divideSingles(a: number, b: number): number {
  if (!(Math.abs(b) <= SINGLE_LARGEST)) return NaN;
  const r = toSingle(a / b, false);
  inexact = r * b !== a;
  return r;
}
function squareRootSingle(a: number): number {
  const r = toSingle(Math.sqrt(a), false);
  inexact = r * r !== a;
  return r;
}
function multiplyAddSingles(a: number, b: number, c: number): number {
  const p = a * b, s = p + c; // p is exact
  const rounded = sumError(p, c, s) !== 0;
  if (rounded && Math.fround(s * UP) !== Math.fround(s * DOWN)) return NaN;
  return toSingle(s, rounded);
}

/** An integral value by a rounding mode; NaN for a mode that is rare. */
function toIntegral(x: number, mode: number): number {
  if (mode === RTZ) return Math.trunc(x);
  if (mode === RDN) return Math.floor(x);
  if (mode === RUP) return Math.ceil(x);
  if (mode !== RNE) return NaN;
  const floor = Math.floor(x), rest = x - floor;
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
}

// Operations: true if done.

type Operation = (mode: number) => boolean;

function give(low: number, high: number, rounded: boolean): true {
  result.low = low;
  result.high = high;
  result.inexact = rounded;
  return true;
}

/** An exact result is the same in every mode, but for the sign of a zero. */
function isSure(x: number, mode: number): boolean {
  return x === x && (mode === RNE || (!inexact && x !== 0));
}
function giveDouble(x: number, mode: number): boolean {
  if (!isSure(x, mode)) return false;
  doubles[LOW / 2] = x;
  return give(words[LOW]!, words[HIGH_WORD]!, inexact);
}
function giveSingle(x: number, mode: number): boolean {
  if (!isSure(x, mode)) return false;
  singles[LOW] = x;
  return give(words[LOW]!, -1, inexact);
}
function giveExactDouble(x: number): boolean {
  inexact = false;
  return giveDouble(x, RNE);
}

/** Operand `n` as a single; NaN if it is not NaN-boxed. */
function single(n: number): number {
  return words[2 * n + 1] === -1 ? singles[2 * n]! : NaN;
}

const operations = new Map<string, Operation>([
  ["fadd.d", (mode) => giveDouble(add(doubles[0]!, doubles[1]!), mode)],
  ["fsub.d", (mode) => giveDouble(add(doubles[0]!, -doubles[1]!), mode)],
  ["fmul.d", (mode) => giveDouble(multiply(doubles[0]!, doubles[1]!), mode)],
  ["fdiv.d", (mode) => giveDouble(divide(doubles[0]!, doubles[1]!), mode)],
  ["fsqrt.d", (mode) => giveDouble(squareRoot(doubles[0]!), mode)],
  ["fmadd.d", (mode) => giveDouble(multiplyAdd(doubles[0]!, doubles[1]!, doubles[2]!), mode)],
  ["fmsub.d", (mode) => giveDouble(multiplyAdd(doubles[0]!, doubles[1]!, -doubles[2]!), mode)],
  ["fnmsub.d", (mode) => giveDouble(multiplyAdd(-doubles[0]!, doubles[1]!, doubles[2]!), mode)],
  ["fnmadd.d", (mode) => giveDouble(multiplyAdd(-doubles[0]!, doubles[1]!, -doubles[2]!), mode)],
  ["fadd.s", (mode) => giveSingle(addSingles(single(0), single(1)), mode)],
  ["fsub.s", (mode) => giveSingle(addSingles(single(0), -single(1)), mode)],
  ["fmul.s", (mode) => giveSingle(toSingle(single(0) * single(1), false), mode)],
  ["fdiv.s", (mode) => giveSingle(divideSingles(single(0), single(1)), mode)],
  ["fsqrt.s", (mode) => giveSingle(squareRootSingle(single(0)), mode)],
  ["fmadd.s", (mode) => giveSingle(multiplyAddSingles(single(0), single(1), single(2)), mode)],
  ["fmsub.s", (mode) => giveSingle(multiplyAddSingles(single(0), single(1), -single(2)), mode)],
  ["fnmsub.s", (mode) => giveSingle(multiplyAddSingles(-single(0), single(1), single(2)), mode)],
  ["fnmadd.s", (mode) => giveSingle(multiplyAddSingles(-single(0), single(1), -single(2)), mode)],
  ["fcvt.s.d", (mode) => giveSingle(toSingle(doubles[0]!, false), mode)],
  ["fcvt.d.s", () => giveExactDouble(single(0))],
]);

for (const suffix of ["s", "d"]) {
  const operand = suffix === "d" ? (n: number) => doubles[n]! : single;
  const compare = (names: readonly string[], holds: (a: number, b: number) => boolean) => {
    for (const name of names) {
      operations.set(`${name}.${suffix}`, () => {
        const a = operand(0), b = operand(1);
        // A NaN raises flags.
        return a === a && b === b && give(holds(a, b) ? 1 : 0, 0, false);
      });
    }
  };
  compare(["feq"], (a, b) => a === b);
  compare(["flt", "fltq"], (a, b) => a < b);
  compare(["fle", "fleq"], (a, b) => a <= b);
  const giveExact = (x: number) => {
    inexact = false;
    return suffix === "d" ? giveDouble(x, RNE) : giveSingle(x, RNE);
  };
  // Math.min and Math.max give NaN for any NaN, and know which zero is less.
  for (const name of ["fmin", "fminm"]) {
    operations.set(`${name}.${suffix}`, () => giveExact(Math.min(operand(0), operand(1))));
  }
  for (const name of ["fmax", "fmaxm"]) {
    operations.set(`${name}.${suffix}`, () => giveExact(Math.max(operand(0), operand(1))));
  }

  /** To an integer from `least` to below `limit`. */
  const toInteger = (name: string, least: number, limit: number, wide: boolean) => {
    operations.set(`fcvt.${name}.${suffix}`, (mode) => {
      const x = operand(0), r = toIntegral(x, mode);
      if (!(r >= least && r < limit)) return false;
      const low = r | 0;
      return give(low, wide ? Math.floor(r / TWO_32) | 0 : low >> 31, r !== x);
    });
  };
  toInteger("w", -(2 ** 31), 2 ** 31, false);
  toInteger("wu", 0, 2 ** 32, false);
  toInteger("l", -(2 ** 63), 2 ** 63, true);
  toInteger("lu", 0, 2 ** 64, true);

  const fromInteger = (name: string, high: () => number, low: () => number) => {
    operations.set(`fcvt.${suffix}.${name}`, (mode) => {
      const a = high() * TWO_32, b = low(), x = a + b;
      inexact = sumError(a, b, x) !== 0;
      if (suffix === "d") return giveDouble(x, mode);
      // Rounding twice could be wrong.
      return !inexact && giveSingle(toSingle(x, false), mode);
    });
  };
  fromInteger("w", () => 0, () => words[0]!);
  fromInteger("wu", () => 0, () => words[0]! >>> 0);
  fromInteger("l", () => words[1]!, () => words[0]! >>> 0);
  fromInteger("lu", () => words[1]! >>> 0, () => words[0]! >>> 0);
}

const byNumber = FLOAT_OPERATIONS.map((name) => operations.get(name) ?? null);

/**
 * Does operation `number` of FLOAT_OPERATIONS on registers (pairs of int32) and leaves what it gives in `result`; false if that
 * cannot be done here.
 */
export function doubleOperation(
  number: number,
  mode: number,
  a: number,
  aHigh: number,
  b: number,
  bHigh: number,
  c: number,
  cHigh: number,
): boolean {
  const operation = byNumber[number]!;
  if (operation === null) return false;
  words[0] = a;
  words[1] = aHigh;
  words[2] = b;
  words[3] = bHigh;
  words[4] = c;
  words[5] = cHigh;
  return operation(mode);
}
