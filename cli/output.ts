// Writes to standard output, standard error and files: in order, completely, and without stopping the event loop where a pipe
// is full.

import { constants, fstatSync, openSync, writeSync } from "node:fs";

/** Bytes that go to one file descriptor. */
interface Chunk {
  readonly descriptor: number;
  readonly bytes: Uint8Array;
}

/** Size of the buffer that single bytes are collected in. */
const BUFFER = 1 << 16;
/** More bytes than this waiting make the guest wait too. */
const LIMIT = 1 << 18;
/** Bytes of one write: a pipe takes so many at once or none (PIPE_BUF of Linux), so that a full one loses none. */
const PIECE = 4096;
/** Pause before a descriptor that is full (EAGAIN) is tried again, milliseconds. */
const PAUSE = 2;

const encoder = new TextEncoder();

/**
 * A descriptor for standard output (1) or error (2) that does not block if it is a pipe. It is opened anew, as the mode of the
 * old one is shared with other processes. Where the system cannot do that, the old one.
 */
export function openStandard(descriptor: 1 | 2): number {
  try {
    if (!fstatSync(descriptor).isFIFO()) return descriptor;
    return openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return descriptor;
  }
}

/** A queue for all descriptors, so that what is written to several appears in the order in which it was written. */
export class Output {
  #queue: Chunk[] = [];
  #waiting = 0;
  #buffer = new Uint8Array(BUFFER);
  #used = 0;
  #descriptor = 1;
  #closed = new Set<number>();
  #worker: Promise<void> | undefined;
  #deadline = Infinity;
  /** Called once for a descriptor that takes no more, with the system's error code; further output to it is dropped. */
  onClosed: (descriptor: number, code: string) => void = () => {};

  /** Adds a byte. */
  put(descriptor: number, byte: number): void {
    if (descriptor !== this.#descriptor || this.#used === BUFFER) {
      this.#seal();
      this.#descriptor = descriptor;
    }
    this.#buffer[this.#used++] = byte;
  }

  /** Adds a text. */
  write(descriptor: number, text: string): void {
    for (const byte of encoder.encode(text)) this.put(descriptor, byte);
  }

  /** Moves what was collected to the queue. */
  #seal(): void {
    if (this.#used === 0) return;
    this.#queue.push({ descriptor: this.#descriptor, bytes: this.#buffer.slice(0, this.#used) });
    this.#waiting += this.#used;
    this.#used = 0;
  }

  /** Writes what was added; the promise is fulfilled when so little waits that more may be produced. */
  async flush(): Promise<void> {
    this.#start();
    while (this.#waiting > LIMIT && this.#deadline === Infinity) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  /** Writes everything that was added. */
  async finish(): Promise<void> {
    do {
      this.#start();
      await this.#worker;
    } while (this.#worker !== undefined || this.#used > 0);
  }

  /** From now on nobody waits for a reader that takes nothing; after so many milliseconds what is left is dropped. */
  hurry(milliseconds: number): void {
    this.#deadline = Math.min(this.#deadline, performance.now() + milliseconds);
  }

  #start(): void {
    this.#seal();
    this.#worker ??= this.#work().finally(() => this.#worker = undefined);
  }

  async #work(): Promise<void> {
    for (let chunk; (chunk = this.#queue.shift()) !== undefined;) {
      const { descriptor, bytes } = chunk;
      for (let at = 0; at < bytes.length && !this.#closed.has(descriptor);) {
        const written = this.#write(descriptor, bytes.subarray(at, at + PIECE));
        at += written;
        this.#waiting -= written;
        if (written > 0) continue;
        if (performance.now() > this.#deadline) this.#closed.add(descriptor);
        else await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
      if (this.#closed.has(descriptor)) this.#waiting = this.#queue.reduce((sum, { bytes }) => sum + bytes.length, 0);
    }
  }

  /** Writes a piece; 0 if the descriptor takes nothing at present. */
  #write(descriptor: number, piece: Uint8Array): number {
    try {
      return writeSync(descriptor, piece);
    } catch (e) {
      const { code, message } = e as { code?: string; message: string };
      if (code !== "EAGAIN" && code !== "EINTR") {
        this.#closed.add(descriptor);
        this.onClosed(descriptor, code ?? message);
      }
      return 0;
    }
  }
}
