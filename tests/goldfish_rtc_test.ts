// The real-time clock: time, alarm, interrupt, and the date that it begins with.

import assert from "node:assert/strict";
import { test } from "node:test";
import { GoldfishRtc } from "../devices/goldfish_rtc.ts";
import { Ram } from "../hart/memory.ts";
import { Bus } from "../machine/bus.ts";
import { readRtcBase } from "../machine/rtc_base.ts";
import { FakeClock, FakeLine } from "./device_fakes.ts";
import { qemuMissing } from "./support/qemu.ts";
import { BusBoard, type DeviceBoard, QtestBoard } from "./support/qtest.ts";

const RTC = 0x10_1000;
const TIME_LOW = 0, TIME_HIGH = 4, ALARM_LOW = 8, ALARM_HIGH = 12, IRQ_ENABLED = 16, CLEAR_ALARM = 20;
const ALARM_STATUS = 24, CLEAR_INTERRUPT = 28;
/** 2020-01-01 in nanoseconds. */
const BASE = 1_577_836_800_000_000_000n;

function parts() {
  const irq = new FakeLine(), clock = new FakeClock();
  const rtc = new GoldfishRtc({ name: "rtc", irq, clock, base: BASE });
  const set = (register: number, value: number) => rtc.write(register, 4, value >>> 0);
  return {
    irq,
    clock,
    rtc,
    set,
    time: () => BigInt(rtc.read(TIME_LOW, 4) >>> 0) | BigInt(rtc.read(TIME_HIGH, 4)) << 32n,
    setAlarm(moment: bigint) {
      set(ALARM_HIGH, Number(moment >> 32n));
      set(ALARM_LOW, Number(moment & 0xffff_ffffn));
    },
  };
}

test("time is the base and virtual time; its upper half is that of the last lower half that was read", () => {
  const { rtc, clock, time } = parts();
  assert.equal(time(), BASE);
  clock.advance(123_456_789);
  assert.equal(time(), BASE + 123_456_789n);
  rtc.read(TIME_LOW, 4);
  clock.advance(10 * 2 ** 32);
  assert.equal(BigInt(rtc.read(TIME_HIGH, 4)), BASE + 123_456_789n >> 32n);
  assert.equal(time(), BASE + 123_456_789n + 10n * 2n ** 32n);
});

test("the guest sets the time by halves, until a reset", () => {
  const { rtc, clock, set, time } = parts();
  set(TIME_HIGH, 5);
  set(TIME_LOW, 7);
  assert.equal(time(), 5n << 32n | 7n);
  clock.advance(100);
  assert.equal(time(), 5n << 32n | 107n);
  set(TIME_HIGH, 0xffff_ffff);
  assert.equal(time(), 0xffff_ffff_0000_006bn);
  rtc.reset();
  assert.equal(time(), BASE + 100n);
});

test("the alarm interrupts at its moment, where it is enabled, until it is acknowledged", () => {
  const { rtc, irq, clock, set, setAlarm } = parts();
  set(IRQ_ENABLED, 3);
  assert.equal(rtc.read(IRQ_ENABLED, 4), 1);
  setAlarm(BASE + 1000n);
  assert.equal(rtc.read(ALARM_STATUS, 4), 1);
  clock.advance(999);
  assert.ok(!irq.level);
  clock.advance(1);
  assert.ok(irq.level);
  assert.equal(rtc.read(ALARM_STATUS, 4), 0);
  set(IRQ_ENABLED, 0);
  assert.ok(!irq.level);
  set(IRQ_ENABLED, 1);
  assert.ok(irq.level);
  set(CLEAR_INTERRUPT, 0);
  assert.ok(!irq.level);
  setAlarm(BASE);
  assert.ok(irq.level, "a moment that has passed rings at once");
});

test("a cleared alarm does not ring, and one after the end of virtual time never does", () => {
  const { rtc, irq, clock, set, setAlarm } = parts();
  set(IRQ_ENABLED, 1);
  setAlarm(BASE + 1000n);
  set(CLEAR_ALARM, 1);
  assert.equal(rtc.read(ALARM_STATUS, 4), 0);
  clock.advance(2000);
  assert.ok(!irq.level);
  setAlarm(0xffff_ffff_ffff_ffffn);
  assert.equal(rtc.read(ALARM_STATUS, 4), 1);
  assert.deepEqual(clock.armed(), []);
});

test("a snapshot keeps time and alarm", () => {
  const { rtc, irq, clock, set, setAlarm, time } = parts();
  set(TIME_HIGH, 1);
  set(TIME_LOW, 0);
  set(IRQ_ENABLED, 1);
  setAlarm(2n ** 32n + 500n);
  const saved = structuredClone(rtc.snapshot());
  rtc.reset();
  clock.advance(100);
  rtc.restore(saved);
  assert.equal(time(), 2n ** 32n + 100n);
  clock.advance(400);
  assert.ok(irq.level);
});

test("the base is a date in UTC", () => {
  assert.equal(readRtcBase("2020-01-01"), BASE);
  assert.equal(readRtcBase("2020-01-01T00:00:09"), BASE + 9_000_000_000n);
  assert.equal(readRtcBase(new Date("2020-01-01T00:00:00.5Z")), BASE + 500_000_000n);
  assert.equal(readRtcBase(), 1_767_225_600_000_000_000n);
  for (const wrong of ["2020", "tomorrow", "2020-02-31", "2020-01-01T25:00:00", "1969-12-31"]) {
    assert.throws(() => readRtcBase(wrong), {
      name: "OptionError",
      message: `-rtc base=${wrong}: invalid datetime format; valid formats: 2006-06-17T16:01:21 or 2006-06-17`,
    });
  }
});

test("registers read as in QEMU", { skip: qemuMissing(64) }, async () => {
  const clock = new FakeClock(), bus = new Bus(new Ram(0x8000_0000, 4096), "ram");
  bus.addDevice(RTC, new GoldfishRtc({ name: "rtc", irq: new FakeLine(), clock, base: BASE }));
  const qemu = new QtestBoard(["-rtc", "base=2020-01-01,clock=vm"]);
  const run = async (board: DeviceBoard) => {
    const seen: number[] = [];
    const read = async (register: number) => seen.push(await board.read(RTC + register, 4));
    const write = (register: number, value: number) => board.write(RTC + register, 4, value);
    const all = async () => {
      for (let register = TIME_HIGH; register < 36; register += 4) await read(register);
    };
    await all();
    // Four seconds at most go by in QEMU until here.
    seen.push(await board.read(RTC + TIME_LOW, 4) > 0xf000_0000 ? 1 : 0);
    await all();
    await write(TIME_HIGH, 0x1234);
    await write(TIME_LOW, 7);
    await board.read(RTC, 4);
    await all();
    for (const [high, low] of [[0x9999, 3], [1, 2], [0x4000_0000, 0xffff_ffff]] as const) {
      await write(ALARM_HIGH, high);
      await write(ALARM_LOW, low);
      await all();
      await write(IRQ_ENABLED, high);
      await all();
      await write(CLEAR_INTERRUPT, 1);
      await all();
      await write(CLEAR_ALARM, 0);
      await all();
      await write(ALARM_STATUS, 1);
      await write(32, 1);
      await all();
    }
    return seen;
  };
  try {
    const theirs = await run(qemu), ours = await run(new BusBoard(bus, () => {}));
    assert.deepEqual(ours, theirs);
  } finally {
    await qemu.close();
  }
});
