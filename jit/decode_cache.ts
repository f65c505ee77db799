// Decoded instructions, kept page by page in typed arrays: what the interpreter runs over.
//
// A page of physical memory has a record for each halfword of it, and one more at the end that leads to the next page.
// Records hold nothing that depends on the virtual address, so that every mapping of a page shares them.

import { type Decoded, type Decoder, isCompressed } from "../isa/decode.ts";
import { type ExecutableMemory, LINE_SHIFT, type PhysicalMemory, WATCH } from "../hart/memory.ts";
import type { AddressSet } from "./breakpoints.ts";
import type { CodeHooks } from "./code_hooks.ts";
import {
  BREAKPOINT,
  COMPILED,
  CROSSING,
  FIELD,
  IS_LONG,
  type OperationNumbers,
  PAGE_END,
  RECORD_BYTES,
  RecordMaker,
  UNDECODED,
} from "./records.ts";

export * from "./records.ts";

/** Records of a page: one per halfword, and the end. */
export const PAGE_RECORDS = 2049;

const HALVES = RECORD_BYTES / 2, WORDS = RECORD_BYTES / 4;

/** Entries of the table of pages that were found last. */
const FOUND = 2048;

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
  readonly #maker: RecordMaker;
  #pages: (Page | undefined)[];
  #byPhysical = new Map<number, Page>();
  /** Which pages `pageAt` found lately, by their keys in that map: entries of a direct-mapped table. */
  readonly #foundKeys = new Float64Array(FOUND);
  readonly #foundBases = new Int32Array(FOUND);
  #used = 0;
  #watchBit: number;
  /** Physical addresses at which execution may stop. Flush the cache after a change. */
  breakpoints: AddressSet = new Set<number>();
  /** How many compiled regions are entered at a halfword of a page, by the page's physical address. */
  readonly #entries = new Map<number, Map<number, number>>();
  /** Hooks on instructions; null if there are none. */
  hooks: CodeHooks | null = null;
  /** Called before the pages are thrown away: whoever remembers records must forget them. */
  onFlush: () => void = () => {};
  /**
   * Called before a record gets an instruction of another length than that which it had, with the record that is going to be executed
   * now: that one or one before it.
   */
  onLength: (record: number) => void = () => {};

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
    this.#maker = new RecordMaker(decoder, numbers);
    this.capacity = capacity;
    this.scratch = capacity * PAGE_RECORDS;
    this.words = memory.ram.words((this.scratch + 4) * WORDS);
    this.halves = new Uint16Array(this.words.buffer, this.words.byteOffset, 2 * this.words.length);
    this.#pages = new Array(capacity).fill(undefined);
    this.#foundKeys.fill(-1);
  }

  /**
   * First record of the page at a physical address (a multiple of 4096), or -1 if nothing there can be executed. `checked`:
   * fetches from it may be refused.
   */
  pageAt(physical: number, checked = false): number {
    const key = checked ? physical + 1 : physical, at = physical / 4096 & FOUND - 1;
    if (this.#foundKeys[at] === key) return this.#foundBases[at]!;
    const base = this.#pageAt(physical, key, checked);
    if (base >= 0) {
      this.#foundKeys[at] = key;
      this.#foundBases[at] = base;
    }
    return base;
  }

  #pageAt(physical: number, key: number, checked: boolean): number {
    const known = this.#byPhysical.get(key);
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

  /**
   * Decodes the instruction of a record, and those after it that are going to be executed with it: up to a jump, and to what was decoded
   * before.
   */
  fill(record: number): void {
    const page = this.#pages[(record / PAGE_RECORDS) | 0]!, end = page.base + PAGE_RECORDS - 1;
    const entries = this.#entries.get(page.physical);
    const first = record;
    while (this.#fill(record, page, entries, first)) {
      record += this.lengthAt(record);
      if (record >= end || this.operation(record) !== UNDECODED) return;
    }
  }

  /** Decodes one of them; true if the next one may follow. */
  #fill(record: number, page: Page, entries: ReadonlyMap<number, number> | undefined, first: number): boolean {
    const slot = record - page.base, { bytes, offset, isRam } = page.memory;
    const at = offset + 2 * slot;
    const low = bytes[at]! | bytes[at + 1]! << 8;
    let word = low;
    if (isRam) this.#watch(at);
    if (this.breakpoints.has(page.physical + 2 * slot)) {
      this.setOperation(record, BREAKPOINT);
      return false;
    }
    if (page.checked) {
      this.setOperation(record, CROSSING);
      return false;
    }
    // Compiled code has the hooks in it.
    if (entries !== undefined && entries.has(slot)) {
      this.setOperation(record, COMPILED);
      return false;
    }
    if (this.hooks !== null && this.#isHooked(page, slot)) {
      this.setOperation(record, BREAKPOINT);
      return false;
    }
    if (!isCompressed(low)) {
      if (slot === 2047) {
        this.setOperation(record, CROSSING);
        return false;
      }
      word |= bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
      if (isRam) this.#watch(at + 2);
    }
    if (this.#isUsed(record) && (this.lengthAt(record) === 1) !== isCompressed(low)) this.onLength(first);
    return this.put(record, word, slot);
  }

  /** Says that one region more, or one less, is entered at a physical address. Gives the record of that, -1 if there is none. */
  compiledChanged(physical: number, isCompiled: boolean): number {
    const first = physical - (physical & 4095), slot = (physical & 4095) / 2;
    let entries = this.#entries.get(first);
    if (entries === undefined) this.#entries.set(first, entries = new Map());
    const regions = (entries.get(slot) ?? 0) + (isCompiled ? 1 : -1);
    if (regions === 0) entries.delete(slot);
    else entries.set(slot, regions);
    if (entries.size === 0) this.#entries.delete(first);
    return this.forget(physical);
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

  /** Fills a record from instruction bits; see `RecordMaker.put`. */
  put(record: number, word: number, slot: number): boolean {
    return this.#maker.put(this.words, this.halves, record, word, slot);
  }

  /** Whether a record has, or had, an instruction: of those of 2 bytes none has nothing but zeroes as operands. */
  #isUsed(record: number): boolean {
    const { words } = this, at = record * WORDS;
    return (words[at]! >>> 16 | words[at + 1]! | words[at + 2]! | words[at + 3]! >>> 16) !== 0;
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

  /** Whether the instruction at a physical address was executed by the interpreter lately. */
  wasExecuted(physical: number): boolean {
    const page = this.#byPhysical.get(physical - (physical & 4095));
    return page !== undefined && this.operation(page.base + (physical & 4095) / 2) !== UNDECODED;
  }

  #forget(from: number, to: number): void {
    for (let record = from; record < to; record++) this.setOperation(record, UNDECODED);
  }

  /** Forgets the instruction at one physical address; gives its record, or -1 if it has none. */
  forget(physical: number): number {
    const page = this.#byPhysical.get(physical - (physical & 4095));
    if (page === undefined) return -1;
    const record = page.base + (physical & 4095) / 2;
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
      const start = base + line * (1 << LINE_SHIFT), physical = start - (start & 4095);
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
    this.onFlush();
    this.words.fill(0, 0, this.#used * PAGE_RECORDS * WORDS);
    this.#byPhysical.clear();
    this.#foundKeys.fill(-1);
    this.#pages.fill(undefined);
    this.#used = 0;
  }
}
