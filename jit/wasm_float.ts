// Floating-point instructions in WebAssembly: on its doubles and singles, under a condition by which the result is that of the
// instruction's meaning and no exception flag changes (the conditions are those of float_paths.ts). Where the condition does not
// hold, the floating-point unit is called, which does anything exactly and does not leave the region.
//
// No NaN that an arithmetic instruction of WebAssembly gives is ever used: which one it is, is not determined.

import type { Call, Load, MemoryType, Store } from "../isa/ir.ts";
import { DOWN, UP } from "../hart/double_operations.ts";
import { DYNAMIC } from "../hart/float_unit.ts";
import { RDN, RNE, RTZ, RUP } from "../hart/softfloat.ts";
import { FUSED_NORMAL, isNearest, MARGIN, NORMAL, PRODUCT_ERROR } from "./float_paths.ts";
import { isFloat } from "./passes/float_registers.ts";
import type { RegionInstruction } from "./region.ts";
import type { Label, PlainInstruction, WasmFunction, WasmType } from "./wasm_assembler.ts";
import { type FloatType, IS_DIRTY, IS_ON, type WasmFloatRegisters } from "./wasm_float_registers.ts";
import type { WasmValues } from "./wasm_values.ts";

/** What it needs of the emitter of the region. */
export interface FloatHost {
  /** Leaves the instruction at hand to the interpreter. */
  leave(): void;
  /** The same where an imported function has told the executor. */
  leaveTold(): void;
  /** Loads, gives the local variable with what was loaded, of the type of memory. */
  load(s: Load, as: MemoryType): number;
  /** Stores what is pushed, as such a type. */
  store(s: Store, as: MemoryType, push: () => void): void;
  /** Sets an integer register to the value on the stack: the whole, or an i32 that is extended. */
  setX(n: number, narrow: boolean): void;
  /** Pushes a word of the results of imported functions. */
  pushResult(type: "i32" | "i64"): void;
}

/** Number of an operation with its mode and registers, for the import `operate`. */
export function packOperation(number: number, mode: number, rd: number, sources: readonly number[]): number {
  const [rs1 = 0, rs2 = 0, rs3 = 0] = sources;
  return number | mode << 8 | rd << 11 | rs1 << 16 | rs2 << 21 | rs3 << 26;
}

/** What was packed; a register that the operation does not have is any. */
export function unpackOperation(packed: number): Record<"number" | "mode" | "rd" | "rs1" | "rs2" | "rs3", number> {
  return {
    number: packed & 0xff,
    mode: packed >>> 8 & 7,
    rd: packed >>> 11 & 31,
    rs1: packed >>> 16 & 31,
    rs2: packed >>> 21 & 31,
    rs3: packed >>> 26 & 31,
  };
}

const THREE_DOUBLES = new Array<WasmType>(3).fill("f64");

/** Conversions to integers: what is above and below all that fit. */
const RANGES: Readonly<Record<string, readonly [above: number, isIn: boolean, below: number]>> = {
  w: [-(2 ** 31) - 1, false, 2 ** 31],
  wu: [-1, false, 2 ** 32],
  l: [-(2 ** 63), true, 2 ** 63],
  lu: [-1, false, 2 ** 64],
};
/** How a double is made integral in a rounding mode. */
const INTEGRAL: Readonly<Record<number, PlainInstruction>> = {
  [RNE]: "f64.nearest",
  [RTZ]: "f64.trunc",
  [RDN]: "f64.floor",
  [RUP]: "f64.ceil",
  [DYNAMIC]: "f64.nearest",
};

/** Emits floating-point instructions. */
export class WasmFloats {
  readonly #f: WasmFunction;
  readonly #values: WasmValues;
  readonly #registers: WasmFloatRegisters;
  readonly #host: FloatHost;
  #instruction!: RegionInstruction;

  constructor(f: WasmFunction, values: WasmValues, registers: WasmFloatRegisters, host: FloatHost) {
    this.#f = f;
    this.#values = values;
    this.#registers = registers;
    this.#host = host;
  }

  /**
   * Emits an instruction, if it is one on floating-point registers and there is a form for it here. Otherwise its statements are emitted
   * as those of any other.
   */
  emit(i: RegionInstruction): boolean {
    if (!isFloat(i)) return false;
    this.#instruction = i;
    const [name, ...suffixes] = i.instruction.name.split(".") as [string, ...string[]], last = suffixes.at(-1);
    const access = { fld: "f64", fsd: "f64", flw: "f32", fsw: "f32" } as const;
    if (name in access) return this.#access(access[name as keyof typeof access]);
    if (name === "fcvt") return this.#convert(suffixes as [string, string]);
    if (last !== "s" && last !== "d") return this.#generic();
    const type = last === "s" ? "f32" : "f64";
    switch (name) {
      case "fadd":
      case "fsub":
      case "fmul":
      case "fdiv":
      case "fsqrt":
        return this.#arithmetic(name, type);
      case "fmadd":
      case "fmsub":
      case "fnmsub":
      case "fnmadd":
        return this.#fused(name.startsWith("fn"), name === "fmsub" || name === "fnmadd", type);
      case "fmin":
      case "fminm":
      case "fmax":
      case "fmaxm":
        return this.#choice(name.startsWith("fmin") ? "min" : "max", type);
      case "feq":
        return this.#compare("eq", type);
      case "flt":
      case "fltq":
        return this.#compare("lt", type);
      case "fle":
      case "fleq":
        return this.#compare("le", type);
      case "fsgnj":
      case "fsgnjn":
      case "fsgnjx":
        return this.#sign(name, type);
      default:
        return this.#generic();
    }
  }

  /** By its statements, which come after what is emitted here. */
  #generic(): false {
    this.#require(this.#instruction.statements.some(({ kind }) => kind === "setF") ? IS_DIRTY : IS_ON);
    return false;
  }

  // Small things.

  #op(type: FloatType, name: string): void {
    this.#f.op(`${type}.${name}` as PlainInstruction);
  }
  #constant(type: FloatType, value: number): void {
    if (type === "f64") this.#f.f64(value);
    else this.#f.f32(value);
  }

  /** Leaves the instruction to the interpreter where mstatus.FS is not so; all that it writes is Dirty afterwards. */
  #require(state: number): void {
    const f = this.#f, registers = this.#registers;
    if (registers.known.state >= state) return;
    registers.pushIsNot(state), f.if("unlikely");
    this.#host.leave();
    f.end();
    registers.learn(state);
  }

  /** Goes to a label unless the condition on the stack holds. */
  #unless(label: Label): void {
    this.#f.op("i32.eqz"), this.#f.brIf(label, "unlikely");
  }

  /** A fast way, which may go to the label of the slow one, and that. */
  #either(fast: (slow: Label) => void, slow: () => void): void {
    const f = this.#f, done = f.block("done"), label = f.block("slow");
    fast(label);
    f.br(done);
    f.end();
    slow();
    f.end();
  }

  /** Pushes an f register in a format; goes to a label where a single is not boxed. */
  #source(type: FloatType, n: number, unboxed: Label): number {
    const f = this.#f, registers = this.#registers, local = this.#values.temp(type);
    if (type === "f64" || registers.type(n) === "f32") registers.push(n);
    else {
      const bits = this.#values.temp("i64");
      registers.pushBits(n), f.tee(bits);
      f.i64(32, 0), f.op("i64.shr_s"), f.i64(-1, -1), f.op("i64.ne"), f.brIf(unboxed, "unlikely");
      f.get(bits), f.op("i32.wrap_i64"), f.op("f32.reinterpret_i32");
    }
    f.set(local);
    return local;
  }

  /** The call of the floating-point unit among the statements. */
  #unitCall(): Call {
    return this.#instruction.statements.find((s): s is Call => s.kind === "call" && s.name === "float")!;
  }
  get #mode(): number {
    return this.#unitCall().args[1]!.low;
  }

  /** Lets the unit do the operation from f registers to an f register, and puts the result into a local variable. */
  #operate(type: FloatType, result: number): void {
    const f = this.#f, registers = this.#registers, { args } = this.#unitCall(), { rd } = this.#instruction.operands;
    const sources = args.slice(2).filter(({ operation }) => operation === "f").map(({ low }) => low);
    registers.writeBack(sources.reduce((set, n) => set | 1 << n, 0) & registers.known.dirty);
    f.i32(packOperation(args[0]!.low, args[1]!.low, rd, sources));
    f.call("operate", 1, "f64");
    this.called();
    registers.pushFromFile(type, rd), f.set(result);
  }

  /** Lets the unit do the operation on what is pushed by halves, and leave its result behind. */
  #callUnit(pushOperands: () => void): void {
    const f = this.#f, { args } = this.#unitCall();
    f.i32(args[0]!.low), f.i32(args[1]!.low);
    pushOperands();
    callUnit(f);
    this.called();
  }

  /** After a call of the unit, which has given what results must be below, or a NaN if the instruction traps. */
  called(): void {
    const limit = this.#values.temp("f64");
    leaveIfTrapped(this.#f, limit, this.#host);
    this.#f.get(limit), this.#registers.setLimit();
  }

  // Instructions.

  #access(type: FloatType): boolean {
    const f = this.#f, registers = this.#registers, { statements } = this.#instruction;
    const s = statements.find((s) => s.kind === "load" || s.kind === "store") as Load | Store;
    const set = statements.find((s) => s.kind === "setF");
    if (set === undefined) {
      const n = this.#instruction.operands.rs2;
      if (registers.type(n) !== type) return this.#generic();
      this.#require(IS_ON);
      this.#host.store(s as Store, type, () => registers.push(n));
    } else {
      if (registers.type(set.register) !== type) return this.#generic();
      this.#require(IS_DIRTY);
      f.get(this.#host.load(s as Load, type)), registers.set(type, set.register);
    }
    return true;
  }

  #arithmetic(name: string, type: FloatType): boolean {
    const f = this.#f, registers = this.#registers, { rd, rs1, rs2 } = this.#instruction.operands;
    const result = this.#values.temp(type), isRoot = name === "fsqrt", operation = name.slice(1);
    if (!isNearest(this.#mode)) this.#operate(type, result);
    else {
      this.#either((slow) => {
        const a = this.#source(type, rs1, slow), b = isRoot ? a : this.#source(type, rs2, slow);
        f.get(a);
        if (!isRoot) f.get(b);
        this.#op(type, operation), f.set(result);
        if (operation === "mul" || operation === "div") {
          this.#normal(type, result, slow, () => {
            f.get(a), this.#constant(type, 0), this.#op(type, "eq");
            if (operation === "mul") f.get(b), this.#constant(type, 0), this.#op(type, "eq"), f.op("i32.or");
          });
          return;
        }
        // A finite sum has finite operands, and a tiny one is exact. A root that is a number is not negative.
        f.get(result);
        if (!isRoot) this.#op(type, "abs");
        registers.pushLimit(type), this.#op(type, "lt"), this.#unless(slow);
      }, () => this.#operate(type, result));
    }
    registers.learn(IS_DIRTY);
    f.get(result), registers.set(type, rd);
    return true;
  }

  /** Goes to a label unless a result is finite, and not tiny or, where `exact` pushes that, exactly 0. */
  #normal(type: FloatType, result: number, slow: Label, exact: () => void): void {
    const f = this.#f, registers = this.#registers, done = f.block("normal"), odd = f.block("odd");
    f.get(result), this.#op(type, "abs"), registers.pushLimit(type), this.#op(type, "lt"), this.#unless(odd);
    f.get(result),
      this.#op(type, "abs"),
      this.#constant(type, NORMAL[type]),
      this.#op(type, "gt"),
      f.brIf(done, "likely");
    f.end();
    this.#isReady(slow);
    f.get(result), this.#constant(type, 0), this.#op(type, "eq"), this.#unless(slow);
    exact(), this.#unless(slow);
    f.end();
  }

  /** Goes to a label unless ordinary results change nothing but their register. */
  #isReady(slow: Label): void {
    this.#registers.pushLimit("f64"), this.#f.f64(0), this.#f.op("f64.gt"), this.#unless(slow);
  }

  #fused(negatesProduct: boolean, negatesAddend: boolean, type: FloatType): boolean {
    const f = this.#f, { rd, rs1, rs2, rs3 } = this.#instruction.operands, registers = this.#registers;
    const result = this.#values.temp(type);
    if (!isNearest(this.#mode)) this.#operate(type, result);
    else {
      this.#either((slow) => {
        const [a, b, c] = [rs1, rs2, rs3].map((n) => this.#source(type, n, slow)) as [number, number, number];
        if (negatesProduct) f.get(a), this.#op(type, "neg"), f.set(a);
        if (negatesAddend) f.get(c), this.#op(type, "neg"), f.set(c);
        if (type === "f64") this.#fusedDoubles(a, b, c, result, slow);
        else this.#fusedSingles(a, b, c, result, slow);
      }, () => this.#operate(type, result));
    }
    registers.learn(IS_DIRTY);
    f.get(result), registers.set(type, rd);
    return true;
  }

  /** As in float_paths.ts: the sum of the rounded product, if the errors of both roundings cannot change it. */
  #fusedDoubles(a: number, b: number, c: number, v: number, slow: Label): void {
    const f = this.#f, [u, w, y] = [0, 0, 0].map(() => this.#values.temp("f64")) as [number, number, number];
    const done = f.block("sure"), unsure = f.block("unsure");
    f.get(a), f.get(b), f.op("f64.mul"), f.tee(u), f.get(c), f.op("f64.add"), f.set(v);
    f.get(v), f.op("f64.abs"), this.#registers.pushLimit("f64"), f.op("f64.lt"), this.#unless(unsure);
    f.get(v), f.op("f64.abs"), f.f64(FUSED_NORMAL), f.op("f64.gt"), this.#unless(unsure);
    // w = (u - (v - w)) + (c - w), where w was v - u
    f.get(u), f.get(v), f.get(v), f.get(u), f.op("f64.sub"), f.tee(w), f.op("f64.sub"), f.op("f64.sub");
    f.get(c), f.get(w), f.op("f64.sub"), f.op("f64.add"), f.set(w);
    f.get(u), f.op("f64.abs"), f.f64(PRODUCT_ERROR), f.op("f64.mul");
    f.get(v), f.op("f64.abs"), f.f64(MARGIN), f.op("f64.mul"), f.op("f64.add"), f.set(y);
    f.get(v), f.get(w), f.get(y), f.op("f64.add"), f.op("f64.add"), f.get(v), f.op("f64.eq"), this.#unless(unsure);
    f.get(v), f.get(w), f.get(y), f.op("f64.sub"), f.op("f64.add"), f.get(v), f.op("f64.eq");
    f.brIf(done, "likely");
    f.end();
    this.#isReady(slow);
    f.get(a), f.get(b), f.get(c), f.call("multiplyAdd", THREE_DOUBLES, "f64"), f.tee(v);
    f.get(v), f.op("f64.eq"), this.#unless(slow);
    f.end();
  }

  /** The product is exact; the sum is off by less than a unit in its last place, which must not matter. */
  #fusedSingles(a: number, b: number, c: number, v: number, slow: Label): void {
    const f = this.#f, u = this.#values.temp("f64");
    const promote = (local: number) => (f.get(local), f.op("f64.promote_f32"));
    promote(a), promote(b), f.op("f64.mul"), promote(c), f.op("f64.add"), f.tee(u), f.op("f32.demote_f64"), f.set(v);
    for (const factor of [UP, DOWN]) {
      f.get(u), f.f64(factor), f.op("f64.mul"), f.op("f32.demote_f64"), f.get(v), f.op("f32.eq"), this.#unless(slow);
    }
    this.#normal("f32", v, slow, () => (f.get(u), f.f64(0), f.op("f64.eq")));
  }

  #choice(which: "min" | "max", type: FloatType): boolean {
    const f = this.#f, { rd, rs1, rs2 } = this.#instruction.operands, result = this.#values.temp(type);
    this.#require(IS_DIRTY);
    this.#either((slow) => {
      const a = this.#source(type, rs1, slow), b = this.#source(type, rs2, slow);
      f.get(a), f.get(b), this.#op(type, which), f.tee(result);
      f.get(result), this.#op(type, "eq"), this.#unless(slow);
    }, () => this.#operate(type, result));
    f.get(result), this.#registers.set(type, rd);
    return true;
  }

  #compare(which: "eq" | "lt" | "le", type: FloatType): boolean {
    const f = this.#f, { rd, rs1, rs2 } = this.#instruction.operands, result = this.#values.temp("i32");
    this.#require(IS_ON);
    this.#either((slow) => {
      const a = this.#source(type, rs1, slow), b = rs1 === rs2 ? a : this.#source(type, rs2, slow);
      f.get(a), f.get(a), this.#op(type, "eq"), this.#unless(slow);
      if (a !== b) f.get(b), f.get(b), this.#op(type, "eq"), this.#unless(slow);
      f.get(a), f.get(b), this.#op(type, which), f.set(result);
    }, () => {
      this.#callUnit(() => {
        for (const n of [rs1, rs2]) this.#halvesOf(n);
        f.i32(0), f.i32(0);
      });
      this.#host.pushResult("i32"), f.set(result);
    });
    this.#setX(rd, "i32", result);
    return true;
  }
  #halvesOf(n: number): void {
    const bits = this.#values.temp("i64");
    this.#registers.pushBits(n), this.#f.set(bits);
    this.#values.pushHalvesOf(bits);
  }
  #setX(n: number, type: "i32" | "i64", local: number): void {
    if (n === 0) return;
    this.#f.get(local), this.#host.setX(n, type === "i32");
  }

  /** Sign injection is a move of bits. */
  #sign(name: string, type: FloatType): boolean {
    const registers = this.#registers, { rd, rs1, rs2 } = this.#instruction.operands;
    if ([rs1, rs2].some((n) => registers.type(n) !== type)) return this.#generic();
    if (name === "fsgnjx" && rs1 !== rs2) return this.#generic();
    this.#require(IS_DIRTY);
    registers.push(rs1);
    if (rs1 !== rs2) {
      registers.push(rs2);
      if (name === "fsgnjn") this.#op(type, "neg");
      this.#op(type, "copysign");
    } else if (name === "fsgnjn") this.#op(type, "neg");
    else if (name === "fsgnjx") this.#op(type, "abs");
    registers.set(type, rd);
    return true;
  }

  // Conversions.

  #convert([to, from]: [string, string]): boolean {
    if (from in RANGES) return to === "h" ? this.#generic() : this.#fromInteger(from, to === "s" ? "f32" : "f64");
    if (to in RANGES) return from === "h" ? this.#generic() : this.#toInteger(to, from === "s" ? "f32" : "f64");
    if (to === "h" || from === "h") return this.#generic();
    return to === "s" ? this.#narrow() : this.#widen();
  }

  #fromInteger(integer: string, type: FloatType): boolean {
    const f = this.#f, { rd } = this.#instruction.operands, wide = integer.startsWith("l"), mode = this.#mode;
    const operand = this.#unitCall().args[2]!, word = wide ? "i64" : "i32";
    const x = this.#values.temp(word), result = this.#values.temp(type);
    this.#require(IS_DIRTY);
    wide ? this.#values.push(operand) : this.#values.pushLow(operand);
    f.set(x);
    const convert = () => {
      f.get(x), this.#op(type, `convert_${word}_${integer.endsWith("u") ? "u" : "s"}`), f.set(result);
    };
    const slow = () => {
      this.#callUnit(() => {
        if (wide) this.#values.pushHalvesOf(x);
        else f.get(x), f.get(x), f.i32(31), f.op("i32.shr_s");
        for (let k = 0; k < 4; k++) f.i32(0);
      });
      this.#host.pushResult(type === "f64" ? "i64" : "i32");
      f.op(type === "f64" ? "f64.reinterpret_i64" : "f32.reinterpret_i32"), f.set(result);
    };
    if (type === "f64" && !wide && mode !== DYNAMIC) convert();
    else if (isNearest(mode)) this.#either((label) => (this.#isReady(label), convert()), slow);
    else slow();
    f.get(result), this.#registers.set(type, rd);
    return true;
  }

  #toInteger(integer: string, type: FloatType): boolean {
    const f = this.#f, { rd, rs1 } = this.#instruction.operands, wide = integer.startsWith("l"), mode = this.#mode;
    const word = wide ? "i64" : "i32", result = this.#values.temp(word), integral = INTEGRAL[mode];
    const [above, isIn, below] = RANGES[integer]!;
    this.#require(IS_ON);
    const slow = () => {
      this.#callUnit(() => {
        this.#halvesOf(rs1);
        for (let k = 0; k < 4; k++) f.i32(0);
      });
      this.#host.pushResult(word), f.set(result);
    };
    if (integral === undefined) slow();
    else {
      this.#either((label) => {
        const source = this.#source(type, rs1, label), v = this.#values.temp("f64"), w = this.#values.temp("f64");
        if (mode === DYNAMIC) this.#isReady(label);
        f.get(source);
        if (type === "f32") f.op("f64.promote_f32");
        f.tee(v), f.op(integral), f.set(w);
        f.get(w), f.f64(above), f.op(isIn ? "f64.ge" : "f64.gt"), this.#unless(label);
        f.get(w), f.f64(below), f.op("f64.lt"), this.#unless(label);
        if (mode !== DYNAMIC) {
          f.get(v), f.get(w), f.op("f64.eq"), this.#registers.pushInexact(), f.op("i32.or"), this.#unless(label);
        }
        f.get(w), f.op(`${word}.trunc_f64_${integer.endsWith("u") ? "u" : "s"}`), f.set(result);
      }, slow);
    }
    this.#setX(rd, word, result);
    return true;
  }

  #narrow(): boolean {
    const f = this.#f, { rd, rs1 } = this.#instruction.operands, result = this.#values.temp("f32");
    if (!isNearest(this.#mode)) this.#operate("f32", result);
    else {
      this.#either((slow) => {
        const v = this.#source("f64", rs1, slow);
        f.get(v), f.op("f32.demote_f64"), f.set(result);
        this.#normal("f32", result, slow, () => (f.get(v), f.f64(0), f.op("f64.eq")));
      }, () => this.#operate("f32", result));
    }
    this.#registers.learn(IS_DIRTY);
    f.get(result), this.#registers.set("f32", rd);
    return true;
  }

  #widen(): boolean {
    const f = this.#f, { rd, rs1 } = this.#instruction.operands, result = this.#values.temp("f64");
    this.#require(IS_DIRTY);
    this.#either((slow) => {
      const v = this.#source("f32", rs1, slow);
      if (this.#mode === DYNAMIC) this.#isReady(slow);
      f.get(v), f.op("f64.promote_f32"), f.tee(result);
      f.get(result), f.op("f64.eq"), this.#unless(slow);
    }, () => this.#operate("f64", result));
    f.get(result), this.#registers.set("f64", rd);
    return true;
  }
}

/** Calls the floating-point unit; operands are on the stack, by halves. */
export function callUnit(f: WasmFunction): void {
  f.call("float", 8, "f64");
}

/** Leaves the instruction at hand if it traps: the unit has given a NaN in place of what results must be below. */
export function leaveIfTrapped(f: WasmFunction, limit: number, host: Pick<FloatHost, "leaveTold">): void {
  f.tee(limit), f.get(limit), f.op("f64.ne"), f.if("unlikely");
  host.leaveTold();
  f.end();
}
