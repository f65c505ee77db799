// All compiled regions of one hart, by the lines of RAM that hold their instructions, whatever virtual addresses they have:
// bounds them together, drops those that were overwritten.

import type { Count } from "../hart/counter.ts";
import { LINE_SHIFT, type Ram, WATCH } from "../hart/memory.ts";
import type { HookChange } from "./code_hooks.ts";
import type { CodeCache, Compilation, CompiledRegion, CompilerOptions } from "./code_cache.ts";
import { physicalAddress, type Region } from "./region.ts";
import { Positions } from "./positions.ts";
import { type CompilerStatistics, noStatistics } from "./statistics.ts";
import { FIGURE } from "./wasm_dispatcher.ts";

/** The compiled regions of a hart. */
export class CodeIndex {
  readonly options: CompilerOptions;
  /** Without what `figures` counts. */
  readonly statistics: CompilerStatistics = noStatistics();
  /** What dispatchers count: see `FIGURE`. */
  readonly figures: BigInt64Array;
  /** Numbers of the places in compiled code. */
  readonly positions = new Positions();
  readonly #ram: Ram;
  readonly #count: Count;
  readonly #byLine = new Map<number, Set<CompiledRegion>>();
  /** The caches that it indexes: one for each 4 GiB of addresses at a privilege level. */
  readonly caches = new Set<CodeCache>();
  /** Guest instructions in all regions. */
  #instructions = 0;
  /** Called after a region was compiled, for who wants to look at it. */
  onCompile: (made: Compilation) => void = () => {};
  /** Milliseconds of any clock, for the statistics; nothing else depends on it. */
  stopwatch: () => number = () => 0;

  constructor(options: CompilerOptions, ram: Ram, count: Count) {
    this.options = options;
    this.#ram = ram;
    this.#count = count;
    const words = ram.words(16);
    this.figures = new BigInt64Array(words.buffer, words.byteOffset, 8);
  }

  /** All figures. */
  totals(): CompilerStatistics {
    const { statistics, figures } = this, { exits } = statistics;
    const figure = (name: keyof typeof FIGURE) => Number(figures[FIGURE[name]]);
    const { slice, notCompiled } = exits;
    return {
      ...statistics,
      executed: statistics.executed + figure("executed"),
      entries: statistics.entries + figure("entries"),
      links: statistics.links + figure("regions") - figure("entries"),
      exits: { ...exits, slice: slice + figure("slice"), notCompiled: notCompiled + figure("notCompiled") },
    };
  }

  /** Whether there is room for another region. */
  hasRoom(): boolean {
    const { cacheInstructions, regionInstructions } = this.options;
    return this.#instructions + regionInstructions <= cacheInstructions;
  }

  /** Makes room for a region of `size` instructions. */
  reserve(size: number): void {
    if (this.#instructions + size > this.options.cacheInstructions) this.flush();
  }

  /** Enters a region under its lines. */
  add(compiled: CompiledRegion): void {
    this.#instructions += compiled.region.size;
    for (const line of compiled.lines) {
      this.#ram.lines[line]! |= WATCH.compiled;
      let regions = this.#byLine.get(line);
      if (regions === undefined) this.#byLine.set(line, regions = new Set());
      regions.add(compiled);
    }
  }

  /** Lines stay marked until they are written (invalidation.ts): other harts' caches have the same mark. */
  remove(compiled: CompiledRegion): void {
    this.#instructions -= compiled.region.size;
    for (const line of compiled.lines) {
      const regions = this.#byLine.get(line)!;
      regions.delete(compiled);
      if (regions.size === 0) this.#byLine.delete(line);
    }
  }

  /** Whether a region holds instructions of a line of RAM. */
  holds(line: number): boolean {
    return this.#byLine.has(line);
  }

  /** The lines that hold a region's instructions. */
  linesOf(region: Region): number[] {
    const { base } = this.#ram, lines = new Set<number>();
    for (const block of region.blocks) {
      for (const { pc, length } of block.instructions) {
        lines.add((physicalAddress(region, pc) - base) >>> LINE_SHIFT);
        lines.add((physicalAddress(region, pc + length - 1 | 0) - base) >>> LINE_SHIFT);
      }
    }
    return [...lines];
  }

  /** Drops the regions that hold any of `length` bytes from `offset` in RAM. They may be running: the slice ends. */
  invalidate(offset: number, length: number): void {
    const { lines, base } = this.#ram;
    let dropped = false;
    const last = (offset + length - 1) >>> LINE_SHIFT;
    for (let line = offset >>> LINE_SHIFT; line <= last; line++) {
      if ((lines[line]! & WATCH.compiled) === 0) continue;
      for (const compiled of this.#byLine.get(line) ?? []) {
        // A line also holds data: only writes to the instructions themselves matter.
        if (!overlaps(compiled.region, base + offset, length)) continue;
        compiled.cache.drop(compiled);
        dropped = true;
      }
    }
    if (dropped) this.#count.stop();
  }

  /** Drops the regions that hold, or end at, an instruction that a change of hooks concerns. They may be running: the slice ends. */
  dropConcerned(change: HookChange): void {
    for (const cache of this.caches) cache.dropConcerned(change);
    this.#count.stop();
  }

  /** The regions that are compiled, in the order of their entries. */
  compilations(): Compilation[] {
    return [...this.caches].flatMap((cache) => cache.compilations());
  }

  /** Drops everything. */
  flush(): void {
    for (const cache of this.caches) cache.clear();
    this.statistics.flushes++;
  }
}

function overlaps(region: Region, address: number, length: number): boolean {
  for (const block of region.blocks) {
    for (const i of block.instructions) {
      for (let k = 0; k < i.length; k += 2) {
        const start = physicalAddress(region, i.pc + k | 0);
        if (start < address + length && address < start + 2) return true;
      }
    }
  }
  return false;
}
