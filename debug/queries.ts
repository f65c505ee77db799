// What GDB's queries for pieces of memory and of texts are answered with.

import type { Region } from "../machine/bus.ts";

/** A piece of a text in answer to `qXfer`: `m` where more follows, `l` for the last one. */
export function offer(whole: string, offset: number, length: number): string {
  return (offset + length >= whole.length ? "l" : "m") + whole.slice(offset, offset + length);
}

/** The memory map of `qXfer:memory-map:read` ("Debugging with GDB", section "Memory Map Format"). */
export function memoryMap(regions: readonly Region[]): string {
  const memories = regions.filter(({ kind }) => kind !== "device").map(({ kind, address, size }) =>
    `<memory type="${kind}" start="0x${address.toString(16)}" length="0x${size.toString(16)}"/>`
  );
  return '<?xml version="1.0"?><!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map V1.0//EN" ' +
    `"http://sourceware.org/gdb/gdb-memory-map.dtd"><memory-map>${memories.join("")}</memory-map>`;
}

/** Polynomial of the checksum. */
const POLYNOMIAL = 0x04c11db7;

/** The checksum of `compare-sections`: most significant bit first, starting from all ones; undefined if memory is missing. */
export function crc32(chunks: Iterable<Uint8Array | undefined>): number | undefined {
  let crc = -1;
  for (const chunk of chunks) {
    if (chunk === undefined) return undefined;
    for (const byte of chunk) {
      crc ^= byte << 24;
      for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? crc << 1 ^ POLYNOMIAL : crc << 1;
    }
  }
  return crc >>> 0;
}

/** Offset of the first occurrence of a pattern; -1 if there is none, undefined if memory is missing before one is found. */
export function searchMemory(chunks: Iterable<Uint8Array | undefined>, pattern: Uint8Array): number | undefined {
  let kept = new Uint8Array(0), start = 0;
  for (const chunk of chunks) {
    if (chunk === undefined) return undefined;
    const bytes = new Uint8Array(kept.length + chunk.length);
    bytes.set(kept);
    bytes.set(chunk, kept.length);
    const found = bytes.findIndex((_, at) =>
      at + pattern.length <= bytes.length && pattern.every((byte, k) => bytes[at + k] === byte)
    );
    if (found >= 0) return start + found;
    kept = bytes.slice(Math.max(0, bytes.length - pattern.length + 1));
    start += bytes.length - kept.length;
  }
  return -1;
}
