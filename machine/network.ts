// The network as scripts see it: the other end of a guest's network card, and a hub that joins cards of one machine or of several.

/**
 * A network card, as its cable sees it.
 *
 * @example
 * ```ts
 * import { Machine, type NetworkCard } from "hartbeat";
 *
 * // A card of your own at the end of a cable.
 * const card: NetworkCard = { receive: (packet) => console.log(packet.length), backend: null };
 * const machine = await Machine.create({
 *   netdevs: [{ id: "n0" }],
 *   devices: [{ driver: "virtio-net-device", netdev: "n0" }],
 * });
 * const port = machine.net("n0");
 * port.plug(card);
 * port.send(new Uint8Array(60));
 * ```
 */
export interface NetworkCard {
  /** Takes a frame. */
  receive(packet: Uint8Array): void;
  /** Who gets the frames that the guest sends. */
  backend: { transmit(packet: Uint8Array): void } | null;
}

/**
 * The other end of a network card's cable.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * await using machine = await Machine.create({
 *   netdevs: [{ id: "n0" }],
 *   devices: [{ driver: "virtio-net-device", netdev: "n0" }],
 * });
 * const port = machine.net("n0");
 * port.onPacket = (packet) => port.send(packet); // everything comes back
 * ```
 */
export class NetworkPort {
  /** The `id` of the netdev. */
  readonly id: string;
  #card: NetworkCard | undefined;
  /** Called when a frame has come for the guest, so that a waiting machine looks at it. */
  onArrival: () => void = () => {};
  /** Called with each Ethernet frame that the guest sends, from its destination address on, without checksum. */
  onPacket: ((packet: Uint8Array) => void) | null = null;
  /** Where frames go besides to `onPacket`. */
  #hub: NetworkHub | undefined;

  /** A port without a card, as yet. */
  constructor(id: string) {
    this.id = id;
  }

  /** Plugs it into a card. */
  plug(card: NetworkCard): void {
    this.#card = card;
    card.backend = {
      transmit: (packet) => {
        this.onPacket?.(packet);
        this.#hub?.carry(packet, this);
      },
    };
  }

  /** Whether a card is at the other end. */
  get plugged(): boolean {
    return this.#card !== undefined;
  }

  /** Sends a frame to the guest. One that it has no buffers for waits, up to 256 of them; further ones are lost. */
  send(packet: Uint8Array): void {
    this.#card?.receive(packet);
    this.onArrival();
  }

  /** Connects it to a hub, in place of the one before. */
  connect(hub: NetworkHub): void {
    this.#hub?.remove(this);
    this.#hub = hub;
    hub.add(this);
  }
}

/**
 * Joins network cards: what one sends, all others get, in the order in which they were connected. Machines that share a hub are
 * run in turns (`run({ maxVirtualSeconds })`, so that their clocks keep together), and the same turns give the same result.
 *
 * @example
 * ```ts
 * import { Machine, NetworkHub } from "hartbeat";
 *
 * const hub = new NetworkHub();
 * const options = { netdevs: [{ id: "n0", hub }], devices: [{ driver: "virtio-net-device", netdev: "n0" }] };
 * const [client, server] = await Promise.all([Machine.create(options), Machine.create(options)]);
 * hub.onPacket = (packet) => console.log(packet.length);
 * for (const machine of [client, server]) await machine.run({ maxInstructions: 1000 });
 * ```
 */
export class NetworkHub {
  #ports: NetworkPort[] = [];
  /** Called with each frame that passes, and the port that it comes from. */
  onPacket: ((packet: Uint8Array, from: NetworkPort) => void) | null = null;

  /** Connects a port; `port.connect(hub)` is the same. */
  add(port: NetworkPort): void {
    if (!this.#ports.includes(port)) this.#ports.push(port);
  }
  /** Takes a port away. */
  remove(port: NetworkPort): void {
    this.#ports = this.#ports.filter((other) => other !== port);
  }
  /** Gives a frame to all ports but one. */
  carry(packet: Uint8Array, from: NetworkPort): void {
    this.onPacket?.(packet, from);
    for (const port of this.#ports) if (port !== from) port.send(packet);
  }
}
