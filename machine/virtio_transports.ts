// The virtio transports of a board: a row of them, with devices behind some, and their nodes of the device tree.

import type { Clock, Device, DeviceTreeNode } from "../devices/device.ts";
import type { Plic } from "../devices/plic.ts";
import { VirtioMmio } from "../devices/virtio/mmio.ts";
import type { Bus } from "./bus.ts";
import { cells64 } from "./device_tree.ts";
import type { Peripherals } from "./peripherals.ts";

/** Where the transports are: `count` of them, each `size` bytes after the one before, with the next interrupt. */
export interface VirtioMap {
  readonly address: number;
  readonly size: number;
  readonly count: number;
  readonly irq: number;
}

/** Puts them on the bus. */
export function virtioTransports(
  map: VirtioMap,
  parts: { bus: Bus; plic: Plic; plicPath: string; clock: Clock; peripherals: Peripherals },
): { readonly devices: readonly Device[]; readonly nodes: Readonly<Record<string, DeviceTreeNode>> } {
  const { bus, plic, plicPath, clock, peripherals } = parts;
  const devices: Device[] = [], nodes: Record<string, DeviceTreeNode> = {};
  // From the last to the first, as in QEMU's tree: the last transport gets the first device, which systems are to find first.
  for (let slot = map.count - 1; slot >= 0; slot--) {
    const address = map.address + slot * map.size, irq = map.irq + slot, device = peripherals.virtio.get(slot);
    const name = `virtio_mmio@${address.toString(16)}`;
    const transport = new VirtioMmio({
      name,
      irq: plic.line(irq),
      memory: bus.directMemory,
      clock,
      legacy: peripherals.virtioLegacy,
      ...(device && { device }),
    });
    bus.addDevice(address, transport);
    devices.push(transport);
    nodes[name] = {
      properties: {
        "interrupts": irq,
        "interrupt-parent": { reference: plicPath },
        "reg": cells64(address, map.size),
        "compatible": "virtio,mmio",
      },
    };
  }
  return { devices, nodes };
}
