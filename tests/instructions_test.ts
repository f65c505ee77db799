// Every integer instruction of the table, on both register widths, against the manual: corner cases and random operands, all
// ways in which its registers can coincide, x0 included. After each, all registers, pc and the bytes around its address in
// memory are compared with a reference on BigInt.
//
// What the reference does not cover has tests of its own: see COVERED_ELSEWHERE.

import assert from "node:assert/strict";
import { test } from "node:test";
import { disassemble } from "../isa/disassemble.ts";
import { Decoder } from "../isa/decode.ts";
import { COMPATIBLE } from "../isa/extensions.ts";
import type { Xlen } from "../isa/instruction.ts";
import type { Operands } from "../isa/ir.ts";
import { type Instruction, INSTRUCTIONS } from "../isa/table.ts";
import { randomWords } from "./random_words.ts";
import { RAM_BASE } from "./support/assemble.ts";
import { Guest, unsigned, WIDTHS } from "./support/guest.ts";
import { type Before, REFERENCE } from "./support/reference.ts";

/** Trials for each instruction and width, beside the corner cases. */
const RANDOM_TRIALS = 150;

/** Extensions and instructions that other files test. */
const COVERED_ELSEWHERE: readonly [file: string, matches: (instruction: Instruction) => boolean][] = [
  [
    "softfloat_test.ts",
    ({ extensions, requires }) => [...extensions, ...requires ?? []].some((name) => /^(F|D|Zf|Zc[fd])/.test(name)),
  ],
  ["atomics_test.ts", ({ name }) => /^(lr|sc|amocas)\./.test(name)],
  ["traps_test.ts", ({ name }) => /^(c\.)?(ecall|ebreak|mret|wfi)$/.test(name)],
  ["supervisor_test.ts", ({ extensions }) => extensions.some((name) => name === "S" || name === "Svinval")],
  ["traps_test.ts", ({ name }) => /^wrs\./.test(name)],
  ["memory_access_test.ts", ({ name }) => name === "fence.i"],
  ["cache_blocks_test.ts", ({ name }) => name.startsWith("cbo.")],
  ["cryptography_test.ts", ({ extensions }) => extensions.some((name) => /^Zk/.test(name))],
  ["zcmp_test.ts", ({ name }) => name.startsWith("cm.")],
  ["csr_test.ts", ({ name }) => /^csrr/.test(name)],
];

/** Where instructions are executed, and the memory that loads and stores reach. */
const CODE = RAM_BASE + 0x4_0000, DATA = RAM_BASE + 0x8_0000;
/** Bytes before and after `DATA` that are compared. */
const AROUND = 64;

/** Compressed instructions whose destination is also their first source. */
const IN_PLACE = /^c\.(addi|addiw|slli|srli|srai|andi|add|sub|xor|or|and|addw|subw|mul|not|[sz]ext\..)$/;

const DECODERS = {
  32: new Decoder(32, new Set(COMPATIBLE)),
  64: new Decoder(64, new Set(COMPATIBLE)),
};

const isMemory = (name: string) => /^(c\.)?[ls][bhwd]u?(sp)?$/.test(name) || /^amo/.test(name);
const isJumpToRegister = (name: string) => /^(jalr|c\.jr|c\.jalr)$/.test(name);

function corners(xlen: Xlen): bigint[] {
  const values = [
    0n,
    1n,
    2n,
    3n,
    0x7fn,
    0x80n,
    0xffn,
    0x7fffn,
    0x8000n,
    0xffffn,
    0x7fff_ffffn,
    0x8000_0000n,
    0xffff_ffffn,
  ];
  const wide = [1n << 32n, 0x1_8000_0000n, 0x7fff_ffff_0000_0000n, 1n << 53n, (1n << 53n) - 1n];
  const signed = [-1n, -2n, -(1n << 31n), -(1n << 31n) - 1n, 1n << BigInt(xlen - 1), ~(1n << BigInt(xlen - 1))];
  return [...new Set([...values, ...wide, ...signed].map((value) => unsigned(value, xlen)))];
}

function randomValue(xlen: Xlen, random: () => number): bigint {
  const wide = () => BigInt(random()) << 32n | BigInt(random());
  const shapes = [
    wide,
    () => wide() & wide() & wide(),
    () => wide() | wide() | wide(),
    () => wide() >> BigInt(random() & 63),
  ];
  const value = shapes[random() & 3]!();
  return unsigned(random() & 1 ? value : -value, xlen);
}

/** Operands of a random encoding that is valid. */
function randomOperands(instruction: Instruction, xlen: Xlen, random: () => number): Operands {
  for (let tries = 0; tries < 1000; tries++) {
    // Few registers, so that they coincide often.
    const few = () => [0, 1, 2, 5, 8, 9, 15, 31][random() & 7]!;
    const chosen = { rd: few(), rs1: few(), rs2: few(), rs3: few(), imm: random() | 0 };
    if (random() % 3 === 0) chosen.rd = chosen.rs1;
    if (random() % 3 === 0) chosen.rs2 = chosen.rs1;
    const shape = random() % 4;
    if (shape === 1) chosen.imm &= random() & random();
    if (shape === 2) chosen.imm |= random() | random();
    const operands = instruction.encoding.operands(instruction.encoding.encode(chosen));
    if (instruction.valid === undefined || instruction.valid(operands, xlen)) return operands;
  }
  throw new Error(`no valid operands of ${instruction.name}`);
}

/** Executes one instruction on both sides and compares. */
function compare(guest: Guest, instruction: Instruction, operands: Operands, values: readonly bigint[]): void {
  const { xlen, machine } = guest, word = instruction.encoding.encode(operands), { length } = instruction.encoding;
  if (length === 2) machine.memory.write16(CODE, word);
  else machine.memory.write32(CODE, word);
  values.forEach((value, register) => guest.setX(register, value));
  guest.pc = CODE;
  const memory = machine.memory.read(DATA - AROUND, 2 * AROUND);
  const before: Before = {
    xlen,
    x: values.map((value, register) => register === 0 ? 0n : value),
    pc: BigInt(CODE),
    length: BigInt(length),
    load: (address, size) => {
      const offset = Number(address) - DATA + AROUND;
      return memory.slice(offset, offset + size).reduceRight((value, byte) => value << 8n | BigInt(byte), 0n);
    },
  };
  const effect = REFERENCE[instruction.name]!(before, operands);
  const expected = [...before.x];
  if (effect.rd !== undefined && effect.rd !== 0) expected[effect.rd] = unsigned(effect.value!, xlen);
  if (effect.store !== undefined) {
    const { address, size, value } = effect.store;
    for (let k = 0; k < size; k++) memory[Number(address) - DATA + AROUND + k] = Number(value >> BigInt(8 * k) & 0xffn);
  }
  guest.step();
  const describe = () => {
    const text = disassemble(DECODERS[xlen], word, BigInt(CODE), { aliases: false }).text.replace("\t", " ");
    const registers = (["rd", "rs1", "rs2"] as const).map((field) => {
      const register = operands[field];
      return `${field}=x${register}=0x${before.x[register]!.toString(16)}`;
    });
    return `${text} with ${registers.join(" ")}`;
  };
  const actual = guest.registers(), wrong = actual.findIndex((value, register) => value !== expected[register]);
  if (wrong >= 0) {
    assert.fail(`x${wrong} is 0x${actual[wrong]!.toString(16)}, not 0x${expected[wrong]!.toString(16)}: ${describe()}`);
  }
  const pc = unsigned(effect.pc ?? before.pc + before.length, xlen);
  if (guest.pc !== pc) assert.fail(`pc is 0x${guest.pc.toString(16)}, not 0x${pc.toString(16)}: ${describe()}`);
  assert.deepEqual(machine.memory.read(DATA - AROUND, 2 * AROUND), memory, describe());
}

/** Puts the base register of a memory access or jump where memory is. */
function aim(
  instruction: Instruction,
  operands: Operands,
  values: bigint[],
  xlen: Xlen,
  random: () => number,
): boolean {
  const { name } = instruction;
  if (!isMemory(name) && !isJumpToRegister(name)) return true;
  const base = /sp$/.test(name) ? 2 : operands.rs1, amo = name.startsWith("amo");
  if (base === 0) return false;
  const offset = (random() % (AROUND - 8)) & (amo ? -8 : -1);
  const jump = RAM_BASE + (random() & 0xfffff & (random() & 1 ? -1 : -2));
  values[base] = unsigned((isMemory(name) ? DATA + offset : jump) - (amo ? 0 : operands.imm), xlen);
  return true;
}

const here = (instruction: Instruction, xlen: Xlen) => instruction.xlen === undefined || instruction.xlen === xlen;

test("every instruction of the table has a reference here or is tested elsewhere", () => {
  for (const instruction of INSTRUCTIONS) {
    const elsewhere = COVERED_ELSEWHERE.some(([, matches]) => matches(instruction));
    assert.notEqual(elsewhere, instruction.name in REFERENCE, instruction.name);
  }
});

for (const xlen of WIDTHS) {
  test(`every instruction of RV${xlen} computes what the manual says`, async () => {
    const guest = await Guest.create(xlen), random = randomWords(0x5eed + xlen), values = corners(xlen);
    const memory = new Uint8Array(2 * AROUND);
    for (const instruction of INSTRUCTIONS) {
      if (!(instruction.name in REFERENCE) || !here(instruction, xlen)) continue;
      const randomRegisters = () => Array.from({ length: 32 }, () => randomValue(xlen, random));
      const trial = (operands: Operands, registers: bigint[]) => {
        if (!aim(instruction, operands, registers, xlen, random)) return;
        for (let k = 0; k < memory.length; k++) memory[k] = random();
        guest.machine.memory.write(DATA - AROUND, memory);
        compare(guest, instruction, operands, registers);
      };
      for (let k = 0; k < RANDOM_TRIALS; k++) trial(randomOperands(instruction, xlen, random), randomRegisters());
      // All pairs of corner cases, in different registers where the encoding has two.
      for (const x of values) {
        for (const y of values) {
          let operands = randomOperands(instruction, xlen, random);
          for (let k = 0; k < 8 && (operands.rs1 === operands.rs2 || operands.rs1 === 0); k++) {
            operands = randomOperands(instruction, xlen, random);
          }
          const registers = randomRegisters();
          registers[operands.rs2] = y;
          registers[IN_PLACE.test(instruction.name) ? operands.rd : operands.rs1] = x;
          trial(operands, registers);
        }
      }
    }
  });

  test(`known results of RV${xlen}`, async () => {
    const guest = await Guest.create(xlen), most = 1n << BigInt(xlen - 1), all = unsigned(-1, xlen);
    const run = (name: string, x: bigint, y: bigint) => {
      guest.setX(6, x);
      guest.setX(7, y);
      guest.execute(name, { rd: 5, rs1: 6, rs2: 7 });
      return guest.x(5);
    };
    // Unprivileged manual, table "Semantics for division by zero and division overflow".
    assert.equal(run("divu", 5n, 0n), all);
    assert.equal(run("remu", 5n, 0n), 5n);
    assert.equal(run("div", 5n, 0n), all);
    assert.equal(run("rem", 5n, 0n), 5n);
    assert.equal(run("div", most, all), most);
    assert.equal(run("rem", most, all), 0n);
    assert.equal(run("rem", unsigned(-7, xlen), 2n), all);
    assert.equal(run("div", unsigned(-7, xlen), 2n), unsigned(-3, xlen));
    assert.equal(run("mulhu", all, all), all - 1n);
    assert.equal(run("mulh", all, all), 0n);
    assert.equal(run("mulhsu", all, all), all);
    assert.equal(run("mulh", most, most), 1n << BigInt(xlen - 2));
    assert.equal(run("sll", 1n, BigInt(xlen + 3)), 8n);
    assert.equal(run("sra", most, BigInt(xlen - 1)), all);
    if (xlen === 32) return;
    assert.equal(run("addw", 0x7fff_ffffn, 1n), 0xffff_ffff_8000_0000n);
    assert.equal(run("divuw", 0xffff_ffffn, 1n), all);
    assert.equal(run("divw", 0x8000_0000n, all), 0xffff_ffff_8000_0000n);
    assert.equal(run("remuw", 0x8000_0000n, 0n), 0xffff_ffff_8000_0000n);
    assert.equal(run("sraw", 0x8000_0000n, 31n), all);
    assert.equal(run("sllw", 1n, 32n), 1n);
  });
}
