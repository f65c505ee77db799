// How generated code reaches guest memory when addresses are physical: one masked compare decides between a typed array
// and the hart's slow path.

import type { Call, HartCall, Load, MemoryType, Store, Value } from "../isa/ir.ts";
import { LINE_SHIFT } from "../hart/memory.ts";
import { sizeOf } from "./emitter.ts";
import type { Pair } from "./emitter.ts";
import {
  add,
  call,
  type Expression,
  inside,
  isSimple,
  literal,
  literalValue,
  SHIFT,
  sub,
  SUM,
  xor,
} from "./expression.ts";

/** Number by which a slow path knows the access: its bytes, plus 16 for sign extension, plus 32 for an AMO. */
export function accessCode(memory: MemoryType, amo: boolean): number {
  return sizeOf(memory) + (memory === "i8" || memory === "i16" ? 16 : 0) + (amo ? 32 : 0);
}

/** The part of an emitter that is needed here. */
export interface ValueEmitter {
  narrow(v: Value): Expression;
  wide(v: Value): Pair;
  temp(e: Expression): Expression;
  /** The name of a temporary that has no value yet. */
  fresh(): Expression;
}

/** An address, ready to be used. */
export interface Address {
  /** Offset in RAM, valid if the test holds: a name. */
  readonly offset: Expression;
  /** What must be 0 beside the test of the offset: the high half of the base register on RV64. */
  readonly high: Expression | null;
  /** The address by halves, for the slow path. */
  readonly low: Expression;
  readonly fullHigh: Expression;
}

/** Generates accesses to RAM at a fixed place. */
export class MemoryAccess {
  #base: number;
  #size: number;
  #xlen: 32 | 64;

  constructor(base: number, size: number, xlen: 32 | 64) {
    this.#base = base;
    this.#size = size;
    this.#xlen = xlen;
  }

  /** Computes the address once. */
  address(emitter: ValueEmitter, v: Value): Address {
    if (this.#xlen === 32) {
      const low = emitter.narrow(v);
      const offset = emitter.temp(this.#subtract(low));
      return { offset, high: null, low: this.#addBase(offset), fullHigh: literal(0) };
    }
    // A register plus a 12-bit immediate: if the register's high half is 0 and the low half of the sum lies in RAM, then
    // the sum did not carry, since RAM keeps away from both ends of the first 4 GiB (see `#limit`).
    if (this.isOffset(v)) {
      const a = emitter.wide(v.a!), immediate = emitter.wide(v.b!);
      const name = isSimple(a.low) ? a.low : emitter.temp(a.low);
      const sum = add(name, immediate.low);
      const offset = emitter.temp(this.#subtract(sum));
      const low = this.#addBase(offset), fullHigh = this.highOfSum(name, a.high, immediate);
      return { offset, high: a.zeroExtended ? null : a.high, low, fullHigh };
    }
    const pair = emitter.wide(v);
    const offset = emitter.temp(this.#subtract(pair.low));
    return {
      offset,
      high: literalValue(pair.high) === 0 ? null : pair.high,
      low: this.#addBase(offset),
      fullHigh: pair.high,
    };
  }

  /** Whether an address is a register plus a 12-bit immediate that nothing else needs. */
  isOffset(v: Value): boolean {
    if (v.operation !== "add" || v.a!.operation !== "x" || v.uses > 1) return false;
    const immediate = v.b!.operation === "signExtend64" ? v.b!.a! : v.b!;
    return immediate.operation === "const" || immediate.operation === "field";
  }

  /** The high half of a sum. */
  protected highOfSum(low: Expression, high: Expression, immediate: Pair): Expression {
    const carry = `(${inside(low, SHIFT)} >>> 0) + (${inside(immediate.low, SHIFT)} >>> 0) > 4294967295 ? 1 : 0`;
    return { text: `${inside(high, SUM)} + ${inside(immediate.high, SUM + 1)} + (${carry}) | 0`, level: 7 };
  }

  /** Offset in RAM of an address. Where RAM is aligned to its size, an exclusive or does it without overflow. */
  #subtract(low: Expression): Expression {
    return this.#aligned ? xor(low, literal(this.#base | 0)) : sub(low, literal(this.#base | 0));
  }
  /** Address of an offset in RAM. */
  #addBase(offset: Expression): Expression {
    return this.#aligned ? xor(offset, literal(this.#base | 0)) : add(offset, literal(this.#base | 0));
  }
  get #aligned(): boolean {
    return this.#base % 2 ** Math.ceil(Math.log2(this.#size)) === 0;
  }

  /** Bytes from the start of RAM that the fast path reaches. */
  get #limit(): number {
    const end = this.#base + this.#size;
    return end > 0xffff_f000 ? this.#size - 4096 : this.#size;
  }

  /** Whether no address near 0 or 2^32 is memory: then a 12-bit offset cannot lead from memory out of the first 4 GiB. */
  get keepsFromEnds(): boolean {
    return this.#base >= 4096 && this.#base + this.#size <= 0xffff_f000;
  }

  /** Expression that is 0 where a low half lies in (the first power of two of) RAM. */
  outside(low: string): string {
    return `(${low} ^ ${this.#base | 0}) & ~0x${(largestPowerOfTwo(this.#size) - 1).toString(16)}`;
  }

  /** Whether `outside` is 0 for an address. */
  isInside(low: number): boolean {
    return this.keepsFromEnds && ((low ^ this.#base) & ~(largestPowerOfTwo(this.#size) - 1)) === 0;
  }

  /** Condition for the fast path. `stores`: the access is a store, or the load of an AMO. */
  test(address: Address, size: number, _stores = false): string {
    const limit = this.#limit, t = address.offset.text;
    if ((limit & (limit - 1)) === 0) {
      const allowed = limit - 1 & ~(size - 1);
      const masked = `${t} & ~0x${allowed.toString(16)}`;
      return address.high === null ? `(${masked}) === 0` : `(${masked} | ${inside(address.high, 7)}) === 0`;
    }
    // Rotated right, an offset that is misaligned or past the end is not below the limit.
    const log = Math.log2(size);
    const rotated = log === 0 ? `${t} >>> 0` : `(${t} >>> ${log} | ${t} << ${32 - log}) >>> 0`;
    const below = `(${rotated}) < ${limit >>> log}`;
    return address.high === null ? below : `${below} && ${inside(address.high, 11)} === 0`;
  }

  /** Condition for a store that nobody needs to notice. */
  unwatched(address: Address): string {
    return `LINES[${address.offset.text} >>> ${LINE_SHIFT}] === 0`;
  }

  #element(memory: MemoryType, address: Address): string {
    const t = address.offset.text;
    switch (memory) {
      case "i8":
        return `I8[${t}]`;
      case "u8":
        return `U8[${t}]`;
      case "i16":
        return `I16[${t} >> 1]`;
      case "u16":
        return `U16[${t} >> 1]`;
      default:
        return `I32[${t} >> 2]`;
    }
  }

  /** The fast path of a load into one or two names. */
  fastLoad(address: Address, memory: MemoryType, result: readonly Expression[]): string[] {
    const lines = [`${result[0]!.text} = ${this.#element(memory, address)};`];
    if (memory === "i64") lines.push(`${result[1]!.text} = I32[(${address.offset.text} >> 2) + 1];`);
    return lines;
  }
  /** The slow path of a load. */
  slowLoad(address: Address, s: Load, result: readonly Expression[]): string[] {
    const code = accessCode(s.memory, s.access === "amo");
    const lines = [`${result[0]!.text} = unit.load(${code}, ${address.low.text}, ${address.fullHigh.text}) | 0;`];
    if (s.memory === "i64") lines.push(`${result[1]!.text} = HIGH[0];`);
    return lines;
  }
  /** The fast path of a store. */
  fastStore(address: Address, memory: MemoryType, low: Expression, high: Expression | null): string[] {
    const narrow = memory === "i8" ? "u8" : memory === "i16" ? "u16" : memory;
    const lines = [`${this.#element(narrow, address)} = ${low.text};`];
    if (high !== null) lines.push(`I32[(${address.offset.text} >> 2) + 1] = ${high.text};`);
    return lines;
  }
  /** The slow path of a store. */
  slowStore(address: Address, s: Store, low: Expression, high: Expression | null): string {
    const code = accessCode(s.memory, s.access === "amo");
    const upper = high === null ? "0" : high.text;
    return `unit.store(${code}, ${address.low.text}, ${address.fullHigh.text}, ${low.text}, ${upper});`;
  }
}

function largestPowerOfTwo(size: number): number {
  return 2 ** Math.floor(Math.log2(size));
}

/** Hart functions that belong to the load-store unit. */
const UNIT_CALLS = new Set(["loadReserved", "storeConditional", "compareAndSwap", "cacheBlock", "push", "pop"]);

/** Hart functions that belong to the floating-point unit. */
const FLOAT_CALLS = new Set(["floatEnabled", "floatAllowed", "float"]);

/** Positions of the arguments that are as wide as a register: they go as two halves, on RV32 with an upper half of 0. */
export const WORD_ARGUMENTS: Readonly<Record<string, readonly number[]>> = {
  csr: [2],
  loadReserved: [1],
  storeConditional: [1, 2],
  compareAndSwap: [1],
  cacheBlock: [1],
};

/** The invocation of a hart function. */
export function hartCall(emitter: ValueEmitter, s: Call): Expression {
  const args = s.args.flatMap((value, position) => {
    if (value.type === "i64") {
      const pair = emitter.wide(value);
      return [pair.low, pair.high];
    }
    const word = emitter.narrow(value);
    return WORD_ARGUMENTS[s.name]?.includes(position) ? [word, literal(0)] : [word];
  });
  return call(`${callOwner(s.name)}.${s.name}`, ...args);
}

/** The object that a hart function belongs to. */
export function callOwner(name: HartCall): "unit" | "floats" | "hart" {
  return UNIT_CALLS.has(name) ? "unit" : FLOAT_CALLS.has(name) ? "floats" : "hart";
}
