// Exact floating point against the host's own arithmetic and against the manual's words; instructions that QEMU 7.2 does not have
// (Zfa). softfloat_qemu_test.ts compares the rest with QEMU.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DOUBLE, DZ, HALF, NV, NX, OF, RDN, RMM, RNE, RTZ, RUP, SINGLE, UF } from "../hart/softfloat.ts";
import { box, floatOperation } from "../hart/softfloat_operations.ts";
import { FLOAT_OPERATIONS, floatOperationNumber } from "../isa/float.ts";
import { type Definition, readPattern } from "../isa/instruction.ts";
import { Builder, FIELDS, type Operands } from "../isa/ir.ts";
import { RV_D } from "../isa/rv_d.ts";
import { RV_F } from "../isa/rv_f.ts";
import { ZFA } from "../isa/zfa.ts";
import { ZFH } from "../isa/zfh.ts";
import { FORMATS, inRegister, nearInteger, patterns, Random } from "./float_operands.ts";
import { BareHart, Evaluator } from "./ir_evaluator.ts";

const SEED = 1, SAMPLES = 3000;
const DYNAMIC = 7;
const MODES = [RNE, RTZ, RDN, RUP, RMM];
const ALL: readonly Definition[] = [...RV_F, ...RV_D, ...ZFH, ...ZFA];

const view = new DataView(new ArrayBuffer(8));

function bitsOfDouble(value: number): bigint {
  if (Number.isNaN(value)) return DOUBLE.nan;
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}
function bitsOfSingle(value: number): bigint {
  if (Number.isNaN(value)) return box(SINGLE, SINGLE.nan);
  view.setFloat32(0, value);
  return box(SINGLE, BigInt(view.getUint32(0)));
}
function doubleOf(bits: bigint): number {
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}
function singleOf(register: bigint): number {
  view.setUint32(0, Number(BigInt.asUintN(32, register)));
  return view.getFloat32(0);
}

/** Does an operation by name: result and flags. */
function operate(name: string, mode: number, ...operands: bigint[]): { result: bigint; flags: number } {
  const [a = 0n, b = 0n, c = 0n] = operands, flags = { bits: 0 };
  return { result: floatOperation(floatOperationNumber(name), mode, a, b, c, flags), flags: flags.bits };
}

const hex = (value: bigint) => `0x${value.toString(16)}`;

/** Calls `check` with many operand pairs in registers. */
function forPairs(suffix: keyof typeof FORMATS, check: (a: bigint, b: bigint) => void): void {
  const random = new Random(SEED), format = FORMATS[suffix];
  for (let k = 0; k < SAMPLES; k++) {
    const [a, b] = patterns(random, format);
    check(box(format, a), box(format, b));
  }
}

const HOST: Record<string, (a: number, b: number) => number> = {
  fadd: (a, b) => a + b,
  fsub: (a, b) => a - b,
  fmul: (a, b) => a * b,
  fdiv: (a, b) => a / b,
  fsqrt: (a) => Math.sqrt(a),
  fminm: Math.min,
  fmaxm: Math.max,
};

test(`arithmetic rounded to nearest is the host's, in double precision (seed ${SEED})`, () => {
  for (const [name, f] of Object.entries(HOST)) {
    forPairs("d", (a, b) => {
      const { result } = operate(`${name}.d`, RNE, a, b);
      assert.equal(hex(result), hex(bitsOfDouble(f(doubleOf(a), doubleOf(b)))), `${name} ${hex(a)} ${hex(b)}`);
    });
  }
});

// Rounding to double and then to single is the same as rounding to single at once: 53 is at least 2 · 24 + 2.
test(`arithmetic rounded to nearest is the host's rounded again, in single precision (seed ${SEED})`, () => {
  for (const [name, f] of Object.entries(HOST)) {
    forPairs("s", (a, b) => {
      const { result } = operate(`${name}.s`, RNE, a, b);
      const expected = bitsOfSingle(Math.fround(f(singleOf(a), singleOf(b))));
      assert.equal(hex(result), hex(expected), `${name} ${hex(a)} ${hex(b)}`);
    });
  }
});

test(`comparisons and conversions agree with the host (seed ${SEED})`, () => {
  forPairs("d", (a, b) => {
    const x = doubleOf(a), y = doubleOf(b), message = `${hex(a)} ${hex(b)}`;
    for (const quiet of ["", "q"]) {
      assert.equal(operate(`flt${quiet}.d`, RNE, a, b).result, x < y ? 1n : 0n, message);
      assert.equal(operate(`fle${quiet}.d`, RNE, a, b).result, x <= y ? 1n : 0n, message);
    }
    assert.equal(operate("feq.d", RNE, a, b).result, x === y ? 1n : 0n, message);
    assert.equal(operate("fcvt.s.d", RNE, a).result, bitsOfSingle(Math.fround(x)), message);
    const integer = BigInt.asIntN(64, a);
    assert.equal(operate("fcvt.d.l", RNE, a).result, bitsOfDouble(Number(integer)), message);
    assert.equal(operate("fcvt.d.lu", RNE, a).result, bitsOfDouble(Number(a)), message);
  });
  forPairs("s", (a) => {
    assert.equal(operate("fcvt.d.s", RNE, a).result, bitsOfDouble(singleOf(a)), hex(a));
  });
});

test("FLTQ and FLEQ raise NV for signalling NaNs only, FLT and FLE for all, FEQ as the quiet ones", () => {
  for (const [suffix, format] of Object.entries(FORMATS)) {
    const one = operate(`fli.${suffix}`, RNE, 16n).result;
    const quiet = box(format, format.nan), signalling = box(format, format.infinity + 1n);
    for (const [name, forQuiet] of [["flt", NV], ["fle", NV], ["fltq", 0], ["fleq", 0], ["feq", 0]] as const) {
      for (const [a, b] of [[one, quiet], [quiet, one], [quiet, quiet]] as const) {
        assert.deepEqual(operate(`${name}.${suffix}`, RNE, a, b), { result: 0n, flags: forQuiet }, name);
      }
      for (const [a, b] of [[one, signalling], [signalling, one], [quiet, signalling]] as const) {
        assert.deepEqual(operate(`${name}.${suffix}`, RNE, a, b), { result: 0n, flags: NV }, name);
      }
    }
  }
});

test("FMINM and FMAXM give the canonical NaN for any NaN and raise NV for a signalling one", () => {
  for (const [suffix, format] of Object.entries(FORMATS)) {
    const nan = box(format, format.nan), one = operate(`fli.${suffix}`, RNE, 16n).result;
    for (const name of ["fminm", "fmaxm"]) {
      const flagsOf = (a: bigint, b: bigint) => {
        const { result, flags } = operate(`${name}.${suffix}`, RNE, box(format, a), box(format, b));
        assert.equal(hex(result), hex(nan));
        return flags;
      };
      assert.equal(flagsOf(format.nan + 1n, one), 0);
      assert.equal(flagsOf(one, format.nan | format.signBit), 0);
      assert.equal(flagsOf(one, format.infinity + 1n), NV);
      assert.equal(flagsOf(format.nan, format.infinity + 1n), NV);
    }
  }
});

test(`FROUND and FROUNDNX agree with conversion to an integer and back (seed ${SEED})`, () => {
  const random = new Random(SEED);
  for (const [suffix, format] of Object.entries(FORMATS)) {
    const magnitude = format.signBit - 1n;
    for (let k = 0; k < SAMPLES; k++) {
      const bits = nearInteger(random, format), a = inRegister(random, format, bits), mode = MODES[k % MODES.length]!;
      const message = `${suffix} ${hex(a)} mode ${mode}`;
      const rounded = operate(`fround.${suffix}`, mode, a), exact = operate(`froundnx.${suffix}`, mode, a);
      assert.equal(rounded.result, exact.result, message);
      assert.equal(rounded.flags, exact.flags & NV, message);
      const integer = operate(`fcvt.l.${suffix}`, mode, a), back = operate(`fcvt.${suffix}.l`, mode, integer.result);
      if (integer.flags & NV) {
        // NaN or already integral: canonical NaN (NV if signalling), or unchanged.
        const isNaN = box(format, bits) !== a || (bits & magnitude) > format.infinity;
        assert.equal(exact.result, isNaN ? box(format, format.nan) : a, message);
        const isSignalling = box(format, bits) === a && isNaN && (bits & format.quietBit) === 0n;
        assert.equal(exact.flags, isSignalling ? NV : 0, message);
      } else {
        assert.equal(exact.result & ~format.signBit, back.result & ~format.signBit, message);
        assert.equal(exact.result & format.signBit, bits & format.signBit, message);
        assert.equal(exact.flags, integer.flags, message);
      }
    }
  }
});

// The instruction was made for this operator.
test(`FCVTMOD.W.D is JavaScript's conversion to an int32, with the flags of FCVT.W.D (seed ${SEED})`, () => {
  const random = new Random(SEED);
  for (let k = 0; k < SAMPLES; k++) {
    const a = nearInteger(random, DOUBLE), { result, flags } = operate("fcvtmod.w.d", RTZ, a);
    assert.equal(BigInt.asIntN(64, result), BigInt(doubleOf(a) | 0), hex(a));
    assert.equal(flags, operate("fcvt.w.d", RTZ, a).flags, hex(a));
  }
});

test("FLI loads the constants of the manual's table, which halves cannot all hold", () => {
  // Sign, exponent and the two upper bits of the significand of numbers 0 to 31, as the table has them for single precision.
  const exponents = [127, 1, 111, 112, 119, 120, 123, 124, 125, 125, 125, 125, 126, 126, 126, 126]
    .concat([127, 127, 127, 127, 128, 128, 128, 129, 130, 131, 134, 135, 142, 143, 255, 255]);
  const significands = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 2];
  const halves = [0xbc00, 0x0400, 0x0100, 0x0200, 0x1c00, 0x2000, 0x2c00, 0x3000, 0x3400, 0x3500, 0x3600, 0x3700]
    .concat([0x3800, 0x3900, 0x3a00, 0x3b00, 0x3c00, 0x3d00, 0x3e00, 0x3f00, 0x4000, 0x4100, 0x4200, 0x4400])
    .concat([0x4800, 0x4c00, 0x5800, 0x5c00, 0x7800, 0x7c00, 0x7c00, 0x7e00]);
  for (let k = 0; k < 32; k++) {
    const single = BigInt(((k === 0 ? 256 : 0) + exponents[k]!) * 4 + significands[k]!) << 21n;
    assert.equal(hex(operate("fli.s", RNE, BigInt(k)).result), hex(box(SINGLE, single)), `fli.s ${k}`);
    const double = k === 1 ? 0x0010_0000_0000_0000n : operate("fcvt.d.s", RNE, box(SINGLE, single)).result;
    assert.equal(hex(operate("fli.d", RNE, BigInt(k)).result), hex(double), `fli.d ${k}`);
    assert.equal(hex(operate("fli.h", RNE, BigInt(k)).result), hex(box(HALF, BigInt(halves[k]!))), `fli.h ${k}`);
  }
});

test("results and flags at the limits are the manual's", () => {
  const single = (bits: number) => box(SINGLE, BigInt(bits >>> 0));
  const ONE = 0x3f80_0000, LARGEST = 0x7f7f_ffff, SMALLEST_NORMAL = 0x0080_0000, INFINITY = 0x7f80_0000;
  const QUIET = 0x7fc0_0000, SIGNALLING = 0x7f80_0001, MINUS = 0x8000_0000, BELOW_ONE = 0x3f7f_ffff;
  const cases: [string, number, number[], number, number][] = [
    // Tiny before rounding but not after it: no UF (chapter F: tininess is detected after rounding).
    ["fmul.s", RUP, [SMALLEST_NORMAL + 1, BELOW_ONE - 1], SMALLEST_NORMAL, NX],
    ["fmul.s", RNE, [SMALLEST_NORMAL, BELOW_ONE], SMALLEST_NORMAL, NX | UF],
    // A subnormal result that is exact raises nothing.
    ["fmul.s", RNE, [SMALLEST_NORMAL, 0x3f00_0000], SMALLEST_NORMAL >> 1, 0],
    ["fmul.s", RNE, [LARGEST, LARGEST], INFINITY, OF | NX],
    ["fmul.s", RTZ, [LARGEST, LARGEST], LARGEST, OF | NX],
    ["fmul.s", RDN, [LARGEST, LARGEST | MINUS], INFINITY | MINUS, OF | NX],
    ["fmul.s", RUP, [LARGEST, LARGEST | MINUS], LARGEST | MINUS, OF | NX],
    ["fmul.s", RMM, [LARGEST, LARGEST], INFINITY, OF | NX],
    ["fdiv.s", RNE, [ONE, MINUS], INFINITY | MINUS, DZ],
    ["fdiv.s", RNE, [0, MINUS], QUIET, NV],
    ["fdiv.s", RNE, [INFINITY, 0], INFINITY, 0],
    ["fsqrt.s", RNE, [MINUS], MINUS, 0],
    ["fsqrt.s", RNE, [ONE | MINUS], QUIET, NV],
    ["fsub.s", RNE, [ONE, ONE], 0, 0],
    ["fsub.s", RDN, [ONE, ONE], MINUS, 0],
    ["fadd.s", RDN, [MINUS, MINUS], MINUS, 0],
    ["fsub.s", RNE, [INFINITY, INFINITY], QUIET, NV],
    // NaNs are canonical whatever comes in.
    ["fadd.s", RNE, [QUIET | MINUS | 5, ONE], QUIET, 0],
    ["fadd.s", RNE, [ONE, SIGNALLING], QUIET, NV],
    ["fmadd.s", RNE, [INFINITY, 0, QUIET], QUIET, NV],
    ["fmadd.s", RNE, [ONE, ONE, INFINITY | MINUS], INFINITY | MINUS, 0],
    // (1 + 2^-23)² − (1 + 2^-22) = 2^-46: an exact product, rounded once.
    ["fmsub.s", RNE, [ONE + 1, ONE + 1, ONE + 2], 0x2880_0000, 0],
    ["fnmsub.s", RNE, [ONE + 1, ONE + 1, ONE + 2], 0xa880_0000, 0],
    ["fnmadd.s", RNE, [ONE, ONE, ONE], 0xc000_0000, 0],
    ["fmin.s", RNE, [0, MINUS], MINUS, 0],
    ["fmin.s", RNE, [MINUS, 0], MINUS, 0],
    ["fmax.s", RNE, [MINUS, 0], 0, 0],
    ["fmin.s", RNE, [QUIET, ONE], ONE, 0],
    ["fmax.s", RNE, [ONE, SIGNALLING], ONE, NV],
    ["fmax.s", RNE, [QUIET | 1, QUIET | MINUS], QUIET, 0],
  ];
  for (const [name, mode, operands, result, flags] of cases) {
    const actual = operate(name, mode, ...operands.map(single));
    const message = `${name} ${operands.map((bits) => (bits >>> 0).toString(16)).join(" ")} mode ${mode}`;
    assert.deepEqual({ ...actual, result: hex(actual.result) }, { result: hex(single(result)), flags }, message);
  }
});

test("conversions to integers saturate and raise NV without NX, as the manual's table says", () => {
  // Smallest, largest, and what the negative number closest to 0 gives.
  const cases: [string, bigint, bigint][] = [
    ["fcvt.w", -(2n ** 31n), 2n ** 31n - 1n],
    ["fcvt.wu", 0n, -1n], // 2^32 - 1, sign-extended
    ["fcvt.l", -(2n ** 63n), 2n ** 63n - 1n],
    ["fcvt.lu", 0n, -1n],
  ];
  for (const [name, smallest, largest] of cases) {
    const of = (value: number) => {
      const { result, flags } = operate(`${name}.d`, RTZ, bitsOfDouble(value));
      return { result: BigInt.asIntN(64, result), flags };
    };
    assert.deepEqual(of(1e300), { result: largest, flags: NV }, name);
    assert.deepEqual(of(Infinity), { result: largest, flags: NV }, name);
    assert.deepEqual(of(NaN), { result: largest, flags: NV }, name);
    assert.deepEqual(of(-1e300), { result: smallest, flags: NV }, name);
    assert.deepEqual(of(-Infinity), { result: smallest, flags: NV }, name);
    assert.deepEqual(of(-0.75), { result: 0n, flags: NX }, name);
    assert.deepEqual(of(-0), { result: 0n, flags: 0 }, name);
    assert.deepEqual(of(2.5), { result: 2n, flags: NX }, name);
  }
  const { result, flags } = operate("fcvt.wu.d", RDN, bitsOfDouble(-0.5));
  assert.deepEqual({ result, flags }, { result: 0n, flags: NV });
});

test("every operation takes a badly boxed operand for the canonical NaN", () => {
  const one = 0x3f80_0000n, nan = box(SINGLE, SINGLE.nan);
  for (const bad of [one, 0xffff_fffe_0000_0000n | one, 0x7fff_ffff_0000_0000n | one]) {
    assert.equal(operate("fadd.s", RNE, bad, box(SINGLE, one)).result, nan);
    assert.equal(operate("fclass.s", RNE, bad).result, 1n << 9n);
    assert.equal(operate("fcvt.d.s", RNE, bad).result, DOUBLE.nan);
  }
  assert.equal(operate("fclass.h", RNE, 0xffff_ffff_0000_3c00n).result, 1n << 9n);
  assert.equal(operate("fclass.h", RNE, 0xffff_ffff_ffff_3c00n).result, 1n << 6n);
});

// From here on: instructions.

function named(name: string): Definition {
  const found = ALL.find((definition) => definition.name === name);
  assert.ok(found !== undefined, name);
  return found;
}

/** Mnemonic, operands, instruction word. */
type Encoding = [string, Partial<Operands>, number];

// Made by GNU as 2.40 (rv64gc_zfh and rv32imafc).
const ASSEMBLED: Encoding[] = [
  ["flw", { rd: 13, rs1: 9, imm: -4 }, 0xffc4a687],
  ["fsd", { rs2: 31, rs1: 2, imm: 2047 }, 0x7ff13fa7],
  ["flh", { rd: 1, rs1: 10, imm: 6 }, 0x00651087],
  ["fsh", { rs2: 2, rs1: 11, imm: -2048 }, 0x80259027],
  ["fmadd.d", { rd: 13, rs1: 10, rs2: 11, rs3: 12, imm: RTZ }, 0x62b516c3],
  ["fnmsub.h", { rd: 1, rs1: 2, rs2: 3, rs3: 4, imm: DYNAMIC }, 0x243170cb],
  ["fadd.s", { rd: 13, rs1: 10, rs2: 11, imm: RUP }, 0x00b536d3],
  ["fcvt.lu.d", { rd: 5, rs1: 6, imm: RMM }, 0xc23342d3],
  ["fcvt.h.l", { rd: 7, rs1: 8, imm: RDN }, 0xd42423d3],
  ["fcvt.d.h", { rd: 9, rs1: 10 }, 0x422504d3],
  ["fmv.x.d", { rd: 3, rs1: 4 }, 0xe20201d3],
  ["fmv.h.x", { rd: 5, rs1: 6 }, 0xf40302d3],
  ["fclass.d", { rd: 7, rs1: 8 }, 0xe20413d3],
  ["fsgnjx.h", { rd: 1, rs1: 2, rs2: 3 }, 0x243120d3],
];
const ASSEMBLED_SHORT: [...Encoding, string, Partial<Operands>][] = [
  ["c.fld", { rd: 8, rs1: 15, imm: 248 }, 0x3fe0, "fld", { rd: 8, rs1: 15, imm: 248 }],
  ["c.fsd", { rs2: 15, rs1: 8, imm: 8 }, 0xa41c, "fsd", { rs2: 15, rs1: 8, imm: 8 }],
  ["c.fldsp", { rd: 31, imm: 504 }, 0x3ffe, "fld", { rd: 31, rs1: 2, imm: 504 }],
  ["c.fldsp", { rd: 0, imm: 32 }, 0x3002, "fld", { rd: 0, rs1: 2, imm: 32 }],
  ["c.fsdsp", { rs2: 1, imm: 64 }, 0xa086, "fsd", { rs2: 1, rs1: 2, imm: 64 }],
  ["c.flw", { rd: 8, rs1: 15, imm: 124 }, 0x7fe0, "flw", { rd: 8, rs1: 15, imm: 124 }],
  ["c.flw", { rd: 9, rs1: 10, imm: 64 }, 0x6124, "flw", { rd: 9, rs1: 10, imm: 64 }],
  ["c.fsw", { rs2: 15, rs1: 8, imm: 4 }, 0xe05c, "fsw", { rs2: 15, rs1: 8, imm: 4 }],
  ["c.flwsp", { rd: 31, imm: 252 }, 0x7ffe, "flw", { rd: 31, rs1: 2, imm: 252 }],
  ["c.flwsp", { rd: 0, imm: 32 }, 0x7002, "flw", { rd: 0, rs1: 2, imm: 32 }],
  ["c.fswsp", { rs2: 1, imm: 64 }, 0xe086, "fsw", { rs2: 1, rs1: 2, imm: 64 }],
];
// Put together from the fields that chapter "Zfa" names: "encoded like …, but with …".
const ZFA_WORDS: Encoding[] = [
  ["fli.s", { rd: 1, imm: 16 }, 0xf01800d3],
  ["fli.d", { rd: 2, imm: 31 }, 0xf21f8153],
  ["fli.h", { rd: 3, imm: 2 }, 0xf41101d3],
  ["fminm.s", { rd: 1, rs1: 2, rs2: 3 }, 0x283120d3],
  ["fmaxm.d", { rd: 1, rs1: 2, rs2: 3 }, 0x2a3130d3],
  ["fminm.h", { rd: 1, rs1: 2, rs2: 3 }, 0x2c3120d3],
  ["fround.s", { rd: 1, rs1: 2, imm: RUP }, 0x404130d3],
  ["froundnx.d", { rd: 1, rs1: 2, imm: RNE }, 0x425100d3],
  ["fround.h", { rd: 1, rs1: 2, imm: DYNAMIC }, 0x444170d3],
  ["fleq.s", { rd: 1, rs1: 2, rs2: 3 }, 0xa03140d3],
  ["fltq.d", { rd: 1, rs1: 2, rs2: 3 }, 0xa23150d3],
  ["fcvtmod.w.d", { rd: 1, rs1: 2, imm: RTZ }, 0xc28110d3],
  ["fmvh.x.d", { rd: 1, rs1: 2 }, 0xe21100d3],
  ["fmvp.d.x", { rd: 1, rs1: 2, rs2: 3 }, 0xb23100d3],
];

test("instruction words are those of GNU as and of the manual's Zfa chapter", () => {
  for (const [name, operands, word] of [...ASSEMBLED, ...ASSEMBLED_SHORT, ...ZFA_WORDS]) {
    const pattern = readPattern(named(name));
    assert.equal(hex(BigInt(pattern.encode(operands))), hex(BigInt(word)), name);
    assert.deepEqual(pattern.operands(word), { ...pattern.operands(word), ...operands }, name);
  }
});

test("16-bit loads and stores expand to the 32-bit ones; those of singles exist on RV32 only", () => {
  for (const [name, , word, base, operands] of ASSEMBLED_SHORT) {
    const definition = named(name), expansion = definition.expand!(readPattern(definition).operands(word), 32);
    assert.equal(expansion.name, base);
    assert.deepEqual(expansion.operands, { ...expansion.operands, ...operands }, name);
    assert.equal(definition.xlen, base.endsWith("w") ? 32 : undefined, name);
    assert.deepEqual(definition.requires, [base.endsWith("w") ? "F" : "D"], name);
  }
});

test("no two instructions share an encoding", () => {
  const patterns = ALL.map((definition) => ({ ...readPattern(definition), definition }));
  for (const [k, a] of patterns.entries()) {
    for (const b of patterns.slice(k + 1)) {
      const isBoth = a.length === b.length && ((a.match ^ b.match) & a.mask & b.mask) === 0;
      const widths = a.definition.xlen === undefined || b.definition.xlen === undefined ||
        a.definition.xlen === b.definition.xlen;
      assert.ok(!isBoth || !widths, `${a.definition.name} and ${b.definition.name}`);
    }
  }
});

test("rounding modes 5 and 6 are reserved, and all but RTZ for FCVTMOD.W.D", () => {
  const withMode = ALL.filter(({ pattern, format }) => pattern.includes("sssssiiiddddd") && format !== "compressed");
  assert.equal(withMode.length, 3 * (4 + 1 + 4 + 8 + 2) + 6 + 1);
  for (const { name, valid } of withMode) {
    const modes = [0, 1, 2, 3, 4, 5, 6, 7].filter((imm) => valid!({ rd: 0, rs1: 0, rs2: 0, rs3: 0, imm }, 64));
    assert.deepEqual(modes, name === "fcvtmod.w.d" ? [RTZ] : [0, 1, 2, 3, 4, 7], name);
  }
});

test("every instruction first asks whether floating point is on, with operands known and not", () => {
  for (const definition of ALL.filter(({ semantics }) => semantics !== undefined)) {
    for (const xlen of definition.xlen === undefined ? [32, 64] as const : [definition.xlen]) {
      for (
        const [symbolic, operands] of [[true, FIELDS], [false, { rd: 1, rs1: 2, rs2: 3, rs3: 4, imm: 1 }]] as const
      ) {
        const builder = new Builder(xlen, symbolic);
        definition.semantics!(builder, operands);
        const [first, ...rest] = builder.statements;
        assert.ok(first?.kind === "call" && first.name === "floatEnabled", definition.name);
        assert.ok(rest.length > 0, definition.name);
      }
    }
  }
  const hart = new BareHart(), operands = { rd: 1, rs1: 2, rs2: 3, imm: 0 };
  hart.floatEnabled = false;
  assert.throws(() => new Evaluator(named("fadd.d"), 64, operands).run(hart), /illegal instruction/);
});

test("RV32 moves doubles by halves and converts words", () => {
  const run = (name: string, prepare: (hart: BareHart) => void) => {
    const hart = new BareHart();
    prepare(hart);
    new Evaluator(named(name), 32, { rd: 1, rs1: 2, rs2: 3, imm: 0 }).run(hart);
    return hart;
  };
  const bits = 0xfedc_ba98_8765_4321n;
  const put = (hart: BareHart) => hart.f[2] = bits;
  assert.equal(BigInt.asUintN(32, run("fmvh.x.d", put).x[1]!), bits >> 32n);
  assert.equal(BigInt.asUintN(32, run("fmv.x.w", put).x[1]!), bits & 0xffff_ffffn);
  const halves = (hart: BareHart) => {
    hart.x[2] = 0xffff_ffff_8765_4321n; // sign-extended, as RV32 registers are kept here
    hart.x[3] = 0xffff_ffff_fedc_ba98n;
  };
  assert.equal(run("fmvp.d.x", halves).f[1], bits);
  assert.equal(run("fcvt.d.wu", halves).f[1], bitsOfDouble(0x8765_4321));
  assert.equal(run("fcvt.d.w", halves).f[1], bitsOfDouble(0x8765_4321 | 0));
});

test("operations by number and name are the same list, without repetition", () => {
  assert.equal(new Set(FLOAT_OPERATIONS).size, FLOAT_OPERATIONS.length);
  FLOAT_OPERATIONS.forEach((name, number) => assert.equal(floatOperationNumber(name), number));
  assert.throws(() => floatOperationNumber("fadd.q"), /fadd\.q/);
});
