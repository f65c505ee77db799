// The monitor's `x`, `xp` and `print`: memory and values as QEMU prints them.

import type { Format } from "./monitor_expression.ts";

/** Reads bytes; undefined where they are not. */
export type ReadMemory = (address: bigint, length: number) => Uint8Array | undefined;

/** Most bytes that one command prints. */
const MOST = 1 << 20;

/** A character as QEMU's monitor prints it. */
export function characterText(code: number): string {
  const escapes: Readonly<Record<number, string>> = { 39: "\\'", 92: "\\\\", 10: "\\n", 13: "\\r" };
  const plain = code >= 32 && code <= 126 ? String.fromCharCode(code) : `\\x${code.toString(16).padStart(2, "0")}`;
  return `'${escapes[code] ?? plain}'`;
}

/** A value in a format, as C's printf writes it with `#` for prefixes; `value` is taken as 64 bits. */
export function valueText(format: string, value: bigint): string {
  const unsigned = BigInt.asUintN(64, value);
  switch (format) {
    case "o":
      return unsigned === 0n ? "0" : `0${unsigned.toString(8)}`;
    case "x":
      return unsigned === 0n ? "0" : `0x${unsigned.toString(16)}`;
    case "u":
      return String(unsigned);
    case "c":
      return characterText(Number(unsigned & 255n));
    default:
      return String(BigInt.asIntN(64, value));
  }
}

/** Digits of a value of so many bytes. */
function width(format: string, size: number): number {
  switch (format) {
    case "o":
      return Math.ceil(size * 8 / 3);
    case "x":
      return size * 2;
    case "u":
    case "d":
      return Math.ceil(size * 80 / 33);
    default:
      return 0;
  }
}

/**
 * Lines of a dump.
 *
 * @param digits Hexadecimal digits of an address.
 */
export function dumpMemory(read: ReadMemory, start: bigint, { count, format, size }: Format, digits: number): string {
  const line = size === 1 ? 8 : 16, step = format === "c" ? 1 : size, mask = digits * 4;
  let text = "", address = start;
  for (let left = Math.min(count * size, MOST); left > 0; left -= line, address += BigInt(line)) {
    text += `${BigInt.asUintN(mask, address).toString(16).padStart(digits, "0")}:`;
    const bytes = read(BigInt.asUintN(mask, address), Math.min(left, line));
    if (bytes === undefined) return `${text} Cannot access memory\n`;
    for (let at = 0; at < bytes.length; at += step) {
      let value = 0n;
      for (let k = Math.min(step, bytes.length - at) - 1; k >= 0; k--) value = value << 8n | BigInt(bytes[at + k]!);
      const word = format === "x"
        ? `0x${value.toString(16).padStart(width(format, step), "0")}`
        : valueText(format, value);
      text += ` ${word.padStart(width(format, step))}`;
    }
    text += "\n";
  }
  return text;
}

/** The 16-bit checksum of BSD's `sum`. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum = ((sum >> 1 | sum << 15) + byte) & 0xffff;
  return sum;
}
