// Symbols: from name to address and from address to the name that explains it best.
import type { ElfSymbol } from "./elf.ts";

/** The symbol that an address belongs to. */
export interface SymbolMatch {
  /** The symbol's name. */
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
interface Extent {
  readonly start: bigint;
  readonly end: bigint;
  readonly rank: number;
  readonly symbol: ElfSymbol;
}

/** Extents sorted by start, best first where several start together; finds those that hold an address. */
class Extents {
  readonly #sorted: readonly Extent[];
  /** For each extent the largest end of it and all before it: where a search backwards may stop. */
  readonly #reach: readonly bigint[];

  constructor(extents: readonly Extent[]) {
    this.#sorted = extents.toSorted((a, b) => a.start < b.start ? -1 : a.start > b.start ? 1 : a.rank - b.rank);
    let end = 0n;
    this.#reach = this.#sorted.map((extent) => end = extent.end > end ? extent.end : end);
  }

  /** The extents that hold the address, by start from near to far; those with one start from bad to good. */
  *covering(address: bigint): Generator<Extent> {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sorted[middle].start <= address) low = middle + 1;
      else high = middle;
    }
    for (let index = low - 1; index >= 0 && this.#reach[index] > address; index--) {
      if (this.#sorted[index].end > address) yield this.#sorted[index];
    }
  }

  /** The extent that starts nearest before or at the address, the best of those. */
  nearest(address: bigint): Extent | undefined {
    let found: Extent | undefined;
    for (const extent of this.covering(address)) {
      if (found !== undefined && extent.start !== found.start) break;
      found = extent;
    }
    return found;
  }
}

/** All that look-ups by address need; made when the first is asked for. */
interface Index {
  /** Sized symbols, each from start to end. */
  readonly sized: Extents;
  /** Symbols without size, each to the end of its section. */
  readonly unsized: Extents;
  /** Sized symbols again, each to the end of its section: for padding and code after them. */
  readonly beyond: Extents;
}

/** The symbols of one or several files. Look-ups by address take a binary search. */
export class Symbols {
  readonly #byName = new Map<string, ElfSymbol>();
  readonly #located: ElfSymbol[] = [];
  #index: Index | undefined;

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
  }

  /**
   * The address of a name, exactly as in the file (not demangled). Of several symbols with one name a global one wins over a
   * weak and that over a local one; then the first added wins.
   */
  lookup(name: string): bigint | undefined {
    return this.#byName.get(name)?.value;
  }

  /**
   * The symbol that an address belongs to: a sized symbol around it (functions before objects before the rest, then the
   * innermost, then global before weak before local); else the nearest label without size before it in its section; else
   * the nearest symbol before it in its section, though it ended before the address; else undefined.
   *
   * @param address A virtual address; taken modulo 2^64.
   */
  at(address: bigint | number): SymbolMatch | undefined {
    const where = BigInt.asUintN(64, BigInt(address));
    const index = this.#index ??= this.#build();
    let best: Extent | undefined;
    for (const extent of index.sized.covering(where)) {
      const better = best === undefined || Math.floor(extent.rank / 3) < Math.floor(best.rank / 3) ||
        (extent.start === best.start && extent.rank < best.rank);
      if (better) best = extent;
    }
    best ??= index.unsized.nearest(where) ?? index.beyond.nearest(where);
    return best && { name: best.symbol.name, offset: where - best.start, symbol: best.symbol };
  }

  /** An address as `name+0x10`, as `name` at the symbol's start, or as `0x80000010` where no symbol holds it. */
  format(address: bigint | number): string {
    const match = this.at(address);
    if (match === undefined) return `0x${BigInt.asUintN(64, BigInt(address)).toString(16)}`;
    return match.offset === 0n ? match.name : `${match.name}+0x${match.offset.toString(16)}`;
  }

  /** All names that `lookup` knows, in the order added. */
  names(): string[] {
    return [...this.#byName.keys()];
  }

  #build(): Index {
    const extents = (symbols: readonly ElfSymbol[], end: (symbol: ElfSymbol) => bigint) =>
      new Extents(symbols.map((symbol) => {
        const last = end(symbol);
        // A symbol always answers for its own address, also one that marks the end of its section.
        const start = symbol.value;
        return { start, end: last > start ? last : start + 1n, rank: rank(symbol), symbol };
      }));
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
