// What the definitions of F, D, Zfh and Zfa share: the formats, NaN boxing in IR, the numbered operations that the hart
// does for them, and the shapes of instruction that exist once per format.
//
// Zfinx, Zdinx, Zhinx and Zhinxmin have the same instructions on integer registers, where nothing is boxed (chapter "Zfinx"):
// values are boxed on the way to an operation, and results sign-extended. On RV32 a double is in a pair of registers.

import type { Extension } from "./extensions.ts";
import type { Definition, Format, Xlen } from "./instruction.ts";
import type { Builder, MemoryType, Operands, Value } from "./ir.ts";

/** A floating-point format as instructions name it. */
export interface FloatFormat {
  /** Suffix of mnemonics. */
  readonly suffix: "h" | "s" | "d";
  /** Width in bits. */
  readonly width: 16 | 32 | 64;
  /** The `fmt` field (unprivileged manual, chapter "F", table "Format field encoding"). */
  readonly fmt: "00" | "01" | "10";
  /** funct3 of its loads and stores. */
  readonly funct3: string;
  /** How it lies in memory. */
  readonly memory: MemoryType;
  /** The extension that brings its arithmetic. */
  readonly extension: Extension;
}

/** Half, single and double precision. */
export const H: FloatFormat = {
    suffix: "h",
    width: 16,
    fmt: "10",
    funct3: "001",
    memory: "u16",
    extension: "Zfh",
  },
  S: FloatFormat = { suffix: "s", width: 32, fmt: "00", funct3: "010", memory: "i32", extension: "F" },
  D: FloatFormat = { suffix: "d", width: 64, fmt: "01", funct3: "011", memory: "i64", extension: "D" };

const FORMATS: Readonly<Record<string, FloatFormat>> = { h: H, s: S, d: D };
const SUFFIXES = Object.keys(FORMATS);

/** What brings an extension's instructions on integer registers. */
const ON_INTEGER_REGISTERS: Partial<Record<Extension, Extension>> = {
  F: "Zfinx",
  D: "Zdinx",
  Zfh: "Zhinx",
  Zfhmin: "Zhinxmin",
};
const INTEGERS = [
  { suffix: "w", rs2: "00000", narrow: true },
  { suffix: "wu", rs2: "00001", narrow: true },
  { suffix: "l", rs2: "00010", narrow: false },
  { suffix: "lu", rs2: "00011", narrow: false },
] as const;

/**
 * Operations of the hart call `float`, by number: mnemonics of the instructions that they are. Operands and results are whole
 * registers: NaN-boxed for narrow formats, 64 bits sign-extended for integers. `fmadd` and its like take rs1, rs2, rs3 as a, b,
 * c; `fli` takes the number of the constant as a.
 */
export const FLOAT_OPERATIONS: readonly string[] = [
  ...[
    ..."fadd fsub fmul fdiv fsqrt fmadd fmsub fnmsub fnmadd fmin fmax fminm fmaxm feq flt fle fltq fleq".split(" "),
    ..."fclass fround froundnx fli".split(" "),
  ].flatMap((name) => SUFFIXES.map((suffix) => `${name}.${suffix}`)),
  ...SUFFIXES.flatMap((to) => SUFFIXES.filter((from) => from !== to).map((from) => `fcvt.${to}.${from}`)),
  ...SUFFIXES.flatMap((x) => INTEGERS.flatMap(({ suffix }) => [`fcvt.${suffix}.${x}`, `fcvt.${x}.${suffix}`])),
  "fcvtmod.w.d",
];

const numbers = new Map(FLOAT_OPERATIONS.map((name, number) => [name, number]));

/** Number of an operation in FLOAT_OPERATIONS. Throws if there is none: names come from the instruction table. */
export function floatOperationNumber(name: string): number {
  const number = numbers.get(name);
  if (number === undefined) throw new Error(`no floating-point operation ${name}`);
  return number;
}

// Values.

/** A register, or on RV32 with Zdinx the pair that begins with it, as an i64. */
function whole(b: Builder, register: number): Value {
  if (!b.floatsInX) return b.f(register);
  if (b.xlen === 64) return b.x(register);
  return b.or(b.zeroExtend64(b.x(register)), b.shl(b.zeroExtend64(b.xAfter(register)), b.i32(32)));
}

/** A format's bits in a register, without looking at the box: an i32 (upper half unspecified for H), an i64 for D. */
export function rawBits(b: Builder, format: FloatFormat, register: number): Value {
  if (format === D) return whole(b, register);
  return b.floatsInX ? b.w(register) : b.wrap(b.f(register));
}

/** An operand of a numbered operation: NaN-boxed where its format is narrower than 64 bits. */
function operand(b: Builder, format: FloatFormat, register: number): Value {
  if (format === D || !b.floatsInX) return whole(b, register);
  return boxed(b, format, format === H ? b.zeroExtend16(b.w(register)) : b.w(register));
}

/** Sets a register to a NaN-boxed i64, which only f registers hold as it is. */
function setFloat(b: Builder, format: FloatFormat, register: number, value: Value): void {
  if (!b.floatsInX) return b.setF(register, value);
  if (format === D) {
    if (b.xlen === 64) return b.setX(register, value);
    const both = b.let(value);
    b.setXAfter(register, b.wrap(b.shrUnsigned(both, b.i32(32))));
    b.setX(register, b.wrap(both));
  } else b.setX(register, format === H ? b.signExtend16(b.wrap(value)) : b.wrap(value));
}

/**
 * A format's bits in a register, or the canonical NaN where the box is not all ones (unprivileged manual, chapter "D",
 * section "NaN Boxing of Narrower Values"): an i32, sign-extended for H, an i64 for D.
 */
function unboxed(b: Builder, format: FloatFormat, register: number): Value {
  if (format === D || b.floatsInX) return rawBits(b, format, register);
  const all = b.f(register), bits = b.wrap(all);
  const isBoxed = b.eq(b.shrSigned(all, b.i32(format.width)), b.i64(-1, -1));
  return format === H
    ? b.select(isBoxed, b.signExtend16(bits), b.i32(0x7e00))
    : b.select(isBoxed, bits, b.i32(0x7fc0_0000));
}

/** The bits of a format as a register holds them, with ones above: an i64. `bits` of H must be zero-extended. */
export function boxed(b: Builder, format: FloatFormat, bits: Value): Value {
  if (format === D) return bits;
  return b.or(b.zeroExtend64(bits), b.i64(format === H ? -0x1_0000 : 0, -1));
}

/** Does a numbered operation. */
export function float(b: Builder, name: string, mode: Value, ...operands: Value[]): Value {
  const [first = b.i64(0, 0), second = b.i64(0, 0), third = b.i64(0, 0)] = operands;
  return b.call("float", "i64", b.i32(floatOperationNumber(name)), mode, first, second, third);
}

// Definitions.

/** What else a definition may say. */
export type More = Partial<Pick<Definition, "extensions" | "requires" | "xlen" | "valid" | "immediate">>;

/** The rounding modes 5 and 6 are reserved; 7 is "that in frm" (chapter "F", table "Rounding mode encoding"). */
function validMode(i: Operands): boolean {
  return i.imm !== 5 && i.imm !== 6;
}

/** Register operands of each assembly format that are floating-point. */
const FLOAT_FIELDS: Partial<Record<Format, readonly ("rd" | "rs1" | "rs2" | "rs3")[]>> = {
  R4: ["rd", "rs1", "rs2", "rs3"],
  fR: ["rd", "rs1", "rs2"],
  fR1: ["rd", "rs1"],
  fsign: ["rd", "rs1", "rs2"],
  fcmp: ["rs1", "rs2"],
  fcvtx: ["rs1"],
  fcvtf: ["rd"],
  fmvx: ["rs1"],
};

/** Whether no odd register would begin the pair that is a double with Zdinx on RV32. */
export function pairsAreEven({ name, format }: Pick<Definition, "name" | "format">, i: Operands): boolean {
  const parts = name.split("."), result = parts[1], source = parts.at(-1);
  return (FLOAT_FIELDS[format] ?? []).every((field) => {
    return (field === "rd" ? result : source) !== "d" || (i[field] & 1) === 0;
  });
}

/**
 * An instruction that needs floating point to be on, and exists on integer registers, too, unless `more` names the extensions. Its
 * rounding mode, where it has one, is the immediate.
 */
export function define(
  name: string,
  extension: Extension,
  format: Format,
  pattern: string,
  semantics: (b: Builder, i: Operands) => void,
  more: More = {},
): Definition {
  const hasMode = ["R4", "fR", "fR1", "fcvtx", "fcvtf"].includes(format), inX = ON_INTEGER_REGISTERS[extension];
  return {
    name,
    extensions: inX === undefined ? [extension] : [extension, inX],
    format,
    pattern,
    ...(hasMode ? { valid: validMode } : {}),
    semantics: (b, i) => {
      if (!b.floatsInX) b.call("floatEnabled", null);
      else if (b.asksForFloats) b.call("floatAllowed", null);
      semantics(b, i);
    },
    ...more,
  };
}

/** Registers that a floating-point operation reads, in the order of its operands. Their format ends its name. */
function sources(b: Builder, i: Operands, name: string, count: number): Value[] {
  const format = FORMATS[name.split(".").at(-1)!]!;
  return [i.rs1, i.rs2, i.rs3].slice(0, count).map((register) => operand(b, format, register));
}

/** The format that comes first in a name: that of the result. */
function resultFormat(name: string): FloatFormat {
  return FORMATS[name.split(".")[1]!]!;
}

/** Rounded operation on `count` f registers into an f register. `pattern` begins with bits 31:20 or less. */
export function rounded(
  name: string,
  extension: Extension,
  pattern: string,
  count: 1 | 2 | 3,
  more: More = {},
): Definition {
  return define(name, extension, count === 3 ? "R4" : count === 2 ? "fR" : "fR1", pattern, (b, i) => {
    setFloat(b, resultFormat(name), i.rd, float(b, name, b.imm32(i), ...sources(b, i, name, count)));
  }, more);
}

/** Operation on two f registers that rounds nothing, into an f register. */
export function choice(
  name: string,
  extension: Extension,
  format: FloatFormat,
  funct3: string,
  more: More = {},
): Definition {
  return define(name, extension, "fsign", `00101${format.fmt}tttttsssss${funct3}ddddd1010011`, (b, i) => {
    setFloat(b, format, i.rd, float(b, name, b.i32(0), ...sources(b, i, name, 2)));
  }, more);
}

/** Comparison of two f registers into an x register. */
export function comparison(
  name: string,
  extension: Extension,
  format: FloatFormat,
  funct3: string,
  more: More = {},
): Definition {
  return define(name, extension, "fcmp", `10100${format.fmt}tttttsssss${funct3}ddddd1010011`, (b, i) => {
    b.setX(i.rd, b.wrap(float(b, name, b.i32(0), ...sources(b, i, name, 2))));
  }, more);
}

/** Conversion from one floating-point format to another. */
export function conversion(to: FloatFormat, from: FloatFormat, extension: Extension, more: More = {}): Definition {
  const source = { h: "00010", s: "00000", d: "00001" }[from.suffix];
  return rounded(
    `fcvt.${to.suffix}.${from.suffix}`,
    extension,
    `01000${to.fmt}${source}sssssiiiddddd1010011`,
    1,
    more,
  );
}

/** Sign injection: FSGNJ, FSGNJN, FSGNJX. */
function signInjection(
  x: FloatFormat,
  name: string,
  funct3: string,
  f: (b: Builder, sign: Value, a: Value) => Value,
): Definition {
  return define(`${name}.${x.suffix}`, x.extension, "fsign", `00100${x.fmt}tttttsssss${funct3}ddddd1010011`, (b, i) => {
    const a = unboxed(b, x, i.rs1), c = unboxed(b, x, i.rs2);
    const mask = x === D ? b.i64(0, 1 << 31) : b.i32(x === H ? 0x8000 : 1 << 31);
    // The sign bit to inject, which FSGNJX takes from both, then all else from the first operand.
    const sign = b.and(f(b, c, a), mask);
    const rest = b.and(a, x === D ? b.i64(-1, 0x7fff_ffff) : b.i32(x === H ? 0x7fff : 0x7fff_ffff));
    const result = b.or(rest, sign);
    if (!b.floatsInX) b.setF(i.rd, boxed(b, x, result));
    else if (x === D) setFloat(b, x, i.rd, result);
    // Sign-extended as it is: so is `unboxed`, and the sign of a half may be above.
    else b.setX(i.rd, x === H ? b.signExtend16(result) : result);
  });
}

/** Load and store. */
export function memory(x: FloatFormat, extension: Extension): Definition[] {
  const letter = { h: "h", s: "w", d: "d" }[x.suffix];
  return [
    define(`fl${letter}`, extension, "fload", `iiiiiiiiiiiisssss${x.funct3}ddddd0000111`, (b, i) => {
      b.setF(i.rd, boxed(b, x, b.load(x.memory, b.address(i))));
    }, { extensions: [extension], immediate: "-11:0" }),
    define(`fs${letter}`, extension, "fstore", `iiiiiiitttttsssss${x.funct3}iiiii0100111`, (b, i) => {
      b.store(x.memory, b.address(i), rawBits(b, x, i.rs2));
    }, { extensions: [extension], immediate: "-11:5|4:0" }),
  ];
}

/** Moves of bits between x and f registers, FMV.X.fmt and FMV.fmt.X, which know nothing of boxes on the way to x. */
export function moves(x: FloatFormat, extension: Extension): Definition[] {
  const letter = { h: "h", s: "w", d: "d" }[x.suffix];
  const only = { extensions: [extension], ...(x === D ? { xlen: 64 as Xlen } : {}) };
  return [
    define(`fmv.x.${letter}`, extension, "fmvx", `11100${x.fmt}00000sssss000ddddd1010011`, (b, i) => {
      const bits = rawBits(b, x, i.rs1);
      b.setX(i.rd, x === H ? b.signExtend16(bits) : bits);
    }, only),
    define(`fmv.${letter}.x`, extension, "fmvf", `11110${x.fmt}00000sssss000ddddd1010011`, (b, i) => {
      const bits = x === D ? b.x(i.rs1) : x === H ? b.zeroExtend16(b.w(i.rs1)) : b.w(i.rs1);
      b.setF(i.rd, boxed(b, x, bits));
    }, only),
  ];
}

/** What exists for every format that can be computed with, but for loads, stores, moves and conversions between formats. */
export function computational(x: FloatFormat): Definition[] {
  const { suffix, fmt, extension } = x;
  const named = (name: string) => `${name}.${suffix}`;
  return [
    ...[["fadd", "00000"], ["fsub", "00001"], ["fmul", "00010"], ["fdiv", "00011"]].map(([name, funct5]) =>
      rounded(named(name!), extension, `${funct5}${fmt}tttttsssssiiiddddd1010011`, 2)
    ),
    rounded(named("fsqrt"), extension, `01011${fmt}00000sssssiiiddddd1010011`, 1),
    ...[["fmadd", "1000011"], ["fmsub", "1000111"], ["fnmsub", "1001011"], ["fnmadd", "1001111"]].map(
      ([name, opcode]) => rounded(named(name!), extension, `rrrrr${fmt}tttttsssssiiiddddd${opcode}`, 3),
    ),
    signInjection(x, "fsgnj", "000", (_, sign) => sign),
    signInjection(x, "fsgnjn", "001", (b, sign) => b.not(sign)),
    signInjection(x, "fsgnjx", "010", (b, sign, a) => b.xor(sign, a)),
    choice(named("fmin"), extension, x, "000"),
    choice(named("fmax"), extension, x, "001"),
    comparison(named("fle"), extension, x, "000"),
    comparison(named("flt"), extension, x, "001"),
    comparison(named("feq"), extension, x, "010"),
    define(named("fclass"), extension, "fmvx", `11100${fmt}00000sssss001ddddd1010011`, (b, i) => {
      b.setX(i.rd, b.wrap(float(b, named("fclass"), b.i32(0), operand(b, x, i.rs1))));
    }),
    ...INTEGERS.flatMap(({ suffix: integer, rs2, narrow }): Definition[] => {
      const only = narrow ? {} : { xlen: 64 as Xlen };
      const to = `fcvt.${integer}.${suffix}`, from = `fcvt.${suffix}.${integer}`;
      return [
        define(to, extension, "fcvtx", `11000${fmt}${rs2}sssssiiiddddd1010011`, (b, i) => {
          const result = float(b, to, b.imm32(i), operand(b, x, i.rs1));
          b.setX(i.rd, narrow ? b.wrap(result) : result);
        }, only),
        define(from, extension, "fcvtf", `11010${fmt}${rs2}sssssiiiddddd1010011`, (b, i) => {
          const source = narrow ? b.signExtend64(b.w(i.rs1)) : b.x(i.rs1);
          setFloat(b, x, i.rd, float(b, from, b.imm32(i), source));
        }, only),
      ];
    }),
  ];
}
