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

/** Names a call among those that are in progress: where it returns to, with which stack pointer, in which address space. */
function frameKey(hart: Hart, low: number, high: number): string {
  const { x, csrs } = hart, sp = hart.xlen === 32 ? `${x[2]}` : `${x[4]}.${x[5]}`;
  return `${low}.${high} ${sp} ${csrs[2 * CSR.satp]}.${csrs[2 * CSR.satp + 1]}`;
}

/** Hooks the calls of the function at an address. */
export function hookCall<X extends 32 | 64>(
  parts: HookParts,
  address: bigint,
  name: string,
  handlers: CallHandlers<X>,
  attach: (hook: CodeHook, what: string) => Hook,
): Hook {
  const { enter, leave } = handlers, frames = new Map<string, CallContext<X>>();
  // Return addresses stay hooked: a function is called from few places, many times.
  const returns = new Map<bigint, Hook>();
  const returned = (hart: Hart) => {
    const key = frameKey(hart, hart.pcLow, hart.pcHigh), call = frames.get(key);
    if (call === undefined) return;
    frames.delete(key);
    leave!.call(handlers, new ReturnContext<X>(parts, hart, call));
  };
  const entered = (hart: Hart) => {
    const call = new CallContext<X>(parts, hart, name), before = hart.pc;
    enter?.call(handlers, call);
    if (leave === undefined || hart.pc !== before) return;
    const wide = hart.xlen === 64, low = hart.x[wide ? 2 : 1]!, high = wide ? hart.x[3]! : 0;
    const key = frameKey(hart, low, high), to = BigInt(call.returnAddress);
    frames.delete(key);
    frames.set(key, call);
    if (frames.size > MOST_FRAMES) frames.delete(frames.keys().next().value!);
    if (!returns.has(to)) {
      returns.set(
        to,
        attach({ ranges: [{ first: to, last: to }], instruction: null, call: returned }, `hook.call ${name}, leave`),
      );
    }
  };
  const hook = attach(
    { ranges: [{ first: address, last: address }], instruction: null, call: entered },
    `hook.call ${name}, enter`,
  );
  const remove = () => {
    hook.remove();
    for (const each of returns.values()) each.remove();
    returns.clear();
  };
  return { remove, [Symbol.dispose]: remove };
}
