// The debug information of a file: its units, and which of them an address or a name belongs to. Everything is read when it is
// asked for and kept.

import { readAbbreviations } from "./abbreviations.ts";
import type { Abbreviation } from "./abbreviations.ts";
import { AT, TAG, UNIT } from "./constants.ts";
import { Cursor, DwarfError } from "./cursor.ts";
import { type Interval, Intervals } from "./intervals.ts";
import { type LineTable, readLineTable } from "./line_table.ts";
import { type AddressRange, rangesOf } from "./ranges.ts";
import { bytesOf, growing, type Section, type Sections } from "./section.ts";
import { type Die, readUnitHeader, Unit, type UnitContext, type UnitHeader } from "./unit.ts";

/** A function's entry and one stretch of its code. */
interface FunctionRange extends Interval {
  readonly die: Die;
}

/** Addresses of a unit, by the offset of its header. */
interface UnitRange extends Interval {
  readonly unit: number;
}

/** What a unit names for all to see. */
export interface UnitNames {
  /** Variables outside of functions, by qualified name. */
  readonly variables: ReadonlyMap<string, readonly Die[]>;
  /** Complete types, by qualified name. */
  readonly types: ReadonlyMap<string, readonly Die[]>;
}

const FUNCTIONS: ReadonlySet<number> = new Set([TAG.subprogram]);
const TYPES: ReadonlySet<number> = new Set([
  ...[TAG.structureType, TAG.classType, TAG.unionType, TAG.enumerationType, TAG.typedef, TAG.baseType],
]);
const NAMED: ReadonlySet<number> = new Set([...TYPES, TAG.variable, TAG.member]);
/** What a qualified name is made of. */
const SCOPES: ReadonlySet<number> = new Set([
  ...[TAG.namespace, TAG.structureType, TAG.classType, TAG.unionType, TAG.enumerationType, TAG.interfaceType],
]);
/** Names nested deeper than any that is not damaged. */
const MAX_DEPTH = 64;

/** A name with what it is in, as `namespace::Type::name`; undefined if it has none. */
export function qualifiedName(die: Die): string | undefined {
  const name = die.name;
  if (name === undefined) return undefined;
  const parts = [name];
  let scope: Die | undefined;
  for (const origin of die.origins()) scope = origin.unit.parent(origin) ?? scope;
  for (let depth = 0; scope !== undefined && depth < MAX_DEPTH; depth++) {
    if (SCOPES.has(scope.tag)) {
      parts.unshift(scope.name ?? (scope.tag === TAG.namespace ? "(anonymous namespace)" : "{…}"));
    }
    scope = scope.unit.parent(scope);
  }
  return parts.join("::");
}

/** The debug information of a file. */
export class Dwarf implements UnitContext {
  readonly sections: Sections;
  /** Tells addresses in the file's code from those of code that the linker has thrown away. */
  readonly #inFile: (address: bigint) => boolean;
  readonly #abbreviations = new Map<number, ReadonlyMap<number, Abbreviation>>();
  readonly #units = new Map<number, Unit>();
  readonly #functions = new Map<Unit, Intervals<FunctionRange>>();
  readonly #names = new Map<Unit, UnitNames>();
  readonly #lines = new Map<Unit, LineTable | undefined>();
  #headers: readonly UnitHeader[] | undefined;
  #typeUnits: Map<bigint, Unit> | undefined;
  #indexed: Intervals<UnitRange> | undefined;
  #all: Intervals<UnitRange> | undefined;

  constructor(sections: Sections, inFile: (address: bigint) => boolean) {
    this.sections = sections;
    this.#inFile = inFile;
  }

  abbreviations(offset: number): ReadonlyMap<number, Abbreviation> {
    let table = this.#abbreviations.get(offset);
    if (table === undefined) {
      table = growing(this.#section(".debug_abbrev"), offset, 4096, readAbbreviations);
      this.#abbreviations.set(offset, table);
    }
    return table;
  }

  entryAt(offset: number): Die {
    const headers = this.#unitHeaders();
    let from = 0, to = headers.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (headers[middle]!.offset <= offset) from = middle + 1;
      else to = middle;
    }
    const header = headers[from - 1], die = header && this.#unit(header).entry(offset);
    if (!die) throw new DwarfError(`.debug_info: no entry at ${offset}`);
    return die;
  }

  typeOf(signature: bigint): Die | undefined {
    if (this.#typeUnits === undefined) {
      this.#typeUnits = new Map();
      for (const unit of this.units()) {
        if (unit.header.signature !== undefined) this.#typeUnits.set(unit.header.signature, unit);
      }
      const old = this.sections(".debug_types");
      for (const header of old === undefined ? [] : readHeaders(old)) {
        if (header.signature !== undefined) this.#typeUnits.set(header.signature, new Unit(header, this));
      }
    }
    const unit = this.#typeUnits.get(signature);
    return unit?.header.type === undefined ? undefined : unit.entry(unit.header.type) ?? undefined;
  }

  #section(name: string): Section {
    const section = this.sections(name);
    if (section === undefined) throw new DwarfError(`${name} is missing`);
    return section;
  }

  #unit(header: UnitHeader): Unit {
    let unit = this.#units.get(header.offset);
    if (unit === undefined) this.#units.set(header.offset, unit = new Unit(header, this));
    return unit;
  }

  #unitHeaders(): readonly UnitHeader[] {
    const info = this.sections(".debug_info");
    return this.#headers ??= info === undefined ? [] : readHeaders(info);
  }

  /** All units of `.debug_info`. */
  *units(): Generator<Unit> {
    for (const header of this.#unitHeaders()) yield this.#unit(header);
  }

  /** Name of a file that the compiler wrote variables, types and functions into (`-gsplit-dwarf`); undefined if there is none. */
  get splitFile(): string | undefined {
    for (const unit of this.units()) {
      const name = attempt(() => unit.root.text(AT.dwoName) ?? unit.root.text(AT.gnuDwoName));
      if (name !== undefined) return name;
    }
    return undefined;
  }

  /** The unit whose code holds an address. */
  unitAt(pc: bigint): Unit | undefined {
    const info = this.sections(".debug_info");
    if (info === undefined) return undefined;
    this.#indexed ??= new Intervals(this.#readIndex());
    let found = this.#indexed.smallest(pc)?.unit;
    if (found === undefined) {
      // Not all compilers write an index, and some leave out units.
      this.#all ??= new Intervals(this.#readUnitRanges());
      found = this.#all.smallest(pc)?.unit;
    }
    return found === undefined ? undefined : this.#unit(readUnitHeader(info, found));
  }

  /** `.debug_aranges` (6.1.2); empty if there is none. What follows damage is left out. */
  #readIndex(): UnitRange[] {
    const section = this.sections(".debug_aranges"), found: UnitRange[] = [];
    for (let at = 0; section !== undefined && at < section.size;) {
      try {
        const head = new Cursor(bytesOf(section, at, Math.min(12, section.size - at)), at).initialLength();
        const start = at + (head.wide ? 12 : 4), cursor = new Cursor(bytesOf(section, start, head.length), start);
        cursor.skip(2);
        const unit = cursor.word(head.wide), size = cursor.u8();
        cursor.skip(1);
        cursor.skip(-(cursor.offset - at) & (2 * size - 1));
        while (!cursor.done) {
          const low = cursor.unsigned(size), length = cursor.unsigned(size);
          if (low === 0n && length === 0n) break;
          if (length > 0n && this.#inFile(low)) found.push({ low, high: low + length, unit });
        }
        at = start + head.length;
      } catch (error) {
        if (!(error instanceof DwarfError)) throw error;
        break;
      }
    }
    return found;
  }

  /** What the first entries of all units say of their addresses. */
  #readUnitRanges(): UnitRange[] {
    const found: UnitRange[] = [];
    for (const unit of this.units()) {
      if (unit.header.kind === UNIT.type) continue;
      for (const { low, high } of attempt(() => rangesOf(unit.root)) ?? []) {
        if (this.#inFile(low)) found.push({ low, high, unit: unit.header.offset });
      }
    }
    return found;
  }

  /** The innermost function whose code holds an address, as it was compiled (not inlined). */
  functionAt(pc: bigint): Die | undefined {
    const unit = this.unitAt(pc);
    if (unit === undefined) return undefined;
    let functions = this.#functions.get(unit);
    if (functions === undefined) {
      const found: FunctionRange[] = [];
      unit.walk(FUNCTIONS, (die) => {
        const ranges: AddressRange[] = attempt(() => rangesOf(die)) ?? [];
        for (const { low, high } of ranges) if (this.#inFile(low)) found.push({ low, high, die });
      });
      this.#functions.set(unit, functions = new Intervals(found));
    }
    return functions.smallest(pc)?.die;
  }

  /** A unit's line table. */
  lines(unit: Unit): LineTable | undefined {
    if (!this.#lines.has(unit)) this.#lines.set(unit, readLineTable(unit));
    return this.#lines.get(unit);
  }

  /** Complete types of a name, those of a unit first. */
  findType(name: string, near: Unit): readonly Die[] {
    return this.#find(name, near, (names) => names.types);
  }

  /** Variables of a name outside of functions, those of a unit first. */
  findVariable(name: string, near?: Unit): readonly Die[] {
    return this.#find(name, near, (names) => names.variables);
  }

  #find(name: string, near: Unit | undefined, of: (names: UnitNames) => ReadonlyMap<string, readonly Die[]>) {
    const own = near && attempt(() => of(this.names(near)).get(name));
    if (own !== undefined) return own;
    for (const unit of this.units()) {
      const found = unit === near ? undefined : attempt(() => of(this.names(unit)).get(name));
      if (found !== undefined) return found;
    }
    return [];
  }

  /** What a unit names for all to see. */
  names(unit: Unit): UnitNames {
    let names = this.#names.get(unit);
    if (names === undefined) {
      const variables = new Map<string, Die[]>(), types = new Map<string, Die[]>();
      unit.walk(NAMED, (die, parent) => {
        if (TYPES.has(die.tag)) {
          if (die.has(AT.name) && !die.has(AT.declaration)) add(types, die);
        } else if (die.has(AT.location) || die.has(AT.constValue)) {
          const above = unit.entry(parent)?.tag ?? TAG.compileUnit;
          if (above !== TAG.subprogram && above !== TAG.lexicalBlock && above !== TAG.inlinedSubroutine) {
            add(variables, die);
          }
        }
      });
      this.#names.set(unit, names = { variables, types });
    }
    return names;
  }
}

function add(map: Map<string, Die[]>, die: Die): void {
  const name = attempt(() => qualifiedName(die));
  if (name === undefined) return;
  // What is in a namespace without name is seen from around it.
  for (const each of new Set([name, name.replaceAll("(anonymous namespace)::", "")])) {
    const known = map.get(each);
    if (known === undefined) map.set(each, [die]);
    else known.push(die);
  }
}

/** Headers of all units of a section; those behind a damaged one are left out. */
function readHeaders(section: Section): UnitHeader[] {
  const headers: UnitHeader[] = [];
  for (let at = 0; at < section.size;) {
    const header = attempt(() => readUnitHeader(section, at));
    if (header === undefined) break;
    headers.push(header);
    at = header.end;
  }
  return headers;
}

/** What a function gives, or undefined where the debug information is damaged. */
export function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof DwarfError) return undefined;
    throw error;
  }
}
