// The cache of compiled regions of 4 GiB of virtual addresses at one privilege level: finds the one of an address, compiles
// what has become hot, knows which of them the present page tables lead to.

import { type Count, POSITION, REMAINING } from "../hart/counter.ts";
import type { HookChange } from "./code_hooks.ts";
import type { CodeIndex } from "./code_index.ts";
import type { Assumption } from "./facts.ts";
import {
  type CodeSource,
  physicalAddress,
  type Region,
  RegionBuilder,
  type RegionInstruction,
  type RegionLimits,
  type RegisterSet,
} from "./region.ts";
import type { Translated, Translator } from "./translator.ts";

/** Settings of the compiler, as `-accel jit,…` gives them. */
export interface CompilerOptions {
  /** How often a loop or call target is reached in the interpreter before it is asked whether its region is compiled. */
  readonly threshold: number;
  /** How often that is asked before it is, unless one time soon follows another (`CodeCache.isHot`). */
  readonly patience: number;
  /** Most instructions in a region. */
  readonly regionInstructions: number;
  /** Most blocks in a region. */
  readonly regionBlocks: number;
  /** Most instructions of a function that is compiled in place of a call to it. */
  readonly inlinedInstructions: number;
  /** Most guest calls that are host calls within one another. */
  readonly callDepth: number;
  /** Most guest instructions in the cache; beyond it, everything is dropped and compiled anew as it becomes hot. */
  readonly cacheInstructions: number;
  /** What is compiled to: WebAssembly where that can be, or JavaScript only. */
  readonly target: "automatic" | "webassembly" | "javascript";
}

/** What stands for an address in compiled code: the function to call, now and after every change. */
export interface Cell {
  /** Low half of the address. */
  readonly pc: number;
  /** Runs from there; see translator.ts for what it returns. */
  run: (depth: number) => number;
  /** What `run` is while nothing is compiled, or it is not known whether that is good. */
  idle: (depth: number) => number;
  /** Instructions that must remain for `run` to do anything; Infinity where nothing is compiled. */
  need: number;
  /** Registers of whose values nothing is assumed, since that was wrong before. */
  unassumed: RegisterSet;
  /** How often it was called while not compiled. */
  calls: number;
  /** How often it was reached as often as the threshold says, and at which count of instructions lately. */
  asked: number;
  askedAt: number;
  /** How often `run` refused because an assumption was wrong. */
  refusals: number;
  /** The region that runs. */
  region: CompiledRegion | null;
  /** All that were compiled for the address: it may lie in different physical pages at different times. */
  compiled: readonly CompiledRegion[];
  /** Its number for WebAssembly; -1 until it has one. */
  number: number;
}

/** A region in the cache. */
export interface CompiledRegion {
  readonly cache: CodeCache;
  readonly cell: Cell;
  readonly region: Region;
  readonly code: Translated;
  readonly lines: readonly number[];
  readonly reason: CompileReason;
  /** Whether it ends where other regions begin, as a side way does. */
  readonly joins: boolean;
}

/**
 * Why a region was compiled.
 *
 * @example
 * ```ts
 * import { Machine, type CompileReason } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf", accel: "jit,threshold=2" });
 * const reasons = new Set<CompileReason>();
 * machine.onCompile = ({ reason }) => reason !== null && reasons.add(reason);
 * await machine.run();
 * console.log([...reasons]);
 * ```
 */
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

/**
 * Accesses share no check any more when it has cost so much in so many instructions: they lie in two pages, say. One that leaves the
 * region costs as much as so many that take a call.
 */
const MOST_MISSES = 1024, MISSES_FORGOTTEN = 1 << 20, LEAVING = 8;

/** Addresses that were only looked up are forgotten when there are this many more than compiled ones. */
const MOST_IDLE_CELLS = 50_000;

/** How often a function is called from compiled code before it is compiled. */
const CALL_THRESHOLD = 16;

/**
 * An address that is reached `threshold` times in fewer instructions than this is in the middle of a loop, and compiled at once. To compile
 * it takes as long as it takes to interpret it some 30 000 times: what is only warm, as much of a kernel's boot, is reached as often before.
 */
const SOON = 1_000_000;

/** After how many refusals nothing is assumed any more. */
const MOST_REFUSALS = 3;

/** Most regions for the same virtual address. */
const MOST_VARIANTS = 8;

/** What a cache is for. */
export interface CodeCacheOptions extends CodeSource {
  readonly index: CodeIndex;
  readonly count: Count;
  /** High half of all addresses. */
  readonly high: number;
  /** Whether addresses are physical. */
  readonly access: "bare" | "translated";
}

/** The compiled code of 4 GiB of addresses of one hart. */
export class CodeCache {
  /** Direct-mapped look-up of cells by address, used by generated code. */
  readonly table: Cell[];
  /** What compiles regions: the first that can. To be set before anything is compiled. */
  translators: readonly Translator[] = [];
  /** Interprets from a record on and runs regions, if a translator can do that: see `WasmTranslator`. */
  dispatch: ((record: number) => number) | undefined;
  /** Called when a region was compiled or dropped, with the physical address of its entry. */
  onChange: (physical: number, compiled: boolean) => void = () => {};
  readonly #parts: CodeCacheOptions;
  readonly #cells = new Map<number, Cell>();
  /** How often the region of an address was dropped, and at which count of instructions lately. */
  readonly #drops = new Map<number, { times: number; last: number }>();
  /** What the check has cost that accesses from an instruction on share, and since which count of instructions. */
  readonly #misses = new Map<number, { cost: number; readonly since: number }>();
  /** Instructions from which on accesses share no check. */
  readonly #apart = new Set<number>();
  readonly #builder: RegionBuilder;
  readonly #none: Cell;
  /** Cells whose regions run since the page tables changed. */
  readonly #active = new Set<Cell>();
  /** Regions. */
  #compiled = 0;

  constructor(parts: CodeCacheOptions) {
    this.#parts = parts;
    const { options } = parts.index;
    const limits: RegionLimits = {
      instructions: options.regionInstructions,
      blocks: options.regionBlocks,
      inlined: options.inlinedInstructions,
    };
    this.#builder = new RegionBuilder(parts, limits);
    this.#none = newCell(1);
    this.table = new Array(4096).fill(this.#none);
  }

  /** The cell of an address. */
  cell(pc: number): Cell {
    let cell = this.#cells.get(pc);
    if (cell === undefined) {
      const made = cell = newCell(pc);
      made.run = made.idle = (depth) => this.#runIdle(made, depth);
      this.#ready(made);
      this.#cells.set(pc, made);
    }
    return cell;
  }

  /** A guest may jump to ever new addresses. Regions that call one of those forgotten reach it through the executor. */
  #forgetIdleCells(): void {
    for (const [pc, cell] of this.#cells) if (cell.compiled.length === 0) this.#cells.delete(pc);
    this.table.fill(this.#none);
    this.#drops.clear();
  }

  /** The cell of an address that generated code did not find in the table. */
  lookUp(pc: number): Cell {
    if (this.#cells.size - this.#compiled >= MOST_IDLE_CELLS) this.#forgetIdleCells();
    const cell = this.table[pc >>> 1 & 4095] = this.cell(pc);
    for (const translator of this.translators) translator.found(cell);
    return cell;
  }

  /** The cell of an address, with its region if there is one for the page that the address leads to now. */
  find(pc: number): Cell {
    let cell = this.table[pc >>> 1 & 4095]!;
    if (cell.pc !== pc) cell = this.lookUp(pc);
    if (cell.region === null && cell.compiled.length > 0) this.#activate(cell);
    return cell;
  }

  /** Lets the region run that was compiled from the pages that the cell's address leads to now; false if there is none. */
  #activate(cell: Cell): boolean {
    const { pageOf, high } = this.#parts;
    for (const compiled of cell.compiled) {
      let good = true;
      for (const [page, physical] of compiled.region.pages) if (pageOf(page, high) !== physical) good = false;
      if (!good) continue;
      cell.region = compiled;
      cell.run = compiled.code.run;
      cell.need = compiled.code.need;
      this.#ready(cell);
      if (this.#parts.access === "translated") this.#active.add(cell);
      return true;
    }
    return false;
  }

  /** Says that a cell's region changed. */
  #ready(cell: Cell): void {
    for (const translator of this.translators) translator.ready(cell);
  }

  #deactivate(cell: Cell): void {
    cell.region = null;
    this.#ready(cell);
    cell.need = Infinity;
    cell.run = cell.idle;
  }

  #runIdle(cell: Cell, depth: number): number {
    const { count, index } = this.#parts;
    if (cell.compiled.length > 0 && this.#activate(cell)) {
      return count.state[REMAINING]! >= cell.need ? cell.run(depth) : cell.pc;
    }
    count.state[POSITION] = 0;
    // Its caller is hot. The first times the interpreter runs it, to see which of its code is executed, and the caller's
    // frame is given up.
    const { statistics } = index, { flushes } = statistics;
    statistics.callsNotCompiled++;
    this.missed(cell, "called");
    // Nobody watches the code of the functions that are running now: they must end soon.
    if (statistics.flushes !== flushes) count.stop();
    return cell.pc;
  }

  /** Whether an address that was reached as often as the threshold says should be compiled, or be reached as often again. */
  isHot(pc: number): boolean {
    const { index, count } = this.#parts, cell = this.cell(pc), now = count.instructions();
    const isSoon = now - cell.askedAt < SOON;
    cell.askedAt = now;
    return ++cell.asked >= index.options.patience || isSoon;
  }

  /** Counts that a cell's address was come to with nothing compiled; compiles it in the end. */
  missed(cell: Cell, reason: CompileReason): void {
    if (++cell.calls < CALL_THRESHOLD) return;
    cell.calls = 0;
    this.compile(cell.pc, reason);
  }

  /** To be called when the page tables changed: what is compiled runs again once it is known that its pages are the same. */
  forgetPages(): void {
    for (const cell of this.#active) this.#deactivate(cell);
    this.#active.clear();
  }

  #look(region: Region, code: Translated, reason: CompileReason | null): Compilation {
    const drops = this.#drops.get(region.entry.pc)?.times ?? 0;
    return { region, reason, drops, assumptions: code.assumptions, text: (comment) => code.text(comment) };
  }

  /** The regions in the cache, in the order of their entries. */
  compilations(): Compilation[] {
    const regions = [...this.#cells.values()].flatMap(({ compiled }) => compiled);
    regions.sort((a, b) => (a.cell.pc >>> 0) - (b.cell.pc >>> 0));
    return regions.map(({ region, code, reason }) => this.#look(region, code, reason));
  }

  /** The region that would be compiled now at an address; null if that cannot be. */
  proposal(pc: number): Compilation | null {
    const region = this.#builder.build(pc, this.#parts.high);
    if (region === null) return null;
    const code = this.#translate(region, 0), { index, count } = this.#parts;
    index.positions.drop(region, count.instructions(), true);
    return this.#look(region, code, null);
  }

  #translate(region: Region, unassumed: RegisterSet): Translated {
    for (const translator of this.translators) {
      const code = translator.translate(region, unassumed);
      if (code !== null) return code;
    }
    throw new Error("nothing compiles this region");
  }

  /**
   * To be called when the region of a cell refused to run though enough instructions remain: an assumption about a register
   * is wrong, if there are any. Compiles it anew without those that are wrong now, and in the end without any.
   */
  refused(cell: Cell): void {
    const before = cell.region;
    if (before === null || before.code.assumptions.size === 0) return;
    cell.refusals++;
    this.#parts.index.statistics.refusals++;
    cell.unassumed |= before.code.wrong();
    if (cell.refusals >= MOST_REFUSALS) cell.unassumed = -1;
    this.#remove(before, false);
    this.compile(cell.pc, "refused", before.joins);
  }

  /** Compiles the region at an address, unless it cannot be, or was overwritten too often to be worth it. */
  compile(pc: number, reason: CompileReason, joins = reason === "exit"): void {
    if (this.find(pc).region !== null || this.#isRewritten(pc)) return;
    const { index } = this.#parts, start = index.stopwatch();
    const made = this.#compile(pc, reason, joins);
    index.statistics.milliseconds += index.stopwatch() - start;
    if (made !== null) index.onCompile(this.#look(made.region, made.code, made.reason));
  }

  #compile(pc: number, reason: CompileReason, joins: boolean): CompiledRegion | null {
    const { index, high } = this.#parts, { statistics } = index;
    const region = this.#builder.build(
      pc,
      high,
      joins ? (to) => this.#cells.get(to)?.region != null : undefined,
      (to) => this.#drops.has(to),
    );
    if (region === null) return null;
    index.reserve(region.size);
    for (const translator of this.translators) if (translator.isFull()) index.flush();
    const cell = this.cell(pc), code = this.#translate(region, cell.unassumed), lines = index.linesOf(region);
    const compiled: CompiledRegion = { cache: this, cell, region, code, lines, reason, joins };
    if (cell.compiled.length >= MOST_VARIANTS) this.#remove(cell.compiled.at(-1)!, false);
    cell.compiled = [compiled, ...cell.compiled];
    index.add(compiled);
    this.#compiled++;
    this.#activate(cell);
    statistics.regions++;
    statistics.instructions += region.size;
    statistics.textLength += code.length;
    this.onChange(physicalAddress(region, pc), true);
    return compiled;
  }

  /** Whether the code at an address is overwritten too often to be worth compiling. */
  #isRewritten(pc: number): boolean {
    const drops = this.#drops.get(pc);
    return drops !== undefined && drops.times >= MOST_DROPS &&
      this.#parts.count.instructions() - drops.last <= DROPS_FORGOTTEN;
  }

  /** Drops a region, since it was overwritten. */
  drop(compiled: CompiledRegion): void {
    const { count, index } = this.#parts, { cell } = compiled;
    const now = count.instructions(), before = this.#drops.get(cell.pc);
    const again = before !== undefined && now - before.last <= DROPS_FORGOTTEN;
    this.#drops.set(cell.pc, { times: again ? before.times + 1 : 1, last: now });
    this.#remove(compiled, true);
    index.statistics.dropped++;
  }

  /** Whether accesses of a block from an instruction on share no check. */
  isApart(pc: number): boolean {
    return this.#apart.has(pc);
  }

  /**
   * To be called when the check that accesses from an instruction on share took a call, or made the region leave: where that is frequent,
   * each access gets its own.
   */
  rangeMissed(pc: number, leaves: boolean): void {
    const { count, index } = this.#parts, now = count.instructions();
    let misses = this.#misses.get(pc);
    if (misses === undefined || now - misses.since > MISSES_FORGOTTEN) {
      this.#misses.set(pc, misses = { cost: 0, since: now });
    }
    misses.cost += leaves ? LEAVING : 1;
    if (misses.cost < MOST_MISSES || this.#apart.has(pc)) return;
    this.#misses.delete(pc);
    this.#apart.add(pc);
    const holds = ({ region }: CompiledRegion) =>
      region.blocks.some(({ instructions }) => instructions.some((i) => i.pc === pc));
    // The region that asks is running, with the count in a variable: to empty the cache would end its slice.
    const hasRoom = () => index.hasRoom() && this.translators.every((translator) => !translator.isFull());
    for (const { compiled } of [...this.#cells.values()]) {
      for (const old of compiled.filter(holds)) {
        this.#remove(old, false);
        if (hasRoom()) this.compile(old.cell.pc, old.reason, old.joins);
      }
    }
  }

  /** Drops the regions that hold an instruction that a change of hooks concerns. */
  dropConcerned({ concerns, isClass, page }: HookChange): void {
    const at = (pc: number) => isClass ? this.#builder.decodedAt(pc, high) : null;
    const { high } = this.#parts;
    for (const cell of this.#cells.values()) {
      for (const compiled of cell.compiled) {
        if (page !== null && !compiled.region.pages.has(page)) continue;
        const concerned = compiled.region.blocks.some(({ instructions }) =>
          instructions.some((i) => concerns(i.pc, high, at(i.pc)))
        );
        if (concerned) this.#remove(compiled, true);
      }
    }
  }

  /** `ends`: whether the slice ends after that, so that it runs no more soon, if it does. */
  #remove(compiled: CompiledRegion, ends: boolean): void {
    const { cell, region } = compiled;
    this.#parts.index.remove(compiled);
    this.#parts.index.positions.drop(region, this.#parts.count.instructions(), ends);
    this.#compiled--;
    cell.compiled = cell.compiled.filter((other) => other !== compiled);
    if (cell.region === compiled) {
      this.#active.delete(cell);
      this.#deactivate(cell);
    } else this.#ready(cell);
    this.onChange(physicalAddress(region, cell.pc), false);
  }

  /** Drops everything. */
  clear(): void {
    for (const cell of this.#cells.values()) for (const compiled of cell.compiled) this.#remove(compiled, true);
    // Functions of other regions, still running perhaps, hold their cells: those stay good, only not compiled.
    this.#cells.clear();
    this.#drops.clear();
    this.#misses.clear();
    this.#apart.clear();
    this.table.fill(this.#none);
    for (const translator of this.translators) translator.clear();
  }
}

function newCell(pc: number): Cell {
  const idle = () => pc;
  return {
    pc,
    run: idle,
    idle,
    need: Infinity,
    calls: 0,
    asked: 0,
    askedAt: -Infinity,
    unassumed: 0,
    refusals: 0,
    region: null,
    compiled: [],
    number: -1,
  };
}
