// `.debug_abbrev`: the shapes of entries (DWARF 5, 7.5.3).

import { FORM } from "./constants.ts";
import { type Cursor, DwarfError } from "./cursor.ts";

/** The shape of an entry. */
export interface Abbreviation {
  readonly tag: number;
  /** True if entries below it follow. */
  readonly children: boolean;
  /** `DW_AT_` numbers. */
  readonly names: readonly number[];
  /** `DW_FORM_` numbers, in the same order. */
  readonly forms: readonly number[];
  /** Values of `DW_FORM_implicit_const` by index. */
  readonly implicit: ReadonlyMap<number, bigint>;
}

/** Reads the table of a unit. */
export function readAbbreviations(cursor: Cursor): Map<number, Abbreviation> {
  const table = new Map<number, Abbreviation>();
  for (;;) {
    const code = cursor.uleb();
    if (code === 0) return table;
    const tag = cursor.uleb(), children = cursor.u8() !== 0;
    const names: number[] = [], forms: number[] = [], implicit = new Map<number, bigint>();
    for (;;) {
      const name = cursor.uleb(), form = cursor.uleb();
      if (form === FORM.implicitConst) implicit.set(names.length, cursor.bigSleb());
      if (name === 0 && form === 0) break;
      names.push(name);
      forms.push(form);
    }
    if (table.has(code)) throw new DwarfError(`abbreviation ${code} is defined twice`);
    table.set(code, { tag, children, names, forms, implicit });
  }
}
