// What all virtio devices have in common, whatever they do and however the driver reaches them: status, features, queues,
// configuration, and what becomes of a device whose driver made a mistake. Virtual I/O Device (VIRTIO) 1.2, chapter 2; where a
// driver breaks the rules, as QEMU 7.2 (hw/virtio/virtio.c).

import type { Clock, DirectMemory } from "../device.ts";
import { type Chain, QueueError, RING_FEATURE, Virtqueue } from "./queue.ts";

/** Bits of the device status (2.1). */
export const STATUS = {
  acknowledge: 1,
  driver: 2,
  driverOk: 4,
  featuresOk: 8,
  needsReset: 64,
  failed: 128,
} as const;

/** Bits of the interrupt status (4.2.2.1). */
const USED_BUFFER = 1, CONFIGURATION_CHANGE = 2;

/** What a device is connected to by its transport. */
export interface VirtioConnection {
  readonly memory: DirectMemory;
  readonly clock: Clock;
  /** Whether the driver sees the legacy interface. */
  readonly legacy: boolean;
  /** Called when the interrupt status has changed. */
  readonly interruptChanged: () => void;
}

/** The part of the state that every device has; `snapshot` gives it with that of the queues and the device's own. */
interface State {
  status: number;
  /** Interrupt status. */
  interrupts: number;
  /** Features that the driver has accepted. */
  features: bigint;
  /** Selected queue. */
  selected: number;
  /** Changes of the configuration so far. */
  generation: number;
  /** The mistake that the driver made; the device does nothing until it is reset. */
  failure: string | undefined;
}

function atReset(generation: number): State {
  return { status: 0, interrupts: 0, features: 0n, selected: 0, generation, failure: undefined };
}

/** A virtio device. What it is and does is in its subclasses, one file each. */
export abstract class VirtioDevice {
  /** Device ID (chapter 5). */
  abstract readonly deviceId: number;
  /** Features of its own that it offers; `legacy`: to a driver of the legacy interface. */
  protected abstract ownFeatures(legacy: boolean): bigint;
  /** Features that it does not offer though it could, as properties of `-device` say. */
  withheld = 0n;
  /** Whether a legacy driver may split requests into buffers as it likes. */
  protected readonly anyLayout: boolean = true;
  /** Sizes of the queues. */
  protected abstract readonly queueSizes: readonly number[];

  #state: State = atReset(0);
  #connection: VirtioConnection | undefined;
  #queues: readonly Virtqueue[] = [];

  /** Connects it to a transport, once. */
  connect(connection: VirtioConnection): void {
    this.#connection = connection;
    this.#queues = this.queueSizes.map((size) => new Virtqueue(connection.memory, size));
    this.connected(connection);
  }
  /** For devices that need the clock. */
  protected connected(_connection: VirtioConnection): void {}

  /** All features that it offers. */
  get offered(): bigint {
    const { legacy } = this.#connection!;
    const common = RING_FEATURE.indirectDescriptors | RING_FEATURE.eventIndex;
    const rest = legacy
      ? RING_FEATURE.notifyOnEmpty | (this.anyLayout ? RING_FEATURE.anyLayout : 0n)
      : RING_FEATURE.version1 | RING_FEATURE.ringReset;
    return (this.ownFeatures(legacy) | common | rest) & ~this.withheld;
  }

  /** Features that the driver has accepted. */
  get features(): bigint {
    return this.#state.features;
  }
  /** What the driver accepts; what is not offered is ignored, and all of it once features are settled. */
  set features(accepted: bigint) {
    if ((this.#state.status & STATUS.featuresOk) !== 0) return;
    this.#state.features = accepted & this.offered;
    for (const queue of this.#queues) queue.features = this.#state.features;
    this.featuresChanged();
  }
  protected featuresChanged(): void {}
  /** Whether the driver has accepted a feature. */
  has(feature: bigint): boolean {
    return (this.#state.features & feature) !== 0n;
  }

  /** Device status. */
  get status(): number {
    return this.#state.status;
  }
  set status(status: number) {
    this.#state.status = status;
    this.statusChanged(status);
  }
  protected statusChanged(_status: number): void {}
  /** Whether the driver is ready. */
  get running(): boolean {
    return (this.#state.status & STATUS.driverOk) !== 0;
  }

  /** The queues; what a driver selects need not be there. */
  get queues(): readonly Virtqueue[] {
    return this.#queues;
  }
  get selected(): number {
    return this.#state.selected;
  }
  set selected(queue: number) {
    this.#state.selected = queue;
  }

  /** Number that changes whenever the configuration does. */
  get generation(): number {
    return this.#state.generation;
  }

  /** Interrupt status. */
  get interrupts(): number {
    return this.#state.interrupts;
  }
  acknowledge(bits: number): void {
    this.#state.interrupts &= ~bits;
    this.#connection!.interruptChanged();
  }
  #interrupt(bits: number): void {
    this.#state.interrupts |= bits;
    this.#connection!.interruptChanged();
  }

  /** Tells the driver of used buffers in a queue, if it wants to know. */
  protected interruptFor(queue: Virtqueue): void {
    if (queue.wantsInterrupt()) this.#interrupt(USED_BUFFER);
  }
  /** Tells the driver that the configuration has changed. */
  protected configurationChanged(): void {
    if (!this.running) return;
    this.#state.generation++;
    // Both bits, as QEMU.
    this.#interrupt(USED_BUFFER | CONFIGURATION_CHANGE);
  }

  /** Why the device does nothing any more: the driver's mistake; undefined while there was none. */
  get failure(): string | undefined {
    return this.#state.failure;
  }
  /** Stops the device until it is reset, and tells a driver that can be told (2.1.1). */
  #fail(reason: string): void {
    this.#state.failure ??= reason;
    if (!this.has(RING_FEATURE.version1)) return;
    this.#state.status |= STATUS.needsReset;
    this.configurationChanged();
  }
  /** Runs something that may find a mistake of the driver; undefined if it did. */
  protected guard<T>(action: () => T): T | undefined {
    try {
      return action();
    } catch (e) {
      if (!(e instanceof QueueError)) throw e;
      this.#fail(e.message);
      return undefined;
    }
  }

  /** Lets a transport place a queue. */
  setUp(action: (queue: Virtqueue) => void): void {
    const queue = this.#queues[this.#state.selected];
    if (queue !== undefined) this.guard(() => action(queue));
  }

  /** Resets one queue (2.6.1). */
  resetQueue(): void {
    this.setUp((queue) => queue.reset());
    this.queueReset(this.#state.selected);
  }
  protected queueReset(_index: number): void {}

  /** The driver has put something into a queue. */
  notify(index: number): void {
    const queue = this.#queues[index];
    if (queue === undefined || !queue.ready || this.failure !== undefined) return;
    this.guard(() => this.notified(index, queue));
  }
  /** Does what the driver asks for in a queue. @throws {QueueError} */
  protected abstract notified(index: number, queue: Virtqueue): void;

  /**
   * Handles the chains of a queue, at most as many as it has entries: a chain may overwrite the ring that it is in. Gives each
   * back with the number that `handle` returns; undefined puts it back and ends.
   *
   * @returns Whether chains may be left.
   * @throws {QueueError}
   */
  protected drain(queue: Virtqueue, handle: (chain: Chain) => number | undefined): boolean {
    let handled = 0;
    try {
      while (handled < queue.size) {
        const chain = queue.take();
        if (chain === undefined) return false;
        const written = handle(chain);
        if (written === undefined) {
          queue.untake();
          return false;
        }
        queue.give(chain.head, written);
        handled++;
      }
      return true;
    } finally {
      if (handled > 0) this.interruptFor(queue);
    }
  }

  /** The configuration as the driver reads it; empty where there is none. */
  configuration(): Uint8Array {
    return new Uint8Array();
  }
  /** The driver has written into a copy of the configuration. */
  configure(_configuration: Uint8Array): void {}

  /** Back to the state after power-on. */
  reset(): void {
    this.#state = atReset(this.#state.generation);
    for (const queue of this.#queues) {
      queue.reset();
      queue.features = 0n;
    }
    this.resetOwn();
    this.#connection?.interruptChanged();
  }
  protected resetOwn(): void {}

  snapshot(): unknown {
    return {
      state: { ...this.#state },
      queues: this.#queues.map((queue) => queue.snapshot()),
      own: this.snapshotOwn(),
    };
  }
  protected snapshotOwn(): unknown {
    return undefined;
  }

  restore(saved: unknown): void {
    const { state, queues, own } = saved as { state: State; queues: unknown[]; own: unknown };
    this.#state = { ...state };
    this.#queues.forEach((queue, k) => {
      queue.restore(queues[k]);
      queue.features = state.features;
    });
    this.restoreOwn(own);
    this.#connection?.interruptChanged();
  }
  protected restoreOwn(_own: unknown): void {}
}
