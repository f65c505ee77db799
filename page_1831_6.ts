import { Machine } from "hartbeat";

const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
machine.hook.memory({ at: "ticks", on: "write" }, (access) => {
  console.log(access.place, machine.disassemble(access.pc)?.text, access.oldValue, "->", access.value);
});
await machine.run();
