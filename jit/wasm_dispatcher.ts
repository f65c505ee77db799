// The loop that goes from region to region where no region calls the next one, as WebAssembly.

import { LOOK_UP_ENTRIES, type WasmLayout } from "./wasm_emitter.ts";
import { WasmFunction } from "./wasm_assembler.ts";

/**
 * Its module. It begins at the address in the first word for results, counts the regions that it calls in the third one, and
 * ends at an address that the table does not lead from, or when a region has done nothing.
 */
export function dispatcher({ result, remaining, lookUp, ready, pages }: WasmLayout): Uint8Array<ArrayBuffer> {
  const f = new WasmFunction(false),
    [pc, entry, before, next] = ["pc", "entry", "before", "next"].map((name) => f.local("i32", name)) as [
      number,
      number,
      number,
      number,
    ];
  f.i32(0), f.memory("i32.load", result), f.set(pc);
  const end = f.block("end"), again = f.loop("again");
  f.get(pc), f.i32(1), f.op("i32.shr_u"), f.i32(LOOK_UP_ENTRIES - 1), f.op("i32.and"), f.i32(3), f.op("i32.shl");
  f.tee(entry), f.memory("i32.load", lookUp), f.get(pc), f.op("i32.ne"), f.brIf(end);
  f.get(entry), f.memory("i32.load", lookUp + 4), f.tee(entry), f.memory("i32.load8_u", ready);
  f.op("i32.eqz"), f.brIf(end);
  f.i32(0), f.i32(0), f.memory("i32.load", result + 8), f.i32(1), f.op("i32.add"), f.memory("i32.store", result + 8);
  f.i32(0), f.memory("i32.load", remaining), f.set(before);
  f.get(0), f.get(entry), f.callIndirect(), f.set(next);
  // It did nothing.
  f.get(next), f.get(pc), f.op("i32.eq");
  f.i32(0), f.memory("i32.load", remaining), f.get(before), f.op("i32.eq"), f.op("i32.and"), f.brIf(end);
  // 1 is no address of an instruction: the table does not have it.
  f.get(next), f.set(pc), f.get(next), f.i32(1), f.op("i32.ne"), f.brIf(again);
  f.end();
  f.end();
  f.get(pc);
  return f.module(pages);
}
