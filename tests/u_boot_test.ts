// U-Boot, as Debian ships it for QEMU's `virt` in M-mode, boots to its prompt and answers, the same interpreted and compiled; the one
// for S-mode does so with the built-in SBI.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { Buffer } from "node:buffer";
import process from "node:process";
import { test } from "node:test";
import { Machine } from "../mod.ts";
import { missing as missingTool } from "./support/command.ts";
import { disk, ext4FileSystem, fatFileSystem } from "./support/disk_image.ts";

const U_BOOT = "/usr/lib/u-boot/qemu-riscv64/u-boot.bin";
const S_MODE = "/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin";
const missing = !existsSync(U_BOOT) || !existsSync(S_MODE);
const skip = missing && process.env["CI"] === undefined ? "U-Boot is missing: apt-get install u-boot-qemu" : false;

/** Runs until the console ends with the prompt. */
async function toPrompt(machine: Machine): Promise<void> {
  for (let turn = 0; turn < 300; turn++) {
    const stop = await machine.run({ maxInstructions: 5_000_000 });
    if (/\n=> *$/.test(machine.console.output)) return;
    if (turn > 0 && /autoboot: [^\n]*$/.test(machine.console.output)) machine.console.send(" ");
    assert.equal(stop.kind, "budget", `${stop.kind} at 0x${stop.pc.toString(16)}\n${machine.console.output}`);
  }
  assert.fail(`no prompt:\n${machine.console.output}`);
}

/** Boots, types a command, and tells what came of it. */
async function session(accel: string) {
  const machine = await Machine.create({ machine: "virt", memory: "128M", bios: U_BOOT, accel });
  await toPrompt(machine);
  const booted = machine.instructions;
  machine.console.send("setexpr x 6 * 7; echo answer ${x}\n");
  await machine.run({ maxInstructions: 5_000_000 });
  await toPrompt(machine);
  return {
    output: machine.console.output,
    booted,
    pc: machine.hart.pc,
    minstret: machine.hart.readCsr("minstret"),
  };
}

test(
  "U-Boot boots to its prompt and calculates, with equal results on the interpreter and the compiler",
  { skip },
  async () => {
    const compiled = await session("jit");
    assert.match(compiled.output, /U-Boot \d{4}\.\d\d/);
    assert.match(compiled.output, /DRAM: +128 MiB/);
    assert.match(compiled.output, /answer 2a\r?\n=> *$/);
    assert.deepEqual(await session("interpreter"), compiled);
  },
);

test(
  "U-Boot for S-mode boots with the built-in SBI, says so, and powers off, on one hart and on four",
  { skip },
  async () => {
    for (const smp of [1, 4]) {
      await using machine = await Machine.create({ machine: "virt", memory: "128M", kernel: S_MODE, smp });
      await toPrompt(machine);
      machine.console.send("sbi\n");
      await machine.run({ maxInstructions: 5_000_000 });
      await toPrompt(machine);
      assert.match(
        machine.console.output,
        /SBI 2\.0[^]*Extensions:[^]*Timer Extension[^]*IPI Extension[^]*Hart State Management/,
      );
      // The tree has room for what booti adds in place.
      const header = await command(machine, "fdt addr ${fdtcontroladdr}; fdt header");
      const [total, strings, length] = ["totalsize", "off_dt_strings", "size_dt_strings"].map((name) =>
        Number(new RegExp(`${name}:\\s+(0x\\w+)`).exec(header)![1])
      );
      assert.ok(total! - strings! - length! >= 1024, header);
      machine.console.send("poweroff\n");
      const stop = await machine.run({ maxInstructions: 300_000_000 });
      assert.deepEqual([stop.kind, "code" in stop && stop.code], ["exit", 0]);
    }
  },
);

/** Types a command at the prompt, and gives what it prints. */
async function command(machine: Machine, line: string): Promise<string> {
  const before = machine.console.output.length;
  machine.console.send(`${line}\n`);
  for (let turn = 0; turn < 300; turn++) {
    const stop = await machine.run({ maxInstructions: 1_000_000 });
    const output = machine.console.output.slice(before).replaceAll("\r", "");
    if (/\n=> $/.test(output)) return output.slice(output.indexOf("\n") + 1, -"=> ".length);
    assert.equal(stop.kind, "budget", output);
  }
  assert.fail(`no prompt after ${line}:\n${machine.console.output}`);
}

// What it prints is what it prints in QEMU 7.2 with the same devices.
test(
  "U-Boot finds the devices that it finds in QEMU, and reads and writes file systems on a virtio disk",
  { skip: skip || missingTool("mkfs.ext4", "-V", "e2fsprogs") },
  async () => {
    const hello = new TextEncoder().encode("hello from FAT\n");
    const image = disk([
      [0x01, fatFileSystem("HELLO   TXT", hello)],
      [0x83, ext4FileSystem(4, { "boot/abc.txt": Uint8Array.of(97, 98, 99, 10) })],
    ]);
    await using machine = await Machine.create({
      ...{ machine: "virt", memory: "128M", bios: U_BOOT },
      netdevs: [{ id: "n0", user: {} }],
      drives: [{ id: "x0", file: image, interface: "none" }, {
        id: "x1",
        file: new Uint8Array(1 << 20),
        interface: "none",
      }],
      devices: [
        { driver: "virtio-blk-device", drive: "x0" },
        { driver: "virtio-blk-device", drive: "x1" },
        { driver: "virtio-net-device", netdev: "n0" },
      ],
    });
    await toPrompt(machine);
    assert.match(machine.console.output, /Flash: 32 MiB\r?\n[^]*Net: +eth0: virtio-net#2/);
    const expect = async (line: string, pattern: RegExp) => {
      const output = await command(machine, line);
      assert.match(output, pattern, `${line}:\n${output}`);
    };
    // The first -device is the first disk.
    await expect(
      "virtio info",
      /^Device 0: QEMU VirtIO Block Device[^]*\(14336 x 512\)\nDevice 1: [^]*\(2048 x 512\)\n$/,
    );
    await expect("part list virtio 0", / 1\t2048 +\t128 +\t[^\n]*\t01\n +2\t6144 +\t8192 +\t[^\n]*\t83\n/);
    await expect("part list virtio 1", /Unknown partition table type/);
    await expect("ls virtio 0:1", /^ +15 +HELLO.TXT\n\n1 file\(s\), 0 dir\(s\)\n\n$/);
    await expect("ls virtio 0:2 /boot", / +4 abc.txt\n/);
    await expect("load virtio 0:1 0x84000000 hello.txt", /^15 bytes read in /);
    await expect("md.b 0x84000000 0xf", /68 65 6c 6c 6f 20 66 72 6f 6d 20 46 41 54 0a +hello from FAT/);
    await expect("load virtio 0:2 0x84000000 /boot/abc.txt; md.b 0x84000000 4", /61 62 63 0a +abc/);
    await expect("fatwrite virtio 0:1 0x84000000 NEW.TXT 4; ls virtio 0:1", /4 +new.txt[^]*2 file\(s\)/i);
    assert.ok(Buffer.from(image.subarray(0, 2 << 20)).includes("NEW     TXT"));
    await expect("virtio read 0x84000000 0 1; md.w 0x840001fe 1", /1 blocks read: OK\n840001fe: aa55/);
    await expect("flinfo", /Bank # 2: CFI conformant flash \(16 x 16\) +Size: 16 MB in 128 Sectors/);
    await expect(
      "erase 1:1; md.l 0x20020000 1; md.l 0x2003fffc 2",
      /20020000: ffffffff[^]*2003fffc: ffffffff 00000000/,
    );
    await expect("pci", /^00\.00\.00 +0x1b36 +0x0008 +Bridge device +0x00\n$/m);
    await expect("mw.w 0x10100008 0; md.b 0x10100000 1; md.l 0x10100010 2", /: 51 [^]*: 554d4551 47464320 +QEMU CFG/);
    await expect("bdinfo", /DRAM bank +|size += 0x0*8000000[^]*eth0name += virtio-net#2/);
    await expect("fdt addr ${fdtcontroladdr}; fdt print /chosen", /rng-seed[^]*stdout-path = "\/soc\/serial@10000000"/);
    await expect("ping 10.0.2.2", /ipaddr. not set/);
    await expect("setenv autoload no; dhcp", /DHCP client bound to address 10\.0\.2\.15/);
    await expect("ping 10.0.2.2", /host 10\.0\.2\.2 is alive/);
    machine.console.send("reset\n");
    await toPrompt(machine);
    machine.console.send("poweroff\n");
    const stop = await machine.run({ maxInstructions: 300_000_000 });
    assert.deepEqual([stop.kind, "code" in stop && stop.code], ["exit", 0]);
  },
);
