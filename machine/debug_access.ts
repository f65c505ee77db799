// What debuggers reach of a machine: memory through a hart's eyes, all registers, devices by name, breakpoints, and who runs.

import type { Hart } from "../hart/hart.ts";
import type { WatchList } from "../hart/watchpoints.ts";
import { HIGH } from "../isa/pair.ts";
import { BreakpointTable } from "./breakpoints.ts";
import type { Bus, Region } from "./bus.ts";
import type { LoadPiece } from "./image.ts";
import type { InstructionText } from "./machine.ts";
import { RunControl } from "./run_control.ts";

const PAGE = 4096;
/** More bytes than a guest's memory has. */
const MAX_PEEK = 2 ** 31;

const accesses = new WeakMap<object, DebugAccess>();

/** What debuggers reach of a machine. */
export function debugAccess(machine: object): DebugAccess {
  return accesses.get(machine)!;
}

/** What a machine gives its debuggers. */
export interface DebugParts {
  readonly harts: readonly Hart[];
  readonly bus: Bus;
  readonly watchpoints: WatchList;
  /** What is loaded at power-on. */
  readonly images: readonly LoadPiece[];
  /** Resets the machine, as its reset button would, between two instructions. */
  readonly reset: () => void;
  /** Text of the instruction that bytes are, at an address. */
  readonly disassemble: (bytes: Uint8Array, address: bigint) => InstructionText;
  /** The call stack of a hart, as text. */
  readonly backtrace: (hart: number) => string;
}

/** Who sees every instruction. */
export interface InstructionObserver {
  /** Before each, and before the interrupt that may come first. */
  before(): void;
  /** After a hart has executed it. */
  after(hart: number): void;
}

/** A machine as a debugger sees it. */
export class DebugAccess {
  /** Holding the machine and letting it go. */
  readonly control: RunControl = new RunControl();
  /** While there is one, a run executes instructions one by one. */
  observer: InstructionObserver | null = null;
  /** Breakpoints of everybody. */
  readonly breakpoints: BreakpointTable = new BreakpointTable();
  /** Watched addresses of everybody. */
  readonly watchpoints: WatchList;
  readonly images: readonly LoadPiece[];
  readonly reset: () => void;
  readonly disassemble: (bytes: Uint8Array, address: bigint) => InstructionText;
  readonly backtrace: (hart: number) => string;
  readonly #harts: readonly Hart[];
  readonly #bus: Bus;

  /** For the machine. */
  constructor(machine: object, parts: DebugParts) {
    accesses.set(machine, this);
    this.#harts = parts.harts;
    this.#bus = parts.bus;
    this.watchpoints = parts.watchpoints;
    this.images = parts.images;
    this.reset = parts.reset;
    this.disassemble = parts.disassemble;
    this.backtrace = parts.backtrace;
  }

  /** A hart with all its state. */
  hart(number: number): Hart {
    return this.#harts[number]!;
  }
  /** Number of harts. */
  get harts(): number {
    return this.#harts.length;
  }

  /** Physical memory with its devices: reads and writes are those of a hart. */
  get bus(): Bus {
    return this.#bus;
  }

  /** What answers physical addresses, by address. */
  get regions(): readonly Region[] {
    return this.#bus.regions;
  }

  /** Physical address of a virtual one, as a hart's present mode translates it, without permissions; undefined if there is none. */
  translate(hart: number, address: bigint): bigint | undefined {
    const low = Number(BigInt.asIntN(32, address)), high = Number(BigInt.asIntN(32, address >> 32n));
    const of = this.#harts[hart]!, physical = of.translation.probe(low, of.xlen === 32 ? 0 : high);
    return physical === undefined ? undefined : BigInt(physical);
  }

  /**
   * Bytes of memory; undefined if one of them does not exist. RAM and ROM stay as they are; a device is really read, with
   * whatever that does, as in QEMU.
   *
   * @param hart Number of the hart through whose eyes addresses are virtual; null: they are physical.
   */
  read(hart: number | null, address: bigint, length: number): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    const done = this.#pieces(hart, address, length, (physical, at, size) => {
      const plain = this.#bus.readBytes(physical, size);
      if (plain !== undefined) bytes.set(plain, at);
      return plain !== undefined || this.#eachAccess(physical, size, (where, offset, width) => {
        const low = this.#bus.read(where, width), high = HIGH[0]!;
        for (let k = 0; k < width; k++) bytes[at + offset + k] = k < 4 ? low >>> 8 * k : high >>> 8 * (k - 4);
      });
    });
    return done ? bytes : undefined;
  }

  /** Bytes of RAM or ROM; undefined if one of them is neither. Unlike `read`, no device is touched. */
  peek(hart: number | null, address: bigint, length: number): Uint8Array | undefined {
    if (!(length >= 0 && length <= MAX_PEEK)) return undefined;
    const bytes = new Uint8Array(length);
    const done = this.#pieces(hart, address, length, (physical, at, size) => {
      const plain = this.#bus.readBytes(physical, size);
      if (plain !== undefined) bytes.set(plain, at);
      return plain !== undefined;
    });
    return done ? bytes : undefined;
  }

  /**
   * Writes bytes to RAM, ROM and devices; false if some of them do not exist. What is before those has been written.
   *
   * @param hart As for `read`.
   */
  write(hart: number | null, address: bigint, bytes: Uint8Array): boolean {
    const word = (from: number, size: number) => {
      let value = 0;
      for (let k = 0; k < size; k++) value |= bytes[from + k]! << 8 * k;
      return value;
    };
    return this.#pieces(
      hart,
      address,
      bytes.length,
      (physical, at, size) =>
        this.#bus.writeBytes(physical, bytes.subarray(at, at + size), true) ||
        this.#eachAccess(physical, size, (where, offset, width) =>
          this.#bus.write(
            where,
            width,
            word(at + offset, Math.min(width, 4)),
            width === 8 ? word(at + offset + 4, 4) : 0,
          )),
    );
  }

  /** Calls `f` for each piece of a stretch of memory that lies in one page; false as soon as it or the translation fails. */
  #pieces(
    hart: number | null,
    address: bigint,
    length: number,
    f: (physical: number, at: number, size: number) => boolean,
  ): boolean {
    const mask = hart === null ? 64 : this.#harts[hart]!.xlen;
    for (let at = 0; at < length;) {
      const virtual = BigInt.asUintN(mask, address + BigInt(at)),
        size = Math.min(length - at, PAGE - Number(virtual & 4095n));
      const physical = hart === null ? virtual : this.translate(hart, virtual);
      if (physical === undefined || !f(Number(physical), at, size)) return false;
      at += size;
    }
    return true;
  }

  /** Splits an access to a device, or over the end of a region, into aligned ones that it takes; false if it refuses one. */
  #eachAccess(
    physical: number,
    length: number,
    access: (physical: number, offset: number, width: number) => void,
  ): boolean {
    for (let offset = 0; offset < length;) {
      const where = physical + offset,
        region = this.regions.findLast((r) => where >= r.address && where < r.address + r.size);
      if (region === undefined) return false;
      const most = region.device?.access?.max ?? (region.device === undefined ? 1 : 4);
      let width = Math.min(most, 8);
      while (width > 1 && (where % width !== 0 || offset + width > length)) width /= 2;
      access(where, offset, width);
      if (this.#bus.fault) return false;
      offset += width;
    }
    return true;
  }
}
