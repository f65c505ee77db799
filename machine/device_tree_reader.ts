// Reads flattened device trees (Devicetree Specification v0.4, chapter 5).
import { LoadError } from "./errors.ts";
import { flattenedFormat, record } from "./device_tree.ts";
import type { MemoryReservation } from "./device_tree.ts";
import type { DeviceTreeNode } from "../devices/device.ts";

/** A parsed device tree. Every property is raw bytes. */
export interface DeviceTree {
  /** The root node. */
  readonly root: DeviceTreeNode;
  /** Reserved memory. */
  readonly memoryReservations: readonly MemoryReservation[];
  /** Hart id of the boot hart. */
  readonly bootHart: number;
}

const { magic, version, compatibleVersion, headerSize, beginNode, endNode, property, nop, end } = flattenedFormat;
/** Deeper trees than this are damage; real ones are less than ten deep. */
const deepest = 64;
/** The specification allows 31 characters; some trees have longer names. */
const longestPropertyName = 255;

const decoder = new TextDecoder("latin1");

function alignUp(offset: number): number {
  return Math.ceil(offset / 4) * 4;
}

/**
 * Reads a flattened device tree of version 16 or later.
 *
 * @param bytes The file; what follows the tree's own size is ignored.
 * @param name File name for messages.
 * @throws {LoadError} If it is not a device tree, truncated or damaged; the message says where.
 */
export function parseDeviceTree(bytes: Uint8Array, name: string): DeviceTree {
  const fail = (what: string) => new LoadError(`${name}: ${what}`);
  const place = (offset: number) => `at 0x${offset.toString(16)}`;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || view.getUint32(0) !== magic) throw fail("not a device tree blob (no magic number d00dfeed)");
  if (bytes.length < headerSize) throw fail(`truncated: the header has ${headerSize} bytes, the file ${bytes.length}`);
  const header = Array.from({ length: headerSize / 4 }, (_, index) => view.getUint32(4 * index));
  const [, total, structureOffset, stringsOffset, reservationOffset, writtenAs, readableAs, bootHart] = header;
  if (total > bytes.length) throw fail(`truncated: the device tree has ${total} bytes, the file ${bytes.length}`);
  if (writtenAs < compatibleVersion || readableAs > version) {
    throw fail(`device tree version ${writtenAs}, readable as ${readableAs}; 16 and 17 are supported`);
  }
  // The structure's size came with version 17.
  const structureEnd = writtenAs >= 17 ? structureOffset + header[9] : total;
  const stringsEnd = stringsOffset + header[8];
  if (structureOffset % 4 !== 0 || structureEnd > total) {
    throw fail(`structure block ${place(structureOffset)} to 0x${structureEnd.toString(16)} is misaligned or outside`);
  }
  if (stringsEnd > total) throw fail(`strings block ${place(stringsOffset)} lies outside of the tree's ${total} bytes`);

  const memoryReservations: MemoryReservation[] = [];
  for (let at = reservationOffset;; at += 16) {
    if (at % 8 !== 0 || at + 16 > total) throw fail(`memory reservations ${place(at)} are misaligned or have no end`);
    const [address, size] = [view.getBigUint64(at), view.getBigUint64(at + 8)];
    if (address === 0n && size === 0n) break;
    memoryReservations.push({ address, size });
  }

  /** A name that ends in NUL before `limit` and has only visible ASCII characters other than `/`. */
  const nameAt = (start: number, limit: number): string => {
    const length = bytes.subarray(start, limit).indexOf(0);
    if (length < 0) throw fail(`the name ${place(start)} has no end`);
    const found = decoder.decode(bytes.subarray(start, start + length));
    if (!/^[!-.0-~]*$/.test(found)) throw fail(`the name ${place(start)} has characters that no name has`);
    return found;
  };
  interface Open {
    readonly properties: Record<string, Uint8Array>;
    readonly children: Record<string, DeviceTreeNode>;
  }
  const open: Open[] = [];
  let root: Open | undefined;
  let at = structureOffset;
  for (;;) {
    const start = at;
    if (at + 4 > structureEnd) throw fail(`the structure block ends ${place(at)} without its end token`);
    const token = view.getUint32(at);
    at += 4;
    const node = open.at(-1);
    if (token === nop) continue;
    if (token === end) {
      if (root === undefined || node) throw fail(`the tree ends ${place(start)} with nodes still open or none at all`);
      return { root, memoryReservations, bootHart };
    }
    if (token === beginNode) {
      const nodeName = nameAt(at, structureEnd);
      at = alignUp(at + nodeName.length + 1);
      const opened: Open = { properties: record(), children: record() };
      if (node === undefined) {
        if (root !== undefined || nodeName !== "") {
          throw fail(`a second root node, or one with a name, ${place(start)}`);
        }
        root = opened;
      } else {
        if (nodeName === "") throw fail(`a node without name ${place(start)}`);
        if (Object.hasOwn(node.children, nodeName)) throw fail(`node ${nodeName} ${place(start)} is there twice`);
        node.children[nodeName] = opened;
      }
      open.push(opened);
      if (open.length > deepest) throw fail(`nodes ${place(start)} are more than ${deepest} deep`);
    } else if (token === endNode) {
      if (open.pop() === undefined) throw fail(`the token ${place(start)} ends a node, but none is open`);
    } else if (token === property) {
      if (node === undefined) throw fail(`a property ${place(start)} outside of all nodes`);
      if (Object.keys(node.children).length > 0) throw fail(`a property ${place(start)} after a child node`);
      if (at + 8 > structureEnd) throw fail(`the property ${place(start)} is cut off`);
      const [length, nameOffset] = [view.getUint32(at), view.getUint32(at + 4)];
      at += 8;
      if (at + length > structureEnd) {
        throw fail(`the property ${place(start)} has ${length} bytes, past the block's end`);
      }
      const nameStart = stringsOffset + nameOffset;
      const propertyName = nameAt(nameStart, Math.min(stringsEnd, nameStart + longestPropertyName + 1));
      if (propertyName === "") throw fail(`a property without name ${place(start)}`);
      if (Object.hasOwn(node.properties, propertyName)) {
        throw fail(`property ${propertyName} ${place(start)} is there twice`);
      }
      node.properties[propertyName] = bytes.slice(at, at + length);
      at = alignUp(at + length);
    } else {
      throw fail(`unknown token 0x${token.toString(16)} ${place(start)}`);
    }
  }
}
