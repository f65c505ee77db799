// The virtio network card, console and entropy source, driven through their queues; the first registers beside QEMU's.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Machine, NetworkHub } from "../mod.ts";
import { VirtioConsole } from "../devices/virtio/console.ts";
import type { VirtioDevice } from "../devices/virtio/device.ts";
import { VirtioNetwork } from "../devices/virtio/network.ts";
import { VirtioRandom } from "../devices/virtio/random.ts";
import { Console } from "../machine/console.ts";
import { NetworkPort } from "../machine/network.ts";
import { program } from "./support/command.ts";
import { qemuMissing } from "./support/qemu.ts";
import { QtestBoard } from "./support/qtest.ts";
import { descriptorBytes, FLAG, half, QueueDriver } from "./support/virtio_driver.ts";
import { RAM, REG, TRANSPORT, VirtioRig } from "./support/virtio_rig.ts";

const VERSION_1 = 1n << 32n;
const BUFFERS = RAM + 0x10_0000;

/** A device whose driver is ready, with some of its queues. */
class Driven {
  readonly rig: VirtioRig;
  readonly queues: readonly QueueDriver[];
  #next = BUFFERS;

  private constructor(rig: VirtioRig, queues: readonly QueueDriver[]) {
    this.rig = rig;
    this.queues = queues;
  }

  static async with(device: VirtioDevice, features: bigint, queues: number, legacy = false): Promise<Driven> {
    const rig = new VirtioRig(device, legacy);
    const drivers = Array.from(
      { length: queues },
      (_, k) => new QueueDriver(rig.board, legacy, 16, k, RAM + k * 0x2000),
    );
    await drivers[0]!.negotiate(features);
    for (const driver of drivers) await driver.place();
    await drivers[0]!.start();
    return new Driven(rig, drivers);
  }

  /** Offers a chain of what the device reads and buffers that it writes; gives the addresses of the latter. */
  async offer(queue: number, out: readonly Uint8Array[], into: readonly number[]): Promise<number[]> {
    const driver = this.queues[queue]!, head = driver.offered % 4 * 4, addresses: number[] = [];
    const pieces = [
      ...out.map(({ length }) => ({ length, flags: 0 })),
      ...into.map((length) => ({ length, flags: FLAG.write })),
    ];
    const descriptors = [];
    for (const [k, { length, flags }] of pieces.entries()) {
      const address = this.#next;
      this.#next += length + 16;
      if (flags === 0) await this.rig.board.writeMemory(address, out[k]!);
      else addresses.push(address);
      const last = k === pieces.length - 1;
      descriptors.push({ address, length, flags: flags | (last ? 0 : FLAG.next), next: head + k + 1 });
    }
    await this.rig.board.writeMemory(driver.descriptors + 16 * head, descriptorBytes(descriptors));
    await driver.offer(head);
    await driver.notify();
    return addresses;
  }

  /** Bytes that the device wrote into the n-th chain it gave back. */
  async used(queue: number, n: number): Promise<number> {
    const bytes = await this.rig.board.readMemory(this.queues[queue]!.used + 4 + 8 * n + 4, 4);
    return new DataView(bytes.buffer).getUint32(0, true);
  }
  read(address: number, length: number): Promise<Uint8Array> {
    return this.rig.board.readMemory(address, length);
  }
}

const bytes = (...values: number[]) => Uint8Array.from(values);
const text = (value: string) => new TextEncoder().encode(value);
const packet = (length: number, seed = 1) => Uint8Array.from({ length }, (_, k) => k * 7 + seed);

for (
  const [option, make, size] of [
    ["virtio-rng-device", () => new VirtioRandom(0), 4],
    ["virtio-serial-device", () => new VirtioConsole(), 16],
    ["virtio-net-device,mac=52:54:00:01:02:03", () => new VirtioNetwork(bytes(0x52, 0x54, 0, 1, 2, 3)), 12],
  ] as [string, () => VirtioDevice, number][]
) {
  for (const legacy of [true, false]) {
    test(`${option}, ${legacy ? "legacy" : "modern"}, offers what QEMU's does`, { skip: qemuMissing(64) }, async () => {
      const hub = ["-netdev", "hubport,id=n0,hubid=0"], isCard = option.startsWith("virtio-net");
      const qemu = new QtestBoard([
        ...["-global", `virtio-mmio.force-legacy=${legacy}`],
        ...(isCard ? hub : []),
        ...["-device", isCard ? `${option},netdev=n0` : option],
      ]);
      try {
        const { board } = new VirtioRig(make(), legacy);
        for (const select of [0, 1]) {
          for (const each of [qemu, board]) await each.write(TRANSPORT + REG.deviceFeaturesSel, 4, select);
          for (const register of [REG.deviceId, REG.deviceFeatures, REG.generation]) {
            const [theirs, ours] = [
              await qemu.read(TRANSPORT + register, 4),
              await board.read(TRANSPORT + register, 4),
            ];
            assert.equal(ours, theirs, `register ${register}`);
          }
        }
        for (let queue = 0; queue < 70; queue++) {
          for (const each of [qemu, board]) await each.write(TRANSPORT + REG.queueSel, 4, queue);
          const register = TRANSPORT + REG.queueNumMax;
          assert.equal(await board.read(register, 4), await qemu.read(register, 4), `queue ${queue}`);
        }
        for (let offset = 0; offset < size; offset++) {
          const register = TRANSPORT + REG.config + offset;
          assert.equal(await board.read(register, 1), await qemu.read(register, 1), `configuration ${offset}`);
        }
      } finally {
        await qemu.close();
      }
    });
  }
}

test("random numbers follow from the seed, and go on after a reset", async () => {
  const take = async (seed: number) => {
    const driven = await Driven.with(new VirtioRandom(seed), VERSION_1, 1);
    const [first, second] = await driven.offer(0, [], [5, 64]);
    assert.equal(await driven.used(0, 0), 69);
    return [...await driven.read(first!, 5), ...await driven.read(second!, 64)];
  };
  assert.deepEqual(await take(1), await take(1));
  assert.notDeepEqual(await take(1), await take(2));
  assert.ok(new Set(await take(3)).size > 40);
});

test("a huge request for random numbers gets a part", async () => {
  const driven = await Driven.with(new VirtioRandom(1), VERSION_1, 1);
  await driven.offer(0, [], [1 << 20]);
  assert.equal(await driven.used(0, 0), 1 << 16);
});

const MERGEABLE = 1n << 15n, CONTROL = 1n << 17n | 1n << 18n | 1n << 19n | 1n << 20n | 1n << 23n;

/** A card with a cable, and the packets that it has sent. */
async function card(features: bigint, legacy = false) {
  const device = new VirtioNetwork(bytes(2, 0, 0, 0, 0, 1)), port = new NetworkPort("n0"), sent: Uint8Array[] = [];
  port.plug(device);
  port.onPacket = (frame) => sent.push(frame);
  return { device, port, sent, driven: await Driven.with(device, features, 3, legacy) };
}

test("packets of the guest come out without their header, however they are split", async () => {
  for (const [features, legacy, header] of [[VERSION_1, false, 12], [0n, true, 10], [MERGEABLE, true, 12]] as const) {
    const { sent, driven } = await card(features, legacy);
    await driven.offer(1, [new Uint8Array(header), packet(60)], []);
    await driven.offer(1, [new Uint8Array(7), new Uint8Array(header - 7 + 5), packet(60)], []);
    assert.deepEqual(sent, [packet(60), Uint8Array.from([0, 0, 0, 0, 0, ...packet(60)])]);
    assert.equal(await driven.queues[1]!.usedIndex(), 2);
  }
});

test("packets for the guest wait for buffers, and get a header", async () => {
  const { port, driven } = await card(VERSION_1);
  port.send(packet(60));
  assert.equal(await driven.queues[0]!.usedIndex(), 0);
  const [buffer] = await driven.offer(0, [], [1600]);
  assert.equal(await driven.used(0, 0), 72);
  assert.deepEqual(await driven.read(buffer!, 72), Uint8Array.from([...new Uint8Array(10), 1, 0, ...packet(60)]));
  assert.ok(driven.rig.irq.level);
});

test("a long packet is spread over buffers where they are mergeable, and lost where not", async () => {
  const { port, driven } = await card(VERSION_1 | MERGEABLE);
  const [first] = await driven.offer(0, [], [100]);
  port.send(packet(250));
  assert.equal(await driven.queues[0]!.usedIndex(), 0);
  const [second] = await driven.offer(0, [], [100]), [third] = await driven.offer(0, [], [100]);
  assert.equal(await driven.queues[0]!.usedIndex(), 3);
  assert.deepEqual([await driven.used(0, 0), await driven.used(0, 1), await driven.used(0, 2)], [100, 100, 62]);
  const all = [...await driven.read(first!, 100), ...await driven.read(second!, 100), ...await driven.read(third!, 62)];
  assert.deepEqual(Uint8Array.from(all), Uint8Array.from([...new Uint8Array(10), 3, 0, ...packet(250)]));

  const plain = await card(VERSION_1);
  await plain.driven.offer(0, [], [100]);
  plain.port.send(packet(250));
  plain.port.send(packet(20));
  assert.equal(await plain.driven.queues[0]!.usedIndex(), 1);
  assert.equal(await plain.driven.used(0, 0), 32);
});

test("the guest chooses which packets it gets", async () => {
  const { device, port, driven } = await card(VERSION_1 | CONTROL);
  for (let k = 0; k < 4; k++) await driven.offer(0, [], [200]);
  const command = async (...message: number[]) => {
    const [ack] = await driven.offer(2, [bytes(...message.slice(0, 2)), bytes(...message.slice(2))], [1]);
    return (await driven.read(ack!, 1))[0];
  };
  const arrives = async (...to: number[]) => {
    const before = await driven.queues[0]!.usedIndex();
    port.send(Uint8Array.from([...to, ...packet(60)]));
    if (await driven.queues[0]!.usedIndex() === before) return false;
    await driven.offer(0, [], [200]);
    return true;
  };
  const own = [2, 0, 0, 0, 0, 1], other = [2, 0, 0, 0, 0, 9], group = [1, 0, 0x5e, 0, 0, 5];
  assert.ok(await arrives(...other), "promiscuous at first");
  assert.equal(await command(0, 0, 0), 0);
  assert.deepEqual([await arrives(...own), await arrives(...other), await arrives(...group)], [true, false, false]);
  assert.ok(await arrives(255, 255, 255, 255, 255, 255));
  assert.equal(await command(1, 0, 1, 0, 0, 0, ...other, 1, 0, 0, 0, ...group), 0);
  assert.deepEqual([await arrives(...other), await arrives(...group)], [true, true]);
  assert.equal(await command(0, 5, 1), 0);
  assert.equal(await arrives(255, 255, 255, 255, 255, 255), false);
  assert.equal(await command(1, 1, ...other), 0);
  assert.deepEqual(device.configuration().subarray(0, 6), bytes(...other));
  assert.equal(await command(2, 0, 5, 0), 0);
  assert.equal(await command(5, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
  for (const wrong of [[0, 9, 1], [1, 0, 9, 0, 0, 0], [1, 1, 1], [2, 0, 0, 255], [3, 0, 0], [4, 0, 1, 0], [9, 9, 9]]) {
    assert.equal(await command(...wrong), 1, wrong.join());
  }
  assert.equal(device.failure, undefined);
});

test("a card's mistakes stop it: no header, a buffer that cannot be written", async () => {
  const one = await card(VERSION_1);
  await one.driven.offer(1, [bytes(1, 2, 3)], []);
  assert.equal(one.device.failure, "virtio-net header incorrect");
  const two = await card(VERSION_1 | MERGEABLE);
  await two.driven.offer(2, [bytes(0)], []);
  assert.equal(two.device.failure, "virtio-net ctrl missing headers");
});

test("a hub gives each packet to all others", async () => {
  const hub = new NetworkHub(), cards = [await card(VERSION_1), await card(VERSION_1), await card(VERSION_1)];
  for (const { port, driven } of cards) {
    port.connect(hub);
    await driven.offer(0, [], [200]);
  }
  await cards[0]!.driven.offer(1, [new Uint8Array(12), packet(60)], []);
  const got = await Promise.all(cards.map(({ driven }) => driven.queues[0]!.usedIndex()));
  assert.deepEqual(got, [0, 1, 1]);
});

const MULTIPORT = 1n << 1n;

/** A console device with consoles at the outer ends of its ports. */
async function ports(features: bigint, settings: readonly { number: number; isConsole: boolean; name?: string }[]) {
  const device = new VirtioConsole();
  const consoles = settings.map((setting) => {
    const console = new Console("c0");
    const backend = { transmit: (byte: number) => console.transmit(byte), receiverReady: () => console.deliver() };
    console.connect(device.addPort({ ...setting, backend }));
    return console;
  });
  return { device, consoles, driven: await Driven.with(device, features, 6) };
}

test("a console without ports prints and reads on its first two queues", async () => {
  const { consoles: [console], driven } = await ports(VERSION_1, [{ number: 0, isConsole: true }]);
  await driven.offer(1, [text("hello "), text("world")], []);
  assert.equal(console!.output, "hello world");
  console!.send("typed");
  assert.equal(await driven.queues[0]!.usedIndex(), 0);
  const [one] = await driven.offer(0, [], [3]), [two] = await driven.offer(0, [], [10]);
  driven.rig.clock.advance(1);
  assert.deepEqual(await driven.read(one!, 3), text("typ"));
  assert.deepEqual((await driven.read(two!, 2)).slice(), text("ed"));
  assert.deepEqual([await driven.used(0, 0), await driven.used(0, 1)], [3, 2]);
  assert.equal(console!.unread, 0);
});

test("ports are introduced when the driver asks for them, and are open when a program opens them", async () => {
  const { consoles, driven } = await ports(VERSION_1 | MULTIPORT, [
    { number: 0, isConsole: true },
    { number: 1, isConsole: false, name: "org.test" },
  ]);
  const answers: number[] = [];
  for (let k = 0; k < 4; k++) answers.push(...await driven.offer(2, [], [32]));
  const control = (port: number, event: number, value: number) =>
    driven.offer(3, [bytes(port, 0, 0, 0, event, 0, value, 0)], []);
  await control(0xff, 0, 1);
  assert.deepEqual(await driven.read(answers[0]!, 8), bytes(0, 0, 0, 0, 1, 0, 1, 0));
  assert.deepEqual(await driven.read(answers[1]!, 8), bytes(1, 0, 0, 0, 1, 0, 1, 0));
  await control(1, 3, 1);
  assert.deepEqual(
    await driven.read(answers[2]!, 17),
    Uint8Array.from([1, 0, 0, 0, 7, 0, 1, 0, ...text("org.test\0")]),
  );
  assert.deepEqual(await driven.read(answers[3]!, 8), bytes(1, 0, 0, 0, 6, 0, 1, 0));
  // What has no buffer waits for one.
  await control(0, 3, 1);
  const [console] = await driven.offer(2, [], [32]), [open] = await driven.offer(2, [], [32]);
  assert.deepEqual(await driven.read(console!, 8), bytes(0, 0, 0, 0, 4, 0, 1, 0));
  assert.deepEqual(await driven.read(open!, 8), bytes(0, 0, 0, 0, 6, 0, 1, 0));

  const [buffer] = await driven.offer(4, [], [10]);
  consoles[1]!.send("x");
  driven.rig.clock.advance(1);
  assert.equal(await driven.queues[4]!.usedIndex(), 0);
  await control(1, 6, 1);
  driven.rig.clock.advance(1);
  assert.deepEqual((await driven.read(buffer!, 1)).slice(), text("x"));
  await driven.offer(5, [text("from port 1")], []);
  assert.equal(consoles[1]!.output, "from port 1");
});

test("an emergency write prints without a driver", async () => {
  const { consoles: [console], driven } = await ports(VERSION_1, [{ number: 0, isConsole: true }]);
  await driven.rig.board.write(TRANSPORT + REG.config + 8, 4, 0x41);
  assert.equal(console!.output, "A");
});

test("snapshots of card and console go on where they were", async () => {
  const { port, driven, device } = await card(VERSION_1);
  port.send(packet(60));
  const saved = structuredClone(driven.rig.transport.snapshot()), memory = driven.rig.bus.ram.u8.slice();
  driven.rig.transport.reset();
  driven.rig.bus.ram.u8.set(memory);
  driven.rig.transport.restore(saved);
  assert.ok(device.running);
  await driven.offer(0, [], [200]);
  assert.equal(await driven.queues[0]!.usedIndex(), 1);
});

const NAMES = { bios: program("virtio_disk") };

test("a machine has the other ends of cards and consoles by their ids", async () => {
  await using machine = await Machine.create({
    ...NAMES,
    netdevs: [{ id: "n0" }, { id: "n1", hubId: 0 }],
    chardevs: [{ id: "c0" }, { id: "c1" }],
    objects: [{ id: "r0", type: "rng-random" }],
    devices: [
      { driver: "virtio-net-device", netdev: "n0", mac: "52:54:00:aa:bb:cc" },
      { driver: "virtio-serial-device", id: "s" },
      { driver: "virtconsole", chardev: "c0" },
      { driver: "virtserialport", chardev: "c1", name: "a", bus: "s.0" },
      { driver: "virtio-rng-device", rng: "r0" },
    ],
  });
  assert.equal(machine.net("n0").plugged, true);
  assert.equal(machine.net("n1").plugged, false);
  assert.equal(machine.chardev("c0").output, "");
  assert.throws(() => machine.net("n9"), { message: "no netdev n9; did you mean n0?" });
  assert.throws(() => machine.chardev("zzz"), { message: "no chardev zzz" });
});

for (
  const [options, message] of [
    [
      { devices: [{ driver: "virtio-net-device", netdev: "n0" }] },
      /Property 'virtio-net-device.netdev' can't find value 'n0'/,
    ],
    [
      { devices: [{ driver: "virtio-net-device", mac: "zz" }] },
      /Property 'virtio-net-device.mac' doesn't take value 'zz'/,
    ],
    [
      { devices: [{ driver: "virtconsole" }] },
      /No 'virtio-serial-bus' bus found for device 'virtconsole'; -device virtio-serial-/,
    ],
    [
      { devices: [{ driver: "virtio-serial-device" }, { driver: "virtconsole", chardev: "c0" }] },
      /Property 'virtconsole.chardev' can't find value 'c0'; there is no -chardev/,
    ],
    [
      { devices: [{ driver: "virtio-serial-device" }, { driver: "virtserialport", nr: 0 }] },
      /Port number 0 on virtio-serial devices reserved for virtconsole/,
    ],
    [
      { devices: [{ driver: "virtio-serial-device" }, { driver: "virtconsole" }, { driver: "virtconsole", nr: 0 }] },
      /A port already exists at id 0/,
    ],
    [
      { devices: [{ driver: "virtio-serial-device", max_ports: 1 }, { driver: "virtserialport", nr: 5 }] },
      /Out-of-range port id specified, max. allowed: 0/,
    ],
    [{ objects: [{ id: "r", type: "rng-egd" }] }, /-object rng-egd,id=r: invalid object type: rng-egd/],
    [{ netdevs: [{ id: "n" }, { id: "n" }] }, /Duplicate ID 'n' for netdev/],
    [{ seed: -1 }, /-seed -1: a whole number/],
  ] as [object, RegExp][]
) {
  test(`refused in one line: ${message.source}`, async () => {
    await assert.rejects(Machine.create({ ...NAMES, ...options }), { name: "OptionError", message });
  });
}

test("event indices near the one that wants an interrupt decide", async () => {
  const driven = await Driven.with(new VirtioRandom(1), VERSION_1 | 1n << 29n, 1), [queue] = driven.queues;
  for (const [event, wanted] of [[0, true], [0, false], [2, true], [9, false]] as const) {
    await driven.rig.board.writeMemory(queue!.available + 4 + 2 * queue!.size, half(event));
    await driven.offer(0, [], [4]);
    assert.equal(driven.rig.irq.level, wanted, `event ${event}`);
    await queue!.set(REG.interruptAck, 3);
  }
});
