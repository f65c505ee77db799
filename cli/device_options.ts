// Reads `-device`, `-drive` and `-global`: what comes out is for the machine, which knows the models and their properties.

import type { DeviceOptions, DriveOptions, GlobalProperty } from "../machine/device_options.ts";
import { OptionError } from "../machine/errors.ts";
import { nearest } from "../machine/nearest.ts";
import type { LoaderDevice } from "../machine/options.ts";
import { readNumber, readProperties, readSwitch, splitCommas, unknownValue } from "./properties.ts";

/** An object without the properties that are undefined. */
function defined<T extends object>(object: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
}

/** Reads `-device loader,…`. */
export function readLoader(text: string): LoaderDevice {
  const known = ["file", "addr", "force-raw", "data", "data-len", "data-be", "cpu-num"];
  const properties = readProperties("-device", text, "driver", known);
  const read = <T>(key: string, reader: (option: string, text: string) => T) => {
    const value = properties.get(key);
    return value === undefined ? undefined : reader(`-device loader,${key}=`, value);
  };
  const small = (key: string) => {
    const value = read(key, readNumber);
    return value === undefined ? undefined : Number(value);
  };
  return defined<LoaderDevice>({
    file: properties.get("file"),
    address: read("addr", readNumber),
    forceRaw: read("force-raw", readSwitch),
    data: read("data", readNumber),
    dataLength: small("data-len"),
    dataBigEndian: read("data-be", readSwitch),
    hart: small("cpu-num"),
  });
}

/** Reads `-device MODEL,property=value,…` of any model but `loader`. */
export function readDevice(text: string): DeviceOptions {
  const [driver = "", ...properties] = splitCommas(text);
  const device: Record<string, string> = { driver: driver.replace(/^driver=/, "") };
  for (const property of properties) {
    const equals = property.indexOf("=");
    device[equals < 0 ? property : property.slice(0, equals)] = equals < 0 ? "on" : property.slice(equals + 1);
  }
  return device as Record<string, string> & { driver: string };
}

/** Reads `-global MODEL.property=value`, or `driver=MODEL,property=P,value=V`. */
export function readGlobal(option: string, text: string): GlobalProperty {
  const short = /^([^.=,]+)\.([^=,]+)=(.*)$/.exec(text);
  if (short !== null) return { driver: short[1]!, property: short[2]!, value: short[3]! };
  const properties = readProperties(option, text, "driver", ["driver", "property", "value"]);
  const get = (key: string) => {
    const value = properties.get(key);
    if (value === undefined) {
      throw new OptionError(`${option} ${text}: write MODEL.property=value, virtio-mmio.force-legacy=false, say`);
    }
    return value;
  };
  return { driver: get("driver"), property: get("property"), value: get("value") };
}

/** Properties of `-drive` that say how the host does its work, and change nothing here. */
const IGNORED = [
  "aio",
  "auto-read-only",
  "file.locking",
  "file.driver",
  "werror",
  "rerror",
  "copy-on-read",
  "detect-zeroes",
];
const DRIVE_PROPERTIES = [
  ..."file if index unit bus media format id readonly read-only snapshot discard cache file.filename".split(" "),
  ...IGNORED,
];
const CACHE_MODES = ["writeback", "writethrough", "none", "directsync", "unsafe"];

/** Reads `-drive`. */
export function readDrive(option: string, text: string): DriveOptions {
  const properties = readProperties(option, text, "", DRIVE_PROPERTIES), get = (key: string) => properties.get(key);
  const where = `${option} ${text}`;
  const file = get("file") ?? get("file.filename");
  if (file === undefined || file === "") throw new OptionError(`${where}: A block device must be specified for "file"`);
  const kind = get("if"), format = get("format"), cache = get("cache"), discard = get("discard");
  if (kind !== undefined && kind !== "none" && kind !== "virtio" && kind !== "pflash") {
    const known = ["none", "virtio", "pflash"];
    throw new OptionError(
      /^(ide|scsi|sd|mtd|floppy|xen)$/.test(kind)
        ? `${where}: machine type does not support if=${kind}; there are ${known.join(", ")}`
        : `${where}: unsupported bus type '${kind}'${nearest(kind, known) || `; there are ${known.join(", ")}`}`,
    );
  }
  if (format !== undefined && format !== "raw") {
    throw new OptionError(
      `${where}: format=${format}: only raw images can be used; qemu-img convert -O raw makes one of another`,
    );
  }
  if (cache !== undefined && !CACHE_MODES.includes(cache)) unknownValue(`${option} cache=`, cache, CACHE_MODES);
  const discards: Readonly<Record<string, "ignore" | "unmap">> = {
    ignore: "ignore",
    off: "ignore",
    unmap: "unmap",
    on: "unmap",
  };
  if (discard !== undefined && !(discard in discards)) {
    unknownValue(`${option} discard=`, discard, Object.keys(discards));
  }
  const readOnly = get("readonly") ?? get("read-only"), snapshot = get("snapshot"), unit = get("unit") ?? get("index");
  return defined<DriveOptions>({
    file,
    id: get("id"),
    interface: kind,
    format,
    unit: unit === undefined ? undefined : Number(readNumber(`${option} unit=`, unit)),
    readOnly: readOnly === undefined ? undefined : readSwitch(`${option} readonly=`, readOnly),
    snapshot: snapshot === undefined ? undefined : readSwitch(`${option} snapshot=`, snapshot),
    discard: discard === undefined ? undefined : discards[discard],
    writeCache: cache === undefined ? undefined : cache !== "writethrough" && cache !== "directsync",
  });
}
