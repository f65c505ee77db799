// Decoded instructions, kept page by page in typed arrays: what the interpreter runs over.
//
// A page of physical memory has a record for each halfword of it, and one more at the end that leads to the next page.
// Records hold nothing that depends on the virtual address, so that every mapping of a page shares them.

import { type Decoded, type Decoder, isCompressed } from "../isa/decode.ts";
import { type FloatOperands, floatOperands } from "../isa/float_operands.ts";
import type { Instruction } from "../isa/table.ts";
import { type ExecutableMemory, LINE_SHIFT, type PhysicalMemory, WATCH } from "../hart/memory.ts";
import { SINK } from "../hart/hart.ts";
import type { AddressSet } from "./breakpoints.ts";
import type { CodeHooks } from "./code_hooks.ts";

/** Records of a page: one per halfword, and the end. */
export const PAGE_RECORDS = 2049;

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

/** A page with decoded instructions. */
interface Page {
  /** First record. */
  readonly base: number;
  /** Physical address. */
  readonly physical: number;
  readonly memory: ExecutableMemory;
  /** Not all of it may be executed: nothing decoded is kept, so that each fetch is checked. */
  readonly checked: boolean;
}

/** Whether an instruction jumps to itself and does nothing else. */
export function isSelfJump({ instruction, operands }: Pick<Decoded, "instruction" | "operands">): boolean {
  return instruction.name === "jal" && operands.imm === 0 && operands.rd === 0;
}

/** The records and what leads to them. */
export class DecodeCache {
  /** Pages that fit. */
  readonly capacity: number;
  /**
   * The records, one after another: see `FIELD`. The operation is its number, the heat how often the record was jumped to, the immediate
   * of near branches the distance in records.
   */
  readonly words: Int32Array;
  /** The same by halfwords. */
  readonly halves: Uint16Array;

  /** Record for an instruction that lies across two pages, filled each time. */
  readonly scratch: number;
  #decoder: Decoder;
  #memory: PhysicalMemory;
  #numbers: (decoded: Decoded) => OperationNumbers;
  #pages: (Page | undefined)[];
  #byPhysical = new Map<number, Page>();
  #used = 0;
  #watchBit: number;
  /** Bytes of an x register. */
  #registerBytes: number;
  /** By instruction: which operands are f registers. */
  #float: (FloatOperands | undefined)[] = [];
  /** Physical addresses at which execution may stop. Flush the cache after a change. */
  breakpoints: AddressSet = new Set<number>();
  /** How many compiled regions are entered at a physical address. */
  readonly compiled = new Map<number, number>();
  /** Hooks on instructions; null if there are none. */
  hooks: CodeHooks | null = null;
  /** Called when the pages are thrown away: whoever remembers records must forget them. */
  onFlush: () => void = () => {};

  /** `numbers` says which operation an instruction is, `watchBit` how lines of which something is decoded are marked. */
  constructor(
    decoder: Decoder,
    memory: PhysicalMemory,
    numbers: (decoded: Decoded) => OperationNumbers,
    capacity = 1024,
    watchBit: number = WATCH.decoded,
  ) {
    this.#watchBit = watchBit;
    this.#decoder = decoder;
    this.#memory = memory;
    this.#numbers = numbers;
    this.capacity = capacity;
    this.#registerBytes = decoder.xlen / 8;
    this.scratch = capacity * PAGE_RECORDS;
    this.words = memory.ram.words((this.scratch + 4) * WORDS);
    this.halves = new Uint16Array(this.words.buffer, this.words.byteOffset, 2 * this.words.length);
    this.#pages = new Array(capacity).fill(undefined);
  }

  /**
   * First record of the page at a physical address (a multiple of 4096), or -1 if nothing there can be executed. `checked`:
   * fetches from it may be refused.
   */
  pageAt(physical: number, checked = false): number {
    const key = checked ? physical + 1 : physical, known = this.#byPhysical.get(key);
    if (known !== undefined) return known.base;
    const memory = this.#memory.executable(physical);
    if (memory === null) return -1;
    if (this.#used === this.capacity) this.flush();
    const base = this.#used * PAGE_RECORDS;
    const page: Page = { base, physical, memory, checked };
    this.#pages[this.#used++] = page;
    this.#byPhysical.set(key, page);
    this.setOperation(base + PAGE_RECORDS - 1, PAGE_END);
    return base;
  }

  /** Physical address that a record stands for. */
  physicalOf(record: number): number {
    const page = this.#pages[(record / PAGE_RECORDS) | 0]!;
    return page.physical + 2 * (record - page.base);
  }

  /** Decodes the instruction of a record. */
  fill(record: number): void {
    const page = this.#pages[(record / PAGE_RECORDS) | 0]!;
    const slot = record - page.base, { bytes, offset, isRam } = page.memory;
    const at = offset + 2 * slot;
    const low = bytes[at]! | bytes[at + 1]! << 8;
    let word = low;
    if (isRam) this.#watch(at);
    if (this.breakpoints.has(page.physical + 2 * slot)) {
      this.setOperation(record, BREAKPOINT);
      return;
    }
    if (page.checked) {
      this.setOperation(record, CROSSING);
      return;
    }
    // Compiled code has the hooks in it.
    if (this.compiled.has(page.physical + 2 * slot)) {
      this.setOperation(record, COMPILED);
      return;
    }
    if (this.hooks !== null && this.#isHooked(page, slot)) {
      this.setOperation(record, BREAKPOINT);
      return;
    }
    if (!isCompressed(low)) {
      if (slot === 2047) {
        this.setOperation(record, CROSSING);
        return;
      }
      word |= bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
      if (isRam) this.#watch(at + 2);
    }
    this.put(record, word, slot);
  }

  /** Whether the instruction of a halfword of a page is one for hooks. Of one that lies in two pages nothing but its address counts. */
  #isHooked(page: Page, slot: number): boolean {
    const { bytes, offset } = page.memory, at = offset + 2 * slot;
    return this.hooks!.mayConcern(page.physical + 2 * slot, () => {
      const low = bytes[at]! | bytes[at + 1]! << 8;
      if (isCompressed(low)) return this.#decoder.decode(low);
      return slot === 2047 ? null : this.#decoder.decode(low | bytes[at + 2]! << 16 | bytes[at + 3]! << 24);
    });
  }

  /** Makes all instructions be decoded anew; pages stay where they are. */
  redecode(): void {
    for (const { base } of this.#byPhysical.values()) this.#forget(base, base + PAGE_RECORDS - 1);
  }

  #watch(offset: number): void {
    this.#memory.ram.lines[offset >>> LINE_SHIFT]! |= this.#watchBit;
  }

  /** Fills a record from instruction bits; `slot` is its place in the page (-1: none, as for the scratch record). */
  put(record: number, word: number, slot: number): void {
    const decoded = this.#decoder.decode(word);
    if (decoded === null) {
      this.setOperation(record, ILLEGAL);
      this.#putFields(record, 0, 0, 0, 0, isCompressed(word) ? 2 : 4, 0);
      return;
    }
    const { operands, length } = decoded, numbers = this.#numbers(decoded);
    const target = 2 * slot + operands.imm;
    const near = numbers.near !== numbers.general && slot >= 0 && target >= 0 && target < 4096 &&
      (operands.imm & (this.#decoder.compressed ? 1 : 3)) === 0;
    this.setOperation(record, isSelfJump(decoded) ? SELF_JUMP : near ? numbers.near : numbers.general);
    const isFloat = this.#floatOperands(decoded.instruction), x = this.#registerBytes;
    const rd = isFloat.rd ? 8 * operands.rd : x * (operands.rd === 0 ? SINK : operands.rd);
    const rs1 = (isFloat.rs1 ? 8 : x) * operands.rs1, rs2 = (isFloat.rs2 ? 8 : x) * operands.rs2;
    const rs3 = (isFloat.rs3 ? 8 : x) * operands.rs3;
    this.#putFields(record, rd, rs1, rs2, rs3, length, near ? operands.imm >> 1 : operands.imm);
  }

  #putFields(
    record: number,
    rd: number,
    rs1: number,
    rs2: number,
    rs3: number,
    length: 2 | 4,
    immediate: number,
  ): void {
    const { halves } = this, at = record * HALVES;
    halves[at + FIELD.rd / 2] = rd;
    halves[at + FIELD.rs1 / 2] = rs1;
    halves[at + FIELD.rs2 / 2] = rs2;
    halves[at + FIELD.rs3 / 2] = rs3 | (length === 4 ? IS_LONG : 0);
    this.words[record * WORDS + FIELD.immediate / 4] = immediate;
  }

  /** Number of a record's operation. */
  operation(record: number): number {
    return this.halves[record * HALVES]!;
  }
  setOperation(record: number, operation: number): void {
    this.halves[record * HALVES] = operation;
  }

  /** Counts that a record was gone to; gives how often it was. */
  heat(record: number): number {
    return ++this.halves[record * HALVES + FIELD.heat / 2]!;
  }
  /** Makes a record that has to become hot again. */
  cool(record: number): void {
    this.halves[record * HALVES + FIELD.heat / 2] = 0;
  }

  /** Length of a record's instruction in halfwords, which is the distance to the next record. */
  lengthAt(record: number): number {
    return (this.halves[record * HALVES + FIELD.rs3 / 2]! & IS_LONG) === 0 ? 1 : 2;
  }

  #floatOperands(instruction: Instruction): FloatOperands {
    return this.#float[instruction.id] ??= floatOperands(instruction, this.#decoder.xlen, this.#decoder.floats);
  }

  /** Whether the instruction at a physical address was executed by the interpreter lately. */
  wasExecuted(physical: number): boolean {
    const page = this.#byPhysical.get(physical - physical % 4096);
    return page !== undefined && this.operation(page.base + physical % 4096 / 2) !== UNDECODED;
  }

  #forget(from: number, to: number): void {
    for (let record = from; record < to; record++) this.setOperation(record, UNDECODED);
  }

  /** Forgets the instruction at one physical address; gives its record, or -1 if it has none. */
  forget(physical: number): number {
    const page = this.#byPhysical.get(physical - physical % 4096);
    if (page === undefined) return -1;
    const record = page.base + physical % 4096 / 2;
    this.setOperation(record, UNDECODED);
    return record;
  }

  /**
   * Forgets the instructions that lie on the lines of RAM that hold `length` bytes from `offset`. The lines stay marked, since
   * other harts' caches have the same mark (see invalidation.ts).
   */
  invalidate(offset: number, length: number): void {
    const { base, lines } = this.#memory.ram;
    const first = offset >>> LINE_SHIFT, last = (offset + length - 1) >>> LINE_SHIFT;
    for (let line = first; line <= last; line++) {
      if ((lines[line]! & this.#watchBit) === 0) continue;
      const start = base + line * (1 << LINE_SHIFT), physical = start - start % 4096;
      const page = this.#byPhysical.get(physical);
      if (page === undefined) continue;
      const record = page.base + (start - physical) / 2;
      // An instruction that begins just before the line may reach into it.
      this.#forget(Math.max(record - 1, page.base), record + (1 << LINE_SHIFT) / 2);
    }
  }

  /** Decodes anew what lies in `length` bytes from a physical address outside of RAM, where memory has changed. */
  reread(physical: number, length: number): void {
    this.#pages.forEach((page, k) => {
      if (page === undefined || page.memory.isRam) return;
      if (page.physical + 4096 <= physical || page.physical >= physical + length) return;
      const changed = { ...page, memory: this.#memory.executable(page.physical) ?? page.memory };
      this.#pages[k] = changed;
      this.#byPhysical.set(page.checked ? page.physical + 1 : page.physical, changed);
      this.#forget(page.base, page.base + PAGE_RECORDS - 1);
    });
  }

  /** Forgets everything. Lines stay marked until they are written. */
  flush(): void {
    this.words.fill(0, 0, this.#used * PAGE_RECORDS * WORDS);
    this.#byPhysical.clear();
    this.#pages.fill(undefined);
    this.#used = 0;
    this.onFlush();
  }
}
