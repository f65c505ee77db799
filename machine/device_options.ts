// What users say about the devices of a board beyond those it always has: drives, devices, and defaults of their properties.

import type { BlockBackend } from "../devices/block_backend.ts";
import type { NetworkHub } from "./network.ts";
import type { FileSource } from "./options.ts";
import type { UserNetworkOptions } from "./user_network.ts";

/**
 * One `-drive`: the bytes of a disk or a flash chip.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * await using _machine = await Machine.create({
 *   drives: [{ id: "disk", file: new Uint8Array(1 << 20), interface: "none" }],
 *   devices: [{ driver: "virtio-blk-device", drive: "disk", serial: "0001" }],
 * });
 * ```
 */
export interface DriveOptions {
  /** `id=`: what the `drive` property of a device names. */
  readonly id?: string;
  /** `file=`: a file that is read and written in place, bytes in memory, or a backend of your own. */
  readonly file: FileSource | BlockBackend;
  /** `format=`: only raw images can be used. */
  readonly format?: "raw";
  /**
   * `if=`: `none`, a device names it; `virtio` (the default, as on QEMU's board), it gets a virtio-blk-device of its own; `pflash`,
   * it is the flash chip `unit`.
   */
  readonly interface?: "none" | "virtio" | "pflash";
  /** `unit=` (or `index=`): which flash chip, 0 or 1; absent: the next one. */
  readonly unit?: number;
  /** `readonly=`: writes are refused. */
  readonly readOnly?: boolean;
  /** `snapshot=`: what the guest writes is kept in memory, and lost with the machine. */
  readonly snapshot?: boolean;
  /** `discard=`: whether what the guest discards becomes zeros (`unmap`) or stays (`ignore`, the default). */
  readonly discard?: "ignore" | "unmap";
  /** `cache=`: whether the guest's disk begins with a write cache (true). */
  readonly writeCache?: boolean;
}

/**
 * One `-device`: a model and its properties by QEMU's names, e.g. `{ driver: "virtio-blk-device", drive: "x0" }`.
 *
 * @example
 * ```ts
 * import { Machine, type DeviceOptions } from "hartbeat";
 *
 * const card: DeviceOptions = { driver: "virtio-net-device", netdev: "n0", mac: "52:54:00:12:34:56" };
 * await using machine = await Machine.create({ netdevs: [{ id: "n0" }], devices: [card] });
 * console.log(machine.net("n0").plugged);
 * ```
 */
export interface DeviceOptions {
  /** Name of the model. */
  readonly driver: string;
  /** What messages and scripts call it. */
  readonly id?: string;
  /** The bus that it is put on, e.g. `virtio-mmio-bus.0`; absent: the first that is free, from the last one down, as in QEMU. */
  readonly bus?: string;
  /** Further properties; `-device MODEL,help` lists them. */
  readonly [property: string]: string | number | boolean | undefined;
}

/**
 * One `-global`: the default of a property of all devices of a model.
 *
 * @example
 * ```ts
 * import { Machine, type GlobalProperty } from "hartbeat";
 *
 * // virtio 1.0 in place of the legacy interface.
 * const modern: GlobalProperty = { driver: "virtio-mmio", property: "force-legacy", value: false };
 * await Machine.create({ globals: [modern] });
 * ```
 */
export interface GlobalProperty {
  /** Name of the model, e.g. `virtio-mmio`. */
  readonly driver: string;
  /** Name of the property, e.g. `force-legacy`. */
  readonly property: string;
  /** Its value. */
  readonly value: string | number | boolean;
}

/**
 * One `-netdev`: what a network card is connected to. A script gets it as `machine.net(id)`.
 *
 * @example
 * ```ts
 * import { Machine, type NetdevOptions } from "hartbeat";
 *
 * const netdev: NetdevOptions = { id: "n0", hubId: 0 };
 * await using machine = await Machine.create({
 *   netdevs: [netdev],
 *   devices: [{ driver: "virtio-net-device", netdev: "n0" }],
 * });
 * machine.net("n0").onPacket = (packet) => console.log(packet.length);
 * ```
 */
export interface NetdevOptions {
  /** `id=`: what the `netdev` property of a card names. */
  readonly id: string;
  /** `hubid=` of `hubport`: cards of this machine with the same number are connected. */
  readonly hubId?: number;
  /** A hub that it is connected to, with cards of other machines. */
  readonly hub?: NetworkHub;
  /** `user`: a router and a name server answer (DHCP, ARP, ping), and nothing else can be reached. */
  readonly user?: UserNetworkOptions;
}

/**
 * One `-chardev`: the outer end of a virtconsole or virtserialport. A script gets it as `machine.chardev(id)`.
 *
 * @example
 * ```ts
 * import { Machine, type ChardevOptions } from "hartbeat";
 *
 * const chardev: ChardevOptions = { id: "log" };
 * await using machine = await Machine.create({
 *   chardevs: [chardev],
 *   devices: [{ driver: "virtio-serial-device" }, { driver: "virtconsole", chardev: "log" }],
 * });
 * console.log(machine.chardev("log").output);
 * ```
 */
export interface ChardevOptions {
  /** `id=`: what the `chardev` property of a device names. */
  readonly id: string;
}

/**
 * One `-object`: a source of random numbers for a virtio-rng-device. All give what `seed` says.
 *
 * @example
 * ```ts
 * import { Machine, type ObjectOptions } from "hartbeat";
 *
 * const source: ObjectOptions = { id: "r0", type: "rng-builtin" };
 * await Machine.create({ seed: 7, objects: [source], devices: [{ driver: "virtio-rng-device", rng: "r0" }] });
 * ```
 */
export interface ObjectOptions {
  /** `id=`: what the `rng` property of a device names. */
  readonly id: string;
  /** `rng-builtin` or `rng-random`. */
  readonly type: string;
}
