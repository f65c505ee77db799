// What a board tells its firmware: QEMU's firmware configuration device ("QEMU Firmware Configuration (fw_cfg) Device" in QEMU's
// specifications) with its memory-mapped registers and its DMA interface. Items are read only, as all of QEMU's are on `virt`.
//
// Registers are big-endian. What a driver has no use for (reads of the selector, narrow writes) reads as zero and is not written, where QEMU
// has an access fault.

import type { Device, DirectMemory, Width } from "./device.ts";

/** Keys of items that have no name. */
export const FW_CFG_KEY = {
  signature: 0x00,
  id: 0x01,
  cpus: 0x05,
  kernelSize: 0x08,
  initrdSize: 0x0b,
  kernelData: 0x11,
  initrdData: 0x12,
  commandLineSize: 0x14,
  commandLine: 0x15,
  directory: 0x19,
} as const;

/** What a `FwCfg` is made from. */
export interface FwCfgOptions {
  /** Name for messages, e.g. `fw-cfg@10100000`. */
  readonly name: string;
  /** Main memory, for DMA. */
  readonly memory: DirectMemory;
  /** Items by key, besides signature, id and directory, which the device has by itself. */
  readonly items: ReadonlyMap<number, Uint8Array>;
  /** Files by name (at most 55 characters of ASCII); the directory lists them in alphabetical order. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Offsets of registers. */
const SELECTOR = 0x08, DMA = 0x10, SIZE = 0x18;
/** Key of the first file, and how many there can be. */
const FIRST_FILE = 0x20, MOST_FILES = 0x20;
/** Bits of a key that are no part of its number: written through the data register, and of the architecture (it has no items here). */
const WRITE_CHANNEL = 0x4000, OF_ARCHITECTURE = 0x8000;
/** Interfaces that there are: the traditional one, and DMA. */
const ID = 0b11;
/** Bits of a DMA request's control word; its upper half is a key. */
const CONTROL = { error: 1 << 0, read: 1 << 1, skip: 1 << 2, select: 1 << 3, write: 1 << 4 } as const;
/** Bytes of a DMA request: control and length (32 bits), address (64). */
const REQUEST = 16;

const ascii = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

/** The directory: a count, then size, key and name of each file. */
function directory(files: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const bytes = new Uint8Array(4 + 64 * MOST_FILES), view = new DataView(bytes.buffer);
  view.setUint32(0, files.length);
  files.forEach(([name, { length }], k) => {
    view.setUint32(4 + 64 * k, length);
    view.setUint16(8 + 64 * k, FIRST_FILE + k);
    bytes.set(ascii(name), 12 + 64 * k);
  });
  return bytes;
}

/** The bytes of a word from the lowest address on, as a big-endian number. */
function swapped(value: number): number {
  return (value >>> 24 | value >>> 8 & 0xff00 | value << 8 & 0xff_0000 | value << 24) >>> 0;
}

/** The device. */
export class FwCfg implements Device {
  /** Name for messages. */
  readonly name: string;
  /** Length of the register block in bytes. */
  readonly size = SIZE;
  readonly #memory: DirectMemory;
  readonly #items: ReadonlyMap<number, Uint8Array>;
  #key = 0;
  #offset = 0;
  /** Upper half of the address of the next DMA request. */
  #high = 0;

  /** Connects it. */
  constructor({ name, memory, items, files }: FwCfgOptions) {
    this.name = name;
    this.#memory = memory;
    const sorted = [...files].toSorted(([a], [b]) => a < b ? -1 : 1);
    this.#items = new Map([
      [FW_CFG_KEY.signature, ascii("QEMU")],
      [FW_CFG_KEY.id, Uint8Array.of(ID, 0, 0, 0)],
      ...items,
      [FW_CFG_KEY.directory, directory(sorted)],
      ...sorted.map(([, bytes], k) => [FIRST_FILE + k, bytes] as const),
    ]);
  }

  /** The bytes of the selected item. */
  get #selected(): Uint8Array | undefined {
    return (this.#key & OF_ARCHITECTURE) !== 0 ? undefined : this.#items.get(this.#key & ~WRITE_CHANNEL);
  }

  #select(key: number): void {
    this.#key = key;
    this.#offset = 0;
  }

  /** Reads the next bytes of the selected item, zeros after its end; at the DMA register a signature. */
  read(offset: number, width: Width): number {
    let value = 0;
    if (offset >= DMA) {
      for (let k = 0; k < width; k++) value |= "QEMU CFG".charCodeAt(offset - DMA + k) << 8 * k;
    } else if (offset < SELECTOR) {
      const bytes = this.#selected;
      for (let k = 0; bytes !== undefined && k < width && this.#offset < bytes.length; k++) {
        value |= bytes[this.#offset++]! << 8 * k;
      }
    }
    return value;
  }

  /** Selects an item, or starts a DMA request, which is done at once. */
  write(offset: number, width: Width, value: number): void {
    if (offset === SELECTOR && width === 2) this.#select(swapped(value) >>> 16);
    else if (offset === DMA && width === 4) this.#high = swapped(value);
    else if (offset === DMA + 4 && width === 4) {
      const request = this.#high * 2 ** 32 + swapped(value);
      this.#high = 0;
      this.#transfer(request);
    }
  }

  #transfer(at: number): void {
    const request = this.#memory.view(at, REQUEST);
    if (request === undefined) return;
    const view = new DataView(request.buffer, request.byteOffset, REQUEST);
    const control = view.getUint32(0), length = view.getUint32(4), address = Number(view.getBigUint64(8));
    if ((control & CONTROL.select) !== 0) this.#select(control >>> 16);
    view.setUint32(0, this.#carry(control, length, address) ? 0 : CONTROL.error);
    this.#memory.wrote(at, 4);
  }

  /** Reads or skips; tells whether that was possible. */
  #carry(control: number, length: number, address: number): boolean {
    const isRead = (control & CONTROL.read) !== 0, isWrite = !isRead && (control & CONTROL.write) !== 0;
    if (length === 0 || !isRead && !isWrite && (control & CONTROL.skip) === 0) return true;
    const bytes = this.#selected, from = this.#offset;
    this.#offset = Math.min(from + length, Math.max(from, bytes?.length ?? 0));
    if (!isRead) return !isWrite;
    const target = this.#memory.view(address, length);
    if (target === undefined) return false;
    target.fill(0).set(bytes?.subarray(from, this.#offset) ?? []);
    this.#memory.wrote(address, length);
    return true;
  }

  /** Selects the signature, as after power-on. */
  reset(): void {
    this.#select(FW_CFG_KEY.signature);
    this.#high = 0;
  }

  /** Registers. */
  snapshot(): unknown {
    return { key: this.#key, offset: this.#offset, high: this.#high };
  }

  /** Puts back what `snapshot` gave. */
  restore(state: unknown): void {
    const { key, offset, high } = state as { key: number; offset: number; high: number };
    this.#key = key;
    this.#offset = offset;
    this.#high = high;
  }
}
