// Several harts: turns, what each sees of the others' stores, reservations, interrupts from one to another, and that the result
// does not depend on how instructions are executed.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Xlen } from "../isa/instruction.ts";
import { Machine } from "../machine/machine.ts";
import type { MachineOptions } from "../machine/options.ts";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { hartbeat } from "./support/command.ts";
import { WAYS } from "./support/counting.ts";
import { WIDTHS } from "./support/guest.ts";

const CLINT = 0x200_0000, FINISHER = 0x10_0000, PASS = 0x5555;
const MSIE = 1 << 3, MTIE = 1 << 7;

/** A machine that executes a program on each of its harts from the start of RAM. */
function create(p: Program, options: MachineOptions): Promise<Machine> {
  return Machine.create({ cpu: `rv${p.xlen}`, memory: "8M", bios: p.elf(), ...options });
}

/** `s` holds the hart's number; each hart gets 4 KiB of stack below 0x80080000. */
function begin(xlen: Xlen): Program {
  return new Program(xlen).csr("csrrs", "mhartid", "s0", 0);
}

const MPRV_AS_SUPERVISOR = 1 << 17 | 1 << 11;

/**
 * Makes loads and stores go through a page table: the first 4 MiB of RAM also lie 4 MiB higher, where s1 and s2 are moved to. The
 * finisher stays where it is. To be completed by `pageTable`.
 */
function translate(p: Program): void {
  p.li("t0", -1).csr("csrrw", "pmpaddr0", 0, "t0").li("t0", 0x1f).csr("csrrw", "pmpcfg0", 0, "t0");
  p.la("t0", "table").op("srli", { rd: "t0", rs1: "t0", imm: 12 });
  p.li("t1", p.xlen === 64 ? 8n << 60n : 1n << 31n).op("or", { rd: "t0", rs1: "t0", rs2: "t1" });
  p.csr("csrrw", "satp", 0, "t0").li("t0", MPRV_AS_SUPERVISOR).csr("csrrs", "mstatus", 0, "t0").li("t0", 0x40_0000);
  for (const register of ["s1", "s2"]) p.op("add", { rd: register, rs1: register, rs2: "t0" });
}

/** Valid, readable, writable, executable, accessed, dirty; a pointer to a table is only valid. */
const LEAF = 0xcf, POINTER = 1;

function pageTable(p: Program): void {
  p.align(4096).label("table");
  const table = p.here, words: Record<number, number> = {};
  const pte = (address: number, flags: number) => Math.floor(address / 4096) * 1024 + flags;
  if (p.xlen === 32) {
    words[0] = pte(0, LEAF), words[512] = words[513] = pte(RAM_BASE, LEAF);
    for (let k = 0; k < 1024; k++) p.word(words[k] ?? 0);
    return;
  }
  // 2 MiB pages below the two of 1 GiB that matter.
  words[0] = pte(0, LEAF), words[2] = pte(table + 4096, POINTER);
  for (let k = 0; k < 2; k++) words[512 + k] = words[514 + k] = pte(RAM_BASE + k * 0x20_0000, LEAF);
  for (let k = 0; k < 1024; k++) p.data(words[k] ?? 0, 8);
}

/** The last of `harts` harts to come here powers the machine off; the others wait for ever. Uses a word at `done`. */
function finish(p: Program, harts: number): void {
  p.la("t0", "done").li("t1", 1).op("amoadd.w", { rd: "t1", rs1: "t0", rs2: "t1", imm: 3 });
  p.li("t2", harts - 1).to("beq", "off", { rs1: "t1", rs2: "t2" });
  p.csr("csrrw", "mie", 0, 0).label("sleep").op("wfi").to("jal", "sleep");
  p.label("off").li("t0", FINISHER).li("t1", PASS).op("sw", { rs1: "t0", rs2: "t1" }).label("end").to("jal", "end");
  p.align(64).label("done").word(0).align(64);
}

/** What is left behind: counts, registers, memory. */
function state(machine: Machine): unknown {
  return {
    instructions: machine.instructions,
    nanoseconds: machine.nanoseconds,
    harts: machine.harts.map((hart) => ({
      pc: hart.pc,
      x: Array.from({ length: 32 }, (_, n) => hart.x[`x${n}`]),
      minstret: hart.readCsr("minstret"),
      mcause: hart.readCsr("mcause"),
      mepc: hart.readCsr("mepc"),
    })),
    memory: machine.memory.read(RAM_BASE, 0x4000),
  };
}

const ACCELERATORS = ["interpreter", "jit,threshold=1", "jit,threshold=30"];

for (const xlen of WIDTHS) {
  for (const [name, add] of Object.entries(WAYS)) {
    test(`RV${xlen} harts count with ${name}, and nothing is lost, with any quantum, interpreted and compiled`, async () => {
      const times = 150;
      for (
        const [harts, quantum, addresses, accelerators] of [
          [2, 1, "real", ["interpreter", "jit,threshold=1"]],
          [3, 50, "real", ["interpreter", "jit,threshold=30"]],
          [2, 77, "virtual", ["interpreter", "jit,threshold=1"]],
        ] as const
      ) {
        const p = begin(xlen).la("s1", "counter").la("s2", "lock").li("s3", times);
        if (addresses === "virtual") translate(p);
        p.label("loop");
        add(p);
        p.op("addi", { rd: "s3", rs1: "s3", imm: -1 }).to("bne", "loop", { rs1: "s3", rs2: 0 });
        finish(p, harts);
        p.label("counter").word(0).align(64).label("lock").word(0).align(64);
        pageTable(p);
        const states: unknown[] = [];
        for (const accel of accelerators) {
          await using machine = await create(p, { smp: harts, quantum, accel });
          const stop = await machine.run({ maxInstructions: 3_000_000 });
          assert.equal(stop.kind, "exit", `${harts} harts, quantum ${quantum}, ${accel}`);
          assert.equal(machine.memory.read32(p.address("counter")), harts * times);
          if (accel !== "interpreter" && addresses === "real") assert.ok(machine.compilerStatistics!.regions > 0);
          states.push(state(machine));
        }
        for (const other of states.slice(1)) assert.deepEqual(other, states[0], `${harts} harts, quantum ${quantum}`);
      }
    });
  }

  test(`an SC on RV${xlen} fails if another hart has written the word since the LR, even the same value, and not otherwise`, async () => {
    const stores: Record<string, { readonly write: (p: Program) => void; readonly fails: boolean }> = {
      "nothing": { write: (p) => p.op("addi"), fails: false },
      "another word of the line": { write: (p) => p.op("sw", { rs1: "s1", rs2: "t1", imm: 16 }), fails: false },
      "the word": { write: (p) => p.op("sw", { rs1: "s1", rs2: "t1" }), fails: true },
      "the same value": { write: (p) => p.op("sw", { rs1: "s1", rs2: 0 }), fails: true },
      "one byte": { write: (p) => p.op("sb", { rs1: "s1", rs2: "t1", imm: 3 }), fails: true },
      "across its beginning": { write: (p) => p.op("sw", { rs1: "s1", rs2: "t1", imm: -3 }), fails: true },
      "by an AMO": { write: (p) => p.op("amoor.w", { rs1: "s1", rs2: 0 }), fails: true },
      "by an AMOCAS": { write: (p) => p.op("amocas.w", { rs1: "s1", rs2: "t1" }), fails: true },
      "by an SC": {
        write: (p) => p.op("lr.w", { rd: "t2", rs1: "s1" }).op("sc.w", { rd: "t2", rs1: "s1", rs2: "t2" }),
        fails: true,
      },
      "by an LR": { write: (p) => p.op("lr.w", { rd: "t2", rs1: "s1" }), fails: false },
    };
    for (const [name, { write, fails }] of Object.entries(stores)) {
      // Hart 1 writes when hart 0 has reserved; 60 rounds, so that both are compiled.
      const p = begin(xlen).la("s1", "word").la("s2", "stage").la("s4", "failures").li("s3", 60).li("t1", 0x55);
      p.to("bne", "other", { rs1: "s0", rs2: 0 });
      p.label("round").op("sw", { rs1: "s1", rs2: 0 }).op("lr.w", { rd: "a0", rs1: "s1" });
      p.op("sw", { rs1: "s2", rs2: "s3" });
      p.label("answered").op("lw", { rd: "a1", rs1: "s2" }).to("bne", "answered", { rs1: "a1", rs2: 0 });
      p.op("sc.w", { rd: "a2", rs1: "s1", rs2: "s3" }).op("lw", { rd: "a3", rs1: "s4" });
      p.op("add", { rd: "a3", rs1: "a3", rs2: "a2" }).op("sw", { rs1: "s4", rs2: "a3" });
      p.op("addi", { rd: "s3", rs1: "s3", imm: -1 }).to("bne", "round", { rs1: "s3", rs2: 0 }).to("jal", "finish");
      p.label("other").op("lw", { rd: "a1", rs1: "s2" }).to("bne", "other", { rs1: "a1", rs2: "s3" });
      write(p);
      p.op("sw", { rs1: "s2", rs2: 0 }).op("addi", { rd: "s3", rs1: "s3", imm: -1 });
      p.to("bne", "other", { rs1: "s3", rs2: 0 }).label("finish");
      finish(p, 2);
      p.align(128).word(0).word(0).label("word").word(0).align(128).label("stage").word(0).align(64);
      p.label("failures").word(0);
      const states: unknown[] = [];
      for (const accel of ACCELERATORS) {
        await using machine = await create(p, { smp: 2, quantum: 50, accel });
        assert.equal((await machine.run({ maxInstructions: 1_000_000 })).kind, "exit", name);
        assert.equal(machine.memory.read32(p.address("failures")), fails ? 60 : 0, `${name}, ${accel}`);
        states.push(state(machine));
      }
      for (const other of states.slice(1)) assert.deepEqual(other, states[0], name);
    }
  });

  test(`code that another RV${xlen} hart overwrites is seen at the next instruction, compiled or not`, async () => {
    // Hart 1 writes "addi a0, a0, N" over the function that hart 0 calls, and tells N; hart 0 checks what was added.
    const p = begin(xlen).la("s1", "function").la("s2", "told").la("s4", "wrong").li("s3", 300);
    p.to("bne", "writer", { rs1: "s0", rs2: 0 });
    p.label("caller").op("lw", { rd: "s5", rs1: "s2" }).li("a0", 0).li("s6", 20);
    p.label("call").op("jalr", { rd: "ra", rs1: "s1" }).op("addi", { rd: "s6", rs1: "s6", imm: -1 });
    p.to("bne", "call", { rs1: "s6", rs2: 0 }).op("lw", { rd: "a1", rs1: "s2" });
    // What was told is the same before and after: then each call has added it.
    p.to("bne", "caller", { rs1: "a1", rs2: "s5" }).li("t0", 20).op("mul", { rd: "t0", rs1: "t0", rs2: "s5" });
    p.to("beq", "right", { rs1: "t0", rs2: "a0" }).op("lw", { rd: "t0", rs1: "s4" });
    p.op("addi", { rd: "t0", rs1: "t0", imm: 1 }).op("sw", { rs1: "s4", rs2: "t0" }).label("right");
    p.li("t0", 300).to("bne", "caller", { rs1: "s5", rs2: "t0" }).to("jal", "finish");
    p.label("writer").li("s5", 0).li("s7", 0x00050513).label("write");
    p.op("addi", { rd: "s5", rs1: "s5", imm: 1 }).op("slli", { rd: "t0", rs1: "s5", imm: 20 });
    p.op("or", { rd: "t0", rs1: "t0", rs2: "s7" });
    // Nobody may believe in what was told while the code changes.
    p.li("t1", -1).op("sw", { rs1: "s2", rs2: "t1" }).op("sw", { rs1: "s1", rs2: "t0" });
    p.op("sw", { rs1: "s2", rs2: "s5" }).li("t1", 150).label("idle").op("addi", { rd: "t1", rs1: "t1", imm: -1 });
    p.to("bne", "idle", { rs1: "t1", rs2: 0 }).to("bne", "write", { rs1: "s5", rs2: "s3" }).label("finish");
    finish(p, 2);
    p.align(64).label("function").op("addi", { rd: "a0", rs1: "a0", imm: 0 }).op("jalr", { rs1: "ra" });
    p.align(64).label("told").word(0).align(64).label("wrong").word(0);
    const states: unknown[] = [];
    for (const accel of ACCELERATORS) {
      await using machine = await create(p, { smp: 2, quantum: 97, accel });
      assert.equal((await machine.run({ maxInstructions: 1_000_000 })).kind, "exit");
      assert.equal(machine.memory.read32(p.address("wrong")), 0, accel);
      states.push(state(machine));
    }
    for (const other of states.slice(1)) assert.deepEqual(other, states[0]);
  });

  test(`RV${xlen} harts that interrupt one another in a ring take each interrupt once, and those that wait cost nothing`, async () => {
    const harts = 4, rounds = 50;
    const p = begin(xlen).la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("t0", MSIE).csr(
      "csrrw",
      "mie",
      0,
      "t0",
    );
    // s1: own msip, s2: that of the next one; s4: how often it was interrupted.
    p.li("s5", CLINT).op("slli", { rd: "s1", rs1: "s0", imm: 2 }).op("add", { rd: "s1", rs1: "s1", rs2: "s5" });
    p.op("addi", { rd: "t0", rs1: "s0", imm: 1 }).op("andi", { rd: "t0", rs1: "t0", imm: harts - 1 });
    p.op("slli", { rd: "t0", rs1: "t0", imm: 2 }).op("add", { rd: "s2", rs1: "t0", rs2: "s5" }).li("s4", 0);
    p.li("s6", 1).to("bne", "wait", { rs1: "s0", rs2: 0 }).op("sw", { rs1: "s2", rs2: "s6" });
    p.label("wait").csri("csrrsi", "mstatus", 0, 8).label("sleep").op("wfi").to("jal", "sleep");
    p.align(4).label("handler").op("sw", { rs1: "s1", rs2: 0 }).op("addi", { rd: "s4", rs1: "s4", imm: 1 });
    p.li("t0", rounds).op("sltu", { rd: "t1", rs1: "s4", rs2: "t0" });
    p.to("bne", "pass", { rs1: "t1", rs2: 0 }).to("beq", "off", { rs1: "s0", rs2: 0 });
    p.label("pass").op("sw", { rs1: "s2", rs2: "s6" }).op("mret");
    p.label("off").li("t0", FINISHER).li("t1", PASS).op("sw", { rs1: "t0", rs2: "t1" }).label("end").to("jal", "end");
    const states: unknown[] = [];
    for (const accel of ACCELERATORS) {
      for (const quantum of [5000, 3]) {
        await using machine = await create(p, { smp: harts, quantum, accel });
        const stop = await machine.run({ maxInstructions: 100_000 });
        assert.equal(stop.kind, "exit");
        assert.deepEqual(machine.harts.map(({ x }) => Number(x.s4)), [rounds, rounds, rounds, rounds]);
        assert.ok(stop.instructions < 5000, `${stop.instructions}`);
        if (quantum === 5000) states.push(state(machine));
      }
    }
    for (const other of states.slice(1)) assert.deepEqual(other, states[0]);
  });

  test(`minstret of an RV${xlen} hart counts its own instructions, mcycle the machine's time`, async () => {
    const p = begin(xlen).li("s1", 1000).op("mul", { rd: "s1", rs1: "s1", rs2: "s0" });
    p.op("addi", { rd: "s1", rs1: "s1", imm: 100 }).label("loop").op("addi", { rd: "s1", rs1: "s1", imm: -1 });
    p.to("bne", "loop", { rs1: "s1", rs2: 0 }).csr("csrrs", "minstret", "a0", 0).csr("csrrs", "mcycle", "a1", 0);
    finish(p, 4);
    await using machine = await create(p, { smp: 4, quantum: 100 });
    const stop = await machine.run();
    assert.equal(stop.kind, "exit");
    // The reset vector, four instructions before the loop, the loop.
    const before = (hart: number) => 6 + 4 + 2 * (1000 * hart + 100);
    assert.deepEqual(machine.harts.map(({ x }) => Number(x.a0)), [0, 1, 2, 3].map(before));
    const retired = machine.harts.reduce((sum, hart) => sum + Number(hart.readCsr("minstret")), 0);
    assert.equal(retired, stop.instructions);
    for (const hart of machine.harts) assert.equal(Number(hart.readCsr("mcycle")), stop.instructions);
    assert.ok(Number(machine.harts[0]!.x.a1) > 2 * Number(machine.harts[0]!.x.a0));
  });
}

test("a run cut into steps, or into odd pieces, is the same run", async () => {
  const p = begin(64).la("s1", "counter").la("s2", "lock").li("s3", 30).label("loop");
  WAYS["a spinlock that reads, pauses and reserves"]!(p);
  p.op("addi", { rd: "s3", rs1: "s3", imm: -1 }).to("bne", "loop", { rs1: "s3", rs2: 0 });
  finish(p, 3);
  p.label("counter").word(0).align(64).label("lock").word(0).align(64);
  const runs: Record<string, (machine: Machine) => Promise<void>> = {
    whole: async (machine) => assert.equal((await machine.run()).kind, "exit"),
    steps: async (machine) => {
      while (machine.step().kind === "budget");
      await Promise.resolve();
    },
    pieces: async (machine) => {
      for (let k = 1;; k = k % 97 + 5) if ((await machine.run({ maxInstructions: k })).kind === "exit") break;
    },
  };
  const states: unknown[] = [];
  for (const run of Object.values(runs)) {
    for (const accel of ["interpreter", "jit,threshold=1"]) {
      await using machine = await create(p, { smp: 3, quantum: 40, accel });
      await run(machine);
      states.push(state(machine));
    }
  }
  for (const other of states.slice(1)) assert.deepEqual(other, states[0]);
});

test("a step is one instruction of one hart, which the stop names", async () => {
  const p = begin(64).label("loop").to("jal", "loop");
  await using machine = await create(p, { smp: 3, quantum: 2 });
  const harts = Array.from({ length: 8 }, () => machine.step().hart);
  assert.deepEqual(harts, [0, 0, 1, 1, 2, 2, 0, 0]);
  assert.deepEqual(machine.harts.map((hart) => Number(hart.readCsr("minstret"))), [4, 2, 2]);
});

test("a run ends before any hart executes the instruction at `until`, and goes on with that hart", async () => {
  const p = begin(64).li("s1", 20).label("loop").op("addi", { rd: "s1", rs1: "s1", imm: -1 });
  p.to("bne", "loop", { rs1: "s1", rs2: 0 }).label("place").op("addi").label("end").to("jal", "end");
  for (const accel of ["interpreter", "jit,threshold=1"]) {
    await using machine = await create(p, { smp: 3, quantum: 10, accel });
    const until = p.address("place"), reached: number[] = [];
    for (let k = 0; k < 3; k++) {
      const stop = await machine.run({ until, maxInstructions: 1000 });
      assert.equal(stop.kind, "breakpoint");
      assert.equal(stop.pc, BigInt(until));
      assert.equal(machine.current.id, stop.hart);
      reached.push(stop.hart);
    }
    assert.deepEqual(reached, [0, 1, 2]);
    // All harts jump to themselves now.
    assert.equal((await machine.run({ until, maxInstructions: 1000 })).kind, "deadlock");
  }
});

test("when all harts wait, time goes to the next alarm; when none can wake, the machine is in a deadlock", async () => {
  // Hart 2 sets its timer to one second; then nobody has anything to wait for.
  const p = begin(64).li("t0", 2).to("bne", "wait", { rs1: "s0", rs2: "t0" });
  p.li("t0", CLINT + 0x4000 + 8 * 2).li("t1", 10_000_000).op("sd", { rs1: "t0", rs2: "t1" });
  p.li("t0", MTIE).csr("csrrw", "mie", 0, "t0").op("wfi").csr("csrrs", "time", "s1", 0).csr("csrrw", "mie", 0, 0);
  p.label("wait").op("wfi").to("jal", "wait");
  await using machine = await create(p, { smp: 4 });
  const stop = await machine.run();
  assert.equal(stop.kind, "deadlock");
  assert.ok(stop.instructions < 100);
  assert.equal(Number(machine.harts[2]!.x.s1), 10_000_000);
  assert.ok(machine.nanoseconds >= 1e9 && machine.nanoseconds < 1e9 + 1000);
});

test("PAUSE and WRS give the turn to the next hart, and cost a machine of one hart nothing", async () => {
  const instructions: Record<string, (p: Program) => void> = {
    pause: (p) => p.op("fence", { imm: 0x10 }),
    wrs: (p) => p.op("lr.w", { rd: "t0", rs1: "s1" }).op("wrs.nto"),
  };
  for (const [name, wait] of Object.entries(instructions)) {
    for (const accel of ["interpreter", "jit,threshold=1"]) {
      const p = begin(64).la("s1", "counters").op("slli", { rd: "s2", rs1: "s0", imm: 6 });
      p.op("add", { rd: "s1", rs1: "s1", rs2: "s2" }).label("loop").op("ld", { rd: "a0", rs1: "s1" });
      p.op("addi", { rd: "a0", rs1: "a0", imm: 1 }).op("sd", { rs1: "s1", rs2: "a0" });
      wait(p);
      p.to("jal", "loop").align(64).label("counters").data(0, 256);
      for (const smp of [1, 4]) {
        await using machine = await create(p, { smp, accel, quantum: 1_000_000 });
        await machine.run({ maxInstructions: 4000 });
        const turns = machine.harts.map((_, k) => machine.memory.read32(p.address("counters") + 64 * k));
        assert.ok(turns.every((count) => count >= Math.min(...turns) && count <= Math.min(...turns) + 1), name);
        assert.ok(turns[0]! >= 4000 / smp / 8, `${name} ${accel}: ${turns}`);
      }
    }
  }
});

test("WRS does not wait without a reservation", async () => {
  const p = begin(64).label("loop").op("wrs.sto").to("jal", "loop");
  await using machine = await create(p, { smp: 2, quantum: 10 });
  assert.deepEqual(Array.from({ length: 12 }, () => machine.step().hart), [...Array(10).fill(0), 1, 1]);
});

test("a loader can say where each hart starts, at every reset", async () => {
  const p = begin(64).label("a").op("wfi").to("jal", "a").align(256).label("b").op("addi").op("wfi").to("jal", "b");
  const elf = p.elf();
  await using machine = await create(p, { smp: 3, bios: elf, loaders: [{ address: p.address("b"), hart: 1 }] });
  for (let k = 0; k < 2; k++) {
    assert.deepEqual(machine.harts.map(({ pc }) => Number(pc)), [0x1000, p.address("b"), 0x1000]);
    assert.equal((await machine.run()).kind, "deadlock");
    assert.equal(Number(machine.harts[1]!.readCsr("minstret")), 2);
    assert.equal(Number(machine.harts[2]!.readCsr("minstret")), 8);
    machine.reset();
    assert.equal(machine.current.id, 0);
  }
});

test("a DMA write to the reserved word makes SC fail, on one hart, too", async () => {
  const p = begin(64).la("s1", "word").op("lr.w", { rd: "a0", rs1: "s1" }).op("addi");
  p.op("sc.w", { rd: "a0", rs1: "s1", rs2: 0 }).label("end").to("jal", "end").align(64).label("word").data(0, 64);
  for (const [offset, expected] of [[0, 1], [4, 1], [8, 0]] as const) {
    await using machine = await create(p, {});
    await machine.run({ maxInstructions: 6 + 4 });
    machine.memory.write32(p.address("word") + offset, 0);
    await machine.run({ maxInstructions: 3 });
    assert.equal(Number(machine.hart.x.a0), expected, `${offset}`);
  }
});

test("with -bios none and a kernel, all harts enter it in M-mode", async () => {
  const p = begin(64).label("end").op("wfi").to("jal", "end");
  await using machine = await Machine.create({ cpu: "rv64", memory: "8M", bios: "none", kernel: p.elf(), smp: 3 });
  assert.equal((await machine.run()).kind, "deadlock");
  assert.deepEqual(machine.harts.map(({ x, privilege }) => [Number(x.s0), privilege]), [[0, "M"], [1, "M"], [2, "M"]]);
});

test("logs say which hart", () => {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-smp-"));
  try {
    const p = begin(64).la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").op("ecall").align(4).label("handler");
    finish(p, 2);
    writeFileSync(join(folder, "guest.elf"), p.elf());
    const { stderr } = hartbeat([
      "-nographic",
      "-smp",
      "2,quantum=3",
      "-d",
      "int,exec",
      "-bios",
      join(folder, "guest.elf"),
    ]);
    const harts = [...stderr.matchAll(/^Trace (\d): \[0000000080000000\]/gm)].map(([, hart]) => hart);
    assert.deepEqual(harts, ["0", "1"]);
    const traps = [...stderr.matchAll(/do_interrupt: hart:(\d), .*desc=machine_ecall$/gm)].map(([, hart]) => hart);
    assert.deepEqual(traps, ["0", "1"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("spike has several harts, too", async () => {
  const p = begin(64).label("end").op("wfi").to("jal", "end");
  await using machine = await create(p, { machine: "spike", smp: 8 });
  assert.equal((await machine.run()).kind, "deadlock");
  assert.deepEqual(machine.harts.map(({ x }) => Number(x.s0)), [0, 1, 2, 3, 4, 5, 6, 7]);
});

test("a quantum must be a positive whole number, and there are at most 8 harts", async () => {
  for (const quantum of [0, -1, 1.5, NaN, 1e10]) {
    await assert.rejects(Machine.create({ smp: 2, quantum }), /-smp quantum=.*: a whole number from 1 to 1000000000/);
  }
  await assert.rejects(Machine.create({ smp: 9 }), /-smp 9: virt has 1 to 8 harts/);
});
