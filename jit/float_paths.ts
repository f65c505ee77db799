// Fast paths of floating-point instructions in generated code: on the host's doubles and singles, under a condition by which
// the result is that of the instruction's meaning and no exception flag changes. Where the condition does not hold, generated
// code does what the meaning says. One generator serves the interpreter's handlers and compiled regions.
//
// No NaN ever goes through a fast path: JavaScript may change which NaN it is.

import type { Statement } from "../isa/ir.ts";
import { DIRTY_STATE, DYNAMIC, FCSR_WORD, FRM, MSTATUS_WORD, READY_STATE, UNKNOWN_STATE } from "../hart/float_unit.ts";
import { DOWN, UP } from "../hart/double_operations.ts";
import { NX, RNE, RTZ } from "../hart/softfloat.ts";
import { MSTATUS } from "../hart/status.ts";
import type { MemoryAccess, ValueEmitter } from "./memory_access.ts";

/** Condition that mstatus.FS is not Off; that it is Dirty. */
export const IS_ENABLED: string = `(CSRS[${MSTATUS_WORD}] & ${MSTATUS.FS}) !== 0`,
  IS_DIRTY: string = `(CSRS[${MSTATUS_WORD}] & ${MSTATUS.FS}) === ${MSTATUS.FS}`;

/** Expression for `FloatUnit.state()`. */
export const FLOAT_STATE: string = `${IS_DIRTY} ? (CSRS[${FCSR_WORD}] & ${
  FRM | NX
}) === ${NX} ? ${READY_STATE} : ${DIRTY_STATE} : ${UNKNOWN_STATE}`;

/** Condition that state and rounding mode are as arithmetic wants them, where the mode is known only at run time. */
export function readyInMode(mode: string): string {
  const fcsr = `CSRS[${FCSR_WORD}]`;
  return `${IS_DIRTY} && (${mode} === ${DYNAMIC} ? ${fcsr} & ${FRM | NX} : ${mode} << 5 | ${fcsr} & ${NX}) === ${NX}`;
}

/** Variables that fast paths use. */
export const FLOAT_VARIABLES: readonly string[] = ["u", "v", "w", "y"];

/** A register operand. */
type Place = "rd" | "rs1" | "rs2" | "rs3";

/** Where operands are, as JavaScript texts that need no parentheses. */
export interface FloatPlaces {
  /** Value of an f register as a double (from FD). */
  readonly double: (place: Place) => string;
  /** An f register as a single (FS), and its two words (F). */
  readonly single: (place: Place) => string;
  readonly low: (place: Place) => string;
  readonly high: (place: Place) => string;
  /** The integer register rs1. */
  readonly x: () => { readonly low: string; readonly high: string };
  /** Condition for DIRTY_STATE. */
  readonly dirty: string;
  /** Condition for READY_STATE with the instruction's mode being RNE or dynamic; null if the mode is another. */
  readonly ready: string | null;
  /** Condition that the instruction's mode is this one, or that it is not; "" if always, null if never. */
  readonly isMode: (mode: number, is: boolean) => string | null;
  /** Whether rs1 and rs2 are known to be the same. */
  readonly sameSources: boolean;
}

/** A fast path. */
export interface FloatPath {
  /** When it may be taken. */
  readonly condition: string;
  /** Double that goes to the f register. */
  readonly double?: string;
  /** Or: statements that set the f register in another way, or store. */
  readonly statements?: string;
  /** Value of the x register: an int32 to be sign-extended, or with a high half of its own. */
  readonly low?: string;
  readonly high?: string;
}

/** Least magnitudes of results that were surely normal before rounding: twice the smallest normal number. */
export const NORMAL: Readonly<Record<"f64" | "f32", number>> = { f64: 2 ** -1021, f32: 2 ** -125 };
/** Bound of the error of a product, relative to it, and what makes up for rounding in the test of a fused result. */
export const PRODUCT_ERROR: number = 2 ** -53 + 2 ** -73, MARGIN: number = 2 ** -100;
/** A fused result above this was normal before rounding, and the test of it does not underflow. */
export const FUSED_NORMAL = 1e-200;

type Make = (p: FloatPlaces) => FloatPath | null;

function all(...conditions: (string | null)[]): string | null {
  if (conditions.includes(null)) return null;
  return conditions.filter((text) => text !== "").join(" && ");
}
function path(conditions: readonly (string | null)[], rest: Omit<FloatPath, "condition">): FloatPath | null {
  const condition = all(...conditions);
  return condition === null ? null : { condition, ...rest };
}

const paths = new Map<string, Make>();

const setSingle = (p: FloatPlaces, value: string) => `${p.single("rd")} = ${value}; ${p.high("rd")} = -1;`;
const isBoxed = (p: FloatPlaces, ...places: Place[]) => {
  const highs = places.map(p.high);
  return highs.length === 1 ? `${highs[0]} === -1` : `(${highs.join(" & ")}) === -1`;
};

/** Arithmetic on doubles or singles: `value` of operands, and a condition on the result `v`. */
function arithmetic(
  name: string,
  places: readonly Place[],
  value: (a: string, b: string) => string,
  condition: (v: string, a: string, b: string, normal: number) => string,
): void {
  const operands = (get: (place: Place) => string) => [get(places[0]!), get(places.at(-1)!)] as const;
  paths.set(`${name}.d`, (p) => {
    const [a, b] = operands(p.double);
    return path([p.ready, condition(`v = ${value(a, b)}`, a, b, NORMAL.f64)], { double: "v" });
  });
  // Rounding to double first does no harm: 53 ≥ 2·24 + 2 (see hart/double_operations.ts).
  paths.set(`${name}.s`, (p) => {
    const [a, b] = operands(p.single);
    const test = condition(`v = Math.fround(${value(a, b)})`, a, b, NORMAL.f32);
    return path([p.ready, isBoxed(p, ...places), test], { statements: setSingle(p, "v") });
  });
}

/** Finite, and not tiny, or exactly 0 under a condition. */
function normal(v: string, least: number, zero: string): string {
  return `((w = Math.abs(${v})) < Infinity && w > ${least} || v === 0 && (${zero}))`;
}

// A finite sum has finite operands, and a tiny one is exact.
const finite = (v: string) => `Math.abs(${v}) < Infinity`;
arithmetic("fadd", ["rs1", "rs2"], (a, b) => `${a} + ${b}`, finite);
arithmetic("fsub", ["rs1", "rs2"], (a, b) => `${a} - ${b}`, finite);
arithmetic("fmul", ["rs1", "rs2"], (a, b) => `${a} * ${b}`, (v, a, b, least) => {
  return normal(v, least, `${a} === 0 || ${b} === 0`);
});
arithmetic("fdiv", ["rs1", "rs2"], (a, b) => `${a} / ${b}`, (v, a, _, least) => normal(v, least, `${a} === 0`));
arithmetic("fsqrt", ["rs1"], (a) => `Math.sqrt(${a})`, (v) => `(${v}) >= 0 && v < Infinity`);

/**
 * Fused multiply-add. With p = a·b and v = p + c rounded and w the error of that sum, a·b + c is v + w and the error of p, which
 * is at most y. If v is what v + w ± y is rounded to, then so is a·b + c.
 */
function fused(name: string, productSign: string, addendSign: string): void {
  paths.set(`${name}.d`, (p) => {
    const a = productSign + p.double("rs1"), b = p.double("rs2"), c = addendSign + p.double("rs3");
    const steps = [
      `u = ${a} * ${b}`,
      `v = u + ${c}`,
      `w = v - u`,
      `w = (u - (v - w)) + (${c} - w)`,
      `y = Math.abs(u) * ${PRODUCT_ERROR} + Math.abs(v) * ${MARGIN}`,
      `v + (w + y) === v`,
    ];
    const sure = `(${steps.join(", ")}) && v + (w - y) === v && Math.abs(v) > ${FUSED_NORMAL}`;
    return path([p.ready, `(${sure} || (v = multiplyAdd(${a}, ${b}, ${c})) === v)`], { double: "v" });
  });
  // The product is exact; the sum is off by less than a unit in its last place.
  paths.set(`${name}.s`, (p) => {
    const sum = `${productSign}${p.single("rs1")} * ${p.single("rs2")} + ${addendSign}${p.single("rs3")}`;
    const test = `(u = ${sum}, v = Math.fround(u * ${UP})) === Math.fround(u * ${DOWN})`;
    const range = `(w = Math.abs(v)) < Infinity && w > ${NORMAL.f32}`;
    return path([p.ready, isBoxed(p, "rs1", "rs2", "rs3"), test, range], { statements: setSingle(p, "v") });
  });
}
fused("fmadd", "", "");
fused("fmsub", "", "-");
fused("fnmsub", "-", "");
fused("fnmadd", "-", "-");

/** Two numbers, none of them a NaN, in v and w. */
function numbers(p: FloatPlaces, suffix: "s" | "d"): string {
  const get = suffix === "d" ? p.double : p.single;
  return `(v = ${get("rs1")}) === v && (w = ${get("rs2")}) === w`;
}
const boxes = (p: FloatPlaces, suffix: "s" | "d") => suffix === "d" ? "" : isBoxed(p, "rs1", "rs2");

for (const suffix of ["s", "d"] as const) {
  const comparisons = [["feq", "==="], ["flt", "<"], ["fltq", "<"], ["fle", "<="], ["fleq", "<="]] as const;
  for (const [name, operator] of comparisons) {
    paths.set(`${name}.${suffix}`, (p) => {
      return path([p.dirty, boxes(p, suffix), numbers(p, suffix)], { low: `v ${operator} w ? 1 : 0` });
    });
  }
  const choices = [["fmin", "min"], ["fminm", "min"], ["fmax", "max"], ["fmaxm", "max"]];
  for (const [name, which] of choices) {
    paths.set(`${name}.${suffix}`, (p) => {
      const get = suffix === "d" ? p.double : p.single;
      const test = `(v = Math.${which}(${get("rs1")}, ${get("rs2")})) === v`;
      return path(
        [p.dirty, boxes(p, suffix), test],
        suffix === "d" ? { double: "v" } : { statements: setSingle(p, "v") },
      );
    });
  }
}

// Sign injection from the same register, which is how moves, negation and absolute value are written.
for (
  const [name, double, bits] of [["fsgnj", "v", ""], ["fsgnjn", "-v", " ^ -2147483648"], [
    "fsgnjx",
    "Math.abs(v)",
    " & 2147483647",
  ]]
) {
  paths.set(`${name}.d`, (p) => {
    if (!p.sameSources) return null;
    return path([p.dirty, `(v = ${p.double("rs1")}) === v`], { double: double! });
  });
  paths.set(`${name}.s`, (p) => {
    if (!p.sameSources) return null;
    const statements = `${p.low("rd")} = ${p.low("rs1")}${bits}; ${p.high("rd")} = -1;`;
    return path([p.dirty, isBoxed(p, "rs1")], { statements });
  });
}

// Conversions.
const UNSIGNED = 4294967296;
/** An integer and whether a double holds it in every case. */
const INTEGERS:
  readonly (readonly [name: string, value: (x: { low: string; high: string }) => string, exact: boolean])[] = [
    ["w", (x) => x.low, true],
    ["wu", (x) => `(${x.low} >>> 0)`, true],
    ["l", (x) => `${x.high} * ${UNSIGNED} + (${x.low} >>> 0)`, false],
    ["lu", (x) => `(${x.high} >>> 0) * ${UNSIGNED} + (${x.low} >>> 0)`, false],
  ];
for (const [name, value, exact] of INTEGERS) {
  paths.set(`fcvt.d.${name}`, (p) => {
    const conditions = exact ? [p.dirty, p.isMode(DYNAMIC, false)] : [p.ready];
    return path(conditions, { double: value(p.x()) });
  });
  if (exact) {
    paths.set(`fcvt.s.${name}`, (p) => path([p.ready], { statements: setSingle(p, `Math.fround(${value(p.x())})`) }));
  }
}
paths.set("fcvt.d.s", (p) => {
  const conditions = [p.dirty, p.isMode(DYNAMIC, false), isBoxed(p, "rs1"), `(v = ${p.single("rs1")}) === v`];
  return path(conditions, { double: "v" });
});
paths.set("fcvt.s.d", (p) => {
  const test = normal(`v = Math.fround(${p.double("rs1")})`, NORMAL.f32, `${p.double("rs1")} === 0`);
  return path([p.ready, test], { statements: setSingle(p, "v") });
});

/** To integers, in the one mode that compilers use: what fits, if it is exact or NX is raised already. */
const RANGES = [
  ["w", `v > -2147483649 && v < 2147483648`, false],
  ["wu", `v > -1 && v < ${UNSIGNED}`, false],
  ["l", `v >= ${-(2 ** 63)} && v < ${2 ** 63}`, true],
  ["lu", `v > -1 && v < ${2 ** 64}`, true],
] as const;
for (const suffix of ["s", "d"] as const) {
  for (const [name, range, wide] of RANGES) {
    paths.set(`fcvt.${name}.${suffix}`, (p) => {
      const box = suffix === "d" ? "" : isBoxed(p, "rs1"), get = suffix === "d" ? p.double : p.single;
      const flags = `((CSRS[${FCSR_WORD}] & ${NX}) !== 0 || Math.trunc(v) === v)`;
      const conditions = [p.dirty, p.isMode(RTZ, true), box, `(v = ${get("rs1")}, ${range})`, flags];
      const high = `Math.floor(Math.trunc(v) * ${2 ** -32}) | 0`;
      return path(conditions, { low: "v | 0", ...(wide && { high }) });
    });
  }
}

/** FLD and FSD: a double as one value, not as two words that the next operation would have to put together. */
function accessPath(
  name: string,
  statements: readonly Statement[],
  emitter: ValueEmitter,
  memory: MemoryAccess,
  p: FloatPlaces,
): FloatPath | null {
  const access = statements.find((s) => s.kind === "load" || s.kind === "store")!;
  const address = memory.address(emitter, access.address), inMemory = `F64[${address.offset.text} >> 3]`;
  const test = memory.test(address, 8, name === "fsd");
  if (name === "fld") return path([p.dirty, test, `(v = ${inMemory}) === v`], { double: "v" });
  const conditions = [p.dirty, test, memory.unwatched(address), `(v = ${p.double("rs2")}) === v`];
  return path(conditions, { statements: `${inMemory} = v;` });
}

/**
 * The fast path of an instruction with these statements, or null if it has none. What must be computed before its condition
 * goes to the emitter as temporaries.
 */
export function floatPath(
  name: string,
  statements: readonly Statement[],
  emitter: ValueEmitter,
  memory: MemoryAccess,
  places: FloatPlaces,
): FloatPath | null {
  if (name === "fld" || name === "fsd") return accessPath(name, statements, emitter, memory, places);
  return paths.get(name)?.(places) ?? null;
}

/** Modes in which arithmetic has a fast path. */
export function isNearest(mode: number): boolean {
  return mode === RNE || mode === DYNAMIC;
}
