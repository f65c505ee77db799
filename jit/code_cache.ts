// The cache of compiled regions: finds the one of an address, compiles what has become hot, drops what was overwritten.

import type { Decoder } from "../isa/decode.ts";
import { type Count, REMAINING } from "../hart/counter.ts";
import { LINE_SHIFT, type PhysicalMemory, WATCH } from "../hart/memory.ts";
import type { AddressSet } from "./breakpoints.ts";
import { type Region, RegionBuilder, type RegionInstruction, type RegionLimits, type RegisterSet } from "./region.ts";
import type { Assumption } from "./facts.ts";
import { MemoryAccess } from "./memory_access.ts";
import { type CompilerStatistics, noStatistics } from "./statistics.ts";
import { RegionEmitter, type RegionEmitterOptions, type RegionText } from "./region_emitter.ts";

/** Settings of the compiler, as `-accel jit,…` gives them. */
export interface CompilerOptions {
  /** How often a loop or call target is reached in the interpreter before its region is compiled. */
  readonly threshold: number;
  /** Most instructions in a region. */
  readonly regionInstructions: number;
  /** Most blocks in a region. */
  readonly regionBlocks: number;
  /** Most guest calls that are host calls within one another. */
  readonly callDepth: number;
  /** Most guest instructions in the cache; beyond it, everything is dropped and compiled anew as it becomes hot. */
  readonly cacheInstructions: number;
}

/** What stands for an address in compiled code: the function to call, now and after every change. */
export interface Cell {
  /** Low half of the address. */
  readonly pc: number;
  /** Runs from there; see region_emitter.ts for what it returns. */
  run: (depth: number) => number;
  /** Instructions that must remain for `run` to do anything; Infinity where nothing is compiled. */
  need: number;
  /** Registers of whose values nothing is assumed, since that was wrong before. */
  unassumed: RegisterSet;
  /** How often it was called while not compiled. */
  calls: number;
  /** How often `run` refused because an assumption was wrong. */
  refusals: number;
  /** The region that is compiled. */
  region: CompiledRegion | null;
}

/** A region in the cache. */
interface CompiledRegion {
  readonly cell: Cell;
  readonly region: Region;
  readonly lines: readonly number[];
  readonly reason: CompileReason;
  /** Whether it ends where other regions begin, as a side way does. */
  readonly joins: boolean;
  /** What was assumed of registers. */
  readonly assumptions: ReadonlyMap<number, Assumption>;
}

/** Why a region was compiled. */
export type CompileReason =
  /** It was reached often enough by jumps. */
  | "hot"
  /** A region called it. */
  | "called"
  /** A region was left for it often enough. */
  | "exit"
  /** What it assumed of a register's value was wrong. */
  | "refused";

/** A region that was compiled, or would be, to be looked at. */
export interface Compilation {
  readonly region: Region;
  /** Why it was compiled; null if it is not in the cache. */
  readonly reason: CompileReason | null;
  /** How often regions of the same address were dropped lately, since the guest wrote over them. */
  readonly drops: number;
  /** What it assumes of registers. */
  readonly assumptions: ReadonlyMap<number, Assumption>;
  /** The generated text, with comments before each instruction. */
  text(comment?: (i: RegionInstruction) => string): string;
}

/**
 * Code that is overwritten again and again is left to the interpreter: an address whose regions were dropped this often, with
 * fewer than so many instructions between one time and the next, is not compiled until as many have passed.
 */
const MOST_DROPS = 16, DROPS_FORGOTTEN = 1 << 26;

/** Addresses that were only looked up are forgotten when there are this many more than compiled ones. */
const MOST_IDLE_CELLS = 50_000;

/** How often a function is called from compiled code before it is compiled. */
const CALL_THRESHOLD = 16;

/** After how many refusals nothing is assumed any more. */
const MOST_REFUSALS = 3;

/** What generated functions are made with. */
export type MakeFunction = (text: string, cells: readonly Cell[]) => (depth: number) => number;

/** The regions of one hart's address space. */
export class CodeCache {
  readonly options: CompilerOptions;
  readonly statistics: CompilerStatistics = noStatistics();
  /** Direct-mapped look-up of cells by address, used by generated code. */
  readonly table: Cell[] = [];
  readonly #cells = new Map<number, Cell>();
  readonly #byLine = new Map<number, Set<CompiledRegion>>();
  /** How often the region of an address was dropped, and at which count of instructions lately. */
  readonly #drops = new Map<number, { times: number; last: number }>();
  readonly #builder: RegionBuilder;
  readonly #memory: PhysicalMemory;
  readonly #count: Count;
  readonly #x: Int32Array;
  readonly #access: MemoryAccess;
  readonly #make: MakeFunction;
  readonly #xlen: 32 | 64;
  readonly #compressed: boolean;
  readonly #none: Cell;
  #instructions = 0;
  /** Regions. */
  #compiled = 0;
  /** Called when a region was compiled or dropped, so that the interpreter enters or avoids it. */
  onChange: (cell: Cell) => void = () => {};
  /** Called after a region was compiled, for who wants to look at it. */
  onCompile: (made: Compilation) => void = () => {};
  /** Milliseconds of any clock, for the statistics; nothing else depends on it. */
  stopwatch: () => number = () => 0;

  constructor(
    decoder: Decoder,
    memory: PhysicalMemory,
    count: Count,
    x: Int32Array,
    options: CompilerOptions,
    make: MakeFunction,
    breakpoints: AddressSet,
    wasExecuted: (pc: number, high: number) => boolean,
  ) {
    this.options = options;
    this.#xlen = decoder.xlen;
    this.#compressed = decoder.compressed;
    this.#memory = memory;
    this.#count = count;
    this.#x = x;
    this.#access = new MemoryAccess(memory.ram.base, memory.ram.size, decoder.xlen);
    this.#make = make;
    const limits: RegionLimits = { instructions: options.regionInstructions, blocks: options.regionBlocks };
    this.#builder = new RegionBuilder(decoder, memory, limits, breakpoints, wasExecuted);
    this.#none = { pc: 1, run: () => 1, need: Infinity, calls: 0, unassumed: 0, refusals: 0, region: null };
    this.table = new Array(4096).fill(this.#none);
  }

  /** The cell of an address. */
  cell(pc: number): Cell {
    let cell = this.#cells.get(pc);
    if (cell === undefined) {
      cell = { pc, run: () => pc, need: Infinity, calls: 0, unassumed: 0, refusals: 0, region: null };
      this.#uncompiled(cell);
      this.#cells.set(pc, cell);
    }
    return cell;
  }

  /** A guest may jump to ever new addresses. Regions that call one of those forgotten reach it through the executor. */
  #forgetIdleCells(): void {
    for (const [pc, cell] of this.#cells) if (cell.region === null) this.#cells.delete(pc);
    this.table.fill(this.#none);
    this.#drops.clear();
  }

  /** The cell of an address that generated code did not find in the table. */
  lookUp(pc: number): Cell {
    if (this.#cells.size - this.#compiled >= MOST_IDLE_CELLS) this.#forgetIdleCells();
    return this.table[pc >>> 1 & 4095] = this.cell(pc);
  }

  #uncompiled(cell: Cell): void {
    cell.region = null;
    cell.need = Infinity;
    cell.run = () => {
      // Its caller is hot. The first times the interpreter runs it, to see which of its code is executed, and the caller's
      // frame is given up.
      this.statistics.callsNotCompiled++;
      if (++cell.calls < CALL_THRESHOLD) return cell.pc;
      cell.calls = 0;
      const { flushes } = this.statistics;
      this.compile(cell.pc, 0, "called");
      // Nobody watches the code of the functions that are running now: they must end soon.
      if (this.statistics.flushes !== flushes) this.#count.stop();
      return cell.pc;
    };
  }

  #look({ region, reason, assumptions }: Omit<Compilation, "drops" | "text">): Compilation {
    const drops = this.#drops.get(region.entry.pc)?.times ?? 0, assume = (n: number) => assumptions.get(n);
    const text: Compilation["text"] = (comment) => this.#emit(region, { assume, ...(comment && { comment }) }).text;
    return { region, reason, drops, assumptions, text };
  }

  /** The regions in the cache, in the order of their entries. */
  compilations(): Compilation[] {
    const regions = [...this.#cells.values()].flatMap(({ region }) => region ?? []);
    regions.sort((a, b) => (a.cell.pc >>> 0) - (b.cell.pc >>> 0));
    return regions.map((region) => this.#look(region));
  }

  /** The region that would be compiled now at an address; null if that cannot be. */
  proposal(pc: number, high: number): Compilation | null {
    const region = this.#builder.build(pc, high), assumptions = new Map<number, Assumption>();
    if (region === null) return null;
    this.#emit(region, { assume: this.#assume(0, assumptions) });
    return this.#look({ region, reason: null, assumptions });
  }

  #emit(region: Region, more: Pick<RegionEmitterOptions, "assume" | "comment">): RegionText {
    const { base, size } = this.#memory.ram;
    return new RegionEmitter(region, {
      xlen: this.#xlen,
      compressed: this.#compressed,
      ramBase: base,
      ramSize: size,
      ...more,
    }).build();
  }

  /** How the value of a register is now. */
  #observe(n: number): Assumption | undefined {
    if (this.#xlen === 32) return undefined;
    const low = this.#x[2 * n]!, high = this.#x[2 * n + 1]!;
    if (high === low >> 31) return "signed";
    if (high !== 0) return undefined;
    return this.#access.isInside(low) ? "memory" : "zero";
  }

  /** Assumes of registers what holds now, except of those of a set, and notes it. */
  #assume(unassumed: RegisterSet, assumptions: Map<number, Assumption>): (n: number) => Assumption | undefined {
    return (n) => {
      const assumption = (unassumed & 1 << n) === 0 ? this.#observe(n) : undefined;
      if (assumption !== undefined) assumptions.set(n, assumption);
      return assumption;
    };
  }

  /**
   * To be called when the region of a cell refused to run though enough instructions remain: an assumption about a register
   * is wrong, if there are any. Compiles it anew without those that are wrong now, and in the end without any.
   */
  refused(cell: Cell): void {
    const before = cell.region;
    if (before === null || before.assumptions.size === 0) return;
    cell.refusals++;
    this.statistics.refusals++;
    for (let n = 1; n < 32; n++) {
      if (before.assumptions.has(n) && this.#observe(n) !== before.assumptions.get(n)) cell.unassumed |= 1 << n;
    }
    if (cell.refusals >= MOST_REFUSALS) cell.unassumed = -1;
    this.#remove(before);
    this.compile(cell.pc, 0, "refused", before.joins);
  }

  /** Compiles the region at an address. False if it cannot be, or was overwritten too often to be worth it. */
  compile(pc: number, high: number, reason: CompileReason, joins = reason === "exit"): boolean {
    if ((this.#cells.get(pc)?.region ?? null) !== null) return true;
    if (high !== 0 || this.#isRewritten(pc)) return false;
    const start = this.stopwatch();
    const made = this.#compile(pc, high, reason, joins);
    this.statistics.milliseconds += this.stopwatch() - start;
    if (made !== null) this.onCompile(this.#look(made));
    return made !== null;
  }

  #compile(pc: number, high: number, reason: CompileReason, joins: boolean): CompiledRegion | null {
    const region = this.#builder.build(pc, high, joins ? (to) => this.#cells.get(to)?.region != null : undefined);
    if (region === null) return null;
    if (this.#instructions + region.size > this.options.cacheInstructions) this.flush();
    const cell = this.cell(pc);
    const assumptions = new Map<number, Assumption>();
    const assume = this.#assume(cell.unassumed, assumptions);
    const { text, cells, need } = this.#emit(region, { assume });
    cell.run = this.#make(text, cells.map((to) => this.cell(to)));
    cell.need = need;
    this.#showExit(cell);
    const lines = this.#linesOf(region);
    const compiled: CompiledRegion = { cell, region, lines, reason, joins, assumptions };
    cell.region = compiled;
    for (const line of lines) {
      this.#memory.ram.lines[line]! |= WATCH.compiled;
      let regions = this.#byLine.get(line);
      if (regions === undefined) this.#byLine.set(line, regions = new Set());
      regions.add(compiled);
    }
    this.#instructions += region.size;
    this.#compiled++;
    this.statistics.regions++;
    this.statistics.instructions += region.size;
    this.statistics.textLength += text.length;
    this.onChange(cell);
    return compiled;
  }

  /**
   * Takes the rare exit a few times, with no instructions left: V8 needs to have seen it, or it would throw away the optimised
   * function when that exit is taken for the first time.
   */
  #showExit(cell: Cell): void {
    const { state } = this.#count, remaining = state[REMAINING]!;
    state[REMAINING] = 0;
    for (let k = 0; k < 12; k++) cell.run(0);
    state[REMAINING] = remaining;
  }

  #linesOf(region: Region): number[] {
    const { base } = this.#memory.ram, lines = new Set<number>();
    for (const block of region.blocks) {
      for (const { pc, length } of block.instructions) {
        lines.add(((pc >>> 0) - base) >>> LINE_SHIFT);
        lines.add(((pc >>> 0) + length - 1 - base) >>> LINE_SHIFT);
      }
    }
    return [...lines];
  }

  /** Drops the regions that hold any of `length` bytes from `offset` in RAM; true if there were any. */
  invalidate(offset: number, length: number): boolean {
    const { lines, base } = this.#memory.ram;
    let dropped = false;
    const last = (offset + length - 1) >>> LINE_SHIFT;
    for (let line = offset >>> LINE_SHIFT; line <= last; line++) {
      if ((lines[line]! & WATCH.compiled) === 0) continue;
      for (const compiled of this.#byLine.get(line) ?? []) {
        // A line also holds data: only writes to the instructions themselves matter.
        if (!overlaps(compiled.region, base + offset, length)) continue;
        this.#drop(compiled);
        dropped = true;
      }
    }
    return dropped;
  }

  /** Whether the code at an address is overwritten too often to be worth compiling. */
  #isRewritten(pc: number): boolean {
    const drops = this.#drops.get(pc);
    return drops !== undefined && drops.times >= MOST_DROPS &&
      this.#count.instructions() - drops.last <= DROPS_FORGOTTEN;
  }

  #drop(compiled: CompiledRegion): void {
    const { cell } = compiled, now = this.#count.instructions(), before = this.#drops.get(cell.pc);
    const again = before !== undefined && now - before.last <= DROPS_FORGOTTEN;
    this.#drops.set(cell.pc, { times: again ? before.times + 1 : 1, last: now });
    this.#remove(compiled);
    this.statistics.dropped++;
    this.onChange(cell);
  }

  /** Whether a region holds instructions of a line of RAM. */
  holds(line: number): boolean {
    return this.#byLine.has(line);
  }

  /** Lines stay marked until they are written (invalidation.ts): other harts' caches have the same mark. */
  #remove(compiled: CompiledRegion): void {
    const { cell, lines, region } = compiled;
    for (const line of lines) {
      const regions = this.#byLine.get(line);
      if (regions === undefined) continue;
      regions.delete(compiled);
      if (regions.size === 0) this.#byLine.delete(line);
    }
    this.#instructions -= region.size;
    this.#compiled--;
    this.#uncompiled(cell);
  }

  /** Drops everything. */
  flush(): void {
    this.#byLine.clear();
    for (const cell of this.#cells.values()) {
      if (cell.region === null) continue;
      this.#uncompiled(cell);
      this.onChange(cell);
    }
    // Functions of other regions, still running perhaps, hold their cells: those stay good, only not compiled.
    this.#cells.clear();
    this.#drops.clear();
    this.table.fill(this.#none);
    this.#instructions = this.#compiled = 0;
    this.statistics.flushes++;
  }
}

function overlaps(region: Region, address: number, length: number): boolean {
  for (const block of region.blocks) {
    for (const i of block.instructions) {
      const start = i.pc >>> 0;
      if (start < address + length && address < start + i.length) return true;
    }
  }
  return false;
}
