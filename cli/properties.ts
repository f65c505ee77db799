// Reads what QEMU's options have after their name: texts with commas, key=value, numbers, on and off.

import { OptionError } from "../machine/errors.ts";
import { nearest } from "../machine/nearest.ts";

/** Splits at commas; two commas stand for one that belongs to the text. */
export function splitCommas(text: string): string[] {
  return text.replaceAll(",,", "\0").split(",").map((part) => part.replaceAll("\0", ","));
}

/**
 * Reads `value,key=value,…`: a first part without `=` gets the key `first`, any other without `=` the value `on`.
 *
 * @param option The option, for messages.
 * @param known The keys that there are; one with another is an error that names the nearest.
 */
export function readProperties(option: string, text: string, first: string, known: readonly string[]) {
  const properties = new Map<string, string>();
  splitCommas(text).forEach((part, index) => {
    const equals = part.indexOf("=");
    if (equals < 0 && index === 0) properties.set(first, part);
    else {
      const key = equals < 0 ? part : part.slice(0, equals);
      if (key !== first && !known.includes(key)) {
        throw new OptionError(`${option} ${text}: no property ${key}${nearest(key, known)}`);
      }
      properties.set(key, equals < 0 ? "on" : part.slice(equals + 1));
    }
  });
  return properties;
}

/** Reads a number as C writes it: decimal, or hexadecimal after `0x`. */
export function readNumber(option: string, text: string): bigint {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) throw new OptionError(`${option}: ${text || "nothing"} is not a number`);
  return BigInt(text);
}

/** Reads `on` or `off`. */
export function readSwitch(option: string, text: string): boolean {
  if (!/^(on|off|yes|no|true|false)$/.test(text)) throw new OptionError(`${option}: ${text} is neither on nor off`);
  return /^(on|yes|true)$/.test(text);
}

/** Throws the error for a value that is not among the known ones; `option` may end in `=`. */
export function unknownValue(option: string, value: string, known: readonly string[]): never {
  throw new OptionError(
    `${option}${option.endsWith("=") ? "" : " "}${value}: no such value${
      nearest(value, known) || `; there are ${known.join(", ")}`
    }`,
  );
}
