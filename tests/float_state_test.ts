// Floating-point state (unprivileged manual, chapters "F" and "D"; privileged manual, "Extension Context Status in mstatus
// Register"): mstatus.FS and SD, fcsr and its parts, rounding modes, NaN boxing, bits that must not change, and what `-cpu` switches.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isaString } from "../isa/extensions.ts";
import type { Xlen } from "../isa/instruction.ts";
import { INSTRUCTIONS } from "../isa/table.ts";
import { OptionError } from "../machine/errors.ts";
import { Machine } from "../machine/machine.ts";
import { parseCpu } from "../machine/cpu.ts";
import { Random } from "./float_operands.ts";
import { assemble, csrNumber, type Fields, Program, RAM_BASE } from "./support/assemble.ts";
import { Guest, RAM_END, unsigned, WIDTHS } from "./support/guest.ts";

const ACCELERATORS = ["interpreter", "jit,threshold=1"];
const HANDLER = RAM_BASE + 0x800;
const ILLEGAL = 2n;
const OFF = 0n, INITIAL = 1n, CLEAN = 2n, DIRTY = 3n;
const FS_SHIFT = 13n;
const NX = 1n, NV = 16n;
const DYNAMIC = 7;

const bitsOf = (value: number) => {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return view.getBigUint64(0);
};
const singleBits = (value: number) => {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return 0xffff_ffff_0000_0000n | BigInt(view.getUint32(0));
};

async function create(xlen: Xlen, fs: bigint, cpu = ""): Promise<Guest> {
  const guest = await Guest.create(xlen, cpu, { accel: "interpreter" });
  guest.setCsr("mtvec", HANDLER);
  setFs(guest, fs);
  return guest;
}
function setFs(guest: Guest, fs: bigint): void {
  guest.setCsr("mstatus", guest.csr("mstatus") & ~(3n << FS_SHIFT) | fs << FS_SHIFT);
}
const fsOf = (guest: Guest) => guest.csr("mstatus") >> FS_SHIFT & 3n;
const trapped = (guest: Guest) => guest.pc === BigInt(HANDLER);

/** Executes a CSR instruction; gives what it read, or undefined if it trapped. */
function csr(guest: Guest, name: string, register: string, source: number | bigint): bigint | undefined {
  if (name.endsWith("i")) guest.execute(name, { rd: 5, rs1: Number(source), imm: csrNumber(register) });
  else {
    guest.setX(6, source);
    guest.execute(name, { rd: 5, rs1: 6, imm: csrNumber(register) });
  }
  return trapped(guest) ? undefined : guest.x(5);
}

for (const xlen of WIDTHS) {
  test(`every RV${xlen} floating-point instruction is illegal while mstatus.FS is Off, and changes nothing`, async () => {
    const guest = await create(xlen, OFF);
    const own = ["F", "D", "Zfh", "Zfhmin", "Zfa", "Zcf", "Zcd"];
    const all = INSTRUCTIONS.filter((one) =>
      one.extensions.some((name) => own.includes(name)) && (one.xlen ?? xlen) === xlen
    );
    assert.ok(all.length > 110, `${all.length}`);
    for (const { name, encoding, valid } of all) {
      const operands = { rd: 9, rs1: 9, rs2: 9, rs3: 9, imm: 0 };
      if (valid?.(operands, xlen) === false) operands.imm = 1;
      const word = encoding.encode(operands);
      guest.setX(9, RAM_BASE + 0x400);
      guest.machine.hart.f.f9 = 0x1234n;
      guest.machine.memory.write32(RAM_BASE, word);
      guest.pc = RAM_BASE;
      guest.step();
      assert.ok(trapped(guest), name);
      assert.deepEqual(guest.trap, { cause: ILLEGAL, pc: BigInt(RAM_BASE), value: BigInt(word) }, name);
      assert.equal(guest.machine.hart.f.f9, 0x1234n, name);
    }
    for (const register of ["fflags", "frm", "fcsr"]) {
      for (const name of ["csrrw", "csrrs", "csrrc", "csrrwi", "csrrsi", "csrrci"]) {
        assert.equal(csr(guest, name, register, 0), undefined, `${name} ${register}`);
      }
    }
    assert.equal(fsOf(guest), OFF);
  });

  test(`RV${xlen} mstatus.FS becomes Dirty where f registers or fcsr change, and SD says so`, async () => {
    const guest = await create(xlen, OFF), { f } = guest.machine.hart;
    const sd = () => guest.csr("mstatus") >> BigInt(xlen - 1);
    const data = RAM_BASE + 0x400;
    /** FS after an instruction that found it so. */
    const after = (before: bigint, name: string, fields: Fields) => {
      setFs(guest, before);
      guest.setX(8, data);
      guest.execute(name, fields);
      assert.ok(!trapped(guest), name);
      assert.equal(sd(), fsOf(guest) === DIRTY ? 1n : 0n);
      return fsOf(guest);
    };
    for (const before of [INITIAL, CLEAN]) {
      f.f1 = bitsOf(1.5), f.f2 = bitsOf(2.5), f.f3 = 0x7ff0_0000_0000_0001n, f.f4 = singleBits(1.5);
      guest.setCsr("fcsr", 0);
      for (const [name, fields] of WRITING) assert.equal(after(before, name, fields), DIRTY, name);
      for (const [name, fields] of READING) assert.equal(after(before, name, fields), before, name);
      // A comparison with a signalling NaN raises NV; when that is raised already, nothing changes.
      assert.equal(after(before, "feq.d", { rd: 5, rs1: 1, rs2: 3 }), DIRTY);
      assert.equal(guest.csr("fflags"), NV);
      assert.equal(after(before, "feq.d", { rd: 5, rs1: 1, rs2: 3 }), before);
      for (const register of ["fflags", "frm", "fcsr"]) {
        assert.equal(after(before, "csrrs", { rd: 5, rs1: 0, imm: csrNumber(register) }), before, "reading");
        assert.equal(after(before, "csrrsi", { rd: 5, rs1: 0, imm: csrNumber(register) }), before, "reading");
        assert.equal(after(before, "csrrwi", { rd: 0, rs1: 0, imm: csrNumber(register) }), DIRTY, "writing");
      }
    }
  });

  test(`RV${xlen} fflags and frm are parts of fcsr, which has eight bits`, async () => {
    const guest = await create(xlen, INITIAL);
    const parts = () => ["fcsr", "frm", "fflags"].map((name) => csr(guest, "csrrsi", name, 0));
    assert.deepEqual(parts(), [0n, 0n, 0n]);
    for (const value of [0xffff_ffffn, 0n, 0xa5n, 0x5an, 0x1ffn, 0x80n, 0x100n]) {
      csr(guest, "csrrw", "fcsr", value);
      assert.deepEqual(parts(), [value & 0xffn, value >> 5n & 7n, value & 0x1fn]);
      assert.equal(csr(guest, "csrrw", "frm", 0xffff_fffan), value >> 5n & 7n);
      assert.deepEqual(parts(), [2n << 5n | value & 0x1fn, 2n, value & 0x1fn], "frm is three bits");
      assert.equal(csr(guest, "csrrw", "fflags", 0xffff_fff5n), value & 0x1fn);
      assert.deepEqual(parts(), [2n << 5n | 0x15n, 2n, 0x15n], "fflags is five bits");
      csr(guest, "csrrsi", "fflags", 2);
      csr(guest, "csrrci", "fflags", 4);
      assert.deepEqual(parts(), [2n << 5n | 0x13n, 2n, 0x13n]);
    }
    // Every value of frm can be held (chapter "F": reserved ones are only illegal to use).
    for (let mode = 0; mode < 8; mode++) {
      csr(guest, "csrrwi", "frm", mode);
      assert.deepEqual(parts(), [BigInt(mode) << 5n | 0x13n, BigInt(mode), 0x13n]);
    }
  });

  test(`a reserved mode in frm of RV${xlen} is illegal for instructions that take it from there, and for no others`, async () => {
    const guest = await create(xlen, DIRTY), { f } = guest.machine.hart;
    f.f1 = bitsOf(1), f.f2 = bitsOf(3), f.f4 = singleBits(3);
    for (let mode = 0; mode < 8; mode++) {
      guest.setCsr("fcsr", mode << 5);
      const isReserved = mode > 4;
      for (const [name, fields] of ROUNDING) {
        f.f9 = 0n;
        guest.execute(name, { ...fields, imm: DYNAMIC });
        assert.equal(trapped(guest), isReserved, `${name} with frm ${mode}`);
        if (isReserved) {
          assert.deepEqual([guest.trap.cause, f.f9, guest.csr("fflags")], [ILLEGAL, 0n, 0n], name);
        }
        guest.execute(name, { ...fields, imm: 1 });
        assert.ok(!trapped(guest), `${name} with a mode of its own`);
        guest.setCsr("fflags", 0);
      }
      for (const [name, fields] of [...WRITING, ...READING]) {
        if (name.startsWith("fadd")) continue;
        guest.setX(8, RAM_BASE + 0x400);
        guest.execute(name, fields);
        assert.ok(!trapped(guest), name);
      }
    }
  });

  test(`RV${xlen} registers hold narrow formats NaN-boxed; what is not boxed counts as the canonical NaN`, async () => {
    const guest = await create(xlen, DIRTY), { f } = guest.machine.hart, data = RAM_BASE + 0x400;
    guest.setX(8, data);
    guest.machine.memory.write64(data, 0x1122_3344_3f80_0000n);
    guest.machine.memory.write64(data + 8, 0n);
    guest.execute("flw", { rd: 1, rs1: 8 });
    assert.equal(f.f1, 0xffff_ffff_3f80_0000n);
    guest.execute("flh", { rd: 1, rs1: 8, imm: 2 });
    assert.equal(f.f1, 0xffff_ffff_ffff_3f80n);
    guest.execute("fld", { rd: 1, rs1: 8 });
    assert.equal(f.f1, 0x1122_3344_3f80_0000n);
    // Transfers do not look at the box.
    guest.execute("fsw", { rs1: 8, rs2: 1, imm: 8 });
    guest.execute("fsh", { rs1: 8, rs2: 1, imm: 14 });
    assert.equal(guest.machine.memory.read64(data + 8), 0x3f80_0000n, "FSH stored 0");
    guest.execute("fmv.x.w", { rd: 5, rs1: 1 });
    assert.equal(guest.x(5), 0x3f80_0000n);
    guest.setX(6, 0x8765_4321);
    guest.execute("fmv.w.x", { rd: 2, rs1: 6 });
    assert.equal(f.f2, 0xffff_ffff_8765_4321n);
    guest.execute("fmv.x.w", { rd: 5, rs1: 2 });
    assert.equal(guest.x(5), xlen === 32 ? 0x8765_4321n : 0xffff_ffff_8765_4321n, "sign-extended");
    guest.execute("fmv.h.x", { rd: 2, rs1: 6 });
    assert.equal(f.f2, 0xffff_ffff_ffff_4321n);
    // 1.0 without a box.
    guest.execute("fadd.s", { rd: 3, rs1: 1, rs2: 1 });
    assert.equal(f.f3, 0xffff_ffff_7fc0_0000n);
    guest.execute("fsgnjn.s", { rd: 3, rs1: 1, rs2: 1 });
    assert.equal(f.f3, 0xffff_ffff_ffc0_0000n);
    guest.execute("fclass.s", { rd: 5, rs1: 1 });
    assert.equal(guest.x(5), 1n << 9n);
    assert.equal(guest.csr("fflags"), 0n, "the canonical NaN is quiet");
  });

  test(`RV${xlen} doubles are loaded and stored at any address, and faults leave the register as it was`, async () => {
    const guest = await create(xlen, DIRTY), { f } = guest.machine.hart, pattern = 0x8877_6655_4433_2211n;
    for (
      const address of [
        RAM_BASE + 0x400,
        RAM_BASE + 0x401,
        RAM_BASE + 0x404,
        RAM_BASE + 0xffc,
        RAM_BASE + 0xfff,
        RAM_END - 8,
      ]
    ) {
      guest.setX(8, address);
      guest.machine.memory.write64(address, pattern);
      f.f7 = 0n;
      guest.execute("fld", { rd: 7, rs1: 8 });
      assert.equal(f.f7, pattern);
      f.f7 = ~pattern & 0xffff_ffff_ffff_ffffn;
      guest.execute("fsd", { rs2: 7, rs1: 8 });
      assert.equal(guest.machine.memory.read64(address), f.f7);
    }
    for (const [address, fault] of [[RAM_END - 4, RAM_END], [RAM_END, RAM_END], [0x100, 0x100]] as const) {
      guest.setX(8, address);
      f.f7 = pattern;
      guest.execute("fld", { rd: 7, rs1: 8 });
      assert.deepEqual([guest.trap.cause, guest.trap.value, f.f7], [5n, BigInt(fault), pattern]);
      guest.execute("fsd", { rs2: 7, rs1: 8 });
      assert.deepEqual([guest.trap.cause, guest.trap.value], [7n, BigInt(fault)]);
    }
    // The time of the CLINT, from a device: twice 32 bits of what a load of a whole register gives.
    guest.setX(8, 0x200_bff8);
    guest.execute("fld", { rd: 7, rs1: 8 });
    assert.ok(!trapped(guest) && f.f7 < 1000n);
  });
}

/** Instructions that write an f register: x8 is an address, f1 and f2 doubles, f4 a single. */
const WRITING: readonly (readonly [string, Fields])[] = [
  ["fld", { rd: 9, rs1: 8 }],
  ["flw", { rd: 9, rs1: 8 }],
  ["flh", { rd: 9, rs1: 8 }],
  ["c.fld", { rd: 9, rs1: 8 }],
  ["fadd.d", { rd: 9, rs1: 1, rs2: 2, imm: DYNAMIC }],
  ["fadd.s", { rd: 9, rs1: 4, rs2: 4, imm: DYNAMIC }],
  ["fsgnj.d", { rd: 9, rs1: 1, rs2: 1 }],
  ["fsgnj.s", { rd: 9, rs1: 4, rs2: 1 }],
  ["fmin.d", { rd: 9, rs1: 1, rs2: 2 }],
  ["fmv.w.x", { rd: 9, rs1: 8 }],
  ["fcvt.d.w", { rd: 9, rs1: 8, imm: 0 }],
  ["fcvt.d.s", { rd: 9, rs1: 4, imm: 0 }],
  ["fli.d", { rd: 9, imm: 16 }],
];
/** Instructions that only read f registers, and raise no flags. */
const READING: readonly (readonly [string, Fields])[] = [
  ["fsd", { rs2: 1, rs1: 8 }],
  ["fsw", { rs2: 1, rs1: 8 }],
  ["fsh", { rs2: 1, rs1: 8 }],
  ["c.fsd", { rs2: 9, rs1: 8 }],
  ["fmv.x.w", { rd: 5, rs1: 1 }],
  ["fclass.d", { rd: 5, rs1: 1 }],
  ["feq.d", { rd: 5, rs1: 1, rs2: 2 }],
  ["fle.s", { rd: 5, rs1: 4, rs2: 4 }],
];
/** Instructions that round. */
const ROUNDING: readonly (readonly [string, Fields])[] = [
  ["fdiv.d", { rd: 9, rs1: 1, rs2: 2 }],
  ["fsqrt.s", { rd: 9, rs1: 4 }],
  ["fmadd.d", { rd: 9, rs1: 1, rs2: 2, rs3: 2 }],
  ["fcvt.w.d", { rd: 5, rs1: 1 }],
  ["fcvt.d.w", { rd: 9, rs1: 0 }],
  ["fcvt.s.d", { rd: 9, rs1: 1 }],
  ["fround.d", { rd: 9, rs1: 1 }],
];

test("RV32 moves doubles by pairs of integer registers where Zfa is there, RV64 by one", async () => {
  const narrow = await create(32, DIRTY), bits = 0x8877_6655_4433_2211n;
  narrow.setX(6, 0x4433_2211);
  narrow.setX(7, 0x8877_6655);
  narrow.execute("fmvp.d.x", { rd: 3, rs1: 6, rs2: 7 });
  assert.equal(narrow.machine.hart.f.f3, bits);
  narrow.execute("fmvh.x.d", { rd: 5, rs1: 3 });
  assert.equal(narrow.x(5), 0x8877_6655n);
  narrow.execute("fmv.x.w", { rd: 5, rs1: 3 });
  assert.equal(narrow.x(5), 0x4433_2211n);
  const wide = await create(64, DIRTY);
  wide.setX(6, bits);
  wide.execute("fmv.d.x", { rd: 3, rs1: 6 });
  assert.equal(wide.machine.hart.f.f3, bits);
  wide.execute("fmv.x.d", { rd: 5, rs1: 3 });
  assert.equal(wide.x(5), bits);
});

test("f registers of scripts have ABI names and numbers", async () => {
  const { machine } = await create(64, OFF), { f } = machine.hart;
  f.fa0 = -1n;
  assert.deepEqual([f.f10, f.fa0, f.ft0, "f31" in f, "f32" in f], [
    0xffff_ffff_ffff_ffffn,
    0xffff_ffff_ffff_ffffn,
    0n,
    true,
    false,
  ]);
  assert.equal(Object.keys(f).length, 32);
  assert.throws(() => f.fa8, OptionError);
});

for (const xlen of WIDTHS) {
  test(`RV${xlen} doubles are stored only where the page may be written`, async () => {
    const guest = await create(xlen, DIRTY),
      { memory, hart } = guest.machine,
      root = RAM_BASE + 0x4000,
      data = RAM_BASE + 0x400;
    // One large page that can be read, at its own address (privileged manual, "Sv32" and "Sv39").
    const entry = (RAM_BASE / 4096) << 10 | 0b1100_0011;
    if (xlen === 32) memory.write32(root + 4 * (RAM_BASE >>> 22), entry);
    else memory.write64(root + 8 * (RAM_BASE >>> 30), BigInt(entry));
    guest.setCsr("satp", (xlen === 32 ? 1n << 31n : 8n << 60n) | BigInt(root / 4096));
    guest.setCsr("pmpaddr0", unsigned(-1, xlen));
    guest.setCsr("pmpcfg0", 0b11111);
    // Loads and stores as in supervisor mode: MPRV with MPP = S.
    guest.setCsr("mstatus", guest.csr("mstatus") & ~(3n << 11n) | 1n << 17n | 1n << 11n);
    guest.setX(8, data);
    memory.write64(data, bitsOf(1.5));
    for (let k = 0; k < 2; k++) {
      guest.execute("fld", { rd: 1, rs1: 8 });
      assert.equal(hart.f.f1, bitsOf(1.5));
    }
    hart.f.f1 = bitsOf(2.5);
    guest.execute("fsd", { rs2: 1, rs1: 8 });
    assert.deepEqual([guest.trap.cause, guest.trap.value], [15n, BigInt(data)]);
    assert.equal(memory.read64(data), bitsOf(1.5));
  });
}

// In loops, so that they are compiled.

/** Executes a program until it jumps to itself at `end`. */
async function run(p: Program, accel: string): Promise<Machine> {
  const machine = await Machine.create({ cpu: `rv${p.xlen}`, memory: "16M", bios: p.elf(), accel });
  const stop = await machine.run({ until: p.address("end"), maxInstructions: 1_000_000 });
  assert.equal(stop.kind, "breakpoint");
  return machine;
}

function withFloats(xlen: Xlen): Program {
  return new Program(xlen).li("t0", 0x6000).csr("csrrs", "mstatus", 0, "t0");
}

for (const xlen of WIDTHS) {
  for (const accel of ACCELERATORS) {
    test(`copies through f registers keep every bit of NaNs, RV${xlen}, -accel ${accel}`, async () => {
      const random = new Random(3), count = 64, p = withFloats(xlen);
      p.la("s0", "from").la("s1", "to").li("s2", count).label("loop");
      p.op("fld", { rd: 1, rs1: "s0" }).op("fsgnj.d", { rd: 2, rs1: 1, rs2: 1 }).op("fsd", { rs1: "s1", rs2: 1 });
      p.op("fsd", { rs1: "s1", rs2: 2, imm: 8 }).op("flw", { rd: 3, rs1: "s0" }).op("fsgnj.s", {
        rd: 3,
        rs1: 3,
        rs2: 3,
      });
      p.op("fsw", { rs1: "s1", rs2: 3, imm: 16 }).op("fsgnjn.d", { rd: 2, rs1: 1, rs2: 1 });
      p.op("fsgnjx.d", { rd: 1, rs1: 1, rs2: 1 }).op("fsd", { rs1: "s1", rs2: 2, imm: 24 });
      p.op("fsd", { rs1: "s1", rs2: 1, imm: 32 });
      p.op("addi", { rd: "s0", rs1: "s0", imm: 8 }).op("addi", { rd: "s1", rs1: "s1", imm: 40 });
      p.op("addi", { rd: "s2", rs1: "s2", imm: -1 }).to("bne", "loop", { rs1: "s2", rs2: 0 });
      p.label("end").to("jal", "end").align(8).label("from");
      const patterns = Array.from({ length: count }, () => {
        // Signalling and quiet NaNs with payloads, in both formats, and now and then any bits.
        const sign = random.bits(1) << 63n, payload = random.bits(52), low = 0x7f80_0001n | random.bits(32);
        return random.of([sign | 0x7ffn << 52n | payload, random.bits(32) << 32n | low, random.bits(64)]);
      });
      for (const pattern of patterns) p.data(pattern, 8);
      p.label("to");
      await using machine = await run(p, accel);
      const to = p.address("to"), sign = 1n << 63n;
      patterns.forEach((pattern, k) => {
        const got = [0, 8, 16, 24, 32].map((at) => machine.memory.read64(to + 40 * k + at));
        assert.deepEqual(got, [pattern, pattern, BigInt.asUintN(32, pattern), pattern ^ sign, pattern & ~sign]);
      });
    });

    test(`rounding modes and flags that change within a loop count at once, RV${xlen}, -accel ${accel}`, async () => {
      const p = withFloats(xlen);
      p.li("s0", 100).la("s1", "data").op("fld", { rd: 1, rs1: "s1" }).op("fld", { rd: 2, rs1: "s1", imm: 8 });
      p.op("fcvt.d.w", { rd: 10, rs1: 0, imm: 0 }).label("loop");
      const divide = (rd: number) => p.op("fdiv.d", { rd, rs1: 1, rs2: 2, imm: DYNAMIC });
      divide(3).csri("csrrwi", "frm", 0, 3);
      divide(4).csri("csrrwi", "frm", 0, 1);
      divide(5).csri("csrrwi", "frm", 0, 0).op("fsub.d", { rd: 6, rs1: 4, rs2: 3, imm: DYNAMIC });
      p.op("fsub.d", { rd: 7, rs1: 3, rs2: 5, imm: DYNAMIC }).op("fadd.d", { rd: 10, rs1: 10, rs2: 6, imm: DYNAMIC });
      // Exact operations raise nothing, others do each time.
      p.csri("csrrwi", "fflags", "a1", 0).op("fadd.d", { rd: 8, rs1: 1, rs2: 2, imm: DYNAMIC });
      p.csri("csrrsi", "fflags", "a2", 0);
      divide(8).csri("csrrsi", "fflags", "a3", 0).op("addi", { rd: "s0", rs1: "s0", imm: -1 });
      p.to("bne", "loop", { rs1: "s0", rs2: 0 }).label("end").to("jal", "end").align(8).label("data");
      p.data(bitsOf(1), 8).data(bitsOf(3), 8);
      await using machine = await run(p, accel);
      const { f, x } = machine.hart, ulp = 2 ** -54;
      assert.deepEqual([f.f3, f.f4, f.f5], [bitsOf(1 / 3), bitsOf(1 / 3 + ulp), bitsOf(1 / 3)]);
      assert.deepEqual([f.f6, f.f7, f.f10], [bitsOf(ulp), 0n, bitsOf(100 * ulp)]);
      assert.deepEqual([x.a1, x.a2, x.a3].map(BigInt), [NX, 0n, NX]);
    });

    test(`FS that goes Off within a loop traps there, RV${xlen}, -accel ${accel}`, async () => {
      const p = withFloats(xlen);
      p.la("t1", "handler").csr("csrrw", "mtvec", 0, "t1").li("s0", 40).li("s1", 0).li("s2", 0).la("s3", "data");
      p.op("fcvt.d.w", { rd: 1, rs1: "s0", imm: 0 }).op("fcvt.d.w", { rd: 2, rs1: 0, imm: 0 }).label("loop");
      p.op("fadd.d", { rd: 2, rs1: 2, rs2: 1, imm: DYNAMIC });
      // Off in every fourth iteration.
      p.op("andi", { rd: "t2", rs1: "s0", imm: 3 }).to("bne", "on", { rs1: "t2", rs2: 0 });
      p.csr("csrrc", "mstatus", 0, "t0").label("on");
      p.label("first").op("fld", { rd: 3, rs1: "s3" }).op("fsd", { rs1: "s3", rs2: 3 });
      p.op("fadd.d", { rd: 2, rs1: 2, rs2: 3, imm: DYNAMIC }).op("feq.d", { rd: "t3", rs1: 3, rs2: 3 });
      p.csr("csrrs", "mstatus", 0, "t0").op("addi", { rd: "s0", rs1: "s0", imm: -1 });
      p.to("bne", "loop", { rs1: "s0", rs2: 0 }).label("end").to("jal", "end");
      p.align(4).label("handler").op("addi", { rd: "s1", rs1: "s1", imm: 1 }).csr("csrrs", "mcause", "t4", 0);
      p.op("add", { rd: "s2", rs1: "s2", rs2: "t4" }).csr("csrrs", "mepc", "t4", 0).op("addi", {
        rd: "t4",
        rs1: "t4",
        imm: 4,
      });
      p.csr("csrrw", "mepc", 0, "t4").op("mret").align(8).label("data").data(bitsOf(0.5), 8);
      await using machine = await run(p, accel);
      const { f, x } = machine.hart;
      // Four instructions in ten iterations.
      assert.deepEqual([x.s1, x.s2].map(BigInt), [40n, 80n]);
      assert.equal(f.f2, bitsOf(40 * 40 + 30 * 0.5));
    });
  }

  test(`RV${xlen} doubles from a device are the same interpreted and compiled`, async () => {
    const p = withFloats(xlen);
    p.li("s0", 500).li("s1", 0x200_bff8).la("s2", "data").label("loop").op("fld", { rd: 1, rs1: "s1" });
    p.op("fsd", { rs1: "s2", rs2: 1 }).op("addi", { rd: "s2", rs1: "s2", imm: 8 }).op("addi", {
      rd: "s0",
      rs1: "s0",
      imm: -1,
    });
    p.to("bne", "loop", { rs1: "s0", rs2: 0 }).label("end").to("jal", "end").align(8).label("data");
    const times = [];
    for (const accel of ACCELERATORS) {
      await using machine = await run(p, accel);
      times.push(Array.from({ length: 500 }, (_, k) => machine.memory.read64(p.address("data") + 8 * k)));
    }
    assert.deepEqual(times[0], times[1]);
    assert.ok(times[0]!.at(-1)! > times[0]![0]!);
  });
}

// What -cpu switches.

const extensionsOf = (cpu: string) => parseCpu(cpu).extensions;
const floatsOf = (cpu: string) =>
  ["C", "F", "D", "Zfh", "Zfhmin", "Zfa", "Zca", "Zcf", "Zcd"].filter((name) => extensionsOf(cpu).has(name as "F"))
    .join(" ");

test("floating point is there unless it is switched off, and takes along what needs it", () => {
  assert.equal(floatsOf("rv64"), "C F D Zfh Zfhmin Zfa Zca Zcd");
  assert.equal(floatsOf("rv32"), "C F D Zfh Zfhmin Zfa Zca Zcf Zcd");
  assert.equal(floatsOf("rv64,f=off"), "C Zca");
  assert.equal(floatsOf("rv32,f=off"), "C Zca");
  assert.equal(floatsOf("rv32,d=off"), "C F Zfh Zfhmin Zfa Zca Zcf");
  assert.equal(floatsOf("rv32,c=off"), "F D Zfh Zfhmin Zfa");
  assert.equal(floatsOf("rv32,c=off,c=on"), "C F D Zfh Zfhmin Zfa Zca Zcf Zcd");
  assert.equal(floatsOf("rv64,zfhmin=off"), "C F D Zfa Zca Zcd");
  assert.equal(floatsOf("rv64,zfh=off,zfa=off"), "C F D Zfhmin Zca Zcd");
  assert.equal(floatsOf("rv64,f=off,d=on"), "C F D Zca Zcd");
  // C is all of its parts that there is floating point for.
  assert.equal(floatsOf("rv32,zcf=off"), "F D Zfh Zfhmin Zfa Zca Zcd");
  assert.equal(floatsOf("rv64,zcd=off"), "F D Zfh Zfhmin Zfa Zca");
  assert.equal(floatsOf("rv64,zcf=off"), "C F D Zfh Zfhmin Zfa Zca Zcd");
  assert.throws(() => parseCpu("rv64,zcf=on"), OptionError);
  for (const name of ["Zicsr", "M", "A", "Zicntr"] as const) assert.ok(extensionsOf("rv64,f=off").has(name), name);
});

test("the ISA string names floating point", () => {
  assert.match(isaString(64, extensionsOf("rv64")), /^rv64imafdc_.*_zfa_zfh_zfhmin_zca?/);
  assert.match(isaString(32, extensionsOf("rv32,d=off,zfh=off,zfhmin=off,zfa=off")), /^rv32imafc_(?!.*z[fd])/);
  assert.match(isaString(64, extensionsOf("rv64,f=off")), /^rv64imac_(?!.*zf)/);
  assert.doesNotMatch(isaString(32, extensionsOf("rv32")), /zc[afd]_/);
  assert.match(isaString(32, extensionsOf("rv32,zcf=off")), /^rv32imafd_.*_zca_zcb_zcd/);
});

for (const xlen of WIDTHS) {
  test(`without F, RV${xlen} has no floating-point instructions and CSRs, and mstatus.FS is 0`, async () => {
    const guest = await create(xlen, OFF, ",f=off");
    csr(guest, "csrrw", "mstatus", 3n << FS_SHIFT);
    assert.equal(fsOf(guest), OFF);
    for (const name of ["fcsr", "frm", "fflags"]) assert.equal(csr(guest, "csrrsi", name, 0), undefined);
    guest.execute("fadd.s", { rd: 1, rs1: 1, rs2: 1 });
    assert.deepEqual([guest.trap.cause, guest.trap.value], [
      ILLEGAL,
      BigInt(assemble(xlen, "fadd.s", { rd: 1, rs1: 1, rs2: 1 })),
    ]);
    const single = await create(xlen, DIRTY, ",d=off");
    single.execute("fadd.s", { rd: 1, rs1: 1, rs2: 1 });
    assert.ok(!trapped(single));
    for (const name of ["fadd.d", "fcvt.s.d", "fld", "c.fldsp", "fcvt.d.h"]) {
      single.execute(name, {});
      assert.deepEqual([trapped(single), single.trap.cause], [true, ILLEGAL], name);
    }
  });
}
