// A split virtqueue, seen from the device's side: takes descriptor chains from the driver and gives them back. Virtual I/O Device
// (VIRTIO) 1.2, section 2.7 "Split Virtqueues"; what a device does with a driver's mistakes is as in QEMU 7.2 (hw/virtio).

import type { DirectMemory } from "../device.ts";

/** Largest queue (2.7: 32768; QEMU has room for as many). */
export const MAX_QUEUE_SIZE = 1024;

/** Feature bits that concern every device (section 6). */
export const RING_FEATURE = {
  notifyOnEmpty: 1n << 24n,
  anyLayout: 1n << 27n,
  indirectDescriptors: 1n << 28n,
  eventIndex: 1n << 29n,
  version1: 1n << 32n,
  ringReset: 1n << 40n,
} as const;

const DESCRIPTOR_SIZE = 16, USED_ELEMENT_SIZE = 8, RING_HEADER = 4;
const DESCRIPTOR_NEXT = 1, DESCRIPTOR_WRITE = 2, DESCRIPTOR_INDIRECT = 4;
const AVAILABLE_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1;
/** Most bytes of a chain in all (2.7.5.2: a driver must not make a longer one). */
const MAX_CHAIN_LENGTH = 2 ** 32;

/** A buffer of a chain: the guest's bytes themselves. */
export interface Segment {
  /** Physical address. */
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** What the driver gave: buffers to read, then buffers to write. */
export class Chain {
  /** Index of the first descriptor, by which it goes back. */
  readonly head: number;
  /** What the device reads. */
  readonly out: readonly Segment[];
  /** What the device writes. */
  readonly in: readonly Segment[];
  readonly outLength: number;
  readonly inLength: number;
  readonly #memory: DirectMemory;

  constructor(head: number, out: readonly Segment[], into: readonly Segment[], memory: DirectMemory) {
    this.head = head;
    this.out = out;
    this.in = into;
    this.outLength = totalLength(out);
    this.inLength = totalLength(into);
    this.#memory = memory;
  }

  /** Copies up to `length` bytes of what the device reads, from an offset on. */
  read(offset = 0, length: number = this.outLength - offset): Uint8Array {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.outLength - offset)));
    let at = 0;
    for (const { bytes: piece } of slices(this.out, offset, bytes.length)) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  /** Writes bytes into what the device writes, from an offset on; what does not fit is left out. Tells how many were written. */
  write(bytes: Uint8Array, offset = 0): number {
    let at = 0;
    for (const piece of slices(this.in, offset, bytes.length)) {
      piece.bytes.set(bytes.subarray(at, at + piece.bytes.length));
      this.#memory.wrote(piece.address, piece.bytes.length);
      at += piece.bytes.length;
    }
    return at;
  }

  /** Lets `fill` write pieces of what the device writes in place, one after another. */
  writeWith(offset: number, length: number, fill: (piece: Uint8Array) => void): void {
    for (const { address, bytes } of slices(this.in, offset, length)) {
      fill(bytes);
      this.#memory.wrote(address, bytes.length);
    }
  }
}

function totalLength(segments: readonly Segment[]): number {
  return segments.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

/** The parts of some buffers that hold `length` bytes from `offset` on; fewer where they end. */
export function* slices(segments: readonly Segment[], offset: number, length: number): Iterable<Segment> {
  let skip = offset, left = length;
  for (const { address, bytes } of segments) {
    if (left <= 0) return;
    if (skip >= bytes.length) {
      skip -= bytes.length;
      continue;
    }
    const piece = bytes.subarray(skip, skip + left);
    yield { address: address + skip, bytes: piece };
    skip = 0;
    left -= piece.length;
  }
}

/** A driver's mistake: the message says which. */
export class QueueError extends Error {}

function get16(bytes: Uint8Array, offset: number): number {
  return bytes[offset]! | bytes[offset + 1]! << 8;
}
function get32(bytes: Uint8Array, offset: number): number {
  return (get16(bytes, offset) | get16(bytes, offset + 2) << 16) >>> 0;
}

/** All state, in one object so that a snapshot cannot forget a field. */
interface State {
  /** Entries; 0: there is no such queue. */
  size: number;
  /** Physical addresses of the three parts; 0: not set up. */
  descriptors: number;
  available: number;
  used: number;
  /** Alignment of the used ring in the legacy layout, bytes. */
  align: number;
  /** The next entry of the available ring to take, modulo 2^16. */
  nextAvailable: number;
  /** What the used ring's `idx` is, modulo 2^16. */
  usedIndex: number;
  /** `usedIndex` when the driver was last interrupted; undefined at first. */
  signalled: number | undefined;
  /** Chains that were taken and not given back. */
  inUse: number;
}

/** One queue of a device. */
export class Virtqueue {
  readonly #memory: DirectMemory;
  /** Entries that it has until the driver says otherwise. */
  readonly defaultSize: number;
  #state: State;
  // The parts of the ring, once the driver has placed them.
  #descriptors: Uint8Array | undefined;
  #available: Uint8Array | undefined;
  #used: Uint8Array | undefined;
  /** Features that the driver has accepted. */
  features = 0n;

  constructor(memory: DirectMemory, size: number) {
    this.#memory = memory;
    this.defaultSize = size;
    this.#state = this.#initial(4096);
  }

  #initial(align: number): State {
    return {
      size: this.defaultSize,
      descriptors: 0,
      available: 0,
      used: 0,
      align,
      nextAvailable: 0,
      usedIndex: 0,
      signalled: undefined,
      inUse: 0,
    };
  }

  /** Back to the state before the driver set it up. The alignment stays, as in QEMU. */
  reset(): void {
    this.#state = this.#initial(this.#state.align);
    this.#descriptors = this.#available = this.#used = undefined;
  }

  get size(): number {
    return this.#state.size;
  }
  /** A size that a queue cannot have is ignored. */
  set size(size: number) {
    if (this.defaultSize === 0 || size === 0 || size > MAX_QUEUE_SIZE) return;
    this.#state.size = size;
  }

  /** Whether the driver has placed it. */
  get ready(): boolean {
    return this.#available !== undefined;
  }

  /** Where the descriptors are; 0: nowhere. */
  get descriptors(): number {
    return this.#state.descriptors;
  }

  /** Chains that were taken and not given back. */
  get inUse(): number {
    return this.#state.inUse;
  }

  /** Places all three parts. @throws {QueueError} If one is not in RAM. */
  place(descriptors: number, available: number, used: number): void {
    if (this.#state.size === 0) return;
    this.#state.descriptors = descriptors;
    this.#state.available = available;
    this.#state.used = used;
    this.#map();
  }

  /** Takes the queue out of use; the driver may place it again. */
  unplace(): void {
    this.#descriptors = this.#available = this.#used = undefined;
  }

  /** Places it in the legacy layout (2.7.2): one stretch of memory, the used ring aligned. @throws {QueueError} */
  placeLegacy(address: number): void {
    this.#state.descriptors = address;
    this.relayLegacy();
  }

  /** Alignment of the used ring in the legacy layout. */
  set align(bytes: number) {
    if (bytes !== 0) this.#state.align = bytes;
  }

  /** Computes the legacy layout anew, after size or alignment changed. @throws {QueueError} */
  relayLegacy(): void {
    const { size, descriptors, align } = this.#state;
    if (size === 0 || descriptors === 0) return;
    const available = descriptors + DESCRIPTOR_SIZE * size, end = available + RING_HEADER + 2 * size;
    this.place(descriptors, available, Math.ceil(end / align) * align);
  }

  #map(): void {
    const { size, descriptors, available, used } = this.#state;
    this.unplace();
    if (descriptors === 0) return;
    const map = (address: number, length: number, what: string) => {
      const view = this.#memory.view(address, length);
      if (view === undefined) throw new QueueError(`Cannot map ${what}`);
      return view;
    };
    // Two more bytes for the event index.
    const parts = [
      map(descriptors, DESCRIPTOR_SIZE * size, "desc"),
      map(available, RING_HEADER + 2 * size + 2, "avail"),
      map(used, RING_HEADER + USED_ELEMENT_SIZE * size + 2, "used"),
    ] as const;
    [this.#descriptors, this.#available, this.#used] = parts;
  }

  get #eventIndex(): boolean {
    return (this.features & RING_FEATURE.eventIndex) !== 0n;
  }

  /** Whether the driver has offered nothing. */
  get empty(): boolean {
    return this.#available === undefined || get16(this.#available, 2) === this.#state.nextAvailable;
  }

  /**
   * How many bytes the buffers can hold that the driver has offered; looks without taking, and not beyond `most`.
   *
   * @throws {QueueError}
   */
  room(most: number): number {
    let room = 0, next = this.#state.nextAvailable;
    for (let left = this.#offered(); left > 0 && room < most; left--) {
      room += this.#chain(this.#head(next)).inLength;
      next = (next + 1) & 0xffff;
    }
    return Math.min(room, most);
  }

  /** How many chains the driver has offered. @throws {QueueError} */
  #offered(): number {
    if (this.#available === undefined) return 0;
    const index = get16(this.#available, 2), { nextAvailable, size } = this.#state;
    const heads = (index - nextAvailable) & 0xffff;
    if (heads > size) throw new QueueError(`Guest moved used index from ${nextAvailable} to ${index}`);
    return heads;
  }

  /** Takes the next chain; undefined if there is none. @throws {QueueError} If the driver made a mistake. */
  take(): Chain | undefined {
    const state = this.#state;
    if (this.#offered() === 0) return undefined;
    if (state.inUse >= state.size) throw new QueueError("Virtqueue size exceeded");
    const head = this.#head(state.nextAvailable);
    state.nextAvailable = (state.nextAvailable + 1) & 0xffff;
    if (this.#eventIndex) this.#setAvailableEvent(state.nextAvailable);
    const chain = this.#chain(head);
    state.inUse++;
    return chain;
  }

  /** Puts back the chain that was taken last, as if it had never been. */
  untake(): void {
    this.#state.nextAvailable = (this.#state.nextAvailable - 1) & 0xffff;
    this.#state.inUse--;
    if (this.#eventIndex) this.#setAvailableEvent(this.#state.nextAvailable);
  }

  #head(at: number): number {
    const { size } = this.#state, head = get16(this.#available!, RING_HEADER + 2 * (at % size));
    if (head >= size) throw new QueueError(`Guest says index ${head} is available`);
    return head;
  }

  #chain(head: number): Chain {
    const out: Segment[] = [], into: Segment[] = [];
    let table = this.#descriptors!, index = head, indirect = false, count = 0, length = 0;
    let limit = table.length / DESCRIPTOR_SIZE;
    for (;;) {
      const at = DESCRIPTOR_SIZE * index, flags = get16(table, at + 12);
      const address = get32(table, at + 4) * 2 ** 32 + get32(table, at), size = get32(table, at + 8);
      if ((flags & DESCRIPTOR_INDIRECT) !== 0) {
        if (indirect) throw new QueueError("Indirect descriptor in an indirect table");
        if (size === 0 || size % DESCRIPTOR_SIZE !== 0) throw new QueueError("Invalid size for indirect buffer table");
        const inner = this.#memory.view(address, size);
        if (inner === undefined) throw new QueueError("Cannot map indirect buffer");
        table = inner;
        limit = count + inner.length / DESCRIPTOR_SIZE;
        index = 0;
        indirect = true;
        continue;
      }
      if (size === 0) throw new QueueError("virtio: zero sized buffers are not allowed");
      const bytes = this.#memory.view(address, size);
      if (bytes === undefined) throw new QueueError("virtio: bogus descriptor or out of resources");
      if ((flags & DESCRIPTOR_WRITE) !== 0) into.push({ address, bytes });
      else if (into.length > 0) throw new QueueError("Incorrect order for descriptors");
      else out.push({ address, bytes });
      // As many as the table has, or more than a device takes, can only be a loop.
      if (++count > Math.min(limit, MAX_QUEUE_SIZE)) throw new QueueError("Looped descriptor");
      length += size;
      if (length > MAX_CHAIN_LENGTH) throw new QueueError("virtio: a chain of more than 2^32 bytes");
      if ((flags & DESCRIPTOR_NEXT) === 0) return new Chain(head, out, into, this.#memory);
      index = get16(table, at + 14);
      if (index >= table.length / DESCRIPTOR_SIZE) throw new QueueError(`Desc next is ${index}`);
    }
  }

  /** Gives a chain back, with the number of bytes that were written into it. */
  give(head: number, written: number): void {
    const state = this.#state, used = this.#used;
    state.inUse--;
    if (used === undefined) return;
    const at = RING_HEADER + USED_ELEMENT_SIZE * (state.usedIndex % state.size);
    this.#put32(used, at, head);
    this.#put32(used, at + 4, written);
    this.#memory.wrote(state.used + at, USED_ELEMENT_SIZE);
    state.usedIndex = (state.usedIndex + 1) & 0xffff;
    this.#put16(used, 2, state.usedIndex);
    this.#memory.wrote(state.used + 2, 2);
    if (state.signalled === undefined) return;
    // Half around since the last interrupt: the event index no longer tells whether one is due.
    const distance = (state.usedIndex - state.signalled) & 0xffff;
    if (distance === 0 || distance >= 0x8000) state.signalled = undefined;
  }

  /** Whether the driver wants an interrupt for what was given back since the last one. */
  wantsInterrupt(): boolean {
    const state = this.#state, available = this.#available;
    if (available === undefined) return false;
    const notifyOnEmpty = (this.features & RING_FEATURE.notifyOnEmpty) !== 0n;
    if (notifyOnEmpty && state.inUse === 0 && this.empty) return true;
    if (!this.#eventIndex) return (get16(available, 0) & AVAILABLE_NO_INTERRUPT) === 0;
    const before = state.signalled, now = state.usedIndex;
    state.signalled = now;
    if (before === undefined) return true;
    const event = get16(available, RING_HEADER + 2 * state.size);
    return ((now - event - 1) & 0xffff) < ((now - before) & 0xffff);
  }

  /** Tells the driver whether it should notify the device of new chains. */
  setNotification(wanted: boolean): void {
    const used = this.#used, available = this.#available;
    if (used === undefined || available === undefined) return;
    if (this.#eventIndex) {
      if (wanted) this.#setAvailableEvent(get16(available, 2));
      return;
    }
    const flags = get16(used, 0), changed = wanted ? flags & ~USED_NO_NOTIFY : flags | USED_NO_NOTIFY;
    if (flags === changed) return;
    this.#put16(used, 0, changed);
    this.#memory.wrote(this.#state.used, 2);
  }

  #setAvailableEvent(index: number): void {
    const at = RING_HEADER + USED_ELEMENT_SIZE * this.#state.size;
    this.#put16(this.#used!, at, index);
    this.#memory.wrote(this.#state.used + at, 2);
  }

  #put16(bytes: Uint8Array, offset: number, value: number): void {
    bytes[offset] = value;
    bytes[offset + 1] = value >>> 8;
  }
  #put32(bytes: Uint8Array, offset: number, value: number): void {
    this.#put16(bytes, offset, value);
    this.#put16(bytes, offset + 2, value >>> 16);
  }

  snapshot(): unknown {
    return { ...this.#state, placed: this.ready };
  }

  restore(saved: unknown): void {
    const { placed, ...state } = saved as State & { placed: boolean };
    this.#state = state;
    this.unplace();
    if (placed) this.#map();
  }
}
