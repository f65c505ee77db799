// Writes to registers that nobody can see, since the register is written again before anything reads it, before the region may
// be left, and before anything that may trap.

import { type Block, hasCalls, meaningOf, type RegisterSet } from "../region.ts";

const ALL: RegisterSet = -1;

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
      let i = block.instructions[n]!;
      if (!i.observes && (i.sets & ~seen) !== 0) {
        const kept = i.statements.filter((s) => s.kind !== "setX" || (seen & 1 << s.register) !== 0);
        removed += i.statements.length - kept.length;
        i = block.instructions[n] = { ...i, ...meaningOf(kept) };
      }
      seen = i.observes || hasCalls(i) ? ALL : seen & ~i.sets | i.reads;
    }
    seenBefore.set(block, seen);
  }
  return removed;
}
