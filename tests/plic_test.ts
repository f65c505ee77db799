// The platform-level interrupt controller (SiFive FU540-C000 manual, chapter "Platform-Level Interrupt Controller"): gateways,
// priorities, thresholds, claims and completions, and the way of the UART's interrupt into both privilege levels of a hart.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Plic } from "../devices/plic.ts";
import { Guest } from "./support/guest.ts";
import { RAM_BASE } from "./support/assemble.ts";

const ENABLE = 0x2000, CONTEXT = 0x20_0000;

function create() {
  const lines = [false, false];
  const plic = new Plic({
    name: "plic",
    size: 0x60_0000,
    sources: 95,
    maxPriority: 7,
    contexts: [0, 1].map((k) => ({ set: (level: boolean) => lines[k] = level })),
  });
  return {
    plic,
    lines,
    read: (offset: number) => plic.read(offset, 4),
    write: (offset: number, value: number) => plic.write(offset, 4, value),
    claim: (context: number) => plic.read(CONTEXT + 0x1000 * context + 4, 4),
    complete: (context: number, source: number) => plic.write(CONTEXT + 0x1000 * context + 4, 4, source),
  };
}

test("a source interrupts the contexts that enable it, with a priority above their threshold", () => {
  const { plic, lines, write, read } = create();
  plic.line(33).set(true);
  assert.deepEqual(lines, [false, false]);
  assert.equal(read(0x1004), 2, "pending");
  write(ENABLE + 0x80 + 4, 2);
  assert.deepEqual(lines, [false, false], "priority 0 never interrupts");
  write(4 * 33, 3);
  assert.deepEqual(lines, [false, true]);
  write(CONTEXT + 0x1000, 3);
  assert.deepEqual(lines, [false, false], "the threshold must be exceeded");
  write(CONTEXT + 0x1000, 2);
  assert.deepEqual(lines, [false, true]);
});

test("a claim gives the pending source of highest priority, the lowest among equals, and 0 when there is none", () => {
  const { plic, lines, write, claim } = create();
  write(ENABLE, 0xffff_ffff);
  for (const [source, priority] of [[1, 1], [5, 7], [3, 7], [9, 2]] as const) {
    write(4 * source, priority);
    plic.line(source).set(true);
  }
  assert.deepEqual([claim(0), claim(0), claim(0)], [3, 5, 9]);
  assert.equal(lines[0], true);
  assert.deepEqual([claim(0), claim(0)], [1, 0]);
  assert.equal(lines[0], false);
  assert.equal(claim(1), 0);
});

test("a source that was claimed is pending again only after its completion, if its wire is still high", () => {
  const { plic, lines, read, write, claim, complete } = create();
  write(ENABLE, 1 << 10);
  write(40, 1);
  const wire = plic.line(10);
  wire.set(true);
  assert.equal(claim(0), 10);
  wire.set(false);
  wire.set(true);
  assert.equal(read(0x1000), 0);
  complete(1, 10);
  assert.equal(read(0x1000), 0, "a context that does not enable it cannot complete it");
  complete(0, 10);
  assert.deepEqual([read(0x1000), lines[0]], [1 << 10, true]);
  assert.equal(claim(0), 10);
  wire.set(false);
  complete(0, 10);
  assert.deepEqual([read(0x1000), lines[0]], [0, false]);
});

test("registers hold what they can, and those that do not exist read as zero", () => {
  const { read, write } = create();
  for (const offset of [0, 4 * 96, 0x1000, ENABLE + 0x0c, CONTEXT + 0x2000, CONTEXT + 8]) {
    write(offset, 0xffff_ffff);
    assert.equal(read(offset), 0, offset.toString(16));
  }
  for (const [offset, value] of [[4, 7], [4 * 95, 7], [ENABLE, 0xffff_fffe], [ENABLE + 8, 0xffff_ffff], [CONTEXT, 7]]) {
    write(offset!, 0xffff_ffff);
    assert.equal(read(offset!) >>> 0, value, offset!.toString(16));
  }
});

test("a snapshot holds all state", () => {
  const one = create(), two = create();
  one.write(ENABLE, 1 << 10);
  one.write(40, 1);
  one.plic.line(10).set(true);
  two.plic.restore(one.plic.snapshot());
  assert.equal(two.lines[0], true);
  assert.equal(two.claim(0), 10);
});

test("the UART's interrupt reaches a hart as machine and as supervisor external interrupt", async () => {
  const guest = await Guest.create(64), PLIC = 0xc00_0000, UART = 0x1000_0000;
  const store = (name: string, address: number, value: number) => {
    guest.setX(6, address);
    guest.setX(7, value);
    guest.execute(name, { rs1: 6, rs2: 7 }, RAM_BASE + 0xff00);
  };
  store("sb", UART + 1, 2); // transmitter empty
  store("sw", PLIC + 40, 1);
  const pending = () => guest.csr("mip") & 0xa00n;
  assert.equal(pending(), 0n);
  store("sw", PLIC + ENABLE, 1 << 10);
  assert.equal(pending(), 0x800n);
  store("sw", PLIC + ENABLE + 0x80, 1 << 10);
  assert.equal(pending(), 0xa00n);
  guest.setX(6, PLIC + CONTEXT + 0x1004);
  guest.execute("lw", { rd: 5, rs1: 6 });
  assert.equal(guest.x(5), 10n);
  assert.equal(pending(), 0n);
});
