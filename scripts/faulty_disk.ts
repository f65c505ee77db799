// A disk with bad sectors: see how a kernel copes. It stands between the disk's contents and the device, so that driver,
// transport and device are the real ones; the guest gets the device's own error (VIRTIO_BLK_S_IOERR).
//
//     const disk = new FaultyDisk(new MemoryBlocks(image), [{ first: 3, on: "read", times: 1 }]);
//     const machine = await Machine.create({ bios, drives: [{ file: disk, format: "raw", interface: "virtio" }] });
//
// As a script it makes sectors of all drives of a module of yours bad:
// `export const disk = new FaultyDisk(…)` beside `export default (machine) => …` that adds and removes faults as it likes.

import type { BlockBackend } from "../mod.ts";

/** Bytes in a sector. */
const SECTOR = 512;

/** Sectors that fail. */
export interface DiskFault {
  /** First sector. */
  readonly first: number;
  /** Last sector; the first one where absent. */
  readonly last?: number;
  /** Which requests fail; both where absent. */
  readonly on?: "read" | "write";
  /** How many requests fail before the sectors are good again; all where absent. */
  times?: number;
}

/** A disk in front of another one. */
export class FaultyDisk implements BlockBackend {
  readonly #disk: BlockBackend;
  /** What fails; may be changed at any time. */
  readonly faults: DiskFault[];
  /** Requests that have failed. */
  readonly failed: { readonly kind: "read" | "write"; readonly sector: number }[] = [];

  /** `faults` are copied. */
  constructor(disk: BlockBackend, faults: readonly DiskFault[] = []) {
    this.#disk = disk;
    this.faults = faults.map((fault) => ({ ...fault }));
  }

  /** Length in bytes. */
  get size(): number {
    return this.#disk.size;
  }
  /** Whether writes are refused. */
  get readOnly(): boolean {
    return this.#disk.readOnly;
  }

  #check(kind: "read" | "write", offset: number, length: number): void {
    const from = Math.floor(offset / SECTOR), to = Math.floor((offset + length - 1) / SECTOR);
    for (const fault of this.faults) {
      const { first, last = first, on = kind, times = Infinity } = fault;
      if (on !== kind || times <= 0 || last < from || first > to) continue;
      if (fault.times !== undefined) fault.times--;
      const sector = Math.max(first, from);
      this.failed.push({ kind, sector });
      throw new Error(`sector ${sector}: injected ${kind} error`);
    }
  }

  /** Fills `into`, unless a sector is bad. */
  read(offset: number, into: Uint8Array): void {
    this.#check("read", offset, into.length);
    this.#disk.read(offset, into);
  }
  /** Writes, unless a sector is bad. */
  write(offset: number, from: Uint8Array): void {
    this.#check("write", offset, from.length);
    this.#disk.write(offset, from);
  }
  /** Makes what was written last. */
  flush(): void {
    this.#disk.flush();
  }
  /** Frees what it holds. */
  close(): void {
    this.#disk.close?.();
  }
}
