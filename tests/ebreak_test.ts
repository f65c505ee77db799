// EBREAK of the guest: it goes to the guest's handler, unless GDB or a script asked to stop there.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Machine } from "../mod.ts";
import { Program } from "./support/assemble.ts";
import { hartbeat, program } from "./support/command.ts";
import { compareSessions, gdbMissing, gdbOfHartbeat } from "./support/gdb.ts";
import { qemuMissing } from "./support/qemu.ts";

const DEBUG_C = program("debug_c_5_0");

/** A guest with a handler that notes mcause, mepc and mtval in s2 to s4 and goes on behind the instruction, whose length is in s1. */
function guest(xlen: 32 | 64, name: "ebreak" | "c.ebreak"): Program {
  const p = new Program(xlen);
  p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("s1", name === "ebreak" ? 4 : 2);
  p.label("break").op(name);
  if (name === "c.ebreak") p.data(1, 2);
  p.label("end").to("jal", "end", { rd: 0 });
  p.align(4).label("handler").csr("csrrs", "mcause", "s2", 0).csr("csrrs", "mepc", "s3", 0).csr(
    "csrrs",
    "mtval",
    "s4",
    0,
  );
  p.op("add", { rd: "s3", rs1: "s3", rs2: "s1" }).csr("csrrw", "mepc", 0, "s3").op("sub", {
    rd: "s3",
    rs1: "s3",
    rs2: "s1",
  });
  return p.op("mret");
}

for (const xlen of [32, 64] as const) {
  for (const name of ["ebreak", "c.ebreak"] as const) {
    for (const accel of ["interpreter", "jit,threshold=1"]) {
      test(`RV${xlen} ${accel}: ${name} goes to the guest's handler, and stops where a script says so`, async () => {
        const p = guest(xlen, name), at = BigInt(p.address("break")), end = p.address("end");
        const create = () => Machine.create({ bios: { name: "p", bytes: p.elf() }, accel });
        const machine = await create(), { hart } = machine;
        // The jump to itself ends the run.
        await machine.run({ maxInstructions: 1000 });
        assert.equal(BigInt(hart.pc), BigInt(end));
        assert.deepEqual([hart.x.s2, hart.x.s3, hart.x.s4].map(BigInt), [3n, at, at]);
        const watched = await create(), seen: unknown[] = [];
        watched.hook.trap({ cause: "breakpoint" }, (trap) => {
          seen.push(BigInt(trap.pc), BigInt(trap.value));
          trap.stop();
        });
        const stop = await watched.run({ maxInstructions: 1000 });
        assert.deepEqual([stop.kind, BigInt(watched.hart.pc)], ["stopped", BigInt(p.address("handler"))]);
        assert.deepEqual(seen, [at, at], "the hook sees the instruction");
        const stopped = await create();
        assert.equal((await stopped.run({ until: at, maxInstructions: 1000 })).kind, "breakpoint");
        assert.equal(BigInt(stopped.hart.pc), at);
        stopped.step();
        assert.equal(BigInt(stopped.hart.pc), BigInt(p.address("handler")));
      });
    }
  }
}

test("EBREAK under GDB goes to the guest's handler, and a breakpoint at it stops before, as with QEMU", {
  skip: gdbMissing() || qemuMissing(64),
}, async () => {
  const text = await compareSessions(64, DEBUG_C, [
    ...["set osabi none", "tbreak handle_trap", "continue", "p cause", "x/i $mepc", "p/x $mcause"],
    ...["break *$mepc", "set var $mepc = $mepc", "continue", "x/i $pc", "p reason", "bt 1", "stepi", "p $pc == $mtvec"],
    ...["x/i $mepc", "info breakpoints"],
  ]);
  assert.match(text, /^ +0x[0-9a-f]+ <provoke\+\d+>:\tebreak$/m);
  assert.match(text, /^=> 0x[0-9a-f]+ <provoke\+\d+>:\tebreak$/m);
  const { text: monitor } = await gdbOfHartbeat(DEBUG_C, ["tbreak handle_trap", "continue", "monitor bt"]);
  assert.match(monitor, /^ {4}<trap>\r?\n#2 .* in provoke \(reason=\d+\) at debug_c\.c:83\r?\n#3 .* in main /m);
});

test("the log of traps has cause, address, value, privilege levels, status and place", () => {
  const { stderr } = hartbeat(["-bios", DEBUG_C, "-nographic", "-d", "int"]);
  assert.match(
    stderr,
    /async:0, cause:0{15}3, epc:(0x\w{16}), tval:\1, desc=breakpoint\n {2}M to M, mstatus:0x\w{16}, in provoke\+0x\w+ at debug_c\.c:83\n/,
  );
});
