import { Machine } from "hartbeat";

const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
await using server = await machine.debug.listen({ port: 0 });
console.log(`target remote :${server.port}`);
console.log((await machine.run()).kind);
