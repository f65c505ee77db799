// The CPUs that `-cpu` knows: what they have, how large their addresses are, RV32E and RV64E.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isaString } from "../isa/extensions.ts";
import { CPU_MODELS, parseCpu } from "../machine/cpu.ts";
import { Machine } from "../machine/machine.ts";
import { RAM_BASE } from "./support/assemble.ts";
import { Guest } from "./support/guest.ts";

const isa = (text: string) => {
  const { xlen, extensions } = parseCpu(text);
  return isaString(xlen, extensions);
};

test("every model has the ISA of QEMU's, as far as hartbeat has it", () => {
  assert.equal(isa("rv64i"), "rv64i");
  assert.equal(isa("rv32i,m=on,zicsr=on"), "rv32im_zicsr");
  assert.equal(isa("rv32e,c=true"), "rv32ec");
  assert.equal(isa("rv64e"), "rv64e");
  assert.equal(isa("sifive-e31"), "rv32imac_zicntr_zicsr_zifencei_zihpm");
  assert.equal(isa("sifive-e34"), "rv32imafc_zicntr_zicsr_zifencei_zihpm");
  assert.equal(isa("sifive-e51"), "rv64imac_zicntr_zicsr_zifencei_zihpm");
  assert.equal(isa("sifive-u54"), "rv64imafdc_zicntr_zicsr_zifencei_zihpm_svade");
  assert.equal(isa("lowrisc-ibex"), "rv32imc_zicntr_zicsr_zifencei_zihpm_smepmp");
  assert.equal(
    isa("rva22u64"),
    "rv64imafdc_zic64b_zicbom_zicbop_zicboz_ziccamoa_ziccif_zicclsm_ziccrse_zicntr_zicsr_zihintpause_zihpm_za64rs_" +
      "zfhmin_zba_zbb_zbs_zkt",
  );
  const supervisor = parseCpu("rva22s64").extensions;
  for (const name of ["S", "Svade", "Svpbmt", "Svinval", "Sstvala"] as const) assert.ok(supervisor.has(name), name);
  for (const name of ["Svadu", "Sstc", "Zfh", "Zicond"] as const) assert.ok(!supervisor.has(name), name);
  assert.deepEqual(parseCpu("max", 32), parseCpu("rv32"));
  assert.deepEqual(parseCpu("any"), parseCpu("rv64"));
  for (const name of Object.keys(CPU_MODELS)) assert.doesNotThrow(() => parseCpu(name));
});

test("unknown models name the nearest, and those that cannot be say why", () => {
  assert.throws(() => parseCpu("sifive-u45"), /^OptionError: -cpu sifive-u45: no such CPU; did you mean sifive-u54\?$/);
  assert.throws(() => parseCpu("toString"), /no such CPU/);
  assert.throws(() => parseCpu("rva23s64"), /demands vectors and a hypervisor.*rva22s64/);
  assert.throws(() => parseCpu("rv32,sv39=on"), /rv32 has no sv39/);
  assert.throws(() => parseCpu("rv64i,i=off"), /every hart has i/);
});

test("properties say how large virtual addresses may be, and satp holds no larger mode", async () => {
  const modes = async (cpu: string) => {
    const guest = await Guest.create(64, "", { cpu });
    return [8n, 9n, 10n].filter((mode) => {
      guest.setCsr("satp", 0);
      guest.setCsr("satp", mode << 60n);
      return guest.csr("satp") >> 60n === mode;
    });
  };
  assert.deepEqual(await modes("rv64"), [8n, 9n, 10n]);
  assert.deepEqual(await modes("rv64,sv57=off"), [8n, 9n]);
  assert.deepEqual(await modes("rv64,sv39=on"), [8n]);
  assert.deepEqual(await modes("sifive-u54"), [8n]);
  assert.deepEqual(await modes("veyron-v1"), [8n, 9n]);
  assert.deepEqual(await modes("rv64,mmu=off"), []);
  for (const [cpu, type] of [["rv64", "riscv,sv57"], ["sifive-u54", "riscv,sv39"], ["sifive-e51", "riscv,none"]]) {
    await using machine = await Machine.create({ cpu: cpu!, memory: "4M" });
    const tree = String.fromCharCode(...machine.deviceTree);
    assert.ok(tree.includes(`${type}\0`), cpu);
  }
});

for (const xlen of [32, 64] as const) {
  test(`RV${xlen}E has 16 registers: instructions that name others are illegal`, async () => {
    const guest = await Guest.create(xlen, "", { cpu: `rv${xlen}e,m=on,c=on,zicsr=on` }), handler = RAM_BASE + 0x100;
    guest.setCsr("mtvec", handler);
    assert.equal(guest.csr("misa") & (1n << 4n | 1n << 8n), 1n << 4n);
    const runs = (name: string, fields: Parameters<Guest["execute"]>[1]) => {
      guest.execute(name, fields);
      return guest.pc !== BigInt(handler);
    };
    const low = { rd: 15, rs1: 15, rs2: 15 };
    for (const name of ["add", "mul"]) {
      assert.ok(runs(name, low));
      for (const field of ["rd", "rs1", "rs2"]) assert.ok(!runs(name, { ...low, [field]: 16 }), `${name} ${field}`);
    }
    assert.ok(runs("addi", { rd: 15, rs1: 15, imm: 31 }) && !runs("addi", { rd: 15, rs1: 31, imm: 0 }));
    assert.ok(runs("csrrwi", { rd: 15, rs1: 31, imm: 0x340 }), "a number is no register");
    assert.ok(
      !runs("lui", { rd: 16, imm: 0 }) && !runs("c.mv", { rd: 16, rs2: 5 }) && !runs("c.add", { rd: 5, rs2: 31 }),
    );
    assert.ok(runs("c.mv", { rd: 15, rs2: 5 }));
  });
}
