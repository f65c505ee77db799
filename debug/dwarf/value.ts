// Values of the guest's program: where they are, their bytes, and what they are in JavaScript.

import { DwarfError } from "./cursor.ts";
import { type Context, type Location, Unavailable } from "./expression.ts";
import type { ArrayType, BaseType, Member, RecordType, Type } from "./types.ts";

/**
 * A value in JavaScript, by its type:
 * - whole numbers up to 32 bits and floating-point numbers: `number`; larger whole numbers: `bigint`; truth values: `boolean`
 * - pointers and references: addresses, `number` on RV32 and `bigint` on RV64
 * - enumerations: their number; those of Rust the variant's name, or an object with that name and what the variant holds
 * - arrays, and tuples of Rust: arrays; of C's `char` and Rust's `&str`: text
 * - structures, classes, unions: objects
 * - undefined: optimised away, or not to be read
 *
 * @example
 * ```ts
 * import { Machine, type Plain } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/debug_c_5_0.elf" });
 * const nodes: Plain = machine.variable("nodes").value;
 * console.log(Array.isArray(nodes) && nodes.length);
 * ```
 */
export type Plain = number | bigint | boolean | string | undefined | Plain[] | { [member: string]: Plain };

/** Most bytes that a value in registers or pieces, or a bit field's, may have. */
const MAX_GATHERED = 65_536;
/** Most elements and text that are read of one value. */
const MAX_ELEMENTS = 1_000_000, MAX_TEXT = 65_536;
/** Values nested deeper than any that is not damaged. */
const MAX_DEPTH = 64;

/** Something that holds a value: memory, or bytes that were put together from elsewhere. */
export class Value {
  readonly type: Type;
  /** Where it is in memory; undefined if it is elsewhere. */
  readonly address: bigint | undefined;
  readonly #context: Context;
  readonly #gathered: Uint8Array | undefined;
  /** Its bits within `#gathered` or at `address`, if it is a bit field. */
  readonly bits: Member["bits"];

  private constructor(
    type: Type,
    context: Context,
    at: bigint | Uint8Array,
    bits?: Member["bits"],
  ) {
    this.type = type;
    this.#context = context;
    this.address = typeof at === "bigint" ? BigInt.asUintN(8 * context.addressSize, at) : undefined;
    this.#gathered = typeof at === "bigint" ? undefined : at;
    this.bits = bits;
  }

  /** What is at a location. */
  static at(location: Location, type: Type, context: Context): Value {
    if (location.kind === "memory") return new Value(type, context, location.address);
    if (type.size > MAX_GATHERED) throw new DwarfError(`a value of ${type.size} bytes that is not in memory`);
    return new Value(type, context, gather(location, type.size, context));
  }

  /** What is in memory at an address. */
  static inMemory(address: bigint, type: Type, context: Context): Value {
    return new Value(type, context, address);
  }

  /** A value that is nowhere. */
  static of(bytes: Uint8Array, type: Type, context: Context): Value {
    return new Value(type, context, bytes);
  }

  /**
   * Its bytes.
   *
   * @throws {Unavailable} If its memory is not there.
   */
  bytes(size: number = this.type.size): Uint8Array {
    if (this.address === undefined) return this.#gathered!.subarray(0, size);
    const bytes = this.#context.memory(this.address, size);
    if (bytes === undefined) throw new Unavailable(`no memory at 0x${this.address.toString(16)}`);
    return bytes;
  }

  /** The value as bits, unsigned: of a number, character, pointer, enumeration. */
  word(): bigint {
    if (this.bits === undefined) return wordOf(this.bytes());
    const { first, count } = this.bits, start = first >>> 3, end = (first + count + 7) >>> 3;
    if (!(count > 0 && count <= 128)) throw new DwarfError(`a bit field of ${count} bits`);
    const bytes = this.#part(start, end - start);
    return BigInt.asUintN(count, wordOf(bytes) >> BigInt(first & 7));
  }

  #part(offset: number, length: number): Uint8Array {
    if (this.address === undefined) return this.#gathered!.subarray(offset, offset + length);
    return new Value(this.type, this.#context, this.address + BigInt(offset)).bytes(length);
  }

  /** A whole number with its sign. */
  integer(): bigint {
    const word = this.word(), width = this.bits?.count ?? 8 * this.type.size;
    const signed = "signed" in this.type && this.type.signed;
    return signed ? BigInt.asIntN(width, word) : word;
  }

  /** A floating-point number, as near as JavaScript has it. */
  float(): number {
    const bytes = this.bytes(), view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    switch (this.type.size) {
      case 2:
        return smallFloat(wordOf(bytes), 5, 10);
      case 4:
        return view.getFloat32(0, true);
      case 8:
        return view.getFloat64(0, true);
      case 16:
        return smallFloat(wordOf(bytes), 15, 112);
    }
    throw new DwarfError(`a floating-point number of ${this.type.size} bytes`);
  }

  /** A member of a record. */
  member(member: Member): Value {
    const type = member.type(), { address } = this;
    if (member.bits !== undefined) return new Value(type, this.#context, address ?? this.#gathered!, member.bits);
    if (address !== undefined) return new Value(type, this.#context, address + BigInt(member.offset));
    return new Value(type, this.#context, this.#gathered!.subarray(member.offset, member.offset + type.size));
  }

  /** An element of an array. */
  element(index: number): Value {
    const type = (this.type as ArrayType).element();
    if (this.address !== undefined) {
      return new Value(type, this.#context, this.address + BigInt(index) * BigInt(type.size));
    }
    return new Value(type, this.#context, this.#gathered!.subarray(index * type.size, (index + 1) * type.size));
  }

  /** How many elements an array has that can be read. */
  get count(): number {
    const count = (this.type as ArrayType).count ?? 0;
    return Math.min(count, MAX_ELEMENTS);
  }

  /** What a pointer or reference points to; undefined if that has no type. */
  target(index = 0): Value | undefined {
    const type = this.type.kind === "pointer" || this.type.kind === "reference" ? this.type.target() : undefined;
    return type && new Value(type, this.#context, this.word() + BigInt(index) * BigInt(type.size));
  }

  /** The text at an address, up to a zero byte. */
  textAt(address: bigint, length = MAX_TEXT): Uint8Array {
    const found: number[] = [];
    for (let k = 0; k < length; k++) {
      const byte = this.#context.memory(BigInt.asUintN(8 * this.#context.addressSize, address + BigInt(k)), 1)?.[0];
      if (byte === undefined || byte === 0) break;
      found.push(byte);
    }
    return Uint8Array.from(found);
  }

  /** The variant that an enumeration of Rust has; undefined if it is none that there is. */
  variant(): Member | undefined {
    const variants = this.type.kind === "struct" ? this.type.variants() : undefined;
    if (variants === undefined) return undefined;
    const { discriminant, all } = variants;
    if (discriminant === undefined) return all[0]?.member;
    const value = this.member(discriminant), word = value.word(), width = BigInt(8 * value.type.size);
    const same = (each: bigint) => BigInt.asUintN(Number(width), each) === word;
    return (all.find(({ values }) => values?.some(same)) ?? all.find(({ values }) => values === undefined))?.member;
  }

  /** The members of a record under their names, those of what has no name included. */
  *members(depth = 0): Generator<{ readonly member: Member; readonly value: Value }> {
    if (this.type.kind !== "struct" && this.type.kind !== "union") return;
    for (const member of this.type.members()) {
      const value = this.member(member);
      if ((member.name === "" || member.base) && depth < MAX_DEPTH) yield* value.members(depth + 1);
      else yield { member, value };
    }
  }

  /** The value in JavaScript. */
  plain(depth = 0): Plain {
    if (depth > MAX_DEPTH) return undefined;
    try {
      return this.#plain(depth);
    } catch (error) {
      if (error instanceof Unavailable) return undefined;
      throw error;
    }
  }

  #plain(depth: number): Plain {
    const { type } = this;
    switch (type.kind) {
      case "boolean":
        return this.word() !== 0n;
      case "float":
        return this.float();
      case "character":
        return type.rust && type.name === "char" ? characterOf(this.word()) : Number(this.integer());
      case "integer":
      case "enum":
      case "pointer":
      case "reference": {
        const value = this.integer();
        return type.size <= 4 ? Number(value) : value;
      }
      case "array":
        return this.#array(depth);
      case "struct":
      case "union":
        return this.#record(type, depth);
    }
    return undefined;
  }

  #array(depth: number): Plain {
    const { count, type } = this, element = (type as ArrayType).element();
    if (isText(element)) {
      const bytes = this.bytes(count), end = bytes.indexOf(0);
      return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
    }
    // One read for the whole rather than one for each element.
    const all = this.address === undefined ? this : Value.of(this.bytes(), type, this.#context);
    return Array.from({ length: count }, (_, k) => all.element(k).plain(depth + 1));
  }

  #record(type: RecordType, depth: number): Plain {
    const text = this.rustText();
    if (text !== undefined) return new TextDecoder().decode(text);
    if (type.variants() !== undefined) {
      const member = this.variant();
      if (member === undefined) return undefined;
      const value = this.member(member), inner = value.plain(depth + 1);
      const empty = typeof inner === "object" && Object.keys(inner).length === 0;
      if (empty) return member.name;
      return { [member.name]: Array.isArray(inner) && isTuple(value.type) && inner.length === 1 ? inner[0] : inner };
    }
    if (isTuple(type)) return type.members().map((member) => this.member(member).plain(depth + 1));
    const result: { [member: string]: Plain } = {};
    for (const { member, value } of this.members()) result[member.name] = value.plain(depth + 1);
    return result;
  }

  /** The bytes of a `&str` of Rust; undefined for other types. */
  rustText(): Uint8Array | undefined {
    if (!isRustText(this.type)) return undefined;
    const find = (name: string) => (this.type as RecordType).members().find((member) => member.name === name);
    const pointer = find("data_ptr"), length = find("length");
    if (pointer === undefined || length === undefined) return undefined;
    const address = this.member(pointer).word(), count = Math.min(Number(this.member(length).word()), MAX_TEXT);
    const bytes = this.#context.memory(address, count);
    if (bytes === undefined) throw new Unavailable(`no memory at 0x${address.toString(16)}`);
    return bytes;
  }
}

/** True for `&str` of Rust. */
export function isRustText(type: Type): boolean {
  return type.kind === "struct" && type.rust && /^&(mut )?str$/.test(type.name);
}

/** True for a structure of Rust whose fields have no names. */
export function isTuple(type: Type): boolean {
  if (type.kind !== "struct" || !type.rust) return false;
  const members = type.members();
  return members.length > 0 && members.every(({ name }, k) => name === `__${k}`);
}

/** True for elements of which an array is a text: C's `char`. */
export function isText(element: Type): element is BaseType {
  return element.kind === "character" && element.size === 1 && !element.rust && /\bchar$/.test(element.name) &&
    !/unsigned|signed/.test(element.name);
}

/** The character that a number stands for, as a text. */
function characterOf(word: bigint): string {
  return word <= 0x10ffffn ? String.fromCodePoint(Number(word)) : "\ufffd";
}

/** The unsigned number that little-endian bytes are. */
export function wordOf(bytes: Uint8Array): bigint {
  if (bytes.length > 16) throw new DwarfError(`a number of ${bytes.length} bytes`);
  let value = 0n;
  for (let k = bytes.length - 1; k >= 0; k--) value = value << 8n | BigInt(bytes[k]!);
  return value;
}

/** A number in an IEEE 754 format that JavaScript has not. */
function smallFloat(word: bigint, exponentBits: number, fractionBits: number): number {
  const fraction = word & ((1n << BigInt(fractionBits)) - 1n);
  const exponent = Number(word >> BigInt(fractionBits)) & (2 ** exponentBits - 1);
  const sign = (word >> BigInt(fractionBits + exponentBits)) & 1n ? -1 : 1, bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 * bias + 1) return fraction === 0n ? sign * Infinity : NaN;
  const significand = Number(fraction) / 2 ** fractionBits + (exponent === 0 ? 0 : 1);
  return sign * significand * 2 ** (Math.max(exponent, 1) - bias);
}

/** The bytes of a value that is not in memory as a whole. */
function gather(location: Location, size: number, context: Context): Uint8Array {
  const result = new Uint8Array(size);
  const put = (word: bigint, bytes: number) => {
    for (let k = 0; k < Math.min(bytes, size); k++) result[k] = Number(word >> BigInt(8 * k) & 0xffn);
  };
  switch (location.kind) {
    case "memory": {
      const bytes = context.memory(location.address, size);
      if (bytes === undefined) throw new Unavailable(`no memory at 0x${location.address.toString(16)}`);
      return bytes;
    }
    case "register": {
      const word = context.register(location.register);
      if (word === undefined) throw new Unavailable(`register ${location.register} is not known`);
      put(word, 8);
      return result;
    }
    case "value": {
      const { bits, type } = location.value;
      put(BigInt.asIntN(8 * type.size, bits), 16);
      return result;
    }
    case "bytes":
      result.set(location.bytes.subarray(0, size));
      return result;
    case "none":
      throw new Unavailable("optimised away");
    case "pieces": {
      let all = 0n, at = 0;
      for (const { location: part, bits, skip } of location.pieces) {
        if (at + bits > 8 * MAX_GATHERED) throw new DwarfError("pieces beyond reason");
        const bytes = gather(part, (bits + skip + 7) >>> 3, context);
        let word = 0n;
        for (let k = bytes.length - 1; k >= 0; k--) word = word << 8n | BigInt(bytes[k]!);
        all |= BigInt.asUintN(bits, word >> BigInt(skip)) << BigInt(at);
        at += bits;
      }
      put(all, size);
      return result;
    }
  }
}
