// What is known of the registers of a 64-bit hart at a place in a region: constants, and how high halves follow from low
// ones. On a 32-bit hart only constants matter.

/** What is known of one register. */
export interface Fact {
  /** The high half is the sign of the low half. */
  readonly signExtended: boolean;
  /** The high half is 0. */
  readonly zeroExtended: boolean;
  /** Halves of its value, where that is known. */
  readonly low?: number;
  readonly high?: number;
}

/** Facts by register number; a register that is missing is unknown. */
export type Facts = Map<number, Fact>;

/** Nothing is known. */
export const UNKNOWN: Fact = { signExtended: false, zeroExtended: false };

/** What holds if either of two facts does. */
function meet(a: Fact, b: Fact): Fact {
  const signExtended = a.signExtended && b.signExtended, zeroExtended = a.zeroExtended && b.zeroExtended;
  if (a.low !== undefined && a.low === b.low && a.high === b.high) return a;
  return { signExtended, zeroExtended };
}

function same(a: Fact, b: Fact): boolean {
  return a.signExtended === b.signExtended && a.zeroExtended === b.zeroExtended && a.low === b.low &&
    a.high === b.high;
}

/** What holds on either of two ways into a block. */
export function meetFacts(a: Facts, b: Facts): Facts {
  const result: Facts = new Map();
  for (const [register, fact] of a) {
    const other = b.get(register);
    if (other === undefined) continue;
    const both = meet(fact, other);
    if (both.signExtended || both.zeroExtended || both.low !== undefined) result.set(register, both);
  }
  return result;
}

/** Whether two sets of facts are the same. */
export function sameFacts(a: Facts, b: Facts): boolean {
  if (a.size !== b.size) return false;
  for (const [register, fact] of a) {
    const other = b.get(register);
    if (other === undefined || !same(fact, other)) return false;
  }
  return true;
}
