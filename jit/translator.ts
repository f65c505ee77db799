// What turns a region into a function: the contract between the code cache and the emitters.

import type { Assumption } from "./facts.ts";
import type { Cell } from "./code_cache.ts";
import type { Region, RegionInstruction, RegisterSet } from "./region.ts";

/** A region's code. */
export interface Translated {
  /**
   * Runs it, with so many calls within calls still allowed. It executes at least one instruction or changes nothing, and returns
   * where the guest goes on: the low half of an address, or 1 if the hart's pc says. Then all registers are in the register
   * file and the count is exact. It may call cells, and gives back any answer that is not the one it expects; it leaves before
   * an instruction that would pass the end of the slice.
   */
  readonly run: (depth: number) => number;
  /** Instructions that must remain for it to do anything. */
  readonly need: number;
  /** How long the code is: characters or bytes. */
  readonly length: number;
  /** What it takes for granted of registers' values at its entry: it does nothing where that does not hold. */
  readonly assumptions: ReadonlyMap<number, Assumption>;
  /** The registers of which that does not hold now. */
  wrong(): RegisterSet;
  /** It as text, with comments before each instruction. */
  text(comment?: (i: RegionInstruction) => string): string;
}

/** Turns regions of one code cache into functions. */
export interface Translator {
  /** The code of a region, with nothing assumed of some registers; null if this translator cannot do it. */
  translate(region: Region, unassumed: RegisterSet): Translated | null;
  /** To be called when the region that a cell runs has changed. */
  ready(cell: Cell): void;
  /** To be called when a cell was found by its address. */
  found(cell: Cell): void;
  /** Whether no more cells can be had until all is cleared. */
  isFull(): boolean;
  /** Forgets all cells. */
  clear(): void;
}
