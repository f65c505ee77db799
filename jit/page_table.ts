// The table from virtual pages to pages of decoded records, which the interpreter's loop looks into as well.

/** Entries; a power of two. */
export const PAGE_ENTRIES = 1024;

/**
 * Words of an entry: the low half of the page's address together with the hart's `FETCH_KEY` (0: there is none), its high half, the first
 * record, and one that is not used.
 */
export const PAGE_ENTRY = 4;

/** Where the entry of an address begins. */
export function pageEntry(low: number): number {
  return (low >>> 12 & PAGE_ENTRIES - 1) * PAGE_ENTRY;
}
