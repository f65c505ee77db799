// The instructions that were executed last, as text.

import { unsigned64 } from "../isa/pair.ts";
import type { ExecutedAddress } from "../jit/history.ts";
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

/** What it needs of the machine. */
export interface HistoryParts {
  /** Memory at a virtual address; undefined where there is none. */
  readonly read: (pc: bigint, length: number) => Uint8Array | undefined;
  readonly disassemble: (bytes: Uint8Array, pc: bigint) => InstructionText;
  readonly format: (pc: bigint) => string;
}

/** The instructions at addresses, in their order. */
export function executedInstructions<X extends 32 | 64>(
  addresses: readonly ExecutedAddress[],
  xlen: X,
  { read, disassemble, format }: HistoryParts,
): ExecutedInstruction<X>[] {
  return addresses.map(({ low, high }) => {
    const pc = BigInt.asUintN(xlen, unsigned64(low, high)), bytes = read(pc, 4) ?? read(pc, 2);
    const text = bytes === undefined ? "" : disassemble(bytes, pc).text;
    return { pc: (xlen === 32 ? Number(pc) : pc) as Word<X>, place: format(pc), text };
  });
}
