// Guests that get no further: each is recognised at once, and those that only seem so are left alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { OptionError } from "../machine/errors.ts";
import type { FailureOptions } from "../machine/failures.ts";
import { Machine } from "../machine/machine.ts";
import { Program } from "./support/assemble.ts";
import { consoleGuest } from "./support/console_guest.ts";
import { WIDTHS } from "./support/guest.ts";

const FINISHER = 0x10_0000, CLINT = 0x200_0000;

/** What a guest ends with, and after how many instructions of its own. */
async function end(p: Program, accel: string, failures?: FailureOptions | false, maxInstructions = 20_000_000) {
  await using m = await Machine.create({
    cpu: `rv${p.xlen}`,
    bios: p.elf(),
    memory: "4M",
    accel,
    ...(failures !== undefined && { failures }),
  });
  const stop = await m.run({ maxInstructions }), report = m.explain(stop);
  assert.equal(/^ {2}last instructions$/m.test(report), failures !== false, report);
  return { ...stop, report };
}

for (const xlen of WIDTHS) {
  for (const accel of ["interpreter", "jit,threshold=1"]) {
    const on = `rv${xlen}, ${accel}`;

    test(`a jump to itself with interrupts off is a deadlock after one instruction: ${on}`, async () => {
      const p = new Program(xlen).li("a0", 7).label("here").to("jal", "here");
      const stop = await end(p, accel);
      // Six of the boot ROM.
      assert.deepEqual([stop.kind, Number(stop.pc), stop.instructions], ["deadlock", p.address("here"), 8]);
      assert.match(stop.report, /deadlock after 8 instructions/);
      assert.equal((await end(p, accel, { deadlock: false }, 3_000_000)).kind, "budget");
      assert.equal((await end(p, accel, false, 3_000_000)).instructions, 3_000_000);
    });

    test(`WFI and a jump to itself with a timer armed are no deadlock: ${on}`, async () => {
      for (const wait of ["wfi", "self"]) {
        const p = new Program(xlen).la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("s0", CLINT).li("t0", 30_000);
        p.li("t1", 0x4000).op("add", { rd: "t1", rs1: "t1", rs2: "s0" }).op("sw", { rs2: 0, rs1: "t1", imm: 4 });
        p.op("sw", { rs2: "t0", rs1: "t1" }).li("t0", 1 << 7).csr("csrrs", "mie", 0, "t0").csri(
          "csrrsi",
          "mstatus",
          0,
          8,
        );
        p.label("idle");
        if (wait === "wfi") p.op("wfi").to("jal", "idle");
        else p.to("jal", "idle");
        p.align(4).label("handler").li("t0", 0x5555).li("t1", FINISHER).op("sw", { rs2: "t0", rs1: "t1" });
        const stop = await end(p, accel);
        assert.equal(stop.kind, "exit", wait);
        if (wait === "self") assert.ok(stop.instructions >= 3_000_000);
      }
    });

    test(`a trap handler that is not there is a jump to nowhere, or a trap loop: ${on}`, async () => {
      const nowhere = await end(new Program(xlen).op("ebreak"), accel);
      assert.deepEqual([nowhere.kind, Number(nowhere.pc)], ["invalid-jump", 0]);
      assert.ok(nowhere.instructions < 2000);
      assert.match(nowhere.report, /instruction access fault: mepc 0x0, mtval 0x0/);
      const p = new Program(xlen).la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").op("ebreak").align(4);
      p.label("handler").word(0);
      const loop = await end(p, accel);
      assert.deepEqual([loop.kind, Number(loop.pc)], ["trap-loop", p.address("handler")]);
      assert.ok(loop.instructions < 2000);
    });

    test(`a fault in the trap handler is a trap loop, also where its address changes: ${on}`, async () => {
      for (const step of [0, -16]) {
        const p = new Program(xlen).la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("sp", 0x1900_0000).op(
          "ebreak",
        );
        p.align(4).label("handler").op("addi", { rd: "sp", rs1: "sp", imm: step }).label("fault");
        p.op("sw", { rs2: "a0", rs1: "sp" }).op("mret");
        const stop = await end(p, accel);
        assert.equal(stop.kind, "trap-loop");
        assert.ok(stop.instructions < 3000, `${stop.instructions}`);
      }
    });

    test(`a handler that returns to what trapped without a change is a trap loop: ${on}`, async () => {
      const p = new Program(xlen).la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("s0", 0x1900_0000);
      p.label("load").op("lw", { rd: "a0", rs1: "s0" }).align(4).label("handler").op("addi", {
        rd: "s1",
        rs1: "s1",
        imm: 1,
      });
      p.op("mret");
      const stop = await end(p, accel);
      assert.equal(stop.kind, "trap-loop");
      assert.match(stop.report, /load access fault: mepc 0x8/);
      assert.ok(stop.instructions < 35_000);
      assert.ok((await end(p, accel, { trapLoop: 100 })).instructions < 350);
      assert.equal((await end(p, accel, { trapLoop: false }, 100_000)).kind, "budget");
      assert.equal((await end(p, accel, { trapLoop: 10 })).instructions < 50, true);
    });

    test(`traps that a handler emulates, and ecalls in a loop, are no trap loop: ${on}`, async () => {
      for (const name of ["ecall", "illegal"]) {
        const p = new Program(xlen).la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("s0", 5000).label("loop");
        if (name === "ecall") p.op("ecall");
        else p.csr("csrrs", 0x5c0, "a0", 0);
        p.op("addi", { rd: "s0", rs1: "s0", imm: -1 }).to("bne", "loop", { rs1: "s0", rs2: 0 });
        p.li("t0", 0x5555).li("t1", FINISHER).op("sw", { rs2: "t0", rs1: "t1" }).align(4).label("handler");
        p.csr("csrrs", "mepc", "t0", 0).op("addi", { rd: "t0", rs1: "t0", imm: 4 }).csr("csrrw", "mepc", 0, "t0").op(
          "mret",
        );
        assert.equal((await end(p, accel)).kind, "exit");
      }
    });

    test(`a loop that changes nothing is no progress; one that counts, or polls a device, is left alone: ${on}`, async () => {
      const still = new Program(xlen).la("s0", "flag").label("spin").op("lw", { rd: "t0", rs1: "s0" });
      still.to("beq", "spin", { rs1: "t0", rs2: 0 }).align(4).label("flag").word(0);
      const stop = await end(still, accel);
      assert.equal(stop.kind, "no-progress");
      assert.ok(stop.instructions < 6_000_000);
      assert.equal((await end(still, accel, { noProgress: false })).kind, "budget");
      const counts = new Program(xlen).label("spin").op("addi", { rd: "s0", rs1: "s0", imm: 1 }).to("jal", "spin");
      assert.equal((await end(counts, accel)).kind, "budget");
      const polls = new Program(xlen).li("s0", 0x1000_0000).label("spin").op("lbu", { rd: "t0", rs1: "s0", imm: 5 });
      polls.to("jal", "spin");
      assert.equal((await end(polls, accel)).kind, "budget");
    });
  }
}

test("a guest that resets itself again and again is a reset loop", async () => {
  const stop = await end(consoleGuest(64, [{ print: "up\n" }], "reset"), "jit");
  assert.equal(stop.kind, "reset-loop");
  assert.match(stop.report, /\| up\n {2}\| up/);
  assert.equal(
    (await end(consoleGuest(64, [{ print: "up\n" }], "reset"), "jit", { resetLoop: false }, 100_000)).kind,
    "budget",
  );
});

test("a panic is a call of a known function or a line, and ends the run after the message was printed", async () => {
  await using m = await Machine.create({ bios: "tests/programs/p0uart.elf", failures: { panic: { grace: 0 } } });
  const early = await m.run();
  assert.ok(early.kind === "panic");
  assert.match(early.what, /rust_begin_unwind|panic/);
  await using late = await Machine.create({
    cpu: "rv64",
    memory: "4M",
    bios: consoleGuest(64, [{ print: "ok\nthread panicked at x\nmore\n" }, { sleep: 1e7 }]).elf(),
    failures: { panic: true },
  });
  const stop = await late.run();
  assert.ok(stop.kind === "panic" && /thread panicked at x/.test(stop.what));
  assert.match(late.console.output, /more/);
  await using spins = await Machine.create({
    cpu: "rv64",
    memory: "4M",
    bios: consoleGuest(64, [{ print: "panic: out of memory\n" }], "loop").elf(),
    failures: { panic: true },
  });
  const last = await spins.run();
  assert.ok(last.kind === "panic" && last.instructions < 10_000);
});

test("a jump of the kernel to nowhere may end the run at once", async () => {
  const p = new Program(64).la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("t0", 0x100).label("jump").op(
    "jalr",
    {
      rd: "ra",
      rs1: "t0",
    },
  );
  p.align(4).label("handler").li("t0", 0x5555).li("t1", FINISHER).op("sw", { rs2: "t0", rs1: "t1" });
  assert.equal((await end(p, "jit")).kind, "exit");
  const stop = await end(p, "jit", { invalidJump: true });
  assert.equal(stop.kind, "invalid-jump");
  await assert.rejects(() => end(p, "jit", { trapLoop: 1 }), OptionError);
});
