// Prints the final state of some guests: run by runtimes_test.ts under each runtime.

import { readFileSync } from "node:fs";
import process from "node:process";
import { finalState } from "./machine_state.ts";

/** Guests that all runtimes have to agree about: RV32 and RV64, integers and floating point, traps, short and long. */
export const GUESTS: readonly (readonly [file: string, accel: string])[] = [
  ["tests/programs/p0uart.elf", "interpreter"],
  ["tests/programs/kernel.elf", "jit,threshold=1"],
  ["bench/guests/virt32-core-1.elf", "jit"],
  ["bench/guests/virt64-matmul-1.elf", "jit"],
  ["bench/guests/virt64i-dhry-1.elf", "jit"],
];

/** The bytes of a file of the checkout. */
export function bytesOf(file: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../../${file}`, import.meta.url)));
}

/** Their final states, one line each. */
export async function guestStates(): Promise<string> {
  let text = "";
  for (const [name, accel] of GUESTS) text += `${await finalState({ name, accel, bytes: bytesOf(name) })}\n`;
  return text;
}

if (process.argv[2] === "print") process.stdout.write(await guestStates());
