// Ranges of addresses as users write them: in QEMU's syntax for `-dfilter`, and by symbols.

import type { AddressRange } from "../jit/listing.ts";
import { AddressError } from "./errors.ts";
import { nearest } from "./nearest.ts";
import type { Symbols } from "./symbols.ts";

export type { AddressRange } from "../jit/listing.ts";

const LAST_ADDRESS = 2n ** 64n - 1n;

/** What stands between the two parts of a range, as QEMU looks for them, with what it makes of their values. */
const OPERATORS: readonly (readonly [string, (a: bigint, b: bigint) => AddressRange])[] = [
  ["-", (address, size) => ({ first: address - size + 1n, last: address })],
  ["+", (address, size) => ({ first: address, last: address + size - 1n })],
  ["..", (first, last) => ({ first, last })],
];

/** The code or data that a symbol names: as long as the symbol says, else up to the next symbol or its section's end. */
function extent(start: bigint, symbols: Symbols): AddressRange {
  const symbol = symbols.at(start)?.symbol;
  if (symbol === undefined || symbol.value !== start) return { first: start, last: start };
  if (symbol.size > 0n) return { first: start, last: start + symbol.size - 1n };
  let end = symbol.sectionEnd ?? start + 1n;
  for (const name of symbols.names()) {
    const other = symbols.lookup(name)!;
    if (other > start && other < end) end = other;
  }
  return { first: start, last: end > start ? end - 1n : start };
}

/** A number as C writes it, or a symbol's address; undefined if it is neither. */
function address(text: string, symbols: Symbols): bigint | undefined {
  if (/^(0x[0-9a-f]+|\d+)$/i.test(text)) return BigInt(text);
  return symbols.lookup(text);
}

function readRange(text: string, symbols: Symbols): AddressRange {
  const start = symbols.lookup(text);
  if (start !== undefined) return extent(start, symbols);
  const single = address(text, symbols);
  let range = single === undefined ? undefined : { first: single, last: single };
  for (const [operator, make] of OPERATORS) {
    // Names may hold dots, too.
    for (let at = text.indexOf(operator); range === undefined && at > 0; at = text.indexOf(operator, at + 1)) {
      const a = address(text.slice(0, at), symbols), b = address(text.slice(at + operator.length), symbols);
      if (a !== undefined && b !== undefined) range = make(a, b);
    }
  }
  if (range === undefined) {
    throw new AddressError(
      `${text || "nothing"}: neither a symbol nor a range such as 0x8000+0x100, 0x8000..0x80ff or 0x80ff-0x100` +
        nearest(text, symbols.names()),
    );
  }
  if (range.first < 0n || range.last > LAST_ADDRESS || range.first > range.last) {
    const hex = (n: bigint) => n < 0n ? `-0x${(-n).toString(16)}` : `0x${n.toString(16)}`;
    throw new AddressError(`${text}: no addresses from ${hex(range.first)} to ${hex(range.last)}`);
  }
  return range;
}

/**
 * Reads ranges of addresses, separated by commas. Each is `START+SIZE`, `FIRST..LAST` (both included), `LAST-SIZE` (so many
 * bytes that end there), an address, or a symbol, which stands for all that it names. Numbers are decimal, or hexadecimal
 * after `0x`; a symbol may take their place.
 *
 * @throws {AddressError} One line that names the part that is none of these, and the nearest symbol.
 */
export function parseAddressRanges(text: string, symbols: Symbols): AddressRange[] {
  return text.split(",").map((part) => readRange(part.trim(), symbols));
}
