// The control and status registers of a hart with machine and user mode (privileged manual, "Machine-Level CSRs"): which ones
// there are, what each can hold, who may touch them, and what the counters count. All through CSR instructions.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CSR_NUMBERS, csrName } from "../isa/csr_names.ts";
import type { Xlen } from "../isa/instruction.ts";
import { randomWords } from "./random_words.ts";
import { assemble, csrNumber, RAM_BASE } from "./support/assemble.ts";
import { Guest, unsigned, WIDTHS } from "./support/guest.ts";

const HANDLER = RAM_BASE + 0x100;
const ILLEGAL = 2n;

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, k) => from + k);
const HPM = range(3, 31);

/** A register's value after a write of `value` over `old`. */
type Written = (value: bigint, old: bigint) => bigint;

/** `mask` can be written, the rest is `fixed`. */
const masked = (mask: bigint, fixed = 0n): Written => (value) => value & mask | fixed;
const all: Written = (value) => value;
const zero: Written = () => 0n;

const MIE = 1n << 3n, MPIE = 1n << 7n, MPP = 3n << 11n, FS = 3n << 13n, MPRV = 1n << 17n, TW = 1n << 21n;
const MSI = 1n << 3n, MTI = 1n << 7n, MEI = 1n << 11n;

/** mstatus without supervisor mode: MPP holds only U (0) and M (3), SD says whether FS is Dirty, UXL is 2 on RV64. */
function mstatus(xlen: Xlen): Written {
  const fixed = xlen === 64 ? 2n << 32n : 0n;
  return (value, old) => {
    const level = value >> 11n & 3n, mpp = level === 0n || level === 3n ? level << 11n : old & MPP;
    const summary = (value & FS) === FS ? 1n << BigInt(xlen - 1) : 0n;
    return value & (MIE | MPIE | FS | MPRV | TW) | mpp | summary | fixed;
  };
}
/** The base is a multiple of 4; modes 2 and 3 are reserved and leave the mode as it was. */
const mtvec: Written = (value, old) => (value & 2n) === 0n ? value & ~2n : value & ~3n | old & 3n;

/** misa of the default CPU: MXL, and A, B (Zba, Zbb and Zbs), C, D, F, I, M and U. */
function misa(xlen: Xlen): bigint {
  const letters = [..."ABCDFIMU"].reduce((bits, letter) => bits | 1n << BigInt(letter.charCodeAt(0) - 65), 0n);
  return letters | BigInt(xlen / 32) << BigInt(xlen - 2);
}

/** What each register that can be written holds after a write. */
function writable(xlen: Xlen): Record<string, Written> {
  const registers: Record<string, Written> = {
    mstatus: mstatus(xlen),
    misa: () => misa(xlen),
    mie: masked(MSI | MTI | MEI),
    mip: zero, // no interrupt is pending, and software can make none so
    mtvec,
    mcounteren: masked(0xffff_ffffn),
    menvcfg: (value, old) => (value & 0xc1n) | ((value >> 4n & 3n) === 2n ? old & 0x30n : value & 0x30n),
    mcountinhibit: masked(0b101n), // CY and IR: the other counters are hardwired to 0
    mscratch: all,
    mepc: (value) => value & ~1n,
    mcause: all,
    mtval: all,
    tselect: zero,
    tdata1: zero,
    tdata2: zero,
    tdata3: zero,
    tinfo: () => 1n,
  };
  for (const n of HPM) registers[`mhpmevent${n}`] = registers[`mhpmcounter${n}`] = zero;
  if (xlen === 32) {
    registers["mstatush"] = zero;
    registers["menvcfgh"] = zero;
    for (const n of HPM) registers[`mhpmcounter${n}h`] = zero;
  }
  return registers;
}

/** Registers that count: not what was written when they are read later. */
function counters(xlen: Xlen): string[] {
  return ["mcycle", "minstret", ...(xlen === 32 ? ["mcycleh", "minstreth"] : [])];
}

/** Registers whose number says that they are read-only. */
function readOnly(xlen: Xlen): string[] {
  const user = ["cycle", "time", "instret", ...HPM.map((n) => `hpmcounter${n}`)];
  return [
    ...["mvendorid", "marchid", "mimpid", "mhartid", "mconfigptr"],
    ...user,
    ...(xlen === 32 ? user.map((name) => `${name}h`) : []),
  ];
}

const names = (xlen: Xlen) => [...Object.keys(writable(xlen)), ...counters(xlen), ...readOnly(xlen)];

/** A guest with a trap handler's address in mtvec and its timer far away. */
async function create(xlen: Xlen, cpu = ""): Promise<Guest> {
  const guest = await Guest.create(xlen, `${cpu},s=off,pmp=off,debug=off`);
  guest.setCsr("mtvec", HANDLER);
  guest.setX(6, 0x200_4000);
  guest.setX(7, -1);
  guest.execute("sw", { rs1: 6, rs2: 7, imm: 4 });
  return guest;
}

const OLD = 5, SOURCE = 6;

/** Executes a CSR instruction with `value` in rs1 (or as the immediate); gives the old value, or undefined if it trapped. */
function csr(guest: Guest, name: string, register: string | number, value: bigint): bigint | undefined {
  const immediate = name.endsWith("i"), imm = csrNumber(register);
  guest.setX(SOURCE, value);
  guest.setX(OLD, 0x5a5a);
  guest.execute(name, { rd: OLD, rs1: immediate ? Number(value) : SOURCE, imm });
  if (guest.pc !== BigInt(HANDLER)) {
    assert.equal(guest.pc, BigInt(RAM_BASE + 4), `${name} ${register}`);
    return guest.x(OLD);
  }
  const word = assemble(guest.xlen, name, { rd: OLD, rs1: immediate ? Number(value) : SOURCE, imm });
  assert.deepEqual(guest.trap, { cause: ILLEGAL, pc: BigInt(RAM_BASE), value: BigInt(word) }, `${name} ${register}`);
  assert.equal(guest.x(OLD), 0x5a5an, `${name} ${register} leaves rd as it was`);
  return undefined;
}
function read(guest: Guest, register: string | number): bigint | undefined {
  guest.setX(OLD, 0);
  guest.execute("csrrs", { rd: OLD, rs1: 0, imm: csrNumber(register) });
  return guest.pc === BigInt(HANDLER) ? undefined : guest.x(OLD);
}

/** Values that show which bits can be written. */
function patterns(xlen: Xlen): bigint[] {
  const random = randomWords(xlen), bits = range(0, xlen - 1).flatMap((k) => [1n << BigInt(k), ~(1n << BigInt(k))]);
  const words = Array.from({ length: 20 }, () => BigInt(random()) << 32n | BigInt(random()));
  const fives = 0x5555_5555_5555_5555n;
  return [0n, -1n, fives, ~fives, -1n, 0n, ...bits, ...words].map((value) => unsigned(value, xlen));
}

for (const xlen of WIDTHS) {
  test(`RV${xlen} has the CSRs of machine and user mode and no others`, async () => {
    const guest = await create(xlen), expected = new Set(names(xlen).map(csrNumber));
    for (const number of range(0, 4095)) {
      assert.equal(
        read(guest, number) !== undefined,
        expected.has(number),
        `0x${number.toString(16)} ${csrName(number)}`,
      );
    }
    for (const name of names(xlen)) assert.ok(name in CSR_NUMBERS, name);
  });

  test(`RV${xlen} CSRs hold what they can, however it is written`, async () => {
    const guest = await create(xlen);
    for (const [name, written] of Object.entries(writable(xlen))) {
      // The handler's address is not needed while nothing traps.
      let old = read(guest, name)!;
      for (const value of patterns(xlen)) {
        for (const instruction of ["csrrw", "csrrs", "csrrc"]) {
          const wanted = instruction === "csrrw" ? value : instruction === "csrrs" ? old | value : old & ~value;
          assert.equal(csr(guest, instruction, name, value), old, `${instruction} ${name} gives the old value`);
          const now = read(guest, name)!;
          assert.equal(
            now,
            unsigned(written(wanted, old), xlen),
            `${name} after ${instruction} 0x${value.toString(16)}`,
          );
          old = now;
        }
      }
      for (const value of [0n, 1n, 8n, 0x15n, 0x1fn]) {
        for (const instruction of ["csrrwi", "csrrsi", "csrrci"]) {
          const wanted = instruction === "csrrwi" ? value : instruction === "csrrsi" ? old | value : old & ~value;
          assert.equal(csr(guest, instruction, name, value), old, `${instruction} ${name} gives the old value`);
          const now = read(guest, name)!;
          assert.equal(now, unsigned(written(wanted, old), xlen), `${name} after ${instruction} ${value}`);
          old = now;
        }
      }
      if (name === "mtvec") guest.setCsr("mtvec", HANDLER);
    }
  });

  test(`RV${xlen} CSRs after reset`, async () => {
    const guest = await Guest.create(xlen, ",s=off,pmp=off,debug=off");
    const expected: Record<string, bigint> = {
      misa: misa(xlen),
      mstatus: xlen === 64 ? 2n << 32n : 0n,
      tinfo: 1n,
      mip: MTI, // mtimecmp is 0
    };
    const counting = [...counters(xlen), "cycle", "instret", "time"];
    for (const name of names(xlen)) {
      if (!counting.includes(name)) assert.equal(read(guest, name), expected[name] ?? 0n, name);
    }
    assert.equal(guest.machine.hart.privilege, "M");
  });

  test(`any write to a read-only RV${xlen} CSR is illegal, reading it is not`, async () => {
    const guest = await create(xlen);
    for (const name of readOnly(xlen)) {
      assert.equal(csr(guest, "csrrw", name, 0n), undefined);
      assert.equal(csr(guest, "csrrs", name, 0n), undefined, "a register other than x0 counts, whatever it holds");
      assert.equal(csr(guest, "csrrc", name, 0n), undefined);
      assert.equal(csr(guest, "csrrwi", name, 0n), undefined);
      assert.equal(csr(guest, "csrrsi", name, 1n), undefined);
      assert.equal(csr(guest, "csrrci", name, 1n), undefined);
      for (const instruction of ["csrrsi", "csrrci"]) assert.notEqual(csr(guest, instruction, name, 0n), undefined);
      for (const instruction of ["csrrs", "csrrc"]) {
        guest.execute(instruction, { rd: OLD, rs1: 0, imm: csrNumber(name) });
        assert.equal(guest.pc, BigInt(RAM_BASE + 4), `${instruction} with x0`);
      }
      // CSRRW writes even where rd is x0.
      guest.execute("csrrw", { rd: 0, rs1: 0, imm: csrNumber(name) });
      assert.equal(guest.pc, BigInt(HANDLER));
    }
  });

  test(`RV${xlen} CSR instructions read their source before they write rd, and never write x0`, async () => {
    const guest = await create(xlen), imm = csrNumber("mscratch");
    guest.setCsr("mscratch", 0x111);
    guest.setX(7, 0x222);
    guest.execute("csrrw", { rd: 7, rs1: 7, imm });
    assert.deepEqual([guest.x(7), guest.csr("mscratch")], [0x111n, 0x222n]);
    guest.execute("csrrs", { rd: 7, rs1: 7, imm });
    assert.deepEqual([guest.x(7), guest.csr("mscratch")], [0x222n, 0x333n]);
    guest.execute("csrrc", { rd: 7, rs1: 7, imm });
    assert.deepEqual([guest.x(7), guest.csr("mscratch")], [0x333n, 0x111n]);
    for (const name of ["csrrw", "csrrs", "csrrc", "csrrwi", "csrrsi", "csrrci"]) {
      guest.execute(name, { rd: 0, rs1: 7, imm });
      assert.equal(guest.x(0), 0n, name);
    }
    guest.setCsr("mscratch", 0x7777);
    guest.execute("csrrw", { rd: 0, rs1: 0, imm });
    assert.equal(guest.csr("mscratch"), 0n);
  });

  test(`user mode on RV${xlen} reaches no CSR but the counters that mcounteren shows it`, async () => {
    const guest = await create(xlen);
    const bits: Record<string, number> = { cycle: 0, time: 1, instret: 2 };
    for (const n of HPM) bits[`hpmcounter${n}`] = n;
    for (const shown of [0n, 0xffff_ffffn, ...range(0, 31).map((n) => 1n << BigInt(n))]) {
      guest.setCsr("mcounteren", shown);
      for (const name of names(xlen)) {
        const bit = bits[name.replace(/(\d|[a-z])h$/, "$1")] ?? bits[name];
        // Most registers do not depend on mcounteren.
        if (bit === undefined && shown !== 0n && shown !== 0xffff_ffffn) continue;
        guest.enterUser(RAM_BASE);
        const allowed = bit !== undefined && (shown >> BigInt(bit) & 1n) !== 0n;
        assert.equal(read(guest, name) !== undefined, allowed, `${name} with mcounteren 0x${shown.toString(16)}`);
        assert.equal(guest.machine.hart.privilege, allowed ? "U" : "M");
        if (allowed) {
          assert.equal(csr(guest, "csrrw", name, 0n), undefined, `${name} is read-only`);
        }
      }
    }
  });

  test(`-cpu with extensions off takes their RV${xlen} CSRs and misa letters away`, async () => {
    const bit = (letter: string) => 1n << BigInt(letter.charCodeAt(0) - 65);
    const without = async (cpu: string, ...letters: string[]) => {
      const guest = await create(xlen, cpu);
      assert.equal(read(guest, "misa"), letters.reduce((bits, letter) => bits & ~bit(letter), misa(xlen)), cpu);
    };
    await without(",m=off", "M");
    await without(",a=off", "A");
    await without(",c=off", "C");
    await without(",zbb=off", "B");
    await without(",d=off", "D");
    await without(",f=off", "D", "F");
    const counterless = await create(xlen, ",zicntr=off,zihpm=off");
    for (const name of ["cycle", "time", "instret", "hpmcounter3"]) {
      assert.equal(read(counterless, name), undefined, name);
    }
    for (const name of ["mcycle", "minstret"]) assert.notEqual(read(counterless, name), undefined, name);
  });

  test(`without compressed instructions mepc of RV${xlen} is a multiple of 4`, async () => {
    const guest = await create(xlen, ",c=off");
    csr(guest, "csrrw", "mepc", unsigned(-1, xlen));
    assert.equal(read(guest, "mepc"), unsigned(-4, xlen));
  });
}

// Counters.

for (const xlen of WIDTHS) {
  test(`minstret and mcycle of RV${xlen} advance by one for each instruction, and a write is read back by the next one`, async () => {
    const guest = await create(xlen);
    for (const name of ["minstret", "mcycle"]) {
      const first = read(guest, name)!;
      assert.equal(read(guest, name), first + 1n);
      guest.execute("addi", {});
      guest.execute("jal", { imm: 64 });
      assert.equal(read(guest, name), first + 4n);
      csr(guest, "csrrw", name, 1000n);
      assert.equal(read(guest, name), 1000n);
      assert.equal(csr(guest, "csrrs", name, 0x4000n), 1001n);
      assert.equal(read(guest, name), 0x4000n | 1001n);
      guest.execute("csrrwi", { rd: 0, rs1: 7, imm: csrNumber(name) });
      assert.equal(read(guest, name), 7n);
      assert.equal(read(guest, name.slice(1)), 8n, "the user's view is the same counter");
    }
  });

  test(`the 64 bits of an RV${xlen} counter carry and wrap around`, async () => {
    const guest = await create(xlen);
    for (const name of ["minstret", "mcycle"]) {
      if (xlen === 64) {
        csr(guest, "csrrw", name, 0xffff_ffffn);
        assert.deepEqual([read(guest, name), read(guest, name)], [0xffff_ffffn, 0x1_0000_0000n]);
        csr(guest, "csrrw", name, unsigned(-1, 64));
        assert.deepEqual([read(guest, name), read(guest, name)], [unsigned(-1, 64), 0n]);
        continue;
      }
      csr(guest, "csrrw", `${name}h`, 0x7777n);
      csr(guest, "csrrw", name, 0xffff_fffen);
      assert.equal(read(guest, `${name}h`), 0x7777n);
      assert.equal(read(guest, name), 0xffff_ffffn);
      assert.equal(read(guest, `${name}h`), 0x7778n);
      assert.equal(read(guest, name.slice(1) + "h"), 0x7778n);
      // A write to one half takes the place of the whole counter's increment.
      csr(guest, "csrrw", name, 0xffff_ffffn);
      csr(guest, "csrrw", `${name}h`, 5n);
      assert.deepEqual([read(guest, `${name}h`), read(guest, name), read(guest, `${name}h`)], [5n, 0n, 6n]);
      csr(guest, "csrrw", `${name}h`, 0xffff_ffffn);
      csr(guest, "csrrw", name, 0xffff_ffffn);
      assert.deepEqual([read(guest, name), read(guest, `${name}h`), read(guest, name)], [0xffff_ffffn, 0n, 1n]);
    }
  });

  test(`mcountinhibit of RV${xlen} stops each counter by itself, and a stopped one can be written`, async () => {
    const guest = await create(xlen);
    for (const [name, bit, other] of [["mcycle", 1n, "minstret"], ["minstret", 4n, "mcycle"]] as const) {
      csr(guest, "csrrw", "mcountinhibit", bit);
      const stopped = read(guest, name)!, running = read(guest, other)!;
      for (let k = 0; k < 10; k++) guest.execute("addi", {});
      assert.equal(read(guest, name), stopped);
      assert.equal(read(guest, other), running + 12n);
      csr(guest, "csrrw", name, 0x1234n);
      guest.execute("addi", {});
      assert.equal(read(guest, name), 0x1234n);
      csr(guest, "csrrw", "mcountinhibit", 0n);
      assert.equal(read(guest, name), 0x1234n, "counting begins with the instruction after the write");
      assert.equal(read(guest, name), 0x1235n);
    }
  });

  test(`an RV${xlen} instruction that traps does not retire, but takes its cycle`, async () => {
    const guest = await create(xlen);
    const trapping: readonly (readonly [string, Parameters<Guest["execute"]>[1]])[] = [
      ["ecall", {}],
      ["ebreak", {}],
      ["lw", { rd: 5, rs1: 0 }],
      ["sw", { rs1: 0 }],
      ["csrrw", { imm: csrNumber("mhartid") }],
    ];
    for (const [name, fields] of trapping) {
      const instructions = read(guest, "minstret")!, cycles = read(guest, "mcycle")!;
      guest.execute(name, fields);
      assert.equal(guest.pc, BigInt(HANDLER), name);
      assert.equal(read(guest, "minstret"), instructions + 2n, name);
      assert.equal(read(guest, "mcycle"), cycles + 3n, name);
    }
  });

  test(`time of RV${xlen} is the CLINT's mtime`, async () => {
    const guest = await create(xlen), mtime = 0x200_bff8;
    guest.setX(6, mtime);
    guest.setX(7, 0x8765_4321);
    guest.execute("sw", { rs1: 6, rs2: 7 });
    guest.setX(7, 0x1234);
    guest.execute("sw", { rs1: 6, rs2: 7, imm: 4 });
    guest.execute("lw", { rd: 8, rs1: 6 });
    assert.equal(unsigned(read(guest, "time")!, 32), unsigned(guest.x(8), 32));
    const high = xlen === 32 ? read(guest, "timeh") : read(guest, "time")! >> 32n;
    assert.equal(high, 0x1234n);
  });
}
