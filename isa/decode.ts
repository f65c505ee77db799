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

/** So many encodings are remembered. */
const MOST_KNOWN = 1 << 17;

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
  /** The instructions that exist here, by bits 6:2 (32-bit) or by quadrant and funct3 (16-bit). */
  #words: Instruction[][] = Array.from({ length: 32 }, () => []);
  #halfwords: Instruction[][] = Array.from({ length: 32 }, () => []);
  /** What was decoded before, by its bits. */
  readonly #known = new Map<number, Decoded | null>();

  constructor(xlen: Xlen, extensions: ReadonlySet<Extension>) {
    this.xlen = xlen;
    this.compressed = extensions.has("Zca");
    this.floats = floatRegisters(extensions);
    this.floatsInX = this.floats !== "f";
    this.extensions = new Set(extensions);
    for (const instruction of INSTRUCTIONS) {
      if (instruction.xlen !== undefined && instruction.xlen !== xlen) continue;
      if (!instruction.extensions.some((name) => extensions.has(name))) continue;
      if (instruction.requires?.some((name) => extensions.has(name)) === false) continue;
      const { length, mask, match } = instruction.encoding;
      if (length === 4) this.#words[(match >>> 2) & 31]!.push(instruction);
      else {
        for (let bucket = 0; bucket < 32; bucket++) {
          const bits = (bucket >>> 2) << 13 | (bucket & 3);
          if (((bits ^ match) & mask & 0xe003) === 0) this.#halfwords[bucket]!.push(instruction);
        }
      }
    }
  }

  /**
   * Decodes the instruction whose bits are the low ones of `word`; null for an encoding that is reserved or belongs to
   * an extension that is off. The upper half is ignored where the lower one is a compressed instruction.
   */
  decode(word: number): Decoded | null {
    const compressed = isCompressed(word), bits = compressed ? word & 0xffff : word >>> 0;
    let decoded = this.#known.get(bits);
    if (decoded === undefined) {
      if (this.#known.size === MOST_KNOWN) this.#known.clear();
      this.#known.set(bits, decoded = this.#decode(bits, compressed));
    }
    return decoded;
  }

  #decode(bits: number, compressed: boolean): Decoded | null {
    const bucket = compressed ? this.#halfwords[(bits >>> 13) << 2 | (bits & 3)]! : this.#words[(bits >>> 2) & 31]!;
    for (const encoded of bucket) {
      const { mask, match, length } = encoded.encoding;
      if (((bits & mask) >>> 0) !== match) continue;
      const operands = encoded.encoding.operands(bits);
      if (encoded.valid !== undefined && !encoded.valid(operands, this.xlen)) continue;
      if (this.floatsInX && this.xlen === 32 && !pairsAreEven(encoded, operands)) continue;
      const decoded = this.#expanded(encoded, operands, length, bits);
      if (this.extensions.has("E") && !hasLowRegisters(decoded, this.xlen)) continue;
      return decoded;
    }
    return null;
  }

  #expanded(encoded: Instruction, operands: Operands, length: 2 | 4, word: number): Decoded {
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
