// The PCI Express bus of a board, on which there is nothing but the host bridge, and its node of the device tree (Devicetree bindings of the
// "Generic PCI host controller"; IEEE Std 1275, "PCI Bus Binding", for ranges and the interrupt map).

import type { Device, DeviceTreeNode, Reference } from "../devices/device.ts";
import { EmptyWindow, PcieHost } from "../devices/pcie_host.ts";
import type { Bus } from "./bus.ts";
import { cells64 } from "./device_tree.ts";

interface Window {
  readonly address: number;
  readonly size: number;
}

/** Where it is: physical addresses, lengths in bytes, and the first of its four interrupts. */
export interface PcieMap {
  readonly configuration: Window;
  /** Ports: addresses on the bus begin at 0. Memory has the same addresses on the bus. */
  readonly ports: Window;
  readonly memory: Window;
  /** 64-bit memory, behind RAM. */
  readonly highMemory: Window;
  readonly irq: number;
}

/** Kinds of a range, in bits 25 and 24 of its first cell. */
const SPACE = { ports: 0x100_0000, memory: 0x200_0000, memory64: 0x300_0000 } as const;
/** Bytes of configuration space for each bus. */
const BUS_SIZE = 0x10_0000;
const PINS = 4;

/** Which interrupt each pin of the first devices is wired to: devices take them in turn. */
function interruptMap(parent: string, first: number): (number | Reference)[] {
  const map: (number | Reference)[] = [];
  for (let device = 0; device < PINS; device++) {
    for (let pin = 0; pin < PINS; pin++) {
      map.push(device << 11, 0, 0, pin + 1, { reference: parent }, first + (device + pin) % PINS);
    }
  }
  return map;
}

/** Puts it on the bus; `parent` is the path of the interrupt controller. */
export function pcieBus(
  map: PcieMap,
  bus: Bus,
  parent: string,
): { readonly devices: readonly Device[]; readonly nodes: Readonly<Record<string, DeviceTreeNode>> } {
  const { configuration, ports, memory, highMemory } = map;
  const name = `pci@${configuration.address.toString(16)}`;
  const host = new PcieHost(name, configuration.size);
  bus.addDevice(configuration.address, host);
  for (const [what, { address, size }] of Object.entries({ ports, memory, "64-bit memory": highMemory })) {
    bus.addDevice(address, new EmptyWindow(`${name} ${what}`, size));
  }
  const range = (space: number, from: number, { address, size }: Window) => [space, ...cells64(from, address, size)];
  return {
    devices: [host],
    nodes: {
      [name]: {
        properties: {
          "interrupt-map-mask": [(PINS - 1) << 11, 0, 0, 7],
          "interrupt-map": interruptMap(parent, map.irq),
          "ranges": [
            ...range(SPACE.ports, 0, ports),
            ...range(SPACE.memory, memory.address, memory),
            ...range(SPACE.memory64, highMemory.address, highMemory),
          ],
          "reg": cells64(configuration.address, configuration.size),
          "dma-coherent": true,
          "bus-range": [0, configuration.size / BUS_SIZE - 1],
          "linux,pci-domain": 0,
          "device_type": "pci",
          "compatible": "pci-host-ecam-generic",
          "#size-cells": 2,
          "#interrupt-cells": 1,
          "#address-cells": 3,
        },
      },
    },
  };
}
