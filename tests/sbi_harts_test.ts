// The built-in SBI on several harts: starting, stopping and suspending them, interrupts and fences between them, sleep.

import assert from "node:assert/strict";
import { test } from "node:test";
import { RAM_BASE } from "./support/assemble.ts";
import { WAYS } from "./support/counting.ts";
import { WIDTHS } from "./support/guest.ts";
import { EID, ERROR, SupervisorProgram } from "./support/supervisor.ts";

const ALL = -1, STARTED = 0n, STOPPED = 1n, SUSPENDED = 4n;
const RETENTIVE = 0, NON_RETENTIVE = 0x8000_0000;
const SSIE = 2, SSIP = 2n;
const error = (name: keyof typeof ERROR) => BigInt(ERROR[name]);

/** Waits until the word at a label is not 0; clears it. */
function awaitWord(p: SupervisorProgram, label: string): void {
  const loop = `await ${label} ${p.here}`;
  p.la("t0", label).label(loop).op("fence", { imm: 0x10 }).op("lw", { rd: "t1", rs1: "t0" });
  p.to("beq", loop, { rs1: "t1", rs2: 0 }).op("sw", { rs1: "t0", rs2: 0 });
}
/** Sets the word at a label to 1. */
function setWord(p: SupervisorProgram, label: string): void {
  p.la("t0", label).li("t1", 1).op("sw", { rs1: "t0", rs2: "t1" });
}
/** Asks for the status of hart 1 until it is `status`. */
function awaitStatus(p: SupervisorProgram, status: bigint): void {
  const loop = `status ${p.here}`;
  p.label(loop).op("fence", { imm: 0x10 }).call(EID.HSM, 2, 1).li("t0", status).to("bne", loop, {
    rs1: "a1",
    rs2: "t0",
  });
}

const ACCELERATORS = ["interpreter", "jit,threshold=1"];

for (const xlen of WIDTHS) {
  test(`an RV${xlen} hart is started where it is told, in the same state each time, stops, and is started again`, async () => {
    const runs: unknown[] = [];
    for (const accel of ACCELERATORS) {
      const p = new SupervisorProgram(xlen);
      p.noted(EID.HSM, 2, 1).noted(EID.HSM, 0, 1, 0x1000_0000, 0).noted(EID.HSM, 0, 1, RAM_BASE + 1, 0).noted(
        EID.HSM,
        0,
        5,
        RAM_BASE,
        0,
      );
      p.noted(EID.HSM, 0, 1, "second", 0x1234);
      awaitWord(p, "ready");
      p.noted(EID.HSM, 2, 1).noted(EID.HSM, 0, 1, "second", 0);
      setWord(p, "go");
      awaitStatus(p, STOPPED);
      // An interrupt to a stopped hart is lost.
      p.noted(EID.IPI, 0, 2, 0).noted(EID.HSM, 0, 1, "second", 0x5678);
      awaitWord(p, "ready");
      setWord(p, "go");
      awaitStatus(p, STOPPED);
      p.end();
      // Hart 1 keeps what it finds in its registers behind the first hart's notes.
      p.align(4).label("second").la("s2", "found").la("t0", "times").op("lw", { rd: "t1", rs1: "t0" });
      p.op("addi", { rd: "t2", rs1: "t1", imm: 64 }).op("sw", { rs1: "t0", rs2: "t2" }).op("add", {
        rd: "s2",
        rs1: "s2",
        rs2: "t1",
      });
      const keep = (register: string, k: number) => p.op("sw", { rs1: "s2", rs2: register, imm: 4 * k });
      ["a0", "a1"].forEach(keep);
      ["sstatus", "sie", "sip", "satp", "sscratch"].forEach((name, k) => {
        p.csr("csrrs", name, "t0", 0);
        keep("t0", k + 2);
      });
      keep("gp", 7);
      // None of that is there the next time.
      p.csri("csrrsi", "sstatus", 0, 2).csri("csrrsi", "sie", 0, 0).csr("csrrw", "sscratch", 0, "s2").li("gp", 5);
      setWord(p, "ready");
      awaitWord(p, "go");
      p.call(EID.HSM, 1).label("not reached").to("jal", "not reached");
      for (const label of ["ready", "go", "times"]) p.align(64).label(label).word(0);
      p.align(64).label("found").org(p.here + 128);
      const { notes, stop, machine } = await p.run({ smp: 3, accel });
      assert.equal(stop.kind, "exit");
      assert.deepEqual(notes, [
        ...[0n, STOPPED],
        ...[error("INVALID_ADDRESS"), 0n, error("INVALID_ADDRESS"), 0n, error("INVALID_PARAM"), 0n],
        ...[0n, 0n, 0n, STARTED, error("ALREADY_AVAILABLE"), 0n, 0n, 0n, 0n, 0n],
      ]);
      for (const [k, opaque] of [[0, 0x1234], [1, 0x5678]] as const) {
        const found = Array.from({ length: 8 }, (_, n) => machine.memory.read32(p.address("found") + 64 * k + 4 * n));
        // FS is Dirty; SIE, SPIE and SPP are 0.
        assert.equal(found[2]! & 0x6122, 0x6000);
        assert.deepEqual(found.toSpliced(2, 1), [1, opaque, 0, 0, 0, 0, 0]);
      }
      assert.deepEqual(machine.harts.map(({ stopped }) => stopped), [false, true, true]);
      runs.push([stop.instructions, machine.harts.map((hart) => hart.readCsr("minstret"))]);
    }
    assert.deepEqual(runs[1], runs[0]);
  });

  test(`an interrupt from another RV${xlen} hart ends a suspension, with the hart's state or without`, async () => {
    for (const accel of ACCELERATORS) {
      const p = new SupervisorProgram(xlen).call(EID.HSM, 0, 1, "second", 0);
      for (let k = 0; k < 2; k++) {
        awaitStatus(p, SUSPENDED);
        p.noted(EID.IPI, 0, 1, 1);
        awaitWord(p, "ready");
      }
      // It waits now, but by WFI.
      p.noted(EID.HSM, 2, 1).end();
      p.align(4).label("second").li("s3", 77).csri("csrrwi", "sie", 0, SSIE).call(EID.HSM, 3, RETENTIVE, 0, 0);
      p.la("s2", "found").op("sw", { rs1: "s2", rs2: "a0" }).op("sw", { rs1: "s2", rs2: "s3", imm: 4 });
      p.csr("csrrc", "sip", "t2", 0).op("sw", { rs1: "s2", rs2: "t2", imm: 8 }).csri("csrrci", "sip", 0, SSIE);
      setWord(p, "ready");
      p.csri("csrrsi", "sstatus", 0, 2).call(EID.HSM, 3, NON_RETENTIVE, "resumed", 0x99);
      p.label("not reached").to("jal", "not reached");
      p.align(4).label("resumed").la("s2", "found").op("sw", { rs1: "s2", rs2: "a0", imm: 12 });
      p.op("sw", { rs1: "s2", rs2: "a1", imm: 16 }).csr("csrrs", "sstatus", "t2", 0);
      p.op("andi", { rd: "t2", rs1: "t2", imm: 2 }).op("sw", { rs1: "s2", rs2: "t2", imm: 20 });
      setWord(p, "ready");
      p.csri("csrrci", "sip", 0, SSIE).label("wait").op("wfi").to("jal", "wait");
      p.align(64).label("ready").word(0).align(64).label("found").org(p.here + 64);
      const { notes, stop, machine } = await p.run({ smp: 2, accel });
      assert.equal(stop.kind, "exit");
      assert.deepEqual(notes, [0n, 0n, 0n, 0n, 0n, STARTED]);
      const found = Array.from({ length: 6 }, (_, n) => machine.memory.read32(p.address("found") + 4 * n));
      assert.deepEqual(found, [0, 77, Number(SSIP), 1, 0x99, 0]);
    }
  });

  test(`the whole RV${xlen} machine sleeps only when the other harts are stopped, until an interrupt`, async () => {
    const p = new SupervisorProgram(xlen).call(EID.HSM, 0, 1, "second", 0).noted(EID.SUSP, 0, 0, "awake", 0);
    setWord(p, "go");
    awaitStatus(p, STOPPED);
    p.li("t0", 1 << 5).csr("csrrw", "sie", 0, "t0").call(EID.TIME, 0, 5000, 0).call(EID.SUSP, 0, 0, "awake", 0x77);
    p.label("not reached").to("jal", "not reached");
    p.align(4).label("awake").op("addi", { rd: "s2", rs1: "a0" }).op("addi", { rd: "s3", rs1: "a1" }).la("s1", "log")
      .note("s2").note("s3");
    p.noteCsr("time").end();
    p.align(4).label("second");
    awaitWord(p, "go");
    p.call(EID.HSM, 1).align(64).label("go").word(0);
    const { notes, stop } = await p.run({ smp: 2 });
    assert.equal(stop.kind, "exit");
    // The denied call's notes were overwritten.
    assert.deepEqual(notes.slice(0, 3), [0n, 0x77n, 5000n]);
  });

  test(`system_suspend on RV${xlen} is denied while another hart runs`, async () => {
    const p = new SupervisorProgram(xlen).call(EID.HSM, 0, 1, "second", 0).noted(EID.SUSP, 0, 0, "second", 0).end();
    p.align(4).label("second").op("wfi").to("jal", "second");
    assert.deepEqual((await p.run({ smp: 2 })).notes, [error("DENIED"), 0n]);
  });

  test(`RV${xlen} harts are chosen by mask and base, or all at once`, async () => {
    // Each hart but the first waits for a software interrupt and counts it.
    const harts = 4, runs: unknown[] = [];
    for (const accel of ACCELERATORS) {
      const p = new SupervisorProgram(xlen);
      for (let k = 1; k < harts; k++) p.call(EID.HSM, 0, k, "second", 0);
      const sent: [number, number][] = [[0b0010, 0], [0b11, 2], [0, ALL], [0b1110, 0], [0b1, 3], [0, 0]];
      const expected = [0, 0, 0, 0];
      let answered = 0;
      for (const [mask, base] of sent) {
        p.noted(EID.IPI, 0, mask, base).csri("csrrci", "sip", 0, SSIE);
        for (let k = 1; k < harts; k++) {
          if (base === ALL || (mask << base & 1 << k) !== 0) expected[k]!++, answered++;
        }
        const loop = `answers ${p.here}`;
        p.la("t0", "answers").li("t2", answered).label(loop).op("fence", { imm: 0x10 }).op("lw", {
          rd: "t1",
          rs1: "t0",
        });
        p.to("bne", loop, { rs1: "t1", rs2: "t2" });
      }
      // As many as have no bit in the mask are refused, and then nobody gets one.
      p.noted(EID.IPI, 0, 0b1_0010, 0).noted(EID.RFENCE, 0, 0b1111, 0).noted(EID.RFENCE, 1, 0b11, 2, 0, -1).noted(
        EID.RFENCE,
        2,
        0,
        ALL,
        0,
        0,
        1,
      );
      // Firmware events of a hart: received by the second.
      p.end();
      p.align(4).label("second").op("addi", { rd: "s0", rs1: "a0" }).la("s2", "counts").op("slli", {
        rd: "t0",
        rs1: "s0",
        imm: 2,
      });
      p.op("add", { rd: "s2", rs1: "s2", rs2: "t0" }).csri("csrrwi", "sie", 0, SSIE).la("s3", "answers").li("s4", 1);
      p.label("wait").op("wfi").csr("csrrs", "sip", "t0", 0).op("andi", { rd: "t0", rs1: "t0", imm: SSIE });
      p.to("beq", "wait", { rs1: "t0", rs2: 0 }).csri("csrrci", "sip", 0, SSIE).op("lw", { rd: "t0", rs1: "s2" });
      p.op("addi", { rd: "t0", rs1: "t0", imm: 1 }).op("sw", { rs1: "s2", rs2: "t0" }).op("amoadd.w", {
        rs1: "s3",
        rs2: "s4",
      }).to("jal", "wait");
      p.align(64).label("answers").word(0).align(64).label("counts").org(p.here + 64);
      const { notes, stop, machine } = await p.run({ smp: harts, accel });
      assert.equal(stop.kind, "exit");
      assert.deepEqual(notes, [...Array(12).fill(0n), error("INVALID_PARAM"), 0n, ...Array(6).fill(0n)]);
      const counts = expected.map((_, k) => machine.memory.read32(p.address("counts") + 4 * k));
      assert.deepEqual(counts, expected);
      runs.push([stop.instructions, machine.harts.map((hart) => hart.readCsr("minstret"))]);
    }
    assert.deepEqual(runs[1], runs[0]);
  });

  test(`a remote fence makes an RV${xlen} hart see a page table that has changed`, async () => {
    // Hart 1 reads a page whose entry hart 0 turns from one page to the other, and fences.
    const wide = xlen === 64;
    for (const accel of ACCELERATORS) {
      for (const [number, more] of [[1, []], [2, [0]]] as const) {
        const p = new SupervisorProgram(xlen).call(EID.HSM, 0, 1, "second", 0);
        const turn = (label: string) => {
          p.la("t0", label).op("srli", { rd: "t0", rs1: "t0", imm: 12 }).op("slli", { rd: "t0", rs1: "t0", imm: 10 });
          p.op("ori", { rd: "t0", rs1: "t0", imm: 0xcf }).la("t1", "entry").op(wide ? "sd" : "sw", {
            rs1: "t1",
            rs2: "t0",
          });
        };
        for (const [k, label] of ["one", "two", "one"].entries()) {
          turn(label);
          p.call(EID.RFENCE, number, 2, 0, k === 2 ? 0 : wide ? 0x1000 : 0x1000, k === 2 ? 0 : 0x1000, ...more);
          setWord(p, "go");
          awaitWord(p, "ready");
          p.la("t0", "seen").op("lw", { rd: "t1", rs1: "t0" }).note("t1");
        }
        p.end();
        // The first page of the address space is a table; the gigabyte (4 MiB on RV32) of RAM stays where it is.
        p.align(4).label("second").la("t0", "table").op("srli", { rd: "t0", rs1: "t0", imm: 12 });
        p.li("t1", wide ? 8n << 60n : 1n << 31n).op("or", { rd: "t0", rs1: "t0", rs2: "t1" }).csr(
          "csrrw",
          "satp",
          0,
          "t0",
        ).op("sfence.vma");
        p.li("s2", 0x1000).label("next");
        awaitWord(p, "go");
        p.op("lw", { rd: "t2", rs1: "s2" }).la("t0", "seen").op("sw", { rs1: "t0", rs2: "t2" });
        setWord(p, "ready");
        p.to("jal", "next");
        for (const label of ["go", "ready", "seen"]) p.align(64).label(label).word(0);
        p.align(4096).label("one").word(111).align(4096).label("two").word(222).align(4096);
        const pointer = (address: number) => Math.floor(address / 4096) * 1024 + 1,
          leaf = (address: number) => pointer(address) + 0xce;
        p.label("table");
        const table = p.here;
        if (wide) {
          for (let k = 0; k < 512; k++) p.data(k === 0 ? pointer(table + 4096) : k === 2 ? leaf(RAM_BASE) : 0, 8);
          for (let k = 0; k < 512; k++) p.data(k === 0 ? pointer(table + 8192) : 0, 8);
          p.data(0, 8).label("entry").org(table + 3 * 4096);
        } else {
          for (let k = 0; k < 1024; k++) {
            p.word(k === 0 ? pointer(table + 4096) : k === 513 ? leaf(RAM_BASE + 0x40_0000) : 0);
          }
          p.word(0).label("entry").org(table + 2 * 4096);
        }
        const { notes, stop } = await p.run({ smp: 2, accel });
        assert.equal(stop.kind, "exit");
        assert.deepEqual(notes, [111n, 222n, 111n]);
      }
    }
  });
}

/** Turns translation on: RAM stays where it is. */
function translate(p: SupervisorProgram): void {
  p.la("t0", "table").op("srli", { rd: "t0", rs1: "t0", imm: 12 }).li("t1", p.xlen === 64 ? 8n << 60n : 1n << 31n);
  p.op("or", { rd: "t0", rs1: "t0", rs2: "t1" }).csr("csrrw", "satp", 0, "t0").op("sfence.vma");
}
function pageTable(p: SupervisorProgram): void {
  p.align(4096).label("table");
  const leaf = (address: number) => Math.floor(address / 4096) * 1024 + 0xcf;
  if (p.xlen === 64) { for (let k = 0; k < 512; k++) p.data(k === 2 ? leaf(RAM_BASE) : 0, 8); }
  else for (let k = 0; k < 1024; k++) p.word(k === 513 ? leaf(RAM_BASE + 0x40_0000) : 0);
}

for (const xlen of WIDTHS) {
  test(`RV${xlen} harts that count under translation lose nothing, interpreted and compiled`, async () => {
    for (const [name, add] of Object.entries(WAYS)) {
      const runs: unknown[] = [], times = 200;
      for (const accel of ["interpreter", "jit,threshold=5"]) {
        const p = new SupervisorProgram(xlen).call(EID.HSM, 0, 1, "count", 0).label("count");
        translate(p);
        p.la("s1", "counter").la("s2", "lock").li("s3", times).label("loop");
        add(p);
        p.op("addi", { rd: "s3", rs1: "s3", imm: -1 }).to("bne", "loop", { rs1: "s3", rs2: 0 });
        p.la("t0", "done").li("t1", 1).op("amoadd.w", { rd: "t1", rs1: "t0", rs2: "t1" });
        p.to("bne", "last", { rs1: "t1", rs2: 0 }).label("wait").op("wfi").to("jal", "wait").label("last").end();
        for (const label of ["counter", "lock", "done"]) p.align(64).label(label).word(0);
        pageTable(p);
        const { stop, machine } = await p.run({ smp: 2, accel, quantum: 61 });
        assert.equal(stop.kind, "exit", name);
        assert.equal(machine.memory.read32(p.address("counter")), 2 * times, `${name}, ${accel}`);
        if (accel !== "interpreter") assert.ok(machine.compilerStatistics!.regions > 0, name);
        runs.push([stop.instructions, machine.harts.map((hart) => [hart.pc, hart.x.t0, hart.readCsr("minstret")])]);
      }
      assert.deepEqual(runs[1], runs[0], name);
    }
  });

  test(`code that another RV${xlen} hart overwrites is seen under translation, too`, async () => {
    // The second hart counts by a function that the first turns into one that adds more, a hundred times.
    const runs: unknown[] = [];
    for (const accel of ["interpreter", "jit,threshold=5"]) {
      const p = new SupervisorProgram(xlen).call(EID.HSM, 0, 1, "second", 0);
      translate(p);
      p.la("s2", "function").la("s3", "sum").li("s4", 0).li("s5", 0x0005_0513).li("s6", 100).label("change");
      p.op("addi", { rd: "s4", rs1: "s4", imm: 1 }).op("slli", { rd: "t0", rs1: "s4", imm: 20 });
      p.op("or", { rd: "t0", rs1: "t0", rs2: "s5" }).op("sw", { rs1: "s2", rs2: "t0" });
      // Until then, the other has called the old function; now it calls the new one at once, 50 times.
      setWord(p, "go");
      awaitWord(p, "ready");
      p.to("bne", "change", { rs1: "s4", rs2: "s6" }).op("lw", { rd: "t0", rs1: "s3" }).note("t0").end();
      p.align(4).label("second");
      translate(p);
      p.la("s2", "function").la("s3", "sum").li("a0", 0).label("next");
      awaitWord(p, "go");
      p.li("s4", 50).label("call").op("jalr", { rd: "ra", rs1: "s2" }).op("addi", { rd: "s4", rs1: "s4", imm: -1 });
      p.to("bne", "call", { rs1: "s4", rs2: 0 }).op("sw", { rs1: "s3", rs2: "a0" });
      setWord(p, "ready");
      p.to("jal", "next").align(64).label("function").op("addi", { rd: "a0", rs1: "a0" }).op("jalr", { rs1: "ra" });
      for (const label of ["go", "ready", "sum"]) p.align(64).label(label).word(0);
      pageTable(p);
      const { notes, stop } = await p.run({ smp: 2, accel });
      assert.equal(stop.kind, "exit");
      assert.deepEqual(notes, [50n * 5050n]);
      runs.push(stop.instructions);
    }
    assert.equal(runs[1], runs[0]);
  });
}

test("a machine whose harts are all stopped is in a deadlock", async () => {
  const p = new SupervisorProgram(64).call(EID.TIME, 0, 5000).call(EID.HSM, 1).notes();
  const { stop, machine } = await p.run({ smp: 2 });
  assert.equal(stop.kind, "deadlock");
  assert.deepEqual(machine.harts.map(({ stopped }) => stopped), [true, true]);
});

test("with -device loader,cpu-num= a hart is started from the beginning", async () => {
  const p = new SupervisorProgram(64);
  awaitWord(p, "ready");
  p.noted(EID.HSM, 2, 1).noted(EID.HSM, 2, 2).end();
  p.align(4).label("second");
  setWord(p, "ready");
  p.label("wait").op("wfi").to("jal", "wait").align(64).label("ready").word(0);
  p.build();
  const { notes } = await p.run({ smp: 3, loaders: [{ address: p.address("second"), hart: 1 }] });
  assert.deepEqual(notes, [0n, STARTED, 0n, STOPPED]);
});
