// Address translation beside QEMU: random page tables, and what loads, stores, atomics and fetches through them do.

import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { Machine } from "../machine/machine.ts";
import { pageTableGuest, SCHEMES } from "./support/page_tables.ts";
import { qemuMissing, runInQemu } from "./support/qemu.ts";

const COUNT = Number(process.env.HARTBEAT_PROGRAMS ?? 2000);
const SEED = Number(process.env.HARTBEAT_SEED ?? 1);
/** Extensions that QEMU has only on request. */
const REQUESTED = ",svnapot=on,svpbmt=on";

/** Differences that are QEMU's. */
function isKnown(text: string, ours: string, theirs: string): boolean {
  const [cause, value] = ours.split(" "), [theirCause, theirValue] = theirs.split(" ");
  const [a, b] = [Number(`0x${cause}`), Number(`0x${theirCause}`)];
  // On one hart QEMU makes an AMO of a load and a store, so that it faults as a load.
  if (text.startsWith("amo") && (a === 15 || a === 7) && (b === 13 || b === 5)) return value === theirValue;
  // It reports where the aligned words that it loads begin.
  return text.startsWith("load") && a === 5 && b === 5 &&
    (Number(`0x${value}`) & -8) === (Number(`0x${theirValue}`) & -8);
}

for (const scheme of SCHEMES) {
  const { name, xlen } = scheme;
  for (const holes of [false, true]) {
    test(
      `${COUNT} accesses through random page tables of ${name} ${holes ? "with holes " : ""}end as in QEMU`,
      { skip: qemuMissing(xlen) },
      async () => {
        const { elf, cases } = pageTableGuest(scheme, SEED, COUNT, holes);
        const options = ["-m", "16M", "-cpu", `rv${xlen}${xlen === 64 ? REQUESTED : ""}`];
        const theirs = runInQemu(xlen, elf, options).trim().split("\n");
        for (const accel of ["interpreter", "jit,threshold=1"]) {
          await using machine = await Machine.create({ bios: elf, memory: "16M", accel });
          const stop = await machine.run({ maxInstructions: 50_000_000 });
          assert.equal(stop.kind, "exit", machine.console.output.slice(-200));
          const ours = machine.console.output.trim().split("\n");
          const same = (k: number) => ours[k] === theirs[k] || isKnown(cases[k]!, ours[k]!, theirs[k]!);
          const wrong = cases.flatMap((text, k) => same(k) ? [] : [`${k}: ${text}: ${ours[k]}, QEMU ${theirs[k]}`]);
          assert.deepEqual(wrong.slice(0, 20), [], `-accel ${accel}`);
          assert.equal(ours.length, theirs.length);
          if (!holes) assert.equal(ours.at(-1), theirs.at(-1), "tables and data at the end");
        }
      },
    );
  }
}
