// Reads `-device`, `-drive` and their like: what comes out is for the machine, which knows the models and their properties.

import type {
  DeviceOptions,
  DriveOptions,
  GlobalProperty,
  NetdevOptions,
  ObjectOptions,
} from "../machine/device_options.ts";
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

/** The value of a property that must be there. */
function required(where: string, properties: ReadonlyMap<string, string>, key: string): string {
  const value = properties.get(key);
  if (value === undefined) throw new OptionError(`${where}: Parameter '${key}' is missing`);
  return value;
}

/** Kinds of `-netdev` that QEMU has and hartbeat has not. */
const NETWORKS_OF_THE_HOST = ["tap", "bridge", "socket", "stream", "dgram", "vde", "l2tpv3", "vhost-user"];
/** Properties of `-netdev user`: those that mean something, those that change nothing, and those that would reach the host. */
const USER_NETWORK = ["net", "host", "dhcpstart", "dns", "hostname"] as const;
const USER_NETWORK_IGNORED = [
  ..."restrict ipv4 ipv6 ipv6-net ipv6-prefix ipv6-prefixlen ipv6-host ipv6-dns dnssearch domainname".split(" "),
];
const USER_NETWORK_OF_THE_HOST = ["hostfwd", "guestfwd", "tftp", "tftp-server-name", "bootfile", "smb", "smbserver"];

/** Reads `-netdev`. */
export function readNetdev(option: string, text: string): NetdevOptions {
  const where = `${option} ${text}`, type = splitCommas(text)[0]!.replace(/^type=/, "");
  if (NETWORKS_OF_THE_HOST.includes(type)) {
    throw new OptionError(
      `${where}: there is no way to the host's network; hubport,id=ID,hubid=N connects the cards of this machine, and ` +
        "scripts have machine.net(ID) and NetworkHub",
    );
  }
  if (type === "user") {
    const known = ["id", ...USER_NETWORK, ...USER_NETWORK_IGNORED, ...USER_NETWORK_OF_THE_HOST];
    const properties = readProperties(option, text, "type", known), id = required(where, properties, "id");
    const given = USER_NETWORK.map((name) => [name, properties.get(name)] as const);
    const unreachable = USER_NETWORK_OF_THE_HOST.filter((name) => properties.has(name));
    return { id, user: { ...defined(Object.fromEntries(given)), ...(unreachable.length > 0 && { unreachable }) } };
  }
  if (type !== "hubport") {
    const guess = nearest(type, ["hubport", "user"]) || "; there are hubport and user";
    throw new OptionError(`${where}: Parameter 'type' does not accept value '${type}'${guess}`);
  }
  const properties = readProperties(option, text, "type", ["id", "hubid"]);
  const id = required(where, properties, "id"), hub = required(where, properties, "hubid");
  return { id, hubId: Number(readNumber(`${option} hubid=`, hub)) };
}

/** Reads `-object`. */
export function readObject(option: string, text: string): ObjectOptions {
  const where = `${option} ${text}`;
  const properties = readProperties(option, text, "qom-type", ["id", "filename"]);
  return { type: required(where, properties, "qom-type"), id: required(where, properties, "id") };
}

/** A character device of the command: its id, where it goes to, and whether several may share it. */
export interface Chardev {
  readonly id: string;
  /** `mux=on`: Ctrl-A is for hartbeat, as with `-serial mon:stdio`. */
  readonly mux?: boolean;
  readonly target: { readonly kind: "stdio" } | { readonly kind: "null" } | {
    readonly kind: "file";
    readonly path: string;
  };
}

/** Kinds of `-chardev` that QEMU has and hartbeat has not. */
const CHARDEVS_NOT_YET = ["socket", "udp", "pty", "pipe", "vc", "ringbuf", "serial", "parallel", "msmouse", "braille"];

/** Reads `-chardev`. */
export function readChardev(option: string, text: string): Chardev {
  const where = `${option} ${text}`, kind = splitCommas(text)[0]!.replace(/^backend=/, "");
  if (CHARDEVS_NOT_YET.includes(kind)) {
    throw new OptionError(`${where}: not supported yet; there are stdio, file and null`);
  }
  if (kind !== "stdio" && kind !== "null" && kind !== "file") {
    const guess = nearest(kind, ["stdio", "null", "file"]) || "; there are stdio, file and null";
    throw new OptionError(`${where}: '${kind}' is not a valid char driver name${guess}`);
  }
  const known = kind === "file" ? ["path"] : kind === "stdio" ? ["mux", "signal"] : [];
  const properties = readProperties(option, text, "backend", ["id", ...known]);
  if (!properties.has("id")) throw new OptionError(`${where}: chardev: no id specified`);
  const id = properties.get("id")!;
  const mux = properties.has("mux") && readSwitch(`${option} mux=`, properties.get("mux")!);
  if (kind !== "file") return { id, ...(mux && { mux }), target: { kind } };
  return { id, target: { kind, path: required(where, properties, "path") } };
}
