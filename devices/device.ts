// The contract between a device and the machine that holds it: what a device is given and what it offers.

/**
 * Width of one access that a device sees, in bytes.
 *
 * @example
 * ```ts
 * import { Machine, type Width } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const widths: Width[] = [];
 * machine.mmio.map(0x4000_0000, 4, { read: (_offset, width) => widths.push(width) });
 * ```
 */
export type Width = 1 | 2 | 4;

/**
 * One interrupt wire from a device to an interrupt controller or a hart. Level-triggered.
 *
 * @example
 * ```ts
 * import { Device, type InterruptLine } from "hartbeat";
 *
 * // A button that a test presses.
 * class Button extends Device {
 *   constructor() {
 *     super("button", 4);
 *   }
 *   press(down: boolean): void {
 *     const line: InterruptLine = this.irq;
 *     line.set(down);
 *   }
 *   read = () => 0;
 *   write = () => {};
 * }
 * console.log(new Button().name);
 * ```
 */
export interface InterruptLine {
  /** Drives the wire. Setting the level it already has changes nothing. */
  set(level: boolean): void;
}

/**
 * A time-out that a device may arm; at most one expiry is pending.
 *
 * @example
 * ```ts
 * import { type Alarm, Device } from "hartbeat";
 *
 * // Raises its interrupt a millisecond after it was written.
 * class Delay extends Device {
 *   #alarm!: Alarm;
 *   constructor() {
 *     super("delay", 4);
 *   }
 *   override connected(): void {
 *     this.#alarm = this.clock.alarm(() => this.irq.set(true));
 *   }
 *   read = () => 0;
 *   write = () => this.#alarm.set(this.clock.now() + 1e6);
 * }
 * console.log(new Delay().name);
 * ```
 */
export interface Alarm {
  /** Arms (or re-arms) the alarm for a moment of virtual time, in nanoseconds since power-on. */
  set(nanoseconds: number): void;
  /** Disarms the alarm. */
  cancel(): void;
}

/**
 * Virtual time as a device sees it.
 *
 * @example
 * ```ts
 * import { type Clock, Device } from "hartbeat";
 *
 * // Reads as microseconds since power-on.
 * class Microseconds extends Device {
 *   constructor() {
 *     super("microseconds", 4);
 *   }
 *   read(): number {
 *     const clock: Clock = this.clock;
 *     return Math.floor(clock.now() / 1000);
 *   }
 *   write = () => {};
 * }
 * console.log(new Microseconds().name);
 * ```
 */
export interface Clock {
  /** Nanoseconds of virtual time since power-on; exact at the instruction that makes the access. */
  now(): number;
  /** Makes an alarm that calls `expire` when its moment has come. */
  alarm(expire: () => void): Alarm;
}

/** Main memory as a device that masters the bus reaches it (DMA). */
export interface DirectMemory {
  /**
   * The bytes at a physical address themselves, not a copy; undefined unless all of them are main memory. Who writes through it
   * says so with `wrote`.
   */
  view(address: number, length: number): Uint8Array | undefined;
  /** Tells that bytes were written through a view: code that was there may have been decoded or compiled. */
  wrote(address: number, length: number): void;
}

/**
 * Which accesses a device answers; any other is an access fault.
 *
 * @example
 * ```ts
 * import { Machine, type AccessRule } from "hartbeat";
 *
 * // Anything but an aligned word is an access fault.
 * const words: AccessRule = { min: 4, max: 4 };
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * machine.mmio.map(0x4000_0000, 0x100, { access: words, read: () => 1 });
 * ```
 */
export interface AccessRule {
  /** Narrowest access in bytes. */
  readonly min: 1 | 2 | 4 | 8;
  /** Widest access in bytes. */
  readonly max: 1 | 2 | 4 | 8;
  /**
   * What an eight-byte access becomes: `"split"`, two word accesses, low word first (the default), or
   * `"low"`, one word access whose upper half reads as zero and is not written.
   */
  readonly doubleword?: "split" | "low";
}

/**
 * A node of the device tree as a device describes itself (Devicetree Specification v0.4, chapter 2).
 *
 * @example
 * ```ts
 * import type { DeviceTreeNode } from "hartbeat";
 *
 * const keys: DeviceTreeNode = {
 *   properties: { compatible: "gpio-keys" },
 *   children: { enter: { properties: { label: "enter", "linux,code": 28 } } },
 * };
 * console.log(Object.keys(keys.children!));
 * ```
 */
export interface DeviceTreeNode {
  /** Properties in order: a string or list of strings, 32-bit cells, raw bytes, or `true` for an empty property. */
  readonly properties: Readonly<Record<string, DeviceTreeValue>>;
  /** Child nodes by name with unit address. */
  readonly children?: Readonly<Record<string, DeviceTreeNode>>;
}

/**
 * The value of one device-tree property. A `Reference` becomes the phandle of the node with that path.
 *
 * @example
 * ```ts
 * import type { DeviceTreeValue } from "hartbeat";
 *
 * const properties: Record<string, DeviceTreeValue> = {
 *   compatible: ["example,gpio-2", "example,gpio"],
 *   "gpio-controller": true,
 *   "#gpio-cells": 2,
 *   reg: [0, 0x4000_0000, 0, 0x100],
 * };
 * console.log(Object.keys(properties));
 * ```
 */
export type DeviceTreeValue =
  | true
  | string
  | readonly string[]
  | number
  | readonly (number | Reference)[]
  | Reference
  | Uint8Array;

/**
 * A reference to another node by its full path, e.g. `{ reference: "/soc/plic@c000000" }`.
 *
 * @example
 * ```ts
 * import type { DeviceNode, Reference } from "hartbeat";
 *
 * const controller: Reference = { reference: "/soc/plic@c000000" };
 * const node: DeviceNode = { name: "gpio", properties: { "interrupts-extended": [controller, 20] } };
 * console.log(node.properties);
 * ```
 */
export interface Reference {
  /** Full path of the node that is meant. */
  readonly reference: string;
}

/** A memory-mapped device. */
export interface Device {
  /** Name for messages, e.g. `serial@10000000`. */
  readonly name: string;
  /** Length of its register block in bytes. */
  readonly size: number;
  /** Which accesses it answers; `{ min: 1, max: 8 }` where absent. */
  readonly access?: AccessRule;
  /** Its bytes while it can be read like a ROM; null while it cannot. Absent: never. Writes go to `write` in any case. */
  readable?(): Uint8Array | null;
  /** What is executed there. Absent: nothing can be. */
  executable?(): Uint8Array;
  /** Puts bytes there as a loader does; absent: it cannot be loaded. */
  load?(offset: number, bytes: Uint8Array): void;
  /** Reads a register. `offset` is aligned to `width`; the result is taken modulo 2^(8·width). */
  read(offset: number, width: Width): number;
  /** Writes a register. `value` is unsigned and fits `width`. */
  write(offset: number, width: Width, value: number): void;
  /** Back to the state after power-on. */
  reset(): void;
  /** All state that a later `restore` needs, as plain structured-cloneable data. */
  snapshot(): unknown;
  /** Puts back what `snapshot` gave. */
  restore(state: unknown): void;
}
