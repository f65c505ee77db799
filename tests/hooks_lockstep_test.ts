// Hooks that only observe change nothing: random guests with and without them are in equal states, and the hooks see the same in
// the interpreter and in compiled code.
//
// HARTBEAT_PROGRAMS says how many random guests there are, HARTBEAT_SEED the seed of the first one.

import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import type { Hook } from "../machine/hooks.ts";
import { compareRuns, configurationOf, GROUP, guestOf, Subject } from "./support/lockstep_guest.ts";

const PROGRAMS = Number(process.env.HARTBEAT_PROGRAMS ?? 64);
const SEED = Number(process.env.HARTBEAT_SEED ?? 1);

/** Hooks of every kind on a guest; gives a count of what each saw. */
function observe(
  { machine: m }: Subject,
  guest: ReturnType<typeof guestOf>,
): { seen: Record<string, number>; hooks: Hook[] } {
  const seen: Record<string, number> = {}, { program, address } = guest;
  const see = (what: string) => void (seen[what] = (seen[what] ?? 0) + 1);
  const at = (label: string) => program.address(label), first = BigInt(address);
  const hooks = [
    m.hook.instruction(at("f0"), (c) => see(`f0 at ${m.instructions} ${c.x.a0}`)),
    m.hook.instruction(at("handler"), () => see("handler")),
    m.hook.instruction({ match: ["add", "lw", "csrrs"] }, (c) => see(c.name)),
    m.hook.instruction({ match: "mret" }, () => see("mret")),
    m.hook.call(at("f1"), { enter: () => see("enter"), leave: (c) => see(`leave ${c.result}`) }),
    m.hook.csr("mepc", { read: (v) => see(`read ${v}`), write: (v) => see(`write ${v}`) }),
    m.hook.trap({}, (t) => see(`${t.cause} ${t.pc} ${t.value}`)),
    m.hook.memory({ within: { first: first + 0x2000n, last: first + 0x20ffn }, on: "write" }, (a) => {
      see(`${a.address} ${a.oldValue} ${a.value} ${a.pc}`);
    }),
    m.hook.mmio("serial", { write: ({ value }) => see(`print ${value}`) }),
  ];
  return { seen, hooks };
}

for (const reads of [false, true]) {
  const which = reads ? ", loads among them," : "";
  test(`${PROGRAMS} random guests from seed ${SEED} on do not notice hooks${which} that see the same everywhere`, async () => {
    let all = 0;
    for (let seed = SEED; seed < SEED + PROGRAMS;) {
      const configuration = configurationOf(seed), subjects: Subject[] = [];
      const accels = ["interpreter", "interpreter", "jit,threshold=1", "jit"];
      for (const accel of accels) subjects.push(await Subject.create({ ...configuration, accel }));
      const next = Math.min(SEED + PROGRAMS, (Math.floor(seed / GROUP) + 1) * GROUP);
      // A few of each group: each costs seconds on a busy machine.
      for (; seed < next; seed += 4) {
        const guest = guestOf(seed, false), observed: Record<string, number>[] = [];
        let hooks: Hook[] = [];
        const prepare = (subject: Subject) => {
          for (const hook of hooks) hook.remove();
          hooks = [];
          subject.load(guest.program);
          if (subject === subjects[0]) return;
          const watched = observe(subject, guest);
          hooks = watched.hooks;
          if (reads) {
            const seen = watched.seen, within = { first: BigInt(guest.address), last: BigInt(guest.address + 0xffff) };
            hooks.push(subject.machine.hook.memory({ within, on: "read" }, (a) => {
              const what = `load ${a.pc} ${a.address}`;
              seen[what] = (seen[what] ?? 0) + 1;
            }));
          }
          observed.push(watched.seen);
        };
        const difference = await compareRuns(subjects, prepare, guest);
        if (difference !== undefined) assert.fail(`seed ${seed}: ${configuration.cpu}, ${difference}`);
        for (const hook of hooks) hook.remove();
        // The instructions of the machine go on from guest to guest in the same way.
        const normal = observed.map((seen) => JSON.stringify(Object.entries(seen).sort()));
        assert.equal(normal[1], normal[0], `seed ${seed}`);
        assert.equal(normal[2], normal[0], `seed ${seed}`);
        all += Object.keys(observed[0]!).length;
      }
      seed = next;
    }
    assert.ok(all > PROGRAMS, `only ${all} kinds of events: nothing was tested`);
  });
}
