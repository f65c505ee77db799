// Regions to WebAssembly modules, with the table through which they call each other.

import type { Ram } from "../hart/memory.ts";
import type { Cell } from "./code_cache.ts";
import type { Positions } from "./positions.ts";
import type { Region, RegionInstruction } from "./region.ts";
import type { Translated, Translator } from "./translator.ts";
import { dispatcher, type DispatcherOptions } from "./wasm_dispatcher.ts";
import { hasCounters, LOOK_UP_ENTRIES, WasmEmitter, type WasmEmitterOptions } from "./wasm_emitter.ts";
import { multiplyAddModule } from "./wasm_multiply_add.ts";
import { slowAccess } from "./wasm_slow_access.ts";

/** Most cells that a translator can number. */
const MOST_CELLS = 16384;
/** So many cells may be named by one region, at the most. */
const SPARE_CELLS = 512;

/** Arrays in the memory that WebAssembly sees. */
export interface WasmTables {
  /** A byte for each cell: whether its region may be called. At `layout.ready`. */
  readonly ready: Uint8Array;
  /** Pairs of address and cell number. At `layout.lookUp`. */
  readonly lookUp: Int32Array;
}

/** Makes them beside RAM. */
export function makeWasmTables(ram: Ram): WasmTables {
  const ready = ram.words(MOST_CELLS / 4);
  return {
    ready: new Uint8Array(ready.buffer, ready.byteOffset, MOST_CELLS),
    lookUp: ram.words(2 * LOOK_UP_ENTRIES),
  };
}

/** What it needs of the executor. */
export interface WasmParts {
  readonly options: Omit<WasmEmitterOptions, "cell" | "position" | "comment" | "isApart">;
  readonly dispatcher: Omit<DispatcherOptions, "layout"> & {
    readonly layout: Omit<DispatcherOptions["layout"], "ready" | "lookUp" | "pages">;
  };
  /** The interpreter's loop. */
  readonly interpret: (record: number) => number;
  /** Numbers of places in regions. */
  readonly positions: Positions;
  readonly memory: WebAssembly.Memory;
  readonly tables: WasmTables;
  /** A function that modules import, by name. */
  readonly resolve: (name: string) => (...args: number[]) => number | void;
  /** The cell of an address. */
  readonly cell: (pc: number) => Cell;
  /** Whether accesses from an instruction on share no check. */
  readonly isApart: (pc: number) => boolean;
}

/** Code of this translator also has the function that calls go to. */
interface WasmTranslated extends Translated {
  readonly translator: WasmTranslator;
}

/** Makes WebAssembly. */
export class WasmTranslator implements Translator {
  readonly #parts: WasmParts;
  readonly #table = new WebAssembly.Table({ element: "anyfunc", initial: MOST_CELLS });
  readonly #environment: WebAssembly.ModuleImports;
  /** What stands in the table. */
  readonly #entries: (Translated | undefined)[] = [];
  #cells = 0;

  constructor(parts: WasmParts) {
    this.#parts = parts;
    this.#environment = { memory: parts.memory, table: this.#table };
    this.#forget();
    const layout = { ...parts.options.layout, ...parts.dispatcher.layout }, { interpret } = parts;
    this.dispatch = this.#instance(dispatcher({ ...parts.dispatcher, layout }), { interpret });
    const { pages } = layout;
    for (const name of ["plainOffset", "plainRange"]) this.#environment[name] = parts.resolve(name);
    this.#environment["slowAccess"] = this.#instance(slowAccess(parts.options, pages, false));
    this.#environment["slowRange"] = this.#instance(slowAccess(parts.options, pages, true));
  }

  /** The function of a module. `more`: what else it imports. */
  #instance(module: Uint8Array<ArrayBuffer>, more?: WebAssembly.ModuleImports): (parameter: number) => number {
    const env = more === undefined ? this.#environment : { ...this.#environment, ...more };
    return new WebAssembly.Instance(new WebAssembly.Module(module), { env }).exports["run"] as (n: number) => number;
  }

  /** Interprets from a record on, and runs regions where there are any: see `dispatcher`. */
  readonly dispatch: (record: number) => number;

  get tables(): WasmTables {
    return this.#parts.tables;
  }

  #forget(): void {
    this.#parts.tables.ready.fill(0, 0, this.#cells);
    // No instruction is at an odd address.
    for (let k = 0; k < LOOK_UP_ENTRIES; k++) this.#parts.tables.lookUp[2 * k] = 1;
    this.#cells = 0;
  }

  /** Number of a cell. */
  #number(cell: Cell): number {
    if (cell.number < 0) {
      cell.number = this.#cells++;
      this.ready(cell);
    }
    return cell.number;
  }

  translate(region: Region): Translated | null {
    if (hasCounters(region) && this.#parts.options.counts() === undefined) return null;
    const { options, cell, positions, isApart } = this.#parts, position = positions.add(region);
    const all = { ...options, isApart, cell: (pc: number) => this.#number(cell(pc)), position };
    const { module, imports } = new WasmEmitter(region, all).build(), env = this.#environment;
    const { pages } = options.layout;
    for (const name of imports) {
      env[name] ??= name === "multiplyAdd" ? this.#instance(multiplyAddModule(pages)) : this.#parts.resolve(name);
    }
    let run: (depth: number) => number;
    try {
      run = this.#instance(module);
    } catch (e) {
      // There is no room for more of them, until those that were dropped are collected.
      if (e instanceof RangeError) return null;
      throw e;
    }
    const code: WasmTranslated = {
      run,
      need: region.entry.stretch,
      length: module.length,
      assumptions: new Map(),
      translator: this,
      wrong: () => 0,
      text: (comment = (i: RegionInstruction) => (i.pc >>> 0).toString(16)) =>
        new WasmEmitter(region, { ...all, position: 1, comment }).build().text,
    };
    return code;
  }

  ready(cell: Cell): void {
    if (cell.number < 0) return;
    const code = cell.region?.code;
    const isOwn = code !== undefined && (code as Partial<WasmTranslated>).translator === this;
    this.#parts.tables.ready[cell.number] = isOwn ? 1 : 0;
    const entry = this.#entries[cell.number];
    if (isOwn && entry !== code) {
      this.#entries[cell.number] = code;
      this.#table.set(cell.number, code.run);
    } else if (entry !== undefined && cell.compiled.length === 0) {
      this.#entries[cell.number] = undefined;
      this.#table.set(cell.number, null);
    }
  }

  found(cell: Cell): void {
    if (this.isFull()) return;
    const { lookUp } = this.#parts.tables, at = 2 * (cell.pc >>> 1 & LOOK_UP_ENTRIES - 1);
    lookUp[at] = cell.pc;
    lookUp[at + 1] = this.#number(cell);
  }

  isFull(): boolean {
    return this.#cells > MOST_CELLS - SPARE_CELLS;
  }

  clear(): void {
    this.#forget();
  }
}
