// How WebAssembly reaches guest memory: the test that an access is plainly in RAM.

import type { MemoryType, Value } from "../isa/ir.ts";
import { LINE_SHIFT } from "../hart/memory.ts";
import { TLB_LEVEL_WORDS, TLB_WORDS } from "../hart/tlb.ts";
import { sizeOf } from "./emitter.ts";
import type { Label, MemoryInstruction, WasmFunction, WasmType } from "./wasm_assembler.ts";
import type { WasmValues } from "./wasm_values.ts";

/** What the test depends on. */
export interface AccessOptions {
  readonly xlen: 32 | 64;
  readonly ramBase: number;
  readonly ramSize: number;
  /** Whether addresses of data are physical or go through the translation look-aside buffers. */
  readonly memory: "bare" | "translated";
  readonly layout: {
    /** The translation look-aside buffers; of one privilege level, or of all. */
    readonly loads: number;
    readonly stores: number;
    /** `Ram.lines`. */
    readonly lines: number;
  };
}

/** An access. */
export interface Access {
  readonly address: Value;
  /** Bytes. */
  readonly size: number;
  /** It is a store, or the load of an AMO. */
  readonly stores: boolean;
  /** It must be aligned. */
  readonly align: boolean;
  /** Local variable with the offset in bytes of the entries of the privilege level, where the buffers are those of all. */
  readonly entries?: number;
}

/** Bytes of an entry of the look-aside buffers, and what takes an address to it. */
const ENTRY_SHIFT = 12 - Math.log2(4 * TLB_WORDS), ENTRY_MASK = 4 * (TLB_LEVEL_WORDS - TLB_WORDS);

/** Loads by what is loaded. */
export const LOADS: Readonly<Record<string, MemoryInstruction>> = {
  i8: "i32.load8_s",
  u8: "i32.load8_u",
  i16: "i32.load16_s",
  u16: "i32.load16_u",
  i32: "i32.load",
  i64: "i64.load",
  f32: "f32.load",
  f64: "f64.load",
};
/** Stores by their bytes. */
export const STORES: Readonly<Record<number, MemoryInstruction>> = {
  1: "i32.store8",
  2: "i32.store16",
  4: "i32.store",
  8: "i64.store",
};

/** The store of what is stored. */
export function storeOf(memory: MemoryType): MemoryInstruction {
  return memory === "f32" || memory === "f64" ? `${memory}.store` : STORES[sizeOf(memory)]!;
}
/** The type of what is loaded or stored. */
export function typeOf(memory: MemoryType): WasmType {
  return memory === "f32" || memory === "f64" || memory === "i64" ? memory : "i32";
}

/**
 * Goes to `slow` if an access is not plainly in RAM. Else its offset in RAM is in the local variable `at`. `full` has the address, or what it
 * is above the start of RAM where addresses are physical.
 */
export function testAccess(
  f: WasmFunction,
  values: WasmValues,
  options: AccessOptions,
  { address, ...access }: Access,
  slow: Label,
): { at: number; full: number } {
  const full = values.temp(options.xlen === 64 ? "i64" : "i32"), at = values.temp("i32");
  values.push(address);
  testPlace(f, options, { ...access, full, at, distance: 0 }, slow);
  if (access.stores) pushWatched(f, options, at, access.size, access.align), f.brIf(slow, "unlikely");
  return { at, full };
}

/** Bytes that are accessed. */
export interface Place extends Omit<Access, "address"> {
  /** What is added to the address. */
  readonly distance: number;
  /** Local variables for results of `testPlace`. */
  readonly full: number;
  readonly at: number;
}

/** As `testAccess` of bytes from a distance after the address on the stack on, but for the look at who watches their lines. */
export function testPlace(
  f: WasmFunction,
  { xlen, ramBase, ramSize, memory, layout }: AccessOptions,
  { size, stores, align, entries, distance, full, at }: Place,
  slow: Label,
): void {
  const wide = xlen === 64;
  if (memory === "bare") {
    // Any alignment will do.
    pushOutside(f, { xlen, ramBase, ramSize }, full, distance, size);
    f.brIf(slow, "unlikely");
    f.get(full), wide && f.op("i32.wrap_i64"), f.set(at);
    return;
  }
  const plus = (n: number) => {
    if (n !== 0) wide ? (f.i64(n, n >> 31), f.op("i64.add")) : (f.i32(n), f.op("i32.add"));
  };
  plus(distance), f.tee(full);
  // Bytes that begin in the page of the entry and end in it, at whatever alignment; an AMO's must be aligned.
  const buffer = stores ? layout.stores : layout.loads, compared = align ? ~(4095 & ~(size - 1)) : -4096;
  wide && f.op("i32.wrap_i64"), f.i32(ENTRY_SHIFT), f.op("i32.shr_u"), f.i32(ENTRY_MASK), f.op("i32.and");
  if (entries !== undefined) f.get(entries), f.op("i32.or");
  f.tee(at);
  f.memory(wide ? "i64.load" : "i32.load", buffer);
  f.get(full), align || plus(size - 1);
  if (wide) f.i64(compared, -1), f.op("i64.and"), f.op("i64.ne");
  else f.i32(compared), f.op("i32.and"), f.op("i32.ne");
  f.brIf(slow, "unlikely");
  f.get(at), f.memory("i32.load", buffer + 8);
  f.get(full), wide && f.op("i32.wrap_i64"), f.op("i32.add"), f.set(at);
}

/**
 * Takes an address from the stack and pushes whether `size` bytes from `distance` bytes after it on are not all in RAM. What they are
 * above the start of RAM goes to the local variable `full`.
 */
export function pushOutside(
  f: WasmFunction,
  { xlen, ramBase, ramSize }: Pick<AccessOptions, "xlen" | "ramBase" | "ramSize">,
  full: number,
  distance: number,
  size: number,
): void {
  const above = distance - ramBase, limit = ramSize - size + 1;
  if (xlen === 64) {
    f.i64(above | 0, Math.floor(above / 2 ** 32)), f.op("i64.add"), f.tee(full);
    f.i64(limit, 0), f.op("i64.ge_u");
  } else {
    f.i32(above | 0), f.op("i32.add"), f.tee(full);
    f.i32(limit), f.op("i32.ge_u");
  }
}

/** Pushes what is not 0 where somebody watches the line of the byte `distance` bytes after an offset in RAM. */
export function pushLine(
  f: WasmFunction,
  { layout }: Pick<AccessOptions, "layout">,
  at: number,
  distance: number,
): void {
  f.get(at);
  if (distance !== 0) f.i32(distance), f.op("i32.add");
  f.i32(LINE_SHIFT), f.op("i32.shr_u"), f.memory("i32.load8_u", layout.lines);
}

/** Pushes what is not 0 where a store reaches lines that somebody watches, or (`align`) is misaligned without translation. */
export function pushWatched(
  f: WasmFunction,
  { memory, layout }: Pick<AccessOptions, "memory" | "layout">,
  at: number,
  size: number,
  align: boolean,
): void {
  pushLine(f, { layout }, at, 0);
  if (align && memory === "bare" && size > 1) f.get(at), f.i32(size - 1), f.op("i32.and"), f.op("i32.or");
  if (align || size === 1) return;
  pushLine(f, { layout }, at, size - 1), f.op("i32.or");
}
