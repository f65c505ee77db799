// Every instruction of F, D and Zfh beside QEMU 7.2: encodings, meanings, results and flags in all rounding modes, over random and
// corner-case operands. HARTBEAT_FLOAT_RESULTS sets how many results there are for each instruction (1000000 for a long
// run), HARTBEAT_FLOAT_SEED the seed.
//
// QEMU 7.2 and the manual agree in everything that is compared here. QEMU 7.2 has no Zfa: see softfloat_test.ts.

import assert from "node:assert/strict";
import process from "node:process";
import { test, type TestContext } from "node:test";
import { DOUBLE, type Format } from "../hart/softfloat.ts";
import { box } from "../hart/softfloat_operations.ts";
import type { Definition } from "../isa/instruction.ts";
import { RV_D } from "../isa/rv_d.ts";
import { RV_F } from "../isa/rv_f.ts";
import { ZFH } from "../isa/zfh.ts";
import {
  type Job,
  OPERAND_SETS_PER_RUN,
  qemuMissing,
  RD,
  RS1,
  RS2,
  RS3,
  runInQemu,
  testedOperands,
  writesInteger,
} from "./float_guest.ts";
import {
  FORMATS,
  inRegister,
  integer,
  nearInteger,
  nearOtherFormat,
  patterns,
  Random,
  specialPairs,
} from "./float_operands.ts";
import { BareHart, Evaluator } from "./ir_evaluator.ts";

const RESULTS = Number(process.env.HARTBEAT_FLOAT_RESULTS ?? 600);
const SEED = Number(process.env.HARTBEAT_FLOAT_SEED ?? 1);
const DYNAMIC = 7;
const MODES = [0, 1, 2, 3, 4, DYNAMIC];

/** The format of the operands: the last one that the mnemonic names, double where integers come in or memory. */
function operandFormat({ name }: Definition): Format {
  const suffix = name.split(".").at(-1) as keyof typeof FORMATS;
  return FORMATS[suffix] ?? DOUBLE;
}

/** One operand set: rs1, rs2 and rs3. */
function randomSet(definition: Definition, format: Format, random: Random): bigint[] {
  if (definition.format === "fcvtf" || definition.format === "fmvf") return [integer(random), 0n, 0n];
  let bits: bigint[];
  const to = /^fcvt\.([hsd])\./.exec(definition.name)?.[1] as keyof typeof FORMATS | undefined;
  if (definition.format === "fcvtx") bits = [nearInteger(random, format), 0n, 0n];
  else if (to !== undefined) bits = [nearOtherFormat(random, format, FORMATS[to]), 0n, 0n];
  else bits = patterns(random, format);
  return bits.map((pattern) => inRegister(random, format, pattern));
}

function operandSets(definition: Definition, count: number, random: Random): BigUint64Array {
  const format = operandFormat(definition);
  const pairs = ["R4", "fR", "fsign", "fcmp"].includes(definition.format) ? specialPairs(format) : [];
  const special = pairs.map((pair) => [...pair, random.of(pairs)[0]].map((bits) => box(format, bits)));
  const sets = Array.from({ length: count }, () => randomSet(definition, format, random));
  return BigUint64Array.from([...special, ...sets].flat());
}

function jobsFor(definition: Definition, random: Random): Job[] {
  const hasMode = definition.valid !== undefined, modes = hasMode ? MODES : [0];
  const count = Math.ceil(RESULTS / modes.length), most = OPERAND_SETS_PER_RUN >> 1;
  return modes.flatMap((imm) => {
    const jobs: Job[] = [];
    for (let done = 0; done < count; done += most) {
      const operands = operandSets(definition, Math.min(count - done, most), random);
      // A static mode must win over frm.
      jobs.push({ definition, imm, frm: imm === DYNAMIC ? random.below(5) : (imm + 1) % 5, operands });
    }
    return jobs;
  });
}

const hex = (value: bigint) => value.toString(16);

/** Compares what QEMU made of a job with what is made of it here; complaints about the first differences. */
function compare(job: Job, theirs: BigUint64Array): string[] {
  const { definition, imm, frm, operands } = job;
  const evaluator = new Evaluator(definition, 64, { ...testedOperands(definition.format, imm) });
  const hart = new BareHart(), complaints: string[] = [], bytes = new DataView(operands.buffer);
  hart.frm = frm;
  for (let k = 0; k < operands.length / 3 && complaints.length < 3; k++) {
    const [a, b, c] = operands.subarray(3 * k, 3 * k + 3) as unknown as [bigint, bigint, bigint];
    hart.f[RS1] = hart.x[RS1] = a;
    hart.f[RS2] = b;
    hart.f[RS3] = c;
    hart.flags.bits = 0;
    if (definition.format === "fload") hart.memory.setBigUint64(0, bytes.getBigUint64(24 * k, true), true);
    if (definition.format === "fstore") hart.memory.setBigUint64(0, 0n, true);
    evaluator.run(hart);
    const result = definition.format === "fstore"
      ? hart.memory.getBigUint64(0, true)
      : writesInteger(definition.format)
      ? hart.x[RD]!
      : hart.f[RD]!;
    const [expected, expectedFlags] = theirs.subarray(2 * k, 2 * k + 2) as unknown as [bigint, bigint];
    if (result !== expected || BigInt(hart.flags.bits) !== expectedFlags) {
      complaints.push(
        `${definition.name} rm ${imm} frm ${frm} of ${hex(a)} ${hex(b)} ${hex(c)}: ` +
          `QEMU ${hex(expected)} flags ${hex(expectedFlags)}, here ${hex(result)} flags ${
            hart.flags.bits.toString(16)
          }`,
      );
    }
  }
  return complaints;
}

const load = RV_D.find(({ name }) => name === "fld")!, store = RV_D.find(({ name }) => name === "fsd")!;

function compareAll(definitions: readonly Definition[], t: TestContext): void {
  const random = new Random(SEED), complaints: string[] = [];
  let jobs: Job[] = [], sets = 0, results = 0;
  const flush = () => {
    runInQemu(jobs, load, store).forEach((theirs, k) => complaints.push(...compare(jobs[k]!, theirs)));
    results += sets;
    jobs = [], sets = 0;
  };
  for (const definition of definitions) {
    if (definition.format === "compressed" || definition.xlen === 32) continue;
    for (const job of jobsFor(definition, random)) {
      const count = job.operands.length / 3;
      if (sets + count > OPERAND_SETS_PER_RUN) flush();
      jobs.push(job);
      sets += count;
    }
  }
  flush();
  t.diagnostic(`${results} results compared, seed ${SEED}`);
  assert.equal(complaints.length, 0, `seed ${SEED}\n${complaints.slice(0, 30).join("\n")}`);
}

for (const [name, definitions] of [["F", RV_F], ["D", RV_D], ["Zfh", ZFH]] as const) {
  test(`instructions of ${name} give the results and flags that they do in QEMU`, { skip: qemuMissing }, (t) => {
    compareAll(definitions, t);
  });
}
