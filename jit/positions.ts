// Numbers for places in compiled code, by which it notes where it has been (history.ts).

import type { Block, Region } from "./region.ts";

/** A place: so many instructions of a block have been executed. */
export interface Position {
  readonly region: Region;
  readonly block: Block;
  readonly executed: number;
}

/** The numbers of a region's places. */
interface Numbered {
  readonly region: Region;
  readonly first: number;
  readonly size: number;
  /** Count of instructions from which on it does not run any more; null while it is in the cache. */
  ended: number | null;
}

/** So many regions that were dropped are remembered before those are looked for that nobody needs any more. */
const MOST_DROPPED = 64;
/** A region that was dropped does not run any more after so many instructions: more than a slice has. */
const SLICE = 1 << 21;
/** The same where the slice ends then: more than there are from one look at the count to the next. */
const STRETCH = 4096;

/** How one block leads to another, to the history. */
export type Way =
  /** It is the only one that does so. */
  | "only"
  /** Of the ways to that block, it is the one that is not noted. */
  | "quiet"
  /** It is noted with what remains, by which it is known that it was not the quiet one. */
  | "marked"
  /** It is noted, as all ways to that block are. */
  | "noted";

/**
 * The block that goes on at another one without noting it, though others may do as well: of a loop, the last one. Null if every way is noted,
 * since some come from outside of the region.
 */
export function quietWay(region: Region, to: Block): Block | null {
  if (to.predecessors.some((from) => from.calls)) return null;
  if (to === region.entry && !to.isLoop) return null;
  return to.predecessors.reduce<Block | null>(
    (last, from) => last === null || from.order > last.order ? from : last,
    null,
  );
}

/** How a block leads to another one. */
export function wayTo(region: Region, from: Block, to: Block): Way {
  const quiet = quietWay(region, to);
  if (quiet === null) return "noted";
  if (quiet !== from) return "marked";
  return to.predecessors.some((other) => other !== from) || to === region.entry ? "quiet" : "only";
}

/** Whether the ways to a block have to be told apart by marks. */
export function isMarked(region: Region, to: Block): boolean {
  const quiet = quietWay(region, to);
  return quiet !== null && wayTo(region, quiet, to) === "quiet";
}

/** Whether a region has to mark that it was entered. */
export function marksEntry(region: Region): boolean {
  return quietWay(region, region.entry) !== null;
}

/** Number of a place, counted from the first one of its region. */
export function positionIn(region: Region, block: Block, executed: number, first: number): number {
  let number = first + executed;
  for (const before of region.blocks) {
    if (before === block) break;
    number += before.instructions.length + 1;
  }
  return number;
}

/** The numbers of one hart. */
export class Positions {
  #all: Numbered[] = [];
  readonly #byRegion = new Map<Region, Numbered>();
  #next = 1;
  #dropped = 0;
  /** Numbers that have been noted lately; null where none are, and nothing needs to be remembered. */
  named: (() => Iterable<number>) | null = null;

  /** The first number of a region; 0 is none. */
  add(region: Region): number {
    if (this.named === null) return 1;
    let numbered = this.#byRegion.get(region);
    if (numbered === undefined) {
      const size = region.blocks.reduce((sum, { instructions }) => sum + instructions.length + 1, 0);
      numbered = { region, first: this.#next, size, ended: null };
      this.#next += size;
      this.#all.push(numbered);
      this.#byRegion.set(region, numbered);
    }
    return numbered.first;
  }

  /**
   * A region was dropped, after so many instructions. It may be running, and its numbers stay known as long as they may be noted. `ends`:
   * the slice ends then.
   */
  drop(region: Region, count: number, ends: boolean): void {
    const numbered = this.#byRegion.get(region);
    if (numbered === undefined || numbered.ended !== null) return;
    numbered.ended = count + (ends ? STRETCH : SLICE);
    if (++this.#dropped < MOST_DROPPED) return;
    const needed = new Set<Numbered>();
    for (const number of this.named?.() ?? []) {
      const named = this.#numbered(number);
      if (named !== undefined) needed.add(named);
    }
    this.#all = this.#all.filter((one) => {
      const stays = one.ended === null || count < one.ended || needed.has(one);
      if (!stays) this.#byRegion.delete(one.region);
      return stays;
    });
    this.#dropped = 0;
  }

  #numbered(number: number): Numbered | undefined {
    let low = 0, high = this.#all.length;
    while (low < high) {
      const middle = low + high >> 1;
      if (this.#all[middle]!.first <= number) low = middle + 1;
      else high = middle;
    }
    const found = this.#all[low - 1];
    return found !== undefined && number < found.first + found.size ? found : undefined;
  }

  /** The place that a number stands for. */
  find(number: number): Position | undefined {
    const numbered = this.#numbered(number);
    if (numbered === undefined) return undefined;
    let executed = number - numbered.first;
    for (const block of numbered.region.blocks) {
      if (executed <= block.instructions.length) return { region: numbered.region, block, executed };
      executed -= block.instructions.length + 1;
    }
    return undefined;
  }
}
