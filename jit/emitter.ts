// From the IR of one instruction to JavaScript. The one emitter: a subclass says where operands come from (fields of a
// decoded instruction, or locals and constants) and how control leaves; everything an instruction *means* is written here.
//
// An i32 is an int32 expression. An i64 is a pair of them: nothing else in JavaScript is fast (design page, "Values").

import type {
  Branch,
  Call,
  Jump,
  JumpTo,
  Leave,
  Load,
  MemoryType,
  Operation,
  Statement,
  Store,
  Value,
} from "../isa/ir.ts";
import {
  add,
  and,
  binary,
  call,
  compare,
  conditional,
  type Expression,
  isSimple,
  literal,
  literalValue,
  LOGICAL_AND,
  LOGICAL_OR,
  not,
  or,
  primary,
  PRODUCT,
  shift,
  sub,
  SUM,
  toInt,
  UNARY,
  unsigned,
  xor,
  ZERO,
} from "./expression.ts";

/** An i64 as two int32 expressions, with what is known of the high one. */
export interface Pair {
  readonly low: Expression;
  readonly high: Expression;
  /** The high half is the sign of the low half. */
  readonly signExtended: boolean;
  /** The high half is 0. */
  readonly zeroExtended: boolean;
  /** See `Fact`. */
  readonly room?: number;
}

/** Operations whose i32 result has its highest bit clear. */
export const NEVER_NEGATIVE: ReadonlySet<Operation> = new Set([
  ...["eq", "ne", "ltSigned", "ltUnsigned", "geSigned", "geUnsigned", "zeroExtend8", "zeroExtend16"] as const,
]);

/** Bytes of a memory access. */
export function sizeOf(memory: MemoryType): 1 | 2 | 4 | 8 {
  switch (memory) {
    case "i8":
    case "u8":
      return 1;
    case "i16":
    case "u16":
      return 2;
    case "i32":
    case "f32":
      return 4;
    default:
      return 8;
  }
}

/**
 * The high half of the product x·y plus a half, as a double to be rounded down. The product is off by at most 2^10;
 * with its exact low half taken away it is a multiple of 2^32 but for that error, which rounding removes.
 */
function highPart(x: Expression, y: Expression, low: Expression): Expression {
  const rest = binary(binary(x, "*", y, PRODUCT), "-", unsigned(low), SUM);
  return { text: `(${rest.text}) * 2.3283064365386963e-10 + 0.5`, level: SUM };
}

/** Makes JavaScript of IR statements, line by line. */
export abstract class Emitter {
  /** 32 or 64. */
  readonly xlen: 32 | 64;
  /** What has been emitted. */
  lines: string[] = [];
  /** How many temporaries the longest instruction took. */
  maxTemps = 0;
  #temps = 0;
  #narrow = new Map<Value, Expression>();
  #wide = new Map<Value, Pair>();

  constructor(xlen: 32 | 64) {
    this.xlen = xlen;
  }

  // What a subclass provides.

  /** Low half of an integer register. */
  protected abstract readLow(register: number): Expression;
  /** A 64-bit integer register. */
  protected abstract readPair(register: number): Pair;
  /** Sets an integer register of a 32-bit hart. */
  protected abstract write32(register: number, value: Expression): void;
  /** Sets an integer register of a 64-bit hart. */
  protected abstract write64(register: number, value: Pair): void;
  /** Reads a floating-point register: its 64 bits. */
  protected abstract readF(register: number): Pair;
  /** Sets a floating-point register. */
  protected abstract writeF(register: number, value: Pair): void;
  /** An operand that is not known while emitting. */
  protected abstract field(value: Value): Expression;
  /** Address of the instruction, or of the next one, by halves. */
  protected abstract address(which: "pc" | "next"): Pair;
  protected abstract load(statement: Load): void;
  protected abstract store(statement: Store): void;
  protected abstract call(statement: Call): void;
  protected abstract branch(statement: Branch): void;
  protected abstract jump(statement: Jump): void;
  protected abstract jumpTo(statement: JumpTo): void;
  protected abstract leave(statement: Leave): void;

  // Statements.

  /** Starts a new instruction: temporaries of the last one may be used again. */
  protected begin(): void {
    this.#temps = 0;
    this.#narrow.clear();
    this.#wide.clear();
  }

  /** Emits the statements of one instruction. */
  emit(statements: readonly Statement[]): void {
    this.begin();
    this.continueWith(statements);
  }

  /** Emits further statements of the same instruction. */
  protected continueWith(statements: readonly Statement[]): void {
    for (const s of statements) {
      switch (s.kind) {
        case "setX":
          if (this.xlen === 32) this.write32(s.register, this.narrow(s.value));
          else this.write64(s.register, this.wide(s.value));
          break;
        case "setF":
          this.writeF(s.register, this.wide(s.value));
          break;
        case "let":
          if (s.temp.type === "i64") {
            const pair = this.wide(s.value);
            this.define(s.temp, { ...pair, low: this.temp(pair.low), high: this.temp(pair.high) });
          } else this.define(s.temp, this.temp(this.narrow(s.value)));
          break;
        default:
          this[s.kind](s as never);
      }
    }
  }

  /** Appends a line of code. */
  protected line(text: string): void {
    this.lines.push(text);
  }

  /** A fresh temporary's name. */
  fresh(): Expression {
    const name = primary(`t${this.#temps++}`);
    if (this.#temps > this.maxTemps) this.maxTemps = this.#temps;
    return name;
  }

  /** Puts a value in a temporary. */
  temp(e: Expression): Expression {
    const name = this.fresh();
    this.line(`${name.text} = ${e.text};`);
    return name;
  }

  /** The expression itself if it costs nothing to repeat, else a temporary with its value. */
  protected named(e: Expression): Expression {
    return isSimple(e) ? e : this.temp(e);
  }

  /** Says what a `temp` value is from now on. */
  protected define(temp: Value, to: Expression | Pair): void {
    if ("high" in to) this.#wide.set(temp, to);
    else this.#narrow.set(temp, to);
  }

  // Values.

  /** Pair of an i32 that is sign-extended. */
  protected signed(low: Expression): Pair {
    const value = literalValue(low);
    if (value !== undefined) return this.constant(value, value >> 31);
    const name = this.named(low);
    return { low: name, high: shift(name, ">>", literal(31)), signExtended: true, zeroExtended: false };
  }
  /** Pair of an i32 that is zero-extended; `flag` if it is also known not to be negative. */
  protected zeroExtended(low: Expression, flag = false): Pair {
    return { low, high: ZERO, signExtended: flag, zeroExtended: true };
  }
  protected constant(low: number, high: number): Pair {
    return {
      low: literal(low),
      high: literal(high),
      signExtended: high === low >> 31,
      zeroExtended: high === 0,
    };
  }
  /** Pair with a name for its low half. */
  #named(p: Pair): Pair {
    if (isSimple(p.low)) return p;
    return { ...p, low: this.named(p.low) };
  }
  #bothNamed(p: Pair): Pair {
    const low = this.named(p.low);
    return { ...p, low, high: this.named(p.high) };
  }
  #pair(low: Expression, high: Expression, signExtended = false, zeroExtended = false): Pair {
    return { low, high, signExtended, zeroExtended };
  }

  /** Expression of an i32 value. */
  narrow(v: Value): Expression {
    const known = this.#narrow.get(v);
    if (known !== undefined) return known;
    const e = this.#narrow32(v);
    if (v.uses < 2 || isSimple(e)) return e;
    const name = this.temp(e);
    this.#narrow.set(v, name);
    return name;
  }

  /** Expression of an i64 value. */
  wide(v: Value): Pair {
    const known = this.#wide.get(v);
    if (known !== undefined) return known;
    const pair = this.#wide64(v);
    if (v.uses < 2) return pair;
    const named = this.#bothNamed(pair);
    this.#wide.set(v, named);
    return named;
  }

  /** JavaScript condition of an i32 value. */
  condition(v: Value): Expression {
    switch (v.operation) {
      case "eq":
      case "ne":
      case "ltSigned":
      case "ltUnsigned":
      case "geSigned":
      case "geUnsigned":
        return v.a!.type === "i64" ? this.#compare64(v) : this.#compare32(v);
      default:
        return compare(this.narrow(v), "!==", ZERO);
    }
  }

  #compare32(v: Value): Expression {
    const a = this.narrow(v.a!), b = this.narrow(v.b!);
    switch (v.operation) {
      case "eq":
        return compare(a, "===", b);
      case "ne":
        return compare(a, "!==", b);
      case "ltSigned":
        return compare(a, "<", b);
      case "geSigned":
        return compare(a, ">=", b);
      case "ltUnsigned":
        return compare(unsigned(a), "<", unsigned(b));
      default:
        return compare(unsigned(a), ">=", unsigned(b));
    }
  }

  #compare64(v: Value): Expression {
    const a = this.wide(v.a!), b = this.wide(v.b!), operation = v.operation;
    const zero = (p: Pair) => literalValue(p.low) === 0 && literalValue(p.high) === 0;
    const sameHigh = (a.signExtended && b.signExtended) || (a.zeroExtended && b.zeroExtended);
    if (operation === "eq" || operation === "ne") {
      const operator = operation === "eq" ? "===" : "!==";
      if (sameHigh) return compare(a.low, operator, b.low);
      if (zero(b)) return compare(or(a.low, a.high), operator, ZERO);
      if (zero(a)) return compare(or(b.low, b.high), operator, ZERO);
      return compare(or(xor(a.low, b.low), xor(a.high, b.high)), operator, ZERO);
    }
    const isUnsigned = operation === "ltUnsigned" || operation === "geUnsigned";
    const less = operation === "ltSigned" || operation === "ltUnsigned";
    const operator = less ? "<" : ">=";
    if (sameHigh) {
      // Sign extension keeps the unsigned order too, zero extension makes every order the unsigned one.
      return a.signExtended && b.signExtended && !isUnsigned
        ? compare(a.low, operator, b.low)
        : compare(unsigned(a.low), operator, unsigned(b.low));
    }
    if (zero(b) && !isUnsigned) return compare(a.high, operator, ZERO);
    if (zero(a) && isUnsigned) {
      return compare(or(b.low, b.high), less ? "!==" : "===", ZERO);
    }
    const ah = this.named(a.high), bh = this.named(b.high);
    const highs = isUnsigned ? compare(unsigned(ah), "<", unsigned(bh)) : compare(ah, "<", bh);
    const lows = compare(unsigned(a.low), "<", unsigned(b.low));
    const both = binary(compare(ah, "===", bh), "&&", lows, LOGICAL_AND);
    const isLess = binary(highs, "||", both, LOGICAL_OR);
    return less ? isLess : { text: `!(${isLess.text})`, level: UNARY };
  }

  #narrow32(v: Value): Expression {
    const a = v.a, b = v.b;
    switch (v.operation) {
      case "const":
        return literal(v.low);
      case "x":
        return this.readLow(v.low);
      case "field":
        return this.field(v);
      case "pc":
      case "next":
        return this.address(v.operation).low;
      case "wrap":
        return a!.operation === "x" ? this.readLow(a!.low) : this.#lowOf(a!);
      case "add":
        return add(this.narrow(a!), this.narrow(b!));
      case "sub":
        return sub(this.narrow(a!), this.narrow(b!));
      case "and":
        return and(this.narrow(a!), this.narrow(b!));
      case "or":
        return or(this.narrow(a!), this.narrow(b!));
      case "xor":
        return xor(this.narrow(a!), this.narrow(b!));
      case "mul":
        return call("Math.imul", this.narrow(a!), this.narrow(b!));
      case "mulHighSigned":
      case "mulHighUnsigned":
      case "mulHighSignedUnsigned":
        return this.mulHigh32(v.operation, this.named(this.narrow(a!)), this.named(this.narrow(b!)));
      case "divSigned":
      case "divUnsigned":
      case "remSigned":
      case "remUnsigned":
        return this.#divide32(v.operation, this.named(this.narrow(a!)), this.named(this.narrow(b!)));
      case "shiftLeft":
        return shift(this.narrow(a!), "<<", this.narrow(b!));
      case "shiftRightSigned":
        return shift(this.narrow(a!), ">>", this.narrow(b!));
      case "shiftRightUnsigned":
        return shift(this.narrow(a!), ">>>", this.narrow(b!));
      case "rotateLeft":
      case "rotateRight": {
        const x = this.named(this.narrow(a!)), n = this.named(this.narrow(b!));
        const [there, back] = v.operation === "rotateLeft" ? ["<<", ">>>"] as const : [">>>", "<<"] as const;
        return toInt(or(shift(x, there, n), shift(x, back, sub(literal(32), n))));
      }
      case "signExtend8":
        return shift(shift(this.narrow(a!), "<<", literal(24)), ">>", literal(24));
      case "signExtend16":
        return shift(shift(this.narrow(a!), "<<", literal(16)), ">>", literal(16));
      case "zeroExtend8":
        return and(this.narrow(a!), literal(0xff));
      case "zeroExtend16":
        return and(this.narrow(a!), literal(0xffff));
      case "countLeadingZeros":
        return call("Math.clz32", this.narrow(a!));
      case "countTrailingZeros":
        return call("countTrailingZeros", this.narrow(a!));
      case "countOnes":
        return call("countOnes", this.narrow(a!));
      case "select":
        return conditional(this.condition(a!), this.narrow(b!), this.narrow(v.c!));
      case "pure":
        return call(`${v.name}32`, this.narrow(a!), ...(b === null ? [] : [this.narrow(b)]));
      case "eq":
      case "ne":
      case "ltSigned":
      case "ltUnsigned":
      case "geSigned":
      case "geUnsigned":
        return conditional(this.condition(v), literal(1), ZERO);
      default:
        throw new Error(`no i32 form of ${v.operation}`);
    }
  }

  /** Low half of an i64 that is used only for that: carries need not be computed. */
  #lowOf(v: Value): Expression {
    if (v.uses > 1) return this.wide(v).low;
    switch (v.operation) {
      case "add":
        return add(this.#lowOf(v.a!), this.#lowOf(v.b!));
      case "sub":
        return sub(this.#lowOf(v.a!), this.#lowOf(v.b!));
      case "x":
        return this.readLow(v.low);
      default:
        return this.wide(v).low;
    }
  }

  /** High half of a 32-bit product. */
  protected mulHigh32(operation: Operation, a: Expression, b: Expression): Expression {
    const x = operation === "mulHighUnsigned" ? unsigned(a) : a;
    const y = operation === "mulHighSigned" ? b : unsigned(b);
    const scaled = highPart(x, y, call("Math.imul", a, b));
    return toInt(operation === "mulHighUnsigned" ? unsigned(scaled) : call("Math.floor", scaled));
  }

  #divide32(operation: Operation, a: Expression, b: Expression): Expression {
    const isSigned = operation === "divSigned" || operation === "remSigned";
    const isDivision = operation === "divSigned" || operation === "divUnsigned";
    const x = isSigned ? a : unsigned(a), y = isSigned ? b : unsigned(b);
    const result = toInt(binary(x, isDivision ? "/" : "%", y, PRODUCT));
    return conditional(compare(b, "===", ZERO), isDivision ? literal(-1) : a, result);
  }

  #wide64(v: Value): Pair {
    const a = v.a, b = v.b;
    switch (v.operation) {
      case "const":
        return this.constant(v.low, v.high);
      case "x":
        return this.readPair(v.low);
      case "f":
        return this.readF(v.low);
      case "pc":
      case "next":
        return this.address(v.operation);
      case "signExtend64": {
        const low = this.narrow(a!);
        return NEVER_NEGATIVE.has(a!.operation) ? this.zeroExtended(low, true) : this.signed(low);
      }
      case "zeroExtend64":
        return this.zeroExtended(this.narrow(a!));
      case "add":
        return this.#add64(this.#named(this.wide(a!)), this.#named(this.wide(b!)));
      case "sub":
        return this.#sub64(this.#named(this.wide(a!)), this.#named(this.wide(b!)));
      case "and": {
        const x = this.wide(a!), y = this.wide(b!);
        return this.#pair(
          and(x.low, y.low),
          and(x.high, y.high),
          x.signExtended && y.signExtended,
          x.zeroExtended || y.zeroExtended,
        );
      }
      case "or":
      case "xor": {
        const x = this.wide(a!), y = this.wide(b!), f = v.operation === "or" ? or : xor;
        return this.#pair(
          f(x.low, y.low),
          f(x.high, y.high),
          x.signExtended && y.signExtended,
          x.zeroExtended && y.zeroExtended,
        );
      }
      case "mul":
        return this.#mul64(this.wide(a!), this.wide(b!));
      case "mulHighSigned":
      case "mulHighUnsigned":
      case "mulHighSignedUnsigned":
      case "divSigned":
      case "divUnsigned":
      case "remSigned":
      case "remUnsigned":
        return this.#library64(`${v.operation}64`, this.wide(a!), this.wide(b!));
      case "shiftLeft":
      case "shiftRightSigned":
      case "shiftRightUnsigned":
        return this.#shift64(v.operation, this.wide(a!), this.narrow(b!));
      case "rotateLeft":
      case "rotateRight": {
        const x = this.wide(a!);
        const low = this.temp(call(`${v.operation}64`, x.low, x.high, this.narrow(b!)));
        return this.#pair(low, this.temp(primary("HIGH[0]")));
      }
      case "countLeadingZeros": {
        const x = this.#bothNamed(this.wide(a!));
        const low = call("Math.clz32", x.low), high = call("Math.clz32", x.high);
        const sum = conditional(compare(x.high, "===", ZERO), toInt(binary(literal(32), "+", low, SUM)), high);
        return this.zeroExtended(sum, true);
      }
      case "countTrailingZeros": {
        const x = this.#bothNamed(this.wide(a!));
        const low = call("countTrailingZeros", x.low), high = call("countTrailingZeros", x.high);
        const sum = conditional(compare(x.low, "===", ZERO), toInt(binary(literal(32), "+", high, SUM)), low);
        return this.zeroExtended(sum, true);
      }
      case "countOnes": {
        const x = this.wide(a!);
        return this.zeroExtended(add(call("countOnes", x.low), call("countOnes", x.high)), true);
      }
      case "select": {
        const c = this.condition(a!);
        // A condition that is known is the text `true` or `false`.
        const test = isSimple(c) ? c : compare(this.temp(conditional(c, literal(1), ZERO)), "!==", ZERO);
        const x = this.wide(b!), y = this.wide(v.c!);
        return this.#pair(
          conditional(test, x.low, y.low),
          conditional(test, x.high, y.high),
          x.signExtended && y.signExtended,
          x.zeroExtended && y.zeroExtended,
        );
      }
      case "pure":
        return this.#library64(`${v.name}64`, this.wide(a!), b === null ? null : this.wide(b));
      default:
        throw new Error(`no i64 form of ${v.operation}`);
    }
  }

  #add64(a: Pair, b: Pair): Pair {
    if (literalValue(a.low) !== undefined) [a, b] = [b, a];
    const constant = literalValue(b.low);
    if (constant === 0) return this.#pair(a.low, add(a.high, b.high));
    const high = literalValue(b.high);
    if (a.zeroExtended && constant !== undefined && high === constant >> 31 && Math.abs(constant) <= (a.room ?? 0)) {
      return { ...this.zeroExtended(add(a.low, b.low)), room: a.room! - Math.abs(constant) };
    }
    const low = this.temp(add(a.low, b.low));
    if (constant !== undefined && constant > 0) {
      const carry = shift(and(a.low, not(low)), ">>>", literal(31));
      return this.#pair(low, add(a.high, literalValue(b.high) === 0 ? carry : add(b.high, carry)));
    }
    if (constant !== undefined && literalValue(b.high) === -1) {
      const borrow = shift(and(not(a.low), low), ">>>", literal(31));
      return this.#pair(low, sub(a.high, borrow));
    }
    const carry = shift(or(and(a.low, b.low), and(or(a.low, b.low), not(low))), ">>>", literal(31));
    return this.#pair(low, this.#sum(a.high, b.high, carry));
  }

  #sum(a: Expression, b: Expression, c: Expression): Expression {
    if (literalValue(a) === 0) return add(b, c);
    if (literalValue(b) === 0) return add(a, c);
    return toInt(binary(binary(a, "+", b, SUM), "+", c, SUM));
  }

  #sub64(a: Pair, b: Pair): Pair {
    const low = this.temp(sub(a.low, b.low));
    const borrow = literalValue(a.low) === 0
      ? or(b.low, low)
      : or(and(not(a.low), b.low), and(or(not(a.low), b.low), low));
    const difference = binary(a.high, "-", b.high, SUM);
    const bit = shift(borrow, ">>>", literal(31));
    return this.#pair(
      low,
      literalValue(b.high) === 0 ? sub(a.high, bit) : toInt(binary(difference, "-", bit, SUM)),
    );
  }

  #mul64(a: Pair, b: Pair): Pair {
    const al = this.named(a.low), bl = this.named(b.low);
    const low = this.temp(call("Math.imul", al, bl));
    if (a.signExtended && b.signExtended) {
      return this.#pair(low, toInt(call("Math.floor", highPart(al, bl, low))));
    }
    let high: Expression = unsigned(highPart(unsigned(al), unsigned(bl), low));
    if (!b.zeroExtended) high = binary(high, "+", call("Math.imul", al, b.high), SUM);
    if (!a.zeroExtended) high = binary(high, "+", call("Math.imul", a.high, bl), SUM);
    return this.#pair(low, toInt(high));
  }

  #library64(name: string, a: Pair, b: Pair | null): Pair {
    const args = b === null ? [a.low, a.high] : [a.low, a.high, b.low, b.high];
    const low = this.temp(call(name, ...args));
    return this.#pair(low, this.temp(primary("HIGH[0]")));
  }

  #shift64(operation: Operation, p: Pair, amount: Expression): Pair {
    const n = literalValue(amount);
    if (n !== undefined) return this.#shiftConstant(operation, p, n & 63);
    const a = this.#bothNamed(p), by = this.named(amount);
    const long = compare(and(by, literal(32)), "!==", ZERO);
    // The other half's part is shifted in two steps, since a shift by 32 would be one by 0.
    const one = literal(1), inverse = not(by);
    switch (operation) {
      case "shiftLeft": {
        const low = shift(a.low, "<<", by);
        const high = or(shift(a.high, "<<", by), shift(shift(a.low, ">>>", one), ">>>", inverse));
        return this.#pair(conditional(long, ZERO, low), conditional(long, low, high));
      }
      case "shiftRightUnsigned": {
        const high = shift(a.high, ">>>", by);
        const low = or(shift(a.low, ">>>", by), shift(shift(a.high, "<<", one), "<<", inverse));
        return this.#pair(conditional(long, high, low), conditional(long, ZERO, high));
      }
      default: {
        const high = shift(a.high, ">>", by);
        const low = or(shift(a.low, ">>>", by), shift(shift(a.high, "<<", one), "<<", inverse));
        return this.#pair(
          conditional(long, high, low),
          conditional(long, shift(a.high, ">>", literal(31)), high),
        );
      }
    }
  }

  #shiftConstant(operation: Operation, a: Pair, n: number): Pair {
    if (n === 0) return a;
    const by = literal(n), rest = literal(n - 32), other = literal(32 - n);
    if (operation === "shiftLeft") {
      if (n >= 32) return this.#pair(ZERO, shift(a.low, "<<", rest));
      const low = this.named(a.low);
      return this.#pair(shift(low, "<<", by), or(shift(a.high, "<<", by), shift(low, ">>>", other)));
    }
    const isSigned = operation === "shiftRightSigned";
    if (n >= 32) {
      const low = n === 32 ? a.high : shift(a.high, isSigned ? ">>" : ">>>", rest);
      return isSigned ? this.signed(low) : this.zeroExtended(low, n > 32);
    }
    if (isSigned && a.signExtended) return this.signed(shift(a.low, ">>", by));
    if (!isSigned && a.zeroExtended) return this.zeroExtended(shift(a.low, ">>>", by), true);
    const high = this.named(a.high);
    const low = or(shift(a.low, ">>>", by), shift(high, "<<", other));
    return this.#pair(low, shift(high, isSigned ? ">>" : ">>>", by));
  }
}
