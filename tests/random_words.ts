// Random numbers for tests: the same ones for the same seed (xorshift32).

/** A source of numbers from 0 to 2^32 − 1. The seed must not be 0. */
export function randomWords(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** `match` with random values of the bits in `free`, of which few, half or most are set. */
export function randomFields(random: () => number, match: number, free: number): number {
  const bits = [random(), random() & random(), random() | random(), random()][random() & 3]!;
  return (match | bits & free) >>> 0;
}
