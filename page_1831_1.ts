import { Machine } from "./mod.ts";

const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
// Each of these gives what detaches it: `using hook = machine.hook.call(…)` does at the end of the block.
machine.hook.call("trap", { enter: (call) => console.log(call.arg(0), call.place) });
machine.hook.trap({ cause: "breakpoint" }, (trap) => trap.resume(BigInt(trap.pc) + 2n));  // or deliver(), stop()
machine.hook.csr("mtvec", { write: (value) => console.log("mtvec", value) });
machine.hook.memory({ at: "ticks", on: "write" }, (access) => console.log(access.pc, access.oldValue, access.value));
machine.mmio.map(0x4000_0000, 0x100, { read: (offset, width) => offset + width });
const stop = await machine.run({ maxVirtualSeconds: 1 });
console.log(machine.explain(stop));
