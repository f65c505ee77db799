// Further serial ports beside the board's own, each with a console of its own.

import type { Width } from "../devices/device.ts";
import { Uart16550, UART_INPUT_CLOCK_HZ } from "../devices/uart_16550.ts";
import { Console } from "./console.ts";
import { Device, type DeviceNode } from "./mmio.ts";

/**
 * An NS16550A as the board's own, to be given to `Machine.create` in `mmio`: then it is in the device tree, and its console is one of
 * `machine.consoles`, by its name.
 *
 * @example
 * ```ts
 * import { Machine, SerialPort } from "hartbeat";
 *
 * const machine = await Machine.create({
 *   bios: "tests/programs/kernel.elf",
 *   mmio: [{ address: 0x1000_9000, device: new SerialPort("serial1"), irq: 12 }],
 * });
 * machine.consoles.get("serial1")!.send("hello\n");
 * await machine.run();
 * console.log(machine.consoles.get("serial1")!.output);
 * ```
 */
export class SerialPort extends Device {
  /** What is connected to it. */
  readonly console: Console;
  #uart: Uart16550 | null = null;

  /** `name`: of the console, and of the device in messages. */
  constructor(name: string) {
    super(name, 8, { min: 1, max: 4 });
    this.console = new Console(name);
  }

  /** Called after the device was mapped. */
  override connected(): void {
    this.#uart = new Uart16550({
      name: this.name,
      irq: this.irq,
      clock: this.clock,
      transmit: (byte) => this.console.transmit(byte),
      onReceiverReady: () => this.console.deliver(),
    });
    this.console.connect(this.#uart);
  }
  /** Reads a register. */
  read(offset: number, width: Width): number {
    return this.#uart?.read(offset, width) ?? 0;
  }
  /** Writes a register. */
  write(offset: number, width: Width, value: number): void {
    this.#uart?.write(offset, width, value);
  }
  /** Back to the state after power-on. */
  override reset(): void {
    this.#uart?.reset();
  }
  /** All state. */
  override snapshot(): unknown {
    return this.#uart?.snapshot();
  }
  /** Puts back what `snapshot` gave. */
  override restore(state: unknown): void {
    this.#uart?.restore(state);
  }
  /** What the device tree says of it. */
  override deviceNode(): DeviceNode {
    return { name: "serial", properties: { "compatible": "ns16550a", "clock-frequency": UART_INPUT_CLOCK_HZ } };
  }
}
