// Symbols and debug information of all files that a machine was given.

import { attempt } from "../debug/dwarf/dwarf.ts";
import { positionAt, type SourcePosition } from "../debug/dwarf/scopes.ts";
import { Types } from "../debug/dwarf/types.ts";
import type { SymbolFile } from "./symbol_file.ts";
import type { Symbols } from "./symbols.ts";

/** Where an address belongs: a file and the address in it. */
export interface LinkedAddress {
  readonly file: SymbolFile;
  /** The address as the file was linked. */
  readonly link: bigint;
}

/** Symbols and debug information of all files. */
export class DebugInfo {
  readonly symbols: Symbols;
  readonly #files: SymbolFile[] = [];
  readonly #types = new Map<SymbolFile, Types>();

  /** @param symbols Gets the symbols of files that are added. */
  constructor(symbols: Symbols) {
    this.symbols = symbols;
  }

  /** Adds a file. What was added first is asked first. */
  add(file: SymbolFile): void {
    this.#files.push(file);
    this.symbols.addFile(file);
  }

  get files(): readonly SymbolFile[] {
    return this.#files;
  }

  /** The file whose code or data an address of the guest is in. */
  at(address: bigint): LinkedAddress | undefined {
    for (const file of this.#files) {
      const link = file.toLink(address);
      if (file.holds(link)) return { file, link };
    }
    return undefined;
  }

  /** The source line of an address of the guest. */
  source(address: bigint): SourcePosition | undefined {
    for (const file of this.#files) {
      const link = file.toLink(address), dwarf = file.holds(link) ? file.dwarf : undefined;
      const position = dwarf && attempt(() => positionAt(dwarf, link));
      if (position !== undefined) return position;
    }
    return undefined;
  }

  /** The types of a file; undefined if it has no debug information. */
  types(file: SymbolFile): Types | undefined {
    let types = this.#types.get(file);
    if (types === undefined && file.dwarf !== undefined) {
      this.#types.set(file, types = new Types(file.dwarf, file.xlen === 32 ? 4 : 8));
    }
    return types;
  }
}
