// Regions: which blocks there are, how they hang together, and how far they run before the count of instructions is checked,
// on graphs made by hand and at random. What the builder finds out by clever ways is found out here by plain ones.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Ram } from "../hart/memory.ts";
import { Decoder } from "../isa/decode.ts";
import { COMPATIBLE } from "../isa/extensions.ts";
import { physicalPage } from "../jit/code_space.ts";
import { type Block, type Region, RegionBuilder, type RegionLimits } from "../jit/region.ts";
import { Bus } from "../machine/bus.ts";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { RAM_SIZE, WIDTHS } from "./support/guest.ts";
import { compareRuns, Subject } from "./support/lockstep_guest.ts";
import { seeded } from "./support/random_program.ts";

/** How a block ends: into the next one, by a branch, a jump, a call of what is elsewhere, or a return. */
type End = "on" | `branch ${string}` | `jump ${string}` | "call" | "return" | "ecall";

/** Blocks by name, in the order of their addresses: numbers of instructions before their ends, and their ends. */
type Graph = Readonly<Record<string, readonly [length: number, end: End]>>;

function assembleGraph(graph: Graph): Program {
  const p = new Program(32);
  for (const [name, [length, end]] of Object.entries(graph)) {
    p.label(name);
    for (let k = 0; k < length; k++) p.op("addi", { rd: "a0", rs1: "a0", imm: 1 });
    const [kind, target] = end.split(" ");
    if (kind === "branch") p.to("beq", target!, { rs1: "a0", rs2: "a1" });
    else if (kind === "jump") p.to("jal", target!);
    else if (kind === "call") p.to("jal", "elsewhere", { rd: "ra" });
    else if (kind === "return") p.op("jalr", { rs1: "ra" });
    else if (kind === "ecall") p.op("ecall");
  }
  return p.label("elsewhere").op("ecall");
}

function build(p: Program, limits: Partial<RegionLimits> = {}, executed = () => true) {
  const bus = new Bus(new Ram(RAM_BASE, 0x1_0000), "ram"), decoder = new Decoder(32, new Set(COMPATIBLE));
  bus.writeBytes(RAM_BASE, p.build());
  const source = { decoder, memory: bus, breakpoints: new Set<number>(), pageOf: physicalPage, wasExecuted: executed };
  const bounds: RegionLimits = { instructions: 10_000, blocks: 1000, inlined: 0, ...limits };
  const region = new RegionBuilder(source, bounds).build(RAM_BASE | 0, 0);
  assert.ok(region !== null);
  return region;
}

/** The blocks of a region by the labels at which they begin. */
function named(region: Region, p: Program, names: readonly string[]): Map<string, Block> {
  const blocks = new Map<string, Block>();
  for (const name of names) {
    const block = region.blocks.find(({ pc }) => pc === (p.address(name) | 0));
    if (block !== undefined) blocks.set(name, block);
  }
  return blocks;
}

// The plain ways.

function reachable(from: Block, without: Block | null = null): Set<Block> {
  const seen = new Set<Block>(), work = from === without ? [] : [from];
  for (let block; (block = work.pop()) !== undefined;) {
    if (seen.has(block)) continue;
    seen.add(block);
    for (const to of block.successors) if (to !== without) work.push(to);
  }
  return seen;
}

/** A block dominates those that cannot be reached without it. */
function dominatorOf(block: Block, { entry, blocks }: Region): Block {
  if (block === entry) return entry;
  const dominators = blocks.filter((other) => other !== block && !reachable(entry, other).has(block));
  // The nearest of them is dominated by all others.
  return dominators.find((d) => dominators.every((other) => other === d || !reachable(entry, other).has(d)))!;
}

/** Whether taking away edges to oneself, and joining blocks that one edge leads to, leaves one block. */
function isReducible({ entry, blocks }: Region): boolean {
  const edges = new Map(blocks.map((block) => [block, new Set(block.successors)]));
  for (let changed = true; changed;) {
    changed = false;
    for (const [block, to] of edges) {
      to.delete(block);
      const from = [...edges].filter(([, successors]) => successors.has(block));
      if (block === entry || from.length !== 1) continue;
      const [, successors] = from[0]!;
      successors.delete(block);
      for (const next of to) successors.add(next);
      edges.delete(block);
      changed = true;
    }
  }
  return edges.size === 1;
}

/** The longest way from the start of a block to where the count is checked or the region ends. */
function stretchOf(block: Block, depth = 0): number {
  assert.ok(depth < 1000, "a way round without a check");
  const ways = block.successors.map((to) => block.calls || to.isLoop ? 0 : stretchOf(to, depth + 1));
  return block.instructions.length + Math.max(0, ...ways);
}

/** Registers that on some way from the entry were written and not yet stored, as calls do. */
function dirtyAt(block: Block, { entry }: Region): number {
  let set = 0;
  for (let register = 1; register < 32; register++) {
    const seen = new Set<string>(), work: { at: Block; dirty: boolean }[] = [{ at: entry, dirty: false }];
    for (let way; (way = work.pop()) !== undefined;) {
      const { at, dirty } = way, key = `${at.order} ${dirty}`;
      if (seen.has(key)) continue;
      seen.add(key);
      if (at === block && dirty) set |= 1 << register;
      const after = !at.calls && (dirty || (at.definitions & 1 << register) !== 0);
      for (const to of at.successors) work.push({ at: to, dirty: after });
    }
  }
  return set;
}

function check(region: Region): void {
  const { entry, blocks } = region;
  assert.equal(blocks[0], entry);
  assert.deepEqual(new Set(blocks), reachable(entry));
  assert.equal(region.size, blocks.reduce((sum, block) => sum + block.instructions.length, 0));
  assert.equal(region.reducible, isReducible(region));
  blocks.forEach((block, order) => {
    const name = (block.pc >>> 0).toString(16);
    assert.equal(block.order, order);
    assert.equal(block.dominator, dominatorOf(block, region), `dominator of ${name}`);
    assert.equal(block.isLoop, block.predecessors.some((from) => from.order >= order), `loop at ${name}`);
    assert.equal(block.isMerge, block.predecessors.filter((from) => from.order < order).length > 1, `merge at ${name}`);
    assert.deepEqual(
      new Set(block.children),
      new Set(blocks.filter((b) => b !== block && b.dominator === block && b !== entry)),
    );
    assert.equal(block.stretch, stretchOf(block), `stretch of ${name}`);
    assert.equal(block.dirtyIn, dirtyAt(block, region), `registers that differ at ${name}`);
    assert.equal(block.dirtyIn & ~block.liveIn, 0, `registers that may be written back at ${name} are in locals`);
    assert.equal(block.uses & ~block.liveIn, 0, `registers that are read at ${name} are in locals`);
  });
}

// Graphs.

const GRAPHS: Readonly<Record<string, { graph: Graph; loops: string[]; merges: string[]; stretches: number[] }>> = {
  "a straight line": {
    graph: { a: [3, "on"], b: [0, "return"] },
    loops: [],
    merges: [],
    stretches: [4],
  },
  "a fork that joins": {
    graph: { a: [1, "branch c"], b: [5, "jump d"], c: [2, "on"], d: [1, "return"] },
    loops: [],
    merges: ["d"],
    stretches: [10, 8, 4, 2],
  },
  "a loop, and what follows it": {
    graph: { a: [2, "on"], b: [3, "branch b"], c: [1, "return"] },
    loops: ["b"],
    merges: [],
    stretches: [2, 6, 2],
  },
  "a loop in a loop": {
    graph: { a: [1, "on"], b: [1, "on"], c: [4, "branch c"], d: [1, "branch b"], e: [0, "return"] },
    loops: ["b", "c"],
    merges: [],
    stretches: [1, 1, 8, 3, 1],
  },
  "a loop entered and left in its middle": {
    graph: { a: [1, "jump c"], b: [1, "branch d"], c: [2, "jump b"], d: [0, "return"] },
    loops: ["c"],
    merges: [],
    stretches: [2, 3, 6, 1],
  },
  "a loop with two entrances": {
    graph: { a: [1, "branch c"], b: [2, "on"], c: [3, "branch b"], d: [0, "return"] },
    loops: ["b"],
    merges: ["c"],
    stretches: [7, 7, 5, 1],
  },
  "a call, and a branch to where it returns to": {
    graph: { a: [1, "branch c"], b: [1, "call"], c: [4, "return"] },
    loops: [],
    merges: ["c"],
    stretches: [7, 2, 5],
  },
  "an instruction for the interpreter": {
    graph: { a: [1, "branch c"], b: [1, "ecall"], c: [2, "return"] },
    loops: [],
    merges: [],
    stretches: [5, 1, 3],
  },
};

for (const [name, { graph, loops, merges, stretches }] of Object.entries(GRAPHS)) {
  test(`${name} is a region with the loops, merges and stretches that it has`, () => {
    const p = assembleGraph(graph), region = build(p), names = Object.keys(graph), blocks = named(region, p, names);
    check(region);
    const those = (which: (block: Block) => boolean) =>
      names.filter((each) => blocks.has(each) && which(blocks.get(each)!));
    assert.deepEqual(those((block) => block.isLoop), loops);
    assert.deepEqual(those((block) => block.isMerge), merges);
    if (name.startsWith("a straight")) assert.equal(region.blocks.length, 1, "it is one block");
    assert.deepEqual([...blocks.values()].map(({ stretch }) => stretch), stretches);
  });
}

test("random graphs have the dominators, loops, stretches and registers that plain ways find", () => {
  let irreducible = 0;
  for (let seed = 0; seed < 300; seed++) {
    const random = seeded(seed), below = (limit: number) => random() % limit, count = 2 + below(12);
    const p = new Program(32), ends = ["beq", "beq", "beq", "blt", "jal", "call", "jalr", "on", "ecall"];
    const register = () => 10 + below(6);
    for (let k = 0; k < count; k++) {
      p.label(`b${k}`);
      for (let more = below(4); more >= 0; more--) p.op("add", { rd: register(), rs1: register(), rs2: register() });
      const end = k === count - 1 ? "jalr" : ends[below(ends.length)]!, target = `b${below(count)}`;
      if (end === "beq" || end === "blt") p.to(end, target, { rs1: register(), rs2: register() });
      else if (end === "jal") p.to("jal", target);
      else if (end === "call") p.to("jal", target, { rd: "ra" });
      else if (end === "jalr") p.op("jalr", { rs1: "ra" });
      else if (end === "ecall") p.op("ecall");
    }
    const region = build(p);
    check(region);
    if (!region.reducible) irreducible++;
  }
  assert.ok(irreducible > 10, `${irreducible} irreducible graphs`);
});

test("a region stays within its limits, and leaves out what was never executed", () => {
  const p = assembleGraph({
    a: [5, "on"],
    b: [5, "branch d"],
    c: [5, "branch b"],
    d: [5, "branch b"],
    e: [5, "return"],
  });
  assert.equal(build(p).size, 29);
  for (let instructions = 1; instructions < 29; instructions++) {
    const region = build(p, { instructions, blocks: 10 });
    assert.ok(region.size <= instructions && region.size > instructions - 6, `${region.size} of ${instructions}`);
    check(region);
  }
  for (let blocks = 1; blocks < 5; blocks++) {
    assert.equal(build(p, { instructions: 100, blocks }).blocks.length, blocks);
  }
  const { blocks } = build(p, undefined, () => false);
  assert.deepEqual(blocks.map(({ pc }) => pc), [p.address("a") | 0]);
  // What follows a call or a jump is executed if that is.
  const calls = assembleGraph({ a: [1, "call"], b: [1, "jump d"], c: [1, "return"], d: [1, "return"] });
  const found = build(calls, undefined, () => false);
  assert.deepEqual([...named(found, calls, ["a", "b", "c", "d"]).keys()], ["a", "b", "d"]);
});

test("a call is replaced by the function, if all of it fits and it returns", () => {
  const p = new Program(32).label("entry").op("addi", { rd: "sp", rs1: "sp", imm: -16 });
  p.to("jal", "small", { rd: "ra" }).label("between").to("jal", "small", { rd: "ra" }).label("end");
  p.op("addi", { rd: "sp", rs1: "sp", imm: 16 }).op("ecall");
  p.label("small").op("addi", { rd: "a0", rs1: "a0", imm: 1 }).to("beq", "other", { rs1: "a0", rs2: "a1" });
  p.op("jalr", { rs1: "ra" }).label("other").op("addi", { rd: "a0", rs1: "a0", imm: 2 }).op("jalr", { rs1: "ra" });
  const at = (name: string) => p.address(name) | 0;
  const calls = ({ blocks }: Region) => blocks.filter((block) => block.terminator.kind === "call").map(({ pc }) => pc);
  // Five instructions: no fewer are enough, in the region and of a function.
  assert.deepEqual(calls(build(p, { inlined: 4 })), [at("entry"), at("between")]);
  assert.deepEqual(calls(build(p, { inlined: 5, instructions: 8 })), [at("entry"), at("between")]);
  const half = build(p, { inlined: 5, instructions: 9 });
  assert.deepEqual(calls(half), [at("between")]);
  const whole = build(p, { inlined: 5 });
  check(half);
  check(whole);
  assert.deepEqual(calls(whole), []);
  assert.equal(whole.size, 4 + 2 * 5);
  // Each copy has blocks of its own, whose returns lead to where its call does.
  const returns = whole.blocks.filter(({ terminator }) => terminator.kind === "return");
  assert.deepEqual(returns.map(({ copy }) => copy).sort(), [1, 1, 2, 2]);
  for (const { copy, successors } of returns) {
    assert.deepEqual(successors.map(({ pc }) => pc), [at(copy === 1 ? "between" : "end")]);
  }
});

test("a jump to a register that AUIPC has just set goes where the two say", () => {
  const p = new Program(32).far("f", "ra", "ra").far("on", "t1").label("f").op("addi", { rd: "a0", rs1: "a0", imm: 1 });
  p.op("jalr", { rs1: "ra" }).label("on").op("addi", { rd: "a0", rs1: "a0", imm: 2 }).op("ecall");
  const region = build(p, { inlined: 10 });
  check(region);
  assert.deepEqual(region.blocks.map(({ terminator: { kind } }) => kind), ["jump", "return", "jump", "exit"]);
  assert.deepEqual(build(p).blocks.map(({ terminator: { kind } }) => kind), ["call", "jump", "exit"]);
  const ends = (between: (p: Program) => Program, last: string, imm = 8) =>
    build(between(new Program(32).op("auipc", { rd: "t1", imm: 0 })).op("jalr", { rs1: last, imm })).entry.terminator;
  const nothing = (p: Program) => p;
  assert.deepEqual(ends(nothing, "t1"), { kind: "jump", target: RAM_BASE + 8 | 0 });
  assert.deepEqual(ends(nothing, "t1", 9), { kind: "jump", target: RAM_BASE + 8 | 0 });
  assert.deepEqual(ends(nothing, "t2"), { kind: "indirectJump" });
  assert.deepEqual(ends((p) => p.op("addi", { rd: "t1", rs1: "t1", imm: 4 }), "t1"), { kind: "indirectJump" });
});

test("a function that does not return, or calls by another register, is not put in place of its call", () => {
  for (const link of ["ra", "t0"]) {
    const p = new Program(32).to("jal", "f", { rd: link }).op("addi", { rd: "a0", rs1: "a0", imm: 1 }).op("ecall");
    p.label("f").op("addi", { rd: "a0", rs1: "a0", imm: 1 });
    if (link === "ra") p.op("ecall");
    else p.op("jalr", { rs1: link });
    assert.equal(build(p, { inlined: 10 }).entry.terminator.kind, "call");
  }
});

test("a region that is entered at the head of a loop holds what leads back there, and nothing else", () => {
  const graph: Graph = {
    a: [1, "branch e"],
    b: [1, "branch b"],
    c: [1, "branch f"],
    d: [1, "jump a"],
    e: [1, "branch c"],
    f: [5, "return"],
  };
  const p = assembleGraph(graph), region = build(p);
  check(region);
  assert.deepEqual([...named(region, p, Object.keys(graph)).keys()], ["a", "b", "c", "d", "e"]);
  // Not the head: all of it.
  assert.equal(build(assembleGraph({ z: [1, "on"], ...graph })).blocks.length, 7);
});

for (const xlen of WIDTHS) {
  test(`RV${xlen} loops with several entrances, one in another, execute as they do interpreted`, async () => {
    let regions = 0;
    for (let seed = 0; seed < 30; seed++) {
      const random = seeded(seed), below = (limit: number) => random() % limit, p = new Program(xlen), count = 8;
      p.li("s0", 4000);
      for (let k = 0; k < count; k++) {
        p.label(`b${k}`).op("addi", { rd: "s0", rs1: "s0", imm: -1 }).to("bge", "end", { rs1: 0, rs2: "s0" });
        p.op("addi", { rd: 10 + k, rs1: 10 + below(8), imm: 1 }).op("xor", {
          rd: 10 + below(8),
          rs1: 10 + k,
          rs2: "s0",
        });
        p.op("srli", { rd: "t0", rs1: "s0", imm: below(6) }).op("andi", { rd: "t0", rs1: "t0", imm: 1 });
        p.to("bne", `b${below(count)}`, { rs1: "t0", rs2: 0 });
        if (below(3) === 0) p.to("jal", `b${below(count)}`);
      }
      p.label("end").to("jal", "end");
      const subjects: Subject[] = [];
      for (const accel of ["interpreter", "jit,threshold=30"]) {
        subjects.push(await Subject.create({ cpu: `rv${xlen}`, memory: RAM_SIZE, accel }));
      }
      const stops = { stops: [501, 1, 13, 7000, 2, 30_000], address: RAM_BASE, length: 4096 };
      assert.equal(await compareRuns(subjects, (subject) => subject.load(p), stops), undefined, `graph ${seed}`);
      regions += subjects[1]!.machine.compilerStatistics!.regions;
    }
    // Some guests come to their end before anything is hot.
    assert.ok(regions > 10, `${regions} regions`);
  });
}

for (const [xlen, isFar] of WIDTHS.flatMap((xlen) => [[xlen, false], [xlen, true]] as const)) {
  const kind = isFar ? "far" : "near";
  test(`RV${xlen} functions in place of their ${kind} calls do as called ones, also if they trap or return to elsewhere`, async () => {
    // The function loads, which traps each 64th time (the handler skips it), and now and then returns past an instruction.
    const p = new Program(xlen).la("t0", "handler").op("csrrw", { rs1: "t0", imm: 0x305 }).li("s0", 4000);
    p.li("s1", RAM_BASE + 0x800).label("loop").op("andi", { rd: "a0", rs1: "s0", imm: 63 });
    if (isFar) p.far("f", "ra", "ra");
    else p.to("jal", "f", { rd: "ra" });
    p.op("addi", { rd: "s2", rs1: "s2", imm: 1 }).op("add", {
      rd: "s3",
      rs1: "s3",
      rs2: "a1",
    });
    p.op("addi", { rd: "s0", rs1: "s0", imm: -1 }).to("bne", "loop", { rs1: "s0", rs2: 0 }).label("end").to(
      "jal",
      "end",
    );
    p.label("f").op("addi", { rd: "a2", rs1: "s1", imm: 0 }).to("bne", "mapped", { rs1: "a0", rs2: 0 });
    p.op("addi", { rd: "a2", rs1: 0, imm: 8 }).label("mapped").op("lw", { rd: "a1", rs1: "a2", imm: 4 });
    p.op("andi", { rd: "a3", rs1: "s0", imm: 7 }).to("bne", "plain", { rs1: "a3", rs2: 0 });
    p.op("addi", { rd: "ra", rs1: "ra", imm: 4 }).label("plain").op("addi", { rd: "a1", rs1: "a1", imm: 1 });
    p.op("sw", { rs1: "s1", rs2: "a1", imm: 4 }).op("jalr", { rs1: "ra" });
    p.align(4).label("handler").op("csrrs", { rd: "t1", rs1: 0, imm: 0x341 }).op("addi", {
      rd: "t1",
      rs1: "t1",
      imm: 4,
    });
    p.op("csrrw", { rs1: "t1", imm: 0x341 }).op("addi", { rd: "s4", rs1: "s4", imm: 1 }).op("mret");
    const subjects: Subject[] = [];
    for (
      const accel of [
        "interpreter",
        "jit,threshold=30",
        "jit,threshold=30,target=javascript",
        "jit,threshold=30,inline=0",
      ]
    ) {
      subjects.push(await Subject.create({ cpu: `rv${xlen}`, memory: RAM_SIZE, accel }));
    }
    const stops = { stops: [501, 1, 13, 7000, 2, 60_000], address: RAM_BASE, length: 4096 };
    assert.equal(await compareRuns(subjects, (subject) => subject.load(p), stops), undefined);
    assert.ok(subjects.slice(1).every(({ machine }) => machine.compilerStatistics!.regions > 0));
  });
}
