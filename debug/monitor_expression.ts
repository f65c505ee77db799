// Expressions and formats of the monitor's commands, as QEMU reads them: `x/4xw $sp + 16`.

/** A command was given what it cannot take; the message is QEMU's. */
export class MonitorError extends Error {}

/** What a register's name means; undefined where there is none. */
export type RegisterValue = (name: string) => bigint | undefined;

/** How memory and values are printed. */
export interface Format {
  readonly count: number;
  /** `o`, `d`, `u`, `x`, `i` (instructions) or `c`. */
  readonly format: string;
  /** Bytes of a value; -1 for instructions where none was given. */
  readonly size: number;
}

const SIZES: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, g: 8, L: 8 };

/** A command's arguments, read from left to right. */
export class Arguments {
  readonly #text: string;
  readonly #register: RegisterValue;
  #at = 0;

  constructor(text: string, register: RegisterValue = () => undefined) {
    this.#text = text;
    this.#register = register;
  }

  #peek(): string {
    return this.#text[this.#at] ?? "";
  }

  #skip(): void {
    while (/\s/.test(this.#peek())) this.#at++;
  }

  /** Whether nothing is left. */
  get ended(): boolean {
    this.#skip();
    return this.#peek() === "";
  }

  /** The next word; undefined if there is none. */
  word(): string | undefined {
    this.#skip();
    const match = /^\S+/.exec(this.#text.slice(this.#at));
    if (match === null) return undefined;
    this.#at += match[0].length;
    return match[0];
  }

  /** `/FORMAT` if there is one; `usual` holds what it does not say, and is updated. */
  format(usual: { format: string; size: number }): Format {
    this.#skip();
    let count = 1;
    if (this.#peek() !== "/") return { count, format: usual.format, size: usual.format === "i" ? -1 : usual.size };
    this.#at++;
    let digits = "", format: string | undefined, size = -1;
    while (/\d/.test(this.#peek()) && this.#peek() !== "") digits += this.#text[this.#at++];
    if (digits !== "") count = Number(digits);
    for (; this.#peek() !== ""; this.#at++) {
      if ("oduxic".includes(this.#peek())) format = this.#peek();
      else if (this.#peek() in SIZES) size = SIZES[this.#peek()]!;
      else break;
    }
    if (this.#peek() !== "" && !/\s/.test(this.#peek())) {
      throw new MonitorError(`invalid char in format: '${this.#peek()}'`);
    }
    format ??= usual.format;
    if (format !== "i") {
      if (size < 0) size = usual.size;
      usual.size = size;
    }
    usual.format = format;
    return { count, format, size };
  }

  /** An expression: a value of 64 bits, unsigned. */
  expression(): bigint {
    this.#skip();
    if (this.#peek() === "") throw new MonitorError("unexpected end of expression");
    return BigInt.asUintN(64, this.#sum());
  }

  /** An expression for what has 32 bits. */
  integer(): number {
    const value = this.expression();
    if (value >> 32n !== 0n) throw new MonitorError("integer is for 32-bit values");
    return Number(BigInt.asIntN(32, value));
  }

  /** Operators of one level, from left to right. */
  #level(operators: string, operand: () => bigint, apply: (operator: string, a: bigint, b: bigint) => bigint): bigint {
    let value = operand();
    for (;;) {
      this.#skip();
      const operator = this.#peek();
      if (operator === "" || !operators.includes(operator)) return value;
      this.#at++;
      this.#skip();
      value = BigInt.asIntN(64, apply(operator, value, operand()));
    }
  }

  // QEMU's levels: sums bind least, then &, | and ^, then products.

  #sum(): bigint {
    return this.#level("+-", () => this.#logic(), (operator, a, b) => operator === "+" ? a + b : a - b);
  }
  #logic(): bigint {
    return this.#level(
      "&|^",
      () => this.#product(),
      (operator, a, b) => operator === "&" ? a & b : operator === "|" ? a | b : a ^ b,
    );
  }
  #product(): bigint {
    return this.#level("*/%", () => this.#unary(), (operator, a, b) => {
      if (operator === "*") return a * b;
      if (b === 0n) throw new MonitorError("division by zero");
      return operator === "/" ? a / b : a % b;
    });
  }

  #unary(): bigint {
    this.#skip();
    const first = this.#peek();
    switch (first) {
      case "":
        throw new MonitorError("unexpected end of expression");
      case "+":
      case "-":
      case "~": {
        this.#at++;
        const value = this.#unary();
        return first === "-" ? BigInt.asIntN(64, -value) : first === "~" ? ~value : value;
      }
      case "(": {
        this.#at++;
        const value = this.#sum();
        this.#skip();
        if (this.#peek() !== ")") throw new MonitorError("')' expected");
        this.#at++;
        return value;
      }
      case "'": {
        const character = this.#text[this.#at + 1];
        if (character === undefined) throw new MonitorError("character constant expected");
        if (this.#text[this.#at + 2] !== "'") throw new MonitorError("missing terminating ' character");
        this.#at += 3;
        return BigInt(character.charCodeAt(0));
      }
      case "$": {
        const name = /^\$([\w.]+)/.exec(this.#text.slice(this.#at))?.[1];
        const value = name === undefined ? undefined : this.#register(name);
        if (value === undefined) throw new MonitorError("unknown register");
        this.#at += 1 + name!.length;
        return BigInt.asIntN(64, value);
      }
    }
    // As C's strtoull with base 0.
    const digits = /^(0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)/i.exec(this.#text.slice(this.#at))?.[0];
    if (digits === undefined) throw new MonitorError(`invalid char '${first}' in expression`);
    this.#at += digits.length;
    const value = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
    if (value >> 64n !== 0n) throw new MonitorError("number too large");
    return BigInt.asIntN(64, value);
  }
}
