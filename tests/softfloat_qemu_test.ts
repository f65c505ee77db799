// Every instruction of F, D and Zfh beside QEMU 7.2: encodings, meanings, results and flags in all rounding modes, over random and
// corner-case operands. HARTBEAT_FLOAT_RESULTS sets how many random operand sets there are for each instruction (1000000 for a long
// run), HARTBEAT_FLOAT_SEED the seed.
//
// QEMU 7.2 and the manual agree in everything that is compared here. QEMU 7.2 has no Zfa: see softfloat_test.ts.

import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { RV_D } from "../isa/rv_d.ts";
import { RV_F } from "../isa/rv_f.ts";
import { ZFH } from "../isa/zfh.ts";
import { inQemu, qemuMissing } from "./float_guest.ts";
import { compareAll } from "./float_jobs.ts";
import { WIDTHS } from "./support/guest.ts";

const RESULTS = Number(process.env.HARTBEAT_FLOAT_RESULTS ?? 600);
const SEED = Number(process.env.HARTBEAT_FLOAT_SEED ?? 1);

for (const xlen of WIDTHS) {
  for (const [name, definitions] of [["F", RV_F], ["D", RV_D], ["Zfh", ZFH]] as const) {
    const title = `RV${xlen} instructions of ${name} give the results and flags that they do in QEMU`;
    test(title, { skip: qemuMissing }, async (t) => {
      const amount = { results: RESULTS, seed: SEED, fflags: 0 };
      const { results, complaints } = await compareAll(definitions, xlen, inQemu, amount);
      t.diagnostic(`${results} results compared, seed ${SEED}`);
      assert.equal(complaints.length, 0, `seed ${SEED}\n${complaints.slice(0, 30).join("\n")}`);
    });
  }
}
