// A region as a WebAssembly function: registers in local variables, structured control flow, calls through a table.
//
// As every emitter's, the function gets the depth of calls that it may still make and returns where the guest goes on: the
// low half of an address, or 1 if the hart's own pc says. Before it returns, all registers are in the register file and the
// count of instructions is exact. Whatever is not plainly in RAM, it leaves to the interpreter: it returns the address of that
// instruction.

import type { Call, JumpTo, Load, MemoryType, Statement, Store, Value } from "../isa/ir.ts";
import { LINE_SHIFT } from "../hart/memory.ts";
import { READ, WRITE } from "../hart/pmp.ts";
import { sizeOf } from "./emitter.ts";
import { WORD_ARGUMENTS } from "./memory_access.ts";
import type { HookSite } from "./code_hooks.ts";
import type { Block, Region, RegionInstruction, RegisterSet } from "./region.ts";
import { ELSEWHERE } from "./region_emitter.ts";
import { LOADS, pushLine, pushWatched, storeOf, testAccess, testPlace, typeOf } from "./wasm_access.ts";
import { type Hint, type Label, type MemoryInstruction, WasmFunction, type WasmType } from "./wasm_assembler.ts";
import { floatRegisterUse } from "./passes/float_registers.ts";
import { type SharedAccess, type SharedCheck, sharedChecks } from "./passes/shared_checks.ts";
import { signExtensions } from "./passes/sign_extensions.ts";
import { isMarked, marksEntry, positionIn, quietWay, wayTo } from "./positions.ts";
import { noteMark, noteWay, pushMarked } from "./wasm_history.ts";
import { callUnit, type FloatHost, leaveIfTrapped, WasmFloats } from "./wasm_float.ts";
import { type FloatLayout, WasmFloatRegisters } from "./wasm_float_registers.ts";
import { type SlowAccess, slowAccessCode } from "./wasm_slow_access.ts";
import { WasmValues } from "./wasm_values.ts";

/** Where things are in the memory that WebAssembly sees: offsets in bytes. */
export interface WasmLayout extends FloatLayout {
  /** Integer registers. */
  readonly x: number;
  /** Instructions that may still be executed: `Count.state[REMAINING]`. */
  readonly remaining: number;
  /** Two words for results of imported functions. */
  readonly result: number;
  /** The translation look-aside buffers of one privilege level. */
  readonly loads: number;
  readonly stores: number;
  /** `Ram.lines`, and RAM itself. */
  readonly lines: number;
  readonly ram: number;
  /** A byte for each cell, by number: whether its region may be called. */
  readonly ready: number;
  /** `Count.state[POSITION]`. */
  readonly position: number;
  /** The words of the hart's history (history.ts); undefined where it is not kept. */
  readonly history: number | undefined;
  /** Addresses and numbers of the cells that jumps to registers found last: pairs of words. */
  readonly lookUp: number;
  /** Size of the memory, in its pages. */
  readonly pages: number;
}

/**
 * Leaves the number of the cell of an address in the local variable `cell`; goes to a label if it is not in the table, or not compiled.
 */
export function findCell(
  f: WasmFunction,
  { ready, lookUp }: Pick<WasmLayout, "ready" | "lookUp">,
  pc: number,
  cell: number,
  none: Label,
  hint?: Hint,
): void {
  f.get(pc), f.i32(1), f.op("i32.shr_u"), f.i32(LOOK_UP_ENTRIES - 1), f.op("i32.and"), f.i32(3), f.op("i32.shl");
  f.tee(cell), f.memory("i32.load", lookUp), f.get(pc), f.op("i32.ne"), f.brIf(none, hint);
  f.get(cell), f.memory("i32.load", lookUp + 4), f.tee(cell), f.memory("i32.load8_u", ready);
  f.op("i32.eqz"), f.brIf(none, hint);
}

/** What the code of a region depends on beside the region. */
export interface WasmEmitterOptions {
  readonly xlen: 32 | 64;
  /** Whether instructions may lie on any halfword. */
  readonly compressed: boolean;
  readonly ramBase: number;
  readonly ramSize: number;
  /** Whether addresses of data are physical or go through the translation look-aside buffers. */
  readonly memory: "bare" | "translated";
  readonly layout: WasmLayout;
  /** There is no other hart that could go on meanwhile, so PAUSE does nothing. */
  readonly isAlone: boolean;
  /** Where the counters of hooks are in that memory; undefined if they are not there. */
  readonly counts: () => number | undefined;
  /** Number of the cell of an address. */
  readonly cell: (pc: number) => number;
  /** Whether accesses of a block from an instruction on share no check. */
  readonly isApart: (pc: number) => boolean;
  /** Number of the region's first place (positions.ts). */
  readonly position: number;
  /** Text of an instruction for comments; where absent, no text is kept. */
  readonly comment?: (i: RegionInstruction) => string;
}

/** A compiled region. */
export interface WasmCode {
  readonly module: Uint8Array<ArrayBuffer>;
  /** Names of the functions that it imports. */
  readonly imports: readonly string[];
  /** The function as text; empty if it was not asked for. */
  readonly text: string;
}

/** Entries of the table by which jumps to registers find cells. */
export const LOOK_UP_ENTRIES = 4096;

/** Registers that hold return addresses (unprivileged manual, "Jump and Link": return-address stack hints). */
const LINKS: ReadonlySet<number> = new Set([1, 5]);

const hex = (pc: number) => (pc >>> 0).toString(16);

/** Whether an instruction is counted. */
export function hasCounters(region: Region): boolean {
  return region.blocks.some(({ instructions }) => instructions.some(({ hooks }) => (hooks?.counters.length ?? 0) > 0));
}

/** Most instructions that a rare exit adds to the count by itself, all bits of a field; a distance that stands for an address in `e`. */
const MOST_AHEAD = 0xff, FAR = -0x8000;

/** The stack pointer (psABI, "Integer Register Convention"): what lies there is hardly ever in a line with code. */
const SP = 2;

/** Distances, from the first byte that a check covers, of a byte in each line that its stores may reach. */
function linesOf({ start, stores }: SharedCheck): number[] {
  const distances: number[] = [];
  for (let at = stores.start; at < stores.end - 1; at += 1 << LINE_SHIFT) distances.push(at - start);
  return [...distances, stores.end - 1 - start];
}

/** Most bytes that a check covers: of physical addresses what a 12-bit offset reaches, else few, which seldom lie in two pages. */
const MOST_BYTES = { bare: 4096, translated: 256, translatedStack: 512 } as const;

/** Emits the function of one region. */
export class WasmEmitter {
  readonly #region: Region;
  readonly #options: WasmEmitterOptions;
  readonly #f: WasmFunction;
  readonly #values: WasmValues;
  readonly #word: "i32" | "i64";
  readonly #wordBytes: number;
  /** Local variables of the registers. */
  readonly #x: (number | undefined)[] = [];
  readonly #n: number;
  readonly #e: number;
  readonly #r: number;
  readonly #b: number;
  readonly #q: number;
  readonly #k: number;
  #exit!: Label;
  readonly #labels = new Map<string, Label>();
  /** Local variables of the low halves of registers. */
  readonly #low: (number | undefined)[] = [];
  /** 64-bit registers whose values are the sign extensions of their low halves; of `#lowOnly`, just these are at hand. */
  #narrow: RegisterSet = 0;
  #lowOnly: RegisterSet = 0;
  /** The registers of which just the low halves are at hand where a block begins to which several ways lead. */
  readonly #lowAt: ReadonlyMap<Block, RegisterSet>;
  /** Floating-point registers and instructions; null where there are none. */
  readonly #floatRegisters: WasmFloatRegisters | null = null;
  readonly #floats: WasmFloats | null = null;
  /** Registers that differ from the register file where the emitter is. */
  #dirty: RegisterSet = 0;
  /** Registers that the shared exit may have to write back, and whether the address may be in `e` there. */
  #written: RegisterSet = 0;
  #isFar = false;
  #instruction!: RegionInstruction;
  /** Accesses that share a check, by block, those of the block at hand, and the offsets in RAM of what the checks cover. */
  readonly #sharedIn: ReadonlyMap<Block, ReadonlyMap<Statement, SharedAccess>>;
  #shared!: ReadonlyMap<Statement, SharedAccess>;
  #block!: Block;
  readonly #checked: number[] = [];
  /** What must be added to `n` for the instructions that remain including the present one. */
  #ahead = 0;
  #mayStop = false;
  /** Whether the emitter is past the entry. */
  #isBegun = false;

  constructor(region: Region, options: WasmEmitterOptions) {
    this.#region = region;
    this.#options = options;
    this.#word = options.xlen === 64 ? "i64" : "i32";
    this.#wordBytes = options.xlen / 8;
    const f = this.#f = new WasmFunction(options.comment !== undefined);
    this.#n = f.local("i32", "n"), this.#e = f.local("i32", "e"), this.#r = f.local("i32", "r");
    this.#b = f.local("i32", "b"), this.#q = f.local("i64", "q"), this.#k = f.local("i32", "k");
    for (let n = 1; n < 32; n++) if ((region.registers & 1 << n) !== 0) this.#x[n] = f.local(this.#word, `x${n}`);
    const { memory, isApart } = options, storesDiffer = memory === "translated";
    const mostBytes = (base: number) => MOST_BYTES[storesDiffer && base === SP ? "translatedStack" : memory];
    this.#sharedIn = sharedChecks(region.blocks, { mostBytes, storesDiffer, isApart });
    this.#lowAt = region.reducible && options.xlen === 64 ? signExtensions(region.blocks) : new Map();
    this.#values = new WasmValues(f, {
      register: (n) => {
        this.#widen(n);
        f.get(this.#x[n]!);
      },
      isNarrow: (n) => (this.#narrow & 1 << n) !== 0,
      lowHalf: (n) => {
        if ((this.#narrow & 1 << n) !== 0) return f.get(this.#low[n]!);
        f.get(this.#x[n]!), f.op("i32.wrap_i64");
      },
      address: (which) => {
        const { pc, length } = this.#instruction;
        const low = which === "pc" ? pc : pc + length | 0;
        if (options.xlen === 64) f.i64(low, region.high);
        else f.i32(low);
      },
      field: () => {
        throw new Error("all operands of a region are known");
      },
      floatRegister: (n) => this.#floatRegisters!.pushBits(n),
      highHalf: () => this.#load("i32.load", options.layout.result + 4),
    });
    const use = floatRegisterUse(region.blocks);
    if (use === null) return;
    this.#floatRegisters = new WasmFloatRegisters(f, options.layout, use, region.blocks);
    this.#floats = new WasmFloats(f, this.#values, this.#floatRegisters, this.#host);
  }

  /** The module of the region. */
  build(): WasmCode {
    const f = this.#f, { entry } = this.#region;
    this.#load("i32.load", this.#options.layout.remaining), f.set(this.#n);
    this.#exit = f.block("EXIT");
    this.#check(entry, false);
    this.#isBegun = true;
    if (marksEntry(this.#region)) this.#noteMark(0);
    this.#loads(entry);
    if (this.#region.reducible) {
      this.#settle(entry);
      this.#tree(entry);
    } else this.#switch();
    f.op("unreachable");
    f.end();
    this.#narrow = this.#lowOnly = 0;
    this.#sharedExit();
    return {
      module: f.module(this.#options.layout.pages),
      imports: f.imports,
      text: f.lines === null ? "" : this.#text(f.lines),
    };
  }

  #text(lines: readonly string[]): string {
    return [`(func $region_${hex(this.#region.entry.pc)} (param $d i32) (result i32)`, ...lines, ")"].join("\n");
  }

  // Small things.

  #load(name: MemoryInstruction, at: number): void {
    this.#f.i32(0), this.#f.memory(name, at);
  }
  #storeCount(): void {
    const f = this.#f;
    f.i32(0), f.get(this.#n), f.memory("i32.store", this.#options.layout.remaining);
  }
  #return(pc: number): void {
    this.#f.i32(pc), this.#f.op("return");
  }
  /** Loads the registers that a block wants in local variables, where the register files have them all. */
  #loads(block: Block): void {
    this.#floatRegisters?.load(block, () => this.#rareExit(block.pc, 0, 0, 0));
    const name = this.#word === "i64" ? "i64.load" : "i32.load";
    for (let n = 1; n < 32; n++) {
      if ((block.liveIn & 1 << n) === 0) continue;
      this.#load(name, this.#options.layout.x + this.#wordBytes * n), this.#f.set(this.#x[n]!);
    }
  }
  #writeBack(set: RegisterSet): void {
    const f = this.#f, name = this.#word === "i64" ? "i64.store" : "i32.store";
    for (let n = 1; n < 32; n++) {
      if ((set & 1 << n) === 0) continue;
      f.i32(0);
      if ((this.#lowOnly & 1 << n) === 0) f.get(this.#x[n]!);
      else f.get(this.#low[n]!), f.op("i64.extend_i32_s");
      f.memory(name, this.#options.layout.x + this.#wordBytes * n);
    }
  }

  /** Writes all back that differs from the register files. */
  #writeAllBack(): void {
    this.#writeBack(this.#dirty);
    this.#floatRegisters?.writeBack();
  }
  /** Floating-point registers that differ from the register file where the emitter is. */
  get #floatDirty(): RegisterSet {
    return this.#floatRegisters?.known.dirty ?? 0;
  }

  // Registers by halves. What is known of them holds in a block and in those that only it leads to.

  /** Sets a register to the value on the stack: the whole, or the low half of which it is the sign extension. */
  #set(n: number, narrow: boolean): void {
    if (narrow) {
      this.#f.set(this.#lowHalf(n));
      this.#narrow |= 1 << n, this.#lowOnly |= 1 << n;
    } else {
      this.#f.set(this.#x[n]!);
      this.#narrow &= ~(1 << n), this.#lowOnly &= ~(1 << n);
    }
    this.#dirty |= 1 << n;
  }
  #extend(n: number): void {
    this.#f.get(this.#low[n]!), this.#f.op("i64.extend_i32_s"), this.#f.set(this.#x[n]!);
  }
  #widen(n: number): void {
    if ((this.#lowOnly & 1 << n) === 0) return;
    this.#extend(n);
    this.#lowOnly &= ~(1 << n);
  }
  /** Makes registers what they are where a block begins to which several ways lead. */
  #settle(to: Block): void {
    const f = this.#f, low = this.#lowAt.get(to) ?? 0, needed = to.liveIn | to.dirtyIn;
    for (let n = 1; n < 32; n++) {
      if ((needed & 1 << n) === 0) continue;
      if ((low & 1 << n) === 0) this.#widen(n);
      else if ((this.#narrow & 1 << n) === 0) f.get(this.#x[n]!), f.op("i32.wrap_i64"), f.set(this.#lowHalf(n));
    }
  }
  #begin(block: Block): void {
    this.#floatRegisters?.forget();
    this.#narrow = this.#lowOnly = this.#lowAt.get(block) ?? 0;
  }
  /** The local variable of a register's low half. */
  #lowHalf(n: number): number {
    return this.#low[n] ??= this.#f.local("i32", `w${n}`);
  }

  // What was executed last (history.ts).

  /** Pushes the number of a place, where `remaining` has the count; 0 if whoever led there has noted it. */
  #pushPlace(block: Block, executed: number, remaining: number): void {
    const quiet = quietWay(this.#region, block), { history } = this.#options.layout;
    if (history === undefined) this.#f.i32(0);
    else if (executed > 0) this.#f.i32(positionIn(this.#region, block, executed, this.#options.position));
    else if (quiet === null) this.#f.i32(0);
    else if (!isMarked(this.#region, block)) this.#f.i32(this.#endOf(quiet));
    else pushMarked(this.#f, history, remaining, this.#endOf(quiet));
  }
  /** Number of a block's end. */
  #endOf(block: Block): number {
    return positionIn(this.#region, block, block.instructions.length, this.#options.position);
  }
  #noteWay(position: () => void): void {
    const { history } = this.#options.layout;
    if (history !== undefined) noteWay(this.#f, history, this.#n, position);
  }
  #noteMark(position: number): void {
    const { history } = this.#options.layout;
    if (history !== undefined) noteMark(this.#f, history, this.#n, position);
  }
  /** Notes that a block ends here, with its number in a variable or as a constant. */
  #note(block: Block): void {
    this.#noteWay(() => this.#f.i32(this.#endOf(block)));
  }
  /** Says where the region is left, to the shared exit, which adds `ahead` to the count. */
  #setPlace(block: Block, executed: number, ahead: number): void {
    const f = this.#f;
    if (this.#options.layout.history === undefined) return;
    if (executed === 0 && isMarked(this.#region, block)) {
      f.get(this.#n), f.i32(ahead), f.op("i32.add"), f.set(this.#k);
    }
    this.#pushPlace(block, executed, this.#k), f.set(this.#k);
  }
  /** Says where the region stands, and what remains, to what it calls. */
  #storeHere(): void {
    const f = this.#f, { position, remaining, history } = this.#options.layout;
    f.i32(0), f.get(this.#n), f.i32(this.#ahead), f.op("i32.add"), f.tee(this.#k), f.memory("i32.store", remaining);
    if (history === undefined) return;
    f.i32(0), this.#pushPlace(this.#block, this.#executed, this.#k), f.memory("i32.store", position);
  }
  /** How many instructions of the block at hand come before the one at hand. */
  get #executed(): number {
    return this.#block.instructions.length - this.#ahead;
  }

  /**
   * Sets `q` for the way that all rare exits share: where the guest goes on, registers to write back, what to add to the count. All
   * of it is one constant, so that there are many such exits for few variables.
   */
  #setExit(pc: number, dirty: RegisterSet, floats: RegisterSet, ahead: number): void {
    const f = this.#f;
    this.#written |= dirty;
    this.#floatRegisters?.setMask(floats);
    for (let n = 1; n < 32; n++) if ((dirty & this.#lowOnly & 1 << n) !== 0) this.#extend(n);
    let distance = (pc - this.#region.entry.pc | 0) >> 1;
    if (distance << 16 >> 16 !== distance || (pc & 1) !== 0 || distance === FAR) {
      this.#isFar = true;
      f.i32(pc), f.set(this.#e);
      distance = FAR;
    }
    if (ahead > MOST_AHEAD) f.get(this.#n), f.i32(ahead), f.op("i32.add"), f.set(this.#n), ahead = 0;
    f.i64(ahead | (distance & 0xffff) << 8 | dirty << 23 & 0xff00_0000, dirty >>> 9), f.set(this.#q);
  }
  #rareExit(pc: number, dirty: RegisterSet, floats: RegisterSet, ahead: number): void {
    this.#setExit(pc, dirty, floats, ahead);
    this.#f.br(this.#exit);
  }

  /** What follows the rare exits, of which the last one comes to it without a jump. */
  #sharedExit(): void {
    const f = this.#f, { entry } = this.#region, low = () => (f.get(this.#q), f.op("i32.wrap_i64"));
    low(), f.i32(8), f.op("i32.shl"), f.i32(16), f.op("i32.shr_s"), f.set(this.#r);
    if (this.#isFar) f.get(this.#r), f.i32(FAR), f.op("i32.ne"), f.if();
    f.get(this.#r), f.i32(1), f.op("i32.shl"), f.i32(entry.pc), f.op("i32.add"), f.set(this.#e);
    if (this.#isFar) f.end();
    f.get(this.#n), low(), f.i32(MOST_AHEAD), f.op("i32.and"), f.op("i32.add"), f.set(this.#n);
    f.get(this.#q), f.i64(23, 0), f.op("i64.shr_u"), f.op("i32.wrap_i64"), f.set(this.#r);
    for (let n = 1; n < 32; n++) {
      if ((this.#written & 1 << n) === 0) continue;
      f.get(this.#r), f.i32(1 << n), f.op("i32.and"), f.if();
      this.#writeBack(1 << n);
      f.end();
    }
    this.#floatRegisters?.sharedExit();
    this.#storeCount();
    if (this.#options.layout.history !== undefined) {
      f.get(this.#k), f.if("unlikely");
      this.#noteWay(() => f.get(this.#k));
      f.end();
    }
    f.get(this.#e);
  }

  /** Leaves the instruction at hand to the interpreter. */
  #leaveHere(): void {
    this.#setPlace(this.#block, this.#executed, this.#ahead);
    this.#rareExit(this.#instruction.pc, this.#dirty, this.#floatDirty, this.#ahead);
  }

  /** The same where its hooks have been called. */
  #leaveWithoutHooks(): void {
    const f = this.#f;
    this.#writeAllBack();
    this.#storeHere();
    f.i32(this.#instruction.pc), f.call("withoutHooks", 1, 1), f.op("return");
  }

  /** Leaves if fewer instructions remain than the way to the next check is long. `isLoop`: registers may differ from the register files. */
  #check(block: Block, isLoop: boolean): void {
    const f = this.#f;
    f.get(this.#n), f.i32(block.stretch), f.op("i32.lt_s"), f.if("unlikely");
    // Too little remains at the entry before anything is marked.
    if (this.#isBegun) this.#setPlace(block, 0, 0);
    if (isLoop) this.#rareExit(block.pc, block.dirtyIn, this.#floatRegisters?.dirtyAt(block) ?? 0, 0);
    else this.#rareExit(block.pc, 0, 0, 0);
    f.end();
  }

  /** Goes on at the cell of an address, if it is compiled, in place of returning. */
  #exitTo(block: Block, pc: number): void {
    const f = this.#f, cell = this.#options.cell(pc);
    this.#note(block);
    this.#writeAllBack();
    this.#storeCount();
    this.#load("i32.load8_u", this.#options.layout.ready + cell), f.if("likely");
    f.get(0), f.i32(cell), f.returnCallIndirect();
    f.end();
    this.#return(pc);
  }

  // Memory.

  /**
   * Leaves the offset in RAM of an access in a local variable, which it gives; where it is not plainly in RAM, the instruction at hand
   * is left to the interpreter.
   */
  #access(address: Value, size: number, stores: boolean, align: boolean): number {
    const f = this.#f, done = f.block("done"), slow = f.block("slow");
    const { at, full } = testAccess(f, this.#values, this.#options, { address, size, stores, align }, slow);
    f.br(done);
    f.end();
    this.#slowAccess(full, at, { size, access: stores ? align ? READ | WRITE : WRITE : READ, isAligned: align });
    f.end();
    return at;
  }

  /** The slow way of an access, or of several that share a check, with the address in `full` as `testPlace` leaves it. Sets `at`. */
  #slowAccess(full: number, at: number, access: SlowAccess, isShared = false): void {
    const f = this.#f, { pc } = this.#instruction;
    this.#setPlace(this.#block, this.#executed, this.#ahead);
    this.#setExit(pc, this.#dirty, this.#floatDirty, this.#ahead);
    f.get(full), f.i32(slowAccessCode(access));
    if (isShared) f.i32(pc), f.call("slowRange", [this.#word, "i32", "i32"], 1);
    else f.call("slowAccess", [this.#word, "i32"], 1);
    f.tee(at), f.i32(-1), f.op("i32.eq"), f.brIf(this.#exit, "unlikely");
  }

  /** Whether a check looks at the lines of all its stores, which takes less than each for itself. */
  #coversLines(check: SharedCheck): boolean {
    // Where nothing is translated, data lie beside code in small programs.
    const mayFail = this.#options.memory === "bare" && check.base !== SP;
    return !mayFail && check.storeCount > 1 && linesOf(check).length <= check.storeCount;
  }

  /**
   * The offset in RAM of what a check covers, which the first of its accesses makes: the instruction is left to the interpreter
   * where that is not plainly in RAM.
   */
  #sharedOffset({ check, isFirst }: SharedAccess): number {
    const f = this.#f, at = this.#checked[check.number] ??= f.local("i32", `c${check.number}`);
    if (!isFirst) return at;
    const full = this.#values.temp(this.#word), size = check.end - check.start, stores = check.storeCount > 0;
    this.#widen(check.base);
    const done = f.block("done"), slow = f.block("slow");
    f.get(this.#x[check.base]!);
    testPlace(f, this.#options, { full, at, distance: check.start, size, stores, align: false }, slow);
    if (this.#coversLines(check)) {
      linesOf(check).forEach((distance, k) => {
        pushLine(f, this.#options, at, distance);
        if (k > 0) f.op("i32.or");
      });
      f.brIf(slow, "unlikely");
    }
    f.br(done);
    f.end();
    const access = (check.accesses > check.storeCount ? READ : 0) | (stores ? WRITE : 0);
    this.#slowAccess(full, at, { size, access, isAligned: false }, true);
    f.end();
    return at;
  }

  /** Loads, as the type of memory that it is, or another of that size; gives the local variable. */
  #loadMemory(s: Load, as: MemoryType = s.memory): number {
    const f = this.#f, amo = s.access === "amo";
    const value = this.#values.temp(typeOf(as)), shared = this.#shared.get(s), { ram } = this.#options.layout;
    this.#values.define(s.temp, value, s.memory === "u8" || s.memory === "u16");
    if (shared !== undefined) {
      f.get(this.#sharedOffset(shared));
      f.memory(LOADS[as]!, ram + shared.distance - shared.check.start), f.set(value);
      return value;
    }
    const at = this.#access(s.address, sizeOf(as), amo, amo);
    f.get(at), f.memory(LOADS[as]!, ram), f.set(value);
    return value;
  }

  /** Stores, as the type of memory that it is, or another of that size with what is pushed. */
  #storeMemory(s: Store, as: MemoryType = s.memory, push: () => void = () => this.#values.push(s.value)): void {
    const f = this.#f, shared = this.#shared.get(s), { ram } = this.#options.layout;
    if (shared !== undefined) return this.#storeShared(shared, s, as, push);
    const at = this.#access(s.address, sizeOf(as), true, false);
    f.get(at), push(), f.memory(storeOf(as), ram);
  }

  #storeShared(shared: SharedAccess, s: Store, as: MemoryType, push: () => void): void {
    const f = this.#f, { ram } = this.#options.layout, { check } = shared, size = sizeOf(as);
    const at = this.#sharedOffset(shared), distance = shared.distance - check.start;
    const store = (from: number, offset: number) => {
      f.get(from), push(), f.memory(storeOf(as), ram + offset);
    };
    if (this.#coversLines(check)) return store(at, distance);
    const offset = this.#values.temp("i32"), full = this.#values.temp(this.#word);
    f.get(at), f.i32(distance), f.op("i32.add"), f.set(offset);
    // The address as `testPlace` has it.
    if (this.#options.memory === "translated") this.#values.push(s.address);
    else f.get(offset), this.#word === "i64" && f.op("i64.extend_i32_u");
    f.set(full);
    pushWatched(f, this.#options, offset, size, false);
    f.if("unlikely");
    this.#slowAccess(full, offset, { size, access: WRITE, isAligned: false });
    f.end();
    store(offset, 0);
  }

  /** What instructions of floating point need of this emitter. */
  readonly #host: FloatHost = {
    leave: () => {
      this.#f.call("leave", 0, 0);
      this.#leaveHere();
    },
    leaveTold: () => this.#leaveHere(),
    load: (s, as) => this.#loadMemory(s, as),
    store: (s, as, push) => this.#storeMemory(s, as, push),
    setX: (n, narrow) => this.#set(n, narrow && this.#word === "i64"),
    pushResult: (type) => this.#load(`${type}.load`, this.#options.layout.result),
  };

  /** Calls the floating-point unit, which changes nothing that the executor must look at. */
  #callFloatUnit(s: Call): void {
    const f = this.#f, value = this.#values.temp("i64");
    for (const arg of s.args) this.#values.pushHalves(arg);
    callUnit(f);
    if (this.#floats === null) leaveIfTrapped(f, this.#values.temp("f64"), this.#host);
    else this.#floats.called();
    this.#host.pushResult("i64"), f.set(value);
    this.#values.define(s.temp!, value);
  }

  #call(s: Call): void {
    const f = this.#f;
    // What it asks has been asked already.
    if (s.name === "floatEnabled" || (s.name === "fence" && this.#options.isAlone)) return;
    if (s.name === "float") return this.#callFloatUnit(s);
    this.#mayStop = true;
    this.#storeHere();
    let count = 0;
    s.args.forEach((value, position) => {
      this.#values.pushHalves(value);
      count += value.type === "i64" ? 2 : 1;
      if (value.type === "i64" || !WORD_ARGUMENTS[s.name]?.includes(position)) return;
      f.i32(0);
      count++;
    });
    f.call(s.name, count, 1), f.if("unlikely");
    this.#leaveHere();
    f.end();
    if (s.name === "csr") this.#floatRegisters?.loadState();
    if (s.temp === null) return;
    const type = s.temp.type as WasmType, value = this.#values.temp(type);
    this.#load(type === "i64" ? "i64.load" : "i32.load", this.#options.layout.result), f.set(value);
    this.#values.define(s.temp, value);
  }

  // Blocks.

  /** The statements of an instruction but for where it goes on. Several registers are set at once. */
  #statements(statements: readonly Statement[]): void {
    const f = this.#f;
    for (const s of statements) {
      switch (s.kind) {
        case "setX": {
          const narrow = this.#values.isNarrow(s.value);
          narrow ? this.#values.pushLow(s.value) : this.#values.push(s.value);
          this.#set(s.register, narrow);
          break;
        }
        case "setF":
          this.#values.push(s.value);
          this.#floatRegisters!.setBits(s.register);
          break;
        case "let": {
          const narrow = this.#values.isNarrow(s.value);
          const local = this.#values.temp(narrow ? "i32" : s.value.type as WasmType);
          narrow ? this.#values.pushLow(s.value) : this.#values.push(s.value);
          f.set(local);
          if (narrow) this.#values.defineLow(s.temp, local);
          else this.#values.define(s.temp, local);
          break;
        }
        case "load":
          this.#loadMemory(s);
          break;
        case "store":
          this.#storeMemory(s);
          break;
        case "call":
          this.#call(s);
          break;
      }
    }
  }

  /** The instructions of a block, without how it ends. Pushes a branch's condition; leaves the target of a jump in `r`. */
  #body(block: Block): void {
    const f = this.#f, { instructions } = block;
    this.#block = block;
    this.#dirty = block.dirtyIn;
    this.#floatRegisters?.begin(block);
    this.#shared = this.#sharedIn.get(block)!;
    f.get(this.#n), f.i32(instructions.length), f.op("i32.sub"), f.set(this.#n);
    instructions.forEach((i, k) => {
      this.#instruction = i;
      this.#ahead = instructions.length - k;
      this.#mayStop = false;
      if (this.#options.comment !== undefined) f.comment(this.#options.comment(i));
      if (i.hooks !== undefined) this.#hooks(i.hooks);
      this.#values.begin();
      if (this.#floats?.emit(i) === true) return;
      const last = i.statements.at(-1);
      if (last?.kind === "branch") {
        this.#statements(i.statements.slice(0, -1));
        if (block.terminator.kind === "branch") this.#values.push(last.condition);
      } else if (last?.kind === "jumpTo") {
        const rest = i.statements.slice(0, -1);
        if (block.terminator.kind === "call" || block.terminator.kind === "jump") {
          // Where it leads is known.
          this.#statements(rest.filter(({ kind }) => kind === "setX"));
        } else this.#indirect(rest, last);
      } else this.#statements(i.statements);
      if (this.#mayStop) this.#stopIfAsked(i);
    });
  }

  /** Calls the hooks of the instruction at hand, with registers in the register file, and counts it. */
  #hooks({ id, calls, counters }: HookSite): void {
    const f = this.#f, { counts } = this.#options;
    if (calls.length > 0) {
      this.#writeBack(this.#dirty);
      this.#dirty = 0;
      this.#floatRegisters?.allWritten();
      this.#storeHere();
      f.i32(id), f.i32(this.#instruction.pc), f.call("hooked", 2, 1), f.tee(this.#r), f.if();
      f.get(this.#r), f.op("return");
      f.end();
    }
    for (const counter of counters) {
      const at = counts()! + 8 * counter;
      f.i32(0), this.#load("i64.load", at), f.i64(1, 0), f.op("i64.add"), f.memory("i64.store", at);
    }
  }

  /** After a call of the hart: leaves if it wants the executor to look at something. */
  #stopIfAsked(i: RegionInstruction): void {
    const f = this.#f, { remaining } = this.#options.layout;
    this.#load("i32.load", remaining), f.tee(this.#r);
    f.get(this.#n), f.i32(this.#ahead), f.op("i32.add"), f.op("i32.ne"), f.if("unlikely");
    f.get(this.#r), f.i32(1), f.op("i32.sub"), f.set(this.#n);
    this.#setPlace(this.#block, this.#executed + 1, 0);
    f.i32(i.pc + i.length | 0), f.i32(this.#region.high), f.call("goOnAt", 2, 0);
    this.#rareExit(ELSEWHERE, this.#dirty, this.#floatDirty, 0);
    f.end();
  }

  /** A jump to a register: its target's low half goes to `r`. */
  #indirect(statements: readonly Statement[], last: JumpTo): void {
    const f = this.#f, wide = this.#word === "i64", target = this.#values.temp(this.#word);
    // The target, where it is a value of its own, is computed first.
    const [first, ...rest] = statements;
    if (first !== undefined) this.#statements([first]);
    this.#values.push(last.target), f.set(target);
    f.get(target), wide && f.op("i32.wrap_i64"), f.set(this.#r);
    if (!this.#options.compressed) {
      f.get(this.#r), f.i32(2), f.op("i32.and"), f.if("unlikely");
      if (this.#instruction.hooks === undefined) this.#leaveHere();
      else this.#leaveWithoutHooks();
      f.end();
    }
    this.#statements(rest);
    if (!wide) return;
    f.get(target), f.i64(32, 0), f.op("i64.shr_u"), f.op("i32.wrap_i64");
    f.i32(this.#region.high), f.op("i32.ne"), f.if("unlikely");
    this.#setPlace(this.#block, this.#block.instructions.length, 0);
    this.#values.pushHalvesOf(target), f.call("goOnAt", 2, 0);
    this.#rareExit(ELSEWHERE, this.#dirty, this.#floatDirty, 0);
    f.end();
  }

  /** What follows the body of a block. */
  #terminate(block: Block): void {
    const f = this.#f, { terminator: t } = block;
    const to = (pc: number) => block.successors.find((b) => b.pc === pc);
    const go = (pc: number) => {
      const next = to(pc);
      if (next !== undefined) this.#goto(block, next);
      else this.#exitTo(block, pc);
    };
    switch (t.kind) {
      case "branch": {
        const dirty = this.#dirty, narrow = this.#narrow, lowOnly = this.#lowOnly, floats = this.#floatRegisters;
        const known = floats?.known;
        f.if();
        go(t.taken);
        this.#dirty = dirty, this.#narrow = narrow, this.#lowOnly = lowOnly;
        if (floats !== null) floats.known = known!;
        f.else();
        go(t.next);
        f.end();
        f.op("unreachable");
        break;
      }
      case "jump":
        go(t.target);
        break;
      case "exit":
        this.#exitTo(block, t.pc);
        break;
      case "call": {
        const next = to(t.next);
        if (next === undefined) this.#exitTo(block, t.target);
        else this.#callCell(block, next, () => f.i32(t.target), this.#options.cell(t.target));
        break;
      }
      case "return": {
        const next = to(t.next);
        if (next !== undefined) f.get(this.#r), f.i32(t.next), f.op("i32.ne"), f.if();
        this.#note(block);
        this.#writeAllBack();
        this.#storeCount();
        f.get(this.#r), f.op("return");
        if (next === undefined) break;
        f.end();
        this.#goto(block, next);
        break;
      }
      case "indirectCall":
      case "indirectJump": {
        const next = t.kind === "indirectCall" ? to(t.next) : undefined;
        if (next !== undefined) {
          this.#callCell(block, next, () => f.get(this.#r), null);
          break;
        }
        this.#note(block);
        this.#writeAllBack();
        this.#storeCount();
        // A return is one here, too. Any other jump goes on from here, so that what is called from there returns here.
        if (t.kind === "indirectJump" && !LINKS.has(block.instructions.at(-1)!.operands.rs1)) {
          const slow = f.block("slow");
          this.#findCell(slow);
          f.get(0), f.get(this.#e), f.returnCallIndirect();
          f.end();
        }
        f.get(this.#r), f.op("return");
      }
    }
  }

  /** Leaves the number of the cell of the address in `r` in `e`; goes to a label if it is not in the table, or not compiled. */
  #findCell(slow: Label): void {
    findCell(this.#f, this.#options.layout, this.#r, this.#e, slow, "unlikely");
  }

  /** Calls the region of a cell by number, or of the one whose address is in `r`, and goes on if it returns as expected. */
  #callCell(block: Block, next: Block, target: () => void, cell: number | null): void {
    const f = this.#f;
    this.#note(block);
    this.#writeAllBack();
    this.#storeCount();
    f.get(0), f.i32(0), f.op("i32.le_s"), f.if("unlikely");
    target(), f.op("return");
    f.end();
    if (cell !== null && cell === this.#options.cell(this.#region.entry.pc)) {
      f.get(0), f.i32(1), f.op("i32.sub"), f.callSelf(), f.set(this.#r);
    } else {
      const called = f.block("called"), slow = f.block("slow");
      if (cell !== null) {
        this.#load("i32.load8_u", this.#options.layout.ready + cell), f.op("i32.eqz"), f.brIf(slow, "unlikely");
      } else this.#findCell(slow);
      f.get(0), f.i32(1), f.op("i32.sub");
      if (cell !== null) f.i32(cell);
      else f.get(this.#e);
      f.callIndirect(), f.set(this.#r);
      f.br(called);
      f.end();
      f.get(0), f.i32(1), f.op("i32.sub"), target(), f.call("called", 2, 1), f.set(this.#r);
      f.end();
    }
    f.get(this.#r), f.i32(next.pc), f.op("i32.ne"), f.if("unlikely");
    f.get(this.#r), f.op("return");
    f.end();
    this.#load("i32.load", this.#options.layout.remaining), f.set(this.#n);
    this.#dirty = this.#narrow = this.#lowOnly = 0;
    this.#check(next, false);
    this.#loads(next);
    this.#goOn(block, next);
  }

  // Structure: every block is emitted once, inside its dominator; see "Beyond Relooper" (Ramsey, 2022).

  #goto(from: Block, to: Block): void {
    const way = wayTo(this.#region, from, to);
    if (way === "noted") this.#note(from);
    else if (way === "marked") this.#noteMark(this.#endOf(from));
    this.#goOn(from, to);
  }
  /** Goes on at a block; what led there is noted. */
  #goOn(from: Block, to: Block): void {
    const f = this.#f;
    if (!this.#region.reducible || to.order <= from.order || to.isMerge || to.isLoop) this.#settle(to);
    if (!this.#region.reducible) {
      f.i32(to.order), f.set(this.#b), f.br(this.#labels.get("S")!);
    } else if (to.order <= from.order) f.br(this.#labels.get(`L${to.label}`)!);
    else if (to.isMerge) f.br(this.#labels.get(`B${to.label}`)!);
    else this.#tree(to);
  }

  #tree(block: Block): void {
    const f = this.#f, merges = block.children.filter((child) => child.isMerge);
    if (block.isMerge || block.isLoop) this.#begin(block);
    if (block.isLoop) {
      this.#labels.set(`L${block.label}`, f.loop(`L${block.label}`));
      this.#check(block, true);
    }
    this.#within(block, merges);
    if (block.isLoop) {
      f.end();
      f.op("unreachable");
    }
  }

  #within(block: Block, merges: readonly Block[]): void {
    const f = this.#f, [first, ...rest] = merges;
    if (first === undefined) {
      this.#body(block);
      this.#terminate(block);
      return;
    }
    this.#labels.set(`B${first.label}`, f.block(`B${first.label}`));
    this.#within(block, rest);
    f.end();
    this.#tree(first);
  }

  /** For a loop with several entrances: a jump table over blocks. */
  #switch(): void {
    const f = this.#f, { blocks, entry } = this.#region;
    f.i32(entry.order), f.set(this.#b);
    this.#labels.set("S", f.loop("S"));
    const labels = blocks.map((block) => f.block(`b${block.label}`)).reverse();
    f.get(this.#b), f.brTable(labels);
    for (const block of blocks) {
      f.end();
      this.#begin(block);
      if (block.isLoop) this.#check(block, true);
      this.#body(block);
      this.#terminate(block);
    }
    f.end();
    f.op("unreachable");
  }
}
