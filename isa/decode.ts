// From instruction bits to a table entry and its operands.

import { type Extension, type FloatRegisters, floatRegisters } from "./extensions.ts";
import { pairsAreEven } from "./float.ts";
import { floatOperands } from "./float_operands.ts";
import type { Xlen } from "./instruction.ts";
import type { Operands } from "./ir.ts";
import { type Instruction, instructionNamed, INSTRUCTIONS } from "./table.ts";

/** An instruction as it stands at some place in memory. Compressed ones come expanded. */
export interface Decoded {
  /** The instruction to execute: never a short form. */
  readonly instruction: Instruction;
  /** Its operands. */
  readonly operands: Operands;
  /** Length in memory in bytes. */
  readonly length: 2 | 4;
  /** The bits (unsigned). */
  readonly word: number;
  /** The table entry that the bits match: differs from `instruction` where that was expanded. */
  readonly encoded: Instruction;
}

/** True if the first halfword of an instruction says that it is 16 bits long. */
export function isCompressed(halfword: number): boolean {
  return (halfword & 3) !== 3;
}

/** Buckets that instructions are sorted into: 32 of compressed ones, 256 of others. */
const BUCKETS = 32 + 256;

/** The bucket of an instruction: by quadrant and funct3, or by bits 6:2 (opcode) and 14:12 (funct3). */
function bucketOf(bits: number): number {
  return isCompressed(bits) ? bits >>> 11 & 0x1c | bits & 3 : 32 + (bits << 1 & 0xf8 | bits >>> 12 & 7);
}

/** Decodes for one register width and set of extensions. */
export class Decoder {
  /** 32 or 64. */
  readonly xlen: Xlen;
  /** Whether instructions may lie on any halfword (IALIGN = 16). */
  readonly compressed: boolean;
  /** Whether floating-point operands are integer registers (Zfinx). */
  readonly floatsInX: boolean;
  readonly floats: FloatRegisters;
  /** The extensions whose instructions exist. */
  readonly extensions: ReadonlySet<Extension>;
  /** The instructions that exist here, bucket by bucket: see `bucketOf`. One that fits into several stands in each. */
  readonly #candidates: readonly Instruction[];
  /** Bits that each of them fixes, and their values: int32. */
  readonly #masks: Int32Array;
  readonly #matches: Int32Array;
  /** Where the candidates of a bucket begin; those of the next one follow. */
  readonly #starts = new Uint16Array(BUCKETS + 1);

  constructor(xlen: Xlen, extensions: ReadonlySet<Extension>) {
    this.xlen = xlen;
    this.compressed = extensions.has("Zca");
    this.floats = floatRegisters(extensions);
    this.floatsInX = this.floats !== "f";
    this.extensions = new Set(extensions);
    const buckets: Instruction[][] = Array.from({ length: BUCKETS }, () => []);
    for (const instruction of INSTRUCTIONS) {
      if (instruction.xlen !== undefined && instruction.xlen !== xlen) continue;
      if (!instruction.extensions.some((name) => extensions.has(name))) continue;
      if (instruction.requires?.some((name) => extensions.has(name)) === false) continue;
      const { mask, match } = instruction.encoding;
      // Those of a quadrant, or of an opcode, are the ones that it may be in.
      const isShort = isCompressed(match), first = bucketOf(match & (isShort ? 3 : 0x7f)), step = isShort ? 4 : 1;
      for (let funct3 = 0; funct3 < 8; funct3++) {
        const bits = funct3 << (isShort ? 13 : 12), fixed = 7 << (isShort ? 13 : 12);
        if (((bits ^ match) & mask & fixed) === 0) buckets[first + step * funct3]!.push(instruction);
      }
    }
    this.#candidates = buckets.flat();
    this.#masks = Int32Array.from(this.#candidates, ({ encoding }) => encoding.mask);
    this.#matches = Int32Array.from(this.#candidates, ({ encoding }) => encoding.match);
    buckets.forEach(({ length }, k) => this.#starts[k + 1] = this.#starts[k]! + length);
  }

  /**
   * Decodes the instruction whose bits are the low ones of `word`; null for an encoding that is reserved or belongs to
   * an extension that is off. The upper half is ignored where the lower one is a compressed instruction.
   */
  decode(word: number): Decoded | null {
    const bits = isCompressed(word) ? word & 0xffff : word | 0,
      bucket = bucketOf(bits),
      end = this.#starts[bucket + 1]!;
    for (let k = this.#starts[bucket]!; k < end; k++) {
      if ((bits & this.#masks[k]!) !== this.#matches[k]) continue;
      const encoded = this.#candidates[k]!, operands = encoded.encoding.operands(bits);
      if (encoded.valid !== undefined && !encoded.valid(operands, this.xlen)) continue;
      if (this.floatsInX && this.xlen === 32 && !pairsAreEven(encoded, operands)) continue;
      const decoded = this.#expanded(encoded, operands, bits >>> 0);
      if (this.extensions.has("E") && !hasLowRegisters(decoded, this.xlen)) continue;
      return decoded;
    }
    return null;
  }

  #expanded(encoded: Instruction, operands: Operands, word: number): Decoded {
    const { length } = encoded.encoding;
    if (encoded.expand === undefined) return { instruction: encoded, operands, length, word, encoded };
    const base = encoded.expand(operands, this.xlen);
    return {
      instruction: instructionNamed(base.name, this.xlen),
      operands: { rd: 0, rs1: 0, rs2: 0, rs3: 0, imm: 0, ...base.operands },
      length,
      word,
      encoded,
    };
  }
}

/** Whether all integer registers that an instruction names are among the 16 of RV32E and RV64E. */
function hasLowRegisters({ instruction, operands }: Decoded, xlen: Xlen): boolean {
  const { pattern, format } = instruction;
  // Lists that go past s1 are reserved.
  if (format === "stack") return operands.imm >> 2 <= 6;
  const isFloat = floatOperands(instruction, xlen), letters = pattern.toLowerCase();
  return ([["d", "rd"], ["s", "rs1"], ["t", "rs2"], ["r", "rs3"]] as const).every(([letter, field]) => {
    // The source of CSRRWI and its like is a number.
    if (!letters.includes(letter) || isFloat[field] || (field === "rs1" && format === "csri")) return true;
    return operands[field] < 16;
  });
}
