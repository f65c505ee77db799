// Mistakes of a driver: whatever stands in the rings, the device neither throws nor goes on for ever, and says by its status that it
// needs a reset, where the driver can understand that.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBlocks } from "../devices/block_backend.ts";
import { VirtioBlock } from "../devices/virtio/block.ts";
import { randomWords } from "./random_words.ts";
import { type Descriptor, descriptorBytes, FLAG, half, QueueDriver } from "./support/virtio_driver.ts";
import { RAM, RAM_SIZE, REG, TRANSPORT, VirtioRig } from "./support/virtio_rig.ts";

const DATA = RAM + 0x4000;
const VERSION_1 = 1n << 32n, EVENT_INDEX = 1n << 29n;
const NEEDS_RESET = 64;

/** A disk and its driver, ready. */
async function ready(legacy: boolean, features = VERSION_1) {
  const device = new VirtioBlock(new MemoryBlocks(new Uint8Array(65536)));
  const rig = new VirtioRig(device, legacy), driver = new QueueDriver(rig.board, legacy);
  await driver.negotiate(features);
  await driver.place();
  await driver.start();
  return { device, rig, driver };
}

const header: Descriptor = { address: DATA, length: 16, flags: FLAG.next, next: 1 };
const status: Descriptor = { address: DATA + 0x100, length: 1, flags: FLAG.write, next: 0 };
const indirect = (length: number): Descriptor => ({ address: DATA + 0x200, length, flags: FLAG.indirect, next: 0 });

/** Wrong chains: descriptors, indirect table, head, and what is said about them. */
const MISTAKES: readonly [descriptors: Descriptor[], table: Descriptor[], head: number, reason: RegExp][] = [
  [[{ ...header, next: 0 }], [], 0, /Looped descriptor/],
  [[header, { ...status, flags: FLAG.write | FLAG.next, next: 1 }], [], 0, /Looped descriptor/],
  [[{ ...header, length: 0 }, status], [], 0, /zero sized buffers are not allowed/],
  [[header, { ...status, length: 0 }], [], 0, /zero sized/],
  [[{ ...header, length: 0xffff_ffff }, status], [], 0, /bogus descriptor/],
  [[{ ...header, address: RAM - 8 }, status], [], 0, /bogus descriptor/],
  [[{ ...header, address: RAM + RAM_SIZE - 8 }, status], [], 0, /bogus descriptor/],
  [[header, { ...status, address: 0x1000_0000 }], [], 0, /bogus descriptor/],
  [[header, { ...status, address: 2 ** 63 }], [], 0, /bogus descriptor/],
  [[{ ...header, flags: FLAG.write | FLAG.next }, { ...status, flags: 0 }], [], 0, /Incorrect order/],
  [[{ ...header, next: 16 }, status], [], 0, /Desc next is 16/],
  [[header, status], [], 16, /Guest says index 16 is available/],
  [[header, { ...status, flags: 0 }], [], 0, /missing headers/],
  [[status], [], 0, /missing headers/],
  [[{ ...header, length: 15 }, status], [], 0, /outhdr too short/],
  [[indirect(0)], [header, status], 0, /Invalid size for indirect/],
  [[indirect(33)], [header, status], 0, /Invalid size for indirect/],
  [[{ ...indirect(32), address: RAM + RAM_SIZE - 16 }], [], 0, /Cannot map indirect/],
  [[indirect(32)], [header, { ...indirect(32), length: 16 }], 0, /Indirect descriptor in an indirect table/],
  [[indirect(32)], [{ ...header, next: 2 }, status], 0, /Desc next is 2/],
  [[indirect(32)], [{ ...header, next: 0 }, status], 0, /Looped descriptor/],
];

for (const [descriptors, table, head, reason] of MISTAKES) {
  const chain = JSON.stringify(
    [...descriptors, ...table].map(({ address, ...rest }) => [address - RAM, ...Object.values(rest)]),
  );
  test(`${reason.source}: ${chain} at ${head} stops the device until it is reset`, async () => {
    for (const legacy of [false, true]) {
      const { device, rig, driver } = await ready(legacy);
      await rig.board.writeMemory(driver.descriptors, descriptorBytes(descriptors));
      await rig.board.writeMemory(DATA + 0x200, descriptorBytes(table));
      await driver.offer(head);
      await driver.notify();
      assert.match(device.failure ?? "", reason);
      assert.equal(await driver.get(REG.status), legacy ? 7 : 15 | NEEDS_RESET);
      assert.equal(rig.irq.level, !legacy);
      assert.equal(await driver.get(REG.generation), legacy ? 0 : 1);
      // Nothing is done any more, not even what is right.
      await rig.board.writeMemory(driver.descriptors, descriptorBytes([header, status]));
      await driver.offer(0);
      await driver.notify();
      rig.clock.advance(1e9);
      assert.equal(await driver.usedIndex(), 0);
      await driver.negotiate(VERSION_1);
      await driver.place();
      await driver.start();
      assert.equal(rig.irq.level, false);
      await rig.board.writeMemory(driver.descriptors, descriptorBytes([header, status]));
      await driver.offer(0);
      await driver.notify();
      rig.clock.advance(1e9);
      assert.equal(await driver.usedIndex(), 1);
      assert.equal(device.failure, undefined);
    }
  });
}

test("an available index that jumps past the ring stops the device", async () => {
  const { device, driver } = await ready(false);
  await driver.offer(0, 16);
  await driver.notify();
  assert.match(device.failure!, /Guest moved used index from 0 to 17/);
});

test("a ring outside of RAM stops the device when it is placed", async () => {
  for (const address of [0x1000, RAM + RAM_SIZE - 64, 2 ** 40]) {
    const { device, driver } = await ready(false);
    await driver.set(REG.queueReady, 0);
    await driver.set(REG.queueDevice, address % 2 ** 32);
    await driver.set(REG.queueDevice + 4, Math.floor(address / 2 ** 32));
    await driver.set(REG.queueReady, 1);
    assert.equal(device.failure, "Cannot map used");
    assert.equal(await driver.get(REG.status), 15 | NEEDS_RESET);
  }
  const { device, driver } = await ready(true);
  await driver.set(REG.queuePfn, 1);
  assert.equal(device.failure, "Cannot map desc");
  assert.equal(await driver.get(REG.status), 7);
});

test("a queue that is not ready, or was reset, is left alone", async () => {
  for (const register of [REG.queueReady, REG.queueReset]) {
    const { device, rig, driver } = await ready(false);
    await rig.board.writeMemory(driver.descriptors, descriptorBytes([header, status]));
    await driver.offer(0);
    if (register === REG.queueReset) await driver.notify();
    await driver.set(register, register === REG.queueReset ? 1 : 0);
    await driver.notify();
    rig.clock.advance(1e9);
    assert.equal(await driver.usedIndex(), 0);
    assert.equal(await driver.get(REG.queueReady), 0);
    assert.equal(device.failure, undefined);
  }
});

test("chained descriptors may end in an indirect table", async () => {
  const { device, rig, driver } = await ready(false);
  await rig.board.writeMemory(driver.descriptors, descriptorBytes([header, indirect(16)]));
  await rig.board.writeMemory(DATA + 0x200, descriptorBytes([status]));
  await driver.offer(0);
  await driver.notify();
  rig.clock.advance(1e9);
  assert.equal(device.failure, undefined);
  assert.equal(await driver.usedIndex(), 1);
});

test("a request is given back 10 us after it was made, also from a snapshot in between", async () => {
  const { device, rig, driver } = await ready(false);
  await rig.board.writeMemory(driver.descriptors, descriptorBytes([header, status]));
  await driver.offer(0);
  await driver.notify();
  rig.clock.advance(9_999);
  assert.equal(await driver.usedIndex(), 0);
  const saved = structuredClone(rig.transport.snapshot()), memory = rig.bus.ram.u8.slice(0, 0x8000);
  rig.clock.advance(1);
  assert.equal(await driver.usedIndex(), 1);
  assert.ok(rig.irq.level);
  rig.transport.reset();
  rig.bus.ram.u8.set(memory);
  rig.transport.restore(saved);
  assert.ok(!rig.irq.level && device.status === 15);
  rig.clock.advance(1);
  assert.equal(await driver.usedIndex(), 1);
  assert.ok(rig.irq.level);
});

test("what a device writes is told to who watches the memory", async () => {
  const { rig, driver } = await ready(false);
  const watched: number[] = [];
  rig.bus.ram.lines.fill(1);
  rig.bus.onWatchedWrite = (offset) => watched.push(offset);
  await rig.board.writeMemory(driver.descriptors, descriptorBytes([header, status]));
  await driver.offer(0);
  watched.length = 0;
  await driver.notify();
  assert.ok(watched.includes(status.address - RAM));
  rig.clock.advance(1e9);
  assert.ok(watched.includes(driver.used + 2 - RAM));
});

/** Chains of three, some of them changed at random, as a ring and as a table. */
function randomChains(next: () => number, size: number): Descriptor[] {
  return Array.from({ length: size }, (_, k) => {
    const right = [
      header,
      { address: DATA + 0x400, length: 512, flags: FLAG.write | FLAG.next, next: 0 },
      status,
    ][k % 3]!;
    const descriptor = { ...right, next: (k + 1) % size };
    if (next() % 10 !== 0) return descriptor;
    const places = [RAM, DATA, RAM + 0x1000, RAM + RAM_SIZE - 16, 0, TRANSPORT, 2 ** 40];
    switch (next() % 5) {
      case 0:
        return { ...descriptor, address: places[next() % places.length]! + next() % 64 };
      case 1:
        return { ...descriptor, length: [0, 1, 16, 513, 4096, 1 << 24, 0xffff_ffff][next() % 7]! };
      case 2:
        return { ...descriptor, flags: next() % 8 };
      case 3:
        return { ...descriptor, next: next() % (size + 2) };
      default:
        return { address: DATA + 0x200, length: [48, 96, 256, 40][next() % 4]!, flags: FLAG.indirect, next: 0 };
    }
  });
}

for (const legacy of [true, false]) {
  test(`random rings do no harm, ${legacy ? "legacy" : "modern"}`, async () => {
    let failures = 0, answers = 0;
    for (let seed = 1; seed <= 150; seed++) {
      const next = randomWords(seed * 0x9e37_79b1), features = VERSION_1 | (next() % 2 === 0 ? EVENT_INDEX : 0n);
      const { device, rig, driver } = await ready(legacy, features);
      for (let round = 0; round < 8; round++) {
        await rig.board.writeMemory(driver.descriptors, descriptorBytes(randomChains(next, driver.size)));
        await rig.board.writeMemory(DATA + 0x200, descriptorBytes(randomChains(next, 16)));
        await rig.board.writeMemory(
          DATA,
          Uint8Array.of([0, 1, 4, 8, 11, 13][next() % 6]!, 0, 0, 0, 0, 0, 0, 0, next() % 140),
        );
        for (let k = next() % 4; k >= 0; k--) await driver.offer(next() % 8 === 0 ? next() % 20 : next() % 5 * 3);
        // Now and then the ring is overwritten by what the device itself writes.
        if (next() % 16 === 0) await rig.board.writeMemory(driver.available + 2, half(next()));
        await driver.notify();
        rig.clock.advance(20_000);
        answers += await driver.usedIndex() === 0 ? 0 : 1;
        if (device.failure !== undefined) {
          failures++;
          if (!legacy) assert.equal(await driver.get(REG.status) & NEEDS_RESET, NEEDS_RESET, `seed ${seed}`);
          break;
        }
      }
    }
    // Both kinds were there.
    assert.ok(failures > 30 && answers > 50, `${failures} failures, ${answers} answers`);
  });

  test(`random registers do no harm, ${legacy ? "legacy" : "modern"}`, async () => {
    for (let seed = 1; seed <= 100; seed++) {
      const next = randomWords(seed * 0x85eb_ca6b), { rig } = await ready(legacy);
      rig.bus.ram.u8.set(Uint8Array.from({ length: 0x8000 }, () => next() % 4 === 0 ? next() : 0));
      const known = Object.values(REG);
      for (let k = 0; k < 200; k++) {
        const register = next() % 4 === 0 ? (next() % 0x80) * 4 : known[next() % known.length]!;
        const value = [0, 1, 4, 16, 4096, 0x80000, RAM, RAM + 0x1000, next()][next() % 9]!;
        if (next() % 3 === 0) await rig.board.read(TRANSPORT + register, 4);
        else await rig.board.write(TRANSPORT + register, 4, value);
        if (next() % 8 === 0) rig.clock.advance(20_000);
      }
    }
  });
}
