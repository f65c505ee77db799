// The interpreter's loop: a WebAssembly function over decoded records, made from the instruction table when a machine is created.
// Operands of an instruction are taken from its record; everything else is emitted as in a compiled region.

import { FIELD_IMM, FIELD_RD, FIELD_RS1, FIELD_RS2, type JumpTo, type Statement, type Value } from "../isa/ir.ts";
import { PAGE_OFFSET, PC_HIGH, REMAINING } from "../hart/counter.ts";
import { PAUSE } from "../isa/rv_i.ts";
import type { Hart } from "../hart/hart.ts";
import { sizeOf } from "./emitter.ts";
import { type DecodeCache, FIELD, FIRST_OPERATION, PAGE_RECORDS, RECORD_BYTES } from "./decode_cache.ts";
import {
  INLINE_OPERATIONS,
  type InterpreterOptions,
  OPERATION_FORMS,
  type OperationForm,
  statements,
} from "./interpreter.ts";
import { type PageTableLayout, pushFirstRecord, pushPageMissed, pushPageOffset } from "./page_table.ts";
import { LOADS, STORES, testAccess } from "./wasm_access.ts";
import { type History, HISTORY_LAYOUT } from "./history.ts";
import { noteJump, notePage } from "./wasm_history.ts";
import { type Label, type MemoryInstruction, WasmFunction, type WasmType } from "./wasm_assembler.ts";
import { WasmValues } from "./wasm_values.ts";

/** Where things are in the memory that WebAssembly sees: offsets in bytes. */
export interface InterpreterLayout extends PageTableLayout {
  /** Integer registers. */
  readonly x: number;
  /** Words of the count: `Count.state[REMAINING]`, `[PAGE_OFFSET]` and `[PC_HIGH]`. */
  readonly remaining: number;
  readonly pageOffset: number;
  readonly pcHigh: number;
  /** The translation look-aside buffers of all privilege levels. */
  readonly loads: number;
  readonly stores: number;
  /** `Ram.lines`, and RAM itself. */
  readonly lines: number;
  readonly ram: number;
  /** `DecodeCache.words`. */
  readonly records: number;
  /** The words of the hart's history (history.ts); undefined where it is not kept. */
  readonly history: number | undefined;
  /** Size of the memory, in its pages. */
  readonly pages: number;
}

/** log2 of the bytes of a record, and of those for a byte of an instruction. */
const RECORD_SHIFT = Math.log2(RECORD_BYTES), SCALE = RECORD_SHIFT - 1;

/** Emits the loop. */
class LoopEmitter {
  readonly #options: InterpreterOptions;
  readonly #layout: InterpreterLayout;
  readonly #f: WasmFunction = new WasmFunction(false);
  readonly #values: WasmValues;
  readonly #word: "i32" | "i64";
  /** The record at hand, in bytes from the first one. */
  readonly #p: number;
  /** Instructions that may still be executed. */
  readonly #n: number;
  /** First record of the page, in bytes. */
  readonly #records: number;
  /** Address of the page. */
  readonly #page: number;
  /** Address of the page less half of `#records`. */
  readonly #origin: number;
  /** Where the entries of the look-aside buffers are, in bytes. */
  readonly #entries: number;
  /** Where a jump to another page goes. */
  readonly #target: number;
  /** Length in bytes of the instruction that goes there if it writes a link, else 0. */
  readonly #link: number;
  /** Where the last entry of the history is. */
  readonly #noted: number;
  #length: 1 | 2 = 2;
  #next!: Label;
  #turn!: Label;
  #slow!: Label;
  #hot!: Label;

  constructor(options: InterpreterOptions, layout: InterpreterLayout) {
    this.#options = options;
    this.#layout = layout;
    const f = this.#f, word = this.#word = options.xlen === 64 ? "i64" : "i32";
    this.#p = f.local("i32", "p");
    this.#n = f.local("i32", "n");
    this.#records = f.local("i32", "records");
    this.#entries = f.local("i32", "entries");
    this.#noted = f.local("i32", "noted");
    this.#page = f.local(word, "page");
    this.#origin = f.local(word, "origin");
    this.#target = f.local(word, "target");
    this.#link = f.local("i32", "link");
    this.#values = new WasmValues(f, {
      register: (field) => {
        this.#field(field), f.memory(word === "i64" ? "i64.load" : "i32.load", layout.x);
      },
      isNarrow: () => false,
      lowHalf: (field) => {
        this.#field(field), f.memory("i32.load", layout.x);
      },
      address: (which) => this.#address(which),
      field: (v) => this.#operand(v),
      floatRegister: () => {
        throw new Error("the loop has no floating point");
      },
      highHalf: () => {
        throw new Error("the loop calls no helpers");
      },
    });
  }

  /** Pushes the address of the instruction, or of the next one. */
  #address(which: "pc" | "next"): void {
    const f = this.#f, wide = this.#word === "i64";
    f.get(this.#origin), f.get(this.#p), f.i32(SCALE), f.op("i32.shr_u");
    if (wide) f.op("i64.extend_i32_u");
    f.op(`${this.#word}.add`);
    if (which === "pc") return;
    if (wide) f.i64(2 * this.#length, 0);
    else f.i32(2 * this.#length);
    f.op(`${this.#word}.add`);
  }

  /** Pushes a field of the record. */
  #field(number: number): void {
    const field = number === FIELD_RD ? "rd" : number === FIELD_RS1 ? "rs1" : number === FIELD_RS2 ? "rs2" : null;
    if (field === null) throw new Error(`the loop has no field ${number}`);
    this.#f.get(this.#p), this.#f.memory("i32.load16_u", this.#layout.records + FIELD[field]);
  }
  #operand(v: Value): void {
    if (v.low !== FIELD_IMM) throw new Error(`the loop has no operand ${v.name}`);
    this.#f.get(this.#p), this.#f.memory("i32.load", this.#layout.records + FIELD.immediate);
  }

  /** The module of the loop, whose parameter is the record to begin with. */
  module(): Uint8Array<ArrayBuffer> {
    const f = this.#f, { records, pages } = this.#layout;
    this.#begin();
    this.#hot = f.block("hot"), this.#slow = f.block("slow");
    const again = f.loop("again");
    this.#turn = f.block("turn"), this.#next = f.loop("next");
    const forms = OPERATION_FORMS.slice(0, INLINE_OPERATIONS);
    const exists = ({ instruction: { xlen } }: OperationForm) => xlen === undefined || xlen === this.#options.xlen;
    const here = forms.filter(exists), labels = here.map(({ instruction }) => f.block(instruction.name)).reverse();
    const labelOf = new Map(here.map((form, k) => [form, labels[k]!] as const));
    f.get(this.#p), f.memory("i32.load16_u", records + FIELD.operation);
    const notHere = Array.from({ length: FIRST_OPERATION }, () => this.#slow);
    f.brTable([...notHere, ...forms.map((form) => labelOf.get(form) ?? this.#slow), this.#slow]);
    for (const form of here) {
      f.end();
      this.#length = form.length;
      this.#values.begin();
      this.#instruction(statements(form.instruction, this.#options), form.near);
    }
    f.end();
    f.op("unreachable");
    f.end();
    this.#turnPage(again);
    f.end();
    f.op("unreachable");
    f.end();
    this.#end();
    f.op("return");
    f.end();
    this.#end();
    f.i32(-1), f.op("i32.xor");
    return f.module(pages);
  }

  /** Notes that it goes on at the record at hand, before the jump that led there is counted. */
  #note(): void {
    const { history } = this.#layout;
    if (history !== undefined) noteJump(this.#f, history, this.#noted, this.#p, this.#n);
  }

  /** Sets the local variables that stay the same, and those that the loop begins with. */
  #begin(): void {
    const f = this.#f, { remaining, pageOffset, pcHigh, access, history } = this.#layout, wide = this.#word === "i64";
    const load = (at: number) => (f.i32(0), f.memory("i32.load", at));
    const bytes = () => (f.get(this.#records), f.i32(SCALE), f.op("i32.shr_u"));
    f.get(0), f.i32(RECORD_SHIFT), f.op("i32.shl"), f.set(this.#p);
    f.get(0), f.i32(PAGE_RECORDS), f.op("i32.div_u");
    f.i32(PAGE_RECORDS * RECORD_BYTES), f.op("i32.mul"), f.set(this.#records);
    load(pageOffset), bytes(), f.op("i32.add");
    if (wide) {
      f.op("i64.extend_i32_u");
      load(pcHigh), f.op("i64.extend_i32_u"), f.i64(32, 0), f.op("i64.shl"), f.op("i64.or");
    }
    f.tee(this.#page), bytes(), wide && f.op("i64.extend_i32_u"), f.op(`${this.#word}.sub`), f.set(this.#origin);
    if (this.#options.memory === "translated") load(access), f.i32(2), f.op("i32.shl"), f.set(this.#entries);
    load(remaining), f.set(this.#n);
    if (history !== undefined) load(history + HISTORY_LAYOUT.at), f.set(this.#noted);
  }

  /** Stores the count, and pushes the number of the record at hand. */
  #end(): void {
    const f = this.#f;
    f.i32(0), f.get(this.#n), f.memory("i32.store", this.#layout.remaining);
    const { history } = this.#layout;
    if (history !== undefined) f.i32(0), f.get(this.#noted), f.memory("i32.store", history + HISTORY_LAYOUT.at);
    f.get(this.#p), f.i32(RECORD_SHIFT), f.op("i32.shr_u");
  }

  #instruction(all: readonly Statement[], near: boolean): void {
    const f = this.#f, last = all.at(-1);
    if (last?.kind === "jumpTo") return this.#jumpTo(all.slice(0, -1), last);
    if (last?.kind === "jump" && !near) return this.#goFar(2 * this.#length);
    for (const s of all) this.#statement(s);
    if (last?.kind === "jump") return this.#goNear();
    if (last?.kind === "branch") {
      this.#values.push(last.condition), f.if();
      near ? this.#goNear() : this.#goFar(0);
      f.end();
    }
    f.get(this.#p), f.i32(this.#length * RECORD_BYTES), f.op("i32.add"), f.set(this.#p);
    this.#count();
  }

  #statement(s: Statement): void {
    const f = this.#f;
    switch (s.kind) {
      case "setX":
        this.#field(s.register),
          this.#values.push(s.value),
          f.memory(`${this.#word}.store` as MemoryInstruction, this.#layout.x);
        break;
      case "let": {
        const local = this.#values.temp(s.value.type as WasmType);
        this.#values.push(s.value), f.set(local);
        this.#values.define(s.temp, local);
        break;
      }
      case "load": {
        const at = this.#access(s.address, sizeOf(s.memory), false), local = this.#values.temp(s.temp.type as WasmType);
        f.get(at), f.memory(LOADS[s.memory]!, this.#layout.ram), f.set(local);
        this.#values.define(s.temp, local);
        break;
      }
      case "store": {
        const size = sizeOf(s.memory), at = this.#access(s.address, size, true);
        f.get(at), this.#values.push(s.value), f.memory(STORES[size]!, this.#layout.ram);
        break;
      }
      case "branch":
      case "jump":
        break;
      case "call": {
        // FENCE: memory is ordered as it is.
        const [operands] = s.args;
        if (s.name !== "fence") throw new Error(`the loop does not call ${s.name}`);
        this.#values.push(operands!), f.i32(PAUSE), f.op("i32.eq"), f.brIf(this.#slow);
        break;
      }
      default:
        throw new Error(`the loop has no statement ${s.kind}`);
    }
  }

  #access(address: Value, size: number, stores: boolean): number {
    const options = { ...this.#options, layout: this.#layout };
    const entries = this.#options.memory === "translated" ? { entries: this.#entries } : {};
    return testAccess(this.#f, this.#values, options, { address, size, stores, align: stores, ...entries }, this.#slow)
      .at;
  }

  /** Counts an instruction and goes on with the next one. */
  #count(): void {
    const f = this.#f;
    f.get(this.#n), f.i32(1), f.op("i32.sub"), f.tee(this.#n), f.brIf(this.#next);
    f.br(this.#slow);
  }

  /** Goes where the immediate says, in the same page. */
  #goNear(): void {
    const f = this.#f, { threshold } = this.#options;
    f.get(this.#p), f.get(this.#p), f.memory("i32.load", this.#layout.records + FIELD.immediate);
    f.i32(RECORD_SHIFT), f.op("i32.shl"), f.op("i32.add"), f.set(this.#p);
    this.#note();
    if (threshold !== 0) {
      const heat = this.#values.temp("i32"), at = this.#layout.records + FIELD.heat;
      f.get(this.#p), f.get(this.#p), f.memory("i32.load16_u", at), f.i32(1), f.op("i32.add"), f.tee(heat);
      f.memory("i32.store16", at);
      f.get(heat), f.i32(threshold), f.op("i32.eq"), f.if();
      f.get(this.#n), f.i32(1), f.op("i32.sub"), f.set(this.#n);
      f.br(this.#hot);
      f.end();
    }
    this.#count();
  }

  /** Goes to a direct jump's target in another page. `link`: see `#link`. */
  #goFar(link: number): void {
    const f = this.#f, wide = this.#word === "i64";
    this.#address("pc"), f.get(this.#p), f.memory("i32.load", this.#layout.records + FIELD.immediate);
    if (wide) f.op("i64.extend_i32_s");
    f.op(`${this.#word}.add`), f.set(this.#target);
    f.i32(link), f.set(this.#link);
    f.br(this.#turn);
  }

  /** Goes to an address in a register. */
  #jumpTo(before: readonly Statement[], { target }: JumpTo): void {
    const f = this.#f, wide = this.#word === "i64", offset = this.#values.temp(this.#word);
    for (const s of before) if (s.kind !== "setX") this.#statement(s);
    f.i32(2 * this.#length), f.set(this.#link);
    this.#values.push(target), f.tee(this.#target), f.get(this.#page), f.op(`${this.#word}.sub`), f.tee(offset);
    if (wide) f.i64(4096, 0), f.op("i64.ge_u");
    else f.i32(4096), f.op("i32.ge_u");
    f.brIf(this.#turn);
    const low = () => (f.get(offset), wide && f.op("i32.wrap_i64"));
    if (!this.#options.extensions.has("Zca")) low(), f.i32(2), f.op("i32.and"), f.brIf(this.#slow);
    for (const s of before) if (s.kind === "setX") this.#statement(s);
    f.get(this.#records), low(), f.i32(SCALE), f.op("i32.shl"), f.op("i32.add"), f.set(this.#p);
    this.#note();
    this.#count();
  }

  /** What jumps to other pages have in common: finds the page by the table, and goes on there. */
  #turnPage(again: Label): void {
    const f = this.#f,
      { records, x, pageOffset, pcHigh, history } = this.#layout,
      wide = this.#word === "i64";
    const low = f.local("i32", "low"), high = f.local("i32", "high"), entry = f.local("i32", "entry");
    f.get(this.#target), wide && f.op("i32.wrap_i64"), f.set(low);
    if (wide) f.get(this.#target), f.i64(32, 0), f.op("i64.shr_u"), f.op("i32.wrap_i64"), f.set(high);
    if (!this.#options.extensions.has("Zca")) f.get(low), f.i32(2), f.op("i32.and"), f.brIf(this.#slow);
    pushPageMissed(f, this.#layout, { low, high: () => f.get(high), entry }), f.brIf(this.#slow);
    f.get(this.#link), f.if();
    f.get(this.#p), f.memory("i32.load16_u", records + FIELD.rd);
    this.#address("pc"), f.get(this.#link), wide && f.op("i64.extend_i32_u"), f.op(`${this.#word}.add`);
    f.memory(`${this.#word}.store` as MemoryInstruction, x);
    f.end();
    f.i32(0), pushPageOffset(f, this.#layout, low, entry), f.memory("i32.store", pageOffset);
    if (wide) f.i32(0), f.get(high), f.memory("i32.store", pcHigh);
    pushFirstRecord(f, this.#layout, entry), f.i32(RECORD_SHIFT), f.op("i32.shl"), f.tee(this.#records);
    f.get(low), f.i32(4095), f.op("i32.and"), f.i32(SCALE), f.op("i32.shl"), f.op("i32.add"), f.set(this.#p);
    this.#note();
    if (history !== undefined) {
      notePage(f, history, entry, {
        before: () => f.get(this.#n),
        offset: () => (f.i32(0), f.memory("i32.load", pageOffset)),
        high: () => wide ? f.get(high) : f.i32(0),
        cache: this.#options.memory === "bare" ? 0 : 1,
      });
    }
    f.get(this.#target), wide ? f.i64(-4096, -1) : f.i32(-4096), f.op(`${this.#word}.and`), f.tee(this.#page);
    f.get(this.#records), f.i32(SCALE), f.op("i32.shr_u"), wide && f.op("i64.extend_i32_u");
    f.op(`${this.#word}.sub`), f.set(this.#origin);
    f.get(this.#n), f.i32(1), f.op("i32.sub"), f.tee(this.#n), f.brIf(again);
    f.br(this.#slow);
  }
}

/** The layout of a hart's loop over the records of a cache; NaN stands for what does not lie in the memory that WebAssembly sees. */
export function interpreterLayout(
  hart: Hart,
  cache: DecodeCache,
  pageTable: Int32Array,
  history: History,
): InterpreterLayout {
  const { ram } = hart.memory, { loads, stores } = hart.translation.buffers;
  const at = (array: ArrayBufferView) => ram.offsetOf(array) ?? NaN, state = at(hart.count.state);
  return {
    x: at(hart.x),
    remaining: state + 4 * REMAINING,
    pageOffset: state + 4 * PAGE_OFFSET,
    pcHigh: state + 4 * PC_HIGH,
    access: at(hart.access),
    pageTable: at(pageTable),
    loads: at(loads),
    stores: at(stores),
    lines: at(ram.lines),
    ram: at(ram.u8),
    records: at(cache.words),
    history: history.isKept ? at(history.words) : undefined,
    pages: ram.pages,
  };
}

/**
 * Makes the loop. It executes from a record, which it is given, as many instructions as remain, and gives the next record, with the count
 * of what remains in its place. If that is not 0, it has come to an instruction that it leaves to the operation's function, and has not
 * begun it. If what it gives is negative, the record whose complement that is has become hot: it was jumped to `threshold` times.
 */
export function makeLoop(
  options: InterpreterOptions,
  layout: InterpreterLayout,
  memory: WebAssembly.Memory,
): (record: number) => number {
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 0 });
  const module = new WebAssembly.Module(new LoopEmitter(options, layout).module());
  const { exports } = new WebAssembly.Instance(module, { env: { memory, table } });
  return exports["run"] as (record: number) => number;
}
