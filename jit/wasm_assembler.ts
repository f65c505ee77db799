// WebAssembly in its binary form (WebAssembly Core Specification, chapter "Binary Format"): instructions of one function, and
// the module that holds it. Every instruction is also kept as a line of text, for people.

/** Types of values. */
export type WasmType = "i32" | "i64";

const TYPE_CODES: Readonly<Record<WasmType, number>> = { i32: 0x7f, i64: 0x7e };
const NO_RESULT = 0x40;

/** Opcodes of the instructions without immediates, by name. */
const PLAIN = {
  "unreachable": 0x00,
  "else": 0x05,
  "end": 0x0b,
  "return": 0x0f,
  "drop": 0x1a,
  "select": 0x1b,
  "i32.eqz": 0x45,
  "i32.eq": 0x46,
  "i32.ne": 0x47,
  "i32.lt_s": 0x48,
  "i32.lt_u": 0x49,
  "i32.gt_s": 0x4a,
  "i32.le_s": 0x4c,
  "i32.ge_s": 0x4e,
  "i32.ge_u": 0x4f,
  "i64.eqz": 0x50,
  "i64.eq": 0x51,
  "i64.ne": 0x52,
  "i64.lt_s": 0x53,
  "i64.lt_u": 0x54,
  "i64.ge_s": 0x59,
  "i64.ge_u": 0x5a,
  "i32.clz": 0x67,
  "i32.ctz": 0x68,
  "i32.popcnt": 0x69,
  "i32.add": 0x6a,
  "i32.sub": 0x6b,
  "i32.mul": 0x6c,
  "i32.div_s": 0x6d,
  "i32.div_u": 0x6e,
  "i32.rem_s": 0x6f,
  "i32.rem_u": 0x70,
  "i32.and": 0x71,
  "i32.or": 0x72,
  "i32.xor": 0x73,
  "i32.shl": 0x74,
  "i32.shr_s": 0x75,
  "i32.shr_u": 0x76,
  "i32.rotl": 0x77,
  "i32.rotr": 0x78,
  "i64.clz": 0x79,
  "i64.ctz": 0x7a,
  "i64.popcnt": 0x7b,
  "i64.add": 0x7c,
  "i64.sub": 0x7d,
  "i64.mul": 0x7e,
  "i64.div_s": 0x7f,
  "i64.div_u": 0x80,
  "i64.rem_s": 0x81,
  "i64.rem_u": 0x82,
  "i64.and": 0x83,
  "i64.or": 0x84,
  "i64.xor": 0x85,
  "i64.shl": 0x86,
  "i64.shr_s": 0x87,
  "i64.shr_u": 0x88,
  "i64.rotl": 0x89,
  "i64.rotr": 0x8a,
  "i32.wrap_i64": 0xa7,
  "i64.extend_i32_s": 0xac,
  "i64.extend_i32_u": 0xad,
  "i32.extend8_s": 0xc0,
  "i32.extend16_s": 0xc1,
} as const;

/** Loads and stores: opcode and log2 of the natural alignment. */
const MEMORY = {
  "i32.load": [0x28, 2],
  "i64.load": [0x29, 3],
  "i32.load8_s": [0x2c, 0],
  "i32.load8_u": [0x2d, 0],
  "i32.load16_s": [0x2e, 1],
  "i32.load16_u": [0x2f, 1],
  "i32.store": [0x36, 2],
  "i64.store": [0x37, 3],
  "i32.store8": [0x3a, 0],
  "i32.store16": [0x3b, 1],
} as const;

export type PlainInstruction = keyof typeof PLAIN;
export type MemoryInstruction = keyof typeof MEMORY;

/** Something that can be jumped out of, or back to. */
export interface Label {
  readonly name: string;
}

/** An imported function. */
interface Import {
  readonly name: string;
  readonly parameters: readonly WasmType[];
  readonly results: number;
}

/** A sequence of bytes that grows. */
class Bytes {
  #bytes = new Uint8Array(1024);
  length = 0;

  push(byte: number): void {
    if (this.length === this.#bytes.length) {
      const more = new Uint8Array(2 * this.length);
      more.set(this.#bytes);
      this.#bytes = more;
    }
    this.#bytes[this.length++] = byte;
  }
  put(at: number, byte: number): void {
    this.#bytes[at] = byte;
  }
  append(other: Bytes): void {
    const length = this.length + other.length;
    while (this.#bytes.length < length) {
      const more = new Uint8Array(2 * this.#bytes.length);
      more.set(this.#bytes);
      this.#bytes = more;
    }
    this.#bytes.set(other.#bytes.subarray(0, other.length), this.length);
    this.length = length;
  }
  copy(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.length);
  }
}

function bytesOf(...values: readonly number[]): Bytes {
  const bytes = new Bytes();
  for (const value of values) bytes.push(value);
  return bytes;
}

function unsigned(out: Bytes, value: number): void {
  for (value >>>= 0;;) {
    const byte = value & 0x7f;
    value >>>= 7;
    if (value === 0) {
      out.push(byte);
      return;
    }
    out.push(byte | 0x80);
  }
}

function signed32(out: Bytes, value: number): void {
  for (;;) {
    const byte = value & 0x7f;
    value >>= 7;
    if ((value === 0 && (byte & 0x40) === 0) || (value === -1 && (byte & 0x40) !== 0)) {
      out.push(byte);
      return;
    }
    out.push(byte | 0x80);
  }
}

/** A 64-bit constant by its halves. */
function signed64(out: Bytes, low: number, high: number): void {
  for (;;) {
    const byte = low & 0x7f;
    low = low >>> 7 | high << 25;
    high >>= 7;
    const rest = byte & 0x40;
    if ((low === 0 && high === 0 && rest === 0) || (low === -1 && high === -1 && rest !== 0)) {
      out.push(byte);
      return;
    }
    out.push(byte | 0x80);
  }
}

function text(out: Bytes, value: string): void {
  unsigned(out, value.length);
  for (let k = 0; k < value.length; k++) out.push(value.charCodeAt(k));
}

function section(out: Bytes, id: number, contents: Bytes): void {
  out.push(id);
  unsigned(out, contents.length);
  out.append(contents);
}

/** Whether a condition is nearly always or hardly ever true. */
export type Hint = "likely" | "unlikely";

/** One function of a module, which has one parameter (i32), unless it is told others, and one result (i32), and the functions that it imports. */
export class WasmFunction {
  readonly #parameters: readonly WasmType[];
  readonly #code = new Bytes();
  readonly #locals: { readonly type: WasmType; readonly name: string }[] = [];
  readonly #imports: Import[] = [];
  readonly #labels: Label[] = [];
  /** Where in the code its own index must be put. */
  readonly #selfCalls: number[] = [];
  /** Where in the code branches are that are hardly ever, or nearly always, taken, for branch hints. */
  readonly #hints: [at: number, hint: 0 | 1][] = [];
  /** Lines of text, if they are kept. */
  readonly lines: string[] | null;

  constructor(keepText: boolean, parameters: readonly WasmType[] = ["i32"]) {
    this.lines = keepText ? [] : null;
    this.#parameters = parameters;
  }

  #line(line: string): void {
    this.lines?.push("  ".repeat(this.#labels.length + 1) + line);
  }

  /** A comment in the text. */
  comment(line: string): void {
    if (this.lines !== null) this.#line(`;; ${line}`);
  }

  /** A new local variable. */
  local(type: WasmType, name: string): number {
    return this.#parameters.length + this.#locals.push({ type, name }) - 1;
  }
  #name(local: number): string {
    const own = this.#locals[local - this.#parameters.length];
    return own !== undefined ? `$${own.name}` : local === 0 ? "$d" : `$d${local}`;
  }

  op(name: PlainInstruction): void {
    this.#line(name);
    this.#code.push(PLAIN[name]);
  }
  get(local: number): void {
    if (this.lines !== null) this.#line(`local.get ${this.#name(local)}`);
    this.#code.push(0x20);
    unsigned(this.#code, local);
  }
  set(local: number): void {
    if (this.lines !== null) this.#line(`local.set ${this.#name(local)}`);
    this.#code.push(0x21);
    unsigned(this.#code, local);
  }
  tee(local: number): void {
    if (this.lines !== null) this.#line(`local.tee ${this.#name(local)}`);
    this.#code.push(0x22);
    unsigned(this.#code, local);
  }
  i32(value: number): void {
    if (this.lines !== null) this.#line(`i32.const ${value | 0}`);
    this.#code.push(0x41);
    signed32(this.#code, value | 0);
  }
  i64(low: number, high: number): void {
    if (this.lines !== null) {
      this.#line(`i64.const 0x${(high >>> 0).toString(16)}_${(low >>> 0).toString(16).padStart(8, "0")}`);
    }
    this.#code.push(0x42);
    signed64(this.#code, low | 0, high | 0);
  }
  /** A load or store at a constant offset from the address on the stack. Any alignment works. */
  memory(name: MemoryInstruction, offset: number): void {
    if (this.lines !== null) this.#line(`${name} offset=0x${offset.toString(16)}`);
    const [code, alignment] = MEMORY[name];
    this.#code.push(code);
    this.#code.push(alignment);
    unsigned(this.#code, offset);
  }

  #open(code: number, name: string, result: WasmType | null, label: string): Label {
    this.#line(`${name} $${label}${result === null ? "" : ` (result ${result})`}`);
    const opened = { name: label };
    this.#labels.push(opened);
    this.#code.push(code);
    this.#code.push(result === null ? NO_RESULT : TYPE_CODES[result]);
    return opened;
  }
  /** Code after whose end a branch to its label goes on. */
  block(label: string, result: WasmType | null = null): Label {
    return this.#open(0x02, "block", result, label);
  }
  /** Code at whose start a branch to its label goes on. */
  loop(label: string): Label {
    return this.#open(0x03, "loop", null, label);
  }
  /** Code for a condition that is on the stack; with a hint, the engine keeps the way that is hardly ever taken out of the other's. */
  if(hint?: Hint, result: WasmType | null = null): Label {
    this.#hint(hint);
    return this.#open(0x04, "if", result, "if");
  }
  #hint(hint: Hint | undefined): void {
    if (hint !== undefined) this.#hints.push([this.#code.length, hint === "likely" ? 1 : 0]);
  }
  else(): void {
    this.lines?.push(`${"  ".repeat(this.#labels.length)}else`);
    this.#code.push(PLAIN.else);
  }
  end(): void {
    this.#labels.pop();
    this.op("end");
  }
  #branch(code: number, name: string, label: Label): void {
    if (this.lines !== null) this.#line(`${name} $${label.name}`);
    this.#code.push(code);
    unsigned(this.#code, this.#labels.length - 1 - this.#labels.lastIndexOf(label));
  }
  br(label: Label): void {
    this.#branch(0x0c, "br", label);
  }
  /** A jump on the condition on the stack. */
  brIf(label: Label, hint?: Hint): void {
    this.#hint(hint);
    this.#branch(0x0d, "br_if", label);
  }
  /** A jump to one of several labels, by the number on the stack. */
  brTable(labels: readonly Label[]): void {
    this.#line(`br_table ${labels.map(({ name }) => `$${name}`).join(" ")}`);
    this.#code.push(0x0e);
    unsigned(this.#code, labels.length - 1);
    for (const label of labels) unsigned(this.#code, this.#labels.length - 1 - this.#labels.lastIndexOf(label));
  }

  /** Calls an imported function. It takes so many i32, or values of these types, and gives an i32 or nothing. */
  call(name: string, parameters: number | readonly WasmType[], results: 0 | 1): void {
    let index = this.#imports.findIndex((other) => other.name === name);
    if (index < 0) {
      const types = typeof parameters === "number" ? new Array<WasmType>(parameters).fill("i32") : parameters;
      index = this.#imports.push({ name, parameters: types, results }) - 1;
    }
    if (this.lines !== null) this.#line(`call $${name}`);
    this.#code.push(0x10);
    unsigned(this.#code, index);
  }
  /** Calls this function. */
  callSelf(): void {
    this.lines?.push(`${"  ".repeat(this.#labels.length + 1)}call $self`);
    this.#code.push(0x10);
    // Its index comes after those of the imports, which are not all known yet: five bytes hold any.
    this.#selfCalls.push(this.#code.length);
    for (const byte of [0x80, 0x80, 0x80, 0x80, 0]) this.#code.push(byte);
  }
  /** Calls the function of the table at the index on the stack; it is of the kind of this one. */
  callIndirect(): void {
    this.#line("call_indirect");
    for (const byte of [0x11, 0, 0]) this.#code.push(byte);
  }
  /** The same in place of this function's return. */
  returnCallIndirect(): void {
    this.#line("return_call_indirect");
    for (const byte of [0x13, 0, 0]) this.#code.push(byte);
  }

  /** Names of the functions that it calls. */
  get imports(): readonly string[] {
    return this.#imports.map(({ name }) => name);
  }

  /**
   * The whole module. It imports `memory`, `table` and the functions from `env`, and exports `run`. `pages`: how many the memory has at
   * least. V8 then needs no check of a constant address below, and one less of any other, where it does not leave them to the processor
   * (Deno).
   */
  module(pages: number): Uint8Array<ArrayBuffer> {
    for (const at of this.#selfCalls) this.#code.put(at, 0x80 | this.#imports.length);
    const out = bytesOf(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0), i32 = TYPE_CODES.i32;
    // Types: of this function, then of each import.
    const types = bytesOf(1 + this.#imports.length);
    for (const { parameters, results } of [{ parameters: this.#parameters, results: 1 }, ...this.#imports]) {
      types.push(0x60);
      types.push(parameters.length);
      for (const type of parameters) types.push(TYPE_CODES[type]);
      types.push(results);
      if (results === 1) types.push(i32);
    }
    section(out, 1, types);
    const imports = bytesOf(2 + this.#imports.length);
    const name = (module: string, field: string, ...kind: number[]) => {
      text(imports, module);
      text(imports, field);
      for (const byte of kind) imports.push(byte);
    };
    this.#imports.forEach((imported, k) => name("env", imported.name, 0, k + 1));
    name("env", "memory", 2, 0);
    unsigned(imports, pages);
    name("env", "table", 1, 0x70, 0, 0);
    section(out, 2, imports);
    section(out, 3, bytesOf(1, 0));
    const exports = bytesOf(1);
    text(exports, "run");
    exports.push(0);
    unsigned(exports, this.#imports.length);
    section(out, 7, exports);
    const locals = new Bytes(), code = bytesOf(1);
    unsigned(locals, this.#locals.length);
    for (const { type } of this.#locals) {
      locals.push(1);
      locals.push(TYPE_CODES[type]);
    }
    this.#branchHints(out, locals.length);
    unsigned(code, locals.length + this.#code.length + 1);
    code.append(locals);
    code.append(this.#code);
    code.push(PLAIN.end);
    section(out, 10, code);
    return out.copy();
  }

  /** The section of branch hints ("Branch Hinting", phase 5 of the WebAssembly proposals): offsets from the local variables on. */
  #branchHints(out: Bytes, locals: number): void {
    if (this.#hints.length === 0) return;
    const contents = new Bytes();
    text(contents, "metadata.code.branch_hint");
    contents.push(1);
    unsigned(contents, this.#imports.length);
    unsigned(contents, this.#hints.length);
    for (const [at, hint] of this.#hints) {
      unsigned(contents, locals + at);
      contents.push(1);
      contents.push(hint);
    }
    section(out, 0, contents);
  }
}
