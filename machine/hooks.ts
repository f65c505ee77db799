// Hooks: functions of scripts that are called when the guest does something. `machine.hook` makes them.
//
// They are synchronous. One that only observes changes nothing that the guest could notice. What one throws ends the run with a
// `HookError`; the machine is as it was before the instruction (after it, for hooks on values), and the run can go on.

import type { Hart, TrapRecord } from "../hart/hart.ts";
import type { WatchedAccess, WatchList } from "../hart/watchpoints.ts";
import { CSR_NUMBERS } from "../isa/csr_names.ts";
import { give, HIGH, unsigned64 } from "../isa/pair.ts";
import type { CodeHook, CodeHooks } from "../jit/code_hooks.ts";
import { type AddressRange, parseAddressRanges } from "./address_range.ts";
import { type CallHandlers, hookCall } from "./call_hooks.ts";
import { AddressError, HookError, OptionError } from "./errors.ts";
import { AccessContext, type ContextParts, HookContext, InstructionContext, TrapContext } from "./hook_contexts.ts";
import type { Word } from "./hart_view.ts";
import { type InstructionSelector, instructionTest } from "./instruction_selector.ts";
import { type DeviceHook, interposeDevice } from "./mmio_hooks.ts";
import type { Bus } from "./bus.ts";
import { nearest } from "./nearest.ts";
import { type TrapSelector, trapTest } from "./trap_selector.ts";

/**
 * An address, a symbol (also `main+4`), or a source line (`kernel.c:42`) if there is debug information.
 *
 * @example
 * ```ts
 * import { Machine, type Place } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const places: Place[] = ["trap", 0x8000_0000, machine.symbols.lookup("print")!];
 * for (const place of places) machine.hook.instruction(place, (context) => console.log(context.place));
 * ```
 */
export type Place = number | bigint | string;

/**
 * A hook that can be taken away: `using h = …` or `h.remove()`.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const hook = machine.hook.instruction("trap", (context) => console.log(context.x.a0));
 * await machine.run({ maxInstructions: 1000 });
 * hook.remove();
 * ```
 */
export interface Hook extends Disposable {
  /** Takes it away, also from inside of a hook. */
  remove(): void;
}

/**
 * Counts something, at less cost than a hook.
 *
 * @example
 * ```ts
 * import { Machine, type Counter } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const traps: Counter = machine.count.block("trap_entry");
 * await machine.run();
 * console.log(traps.value, "traps");
 * ```
 */
export interface Counter extends Hook {
  /** How often it has happened. */
  value: number;
}

/**
 * Where and which instructions.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * machine.hook.instruction({ match: "csrrw", within: "trap_entry" }, (context) => console.log(context.place, context.name));
 * await machine.run();
 * ```
 */
export interface InstructionHookOptions {
  /** Which instructions: mnemonics, a pattern of their bits, a mask with a value. All where absent. */
  readonly match?: InstructionSelector;
  /** At one address or symbol. */
  readonly at?: Place;
  /** In all that a symbol names, or in ranges such as `0x8000+0x100`, `main..0x8000ff` (as `-dfilter` takes them). */
  readonly within?: string | AddressRange;
}

/**
 * What memory accesses. Either `at` or `within`.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * machine.hook.memory({ at: "ticks", on: "write" }, (access) => console.log(access.place, access.oldValue, access.value));
 * await machine.run();
 * ```
 */
export interface MemoryHookOptions {
  /** Address or symbol. */
  readonly at?: Place;
  /** Bytes from `at` on; where absent, as many as the symbol has, for an address a register's (a fetch: the instruction there). */
  readonly size?: number;
  /** All that a symbol names, or ranges, as for instructions. */
  readonly within?: string | AddressRange;
  /** Which accesses; all three where absent. */
  readonly on?: "read" | "write" | "fetch" | readonly ("read" | "write" | "fetch")[];
  /** Whether addresses are virtual (the default: as the guest's instructions have them) or physical. Fetches are always virtual. */
  readonly space?: "virtual" | "physical";
}

/**
 * What a hook on values gives back: the value to use instead, or undefined.
 *
 * @example
 * ```ts
 * import { Machine, type Replacement } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * // The kernel finds itself on hart 5.
 * const read = (): Replacement => 5;
 * machine.hook.csr("mhartid", { read });
 * await machine.run();
 * ```
 */
export type Replacement = number | bigint | undefined | void;

/**
 * Hooks on a CSR. Both get the value; what they give back is read or written instead.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * machine.hook.csr("mhartid", { read: () => 5 });
 * await machine.run();
 * ```
 */
export interface CsrHandlers<X extends 32 | 64> {
  /** A CSR instruction reads it. */
  read?(value: Word<X>, context: HookContext<X>): Replacement;
  /** A CSR instruction writes it; `value` is what would be written, before bits that cannot change are left out. */
  write?(value: Word<X>, context: HookContext<X>): Replacement;
}

/** What hooks need of the machine. */
export interface HookParts extends ContextParts {
  readonly xlen: 32 | 64;
  readonly rawHarts: readonly Hart[];
  readonly code: CodeHooks;
  readonly watchpoints: WatchList;
  readonly bus: Bus;
  /** Where code of a source line begins. */
  readonly lineAddresses: (file: string, line: number) => bigint[];
  /** Ends the run with an error. */
  readonly fail: (error: unknown, what: string) => void;
}

const MEMORY_KINDS = { read: 1, write: 2 } as const;

/**
 * Makes hooks: `machine.hook`.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * machine.hook.call("print", { enter: (call) => console.log(call.string(0)) });
 * machine.hook.csr("mtvec", { write: (value) => console.log("traps go to", value) });
 * machine.hook.trap({ cause: "environment call from U-mode" }, (trap) => console.log("ecall at", trap.place));
 * await machine.run();
 * ```
 */
export class Hooks<X extends 32 | 64 = 32 | 64> {
  readonly #parts: HookParts;
  readonly #csrs = new Map<number, Set<CsrHandlers<X>>>();
  readonly #traps = new Set<(context: TrapContext<X>) => void>();

  /** For the machine. */
  constructor(parts: HookParts) {
    this.#parts = parts;
  }

  /**
   * Calls a function before certain instructions.
   *
   * @param where An address, a symbol (the instruction there), a source line (wherever code of it begins), or options.
   * @throws {AddressError} If there is no such symbol.
   * @throws {OptionError} If there is no such mnemonic.
   */
  instruction(where: Place | InstructionHookOptions, call: (context: InstructionContext<X>) => void): Hook {
    const selected = this.#selected(where, "hook.instruction");
    return this.#code({
      ...selected,
      call: (hart, decode) => call(new InstructionContext<X>(this.#parts, hart, decode)),
    }, "hook.instruction");
  }

  /** Counts certain instructions. For `machine.count`. */
  counter(where: Place | InstructionHookOptions): Counter {
    const { code } = this.#parts, selected = this.#selected(where, "count"), counter = code.counter();
    if (counter === undefined) {
      // There are more than compiled code has a place for.
      const count = { value: 0 };
      const { remove } = this.#code({ ...selected, call: () => void count.value++ }, "count");
      return Object.assign(count, { remove, [Symbol.dispose]: remove });
    }
    const hook: CodeHook = { ...selected, call: () => {}, counter };
    code.add(hook);
    let last: number | null = null;
    const { remove } = removable(() => {
      code.remove(hook);
      last = code.counterValue(counter);
      code.freeCounter(counter);
    });
    return {
      get value() {
        return last ?? code.counterValue(counter);
      },
      set value(value) {
        if (!Number.isSafeInteger(value) || value < 0) throw new OptionError(`count: ${value} is no number of times`);
        if (last === null) code.setCounter(counter, value);
        else last = value;
      },
      remove,
      [Symbol.dispose]: remove,
    };
  }

  /** Which instructions somebody means. */
  #selected(where: Place | InstructionHookOptions, what: string): Pick<CodeHook, "ranges" | "instruction"> {
    const options = typeof where === "object" ? where : { at: where };
    const ranges = options.at !== undefined
      ? this.#addresses(options.at).map((address) => this.#single(address))
      : options.within !== undefined
      ? this.#ranges(options.within)
      : null;
    const instruction = options.match === undefined ? null : instructionTest(options.match, this.#parts.xlen);
    if (ranges === null && instruction === null) {
      throw new OptionError(`${what}: say which: at, within or match`);
    }
    return { ranges, instruction };
  }

  /**
   * Calls functions when a function of the guest is called and when it returns.
   *
   * `enter` comes before the first instruction; it may return in the function's place (`c.return(value)`). `leave` comes when
   * execution is back at the return address with the stack pointer of the call. A call that never returns (longjmp, a thread that
   * ends) has no `leave`; nor has a function that calls itself in tail position, but for the last time.
   *
   * @param where An address, a symbol, or a source line: the function that code of it is in, or all, where it was inlined.
   */
  call(where: Place, handlers: CallHandlers<X>): Hook {
    const attach = (hook: CodeHook, what: string) => this.#code(hook, what), { symbols } = this.#parts;
    if (this.#line(where) === null) {
      const address = this.address(where), name = typeof where === "string" ? where : symbols.format(address);
      return hookCall<X>(this.#parts, address, name, handlers, attach);
    }
    const functions = new Map(
      this.#addresses(where).map((address) => {
        const { symbol } = symbols.at(address) ?? {};
        if (symbol === undefined) throw new AddressError(`${where} is in no function that has a symbol`);
        return [symbol.value, symbol.name];
      }),
    );
    const hooks = [...functions].map(([address, name]) => hookCall<X>(this.#parts, address, name, handlers, attach));
    return removable(() => hooks.forEach((hook) => hook.remove()));
  }

  /**
   * Calls a function each time that control comes to a source line: wherever code of it begins, in several places where it was
   * inlined or taken apart. Needs debug information.
   *
   * @param where File and line, such as `kernel.c:42`; as many folders before the name as are needed to tell files apart.
   * @throws {AddressError} If there is no such file, or no code for that line; the message names the next line that has some.
   */
  line(where: string, call: (context: InstructionContext<X>) => void): Hook {
    if (this.#line(where) === null) throw new OptionError(`hook.line: ${where}: write FILE:LINE, such as kernel.c:42`);
    return this.instruction(where, call);
  }

  /** File and line of a place that names them, and no symbol. */
  #line(where: Place): { file: string; line: number } | null {
    if (typeof where !== "string" || this.#parts.symbols.lookup(where) !== undefined) return null;
    const [, file, line] = /^(.*[^:]):(\d+)$/.exec(where) ?? [];
    return file === undefined ? null : { file, line: Number(line) };
  }

  #addresses(where: Place): bigint[] {
    const place = this.#line(where);
    return place === null ? [this.address(where)] : this.#parts.lineAddresses(place.file, place.line);
  }

  /** Calls a function at the start of each basic block of a function or range of the guest, as its code is now. */
  block(within: string | AddressRange, call: (context: InstructionContext<X>) => void): Hook {
    return this.#code({
      ranges: this.#blocks(within).map((address) => this.#single(address)),
      instruction: null,
      call: (hart, decode) => call(new InstructionContext<X>(this.#parts, hart, decode)),
    }, "hook.block");
  }

  /** Calls functions when instructions read or write a CSR. What traps does not count, nor what the hardware writes. */
  csr(name: string | number, handlers: CsrHandlers<X>): Hook {
    const number = typeof name === "number" ? name : CSR_NUMBERS[name];
    if (number === undefined) throw new OptionError(`no CSR ${name}${nearest(String(name), Object.keys(CSR_NUMBERS))}`);
    const all = this.#csrs.get(number) ?? new Set();
    this.#csrs.set(number, all.add(handlers));
    this.#csrsChanged();
    return removable(() => {
      all.delete(handlers);
      if (all.size === 0) this.#csrs.delete(number);
      this.#csrsChanged();
    });
  }

  #csrsChanged(): void {
    const hooks = new Map([...this.#csrs].map(([number, all]) => {
      const change = (kind: "read" | "write") => (hart: Hart, low: number, high: number) => {
        let value = hart.xlen === 32 ? BigInt(low >>> 0) : unsigned64(low, high);
        for (const handlers of all) {
          if (handlers[kind] === undefined) continue;
          const context = new HookContext<X>(this.#parts, hart);
          const shown = (hart.xlen === 32 ? Number(value) : value) as Word<X>;
          const result = this.#guard(() => handlers[kind]!(shown, context), "hook.csr");
          if (result !== undefined) value = BigInt(result);
        }
        return give(BigInt.asUintN(hart.xlen, value));
      };
      return [number, { read: change("read"), write: change("write") }];
    }));
    for (const hart of this.#parts.rawHarts) hart.csrHooks = hooks.size === 0 ? null : hooks;
  }

  /**
   * Calls a function before a trap is taken: it may let it be taken (`t.deliver()`, or nothing), go on elsewhere without it
   * (`t.resume(pc)`), or end the run at the first instruction of the handler (`t.stop()`).
   */
  trap(selector: TrapSelector, call: (context: TrapContext<X>) => void): Hook {
    const matches = trapTest(selector);
    const one = (context: TrapContext<X>) => {
      if (matches(context.code, context.interrupt)) call(context);
    };
    this.#traps.add(one);
    this.#trapsChanged();
    return removable(() => {
      this.#traps.delete(one);
      this.#trapsChanged();
    });
  }

  #trapsChanged(): void {
    for (const hart of this.#parts.rawHarts) {
      hart.trapHook = this.#traps.size === 0 ? null : (trap: TrapRecord) => {
        const context = new TrapContext<X>(this.#parts, hart, trap);
        for (const one of this.#traps) {
          this.#guard(() => one(context), "hook.trap");
          if (!context.delivered) return false;
        }
        return true;
      };
    }
  }

  /**
   * Calls a function at loads (after them), stores (before them) and fetches of certain addresses. What it gives back is loaded
   * or stored instead.
   */
  memory(options: MemoryHookOptions, call: (access: AccessContext<X>) => Replacement): Hook {
    const on = options.on === undefined
      ? ["read", "write", "fetch"] as const
      : typeof options.on === "string"
      ? [options.on]
      : options.on;
    const ranges = this.#memoryRanges(options, this.#parts.xlen / 8), removes: Hook[] = [];
    const kinds = on.reduce((sum, kind) => sum | (kind === "fetch" ? 0 : MEMORY_KINDS[kind]), 0);
    const { watchpoints, rawHarts } = this.#parts;
    for (const { first, last } of kinds === 0 ? [] : ranges) {
      const watch = {
        first,
        last,
        space: options.space ?? "virtual",
        kinds,
        hit: (access: WatchedAccess) => {
          const { address, physical, size, oldValue, value } = access;
          const kind = access.kind === MEMORY_KINDS.read ? "read" : "write";
          const context = new AccessContext<X>(this.#parts, rawHarts[access.hart]!, {
            kind,
            address,
            physical,
            size,
            oldValue,
            value,
          });
          const result = this.#guard(() => call(context), "hook.memory");
          if (result !== undefined) access.value = BigInt(result);
        },
      } as const;
      watchpoints.add(watch);
      removes.push(removable(() => watchpoints.remove(watch)));
    }
    if (on.includes("fetch")) {
      const fetch: CodeHook = {
        ranges: this.#memoryRanges(options, 1),
        instruction: null,
        call: (hart, decode) => {
          const decoded = decode(), address = hart.pc;
          const physical = this.#parts.debug().translate(hart.id, address);
          call(
            new AccessContext<X>(this.#parts, hart, {
              kind: "fetch",
              address,
              physical: Number(physical ?? address),
              size: decoded?.length ?? 2,
              oldValue: undefined,
              value: BigInt(decoded?.word ?? 0),
            }),
          );
        },
      };
      removes.push(this.#code(fetch, "hook.memory"));
    }
    return removable(() => removes.forEach((hook) => hook.remove()));
  }

  /**
   * Sees, and may replace, what the guest reads from and writes to a device that is there.
   *
   * @param device Its name as in the memory map (`serial@10000000`), or a physical address that it answers.
   * @throws {AddressError} If there is no such device.
   */
  mmio(device: string | number | bigint, hook: DeviceHook): Hook {
    return interposeDevice(this.#parts, device, hook, (what, act) => this.#guard(act, what));
  }

  /**
   * The address of a symbol or source line (the first, if it has several), or an address itself.
   *
   * @throws {AddressError} If there is no such symbol or line.
   */
  address(where: Place): bigint {
    if (this.#line(where) !== null) return this.#addresses(where)[0]!;
    if (typeof where !== "string") return BigInt.asUintN(this.#parts.xlen, BigInt(where));
    const { symbols } = this.#parts, known = symbols.lookup(where);
    if (known !== undefined) return known;
    const [, name, offset] = /^(.+)\+(0x[0-9a-f]+|\d+)$/i.exec(where) ?? [], base = name && symbols.lookup(name);
    if (typeof base === "bigint") return base + BigInt(offset!);
    if (/^0x[0-9a-f]+$/i.test(where)) return BigInt(where);
    throw new AddressError(`no symbol ${where}${nearest(where, [...symbols.names()])}`);
  }

  #single(address: bigint): AddressRange {
    return { first: address, last: address };
  }

  #ranges(within: string | AddressRange): AddressRange[] {
    return typeof within === "string" ? parseAddressRanges(within, this.#parts.symbols) : [within];
  }

  #memoryRanges({ at, size, within }: MemoryHookOptions, unsized: number): AddressRange[] {
    if (within !== undefined) return this.#ranges(within);
    if (at === undefined) throw new OptionError("hook.memory: say where: at or within");
    const first = this.address(at);
    const symbol = typeof at === "string" ? this.#parts.symbols.at(first)?.symbol : undefined;
    const bytes = size ??
      (symbol !== undefined && symbol.value === first && symbol.size > 0n ? Number(symbol.size) : unsized);
    if (!Number.isInteger(bytes) || bytes < 1) throw new OptionError(`hook.memory: size ${bytes}`);
    return [{ first, last: first + BigInt(bytes - 1) }];
  }

  /** Addresses at which basic blocks start: the range, targets of its direct jumps, what follows a jump. */
  #blocks(within: string | AddressRange): bigint[] {
    const starts = new Set<bigint>(), { symbols } = this.#parts, debug = this.#parts.debug();
    for (const { first, last } of this.#ranges(within)) {
      starts.add(first);
      for (let at = first; at <= last;) {
        const bytes = debug.read(0, at, 4) ?? debug.read(0, at, 2);
        if (bytes === undefined) throw new AddressError(`no memory at ${symbols.format(at)}`);
        const decoded = this.#parts.decode(bytes.reduceRight((sum, byte) => sum * 256 + byte, 0));
        const length = BigInt(decoded?.length ?? ((bytes[0]! & 3) === 3 ? 4 : 2)), next = at + length;
        const format = decoded?.instruction.format;
        if (format === "branch" || format === "jump") {
          const target = at + BigInt(decoded!.operands.imm);
          if (target >= first && target <= last) starts.add(target);
        }
        const ends = format === "branch" || format === "jump" || decoded?.instruction.name === "jalr";
        if (ends && next <= last) starts.add(next);
        at = next;
      }
    }
    return [...starts];
  }

  #code(hook: CodeHook, what: string): Hook {
    const guarded: CodeHook = {
      ...hook,
      call: (hart, decode) => {
        this.#guard(() => hook.call(hart, decode), what);
      },
    };
    this.#parts.code.add(guarded);
    return removable(() => this.#parts.code.remove(guarded));
  }

  /** Calls a script's function; what it throws ends the run. */
  #guard<T>(call: () => T, what: string): T | undefined {
    const high = HIGH[0]!;
    try {
      const result = call();
      if (result instanceof Promise) {
        result.catch(() => {});
        throw new OptionError("a hook must not be asynchronous: it gave back a promise");
      }
      return result;
    } catch (e) {
      if (!(e instanceof HookError)) this.#parts.fail(e, what);
      this.#parts.code.halt();
      return undefined;
    } finally {
      HIGH[0] = high;
    }
  }
}

/** A hook from what removes it. */
export function removable(remove: () => void): Hook {
  let removed = false;
  const once = () => {
    if (!removed) remove();
    removed = true;
  };
  return { remove: once, [Symbol.dispose]: once };
}

/**
 * Counts what the guest executes: `machine.count`.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const traps = machine.count.block("trap");
 * await machine.run();
 * console.log(traps.value);
 * ```
 */
export class Counters {
  readonly #hooks: Hooks;

  /** For the machine. */
  constructor(hooks: Hooks) {
    this.#hooks = hooks;
  }

  /** Counts how often the instruction at an address or symbol is executed: calls of a function, turns of a loop. */
  block(where: Place): Counter {
    return this.#hooks.counter(where);
  }
  /** Counts executions of certain instructions. */
  instruction(where: InstructionHookOptions): Counter {
    return this.#hooks.counter(where);
  }
}
