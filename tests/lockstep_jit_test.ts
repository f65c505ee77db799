// Compiled code does what the interpreter does: random guests and real ones, stopped after equal numbers of instructions,
// are in equal states.
//
// HARTBEAT_PROGRAMS says how many random guests there are (a tenth of them run for long), HARTBEAT_SEED the seed of the first
// one. A failure names the seed of its guest, so that this repeats it alone:
//
//     HARTBEAT_SEED=1234 HARTBEAT_PROGRAMS=1 deno test -A --no-check tests/lockstep_jit_test.ts

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { guests } from "../bench/guests.ts";
import { Count, REMAINING } from "../hart/counter.ts";
import { Hart } from "../hart/hart.ts";
import { Ram } from "../hart/memory.ts";
import { INTERRUPT } from "../hart/trap.ts";
import { Executor } from "../jit/executor.ts";
import { parseAccel } from "../machine/accelerator.ts";
import { Bus } from "../machine/bus.ts";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { RAM_SIZE, WIDTHS } from "./support/guest.ts";
import { compareRuns, configurationOf, GROUP, guestOf, type Stops, Subject } from "./support/lockstep_guest.ts";

const PROGRAMS = Number(process.env.HARTBEAT_PROGRAMS ?? 2000);
const SEED = Number(process.env.HARTBEAT_SEED ?? 1);

/** Compares random guests from a seed on, each of which names itself if it fails. Gives the regions that were compiled. */
async function compareRandomGuests(first: number, count: number, hot: boolean, accels: readonly string[]) {
  let regions = 0;
  for (let seed = first; seed < first + count;) {
    const configuration = configurationOf(seed), subjects: Subject[] = [];
    for (const accel of ["interpreter", ...accels]) subjects.push(await Subject.create({ ...configuration, accel }));
    const next = Math.min(first + count, (Math.floor(seed / GROUP) + 1) * GROUP);
    for (; seed < next; seed++) {
      const { program, ...stops } = guestOf(seed, hot);
      const difference = await compareRuns(subjects, (subject) => subject.load(program), stops);
      if (difference !== undefined) {
        assert.fail(`again by HARTBEAT_SEED=${seed} HARTBEAT_PROGRAMS=1: ${configuration.cpu}, ${difference}`);
      }
    }
    for (const { machine } of subjects) regions += machine.compilerStatistics?.regions ?? 0;
  }
  return regions;
}

test(`${PROGRAMS} random guests from seed ${SEED} on run the same compiled as early as can be`, async (t) => {
  // The second cache is too small for a guest, its regions are short and return to the executor after few calls.
  const accels = [
    "jit,threshold=1,target=webassembly",
    "jit,threshold=5,cache=1000,region=15,depth=2,target=javascript,history=on",
  ];
  const regions = await compareRandomGuests(SEED, PROGRAMS, false, accels);
  t.diagnostic(`${regions} regions compiled`);
  assert.ok(regions > PROGRAMS, `only ${regions} regions compiled: nothing was tested`);
});

const LONG = Math.ceil(PROGRAMS / 10);

test(`${LONG} random guests from seed ${SEED} on run the same compiled when they are hot`, async (t) => {
  const regions = await compareRandomGuests(SEED, LONG, true, [
    "jit,threshold=500,target=webassembly,history=on",
    "jit,threshold=500,target=javascript",
  ]);
  t.diagnostic(`${regions} regions compiled`);
  assert.ok(regions > LONG / 2, `only ${regions} regions compiled: nothing was tested`);
});

/** Stops of a real guest: odd ones, and long ways in between. */
const STOPS: Stops = {
  stops: [1, 999, 1, 99_999, 3, 7, 300_001, 11, 1_000_003, 2_000_000, 13, 4_000_000, 1, 200_000_000],
  address: RAM_BASE,
  length: 16 << 20,
};

async function compareRealGuest(path: string, stops: Stops, accel: string, input = "") {
  const options = { bios: path, memory: STOPS.length };
  const subjects = [
    await Subject.create({ ...options, accel: "interpreter" }),
    await Subject.create({ ...options, accel }),
  ];
  assert.equal(await compareRuns(subjects, ({ machine }) => machine.console.send(input), stops), undefined);
  return subjects[1]!.machine;
}

for (const { build, program, path } of guests(1).filter(({ build }) => build !== "virt64")) {
  test(`${build}-${program} computes the same in as many instructions compiled`, async () => {
    const machine = await compareRealGuest(path, STOPS, "jit");
    assert.ok(machine.compilerStatistics!.regions > 0);
  });
}

const PROGRAM_FOLDER = fileURLToPath(new URL("programs/", import.meta.url));

for (const name of readdirSync(PROGRAM_FOLDER).filter((file) => file.endsWith(".elf"))) {
  test(`${name} runs the same compiled as early as can be`, async () => {
    // Not all of them end.
    const stops = { ...STOPS, stops: STOPS.stops.slice(0, 7) };
    const machine = await compareRealGuest(PROGRAM_FOLDER + name, stops, "jit,threshold=1", "hello, world\nq");
    assert.ok(machine.compilerStatistics!.regions > 0);
  });
}

for (const xlen of WIDTHS) {
  test(`RV${xlen} code at the end of the first 4 GiB leaves it the same compiled, by any instruction`, async () => {
    const end = 2 ** 32, base = end - 4096;
    const lasts: Record<string, (p: Program) => void> = {
      "runs on": (p) => p.op("addi", { rd: "a3", rs1: "a3", imm: 3 }),
      "jumps": (p) => p.op("jal", { imm: 64 }),
      "branches": (p) => p.op("beq", { imm: 64 }),
      "calls": (p) => p.to("jal", "function", { rd: "ra" }),
      "calls by register": (p) => p.op("jalr", { rd: "ra", rs1: "s1" }),
      "stores over the end of a word": (p) => p.op("sw", { rs1: "sp", rs2: "a3", imm: 1 }),
      "reads a CSR": (p) => p.csr("csrrs", "mcycle", "a3", 0),
    };
    const subjects: Subject[] = [];
    for (const accel of ["interpreter", "jit,threshold=1"]) {
      subjects.push(await Subject.create({ cpu: `rv${xlen}`, memory: 2 ** 31, accel }));
    }
    for (const [name, last] of Object.entries(lasts)) {
      const p = new Program(xlen, base);
      p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").la("s1", "function").la("sp", "data");
      p.label("start").op("addi", { rd: "s0", rs1: "s0", imm: 1 }).to("jal", "tail");
      p.align(4).label("handler").csr("csrrs", "mepc", "s2", 0).la("t0", "start").csr("csrrw", "mepc", 0, "t0").op(
        "mret",
      );
      p.label("function").op("addi", { rd: "s4", rs1: "ra" }).op("jalr", { rs1: "ra" });
      p.align(8).label("data").data(0, 16);
      p.org(end - 16).label("tail");
      while (p.here < end - 4) p.op("addi", { rd: "a0", rs1: "a0", imm: 1 });
      last(p);
      const prepare = ({ machine }: Subject) => {
        machine.memory.write(base, p.build());
        machine.hart.pc = base;
      };
      const stops = { stops: [101, 1, 7, 1000, 3000], address: base, length: 4096 };
      assert.equal(await compareRuns(subjects, prepare, stops), undefined, name);
      assert.equal(BigInt(subjects[1]!.machine.hart.readCsr("mcause")), 1n, "it left");
    }
    assert.ok(subjects[1]!.machine.compilerStatistics!.regions > 0);
  });

  test(`an RV${xlen} device read that raises an interrupt ends in its register before the interrupt comes`, () => {
    const runs = [null, parseAccel("jit,threshold=1").compiler].map((compiler) => {
      const count = new Count(), bus = new Bus(new Ram(RAM_BASE, 0x1_0000), "ram");
      const hart = new Hart({ id: 0, xlen, extensions: ["I", "C", "Zicsr"], count, memory: bus });
      let reads = 0;
      bus.addDevice(0x1000_0000, {
        name: "device",
        size: 16,
        read: () => {
          // Each fifth one raises the external interrupt.
          hart.setLine(INTERRUPT.machineExternal, ++reads % 5 === 0);
          return -reads;
        },
        write: () => {},
        reset: () => {},
        snapshot: () => undefined,
        restore: () => {},
      });
      const executor = new Executor(hart, compiler);
      bus.onWatchedWrite = (offset, length) => executor.invalidate(offset, length);
      const p = new Program(xlen);
      p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("t0", 1 << 11).csr("csrrs", "mie", 0, "t0");
      p.csri("csrrsi", "mstatus", 0, 8).li("s0", 0x1000_0000).la("s1", "log").li("a0", 0).li("a1", 0).li("a5", 0);
      p.label("loop").op("lw", { rd: "a0", rs1: "s0" }).op("add", { rd: "a1", rs1: "a1", rs2: "a0" });
      p.op("c.lw", { rd: "a5", rs1: "s0" }).op("lhu", { rd: "a2", rs1: "s0", imm: 2 });
      if (xlen === 64) p.op("ld", { rd: "a3", rs1: "s0", imm: 8 });
      p.to("jal", "loop");
      // Logs where it came and what was read last, and goes on there.
      p.align(4).label("handler").csr("csrrs", "mepc", "t1", 0);
      for (const [k, register] of ["t1", "a0", "a1", "a5", "a2", "a3"].entries()) {
        p.op("sw", { rs1: "s1", rs2: register, imm: 4 * k });
      }
      p.op("addi", { rd: "s1", rs1: "s1", imm: 24 }).op("lw", { rd: "t2", rs1: "s0" }).op("mret");
      p.align(4).label("log");
      bus.writeBytes(RAM_BASE, p.build());
      hart.pc = BigInt(RAM_BASE);
      for (const instructions of [31, 57, 1, 500]) {
        count.start(instructions);
        while (count.state[REMAINING]! > 0) executor.run();
        count.end();
      }
      if (compiler !== null) assert.ok(executor.code!.statistics.regions > 0);
      const registers = Array.from({ length: 32 }, (_, n) => hart.readX(n));
      return { registers, pc: hart.pc, reads, memory: bus.readBytes(RAM_BASE, 0x1_0000) };
    });
    assert.deepEqual(runs[1], runs[0]);
  });
}

test("an address register that leaves the first 4 GiB step by step is known to have done so", async () => {
  // Accesses at both ends of what a 12-bit offset reaches; what follows from them must not be believed for too long.
  for (const step of [-2047, -2048, -1024, 2047]) {
    for (const offset of [2047, -2048, 0]) {
      const p = new Program(64);
      p.li("s0", 40).li("s1", 0x1000 - offset).label("loop").op("addi", { rd: "a0", rs1: "s1" }).op("lw", {
        rd: "a1",
        rs1: "a0",
        imm: offset,
      });
      for (let k = 0; k < 4; k++) {
        p.op("addi", { rd: "a0", rs1: "a0", imm: step }).op("add", { rd: "a2", rs1: "a2", rs2: "a0" });
      }
      p.op("srai", { rd: "a3", rs1: "a0", imm: 32 }).op("sltu", { rd: "a4", rs1: "a0", rs2: "s0" });
      p.op("addi", { rd: "s0", rs1: "s0", imm: -1 }).to("bne", "loop", { rs1: "s0" }).label("end").to("jal", "end");
      const subjects: Subject[] = [], options = { cpu: "rv64", memory: RAM_SIZE };
      for (const accel of ["interpreter", "jit,threshold=5"]) {
        subjects.push(await Subject.create({ ...options, accel }));
      }
      const stops = { stops: [200, 400, 1000], address: RAM_BASE, length: 4096 };
      assert.equal(await compareRuns(subjects, (subject) => subject.load(p), stops), undefined);
      assert.ok(subjects[1]!.machine.compilerStatistics!.regions > 0);
    }
  }
});

test("forty branches to the next instruction are compiled to code of some length", async () => {
  const p = new Program(32);
  p.li("a0", 1).li("s0", 100).label("loop");
  for (let k = 0; k < 40; k++) p.to("beq", p.here + 4, { rs1: "a0", rs2: 0 });
  p.op("addi", { rd: "s0", rs1: "s0", imm: -1 }).to("bne", "loop", { rs1: "s0" }).label("end").to("jal", "end");
  const subject = await Subject.create({ cpu: "rv32", memory: RAM_SIZE, accel: "jit,threshold=5" });
  subject.load(p);
  await subject.machine.run({ maxInstructions: 5000 });
  const { regions, textLength } = subject.machine.compilerStatistics!;
  assert.ok(regions > 0 && textLength < 20_000, `${textLength} characters`);
});

for (const xlen of WIDTHS) {
  test(`RV${xlen}: a function that changes the floating-point state changes what its compiled caller computes next`, async () => {
    const changes: Record<string, (p: Program) => void> = {
      "rounding mode": (p) => p.op("andi", { rd: "t0", rs1: "s0", imm: 3 }).csr("csrrw", "frm", 0, "t0"),
      "flags": (p) => p.op("andi", { rd: "t0", rs1: "s0", imm: 3 }).csr("csrrw", "fflags", 0, "t0"),
      // Off, initial, clean or dirty.
      "state": (p) =>
        p.li("t1", 0x6000).csr("csrrc", "mstatus", 0, "t1").op("slli", { rd: "t0", rs1: "s0", imm: 13 })
          .op("and", { rd: "t0", rs1: "t0", rs2: "t1" }).csr("csrrs", "mstatus", 0, "t0"),
      "registers": (p) => p.op("fcvt.d.w", { rd: 1, rs1: "s0" }),
    };
    for (const [name, change] of Object.entries(changes)) {
      const p = new Program(xlen);
      p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("t0", 0x6000).csr("csrrs", "mstatus", 0, "t0");
      p.la("s1", "log").li("t0", 10).op("fcvt.d.w", { rd: 1, rs1: "t0" }).li("t0", 7).op("fcvt.d.w", {
        rd: 2,
        rs1: "t0",
      });
      p.li("s0", 300).label("loop").op("fdiv.d", { rd: 3, rs1: 2, rs2: 1, imm: 7 }).to("jal", "function", { rd: "ra" });
      p.op("fadd.d", { rd: 2, rs1: 2, rs2: 3, imm: 7 }).op("fdiv.d", { rd: 4, rs1: 2, rs2: 1, imm: 7 });
      p.op("fsub.d", { rd: 5, rs1: 4, rs2: 1, imm: 7 }).op("feq.d", { rd: "a0", rs1: 4, rs2: 5 });
      p.op("fsd", { rs1: "s1", rs2: 4 }).op("addi", { rd: "s1", rs1: "s1", imm: 8 });
      p.op("addi", { rd: "s0", rs1: "s0", imm: -1 }).to("bne", "loop", { rs1: "s0" }).label("end").to("jal", "end");
      p.align(4).label("handler").csr("csrrs", "mepc", "t0", 0).op("addi", { rd: "t0", rs1: "t0", imm: 4 });
      p.csr("csrrw", "mepc", 0, "t0").op("mret").label("function");
      change(p);
      p.op("jalr", { rs1: "ra" }).align(8).label("log");
      const subjects: Subject[] = [], options = { cpu: `rv${xlen}`, memory: RAM_SIZE };
      for (const accel of ["interpreter", "jit,threshold=20"]) {
        subjects.push(await Subject.create({ ...options, accel }));
      }
      const stops = { stops: [501, 2, 1000, 5000], address: RAM_BASE, length: 8192 };
      assert.equal(await compareRuns(subjects, (subject) => subject.load(p), stops), undefined, name);
      assert.ok(subjects[1]!.machine.compilerStatistics!.regions > 0);
    }
  });
}
