// The models that `-device` knows: what each is, its properties, and how it is made from them.

import { VirtioBlock } from "../devices/virtio/block.ts";
import { VirtioConsole } from "../devices/virtio/console.ts";
import type { VirtioDevice } from "../devices/virtio/device.ts";
import { VirtioNetwork } from "../devices/virtio/network.ts";
import { MAX_QUEUE_SIZE, RING_FEATURE } from "../devices/virtio/queue.ts";
import { VirtioRandom } from "../devices/virtio/random.ts";
import type { Console } from "./console.ts";
import type { Properties, PropertyValue } from "./device_properties.ts";
import type { Drives } from "./drives.ts";
import { OptionError } from "./errors.ts";
import { nearest } from "./nearest.ts";
import type { NetworkPort } from "./network.ts";

/** What a model is made from. */
export interface ModelParts {
  /** The option, for messages. */
  readonly where: string;
  readonly properties: ReadonlyMap<string, PropertyValue>;
  readonly drives: Drives;
  /** By id. */
  readonly networks: ReadonlyMap<string, NetworkPort>;
  readonly chardevs: ReadonlyMap<string, Console>;
  readonly randomSources: ReadonlySet<string>;
  readonly seed: number;
  /** How many devices there are already. */
  readonly index: number;
}

/** A model of device. */
export interface DeviceModel {
  /** Heading in `-device help`. */
  readonly category: "Storage" | "Network" | "Input" | "Misc";
  /** What `-device help` says. */
  readonly description: string;
  /** Properties besides `id` and `bus`. */
  readonly properties: Properties;
  /** What firmware calls it if it can be booted from. */
  readonly bootUnit?: string;
  /** Makes the device that a virtio transport gets. @throws {OptionError} If properties do not fit. */
  create?(parts: ModelParts): VirtioDevice;
  /** Adds it to a virtio-serial-device. @throws {OptionError} If properties do not fit. */
  addTo?(bus: VirtioConsole, parts: ModelParts): void;
}

/** What a property names, which the user must have defined; undefined where it is absent. */
function named<T>(
  { where, properties }: ModelParts,
  model: string,
  name: string,
  option: string,
  all: ReadonlyMap<string, T>,
): T | undefined {
  const id = properties.get(name) as string | undefined;
  if (id === undefined || all.has(id)) return id === undefined ? undefined : all.get(id);
  throw new OptionError(
    `${where}: Property '${model}.${name}' can't find value '${id}'` +
      (nearest(id, [...all.keys()]) || `; there is no ${option} …,id=${id}`),
  );
}

/** Properties that switch features of every virtio device, with the feature. */
const RING_PROPERTIES: Readonly<Record<string, bigint>> = {
  indirect_desc: RING_FEATURE.indirectDescriptors,
  event_idx: RING_FEATURE.eventIndex,
  notify_on_empty: RING_FEATURE.notifyOnEmpty,
  any_layout: RING_FEATURE.anyLayout,
  queue_reset: RING_FEATURE.ringReset,
};

const ringProperties: Properties = Object.fromEntries(
  Object.keys(RING_PROPERTIES).map((name) => [name, { type: "bool", help: "on/off", usual: true }]),
);

/** Sizes of blocks are powers of two from 512 bytes to 2 MiB. */
function blockSize(parts: ModelParts, name: string, usual: number): number {
  const size = parts.properties.get(name) as number;
  if (size === 0) return usual;
  if (size < 512 || size > 2 ** 21 || (size & (size - 1)) !== 0) {
    throw new OptionError(`${parts.where}: Property ${name} takes a power of two between 512 B and 2 MiB, not ${size}`);
  }
  return size;
}

const virtioBlock: DeviceModel = {
  category: "Storage",
  description: "disk",
  bootUnit: "disk@0,0",
  properties: {
    "drive": { type: "str", help: "ID of a -drive to use as a backend" },
    "serial": { type: "str", help: "serial number, 20 bytes", usual: "" },
    "logical_block_size": { type: "size", help: "A power of two between 512 B and 2 MiB", usual: 0 },
    "physical_block_size": { type: "size", help: "A power of two between 512 B and 2 MiB", usual: 0 },
    "min_io_size": { type: "size", help: "advice to the driver, bytes", usual: 0 },
    "opt_io_size": { type: "size", help: "advice to the driver, bytes", usual: 0 },
    "queue-size": { type: "uint16", help: "entries, a power of two", usual: 256 },
    "num-queues": { type: "uint16", help: "request queues", usual: 1 },
    "discard": { type: "bool", help: "on/off", usual: true },
    "write-zeroes": { type: "bool", help: "on/off", usual: true },
    "config-wce": { type: "bool", help: "on/off", usual: true },
    "write-cache": { type: "OnOffAuto", help: "on/off/auto", usual: "auto" },
    "share-rw": { type: "bool", help: "on/off; nothing is locked", usual: false },
    "bootindex": { type: "int32", help: "place in the order in which firmware tries devices" },
    ...ringProperties,
  },
  create(parts) {
    const { where, properties, drives } = parts, number = (name: string) => properties.get(name) as number;
    const id = properties.get("drive");
    if (id === undefined) throw new OptionError(`${where}: drive property not set; give drive=ID of a -drive …,id=ID`);
    const queueSize = number("queue-size"), queues = number("num-queues");
    if (queueSize < 3 || queueSize > MAX_QUEUE_SIZE || (queueSize & (queueSize - 1)) !== 0) {
      throw new OptionError(
        `${where}: invalid queue-size property (${queueSize}), must be a power of 2 (4 to ${MAX_QUEUE_SIZE})`,
      );
    }
    if (queues < 1 || queues > 256) throw new OptionError(`${where}: num-queues property must be from 1 to 256`);
    const logical = blockSize(parts, "logical_block_size", 512);
    const physical = blockSize(parts, "physical_block_size", 512);
    if (logical > physical) {
      throw new OptionError(`${where}: logical_block_size > physical_block_size not supported; give both`);
    }
    const { backend, options } = drives.take(id as string, "virtio-blk-device", where);
    const cache = properties.get("write-cache");
    return new VirtioBlock(backend, {
      serial: properties.get("serial") as string,
      logicalBlockSize: logical,
      physicalBlockSize: physical,
      minIoSize: number("min_io_size"),
      optIoSize: number("opt_io_size"),
      queues,
      queueSize,
      discard: properties.get("discard") === true,
      unmap: options.discard === "unmap",
      writeZeroes: properties.get("write-zeroes") === true,
      configWriteCache: properties.get("config-wce") === true,
      writeCache: cache === "auto" ? options.writeCache ?? true : cache === "on",
    });
  },
};

/** The first three bytes are QEMU's; the last counts cards. */
const FIRST_ADDRESS = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56] as const;

function macAddress(where: string, text: string | undefined, index: number): Uint8Array {
  const address = Uint8Array.from(FIRST_ADDRESS);
  if (text === undefined) {
    address[5]! += index;
    return address;
  }
  const parts = text.split(/[:-]/);
  if (parts.length !== 6 || parts.some((part) => !/^[0-9a-f]{1,2}$/i.test(part))) {
    throw new OptionError(
      `${where}: Property 'virtio-net-device.mac' doesn't take value '${text}'; write 52:54:00:12:34:56, say`,
    );
  }
  return Uint8Array.from(parts, (part) => parseInt(part, 16));
}

const virtioNetwork: DeviceModel = {
  category: "Network",
  description: "network card",
  bootUnit: "ethernet-phy@0",
  properties: {
    "netdev": { type: "str", help: "ID of a -netdev to use as a backend" },
    "mac": { type: "str", help: "Ethernet 6-byte MAC Address, example: 52:54:00:12:34:56" },
    "bootindex": { type: "int32", help: "place in the order in which firmware tries devices" },
    ...ringProperties,
  },
  create(parts) {
    const port = named(parts, "virtio-net-device", "netdev", "-netdev", parts.networks);
    if (port?.plugged) {
      throw new OptionError(
        `${parts.where}: Property 'virtio-net-device.netdev' can't take value '${port.id}', it's in use`,
      );
    }
    const card = new VirtioNetwork(
      macAddress(parts.where, parts.properties.get("mac") as string | undefined, parts.index),
    );
    port?.plug(card);
    return card;
  },
};

const virtioRandom: DeviceModel = {
  category: "Misc",
  description: "source of random numbers, which follow from -seed",
  properties: {
    "rng": { type: "str", help: "ID of an -object to use as a backend; all give the same" },
    "max-bytes": { type: "uint64", help: "for QEMU's limit of the rate; not used" },
    "period": { type: "uint32", help: "for QEMU's limit of the rate; not used" },
    ...ringProperties,
  },
  create(parts) {
    const sources = new Map([...parts.randomSources].map((id) => [id, id]));
    named(parts, "virtio-rng-device", "rng", "-object rng-builtin", sources);
    return new VirtioRandom(parts.seed + parts.index);
  },
};

const virtioSerial: DeviceModel = {
  category: "Input",
  description: "bus for virtconsole and virtserialport",
  properties: {
    "max_ports": { type: "uint32", help: "most ports, 1 to 31", usual: 31 },
    "emergency-write": { type: "bool", help: "on/off", usual: true },
    ...ringProperties,
  },
  create({ where, properties }) {
    const ports = properties.get("max_ports") as number;
    if (ports < 1 || ports > 31) throw new OptionError(`${where}: invalid max_ports ${ports}; it is from 1 to 31`);
    return new VirtioConsole(ports, properties.get("emergency-write") === true);
  },
};

/** A port of a virtio-serial-device; consoles take port 0 first. */
function serialPort(model: string, isConsole: boolean, description: string): DeviceModel {
  return {
    category: "Input",
    description,
    properties: {
      "chardev": { type: "str", help: "ID of a -chardev to use as a backend" },
      "name": { type: "str", help: "name of the port for the guest" },
      "nr": { type: "uint32", help: "number of the port; the next one if not given" },
    },
    addTo(bus, parts) {
      const { where, properties } = parts, console = named(parts, model, "chardev", "-chardev", parts.chardevs);
      let number = properties.get("nr") as number | undefined;
      if (number === 0 && !isConsole) {
        throw new OptionError(`${where}: Port number 0 on virtio-serial devices reserved for virtconsole devices`);
      }
      if (number === undefined) {
        number = isConsole && !bus.ports.has(0) ? 0 : 1;
        while (bus.ports.has(number)) number++;
      }
      if (bus.ports.has(number)) throw new OptionError(`${where}: A port already exists at id ${number}`);
      if (number >= bus.maxPorts) {
        throw new OptionError(`${where}: Out-of-range port id specified, max. allowed: ${bus.maxPorts - 1}`);
      }
      const name = properties.get("name") as string | undefined;
      const port = bus.addPort({
        number,
        isConsole,
        ...(name !== undefined && { name }),
        ...(console && {
          backend: {
            transmit: (byte: number) => console.transmit(byte),
            receiverReady: () => console.deliver(),
          },
        }),
      });
      console?.connect(port);
    },
  };
}

/** All models by name. */
export const DEVICE_MODELS: ReadonlyMap<string, DeviceModel> = new Map([
  ["virtio-blk-device", virtioBlock],
  ["virtio-net-device", virtioNetwork],
  ["virtio-serial-device", virtioSerial],
  ["virtconsole", serialPort("virtconsole", true, "console (hvc0 in Linux) of a virtio-serial-device")],
  ["virtserialport", serialPort("virtserialport", false, "port (/dev/vport…) of a virtio-serial-device")],
  ["virtio-rng-device", virtioRandom],
]);

/** Properties of the virtio transports, which only `-global` can change. */
export const VIRTIO_MMIO_PROPERTIES: Properties = {
  "force-legacy": { type: "bool", help: "the legacy interface (version 1) and not the modern one", usual: true },
};

/** Properties of the loader, which is no device: boot.ts does what it says. */
export const LOADER_PROPERTIES: Properties = {
  "file": { type: "str", help: "a file: ELF, U-Boot image or raw" },
  "addr": { type: "uint64", help: "physical address" },
  "force-raw": { type: "bool", help: "on/off", usual: false },
  "data": { type: "uint64", help: "a value in place of a file" },
  "data-len": { type: "uint32", help: "its length, 1 to 8 bytes" },
  "data-be": { type: "bool", help: "on/off", usual: false },
  "cpu-num": { type: "uint32", help: "the hart that starts there" },
};

/** Features that properties of a virtio device switch off. */
export function withheldFeatures(properties: ReadonlyMap<string, PropertyValue>): bigint {
  let withheld = 0n;
  for (const [name, feature] of Object.entries(RING_PROPERTIES)) {
    if (properties.get(name) === false) withheld |= feature;
  }
  return withheld;
}
