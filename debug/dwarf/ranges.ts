// Ranges of addresses and lists of locations: `.debug_ranges` and `.debug_loc` up to version 4, `.debug_rnglists` and
// `.debug_loclists` from version 5 on (DWARF 5, 2.6.2, 2.17.3, 7.25, 7.29).

import { AT, FORM } from "./constants.ts";
import { Cursor, DwarfError } from "./cursor.ts";
import { bytesOf, growing, type Section } from "./section.ts";
import type { Die, Unit } from "./unit.ts";

/** Addresses from `low` up to, not including, `high`. */
export interface AddressRange {
  readonly low: bigint;
  readonly high: bigint;
}

/** A location expression and the addresses at which it holds; null: everywhere else. */
export interface LocationRange {
  readonly range: AddressRange | null;
  readonly expression: Uint8Array;
}

/** More entries than any list that is not damaged. */
const LIMIT = 1_000_000;

function sectionOf(unit: Unit, name: string): Section {
  const section = unit.context.sections(name);
  if (section === undefined) throw new DwarfError(`${name} is missing`);
  return section;
}

/** Where a list with an index begins: an offset table follows the header of the unit's lists. */
function indexed(unit: Unit, section: Section, baseAttribute: number, index: number): number {
  const { wide } = unit.encoding, size = wide ? 8 : 4;
  const base = unit.root.number(baseAttribute) ?? (wide ? 20 : 12);
  return base + new Cursor(bytesOf(section, base + index * size, size)).word(wide);
}

/** The address that a unit's lists are relative to. */
function baseOf(unit: Unit): bigint {
  return unit.root.address(AT.lowPc) ?? 0n;
}

/** A list of versions 2 to 4: pairs of addresses, ended by zeros; the largest address changes the base. */
function* oldList(cursor: Cursor, unit: Unit): Generator<AddressRange> {
  const { addressSize } = unit.encoding, largest = (1n << BigInt(8 * addressSize)) - 1n;
  let base = baseOf(unit);
  for (let count = 0; count < LIMIT; count++) {
    const low = cursor.unsigned(addressSize), high = cursor.unsigned(addressSize);
    if (low === 0n && high === 0n) return;
    if (low === largest) base = high;
    else yield { low: base + low, high: base + high };
  }
}

/**
 * A list of version 5. Range lists and location lists share the encoding of entries, but for their numbers.
 *
 * @param locations Whether it is one of locations; the cursor then stands at the expression whenever a range is given.
 */
function* newList(cursor: Cursor, unit: Unit, locations: boolean): Generator<AddressRange | null> {
  const { addressSize } = unit.encoding;
  let base = baseOf(unit);
  const address = () => cursor.unsigned(addressSize), index = () => unit.indexedAddress(cursor.uleb());
  for (let count = 0; count < LIMIT; count++) {
    let kind = cursor.u8();
    // Location lists have an entry more, the default location.
    if (locations && kind === 5) {
      yield null;
      continue;
    }
    if (locations && kind > 5) kind--;
    switch (kind) {
      case 0:
        return;
      case 1:
        base = index();
        break;
      case 2:
        yield { low: index(), high: index() };
        break;
      case 3: {
        const low = index();
        yield { low, high: low + cursor.bigUleb() };
        break;
      }
      case 4:
        yield { low: base + cursor.bigUleb(), high: base + cursor.bigUleb() };
        break;
      case 5:
        base = address();
        break;
      case 6:
        yield { low: address(), high: address() };
        break;
      case 7: {
        const low = address();
        yield { low, high: low + cursor.bigUleb() };
        break;
      }
      default:
        throw new DwarfError(`entry ${kind} in a list of ranges`);
    }
  }
}

/** The addresses that an entry covers; empty if it has no code. */
export function rangesOf(die: Die): AddressRange[] {
  const { unit } = die, raw = die.raw(AT.ranges);
  if (raw === undefined) {
    const low = die.address(AT.lowPc);
    if (low === undefined) return [];
    const high = die.address(AT.highPc), length = high === undefined ? die.constant(AT.highPc) : undefined;
    const end = high ?? (length === undefined ? low + 1n : low + length);
    return end > low ? [{ low, high: end }] : [];
  }
  const offset = Number(raw.value);
  const read = unit.encoding.version < 5
    ? growing(sectionOf(unit, ".debug_ranges"), offset, 256, (cursor) => [...oldList(cursor, unit)])
    : (() => {
      const section = sectionOf(unit, ".debug_rnglists");
      const start = raw.form === FORM.rnglistx ? indexed(unit, section, AT.rnglistsBase, offset) : offset;
      return growing(section, start, 256, (cursor) => [...newList(cursor, unit, false)]);
    })();
  return read.filter((range): range is AddressRange => range !== null && range.high > range.low);
}

/** The locations that an attribute gives, as one expression or a list; empty if it has none. */
export function locationsOf(die: Die, attribute: number): LocationRange[] {
  const { unit } = die, raw = die.raw(attribute);
  if (raw === undefined) return [];
  if (raw.value instanceof Uint8Array) return [{ range: null, expression: raw.value }];
  const offset = Number(raw.value);
  if (unit.encoding.version < 5) {
    return growing(sectionOf(unit, ".debug_loc"), offset, 256, (cursor) => {
      const found: LocationRange[] = [];
      for (const range of oldList(cursor, unit)) found.push({ range, expression: cursor.block(cursor.u16()) });
      return found;
    });
  }
  const section = sectionOf(unit, ".debug_loclists");
  const start = raw.form === FORM.loclistx ? indexed(unit, section, AT.loclistsBase, offset) : offset;
  return growing(section, start, 256, (cursor) => {
    const found: LocationRange[] = [];
    for (const range of newList(cursor, unit, true)) found.push({ range, expression: cursor.block(cursor.uleb()) });
    return found;
  });
}

/** The expression that holds at an address; undefined if none does. */
export function locationAt(die: Die, attribute: number, pc: bigint): Uint8Array | undefined {
  let otherwise: Uint8Array | undefined;
  for (const { range, expression } of locationsOf(die, attribute)) {
    if (range === null) otherwise = expression;
    else if (range.low <= pc && pc < range.high) return expression;
  }
  return otherwise;
}
