// Atomic instructions (unprivileged manual, chapters "A" and "Zacas"): reservations, compare-and-swap, alignment and where
// they are possible at all. What the AMOs compute is in instructions_test.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Xlen } from "../isa/instruction.ts";
import { INSTRUCTIONS } from "../isa/table.ts";
import { RAM_BASE } from "./support/assemble.ts";
import { Guest, RAM_END, unsigned, WIDTHS } from "./support/guest.ts";

const HANDLER = RAM_BASE + 0x100, DATA = RAM_BASE + 0x8000;
const LOAD_MISALIGNED = 4n, LOAD_FAULT = 5n, STORE_MISALIGNED = 6n, STORE_FAULT = 7n, ILLEGAL = 2n;
const ROM = 0x1000, CLINT = 0x200_0000, NOWHERE = 0x1800_0000;

async function create(xlen: Xlen): Promise<Guest> {
  const guest = await Guest.create(xlen);
  guest.setCsr("mtvec", HANDLER);
  return guest;
}

/** Names of the atomic instructions of a width, with their sizes in bytes. */
function atomics(xlen: Xlen): { readonly name: string; readonly size: number }[] {
  const sizes: Record<string, number> = { b: 1, h: 2, w: 4, d: 8, q: 16 };
  return INSTRUCTIONS.filter((entry) =>
    (entry.format === "amo" || entry.format === "lr") && (entry.xlen === undefined || entry.xlen === xlen)
  ).map(({ name }) => ({ name, size: sizes[name.at(-1)!]! }));
}

function execute(guest: Guest, name: string, address: number, more: { rd?: number; rs2?: number } = {}): void {
  guest.setX(6, address);
  guest.execute(name, name.startsWith("lr") ? { rd: more.rd ?? 8, rs1: 6 } : { rd: 8, rs1: 6, rs2: 10, ...more });
}

for (const xlen of WIDTHS) {
  const sized = xlen === 64 ? ["w", "d"] : ["w"];

  test(`misaligned atomics trap on RV${xlen}: LR as a load, the others as a store`, async () => {
    const guest = await create(xlen);
    assert.ok(atomics(xlen).length > 12);
    for (const { name, size } of atomics(xlen)) {
      for (let offset = 1; offset < size; offset++) {
        guest.setX(8, 0x1234);
        execute(guest, name, DATA + offset);
        const cause = name.startsWith("lr") ? LOAD_MISALIGNED : STORE_MISALIGNED;
        assert.deepEqual(
          guest.trap,
          { cause, pc: BigInt(RAM_BASE), value: BigInt(DATA + offset) },
          `${name} ${offset}`,
        );
        assert.equal(guest.x(8), 0x1234n);
      }
    }
  });

  test(`atomics are possible only in RAM on RV${xlen}`, async () => {
    const guest = await create(xlen);
    for (const { name } of atomics(xlen)) {
      for (const address of [0, ROM, CLINT, NOWHERE, RAM_END]) {
        guest.setX(8, 0x1234);
        execute(guest, name, address);
        const cause = name.startsWith("lr") ? LOAD_FAULT : STORE_FAULT;
        assert.deepEqual(guest.trap, { cause, pc: BigInt(RAM_BASE), value: BigInt(address) }, `${name} at ${address}`);
        assert.equal(guest.x(8), 0x1234n);
      }
    }
  });

  test(`RV${xlen} SC stores and gives 0 after an LR of its address, once`, async () => {
    const guest = await create(xlen), { memory } = guest.machine;
    for (const suffix of sized) {
      memory.write64(DATA, 0xffff_eeee_8765_4321n);
      memory.write64(DATA + 8, 0x5555n);
      execute(guest, `lr.${suffix}`, DATA);
      assert.equal(guest.x(8), suffix === "w" ? unsigned(0x8765_4321 | 0, xlen) : 0xffff_eeee_8765_4321n);
      guest.setX(10, 0x1122_3344_5566_7788n);
      execute(guest, `sc.${suffix}`, DATA);
      assert.equal(guest.x(8), 0n);
      assert.equal(memory.read64(DATA), suffix === "w" ? 0xffff_eeee_5566_7788n : 0x1122_3344_5566_7788n);
      guest.setX(10, 1);
      execute(guest, `sc.${suffix}`, DATA);
      assert.equal(guest.x(8), 1n, "the reservation is gone");
      assert.equal(memory.read64(DATA), suffix === "w" ? 0xffff_eeee_5566_7788n : 0x1122_3344_5566_7788n);
    }
  });

  test(`RV${xlen} SC fails without an LR, at another address, after another LR, and after any other SC`, async () => {
    const guest = await create(xlen), { memory } = guest.machine;
    for (const suffix of sized) {
      const fails = (why: string) => {
        memory.write64(DATA, 0x77n);
        guest.setX(10, 1);
        execute(guest, `sc.${suffix}`, DATA);
        assert.equal(guest.x(8), 1n, why);
        assert.equal(memory.read64(DATA), 0x77n, why);
      };
      fails("no LR");
      execute(guest, `lr.${suffix}`, DATA + 8);
      fails("LR elsewhere");
      execute(guest, `lr.${suffix}`, DATA);
      execute(guest, `lr.${suffix}`, DATA + 64);
      fails("the last LR counts");
      execute(guest, `lr.${suffix}`, DATA);
      execute(guest, `sc.${suffix}`, DATA + 64);
      fails("an SC elsewhere, which failed, ends the reservation too");
      execute(guest, `lr.${suffix}`, DATA);
      guest.machine.reset();
      fails("reset");
    }
  });

  test(`RV${xlen} SC may have any register as its destination, its sources and x0 among them`, async () => {
    const guest = await create(xlen), { memory } = guest.machine;
    execute(guest, "lr.w", DATA);
    guest.setX(6, DATA);
    guest.execute("sc.w", { rd: 6, rs1: 6, rs2: 6 });
    assert.deepEqual([guest.x(6), memory.read32(DATA)], [0n, DATA]);
    execute(guest, "lr.w", DATA, { rd: 0 });
    guest.execute("sc.w", { rd: 0, rs1: 6, rs2: 0 });
    assert.deepEqual([guest.x(0), memory.read32(DATA)], [0n, 0]);
    execute(guest, "lr.w", DATA, { rd: 6 });
    assert.equal(guest.x(6), 0n, "LR into its base");
  });

  test(`RV${xlen} AMOCAS compares rd with memory, stores rs2 where they are equal, and gives what was there`, async () => {
    const guest = await create(xlen), { memory } = guest.machine;
    const sizes = [["b", 1], ["h", 2], ["w", 4], ...(xlen === 64 ? [["d", 8]] as const : [])] as const;
    for (const [suffix, size] of sizes) {
      const old = unsigned(0x1234_5678_9abc_def0n, 8 * size);
      const inRegister = unsigned(BigInt.asIntN(8 * size, old), xlen);
      for (const equal of [true, false]) {
        memory.write64(DATA, 0x1234_5678_9abc_def0n);
        // What is above the width does not count.
        const upper = size === 8 ? 0n : 0x7777_7777_7777_7777n << BigInt(8 * size);
        guest.setX(8, (equal ? old : old ^ 0x80n) | upper);
        guest.setX(10, 0x0fed_cba9_8765_4321n);
        execute(guest, `amocas.${suffix}`, DATA);
        assert.equal(guest.x(8), inRegister, `amocas.${suffix}, ${equal}`);
        const whole = 0x1234_5678_9abc_def0n;
        const stored = whole - old + unsigned(0x0fed_cba9_8765_4321n, 8 * size);
        assert.equal(memory.read64(DATA), equal ? stored : whole);
      }
      memory.write64(DATA, 0n);
      guest.setX(10, 5);
      execute(guest, `amocas.${suffix}`, DATA, { rd: 0 });
      assert.deepEqual([guest.x(0), memory.read64(DATA)], [0n, 5n], "x0 compares as 0");
      execute(guest, `amocas.${suffix}`, DATA, { rd: 0 });
      assert.deepEqual([guest.x(0), memory.read64(DATA)], [0n, 5n]);
      guest.setX(8, 5);
      execute(guest, `amocas.${suffix}`, DATA, { rs2: 8 });
      assert.deepEqual([guest.x(8), memory.read64(DATA)], [5n, 5n], "rd = rs2");
    }
  });

  test(`RV${xlen} AMOCAS of twice the register's width works on even pairs`, async () => {
    const guest = await create(xlen), { memory } = guest.machine;
    const name = xlen === 32 ? "amocas.d" : "amocas.q", half = xlen / 8;
    const pair = (low: bigint, high: bigint) => {
      const bytes = new Uint8Array(2 * half), view = new DataView(bytes.buffer);
      for (const [k, value] of [low, high].entries()) {
        if (xlen === 32) view.setUint32(4 * k, Number(value), true);
        else view.setBigUint64(8 * k, value, true);
      }
      return bytes;
    };
    const wide = (value: bigint) => unsigned(value * 0x1_0000_0001n, xlen);
    const [a, b, c, d] = [0x8000_0001n, 0x7000_0002n, 0x9000_0003n, 0x6000_0004n].map(wide) as [
      bigint,
      bigint,
      bigint,
      bigint,
    ];
    const set = (first: number, low: bigint, high: bigint) => {
      guest.setX(first, low);
      guest.setX(first + 1, high);
    };
    for (const different of ["neither", "low", "high"]) {
      memory.write(DATA, pair(a, b));
      set(8, different === "low" ? a + 1n : a, different === "high" ? b + 1n : b);
      set(10, c, d);
      execute(guest, name, DATA);
      assert.deepEqual([guest.x(8), guest.x(9)], [a, b], different);
      assert.deepEqual(memory.read(DATA, 2 * half), different === "neither" ? pair(c, d) : pair(a, b), different);
    }
    // A pair that begins with x0 is zero as a whole; x1 is not part of it.
    memory.write(DATA, pair(0n, 0n));
    guest.setX(1, 77);
    execute(guest, name, DATA, { rd: 0 });
    assert.deepEqual(memory.read(DATA, 2 * half), pair(c, d));
    assert.deepEqual([guest.x(0), guest.x(1)], [0n, 77n]);
    set(8, c, d);
    execute(guest, name, DATA, { rs2: 0 });
    assert.deepEqual(memory.read(DATA, 2 * half), pair(0n, 0n));
    // Odd registers are reserved. The encoding is made from that of even ones.
    for (const [field, bit] of [["rd", 7], ["rs2", 20]] as const) {
      guest.put(RAM_BASE, name, { rd: 8, rs1: 6, rs2: 10 });
      memory.write32(RAM_BASE, memory.read32(RAM_BASE) | 1 << bit);
      guest.pc = RAM_BASE;
      guest.step();
      assert.equal(guest.trap.cause, ILLEGAL, `odd ${field}`);
    }
  });
}
