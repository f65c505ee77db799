// Physical memory protection (privileged manual, section "Physical Memory Protection", chapter "Smepmp"): 16 entries with a
// granularity of 4 bytes, their CSRs, and the check of an access.

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
/** READ, WRITE and EXECUTE. */
const EVERYTHING = READ | WRITE | EXECUTE;
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

/** The bits of mseccfg that are about protection. */
export const MSECCFG = { MML: 1, MMWP: 2, RLB: 4 } as const;

/**
 * What machine mode and the others may do under MML, by the configuration's X, W, R and L as bits 0 to 3 (chapter "Smepmp",
 * table "Truth table when mseccfg.MML is set").
 */
const LOCKDOWN: readonly (readonly [machine: number, others: number])[] = [
  [0, 0], // -
  [0, EXECUTE], // X
  [READ | WRITE, READ], // W: data, written by machine mode only
  [READ | WRITE, READ | WRITE], // W X: shared data
  [0, READ],
  [0, READ | EXECUTE],
  [0, READ | WRITE],
  [0, EVERYTHING],
  [0, 0], // L
  [EXECUTE, 0],
  [EXECUTE, EXECUTE], // L W: shared code
  [READ | EXECUTE, EXECUTE], // L W X: the same, which machine mode may read
  [READ, 0],
  [READ | EXECUTE, 0],
  [READ | WRITE, 0],
  [READ, READ], // L R W X: shared constants
];

/** `page` found that a page is not protected as a whole. */
export const MIXED = -1;

/** Pages whose protection is remembered: entries of a direct-mapped table. */
const REMEMBERED = 256;

/** The entries of a hart. */
export class Pmp {
  readonly #configuration = new Uint8Array(PMP_ENTRIES);
  /** pmpaddr: low and high halves. */
  readonly #address = new Int32Array(2 * PMP_ENTRIES);
  #rules: Rule[] = [];
  /** Bits of MSECCFG. */
  #security = 0;
  /** What `page` found lately: twice the page's number, plus 1 for machine mode; and the answer. */
  readonly #rememberedPage = new Float64Array(REMEMBERED).fill(-1);
  readonly #rememberedRights = new Int8Array(REMEMBERED);

  /** All entries off and unlocked. */
  reset(): void {
    this.#security = 0;
    this.#configuration.fill(0);
    this.#address.fill(0);
    this.#update();
  }

  /** Whether any access of a privilege level may be refused. */
  restricts(privilege: number): boolean {
    if (privilege === MACHINE) {
      return (this.#security & (MSECCFG.MML | MSECCFG.MMWP)) !== 0 ||
        this.#rules.some(({ configuration }) => (configuration & LOCK) !== 0);
    }
    const first = this.#rules[0];
    return first === undefined || first.start > 0 || first.end < END_OF_MEMORY ||
      this.#permissions(first, privilege) !== EVERYTHING;
  }

  /** Whether an access of `size` bytes is allowed; `access` is a set of READ, WRITE and EXECUTE. */
  allows(physical: number, size: number, access: number, privilege: number): boolean {
    const end = physical + size;
    for (const rule of this.#rules) {
      if (rule.start >= end || rule.end <= physical) continue;
      // The entry that matches any byte decides, and it must match all of them.
      if (rule.start > physical || rule.end < end) return false;
      return (access & ~this.#permissions(rule, privilege)) === 0;
    }
    return (access & ~this.#unmatched(privilege)) === 0;
  }

  /** What is allowed in the whole page at a physical address: a set of READ, WRITE and EXECUTE, or MIXED. */
  page(physical: number, privilege: number): number {
    // By its bits, since a remainder of numbers above 2^31 is slow.
    const number = physical / 2048 + (privilege === MACHINE ? 1 : 0), at = number & REMEMBERED - 1;
    if (this.#rememberedPage[at] === number) return this.#rememberedRights[at]!;
    this.#rememberedPage[at] = number;
    return this.#rememberedRights[at] = this.#findPage(physical, privilege);
  }

  #findPage(physical: number, privilege: number): number {
    const end = physical + 4096;
    for (const rule of this.#rules) {
      if (rule.start >= end || rule.end <= physical) continue;
      if (rule.start > physical || rule.end < end) return MIXED;
      return this.#permissions(rule, privilege);
    }
    return this.#unmatched(privilege);
  }

  /** What is allowed where no entry matches. */
  #unmatched(privilege: number): number {
    if (privilege !== MACHINE || (this.#security & MSECCFG.MMWP) !== 0) return 0;
    return (this.#security & MSECCFG.MML) !== 0 ? READ | WRITE : EVERYTHING;
  }

  #permissions({ configuration }: Rule, privilege: number): number {
    const rights = configuration & EVERYTHING, locked = (configuration & LOCK) !== 0, machine = privilege === MACHINE;
    if ((this.#security & MSECCFG.MML) === 0) return machine && !locked ? EVERYTHING : rights;
    const [ofMachine, ofOthers] = LOCKDOWN[(locked ? 8 : 0) | rightsInTableOrder(rights)]!;
    return machine ? ofMachine : ofOthers;
  }

  /** The bits of mseccfg. */
  get security(): number {
    return this.#security;
  }
  /**
   * Writes them: MML and MMWP stay set, and RLB cannot be set where an entry is locked.
   */
  set security(value: number) {
    const sticky = this.#security & (MSECCFG.MML | MSECCFG.MMWP);
    let bypass = value & MSECCFG.RLB;
    if ((this.#security & MSECCFG.RLB) === 0 && this.#configuration.some((entry) => (entry & LOCK) !== 0)) bypass = 0;
    this.#security = sticky | value & (MSECCFG.MML | MSECCFG.MMWP) | bypass;
    this.#rememberedPage.fill(-1);
  }

  /** Whether an entry cannot be written. */
  #isLocked(entry: number): boolean {
    return (this.#configuration[entry]! & LOCK) !== 0 && (this.#security & MSECCFG.RLB) === 0;
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
      if (this.#isLocked(entry)) continue;
      let value = word >>> 8 * k & WRITABLE;
      if ((this.#security & MSECCFG.MML) === 0) {
        // Writable but not readable is reserved.
        if ((value & READ) === 0) value &= ~WRITE;
      } else if ((this.#security & MSECCFG.RLB) === 0 && (value & LOCK) !== 0) {
        // No more code for machine mode.
        const [machine] = LOCKDOWN[8 | rightsInTableOrder(value & EVERYTHING)]!;
        if ((machine & EXECUTE) !== 0) continue;
      }
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
    if (this.#isLocked(entry)) return;
    const next = entry + 1;
    if (next < PMP_ENTRIES && this.#isLocked(next) && (this.#configuration[next]! & ADDRESS_MODE) === TOR) return;
    this.#address[2 * entry] = low;
    this.#address[2 * entry + 1] = high & HIGH_BITS;
    this.#update();
  }

  #update(): void {
    this.#rememberedPage.fill(-1);
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

/** R, W and X with X as the lowest bit. */
function rightsInTableOrder(rights: number): number {
  return ((rights & READ) !== 0 ? 4 : 0) | rights & WRITE | ((rights & EXECUTE) !== 0 ? 1 : 0);
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
