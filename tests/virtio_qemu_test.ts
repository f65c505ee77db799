// virtio devices beside QEMU's: the same random register accesses and the same random requests, every value read compared, and
// afterwards the rings, the buffers and the disk.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MemoryBlocks } from "../devices/block_backend.ts";
import type { Width } from "../devices/device.ts";
import { VirtioBlock } from "../devices/virtio/block.ts";
import type { VirtioDevice } from "../devices/virtio/device.ts";
import { randomWords } from "./random_words.ts";
import { qemuMissing } from "./support/qemu.ts";
import { type DeviceBoard, QtestBoard } from "./support/qtest.ts";
import { type Descriptor, descriptorBytes, FLAG, half, QueueDriver } from "./support/virtio_driver.ts";
import { RAM, REG, TRANSPORT, VirtioRig } from "./support/virtio_rig.ts";

const DISK_SIZE = 64 << 10;
const skip = qemuMissing(64);

/** A device on both sides. */
interface Subject {
  readonly name: string;
  /** QEMU's options; `{folder}` is a folder for files. */
  readonly options: readonly string[];
  make(): VirtioDevice | undefined;
}

/** A disk's contents. */
function diskBytes(): Uint8Array {
  const next = randomWords(7);
  return Uint8Array.from({ length: DISK_SIZE }, next);
}

/** The disk of the last device that was made here. */
let disk: MemoryBlocks | undefined;

const SUBJECTS: readonly Subject[] = [
  {
    name: "virtio-blk-device",
    options: ["-drive", "file={folder}/disk.img,format=raw,if=none,id=x0", "-device", "virtio-blk-device,drive=x0"],
    make: () => new VirtioBlock(disk = new MemoryBlocks(diskBytes())),
  },
  {
    name: "a read-only virtio-blk-device of 4 KiB blocks without cache",
    options: [
      ...["-drive", "file={folder}/disk.img,format=raw,if=none,id=x0,readonly=on,cache=writethrough"],
      "-device",
      "virtio-blk-device,drive=x0,serial=0123456789012345678901234," +
      "logical_block_size=4096,physical_block_size=4096",
    ],
    make: () =>
      new VirtioBlock(disk = new MemoryBlocks(diskBytes(), true), {
        serial: "0123456789012345678901234",
        logicalBlockSize: 4096,
        writeCache: false,
      }),
  },
  { name: "no device", options: [], make: () => undefined },
];

/** Runs `body` with QEMU's board and ours. */
async function beside(
  subject: Subject,
  legacy: boolean,
  body: (boards: readonly [DeviceBoard, DeviceBoard], rig: VirtioRig, folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-"));
  writeFileSync(join(folder, "disk.img"), diskBytes());
  const options = subject.options.map((option) => option.replace("{folder}", folder));
  const qemu = new QtestBoard(["-global", `virtio-mmio.force-legacy=${legacy}`, ...options]);
  try {
    const rig = new VirtioRig(subject.make(), legacy);
    await body([qemu, rig.board], rig, folder);
  } finally {
    await qemu.close();
    rmSync(folder, { recursive: true });
  }
}

/** A number that is likely to matter. */
function interesting(next: () => number): number {
  switch (next() % 6) {
    case 0:
      return 0;
    case 1:
      return 1;
    case 2:
      return next() % 16;
    case 3:
      return 1 << next() % 32;
    case 4:
      return next() % 2048;
    default:
      return next();
  }
}

/** A random access; undefined value: a read. Nothing that starts the device. */
function randomAccess(next: () => number): { offset: number; width: Width; value?: number } {
  const known = Object.values(REG).filter((offset) => offset !== REG.queueNotify && offset !== REG.queueReset);
  const offset = next() % 4 === 0 ? (next() % 0x50) * 4 : known[next() % known.length]!;
  const width = ([1, 2, 4, 4, 4, 4] as const)[next() % 6]!;
  const at = offset >= REG.config ? REG.config + next() % 64 : offset;
  // QEMU writes a copy of the configuration that may be stale, so only a byte that is a field by itself: the write cache's mode.
  if (at >= REG.config && next() % 2 === 0) return { offset: REG.config + 32, width: 1, value: next() % 2 };
  if (at >= REG.config) return { offset: at & -width, width };
  if (at === REG.queueNotify || at === REG.queueReset || next() % 2 === 0) return { offset: at & -width, width };
  let value = interesting(next);
  // Rings in RAM, or nowhere.
  if (at === REG.queuePfn) value = next() % 4 === 0 ? 0 : 0x80000 + next() % 16;
  if (at === REG.guestPageSize) value = 4096;
  if (at === REG.queueNum) value = next() % 3 === 0 ? interesting(next) : 1 << next() % 8;
  if (at === REG.queueAlign) value = 1 << next() % 13;
  if (at === REG.queueDesc || at === REG.queueDriver || at === REG.queueDevice) value = RAM + (next() % 0x1000) * 16;
  if (at === REG.queueDesc + 4 || at === REG.queueDriver + 4 || at === REG.queueDevice + 4) value = 0;
  // Acknowledged, but never running.
  if (at === REG.status) value = next() % 3 === 0 ? 0 : next() & 0xb;
  return { offset: at & -width, width, value: width === 4 ? value >>> 0 : value & (1 << 8 * width) - 1 };
}

for (const subject of SUBJECTS) {
  for (const legacy of [true, false]) {
    test(`registers of ${subject.name}, ${legacy ? "legacy" : "modern"}, read as in QEMU`, { skip }, async () => {
      await beside(subject, legacy, async ([qemu, here]) => {
        const next = randomWords(11), log: string[] = [];
        for (let k = 0; k < 2000; k++) {
          const { offset, width, value } = randomAccess(next), address = TRANSPORT + offset;
          if (value !== undefined) {
            log.push(`write${8 * width} 0x${offset.toString(16)} 0x${value.toString(16)}`);
            await qemu.write(address, width, value);
            await here.write(address, width, value);
            continue;
          }
          const [theirs, ours] = [await qemu.read(address, width), await here.read(address, width)];
          log.push(`read${8 * width} 0x${offset.toString(16)}`);
          if (theirs !== ours) assert.fail(`QEMU ${theirs}, here ${ours} after\n${log.slice(-30).join("\n")}`);
        }
      });
    });
  }
}

/** Buffers, and tables of indirect descriptors, of the requests. */
const BUFFERS = RAM + 0x2000, BUFFERS_SIZE = 0x6000, TABLE = RAM + 0x8000;

/** A request in memory. */
interface Request {
  readonly head: number;
  readonly descriptors: readonly Descriptor[];
  /** What the buffers hold. */
  readonly buffers: Uint8Array;
  /** The indirect table; empty where there is none. */
  readonly table: readonly Descriptor[];
  /** Whether it is one that no driver may make. */
  readonly wrong: boolean;
  readonly text: string;
}

/** Pieces of a length, each at least a byte. */
function split(next: () => number, length: number): number[] {
  const pieces: number[] = [];
  for (let left = length; left > 0;) {
    const piece = pieces.length >= 3 || next() % 2 === 0 ? left : 1 + next() % left;
    pieces.push(piece);
    left -= piece;
  }
  return pieces;
}

function randomRequest(next: () => number, size: number): Request {
  const pick = <T>(values: readonly T[]) => values[next() % values.length]!;
  const type = pick([0, 0, 0, 1, 1, 1, 4, 8, 9, 11, 13, 13, 10, 12, 2, 3, 0x8000_0001, 99]);
  const buffers = Uint8Array.from({ length: BUFFERS_SIZE }, next), view = new DataView(buffers.buffer);
  const sector = pick([0, 1, 7, 8, 16, 120, 127, 128, 2 ** 31]),
    bytes = pick([0, 512, 512, 1024, 4096, 4096, 8192, 100, 513]);
  view.setUint32(0, type, true);
  view.setUint32(4, 0, true);
  view.setBigUint64(8, BigInt(sector), true);
  let out = 16, into = 1;
  const isRange = type === 11 || type === 13 || type === 10 || type === 12;
  if (isRange) {
    out += pick([16, 16, 16, 16, 32]);
    view.setBigUint64(16, BigInt(sector), true);
    view.setUint32(24, pick([0, 1, 8, 8, 16, 200, 0x40_0000]), true);
    view.setUint32(28, pick([0, 0, 0, 1, 2]), true);
  } else if ((type & 1) !== 0) out += bytes;
  else into += type === 8 ? pick([0, 5, 20, 30]) : bytes;
  let wrong = false;
  const mistake = next() % 8 === 0 ? pick(["short", "none in", "none out", "range"]) : "";
  if (mistake === "short") out = 15, wrong = true;
  if (mistake === "none in") into = 0, wrong = true;
  if (mistake === "none out") out = 0, wrong = true;
  if (mistake === "range" && (type === 11 || type === 13)) out = 20, wrong = true;

  let at = BUFFERS;
  const pieces = [
    ...split(next, out).map((length) => ({ length, flags: 0 })),
    ...split(next, into).map((length) => ({
      length,
      flags: FLAG.write,
    })),
  ];
  const chain = pieces.map(({ length, flags }, k): Descriptor => {
    const descriptor = { address: at, length, flags: flags | (k < pieces.length - 1 ? FLAG.next : 0), next: k + 1 };
    at += length;
    return descriptor;
  });
  const indirect = next() % 2 === 0;
  const bad = wrong || next() % 8 !== 0 ? "" : pick(["zero", "loop", "next", "order", "table size", "head"]);
  const last = chain.length - 1;
  const change = (k: number, fields: Partial<Descriptor>) => chain[k] = { ...chain[k]!, ...fields };
  if (bad === "zero") change(next() % chain.length, { length: 0 });
  if (bad === "loop") change(last, { flags: chain[last]!.flags | FLAG.next, next: last });
  if (bad === "next") change(last, { flags: chain[last]!.flags | FLAG.next, next: 0x1000 });
  if (bad === "order") change(0, { flags: FLAG.write | FLAG.next });
  const text = `type ${type} sector ${sector} out ${out} in ${into} ${
    indirect ? "indirect" : "direct"
  } ${mistake} ${bad}`;
  const rest = { buffers, text, wrong: wrong || (bad !== "" && (bad !== "table size" || indirect)) };
  const head = next() % 4;
  if (!indirect) {
    const shifted = chain.map((entry) => ({ ...entry, next: bad === "next" ? entry.next : entry.next + head }));
    const descriptors = [
      ...Array.from({ length: head }, () => ({ address: 0, length: 0, flags: 0, next: 0 })),
      ...shifted,
    ];
    return { ...rest, head: bad === "head" ? size : head, descriptors, table: [] };
  }
  const length = 16 * chain.length - (bad === "table size" ? 1 : 0);
  const outer = { address: TABLE, length, flags: FLAG.indirect, next: 0 };
  const descriptors = Array.from({ length: head + 1 }, () => outer);
  return { ...rest, head: bad === "head" ? size : head, descriptors, table: chain };
}

for (const subject of SUBJECTS.slice(0, 2)) {
  for (const legacy of [true, false]) {
    test(`requests to ${subject.name}, ${legacy ? "legacy" : "modern"}, end as in QEMU`, { skip }, async () => {
      await beside(subject, legacy, async (boards, rig, folder) => {
        const next = randomWords(legacy ? 21 : 22), log: string[] = [];
        const drivers = boards.map((board) => new QueueDriver(board, legacy));
        const both = async (action: (driver: QueueDriver, board: DeviceBoard) => Promise<void>) => {
          for (const k of [0, 1]) await action(drivers[k]!, boards[k]!);
        };
        const equal = async (what: string, read: (driver: QueueDriver, board: DeviceBoard) => Promise<unknown>) => {
          const [theirs, ours] = [await read(drivers[0]!, boards[0]), await read(drivers[1]!, boards[1])];
          const recent = () => log.slice(-12).join("\n");
          if (theirs instanceof Uint8Array && ours instanceof Uint8Array) {
            const at = theirs.findIndex((byte, k) => byte !== ours[k]), hex = `0x${at.toString(16)}`;
            if (at >= 0) assert.fail(`${what} at ${hex}: QEMU ${theirs[at]}, here ${ours[at]} after\n${recent()}`);
          } else assert.equal(ours, theirs, `${what} after\n${recent()}`);
        };
        let fresh = false;
        for (let k = 0; k < 120; k++) {
          if (!fresh || next() % 40 === 0) {
            // Only what is offered: QEMU's modern transport accepts some legacy features, too.
            const features = rig.offered & (BigInt(next()) | (next() % 4 === 0 ? 0n : 1n << 32n));
            log.push(`reset, features ${features.toString(16)}`);
            await both(async (driver) => {
              await driver.negotiate(features);
              await driver.place();
              await driver.start();
            });
            fresh = true;
          }
          const request = randomRequest(next, drivers[0]!.size),
            quiet = next() % 3 === 0 ? 1 : 0,
            event = next() & 0xffff;
          const acknowledge = next() % 3 !== 0;
          log.push(request.text);
          await both(async (driver, board) => {
            await board.writeMemory(BUFFERS, request.buffers);
            await board.writeMemory(driver.descriptors, descriptorBytes(request.descriptors));
            if (request.table.length > 0) await board.writeMemory(TABLE, descriptorBytes(request.table));
            await board.writeMemory(driver.available, half(quiet));
            // The event index, near enough to matter.
            await board.writeMemory(driver.available + 4 + 2 * driver.size, half(driver.offered + event % 3 - 1));
            await driver.offer(request.head);
            await driver.notify();
            await board.until(async () => request.wrong || await driver.usedIndex() === driver.offered);
          });
          await equal("status", (driver) => driver.get(REG.status));
          await equal("interrupts", (driver) => driver.get(REG.interruptStatus));
          await equal("rings and buffers", (_, board) => board.readMemory(RAM, 0x8000));
          if (acknowledge) await both((driver) => driver.set(REG.interruptAck, 3));
          if (request.wrong) fresh = false;
        }
        await equal("disk", async (_, board) => {
          if (board === boards[0]) return new Uint8Array(readFileSync(join(folder, "disk.img")));
          const copy = new Uint8Array(DISK_SIZE);
          disk!.read(0, copy);
          return await Promise.resolve(copy);
        });
      });
    });
  }
}
