import assert from "node:assert/strict";
import { Machine } from "hartbeat";

const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
const seen: string[] = [];
machine.mmio.map(0x10_0000, 0x1000, {
  name: "finisher",
  read: () => 0,
  write: (offset, width, value) => {
    seen.push(`${machine.symbols.format(machine.hart.pc)} stores 0x${value.toString(16)} (${width} bytes) at ${offset}`);
    machine.stop();
  },
});
const stop = await machine.run();
assert.equal(stop.kind, "stopped");
console.log(seen[0]);
