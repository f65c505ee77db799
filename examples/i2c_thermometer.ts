// A small I²C controller with a temperature sensor on its bus.
//
// The controller has three words: COMMAND (start = 1, write = 2, read = 4, and 8 with a read: not acknowledged, which ends the
// transfer), DATA, STATUS (bit 0: nobody acknowledged). A start sends the byte in DATA, the address and direction.

import { Device, type Width } from "../mod.ts";

/** A chip on the bus. */
export interface I2cChip {
  /** The bus addresses it; `reads`: the controller is going to read. */
  start(reads: boolean): void;
  /** It gets a byte; false: not acknowledged. */
  write(byte: number): boolean;
  /** It gives the next byte. */
  read(): number;
}

const COMMAND = 0, DATA = 4;
const START = 1, WRITE = 2, READ = 4;

/** The controller. Transfers take no time. */
export class I2cBus extends Device {
  readonly #chips = new Map<number, I2cChip>();
  #selected: I2cChip | undefined;
  #data = 0;
  #failed = 0;

  /** Without chips. */
  constructor() {
    super("i2c", 0x10, { min: 4, max: 4 });
  }

  /** Puts a chip on the bus, at an address of 7 bits. */
  attach(address: number, chip: I2cChip): void {
    this.#chips.set(address, chip);
  }

  /** Reads a register. */
  read(offset: number): number {
    return offset === COMMAND ? 0 : offset === DATA ? this.#data : this.#failed;
  }

  /** Writes a register; a command is carried out at once. */
  write(offset: number, _width: Width, value: number): void {
    if (offset === DATA) this.#data = value & 0xff;
    if (offset !== COMMAND) return;
    if ((value & START) !== 0) {
      this.#selected = this.#chips.get(this.#data >> 1);
      this.#selected?.start((this.#data & 1) !== 0);
      this.#failed = this.#selected === undefined ? 1 : 0;
    } else if ((value & WRITE) !== 0) this.#failed = this.#selected?.write(this.#data) ? 0 : 1;
    else if ((value & READ) !== 0) this.#data = this.#selected?.read() ?? 0xff;
  }
}

/** A temperature sensor after the LM75: register 0 is the temperature, two bytes in 1/256 degrees, high byte first. */
export class Thermometer implements I2cChip {
  /** What it measures. */
  celsius = 20;
  #pointer = 0;
  #bytes: number[] = [];

  /** A read begins with a measurement. */
  start(reads: boolean): void {
    const value = Math.round(this.celsius * 16) << 4;
    this.#bytes = reads && this.#pointer === 0 ? [value >> 8 & 0xff, value & 0xff] : [];
  }
  /** The first byte of a write is the number of a register. */
  write(byte: number): boolean {
    this.#pointer = byte;
    return byte < 4;
  }
  /** The bytes of the register, again and again. */
  read(): number {
    const byte = this.#bytes.shift() ?? 0xff;
    this.#bytes.push(byte);
    return byte;
  }
}
