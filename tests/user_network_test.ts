// The network of `-netdev user`: what it answers to frames is what QEMU 7.2 answers (compared frame by frame, but for the identification, type
// of service and time to live in IPv4's header), and a guest finds it behind its card.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Machine } from "../mod.ts";
import { UserNetwork, type UserNetworkOptions } from "../machine/user_network.ts";

const GUEST = [10, 0, 2, 15],
  ROUTER = [10, 0, 2, 2],
  DNS = [10, 0, 2, 3],
  ELSEWHERE = [192, 0, 2, 1],
  ALL = [255, 255, 255, 255];
const CARD = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56], EVERYBODY = [255, 255, 255, 255, 255, 255];
const hardware = (address: readonly number[]) => [0x52, 0x55, ...address];
const be = (value: number, count: number) =>
  Array.from({ length: count }, (_, k) => value / 256 ** (count - 1 - k) & 255);
const zeros = (count: number) => new Array<number>(count).fill(0);

function sum(bytes: readonly number[]): number {
  let total = 0;
  for (let k = 0; k < bytes.length; k += 2) total += bytes[k]! << 8 | (bytes[k + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
}

/** Fills in a checksum, which may be over more than the bytes themselves. */
function summed(bytes: number[], at: number, also: readonly number[] = []): number[] {
  bytes.splice(at, 2, ...be(sum([...also, ...bytes]), 2));
  return bytes;
}

function ipv4(
  to: readonly number[],
  protocol: number,
  data: readonly number[],
  from: readonly number[] = GUEST,
): number[] {
  const header = [0x45, 0, ...be(20 + data.length, 2), 0, 7, 0, 0, 64, protocol, 0, 0, ...from, ...to];
  return [...hardware(ROUTER), ...CARD, 8, 0, ...summed(header, 10), ...data];
}

function transport(
  protocol: number,
  at: number,
  to: readonly number[],
  data: number[],
  from: readonly number[] = GUEST,
): number[] {
  return ipv4(to, protocol, summed(data, at, [...from, ...to, 0, protocol, ...be(data.length, 2)]), from);
}

const udp = (to: readonly number[], port: number, data: readonly number[], source = 1000, from = GUEST) =>
  transport(17, 6, to, [...be(source, 2), ...be(port, 2), ...be(8 + data.length, 2), 0, 0, ...data], from);
const tcp = (to: readonly number[], flags: number, acknowledged: number) =>
  transport(6, 16, to, [...be(1000, 2), 0, 9, ...be(77, 4), ...be(acknowledged, 4), 0x50, flags, 32, 0, 0, 0, 0, 0]);
const ping = (to: readonly number[]) => ipv4(to, 1, summed([8, 0, 0, 0, 0, 1, 0, 1, 65, 66, 67], 2));
const arp = (target: readonly number[]) => [
  ...[...EVERYBODY, ...CARD, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, ...CARD, ...GUEST, ...zeros(6), ...target],
];
const dhcp = (type: number, options: readonly number[] = [], mine = zeros(4)) =>
  udp(
    ALL,
    67,
    [
      ...[1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0, ...mine, ...zeros(12), ...CARD, ...zeros(202), 0x63, 0x82, 0x53, 0x63],
      ...[53, 1, type, ...options, 255],
    ],
    68,
    zeros(4),
  );

function answers(frame: readonly number[], options?: UserNetworkOptions): number[][] {
  const network = new UserNetwork("-netdev user", options), frames: number[][] = [];
  network.backend = { transmit: (packet) => frames.push([...packet]) };
  network.receive(Uint8Array.from(frame));
  return frames;
}

/** Source, destination and data of the one IPv4 packet that answers; its checksums are looked at. */
function packet(frame: readonly number[], options?: UserNetworkOptions) {
  const all = answers(frame, options);
  assert.equal(all.length, 1);
  const bytes = all[0]!.slice(14), length = bytes[2]! << 8 | bytes[3]!, data = bytes.slice(20, length);
  assert.ok(all[0]!.length >= 60);
  assert.equal(sum(bytes.slice(0, 20)), 0);
  const [from, to, protocol] = [bytes.slice(12, 16), bytes.slice(16, 20), bytes[9]!];
  const pseudo = protocol === 1 ? [] : [...from, ...to, 0, protocol, ...be(data.length, 2)];
  assert.equal(sum([...pseudo, ...data]), 0);
  return { hardware: all[0]!.slice(0, 6), from, to, protocol, data };
}

test("router and name server tell their Ethernet addresses, others are not there", () => {
  for (const who of [ROUTER, DNS]) {
    const [frame, ...more] = answers(arp(who));
    assert.deepEqual(frame!.slice(0, 42), [
      ...[...CARD, ...hardware(who), 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, ...hardware(who), ...who, ...CARD, ...GUEST],
    ]);
    assert.deepEqual([frame!.length, more], [60, []]);
  }
  for (const who of [[10, 0, 2, 99], GUEST, ELSEWHERE]) assert.deepEqual(answers(arp(who)), []);
});

test("a guest gets an address, and keeps it", () => {
  const given = [
    ...[54, 4, ...ROUTER, 1, 4, 255, 255, 255, 0, 3, 4, ...ROUTER, 6, 4, ...DNS, 51, 4, ...be(86400, 4)],
    ...[12, 3, 98, 111, 98, 255],
  ];
  for (
    const [what, answer, frame] of [
      ["discover", 2, dhcp(1)],
      ["request", 5, dhcp(3, [50, 4, ...GUEST])],
      ["renewal", 5, dhcp(3, [], GUEST)],
    ] as const
  ) {
    const { hardware: to, data } = packet(frame, { hostname: "bob" });
    assert.deepEqual(to, EVERYBODY);
    assert.deepEqual(data.slice(0, 6), [0, 67, 0, 68, ...be(556, 2)], what);
    const message = data.slice(8);
    assert.deepEqual(message.slice(0, 28), [2, 1, 6, 0, 1, 2, 3, 4, ...zeros(8), ...GUEST, ...ROUTER, ...zeros(4)]);
    assert.deepEqual(message.slice(28, 34), CARD);
    assert.deepEqual(message.slice(236, 243 + given.length), [0x63, 0x82, 0x53, 0x63, 53, 1, answer, ...given]);
  }
  const { data } = packet(dhcp(3, [50, 4, 10, 0, 2, 77]));
  assert.deepEqual(data.slice(8 + 16, 8 + 20), zeros(4));
  assert.equal(data[8 + 242], 6);
  for (const type of [4, 7, 8]) assert.deepEqual(answers(dhcp(type)), []);
});

test("pings are answered, and what cannot be reached is said to be unreachable", () => {
  for (const who of [ROUTER, DNS]) {
    const { from, to, data } = packet(ping(who));
    assert.deepEqual([from, to, data.slice(0, 2), data.slice(4)], [who, GUEST, [0, 0], [0, 1, 0, 1, 65, 66, 67]]);
  }
  for (const [code, frame] of [[0, ping(ELSEWHERE)], [0, udp(ELSEWHERE, 9, [1])], [3, udp(ROUTER, 9, [1])]] as const) {
    const { from, data } = packet(frame);
    assert.deepEqual([from, data.slice(0, 2), data.slice(8)], [ROUTER, [3, code], frame.slice(14, 14 + 28)]);
  }
  for (const to of [ALL, [224, 0, 0, 1], [10, 0, 2, 255]]) assert.deepEqual(answers(udp(to, 9, [1])), []);
});

test("connections are refused, and names are not told", () => {
  const refused = packet(tcp(ELSEWHERE, 2, 0));
  assert.deepEqual([refused.from, refused.data.slice(0, 14)], [
    ELSEWHERE,
    [0, 9, ...be(1000, 2), 0, 0, 0, 0, ...be(78, 4), 0x50, 0x14],
  ]);
  assert.deepEqual(packet(tcp(ROUTER, 16, 99)).data.slice(0, 14), [
    0,
    9,
    ...be(1000, 2),
    ...be(99, 4),
    ...zeros(4),
    0x50,
    4,
  ]);
  assert.deepEqual(answers(tcp(ROUTER, 4, 0)), []);
  const question = [1, 97, 0, 0, 1, 0, 1];
  const { data } = packet(udp(DNS, 53, [0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...question]));
  assert.deepEqual(data.slice(8), [0xab, 0xcd, 0x81, 5, 0, 1, ...zeros(6), ...question]);
});

test("damaged frames get no answer", () => {
  for (const good of [arp(ROUTER), ping(ROUTER), udp(ROUTER, 9, [1]), tcp(ROUTER, 2, 0), dhcp(1)]) {
    for (let length = 0; length < good.length; length++) {
      assert.deepEqual(answers(good.slice(0, length)), [], `${length}`);
    }
    for (let at = 0; at < good.length; at++) answers(good.with(at, good[at]! ^ 0xff));
  }
});

test("addresses can be chosen, and have to fit", async () => {
  const options = { net: "192.168.7.0/24", host: "192.168.7.1", dhcpstart: "192.168.7.50" };
  const { data } = packet(dhcp(1), options);
  assert.deepEqual(data.slice(8 + 16, 8 + 24), [192, 168, 7, 50, 192, 168, 7, 1]);
  assert.equal(answers(arp([192, 168, 7, 3]), options).length, 1);
  for (
    const [user, message] of [
      [{ net: "10.0.2.0/33" }, /a prefix has 8 to 28 bits/],
      [{ net: "10.0.2" }, /10\.0\.2 is no address/],
      [{ dns: "10.0.3.3" }, /-netdev user,id=n: dns=10\.0\.3\.3 does not belong to network 10\.0\.2\.0\/24/],
    ] as const
  ) {
    await assert.rejects(Machine.create({ bios: "none", netdevs: [{ id: "n", user }] }), {
      name: "OptionError",
      message,
    });
  }
  const user = { unreachable: ["hostfwd"] };
  await using machine = await Machine.create({ bios: "none", cpu: "rv64", netdevs: [{ id: "n", user }] });
  assert.match(machine.warnings.join("\n"), /-netdev user,id=n: hostfwd has no effect/);
});
