import { bootTest, expectExit } from "./testing.ts";

bootTest("the kernel panics", { bios: "tests/programs/p0uart.elf" }, async (machine) => {
  const { before } = await machine.console.expect(/PANIC: (.*)\n/, { within: 0.1, failOn: ["reset"] });
  console.log(before);
  await expectExit(machine, 7);
});
