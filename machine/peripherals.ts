// Makes the devices that options ask for, and decides which bus each is on, by QEMU's rules.

import type { BlockBackend } from "../devices/block_backend.ts";
import { VirtioConsole } from "../devices/virtio/console.ts";
import type { VirtioDevice } from "../devices/virtio/device.ts";
import { Console } from "./console.ts";
import type {
  ChardevOptions,
  DeviceOptions,
  DriveOptions,
  GlobalProperty,
  NetdevOptions,
  ObjectOptions,
} from "./device_options.ts";
import { DEVICE_MODELS, VIRTIO_MMIO_PROPERTIES, withheldFeatures } from "./device_models.ts";
import { type PropertyValue, readDeviceProperties } from "./device_properties.ts";
import { checkId, Drives } from "./drives.ts";
import { OptionError } from "./errors.ts";
import { nearest } from "./nearest.ts";
import { NetworkHub, NetworkPort } from "./network.ts";
import { readRtcBase } from "./rtc_base.ts";
import { unknownModel } from "./unknown_model.ts";
import { UserNetwork } from "./user_network.ts";

/** What a board gets besides what it always has. */
export interface Peripherals {
  readonly drives: Drives;
  /** Other ends of network cards, and of virtio consoles and ports, by id. */
  readonly networks: ReadonlyMap<string, NetworkPort>;
  readonly chardevs: ReadonlyMap<string, Console>;
  /** One line for each thing that has no effect. */
  readonly warnings: readonly string[];
  /** What random numbers follow from. */
  readonly seed: number;
  /** Devices from which to boot. */
  readonly bootDevices: readonly BootDevice[];
  /** What the real-time clock shows at power-on, nanoseconds since 1970-01-01 UTC. */
  readonly rtcBase: bigint;
  /** Contents of the flash chips; undefined: those of an empty one. */
  readonly flash: readonly (BlockBackend | undefined)[];
  /** Whether the virtio transports have the legacy interface. */
  readonly virtioLegacy: boolean;
  /** Devices by the number of their virtio transport. */
  readonly virtio: ReadonlyMap<number, VirtioDevice>;
}

/** A device from which to boot. */
export interface BootDevice {
  /** `bootindex=`: smaller ones first. */
  readonly index: number;
  /** Its virtio transport. */
  readonly slot: number;
  /** What it is called there: name and unit address in Open Firmware's way. */
  readonly unit: string;
}

/** The options that matter here. */
export interface PeripheralOptions {
  readonly drives?: readonly DriveOptions[];
  readonly devices?: readonly DeviceOptions[];
  readonly netdevs?: readonly NetdevOptions[];
  readonly chardevs?: readonly ChardevOptions[];
  readonly objects?: readonly ObjectOptions[];
  readonly seed?: number;
  readonly globals?: readonly GlobalProperty[];
  readonly snapshot?: boolean;
  readonly rtcBase?: string | Date;
}

const VIRTIO_BUS = "virtio-mmio-bus.";
const TRANSPORT = "virtio-mmio";

/** Flash chips of a board, one after another. */
export interface FlashChips {
  /** Physical address of the first. */
  readonly address: number;
  readonly count: number;
  /** Bytes of each. */
  readonly chipSize: number;
}

/** A device as a user would write it. */
function optionText({ driver, ...properties }: DeviceOptions): string {
  const rest = Object.entries(properties).filter(([, value]) => value !== undefined);
  return `-device ${[driver, ...rest.map(([name, value]) => `${name}=${value}`)].join(",")}`;
}

/** Which transports are taken. */
class VirtioSlots {
  readonly devices = new Map<number, VirtioDevice>();
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
  }

  /** The slot for a device: the one that is named, else the highest that is free. */
  choose(where: string, model: string, bus: string | undefined): number {
    if (bus !== undefined) {
      const number = /^virtio-mmio-bus\.(0|[1-9]\d*)$/.exec(bus)?.[1];
      if (number === undefined || Number(number) >= this.#count) {
        const known = Array.from({ length: this.#count }, (_, k) => `${VIRTIO_BUS}${k}`);
        throw new OptionError(`${where}: Bus '${bus}' not found${nearest(bus, known)}`);
      }
      if (this.devices.has(Number(number))) throw new OptionError(`${where}: Bus '${bus}' is full`);
      return Number(number);
    }
    for (let slot = this.#count - 1; slot >= 0; slot--) if (!this.devices.has(slot)) return slot;
    throw new OptionError(
      this.#count === 0
        ? `${where}: No 'virtio-bus' bus found for device '${model}': this board has none, -machine virt has`
        : `${where}: No 'virtio-bus' bus found for device '${model}': all ${this.#count} have a device`,
    );
  }
}

/** Properties of `-global`, by model. */
function readGlobals(globals: readonly GlobalProperty[]): ReadonlyMap<string, Record<string, PropertyValue>> {
  const byModel = new Map<string, Record<string, PropertyValue>>();
  for (const { driver, property, value } of globals) {
    const where = `-global ${driver}.${property}=${value}`;
    const known = driver === TRANSPORT ? VIRTIO_MMIO_PROPERTIES : DEVICE_MODELS.get(driver)?.properties;
    if (known === undefined) {
      throw new OptionError(`${where}: no device ${driver}${nearest(driver, [TRANSPORT, ...DEVICE_MODELS.keys()])}`);
    }
    readDeviceProperties(where, driver, known, { [property]: value });
    byModel.set(driver, { ...byModel.get(driver), [property]: value });
  }
  return byModel;
}

function planNetworks(netdevs: readonly NetdevOptions[]): Map<string, NetworkPort> {
  const networks = new Map<string, NetworkPort>(), hubs = new Map<number, NetworkHub>();
  for (const { id, hubId, hub, user } of netdevs) {
    const where = `-netdev …,id=${id}`;
    checkId(where, id);
    if (networks.has(id)) throw new OptionError(`${where}: Duplicate ID '${id}' for netdev`);
    const port = new NetworkPort(id);
    networks.set(id, port);
    if (user !== undefined) {
      const own = new NetworkHub(), host = new NetworkPort(`${id} (host)`);
      port.connect(own);
      host.connect(own);
      host.plug(new UserNetwork(`-netdev user,id=${id}`, user));
    } else if (hub !== undefined) port.connect(hub);
    else if (hubId !== undefined) {
      const own = hubs.get(hubId) ?? new NetworkHub();
      hubs.set(hubId, own);
      port.connect(own);
    }
  }
  return networks;
}

function netdevWarnings(netdevs: readonly NetdevOptions[]): string[] {
  return netdevs.filter(({ user }) => user?.unreachable?.length).map(({ id, user }) =>
    `-netdev user,id=${id}: ${user!.unreachable!.join(" and ")} has no effect: there is no way to the host's network`
  );
}

/** Ids of the sources of random numbers. */
function planObjects(objects: readonly ObjectOptions[]): Set<string> {
  const sources = new Set<string>(), known = ["rng-builtin", "rng-random"];
  for (const { id, type } of objects) {
    const where = `-object ${type},id=${id}`;
    if (!known.includes(type)) {
      throw new OptionError(
        `${where}: invalid object type: ${type}${nearest(type, known) || `; there are ${known.join(", ")}`}`,
      );
    }
    checkId(where, id);
    if (sources.has(id)) throw new OptionError(`${where}: Duplicate ID '${id}' for object`);
    sources.add(id);
  }
  return sources;
}

/** The virtio-serial-device that a port is added to: the one that is named, else the first with room. */
function serialBus(
  where: string,
  model: string,
  bus: string | undefined,
  serials: ReadonlyMap<string, VirtioConsole>,
): VirtioConsole {
  if (bus !== undefined) {
    const found = serials.get(bus);
    if (found === undefined) {
      throw new OptionError(`${where}: Bus '${bus}' not found${nearest(bus, [...serials.keys()])}`);
    }
    return found;
  }
  for (const serial of serials.values()) if (serial.ports.size < serial.maxPorts) return serial;
  throw new OptionError(
    `${where}: No 'virtio-serial-bus' bus found for device '${model}'; -device virtio-serial-device before it makes one`,
  );
}

/**
 * Makes all devices.
 *
 * @param board How many virtio transports the board has, and which flash chips.
 * @throws {OptionError} In QEMU's words, with the nearest name.
 * @throws {LoadError} If a drive's file cannot be opened.
 */
export function planPeripherals(
  options: PeripheralOptions,
  { virtioTransports: transports, flash }: { readonly virtioTransports: number; readonly flash: FlashChips },
): Peripherals {
  const globals = readGlobals(options.globals ?? []);
  const legacy = readDeviceProperties("-global", TRANSPORT, VIRTIO_MMIO_PROPERTIES, globals.get(TRANSPORT) ?? {});
  const networks = planNetworks(options.netdevs ?? []), seed = options.seed ?? 0;
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw new OptionError(`-seed ${seed}: a whole number from 0 to ${2 ** 32 - 1}`);
  }
  const chardevs = new Map<string, Console>();
  for (const { id } of options.chardevs ?? []) {
    const where = `-chardev …,id=${id}`;
    checkId(where, id);
    if (chardevs.has(id)) throw new OptionError(`${where}: Duplicate ID '${id}' for chardev`);
    chardevs.set(id, new Console(id));
  }
  const randomSources = planObjects(options.objects ?? []);
  const rtcBase = readRtcBase(options.rtcBase);
  const drives = new Drives(options.drives ?? [], options.snapshot ?? false);
  try {
    const slots = new VirtioSlots(transports), ids = new Set<string>(), counts = new Map<string, number>();
    const serials = new Map<string, VirtioConsole>(), bootDevices: BootDevice[] = [];
    const add = (device: DeviceOptions, where: string) => {
      const { driver, id, bus, ...given } = device, model = DEVICE_MODELS.get(driver);
      if (model === undefined) throw unknownModel(where, driver, [...DEVICE_MODELS.keys()]);
      if (id !== undefined) {
        checkId(where, id);
        if (ids.has(id)) throw new OptionError(`${where}: Duplicate ID '${id}' for device`);
        ids.add(id);
      }
      const properties = readDeviceProperties(where, driver, model.properties, { ...globals.get(driver), ...given });
      const index = counts.get(driver) ?? 0;
      counts.set(driver, index + 1);
      const parts = { where, properties, drives, networks, chardevs, randomSources, seed, index };
      if (model.addTo) return model.addTo(serialBus(where, driver, bus, serials), parts);
      const slot = slots.choose(where, driver, bus);
      const made = model.create!(parts);
      made.withheld = withheldFeatures(properties);
      const bootIndex = properties.get("bootindex") as number | undefined;
      if (model.bootUnit !== undefined && bootIndex !== undefined && bootIndex >= 0) {
        if (bootDevices.some(({ index }) => index === bootIndex)) {
          throw new OptionError(`${where}: The bootindex ${bootIndex} has already been used`);
        }
        bootDevices.push({ index: bootIndex, slot, unit: model.bootUnit });
      }
      slots.devices.set(slot, made);
      if (made instanceof VirtioConsole) serials.set(id === undefined ? `virtio-serial-bus.${index}` : `${id}.0`, made);
    };
    for (const device of options.devices ?? []) add(device, optionText(device));
    for (const { id, where } of drives.with("virtio")) add({ driver: "virtio-blk-device", drive: id }, where);
    const chips = drives.flash(flash.count, flash.chipSize);
    return {
      drives,
      networks,
      chardevs,
      warnings: netdevWarnings(options.netdevs ?? []),
      seed,
      bootDevices,
      rtcBase,
      flash: chips,
      virtio: slots.devices,
      virtioLegacy: legacy.get("force-legacy") === true,
    };
  } catch (e) {
    drives.close();
    throw e;
  }
}
