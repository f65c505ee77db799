// Sections of debug information, of which only what is asked for is read.

import { Cursor, DwarfError, EndOfData } from "./cursor.ts";

/** A section of a file. */
export interface Section {
  /** Name, e.g. `.debug_info`. */
  readonly name: string;
  /** Bytes, after decompression. */
  readonly size: number;
  /** Bytes from `offset` on, which lie within the section: the caller has made sure. */
  read(offset: number, length: number): Uint8Array;
}

/** Finds a section by name. */
export type Sections = (name: string) => Section | undefined;

/** Bytes of a section, checked. */
export function bytesOf(section: Section, offset: number, length: number): Uint8Array {
  if (!(offset >= 0) || !(length >= 0) || offset + length > section.size) {
    throw new DwarfError(`${section.name}: ${length} bytes at ${offset} lie outside of its ${section.size} bytes`);
  }
  return section.read(offset, length);
}

/**
 * Reads something whose length shows only while it is read, with a window that grows until it is large enough.
 *
 * @param first Bytes of the first window.
 */
export function growing<T>(section: Section, offset: number, first: number, read: (cursor: Cursor) => T): T {
  for (let length = first;; length *= 4) {
    const rest = section.size - offset;
    const bytes = bytesOf(section, offset, Math.max(0, Math.min(length, rest)));
    try {
      return read(new Cursor(bytes, offset));
    } catch (error) {
      if (!(error instanceof EndOfData) || length >= rest) throw error;
    }
  }
}

/** A text in a section of texts. */
export function textAt(section: Section | undefined, offset: number, name: string): string {
  if (section === undefined) throw new DwarfError(`${name} is missing`);
  return growing(section, offset, 128, (cursor) => cursor.string());
}
