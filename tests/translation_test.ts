// Address translation where random page tables do not lead (tests/translation_qemu_test.ts): when a change takes effect, fetches
// over the end of a page, A and D by hardware or by software, and reserved bits.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Machine } from "../machine/machine.ts";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { Guest } from "./support/guest.ts";

const HANDLER = RAM_BASE + 0x100, ROOT = RAM_BASE + 0x1000, MIDDLE = RAM_BASE + 0x2000, LEAVES = RAM_BASE + 0x3000;
const DATA = RAM_BASE + 0x1_0000;
const V = 1n, R = 2n, W = 4n, X = 8n, U = 16n, A = 64n, D = 128n, ALL = V | R | W | X | A | D;
const MPRV = 1n << 17n, MPP = 3n << 11n, MPP_S = 1n << 11n, SUM = 1n << 18n;
const SATP = 8n << 60n | BigInt(ROOT / 4096);
const ADUE = 1n << 61n;

/** A guest with Sv39 in which virtual page n of the first 2 MiB is `pte(n)`, in machine mode with data accesses as in S-mode. */
async function create(cpu = ""): Promise<Guest> {
  const guest = await Guest.create(64, `${cpu},pmp=off`);
  guest.setCsr("mtvec", HANDLER);
  guest.machine.memory.write64(ROOT, BigInt(MIDDLE / 4096) << 10n | V);
  guest.machine.memory.write64(MIDDLE, BigInt(LEAVES / 4096) << 10n | V);
  guest.setCsr("satp", SATP);
  guest.setCsr("mstatus", MPRV | MPP_S);
  return guest;
}
function map(guest: Guest, page: number, physical: number, bits: bigint): void {
  guest.machine.memory.write64(LEAVES + 8 * page, BigInt(physical / 4096) << 10n | bits);
}
function pte(guest: Guest, page: number): bigint {
  return BigInt(guest.machine.memory.read64(LEAVES + 8 * page)!);
}
/** Loads a word; undefined if it faults. */
function load(guest: Guest, address: number): bigint | undefined {
  guest.setX(6, address);
  guest.execute("lw", { rd: 5, rs1: 6 });
  return guest.pc === BigInt(HANDLER) ? undefined : guest.x(5);
}
/** Stores a word; false if it faults. */
function store(guest: Guest, address: number, value: number): boolean {
  guest.setX(6, address);
  guest.setX(7, value);
  guest.execute("sw", { rs1: 6, rs2: 7 });
  return guest.pc !== BigInt(HANDLER);
}
/** After a fault: machine mode with data accesses of S-mode again. */
function again(guest: Guest, status = 0n): void {
  guest.setCsr("mstatus", MPRV | MPP_S | status);
}
function enterSupervisor(guest: Guest, address: number): void {
  guest.setCsr("mstatus", MPP_S);
  guest.setCsr("mepc", address);
  guest.execute("mret", {}, RAM_BASE + 0x8000);
}

test("a page that was used is what its new entry says after SFENCE.VMA, for all pages or for its address", async () => {
  for (const fields of [{}, { rs1: 8 }, { rs1: 8, rs2: 9 }]) {
    const guest = await create();
    guest.machine.memory.write32(DATA, 1);
    guest.machine.memory.write32(DATA + 4096, 2);
    map(guest, 5, DATA, ALL);
    guest.setX(8, 5 * 4096 + 8);
    assert.equal(load(guest, 5 * 4096), 1n);
    map(guest, 5, DATA + 4096, ALL);
    guest.execute("sfence.vma", fields);
    assert.equal(load(guest, 5 * 4096), 2n);
    assert.ok(store(guest, 5 * 4096, 3));
    assert.equal(guest.machine.memory.read32(DATA + 4096), 3);
  }
});

test("SFENCE.VMA with any address in a large page forgets all of the large page", async () => {
  const guest = await create(), memory = guest.machine.memory;
  memory.write64(MIDDLE, BigInt(RAM_BASE / 4096) << 10n | ALL);
  memory.write32(DATA, 1);
  assert.equal(load(guest, DATA - RAM_BASE), 1n);
  memory.write64(MIDDLE, 0n);
  guest.setX(8, 0x5000);
  guest.execute("sfence.vma", { rs1: 8 });
  assert.equal(load(guest, DATA - RAM_BASE), undefined);
});

test("pages of user mode are reached from supervisor mode only under SUM, whatever was reached before", async () => {
  const guest = await create();
  map(guest, 1, DATA, ALL | U);
  map(guest, 2, DATA, ALL);
  again(guest, SUM);
  assert.equal(load(guest, 4096), 0n);
  again(guest);
  assert.equal(load(guest, 4096), undefined);
  again(guest);
  assert.equal(load(guest, 8192), 0n);
  guest.setCsr("mstatus", MPRV); // as in user mode
  assert.equal(load(guest, 8192), undefined);
  guest.setCsr("mstatus", MPRV);
  assert.equal(load(guest, 4096), 0n);
});

test("the first store to a clean page that was read sets D", async () => {
  const guest = await create();
  map(guest, 1, DATA, V | R | W);
  assert.equal(load(guest, 4096), 0n);
  assert.equal(pte(guest, 1) & (A | D), A);
  assert.ok(store(guest, 4096, 1));
  assert.equal(pte(guest, 1) & (A | D), A | D);
});

test("without menvcfg.ADUE a page without A, or a store to one without D, faults and leaves the entry alone", async () => {
  for (const cpu of ["", ",svadu=off"]) {
    const guest = await create(cpu);
    if (cpu === "") guest.setCsr("menvcfg", guest.csr("menvcfg") & ~ADUE);
    assert.equal(guest.csr("menvcfg") & ADUE, 0n);
    map(guest, 1, DATA, V | R | W);
    map(guest, 2, DATA, V | R | W | A);
    assert.equal(load(guest, 4096), undefined);
    assert.deepEqual(guest.trap, { cause: 13n, pc: BigInt(RAM_BASE), value: 4096n });
    again(guest);
    assert.equal(load(guest, 8192), 0n);
    assert.ok(!store(guest, 8192, 1));
    assert.deepEqual(guest.trap, { cause: 15n, pc: BigInt(RAM_BASE), value: 8192n });
    assert.deepEqual([pte(guest, 1) & (A | D), pte(guest, 2) & (A | D)], [0n, A]);
  }
});

test("reserved bits, Svnapot's and Svpbmt's where they are off, fault", async () => {
  for (const bit of [54n, 55n, 56n, 57n, 58n, 59n, 60n]) {
    const guest = await create();
    map(guest, 1, DATA, ALL | 1n << bit);
    assert.equal(load(guest, 4096), undefined, `bit ${bit}`);
  }
  for (
    const [cpu, bits, good] of [["", 1n, true], ["", 2n, true], ["", 3n, false], [",svpbmt=off", 1n, false]] as const
  ) {
    const guest = await create(cpu);
    map(guest, 1, DATA, ALL | bits << 61n);
    assert.equal(load(guest, 4096) !== undefined, good, `PBMT ${bits}${cpu}`);
  }
  const guest = await create(",svnapot=off");
  map(guest, 1, DATA + 0x8000, ALL | 1n << 63n);
  assert.equal(load(guest, 4096), undefined);
});

test("an instruction over the end of a page is fetched from both pages, and faults with the address of the second", async () => {
  const guest = await create();
  map(guest, 1, DATA, ALL);
  map(guest, 2, DATA + 0x5000, ALL);
  guest.put(DATA + 4094, "addi", { rd: 9, rs1: 0, imm: 77 });
  const upper = guest.machine.memory.read16(DATA + 4096)!;
  guest.machine.memory.write16(DATA + 4096, 0);
  guest.machine.memory.write16(DATA + 0x5000, upper);
  enterSupervisor(guest, 8190);
  guest.step();
  assert.deepEqual([guest.pc, guest.x(9)], [8194n, 77n]);
  map(guest, 2, DATA + 0x5000, ALL & ~X);
  guest.execute("ecall", {}, DATA);
  guest.setCsr("mstatus", MPP);
  guest.execute("mret", {}, RAM_BASE + 0x8000);
  guest.execute("sfence.vma");
  enterSupervisor(guest, 8190);
  guest.step();
  assert.deepEqual(guest.trap, { cause: 12n, pc: 8190n, value: 8192n });
});

test("turning translation on takes effect at the next instruction, interpreted and compiled", async () => {
  for (const accel of ["interpreter", "jit,threshold=1"]) {
    // The loop at physical addresses is compiled; then stvec is where the page fault leads, as when Linux starts.
    const p = new Program(64);
    p.la("t0", "fault").csr("csrrw", "mtvec", 0, "t0").li("t0", -1).csr("csrrw", "pmpaddr0", 0, "t0");
    p.li("t0", 0x1f).csr("csrrw", "pmpcfg0", 0, "t0").la("t0", "go").csr("csrrw", "mepc", 0, "t0");
    p.li("t0", 1 << 11).csr("csrrs", "mstatus", 0, "t0").op("mret").label("go");
    p.li("s0", 100).la("s1", "root").op("srli", { rd: "s1", rs1: "s1", imm: 12 }).li("t0", 8).op("slli", {
      rd: "t0",
      rs1: "t0",
      imm: 60,
    }).op("or", { rd: "s1", rs1: "s1", rs2: "t0" }).li("s3", 1).li("s4", 0);
    p.label("loop").op("addi", { rd: "s0", rs1: "s0", imm: -1 }).op("sltiu", { rd: "s4", rs1: "s0", imm: 1 });
    // All ones when the loop ends: satp gets its value then, 0 before.
    p.op("sub", { rd: "s4", rs1: 0, rs2: "s4" }).op("and", { rd: "s5", rs1: "s1", rs2: "s4" });
    p.csr("csrrw", "satp", 0, "s5").label("next").to("bne", "loop", { rs1: "s0", rs2: 0 }).label("end").to(
      "jal",
      "end",
    );
    p.align(4).label("fault").csr("csrrs", "mcause", "a0", 0).csr("csrrs", "mepc", "a1", 0).la("a2", "next");
    p.to("jal", "stop").label("stop").to("jal", "stop").align(4096).label("root").data(0, 4096);
    await using machine = await Machine.create<64>({ bios: p.elf(), cpu: "rv64", accel });
    await machine.run({ maxInstructions: 3000 });
    assert.equal(machine.hart.x.a0, 12n, accel);
    assert.equal(machine.hart.x.a1, machine.hart.x.a2, accel);
  }
});
