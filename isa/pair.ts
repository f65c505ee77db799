// 64-bit integers as pairs of int32: how a function gives one back, and the way to and from BigInt.

/** High half of the last 64-bit result, in element 0. Longer than that for speed (see `Count.state`). */
export const HIGH: Int32Array = new Int32Array(32);

const wideView = new BigInt64Array(2);
const halves = new Int32Array(wideView.buffer);
const unsignedView = new BigUint64Array(wideView.buffer);

/** Returns a 64-bit integer as a pair. */
export function give(value: bigint): number {
  wideView[0] = BigInt.asIntN(64, value);
  HIGH[0] = halves[1]!;
  return halves[0]!;
}

/** The signed integer of a pair. */
export function signed64(low: number, high: number): bigint {
  halves[0] = low;
  halves[1] = high;
  return wideView[0]!;
}

/** The unsigned integer of a pair. */
export function unsigned64(low: number, high: number): bigint {
  halves[0] = low;
  halves[1] = high;
  return unsignedView[0]!;
}

/** High half of the sum of a pair and a sign-extended word. */
export function sumHigh(low: number, high: number, word: number): number {
  const carry = (low >>> 0) + (word >>> 0) > 0xffff_ffff ? 1 : 0;
  return high + (word >> 31) + carry | 0;
}
