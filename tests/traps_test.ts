// Traps and what surrounds them (privileged manual, "Machine-Level ISA"): exceptions with their causes and values, mstatus's
// stack, MRET, WFI, interrupts with their order and their exact moment.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Xlen } from "../isa/instruction.ts";
import type { Extension } from "../isa/extensions.ts";
import { Count } from "../hart/counter.ts";
import { Hart, type TrapRecord } from "../hart/hart.ts";
import { Ram } from "../hart/memory.ts";
import { INTERRUPT, USER } from "../hart/trap.ts";
import { Bus } from "../machine/bus.ts";
import { assemble, csrNumber, type Fields, Program, RAM_BASE } from "./support/assemble.ts";
import { Guest, unsigned, WIDTHS } from "./support/guest.ts";

const HANDLER = RAM_BASE + 0x100;
const MSIP = 0x200_0000, MTIMECMP = 0x200_4000, MTIME = 0x200_bff8;
const MIE = 1n << 3n, MPIE = 1n << 7n, MPP = 3n << 11n, MPRV = 1n << 17n, TW = 1n << 21n;
const MSI = 1n << 3n, MTI = 1n << 7n;
const CAUSE = { misaligned: 0n, illegal: 2n, breakpoint: 3n, ecallFromU: 8n, ecallFromM: 11n };
/** Instructions in a tick of mtime: 100 ns, of which each takes one. */
const TICK = 100;

async function create(xlen: Xlen, cpu = ""): Promise<Guest> {
  const guest = await Guest.create(xlen, `${cpu},s=off,pmp=off`);
  guest.setCsr("mtvec", HANDLER);
  store(guest, MTIMECMP + 4, -1);
  return guest;
}

/** Stores a word to a device. */
function store(guest: Guest, address: number, value: number): void {
  guest.setX(6, address);
  guest.setX(7, value);
  guest.execute("sw", { rs1: 6, rs2: 7 }, RAM_BASE + 0xff00);
}

function interrupt(xlen: Xlen, code: number): bigint {
  return 1n << BigInt(xlen - 1) | BigInt(code);
}

/** Asserts that the last step trapped. */
function assertTrap(
  guest: Guest,
  cause: bigint,
  value: number | bigint = 0,
  pc: number | bigint = RAM_BASE,
  why = "",
): void {
  const expected = { cause, pc: BigInt(pc), value: BigInt(value), at: BigInt(HANDLER), privilege: "M" };
  assert.deepEqual({ ...guest.trap, at: guest.pc, privilege: guest.machine.hart.privilege }, expected, why);
}

for (const xlen of WIDTHS) {
  test(`RV${xlen} ECALL and EBREAK trap with the causes of their privilege levels`, async () => {
    const guest = await create(xlen);
    guest.execute("ecall");
    assertTrap(guest, CAUSE.ecallFromM);
    guest.execute("ebreak");
    assertTrap(guest, CAUSE.breakpoint, RAM_BASE);
    guest.execute("c.ebreak", {}, RAM_BASE + 2);
    assertTrap(guest, CAUSE.breakpoint, RAM_BASE + 2, RAM_BASE + 2);
    guest.enterUser(RAM_BASE);
    guest.execute("ecall");
    assertTrap(guest, CAUSE.ecallFromU);
    guest.enterUser(RAM_BASE);
    guest.execute("ebreak");
    assertTrap(guest, CAUSE.breakpoint, RAM_BASE);
  });

  test(`reserved RV${xlen} encodings trap as illegal instructions with their bits in mtval`, async () => {
    const guest = await create(xlen);
    const words = [0xffff_ffff, 0x0000_707f, 0x8000_0033, 0x0000_2063, 0x0000_200b, 0x0000_4073, 0x7020_0073];
    words.push(xlen === 32 ? 0x0000_3003 : 0x0200_101b); // LD, SLLIW with a shift of 32
    // C.LUI 0, C.LWSP to x0, C.JR x0, C.ADDI16SP 0, without a name in Zcb; C.SUBW and C.ZEXT.W on RV32, C.ADDIW to x0.
    const halves = [0x0000, 0x6201, 0x4002, 0x8002, 0x6101, 0x9c79, ...(xlen === 32 ? [0x9c01, 0x9c71] : [0x2001])];
    for (const word of words) {
      for (const at of [RAM_BASE, RAM_BASE + 2, RAM_BASE + 0xffe]) {
        guest.machine.memory.write32(at, word);
        guest.pc = at;
        guest.step();
        assertTrap(guest, CAUSE.illegal, word, at, word.toString(16));
      }
    }
    for (const half of halves) {
      guest.machine.memory.write32(RAM_BASE, 0xabcd_0000 | half);
      guest.pc = RAM_BASE;
      guest.step();
      assertTrap(guest, CAUSE.illegal, half, RAM_BASE, half.toString(16));
    }
  });

  test(`RV${xlen} without an extension has none of its instructions`, async () => {
    const fields: Fields = { rd: 8, rs1: 9, rs2: 10 };
    const cases: readonly (readonly [cpu: string, name: string, fields: Fields])[] = [
      ["m=off", "mul", fields],
      ["a=off", "amoadd.w", fields],
      ["zba=off", "sh1add", fields],
      ["zbb=off", "min", fields],
      ["zbs=off", "bset", fields],
      ["zbc=off,zbkc=off", "clmul", fields],
      ["zicond=off", "czero.eqz", fields],
      ["zacas=off", "amocas.w", fields],
      ["zimop=off", "mop.r", { rd: 8, rs1: 9 }],
      ["zifencei=off", "fence.i", {}],
      ["c=off", "c.nop", {}],
      ["zcb=off", "c.not", { rd: 8 }],
    ];
    for (const [cpu, name, fields] of cases) {
      const guest = await create(xlen, `,${cpu}`), compressed = name.startsWith("c.");
      const real = name === "c.nop" ? "c.addi" : name, word = assemble(xlen, real, fields);
      guest.machine.memory.write32(RAM_BASE, word | (compressed ? 0x1357_0000 : 0));
      guest.setX(9, RAM_BASE);
      guest.pc = RAM_BASE;
      guest.step();
      assertTrap(guest, CAUSE.illegal, word, RAM_BASE, cpu);
    }
  });

  test(`without compressed instructions, RV${xlen} jumps to halfwords trap at the jump and write no link`, async () => {
    const guest = await create(xlen, ",c=off"), target = RAM_BASE + 0x202;
    // A page of its own for the jump, so that near and far targets both occur.
    for (const at of [RAM_BASE, RAM_BASE + 0x1000, RAM_BASE + 0xffc]) {
      const jumps: readonly (readonly [string, Fields])[] = [
        ["jal", { rd: 7, imm: target - at }],
        ["jalr", { rd: 7, rs1: 6 }],
        ["jalr", { rd: 6, rs1: 6 }],
        ["jalr", { rd: 0, rs1: 6 }],
        ["jalr", { rd: 7, rs1: 6, imm: 1 }], // bit 0 of the sum is cleared, bit 1 remains
        ["beq", { imm: target - at }],
        ["bgeu", { rs1: 7, rs2: 7, imm: target - at }],
      ];
      for (const [name, fields] of jumps) {
        guest.setX(6, target);
        guest.setX(7, 0x1234);
        guest.execute(name, fields, at);
        assertTrap(guest, CAUSE.misaligned, target, at, name);
        assert.deepEqual([guest.x(6), guest.x(7)], [BigInt(target), 0x1234n], name);
      }
      guest.execute("bne", { imm: target - at }, at);
      assert.equal(guest.pc, BigInt(at + 4), "a branch that is not taken does not trap");
      guest.setX(6, target);
      guest.execute("jalr", { rd: 7, rs1: 6, imm: 2 }, at);
      assert.deepEqual([guest.pc, guest.x(7)], [BigInt(target + 2), BigInt(at + 4)]);
    }
  });

  for (const accel of ["interpreter", "jit,threshold=1"]) {
    test(`misaligned RV${xlen} jumps in a loop trap each time and write no link (${accel})`, async () => {
      const p = new Program(xlen);
      p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("s1", 50).li("t1", 5).li("s2", 0).la("s3", "loop");
      p.label("loop").op("jalr", { rd: "t1", rs1: "s3", imm: 2 }).to("jal", p.here + 10, { rd: "t1" });
      p.to("beq", p.here + 6, { rs1: "t1", rs2: "t1" }).op("add", { rd: "s2", rs1: "s2", rs2: "t1" });
      p.op("addi", { rd: "s1", rs1: "s1", imm: -1 }).to("bne", "loop", { rs1: "s1", rs2: 0 }).label("end").to(
        "jal",
        "end",
      );
      p.align(4).label("handler").csr("csrrs", "mepc", "a0", 0).op("addi", { rd: "a0", rs1: "a0", imm: 4 });
      p.csr("csrrw", "mepc", 0, "a0").csr("csrrs", "mcause", "a1", 0).op("add", { rd: "s4", rs1: "s4", rs2: "a1" });
      p.op("addi", { rd: "s5", rs1: "s5", imm: 1 }).op("mret");
      const guest = await Guest.with(p, ",c=off", { accel });
      await guest.machine.run({ until: p.address("end"), maxInstructions: 10_000 });
      assert.deepEqual(["s1", "s2", "s4", "s5", "t1"].map((name) => guest.x(name)), [0n, 250n, 0n, 150n, 5n]);
    });
  }

  test(`an RV${xlen} trap stacks MIE and the privilege level, and MRET takes them back`, async () => {
    const guest = await create(xlen), fixed = guest.csr("mstatus") & ~(MIE | MPIE | MPP);
    for (const enabled of [0n, MIE]) {
      guest.setCsr("mstatus", enabled | MPRV | TW);
      guest.execute("ecall");
      assert.equal(guest.csr("mstatus"), fixed | MPRV | TW | MPP | (enabled ? MPIE : 0n));
      // A trap in the handler: the old values are lost.
      guest.execute("ecall");
      assert.equal(guest.csr("mstatus"), fixed | MPRV | TW | MPP);
      for (const previous of [0n, MPIE]) {
        guest.setCsr("mstatus", MPP | previous | MPRV | TW);
        guest.setCsr("mepc", RAM_BASE + 0x400);
        guest.execute("mret");
        assert.deepEqual([guest.pc, guest.machine.hart.privilege], [BigInt(RAM_BASE + 0x400), "M"]);
        // MPP becomes the least privileged level; MPRV stays in M-mode.
        assert.equal(guest.csr("mstatus"), fixed | MPRV | TW | MPIE | (previous ? MIE : 0n));
        guest.setCsr("mstatus", previous | MPRV | TW);
        guest.execute("mret");
        assert.equal(guest.machine.hart.privilege, "U");
        assert.equal(
          guest.csr("mstatus"),
          fixed | TW | MPIE | (previous ? MIE : 0n),
          "MPRV is cleared on the way to U",
        );
        guest.execute("ecall");
        assertTrap(guest, CAUSE.ecallFromU);
        assert.equal(guest.csr("mstatus"), fixed | TW | (previous ? MPIE : 0n), "MPP says U");
      }
    }
  });

  test(`MRET, WFI under TW and WRS.NTO under TW are illegal in user mode of RV${xlen}`, async () => {
    const guest = await create(xlen);
    const illegal = (name: string) => assertTrap(guest, CAUSE.illegal, assemble(xlen, name), RAM_BASE, name);
    guest.enterUser(RAM_BASE);
    guest.execute("mret");
    illegal("mret");
    guest.setCsr("mstatus", TW);
    for (const name of ["wfi", "wrs.nto"]) {
      guest.enterUser(RAM_BASE);
      guest.execute(name);
      illegal(name);
    }
    guest.enterUser(RAM_BASE);
    guest.execute("wrs.sto");
    assert.equal(guest.pc, BigInt(RAM_BASE + 4), "WRS.STO ends by itself");
    // TW says nothing about machine mode.
    const machine = await create(xlen);
    machine.setCsr("mstatus", TW);
    for (const name of ["wfi", "wrs.nto", "wrs.sto"]) {
      machine.setCsr("mie", MSI);
      store(machine, MSIP, 1);
      machine.execute(name);
      assert.equal(machine.pc, BigInt(RAM_BASE + 4), name);
    }
  });

  test(`mtvec of RV${xlen} sends exceptions to its base, interrupts in vectored mode to four times their code behind`, async () => {
    const guest = await create(xlen);
    for (const mode of [0, 1]) {
      guest.setCsr("mtvec", HANDLER + mode);
      guest.setCsr("mstatus", 0);
      guest.execute("ecall");
      assert.equal(guest.pc, BigInt(HANDLER));
      guest.setCsr("mie", MSI);
      store(guest, MSIP, 1);
      const target = HANDLER + (mode === 1 ? 4 * 3 : 0);
      guest.put(target, "addi", { rd: 9, rs1: 0, imm: 42 + mode });
      guest.execute("csrrsi", { rs1: 8, imm: csrNumber("mstatus") });
      guest.step();
      assert.deepEqual([guest.pc, guest.x(9)], [BigInt(target + 4), BigInt(42 + mode)]);
      assert.deepEqual(guest.trap, { cause: interrupt(xlen, 3), pc: BigInt(RAM_BASE + 4), value: 0n });
      store(guest, MSIP, 0);
    }
  });

  test(`RV${xlen} interrupts wait for mie, and for mstatus.MIE in machine mode but not in user mode`, async () => {
    const guest = await create(xlen);
    guest.put(HANDLER, "addi", {});
    store(guest, MSIP, 1);
    assert.equal(guest.csr("mip"), MSI);
    const taken = () => {
      guest.pc = RAM_BASE;
      guest.put(RAM_BASE, "addi", {});
      guest.step();
      return guest.pc === BigInt(HANDLER + 4);
    };
    for (const mie of [0n, MTI, MSI]) {
      for (const status of [0n, MIE]) {
        guest.setCsr("mie", mie);
        guest.setCsr("mstatus", status | MPP);
        assert.equal(taken(), mie === MSI && status === MIE, `mie ${mie}, mstatus ${status}`);
        guest.setCsr("mie", 0);
        guest.setCsr("mstatus", status === 0n ? 0n : MPIE);
        guest.enterUser(RAM_BASE);
        guest.setCsr("mie", mie);
        assert.equal(taken(), mie === MSI, `user mode, mie ${mie}, mstatus ${status}`);
        if (guest.machine.hart.privilege === "U") guest.execute("ecall");
      }
    }
  });

  test(`RV${xlen} takes a software interrupt before a timer interrupt`, async () => {
    const guest = await create(xlen), traps: TrapRecord[] = [];
    guest.machine.onTrap = (trap) => traps.push(trap);
    store(guest, MTIMECMP, 0);
    store(guest, MTIMECMP + 4, 0);
    store(guest, MSIP, 1);
    assert.equal(guest.csr("mip"), MSI | MTI);
    guest.setCsr("mie", MSI | MTI);
    guest.put(HANDLER, "addi", {});
    guest.execute("csrrsi", { rs1: 8, imm: csrNumber("mstatus") });
    guest.step();
    assert.deepEqual(traps.map(({ cause, interrupt }) => [cause, interrupt]), [[3, true]]);
    store(guest, MSIP, 0);
    guest.execute("csrrsi", { rs1: 8, imm: csrNumber("mstatus") });
    guest.step();
    assert.deepEqual(traps.map(({ cause, interrupt }) => [cause, interrupt]), [[3, true], [7, true]]);
  });

  test(`RV${xlen} interrupts that are pending together are taken in the manual's order`, () => {
    const extensions: readonly Extension[] = ["I", "Zicsr"];
    const memory = new Bus(new Ram(RAM_BASE, 4096), "ram");
    const hart = new Hart({ id: 0, xlen, extensions, count: new Count(), memory }), taken: number[] = [];
    hart.onTrap = ({ cause }) => {
      taken.push(cause);
      hart.setLine(cause, false);
      hart.setPrivilege(USER);
    };
    for (const code of [INTERRUPT.machineTimer, INTERRUPT.machineSoftware, INTERRUPT.machineExternal]) {
      hart.setLine(code, true);
    }
    hart.writeCsr(csrNumber("mie"), -1n);
    assert.equal(hart.takeInterrupt(), false, "machine mode with MIE off");
    hart.setPrivilege(USER);
    while (hart.takeInterrupt());
    assert.deepEqual(taken, [11, 3, 7]);
  });

  test(`an RV${xlen} instruction that enables an interrupt is the last one before it`, async () => {
    const enabling: Readonly<Record<string, (guest: Guest) => number>> = {
      "csrrsi mstatus": (guest) => {
        guest.setCsr("mie", MSI);
        guest.execute("csrrsi", { rs1: 8, imm: csrNumber("mstatus") });
        return RAM_BASE + 4;
      },
      "csrrw mie": (guest) => {
        guest.setCsr("mstatus", MIE | MPP);
        guest.setX(5, MSI);
        guest.execute("csrrw", { rs1: 5, imm: csrNumber("mie") });
        return RAM_BASE + 4;
      },
      mret: (guest) => {
        guest.setCsr("mie", MSI);
        guest.setCsr("mstatus", MPIE | MPP);
        guest.setCsr("mepc", RAM_BASE + 0x2000);
        guest.execute("mret");
        return RAM_BASE + 0x2000;
      },
    };
    for (const [how, enable] of Object.entries(enabling)) {
      const guest = await create(xlen);
      guest.put(HANDLER, "addi", {});
      store(guest, MSIP, 1);
      const next = enable(guest);
      const stop = await guest.machine.run({ maxInstructions: 1 });
      assert.equal(stop.pc, BigInt(HANDLER + 4), how);
      assert.deepEqual(guest.trap, { cause: interrupt(xlen, 3), pc: BigInt(next), value: 0n }, how);
    }
    // The same within one run.
    const p = new Program(xlen);
    p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("t0", MSIP).csri("csrrsi", "mstatus", 0, 8).li("t1", 1);
    p.op("sw", { rs1: "t0", rs2: "t1" }).csri("csrrwi", "mie", 0, 8).label("next").op("addi", {
      rd: "a0",
      rs1: "a0",
      imm: 1,
    });
    p.to("jal", "next", { rd: 0 }).align(4).label("handler").to("jal", "handler", { rd: 0 });
    const guest = await Guest.with(p);
    await guest.machine.run({ maxInstructions: 100 });
    assert.deepEqual([guest.trap.pc, guest.x("a0")], [BigInt(p.address("next")), 0n]);
  });
}

// Time.

/** Arms the timer for `tick`, then counts in a0 for ever; the handler waits at itself. */
function timerProgram(xlen: Xlen, tick: number): Program {
  const p = new Program(xlen);
  p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("t0", MTIMECMP).li("t1", -1).op("sw", {
    rs1: "t0",
    rs2: "t1",
  });
  p.op("sw", { rs1: "t0", rs2: 0, imm: 4 }).li("t1", tick).op("sw", { rs1: "t0", rs2: "t1" }).li("t1", Number(MTI));
  p.csr("csrrw", "mie", 0, "t1").csri("csrrsi", "mstatus", 0, 8);
  p.label("loop").op("addi", { rd: "a0", rs1: "a0", imm: 1 }).op("c.addi", { rd: 11, imm: 1 });
  p.to("jal", "loop", { rd: 0 }).align(4).label("handler").to("jal", "handler", { rd: 0 });
  return p;
}

for (const xlen of WIDTHS) {
  for (const accel of ["interpreter", "jit,threshold=1"]) {
    test(`an RV${xlen} timer interrupt comes before the very instruction at which mtime reaches mtimecmp (${accel})`, async () => {
      for (const icountShift of [0, 3, 5]) {
        for (const tick of [1, 2, 3, 7, 50]) {
          const p = timerProgram(xlen, tick), guest = await Guest.with(p, "", { accel, icountShift });
          const seen: number[] = [], first = Number(p.address("loop") - RAM_BASE) / 4;
          guest.machine.onTrap = () => seen.push(guest.machine.instructions);
          await guest.machine.run({ maxInstructions: tick * TICK + 1000 });
          const moment = Math.max(Math.ceil(tick * TICK / 2 ** icountShift), first);
          assert.deepEqual(seen, [moment], `tick ${tick}, 2^${icountShift} ns`);
          const loops = Math.floor((moment - first) / 3), rest = (moment - first) % 3;
          assert.deepEqual(
            [guest.x("a0"), guest.x("a1"), guest.trap.pc],
            [loops + Number(rest > 0), loops + Number(rest > 1), p.address("loop") + [0, 4, 6][rest]!].map(BigInt),
          );
          assert.equal(guest.trap.cause, interrupt(xlen, 7));
          assert.equal(guest.csr("mip"), MTI);
        }
      }
    });
  }

  test(`RV${xlen} WFI with nothing pending waits, in no instructions, until mtimecmp`, async () => {
    for (const enabled of [true, false]) {
      const p = new Program(xlen);
      p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("t0", MTIMECMP).op("sw", { rs1: "t0", rs2: 0, imm: 4 });
      p.li("t1", 5000).op("sw", { rs1: "t0", rs2: "t1" }).li("t1", Number(MTI)).csr("csrrw", "mie", 0, "t1");
      if (enabled) p.csri("csrrsi", "mstatus", 0, 8);
      p.csr("csrrs", "minstret", "s0", 0).csr("csrrs", "mcycle", "s1", 0).op("wfi").label("after");
      p.csr("csrrs", "minstret", "s2", 0).csr("csrrs", "mcycle", "s3", 0).csr("csrrs", "time", "s4", 0).label("end");
      p.to("jal", "end", { rd: 0 }).align(4).label("handler");
      p.csr("csrrs", "minstret", "s2", 0).csr("csrrs", "mcycle", "s3", 0).csr("csrrs", "time", "s4", 0);
      p.csr("csrrs", "mepc", "s5", 0).label("stay").to("jal", "stay", { rd: 0 });
      const guest = await Guest.with(p);
      await guest.machine.run({ maxInstructions: 1000 });
      assert.equal(guest.x("s2"), guest.x("s0") + 3n, "only what was executed retires");
      assert.equal(guest.x("s3"), 5000n * BigInt(TICK) + 1n, "cycles pass while it waits");
      assert.equal(guest.x("s4"), 5000n);
      assert.equal(guest.x("s5"), enabled ? BigInt(p.address("after")) : 0n);
    }
  });

  test(`RV${xlen} WFI goes on at once where an enabled interrupt is pending, and for ever where none can come`, async () => {
    const guest = await create(xlen);
    store(guest, MSIP, 1);
    guest.setCsr("mie", MSI);
    guest.execute("wfi");
    assert.deepEqual([guest.pc, guest.machine.hart.waiting], [BigInt(RAM_BASE + 4), false]);
    // Pending, but not in mie.
    guest.setCsr("mie", MTI);
    guest.execute("wfi");
    assert.equal(guest.machine.hart.waiting, true);
    const retired = guest.csr("minstret"), stop = await guest.machine.run({ maxInstructions: 1000 });
    assert.deepEqual([stop.kind, stop.pc], ["deadlock", BigInt(RAM_BASE + 4)]);
    assert.equal(guest.csr("minstret"), retired);
  });

  test(`RV${xlen} mtime moves on while a program runs, and a later mtimecmp takes the interrupt back`, async () => {
    const guest = await create(xlen);
    store(guest, MTIMECMP, 0);
    store(guest, MTIMECMP + 4, 0);
    assert.equal(guest.csr("mip"), MTI);
    store(guest, MTIMECMP + 4, 1);
    assert.equal(guest.csr("mip"), 0n);
    guest.setX(6, MTIME);
    guest.execute("lw", { rd: 8, rs1: 6 });
    for (let k = 0; k < 10 * TICK - 1; k++) guest.execute("addi", {});
    guest.execute("lw", { rd: 9, rs1: 6 });
    assert.equal(unsigned(guest.x(9) - guest.x(8), xlen), 10n);
  });
}
