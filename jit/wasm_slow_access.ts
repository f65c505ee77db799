// What regions call for an access that is not in the look-aside buffers yet, or not plainly in RAM: a WebAssembly function of the
// address, which takes it apart for the load-store unit.

import { READ, WRITE } from "../hart/pmp.ts";
import type { AccessOptions } from "./wasm_access.ts";
import { WasmFunction } from "./wasm_assembler.ts";

/** Bytes from an address on that a region accesses. */
export interface SlowAccess {
  readonly size: number;
  /** READ, WRITE or both. */
  readonly access: number;
  /** Misaligned, it raises an exception. */
  readonly isAligned: boolean;
}

const ALIGNED = 4, SIZE_SHIFT = 3;

/** The number by which code names an access. */
export function slowAccessCode({ size, access, isAligned }: SlowAccess): number {
  return size << SIZE_SHIFT | (isAligned ? ALIGNED : 0) | access;
}

/** The access of a number. */
export function slowAccessOf(code: number): SlowAccess {
  return { size: code >> SIZE_SHIFT, access: code & (READ | WRITE), isAligned: (code & ALIGNED) !== 0 };
}

/**
 * The module of the function that gives the offset in RAM of an access; -1 if the interpreter must make it. Its parameters are what
 * `testPlace` leaves in `full`, and the access's number. `isShared`: it is a range in which several accesses lie, and a third parameter
 * is the address of the instruction that makes the first of them.
 */
export function slowAccess(
  { xlen, memory, ramBase }: Pick<AccessOptions, "xlen" | "memory" | "ramBase">,
  pages: number,
  isShared: boolean,
): Uint8Array<ArrayBuffer> {
  const wide = xlen === 64, word = wide ? "i64" : "i32";
  const f = new WasmFunction(false, isShared ? [word, "i32", "i32"] : [word, "i32"]),
    address = f.local(word, "address");
  f.get(0);
  if (memory === "bare") wide ? f.i64(ramBase | 0, 0) : f.i32(ramBase | 0), f.op(`${word}.add`);
  f.set(address);
  f.get(address), wide && f.op("i32.wrap_i64");
  if (wide) f.get(address), f.i64(32, 0), f.op("i64.shr_u"), f.op("i32.wrap_i64");
  else f.i32(0);
  f.get(1);
  if (isShared) f.get(2), f.call("plainRange", 4, 1);
  else f.call("plainOffset", 3, 1);
  return f.module(pages);
}
