import assert from "node:assert/strict";
import { Machine } from "hartbeat";

// li a0, 6; li a1, 7; mul a0, a0, a1
const code = Uint8Array.from([0x13, 0x05, 0x60, 0x00, 0x93, 0x05, 0x70, 0x00, 0x33, 0x05, 0xb5, 0x02]);
const machine = await Machine.create<64>({ cpu: "rv64", memory: "2M" });
machine.memory.write(0x8000_0000, code);
machine.hart.pc = 0x8000_0000;
const stop = await machine.run({ until: 0x8000_000c, maxInstructions: 1000 });
assert.equal(stop.kind, "breakpoint");
assert.equal(machine.hart.x.a0, 42n);
