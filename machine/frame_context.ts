// What the location of a variable in a frame is evaluated with.

import { AT, TAG } from "../debug/dwarf/constants.ts";
import { attempt, type Dwarf } from "../debug/dwarf/dwarf.ts";
import { type Context, evaluate, evaluateValue, Unavailable } from "../debug/dwarf/expression.ts";
import { locationAt } from "../debug/dwarf/ranges.ts";
import { type Scope, scopesAt } from "../debug/dwarf/scopes.ts";
import type { Types } from "../debug/dwarf/types.ts";
import type { Die } from "../debug/dwarf/unit.ts";
import { Value } from "../debug/dwarf/value.ts";
import type { SymbolFile } from "./symbol_file.ts";
import type { UnwindTarget, UnwoundFrame } from "./unwind.ts";

/** Callers that are asked for the value that a parameter had at a call: each may have to ask its own. */
const MAX_CALLERS = 8;

interface Placed {
  readonly unwound: UnwoundFrame;
  readonly file: SymbolFile | undefined;
  readonly dwarf: Dwarf | undefined;
  readonly link: bigint;
}

/** What is evaluated outside of any frame: only what does not move. */
export function staticContext(target: UnwindTarget, file: SymbolFile): Context {
  return {
    addressSize: target.xlen === 32 ? 4 : 8,
    register: () => undefined,
    memory: (address, length) => target.memory(address, length),
    relocate: (address) => file.toRun(address),
  };
}

/** What variables of a scope are evaluated with. `caller` is the frame that called this one. */
export function frameContext(
  target: UnwindTarget,
  { unwound, file, dwarf, link }: Placed,
  scope: Scope,
  caller: UnwoundFrame | undefined,
  depth = 0,
): Context {
  const context: Context = {
    addressSize: target.xlen === 32 ? 4 : 8,
    unit: scope.die.unit,
    register: (number) => unwound.register(number),
    memory: (address, length) => target.memory(address, length),
    cfa: () => unwound.cfa,
    relocate: (address) => file === undefined ? address : file.toRun(address),
    frameBase: () => {
      const expression = attempt(() => locationAt(scope.compiled, AT.frameBase, link));
      if (expression === undefined) return undefined;
      const location = evaluate(expression, { ...context, frameBase: () => undefined });
      return location.kind === "register"
        ? unwound.register(location.register)
        : evaluateValue(expression, context).bits;
    },
    entryValue: (expression) => {
      if (caller === undefined || dwarf === undefined || file === undefined || depth > MAX_CALLERS) return undefined;
      const returns = file.toLink(caller.pc), above = file.toLink(caller.lookup);
      const outer = attempt(() => scopesAt(dwarf, above)) ?? [];
      const site = outer[0] && callSite(outer[0].compiled, returns);
      const parameter = site &&
        [...site.children()].find((child) =>
          (child.tag === TAG.callSiteParameter || child.tag === TAG.gnuCallSiteParameter) &&
          same(child.block(AT.location), expression)
        );
      const value = parameter?.block(AT.callValue) ?? parameter?.block(AT.gnuCallSiteValue);
      if (value === undefined) return undefined;
      const placed = { unwound: caller, file, dwarf, link: above };
      return evaluateValue(value, frameContext(target, placed, outer.at(-1)!, undefined, depth + 1));
    },
  };
  return context;
}

function same(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && a.length === b.length && a.every((byte, k) => byte === b[k]);
}

/** The entry of the call that returns to an address. */
function callSite(die: Die, returns: bigint, depth = 0): Die | undefined {
  if (depth > 32) return undefined;
  for (const child of die.children()) {
    if (child.tag === TAG.callSite || child.tag === TAG.gnuCallSite) {
      if ((child.address(AT.callReturnPc) ?? child.address(AT.lowPc)) === returns) return child;
    } else if (child.tag === TAG.lexicalBlock || child.tag === TAG.inlinedSubroutine) {
      const found = callSite(child, returns, depth + 1);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/**
 * A variable's value in a frame; undefined if it has none there.
 *
 * @param link Where the frame is in its function, as linked.
 */
export function locate(die: Die, types: Types, context: Context, link: bigint): Value | undefined {
  const type = types.of(die);
  if (type === undefined) return undefined;
  for (const origin of die.origins()) {
    const raw = origin.raw(AT.constValue);
    if (raw !== undefined) {
      const bytes = new Uint8Array(Math.min(type.size, 65_536));
      if (raw.value instanceof Uint8Array) bytes.set(raw.value.subarray(0, bytes.length));
      else if (typeof raw.value === "string") bytes.set(new TextEncoder().encode(raw.value).subarray(0, bytes.length));
      else {
        const word = BigInt(raw.value);
        bytes.forEach((_, k) => bytes[k] = Number(word >> BigInt(8 * Math.min(k, 15)) & 0xffn));
      }
      return Value.of(bytes, type, context);
    }
    const expression = locationAt(origin, AT.location, link);
    if (expression === undefined) continue;
    const location = evaluate(expression, context);
    if (location.kind === "none") throw new Unavailable("optimised away");
    return Value.at(location, type, context);
  }
  return undefined;
}
