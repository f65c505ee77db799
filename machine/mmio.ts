// Devices written by users: functions or classes at physical addresses, with interrupts, alarms, access to memory, and a node
// of the device tree if they want one.

import type {
  AccessRule,
  Alarm,
  Clock,
  Device as BusDevice,
  DeviceTreeNode,
  DeviceTreeValue,
  InterruptLine,
  Width,
} from "../devices/device.ts";
import type { WatchList } from "../hart/watchpoints.ts";
import type { BoardInterrupts } from "./board.ts";
import type { Bus } from "./bus.ts";
import { cells64 } from "./device_tree.ts";
import { OptionError } from "./errors.ts";
import type { MemoryView } from "./memory_view.ts";

/**
 * What a device says of itself in the device tree; `reg`, `interrupts` and `interrupt-parent` are added.
 *
 * @example
 * ```ts
 * import type { DeviceNode } from "hartbeat";
 *
 * const node: DeviceNode = { name: "gpio", properties: { compatible: "example,gpio", "gpio-controller": true } };
 * console.log(node.name);
 * ```
 */
export interface DeviceNode {
  /** Name of the node without unit address, such as `gpio`. */
  readonly name: string;
  /** Its properties, `compatible` first. */
  readonly properties: Readonly<Record<string, DeviceTreeValue>>;
  /** Child nodes, such as what hangs on an I²C bus. */
  readonly children?: Readonly<Record<string, DeviceTreeNode>>;
}

/**
 * What a device is connected to.
 *
 * @example
 * ```ts
 * import { Device, Machine, type DeviceConnection } from "hartbeat";
 *
 * // Keeps what it is connected to.
 * class Probe extends Device {
 *   connection: DeviceConnection | undefined;
 *   constructor() {
 *     super("probe", 4);
 *   }
 *   override connected(): void {
 *     this.connection = { irq: this.irq, clock: this.clock, memory: this.memory };
 *   }
 *   read = () => 0;
 *   write = () => {};
 * }
 * const device = new Probe();
 * await Machine.create({ mmio: [{ address: 0x4000_0000, device }] });
 * console.log(device.connection?.clock.now());
 * ```
 */
export interface DeviceConnection {
  /** Its interrupt wire; does nothing where it was mapped without `irq`. */
  readonly irq: InterruptLine;
  /** Virtual time and alarms. */
  readonly clock: Clock;
  /** Physical memory (DMA). */
  readonly memory: MemoryView;
}

/**
 * A device to extend. While it is mapped, the guest's loads and stores in its range call `read` and `write`; registers and pc of
 * the machine are then exactly those of the instruction. It uses `irq`, `clock` and `memory` once it is mapped.
 *
 * @example
 * ```ts
 * import { Device, Machine } from "hartbeat";
 *
 * // Counts how often it is read.
 * class Reads extends Device {
 *   count = 0;
 *   constructor() {
 *     super("reads", 4, { min: 4, max: 4 });
 *   }
 *   read(): number {
 *     return this.count++;
 *   }
 *   write(): void {
 *     this.count = 0;
 *   }
 * }
 * await Machine.create({ bios: "tests/programs/kernel.elf", mmio: [{ address: 0x4000_0000, device: new Reads(), irq: 20 }] });
 * ```
 */
export abstract class Device {
  /** Name for messages, and of the region in the memory map. */
  readonly name: string;
  /** Length of its registers in bytes. */
  readonly size: number;
  /** Which accesses it answers; others are access faults. All where absent. */
  readonly access?: AccessRule;
  #connection: DeviceConnection | null = null;

  /** `size` in bytes. */
  constructor(name: string, size: number, access?: AccessRule) {
    this.name = name;
    this.size = size;
    if (access !== undefined) this.access = access;
  }

  /** Reads a register; `offset` is a multiple of `width` (1, 2 or 4 bytes). The result is taken modulo 2^(8·width). */
  abstract read(offset: number, width: Width): number;
  /** Writes a register; `value` is unsigned. */
  abstract write(offset: number, width: Width, value: number): void;

  /** Called after the device was mapped. */
  connected(): void {}
  /** Back to the state after power-on: called at every reset of the machine. */
  reset(): void {}
  /** All state, as plain data that can be cloned. */
  snapshot(): unknown {
    return undefined;
  }
  /** Puts back what `snapshot` gave. */
  restore(_state: unknown): void {}
  /** What the device tree says of it; undefined for nothing. Only devices given to `Machine.create` are in the tree. */
  deviceNode(): DeviceNode | undefined {
    return undefined;
  }

  /** For the machine. */
  connect(connection: DeviceConnection): void {
    this.#connection = connection;
    this.connected();
  }
  get #connected(): DeviceConnection {
    if (this.#connection === null) throw new OptionError(`${this.name} is not mapped yet`);
    return this.#connection;
  }
  /** Its interrupt wire. */
  protected get irq(): InterruptLine {
    return this.#connected.irq;
  }
  /** Virtual time. */
  protected get clock(): Clock {
    return this.#connected.clock;
  }
  /** Physical memory, for DMA. */
  protected get memory(): MemoryView {
    return this.#connected.memory;
  }
}

/**
 * A device as functions.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * let last = 0;
 * using _mapping = machine.mmio.map(0x4000_0000, 4, { name: "latch", read: () => last, write: (_offset, _width, value) => last = value });
 * ```
 */
export interface DeviceFunctions {
  /** Name for messages. */
  readonly name?: string;
  /** Which accesses it answers; all where absent. */
  readonly access?: AccessRule;
  /** Reads; 0 where absent. */
  read?(offset: number, width: Width): number;
  /** Writes; ignored where absent. */
  write?(offset: number, width: Width, value: number): void;
  /** Called at every reset of the machine. */
  reset?(): void;
}

/**
 * Where a device is.
 *
 * @example
 * ```ts
 * import { Device, Machine, type DevicePlace } from "hartbeat";
 *
 * // Always 1.
 * class One extends Device {
 *   read = () => 1;
 *   write = () => {};
 * }
 * const place: DevicePlace = { address: 0x4000_0000, device: new One("one", 4), irq: 20 };
 * await Machine.create({ mmio: [place] });
 * ```
 */
export interface DevicePlace {
  /** Physical address of its first byte. */
  readonly address: number | bigint;
  /** The device. */
  readonly device: Device;
  /** Number of its interrupt at the board's interrupt controller. */
  readonly irq?: number;
}

/**
 * A device that can be taken away again.
 *
 * @example
 * ```ts
 * import { Machine, type Mapping } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const mapping: Mapping = machine.mmio.map(0x4000_0000, 4, { read: () => 1 });
 * mapping.remove();
 * ```
 */
export interface Mapping extends Disposable {
  /** Takes the device away: its addresses are again what they were. */
  remove(): void;
}

/** What the map is made of. */
export interface MmioParts {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly memory: MemoryView;
  readonly watchpoints: WatchList;
  readonly interrupts: BoardInterrupts | undefined;
  /** Name of the board. */
  readonly board: string;
  /** What to do with an error of a device. */
  readonly fail: (error: unknown, what: string) => void;
}

/**
 * Where scripts map devices: `machine.mmio`.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * machine.mmio.map(0x4000_0000, 0x100, {
 *   read: (offset) => offset === 0 ? 0x1234 : 0,
 *   write: (offset, width, value) => console.log(offset, width, value),
 * });
 * ```
 */
export class Mmio {
  readonly #parts: MmioParts;
  readonly #devices = new Set<BusDevice>();

  /** For the machine. */
  constructor(parts: MmioParts) {
    this.#parts = parts;
  }

  /**
   * Maps a device; it lies over whatever device or ROM is there.
   *
   * @param address Physical address of its first byte.
   * @throws {OptionError} If it overlaps RAM, or the board has no such interrupt.
   */
  map(address: number | bigint, device: Device, options?: { readonly irq?: number }): Mapping;
  /** Maps functions at `size` bytes. */
  map(address: number | bigint, size: number, device: DeviceFunctions): Mapping;
  /** Either. */
  map(
    address: number | bigint,
    what: Device | number,
    more: DeviceFunctions | { readonly irq?: number } = {},
  ): Mapping {
    const at = Number(address);
    if (typeof what === "number") {
      const { name = `device@${at.toString(16)}`, access, read, write, reset } = more as DeviceFunctions;
      return this.#add(at, {
        name,
        size: what,
        ...(access !== undefined && { access }),
        read: (offset, width) => read?.(offset, width) ?? 0,
        write: (offset, width, value) => write?.(offset, width, value),
        reset: () => reset?.(),
        snapshot: () => undefined,
        restore: () => {},
      });
    }
    const mapping = this.#add(at, what), { irq } = more as { readonly irq?: number };
    what.connect({
      irq: irq === undefined ? { set: () => {} } : this.line(irq),
      clock: this.#guardedClock(what.name),
      memory: this.#parts.memory,
    });
    what.reset();
    return mapping;
  }

  /**
   * The wire of an interrupt of the board's controller (on `virt`, a source of the PLIC).
   *
   * @throws {OptionError} If there is none with this number.
   */
  line(irq: number): InterruptLine {
    const { interrupts, board } = this.#parts;
    if (interrupts === undefined) throw new OptionError(`irq ${irq}: ${board} has no interrupt controller for devices`);
    if (!Number.isInteger(irq) || irq < 1 || irq > interrupts.sources) {
      throw new OptionError(`irq ${irq}: the interrupts of ${board} are 1 to ${interrupts.sources}`);
    }
    return interrupts.line(irq);
  }

  /** Resets all devices. */
  reset(): void {
    for (const device of this.#devices) device.reset();
  }

  /** A device whose errors stop the run. */
  #add(address: number, device: BusDevice): Mapping {
    const { bus, fail, watchpoints } = this.#parts, { base, size } = bus.ram;
    if (!Number.isInteger(device.size) || device.size <= 0 || !Number.isSafeInteger(address) || address < 0) {
      throw new OptionError(`${device.name}: ${device.size} bytes at ${address} are no place for a device`);
    }
    if (address < base + size && address + device.size > base) {
      throw new OptionError(`${device.name}: 0x${address.toString(16)} is in RAM`);
    }
    const guarded: BusDevice = {
      name: device.name,
      size: device.size,
      ...(device.access !== undefined && { access: device.access }),
      read: (offset, width) => {
        try {
          return device.read(offset, width);
        } catch (e) {
          fail(e, `${device.name}, read of offset 0x${offset.toString(16)}`);
          return 0;
        }
      },
      write: (offset, width, value) => {
        try {
          device.write(offset, width, value);
        } catch (e) {
          fail(e, `${device.name}, write of offset 0x${offset.toString(16)}`);
        }
      },
      reset: () => device.reset(),
      snapshot: () => device.snapshot(),
      restore: (state) => device.restore(state),
    };
    bus.addDevice(address, guarded);
    this.#devices.add(guarded);
    // Makes compiled code leave these accesses to the interpreter, so that the device sees all registers.
    const watch = {
      first: BigInt(address),
      last: BigInt(address + device.size - 1),
      space: "physical",
      kinds: 3,
      hit: () => {},
    } as const;
    watchpoints.add(watch);
    const remove = () => {
      if (!this.#devices.delete(guarded)) return;
      bus.removeDevice(guarded);
      watchpoints.remove(watch);
    };
    return { remove, [Symbol.dispose]: remove };
  }

  #guardedClock(name: string): Clock {
    const { clock, fail } = this.#parts;
    return {
      now: () => clock.now(),
      alarm: (expire): Alarm =>
        clock.alarm(() => {
          try {
            expire();
          } catch (e) {
            fail(e, `${name}, alarm`);
          }
        }),
    };
  }
}

/** The nodes that devices want, by name with unit address, for `/soc`. */
export function deviceNodes(
  places: readonly DevicePlace[],
  interrupts: BoardInterrupts | undefined,
): Record<string, DeviceTreeNode> {
  const nodes: Record<string, DeviceTreeNode> = {};
  for (const { address, device, irq } of places) {
    const node = device.deviceNode();
    if (node === undefined) continue;
    nodes[`${node.name}@${address.toString(16)}`] = {
      properties: {
        ...node.properties,
        "reg": cells64(address, device.size),
        ...(irq !== undefined && interrupts !== undefined && {
          "interrupts": irq,
          "interrupt-parent": { reference: interrupts.path },
        }),
      },
      ...(node.children !== undefined && { children: node.children }),
    };
  }
  return nodes;
}

/** The tree with nodes in `/soc`. */
export function withSocNodes(tree: DeviceTreeNode, nodes: Readonly<Record<string, DeviceTreeNode>>): DeviceTreeNode {
  const { children = {} } = tree, soc = children["soc"];
  if (soc === undefined || Object.keys(nodes).length === 0) return tree;
  return { ...tree, children: { ...children, soc: { ...soc, children: { ...soc.children, ...nodes } } } };
}
