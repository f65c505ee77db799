// Code that changes while compiled regions hold it: seen at the next instruction wherever the regions are, without waste where
// only data on the same line changes, and left to the interpreter where it never ends.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Xlen } from "../isa/instruction.ts";
import { assemble, Program, RAM_BASE } from "./support/assemble.ts";
import { Guest, RAM_SIZE, WIDTHS } from "./support/guest.ts";
import { compareRuns, Subject } from "./support/lockstep_guest.ts";

/** `addi a0, a0, imm`, which the guests write. */
const add = (xlen: Xlen, imm: number) => assemble(xlen, "addi", { rd: "a0", rs1: "a0", imm });

/** Runs a program interpreted and compiled; gives the compiler's figures. */
async function compare(p: Program, accel = "jit,threshold=2", instructions = 20_000) {
  const subjects: Subject[] = [];
  for (const each of ["interpreter", accel]) {
    subjects.push(await Subject.create({ cpu: `rv${p.xlen}`, memory: RAM_SIZE, accel: each }));
  }
  const third = Math.floor(instructions / 3), stops = [101, 1, 37, 900, third, 2, third, third];
  const run = { stops, address: RAM_BASE, length: 0x4000 };
  assert.equal(await compareRuns(subjects, (subject) => subject.load(p), run), undefined);
  const statistics = subjects[1]!.machine.compilerStatistics!;
  assert.ok(statistics.regions > 0, "something was compiled");
  return statistics;
}

/** Stores that change `target` (its address in s1), each a little differently. What they write is in a1. */
const STORES: Readonly<Record<string, (p: Program, xlen: Xlen) => Program>> = {
  "a word": (p) => p.op("sw", { rs1: "s1", rs2: "a1" }),
  "its upper half": (p) => p.op("srli", { rd: "a2", rs1: "a1", imm: 16 }).op("sh", { rs1: "s1", rs2: "a2", imm: 2 }),
  "its last byte": (p) => p.op("srli", { rd: "a2", rs1: "a1", imm: 24 }).op("sb", { rs1: "s1", rs2: "a2", imm: 3 }),
  "a word by an AMO": (p) =>
    p.op("amoswap.w", { rd: "a3", rs1: "s1", rs2: "a1" }).op("add", { rd: "a4", rs1: "a4", rs2: "a3" }),
  "a word by SC": (p) => p.op("lr.w", { rd: "a3", rs1: "s1" }).op("sc.w", { rd: "a3", rs1: "s1", rs2: "a1" }),
  "a misaligned word": (p) =>
    p.op("slli", { rd: "a2", rs1: "a1", imm: 8 }).op("lbu", { rd: "a3", rs1: "s1", imm: -1 })
      .op("or", { rd: "a2", rs1: "a2", rs2: "a3" }).op("srli", { rd: "a3", rs1: "a1", imm: 24 })
      .op("sw", { rs1: "s1", rs2: "a2", imm: -1 }).op("sb", { rs1: "s1", rs2: "a3", imm: 3 }),
  "with FENCE.I": (p) => p.op("sw", { rs1: "s1", rs2: "a1" }).op("fence.i"),
  "by a compressed store": (p) => p.op("addi", { rd: "s0", rs1: "s1" }).op("c.sw", { rs1: "s0", rs2: "a1" }),
};

/** Every eighth time round, writes a new immediate into `target`. s2 counts. */
function rewrite(p: Program, store: (p: Program, xlen: Xlen) => Program): void {
  const over = `over${p.here}`;
  p.op("andi", { rd: "a1", rs1: "s2", imm: 7 }).to("bne", over, { rs1: "a1", rs2: 0 });
  p.op("andi", { rd: "a1", rs1: "s2", imm: 0x3ff }).op("slli", { rd: "a1", rs1: "a1", imm: 20 }).li(
    "a2",
    add(p.xlen, 0),
  );
  store(p.op("or", { rd: "a1", rs1: "a1", rs2: "a2" }), p.xlen);
  p.label(over);
}

for (const xlen of WIDTHS) {
  for (const [how, store] of Object.entries(STORES)) {
    test(`RV${xlen}: a compiled loop that writes ${how} over its own next instructions executes what it wrote`, async () => {
      for (const place of [0, 2, 0x3a, 0xfd0]) {
        const p = new Program(xlen);
        p.la("s1", "target").to("jal", "loop").org(RAM_BASE + 0x400 + place).label("loop");
        p.op("addi", { rd: "s2", rs1: "s2", imm: 1 });
        rewrite(p, store);
        if (p.here % 4 !== 0) p.half(0x0001); // c.nop: AMOs need alignment
        p.label("target").word(add(xlen, 0)).op("xori", { rd: "a5", rs1: "a0", imm: 5 }).to("jal", "loop");
        const { dropped } = await compare(p);
        assert.ok(dropped > 0, "compiled code was overwritten");
      }
    });

    test(`RV${xlen}: a compiled function that writes ${how} over a caller's or its caller's code returns to what it wrote`, async () => {
      for (const caller of ["inner", "outer"]) {
        const p = new Program(xlen);
        p.la("s1", "target").label("loop").op("addi", { rd: "s2", rs1: "s2", imm: 1 }).to("jal", "outer", { rd: "ra" });
        p.to("jal", "loop");
        const calls = (name: string, callee: string, link: string, back: string) => {
          p.org(p.here + 64).label(name).to("jal", callee, { rd: link });
          if (p.here % 4 !== 0) p.half(0x0001); // c.nop
          if (name === caller) p.label("target");
          p.word(add(xlen, 0)).op("jalr", { rs1: back });
        };
        calls("outer", "inner", "t0", "ra");
        calls("inner", "writer", "t1", "t0");
        p.org(p.here + 64).label("writer");
        rewrite(p, store);
        p.op("jalr", { rs1: "t1" });
        const { dropped } = await compare(p);
        assert.ok(dropped > 0, "compiled code was overwritten");
      }
    });
  }

  test(`RV${xlen}: a store that ends in the first byte of a compiled function changes it`, async () => {
    const p = new Program(xlen);
    p.la("s1", "target").label("loop").op("addi", { rd: "s2", rs1: "s2", imm: 1 }).to("jal", "target", { rd: "ra" });
    // Once every 64 times: the register it writes is in that byte (its lowest bit), or the next instruction's.
    p.op("andi", { rd: "a1", rs1: "s2", imm: 63 }).to("bne", "loop", { rs1: "a1", rs2: 0 });
    p.op("lbu", { rd: "a1", rs1: "s1" }).op("xori", { rd: "a1", rs1: "a1", imm: 0x80 }).op("slli", {
      rd: "a1",
      rs1: "a1",
      imm: 8,
    });
    p.op("sh", { rs1: "s1", rs2: "a1", imm: -1 }).to("jal", "loop");
    p.org(p.here + 64).align(4).label("target").word(add(xlen, 1)).op("jalr", { rs1: "ra" });
    const { dropped } = await compare(p);
    assert.ok(dropped > 0, "compiled code was overwritten");
  });

  test(`RV${xlen}: data between compiled instructions, on their line, costs no region`, async () => {
    const p = new Program(xlen);
    p.la("s1", "data").label("loop").op("lw", { rd: "a1", rs1: "s1" }).op("addi", { rd: "a1", rs1: "a1", imm: 3 });
    p.op("sw", { rs1: "s1", rs2: "a1" }).to("jal", "loop").label("data").word(0).label("never").to("jal", "loop");
    const { dropped, regions, exits } = await compare(p);
    assert.equal(dropped, 0);
    assert.ok(regions < 5);
    assert.equal(exits.attention, 0);
  });

  test(`RV${xlen}: a script's write to compiled code takes effect where the guest goes on`, async () => {
    const p = new Program(xlen);
    p.label("loop").label("target").word(add(xlen, 1)).op("addi", { rd: "a1", rs1: "a1", imm: 1 }).to("jal", "loop");
    const guest = await Guest.with(p, "", { accel: "jit,threshold=2" });
    let expected = 0n;
    for (let imm = 1; imm < 40; imm++) {
      guest.machine.memory.write32(p.address("target"), add(xlen, imm));
      await guest.machine.run({ maxInstructions: 300 });
      expected += 100n * BigInt(imm);
      assert.equal(guest.x("a0"), expected);
    }
    assert.ok(guest.machine.compilerStatistics!.dropped > 1);
  });

  test(`RV${xlen}: a guest that rewrites code all the time is soon interpreted, and compiled again long after`, async () => {
    const p = new Program(xlen);
    p.la("s1", "target").li("s3", 200_000).label("loop").op("addi", { rd: "s2", rs1: "s2", imm: 1 });
    p.op("andi", { rd: "a1", rs1: "s2", imm: 0x3ff }).op("slli", { rd: "a1", rs1: "a1", imm: 20 }).li(
      "a2",
      add(xlen, 0),
    );
    p.op("or", { rd: "a1", rs1: "a1", rs2: "a2" }).op("sw", { rs1: "s1", rs2: "a1" }).to("jal", "target", { rd: "ra" });
    p.to("jal", "target", { rd: "ra" }).to("bne", "loop", { rs1: "s2", rs2: "s3" });
    p.label("quiet").li("s4", 40_000_000).label("count").op("addi", { rd: "s4", rs1: "s4", imm: -1 });
    p.to("bne", "count", { rs1: "s4", rs2: 0 }).label("again").li("s4", 1000).label("call");
    p.op("addi", { rd: "s4", rs1: "s4", imm: -1 }).to("jal", "target", { rd: "ra" }).to("bne", "call", { rs1: "s4" });
    p.label("end").to("jal", "end").org(RAM_BASE + 0x1000).label("target").word(add(xlen, 0)).op("jalr", { rs1: "ra" });

    // WebAssembly leaves each such store to the interpreter, which never finds the target hot.
    const guest = await Guest.with(p, "", { accel: "jit,threshold=2,target=javascript" });
    // Not up to a breakpoint: those make the cache forget everything.
    do await guest.machine.run({ maxInstructions: 10_000 }); while (guest.x("s2") !== guest.x("s3"));
    // 200,000 times rewritten; each time its cache was full of it, were that not noticed.
    const { regions, dropped } = guest.machine.compilerStatistics!;
    assert.ok(dropped > 1 && regions < 100, `${regions} regions, ${dropped} dropped`);
    const compiled: bigint[] = [];
    guest.machine.onCompile = ({ entry }) => void compiled.push(entry);
    await guest.machine.run({ maxInstructions: 81_000_000 });
    assert.equal(guest.pc, BigInt(p.address("end")));
    // By itself, or in place of the call.
    assert.ok(["target", "call"].some((label) => compiled.includes(BigInt(p.address(label)))), "forgiven");
    assert.ok(compiled.length < 20, `${compiled.length} regions`);
  });

  test(`RV${xlen}: a guest that writes functions to ever the same few places, and calls each a few times, ends up interpreted`, async () => {
    const p = new Program(xlen), places = 32;
    p.la("s1", "space").label("loop").op("addi", { rd: "s2", rs1: "s2", imm: 1 });
    p.op("andi", { rd: "a1", rs1: "s2", imm: places - 1 }).op("slli", { rd: "a1", rs1: "a1", imm: 6 });
    p.op("add", { rd: "s5", rs1: "s1", rs2: "a1" });
    p.op("andi", { rd: "a1", rs1: "s2", imm: 0x3ff }).op("slli", { rd: "a1", rs1: "a1", imm: 20 }).li(
      "a2",
      add(xlen, 0),
    );
    p.op("or", { rd: "a1", rs1: "a1", rs2: "a2" }).op("sw", { rs1: "s5", rs2: "a1" });
    p.li("a2", assemble(xlen, "jalr", { rs1: "ra" })).op("sw", { rs1: "s5", rs2: "a2", imm: 4 }).li("s4", 6).label(
      "call",
    );
    p.op("jalr", { rd: "ra", rs1: "s5" }).op("addi", { rd: "s4", rs1: "s4", imm: -1 }).to("bne", "call", { rs1: "s4" });
    p.to("jal", "loop").align(64).label("space");
    const { regions, dropped } = await compare(p, "jit,threshold=2", 900_000);
    assert.ok(dropped > places, `${dropped} dropped`);
    assert.ok(regions < 17 * places + 20, `${regions} regions`);
  });
}
