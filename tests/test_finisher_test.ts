// The SiFive test device: exit codes, reset, and what it ignores.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TestFinisher } from "../devices/test_finisher.ts";

function finisher(): { device: TestFinisher; events: string[] } {
  const events: string[] = [];
  const device = new TestFinisher({
    name: "test@100000",
    exit: (code) => events.push(`exit ${code}`),
    reset: () => events.push("reset"),
  });
  return { device, events };
}

test("writing 0x5555 exits with 0, whatever the upper half holds", () => {
  const { device, events } = finisher();
  device.write(0, 4, 0x5555);
  device.write(0, 4, 0x00075555);
  assert.deepEqual(events, ["exit 0", "exit 0"]);
});

test("writing 0x3333 exits with the upper half as an unsigned 16-bit code", () => {
  const { device, events } = finisher();
  device.write(0, 4, 0x00073333);
  device.write(0, 4, 0xffff3333);
  assert.deepEqual(events, ["exit 7", "exit 65535"]);
});

test("a halfword 0x3333 exits with 0, as there is no upper half", () => {
  const { device, events } = finisher();
  device.write(0, 2, 0x3333);
  assert.deepEqual(events, ["exit 0"]);
});

test("writing 0x7777 resets the machine", () => {
  const { device, events } = finisher();
  device.write(0, 4, 0x7777);
  assert.deepEqual(events, ["reset"]);
});

test("other values and other offsets are ignored, as in QEMU", () => {
  const { device, events } = finisher();
  for (const value of [0, 1, 0x1111, 0x55550000, 0xffffffff]) device.write(0, 4, value);
  for (const offset of [2, 4, 0xffc]) device.write(offset, 2, 0x5555);
  assert.deepEqual(events, []);
});

test("reads give zero over 4096 bytes, in halfwords and words only", () => {
  const { device } = finisher();
  assert.equal(device.read(0, 4), 0);
  assert.equal(device.read(0xffe, 2), 0);
  assert.equal(device.size, 0x1000);
  assert.deepEqual(device.access, { min: 2, max: 4 });
});
