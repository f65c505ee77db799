// Runs random programs here and in QEMU: one guest executes many programs, each with registers and scratch memory of its own,
// and prints what each left behind.

import assert from "node:assert/strict";
import { Decoder } from "../../isa/decode.ts";
import { disassemble } from "../../isa/disassemble.ts";
import { COMPATIBLE } from "../../isa/extensions.ts";
import type { Xlen } from "../../isa/instruction.ts";
import { ABI_NAMES } from "../../isa/registers.ts";
import { Machine } from "../../machine/machine.ts";
import { Program, RAM_BASE } from "./assemble.ts";
import { printing } from "./qemu.ts";
import { RandomProgram, SCRATCH_SIZE, seeded } from "./random_program.ts";

/** Most traps of a program that are printed one by one. */
const TRAPS = 400;

/** Many programs in one guest. */
export interface Batch {
  readonly xlen: Xlen;
  /** Seed of the first program; the others follow. */
  readonly seed: number;
  readonly elf: Uint8Array;
  /** The code of each program, for failure reports. */
  readonly code: readonly { readonly address: number; readonly end: number }[];
  readonly program: Program;
}

/** Words in the driver's own memory, in registers. */
const SAVED = 0, LOG = 4, CURRENT = 5, DUMP = 8;

/** The guest: a driver, a trap handler that records and skips, and the programs. */
export function buildBatch(xlen: Xlen, seed: number, count: number): Batch {
  const p = new Program(xlen), size = xlen / 8, recordSize = 32 * size + SCRATCH_SIZE;
  const load = xlen === 64 ? "ld" : "lw", store = xlen === 64 ? "sd" : "sw";
  const l = (rd: string | number, word: number, rs1: string) => p.op(load, { rd, rs1, imm: word * size });
  const s = (rs2: string | number, word: number, rs1: string) => p.op(store, { rs2, rs1, imm: word * size });

  p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0");
  p.la("t0", "own").csr("csrrw", "mscratch", 0, "t0").la("t1", "records");
  s("t1", CURRENT, "t0");

  p.label("next").la("t0", "own");
  l("t1", CURRENT, "t0").la("t2", "end").to("beq", "exit", { rs1: "t1", rs2: "t2" });
  p.la("t2", "log");
  s("t2", LOG, "t0");
  // Scratch memory, counters, code address, registers.
  p.la("t2", "scratch").op("addi", { rd: "t3", rs1: "t1", imm: 32 * size }).li("t4", SCRATCH_SIZE);
  p.label("copy");
  l("t5", 0, "t3");
  s("t5", 0, "t2");
  for (const register of ["t2", "t3"]) p.op("addi", { rd: register, rs1: register, imm: size });
  p.op("addi", { rd: "t4", rs1: "t4", imm: -size }).to("bne", "copy", { rs1: "t4", rs2: 0 });
  p.csr("csrrw", "mcause", 0, 0).csr("csrrw", "mtval", 0, 0);
  l("t2", 0, "t1").csr("csrrw", "mepc", 0, "t2").li("t2", 3 << 11).csr("csrrs", "mstatus", 0, "t2");
  for (let register = 1; register < 32; register++) if (register !== 6) l(register, register, "t1");
  l(6, 6, "t1").op("mret");

  // Traps: cause, pc and value are recorded, then the instruction is skipped.
  p.align(4).label("handler").csr("csrrw", "mscratch", "sp", "sp");
  ["t0", "t1", "t2"].forEach((register, k) => s(register, SAVED + k, "sp"));
  l("t0", LOG, "sp");
  ["mcause", "mepc", "mtval"].forEach((name, k) => {
    p.csr("csrrs", name, "t1", 0);
    s("t1", k, "t0");
  });
  p.op("addi", { rd: "t0", rs1: "t0", imm: 3 * size });
  s("t0", LOG, "sp");
  p.csr("csrrs", "mepc", "t0", 0).op("lhu", { rd: "t1", rs1: "t0" }).op("andi", { rd: "t1", rs1: "t1", imm: 3 });
  p.op("addi", { rd: "t2", rs1: 0, imm: 3 }).op("addi", { rd: "t0", rs1: "t0", imm: 2 });
  p.to("bne", "short", { rs1: "t1", rs2: "t2" }).op("addi", { rd: "t0", rs1: "t0", imm: 2 }).label("short");
  p.csr("csrrw", "mepc", 0, "t0");
  ["t0", "t1", "t2"].forEach((register, k) => l(register, SAVED + k, "sp"));
  p.csr("csrrw", "mscratch", "sp", "sp").op("mret");

  // The end of a program: print registers, traps, and the scratch memory's checksum.
  p.label("finish").csr("csrrw", "mscratch", "sp", "sp");
  for (let register = 1; register < 32; register++) if (register !== 2) s(register, DUMP + register, "sp");
  p.op("addi", { rd: "s0", rs1: "sp", imm: 0 }).csr("csrrw", "mscratch", "t0", "s0");
  s("t0", DUMP + 2, "s0");
  p.op("addi", { rd: "s1", rs1: "s0", imm: (DUMP + 1) * size }).op("addi", { rd: "s2", rs1: "s1", imm: 31 * size });
  p.to("jal", "printAll", { rd: "s3" });
  p.la("s1", "log");
  l("s2", LOG, "s0").to("jal", "printAll", { rd: "s3" });
  p.la("s1", "scratch").li("s2", SCRATCH_SIZE).op("add", { rd: "s2", rs1: "s1", rs2: "s2" }).li("a0", 0).li("t1", 33);
  p.label("sum");
  l("t0", 0, "s1").op("mul", { rd: "a0", rs1: "a0", rs2: "t1" }).op("add", { rd: "a0", rs1: "a0", rs2: "t0" });
  p.op("addi", { rd: "s1", rs1: "s1", imm: size }).to("bne", "sum", { rs1: "s1", rs2: "s2" });
  p.to("jal", "print", { rd: "ra" }).li("a1", 10).to("jal", "put", { rd: "t6" });
  l("t1", CURRENT, "s0").op("addi", { rd: "t1", rs1: "t1", imm: recordSize });
  s("t1", CURRENT, "s0").to("jal", "next", { rd: 0 });

  // Registers from s1 to s2; returns to s3.
  p.label("printAll").to("beq", "printed", { rs1: "s1", rs2: "s2" });
  l("a0", 0, "s1").to("jal", "print", { rd: "ra" }).op("addi", { rd: "s1", rs1: "s1", imm: size });
  p.to("jal", "printAll", { rd: 0 }).label("printed").op("jalr", { rs1: "s3" });
  printing(p);

  const code: { address: number; end: number }[] = [], records: { values: bigint[]; scratch: number[] }[] = [];
  for (let k = 0; k < count; k++) {
    const random = seeded(seed + k), generator = new RandomProgram(p, `p${k}`, random);
    p.align(2);
    // Now and then, instructions lie across a page's end.
    if (k % 8 === 0) p.align(4096).org(p.here + 4096 - 2 * (random() % 64));
    const address = p.here;
    generator.generate(20 + random() % 41);
    code.push({ address, end: p.here });
    p.la("t6", "finish").op("jalr", { rs1: "t6" });
    const values = Array.from({ length: 32 }, () => generator.value());
    records.push({ values, scratch: Array.from({ length: SCRATCH_SIZE }, () => random() & 0xff) });
  }
  p.align(4096).label("own").org(p.here + (DUMP + 32) * size).align(SCRATCH_SIZE).label("scratch");
  p.org(p.here + SCRATCH_SIZE).label("log").org(p.here + 3 * TRAPS * size).label("records");
  records.forEach(({ values, scratch }, k) => {
    values[0] = BigInt(code[k]!.address);
    values[3] = BigInt(p.address("scratch") + SCRATCH_SIZE / 2);
    values[4] = 0n;
    for (const value of values) p.data(value, size);
    p.bytes(scratch);
  });
  p.label("end");
  return { xlen, seed, elf: p.elf(), code, program: p };
}

/** What the guest prints here, a line for each program, and how many instructions that takes. `accel` is as `-accel`. */
export async function runHere(batch: Batch, accel: string): Promise<{ lines: string[]; instructions: number }> {
  await using machine = await Machine.create({
    cpu: `rv${batch.xlen}`,
    bios: batch.elf,
    memory: "16M",
    accel,
    failures: false,
  });
  const stop = await machine.run({ maxInstructions: 100_000_000 });
  assert.equal(stop.kind, "exit", `seed ${batch.seed}: ${machine.console.output.slice(-200)}`);
  return { lines: machine.console.output.trim().split("\n"), instructions: stop.instructions };
}

/** The first difference of two outputs, explained; undefined if there is none. */
export function firstDifference(batch: Batch, here: readonly string[], qemu: readonly string[]): string | undefined {
  const { xlen, code, program } = batch;
  const index = code.findIndex((_, k) => here[k] !== qemu[k]);
  if (index < 0) return here.length === qemu.length ? undefined : `${here.length} lines, QEMU ${qemu.length}`;
  const ours = (here[index] ?? "").trim().split(" "), theirs = (qemu[index] ?? "").trim().split(" ");
  const name = (k: number) => {
    if (k < 31) return ABI_NAMES[k + 1];
    if (k === Math.max(ours.length, theirs.length) - 1) return "checksum of the scratch memory";
    return `${["mcause", "mepc", "mtval"][(k - 31) % 3]} of trap ${Math.floor((k - 31) / 3) + 1}`;
  };
  const lines = Array.from({ length: Math.max(ours.length, theirs.length) }, (_, k) => k)
    .filter((k) => ours[k] !== theirs[k])
    .map((k) => `  ${name(k)}: ${ours[k] ?? "nothing"}, QEMU ${theirs[k] ?? "nothing"}`);
  const bytes = program.build(), view = new DataView(bytes.buffer);
  const decoder = new Decoder(xlen, new Set(COMPATIBLE)), listing: string[] = [];
  for (let at = code[index]!.address; at < code[index]!.end;) {
    const word = view.getUint16(at - RAM_BASE, true) | view.getUint16(at - RAM_BASE + 2, true) << 16;
    const { text, length } = disassemble(decoder, word, BigInt(at));
    listing.push(`  ${at.toString(16)}: ${text.replace("\t", " ")}`);
    at += length;
  }
  return [
    `RV${xlen}, seed ${batch.seed + index}; again by HARTBEAT_SEED=${batch.seed + index} HARTBEAT_PROGRAMS=1`,
    ...lines,
    ...listing,
  ].join("\n");
}
