// The passes over the IR of a region, one by one, and that what they make is well-formed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Ram } from "../hart/memory.ts";
import { Decoder } from "../isa/decode.ts";
import { COMPATIBLE } from "../isa/extensions.ts";
import { Builder, type Operands, type Statement, Value } from "../isa/ir.ts";
import { irText, valueText } from "../isa/ir_text.ts";
import { verifyIr } from "../isa/ir_verify.ts";
import { INSTRUCTIONS } from "../isa/table.ts";
import { physicalPage } from "../jit/code_space.ts";
import { constant, foldConstants } from "../jit/passes/constant_folding.ts";
import { withKnown } from "../jit/passes/known_values.ts";
import { sharedChecks } from "../jit/passes/shared_checks.ts";
import { signExtensions } from "../jit/passes/sign_extensions.ts";
import { simplify } from "../jit/passes/simplify.ts";
import { type Region, RegionBuilder } from "../jit/region.ts";
import { Bus } from "../machine/bus.ts";
import { resultOf } from "./evaluate_ir.ts";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { WIDTHS } from "./support/guest.ts";
import { seeded } from "./support/random_program.ts";

/** The region of a program. */
function regionOf(p: Program): Region {
  const bus = new Bus(new Ram(RAM_BASE, 0x1_0000), "ram"), decoder = new Decoder(p.xlen, new Set(COMPATIBLE));
  bus.writeBytes(RAM_BASE, p.build());
  const source = {
    decoder,
    memory: bus,
    breakpoints: new Set<number>(),
    pageOf: physicalPage,
    wasExecuted: () => true,
  };
  return new RegionBuilder(source, { instructions: 1000, blocks: 100, inlined: 0 }).build(RAM_BASE | 0, 0)!;
}

/** IR of a region after the passes that simplify it, by address less that of RAM. */
function ir(p: Program): Record<string, string> {
  const region = regionOf(p);
  simplify(region.blocks);
  const texts: Record<string, string> = {};
  for (const { instructions } of region.blocks) {
    for (const { pc, statements } of instructions) {
      verifyIr(statements, p.xlen);
      texts[((pc >>> 0) - RAM_BASE).toString()] = irText(statements);
    }
  }
  return texts;
}

const NUMBERS = [
  0n,
  1n,
  -1n,
  2n,
  31n,
  32n,
  33n,
  0x7fff_ffffn,
  0x8000_0000n,
  -0x8000_0000n,
  0xffff_ffffn,
  1n << 63n,
  255n,
  0x8080n,
];

test("instructions on constants fold to what they compute", () => {
  const random = seeded(7), folded = new Set<string>();
  const below = (limit: number) => (random() >>> 0) % limit;
  const number = () => below(2) === 0 ? NUMBERS[below(NUMBERS.length)]! : BigInt(random()) << BigInt(below(33));
  for (const xlen of WIDTHS) {
    for (const { name, xlen: only, semantics } of INSTRUCTIONS) {
      if (semantics === undefined || (only !== undefined && only !== xlen)) continue;
      for (let k = 0; k < 40; k++) {
        const rs1 = BigInt.asUintN(xlen, number()),
          rs2 = BigInt.asUintN(xlen, number()),
          imm = below(4096) - 2048;
        const operands: Operands = { rd: 3, rs1: 1, rs2: 2, rs3: 0, imm };
        const b = new Builder(xlen, false);
        semantics(b, operands);
        const [first] = b.statements;
        if (b.statements.length !== 1 || first!.kind !== "setX") break;
        const type = xlen === 64 ? "i64" : "i32";
        const known = new Map([[1, constant(type, BigInt.asIntN(xlen, rs1))], [
          2,
          constant(type, BigInt.asIntN(xlen, rs2)),
        ]]);
        const statements = withKnown(b.statements, known), [s] = statements;
        verifyIr(statements, xlen);
        if (s!.kind !== "setX" || s.value.operation !== "const") continue;
        folded.add(name);
        assert.equal(
          BigInt.asUintN(xlen, BigInt(valueText(s.value))),
          resultOf(name, xlen, { rs1, rs2 }, imm),
          `${name} ${rs1} ${rs2} ${imm} on RV${xlen}`,
        );
      }
    }
  }
  for (
    const name of [
      "add",
      "addi",
      "sub",
      "and",
      "ori",
      "xor",
      "sll",
      "sra",
      "srli",
      "slt",
      "sltu",
      "addw",
      "sraw",
      "sext.b",
    ]
  ) {
    assert.ok(folded.has(name), name);
  }
});

test("operations with 0 that change nothing go, and so do an extension and its wrapping", () => {
  const b = new Builder(64, false), x = b.x(5), zero = constant("i64", 0n);
  const make = (operation: "add" | "and" | "sub" | "shiftLeft") =>
    new Value(operation, "i64", x, operation === "shiftLeft" ? constant("i32", 0n) : zero);
  for (const operation of ["add", "sub", "shiftLeft"] as const) assert.equal(foldConstants(make(operation)), x);
  assert.equal(valueText(foldConstants(make("and"))), "0");
  const w = b.w(5);
  assert.equal(foldConstants(new Value("wrap", "i32", new Value("signExtend64", "i64", w))), w);
  // A difference from 0 is none.
  assert.equal(valueText(foldConstants(new Value("sub", "i64", zero, x))), "sub(0, x5)");
});

test("values know how often they are used after a rewriting, as they do when they are built", () => {
  const count = (statements: readonly Statement[]) => {
    const uses = new Map<Value, number>(), seen = new Set<Value>();
    const visit = (v: Value) => {
      uses.set(v, (uses.get(v) ?? 0) + 1);
      if (seen.has(v)) return;
      seen.add(v);
      for (const operand of [v.a, v.b, v.c]) if (operand !== null) visit(operand);
    };
    for (const s of statements) if (s.kind === "setX" || s.kind === "let") visit(s.value);
    return uses;
  };
  for (const xlen of WIDTHS) {
    for (const { semantics, xlen: only } of INSTRUCTIONS) {
      if (semantics === undefined || (only !== undefined && only !== xlen)) continue;
      const b = new Builder(xlen, false);
      semantics(b, { rd: 3, rs1: 1, rs2: 2, rs3: 4, imm: 8 });
      const statements = withKnown(b.statements, new Map([[1, b.x(9)]]));
      if (statements === b.statements || statements.some(({ kind }) => kind !== "setX" && kind !== "let")) continue;
      for (const [v, uses] of count(statements)) {
        if (v.operation !== "temp") assert.equal(v.uses, uses, irText(statements));
      }
    }
  }
});

test("a copy is read in place of the register that holds it, until one of them changes", () => {
  const p = new Program(32).op("addi", { rd: "a1", rs1: "a0", imm: 0 }).op("add", { rd: "a2", rs1: "a1", rs2: "a1" });
  p.op("addi", { rd: "a0", rs1: "a0", imm: 1 }).op("add", { rd: "a3", rs1: "a1", rs2: "a0" }).op("ecall");
  const texts = ir(p);
  assert.equal(texts["4"], "x12 = add(x10, x10)");
  assert.equal(texts["12"], "x13 = add(x11, x10)");
});

test("an address stays the register that it is", () => {
  const p = new Program(32).op("addi", { rd: "a1", rs1: "a0", imm: 0 }).op("lw", { rd: "a2", rs1: "a1", imm: 4 }).op(
    "ecall",
  );
  assert.equal(ir(p)["4"], "t0 = load i32 plain [add(x11, 4)]\nx12 = t0");
});

test("a constant is known where all ways lead to it with the same one, also round a loop", () => {
  const p = new Program(64).op("addi", { rd: "a1", rs1: 0, imm: 5 }).op("addi", { rd: "a2", rs1: 0, imm: 1 }).label(
    "loop",
  );
  p.op("add", { rd: "a3", rs1: "a1", rs2: "a2" }).op("addi", { rd: "a2", rs1: "a2", imm: 1 });
  p.to("bne", "loop", { rs1: "a2", rs2: "a4" }).op("add", { rd: "a5", rs1: "a1", rs2: "a1" }).op("ecall");
  const texts = ir(p);
  assert.equal(texts["8"], "x13 = add(5, x12)");
  assert.equal(texts["20"], "x15 = 10");
});

test("nothing is known after a call", () => {
  const p = new Program(64).op("addi", { rd: "a1", rs1: 0, imm: 5 }).to("jal", "f", { rd: "ra" });
  p.op("add", { rd: "a2", rs1: "a1", rs2: "a1" }).op("ecall").label("f").op("jalr", { rs1: "ra" });
  assert.equal(ir(p)["8"], "x12 = add(x11, x11)");
});

test("a write that is overwritten unseen goes, across blocks, too", () => {
  const p = new Program(32).op("addi", { rd: "a1", rs1: "a0", imm: 1 }).op("addi", { rd: "a2", rs1: "a0", imm: 2 });
  p.to("jal", "next").label("next").op("addi", { rd: "a1", rs1: "a0", imm: 3 }).op("lw", { rd: "a3", rs1: "a0" });
  p.op("addi", { rd: "a2", rs1: "a0", imm: 4 }).op("ecall");
  const texts = ir(p);
  assert.equal(texts["0"], "");
  // A load may trap, and then a2 is seen.
  assert.equal(texts["4"], "x12 = add(x10, 2)");
});

test("what a loop's head, the end of a region or a read may see is kept", () => {
  const p = new Program(32).op("addi", { rd: "a1", rs1: "a0", imm: 1 }).label("loop").op("addi", {
    rd: "a1",
    rs1: "a0",
    imm: 2,
  });
  p.op("add", { rd: "a2", rs1: "a1", rs2: "a1" }).op("addi", { rd: "a1", rs1: "a0", imm: 3 });
  p.to("bne", "loop", { rs1: "a0", rs2: "a3" }).op("ecall");
  const texts = ir(p);
  for (const at of ["0", "4", "12"]) assert.match(texts[at]!, /^x11 = /);
});

const SHARING = { mostBytes: () => 4096, storesDiffer: true, isApart: () => false };

test("accesses at constant distances from a register share a check, stores and loads apart from one another in it", () => {
  const p = new Program(64).op("addi", { rd: "sp", rs1: "sp", imm: -32 });
  p.op("sd", { rs1: "sp", rs2: "ra", imm: 24 }).op("sd", { rs1: "sp", rs2: "s0", imm: 16 });
  p.op("lw", { rd: "a0", rs1: "sp", imm: 4 }).op("addi", { rd: "sp", rs1: "sp", imm: 32 });
  p.op("lb", { rd: "a1", rs1: "sp" }).op("lb", { rd: "a2", rs1: "a1" });
  const [block] = regionOf(p).blocks, shared = [...sharedChecks([block!], SHARING).get(block!)!.values()];
  assert.deepEqual(shared.map(({ distance, isFirst }) => [distance, isFirst]), [
    [24, true],
    [16, false],
    [4, false],
    [32, false],
  ]);
  const { check } = shared[0]!;
  assert.ok(shared.every((access) => access.check === check));
  const { base, start, end, stores, accesses, storeCount } = check;
  assert.deepEqual({ base, start, end, stores, accesses, storeCount }, {
    base: 2,
    start: 4,
    end: 33,
    stores: { start: 16, end: 32 },
    accesses: 4,
    storeCount: 2,
  });
});

test("a check ends where its register is set, is out of reach, or the hart is called", () => {
  const load = (p: Program, imm: number) => p.op("lw", { rd: "a0", rs1: "s0", imm });
  const accesses = (between: (p: Program) => void) => {
    const p = new Program(32);
    load(p, 0), between(p), load(p, 4);
    return [...sharedChecks(regionOf(p).blocks, SHARING).values()][0]!.size;
  };
  assert.equal(accesses((p) => p.op("addi", { rd: "a1", rs1: "s0" })), 2);
  assert.equal(accesses((p) => p.op("addi", { rd: "s0", rs1: "s0", imm: 2000 })), 2);
  assert.equal(accesses((p) => p.op("addi", { rd: "s0", rs1: "a0" })), 0);
  assert.equal(accesses((p) => p.op("add", { rd: "s0", rs1: "s0", rs2: "a0" })), 0);
  assert.equal(accesses((p) => [1, 2, 3].forEach(() => p.op("addi", { rd: "s0", rs1: "s0", imm: 2000 }))), 0);
  assert.equal(accesses((p) => p.op("amoadd.w", { rd: "a1", rs1: "s0", rs2: "a1" })), 0);
  assert.equal(accesses((p) => p.csr("csrrw", "mscratch", 0, "a1")), 0);
});

test("a check covers no more bytes than it may, and none begins at an instruction that is apart", () => {
  const p = new Program(64);
  for (const imm of [0, 40, 60, 64, 8]) p.op("lw", { rd: "a0", rs1: "s0", imm });
  for (const imm of [0, 8]) p.op("lw", { rd: "a0", rs1: "s1", imm });
  const [block] = regionOf(p).blocks, first = block!.instructions[0]!.pc;
  const groups = (isApart: (pc: number) => boolean) => {
    const options = { ...SHARING, mostBytes: (base: number) => base === 8 ? 64 : 8, isApart };
    return [...sharedChecks([block!], options).get(block!)!.values()].map((
      { check, distance },
    ) => [check.number, check.end - check.start, distance]);
  };
  assert.deepEqual(groups(() => false), [[0, 64, 0], [0, 64, 40], [0, 64, 60], [1, 60, 64], [1, 60, 8]]);
  assert.deepEqual(groups((pc) => pc === first), [[0, 60, 64], [0, 60, 8]]);
  assert.deepEqual(groups((pc) => pc === first + 4), groups(() => false));
});

test("a register that every way leaves a sign extension is one where they meet, and a sum of all bits is none", () => {
  const p = new Program(64).op("addiw", { rd: "a0", rs1: "a0", imm: 1 }).op("lbu", { rd: "a1", rs1: "a2" });
  p.op("sltu", { rd: "a3", rs1: "a1", rs2: "a2" }).op("add", { rd: "a4", rs1: "a0", rs2: "a1" });
  p.to("beq", "other", { rs1: "a1", rs2: 0 }).op("xor", { rd: "a0", rs1: "a0", rs2: "a1" });
  p.op("ld", { rd: "a1", rs1: "a2" }).op("sraiw", { rd: "a4", rs1: "a4", imm: 3 }).to("jal", "meet");
  p.label("other").op("and", { rd: "a0", rs1: "a0", rs2: "a3" }).op("lw", { rd: "a4", rs1: "a2" }).label("meet");
  p.op("addi", { rd: "a5", rs1: "a5", imm: 1 }).to("bne", "end", { rs1: "a5", rs2: 0 });
  p.op("add", { rd: "a0", rs1: "a0", rs2: "a5" }).label("end").op("jalr", { rs1: "ra" });
  const { blocks } = regionOf(p),
    starts = signExtensions(blocks),
    [a0, a1, a3, a4] = [10, 11, 13, 14].map((n) => 1 << n);
  const at = (label: string) => starts.get(blocks.find(({ pc }) => pc >>> 0 === p.address(label))!);
  assert.equal(starts.get(blocks[0]!), 0);
  assert.equal(at("other"), a0! | a1! | a3!);
  assert.equal(at("meet"), a0! | a3! | a4!);
  assert.equal(at("end"), a3! | a4!);
});
