// Random and corner-case operands for every floating-point instruction, and what each must give: the softfloat library's results by
// way of the instruction's meaning.

import { DOUBLE, type Format } from "../hart/softfloat.ts";
import { box } from "../hart/softfloat_operations.ts";
import type { Definition, Xlen } from "../isa/instruction.ts";
import {
  type Job,
  OPERAND_SETS_PER_RUN,
  RD,
  RS1,
  RS2,
  RS3,
  type Run,
  runJobs,
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

const DYNAMIC = 7;
const MODES = [0, 1, 2, 3, 4, DYNAMIC];

/** The format of the operands: the last one that the mnemonic names, double where integers come in or memory. */
export function operandFormat({ name }: Definition): Format {
  const suffix = name.split(".").at(-1) as keyof typeof FORMATS;
  return FORMATS[suffix] ?? DOUBLE;
}

/** One operand set: rs1, rs2 and rs3. */
export function randomSet(definition: Definition, format: Format, random: Random): bigint[] {
  if (["fcvtf", "fmvf", "fmvp"].includes(definition.format)) return [integer(random), integer(random), 0n];
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

/** Immediates to try: rounding modes, numbers of constants, or nothing. */
export function immediates({ format, valid }: Definition, xlen: Xlen): number[] {
  if (format === "fli") return Array.from({ length: 32 }, (_, k) => k);
  if (valid === undefined) return [0];
  return MODES.filter((imm) => valid({ rd: RD, rs1: RS1, rs2: RS2, rs3: RS3, imm }, xlen));
}

function jobsFor(definition: Definition, xlen: Xlen, { results, fflags }: Amount, random: Random): Job[] {
  const all = immediates(definition, xlen);
  const count = Math.ceil(results / all.length), most = OPERAND_SETS_PER_RUN >> 1;
  return all.flatMap((imm) => {
    const jobs: Job[] = [];
    for (let done = 0; done < count; done += most) {
      const operands = operandSets(definition, Math.min(count - done, most), random);
      // A static mode must win over frm.
      const frm = imm === DYNAMIC ? random.of([0, 0, 0, 1, 2, 3, 4]) : (imm + 1) % 5;
      jobs.push({ definition, imm, frm, fflags, operands });
    }
    return jobs;
  });
}

const hex = (value: bigint) => value.toString(16);

/** Compares what a guest gave with what the meaning gives; complaints about the first differences. */
function compare(job: Job, xlen: Xlen, theirs: BigUint64Array): string[] {
  const { definition, imm, frm, fflags, operands } = job;
  const evaluator = new Evaluator(definition, xlen, { ...testedOperands(definition.format, imm) });
  const hart = new BareHart(), complaints: string[] = [], bytes = new DataView(operands.buffer);
  hart.frm = frm;
  for (let k = 0; k < operands.length / 3 && complaints.length < 3; k++) {
    const [a, b, c] = operands.subarray(3 * k, 3 * k + 3) as unknown as [bigint, bigint, bigint];
    hart.f[RS1] = hart.x[RS1] = a;
    hart.f[RS2] = hart.x[RS2] = b;
    hart.f[RS3] = c;
    hart.flags.bits = fflags;
    if (definition.format === "fload") hart.memory.setBigUint64(0, bytes.getBigUint64(24 * k, true), true);
    if (definition.format === "fstore") hart.memory.setBigUint64(0, 0n, true);
    evaluator.run(hart);
    const result = definition.format === "fstore"
      ? hart.memory.getBigUint64(0, true)
      : writesInteger(definition.format)
      ? BigInt.asUintN(xlen, hart.x[RD]!)
      : hart.f[RD]!;
    const flags = BigInt(hart.flags.bits), [got, gotFlags] = theirs.subarray(2 * k) as unknown as [bigint, bigint];
    if (result !== got || flags !== gotFlags) {
      complaints.push(
        `RV${xlen} ${definition.name} rm ${imm} frm ${frm} of ${hex(a)} ${hex(b)} ${hex(c)} with fflags ${fflags}: ` +
          `${hex(result)} flags ${hex(flags)} by its meaning, the guest gives ${hex(got)} flags ${hex(gotFlags)}`,
      );
    }
  }
  return complaints;
}

/** How much to compare. */
export interface Amount {
  /** Random operand sets for each instruction, beside the corner cases. */
  readonly results: number;
  readonly seed: number;
  /** What fflags holds before each instruction. */
  readonly fflags: number;
}

/** Compares instructions in a guest with their meanings. Gives complaints, and how many results there were. */
export async function compareAll(
  definitions: readonly Definition[],
  xlen: Xlen,
  run: Run,
  amount: Amount,
): Promise<{ results: number; complaints: string[] }> {
  const random = new Random(amount.seed), complaints: string[] = [];
  let jobs: Job[] = [], sets = 0, results = 0;
  const flush = async () => {
    (await runJobs(run, xlen, jobs)).forEach((theirs, k) => complaints.push(...compare(jobs[k]!, xlen, theirs)));
    results += sets;
    jobs = [], sets = 0;
  };
  for (const definition of definitions) {
    if (definition.format === "compressed" || (definition.xlen ?? xlen) !== xlen) continue;
    for (const job of jobsFor(definition, xlen, amount, random)) {
      const count = job.operands.length / 3;
      if (sets + count > OPERAND_SETS_PER_RUN) await flush();
      jobs.push(job);
      sets += count;
    }
  }
  await flush();
  return { results, complaints };
}
