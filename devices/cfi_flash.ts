// NOR flash behind the Common Flash Interface with Intel's command set (0001): two chips of 16 bits side by side, as the `virt` board
// has them. Intel's "28F128J3 StrataFlash" datasheet, "Bus Operations" to "Write State Machine"; JEDEC JESD68 for the query; what is
// left out there is as in QEMU 7.2's `cfi.pflash01`: commands take no time, and a program operation replaces bytes instead of only
// clearing bits.

import type { BlockBackend } from "./block_backend.ts";
import type { Device, Width } from "./device.ts";

/** Bytes of a block: what one erase sets to ones. */
export const FLASH_SECTOR = 0x4_0000;
/** Bytes of the bus and of each of the chips on it. */
const BANK_WIDTH = 4, CHIP_WIDTH = 2;

/** What a `CfiFlash` is made from. */
export interface CfiFlashOptions {
  /** Name for messages, e.g. `flash@20000000`. */
  readonly name: string;
  /** Length in bytes; a power of two. */
  readonly size: number;
  /** Its contents; absent: zeros, and what is written is lost with the machine. */
  readonly backend?: BlockBackend;
  /** Called when its contents have changed: `length` bytes from `offset` on. */
  readonly changed: (offset: number, length: number) => void;
}

/** Bytes of the buffers of both chips: what a buffered program writes lies in an aligned stretch of so many. */
const BUFFER_SIZE = 0x1000;

/** Commands (datasheet, table "Command Definitions"). */
const COMMAND = {
  readArray: 0xff,
  program: 0x40,
  programToo: 0x10,
  blockErase: 0x20,
  clearStatus: 0x50,
  lock: 0x60,
  readStatus: 0x70,
  readId: 0x90,
  query: 0x98,
  bufferedProgram: 0xe8,
  confirm: 0xd0,
  setLock: 0x01,
} as const;
/** What QEMU keeps in the command's place while the array is read; as a command it does that, too. */
const ARRAY = 0x00;

/** Status register. */
const READY = 0x80, ERASE_ERROR = 0x20, PROGRAM_ERROR = 0x10;

/** Manufacturer (Intel) and device. */
const IDENTITY: readonly number[] = [0x89, 0x18];

/** The query's answers of one chip, from 0x10 on (JESD68, and Intel's extended query at 0x31). */
function queryTable(size: number): readonly number[] {
  const chips = BANK_WIDTH / CHIP_WIDTH, sectors = size / FLASH_SECTOR, sector = FLASH_SECTOR / chips;
  const table = new Array<number>(0x52).fill(0);
  const put = (at: number, ...bytes: number[]) => bytes.forEach((byte, k) => table[at + k] = byte);
  put(0x10, 0x51, 0x52, 0x59); // "QRY"
  put(0x13, 0x01, 0x00, 0x31, 0x00); // Command set 1; the extended query is at 0x31.
  put(0x1b, 0x45, 0x55); // Volts.
  put(0x1f, 0x07, 0x07, 0x0a, 0x00, 0x04, 0x04, 0x04, 0x00); // Times.
  put(0x27, Math.log2(size / chips), 0x02, 0x00, 0x0b, 0x00); // Size, 16 bits wide, buffer of 2^11 bytes.
  put(0x2c, 0x01, (sectors - 1) & 0xff, (sectors - 1) >> 8, sector >> 8 & 0xff, sector >> 16);
  put(0x31, 0x50, 0x52, 0x49, 0x31, 0x30); // "PRI", version 1.0.
  put(0x3f, 0x01);
  return table;
}

interface State {
  /** The command that decides what reads give; `ARRAY` where it is the array. */
  command: number;
  /** Bus cycles of the command that have been seen: 0 where a new one is expected. */
  cycle: number;
  status: number;
  /** Writes that a buffered program still takes, less 1. */
  count: number;
  /** Where the stretch begins that a buffered program may write. */
  base: number;
  /** What a buffered program will write. */
  buffer: { readonly offset: number; readonly width: Width; readonly value: number }[];
}

function powerOn(): State {
  return { command: ARRAY, cycle: 0, status: READY, count: 0, base: 0, buffer: [] };
}

/** Zeros that all chips without contents share until they are written. */
let zeros = new Uint8Array();

/** A bank of flash. */
export class CfiFlash implements Device {
  /** Name for messages. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  readonly #backend: BlockBackend | undefined;
  readonly #changed: (offset: number, length: number) => void;
  readonly #query: readonly number[];
  /** Undefined: all zeros, as yet. */
  #array: Uint8Array | undefined;
  #state: State = powerOn();

  /** Reads the whole contents. */
  constructor(options: CfiFlashOptions) {
    this.name = options.name;
    this.size = options.size;
    this.#backend = options.backend;
    this.#changed = options.changed;
    this.#query = queryTable(options.size);
    if (options.backend === undefined) return;
    this.#array = new Uint8Array(options.size);
    options.backend.read(0, this.#array);
  }

  get #bytes(): Uint8Array {
    if (this.#array !== undefined) return this.#array;
    if (zeros.length < this.size) zeros = new Uint8Array(this.size);
    return zeros.length === this.size ? zeros : zeros.subarray(0, this.size);
  }

  /** The array while reads see it; null in the middle of a command. */
  readable(): Uint8Array | null {
    return this.#state.command === ARRAY && this.#state.cycle === 0 ? this.#bytes : null;
  }

  /** The array, which is executed whatever reads see: code that programs the chip that it is in has no use for anything else. */
  executable(): Uint8Array {
    return this.#bytes;
  }

  /** Puts bytes into the array without any command, as who programs the chip before it is soldered in. */
  load(offset: number, bytes: Uint8Array): void {
    (this.#array ??= new Uint8Array(this.size)).set(bytes, offset);
    this.#changed(offset, bytes.length);
  }

  /** Reads the array, or what the last command asked for. */
  read(offset: number, width: Width): number {
    const { command, status } = this.#state, bytes = this.readable();
    if (bytes !== null) {
      let value = 0;
      for (let k = 0; k < width; k++) value |= bytes[offset + k]! << 8 * k;
      return value;
    }
    // Words of the bank, each chip at the same address of its own.
    const address = Math.floor(offset / BANK_WIDTH);
    if (command === COMMAND.query) return bothChips(this.#query[address] ?? 0);
    if (command === COMMAND.readId) return bothChips(IDENTITY[address & 0xff] ?? 0);
    return width > CHIP_WIDTH ? bothChips(status) : status;
  }

  /** Writes a command, or the data that one takes. */
  write(offset: number, width: Width, value: number): void {
    if (this.#state.cycle === 0) this.#first(offset, value & 0xff);
    else this.#next(offset, width, value);
  }

  #readArray(): void {
    this.#state.cycle = 0;
    this.#state.command = ARRAY;
    this.#state.buffer = [];
  }

  /** The first cycle of a command. */
  #first(offset: number, command: number): void {
    const state = this.#state;
    switch (command) {
      case COMMAND.program:
      case COMMAND.programToo:
      case COMMAND.lock:
      case COMMAND.query:
        break;
      case COMMAND.bufferedProgram:
        state.status |= READY;
        break;
      case COMMAND.blockErase:
        this.#erase(offset & ~(FLASH_SECTOR - 1));
        state.status |= READY;
        break;
      case COMMAND.clearStatus:
        state.status = 0;
        return this.#readArray();
      case COMMAND.readStatus:
      case COMMAND.readId:
        state.command = command;
        return;
      default: // Read array, AMD's reset, and what there is not.
        return this.#readArray();
    }
    state.cycle = 1;
    state.command = command;
  }

  /** Further cycles. */
  #next(offset: number, width: Width, value: number): void {
    const state = this.#state, byte = value & 0xff;
    switch (state.command) {
      case COMMAND.program:
      case COMMAND.programToo:
        this.#program([{ offset, width, value }]);
        state.status |= READY;
        state.cycle = 0;
        return;
      case COMMAND.blockErase:
        if (byte !== COMMAND.confirm) return this.#readArray();
        state.status |= READY;
        state.cycle = 0;
        return;
      case COMMAND.lock:
        // Nothing is ever locked, but the commands are known.
        if (byte !== COMMAND.confirm && byte !== COMMAND.setLock) return this.#readArray();
        state.status |= READY;
        state.cycle = 0;
        return;
      case COMMAND.query:
        if (byte === COMMAND.readArray) this.#readArray();
        return;
      case COMMAND.bufferedProgram:
        return this.#buffer(offset, width, value);
      default:
        return this.#readArray();
    }
  }

  #buffer(offset: number, width: Width, value: number): void {
    const state = this.#state;
    switch (state.cycle) {
      case 1:
        state.count = value & 0xffff;
        state.base = offset & ~(BUFFER_SIZE - 1);
        state.buffer = [];
        state.cycle = 2;
        return;
      case 2:
        state.buffer.push({ offset, width, value });
        state.status |= READY;
        if (this.#backend?.readOnly === true || (offset & ~(BUFFER_SIZE - 1)) !== state.base) {
          state.status |= PROGRAM_ERROR;
        }
        if (state.count === 0) state.cycle = 3;
        else state.count--;
        return;
      default:
        if ((value & 0xff) !== COMMAND.confirm || (state.status & PROGRAM_ERROR) !== 0) return this.#readArray();
        this.#program(state.buffer);
        state.buffer = [];
        state.status |= READY;
        state.cycle = 0;
    }
  }

  #writable(error: number): Uint8Array | undefined {
    if (this.#backend?.readOnly === true) {
      this.#state.status |= error;
      return undefined;
    }
    return this.#array ??= new Uint8Array(this.size);
  }

  #program(writes: State["buffer"]): void {
    const bytes = this.#writable(PROGRAM_ERROR);
    if (bytes === undefined) return;
    for (const { offset, width, value } of writes) {
      for (let k = 0; k < width; k++) bytes[offset + k] = value >>> 8 * k;
      this.#keep(offset, width, PROGRAM_ERROR);
    }
  }

  #erase(offset: number): void {
    const bytes = this.#writable(ERASE_ERROR);
    if (bytes === undefined) return;
    bytes.fill(0xff, offset, offset + FLASH_SECTOR);
    this.#keep(offset, FLASH_SECTOR, ERASE_ERROR);
  }

  /** Writes what has changed to where the contents come from. */
  #keep(offset: number, length: number, error: number): void {
    this.#changed(offset, length);
    try {
      this.#backend?.write(offset, this.#bytes.subarray(offset, offset + length));
    } catch {
      this.#state.status |= error;
    }
  }

  /** Back to reading the array, which keeps its contents. */
  reset(): void {
    this.#state = powerOn();
  }

  /** Registers and contents. */
  snapshot(): unknown {
    return { state: structuredClone(this.#state), array: this.#array?.slice() };
  }

  /** Puts back what `snapshot` gave, also into the file where the contents are kept. */
  restore(saved: unknown): void {
    const { state, array } = saved as { state: State; array: Uint8Array | undefined };
    this.#state = structuredClone(state);
    this.#array = array?.slice();
    if (this.#backend?.readOnly === false) this.#backend.write(0, this.#bytes);
    this.#changed(0, this.size);
  }
}

/** What both chips of a bank answer at once. */
function bothChips(answer: number): number {
  return answer | answer << 8 * CHIP_WIDTH;
}
