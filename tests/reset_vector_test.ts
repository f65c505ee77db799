// The boot ROM and what it leaves in the registers, beside QEMU: the same words at 0x1000, the same device tree address.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Decoder } from "../isa/decode.ts";
import { disassemble } from "../isa/disassemble.ts";
import { COMPATIBLE } from "../isa/extensions.ts";
import type { Xlen } from "../isa/instruction.ts";
import { Machine } from "../machine/machine.ts";
import type { MachineOptions } from "../machine/options.ts";
import { csrNumber, Program, RAM_BASE } from "./support/assemble.ts";
import { WIDTHS } from "./support/guest.ts";
import { printing, qemuMissing, runInQemu, wordsInQemu } from "./support/qemu.ts";

const ROM = 0x1000;
/** Instructions, entry, device tree address and fw_dynamic information. */
const ROM_WORDS = 24;

/** A guest that prints a0, a1, a2, t0 and mhartid as it finds them, then the first word of the device tree. */
function guest(xlen: Xlen, base: number): Uint8Array {
  const p = new Program(xlen, base);
  const kept = ["s0", "s1", "s2", "s3", "s4", "s5"];
  ["a0", "a1", "a2", "t0"].forEach((register, k) => p.op("addi", { rd: kept[k]!, rs1: register }));
  p.op("csrrs", { rd: "s4", imm: csrNumber("mhartid") }).op("lw", { rd: "s5", rs1: "a1" });
  for (const register of kept) p.op("addi", { rd: "a0", rs1: register }).to("jal", "print", { rd: "ra" });
  p.to("jal", "exit", { rd: 0 });
  printing(p);
  return p.elf();
}

interface Boot {
  readonly name: string;
  readonly base: number;
  readonly loader: "-bios" | "-kernel";
  readonly memory: string;
}

const BOOTS: readonly Boot[] = [
  { name: "a program as -bios", base: RAM_BASE, loader: "-bios", memory: "128M" },
  { name: "a program as -bios elsewhere in RAM", base: RAM_BASE + 0x20_0000, loader: "-bios", memory: "64M" },
  { name: "a program as -kernel without firmware", base: RAM_BASE, loader: "-kernel", memory: "128M" },
  { name: "a gigabyte of RAM", base: RAM_BASE, loader: "-bios", memory: "1G" },
  { name: "RAM up to 4 GiB", base: RAM_BASE, loader: "-bios", memory: "2G" },
];

const qemuOptions = ({ loader, memory }: Boot) => ["-m", memory, ...(loader === "-kernel" ? ["-bios", "none"] : [])];
const options = ({ loader, memory }: Boot, image: Uint8Array): MachineOptions => ({
  memory,
  ...(loader === "-kernel" ? { bios: "none", kernel: image } : { bios: image }),
});

function wordsOf(machine: Machine): number[] {
  return Array.from({ length: ROM_WORDS }, (_, k) => machine.memory.read32(ROM + 4 * k));
}

for (const xlen of WIDTHS) {
  for (const boot of BOOTS) {
    test(
      `the RV${xlen} boot ROM and the registers after it are as in QEMU: ${boot.name}`,
      { skip: qemuMissing(xlen) },
      async () => {
        const image = guest(xlen, boot.base);
        await using machine = await Machine.create(options(boot, image));
        assert.equal(machine.xlen, xlen);
        assert.equal(Number(machine.hart.pc), ROM);
        const expected = wordsInQemu(xlen, image, qemuOptions(boot), boot.loader, ROM, ROM_WORDS);
        assert.equal(expected.length, ROM_WORDS);
        assert.deepEqual(wordsOf(machine), expected);
        // QEMU goes to the start of RAM wherever the program is.
        if (boot.base !== RAM_BASE) return;
        const stop = await machine.run({ maxInstructions: 1_000_000 });
        assert.equal(stop.kind, "exit");
        assert.equal(machine.console.output, runInQemu(xlen, image, qemuOptions(boot), boot.loader));
      },
    );
  }

  test(`x/6i 0x1000 shows RV${xlen} users the six instructions of QEMU's reset vector`, async () => {
    await using machine = await Machine.create({ cpu: `rv${xlen}` });
    const decoder = new Decoder(xlen, new Set(COMPATIBLE));
    const texts = wordsOf(machine).slice(0, 6).map((word, k) => disassemble(decoder, word, BigInt(ROM + 4 * k)).text);
    const load = xlen === 32 ? "lw" : "ld";
    assert.deepEqual(texts.map((text) => text.replace("\t", " ")), [
      "auipc t0,0x0",
      "add a2,t0,40",
      "csrr a0,mhartid",
      `${load} a1,32(t0)`,
      `${load} t0,24(t0)`,
      "jr t0",
    ]);
  });

  test(`after six instructions an RV${xlen} hart is at the entry, with its number and the device tree in a0 and a1`, async () => {
    const image = guest(xlen, RAM_BASE);
    await using machine = await Machine.create({ bios: image });
    for (let k = 0; k < 6; k++) machine.step();
    const { x } = machine.hart;
    assert.deepEqual([machine.hart.pc, x.t0, x.a0, x.a2].map(Number), [
      RAM_BASE,
      RAM_BASE,
      0,
      ROM + 40,
    ]);
    assert.deepEqual(machine.memory.read(x.a1, machine.deviceTree.length), machine.deviceTree);
    for (let k = 0; k < 32; k++) {
      if (![5, 10, 11, 12].includes(k)) assert.equal(Number(x[`x${k}`]), 0, `x${k}`);
    }
  });

  test(`reset brings the RV${xlen} ROM, the program and the device tree back as they were`, async () => {
    const image = guest(xlen, RAM_BASE);
    await using machine = await Machine.create({ bios: image });
    const before = wordsOf(machine), first = machine.memory.read(RAM_BASE, 64);
    for (let k = 0; k < 6; k++) machine.step();
    const tree = machine.hart.x.a1;
    machine.memory.write(RAM_BASE, new Uint8Array(64));
    machine.memory.write(tree, new Uint8Array(64));
    machine.memory.write32(RAM_BASE + 0x10_0000, 0x1234_5678);
    machine.reset();
    assert.equal(Number(machine.hart.pc), ROM);
    assert.deepEqual(wordsOf(machine), before);
    assert.deepEqual(machine.memory.read(RAM_BASE, 64), first);
    assert.deepEqual(machine.memory.read(tree, machine.deviceTree.length), machine.deviceTree);
    assert.equal(machine.memory.read32(RAM_BASE + 0x10_0000), 0x1234_5678, "other memory keeps its contents");
    assert.equal((await machine.run({ maxInstructions: 1_000_000 })).kind, "exit");
  });
}
