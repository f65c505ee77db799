// Zcmp and Zcmt (unprivileged manual, chapter "Zc*"): what is saved where, returns, moves, table jumps, and compiled code around them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Decoder } from "../isa/decode.ts";
import { disassemble } from "../isa/disassemble.ts";
import { isaString } from "../isa/extensions.ts";
import { parseCpu } from "../machine/cpu.ts";
import { Machine } from "../machine/machine.ts";
import { assemble, csrNumber, Program, RAM_BASE } from "./support/assemble.ts";
import { Guest, RAM_END, WIDTHS } from "./support/guest.ts";

const STACK = RAM_BASE + 0x8000, CODE = RAM_BASE + 0x1000, HANDLER = RAM_BASE + 0x100;
const ON = ",zcmp=on,zcmt=on";

/** Registers by the number of a list, and how far the stack pointer moves at least, by width (table of the manual). */
const LISTS: readonly (readonly [number, readonly number[], number, number])[] = [
  [4, [1], 16, 16],
  [5, [1, 8], 16, 16],
  [6, [1, 8, 9], 16, 32],
  [7, [1, 8, 9, 18], 16, 32],
  [8, [1, 8, 9, 18, 19], 32, 48],
  [9, [1, 8, 9, 18, 19, 20], 32, 48],
  [10, [1, 8, 9, 18, 19, 20, 21], 32, 64],
  [11, [1, 8, 9, 18, 19, 20, 21, 22], 32, 64],
  [12, [1, 8, 9, 18, 19, 20, 21, 22, 23], 48, 80],
  [13, [1, 8, 9, 18, 19, 20, 21, 22, 23, 24], 48, 80],
  [14, [1, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25], 48, 96],
  [15, [1, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27], 64, 112],
];

for (const xlen of WIDTHS) {
  const size = xlen / 8,
    word = (guest: Guest, at: number) =>
      xlen === 64 ? guest.machine.memory.read64(at) : BigInt(guest.machine.memory.read32(at));

  test(`CM.PUSH and CM.POP of RV${xlen} save and restore each list, with the last register on top`, async () => {
    const guest = await Guest.create(xlen, ON);
    for (const [list, registers, narrow, wide] of LISTS) {
      for (const more of [0, 1, 2, 3]) {
        const move = (xlen === 32 ? narrow : wide) + 16 * more, imm = list << 2 | more;
        for (let n = 1; n < 32; n++) guest.setX(n, n * 0x0101_0101);
        guest.setX("sp", STACK);
        guest.machine.memory.write(STACK - 256, new Uint8Array(256));
        const before = guest.registers();
        guest.execute("cm.push", { imm }, CODE);
        assert.deepEqual(guest.registers(), before.map((value, n) => n === 2 ? BigInt(STACK - move) : value));
        assert.equal(guest.pc, BigInt(CODE + 2));
        registers.forEach((n, k) => {
          assert.equal(word(guest, STACK - size * (registers.length - k)), BigInt(n * 0x0101_0101), `x${n} of ${list}`);
        });
        assert.equal(word(guest, STACK - size * (registers.length + 1)), 0n, "nothing below");
        for (let n = 1; n < 32; n++) if (n !== 2) guest.setX(n, 7);
        guest.execute("cm.pop", { imm }, CODE);
        assert.deepEqual(
          guest.registers(),
          before.map((value, n) => n === 0 || n === 2 || registers.includes(n) ? value : 7n),
        );
      }
    }
    for (const imm of [0, 1, 15]) {
      guest.setCsr("mtvec", HANDLER);
      guest.machine.memory.write16(CODE, 0xb802 | imm << 2);
      guest.pc = CODE;
      guest.step();
      assert.equal(guest.csr("mcause"), 2n, "lists below 4 are reserved");
    }
  });

  test(`CM.POPRET and CM.POPRETZ of RV${xlen} return to the address that they load`, async () => {
    const guest = await Guest.create(xlen, ON);
    for (const [name, result] of [["cm.popret", 7n], ["cm.popretz", 0n]] as const) {
      guest.setX("sp", STACK);
      guest.setX("ra", CODE + 0x101);
      guest.execute("cm.push", { imm: 5 << 2 }, CODE);
      guest.setX("ra", 0);
      guest.setX("a0", 7);
      guest.execute(name, { imm: 5 << 2 }, CODE);
      assert.deepEqual([guest.pc, guest.x("ra"), guest.x("a0"), guest.x("sp")], [
        ...[BigInt(CODE + 0x100), BigInt(CODE + 0x101)],
        ...[result, BigInt(STACK)],
      ]);
    }
  });

  test(`a fault of CM.PUSH or CM.POP of RV${xlen} leaves registers as they were, so that it can be executed again`, async () => {
    const guest = await Guest.create(xlen, ON);
    guest.setCsr("mtvec", HANDLER);
    for (
      const [name, sp, cause, at] of [
        ["cm.push", RAM_END + size, 7n, RAM_END],
        ["cm.pop", RAM_END - size, 5n, RAM_END + 16 - 2 * size],
      ] as const
    ) {
      guest.setX("sp", sp);
      guest.setX("s0", 3);
      const before = guest.registers();
      guest.execute(name, { imm: 5 << 2 }, CODE);
      assert.equal(guest.csr("mcause"), cause);
      assert.ok([BigInt(at), BigInt(RAM_END), BigInt(at + size)].includes(guest.csr("mtval")), `${guest.csr("mtval")}`);
      assert.deepEqual(guest.registers(), before);
    }
  });

  test(`CM.MVSA01 and CM.MVA01S of RV${xlen} move two registers at once`, async () => {
    const guest = await Guest.create(xlen, ON), saved = [8, 9, 18, 19, 20, 21, 22, 23];
    for (const rs1 of saved) {
      for (const rs2 of saved) {
        for (let n = 1; n < 32; n++) guest.setX(n, n);
        const before = guest.registers();
        guest.execute("cm.mva01s", { rs1, rs2 }, CODE);
        assert.deepEqual(guest.registers(), before.map((v, n) => n === 10 ? BigInt(rs1) : n === 11 ? BigInt(rs2) : v));
        if (rs1 === rs2) continue;
        guest.setX(10, 10);
        guest.setX(11, 11);
        guest.execute("cm.mvsa01", { rs1, rs2 }, CODE);
        assert.deepEqual(guest.registers(), before.map((v, n) => n === rs1 ? 10n : n === rs2 ? 11n : v));
      }
    }
  });

  test(`CM.JT and CM.JALT of RV${xlen} go where jvt's table says`, async () => {
    const guest = await Guest.create(xlen, ON), table = RAM_BASE + 0x4000;
    guest.setCsr("jvt", table + 63);
    assert.equal(guest.csr("jvt"), BigInt(table), "mode 0 is the only one");
    for (const index of [0, 5, 31, 32, 255]) {
      guest.setX("ra", 0x77);
      if (xlen === 64) guest.machine.memory.write64(table + 8 * index, BigInt(CODE + 0x200 + 2 * index + 1));
      else guest.machine.memory.write32(table + 4 * index, CODE + 0x200 + 2 * index + 1);
      guest.execute(index < 32 ? "cm.jt" : "cm.jalt", { imm: index }, CODE);
      assert.equal(guest.pc, BigInt(CODE + 0x200 + 2 * index));
      assert.equal(guest.x("ra"), index < 32 ? 0x77n : BigInt(CODE + 2));
    }
    guest.setCsr("mtvec", HANDLER);
    guest.setCsr("jvt", 0x1000_0000);
    guest.execute("cm.jalt", { imm: 33 }, CODE);
    assert.deepEqual(guest.trap, { cause: 1n, pc: BigInt(CODE), value: BigInt(0x1000_0000 + 33 * size) });
    assert.equal(guest.x("ra"), BigInt(CODE + 2), "left as it was");
  });

  test(`functions that push and pop run alike interpreted and compiled on RV${xlen}`, async () => {
    // fib, with Zcmp's prologue and epilogue.
    const p = new Program(xlen);
    p.li("sp", RAM_BASE + 0x10_0000).li("a0", 15).to("jal", "fib", { rd: 1 }).la("t0", "result");
    p.op("sw", { rs1: "t0", rs2: "a0" }).li("t0", 0x5555).li("t1", 0x10_0000).op("sw", { rs2: "t0", rs1: "t1" });
    p.label("fib").li("t0", 2).to("blt", "small", { rs1: "a0", rs2: "t0" });
    p.op("cm.push", { imm: 6 << 2 }).op("addi", { rd: "s0", rs1: "a0" }).op("addi", { rd: "a0", rs1: "a0", imm: -1 });
    p.to("jal", "fib", { rd: 1 }).op("addi", { rd: "s1", rs1: "a0" }).op("addi", { rd: "a0", rs1: "s0", imm: -2 });
    p.to("jal", "fib", { rd: 1 }).op("add", { rd: "a0", rs1: "a0", rs2: "s1" }).op("cm.popret", { imm: 6 << 2 });
    p.label("small").op("jalr", { rs1: 1 }).align(8).label("result").data(0, 4);
    const counts = new Set<number>();
    for (const accel of ["interpreter", "jit,threshold=1", "jit,threshold=20,target=javascript"]) {
      await using m = await Machine.create({ cpu: `rv${xlen}${ON}`, accel, bios: p.elf(), memory: "4M" });
      assert.equal((await m.run()).kind, "exit");
      assert.equal(m.memory.read32(p.address("result")), 610);
      counts.add(m.instructions);
    }
    assert.equal(counts.size, 1);
  });
}

test("Zcmp and Zcmt are there on request, in place of Zcd", () => {
  const names = (cpu: string) => isaString(32, parseCpu(cpu).extensions);
  assert.match(names("rv32i,zcmp=on"), /^rv32i_zca_zcmp$/);
  assert.ok(!parseCpu("rv32").extensions.has("Zcmp"));
  const both = parseCpu("rv32,zcmp=on").extensions;
  assert.ok(both.has("D") && both.has("Zcf") && !both.has("Zcd") && !both.has("C"));
  assert.ok(!parseCpu("rv32,zcmp=on,zcd=on").extensions.has("Zcmp"));
});

test("Zcmp and Zcmt are disassembled as objdump does", () => {
  const text = (name: string, fields: Parameters<typeof assemble>[2], xlen: 32 | 64 = 32) =>
    disassemble(new Decoder(xlen, parseCpu(`rv${xlen}i${ON}`).extensions), assemble(xlen, name, fields), 0n).text;
  assert.equal(text("cm.push", { imm: 4 << 2 }), "cm.push\t{ra},-16");
  assert.equal(text("cm.push", { imm: 5 << 2 | 3 }, 64), "cm.push\t{ra,s0},-64");
  assert.equal(text("cm.popret", { imm: 15 << 2 }), "cm.popret\t{ra,s0-s11},64");
  assert.equal(text("cm.popretz", { imm: 6 << 2 }, 64), "cm.popretz\t{ra,s0-s1},32");
  assert.equal(text("cm.mvsa01", { rs1: "s7", rs2: "s0" }), "cm.mvsa01\ts7,s0");
  assert.equal(text("cm.jalt", { imm: 77 }), "cm.jalt\t77");
  assert.equal(assemble(32, "cm.push", { imm: 4 << 2 }), 0xb842);
  assert.equal(assemble(32, "cm.mva01s", { rs1: "s1", rs2: "s2" }), 0xacea);
  assert.equal(csrNumber("jvt"), 0x17);
});
