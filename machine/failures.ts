// Finds out that a guest will not get any further: trap loops, reset loops, waiting for nothing, loops that change nothing, panics.
//
// Nothing here costs anything while compiled code runs: exceptions, resets, WFI and a jump to itself are slow paths anyway, a
// panic is a hook, and loops are looked at between two turns of the host.

import { CAUSE, MACHINE, USER } from "../hart/trap.ts";
import type { Hart } from "../hart/hart.ts";
import { unsigned64 } from "../isa/pair.ts";
import type { Pattern } from "./console_text.ts";
import { OptionError } from "./errors.ts";
import type { StopCause } from "./stop.ts";

/**
 * Which failures end a run, and when.
 *
 * @example
 * ```ts
 * import { Machine, type FailureOptions } from "hartbeat";
 *
 * // Only what is certain, and a panic; loops that change nothing may go on.
 * const failures: FailureOptions = { noProgress: false, panic: true };
 * const machine = await Machine.create({ bios: "tests/programs/p0uart.elf", failures });
 * console.log((await machine.run()).kind);
 * ```
 */
export interface FailureOptions {
  /** Nothing can happen any more. Default true. */
  readonly deadlock?: boolean;
  /**
   * The same exception at the same place: after so many returns to it without progress (10,000, since a handler may wait for
   * something in this way). A handler that faults in itself, with equal registers or on an ever deeper stack, or at its first
   * instruction, is recognised after 1000 times. False: never.
   */
  readonly trapLoop?: boolean | number;
  /** So many resets in a row with equal numbers of instructions between them (5); false: never. */
  readonly resetLoop?: boolean | number;
  /** A loop that changes nothing while no interrupt can come. Default true. */
  readonly noProgress?: boolean;
  /**
   * True: a jump of supervisor or machine mode to where nothing can be executed ends the run at once. Default false: only when
   * it leads to a trap loop, since the guest may handle it.
   */
  readonly invalidJump?: boolean;
  /** Functions and output that say that the guest gives up. Default false. */
  readonly panic?: boolean | PanicOptions;
}

/**
 * What a panic looks like.
 *
 * @example
 * ```ts
 * import { Machine, type PanicOptions } from "hartbeat";
 *
 * const panic: PanicOptions = { patterns: [/^PANIC: /], grace: 100_000 };
 * const machine = await Machine.create({ bios: "tests/programs/p0uart.elf", failures: { panic } });
 * console.log(machine.explain(await machine.run()));
 * ```
 */
export interface PanicOptions {
  /** Symbols of functions; those that are not there are ignored. */
  readonly symbols?: readonly string[];
  /** Patterns in lines of the console. */
  readonly patterns?: readonly Pattern[];
  /** Instructions that may follow, so that the guest can print its message (1,000,000). */
  readonly grace?: number;
}

/** Functions that are called when a program gives up: of Rust, C libraries, Linux, Zephyr, xv6, BSD. */
export const PANIC_SYMBOLS: readonly string[] = [
  "rust_begin_unwind",
  "rust_panic",
  "panic",
  "panic_impl",
  "kernel_panic",
  "__assert_fail",
  "__assert_func",
  "__assert",
  "abort",
  "k_sys_fatal_error_handler",
  "vpanic",
];

/** Lines that say it. */
export const PANIC_PATTERNS: readonly Pattern[] = [
  /panicked at/,
  /Kernel panic/,
  /^panic(:|\()/i,
  /assertion .*failed/i,
];

const GRACE = 1_000_000;
/**
 * Times that the same fault may come in a trap handler, and at its first instruction. Programs that probe go on from there without
 * a return from the trap, so registers must tell that nothing changes.
 */
const NESTED = 1000, AT_ONCE = 1000;
/** Number of the stack pointer. */
const SP = 2;

/** What was last seen of a hart's exceptions. */
interface Last {
  cause: number;
  pcLow: number;
  pcHigh: number;
  valueLow: number;
  valueHigh: number;
  privilege: number;
  /** Instructions executed then. */
  count: number;
  /** Returns from traps until then. */
  returns: number;
  /** How often the same has come: without anything executed, in the handler, there on a deeper stack, after a return to it. */
  atOnce: number;
  nestedSame: number;
  nestedDeeper: number;
  returned: number;
  /** Registers at the last two of those in the handler: it may exchange some with a CSR each time. */
  before: Int32Array;
  older: Int32Array;
  /** How many of these there are. */
  copies: number;
}

/** What the detector needs of the machine. */
export interface FailureParts {
  readonly harts: readonly Hart[];
  readonly instructions: () => number;
  /** Ends the run before the next instruction. */
  readonly end: (cause: StopCause) => void;
  /** Whether a run is in progress in which no debugger has a say. */
  readonly isAlone: () => boolean;
  /** Whether something may still happen by itself: an alarm, input from outside. */
  readonly mayHappen: () => boolean;
  /** Whether an address can be executed from, as a hart has it. */
  readonly isExecutable: (hart: Hart, address: bigint) => boolean;
}

/** Watches a machine. */
export class FailureDetector {
  readonly #parts: FailureParts;
  #trapLoop = 10_000;
  #resetLoop = 5;
  #options: FailureOptions = {};
  /** By number of the hart. */
  readonly #last: Last[] = [];
  readonly #selfJumps = new Set<Hart>();
  #resets = { at: -1, interval: -1, equal: 0 };
  /** A panic that was seen: what, and the count of instructions at which the run ends. */
  #panic: { what: string; end: number } | null = null;

  constructor(parts: FailureParts) {
    this.#parts = parts;
    for (const hart of parts.harts) {
      this.#last[hart.id] = newLast();
      hart.onException = (...exception) => this.#exception(hart, ...exception);
      hart.onSelfJump = () => this.#selfJump(hart);
    }
  }

  /** What ends a run. */
  get options(): FailureOptions {
    return this.#options;
  }
  set options(options: FailureOptions) {
    const times = (value: boolean | number | undefined, normal: number, name: string) => {
      const result = value === false ? Infinity : value === true || value === undefined ? normal : value;
      if (!(result >= 2)) throw new OptionError(`failures: ${name}: ${value} is no number of times from 2 on`);
      return result;
    };
    this.#trapLoop = times(options.trapLoop, 10_000, "trapLoop");
    this.#resetLoop = times(options.resetLoop, 5, "resetLoop");
    this.#options = options;
  }

  /** To be called where a run begins. */
  begin(): void {
    for (const hart of this.#parts.harts) this.#last[hart.id] = newLast();
    this.#selfJumps.clear();
  }

  // Trap loops and jumps to nowhere.

  #exception(hart: Hart, cause: number, valueLow: number, valueHigh: number): void {
    if (!this.#parts.isAlone()) return;
    const { pcLow, pcHigh, privilege } = hart, count = this.#parts.instructions(), { returns } = hart;
    const isFetch = cause === CAUSE.instructionAccess || cause === CAUSE.instructionPage;
    if (this.#options.invalidJump === true && isFetch && privilege !== USER && this.#isNowhere(hart)) {
      return this.#parts.end({ kind: "invalid-jump" });
    }
    const last = this.#last[hart.id]!;
    const samePlace = last.cause === cause && last.pcLow === pcLow && last.pcHigh === pcHigh &&
      last.privilege === privilege;
    const sameValue = samePlace && last.valueLow === valueLow && last.valueHigh === valueHigh;
    last.atOnce = sameValue && count === last.count + 1 ? last.atOnce + 1 : 1;
    if (samePlace && returns === last.returns) this.#nested(hart, last, sameValue);
    else last.nestedSame = last.nestedDeeper = 1, last.copies = 0;
    const isReturned = sameValue && hart.returnedAt === count - 1 && hart.returnedLow === pcLow;
    last.returned = isReturned ? last.returned + 1 : 1;
    last.cause = cause, last.privilege = privilege, last.count = count, last.returns = returns;
    last.pcLow = pcLow, last.pcHigh = pcHigh, last.valueLow = valueLow, last.valueHigh = valueHigh;
    if (this.#trapLoop === Infinity) return;
    const isLoop = last.atOnce >= AT_ONCE || last.nestedSame >= NESTED || last.nestedDeeper >= NESTED ||
      last.returned >= this.#trapLoop;
    if (!isLoop) return;
    this.#last[hart.id] = newLast();
    this.#parts.end({ kind: isFetch && this.#isNowhere(hart) ? "invalid-jump" : "trap-loop" });
  }

  /** The same exception again, and no return from a trap in between. */
  #nested(hart: Hart, last: Last, sameValue: boolean): void {
    const { x } = hart, { before, older, copies } = last, sp = hart.xlen === 32 ? SP : 2 * SP;
    const same = (other: Int32Array) => other.every((word, k) => word === x[k]);
    const isSame = sameValue && ((copies > 0 && same(before)) || (copies > 1 && same(older)));
    last.nestedSame = isSame ? last.nestedSame + 1 : 1;
    last.nestedDeeper = copies > 0 && x[sp]! >>> 0 < before[sp]! >>> 0 ? last.nestedDeeper + 1 : 1;
    older.set(x.subarray(0, older.length));
    last.before = older, last.older = before;
    last.copies = Math.min(copies + 1, 2);
  }

  #isNowhere(hart: Hart): boolean {
    return !this.#parts.isExecutable(hart, unsigned64(hart.pcLow, hart.pcHigh));
  }

  // Deadlock.

  /** A hart jumps to itself; true if nothing can end that. */
  #selfJump(hart: Hart): boolean {
    this.#selfJumps.add(hart);
    if (this.#options.deadlock === false || !this.#parts.isAlone()) return false;
    for (const other of this.#parts.harts) {
      if (other !== hart && !other.waiting && !this.#isStuck(other)) return false;
      // A hart that waits goes on with whatever is enabled, whether or not it is taken.
      if (other.waiting && other.hasEnabledInterrupts() && this.#parts.mayHappen()) return false;
    }
    if (hart.canBeInterrupted() && this.#parts.mayHappen()) return false;
    this.#parts.end({ kind: "deadlock" });
    return true;
  }

  #isStuck(hart: Hart): boolean {
    return this.#selfJumps.has(hart) && !hart.canBeInterrupted();
  }

  /** To be called before a hart executes: it may have left its jump to itself. */
  executes(hart: Hart): void {
    if (this.#selfJumps.size > 0) this.#selfJumps.delete(hart);
  }

  // Resets.

  /** To be called when the guest has reset the machine. */
  reset(): void {
    const now = this.#parts.instructions(), interval = now - this.#resets.at;
    const equal = interval === this.#resets.interval ? this.#resets.equal + 1 : 1;
    this.#resets = { at: now, interval, equal };
    // The first interval begins at the first reset.
    if (equal + 1 >= this.#resetLoop) this.#parts.end({ kind: "reset-loop" });
  }

  // Panics.

  /** To be called when a function was called, or a line printed, that says that the guest gives up. */
  panicked(what: string, grace = GRACE): void {
    this.#panic ??= { what, end: this.#parts.instructions() + grace };
    if (grace === 0) this.#parts.end({ kind: "panic", what });
  }
  /** Instructions that may be executed after a panic; Infinity without. Ends the run where there are none. */
  get left(): number {
    if (this.#panic === null) return Infinity;
    const left = this.#panic.end - this.#parts.instructions();
    if (left <= 0) this.#parts.end({ kind: "panic", what: this.#panic.what });
    if (left <= 0) this.#panic = null;
    return left;
  }
  /** What a stop is called after a panic: what the guest does in the end is part of it. */
  named(cause: StopCause): StopCause {
    if (this.#panic === null) return cause;
    const { what } = this.#panic;
    const isEnd = ["deadlock", "trap-loop", "reset", "reset-loop", "no-progress", "invalid-jump"].includes(cause.kind);
    if (!isEnd) return cause;
    this.#panic = null;
    return { kind: "panic", what };
  }

  // Loops that change nothing.

  /** Whether a loop of the only hart that executes may be one that nothing can end. */
  mayBeStuck(): Hart | null {
    if (this.#options.noProgress === false || !this.#parts.isAlone()) return null;
    const running = this.#parts.harts.filter(({ waiting }) => !waiting), [hart] = running;
    if (running.length !== 1 || hart === undefined) return null;
    if (this.#parts.harts.some((other) => other.waiting && other.hasEnabledInterrupts()) && this.#parts.mayHappen()) {
      return null;
    }
    return hart.canBeInterrupted() && this.#parts.mayHappen() ? null : hart;
  }
}

function newLast(): Last {
  return {
    cause: -1,
    pcLow: 0,
    pcHigh: 0,
    valueLow: 0,
    valueHigh: 0,
    privilege: MACHINE,
    count: -2,
    returns: -1,
    atOnce: 0,
    nestedSame: 0,
    nestedDeeper: 0,
    returned: 0,
    before: new Int32Array(64),
    older: new Int32Array(64),
    copies: 0,
  };
}
