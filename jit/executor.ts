// Runs a hart: builds the interpreter for it, finds the record of a pc, takes traps and interrupts between stretches.

import { Decoder, isCompressed } from "../isa/decode.ts";
import { HIGH } from "../isa/pair.ts";
import {
  IN_REGION,
  LEFT,
  PAGE_OFFSET,
  PC_HIGH,
  POSITION,
  REASON,
  RECORD,
  REMAINING,
  RESULT,
  SITE,
  SITE_DIRTY,
  SITE_PC,
} from "../hart/counter.ts";
import { multiplyAdd } from "../hart/double_operations.ts";
import { FloatUnit } from "../hart/float_unit.ts";
import { FETCH_KEY, fetchKey, type Hart } from "../hart/hart.ts";
import { AMO, LoadStoreUnit } from "../hart/load_store_unit.ts";
import { WATCH } from "../hart/memory.ts";
import { EXECUTE, MIXED } from "../hart/pmp.ts";
import { LargePages, tlbBase, TranslationBuffers } from "../hart/tlb.ts";
import { CAUSE, Exception, INTERPRET, raise } from "../hart/trap.ts";
import { type BreakpointAddress, Breakpoints } from "./breakpoints.ts";
import { type CodeHooks, HALTED, type HookChange, type HookedExecutor } from "./code_hooks.ts";
import type { Cell, CodeCache, Compilation, CompileReason, CompilerOptions } from "./code_cache.ts";
import { CodeIndex } from "./code_index.ts";
import { CodeSpace, physicalPage } from "./code_space.ts";
import { ELSEWHERE, type RegionText, SHORT_INSTRUCTION } from "./region_emitter.ts";
import { History } from "./history.ts";
import { accessFunctions } from "./called_access.ts";
import {
  BREAKPOINT,
  COMPILED,
  CROSSING,
  DecodeCache,
  FIRST_OPERATION,
  ILLEGAL,
  PAGE_END,
  SELF_JUMP,
  UNDECODED,
} from "./decode_cache.ts";
import {
  handlerText,
  INLINE_OPERATIONS,
  type InterpreterOptions,
  OPERATION_FORMS,
  operationNumbers,
} from "./interpreter.ts";
import * as library from "./library.ts";
import * as pureLibrary from "./pure_library.ts";
import { JavaScriptTranslator } from "./javascript_translator.ts";
import { WasmImports } from "./wasm_imports.ts";
import { interpreterLayout, makeLoop } from "./wasm_interpreter.ts";
import { PAGE_ENTRIES, PAGE_ENTRY, pageEntry } from "./page_table.ts";
import { DISPATCH } from "./wasm_dispatcher.ts";
import { makeWasmTables, type WasmParts, type WasmTables, WasmTranslator } from "./wasm_translator.ts";

/** Pages of decoded instructions: physical ones, and those reached through virtual addresses, of which there are more. */
const BARE_PAGES = 1024, TRANSLATED_PAGES = 2048;

/** Most combinations of a privilege level and the upper half of addresses for which there is compiled code. */
const MOST_SPACES = 64;

/** Thrown by slow paths of compiled code when the executor must look at something after the instruction. */
const LEAVE = new Error("leave compiled code");

/** Thrown by accesses of compiled code that the interpreter must make. */
const MISSED = new Error("missed access");

/** Thrown by the handler of a breakpoint. */
const BREAKPOINT_REACHED = new Error("breakpoint");

/** Thrown where a hook ends the run before its instruction. */
export const HALT: Error = new Error("halted before an instruction");

type Handler = (record: number) => number;

/** First number after those of the loop's operations. */
const LOOP_END = FIRST_OPERATION + INLINE_OPERATIONS;

/** Executes the instructions of one hart. */
export class Executor implements HookedExecutor {
  readonly hart: Hart;
  readonly cache: DecodeCache;
  readonly decoder: Decoder;
  #state: Int32Array;
  readonly #loop: Handler | null;
  #handlers: Handler[] = [];
  /** From virtual page to first record: see `PAGE_ENTRY`. */
  readonly #pages: Int32Array;
  readonly #largePages = new LargePages();
  /** Compiled regions; null if everything is interpreted. */
  readonly code: CodeIndex | null;
  /** The caches of compiled code by high half of addresses and privilege level. */
  readonly #spaces = new Map<number, CodeSpace>();
  /** The one that was used last. */
  #space: CodeSpace | null = null;
  #options: InterpreterOptions;
  #unit: LoadStoreUnit;
  #callDepth = 0;
  readonly #breakpoints: Breakpoints;
  /** How many traps of compiled code were counted when it last ended. */
  #traps = 0;
  /** What a function that compiled code called has thrown, and is no exception of the guest. */
  #failure: { readonly error: unknown } | null = null;
  readonly #wasmImports: WasmImports;
  /** Tables of spaces that are no more. */
  readonly #wasmTables: WasmTables[] = [];
  #passBreakpoint = false;
  #passLow = 0;
  #environment: Record<string, unknown>;
  #hooks: CodeHooks | null = null;
  /** Executes in place of this one while addresses are virtual or protected; made when that first happens. */
  #translated: Executor | null = null;
  #isTranslated: boolean;
  /** What was executed last. */
  readonly history: History;

  /**
   * `options`: how to compile; null to interpret everything. `bare`: the executor of the hart while addresses are physical, which
   * makes this one for when they are not; null for that one itself. They share
   * their breakpoints. `keepsHistory`: note what is executed.
   */
  constructor(hart: Hart, options: CompilerOptions | null, bare: Executor | null = null, keepsHistory = false) {
    const memory = bare === null ? "bare" : "translated";
    this.hart = hart;
    this.code = bare?.code ?? (options === null ? null : new CodeIndex(options, hart.memory.ram, hart.count));
    this.#breakpoints = bare === null ? new Breakpoints(hart.triggers) : bare.#breakpoints;
    this.#isTranslated = memory === "translated";
    this.#state = hart.count.state;
    this.decoder = new Decoder(hart.xlen, hart.extensions);
    this.cache = new DecodeCache(
      this.decoder,
      hart.memory,
      operationNumbers,
      this.#isTranslated ? TRANSLATED_PAGES : BARE_PAGES,
      this.#isTranslated ? WATCH.decodedVirtual : WATCH.decoded,
    );
    this.#pages = hart.memory.ram.words(PAGE_ENTRIES * PAGE_ENTRY);
    this.cache.breakpoints = this.#breakpoints[memory];
    this.cache.onFlush = () => {
      this.history.capture(-1);
      this.forgetPages();
    };
    this.cache.onLength = (record) => this.history.capture(record);
    if (this.#isTranslated) hart.onFetchChange = (low, high) => this.#fetchChanged(low, high);
    const { ram } = hart.memory, unit = this.#unit = new LoadStoreUnit(hart), floats = new FloatUnit(hart);
    this.history = bare?.history ?? new History(ram, this.#state, this.code?.positions ?? null, keepsHistory);
    this.history.records[this.#isTranslated ? 1 : 0] = this.cache;
    this.#options = {
      xlen: hart.xlen,
      extensions: hart.extensions,
      ramBase: ram.base,
      ramSize: ram.size,
      memory,
      threshold: options?.threshold ?? 0,
    };
    this.#environment = {
      ...library,
      ...pureLibrary,
      HIGH,
      hart,
      unit,
      X: hart.x,
      F: hart.f,
      FD: hart.doubles,
      FS: hart.singles,
      floats,
      multiplyAdd,
      CSRS: hart.csrs,
      STATE: this.#state,
      WORDS: this.cache.words,
      HALVES: this.cache.halves,
      U8: ram.u8,
      I8: ram.i8,
      U16: ram.u16,
      I16: ram.i16,
      I32: ram.i32,
      F64: ram.f64,
      LINES: ram.lines,
      LOADS: hart.translation.buffers.loads,
      STORES: hart.translation.buffers.stores,
      ACCESS: hart.access,
      HISTORY: this.history.words,
      jumped: (record: number) => this.history.start(record, this.#state[REMAINING]!),
      enter: (low: number, high: number) => this.enter(low, high),
      heat: (record: number) => this.cache.heat(record),
      becameHot: (record: number) => this.#compileAt(record, "hot"),
      slowLoad: this.#slowLoad,
      slowStore: this.#slowStore,
      caught: (e: unknown) => this.#caught(e),
      missedLoad: this.#missedLoad,
      missedStore: this.#missedStore,
      MISSED,
    };
    this.#callDepth = options?.callDepth ?? 0;
    this.#wasmImports = new WasmImports(hart, unit, floats, (error) => {
      this.#state[LEFT] = 1;
      if (error !== null) this.#failure = { error };
    });
    this.#wasmImports.onRangeMissed = (pc, leaves) =>
      this.#spaceAt(this.#state[PC_HIGH]!)?.cache.rangeMissed(pc, leaves);
    for (let operation = 0; operation < FIRST_OPERATION + OPERATION_FORMS.length; operation++) {
      this.#handlers.push(this.#lazy(operation));
    }
    this.#handlers[UNDECODED] = (record) => this.#decode(record);
    this.#handlers[PAGE_END] = (record) => this.#nextPage(record);
    this.#handlers[COMPILED] = (record) => this.#runCompiled(record);
    this.#handlers[CROSSING] = (record) => this.#crossing(record);
    this.#handlers[BREAKPOINT] = (record) => this.#breakpoint(record);
    this.#handlers[SELF_JUMP] = (record) => this.#selfJump(record);
    this.#handlers[ILLEGAL] = () => raise(CAUSE.illegalInstruction, 0, 0);
    this.#loop = this.#makeLoop();
  }

  /** The interpreter's loop; null where not all that it needs lies in the memory that WebAssembly sees. */
  #makeLoop(): Handler | null {
    const layout = interpreterLayout(this.hart, this.cache, this.#pages, this.history),
      { memory } = this.hart.memory.ram;
    return Object.values(layout).some(Number.isNaN) ? null : makeLoop(this.#options, layout, memory!);
  }

  /**
   * Executes from a record until the slice ends: gives the next record, or -1 if the hart's pc says where to go on. What the
   * loop does not do itself, the operations' functions do.
   */
  #interpret(record: number): number {
    const state = this.#state, handlers = this.#handlers, loop = this.#loop, { cache } = this;
    for (;;) {
      if (loop !== null) {
        record = (this.#knownSpace(state[PC_HIGH]!)?.cache.dispatch ?? loop)(record);
        if (record < 0) {
          record = this.#dispatched(record);
          if (record >= 0 && state[REMAINING]! > 0) continue;
        }
        if (record < 0 || state[REMAINING]! <= 0) return record;
      }
      let operation = cache.operation(record);
      do {
        state[RECORD] = record;
        record = handlers[operation]!(record);
        state[REMAINING]!--;
        if (record < 0 || state[REMAINING]! <= 0) return record;
        operation = cache.operation(record);
      } while (operation < FIRST_OPERATION || operation >= LOOP_END);
    }
  }

  /** Makes a function of generated text, with the environment and the cells it calls as constants in its scope. */
  #compile(
    text: string,
    cells: readonly Cell[] = [],
    sites: readonly number[] = [],
    environment = this.#environment,
  ): unknown {
    // Only what it names: V8 would make variables of all.
    const names = Object.keys(environment).filter((name) => text.includes(name)).join(", "),
      own = cells.map((_, k) => `c${k}`).join(", ");
    // In parentheses, so that V8 compiles it at once in place of looking through it first.
    return new Function(
      "environment",
      "cells",
      "SITES",
      `"use strict"; const { ${names} } = environment, [${own}] = cells;\nreturn (${text});`,
    )(environment, cells, new Int32Array(sites));
  }

  /** A handler that is generated when it is first needed. */
  #lazy(operation: number): Handler {
    return (record) => {
      const { instruction, near } = OPERATION_FORMS[operation - FIRST_OPERATION]!;
      const handler = this.#compile(handlerText(instruction, near, this.#options)) as Handler;
      this.#handlers[operation] = handler;
      return handler(record);
    };
  }

  /** Forgets which page of records belongs to which virtual page. */
  forgetPages(): void {
    this.#pages.fill(0);
    this.#largePages.clear();
  }

  /** Forgets what virtual addresses of instructions lead to: all of them, or those in the page of an address. */
  #fetchChanged(low?: number, high?: number): void {
    if (low === undefined || high === undefined || this.#largePages.sizesAt(low, high).length > 0) this.forgetPages();
    else {
      const at = pageEntry(low), pages = this.#pages;
      if (((pages[at]! ^ low) & -4096) === 0) pages[at] = 0;
    }
    for (const space of this.#spaces.values()) space.fetchChanged(low, high);
  }

  /**
   * Finds the record of an address, where execution goes on after the instruction at hand, and makes its page the current one; -1 (with
   * the hart's pc set) if it has none.
   */
  enter(low: number, high: number): number {
    return this.#enter(low, high, 1);
  }

  /** The same where the instruction at hand, if there is one (`uncounted`), has been counted. */
  #enter(low: number, high: number, uncounted: 0 | 1): number {
    const { history } = this, before = this.#state[REMAINING]! + 1 - uncounted;
    const at = pageEntry(low), key = low & -4096 | this.hart.access[FETCH_KEY]!, pages = this.#pages;
    let base: number;
    if (pages[at] === key && pages[at + 1] === high) base = pages[at + 2]!;
    else {
      history.uncounted = uncounted;
      base = this.#isTranslated ? this.#translatedPage(low, high) : this.cache.pageAt(physicalPage(low, high));
      history.uncounted = 0;
      if (base < 0) {
        history.startAt(low, high, before);
        this.hart.setPc(low, high);
        return -1;
      }
      pages[at] = key;
      pages[at + 1] = high;
      pages[at + 2] = base;
      if (this.#hooks !== null) this.#markPage(at);
    }
    const offset = this.#state[PAGE_OFFSET] = (low & -4096) - 2 * base, record = base + ((low & 4095) >>> 1);
    this.#state[PC_HIGH] = high;
    history.visit(offset, high, this.#isTranslated ? 1 : 0, before);
    history.start(record, before);
    return record;
  }

  /** First record of the page that a virtual address leads to; -1 if the fetch is refused or there is no such memory. */
  #translatedPage(low: number, high: number): number {
    const { hart } = this;
    let physical: number;
    try {
      physical = hart.translation.translate(low, high, 2, EXECUTE);
    } catch (e) {
      if (e instanceof Exception) return -1;
      throw e;
    }
    this.#largePages.add(low, high, hart.translation.pageBits);
    const page = physical - physical % 4096;
    return this.cache.pageAt(page, hart.hasPmp && hart.pmp.page(page, hart.privilege) === MIXED);
  }

  /** Physical address of two bytes of an instruction. Raises what refuses the fetch. */
  #physicalHalf(low: number, high: number): number {
    if (this.#isTranslated) return this.hart.translation.translate(low, high, 2, EXECUTE);
    return physicalPage(low, high) + (low & 4095);
  }

  /** Decodes the instruction of a record, which is then executed. */
  #decode(record: number): number {
    this.cache.fill(record);
    // The loop is going to count one instruction.
    this.#state[REMAINING]!++;
    return record;
  }

  /** Goes on in the page that follows the current one; `record` is the current one's end. */
  #nextPage(record: number): number {
    // The loop is going to count one instruction.
    this.#state[REMAINING]!++;
    const low = (this.#state[PAGE_OFFSET]! + 2 * record) | 0, high = this.#state[PC_HIGH]!;
    return this.enter(low, low === 0 ? high + 1 | 0 : high);
  }

  /** An instruction whose second half lies in the next page: decoded each time, since pages are mapped independently. */
  #crossing(record: number): number {
    return this.#execute(record);
  }

  /** Executes the instruction of a record of the current page, after its hooks; gives the next record. */
  #execute(record: number): number {
    const word = this.#fetch(record);
    return this.#hooks === null ? this.#executeWord(record, word) : this.#executeHooked(record, word);
  }

  /** Bits of the instruction of a record of the current page. */
  #fetch(record: number): number {
    const pcLow = (this.#state[PAGE_OFFSET]! + 2 * record) | 0, nextLow = (pcLow + 2) | 0;
    const high = this.#state[PC_HIGH]!, nextHigh = nextLow === 0 ? high + 1 | 0 : high;
    const low = this.hart.memory.read(this.#physicalHalf(pcLow, high), 2);
    if ((low & 3) !== 3) return low;
    const physical = this.#physicalHalf(nextLow, nextHigh);
    const page = this.hart.memory.executable(physical - physical % 4096);
    if (page === null) raise(CAUSE.instructionAccess, nextLow, nextHigh);
    const at = page.offset + (nextLow & 4095);
    return low | page.bytes[at]! << 16 | page.bytes[at + 1]! << 24;
  }

  /** Executes an instruction by its bits, in place of the one decoded in a record; gives the next record. */
  #executeWord(record: number, word: number): number {
    const state = this.#state, { scratch } = this.cache;
    const offset = state[PAGE_OFFSET]!, low = (offset + 2 * record) | 0, high = state[PC_HIGH]!;
    const current = state[RECORD]!;
    this.cache.put(scratch, word, -1);
    // Handlers compute pc from the record and the page's offset: for the scratch record, one that gives this pc.
    state[PAGE_OFFSET] = (low - 2 * scratch) | 0;
    state[RECORD] = scratch;
    let next: number;
    try {
      next = this.#handlers[this.cache.operation(scratch)]!(scratch);
    } catch (e) {
      state[PAGE_OFFSET] = offset;
      state[RECORD] = current;
      throw e;
    }
    const length = this.cache.lengthAt(scratch);
    if (next !== scratch + length) return next;
    const after = (low + 2 * length) | 0;
    return this.enter(after, (after >>> 0) < (low >>> 0) ? high + 1 | 0 : high);
  }

  #breakpoint(record: number): number {
    const low = (this.#state[PAGE_OFFSET]! + 2 * record) | 0;
    if (this.#breakpoints.stopsAt(low, this.#state[PC_HIGH]!, this.cache.physicalOf(record))) {
      if (!this.#passBreakpoint || low !== this.#passLow) throw BREAKPOINT_REACHED;
      this.#passBreakpoint = false;
    }
    const { triggers } = this.hart;
    if (triggers.executes) {
      triggers.check(EXECUTE, low, this.#state[PC_HIGH]!, isCompressed(this.#fetch(record)) ? 2 : 4);
    }
    return this.#execute(record);
  }

  /** A jump to itself: nothing else happens until the slice ends, so that is all of it. */
  #selfJump(record: number): number {
    const { hart } = this, state = this.#state;
    hart.setPc((state[PAGE_OFFSET]! + 2 * record) | 0, state[PC_HIGH]!);
    // A hook sees each turn.
    const isHooked = this.#hooks !== null && record === this.cache.scratch;
    const skips = hart.onSelfJump?.() !== true && !isHooked, remaining = state[REMAINING]!;
    this.history.visit(state[PAGE_OFFSET]!, state[PC_HIGH]!, this.#isTranslated ? 1 : 0, remaining);
    this.history.repeat(record, skips ? remaining : 1);
    if (skips) state[REMAINING] = 1;
    return record;
  }

  // Hooks.

  /** Takes a change of hooks into account, also while the hart runs. */
  hooksChanged(hooks: CodeHooks, change: HookChange): void {
    this.code?.dropConcerned(change);
    this.#hooksChanged(hooks, change);
    if (this.#translated !== null) this.#translated.#hooksChanged(hooks, change);
    this.hart.count.stop();
  }
  /** Decodes the instruction at a physical address anew. */
  forget(physical: number): void {
    for (const executor of [this, this.#translated]) executor?.cache.forget(physical);
  }

  #hooksChanged(hooks: CodeHooks, { isClass }: HookChange): void {
    this.#hooks = this.cache.hooks = hooks.isEmpty ? null : hooks;
    if (isClass) this.cache.redecode();
    for (let at = 0; at < this.#pages.length; at += PAGE_ENTRY) if ((this.#pages[at]! & 1) !== 0) this.#markPage(at);
  }

  /** Gives the instructions of a virtual page that are hooked by address to the hooks, by their physical address. */
  #markPage(at: number): void {
    const hooks = this.#hooks, pages = this.#pages;
    if (hooks === null) return;
    const page = this.cache.physicalOf(pages[at + 2]!);
    for (const offset of hooks.offsetsIn(pages[at]! & -4096, pages[at + 1]!)) {
      hooks.marked.add(page + offset);
      this.cache.forget(page + offset);
    }
  }

  /** Calls the hooks of an instruction and executes it, unless they say where to go on instead. */
  #executeHooked(record: number, word: number): number {
    const { hart } = this, hooks = this.#hooks!, state = this.#state;
    const low = (state[PAGE_OFFSET]! + 2 * record) | 0, high = state[PC_HIGH]!;
    hart.setPc(low, high);
    const result = hooks.run(hart, () => this.decoder.decode(word));
    if (result === HALTED) {
      if (hart.pcLow === low && hart.pcHigh === high) throw HALT;
      hart.count.stop();
    }
    if (hart.pcLow !== low || hart.pcHigh !== high) return this.enter(hart.pcLow, hart.pcHigh);
    const next = this.#executeWord(record, word);
    return next === this.cache.scratch ? this.enter(low, high) : next;
  }

  /** What compiled code with hooks calls. Each gives what the region returns, but for 0. */
  readonly #hookFunctions = {
    /** Calls the hooks of an instruction, with all registers in the register file and the count exact; 0: it goes on. */
    hooked: (site: number, pc: number): number => {
      const { hart } = this, state = this.#state, remaining = state[REMAINING]!, high = state[PC_HIGH]!;
      hart.setPc(pc, high);
      this.history.leaveAt(pc, high, remaining);
      hart.touched = false;
      // Should anything be thrown, nothing is in locals only.
      state[SITE_PC] = pc, state[SITE_DIRTY] = 0;
      state[IN_REGION] = 0;
      const result = this.#hooks!.runSite(hart, site), { pcLow, pcHigh } = hart;
      state[IN_REGION] = 1;
      const isSame = state[REMAINING] === remaining;
      if (pcLow === pc && pcHigh === high) {
        if (result === HALTED) {
          hart.count.end();
          return ELSEWHERE;
        }
        // The region's locals and what it takes for granted are good only if nothing has changed.
        if (isSame && !hart.touched) return 0;
        this.#hooks?.countSite(site);
        return this.#withoutHooks(pc);
      }
      if (result === HALTED) hart.count.stop();
      // It counts as executed.
      state[REMAINING]!--;
      this.history.finished();
      return isSame && pcHigh === high && pcLow !== 0 && (pcLow & 1) === 0 ? pcLow : ELSEWHERE;
    },
    withoutHooks: (pc: number): number => this.#withoutHooks(pc),
  };

  /** Executes an instruction of compiled code, with all registers in the register file, whose hooks have been called. */
  #withoutHooks(pc: number): number {
    this.#state[SITE_PC] = pc, this.#state[SITE_DIRTY] = 0;
    try {
      this.#caught(INTERPRET);
      this.#heats(this.#enter(this.hart.pcLow, this.hart.pcHigh, 0));
    } catch (error) {
      this.#failure = { error };
    }
    return ELSEWHERE;
  }

  /** Lets what follows an instruction after which compiled code is always left be compiled, too. */
  #heats(next: number): void {
    if (next < 0 || this.cache.operation(next) === COMPILED || this.cache.heat(next) !== this.#options.threshold) {
      return;
    }
    this.#compileAt(next, "exit");
  }

  // Compiled code.

  /** The compiled code for addresses with a high half at the present privilege level; null where there can be none. */
  #spaceAt(high: number): CodeSpace | null {
    return this.#isLast(high) ? this.#usable(this.#space!) : this.#space = this.#findSpace(high, this.hart.privilege);
  }

  /** The same if there is some already: much code is never hot. */
  #knownSpace(high: number): CodeSpace | null {
    if (this.#isLast(high)) return this.#usable(this.#space!);
    return this.#spaces.has(this.#spaceKey(high)) ? this.#spaceAt(high) : null;
  }

  /** Whether the space that was used last is that of an address at the present privilege level. */
  #isLast(high: number): boolean {
    const space = this.#space;
    return space !== null && space.high === high && (!this.#isTranslated || space.privilege === this.hart.privilege);
  }

  /** A space, if data is accessed at the privilege level that its code is made for. */
  #usable(space: CodeSpace): CodeSpace | null {
    return !this.#isTranslated || this.hart.access[0] === tlbBase(space.privilege) ? space : null;
  }

  /** Key of the space of an address at the present privilege level. */
  #spaceKey(high: number): number {
    return (high >>> 0) * 4 + (this.#isTranslated ? this.hart.privilege : 0);
  }

  #findSpace(high: number, privilege: number): CodeSpace | null {
    if (this.code === null) return null;
    const translated = this.#isTranslated;
    // Compiled code is made for data of the same privilege level.
    if (translated ? this.hart.access[0] !== tlbBase(privilege) : high !== 0) return null;
    const key = this.#spaceKey(high);
    let space = this.#spaces.get(key);
    if (space === undefined) {
      if (this.#spaces.size >= MOST_SPACES) {
        this.#dropSpaces();
      }
      this.#spaces.set(key, space = this.#makeSpace(high, privilege));
    }
    return space;
  }

  #dropSpaces(): void {
    this.code!.flush();
    for (const { cache } of this.#spaces.values()) {
      this.code!.caches.delete(cache);
      for (const translator of cache.translators) {
        if (translator instanceof WasmTranslator) this.#wasmTables.push(translator.tables);
      }
    }
    this.#spaces.clear();
  }

  #makeSpace(high: number, privilege: number): CodeSpace {
    const { hart, cache: { breakpoints } } = this, { buffers } = hart.translation;
    const memory = this.#isTranslated ? "translated" : "bare", { ram } = hart.memory;
    const space = new CodeSpace(hart, privilege, high, {
      index: this.code!,
      decoder: this.decoder,
      memory: hart.memory,
      count: hart.count,
      access: memory,
      breakpoints,
      hooks: () => this.#hooks,
      wasExecuted: (physical) => this.cache.wasExecuted(physical),
    });
    const { cache } = space, { xlen, compressed } = this.decoder;
    const loads = TranslationBuffers.part(buffers.loads, privilege);
    const stores = TranslationBuffers.part(buffers.stores, privilege);
    const history = this.history.isKept;
    const options = { xlen, compressed, ramBase: ram.base, ramSize: ram.size, memory, history } as const;
    const { positions } = this.code!;
    const cell = (pc: number) => cache.cell(pc);
    const parts = {
      ...this.#environment,
      CELLS: cache.table,
      lookUp: (pc: number) => cache.lookUp(pc),
      LOADS: loads,
      STORES: stores,
    };
    const functions = this.#isTranslated ? this.#compile(accessFunctions(), [], [], parts) as object : {};
    const environment = { ...parts, ...functions };
    const make = ({ text, sites, hooked }: RegionText, cells: readonly Cell[]) =>
      this.#compile(
        text,
        cells,
        sites,
        hooked ? { ...environment, ...this.#hookFunctions, COUNTS: this.#hooks!.counts } : environment,
      ) as (depth: number) => number;
    const javaScript = new JavaScriptTranslator({ options, positions, count: hart.count, x: hart.x, cell, make });
    const wasm = this.code!.options.target === "javascript"
      ? null
      : this.#wasmTranslator(options, cache, loads, stores, space);
    cache.translators = wasm === null ? [javaScript] : [wasm, javaScript];
    cache.dispatch = wasm?.dispatch;
    cache.onChange = (physical, compiled) => this.#codeChanged(physical, compiled);
    return space;
  }

  /** A translator to WebAssembly; null where not all that it needs lies in the memory that WebAssembly sees. */
  #wasmTranslator(
    options: WasmParts["options"] extends infer O ? Omit<O, "layout" | "counts" | "isAlone"> : never,
    cache: CodeCache,
    loads: Int32Array,
    stores: Int32Array,
    { high, privilege }: CodeSpace,
  ): WasmTranslator | null {
    const { hart } = this, { ram } = hart.memory, state = ram.offsetOf(this.#state);
    const tables = this.#wasmTables.pop() ?? makeWasmTables(ram), { ready, lookUp } = tables;
    const { words } = this.cache, { figures } = this.code!;
    const places = [
      ...[hart.x, hart.f, hart.csrs, loads, stores, ready, lookUp, ram.lines, ram.u8],
      ...[hart.access, words, this.#pages, figures],
    ].map((array) => ram.offsetOf(array));
    const [x, f, csrs, loadsAt, storesAt, readyAt, lookUpAt, lines, ramAt, access, records, pageTable, figuresAt] =
      places as [
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
      ];
    const history = this.history.isKept ? ram.offsetOf(this.history.words) : undefined;
    if (ram.memory === null || state === undefined || places.includes(undefined) || this.#loop === null) return null;
    const layout = {
      x,
      f,
      csrs,
      remaining: state + 4 * REMAINING,
      result: state + 4 * RESULT,
      loads: loadsAt,
      stores: storesAt,
      lines,
      ram: ramAt,
      ready: readyAt,
      position: state + 4 * POSITION,
      history,
      lookUp: lookUpAt,
      pages: ram.pages,
    };
    const { threshold, regionInstructions } = this.code!.options;
    return new WasmTranslator({
      dispatcher: {
        threshold,
        regionInstructions,
        callDepth: this.#callDepth,
        high,
        // Compiled code is made for a privilege level, and for data of the same.
        access: new Map(this.#isTranslated ? [[0, tlbBase(privilege)], [FETCH_KEY, fetchKey(privilege)]] : []),
        layout: { state, access, records, pageTable, figures: figuresAt, history },
        cache: this.#isTranslated ? 1 : 0,
      },
      interpret: this.#loop,
      options: {
        ...options,
        layout,
        isAlone: hart.others.length === 0,
        counts: () => ram.offsetOf(this.#hooks!.counts),
      },
      positions: this.code!.positions,
      memory: ram.memory,
      tables,
      resolve: (name) => {
        if (name === "called") return (depth, pc) => cache.find(pc!).run(depth!);
        return (this.#hookFunctions as Record<string, (...args: number[]) => number>)[name] ??
          this.#wasmImports.resolve(name);
      },
      cell: (pc) => cache.cell(pc),
      isApart: (pc) => cache.isApart(pc),
    });
  }

  /** Makes the interpreter look for compiled code at a physical address, or for none. */
  #codeChanged(physical: number, isCompiled: boolean): void {
    const record = this.cache.compiledChanged(physical, isCompiled);
    // What was dropped has to become hot again.
    if (record >= 0) this.cache.cool(record);
  }

  /** Compiles what a record leads to, which was reached often, or lets it be reached as often again. */
  #compileAt(record: number, reason: CompileReason): void {
    const state = this.#state,
      code = this.#spaceAt(state[PC_HIGH]!)?.cache,
      pc = (state[PAGE_OFFSET]! + 2 * record) | 0;
    if (code === undefined) return;
    if (code.isHot(pc)) code.compile(pc, reason);
    else this.cache.cool(record);
  }

  /** Runs the region that a record leads to, and those that follow it; gives the record where interpretation goes on. */
  #runCompiled(record: number): number {
    const state = this.#state, code = this.#spaceAt(state[PC_HIGH]!)?.cache;
    let pc = (state[PAGE_OFFSET]! + 2 * record) | 0;
    if (code === undefined) return this.#execute(record);
    const cell = code.find(pc);
    if (state[REMAINING]! < cell.need) {
      // What is compiled here is for other virtual addresses, or another privilege level.
      if (cell.region === null) code.missed(cell, "hot");
      return this.#execute(record);
    }
    const { statistics } = this.code!, { exits } = statistics, { count } = this.hart, start = count.instructions();
    const { history } = this;
    statistics.entries++;
    history.enterCompiled();
    for (let next = cell;;) {
      const before = state[REMAINING]!;
      state[IN_REGION] = 1;
      pc = next.run(this.#callDepth);
      state[IN_REGION] = 0;
      if (pc === ELSEWHERE || state[LEFT] !== 0) break;
      if (pc === next.pc && state[REMAINING] === before) {
        exits.refused++;
        statistics.executed += count.instructions() - start;
        // It did nothing: an assumption was wrong, or its first instruction is one for the interpreter.
        code.refused(next);
        history.leaveCompiled();
        return this.#execute(state[RECORD] = this.#enter(pc, state[PC_HIGH]!, 0));
      }
      next = code.find(pc);
      if (state[REMAINING]! < next.need) {
        if (state[REMAINING]! < this.code!.options.regionInstructions) exits.slice++;
        else exits.notCompiled++;
        break;
      }
      statistics.links++;
    }
    statistics.executed += count.instructions() - start;
    const after = this.#ended(pc);
    // The interpreter's loop is going to count one instruction for this record.
    state[REMAINING]!++;
    return after;
  }

  /** Takes a negative number of the loop or the dispatcher; gives the record where interpretation goes on, or -1. */
  #dispatched(given: number): number {
    const state = this.#state, reason = state[REASON]!;
    state[REASON] = 0;
    switch (reason) {
      case DISPATCH.ended:
        return this.#ended(state[RESULT]!);
      case DISPATCH.page:
        this.history.leaveCompiled();
        return this.#enter(state[RESULT]!, state[PC_HIGH]!, 0);
      case DISPATCH.left:
        this.#compileAt(~given, "exit");
        return ~given;
      default:
        this.#compileAt(~given, "hot");
        return ~given;
    }
  }

  /** Goes on after compiled code, which ended before `pc` or where the hart's pc says; gives the record to go on with, or -1. */
  #ended(pc: number): number {
    const state = this.#state, { exits } = this.code!.statistics, failure = this.#failure, left = state[LEFT] !== 0;
    this.history.leaveCompiled();
    this.#failure = null;
    state[LEFT] = 0;
    let record = -1;
    if (pc !== ELSEWHERE || failure !== null) {
      record = pc === ELSEWHERE
        ? this.#enter(this.hart.pcLow, this.hart.pcHigh, 0)
        : this.#enter(pc, state[PC_HIGH]!, 0);
      if (record >= 0) state[RECORD] = record;
    }
    if (pc === ELSEWHERE && exits.trap === this.#traps) exits.attention++;
    this.#traps = exits.trap;
    if (pc !== ELSEWHERE && left) exits.missed++;
    if (failure !== null) throw failure.error;
    if (left && record >= 0) {
      // Not by the record, which may be that of a region that would leave again.
      record = this.#executeWord(record, this.#fetch(record));
      state[REMAINING]!--;
    }
    this.#heats(record);
    return record;
  }

  /** A load in compiled code that is not plainly in RAM. */
  #slowLoad = (code: number, low: number, high: number, pc: number, dirty: number, remaining: number): number => {
    const state = this.#state;
    state[SITE_PC] = pc, state[SITE_DIRTY] = dirty, state[REMAINING] = remaining;
    const value = this.#unit.load(code & ~SHORT_INSTRUCTION, low, high);
    if (state[REMAINING] !== remaining) {
      // The executor must look at something after this instruction, whose register is not written yet.
      this.#unit.keep(value);
      throw LEAVE;
    }
    return value;
  };

  /** A load in compiled code, by the look-aside buffers, that they had no entry for. */
  #missedLoad = (code: number, base: number, baseHigh: number, immediate: number, site: number): number => {
    const low = base + immediate | 0;
    if (!this.#unit.loadPlain(code, low, this.hart.xlen === 32 ? 0 : library.sumHigh(base, baseHigh, immediate))) {
      this.#miss(site);
    }
    return this.#unit.value;
  };

  /** The same for a store. */
  #missedStore = (
    code: number,
    base: number,
    baseHigh: number,
    immediate: number,
    site: number,
    value: number,
    valueHigh: number,
  ): void => {
    const low = base + immediate | 0, high = this.hart.xlen === 32 ? 0 : library.sumHigh(base, baseHigh, immediate);
    if (!this.#unit.storePlain(code, low, high, value, valueHigh)) this.#miss(site);
  };

  /** Leaves compiled code before an instruction, which the interpreter executes. */
  #miss(site: number): never {
    this.#state[SITE] = site;
    this.#state[LEFT] = 1;
    throw MISSED;
  }

  /** A store in compiled code that is not plainly in RAM, or that somebody must notice. Leaves only after a whole instruction. */
  #slowStore = (
    code: number,
    low: number,
    high: number,
    value: number,
    valueHigh: number,
    pc: number,
    dirty: number,
    remaining: number,
  ): void => {
    const state = this.#state;
    state[SITE_PC] = pc, state[SITE_DIRTY] = dirty, state[REMAINING] = remaining;
    this.#unit.store(code & ~SHORT_INSTRUCTION, low, high, value, valueHigh);
    if (state[REMAINING] === remaining || (code & AMO) !== 0) return;
    this.hart.setPc((pc + ((code & SHORT_INSTRUCTION) !== 0 ? 2 : 4)) | 0, state[PC_HIGH]!);
    state[REMAINING]!--;
    throw LEAVE;
  };

  /** Deals with what ended compiled code, whose registers have been written back. */
  #caught(e: unknown): number {
    const { hart, history } = this, state = this.#state;
    // Callers of the region at hand have nothing in locals.
    state[SITE_DIRTY] = 0;
    state[IN_REGION] = 0;
    const isDone = e === LEAVE && !this.#unit.keeps;
    history.leaveAt(state[SITE_PC]!, state[PC_HIGH]!, state[REMAINING]! + (isDone ? 1 : 0));
    if (isDone) {
      history.finished();
      return ELSEWHERE;
    }
    if (e === LEAVE || e === INTERPRET) {
      try {
        this.#finish();
        return ELSEWHERE;
      } catch (inner) {
        e = inner;
      }
    }
    hart.setPc(state[SITE_PC]!, state[PC_HIGH]!);
    if (!(e instanceof Exception)) throw e;
    if (e.cause === CAUSE.illegalInstruction) this.#illegalValue(e);
    hart.exception(e, hart.pcLow, hart.pcHigh);
    state[REMAINING]!--;
    history.finished();
    this.code!.statistics.exits.trap++;
    return ELSEWHERE;
  }

  /** Executes an instruction of compiled code, or the rest of a load whose access has been made. */
  #finish(): void {
    const state = this.#state, record = state[RECORD] = this.#enter(state[SITE_PC]!, state[PC_HIGH]!, 0);
    const next = this.#executeWord(record, this.#fetch(record));
    if (next >= 0) this.#leaveAt(next);
    state[REMAINING]!--;
  }

  /** The region whose entry is an address, or the one that would be compiled for it now; null if there can be none. */
  explain(low: number, high: number): Compilation | null {
    const known = this.code?.compilations().find(({ region }) => region.entry.pc === low && region.high === high);
    if (known !== undefined) return known;
    const executor = this.hart.bare ? this : this.#forTranslated();
    return executor.#spaceAt(high)?.cache.proposal(low) ?? null;
  }

  /** Decodes anew what lies in `length` bytes from a physical address outside of RAM; nothing of it is compiled. */
  reread(physical: number, length: number): void {
    this.cache.reread(physical, length);
    this.#translated?.cache.reread(physical, length);
  }

  /** Forgets decoded and compiled code of `length` bytes from `offset` in RAM. `invalidateCode` does it for all harts. */
  invalidate(offset: number, length: number): void {
    this.cache.invalidate(offset, length);
    this.#translated?.cache.invalidate(offset, length);
    this.code?.invalidate(offset, length);
  }

  /**
   * Executes until the slice ends or the hart waits. True if it stopped before a breakpoint; with `pass` the one at the
   * present pc does not count.
   */
  run(pass = false): boolean {
    const { history, hart: { count } } = this;
    history.resume();
    count.history = history;
    try {
      return this.#run(pass);
    } finally {
      count.history = null;
      history.suspend();
    }
  }

  #run(pass: boolean): boolean {
    const { hart } = this, state = this.#state;
    this.#pass(pass, hart.pcLow);
    while (state[REMAINING]! > 0) {
      if (hart.waiting || hart.pending() !== 0) {
        hart.takeInterrupt();
        if (hart.waiting) return false;
      }
      if (hart.triggers.changed) this.#triggersChanged();
      const executor = hart.bare ? this : this.#forTranslated();
      if (executor.#stretch()) return true;
    }
    return false;
  }

  #triggersChanged(): void {
    this.hart.triggers.changed = false;
    this.flush();
  }

  #pass(pass: boolean, low: number): void {
    this.#passBreakpoint = pass;
    this.#passLow = low;
    if (this.#translated !== null) this.#translated.#pass(pass, low);
  }

  #forTranslated(): Executor {
    if (this.#translated !== null) return this.#translated;
    const executor = this.#translated = new Executor(this.hart, this.code?.options ?? null, this);
    executor.#pass(this.#passBreakpoint, this.#passLow);
    executor.#hooks = executor.cache.hooks = this.#hooks;
    return executor;
  }

  /** Executes until something is to be looked at. True if it stopped before a breakpoint. */
  #stretch(): boolean {
    const { hart } = this, state = this.#state;
    let record = this.#enter(hart.pcLow, hart.pcHigh, 0);
    try {
      if (record < 0) {
        // A breakpoint needs no instruction behind it.
        const passes = this.#passBreakpoint && hart.pcLow === this.#passLow;
        if (!passes && this.#breakpoints.stopsAt(hart.pcLow, hart.pcHigh, -1)) return true;
        // So does a trigger, whose exception comes before that of the fetch.
        if (hart.triggers.executes) hart.triggers.check(EXECUTE, hart.pcLow, hart.pcHigh, 0);
        this.#refuseFetch();
      }
      record = this.#interpret(record);
      if (record >= 0) this.#leaveAt(record);
    } catch (e) {
      if (record >= 0) this.#leaveAt(state[RECORD]!);
      if (e === BREAKPOINT_REACHED) return true;
      if (e === HALT) {
        hart.count.end();
        return false;
      }
      if (!(e instanceof Exception)) throw e;
      if (e.cause === CAUSE.illegalInstruction) this.#illegalValue(e);
      hart.exception(e, hart.pcLow, hart.pcHigh);
      state[REMAINING]!--;
    }
    return false;
  }

  /** Raises the exception of the fetch for which `enter` found no record. */
  #refuseFetch(): never {
    const { pcLow, pcHigh } = this.hart;
    this.#physicalHalf(pcLow, pcHigh);
    return raise(CAUSE.instructionAccess, pcLow, pcHigh);
  }

  /** Sets all breakpoints: `run` stops before their instructions. */
  setBreakpoints(addresses: readonly BreakpointAddress[]): void {
    this.#breakpoints.replace(addresses, this.hart.xlen);
    this.flush();
  }

  /** Forgets all decoded and compiled code. */
  flush(): void {
    this.code?.flush();
    this.cache.flush();
    this.#translated?.flush();
  }

  #leaveAt(record: number): void {
    const low = (this.#state[PAGE_OFFSET]! + 2 * record) | 0, high = this.#state[PC_HIGH]!;
    // The end of a page may be a multiple of 4 GiB.
    this.hart.setPc(low, low === 0 && this.cache.operation(record) === PAGE_END ? high + 1 | 0 : high);
  }

  /** mtval of an illegal instruction: its bits. */
  #illegalValue(e: Exception): void {
    const { memory, pcLow, pcHigh } = this.hart, nextLow = (pcLow + 2) | 0;
    const low = memory.read(this.#physicalHalf(pcLow, pcHigh), 2);
    e.valueLow = low;
    if ((low & 3) === 3) {
      const next = this.#physicalHalf(nextLow, nextLow === 0 ? pcHigh + 1 | 0 : pcHigh);
      e.valueLow |= memory.read(next, 2) << 16;
    }
    e.valueHigh = 0;
  }
}
