// The translation look-aside buffers: what generated code reads before each access to memory that is not plainly physical,
// and which page was where for everything else.

import type { Ram } from "./memory.ts";
import { EXECUTE, READ, WRITE } from "./pmp.ts";
import { MACHINE, SUPERVISOR, USER } from "./trap.ts";

/** Entries for each privilege level that data is accessed at, of each of the two buffers. */
export const TLB_ENTRIES = 4096;
/**
 * Words of an entry: low half of the virtual page, high half, what to add (modulo 2^32) to the low half of an address in it to
 * get its offset in RAM, and twice the log2 of the 4 KiB pages that its page-table entry maps, plus 1 if it belongs to user mode.
 */
export const TLB_WORDS = 4;
/** Words for one privilege level. */
export const TLB_LEVEL_WORDS: number = TLB_WORDS * TLB_ENTRIES;
/** What takes the low half of an address to the first word of its entry: bits to shift, then a mask. */
export const TLB_SHIFT: number = 12 - Math.log2(TLB_WORDS), TLB_MASK: number = TLB_LEVEL_WORDS - TLB_WORDS;
/** A low half that equals no page and no misaligned address in one. */
const INVALID = 0x800;
/** Above this many filled entries, forgetting them one by one does not pay. */
const MOST_LISTED = 4096;

/** The pages found last, of whatever kind: entries of a direct-mapped table. */
const FOUND = 1024;

/** Where the entries of a privilege level begin, in words. */
export function tlbBase(privilege: number): number {
  return TLB_LEVEL_WORDS * (privilege === MACHINE ? 2 : privilege);
}

/** First word of the entry of a page in the part of a privilege level. */
function entryOf(low: number): number {
  return low >>> TLB_SHIFT & TLB_MASK;
}

/** Number of the page of 2^`bits` times 4 KiB that an address lies in; `bits` is at most 36 (Sv57's largest page). */
function largePage(low: number, high: number, bits: number): number {
  return bits < 20
    ? (high >>> 0) * (1 << 20 - bits) + (low >>> 12 + bits)
    : Math.floor((high >>> 0) / (1 << bits - 20));
}

/** No sizes: what most addresses that are fenced lie in. */
const NONE: readonly number[] = [];

/** Entries of the table of large pages that were noted last. */
const RECENT = 64;

/** The large pages that something was remembered of: whoever fences one of their addresses means all of the page. */
export class LargePages {
  /** The log2 of 4 KiB pages that there are, and the pages of each. */
  readonly #bits: number[] = [];
  readonly #pages: Set<number>[] = [];
  /** What was noted last: number and size of a page in one. */
  readonly #recent = new Float64Array(RECENT);

  /** Notes the page of an address; nothing if it is not large. */
  add(low: number, high: number, bits: number): void {
    if (bits === 0) return;
    const page = largePage(low, high, bits), key = 64 * page + bits;
    if (this.#recent[page & RECENT - 1] === key) return;
    this.#recent[page & RECENT - 1] = key;
    let k = this.#bits.indexOf(bits);
    if (k < 0) {
      k = this.#bits.push(bits) - 1;
      this.#pages.push(new Set());
    }
    this.#pages[k]!.add(page);
  }
  /** The sizes of those among them that an address lies in. */
  sizesAt(low: number, high: number): readonly number[] {
    let sizes = NONE;
    for (let k = 0; k < this.#bits.length; k++) {
      const bits = this.#bits[k]!;
      if (this.#pages[k]!.has(largePage(low, high, bits))) sizes = [...sizes, bits];
    }
    return sizes;
  }
  clear(): void {
    if (this.#bits.length === 0) return;
    this.#bits.length = this.#pages.length = 0;
    this.#recent.fill(0);
  }
}

/** Remembers translations of one hart. */
export class TranslationBuffers {
  readonly #ram: Ram;
  readonly #wide: boolean;
  /** Pages of RAM that can be read, and those that can be written, all of which can be read, too (Smepmp, and PTEs, know no others). */
  readonly loads: Int32Array;
  readonly stores: Int32Array;
  /** Indices of the entries that were filled since everything was forgotten, in either buffer. */
  #filled: number[] = [];
  /** Those among them that are pages of user mode seen by supervisor mode. */
  #filledUser: number[] = [];
  readonly #large = new LargePages();
  // Pages found last: low half of the address with access and privilege in the bits below, high half, physical page.
  readonly #foundLow = new Int32Array(FOUND);
  readonly #foundHigh = new Int32Array(FOUND);
  readonly #foundPage = new Float64Array(FOUND);
  readonly #foundKind = new Int32Array(FOUND);
  readonly #foundWhen = new Int32Array(FOUND);
  #now = 1;
  /** Kind of the page that `find` found. */
  kind = 0;

  constructor(ram: Ram, xlen: 32 | 64) {
    this.#ram = ram;
    this.#wide = xlen === 64;
    this.loads = ram.words(3 * TLB_LEVEL_WORDS);
    this.stores = ram.words(3 * TLB_LEVEL_WORDS);
    this.#clear();
  }

  /** The buffer of loads or stores as code of one privilege level sees it. */
  static part(buffer: Int32Array, privilege: number): Int32Array {
    const start = tlbBase(privilege);
    return buffer.subarray(start, start + TLB_LEVEL_WORDS);
  }

  #clear(): void {
    // In the other words it does no harm.
    this.loads.fill(INVALID);
    this.stores.fill(INVALID);
    this.#filled.length = this.#filledUser.length = 0;
  }

  /** Forgets all pages. */
  flush(): void {
    this.#now++;
    this.#large.clear();
    if (this.#filled.length > MOST_LISTED) this.#clear();
    else {
      for (const at of this.#filled) this.loads[at] = this.stores[at] = INVALID;
      this.#filled.length = this.#filledUser.length = 0;
    }
  }

  /** Forgets the pages of user mode that supervisor mode may access no more. */
  flushUser(): void {
    this.#now++;
    for (const at of this.#filledUser) {
      if ((this.loads[at + 3]! & 1) !== 0) this.loads[at] = INVALID;
      if ((this.stores[at + 3]! & 1) !== 0) this.stores[at] = INVALID;
    }
    this.#filledUser.length = 0;
  }

  /** Forgets the page of an address, of whatever size it is. */
  flushPage(low: number, high: number): void {
    for (const access of [READ, WRITE, EXECUTE]) {
      const at = (low >>> 12 ^ access << 7) & FOUND - 1;
      if ((this.#foundLow[at]! & -4096) === (low & -4096)) this.#foundWhen[at] = 0;
    }
    const entry = entryOf(low);
    for (const privilege of [USER, SUPERVISOR, MACHINE]) {
      const at = tlbBase(privilege) + entry;
      this.loads[at] = this.stores[at] = INVALID;
    }
    for (const bits of this.#large.sizesAt(low, high)) {
      this.#now++;
      // Others of that size go, too: there are few.
      for (const filled of this.#filled) {
        if (this.loads[filled + 3]! >> 1 === bits) this.loads[filled] = INVALID;
        if (this.stores[filled + 3]! >> 1 === bits) this.stores[filled] = INVALID;
      }
    }
  }

  /**
   * Remembers a page of RAM for generated code.
   *
   * @param offset Of its first byte in RAM.
   * @param kind Fourth word of the entry.
   */
  fill(
    low: number,
    high: number,
    privilege: number,
    offset: number,
    kind: number,
    loads: boolean,
    stores: boolean,
  ): void {
    if (offset < 0 || offset >= this.#ram.size) return;
    const page = low & -4096;
    // Generated code takes the high half of an address from its base register: that is right wherever a 12-bit offset cannot
    // have led over the end of 4 GiB.
    if (this.#wide && (page === 0 || page === -4096)) return;
    const at = tlbBase(privilege) + entryOf(low);
    if (this.loads[at] === INVALID && this.stores[at] === INVALID) this.#filled.push(at);
    if ((kind & 1) !== 0 && privilege === SUPERVISOR) this.#filledUser.push(at);
    this.#large.add(low, high, kind >> 1);
    if (this.#filled.length > 2 * MOST_LISTED) this.#filled = [...new Set(this.#filled)];
    if (loads) this.#set(this.loads, at, page, high, offset, kind);
    if (stores) this.#set(this.stores, at, page, high, offset, kind);
  }

  /** Offset in RAM of an aligned address in a page that may be stored to; -1 if that is not remembered. */
  storeOffset(low: number, high: number, privilege: number): number {
    const { stores } = this, at = tlbBase(privilege) + entryOf(low);
    return stores[at] === (low & -4096) && stores[at + 1] === high ? stores[at + 2]! + low | 0 : -1;
  }

  #set(buffer: Int32Array, at: number, page: number, high: number, offset: number, kind: number): void {
    buffer[at] = page;
    buffer[at + 1] = high;
    buffer[at + 2] = offset - page;
    buffer[at + 3] = kind;
  }

  /** Remembers any page as a whole: what it means for one kind of access at one privilege level. */
  remember(low: number, high: number, privilege: number, access: number, physical: number, kind: number): void {
    this.#large.add(low, high, kind >> 1);
    const at = (low >>> 12 ^ access << 7) & FOUND - 1;
    this.#foundLow[at] = low & -4096 | access << 2 | privilege;
    this.#foundHigh[at] = high;
    this.#foundPage[at] = physical;
    this.#foundKind[at] = kind;
    this.#foundWhen[at] = this.#now;
  }

  /** Physical page of an address as it was remembered; -1 if it was not. */
  find(low: number, high: number, privilege: number, access: number): number {
    const at = (low >>> 12 ^ access << 7) & FOUND - 1;
    if (
      this.#foundLow[at] !== (low & -4096 | access << 2 | privilege) || this.#foundHigh[at] !== high ||
      this.#foundWhen[at] !== this.#now
    ) return -1;
    this.kind = this.#foundKind[at]!;
    return this.#foundPage[at]!;
  }
}
