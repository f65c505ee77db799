// The passes that simplify a region for JavaScript. V8's compiler for WebAssembly does the same by itself, in less time.

import { type Block, meaningOf } from "../region.ts";
import { removeDeadWrites } from "./dead_writes.ts";
import { propagateKnown, withKnown } from "./known_values.ts";

/** Folds constants, propagates them and copies, and removes dead writes, in the blocks of a region, given in reverse postorder. */
export function simplify(blocks: readonly Block[]): void {
  const nothing = new Map<number, never>();
  for (const { instructions } of blocks) {
    for (let k = 0; k < instructions.length; k++) {
      const i = instructions[k]!, statements = withKnown(i.statements, nothing);
      if (statements !== i.statements) instructions[k] = { ...i, ...meaningOf(statements) };
    }
  }
  propagateKnown(blocks);
  removeDeadWrites(blocks);
}
