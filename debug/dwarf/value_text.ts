// Values as text, in the form that GDB prints.

import { DwarfError } from "./cursor.ts";
import { Unavailable } from "./expression.ts";
import type { EnumType, Member, Type } from "./types.ts";
import { isRustText, type Value } from "./value.ts";

/** Elements that GDB prints of an array or text, and from how many equal ones on it counts them. */
const ELEMENTS = 200, REPEATS = 10;
/** Values nested deeper are printed as `{...}`. */
const MAX_DEPTH = 20;

/** Names an address: `<symbol+4>`; undefined where no symbol is. */
export type NameAddress = (address: bigint) => string | undefined;

/** Writes values; `name` gives addresses their names. */
export class ValueText {
  readonly #name: NameAddress;

  constructor(name: NameAddress) {
    this.#name = name;
  }

  /** A value as `print` of GDB shows it: a pointer with its type. */
  print(value: Value): string {
    const { type } = value, text = this.format(value);
    const typed = type.kind === "pointer" && !type.rust && !this.#isTextPointer(type) &&
      this.#targetKind(type) !== "function";
    const call = type.kind === "pointer" && this.#targetKind(type) === "function";
    if (type.kind === "reference" && !text.startsWith("<")) return `(${type.name}) ${text}`;
    return (typed || call || (type.kind === "pointer" && type.rust)) && !text.startsWith("<")
      ? `(${type.name}) ${text}`
      : text;
  }

  /** A value as part of another. */
  format(value: Value, depth = 0): string {
    try {
      // What is not there at all is said once, not for every part of it.
      if (value.address !== undefined && value.type.size > 0) value.bytes(1);
      return this.#format(value, depth);
    } catch (error) {
      if (error instanceof Unavailable) {
        return error.message.startsWith("no memory")
          ? `<error: Cannot access memory at address ${error.message.replace(/^.* /, "")}>`
          : "<optimized out>";
      }
      if (error instanceof DwarfError) return `<error: ${error.message}>`;
      throw error;
    }
  }

  /** A value as the argument of a function in a backtrace: records and arrays only as `...`. */
  argument(value: Value): string {
    const { type } = value,
      isWhole = (type: Type | undefined) =>
        type?.kind === "array" || type?.kind === "union" || (type?.kind === "struct" && !isRustText(type));
    if (isWhole(type) || (type.kind === "reference" && isWhole(type.target()))) return "...";
    return this.format(value);
  }

  #format(value: Value, depth: number): string {
    const { type } = value;
    switch (type.kind) {
      case "boolean": {
        const word = value.word();
        return word === 0n ? "false" : word === 1n ? "true" : `${word}`;
      }
      case "integer":
        return `${value.integer()}`;
      case "character":
        return this.#character(value);
      case "float":
        return floatText(value.float(), type.size);
      case "enum":
        return enumText(type, value.word());
      case "pointer":
        return this.#pointer(value, type);
      case "reference": {
        const target = value.target(), at = `@0x${value.word().toString(16)}`;
        return target === undefined || depth > 0 ? at : `${at}: ${this.format(target, depth + 1)}`;
      }
      case "array":
        return this.#array(value, depth);
      case "struct":
      case "union":
        return depth > MAX_DEPTH ? "{...}" : this.#record(value, depth);
      case "function":
        return `{${type.name}} 0x${(value.address ?? 0n).toString(16)}`;
    }
    return value.address === undefined ? "<unknown type>" : `<unknown type> at 0x${value.address.toString(16)}`;
  }

  #targetKind(type: Type): Type["kind"] | undefined {
    return type.kind === "pointer" ? type.target()?.kind : undefined;
  }

  #isTextPointer(type: Type): boolean {
    const target = type.kind === "pointer" ? type.target() : undefined;
    return target !== undefined && target.kind === "character" && target.size === 1;
  }

  #character(value: Value): string {
    const { type } = value, code = Number(value.word());
    if (type.rust && type.name !== "char") return `${value.integer()}`;
    const text = type.rust && code > 126 && code <= 0x10ffff ? String.fromCodePoint(code) : escape(code & 0xff, "'");
    return `${value.integer()} '${text}'`;
  }

  #pointer(value: Value, type: Type): string {
    const address = value.word(), text = `0x${address.toString(16)}`;
    if (this.#isTextPointer(type) && address !== 0n && !type.rust) {
      const bytes = value.textAt(address, ELEMENTS + 1), readable = bytes.length > 0 || this.#readable(value);
      if (!readable) return `${text} <error: Cannot access memory at address ${text}>`;
      const name = this.#name(address);
      return `${text}${name === undefined ? "" : ` ${name}`} ${
        textOf(bytes.subarray(0, ELEMENTS), bytes.length > ELEMENTS)
      }`;
    }
    const name = this.#name(address);
    return name === undefined ? text : `${text} ${name}`;
  }

  #readable(value: Value): boolean {
    try {
      return value.target()!.bytes(1).length === 1;
    } catch (error) {
      if (error instanceof DwarfError) return false;
      throw error;
    }
  }

  #array(value: Value, depth: number): string {
    const { type, count } = value;
    if (type.kind !== "array") return "";
    const element = type.element(), shown = Math.min(count, ELEMENTS);
    if (!type.rust && element.kind === "character" && element.size === 1) {
      let bytes = value.bytes(shown);
      // The last zero of a whole text goes without saying.
      if (count <= ELEMENTS && bytes.at(-1) === 0) bytes = bytes.subarray(0, -1);
      return textOf(bytes, count > ELEMENTS);
    }
    const open = type.rust ? "[" : "{", close = type.rust ? "]" : "}";
    if (count === 0) return open + close;
    const parts: string[] = [];
    let last = "", repeats = 0;
    const flush = () => {
      if (repeats === 0) return;
      if (repeats >= REPEATS) parts.push(`${last} <repeats ${repeats} times>`);
      else for (let k = 0; k < repeats; k++) parts.push(last);
    };
    for (let k = 0; k < count && parts.length < ELEMENTS; k++) {
      const text = this.format(value.element(k), depth + 1);
      if (text === last && repeats > 0) repeats++;
      else {
        flush();
        last = text;
        repeats = 1;
      }
      // An array of one value throughout is not read to its end for that.
      if (k >= 4 * ELEMENTS && parts.length + repeats > ELEMENTS) break;
    }
    flush();
    const more = parts.length > ELEMENTS || count > 4 * ELEMENTS + 1 ? "..." : "";
    return `${open}${parts.slice(0, ELEMENTS).join(", ")}${more}${close}`;
  }

  #record(value: Value, depth: number): string {
    const { type } = value;
    if (type.kind !== "struct" && type.kind !== "union") return "";
    const text = value.rustText();
    if (text !== undefined) return textOf(text.subarray(0, ELEMENTS), text.length > ELEMENTS);
    if (type.rust) return this.#rust(value, depth);
    const parts: string[] = [];
    for (const member of type.members()) {
      const inner = this.format(value.member(member), depth + 1);
      parts.push(
        member.base ? `<${member.name}> = ${inner}` : member.name === "" ? inner : `${member.name} = ${inner}`,
      );
    }
    return `{${parts.length === 0 ? "<No data fields>" : parts.join(", ")}}`;
  }

  #rust(value: Value, depth: number): string {
    const { type } = value;
    if (type.kind !== "struct" && type.kind !== "union") return "";
    if (type.kind === "struct" && type.variants() !== undefined) {
      const member = value.variant();
      if (member === undefined) return "<no such variant>";
      return `${type.name}::${member.name}${this.#fields(value.member(member), depth, true)}`;
    }
    const tuple = type.name.startsWith("(");
    return `${tuple ? "" : type.name}${this.#fields(value, depth, !tuple)}`;
  }

  /** What a structure of Rust holds: in parentheses where its fields have no names. */
  #fields(value: Value, depth: number, named: boolean): string {
    const members = (value.type.kind === "struct" || value.type.kind === "union") ? value.type.members() : [];
    const text = (member: Member) => this.format(value.member(member), depth + 1);
    if (members.length === 0) return named ? "" : "()";
    if (members.every(({ name }) => /^__\d+$/.test(name))) {
      const sorted = members.toSorted((a, b) => Number(a.name.slice(2)) - Number(b.name.slice(2)));
      return `(${sorted.map(text).join(", ")}${members.length === 1 && !named ? "," : ""})`;
    }
    return ` {${members.map((member) => `${member.name}: ${text(member)}`).join(", ")}}`;
  }
}

/** A byte as C would write it in a text or character. */
function escape(code: number, quote: string): string {
  const named = { 7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 27: "\\033", 92: "\\\\" };
  const known = (named as Record<number, string>)[code];
  if (known !== undefined) return known;
  if (code < 32 || code > 126) return `\\${code.toString(8).padStart(3, "0")}`;
  const text = String.fromCharCode(code);
  return text === quote ? `\\${text}` : text;
}

/** A text in quotes, with long runs of one character counted. */
export function textOf(bytes: Uint8Array, cut: boolean): string {
  const parts: string[] = [];
  let open = "";
  const close = () => {
    if (open !== "") parts.push(`"${open}"`);
    open = "";
  };
  for (let k = 0; k < bytes.length;) {
    let end = k + 1;
    while (end < bytes.length && bytes[end] === bytes[k]) end++;
    if (end - k > REPEATS - 1) {
      close();
      parts.push(`'${escape(bytes[k]!, "'")}' <repeats ${end - k} times>`);
    } else for (; k < end; k++) open += escape(bytes[k]!, '"');
    k = end;
  }
  close();
  return `${parts.join(", ") || '""'}${cut ? "..." : ""}`;
}

/** A number as C's `%g` writes it, with as many digits as make it unique. */
export function floatText(value: number, size: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const digits = size === 2 ? 5 : size === 4 ? 9 : size === 8 ? 17 : 17;
  const [mantissa = "", exponentText = "0"] = value.toExponential(digits - 1).split("e");
  const exponent = Number(exponentText);
  const trim = (text: string) => text.includes(".") ? text.replace(/\.?0+$/, "") : text;
  if (exponent < -4 || exponent >= digits) {
    return `${trim(mantissa)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  return trim(exact(value, digits - 1 - exponent));
}

/** `toFixed` for more decimals than it is exact for: the digits are those of the number in binary. */
function exact(value: number, decimals: number): string {
  return value.toFixed(Math.min(100, Math.max(0, decimals)));
}

/** An enumerator's name; a combination of flags as `(A | B)`; else the number. */
function enumText(type: EnumType, word: bigint): string {
  const all = type.enumerators(), name = all.get(word);
  const scope = type.rust || !type.name.startsWith("enum ") ? `${type.name}::` : "";
  if (name !== undefined) return scope + name;
  const flags = [...all].filter(([value]) => value !== 0n);
  const disjoint = flags.every(([value], k) => flags.slice(0, k).every(([other]) => (other & value) === 0n));
  if (flags.length === 0 || !disjoint || !flags.every(([value]) => isRun(value))) {
    return `${type.signed ? BigInt.asIntN(8 * type.size, word) : word}`;
  }
  const set = flags.filter(([value]) => (word & value) === value);
  const rest = set.reduce((left, [value]) => left & ~value, word);
  if (set.length === 0) return word === 0n ? "0" : `(unknown: 0x${word.toString(16)})`;
  const names = set.map(([, each]) => scope + each);
  return `(${[...names, ...rest === 0n ? [] : [`unknown: 0x${rest.toString(16)}`]].join(" | ")})`;
}

/** True if the set bits stand next to one another, as GDB wants of flags. */
function isRun(value: bigint): boolean {
  let word = value;
  while ((word & 1n) === 0n) word >>= 1n;
  return (word & (word + 1n)) === 0n;
}
