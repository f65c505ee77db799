// Properties of devices: which there are, and how the values that users give are read, with errors in QEMU's words.

import { OptionError } from "./errors.ts";
import { nearest } from "./nearest.ts";

/** Types of properties, by QEMU's names for them. */
export type PropertyType = "bool" | "str" | "size" | "uint16" | "uint32" | "uint64" | "int32" | "OnOffAuto";

/** A property that a model has. */
export interface Property {
  readonly type: PropertyType;
  /** What `-device MODEL,help` says. */
  readonly help: string;
  /** The value where the user gives none; absent: undefined. */
  readonly usual?: string | number | boolean;
}

/** The properties of a model, by name. */
export type Properties = Readonly<Record<string, Property>>;

/** A value as users give it. */
export type PropertyValue = string | number | boolean;

const INTEGERS: Readonly<Partial<Record<PropertyType, readonly [min: number, max: number]>>> = {
  uint16: [0, 0xffff],
  uint32: [0, 0xffff_ffff],
  int32: [-0x8000_0000, 0x7fff_ffff],
  uint64: [0, Number.MAX_SAFE_INTEGER],
  size: [0, Number.MAX_SAFE_INTEGER],
};

const SUFFIXES: Readonly<Record<string, number>> = { "": 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/**
 * Reads a value.
 *
 * @param where The option, for messages.
 * @throws {OptionError} If it is not of the type.
 */
export function readValue(where: string, name: string, type: PropertyType, value: PropertyValue): PropertyValue {
  const fail = (expected: string) => new OptionError(`${where}: Parameter '${name}' expects ${expected}, not ${value}`);
  if (type === "str") return String(value);
  if (type === "bool" || type === "OnOffAuto") {
    const text = value === true ? "on" : value === false ? "off" : String(value);
    if (type === "OnOffAuto" && text === "auto") return "auto";
    if (/^(on|yes|true|y)$/.test(text)) return type === "bool" ? true : "on";
    if (/^(off|no|false|n)$/.test(text)) return type === "bool" ? false : "off";
    throw fail(type === "bool" ? "'on' or 'off'" : "'on', 'off' or 'auto'");
  }
  const [min, max] = INTEGERS[type]!;
  const match = /^(-?)(0x[0-9a-f]+|\d+)([bkmgt]?)$/i.exec(String(value));
  if (match === null || (match[3] !== "" && type !== "size")) throw fail(type === "size" ? "a size" : "an integer");
  const number = Number(match[2]) * SUFFIXES[match[3]!.toLowerCase()]! * (match[1] === "-" ? -1 : 1);
  if (number < min || number > max) throw fail(`${type === "size" ? "a size" : `${type}_t`} (${min} to ${max})`);
  return number;
}

/**
 * Reads the properties of a device: what the user gave, else what `-global` says, else the usual values.
 *
 * @param where The option, for messages.
 * @throws {OptionError} For a property that the model has not, naming the nearest, or a wrong value.
 */
export function readDeviceProperties(
  where: string,
  model: string,
  known: Properties,
  given: Readonly<Record<string, PropertyValue | undefined>>,
): ReadonlyMap<string, PropertyValue> {
  const result = new Map<string, PropertyValue>();
  for (const [name, { usual }] of Object.entries(known)) if (usual !== undefined) result.set(name, usual);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(known, name)) {
      throw new OptionError(`${where}: Property '${model}.${name}' not found${nearest(name, Object.keys(known))}`);
    }
    result.set(name, readValue(where, name, known[name]!.type, value));
  }
  return result;
}
