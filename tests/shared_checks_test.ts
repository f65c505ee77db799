// Accesses of compiled code that share one check of their range: where it fails, at an end of RAM, over a device or over code,
// the guest runs as it does interpreted.

import assert from "node:assert/strict";
import { test } from "node:test";
import { assemble, Program, RAM_BASE } from "./support/assemble.ts";
import { RAM_SIZE, WIDTHS } from "./support/guest.ts";
import { compareRuns, Subject } from "./support/lockstep_guest.ts";

const UART = 0x1000_0000;

/** Runs a program for as many turns of its loop as it takes, interpreted and compiled. */
async function compare(p: Program) {
  const subjects: Subject[] = [];
  for (const accel of ["interpreter", "jit,threshold=2,target=webassembly", "jit,threshold=2,target=javascript"]) {
    subjects.push(await Subject.create({ cpu: `rv${p.xlen}`, memory: RAM_SIZE, accel }));
  }
  const run = { stops: [100, 1, 57, 2000, 5, 4000], address: RAM_BASE, length: 0x4000 };
  assert.equal(await compareRuns(subjects, (subject) => subject.load(p), run), undefined);
  for (const { machine } of subjects.slice(1)) {
    assert.ok(machine.compilerStatistics!.executed > 500, "it ran compiled");
  }
}

/** A loop around `body`, whose traps go on with the next instruction; s2 counts its turns. */
function loop(xlen: 32 | 64, body: (p: Program) => Program): Program {
  const p = new Program(xlen);
  p.la("t0", "trap").csr("csrrw", "mtvec", 0, "t0").li("s0", RAM_BASE + RAM_SIZE - 64).li("s1", UART).la("sp", "data");
  body(p.label("loop").op("addi", { rd: "s2", rs1: "s2", imm: 1 }));
  p.op("add", { rd: "a7", rs1: "a7", rs2: "a0" }).op("xor", { rd: "a7", rs1: "a7", rs2: "a1" }).to("jal", "loop");
  p.align(4).label("trap").csr("csrrs", "mepc", "t1", 0).op("addi", { rd: "t1", rs1: "t1", imm: 4 });
  p.csr("csrrw", "mepc", 0, "t1").op("addi", { rd: "s3", rs1: "s3", imm: 1 }).op("mret");
  return p.align(64).label("data").word(1).word(2).word(3).word(4).org(p.here + 1024);
}
const load = (p: Program, rd: string, rs1: string, imm: number) => p.op("lw", { rd, rs1, imm });
const store = (p: Program, rs1: string, rs2: string, imm: number) => p.op("sw", { rs1, rs2, imm });

for (const xlen of WIDTHS) {
  test(`RV${xlen}: a register that comes to the end of RAM traps at the first access beyond it, with the others made`, async () => {
    await compare(loop(xlen, (p) => {
      store(p, "s0", "s2", 0), load(p, "a0", "s0", 4), store(p, "s0", "s2", 8), load(p, "a1", "s0", 60);
      store(p, "s0", "s2", 58);
      return p.op("andi", { rd: "a2", rs1: "s2", imm: 31 }).op("add", { rd: "s0", rs1: "s0", rs2: "a2" })
        .op("andi", { rd: "s0", rs1: "s0", imm: -64 });
    }));
  });

  test(`RV${xlen}: a register that moves between accesses is followed, below RAM and around 0`, async () => {
    for (const start of [RAM_BASE - 8, 0]) {
      await compare(loop(xlen, (p) => {
        p.op("andi", { rd: "a2", rs1: "s2", imm: 1 }).op("slli", { rd: "a2", rs1: "a2", imm: 12 });
        p.li("a3", start).op("add", { rd: "a3", rs1: "a3", rs2: "a2" });
        load(p, "a0", "a3", -4), p.op("addi", { rd: "a3", rs1: "a3", imm: 4 }), load(p, "a1", "a3", 4);
        return store(p, "a3", "a2", 0x200).op("addi", { rd: "a3", rs1: "a3", imm: -12 }).op("lbu", {
          rd: "a4",
          rs1: "a3",
        });
      }));
    }
  });

  test(`RV${xlen}: one instruction that stands several times in a block accesses another place each time`, async () => {
    await compare(loop(xlen, (p) => {
      for (const distance of [4, 4, -8]) {
        load(p, "a0", "sp", 4), store(p, "sp", "s2", 32);
        p.op("add", { rd: "a1", rs1: "a1", rs2: "a0" }).op("addi", { rd: "sp", rs1: "sp", imm: distance });
      }
      return p;
    }));
  });

  test(`RV${xlen}: a device's registers are read and written one by one, in their order`, async () => {
    await compare(loop(xlen, (p) => {
      p.op("andi", { rd: "a2", rs1: "s2", imm: 15 }).op("addi", { rd: "a2", rs1: "a2", imm: 65 });
      p.op("lbu", { rd: "a0", rs1: "s1", imm: 5 }).op("sb", { rs1: "s1", rs2: "a2" });
      return p.op("sb", { rs1: "s1", rs2: "s2", imm: 7 }).op("lbu", { rd: "a1", rs1: "s1", imm: 7 });
    }));
  });

  test(`RV${xlen}: stores on a stack that lies in code are seen at the next instruction`, async () => {
    await compare(loop(xlen, (p) => {
      p.op("andi", { rd: "a2", rs1: "s2", imm: 0x3f8 }).op("slli", { rd: "a2", rs1: "a2", imm: 20 });
      p.li("a3", assemble(xlen, "addi", { rd: "a0", rs1: "a0", imm: 0 })).op("or", { rd: "a2", rs1: "a2", rs2: "a3" });
      p.la("sp", "target").op("andi", { rd: "a4", rs1: "s2", imm: 63 }).to("bne", "target", { rs1: "a4", rs2: 0 });
      store(p, "sp", "a2", 0), store(p, "sp", "a2", 4), load(p, "a1", "sp", 4);
      return p.label("target").word(assemble(xlen, "addi", {})).word(assemble(xlen, "addi", {}));
    }));
  });
}
