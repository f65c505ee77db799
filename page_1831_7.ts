import { Machine } from "hartbeat";

const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
machine.hook.call("print", {
  enter: (call) => console.log(`${machine.symbols.format(call.returnAddress)} prints ${JSON.stringify(call.string(0))}`),
});
await machine.run();
