// Runs guests interpreted and compiled, stops them after equal numbers of instructions and compares all there is.

import { TIMEBASE_HZ } from "../../devices/clint.ts";
import { Decoder } from "../../isa/decode.ts";
import { disassemble } from "../../isa/disassemble.ts";
import type { Xlen } from "../../isa/instruction.ts";
import { ABI_NAMES, FLOAT_ABI_NAMES } from "../../isa/registers.ts";
import { Machine } from "../../machine/machine.ts";
import { parseCpu } from "../../machine/cpu.ts";
import type { MachineOptions } from "../../machine/options.ts";
import { type Program, RAM_BASE } from "./assemble.ts";
import { GUEST_SIZE, randomGuest } from "./random_guest.ts";
import { seeded } from "./random_program.ts";

/** CSRs that are compared. */
const CSRS = "mstatus mie mip mtvec mscratch mepc mcause mtval mcycle minstret mcountinhibit time".split(" ");

const NANOSECONDS_PER_TICK = 1e9 / TIMEBASE_HZ, NOP = 0x13;

/** What a machine looks like after a stop. */
export interface Picture {
  /** By name; all but memory. */
  readonly values: Readonly<Record<string, string>>;
  readonly memory: Uint8Array<ArrayBuffer>;
}

/** A machine that is compared with others. */
export class Subject {
  readonly machine: Machine;
  readonly accel: string;
  readonly #ramSize: number;
  readonly #hasFloats: boolean;
  #printed: number[] = [];
  #traps: string[] = [];
  #trapCount = 0;
  #instructions = 0;
  #nanoseconds = 0;

  private constructor(machine: Machine, ramSize: number, accel: string) {
    this.machine = machine;
    this.#ramSize = ramSize;
    this.#hasFloats = (BigInt(machine.hart.readCsr("misa")) >> 5n & 1n) !== 0n;
    this.accel = accel;
    machine.console.keep = false;
    machine.console.onOutput = (byte) => void this.#printed.push(byte);
    machine.onTrap = ({ cause, pcLow, valueLow }) => {
      const at = machine.instructions - this.#instructions;
      // The last ones, so that a difference can be read.
      if (this.#traps.push(`${cause} ${hex(pcLow)} ${hex(valueLow)} at ${at}`) > 40) this.#traps.splice(0, 20);
      this.#trapCount++;
    };
  }
  /** `memory`: bytes of RAM. */
  static async create(
    options: MachineOptions & { readonly accel: string; readonly memory: number },
  ): Promise<Subject> {
    return new Subject(await Machine.create({ ...options, failures: false }), options.memory, options.accel);
  }

  /** Puts a guest into cleared memory of a reset machine, about to execute it. */
  load(program: Program): void {
    const { machine } = this;
    machine.reset();
    // Time goes on to a tick of mtime, so that the guest runs as it would on a new machine.
    while (machine.nanoseconds % NANOSECONDS_PER_TICK !== 0) {
      machine.memory.write32(RAM_BASE, NOP);
      machine.hart.pc = RAM_BASE;
      machine.step();
    }
    machine.reset();
    machine.memory.write(RAM_BASE, new Uint8Array(this.#ramSize));
    machine.memory.write(program.base, program.build());
    machine.hart.pc = program.base;
    this.#printed = [];
    this.#traps = [];
    this.#trapCount = 0;
    this.#instructions = machine.instructions;
    this.#nanoseconds = machine.nanoseconds;
  }

  /** Registers, counters, what was printed, and `length` bytes of memory. */
  picture(address: number, length: number): Picture {
    const { machine } = this,
      { hart } = machine,
      values: Record<string, string> = {
        instructions: String(machine.instructions - this.#instructions),
        nanoseconds: String(machine.nanoseconds - this.#nanoseconds),
        traps: `${this.#trapCount}: ${this.#traps.join(", ")}`,
        printed: `${this.#printed.length} ${String.fromCharCode(...this.#printed.slice(-2000))}`,
        privilege: hart.privilege,
        waiting: String(hart.waiting),
        pc: hart.pc.toString(16),
      };
    for (const name of ABI_NAMES) values[name] = hart.x[name as "ra"].toString(16);
    if (this.#hasFloats) {
      for (const name of FLOAT_ABI_NAMES) values[name] = hart.f[name as "fa0"].toString(16);
      values["fcsr"] = hart.readCsr("fcsr").toString(16);
    }
    for (const name of CSRS) values[name] = hart.readCsr(name).toString(16);
    return { values, memory: machine.memory.read(address, length) as Uint8Array<ArrayBuffer> };
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16);
}

function areEqual(a: Int32Array, b: Int32Array): boolean {
  for (let k = 0; k < a.length; k++) if (a[k] !== b[k]) return false;
  return true;
}

/** How two pictures differ, a line for each value; empty if they do not. */
export function differences(a: Picture, b: Picture): string[] {
  const lines = Object.keys(a.values).filter((name) => a.values[name] !== b.values[name])
    .map((name) => `${name}: ${a.values[name]} interpreted, ${b.values[name]} compiled`);
  const x = new Int32Array(a.memory.buffer), y = new Int32Array(b.memory.buffer);
  if (areEqual(x, y)) return lines;
  for (let k = 0; k < x.length && lines.length < 20; k++) {
    if (x[k] !== y[k]) lines.push(`memory word ${hex(4 * k)}: ${hex(x[k]!)} interpreted, ${hex(y[k]!)} compiled`);
  }
  return lines;
}

/** Where a guest is and when it is stopped. */
export interface Stops {
  /** Instructions from one stop to the next. */
  readonly stops: readonly number[];
  /** At the stop of this number, stop at this address if it is reached. */
  readonly until?: { readonly stop: number; readonly address: number };
  readonly address: number;
  /** Bytes that are compared at each stop. */
  readonly length: number;
}

/**
 * Lets machines run on after `prepare`, and compares them with the first one at each stop, until the guest ends. Says what
 * differs where; undefined if nothing does.
 */
export async function compareRuns(
  subjects: readonly Subject[],
  prepare: (subject: Subject) => void,
  { stops, until, address, length }: Stops,
): Promise<string | undefined> {
  const expected: { picture: Picture; end: string }[] = [];
  for (const [number, subject] of subjects.entries()) {
    prepare(subject);
    let before = "the start";
    for (const [k, maxInstructions] of stops.entries()) {
      const stop = await subject.machine.run({ maxInstructions, ...(k === until?.stop && { until: until.address }) });
      const end = stop.kind === "exit" ? `exit ${stop.code}` : stop.kind, picture = subject.picture(address, length);
      if (number === 0) expected.push({ picture, end });
      else {
        const lines = differences(expected[k]!.picture, picture);
        if (expected[k]!.end !== end) lines.push(`end: ${expected[k]!.end} interpreted, ${end} compiled`);
        if (lines.length > 0) {
          const where = `-accel ${subject.accel}, after ${picture.values["instructions"]} instructions, the last from`;
          return [`${where} ${before} on:`, ...lines].join("\n  ");
        }
      }
      before = picture.values["pc"]!;
      if (stop.kind !== "budget" && stop.kind !== "breakpoint") break;
    }
  }
  return undefined;
}

/** Random guests that one machine runs, one after another. */
export const GROUP = 32;

/** Places in RAM for a random guest. */
const PLACES = 8;

/** What random guests run on. */
export interface Configuration {
  readonly xlen: Xlen;
  readonly cpu: string;
  readonly icountShift: number;
  readonly memory: number;
}

/** The configuration of a seed: the same for all of its group. */
export function configurationOf(seed: number): Configuration {
  const group = Math.floor(seed / GROUP), xlen = group % 2 === 0 ? 32 : 64;
  const compressed = Math.floor(group / 2) % 3 !== 2;
  return {
    xlen,
    cpu: `rv${xlen}${compressed ? "" : ",c=off,zca=off,zcb=off,zcmop=off"}`,
    // About one and a half or twelve instructions for a tick of mtime.
    icountShift: Math.floor(group / 6) % 2 === 0 ? 6 : 3,
    // A power of two, or not.
    memory: PLACES * GUEST_SIZE + (Math.floor(group / 12) % 2 === 0 ? 0 : 0x3000),
  };
}

/** The guest of a seed, and when it is stopped. */
export function guestOf(seed: number, hot: boolean): Stops & { readonly program: Program } {
  const { xlen, cpu, memory } = configurationOf(seed), { extensions } = parseCpu(cpu);
  const base = RAM_BASE + (seed % PLACES) * GUEST_SIZE;
  const program = randomGuest({ xlen, extensions, base, ramEnd: RAM_BASE + memory, seed, hot });
  const random = seeded(~seed), stops: number[] = [];
  const below = (limit: number) => random() % limit;
  for (let k = 3 + below(4); k > 0; k--) stops.push(1 + 2 * below(30));
  for (let k = 3 + below(3); k > 0; k--) stops.push(200 + below(2000));
  for (let k = 2; k > 0; k--) stops.push(1 + below(9));
  stops.push(hot ? 150_000 : 8000, 1 + below(9), hot ? 60_001 : 4001);
  const until = { stop: 5 + below(3), address: program.address(["f0", "f1", "f2", "handler", "slot1"][below(5)]!) };
  return { program, stops, until, address: program.base, length: GUEST_SIZE };
}

/** The instructions of a guest from one address to another, for those who look into a failure. */
export function listing(program: Program, cpu: string, from: number, to: number): string[] {
  const { xlen, extensions } = parseCpu(cpu), decoder = new Decoder(xlen, extensions);
  const bytes = program.build(), view = new DataView(bytes.buffer), lines: string[] = [];
  for (let at = Math.max(from, program.base); at < to && at + 4 <= program.base + bytes.length;) {
    const word = view.getUint32(at - program.base, true), { text, length } = disassemble(decoder, word, BigInt(at));
    lines.push(`${at.toString(16)}: ${text.replace("\t", " ")}`);
    at += length;
  }
  return lines;
}
