// Hooks that only observe change nothing: random guests with and without them are in equal states, and the hooks see the same in
// the interpreter and in compiled code.
//
// HARTBEAT_PROGRAMS says how many random guests there are, HARTBEAT_SEED the seed of the first one.

import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import type { Hook } from "../machine/hooks.ts";
import { Machine } from "../machine/machine.ts";
import { Program } from "./support/assemble.ts";
import { WAYS } from "./support/counting.ts";
import { WIDTHS } from "./support/guest.ts";
import { SCHEMES } from "./support/page_tables.ts";
import { privilegedGuest } from "./support/privileged_guest.ts";
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

/** Observes instructions of many kinds wherever they are, and accesses to a range; gives a digest of what was seen. */
function observeAll(m: Machine, data: { first: bigint; last: bigint }): () => unknown {
  let hash = 0, calls = 0;
  const see = (...values: (bigint | number | string)[]) => {
    for (const value of values) {
      const word = typeof value === "string"
        ? value.length + value.charCodeAt(0)
        : Number(BigInt.asIntN(32, BigInt(value)));
      hash = Math.imul(hash ^ word, 0x0100_0193) | 0;
    }
    calls++;
  };
  m.hook.instruction({ match: ["add", "addi", m.xlen === 64 ? "ld" : "lh", "lw", "bne", "c.addi", "jal"] }, (c) => {
    see(c.pc, m.instructions, c.hart.id, c.x.a0, c.x.t0, c.x.s9, c.hart.privilege, c.name);
  });
  m.hook.instruction(
    { match: /^(csr|mret|sret|amo|lr|sc|sfence)/ },
    (c) => see(c.pc, m.instructions, c.x.t1, c.hart.id),
  );
  m.hook.memory({ within: data, on: "write" }, (a) => see(a.address, a.value, a.oldValue ?? -1, a.physical, a.pc));
  m.hook.memory({ within: data, on: "read", space: "physical" }, (a) => see(a.address, a.value, a.physical, a.pc));
  m.hook.csr("satp", { write: (value) => see("satp", value) });
  m.hook.trap({}, (t) => see(t.code, t.pc, t.value, t.from, t.to));
  const counters = ["add", "lw", "amoadd.w", "bne"].map((match) => m.count.instruction({ match }));
  return () => [hash, calls, counters.map(({ value }) => value)];
}

/** What is left behind: counts, registers of all harts, memory and console. */
function state(m: Machine, length: number): unknown {
  const harts = m.harts.map((hart) => [
    hart.pc,
    hart.privilege,
    ...Array.from({ length: 32 }, (_, n) => hart.x[`x${n}`]),
    ...["minstret", "mcause", "mepc", "mstatus", "mtval", "scause", "sepc", "satp"].map((name) => hart.readCsr(name)),
  ]);
  return [m.instructions, m.nanoseconds, harts, m.memory.read(0x8000_0000, length), m.console.output];
}

/** Runs a guest plainly, and with hooks in every way: equal states, and all hooks see the same. */
async function compareHooked(create: (accel: string) => Promise<Machine>, data: { first: bigint; last: bigint }) {
  let expected: unknown, seen: unknown;
  for (
    const [accel, hooked] of [
      ["interpreter", false],
      ["interpreter", true],
      ["jit,threshold=1", true],
      ["jit,threshold=20,target=javascript", true],
    ] as const
  ) {
    await using m = await create(accel);
    const observed = hooked ? observeAll(m, data) : null;
    const stop = await m.run({ maxInstructions: 5_000_000 });
    assert.equal(stop.kind, "exit", accel);
    const end = state(m, 0x4000);
    expected ??= end;
    assert.deepEqual(end, expected, `${accel}${hooked ? ", hooked" : ""}`);
    if (observed === null) continue;
    seen ??= observed();
    assert.deepEqual(observed(), seen, accel);
  }
  return seen as [number, number, number[]];
}

for (const { name, xlen, mode } of SCHEMES.filter(({ levels }) => levels < 4)) {
  test(`random privileged programs of RV${xlen} with ${name} do not notice hooks, which see the same everywhere`, async () => {
    const { elf } = privilegedGuest(xlen, mode, SEED, 10);
    const create = (accel: string) =>
      Machine.create({ bios: elf, cpu: `rv${xlen},sstc=off`, memory: "16M", accel, failures: false });
    // The data pages, where the guest maps them from.
    const [, calls] = await compareHooked(create, { first: 0x8010_0000n, last: 0x8010_7fffn });
    assert.ok(calls > 2000, `only ${calls} calls`);
  });
}

for (const xlen of WIDTHS) {
  test(`several harts of RV${xlen} do not notice hooks, which see the same everywhere`, async () => {
    const harts = 3, times = 40, way = WAYS["a spinlock that swaps"]!;
    const p = new Program(xlen).csr("csrrs", "mhartid", "s0", 0).la("s1", "counter").la("s2", "lock").li("s3", times);
    p.label("loop");
    way(p);
    p.op("addi", { rd: "s3", rs1: "s3", imm: -1 }).to("bne", "loop", { rs1: "s3", rs2: 0 });
    p.la("t0", "done").li("t1", 1).op("amoadd.w", { rd: "t1", rs1: "t0", rs2: "t1", imm: 3 }).li("t2", harts - 1);
    p.to("beq", "off", { rs1: "t1", rs2: "t2" }).csr("csrrw", "mie", 0, 0).label("sleep").op("wfi").to("jal", "sleep");
    p.label("off").li("t0", 0x10_0000).li("t1", 0x5555).op("sw", { rs1: "t0", rs2: "t1" }).label("end").to(
      "jal",
      "end",
    );
    for (const label of ["done", "counter", "lock"]) p.align(64).label(label).word(0);
    p.align(64);
    const create = (accel: string) =>
      Machine.create({ cpu: `rv${xlen}`, memory: "8M", bios: p.elf(), smp: harts, quantum: 17, accel });
    const first = BigInt(p.address("counter"));
    const [, calls] = await compareHooked(create, { first, last: first + 3n });
    assert.ok(calls > harts * times, `only ${calls} calls`);
  });
}
