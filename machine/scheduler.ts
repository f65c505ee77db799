// Which hart executes: harts take turns, each for so many instructions. One after another on the host's one thread, so a run is
// the same each time and every instruction is atomic.

import type { Count } from "../hart/counter.ts";
import type { Hart } from "../hart/hart.ts";
import type { Reservations } from "./reservations.ts";

/** Instructions in a turn unless the user says otherwise. */
export const DEFAULT_QUANTUM = 5000;

/** Longest turn, so that a slice's length is an int32. */
export const MAX_QUANTUM = 1_000_000_000;

/**
 * Gives the harts their turns, in the order of their numbers. A turn ends after the quantum, when the hart waits, gives it up
 * (PAUSE, WRS) or causes an interrupt of another hart. How a run is cut into slices and calls of `step` has no part in it.
 */
export class Scheduler {
  readonly #harts: readonly Hart[];
  readonly #count: Count;
  readonly #quantum: number;
  readonly #reservations: Reservations;
  /** Number of the hart whose turn it is. */
  #current = 0;
  /** Count of instructions at which its turn ends. */
  #end = 0;

  constructor(harts: readonly Hart[], count: Count, quantum: number, reservations: Reservations) {
    this.#harts = harts;
    this.#count = count;
    this.#quantum = harts.length === 1 ? Infinity : quantum;
    this.#reservations = reservations;
    harts.forEach((hart, k) => {
      hart.others = harts.filter((other) => other !== hart);
      if (k !== 0) hart.suspend();
    });
    this.reset();
  }

  /** The hart whose turn it is, or was before all began to wait. */
  get current(): Hart {
    return this.#harts[this.#current]!;
  }

  /** Instructions that are left of its turn. */
  get left(): number {
    return this.#end - this.#count.instructions();
  }

  /** Begins with the first hart again. */
  reset(): void {
    this.give(0);
  }

  /** The hart that executes next; undefined if all wait. */
  next(): Hart | undefined {
    const { current } = this;
    if (!this.#count.yields && this.left > 0 && current.wakes()) return current;
    for (let k = 1; k <= this.#harts.length; k++) {
      const number = (this.#current + k) % this.#harts.length;
      if (!this.#harts[number]!.wakes()) continue;
      this.give(number);
      return this.current;
    }
    return undefined;
  }

  /** Begins the turn of a hart. */
  give(number: number): void {
    const before = this.current, hart = this.#harts[number]!;
    if (hart !== before) {
      before.suspend();
      this.#reservations.watch(before);
      this.#reservations.release(hart);
      hart.resume();
    }
    this.#current = number;
    this.#end = this.#count.instructions() + this.#quantum;
    this.#count.yields = false;
  }
}
