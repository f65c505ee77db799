// Floating point on integer registers (unprivileged manual, chapter "Zfinx"): random operands beside QEMU, where nothing is
// floating-point state, and what is not there.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Decoder } from "../isa/decode.ts";
import { disassemble } from "../isa/disassemble.ts";
import type { Xlen } from "../isa/instruction.ts";
import { INSTRUCTIONS } from "../isa/table.ts";
import { Machine } from "../machine/machine.ts";
import { parseCpu } from "../machine/cpu.ts";
import { assemble, csrNumber, Program, RAM_BASE } from "./support/assemble.ts";
import { Guest, WIDTHS } from "./support/guest.ts";
import { printing, qemuMissing, runInQemu } from "./support/qemu.ts";
import { seeded } from "./support/random_program.ts";

const INX = ["Zfinx", "Zdinx", "Zhinx", "Zhinxmin"];

/** Bits that are interesting in some format, wherever they stand. */
const SPECIAL = [
  ...[
    0n,
    0x8000_0000n,
    0x3f80_0000n,
    0xbf80_0000n,
    0x7f80_0000n,
    0x7fc0_0000n,
    0x7f80_0001n,
    0x0000_0001n,
    0x4b00_0001n,
  ],
  ...[
    0x3ff0_0000_0000_0000n,
    0x7ff0_0000_0000_0000n,
    0xfff8_0000_0000_0000n,
    0x7ff0_0000_0000_0001n,
    0x41e0_0000_0000_0000n,
  ],
  ...[0x3c00n, 0x7c00n, 0x7e00n, 0xfc01n, 0x8000n, 0x0001n, 0x4248n, -1n],
];

/** Operands of an instruction: registers in pairs, now and then x0, and the destination among the sources. */
function operands(random: () => number): { rd: number; rs1: number; rs2: number; rs3: number } {
  const pick = (register: number) => random() % 8 === 0 ? 0 : register;
  return {
    rd: random() % 6 === 0 ? 10 : pick(16),
    rs1: pick(10),
    rs2: random() % 8 === 0 ? 10 : pick(12),
    rs3: pick(14),
  };
}

/** Executes every instruction with a few operand sets and prints what it leaves in registers and fflags. */
function program(xlen: Xlen, seed: number, sets: number): { program: Program; rows: string[] } {
  const p = new Program(xlen), random = seeded(seed), rows: string[] = [], size = xlen / 8;
  const word = () => BigInt(random()) << 32n | BigInt(random());
  const values: bigint[] = [];
  p.la("s0", "values");
  for (const instruction of INSTRUCTIONS) {
    if (!instruction.extensions.some((name) => INX.includes(name))) continue;
    if (instruction.xlen !== undefined && instruction.xlen !== xlen) continue;
    // QEMU 7.2 drops what these give.
    if (["fsgnjn.h", "fsgnjx.h"].includes(instruction.name)) continue;
    const hasMode = ["R4", "fR", "fR1", "fcvtx", "fcvtf"].includes(instruction.format);
    for (let k = 0; k < sets; k++) {
      const fields = { ...operands(random), imm: hasMode ? [0, 1, 2, 3, 4, 7][random() % 6]! : 0 };
      // The same words often, so that operands compare and round alike.
      for (let register = 10; register < 18; register++) {
        p.op(xlen === 64 ? "ld" : "lw", { rd: register, rs1: "s0" }).op("addi", { rd: "s0", rs1: "s0", imm: size });
        values.push(
          random() % 3 === 0 ? word() : SPECIAL[random() % SPECIAL.length]! >> (random() % 4 === 0 ? 32n : 0n),
        );
      }
      p.li("ra", 0x77).csri("csrrwi", "fflags", 0, 0).csri("csrrwi", "frm", 0, random() % 5);
      p.word(instruction.encoding.encode(fields)).csr("csrrs", "fflags", "a3", 0).op("addi", { rd: "s1", rs1: "ra" });
      p.op("xor", { rd: "s1", rs1: "s1", rs2: "a1" }).op("slli", { rd: "a3", rs1: "a3", imm: 8 });
      p.op("xor", { rd: "s1", rs1: "s1", rs2: "a3" }).op("xor", { rd: "a6", rs1: "a6", rs2: "a0" });
      for (const register of ["a6", "a7", "s1"]) {
        p.op("addi", { rd: "a0", rs1: register }).to("jal", "print", { rd: "ra" });
      }
      p.li("a1", 10).to("jal", "put", { rd: "t6" });
      rows.push(`${instruction.name} ${JSON.stringify(fields)} ${values.slice(-8).map((v) => v.toString(16))}`);
    }
  }
  p.to("jal", "exit", { rd: 0 });
  printing(p);
  p.align(8).label("values");
  for (const value of [...values, 0n]) p.data(BigInt.asUintN(xlen, value), size);
  return { program: p, rows };
}

for (const xlen of WIDTHS) {
  const cpu = `rv${xlen},f=off,d=off,zfinx=on,zdinx=on,zhinx=on`;
  test(
    `RV${xlen} floating point on integer registers does what it does in QEMU`,
    { skip: qemuMissing(xlen) },
    async () => {
      const { program: p, rows } = program(xlen, 1, 3), elf = p.elf();
      const theirs = runInQemu(xlen, elf, ["-cpu", cpu]).trim().split("\n");
      assert.equal(theirs.length, rows.length);
      for (const accel of ["interpreter", "jit,threshold=1", "jit,threshold=1,target=javascript"]) {
        await using machine = await Machine.create({ cpu, bios: elf, accel, memory: "16M" });
        await machine.run();
        const ours = machine.console.output.trim().split("\n");
        rows.forEach((row, k) => assert.equal(ours[k], theirs[k], `${accel}: ${row}`));
      }
    },
  );

  test(`RV${xlen} with Zfinx has neither f registers nor floating-point state`, async () => {
    const guest = await Guest.create(xlen, ",zfinx=on,zdinx=on,zhinx=on"), handler = RAM_BASE + 0x100;
    guest.setCsr("mtvec", handler);
    assert.equal(guest.csr("misa") >> 3n & 0b101n, 0n, "neither D nor F");
    guest.setCsr("mstatus", 3n << 13n);
    assert.equal(guest.csr("mstatus") >> 13n & 3n, 0n, "mstatus.FS is 0");
    for (const name of ["flw", "fsw", "fld", "fsd", "flh", "fmv.x.w", "fmv.w.x", "fli.s"]) {
      guest.execute(name);
      assert.equal(guest.pc, BigInt(handler), name);
      assert.equal(guest.csr("mcause"), 2n, name);
    }
    guest.execute("csrrwi", { rs1: 0x1f, imm: csrNumber("fflags") });
    assert.equal(guest.pc, BigInt(RAM_BASE + 4));
    assert.equal(guest.csr("mstatus") >> 13n & 3n, 0n, "and stays it");
    guest.setX(10, 0xffff_ffff_3f80_0000n);
    guest.execute("fadd.s", { rd: 11, rs1: 10, rs2: 10 });
    assert.equal(guest.x(11), 0x4000_0000n, "bits above are ignored");
    guest.execute("fsgnjn.s", { rd: 11, rs1: 10, rs2: 10 });
    assert.equal(guest.x(11), BigInt.asUintN(xlen, 0xffff_ffff_bf80_0000n), "results are sign-extended");
    guest.setX(10, 0x1_4248);
    guest.setX(12, 0x8000);
    for (const [name, result] of [["fsgnj.h", -0x3db8], ["fsgnjn.h", 0x4248], ["fsgnjx.h", -0x3db8]] as const) {
      guest.execute(name, { rd: 11, rs1: 10, rs2: 12 });
      assert.equal(guest.x(11), BigInt.asUintN(xlen, BigInt(result)), name);
    }
    // A double needs a pair of registers on RV32.
    const expected = xlen === 32 ? BigInt(handler) : BigInt(RAM_BASE + 4);
    for (const fields of [{ rd: 11, rs1: 10 }, { rd: 10, rs1: 11 }, { rd: 10, rs1: 10, rs2: 11 }]) {
      guest.execute("fadd.d", fields);
      assert.equal(guest.pc, expected);
    }
    guest.execute("fcvt.s.d", { rd: 11, rs1: 10 });
    assert.equal(guest.pc, BigInt(RAM_BASE + 4), "a single does not");
    guest.execute("feq.d", { rd: 11, rs1: 10, rs2: 12 });
    assert.equal(guest.pc, BigInt(RAM_BASE + 4), "nor does what a comparison gives");
  });
}

test("-cpu has F or Zfinx, whichever comes later", () => {
  const names = (text: string) => parseCpu(text).extensions;
  assert.deepEqual(["F", "Zfa", "Zfh"].filter((name) => names("rv64,zhinx=on").has(name as "F")), []);
  assert.ok(names("rv64,zfinx=on").has("C") && names("rv32,zfinx=on").has("C"));
  assert.ok(!names("rv64,zdinx=on,d=on").has("Zfinx") && names("rv64,zdinx=on,d=on").has("D"));
});

test("the operands of Zfinx are shown as the registers that they are", () => {
  const decoder = new Decoder(64, parseCpu("rv64,zdinx=on").extensions);
  const word = assemble(64, "fmadd.d", { rd: 10, rs1: 11, rs2: 12, rs3: 13, imm: 7 });
  assert.equal(disassemble(decoder, word, 0n).text, "fmadd.d\ta0,a1,a2,a3");
});
