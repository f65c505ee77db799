// WebAssembly in its binary form (WebAssembly Core Specification, chapter "Binary Format"): instructions of one function, and
// the module that holds it. Every instruction is also kept as a line of text, for people.

import { MEMORY, type MemoryInstruction, PLAIN, type PlainInstruction } from "./wasm_opcodes.ts";

export type { MemoryInstruction, PlainInstruction } from "./wasm_opcodes.ts";

/** Types of values. */
export type WasmType = "i32" | "i64" | "f32" | "f64";

const TYPE_CODES: Readonly<Record<WasmType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c };
const NO_RESULT = 0x40;

/** Something that can be jumped out of, or back to. */
export interface Label {
  readonly name: string;
}

/** An imported function. */
interface Import {
  readonly name: string;
  readonly parameters: readonly WasmType[];
  readonly result: WasmType | null;
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

/** One function of a module, which has one parameter (i32), and one result (i32), unless it is told others, and the functions that it imports. */
export class WasmFunction {
  readonly #parameters: readonly WasmType[];
  readonly #result: WasmType;
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

  constructor(keepText: boolean, parameters: readonly WasmType[] = ["i32"], result: WasmType = "i32") {
    this.lines = keepText ? [] : null;
    this.#parameters = parameters;
    this.#result = result;
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
  f64(value: number): void {
    if (this.lines !== null) this.#line(`f64.const ${value}`);
    this.#code.push(0x44);
    this.#float((view) => view.setFloat64(0, value, true), 8);
  }
  f32(value: number): void {
    if (this.lines !== null) this.#line(`f32.const ${value}`);
    this.#code.push(0x43);
    this.#float((view) => view.setFloat32(0, value, true), 4);
  }
  #float(set: (view: DataView) => void, bytes: number): void {
    const view = new DataView(new ArrayBuffer(8));
    set(view);
    for (let k = 0; k < bytes; k++) this.#code.push(view.getUint8(k));
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

  /** Calls an imported function. It takes so many i32, or values of these types, and gives nothing, an i32, or a value of a type. */
  call(name: string, parameters: number | readonly WasmType[], result: 0 | 1 | WasmType): void {
    let index = this.#imports.findIndex((other) => other.name === name);
    if (index < 0) {
      const types = typeof parameters === "number" ? new Array<WasmType>(parameters).fill("i32") : parameters;
      index =
        this.#imports.push({ name, parameters: types, result: result === 0 ? null : result === 1 ? "i32" : result }) -
        1;
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
    const out = bytesOf(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
    // Types: of this function, then of each import.
    const types = bytesOf(1 + this.#imports.length);
    for (const { parameters, result } of [{ parameters: this.#parameters, result: this.#result }, ...this.#imports]) {
      types.push(0x60);
      for (const list of [parameters, result === null ? [] : [result]]) {
        types.push(list.length);
        for (const type of list) types.push(TYPE_CODES[type]);
      }
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
