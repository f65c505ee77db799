// Floating-point instructions in compiled loops and interpreted ones: the same results, flags and mstatus.FS, from any state, in all
// rounding modes. A loop reads its operands as whole registers or as singles, which the compiler keeps in different ways.

import assert from "node:assert/strict";
import { test } from "node:test";
import { multiplyAdd } from "../hart/double_operations.ts";
import { DOUBLE, SINGLE } from "../hart/softfloat.ts";
import type { Xlen } from "../isa/instruction.ts";
import type { Operands } from "../isa/ir.ts";
import { type Instruction, INSTRUCTIONS } from "../isa/table.ts";
import { multiplyAddModule } from "../jit/wasm_multiply_add.ts";
import { RD, RS1, RS2, RS3, writesInteger } from "./float_guest.ts";
import { immediates, operandFormat, randomSet } from "./float_jobs.ts";
import { patterns, Random } from "./float_operands.ts";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { Guest, RAM_SIZE, WIDTHS } from "./support/guest.ts";
import { compareRuns, Subject } from "./support/lockstep_guest.ts";

const SEED = Number(process.env.HARTBEAT_FLOAT_SEED ?? 1);
/** Operand sets of a loop. */
const SETS = Number(process.env.HARTBEAT_FLOAT_SETS ?? 24);
/** The largest result so far. */
const LONGEST = 20;
const EXTENSIONS: ReadonlySet<string> = new Set(["F", "D", "Zfh", "Zfhmin", "Zfa"]);
const FORMATS_WITHOUT_OPERANDS: ReadonlySet<string> = new Set(["compressed", "fload", "fstore", "fli"]);
const DYNAMIC = 7;
const INITIAL = 1, CLEAN = 2, DIRTY = 3;

/** What a program is made for. */
interface Kind {
  readonly xlen: Xlen;
  /** Operands are loaded by FLW, where they are singles: nothing in the loop takes their registers for anything else. */
  readonly singles: boolean;
  readonly frm: number;
  readonly fflags: number;
  readonly fs: number;
}

/** Where the results of an instruction are. */
interface Trial {
  readonly text: string;
  readonly out: string;
  readonly bytes: number;
}

function isTried({ extensions, format, xlen }: Instruction, width: Xlen): boolean {
  return extensions.some((name) => EXTENSIONS.has(name)) && !FORMATS_WITHOUT_OPERANDS.has(format) &&
    (xlen ?? width) === width;
}

/** A loop for each instruction, over operands of its own. */
function generate(p: Program, { xlen, singles, frm, fflags, fs }: Kind, random: Random): Trial[] {
  const word = xlen === 64 ? "d" : "w", trials: Trial[] = [];
  const data: (() => void)[] = [];
  for (const instruction of INSTRUCTIONS) {
    const { name, format } = instruction;
    if (!isTried(instruction, xlen) || (singles && operandFormat(instruction) !== SINGLE)) continue;
    const modes = immediates(instruction, xlen), label = name.replaceAll(".", "_");
    const load = singles ? "flw" : "fld", size = 8 * modes.length;
    const result = writesInteger(format) ? null : /^f\w+\.s($|\.)/.test(name) ? SINGLE : DOUBLE;
    // In the second round, the loop is compiled from its first iteration on.
    p.li("s3", 2).label(`round_${label}`).li("t0", frm << 5 | fflags).csr("csrrw", "fcsr", 0, "t0");
    p.la("s0", `in_${label}`).la("s1", `out_${label}`);
    // The first value of the result that goes on is no single in half of all loops.
    p.op(random.below(2) === 0 ? "fld" : "flw", { rd: LONGEST, rs1: "s0" });
    p.li("t0", 3 << 13).csr("csrrc", "mstatus", 0, "t0").li("t0", fs << 13).csr("csrrs", "mstatus", 0, "t0");
    p.li("s2", SETS).label(`loop_${label}`);
    for (const [k, rd] of [RS1, RS2].entries()) p.op(`l${word}`, { rd, rs1: "s0", imm: 8 * k });
    for (const [k, rd] of [RS1, RS2, RS3].entries()) p.op(load, { rd, rs1: "s0", imm: 8 * k });
    for (const [k, imm] of modes.entries()) {
      const operands: Operands = { rd: RD, rs1: RS1, rs2: RS2, rs3: RS3, imm };
      // Now and then a register is all operands.
      if (random.below(4) === 0) operands.rs2 = RS1;
      p.data(instruction.encoding.encode(operands), 4);
      if (result === null) p.op(`s${word}`, { rs1: "s1", rs2: RD, imm: 8 * k });
      else {
        p.op(singles && result === SINGLE ? "fsw" : "fsd", { rs1: "s1", rs2: RD, imm: 8 * k });
        p.op(result === SINGLE ? "fmax.s" : "fmax.d", { rd: LONGEST, rs1: LONGEST, rs2: RD });
      }
    }
    p.op("addi", { rd: "s0", rs1: "s0", imm: 24 }).op("addi", { rd: "s1", rs1: "s1", imm: size });
    p.op("addi", { rd: "s2", rs1: "s2", imm: -1 }).to("bne", `loop_${label}`, { rs1: "s2", rs2: 0 });
    p.csr("csrrs", "mstatus", "t1", 0).op("fsd", { rs1: "s1", rs2: LONGEST });
    p.csr("csrrs", "fcsr", "t2", 0).op("sw", { rs1: "s1", rs2: "t1", imm: 8 }).op("sw", {
      rs1: "s1",
      rs2: "t2",
      imm: 12,
    });
    p.op("addi", { rd: "s3", rs1: "s3", imm: -1 }).to("bne", `round_${label}`, { rs1: "s3", rs2: 0 });
    trials.push({ text: `${name} with modes ${modes}`, out: `out_${label}`, bytes: size * SETS + 16 });
    data.push(() => {
      p.align(8).label(`in_${label}`);
      for (let k = 0; k < SETS; k++) {
        for (const bits of randomSet(instruction, operandFormat(instruction), random)) p.data(bits, 8);
      }
      p.label(`out_${label}`);
      for (let k = 0; k < size / 8 * SETS + 2; k++) p.data(0, 8);
    });
  }
  p.label("end").to("jal", "end");
  for (const append of data) append();
  return trials;
}

for (const xlen of WIDTHS) {
  for (const singles of [false, true]) {
    const operands = singles ? "singles" : "whole registers";
    test(`RV${xlen} floating-point instructions on ${operands} give the same compiled, in all modes and from any state`, async () => {
      const random = new Random(SEED), complaints: string[] = [];
      const guests = await Promise.all(
        ["interpreter", "jit,threshold=5,target=webassembly"].map((accel) => Guest.create(xlen, "", { accel })),
      );
      let regions = 0;
      for (const frm of [0, 1, 2, 3, 4]) {
        for (const [fflags, fs] of [[0, DIRTY], [1, DIRTY], [0, INITIAL], [1, CLEAN]] as const) {
          const p = new Program(xlen), trials = generate(p, { xlen, singles, frm, fflags, fs }, random);
          const results: Uint8Array[][] = [];
          for (const guest of guests) {
            guest.machine.reset();
            guest.setCsr("mstatus", DIRTY << 13);
            guest.load(p);
            const stop = await guest.machine.run({ until: p.address("end"), maxInstructions: 1e7 });
            assert.equal(stop.kind, "breakpoint");
            results.push(trials.map(({ out, bytes }) => guest.machine.memory.read(p.address(out), bytes)));
          }
          const compiled = guests[1]!.machine;
          assert.match(compiled.compiledText(p.address("loop_fadd_s"))!, /^\(func/);
          trials.forEach(({ text }, k) => {
            const [expected, got] = results as [Uint8Array[], Uint8Array[]];
            if (expected[k]!.every((byte, at) => byte === got[k]![at])) return;
            const at = expected[k]!.findIndex((byte, n) => byte !== got[k]![n]);
            complaints.push(
              `${text}, frm ${frm}, fflags ${fflags}, FS ${fs}: byte ${at} of results, flags and mstatus`,
            );
          });
          regions = compiled.compilerStatistics!.regions;
        }
      }
      assert.deepEqual(complaints.slice(0, 20), [], `seed ${SEED}`);
      assert.ok(regions > 400, `only ${regions} regions compiled`);
    });
  }
}

/** Runs a program interpreted and compiled, with many stops, and compares registers and memory at each. */
async function compare(p: Program): Promise<void> {
  const subjects: Subject[] = [];
  for (const accel of ["interpreter", "jit,threshold=5,target=webassembly"]) {
    subjects.push(await Subject.create({ cpu: `rv${p.xlen}`, memory: RAM_SIZE, accel }));
  }
  const stops = { stops: Array.from({ length: 150 }, (_, k) => 41 + k % 13), address: RAM_BASE, length: 4096 };
  assert.equal(await compareRuns(subjects, (subject) => subject.load(p), stops), undefined);
  assert.ok(subjects[1]!.machine.compilerStatistics!.regions > 0);
}

for (const xlen of WIDTHS) {
  test(`RV${xlen} registers that a loop uses for singles keep what they held until it sets them`, async () => {
    const p = new Program(xlen);
    p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("t0", DIRTY << 13).csr("csrrs", "mstatus", 0, "t0");
    p.la("s0", "data").op("ecall").label("start").op("andi", { rd: "s1", rs1: "s2", imm: 3 }).op("addi", {
      rd: "s1",
      rs1: "s1",
      imm: 1,
    }).label("loop").op("flw", { rd: 1, rs1: "s0" });
    p.op("addi", { rd: "s1", rs1: "s1", imm: -1 }).to("beq", "odd", { rs1: "s1", rs2: 0 });
    p.op("fadd.s", { rd: 2, rs1: 1, rs2: 1, imm: DYNAMIC }).op("flw", { rd: 4, rs1: "s0", imm: 8 }).to("jal", "loop");
    p.label("odd").op("fmul.s", { rd: 3, rs1: 1, rs2: 1, imm: DYNAMIC }).op("fsw", { rs1: "s0", rs2: 3, imm: 100 }).op(
      "ecall",
    );
    // No part of a region: it gives the registers values that are no singles.
    p.align(4).label("handler").la("t0", "start").csr("csrrw", "mepc", 0, "t0").op("addi", {
      rd: "s2",
      rs1: "s2",
      imm: 1,
    });
    for (let n = 0; n < 6; n++) p.op("fld", { rd: n, rs1: "s0", imm: 8 * n });
    p.op("mret").align(64).label("data");
    for (let k = 0; k < 16; k++) p.data(0x3ff1_2345_4020_0000n + BigInt(k), 8);
    await compare(p);
  });

  test(`RV${xlen} mstatus.FS becomes Dirty where a loop that has only read sets a register, and is Off in between`, async () => {
    const p = new Program(xlen);
    p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").la("s0", "data").li("s2", 1).label("loop");
    p.li("t0", DIRTY << 13).csr("csrrc", "mstatus", 0, "t0").op("addi", { rd: "s2", rs1: "s2", imm: 1 });
    p.op("andi", { rd: "t1", rs1: "s2", imm: 3 }).op("slli", { rd: "t1", rs1: "t1", imm: 13 });
    p.csr("csrrs", "mstatus", 0, "t1").op("fsd", { rs1: "s0", rs2: 1, imm: 16 });
    p.op("feq.d", { rd: "a0", rs1: 1, rs2: 2 }).csr("csrrs", "mstatus", "a1", 0).op("fsd", { rs1: "s0", rs2: 1 });
    p.op("feq.d", { rd: "a0", rs1: 2, rs2: 2 }).op("andi", { rd: "t3", rs1: "s2", imm: 4 });
    p.to("beq", "skip", { rs1: "t3", rs2: 0 }).op("fld", { rd: 4, rs1: "s0", imm: 24 }).label("skip");
    p.op("fld", { rd: 3, rs1: "s0", imm: 8 }).csr("csrrs", "mstatus", "a2", 0).op("sw", {
      rs1: "s0",
      rs2: "a2",
      imm: 32,
    });
    p.op("andi", { rd: "t1", rs1: "s2", imm: 8 }).op("slli", { rd: "t1", rs1: "t1", imm: 11 });
    p.csr("csrrc", "mstatus", 0, "t0").csr("csrrs", "mstatus", 0, "t1").op("fsd", { rs1: "s0", rs2: 3, imm: 40 });
    p.to("jal", "loop");
    p.align(4).label("handler").op("addi", { rd: "s1", rs1: "s1", imm: 1 }).csr("csrrs", "mepc", "t4", 0);
    p.op("addi", { rd: "t4", rs1: "t4", imm: 4 }).csr("csrrw", "mepc", 0, "t4").op("mret").align(64).label("data");
    for (let k = 0; k < 8; k++) p.data(0x4010_0000_0000_0000n + BigInt(k), 8);
    await compare(p);
  });
}

test("the fused multiply-add of WebAssembly gives what that of the floating-point unit does", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 0 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(multiplyAddModule(1)), {
    env: { memory, table },
  });
  const compiled = exports["run"] as typeof multiplyAdd,
    random = new Random(SEED),
    view = new DataView(new ArrayBuffer(8));
  const double = (bits: bigint) => (view.setBigUint64(0, bits), view.getFloat64(0));
  let sure = 0;
  for (let k = 0; k < 20_000; k++) {
    const [a, b, c] = patterns(random, DOUBLE).map(double) as [number, number, number], expected = multiplyAdd(a, b, c);
    assert.ok(Object.is(compiled(a, b, c), expected), `${a} * ${b} + ${c} is ${expected}, not ${compiled(a, b, c)}`);
    if (!Number.isNaN(expected)) sure++;
  }
  assert.ok(sure > 2000, `only ${sure}`);
});
