// The real GDB: runs commands in it against hartbeat and against QEMU.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Machine } from "../../machine/machine.ts";
import type { MachineOptions } from "../../machine/options.ts";
import type { Stop } from "../../machine/stop.ts";
import { missing } from "./command.ts";

/** Longest time that GDB may take, milliseconds. */
const LIMIT = 300_000;

/** How often QEMU may do something else than hartbeat, whose runs are all the same. */
const QEMU_TRIES = 3;

/** Why there is no GDB, or false if there is one. */
export function gdbMissing(): string | false {
  return missing("gdb-multiarch", "--version", "gdb-multiarch");
}

/** The last two: a busy machine may take long to listen and to answer. */
const SETTINGS = [
  ...["pagination off", "width 0", "height 0", "confirm off", "style enabled off"],
  ...["tcp connect-timeout 120", "remotetimeout 120"],
];

/** What GDB prints, on either output, for commands after it has connected to a target. One that fails ends nothing. */
export async function gdb(target: string, elf: string | null, commands: readonly string[]): Promise<string> {
  const args = [
    ...["-nx", "-q", "-batch", ...elf === null ? [] : [elf]],
    ...SETTINGS.flatMap((setting) => ["-iex", `set ${setting}`]),
    ...[`target remote ${target}`, ...commands].flatMap((command) => ["-ex", command]),
  ];
  const process = spawn("sh", ["-c", 'exec gdb-multiarch "$@" 2>&1', "sh", ...args], {
    timeout: LIMIT,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  process.stdout!.on("data", (data) => text += data);
  await new Promise((resolve) => process.on("close", resolve));
  return text.replaceAll(target, "TARGET");
}

/**
 * What GDB prints with QEMU as its target, held before the first instruction.
 *
 * @param elf Where GDB finds symbols.
 * @param options Further options of QEMU.
 * @param loads Options that load the guest.
 */
export async function gdbOfQemu(
  xlen: 32 | 64,
  elf: string,
  commands: readonly string[],
  options: readonly string[] = [],
  loads: readonly string[] = ["-bios", elf],
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-qemu-")), socket = join(folder, "gdb");
  const process = spawn(`qemu-system-riscv${xlen}`, [
    ...["-machine", "virt", "-display", "none", "-serial", "null", "-monitor", "none", "-S", ...loads],
    ...["-gdb", `unix:${socket},server=on,wait=off`, ...options],
  ], { timeout: LIMIT, stdio: "ignore" });
  const ended = new Promise((resolve) => process.on("close", resolve));
  try {
    while (!existsSync(socket) && process.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
    // Released at the end, the guest may power QEMU off before GDB has its answer.
    return (await gdb(socket, elf, commands)).replace(
      /^Remote communication error\. {2}Target disconnected\.: (Broken pipe|Connection reset by peer)\.\n$/m,
      "[Inferior 1 (process 1) detached]\n",
    );
  } finally {
    if (process.exitCode === null) process.kill();
    await ended;
    rmSync(folder, { recursive: true });
  }
}

/** A GDB session with hartbeat as its target: what GDB printed, the machine afterwards, and why its run ended. */
export interface Session {
  readonly text: string;
  readonly machine: Machine;
  readonly stop: Stop;
}

/** Connects GDB to a machine that is held before the first instruction. */
export async function gdbOfHartbeat(
  elf: string,
  commands: readonly string[],
  options: MachineOptions = {},
): Promise<Session> {
  const machine = await Machine.create({ bios: elf, ...options });
  await using server = await machine.debug.listen({ port: 0, halt: true });
  const run = machine.run();
  const text = await gdb(`127.0.0.1:${server.port}`, elf, commands);
  machine.stop();
  return { text, machine, stop: await run };
}

/**
 * The transcript of commands on an ELF loaded with `-bios`, which is the same with hartbeat and with QEMU as GDB's target.
 *
 * @param options Further options of QEMU.
 */
export async function compareSessions(
  xlen: 32 | 64,
  elf: string,
  commands: readonly string[],
  smp = 1,
  options: readonly string[] = [],
): Promise<string> {
  const { text } = await gdbOfHartbeat(elf, commands, { accel: "jit,threshold=1", smp });
  let expected = "";
  // QEMU's time is the host's: where the host is busy, a timer may come elsewhere, or QEMU be gone before GDB has said goodbye.
  for (let tries = 0; tries < QEMU_TRIES && text !== expected; tries++) {
    // One thread for all harts: while one waits for a timer, the others come to where they wait.
    expected = await gdbOfQemu(xlen, elf, commands, [
      ...["-smp", String(smp), "-accel", "tcg,thread=single", ...options],
    ]);
  }
  const lines = text.split("\n"), others = expected.split("\n");
  const differs = lines.findIndex((line, k) => line !== others[k]);
  assert.equal(text, expected, `line ${differs}: ${lines[differs]} | ${others[differs]}`);
  return text;
}
