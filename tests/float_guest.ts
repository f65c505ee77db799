// Runs floating-point instructions in qemu-system-riscv64: a table of operands through each instruction, results and flags
// back. The guest's RAM is a file, so that operands and results need no device.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Definition, type Format, readPattern } from "../isa/instruction.ts";
import type { Operands } from "../isa/ir.ts";
import { instructionNamed } from "../isa/table.ts";

const QEMU = "qemu-system-riscv64";
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
  /** Registers rs1, rs2, rs3 (64 bits each) one after another; memory from rs1 for loads. */
  readonly operands: BigUint64Array;
}

/** Operands for the instruction under test as the guest has it. */
export function testedOperands(format: Format, imm: number): Operands {
  return { rd: RD, rs1: format === "fload" ? OPERANDS : format === "fstore" ? RESULTS : RS1, rs2: RS2, rs3: RS3, imm };
}

/** Assembles one instruction of the base or Zicsr. */
function word(name: string, operands: Partial<Operands>): number {
  return instructionNamed(name, 64).encoding.encode(operands);
}

/** Whether an instruction writes an integer register. */
export function writesInteger(format: Format): boolean {
  return format === "fcmp" || format === "fcvtx" || format === "fmvx";
}

function jobCode(job: Job, fld: number[], fsd: number): number[] {
  const { definition: { format }, imm, frm } = job;
  const body = [
    word("ld", { rd: RS1, rs1: OPERANDS }),
    ...fld,
    word("csrrwi", { imm: FFLAGS, rs1: 0 }),
    readPattern(job.definition).encode(testedOperands(format, imm)),
    word("csrrs", { rd: FLAGS, imm: FFLAGS }),
    ...(format === "fstore" ? [] : [writesInteger(format) ? word("sd", { rs1: RESULTS, rs2: RD }) : fsd]),
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

function assemble(jobs: readonly Job[], load: Definition, store: Definition): Uint32Array {
  const loadPattern = readPattern(load), storePattern = readPattern(store);
  const fld = [RS1, RS2, RS3].map((rd, k) => loadPattern.encode({ rd, rs1: OPERANDS, imm: 8 * k }));
  const fsd = storePattern.encode({ rs1: RESULTS, rs2: RD });
  // A trap ends QEMU with its cause as exit status.
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
    ...jobs.flatMap((job) => jobCode(job, fld, fsd)),
    word("lui", { rd: TEMP, imm: 0x5000 }),
    word("addi", { rd: TEMP, rs1: TEMP, imm: 0x555 }),
    word("sw", { rs1: FINISHER, rs2: TEMP }),
    word("jal", { imm: 0 }),
  ]);
}

/** Why there is no QEMU to ask, or false. Where continuous integration says so, it must be there. */
export const qemuMissing: string | false = !process.env.CI && spawnSync(QEMU, ["--version"]).error !== undefined &&
  `needs ${QEMU}: apt-get install qemu-system-misc`;

/**
 * Runs jobs in QEMU, with a hart that has Zfh. `load` and `store` are FLD and FSD. Gives, for each job, result and fflags of each
 * operand set in turn: the f or x register that the instruction wrote, or for stores what it stored over zeros.
 */
export function runInQemu(jobs: readonly Job[], load: Definition, store: Definition): BigUint64Array[] {
  const directory = mkdtempSync(join(tmpdir(), "hartbeat-float-"));
  try {
    const path = join(directory, "ram"), file = openSync(path, "w+");
    ftruncateSync(file, RAM_BYTES);
    const code = assemble(jobs, load, store);
    assert.ok(code.byteLength <= JOB_TABLE_OFFSET && jobs.length * JOB_BYTES <= DATA_OFFSET - JOB_TABLE_OFFSET);
    writeSync(file, code, 0, code.byteLength, 0);
    let offset = DATA_OFFSET;
    const table = new BigUint64Array(3 * jobs.length), places: number[] = [];
    jobs.forEach(({ operands }, k) => {
      const count = operands.length / 3;
      writeSync(file, operands, 0, operands.byteLength, offset);
      const results = offset + operands.byteLength;
      places.push(results);
      table.set([RAM_BASE + offset, RAM_BASE + results, count].map(BigInt), 3 * k);
      offset = results + count * RESULT_BYTES;
    });
    assert.ok(offset <= RAM_BYTES);
    writeSync(file, table, 0, table.byteLength, JOB_TABLE_OFFSET);

    const ram = `memory-backend-file,id=ram,size=${RAM_BYTES / MIB}M,share=on,mem-path=${path}`;
    const machine = `-machine virt,memory-backend=ram -m ${RAM_BYTES / MIB}M -cpu rv64,Zfh=on -bios none`;
    const quiet = "-display none -serial none -monitor none";
    const run = spawnSync(QEMU, [..."-object".split(" "), ram, ...machine.split(" "), ...quiet.split(" ")], {
      encoding: "utf8",
      timeout: 120_000,
    });
    assert.equal(run.status, 0, `QEMU: ${run.error ?? run.stderr} (a small status is the cause of a trap)`);

    const all = jobs.map(({ operands }, k) => {
      const results = new BigUint64Array(operands.length / 3 * 2);
      readSync(file, results, 0, results.byteLength, places[k]!);
      return results;
    });
    closeSync(file);
    return all;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
