// The flash chips of a board, and their node of the device tree.

import { CfiFlash } from "../devices/cfi_flash.ts";
import type { Device, DeviceTreeNode } from "../devices/device.ts";
import type { BootOptions } from "./boot.ts";
import type { Bus } from "./bus.ts";
import { cells64 } from "./device_tree.ts";
import type { FlashChips, Peripherals } from "./peripherals.ts";

/** Physical address of a chip. */
export function flashAddress({ address, chipSize }: FlashChips, unit: number): number {
  return address + unit * chipSize;
}

/** What the chips mean for what is executed first (see `planBoot`). */
export function flashBoot(
  map: FlashChips,
  { flash }: Peripherals,
): Pick<BootOptions, "otherMemory" | "flashEntry" | "flashNext"> {
  return {
    otherMemory: flash.map((_, unit) => ({
      name: `flash ${unit}`,
      address: flashAddress(map, unit),
      size: map.chipSize,
    })),
    ...(flash[0] !== undefined && { flashEntry: flashAddress(map, 0) }),
    ...(flash[1] !== undefined && { flashNext: flashAddress(map, 1) }),
  };
}

/** Puts the chips on the bus. */
export function flashChips(
  map: FlashChips,
  bus: Bus,
  { flash }: Peripherals,
): { readonly devices: readonly Device[]; readonly nodes: Readonly<Record<string, DeviceTreeNode>> } {
  const devices = flash.map((backend, unit) => {
    const address = flashAddress(map, unit);
    const chip = new CfiFlash({
      name: `flash@${address.toString(16)}`,
      size: map.chipSize,
      changed: (offset, length) => bus.onCodeChange(address + offset, length),
      ...(backend && { backend }),
    });
    bus.addDevice(address, chip);
    return chip;
  });
  const reg = flash.flatMap((_, unit) => cells64(flashAddress(map, unit), map.chipSize));
  return {
    devices,
    nodes: {
      [`flash@${map.address.toString(16)}`]: { properties: { "bank-width": 4, "reg": reg, "compatible": "cfi-flash" } },
    },
  };
}
