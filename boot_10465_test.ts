import assert from "node:assert/strict";
import { test } from "node:test";
import { Machine } from "./mod.ts";

test("the kernel prints its panic and ends with 7", async () => {
  const machine = await Machine.create({ machine: "virt", bios: "tests/programs/p0uart.elf" });
  const stop = await machine.run({ maxInstructions: 1_000_000 });
  assert.match(machine.console.output, /PANIC: .*\nindex out of bounds/);
  assert.ok(stop.kind === "exit" && stop.code === 7, stop.kind);
});
