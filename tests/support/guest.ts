// A machine that tests put instructions into and step.

import type { Xlen } from "../../isa/instruction.ts";
import { ABI_NAMES } from "../../isa/registers.ts";
import { instructionNamed } from "../../isa/table.ts";
import { Machine } from "../../machine/machine.ts";
import type { MachineOptions } from "../../machine/options.ts";
import { encode, type Fields, type Program, RAM_BASE } from "./assemble.ts";

/** Both register widths. */
export const WIDTHS: readonly Xlen[] = [32, 64];

/** Bytes of RAM of a guest. */
export const RAM_SIZE = 0x10_0000;

/** First address after RAM. */
export const RAM_END: number = RAM_BASE + RAM_SIZE;

/** Value modulo 2^XLEN. */
export function unsigned(value: number | bigint, width: number): bigint {
  return BigInt.asUintN(width, BigInt(value));
}

/** A machine with values as bigint whatever its width. */
export class Guest {
  readonly machine: Machine;
  readonly xlen: Xlen;

  private constructor(machine: Machine) {
    this.machine = machine;
    this.xlen = machine.xlen;
  }

  /** A `virt` machine with 1 MiB of RAM, about to execute from its start. `cpu` is what follows the model, `,c=off`. */
  static async create(xlen: Xlen, cpu = "", options: MachineOptions = {}): Promise<Guest> {
    const machine = await Machine.create({ cpu: `rv${xlen}${cpu}`, memory: RAM_SIZE, ...options });
    const guest = new Guest(machine);
    guest.pc = RAM_BASE;
    return guest;
  }
  /** The same with a program in memory, about to execute it. */
  static async with(program: Program, cpu = "", options: MachineOptions = {}): Promise<Guest> {
    const guest = await Guest.create(program.xlen, cpu, options);
    guest.load(program);
    return guest;
  }

  /** Puts a program into memory and pc at its start. */
  load(program: Program): void {
    this.machine.memory.write(program.base, program.build());
    this.pc = program.base;
  }
  /** Puts an instruction at an address. */
  put(address: number, name: string, fields: Fields = {}): void {
    const instruction = instructionNamed(name, this.xlen), word = encode(instruction, fields);
    if (instruction.encoding.length === 2) this.machine.memory.write16(address, word);
    else this.machine.memory.write32(address, word);
  }

  get pc(): bigint {
    return BigInt(this.machine.hart.pc);
  }
  set pc(value: number | bigint) {
    this.machine.hart.pc = value;
  }
  /** An integer register (unsigned). */
  x(register: number | string): bigint {
    return BigInt(this.machine.hart.x[(typeof register === "number" ? `x${register}` : register) as "x1"]);
  }
  setX(register: number | string, value: number | bigint): void {
    this.machine.hart.x[(typeof register === "number" ? `x${register}` : register) as "x1"] = value as never;
  }
  /** All integer registers. */
  registers(): bigint[] {
    return ABI_NAMES.map((name) => this.x(name));
  }
  /** A CSR (unsigned). */
  csr(name: string | number): bigint {
    return BigInt(this.machine.hart.readCsr(name));
  }
  setCsr(name: string | number, value: number | bigint): void {
    this.machine.hart.writeCsr(name, value);
  }
  step(count = 1): void {
    for (let k = 0; k < count; k++) this.machine.step();
  }
  /** Executes one instruction at `address`. */
  execute(name: string, fields: Fields = {}, address: number = RAM_BASE): void {
    this.put(address, name, fields);
    this.pc = address;
    this.step();
  }
  /** Goes to user mode by MRET, about to execute at `address`. */
  enterUser(address: number | bigint): void {
    this.setCsr("mstatus", this.csr("mstatus") & ~(3n << 11n));
    this.setCsr("mepc", address);
    this.execute("mret", {}, RAM_END - 4);
  }
  /** The last trap: cause (with the interrupt bit as it stands in mcause), pc and value. */
  get trap(): { cause: bigint; pc: bigint; value: bigint } {
    return { cause: this.csr("mcause"), pc: this.csr("mepc"), value: this.csr("mtval") };
  }
}
