// Programs in supervisor mode that make SBI calls and note the answers.

import assert from "node:assert/strict";
import type { Xlen } from "../../isa/instruction.ts";
import { Machine } from "../../machine/machine.ts";
import type { MachineOptions } from "../../machine/options.ts";
import type { Stop } from "../../machine/stop.ts";
import { Program, RAM_BASE } from "./assemble.ts";

/** EIDs by name. */
export const EID = {
  SET_TIMER: 0,
  PUTCHAR: 1,
  GETCHAR: 2,
  CLEAR_IPI: 3,
  SEND_IPI: 4,
  FENCE_I: 5,
  SFENCE_VMA: 6,
  SFENCE_VMA_ASID: 7,
  SHUTDOWN: 8,
  BASE: 0x10,
  TIME: 0x5449_4d45,
  IPI: 0x73_5049,
  RFENCE: 0x5246_4e43,
  HSM: 0x48_534d,
  SRST: 0x5352_5354,
  DBCN: 0x4442_434e,
  PMU: 0x50_4d55,
  SUSP: 0x5355_5350,
} as const;

/** Error codes by the specification's names. */
export const ERROR = {
  SUCCESS: 0,
  FAILED: -1,
  NOT_SUPPORTED: -2,
  INVALID_PARAM: -3,
  DENIED: -4,
  INVALID_ADDRESS: -5,
  ALREADY_AVAILABLE: -6,
  ALREADY_STARTED: -7,
  ALREADY_STOPPED: -8,
  NO_SHMEM: -9,
} as const;

/** Where the kernel is if it does not say. */
export const kernelAddress = (xlen: Xlen): number => RAM_BASE + (xlen === 64 ? 0x20_0000 : 0x40_0000);

/** An argument: a number, or a label of the program. */
export type Argument = number | bigint | string;

/** A supervisor-mode program; s1 points to where the next answer is noted. */
export class SupervisorProgram extends Program {
  #calls = 0;

  /** Begins a program at the kernel's address, or another. */
  constructor(xlen: Xlen, base: number = kernelAddress(xlen)) {
    super(xlen, base);
    this.la("s1", "log");
  }

  /** A call; registers keep what they have where an argument is null. */
  call(extension: number | bigint, number: number, ...args: (Argument | null)[]): this {
    args.forEach((value, k) => {
      if (typeof value === "string") this.la(`a${k}`, value);
      else if (value !== null) this.li(`a${k}`, value);
    });
    return this.li("a7", extension).li("a6", number).op("ecall");
  }
  /** The same, noting a0 and a1. */
  noted(extension: number | bigint, number: number, ...args: (Argument | null)[]): this {
    this.call(extension, number, ...args);
    return this.note("a0").note("a1");
  }
  /** Notes a register. */
  note(register: string): this {
    this.op(this.xlen === 64 ? "sd" : "sw", { rs1: "s1", rs2: register });
    this.#calls++;
    return this.op("addi", { rd: "s1", rs1: "s1", imm: this.xlen / 8 });
  }
  /** Notes a CSR. */
  noteCsr(name: string): this {
    return this.csr("csrrs", name, "t0", 0).note("t0");
  }
  /** Expects more notes than there are places that make one, as some make several. */
  more(notes: number): this {
    this.#calls += notes;
    return this;
  }
  /** Ends the machine; then the room for notes. */
  end(): this {
    this.call(EID.SRST, 0, 0, 0).label("ended").to("jal", "ended");
    return this.notes();
  }
  /** The room for notes. */
  notes(): this {
    return this.align(64).label("log").org(this.here + this.#calls * this.xlen / 8 + 64);
  }

  /** Runs the program; what it noted, signed, and the machine as it was left. */
  async run(
    options: MachineOptions = {},
    prepare: (machine: Machine) => void = () => {},
  ): Promise<{ notes: bigint[]; machine: Machine; stop: Stop }> {
    const machine = await Machine.create({ cpu: `rv${this.xlen}`, memory: "16M", kernel: this.elf(), ...options });
    prepare(machine);
    const stop = await machine.run({ maxInstructions: 5_000_000 });
    return { machine, stop, notes: this.read(machine) };
  }
  /** What was noted until now. */
  read(machine: Machine): bigint[] {
    return Array.from({ length: this.#calls }, (_, k) => {
      const at = this.address("log") + k * this.xlen / 8;
      return this.xlen === 64 ? BigInt.asIntN(64, machine.memory.read64(at)) : BigInt(machine.memory.read32(at) | 0);
    });
  }
}

/** A call with the answer that is expected; an undefined value is not looked at. */
export type Case = readonly [
  name: string,
  extension: number | bigint,
  number: number,
  args: readonly Argument[],
  error: keyof typeof ERROR,
  value?: number | bigint,
];

/** Makes calls one after another on the first hart and checks their answers. */
export async function checkCalls(xlen: Xlen, cases: readonly Case[], options: MachineOptions = {}): Promise<void> {
  const p = new SupervisorProgram(xlen);
  for (const [, extension, number, args] of cases) p.noted(extension, number, ...args);
  p.end();
  p.align(4096).label("page").org(p.here + 4096);
  const { notes, stop } = await p.run(options);
  assert.deepEqual([stop.kind, "code" in stop && stop.code], ["exit", 0]);
  cases.forEach(([name, , , , error, value], k) => {
    assert.equal(notes[2 * k], BigInt(ERROR[error]), `RV${xlen} ${name}: error`);
    if (value !== undefined) {
      assert.equal(notes[2 * k + 1], BigInt.asIntN(xlen, BigInt(value)), `RV${xlen} ${name}: value`);
    }
  });
}
