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
import { RAM_BASE } from "./support/assemble.ts";
import { compareRuns, configurationOf, GROUP, guestOf, type Stops, Subject } from "./support/lockstep_guest.ts";

const PROGRAMS = Number(process.env.HARTBEAT_PROGRAMS ?? 2400);
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
  const accels = ["jit,threshold=1", "jit,threshold=5,cache=1000,region=15,depth=2"];
  const regions = await compareRandomGuests(SEED, PROGRAMS, false, accels);
  t.diagnostic(`${regions} regions compiled`);
  assert.ok(regions > PROGRAMS, `only ${regions} regions compiled: nothing was tested`);
});

const LONG = Math.ceil(PROGRAMS / 10);

test(`${LONG} random guests from seed ${SEED} on run the same compiled when they are hot`, async (t) => {
  const regions = await compareRandomGuests(SEED, LONG, true, ["jit"]);
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
