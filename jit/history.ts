// Which instructions a hart has executed last, for reports. What is noted costs so little that it always is:
//
// - Compiled code notes a number (positions.ts) where it goes on to a block to which several ways lead, and where it leaves its region,
//   in a ring of words whose index is the count of instructions that remain. Whoever asks what came before such a block finds it there,
//   and what came before any other block is known.
// - The interpreter notes where it goes on after each jump, with what remains, in a ring of its own. Between two such notes instructions
//   follow one another.
//
// Both go by `REMAINING`. Where that changes other than by executing (another slice), what was noted moves with it.

import { IN_REGION, POSITION, REMAINING } from "../hart/counter.ts";
import type { Ram } from "../hart/memory.ts";
import { isMarked, type Position, type Positions, quietWay } from "./positions.ts";

/** Instructions that are known at the least. */
const MOST = 20;

/** Words of the ring of compiled code, and entries of the interpreter's; powers of two. */
const WAYS = 32, RUNS = 32;
/** Words of an entry: the record, in bytes, with flags; what remained before the instruction that led there. */
const WORDS = 2;
/** Where the interpreter's last entry begins, in bytes from the first; and where that is. */
const AT = WAYS, FIRST = WAYS + 8;
const RING = RUNS * WORDS;
/**
 * The pages that it went to last are in a ring as well, of as many entries: what remained before the instruction that led there, what makes
 * an address of a record (`PAGE_OFFSET` and `PC_HIGH`), number of the cache that the records are in.
 */
const PAGE_AT = AT + 1, FIRST_PAGE = FIRST + RING, PAGE_WORDS = 4, PAGES = RUNS * PAGE_WORDS;
/** Words of a mark: what remained, and a number. Their ring has the same index as that of the ways. */
const FIRST_MARK = FIRST_PAGE + PAGES, MARK_WORDS = 2;

/** Flags of an entry: compiled code came before; `#captured` came before; its address is in `#low` and `#high`. */
export const AFTER_COMPILED = 1;
const AFTER_CAPTURED = 2, BY_ADDRESS = 4;
/** From a record to its bytes. */
export const RECORD_SHIFT = 4;
/** In place of a record: nothing has begun there yet. */
const NONE = -1 << RECORD_SHIFT;

/** The same for WebAssembly, in bytes. */
export const HISTORY_LAYOUT = {
  wayMask: 4 * (WAYS - 1),
  at: 4 * AT,
  first: 4 * FIRST,
  step: 4 * WORDS,
  mask: 4 * WORDS * (RUNS - 1),
  mark: { first: 4 * FIRST_MARK, shift: Math.log2(4 * MARK_WORDS), mask: 4 * MARK_WORDS * (WAYS - 1) },
  page: { at: 4 * PAGE_AT, first: 4 * FIRST_PAGE, step: 4 * PAGE_WORDS, mask: 4 * (PAGES - PAGE_WORDS) },
} as const;

/** Mask of the index of the ring of compiled code, which is what remains. */
export const WAY_MASK: number = WAYS - 1;

/** Texts for JavaScript: the words of a mark, of which `n` is what remains. */
export function markWords(n: string): { remaining: string; position: string } {
  const word = (k: number) => `HISTORY[((${n}) & ${WAY_MASK}) * ${MARK_WORDS} + ${FIRST_MARK + k}]`;
  return { remaining: word(0), position: word(1) };
}

/** An instruction that was executed: its address by halves. */
export interface ExecutedAddress {
  readonly low: number;
  readonly high: number;
}

/** Decoded instructions: how many halfwords one has. */
interface Records {
  lengthAt(record: number): number;
}

/** The notes of one hart. */
export class History {
  readonly words: Int32Array;
  readonly #state: Int32Array;
  /** Null where nothing is compiled. */
  readonly #positions: Positions | null;
  /** Addresses of entries that have no record. */
  readonly #low = new Int32Array(RUNS);
  readonly #high = new Int32Array(RUNS);
  /** The caches of records, by number. */
  readonly records: Records[] = [];
  /** What had been executed when decoded instructions were forgotten. */
  #captured: readonly ExecutedAddress[] = [];
  /** What remained when the hart stopped; null while it runs. */
  #stopped: number | null = 0;
  /** What is to be taken off REMAINING: 1 while an instruction that has been executed is not counted yet. */
  uncounted = 0;

  /** Whether generated code notes what it executes; else nothing is known. */
  readonly isKept: boolean;

  constructor(ram: Ram, state: Int32Array, positions: Positions | null, isKept: boolean) {
    this.isKept = isKept;
    this.words = ram.words(FIRST_MARK + MARK_WORDS * WAYS);
    this.#state = state;
    this.#positions = positions;
    if (positions !== null && isKept) positions.named = () => this.words.subarray(0, WAYS);
    this.clear();
  }

  /** Forgets everything. */
  clear(): void {
    this.words.fill(0);
    this.#captured = [];
    // Before it, nothing was executed.
    this.words[FIRST] = NONE | AFTER_CAPTURED;
    this.words[FIRST + 1] = this.#remaining() + 1;
    for (let k = 1; k < RUNS; k++) this.words[FIRST + WORDS * k] = NONE;
  }

  #remaining(): number {
    return this.#stopped ?? this.#state[REMAINING]! - this.uncounted;
  }

  /** The hart goes on. */
  resume(): void {
    const by = this.#state[REMAINING]! - this.#stopped!;
    this.#stopped = null;
    if (by !== 0) this.shift(by);
  }
  /** It stops. */
  suspend(): void {
    this.#stopped = this.#state[REMAINING]!;
  }

  /** To be called when REMAINING has grown by so many, and nothing was executed. */
  shift(by: number): void {
    const { words } = this;
    if (!this.isKept) return;
    if ((by & WAY_MASK) !== 0) {
      const before = words.slice();
      for (let k = 0; k < WAYS; k++) {
        const to = k + by & WAY_MASK;
        words[to] = before[k]!;
        for (let j = 0; j < MARK_WORDS; j++) {
          words[FIRST_MARK + MARK_WORDS * to + j] = before[FIRST_MARK + MARK_WORDS * k + j]!;
        }
      }
    }
    for (let k = 0; k < WAYS; k++) words[FIRST_MARK + MARK_WORDS * k]! += by;
    for (let k = 0; k < RUNS; k++) {
      words[FIRST + WORDS * k + 1]! += by;
      words[FIRST_PAGE + PAGE_WORDS * k]! += by;
    }
  }

  // Notes of the interpreter. `before` is what remained before the instruction that led there.

  /** It goes on at a record. */
  start(record: number, before: number): void {
    const { words } = this, at = this.#entry(before);
    words[at] = record << RECORD_SHIFT | words[at]! & (AFTER_COMPILED | AFTER_CAPTURED);
  }
  /** The same where there may be no record: it executes one instruction at the most. */
  startAt(low: number, high: number, before: number): void {
    const { words } = this, at = this.#entry(before), k = (at - FIRST) / WORDS;
    words[at] = NONE | BY_ADDRESS | words[at]! & (AFTER_COMPILED | AFTER_CAPTURED);
    this.#low[k] = low, this.#high[k] = high;
  }
  /** The entry of a place: that of the last note if it is the same. */
  #entry(before: number): number {
    const { words } = this;
    let at = words[AT]! >> 2;
    if (words[FIRST + at + 1] === before) return FIRST + at;
    at = at + WORDS & RING - 1;
    words[AT] = 4 * at;
    words[FIRST + at] = NONE;
    words[FIRST + at + 1] = before;
    return FIRST + at;
  }

  /** It has come to another page, whose records have these addresses. */
  visit(offset: number, high: number, cache: number, before: number): void {
    const { words } = this;
    let at = FIRST_PAGE + (words[PAGE_AT]! >> 2);
    if (words[at + 1] === offset && words[at + 2] === high && words[at + 3] === cache) return;
    words[PAGE_AT] = words[PAGE_AT]! + 4 * PAGE_WORDS & 4 * (PAGES - PAGE_WORDS);
    at = FIRST_PAGE + (words[PAGE_AT]! >> 2);
    words[at] = before, words[at + 1] = offset, words[at + 2] = high, words[at + 3] = cache;
  }

  /** It executes an instruction that jumps to itself so often: then no more than that remains. */
  repeat(record: number, times: number): void {
    const remaining = this.#state[REMAINING]!;
    for (let k = Math.min(times, RUNS); k > 0; k--) this.start(record, remaining - times + k);
  }

  // Notes around compiled code.

  /** Compiled code goes on. */
  enterCompiled(): void {
    const { words } = this, remaining = this.#state[REMAINING]!, at = FIRST + (words[AT]! >> 2);
    // It has just been left.
    if (words[at + 1] === remaining + 1 && (words[at]! & AFTER_COMPILED) !== 0) return;
    words[remaining & WAY_MASK] = 0;
  }
  /** It was left, unless the interpreter has executed something since. */
  leaveCompiled(): void {
    const { words } = this, before = this.#state[REMAINING]! + 1;
    if (words[FIRST + (words[AT]! >> 2) + 1] !== before) this.#leave(before);
  }
  /** It is left for the interpreter at `POSITION`, an instruction before which so many remain. */
  leaveAt(low: number, high: number, remaining: number): void {
    const position = this.#state[POSITION]!;
    if (position !== 0) this.words[remaining & WAY_MASK] = position;
    this.#leave(remaining + 1);
    this.startAt(low, high, remaining + 1);
  }
  #leave(before: number): void {
    this.words[this.#entry(before)]! |= AFTER_COMPILED;
  }
  /** After `leaveAt`: one instruction was executed, or trapped, and has been counted. */
  finished(): void {
    const before = this.#state[REMAINING]! + 1;
    this.#entry(before);
    this.words[before - 1 & WAY_MASK] = 0;
  }

  /** Decoded instructions are going to be forgotten. What is executed next is at a record; -1: there is none yet. */
  capture(record: number): void {
    const { words } = this, before = this.#remaining() + 1;
    this.#captured = this.last();
    words[this.#entry(before)] = record << RECORD_SHIFT | AFTER_CAPTURED;
  }

  /** The addresses of the last instructions, the latest last; less than twenty if no more were executed since the start. */
  last(): ExecutedAddress[] {
    const { words } = this, found: ExecutedAddress[] = [];
    if (!this.isKept) return found;
    let remaining = this.#remaining();
    if (this.#stopped === null && this.#state[IN_REGION] === 1) {
      remaining = this.#compiled(this.#state[POSITION]! || words[remaining & WAY_MASK]!, remaining, found);
    }
    for (let k = 0, at = words[AT]! >> 2; k < RUNS && found.length < MOST; k++, at = at - WORDS & RING - 1) {
      const entry = words[FIRST + at]!, count = words[FIRST + at + 1]! - 1 - remaining | 0;
      // Compiled code has executed what follows.
      if (count < 0) continue;
      if (count > 0) {
        if (!this.#straight(entry, at / WORDS, count, remaining + count + 1, found)) break;
        remaining += count;
      }
      if ((entry & AFTER_CAPTURED) !== 0) {
        found.push(...this.#captured.toReversed());
        break;
      }
      if ((entry & AFTER_COMPILED) !== 0) remaining = this.#compiled(words[remaining & WAY_MASK]!, remaining, found);
    }
    return found.slice(0, MOST).reverse();
  }

  /** Adds instructions that follow one another, the last one first; false if they are not known. */
  #straight(entry: number, k: number, count: number, before: number, found: ExecutedAddress[]): boolean {
    if ((entry & BY_ADDRESS) !== 0) {
      if (count !== 1) return false;
      found.push({ low: this.#low[k]!, high: this.#high[k]! });
      return true;
    }
    const { words } = this;
    let record = entry >> RECORD_SHIFT, page = words[PAGE_AT]! >> 2;
    for (let j = 1; j < RUNS && (words[FIRST_PAGE + page]! - before | 0) < 0; j++) page = page - PAGE_WORDS & PAGES - 1;
    const [, offset, high, cache] = words.subarray(FIRST_PAGE + page) as unknown as [number, number, number, number];
    const records = this.records[cache];
    if (records === undefined || record < 0) return false;
    const line: ExecutedAddress[] = [];
    for (let j = 0; j < count; j++, record += records.lengthAt(record)) {
      if (count - j <= MOST) line.push({ low: offset + 2 * record | 0, high });
    }
    found.push(...line.reverse());
    return true;
  }

  /** Adds what compiled code has executed up to a position, the last instruction first; gives what remained before it. */
  #compiled(position: number, remaining: number, found: ExecutedAddress[]): number {
    for (let way = position; way !== 0 && found.length < MOST; way = this.words[remaining & WAY_MASK]!) {
      let place = this.#positions?.find(way);
      // Cannot be; what came before is not shown then.
      if (place === undefined) return remaining;
      while (place !== undefined) {
        const { region, block, executed }: Position = place, { high } = region;
        for (let k = executed; k-- > 0;) found.push({ low: block.instructions[k]!.pc, high });
        remaining += executed;
        if (found.length >= MOST) break;
        const quiet = quietWay(region, block), mark = FIRST_MARK + MARK_WORDS * (remaining & WAY_MASK);
        if (quiet === null) break;
        if (isMarked(region, block) && this.words[mark] === remaining) {
          // By 0, it was entered.
          place = this.#positions!.find(this.words[mark + 1]!);
        } else place = { region, block: quiet, executed: quiet.instructions.length };
      }
    }
    return remaining;
  }
}
