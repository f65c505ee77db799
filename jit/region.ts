// Regions: the guest code that is compiled together. A region is what a hot entry reaches by direct branches and by calls
// that return, up to a number of instructions, as a graph of basic blocks with what is known of its registers' lives.
// Nothing here knows what language the region is compiled to.

import { type Decoded, type Decoder, isCompressed } from "../isa/decode.ts";
import { Builder, type Operands, type Statement, type Value } from "../isa/ir.ts";
import type { Instruction } from "../isa/table.ts";
import type { ExecutableMemory, PhysicalMemory } from "../hart/memory.ts";
import { extensionsOf } from "./passes/sign_extensions.ts";
import type { AddressSet } from "./breakpoints.ts";
import { isSelfJump } from "./decode_cache.ts";
import type { CodeHooks, HookSite } from "./code_hooks.ts";

/** Bounds of a region. */
export interface RegionLimits {
  /** Most instructions. */
  readonly instructions: number;
  /** Most basic blocks. */
  readonly blocks: number;
  /** Most instructions of a function that is put in place of a call to it; none at 0. */
  readonly inlined: number;
}

/** ra, by which functions are called (psABI, "Integer Register Convention"). */
const RA = 1;

/** Functions of the hart that read and write registers themselves. */
const OWN_REGISTERS: ReadonlySet<string> = new Set(["compareAndSwap", "push", "pop"]);

/** Blocks by address. */
type BlockMap = Map<number, Block>;

/** Code found from an address on. */
interface Scan {
  /** Addresses at which blocks begin. */
  readonly leaders: ReadonlySet<number>;
  readonly scanned: ReadonlySet<number>;
  /** Whether no limit was reached. */
  readonly whole: boolean;
}

/** What an instruction does, with what passes ask of it again and again. */
export interface Meaning {
  readonly statements: readonly Statement[];
  /** Registers that it reads. */
  readonly reads: RegisterSet;
  /** Registers that it sets. */
  readonly sets: RegisterSet;
  /** Whether it may trap or be looked at from outside: then all registers must be as they should. */
  readonly observes: boolean;
  /** How it ends the block, if it does. */
  readonly ends: "branch" | "jump" | "jumpTo" | undefined;
  /** Of the 64-bit registers that it sets, those that are sign extensions of their low halves whatever it reads. */
  readonly extended: RegisterSet;
  /** Those of which that depends on what it reads. */
  readonly unclear: RegisterSet;
}

/** The meaning that statements have. */
export function meaningOf(statements: readonly Statement[]): Meaning {
  let reads = 0, sets = 0, observes = false;
  for (const s of statements) {
    reads |= statementReads(s);
    if (s.kind === "setX") sets |= 1 << s.register;
    else if (s.kind === "load" || s.kind === "store" || s.kind === "call" || s.kind === "leave") observes = true;
  }
  const last = statements.at(-1)?.kind,
    ends = last === "branch" || last === "jump" || last === "jumpTo" ? last : undefined;
  const extended = sets === 0 ? 0 : extensionsOf(statements, 0);
  return {
    statements,
    reads,
    sets,
    observes,
    ends,
    extended,
    unclear: sets === 0 ? 0 : extensionsOf(statements, -1) & ~extended,
  };
}

/** One instruction of a region. */
export interface RegionInstruction extends Meaning {
  readonly pc: number;
  readonly length: number;
  readonly word: number;
  readonly instruction: Instruction;
  readonly operands: Operands;
  /** Its hooks; undefined where it has none. */
  readonly hooks: HookSite | undefined;
}

/** Whether somebody looks at the registers before an instruction. */
export function hasCalls({ hooks }: RegionInstruction): boolean {
  return hooks !== undefined && hooks.calls.length > 0;
}

/** A page that code is read from. */
interface CodePage {
  readonly low: number;
  readonly high: number;
  /** Physical address; -1 where it cannot be fetched. */
  readonly physical: number;
  /** Where it is in memory; null where it is not RAM: what lies elsewhere runs once, at reset. */
  readonly memory: ExecutableMemory | null;
}

/** An instruction wherever it lies. */
interface KnownInstruction extends Meaning {
  readonly decoded: Decoded;
}

/** So many of them are remembered. */
const MOST_KNOWN = 1 << 15;

/** How a block ends. Addresses are low halves of virtual addresses, as int32. */
export type Terminator =
  /** Two ways. */
  | { readonly kind: "branch"; readonly taken: number; readonly next: number }
  /** One way: a jump, or running into another block. */
  | { readonly kind: "jump"; readonly target: number }
  /** A call whose return is expected at `next`. */
  | { readonly kind: "call"; readonly target: number; readonly next: number }
  /** A call to an address in a register. */
  | { readonly kind: "indirectCall"; readonly next: number }
  /** A jump to an address in a register, such as a return. */
  | { readonly kind: "indirectJump" }
  /** The return of an inlined function, to `next` unless it has changed its return address. */
  | { readonly kind: "return"; readonly next: number }
  /** Goes on outside, at `pc`: an instruction that is not compiled, or the bound was reached. */
  | { readonly kind: "exit"; readonly pc: number };

/** A set of integer registers: bit n is x[n]. */
export type RegisterSet = number;

/** A basic block. */
export class Block {
  readonly pc: number;
  readonly instructions: RegionInstruction[] = [];
  terminator: Terminator = { kind: "exit", pc: 0 };
  /** Number of the inlined function that it belongs to; 0 for none. */
  copy = 0;
  /** For the call and the returns of an inlined function: where it begins, and where its caller goes on. */
  resume: Block | null = null;
  /** Blocks of the region that may follow. */
  successors: Block[] = [];
  predecessors: Block[] = [];
  /** Registers read before they are written here. */
  uses: RegisterSet = 0;
  /** Registers written here. */
  definitions: RegisterSet = 0;
  /** Registers that may differ from the register file at the start. */
  dirtyIn: RegisterSet = 0;
  /** The same at the end. */
  dirtyOut: RegisterSet = 0;
  /** Registers that must be in locals at the start. */
  liveIn: RegisterSet = 0;
  /** Position in reverse postorder. */
  order = -1;
  /** Immediate dominator; itself for the entry. */
  dominator: Block = this;
  /** Blocks that this one immediately dominates. */
  children: Block[] = [];
  /** Target of a backward edge. */
  isLoop = false;
  /** Reached by two or more forward edges. */
  isMerge = false;
  /** Instructions that may run from the start of this block before the count is checked again. */
  stretch = 0;

  constructor(pc: number) {
    this.pc = pc;
  }

  /** A name that no other block of the region has. */
  get label(): string {
    const address = (this.pc >>> 0).toString(16);
    return this.copy === 0 ? address : `${address}_${this.copy}`;
  }

  /** Whether it ends in a call after which the region goes on. */
  get calls(): boolean {
    return (this.terminator.kind === "call" || this.terminator.kind === "indirectCall") && this.successors.length > 0;
  }
}

/** A region. */
export interface Region {
  readonly entry: Block;
  /** All blocks in reverse postorder. */
  readonly blocks: readonly Block[];
  /** Whether every loop has one entrance, so that structured control flow can express it. */
  readonly reducible: boolean;
  /** High half of all its addresses. */
  readonly high: number;
  /** Number of instructions. */
  readonly size: number;
  /** All registers that it reads or writes. */
  readonly registers: RegisterSet;
  /** The pages of its instructions: low half of the virtual address → physical address. */
  readonly pages: ReadonlyMap<number, number>;
}

/** Physical address of a byte of a region. */
export function physicalAddress(region: Region, pc: number): number {
  return region.pages.get(pc & -4096)! + (pc & 4095);
}

/** What a region builder sees of the machine. */
export interface CodeSource {
  readonly decoder: Decoder;
  readonly memory: PhysicalMemory;
  /** Physical addresses of instructions that are left to the interpreter. */
  readonly breakpoints: AddressSet;
  /** Hooks on instructions; null if there are none. */
  readonly hooks?: () => CodeHooks | null;
  /** Physical address of the page of an instruction (both multiples of 4096); -1 where it cannot be fetched. */
  readonly pageOf: (low: number, high: number) => number;
  /** Whether the interpreter has executed the instruction at a physical address. */
  readonly wasExecuted: (physical: number) => boolean;
}

/** Reads code for region building. */
export class RegionBuilder {
  readonly #source: CodeSource;
  readonly #decoder: Decoder;
  readonly #limits: RegionLimits;

  constructor(source: CodeSource, limits: RegionLimits) {
    this.#source = source;
    this.#decoder = source.decoder;
    this.#limits = limits;
  }

  /** Instructions and what they mean, by their bits; null for those that are left to the interpreter. */
  readonly #known = new Map<number, KnownInstruction | null>();
  #lastPage: CodePage | null = null;

  /** The page of an address, as it was when the region at hand was begun. */
  #page(pc: number, high: number): CodePage {
    const low = pc & -4096, last = this.#lastPage;
    if (last !== null && last.low === low && last.high === high) return last;
    const physical = this.#source.pageOf(low, high);
    const memory = physical < 0 ? null : this.#source.memory.executable(physical);
    return this.#lastPage = { low, high, physical, memory: memory?.isRam === true ? memory : null };
  }

  #wasExecuted(pc: number, high: number): boolean {
    const { physical } = this.#page(pc, high);
    return physical >= 0 && this.#source.wasExecuted(physical + (pc & 4095));
  }

  /** The instruction at an address, or null if it cannot be compiled. */
  #read(pc: number, high: number): RegionInstruction | null {
    const bits = this.#bitsAt(pc, high);
    if (bits === null || this.#source.breakpoints.has(this.#page(pc, high).physical + (pc & 4095))) return null;
    let known = this.#known.get(bits);
    if (known === undefined) {
      if (this.#known.size === MOST_KNOWN) this.#known.clear();
      this.#known.set(bits, known = this.#find(bits));
    }
    if (known === null) return null;
    const { decoded, reads, sets, observes, ends, extended, unclear } = known,
      { instruction, operands, length, word } = decoded;
    // Exits of regions know only the lower half of an address.
    if (this.#decoder.xlen === 64) {
      const next = (pc >>> 0) + length,
        target = ends === undefined || ends === "jumpTo" ? next : (pc >>> 0) + operands.imm;
      if (next > 0xffff_ffff || target < 0 || target > 0xffff_ffff) return null;
    }
    const hooks = this.#source.hooks?.()?.siteAt(pc, high, decoded) ?? undefined;
    // Each access to memory is a statement of its own, as much is known of each.
    const statements = observes ? known.statements.map((s) => ({ ...s })) : known.statements;
    return {
      pc,
      length,
      word,
      instruction,
      operands,
      statements,
      reads,
      sets,
      observes,
      ends,
      extended,
      unclear,
      hooks,
    };
  }

  #find(bits: number): KnownInstruction | null {
    const decoded = this.#decoder.decode(bits), meaning = decoded === null ? null : this.#findMeaning(decoded);
    return meaning === null ? null : { decoded: decoded!, ...meaning };
  }

  /** What an instruction means, which does not depend on where it lies; null if it is for the interpreter. */
  #findMeaning(decoded: Decoded): Meaning | null {
    if (isSelfJump(decoded)) return null;
    const { instruction, operands } = decoded, { xlen, compressed, floats } = this.#decoder;
    const builder = new Builder(xlen, false, floats);
    instruction.semantics!(builder, operands);
    const { statements } = builder, kind = statements.at(-1)?.kind;
    if (kind === "leave") return null;
    // The hart reads and writes registers itself.
    if (statements.some((s) => s.kind === "call" && OWN_REGISTERS.has(s.name))) return null;
    if ((kind === "branch" || kind === "jump") && !compressed && (operands.imm & 2) !== 0) return null;
    return meaningOf(statements);
  }

  /** The instruction at an address, whatever it is; null where there is none in RAM. */
  decodedAt(pc: number, high: number): Decoded | null {
    this.#lastPage = null;
    return this.#decodedAt(pc, high);
  }

  #decodedAt(pc: number, high: number): Decoded | null {
    const bits = this.#bitsAt(pc, high);
    return bits === null ? null : this.#decoder.decode(bits);
  }

  /** The bits of an instruction; null where there is no memory that they could be compiled from. */
  #bitsAt(pc: number, high: number): number | null {
    const { memory } = this.#page(pc, high);
    if (memory === null) return null;
    const at = memory.offset + (pc & 4095), low = memory.bytes[at]! | memory.bytes[at + 1]! << 8;
    if (isCompressed(low)) return low;
    if ((pc & 4095) < 4094) return low | memory.bytes[at + 2]! << 16 | memory.bytes[at + 3]! << 24;
    const after = this.#page(pc + 2 | 0, high).memory;
    return after === null ? null : low | after.bytes[after.offset]! << 16 | after.bytes[after.offset + 1]! << 24;
  }

  /**
   * Builds the region of an entry; null if its first instruction cannot be compiled.
   *
   * @param stopsAt Addresses that are left to other regions.
   * @param keepsCall Functions that are not put in place of their calls.
   */
  build(
    entryPc: number,
    high: number,
    stopsAt: (pc: number) => boolean = () => false,
    keepsCall: (pc: number) => boolean = () => false,
  ): Region | null {
    this.#lastPage = null;
    const read = new Map<number, RegionInstruction | null>();
    const at = (pc: number) => {
      let found = read.get(pc);
      if (found === undefined) read.set(pc, found = this.#read(pc, high));
      return found;
    };
    if (at(entryPc) === null) return null;
    const scan = this.#scan(entryPc, high, this.#limits, at, stopsAt);
    const blocks = this.#blocks(scan, at), inlined: BlockMap[] = [];
    this.#inline(blocks, inlined, high, this.#limits.instructions - scan.scanned.size, at, keepsCall);
    return finish([blocks, ...inlined], entryPc, high, this.#source.pageOf);
  }

  /** Finds what an address reaches, up to a number of instructions and blocks. */
  #scan(
    entryPc: number,
    high: number,
    limits: RegionLimits,
    at: (pc: number) => RegionInstruction | null,
    stopsAt: (pc: number) => boolean,
  ): Scan {
    const leaders = new Set([entryPc]), work = [entryPc], scanned = new Set<number>();
    let whole = true;
    const lead = (pc: number, certain = false) => {
      if ((!certain && !this.#wasExecuted(pc, high)) || stopsAt(pc) || leaders.has(pc)) return;
      if (leaders.size >= limits.blocks || scanned.size >= limits.instructions) {
        whole = false;
        return;
      }
      leaders.add(pc);
      work.push(pc);
    };
    while (work.length > 0) {
      let before: RegionInstruction | null = null;
      for (let pc = work.shift()!;;) {
        const i = at(pc);
        if (i === null || scanned.has(pc)) break;
        if (scanned.size >= limits.instructions) {
          whole = false;
          break;
        }
        scanned.add(pc);
        const next = (pc + i.length) | 0, target = this.#target(before, i), links = i.operands.rd !== 0;
        const { ends } = i;
        if (ends === "branch") lead(target!), lead(next);
        else if (ends !== undefined && (links || target !== null)) lead(links ? next : target!, true);
        if (ends !== undefined) break;
        before = i;
        pc = next;
      }
    }
    return { leaders, scanned, whole };
  }

  #blocks({ leaders, scanned }: Scan, at: (pc: number) => RegionInstruction | null): BlockMap {
    const blocks: BlockMap = new Map();
    for (const pc of leaders) blocks.set(pc, this.#block(pc, leaders, scanned, at));
    return blocks;
  }

  /**
   * Puts copies of small functions in place of calls to them: then registers need not go through the register file on the way
   * in and out. Only whole functions, as far as they have been executed; calls in them stay calls. Their returns go on in the
   * region if they lead to where they should.
   */
  #inline(
    blocks: BlockMap,
    inlined: BlockMap[],
    high: number,
    room: number,
    at: (pc: number) => RegionInstruction | null,
    keepsCall: (pc: number) => boolean,
  ): void {
    for (const block of blocks.values()) {
      const { terminator: t } = block, last = block.instructions.at(-1);
      if (t.kind !== "call" || last!.operands.rd !== RA) continue;
      const next = blocks.get(t.next);
      if (next === undefined || next.instructions.length === 0 || keepsCall(t.target)) continue;
      const limits = { ...this.#limits, instructions: Math.min(this.#limits.inlined, room) };
      if (limits.instructions <= 0 || at(t.target) === null) continue;
      const scan = this.#scan(t.target, high, limits, at, () => false);
      if (!scan.whole) continue;
      const copy = this.#blocks(scan, at);
      let returns = false;
      for (const inner of copy.values()) {
        const leaves = inner.instructions.at(-1)?.operands;
        if (inner.terminator.kind !== "indirectJump" || leaves!.rs1 !== RA) continue;
        inner.terminator = { kind: "return", next: t.next };
        inner.resume = next;
        returns = true;
      }
      if (!returns) continue;
      block.terminator = { kind: "jump", target: t.target };
      block.resume = copy.get(t.target)!;
      room -= scan.scanned.size;
      inlined.push(copy);
      for (const inner of copy.values()) inner.copy = inlined.length;
    }
  }

  /**
   * Where an instruction branches or jumps to; null if that is not known. A jump to a register that AUIPC has just set, as far calls
   * are made, goes to a known address.
   */
  #target(before: RegionInstruction | null, { pc, ends, operands: { rs1, imm } }: RegionInstruction): number | null {
    if (ends !== "jumpTo") return (pc + imm) | 0;
    if (before?.instruction.name !== "auipc" || before.operands.rd !== rs1) return null;
    const target = (before.pc >>> 0) + before.operands.imm + imm, { xlen, compressed } = this.#decoder;
    // In other 4 GiB, or where it traps.
    if ((xlen === 64 && target >>> 0 !== target) || (!compressed && (target & 2) !== 0)) return null;
    return target & -2;
  }

  #block(
    start: number,
    leaders: ReadonlySet<number>,
    scanned: ReadonlySet<number>,
    at: (pc: number) => RegionInstruction | null,
  ): Block {
    const block = new Block(start);
    for (let pc = start;;) {
      const i = scanned.has(pc) ? at(pc) : null;
      if (i === null) {
        block.terminator = { kind: "exit", pc };
        break;
      }
      const next = (pc + i.length) | 0, links = i.operands.rd !== 0;
      const { ends } = i, target = this.#target(block.instructions.at(-1) ?? null, i);
      block.instructions.push(i);
      // A branch to what follows it anyway is no fork: otherwise all that follows would be emitted twice.
      if (ends === "branch" && target === next) block.terminator = { kind: "jump", target: next };
      else if (ends === "branch") block.terminator = { kind: "branch", taken: target!, next };
      else if (ends !== undefined && target !== null) {
        block.terminator = links ? { kind: "call", target, next } : { kind: "jump", target };
      } else if (ends === "jumpTo") {
        block.terminator = links ? { kind: "indirectCall", next } : { kind: "indirectJump" };
      } else {
        pc = next;
        if (!leaders.has(pc)) continue;
        block.terminator = { kind: "jump", target: pc };
      }
      break;
    }
    return block;
  }
}

/** Registers that a value reads. */
function readsOf(v: Value | null): RegisterSet {
  if (v === null) return 0;
  if (v.operation === "x") return 1 << v.low;
  return readsOf(v.a) | readsOf(v.b) | readsOf(v.c);
}

/** Registers that a statement reads. */
export function statementReads(s: Statement): RegisterSet {
  switch (s.kind) {
    case "setX":
    case "setF":
    case "let":
      return readsOf(s.value);
    case "load":
      return readsOf(s.address);
    case "store":
      return readsOf(s.address) | readsOf(s.value);
    case "call":
    case "leave":
      return s.args.reduce((set, value) => set | readsOf(value), 0);
    case "branch":
      return readsOf(s.condition);
    case "jumpTo":
      return readsOf(s.target);
    case "jump":
      return 0;
  }
}

/** Registers whose values a block computes with, rather than only keeping, moving or returning them. */
export function computedRegisters(block: Block): RegisterSet {
  let set = 0;
  for (const { statements } of block.instructions) {
    for (const s of statements) {
      if (s.kind === "store") set |= readsOf(s.address);
      else if (s.kind !== "setX" || s.value.operation !== "x") set |= statementReads(s);
    }
  }
  return set;
}

function successorsOf(t: Terminator): number[] {
  switch (t.kind) {
    case "branch":
      return [t.taken, t.next];
    case "jump":
      return [t.target];
    case "call":
    case "indirectCall":
    case "return":
      return [t.next];
    default:
      return [];
  }
}

function finish(maps: readonly BlockMap[], entryPc: number, high: number, pageOf: CodeSource["pageOf"]): Region {
  const entry = maps[0]!.get(entryPc)!, all = maps.flatMap((blocks) => [...blocks.values()]);
  for (const block of all) {
    for (const pc of successorsOf(block.terminator)) {
      const to = block.resume ?? maps[block.copy]!.get(pc);
      if (to !== undefined && to.instructions.length > 0) block.successors.push(to);
    }
    for (const { reads, sets } of block.instructions) {
      block.uses |= reads & ~block.definitions;
      block.definitions |= sets;
    }
  }
  keepLoop(all, entry);
  const blocks = reversePostorder(entry);
  for (const block of blocks) for (const to of block.successors) to.predecessors.push(block);
  lives(blocks);
  const reducible = dominators(blocks, entry);
  stretches(blocks);
  const pages = new Map<number, number>();
  for (const { pc, instructions } of blocks) {
    const last = instructions.at(-1), end = last === undefined ? pc : last.pc + last.length | 0;
    for (let page = pc & -4096;; page = page + 4096 | 0) {
      if (!pages.has(page)) pages.set(page, pageOf(page, high));
      if (page === (end - 1 & -4096)) break;
    }
  }
  return {
    entry,
    blocks,
    reducible,
    high,
    size: blocks.reduce((sum, block) => sum + block.instructions.length, 0),
    registers: blocks.reduce((set, block) => set | block.liveIn | block.uses | block.definitions, 0),
    pages,
  };
}

/**
 * If the entry is the head of a loop, only what leads back to it stays: what follows the loop is entered once for all of its
 * turns, and would be compiled again with every loop before it.
 */
function keepLoop(all: readonly Block[], entry: Block): void {
  const leadsBack = new Set<Block>();
  for (let changed = true; changed;) {
    changed = false;
    for (const block of all) {
      if (leadsBack.has(block) || !block.successors.some((to) => to === entry || leadsBack.has(to))) continue;
      leadsBack.add(block);
      changed = true;
    }
  }
  if (!leadsBack.has(entry)) return;
  for (const block of all) block.successors = block.successors.filter((to) => leadsBack.has(to));
}

function reversePostorder(entry: Block): Block[] {
  const order: Block[] = [], seen = new Set<Block>([entry]);
  // Depth-first with an explicit stack: regions can be deep.
  const stack: { block: Block; next: number }[] = [{ block: entry, next: entry.successors.length - 1 }];
  while (stack.length > 0) {
    const top = stack.at(-1)!;
    if (top.next < 0) {
      order.push(top.block);
      stack.pop();
      continue;
    }
    const to = top.block.successors[top.next--]!;
    if (seen.has(to)) continue;
    seen.add(to);
    stack.push({ block: to, next: to.successors.length - 1 });
  }
  order.reverse();
  order.forEach((block, k) => block.order = k);
  return order;
}

/**
 * Which registers may differ from the register file, and which must be in locals: those read later, and those that may be
 * written back by an exit. A call writes everything back and leaves nothing in locals.
 */
function lives(blocks: readonly Block[]): void {
  for (let changed = true; changed;) {
    changed = false;
    for (const block of blocks) {
      block.dirtyOut = block.dirtyIn | block.definitions;
      if (block.calls) continue;
      for (const to of block.successors) {
        if ((to.dirtyIn | block.dirtyOut) === to.dirtyIn) continue;
        to.dirtyIn |= block.dirtyOut;
        changed = true;
      }
    }
  }
  for (let changed = true; changed;) {
    changed = false;
    for (let k = blocks.length - 1; k >= 0; k--) {
      const block = blocks[k]!;
      let after = block.dirtyOut;
      if (!block.calls) { for (const to of block.successors) after |= to.liveIn; }
      const live = block.uses | after & ~block.definitions | block.dirtyIn;
      if (live === block.liveIn) continue;
      block.liveIn = live;
      changed = true;
    }
  }
}

/** Computes the dominator tree, loops and merges; false if the graph is irreducible. */
function dominators(blocks: readonly Block[], entry: Block): boolean {
  const known = new Set<Block>([entry]);
  const meet = (a: Block, b: Block) => {
    while (a !== b) {
      while (a.order > b.order) a = a.dominator;
      while (b.order > a.order) b = b.dominator;
    }
    return a;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (const block of blocks) {
      if (block === entry) continue;
      let dominator: Block | null = null;
      for (const from of block.predecessors) {
        if (known.has(from)) dominator = dominator === null ? from : meet(dominator, from);
      }
      if (dominator === null || (known.has(block) && dominator === block.dominator)) continue;
      block.dominator = dominator;
      known.add(block);
      changed = true;
    }
  }
  const dominates = (a: Block, b: Block) => {
    for (;; b = b.dominator) {
      if (a === b) return true;
      if (b === entry) return false;
    }
  };
  let reducible = true;
  for (const block of blocks) {
    let forward = 0;
    for (const from of block.predecessors) {
      if (from.order < block.order) forward++;
      else {
        block.isLoop = true;
        if (!dominates(block, from)) reducible = false;
      }
    }
    block.isMerge = forward >= 2;
    if (block !== entry) block.dominator.children.push(block);
  }
  for (const block of blocks) block.children.sort((a, b) => b.order - a.order);
  return reducible;
}

/** Whether the count of instructions is checked on the way from a block to one that follows: at loops and after calls. */
function isChecked(from: Block, to: Block): boolean {
  return from.calls || to.isLoop;
}

/** The longest way from each block to the next check or out of the region. */
function stretches(blocks: readonly Block[]): void {
  for (let k = blocks.length - 1; k >= 0; k--) {
    const block = blocks[k]!;
    let longest = 0;
    for (const to of block.successors) {
      if (!isChecked(block, to)) longest = Math.max(longest, to.stretch);
    }
    block.stretch = block.instructions.length + longest;
  }
}
