// Triggers (debug manual, chapter "Sdtrig"): addresses at which the guest's own code gets breakpoint exceptions. There are four,
// each of which matches addresses of instructions, loads and stores (mcontrol, mcontrol6).

import { CSR_NUMBERS } from "../isa/csr_names.ts";
import type { Extension } from "../isa/extensions.ts";
import { HIGH, unsigned64 } from "../isa/pair.ts";
import { type CsrEntry, plain } from "./csr.ts";
import type { Hart } from "./hart.ts";
import { EXECUTE, READ, WRITE } from "./pmp.ts";
import { CAUSE, MACHINE, raise, SUPERVISOR } from "./trap.ts";
import { MSTATUS } from "./status.ts";

/** How many there are. */
export const TRIGGERS = 4;

/** Types in tdata1. A write of any other makes the trigger a disabled one. */
const MCONTROL = 2, MCONTROL6 = 6, DISABLED = 15;

/** tinfo: the types, and version 1 of the interface. */
const INFO = 1 << 24 | 1 << MCONTROL | 1 << MCONTROL6 | 1 << DISABLED;

/** Bits that mcontrol and mcontrol6 share. */
const LOAD = 1, STORE = 2, FETCH = 4, IN_USER = 8, IN_SUPERVISOR = 16, IN_MACHINE = 64, CHAIN = 1 << 11;
const MATCH_SHIFT = 7, MATCH_MASK = 15;
/** What `match` means; 8 more is the opposite. */
const MATCH = { equal: 0, napot: 1, greaterOrEqual: 2, less: 3, maskLow: 4, maskHigh: 5 } as const;
const OPPOSITE = 8;
const MATCHES: readonly number[] = [0, 1, 2, 3, 4, 5, 8, 9, 12, 13];

/** The bit that says that it has fired (mcontrol's hit; mcontrol6's hit0: before the instruction). */
const HIT = 1 << 20, HIT6 = 1 << 22;
/** Width of what is accessed: any, 8, 16, 32, 64 bits. In mcontrol the field lies in two pieces, of which RV32 has one. */
const SIZE_SHIFT = 16, SIZE_HIGH_SHIFT = 21;
const SIZES: readonly number[] = [0, 1, 2, 4, 0, 8];

/** Fields of tdata3 (textra32 and textra64): where they begin, and how many bits there are. */
interface ExtraFields {
  readonly svalue: number;
  readonly byteMaskAt: number;
  readonly byteMask: number;
  readonly mhselectAt: number;
  readonly mhvalueAt: number;
  readonly mhvalue: number;
}
const EXTRA: Readonly<Record<32 | 64, ExtraFields>> = {
  32: { svalue: 16, byteMaskAt: 18, byteMask: 2, mhselectAt: 23, mhvalueAt: 26, mhvalue: 6 },
  64: { svalue: 32, byteMaskAt: 36, byteMask: 4, mhselectAt: 48, mhvalueAt: 51, mhvalue: 13 },
};
/** sselect: svalue is compared with scontext, or with the address space of satp. mhselect: mhvalue with mcontext. */
const SELECT_SCONTEXT = 1, SELECT_ASID = 2, SELECT_MCONTEXT = 4;

const TCONTROL_AT = 2 * CSR_NUMBERS["tcontrol"]!, MCONTEXT_AT = 2 * CSR_NUMBERS["mcontext"]!;
const SCONTEXT_AT = 2 * CSR_NUMBERS["scontext"]!, SATP_AT = 2 * CSR_NUMBERS["satp"]!;
const MSTATUS_AT = 2 * CSR_NUMBERS["mstatus"]!, MEDELEG_AT = 2 * CSR_NUMBERS["medeleg"]!;

/** tcontrol: whether triggers fire in machine mode, and whether they did before the last trap into it. */
const MTE = 1 << 3, MPTE = 1 << 7;

/** One of them. */
interface Trigger {
  type: number;
  /** The low half of tdata1, but for type and dmode. */
  control: number;
  /** tdata2 and tdata3, unsigned. */
  address: bigint;
  extra: bigint;
}

function mask(bits: number): bigint {
  return (1n << BigInt(bits)) - 1n;
}

/** The triggers of a hart. */
export class Triggers {
  readonly #hart: Hart;
  readonly #all: Trigger[];
  /** tselect. */
  #selected = 0;
  /** Whether some trigger wants to know of instructions, and of loads or stores. */
  executes = false;
  watchesData = false;
  /** Which instructions are concerned has changed: to be taken into account before the next one is executed. */
  changed = false;

  constructor(hart: Hart) {
    this.#hart = hart;
    this.#all = Array.from({ length: TRIGGERS }, () => ({ type: DISABLED, control: 0, address: 0n, extra: 0n }));
  }

  /** All disabled. */
  reset(): void {
    this.#selected = 0;
    for (const trigger of this.#all) Object.assign(trigger, { type: DISABLED, control: 0, address: 0n, extra: 0n });
    this.#update();
  }

  // What the CSRs hold.

  get selected(): number {
    return this.#selected;
  }
  /** A number that no trigger has leaves tselect as it was. */
  select(low: number, high: number): void {
    if (high === 0 && low >>> 0 < TRIGGERS) this.#selected = low;
  }

  /** tdata1, unsigned. */
  get control(): bigint {
    const { type, control } = this.#all[this.#selected]!;
    return BigInt(type) << BigInt(this.#hart.xlen - 4) | BigInt(control);
  }
  set control(value: bigint) {
    const { xlen } = this.#hart, trigger = this.#all[this.#selected]!;
    const type = Number(value >> BigInt(xlen - 4)), low = Number(value & 0x7ff_ffffn);
    trigger.type = type === MCONTROL || type === MCONTROL6 ? type : DISABLED;
    trigger.control = trigger.type === DISABLED ? 0 : this.#legal(trigger.type, low);
    this.#update();
  }
  /** What can be in the fields. Triggers compare addresses, before the instruction, and raise exceptions: nothing else. */
  #legal(type: number, low: number): number {
    const { extensions, xlen } = this.#hart;
    let kept = LOAD | STORE | FETCH | IN_USER | IN_MACHINE | (extensions.has("S") ? IN_SUPERVISOR : 0);
    if (this.#selected < TRIGGERS - 1) kept |= CHAIN;
    if (MATCHES.includes(low >> MATCH_SHIFT & MATCH_MASK)) kept |= MATCH_MASK << MATCH_SHIFT;
    kept |= type === MCONTROL ? HIT : HIT6;
    const size = sizeField(type, low), isSize = size === 0 || SIZES[size]! > 0;
    if (isSize && (size < 4 || xlen === 64)) {
      kept |= type === MCONTROL ? 3 << SIZE_SHIFT | 3 << SIZE_HIGH_SHIFT : 7 << SIZE_SHIFT;
    }
    return low & kept;
  }

  /** tdata2, unsigned. */
  get address(): bigint {
    return this.#all[this.#selected]!.address;
  }
  set address(value: bigint) {
    this.#all[this.#selected]!.address = value;
    this.#update();
  }

  /** tdata3, unsigned. */
  get extra(): bigint {
    return this.#all[this.#selected]!.extra;
  }
  set extra(value: bigint) {
    const { extensions, xlen } = this.#hart, fields = EXTRA[xlen];
    const take = (at: number, bits: number) => value & mask(bits) << BigInt(at);
    let kept = take(fields.mhvalueAt, fields.mhvalue);
    if (Number(value >> BigInt(fields.mhselectAt) & 7n) === SELECT_MCONTEXT) kept |= take(fields.mhselectAt, 3);
    if (extensions.has("S")) {
      kept |= take(fields.byteMaskAt, fields.byteMask) | take(2, fields.svalue);
      if ((value & 3n) <= SELECT_ASID) kept |= value & 3n;
    }
    this.#all[this.#selected]!.extra = kept;
  }

  #update(): void {
    const fired = (bits: number) => this.#all.some(({ control }) => (control & bits) !== 0);
    const executed = this.executes, watched = this.watchesData;
    this.executes = fired(FETCH);
    this.watchesData = fired(LOAD | STORE);
    const hart = this.#hart;
    if (executed || this.executes) {
      this.changed = true;
      hart.count.stop();
    }
    if (watched || this.watchesData) hart.translationChanged();
  }

  // What is asked of them.

  /** Whether an instruction at an address with this offset in its page may be concerned. */
  mayExecute(offset: number): boolean {
    return this.executes && this.#all.some(({ control, address }) => {
      if ((control & FETCH) === 0) return false;
      return (control & (CHAIN | MATCH_MASK << MATCH_SHIFT)) !== 0 || Number(address & 4095n) === offset;
    });
  }
  /** Whether data of the page of an address may be concerned. */
  mayAccess(low: number, high: number): boolean {
    return this.watchesData && this.#all.some(({ control, address }) => {
      if ((control & (LOAD | STORE)) === 0) return false;
      if ((control & (CHAIN | MATCH_MASK << MATCH_SHIFT)) !== 0) return true;
      return address >> 12n === this.#unsigned(low, high) >> 12n;
    });
  }

  /**
   * Raises the breakpoint exception of an access, if a trigger fires: `access` is READ, WRITE or both, or EXECUTE; `size` in
   * bytes.
   */
  check(access: number, low: number, high: number, size: number): void {
    if (!(this.executes || this.watchesData) || !this.#mayFire()) return;
    const kinds = (access & READ ? LOAD : 0) | (access & WRITE ? STORE : 0) | (access & EXECUTE ? FETCH : 0);
    const first = this.#unsigned(low, high);
    for (let k = 0, start = 0; k < TRIGGERS; k++) {
      if ((this.#all[k]!.control & CHAIN) !== 0) continue;
      // One that is not chained, or the end of a chain: all of it must match.
      const chain = this.#all.slice(start, k + 1);
      start = k + 1;
      if (!chain.every((trigger) => this.#matches(trigger, kinds, first, size))) continue;
      for (const trigger of chain) trigger.control |= trigger.type === MCONTROL ? HIT : HIT6;
      raise(CAUSE.breakpoint, low, high);
    }
  }

  #unsigned(low: number, high: number): bigint {
    return this.#hart.xlen === 32 ? BigInt(low >>> 0) : unsigned64(low, high);
  }

  /**
   * Not where the handler of the exception itself may be running (debug manual, "Native Triggers"): machine mode says by tcontrol
   * when it can bear it, supervisor mode by SIE if it handles breakpoints.
   */
  #mayFire(): boolean {
    const { csrs, privilege } = this.#hart;
    if (privilege === MACHINE) return (csrs[TCONTROL_AT]! & MTE) !== 0;
    const handles = privilege === SUPERVISOR && (csrs[MEDELEG_AT]! & 1 << CAUSE.breakpoint) !== 0;
    return !handles || (csrs[MSTATUS_AT]! & MSTATUS.SIE) !== 0;
  }

  #matches(trigger: Trigger, kinds: number, first: bigint, size: number): boolean {
    const { type, control, address } = trigger, { privilege } = this.#hart;
    const mode = privilege === MACHINE ? IN_MACHINE : privilege === SUPERVISOR ? IN_SUPERVISOR : IN_USER;
    if ((control & kinds) === 0 || (control & mode) === 0) return false;
    const field = sizeField(type, control);
    if (field !== 0 && SIZES[field] !== size) return false;
    // Of data any byte counts, as the manual recommends; of an instruction its address.
    const last = (kinds & FETCH) !== 0 ? first : first + BigInt(size - 1);
    const match = control >> MATCH_SHIFT & MATCH_MASK, is = this.#compare(match & ~OPPOSITE, address, first, last);
    return ((match & OPPOSITE) !== 0 ? !is : is) && this.#inContext(trigger);
  }

  /** Whether an address from `first` to `last` is what a trigger looks for. */
  #compare(match: number, address: bigint, first: bigint, last: bigint): boolean {
    const { xlen } = this.#hart, half = BigInt(xlen / 2);
    switch (match) {
      case MATCH.napot: {
        // The ones at the end and the zero above them stand for any bits; all ones for all addresses.
        const span = (address + 1n & ~address) * 2n - 1n, start = address & ~span;
        return first <= start + span && last >= start;
      }
      case MATCH.greaterOrEqual:
        return last >= address;
      case MATCH.less:
        return first < address;
      case MATCH.maskLow:
        return (first & mask(xlen / 2) & address >> half) === (address & mask(xlen / 2) & address >> half);
      case MATCH.maskHigh:
        return (first >> half & address >> half) === (address & mask(xlen / 2) & address >> half);
      default:
        return first <= address && last >= address;
    }
  }

  /** What tdata3 asks for. */
  #inContext({ extra }: Trigger): boolean {
    const { csrs, xlen } = this.#hart, fields = EXTRA[xlen];
    if (Number(extra >> BigInt(fields.mhselectAt) & 7n) === SELECT_MCONTEXT) {
      if (BigInt(csrs[MCONTEXT_AT]! >>> 0) !== (extra >> BigInt(fields.mhvalueAt) & mask(fields.mhvalue))) return false;
    }
    const value = extra >> 2n & mask(fields.svalue);
    switch (Number(extra & 3n)) {
      case SELECT_SCONTEXT: {
        let compared = mask(fields.svalue);
        for (let k = 0; k < fields.byteMask; k++) {
          if ((extra >> BigInt(fields.byteMaskAt + k) & 1n) !== 0n) compared &= ~(0xffn << BigInt(8 * k));
        }
        return (BigInt(csrs[SCONTEXT_AT]! >>> 0) & compared) === (value & compared);
      }
      case SELECT_ASID:
        return xlen === 32
          ? (csrs[SATP_AT]! >>> 22 & 0x1ff) === Number(value & 0x1ffn)
          : (csrs[SATP_AT + 1]! >>> 12 & 0xffff) === Number(value & 0xffffn);
      default:
        return true;
    }
  }
}

function sizeField(type: number, control: number): number {
  if (type === MCONTROL6) return control >> SIZE_SHIFT & 7;
  return control >> SIZE_SHIFT & 3 | (control >> SIZE_HIGH_SHIFT & 3) << 2;
}

/** tcontrol, at a trap into machine mode: its handler is not interrupted by triggers. */
export function triggersTrapped({ csrs }: Hart): void {
  const before = csrs[TCONTROL_AT]!;
  if (before !== 0) csrs[TCONTROL_AT] = (before & MTE) !== 0 ? MPTE : 0;
}
/** tcontrol, at MRET. */
export function triggersReturned({ csrs }: Hart): void {
  const before = csrs[TCONTROL_AT]!;
  if (before !== 0) csrs[TCONTROL_AT] = before & MPTE | ((before & MPTE) !== 0 ? MTE : 0);
}

/** A register of 64 bits that is a bigint inside. */
function wide(name: string, key: "control" | "address" | "extra"): [string, CsrEntry] {
  return [name, {
    read: ({ triggers, xlen }) => {
      const value = triggers[key];
      HIGH[0] = xlen === 32 ? 0 : Number(BigInt.asIntN(32, value >> 32n));
      return Number(BigInt.asIntN(32, value));
    },
    write: ({ triggers, xlen }, low, high) => {
      triggers[key] = xlen === 32 ? BigInt(low >>> 0) : unsigned64(low, high);
    },
  }];
}

/** What else there is for triggers: nothing without Sdtrig but the registers that say so. */
export function triggerEntries(extensions: ReadonlySet<Extension>, xlen: 32 | 64): [string, CsrEntry][] {
  const fixed = (name: string, value: number): [string, CsrEntry] => [name, {
    read: () => {
      HIGH[0] = 0;
      return value;
    },
    write: () => {},
  }];
  if (!extensions.has("Sdtrig")) {
    // tselect holds only 0, and a tdata1 of type 0 says that there is none (debug manual, "Enumeration").
    return [...["tselect", "tdata1", "tdata2", "tdata3"].map((name) => fixed(name, 0)), fixed("tinfo", 1)];
  }
  const entries: [string, CsrEntry][] = [
    ["tselect", {
      read: ({ triggers }) => {
        HIGH[0] = 0;
        return triggers.selected;
      },
      write: ({ triggers }, low, high) => triggers.select(low, xlen === 32 ? 0 : high),
    }],
    wide("tdata1", "control"),
    wide("tdata2", "address"),
    wide("tdata3", "extra"),
    fixed("tinfo", INFO),
    plain("tcontrol", { low: MTE | MPTE, high: 0 }),
    plain("mcontext", { low: xlen === 32 ? 0x3f : 0x1fff, high: 0 }),
  ];
  if (extensions.has("S")) entries.push(plain("scontext", { low: xlen === 32 ? 0xffff : -1, high: 0 }));
  return entries;
}
