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
import { buildBatch, firstDifference, qemuMissing, runHere, runInQemu } from "./support/lockstep.ts";

const PROGRAMS = Number(process.env.HARTBEAT_PROGRAMS ?? 2000);
const SEED = Number(process.env.HARTBEAT_SEED ?? 1);
/** Programs in one guest. */
const BATCH = 100;

for (const xlen of WIDTHS) {
  test(
    `${PROGRAMS} random RV${xlen} programs from seed ${SEED} on leave the same behind as in QEMU`,
    { skip: qemuMissing(xlen) },
    async () => {
      for (let done = 0; done < PROGRAMS; done += BATCH) {
        const batch = buildBatch(xlen, SEED + done, Math.min(BATCH, PROGRAMS - done));
        const difference = firstDifference(batch, await runHere(batch), runInQemu(batch));
        if (difference !== undefined) assert.fail(difference);
      }
    },
  );
}
