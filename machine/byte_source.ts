// Files of which only parts are read: what is large and mostly not needed, as a kernel with its debug information.

import type { ImageFile } from "./image.ts";

/** Bytes of which any part can be had at once. */
export interface ByteSource {
  /** Name for messages. */
  readonly name: string;
  /** Bytes that there are. */
  readonly size: number;
  /** Bytes from `offset` on, at most `length`: fewer where they end. A view or a copy; not to be written. */
  read(offset: number, length: number): Uint8Array;
}

/** A file that is in memory. */
export function sourceOf({ name, bytes }: ImageFile): ByteSource {
  return { name, size: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) };
}

/** Size of what is read at once, and how much of it is kept. */
const PAGE = 4096, KEPT = 1024;

/** A source that reads another page by page and keeps the pages; long stretches go past that. */
export class PagedSource implements ByteSource {
  readonly #source: ByteSource;
  /** By number, those used last at the end. */
  readonly #pages = new Map<number, Uint8Array>();

  constructor(source: ByteSource) {
    this.#source = source;
  }

  get name(): string {
    return this.#source.name;
  }

  get size(): number {
    return this.#source.size;
  }

  read(offset: number, length: number): Uint8Array {
    if (length > PAGE) return this.#source.read(offset, length);
    const first = Math.floor(offset / PAGE), at = offset - first * PAGE, bytes = this.#page(first);
    if (at + length <= PAGE) return bytes.subarray(at, at + length);
    const next = this.#page(first + 1).subarray(0, at + length - PAGE), head = bytes.subarray(at);
    const both = new Uint8Array(head.length + next.length);
    both.set(head);
    both.set(next, head.length);
    return both;
  }

  #page(number: number): Uint8Array {
    let page = this.#pages.get(number);
    this.#pages.delete(number);
    page ??= this.#source.read(number * PAGE, PAGE);
    this.#pages.set(number, page);
    if (this.#pages.size > KEPT) this.#pages.delete(this.#pages.keys().next().value!);
    return page;
  }
}
