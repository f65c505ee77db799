// Facts of a 64-bit hart's registers: which are the sign extensions of their low halves where a block begins. Such a register can be
// kept as its low half alone.

import type { Statement, Value } from "../../isa/ir.ts";
import { NEVER_NEGATIVE } from "../emitter.ts";
import type { Block, RegisterSet } from "../region.ts";

/** What is known of registers and temporaries where a value is computed. */
export interface KnownExtensions {
  /** Of a 64-bit value, where that is known without looking at its operation. */
  isExtension(v: Value): boolean | undefined;
  /** Whether an i32 temporary is below 2^31. */
  isSmall(v: Value): boolean;
}

/** Whether a 64-bit value is the sign extension of its low half, which takes no more than the value to compute. */
export function isSignExtension(v: Value, known: KnownExtensions): boolean {
  if (v.type !== "i64") return false;
  const { a, b } = v, answer = known.isExtension(v);
  if (answer !== undefined) return answer;
  switch (v.operation) {
    case "signExtend64":
      return true;
    case "zeroExtend64":
      return NEVER_NEGATIVE.has(a!.operation) || known.isSmall(a!);
    case "const":
      return v.high === v.low >> 31;
    case "and":
      return isSignExtension(b!, known) && (isSignExtension(a!, known) || (b!.operation === "const" && b!.low >= 0));
    case "or":
    case "xor":
      return isSignExtension(a!, known) && isSignExtension(b!, known);
    case "select":
      return isSignExtension(b!, known) && isSignExtension(v.c!, known);
    case "shiftRightSigned":
      return b!.operation === "const" && (b!.low & 63) < 32 && isSignExtension(a!, known);
    default:
      return false;
  }
}

/** The registers that the statements of an instruction leave sign extensions, where those of a set are some before it. */
export function extensionsOf(statements: readonly Statement[], before: RegisterSet): RegisterSet {
  const temps = new Map<Value, boolean>(), small = new Set<Value>();
  const known: KnownExtensions = {
    isExtension: (v) => v.operation === "x" ? (before & 1 << v.low) !== 0 : temps.get(v),
    isSmall: (v) => small.has(v),
  };
  let set = 0;
  for (const s of statements) {
    if (s.kind === "let") temps.set(s.temp, isSignExtension(s.value, known));
    else if (s.kind === "load" && (s.memory === "u8" || s.memory === "u16")) small.add(s.temp);
    else if (s.kind === "setX" && isSignExtension(s.value, known)) set |= 1 << s.register;
  }
  return set;
}

/** The registers that are extensions after a block, where those of a set are before it. */
function after(block: Block, before: RegisterSet): RegisterSet {
  if (block.calls) return 0;
  let set = before;
  for (const { statements, sets, extended, unclear } of block.instructions) {
    if (sets === 0) continue;
    set = set & ~sets | (unclear === 0 ? extended : extensionsOf(statements, set));
  }
  return set;
}

/** The registers that are sign extensions at the start of each block, given in reverse postorder. Nothing is known at the first one. */
export function signExtensions(blocks: readonly Block[]): Map<Block, RegisterSet> {
  const ends = new Map<Block, RegisterSet>(), starts = new Map<Block, RegisterSet>();
  for (let changed = true; changed;) {
    changed = false;
    for (const block of blocks) {
      // What has not been looked at yet may be anything.
      let set: RegisterSet = block === blocks[0] ? 0 : -1;
      for (const from of block.predecessors) set &= ends.get(from) ?? -1;
      if (starts.get(block) === set) continue;
      starts.set(block, set);
      ends.set(block, after(block, set));
      changed = true;
    }
  }
  return starts;
}
