// ELF section headers and symbol tables. Nothing here is needed to load a file, so damage never throws: it is told in a
// warning and the list stays empty.
import type { ByteSource } from "./byte_source.ts";

/** A section of an ELF file. */
export interface ElfSection {
  /** Index in the section header table, as `ElfSymbol.section` gives it. */
  readonly index: number;
  /** Name, e.g. `.debug_line`; empty if the name table is damaged. */
  readonly name: string;
  /** `sh_type`: 1 PROGBITS, 2 SYMTAB, 3 STRTAB, 8 NOBITS, 11 DYNSYM … */
  readonly type: number;
  /** `sh_flags`: bit 0 write, bit 1 alloc, bit 2 execute … */
  readonly flags: bigint;
  /** Virtual address, unsigned; 0 if not in memory. */
  readonly address: bigint;
  /** Size in bytes, also of a section that occupies no bytes of the file. */
  readonly size: bigint;
  /** Where its bytes are in the file. */
  readonly offset: number;
  /** The bytes in the file; empty for NOBITS. Read when asked for. */
  readonly bytes: Uint8Array;
}

/**
 * What a symbol names (`st_info` bits 3:0).
 *
 * @example
 * ```ts
 * import { Machine, type SymbolType } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const wanted: SymbolType = "function";
 * const match = machine.symbols.at(machine.symbols.lookup("trap")!);
 * console.log(match?.symbol.type === wanted);
 * ```
 */
export type SymbolType = "notype" | "object" | "function" | "section" | "file" | "common" | "tls" | "ifunc" | "other";

/**
 * Who sees a symbol (`st_info` bits 7:4).
 *
 * @example
 * ```ts
 * import { Machine, type SymbolBinding } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const binding: SymbolBinding | undefined = machine.symbols.at(machine.symbols.lookup("trap")!)?.symbol.binding;
 * console.log(binding);
 * ```
 */
export type SymbolBinding = "local" | "global" | "weak" | "other";

/**
 * A symbol of an ELF file (System V gABI, chapter 4, "Symbol Table").
 *
 * @example
 * ```ts
 * import { Machine, type ElfSymbol } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * // A name for an address that the file has none for.
 * const symbol: ElfSymbol = { name: "finisher", value: 0x10_0000n, size: 4n, type: "object", binding: "global", section: 1 };
 * machine.symbols.add([symbol]);
 * console.log(machine.symbols.format(0x10_0000n));
 * ```
 */
export interface ElfSymbol {
  /** Name as in the string table, not demangled. */
  readonly name: string;
  /** Value, unsigned: a virtual address, except for absolute, common and TLS symbols. */
  readonly value: bigint;
  /** Size in bytes; 0 if unknown. */
  readonly size: bigint;
  /** What it names. */
  readonly type: SymbolType;
  /** Who sees it. */
  readonly binding: SymbolBinding;
  /** `st_shndx`: index of its section; 0 undefined, 0xfff1 absolute, 0xfff2 common, 0xffff more than 65,279 sections. */
  readonly section: number;
  /** First address after its section, where that is known: what an unsized symbol cannot reach beyond. */
  readonly sectionEnd?: bigint;
}

/** Where the section headers are, from the ELF header. */
export interface SectionTable {
  /** File name for warnings. */
  readonly name: string;
  /** Width of addresses in bits. */
  readonly xlen: 32 | 64;
  /** `e_shoff`, a file offset. */
  readonly table: bigint;
  /** `e_shentsize` in bytes. */
  readonly entrySize: number;
  /** `e_shnum`. */
  readonly count: number;
  /** `e_shstrndx`. */
  readonly names: number;
}

const typeSymtab = 2;
const typeNobits = 8;
const typeDynsym = 11;
/** `e_shstrndx` when the real index is in `sh_link` of section header 0. */
const extendedNames = 0xffff;
/** Section indices from here on are not sections. */
const firstReservedSection = 0xff00;

const symbolTypes: readonly SymbolType[] = [
  "notype",
  "object",
  "function",
  "section",
  "file",
  "common",
  "tls",
  "other",
  "other",
  "other",
  "ifunc",
];
const symbolBindings: readonly SymbolBinding[] = ["local", "global", "weak"];

/** Damage in a part that loading can do without. */
class Damage extends Error {}

/** A section header as it stands in the file. */
interface RawSection {
  readonly nameOffset: number;
  readonly type: number;
  readonly flags: bigint;
  readonly address: bigint;
  readonly offset: bigint;
  readonly size: bigint;
  readonly link: number;
  readonly entrySize: bigint;
}

/** Reads strings that end in NUL. Refuses to read many times the file, which only overlapping nonsense asks for. */
class StringTable {
  readonly #bytes: Uint8Array;
  readonly #decoder = new TextDecoder();
  #budget: number;

  constructor(bytes: Uint8Array, fileSize: number) {
    this.#bytes = bytes;
    this.#budget = 64 * fileSize;
  }

  at(offset: number): string {
    if (offset >= this.#bytes.length) {
      if (offset === 0) return "";
      throw new Damage(`name at ${offset} lies outside of the string table of ${this.#bytes.length} bytes`);
    }
    const end = this.#bytes.indexOf(0, offset);
    if (end < 0) throw new Damage(`name at ${offset} of the string table has no end`);
    this.#budget -= end - offset;
    if (this.#budget < 0) throw new Damage("names overlap beyond reason");
    return this.#decoder.decode(this.#bytes.subarray(offset, end));
  }
}

function inFile(source: ByteSource, raw: RawSection): boolean {
  return raw.type === typeNobits || raw.size === 0n || raw.offset + raw.size <= BigInt(source.size);
}

function contents(source: ByteSource, raw: RawSection): Uint8Array | undefined {
  if (raw.type === typeNobits || raw.size === 0n) return new Uint8Array();
  return inFile(source, raw) ? source.read(Number(raw.offset), Number(raw.size)) : undefined;
}

function readTable(source: ByteSource, where: SectionTable): { raw: RawSection[]; names: number } {
  const { xlen, table } = where;
  if (table === 0n) return { raw: [], names: 0 };
  const size = xlen === 32 ? 40 : 64;
  if (where.entrySize !== size) throw new Damage(`e_shentsize is ${where.entrySize}, it must be ${size} in ELF${xlen}`);
  const fileEnd = BigInt(source.size);
  if (table + BigInt(size) > fileEnd) {
    throw new Damage(`section header 0 at 0x${table.toString(16)} lies outside of the file`);
  }
  const viewOf = (headers: number) => {
    const bytes = source.read(Number(table), headers * size);
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
  const read = (view: DataView, index: number): RawSection => {
    const at = index * size;
    const word = (narrow: number, wide: number): bigint =>
      xlen === 32 ? BigInt(view.getUint32(at + narrow, true)) : view.getBigUint64(at + wide, true);
    return {
      nameOffset: view.getUint32(at, true),
      type: view.getUint32(at + 4, true),
      flags: word(8, 8),
      address: word(12, 16),
      offset: word(16, 24),
      size: word(20, 32),
      link: view.getUint32(at + (xlen === 32 ? 24 : 40), true),
      entrySize: word(36, 56),
    };
  };
  const first = read(viewOf(1), 0);
  const count = where.count === 0 ? first.size : BigInt(where.count);
  if (table + count * BigInt(size) > fileEnd) {
    throw new Damage(`${count} section headers at 0x${table.toString(16)} do not fit into the file`);
  }
  const view = viewOf(Number(count));
  const raw = Array.from({ length: Number(count) }, (_, index) => read(view, index));
  return { raw, names: where.names === extendedNames ? first.link : where.names };
}

function readSymbols(source: ByteSource, raw: readonly RawSection[], xlen: 32 | 64): ElfSymbol[] {
  const section = raw.find((each) => each.type === typeSymtab) ?? raw.find((each) => each.type === typeDynsym);
  if (section === undefined) return [];
  const entrySize = xlen === 32 ? 16 : 24;
  if (section.entrySize !== BigInt(entrySize)) {
    throw new Damage(`sh_entsize of the symbol table is ${section.entrySize}, it must be ${entrySize} in ELF${xlen}`);
  }
  const table = contents(source, section);
  if (table === undefined) throw new Damage("the symbol table lies outside of the file");
  const strings = raw[section.link] && contents(source, raw[section.link]);
  if (strings === undefined) throw new Damage("the symbols' string table is missing or lies outside of the file");
  const names = new StringTable(strings, source.size);
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const symbols: ElfSymbol[] = [];
  for (let at = entrySize; at + entrySize <= table.length; at += entrySize) {
    const narrow = xlen === 32;
    const info = view.getUint8(at + (narrow ? 12 : 4));
    const index = view.getUint16(at + (narrow ? 14 : 6), true);
    const home = index > 0 && index < firstReservedSection ? raw[index] : undefined;
    symbols.push({
      name: names.at(view.getUint32(at, true)),
      value: narrow ? BigInt(view.getUint32(at + 4, true)) : view.getBigUint64(at + 8, true),
      size: narrow ? BigInt(view.getUint32(at + 8, true)) : view.getBigUint64(at + 16, true),
      type: symbolTypes[info & 15] ?? "other",
      binding: symbolBindings[info >> 4] ?? "other",
      section: index,
      ...(home && { sectionEnd: home.address + home.size }),
    });
  }
  return symbols;
}

/** Sections, and symbols once they are asked for. */
export interface Sections {
  readonly sections: readonly ElfSection[];
  /** One line for each part that is damaged and therefore empty. */
  readonly warnings: string[];
  /** Reads the symbols of `.symtab`, else of `.dynsym`. */
  symbols(): ElfSymbol[];
}

/**
 * Reads sections and symbols. Never throws: what is damaged stays empty and has a line in `warnings`.
 *
 * @param source The whole file.
 * @param where What the ELF header says of the section headers.
 */
export function readSections(source: ByteSource, where: SectionTable): Sections {
  const warnings: string[] = [];
  const attempt = <T>(what: string, empty: T, read: () => T): T => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      warnings.push(`${where.name}: ${what}: ${error.message}`);
      return empty;
    }
  };
  const { raw, names } = attempt("no sections", { raw: [], names: 0 }, () => readTable(source, where));
  const strings = new StringTable((raw[names] && contents(source, raw[names])) ?? new Uint8Array(), source.size);
  const sections = attempt<ElfSection[]>("no sections", [], () =>
    raw.map((section, index): ElfSection => {
      if (!inFile(source, section)) throw new Damage(`section ${index} lies outside of the file`);
      const { type, flags, address, size, offset } = section;
      return {
        ...{ index, name: strings.at(section.nameOffset), type, flags, address, size, offset: Number(offset) },
        get bytes() {
          return contents(source, section) ?? new Uint8Array();
        },
      };
    }).slice(1));
  const symbols = () => attempt<ElfSymbol[]>("no symbols", [], () => readSymbols(source, raw, where.xlen));
  return { sections, symbols, warnings };
}
