// Random numbers that follow from a seed.

/** A random number generator for those who need no secrets: xoshiro128** (Blackman and Vigna, 2018). */
export class Xoshiro {
  /** Four words that are not all zero. */
  state: Uint32Array;

  /** The state is filled from the seed by SplitMix32, as the authors advise. */
  constructor(seed: number) {
    let z = seed >>> 0;
    this.state = Uint32Array.from({ length: 4 }, () => {
      z = (z + 0x9e37_79b9) >>> 0;
      let x = Math.imul(z ^ z >>> 16, 0x85eb_ca6b);
      x = Math.imul(x ^ x >>> 13, 0xc2b2_ae35);
      return x ^ x >>> 16;
    });
  }

  /** The next 32 bits. */
  next(): number {
    const s = this.state, rotate = (x: number, by: number) => x << by | x >>> 32 - by;
    const result = Math.imul(rotate(Math.imul(s[1]!, 5), 7), 9), t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotate(s[3]!, 11);
    return result;
  }
}
