// Images of disks for guests that know file systems: a partition table, a FAT12 file system made here, and ext4 by mkfs.ext4.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { withFolder } from "./folder.ts";

const SECTOR = 512;

/** A FAT12 file system of 64 KiB with one file in its root directory; the name is 8 characters and 3 of its extension, padded. */
export function fatFileSystem(name: string, content: Uint8Array): Uint8Array {
  const image = new Uint8Array(128 * SECTOR), view = new DataView(image.buffer);
  const text = (at: number, value: string) => image.set(new TextEncoder().encode(value), at);
  image.set([0xeb, 0x3c, 0x90], 0);
  text(3, "TESTDISK");
  view.setUint16(11, SECTOR, true);
  image.set([1], 13); // Sectors of a cluster.
  view.setUint16(14, 1, true); // Reserved sectors, FATs, root entries, sectors, media, sectors of a FAT, of a track, heads.
  image.set([1], 16);
  view.setUint16(17, 16, true);
  view.setUint16(19, 128, true);
  image.set([0xf8], 21);
  for (const at of [22, 24, 26]) view.setUint16(at, 1, true);
  image.set([0x80, 0, 0x29, 1, 2, 3, 4], 36);
  text(43, "TEST       FAT12   ");
  view.setUint16(510, 0xaa55, true);
  // The chain of the file's clusters, from cluster 2 on.
  const clusters = Math.ceil(content.length / SECTOR), fat = [0xff8, 0xfff];
  for (let k = 0; k < clusters; k++) fat.push(k === clusters - 1 ? 0xfff : k + 3);
  fat.forEach((entry, k) => {
    const at = SECTOR + Math.floor(k * 3 / 2), shift = k % 2 * 4;
    view.setUint16(at, view.getUint16(at, true) | entry << shift, true);
  });
  text(2 * SECTOR, name);
  view.setUint16(2 * SECTOR + 26, 2, true);
  view.setUint32(2 * SECTOR + 28, content.length, true);
  image.set(content, 3 * SECTOR);
  return image;
}

/** An ext4 file system of some MiB that holds files by path. */
export function ext4FileSystem(mebibytes: number, files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  return withFolder((folder) => {
    for (const [path, bytes] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, "root", path)), { recursive: true });
      writeFileSync(join(folder, "root", path), bytes);
    }
    const image = join(folder, "image"), options = ["-q", "-F", "-d", join(folder, "root"), image, `${mebibytes}M`];
    const { status, stderr, error } = spawnSync("mkfs.ext4", options, { encoding: "utf8" });
    assert.equal(status, 0, `mkfs.ext4 (apt-get install e2fsprogs): ${error ?? stderr}`);
    return readFileSync(image);
  });
}

/** A disk with an MBR and up to four partitions, each 1 MiB after the end of the one before: type and contents. */
export function disk(partitions: readonly (readonly [type: number, contents: Uint8Array])[]): Uint8Array {
  const mebibyte = 2 ** 20, starts: number[] = [];
  let end = 0;
  for (const [, { length }] of partitions) {
    starts.push(end + mebibyte);
    end += mebibyte + Math.ceil(length / mebibyte) * mebibyte;
  }
  const image = new Uint8Array(end), view = new DataView(image.buffer);
  partitions.forEach(([type, contents], k) => {
    const entry = 446 + 16 * k;
    image[entry + 4] = type;
    view.setUint32(entry + 8, starts[k]! / SECTOR, true);
    view.setUint32(entry + 12, Math.ceil(contents.length / SECTOR), true);
    image.set(contents, starts[k]);
  });
  view.setUint16(510, 0xaa55, true);
  return image;
}
