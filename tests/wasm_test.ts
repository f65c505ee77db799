// The assembler for WebAssembly, what it makes of values and regions, and how regions in both forms go together.

import assert from "node:assert/strict";
import { test } from "node:test";
import { WasmFunction } from "../jit/wasm_assembler.ts";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { Guest } from "./support/guest.ts";
import { randomWords } from "./random_words.ts";

/** Runs a function that pushes its result. */
function run(f: WasmFunction, argument = 0): number {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 1 });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(f.module(1)), { env: { memory, table } });
  return (instance.exports["run"] as (argument: number) => number)(argument);
}

test("constants come out as they went in, whatever their length", () => {
  const random = randomWords(7);
  const corners = [0, 1, -1, 63, 64, -64, -65, 127, 128, 8191, 8192, -8192, -8193, 2 ** 31 - 1, -(2 ** 31)];
  const words = [...corners, ...Array.from({ length: 200 }, () => random() >> (random() & 31))];
  for (const low of words) {
    const f = new WasmFunction(false);
    f.i32(low);
    assert.equal(run(f), low | 0);
    for (const high of words.slice(0, 30)) {
      for (const part of [0, 32]) {
        const g = new WasmFunction(false);
        g.i64(low, high), g.i64(part, 0), g.op("i64.shr_u"), g.op("i32.wrap_i64");
        assert.equal(run(g), (part === 0 ? low : high) | 0, `${high} ${low}`);
      }
    }
  }
});

test("branches find their labels through blocks, loops and ifs", () => {
  // The sum of the numbers from the argument down to 1, left early at 1000.
  const f = new WasmFunction(true), sum = f.local("i32", "sum"), n = f.local("i32", "n");
  f.get(0), f.set(n);
  const out = f.block("out"), again = f.loop("again");
  f.get(n), f.op("i32.eqz"), f.brIf(out);
  f.get(sum), f.i32(1000), f.op("i32.ge_s"), f.if();
  f.br(out);
  f.else();
  f.get(sum), f.get(n), f.op("i32.add"), f.set(sum);
  f.get(n), f.i32(1), f.op("i32.sub"), f.set(n);
  f.br(again);
  f.end(), f.end(), f.end();
  f.get(sum);
  assert.equal(run(f, 10), 55);
  assert.equal(run(f, 1000), 1000);
  assert.equal(run(f, 999), 1997);
  assert.deepEqual(f.lines!.slice(2, 8), [
    "  block $out",
    "    loop $again",
    "      local.get $n",
    "      i32.eqz",
    "      br_if $out",
    "      local.get $sum",
  ]);
});

test("code of more than 127 locals and 16,384 bytes is a module", () => {
  const f = new WasmFunction(false), locals = Array.from({ length: 300 }, (_, k) => f.local("i64", `x${k}`));
  for (let round = 0; round < 20; round++) {
    for (const local of locals) f.get(local), f.i64(1, 0), f.op("i64.add"), f.set(local);
  }
  f.get(locals.at(-1)!), f.op("i32.wrap_i64");
  assert.ok(f.module(1).length > 20_000);
  assert.equal(run(f), 20);
});

test("an RV64 loop as WebAssembly", async () => {
  const p = new Program(64);
  p.li("a0", 100).label("loop").op("add", { rd: "a1", rs1: "a1", rs2: "a0" });
  p.op("addi", { rd: "a0", rs1: "a0", imm: -1 }).to("bne", "loop", { rs1: "a0", rs2: 0 }).op("jalr", { rs1: "ra" });
  const guest = await Guest.with(p, "", { accel: "jit,history=off,threshold=60000,target=webassembly" });
  await guest.machine.run({ maxInstructions: 30 });
  const text = guest.machine.compiledText(p.address("loop"))!;
  const start = text.indexOf("    loop $L"), body = text.slice(start, text.indexOf("      else\n"));
  assert.equal(
    body,
    `    loop $L80000004
      local.get $n
      i32.const 3
      i32.lt_s
      if $if
        i64.const 0x6_00000000
        local.set $q
        br $EXIT
      end
      local.get $n
      i32.const 3
      i32.sub
      local.set $n
      ;; 80000004: add a1,a1,a0
      local.get $x11
      local.get $x10
      i64.add
      local.set $x11
      ;; 80000008: add a0,a0,-1
      local.get $x10
      i64.const 0xffffffff_ffffffff
      i64.add
      local.set $x10
      ;; 8000000c: bnez a0,80000004
      local.get $x10
      i64.const 0x0_00000000
      i64.ne
      if $if
        br $L80000004
`,
    body,
  );
});

/** What modules import that are no regions. */
const OF_OTHERS: ReadonlySet<string> = new Set(["interpret", "plainOffset", "plainRange"]);

/** What `make` does while WebAssembly has no room for every other region. */
async function withLittleRoom<Result>(make: () => Promise<Result>): Promise<Result> {
  const { Module } = WebAssembly;
  let modules = 0;
  const Small = function (bytes: BufferSource) {
    const module = new Module(bytes), isRegion = !Module.imports(module).some(({ name }) => OF_OTHERS.has(name));
    if (isRegion && modules++ % 2 === 1) throw new RangeError("WebAssembly.Module(): Out of memory: no room");
    return module;
  };
  try {
    WebAssembly.Module = Small as unknown as typeof Module;
    return await make();
  } finally {
    WebAssembly.Module = Module;
  }
}

test("regions that are JavaScript, since there is no room for WebAssembly, and WebAssembly call each other", async () => {
  const p = new Program(64);
  // f(n) = n + f(n - 1) in integers, whose every other call adds 1.0 to a double.
  p.li("t0", 3 << 13).csr("csrrs", "mstatus", 0, "t0").li("sp", RAM_BASE + 0x8000).li("s0", 300).label("again");
  p.li("a0", 40).to("jal", "f", { rd: "ra" }).op("addi", { rd: "s0", rs1: "s0", imm: -1 });
  p.to("bne", "again", { rs1: "s0", rs2: 0 }).label("end").to("jal", "end");
  p.label("f").to("beq", "last", { rs1: "a0", rs2: 0 }).op("addi", { rd: "sp", rs1: "sp", imm: -16 });
  p.op("sd", { rs1: "sp", rs2: "ra", imm: 0 }).op("sd", { rs1: "sp", rs2: "a0", imm: 8 });
  p.op("addi", { rd: "a0", rs1: "a0", imm: -1 }).to("jal", "g", { rd: "ra" });
  p.op("ld", { rd: "a2", rs1: "sp", imm: 8 }).op("ld", { rd: "ra", rs1: "sp", imm: 0 });
  p.op("addi", { rd: "sp", rs1: "sp", imm: 16 }).op("add", { rd: "a1", rs1: "a1", rs2: "a2" }).op("jalr", {
    rs1: "ra",
  });
  p.label("last").op("addi", { rd: "a1", rs1: 0, imm: 0 }).op("jalr", { rs1: "ra" });
  p.label("g").op("addi", { rd: "sp", rs1: "sp", imm: -16 }).op("sd", { rs1: "sp", rs2: "ra", imm: 0 });
  p.op("addi", { rd: "t1", rs1: 0, imm: 1 }).op("fcvt.d.l", { rd: 10, rs1: "t1" }).op("fadd.d", {
    rd: 11,
    rs1: 11,
    rs2: 10,
    imm: 7,
  });
  p.to("jal", "f", { rd: "ra" }).op("ld", { rd: "ra", rs1: "sp", imm: 0 }).op("addi", { rd: "sp", rs1: "sp", imm: 16 });
  p.op("jalr", { rs1: "ra" });
  const run = async (accel: string) => {
    const guest = await Guest.with(p, "", { accel }), { machine } = guest;
    const run = () => machine.run({ until: p.address("end"), maxInstructions: 1_000_000 });
    const stop = await (accel === "interpreter" ? run() : withLittleRoom(run));
    assert.equal(stop.kind, "breakpoint");
    const texts = guest.machine.explainCode("0x80000000..0x80001000") ?? "";
    return { a1: guest.x("a1"), sum: guest.machine.hart.f["fa1"], instructions: stop.instructions, texts };
  };
  const interpreted = await run("interpreter"), compiled = await run("jit,threshold=5,target=webassembly");
  assert.equal(interpreted.a1, 820n);
  const { texts, ...state } = compiled, { texts: _, ...expected } = interpreted;
  assert.deepEqual(state, expected);
  assert.match(texts, /^function region_/m);
  assert.match(texts, /^\(func \$region_/m);
});
