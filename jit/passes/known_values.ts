// Copy and constant propagation: where a register is known to hold a constant, or the same as another register, on all ways
// that lead there, reads of it become reads of that.

import { type Statement, Value } from "../../isa/ir.ts";
import type { Block, RegionInstruction } from "../region.ts";
import { foldConstants } from "./constant_folding.ts";
import { rewriteStatements } from "./rewrite.ts";

/** By register: the constant that it holds, or the `x` value that it equals. */
type Known = Map<number, Value>;

function same(a: Value, b: Value): boolean {
  return a.operation === b.operation && a.type === b.type && a.low === b.low && a.high === b.high;
}

/** What holds on either of two ways. */
function meet(a: Known, b: Known): Known {
  return new Map([...a].filter(([register, value]) => b.has(register) && same(value, b.get(register)!)));
}

/** What holds after statements. */
function after(known: Known, statements: readonly Statement[]): Known {
  const sets = statements.filter((s) => s.kind === "setX"), set = new Set(sets.map(({ register }) => register));
  if (set.size === 0) return known;
  const lost = ([register, v]: [number, Value]) => set.has(register) || (v.operation === "x" && set.has(v.low));
  const result: Known = new Map([...known].filter((entry) => !lost(entry)));
  for (const { register, value } of sets) {
    if (value.operation === "const" || (value.operation === "x" && !set.has(value.low))) result.set(register, value);
  }
  return result;
}

/** Registers by which memory is accessed: what is learned of an address is learned of the register that holds it. */
function addressRegisters(statements: readonly Statement[]): Set<number> {
  const registers = new Set<number>();
  for (const s of statements) {
    if (s.kind !== "load" && s.kind !== "store") continue;
    const base = s.address.operation === "add" ? s.address.a! : s.address;
    if (base.operation === "x") registers.add(base.low);
  }
  return registers;
}

/** The statements of an instruction where something is known of registers. */
export function withKnown(statements: readonly Statement[], known: ReadonlyMap<number, Value>): readonly Statement[] {
  // Floating-point instructions have fast paths, which know their statements by their form.
  if (statements.some((s) => s.kind === "setF" || s.kind === "call")) return statements;
  const addresses = addressRegisters(statements);
  return rewriteStatements(statements, (v) => {
    if (v.operation !== "x") return foldConstants(v);
    const value = addresses.has(v.low) ? undefined : known.get(v.low);
    return value === undefined ? v : new Value(value.operation, value.type, null, null, null, value.low, value.high);
  });
}

/** Propagates constants and copies through the blocks of a region, given in reverse postorder. */
export function propagateKnown(blocks: readonly Block[]): void {
  const outs = new Map<Block, Known>();
  const knownIn = (block: Block): Known => {
    let known: Known | null = block === blocks[0] ? new Map() : null;
    for (const from of block.predecessors) {
      const out = outs.get(from);
      // Not looked at yet: the best is assumed, until nothing changes any more.
      if (out === undefined) continue;
      // A called function may do anything.
      const way: Known = from.calls ? new Map() : out;
      known = known === null ? way : meet(known, way);
    }
    return known ?? new Map();
  };
  const run = (block: Block, visit: (i: RegionInstruction, statements: readonly Statement[], k: number) => void) => {
    let known = knownIn(block);
    block.instructions.forEach((i, k) => {
      const statements = withKnown(i.statements, known);
      visit(i, statements, k);
      known = after(known, statements);
    });
    return known;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (const block of blocks) {
      const out = run(block, () => {}), before = outs.get(block);
      if (before !== undefined && before.size === out.size && meet(before, out).size === out.size) continue;
      outs.set(block, out);
      changed = true;
    }
  }
  // What is known was solved with the statements as they were: they change only now.
  const rewritten = blocks.map((block) => {
    const instructions: RegionInstruction[] = [];
    run(block, (i, statements) => instructions.push(statements === i.statements ? i : { ...i, statements }));
    return instructions;
  });
  blocks.forEach((block, k) => block.instructions.splice(0, Infinity, ...rewritten[k]!));
}
