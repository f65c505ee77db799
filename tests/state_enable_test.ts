// Smstateen and Ssstateen: what the registers hold, and what less privileged modes reach without their bits.

import assert from "node:assert/strict";
import { test } from "node:test";
import { csrNumber, RAM_BASE } from "./support/assemble.ts";
import { Guest, unsigned, WIDTHS } from "./support/guest.ts";

const HANDLER = RAM_BASE + 0x100, CODE = RAM_BASE + 0x200;
const FCSR = 2n, JVT = 4n, CONTEXT = 1n << 57n, ENVCFG = 1n << 62n, SE = 1n << 63n;

async function create(xlen: 32 | 64, cpu: string): Promise<Guest> {
  const guest = await Guest.create(xlen, `${cpu},pmp=off`);
  guest.setCsr("mtvec", HANDLER);
  return guest;
}

/** mstateen of a number, also on RV32. */
function setMachine(guest: Guest, number: number, value: bigint): void {
  guest.setCsr(`mstateen${number}`, unsigned(value, guest.xlen));
  if (guest.xlen === 32) guest.setCsr(`mstateen${number}h`, value >> 32n);
}
function machine(guest: Guest, number: number): bigint {
  const low = guest.csr(`mstateen${number}`);
  return guest.xlen === 64 ? low : guest.csr(`mstateen${number}h`) << 32n | low;
}

/** Whether an instruction is legal in S (1) or U (0). */
function runs(guest: Guest, level: 0 | 1, name: string, fields: Parameters<Guest["execute"]>[1]): boolean {
  if (guest.machine.hart.privilege !== "M") guest.execute("ecall", {}, CODE);
  guest.setCsr("mstatus", BigInt(level) << 11n);
  guest.setCsr("mepc", CODE);
  guest.execute("mret", {}, CODE - 4);
  guest.execute(name, fields, CODE);
  if (guest.pc !== BigInt(HANDLER)) return true;
  assert.equal(guest.csr("mcause"), 2n);
  return false;
}
const reaches = (guest: Guest, level: 0 | 1, name: string) =>
  runs(guest, level, "csrrs", { rd: 5, imm: csrNumber(name) });

for (const xlen of WIDTHS) {
  test(`mstateen and sstateen of RV${xlen} hold bits for what there is, and are 0 after reset`, async () => {
    const guest = await create(xlen, ",smstateen=on");
    for (const number of [0, 1, 2, 3]) {
      assert.deepEqual([machine(guest, number), guest.csr(`sstateen${number}`)], [0n, 0n]);
      setMachine(guest, number, (1n << 64n) - 1n);
      assert.equal(machine(guest, number), number === 0 ? SE | ENVCFG | CONTEXT : SE);
      guest.setCsr(`sstateen${number}`, unsigned(-1, xlen));
      assert.equal(guest.csr(`sstateen${number}`), 0n);
    }
    const more = await create(xlen, ",smstateen=on,zfinx=on,zcmt=on");
    setMachine(more, 0, (1n << 64n) - 1n);
    assert.equal(machine(more, 0), SE | ENVCFG | CONTEXT | FCSR | JVT);
    more.setCsr("sstateen0", unsigned(-1, xlen));
    assert.equal(more.csr("sstateen0"), FCSR | JVT);
    setMachine(more, 0, JVT);
    assert.equal(more.csr("sstateen0"), JVT, "what is not enabled above reads as 0");
    more.setCsr("sstateen0", 0);
    setMachine(more, 0, FCSR | JVT);
    assert.equal(more.csr("sstateen0"), FCSR, "and cannot be written");
  });

  test(`each bit of mstateen0 lets RV${xlen} supervisor mode reach its registers`, async () => {
    const guest = await create(xlen, ",smstateen=on,zcmt=on");
    for (
      const [bit, names] of [[SE, ["sstateen0"]], [ENVCFG, ["senvcfg"]], [CONTEXT, ["scontext"]], [JVT, [
        "jvt",
      ]]] as const
    ) {
      for (const on of [false, true]) {
        setMachine(guest, 0, on ? bit : ~bit & (1n << 64n) - 1n);
        for (const name of names) assert.equal(reaches(guest, 1, name), on, `${name} ${on}`);
      }
    }
    for (const number of [1, 2, 3]) {
      setMachine(guest, number, 0n);
      assert.equal(reaches(guest, 1, `sstateen${number}`), false);
      setMachine(guest, number, SE);
      assert.equal(reaches(guest, 1, `sstateen${number}`), true);
      assert.equal(reaches(guest, 0, `sstateen${number}`), false);
    }
  });

  test(`jvt, table jumps and floating point on integer registers of RV${xlen} need both registers in user mode`, async () => {
    const guest = await create(xlen, ",smstateen=on,zfinx=on,zcmt=on");
    guest.setCsr("jvt", CODE);
    for (const accessed of [FCSR, JVT]) {
      for (const [above, own] of [[false, true], [true, false], [true, true]]) {
        setMachine(guest, 0, FCSR | JVT);
        guest.setCsr("sstateen0", own ? accessed : (FCSR | JVT) & ~accessed);
        setMachine(guest, 0, above ? accessed : (FCSR | JVT) & ~accessed);
        for (const level of [0, 1] as const) {
          const expected = above! && (level === 1 || own!), what = `${accessed} ${above} ${own} ${level}`;
          if (accessed === FCSR) {
            for (const name of ["fflags", "frm", "fcsr"]) assert.equal(reaches(guest, level, name), expected, what);
            for (const name of ["fadd.s", "fsgnj.s", "feq.s"]) {
              assert.equal(runs(guest, level, name, { rd: 5, rs1: 6, rs2: 7 }), expected, `${name} ${what}`);
            }
          } else {
            assert.equal(reaches(guest, level, "jvt"), expected, what);
            assert.equal(runs(guest, level, "cm.jt", { imm: 1 }), expected, what);
          }
        }
      }
    }
  });
}

test("Ssstateen alone restricts user mode only, and the built-in SBI lets supervisor mode reach everything", async () => {
  const guest = await create(64, ",ssstateen=on,zcmt=on");
  assert.ok(reaches(guest, 1, "senvcfg") && reaches(guest, 1, "sstateen0") && reaches(guest, 1, "jvt"));
  assert.ok(!reaches(guest, 0, "jvt"));
  const firmware = await Guest.create(64, ",smstateen=on", { kernel: new Uint8Array(64), memory: "16M" });
  assert.equal(firmware.csr("mstateen0"), SE | ENVCFG | CONTEXT);
});
