// The pages under docs/ say what is so: their programs run and print what the page shows, their command lines are accepted, their
// links lead somewhere.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { Machine } from "../mod.ts";
import { parseCommandLine } from "../cli/options.ts";
import { examples, programOf } from "./support/examples.ts";
import { type Block, blocks, checkTypes, docsPages, page, ROOT, runProgram, SavedProgram } from "./support/pages.ts";

/** The programs of a page. */
function programs(name: string): Block[] {
  return blocks(page(name)).filter(({ language }) => language === "ts");
}

test("the programs of README.md and docs/ and the examples in doc comments have no type errors", () => {
  const texts = ["README.md", ...docsPages()].flatMap(programs).map(({ text }) => text);
  const saved = [...texts, programOf(examples(ROOT))].map((text) => new SavedProgram(text));
  try {
    const { code, all } = checkTypes(saved);
    assert.equal(code, 0, all);
  } finally {
    for (const program of saved) program[Symbol.dispose]();
  }
});

test("what the pages call on a machine is there", async () => {
  const machine = await Machine.create();
  for (const name of docsPages()) {
    for (const [path, ...names] of page(name).matchAll(/\bmachine\.(\w+)(?:\.(\w+))?(?=[(.\s`=?])/g)) {
      let at: any = machine;
      for (const property of names.filter((one) => one !== undefined)) {
        assert.ok(property in Object(at), `${name}: ${path}`);
        at = at[property];
      }
    }
  }
});

for (const name of docsPages()) {
  const text = page(name), all = blocks(text);

  for (const [index, block] of all.entries()) {
    if (block.language !== "ts") continue;
    const first = block.text.split("\n").find((line) => line !== "" && !line.startsWith("import")) ?? "";
    test(`${name}: the program with \`${first}\` runs`, () => {
      const { code, all: output } = runProgram(block.text);
      assert.equal(code, 0, output);
      // A text block that follows shows what it prints.
      const next = all[index + 1];
      if (next?.language === "text") assert.ok(output.includes(next.text), `${output}\nis not\n${next.text}`);
    });
  }

  test(`${name}: its command lines are accepted, its links lead to pages`, () => {
    const lines = all.flatMap(({ language, text }) =>
      ["sh", "yaml", "toml"].includes(language) ? text.split("\n") : []
    );
    for (const line of lines) {
      const match = /\b(?:npx hartbeat|cli\.ts|^hartbeat) (-[^#"]*)/.exec(line);
      // A runner's line ends where Cargo puts the program.
      if (match !== null) parseCommandLine(match[1]!.trim().replace(/-bios$/, "-bios kernel.elf").split(/ +/));
    }
    for (const [, link] of text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      assert.ok(existsSync(new URL(link!, new URL(name, ROOT))), `${name}: ${link}`);
    }
  });
}
