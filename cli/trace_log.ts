// What `-d` logs: instructions when they are first executed, executed instructions, traps, compiled code.

import type { AddressRange, CompiledCode } from "../jit/listing.ts";
import type { TrapRecord } from "../hart/hart.ts";
import { PRIVILEGE_LETTERS } from "../hart/trap.ts";
import type { InstructionObserver } from "../machine/debug_access.ts";
import type { HartView } from "../machine/hart_view.ts";
import type { Machine } from "../machine/machine.ts";
import type { SbiAnswer } from "../machine/sbi/extension.ts";
import type { SbiCall } from "../machine/sbi/firmware.ts";
import type { LogItem } from "./settings.ts";

/** Names that QEMU's log gives to exceptions and interrupts, by code. */
const EXCEPTIONS = [
  ...["misaligned_fetch", "fault_fetch", "illegal_instruction", "breakpoint"],
  ...["misaligned_load", "fault_load", "misaligned_store", "fault_store"],
  ...["user_ecall", "supervisor_ecall", "hypervisor_ecall", "machine_ecall"],
  ...["exec_page_fault", "load_page_fault", "reserved", "store_page_fault"],
];
const INTERRUPTS = ["software", "timer", "external"].flatMap((kind) =>
  ["u", "s", "vs", "m"].map((p) => `${p}_${kind}`)
);

/** Watches a machine and writes lines about what it does. */
export class TraceLog implements InstructionObserver {
  readonly #machine: Machine;
  readonly #items: ReadonlySet<LogItem>;
  /** `-dfilter`; null: everything. */
  readonly #ranges: readonly AddressRange[] | null;
  readonly #write: (text: string) => void;
  /** Bits of the instructions that were logged, by address. */
  readonly #seen = new Map<bigint, number>();
  /** By hart: address of the instruction that it would execute next and that is not logged yet. */
  #next: (bigint | undefined)[] = [];

  /**
   * Starts logging traps and compiled code, if they are wanted.
   *
   * @param ranges Where instructions and compiled code are logged; null: everywhere.
   */
  constructor(
    machine: Machine,
    items: ReadonlySet<LogItem>,
    ranges: readonly AddressRange[] | null,
    write: (text: string) => void,
  ) {
    this.#machine = machine;
    this.#items = items;
    this.#ranges = ranges;
    this.#write = write;
    if (this.steps || items.has("int")) machine.onTrap = (trap, hart) => this.#trap(trap, hart);
    if (items.has("int")) machine.onSbiAnswer = (call, answer) => this.#sbi(call, answer);
    if (items.has("jit")) machine.onCompile = (code) => this.#compiled(code);
  }

  /** True if compiled code is to be logged of a machine that compiles nothing. */
  get isIdle(): boolean {
    return this.#items.has("jit") && this.#machine.compilerStatistics === undefined;
  }

  /** True if it has to see every instruction. */
  get steps(): boolean {
    return this.#items.has("in_asm") || this.#items.has("exec");
  }

  /** Before an instruction is executed. */
  before(): void {
    // What is executed is certain only afterwards: an interrupt may come first, and a hart that waits may go on waiting.
    this.#next = this.#machine.harts.map(({ pc }) => BigInt(pc));
  }

  /** After a hart has executed it. */
  after(hart: number): void {
    this.#logNext(hart);
  }

  #logNext(hart: number): void {
    const pc = this.#next[hart];
    if (pc === undefined) return;
    this.#next[hart] = undefined;
    if (this.#ranges?.some(({ first, last }) => first <= pc && pc <= last) === false) return;
    if (this.#items.has("in_asm")) this.#logInstruction(pc);
    if (this.#items.has("exec")) {
      const digits = this.#machine.xlen / 4;
      this.#write(`Trace ${hart}: [${hex(pc, digits)}] ${this.#machine.symbols.format(pc)}\n`);
    }
  }

  #logInstruction(pc: bigint): void {
    const instruction = this.#machine.disassemble(pc);
    if (instruction === undefined || this.#seen.get(pc) === instruction.word) return;
    this.#seen.set(pc, instruction.word);
    const { text, word, length } = instruction, match = this.#machine.symbols.at(pc);
    const where = match === undefined ? "" : ` <${this.#machine.symbols.format(pc)}>`;
    this.#write(`${hex(pc, this.#machine.xlen / 4)}${where}:\t${hex(word, 2 * length).padEnd(8)}\t${text}\n`);
  }

  #sbi({ hart, pc, extension, function: number, name, parameters }: SbiCall, answer: SbiAnswer | null): void {
    this.#logNext(hart);
    const what = name ?? `extension:0x${extension.toString(16)} function:0x${number.toString(16)}`;
    const given = Object.entries(parameters).map(([key, value]) => `${key}:0x${value.toString(16)}`).join(", ");
    const result = answer === null ? "no return" : `error:${answer.error}, value:0x${(answer.value ?? 0).toString(16)}`;
    this.#write(
      `riscv_sbi_call: hart:${hart}, epc:0x${hex(pc, this.#machine.xlen / 4)}, ${what}(${given}) = ${result}\n`,
    );
  }

  #compiled(code: CompiledCode): void {
    if (this.#ranges?.some((range) => code.overlaps(range)) === false) return;
    this.#write(`----------------\n${code}\n`);
  }

  #trap(trap: TrapRecord, hart: HartView<32 | 64>): void {
    // The instruction that trapped comes before the trap; an interrupt comes before the first one of its handler.
    if (!trap.interrupt) this.#logNext(hart.id);
    else if (this.#next[hart.id] !== undefined) this.#next[hart.id] = BigInt(hart.pc);
    if (!this.#items.has("int")) return;
    const digits = hart.xlen / 4;
    const word = (low: number, high: number) =>
      hex(hart.xlen === 32 ? low >>> 0 : BigInt(high >>> 0) << 32n | BigInt(low >>> 0), digits);
    const name = (trap.interrupt ? INTERRUPTS : EXCEPTIONS)[trap.cause] ?? "reserved";
    this.#write(
      `riscv_cpu_do_interrupt: hart:${hart.id}, async:${Number(trap.interrupt)}, cause:${hex(trap.cause, digits)}, ` +
        `epc:0x${word(trap.pcLow, trap.pcHigh)}, tval:0x${word(trap.valueLow, trap.valueHigh)}, desc=${name}\n` +
        this.#levels(trap, hart),
    );
  }

  /** What QEMU's line lacks: from which privilege level to which, the status register, and what the addresses are in the program. */
  #levels({ fromPrivilege, toPrivilege, pcLow, pcHigh }: TrapRecord, hart: HartView<32 | 64>): string {
    const [from, to] = [PRIVILEGE_LETTERS[fromPrivilege], PRIVILEGE_LETTERS[toPrivilege]];
    const status = `${to!.toLowerCase()}status`, digits = hart.xlen / 4, low = BigInt(pcLow >>> 0);
    const epc = hart.xlen === 32 ? low : BigInt(pcHigh >>> 0) << 32n | low, place = this.#machine.symbols.format(epc);
    const source = this.#machine.source(epc), line = source === undefined ? "" : ` at ${source.name}:${source.line}`;
    return `  ${from} to ${to}, ${status}:0x${hex(hart.readCsr(status), digits)}, in ${place}${line}\n`;
  }
}

function hex(value: number | bigint, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
