// Symbols: from name to address and from address to the name that explains it best.
import { type Interval, Intervals } from "../debug/dwarf/intervals.ts";
import { demangleRust } from "./demangle_rust.ts";
import type { ElfSymbol } from "./elf.ts";

/**
 * The symbol that an address belongs to.
 *
 * @example
 * ```ts
 * import { Machine, type SymbolMatch } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const match: SymbolMatch | undefined = machine.symbols.at(machine.symbols.lookup("trap")! + 4n);
 * console.log(match?.name, match?.offset);
 * ```
 */
export interface SymbolMatch {
  /** The symbol's name as its source has it: demangled, where it was mangled and that can be undone. */
  readonly name: string;
  /** Bytes from the symbol's start to the address. */
  readonly offset: bigint;
  /** The symbol; its `value` is where it is now, with the offset that `add` was given. */
  readonly symbol: ElfSymbol;
}

const sectionUndefined = 0;
const sectionAbsolute = 0xfff1;
const addressEnd = 1n << 64n;

/** Mapping symbols mark code and data for disassemblers (RISC-V ELF psABI, "Mapping Symbol"); `.L` is an assembler's own. */
const notForPeople = /^(\$d|\$x(rv(32|64)\w*)?)(\.|$)|^\.L/;

/** Smaller is the better explanation: functions, objects, the rest; within each global, weak, local. */
function rank(symbol: ElfSymbol): number {
  const type = symbol.type === "function" || symbol.type === "ifunc" ? 0 : symbol.type === "object" ? 1 : 2;
  const binding = symbol.binding === "global" ? 0 : symbol.binding === "weak" ? 1 : 2;
  return type * 3 + binding;
}

/** A symbol and the addresses that it answers for. */
interface Extent extends Interval {
  readonly rank: number;
  readonly symbol: ElfSymbol;
}

/** The extent that begins nearest before or at the address, the best of those. */
function nearest(extents: Intervals<Extent>, address: bigint): Extent | undefined {
  let found: Extent | undefined;
  for (const extent of extents.covering(address)) {
    if (found !== undefined && extent.low !== found.low) break;
    found = extent;
  }
  return found;
}

/** All that look-ups by address need; made when the first is asked for. */
interface Index {
  /** Sized symbols, each from start to end. */
  readonly sized: Intervals<Extent>;
  /** Symbols without size, each to the end of its section. */
  readonly unsized: Intervals<Extent>;
  /** Sized symbols again, each to the end of its section: for padding and code after them. */
  readonly beyond: Intervals<Extent>;
}

/**
 * A file whose symbols are read later.
 *
 * @example
 * ```ts
 * import { Machine, type FileOfSymbols } from "hartbeat";
 *
 * // Read at the first look-up only.
 * const file: FileOfSymbols = {
 *   offset: 0n,
 *   symbols: () => [{ name: "entry", value: 0x8000_0000n, size: 4n, type: "function", binding: "global", section: 1 }],
 *   toLink: (address) => address,
 * };
 * const machine = await Machine.create();
 * machine.symbols.addFile(file);
 * console.log(machine.symbols.lookup("entry"));
 * ```
 */
export interface FileOfSymbols {
  /** Bytes from where it is linked to where it runs. */
  readonly offset: bigint;
  /** Reads the symbols, with the addresses that they were linked at. */
  symbols(): readonly ElfSymbol[];
  /** The address in the file of what is at an address of the guest. */
  toLink(address: bigint): bigint;
}

/** Names that compilers of C++ and Rust have mangled. */
const MANGLED = /^_{0,2}(Z[A-Z0-9]|R[A-Z0-9])/;

/** True for a name of C++. */
export function isCppName(name: string): boolean {
  return /^_{1,2}Z/.test(name) && demangleRust(name) === undefined;
}

/**
 * The symbols of one or several files. Look-ups by address take a binary search.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const trap = machine.symbols.lookup("trap")!;
 * console.log(machine.symbols.format(trap + 4n), machine.symbols.at(trap));
 * ```
 */
export class Symbols {
  readonly #byName = new Map<string, ElfSymbol>();
  readonly #located: ElfSymbol[] = [];
  /** Files whose symbols have not been read yet. */
  readonly #pending: FileOfSymbols[] = [];
  readonly #files: FileOfSymbols[] = [];
  #index: Index | undefined;
  #demangle: ((name: string) => string) | undefined;
  /** Names as the source has them, of those that are mangled. */
  readonly #demangled = new Map<string, string>();
  #byDemangled: ReadonlyMap<string, ElfSymbol> | undefined;

  /**
   * Adds a file's symbols. Undefined, section, file, common and TLS symbols are left out, and so are mapping symbols (`$x`,
   * `$d`) and assembler-local labels (`.L…`). Absolute symbols that are neither function nor object are often plain
   * constants (a stack's size, say), so they are found by name only.
   *
   * @param symbols As `parseElf` gives them.
   * @param offset Bytes between where the file is linked and where it is loaded; added to every symbol in a section.
   */
  add(symbols: Iterable<ElfSymbol>, offset: bigint | number = 0n): void {
    const shift = BigInt(offset);
    for (const original of symbols) {
      const { name, type, section } = original;
      if (name === "" || section === sectionUndefined || notForPeople.test(name)) continue;
      if (type === "section" || type === "file" || type === "common" || type === "tls") continue;
      const absolute = section === sectionAbsolute;
      const symbol = shift === 0n || absolute ? original : {
        ...original,
        value: BigInt.asUintN(64, original.value + shift),
        ...(original.sectionEnd !== undefined && { sectionEnd: BigInt.asUintN(64, original.sectionEnd + shift) }),
      };
      const known = this.#byName.get(name);
      if (known === undefined || rank(symbol) % 3 < rank(known) % 3) this.#byName.set(name, symbol);
      if (!absolute || rank(symbol) < 6) this.#located.push(symbol);
    }
    this.#index = undefined;
    this.#byDemangled = undefined;
  }

  /** Adds a file, whose symbols are read at the first look-up. */
  addFile(file: FileOfSymbols): void {
    this.#pending.push(file);
    this.#files.push(file);
  }

  #load(): void {
    for (let file = this.#pending.shift(); file !== undefined; file = this.#pending.shift()) {
      this.add(file.symbols(), file.offset);
    }
  }

  /** Undoes the mangling of names of C++; without it they are shown as they are. Those of Rust need nothing. */
  set cppDemangler(demangle: (name: string) => string) {
    this.#demangle = demangle;
    this.#demangled.clear();
    this.#byDemangled = undefined;
  }

  /** A symbol's name as its source has it. */
  #nameOf({ name }: ElfSymbol): string {
    if (!MANGLED.test(name)) return name;
    let demangled = this.#demangled.get(name);
    if (demangled === undefined) {
      this.#demangled.set(name, demangled = demangleRust(name) ?? this.#demangle?.(name) ?? name);
    }
    return demangled;
  }

  /** The symbols by demangled name; of a function of C++ also without its parameters. */
  #readable(): ReadonlyMap<string, ElfSymbol> {
    const found = new Map<string, ElfSymbol>();
    const put = (name: string, symbol: ElfSymbol) => {
      const known = found.get(name);
      if (known === undefined || rank(symbol) % 3 < rank(known) % 3) found.set(name, symbol);
    };
    for (const symbol of this.#byName.values()) {
      const name = this.#nameOf(symbol);
      if (name === symbol.name) continue;
      put(name, symbol);
      const bare = name.replace(/\([^()]*(\([^()]*\)[^()]*)*\)( const)?$/, "");
      if (bare !== "" && bare !== name) put(bare, symbol);
    }
    return found;
  }

  /**
   * The symbol with a name, as it stands in the file or as the source has it (`kernel::main`; of C++ with or without
   * parameters). Of several symbols with one name a global one wins over a weak and that over a local one; then the first
   * added wins.
   */
  find(name: string): ElfSymbol | undefined {
    this.#load();
    return this.#byName.get(name) ?? (this.#byDemangled ??= this.#readable()).get(name);
  }

  /** The address of a name, as `find` finds it. */
  lookup(name: string): bigint | undefined {
    return this.find(name)?.value;
  }

  /**
   * The symbol that an address belongs to: a sized symbol around it (functions before objects before the rest, then the
   * innermost, then global before weak before local); else the nearest label without size before it in its section; else
   * the nearest symbol before it in its section, though it ended before the address; else undefined. If no symbol is there, the
   * address is taken for a physical one of a program that is loaded elsewhere than it is linked.
   *
   * @param address A virtual address; taken modulo 2^64.
   */
  at(address: bigint | number): SymbolMatch | undefined {
    this.#load();
    const where = BigInt.asUintN(64, BigInt(address)), found = this.#at(where);
    if (found !== undefined) return found;
    for (const file of this.#files) {
      const link = file.toLink(where) + file.offset;
      if (link !== where) return this.#at(BigInt.asUintN(64, link));
    }
    return undefined;
  }

  #at(where: bigint): SymbolMatch | undefined {
    const index = this.#index ??= this.#build();
    let best: Extent | undefined;
    for (const extent of index.sized.covering(where)) {
      const better = best === undefined || Math.floor(extent.rank / 3) < Math.floor(best.rank / 3) ||
        (extent.low === best.low && extent.rank < best.rank);
      if (better) best = extent;
    }
    best ??= nearest(index.unsized, where) ?? nearest(index.beyond, where);
    return best && { name: this.#nameOf(best.symbol), offset: where - best.low, symbol: best.symbol };
  }

  /** An address as `name+0x10`, as `name` at the symbol's start, or as `0x80000010` where no symbol holds it. */
  format(address: bigint | number): string {
    const match = this.at(address);
    if (match === undefined) return `0x${BigInt.asUintN(64, BigInt(address)).toString(16)}`;
    return match.offset === 0n ? match.name : `${match.name}+0x${match.offset.toString(16)}`;
  }

  /** All names that `lookup` knows as they stand in the files, in the order added. */
  names(): string[] {
    this.#load();
    return [...this.#byName.keys()];
  }

  #build(): Index {
    const extents = (symbols: readonly ElfSymbol[], end: (symbol: ElfSymbol) => bigint) =>
      new Intervals(
        symbols.map((symbol): Extent => {
          const last = end(symbol), low = symbol.value;
          // A symbol always answers for its own address, also one that marks the end of its section.
          return { low, high: last > low ? last : low + 1n, rank: rank(symbol), symbol };
        }),
        (a, b) => a.rank - b.rank,
      );
    const sized = this.#located.filter((symbol) => symbol.size > 0n);
    const unsized = this.#located.filter((symbol) => symbol.size === 0n);
    const sectionEnd = (symbol: ElfSymbol) => symbol.sectionEnd ?? addressEnd;
    return {
      sized: extents(sized, (symbol) => symbol.value + symbol.size),
      unsized: extents(unsized, sectionEnd),
      beyond: extents(sized, (symbol) => symbol.sectionEnd ?? symbol.value + symbol.size),
    };
  }
}

/** A symbol around or before an address as GDB writes it, `<main+16>`; undefined where there is none. */
export function addressText(symbols: Symbols, address: bigint): string | undefined {
  const match = symbols.at(address);
  return match && `<${match.name}${match.offset === 0n ? "" : `+${match.offset}`}>`;
}
