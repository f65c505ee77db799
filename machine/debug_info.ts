// Symbols and debug information of all files that a machine was given.

import { attempt } from "../debug/dwarf/dwarf.ts";
import { lineStarts, positionAt, type SourcePosition } from "../debug/dwarf/scopes.ts";
import { Types } from "../debug/dwarf/types.ts";
import { AddressError } from "./errors.ts";
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

  /**
   * Where code of a source line begins; several addresses where it was inlined or taken apart.
   *
   * @param name The file's path, or the last parts of it.
   * @throws {AddressError} Where there is none.
   */
  lineAddresses(name: string, line: number): bigint[] {
    const found: bigint[] = [];
    let known = false, next: number | undefined;
    for (const file of this.#files) {
      const { dwarf } = file, starts = dwarf && attempt(() => lineStarts(dwarf, name, line));
      if (starts === undefined) continue;
      found.push(...starts.addresses.filter((address) => file.holds(address)).map((address) => file.toRun(address)));
      known ||= starts.fileKnown;
      next = Math.min(next ?? Infinity, starts.nextLine ?? Infinity);
    }
    if (found.length > 0) return [...new Set(found)];
    if (!known) throw new AddressError(`no source file ${name} in the debug information`);
    const after = next === undefined || next === Infinity ? "" : `; the next line that has is ${next}`;
    throw new AddressError(`no code for ${name}:${line}${after}`);
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
