// Redundant range checks: accesses of a block at constant distances from one value of a register need one check of the range
// that all of them cover, at the first of them. Where it fails, nothing of them has happened yet.

import type { Load, Statement, Store, Value } from "../../isa/ir.ts";
import { sizeOf } from "../emitter.ts";
import type { Block } from "../region.ts";

/** Accesses that share a check. Distances in bytes from what the register holds at the first of them. */
export interface SharedCheck {
  readonly base: number;
  /** Of the first byte of all, and of the byte after the last. */
  start: number;
  end: number;
  /** The same of stores; `start` is not below `end` if there are none. */
  readonly stores: { start: number; end: number };
  /** How many accesses there are, and stores among them. */
  accesses: number;
  storeCount: number;
  /** Number among the checks of its block. */
  number: number;
}

/** Where an access lies. */
export interface SharedAccess {
  readonly check: SharedCheck;
  /** Distance from the first byte's register value, as `check.start`. */
  readonly distance: number;
  /** Whether it is the first one, which checks. */
  readonly isFirst: boolean;
}

/** What sharing depends on. */
export interface SharingOptions {
  /** Most bytes that one check of addresses from a register covers. */
  readonly mostBytes: (base: number) => number;
  /** Whether accesses do not share a check if the first of them is that of the instruction at an address. */
  readonly isApart: (pc: number) => boolean;
}

/** The register of an address, and what is added to it; null for other forms. */
function splitAddress(v: Value): { base: number; offset: number } | null {
  if (v.operation === "x") return { base: v.low, offset: 0 };
  const { a, b } = v;
  if (v.operation !== "add" || a!.operation !== "x" || b!.operation !== "const") return null;
  // A sum that needs more than 32 bits is no distance.
  if (b!.type === "i64" && b!.high !== b!.low >> 31) return null;
  return { base: a!.low, offset: b!.low };
}

/** The accesses of a block that share a check with others. */
export function sharedChecks(
  block: Block,
  { mostBytes, isApart }: SharingOptions,
): ReadonlyMap<Statement, SharedAccess> {
  const found = new Map<Load | Store, SharedAccess>(), checks: SharedCheck[] = [];
  /** By register: the check that is open, and what has been added to the register since. */
  const open = new Map<number, { check: SharedCheck; added: number }>();
  const apart = new Set<SharedCheck>();
  const access = (s: Load | Store, pc: number) => {
    const address = s.access === "plain" ? splitAddress(s.address) : null;
    if (s.access !== "plain") open.clear();
    if (address === null) return;
    const { base, offset } = address, size = sizeOf(s.memory), last = open.get(base);
    let check = last?.check, distance = offset + (last?.added ?? 0);
    const isFirst = check === undefined ||
      Math.max(check.end, distance + size) - Math.min(check.start, distance) > mostBytes(base);
    if (check === undefined || isFirst) {
      distance = offset;
      const stores = { start: Infinity, end: -Infinity };
      check = { base, start: distance, end: distance, stores, accesses: 0, storeCount: 0, number: 0 };
      checks.push(check);
      if (isApart(pc)) apart.add(check);
      open.set(base, { check, added: 0 });
    }
    check.start = Math.min(check.start, distance);
    check.end = Math.max(check.end, distance + size);
    found.set(s, { check, distance, isFirst });
    check.accesses++;
    if (s.kind === "load") return;
    check.storeCount++;
    check.stores.start = Math.min(check.stores.start, distance);
    check.stores.end = Math.max(check.stores.end, distance + size);
  };
  for (const { pc, statements, hooks } of block.instructions) {
    // What is called may let somebody watch memory.
    if (hooks !== undefined) open.clear();
    for (const s of statements) {
      if (s.kind === "load" || s.kind === "store") access(s, pc);
      else if (s.kind === "call" || s.kind === "leave") open.clear();
      else if (s.kind === "setX") {
        const last = open.get(s.register), value = splitAddress(s.value);
        if (last === undefined) continue;
        if (value?.base === s.register) last.added += value.offset;
        else open.delete(s.register);
      }
    }
  }
  const isShared = (check: SharedCheck) => check.accesses > 1 && !apart.has(check);
  for (const [s, { check }] of found) if (!isShared(check)) found.delete(s);
  let number = 0;
  for (const check of checks) if (isShared(check)) check.number = number++;
  return found;
}
