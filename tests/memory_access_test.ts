// Loads, stores and instruction fetches: every width and alignment, the ends of pages and of RAM, places without memory, ROM
// and devices, and code that changes itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Xlen } from "../isa/instruction.ts";
import { assemble, Program, RAM_BASE } from "./support/assemble.ts";
import { Guest, RAM_END, unsigned, WIDTHS } from "./support/guest.ts";

const CLINT = 0x200_0000, ROM = 0x1000, UART = 0x1000_0000;
const LOAD_FAULT = 5n, STORE_FAULT = 7n, FETCH_FAULT = 1n;

interface Access {
  readonly name: string;
  readonly size: number;
}
const LOADS: readonly Access[] = [
  ...[{ name: "lb", size: 1 }, { name: "lbu", size: 1 }, { name: "lh", size: 2 }, { name: "lhu", size: 2 }],
  ...[{ name: "lw", size: 4 }, { name: "lwu", size: 4 }, { name: "ld", size: 8 }],
];
const STORES: readonly Access[] = [
  ...[{ name: "sb", size: 1 }, { name: "sh", size: 2 }, { name: "sw", size: 4 }, { name: "sd", size: 8 }],
];
const on = (accesses: readonly Access[], xlen: Xlen) =>
  accesses.filter(({ name }) => xlen === 64 || !["lwu", "ld", "sd"].includes(name));

/** A handler's address: traps go there, and nothing is executed there by a single step. */
const HANDLER = RAM_BASE + 0x100;

async function guestWithHandler(xlen: Xlen, cpu = "", memory?: number): Promise<Guest> {
  const guest = await Guest.create(xlen, cpu, memory === undefined ? {} : { memory });
  guest.setCsr("mtvec", HANDLER);
  return guest;
}

/** Executes an access with x6 = address and x7 the data or destination. */
function access(guest: Guest, name: string, address: number | bigint, value: number | bigint = 0): void {
  guest.setX(6, address);
  guest.setX(7, value);
  guest.execute(name, name.startsWith("l") ? { rd: 7, rs1: 6 } : { rs1: 6, rs2: 7 });
}

function assertTrap(guest: Guest, cause: bigint, value: number | bigint, pc: number | bigint, message?: string): void {
  const trap = { cause, pc: BigInt(pc), value: BigInt(value) };
  assert.deepEqual({ ...guest.trap, at: guest.pc }, { ...trap, at: BigInt(HANDLER) }, message);
}

/** Sizes whose fast paths differ: a power of two, none, and up to the end of the first 4 GiB. */
const SIZES = [0x10_0000, 0x30_0000, 0x8000_0000];

for (const xlen of WIDTHS) {
  test(`RV${xlen} loads and stores at every alignment, over the ends of lines and pages and at both ends of RAM`, async () => {
    for (const size of SIZES) {
      const guest = await guestWithHandler(xlen, "", size), { memory } = guest.machine, end = RAM_BASE + size;
      const places = [RAM_BASE + 0x2000 + 24, RAM_BASE + 0x2000 + 64 - 12, RAM_BASE + 0x3000 - 12, end - 24];
      const bytes = Uint8Array.from({ length: 24 }, (_, k) => 0x71 + 0x1f * k);
      for (const place of places) {
        for (let offset = 0; offset <= 16; offset++) {
          const address = place + offset;
          for (const { name, size } of on(LOADS, xlen)) {
            memory.write(place, bytes);
            const raw = bytes.slice(offset, offset + size).reduceRight((value, byte) => value << 8n | BigInt(byte), 0n);
            const expected = unsigned(name.endsWith("u") ? raw : BigInt.asIntN(8 * size, raw), xlen);
            access(guest, name, address);
            assert.equal(guest.x(7), expected, `${name} 0x${address.toString(16)}`);
          }
          for (const { name, size } of on(STORES, xlen)) {
            memory.write(place, bytes);
            access(guest, name, address, 0xf9e8_d7c6_b5a4_9382n);
            const expected = bytes.slice();
            for (let k = 0; k < size; k++) expected[offset + k] = [0x82, 0x93, 0xa4, 0xb5, 0xc6, 0xd7, 0xe8, 0xf9][k]!;
            assert.deepEqual(memory.read(place, bytes.length), expected, `${name} 0x${address.toString(16)}`);
          }
        }
      }
    }
  });

  test(`RV${xlen} accesses without memory fault, change no register, and leave the address in mtval`, async () => {
    const guest = await guestWithHandler(xlen);
    const addresses = [0n, 0x1800_0000n, 0x1fff_fff8n, BigInt(RAM_END), 0xffff_fff8n];
    if (xlen === 64) addresses.push(1n << 32n, BigInt(RAM_BASE) + (1n << 32n), 1n << 63n, 0xffff_ffff_8000_0000n);
    for (const address of addresses) {
      for (const { name } of on(LOADS, xlen)) {
        access(guest, name, address, 0x1234);
        assertTrap(guest, LOAD_FAULT, address, RAM_BASE, name);
        assert.equal(guest.x(7), 0x1234n);
        guest.setX(6, address);
        guest.execute(name, { rd: 0, rs1: 6 });
        assertTrap(guest, LOAD_FAULT, address, RAM_BASE, `${name} to x0`);
      }
      for (const { name } of on(STORES, xlen)) {
        access(guest, name, address, 0x1234);
        assertTrap(guest, STORE_FAULT, address, RAM_BASE, name);
      }
    }
  });

  // Privileged manual, "Machine Trap Value (mtval) Register": the address of the portion that caused the fault.
  test(`an RV${xlen} access over the end of RAM faults with the first address that is not there`, async () => {
    for (const size of SIZES.slice(0, 2)) {
      const guest = await guestWithHandler(xlen, "", size), end = RAM_BASE + size;
      for (const { name, size } of [...on(LOADS, xlen), ...on(STORES, xlen)]) {
        for (let inside = 1; inside < size; inside++) {
          access(guest, name, end - inside);
          assertTrap(
            guest,
            name.startsWith("l") ? LOAD_FAULT : STORE_FAULT,
            end,
            RAM_BASE,
            `${name}, ${inside} inside`,
          );
        }
      }
    }
  });

  test(`addresses of RV${xlen} are computed modulo 2^${xlen}`, async () => {
    const guest = await guestWithHandler(xlen);
    guest.machine.memory.write32(RAM_BASE + 0x40, 0x1234_5678);
    guest.setX(6, RAM_BASE + 0x40 + 0x800);
    guest.execute("lw", { rd: 7, rs1: 6, imm: -0x800 });
    assert.equal(guest.x(7), 0x1234_5678n);
    guest.setX(6, -4);
    guest.execute("lw", { rd: 7, rs1: 6, imm: 8 });
    assertTrap(guest, LOAD_FAULT, 4, RAM_BASE);
    guest.setX(6, 4);
    guest.execute("lw", { rd: 7, rs1: 6, imm: -8 });
    assertTrap(guest, LOAD_FAULT, unsigned(-4, xlen), RAM_BASE);
  });

  test(`RV${xlen} reads ROM at any alignment, and writes to it are ignored`, async () => {
    const guest = await guestWithHandler(xlen), before = guest.machine.memory.read(ROM, 64);
    for (const { name, size } of on(LOADS, xlen)) {
      for (const address of [ROM, ROM + 5]) {
        access(guest, name, address);
        const raw = before.slice(address - ROM, address - ROM + size)
          .reduceRight((value, byte) => value << 8n | BigInt(byte), 0n);
        assert.equal(guest.x(7), unsigned(name.endsWith("u") ? raw : BigInt.asIntN(8 * size, raw), xlen), name);
      }
    }
    for (const { name } of on(STORES, xlen)) {
      access(guest, name, ROM + 4, -1);
      assert.equal(guest.pc, BigInt(RAM_BASE + 4), `${name} does not trap`);
    }
    assert.deepEqual(guest.machine.memory.read(ROM, 64), before);
  });

  test(`RV${xlen} accesses that a device does not take are access faults`, async () => {
    const guest = await guestWithHandler(xlen), mtimecmp = CLINT + 0x4000;
    for (
      const [name, address] of [["lb", mtimecmp], ["lhu", mtimecmp], ["lw", mtimecmp + 2], [
        "lw",
        mtimecmp + 1,
      ]] as const
    ) {
      access(guest, name, address);
      assertTrap(guest, LOAD_FAULT, address, RAM_BASE, name);
    }
    for (const [name, address] of [["sb", mtimecmp], ["sh", mtimecmp], ["sw", mtimecmp + 2]] as const) {
      access(guest, name, address);
      assertTrap(guest, STORE_FAULT, address, RAM_BASE, name);
    }
    access(guest, "sw", mtimecmp, 0x8765_4321);
    access(guest, "sw", mtimecmp + 4, 0x1234_5678);
    access(guest, "lw", mtimecmp);
    assert.equal(guest.x(7), unsigned(0x8765_4321 | 0, xlen));
    if (xlen === 64) {
      access(guest, "ld", mtimecmp);
      assert.equal(guest.x(7), 0x1234_5678_8765_4321n);
      access(guest, "lwu", mtimecmp);
      assert.equal(guest.x(7), 0x8765_4321n);
    }
    // The scratch register of the UART holds a byte; loads extend it as their names say.
    access(guest, "sb", UART + 7, 0x1a5);
    access(guest, "lbu", UART + 7);
    assert.equal(guest.x(7), 0xa5n);
    access(guest, "lb", UART + 7);
    assert.equal(guest.x(7), unsigned(-0x5b, xlen));
  });
}

// Fetches.

for (const xlen of WIDTHS) {
  test(`an RV${xlen} instruction that begins in the last halfword of a page executes as any other`, async () => {
    const guest = await guestWithHandler(xlen), at = RAM_BASE + 0x4ffe;
    const check = (name: string, fields: Parameters<Guest["put"]>[2], next: number) => {
      for (let round = 0; round < 3; round++) {
        guest.setX(5, 0);
        guest.setX(6, RAM_BASE + 0x8000);
        guest.setX(7, 5);
        guest.execute(name, fields, at);
        assert.equal(guest.pc, BigInt(next), name);
      }
    };
    check("addi", { rd: 5, rs1: 7, imm: 3 }, at + 4);
    assert.equal(guest.x(5), 8n);
    check("auipc", { rd: 5, imm: 0x1000 }, at + 4);
    assert.equal(guest.x(5), BigInt(at) + 0x1000n);
    check("jal", { rd: 5, imm: -0x1000 }, at - 0x1000);
    assert.equal(guest.x(5), BigInt(at) + 4n);
    check("beq", { rs1: 7, rs2: 7, imm: 8 }, at + 8);
    check("bne", { rs1: 7, rs2: 7, imm: 8 }, at + 4);
    check("jalr", { rd: 5, rs1: 6, imm: 2 }, RAM_BASE + 0x8002);
    assert.equal(guest.x(5), BigInt(at) + 4n);
    check("sw", { rs1: 6, rs2: 7 }, at + 4);
    check("lw", { rd: 5, rs1: 6 }, at + 4);
    assert.equal(guest.x(5), 5n);
    check("csrrw", { rd: 5, rs1: 7, imm: 0x340 }, at + 4);
    check("ecall", {}, HANDLER);
    assertTrap(guest, 11n, 0, at);
    guest.setX(6, 1);
    guest.execute("lw", { rd: 5, rs1: 6 }, at);
    assertTrap(guest, LOAD_FAULT, 1, at);
  });

  test(`RV${xlen} code that runs from one page into the next, compressed and not, keeps its order`, async () => {
    for (const start of [0, 2]) {
      const p = new Program(xlen);
      p.li("a0", 0);
      if (start === 2) p.op("c.addi", { rd: 10, imm: 1 });
      while (p.here < RAM_BASE + 0x3000) p.op("addi", { rd: "a0", rs1: "a0", imm: 1 });
      p.label("end");
      const guest = await Guest.with(p), count = start / 2 + Math.ceil((0x3000 - 4 - start) / 4);
      const stop = await guest.machine.run({ until: p.address("end") });
      assert.equal(stop.kind, "breakpoint");
      assert.equal(guest.x("a0"), BigInt(count));
      assert.equal(guest.csr("minstret"), BigInt(count + 1));
    }
  });

  test(`an RV${xlen} jump into the middle of an instruction executes what its second half is`, async () => {
    const guest = await guestWithHandler(xlen);
    // lui x5, with c.li a0, 13 in the upper half.
    guest.machine.memory.write32(RAM_BASE, assemble(xlen, "c.li", { rd: 10, imm: 13 }) << 16 | 0x02b7);
    for (let round = 0; round < 2; round++) {
      guest.setX("a0", 0);
      guest.pc = RAM_BASE;
      guest.step();
      assert.equal(guest.pc, BigInt(RAM_BASE + 4));
      guest.pc = RAM_BASE + 2;
      guest.step();
      assert.deepEqual([guest.pc, guest.x("a0")], [BigInt(RAM_BASE + 4), 13n]);
    }
  });

  test(`RV${xlen} fetches where nothing can be executed are access faults at the target, after the jump has retired`, async () => {
    const guest = await guestWithHandler(xlen);
    const targets = [0n, 0x1800_0000n, BigInt(CLINT), BigInt(UART), BigInt(RAM_END), 0xffff_fff0n];
    if (xlen === 64) targets.push(BigInt(RAM_BASE) + (1n << 32n), 1n << 63n, 0xffff_ffff_8000_0000n);
    for (const target of targets) {
      guest.setX(6, target);
      guest.execute("jalr", { rd: 1, rs1: 6 });
      assert.deepEqual([guest.pc, guest.x(1)], [target, BigInt(RAM_BASE + 4)]);
      const retired = guest.csr("minstret");
      guest.step();
      assertTrap(guest, FETCH_FAULT, target, target);
      assert.equal(guest.csr("minstret"), retired);
    }
  });

  test(`running over the end of RAM is an access fault of RV${xlen}: of the instruction, or of its second half`, async () => {
    const guest = await guestWithHandler(xlen);
    guest.execute("addi", {}, RAM_END - 4);
    assert.equal(guest.pc, BigInt(RAM_END));
    guest.step();
    assertTrap(guest, FETCH_FAULT, RAM_END, RAM_END);
    guest.machine.memory.write16(RAM_END - 2, 0x0013);
    guest.pc = RAM_END - 2;
    guest.step();
    assertTrap(guest, FETCH_FAULT, RAM_END, RAM_END - 2);
  });

  test(`at the end of the first 4 GiB, RV${xlen} code links and goes on at the next address`, async () => {
    const guest = await guestWithHandler(xlen, "", 0x8000_0000), last = 0xffff_fffc;
    const next = xlen === 64 ? 0x1_0000_0000n : 0n;
    guest.execute("jal", { rd: 1, imm: -0x100 }, last);
    assert.deepEqual([guest.pc, guest.x(1)], [BigInt(last - 0x100), next]);
    guest.setX(6, RAM_BASE);
    guest.execute("jalr", { rd: 1, rs1: 6 }, last);
    assert.deepEqual([guest.pc, guest.x(1)], [BigInt(RAM_BASE), next]);
    guest.execute("addi", {}, last);
    assert.equal(guest.pc, next);
    guest.execute("wrs.sto", {}, last);
    assert.equal(guest.pc, next);
    guest.step();
    assertTrap(guest, FETCH_FAULT, next, next);
    guest.execute("jal", { rd: 1, imm: 0x100 }, last);
    assert.equal(guest.pc, unsigned(BigInt(last) + 0x100n, xlen));
    guest.execute("auipc", { rd: 1, imm: 0x1000 }, last);
    assert.equal(guest.x(1), unsigned(BigInt(last) + 0x1000n, xlen));
  });
}

// Code that changes itself.

/** What is stored over `addi a0, x0, 1`, by an instruction that has its address in a1. */
type Patch = (p: Program) => void;

const NEW = { rd: "a0", rs1: 0, imm: 2 } as const;
const word = (p: Program) => assemble(p.xlen, "addi", NEW);
const PATCHES: Readonly<Record<string, Patch>> = {
  sw: (p) => p.li("a2", word(p)).op("sw", { rs1: "a1", rs2: "a2" }),
  "sh of its upper half": (p) => p.li("a2", word(p) >>> 16).op("sh", { rs1: "a1", rs2: "a2", imm: 2 }),
  "sb of its third byte": (p) => p.li("a2", word(p) >>> 16 & 0xff).op("sb", { rs1: "a1", rs2: "a2", imm: 2 }),
  "two misaligned halves": (p) =>
    p.op("lbu", { rd: "a2", rs1: "a1", imm: -1 }).li("a3", word(p)).op("slli", { rd: "a4", rs1: "a3", imm: 8 })
      .op("or", { rd: "a2", rs1: "a2", rs2: "a4" }).op("sw", { rs1: "a1", rs2: "a2", imm: -1 })
      .op("srli", { rd: "a3", rs1: "a3", imm: 24 }).op("sb", { rs1: "a1", rs2: "a3", imm: 3 }),
  amoswap: (p) => p.li("a2", word(p)).op("amoswap.w", { rd: 0, rs1: "a1", rs2: "a2" }),
  "lr and sc": (p) => p.li("a2", word(p)).op("lr.w", { rd: 0, rs1: "a1" }).op("sc.w", { rd: 0, rs1: "a1", rs2: "a2" }),
  amocas: (p) =>
    p.li("a2", word(p)).op("lw", { rd: "a3", rs1: "a1" }).op("amocas.w", { rd: "a3", rs1: "a1", rs2: "a2" }),
};

const ACCELERATORS = ["interpreter", "jit,threshold=1"];

for (const [xlen, accel] of WIDTHS.flatMap((xlen) => ACCELERATORS.map((accel) => [xlen, accel] as const))) {
  test(`RV${xlen} code that was executed and is then written over executes as it now stands, with and without FENCE.I (${accel})`, async () => {
    for (const [how, patch] of Object.entries(PATCHES)) {
      for (const fence of [false, true]) {
        // In the same line, at a line's start, over its end, at a page's start and over its end. AMOs need alignment.
        const aligned = /amo|lr/.test(how);
        for (
          const place of [0x400, 0x420, 0x43e, 0x1000, 0xffe, 0xffc].filter((place) => !aligned || place % 4 === 0)
        ) {
          const p = new Program(xlen);
          p.li("s0", 3).li("s1", 0).la("a1", "target").to("jal", "loop", { rd: 0 });
          p.org(RAM_BASE + place).label("target").op("addi", { rd: "a0", rs1: 0, imm: 1 });
          p.op("add", { rd: "s1", rs1: "s1", rs2: "a0" }).op("jalr", { rs1: "ra" });
          p.align(4).label("loop").to("jal", "target", { rd: "ra" }).op("addi", { rd: "s0", rs1: "s0", imm: -1 });
          p.to("bne", "loop", { rs1: "s0", rs2: 0 });
          patch(p);
          if (fence) p.op("fence.i");
          p.to("jal", "target", { rd: "ra" }).label("end");
          const guest = await Guest.with(p, "", { accel });
          const stop = await guest.machine.run({ until: p.address("end"), maxInstructions: 1000 });
          assert.equal(stop.kind, "breakpoint");
          assert.equal(guest.x("s1"), 3n + 2n, `${how} at ${place.toString(16)}`);
        }
      }
    }
  });

  test(`an RV${xlen} store to the instruction that follows it takes effect at once, even in the middle of a loop (${accel})`, async () => {
    for (const place of [0x20, 0x3e, 0x3c, 0xffa, 0xffc, 0xffe]) {
      const p = new Program(xlen);
      p.la("a1", "target").li("a2", assemble(xlen, "addi", { rd: "a0", rs1: "a0", imm: 0 })).li("a4", 1 << 20);
      p.li("s0", 10).to("jal", "loop", { rd: 0 }).org(RAM_BASE + 0x1000 + place).label("loop");
      // The immediate grows by one each time.
      p.op("add", { rd: "a2", rs1: "a2", rs2: "a4" }).op("sw", { rs1: "a1", rs2: "a2" });
      p.label("target").op("addi", { rd: "a0", rs1: "a0", imm: 0 }).op("addi", { rd: "s0", rs1: "s0", imm: -1 });
      p.to("bne", "loop", { rs1: "s0", rs2: 0 }).label("end");
      const guest = await Guest.with(p, "", { accel });
      await guest.machine.run({ until: p.address("end"), maxInstructions: 1000 });
      assert.equal(guest.x("a0"), 55n, place.toString(16));
    }
  });
}

for (const xlen of WIDTHS) {
  test(`a script's write to RV${xlen} code takes effect at the next instruction`, async () => {
    const guest = await guestWithHandler(xlen);
    for (let imm = 0; imm < 5; imm++) {
      for (const at of [RAM_BASE + 0x40, RAM_BASE + 0x7e, RAM_BASE + 0xffe]) {
        guest.execute("addi", { rd: 5, rs1: 0, imm }, at);
        assert.equal(guest.x(5), BigInt(imm));
      }
    }
  });
}
