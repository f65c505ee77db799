// What a guest leaves behind, as one line that can be compared between runtimes. Uses Web standards only: it runs in browsers, too.

import { ABI_NAMES } from "../../isa/registers.ts";
import { Machine } from "../../mod.ts";

/** A program to run: its name, its bytes, and how. */
export interface Guest {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly accel: string;
}

/** Memory of the machines: what the programs need. */
const MEMORY = "8M";
/** First address of RAM and its size. */
const RAM = 0x8000_0000, RAM_SIZE = 8 << 20;

/** Registers besides `x` that must agree. */
const CSRS = ["mstatus", "mcause", "mepc", "mtval", "mscratch", "mtvec", "mie", "mip", "minstret", "mcycle", "time"];

/** Most instructions that are executed. */
const LIMIT = 20_000_000;

/** Runs a program to its end, or for so many instructions: why it ended, how many instructions that took, and a digest of registers, memory and console. */
export async function finalState({ name, bytes, accel }: Guest): Promise<string> {
  const machine = await Machine.create({ bios: bytes, accel, memory: MEMORY });
  const stop = await machine.run({ maxInstructions: LIMIT });
  const { hart } = machine;
  const floats = ABI_NAMES.map((_, n) => hart.f[`f${n}` as "f0"]);
  const registers = [hart.pc, ...ABI_NAMES.map((register) => hart.x[register as "a0"]), ...floats];
  const text = [...registers, ...CSRS.map((csr) => hart.readCsr(csr)), machine.console.output].join();
  const all = new Blob([text, machine.memory.read(RAM, RAM_SIZE) as Uint8Array<ArrayBuffer>]);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await all.arrayBuffer()));
  const end = stop.kind === "exit" ? `exit ${stop.code}` : stop.kind;
  return `${name} ${accel}: ${end} after ${stop.instructions}, ${
    [...digest].map((b) => b.toString(16).padStart(2, "0")).join("")
  }`;
}
