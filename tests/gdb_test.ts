// GDB itself against hartbeat, and what it prints beside what it prints with QEMU as its target.

import assert from "node:assert/strict";
import { test } from "node:test";
import { program } from "./support/command.ts";
import { gdbMissing, gdbOfHartbeat, gdbOfQemu } from "./support/gdb.ts";
import { qemuMissing } from "./support/qemu.ts";

const skip = gdbMissing();
const skip32 = skip || qemuMissing(32), skip64 = skip || qemuMissing(64);

/** Both transcripts of the same commands. */
async function compare(
  xlen: 32 | 64,
  name: string,
  commands: readonly string[],
  accel = "jit,threshold=1",
): Promise<string> {
  const elf = program(name);
  const [expected, { text }] = [await gdbOfQemu(xlen, elf, commands), await gdbOfHartbeat(elf, commands, { accel })];
  assert.equal(text, expected);
  return text;
}

const FIRST_STEPS = [
  ...[
    "p/x $pc",
    "x/6i $pc",
    "si",
    "si",
    "si",
    "si",
    "si",
    "p/x $t0",
    "break _start",
    "continue",
    "si",
    "info registers",
  ],
  ...["p/x $sp", "x 0x90000000", "x 0x0", "p $priv", "info threads", "info breakpoints", "x/4xw 0x80000000"],
];

for (const name of ["p0", "p0uart"]) {
  test(`the first session with the Rust kernel ${name} reads as with QEMU`, { skip: skip32 }, async () => {
    const text = await compare(32, name, FIRST_STEPS);
    for (const line of ["$1 = 0x1000", "$2 = 0x80000000", "Cannot access memory at address 0x90000000"]) {
      assert.ok(text.split("\n").some((there) => there.endsWith(line)), text);
    }
  });
}

test("breakpoints, steps, registers and memory of the C kernel read as with QEMU", { skip: skip64 }, async () => {
  await compare(64, "kernel", [
    ...["break kernel_main", "continue", "bt", "info registers", "p $pc", "x/8i $pc", "stepi 5", "nexti 3"],
    ...[
      "p $priv",
      "p/x $mhartid",
      "p $fa0",
      "x/4xb 0x10000000",
      "hbreak enter_user",
      "continue",
      "stepi 6",
      "p $priv",
    ],
    ...[
      "set $a0 = 0x1234",
      "p/x $a0",
      "set var *(int*)0x80010000 = 7",
      "x/2xw 0x80010000",
      "p/x $mtvec",
      "set $mscratch = 5",
    ],
    ...["p $mscratch", "set $x0 = 3", "p $zero", "set $priv = 1", "p $priv", "p $priv = 3", "delete", "detach"],
  ]);
});

test("a guest that ends is reported with its exit code", { skip }, async () => {
  const { text, stop } = await gdbOfHartbeat(program("p0uart"), ["continue"]);
  assert.match(text, /exited with code 07/);
  assert.ok(stop.kind === "exit" && stop.code === 7);
});

test("kill ends the run, detach lets the guest go on, and another GDB may connect", { skip }, async () => {
  assert.equal((await gdbOfHartbeat(program("kernel"), ["kill"])).stop.kind, "stopped");
  const { machine, stop } = await gdbOfHartbeat(program("kernel"), ["break kernel_main", "detach"]);
  assert.equal(machine.debug.halted, false);
  assert.ok(stop.kind === "exit" || stop.kind === "stopped");
});
