// Physical memory protection (privileged manual, section "Physical Memory Protection"): what the registers hold, which entry
// decides, and what is refused.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MACHINE, SUPERVISOR, USER } from "../hart/trap.ts";
import { EXECUTE, MIXED, Pmp, READ, WRITE } from "../hart/pmp.ts";
import { RAM_BASE } from "./support/assemble.ts";
import { Guest, WIDTHS } from "./support/guest.ts";

const HANDLER = RAM_BASE + 0x100, PAGE = RAM_BASE + 0x1_0000;
const TOR = 1 << 3, NA4 = 2 << 3, NAPOT = 3 << 3, LOCK = 1 << 7, ALL = READ | WRITE | EXECUTE;
const MPRV = 1n << 17n, MPP = 3n << 11n;

/** Entries from number 0 on: address and configuration. */
function create(...entries: [address: number | bigint, configuration: number][]): Pmp {
  const pmp = new Pmp();
  entries.forEach(([address], k) =>
    pmp.writeAddress(k, Number(BigInt.asIntN(32, BigInt(address))), Number(BigInt(address) >> 32n))
  );
  entries.forEach(([, configuration], k) => {
    pmp.writeWord(k >> 2, pmp.readWord(k >> 2) & ~(0xff << 8 * (k & 3)) | configuration << 8 * (k & 3));
  });
  return pmp;
}

test("without an entry that is on, machine mode may do everything and the others nothing", () => {
  const pmp = create();
  assert.ok(pmp.allows(RAM_BASE, 8, READ, MACHINE) && !pmp.restricts(MACHINE));
  for (const level of [USER, SUPERVISOR]) assert.ok(!pmp.allows(RAM_BASE, 1, READ, level) && pmp.restricts(level));
});

test("NA4, NAPOT and TOR match their ranges and nothing around them", () => {
  const ranges: [entries: [number, number][], start: number, end: number][] = [
    [[[0x1000 / 4, NA4 | ALL]], 0x1000, 0x1004],
    [[[0x1000 / 4, NAPOT | ALL]], 0x1000, 0x1008],
    [[[0x1000 / 4 + 1, NAPOT | ALL]], 0x1000, 0x1010],
    [[[0x10_0000 / 4 + 0x1ff, NAPOT | ALL]], 0x10_0000, 0x10_1000],
    [[[0x3004 / 4, TOR | ALL]], 0, 0x3004],
    [[[0x1008 / 4, 0], [0x2004 / 4, TOR | ALL]], 0x1008, 0x2004],
  ];
  for (const [entries, start, end] of ranges) {
    const pmp = create(...entries);
    const inside = (at: number) => pmp.allows(at, 1, WRITE, USER);
    assert.deepEqual([inside(start), inside(end - 1), inside(end)], [true, true, false], `${start}`);
    if (start > 0) assert.equal(inside(start - 1), false);
    assert.equal(pmp.allows(end - 2, 4, READ, USER), false, "an access that only begins in it");
    assert.equal(pmp.allows(end - 2, 4, READ, MACHINE), false, "must be in it as a whole for machine mode, too");
  }
  assert.ok(!create([0x2000 / 4, 0], [0x2000 / 4, TOR | ALL]).allows(0x2000, 1, READ, USER), "an empty range");
});

test("the lowest entry that matches decides, and binds machine mode only when locked", () => {
  for (const lock of [0, LOCK]) {
    const pmp = create([PAGE / 4 + 0x1ff, NAPOT | READ | lock], [2 ** 53 - 1, NAPOT | ALL]);
    for (const level of [USER, SUPERVISOR, MACHINE]) {
      const free = level === MACHINE && lock === 0;
      for (const access of [READ, WRITE, EXECUTE]) {
        assert.equal(pmp.allows(PAGE + 8, 4, access, level), free || access === READ);
        assert.ok(pmp.allows(PAGE + 4096, 4, access, level));
      }
      assert.equal(pmp.page(PAGE, level), free ? ALL : READ);
      assert.equal(pmp.restricts(level), !free);
    }
  }
});

test("a page of which an entry matches a part is mixed", () => {
  const pmp = create([PAGE / 4, NA4 | READ], [(1n << 54n) - 1n, NAPOT | ALL]);
  assert.equal(pmp.page(PAGE, USER), MIXED);
  assert.equal(pmp.page(PAGE + 4096, USER), ALL);
});

test("an entry over all memory leaves nothing to check", () => {
  const everything: [number | bigint, number][] = [[(1n << 54n) - 1n, TOR], [(1n << 54n) - 1n, NAPOT], [
    2 ** 53 - 1,
    NAPOT,
  ], [
    2 ** 30,
    TOR,
  ]];
  for (const [address, mode] of everything) assert.ok(!create([address, mode | ALL]).restricts(USER), `${address}`);
  assert.ok(create([(1n << 54n) - 1n, NAPOT | READ | EXECUTE]).restricts(USER));
  assert.ok(create([2 ** 28, TOR | ALL]).restricts(USER));
});

for (const xlen of WIDTHS) {
  const create = async () => {
    const guest = await Guest.create(xlen);
    guest.setCsr("mtvec", HANDLER);
    return guest;
  };
  /** Sets entry 0, which must share its register with no entry that is on. */
  const protect = (guest: Guest, address: number, configuration: number) => {
    guest.setCsr("pmpaddr0", Math.floor(address));
    guest.setCsr("pmpcfg0", configuration);
  };

  test(`pmpcfg and pmpaddr of RV${xlen} hold what they can`, async () => {
    const guest = await create();
    const words = xlen === 32 ? [0, 1, 2, 3] : [0, 2], ones = (1n << BigInt(xlen)) - 1n;
    for (const word of words) {
      guest.setCsr(`pmpcfg${word}`, ones & ~0x8080_8080_8080_8080n);
      assert.equal(guest.csr(`pmpcfg${word}`), ones & 0x1f1f_1f1f_1f1f_1f1fn);
      guest.setCsr(`pmpcfg${word}`, 0x0602_0302);
      assert.equal(guest.csr(`pmpcfg${word}`), 0x0400_0300n, "writable but not readable is reserved");
      guest.setCsr(`pmpcfg${word}`, 0);
    }
    for (let k = 0; k < 16; k++) {
      guest.setCsr(`pmpaddr${k}`, ones);
      assert.equal(guest.csr(`pmpaddr${k}`), xlen === 32 ? ones : (1n << 54n) - 1n);
    }
    if (xlen === 64) assert.throws(() => guest.csr("pmpcfg1"));
    assert.throws(() => guest.csr("pmpaddr16"));
  });

  test(`a lock of RV${xlen} holds an entry, and the address below a range that ends there`, async () => {
    const guest = await create();
    guest.setCsr("pmpaddr0", 0x1000);
    guest.setCsr("pmpaddr1", 0x2000);
    guest.setCsr("pmpcfg0", (LOCK | TOR | ALL) << 8);
    guest.setCsr("pmpcfg0", 0x1f);
    guest.setCsr("pmpaddr0", 0);
    guest.setCsr("pmpaddr1", 0);
    assert.deepEqual(
      [guest.csr("pmpaddr0"), guest.csr("pmpaddr1"), guest.csr("pmpcfg0")],
      [0x1000n, 0x2000n, BigInt((LOCK | TOR | ALL) << 8 | 0x1f)],
    );
  });

  test(`user mode of RV${xlen} cannot fetch without an entry, and can with one`, async () => {
    const guest = await create();
    guest.put(RAM_BASE, "addi", { rd: 5, rs1: 0, imm: 7 });
    guest.enterUser(RAM_BASE);
    guest.step();
    assert.deepEqual(guest.trap, { cause: 1n, pc: BigInt(RAM_BASE), value: BigInt(RAM_BASE) });
    protect(guest, xlen === 32 ? 2 ** 32 - 1 : 2 ** 53 - 1, NAPOT | ALL);
    guest.enterUser(RAM_BASE);
    guest.step();
    assert.deepEqual([guest.pc, guest.x(5)], [BigInt(RAM_BASE + 4), 7n]);
  });

  test(`RV${xlen} loads and stores are checked to the byte as the level that MPRV says`, async () => {
    const guest = await create();
    protect(guest, (PAGE + 16) / 4, TOR | READ);
    guest.setX(7, 0x55);
    const tries: [string, number, bigint | undefined][] = [
      ["lw", PAGE + 12, undefined],
      ["lw", PAGE + 14, 5n],
      ["lh", PAGE + 14, undefined],
      ["lb", PAGE + 16, 5n],
      ["sw", PAGE + 8, 7n],
      ["amoadd.w", PAGE + 8, 7n],
      ["lr.w", PAGE + 16, 5n],
    ];
    for (const [name, address, cause] of tries) {
      for (const status of [0n, MPRV | MPP, MPRV]) {
        guest.setCsr("mcause", 0);
        guest.setX(6, address);
        guest.setCsr("mstatus", status);
        guest.execute(name, /^l[whb]$/.test(name) ? { rd: 5, rs1: 6 } : { rs1: 6, ...(name !== "lr.w" && { rs2: 7 }) });
        const refused = status === MPRV && cause !== undefined;
        assert.equal(guest.pc, BigInt(refused ? HANDLER : RAM_BASE + 4), `${name} ${address.toString(16)} ${status}`);
        if (refused) assert.deepEqual(guest.trap, { cause: cause!, pc: BigInt(RAM_BASE), value: BigInt(address) });
      }
    }
  });

  test(`RV${xlen} fetches are checked to the halfword, also in machine mode under a lock`, async () => {
    const guest = await create();
    guest.setCsr("pmpaddr0", PAGE / 4);
    guest.setCsr("pmpaddr1", (PAGE + 8) / 4);
    guest.setCsr("pmpcfg0", (LOCK | TOR | READ | WRITE) << 8);
    for (let at = PAGE - 16; at < PAGE + 24; at += 2) guest.put(at, "c.addi", { rd: 9, imm: 1 });
    guest.pc = PAGE - 4;
    guest.step(3);
    assert.equal(guest.x(9), 2n);
    assert.deepEqual(guest.trap, { cause: 1n, pc: BigInt(PAGE), value: BigInt(PAGE) });
    guest.pc = PAGE + 8;
    guest.step(3);
    assert.equal(guest.x(9), 5n);
    // Its second half is refused.
    guest.put(PAGE - 2, "addi", { rd: 9, rs1: 0, imm: 1 });
    guest.pc = PAGE - 2;
    guest.step();
    assert.deepEqual(guest.trap, { cause: 1n, pc: BigInt(PAGE - 2), value: BigInt(PAGE) });
  });
}
