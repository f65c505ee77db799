// The models that `-device` knows: what each is, its properties, and how it is made from them.

import { VirtioBlock } from "../devices/virtio/block.ts";
import type { VirtioDevice } from "../devices/virtio/device.ts";
import { MAX_QUEUE_SIZE, RING_FEATURE } from "../devices/virtio/queue.ts";
import type { Properties, PropertyValue } from "./device_properties.ts";
import type { Drives } from "./drives.ts";
import { OptionError } from "./errors.ts";

/** What a model is made from. */
export interface ModelParts {
  /** The option, for messages. */
  readonly where: string;
  readonly properties: ReadonlyMap<string, PropertyValue>;
  readonly drives: Drives;
}

/** A model of device. */
export interface DeviceModel {
  /** Heading in `-device help`. */
  readonly category: "Storage" | "Network" | "Input" | "Misc";
  /** What `-device help` says. */
  readonly description: string;
  /** Properties besides `id` and `bus`. */
  readonly properties: Properties;
  /** Makes the device that a virtio transport gets. @throws {OptionError} If properties do not fit. */
  create(parts: ModelParts): VirtioDevice;
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
    "bootindex": { type: "int32", help: "for firmware; not used" },
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

/** All models by name. */
export const DEVICE_MODELS: ReadonlyMap<string, DeviceModel> = new Map([
  ["virtio-blk-device", virtioBlock],
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
