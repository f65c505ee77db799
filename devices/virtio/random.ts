// The virtio entropy source: Virtual I/O Device (VIRTIO) 1.2, section 5.4. Its numbers follow from a seed, so that every run is the same.

import { VirtioDevice } from "./device.ts";
import type { Virtqueue } from "./queue.ts";

/** Most bytes that one request gets; a driver that wants more asks again. */
const MOST = 1 << 16;
const DEVICE_ID = 4, QUEUE_SIZE = 8;

/** A random number generator for those who need no secrets: xoshiro128** (Blackman and Vigna, 2018). */
class Xoshiro {
  state: Uint32Array;

  /** The state is filled from the seed by SplitMix32, as the authors advise. */
  constructor(seed: number) {
    let z = seed >>> 0;
    this.state = Uint32Array.from({ length: 4 }, () => {
      z = (z + 0x9e37_79b9) >>> 0;
      let x = Math.imul(z ^ z >>> 16, 0x85eb_ca6b);
      x = Math.imul(x ^ x >>> 13, 0xc2b2_ae35);
      return x ^ x >>> 16;
    });
  }

  next(): number {
    const s = this.state, rotate = (x: number, by: number) => x << by | x >>> 32 - by;
    const result = Math.imul(rotate(Math.imul(s[1]!, 5), 7), 9), t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotate(s[3]!, 11);
    return result;
  }
}

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
