// A GPIO controller with buttons and lamps, in a page of TypeScript: registers, an interrupt, a node of the device tree.
//
//     const gpio = new Gpio();
//     const machine = await Machine.create({ bios, mmio: [{ address: 0x4000_0000, device: gpio, irq: 20 }] });
//     gpio.onLamp = (pin, on) => console.log(pin, on);
//     gpio.press(2);

import { Device, type DeviceNode, type Width } from "../mod.ts";

/** Word registers: levels of the buttons, lamps, which buttons interrupt, which have (write 1 to clear). */
const INPUT = 0, OUTPUT = 4, ENABLE = 8, PENDING = 12;

/** 32 pins, each a button and a lamp. */
export class Gpio extends Device {
  #input = 0;
  #output = 0;
  #enable = 0;
  #pending = 0;
  /** Called when the guest turns a lamp on or off. */
  onLamp: (pin: number, on: boolean) => void = () => {};

  /** Not mapped yet. */
  constructor() {
    super("gpio", 0x10, { min: 4, max: 4 });
  }

  /** Presses a button. */
  press(pin: number): void {
    const bit = 1 << pin;
    if ((this.#input & bit) !== 0) return;
    this.#input |= bit;
    this.#pending |= bit & this.#enable;
    this.#drive();
  }
  /** Lets it go. */
  release(pin: number): void {
    this.#input &= ~(1 << pin);
  }

  #drive(): void {
    this.irq.set(this.#pending !== 0);
  }

  /** Reads a register. */
  read(offset: number): number {
    switch (offset) {
      case INPUT:
        return this.#input;
      case OUTPUT:
        return this.#output;
      case ENABLE:
        return this.#enable;
      default:
        return this.#pending;
    }
  }

  /** Writes a register. */
  write(offset: number, _width: Width, value: number): void {
    if (offset === OUTPUT) {
      const changed = this.#output ^ value;
      this.#output = value | 0;
      for (let pin = 0; pin < 32; pin++) if ((changed >>> pin & 1) !== 0) this.onLamp(pin, (value >>> pin & 1) !== 0);
    } else if (offset === ENABLE) this.#enable = value | 0;
    else if (offset === PENDING) {
      this.#pending &= ~value;
      this.#drive();
    }
  }

  /** Buttons stay as they are: somebody holds them. */
  override reset(): void {
    this.#output = this.#enable = this.#pending = 0;
    this.#drive();
  }

  /** As Linux's bindings describe a GPIO controller. */
  override deviceNode(): DeviceNode {
    return { name: "gpio", properties: { "compatible": "hartbeat,gpio", "gpio-controller": true, "#gpio-cells": 2 } };
  }
}
