// Watchpoints: they see what they should in every form of generated code, and change nothing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Machine } from "../machine/machine.ts";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { WIDTHS } from "./support/guest.ts";

const READ = 1, WRITE = 2;

/** A loop that counts in memory, beside a busy word in the same line, then adds by AMO and LR/SC and ends. */
function counting(xlen: 32 | 64, times: number): Program {
  const p = new Program(xlen), size = xlen / 8, load = xlen === 64 ? "ld" : "lw", store = xlen === 64 ? "sd" : "sw";
  p.la("s0", "count").li("s1", times).li("s2", 0);
  p.label("loop").op(load, { rd: "t0", rs1: "s0" }).op("addi", { rd: "t0", rs1: "t0", imm: 3 });
  p.label("stores").op(store, { rs2: "t0", rs1: "s0" }).op("sb", { rs2: "s1", rs1: "s0", imm: size });
  p.op("addi", { rd: "s1", rs1: "s1", imm: -1 }).to("bne", "loop", { rs1: "s1", rs2: 0 });
  p.li("t1", 100).label("amo").op("amoadd.w", { rd: "t2", rs1: "s0", rs2: "t1" });
  p.label("reserve").op("lr.w", { rd: "t3", rs1: "s0" }).label("conditional").op("sc.w", {
    rd: "t4",
    rs1: "s0",
    rs2: 0,
  });
  // The second half of a misaligned word is the first half of the counter.
  p.label("misaligned").op("lw", { rd: "t5", rs1: "s0", imm: -2 });
  p.li("t0", 0x5555).li("t1", 0x10_0000).op("sw", { rs2: "t0", rs1: "t1" });
  return p.align(64).org(p.here + 32).label("count").data(0, 16);
}

for (const xlen of WIDTHS) {
  for (const accel of ["interpreter", "jit,threshold=1", "jit"]) {
    test(`a watch sees loads and stores of its address only: rv${xlen}, ${accel}`, async () => {
      const times = 3000, p = counting(xlen, times), bios = p.elf(), at = BigInt(p.address("count"));
      await using plain = await Machine.create({ cpu: `rv${xlen}`, bios, accel, memory: "4M" });
      const expected = await plain.run();
      await using m = await Machine.create({ cpu: `rv${xlen}`, bios, accel, memory: "4M" });
      const stores: { pc: number; old: number; value: number; t0: number }[] = [], loads = new Map<string, number>();
      const last = at + 3n;
      m.watchpoints.add({
        first: at,
        last,
        space: "virtual",
        kinds: WRITE,
        hit: ({ oldValue, value }) => {
          stores.push({
            pc: Number(m.hart.pc),
            old: Number(oldValue),
            value: Number(value),
            t0: Number(m.hart.x.t0),
          });
        },
      });
      m.watchpoints.add({
        first: at,
        last,
        space: "physical",
        kinds: READ,
        hit: () => {
          const pc = m.hart.pc.toString();
          loads.set(pc, (loads.get(pc) ?? 0) + 1);
        },
      });
      const stop = await m.run();
      assert.deepEqual(stop, expected);
      assert.equal(stores.length, times + 2);
      stores.slice(0, times).forEach(({ pc, old, value, t0 }, k) => {
        assert.deepEqual([pc, old, value, t0], [p.address("stores"), 3 * k, 3 * k + 3, 3 * k + 3]);
      });
      assert.deepEqual(stores.slice(times).map(({ pc, old, value }) => [pc, old, value]), [
        [p.address("amo"), 3 * times, 3 * times + 100],
        [p.address("conditional"), 3 * times + 100, 0],
      ]);
      assert.deepEqual(
        [...loads].map(([pc, count]) => [Number(pc), count]),
        [[p.address("loop"), times], [p.address("amo"), 1], [p.address("reserve"), 1], [p.address("misaligned"), 1]],
      );
      assert.deepEqual(m.memory.read(RAM_BASE, 0x40_0000), plain.memory.read(RAM_BASE, 0x40_0000));
    });

    test(`a watch may change what is loaded and stored, come and go: rv${xlen}, ${accel}`, async () => {
      const p = counting(xlen, 3000), at = BigInt(p.address("count"));
      await using m = await Machine.create({ cpu: `rv${xlen}`, bios: p.elf(), accel, memory: "4M" });
      let seen = 0;
      const watch = {
        first: at,
        last: at + 3n,
        space: "virtual",
        kinds: WRITE,
        hit: (access: { value: bigint }) => {
          access.value = -1n;
          if (++seen === 10) m.watchpoints.remove(watch);
        },
      } as const;
      await m.run({ until: p.address("loop") });
      await m.run({ maxInstructions: 600 });
      m.watchpoints.add(watch);
      await m.run({ until: p.address("amo") });
      assert.equal(seen, 10);
      // 100 turns before; ten stored -1; the rest went on from that.
      assert.equal(m.memory.read32(Number(at)), 3 * (3000 - 100 - 10) - 1);
    });
  }
}
