// GDB's remote protocol without sockets: bytes in, bytes out, for each packet; and clients that send anything but packets.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, frame, fromHex, latin1, PacketReader, toHex } from "../debug/packets.ts";
import { GdbStub } from "../debug/stub.ts";
import { type DebugAccess, debugAccess } from "../machine/debug_access.ts";
import { Machine } from "../machine/machine.ts";
import type { MachineOptions } from "../machine/options.ts";
import { randomWords } from "./random_words.ts";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { program } from "./support/command.ts";

/** A client of a machine. */
class Client {
  readonly machine: Machine;
  readonly debug: DebugAccess;
  readonly stub: GdbStub;
  killed = 0;
  /** What the stub sent: texts of packets, and `+` and `-`. */
  sent: string[] = [];

  constructor(machine: Machine, memoryMap = false) {
    this.machine = machine;
    this.debug = debugAccess(machine);
    const reader = new PacketReader(1 << 20, {
      packet: (text) => this.sent.push(text),
      damaged: () => assert.fail("the stub sent a packet with a wrong checksum"),
      resend: () => this.sent.push("-"),
      interrupt: () => assert.fail("the stub sent Ctrl-C"),
    });
    this.stub = new GdbStub(this.debug, {
      send: (bytes) => reader.feed(bytes),
      monitor: (line) => line === "many" ? "x".repeat(20_000) : `said ${line}\n`,
      kill: () => this.killed++,
      memoryMap,
    });
  }

  /** Sends packets; gives the answer to the last. */
  ask(...texts: string[]): string | undefined {
    for (const text of texts) {
      this.sent = [];
      this.stub.receive(frame(text));
    }
    return this.sent.at(-1);
  }

  /** Waits for the next packet. */
  async answer(): Promise<string> {
    while (this.sent.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    return this.sent.at(-1)!;
  }

  /** Sends a packet that lets the guest run; gives the stop reply. */
  async until(text: string): Promise<string> {
    this.sent = [];
    this.stub.receive(frame(text));
    return await this.answer();
  }
}

async function clientOf(options: MachineOptions, memoryMap = false): Promise<Client> {
  return new Client(await Machine.create(options), memoryMap);
}

/** A loop that counts in t0 and stores it at `cell`. */
function counter(xlen: 32 | 64): Program {
  const p = new Program(xlen);
  p.li("t0", 0).la("t1", "cell").label("loop").op("addi", { rd: "t0", rs1: "t0", imm: 1 });
  p.label("store").op("sw", { rs1: "t1", rs2: "t0" }).label("load").op("lw", { rd: "t2", rs1: "t1" });
  p.to("jal", "loop", { rd: 0 }).align(8).label("cell").data(0, 8);
  return p;
}

async function counting(xlen: 32 | 64 = 64, accel = "jit,threshold=1"): Promise<{ client: Client; p: Program }> {
  const p = counter(xlen), client = await clientOf({ bios: { name: "p", bytes: p.elf() }, accel });
  client.debug.control.halt();
  return { client, p };
}

const hex = (value: number) => value.toString(16);

test("packets are framed with escapes and checksums, and read back whatever pieces they come in", () => {
  assert.equal(latin1(frame("OK")), "$OK#9a");
  assert.equal(latin1(frame("a}b$c#d*")), "$a}]b}\x04c}\x03d}\n#" + latin1(frame("a}b$c#d*")).slice(-2));
  assert.equal(toHex(bytesOf("\x00\xff")), "00ff");
  assert.deepEqual(fromHex("00fF"), Uint8Array.of(0, 255));
  for (const wrong of ["0", "0g", " 0"]) assert.equal(fromHex(wrong), undefined);
  const random = randomWords(1), seen: string[] = [], sent: string[] = [];
  const reader = new PacketReader(64, {
    packet: (text) => seen.push(text),
    damaged: () => seen.push("damaged"),
    resend: () => seen.push("resend"),
    interrupt: () => seen.push("interrupt"),
  });
  let bytes: number[] = [];
  for (let n = 0; n < 300; n++) {
    const text = String.fromCharCode(...Array.from({ length: random() % 20 }, () => random() & 255));
    sent.push(text);
    bytes.push(...frame(text));
    if (random() % 4 === 0) bytes.push(0x2b);
  }
  while (bytes.length > 0) {
    const count = 1 + random() % 9;
    reader.feed(Uint8Array.from(bytes.slice(0, count)));
    bytes = bytes.slice(count);
  }
  assert.deepEqual(seen, sent);
  seen.length = 0;
  reader.feed(bytesOf(`$OK#9b-\x03$${"x".repeat(65)}#00$lost$OK#9a$OK#zz`));
  assert.deepEqual(seen, ["damaged", "resend", "interrupt", "OK", "damaged"]);
});

test("queries and settings are answered as GDB expects and QEMU does", async () => {
  const client = await clientOf({ bios: program("p0"), smp: 2 });
  const answers: Record<string, string> = {
    "vMustReplyEmpty": "",
    "qAttached": "1",
    "qC": "QC01",
    "?": "T05thread:01;",
    "qSupported:multiprocess+;xmlRegisters=i386":
      "PacketSize=4000;qXfer:features:read+;qXfer:threads:read+;QStartNoAckMode+;vContSupported+;multiprocess+",
    "qfThreadInfo": "mp01.01",
    "qThreadExtraInfo,p1.2": toHex(bytesOf("CPU#1 [running]")),
    "qThreadExtraInfo,p1.3": "E22",
    "qXfer:threads:read::0,1000":
      'l<?xml version="1.0"?><threads><thread id="p01.01" core="0">CPU#0 [running]</thread>' +
      '<thread id="p01.02" core="1">CPU#1 [running]</thread></threads>',
    "qXfer:features:read:target.xml:0,10": 'm<?xml version="1',
    "qXfer:features:read:nope.xml:0,10": "E00",
    "qXfer:memory-map:read::0,1000": "",
    "qXfer:auxv:read::0,1000": "",
    "vFile:open:2f657463:0:0": "",
    "vRun;61": "",
    "vCont?": "vCont;c;C;s;S;r",
    "Hgp1.2": "OK",
    "pf82": "E14",
    "p3f60": "E14",
    "Hgp1.3": "E22",
    "Hx1": "E22",
    "T2": "OK",
    "Tp1.3": "E22",
    "Tp2.1": "E22",
    "vAttach;1": "T05thread:p01.02;",
    "vAttach;2": "E22",
    "qqemu.sstepbits": "ENABLE=1,NOIRQ=2,NOTIMER=4",
    "qqemu.sstep": "0x7",
    "Qqemu.sstep=5": "OK",
    "qqemu.sstep=9": "E22",
    "qqemu.PhyMemMode": "0",
    "Qqemu.PhyMemMode:1": "OK",
    "qqemu.Supported": "sstepbits;sstep;PhyMemMode",
    "qSymbol::": "OK",
    "qOffsets": "",
    "qRcmd,7": "E01",
    "!": "OK",
    "R": "",
    "vCont;x": "",
    "vCont;s:p1.7": "E22",
    "m1000,8": "9702000013868202",
    "m0,4": "E14",
    "m1000,9000": "E22",
    "mzz,4": "E22",
    "m": "E22",
    "M80000000,4:01020304": "OK",
    "M80000000,4:0102": "E22",
    "M0,1:00": "E14",
    "m80000000,4": "01020304",
    "X80000004,2:\x00\xff": "OK",
    "m80000000,8": "0102030400ff",
    "X80000000,3:ab": "E22",
    "Z0,80000000,2": "OK",
    "z0,80000000,2": "OK",
    "Z1,zz,2": "E22",
    "Z2,80000000,0": "E22",
    "Z3,80000000,4": "OK",
    "z3,80000000,4": "OK",
    "Z5,0,1": "",
    "qCRC:1000,0": "Cffffffff",
    "qCRC:0,4": "E14",
    "qSearch:memory:1000;100;\x13\x86": "1,1004",
    "qSearch:memory:1000;4;\x13\x86": "0",
    "qSearch:memory:0;4;x": "E14",
    "P0=00000000": "OK",
    "P5=78563412": "OK",
    "p5": "78563412",
    "Pf000=0": "E22",
    "Pf000=00": "E14",
    "G00": "OK",
  };
  for (const [packet, answer] of Object.entries(answers)) {
    const got = client.ask(packet);
    if (packet === "m80000000,8") assert.ok(got!.startsWith(answer), got);
    else assert.equal(got, answer, packet);
  }
  assert.equal(client.ask("qRcmd,6162"), "OK");
  assert.deepEqual(client.sent, [`O${toHex(bytesOf("said ab\r\n"))}`, "OK"]);
  client.ask(`qRcmd,${toHex(bytesOf("many"))}`);
  assert.equal(client.sent.slice(0, -1).map((text) => latin1(fromHex(text.slice(1))!)).join(""), "x".repeat(20_000));
  assert.equal(client.ask("QStartNoAckMode"), "OK");
  client.stub.receive(bytesOf("$OK#00-"));
  assert.deepEqual(client.sent, ["OK"]);
  client.ask("k");
  assert.equal(client.killed, 1);
  assert.equal(client.ask("vKill;1"), "OK");
  assert.equal(client.killed, 2);
});

test("what a client asks to have again is sent again", async () => {
  const client = await clientOf({ bios: program("p0") });
  client.ask("qAttached");
  client.stub.receive(bytesOf("-"));
  assert.deepEqual(client.sent, ["1", "1"]);
});

test("the memory map is there for who wants it", async () => {
  const client = await clientOf({ bios: program("p0") }, true);
  assert.match(client.ask("qSupported")!, /;qXfer:memory-map:read\+$/);
  const map = client.ask("qXfer:memory-map:read::0,1000")!;
  assert.match(map, /<memory type="rom" start="0x1000" length="0x\w+"\/>/);
  assert.match(map, /<memory type="ram" start="0x80000000" length="0x8000000"\/>/);
});

for (const xlen of [32, 64] as const) {
  test(`RV${xlen}: every register that is described can be read, and written where it holds what is written`, async () => {
    const client = await clientOf({ cpu: `rv${xlen}` }), hart = client.debug.hart(0);
    let whole = "";
    for (const file of ["cpu", "fpu", "virtual"].map((name) => `riscv-${name === "fpu" ? 64 : xlen}bit-${name}.xml`)) {
      whole += client.ask(`qXfer:features:read:${file}:0,4000`);
    }
    for (let at = 0;; at += 0x1000) {
      const piece = client.ask(`qXfer:features:read:riscv-csr.xml:${hex(at)},1000`)!;
      whole += piece.slice(1);
      if (piece[0] === "l") break;
    }
    const registers = [...whole.matchAll(/<reg name="(\w+)" bitsize="(\d+)" regnum="(\d+)"/g)];
    assert.ok(registers.length > 200);
    for (const [, name, bits, number] of registers) {
      const value = client.ask(`p${hex(Number(number))}`)!;
      assert.equal(value.length, Number(bits) / 4, name);
    }
    const numberOf = (name: string) => hex(Number(registers.find((register) => register[1] === name)![3]));
    for (const name of ["a0", "fa0", "mscratch", "pc", "fflags", "mstatus"]) assert.notEqual(numberOf(name), "");
    assert.equal(client.ask(`P${numberOf("mscratch")}=${"11".repeat(xlen / 8)}`), "OK");
    assert.equal(BigInt.asUintN(xlen, hart.readCsr(0x340)!), BigInt(`0x${"11".repeat(xlen / 8)}`));
    assert.equal(client.ask(`P${numberOf("fa0")}=0102030405060708`), "OK");
    assert.equal(hart.readF(10), 0x0807060504030201n);
    assert.equal(client.ask(`P${numberOf("priv")}=${"01".padEnd(xlen / 4, "0")}`), "OK");
    assert.equal(hart.privilegeLetter, "S");
    const all = Array.from({ length: 33 }, (_, n) => hex(n + 1).padStart(2, "0").padEnd(xlen / 4, "0")).join("");
    assert.equal(client.ask(`G${all}`), "OK");
    assert.equal(
      client.ask("g"),
      "0".repeat(xlen / 4) + all.slice(xlen / 4, 32 * xlen / 4) + "20".padEnd(xlen / 4, "0"),
    );
  });

  for (const accel of ["interpreter", "jit,threshold=1"]) {
    test(`RV${xlen} ${accel}: breakpoints, watchpoints, steps, ranges and Ctrl-C stop where they should`, async () => {
      const { client, p } = await counting(xlen, accel), { machine } = client, hart = client.debug.hart(0);
      const run = machine.run(), cell = hex(p.address("cell")), stopped = "T05thread:01;";
      assert.equal(await client.until(`vCont;s:1`), stopped);
      assert.equal(hart.pc, 0x1004n);
      client.ask(`Z0,${hex(p.address("store"))},4`);
      for (let n = 1n; n <= 100n; n++) {
        assert.equal(await client.until("c"), stopped);
        assert.equal(hart.readX(5), n);
      }
      client.ask(`z0,${hex(p.address("store"))},4`, `Z2,${cell},4`);
      assert.equal(await client.until("c"), `${stopped}watch:${cell};`);
      assert.equal(hart.pc, BigInt(p.address("store")));
      client.ask(`z2,${cell},4`, `Z3,${cell},4`);
      assert.equal(await client.until("c"), `${stopped}rwatch:${cell};`);
      assert.equal(hart.pc, BigInt(p.address("load")));
      client.ask(`z3,${cell},4`, `Z4,${cell},4`);
      assert.equal(await client.until("c"), `${stopped}awatch:${cell};`);
      assert.equal(hart.pc, BigInt(p.address("store")));
      assert.equal(await client.until("s"), stopped);
      assert.equal(await client.until("s"), `${stopped}awatch:${cell};`);
      assert.equal(hart.pc, BigInt(p.address("load")));
      client.ask(`z4,${cell},4`);
      hart.pc = BigInt(p.address("loop"));
      assert.equal(await client.until(`vCont;r${hex(p.address("loop"))},${hex(p.address("load"))}:1`), stopped);
      assert.equal(hart.pc, BigInt(p.address("load")));
      assert.equal(await client.until(`s${hex(p.address("loop"))}`), stopped);
      assert.equal(hart.pc, BigInt(p.address("store")));
      const before = machine.instructions;
      client.sent = [];
      client.stub.receive(frame("vCont;c"));
      while (machine.instructions < before + 100_000) await new Promise((resolve) => setTimeout(resolve, 1));
      client.stub.receive(bytesOf("\x03"));
      assert.equal(await client.answer(), "T02thread:01;");
      assert.ok(client.debug.control.halted);
      // Breakpoints go with the client; the guest runs on.
      client.ask(`Z0,${hex(p.address("store"))},4`);
      assert.equal(client.ask("D;1"), "OK");
      const later = machine.instructions;
      while (machine.instructions < later + 100_000) await new Promise((resolve) => setTimeout(resolve, 1));
      machine.stop();
      assert.equal((await run).kind, "stopped");
    });
  }
}

test("a client that vanishes leaves a held guest held, without its breakpoints, and the next one takes over", async () => {
  const { client, p } = await counting(), { machine } = client, run = machine.run();
  client.ask(`Z0,${hex(p.address("store"))},4`, `Z2,${hex(p.address("cell"))},4`);
  await client.until("c");
  client.stub.close();
  assert.ok(client.debug.control.halted);
  const next = new Client(machine);
  assert.equal(next.ask("?"), "T05thread:01;");
  next.stub.receive(frame("c"));
  const before = machine.instructions;
  while (machine.instructions < before + 100_000) await new Promise((resolve) => setTimeout(resolve, 1));
  next.stub.close();
  assert.equal(next.debug.control.halted, false);
  machine.stop();
  await run;
});

test("whoever sends no whole packet changes nothing: garbage, half packets, wrong checksums, lengths beyond all measure", async () => {
  const { client, p } = await counting(), { machine } = client, { control } = client.debug;
  control.resume();
  const state =
    () => [machine.hart.pc, machine.hart.x.t0, machine.memory.read64(p.address("cell")), machine.instructions];
  const random = randomWords(7), before = state();
  const packets = [
    "M80000000,4:00000000",
    "P20=00000000",
    "c",
    "k",
    "Z0,80000000,4",
    "G" + "00".repeat(264),
    "D",
    "\x03",
  ];
  for (let n = 0; n < 150; n++) {
    const visitor = new Client(machine), noise: number[] = [];
    for (let k = random() % 30; k > 0; k--) noise.push(random() & 255);
    const whole = frame(packets[random() % packets.length]!), cut = whole.slice(0, random() % whole.length);
    const wrong = Uint8Array.from(whole);
    wrong[wrong.length - 1]! ^= 1;
    for (
      const bytes of [
        Uint8Array.from(noise),
        Uint8Array.of(3),
        cut,
        wrong,
        bytesOf(`$${"M".repeat(random() % 40_000)}`),
      ]
    ) {
      if (random() % 2 === 0) visitor.stub.receive(bytes);
    }
    visitor.stub.close();
    assert.equal(visitor.killed, 0);
    assert.equal(control.halted, false);
    assert.equal(control.attached, 0);
  }
  assert.deepEqual(state(), before);
  await machine.run({ maxInstructions: 3, until: RAM_BASE });
});

test("packets with absurd arguments are refused and change nothing", async () => {
  const { client, p } = await counting(), { machine } = client;
  const state =
    () => [machine.hart.pc, machine.hart.x.t0, machine.memory.read64(p.address("cell")), machine.instructions];
  const before = state(),
    random = randomWords(9),
    numbers = ["", "-1", "zz", "ffffffffffffffffff", "ffffffffffffffff", "0", "1000"];
  const number = () => numbers[random() % numbers.length]!;
  for (let n = 0; n < 2000; n++) {
    const packet = [
      () => `m${number()},${number()}`,
      () => `M${number()},${number()}:`,
      () => `X${number()},${number()}:`,
      () => `Z${number()},${number()},${number()}`,
      () => `qCRC:${number()},${number() === "1000" ? "1000" : "0"}`,
      () => `qSearch:memory:${number()};10;${number()}`,
      () => `qXfer:features:read:${number()}:${number()},${number()}`,
      () => `H${number()}${number()}`,
      () => `T${number()}`,
      () => `p${number()}`,
      () => `P${number()}=${number() === "1000" ? "1" : "zz"}`,
      () => `qThreadExtraInfo,${number()}`,
      () => `vCont;q${number()}`,
      () => `Q${number()}`,
    ][random() % 14]!();
    const answer = client.ask(packet);
    assert.equal(typeof answer, "string", packet);
  }
  client.ask("?");
  assert.deepEqual(state(), before);
});
