// The `virt` board beside QEMU's: its device tree, what fw_cfg tells the firmware, and the empty PCI Express bus.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Machine, type MachineOptions } from "../mod.ts";
import type { DeviceTreeNode, Width } from "../devices/device.ts";
import type { Xlen } from "../isa/instruction.ts";
import { HIGH } from "../isa/pair.ts";
import { debugAccess } from "../machine/debug_access.ts";
import { parseDeviceTree } from "../machine/device_tree_reader.ts";
import { randomWords } from "./random_words.ts";
import { qemuMissing } from "./support/qemu.ts";
import { BusBoard, type DeviceBoard, QtestBoard } from "./support/qtest.ts";

const skip = qemuMissing(64) || qemuMissing(32);

/** Where phandles are in the cells of properties: which of how many. */
const PHANDLES: Readonly<Record<string, readonly [place: number, of: number]>> = {
  "interrupt-parent": [0, 1],
  "regmap": [0, 1],
  "cpu": [0, 1],
  "interrupts-extended": [0, 2],
  "interrupt-map": [4, 6],
};
/** What is of the harts, which differ, and a property that differs from run to run in QEMU. */
const OWN = /^(riscv,isa.*|riscv,cbo.*|mmu-type|phandle)$/, RANDOM = "rng-seed";

/** Every property of a tree in a line, in order, with paths in place of phandles. */
function lines(blob: Uint8Array): string[] {
  const { root } = parseDeviceTree(blob, "tree"), paths = new Map<number, string>(), all: string[] = [];
  const bytesOf = (value: unknown) => value instanceof Uint8Array ? value : new Uint8Array();
  const cellsOf = (bytes: Uint8Array) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return Array.from({ length: bytes.length / 4 }, (_, k) => view.getUint32(4 * k));
  };
  const walk = (node: DeviceTreeNode, path: string, visit: (node: DeviceTreeNode, path: string) => void) => {
    visit(node, path);
    for (const [name, child] of Object.entries(node.children ?? {})) walk(child, `${path}/${name}`, visit);
  };
  walk(root, "", ({ properties }, path) => {
    if ("phandle" in properties) paths.set(cellsOf(bytesOf(properties["phandle"]))[0]!, path);
  });
  walk(root, "", ({ properties }, path) => {
    // QEMU describes counters of events, which it has and hartbeat has not.
    if (path === "/pmu") return;
    all.push(path);
    for (const [name, value] of Object.entries(properties)) {
      if (OWN.test(name) || path.endsWith("interrupt-controller") && name === "#address-cells") continue;
      const bytes = bytesOf(value), [place, of] = PHANDLES[name] ?? [0, 0];
      const text = of > 0
        ? cellsOf(bytes).map((cell, k) => k % of === place ? paths.get(cell) ?? `no phandle ${cell}` : cell).join(" ")
        : name === RANDOM
        ? `${bytes.length} bytes`
        : String.fromCharCode(...bytes);
      all.push(`${path} ${name} = ${text}`);
    }
  });
  return all;
}

function treeOfQemu(xlen: Xlen, options: readonly string[], board: string): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-"));
  try {
    const path = join(folder, "tree.dtb"), fixed = ["-bios", "none", "-display", "none"];
    const command = `qemu-system-riscv${xlen}`;
    const { status, stderr } = spawnSync(command, ["-M", `${board},dumpdtb=${path}`, ...fixed, ...options]);
    assert.equal(status, 0, String(stderr));
    return readFileSync(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const xlen of [32, 64] as const) {
  const cases: readonly [string, readonly string[], MachineOptions][] = [
    ["virt", [], {}],
    ["virt,aclint=on", ["-smp", "3", "-m", "256M"], { aclint: true, smp: 3, memory: "256M" }],
    ["spike", ["-smp", "2"], { machine: "spike", smp: 2 }],
  ];
  for (const [board, options, ours] of cases) {
    test(
      `the device tree of an RV${xlen} ${board} has QEMU's nodes and properties in QEMU's order`,
      { skip },
      async () => {
        const append = "console=ttyS0", bios = "none", cpu = `rv${xlen}`;
        const withAppend = board === "spike" ? {} : { append };
        await using machine = await Machine.create({ cpu, bios, ...withAppend, ...ours });
        const kernel = ["-kernel", "tests/programs/kernel.elf", "-append", append];
        const expected = lines(treeOfQemu(xlen, board === "spike" ? options : [...options, ...kernel], board));
        // HTIF is there only for programs that use it.
        assert.deepEqual(lines(machine.deviceTree), expected.filter((line) => !/htif/.test(line)));
      },
    );
  }
}

/** Addresses of fw_cfg: data, selector, DMA. */
const DATA = 0x1010_0000, SELECTOR = DATA + 8, DMA = DATA + 16;
const REQUEST = 0x8000_0100, BUFFER = 0x8000_0200, BUFFER_SIZE = 0x80;

const swap16 = (value: number) => value >> 8 & 0xff | (value & 0xff) << 8;

/** A DMA request: control, length, address. */
function request(control: number, length: number, address: number): Uint8Array {
  const bytes = new Uint8Array(16), view = new DataView(bytes.buffer);
  view.setUint32(0, control);
  view.setUint32(4, length);
  view.setBigUint64(8, BigInt(address));
  return bytes;
}

async function transfer(board: DeviceBoard, ...parts: Parameters<typeof request>): Promise<Uint8Array> {
  await board.writeMemory(REQUEST, request(...parts));
  await board.write(DMA, 4, 0);
  const low = new DataView(new ArrayBuffer(4));
  low.setUint32(0, REQUEST);
  await board.write(DMA + 4, 4, low.getUint32(0, true));
  return await board.readMemory(REQUEST, 4);
}

/** Runs the same on QEMU's board and on ours. */
async function sideBySide(
  options: readonly string[],
  ours: MachineOptions,
  body: (both: (f: (board: DeviceBoard) => Promise<unknown>, what: string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const qemu = new QtestBoard(options);
  try {
    await using machine = await Machine.create({ cpu: "rv64", memory: "16M", bios: "none", ...ours });
    const here = new BusBoard(debugAccess(machine).bus, () => {});
    await body(async (f, what) => assert.deepEqual(await f(here), await f(qemu), what));
  } finally {
    await qemu.close();
  }
}

test("fw_cfg has the items and files that it has in QEMU", { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-"));
  try {
    const chip = join(folder, "flash.img"), initrd = join(folder, "initrd"), kernel = "tests/programs/kernel.elf";
    writeFileSync(chip, "");
    truncateSync(chip, 0x200_0000);
    writeFileSync(initrd, "a ramdisk");
    const disk = { file: new Uint8Array(512), interface: "none" } as const;
    const cases: readonly [string, string[], MachineOptions][] = [
      ["three harts", ["-smp", "3"], { smp: 3 }],
      ["a kernel in memory", ["-kernel", kernel, "-append", "quiet"], { kernel, append: "quiet" }],
      [
        "a kernel for firmware in flash",
        [..."-drive if=pflash,unit=1,format=raw,file=".split(" ").map((x) => x.endsWith("=") ? x + chip : x)].concat(
          ["-kernel", kernel, "-append", "quiet", "-initrd", initrd],
        ),
        { drives: [{ file: chip, interface: "pflash", unit: 1 }], kernel, append: "quiet", initrd },
      ],
      [
        "devices to boot from",
        [
          ...["-drive", `file=${initrd},if=none,id=a,format=raw,readonly=on`],
          ...["-device", "virtio-blk-device,drive=a,bootindex=7"],
          ...["-device", "virtio-net-device,bootindex=2", "-device", "virtio-net-device"],
        ],
        {
          drives: [{ ...disk, id: "a" }],
          devices: [
            { driver: "virtio-blk-device", drive: "a", bootindex: 7 },
            { driver: "virtio-net-device", bootindex: 2 },
            { driver: "virtio-net-device" },
          ],
        },
      ],
    ];
    for (const [what, options, ours] of cases) {
      await sideBySide(options, ours, async (both) => {
        for (let key = 0; key < 0x24; key++) {
          await both(async (board) => {
            await board.write(SELECTOR, 2, swap16(key));
            await transfer(board, 2, BUFFER_SIZE, BUFFER);
            const start = await board.readMemory(BUFFER, BUFFER_SIZE), more = [];
            for (let k = 0; k < 0x80; k += 4) more.push(await board.read(DATA, 4));
            return [start, more];
          }, `${what}: item 0x${key.toString(16)}`);
        }
      });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("random use of fw_cfg's registers and DMA does what it does in QEMU", { skip }, async () => {
  await sideBySide(["-smp", "3"], { smp: 3 }, async (both) => {
    const next = randomWords(5), pick = <T>(...of: readonly T[]) => of[(next() >>> 8) % of.length]!;
    const keys = [0, 1, 5, 0x19, 0x19, 0x20, 0x22, 0x3f, 0x40, 0x4000, 0x4001, 0x4022, 0x8000, 0x8019, 0xffff];
    for (let step = 0; step < 400; step++) {
      const width = pick<Width>(1, 2, 4), at = pick(0, 4);
      switch (pick("select", "read", "read", "dma", "dma", "signature", "write")) {
        case "select": {
          const key = pick(...keys);
          await both((board) => board.write(SELECTOR, 2, swap16(key)), `select ${key}`);
          break;
        }
        case "read":
          await both((board) => board.read(DATA, width), `${step}: read ${width}`);
          break;
        case "signature":
          await both((board) => board.read(DMA + at, width), `${step}: signature`);
          break;
        case "write":
          await both((board) => board.write(DATA, width, 0x55), "write");
          break;
        default: {
          const control = (next() & 0x1f) | pick(...keys) << 16, length = pick(0, 1, 7, 64, 100);
          const address = pick(BUFFER, BUFFER + 1);
          await both(
            async (board) => [
              await transfer(board, control, length, address),
              await board.readMemory(BUFFER, BUFFER_SIZE),
            ],
            `${step}: DMA ${control.toString(16)} of ${length}`,
          );
        }
      }
    }
    await both((board) => transfer(board, 2 | 8, 16, 0x1_0000_0000), "DMA to where no memory is");
  });
});

test("fw_cfg's data is also read by doublewords, and a request's address written by one", async () => {
  await using machine = await Machine.create({ cpu: "rv64", memory: "16M", bios: "none" });
  const { bus } = debugAccess(machine);
  bus.write(SELECTOR, 2, 0x1900, 0);
  assert.deepEqual([bus.read(DATA, 8), HIGH[0]], [0x0300_0000, 0]);
  bus.writeBytes(REQUEST, request(0x19_000a, 4, BUFFER));
  bus.write(DMA, 8, 0, 0x0001_0080);
  assert.deepEqual(bus.readBytes(BUFFER, 4), Uint8Array.of(0, 0, 0, 3));
});

test("the PCI Express bus has only QEMU's host bridge, and nothing answers behind its windows", { skip }, async () => {
  await sideBySide([], {}, async (both) => {
    const next = randomWords(9), bridge = 0x3000_0000;
    for (let offset = 0; offset < 0x100; offset += 4) {
      await both(async (board) => {
        const before = await board.read(bridge + offset, 4);
        await board.write(bridge + offset, 4, 0xffff_ffff);
        const ones = await board.read(bridge + offset, 4);
        await board.write(bridge + offset, 4, 0);
        return [before, ones, await board.read(bridge + offset, 4)];
      }, `register ${offset}`);
    }
    for (let step = 0; step < 100; step++) {
      const width = [1, 2, 4][next() % 3] as Width,
        offset = (next() & 0xff) & -width,
        value = next() >>> 32 - 8 * width;
      await both(async (board) => {
        await board.write(bridge + offset, width, value);
        return [await board.read(bridge + offset, width), await board.read(bridge + (offset & -4), 4)];
      }, `${width} bytes at ${offset}`);
    }
    const elsewhere = [0x100, 0xffc, 0x1000, 0x8000, 0x10_0000, 0xfff_fffc].map((offset) => bridge + offset);
    const windows = [0x300_0000, 0x300_fffc, 0x4000_0000, 0x7fff_fffc, 0x4_0000_0000, 0x7_ffff_fffc];
    for (const address of [...elsewhere, ...windows]) {
      for (const width of [1, 2, 4] as const) {
        await both(async (board) => {
          await board.write(address, width, 0);
          return await board.read(address, width);
        }, `${width} bytes at 0x${address.toString(16)}`);
      }
    }
  });
});
