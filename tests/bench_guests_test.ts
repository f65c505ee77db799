// The guests of bench/: they compute what they do in QEMU in as many instructions, and their ELFs are those of their sources.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { exitGuest, GUESTS, guests, notRunnable, parseReport } from "../bench/guests.ts";
import { Machine } from "../mod.ts";

/** Why a tool is not there in the version that is needed ("": any), or false if it is. In CI it has to be. */
function missing(tool: string, version: string, install: string): string | false {
  const { stdout } = spawnSync(tool, ["--version"], { encoding: "utf8" });
  if (stdout?.includes(` ${version}`)) return false;
  const why = `${`${tool} ${version}`.trim()} is needed: apt-get install ${install}`;
  if (process.env.CI) throw new Error(why);
  return why;
}

const noQemu = missing("qemu-system-riscv64", "", "qemu-system-misc");
// Another compiler makes other instructions.
const noCompiler = missing("riscv64-unknown-elf-gcc", "12.2.0", "gcc-riscv64-unknown-elf");

/** What a guest prints in QEMU, where an instruction counts one. */
function inQemu(xlen: 32 | 64, path: string): string {
  const options = "-machine virt -nographic -icount shift=0 -bios".split(" ");
  const run = spawnSync(`qemu-system-riscv${xlen}`, [...options, path], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 120_000,
  });
  assert.equal(run.status, 0, run.stderr);
  return run.stdout;
}

for (const guest of guests(1)) {
  const skip = noQemu || notRunnable(guest);
  test(`${guest.build}-${guest.program} computes what it does in QEMU in as many instructions`, { skip }, async () => {
    const expected = parseReport(inQemu(guest.xlen, guest.path));
    await using machine = await Machine.create({ bios: guest.path, accel: "interpreter" });
    const stop = await machine.run({ maxInstructions: 2 * expected.instructions });
    assert.equal(stop.kind, "exit");
    assert.deepEqual(parseReport(machine.console.output), expected);
  });
}

for (const xlen of [32, 64] as const) {
  test(`the guest whose cost is subtracted ends after four instructions on RV${xlen}`, async () => {
    await using machine = await Machine.create({ bios: exitGuest(xlen), accel: "interpreter" });
    await machine.run({ until: "_start", maxInstructions: 100 });
    const before = machine.instructions;
    const stop = await machine.run({ maxInstructions: 100 });
    assert.equal(stop.kind, "exit");
    // LUI, LUI, ADDI, SW: `li t1, 0x5555` is two instructions.
    assert.equal(stop.instructions - before, 4);
  });
}

test("the ELFs are those that the compiler makes of the sources", { skip: noCompiler }, () => {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-"));
  try {
    const script = fileURLToPath(new URL("../bench/build_guests.sh", import.meta.url));
    const { status, stderr } = spawnSync(script, [folder], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    const built = readdirSync(folder);
    assert.equal(built.length, 17);
    const stale = built.filter((name) => !readFileSync(join(folder, name)).equals(readFileSync(GUESTS + name)));
    assert.deepEqual(stale, [], "run bench/build_guests.sh");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("output that is not a guest's is no report", () => {
  const good = "INSTR 00000000022aa54c\nRESULT 000cb228\n";
  assert.deepEqual(parseReport(good), { instructions: 0x22aa54c, result: "000cb228" });
  for (const bad of ["", good.slice(0, -1), `x${good}`, good + "x", good.replace("RESULT", "Result")]) {
    assert.throws(() => parseReport(bad), /not what a guest of bench\/guests prints/);
  }
});
