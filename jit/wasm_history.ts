// How WebAssembly notes what is executed (history.ts).

import { HISTORY_LAYOUT } from "./history.ts";
import type { WasmFunction } from "./wasm_assembler.ts";

/** What is noted: what pushes the address, an i64, and the count of instructions before it, and how many follow in a line. */
export interface Note {
  readonly pc: () => void;
  readonly count: () => void;
  readonly length: number;
}

/** Writes the next entry of the ring at `ring`. `entry` is a local variable, an i32, that may be used. */
export function note(f: WasmFunction, ring: number, entry: number, { pc, count, length }: Note): void {
  const { at, step, mask } = HISTORY_LAYOUT;
  f.i32(0), f.i32(0), f.memory("i32.load", ring + at), f.i32(step), f.op("i32.add"), f.i32(mask), f.op("i32.and");
  f.tee(entry), f.memory("i32.store", ring + at);
  f.get(entry), f.i32(2), f.op("i32.shl"), f.tee(entry), pc(), f.memory("i64.store", ring);
  f.get(entry), count(), f.memory("i32.store", ring + 8);
  f.get(entry), f.i32(length), f.memory("i32.store", ring + 12);
}
