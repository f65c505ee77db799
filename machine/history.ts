// The instructions that were executed last, as text.

import { unsigned64 } from "../isa/pair.ts";
import type { ExecutedLine } from "../jit/history.ts";
import type { Word } from "./hart_view.ts";
import type { InstructionText } from "./machine.ts";

/**
 * An instruction that was executed: see `Machine.history`.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf", accel: "jit,history=on" });
 * await machine.run();
 * for (const { place, text } of machine.history()) console.log(place, text);
 * ```
 */
export interface ExecutedInstruction<X extends 32 | 64 = 32 | 64> {
  /** Its address. */
  readonly pc: Word<X>;
  /** The same as symbol and offset. */
  readonly place: string;
  /** Mnemonic, tab, operands, as memory holds it now; empty where that cannot be read. */
  readonly text: string;
}

/** Most instructions that are given. */
const MOST = 20;

/** What it needs of the machine. */
export interface HistoryParts {
  /** Memory at a virtual address; undefined where there is none. */
  readonly read: (pc: bigint, length: number) => Uint8Array | undefined;
  readonly disassemble: (bytes: Uint8Array, pc: bigint) => InstructionText;
  readonly format: (pc: bigint) => string;
}

/** The last instructions of what was noted, the latest last. */
export function executedInstructions<X extends 32 | 64>(
  lines: readonly ExecutedLine[],
  xlen: X,
  { read, disassemble, format }: HistoryParts,
): ExecutedInstruction<X>[] {
  const all: ExecutedInstruction<X>[] = [];
  const addresses = lines.map(({ low, high }) => BigInt.asUintN(xlen, unsigned64(low, high)));
  lines.forEach(({ length }, k) => {
    let pc = addresses[k]!;
    for (let n = 0; n < length; n++) {
      // What was left in the middle went on there.
      if (n > 0 && pc === addresses[k + 1]) break;
      const bytes = read(pc, 4) ?? read(pc, 2), instruction = bytes && disassemble(bytes, pc);
      all.push({ pc: (xlen === 32 ? Number(pc) : pc) as Word<X>, place: format(pc), text: instruction?.text ?? "" });
      if (instruction === undefined) break;
      pc += BigInt(instruction.length);
    }
  });
  return all.slice(-MOST);
}
