// Copy and constant propagation: where a register is known to hold a constant, or the same as another register, on all ways
// that lead there, reads of it become reads of that.

import { type Statement, Value } from "../../isa/ir.ts";
import { type Block, meaningOf, type RegionInstruction, type RegisterSet } from "../region.ts";
import { foldConstants } from "./constant_folding.ts";
import { rewriteStatements } from "./rewrite.ts";

function same(a: Value, b: Value): boolean {
  return a.operation === b.operation && a.type === b.type && a.low === b.low && a.high === b.high;
}

/** By register: the constant that it holds, or the `x` value that it equals. */
class Known {
  readonly #values: (Value | undefined)[];
  /** Registers of which something is known. */
  #registers: RegisterSet;

  constructor(of: Known | null = null) {
    this.#values = of === null ? new Array(32).fill(undefined) : of.#values.slice();
    this.#registers = of === null ? 0 : of.#registers;
  }

  get registers(): RegisterSet {
    return this.#registers;
  }

  get(register: number): Value | undefined {
    return this.#values[register];
  }

  #forget(register: number): void {
    this.#values[register] = undefined;
    this.#registers &= ~(1 << register);
  }

  /** Keeps what holds on another way, too. */
  meet(other: Known): void {
    for (let rest = this.#registers; rest !== 0; rest &= rest - 1) {
      const register = 31 - Math.clz32(rest & -rest), value = other.#values[register];
      if (value === undefined || !same(value, this.#values[register]!)) this.#forget(register);
    }
  }

  equals(other: Known): boolean {
    if (this.#registers !== other.#registers) return false;
    for (let rest = this.#registers; rest !== 0; rest &= rest - 1) {
      const register = 31 - Math.clz32(rest & -rest);
      if (!same(this.#values[register]!, other.#values[register]!)) return false;
    }
    return true;
  }

  /** Goes over statements, which set these registers. */
  pass(statements: readonly Statement[], sets: RegisterSet): void {
    if (sets === 0) return;
    for (let rest = this.#registers; rest !== 0; rest &= rest - 1) {
      const register = 31 - Math.clz32(rest & -rest), value = this.#values[register]!;
      const isLost = (sets & 1 << register) !== 0 || (value.operation === "x" && (sets & 1 << value.low) !== 0);
      if (isLost) this.#forget(register);
    }
    for (const s of statements) {
      if (s.kind !== "setX") continue;
      const { register, value } = s;
      if (value.operation === "const" || (value.operation === "x" && (sets & 1 << value.low) === 0)) {
        this.#values[register] = value;
        this.#registers |= 1 << register;
      }
    }
  }
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

/** The statements of an instruction where something is known of registers: constants and `x` values, by register. */
export function withKnown(
  statements: readonly Statement[],
  known: { get(register: number): Value | undefined },
): readonly Statement[] {
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
    let known: Known | null = block === blocks[0] ? new Known() : null;
    for (const from of block.predecessors) {
      const out = outs.get(from);
      // Not looked at yet: the best is assumed, until nothing changes any more.
      if (out === undefined) continue;
      // A called function may do anything.
      if (from.calls) return new Known();
      if (known === null) known = new Known(out);
      else known.meet(out);
    }
    return known ?? new Known();
  };
  const statementsOf = (i: RegionInstruction, known: Known) =>
    (i.reads & known.registers) === 0 ? i.statements : withKnown(i.statements, known);
  // Where nothing leads back, one way through is enough.
  for (let changed = blocks.some(({ isLoop }) => isLoop); changed;) {
    changed = false;
    for (const block of blocks) {
      const known = knownIn(block), before = outs.get(block);
      for (const i of block.instructions) known.pass(statementsOf(i, known), i.sets);
      if (before?.equals(known) === true) continue;
      outs.set(block, known);
      changed = true;
    }
  }
  // What is known was solved with the statements as they were: they change only now.
  for (const block of blocks) {
    const known = knownIn(block), { instructions } = block;
    for (let k = 0; k < instructions.length; k++) {
      const i = instructions[k]!, statements = statementsOf(i, known);
      if (statements !== i.statements) instructions[k] = { ...i, ...meaningOf(statements) };
      known.pass(statements, i.sets);
    }
    outs.set(block, known);
  }
}
