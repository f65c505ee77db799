// GDB itself against hartbeat, and what it prints beside what it prints with QEMU as its target.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { program } from "./support/command.ts";
import { compareSessions, gdbMissing, gdbOfHartbeat } from "./support/gdb.ts";
import { qemuMissing } from "./support/qemu.ts";

const skip = gdbMissing();
const skip32 = skip || qemuMissing(32), skip64 = skip || qemuMissing(64);

function compare(xlen: 32 | 64, name: string, commands: readonly string[], smp = 1): Promise<string> {
  return compareSessions(xlen, program(name), commands, smp);
}

const FIRST_STEPS = [
  ...[
    "p/x $pc",
    "x/6i $pc",
    "si",
    "si",
    "si",
    "si",
    "si",
    "p/x $t0",
    "break _start",
    "continue",
    "si",
    "info registers",
  ],
  ...["p/x $sp", "x 0x90000000", "x 0x0", "p $priv", "info threads", "info breakpoints", "x/4xw 0x80000000"],
];

for (const name of ["p0", "p0uart"]) {
  test(`the first session with the Rust kernel ${name} reads as with QEMU`, { skip: skip32 }, async () => {
    const text = await compare(32, name, FIRST_STEPS);
    for (const line of ["$1 = 0x1000", "$2 = 0x80000000", "Cannot access memory at address 0x90000000"]) {
      assert.ok(text.split("\n").some((there) => there.endsWith(line)), text);
    }
  });
}

test("breakpoints, steps, registers and memory of the C kernel read as with QEMU", { skip: skip64 }, async () => {
  await compare(64, "kernel", [
    ...["break kernel_main", "continue", "bt", "info registers", "p $pc", "x/8i $pc", "stepi 5", "nexti 3"],
    ...[
      "p $priv",
      "p/x $mhartid",
      "p $fa0",
      "x/4xb 0x10000000",
      "hbreak enter_user",
      "continue",
      "stepi 6",
      "p $priv",
    ],
    ...[
      "set $a0 = 0x1234",
      "p/x $a0",
      "set var *(int*)0x80010000 = 7",
      "x/2xw 0x80010000",
      "p/x $mtvec",
      "set $mscratch = 5",
    ],
    ...["p $mscratch", "set $x0 = 3", "p $zero", "set $priv = 1", "p $priv", "p $priv = 3", "delete", "detach"],
  ]);
});

test("watchpoints, finish and backtraces of the C kernel read as with QEMU", { skip: skip64 }, async () => {
  const text = await compare(64, "kernel", [
    ...["break trap", "continue", "bt 1", "p/x $a0", "p *(long*)&ticks", "watch *(long*)&ticks", "continue", "x/i $pc"],
    ...["p *(long*)&ticks", "delete 2", "finish", "rwatch *(long*)&ticks", "continue", "x/i $pc", "delete 3"],
    ...["awatch *(long*)&ticks", "continue", "delete 1", "continue", "info breakpoints", "delete"],
  ]);
  assert.match(text, /Old value = 0\nNew value = 1\n/);
});

test("four harts are four threads, as with QEMU", { skip: skip64 }, async () => {
  const text = await compare(64, "kernel", [
    "info threads",
    "thread 3",
    "p $mhartid",
    "p/x $pc",
    "thread apply all p $mhartid",
  ], 4);
  assert.match(text, /Thread 1\.4 \(CPU#3 \[running\]\)/);
});

test("one of four harts is stepped; the others stand still where GDB locks them", { skip }, async () => {
  const { text } = await gdbOfHartbeat(program("kernel"), [
    ...["set scheduler-locking on", "thread 3", "si", "si", "info threads", "set scheduler-locking off", "thread 1"],
    ...["break kernel_main", "continue", "info threads"],
  ], { smp: 4 });
  assert.match(text, /\n\* 3 +Thread 1\.3 \(CPU#2 \[running\]\) +0x0*1008 in/);
  assert.match(text, /\n {2}1 +Thread 1\.1 \(CPU#0 \[running\]\) +0x0*1000 in/);
  assert.match(text, /Thread 1 hit Breakpoint 1, .* in kernel_main \(\)/);
});

/** From M-mode to S-mode, into virtual addresses, to another page table, to U-mode and back by ECALL. */
function modes(): Program {
  const p = new Program(64), gigapage = (address: number, bits: number) => BigInt(address) >> 2n | BigInt(bits);
  const satp = (label: string) =>
    p.la("t0", label).op("slli", { rd: "t0", rs1: "t0", imm: 32 }).op("srli", { rd: "t0", rs1: "t0", imm: 44 }).li(
      "t1",
      8n << 60n,
    )
      .op("or", { rd: "t0", rs1: "t0", rs2: "t1" }).csr("csrrw", "satp", 0, "t0").op("sfence.vma");
  p.li("t0", -1).csr("csrrw", "pmpaddr0", 0, "t0").li("t0", 0x1f).csr("csrrw", "pmpcfg0", 0, "t0");
  p.li("t0", 1 << 11).csr("csrrs", "mstatus", 0, "t0").li("t0", 0x100).csr("csrrs", "medeleg", 0, "t0");
  p.la("t0", "supervisor").csr("csrrw", "mepc", 0, "t0").op("mret");
  p.align(4).label("supervisor");
  satp("first");
  // Up: the same code at 0xffffffc0_80000000.
  p.la("t0", "up").li("t1", 0xffffffc0n << 32n).op("add", { rd: "t0", rs1: "t0", rs2: "t1" }).op("jalr", { rs1: "t0" });
  p.label("up").op("addi", { rd: "a0", rs1: 0, imm: 1 });
  satp("second");
  p.label("switched").op("addi", { rd: "a0", rs1: "a0", imm: 1 }).la("t0", "handler").csr("csrrw", "stvec", 0, "t0");
  p.la("t0", "user").li("t1", 0xffffffff).op("and", { rd: "t0", rs1: "t0", rs2: "t1" }).li("t1", 1n << 32n);
  p.op("add", { rd: "t0", rs1: "t0", rs2: "t1" }).csr("csrrw", "sepc", 0, "t0").op("sret");
  p.align(4).label("user").op("addi", { rd: "a0", rs1: "a0", imm: 1 }).op("ecall");
  p.align(4).label("handler").op("addi", { rd: "a0", rs1: "a0", imm: 1 }).label("end").to("jal", "end", { rd: 0 });
  // Tables of gigapages: RAM at its own address, at 0xffffffc0_80000000, and in the second for user mode at 0x1_80000000.
  for (const label of ["first", "second"]) {
    p.align(4096).label(label);
    for (let k = 0; k < 512; k++) {
      const table = new Map([[2, 0xcf], [0x100 + 2, 0xcf], ...label === "second" ? [[6, 0xdf]] as const : []]);
      p.data(table.has(k) ? gigapage(RAM_BASE, table.get(k)!) : 0n, 8);
    }
  }
  return p;
}

test("steps across mret, page tables and sret, and breakpoints at virtual addresses, read as with QEMU", {
  skip: skip64,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-modes-")), elf = join(folder, "modes.elf"), p = modes();
  try {
    writeFileSync(elf, p.elf());
    const high = (label: string) => `*0xffffffc0${p.address(label).toString(16)}`;
    const where = ["p/x $pc", "x/i $pc", "p $priv", "p/x $satp"];
    const text = await compareSessions(64, elf, [
      ...[
        `hbreak *0x${p.address("supervisor").toString(16)}`,
        `hbreak ${high("up")}`,
        `hbreak ${high("handler")}`,
        "continue",
      ],
      ...[...where, "monitor info mem", "continue", ...where, "monitor info mem", `x/2i ${high("up").slice(1)}`],
      ...["x 0x0", ...Array.from({ length: 30 }, () => "si"), ...where, "monitor info mem", "p $a0", "p/x $scause"],
    ]);
    assert.match(text, /0xffffffc08/);
    assert.match(text, /^0000000180000000 0000000080000000 0000000040000000 rwxu-ad$/m);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a breakpoint whose condition holds at the thousandth hit stops there", { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-loop-")), elf = join(folder, "loop.elf"), p = new Program(64);
  try {
    p.li("a0", 0).label("loop").op("addi", { rd: "a0", rs1: "a0", imm: 1 }).label("there").to("jal", "loop", { rd: 0 });
    writeFileSync(elf, p.elf());
    const { text } = await gdbOfHartbeat(elf, [
      ...[`break *0x${p.address("there").toString(16)} if $a0 == 1000`, "continue", "p $a0", "info breakpoints"],
    ]);
    assert.match(text, /\$1 = 1000\n/);
    assert.match(text, /breakpoint already hit 1 time/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("load puts a program into memory, and compare-sections finds it there", { skip }, async () => {
  const { text } = await gdbOfHartbeat(program("kernel"), [
    ...[
      "set var *(int*)0x80000000 = 0",
      "compare-sections .text",
      "load",
      "compare-sections .text",
      "p/x $pc",
      "find /w 0x80000000, +64, *(int*)0x80000004",
    ],
  ]);
  assert.match(text, /MIS-MATCHED!/);
  assert.match(text, /Transfer rate/);
  assert.match(text, /, range 0x[0-9a-f]+ -- 0x[0-9a-f]+: matched/);
  assert.match(text, /0x80000004 <_start\+4>\n1 pattern found/);
});

test("a guest that ends is reported with its exit code", { skip }, async () => {
  const { text, stop } = await gdbOfHartbeat(program("p0uart"), ["continue"]);
  assert.match(text, /exited with code 07/);
  assert.ok(stop.kind === "exit" && stop.code === 7);
});

test("kill ends the run, detach lets the guest go on, and another GDB may connect", { skip }, async () => {
  assert.equal((await gdbOfHartbeat(program("kernel"), ["kill"])).stop.kind, "stopped");
  const { machine, stop } = await gdbOfHartbeat(program("kernel"), ["break kernel_main", "detach"]);
  assert.equal(machine.debug.halted, false);
  assert.ok(stop.kind === "exit" || stop.kind === "stopped");
});
