// The virtio transport of the `virt` board: memory-mapped registers of one device, or of none. Virtual I/O Device (VIRTIO) 1.2,
// section 4.2; the legacy interface is 4.2.4. What neither settles is as in QEMU 7.2 (hw/virtio/virtio-mmio.c).

import type { Clock, Device, DirectMemory, InterruptLine, Width } from "../device.ts";
import { STATUS, type VirtioDevice } from "./device.ts";
import { MAX_QUEUE_SIZE } from "./queue.ts";

/** What a `VirtioMmio` is connected to. */
export interface VirtioMmioOptions {
  /** Name for messages, e.g. `virtio_mmio@10001000`. */
  readonly name: string;
  readonly irq: InterruptLine;
  readonly memory: DirectMemory;
  readonly clock: Clock;
  /** The device behind it; absent: the transport is there, with device ID 0. */
  readonly device?: VirtioDevice;
  /** Whether it is a legacy transport (version 1) and not a modern one (version 2). */
  readonly legacy: boolean;
}

// Register offsets (table 4.1, and table 4.2 for the legacy interface).
const MAGIC_VALUE = 0x000, VERSION = 0x004, DEVICE_ID = 0x008, VENDOR_ID = 0x00c;
const DEVICE_FEATURES = 0x010, DEVICE_FEATURES_SEL = 0x014, DRIVER_FEATURES = 0x020, DRIVER_FEATURES_SEL = 0x024;
const GUEST_PAGE_SIZE = 0x028;
const QUEUE_SEL = 0x030, QUEUE_NUM_MAX = 0x034, QUEUE_NUM = 0x038, QUEUE_ALIGN = 0x03c, QUEUE_PFN = 0x040;
const QUEUE_READY = 0x044, QUEUE_NOTIFY = 0x050;
const INTERRUPT_STATUS = 0x060, INTERRUPT_ACK = 0x064, DEVICE_STATUS = 0x070;
const QUEUE_DESC = 0x080, QUEUE_DRIVER = 0x090, QUEUE_DEVICE = 0x0a0;
const SHM_LEN_LOW = 0x0b0, SHM_LEN_HIGH = 0x0b4, QUEUE_RESET = 0x0c0;
const CONFIG_GENERATION = 0x0fc, CONFIG = 0x100;

const MAGIC = 0x7472_6976, LEGACY_VERSION = 1, MODERN_VERSION = 2, VENDOR = 0x554d_4551;
/** The queue selector takes what is below. */
const QUEUES = 1024;

/** A queue as its registers describe it before it is ready. */
interface QueueRegisters {
  size: number;
  /** Low and high halves of the addresses of descriptors, available and used ring. */
  addresses: number[];
  ready: boolean;
}

interface State {
  deviceFeaturesSelect: 0 | 1;
  driverFeaturesSelect: 0 | 1;
  driverFeatures: [number, number];
  /** log2 of the unit of QueuePFN. */
  pageShift: number;
  /** By queue, for those that were touched. */
  queues: Map<number, QueueRegisters>;
}

function powerOn(): State {
  return {
    deviceFeaturesSelect: 0,
    driverFeaturesSelect: 0,
    driverFeatures: [0, 0],
    pageShift: 0,
    queues: new Map(),
  };
}

/** A virtio-mmio transport. */
export class VirtioMmio implements Device {
  /** Name for messages. */
  readonly name: string;
  /** Length of the register block, as in QEMU; the device tree says 0x1000. */
  readonly size = 0x200;
  readonly #irq: InterruptLine;
  readonly #device: VirtioDevice | undefined;
  readonly #legacy: boolean;
  #state: State = powerOn();

  /** Connects transport and device, both in the state after power-on. */
  constructor(options: VirtioMmioOptions) {
    this.name = options.name;
    this.#irq = options.irq;
    this.#device = options.device;
    this.#legacy = options.legacy;
    this.#device?.connect({
      memory: options.memory,
      clock: options.clock,
      legacy: options.legacy,
      interruptChanged: () => this.#irq.set(this.#device!.interrupts !== 0),
    });
  }

  /** Registers of the selected queue. */
  #queue(): QueueRegisters {
    const { queues } = this.#state, { selected } = this.#device!;
    let queue = queues.get(selected);
    if (queue === undefined) queues.set(selected, queue = { size: 0, addresses: [0, 0, 0, 0, 0, 0], ready: false });
    return queue;
  }

  /** Reads a register. Those that can only be written, and widths other than a word, read as 0. */
  read(offset: number, width: Width): number {
    const device = this.#device;
    if (device === undefined) {
      if (offset === MAGIC_VALUE) return MAGIC;
      if (offset === VERSION) return this.#version;
      return offset === VENDOR_ID ? VENDOR : 0;
    }
    if (offset >= CONFIG) return this.#readConfiguration(device, offset - CONFIG, width);
    if (width !== 4) return 0;
    switch (offset) {
      case MAGIC_VALUE:
        return MAGIC;
      case VERSION:
        return this.#version;
      case DEVICE_ID:
        return device.deviceId;
      case VENDOR_ID:
        return VENDOR;
      case DEVICE_FEATURES:
        return Number(BigInt.asUintN(32, device.offered >> BigInt(32 * this.#state.deviceFeaturesSelect)));
      case QUEUE_NUM_MAX:
        return (device.queues[device.selected]?.size ?? 0) === 0 ? 0 : MAX_QUEUE_SIZE;
      case QUEUE_PFN:
        if (!this.#legacy) return 0;
        return Math.floor((device.queues[device.selected]?.descriptors ?? 0) / 2 ** this.#state.pageShift);
      case QUEUE_READY:
        return !this.#legacy && this.#queue().ready ? 1 : 0;
      case INTERRUPT_STATUS:
        return device.interrupts;
      case DEVICE_STATUS:
        return device.status;
      case CONFIG_GENERATION:
        return this.#legacy ? 0 : device.generation;
      case SHM_LEN_LOW:
      case SHM_LEN_HIGH:
        return -1; // No shared memory.
      default:
        return 0;
    }
  }

  get #version(): number {
    return this.#legacy ? LEGACY_VERSION : MODERN_VERSION;
  }

  #readConfiguration(device: VirtioDevice, offset: number, width: Width): number {
    const bytes = device.configuration();
    if (offset + width > bytes.length) return -1;
    let value = 0;
    for (let k = 0; k < width; k++) value |= bytes[offset + k]! << 8 * k;
    return value;
  }

  /** Writes a register. What can only be read, and widths other than a word, are ignored. */
  write(offset: number, width: Width, value: number): void {
    const device = this.#device, state = this.#state;
    if (device === undefined) return;
    if (offset >= CONFIG) return this.#writeConfiguration(device, offset - CONFIG, width, value);
    if (width !== 4) return;
    switch (offset) {
      case DEVICE_FEATURES_SEL:
        state.deviceFeaturesSelect = value === 0 ? 0 : 1;
        break;
      case DRIVER_FEATURES_SEL:
        state.driverFeaturesSelect = value === 0 ? 0 : 1;
        break;
      case DRIVER_FEATURES:
        if (!this.#legacy) state.driverFeatures[state.driverFeaturesSelect] = value;
        else if (state.driverFeaturesSelect === 0) device.features = BigInt(value);
        break;
      case QUEUE_SEL:
        if (value < QUEUES) device.selected = value;
        break;
      case QUEUE_NUM:
        device.setUp((queue) => {
          queue.size = value;
          if (this.#legacy) queue.relayLegacy();
        });
        if (!this.#legacy) this.#queue().size = value;
        break;
      case QUEUE_NOTIFY:
        device.notify(value);
        break;
      case INTERRUPT_ACK:
        device.acknowledge(value);
        break;
      case DEVICE_STATUS:
        this.#writeStatus(device, value & 0xff);
        break;
      default:
        if (this.#legacy) this.#writeLegacy(device, offset, value);
        else this.#writeModern(device, offset, value);
    }
  }

  #writeConfiguration(device: VirtioDevice, offset: number, width: Width, value: number): void {
    const bytes = device.configuration();
    if (offset + width > bytes.length) return;
    for (let k = 0; k < width; k++) bytes[offset + k] = value >>> 8 * k;
    device.configure(bytes);
  }

  #writeStatus(device: VirtioDevice, value: number): void {
    if (!this.#legacy && (value & STATUS.featuresOk) !== 0) {
      const [low, high] = this.#state.driverFeatures;
      device.features = BigInt(high) << 32n | BigInt(low);
    }
    device.status = value;
    if (value !== 0) return;
    device.reset();
    for (const queue of this.#state.queues.values()) queue.ready = false;
  }

  #writeLegacy(device: VirtioDevice, offset: number, value: number): void {
    switch (offset) {
      case GUEST_PAGE_SIZE:
        this.#state.pageShift = value === 0 ? 0 : 31 - Math.clz32(value & -value);
        break;
      case QUEUE_ALIGN:
        device.setUp((queue) => {
          queue.align = value;
          queue.relayLegacy();
        });
        break;
      case QUEUE_PFN:
        if (value === 0) device.reset();
        else device.setUp((queue) => queue.placeLegacy(value * 2 ** this.#state.pageShift));
        break;
    }
  }

  #writeModern(device: VirtioDevice, offset: number, value: number): void {
    const queue = this.#queue();
    switch (offset) {
      case QUEUE_READY:
        queue.ready = value !== 0;
        device.setUp((target) => {
          if (!queue.ready) return target.unplace();
          target.size = queue.size;
          const address = (part: number) => queue.addresses[2 * part + 1]! * 2 ** 32 + queue.addresses[2 * part]!;
          target.place(address(0), address(1), address(2));
        });
        break;
      case QUEUE_RESET:
        if (value === 0) break;
        queue.ready = false;
        device.resetQueue();
        break;
      case QUEUE_DESC:
      case QUEUE_DESC + 4:
        queue.addresses[offset - QUEUE_DESC >> 2] = value;
        break;
      case QUEUE_DRIVER:
      case QUEUE_DRIVER + 4:
        queue.addresses[2 + (offset - QUEUE_DRIVER >> 2)] = value;
        break;
      case QUEUE_DEVICE:
      case QUEUE_DEVICE + 4:
        queue.addresses[4 + (offset - QUEUE_DEVICE >> 2)] = value;
        break;
    }
  }

  /** Back to the state after power-on, with the device behind it. */
  reset(): void {
    this.#state = powerOn();
    this.#device?.reset();
  }

  /** All registers, and the device's state. */
  snapshot(): unknown {
    return { ...structuredClone(this.#state), device: this.#device?.snapshot() };
  }

  /** Puts back what `snapshot` gave. */
  restore(saved: unknown): void {
    const { device, ...state } = saved as State & { device: unknown };
    this.#state = structuredClone(state);
    this.#device?.restore(device);
  }
}
