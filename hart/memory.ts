// What a hart and its translator see of physical memory: one main RAM with direct views, and everything else behind
// two functions.

/**
 * Bytes beside RAM for what generated code of a hart shares with the rest: registers, look-aside buffers, decoded instructions and the like.
 * What is not used costs nothing.
 */
const SHARED = 104 * 2 ** 20;
/** Bytes of a page of WebAssembly's memory. */
const WASM_PAGE = 2 ** 16;

/** Memory that WebAssembly can use, too; null where there is none. */
function wasmMemory(pages: number): WebAssembly.Memory | null {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch {
    return null;
  }
}

/**
 * Main memory. Its bytes can be reached through views of every width; generated code does, so nothing here moves after
 * creation. `lines` has one byte per 64 bytes of RAM, not 0 where a write must be noticed.
 */
export class Ram {
  /** Physical address of the first byte; a multiple of 4096 below 2^32. */
  readonly base: number;
  /** Bytes; a multiple of 4096, at most 2^31. */
  readonly size: number;
  readonly u8: Uint8Array;
  readonly i8: Int8Array;
  readonly u16: Uint16Array;
  readonly i16: Int16Array;
  readonly i32: Int32Array;
  readonly f64: Float64Array;
  /** Per 64-byte line: bits of `Watch`. */
  readonly lines: Uint8Array;
  /** What all of this lies in, as WebAssembly sees it; null where there is no WebAssembly. */
  readonly memory: WebAssembly.Memory | null;
  /** Size of that, in pages of WebAssembly. */
  readonly pages: number;
  readonly #buffer: ArrayBuffer;
  readonly #shared: number;
  #used = 0;

  /** `harts`: how many will use it. */
  constructor(base: number, size: number, harts = 1) {
    this.base = base;
    this.size = size;
    const linesSize = size >>> LINE_SHIFT, shared = this.#shared = harts * SHARED;
    const at = Math.ceil((shared + linesSize) / WASM_PAGE) * WASM_PAGE;
    const pages = this.pages = Math.ceil((at + size) / WASM_PAGE);
    this.memory = wasmMemory(pages);
    const buffer = this.#buffer = this.memory?.buffer as ArrayBuffer ?? new ArrayBuffer(pages * WASM_PAGE);
    this.u8 = new Uint8Array(buffer, at, size);
    this.i8 = new Int8Array(buffer, at, size);
    this.u16 = new Uint16Array(buffer, at, size / 2);
    this.i16 = new Int16Array(buffer, at, size / 2);
    this.i32 = new Int32Array(buffer, at, size / 4);
    this.f64 = new Float64Array(buffer, at, size / 8);
    this.lines = new Uint8Array(buffer, shared, linesSize);
  }

  /** Words of their own beside RAM, in the same memory where there is room: for what generated code uses. */
  words(count: number): Int32Array {
    const at = this.#used, bytes = Math.ceil(count / 4) * 16;
    if (at + bytes > this.#shared) return new Int32Array(count);
    this.#used += bytes;
    return new Int32Array(this.#buffer, at, count);
  }

  /** Where an array is in the memory that WebAssembly sees; undefined if it is not there. */
  offsetOf(array: ArrayBufferView): number | undefined {
    return this.memory !== null && array.buffer === this.#buffer ? array.byteOffset : undefined;
  }
}

/** log2 of the bytes in a line. */
export const LINE_SHIFT = 6;

/** Why a line of RAM is watched; bits. */
export const WATCH = {
  /** The interpreter holds decoded instructions of it. */
  decoded: 1,
  /** A compiled region holds instructions of it. */
  compiled: 2,
  /** A device lies over the line. */
  device: 4,
  /** The interpreter for virtual addresses holds decoded instructions of it. */
  decodedVirtual: 8,
  /** A watchpoint lies on the line. */
  watchpoint: 16,
  /** A hart that does not execute at present has a reservation in the line. */
  reserved: 32,
} as const;

/** Memory whose bytes can be executed from: RAM, ROM, flash. */
export interface ExecutableMemory {
  /** The bytes of the whole region. */
  readonly bytes: Uint8Array;
  /** Offset of the page in it. */
  readonly offset: number;
  /** Whether it is main RAM. */
  readonly isRam: boolean;
}

/** All of physical memory. Addresses are numbers below 2^56. */
export interface PhysicalMemory {
  /** Main RAM. */
  readonly ram: Ram;
  /** Set by `read` and `write` when nothing answers (an access fault), else cleared. */
  fault: boolean;
  /**
   * Reads 1, 2, 4 or 8 bytes, little-endian. The result is the zero-extended value as an int32; the upper half of 8 bytes
   * is left in HIGH[0]. A misaligned address is answered by RAM and ROM only.
   */
  read(physical: number, size: number): number;
  /** Writes 1, 2, 4 or 8 bytes, little-endian. Tells whoever watches the line. */
  write(physical: number, size: number, low: number, high: number): void;
  /** The page at a physical address if it can be executed from; `physical` is a multiple of 4096. */
  executable(physical: number): ExecutableMemory | null;
  /** True if RAM, ROM or a device answers at a physical address. */
  exists(physical: number): boolean;
  /** True if the bytes are in main RAM. */
  isRam(physical: number, size: number): boolean;
}
