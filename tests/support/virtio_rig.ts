// A bus with one virtio transport and RAM, as tests of virtio devices hold it.

import { VirtioMmio } from "../../devices/virtio/mmio.ts";
import type { VirtioDevice } from "../../devices/virtio/device.ts";
import { Ram } from "../../hart/memory.ts";
import { Bus } from "../../machine/bus.ts";
import { FakeClock, FakeLine } from "../device_fakes.ts";
import { BusBoard } from "./qtest.ts";

/** Where the transport is: QEMU gives the first device the last one. */
export const TRANSPORT = 0x1000_8000;
/** RAM, as much as `QtestBoard` has. */
export const RAM = 0x8000_0000, RAM_SIZE = 16 << 20;

/** Offsets of registers. */
export const REG = {
  magic: 0,
  version: 4,
  deviceId: 8,
  deviceFeatures: 0x10,
  deviceFeaturesSel: 0x14,
  driverFeatures: 0x20,
  driverFeaturesSel: 0x24,
  guestPageSize: 0x28,
  queueSel: 0x30,
  queueNumMax: 0x34,
  queueNum: 0x38,
  queueAlign: 0x3c,
  queuePfn: 0x40,
  queueReady: 0x44,
  queueNotify: 0x50,
  interruptStatus: 0x60,
  interruptAck: 0x64,
  status: 0x70,
  queueDesc: 0x80,
  queueDriver: 0x90,
  queueDevice: 0xa0,
  queueReset: 0xc0,
  generation: 0xfc,
  config: 0x100,
} as const;

/** Transport, RAM and clock of a device. */
export class VirtioRig {
  readonly clock = new FakeClock();
  readonly irq = new FakeLine();
  readonly bus = new Bus(new Ram(RAM, RAM_SIZE), "ram");
  readonly transport: VirtioMmio;
  readonly board: BusBoard;
  /** Features that the device offers. */
  readonly offered: bigint;

  constructor(device: VirtioDevice | undefined, legacy: boolean) {
    this.transport = new VirtioMmio({
      name: "virtio",
      irq: this.irq,
      memory: this.bus.directMemory,
      clock: this.clock,
      legacy,
      ...(device && { device }),
    });
    this.bus.addDevice(TRANSPORT, this.transport);
    this.transport.reset();
    this.offered = device?.offered ?? 0n;
    this.board = new BusBoard(this.bus, () => this.clock.advance(1e9));
  }
}
