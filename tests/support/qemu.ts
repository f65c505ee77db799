// QEMU as an oracle: runs an ELF in it, and what a guest needs to print.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Xlen } from "../../isa/instruction.ts";
import type { Program } from "./assemble.ts";
import { withFolder } from "./folder.ts";

const UART = 0x1000_0000, FINISHER = 0x10_0000;

/**
 * Appends the routines of a guest on the `virt` board: `print` (a0 in hexadecimal and a space; returns to ra) and `put` (the
 * character in a1; returns to t6), which change a1 and t0 to t3, and `exit`, which ends the machine with 0.
 */
export function printing(p: Program): void {
  const { xlen } = p;
  p.label("print").li("t0", xlen - 4).label("digit").op("srl", { rd: "a1", rs1: "a0", rs2: "t0" });
  p.op("andi", { rd: "a1", rs1: "a1", imm: 15 }).op("addi", { rd: "a1", rs1: "a1", imm: 48 }).li("t1", 58);
  p.to("blt", "decimal", { rs1: "a1", rs2: "t1" }).op("addi", { rd: "a1", rs1: "a1", imm: 39 }).label("decimal");
  p.to("jal", "put", { rd: "t6" }).op("addi", { rd: "t0", rs1: "t0", imm: -4 });
  p.to("bge", "digit", { rs1: "t0", rs2: 0 }).li("a1", 32).to("jal", "put", { rd: "t6" }).op("jalr", { rs1: "ra" });
  p.label("put").li("t2", UART).label("busy").op("lbu", { rd: "t3", rs1: "t2", imm: 5 });
  p.op("andi", { rd: "t3", rs1: "t3", imm: 0x20 }).to("beq", "busy", { rs1: "t3", rs2: 0 });
  p.op("sb", { rs1: "t2", rs2: "a1" }).op("jalr", { rs1: "t6" });
  p.label("exit").li("t0", FINISHER).li("t1", 0x5555).op("sw", { rs1: "t0", rs2: "t1" }).to("jal", "exit", { rd: 0 });
}

/** Why there is no QEMU, or false if there is one. In CI there has to be. */
export function qemuMissing(xlen: Xlen): string | false {
  const run = spawnSync(`qemu-system-riscv${xlen}`, ["--version"], { encoding: "utf8" });
  if (run.status === 0) return false;
  const why = `qemu-system-riscv${xlen} is needed: apt-get install qemu-system-misc`;
  if (process.env.CI) throw new Error(why);
  return why;
}

/** Calls `f` with the path of a file that holds `image`, in a folder that is there as long as it runs. */
function withFile<T>(image: Uint8Array, f: (path: string, folder: string) => T): T {
  return withFolder((folder) => {
    const path = join(folder, "guest.elf");
    writeFileSync(path, image);
    return f(path, folder);
  });
}

/** What QEMU prints on standard output: to a file, since into a pipe that is full it loses characters. */
function run(xlen: Xlen, options: readonly string[], folder: string, input = ""): string {
  const all = ["-machine", "virt", "-display", "none", ...options], path = join(folder, "stdout.txt");
  const output = openSync(path, "w");
  try {
    const { status, signal, stderr } = spawnSync(`qemu-system-riscv${xlen}`, all, {
      input,
      encoding: "utf8",
      stdio: ["pipe", output, "pipe"],
      timeout: 60_000,
    });
    assert.equal(status, 0, `QEMU ${all.join(" ")}: ${stderr} ${signal}`);
  } finally {
    closeSync(output);
  }
  return readFileSync(path, "utf8");
}

/** What QEMU's monitor prints before the first instruction of a machine, with the commands themselves, up to `quit`. */
export function monitorOfQemu(xlen: Xlen, options: readonly string[], commands: readonly string[]): string {
  const input = `${[...commands, "quit"].join("\n")}\n`;
  return withFolder((folder) => run(xlen, ["-S", "-serial", "null", "-monitor", "stdio", ...options], folder, input));
}

/** What an ELF prints on QEMU's `virt` board, loaded by `-bios` or `-kernel`, with further options. */
export function runInQemu(
  xlen: Xlen,
  image: Uint8Array,
  options: readonly string[] = [],
  loader: "-bios" | "-kernel" = "-bios",
): string {
  return withFile(image, (path, folder) => {
    const output = join(folder, "output.txt");
    run(xlen, [loader, path, "-monitor", "none", "-serial", `file:${output}`, ...options], folder);
    return readFileSync(output, "latin1");
  });
}

/** `count` words of physical memory of QEMU's `virt` board before its first instruction. */
export function wordsInQemu(
  xlen: Xlen,
  image: Uint8Array,
  options: readonly string[],
  loader: "-bios" | "-kernel",
  address: number,
  count: number,
): number[] {
  return withFile(image, (path) => {
    const text = monitorOfQemu(xlen, [loader, path, ...options], [`xp /${count}xw 0x${address.toString(16)}`]);
    return [...text.matchAll(/^[0-9a-f]+: (.*)$/gm)].flatMap((line) => line[1]!.trim().split(/\s+/)).map(Number);
  });
}
