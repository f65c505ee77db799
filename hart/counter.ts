// The machine's count of executed instructions, of all harts together, as the hart and generated code see it.

/** Indices into `Count.state`, which generated code reads and writes. */
export const REMAINING = 0, RECORD = 1, PAGE_OFFSET = 2, PC_HIGH = 3;
/** In compiled code: address of the instruction at hand (low half), and which registers are in locals only. */
export const SITE_PC = 4, SITE_DIRTY = 5;
/** 1 while compiled code runs, whose registers are in locals. */
export const IN_REGION = 6;
/** Number, in its region, of the instruction that compiled code was left at for the interpreter. */
export const SITE = 7;
/** Two words for the results of functions that WebAssembly calls. */
export const RESULT = 8;
/** Count of instructions at the end of the slice, its low 32 bits. */
export const COUNT_END = 12;
/** Not 0: compiled code was left before an access that the interpreter must make. */
export const LEFT = 13;
/** Why the dispatcher (wasm_dispatcher.ts) gave a negative number. */
export const REASON = 14;
/** Where compiled code stands while it calls something (jit/positions.ts); 0: where it noted last. */
export const POSITION = 15;

/** Told when `REMAINING` grows by so many, less than 0 if it shrinks, without an instruction that was executed. */
interface Shifted {
  shift(by: number): void;
}

/**
 * Counts instructions. Running code counts down `state[REMAINING]`, the instructions that it may still execute including
 * the current one; the count itself follows from where the slice ends.
 */
export class Count {
  /**
   * Words shared with generated code. More than are used: V8 keeps typed arrays of up to 64 bytes on its heap, where their
   * address is no constant.
   */
  readonly state: Int32Array;
  /** Count at the end of the running slice. */
  #end = 0;
  /** Cycles that passed while every hart waited. */
  idle = 0;
  /** Whether the running hart gives up the rest of its turn. */
  yields = false;
  /** What the running hart has executed last (jit/history.ts); null between slices. */
  history: Shifted | null = null;

  /** `state`: the words to be used, 32 of them. */
  constructor(state: Int32Array = new Int32Array(32)) {
    this.state = state;
  }

  #ends(count: number): void {
    this.#end = count;
    this.state[COUNT_END] = count | 0;
  }

  /** Instructions begun before the current one. */
  instructions(): number {
    return this.#end - this.state[REMAINING]!;
  }
  /** Clock cycles: one per instruction, and those spent waiting. */
  cycles(): number {
    return this.instructions() + this.idle;
  }
  /** Starts a slice of `length` instructions (less than 2^31). */
  start(length: number): void {
    this.#ends(this.instructions() + length);
    this.state[REMAINING] = length;
  }
  /** Makes the running slice end at most `length` instructions from the start of the current one. */
  limit(length: number): void {
    const excess = this.state[REMAINING]! - Math.max(length, 1);
    if (excess <= 0) return;
    this.state[REMAINING]! -= excess;
    this.#ends(this.#end - excess);
    this.history?.shift(-excess);
  }
  /** Makes the running slice end after the current instruction. */
  stop(): void {
    this.limit(1);
  }
  /** Ends the slice now: what remains of it is not executed. */
  end(): void {
    this.#ends(this.instructions());
    this.history?.shift(-this.state[REMAINING]!);
    this.state[REMAINING] = 0;
  }
  /** Puts the count back to an earlier value (restoring a snapshot). */
  restore(instructions: number, idle: number): void {
    this.state[REMAINING] = 0;
    this.#ends(instructions);
    this.idle = idle;
  }
}
