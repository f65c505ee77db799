// Records of decoded instructions: their form, and how they are made of instruction bits. A record depends on where its instruction lies
// only in the short form of a direct branch, so that what was decoded once is copied.

import { type Decoded, type Decoder, isCompressed } from "../isa/decode.ts";
import { type FloatOperands, floatOperands } from "../isa/float_operands.ts";
import type { Format } from "../isa/instruction.ts";
import type { Instruction } from "../isa/table.ts";
import { SINK } from "../hart/hart.ts";

/** Operation numbers that stand for no instruction. */
export const UNDECODED = 0, PAGE_END = 1, CROSSING = 2, ILLEGAL = 3, COMPILED = 4, BREAKPOINT = 5, SELF_JUMP = 6;
/** First number of the short forms of direct branches, whose targets lie in the same page. */
export const FIRST_OPERATION = 7;

/** Bytes of a record. */
export const RECORD_BYTES = 16;

/**
 * Where the fields of a record lie in it, in bytes. All have 16 bits but for the immediate, which has 32. Registers are offsets in
 * bytes in their register file; the destination x0 is `SINK`.
 */
export const FIELD = { operation: 0, rd: 2, rs1: 4, rs2: 6, immediate: 8, heat: 12, rs3: 14 } as const;

const HALVES = RECORD_BYTES / 2, WORDS = RECORD_BYTES / 4;

/** Bit of the field `rs3` that says that the instruction has two halfwords. */
export const IS_LONG = 0x8000;

/** Which operation numbers the interpreter gave to an instruction. */
export interface OperationNumbers {
  /** For any operands. */
  readonly general: number;
  /** For branches and jumps whose target is in the same page; equal to `general` for all others. */
  readonly near: number;
}

/** Whether an instruction jumps to itself and does nothing else. */
export function isSelfJump({ instruction, operands }: Pick<Decoded, "instruction" | "operands">): boolean {
  return instruction.name === "jal" && operands.imm === 0 && operands.rd === 0;
}

/** log2 of how many encodings are remembered, each in the place that its bits say. */
const BITS = 15;

/** Formats of the instructions after which execution may go on elsewhere. */
const ENDS: ReadonlySet<Format> = new Set(["branch", "jump", "jalr", "none", "stack", "table"]);

/** Bits of what is known of an encoding beside its record. */
const KNOWN = 1, ENDS_BLOCK = 2;

/** Makes records of instruction bits. */
export class RecordMaker {
  readonly #decoder: Decoder;
  readonly #numbers: (decoded: Decoded) => OperationNumbers;
  /** The encodings. */
  readonly #bits = new Int32Array(1 << BITS);
  /** Their records, of which the heat is 0. */
  readonly #words = new Int32Array(WORDS << BITS);
  readonly #halves = new Uint16Array(this.#words.buffer);
  /** KNOWN and ENDS_BLOCK. */
  readonly #flags = new Uint8Array(1 << BITS);
  /** Operation of the short form of a direct branch; 0 for all others. */
  readonly #near = new Uint16Array(1 << BITS);
  /** By instruction: which operands are f registers. */
  readonly #float: (FloatOperands | undefined)[] = [];

  /** `numbers` says which operation an instruction is. */
  constructor(decoder: Decoder, numbers: (decoded: Decoded) => OperationNumbers) {
    this.#decoder = decoder;
    this.#numbers = numbers;
  }

  /**
   * Fills a record from instruction bits, of which the upper half counts only where the lower one is no compressed instruction. `slot` is its
   * place in its page, -1 for none. The heat stays. True if execution goes on with the next record, unless something is raised.
   */
  put(words: Int32Array, halves: Uint16Array, record: number, word: number, slot: number): boolean {
    const bits = isCompressed(word) ? word & 0xffff : word | 0, k = Math.imul(bits, 0x9e3779b1) >>> 32 - BITS;
    if (this.#bits[k] !== bits || (this.#flags[k]! & KNOWN) === 0) this.#make(k, bits);
    const from = WORDS * k, to = WORDS * record, near = this.#near[k]!;
    let first = this.#words[from]!, immediate = this.#words[from + FIELD.immediate / 4]!;
    if (near !== 0 && slot >= 0) {
      const target = 2 * slot + immediate;
      if (target >= 0 && target < 4096) {
        first = first & ~0xffff | near;
        immediate >>= 1;
      }
    }
    words[to] = first;
    words[to + 1] = this.#words[from + 1]!;
    words[to + FIELD.immediate / 4] = immediate;
    halves[HALVES * record + FIELD.rs3 / 2] = this.#halves[HALVES * k + FIELD.rs3 / 2]!;
    return (this.#flags[k]! & ENDS_BLOCK) === 0;
  }

  /** Decodes what `put` is going to copy. */
  #make(k: number, bits: number): void {
    const decoded = this.#decoder.decode(bits);
    this.#bits[k] = bits;
    this.#near[k] = 0;
    if (decoded === null) {
      this.#flags[k] = KNOWN | ENDS_BLOCK;
      this.#fields(k, ILLEGAL, 0, 0, 0, 0, 0, isCompressed(bits) ? 2 : 4);
      return;
    }
    const { instruction, operands, length } = decoded, { general, near } = this.#numbers(decoded);
    const isFloat = this.#floatOperands(instruction), x = this.#decoder.xlen / 8, { rd, rs1, rs2, rs3, imm } = operands;
    this.#flags[k] = KNOWN | (ENDS.has(instruction.format) ? ENDS_BLOCK : 0);
    const stays = isSelfJump(decoded);
    if (near !== general && !stays && (imm & (this.#decoder.compressed ? 1 : 3)) === 0) this.#near[k] = near;
    this.#fields(
      k,
      stays ? SELF_JUMP : general,
      isFloat.rd ? 8 * rd : x * (rd === 0 ? SINK : rd),
      (isFloat.rs1 ? 8 : x) * rs1,
      (isFloat.rs2 ? 8 : x) * rs2,
      (isFloat.rs3 ? 8 : x) * rs3,
      imm,
      length,
    );
  }

  #fields(
    k: number,
    operation: number,
    rd: number,
    rs1: number,
    rs2: number,
    rs3: number,
    immediate: number,
    length: 2 | 4,
  ): void {
    const halves = this.#halves, at = HALVES * k;
    halves[at + FIELD.operation / 2] = operation;
    halves[at + FIELD.rd / 2] = rd;
    halves[at + FIELD.rs1 / 2] = rs1;
    halves[at + FIELD.rs2 / 2] = rs2;
    halves[at + FIELD.rs3 / 2] = rs3 | (length === 4 ? IS_LONG : 0);
    this.#words[WORDS * k + FIELD.immediate / 4] = immediate;
  }

  #floatOperands(instruction: Instruction): FloatOperands {
    return this.#float[instruction.id] ??= floatOperands(instruction, this.#decoder.xlen, this.#decoder.floats);
  }
}
