// Triggers (debug manual, chapter "Sdtrig"): what the registers hold, which accesses raise breakpoint exceptions, and that they do
// so from compiled code as from interpreted.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Machine } from "../machine/machine.ts";
import { csrNumber, Program, RAM_BASE } from "./support/assemble.ts";
import { Guest, unsigned, WIDTHS } from "./support/guest.ts";

const HANDLER = RAM_BASE + 0x100, DATA = RAM_BASE + 0x1000, CODE = RAM_BASE + 0x200;
const LOAD = 1n, STORE = 2n, FETCH = 4n, U = 8n, S = 16n, M = 64n, CHAIN = 1n << 11n, HIT = 1n << 20n, HIT6 = 1n << 22n;
const match = (number: number) => BigInt(number) << 7n;
const BREAKPOINT = 3n;
/** tcontrol.mte: triggers fire in machine mode. */
const MTE = 8;

const type = (xlen: 32 | 64, number: number) => BigInt(number) << BigInt(xlen - 4);

/** Sets a trigger. */
function arm(guest: Guest, index: number, kind: number, control: bigint, address: number | bigint, extra = 0n): void {
  guest.setCsr("tselect", index);
  guest.setCsr("tdata1", 0);
  guest.setCsr("tdata2", unsigned(address, guest.xlen));
  guest.setCsr("tdata3", extra);
  guest.setCsr("tdata1", type(guest.xlen, kind) | control);
}

async function create(xlen: 32 | 64, cpu = ""): Promise<Guest> {
  const guest = await Guest.create(xlen, cpu);
  guest.setCsr("mtvec", HANDLER);
  guest.setCsr("pmpaddr0", -1);
  guest.setCsr("pmpcfg0", 0x1f);
  guest.setX(10, DATA);
  return guest;
}

/** Executes an instruction that accesses memory at DATA plus `imm`; whether a trigger fired. */
function fires(guest: Guest, name: string, imm = 0): boolean {
  guest.setCsr("tcontrol", MTE);
  guest.setCsr("mcause", 0);
  const fields = ["lr.w", "amoadd.w", "sc.w"].includes(name) ? {} : { imm };
  if (imm !== 0 && fields.imm === undefined) throw new Error(`${name} has no offset`);
  guest.execute(name, { ...(name[0] === "s" && name !== "sc.w" ? { rs2: 9 } : { rd: 9 }), rs1: 10, ...fields }, CODE);
  if (guest.pc === BigInt(CODE + 4)) return false;
  assert.deepEqual(guest.trap, { cause: BREAKPOINT, pc: BigInt(CODE), value: BigInt(DATA + imm) }, name);
  return true;
}

for (const xlen of WIDTHS) {
  test(`four triggers of RV${xlen} can be found, and are disabled at first`, async () => {
    const guest = await create(xlen);
    for (let k = 0; k < 4; k++) {
      guest.setCsr("tselect", k);
      assert.equal(guest.csr("tselect"), BigInt(k));
      assert.equal(guest.csr("tdata1"), type(xlen, 15));
      assert.equal(guest.csr("tinfo"), 1n << 24n | 1n << 2n | 1n << 6n | 1n << 15n);
      for (const name of ["tdata2", "tdata3"]) assert.equal(guest.csr(name), 0n);
    }
    for (const absent of [4n, 1n << 31n, -1n]) {
      guest.setCsr("tselect", unsigned(absent, xlen));
      assert.equal(guest.csr("tselect"), 3n);
    }
  });

  test(`tdata1 of RV${xlen} keeps what a trigger can do, and a type that there is not disables it`, async () => {
    const guest = await create(xlen), ones = unsigned(-1, xlen - 5);
    const write = (value: bigint) => {
      guest.setCsr("tdata1", unsigned(value, xlen));
      return guest.csr("tdata1");
    };
    const basic = LOAD | STORE | FETCH | U | S | M, size = xlen === 64 ? 5n << 16n : 3n << 16n;
    guest.setCsr("tselect", 0);
    assert.equal(write(type(xlen, 6) | ones & ~(15n << 7n | 7n << 16n)), type(xlen, 6) | basic | CHAIN | HIT6);
    assert.equal(write(type(xlen, 6) | size | match(13)), type(xlen, 6) | size | match(13));
    assert.equal(write(type(xlen, 6) | 4n << 16n | match(6)), type(xlen, 6), "size 4 and match 6 are reserved");
    assert.equal(
      write(type(xlen, 2) | ones & ~(15n << 7n | 3n << 16n | 3n << 21n)),
      type(xlen, 2) | basic | CHAIN | HIT,
    );
    guest.setCsr("tselect", 3);
    assert.equal(write(type(xlen, 6) | CHAIN | M), type(xlen, 6) | M, "the last one has none to be chained to");
    for (const other of [0, 1, 3, 4, 5, 7, 12, 14, 15]) assert.equal(write(type(xlen, other) | M), type(xlen, 15));
    guest.setCsr("tdata2", unsigned(-2, xlen));
    assert.equal(guest.csr("tdata2"), unsigned(-2, xlen));
    guest.setCsr("tdata3", unsigned(-1, xlen));
    // sselect 3 and mhselect 7 are reserved.
    const extra = xlen === 32
      ? 0x3fn << 26n | 3n << 18n | 0xffffn << 2n
      : 0x1fffn << 51n | 15n << 36n | 0xffff_ffffn << 2n;
    assert.equal(guest.csr("tdata3"), extra);
  });

  for (const kind of [2, 6]) {
    test(`RV${xlen} triggers of type ${kind} raise breakpoint exceptions before their access`, async () => {
      const guest = await create(xlen), hit = kind === 2 ? HIT : HIT6;
      guest.machine.memory.write32(DATA, 0x1234);
      for (
        const [control, load, store] of [[LOAD, true, false], [STORE, false, true], [FETCH, false, false]] as const
      ) {
        arm(guest, 1, kind, control | M, DATA);
        guest.setX(9, 7);
        assert.equal(fires(guest, "lw"), load);
        assert.equal(guest.x(9), load ? 7n : 0x1234n, "rd is not written");
        guest.setX(9, 7);
        assert.equal(fires(guest, "sw"), store);
        assert.equal(guest.machine.memory.read32(DATA), store ? 0x1234 : 7, "nothing is stored");
        guest.machine.memory.write32(DATA, 0x1234);
        assert.equal(fires(guest, "lr.w"), load);
        assert.equal(fires(guest, "sc.w"), store);
        assert.equal(fires(guest, "amoadd.w"), load || store);
        assert.equal((guest.csr("tdata1") & hit) !== 0n, load || store);
        assert.equal(fires(guest, "lw", 4), false);
        assert.equal(fires(guest, "lw", -4), false);
        assert.equal(fires(guest, "lb", 1), false);
        assert.equal(fires(guest, "lw", -3), load, "any byte counts");
      }
      arm(guest, 1, kind, FETCH | M, CODE);
      guest.setCsr("tcontrol", MTE);
      guest.setX(9, 0);
      guest.execute("addi", { rd: 9, rs1: 9, imm: 1 }, CODE);
      assert.deepEqual(guest.trap, { cause: BREAKPOINT, pc: BigInt(CODE), value: BigInt(CODE) });
      assert.equal(guest.x(9), 0n, "the instruction is not executed");
      guest.setCsr("tdata1", 0);
      guest.execute("addi", { rd: 9, rs1: 9, imm: 1 }, CODE);
      assert.equal(guest.x(9), 1n);
    });
  }

  test(`the ways in which RV${xlen} triggers compare`, async () => {
    const guest = await create(xlen), upper = BigInt(DATA) >> BigInt(xlen / 2), low = BigInt(xlen / 2);
    // Offsets from DATA that bytes are loaded from, and which of them the trigger fires at.
    const cases: [number, bigint, number[], number[]][] = [
      [0, BigInt(DATA), [0], [-1, 1]],
      [1, BigInt(DATA) | 7n, [0, 8, 15], [-1, 16]],
      [1, unsigned(-1, xlen) >> 1n, [0, 100], []],
      [1, unsigned(-1, xlen), [0, 100], []],
      [2, BigInt(DATA), [0, 1, 2000], [-1, -2000]],
      [3, BigInt(DATA), [-1, -2000], [0, 1]],
      // The upper half of tdata2 is a mask for the half that is compared.
      [4, 0xffn << low | BigInt(DATA & 0xff), [0, 0x100], [1, 0xff]],
      [5, unsigned(-1, xlen / 2) << low | upper, [0, 1, 2000], []],
      [5, unsigned(-1, xlen / 2) << low | upper ^ 1n, [], [0, 1]],
      [8, BigInt(DATA), [-1, 1], [0]],
      [9, BigInt(DATA) | 7n, [-1, 16], [0, 15]],
    ];
    for (const [way, address, at, elsewhere] of cases) {
      arm(guest, 0, 6, LOAD | M | match(way), address);
      for (const offset of at) assert.ok(fires(guest, "lb", offset), `match ${way}, ${offset}`);
      for (const offset of elsewhere) assert.ok(!fires(guest, "lb", offset), `match ${way}, ${offset}`);
    }
  });

  test(`RV${xlen} triggers tell sizes, chains and contexts apart`, async () => {
    const guest = await create(xlen);
    arm(guest, 0, 6, LOAD | M | 2n << 16n, DATA);
    assert.deepEqual(["lb", "lh", "lw"].map((name) => fires(guest, name)), [false, true, false]);
    // A range: not less than one address, and less than another.
    arm(guest, 0, 6, LOAD | M | CHAIN | match(2), DATA);
    arm(guest, 1, 6, LOAD | M | match(3), DATA + 0x100);
    assert.deepEqual([-1, 0, 0xff, 0x100].map((at) => fires(guest, "lb", at)), [false, true, true, false]);
    guest.setCsr("tselect", 0);
    assert.equal(guest.csr("tdata1") & HIT6, HIT6);
    arm(guest, 0, 15, 0n, 0);
    const [svalue, mhselect, mhvalue] = xlen === 32 ? [2n, 23n, 26n] : [2n, 48n, 51n];
    arm(guest, 1, 6, LOAD | M, DATA, 0x1205n << svalue | 1n | 4n << mhselect | 9n << mhvalue);
    const inContext = (supervisor: number, machine: number) => {
      guest.setCsr("scontext", supervisor);
      guest.setCsr("mcontext", machine);
      return fires(guest, "lw");
    };
    assert.deepEqual([inContext(0x1205, 9), inContext(0x1206, 9), inContext(0x1205, 8)], [true, false, false]);
    guest.setCsr("tdata3", guest.csr("tdata3") | 1n << (xlen === 32 ? 18n : 36n));
    assert.equal(inContext(0x1206, 9), true, "the lowest byte is masked out");
    assert.equal(inContext(0x1305, 9), false);
    // The address space of satp.
    guest.setCsr("tdata3", 0x55n << svalue | 2n);
    for (const space of [0x55n, 0x54n]) {
      guest.setCsr("satp", space << (xlen === 32 ? 22n : 44n) | 0n);
      assert.equal(fires(guest, "lw"), space === 0x55n);
    }
  });

  test(`RV${xlen} triggers fire at the privilege levels that they name, and not in the handler`, async () => {
    const guest = await create(xlen);
    arm(guest, 0, 6, LOAD | U, DATA);
    assert.equal(fires(guest, "lw"), false);
    guest.enterUser(CODE);
    guest.execute("lw", { rd: 9, rs1: 10 }, CODE);
    assert.deepEqual(guest.trap, { cause: BREAKPOINT, pc: BigInt(CODE), value: BigInt(DATA) });
    arm(guest, 0, 6, LOAD | M | U, DATA);
    guest.setCsr("tcontrol", MTE);
    guest.execute("ecall", {}, CODE);
    assert.equal(guest.csr("tcontrol"), 0x80n, "mte goes to mpte");
    guest.execute("lw", { rd: 9, rs1: 10 }, CODE);
    assert.equal(guest.pc, BigInt(CODE + 4), "so nothing fires");
    guest.setCsr("mstatus", 3n << 11n);
    guest.setCsr("mepc", CODE);
    guest.execute("mret", {}, CODE - 4);
    assert.equal(guest.csr("tcontrol"), 0x88n, "and MRET brings it back");
    guest.execute("lw", { rd: 9, rs1: 10 }, CODE);
    assert.equal(guest.pc, BigInt(HANDLER));
    // In supervisor mode, if that handles breakpoints, SIE says it.
    arm(guest, 0, 6, LOAD | S, DATA);
    guest.setCsr("stvec", HANDLER);
    for (const [delegated, enabled] of [[false, false], [true, false], [true, true]]) {
      guest.setCsr("medeleg", delegated ? 8 : 0);
      guest.setCsr("mstatus", 1n << 11n | (enabled ? 2n : 0n));
      guest.setCsr("mepc", CODE);
      guest.execute("mret", {}, CODE - 4);
      guest.execute("lw", { rd: 9, rs1: 10 }, CODE);
      assert.equal(guest.pc, BigInt(!delegated || enabled ? HANDLER : CODE + 4), `${delegated} ${enabled}`);
      guest.setCsr("medeleg", 0);
      guest.execute("ecall", {}, CODE);
    }
  });

  test(`a trigger's exception comes before those of the access and the fetch on RV${xlen}`, async () => {
    const guest = await create(xlen);
    arm(guest, 0, 6, LOAD | FETCH | M, 0x1_0000);
    guest.setCsr("tcontrol", MTE);
    guest.setX(9, 0x1_0000);
    guest.execute("lw", { rd: 8, rs1: 9 }, CODE);
    assert.deepEqual(guest.trap, { cause: BREAKPOINT, pc: BigInt(CODE), value: 0x1_0000n });
    guest.setCsr("tcontrol", MTE);
    guest.execute("jalr", { rs1: 9 }, CODE);
    guest.step();
    assert.deepEqual(guest.trap, { cause: BREAKPOINT, pc: 0x1_0000n, value: 0x1_0000n });
  });

  test(`without Sdtrig (-cpu debug=off) RV${xlen} says that there are no triggers`, async () => {
    const guest = await create(xlen, ",debug=off");
    guest.setCsr("tselect", 1);
    assert.deepEqual(["tselect", "tdata1", "tinfo"].map((name) => guest.csr(name)), [0n, 0n, 1n]);
    guest.execute("csrrs", { rd: 9, imm: csrNumber("tcontrol") }, CODE);
    assert.equal(guest.trap.cause, 2n);
  });

  for (const accel of ["interpreter", "jit,threshold=1", "jit"]) {
    test(`RV${xlen} triggers that come and go in hot code are hit exactly: ${accel}`, async () => {
      // A loop stores and adds; after `before` rounds it arms a trigger on one of the two, whose handler counts in s2 and skips.
      const before = 3000, after = 50;
      for (const what of [STORE, FETCH]) {
        const p = new Program(xlen);
        p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("t0", MTE).csr("csrrw", "tcontrol", 0, "t0");
        p.la("s0", "data").li("s1", before + after).li("s2", 0).li("s3", 0).li("s4", after);
        p.label("loop").to("bne", "store", { rs1: "s1", rs2: "s4" });
        p.la("t0", what === STORE ? "data" : "add").csr("csrrw", "tdata2", 0, "t0");
        p.li("t0", type(xlen, 6) | what | M).csr("csrrw", "tdata1", 0, "t0");
        p.label("store").op("sw", { rs2: "s1", rs1: "s0" });
        p.label("add").op("addi", { rd: "s3", rs1: "s3", imm: 1 });
        p.op("addi", { rd: "s1", rs1: "s1", imm: -1 }).to("bne", "loop", { rs1: "s1", rs2: 0 });
        p.csri("csrrwi", "tdata1", 0, 0).op("sw", { rs2: "s1", rs1: "s0" }).op("addi", { rd: "s3", rs1: "s3", imm: 1 });
        p.li("t0", 0x5555).li("t1", 0x10_0000).op("sw", { rs2: "t0", rs1: "t1" });
        p.align(4).label("handler").op("addi", { rd: "s2", rs1: "s2", imm: 1 });
        p.csr("csrrs", "mepc", "t0", 0).op("addi", { rd: "t0", rs1: "t0", imm: 4 }).csr("csrrw", "mepc", 0, "t0");
        p.op("mret").align(64).label("data").data(0, 8);
        const options = { cpu: `rv${xlen}`, accel, bios: p.elf(), memory: "4M", failures: false } as const;
        await using m = await Machine.create(options);
        const stop = await m.run();
        assert.equal(stop.kind, "exit");
        const { s2, s3 } = m.hart.x;
        assert.deepEqual([Number(s2), Number(s3)], [after, what === FETCH ? before + 1 : before + after + 1]);
        assert.equal(m.memory.read32(p.address("data")), 0);
      }
    });
  }
}
