// Units of `.debug_info` and `.debug_types` and their entries (DWARF 5, 7.5).

import type { Abbreviation } from "./abbreviations.ts";
import { AT, FORM, TAG, UNIT } from "./constants.ts";
import { Cursor, DwarfError, EndOfData } from "./cursor.ts";
import { type Encoding, type RawValue, readForm, skipForm } from "./forms.ts";
import { bytesOf, growing, type Section, type Sections, textAt } from "./section.ts";

/** What a unit's header says. All offsets are from the start of the section. */
export interface UnitHeader {
  readonly section: Section;
  readonly offset: number;
  /** Offset after the unit. */
  readonly end: number;
  /** Offset of the first entry. */
  readonly first: number;
  readonly encoding: Encoding;
  readonly abbreviations: number;
  /** `DW_UT_` kind; of older versions as if they had one. */
  readonly kind: number;
  /** Of a type unit: its signature, and the offset of the type's entry. */
  readonly signature?: bigint;
  readonly type?: number;
}

/** Reads a unit's header. */
export function readUnitHeader(section: Section, offset: number): UnitHeader {
  return growing(section, offset, 48, (cursor) => {
    const { length, wide } = cursor.initialLength(), end = cursor.offset + length, version = cursor.u16();
    if (end > section.size) throw new DwarfError(`${section.name}: the unit at ${offset} ends behind the section`);
    if (version < 2 || version > 5) throw new DwarfError(`${section.name}: DWARF version ${version} at ${offset}`);
    let kind: number = section.name === ".debug_types" ? UNIT.type : UNIT.compile, abbreviations: number;
    let addressSize: number;
    if (version >= 5) {
      kind = cursor.u8();
      addressSize = cursor.u8();
      abbreviations = cursor.word(wide);
    } else {
      abbreviations = cursor.word(wide);
      addressSize = cursor.u8();
    }
    if (addressSize !== 4 && addressSize !== 8) {
      throw new DwarfError(`${section.name}: addresses of ${addressSize} bytes`);
    }
    const header = { section, offset, end, encoding: { version, wide, addressSize }, abbreviations, kind };
    if (kind === UNIT.type || kind === UNIT.splitType) {
      const signature = cursor.u64(), type = offset + cursor.word(wide);
      return { ...header, signature, type, first: cursor.offset };
    }
    // The id of the split unit.
    if (kind === UNIT.skeleton || kind === UNIT.splitCompile) cursor.skip(8);
    return { ...header, first: cursor.offset };
  });
}

/** What units need of the file that they are in. */
export interface UnitContext {
  readonly sections: Sections;
  /** The table at an offset of `.debug_abbrev`. */
  abbreviations(offset: number): ReadonlyMap<number, Abbreviation>;
  /** The entry at an offset of `.debug_info`, in whichever unit it is. */
  entryAt(offset: number): Die;
  /** The entry of a type unit. */
  typeOf(signature: bigint): Die | undefined;
}

/** Bytes of a unit that are read before it is known that all are needed: enough for most first entries. */
const WINDOW = 512;
/** Entries that refer to one another are followed this far: there are two at most where nothing is damaged. */
const HOPS = 8;

/** A unit. Its bytes are read when something behind its first entry is asked for. */
export class Unit {
  readonly header: UnitHeader;
  readonly context: UnitContext;
  #window: Uint8Array | undefined;
  #root: Die | undefined;
  #parents: ReadonlyMap<number, number> | undefined;

  constructor(header: UnitHeader, context: UnitContext) {
    this.header = header;
    this.context = context;
  }

  get encoding(): Encoding {
    return this.header.encoding;
  }

  /** Reads at an offset of the section; what needs more than the window makes the whole unit be read. */
  read<T>(offset: number, how: (cursor: Cursor) => T): T {
    const { section, offset: start, end } = this.header, size = end - start;
    if (offset < start || offset >= end) throw new DwarfError(`${section.name}: ${offset} lies outside of its unit`);
    this.#window ??= bytesOf(section, start, Math.min(size, WINDOW));
    try {
      if (offset - start > this.#window.length) throw new EndOfData("window");
      return how(new Cursor(this.#window, start, offset - start));
    } catch (error) {
      if (!(error instanceof EndOfData) || this.#window.length === size) throw error;
      this.#window = bytesOf(section, start, size);
      return how(new Cursor(this.#window, start, offset - start));
    }
  }

  /** The entry at an offset of the section; null for the end of a list of entries. */
  entry(offset: number): Die | null {
    return this.read(offset, (cursor) => {
      const code = cursor.uleb();
      if (code === 0) return null;
      const abbreviation = this.context.abbreviations(this.header.abbreviations).get(code);
      if (abbreviation === undefined) {
        throw new DwarfError(`${this.header.section.name}: no abbreviation ${code} at ${offset}`);
      }
      return new Die(this, offset, cursor.offset, abbreviation);
    });
  }

  /** The entry of the unit itself. */
  get root(): Die {
    this.#root ??= this.entry(this.header.first) ?? undefined;
    if (this.#root === undefined) {
      throw new DwarfError(`${this.header.section.name}: an empty unit at ${this.header.offset}`);
    }
    return this.#root;
  }

  /** Calls `visit` with every entry of some tags, in the file's order, and the offset of the entry above it. */
  walk(tags: ReadonlySet<number>, visit: (die: Die, parent: number) => void): void {
    this.read(this.header.end - 1, () => {});
    const parents: number[] = [];
    for (let at = this.header.first; at < this.header.end;) {
      const die = this.entry(at);
      if (die === null) {
        parents.pop();
        if (parents.length === 0) return;
        at++;
        continue;
      }
      if (tags.has(die.tag)) visit(die, parents.at(-1) ?? -1);
      at = die.end;
      if (die.abbreviation.children) parents.push(die.offset);
      else if (parents.length === 0) return;
    }
  }

  /** The entry above one; undefined where that is the unit itself. */
  parent(die: Die): Die | undefined {
    if (this.#parents === undefined) {
      const parents = new Map<number, number>(), root = this.root.offset;
      this.walk(SCOPED, (inner, parent) => {
        if (parent > root) parents.set(inner.offset, parent);
      });
      this.#parents = parents;
    }
    const offset = this.#parents.get(die.offset);
    return offset === undefined ? undefined : this.entry(offset) ?? undefined;
  }

  /** `DW_AT_language`. */
  get language(): number {
    return this.root.number(AT.language) ?? 0;
  }

  /** The text with an index in the unit's part of `.debug_str_offsets`. */
  indexedText(index: number): string {
    const { wide } = this.encoding, size = wide ? 8 : 4;
    const base = this.root.number(AT.strOffsetsBase) ?? (this.encoding.version >= 5 ? (wide ? 16 : 8) : 0);
    const section = this.#section(".debug_str_offsets");
    const offset = new Cursor(bytesOf(section, base + index * size, size)).word(wide);
    return textAt(this.context.sections(".debug_str"), offset, ".debug_str");
  }

  /** The address with an index in the unit's part of `.debug_addr`. */
  indexedAddress(index: number): bigint {
    const { addressSize, wide } = this.encoding;
    const base = this.root.number(AT.addrBase) ?? this.root.number(AT.gnuAddrBase) ?? (wide ? 16 : 8);
    return new Cursor(bytesOf(this.#section(".debug_addr"), base + index * addressSize, addressSize)).unsigned(
      addressSize,
    );
  }

  #section(name: string): Section {
    const section = this.context.sections(name);
    if (section === undefined) throw new DwarfError(`${name} is missing`);
    return section;
  }
}

/** Entries of which it is asked what is above them. */
const SCOPED: ReadonlySet<number> = new Set([
  ...[TAG.subprogram, TAG.variable, TAG.member, TAG.namespace, TAG.structureType, TAG.classType, TAG.unionType],
  ...[TAG.enumerationType, TAG.typedef, TAG.interfaceType],
]);

/** A debugging information entry. */
export class Die {
  readonly unit: Unit;
  /** Offset in the section. */
  readonly offset: number;
  readonly abbreviation: Abbreviation;
  /** Offset of the attributes' values. */
  readonly #values: number;
  #end = -1;

  constructor(unit: Unit, offset: number, values: number, abbreviation: Abbreviation) {
    this.unit = unit;
    this.offset = offset;
    this.#values = values;
    this.abbreviation = abbreviation;
  }

  get tag(): number {
    return this.abbreviation.tag;
  }

  /** Offset after the attributes, where the first entry below begins. */
  get end(): number {
    if (this.#end < 0) {
      this.#end = this.unit.read(this.#values, (cursor) => {
        for (const form of this.abbreviation.forms) skipForm(cursor, form, this.unit.encoding);
        return cursor.offset;
      });
    }
    return this.#end;
  }

  /** An attribute's value as it stands in the file. */
  raw(name: number): RawValue | undefined {
    const { names, forms, implicit } = this.abbreviation, index = names.indexOf(name);
    if (index < 0) return undefined;
    return this.unit.read(this.#values, (cursor) => {
      for (let k = 0; k < index; k++) skipForm(cursor, forms[k]!, this.unit.encoding);
      return readForm(cursor, forms[index]!, this.unit.encoding, implicit.get(index));
    });
  }

  has(name: number): boolean {
    return this.abbreviation.names.includes(name);
  }

  /** A number; undefined if there is none, or something else. */
  constant(name: number): bigint | undefined {
    const value = this.raw(name)?.value;
    return typeof value === "bigint" || typeof value === "number" ? BigInt(value) : undefined;
  }

  /** A number that is a size, line, offset … */
  number(name: number): number | undefined {
    const value = this.raw(name)?.value;
    return typeof value === "number" || typeof value === "bigint" ? Number(value) : undefined;
  }

  flag(name: number): boolean {
    return (this.number(name) ?? 0) !== 0;
  }

  block(name: number): Uint8Array | undefined {
    const value = this.raw(name)?.value;
    return value instanceof Uint8Array ? value : undefined;
  }

  text(name: number): string | undefined {
    const raw = this.raw(name);
    if (raw === undefined) return undefined;
    const { sections } = this.unit.context;
    switch (raw.form) {
      case FORM.strp:
        return textAt(sections(".debug_str"), Number(raw.value), ".debug_str");
      case FORM.lineStrp:
        return textAt(sections(".debug_line_str"), Number(raw.value), ".debug_line_str");
      case FORM.strx:
      case FORM.strx1:
      case FORM.strx2:
      case FORM.strx3:
      case FORM.strx4:
      case FORM.gnuStrIndex:
        return this.unit.indexedText(Number(raw.value));
    }
    return typeof raw.value === "string" ? raw.value : undefined;
  }

  address(name: number): bigint | undefined {
    const raw = this.raw(name);
    return raw && addressOf(raw, this.unit);
  }

  /** The entry that an attribute refers to; undefined if there is none or it is in another file. */
  reference(name: number): Die | undefined {
    const raw = this.raw(name), { unit } = this;
    if (raw === undefined) return undefined;
    switch (raw.form) {
      case FORM.ref1:
      case FORM.ref2:
      case FORM.ref4:
      case FORM.ref8:
      case FORM.refUdata:
        return unit.entry(unit.header.offset + Number(raw.value)) ?? undefined;
      case FORM.refAddr:
        return unit.context.entryAt(Number(raw.value));
      case FORM.refSig8:
        return unit.context.typeOf(BigInt(raw.value as bigint));
    }
    return undefined;
  }

  /** The entries below, one level. */
  *children(): Generator<Die> {
    if (!this.abbreviation.children) return;
    for (let at = this.end; at < this.unit.header.end;) {
      const die = this.unit.entry(at);
      if (die === null) return;
      yield die;
      at = die.#next();
    }
  }

  /** Offset after this entry and all below. */
  #next(): number {
    if (!this.abbreviation.children) return this.end;
    const sibling = this.raw(AT.sibling);
    if (sibling !== undefined) {
      const offset = Number(sibling.value) + (sibling.form === FORM.refAddr ? 0 : this.unit.header.offset);
      // It only saves time; one that leads back would never end.
      if (offset > this.end && offset <= this.unit.header.end) return offset;
    }
    let at = this.end;
    for (let depth = 1; depth > 0 && at < this.unit.header.end;) {
      const die = this.unit.entry(at);
      if (die === null) {
        depth--;
        at++;
      } else {
        at = die.end;
        if (die.abbreviation.children) depth++;
      }
    }
    return at;
  }

  /** This entry and those that it completes or is an instance of, from near to far. */
  *origins(): Generator<Die> {
    // deno-lint-ignore no-this-alias
    let die: Die | undefined = this;
    for (let hop = 0; die !== undefined && hop < HOPS; hop++) {
      yield die;
      die = die.reference(AT.abstractOrigin) ?? die.reference(AT.specification);
    }
  }

  /** `DW_AT_name`, also of what this is an instance of. */
  get name(): string | undefined {
    for (const die of this.origins()) {
      const name = die.text(AT.name);
      if (name !== undefined) return name;
    }
    return undefined;
  }
}

/** An address in whatever form; undefined for a number that is none. */
export function addressOf({ form, value }: RawValue, unit: Unit): bigint | undefined {
  switch (form) {
    case FORM.addr:
      return value as bigint;
    case FORM.addrx:
    case FORM.addrx1:
    case FORM.addrx2:
    case FORM.addrx3:
    case FORM.addrx4:
    case FORM.gnuAddrIndex:
      return unit.indexedAddress(Number(value));
  }
  return undefined;
}
