// Flash: the command set beside QEMU, contents in a file, code that is executed from it, and what it changes at power-on.

import assert from "node:assert/strict";
import { mkdtempSync, openSync, readFileSync, readSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Machine, type MachineOptions, MemoryBlocks } from "../mod.ts";
import { CfiFlash } from "../devices/cfi_flash.ts";
import type { Width } from "../devices/device.ts";
import { Ram } from "../hart/memory.ts";
import { Bus } from "../machine/bus.ts";
import { randomWords } from "./random_words.ts";
import { Program } from "./support/assemble.ts";
import { hartbeat } from "./support/command.ts";
import { qemuMissing, wordsInQemu } from "./support/qemu.ts";
import { BusBoard, QtestBoard } from "./support/qtest.ts";

const FLASH = 0x2000_0000, CHIP = 0x200_0000;
const skip = qemuMissing(64);

async function inFolder<T>(body: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-"));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** An image of a chip with something in the first sectors. */
function image(path: string, start: Uint8Array): void {
  writeFileSync(path, start);
  truncateSync(path, CHIP);
}

/** First bytes of a file. */
function startOf(path: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  readSync(openSync(path, "r"), bytes, 0, length, 0);
  return bytes;
}

for (const readOnly of [false, true]) {
  test(`random commands to ${readOnly ? "read-only " : ""}flash do what they do in QEMU`, { skip }, async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "flash.img"), start = Uint8Array.from({ length: 0x8_0000 }, randomWords(3));
      image(path, start);
      const ours = new Uint8Array(CHIP);
      ours.set(start);
      const bus = new Bus(new Ram(0x8000_0000, 4096), "ram");
      const backend = new MemoryBlocks(ours, readOnly);
      bus.addDevice(FLASH, new CfiFlash({ name: "flash", size: CHIP, backend, changed: () => {} }));
      const qemu = new QtestBoard([
        "-drive",
        `file=${path},format=raw,if=pflash,unit=0,readonly=${readOnly ? "on" : "off"}`,
      ]);
      try {
        const here = new BusBoard(bus, () => {}), next = randomWords(17), log: string[] = [];
        const commands = [0xff, 0x40, 0x10, 0x20, 0x50, 0x60, 0x70, 0x90, 0x98, 0xe8, 0xd0, 0x01, 0xf0, 0x00];
        const address = () => FLASH + [next() % 0x200, next() % 0x8_0000][next() % 2]!;
        const write = async (at: number, width: Width, value: number) => {
          log.push(`write${8 * width} 0x${at.toString(16)} 0x${value.toString(16)}`);
          await qemu.write(at, width, value);
          await here.write(at, width, value);
        };
        for (let k = 0; k < 800; k++) {
          const width = ([1, 2, 4] as const)[next() % 3]!, at = address() & -width;
          switch (next() % 6) {
            case 0:
              await write(at, width, next() % 256);
              break;
            case 1:
              await write(at & -4, 4, commands[next() % commands.length]! * 0x1_0001);
              break;
            case 2: {
              // A whole buffered program.
              await write(at & -4, 4, 0xff_00ff);
              await write(at & -4, 4, 0xe8_00e8);
              const count = next() % 4;
              await write(at & -4, 4, count * 0x1_0001);
              for (let word = 0; word <= count; word++) await write((at & -4) + 4 * word, 4, next());
              await write(at & -4, 4, 0xd0_00d0);
              break;
            }
            case 3:
              await write(at & -4, 4, 0xff_00ff);
              await write(at & -4, 4, next() % 2 === 0 ? 0x40_0040 : 0x20_0020);
              await write(at & -4, 4, next() % 2 === 0 ? next() : 0xd0_00d0);
              break;
          }
          if (log.length > 0 && /0x[ef]8_?00e8$/.test(log.at(-1)!)) await write(at & -4, 4, 0x3_0003);
          const [theirs, mine] = [await qemu.read(at, width), await here.read(at, width)];
          log.push(`read${8 * width} 0x${at.toString(16)}`);
          if (theirs !== mine) assert.fail(`QEMU ${theirs}, here ${mine} after\n${log.slice(-15).join("\n")}`);
        }
        await write(FLASH, 4, 0xff_00ff);
        await write(FLASH, 4, 0xff_00ff);
        await write(FLASH, 4, 0xff_00ff);
        assert.deepEqual(ours.slice(0, start.length), startOf(path, start.length));
      } finally {
        await qemu.close();
      }
    });
  });
}

test("the query reads as in QEMU, byte for byte", { skip }, async () => {
  const bus = new Bus(new Ram(0x8000_0000, 4096), "ram");
  bus.addDevice(FLASH, new CfiFlash({ name: "flash", size: CHIP, changed: () => {} }));
  const qemu = new QtestBoard([]), here = new BusBoard(bus, () => {});
  try {
    for (const command of [0x98, 0xff, 0x90]) {
      for (const board of [qemu, here]) await board.write(FLASH, 4, command);
      for (let offset = 0; offset < 0x180; offset++) {
        assert.equal(await here.read(FLASH + offset, 1), await qemu.read(FLASH + offset, 1), `${command} ${offset}`);
      }
    }
  } finally {
    await qemu.close();
  }
});

test("a buffered program that is not confirmed writes nothing", () => {
  const flash = new CfiFlash({ name: "flash", size: CHIP, changed: () => {} });
  for (const value of [0xe8, 1, 0x1234, 0x5678, 0xff]) flash.write(0, 4, value);
  assert.equal(flash.read(0, 4), 0);
  for (const value of [0xe8, 0, 0x1234, 0xd0, 0xff]) flash.write(0, 4, value);
  assert.equal(flash.read(0, 4), 0x1234);
});

test("a snapshot keeps contents and the command that is under way", () => {
  const flash = new CfiFlash({ name: "flash", size: CHIP, changed: () => {} });
  flash.write(8, 4, 0x40);
  flash.write(8, 4, 77);
  flash.write(8, 4, 0x40);
  const saved = structuredClone(flash.snapshot());
  flash.reset();
  flash.write(0, 4, 0x20);
  flash.write(0, 4, 0xd0);
  flash.restore(saved);
  flash.write(12, 4, 78);
  flash.write(0, 4, 0xff);
  assert.deepEqual([flash.read(8, 4), flash.read(12, 4), flash.read(0, 4)], [77, 78, 0]);
});

/** A guest in flash that counts in a1, changes its own next instruction by a program command, and powers off with what came of it. */
function guest(): Uint8Array {
  const p = new Program(64, FLASH);
  p.li("s0", 3).la("s1", "patched").label("loop");
  p.label("patched").op("addi", { rd: "a1", rs1: "a1", imm: 1 });
  // 0x40, then addi a1, a1, 100, then read array.
  p.li("t0", 0x40_0040).op("sw", { rs1: "s1", rs2: "t0" }).li("t0", 0x0645_8593).op("sw", { rs1: "s1", rs2: "t0" });
  p.li("t0", 0xff_00ff).op("sw", { rs1: "s1", rs2: "t0" });
  p.op("addi", { rd: "s0", rs1: "s0", imm: -1 }).to("bne", "loop", { rs1: "s0", rs2: 0 });
  p.op("slli", { rd: "a1", rs1: "a1", imm: 16 }).li("t0", 0x3333).op("or", { rd: "a1", rs1: "a1", rs2: "t0" });
  p.li("t0", 0x10_0000).op("sw", { rs1: "t0", rs2: "a1" }).label("end").to("jal", "end");
  return p.build();
}

test("code is executed from flash, also where it has just been programmed, and what is programmed reaches the file", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "flash.img");
    for (const accel of ["interpreter", "jit", "jit,threshold=1"]) {
      image(path, guest());
      await using machine = await Machine.create({
        accel,
        drives: [{ file: path, interface: "pflash", format: "raw" }],
      });
      const stop = await machine.run({ maxInstructions: 1000 });
      assert.ok(stop.kind === "exit" && stop.code === 201, `${accel}: ${JSON.stringify(stop, (_, v) => String(v))}`);
      assert.notDeepEqual(startOf(path, 64), guest().subarray(0, 64));
    }
    image(path, guest());
    const run = hartbeat(["-nographic", "-drive", `file=${path},format=raw,if=pflash,unit=0,snapshot=on`]);
    assert.deepEqual([run.code, run.stderr], [201, ""]);
    assert.deepEqual(new Uint8Array(readFileSync(path)).subarray(0, 64).slice(), guest().slice(0, 64));
  });
});

/** Words 6 to 15 of the boot ROM, where the entry and the next address stand. */
async function bootWords(options: MachineOptions): Promise<number[]> {
  await using machine = await Machine.create(options);
  return Array.from({ length: 10 }, (_, k) => machine.memory.read32(0x1018 + 4 * k));
}

test("the first chip is where execution starts, the second what fw_dynamic starts, as on QEMU", { skip }, async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "flash.img");
    image(path, new Uint8Array(16));
    const program = new Program(64).op("ebreak").elf();
    for (const units of [[], [0], [1], [0, 1]]) {
      const drives = units.map((unit) => ({ file: path, interface: "pflash" as const, unit, readOnly: true }));
      const options = units.flatMap((unit) => ["-drive", `file=${path},format=raw,if=pflash,unit=${unit},readonly=on`]);
      const theirs = wordsInQemu(64, program, options, "-bios", 0x1018, 10);
      assert.deepEqual(await bootWords({ bios: program, drives }), theirs, `units ${units.join()}`);
    }
  });
});

test("a loader puts bytes into flash, at every reset", async () => {
  await using machine = await Machine.create({ loaders: [{ data: 0x1234n, dataLength: 4, address: FLASH + 8 }] });
  assert.equal(machine.memory.read32(FLASH + 8), 0x1234);
});

for (
  const [drives, message] of [
    [
      [{ file: { name: "x", bytes: new Uint8Array(512) }, interface: "pflash" }],
      "-drive file=x: device requires 33554432 bytes, block backend provides 512 bytes; truncate -s 32M x makes it fit",
    ],
    [
      [{ file: { name: "x", bytes: new Uint8Array(CHIP) }, interface: "pflash", unit: 5 }],
      "-drive file=x: machine type does not support if=pflash,bus=0,unit=5; its chips are units 0 to 1",
    ],
    [
      [0, 1].map(() => ({ file: { name: "x", bytes: new Uint8Array(CHIP) }, interface: "pflash", unit: 1 })),
      "-drive file=x: drive with bus=0, unit=1 exists",
    ],
  ] as [MachineOptions["drives"] & object, string][]
) {
  test(`refused: ${message}`, async () => {
    await assert.rejects(Machine.create({ drives }), { name: "OptionError", message });
  });
}
