// The console as scripts use it: expectations, input, transcript, test results.

import assert from "node:assert/strict";
import { test } from "node:test";
import { EscapeFilter } from "../machine/console_text.ts";
import { ExpectError, OptionError } from "../machine/errors.ts";
import { Machine } from "../machine/machine.ts";
import { TapError, TapParser } from "../machine/tap.ts";
import { consoleGuest, type ConsoleStep } from "./support/console_guest.ts";

function create(steps: readonly ConsoleStep[], end?: Parameters<typeof consoleGuest>[2], accel = "jit") {
  return Machine.create({ cpu: "rv64", bios: consoleGuest(64, steps, end).elf(), memory: "4M", accel });
}

for (const accel of ["interpreter", "jit,threshold=1"]) {
  test(`expect stops the guest right after the byte that completes the match: ${accel}`, async () => {
    await using m = await create(
      [{ print: "booting\nlogin: " }, { until: "\n" }, { print: "welcome\n# " }, { until: "q" }],
      "exit",
      accel,
    );
    const login = await m.console.expect("login:");
    assert.deepEqual([login.match, login.before, login.index], ["login:", "booting\n", 0]);
    assert.equal(m.console.output, "booting\nlogin:");
    const at = m.instructions;
    m.console.sendLine("root");
    const prompt = await m.console.expect(/(wel)come\n# /);
    assert.equal(prompt.before, " ");
    assert.equal(prompt.groups[1], "wel");
    assert.ok(m.instructions > at);
    m.console.send("q");
    const stop = await m.run();
    assert.equal(stop.kind, "exit");
    assert.deepEqual(
      m.console.transcript().map(({ from, text }) => [from, text]),
      [["guest", "booting\n"], ["guest", "login:"], ["host", "root\n"], ["guest", " welcome\n"], ["guest", "# "], [
        "host",
        "q",
      ]],
    );
  });
}

test("of several patterns the one that begins first is found", async () => {
  await using m = await create([{ print: "alpha beta gamma\n" }]);
  const result = await m.console.expect(["gamma", /b\w+ /, "zeta"]);
  assert.deepEqual([result.index, result.match, result.before], [1, "beta ", "alpha "]);
  assert.equal((await m.console.expect("gamma")).before, "");
});

test("a character whose bytes come apart is found whole", async () => {
  const bytes = new TextEncoder().encode("größer € 😀 done");
  await using m = await create([{ print: bytes.subarray(0, 3) }, { sleep: 100 }, { print: bytes.subarray(3) }]);
  assert.equal((await m.console.expect(/€ 😀/u)).before, "größer ");
});

test("escape sequences are left out where that is wanted", async () => {
  const text = "\x1b[1;32mok\x1b[0m\x1b]0;title\x07 \x1b(Bpass\x1b[K\n";
  await using m = await create([{ print: text }]);
  m.console.stripEscapes = true;
  assert.equal((await m.console.expect("\n")).before, "ok pass");
  assert.equal(m.console.output, text);
  const filter = new EscapeFilter();
  assert.equal(filter.filter("a\x1b") + filter.filter("[3") + filter.filter("1mb"), "ab");
});

test("a match over several lines is found when the last ends", async () => {
  await using m = await create([{ print: "one\ntwo\nthree\n" }]);
  assert.equal((await m.console.expect(/one\ntwo/)).match, "one\ntwo");
});

test("an expectation that fails says why and where the guest is", async () => {
  const fails = async (m: Machine, act: () => Promise<unknown>, ...patterns: RegExp[]) => {
    await assert.rejects(act, (e: unknown) => {
      assert.ok(e instanceof ExpectError, String(e));
      for (const pattern of patterns) assert.match(e.message, pattern);
      return true;
    });
    return m;
  };
  await using ended = await create([{ print: "bye\n" }]);
  await fails(
    ended,
    () => ended.console.expect("hello"),
    /expected "hello", but the guest ended with exit code 0/,
    /\| bye/,
  );
  await using late = await create([{ print: "x" }, { sleep: 1e6 }, { print: "y" }]);
  await fails(late, () => late.console.expect("y", { within: 1e-4 }), /did not come within 0.0001 virtual seconds/);
  await fails(
    late,
    () => late.console.expect("y", { within: { instructions: 5000 } }),
    /within 5000 instructions/,
    /pc 0x8/,
  );
  assert.equal((await late.console.expect("y")).before, "x");
  await using bad = await create([{ print: "panicked at src\nok\n" }]);
  await fails(bad, () => bad.console.expect("ok", { failOn: [/panicked at/] }), /\/panicked at\/ came first/);
  await using reset = await create([{ print: "hi" }], "reset");
  await fails(reset, () => reset.console.expect("ok", { failOn: ["reset"] }), /the guest reset the machine/);
  await assert.rejects(() => reset.console.expect([]), OptionError);
  await assert.rejects(() => reset.console.expect("x", { failOn: ["trap-lop"] }), /trap-loop/);
});

test("two expectations at a time share a run, and a second run is refused", async () => {
  await using m = await create([{ print: "a" }, { sleep: 1e5 }, { print: "b" }]);
  const [first, second] = await Promise.all([m.console.expect("b"), m.console.expect(/a/)]);
  assert.deepEqual([first.match, second.match].sort(), ["a", "b"]);
  const running = m.run();
  await assert.rejects(() => m.run(), OptionError);
  await running;
});

test("virtual seconds bound a run, also while the guest sleeps", async () => {
  await using m = await create([{ sleep: 1e7 }]);
  const stop = await m.run({ maxVirtualSeconds: 0.001 });
  assert.deepEqual([stop.kind, stop.instructions], ["budget", 1e6]);
  assert.equal((await m.run()).kind, "exit");
});

const KTAP = [
  "[    0.100000] KTAP version 1",
  "[    0.100000] 1..2",
  "[    0.100000]     KTAP version 1",
  "[    0.100000]     # Subtest: list",
  "[    0.100000]     1..2",
  "[    0.100000]     ok 1 add",
  "[    0.100000]     # remove: EXPECTATION FAILED at lib/list.c:7",
  "[    0.100000]     not ok 2 remove",
  "[    0.100000] # list: pass:1 fail:1 skip:0 total:2",
  "[    0.100000] not ok 1 list",
  "[    0.200000] random: crng init done",
  "[    0.300000] ok 2 sort # SKIP too slow",
].join("\n") + "\n";

test("kunit reads KTAP between lines of the kernel's log", async () => {
  await using m = await create([{ print: "boot\n" + KTAP }, { sleep: 100 }], "wfi");
  const names: string[] = [];
  const context = {
    test: async (name: string, body: (t: object) => Promise<void>) => {
      names.push(name);
      await body(context).catch((e: Error) => names.push(`${name}: ${e.message}`));
    },
    skip: (reason?: string) => void names.push(`skipped: ${reason}`),
  };
  const report = await m.console.kunit(context);
  assert.equal(report.passed, false);
  assert.deepEqual(report.results.map(({ number, ok, passed, name }) => [number, ok, passed, name]), [
    [1, false, false, "list"],
    [2, true, true, "sort"],
  ]);
  assert.deepEqual(report.results[0]!.children.map(({ name, ok }) => [name, ok]), [["add", true], ["remove", false]]);
  assert.deepEqual(names.slice(0, 3), ["list", "add", "remove"]);
  assert.match(names.join("\n"), /remove: not ok 2 remove\n +# remove: EXPECTATION FAILED/);
  assert.ok(names.includes("skipped: too slow"));
});

test("tap without a context throws where a test failed, the guest bails out, or ends too early", async () => {
  await using failed = await create([{
    print: "TAP version 14\nok 1 - a\nnot ok 2 - b\n  ---\n  got: 3\n  ...\n1..2\n",
  }]);
  await assert.rejects(() => failed.console.tap(), (e: unknown) => {
    assert.ok(e instanceof TapError);
    assert.match(e.message, /1 of 2 failed\nnot ok 2 b/);
    return true;
  });
  await using bails = await create([{ print: "1..3\nok 1\nBail out! no memory\n" }]);
  await assert.rejects(() => bails.console.tap(), /bailed out: no memory/);
  await using early = await create([{ print: "1..3\nok 1\n" }]);
  await assert.rejects(() => early.console.tap(), ExpectError);
  await using unplanned = await create([{ print: "ok 1 - only\n" }]);
  assert.equal((await unplanned.console.tap()).results.length, 1);
});

test("a parser of TAP knows TODO, escapes of # and trailing plans", () => {
  const parser = new TapParser();
  for (const line of ["TAP version 13", "not ok - later # TODO write it", "ok 2 - issue \\# 5", "1..2"]) {
    parser.line(line);
  }
  assert.ok(parser.complete && parser.report.passed);
  assert.deepEqual(parser.report.results.map(({ number, name }) => [number, name]), [[1, "later"], [2, "issue \\# 5"]]);
});
