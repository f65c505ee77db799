// Device trees: what is written is what dtc reads, what is read is what was written, damage is refused.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import type { DeviceTreeNode } from "../devices/device.ts";
import { buildDeviceTree, cells64, nodeAt, withProperty } from "../machine/device_tree.ts";
import { parseDeviceTree } from "../machine/device_tree_reader.ts";
import { HartbeatError, LoadError } from "../machine/errors.ts";

const intc = "/cpus/cpu@0/interrupt-controller";

/** A board in small, with every kind of property value. */
const board: DeviceTreeNode = {
  properties: { "#address-cells": 2, "#size-cells": 2, compatible: "riscv-virtio", model: "riscv-virtio,test" },
  children: {
    "memory@80000000": { properties: { device_type: "memory", reg: cells64(0x8000_0000, 0x1_0000_0000n) } },
    chosen: { properties: { bootargs: "console=ttyS0", "stdout-path": "/soc/serial@10000000" } },
    cpus: {
      properties: { "#address-cells": 1, "#size-cells": 0, "timebase-frequency": 10_000_000 },
      children: {
        "cpu@0": {
          properties: { device_type: "cpu", reg: 0, compatible: "riscv", status: "okay", "riscv,isa": "rv64imac" },
          children: {
            "interrupt-controller": {
              properties: {
                "#interrupt-cells": 1,
                "#address-cells": 0,
                "interrupt-controller": true,
                compatible: "riscv,cpu-intc",
              },
            },
          },
        },
      },
    },
    soc: {
      properties: { "#address-cells": 2, "#size-cells": 2, compatible: "simple-bus", ranges: true },
      children: {
        "plic@c000000": {
          properties: {
            compatible: ["sifive,plic-1.0.0", "riscv,plic0"],
            reg: cells64(0xc00_0000, 0x60_0000),
            "#interrupt-cells": 1,
            "#address-cells": 0,
            "interrupt-controller": true,
            "interrupts-extended": [{ reference: intc }, 0xffff_ffff, { reference: intc }, 9],
          },
        },
        "serial@10000000": {
          properties: {
            compatible: "ns16550a",
            reg: cells64(0x1000_0000, 0x100),
            interrupts: 10,
            "interrupt-parent": { reference: "/soc/plic@c000000" },
            "local-mac-address": new Uint8Array([1, 2, 3, 4, 5]),
          },
        },
      },
    },
  },
};

function missing(tool: string, get: string): string | false {
  if (process.env.CI || spawnSync(tool, ["--version"]).error === undefined) return false;
  return `${tool} is missing: apt-get install ${get}`;
}

/** Text of a blob by dtc; any warning fails. */
function decompile(blob: Uint8Array): string {
  const { stdout, stderr, status } = spawnSync("dtc", ["-I", "dtb", "-O", "dts", "-"], {
    input: blob,
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  assert.equal(status, 0);
  return stdout;
}

const noDtc = missing("dtc", "device-tree-compiler");

test("dtc reads a built tree without warnings and shows every value", { skip: noDtc }, () => {
  const options = { memoryReservations: [{ address: 0x8000_0000n, size: 0x4_0000n }], bootHart: 3 };
  const text = decompile(buildDeviceTree(board, options)).replaceAll(/\s+/g, " ").replaceAll("\\0", '", "');
  const expected = [
    "/memreserve/ 0x0000000080000000 0x0000000000040000;",
    "reg = <0x00 0x80000000 0x01 0x00>;",
    'bootargs = "console=ttyS0";',
    "#size-cells = <0x00>;",
    "timebase-frequency = <0x989680>;",
    "interrupt-controller { #interrupt-cells = <0x01>; #address-cells = <0x00>; interrupt-controller; " +
    'compatible = "riscv,cpu-intc"; phandle = <0x01>; };',
    'compatible = "sifive,plic-1.0.0", "riscv,plic0";',
    "interrupts-extended = <0x01 0xffffffff 0x01 0x09>; phandle = <0x02>;",
    "interrupt-parent = <0x02>;",
    "local-mac-address = [01 02 03 04 05];",
    "ranges;",
  ];
  for (const part of expected) assert.ok(text.includes(part), `${part} in ${text}`);
});

test("the header has the fields of version 17", () => {
  const blob = buildDeviceTree({ properties: {} }, { bootHart: 2 });
  const header = Array.from({ length: 10 }, (_, index) => new DataView(blob.buffer).getUint32(4 * index));
  assert.deepEqual(header, [0xd00dfeed, 72, 56, 72, 40, 17, 16, 2, 0, 16]);
  assert.deepEqual([...blob.subarray(56)], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 9]);
});

test("properties, names and trees of any length are written", () => {
  const big = new Uint8Array(100_000).fill(7);
  const children: Record<string, DeviceTreeNode> = {};
  for (let index = 0; index < 500; index++) {
    children[`node@${index}`] = { properties: { [`property-${index}`]: index } };
  }
  const { root } = parseDeviceTree(buildDeviceTree({ properties: { big }, children }), "k");
  assert.deepEqual(root.properties.big, big);
  assert.deepEqual(nodeAt(root, "/node@499")!.properties["property-499"], new Uint8Array([0, 0, 1, 243]));
});

test("a property name that occurs twice is stored once", () => {
  const blob = buildDeviceTree({ properties: { reg: 1 }, children: { a: { properties: { reg: 2 } } } });
  assert.equal(new DataView(blob.buffer).getUint32(32), "reg\0".length);
});

test("a built tree is read as it was written and writes the same blob again", () => {
  const options = { memoryReservations: [{ address: (1n << 64n) - 1n, size: 1n }], bootHart: 7 };
  const blob = buildDeviceTree(board, options);
  const tree = parseDeviceTree(blob, "board.dtb");
  assert.deepEqual({ memoryReservations: tree.memoryReservations, bootHart: tree.bootHart }, options);
  assert.deepEqual(buildDeviceTree(tree.root, tree), blob);
  const serial = nodeAt(tree.root, "/soc/serial@10000000")!;
  assert.deepEqual(serial.properties.reg, new Uint8Array([0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]));
  assert.deepEqual(serial.properties.compatible, new TextEncoder().encode("ns16550a\0"));
  assert.deepEqual(serial.properties["interrupt-parent"], new Uint8Array([0, 0, 0, 2]));
  const plic = nodeAt(tree.root, "/soc/plic@c000000")!;
  assert.deepEqual(plic.properties["interrupt-controller"], new Uint8Array());
  assert.deepEqual(Object.keys(tree.root.children!), ["memory@80000000", "chosen", "cpus", "soc"]);
});

test("bytes after the tree and NOP tokens are skipped", () => {
  const blob = buildDeviceTree(board);
  const longer = new Uint8Array(blob.length + 100);
  longer.set(blob);
  assert.deepEqual(buildDeviceTree(parseDeviceTree(longer, "k").root), blob);
  // The property "model" of the root becomes three NOPs and more, as firmware deletes properties in place.
  const view = new DataView(longer.buffer);
  const text = new TextDecoder("latin1").decode(longer);
  const property = text.indexOf("riscv-virtio,test") - 12;
  for (let at = property; at < property + 12 + 20; at += 4) view.setUint32(at, 4);
  const { root } = parseDeviceTree(longer, "k");
  assert.deepEqual(Object.keys(root.properties), ["#address-cells", "#size-cells", "compatible"]);
});

test("version 16, which lacks the structure's size, is read", () => {
  const blob = buildDeviceTree(board);
  const view = new DataView(blob.buffer);
  view.setUint32(20, 16);
  view.setUint32(36, 0xffff_ffff);
  assert.deepEqual(Object.keys(parseDeviceTree(blob, "k").root.children!), [
    "memory@80000000",
    "chosen",
    "cpus",
    "soc",
  ]);
});

test("properties are set, replaced and removed in a copy", () => {
  const { root } = parseDeviceTree(buildDeviceTree(board), "k");
  let changed = withProperty(root, "/chosen", "linux,initrd-start", cells64(0x8400_0000));
  changed = withProperty(changed, "/chosen", "bootargs", "quiet");
  changed = withProperty(changed, "/firmware/opensbi", "present", true);
  changed = withProperty(changed, "/", "model", undefined);
  const again = parseDeviceTree(buildDeviceTree(changed), "k").root;
  const chosen = nodeAt(again, "/chosen")!.properties;
  assert.deepEqual(chosen["linux,initrd-start"], new Uint8Array([0, 0, 0, 0, 0x84, 0, 0, 0]));
  assert.deepEqual(chosen.bootargs, new TextEncoder().encode("quiet\0"));
  assert.deepEqual(nodeAt(again, "/firmware/opensbi")!.properties.present, new Uint8Array());
  assert.equal(again.properties.model, undefined);
  assert.deepEqual(nodeAt(root, "/chosen")!.properties.bootargs, new TextEncoder().encode("console=ttyS0\0"));
  assert.equal(nodeAt(root, "/firmware"), undefined);
  assert.notEqual(root.properties.model, undefined);
});

test("phandles that are there are kept and not given again", () => {
  const { root } = parseDeviceTree(buildDeviceTree(board), "k");
  let tree = withProperty(root, "/chosen", "a", { reference: "/memory@80000000" });
  tree = withProperty(tree, "/chosen", "b", { reference: "/soc/plic@c000000" });
  const again = parseDeviceTree(buildDeviceTree(tree), "k").root;
  assert.deepEqual(nodeAt(again, "/chosen")!.properties.a, new Uint8Array([0, 0, 0, 3]));
  assert.deepEqual(nodeAt(again, "/chosen")!.properties.b, new Uint8Array([0, 0, 0, 2]));
  assert.deepEqual(nodeAt(again, "/memory@80000000")!.properties.phandle, new Uint8Array([0, 0, 0, 3]));
});

test("what cannot be written is refused with the place", () => {
  const one = (name: string, value: DeviceTreeNode["properties"][string]): DeviceTreeNode => ({
    properties: {},
    children: { soc: { properties: { [name]: value } } },
  });
  const cases: [DeviceTreeNode, RegExp][] = [
    [one("interrupt-parent", { reference: "/soc/plic" }), /reference to \/soc\/plic, but there is no such node/],
    [one("interrupt-parent", { reference: "soc" }), /reference to soc, but/],
    [one("reg", 2 ** 32), /\/soc reg: 4294967296 is not an unsigned 32-bit cell/],
    [one("reg", [0, -1]), /-1 is not/],
    [one("reg", 0.5), /0\.5 is not/],
    [one("a/b", true), /\/soc: bad property name "a\/b"/],
    [{ properties: {}, children: { "a/b": { properties: {} } } }, /\/: bad node name "a\/b"/],
    [{ properties: {}, children: { "": { properties: {} } } }, /bad node name ""/],
  ];
  for (const [root, message] of cases) {
    assert.throws(() => buildDeviceTree(root), (error: Error) => {
      assert.ok(error instanceof HartbeatError);
      assert.match(error.message, message);
      return true;
    });
  }
  assert.throws(() => cells64(-1), HartbeatError);
  assert.throws(() => cells64(1n << 64n), HartbeatError);
  assert.deepEqual(cells64((1n << 64n) - 1n, 5), [0xffff_ffff, 0xffff_ffff, 0, 5]);
});

test("names that mean something to JavaScript are only names", () => {
  const names = ["__proto__", "constructor", "toString"];
  let root: DeviceTreeNode = { properties: {} };
  for (const name of names) {
    root = withProperty(root, "/", name, name);
    root = withProperty(root, `/${name}`, "x", 1);
  }
  const tree = parseDeviceTree(buildDeviceTree(root), "k").root;
  assert.deepEqual(Object.keys(tree.properties), names);
  assert.deepEqual(Object.keys(tree.children!), names);
  assert.equal(nodeAt({ properties: {}, children: {} }, "/constructor"), undefined);
});

function mustBeSound(blob: Uint8Array, what: string): boolean {
  try {
    const tree = parseDeviceTree(blob, "k.dtb");
    parseDeviceTree(buildDeviceTree(tree.root, tree), "again");
    return true;
  } catch (error) {
    assert.ok(error instanceof LoadError, `${what}: ${(error as Error).stack}`);
    assert.match(error.message, /^k\.dtb: [^\n]+$/, what);
    return false;
  }
}

test("a blob cut anywhere is refused", () => {
  const blob = buildDeviceTree(board);
  for (let length = 0; length < blob.length; length++) {
    assert.equal(mustBeSound(blob.slice(0, length), `cut at ${length}`), false, `cut at ${length}`);
    // The same with the header's size made to agree.
    const shorter = blob.slice(0, length);
    if (length >= 8) new DataView(shorter.buffer).setUint32(4, length);
    assert.equal(mustBeSound(shorter, `shortened to ${length}`), false, `shortened to ${length}`);
  }
});

test("a blob with any byte changed is refused or sound", () => {
  const blob = buildDeviceTree(board, { memoryReservations: [{ address: 1n, size: 2n }] });
  for (let at = 0; at < blob.length; at++) {
    for (const value of [0, 1, 2, 3, 4, 9, 0x2f, 0x80, 0xff, blob[at] ^ 1]) {
      const copy = blob.slice();
      copy[at] = value;
      mustBeSound(copy, `byte ${at} set to ${value}`);
    }
  }
});

test("damage is told with its place", () => {
  const cell = (value: number) => [value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255];
  const tree = (...structure: number[]) => {
    const blob = buildDeviceTree({ properties: { ab: true } });
    const whole = new Uint8Array(56 + structure.length * 4 + 3);
    whole.set(blob.subarray(0, 56));
    whole.set(structure.flatMap(cell), 56);
    whole.set([97, 98, 0], 56 + structure.length * 4);
    const view = new DataView(whole.buffer);
    [whole.length, 56, 56 + structure.length * 4].forEach((value, index) => view.setUint32(4 + 4 * index, value));
    view.setUint32(32, 3);
    view.setUint32(36, structure.length * 4);
    return whole;
  };
  const named = 0x61 << 24;
  parseDeviceTree(tree(1, 0, 3, 0, 0, 1, named, 2, 2, 9), "good");
  const field = (at: number, value: number) => {
    const blob = tree(1, 0, 2, 9);
    new DataView(blob.buffer).setUint32(at, value);
    return blob;
  };
  const cases: [Uint8Array, RegExp][] = [
    [field(20, 15), /device tree version 15, readable as 16/],
    [field(24, 18), /device tree version 17, readable as 18/],
    [field(8, 54), /structure block at 0x36 to 0x46 is misaligned or outside/],
    [field(36, 100), /structure block at 0x38 to 0x9c is misaligned or outside/],
    [field(32, 4), /strings block at 0x48 lies outside of the tree's 75 bytes/],
    [field(16, 44), /memory reservations at 0x2c are misaligned/],
    [field(16, 64), /memory reservations at 0x40 are misaligned or have no end/],
    [new Uint8Array(100), /not a device tree blob/],
    [tree(9), /ends at 0x38 with nodes still open or none at all/],
    [tree(1, 0, 9), /ends at 0x40 with nodes still open/],
    [tree(1, 0, 2), /ends at 0x44 without its end token/],
    [tree(2), /token at 0x38 ends a node, but none is open/],
    [tree(7), /unknown token 0x7 at 0x38/],
    [tree(1, named, 2, 9), /second root node, or one with a name, at 0x38/],
    [tree(1, 0, 2, 1, 0, 2, 9), /second root node, or one with a name, at 0x44/],
    [tree(1, 0, 1, 0, 2, 2, 9), /node without name at 0x40/],
    [tree(1, 0, 1, named, 2, 1, named, 2, 2, 9), /node a at 0x4c is there twice/],
    [tree(3, 0, 0), /property at 0x38 outside of all nodes/],
    [tree(1, 0, 1, named, 2, 3, 0, 0, 2, 9), /property at 0x4c after a child node/],
    [tree(1, 0, 3, 0), /property at 0x40 is cut off/],
    [tree(1, 0, 3, 100, 0, 2, 9), /property at 0x40 has 100 bytes, past the block's end/],
    [tree(1, 0, 3, 0, 2, 2, 9), /property without name at 0x40/],
    [tree(1, 0, 3, 0, 3, 2, 9), /name at 0x57 has no end/],
    [tree(1, 0, 3, 0, 0, 3, 0, 0, 2, 9), /property ab at 0x4c is there twice/],
    [tree(1, 0x2f << 24, 2, 9), /name at 0x3c has characters that no name has/],
    [tree(1, 0, ...Array.from({ length: 64 }, () => [1, named]).flat()), /more than 64 deep/],
  ];
  for (const [blob, message] of cases) assert.throws(() => parseDeviceTree(blob, "k.dtb"), message);
});

const noQemu = missing("qemu-system-riscv64", "qemu-system-misc") || noDtc;
test("QEMU's own device tree survives reading and writing", { skip: noQemu }, () => {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-"));
  try {
    const file = join(folder, "virt.dtb");
    const { status } = spawnSync("qemu-system-riscv64", [
      "-M",
      `virt,dumpdtb=${file}`,
      "-smp",
      "2",
      "-display",
      "none",
    ]);
    assert.equal(status, 0);
    const blob = new Uint8Array(readFileSync(file));
    const tree = parseDeviceTree(blob, file);
    const copy = join(folder, "copy.dtb");
    writeFileSync(copy, buildDeviceTree(tree.root, tree));
    const text = (path: string) =>
      spawnSync("dtc", ["-q", "-I", "dtb", "-O", "dts", path], { encoding: "utf8" }).stdout;
    const ours = text(copy);
    assert.ok(ours.includes("riscv,plic0"));
    assert.equal(ours, text(file));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
