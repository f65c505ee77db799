// mseccfg, Smepmp and the entropy source (privileged manual, chapter "Smepmp"; unprivileged manual, section "Zkr").

import assert from "node:assert/strict";
import { test } from "node:test";
import { EXECUTE, MSECCFG, Pmp, READ, WRITE } from "../hart/pmp.ts";
import { MACHINE, SUPERVISOR, USER } from "../hart/trap.ts";
import type { Extension } from "../isa/extensions.ts";
import type { Xlen } from "../isa/instruction.ts";
import { parseCpu } from "../machine/cpu.ts";
import { csrNumber, RAM_BASE } from "./support/assemble.ts";
import { Guest, RAM_END, WIDTHS } from "./support/guest.ts";

const HANDLER = RAM_BASE + 0x100, ILLEGAL = 2n;
const NAPOT = 3 << 3, TOR = 1 << 3, LOCK = 1 << 7;
const MML = BigInt(MSECCFG.MML), MMWP = BigInt(MSECCFG.MMWP), RLB = BigInt(MSECCFG.RLB);
const USEED = 1n << 8n, SSEED = 1n << 9n;

const rights = (pmp: Pmp, level: number) =>
  [READ, WRITE, EXECUTE].map((access, k) => pmp.allows(RAM_BASE, 4, access, level) ? "rwx"[k] : "-").join("");

/** The manual's truth table for MML: L, R, W and X, then what machine mode and the others may. */
const TABLE = `
  ---- --- ---   ---X --- --x   --W- rw- r--   --WX rw- rw-   -R-- --- r--   -R-X --- r-x   -RW- --- rw-   -RWX --- rwx
  L--- --- ---   L--X --x ---   L-W- --x --x   L-WX r-x --x   LR-- r-- ---   LR-X r-x ---   LRW- rw- ---   LRWX r-- r--
`.trim().split(/\s\s+/).map((row) => row.split(" ") as [string, string, string]);

test("under MML an entry means what the table of Smepmp says", () => {
  assert.equal(TABLE.length, 16);
  for (const [bits, machine, others] of TABLE) {
    const pmp = new Pmp();
    pmp.security = MSECCFG.MML | MSECCFG.RLB;
    pmp.writeAddress(0, RAM_BASE / 4 + 0x1ff, 0);
    const has = (letter: string, bit: number) => bits.includes(letter) ? bit : 0;
    pmp.writeWord(0, NAPOT | has("L", LOCK) | has("R", READ) | has("W", WRITE) | has("X", EXECUTE));
    assert.equal(rights(pmp, MACHINE), machine, `${bits} in machine mode`);
    assert.equal(rights(pmp, SUPERVISOR), others, `${bits} in supervisor mode`);
    assert.equal(rights(pmp, USER), others, `${bits} in user mode`);
    assert.ok(pmp.restricts(MACHINE) && pmp.restricts(USER));
  }
});

test("where no entry matches, MML takes execution from machine mode and MMWP everything", () => {
  for (const [security, machine] of [[0, "rwx"], [MSECCFG.MML, "rw-"], [MSECCFG.MMWP, "---"], [3, "---"]] as const) {
    const pmp = new Pmp();
    pmp.security = security;
    assert.equal(rights(pmp, MACHINE), machine);
    assert.equal(rights(pmp, USER), "---");
    assert.equal(pmp.page(RAM_BASE, MACHINE) & EXECUTE, security === 0 ? EXECUTE : 0);
    pmp.reset();
    assert.equal(rights(pmp, MACHINE), "rwx", "reset");
  }
});

test("under MML nothing that machine mode can execute can be added, unless RLB allows it", () => {
  for (const [bits, machine] of TABLE) {
    for (const bypass of [0, MSECCFG.RLB]) {
      const pmp = new Pmp();
      pmp.security = MSECCFG.MML | bypass;
      const has = (letter: string, bit: number) => bits.includes(letter) ? bit : 0;
      const value = NAPOT | has("L", LOCK) | has("R", READ) | has("W", WRITE) | has("X", EXECUTE);
      pmp.writeWord(0, value);
      assert.equal(pmp.readWord(0), machine.includes("x") && bypass === 0 ? 0 : value, bits);
    }
  }
});

test("RLB opens locked entries, and cannot be set once an entry is locked", () => {
  const pmp = new Pmp();
  pmp.security = MSECCFG.RLB;
  pmp.writeAddress(1, 0x100, 0);
  pmp.writeWord(0, (TOR | LOCK) << 8);
  pmp.writeAddress(1, 0x200, 0);
  pmp.writeAddress(0, 0x80, 0);
  assert.deepEqual([pmp.readAddress(0), pmp.readAddress(1)], [0x80, 0x200]);
  pmp.security = 0;
  pmp.writeAddress(1, 0x300, 0);
  pmp.writeAddress(0, 0x90, 0);
  assert.deepEqual([pmp.readAddress(0), pmp.readAddress(1)], [0x80, 0x200], "locked again");
  pmp.security = MSECCFG.RLB;
  assert.equal(pmp.security, 0, "an entry is locked, also one that is off");
});

async function create(xlen: Xlen, cpu = ""): Promise<Guest> {
  const guest = await Guest.create(xlen, `,zkr=on,smepmp=on${cpu}`);
  guest.setCsr("mtvec", HANDLER);
  guest.setCsr("pmpaddr15", -1);
  guest.setCsr(xlen === 32 ? "pmpcfg3" : "pmpcfg2", xlen === 32 ? 0x1f << 24 : 0x1fn << 56n);
  return guest;
}

for (const xlen of WIDTHS) {
  test(`mseccfg of RV${xlen}: MML and MMWP stay set until reset, fields exist with their extensions`, async () => {
    const guest = await create(xlen);
    guest.setCsr("mseccfg", -1);
    assert.equal(guest.csr("mseccfg"), MML | MMWP | RLB | USEED | SSEED);
    guest.setCsr("mseccfg", 0);
    assert.equal(guest.csr("mseccfg"), MML | MMWP);
    guest.machine.reset();
    assert.equal(guest.csr("mseccfg"), 0n);
    for (const [cpu, fields] of [[",zkr=off", MML | MMWP | RLB], [",x-epmp=off", USEED | SSEED]] as const) {
      const other = await create(xlen, cpu);
      other.setCsr("mseccfg", -1);
      assert.equal(other.csr("mseccfg"), fields, cpu);
    }
    const neither = await create(xlen, ",zkr=off,x-epmp=off");
    neither.execute("csrrs", { rd: 5, imm: csrNumber("mseccfg") });
    assert.equal(neither.trap.cause, ILLEGAL);
  });

  test(`RV${xlen} machine mode executes no user code under MML`, async () => {
    const guest = await create(xlen);
    guest.setCsr("mseccfg", MML);
    guest.execute("addi", {});
    assert.deepEqual(guest.trap, { cause: 1n, pc: BigInt(RAM_BASE), value: BigInt(RAM_BASE) });
  });

  test(`seed of RV${xlen} gives 16 bits of entropy to instructions that write it, the same in every run`, async () => {
    const draw = async () => {
      const guest = await create(xlen), values: bigint[] = [];
      for (let k = 0; k < 20; k++) {
        guest.execute("csrrw", { rd: 5, rs1: 0, imm: csrNumber("seed") });
        values.push(guest.x(5));
      }
      return values;
    };
    const values = await draw();
    for (const value of values) assert.equal(value >> 16n, 0x8000n, "OPST is ES16");
    assert.ok(new Set(values).size > 15);
    assert.deepEqual(await draw(), values);
  });

  test(`seed of RV${xlen} is illegal without a write, and below machine mode without permission`, async () => {
    const guest = await create(xlen), imm = csrNumber("seed");
    const isIllegal = (name: string, rs1: number) => {
      guest.execute(name, { rd: 5, rs1, imm });
      const trapped = guest.pc === BigInt(HANDLER);
      if (trapped) assert.equal(guest.trap.cause, ILLEGAL);
      return trapped;
    };
    for (const name of ["csrrs", "csrrc", "csrrsi", "csrrci"]) {
      assert.ok(isIllegal(name, 0), `${name} that only reads`);
      assert.ok(!isIllegal(name, 3), `${name} that writes`);
    }
    for (const [level, mpp] of [["S", 1n << 11n], ["U", 0n]] as const) {
      for (const permission of [0n, USEED, SSEED, USEED | SSEED]) {
        guest.setCsr("mseccfg", permission);
        guest.setCsr("mstatus", mpp);
        guest.setCsr("mepc", RAM_BASE);
        guest.execute("mret", {}, RAM_END - 4);
        const own = level === "S" ? SSEED : USEED;
        assert.equal(isIllegal("csrrw", 0), (permission & own) === 0n, `${level} with 0x${permission.toString(16)}`);
        guest.execute("ecall");
      }
    }
  });
}

test("-cpu knows QEMU's shorthands, and lets what there is not be off", () => {
  const has = (cpu: string, ...names: Extension[]) => names.map((name) => parseCpu(cpu).extensions.has(name));
  assert.deepEqual(has("rv64,zk=off", "Zbkb", "Zbkc", "Zbkx", "Zknd", "Zkne", "Zknh", "Zksed"), [
    ...[false, false, false, false, false, false],
    true,
  ]);
  assert.deepEqual(has("rv64,zks=off", "Zbkb", "Zksed", "Zksh", "Zknd"), [false, false, false, true]);
  assert.deepEqual(has("rv64", "Zkr", "Smepmp", "Svade", "Zmmul"), [false, false, false, false], "on request");
  assert.deepEqual(has("rv64,zk=on,x-epmp=true,svade=on", "Zkr", "Smepmp", "Svade", "Svadu"), [true, true, true, true]);
  assert.deepEqual(
    has("rv64,svadu=off", "Svade", "Svadu"),
    [true, false],
    "software sets A and D where hardware does not",
  );
  assert.deepEqual(has("rv32,h=off,v=false,-zfinx,m=off,zmmul=on", "M", "Zmmul"), [false, true]);
});
