// The virtio network card: Virtual I/O Device (VIRTIO) 1.2, section 5.1; as QEMU 7.2's virtio-net-device without offloads, which is how
// it is on a hub there.

import { RING_FEATURE } from "./queue.ts";
import { type Chain, QueueError, type Virtqueue } from "./queue.ts";
import { VirtioDevice } from "./device.ts";

/** What the card is connected to. */
export interface NetworkBackend {
  /** Takes each packet that the guest sends: an Ethernet frame from its destination address on, without checksum. */
  transmit(packet: Uint8Array): void;
}

// Features (5.1.3).
const CTRL_GUEST_OFFLOADS = 1n << 2n, MAC = 1n << 5n, GSO = 1n << 6n, MERGEABLE_BUFFERS = 1n << 15n, STATUS = 1n << 16n;
const CTRL_QUEUE = 1n << 17n, CTRL_RX = 1n << 18n, CTRL_VLAN = 1n << 19n, CTRL_RX_EXTRA = 1n << 20n;
const GUEST_ANNOUNCE = 1n << 21n, CTRL_MAC = 1n << 23n;

const DEVICE_ID = 1, RECEIVE = 0, TRANSMIT = 1, RING_SIZE = 256, CONTROL_SIZE = 64;
const HEADER_SIZE = 12, OLD_HEADER_SIZE = 10, BUFFER_COUNT_AT = 10;
const CONFIG_SIZE = 8, LINK_UP = 1;
/** Longest packet that is carried (QEMU's NET_BUFSIZE), and how many wait until the guest has buffers. */
const MAX_PACKET = 4096 + 65536, MAX_WAITING = 256;
/** Most addresses of the filter (QEMU's MAC_TABLE_ENTRIES). */
const MAX_ADDRESSES = 64;

// Commands (5.1.6.5).
const CLASS_RX = 0, CLASS_MAC = 1, CLASS_VLAN = 2, CLASS_ANNOUNCE = 3, CLASS_OFFLOADS = 5;
const MAC_TABLE_SET = 0, MAC_ADDRESS_SET = 1, VLAN_ADD = 0, VLAN_DELETE = 1;
const ACK_OK = 0, ACK_ERROR = 1;
/** Order of the switches of `CLASS_RX`. */
const SWITCHES = ["promiscuous", "allMulticast", "allUnicast", "noMulticast", "noUnicast", "noBroadcast"] as const;

/** Which packets the guest wants. */
interface Filter {
  readonly switches: Record<typeof SWITCHES[number], boolean>;
  /** Addresses besides its own, as hexadecimal text. */
  unicast: string[];
  multicast: string[];
  /** VLANs that it wants. */
  readonly vlans: Set<number>;
}

function openFilter(): Filter {
  return {
    switches: {
      promiscuous: true,
      allMulticast: false,
      allUnicast: false,
      noMulticast: false,
      noUnicast: false,
      noBroadcast: false,
    },
    unicast: [],
    multicast: [],
    vlans: new Set(),
  };
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** A network card. */
export class VirtioNetwork extends VirtioDevice {
  readonly deviceId = DEVICE_ID;
  protected readonly queueSizes: readonly number[] = [RING_SIZE, RING_SIZE, CONTROL_SIZE];
  readonly #ownAddress: Uint8Array;
  #address: Uint8Array;
  /** Who gets what the guest sends; may be set later. */
  backend: NetworkBackend | null = null;
  /** Packets that wait for buffers of the guest. */
  #waiting: Uint8Array[] = [];
  #filter: Filter = openFilter();

  /** `address`: the six bytes of its MAC address. */
  constructor(address: Uint8Array) {
    super();
    this.#ownAddress = address.slice();
    this.#address = address.slice();
  }

  protected ownFeatures(legacy: boolean): bigint {
    return CTRL_GUEST_OFFLOADS | MAC | (legacy ? GSO : 0n) | MERGEABLE_BUFFERS | STATUS | CTRL_QUEUE | CTRL_RX |
      CTRL_VLAN | CTRL_RX_EXTRA | GUEST_ANNOUNCE | CTRL_MAC;
  }

  /** Address and link status. */
  override configuration(): Uint8Array {
    const bytes = new Uint8Array(CONFIG_SIZE);
    bytes.set(this.#address);
    bytes[6] = LINK_UP;
    return bytes;
  }
  /** A driver of the legacy interface sets the address here (5.1.4.3). */
  override configure(configuration: Uint8Array): void {
    if (!this.has(CTRL_MAC) && !this.has(RING_FEATURE.version1)) this.#address = configuration.slice(0, 6);
  }

  get #headerSize(): number {
    return this.has(RING_FEATURE.version1) || this.has(MERGEABLE_BUFFERS) ? HEADER_SIZE : OLD_HEADER_SIZE;
  }

  protected notified(index: number, queue: Virtqueue): void {
    if (index === RECEIVE) this.#deliver();
    else if (index === TRANSMIT) {
      if (this.running) this.drain(queue, (chain) => this.#transmit(chain));
    } else this.drain(queue, (chain) => this.#control(chain));
  }

  #transmit(chain: Chain): number {
    if (chain.out.length === 0) throw new QueueError("virtio-net header not in first element");
    const start = this.#headerSize, length = chain.outLength - start;
    if (length < 0) throw new QueueError("virtio-net header incorrect");
    if (length > 0 && length <= MAX_PACKET) this.backend?.transmit(chain.read(start));
    return 0;
  }

  /** A packet from outside. One that the guest has no buffers for waits; when too many do, it is lost. */
  receive(packet: Uint8Array): void {
    if (packet.length === 0 || packet.length > MAX_PACKET || this.#waiting.length >= MAX_WAITING) return;
    this.#waiting.push(packet.slice());
    this.#deliver();
  }

  #deliver(): void {
    const queue = this.queues[RECEIVE]!;
    if (!this.running || !queue.ready || this.failure !== undefined) return;
    let delivered = false;
    this.guard(() => {
      while (this.#waiting.length > 0) {
        const packet = this.#waiting[0]!;
        if (this.#wanted(packet)) {
          if (!this.#fill(queue, packet)) break;
          delivered = true;
        }
        this.#waiting.shift();
      }
    });
    if (delivered) this.interruptFor(queue);
  }

  /** Writes a packet into buffers of the guest; false if it has not enough. */
  #fill(queue: Virtqueue, packet: Uint8Array): boolean {
    const headerSize = this.#headerSize, mergeable = this.has(MERGEABLE_BUFFERS);
    const bytes = new Uint8Array(headerSize + packet.length);
    bytes.set(packet, headerSize);
    if (mergeable && queue.room(bytes.length) < bytes.length) return false;
    if (!mergeable && queue.empty) return false;
    const chains: { chain: Chain; written: number }[] = [];
    for (let at = 0; at < bytes.length;) {
      const chain = queue.take();
      if (chain === undefined) break;
      if (chain.inLength === 0) throw new QueueError("virtio-net receive queue contains no in buffers");
      const written = chain.write(bytes.subarray(at));
      at += written;
      if (!mergeable && at < bytes.length) {
        // Too long for the guest's buffer: the packet is lost, the buffer is not.
        queue.untake();
        return true;
      }
      chains.push({ chain, written });
    }
    if (headerSize === HEADER_SIZE) {
      chains[0]!.chain.write(Uint8Array.of(chains.length, chains.length >>> 8), BUFFER_COUNT_AT);
    }
    for (const { chain, written } of chains) queue.give(chain.head, written);
    return true;
  }

  /** Whether the guest wants a packet. */
  #wanted(packet: Uint8Array): boolean {
    const { switches, unicast, multicast, vlans } = this.#filter;
    if (switches.promiscuous) return true;
    if (packet.length < 14) return false;
    if (packet[12] === 0x81 && packet[13] === 0x00 && !vlans.has((packet[14]! << 8 | packet[15]!) & 0xfff)) {
      return false;
    }
    const to = hex(packet.subarray(0, 6));
    if (to === "ff:ff:ff:ff:ff:ff") return !switches.noBroadcast;
    if ((packet[0]! & 1) !== 0) {
      return !switches.noMulticast && (switches.allMulticast || multicast.includes(to));
    }
    return !switches.noUnicast && (switches.allUnicast || to === hex(this.#address) || unicast.includes(to));
  }

  #control(chain: Chain): number {
    if (chain.inLength < 1 || chain.outLength < 2) throw new QueueError("virtio-net ctrl missing headers");
    const [category, command] = chain.read(0, 2) as unknown as [number, number];
    const good = this.#command(category, command, chain.read(2, 1 << 16));
    chain.write(Uint8Array.of(good ? ACK_OK : ACK_ERROR));
    return 1;
  }

  #command(category: number, command: number, data: Uint8Array): boolean {
    const { switches, vlans } = this.#filter;
    switch (category) {
      case CLASS_RX: {
        const name = SWITCHES[command];
        if (name === undefined || data.length < 1) return false;
        switches[name] = data[0] !== 0;
        return true;
      }
      case CLASS_MAC:
        if (command === MAC_TABLE_SET) return this.#setTable(data);
        if (command !== MAC_ADDRESS_SET || data.length !== 6) return false;
        this.#address = data.slice();
        return true;
      case CLASS_VLAN: {
        if (data.length < 2) return false;
        const vlan = data[0]! | data[1]! << 8;
        if (vlan >= 4096) return false;
        if (command === VLAN_ADD) vlans.add(vlan);
        else if (command === VLAN_DELETE) vlans.delete(vlan);
        else return false;
        return true;
      }
      case CLASS_OFFLOADS:
        // None is offered, so none can be switched on.
        return command === 0 && data.length >= 8 && data.subarray(0, 8).every((byte) => byte === 0);
      case CLASS_ANNOUNCE: // There is nothing to acknowledge.
      default:
        return false;
    }
  }

  /** The unicast and then the multicast addresses that the guest wants; of too many, all. */
  #setTable(data: Uint8Array): boolean {
    const view = new DataView(data.buffer, data.byteOffset, data.length), lists: string[][] = [];
    let at = 0;
    for (let list = 0; list < 2; list++) {
      if (at + 4 > data.length) return false;
      const count = view.getUint32(at, true);
      at += 4;
      if (at + 6 * count > data.length) return false;
      lists.push(Array.from({ length: count }, (_, k) => hex(data.subarray(at + 6 * k, at + 6 * k + 6))));
      at += 6 * count;
    }
    const { switches } = this.#filter;
    const [unicast, multicast] = lists as [string[], string[]];
    this.#filter.unicast = unicast.slice(0, MAX_ADDRESSES);
    this.#filter.multicast = multicast.slice(0, MAX_ADDRESSES);
    if (unicast.length > MAX_ADDRESSES) switches.allUnicast = true;
    if (multicast.length > MAX_ADDRESSES) switches.allMulticast = true;
    return true;
  }

  protected override statusChanged(): void {
    if (this.running) this.#deliver();
  }

  protected override resetOwn(): void {
    this.#address = this.#ownAddress.slice();
    this.#filter = openFilter();
    this.#waiting = [];
  }

  protected override snapshotOwn(): unknown {
    return structuredClone({ address: this.#address, filter: this.#filter, waiting: this.#waiting });
  }
  protected override restoreOwn(own: unknown): void {
    const saved = structuredClone(own) as { address: Uint8Array; filter: Filter; waiting: Uint8Array[] };
    this.#address = saved.address;
    this.#filter = saved.filter;
    this.#waiting = saved.waiting;
  }
}
