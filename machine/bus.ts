// Physical memory of a machine: main RAM, ROMs and devices, and who answers an access.

import type { AccessRule, Device, DirectMemory, Width } from "../devices/device.ts";
import { type ExecutableMemory, LINE_SHIFT, type PhysicalMemory, type Ram } from "../hart/memory.ts";
import { HIGH } from "../isa/pair.ts";

/** A stretch of the physical address space, as the bus and `info mtree` know it. */
export interface Region {
  /** Name, e.g. `virt_board.mrom`. */
  readonly name: string;
  readonly address: number;
  readonly size: number;
  readonly kind: "ram" | "rom" | "device";
  /** Contents of a ROM. */
  readonly bytes?: Uint8Array;
  readonly device?: Device;
}

const ANY_ACCESS: AccessRule = { min: 1, max: 8 };

/** Answers all physical accesses that generated code does not do itself. */
export class Bus implements PhysicalMemory {
  readonly ram: Ram;
  /** RAM as devices reach it. */
  readonly directMemory: DirectMemory = {
    view: (address, length) => {
      const { base, u8 } = this.ram, offset = address - base;
      return this.isRam(address, length) ? u8.subarray(offset, offset + length) : undefined;
    },
    wrote: (address, length) => {
      if (length > 0) this.wrote(address - this.ram.base, length);
    },
  };
  fault = false;
  /** Later ones lie over earlier ones. */
  #regions: Region[] = [];
  /** Whether something lies over RAM. */
  #ramIsCovered = false;
  /** Called after what can be executed elsewhere than in RAM has changed. */
  onCodeChange: (physical: number, length: number) => void = () => {};
  /** Called after bytes of a watched line were written, with the offset in RAM. */
  onWatchedWrite: (offset: number, length: number) => void = () => {};
  /** Called after bytes of RAM were written by anybody but a hart: a device, the debugger, a script. */
  onForeignWrite: (offset: number, length: number) => void = () => {};

  constructor(ram: Ram, name: string) {
    this.ram = ram;
    this.#regions.push({ name, address: ram.base, size: ram.size, kind: "ram" });
  }

  /** All regions by address. */
  get regions(): readonly Region[] {
    return this.#regions.toSorted((a, b) => a.address - b.address);
  }

  /** Adds a ROM: readable and executable, writes are ignored. */
  addRom(name: string, address: number, bytes: Uint8Array): void {
    this.#regions.push({ name, address, size: bytes.length, kind: "rom", bytes });
  }
  /** Adds a device; it lies over what is already there. Over RAM, only generated code's fast path must be kept away. */
  addDevice(address: number, device: Device): void {
    this.#regions.push({ name: device.name, address, size: device.size, kind: "device", device });
    const { base, size } = this.ram;
    if (address < base + size && address + device.size > base) this.#ramIsCovered = true;
  }

  /** Puts something in the place of a device. */
  replaceDevice(device: Device, other: Device): void {
    this.#regions = this.#regions.map((region) => region.device === device ? { ...region, device: other } : region);
  }
  /** Takes a device away. */
  removeDevice(device: Device): void {
    this.#regions = this.#regions.filter((region) => region.device !== device);
  }

  #find(physical: number): Region | undefined {
    const { base, size } = this.ram;
    if (physical >= base && physical < base + size && !this.#ramIsCovered) return this.#regions[0];
    for (let k = this.#regions.length - 1; k >= 0; k--) {
      const region = this.#regions[k]!;
      if (physical >= region.address && physical < region.address + region.size) return region;
    }
    return undefined;
  }

  isRam(physical: number, size: number): boolean {
    const region = this.#find(physical);
    return region !== undefined && region.kind === "ram" && physical + size <= region.address + region.size;
  }

  exists(physical: number): boolean {
    return this.#find(physical) !== undefined;
  }

  executable(physical: number): ExecutableMemory | null {
    const { ram } = this;
    if (physical >= ram.base && physical < ram.base + ram.size) {
      return { bytes: ram.u8, offset: physical - ram.base, isRam: true };
    }
    const region = this.#find(physical);
    const bytes = region?.bytes ?? region?.device?.executable?.();
    if (region === undefined || bytes === undefined) return null;
    return { bytes, offset: physical - region.address, isRam: false };
  }

  /** Offset in RAM of an aligned access to it that nothing lies over; -1 for any other. */
  #plainOffset(physical: number, size: number): number {
    const offset = physical - this.ram.base;
    return offset >= 0 && offset < this.ram.size && (offset & size - 1) === 0 && !this.#ramIsCovered ? offset : -1;
  }

  read(physical: number, size: number): number {
    this.fault = false;
    HIGH[0] = 0;
    const offset = this.#plainOffset(physical, size);
    return offset < 0 ? this.#read(physical, size) : this.#readRam(offset, size);
  }

  #readRam(offset: number, size: number): number {
    const { i32, u16, u8 } = this.ram;
    switch (size) {
      case 1:
        return u8[offset]!;
      case 2:
        return u16[offset >>> 1]!;
      case 8:
        HIGH[0] = i32[(offset >>> 2) + 1]!;
    }
    return i32[offset >>> 2]!;
  }

  #read(physical: number, size: number): number {
    const region = this.#find(physical);
    if (region === undefined) {
      this.fault = true;
      return 0;
    }
    const offset = physical - region.address;
    const readable = region.kind === "device" ? region.device!.readable?.() : region.bytes ?? this.ram.u8;
    if (readable === undefined || readable === null) return this.#readDevice(region.device!, offset, size);
    if (offset + size > region.size) return this.#split(physical, size);
    const bytes = readable;
    if (size === 8) HIGH[0] = wordAt(bytes, offset + 4, 4);
    return wordAt(bytes, offset, Math.min(size, 4));
  }

  /** A misaligned read over the end of a region: byte by byte. */
  #split(physical: number, size: number): number {
    let low = 0, high = 0;
    for (let k = 0; k < size; k++) {
      const byte = this.read(physical + k, 1);
      if (this.fault) return 0;
      if (k < 4) low |= byte << 8 * k;
      else high |= byte << 8 * (k - 4);
    }
    HIGH[0] = high;
    return low;
  }

  #readDevice(device: Device, offset: number, size: number): number {
    const rule = device.access ?? ANY_ACCESS;
    if (size < rule.min || size > rule.max || offset % size !== 0 || offset + size > device.size) {
      this.fault = true;
      return 0;
    }
    if (size < 8) {
      const value = device.read(offset, size as Width);
      return size === 4 ? value | 0 : value & (1 << 8 * size) - 1;
    }
    const low = device.read(offset, 4) | 0;
    HIGH[0] = rule.doubleword === "low" ? 0 : device.read(offset + 4, 4) | 0;
    return low;
  }

  write(physical: number, size: number, low: number, high: number): void {
    this.fault = false;
    const offset = this.#plainOffset(physical, size);
    if (offset < 0) return this.#write(physical, size, low, high);
    const { i32, u16, u8, lines } = this.ram;
    if (size === 1) u8[offset] = low;
    else if (size === 2) u16[offset >>> 1] = low;
    else {
      i32[offset >>> 2] = low;
      if (size === 8) i32[(offset >>> 2) + 1] = high;
    }
    if (lines[offset >>> LINE_SHIFT] !== 0) this.onWatchedWrite(offset, size);
  }

  #write(physical: number, size: number, low: number, high: number): void {
    const region = this.#find(physical);
    if (region === undefined) {
      this.fault = true;
      return;
    }
    const offset = physical - region.address;
    switch (region.kind) {
      case "device":
        this.#writeDevice(region.device!, offset, size, low, high);
        return;
      case "rom":
        return;
      case "ram": {
        if (offset + size > region.size) {
          this.fault = true;
          return;
        }
        const { u8 } = this.ram;
        for (let k = 0; k < size; k++) u8[offset + k] = (k < 4 ? low >>> 8 * k : high >>> 8 * (k - 4)) & 0xff;
        this.#notice(offset, size);
      }
    }
  }

  #writeDevice(device: Device, offset: number, size: number, low: number, high: number): void {
    const rule = device.access ?? ANY_ACCESS;
    if (size < rule.min || size > rule.max || offset % size !== 0 || offset + size > device.size) {
      this.fault = true;
      return;
    }
    if (size < 8) {
      device.write(offset, size as Width, size === 4 ? low >>> 0 : low & (1 << 8 * size) - 1);
      return;
    }
    device.write(offset, 4, low >>> 0);
    if (rule.doubleword !== "low") device.write(offset + 4, 4, high >>> 0);
  }

  /** To be called after bytes of RAM were changed directly. */
  wrote(offset: number, length: number): void {
    this.onForeignWrite(offset, length);
    this.#notice(offset, length);
  }

  #notice(offset: number, length: number): void {
    const { lines } = this.ram;
    const last = (offset + length - 1) >>> LINE_SHIFT;
    for (let line = offset >>> LINE_SHIFT; line <= last; line++) {
      if (lines[line] !== 0) {
        this.onWatchedWrite(offset, length);
        return;
      }
    }
  }

  /**
   * Bytes of RAM, ROM or flash, or undefined where there is something else. For DMA, scripts and the debugger: no side effects.
   */
  readBytes(physical: number, length: number): Uint8Array | undefined {
    const region = this.#find(physical);
    if (region === undefined || physical + length > region.address + region.size) return undefined;
    const bytes = region.kind === "device" ? region.device!.executable?.() : region.bytes ?? this.ram.u8;
    const offset = physical - region.address;
    return bytes?.slice(offset, offset + length);
  }

  /** Writes bytes to RAM (to ROM and flash only with `rom`, as a loader does); false where there is no such memory. */
  writeBytes(physical: number, bytes: Uint8Array, rom = false): boolean {
    const region = this.#find(physical);
    if (region === undefined || physical + bytes.length > region.address + region.size) return false;
    const offset = physical - region.address;
    if (region.kind !== "ram" && !rom) return false;
    if (region.kind === "device") {
      if (region.device!.load === undefined) return false;
      region.device!.load(offset, bytes);
      return true;
    }
    (region.bytes ?? this.ram.u8).set(bytes, offset);
    if (region.kind === "ram" && bytes.length > 0) this.wrote(offset, bytes.length);
    return true;
  }
}

function wordAt(bytes: Uint8Array, offset: number, size: number): number {
  let value = 0;
  for (let k = 0; k < size; k++) value |= bytes[offset + k]! << 8 * k;
  return value;
}
