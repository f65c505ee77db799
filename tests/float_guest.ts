// Runs floating-point instructions as a guest, here and in QEMU: a table of operands through each instruction, results and
// flags back. In QEMU the guest's RAM is a file, so that operands and results need no device.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Definition, type Format, readPattern, type Xlen } from "../isa/instruction.ts";
import type { Operands } from "../isa/ir.ts";
import { instructionNamed } from "../isa/table.ts";
import { Machine } from "../machine/machine.ts";

const RAM_BASE = 0x8000_0000;
const MIB = 2 ** 20;
const RAM_BYTES = 64 * MIB;
/** Code and the table of jobs take the first part of RAM, operands and results the rest. */
const DATA_OFFSET = 2 * MIB;
const JOB_TABLE_OFFSET = 1 * MIB;
const OPERAND_BYTES = 24, RESULT_BYTES = 16, JOB_BYTES = 24;
/** How many operand sets all jobs of one run may have together. */
export const OPERAND_SETS_PER_RUN: number = (RAM_BYTES - DATA_OFFSET) / (OPERAND_BYTES + RESULT_BYTES) | 0;

const FFLAGS = 1, FRM = 2, MSTATUS = 0x300, MTVEC = 0x305, MCAUSE = 0x342;
const OPERANDS = 9, RESULTS = 14, COUNT = 7, JOBS = 8, TEMP = 5, FINISHER = 6, FLAGS = 15;

/** Registers of the instruction under test: numbers of x or f registers as its format says. */
export const RD = 13, RS1 = 10, RS2 = 11, RS3 = 12;

/** One instruction with some operand sets. */
export interface Job {
  readonly definition: Definition;
  /** Rounding mode field (7 is dynamic); 0 where there is none. */
  readonly imm: number;
  /** What frm holds. */
  readonly frm: number;
  /** What fflags holds before each operand set. */
  readonly fflags: number;
  /** Registers rs1, rs2, rs3 (64 bits each) one after another; memory from rs1 for loads. */
  readonly operands: BigUint64Array;
}

/** Operands for the instruction under test as the guest has it. */
export function testedOperands(format: Format, imm: number): Operands {
  return { rd: RD, rs1: format === "fload" ? OPERANDS : format === "fstore" ? RESULTS : RS1, rs2: RS2, rs3: RS3, imm };
}

type Word = (name: string, operands: Partial<Operands>) => number;

/** Assembles one instruction. Loads and stores of 8 bytes are those of a whole register on RV32. */
function assembler(xlen: Xlen): Word {
  const names = xlen === 32 ? { ld: "lw", sd: "sw" } as Record<string, string> : {};
  return (name, operands) => instructionNamed(names[name] ?? name, xlen).encoding.encode(operands);
}

/** Whether an instruction writes an integer register. */
export function writesInteger(format: Format): boolean {
  return format === "fcmp" || format === "fcvtx" || format === "fmvx";
}

function jobCode(word: Word, job: Job): number[] {
  const { definition: { format }, imm, frm, fflags } = job;
  const body = [
    ...[RS1, RS2].map((rd, k) => word("ld", { rd, rs1: OPERANDS, imm: 8 * k })),
    ...[RS1, RS2, RS3].map((rd, k) => word("fld", { rd, rs1: OPERANDS, imm: 8 * k })),
    word("csrrwi", { imm: FFLAGS, rs1: fflags }),
    readPattern(job.definition).encode(testedOperands(format, imm)),
    word("csrrs", { rd: FLAGS, imm: FFLAGS }),
    ...(format === "fstore" ? [] : [word(writesInteger(format) ? "sd" : "fsd", { rs1: RESULTS, rs2: RD })]),
    word("sd", { rs1: RESULTS, rs2: FLAGS, imm: 8 }),
    word("addi", { rd: OPERANDS, rs1: OPERANDS, imm: OPERAND_BYTES }),
    word("addi", { rd: RESULTS, rs1: RESULTS, imm: RESULT_BYTES }),
    word("addi", { rd: COUNT, rs1: COUNT, imm: -1 }),
  ];
  return [
    ...[OPERANDS, RESULTS, COUNT].map((rd, k) => word("ld", { rd, rs1: JOBS, imm: 8 * k })),
    word("addi", { rd: JOBS, rs1: JOBS, imm: JOB_BYTES }),
    word("csrrwi", { imm: FRM, rs1: frm }),
    ...body,
    word("bne", { rs1: COUNT, rs2: 0, imm: -4 * body.length }),
  ];
}

function assemble(jobs: readonly Job[], xlen: Xlen): Uint32Array {
  const word = assembler(xlen);
  // A trap ends the guest with its cause as exit status.
  const handler = [
    word("csrrs", { rd: TEMP, imm: MCAUSE }),
    word("slli", { rd: TEMP, rs1: TEMP, imm: 16 }),
    word("lui", { rd: COUNT, imm: 0x3000 }),
    word("addi", { rd: COUNT, rs1: COUNT, imm: 0x333 }),
    word("or", { rd: TEMP, rs1: TEMP, rs2: COUNT }),
    word("sw", { rs1: FINISHER, rs2: TEMP }),
    word("jal", { imm: 0 }),
  ];
  return Uint32Array.from([
    word("auipc", { rd: TEMP, imm: 0 }),
    word("addi", { rd: TEMP, rs1: TEMP, imm: 16 }),
    word("csrrw", { rs1: TEMP, imm: MTVEC }),
    word("jal", { imm: 4 + 4 * handler.length }),
    ...handler,
    word("lui", { rd: FINISHER, imm: 0x10_0000 }),
    word("lui", { rd: TEMP, imm: 0x2000 }),
    word("csrrs", { rs1: TEMP, imm: MSTATUS }), // FS = Initial
    word("auipc", { rd: JOBS, imm: JOB_TABLE_OFFSET }),
    word("addi", { rd: JOBS, rs1: JOBS, imm: -4 * (4 + handler.length + 3) }),
    ...jobs.flatMap((job) => jobCode(word, job)),
    word("lui", { rd: TEMP, imm: 0x5000 }),
    word("addi", { rd: TEMP, rs1: TEMP, imm: 0x555 }),
    word("sw", { rs1: FINISHER, rs2: TEMP }),
    word("jal", { imm: 0 }),
  ]);
}

function bytesOf(array: Uint32Array | BigUint64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Why there is no QEMU to ask, or false. Where continuous integration says so, it must be there. */
export const qemuMissing: string | false = !process.env.CI &&
  ["qemu-system-riscv64", "qemu-system-riscv32"].some((qemu) => spawnSync(qemu, ["--version"]).error !== undefined) &&
  "needs qemu-system-riscv64: apt-get install qemu-system-misc";

/** Some bytes of RAM. */
export interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/**
 * Executes a guest from the start of RAM until it writes to the test finisher that it passed. `pieces` are in RAM before; those of
 * `results` are filled with what is there afterwards.
 */
export type Run = (xlen: Xlen, pieces: readonly Piece[], results: readonly Piece[]) => void | Promise<void>;

/** Executes in QEMU, with a hart that has Zfh. */
export const inQemu: Run = (xlen, pieces, results) => {
  const directory = mkdtempSync(join(tmpdir(), "hartbeat-float-"));
  try {
    const path = join(directory, "ram"), file = openSync(path, "w+");
    ftruncateSync(file, RAM_BYTES);
    for (const { offset, bytes } of pieces) writeSync(file, bytes, 0, bytes.length, offset);
    const ram = `memory-backend-file,id=ram,size=${RAM_BYTES / MIB}M,share=on,mem-path=${path}`;
    const machine = `-machine virt,memory-backend=ram -m ${RAM_BYTES / MIB}M -cpu rv${xlen},Zfh=on -bios none`;
    const quiet = "-display none -serial none -monitor none";
    const run = spawnSync(
      `qemu-system-riscv${xlen}`,
      ["-object", ram, ...machine.split(" "), ...quiet.split(" ")],
      { encoding: "utf8", timeout: 120_000 },
    );
    assert.equal(run.status, 0, `QEMU: ${run.error ?? run.stderr} (a small status is the cause of a trap)`);
    for (const { offset, bytes } of results) readSync(file, bytes, 0, bytes.length, offset);
    closeSync(file);
  } finally {
    rmSync(directory, { recursive: true });
  }
};

/** Executes here, by an accelerator as `-accel` names it. */
export function here(accel: string): Run {
  return async (xlen, pieces, results) => {
    await using machine = await Machine.create({ cpu: `rv${xlen}`, memory: RAM_BYTES, accel });
    for (const { offset, bytes } of pieces) machine.memory.write(RAM_BASE + offset, bytes);
    machine.hart.pc = RAM_BASE;
    const stop = await machine.run({ maxInstructions: 1e9 });
    assert.deepEqual(
      [stop.kind, "code" in stop ? stop.code : undefined],
      ["exit", 0],
      "the code is the cause of a trap",
    );
    for (const { offset, bytes } of results) bytes.set(machine.memory.read(RAM_BASE + offset, bytes.length));
  };
}

/**
 * Runs jobs. Gives, for each job, result and fflags of each operand set in turn: the f or x register that the instruction wrote, or
 * for stores what it stored over zeros. On RV32 only the low halves of x registers are there.
 */
export async function runJobs(run: Run, xlen: Xlen, jobs: readonly Job[]): Promise<BigUint64Array[]> {
  const code = assemble(jobs, xlen);
  assert.ok(code.byteLength <= JOB_TABLE_OFFSET && jobs.length * JOB_BYTES <= DATA_OFFSET - JOB_TABLE_OFFSET);
  const table = new BigUint64Array(3 * jobs.length);
  const pieces = [{ offset: 0, bytes: bytesOf(code) }, { offset: JOB_TABLE_OFFSET, bytes: bytesOf(table) }];
  let offset = DATA_OFFSET;
  const results = jobs.map(({ operands }, k) => {
    const count = operands.length / 3, after = offset + operands.byteLength;
    pieces.push({ offset, bytes: bytesOf(operands) });
    table.set([RAM_BASE + offset, RAM_BASE + after, count].map(BigInt), 3 * k);
    offset = after + count * RESULT_BYTES;
    return { offset: after, values: new BigUint64Array(2 * count) };
  });
  assert.ok(offset <= RAM_BYTES);
  await run(xlen, pieces, results.map(({ offset, values }) => ({ offset, bytes: bytesOf(values) })));
  return results.map(({ values }) => values);
}
