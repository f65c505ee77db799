// The ready-made scripts and examples, each on a guest.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Gpio } from "../examples/gpio.ts";
import { I2cBus, Thermometer } from "../examples/i2c_thermometer.ts";
import { Machine, MemoryBlocks } from "../mod.ts";
import countCalls from "../scripts/count_calls.ts";
import { FaultyDisk } from "../scripts/faulty_disk.ts";
import logTraps from "../scripts/log_traps.ts";
import skipDelays from "../scripts/skip_delays.ts";
import stackDepth from "../scripts/stack_depth.ts";
import strace from "../scripts/strace.ts";
import uninitialisedReads from "../scripts/uninitialised_reads.ts";
import watchWrites from "../scripts/watch_writes.ts";
import { Program } from "./support/assemble.ts";
import { hartbeat } from "./support/command.ts";

const ROOT = new URL("../", import.meta.url);
const path = (name: string) => fileURLToPath(new URL(name, ROOT));
const KERNEL = path("tests/programs/kernel.elf");

/** Collects what a script says. */
function lines(): { all: string[]; say: (line: string) => void } {
  const all: string[] = [];
  return { all, say: (line) => void all.push(line) };
}

function finish(p: Program): Program {
  return p.li("t0", 0x5555).li("t1", 0x10_0000).op("sw", { rs2: "t0", rs1: "t1" });
}

test("count_calls and log_traps say what a kernel does", async () => {
  await using m = await Machine.create({ bios: KERNEL });
  const { all, say } = lines();
  const done = countCalls(m, { say });
  logTraps(m, { say });
  await m.run({ maxInstructions: 10_000_000 });
  const traps = all.length;
  assert.ok(traps > 0);
  assert.match(all[0]!, /^hart 0: (interrupt|exception) \d+ \(.+\) at 0x8\w+ <.+>, value 0x\w+, M to M$/);
  done();
  assert.ok(all.length > traps);
  assert.match(all[traps]!, /^ *\d+ \w+$/);
});

test("-script gives a module the machine, and calls what it returns at the end", () => {
  const { code, stderr } = hartbeat(["-bios", KERNEL, "-script", path("scripts/count_calls.ts")]);
  assert.equal(code, 0);
  assert.match(String(stderr), /hartbeat: +\d+ \w+/);
  assert.match(
    String(hartbeat(["-bios", KERNEL, "-script", path("scripts/nothing.ts")]).stderr),
    /-script .*nothing\.ts/,
  );
  assert.match(
    String(hartbeat(["-bios", KERNEL, "-script", path("mod.ts")]).stderr),
    /default export is to be a function/,
  );
});

test("watch_writes, stack_depth and uninitialised_reads follow the stores of a guest", async () => {
  const p = new Program(64).la("sp", "stack").la("s0", "word").li("a0", 5).op("sd", { rs2: "a0", rs1: "s0" });
  p.op("addi", { rd: "sp", rs1: "sp", imm: -32 }).op("sd", { rs2: "a0", rs1: "sp", imm: 8 });
  p.op("ld", { rd: "a1", rs1: "sp", imm: 8 }).label("bad").op("ld", { rd: "a1", rs1: "sp", imm: 16 });
  finish(p).align(16).label("word").data(3, 8).org(p.here + 248).label("stack");
  await using m = await Machine.create({ cpu: "rv64", bios: p.elf(), memory: "4M" });
  const { all, say } = lines(), hex = (n: number) => `0x${n.toString(16)}`, stack = p.address("stack");
  watchWrites(m, { say, watch: `${hex(p.address("word"))}+8` });
  const range = `${hex(stack - 64)}..${hex(stack - 1)}`;
  const deep = stackDepth(m, { say, stack: range }), reads = uninitialisedReads(m, { say, range });
  assert.equal((await m.run()).kind, "exit");
  deep();
  reads();
  assert.match(all[0]!, /: 0x3 -> 0x5 by /);
  assert.match(all[1]!, new RegExp(`^${hex(stack - 16)} is read by ${hex(p.address("bad"))} before`));
  assert.match(all[2]!, /at most 8 bytes deep/);
  assert.equal(all[3], "1 places read what was not written");
  assert.throws(() => watchWrites(m), /HARTBEAT_WATCH/);
});

test("skip_delays returns from functions that only wait", async () => {
  await using m = await Machine.create({ bios: KERNEL });
  const { all, say } = lines(), functions = m.symbols.names().filter((name) => name === "delay");
  const done = skipDelays(m, { say, names: functions.join(",") || "put_string,puts,print,uart_puts,put" });
  await m.run({ maxInstructions: 10_000_000 });
  done();
  assert.match(all[0]!, /^\d+ delays were skipped$/);
});

test("strace lists calls of user mode with their results", async () => {
  const p = new Program(64).la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("t0", -1).csr(
    "csrrw",
    "pmpaddr0",
    0,
    "t0",
  );
  p.li("t0", 0x1f).csr("csrrw", "pmpcfg0", 0, "t0").la("t0", "user").csr("csrrw", "mepc", 0, "t0").op("mret");
  p.label("user").la("a1", "name").li("a0", -100).li("a7", 56).op("ecall").li("a7", 64).op("ecall").li("a7", 93).op(
    "ecall",
  );
  p.align(4).label("handler").li("t2", 93).to("beq", "end", { rs1: "a7", rs2: "t2" });
  p.csr("csrrs", "mepc", "t0", 0).op("addi", { rd: "t0", rs1: "t0", imm: 4 }).csr("csrrw", "mepc", 0, "t0");
  p.op("addi", { rd: "a0", rs1: "a7", imm: -58 }).op("mret").label("end");
  finish(p).label("name").bytes(new TextEncoder().encode("/etc/motd\0"));
  await using m = await Machine.create({ cpu: "rv64", bios: p.elf(), memory: "4M" });
  const { all, say } = lines();
  strace(m, { say });
  assert.equal((await m.run()).kind, "exit");
  assert.equal(all.length, 3);
  assert.match(all[0]!, /^openat\(0xffffffffffffff9c, "\/etc\/motd", .* = -2$/);
  assert.match(all[1]!, /^write\(.* = 0x6$/);
  assert.match(all[2]!, /^exit\(/);
});

test("a disk with a bad sector fails as often as it was told", () => {
  const disk = new FaultyDisk(new MemoryBlocks(new Uint8Array(4096)), [{ first: 3, on: "read", times: 1 }]);
  const into = new Uint8Array(512);
  disk.read(512, into);
  disk.write(3 * 512, into);
  assert.throws(() => disk.read(2 * 512, new Uint8Array(1024)), /sector 3: injected read error/);
  disk.read(3 * 512, into);
  assert.deepEqual(disk.failed, [{ kind: "read", sector: 3 }]);
  assert.deepEqual([disk.size, disk.readOnly], [4096, false]);
});

test("faulty_disk: a driver in the guest is told of a bad sector, once for each time, and goes on", async () => {
  const run = async (disk: FaultyDisk) => {
    const drives = [{ file: disk, format: "raw", id: "d0", interface: "none" }] as const;
    const devices = [{ driver: "virtio-blk-device", drive: "d0" }];
    await using m = await Machine.create({ bios: path("tests/programs/virtio_disk.elf"), drives, devices });
    assert.equal((await m.run({ maxInstructions: 5_000_000 })).kind, "exit");
    return m.console.output.split("\n");
  };
  const disk = () => new MemoryBlocks(new Uint8Array(1 << 20));
  const good = await run(new FaultyDisk(disk()));
  // The program reads sectors 0 and 1, writes 5 to 8, reads 4 to 7, and 1 after a reset.
  const reads = new FaultyDisk(disk(), [{ first: 1, on: "read", times: 1 }]),
    writes = new FaultyDisk(disk(), [{ first: 7, on: "write" }]);
  const differences = (lines: string[]) => lines.flatMap((line, k) => line === good[k] ? [] : [`${good[k]} / ${line}`]);
  assert.deepEqual(differences(await run(reads)), ["read by polling 00000000 / read by polling 00000001"]);
  assert.deepEqual(reads.failed, [{ kind: "read", sector: 1 }]);
  const [wrote, ...rest] = differences(await run(writes));
  // What was not written is not read back either.
  assert.equal(wrote, "write by interrupt 00000000 / write by interrupt 00000001");
  assert.ok(rest.length === 1 && rest[0]!.startsWith("checksum "), rest.join());
  assert.deepEqual(writes.failed, [{ kind: "write", sector: 7 }]);
});

test("the GPIO example: a button raises an interrupt, a lamp follows the guest", async () => {
  const AT = 0x4000_0000, PLIC = 0xc00_0000, gpio = new Gpio();
  const p = new Program(64).la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("s0", AT);
  p.li("t0", PLIC + 4 * 20).li("t1", 1).op("sw", { rs2: "t1", rs1: "t0" });
  p.li("t0", PLIC + 0x2000).li("t1", 1 << 20).op("sw", { rs2: "t1", rs1: "t0" });
  p.li("t0", 1 << 11).csr("csrrs", "mie", 0, "t0").csri("csrrsi", "mstatus", 0, 8);
  p.li("t0", 4).op("sw", { rs2: "t0", rs1: "s0", imm: 8 }).li("t0", 1).op("sw", { rs2: "t0", rs1: "s0", imm: 4 });
  p.label("idle").op("wfi").to("jal", "idle").align(4).label("handler");
  p.op("lw", { rd: "a0", rs1: "s0" }).op("lw", { rd: "a1", rs1: "s0", imm: 12 });
  finish(p);
  await using m = await Machine.create({
    cpu: "rv64",
    bios: p.elf(),
    memory: "4M",
    mmio: [{ address: AT, device: gpio, irq: 20 }],
  });
  const lamps: boolean[] = [];
  gpio.onLamp = (pin, on) => {
    assert.equal(pin, 0);
    lamps.push(on);
  };
  assert.equal((await m.run()).kind, "deadlock");
  assert.deepEqual(lamps, [true]);
  gpio.press(2);
  assert.equal((await m.run()).kind, "exit");
  assert.deepEqual([m.hart.x.a0, m.hart.x.a1], [4n, 4n]);
});

test("the I2C example: a guest reads the temperature register", async () => {
  const AT = 0x4000_0000, bus = new I2cBus(), sensor = new Thermometer();
  bus.attach(0x48, sensor);
  sensor.celsius = 21.5;
  const p = new Program(64).li("s0", AT);
  const command = (value: number, data = 0) =>
    p.li("t0", data).op("sw", { rs2: "t0", rs1: "s0", imm: 4 }).li("t0", value).op("sw", { rs2: "t0", rs1: "s0" });
  command(1, 0x48 << 1), command(2, 0), command(1, 0x48 << 1 | 1), command(4);
  p.op("lw", { rd: "a0", rs1: "s0", imm: 4 });
  command(12);
  p.op("lw", { rd: "a1", rs1: "s0", imm: 4 }).op("lw", { rd: "a2", rs1: "s0", imm: 8 });
  command(1, 0x50 << 1);
  p.op("lw", { rd: "a3", rs1: "s0", imm: 8 });
  finish(p);
  await using m = await Machine.create({ cpu: "rv64", bios: p.elf(), memory: "4M" });
  m.mmio.map(AT, bus);
  assert.equal((await m.run()).kind, "exit");
  const [high, low, acknowledged, nobody] = (["a0", "a1", "a2", "a3"] as const).map((name) => Number(m.hart.x[name]));
  // 21.5 degrees in 1/256; acknowledged; nobody at the other address.
  assert.deepEqual([high! * 256 + low!, acknowledged, nobody], [21.5 * 256, 0, 1]);
});
