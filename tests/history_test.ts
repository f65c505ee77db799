// The instructions that were executed last: noted while the guest runs in any way, they are those that single steps show.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Machine } from "../machine/machine.ts";
import type { MachineOptions } from "../machine/options.ts";
import { Program } from "./support/assemble.ts";
import { WIDTHS } from "./support/guest.ts";
import { configurationOf, guestOf, Subject } from "./support/lockstep_guest.ts";
import { SCHEMES } from "./support/page_tables.ts";
import { seeded } from "./support/random_program.ts";
import { privilegedGuest } from "./support/privileged_guest.ts";

const WAYS = [
  "interpreter",
  "jit",
  "jit,threshold=1",
  "jit,threshold=1,target=javascript",
  "jit,threshold=30,inline=0",
];

/** The addresses of all instructions of a run of one hart, in order; interrupts come between them. */
async function stepped(m: Machine, count: number): Promise<bigint[]> {
  const pcs: bigint[] = [];
  const before = m.instructions;
  for (let steps = 0; pcs.length < count && steps < 2 * count; steps++) {
    let pc = BigInt(m.hart.pc);
    // A step that takes an interrupt executes the first instruction of the handler.
    m.onTrap = (trap) => {
      if (trap.interrupt) pc = BigInt(m.hart.pc);
    };
    await m.step();
    if (m.instructions - before > pcs.length) pcs.push(pc);
  }
  m.onTrap = null;
  return pcs;
}

for (const seed of [3, 36, 101]) {
  test(`the last instructions of random guest ${seed} are known wherever it stops, interpreted and compiled`, async () => {
    const configuration = configurationOf(seed);
    const guest = guestOf(seed, false), stops = [1, 19, 20, 500, 777, 2500, 1, 3];
    const oracle = await Subject.create({ ...configuration, accel: "interpreter" });
    oracle.load(guest.program);
    const expected: bigint[] = await stepped(oracle.machine, stops.reduce((a, b) => a + b, 0));
    for (const accel of WAYS) {
      const subject = await Subject.create({ ...configuration, accel: `${accel},history=on` }), { machine } = subject;
      subject.load(guest.program);
      let count = 0;
      for (const maxInstructions of stops) {
        const { kind } = await machine.run({ maxInstructions });
        if (kind !== "budget") break;
        count += maxInstructions;
        const last = machine.history().map(({ pc }) => BigInt(pc)),
          wanted = expected.slice(Math.max(0, count - 20), count);
        // Before the guest, the machine executed something else.
        assert.deepEqual(last.slice(-wanted.length), wanted, `${accel}, after ${count}`);
      }
      assert.ok(count > 1000);
    }
  });
}

/** Runs the random guest of a seed in one way and compares what is known after each of many stops with what single steps show. */
async function compareStops(
  seed: number,
  ways: readonly string[],
  prepare: (m: Machine) => void = () => {},
): Promise<void> {
  const configuration = configurationOf(seed), guest = guestOf(seed, false), random = seeded(seed);
  const stops = Array.from({ length: 40 }, () => 1 + random() % (random() % 4 === 0 ? 400 : 40));
  const oracle = await Subject.create({ ...configuration, accel: "interpreter" });
  oracle.load(guest.program);
  const expected = await stepped(oracle.machine, stops.reduce((a, b) => a + b, 0));
  for (const accel of ways) {
    const subject = await Subject.create({ ...configuration, accel: `${accel},history=on` }), { machine } = subject;
    subject.load(guest.program);
    prepare(machine);
    let count = 0;
    for (const maxInstructions of stops) {
      if ((await machine.run({ maxInstructions })).kind !== "budget") break;
      count += maxInstructions;
      const last = machine.history().map(({ pc }) => BigInt(pc)),
        wanted = expected.slice(Math.max(0, count - 20), count);
      assert.deepEqual(last.slice(-wanted.length), wanted, `seed ${seed}, ${accel}, after ${count}`);
    }
    assert.ok(count > 20);
  }
}

// 206 waits for ever before long.
for (const seed of [200, 201, 202, 203, 204, 205, 207, 208, 209, 210, 211, 212]) {
  test(`the last instructions of random guest ${seed} are known at forty places`, () => compareStops(seed, WAYS));
}

test("the last instructions are known with hooks, in compiled code and interpreted", async () => {
  for (const seed of [215, 216, 217]) {
    await compareStops(seed, WAYS, (m) => {
      m.hook.instruction({ match: ["add", "lw", "csrrs"] }, () => {});
      // Whoever touches a register leaves the instruction to the interpreter.
      m.hook.instruction({ match: ["addi", "mul"] }, (c) => {
        const { s11 } = c.x;
        c.x.s11 = s11;
      });
      m.count.instruction({ match: "sw" });
    });
  }
});

for (const { name, xlen, mode } of SCHEMES.filter(({ levels }) => levels < 4)) {
  test(`the last instructions of RV${xlen} programs with ${name} are known, whatever their privilege level`, async () => {
    const { elf } = privilegedGuest(xlen, mode, 5, 8);
    const options: MachineOptions = { bios: elf, cpu: `rv${xlen},sstc=off`, memory: "16M", failures: false };
    await using oracle = await Machine.create({ ...options, accel: "interpreter" });
    const expected = await stepped(oracle, 5000);
    assert.equal(expected.length, 5000);
    for (const accel of WAYS) {
      await using m = await Machine.create({ ...options, accel: `${accel},history=on` });
      let count = 0;
      for (const maxInstructions of [2000, 1111, 13, 1000]) {
        await m.run({ maxInstructions });
        count += maxInstructions;
        const last = m.history(), wanted = expected.slice(count - 20, count);
        const known = last.map(({ pc }) => BigInt(pc));
        assert.deepEqual(known, wanted, `${accel}, after ${count}`);
      }
    }
  });
}

for (const xlen of WIDTHS) {
  test(`a report shows the last instructions unless told otherwise, and says how then: rv${xlen}`, async () => {
    const p = new Program(xlen).li("s1", 500).label("loop").op("addi", { rd: "s1", rs1: "s1", imm: -1 });
    p.to("bne", "loop", { rs1: "s1", rs2: 0 }).op("xor", { rd: "a0", rs1: "a1", rs2: "a2" }).label("here").to(
      "jal",
      "here",
    );
    for (const accel of ["interpreter", "jit,threshold=1"]) {
      for (const history of [",history=on", ",history=off", ""]) {
        await using m = await Machine.create({
          cpu: `rv${xlen}`,
          bios: p.elf(),
          memory: "4M",
          accel: `${accel}${history}`,
        });
        const stop = await m.run({ maxInstructions: 100_000 }), report = m.explain(stop);
        assert.equal(stop.kind, "deadlock");
        if (history === ",history=off") {
          assert.deepEqual(m.history(), []);
          assert.match(report, /the same run with accel "jit,history=on" shows the last 20 instructions/);
          continue;
        }
        const lines = report.split("\n"), first = lines.indexOf("  last instructions") + 1;
        const texts = lines.slice(first, first + 20).map((line) => line.replace(/^.*> {2}(\S+).*$/, "$1"));
        assert.deepEqual(texts, [...Array.from({ length: 9 }, () => ["add", "bnez"]).flat(), "xor", "j"]);
        assert.match(lines[first + 19]!, new RegExp(`^ {4}0x${p.address("here").toString(16)} <.*> {2}j `));
      }
    }
  });
}

test("each hart has its own last instructions", async () => {
  const p = new Program(64).csr("csrrs", "mhartid", "s0", 0).to("bne", "other", { rs1: "s0", rs2: 0 });
  p.label("one").op("addi", { rd: "a0", rs1: "a0", imm: 1 }).to("jal", "one");
  p.label("other").op("xori", { rd: "a1", rs1: "a1", imm: 1 }).op("addi", { rd: "a1", rs1: "a1", imm: 2 }).to(
    "jal",
    "other",
  );
  for (const accel of WAYS) {
    await using m = await Machine.create({
      cpu: "rv64",
      bios: p.elf(),
      memory: "4M",
      smp: 2,
      quantum: 7,
      accel: `${accel},history=on`,
    });
    await m.run({ maxInstructions: 5000 });
    const names = m.harts.map((hart) => new Set(m.history(hart).map(({ text }) => text.split("\t")[0])));
    assert.deepEqual(names.map((set) => [...set].sort()), [["add", "j"], ["add", "j", "xor"]], accel);
    for (const hart of m.harts) {
      const history = m.history(hart), length = hart.id === 0 ? 2 : 3;
      assert.equal(history.length, 20);
      history.forEach(({ pc }, k) => k >= length && assert.equal(pc, history[k - length]!.pc));
    }
  }
});
