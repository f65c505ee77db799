// Where the bytes of a disk or flash chip are: in memory, or over another one that is not to be changed. Files are a matter of the
// host's edge (machine/files.ts).

/**
 * The bytes behind a block device.
 *
 * @example
 * ```ts
 * import { Machine, type BlockBackend } from "hartbeat";
 *
 * // A disk of zeros that is never full.
 * const zeros: BlockBackend = {
 *   size: 1 << 30,
 *   readOnly: false,
 *   read: (_offset, into) => void into.fill(0),
 *   write: () => {},
 *   flush: () => {},
 * };
 * await using _machine = await Machine.create({ drives: [{ file: zeros }] });
 * ```
 */
export interface BlockBackend {
  /** Length in bytes. */
  readonly size: number;
  /** Whether writes are refused. */
  readonly readOnly: boolean;
  /** Fills `into` from an offset; the range lies within `size`. Throws if the host cannot read. */
  read(offset: number, into: Uint8Array): void;
  /** Writes at an offset; the range lies within `size`. Throws if the host cannot write. */
  write(offset: number, from: Uint8Array): void;
  /** Makes what was written last. */
  flush(): void;
  /** Frees what it holds. */
  close?(): void;
  /** What `restore` needs to put back all bytes; absent where they are outside of the machine, in a file. */
  snapshot?(): unknown;
  /** Puts back what `snapshot` gave. */
  restore?(saved: unknown): void;
}

/** Bytes of a sector, in which disks count. */
export const SECTOR = 512;

/**
 * Bytes in memory, which stay the caller's: what the guest writes can be seen in them. Where they end within a sector, the rest of
 * it reads as zeros and what is written there is lost.
 *
 * @example
 * ```ts
 * import { Machine, MemoryBlocks } from "hartbeat";
 *
 * const disk = new Uint8Array(1 << 20);
 * await using machine = await Machine.create({
 *   bios: "tests/programs/kernel.elf",
 *   drives: [{ file: new MemoryBlocks(disk) }],
 * });
 * await machine.run();
 * ```
 */
export class MemoryBlocks implements BlockBackend {
  readonly #bytes: Uint8Array;
  /** Length in bytes. */
  readonly size: number;
  /** Whether writes are refused. */
  readonly readOnly: boolean;

  /** Uses `bytes` themselves, not a copy. */
  constructor(bytes: Uint8Array, readOnly = false) {
    this.#bytes = bytes;
    this.size = Math.ceil(bytes.length / SECTOR) * SECTOR;
    this.readOnly = readOnly;
  }

  /** Fills `into` from an offset. */
  read(offset: number, into: Uint8Array): void {
    const bytes = this.#bytes.subarray(offset, offset + into.length);
    into.set(bytes);
    into.fill(0, bytes.length);
  }
  /** Writes at an offset. */
  write(offset: number, from: Uint8Array): void {
    if (offset < this.#bytes.length) this.#bytes.set(from.subarray(0, this.#bytes.length - offset), offset);
  }
  /** Nothing to do. */
  flush(): void {}
  /** All bytes. */
  snapshot(): unknown {
    return this.#bytes.slice();
  }
  /** Puts back what `snapshot` gave. */
  restore(saved: unknown): void {
    this.#bytes.set(saved as Uint8Array);
  }
}

/** Bytes that are copied from another backend when they are first written. */
const CLUSTER = 1 << 16;

/** A backend that keeps what is written to itself, over one that is only read: QEMU's `snapshot=on`. */
export class Overlay implements BlockBackend {
  readonly #under: BlockBackend;
  /** By number of the cluster, those that were written. */
  #clusters = new Map<number, Uint8Array>();
  /** Length in bytes. */
  readonly size: number;
  /** Whether writes are refused. */
  readonly readOnly: boolean;

  constructor(under: BlockBackend, readOnly = false) {
    this.#under = under;
    this.size = under.size;
    this.readOnly = readOnly;
  }

  /** Calls `each` with the parts of a range that lie in one cluster. */
  #parts(offset: number, length: number, each: (cluster: number, within: number, at: number, size: number) => void) {
    for (let at = 0; at < length;) {
      const cluster = Math.floor((offset + at) / CLUSTER), within = (offset + at) % CLUSTER;
      const size = Math.min(length - at, CLUSTER - within);
      each(cluster, within, at, size);
      at += size;
    }
  }

  /** Fills `into` from an offset. */
  read(offset: number, into: Uint8Array): void {
    this.#parts(offset, into.length, (cluster, within, at, size) => {
      const own = this.#clusters.get(cluster), part = into.subarray(at, at + size);
      if (own === undefined) this.#under.read(offset + at, part);
      else part.set(own.subarray(within, within + size));
    });
  }
  /** Writes at an offset. */
  write(offset: number, from: Uint8Array): void {
    this.#parts(offset, from.length, (cluster, within, at, size) => {
      let own = this.#clusters.get(cluster);
      if (own === undefined) {
        own = new Uint8Array(Math.min(CLUSTER, this.size - cluster * CLUSTER));
        if (size < own.length) this.#under.read(cluster * CLUSTER, own);
        this.#clusters.set(cluster, own);
      }
      own.set(from.subarray(at, at + size), within);
    });
  }
  /** Nothing to do: nothing of it outlives the machine. */
  flush(): void {}
  /** Frees what it holds. */
  close(): void {
    this.#under.close?.();
  }
  /** What was written. */
  snapshot(): unknown {
    return new Map([...this.#clusters].map(([cluster, bytes]) => [cluster, bytes.slice()]));
  }
  /** Puts back what `snapshot` gave. */
  restore(saved: unknown): void {
    this.#clusters = new Map([...saved as Map<number, Uint8Array>].map(([cluster, bytes]) => [cluster, bytes.slice()]));
  }
}
