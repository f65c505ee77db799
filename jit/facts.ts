// What is known of the registers of a 64-bit hart at a place in a region: constants, and how high halves follow from low
// ones. On a 32-bit hart only constants matter.

/** What is known of one register. */
export interface Fact {
  /** The high half is the sign of the low half. */
  readonly signExtended: boolean;
  /** The high half is 0. */
  readonly zeroExtended: boolean;
  /** With `zeroExtended`: a constant of at most this magnitude can be added without leaving the first 4 GiB. */
  readonly room?: number;
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
  const room = zeroExtended ? Math.min(a.room ?? 0, b.room ?? 0) : 0;
  return room > 0 ? { signExtended, zeroExtended, room } : { signExtended, zeroExtended };
}

function same(a: Fact, b: Fact): boolean {
  return a.signExtended === b.signExtended && a.zeroExtended === b.zeroExtended && a.low === b.low &&
    a.high === b.high && (a.room ?? 0) === (b.room ?? 0);
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

/** How values at the entry of a region are taken to be, checked there each time. */
export type Assumption = "memory" | "signed" | "zero";

/** Room on both sides of an address in RAM, and of a register by which memory was accessed with a 12-bit offset. */
export const MEMORY_ROOM = 2047;

/** The fact that an assumption gives. */
export function assumedFact(assumption: Assumption): Fact {
  switch (assumption) {
    case "memory":
      return { signExtended: false, zeroExtended: true, room: MEMORY_ROOM };
    case "signed":
      return { signExtended: true, zeroExtended: false };
    case "zero":
      return { signExtended: false, zeroExtended: true };
  }
}

/** Takes away the rooms that shrink on every way round a loop: they would end at nothing anyway, one step at a time. */
export function withoutShrinkingRooms(before: Facts, now: Facts): Facts {
  const result: Facts = new Map();
  for (const [register, fact] of now) {
    const shrinks = fact.room !== undefined && fact.room < (before.get(register)?.room ?? 0);
    result.set(register, shrinks ? { ...fact, room: 0 } : fact);
  }
  return result;
}
