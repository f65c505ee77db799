// Every symbol of the public API has an example in its doc comment, and all of them run. (docs_test.ts checks their types.)

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { examples, programOf } from "./support/examples.ts";
import { ROOT, runProgram } from "./support/pages.ts";

const all = examples(ROOT);

test("every example in a doc comment runs", () => {
  assert.ok(all.length > 100);
  const { code, all: output } = runProgram(programOf(all));
  assert.equal(code, 0, output);
  // As Deno and Node say it.
  const passed = /(\d+) passed \|/.exec(output)?.[1] ?? /^\W*pass (\d+)$/m.exec(output)?.[1];
  assert.equal(Number(passed), all.length, output);
});

test("an example that fails makes the run fail", () => {
  const { code, all: output } = runProgram(
    programOf([{ place: "a.ts:1", text: 'throw new Error("as it should");\n' }]),
  );
  assert.notEqual(code, 0);
  assert.match(output, /as it should/);
});

test(
  "every symbol that mod.ts and testing.ts export has an example",
  { skip: "Deno" in globalThis ? false : "`deno doc` says what is exported: Deno's run of the tests asks it" },
  () => {
    const args = ["doc", "--json", ...["mod.ts", "testing.ts"].map((name) => fileURLToPath(new URL(name, ROOT)))];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8", maxBuffer: 1 << 28 });
    assert.equal(status, 0, stderr);
    const modules = Object.values<any>(JSON.parse(stdout).nodes);
    const symbols = modules.flatMap((module) => module.symbols).flatMap(({ name, declarations }) =>
      declarations.map(({ jsDoc }: any) => ({ name, examples: jsDoc?.tags?.filter(isExample).length ?? 0 }))
    );
    assert.ok(symbols.length > 100);
    const without = symbols.filter(({ examples }) => examples === 0).map(({ name }) => name);
    assert.deepEqual(without, [], "add an @example to each");
  },
);

/** Whether a tag of a doc comment is an example that is run. */
function isExample({ kind, doc }: { readonly kind: string; readonly doc?: string }): boolean {
  return kind === "example" && doc?.includes("```ts\n") === true;
}
