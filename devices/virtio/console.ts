// The virtio console with its ports: Virtual I/O Device (VIRTIO) 1.2, section 5.3; as QEMU 7.2's virtio-serial-device with virtconsole
// and virtserialport where that leaves room.

import type { Alarm, Clock } from "../device.ts";
import { type VirtioConnection, VirtioDevice } from "./device.ts";
import { type Chain, QueueError, type Virtqueue } from "./queue.ts";

/** What is at the outer end of a port. */
export interface PortBackend {
  /** Takes each byte that the guest writes. */
  transmit(byte: number): void;
  /** Called when the port can take bytes again. */
  receiverReady(): void;
}

/** A port of a console device. */
export interface PortSettings {
  /** Number of the port. */
  readonly number: number;
  /** Whether it is a console (virtconsole, hvc in Linux) or a plain channel (virtserialport, vport in Linux). */
  readonly isConsole: boolean;
  /** Name by which Linux's /dev/virtio-ports knows it. */
  readonly name?: string;
  /** Absent: what the guest writes is thrown away. */
  readonly backend?: PortBackend;
}

const MULTIPORT = 1n << 1n, EMERGENCY_WRITE = 1n << 2n;
const DEVICE_ID = 3, QUEUE_SIZE = 128, CONFIG_SIZE = 12, EMERGENCY_AT = 8;
const CONTROL_IN = 2, CONTROL_OUT = 3;
// Events (5.3.6.2).
const DEVICE_READY = 0, DEVICE_ADD = 1, PORT_READY = 3, CONSOLE_PORT = 4, PORT_OPEN = 6, PORT_NAME = 7;
const CONTROL_SIZE = 8;
/** Most bytes that a port takes before the guest has seen them, and control messages that wait for buffers. */
const MOST_INPUT = 4096, MOST_MESSAGES = 256;

/** One port, seen from outside: a receiver of bytes, as the console of a machine wants it. */
export class VirtioPort {
  readonly settings: PortSettings;
  readonly #device: VirtioConsole;
  /** Whether a program in the guest has it open. */
  guestOpen = false;
  /** Bytes that wait to be written into the guest's buffers. */
  input: number[] = [];

  constructor(device: VirtioConsole, settings: PortSettings) {
    this.#device = device;
    this.settings = settings;
  }

  /** How many bytes it can take now. */
  receiverSpace(): number {
    return this.#device.roomFor(this);
  }
  /** Gives it a byte. */
  receive(byte: number): void {
    this.input.push(byte);
    this.#device.wake();
  }
}

/** A console device. */
export class VirtioConsole extends VirtioDevice {
  readonly deviceId = DEVICE_ID;
  protected readonly queueSizes: readonly number[];
  readonly #maxPorts: number;
  readonly #emergencyWrite: boolean;
  readonly #ports = new Map<number, VirtioPort>();
  #messages: Uint8Array[] = [];
  #clock!: Clock;
  #alarm!: Alarm;

  /** `maxPorts`: as many ports as can be added, 1 to 31. */
  constructor(maxPorts = 31, emergencyWrite = true) {
    super();
    this.#maxPorts = maxPorts;
    this.#emergencyWrite = emergencyWrite;
    // In and out for port 0, for control, and for the other ports.
    this.queueSizes = new Array<number>(2 * (maxPorts + 1)).fill(QUEUE_SIZE);
  }

  /** The ports by number. */
  get ports(): ReadonlyMap<number, VirtioPort> {
    return this.#ports;
  }
  /** How many ports there can be. */
  get maxPorts(): number {
    return this.#maxPorts;
  }

  /** Adds a port, before the machine runs. */
  addPort(settings: PortSettings): VirtioPort {
    const port = new VirtioPort(this, settings);
    this.#ports.set(settings.number, port);
    return port;
  }

  protected override connected({ clock }: VirtioConnection): void {
    this.#clock = clock;
    this.#alarm = clock.alarm(() => this.#deliver());
  }

  protected ownFeatures(): bigint {
    return MULTIPORT | (this.#emergencyWrite ? EMERGENCY_WRITE : 0n);
  }

  /** `virtio_console_config`: no size of a window, so both are 0. */
  override configuration(): Uint8Array {
    const bytes = new Uint8Array(CONFIG_SIZE);
    new DataView(bytes.buffer).setUint32(4, this.#maxPorts, true);
    return bytes;
  }
  /** A write to `emerg_wr` goes to the first port at once (5.3.4). */
  override configure(configuration: Uint8Array): void {
    const byte = configuration[EMERGENCY_AT]!;
    const port = [...this.#ports.values()].find(({ settings }) => settings.isConsole);
    if (this.#emergencyWrite && byte !== 0) port?.settings.backend?.transmit(byte);
  }

  /** The queue by which bytes reach the guest, and the one by which they leave it. */
  #queueOf({ settings: { number } }: VirtioPort): { into: Virtqueue; out: number } {
    const first = number === 0 ? 0 : 2 * (number + 1);
    return { into: this.queues[first]!, out: first + 1 };
  }
  #isOpen(port: VirtioPort): boolean {
    return this.has(MULTIPORT) ? port.guestOpen : this.running && port.settings.number === 0;
  }

  /** How many more bytes a port can take. */
  roomFor(port: VirtioPort): number {
    if (!this.#isOpen(port) || this.failure !== undefined) return 0;
    const room = this.guard(() => this.#queueOf(port).into.room(MOST_INPUT)) ?? 0;
    return Math.max(0, room - port.input.length);
  }
  /** Lets the input that has come be delivered, all at once. */
  wake(): void {
    this.#alarm.set(this.#clock.now());
  }

  #deliver(): void {
    for (const port of this.#ports.values()) {
      if (port.input.length === 0 || this.failure !== undefined) continue;
      const { into } = this.#queueOf(port);
      this.guard(() =>
        this.drain(into, (chain) => {
          if (port.input.length === 0) return undefined;
          return chain.write(Uint8Array.from(port.input.splice(0, chain.inLength)));
        })
      );
    }
  }

  protected notified(index: number, queue: Virtqueue): void {
    if (index === CONTROL_OUT) this.drain(queue, (chain) => this.#control(chain));
    else if (index === CONTROL_IN) this.#sendMessages();
    else {
      for (const port of this.#ports.values()) {
        const { into, out } = this.#queueOf(port);
        if (into === queue) port.settings.backend?.receiverReady();
        else if (out === index) return void this.drain(queue, (chain) => this.#write(port, chain));
      }
      // A queue of no port.
      if (index % 2 === 1) this.drain(queue, () => 0);
    }
  }

  #write({ settings: { backend } }: VirtioPort, chain: Chain): number {
    if (backend !== undefined) {
      for (const { bytes } of chain.out) for (const byte of bytes) backend.transmit(byte);
    }
    return 0;
  }

  /** A control message of the guest. */
  #control(chain: Chain): number {
    const bytes = chain.read(0, CONTROL_SIZE);
    if (bytes.length < CONTROL_SIZE) return 0;
    const view = new DataView(bytes.buffer), port = this.#ports.get(view.getUint32(0, true));
    const event = view.getUint16(4, true), value = view.getUint16(6, true);
    if (event === DEVICE_READY) {
      if (value === 1) { for (const number of this.#ports.keys()) this.#send(number, DEVICE_ADD, 1); }
    } else if (port !== undefined && event === PORT_READY) this.#introduce(port);
    else if (port !== undefined && event === PORT_OPEN) {
      port.guestOpen = value !== 0;
      if (port.guestOpen) port.settings.backend?.receiverReady();
    }
    return 0;
  }

  #introduce({ settings: { number, isConsole, name, backend } }: VirtioPort): void {
    if (isConsole) this.#send(number, CONSOLE_PORT, 1);
    if (name !== undefined) this.#send(number, PORT_NAME, 1, name);
    if (isConsole || backend !== undefined) this.#send(number, PORT_OPEN, 1);
  }

  #send(port: number, event: number, value: number, text = ""): void {
    const name = text === "" ? new Uint8Array() : new TextEncoder().encode(`${text}\0`);
    const bytes = new Uint8Array(CONTROL_SIZE + name.length), view = new DataView(bytes.buffer);
    view.setUint32(0, port, true);
    view.setUint16(4, event, true);
    view.setUint16(6, value, true);
    bytes.set(name, CONTROL_SIZE);
    if (this.#messages.length < MOST_MESSAGES) this.#messages.push(bytes);
    this.#sendMessages();
  }
  #sendMessages(): void {
    const queue = this.queues[CONTROL_IN]!;
    if (!queue.ready) return;
    this.drain(queue, (chain) => {
      const message = this.#messages[0];
      if (message === undefined) return undefined;
      if (chain.inLength < message.length) throw new QueueError("virtio-serial control buffer too short");
      this.#messages.shift();
      return chain.write(message);
    });
  }

  protected override statusChanged(): void {
    if (this.running) { for (const port of this.#ports.values()) port.settings.backend?.receiverReady(); }
  }

  protected override resetOwn(): void {
    this.#messages = [];
    for (const port of this.#ports.values()) {
      port.guestOpen = false;
      port.input = [];
    }
    this.#alarm?.cancel();
  }

  protected override snapshotOwn(): unknown {
    const ports = [...this.#ports.values()].map(({ guestOpen, input }) => ({ guestOpen, input: [...input] }));
    return { messages: this.#messages.map((message) => message.slice()), ports };
  }
  protected override restoreOwn(own: unknown): void {
    const saved = own as { messages: Uint8Array[]; ports: { guestOpen: boolean; input: number[] }[] };
    this.#messages = saved.messages.map((message) => message.slice());
    [...this.#ports.values()].forEach((port, k) => {
      port.guestOpen = saved.ports[k]!.guestOpen;
      port.input = [...saved.ports[k]!.input];
    });
    this.wake();
  }
}
