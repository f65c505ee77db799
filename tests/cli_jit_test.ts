// What can be seen of compiled code: `-d jit`, `-dfilter`, `-accel jit,stats=on`, and the same from scripts.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { statisticsText } from "../debug/statistics_text.ts";
import { noStatistics } from "../jit/statistics.ts";
import { parseAddressRanges } from "../machine/address_range.ts";
import { AddressError } from "../machine/errors.ts";
import { type CompiledCode, Machine } from "../mod.ts";
import { Symbols } from "../machine/symbols.ts";
import { Program } from "./support/assemble.ts";
import { hartbeat, program } from "./support/command.ts";

/** Turns of the loop of `summing`, and how often it is interpreted before it is compiled. */
const TURNS = 2000, THRESHOLD = 100;

/** A program that sums a word `TURNS` times in a loop of four instructions, and stands still at `end`. */
function summing(xlen: 32 | 64): Program {
  return new Program(xlen).li("a0", TURNS).li("a1", 0).la("a2", "data")
    .label("loop").op("lw", { rd: "a3", rs1: "a2" }).op("add", { rd: "a1", rs1: "a1", rs2: "a3" })
    .op("addi", { rd: "a0", rs1: "a0", imm: -1 }).to("bne", "loop", { rs1: "a0" })
    .label("end").to("jal", "end").label("data").word(7);
}

/** A machine with a program, and the code that it compiled. */
async function withProgram(source: Program, properties = `threshold=${THRESHOLD}`) {
  const machine = await Machine.create({
    bios: source.elf(),
    memory: "4M",
    accel: `jit,history=off,target=javascript,${properties}`,
  });
  const made: CompiledCode[] = [];
  machine.onCompile = (code) => made.push(code);
  return { machine, made };
}

const LISTING = `\
region 80000010: 4 instructions in 1 block
compiled since the interpreter came to it 100 times

80000010:	00062683	lw	a3,0(a2)
    t0 = load i32 plain [x12]
    x13 = t0
80000014:	00d585b3	add	a1,a1,a3
    x11 = add(x11, x13)
80000018:	fff50513	add	a0,a0,-1
    x10 = add(x10, -1)
8000001c:	fe051ae3	bnez	a0,80000010
    branch if ne(x10, 0)

function region_80000010(d) {
`;

const LOOP = `
      L80000010: for (;;) {
        if (n < 4) { e = -2147483632; m = 11264; break EXIT; }
        n = n - 4 | 0;
        // 80000010: lw a3,0(a2)
        t0 = x12 ^ -2147483648;
        if ((t0 & ~0x3ffffc) === 0) { t1 = I32[t0 >> 2]; } else { t1 = slowLoad(4, t0 ^ -2147483648, 0, -2147483632, 11264, n + 4); }
        x13 = t1;
        // 80000014: add a1,a1,a3
        x11 = x11 + x13 | 0;
        // 80000018: add a0,a0,-1
        x10 = x10 - 1 | 0;
        // 8000001c: bnez a0,80000010
        if (x10 !== 0) {
          continue L80000010;
        } else {
          { e = -2147483616; m = 11264; break EXIT; }
        }
      }
`;

test("a region shows why it was compiled, its instructions, their IR, and JavaScript that can be read", async () => {
  const source = summing(32), { machine, made } = await withProgram(source);
  await machine.run({ until: source.address("end") });
  assert.equal(made.length, 1);
  const text = String(made[0]);
  assert.equal(text.slice(0, LISTING.length), LISTING);
  assert.ok(text.includes(LOOP), text);
  assert.equal(text, `${text.slice(0, text.indexOf("function"))}${made[0]!.javascript}\n`);
  const { entry, instructions, blocks, reason } = made[0]!;
  assert.deepEqual({ entry, instructions, blocks, reason }, {
    entry: 0x8000_0010n,
    instructions: 4,
    blocks: 1,
    reason: "hot",
  });
});

test("a region of RV64 says what it checks at its entry", async () => {
  const source = summing(64), { machine, made } = await withProgram(source);
  await machine.run({ until: source.address("end") });
  assert.deepEqual(made.map((code) => code.heading.split("\n")), [[
    "region 0000000080000010: 4 instructions in 1 block",
    "compiled since the interpreter came to it 100 times",
    "checks at the entry that x10 (a0) is a sign-extended word",
    "checks at the entry that x11 (a1) is a sign-extended word",
    "checks at the entry that x12 (a2) is the address of RAM",
    "checks at the entry that x13 (a3) is a sign-extended word",
  ]]);
});

test("a loop is compiled when it was twice reached as often as the threshold says, code that takes long to be only in the end", async () => {
  // A function that waits for 6000 turns, and is called again and again.
  const source = new Program(64).li("a1", 500)
    .label("again").to("jal", "wait", { rd: "ra" }).op("addi", { rd: "a1", rs1: "a1", imm: -1 }).to("bne", "again", {
      rs1: "a1",
    })
    .label("end").to("jal", "end")
    .label("wait").li("a0", 6000).label("turn").op("addi", { rd: "a0", rs1: "a0", imm: -1 }).to("bne", "turn", {
      rs1: "a0",
    })
    .op("jalr", { rs1: "ra" });
  const reached = async (properties: string) => {
    const { machine } = await withProgram(source, properties), at = new Map<bigint, number>();
    machine.onCompile = (code) => at.has(code.entry) || at.set(code.entry, machine.instructions);
    await machine.run({ until: source.address("end") });
    return { turn: at.get(BigInt(source.address("turn")))!, wait: at.get(BigInt(source.address("wait")))! };
  };
  const [first, patient] = [await reached("threshold=100"), await reached("threshold=100,patience=3")];
  assert.ok(first.turn < 220 && patient.turn > 390 && patient.turn < 420, `${first.turn}, ${patient.turn}`);
  assert.ok(first.wait < 101 * 12_100, `${first.wait}`);
  assert.ok(patient.wait > 298 * 12_000 && patient.wait < 302 * 12_100, `${patient.wait}`);
  // As always where somebody says when.
  assert.equal((await reached("threshold=100,patience=1")).wait, first.wait);
});

test("a script can ask for the code at an address, a symbol or a range, compiled or not", async () => {
  const machine = await Machine.create({ bios: program("kernel"), accel: "jit,threshold=2" });
  const before = machine.explainCode("kernel_main")!;
  assert.match(before, /^region \w{16} <kernel_main>: /);
  assert.match(before, /^not compiled; this is what would be made of it now$/m);
  machine.console.keep = false;
  assert.equal((await machine.run()).kind, "exit");
  const made = machine.explainCode("0x80000000..0x8fffffff")!.match(/^region \w{16}/gm)!;
  assert.ok(made.length > 3, `${made.length} regions`);
  assert.deepEqual(made, made.toSorted());
  const entry = BigInt(`0x${made[1]!.slice(-16)}`);
  assert.ok(machine.explainCode(entry)!.includes(`${made[1]}`));
  assert.ok(machine.explainCode(entry)!.includes(machine.compiledText(entry)!));
  assert.ok(machine.explainCode(entry)!.includes("compiled since "));
  // No code: the test finisher.
  assert.equal(machine.explainCode(0x10_0000), undefined);
  assert.equal(machine.explainCode(2n ** 63n), undefined);
  assert.throws(() => machine.explainCode("kernel_mein"), AddressError);
  const interpreted = await Machine.create({ bios: program("kernel"), accel: "interpreter" });
  assert.equal(interpreted.explainCode("kernel_main"), undefined);
});

test("ranges of addresses are QEMU's, or symbols with all that they name", () => {
  const symbols = new Symbols();
  const symbol = (name: string, value: bigint, size: bigint) => ({
    ...{ name, value, size, type: "function", binding: "global", section: 1, sectionEnd: 0x3000n } as const,
  });
  symbols.add([
    symbol("main", 0x1000n, 0x40n),
    symbol("loop", 0x2000n, 0n),
    symbol("next", 0x2010n, 0n),
    symbol("core..fmt-a+b", 0x2100n, 8n),
  ]);
  const read = (text: string) => parseAddressRanges(text, symbols).map(({ first, last }) => [first, last]);
  assert.deepEqual(read("0x8000+0x100"), [[0x8000n, 0x80ffn]]);
  assert.deepEqual(read("32768..32769, 0x80ff-0x100"), [[0x8000n, 0x8001n], [0x8000n, 0x80ffn]]);
  assert.deepEqual(read("0x8000,main"), [[0x8000n, 0x8000n], [0x1000n, 0x103fn]]);
  assert.deepEqual(read("loop,next"), [[0x2000n, 0x200fn], [0x2010n, 0x20ffn]]);
  assert.deepEqual(read("core..fmt-a+b,main..loop,core..fmt-a+b+2"), [
    [0x2100n, 0x2107n],
    [0x1000n, 0x2000n],
    [0x2100n, 0x2101n],
  ]);
  assert.deepEqual(read("0xffffffffffffffff"), [[2n ** 64n - 1n, 2n ** 64n - 1n]]);
  const cases = [
    ["", "nothing: neither"],
    ["mian", "mian: neither a symbol nor a range such as .*; did you mean main\\?"],
    ["0x10,", "nothing: neither"],
    ["0x10+", "0x10\\+: neither"],
    ["0x10.0x20", "0x10\\.0x20: neither"],
    ["0x10+0", "0x10\\+0: no addresses from 0x10 to 0xf"],
    ["0x20..0x1f", "0x20\\.\\.0x1f: no addresses from 0x20 to 0x1f"],
    ["0x10-0x20", "0x10-0x20: no addresses from -0xf to 0x10"],
    ["0xffffffffffffffff+2", "no addresses from"],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => read(text!), (e) => e instanceof AddressError && new RegExp(message!).test(e.message), text);
  }
});

/** Calls `f` with a file's path; the file is gone afterwards. */
function withFile(f: (path: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-"));
  try {
    f(join(folder, "file"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("-d jit logs compiled regions beside other items, and -dfilter only those it names", () => {
  withFile((path) => {
    const run = (...args: string[]) => {
      const { code, stdout, stderr } = hartbeat([
        ...[
          "-accel",
          "jit,threshold=2,target=javascript",
          "-nographic",
          "-bios",
          program("kernel"),
          "-D",
          path,
          ...args,
        ],
      ]);
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
      return { stdout, log: readFileSync(path, "utf8") };
    };
    const plain = run(), { stdout, log } = run("-d", "int,jit");
    assert.deepEqual([plain.log, stdout], ["", plain.stdout]);
    const regions = log.split("----------------\n").slice(1);
    assert.ok(regions.length > 3, log);
    for (const region of regions) {
      assert.match(region, /^region \w{16} <[\w.+]+>: \d+ instructions? in \d+ blocks?\ncompiled /);
      assert.match(region, /^\w{16} <[\w.+]+>:\t\w+ *\t\w+.*\n {4}\S/m);
      assert.match(region, /^function region_\w+\(d\) \{\n[^]*^\}$/m);
    }
    assert.match(log, /^riscv_cpu_do_interrupt: .*desc=m_timer$/m);

    const [, name] = /<(\w+)\+?.*>:/.exec(regions[0]!)!;
    const some = run("-d", "jit", "-dfilter", name!).log.split("----------------\n").slice(1);
    assert.ok(some.length > 0 && some.length < regions.length, `${some.length} of ${regions.length}`);
    for (const region of some) assert.ok(region.includes(` <${name}`));
    // Execution goes from the boot ROM, which has no symbols, to `_start`.
    const instructions = run("-d", "in_asm", "-dfilter", "0x1000+0x100").log.trimEnd().split("\n");
    assert.deepEqual(instructions.map((line) => line.slice(12, 16)), ["1000", "1004", "1008", "100c", "1010", "1014"]);
    assert.match(run("-d", "exec", "-dfilter", "0x1008").log, /^Trace 0: \[0000000000001008\] 0x1008\n$/);
  });
});

test("-dfilter with neither a range nor a symbol is an error, and -d jit says when it can log nothing", () => {
  const bios = ["-nographic", "-bios", program("kernel")];
  const wrong = hartbeat([...bios, "-dfilter", "0x8000,kernel_mein"]);
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /^hartbeat: -dfilter kernel_mein: neither [^\n]*; did you mean kernel_main\?\n$/);
  const idle = hartbeat([...bios, "-accel", "interpreter", "-d", "jit"]);
  assert.equal(idle.code, 0);
  assert.equal(idle.stderr, "hartbeat: warning: -d jit logs nothing, since -accel interpreter compiles nothing\n");
});

test("looking at compiled code and measuring it changes nothing", async () => {
  const run = async (look: boolean) => {
    const machine = await Machine.create({ bios: program("kernel"), accel: "jit,threshold=2" });
    let time = 0;
    if (look) {
      machine.onCompile = (code) => void String(code);
      machine.stopwatch = () => time += 3;
    }
    const stop = await machine.run();
    const { milliseconds, ...figures } = machine.compilerStatistics!;
    assert.ok(look ? milliseconds >= 3 * figures.regions && milliseconds % 3 === 0 : milliseconds === 0);
    return { stop, figures, x: Object.entries(machine.hart.x), output: machine.console.output };
  };
  assert.deepEqual(await run(true), await run(false));
});

/** The sum of what compiled code was left for. */
function sumOfExits({ exits }: { exits: object }): number {
  return Object.values(exits).reduce((sum: number, count: number) => sum + count, 0);
}

test("instructions are counted exactly by tier", async () => {
  const source = summing(32), { machine } = await withProgram(source);
  const stop = await machine.run({ until: source.address("end") });
  assert.equal(stop.instructions - machine.compilerStatistics!.executed, 6 + 4 + 4 * THRESHOLD);
  const { regions, instructions, executed, entries, links, exits } = machine.compilerStatistics!;
  assert.deepEqual({ regions, instructions, executed, entries, links, exits }, {
    ...{ regions: 1, instructions: 4, executed: 4 * (TURNS - THRESHOLD), entries: 1, links: 0 },
    exits: { slice: 0, notCompiled: 1, trap: 0, attention: 0, missed: 0, refused: 0 },
  });
});

test("compiled code that is left is counted by cause", async () => {
  // A loop of which each turn traps, writes to a PMP register, or does nothing of the kind.
  const loop = (body: (p: Program) => Program, xlen: 32 | 64 = 32) =>
    body(new Program(xlen).la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("a0", TURNS).label("loop"))
      .op("addi", { rd: "a0", rs1: "a0", imm: -1 }).to("bne", "loop", { rs1: "a0" })
      .label("end").to("jal", "end")
      .align(4).label("handler").csr("csrrs", "mepc", "t1", 0).op("addi", { rd: "t1", rs1: "t1", imm: 4 })
      .csr("csrrw", "mepc", 0, "t1").op("mret");
  const figures = async (source: Program, maxInstructions = Infinity) => {
    const { machine } = await withProgram(source);
    const end = source.address("end");
    if (maxInstructions === Infinity) assert.equal((await machine.run({ until: end })).kind, "breakpoint");
    else while (machine.hart.pc !== end) await machine.run({ maxInstructions });
    const statistics = machine.compilerStatistics!;
    assert.equal(sumOfExits(statistics), statistics.entries);
    return statistics;
  };
  const turns = TURNS - THRESHOLD;
  const nothing = (await figures(loop((p) => p))).exits;
  assert.deepEqual(nothing, { slice: 0, notCompiled: 1, trap: 0, attention: 0, missed: 0, refused: 0 });
  // Nothing is at address 0.
  const trap = (await figures(loop((p) => p.op("lw", { rd: "a1", rs1: 0 })))).exits.trap;
  assert.ok(trap >= turns - 1 && trap <= turns + 1, `${trap} traps`);
  // After a write to an entry of physical memory protection it has to be seen what it means.
  const protecting = (p: Program) => p.csr("csrrw", "pmpaddr0", 0, "a0");
  const { attention } = (await figures(loop(protecting))).exits;
  assert.ok(attention >= turns / 2 - 1 && attention <= 2 * turns, `${attention} looks`);
  const { slice } = (await figures(loop((p) => p), 100)).exits;
  assert.ok(slice >= 2 * turns / 100 - 2 && slice <= 2 * turns / 100 + 2, `${slice} slices`);
  // A word that is sign-extended for the first half of the turns and neither that nor zero-extended afterwards.
  const wide = (p: Program) =>
    p.op("add", { rd: "a4", rs1: "a5", rs2: "a0" }).op("sltiu", { rd: "a6", rs1: "a0", imm: TURNS / 2 })
      .op("slli", { rd: "a6", rs1: "a6", imm: 40 }).op("add", { rd: "a5", rs1: "a5", rs2: "a6" })
      .op("ecall");
  const { exits: { refused }, refusals } = await figures(loop(wide, 64));
  assert.ok(refusals >= 1 && refused >= refusals, `${refused} refused, ${refusals} compiled anew`);
});

test("dropped regions are counted, and say so when they are compiled again", async () => {
  // Each round runs the loop, then writes the instruction in it that is there anyway.
  const source = new Program(32).li("s0", 5).la("s1", "loop").op("lw", { rd: "s2", rs1: "s1" })
    .label("round").li("a0", 3 * THRESHOLD)
    .label("loop").op("addi", { rd: "a0", rs1: "a0", imm: -1 }).to("bne", "loop", { rs1: "a0" })
    .op("sw", { rs1: "s1", rs2: "s2" }).op("fence.i")
    .op("addi", { rd: "s0", rs1: "s0", imm: -1 }).to("bne", "round", { rs1: "s0" })
    .label("end").to("jal", "end");
  const { machine, made } = await withProgram(source);
  await machine.run({ until: source.address("end") });
  const loops = made.filter(({ entry }) => entry === BigInt(source.address("loop")));
  assert.equal(loops.length, 5);
  assert.equal(machine.compilerStatistics!.dropped, 5);
  assert.doesNotMatch(loops[0]!.heading, /dropped/);
  assert.match(loops[2]!.heading, /^dropped 2 times before, since the guest wrote over it$/m);
});

test("-accel jit,stats=on prints the figures of a run on standard error", () => {
  withFile((path) => {
    writeFileSync(path, summing(32).op("addi").elf());
    const args = ["-nographic", "-accel", "jit,stats=on", "-bios", program("kernel")];
    const { code, stderr } = hartbeat(args);
    assert.equal(code, 0);
    const lines = stderr.trimEnd().split("\n");
    assert.equal(lines.length, 5);
    for (const line of lines) assert.match(line, /^hartbeat: /);
    const [, all, compiled, interpreted] =
      /executed (\d+) instructions: (\d+) compiled \([\d.]+ %\), (\d+) interpreted \([\d.]+ %\)/.exec(lines[0]!)!;
    assert.equal(Number(compiled) + Number(interpreted), Number(all));
    assert.ok(Number(all) > 1000);
    assert.match(lines[1]!, /compiled (\d+) regions of (\d+) instructions: \d+ characters of JavaScript in \d+\.\d ms/);
    assert.equal(hartbeat(args.map((arg) => arg.replace("stats=on", "stats=off"))).stderr, "");
  });
});

test("the figures are shares of all instructions", () => {
  const statistics = {
    ...noStatistics(),
    executed: 750,
    regions: 2,
    instructions: 30,
    textLength: 999,
    milliseconds: 1.26,
  };
  const lines = statisticsText(1000, { ...statistics, exits: { ...statistics.exits, trap: 3 } });
  assert.equal(lines[0], "executed 1000 instructions: 750 compiled (75.00 %), 250 interpreted (25.00 %)");
  assert.match(lines[1]!, /^compiled 2 regions of 30 instructions: 999 characters of JavaScript in 1\.3 ms /);
  assert.match(lines[3]!, /trap 3,/);
  assert.match(statisticsText(0, noStatistics())[0]!, /0 compiled \(0\.00 %\), 0 interpreted \(0\.00 %\)/);
});
