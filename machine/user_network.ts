// The network of `-netdev user` as far as it goes without the host's: a small network in which a router and a name server answer, and nothing
// else is reachable. Addresses and behaviour are those of QEMU's ("Using the user mode network stack"); the formats are those of RFC 826 (ARP),
// 791 (IPv4), 792 (ICMP), 768 (UDP), 9293 (TCP), 2131 and 2132 (DHCP), 1035 (DNS).

import type { NetworkCard } from "./network.ts";
import { OptionError } from "./errors.ts";

/**
 * What a user network may be told; all by QEMU's names, addresses as dotted decimals.
 *
 * @example
 * ```ts
 * import { Machine, type UserNetworkOptions } from "hartbeat";
 *
 * const user: UserNetworkOptions = { net: "192.168.7.0/24", hostname: "guest" };
 * await using machine = await Machine.create({
 *   netdevs: [{ id: "n0", user }],
 *   devices: [{ driver: "virtio-net-device", netdev: "n0" }],
 * });
 * console.log(machine.net("n0").id);
 * ```
 */
export interface UserNetworkOptions {
  /** `net=`: the network and the length of its prefix; `10.0.2.0/24`. */
  readonly net?: string;
  /** `host=`: the router; the network's second address, `10.0.2.2`. */
  readonly host?: string;
  /** `dhcpstart=`: the guest; the network's 15th address, `10.0.2.15`. */
  readonly dhcpstart?: string;
  /** `dns=`: the name server; the network's third address, `10.0.2.3`. */
  readonly dns?: string;
  /** `hostname=`: what the guest is called. */
  readonly hostname?: string;
  /** Properties that were given and would need the host's network (`hostfwd`); the machine warns of them. */
  readonly unreachable?: readonly string[];
}

const ETHER = { arp: 0x0806, ipv4: 0x0800 } as const;
const PROTOCOL = { icmp: 1, tcp: 6, udp: 17 } as const;
const PORT = { dns: 53, dhcpServer: 67, dhcpClient: 68 } as const;
const ICMP = { echoReply: 0, unreachable: 3, echo: 8 } as const;
/** Codes of "unreachable". */
const NETWORK = 0, UDP_PORT = 3;
const DHCP = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7 } as const;
const DHCP_COOKIE = 0x6382_5363, LEASE_SECONDS = 86400;
/** DNS: the bit of an answer, and "refused". */
const DNS_ANSWER = 0x8000, DNS_REFUSED = 5, DNS_KEPT = 0x7900;
const TCP = { fin: 1, syn: 2, rst: 4, ack: 16 } as const;
const BROADCAST = 0xffff_ffff, BROADCAST_HARDWARE = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] as const;
/** Bytes of the shortest Ethernet frame, without its checksum, and of QEMU's DHCP messages. */
const SHORTEST_FRAME = 60, DHCP_SIZE = 548;

/** Reads a dotted decimal as an unsigned number. */
function readAddress(where: string, text: string): number {
  const parts = text.split(".").map((part) => /^\d{1,3}$/.test(part) ? Number(part) : 256);
  if (parts.length !== 4 || parts.some((part) => part > 255)) {
    throw new OptionError(`${where}: ${text} is no address; write 10.0.2.2, say`);
  }
  return parts.reduce((all, part) => all * 256 + part, 0);
}

/** Big-endian bytes of a number. */
function bytesOf(value: number, count: number): number[] {
  return Array.from({ length: count }, (_, k) => Math.floor(value / 256 ** (count - 1 - k)) % 256);
}

function numberAt(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let k = 0; k < count; k++) value = value * 256 + (bytes[at + k] ?? 0);
  return value;
}

/** The Internet checksum (RFC 1071). */
function checksum(bytes: readonly number[] | Uint8Array): number {
  let sum = 0;
  for (let k = 0; k < bytes.length; k += 2) sum += bytes[k]! * 256 + (bytes[k + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return ~sum & 0xffff;
}

/** An IPv4 packet that was received. */
interface Packet {
  readonly from: number;
  readonly to: number;
  readonly protocol: number;
  readonly data: Uint8Array;
  /** The header and the first 8 bytes of data, which ICMP gives back. */
  readonly start: Uint8Array;
}

/** A UDP datagram or the like, without its checksum, which is filled in. */
function withPseudoChecksum(data: number[], at: number, from: number, to: number, protocol: number): number[] {
  const pseudo = [...bytesOf(from, 4), ...bytesOf(to, 4), 0, protocol, ...bytesOf(data.length, 2)];
  data.splice(at, 2, ...bytesOf(checksum([...pseudo, ...data]) || 0xffff, 2));
  return data;
}

/** The other end of a card's cable: the router, the name server, and nobody. It has no state, so runs repeat. */
export class UserNetwork implements NetworkCard {
  /** Where frames go that it sends. */
  backend: { transmit(packet: Uint8Array): void } | null = null;
  readonly #network: number;
  readonly #mask: number;
  readonly #router: number;
  readonly #guest: number;
  readonly #nameServer: number;
  readonly #hostname: string | undefined;

  /**
   * `where` is the option, for messages.
   *
   * @throws {OptionError} If an address is none, or lies outside of the network.
   */
  constructor(where: string, options: UserNetworkOptions = {}) {
    const [net = "", prefix = "24"] = (options.net ?? "10.0.2.0/24").split("/");
    const length = /^\d{1,2}$/.test(prefix) ? Number(prefix) : 33;
    if (length < 8 || length > 28) throw new OptionError(`${where}: net=${options.net}: a prefix has 8 to 28 bits`);
    const size = 2 ** (32 - length), address = readAddress(where, net);
    this.#network = address - address % size;
    this.#mask = 2 ** 32 - size;
    const place = (name: "host" | "dhcpstart" | "dns", usual: number) => {
      const text = options[name], value = text === undefined ? this.#network + usual : readAddress(where, text);
      if (!this.#isInside(value)) {
        throw new OptionError(`${where}: ${name}=${text} does not belong to network ${net}/${length}`);
      }
      return value;
    };
    this.#router = place("host", 2);
    this.#nameServer = place("dns", 3);
    this.#guest = place("dhcpstart", Math.min(15, size - 2));
    this.#hostname = options.hostname;
  }

  #isInside(address: number): boolean {
    return address - address % (2 ** 32 - this.#mask) === this.#network;
  }

  /** Whether somebody is there. */
  #isOurs(address: number): boolean {
    return address === this.#router || address === this.#nameServer;
  }

  /** The Ethernet address of an address, as QEMU makes it: 52:55 and the address. */
  #hardware(address: number): number[] {
    return [0x52, 0x55, ...bytesOf(address, 4)];
  }

  #send(to: Uint8Array | readonly number[], from: number, type: number, data: readonly number[]): void {
    const frame = new Uint8Array(Math.max(SHORTEST_FRAME, 14 + data.length));
    frame.set([...to, ...this.#hardware(from), ...bytesOf(type, 2), ...data]);
    this.backend?.transmit(frame);
  }

  /** Takes a frame from the guest, and answers at once. */
  receive(frame: Uint8Array): void {
    if (frame.length < 14) return;
    const type = numberAt(frame, 12, 2), sender = frame.subarray(6, 12), data = frame.subarray(14);
    if (type === ETHER.arp) this.#arp(sender, data);
    else if (type === ETHER.ipv4) this.#ipv4(sender, data);
  }

  #arp(sender: Uint8Array, data: Uint8Array): void {
    // Ethernet, IPv4, request.
    if (data.length < 28 || numberAt(data, 0, 6) !== 0x0001_0800_0604 || numberAt(data, 6, 2) !== 1) return;
    const target = numberAt(data, 24, 4);
    if (!this.#isOurs(target)) return;
    const answer = [
      ...data.subarray(0, 6),
      0,
      2,
      ...this.#hardware(target),
      ...bytesOf(target, 4),
      ...data.subarray(8, 18),
    ];
    this.#send(sender, target, ETHER.arp, answer);
  }

  #ipv4(sender: Uint8Array, bytes: Uint8Array): void {
    const header = (bytes[0]! & 15) * 4, total = numberAt(bytes, 2, 2);
    if (bytes.length < 20 || bytes[0]! >> 4 !== 4 || header < 20 || total < header || total > bytes.length) return;
    // Bad checksums, and fragments, which nobody here puts together.
    if (checksum(bytes.subarray(0, header)) !== 0 || (numberAt(bytes, 6, 2) & 0x3fff) !== 0) return;
    const packet: Packet = {
      from: numberAt(bytes, 12, 4),
      to: numberAt(bytes, 16, 4),
      protocol: bytes[9]!,
      data: bytes.subarray(header, total),
      start: bytes.subarray(0, Math.min(total, header + 8)),
    };
    if (packet.protocol === PROTOCOL.udp) this.#udp(sender, packet);
    else if (packet.protocol === PROTOCOL.tcp) this.#tcp(sender, packet);
    else if (packet.protocol === PROTOCOL.icmp && this.#isOurs(packet.to)) this.#echo(sender, packet);
    else this.#unreachable(sender, packet, NETWORK);
  }

  /** Sends a packet from an address of ours. */
  #reply(
    hardware: Uint8Array | readonly number[],
    from: number,
    to: number,
    protocol: number,
    data: readonly number[],
  ) {
    const header = [
      0x45,
      0,
      ...bytesOf(20 + data.length, 2),
      0,
      0,
      0,
      0,
      64,
      protocol,
      0,
      0,
      ...bytesOf(from, 4),
      ...bytesOf(to, 4),
    ];
    header.splice(10, 2, ...bytesOf(checksum(header), 2));
    this.#send(hardware, this.#isOurs(from) ? from : this.#router, ETHER.ipv4, [...header, ...data]);
  }

  #icmp(sender: Uint8Array, from: number, to: number, data: number[]): void {
    data.splice(2, 2, ...bytesOf(checksum(data), 2));
    this.#reply(sender, from, to, PROTOCOL.icmp, data);
  }

  #echo(sender: Uint8Array, { from, to, data }: Packet): void {
    if (data[0] !== ICMP.echo || checksum(data) !== 0) return;
    this.#icmp(sender, to, from, [ICMP.echoReply, 0, 0, 0, ...data.subarray(4)]);
  }

  /** What cannot be reached is said so, except of broadcasts and of errors. */
  #unreachable(sender: Uint8Array, { from, to, protocol, data, start }: Packet, code: number): void {
    if (to === BROADCAST || to >= 0xe000_0000 || this.#isInside(to) && to % 256 === 255) return;
    if (protocol === PROTOCOL.icmp && data[0] !== ICMP.echo) return;
    this.#icmp(sender, this.#router, from, [ICMP.unreachable, code, 0, 0, 0, 0, 0, 0, ...start]);
  }

  #udp(sender: Uint8Array, packet: Packet): void {
    const { from, to, data } = packet, length = numberAt(data, 4, 2);
    if (length < 8 || length > data.length) return;
    const source = numberAt(data, 0, 2), port = numberAt(data, 2, 2), content = data.subarray(8, length);
    if (port === PORT.dhcpServer && (to === BROADCAST || this.#isOurs(to))) return this.#dhcp(content);
    if (port === PORT.dns && to === this.#nameServer) {
      if (content.length < 12) return;
      const flags = numberAt(content, 2, 2) & DNS_KEPT | DNS_ANSWER | DNS_REFUSED;
      // The question is repeated, with no answers.
      const answer = [...content.subarray(0, 2), ...bytesOf(flags, 2), ...content.subarray(4, 6), 0, 0, 0, 0, 0, 0];
      return this.#datagram(sender, to, from, PORT.dns, source, [...answer, ...content.subarray(12)]);
    }
    this.#unreachable(sender, packet, this.#isOurs(to) ? UDP_PORT : NETWORK);
  }

  #datagram(
    hardware: Uint8Array | readonly number[],
    from: number,
    to: number,
    source: number,
    port: number,
    content: readonly number[],
  ): void {
    const data = [...bytesOf(source, 2), ...bytesOf(port, 2), ...bytesOf(8 + content.length, 2), 0, 0, ...content];
    this.#reply(hardware, from, to, PROTOCOL.udp, withPseudoChecksum(data, 6, from, to, PROTOCOL.udp));
  }

  #dhcp(request: Uint8Array): void {
    if (request.length < 240 || request[0] !== 1 || numberAt(request, 236, 4) !== DHCP_COOKIE) return;
    const options = new Map<number, Uint8Array>();
    for (let at = 240; at < request.length && request[at] !== 255;) {
      const code = request[at]!, length = code === 0 ? -1 : request[at + 1] ?? 0;
      if (code !== 0) options.set(code, request.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
    const wanted = options.get(50), type = options.get(53)?.[0];
    if (type !== DHCP.discover && type !== DHCP.request) return;
    const asked = wanted === undefined ? numberAt(request, 12, 4) : numberAt(wanted, 0, 4);
    const refused = type === DHCP.request && asked !== 0 && asked !== this.#guest;
    const mine = bytesOf(this.#router, 4), name = [...new TextEncoder().encode(this.#hostname ?? "")].slice(0, 255);
    const answer = refused ? DHCP.nak : type === DHCP.discover ? DHCP.offer : DHCP.ack;
    const given = refused ? [] : [
      ...[1, 4, ...bytesOf(this.#mask, 4), 3, 4, ...mine, 6, 4, ...bytesOf(this.#nameServer, 4)],
      ...[51, 4, ...bytesOf(LEASE_SECONDS, 4), ...(name.length > 0 ? [12, name.length, ...name] : [])],
    ];
    const reply = [
      ...[2, 1, 6, 0, ...request.subarray(4, 8), 0, 0, ...request.subarray(10, 12), 0, 0, 0, 0],
      ...[...(refused ? [0, 0, 0, 0] : bytesOf(this.#guest, 4)), ...mine, 0, 0, 0, 0, ...request.subarray(28, 44)],
      ...new Array<number>(192).fill(0),
      ...[...bytesOf(DHCP_COOKIE, 4), 53, 1, answer, 54, 4, ...mine, ...given, 255],
    ];
    reply.push(...new Array<number>(Math.max(0, DHCP_SIZE - reply.length)).fill(0));
    // To everybody: the guest has no address yet.
    this.#datagram(BROADCAST_HARDWARE, this.#router, BROADCAST, PORT.dhcpServer, PORT.dhcpClient, reply);
  }

  /** Connections are refused. */
  #tcp(sender: Uint8Array, packet: Packet): void {
    const { from, to, data } = packet, flags = data[13] ?? TCP.rst, offset = (data[12] ?? 0) >> 4;
    if (data.length < 20 || (flags & TCP.rst) !== 0) return;
    const length = data.length - 4 * offset + ((flags & TCP.syn) !== 0 ? 1 : 0) + ((flags & TCP.fin) !== 0 ? 1 : 0);
    const acknowledges = (flags & TCP.ack) !== 0;
    const segment = [
      ...[...data.subarray(2, 4), ...data.subarray(0, 2)],
      ...(acknowledges ? data.subarray(8, 12) : [0, 0, 0, 0]),
      ...(acknowledges ? [0, 0, 0, 0] : bytesOf((numberAt(data, 4, 4) + length) % 2 ** 32, 4)),
      ...[5 << 4, acknowledges ? TCP.rst : TCP.rst | TCP.ack, 0, 0, 0, 0, 0, 0],
    ];
    this.#reply(sender, to, from, PROTOCOL.tcp, withPseudoChecksum(segment, 16, to, from, PROTOCOL.tcp));
  }
}
