// Writes to registers that nobody can see, since the register is written again before anything reads it, before the region may
// be left, and before anything that may trap.

import type { Statement } from "../../isa/ir.ts";
import { type Block, hasCalls, type RegisterSet, statementReads } from "../region.ts";

const ALL: RegisterSet = -1;

/** Whether an instruction may trap or be looked at from outside: then all registers must be as they should. */
function observes(statements: readonly Statement[]): boolean {
  return statements.some(({ kind }) => kind === "load" || kind === "store" || kind === "call" || kind === "leave");
}

/** Registers that are seen after a block. */
function seenAfter(block: Block, seenBefore: ReadonlyMap<Block, RegisterSet>): RegisterSet {
  const { kind } = block.terminator, ways = kind === "branch" ? 2 : kind === "jump" ? 1 : 0;
  // All other ways out, and the check of the count at the head of a loop, may leave the region.
  if (ways !== block.successors.length || ways === 0) return ALL;
  return block.successors.reduce((set, to) => set | (to.isLoop ? ALL : seenBefore.get(to) ?? ALL), 0);
}

/** Removes such writes from the blocks of a region, given in reverse postorder; gives how many there were. */
export function removeDeadWrites(blocks: readonly Block[]): number {
  const seenBefore = new Map<Block, RegisterSet>();
  let removed = 0;
  // Backward, so that what follows a block is known, but for loops, whose heads see everything.
  for (let k = blocks.length - 1; k >= 0; k--) {
    const block = blocks[k]!;
    let seen = seenAfter(block, seenBefore);
    for (let n = block.instructions.length - 1; n >= 0; n--) {
      const i = block.instructions[n]!, sees = observes(i.statements);
      const kept = sees
        ? i.statements
        : i.statements.filter((s) => s.kind !== "setX" || (seen & 1 << s.register) !== 0);
      if (kept.length < i.statements.length) {
        removed += i.statements.length - kept.length;
        block.instructions[n] = { ...i, statements: kept };
      }
      for (const s of kept) if (s.kind === "setX") seen &= ~(1 << s.register);
      for (const s of kept) seen |= statementReads(s);
      if (sees || hasCalls(i)) seen = ALL;
    }
    seenBefore.set(block, seen);
  }
  return removed;
}
