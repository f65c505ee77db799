// A driver of the disk in a guest, beside QEMU; where the bytes of disks are; what the options say.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LoadError, Machine, type MachineOptions, OptionError } from "../mod.ts";
import { MemoryBlocks, Overlay } from "../devices/block_backend.ts";
import { randomWords } from "./random_words.ts";
import { hartbeat, program, qemu } from "./support/command.ts";
import { withFolder } from "./support/folder.ts";
import { qemuMissing } from "./support/qemu.ts";

function bytes(length: number, seed = 5): Uint8Array<ArrayBuffer> {
  const next = randomWords(seed);
  return Uint8Array.from({ length }, next);
}

for (const xlen of [64, 32] as const) {
  for (const legacy of [true, false]) {
    const name = `a driver for RV${xlen} and the ${legacy ? "legacy" : "modern"} transport works as on QEMU`;
    test(name, { skip: qemuMissing(xlen) }, () => {
      withFolder((folder) => {
        const outcomes = [(args: string[]) => qemu(xlen, args), (args: string[]) => hartbeat(args)].map((run, k) => {
          const image = join(folder, `disk${k}.img`), output = join(folder, `output${k}.txt`);
          writeFileSync(image, bytes(65536));
          const { code } = run([
            ...["-machine", "virt", "-display", "none", "-monitor", "none", "-serial", `file:${output}`],
            ...["-bios", program(xlen === 64 ? "virtio_disk" : "virtio_disk32")],
            ...["-global", `virtio-mmio.force-legacy=${legacy}`],
            ...["-drive", `file=${image},format=raw,if=none,id=d0`],
            ...["-device", "virtio-blk-device,drive=d0,serial=hartbeat1"],
          ]);
          return { code, output: readFileSync(output, "latin1"), disk: new Uint8Array(readFileSync(image)) };
        });
        assert.match(outcomes[0]!.output, /after a reset: status 0000000[7f]\nread by polling 00000000/);
        assert.equal(outcomes[1]!.output, outcomes[0]!.output);
        assert.deepEqual(outcomes[1], outcomes[0]);
        assert.notDeepEqual(outcomes[1]!.disk, bytes(65536));
      });
    });
  }
}

/** Runs the driver with a disk. */
async function runDriver(drive: MachineOptions["drives"], more: MachineOptions = {}) {
  await using machine = await Machine.create({
    bios: program("virtio_disk"),
    ...(drive && { drives: drive }),
    ...more,
  });
  const stop = await machine.run({ maxInstructions: 1_000_000 });
  assert.equal(stop.kind, "exit", machine.console.output);
  return { output: machine.console.output, instructions: stop.instructions };
}

const DEVICES = [{ driver: "virtio-blk-device", drive: "d0" }];

test("a disk in memory, in a file and of one's own are the same to the guest, to the instruction", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-"));
  try {
    const path = join(folder, "disk.img"), memory = bytes(65536), own = new MemoryBlocks(bytes(65536));
    writeFileSync(path, bytes(65536));
    const runs = [];
    for (const file of [memory, path, own, { name: "disk", bytes: bytes(65536) }]) {
      runs.push(await runDriver([{ file, interface: "none", id: "d0" }], { devices: DEVICES }));
    }
    // A drive of the usual interface has a device of its own, in the last transport.
    runs.push(await runDriver([{ file: bytes(65536) }]));
    runs.push(
      await runDriver([{ file: bytes(65536), interface: "none", id: "d0" }], {
        devices: DEVICES,
        accel: "interpreter",
      }),
    );
    for (const run of runs) assert.deepEqual(run, runs[0]);
    assert.deepEqual(new Uint8Array(readFileSync(path)), memory);
    assert.notDeepEqual(memory, bytes(65536));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("snapshot, of a drive or of all, leaves the image as it was, and the guest sees what it wrote", async () => {
  const written = await runDriver([{ file: bytes(65536) }]);
  for (const [drive, snapshot] of [[{ snapshot: true }, false], [{}, true]] as const) {
    const image = bytes(65536);
    assert.deepEqual(await runDriver([{ file: image, ...drive }], { snapshot }), written);
    assert.deepEqual(image, bytes(65536));
  }
  const image = bytes(65536);
  await runDriver([{ file: image, snapshot: false }], { snapshot: true });
  assert.notDeepEqual(image, bytes(65536));
});

test("a read-only disk refuses to be written, and its file may be read-only", () => {
  withFolder((folder) => {
    const path = join(folder, "disk.img");
    writeFileSync(path, bytes(65536), { mode: 0o444 });
    const run = hartbeat([
      ..."-machine virt -display none -serial stdio -monitor none -bios".split(" "),
      ...[program("virtio_disk"), "-drive", `file=${path},format=raw,readonly=on`],
    ]);
    assert.match(run.stdout, /write by interrupt 00000001\n/);
    assert.deepEqual(new Uint8Array(readFileSync(path)), bytes(65536));
  });
});

test("an error of the host is an I/O error to the guest, not the end of the run", async () => {
  const own = new MemoryBlocks(bytes(65536));
  const broken = {
    size: own.size,
    readOnly: false,
    read: (offset: number, into: Uint8Array) => own.read(offset, into),
    write: () => {
      throw new Error("no space");
    },
    flush: () => {},
  };
  assert.match((await runDriver([{ file: broken }])).output, /write by interrupt 00000001\nflush 00000000/);
});

test("an image that ends within a sector is read with zeros behind it", () => {
  const blocks = new MemoryBlocks(Uint8Array.of(1, 2, 3)), into = new Uint8Array(512).fill(9);
  assert.equal(blocks.size, 512);
  blocks.read(0, into);
  assert.deepEqual([...into.subarray(0, 5)], [1, 2, 3, 0, 0]);
  blocks.write(0, new Uint8Array(512).fill(7));
  blocks.read(0, into);
  assert.deepEqual([...into.subarray(0, 5)], [7, 7, 7, 0, 0]);
});

test("an overlay reads what was written to it, else what is under it, over the borders of its clusters", () => {
  const size = 300_000, under = bytes(size), overlay = new Overlay(new MemoryBlocks(under)), expected = under.slice();
  const next = randomWords(3);
  for (let k = 0; k < 100; k++) {
    const at = next() % size, length = Math.min(size - at, 1 + next() % 100_000);
    if (k % 2 === 0) {
      const data = bytes(length, k + 1);
      expected.set(data, at);
      overlay.write(at, data);
      continue;
    }
    const into = new Uint8Array(length);
    overlay.read(at, into);
    assert.deepEqual(into, expected.slice(at, at + length));
  }
  assert.deepEqual(under, bytes(size));
  const saved = overlay.snapshot();
  overlay.write(0, new Uint8Array(size));
  overlay.restore(saved);
  const all = new Uint8Array(size);
  overlay.read(0, all);
  assert.deepEqual(all, expected);
});

/** Device IDs of the eight transports. */
async function deviceIds(options: MachineOptions): Promise<number[]> {
  const machine = await Machine.create({ bios: program("virtio_disk"), ...options });
  const ids: number[] = [];
  for (let slot = 0; slot < 8; slot++) {
    // Registers can only be read by the guest: lw a0, 8(a0).
    machine.memory.write32(0x8000_0000, 0x00852503);
    machine.hart.pc = 0x8000_0000;
    machine.hart.x.a0 = BigInt(0x1000_1000 + 0x1000 * slot);
    machine.step();
    ids.push(Number(machine.hart.x.a0));
  }
  return ids;
}

test("devices go to the last free transport, or to the bus that they name; drives of their own come after them", async () => {
  const drives = [
    { file: bytes(512) },
    ...["a", "b", "c"].map((id) => ({ id, interface: "none" as const, file: bytes(512) })),
  ];
  const devices = [
    { driver: "virtio-blk-device", drive: "a" },
    { driver: "virtio-blk-device", drive: "b", bus: "virtio-mmio-bus.0" },
    { driver: "virtio-blk-device", drive: "c" },
  ];
  assert.deepEqual(await deviceIds({ drives, devices }), [2, 0, 0, 0, 0, 2, 2, 2]);
});

const drives = [
  { id: "x0", interface: "none" as const, file: bytes(512) },
  { id: "x1", interface: "none" as const, file: bytes(512) },
  { id: "auto", file: bytes(512) },
];
const disk = (more: Record<string, string | number> = {}) => ({ driver: "virtio-blk-device", drive: "x0", ...more });
for (
  const [options, message] of [
    [
      { drives, devices: [disk({ drive: "x2" })] },
      /Property 'virtio-blk-device.drive' can't find value 'x2'; did you mean x0/,
    ],
    [{ devices: [{ driver: "virtio-blk-device" }] }, /^-device virtio-blk-device: drive property not set/],
    [
      { drives, devices: [disk({ bus: "virtio-mmio-bus.9" })] },
      /Bus 'virtio-mmio-bus.9' not found; did you mean virtio-mmio-/,
    ],
    [
      { drives, devices: [disk({ bus: "virtio-mmio-bus.0" }), disk({ drive: "x1", bus: "virtio-mmio-bus.0" })] },
      /Bus 'virtio-mmio-bus.0' is full/,
    ],
    [{ drives, devices: [disk(), disk()] }, /Drive 'x0' is already in use by another device/],
    [
      { drives, devices: [disk({ drive: "auto" })] },
      /automatically connected to another device \(did you need 'if=none'/,
    ],
    [
      { drives, devices: [{ driver: "virtio-blk-devic" }] },
      /'virtio-blk-devic' is not a valid device model name; did you mean/,
    ],
    [{ devices: [{ driver: "virtio-blk-pci" }] }, /no PCI devices; virtio-blk-device is the same on virtio-mmio/],
    [{ devices: [{ driver: "virtio-gpu-device" }] }, /'virtio-gpu-device' is not supported yet; -device help/],
    [
      { drives, devices: [disk({ bootindex: 1 }), { driver: "virtio-net-device", bootindex: 1 }] },
      /The bootindex 1 has already been used/,
    ],
    [
      { drives, devices: [disk({ serail: "1" })] },
      /Property 'virtio-blk-device.serail' not found; did you mean serial\?/,
    ],
    [{ drives, devices: [disk({ event_idx: "maybe" })] }, /Parameter 'event_idx' expects 'on' or 'off', not maybe/],
    [{ drives, devices: [disk({ "queue-size": 99999 })] }, /Parameter 'queue-size' expects uint16_t/],
    [{ drives, devices: [disk({ "queue-size": 300 })] }, /invalid queue-size property \(300\), must be a power of 2/],
    [{ drives, devices: [disk({ "queue-size": "abc" })] }, /Parameter 'queue-size' expects an integer, not abc/],
    [
      { drives, devices: [disk({ logical_block_size: "4k" })] },
      /logical_block_size > physical_block_size not supported/,
    ],
    [{ drives, devices: [disk({ id: "a" }), disk({ id: "a", drive: "x1" })] }, /Duplicate ID 'a' for device/],
    [{ drives, devices: [disk({ id: "1a" })] }, /Parameter 'id' expects an identifier/],
    [{ drives: [drives[0]!, drives[0]!] }, /Duplicate ID 'x0' for drive/],
    [
      { drives: Array.from({ length: 9 }, () => ({ file: bytes(512) })) },
      /No 'virtio-bus' bus found .*all 8 have a device/,
    ],
    [{ machine: "spike", drives: [{ file: bytes(512) }] }, /No 'virtio-bus' bus found .*this board has none/],
    [
      { globals: [{ driver: "virtio-mmio", property: "force", value: true }] },
      /Property 'virtio-mmio.force' not found; did/,
    ],
    [
      { globals: [{ driver: "virtio-mmo", property: "x", value: true }] },
      /no device virtio-mmo; did you mean virtio-mmio\?/,
    ],
  ] as [MachineOptions, RegExp][]
) {
  test(`refused in one line: ${message.source}`, async () => {
    await assert.rejects(Machine.create(options), (error: Error) => {
      assert.ok(error instanceof OptionError, error.stack);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
  });
}

test("an image in another format is refused, unless it is called raw", async () => {
  const file = new Uint8Array(1024);
  file.set([0x51, 0x46, 0x49, 0xfb]);
  await assert.rejects(Machine.create({ drives: [{ file: { name: "a.qcow2", bytes: file } }] }), {
    name: "OptionError",
    message: "-drive file=a.qcow2: 'a.qcow2' is a qcow2 image, and only raw ones can be used; " +
      "qemu-img convert -O raw a.qcow2 FILE makes one (format=raw takes it as it is)",
  });
  await (await Machine.create({ drives: [{ file, format: "raw" }] }))[Symbol.asyncDispose]();
});

test("a file that is not there, and a folder, are refused", async () => {
  for (const [file, why] of [["/no/such.img", "there is no such file"], [tmpdir(), "it is a folder"]] as const) {
    await assert.rejects(Machine.create({ drives: [{ file }] }), (error: Error) => {
      assert.ok(error instanceof LoadError);
      assert.equal(error.message, `-drive file=${file}: Could not open '${file}': ${why}`);
      return true;
    });
  }
});

test("-device help lists models, -device MODEL,help their properties", () => {
  assert.match(hartbeat(["-device", "help"]).stdout, /^ {2}virtio-blk-device +disk$/m);
  assert.match(hartbeat(["-device", "virtio-blk-device,help"]).stdout, /^ {2}serial=<str> +serial number, 20 bytes$/m);
  assert.match(hartbeat(["-device", "loader,help"]).stdout, /^ {2}cpu-num=<uint32>/m);
  const wrong = hartbeat(["-device", "virtio-blk,help"]);
  assert.equal(wrong.code, 1);
  assert.equal(
    wrong.stderr,
    "hartbeat: -device virtio-blk,help: 'virtio-blk' is not a valid device model name; did you mean virtio-blk-device?\n",
  );
});
