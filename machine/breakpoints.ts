// The breakpoints of a machine: several owners (a run, a debugger, scripts) set addresses, all harts stop there.

import type { BreakpointAddress } from "../jit/breakpoints.ts";

/** An address with those who want to stop there. */
interface Entry extends BreakpointAddress {
  readonly owners: Set<object>;
}

/** All breakpoints. Changes take effect when execution goes on (`changes`), so setting and removing one in between costs nothing. */
export class BreakpointTable {
  readonly #entries = new Map<string, Entry>();
  /** What executors were given last, as one text. */
  #applied = "";

  /** Sets a breakpoint for an owner; one that it has already set stays one. */
  add(owner: object, breakpoint: BreakpointAddress): void {
    const key = keyOf(breakpoint), entry = this.#entries.get(key);
    if (entry === undefined) this.#entries.set(key, { ...breakpoint, owners: new Set([owner]) });
    else entry.owners.add(owner);
  }

  /** Removes an owner's breakpoint; false if it has none there. */
  remove(owner: object, breakpoint: BreakpointAddress): boolean {
    const key = keyOf(breakpoint), entry = this.#entries.get(key);
    if (entry === undefined || !entry.owners.delete(owner)) return false;
    if (entry.owners.size === 0) this.#entries.delete(key);
    return true;
  }

  /** Removes all breakpoints of an owner. */
  removeAll(owner: object): void {
    for (const entry of [...this.#entries.values()]) this.remove(owner, entry);
  }

  /** Whether an owner has a breakpoint at an instruction; `physical` is undefined where there is no memory. */
  stops(owner: object, pc: bigint, physical: bigint | undefined): boolean {
    return this.#has(owner, { kind: "virtual", address: pc }) ||
      physical !== undefined && this.#has(owner, { kind: "physical", address: physical });
  }

  #has(owner: object, breakpoint: BreakpointAddress): boolean {
    return this.#entries.get(keyOf(breakpoint))?.owners.has(owner) ?? false;
  }

  /** All addresses, if they are others than at the last call; else null. */
  changes(): readonly BreakpointAddress[] | null {
    const keys = [...this.#entries.keys()].sort().join();
    if (keys === this.#applied) return null;
    this.#applied = keys;
    return [...this.#entries.values()];
  }
}

function keyOf({ kind, address }: BreakpointAddress): string {
  return `${kind} ${address}`;
}
