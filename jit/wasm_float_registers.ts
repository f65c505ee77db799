// Floating-point registers of a region in WebAssembly: in local variables, as doubles, or, where all instructions take them for
// that, as singles. Moving a double or single from place to place keeps its bits, also those of a NaN, which only arithmetic may
// change. Besides, what fast paths ask of the floating-point state.

import { FCSR_WORD, FRM, MSTATUS_WORD } from "../hart/float_unit.ts";
import { NX } from "../hart/softfloat.ts";
import { MSTATUS } from "../hart/status.ts";
import type { FloatRegisterUse } from "./passes/float_registers.ts";
import type { Block, RegisterSet } from "./region.ts";
import type { WasmFunction } from "./wasm_assembler.ts";

/** Where floating-point state is in the memory that WebAssembly sees: offsets in bytes. */
export interface FloatLayout {
  /** The registers. */
  readonly f: number;
  /** `Hart.csrs`. */
  readonly csrs: number;
}

/** Formats of values: the WebAssembly type that has them. */
export type FloatType = "f32" | "f64";

/** What is known of mstatus.FS where the emitter is. */
export const NOTHING_KNOWN = 0, IS_ON = 1, IS_DIRTY = 2;

/** What is known at a place. */
export interface FloatKnowledge {
  /** Registers that differ from the register file. */
  readonly dirty: RegisterSet;
  readonly state: number;
}

/** Upper half of a NaN-boxed single, and 64 bits that are 0 below it. */
const BOX = -1;

function numbers(set: RegisterSet): number[] {
  return Array.from({ length: 32 }, (_, n) => n).filter((n) => (set & 1 << n) !== 0);
}

/** The floating-point registers and what is known of the state. */
export class WasmFloatRegisters {
  readonly #f: WasmFunction;
  readonly #layout: FloatLayout;
  readonly #use: FloatRegisterUse;
  /** By register: its local variable. */
  readonly #locals: number[] = [];
  /** Upper halves of singles in local variables, of those that may be no singles where nothing reads them. */
  readonly #boxes: (number | undefined)[] = [];
  /** mstatus.FS. */
  readonly #state: number;
  /** By type: what the magnitude of a result must be below, for a fast path; see `limit`. */
  readonly #limits: Partial<Record<FloatType, number>> = {};
  /** Registers that the shared exit writes back. */
  readonly #mask: number;
  #written: RegisterSet = 0;
  #known: FloatKnowledge = { dirty: 0, state: NOTHING_KNOWN };

  constructor(f: WasmFunction, layout: FloatLayout, use: FloatRegisterUse, blocks: readonly Block[]) {
    this.#f = f;
    this.#layout = layout;
    this.#use = use;
    this.#state = f.local("i32", "fs");
    this.#mask = f.local("i32", "fm");
    if (use.computes) {
      for (const type of ["f64", "f32"] as const) {
        this.#limits[type] = f.local(type, `${type}limit`);
      }
    }
    for (const n of numbers(use.all)) this.#locals[n] = f.local(this.type(n), `f${n}`);
    for (const block of [blocks[0]!, ...blocks.flatMap((from) => from.calls ? from.successors : [])]) {
      const { live, read } = use.at(block);
      for (const n of numbers(live & ~read & use.singles)) this.#boxes[n] ??= f.local("i32", `h${n}`);
    }
  }

  /** What its local variable is. */
  type(n: number): FloatType {
    return (this.#use.singles & 1 << n) !== 0 ? "f32" : "f64";
  }

  // What is known.

  get known(): FloatKnowledge {
    return this.#known;
  }
  set known(known: FloatKnowledge) {
    this.#known = known;
  }
  /** At the start of a block's instructions. */
  begin(block: Block): void {
    this.#known = { ...this.#known, dirty: this.#use.at(block).dirty };
  }
  /** Where several ways meet. */
  forget(): void {
    this.#known = { ...this.#known, state: NOTHING_KNOWN };
  }
  /** mstatus.FS is known to be so. */
  learn(state: number): void {
    this.#known = { ...this.#known, state: Math.max(state, this.#known.state) };
  }
  /** Registers that may differ from the register file where a block begins. */
  dirtyAt(block: Block): RegisterSet {
    return this.#use.at(block).dirty;
  }

  // Between local variables and register file.

  #at(n: number): number {
    return this.#layout.f + 8 * n;
  }

  /**
   * At the entry of the region, or where a call has returned to a block: loads registers and state. Leaves, by code that `leave` emits,
   * where a register that is read as a single holds none.
   */
  load(block: Block, leave: () => void): void {
    const f = this.#f, { live, read } = this.#use.at(block);
    const singles = numbers(read & this.#use.singles);
    singles.forEach((n, k) => {
      f.i32(0), f.memory("i32.load", this.#at(n) + 4);
      if (k > 0) f.op("i32.and");
    });
    if (singles.length > 0) {
      f.i32(BOX), f.op("i32.ne"), f.if("unlikely");
      leave();
      f.end();
    }
    for (const n of numbers(live)) {
      f.i32(0), f.memory(`${this.type(n)}.load`, this.#at(n)), f.set(this.#locals[n]!);
      const box = this.#boxes[n];
      if (box !== undefined) f.i32(0), f.memory("i32.load", this.#at(n) + 4), f.set(box);
    }
    this.#known = { dirty: 0, state: NOTHING_KNOWN };
    this.loadState();
  }

  /** Writes registers back. */
  writeBack(set: RegisterSet = this.#known.dirty): void {
    const f = this.#f;
    for (const n of numbers(set)) {
      f.i32(0), f.get(this.#locals[n]!), f.memory(`${this.type(n)}.store`, this.#at(n));
      if (this.type(n) === "f64") continue;
      const box = this.#boxes[n];
      f.i32(0), box === undefined ? f.i32(BOX) : f.get(box), f.memory("i32.store", this.#at(n) + 4);
    }
  }
  /** Writes back those of a set that differ from the register file, if any do, and forgets that they did not. */
  allWritten(): void {
    this.writeBack();
    this.#known = { ...this.#known, dirty: 0 };
  }
  /** Says which registers the shared exit is to write back. */
  setMask(set: RegisterSet): void {
    this.#written |= set;
    this.#f.i32(set), this.#f.set(this.#mask);
  }
  /** What the shared exit writes back. */
  sharedExit(): void {
    const f = this.#f;
    for (const n of numbers(this.#written)) {
      f.get(this.#mask), f.i32(1 << n), f.op("i32.and"), f.if();
      this.writeBack(1 << n);
      f.end();
    }
  }
  /** Pushes the double or single that the register file has for a register. */
  pushFromFile(type: FloatType, n: number): void {
    this.#f.i32(0), this.#f.memory(`${type}.load`, this.#at(n));
  }

  // Values.

  /** Pushes a register as a double; or as a single, where it is known to hold one. */
  push(n: number): void {
    this.#f.get(this.#locals[n]!);
  }
  /** Pushes the 64 bits of a register. */
  pushBits(n: number): void {
    const f = this.#f;
    this.push(n);
    if (this.type(n) === "f64") return f.op("i64.reinterpret_f64");
    f.op("i32.reinterpret_f32");
    this.#box();
  }
  #box(): void {
    this.#f.op("i64.extend_i32_u"), this.#f.i64(0, BOX), this.#f.op("i64.or");
  }
  #set(n: number): void {
    const box = this.#boxes[n];
    this.#f.set(this.#locals[n]!);
    if (box !== undefined) this.#f.i32(BOX), this.#f.set(box);
    this.#known = { ...this.#known, dirty: this.#known.dirty | 1 << n };
  }
  /** Sets a register to the double, or the single, on the stack. */
  set(type: FloatType, n: number): void {
    if (type === "f32" && this.type(n) === "f64") {
      this.#f.op("i32.reinterpret_f32");
      this.setSingleBits(n);
    } else this.#set(n);
  }
  /** Sets a register to the 32 bits of a single on the stack. */
  setSingleBits(n: number): void {
    if (this.type(n) === "f32") this.#f.op("f32.reinterpret_i32");
    else this.#box(), this.#f.op("f64.reinterpret_i64");
    this.#set(n);
  }
  /** Sets a register to the 64 bits on the stack; they are a boxed single where it is known to hold nothing else. */
  setBits(n: number): void {
    if (this.type(n) === "f64") this.#f.op("f64.reinterpret_i64");
    else this.#f.op("i32.wrap_i64"), this.#f.op("f32.reinterpret_i32");
    this.#set(n);
  }

  // State.

  #csr(word: number): void {
    this.#f.i32(0), this.#f.memory("i32.load", this.#layout.csrs + 4 * word);
  }
  /** Reads the state, of which nothing is known. */
  loadState(): void {
    const f = this.#f;
    this.forget();
    this.#csr(MSTATUS_WORD), f.i32(MSTATUS.FS), f.op("i32.and"), f.set(this.#state);
    if (!this.#use.computes) return;
    f.f64(Infinity), f.f64(-1);
    f.get(this.#state), f.i32(MSTATUS.FS), f.op("i32.eq");
    this.#csr(FCSR_WORD), f.i32(FRM | NX), f.op("i32.and"), f.i32(NX), f.op("i32.eq"), f.op("i32.and");
    f.op("select");
    this.setLimit();
  }
  /** Sets the limits to the double on the stack. */
  setLimit(): void {
    const f = this.#f, { f64, f32 } = this.#limits;
    f.tee(f64!), f.op("f32.demote_f64"), f.set(f32!);
  }
  /**
   * Pushes what the magnitude of a result must be below: infinity where mstatus.FS is Dirty, frm is RNE and NX is raised already, so that
   * no ordinary result changes anything but its register; else a negative number.
   */
  pushLimit(type: FloatType): void {
    this.#f.get(this.#limits[type]!);
  }
  /** Pushes whether NX is raised. */
  pushInexact(): void {
    this.#csr(FCSR_WORD), this.#f.i32(NX), this.#f.op("i32.and");
  }
  /** Pushes whether mstatus.FS is not so. */
  pushIsNot(state: number): void {
    const f = this.#f;
    f.get(this.#state);
    if (state === IS_ON) f.op("i32.eqz");
    else f.i32(MSTATUS.FS), f.op("i32.ne");
  }
}
