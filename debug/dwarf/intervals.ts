// Stretches of addresses that may overlap, searched by address.

/** Addresses from `low` up to, not including, `high`. */
export interface Interval {
  readonly low: bigint;
  readonly high: bigint;
}

/** Intervals sorted by where they begin. */
export class Intervals<T extends Interval> {
  readonly #sorted: readonly T[];
  /** For each interval the largest end of it and all before it: where a search backwards may stop. */
  readonly #reach: readonly bigint[];

  /** @param tie Orders intervals that begin at one address; what is found first comes last. */
  constructor(intervals: readonly T[], tie: (a: T, b: T) => number = () => 0) {
    this.#sorted = intervals.toSorted((a, b) => a.low < b.low ? -1 : a.low > b.low ? 1 : tie(a, b));
    let end = 0n;
    this.#reach = this.#sorted.map(({ high }) => end = high > end ? high : end);
  }

  /** Those that hold the address, by their beginning from near to far. */
  *covering(address: bigint): Generator<T> {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sorted[middle]!.low <= address) low = middle + 1;
      else high = middle;
    }
    for (let index = low - 1; index >= 0 && this.#reach[index]! > address; index--) {
      if (this.#sorted[index]!.high > address) yield this.#sorted[index]!;
    }
  }

  /** The smallest that holds the address. */
  smallest(address: bigint): T | undefined {
    let best: T | undefined;
    for (const found of this.covering(address)) {
      if (best === undefined || found.high - found.low < best.high - best.low) best = found;
    }
    return best;
  }
}
