// Zicbom, Zicboz and Zicbop (unprivileged manual, chapter "CMO Extensions"): what cbo.zero zeroes, who may execute which
// operation, and which exceptions an address leads to. QEMU 7.2 has none of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Xlen } from "../isa/instruction.ts";
import { parseDeviceTree } from "../machine/device_tree_reader.ts";
import { Machine } from "../machine/machine.ts";
import { assemble, Program, RAM_BASE } from "./support/assemble.ts";
import { Guest, RAM_END, unsigned, WIDTHS } from "./support/guest.ts";

const HANDLER = RAM_BASE + 0x100, DATA = RAM_BASE + 0x8000, ROOT = RAM_BASE + 0x1000;
const ILLEGAL = 2n, STORE_ACCESS = 7n, STORE_PAGE = 15n;
const OPERATIONS = ["cbo.inval", "cbo.clean", "cbo.flush", "cbo.zero"] as const;
/** Fields of menvcfg and senvcfg. */
const CBIE_FLUSH = 1n << 4n, CBIE_RESERVED = 2n << 4n, CBIE_INVAL = 3n << 4n, CBCFE = 1n << 6n, CBZE = 1n << 7n;
const ALL = CBIE_INVAL | CBCFE | CBZE;
const MPRV = 1n << 17n, MPP_S = 1n << 11n;
const V = 1, R = 2, W = 4, A = 64, D = 128;

async function create(xlen: Xlen, cpu = ",pmp=off"): Promise<Guest> {
  const guest = await Guest.create(xlen, cpu);
  guest.setCsr("mtvec", HANDLER);
  return guest;
}
/** Executes an operation on an address; the cause if it trapped. */
function execute(guest: Guest, name: string, address: number): bigint | undefined {
  guest.setX(6, address);
  guest.execute(name, { rs1: 6 });
  return guest.pc === BigInt(HANDLER) ? guest.trap.cause : undefined;
}
function enter(guest: Guest, level: "S" | "U"): void {
  guest.setCsr("mstatus", level === "S" ? MPP_S : 0);
  guest.setCsr("mepc", RAM_BASE);
  guest.execute("mret", {}, RAM_END - 4);
}
/** A one-level page table that maps `page` of the lowest 4 MiB (RV32) or 2 MiB of 1 GiB (RV64) onto RAM as a large page. */
function map(guest: Guest, bits: number): number {
  const entry = BigInt(RAM_BASE / 4096) << 10n | BigInt(bits), wide = guest.xlen === 64;
  if (wide) guest.machine.memory.write64(ROOT, entry);
  else guest.machine.memory.write32(ROOT, Number(entry));
  guest.setCsr("satp", (wide ? 8n << 60n : 1n << 31n) | BigInt(ROOT / 4096));
  guest.setCsr("mstatus", MPRV | MPP_S);
  guest.execute("sfence.vma", {});
  return DATA - RAM_BASE;
}

for (const xlen of WIDTHS) {
  test(`cbo.zero of RV${xlen} zeroes the 64 bytes around its address, the others change nothing`, async () => {
    const guest = await create(xlen), { memory } = guest.machine;
    const bytes = Uint8Array.from({ length: 256 }, (_, k) => k + 1 & 0xff || 1);
    for (const name of OPERATIONS) {
      for (const offset of [64, 65, 100, 127]) {
        memory.write(DATA, bytes);
        assert.equal(execute(guest, name, DATA + offset), undefined);
        const expected = bytes.slice();
        if (name === "cbo.zero") expected.fill(0, 64, 128);
        assert.deepEqual(memory.read(DATA, 256), expected, `${name} ${offset}`);
      }
    }
  });

  test(`below machine mode menvcfg of RV${xlen} enables the operations, in user mode senvcfg must, too`, async () => {
    const guest = await create(xlen);
    const needed = { "cbo.inval": CBIE_INVAL, "cbo.clean": CBCFE, "cbo.flush": CBCFE, "cbo.zero": CBZE };
    const trial = (name: string, level: "M" | "S" | "U", machine: bigint, supervisor: bigint) => {
      guest.setCsr("menvcfg", machine);
      guest.setCsr("senvcfg", supervisor);
      if (level !== "M") enter(guest, level);
      const cause = execute(guest, name, DATA);
      if (level !== "M" && cause === undefined) guest.execute("ecall");
      if (cause !== undefined) {
        assert.deepEqual([cause, guest.trap.value], [ILLEGAL, BigInt(assemble(xlen, name, { rs1: 6 }))]);
      }
      return cause === undefined;
    };
    for (const name of OPERATIONS) {
      const own = needed[name];
      assert.ok(trial(name, "M", 0n, 0n), "machine mode always may");
      for (const without of [0n, ALL & ~own]) {
        assert.ok(!trial(name, "S", without, ALL), name);
        assert.ok(!trial(name, "U", without, ALL), name);
        assert.ok(trial(name, "S", ALL, without), `${name} in supervisor mode does not ask senvcfg`);
        assert.ok(!trial(name, "U", ALL, without), name);
      }
      assert.ok(trial(name, "S", own, 0n) && trial(name, "U", own, own), name);
    }
    assert.ok(trial("cbo.inval", "U", CBIE_FLUSH, CBIE_INVAL) && trial("cbo.inval", "U", CBIE_INVAL, CBIE_FLUSH));
  });

  test(`menvcfg and senvcfg of RV${xlen} hold FIOM, CBIE but for 10, CBCFE and CBZE, as far as there is what they enable`, async () => {
    const cases: [cpu: string, mask: bigint][] = [
      ["", ALL | 1n],
      [",zicboz=off", CBIE_INVAL | CBCFE | 1n],
      [",zicbom=off", CBZE | 1n],
    ];
    for (const [cpu, mask] of cases) {
      const guest = await create(xlen, cpu);
      for (const name of ["menvcfg", "senvcfg"]) {
        guest.setCsr(name, 0xffff_ffff);
        assert.equal(guest.csr(name) & 0xffff_ffffn, mask, `${name}${cpu}`);
        guest.setCsr(name, CBIE_FLUSH);
        const before = guest.csr(name);
        guest.setCsr(name, CBIE_RESERVED);
        assert.equal(guest.csr(name), before, "the reserved encoding changes nothing");
      }
    }
  });

  test(`cache-block operations of RV${xlen} fault as stores, with the address in rs1`, async () => {
    const guest = await create(xlen);
    const faults = (name: string, address: number, cause: bigint, why: string) => {
      assert.equal(execute(guest, name, address), cause, `${name}: ${why}`);
      assert.equal(guest.trap.value, unsigned(address, xlen), "mtval is not rounded down to the block");
      guest.setCsr("mstatus", MPRV | MPP_S);
    };
    for (const name of OPERATIONS) faults(name, 0x1800_0003, STORE_ACCESS, "nothing is there");
    faults("cbo.zero", 0x1000_0000, STORE_ACCESS, "a device");
    faults("cbo.zero", 0x1008, STORE_ACCESS, "ROM");
    assert.equal(execute(guest, "cbo.flush", 0x1000_0000), undefined, "what may be loaded may be flushed");

    const at = map(guest, V | R | A | D) + 0x23;
    faults("cbo.zero", at, STORE_PAGE, "a page that cannot be written");
    for (const name of ["cbo.inval", "cbo.clean", "cbo.flush"]) assert.equal(execute(guest, name, at), undefined, name);
    map(guest, 0);
    for (const name of OPERATIONS) faults(name, at, STORE_PAGE, "no page");
    map(guest, V | R | W | A | D);
    assert.equal(execute(guest, "cbo.zero", at), undefined);
  });

  test(`cbo.zero of RV${xlen} sets A and D, the others set A`, async () => {
    const guest = await create(xlen);
    for (const name of OPERATIONS) {
      const at = map(guest, V | R | W), bits = name === "cbo.zero" ? A | D : A;
      assert.equal(execute(guest, name, at), undefined);
      assert.equal(guest.machine.memory.read32(ROOT)! & (A | D), bits, name);
    }
    const careful = await create(xlen, ",svadu=off,pmp=off");
    for (const name of OPERATIONS) {
      const at = map(careful, V | R | W);
      assert.equal(execute(careful, name, at), STORE_PAGE, `${name} where software sets them`);
    }
  });

  test(`cache-block operations of RV${xlen} ask physical memory protection`, async () => {
    const guest = await create(xlen, "");
    // The 64 bytes at DATA can only be read, what follows can be written, too; all else is for anybody.
    guest.setCsr("pmpaddr0", DATA / 4 | 7);
    guest.setCsr("pmpaddr1", -1);
    guest.setCsr("pmpcfg0", 0x1f19);
    const again = () => guest.setCsr("mstatus", MPRV | MPP_S);
    again();
    for (const name of ["cbo.inval", "cbo.clean", "cbo.flush"]) {
      assert.equal(execute(guest, name, DATA + 5), undefined, name);
    }
    assert.equal(execute(guest, "cbo.zero", DATA + 5), STORE_ACCESS);
    assert.equal(guest.trap.value, BigInt(DATA + 5));
    again();
    assert.equal(execute(guest, "cbo.zero", DATA + 64), undefined);
    guest.setCsr("pmpcfg0", 0x1f18);
    again();
    for (const name of OPERATIONS) {
      assert.equal(execute(guest, name, DATA), STORE_ACCESS, name);
      again();
    }
  });

  test(`prefetches of RV${xlen} do nothing, wherever they point`, async () => {
    const guest = await create(xlen);
    guest.setX(6, 0x1800_0000);
    for (const imm of [0, 1, 3, 32, -31, -2048]) {
      guest.execute("ori", { rd: 0, rs1: 6, imm });
      assert.equal(guest.pc, BigInt(RAM_BASE + 4));
    }
  });

  test(`without Zicbom and Zicboz the operations of RV${xlen} are illegal`, async () => {
    const guest = await create(xlen, ",zicbom=off,zicboz=off");
    for (const name of OPERATIONS) assert.equal(execute(guest, name, DATA), ILLEGAL, name);
  });

  test(`cbo.zero over code of RV${xlen} takes effect at the next instruction, compiled or not`, async () => {
    for (const accel of ["interpreter", "jit,threshold=1"]) {
      // A loop whose body lies in a block of its own, which its third round zeroes: the zeros are an illegal instruction.
      const p = new Program(xlen);
      p.la("t0", "trap").csr("csrrw", "mtvec", 0, "t0").li("a0", 0).li("a1", 3).la("a2", "body");
      p.label("loop").to("beq", "zero", { rs1: "a0", rs2: "a1" }).label("back").to("jal", "body", { rd: 0 });
      p.label("zero").op("cbo.zero", { rs1: "a2" }).to("jal", "back", { rd: 0 });
      p.align(64).label("body").op("addi", { rd: "a0", rs1: "a0", imm: 1 }).to("jal", "loop", { rd: 0 });
      p.align(64).label("trap").li("t1", 0x10_0000).li("t2", 0x5555).op("sw", { rs1: "t1", rs2: "t2" });
      await using machine = await Machine.create({ bios: p.elf(), memory: "16M", accel });
      const stop = await machine.run({ maxInstructions: 1000 });
      assert.equal(stop.kind, "exit", accel);
      assert.equal(BigInt(machine.hart.x.a0), 3n, accel);
      assert.equal(BigInt(machine.hart.readCsr("mepc")), BigInt(p.address("body")), accel);
    }
  });
}

test("the device tree names the block size of each kind of operation that there is", async () => {
  const sizes = async (cpu: string) => {
    await using machine = await Machine.create({ cpu, memory: "16M" });
    const { properties } = parseDeviceTree(machine.deviceTree, "tree").root.children!["cpus"]!.children!["cpu@0"]!;
    return Object.entries(properties).filter(([name]) => name.endsWith("-block-size"))
      .map(([name, value]) => `${name} ${[...value as Uint8Array]}`);
  };
  const size = (letter: string) => `riscv,cbo${letter}-block-size 0,0,0,64`;
  assert.deepEqual(await sizes("rv64"), [size("m"), size("p"), size("z")]);
  assert.deepEqual(await sizes("rv32,zicbom=off,zicbop=off"), [size("z")]);
});
