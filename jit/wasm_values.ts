// Values of the IR as WebAssembly: pushes them on the stack, each computed once.

import type { Value } from "../isa/ir.ts";
import { isSignExtension, type KnownExtensions } from "./passes/sign_extensions.ts";
import type { PlainInstruction, WasmFunction, WasmType } from "./wasm_assembler.ts";

/** What else values depend on. */
export interface WasmOperands {
  /** Pushes an integer register. */
  register(n: number): void;
  /** Whether a 64-bit register is the sign extension of its low half, which is at hand. */
  isNarrow(n: number): boolean;
  /** Pushes the low half of a 64-bit register. */
  lowHalf(n: number): void;
  /** Pushes the address of the instruction, or of the next one. */
  address(which: "pc" | "next"): void;
  /** Pushes an operand that is not known while emitting. */
  field(v: Value): void;
  /** Pushes the 64 bits of a floating-point register. */
  floatRegister(n: number): void;
  /** Pushes the high half that an imported function left behind. */
  highHalf(): void;
}

const BINARY: Readonly<Record<string, string>> = {
  add: "add",
  sub: "sub",
  and: "and",
  or: "or",
  xor: "xor",
  mul: "mul",
  shiftLeft: "shl",
  shiftRightUnsigned: "shr_u",
  shiftRightSigned: "shr_s",
  rotateLeft: "rotl",
  rotateRight: "rotr",
};
const COMPARE: Readonly<Record<string, string>> = {
  eq: "eq",
  ne: "ne",
  ltSigned: "lt_s",
  ltUnsigned: "lt_u",
  geSigned: "ge_s",
  geUnsigned: "ge_u",
};
const COUNT: Readonly<Record<string, string>> = {
  countLeadingZeros: "clz",
  countTrailingZeros: "ctz",
  countOnes: "popcnt",
};

/** Local variables by value: a map of the few that one instruction has. */
class ValueLocals {
  readonly #values: Value[] = [];
  readonly #locals: number[] = [];

  get(value: Value): number | undefined {
    const k = this.#values.lastIndexOf(value);
    return k < 0 ? undefined : this.#locals[k];
  }
  has(value: Value): boolean {
    return this.#values.includes(value);
  }
  set(value: Value, local: number): void {
    this.#values.push(value);
    this.#locals.push(local);
  }
  clear(): void {
    this.#values.length = this.#locals.length = 0;
  }
}

const NONE: Readonly<Record<WasmType, number>> = { i32: 0, i64: 0, f32: 0, f64: 0 };
const TEMP_NAMES: Readonly<Record<WasmType, string>> = { i32: "t", i64: "u", f32: "p", f64: "v" };

/** Emits values into a function. */
export class WasmValues {
  readonly #f: WasmFunction;
  readonly #operands: WasmOperands;
  /** Temporaries by type, and how many of them the present instruction has taken. */
  readonly #temps: Record<WasmType, number[]> = { i32: [], i64: [], f32: [], f64: [] };
  #taken: Record<WasmType, number> = { ...NONE };
  readonly #held = new ValueLocals();
  /** The same of the low halves of 64-bit values that are their sign extensions. */
  readonly #heldLow = new ValueLocals();
  /** i32 values below 2^31. */
  readonly #small = new Set<Value>();

  constructor(f: WasmFunction, operands: WasmOperands) {
    this.#f = f;
    this.#operands = operands;
  }

  /** Starts an instruction: temporaries of the last one may be used again. */
  begin(): void {
    this.#taken = { ...NONE };
    this.#held.clear();
    this.#heldLow.clear();
    this.#small.clear();
  }

  /** A local variable that is free until the instruction ends. */
  temp(type: WasmType): number {
    const temps = this.#temps[type], index = this.#taken[type]++;
    return temps[index] ??= this.#f.local(type, `${TEMP_NAMES[type]}${index}`);
  }

  /** Says in which local variable a `temp` value is. `small`: it is an i32 below 2^31. */
  define(value: Value, local: number, small = false): void {
    this.#held.set(value, local);
    if (small) this.#small.add(value);
  }
  /** The same of a 64-bit value that is the sign extension of an i32. */
  defineLow(value: Value, local: number): void {
    this.#heldLow.set(value, local);
  }

  readonly #known: KnownExtensions = {
    isExtension: (v) => {
      if (this.#held.has(v)) return false;
      if (this.#heldLow.has(v)) return true;
      return v.operation === "x" ? this.#operands.isNarrow(v.low) : undefined;
    },
    isSmall: (v) => this.#small.has(v),
  };

  /** Whether a 64-bit value is the sign extension of its low half, which is as cheap to have. */
  isNarrow(v: Value): boolean {
    return isSignExtension(v, this.#known);
  }

  /** Pushes the low half of a 64-bit value. */
  pushLow(v: Value): void {
    const f = this.#f, held = this.#heldLow.get(v), { a, b, operation } = v;
    if (held !== undefined) return f.get(held);
    if (operation === "x" && !this.#held.has(v)) return this.#operands.lowHalf(v.low);
    if (!this.isNarrow(v)) {
      this.push(v);
      return f.op("i32.wrap_i64");
    }
    switch (operation) {
      case "const":
        return f.i32(v.low);
      case "select":
        this.pushLow(b!), this.pushLow(v.c!), this.push(a!), f.op("select");
        break;
      case "shiftRightSigned":
        this.pushLow(a!), this.push(b!), f.op("i32.shr_s");
        break;
      case "and":
      case "or":
      case "xor":
        this.pushLow(a!), this.pushLow(b!), f.op(`i32.${operation}`);
        break;
      default:
        this.push(a!);
    }
    if (v.uses < 2) return;
    const local = this.temp("i32");
    f.tee(local);
    this.#heldLow.set(v, local);
  }

  /** Pushes a value. */
  push(v: Value): void {
    const f = this.#f, held = this.#held.get(v);
    if (held !== undefined) return f.get(held);
    if (v.operation !== "x" && v.operation !== "const" && v.operation !== "zeroExtend64" && this.isNarrow(v)) {
      this.pushLow(v);
      return f.op("i64.extend_i32_s");
    }
    this.#compute(v);
    const isLeaf = v.a === null;
    if (v.uses < 2 || isLeaf) return;
    const local = this.temp(v.type as WasmType);
    f.tee(local);
    this.#held.set(v, local);
  }

  /** Pushes a value as an i32 by halves: one for an i32, low and high for an i64. */
  pushHalves(v: Value): void {
    const f = this.#f;
    this.push(v);
    if (v.type !== "i64") return;
    const local = this.temp("i64");
    f.set(local);
    this.pushHalvesOf(local);
  }
  /** The same of a local variable. */
  pushHalvesOf(local: number): void {
    const f = this.#f;
    f.get(local), f.op("i32.wrap_i64");
    f.get(local), f.i64(32, 0), f.op("i64.shr_u"), f.op("i32.wrap_i64");
  }
  /** Makes an i64 of a low half on the stack and the high half that an imported function left behind. */
  joinHalves(): void {
    const f = this.#f;
    f.op("i64.extend_i32_u");
    this.#operands.highHalf();
    f.op("i64.extend_i32_u"), f.i64(32, 0), f.op("i64.shl"), f.op("i64.or");
  }

  #constant(type: WasmType, low: number, high: number): void {
    if (type === "i32") this.#f.i32(low);
    else this.#f.i64(low, high);
  }

  #compute(v: Value): void {
    const f = this.#f, { a, b, operation } = v, type = v.type as WasmType;
    const op = (of: WasmType, name: string) => f.op(`${of}.${name}` as PlainInstruction);
    if (operation in COMPARE) {
      const isZero = b!.operation === "const" && b!.low === 0 && (b!.type === "i32" || b!.high === 0);
      // Sign extensions compare as what they extend, with signs and without.
      const narrow = this.isNarrow(a!) && this.isNarrow(b!), of = narrow ? "i32" : a!.type as WasmType;
      narrow ? this.pushLow(a!) : this.push(a!);
      if (operation === "eq" && isZero) return op(of, "eqz");
      narrow ? this.pushLow(b!) : this.push(b!);
      return op(of, COMPARE[operation]!);
    }
    if (operation in COUNT) {
      this.push(a!);
      return op(type, COUNT[operation]!);
    }
    if (operation in BINARY) {
      const shifts = operation.startsWith("shift") || operation.startsWith("rotate");
      this.push(a!);
      this.push(b!);
      if (shifts && type === "i64") f.op("i64.extend_i32_u");
      return op(type, BINARY[operation]!);
    }
    switch (operation) {
      case "const":
        return this.#constant(type, v.low, v.high);
      case "x":
        return this.#operands.register(v.low);
      case "f":
        return this.#operands.floatRegister(v.low);
      case "pc":
      case "next":
        return this.#operands.address(operation);
      case "field":
        return this.#operands.field(v);
      case "wrap":
        return this.pushLow(a!);
      case "signExtend64":
        this.push(a!);
        return f.op("i64.extend_i32_s");
      case "zeroExtend64":
        this.push(a!);
        return f.op("i64.extend_i32_u");
      case "signExtend8":
        this.push(a!);
        return f.op("i32.extend8_s");
      case "signExtend16":
        this.push(a!);
        return f.op("i32.extend16_s");
      case "zeroExtend8":
      case "zeroExtend16":
        this.push(a!);
        f.i32(operation === "zeroExtend8" ? 0xff : 0xffff);
        return f.op("i32.and");
      case "select":
        this.push(b!);
        this.push(v.c!);
        this.push(a!);
        return f.op("select");
      case "mulHighSigned":
      case "mulHighUnsigned":
      case "mulHighSignedUnsigned":
        return type === "i32" ? this.#highProduct32(v) : this.#highProduct64(v);
      case "divSigned":
      case "divUnsigned":
      case "remSigned":
      case "remUnsigned":
        return this.#divide(v, type);
      case "pure": {
        const count = (type === "i64" ? 2 : 1) * (b === null ? 1 : 2);
        this.pushHalves(a!);
        if (b !== null) this.pushHalves(b);
        f.call(`${v.name}${type === "i64" ? 64 : 32}`, count, 1);
        if (type === "i64") this.joinHalves();
        return;
      }
      default:
        throw new Error(`no WebAssembly for ${operation}`);
    }
  }

  /** A value in a local variable. */
  #local(v: Value): number {
    const local = this.temp(v.type as WasmType);
    this.push(v);
    this.#f.set(local);
    return local;
  }

  #highProduct32({ a, b, operation }: Value): void {
    const f = this.#f;
    this.push(a!);
    f.op(operation === "mulHighUnsigned" ? "i64.extend_i32_u" : "i64.extend_i32_s");
    this.push(b!);
    f.op(operation === "mulHighSigned" ? "i64.extend_i32_s" : "i64.extend_i32_u");
    f.op("i64.mul"), f.i64(32, 0), f.op("i64.shr_u"), f.op("i32.wrap_i64");
  }

  /** The unsigned product of halves, corrected for signs. */
  #highProduct64({ a, b, operation }: Value): void {
    const f = this.#f, x = this.#local(a!), y = this.#local(b!), middle = this.temp("i64");
    const low = (local: number) => (f.get(local), f.i64(-1, 0), f.op("i64.and"));
    const high = (local: number) => (f.get(local), f.i64(32, 0), f.op("i64.shr_u"));
    // middle = high(x)·low(y) + (low(x)·low(y) >> 32)
    low(x), low(y), f.op("i64.mul"), f.i64(32, 0), f.op("i64.shr_u");
    high(x), low(y), f.op("i64.mul"), f.op("i64.add"), f.set(middle);
    // low(x)·high(y) + low(middle), its upper half, and all that has a weight of 2^64
    low(x), high(y), f.op("i64.mul"), low(middle), f.op("i64.add"), f.i64(32, 0), f.op("i64.shr_u");
    high(middle), f.op("i64.add"), high(x), high(y), f.op("i64.mul"), f.op("i64.add");
    const lessIfNegative = (sign: number, other: number) => {
      f.get(other), f.get(sign), f.i64(63, 0), f.op("i64.shr_s"), f.op("i64.and"), f.op("i64.sub");
    };
    if (operation !== "mulHighUnsigned") lessIfNegative(x, y);
    if (operation === "mulHighSigned") lessIfNegative(y, x);
  }

  /** Division as RISC-V has it: by zero gives all ones, or the dividend as remainder; the overflow of -2^n / -1 wraps. */
  #divide({ a, b, operation }: Value, type: WasmType): void {
    const f = this.#f, x = this.#local(a!), y = this.#local(b!);
    const op = (name: string) => f.op(`${type}.${name}` as PlainInstruction);
    const isDivision = operation.startsWith("div"), isSigned = operation.endsWith("Signed");
    f.get(y), op("eqz"), f.if("unlikely", type);
    if (isDivision) this.#constant(type, -1, -1);
    else f.get(x);
    f.else();
    if (isDivision && isSigned) {
      // WebAssembly traps on that overflow: dividing by -1 is to negate.
      f.get(y), this.#constant(type, -1, -1), op("eq"), f.if("unlikely", type);
      this.#constant(type, 0, 0), f.get(x), op("sub");
      f.else(), f.get(x), f.get(y), op("div_s"), f.end();
    } else {
      f.get(x), f.get(y), op(isDivision ? "div_u" : isSigned ? "rem_s" : "rem_u");
    }
    f.end();
  }
}
