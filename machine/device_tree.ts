// Device trees: edits them and writes their flattened form (Devicetree Specification v0.4, chapter 5, version 17). What reads
// that form is device_tree_reader.ts.
import { HartbeatError } from "./errors.ts";
import type { DeviceTreeNode, DeviceTreeValue, Reference } from "../devices/device.ts";

/** Memory that the client program must not use (Devicetree Specification v0.4, section 5.3). */
export interface MemoryReservation {
  /** First physical address, unsigned 64-bit. */
  readonly address: bigint;
  /** Length in bytes. */
  readonly size: bigint;
}

/** What a flattened device tree holds besides its nodes. */
export interface DeviceTreeOptions {
  /** Reserved memory; none where absent. */
  readonly memoryReservations?: readonly MemoryReservation[];
  /** Hart id of the boot hart (`boot_cpuid_phys`); 0 where absent. */
  readonly bootHart?: number;
}

/** The numbers of the flattened form, version 17 (Devicetree Specification v0.4, sections 5.2 and 5.4). */
export const flattenedFormat = {
  magic: 0xd00dfeed,
  version: 17,
  /** The oldest version that has the same structure. */
  compatibleVersion: 16,
  /** Bytes of the header. */
  headerSize: 40,
  /** Tokens of the structure block. */
  beginNode: 1,
  endNode: 2,
  property: 3,
  nop: 4,
  end: 9,
} as const;

const { magic, version, compatibleVersion, headerSize, beginNode, endNode, property, end } = flattenedFormat;
const encoder = new TextEncoder();

/** 64-bit values as pairs of 32-bit cells, high first: `cells64(0x80000000, 0x8000000)` is a `reg` of two cells each. */
export function cells64(...values: readonly (number | bigint)[]): number[] {
  return values.flatMap((value) => {
    const wide = BigInt(value);
    if (BigInt.asUintN(64, wide) !== wide) throw new HartbeatError(`device tree: ${value} does not fit 64 bits`);
    return [Number(wide >> 32n), Number(wide & 0xffff_ffffn)];
  });
}

/** A record without prototype, so that no name from a file means anything to JavaScript. */
export function record<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}

function isReference(value: unknown): value is Reference {
  return typeof value === "object" && value !== null && "reference" in value;
}

/** The names on a path, without the empty ones. */
function namesOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "");
}

/** One spelling for each path. */
function normal(path: string): string {
  return `/${namesOf(path).join("/")}`;
}

/** The node at a full path such as `/soc/serial@10000000`, or undefined. */
export function nodeAt(root: DeviceTreeNode, path: string): DeviceTreeNode | undefined {
  let node: DeviceTreeNode | undefined = root;
  for (const name of namesOf(path)) {
    node = node.children && Object.hasOwn(node.children, name) ? node.children[name] : undefined;
    if (node === undefined) return undefined;
  }
  return node;
}

/**
 * A tree with one property set; nodes on the path that are not there are added. The given tree stays as it is.
 *
 * @param root Root of the tree.
 * @param path Full path of the node, e.g. `/chosen`.
 * @param name Name of the property.
 * @param value Its value, or undefined to remove it.
 */
export function withProperty(
  root: DeviceTreeNode,
  path: string,
  name: string,
  value: DeviceTreeValue | undefined,
): DeviceTreeNode {
  const change = (node: DeviceTreeNode, [first, ...rest]: readonly string[]): DeviceTreeNode => {
    if (first !== undefined) {
      const children = Object.assign(record<DeviceTreeNode>(), node.children);
      children[first] = change(children[first] ?? { properties: {} }, rest);
      return { ...node, children };
    }
    const properties = Object.assign(record<DeviceTreeValue>(), node.properties);
    if (value === undefined) delete properties[name];
    else properties[name] = value;
    return { ...node, properties };
  };
  return change(root, namesOf(path));
}

/** A growing big-endian buffer. */
class Writer {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  length = 0;

  /** Makes room, which may replace the buffer, so call it before touching the buffer. */
  #reserve(size: number): number {
    const at = this.length;
    this.length += size;
    if (this.length > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.length);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  cell(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value);
  }

  doubleCell(value: bigint): void {
    const at = this.#reserve(8);
    this.#view.setBigUint64(at, value);
  }

  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }

  align(alignment: number): void {
    this.#reserve((alignment - this.length % alignment) % alignment);
  }

  result(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }
}

function strings(values: readonly string[]): Uint8Array {
  return encoder.encode(values.map((text) => `${text}\0`).join(""));
}

/** Phandles by path of the nodes that have or need one: those they have, else the smallest ones that are free. */
function assignPhandles(root: DeviceTreeNode): ReadonlyMap<string, number> {
  const phandles = new Map<string, number>();
  const referenced: string[] = [];
  const visit = (path: string, node: DeviceTreeNode) => {
    const phandle = node.properties.phandle;
    if (typeof phandle === "number") phandles.set(path, phandle);
    else if (phandle instanceof Uint8Array && phandle.length === 4) {
      phandles.set(path, new DataView(phandle.buffer, phandle.byteOffset).getUint32(0));
    }
    for (const value of Object.values(node.properties)) {
      for (const item of Array.isArray(value) ? value : [value]) if (isReference(item)) referenced.push(item.reference);
    }
    for (const [name, child] of Object.entries(node.children ?? {})) visit(normal(`${path}/${name}`), child);
  };
  visit("/", root);
  const taken = new Set(phandles.values());
  let next = 1;
  for (const reference of referenced) {
    if (!reference.startsWith("/") || nodeAt(root, reference) === undefined) {
      throw new HartbeatError(`device tree: a reference to ${reference}, but there is no such node`);
    }
    if (phandles.has(normal(reference))) continue;
    while (taken.has(next)) next++;
    phandles.set(normal(reference), next);
    taken.add(next);
  }
  return phandles;
}

/**
 * Flattens a device tree. A node that is referenced and has no `phandle` gets one.
 *
 * @param root The root node.
 * @param options Memory reservations and boot hart.
 * @returns The blob, in the order header, reservations, structure, strings, without spare room.
 * @throws {HartbeatError} If a reference's node does not exist, a cell does not fit 32 bits or a name is not possible.
 */
export function buildDeviceTree(root: DeviceTreeNode, options: DeviceTreeOptions = {}): Uint8Array {
  const phandles = assignPhandles(root);
  const structure = new Writer();
  const names = new Writer();
  const nameOffsets = new Map<string, number>();

  const encode = (path: string, name: string, value: DeviceTreeValue): Uint8Array => {
    if (value === true) return new Uint8Array();
    if (value instanceof Uint8Array) return value;
    if (typeof value === "string") return strings([value]);
    const items: readonly (string | number | Reference)[] = Array.isArray(value) ? value : [value];
    if (items.length > 0 && items.every((item) => typeof item === "string")) return strings(items);
    const view = new DataView(new ArrayBuffer(4 * items.length));
    items.forEach((item, index) => {
      const cell = isReference(item) ? phandles.get(normal(item.reference)) : item;
      if (typeof cell !== "number" || cell >>> 0 !== cell) {
        throw new HartbeatError(`device tree: ${path} ${name}: ${String(cell)} is not an unsigned 32-bit cell`);
      }
      view.setUint32(4 * index, cell);
    });
    return new Uint8Array(view.buffer);
  };

  const writeProperty = (path: string, name: string, value: DeviceTreeValue) => {
    if (name === "" || /[\0/]/.test(name)) throw new HartbeatError(`device tree: ${path}: bad property name "${name}"`);
    let offset = nameOffsets.get(name);
    if (offset === undefined) {
      offset = names.length;
      nameOffsets.set(name, offset);
      names.raw(strings([name]));
    }
    const bytes = encode(path, name, value);
    structure.cell(property);
    structure.cell(bytes.length);
    structure.cell(offset);
    structure.raw(bytes);
    structure.align(4);
  };

  const writeNode = (path: string, name: string, node: DeviceTreeNode) => {
    structure.cell(beginNode);
    structure.raw(strings([name]));
    structure.align(4);
    for (const [key, value] of Object.entries(node.properties)) writeProperty(path, key, value);
    const phandle = phandles.get(path);
    if (phandle !== undefined && !Object.hasOwn(node.properties, "phandle")) writeProperty(path, "phandle", phandle);
    for (const [child, below] of Object.entries(node.children ?? {})) {
      if (child === "" || /[\0/]/.test(child)) {
        throw new HartbeatError(`device tree: ${path}: bad node name "${child}"`);
      }
      writeNode(normal(`${path}/${child}`), child, below);
    }
    structure.cell(endNode);
  };

  writeNode("/", "", root);
  structure.cell(end);
  const reservations = options.memoryReservations ?? [];
  const structureOffset = headerSize + 16 * (reservations.length + 1);
  const stringsOffset = structureOffset + structure.length;
  const blob = new Writer();
  const header = [magic, stringsOffset + names.length, structureOffset, stringsOffset, headerSize];
  for (const cell of [...header, version, compatibleVersion, options.bootHart ?? 0, names.length, structure.length]) {
    blob.cell(cell);
  }
  for (const { address, size } of [...reservations, { address: 0n, size: 0n }]) {
    blob.doubleCell(address);
    blob.doubleCell(size);
  }
  blob.raw(structure.result());
  blob.raw(names.result());
  return blob.result();
}

/**
 * A flattened tree with free bytes at its end, as firmware leaves them: U-Boot adds the command line and the ramdisk to the tree in
 * place, with its own data behind it.
 */
export function withRoom(tree: Uint8Array, bytes: number): Uint8Array {
  const larger = new Uint8Array(tree.length + bytes);
  larger.set(tree);
  // `totalsize` (Devicetree Specification, "Header").
  new DataView(larger.buffer).setUint32(4, larger.length);
  return larger;
}
