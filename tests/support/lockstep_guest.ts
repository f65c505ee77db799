// Runs random guests interpreted and compiled, stops them after equal numbers of instructions and compares all there is.

import { TIMEBASE_HZ } from "../../devices/clint.ts";
import { disassemble } from "../../isa/disassemble.ts";
import { Decoder } from "../../isa/decode.ts";
import type { Xlen } from "../../isa/instruction.ts";
import { ABI_NAMES } from "../../isa/registers.ts";
import { Machine } from "../../machine/machine.ts";
import { parseCpu } from "../../machine/options.ts";
import { type Program, RAM_BASE } from "./assemble.ts";
import { RAM_SIZE } from "./guest.ts";
import { GUEST_SIZE, randomGuest } from "./random_guest.ts";
import { seeded } from "./random_program.ts";

/** Guests that one machine runs, one after another. */
export const GROUP = 32;

/** Places in RAM for a guest. */
const PLACES = RAM_SIZE / GUEST_SIZE;

const NANOSECONDS_PER_TICK = 1e9 / TIMEBASE_HZ;

/** CSRs that are compared. */
const CSRS = "mstatus mie mip mtvec mscratch mepc mcause mtval mcycle minstret mcountinhibit time".split(" ");

/** What a machine is made of, for the guests of a group. */
export interface Configuration {
  readonly xlen: Xlen;
  readonly cpu: string;
  readonly icountShift: number;
}

/** The configuration of a seed: the same for all of its group. */
export function configurationOf(seed: number): Configuration {
  const group = Math.floor(seed / GROUP), xlen = group % 2 === 0 ? 32 : 64;
  const compressed = Math.floor(group / 2) % 3 !== 2;
  return {
    xlen,
    cpu: `rv${xlen}${compressed ? "" : ",c=off,zca=off,zcb=off,zcmop=off"}`,
    // Ten instructions a tick, or one and a half.
    icountShift: Math.floor(group / 6) % 2 === 0 ? 6 : 3,
  };
}

/** The guest of a seed, and after how many instructions it is stopped. */
export function guestOf(seed: number, hot: boolean): { program: Program; stops: number[] } {
  const { xlen, cpu } = configurationOf(seed), { extensions } = parseCpu(cpu);
  const program = randomGuest({ xlen, extensions, base: RAM_BASE + (seed % PLACES) * GUEST_SIZE, seed, hot });
  const random = seeded(~seed), stops: number[] = [];
  const below = (limit: number) => random() % limit;
  for (let k = 3 + below(4); k > 0; k--) stops.push(1 + 2 * below(30));
  for (let k = 3 + below(3); k > 0; k--) stops.push(200 + below(2000));
  for (let k = 2; k > 0; k--) stops.push(1 + below(9));
  stops.push(hot ? 150_000 : 8000, 1 + below(9), hot ? 60_001 : 4001);
  return { program, stops };
}

/** What a machine looks like after a stop. */
export interface Picture {
  /** By name; all but memory. */
  readonly values: Readonly<Record<string, string>>;
  readonly memory: Uint8Array;
}

/** A machine that runs guests. */
export class Subject {
  readonly machine: Machine;
  readonly accel: string;
  #printed: number[] = [];
  #instructions = 0;
  #nanoseconds = 0;
  #base = 0;

  private constructor(machine: Machine, accel: string) {
    this.machine = machine;
    this.accel = accel;
    machine.console.keep = false;
    machine.console.onOutput = (byte) => void this.#printed.push(byte);
  }
  static async create({ cpu, icountShift }: Configuration, accel: string): Promise<Subject> {
    return new Subject(await Machine.create({ cpu, memory: RAM_SIZE, icountShift, accel }), accel);
  }

  /** Puts a guest into cleared memory of a reset machine. */
  load(program: Program): void {
    const { machine } = this;
    machine.reset();
    this.#alignTime();
    machine.memory.write(RAM_BASE, new Uint8Array(RAM_SIZE));
    machine.memory.write(program.base, program.build());
    machine.hart.pc = program.base;
    this.#base = program.base;
    this.#printed = [];
    this.#instructions = machine.instructions;
    this.#nanoseconds = machine.nanoseconds;
  }

  /** Lets time go on to a tick of mtime, so that a guest runs as it would on a new machine. */
  #alignTime(): void {
    const { machine } = this, nop = 0x13;
    while (machine.nanoseconds % NANOSECONDS_PER_TICK !== 0) {
      machine.memory.write32(RAM_BASE, nop);
      machine.hart.pc = RAM_BASE;
      machine.step();
    }
    machine.reset();
  }

  /** Runs on; false if the guest has ended. */
  async run(maxInstructions: number): Promise<boolean> {
    const { kind } = await this.machine.run({ maxInstructions });
    return kind === "budget";
  }

  picture(all: boolean): Picture {
    const { machine } = this,
      { hart } = machine,
      values: Record<string, string> = {
        instructions: String(machine.instructions - this.#instructions),
        nanoseconds: String(machine.nanoseconds - this.#nanoseconds),
        printed: String.fromCharCode(...this.#printed.slice(-2000)),
        privilege: hart.privilege,
        waiting: String(hart.waiting),
        pc: hart.pc.toString(16),
      };
    for (const name of ABI_NAMES) values[name] = hart.x[name as "ra"].toString(16);
    for (const name of CSRS) values[name] = hart.readCsr(name).toString(16);
    const memory = all ? machine.memory.read(RAM_BASE, RAM_SIZE) : machine.memory.read(this.#base, GUEST_SIZE);
    return { values, memory };
  }
}

/** How two pictures differ, a line for each value; empty if they do not. */
export function differences(a: Picture, b: Picture): string[] {
  const lines = Object.keys(a.values).filter((name) => a.values[name] !== b.values[name])
    .map((name) => `${name}: ${a.values[name]} interpreted, ${b.values[name]} compiled`);
  const x = new Int32Array(a.memory.buffer), y = new Int32Array(b.memory.buffer);
  for (let k = 0; k < x.length && lines.length < 20; k++) {
    if (x[k] !== y[k]) lines.push(`memory word ${(4 * k).toString(16)}: ${hex(x[k]!)}, ${hex(y[k]!)}`);
  }
  return lines;
}
const hex = (word: number) => (word >>> 0).toString(16);

/** Compares runs of one guest; undefined if they are equal, else what differs after which stop. */
export async function compare(subjects: readonly Subject[], seed: number, hot: boolean): Promise<string | undefined> {
  const { program, stops } = guestOf(seed, hot);
  const pictures: Picture[] = [];
  for (const [number, subject] of subjects.entries()) {
    subject.load(program);
    let before = "nothing";
    for (const [k, instructions] of stops.entries()) {
      const goesOn = await subject.run(instructions);
      const picture = subject.picture(!goesOn || k === stops.length - 1);
      if (number === 0) pictures.push(picture);
      else {
        const lines = differences(pictures[k]!, picture);
        if (lines.length > 0) {
          return [
            `seed ${seed}, -accel ${subject.accel}, after ${picture.values.instructions} instructions (then at pc ${before})`,
            ...lines,
          ].join("\n  ");
        }
      }
      before = picture.values.pc!;
      if (!goesOn) break;
    }
  }
  return undefined;
}

/** The instructions around an address of a guest. */
export function listing(program: Program, seed: number, from: number, to: number): string[] {
  const { xlen, cpu } = configurationOf(seed), decoder = new Decoder(xlen, parseCpu(cpu).extensions);
  const bytes = program.build(), view = new DataView(bytes.buffer), lines: string[] = [];
  for (let at = from; at < to;) {
    const offset = at - program.base;
    if (offset < 0 || offset + 4 > bytes.length) break;
    const word = view.getUint16(offset, true) | view.getUint16(offset + 2, true) << 16;
    const { text, length } = disassemble(decoder, word, BigInt(at));
    lines.push(`${at.toString(16)}: ${text.replace("\t", " ")}`);
    at += length;
  }
  return lines;
}
