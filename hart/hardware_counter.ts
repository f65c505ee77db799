// mcycle and minstret: 64-bit counters that software may set and stop.

import { HIGH } from "../isa/pair.ts";

/** A counter that follows a count of the machine. */
export class HardwareCounter {
  #source: () => number;
  /** What is added to the source, modulo 2^64; the value itself while inhibited. */
  #low = 0;
  #high = 0;
  #inhibited = false;

  /** `source` is read before the current instruction counts. */
  constructor(source: () => number) {
    this.#source = source;
  }

  /** Low half; the high half goes to HIGH[0]. */
  read(): number {
    if (this.#inhibited) {
      HIGH[0] = this.#high;
      return this.#low;
    }
    const count = this.#source();
    const sum = (count % 4294967296) + (this.#low >>> 0);
    HIGH[0] = this.#high + Math.floor(count / 4294967296) + (sum > 4294967295 ? 1 : 0);
    return sum | 0;
  }

  /**
   * Sets the counter. The write takes the place of the writing instruction's own increment (unprivileged manual,
   * "Zicntr"): the next instruction reads just this value.
   */
  write(low: number, high: number): void {
    this.#low = low;
    this.#high = high;
    if (!this.#inhibited) this.#offset(this.#source() + 1);
  }

  #offset(count: number): void {
    const difference = (this.#low >>> 0) - (count % 4294967296);
    this.#high = (this.#high - Math.floor(count / 4294967296) - (difference < 0 ? 1 : 0)) | 0;
    this.#low = difference | 0;
  }

  /** Stops or starts the counter (mcountinhibit); takes effect after the current instruction. */
  set inhibited(inhibited: boolean) {
    if (inhibited === this.#inhibited) return;
    if (inhibited) {
      const low = this.read();
      // The instruction that stops the counter still counts.
      this.#low = (low + 1) | 0;
      this.#high = HIGH[0]! + (this.#low === 0 ? 1 : 0);
      this.#inhibited = true;
    } else {
      this.#inhibited = false;
      this.#offset(this.#source() + 1);
    }
  }

  /** Back to 0 and counting. */
  reset(): void {
    this.#inhibited = false;
    this.#low = this.#high = 0;
    this.#offset(this.#source());
  }

  /** State for a snapshot. */
  snapshot(): { low: number; high: number; inhibited: boolean } {
    return { low: this.#low, high: this.#high, inhibited: this.#inhibited };
  }
  /** Puts a snapshot back. */
  restore(state: { low: number; high: number; inhibited: boolean }): void {
    this.#low = state.low;
    this.#high = state.high;
    this.#inhibited = state.inhibited;
  }
}
