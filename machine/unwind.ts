// From a hart's registers to those of its callers: by frame information, else by what the function's instructions have done,
// else by the frame pointer.

import { attempt } from "../debug/dwarf/dwarf.ts";
import { type Context, evaluateValue } from "../debug/dwarf/expression.ts";
import type { FrameRules, RegisterRule } from "../debug/dwarf/frame_table.ts";
import { wordOf } from "../debug/dwarf/value.ts";
import { type Decoder, isCompressed } from "../isa/decode.ts";
import { CSR_NUMBERS } from "../isa/csr_names.ts";
import type { DebugInfo } from "./debug_info.ts";
import { CSR_ORIGIN, type Place, Prologue } from "./prologue.ts";

/** What unwinding needs of a hart. No access may have side effects. */
export interface UnwindTarget {
  readonly xlen: 32 | 64;
  readonly decoder: Decoder;
  readonly info: DebugInfo;
  /** Address of the next instruction. */
  readonly pc: bigint;
  /** A register now (DWARF numbers: x 0 to 31, f 32 to 63). */
  register(number: number): bigint | undefined;
  csr(number: number): bigint | undefined;
  /** Memory by virtual address. */
  memory(address: bigint, length: number): Uint8Array | undefined;
}

/** The state that a function had, or has, when it is left for another. */
export interface UnwoundFrame {
  readonly pc: bigint;
  /** True if the instruction at `pc` has not begun: in the innermost frame and in what a trap interrupted. */
  readonly exact: boolean;
  /** An address in the instruction that is being executed: `pc`, or in the call before it. */
  readonly lookup: bigint;
  /** True if a trap entered this function: the next frame is what it interrupted. */
  readonly trap: boolean;
  /** Stack pointer of the caller before the call, if it is known. */
  readonly cfa: bigint | undefined;
  /** A register as it is, or was when the function called another. Undefined if its value is lost. */
  register(number: number): bigint | undefined;
}

/** Frames that are followed at most. */
export const MAX_FRAMES = 256;

const RA = 1, SP = 2, FP = 8;
/** DWARF numbers from here on are CSRs (RISC-V DWARF specification, "DWARF Register Numbers"). */
const DWARF_CSR = 4096;

/** Registers of a caller: those of the callee, but for what is known to be different. */
class Registers {
  readonly #changed: Map<number, bigint | undefined>;
  readonly #target: UnwindTarget;

  constructor(target: UnwindTarget, changed: Map<number, bigint | undefined>) {
    this.#target = target;
    this.#changed = changed;
  }

  get(number: number): bigint | undefined {
    if (number === 0) return 0n;
    if (this.#changed.has(number)) return this.#changed.get(number);
    return number >= DWARF_CSR ? this.#target.csr(number - DWARF_CSR) : this.#target.register(number);
  }

  with(changes: Iterable<readonly [number, bigint | undefined]>): Registers {
    return new Registers(this.#target, new Map([...this.#changed, ...changes]));
  }
}

/** What a step gives: the caller, and of the callee what was learned on the way. */
interface Step {
  readonly caller?: { readonly pc: bigint; readonly registers: Registers };
  readonly cfa?: bigint;
  readonly trap?: boolean;
}

/** The frames of a hart, from the innermost on. Always ends: the stack pointer has to move on, and the number is bounded. */
export function* unwind(target: UnwindTarget): Generator<UnwoundFrame> {
  const unwinder = new Unwinder(target), seen = new Set<string>();
  let pc = target.pc, registers = new Registers(target, new Map()), exact = true;
  for (let count = 0; count < MAX_FRAMES; count++) {
    const { caller, cfa, trap = false } = unwinder.step(pc, registers, exact), now = registers;
    yield { pc, exact, lookup: exact ? pc : pc - 1n, trap, cfa, register: (number) => now.get(number) };
    if (caller === undefined || !unwinder.isCode(caller.pc)) return;
    const before = registers.get(SP), after = caller.registers.get(SP);
    // A leaf may use no stack; what a trap interrupts may have another.
    const moves = trap || before === undefined || after === undefined || after > before || (exact && after === before);
    const key = `${caller.pc}/${after}`;
    if (!moves || seen.has(key)) return;
    seen.add(key);
    ({ pc, registers } = caller);
    exact = trap;
  }
}

class Unwinder {
  readonly #target: UnwindTarget;
  readonly #size: number;

  constructor(target: UnwindTarget) {
    this.#target = target;
    this.#size = target.xlen / 8;
  }

  /** True if there is an instruction at an address. */
  isCode(pc: bigint): boolean {
    return (pc & 1n) === 0n && pc !== 0n && this.#target.memory(pc, 2) !== undefined;
  }

  step(pc: bigint, registers: Registers, exact: boolean): Step {
    const lookup = exact ? pc : pc - 1n;
    const rules = this.#rules(lookup);
    if (rules !== undefined) {
      const step = attempt(() => this.#byRules(rules, registers, exact));
      // A trap handler's frame information may begin where it has saved the address of what it interrupted.
      if (step !== undefined && (step.caller !== undefined || !rules.signal)) return step;
    }
    return this.#byInstructions(pc, lookup, registers, exact) ?? this.#byFramePointer(registers) ?? {};
  }

  #rules(lookup: bigint): FrameRules | undefined {
    const { info } = this.#target;
    for (const file of info.files) {
      const link = file.toLink(lookup);
      for (const table of file.holds(link) ? file.frames : []) {
        const rules = attempt(() => table.at(link));
        if (rules !== undefined) return rules;
      }
    }
    return undefined;
  }

  #read(address: bigint, size = this.#size): bigint | undefined {
    const bytes = this.#target.memory(this.#wrap(address), size);
    return bytes && wordOf(bytes);
  }

  #wrap(value: bigint): bigint {
    return BigInt.asUintN(this.#target.xlen, value);
  }

  #byRules(rules: FrameRules, registers: Registers, exact: boolean): Step {
    const context = this.#context(registers), cfa = this.#cfa(rules, registers, context);
    if (cfa === undefined) return {};
    const trap = rules.signal;
    const changes: [number, bigint | undefined][] = [[SP, cfa]];
    for (const [register, rule] of rules.registers) {
      if (rule.kind !== "same") changes.push([register, this.#byRule(rule, cfa, registers, context)]);
    }
    // Where the frame information says nothing of it, the return address is where it was at the entry; a call has changed that.
    const saved = rules.registers.has(rules.returnRegister);
    if (!saved && !exact) return { cfa };
    const caller = registers.with(changes), pc = caller.get(rules.returnRegister);
    if (pc === undefined) return { cfa };
    return { cfa, trap, caller: { pc: this.#wrap(trap ? pc : pc & ~1n), registers: caller } };
  }

  #cfa(rules: FrameRules, registers: Registers, context: Context): bigint | undefined {
    if ("expression" in rules.cfa) return this.#wrap(evaluateValue(rules.cfa.expression, context).bits);
    const value = registers.get(rules.cfa.register);
    return value === undefined ? undefined : this.#wrap(value + rules.cfa.offset);
  }

  #context(registers: Registers): Context {
    return {
      addressSize: this.#size as 4 | 8,
      register: (number) => registers.get(number),
      memory: (address, length) => this.#target.memory(address, length),
    };
  }

  #byRule(rule: RegisterRule, cfa: bigint, registers: Registers, context: Context): bigint | undefined {
    switch (rule.kind) {
      case "offset":
        return this.#read(cfa + rule.offset);
      case "valueOffset":
        return this.#wrap(cfa + rule.offset);
      case "register":
        return registers.get(rule.register);
      case "expression":
        return this.#read(evaluateValue(rule.expression, context, [cfa]).bits);
      case "valueExpression":
        return this.#wrap(evaluateValue(rule.expression, context, [cfa]).bits);
    }
    return undefined;
  }

  /** By what the instructions from the function's start on have done. */
  #byInstructions(pc: bigint, lookup: bigint, registers: Registers, exact: boolean): Step | undefined {
    const { info, xlen } = this.#target, match = info.symbols.at(lookup);
    const vector = this.#vectorOf(lookup);
    const start = vector?.address ?? (match && lookup - match.offset);
    if (start === undefined) return undefined;
    const prologue = Prologue.follow((address) => this.#decode(address), start, pc, xlen === 64);
    const value = (origin: number) => this.#valueOf(prologue.find(origin), registers);
    const sp = value(SP);
    const changes = Array.from({ length: 31 }, (_, k): [number, bigint | undefined] => [k + 1, value(k + 1)]);
    if (vector !== undefined) {
      const { cause } = vector, place = prologue.find(CSR_ORIGIN + cause);
      const interrupted = place === undefined && prologue.keeps(cause)
        ? this.#target.csr(cause)
        : this.#valueOf(place, registers);
      if (interrupted === undefined) return undefined;
      return {
        trap: true,
        caller: { pc: interrupted, registers: registers.with(changes) },
        ...sp !== undefined && { cfa: sp },
      };
    }
    const ra = value(RA);
    if (ra === undefined || sp === undefined) return undefined;
    // A function that has called another and not kept its return address has none: the first of all.
    if (!exact && prologue.find(RA)?.kind === "register") return {};
    return { cfa: sp, caller: { pc: ra & ~1n, registers: registers.with(changes) } };
  }

  #decode(address: bigint) {
    const low = this.#read(address, 2);
    if (low === undefined) return null;
    const high = isCompressed(Number(low)) ? 0n : this.#read(address + 2n, 2);
    return high === undefined ? null : this.#target.decoder.decode(Number(high << 16n | low) | 0);
  }

  #valueOf(place: Place | undefined, registers: Registers): bigint | undefined {
    const base = place && registers.get(place.register);
    if (place === undefined || base === undefined) return undefined;
    return place.kind === "register" ? this.#wrap(base + place.delta) : this.#read(base + place.offset);
  }

  /** The trap vector whose handler holds an address, and the CSR that holds what the trap interrupted. */
  #vectorOf(lookup: bigint): { readonly address: bigint; readonly cause: number } | undefined {
    const { info } = this.#target, here = info.symbols.at(lookup);
    for (const [vector, cause] of VECTORS) {
      const value = this.#target.csr(vector);
      if (value === undefined || value <= 3n) continue;
      const address = value & ~3n, there = info.symbols.at(address);
      if (lookup >= address && here !== undefined && there?.symbol === here.symbol) return { address, cause };
    }
    return undefined;
  }

  /** By the frame pointer: the return address and the caller's frame pointer are below what it points to (psABI). */
  #byFramePointer(registers: Registers): Step | undefined {
    const fp = registers.get(FP), sp = registers.get(SP), size = BigInt(this.#size);
    if (fp === undefined || fp === 0n || fp % size !== 0n || (sp !== undefined && fp <= sp)) return undefined;
    const pc = this.#read(fp - size), next = this.#read(fp - 2n * size);
    if (pc === undefined || next === undefined || !this.#followsCall(pc)) return undefined;
    return { cfa: fp, caller: { pc, registers: registers.with([[SP, fp], [FP, next], [RA, pc]]) } };
  }

  /** True if the instruction before an address is a call, so that the address may be where one returns to. */
  #followsCall(pc: bigint): boolean {
    const links = (address: bigint, length: number) => {
      const decoded = this.#decode(address);
      return decoded?.length === length && /^jalr?$/.test(decoded.instruction.name) && decoded.operands.rd !== 0;
    };
    return this.isCode(pc) && (links(pc - 4n, 4) || links(pc - 2n, 2));
  }
}

/** Numbers of the CSRs with the address of the trap handler, and of those with the address of what was interrupted. */
const VECTORS: readonly (readonly [number, number])[] = [
  [CSR_NUMBERS.mtvec!, CSR_NUMBERS.mepc!],
  [CSR_NUMBERS.stvec!, CSR_NUMBERS.sepc!],
];
