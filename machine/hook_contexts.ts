// What hooks are called with: the machine's state at that moment, in the number type that fits its width.

import type { Hart, TrapRecord } from "../hart/hart.ts";
import { causeName } from "../hart/trap.ts";
import { unsigned64 } from "../isa/pair.ts";
import type { Decoded } from "../isa/decode.ts";
import { AddressError } from "./errors.ts";
import type { DebugAccess } from "./debug_access.ts";
import type { FloatRegisters, HartView, Registers, Word } from "./hart_view.ts";
import type { Symbols } from "./symbols.ts";

/** What contexts need of the machine. */
export interface ContextParts {
  readonly harts: readonly HartView<32 | 64>[];
  readonly symbols: Symbols;
  readonly debug: () => DebugAccess;
  /** Decodes an instruction from its bits. */
  readonly decode: (word: number) => Decoded | null;
  /** Ends the run: before the instruction, where its hooks are being called. */
  readonly stop: () => void;
}

/**
 * State of the guest while a hook is called.
 *
 * @example
 * ```ts
 * import { type HookContext, Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const show = (context: HookContext) => console.log(context.place, context.x.a0);
 * machine.hook.instruction("trap", show);
 * await machine.run();
 * ```
 */
export class HookContext<X extends 32 | 64 = 32 | 64> {
  /** The hart whose instruction it is. */
  readonly hart: HartView<X>;
  readonly #parts: ContextParts;
  readonly #pcLow: number;
  readonly #pcHigh: number;

  /** For the machine. */
  constructor(parts: ContextParts, hart: Hart) {
    this.#parts = parts;
    this.hart = parts.harts[hart.id] as HartView<X>;
    this.#pcLow = hart.pcLow;
    this.#pcHigh = hart.pcHigh;
  }

  /** Address of the instruction. */
  get pc(): Word<X> {
    return this.word(unsigned64(this.#pcLow, this.#pcHigh));
  }
  /** Integer registers of the hart. */
  get x(): Registers<X> {
    return this.hart.x;
  }
  /** Floating-point registers of the hart. */
  get f(): FloatRegisters {
    return this.hart.f;
  }
  /** pc as symbol and offset. */
  get place(): string {
    return this.#parts.symbols.format(BigInt(this.pc));
  }

  /** Ends the run. Where the hook comes before an instruction, that is not executed; the run can go on with it. */
  stop(): void {
    this.#parts.stop();
  }

  /**
   * Bytes at a virtual address of the hart; devices are not touched.
   *
   * @throws {AddressError} Where nothing is mapped, or no memory.
   */
  read(address: number | bigint, length: number): Uint8Array {
    const bytes = this.#parts.debug().read(this.hart.id, BigInt(address), length);
    if (bytes === undefined) throw new AddressError(`no memory at 0x${address.toString(16)} (${length} bytes)`);
    return bytes;
  }
  /** Unsigned integer of 1 to 8 bytes at a virtual address, little-endian. */
  readInteger(address: number | bigint, size: number): bigint {
    return this.read(address, size).reduceRight((sum, byte) => sum << 8n | BigInt(byte), 0n);
  }
  /** The text at a virtual address, up to a zero byte, at most `limit` bytes. */
  readString(address: number | bigint, limit = 256): string {
    const bytes: number[] = [];
    for (let at = BigInt(address); bytes.length < limit; at++) {
      const [byte] = this.read(at, 1);
      if (byte === 0) break;
      bytes.push(byte!);
    }
    return new TextDecoder().decode(Uint8Array.from(bytes));
  }

  /** A value as registers hold it. */
  protected word(value: bigint): Word<X> {
    const { xlen } = this.hart, unsigned = BigInt.asUintN(xlen, value);
    return (xlen === 32 ? Number(unsigned) : unsigned) as Word<X>;
  }
}

/**
 * An instruction about to be executed.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * machine.hook.instruction({ match: "ecall" }, (context) => {
 *   console.log(context.place, context.name, context.length);
 *   context.skip();
 * });
 * await machine.run({ maxInstructions: 10_000 });
 * ```
 */
export class InstructionContext<X extends 32 | 64 = 32 | 64> extends HookContext<X> {
  readonly #decode: () => Decoded | null;

  /** For the machine. */
  constructor(parts: ContextParts, hart: Hart, decode: () => Decoded | null) {
    super(parts, hart);
    this.#decode = decode;
  }

  get #decoded(): Decoded {
    const decoded = this.#decode();
    if (decoded === null) throw new AddressError(`no instruction at 0x${this.pc.toString(16)}`);
    return decoded;
  }
  /** Mnemonic, of a compressed instruction its own (`c.addi`). */
  get name(): string {
    return this.#decoded.encoded.name;
  }
  /** Its bits, unsigned. */
  get word32(): number {
    return this.#decoded.word;
  }
  /** Length in bytes. */
  get length(): 2 | 4 {
    return this.#decoded.length;
  }
  /** Numbers of its registers and its immediate, as far as it has them, of the instruction that a compressed one expands to. */
  get operands(): { readonly rd: number; readonly rs1: number; readonly rs2: number; readonly imm: number } {
    const { rd, rs1, rs2, imm } = this.#decoded.operands;
    return { rd, rs1, rs2, imm };
  }
  /** Goes on after the instruction without executing it. */
  skip(): void {
    this.hart.pc = (BigInt(this.pc) + BigInt(this.length)) as never;
  }
}

/**
 * A function that has just been called. Arguments are those of the integer calling convention (RISC-V psABI, chapter 2).
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * machine.hook.call("print", { enter: (call) => call.string(0) === "\n" ? call.return() : undefined });
 * await machine.run();
 * ```
 */
export class CallContext<X extends 32 | 64 = 32 | 64> extends HookContext<X> {
  /** Name of the function, as the hook has it. */
  readonly name: string;
  /** Words of ra, sp and a0 to a7 at the call, of RV64 two each. For the machine. */
  readonly words: readonly number[];

  /** For the machine. */
  constructor(parts: ContextParts, hart: Hart, name: string) {
    super(parts, hart);
    this.name = name;
    const { x } = hart;
    // A copy of the typed array would take longer than all the rest.
    this.words = hart.xlen === 32
      ? [x[1]!, x[2]!, x[10]!, x[11]!, x[12]!, x[13]!, x[14]!, x[15]!, x[16]!, x[17]!]
      // deno-fmt-ignore
      : [
        x[2]!, x[3]!, x[4]!, x[5]!, x[20]!, x[21]!, x[22]!, x[23]!, x[24]!, x[25]!,
        x[26]!, x[27]!, x[28]!, x[29]!, x[30]!, x[31]!, x[32]!, x[33]!, x[34]!, x[35]!,
      ];
  }

  /** Register of such a place. */
  #register(place: number): Word<X> {
    const { words } = this;
    if (this.hart.xlen === 32) return (words[place]! >>> 0) as Word<X>;
    return unsigned64(words[2 * place]!, words[2 * place + 1]!) as Word<X>;
  }

  /** Address to which it returns. */
  get returnAddress(): Word<X> {
    return this.#register(0);
  }

  /** Argument `n` (from 0), unsigned, as it was at the call: one word of XLEN bits, in a register or on the stack. */
  arg(n: number): Word<X> {
    const { xlen } = this.hart;
    if (n < 8) return this.#register(2 + n);
    return this.word(this.readInteger(BigInt(this.#register(1)) + BigInt((n - 8) * xlen / 8), xlen / 8));
  }
  /** The same as a signed number. */
  signed(n: number): Word<X> {
    const { xlen } = this.hart, value = BigInt.asIntN(xlen, BigInt(this.arg(n)));
    return (xlen === 32 ? Number(value) : value) as Word<X>;
  }
  /** A 64-bit argument, unsigned: word `n`, on RV32 with word `n` + 1 as its upper half. */
  arg64(n: number): bigint {
    if (this.hart.xlen === 64) return BigInt(this.arg(n));
    return BigInt(this.arg(n + 1)) << 32n | BigInt(this.arg(n));
  }
  /** Text that argument `n` points to. */
  string(n: number, limit = 256): string {
    return this.readString(this.arg(n), limit);
  }
  /** Double-precision argument in fa`n` (hard-float conventions), as it is now. */
  double(n: number): number {
    return toDouble(this.f[`fa${n}`]!);
  }
  /** Single-precision argument in fa`n`, as it is now. */
  float(n: number): number {
    return toFloat(this.f[`fa${n}`]!);
  }
  /**
   * Returns from the function without executing it. `value` goes into a0; on RV32, the upper half of a value that does not fit
   * 32 bits goes into a1. No `leave` follows.
   */
  return(value?: number | bigint): void {
    if (value !== undefined) setResult(this.hart, value);
    this.hart.pc = this.returnAddress as never;
  }
}

/**
 * A function that has just returned.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * machine.hook.call("trap", { leave: (end) => console.log(end.name, end.arg(0), end.result) });
 * await machine.run();
 * ```
 */
export class ReturnContext<X extends 32 | 64 = 32 | 64> extends HookContext<X> {
  /** The call. */
  readonly call: CallContext<X>;

  /** For the machine. */
  constructor(parts: ContextParts, hart: Hart, call: CallContext<X>) {
    super(parts, hart);
    this.call = call;
  }
  /** Name of the function. */
  get name(): string {
    return this.call.name;
  }
  /** Argument `n` as it was at the call. */
  arg(n: number): Word<X> {
    return this.call.arg(n);
  }
  /** What it returned: a0, unsigned. Setting it takes number or bigint. */
  get result(): Word<X> {
    return this.x.a0;
  }
  set result(value: number | bigint) {
    setResult(this.hart, value);
  }
  /** A 64-bit result, unsigned: a0, on RV32 with a1 as its upper half. */
  get result64(): bigint {
    const low = BigInt(this.x.a0);
    return this.hart.xlen === 64 ? low : BigInt(this.x.a1) << 32n | low;
  }
  /** Double-precision result in fa0. */
  get double(): number {
    return toDouble(this.f.fa0!);
  }
  /** Single-precision result in fa0. */
  get float(): number {
    return toFloat(this.f.fa0!);
  }
}

function setResult(hart: HartView<32 | 64>, value: number | bigint): void {
  const wide = BigInt(value);
  hart.x.a0 = wide as never;
  if (hart.xlen === 32 && BigInt.asIntN(32, wide) !== wide && BigInt.asUintN(32, wide) !== wide) {
    hart.x.a1 = (wide >> 32n) as never;
  }
}

const floats = new DataView(new ArrayBuffer(8));
function toDouble(bits: bigint): number {
  floats.setBigUint64(0, bits);
  return floats.getFloat64(0);
}
function toFloat(bits: bigint): number {
  floats.setUint32(0, Number(BigInt.asUintN(32, bits)));
  return floats.getFloat32(0);
}

/**
 * A trap about to be taken.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * machine.hook.trap({ interrupt: true }, (trap) => console.log(trap.cause, trap.place));
 * await machine.run();
 * ```
 */
export class TrapContext<X extends 32 | 64 = 32 | 64> extends HookContext<X> {
  /** Exception or interrupt code. */
  readonly code: number;
  /** The manual's name of the cause, such as `load page fault`. */
  readonly cause: string;
  /** Whether it is an interrupt. */
  readonly interrupt: boolean;
  /** What goes into mtval or stval. */
  readonly value: Word<X>;
  /** Privilege level where it comes, and the one that is to handle it: `"U"`, `"S"`, `"M"`. */
  readonly from: string;
  /** The level that is to handle it. */
  readonly to: string;
  /** Whether the trap is to be taken. For the machine. */
  delivered = true;

  /** For the machine. */
  constructor(parts: ContextParts, hart: Hart, trap: TrapRecord) {
    super(parts, hart);
    this.code = trap.cause;
    this.interrupt = trap.interrupt;
    this.cause = causeName(trap.cause, trap.interrupt);
    this.value = this.word(unsigned64(trap.valueLow, trap.valueHigh));
    this.from = "US?M"[trap.fromPrivilege]!;
    this.to = "US?M"[trap.toPrivilege]!;
  }
  /** Takes the trap, as happens anyway if the hook says nothing. */
  deliver(): void {
    this.delivered = true;
  }
  /**
   * Does not take the trap: execution goes on at an address, with registers as they are. An interrupt stays pending and comes
   * again when the state of interrupts changes.
   */
  resume(pc: number | bigint): void {
    this.delivered = false;
    this.hart.pc = pc as never;
  }
}

/**
 * A load or store of a watched address.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * // Every value stored there is stored as 0.
 * machine.hook.memory({ at: "ticks", on: "write" }, (access) => access.value === 0n ? undefined : 0n);
 * await machine.run({ maxInstructions: 10_000 });
 * ```
 */
export class AccessContext<X extends 32 | 64 = 32 | 64> extends HookContext<X> {
  /** Whether it reads, writes, or fetches the instruction. */
  readonly kind: "read" | "write" | "fetch";
  /** Virtual address. */
  readonly address: Word<X>;
  /** Physical address. */
  readonly physical: number;
  /** 1, 2, 4 or 8 bytes. */
  readonly size: number;
  /** For a store: what is in memory before it, unsigned; undefined where that is no RAM. */
  readonly oldValue: Word<X> | undefined;
  /** What is loaded, about to be stored, or fetched, unsigned. */
  readonly value: Word<X>;

  /** For the machine. */
  constructor(
    parts: ContextParts,
    hart: Hart,
    access: {
      readonly kind: "read" | "write" | "fetch";
      readonly address: bigint;
      readonly physical: number;
      readonly size: number;
      readonly oldValue: bigint | undefined;
      readonly value: bigint;
    },
  ) {
    super(parts, hart);
    this.kind = access.kind;
    this.address = this.word(access.address);
    this.physical = access.physical;
    this.size = access.size;
    this.oldValue = access.oldValue === undefined ? undefined : this.word(access.oldValue);
    this.value = this.word(access.value);
  }
}
