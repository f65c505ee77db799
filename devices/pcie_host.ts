// An empty PCI Express bus: the host bridge of QEMU's `gpex` device (PCI Express Base Specification, section 7.2.2, "PCI Express Enhanced
// Configuration Access Mechanism"; PCI Local Bus Specification 3.0, section 6.1, for the registers), and windows with nothing behind them.

import type { Device, Width } from "./device.ts";

/** Bytes of the configuration space of one function, of which the bridge, which is no Express device, has the first part. */
const CONFIGURATION = 0x100;
/** Vendor and device of QEMU's host bridge, its class, and the subsystem that all of QEMU's devices name. */
const IDENTITY: readonly (readonly [offset: number, word: number])[] = [
  [0x00, 0x0008_1b36],
  [0x08, 0x0600_0000],
  [0x2c, 0x1100_1af4],
];
/** Bits that can be written: command, cache line size, interrupt line, and all of what the header leaves to the device. */
const WRITABLE: readonly (readonly [offset: number, word: number])[] = [
  [0x04, 0x0507],
  [0x0c, 0xff],
  [0x3c, 0xff],
  ...Array.from({ length: 0x30 }, (_, k) => [0x40 + 4 * k, 0xffff_ffff] as const),
];

function configuration(words: typeof IDENTITY): Uint8Array {
  const bytes = new Uint8Array(CONFIGURATION), view = new DataView(bytes.buffer);
  for (const [offset, word] of words) view.setUint32(offset, word, true);
  return bytes;
}

/** The configuration space of a bus that has only its host bridge: function 0 of device 0. All others read as ones, as absent ones do. */
export class PcieHost implements Device {
  /** Name for messages. */
  readonly name: string;
  /** Length of the configuration space of all functions in bytes. */
  readonly size: number;
  readonly #bytes = configuration(IDENTITY);
  readonly #writable = configuration(WRITABLE);

  /** `size`: 1 MiB for each bus that could be numbered. */
  constructor(name: string, size: number) {
    this.name = name;
    this.size = size;
  }

  /** Reads the bridge's registers, or ones. */
  read(offset: number, width: Width): number {
    if (offset >= CONFIGURATION) return -1;
    let value = 0;
    for (let k = 0; k < width; k++) value |= this.#bytes[offset + k]! << 8 * k;
    return value;
  }

  /** Writes what can be written of the bridge's registers. */
  write(offset: number, width: Width, value: number): void {
    for (let at = offset; at < Math.min(offset + width, CONFIGURATION); at++) {
      const mask = this.#writable[at]!, byte = value >>> 8 * (at - offset);
      this.#bytes[at] = this.#bytes[at]! & ~mask | byte & mask;
    }
  }

  /** The registers as after power-on. */
  reset(): void {
    this.#bytes.set(configuration(IDENTITY));
  }

  /** The bridge's registers. */
  snapshot(): unknown {
    return this.#bytes.slice();
  }

  /** Puts back what `snapshot` gave. */
  restore(state: unknown): void {
    this.#bytes.set(state as Uint8Array);
  }
}

/** A window to a bus on which no device answers: reads give ones, writes are lost. */
export class EmptyWindow implements Device {
  /** Name for messages. */
  readonly name: string;
  /** Its length in bytes. */
  readonly size: number;

  /** A window of `size` bytes. */
  constructor(name: string, size: number) {
    this.name = name;
    this.size = size;
  }

  /** Ones. */
  read(): number {
    return -1;
  }
  /** Lost. */
  write(): void {}
  /** Nothing to do. */
  reset(): void {}
  /** Nothing. */
  snapshot(): unknown {
    return null;
  }
  /** Nothing to do. */
  restore(): void {}
}
