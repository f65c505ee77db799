// The virtio entropy source: Virtual I/O Device (VIRTIO) 1.2, section 5.4. Its numbers follow from a seed, so that every run is the same.

import { Xoshiro } from "../xoshiro.ts";
import { VirtioDevice } from "./device.ts";
import type { Virtqueue } from "./queue.ts";

/** Most bytes that one request gets; a driver that wants more asks again. */
const MOST = 1 << 16;
const DEVICE_ID = 4, QUEUE_SIZE = 8;

/** An entropy source. */
export class VirtioRandom extends VirtioDevice {
  readonly deviceId = DEVICE_ID;
  protected readonly queueSizes: readonly number[] = [QUEUE_SIZE];
  readonly #source: Xoshiro;

  /** Devices with one seed give the same numbers. */
  constructor(seed: number) {
    super();
    this.#source = new Xoshiro(seed);
  }

  protected ownFeatures(): bigint {
    return 0n;
  }

  protected notified(_index: number, queue: Virtqueue): void {
    if (!this.running) return;
    this.drain(queue, (chain) => {
      const bytes = new Uint8Array(Math.min(chain.inLength, MOST));
      for (let at = 0; at < bytes.length; at += 4) {
        const word = this.#source.next();
        for (let k = 0; k < 4 && at + k < bytes.length; k++) bytes[at + k] = word >>> 8 * k;
      }
      return chain.write(bytes);
    });
  }

  /** What was there before the driver was goes on: a reset makes no numbers come again. */
  protected override statusChanged(): void {
    if (this.running) this.notify(0);
  }

  protected override snapshotOwn(): unknown {
    return this.#source.state.slice();
  }
  protected override restoreOwn(own: unknown): void {
    this.#source.state = (own as Uint32Array).slice();
  }
}
