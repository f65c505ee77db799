// A driver of one virtio queue, as tests need it: places the rings in either layout, makes chains, also wrong ones.

import type { DeviceBoard } from "./qtest.ts";
import { RAM, REG, TRANSPORT } from "./virtio_rig.ts";

/** A descriptor as it stands in memory. */
export interface Descriptor {
  readonly address: number;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

/** Bits of a descriptor's flags. */
export const FLAG = { next: 1, write: 2, indirect: 4 } as const;

/** Bytes of a table of descriptors. */
export function descriptorBytes(descriptors: readonly Descriptor[]): Uint8Array {
  const bytes = new Uint8Array(16 * descriptors.length), view = new DataView(bytes.buffer);
  descriptors.forEach(({ address, length, flags, next }, k) => {
    view.setBigUint64(16 * k, BigInt(address), true);
    view.setUint32(16 * k + 8, length, true);
    view.setUint16(16 * k + 12, flags, true);
    view.setUint16(16 * k + 14, next, true);
  });
  return bytes;
}

/** A 16-bit value. */
export function half(value: number): Uint8Array {
  return Uint8Array.of(value, value >>> 8);
}

/** Places the rings of a queue and offers chains in it. */
export class QueueDriver {
  readonly #board: DeviceBoard;
  readonly #legacy: boolean;
  readonly #queue: number;
  readonly size: number;
  /** Physical addresses of the parts. */
  readonly descriptors: number;
  readonly available: number;
  readonly used: number;
  #offered = 0;

  /** The rings are at `address`, a multiple of 4096, in the legacy layout with alignment 4096. */
  constructor(board: DeviceBoard, legacy: boolean, size = 16, queue = 0, address: number = RAM) {
    this.#board = board;
    this.#legacy = legacy;
    this.#queue = queue;
    this.size = size;
    this.descriptors = address;
    this.available = address + 16 * size;
    this.used = address + 4096;
  }

  /** Writes a register. */
  async set(register: number, value: number): Promise<void> {
    await this.#board.write(TRANSPORT + register, 4, value);
  }
  /** Reads a register. */
  get(register: number): Promise<number> {
    return this.#board.read(TRANSPORT + register, 4);
  }

  /** Resets the device and accepts features (of those it offers, these). */
  async negotiate(features: bigint): Promise<void> {
    await this.set(REG.status, 0);
    await this.set(REG.status, 1);
    await this.set(REG.status, 3);
    for (const half of this.#legacy ? [0] : [0, 1]) {
      await this.set(REG.driverFeaturesSel, half);
      await this.set(REG.driverFeatures, Number(features >> BigInt(32 * half) & 0xffff_ffffn));
    }
    if (!this.#legacy) await this.set(REG.status, 11);
  }

  /** Clears the rings and tells the device where they are. */
  async place(): Promise<void> {
    await this.#board.writeMemory(this.descriptors, new Uint8Array(8192));
    this.#offered = 0;
    await this.set(REG.queueSel, this.#queue);
    await this.set(REG.queueNum, this.size);
    if (this.#legacy) {
      await this.set(REG.guestPageSize, 4096);
      await this.set(REG.queueAlign, 4096);
      await this.set(REG.queuePfn, this.descriptors / 4096);
      return;
    }
    for (
      const [register, address] of [
        [REG.queueDesc, this.descriptors],
        [REG.queueDriver, this.available],
        [REG.queueDevice, this.used],
      ] as const
    ) {
      await this.set(register, address);
      await this.set(register + 4, 0);
    }
    await this.set(REG.queueReady, 1);
  }

  /** Tells the device that the driver is ready. */
  async start(): Promise<void> {
    await this.set(REG.status, this.#legacy ? 7 : 15);
  }

  /** Puts a head into the available ring; `skip` makes its index jump. */
  async offer(head: number, skip = 0): Promise<void> {
    await this.#board.writeMemory(this.available + 4 + 2 * (this.#offered % this.size), half(head));
    this.#offered = (this.#offered + 1 + skip) & 0xffff;
    await this.#board.writeMemory(this.available + 2, half(this.#offered));
  }
  /** What the index of the used ring will be once all is given back. */
  get offered(): number {
    return this.#offered;
  }
  /** Index of the used ring. */
  async usedIndex(): Promise<number> {
    const bytes = await this.#board.readMemory(this.used + 2, 2);
    return bytes[0]! | bytes[1]! << 8;
  }
  async notify(): Promise<void> {
    await this.set(REG.queueNotify, this.#queue);
  }
}
