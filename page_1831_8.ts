import assert from "node:assert/strict";
import { Machine } from "hartbeat";

const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
const { before } = await machine.console.expect(/timer interrupt (\d)/, { within: 5, failOn: [/panic/] });
assert.match(before, /hello from M-mode/);
await machine.run({ maxVirtualSeconds: 0.1 });
