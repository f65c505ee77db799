// Attribute values: reading and skipping each form (DWARF 5, 7.5.5 and 7.5.6).

import { FORM } from "./constants.ts";
import { type Cursor, DwarfError } from "./cursor.ts";

/** What forms depend on. */
export interface Encoding {
  readonly version: number;
  /** The 64-bit format of DWARF, not the width of addresses. */
  readonly wide: boolean;
  readonly addressSize: number;
}

/** An attribute's value as it stands in the file; what it means depends on the form. */
export interface RawValue {
  readonly form: number;
  readonly value: number | bigint | string | Uint8Array;
}

/** Reads a value. `implicit` is that of `DW_FORM_implicit_const`. */
export function readForm(cursor: Cursor, form: number, encoding: Encoding, implicit: bigint | undefined): RawValue {
  const value = (value: RawValue["value"]): RawValue => ({ form, value });
  switch (form) {
    case FORM.addr:
      return value(cursor.unsigned(encoding.addressSize));
    case FORM.block1:
      return value(cursor.block(cursor.u8()));
    case FORM.block2:
      return value(cursor.block(cursor.u16()));
    case FORM.block4:
      return value(cursor.block(cursor.u32()));
    case FORM.block:
    case FORM.exprloc:
      return value(cursor.block(cursor.uleb()));
    case FORM.data16:
      return value(cursor.block(16));
    case FORM.data1:
    case FORM.ref1:
    case FORM.flag:
    case FORM.strx1:
    case FORM.addrx1:
      return value(cursor.u8());
    case FORM.data2:
    case FORM.ref2:
    case FORM.strx2:
    case FORM.addrx2:
      return value(cursor.u16());
    case FORM.strx3:
    case FORM.addrx3:
      return value(cursor.u24());
    case FORM.data4:
    case FORM.ref4:
    case FORM.strx4:
    case FORM.addrx4:
    case FORM.refSup4:
      return value(cursor.u32());
    case FORM.ref8:
      return value(cursor.word(true));
    case FORM.data8:
    case FORM.refSig8:
    case FORM.refSup8:
      return value(cursor.u64());
    case FORM.sdata:
      return value(cursor.bigSleb());
    case FORM.udata:
      return value(cursor.bigUleb());
    case FORM.refUdata:
    case FORM.strx:
    case FORM.addrx:
    case FORM.loclistx:
    case FORM.rnglistx:
    case FORM.gnuAddrIndex:
    case FORM.gnuStrIndex:
      return value(cursor.uleb());
    case FORM.string:
      return value(cursor.string());
    case FORM.strp:
    case FORM.lineStrp:
    case FORM.secOffset:
    case FORM.strpSup:
    case FORM.gnuRefAlt:
    case FORM.gnuStrpAlt:
      return value(cursor.word(encoding.wide));
    case FORM.refAddr:
      // In version 2 it had the size of an address.
      return value(cursor.word(encoding.version === 2 ? encoding.addressSize === 8 : encoding.wide));
    case FORM.flagPresent:
      return value(1);
    case FORM.implicitConst:
      return value(implicit ?? 0n);
    case FORM.indirect: {
      const real = cursor.uleb();
      if (real === FORM.indirect) throw new DwarfError("an indirect form of an indirect form");
      return readForm(cursor, real, encoding, real === FORM.implicitConst ? cursor.bigSleb() : undefined);
    }
  }
  throw new DwarfError(`the form 0x${form.toString(16)} is unknown`);
}

/** Skips a value. */
export function skipForm(cursor: Cursor, form: number, encoding: Encoding): void {
  switch (form) {
    case FORM.flagPresent:
    case FORM.implicitConst:
      return;
    case FORM.data1:
    case FORM.ref1:
    case FORM.flag:
    case FORM.strx1:
    case FORM.addrx1:
      return cursor.skip(1);
    case FORM.data2:
    case FORM.ref2:
    case FORM.strx2:
    case FORM.addrx2:
      return cursor.skip(2);
    case FORM.data4:
    case FORM.ref4:
    case FORM.strx4:
    case FORM.addrx4:
      return cursor.skip(4);
    case FORM.data8:
    case FORM.ref8:
    case FORM.refSig8:
      return cursor.skip(8);
    case FORM.addr:
      return cursor.skip(encoding.addressSize);
    case FORM.strp:
    case FORM.lineStrp:
    case FORM.secOffset:
      return cursor.skip(encoding.wide ? 8 : 4);
    case FORM.sdata:
    case FORM.udata:
    case FORM.refUdata:
    case FORM.strx:
    case FORM.addrx:
    case FORM.loclistx:
    case FORM.rnglistx:
      return cursor.skipLeb();
    case FORM.exprloc:
    case FORM.block:
      return cursor.skip(cursor.uleb());
    case FORM.string:
      return cursor.skipString();
    default:
      readForm(cursor, form, encoding, undefined);
  }
}
