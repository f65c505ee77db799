// A file with symbols and perhaps debug information: an ELF file, or a list as `nm` writes it (System.map).

import { CPP_LANGUAGES } from "../debug/dwarf/constants.ts";
import { attempt, Dwarf } from "../debug/dwarf/dwarf.ts";
import { DwarfError } from "../debug/dwarf/cursor.ts";
import { FrameTable } from "../debug/dwarf/frame_table.ts";
import type { Section } from "../debug/dwarf/section.ts";
import { type ByteSource, PagedSource } from "./byte_source.ts";
import { type Elf, type ElfInformation, type ElfSection, type ElfSymbol, isElf, openElf } from "./elf.ts";
import { LoadError } from "./errors.ts";
import { inflate } from "./files.ts";
import { isCppName } from "./symbols.ts";

/** Flag of sections that are in memory, and of those that are compressed (`sh_flags`). */
const ALLOCATED = 2n, COMPRESSED = 0x800n;
/** Type of sections without bytes in the file. */
const NOBITS = 8;
/** Units whose language is asked for. */
const UNITS_LOOKED_AT = 8;
/** Largest that a section may become by decompression, bytes. */
const MAX_INFLATED = 2 ** 31;

/** Addresses that are not what the file was linked for: `run` is where what is linked at `link` is. */
export interface Moved {
  readonly run: bigint;
  readonly link: bigint;
  readonly size: bigint;
}

/** Where a file's parts are loaded, if that differs from where they are linked. */
export interface Placement {
  /** Bytes from where the file is linked to where it runs. */
  readonly offset?: bigint;
  /** Parts that are also found elsewhere: segments by their physical address, before the guest translates. */
  readonly moved?: readonly Moved[];
}

/** A file that was loaded: its symbols have been read, and a segment may lie elsewhere than it is linked. */
export function loadedFile(elf: Elf): SymbolFile {
  const moved = elf.segments.flatMap(({ virtualAddress: link, physicalAddress, memorySize }): Moved[] => {
    const run = BigInt(physicalAddress);
    return run === link ? [] : [{ run, link, size: BigInt(memorySize) }];
  });
  return new SymbolFile(elf.source, { moved }, elf.symbols);
}

/** Symbols and debug information of one file. Opening reads little of it; the rest is read when it is asked for. */
export class SymbolFile {
  readonly name: string;
  readonly #source: ByteSource;
  readonly #elf: ElfInformation | undefined;
  readonly #offset: bigint;
  readonly #moved: readonly Moved[];
  readonly #sections = new Map<string, Section | undefined>();
  readonly #symbols: readonly ElfSymbol[] | undefined;
  #dwarf: Dwarf | undefined;
  #frames: readonly FrameTable[] | undefined;

  /**
   * @param symbols The symbols, if they have been read already.
   * @throws {LoadError} If it is neither an ELF file for RISC-V nor a list of symbols.
   */
  constructor(source: ByteSource, { offset = 0n, moved = [] }: Placement = {}, symbols?: readonly ElfSymbol[]) {
    this.#symbols = symbols;
    this.name = source.name;
    this.#source = new PagedSource(source);
    this.#offset = offset;
    this.#moved = moved;
    const head = source.read(0, 512);
    if (isElf(head)) this.#elf = openElf(this.#source);
    else if (!isList(head)) {
      throw new LoadError(`${this.name}: no symbols: neither an ELF file nor a list as nm writes it (System.map)`);
    }
  }

  /** Bytes from where the file is linked to where it runs. */
  get offset(): bigint {
    return this.#offset;
  }

  /** Width of its addresses in bits; of a list not known. */
  get xlen(): 32 | 64 | undefined {
    return this.#elf?.xlen;
  }

  /** Parts that are also found elsewhere. */
  get moved(): readonly Moved[] {
    return this.#moved;
  }

  /** What is damaged and therefore missing, a line each. */
  get warnings(): readonly string[] {
    return this.#elf?.warnings ?? [];
  }

  /** Reads the symbols; their values are those of the file. */
  symbols(): readonly ElfSymbol[] {
    return this.#symbols ?? this.#elf?.symbols() ?? readList(this.#source);
  }

  /** The address in the file of what is at an address of the guest. */
  toLink(address: bigint): bigint {
    for (const { run, link, size } of this.#moved) {
      if (address >= run && address - run < size) return address - run + link;
    }
    return BigInt.asUintN(64, address - this.#offset);
  }

  /** Where something of the file is when the guest runs as linked. */
  toRun(address: bigint): bigint {
    return BigInt.asUintN(this.#elf?.xlen ?? 64, address + this.#offset);
  }

  /** Whether an address of the file lies in what the guest has in memory. */
  holds(link: bigint): boolean {
    return this.#elf?.sections.some(({ flags, address, size }) =>
      (flags & ALLOCATED) !== 0n && address <= link && link < address + size
    ) ?? false;
  }

  /** The debug information; undefined if the file has none. */
  get dwarf(): Dwarf | undefined {
    if (this.#dwarf === undefined && this.#section(".debug_info") !== undefined) {
      this.#dwarf = new Dwarf((name) => this.#section(name), (address) => this.holds(address));
    }
    return this.#dwarf;
  }

  /** How to unwind: `.debug_frame` and `.eh_frame`. */
  get frames(): readonly FrameTable[] {
    return this.#frames ??= [".debug_frame", ".eh_frame"].flatMap((name) => {
      const section = this.#section(name), elf = this.#elf;
      if (section === undefined || elf === undefined) return [];
      const { address } = elf.sections.find((each) => each.name === name)!;
      return [new FrameTable(section, address, elf.xlen === 32 ? 4 : 8)];
    });
  }

  /** True if names of C++ are to be expected: by symbols that have been read, or the language of the first units. */
  get hasCpp(): boolean {
    if (this.#symbols?.some(({ name }) => isCppName(name))) return true;
    return attempt(() => {
      let count = 0;
      for (const unit of this.dwarf?.units() ?? []) {
        if (CPP_LANGUAGES.includes(unit.language)) return true;
        if (++count === UNITS_LOOKED_AT) break;
      }
      return false;
    }) ?? false;
  }

  #section(name: string): Section | undefined {
    if (!this.#sections.has(name)) this.#sections.set(name, this.#open(name));
    return this.#sections.get(name);
  }

  #open(name: string): Section | undefined {
    const found = this.#elf?.sections.find((section) => section.name === name && section.type !== NOBITS);
    if (found === undefined) {
      const old = this.#elf?.sections.find((section) => section.name === name.replace(/^\./, ".z"));
      return old && new Compressed(name, () => this.#inflateOld(old));
    }
    if ((found.flags & COMPRESSED) !== 0n) return new Compressed(name, () => this.#inflate(found));
    const { offset } = found;
    return { name, size: Number(found.size), read: (at, length) => this.#source.read(offset + at, length) };
  }

  /** A section with a compression header (System V gABI, "Section Compression"). */
  #inflate({ name, bytes }: ElfSection): Uint8Array {
    const wide = this.#elf!.xlen === 64, header = wide ? 24 : 12;
    if (bytes.length < header) throw new DwarfError(`${this.name}: ${name} is cut off`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const type = view.getUint32(0, true), size = wide ? Number(view.getBigUint64(8, true)) : view.getUint32(4, true);
    return this.#checked(
      name,
      bytes.subarray(header),
      type === 1 ? "zlib" : type === 2 ? "zstd" : `type ${type}`,
      size,
    );
  }

  /** A `.zdebug_` section, as GNU tools wrote it before there were compression headers. */
  #inflateOld({ name, bytes }: ElfSection): Uint8Array {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < 12 || view.getUint32(0) !== 0x5a4c_4942) {
      throw new DwarfError(`${this.name}: ${name} is damaged`);
    }
    return this.#checked(name, bytes.subarray(12), "zlib", Number(view.getBigUint64(4)));
  }

  #checked(name: string, bytes: Uint8Array, format: string, size: number): Uint8Array {
    if (size > MAX_INFLATED) throw new DwarfError(`${this.name}: ${name}: ${size} bytes are beyond reason`);
    let inflated: Uint8Array;
    try {
      inflated = inflate(bytes, format, size);
    } catch (error) {
      throw new DwarfError(`${this.name}: ${name} cannot be decompressed: ${(error as Error).message}`);
    }
    if (inflated.length !== size) throw new DwarfError(`${this.name}: ${name} has not the size that it says`);
    return inflated;
  }
}

/** A section that is decompressed when it is first read. */
class Compressed implements Section {
  readonly name: string;
  readonly #inflate: () => Uint8Array;
  #bytes: Uint8Array | undefined;

  constructor(name: string, inflate: () => Uint8Array) {
    this.name = name;
    this.#inflate = inflate;
  }

  #all(): Uint8Array {
    return this.#bytes ??= this.#inflate();
  }

  get size(): number {
    return this.#all().length;
  }

  read(offset: number, length: number): Uint8Array {
    return this.#all().subarray(offset, offset + length);
  }
}

/** A line of `nm`, `nm -S`, System.map or /proc/kallsyms. */
const LINE = /^ *([0-9a-f]{8,16})(?: ([0-9a-f]{8,16}))? ([a-zA-Z?]) (\S+)/;
/** A line of `nm` for what is defined elsewhere. */
const UNDEFINED = /^ +[Uw] \S/;

function isList(head: Uint8Array): boolean {
  const lines = new TextDecoder().decode(head).split("\n");
  // The last may be cut off.
  const whole = lines.length > 1 ? lines.slice(0, -1) : lines;
  return whole.every((line) => LINE.test(line) || UNDEFINED.test(line));
}

/** Reads a list. Symbols without size reach to the next. */
function readList(source: ByteSource): ElfSymbol[] {
  const found: { name: string; value: bigint; size: bigint; letter: string }[] = [];
  for (const line of new TextDecoder().decode(source.read(0, source.size)).split("\n")) {
    const [, value, size = "0", letter, name] = LINE.exec(line) ?? [];
    if (value === undefined) continue;
    found.push({ name: name!, value: BigInt(`0x${value}`), size: BigInt(`0x${size}`), letter: letter! });
  }
  found.sort((a, b) => a.value < b.value ? -1 : a.value > b.value ? 1 : 0);
  let next = 0n, last = 0n;
  return found.reverse().map(({ name, value, size, letter }): ElfSymbol => {
    if (value !== last) [next, last] = [last, value];
    const kind = letter.toLowerCase();
    return {
      ...{ name, value, size },
      type: kind === "t" || kind === "w" ? "function" : "dbrvsg".includes(kind) ? "object" : "notype",
      binding: kind === "w" || kind === "v" ? "weak" : letter === kind ? "local" : "global",
      section: kind === "a" ? 0xfff1 : 1,
      sectionEnd: next > value ? next : value + 1n,
    };
  }).reverse();
}
