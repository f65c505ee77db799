// Floating-point registers of a region: which are in local variables where, and which of them hold nothing but singles.

import { valuesOf } from "../../isa/float_operands.ts";
import type { Value } from "../../isa/ir.ts";
import type { Block, RegionInstruction, RegisterSet } from "../region.ts";

/** Floating-point registers at the start of a block. */
export interface FloatsAt {
  /** Those that are read later before they are set. */
  readonly read: RegisterSet;
  /** Those that must be in local variables: read later, or perhaps written back. */
  readonly live: RegisterSet;
  /** Those that may differ from the register file. */
  readonly dirty: RegisterSet;
}

/** What is known of the floating-point registers of a region. Bit n of a set is f[n]. */
export interface FloatRegisterUse {
  /** All that occur. */
  readonly all: RegisterSet;
  /** Those that all instructions take for singles. */
  readonly singles: RegisterSet;
  /** Whether some instruction is an operation of the floating-point unit. */
  readonly computes: boolean;
  readonly at: (block: Block) => FloatsAt;
}

/** Whether an instruction takes the f registers that it reads, and that it sets, for singles. */
function takesSingles(name: string): { readonly reads: boolean; readonly sets: boolean } {
  if (name === "flw" || name === "fsw") return { reads: true, sets: true };
  const parts = name.split("."), source = parts.at(-1), result = parts[1];
  if (parts[0] === "fmv") return { reads: name === "fmv.x.w", sets: name === "fmv.w.x" };
  return { reads: source === "s", sets: result === "s" };
}

/** Whether an instruction is one on floating-point registers. */
export function isFloat({ statements: [first] }: Pick<RegionInstruction, "statements">): boolean {
  return first?.kind === "call" && first.name === "floatEnabled";
}

/** The f registers that an instruction reads, and those that it sets. */
function operandsOf({ statements }: Pick<RegionInstruction, "statements">): {
  readonly reads: RegisterSet;
  readonly sets: RegisterSet;
} {
  let reads = 0, sets = 0;
  const visit = (v: Value | null): void => {
    if (v === null) return;
    if (v.operation === "f") reads |= 1 << v.low;
    visit(v.a), visit(v.b), visit(v.c);
  };
  for (const s of statements) {
    if (s.kind === "setF") sets |= 1 << s.register;
    valuesOf(s).forEach(visit);
  }
  return { reads, sets };
}

const NOTHING: FloatsAt = { read: 0, live: 0, dirty: 0 };

/** Finds that out, of blocks in reverse postorder; null if there is no floating point. */
export function floatRegisterUse(blocks: readonly Block[]): FloatRegisterUse | null {
  let all = 0, others = 0, found = false, computes = false;
  const uses = new Map<Block, RegisterSet>(), sets = new Map<Block, RegisterSet>();
  for (const block of blocks) {
    let used = 0, set = 0;
    for (const i of block.instructions) {
      if (!isFloat(i)) continue;
      found = true;
      const operands = operandsOf(i), singles = takesSingles(i.instruction.name);
      computes ||= i.statements.some((s) => s.kind === "call" && s.name === "float");
      all |= operands.reads | operands.sets;
      others |= (singles.reads ? 0 : operands.reads) | (singles.sets ? 0 : operands.sets);
      used |= operands.reads & ~set;
      set |= operands.sets;
    }
    uses.set(block, used), sets.set(block, set);
  }
  if (!found) return null;
  const at = lives(blocks, uses, sets);
  return { all, singles: all & ~others, computes, at: (block) => at.get(block) ?? NOTHING };
}

/** As `lives` of region.ts does for integer registers: a call writes everything back and leaves nothing in locals. */
function lives(
  blocks: readonly Block[],
  uses: ReadonlyMap<Block, RegisterSet>,
  sets: ReadonlyMap<Block, RegisterSet>,
): ReadonlyMap<Block, FloatsAt> {
  const found = new Map<Block, FloatsAt>(blocks.map((block) => [block, NOTHING]));
  for (let changed = true; changed;) {
    changed = false;
    for (const block of blocks) {
      if (block.calls) continue;
      const out = found.get(block)!.dirty | sets.get(block)!;
      for (const to of block.successors) {
        const there = found.get(to)!;
        if ((there.dirty | out) === there.dirty) continue;
        found.set(to, { ...there, dirty: there.dirty | out });
        changed = true;
      }
    }
  }
  for (let changed = true; changed;) {
    changed = false;
    for (let k = blocks.length - 1; k >= 0; k--) {
      const block = blocks[k]!, here = found.get(block)!, set = sets.get(block)!;
      let readAfter = 0, liveAfter = here.dirty | set;
      if (!block.calls) {
        for (const to of block.successors) readAfter |= found.get(to)!.read, liveAfter |= found.get(to)!.live;
      }
      const read = uses.get(block)! | readAfter & ~set;
      const live = uses.get(block)! | liveAfter & ~set | here.dirty;
      if (read === here.read && live === here.live) continue;
      found.set(block, { ...here, read, live });
      changed = true;
    }
  }
  return found;
}
