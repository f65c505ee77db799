// Hooks on devices that are there: stand between the bus and the device.

import type { Device, Width } from "../devices/device.ts";
import { AddressError } from "./errors.ts";
import type { Hook, HookParts } from "./hooks.ts";
import { nearest } from "./nearest.ts";

/**
 * An access to a device.
 *
 * @example
 * ```ts
 * import { Machine, type DeviceAccess } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * // The transmitter takes everything in capitals.
 * const write = (access: DeviceAccess) => {
 *   access.proceed(String.fromCharCode(access.value).toUpperCase().charCodeAt(0));
 * };
 * machine.hook.mmio("serial@10000000", { write });
 * await machine.run();
 * console.log(machine.console.output);
 * ```
 */
export interface DeviceAccess {
  /** Offset of the register in bytes. */
  readonly offset: number;
  /** Bytes: 1, 2 or 4. An access of eight bytes is two. */
  readonly width: Width;
  /** What a write writes, unsigned; 0 for a read. */
  readonly value: number;
  /**
   * Makes the access: gives what the device answers, for a write undefined. A write may be made with another value. Where a hook
   * does not call it, the device never sees the access.
   */
  proceed(value?: number): number | undefined;
}

/**
 * What stands before a device. Where one is absent, that goes to the device.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * machine.hook.mmio("serial", { write: (access) => access.offset === 0 && access.value === 0x0a });
 * await machine.run();
 * ```
 */
export interface DeviceHook {
  /** Gives what the guest reads; undefined: what the device answers (which is asked then, unless it was before). */
  read?(access: DeviceAccess): number | undefined | void;
  /** True: the device does not see the write. Else it does, unless it has by `proceed`. */
  write?(access: DeviceAccess): boolean | undefined | void;
}

/** Stands between the bus and a device. */
export function interposeDevice(
  parts: HookParts,
  which: string | number | bigint,
  hook: DeviceHook,
  guard: <T>(what: string, act: () => T) => T | undefined,
): Hook {
  const { bus, watchpoints } = parts;
  const devices = bus.regions.filter(({ device }) => device !== undefined);
  const region = typeof which === "string"
    ? devices.find(({ name }) => name === which) ?? devices.find(({ name }) => name.split("@")[0] === which)
    : devices.findLast(({ address, size }) => Number(which) >= address && Number(which) < address + size);
  if (region === undefined) {
    const names = devices.flatMap(({ name }) => [name, name.split("@")[0]!]);
    throw new AddressError(
      typeof which === "string"
        ? `no device ${which}${nearest(which, names)}`
        : `no device at 0x${which.toString(16)}; there are ${devices.map(({ name }) => name).join(", ")}`,
    );
  }
  const device = region.device!;
  let active = true;
  const between: Device = {
    name: device.name,
    size: device.size,
    ...(device.access !== undefined && { access: device.access }),
    read: (offset, width) => {
      if (!active || hook.read === undefined) return device.read(offset, width);
      let answer: number | undefined;
      const proceed = () => answer ??= device.read(offset, width);
      const given = guard(`hook.mmio ${device.name}`, () => hook.read!({ offset, width, value: 0, proceed }));
      return typeof given === "number" ? given : proceed();
    },
    write: (offset, width, value) => {
      if (!active || hook.write === undefined) return device.write(offset, width, value);
      let done = false;
      const proceed = (other = value) => {
        done = true;
        device.write(offset, width, other);
        return undefined;
      };
      const taken = guard(`hook.mmio ${device.name}`, () => hook.write!({ offset, width, value, proceed }));
      if (!done && taken !== true) proceed();
    },
    reset: () => device.reset(),
    snapshot: () => device.snapshot(),
    restore: (state) => device.restore(state),
  };
  bus.replaceDevice(device, between);
  // Makes compiled code leave these accesses to the interpreter, so that the hook sees all registers.
  const watch = {
    first: BigInt(region.address),
    last: BigInt(region.address + region.size - 1),
    space: "physical",
    kinds: 3,
    hit: () => {},
  } as const;
  watchpoints.add(watch);
  const remove = () => {
    if (!active) return;
    active = false;
    // Another hook may stand before this one.
    bus.replaceDevice(between, device);
    watchpoints.remove(watch);
  };
  return { remove, [Symbol.dispose]: remove };
}
