// Hooks on calls: which return belongs to which call.

import { CSR } from "../hart/csr.ts";
import type { Hart } from "../hart/hart.ts";
import type { CodeHook } from "../jit/code_hooks.ts";
import { CallContext, ReturnContext } from "./hook_contexts.ts";
import type { Hook, HookParts } from "./hooks.ts";

/**
 * What to call when the guest calls a function and when that returns.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * machine.hook.call("trap", { enter: (call) => console.log(call.arg(0)), leave: (end) => console.log(end.result) });
 * await machine.run();
 * ```
 */
export interface CallHandlers<X extends 32 | 64> {
  /** Before its first instruction. */
  enter?(call: CallContext<X>): void;
  /** After its last, before the instruction at the return address. */
  leave?(call: ReturnContext<X>): void;
}

/** Calls that have not returned are forgotten when there are more than this many, the oldest first. */
const MOST_FRAMES = 10_000;

/** A call in progress, named by where it returns to, with which stack pointer, in which address space. */
interface Frame<X extends 32 | 64> {
  readonly toLow: number;
  readonly toHigh: number;
  readonly spLow: number;
  readonly spHigh: number;
  readonly satpLow: number;
  readonly satpHigh: number;
  readonly call: CallContext<X>;
  /** One with the same key. */
  next: Frame<X> | undefined;
}

/** The calls of a function that are in progress. */
class Frames<X extends 32 | 64> {
  /** By a number that equal names have in common. */
  readonly #frames = new Map<number, Frame<X>>();

  /** Takes the call out that returns to an address now; undefined if there is none. */
  take(hart: Hart, toLow: number, toHigh: number): CallContext<X> | undefined {
    const { csrs, x, xlen } = hart, spLow = x[xlen / 16]!, spHigh = xlen === 32 ? 0 : x[5]!, key = keyOf(toLow, spLow);
    const satpLow = csrs[2 * CSR.satp]!, satpHigh = csrs[2 * CSR.satp + 1]!;
    let before: Frame<X> | undefined = undefined;
    for (let frame = this.#frames.get(key); frame !== undefined; before = frame, frame = frame.next) {
      const isIt = frame.toLow === toLow && frame.toHigh === toHigh && frame.spLow === spLow &&
        frame.spHigh === spHigh && frame.satpLow === satpLow && frame.satpHigh === satpHigh;
      if (!isIt) continue;
      if (before !== undefined) before.next = frame.next;
      else if (frame.next !== undefined) this.#frames.set(key, frame.next);
      else this.#frames.delete(key);
      return frame.call;
    }
    return undefined;
  }

  /** Adds a call, in place of one of the same name, which never returned. */
  add(hart: Hart, toLow: number, toHigh: number, call: CallContext<X>): void {
    this.take(hart, toLow, toHigh);
    const { csrs, x, xlen } = hart, spLow = x[xlen / 16]!, spHigh = xlen === 32 ? 0 : x[5]!, key = keyOf(toLow, spLow);
    const satpLow = csrs[2 * CSR.satp]!, satpHigh = csrs[2 * CSR.satp + 1]!, next = this.#frames.get(key);
    this.#frames.set(key, { toLow, toHigh, spLow, spHigh, satpLow, satpHigh, call, next });
    if (this.#frames.size > MOST_FRAMES) this.#frames.delete(this.#frames.keys().next().value!);
  }
}

function keyOf(to: number, sp: number): number {
  return to ^ (sp << 7 | sp >>> 25);
}

/** Hooks the calls of the function at an address. */
export function hookCall<X extends 32 | 64>(
  parts: HookParts,
  address: bigint,
  name: string,
  handlers: CallHandlers<X>,
  attach: (hook: CodeHook, what: string) => Hook,
): Hook {
  const { enter, leave } = handlers, frames = new Frames<X>();
  // Return addresses stay hooked: a function is called from few places, many times. By the low half of the address.
  const returns = new Map<number, { readonly high: number; readonly hook: Hook }[]>();
  const returned = (hart: Hart) => {
    const call = frames.take(hart, hart.pcLow, hart.pcHigh);
    if (call !== undefined) leave!.call(handlers, new ReturnContext<X>(parts, hart, call));
  };
  const hookReturn = (low: number, high: number, to: bigint) => {
    const there = returns.get(low) ?? [];
    if (there.some((other) => other.high === high)) return;
    const range = { first: to, last: to };
    const hook = attach({ ranges: [range], instruction: null, call: returned }, `hook.call ${name}, leave`);
    returns.set(low, [...there, { high, hook }]);
  };
  const entered = (hart: Hart) => {
    const call = new CallContext<X>(parts, hart, name), { pcLow, pcHigh } = hart;
    enter?.call(handlers, call);
    if (leave === undefined || hart.pcLow !== pcLow || hart.pcHigh !== pcHigh) return;
    const wide = hart.xlen === 64, low = call.words[0]!, high = wide ? call.words[1]! : 0;
    frames.add(hart, low, high, call);
    hookReturn(low, high, BigInt(call.returnAddress));
  };
  const hook = attach(
    { ranges: [{ first: address, last: address }], instruction: null, call: entered },
    `hook.call ${name}, enter`,
  );
  const remove = () => {
    hook.remove();
    for (const each of returns.values()) each.forEach(({ hook }) => hook.remove());
    returns.clear();
  };
  return { remove, [Symbol.dispose]: remove };
}
