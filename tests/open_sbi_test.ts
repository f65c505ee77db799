// OpenSBI, as Debian packages it, starts a supervisor-mode program that prints and powers off by SBI calls, as in QEMU.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { Machine } from "../machine/machine.ts";
import { Program } from "./support/assemble.ts";

const FIRMWARE = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin";
const KERNEL = 0x8020_0000, MESSAGE = "hello from supervisor mode ";
/** SBI extensions: legacy console output, TIME, system reset. */
const PUTCHAR = 1, TIME = 0x5449_4d45, SRST = 0x5352_5354;
const SSI_STI = 1 << 5;

function missing(): string | false {
  if (existsSync(FIRMWARE)) return false;
  const why = `${FIRMWARE} is needed: apt-get install opensbi`;
  if (process.env.CI) throw new Error(why);
  return why;
}

/** Prints a message, waits a moment for the timer, prints another character and powers off. */
function kernel(): Uint8Array {
  const p = new Program(64, KERNEL), call = (extension: number) => p.li("a7", extension).op("ecall");
  p.la("s0", "message").label("next").op("lbu", { rd: "a0", rs1: "s0" }).to("beq", "printed", { rs1: "a0", rs2: 0 });
  call(PUTCHAR).op("addi", { rd: "s0", rs1: "s0", imm: 1 }).to("jal", "next", { rd: 0 });
  p.label("printed").csr("csrrs", "time", "a0", 0).li("t0", 1000).op("add", { rd: "a0", rs1: "a0", rs2: "t0" }).li(
    "a6",
    0,
  );
  call(TIME).la("t0", "timer").csr("csrrw", "stvec", 0, "t0").li("t0", SSI_STI).csr("csrrs", "sie", 0, "t0");
  p.csri("csrrsi", "sstatus", 0, 2).label("wait").op("wfi").to("jal", "wait", { rd: 0 });
  p.align(4).label("timer").csr("csrrs", "scause", "t0", 0).op("andi", { rd: "a0", rs1: "t0", imm: 15 });
  p.op("addi", { rd: "a0", rs1: "a0", imm: 0x30 });
  call(PUTCHAR).li("a0", 0).li("a1", 0).li("a6", 0);
  call(SRST).label("message").bytes(new TextEncoder().encode(`${MESSAGE}\0`)).align(4);
  return p.elf();
}

for (const accel of ["interpreter", "jit", "jit,threshold=1"]) {
  for (const cpu of ["rv64", "rv64,sstc=off"]) {
    test(`OpenSBI serves a supervisor-mode program (-accel ${accel}, -cpu ${cpu})`, { skip: missing() }, async () => {
      await using machine = await Machine.create({ bios: FIRMWARE, kernel: kernel(), accel, cpu });
      const stop = await machine.run({ maxInstructions: 20_000_000 });
      assert.match(machine.console.output, /OpenSBI v\d/);
      assert.equal(machine.console.output.slice(-MESSAGE.length - 1), `${MESSAGE}5`);
      assert.deepEqual([stop.kind, "code" in stop && stop.code], ["exit", 0]);
    });
  }
}
