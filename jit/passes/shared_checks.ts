// Redundant range checks: accesses at constant distances from one value of a register need one check of the range that all of them
// cover, at the first of them. Where it fails, nothing of them has happened yet. They may lie in several blocks, where only one way leads
// from block to block, and nothing on it can change what memory is like.

import type { Load, Statement, Store, Value } from "../../isa/ir.ts";
import { sizeOf } from "../emitter.ts";
import { callOwner } from "../memory_access.ts";
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
  /** Number among the checks of its region. */
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
  /** Whether stores may be refused where loads are not: those of another block, which may never be made, then ask for none of it. */
  readonly storesDiffer: boolean;
  /** Whether accesses do not share a check if the first of them is that of the instruction at an address. */
  readonly isApart: (pc: number) => boolean;
}

/** By register: the check that holds for addresses from it, and what is to be added to the register as it was at the check. */
type OpenChecks = Map<number, { readonly check: SharedCheck; readonly added: number }>;

/** The register of an address, and what is added to it; null for other forms. */
function splitAddress(v: Value): { base: number; offset: number } | null {
  if (v.operation === "x") return { base: v.low, offset: 0 };
  const { a, b } = v;
  if (v.operation !== "add" || a!.operation !== "x" || b!.operation !== "const") return null;
  // A sum that needs more than 32 bits is no distance.
  if (b!.type === "i64" && b!.high !== b!.low >> 31) return null;
  return { base: a!.low, offset: b!.low };
}

/** Whether only one way leads to a block, on which memory stays what it is: from the block before, which calls nothing. */
function goesOn(from: Block, to: Block): boolean {
  return to.predecessors.length === 1 && !to.isLoop && from !== to && !from.calls;
}

/** Finds the accesses of a region that share a check with others. */
class SharedChecks {
  readonly #options: SharingOptions;
  readonly #checks: SharedCheck[] = [];
  readonly #apart = new Set<SharedCheck>();
  readonly found: Map<Block, Map<Statement, SharedAccess>> = new Map();
  /** Checks that the block at hand makes. */
  #own = new Set<SharedCheck>();

  constructor(options: SharingOptions) {
    this.#options = options;
  }

  /** The accesses of a block, and of those that it alone leads to. */
  block(block: Block, open: OpenChecks): void {
    const found = new Map<Statement, SharedAccess>();
    this.found.set(block, found);
    this.#own = new Set();
    for (const { pc, statements, hooks } of block.instructions) {
      // What is called may let somebody watch memory.
      if (hooks !== undefined) open.clear();
      for (const s of statements) {
        if (s.kind === "load" || s.kind === "store") this.#access(s, pc, open, found);
        else if (s.kind === "call" && callOwner(s.name) === "floats") continue;
        else if (s.kind === "call" || s.kind === "leave") open.clear();
        else if (s.kind === "setX") {
          const value = splitAddress(s.value), source = value === null ? undefined : open.get(value.base);
          if (source === undefined) open.delete(s.register);
          else open.set(s.register, { check: source.check, added: source.added + value!.offset });
        }
      }
    }
    for (const to of block.successors) if (goesOn(block, to)) this.block(to, new Map(open));
  }

  #access(s: Load | Store, pc: number, open: OpenChecks, found: Map<Statement, SharedAccess>): void {
    const address = s.access === "plain" ? splitAddress(s.address) : null, { mostBytes, isApart } = this.#options;
    if (s.access !== "plain") open.clear();
    if (address === null) return;
    const { base, offset } = address, size = sizeOf(s.memory), last = open.get(base);
    let check = last?.check, distance = offset + (last?.added ?? 0);
    const isFirst = check === undefined || this.#refuses(check, s) ||
      Math.max(check.end, distance + size) - Math.min(check.start, distance) > mostBytes(check.base);
    if (check === undefined || isFirst) {
      distance = offset;
      const stores = { start: Infinity, end: -Infinity };
      check = { base, start: distance, end: distance, stores, accesses: 0, storeCount: 0, number: 0 };
      this.#checks.push(check);
      this.#own.add(check);
      if (isApart(pc)) this.#apart.add(check);
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
  }

  #refuses(check: SharedCheck, { kind }: Load | Store): boolean {
    return kind === "store" && check.storeCount === 0 && this.#options.storesDiffer && !this.#own.has(check);
  }

  /** Forgets those that turned out to be alone, and numbers the others. */
  finish(): void {
    const isShared = (check: SharedCheck) => check.accesses > 1 && !this.#apart.has(check);
    for (const found of this.found.values()) {
      for (const [s, { check }] of found) if (!isShared(check)) found.delete(s);
    }
    let number = 0;
    for (const check of this.#checks) if (isShared(check)) check.number = number++;
  }
}

/** The accesses of a region's blocks that share a check with others. */
export function sharedChecks(
  blocks: readonly Block[],
  options: SharingOptions,
): ReadonlyMap<Block, ReadonlyMap<Statement, SharedAccess>> {
  const checks = new SharedChecks(options);
  for (const block of blocks) {
    if (!block.predecessors.some((from) => goesOn(from, block))) checks.block(block, new Map());
  }
  checks.finish();
  return checks.found;
}
