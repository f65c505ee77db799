// Debian's Linux under OpenSBI, from reset to power-off, with the guest that `deno task guests` fetches. What the self-test prints
// is what it prints in QEMU on the same images; a test compares the two where QEMU is installed.
//
// HARTBEAT_LINUX=all boots it in all the ways below, which takes minutes; without it there is one boot.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { Machine } from "../machine/machine.ts";
import { NetworkHub } from "../machine/network.ts";
import type { MachineOptions } from "../machine/options.ts";
import { MemoryBlocks } from "../mod.ts";
import { bootLinux } from "../scripts/boot_linux.ts";
import strace from "../scripts/strace.ts";
import { FaultyDisk } from "../scripts/faulty_disk.ts";
import { linuxFile } from "../scripts/fetch_linux.ts";
import { linuxMissing } from "./support/linux.ts";
import { qemuMissing } from "./support/qemu.ts";

const MEMORY = "256M", BUDGET = 6_000_000_000;
/** The kernel's own tests of its cryptography are more than half of a boot. */
const COMMAND_LINE = "console=ttyS0 cryptomgr.notests";

/** Lines of the self-test (tests/programs/linux/selftest.c) as QEMU 7.2 prints them. */
const SELF_TEST = `
ST pi=3.141587878926 sqrt2=1.414213562373095 sin1=0.841470984807897 fma=-5.5511151231257827e-17
ST harmonicf=12.090841
ST cvt -3 3000000000 1000000000000000000
ST atomics=200000
ST sigs=102
ST misaligned=807060504030201
ST crosspage=deadbeef
ST fork=42 cow=7
ST rdtime-ok=1
ST rdcycle SIGILL
ST rdinstret SIGILL
ST usleep-ok=1
ST xorshift=105544e9
ST done
`.trim().split("\n");

/** What else the first process computes. */
const COMPUTED = ["sumsq 2668667000", "2^64 = 18446744073709551616", "child 3", "slept 1", "loop 500"];

const more = linuxMissing() || (process.env.HARTBEAT_LINUX === "all" ? false : "takes minutes: HARTBEAT_LINUX=all");

function boot(kind: "auto" | "shell" | "disk" | "devices", options: MachineOptions = {}): Promise<Machine> {
  const file = (name: string) => linuxFile(name)!;
  return Machine.create({
    bios: file("fw_jump.bin"),
    kernel: file("Image"),
    initrd: file(`initrd-${kind}.cpio.gz`),
    append: COMMAND_LINE,
    memory: MEMORY,
    ...options,
  });
}

/** An image with an empty ext4 file system. */
function emptyFileSystem(): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-disk-")), image = join(folder, "ext4");
  try {
    const { status, stderr, error } = spawnSync("mke2fs", ["-q", "-t", "ext4", image, "16M"], { encoding: "utf8" });
    assert.equal(status, 0, `mke2fs is needed (apt-get install e2fsprogs): ${error?.message ?? stderr}`);
    return new Uint8Array(readFileSync(image));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const linesOf = (output: string) => output.split(/\r?\n/);
const selfTest = (output: string) => linesOf(output).filter((line) => line.startsWith("ST "));

/** How much of a console has been looked for and found. */
const seen = new WeakMap<Machine, number>();

/** Runs until the console shows a text after what was found last; fails if the run ends before. */
async function until(machine: Machine, text: string): Promise<void> {
  for (;;) {
    const at = machine.console.output.indexOf(text, seen.get(machine) ?? 0);
    if (at >= 0) {
      seen.set(machine, at + text.length);
      return;
    }
    const stop = await machine.run({ maxInstructions: 5_000_000 });
    assert.equal(stop.kind, "budget", `before ${JSON.stringify(text)}:\n${machine.console.output.slice(-2000)}`);
    assert.ok(machine.instructions < BUDGET, `no ${JSON.stringify(text)}:\n${machine.console.output.slice(-2000)}`);
  }
}

async function toTheEnd(machine: Machine): Promise<string> {
  const stop = await machine.run({ maxInstructions: BUDGET }), { output } = machine.console;
  assert.deepEqual([stop.kind, "code" in stop && stop.code], ["exit", 0], output.slice(-2000));
  return output;
}

function check(output: string): void {
  assert.deepEqual(selfTest(output), SELF_TEST);
  const lines = new Set(linesOf(output));
  for (const line of COMPUTED) assert.ok(lines.has(line), line);
  assert.match(output, /GUEST-INIT-DONE[^]*reboot: Power down/);
  assert.doesNotMatch(output, /Oops|BUG:|Kernel panic|WARNING:/);
}

test("Linux boots under OpenSBI, passes its self-test and powers off", { skip: linuxMissing() }, async () => {
  await using machine = await boot("auto");
  check(await toTheEnd(machine));
});

test("the self-test under Linux prints the same in QEMU", { skip: linuxMissing() || qemuMissing(64) }, () => {
  const file = (name: string) => linuxFile(name)!;
  const { stdout } = spawnSync("qemu-system-riscv64", [
    ...["-machine", "virt", "-m", MEMORY, "-nographic", "-bios", file("fw_jump.bin"), "-kernel", file("Image")],
    ...["-initrd", file("initrd-auto.cpio.gz"), "-append", COMMAND_LINE],
  ], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], timeout: 240_000, maxBuffer: 1 << 24 });
  check(stdout);
});

for (
  const [what, options] of Object.entries<MachineOptions>({
    "interpreted": { accel: "interpreter" },
    "with A and D set by software, and without Sstc": { cpu: "rv64,svadu=off,sstc=off" },
    "with Sv39 only": { append: `${COMMAND_LINE} no4lvl` },
    "from fw_dynamic": { bios: "fw_dynamic.bin" },
    "with the built-in SBI": { bios: "default" },
    "on four harts": { smp: 4 },
    "on four harts with the built-in SBI": { bios: "default", smp: 4 },
    "on two harts with an ACLINT": { aclint: true, smp: 2 },
  })
) {
  test(`Linux boots and powers off ${what}`, { skip: more }, async () => {
    const bios = options.bios === "fw_dynamic.bin" ? { bios: linuxFile(options.bios)! } : {};
    await using machine = await boot("auto", { ...options, ...bios });
    check(await toTheEnd(machine));
  });
}

test("a shell under Linux answers what is typed", { skip: more }, async () => {
  await using machine = await boot("shell");
  await until(machine, "guest# ");
  machine.console.send("echo $((6 * 7)) is the answer\n");
  await until(machine, "\n42 is the answer");
  await until(machine, "guest# ");
  // Ctrl-C ends a command that would never end; Ctrl-D the shell.
  machine.console.send("sleep 1000000\n");
  await until(machine, "sleep 1000000");
  await machine.run({ maxInstructions: 50_000_000 });
  machine.console.send("\x03");
  await until(machine, "guest# ");
  machine.console.send("\x04");
  assert.match(await toTheEnd(machine), /reboot: Power down/);
});

test("boot_linux types a command at the shell and powers off", { skip: more }, async () => {
  const uname = await bootLinux(dirname(linuxFile("Image")!), "initrd-shell.cpio.gz");
  assert.match(uname, /^Linux \S+ \d.* riscv64/);
});

test("strace lists the system calls of a command under Linux", { skip: more }, async (t) => {
  await using machine = await boot("shell");
  await until(machine, "guest# ");
  const calls: string[] = [];
  strace(machine, { say: (line) => void calls.push(line) });
  machine.console.send("cat /proc/uptime\n");
  await until(machine, "cat /proc/uptime");
  await until(machine, "guest# ");
  t.diagnostic(calls.join("\n"));
  assert.ok(calls.some((line) => /^openat\(0xffffffffffffff9c, "\/proc\/uptime", .* = 0x3$/.test(line)));
  assert.ok(calls.some((line) => /^(read|sendfile|syscall_71)\(.* = 0x[1-9a-f]/.test(line)));
  assert.ok(calls.some((line) => /^exit_group\(0x0/.test(line)));
});

test("what Linux writes to ext4 on a virtio disk is there after a reboot", { skip: more }, async () => {
  await using machine = await boot("disk", { drives: [{ file: emptyFileSystem() }] });
  const output = await toTheEnd(machine);
  const [, wrote] = /DISK wrote (\w+)/.exec(output) ?? [],
    [, read] = /DISK read by the first boot (\w+)/.exec(output) ?? [];
  assert.ok(wrote !== undefined && wrote === read, output.slice(-2000));
  assert.match(output, /DISK done[^]*reboot: Power down/);
  assert.doesNotMatch(output, /EXT4-fs error|I\/O error|insmod \S+ failed/);
});

/** Lines of tests/programs/linux/init.devices. */
const deviceLines = (machine: Machine) =>
  linesOf(machine.console.output).filter((line) => line.startsWith("DEV ")).map((line) => line.slice(4).trim());

test("two Linux machines in one process ping each other and talk over TCP; second console, random numbers, clock", {
  skip: more,
}, async () => {
  const hub = new NetworkHub();
  const create = (own: number, peer: number) =>
    boot("devices", {
      append: `${COMMAND_LINE} address=10.0.0.${own} peer=10.0.0.${peer}`,
      rtcBase: "2030-04-05",
      seed: own,
      netdevs: [{ id: "n", hub }],
      chardevs: [{ id: "c" }],
      devices: [
        { driver: "virtio-net-device", netdev: "n", mac: `52:54:00:00:00:0${own}` },
        { driver: "virtio-rng-device" },
        { driver: "virtio-serial-device" },
        { driver: "virtconsole", chardev: "c" },
      ],
    });
  await using first = await create(1, 2);
  await using second = await create(2, 1);
  const machines = [first, second], running = new Set(machines), typed = new Set<Machine>();
  for (let turn = 0; running.size > 0 && turn < 10_000; turn++) {
    for (const machine of running) {
      const stop = await machine.run({ maxVirtualSeconds: 0.02 });
      if (stop.kind !== "budget") running.delete(machine);
      const console = machine.chardev("c");
      if (typed.has(machine) || !console.output.includes("DEV hvc0")) continue;
      typed.add(machine);
      console.send("typed\nend\n");
    }
  }
  const [one, two] = machines.map(deviceLines), rng = /^rng virtio_rng\.0 [0-9a-f]{32} +-$/;
  assert.match(one![1]!, rng);
  assert.match(two![1]!, rng);
  assert.notEqual(one![1], two![1]);
  const lines = (peer: number, greeting: string[]) => [
    ...["date 2030-04-05", "hvc0", "hvc0 says typed"],
    ...[0, 1, 2].map((k) => `64 bytes from 10.0.0.${peer}: seq=${k} ttl=64`),
    ...["3 packets transmitted, 3 packets received, 0% packet loss", ...greeting, "done"],
  ];
  assert.deepEqual(one!.toSpliced(1, 1), lines(2, ["got greetings from 10.0.0.2"]));
  assert.deepEqual(two!.toSpliced(1, 1), lines(1, []));
});

test("Linux gets its address from the network of -netdev user, and finds the router", { skip: more }, async () => {
  await using machine = await boot("devices", {
    append: `${COMMAND_LINE} address=dhcp peer=10.0.2.2`,
    netdevs: [{ id: "n", user: {} }],
    devices: [{ driver: "virtio-net-device", netdev: "n" }],
  });
  await toTheEnd(machine);
  const lines = deviceLines(machine);
  assert.ok(lines.includes("lease 10.0.2.15 255.255.255.0 router 10.0.2.2 dns 10.0.2.3"), lines.join("\n"));
  assert.ok(lines.includes("3 packets transmitted, 3 packets received, 0% packet loss"), lines.join("\n"));
});

test("Linux copes with a sector that cannot be read: it says so, the file is short, and all else goes on", {
  skip: more,
}, async (t) => {
  const image = emptyFileSystem(), disk = new FaultyDisk(new MemoryBlocks(image));
  await using machine = await boot("disk", { drives: [{ file: disk, format: "raw" }] });
  await until(machine, "DISK wrote ");
  // The second boot begins: all is on the disk.
  await until(machine, "Linux version");
  const at = Buffer.from(image.buffer, image.byteOffset, image.length).indexOf("\n25000\n25001\n");
  assert.ok(at > 0);
  const first = Math.floor(at / 512);
  disk.faults.push({ first, on: "read" });
  const output = await toTheEnd(machine), said = linesOf(output).filter((line) => /I\/O error|DISK/.test(line));
  t.diagnostic(said.join("\n"));
  assert.ok(disk.failed.length > 0 && disk.failed.every(({ kind, sector }) => kind === "read" && sector === first));
  // It reads the file ahead, then the block of 4 KiB alone, twice; sha256sum is told, and prints no sum.
  assert.match(output, new RegExp(`I/O error, dev vda, sector ${first & ~7} op 0x0:\\(READ\\)`));
  assert.match(output, /DISK wrote \w{64}[^]*DISK read by the first boot *\r?\n/);
  assert.match(output, /DISK done[^]*reboot: Power down/);
  assert.doesNotMatch(output, /Oops|BUG:|Kernel panic|WARNING:/);
});
