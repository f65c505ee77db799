import assert from "node:assert/strict";
import { Machine } from "hartbeat";

const machine = await Machine.create({ bios: "tests/programs/p0uart.elf" });
let bytes = 0;
machine.hook.mmio("serial@10000000", {
  // The first thousand looks at the line status find the transmitter busy.
  read: (access) => access.offset === 5 && bytes++ < 1000 ? 0 : undefined,
  write: (access) => access.value === "!".charCodeAt(0),
});
const stop = await machine.run();
assert.ok(stop.kind === "exit" && stop.code === 7 && bytes > 1000);
