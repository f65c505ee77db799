// Hooks on instructions: which instructions somebody wants to see, or only count, before they are executed. The interpreter gets
// an operation of its own for them (`BREAKPOINT`), regions a call (an addition, for counters) in front of the instruction. All
// other code is as if there were no hooks.

import type { Decoded } from "../isa/decode.ts";
import type { Hart } from "../hart/hart.ts";

/** A hook on instructions. */
export interface CodeHook {
  /** Ranges of virtual addresses (both ends included); null: everywhere. */
  readonly ranges: readonly { readonly first: bigint; readonly last: bigint }[] | null;
  /** Which instructions; null: all. */
  readonly instruction: ((decoded: Decoded) => boolean) | null;
  /**
   * Called before such an instruction, with pc and all registers in place. If it sets pc, execution goes on there instead; the
   * instruction counts as executed. `decode` gives the instruction.
   */
  readonly call: (hart: Hart, decode: () => Decoded | null) => void;
  /**
   * In place of a call: the counter to add one to, of those that `CodeHooks.counter` gave, when the instruction is executed: not if
   * a hook goes elsewhere.
   */
  readonly counter?: number;
}

/** A hooked instruction of compiled code. The region is dropped when its hooks change. */
export interface HookSite {
  readonly id: number;
  readonly low: number;
  readonly high: number;
  /** The instruction. */
  readonly decode: () => Decoded;
  /** Hooks to call; none where it is only counted. */
  readonly calls: readonly CodeHook[];
  /** Counters to add one to. */
  readonly counters: readonly number[];
}

/** Counters that are kept where compiled code finds them. */
const MOST_COUNTERS = 4096;

/** Most addresses that ranges without a condition on the instruction are kept as; larger ranges are compared with. */
const MOST_LISTED = 64;

/** What `run` says. */
export const NOT_HOOKED = 0, HOOKED = 1, HALTED = 2;

/** The hooks of a machine. */
export class CodeHooks {
  /** Hooks on few addresses, by the low half of the address. */
  readonly #byAddress = new Map<number, { readonly high: number; readonly hook: CodeHook }[]>();
  /** Offsets in a page that have such a hook, by the number of the page. */
  readonly #byPage = new Map<number, Set<number>>();
  /** Hooks on larger ranges, and on instructions wherever they are. */
  readonly #wide = new Set<CodeHook>();
  readonly #all = new Set<CodeHook>();
  /** Physical addresses that lead to hooked virtual ones, as far as they have been executed. */
  readonly marked: Set<number> = new Set();
  /**
   * By hart, where hooks were called last, and at which count of instructions: if the instruction is left to somebody else, or the
   * run ends before it, they are not called for it again.
   */
  readonly #last: { low: number; high: number; count: number }[] = [];
  /** Hooked instructions of compiled code by number, and their numbers. */
  readonly #sites: HookSite[] = [];
  readonly #siteNumbers = new Map<string, number>();
  readonly #words: (count: number) => Int32Array;
  #counts: Int32Array | null = null;
  readonly #freeCounters: number[] = [];
  #usedCounters = 0;
  #halt = false;
  /** The executors of all harts. */
  executors: readonly HookedExecutor[] = [];

  /** `words` gives memory for counters: where WebAssembly can reach it, if there is room. */
  constructor(words: (count: number) => Int32Array) {
    this.#words = words;
  }

  // Counters.

  /** Values of the counters: two words each, the low one first. */
  get counts(): Int32Array {
    return this.#counts ??= this.#words(2 * MOST_COUNTERS);
  }
  /** Number of a new counter, at 0; undefined if there are too many. */
  counter(): number | undefined {
    const counter = this.#freeCounters.pop() ?? (this.#usedCounters < MOST_COUNTERS ? this.#usedCounters++ : undefined);
    if (counter !== undefined) this.setCounter(counter, 0);
    return counter;
  }
  /** Gives a counter back. */
  freeCounter(counter: number): void {
    this.#freeCounters.push(counter);
  }
  /** Value of a counter. */
  counterValue(counter: number): number {
    return (this.counts[2 * counter + 1]! >>> 0) * 2 ** 32 + (this.counts[2 * counter]! >>> 0);
  }
  /** Sets it to an integer from 0 to 2^53 - 1. */
  setCounter(counter: number, value: number): void {
    this.counts[2 * counter] = value % 2 ** 32 | 0;
    this.counts[2 * counter + 1] = Math.floor(value / 2 ** 32) | 0;
  }
  #count(counter: number): void {
    const { counts } = this;
    if ((counts[2 * counter] = counts[2 * counter]! + 1 | 0) === 0) counts[2 * counter + 1]!++;
  }

  // Hooks.

  /** Whether there are none. */
  get isEmpty(): boolean {
    return this.#all.size === 0;
  }

  /** Adds a hook. */
  add(hook: CodeHook): void {
    this.#all.add(hook);
    const addresses = listed(hook);
    if (addresses === null) this.#wide.add(hook);
    else {
      for (const { low, high } of addresses) {
        const there = this.#byAddress.get(low) ?? [], page = pageNumber(low, high);
        this.#byAddress.set(low, [...there, { high, hook }]);
        this.#byPage.set(page, (this.#byPage.get(page) ?? new Set()).add(low & 4095));
      }
    }
    this.#changed(hook, false);
  }

  /** Removes a hook. */
  remove(hook: CodeHook): void {
    if (!this.#all.delete(hook)) return;
    this.#wide.delete(hook);
    for (const { low, high } of listed(hook) ?? []) {
      const left = this.#byAddress.get(low)!.filter((entry) => entry.hook !== hook), page = pageNumber(low, high);
      if (left.length > 0) this.#byAddress.set(low, left);
      else this.#byAddress.delete(low);
      if (left.some((entry) => entry.high === high)) continue;
      const offsets = this.#byPage.get(page)!;
      offsets.delete(low & 4095);
      if (offsets.size === 0) this.#byPage.delete(page);
    }
    this.#changed(hook, true);
  }

  #changed(hook: CodeHook, removed: boolean): void {
    const addresses = listed(hook);
    const change: HookChange = {
      concerns: (low, high, decoded) =>
        inRanges(hook, low, high) && (hook.instruction === null || (decoded !== null && hook.instruction(decoded))),
      isClass: hook.instruction !== null,
      page: addresses?.length === 1 ? addresses[0]!.low & -4096 : null,
    };
    if (removed) {
      for (const executor of this.executors) for (const physical of this.marked) executor.forget(physical);
      this.marked.clear();
    }
    for (const executor of this.executors) executor.hooksChanged(this, change);
  }

  /** Offsets of halfwords of a virtual page at which an instruction may be hooked because of its address. */
  offsetsIn(low: number, high: number): number[] {
    const offsets = new Set(this.#byPage.get(pageNumber(low, high)));
    for (const hook of this.#wide) {
      if (hook.instruction !== null) continue;
      for (let offset = 0; offset < 4096; offset += 2) {
        if (inRanges(hook, (low & -4096) + offset | 0, high)) offsets.add(offset);
      }
    }
    return [...offsets];
  }

  /** Whether an instruction at a physical address is to be given to `run`, wherever its virtual address is. */
  mayConcern(physical: number, decode: () => Decoded | null): boolean {
    if (this.marked.has(physical)) return true;
    for (const { instruction } of this.#wide) {
      if (instruction === null) continue;
      const decoded = decode();
      if (decoded !== null && instruction(decoded)) return true;
    }
    return false;
  }

  /** The hooks of an instruction; `decoded` is null if there is none. */
  #hooksOf(low: number, high: number, decoded: Decoded | null): CodeHook[] {
    const hooks: CodeHook[] = [];
    for (const entry of this.#byAddress.get(low) ?? []) if (entry.high === high) hooks.push(entry.hook);
    for (const hook of this.#wide) {
      if (!inRanges(hook, low, high)) continue;
      if (hook.instruction === null || (decoded !== null && hook.instruction(decoded))) hooks.push(hook);
    }
    return hooks;
  }

  /** An instruction that is to be compiled, as a site of its hooks; null if it has none. */
  siteAt(low: number, high: number, decoded: Decoded): HookSite | null {
    const hooks = this.#hooksOf(low, high, decoded);
    if (hooks.length === 0) return null;
    // What one address holds may change, and differ from one address space to the other.
    const key = `${low} ${high} ${decoded.word}`, id = this.#siteNumbers.get(key) ?? this.#sites.length;
    this.#siteNumbers.set(key, id);
    return this.#sites[id] = {
      id,
      low,
      high,
      decode: () => decoded,
      calls: hooks.filter(({ counter }) => counter === undefined),
      counters: hooks.flatMap(({ counter }) => counter ?? []),
    };
  }

  /**
   * Calls the hooks of an instruction, whose address is the hart's pc: NOT_HOOKED if there are none, HALTED if one of them wants
   * the run to end before the instruction.
   */
  run(hart: Hart, decode: () => Decoded | null): number {
    const hooks = this.#hooksOf(hart.pcLow, hart.pcHigh, this.#wide.size > 0 ? decode() : null);
    if (hooks.length === 0) return NOT_HOOKED;
    const { pcLow, pcHigh } = hart, result = this.#call(hart, hooks, decode);
    if (result !== HALTED && hart.pcLow === pcLow && hart.pcHigh === pcHigh) {
      for (const { counter } of hooks) if (counter !== undefined) this.#count(counter);
    }
    return result;
  }
  /** The same for a site of compiled code, which counts itself where it goes on. */
  runSite(hart: Hart, id: number): number {
    const { calls, decode } = this.#sites[id]!;
    return this.#call(hart, calls, decode);
  }
  /** Counts the instruction of a site, which is executed elsewhere. */
  countSite(id: number): void {
    for (const counter of this.#sites[id]!.counters) this.#count(counter);
  }

  #call(hart: Hart, hooks: readonly CodeHook[], decode: () => Decoded | null): number {
    const low = hart.pcLow, high = hart.pcHigh, count = hart.count.instructions();
    const last = this.#last[hart.id] ??= { low: 0, high: 0, count: -1 };
    if (last.count === count && last.low === low && last.high === high) return HOOKED;
    last.low = low, last.high = high, last.count = count;
    this.#halt = false;
    for (const hook of hooks) {
      // One may have removed another.
      if (hook.counter === undefined && this.#all.has(hook)) hook.call(hart, decode);
      if (this.#halt || hart.pcLow !== low || hart.pcHigh !== high) break;
    }
    return this.#halt ? HALTED : HOOKED;
  }

  /** Ends the run before the instruction whose hooks are being called. */
  halt(): void {
    this.#halt = true;
  }
}

/** What a change of hooks is about. */
export interface HookChange {
  /** Whether it concerns an instruction; `decoded` is null where there is none. */
  readonly concerns: (low: number, high: number, decoded: Decoded | null) => boolean;
  /** Whether that depends on the instruction, and not on its address alone. */
  readonly isClass: boolean;
  /** Low half of the only page of virtual addresses with such instructions; null where there may be others. */
  readonly page: number | null;
}

/** What hooks ask of an executor. */
export interface HookedExecutor {
  /** Takes a change into account. */
  hooksChanged(hooks: CodeHooks, change: HookChange): void;
  /** Decodes the instruction at a physical address anew. */
  forget(physical: number): void;
}

function pageNumber(low: number, high: number): number {
  return (high >>> 0) * 2 ** 20 + (low >>> 12);
}

/** The addresses of a hook on few addresses; null for others. */
function listed(hook: CodeHook): { low: number; high: number }[] | null {
  if (hook.ranges === null || hook.instruction !== null) return null;
  const size = hook.ranges.reduce((sum, { first, last }) => sum + (last - first) / 2n + 1n, 0n);
  if (size > MOST_LISTED) return null;
  return hook.ranges.flatMap(({ first, last }) => {
    const addresses: { low: number; high: number }[] = [];
    for (let at = first; at <= last; at += 2n) {
      addresses.push({ low: Number(BigInt.asIntN(32, at)), high: Number(BigInt.asIntN(32, at >> 32n)) });
    }
    return addresses;
  });
}

function inRanges(hook: CodeHook, low: number, high: number): boolean {
  if (hook.ranges === null) return true;
  const address = BigInt(high >>> 0) << 32n | BigInt(low >>> 0);
  return hook.ranges.some(({ first, last }) => address >= first && address <= last);
}
