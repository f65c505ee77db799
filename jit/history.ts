// Which instructions a hart has executed last, for reports: a ring that generated code writes where it was asked to
// (`-accel …,history=on`). The interpreter notes each instruction, compiled code the start of each block.

import { COUNT_END } from "../hart/counter.ts";
import type { Ram } from "../hart/memory.ts";

/** Entries of the ring; a power of two. */
const ENTRIES = 64;
/** Words of an entry: both halves of pc, the count of instructions before it, and how many follow in a line. */
const WORDS = 4;
/** The word after the ring: where the last entry begins. */
const AT = ENTRIES * WORDS, MASK = AT - WORDS;

/** The text at the start of a block of so many instructions; `e` and `n` are variables of a region, whose `n` is that before it. */
export function blockNote(pc: number, high: number, length: number): string {
  return `e = HISTORY[${AT}] = HISTORY[${AT}] + ${WORDS} & ${MASK}; HISTORY[e] = ${pc}; HISTORY[e + 1] = ${high}; ` +
    `HISTORY[e + 2] = STATE[${COUNT_END}] - n | 0; HISTORY[e + 3] = ${length};`;
}

/** The same for WebAssembly: where the word after the ring is, in bytes, and how it goes on. */
export const HISTORY_LAYOUT = { at: 4 * AT, step: WORDS, mask: MASK } as const;

/** Instructions in a line that were executed. */
export interface ExecutedLine {
  readonly low: number;
  readonly high: number;
  /** How many at the most: those up to a jump, or to where the next line begins. */
  readonly length: number;
}

/** The ring of one hart. */
export class History {
  readonly words: Int32Array;

  constructor(ram: Ram) {
    this.words = ram.words(AT + 4);
  }

  /** Notes an instruction, before which so many were executed. */
  note(low: number, high: number, count: number): void {
    const { words } = this, at = words[AT] = words[AT]! + WORDS & MASK;
    words[at] = low, words[at + 1] = high, words[at + 2] = count, words[at + 3] = 1;
  }

  /** Forgets everything. */
  clear(): void {
    this.words.fill(0);
  }

  /** What was executed, from the oldest on; `end` is the count of instructions now. */
  lines(end: number): ExecutedLine[] {
    const { words } = this, lines: ExecutedLine[] = [];
    let after = end | 0;
    for (let k = 0; k < ENTRIES; k++) {
      const at = words[AT]! - k * WORDS & MASK, count = words[at + 2]!, most = words[at + 3]!;
      if (most === 0) break;
      // Others may have executed in between, and something other than this instruction what was noted for it.
      const length = Math.min((after - count) >>> 0, most);
      if (length > 0) lines.unshift({ low: words[at]!, high: words[at + 1]!, length });
      after = count;
    }
    return lines;
  }
}
