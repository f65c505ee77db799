// The table from virtual pages to pages of decoded records, and how WebAssembly looks into it: the interpreter's loop and the dispatcher.

import { FETCH_KEY } from "../hart/hart.ts";
import type { WasmFunction } from "./wasm_assembler.ts";

/** Entries; a power of two. */
export const PAGE_ENTRIES = 1024;

/**
 * Words of an entry: the low half of the page's address together with the hart's `FETCH_KEY` (0: there is none), its high half, the first
 * record, and one that is not used.
 */
export const PAGE_ENTRY = 4;

/** Where the entry of an address begins. */
export function pageEntry(low: number): number {
  return (low >>> 12 & PAGE_ENTRIES - 1) * PAGE_ENTRY;
}

/** Where what a look into the table needs is in the memory that WebAssembly sees. */
export interface PageTableLayout {
  readonly pageTable: number;
  /** `Hart.access`. */
  readonly access: number;
}

/**
 * Sets the local variable `entry` to where the entry of an address is, and pushes whether that is no page of it. `low` is a local
 * variable, `high` pushes the other half.
 */
export function pushPageMissed(
  f: WasmFunction,
  layout: PageTableLayout,
  { low, high, entry }: { readonly low: number; readonly high: () => void; readonly entry: number },
): void {
  const { pageTable, access } = layout;
  f.get(low), f.i32(12), f.op("i32.shr_u"), f.i32(PAGE_ENTRIES - 1), f.op("i32.and");
  f.i32(Math.log2(4 * PAGE_ENTRY)), f.op("i32.shl"), f.tee(entry), f.memory("i32.load", pageTable);
  f.get(low), f.i32(-4096), f.op("i32.and");
  f.i32(0), f.memory("i32.load", access + 4 * FETCH_KEY), f.op("i32.or"), f.op("i32.ne");
  f.get(entry), f.memory("i32.load", pageTable + 4), high(), f.op("i32.ne"), f.op("i32.or");
}

/** Pushes the first record of the page of an entry. */
export function pushFirstRecord(f: WasmFunction, { pageTable }: PageTableLayout, entry: number): void {
  f.get(entry), f.memory("i32.load", pageTable + 8);
}

/** Pushes `Count.state[PAGE_OFFSET]` for the page of an entry, in which the address `low` lies. */
export function pushPageOffset(f: WasmFunction, layout: PageTableLayout, low: number, entry: number): void {
  f.get(low), f.i32(-4096), f.op("i32.and");
  pushFirstRecord(f, layout, entry), f.i32(1), f.op("i32.shl"), f.op("i32.sub");
}
