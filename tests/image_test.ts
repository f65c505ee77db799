// Images and what boards do with them: the rules of QEMU's virt board, checked against QEMU where it is installed.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  addDeviceTree,
  checkInMemory,
  checkNoOverlap,
  deviceTreeAddress,
  deviceTreeFileRoom,
  generatedDeviceTreeRoom,
  planBoot,
} from "../machine/boot.ts";
import type { BootOptions, LoaderOptions } from "../machine/boot.ts";
import { buildDeviceTree } from "../machine/device_tree.ts";
import { LoadError, OptionError } from "../machine/errors.ts";
import { imageKind, linuxHeader, loadImage, loadRamdisk } from "../machine/image.ts";
import type { ImageFile } from "../machine/image.ts";
import { buildElf } from "./elf_builder.ts";
import { monitorOfQemu, qemuMissing } from "./support/qemu.ts";

const mebibyte = 0x100000;
const ramBase = 0x8000_0000;

function file(name: string, bytes: Uint8Array | number[] | string): ImageFile {
  if (typeof bytes === "string") return { name, bytes: Uint8Array.from(bytes, (character) => character.charCodeAt(0)) };
  return { name, bytes: Uint8Array.from(bytes) };
}

const raw = file("raw.bin", Array.from({ length: 5000 }, (_, index) => index % 251));
const initrd = file("initrd.gz", [0x1f, 0x8b, ...Array.from({ length: 30_000 }, (_, index) => index % 253)]);
const p0uart = file("p0uart.elf", readFileSync(new URL("./programs/p0uart.elf", import.meta.url)));
const offset = file(
  "offset.elf",
  buildElf(64, 0x8040_1002n, [
    { physical: 0x8050_0000n, bytes: new Uint8Array([1, 2, 3, 4]), memorySize: 0x44n },
    { physical: 0x8040_1000n, bytes: new Uint8Array([1, 0, 1, 0]) },
  ]),
);
const high = file(
  "high.elf",
  buildElf(64, 0xffff_ffff_8040_1002n, [
    { physical: 0x8040_1000n, virtual: 0xffff_ffff_8040_1000n, bytes: new Uint8Array([1, 0, 1, 0]) },
  ]),
);

/** A Linux `Image` of 4 KiB that claims `imageSize` bytes of memory. */
function linux(imageSize: bigint, flags = 0n): ImageFile {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(8, 0x20_0000n, true);
  view.setBigUint64(16, imageSize, true);
  view.setBigUint64(24, flags, true);
  view.setUint32(32, 2, true);
  bytes.set(new TextEncoder().encode("RISCV\0\0\0RSC\x05"), 0x30);
  return { name: "Image", bytes };
}

/** A file in U-Boot's legacy format, type 2 kernel or 3 ramdisk. */
function uimage(type: number, payload: number[], load = 0, entry = 0, compression = 0): ImageFile {
  const bytes = new Uint8Array(64 + payload.length);
  const view = new DataView(bytes.buffer);
  [0x27051956, 0, 0, payload.length, load, entry].forEach((value, index) => view.setUint32(4 * index, value));
  bytes.set([5, 26, type, compression], 28);
  bytes.set(payload, 64);
  return { name: "uImage", bytes };
}

function boot(options: Partial<BootOptions> & { megabytes?: number }) {
  const { megabytes = 128, ...rest } = options;
  return planBoot({
    xlen: 64,
    harts: 1,
    memory: { name: "RAM", address: ramBase, size: megabytes * mebibyte },
    ...rest,
  });
}

const addresses = (pieces: readonly { address: number; memorySize: number }[]) =>
  pieces.map(({ address, memorySize }) => [address, memorySize]);

test("a file is recognised by its contents", () => {
  assert.equal(imageKind(p0uart.bytes), "elf");
  assert.equal(imageKind(linux(0n).bytes), "linux");
  assert.equal(imageKind(linux(0n).bytes.subarray(0, 63)), "raw");
  assert.equal(imageKind(uimage(2, []).bytes), "uimage");
  assert.equal(imageKind(raw.bytes), "raw");
  assert.equal(imageKind(new Uint8Array()), "raw");
  assert.equal(imageKind(initrd.bytes), "gzip");
  assert.equal(imageKind(file("", ":10010000214601360121470136007EFE09D21901").bytes), "hex");
  assert.equal(imageKind(file("", "MZ\0\0zimg").bytes), "zboot");
  // An Image with the EFI stub begins with MZ too.
  const stub = linux(0n).bytes;
  stub.set([0x4d, 0x5a]);
  assert.equal(imageKind(stub), "linux");
});

test("a Linux Image's header is read and its whole size must fit", () => {
  assert.deepEqual(linuxHeader(linux(0x140_0000n).bytes), {
    textOffset: 0x20_0000n,
    imageSize: 0x140_0000n,
    flags: 0n,
    version: 2,
  });
  assert.equal(linuxHeader(raw.bytes), undefined);
  const image = loadImage(linux(0x140_0000n), 0x8020_0000);
  assert.deepEqual(addresses(image.pieces), [[0x8020_0000, 0x140_0000]]);
  assert.equal(image.pieces[0].bytes.length, 4096);
  assert.equal(loadImage(linux(0n), 0).end, 4096);
  assert.throws(() => loadImage(linux(0n, 1n), 0), /^LoadError: Image: a big-endian Linux kernel/);
  assert.throws(() => loadImage(linux(1n << 60n), 0), LoadError);
});

test("what cannot be loaded as it is is refused with what to do", () => {
  const cases: [ImageFile, RegExp][] = [
    [file("empty", []), /^empty: the file is empty$/],
    [{ ...initrd, name: "Image.gz" }, /^Image\.gz: compressed \(gzip\); unpack it first with gunzip$/],
    [file("k.xz", "\xfd7zXZ\0"), /^k\.xz: compressed \(xz\); unpack it first with unxz$/],
    [file("k.zst", "\x28\xb5\x2f\xfd"), /zstd/],
    [file("k.bz2", "BZh9"), /bzip2/],
    [file("k.lz4", "\x02\x21\x4c\x18"), /lz4/],
    [file("k.hex", ":10010000214601360121470136007EFE09D21901"), /^k\.hex: Intel HEX; convert it first: objcopy/],
    [file("vmlinuz.efi", "MZ\0\0zimg"), /^vmlinuz\.efi: an EFI zboot image/],
    [uimage(3, [1]), /^uImage: a U-Boot image of type 3; expected 2 \(kernel\)$/],
    [uimage(2, [1], 0, 0, 1), /^uImage: its U-Boot payload is compressed/],
    [file("uImage", uimage(2, [1, 2, 3]).bytes.subarray(0, 66)), /truncated: its U-Boot header promises 67 bytes/],
    [file("cut.elf", p0uart.bytes.subarray(0, 100)), /^cut\.elf: program headers .* truncated\?$/],
  ];
  for (const [image, message] of cases) {
    assert.throws(() => loadImage(image, ramBase), (error: Error) => {
      assert.ok(error instanceof LoadError, error.stack);
      assert.match(error.message, message);
      return true;
    });
  }
});

test("a U-Boot kernel goes where it says, a ramdisk's U-Boot header is taken off", () => {
  const image = loadImage(uimage(2, [1, 2, 3], 0x8030_0000, 0x8030_0002), ramBase);
  assert.deepEqual(addresses(image.pieces), [[0x8030_0000, 3]]);
  assert.equal(image.entry, 0x8030_0002n);
  assert.deepEqual([...loadRamdisk(uimage(3, [4, 5]), ramBase).pieces[0].bytes], [4, 5]);
  assert.deepEqual(loadRamdisk(initrd, ramBase).pieces[0].bytes, initrd.bytes);
});

test("firmware: an ELF goes to its own addresses, raw bytes to the start of RAM, execution starts there", () => {
  const elf = boot({ bios: p0uart, xlen: 32 });
  assert.deepEqual(addresses(elf.images), [[ramBase, 0xf30]]);
  assert.deepEqual([elf.entry, elf.nextAddress, elf.warnings], [ramBase, 0, []]);
  assert.deepEqual(elf.elfs.map(({ name }) => name), ["p0uart.elf"]);
  assert.deepEqual(addresses(boot({ bios: raw }).images), [[ramBase, 5000]]);
});

test("the kernel follows the firmware at 2 MiB on RV64, at 4 MiB on RV32, and replaces it with -bios none", () => {
  assert.deepEqual(addresses(boot({ bios: raw, kernel: raw }).images), [[ramBase, 5000], [0x8020_0000, 5000]]);
  assert.deepEqual(addresses(boot({ xlen: 32, bios: raw, kernel: raw }).images), [
    [ramBase, 5000],
    [0x8040_0000, 5000],
  ]);
  // The end counts with zeroed memory: offset.elf ends at 0x80500044.
  assert.equal(boot({ bios: offset, kernel: raw }).nextAddress, 0x8060_0000);
  assert.equal(boot({ xlen: 32, bios: offset, kernel: raw }).nextAddress, 0x8080_0000);
  assert.equal(boot({ bios: "none", kernel: raw }).nextAddress, ramBase);
  const image = boot({ bios: raw, kernel: linux(0x10_0000n) });
  assert.deepEqual(addresses(image.images)[1], [0x8020_0000, 0x10_0000]);
});

test("a kernel ELF is started at its lowest address, a U-Boot image at its entry", () => {
  assert.equal(boot({ bios: raw, kernel: offset }).nextAddress, 0x8040_1000);
  assert.equal(boot({ bios: raw, kernel: high }).nextAddress, 0x8040_1000);
  const image = uimage(2, [1, 2, 3], 0x8030_0000, 0x8030_0002);
  assert.equal(boot({ bios: raw, kernel: image }).nextAddress, 0x8030_0002);
});

test("the ramdisk lies half of RAM, at most 128 MiB, after the kernel's start", () => {
  const place = (megabytes: number, kernel: ImageFile) => boot({ megabytes, bios: raw, kernel, initrd }).initrd;
  assert.deepEqual(place(100, raw), { start: 0x8340_0000, end: 0x8340_0000 + initrd.bytes.length });
  assert.equal(place(4096, raw)?.start, 0x8820_0000);
  assert.equal(place(128, offset)?.start, 0x8440_1000);
  assert.equal(place(129, raw)?.start, 0x8428_0000);
  assert.equal(boot({ bios: raw }).initrd, undefined);
  const empty = boot({ bios: raw, kernel: raw, initrd: file("empty", []) });
  assert.deepEqual(empty.initrd, { start: 0x8420_0000, end: 0x8420_0000 });
});

test("the device tree lies below the end of RAM and below 3 GiB, at 2 MiB", () => {
  const at = (size: number, room = generatedDeviceTreeRoom, address = ramBase) =>
    deviceTreeAddress({ name: "RAM", address, size }, room);
  assert.equal(at(128 * mebibyte), 0x87e0_0000);
  assert.equal(at(129 * mebibyte), 0x8800_0000);
  assert.equal(at(4096 * mebibyte), 0xbfe0_0000);
  assert.equal(at(4096 * mebibyte, generatedDeviceTreeRoom, 0x1_0000_0000), 0x1_ffe0_0000);
  assert.equal(at(128.5 * mebibyte), 0x87e0_0000);
  assert.equal(at(128.5 * mebibyte, deviceTreeFileRoom(4222)), 0x8800_0000);
  const memory = { name: "RAM", address: ramBase, size: 3 * mebibyte };
  const blob = buildDeviceTree({ properties: {} });
  const plan = boot({ megabytes: 3, bios: "none", kernel: raw });
  const placed = addDeviceTree(plan, memory, blob, generatedDeviceTreeRoom);
  assert.equal(placed.deviceTree, 0x8020_0000);
  assert.deepEqual(addresses(placed.images), [[ramBase, 5000], [0x8020_0000, blob.length]]);
  const small = { ...memory, size: mebibyte };
  assert.throws(
    () => addDeviceTree(plan, small, blob, generatedDeviceTreeRoom),
    /^LoadError: raw\.bin: 0x80000000 to 0x80001388 overlaps the device tree|^LoadError: the device tree: .* overlaps raw/,
  );
  assert.throws(
    () => addDeviceTree(plan, { ...memory, size: 0x1000 }, blob, generatedDeviceTreeRoom),
    /^LoadError: no room for the device tree in 4096 bytes of memory; give the machine more \(-m\)$/,
  );
});

test("what lies outside of memory is refused with file, range and memory's range", () => {
  const cases: [() => unknown, RegExp][] = [
    [
      () => boot({ bios: offset, megabytes: 5 }),
      /^offset\.elf segment 0: 0x80500000 to 0x80500044 does not fit into RAM at 0x80000000 to 0x80500000; link or/,
    ],
    [
      () => boot({ bios: raw, kernel: linux(0x400_0000n), megabytes: 64 }),
      /^Image: 0x80200000 to 0x84200000 does not fit into RAM at 0x80000000 to 0x84000000; .* more memory \(-m\)$/,
    ],
    [
      () => boot({ bios: file("low.elf", buildElf(32, 0n, [{ physical: 0n, bytes: new Uint8Array(4) }])) }),
      /^low\.elf segment 0: 0x0 to 0x4 does not fit into RAM at .*; link or load it there$/,
    ],
    [
      () => boot({ bios: file("huge.elf", buildElf(64, 0n, [{ physical: 0x8000_0000n, memorySize: 1n << 50n }])) }),
      /^huge\.elf segment 0: 0x80000000 to 0x4000080000000 does not fit/,
    ],
    [() => boot({ bios: "none", loaders: [{ file: raw, address: 0x9000_0000 }] }), /^raw\.bin: 0x90000000 to/],
    [() => boot({ bios: "none", loaders: [{ dataLength: 8, address: 0x87ff_fffc }] }), /^-device loader,data=0x0: /],
  ];
  for (const [make, message] of cases) {
    assert.throws(make, (error: Error) => {
      assert.ok(error instanceof LoadError, error.stack);
      assert.match(error.message, message);
      return true;
    });
  }
  const last = (address: number) => boot({ bios: "none", loaders: [{ file: raw, address }] });
  assert.equal(last(0x8800_0000 - 5000).patches.length, 1);
  assert.throws(() => last(0x8800_0000 - 4999), LoadError);
  const flash = { name: "flash", address: 0x2000_0000, size: 0x400_0000 };
  const loaders = [{ file: raw, address: 0x2000_0000 }];
  assert.equal(boot({ bios: "none", otherMemory: [flash], loaders }).patches.length, 1);
  assert.throws(
    () => checkInMemory([{ address: 0, bytes: new Uint8Array(), memorySize: 1, what: "x" }], [flash, flash]),
    /x: 0x0 to 0x1 does not fit into flash at 0x20000000 to 0x24000000 or flash at/,
  );
});

test("images that overlap are refused, neighbours are not", () => {
  const kernel = { ...p0uart, name: "kernel.elf" };
  assert.throws(
    () => boot({ xlen: 32, bios: raw, kernel }),
    /^LoadError: (kernel\.elf segment 1|raw\.bin): 0x80000000 to 0x[0-9a-f]+ overlaps (raw\.bin|kernel\.elf segment 1) at/,
  );
  assert.throws(
    () => boot({ megabytes: 32, bios: raw, kernel: linux(0x110_0000n), initrd }),
    /initrd\.gz: .* overlaps Image/,
  );
  const piece = (address: number, memorySize: number) => ({ address, memorySize, bytes: new Uint8Array(), what: "x" });
  checkNoOverlap([piece(4, 4), piece(0, 4), piece(8, 1), piece(5, 0)]);
  assert.throws(() => checkNoOverlap([piece(4, 4), piece(0, 5)]), LoadError);
  assert.throws(() => checkNoOverlap([piece(0, 100), piece(1, 1)]), LoadError);
});

test("options that do not go together are refused with what to do", () => {
  const cases: [Partial<BootOptions>, RegExp][] = [
    [{ bios: raw, initrd }, /^-initrd initrd\.gz needs -kernel FILE$/],
    [{ loaders: [{}] }, /give file=FILE, or data= and data-len=, or addr= and cpu-num=/],
    [{ loaders: [{ hart: 0 }] }, /give file=FILE/],
    [{ loaders: [{ address: 5 }] }, /addr=0x5 alone does nothing/],
    [{ loaders: [{ forceRaw: true }] }, /force-raw needs file=FILE/],
    [{ loaders: [{ data: 1n, address: ramBase }] }, /data needs data-len from 1 to 8, not 0/],
    [{ loaders: [{ data: 1n, dataLength: 9 }] }, /not 9/],
    [{ loaders: [{ data: 1n << 64n, dataLength: 8 }] }, /no more than 64 bits/],
    [{ loaders: [{ data: 1n, dataLength: 1, file: raw }] }, /file and data exclude each other/],
    [{ loaders: [{ data: 1n, dataLength: 1, forceRaw: true }] }, /force-raw is for a file/],
    [{ loaders: [{ file: raw, address: ramBase, hart: 1 }] }, /no hart 1 \(cpu-num\); the machine has 1, from 0/],
  ];
  for (const [options, message] of cases) {
    assert.throws(() => boot(options), (error: Error) => {
      assert.ok(error instanceof OptionError, error.stack);
      assert.match(error.message, message);
      return true;
    });
  }
});

test("-device loader adds files and values after the images and says where harts start", () => {
  const loaders: LoaderOptions[] = [
    { file: high, hart: 1 },
    { file: high, forceRaw: true, address: 0x8100_0000, hart: 2 },
    { file: p0uart },
    { data: 0x1122_3344_5566_7788n, dataLength: 6, address: 0x8200_0000 },
    { data: 0x1122_3344_5566_7788n, dataLength: 6, dataBigEndian: true, address: 0x8200_0010, hart: 3 },
    { address: 0x8000_0100, hart: 0 },
  ];
  const plan = boot({ harts: 4, bios: raw, loaders });
  assert.deepEqual(addresses(plan.patches), [
    [0x8040_1000, 4],
    [0x8100_0000, high.bytes.length],
    [ramBase, 0xf30],
    [0x8200_0000, 6],
    [0x8200_0010, 6],
  ]);
  assert.deepEqual([...plan.patches[3].bytes], [0x88, 0x77, 0x66, 0x55, 0x44, 0x33]);
  assert.deepEqual([...plan.patches[4].bytes], [0x11, 0x22, 0x33, 0x44, 0x55, 0x66]);
  assert.deepEqual([...plan.startAt], [[1, 0x8040_1002n], [2, 0x8100_0000n], [0, 0x8000_0100n]]);
  assert.deepEqual(plan.elfs.map(({ name }) => name), ["high.elf", "p0uart.elf"]);
  assert.equal(plan.nextAddress, 0);
});

test("what is likely a mistake is told in a warning", () => {
  assert.deepEqual(boot({ bios: offset }).warnings, [
    "nothing is loaded at 0x80000000, where execution starts; link the program there",
  ]);
  const late = file("late.elf", buildElf(64, 0x8000_0004n, [{ physical: 0x8000_0000n, bytes: new Uint8Array(8) }]));
  assert.deepEqual(boot({ bios: "none", kernel: late }).warnings, [
    "late.elf: its entry 0x80000004 is not used; execution starts at 0x80000000",
  ]);
  assert.deepEqual(boot({ bios: p0uart }).warnings, [
    "p0uart.elf: made for RV32, but the machine is RV64 (-cpu)",
  ]);
  assert.deepEqual(boot({ bios: "none", loaders: [{ file: offset, hart: 0 }] }).warnings, []);
});

/** What QEMU holds before the first instruction: blobs in RAM, the words of the boot ROM, the pc. */
function askQemu(xlen: 32 | 64, words: string[]) {
  const text = monitorOfQemu(xlen, words, ["info roms", "xp/18xw 0x1000", "info registers"]);
  const blobs = [...text.matchAll(/addr=(\w+) size=0x(\w+) mem=ram name="([^"]*)"/g)]
    .filter(([, , , name]) => name !== "fdt")
    .map(([, address, size]) => [parseInt(address, 16), parseInt(size, 16)]);
  const fdt = /addr=(\w+) size=0x\w+ mem=ram name="fdt"/.exec(text);
  const rom = [...text.matchAll(/^0*10[0-4]0: (.*?)\r?$/gm)].flatMap(([, line]) => line.trim().split(" ").map(Number));
  assert.equal(rom.length, 18);
  return { blobs, rom, deviceTree: parseInt(fdt![1], 16), pc: BigInt(`0x${/ pc +(\w+)/.exec(text)![1]}`) };
}

test("blobs, boot ROM and first pc are where QEMU has them", { skip: qemuMissing(64) }, () => {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-"));
  const tree: ImageFile = {
    name: "tree.dtb",
    bytes: buildDeviceTree({ properties: {}, children: { chosen: { properties: {} } } }),
  };
  const kernel = uimage(2, [1, 2, 3, 4], 0x8030_0000, 0x8030_0002);
  const cases: (Partial<BootOptions> & { megabytes?: number; dtb?: ImageFile })[] = [
    { xlen: 32, bios: p0uart },
    { xlen: 32, bios: "none", kernel: p0uart },
    { xlen: 32, bios: raw, kernel: raw, initrd, megabytes: 100 },
    { bios: raw, kernel: raw, initrd, megabytes: 129 },
    { bios: raw, kernel: offset, initrd },
    { bios: offset, kernel: raw },
    { bios: raw, kernel: high, initrd, megabytes: 2048 },
    { bios: raw, kernel: linux(0n), megabytes: 5 },
    { bios: raw, kernel },
    { bios: raw, kernel: raw, initrd: uimage(3, [1, 2, 3, 4]) },
    { bios: "none", loaders: [{ file: high, hart: 0 }] },
    { bios: raw, loaders: [{ file: high, forceRaw: true, address: 0x8100_0000, hart: 0 }] },
    { bios: raw, dtb: tree, megabytes: 128.5 },
    { bios: raw, megabytes: 128.5 },
  ];
  try {
    const save = (image: ImageFile) => {
      const path = join(folder, image.name);
      writeFileSync(path, image.bytes);
      return path;
    };
    for (const { dtb, ...options } of cases) {
      const { xlen = 64, megabytes = 128, bios, loaders = [] } = options;
      const words = ["-m", `${megabytes * 1024}K`, "-bios", typeof bios === "string" ? bios : save(bios!)];
      if (options.kernel) words.push("-kernel", save(options.kernel));
      if (options.initrd) words.push("-initrd", save({ ...options.initrd, name: `initrd-${options.initrd.name}` }));
      if (dtb) words.push("-dtb", save(dtb));
      for (const { file, address, forceRaw, hart } of loaders) {
        const more = [`loader,file=${save(file!)}`, `cpu-num=${hart}`];
        if (address) more.push(`addr=${address}`);
        if (forceRaw) more.push("force-raw=on");
        words.push("-device", more.join(","));
      }
      const what = words.join(" ").replaceAll(`${folder}/`, "");
      const qemu = askQemu(xlen, words);
      const memory = { name: "RAM", address: ramBase, size: megabytes * mebibyte };
      const room = dtb ? deviceTreeFileRoom(dtb.bytes.length) : generatedDeviceTreeRoom;
      const plan = addDeviceTree(boot(options), memory, tree.bytes, room);
      const ours = addresses([...plan.images.slice(0, -1), ...plan.patches]).toSorted(([a], [b]) => a - b);
      assert.deepEqual(ours, qemu.blobs.toSorted(([a], [b]) => a - b), what);
      assert.equal(plan.deviceTree, qemu.deviceTree, what);
      assert.equal(plan.entry, qemu.rom[6], what);
      assert.equal(plan.deviceTree, qemu.rom[8], what);
      // fw_dynamic's information: magic, version, next_addr; words on RV32, doublewords on RV64.
      assert.equal(plan.nextAddress, qemu.rom[xlen === 32 ? 12 : 14], what);
      assert.equal(plan.startAt.get(0) ?? 0x1000n, qemu.pc, what);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
