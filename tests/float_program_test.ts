// Random programs with floating point in loops: interpreted, compiled and in QEMU they leave the same registers, flags and memory
// behind. HARTBEAT_PROGRAMS says how many programs there are for each width, HARTBEAT_SEED the seed.

import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { Decoder } from "../isa/decode.ts";
import { DOUBLE } from "../hart/softfloat.ts";
import { convert } from "../hart/softfloat_convert.ts";
import { box } from "../hart/softfloat_operations.ts";
import { disassemble } from "../isa/disassemble.ts";
import { COMPATIBLE } from "../isa/extensions.ts";
import type { Definition, Xlen } from "../isa/instruction.ts";
import { RV_D } from "../isa/rv_d.ts";
import { RV_F } from "../isa/rv_f.ts";
import { ZFA } from "../isa/zfa.ts";
import { ZFH } from "../isa/zfh.ts";
import { here, inQemu, type Piece, qemuMissing, type Run } from "./float_guest.ts";
import { FORMATS, inRegister, pattern, Random } from "./float_operands.ts";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { WIDTHS } from "./support/guest.ts";

const PROGRAMS = Number(process.env.HARTBEAT_PROGRAMS ?? 250);
const SEED = Number(process.env.HARTBEAT_SEED ?? 1);

/** Registers that programs compute with: f0 to f7, x10 to x15. */
const F_REGISTERS = 8, X_FIRST = 10, X_REGISTERS = 6;
const SCRATCH = 8, COUNTER = 9;
const ITERATIONS = 30, SCRATCH_BYTES = 512;
/** What a program leaves: f registers, x registers and fcsr in 8 bytes each, scratch memory. */
const LEFT_BYTES = 8 * (F_REGISTERS + X_REGISTERS + 1) + SCRATCH_BYTES;
const DATA_OFFSET = 8 * 2 ** 20;

/** f0 to f3 mostly hold doubles, f4 and f5 singles, f6 and f7 halves: otherwise there would be only NaNs soon. */
function floatRegister(random: Random, suffix: string): number {
  if (random.below(12) === 0) return random.below(F_REGISTERS);
  return suffix === "d" ? random.below(4) : 4 + random.below(2) + (suffix === "h" ? 2 : 0);
}

/** A register's bits: mostly an ordinary number of the format that the register should have. */
function bitsFor(random: Random, register: number): bigint {
  const format = register < 4 || register >= F_REGISTERS ? FORMATS.d : register < 6 ? FORMATS.s : FORMATS.h;
  if (random.below(6) === 0) return inRegister(random, format, pattern(random, format));
  const value = Number(random.bits(8)) - 128 + (random.below(2) === 0 ? Number(random.bits(32)) / 2 ** 32 : 0);
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return box(format, convert(DOUBLE, format, view.getBigUint64(0), 0, { bits: 0 }));
}

/** Formats of destination and sources, as suffixes: those that the mnemonic names. */
function suffixes({ name }: Definition): [string, string] {
  const parts = name.split(".").slice(1).filter((part) => part in FORMATS);
  if (parts.length === 0) return [name.at(-1)!.replace("w", "s"), name.at(-1)!.replace("w", "s")];
  return [parts[0]!, parts.at(-1)!];
}

/** An instruction of a random program. */
function instruction(p: Program, definitions: readonly Definition[], random: Random): void {
  const x = () => X_FIRST + random.below(X_REGISTERS);
  switch (random.below(20)) {
    case 0: {
      const forward = p.here + 4 + 4 * random.below(2);
      p.to(random.of(["beq", "blt", "bgeu"]), forward + 4, { rs1: x(), rs2: x() });
      while (p.here < forward + 4) p.op("addi", { rd: x(), rs1: x(), imm: random.below(4096) - 2048 });
      return;
    }
    case 1:
      p.csri("csrrwi", "frm", 0, random.of([0, 0, 0, 0, 0, 1, 2, 3, 4]));
      return;
    case 2:
      if (random.below(2) === 0) p.csri("csrrwi", "fflags", x(), random.below(32));
      else p.csri("csrrsi", "fflags", 0, 1);
      return;
    case 3: {
      const imm = 8 * random.below(32), short = random.of(["c.fld", "c.fsd", "c.fldsp", "c.fsdsp"]);
      if (short.endsWith("ld")) p.op(short, { rd: 8 + random.below(8), rs1: SCRATCH, imm: imm % 256 });
      else if (short.endsWith("sd")) p.op(short, { rs1: SCRATCH, rs2: 8 + random.below(8), imm: imm % 256 });
      else if (short.endsWith("ldsp")) p.op(short, { rd: floatRegister(random, "d"), imm });
      else p.op(short, { rs2: floatRegister(random, "d"), imm });
      if (random.below(2) === 0) p.op("c.addi", { rd: 0, imm: 0 });
      return;
    }
    default: {
      const definition = random.of(definitions), { format, name, valid, pattern } = definition;
      const [to, from] = suffixes(definition);
      if (format === "fload" || format === "fstore") {
        const size = { h: 2, w: 4, d: 8 }[name.at(-1)!]!, aligned = size * random.below(SCRATCH_BYTES / 2 / size - 1);
        const imm = random.below(8) === 0 ? aligned + 1 + random.below(size) : aligned;
        const register = floatRegister(random, to);
        p.op(name, format === "fload" ? { rd: register, rs1: SCRATCH, imm } : { rs1: SCRATCH, rs2: register, imm });
        return;
      }
      const toInteger = ["fcmp", "fcvtx", "fmvx"].includes(format), fromInteger = /^(fcvtf|fmvf|fmvp)$/.test(format);
      const source = () => fromInteger ? x() : floatRegister(random, from);
      // Moves, negations and absolute values have the same register twice.
      const rs1 = source(), rs2 = format === "fsign" && random.below(2) === 0 ? rs1 : source();
      const imm = format === "fli"
        ? random.below(32)
        : name === "fcvtmod.w.d"
        ? 1
        : random.of([0, 7, 7, 7, 7, 1, 2, 3, 4]);
      p.op(name, {
        rd: toInteger ? x() : floatRegister(random, to),
        ...(format !== "fli" && { rs1 }),
        ...(pattern.includes("t") && { rs2 }),
        ...(pattern.includes("r") && { rs3: source() }),
        ...((valid !== undefined || format === "fli") && { imm }),
      });
    }
  }
}

/** All programs as one guest. */
class Batch {
  readonly program: Program;
  readonly code: { address: number; end: number }[] = [];
  readonly pieces: Piece[];
  readonly results: Piece[] = [];

  constructor(xlen: Xlen, seed: number, count: number, definitions: readonly Definition[]) {
    const p = this.program = new Program(xlen), random = new Random(seed), data: Piece[] = [];
    const here = definitions.filter((one) => one.format !== "compressed" && (one.xlen ?? xlen) === xlen);
    const size = xlen / 8, load = xlen === 64 ? "ld" : "lw", store = xlen === 64 ? "sd" : "sw";
    p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("t0", 0x6000).csr("csrrs", "mstatus", 0, "t0");
    for (let k = 0; k < count; k++) {
      const offset = DATA_OFFSET + k * LEFT_BYTES,
        bytes = new Uint8Array(LEFT_BYTES),
        view = new DataView(bytes.buffer);
      for (let at = 0; at < LEFT_BYTES; at += 8) view.setBigUint64(at, bitsFor(random, at / 8), true);
      data.push({ offset, bytes });
      this.results.push({ offset, bytes: new Uint8Array(LEFT_BYTES) });
      p.li("s1", RAM_BASE + offset);
      for (let n = 0; n < F_REGISTERS; n++) p.op("fld", { rd: n, rs1: "s1", imm: 8 * n });
      for (let n = 0; n < X_REGISTERS; n++) p.op(load, { rd: X_FIRST + n, rs1: "s1", imm: 8 * (F_REGISTERS + n) });
      for (let n = 8; n < 16; n++) p.op("fld", { rd: n, rs1: "s1", imm: 8 * n });
      p.li(SCRATCH, RAM_BASE + offset + LEFT_BYTES - SCRATCH_BYTES).op("addi", {
        rd: "sp",
        rs1: SCRATCH,
        imm: SCRATCH_BYTES / 2,
      });
      p.li(COUNTER, ITERATIONS).csr("csrrw", "fcsr", 0, 0).label(`loop${k}`);
      const address = p.here;
      for (let n = 15 + random.below(40); n > 0; n--) instruction(p, here, random);
      this.code.push({ address, end: p.here });
      p.op("addi", { rd: COUNTER, rs1: COUNTER, imm: -1 }).to("beq", `end${k}`, { rs1: COUNTER, rs2: 0 });
      p.to("jal", `loop${k}`).label(`end${k}`);
      p.csr("csrrw", "fcsr", "t1", 0).li("s1", RAM_BASE + offset);
      for (let n = 0; n < F_REGISTERS; n++) p.op("fsd", { rs2: n, rs1: "s1", imm: 8 * n });
      for (let n = 0; n < X_REGISTERS; n++) p.op(store, { rs2: X_FIRST + n, rs1: "s1", imm: 8 * (F_REGISTERS + n) });
      p.op(store, { rs2: "t1", rs1: "s1", imm: 8 * (F_REGISTERS + X_REGISTERS) });
    }
    p.li("t0", 0x5555).to("jal", "finish").align(4).label("handler").csr("csrrs", "mcause", "t0", 0);
    p.op("slli", { rd: "t0", rs1: "t0", imm: 16 }).li("t1", 0x3333).op("add", { rd: "t0", rs1: "t0", rs2: "t1" });
    p.label("finish").li("t1", 0x10_0000).op("sw", { rs1: "t1", rs2: "t0" }).label("end").to("jal", "end");
    assert.ok(p.here - RAM_BASE <= DATA_OFFSET && size > 0);
    this.pieces = [{ offset: 0, bytes: p.build() }, ...data];
  }

  /** Runs it; gives what each program left. */
  async run(run: Run): Promise<Uint8Array[]> {
    await run(this.program.xlen, this.pieces, this.results);
    return this.results.map(({ bytes }) => bytes.slice());
  }

  /** Explains the first difference; undefined if there is none. */
  difference(ours: readonly Uint8Array[], theirs: readonly Uint8Array[]): string | undefined {
    const { xlen } = this.program;
    for (const [k, left] of ours.entries()) {
      const other = theirs[k]!, at = left.findIndex((byte, n) => byte !== other[n]);
      if (at < 0) continue;
      const word = at >> 3, first = F_REGISTERS + X_REGISTERS;
      const name = word < F_REGISTERS
        ? `f${word}`
        : word < first
        ? `x${X_FIRST + word - F_REGISTERS}`
        : word === first
        ? "fcsr"
        : `scratch memory + ${at - 8 * (first + 1)}`;
      const value = (bytes: Uint8Array) => new DataView(bytes.buffer).getBigUint64(8 * word, true).toString(16);
      const bytes = this.pieces[0]!.bytes, view = new DataView(bytes.buffer), lines: string[] = [];
      for (let pc = this.code[k]!.address; pc < this.code[k]!.end;) {
        const low = view.getUint16(pc - RAM_BASE, true), bits = low | view.getUint16(pc - RAM_BASE + 2, true) << 16;
        const { text, length } = disassemble(new Decoder(xlen, new Set(COMPATIBLE)), bits, BigInt(pc));
        lines.push(`  ${pc.toString(16)}: ${text.replace("\t", " ")}`);
        pc += length;
      }
      return [`RV${xlen}, program ${k}: ${name} is ${value(left)}, not ${value(other)}`, ...lines].join("\n");
    }
    return undefined;
  }
}

for (const xlen of WIDTHS) {
  test(`${PROGRAMS} random RV${xlen} programs with floating point compute the same interpreted and compiled`, async () => {
    const batch = new Batch(xlen, SEED, PROGRAMS, [...RV_F, ...RV_D, ...ZFH, ...ZFA]);
    const interpreted = await batch.run(here("interpreter"));
    for (const accel of ["jit,threshold=1", "jit,threshold=20"]) {
      const difference = batch.difference(await batch.run(here(accel)), interpreted);
      if (difference !== undefined) assert.fail(`-accel ${accel}, seed ${SEED}: ${difference}`);
    }
  });

  const title = `${PROGRAMS} random RV${xlen} programs with floating point compute the same as in QEMU`;
  test(title, { skip: qemuMissing }, async () => {
    const batch = new Batch(xlen, SEED + 1, PROGRAMS, [...RV_F, ...RV_D, ...ZFH]);
    const difference = batch.difference(await batch.run(here("jit,threshold=1")), await batch.run(inQemu));
    if (difference !== undefined) assert.fail(`seed ${SEED + 1}: ${difference}`);
  });
}
