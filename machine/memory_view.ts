// Physical memory as scripts see it: no access has side effects, and none goes to a device.

import type { Bus } from "./bus.ts";
import { AddressError } from "./errors.ts";

/**
 * Reads and writes RAM and ROM by physical address. Values are little-endian and unsigned.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create();
 * machine.memory.write32(0x8000_0000, 0xdead_beef);
 * console.log(machine.memory.read(0x8000_0000, 4), machine.memory.read8(0x8000_0003));
 * ```
 */
export class MemoryView {
  readonly #bus: Bus;

  /** For the machine. */
  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /**
   * Copies `length` bytes.
   *
   * @throws {AddressError} If not all of them are RAM or ROM.
   */
  read(address: number | bigint, length: number): Uint8Array {
    const bytes = this.#bus.readBytes(Number(address), length);
    if (bytes === undefined) throw this.#error(address, length);
    return bytes;
  }

  /**
   * Stores bytes in RAM. Code that was there is forgotten at once.
   *
   * @throws {AddressError} If not all of it is RAM.
   */
  write(address: number | bigint, bytes: Uint8Array): void {
    if (!this.#bus.writeBytes(Number(address), bytes)) throw this.#error(address, bytes.length);
  }

  #error(address: number | bigint, length: number): AddressError {
    const ram = this.#bus.ram;
    return new AddressError(
      `no memory at 0x${address.toString(16)} (${length} bytes); RAM is 0x${ram.base.toString(16)} to 0x${
        (ram.base + ram.size).toString(16)
      }`,
    );
  }

  #view(address: number | bigint, length: number): DataView {
    return new DataView(this.read(address, length).buffer);
  }

  /** Reads a byte. */
  read8(address: number | bigint): number {
    return this.#view(address, 1).getUint8(0);
  }
  /** Reads 2 bytes. */
  read16(address: number | bigint): number {
    return this.#view(address, 2).getUint16(0, true);
  }
  /** Reads 4 bytes. */
  read32(address: number | bigint): number {
    return this.#view(address, 4).getUint32(0, true);
  }
  /** Reads 8 bytes. */
  read64(address: number | bigint): bigint {
    return this.#view(address, 8).getBigUint64(0, true);
  }
  /** Writes a byte. */
  write8(address: number | bigint, value: number): void {
    this.write(address, Uint8Array.of(value));
  }
  /** Writes 2 bytes. */
  write16(address: number | bigint, value: number): void {
    this.write(address, Uint8Array.of(value, value >>> 8));
  }
  /** Writes 4 bytes. */
  write32(address: number | bigint, value: number): void {
    this.write(address, Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24));
  }
  /** Writes 8 bytes. */
  write64(address: number | bigint, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
    this.write(address, bytes);
  }

  /**
   * Reads a text that ends with a zero byte.
   *
   * @param limit Most bytes that are read.
   */
  readString(address: number | bigint, limit = 4096): string {
    const bytes: number[] = [];
    for (let at = Number(address); bytes.length < limit; at++) {
      const byte = this.read8(at);
      if (byte === 0) break;
      bytes.push(byte);
    }
    return new TextDecoder().decode(Uint8Array.from(bytes));
  }
}
