// Every instruction that computes, in compiled code, with operands of which the compiler knows something: x0, constants,
// values that are sign-extended or zero-extended, and such of which it knows nothing. Results as in instructions_test.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Xlen } from "../isa/instruction.ts";
import type { Operands } from "../isa/ir.ts";
import { type Instruction, INSTRUCTIONS } from "../isa/table.ts";
import { randomWords } from "./random_words.ts";
import { Program } from "./support/assemble.ts";
import { Guest, unsigned, WIDTHS } from "./support/guest.ts";
import { REFERENCE } from "./support/reference.ts";

/** What is known of an operand. */
const KINDS = ["x0", "constant", "signed word", "unsigned word", "unknown"] as const;
type Kind = typeof KINDS[number];

/** Programs for each width; each has every instruction once for each pair of kinds. */
const PROGRAMS = 6;

const CORNERS = [
  0n,
  1n,
  -1n,
  2n,
  -2n,
  0x7ffn,
  -0x800n,
  0x7fff_ffffn,
  -0x8000_0000n,
  0x8000_0000n,
  0xffff_ffffn,
  1n << 63n,
];

const SOURCES = [11, 12] as const, RESULT = 10, DATA = 9, OUT = 18, COUNT = 8;

/** An instruction that was executed, and what it should have given. */
interface Trial {
  readonly text: string;
  readonly expected: bigint;
}

function computes({ name, format, encoding }: Instruction): boolean {
  return name in REFERENCE && encoding.length === 4 && ["R", "R1", "I", "shift"].includes(format);
}

/** Makes a loop over all instructions with operands of all kinds; gives the trials in the order of their results. */
function generate(p: Program, random: () => number): Trial[] {
  const { xlen } = p, size = xlen / 8, trials: Trial[] = [], data: bigint[] = [];
  const loads: Readonly<Record<Exclude<Kind, "x0" | "constant">, string>> = {
    "signed word": "lw",
    "unsigned word": xlen === 64 ? "lwu" : "lhu",
    "unknown": xlen === 64 ? "ld" : "lw",
  };
  const value = (kind: Kind): bigint => {
    const wide = BigInt(random()) << 32n | BigInt(random()),
      any = random() & 1 ? CORNERS[random() % CORNERS.length]! : wide;
    if (kind === "x0") return 0n;
    if (kind === "signed word") return unsigned(BigInt.asIntN(32, any), xlen);
    if (kind === "unsigned word") return unsigned(any, xlen / 2);
    return unsigned(any, xlen);
  };
  const give = (register: number, kind: Kind, v: bigint) => {
    if (kind === "x0") return;
    if (kind === "constant") {
      p.li(register, v);
      return;
    }
    p.op(loads[kind], { rd: register, rs1: DATA }).op("addi", { rd: DATA, rs1: DATA, imm: 8 });
    data.push(v);
  };
  p.li(COUNT, 3).label("loop").la(DATA, "data").la(OUT, "out");
  for (const instruction of INSTRUCTIONS) {
    if (!computes(instruction) || (instruction.xlen ?? xlen) !== xlen) continue;
    for (const first of KINDS) {
      for (const second of instruction.format === "R" ? KINDS : ["x0"] as const) {
        const rs1 = first === "x0" ? 0 : SOURCES[0], same = first === second && first !== "x0" && random() % 4 === 0;
        const rs2 = second === "x0" ? 0 : same ? rs1 : SOURCES[1];
        const rd = [RESULT, RESULT, SOURCES[0], SOURCES[1]][random() & 3]!;
        const operands = instruction.encoding.operands(
          instruction.encoding.encode({ rd, rs1, rs2, imm: random() | 0 }),
        );
        if (instruction.valid !== undefined && !instruction.valid(operands, xlen)) continue;
        const x = new Array<bigint>(32).fill(0n);
        x[rs1] = value(first);
        give(rs1, first, x[rs1]!);
        if (rs2 !== rs1) {
          x[rs2] = value(second);
          give(rs2, second, x[rs2]!);
        }
        p.data(instruction.encoding.encode(operands), 4);
        p.op(xlen === 64 ? "sd" : "sw", { rs1: OUT, rs2: rd }).op("addi", { rd: OUT, rs1: OUT, imm: size });
        // Regions begin where jumps go.
        if (trials.length % 16 === 0) p.to("jal", p.here + 4);
        trials.push(trial(instruction, operands, x, xlen, `${first}, ${second}`));
      }
    }
  }
  p.op("addi", { rd: COUNT, rs1: COUNT, imm: -1 }).to("beq", "end", { rs1: COUNT }).to("jal", "loop");
  p.label("end").to("jal", "end").align(8).label("data");
  for (const v of data) p.data(v, 8);
  p.label("out").org(p.here + trials.length * size);
  return trials;
}

function trial(instruction: Instruction, operands: Operands, x: bigint[], xlen: Xlen, kinds: string): Trial {
  const effect = REFERENCE[instruction.name]!({ xlen, x, pc: 0n, length: 4n, load: () => 0n }, operands);
  const hex = (register: number) => `x${register} = 0x${x[register]!.toString(16)}`;
  const text = `${instruction.name} x${operands.rd}, ${hex(operands.rs1)}, ${
    hex(operands.rs2)
  }, ${operands.imm} (${kinds})`;
  return { text, expected: unsigned(effect.value!, xlen) };
}

for (const [xlen, target] of WIDTHS.flatMap((xlen) => [[xlen, "javascript"], [xlen, "webassembly"]] as const)) {
  test(`RV${xlen} instructions compiled to ${target} compute what the manual says, whatever is known of operands`, async () => {
    const random = randomWords(0xc0de + xlen);
    for (let k = 0; k < PROGRAMS; k++) {
      const p = new Program(xlen), trials = generate(p, random);
      const guest = await Guest.with(p, "", { accel: `jit,threshold=1,target=${target}` });
      const stop = await guest.machine.run({ until: p.address("end"), maxInstructions: 1_000_000 });
      assert.equal(stop.kind, "breakpoint");
      const out = p.address("out"), { memory } = guest.machine;
      trials.forEach(({ text, expected }, k) => {
        const result = xlen === 64 ? memory.read64(out + 8 * k) : BigInt(memory.read32(out + 4 * k));
        assert.equal(result, expected, `${text} is 0x${result.toString(16)}`);
      });
    }
  });
}
