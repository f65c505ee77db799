import assert from "node:assert/strict";
import { test } from "node:test";
import { Machine } from "hartbeat";

test("the kernel boots, and its program ends well", async () => {
  const machine = await Machine.create({ machine: "virt", bios: "tests/programs/kernel.elf" });
  await machine.console.expect("hello from U-mode", {
    within: { virtualSeconds: 5 },
    failOn: [/panic/i, "reset"],
  });
  const stop = await machine.run({ maxInstructions: 10_000_000 });
  assert.ok(stop.kind === "exit" && stop.code === 0, machine.explain(stop));
});
