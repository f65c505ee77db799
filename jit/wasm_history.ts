// How WebAssembly notes what is executed (history.ts). `history` is where the words of it are.

import { AFTER_COMPILED, HISTORY_LAYOUT, RECORD_SHIFT } from "./history.ts";
import type { WasmFunction } from "./wasm_assembler.ts";

/** Compiled code goes on from a position: a local variable or a constant. `n`: what remains then. */
export function noteWay(f: WasmFunction, history: number, n: number, position: () => void): void {
  f.get(n), f.i32(2), f.op("i32.shl"), f.i32(HISTORY_LAYOUT.wayMask), f.op("i32.and");
  position(), f.memory("i32.store", history);
}

/** The same by a mark; `position` is a constant. */
export function noteMark(f: WasmFunction, history: number, n: number, position: number): void {
  const { first } = HISTORY_LAYOUT.mark;
  pushMark(f, n), f.get(n), f.memory("i32.store", history + first);
  pushMark(f, n), f.i32(position), f.memory("i32.store", history + first + 4);
}
function pushMark(f: WasmFunction, n: number): void {
  const { shift, mask } = HISTORY_LAYOUT.mark;
  f.get(n), f.i32(shift), f.op("i32.shl"), f.i32(mask), f.op("i32.and");
}
/** Pushes the number that was noted by a mark, or `quiet` if there was none. */
export function pushMarked(f: WasmFunction, history: number, n: number, quiet: number): void {
  const { first } = HISTORY_LAYOUT.mark;
  pushMark(f, n), f.memory("i32.load", history + first + 4), f.i32(quiet);
  pushMark(f, n), f.memory("i32.load", history + first), f.get(n), f.op("i32.eq"), f.op("select");
}

/** The interpreter jumps to the record `p`; `n`: what remained before. The local variable `at` is where the last entry is. */
export function noteJump(f: WasmFunction, history: number, at: number, p: number, n: number): void {
  const { step, mask, first } = HISTORY_LAYOUT;
  f.get(at), f.i32(step), f.op("i32.add"), f.i32(mask), f.op("i32.and"), f.tee(at);
  f.get(p), f.memory("i32.store", history + first);
  f.get(at), f.get(n), f.memory("i32.store", history + first + 4);
}

/** A page that is gone to: what remained before the instruction that led there, and what makes addresses of its records. */
interface NotedPage {
  readonly before: () => void;
  readonly offset: () => void;
  readonly high: () => void;
  /** Number of the cache that the records are in. */
  readonly cache: number;
}

/** The interpreter goes to another page. `at`: a local variable that may be used. */
export function notePage(
  f: WasmFunction,
  history: number,
  at: number,
  { before, offset, high, cache }: NotedPage,
): void {
  const { page } = HISTORY_LAYOUT, word = (k: number) => f.memory("i32.store", history + page.first + 4 * k);
  f.i32(0), f.i32(0), f.memory("i32.load", history + page.at), f.i32(page.step), f.op("i32.add");
  f.i32(page.mask), f.op("i32.and"), f.tee(at), f.memory("i32.store", history + page.at);
  f.get(at), before(), word(0);
  f.get(at), offset(), word(1);
  f.get(at), high(), word(2);
  f.get(at), f.i32(cache), word(3);
}

/** Compiled code goes on, and so many instructions remain. `at`: a local variable that may be used. */
export function noteCompiled(f: WasmFunction, history: number, at: number, remaining: number): void {
  const { first } = HISTORY_LAYOUT;
  f.i32(0), f.memory("i32.load", history + HISTORY_LAYOUT.at), f.tee(at);
  f.memory("i32.load", history + first), f.i32(AFTER_COMPILED), f.op("i32.and"), f.i32(0);
  f.get(at), f.memory("i32.load", history + first + 4), f.get(remaining), f.i32(1), f.op("i32.add"), f.op("i32.eq");
  f.op("select"), f.op("i32.eqz"), f.if();
  noteWay(f, history, remaining, () => f.i32(0));
  f.end();
}

/** Compiled code was left, and so many instructions remain: the interpreter goes on at a record. */
export function noteInterpreted(
  f: WasmFunction,
  history: number,
  at: number,
  remaining: number,
  record: () => void,
): void {
  const { step, mask, first } = HISTORY_LAYOUT;
  f.i32(0), f.i32(0), f.memory("i32.load", history + HISTORY_LAYOUT.at), f.i32(step), f.op("i32.add");
  f.i32(mask), f.op("i32.and"), f.tee(at), f.memory("i32.store", history + HISTORY_LAYOUT.at);
  f.get(at), record(), f.i32(RECORD_SHIFT), f.op("i32.shl"), f.i32(AFTER_COMPILED), f.op("i32.or");
  f.memory("i32.store", history + first);
  f.get(at), f.get(remaining), f.i32(1), f.op("i32.add"), f.memory("i32.store", history + first + 4);
}
