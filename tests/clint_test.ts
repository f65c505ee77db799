// The CLINT: msip, mtimecmp and mtime, their interrupt lines, and the exact moments of timer interrupts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Clint } from "../devices/clint.ts";
import { debugAccess } from "../machine/debug_access.ts";
import { Machine } from "../mod.ts";
import { FakeClock, FakeLine } from "./device_fakes.ts";

const MSIP = 0;
const MTIMECMP = 0x4000;
const MTIME = 0xbff8;

function clint(harts = 1): { device: Clint; clock: FakeClock; software: FakeLine[]; timer: FakeLine[] } {
  const clock = new FakeClock();
  const software = Array.from({ length: harts }, () => new FakeLine());
  const timer = Array.from({ length: harts }, () => new FakeLine());
  const device = new Clint({
    name: "clint@2000000",
    clock,
    harts: software.map((line, hart) => ({ software: line, timer: timer[hart] })),
  });
  return { device, clock, software, timer };
}

/** A doubleword access as the bus makes it: two words, the low one first. */
function write64(device: Clint, offset: number, value: bigint): void {
  device.write(offset, 4, Number(value & 0xffffffffn));
  device.write(offset + 4, 4, Number((value >> 32n) & 0xffffffffn));
}

function read64(device: Clint, offset: number): bigint {
  const low = BigInt(device.read(offset, 4) >>> 0);
  return (BigInt(device.read(offset + 4, 4) >>> 0) << 32n) | low;
}

test("the register block is 64 KiB and answers words and doublewords, as in QEMU", () => {
  const { device } = clint();
  assert.equal(device.size, 0x10000);
  assert.deepEqual(device.access, { min: 4, max: 8 });
});

test("after reset mtime and mtimecmp are zero, so the timer interrupt is pending, as in QEMU", () => {
  const { device, timer, software } = clint(2);
  assert.equal(read64(device, MTIME), 0n);
  assert.equal(read64(device, MTIMECMP + 8), 0n);
  assert.deepEqual(timer.map((line) => line.level), [true, true]);
  assert.deepEqual(software.map((line) => line.level), [false, false]);
});

test("msip keeps bit 0 only and drives its hart's software interrupt", () => {
  const { device, software } = clint(3);
  device.write(MSIP + 4, 4, 0xffffffff);
  assert.equal(device.read(MSIP + 4, 4), 1);
  assert.deepEqual(software.map((line) => line.level), [false, true, false]);
  device.write(MSIP + 4, 4, 0xfffffffe);
  assert.equal(device.read(MSIP + 4, 4), 0);
  assert.equal(software[1].level, false);
});

test("registers of harts that are not there and reserved offsets read zero and ignore writes", () => {
  const { device, timer } = clint(1);
  for (const offset of [MSIP + 4, 0x3ffc, MTIMECMP + 8, MTIMECMP + 12, 0x8000, 0xbff0, 0xbff4, 0xc000, 0xfffc]) {
    device.write(offset, 4, 0xffffffff);
    assert.equal(device.read(offset, 4), 0, offset.toString(16));
  }
  assert.equal(timer[0].level, true);
});

test("mtime counts at 10 MHz and rounds down", () => {
  const { device, clock } = clint();
  clock.advanceTo(99);
  assert.equal(read64(device, MTIME), 0n);
  clock.advanceTo(100);
  assert.equal(read64(device, MTIME), 1n);
  clock.advanceTo(2 ** 32 * 100 + 750);
  assert.equal(read64(device, MTIME), 0x1_0000_0007n);
  clock.advanceTo(Number.MAX_SAFE_INTEGER);
  assert.equal(read64(device, MTIME), BigInt(Number.MAX_SAFE_INTEGER) / 100n);
});

test("timeLow and timeHigh give mtime's halves as int32", () => {
  const { device, clock } = clint();
  write64(device, MTIME, 0xfedcba98_fffffffen);
  assert.deepEqual([device.timeLow(), device.timeHigh()], [-2, 0xfedcba98 | 0]);
  clock.advance(200);
  assert.deepEqual([device.timeLow(), device.timeHigh()], [0, 0xfedcba99 | 0]);
});

test("each half of mtime is writable by itself and leaves the other", () => {
  const { device, clock } = clint();
  clock.advanceTo(12345 * 100);
  device.write(MTIME + 4, 4, 0x89abcdef);
  assert.equal(read64(device, MTIME), 0x89abcdef_00003039n);
  device.write(MTIME, 4, 0xffffffff);
  assert.equal(read64(device, MTIME), 0x89abcdef_ffffffffn);
  device.write(MTIME, 4, 0);
  assert.equal(read64(device, MTIME), 0x89abcdef_00000000n);
  clock.advance(100);
  assert.equal(read64(device, MTIME), 0x89abcdef_00000001n);
});

test("mtime reads back whatever is written at any time, and counts on from it", () => {
  const { device, clock } = clint();
  const values = [0n, 1n, 0xffffffffn, 0x1_00000000n, 0x7fffffff_ffffffffn, 0x80000000_00000000n, 0xffffffff_fffffff0n];
  for (const ticks of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 3 * 2 ** 32 + 5, 2 ** 46]) {
    clock.advanceTo(ticks * 100);
    for (const value of values) {
      write64(device, MTIME, value);
      assert.equal(read64(device, MTIME), value, `${value} at ${ticks}`);
    }
    write64(device, MTIME, 0x1234_fffffffen);
    clock.advance(500);
    assert.equal(read64(device, MTIME), 0x1235_00000003n);
  }
});

test("the timer interrupt rises at the very nanosecond at which mtime reaches mtimecmp", () => {
  const { device, clock, timer } = clint();
  clock.advanceTo(12_345);
  write64(device, MTIMECMP, 1000n);
  assert.equal(timer[0].level, false);
  assert.deepEqual(clock.armed(), [100_000]);
  clock.advanceTo(99_999);
  assert.equal(timer[0].level, false);
  clock.advanceTo(100_000);
  assert.equal(timer[0].level, true);
});

test("mtimecmp in the past or equal to mtime interrupts at once, and a later one clears the interrupt", () => {
  const { device, clock, timer } = clint();
  clock.advanceTo(1000);
  write64(device, MTIMECMP, 11n);
  assert.equal(timer[0].level, false);
  write64(device, MTIMECMP, 10n);
  assert.equal(timer[0].level, true);
  write64(device, MTIMECMP, 12n);
  assert.equal(timer[0].level, false);
});

test("mtimecmp is compared as an unsigned 64-bit number", () => {
  const { device, timer } = clint();
  write64(device, MTIMECMP, 0x80000000_00000000n);
  assert.equal(timer[0].level, false);
  write64(device, MTIME, 0x7fffffff_ffffffffn);
  assert.equal(timer[0].level, false);
  write64(device, MTIME, 0x80000000_00000000n);
  assert.equal(timer[0].level, true);
  write64(device, MTIMECMP, 0x80000000_00000001n);
  assert.equal(timer[0].level, false);
});

test("the halves of mtimecmp are separately writable: the RV32 sequence of the manual never interrupts early", () => {
  const { device, clock, timer } = clint();
  write64(device, MTIMECMP, 0xffffffff_ffffffffn);
  clock.advanceTo(2 ** 33 * 100);
  // From 0x2_00000010 to 0x3_00000001: -1 to the low half, then the high half, then the low half.
  write64(device, MTIMECMP, 0x2_00000010n);
  const levels: boolean[] = [];
  const steps: [number, number][] = [[MTIMECMP, 0xffffffff], [MTIMECMP + 4, 3], [MTIMECMP, 1]];
  for (const [offset, value] of steps) {
    device.write(offset, 4, value);
    levels.push(timer[0].level);
  }
  assert.deepEqual(levels, [false, false, false]);
  assert.equal(read64(device, MTIMECMP), 0x3_00000001n);
  assert.deepEqual(clock.armed(), [0x3_00000001 * 100]);
});

test("no alarm is armed for a moment beyond 2^53 nanoseconds", () => {
  const { device, clock } = clint();
  const last = BigInt(Number.MAX_SAFE_INTEGER) / 100n;
  for (const compare of [last + 1n, 1n << 60n, 0xffffffff_ffffffffn]) {
    write64(device, MTIMECMP, compare);
    assert.deepEqual(clock.armed(), [], compare.toString());
  }
  write64(device, MTIMECMP, last);
  assert.deepEqual(clock.armed(), [Number(last) * 100]);
});

test("writing mtime moves the timer interrupts of all harts", () => {
  const { device, clock, timer } = clint(2);
  write64(device, MTIMECMP, 1000n);
  write64(device, MTIMECMP + 8, 2000n);
  write64(device, MTIME, 1500n);
  assert.deepEqual(timer.map((line) => line.level), [true, false]);
  // Hart 0's next change is the wrap of mtime, out of reach.
  assert.deepEqual(clock.armed(), [500 * 100]);
  clock.advanceTo(500 * 100);
  assert.deepEqual(timer.map((line) => line.level), [true, true]);
  write64(device, MTIME, 0n);
  assert.deepEqual(timer.map((line) => line.level), [false, false]);
});

test("when mtime wraps to zero the comparison is with the new value (privileged manual: mtime >= mtimecmp)", () => {
  const { device, clock, timer } = clint();
  write64(device, MTIMECMP, 3n);
  write64(device, MTIME, 0xffffffff_fffffffen);
  assert.equal(timer[0].level, true);
  clock.advanceTo(199);
  assert.equal(timer[0].level, true);
  clock.advanceTo(200);
  assert.equal(read64(device, MTIME), 0n);
  assert.equal(timer[0].level, false);
  clock.advanceTo(499);
  assert.equal(timer[0].level, false);
  clock.advanceTo(500);
  assert.equal(timer[0].level, true);
});

test("reset at a later time starts mtime from zero and clears msip and mtimecmp", () => {
  const { device, clock, software, timer } = clint();
  clock.advanceTo(2 ** 33 * 100 + 5);
  device.write(MSIP, 4, 1);
  write64(device, MTIMECMP, 0xffffffff_ffffffffn);
  device.reset();
  assert.equal(read64(device, MTIME), 0n);
  assert.equal(read64(device, MTIMECMP), 0n);
  assert.deepEqual([software[0].level, timer[0].level], [false, true]);
  clock.advance(1000);
  assert.equal(read64(device, MTIME), 10n);
});

test("restore puts registers, lines and the armed alarm back", () => {
  const { device, clock, software, timer } = clint(2);
  clock.advanceTo(4200);
  device.write(MSIP + 4, 4, 1);
  write64(device, MTIME, 1_000_000n);
  write64(device, MTIMECMP, 1_000_010n);
  write64(device, MTIMECMP + 8, 0x23456789_00000000n);
  const state = structuredClone(device.snapshot());
  const compare1 = read64(device, MTIMECMP + 8);

  device.reset();
  write64(device, MTIMECMP, 5n);
  device.restore(state);
  assert.equal(read64(device, MTIME), 1_000_000n);
  assert.equal(read64(device, MTIMECMP), 1_000_010n);
  assert.equal(read64(device, MTIMECMP + 8), compare1);
  assert.deepEqual(software.map((line) => line.level), [false, true]);
  assert.deepEqual(timer.map((line) => line.level), [false, false]);
  assert.deepEqual(clock.armed(), [4200 + 1000]);
  clock.advance(1000);
  assert.equal(timer[0].level, true);
});

test("a snapshot does not change when the device goes on", () => {
  const { device } = clint();
  const before = structuredClone(device.snapshot());
  const state = device.snapshot();
  device.write(MSIP, 4, 1);
  write64(device, MTIMECMP, 7n);
  assert.deepEqual(state, before);
});

test("an ACLINT makes supervisor software interrupts pending, and is otherwise a CLINT", async () => {
  const SSWI = 0x2f0_0000, SSIP = 2n, MSIP = 8n;
  await using machine = await Machine.create<64>({ cpu: "rv64", bios: "none", smp: 2, aclint: true });
  const { bus } = debugAccess(machine),
    pending = () => machine.harts.map((hart) => hart.readCsr("mip") & (SSIP | MSIP));
  for (const [address, value] of [[SSWI, 2], [SSWI + 8, 1], [SSWI + 4, 3]] as const) bus.write(address, 4, value, 0);
  assert.deepEqual(pending(), [0n, SSIP]);
  assert.deepEqual([bus.read(SSWI + 4, 4), bus.fault], [0, false]);
  bus.write(SSWI + 4, 4, 0, 0);
  assert.deepEqual(pending(), [0n, SSIP]);
  machine.harts[1]!.writeCsr("mip", 0n);
  bus.write(0x200_0000, 4, 1, 0);
  assert.deepEqual(pending(), [MSIP, 0n]);
  await using plain = await Machine.create({ cpu: "rv64", bios: "none" });
  debugAccess(plain).bus.write(SSWI, 4, 1, 0);
  assert.equal(debugAccess(plain).bus.fault, true);
  await assert.rejects(Machine.create({ machine: "spike", aclint: true }), /spike has a CLINT only/);
});
