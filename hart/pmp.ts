// Physical memory protection (privileged manual, section "Physical Memory Protection"): 16 entries with a granularity of 4
// bytes, their CSRs, and the check of an access.

import type { Xlen } from "../isa/instruction.ts";
import { HIGH } from "../isa/pair.ts";
import type { CsrEntry } from "./csr.ts";
import type { Hart } from "./hart.ts";
import { MACHINE } from "./trap.ts";

/** Entries. */
export const PMP_ENTRIES = 16;

/** Bits of a configuration byte, which are also how an access is named. */
export const READ = 1, WRITE = 2, EXECUTE = 4;
const ADDRESS_MODE = 3 << 3, LOCK = 1 << 7;
const TOR = 1 << 3, NA4 = 2 << 3;
const WRITABLE = READ | WRITE | EXECUTE | ADDRESS_MODE | LOCK;
/** Upper bits of pmpaddr on RV64: address bits 55 to 34. */
const HIGH_BITS = 0x3f_ffff;
/** All memory and devices lie below; an entry that reaches from 0 to here covers everything. */
const END_OF_MEMORY = 2 ** 32;

/** An entry that matches something. */
interface Rule {
  /** First address and first address after. */
  readonly start: number;
  readonly end: number;
  readonly configuration: number;
}

/** `page` found that a page is not protected as a whole. */
export const MIXED = -1;

/** The entries of a hart. */
export class Pmp {
  readonly #configuration = new Uint8Array(PMP_ENTRIES);
  /** pmpaddr: low and high halves. */
  readonly #address = new Int32Array(2 * PMP_ENTRIES);
  #rules: Rule[] = [];

  /** All entries off and unlocked. */
  reset(): void {
    this.#configuration.fill(0);
    this.#address.fill(0);
    this.#rules = [];
  }

  /** Whether any access of a privilege level may be refused. */
  restricts(privilege: number): boolean {
    if (privilege === MACHINE) return this.#rules.some(({ configuration }) => (configuration & LOCK) !== 0);
    const first = this.#rules[0];
    return first === undefined || first.start > 0 || first.end < END_OF_MEMORY ||
      (~first.configuration & (READ | WRITE | EXECUTE)) !== 0;
  }

  /** Whether an access of `size` bytes is allowed; `access` is a set of READ, WRITE and EXECUTE. */
  allows(physical: number, size: number, access: number, privilege: number): boolean {
    const end = physical + size;
    for (const rule of this.#rules) {
      if (rule.start >= end || rule.end <= physical) continue;
      // The entry that matches any byte decides, and it must match all of them.
      if (rule.start > physical || rule.end < end) return false;
      return (access & ~permissions(rule, privilege)) === 0;
    }
    return privilege === MACHINE;
  }

  /** What is allowed in the whole page at a physical address: a set of READ, WRITE and EXECUTE, or MIXED. */
  page(physical: number, privilege: number): number {
    const end = physical + 4096;
    for (const rule of this.#rules) {
      if (rule.start >= end || rule.end <= physical) continue;
      if (rule.start > physical || rule.end < end) return MIXED;
      return permissions(rule, privilege);
    }
    return privilege === MACHINE ? READ | WRITE | EXECUTE : 0;
  }

  /** A word of the configuration registers: entries 4·index to 4·index + 3. */
  readWord(index: number): number {
    let word = 0;
    for (let k = 0; k < 4; k++) word |= this.#configuration[4 * index + k]! << 8 * k;
    return word;
  }
  writeWord(index: number, word: number): void {
    for (let k = 0; k < 4; k++) {
      const entry = 4 * index + k;
      if ((this.#configuration[entry]! & LOCK) !== 0) continue;
      let value = word >>> 8 * k & WRITABLE;
      // Writable but not readable is reserved.
      if ((value & READ) === 0) value &= ~WRITE;
      this.#configuration[entry] = value;
    }
    this.#update();
  }
  /** pmpaddr of an entry: low half, with the high half in HIGH[0]. */
  readAddress(entry: number): number {
    HIGH[0] = this.#address[2 * entry + 1]!;
    return this.#address[2 * entry]!;
  }
  writeAddress(entry: number, low: number, high: number): void {
    const next = this.#configuration[entry + 1] ?? 0;
    if ((this.#configuration[entry]! & LOCK) !== 0) return;
    if ((next & LOCK) !== 0 && (next & ADDRESS_MODE) === TOR) return;
    this.#address[2 * entry] = low;
    this.#address[2 * entry + 1] = high & HIGH_BITS;
    this.#update();
  }

  #update(): void {
    this.#rules = [];
    for (let entry = 0; entry < PMP_ENTRIES; entry++) {
      const configuration = this.#configuration[entry]!, mode = configuration & ADDRESS_MODE;
      if (mode === 0) continue;
      const range = mode === TOR
        ? { start: this.#bound(entry - 1), end: this.#bound(entry) }
        : this.#naturalRange(entry);
      if (range.start < range.end) this.#rules.push({ ...range, configuration });
    }
  }

  #bound(entry: number): number {
    if (entry < 0) return 0;
    return ((this.#address[2 * entry + 1]! >>> 0) * 2 ** 32 + (this.#address[2 * entry]! >>> 0)) * 4;
  }

  #naturalRange(entry: number): { start: number; end: number } {
    const start = this.#bound(entry);
    if ((this.#configuration[entry]! & ADDRESS_MODE) === NA4) return { start, end: start + 4 };
    const low = this.#address[2 * entry]!, high = this.#address[2 * entry + 1]!;
    const ones = low === -1 ? 32 + trailingOnes(high) : trailingOnes(low);
    const size = 2 ** (ones + 3), first = Math.floor(start / size) * size;
    return { start: first, end: first + size };
  }
}

function trailingOnes(word: number): number {
  return 31 - Math.clz32(~word & -~word);
}

/** An unlocked entry does not bind machine mode. */
function permissions({ configuration }: Rule, privilege: number): number {
  const all = READ | WRITE | EXECUTE;
  return privilege === MACHINE && (configuration & LOCK) === 0 ? all : configuration & all;
}

/** pmpcfg0 to pmpcfg3 (on RV64 those with even numbers, each holding two words) and pmpaddr0 to pmpaddr15. */
export function pmpEntries(xlen: Xlen): [string, CsrEntry][] {
  const entries: [string, CsrEntry][] = [];
  const written = (hart: Hart) => hart.protectionChanged();
  for (let word = 0; word < PMP_ENTRIES / 4; word += xlen / 32) {
    entries.push([`pmpcfg${word}`, {
      read: ({ pmp }) => {
        HIGH[0] = xlen === 64 ? pmp.readWord(word + 1) : 0;
        return pmp.readWord(word);
      },
      write: (hart, low, high) => {
        hart.pmp.writeWord(word, low);
        if (xlen === 64) hart.pmp.writeWord(word + 1, high);
        written(hart);
      },
    }]);
  }
  for (let entry = 0; entry < PMP_ENTRIES; entry++) {
    entries.push([`pmpaddr${entry}`, {
      read: ({ pmp }) => pmp.readAddress(entry),
      write: (hart, low, high) => {
        hart.pmp.writeAddress(entry, low, xlen === 64 ? high : 0);
        written(hart);
      },
    }]);
  }
  return entries;
}
