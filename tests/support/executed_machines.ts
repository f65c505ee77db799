// Lets a machine of each register width execute compiled code: run by interpreter_test.ts with V8 printing its bytecode.

import { INSTRUCTIONS } from "../../isa/table.ts";
import { Machine } from "../../machine/machine.ts";
import { Program } from "./assemble.ts";
import { WIDTHS } from "./guest.ts";

/** Instructions in the longest stretch of code: more than fit into one region. */
const LONG = 3000;

for (const xlen of WIDTHS) {
  // One long loop of every instruction with two sources and a destination: as much code per instruction as there can be.
  const names = INSTRUCTIONS.filter((entry) => entry.format === "R" && (entry.xlen ?? xlen) === xlen).map((e) => e.name)
    .filter((name) => !/^mop|^pack|^f/.test(name));
  const p = new Program(xlen);
  p.li("s0", 3).la("s1", "data").label("loop");
  for (let k = 0; k < LONG; k++) {
    const rd = 10 + k % 8, sources = { rs1: 10 + (k * 3 + 1) % 8, rs2: 10 + (k * 5 + 2) % 8 };
    if (k % 3 === 0) p.op(xlen === 64 ? "ld" : "lw", { rd, rs1: "s1", imm: k % 16 });
    else if (k % 16 === 1) p.to("beq", p.here + 8, sources);
    else p.op(names[k % names.length]!, { rd, ...sources });
  }
  p.op("addi", { rd: "s0", rs1: "s0", imm: -1 }).to("beq", "end", { rs1: "s0", rs2: 0 }).to("jal", "loop");
  p.label("end").to("jal", "end").align(8).label("data").data(1, 32);
  await using compiled = await Machine.create({ bios: p.elf(), accel: "jit,threshold=1,target=javascript" });
  await compiled.run({ maxInstructions: 5 * LONG });
}
