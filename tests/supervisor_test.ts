// Supervisor mode (privileged manual, chapters "Supervisor-Level ISA" and "Machine-Level ISA"): its registers, its instructions
// and what traps them, delegation, interrupts with their priorities, the timer comparison of Sstc.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TrapRecord } from "../hart/hart.ts";
import { assemble, csrNumber, RAM_BASE } from "./support/assemble.ts";
import { Guest, unsigned, WIDTHS } from "./support/guest.ts";

const HANDLER = RAM_BASE + 0x100, S_HANDLER = RAM_BASE + 0x200;
const SIE = 1n << 1n, SPIE = 1n << 5n, MPIE = 1n << 7n, SPP = 1n << 8n, MPP = 3n << 11n, MPP_S = 1n << 11n;
const MPRV = 1n << 17n, SUM = 1n << 18n, MXR = 1n << 19n, TVM = 1n << 20n, TW = 1n << 21n, TSR = 1n << 22n;
const FS = 3n << 13n, MIE = 1n << 3n;
const ILLEGAL = 2n;
const SSI = 1n << 1n, STI = 1n << 5n, SEI = 1n << 9n;
/** Instructions in a tick of mtime. */
const TICK = 100;

async function create(xlen: 32 | 64, cpu = ""): Promise<Guest> {
  const guest = await Guest.create(xlen, `${cpu},pmp=off`);
  guest.setCsr("mtvec", HANDLER);
  guest.setCsr("stvec", S_HANDLER);
  guest.setX(6, 0x200_4004);
  guest.setX(7, -1);
  guest.execute("sw", { rs1: 6, rs2: 7 });
  return guest;
}

/** Goes to S (1) or U (0), through M unless it is there, with further bits of mstatus. */
function enter(guest: Guest, level: 0 | 1, status = 0n): void {
  const mie = guest.csr("mie");
  guest.setCsr("mie", 0);
  if (guest.machine.hart.privilege !== "M") guest.execute("ecall");
  guest.setCsr("mstatus", status & ~MPP | (level === 1 ? MPP_S : 0n));
  guest.setCsr("mepc", RAM_BASE);
  guest.execute("mret", {}, RAM_BASE + 0x8000);
  guest.setCsr("mie", mie);
  guest.put(RAM_BASE, "addi", {});
  assert.equal(guest.machine.hart.privilege, level === 1 ? "S" : "U");
}

/** Whether an instruction is illegal where the hart is now. */
function illegal(guest: Guest, name: string, fields = {}): boolean {
  guest.execute(name, fields);
  if (guest.pc !== BigInt(HANDLER)) return false;
  const value = BigInt(assemble(guest.xlen, name, fields));
  assert.deepEqual(guest.trap, { cause: ILLEGAL, pc: BigInt(RAM_BASE), value });
  return true;
}

for (const xlen of WIDTHS) {
  test(`sstatus, sie and sip of RV${xlen} are views of mstatus, mie and mip`, async () => {
    const guest = await create(xlen);
    guest.setCsr("mstatus", -1n);
    const visible = SIE | SPIE | SPP | SUM | MXR | FS;
    const dirty = 1n << BigInt(xlen - 1), uxl = xlen === 64 ? 2n << 32n : 0n;
    assert.equal(guest.csr("sstatus"), visible | dirty | uxl);
    guest.setCsr("sstatus", 0);
    assert.equal(guest.csr("mstatus") & 0x7f_ffffn, MIE | MPIE | MPP | MPRV | TVM | TW | TSR);
    guest.setCsr("mideleg", -1n);
    assert.equal(guest.csr("mideleg"), SSI | STI | SEI);
    guest.setCsr("mideleg", SSI | SEI);
    guest.setCsr("mie", -1n);
    assert.equal(guest.csr("sie"), SSI | SEI);
    guest.setCsr("sie", 0);
    assert.equal(guest.csr("mie"), 0xaaan & ~(SSI | SEI));
    guest.setCsr("mip", -1n);
    assert.equal(guest.csr("mip"), SSI | STI | SEI);
    guest.setCsr("sip", 0);
    assert.equal(guest.csr("mip"), STI | SEI, "only SSIP can be written through sip");
  });

  test(`CSRRS and CSRRC change only the part of SEIP that software writes on RV${xlen}`, async () => {
    const guest = await create(xlen);
    for (const [address, value] of [[0x1000_0001, 2], [0xc00_0028, 1], [0xc00_2080, 1 << 10]] as const) {
      guest.setX(6, address);
      guest.setX(7, value);
      guest.execute(address === 0x1000_0001 ? "sb" : "sw", { rs1: 6, rs2: 7 });
    }
    assert.equal(guest.csr("mip"), SEI, "from the PLIC");
    guest.setX(6, SSI);
    guest.execute("csrrs", { rd: 5, rs1: 6, imm: csrNumber("mip") });
    assert.equal(guest.x(5), SEI);
    guest.setX(6, 0xc20_1004);
    guest.execute("lw", { rd: 5, rs1: 6 });
    assert.equal(guest.csr("mip"), SSI);
  });

  test(`traps below machine mode go where medeleg says, those of machine mode never on RV${xlen}`, async () => {
    const guest = await create(xlen), traps: TrapRecord[] = [];
    guest.machine.onTrap = (trap) => traps.push(trap);
    guest.setCsr("medeleg", -1n);
    assert.equal(guest.csr("medeleg"), 0xb3ffn);
    enter(guest, 1, SIE);
    guest.execute("ecall");
    assert.equal(guest.pc, BigInt(S_HANDLER));
    assert.deepEqual(
      [guest.csr("scause"), guest.csr("sepc"), guest.csr("stval")],
      [9n, BigInt(RAM_BASE), 0n],
    );
    assert.equal(guest.csr("sstatus") & (SIE | SPIE | SPP), SPIE | SPP);
    guest.execute("sret");
    assert.equal(guest.csr("sstatus") & (SIE | SPIE | SPP), SIE | SPIE);
    assert.deepEqual([guest.pc, guest.machine.hart.privilege], [BigInt(RAM_BASE), "S"]);
    guest.execute("sret");
    assert.equal(guest.machine.hart.privilege, "U");
    guest.execute("ebreak");
    assert.deepEqual([guest.pc, guest.csr("scause"), guest.csr("stval")], [BigInt(S_HANDLER), 3n, BigInt(RAM_BASE)]);
    assert.deepEqual(traps.map((t) => [t.cause, t.fromPrivilege, t.toPrivilege]), [[9, 1, 1], [3, 0, 1]]);
    const machine = await create(xlen);
    machine.setCsr("medeleg", -1n);
    machine.execute("ebreak");
    assert.equal(machine.pc, BigInt(HANDLER));
  });

  test(`supervisor instructions and satp are illegal where privilege, TVM, TW and TSR say so on RV${xlen}`, async () => {
    const satp = { rd: 5, rs1: 0, imm: csrNumber("satp") };
    const cases: [name: string, fields: object, user: boolean, supervisor: bigint][] = [
      ["sret", {}, true, TSR],
      ["sfence.vma", {}, true, TVM],
      ["sfence.vma", { rs1: 6, rs2: 7 }, true, TVM],
      ["sinval.vma", { rs1: 6, rs2: 7 }, true, TVM],
      ["sfence.w.inval", {}, true, 0n],
      ["sfence.inval.ir", {}, true, 0n],
      ["csrrs", satp, true, TVM],
      ["wfi", {}, true, TW],
      ["mret", {}, true, -1n],
    ];
    for (const [name, fields, user, trapping] of cases) {
      const guest = await create(xlen);
      enter(guest, 0);
      assert.equal(illegal(guest, name, fields), user, `${name} in user mode`);
      for (const status of [0n, TVM, TW, TSR]) {
        enter(guest, 1, status);
        const expected = trapping === -1n || (status & trapping) !== 0n;
        assert.equal(
          illegal(guest, name, fields),
          expected,
          `${name} in supervisor mode, mstatus ${status.toString(16)}`,
        );
        const machine = await create(xlen);
        machine.setCsr("mstatus", status);
        assert.equal(illegal(machine, name, fields), false, `${name} in machine mode`);
      }
    }
  });

  test(`SRET clears MPRV on RV${xlen}`, async () => {
    const guest = await create(xlen);
    guest.setCsr("mstatus", MPP | MPRV | SPP);
    guest.setCsr("sepc", RAM_BASE + 0x40);
    guest.execute("sret");
    assert.deepEqual([guest.pc, guest.machine.hart.privilege], [BigInt(RAM_BASE + 0x40), "S"]);
    assert.equal(guest.csr("mstatus") & (MPRV | SPP), 0n);
  });

  test(`delegated interrupts of RV${xlen} wait for sstatus.SIE in supervisor mode, and never come in machine mode`, async () => {
    const bits = { 0: 0n, 1: SIE };
    for (const [level, status, vectored] of [[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0], [3, 1, 0]] as const) {
      const guest = await create(xlen);
      guest.setCsr("stvec", S_HANDLER + vectored);
      guest.setCsr("mideleg", SSI);
      guest.setCsr("mie", SSI);
      guest.setCsr("mip", SSI);
      if (level === 3) guest.setCsr("mstatus", SIE | MIE);
      else enter(guest, level, bits[status]);
      const target = S_HANDLER + 4 * vectored;
      guest.put(target, "addi", {});
      guest.put(RAM_BASE, "addi", {});
      guest.pc = RAM_BASE;
      guest.step();
      const taken = level === 0 || (level === 1 && status === 1);
      assert.equal(guest.pc, BigInt(taken ? target + 4 : RAM_BASE + 4), `level ${level}, SIE ${status}`);
      if (taken) assert.equal(guest.csr("scause"), 1n << BigInt(xlen - 1) | 1n);
    }
  });

  test(`an interrupt for machine mode comes before a delegated one of higher priority on RV${xlen}`, async () => {
    const guest = await create(xlen), taken: number[][] = [];
    guest.machine.onTrap = ({ cause, toPrivilege }) => taken.push([cause, toPrivilege]);
    guest.setCsr("mideleg", SEI);
    guest.setCsr("mie", SSI | STI | SEI);
    guest.setCsr("mip", SSI | STI | SEI);
    for (const _ of [0, 1, 2]) {
      enter(guest, 1, SIE);
      guest.put(HANDLER, "addi", {});
      guest.put(S_HANDLER, "addi", {});
      guest.step();
      guest.setCsr("mip", guest.csr("mip") & ~(1n << BigInt(taken.at(-1)![0]!)));
    }
    assert.deepEqual(taken, [[1, 3], [5, 3], [9, 1]]);
  });

  test(`counters of RV${xlen} need mcounteren below machine mode, and scounteren in user mode, too`, async () => {
    for (const [machine, supervisor] of [[0, 0], [0, 7], [7, 0], [7, 7]] as const) {
      const guest = await create(xlen);
      guest.setCsr("mcounteren", machine);
      guest.setCsr("scounteren", supervisor);
      for (const level of [1, 0] as const) {
        for (const name of ["cycle", "time", "instret"]) {
          enter(guest, level);
          const allowed = machine !== 0 && (level === 1 || supervisor !== 0);
          assert.equal(illegal(guest, "csrrs", { rd: 5, rs1: 0, imm: csrNumber(name) }), !allowed, `${name} ${level}`);
        }
      }
    }
  });

  test(`STIP of RV${xlen} is time >= stimecmp while menvcfg.STCE is set, and software's otherwise`, async () => {
    const guest = await create(xlen), environment = xlen === 32 ? "menvcfgh" : "menvcfg";
    const stce = 1n << (xlen === 32 ? 31n : 63n),
      write = (value: number) => {
        guest.setCsr("stimecmp", value);
        if (xlen === 32) guest.setCsr("stimecmph", 0);
      };
    write(5);
    guest.setCsr("mip", STI);
    assert.equal(guest.csr("mip"), STI);
    guest.setCsr("mip", 0);
    guest.setCsr(environment, stce);
    guest.setCsr("mip", STI);
    assert.equal(guest.csr("mip"), 0n, "read-only now");
    // A loop until its time has come.
    guest.put(RAM_BASE, "jal", {});
    guest.pc = RAM_BASE;
    while (Number(guest.csr("time")) < 5) {
      assert.equal(guest.csr("mip"), 0n);
      guest.step(TICK / 4);
    }
    assert.equal(guest.csr("mip"), STI);
    write(1_000_000);
    assert.equal(guest.csr("mip"), 0n);
    enter(guest, 1);
    const read = { rd: 5, rs1: 0, imm: csrNumber("stimecmp") };
    assert.ok(illegal(guest, "csrrs", read), "without mcounteren.TM");
    guest.setCsr("mcounteren", 2);
    enter(guest, 1);
    assert.ok(!illegal(guest, "csrrs", read));
    guest.setCsr(environment, 0);
    assert.ok(illegal(guest, "csrrs", read), "without STCE");
  });

  test(`satp of RV${xlen} keeps its value when a mode that does not exist is written`, async () => {
    const guest = await create(xlen);
    const modes = xlen === 32 ? [0n, 1n] : [0n, 8n, 9n, 10n];
    let old = 0n;
    for (let mode = 0n; mode < (xlen === 32 ? 2n : 16n); mode++) {
      const value = unsigned(mode << (xlen === 32 ? 31n : 60n) | 0x1234n + mode, xlen);
      guest.setCsr("satp", value);
      if (modes.includes(mode)) old = value;
      assert.equal(guest.csr("satp"), old, `mode ${mode}`);
    }
  });

  test(`RV${xlen} without supervisor mode has neither its instructions nor its registers`, async () => {
    const guest = await Guest.create(xlen, ",s=off");
    guest.setCsr("mtvec", HANDLER);
    for (const name of ["sret", "sfence.vma", "sinval.vma"]) assert.ok(illegal(guest, name), name);
    for (const name of ["sstatus", "satp", "medeleg", "stimecmp"]) {
      assert.ok(illegal(guest, "csrrs", { rd: 5, rs1: 0, imm: csrNumber(name) }), name);
    }
    assert.equal(guest.csr("misa") >> 18n & 1n, 0n);
    assert.equal((await Guest.create(xlen)).csr("misa") >> 18n & 1n, 1n);
  });
}
