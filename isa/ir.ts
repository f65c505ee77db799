// The intermediate representation that an instruction's meaning is written in, and the builder that makes it.
//
// A meaning is a list of statements over values. Values are pure expressions of type i32, i64, f32 or f64; whatever
// reads memory, may trap or changes state is a statement. An `x` value is a register as it was when the instruction
// began, so a meaning sets registers last. Every code generator works from this and from nothing else.

import type { FloatRegisters } from "./extensions.ts";

/** Type of a value. A comparison is an i32 that is 0 or 1. */
export type Type = "i32" | "i64" | "f32" | "f64";

/** Operations on one value. */
export type UnaryOperation =
  | "wrap" // i64 to i32: the low half
  | "signExtend64" // i32 to i64
  | "zeroExtend64" // i32 to i64
  | "signExtend8"
  | "signExtend16"
  | "zeroExtend8"
  | "zeroExtend16"
  | "countLeadingZeros"
  | "countTrailingZeros"
  | "countOnes";

/** Operations on two values of one type that give that type. Shift and rotation amounts are i32, taken modulo the width. */
export type BinaryOperation =
  | "add"
  | "sub"
  | "and"
  | "or"
  | "xor"
  | "mul"
  | "mulHighSigned"
  | "mulHighUnsigned"
  | "mulHighSignedUnsigned"
  | "divSigned"
  | "divUnsigned"
  | "remSigned"
  | "remUnsigned"
  | "shiftLeft"
  | "shiftRightUnsigned"
  | "shiftRightSigned"
  | "rotateLeft"
  | "rotateRight";

/** Comparisons of two values of one type; the result is an i32. */
export type Comparison = "eq" | "ne" | "ltSigned" | "ltUnsigned" | "geSigned" | "geUnsigned";

/** What a value is. `field` is an operand of an instruction that is not known yet (the interpreter's handlers). */
export type Operation =
  | "const"
  | "x"
  | "f"
  | "field"
  | "pc"
  | "next"
  | "temp"
  | "select"
  | "pure"
  | UnaryOperation
  | BinaryOperation
  | Comparison;

/** One value. All values have one shape, which V8 likes. */
export class Value {
  readonly operation: Operation;
  readonly type: Type;
  readonly a: Value | null;
  readonly b: Value | null;
  readonly c: Value | null;
  /** Low half of a constant; register number (a field's number where not known) of `x` and `f`; number of a `temp`. */
  readonly low: number;
  /** High half of an i64 constant. */
  readonly high: number;
  /** Name of a field or of a pure helper. */
  readonly name: string;
  /** How many values and statements use this one. */
  uses = 0;
  constructor(
    operation: Operation,
    type: Type,
    a: Value | null = null,
    b: Value | null = null,
    c: Value | null = null,
    low = 0,
    high = 0,
    name = "",
  ) {
    this.operation = operation;
    this.type = type;
    this.a = a;
    this.b = b;
    this.c = c;
    this.low = low;
    this.high = high;
    this.name = name;
    if (a !== null) a.uses++;
    if (b !== null) b.uses++;
    if (c !== null) c.uses++;
  }
}

/** What is loaded or stored: width in bits, and how a loaded value is extended to 32 bits. */
export type MemoryType = "i8" | "u8" | "i16" | "u16" | "i32" | "i64" | "f32" | "f64";

/**
 * Why memory is accessed, which decides the exception cause and whether a misaligned address traps: a plain `load` or
 * `store`; `amo`, whose read and write both fault as a store and must be aligned.
 */
export type AccessKind = "plain" | "amo";

/** Sets integer register `register` (0 to 31, or a field's number) to `value`; an i32 is sign-extended. */
export interface SetX {
  readonly kind: "setX";
  readonly register: number;
  readonly value: Value;
}
/**
 * Sets floating-point register `register` (0 to 31, or a field's number) to the 64 bits of `value`, which is NaN-boxed
 * already where its format is narrower. Marks mstatus.FS dirty.
 */
export interface SetF {
  readonly kind: "setF";
  readonly register: number;
  readonly value: Value;
}
/** Names a value that must be computed here, before registers change. */
export interface Let {
  readonly kind: "let";
  readonly temp: Value;
  readonly value: Value;
}
/** Reads memory into `temp`. */
export interface Load {
  readonly kind: "load";
  readonly temp: Value;
  readonly memory: MemoryType;
  readonly access: AccessKind;
  readonly address: Value;
}
/** Writes memory. */
export interface Store {
  readonly kind: "store";
  readonly memory: MemoryType;
  readonly access: AccessKind;
  readonly address: Value;
  readonly value: Value;
}
/** Calls the hart: whatever is rare, complex or touches more than registers and memory. May trap. */
export interface Call {
  readonly kind: "call";
  readonly temp: Value | null;
  readonly name: HartCall;
  readonly args: readonly Value[];
}
/** Goes to pc + immediate if `condition` is not 0. Last statement of its instruction. */
export interface Branch {
  readonly kind: "branch";
  readonly condition: Value;
}
/** Goes to pc + immediate. Last statement. */
export interface Jump {
  readonly kind: "jump";
}
/** Goes to an address that is known only at run time. Last statement. */
export interface JumpTo {
  readonly kind: "jumpTo";
  readonly target: Value;
}
/** Ends in the hart, which says where to go on (traps, mret, wfi, fence.i, CSR writes). Last statement. */
export interface Leave {
  readonly kind: "leave";
  readonly name: HartLeave;
  readonly args: readonly Value[];
}

/** A statement of the intermediate representation. */
export type Statement = SetX | SetF | Let | Load | Store | Call | Branch | Jump | JumpTo | Leave;

/**
 * Functions of the hart that return to the next instruction. `floatEnabled` (no arguments or result) traps as an illegal
 * instruction where mstatus.FS is Off; it is the first statement of every floating-point instruction. `float` (number of
 * the operation in FLOAT_OPERATIONS of float.ts and rounding mode as the instruction holds it, i32; three i64 operands;
 * i64 result) raises exception flags and traps as an illegal instruction where the rounding mode is dynamic and frm holds
 * none. It marks mstatus.FS dirty if it changes fflags. `floatAllowed` is `floatEnabled` where operands are integer registers. `compareAndSwap`, `push` and `pop` read and write registers themselves;
 * the result of `pop` is what ra has then.
 */
export type HartCall =
  | "csr"
  | "loadReserved"
  | "storeConditional"
  | "compareAndSwap"
  | ("push" | "pop")
  | "cacheBlock"
  | "fence"
  | ("floatEnabled" | "floatAllowed")
  | "float";

/** Functions of the hart after which execution goes on wherever the hart says. */
export type HartLeave =
  | ("ecall" | "ebreak" | "mret" | "sret" | "wfi" | "wrs" | "fenceI" | "illegal")
  | ("sfence" | "sfenceInval" | "tableJump");

/** Operands of an instruction: numbers where it is known, numbers of fields where it is not. */
export interface Operands {
  /** Destination register. */
  rd: number;
  /** First source register. */
  rs1: number;
  /** Second source register. */
  rs2: number;
  /** Third source register of fused multiply-adds. */
  rs3: number;
  /** Immediate, sign-extended to 32 bits; CSR number; shift amount; rounding mode … as the format says. */
  imm: number;
}

/** Numbers that stand for operands which are not known yet: `x(FIELD_RS1)` is "the register that field rs1 names". */
export const FIELD_RD = 64, FIELD_RS1 = 65, FIELD_RS2 = 66, FIELD_RS3 = 67, FIELD_IMM = 68;
/** Added to them: the register that follows the one that the field names. */
export const FIELD_AFTER = 128;

/** Operands of an instruction that is not known yet. */
export const FIELDS: Readonly<Operands> = {
  rd: FIELD_RD,
  rs1: FIELD_RS1,
  rs2: FIELD_RS2,
  rs3: FIELD_RS3,
  imm: FIELD_IMM,
};

/** Builds the statements of one instruction. */
export class Builder {
  /** 32 or 64. */
  readonly xlen: 32 | 64;
  /** Type of an integer register. */
  readonly word: "i32" | "i64";
  /** What has been built so far. */
  statements: Statement[] = [];
  /** Whether operands are fields of a decoded instruction rather than numbers. */
  readonly symbolic: boolean;
  /** Whether floating-point operands are integer registers (Zfinx), and the hart must be asked first. */
  readonly floatsInX: boolean;
  readonly asksForFloats: boolean;
  #temps = 0;

  constructor(xlen: 32 | 64, symbolic: boolean, floats: FloatRegisters = "f") {
    this.xlen = xlen;
    this.floatsInX = floats !== "f";
    this.asksForFloats = floats === "x, asking";
    this.word = xlen === 64 ? "i64" : "i32";
    this.symbolic = symbolic;
  }

  #push(statement: Statement, ...used: (Value | null)[]): void {
    for (const value of used) if (value !== null) value.uses++;
    this.statements.push(statement);
  }
  #temp(type: Type): Value {
    return new Value("temp", type, null, null, null, this.#temps++);
  }

  // Leaves.

  /** An i32 constant. */
  i32(value: number): Value {
    return new Value("const", "i32", null, null, null, value | 0, value >> 31);
  }
  /** A constant as wide as a register, sign-extended from 32 bits. */
  int(value: number): Value {
    return new Value("const", this.word, null, null, null, value | 0, value >> 31);
  }
  /** A 64-bit constant by halves. */
  i64(low: number, high: number): Value {
    return new Value("const", "i64", null, null, null, low | 0, high | 0);
  }
  /** Integer register, as wide as it is. */
  x(register: number): Value {
    if (register === 0) return this.int(0);
    return new Value("x", this.word, null, null, null, register);
  }
  /** The second register of a pair; a pair that begins with x0 is 0. */
  xAfter(register: number): Value {
    if (register < FIELD_RD) return register === 0 ? this.int(0) : this.x(register + 1);
    return this.select(this.nonZero(register), this.x(register + FIELD_AFTER), this.int(0));
  }
  /** Low 32 bits of an integer register. */
  w(register: number): Value {
    return this.wrap(this.x(register));
  }
  /** The 64 bits of a floating-point register (i64), NaN-boxed where they hold a narrower format. */
  f(register: number): Value {
    return new Value("f", "i64", null, null, null, register);
  }
  /** The immediate as an i32. */
  imm32(i: Operands): Value {
    return this.symbolic ? new Value("field", "i32", null, null, null, FIELD_IMM) : this.i32(i.imm);
  }
  /** The immediate, sign-extended to the register's width. */
  imm(i: Operands): Value {
    return this.xlen === 32 ? this.imm32(i) : this.signExtend(this.imm32(i));
  }
  /** 1 if the operand names a register other than x0. */
  nonZero(register: number): Value {
    if (register < 64) return this.i32(register === 0 ? 0 : 1);
    return new Value("field", "i32", null, null, null, register, 0, "nonZero");
  }
  /** Number of the register that an operand names (0 to 31). */
  number(register: number): Value {
    if (register < 64) return this.i32(register);
    return new Value("field", "i32", null, null, null, register, 0, "number");
  }
  /** Address of this instruction. */
  pc(): Value {
    return new Value("pc", this.word);
  }
  /** Address of the instruction that follows in memory. */
  next(): Value {
    return new Value("next", this.word);
  }

  // Pure operations.

  #unary(operation: UnaryOperation, a: Value, type: Type): Value {
    return new Value(operation, type, a);
  }
  #binary(operation: BinaryOperation, a: Value, b: Value): Value {
    return new Value(operation, a.type, a, b);
  }
  #compare(operation: Comparison, a: Value, b: Value): Value {
    return new Value(operation, "i32", a, b);
  }

  add(a: Value, b: Value): Value {
    if (isZero(b)) return a;
    if (isZero(a)) return b;
    if (a.operation === "const" && b.operation === "const" && a.type === "i32") return this.i32(a.low + b.low);
    return this.#binary("add", a, b);
  }
  sub(a: Value, b: Value): Value {
    return isZero(b) ? a : this.#binary("sub", a, b);
  }
  and(a: Value, b: Value): Value {
    return this.#binary("and", a, b);
  }
  or(a: Value, b: Value): Value {
    return isZero(b) ? a : isZero(a) ? b : this.#binary("or", a, b);
  }
  xor(a: Value, b: Value): Value {
    return isZero(b) ? a : isZero(a) ? b : this.#binary("xor", a, b);
  }
  not(a: Value): Value {
    return this.#binary("xor", a, this.#like(a, -1));
  }
  neg(a: Value): Value {
    return this.#binary("sub", this.#like(a, 0), a);
  }
  #like(a: Value, value: number): Value {
    return new Value("const", a.type, null, null, null, value, value >> 31);
  }
  mul(a: Value, b: Value): Value {
    return this.#binary("mul", a, b);
  }
  mulHigh(signs: "Signed" | "Unsigned" | "SignedUnsigned", a: Value, b: Value): Value {
    return this.#binary(`mulHigh${signs}`, a, b);
  }
  div(sign: "Signed" | "Unsigned", a: Value, b: Value): Value {
    return this.#binary(`div${sign}`, a, b);
  }
  rem(sign: "Signed" | "Unsigned", a: Value, b: Value): Value {
    return this.#binary(`rem${sign}`, a, b);
  }
  /** `amount` is an i32; only its low 5 or 6 bits count. */
  shl(a: Value, amount: Value): Value {
    return isZero(amount) ? a : this.#binary("shiftLeft", a, amount);
  }
  shrUnsigned(a: Value, amount: Value): Value {
    return isZero(amount) ? a : this.#binary("shiftRightUnsigned", a, amount);
  }
  shrSigned(a: Value, amount: Value): Value {
    return isZero(amount) ? a : this.#binary("shiftRightSigned", a, amount);
  }
  rotl(a: Value, amount: Value): Value {
    return this.#binary("rotateLeft", a, amount);
  }
  rotr(a: Value, amount: Value): Value {
    return this.#binary("rotateRight", a, amount);
  }
  clz(a: Value): Value {
    return this.#unary("countLeadingZeros", a, a.type);
  }
  ctz(a: Value): Value {
    return this.#unary("countTrailingZeros", a, a.type);
  }
  cpop(a: Value): Value {
    return this.#unary("countOnes", a, a.type);
  }
  /** Low 32 bits; nothing to do for an i32. */
  wrap(a: Value): Value {
    if (a.type === "i32") return a;
    if (a.operation === "const") return this.i32(a.low);
    if (a.operation === "signExtend64" || a.operation === "zeroExtend64") return a.a!;
    return this.#unary("wrap", a, "i32");
  }
  /** An i32 as wide as a register, sign-extended. */
  signExtend(a: Value): Value {
    if (a.type === this.word) return a;
    if (a.operation === "const") return this.int(a.low);
    return this.#unary("signExtend64", a, "i64");
  }
  /** An i32 as wide as a register, zero-extended. */
  zeroExtend(a: Value): Value {
    if (a.type === this.word) return a;
    if (a.operation === "const") return this.i64(a.low, 0);
    return this.#unary("zeroExtend64", a, "i64");
  }
  /** An i32 as an i64, whatever a register's width is, sign-extended. */
  signExtend64(a: Value): Value {
    if (a.type === "i64") return a;
    return a.operation === "const" ? this.i64(a.low, a.low >> 31) : this.#unary("signExtend64", a, "i64");
  }
  /** An i32 as an i64, whatever a register's width is, zero-extended. */
  zeroExtend64(a: Value): Value {
    if (a.type === "i64") return a;
    return a.operation === "const" ? this.i64(a.low, 0) : this.#unary("zeroExtend64", a, "i64");
  }
  signExtend8(a: Value): Value {
    return this.#unary("signExtend8", this.wrap(a), "i32");
  }
  signExtend16(a: Value): Value {
    return this.#unary("signExtend16", this.wrap(a), "i32");
  }
  zeroExtend8(a: Value): Value {
    return this.#unary("zeroExtend8", this.wrap(a), "i32");
  }
  zeroExtend16(a: Value): Value {
    return this.#unary("zeroExtend16", this.wrap(a), "i32");
  }
  eq(a: Value, b: Value): Value {
    return this.#compare("eq", a, b);
  }
  ne(a: Value, b: Value): Value {
    return this.#compare("ne", a, b);
  }
  lt(sign: "Signed" | "Unsigned", a: Value, b: Value): Value {
    return this.#compare(`lt${sign}`, a, b);
  }
  ge(sign: "Signed" | "Unsigned", a: Value, b: Value): Value {
    return this.#compare(`ge${sign}`, a, b);
  }
  /** `a` if `condition` is not 0, else `b`. */
  select(condition: Value, a: Value, b: Value): Value {
    return new Value("select", a.type, condition, a, b);
  }
  /** A function of one or two register-wide values in the emitter's library, such as a carry-less product. */
  pure(name: string, a: Value, b: Value | null = null): Value {
    return new Value("pure", a.type, a, b, null, 0, 0, name);
  }

  // Statements.

  /** Sets an integer register; an i32 is sign-extended. A write to x0 is dropped. */
  setX(register: number, value: Value): void {
    if (register === 0) return;
    const whole = this.signExtend(value);
    this.#push({ kind: "setX", register, value: whole }, whole);
  }
  /** Sets the second register of a pair, before the first is set. One that begins with x0 is not written. */
  setXAfter(register: number, value: Value): void {
    if (register !== 0) this.setX(register < FIELD_RD ? register + 1 : register + FIELD_AFTER, value);
  }
  /** Sets a floating-point register to 64 bits (i64). */
  setF(register: number, value: Value): void {
    this.#push({ kind: "setF", register, value }, value);
  }
  /** Computes a value here and now. */
  let(value: Value): Value {
    const temp = this.#temp(value.type);
    this.#push({ kind: "let", temp, value }, value);
    return temp;
  }
  /** Address of a load or store: register plus immediate. */
  address(i: Operands): Value {
    return this.add(this.x(i.rs1), this.imm(i));
  }
  load(memory: MemoryType, address: Value, access: AccessKind = "plain"): Value {
    const type = memory === "i64" || memory === "f32" || memory === "f64" ? memory : "i32";
    const temp = this.#temp(type);
    this.#push({ kind: "load", temp, memory, access, address }, address);
    return temp;
  }
  store(memory: MemoryType, address: Value, value: Value, access: AccessKind = "plain"): void {
    const narrow = memory === "i64" || memory === "f32" || memory === "f64" ? value : this.wrap(value);
    this.#push({ kind: "store", memory, access, address, value: narrow }, address, narrow);
  }
  /** Calls the hart; `type` is that of the result. */
  call(name: HartCall, type: Type | null, ...args: Value[]): Value {
    const temp = type === null ? null : this.#temp(type);
    this.#push({ kind: "call", temp, name, args }, ...args);
    return temp ?? this.i32(0);
  }
  branch(condition: Value): void {
    this.#push({ kind: "branch", condition }, condition);
  }
  jump(): void {
    this.#push({ kind: "jump" });
  }
  jumpTo(target: Value): void {
    this.#push({ kind: "jumpTo", target }, target);
  }
  leave(name: HartLeave, ...args: Value[]): void {
    this.#push({ kind: "leave", name, args }, ...args);
  }
}

function isZero(value: Value): boolean {
  return value.operation === "const" && value.low === 0 && (value.type === "i32" || value.high === 0);
}
