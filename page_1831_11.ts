import assert from "node:assert/strict";
import { Device, type DeviceNode, Machine, type Width } from "hartbeat";

/** A one-shot timer: register 0 starts it (microseconds), register 4 reads how often it has fired. */
class OneShot extends Device {
  fired = 0;
  #alarm: { set(nanoseconds: number): void } | undefined;

  constructor() {
    super("one-shot", 8, { min: 4, max: 4 });
  }
  override connected(): void {
    this.#alarm = this.clock.alarm(() => {
      this.fired++;
      this.irq.set(true);
    });
  }
  read(offset: number): number {
    if (offset !== 4) return 0;
    this.irq.set(false);
    return this.fired;
  }
  write(offset: number, _width: Width, value: number): void {
    if (offset === 0) this.#alarm!.set(this.clock.now() + value * 1000);
  }
  override deviceNode(): DeviceNode {
    return { name: "timer", properties: { compatible: "example,one-shot" } };
  }
}

const timer = new OneShot();
const machine = await Machine.create({
  bios: "tests/programs/kernel.elf",
  mmio: [{ address: 0x1100_0000, device: timer, irq: 20 }],
});
assert.match(new TextDecoder("latin1").decode(machine.deviceTree), /example,one-shot/);
