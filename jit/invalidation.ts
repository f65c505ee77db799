// What a write to code does: every hart's decoded and compiled instructions of those bytes are forgotten.

import { LINE_SHIFT, type Ram, WATCH } from "../hart/memory.ts";
import type { Executor } from "./executor.ts";

/**
 * Forgets the code of `length` bytes from `offset` in RAM. All harts share a line's marks, so only after the last of them
 * are those taken away that none needs any more.
 */
export function invalidateCode(executors: readonly Executor[], ram: Ram, offset: number, length: number): void {
  for (const executor of executors) executor.invalidate(offset, length);
  const last = (offset + length - 1) >>> LINE_SHIFT;
  for (let line = offset >>> LINE_SHIFT; line <= last; line++) {
    let marks = ram.lines[line]! & ~(WATCH.decoded | WATCH.decodedVirtual);
    if ((marks & WATCH.compiled) !== 0 && !executors.some(({ code }) => code?.holds(line))) marks &= ~WATCH.compiled;
    ram.lines[line] = marks;
  }
}
