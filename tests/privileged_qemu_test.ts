// Random privileged programs beside QEMU: delegation, interrupts, returns, CSRs of all levels, protection and translation give the
// same traps, values and end.
//
// HARTBEAT_PROGRAMS says how many there are for each scheme, HARTBEAT_SEED the seed of the first guest.

import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { Machine } from "../machine/machine.ts";
import { SCHEMES } from "./support/page_tables.ts";
import { privilegedGuest } from "./support/privileged_guest.ts";
import { qemuMissing, runInQemu } from "./support/qemu.ts";

const COUNT = Number(process.env.HARTBEAT_PROGRAMS ?? 200);
const SEED = Number(process.env.HARTBEAT_SEED ?? 1);
/** Cases of one guest. */
const BATCH = 200;

for (const { name, xlen, mode } of SCHEMES) {
  test(
    `${COUNT} random privileged programs of RV${xlen} with ${name} end as in QEMU`,
    { skip: qemuMissing(xlen) },
    async () => {
      for (let done = 0; done < COUNT; done += BATCH) {
        const seed = SEED + done, { elf, cases } = privilegedGuest(xlen, mode, seed, Math.min(BATCH, COUNT - done));
        const cpu = `rv${xlen},sstc=off`;
        const theirs = runInQemu(xlen, elf, ["-m", "16M", "-cpu", `${cpu},h=off`]).trim().split("\n");
        for (const accel of ["interpreter", "jit,threshold=1"]) {
          await using machine = await Machine.create({ bios: elf, cpu, memory: "16M", accel, failures: false });
          const stop = await machine.run({ maxInstructions: 50_000_000 });
          assert.equal(stop.kind, "exit", `seed ${seed}: ${machine.console.output.slice(-200)}`);
          const ours = machine.console.output.trim().split("\n");
          const wrong = cases.flatMap(({ text }, k) =>
            ours[k] === theirs[k] ? [] : [`${text}\n  here ${ours[k]}, QEMU ${theirs[k]}`]
          );
          assert.deepEqual(wrong.slice(0, 5), [], `seed ${seed}, -accel ${accel}: ${wrong.length} differ`);
          assert.equal(ours.length, theirs.length);
        }
      }
    },
  );
}
