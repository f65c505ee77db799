// Pointer masking (Smmpm, Smnpm, Ssnpm): which bits say nothing, at which privilege level, and for what accesses.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCpu } from "../machine/cpu.ts";
import { Machine } from "../machine/machine.ts";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { Guest, unsigned } from "./support/guest.ts";

const HANDLER = RAM_BASE + 0x100, CODE = RAM_BASE + 0x200, DATA = RAM_BASE + 0x1000, TABLE = RAM_BASE + 0x2000;
const ON = ",smmpm=on,smnpm=on,ssnpm=on", MXR = 1n << 19n, MPRV = 1n << 17n, PMM_7 = 2n << 32n, PMM_16 = 3n << 32n;
/** Where DATA is seen again with the sign bit set, under Sv39. */
const HIGH_DATA = 0xffff_ffff_c000_1000n;

/** A guest whose RAM is mapped where it is and at the top, for supervisor mode. */
async function create(): Promise<Guest> {
  const guest = await Guest.create(64, ON);
  guest.setCsr("mtvec", HANDLER);
  guest.setCsr("pmpaddr0", -1);
  guest.setCsr("pmpcfg0", 0x1f);
  const pte = BigInt(RAM_BASE >>> 12) << 10n | 0xcfn;
  guest.machine.memory.write64(TABLE + 8 * 2, pte);
  guest.machine.memory.write64(TABLE + 8 * 511, pte);
  guest.machine.memory.write64(TABLE + 8 * 3, pte | 0x10n);
  guest.machine.memory.write64(DATA, 0x1234n);
  guest.setCsr("satp", 8n << 60n | BigInt(TABLE >>> 12));
  return guest;
}

/** Loads from an address at a privilege level: what is there, or the cause and value of the exception. */
function load(guest: Guest, level: 0 | 1 | 3, address: bigint, status = 0n): bigint | [bigint, bigint] {
  if (guest.machine.hart.privilege !== "M") {
    guest.put(CODE + 8, "ecall");
    guest.pc = guest.machine.hart.privilege === "U" ? CODE + 8 + 0x4000_0000 : CODE + 8;
    guest.step();
  }
  guest.put(CODE, "ld", { rd: 5, rs1: 10 });
  guest.setX(10, unsigned(address, 64));
  guest.setX(5, 0);
  guest.setCsr("mstatus", BigInt(level) << 11n | status);
  // User mode has RAM at another address.
  guest.setCsr("mepc", level === 0 ? CODE + 0x4000_0000 : CODE);
  guest.execute("mret", {}, CODE - 4);
  guest.step();
  if (guest.machine.hart.privilege !== (["U", "S", "", "M"] as const)[level]) {
    return [guest.csr("mcause"), guest.csr("mtval")];
  }
  return guest.pc === BigInt(HANDLER) ? [guest.csr("mcause"), guest.csr("mtval")] : guest.x(5);
}

test("PMM is in mseccfg, menvcfg and senvcfg, and 01 leaves it as it was", async () => {
  const guest = await create();
  for (const name of ["mseccfg", "menvcfg", "senvcfg"]) {
    for (const [written, held] of [[3n, 3n], [1n, 3n], [2n, 2n], [0n, 0n]] as const) {
      guest.setCsr(name, written << 32n);
      assert.equal(guest.csr(name) >> 32n & 3n, held, name);
    }
  }
  const without = await Guest.create(64);
  without.setCsr("menvcfg", PMM_16);
  assert.equal(without.csr("menvcfg") >> 32n & 3n, 0n);
  assert.throws(() => parseCpu("rv32,ssnpm=on"), /only rv64 can have ssnpm/);
});

test("each level has its own field, in a register of the level above", async () => {
  const guest = await create();
  const tagged = (address: bigint, bits: number) =>
    unsigned(address, 64 - bits) | 0x5an << 56n & ~((1n << BigInt(64 - bits)) - 1n);
  for (const [name, level] of [["mseccfg", 3], ["menvcfg", 1], ["senvcfg", 0]] as const) {
    const data = BigInt(level === 0 ? DATA + 0x4000_0000 : DATA);
    assert.notEqual(load(guest, level, tagged(data, 7)), 0x1234n);
    for (const [field, bits] of [[PMM_7, 7], [PMM_16, 16]] as const) {
      guest.setCsr(name, field);
      assert.equal(load(guest, level, tagged(data, bits)), 0x1234n, `${name} ${bits}`);
      assert.equal(load(guest, level, data), 0x1234n);
      for (const other of [0, 1, 3] as const) {
        if (other !== level) {
          assert.notEqual(load(guest, other, tagged(BigInt(DATA), bits)), 0x1234n, `${name} ${other}`);
        }
      }
    }
    guest.setCsr(name, 0);
    assert.notEqual(load(guest, level, tagged(data, 7)), 0x1234n, "off again");
  }
});

test("virtual addresses are extended by their sign, physical ones by zeros, and exceptions report what is left", async () => {
  const guest = await create();
  guest.setCsr("menvcfg", PMM_16);
  assert.equal(load(guest, 1, HIGH_DATA & (1n << 48n) - 1n), 0x1234n);
  assert.equal(load(guest, 1, HIGH_DATA ^ 0x7fn << 56n), 0x1234n);
  assert.deepEqual(load(guest, 1, 0x7777_0000_0000_0008n), [13n, 8n]);
  assert.deepEqual(load(guest, 1, 0x7777_ffff_0000_0008n), [13n, 0xffff_ffff_0000_0008n]);
  guest.setCsr("satp", 0);
  assert.equal(load(guest, 1, 0xffff_0000_0000_0000n | BigInt(DATA)), 0x1234n);
  assert.deepEqual(load(guest, 1, 0x1234_ffff_0000_0008n), [5n, 0xffff_0000_0008n]);
});

test("MPRV takes the field of the level whose access it is; with MXR below machine mode nothing is masked", async () => {
  const guest = await create(), tagged = 0x5an << 56n | BigInt(DATA);
  guest.setCsr("menvcfg", PMM_7);
  assert.equal(load(guest, 1, tagged), 0x1234n);
  assert.deepEqual(load(guest, 1, tagged, MXR), [13n, tagged]);
  assert.equal(load(guest, 1, tagged), 0x1234n);
  guest.execute("ecall", {}, CODE);
  guest.setX(10, tagged);
  guest.setCsr("mstatus", 1n << 11n | MPRV);
  guest.execute("ld", { rd: 5, rs1: 10 }, CODE);
  assert.equal(guest.x(5), 0x1234n);
  guest.setCsr("mstatus", 3n << 11n | MPRV);
  guest.execute("ld", { rd: 5, rs1: 10 }, CODE);
  assert.deepEqual([guest.csr("mcause"), guest.csr("mtval")], [5n, tagged]);
});

test("instructions are fetched from the address as it is, and atomic and cache-block operations are masked, too", async () => {
  const guest = await create(), tagged = 0x5an << 56n | BigInt(DATA);
  guest.setCsr("menvcfg", PMM_7 | 0xf0n);
  load(guest, 1, BigInt(DATA));
  guest.setX(10, tagged);
  guest.setX(11, 1);
  guest.execute("amoadd.d", { rd: 5, rs1: 10, rs2: 11 }, CODE);
  assert.deepEqual([guest.x(5), guest.machine.memory.read64(DATA)], [0x1234n, 0x1235n]);
  guest.execute("lr.d", { rd: 5, rs1: 10 }, CODE);
  guest.execute("sc.d", { rd: 5, rs1: 10, rs2: 11 }, CODE);
  assert.deepEqual([guest.x(5), guest.machine.memory.read64(DATA)], [0n, 1n]);
  guest.execute("cbo.zero", { rs1: 10 }, CODE);
  assert.equal(guest.machine.memory.read64(DATA), 0n);
  guest.setX(10, tagged + 1n);
  guest.execute("amoadd.d", { rd: 5, rs1: 10, rs2: 11 }, CODE);
  assert.deepEqual([guest.csr("mcause"), guest.csr("mtval")], [6n, BigInt(DATA + 1)]);
  load(guest, 1, BigInt(DATA));
  guest.setX(10, 0x5an << 56n | BigInt(CODE));
  guest.execute("jalr", { rs1: 10 }, CODE);
  guest.step();
  assert.deepEqual([guest.csr("mcause"), guest.csr("mepc")], [12n, 0x5an << 56n | BigInt(CODE)]);
});

for (const accel of ["interpreter", "jit,threshold=1", "jit,threshold=1,target=javascript"]) {
  test(`a hot loop sees one location through pointers with different tags: ${accel}`, async () => {
    const p = new Program(64), rounds = 2000;
    p.li("t0", 3n << 32n).csr("csrrw", "mseccfg", 0, "t0").la("s0", "data").li("s1", rounds).li("s2", 0);
    p.label("loop").op("slli", { rd: "t0", rs1: "s1", imm: 48 }).op("or", { rd: "t1", rs1: "s0", rs2: "t0" });
    p.op("ld", { rd: "t2", rs1: "t1" }).op("addi", { rd: "t2", rs1: "t2", imm: 1 }).op("sd", { rs1: "s0", rs2: "t2" });
    p.op("sb", { rs1: "t1", rs2: "s1", imm: 8 }).op("lbu", { rd: "t3", rs1: "s0", imm: 8 });
    p.op("add", { rd: "s2", rs1: "s2", rs2: "t3" }).op("addi", { rd: "s1", rs1: "s1", imm: -1 });
    p.to("bne", "loop", { rs1: "s1", rs2: 0 }).csr("csrrw", "mseccfg", 0, 0);
    p.li("t0", 0x5555).li("t1", 0x10_0000).op("sw", { rs2: "t0", rs1: "t1" }).align(8).label("data").data(0, 16);
    await using m = await Machine.create({ cpu: "rv64,smmpm=on", accel, bios: p.elf(), memory: "4M" });
    assert.equal((await m.run()).kind, "exit");
    assert.equal(m.memory.read64(p.address("data")), BigInt(rounds));
    let sum = 0;
    for (let k = rounds; k > 0; k--) sum += k & 255;
    assert.equal(m.hart.x.s2, BigInt(sum));
  });
}
