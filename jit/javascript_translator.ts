// Regions to JavaScript functions, with what is assumed of registers.

import { type Count, REMAINING } from "../hart/counter.ts";
import type { Cell } from "./code_cache.ts";
import type { Assumption } from "./facts.ts";
import { MemoryAccess } from "./memory_access.ts";
import { simplify } from "./passes/simplify.ts";
import type { Positions } from "./positions.ts";
import type { Region, RegionInstruction, RegisterSet } from "./region.ts";
import { RegionEmitter, type RegionEmitterOptions, type RegionText } from "./region_emitter.ts";
import type { Translated, Translator } from "./translator.ts";

/** What it needs of the executor. */
export interface JavaScriptParts {
  readonly options: Omit<RegionEmitterOptions, "assume" | "position" | "comment">;
  /** Numbers of places in regions. */
  readonly positions: Positions;
  readonly count: Count;
  /** The integer registers. */
  readonly x: Int32Array;
  /** The cell of an address. */
  readonly cell: (pc: number) => Cell;
  /** Makes a function of its text and the cells that it names. */
  readonly make: (text: RegionText, cells: readonly Cell[]) => (depth: number) => number;
}

/** Makes JavaScript. */
export class JavaScriptTranslator implements Translator {
  readonly #parts: JavaScriptParts;
  readonly #access: MemoryAccess;

  constructor(parts: JavaScriptParts) {
    this.#parts = parts;
    const { ramBase, ramSize, xlen } = parts.options;
    this.#access = new MemoryAccess(ramBase, ramSize, xlen);
  }

  translate(region: Region, unassumed: RegisterSet): Translated {
    const { options, positions, cell, make } = this.#parts, assumptions = new Map<number, Assumption>();
    simplify(region.blocks);
    const emitter = new RegionEmitter(region, {
      ...options,
      position: positions.add(region),
      assume: this.#assume(unassumed, assumptions),
    });
    const made = emitter.build(), run = make(made, made.cells.map(cell));
    this.#showExit(run);
    const assume = (n: number) => assumptions.get(n);
    return {
      run,
      need: made.need,
      length: made.text.length,
      assumptions,
      wrong: () => {
        let set: RegisterSet = 0;
        for (const [n, assumption] of assumptions) if (this.#observe(n) !== assumption) set |= 1 << n;
        return set;
      },
      text: (comment?: (i: RegionInstruction) => string) =>
        new RegionEmitter(region, { ...options, position: 1, assume, ...(comment && { comment }) }).build().text,
    };
  }

  /** How the value of a register is now. */
  #observe(n: number): Assumption | undefined {
    const { x, options } = this.#parts;
    if (options.xlen === 32) return undefined;
    const low = x[2 * n]!, high = x[2 * n + 1]!;
    if (high === low >> 31) return "signed";
    if (high !== 0) return undefined;
    return options.memory === "bare" && this.#access.isInside(low) ? "memory" : "zero";
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
   * Takes the rare exit a few times, with no instructions left: V8 needs to have seen it, or it would throw away the optimised
   * function when that exit is taken for the first time.
   */
  #showExit(run: (depth: number) => number): void {
    const { state } = this.#parts.count, remaining = state[REMAINING]!;
    state[REMAINING] = 0;
    for (let k = 0; k < 12; k++) run(0);
    state[REMAINING] = remaining;
  }

  // Its functions hold the cells themselves.
  ready(): void {}
  found(): void {}
  isFull(): boolean {
    return false;
  }
  clear(): void {}
}
