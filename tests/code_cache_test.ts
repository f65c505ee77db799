// The cache of compiled regions stays as small as it is told to, and what it drops is garbage: a run of any length needs no
// more memory than a short one.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { CacheUse } from "./support/cache_use.ts";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { RAM_SIZE } from "./support/guest.ts";
import { compareRuns, Subject } from "./support/lockstep_guest.ts";

/** Runs a scenario of support/cache_use.ts in a process of its own, with V8's `gc` at hand. */
function use(scenario: string, target: string): CacheUse {
  const program = fileURLToPath(new URL("support/cache_use.ts", import.meta.url));
  const options = "Deno" in globalThis ? ["run", "-A", "--no-check", "--v8-flags=--expose-gc"] : ["--expose-gc"];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...options, program, scenario, target], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

/** Growth of the heap from the first half of the phases to the second: of their least values, as V8 has its own rhythm. */
function growth({ phases }: CacheUse): { readonly bytes: number; readonly regions: number } {
  const half = phases.length / 2, heaps = phases.map(({ heap }) => heap);
  const bytes = Math.min(...heaps.slice(half)) - Math.min(...heaps.slice(0, half));
  return { bytes, regions: phases.at(-1)!.regions - phases[half - 1]!.regions };
}

for (const target of ["javascript", "webassembly"]) {
  const emptied =
    `${target}: a cache that is too small for the guest is emptied hundreds of times and leaves nothing behind`;
  test(emptied, (t) => {
    const result = use("full", target), regions = result.phases.at(-1)!.regions;
    t.diagnostic(JSON.stringify(result));
    assert.ok(result.flushes > 100 && regions > 5000, `${regions} regions, ${result.flushes} flushes`);
    // V8 still learns in the second half: up to 65 bytes a region were seen. A region that stays costs thousands.
    const grown = growth(result);
    assert.ok(grown.bytes < 150 * grown.regions, `${grown.bytes} bytes for ${grown.regions} regions`);
    for (const { functions } of result.phases) assert.ok(functions <= 2, `${functions} functions of dropped regions`);
  });

  test(`${target}: regions whose code is overwritten leave nothing behind`, (t) => {
    const result = use("overwritten", target), { regions } = result.phases.at(-1)!;
    t.diagnostic(JSON.stringify(result));
    // Few after a while: what is overwritten again and again is left to the interpreter.
    assert.ok(regions > 1000 && result.dropped === regions, `${result.dropped} of ${regions} regions dropped`);
    assert.equal(result.phases.at(-1)!.functions, 0);
    // Some are remembered for the history, of a dozen KB each; all would be fifty MB.
    assert.ok(growth(result).bytes < 2_000_000, `${growth(result).bytes} bytes`);
  });
}

test("a guest that jumps to half a million different addresses leaves nothing behind for most of them", (t) => {
  const { phases } = use("addresses", "automatic"), heaps = phases.map(({ heap }) => heap), half = heaps.length / 2;
  t.diagnostic(JSON.stringify(phases));
  // It grows to a bound, then starts over.
  const low = Math.min(...heaps.slice(half)), high = Math.max(...heaps.slice(0, half));
  assert.ok(low < high, `heap ${heaps.join(", ")}`);
});

test("a guest larger than the cache runs as it does interpreted", async () => {
  const p = new Program(32), functions = 128;
  p.li("s1", functions * 4 - 4).la("s2", "table").label("loop").op("addi", { rd: "s0", rs1: "s0", imm: 4 });
  p.op("and", { rd: "t0", rs1: "s0", rs2: "s1" }).op("add", { rd: "t0", rs1: "t0", rs2: "s2" });
  p.op("lw", { rd: "t0", rs1: "t0" }).op("jalr", { rd: "ra", rs1: "t0" }).to("jal", "loop");
  for (let k = 0; k < functions; k++) {
    p.label(`f${k}`);
    for (let add = 0; add < 15; add++) p.op("addi", { rd: "a0", rs1: "a0", imm: k + add });
    p.op("jalr", { rs1: "ra" });
  }
  p.align(4).label("table");
  for (let k = 0; k < functions; k++) p.word(p.address(`f${k}`));
  const subjects: Subject[] = [];
  for (const accel of ["interpreter", "jit,threshold=2,cache=1000"]) {
    subjects.push(await Subject.create({ cpu: "rv32", memory: RAM_SIZE, accel }));
  }
  const stops = { stops: [1001, 3, 30_000, 7, 50_000], address: RAM_BASE, length: 0x4000 };
  assert.equal(await compareRuns(subjects, (subject) => subject.load(p), stops), undefined);
  const { flushes, regions } = subjects[1]!.machine.compilerStatistics!;
  assert.ok(flushes > 3 && regions > 200, `${regions} regions, ${flushes} flushes`);
});
