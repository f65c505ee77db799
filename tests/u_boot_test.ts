// U-Boot, as Debian ships it for QEMU's `virt` in M-mode, boots to its prompt and answers, the same interpreted and compiled; the one
// for S-mode does so with the built-in SBI.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { Machine } from "../mod.ts";

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
      machine.console.send("poweroff\n");
      const stop = await machine.run({ maxInstructions: 300_000_000 });
      assert.deepEqual([stop.kind, "code" in stop && stop.code], ["exit", 0]);
    }
  },
);
