// Floating point on the machine, interpreted and compiled: every instruction's results and flags, mstatus.FS and fcsr, NaN boxing,
// RV32, random programs. HARTBEAT_FLOAT_RESULTS and HARTBEAT_FLOAT_SEED as in softfloat_qemu_test.ts.

import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { RV_D } from "../isa/rv_d.ts";
import { RV_F } from "../isa/rv_f.ts";
import { ZFA } from "../isa/zfa.ts";
import { ZFH } from "../isa/zfh.ts";
import { here } from "./float_guest.ts";
import { compareAll } from "./float_jobs.ts";
import { WIDTHS } from "./support/guest.ts";

const RESULTS = Number(process.env.HARTBEAT_FLOAT_RESULTS ?? 100);
const SEED = Number(process.env.HARTBEAT_FLOAT_SEED ?? 1);
const ACCELERATORS = ["interpreter", "jit,threshold=1"];

for (const xlen of WIDTHS) {
  for (const accel of ACCELERATORS) {
    test(`RV${xlen} floating-point instructions do what their meanings say, -accel ${accel}`, async (t) => {
      // With NX raised before, arithmetic is done on the host's numbers wherever that is right.
      for (const fflags of [0, 1]) {
        const amount = { results: RESULTS, seed: SEED, fflags };
        const { results, complaints } = await compareAll([...RV_F, ...RV_D, ...ZFH, ...ZFA], xlen, here(accel), amount);
        t.diagnostic(`${results} results compared, seed ${SEED}`);
        assert.equal(complaints.length, 0, `seed ${SEED}\n${complaints.slice(0, 30).join("\n")}`);
      }
    });
  }
}
