// Random instruction streams beside QEMU: registers, traps and memory that each program leaves behind are equal.
//
// HARTBEAT_PROGRAMS says how many programs there are for each width, HARTBEAT_SEED the seed of the first one. A failure names
// the seed of its program, so that this repeats it alone:
//
//     HARTBEAT_SEED=1234 HARTBEAT_PROGRAMS=1 deno test -A --no-check tests/lockstep_qemu_test.ts

import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { WIDTHS } from "./support/guest.ts";
import { buildBatch, firstDifference, runHere } from "./support/lockstep.ts";
import { qemuMissing, runInQemu } from "./support/qemu.ts";
import { QEMU_CPU } from "./support/random_program.ts";

const PROGRAMS = Number(process.env.HARTBEAT_PROGRAMS ?? 2000);
const SEED = Number(process.env.HARTBEAT_SEED ?? 1);
/** Programs in one guest. */
const BATCH = 100;

/** What executes the programs here: compiled code from the first execution on, and the interpreter. */
const ACCELERATORS = ["interpreter", "jit,threshold=1"];

for (const xlen of WIDTHS) {
  test(
    `${PROGRAMS} random RV${xlen} programs from seed ${SEED} on leave the same behind as in QEMU`,
    { skip: qemuMissing(xlen) },
    async () => {
      for (let done = 0; done < PROGRAMS; done += BATCH) {
        const batch = buildBatch(xlen, SEED + done, Math.min(BATCH, PROGRAMS - done));
        const options = ["-m", "16M", "-cpu", `rv${xlen},${QEMU_CPU}`];
        const qemu = runInQemu(xlen, batch.elf, options).trim().split("\n"), counts = new Set<number>();
        for (const accel of ACCELERATORS) {
          const { lines, instructions } = await runHere(batch, accel);
          counts.add(instructions);
          const difference = firstDifference(batch, lines, qemu);
          if (difference !== undefined) assert.fail(`-accel ${accel}: ${difference}`);
        }
        assert.equal(counts.size, 1, `seed ${batch.seed}: ${[...counts].join(" or ")} instructions`);
      }
    },
  );
}
