// Expressions that say where a value is or what it is (DWARF 5, 2.5 and 2.6).

import { AT, ENCODING } from "./constants.ts";
import { Cursor, DwarfError } from "./cursor.ts";
import {
  type BinaryOperation,
  binaryOperation,
  convert,
  genericType,
  type Typed,
  type ValueType,
} from "./typed_value.ts";
import type { Unit } from "./unit.ts";

/** Where a value is. */
export type Location =
  | { readonly kind: "memory"; readonly address: bigint }
  | { readonly kind: "register"; readonly register: number }
  /** Nowhere: this is the value. */
  | { readonly kind: "value"; readonly value: Typed }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** The compiler has optimised it away. */
  | { readonly kind: "none" }
  | { readonly kind: "pieces"; readonly pieces: readonly Piece[] };

/** A part of a value, from its lowest bit on. */
export interface Piece {
  readonly location: Location;
  /** Bits of the value. */
  readonly bits: number;
  /** Bits of the location that are left out. */
  readonly skip: number;
}

/** What an expression may ask for. What is not known is undefined. */
export interface Context {
  readonly addressSize: 4 | 8;
  /** The unit that the expression is in, for addresses and types by number. */
  readonly unit?: Unit | undefined;
  /** A register's value (RISC-V DWARF numbers: x 0 to 31, f 32 to 63, CSRs from 4096 on). */
  register(number: number): bigint | undefined;
  /** Bytes of the guest's memory. */
  memory(address: bigint, length: number): Uint8Array | undefined;
  /** Where something is that was linked at an address; without it, there. */
  relocate?(address: bigint): bigint;
  /** The CFA of the frame. */
  cfa?(): bigint | undefined;
  /** The frame base of the function. */
  frameBase?(): bigint | undefined;
  /** What an expression gave when the function was entered. */
  entryValue?(expression: Uint8Array): Typed | undefined;
}

/** Operations and depth of the stack that no expression needs. */
const MAX_OPERATIONS = 10_000, MAX_DEPTH = 256;

/** Something that an expression needs is not known: a register that was not saved, memory that is not there. */
export class Unavailable extends DwarfError {}

/** The base type at an offset of the unit, as typed operations name them; 0 is the generic type. */
function typeAt(unit: Unit | undefined, offset: number, addressSize: number): ValueType {
  if (offset === 0) return genericType(addressSize);
  const die = unit?.entry(unit.header.offset + offset);
  const size = die?.number(AT.byteSize);
  if (die === undefined || die === null || size === undefined) throw new DwarfError("a type that is none");
  const encoding = die.number(AT.encoding);
  const signed = encoding === ENCODING.signed || encoding === ENCODING.signedChar;
  return { size, float: encoding === ENCODING.float, signed };
}

/** The bits of little-endian bytes. */
function bitsOf(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let k = bytes.length - 1; k >= 0; k--) value = value << 8n | BigInt(bytes[k]!);
  return value;
}

const BINARY: Readonly<Record<number, BinaryOperation>> = {
  0x1a: "and",
  0x1b: "div",
  0x1c: "minus",
  0x1d: "mod",
  0x1e: "mul",
  0x21: "or",
  0x22: "plus",
  0x24: "shl",
  0x25: "shr",
  0x26: "shra",
  0x27: "xor",
  0x29: "eq",
  0x2a: "ge",
  0x2b: "gt",
  0x2c: "le",
  0x2d: "lt",
  0x2e: "ne",
};

/**
 * Evaluates an expression.
 *
 * @param initial What lies on the stack at first: the address of a structure for the location of its member.
 * @throws {Unavailable} If something is not known.
 * @throws {DwarfError} If the expression is damaged or not supported.
 */
export function evaluate(expression: Uint8Array, context: Context, initial: readonly bigint[] = []): Location {
  return new Evaluation(expression, context, initial).run();
}

/** Evaluates an expression that is to give a value rather than a place: CFA rules and call site values. */
export function evaluateValue(expression: Uint8Array, context: Context, initial: readonly bigint[] = []): Typed {
  const location = evaluate(expression, context, initial);
  switch (location.kind) {
    case "memory":
      return { bits: location.address, type: genericType(context.addressSize) };
    case "value":
      return location.value;
    case "register": {
      const bits = context.register(location.register);
      if (bits === undefined) throw new Unavailable(`register ${location.register} is not known`);
      return { bits, type: genericType(context.addressSize) };
    }
  }
  throw new DwarfError("an expression that is no value");
}

class Evaluation {
  readonly #cursor: Cursor;
  readonly #context: Context;
  readonly #generic: ValueType;
  readonly #stack: Typed[] = [];
  readonly #pieces: Piece[] = [];
  /** What the operations since the last piece say of the location, if it is not the address on the stack. */
  #location: Location | undefined;

  constructor(expression: Uint8Array, context: Context, initial: readonly bigint[]) {
    this.#cursor = new Cursor(expression);
    this.#context = context;
    this.#generic = genericType(context.addressSize);
    for (const bits of initial) this.#push(bits);
  }

  run(): Location {
    const cursor = this.#cursor;
    if (cursor.done) return { kind: "none" };
    for (let count = 0; !cursor.done; count++) {
      if (count === MAX_OPERATIONS) throw new DwarfError("an expression that does not end");
      this.#operation(cursor.u8());
    }
    if (this.#pieces.length === 0) return this.#taken();
    return { kind: "pieces", pieces: this.#pieces };
  }

  /** The location that the operations so far have described. */
  #taken(): Location {
    const location = this.#location ?? { kind: "memory", address: this.#pop().bits };
    this.#location = undefined;
    return location;
  }

  #push(bits: bigint, type = this.#generic): void {
    if (this.#stack.length === MAX_DEPTH) throw new DwarfError("an expression with too deep a stack");
    this.#stack.push({ bits: BigInt.asUintN(8 * type.size, bits), type });
  }

  #pop(): Typed {
    const value = this.#stack.pop();
    if (value === undefined) throw new DwarfError("an expression that takes more than there is");
    return value;
  }

  #pick(index: number): void {
    const value = this.#stack.at(-1 - index);
    if (value === undefined) throw new DwarfError("an expression that takes more than there is");
    this.#push(value.bits, value.type);
  }

  #register(number: number): bigint {
    const value = this.#context.register(number);
    if (value === undefined) throw new Unavailable(`register ${number} is not known`);
    return value;
  }

  #load(address: bigint, size: number): bigint {
    if (size > 16) throw new DwarfError(`an expression that reads ${size} bytes`);
    const bytes = this.#context.memory(BigInt.asUintN(8 * this.#context.addressSize, address), size);
    if (bytes === undefined) throw new Unavailable(`no memory at 0x${address.toString(16)}`);
    return bitsOf(bytes);
  }

  #jump(): void {
    const distance = this.#cursor.i16(), target = this.#cursor.position + distance;
    if (target < 0 || target > this.#cursor.end) throw new DwarfError("an expression that jumps out of itself");
    this.#cursor.position = target;
  }

  #type(): ValueType {
    return typeAt(this.#context.unit, this.#cursor.uleb(), this.#context.addressSize);
  }

  #relocated(address: bigint): bigint {
    return this.#context.relocate?.(address) ?? address;
  }

  #need<T>(value: T | undefined, what: string): T {
    if (value === undefined) throw new Unavailable(`${what} is not known`);
    return value;
  }

  #operation(opcode: number): void {
    const cursor = this.#cursor, { addressSize } = this.#context;
    const binary = BINARY[opcode];
    if (binary !== undefined) {
      const right = this.#pop(), left = this.#pop();
      const { bits, type } = binaryOperation(binary, left, right, this.#generic);
      return this.#push(bits, type);
    }
    if (opcode >= 0x30 && opcode <= 0x4f) return this.#push(BigInt(opcode - 0x30));
    if (opcode >= 0x50 && opcode <= 0x6f) return void (this.#location = { kind: "register", register: opcode - 0x50 });
    if (opcode >= 0x70 && opcode <= 0x8f) return this.#push(this.#register(opcode - 0x70) + cursor.bigSleb());
    switch (opcode) {
      case 0x03: // addr
        return this.#push(this.#relocated(cursor.unsigned(addressSize)));
      case 0x06: // deref
        return this.#push(this.#load(this.#pop().bits, addressSize));
      case 0x08:
        return this.#push(cursor.unsigned(1));
      case 0x09:
        return this.#push(cursor.signed(1));
      case 0x0a:
        return this.#push(cursor.unsigned(2));
      case 0x0b:
        return this.#push(cursor.signed(2));
      case 0x0c:
        return this.#push(cursor.unsigned(4));
      case 0x0d:
        return this.#push(cursor.signed(4));
      case 0x0e:
        return this.#push(cursor.unsigned(8));
      case 0x0f:
        return this.#push(cursor.signed(8));
      case 0x10: // constu
        return this.#push(cursor.bigUleb());
      case 0x11: // consts
        return this.#push(cursor.bigSleb());
      case 0x12: // dup
        return this.#pick(0);
      case 0x13: // drop
        return void this.#pop();
      case 0x14: // over
        return this.#pick(1);
      case 0x15: // pick
        return this.#pick(cursor.u8());
      case 0x16: { // swap
        const top = this.#pop(), below = this.#pop();
        this.#stack.push(top, below);
        return;
      }
      case 0x17: { // rot
        const first = this.#pop(), second = this.#pop(), third = this.#pop();
        this.#stack.push(first, third, second);
        return;
      }
      case 0x19: { // abs
        const { bits, type } = this.#pop(), value = BigInt.asIntN(8 * type.size, bits);
        if (type.float) return this.#push(bits & ((1n << BigInt(8 * type.size - 1)) - 1n), type);
        return this.#push(value < 0n ? -value : value, type);
      }
      case 0x1f: { // neg
        const { bits, type } = this.#pop();
        return this.#push(type.float ? bits ^ (1n << BigInt(8 * type.size - 1)) : -bits, type);
      }
      case 0x20: { // not
        const { bits, type } = this.#pop();
        return this.#push(~bits, type);
      }
      case 0x23: { // plus_uconst
        const { bits, type } = this.#pop();
        return this.#push(bits + cursor.bigUleb(), type);
      }
      case 0x28: // bra
        if (this.#pop().bits !== 0n) this.#jump();
        else cursor.skip(2);
        return;
      case 0x2f: // skip
        return this.#jump();
      case 0x90: // regx
        this.#location = { kind: "register", register: cursor.uleb() };
        return;
      case 0x91: // fbreg
        return this.#push(this.#need(this.#context.frameBase?.(), "the frame base") + cursor.bigSleb());
      case 0x92: // bregx
        return this.#push(this.#register(cursor.uleb()) + cursor.bigSleb());
      case 0x93: // piece
        return this.#piece(8 * cursor.uleb(), 0);
      case 0x9d: // bit_piece
        return this.#piece(cursor.uleb(), cursor.uleb());
      case 0x94: // deref_size
        return this.#push(this.#load(this.#pop().bits, cursor.u8()));
      case 0x96: // nop
        return;
      case 0x9b: // form_tls_address
      case 0xe0: // GNU_push_tls_address
        throw new Unavailable("thread-local storage is not supported");
      case 0x9c: // call_frame_cfa
        return this.#push(this.#need(this.#context.cfa?.(), "the CFA"));
      case 0x9e: // implicit_value
        this.#location = { kind: "bytes", bytes: cursor.block(cursor.uleb()) };
        return;
      case 0x9f: // stack_value
        this.#location = { kind: "value", value: this.#pop() };
        return;
      case 0xa0: // implicit_pointer
      case 0xf2: // GNU_implicit_pointer
        throw new Unavailable("it points to what was optimised away");
      case 0xa1: // addrx
      case 0xa2: // constx
      case 0xfb: // GNU_addr_index
      case 0xfc: { // GNU_const_index
        const { unit } = this.#context;
        if (unit === undefined) throw new DwarfError("an address by number outside of a unit");
        const address = unit.indexedAddress(cursor.uleb());
        return this.#push(opcode === 0xa1 || opcode === 0xfb ? this.#relocated(address) : address);
      }
      case 0xa3: // entry_value
      case 0xf3: { // GNU_entry_value
        const { bits, type } = this.#need(
          this.#context.entryValue?.(cursor.block(cursor.uleb())),
          "the value at entry",
        );
        return this.#push(bits, type);
      }
      case 0xa4: // const_type
      case 0xf4: {
        const type = this.#type();
        return this.#push(bitsOf(cursor.block(cursor.u8())), type);
      }
      case 0xa5: // regval_type
      case 0xf5: {
        const bits = this.#register(cursor.uleb());
        return this.#push(bits, this.#type());
      }
      case 0xa6: // deref_type
      case 0xf6: {
        const size = cursor.u8(), type = this.#type();
        return this.#push(this.#load(this.#pop().bits, size), type);
      }
      case 0xa8: // convert
      case 0xf7: {
        const type = this.#type();
        return this.#push(convert(this.#pop(), type), type);
      }
      case 0xa9: // reinterpret
      case 0xf9: {
        const type = this.#type();
        return this.#push(this.#pop().bits, type);
      }
      case 0xf0: // GNU_uninit
        return;
    }
    throw new DwarfError(`the operation 0x${opcode.toString(16)} is not supported`);
  }

  #piece(bits: number, skip: number): void {
    if (this.#pieces.length === MAX_DEPTH) throw new DwarfError("an expression with too many pieces");
    const empty = this.#location === undefined && this.#stack.length === 0;
    this.#pieces.push({ location: empty ? { kind: "none" } : this.#taken(), bits, skip });
  }
}
