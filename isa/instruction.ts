// What one entry of the instruction table holds, and how its pattern string is read.

import type { Builder, Operands } from "./ir.ts";
import type { Extension } from "./extensions.ts";

/** Register width of a hart in bits. */
export type Xlen = 32 | 64;

/**
 * Assembly formats: which operands stand in the text and in which order. Names of the manual's formats where the manual
 * has one (unprivileged manual, chapter "RV32I", section "Base Instruction Formats", and chapter "C").
 */
export type Format =
  | "R" // rd, rs1, rs2
  | "R1" // rd, rs1
  | "I" // rd, rs1, imm
  | "shift" // rd, rs1, shamt
  | "load" // rd, imm(rs1)
  | "store" // rs2, imm(rs1)
  | "branch" // rs1, rs2, target
  | "upper" // rd, imm >> 12
  | "jump" // rd, target
  | "jalr" // rd, imm(rs1)
  | "csr" // rd, csr, rs1
  | "csri" // rd, csr, uimm5
  | "fence" // pred, succ
  | "none"
  | "amo" // rd, rs2, (rs1)
  | "lr" // rd, (rs1)
  | "cbo" // (rs1)
  | "Rbs" // rd, rs1, rs2, number of a byte (imm)
  | "fload" // fd, imm(rs1)
  | "fstore" // fs2, imm(rs1)
  | "R4" // fd, fs1, fs2, fs3, rounding mode (imm)
  | "fR" // fd, fs1, fs2, rounding mode (imm)
  | "fR1" // fd, fs1, rounding mode (imm)
  | "fsign" // fd, fs1, fs2
  | "fcmp" // rd, fs1, fs2
  | "fcvtx" // rd, fs1, rounding mode (imm)
  | "fcvtf" // fd, rs1, rounding mode (imm)
  | "fmvx" // rd, fs1
  | "fmvf" // fd, rs1
  | "fmvp" // fd, rs1, rs2
  | "fli" // fd, number of a constant (imm)
  | "stack" // {register list}, stack adjustment (both imm)
  | "saved" // rs1, rs2
  | "table" // imm
  | "compressed"; // shown as what it expands to

/** Base instruction that a compressed one stands for, with its operands. */
export interface Expansion {
  /** Mnemonic of the base instruction. */
  readonly name: string;
  /** Operands of the base instruction; those left out are 0. */
  readonly operands: Partial<Operands>;
}

/** One instruction: everything that is known about it. */
export interface Definition {
  /** Mnemonic. */
  readonly name: string;
  /** Extensions of which any one brings this instruction. */
  readonly extensions: readonly Extension[];
  /** Extensions of which one must be there besides, such as that of the instruction which a compressed one stands for. */
  readonly requires?: readonly Extension[];
  /** The only register width that has it; both where absent. */
  readonly xlen?: Xlen;
  /** Shape of its assembly text. */
  readonly format: Format;
  /**
   * The manual's encoding, most significant bit first, 32 or 16 characters: `0`, `1`, `-` (ignored), and the fields `d`
   * (rd), `s` (rs1), `t` (rs2), `r` (rs3), `i` (immediate). A register field of three bits names x8 to x15, or with a capital
   * letter the saved registers s0 to s7; one of two characters does not exist.
   */
  readonly pattern: string;
  /**
   * Which bits of the immediate the `i`s are, from left to right, as the manual writes them: `"12|10:5|4:1|11"`. A leading
   * `-` means that the highest one is a sign. Absent: consecutive, unsigned.
   */
  readonly immediate?: string;
  /** False for operands that make the encoding reserved or another instruction's. */
  readonly valid?: (i: Operands, xlen: Xlen) => boolean;
  /** What it does. */
  readonly semantics?: (b: Builder, i: Operands) => void;
  /** What it stands for, for compressed instructions that are short forms. */
  readonly expand?: (i: Operands, xlen: Xlen) => Expansion;
}

/** One run of bits of a field: `width` bits at `from` in the instruction go to `to` in the operand. */
interface Slice {
  readonly from: number;
  readonly to: number;
  readonly mask: number;
}

/** Where an instruction names a register, of which it holds the number less an offset. */
interface RegisterField {
  readonly from: number;
  /** 0 where it names none. */
  readonly mask: number;
  readonly offset: number;
  /** It is one of the saved registers. */
  readonly saved: boolean;
}

/** A pattern string made ready for matching and for taking operands out. */
export interface Pattern {
  /** Length of the instruction in bytes: 2 or 4. */
  readonly length: 2 | 4;
  /** Bits that the pattern fixes (unsigned). */
  readonly mask: number;
  /** Value of the fixed bits (unsigned). */
  readonly match: number;
  /** Takes the operands out of an instruction word that matches. */
  readonly operands: (word: number) => Operands;
  /** Puts operands into an instruction word (the inverse, for assembling tests and documentation). */
  readonly encode: (operands: Partial<Operands>) => number;
}

function bitOrder(immediate: string | undefined, count: number): { order: number[]; signBit: number } {
  if (immediate === undefined) return { order: Array.from({ length: count }, (_, k) => count - 1 - k), signBit: -1 };
  const signed = immediate.startsWith("-");
  const order: number[] = [];
  for (const run of (signed ? immediate.slice(1) : immediate).split("|")) {
    const [high, low = high] = run.split(":").map(Number);
    for (let bit = high!; bit >= low!; bit--) order.push(bit);
  }
  if (order.length !== count) throw new Error(`immediate ${immediate} has ${order.length} bits, the pattern ${count}`);
  return { order, signBit: signed ? Math.max(...order) : -1 };
}

function slicesOf(pattern: string, letter: string, order: number[]): Slice[] {
  const slices: { from: number; to: number; width: number }[] = [];
  let seen = 0;
  for (let k = 0; k < pattern.length; k++) {
    if (pattern[k] !== letter) continue;
    const from = pattern.length - 1 - k, to = order[seen++]!, last = slices.at(-1);
    if (last !== undefined && last.from === from + 1 && last.to === to + 1) {
      last.from = from, last.to = to, last.width++;
    } else slices.push({ from, to, width: 1 });
  }
  return slices.map(({ from, to, width }) => ({ from, to, mask: width === 32 ? -1 : (1 << width) - 1 }));
}

/** Reads the pattern string of a definition. Throws if it is malformed: that is a bug of the table. */
export function readPattern(definition: Pick<Definition, "name" | "pattern" | "immediate">): Pattern {
  const { pattern } = definition;
  if (!/^([01dstSTri-]{16}|[01dstri-]{32})$/.test(pattern)) {
    throw new Error(`${definition.name}: bad pattern ${pattern}`);
  }
  let mask = 0, match = 0;
  for (const c of pattern) {
    mask = (mask << 1) | (c === "0" || c === "1" ? 1 : 0);
    match = (match << 1) | (c === "1" ? 1 : 0);
  }
  const count = (letter: string) => pattern.split(letter).length - 1;
  const { order, signBit } = bitOrder(definition.immediate, count("i"));
  const register = (small: string) => {
    const letter = pattern.includes(small.toUpperCase()) ? small.toUpperCase() : small, width = count(letter);
    // The bits of a register are consecutive.
    const from = pattern.length - 1 - pattern.lastIndexOf(letter) & 31;
    return { from, mask: (1 << width) - 1, offset: width === 3 ? 8 : 0, saved: letter !== small };
  };
  const fields = { rd: register("d"), rs1: register("s"), rs2: register("t"), rs3: register("r") };
  const immediate = slicesOf(pattern, "i", order);
  const take = (word: number, { from, mask, offset, saved }: RegisterField) => {
    const value = (word >>> from & mask) + offset;
    // s0 and s1 are x8 and x9, s2 to s7 x18 to x23.
    return saved && value > 9 ? value + 8 : value;
  };
  const signShift = signBit < 0 ? 0 : 31 - signBit;
  return {
    length: pattern.length === 16 ? 2 : 4,
    mask: mask >>> 0,
    match: match >>> 0,
    operands: (word) => {
      let imm = 0;
      for (let k = 0; k < immediate.length; k++) {
        const { from, to, mask } = immediate[k]!;
        imm |= (word >>> from & mask) << to;
      }
      const { rd, rs1, rs2, rs3 } = fields;
      return {
        rd: take(word, rd),
        rs1: take(word, rs1),
        rs2: take(word, rs2),
        rs3: take(word, rs3),
        imm: imm << signShift >> signShift,
      };
    },
    encode: (o) => {
      let word = match;
      for (const { from, to, mask } of immediate) word |= ((o.imm ?? 0) >>> to & mask) << from;
      for (const key of ["rd", "rs1", "rs2", "rs3"] as const) {
        const { from, mask, offset, saved } = fields[key], value = o[key] ?? offset;
        word |= ((saved && value > 9 ? value - 8 : value) - offset & mask) << from;
      }
      return word >>> 0;
    },
  };
}
