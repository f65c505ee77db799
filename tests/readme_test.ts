// README.md says what is so: its programs run, its help is the command's, its options are accepted.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { helpText } from "../cli/help.ts";
import { hartbeat } from "./support/command.ts";
import { blocks as blocksOf, docsPages, page, ROOT, runProgram } from "./support/pages.ts";

/** The code blocks in a language. */
function blocks(language: string): string[] {
  return blocksOf(page("README.md")).filter((block) => block.language === language).map((block) => block.text);
}

test("the boot test of the README passes as pasted", () => {
  const text = blocks("ts")[0]!;
  assert.ok(text.split("\n").length <= 13);
  const { code, all } = runProgram(text);
  assert.equal(code, 0, all);
  const broken = runProgram(text.replace("expectExit(machine, 7)", "expectExit(machine, 8)"));
  assert.notEqual(broken.code, 0);
});

test("the hooks of the README run as pasted", () => {
  const { code, all } = runProgram(blocks("ts")[1]!);
  assert.equal(code, 0, all);
  assert.match(all, /^mtvec \d+n?$/m);
  assert.match(all, /exit after \d+ instructions/);
});

test("the example of the README runs as pasted", () => {
  const { code, all } = runProgram(blocks("ts")[2]!);
  assert.equal(code, 0, all);
  assert.match(all, /^7 true M$/m);
});

test("the help in the README is the command's", () => {
  assert.equal(blocks("text")[0], helpText());
});

test("the command lines of the README boot the kernel", () => {
  const lines = blocks("sh")[1]!.trim().split("\n");
  assert.equal(lines.length, 2);
  for (const line of lines) {
    const args = line.replace(/ +#.*/, "").replace(/^.*?cli\.ts /, "").split(" ");
    assert.equal(hartbeat(args.map((arg) => arg.endsWith(".elf") ? fileURLToPath(new URL(arg, ROOT)) : arg)).code, 7);
  }
});

test("the Cargo runner of the README ends in the option that takes the program", () => {
  const runner = /^runner = "(.*)"$/m.exec(blocks("toml")[0]!)![1]!.split(" ");
  const args = runner.slice(runner.findIndex((word) => word.endsWith("cli.ts")) + 1);
  assert.equal(hartbeat([...args, fileURLToPath(new URL("tests/programs/p0uart.elf", ROOT))]).code, 7);
});

test("the speeds in the README are those of bench/README.md", () => {
  const rows = (name: string, columns: readonly number[]) =>
    [...page(name).matchAll(/^\| (?:virt|\*\*rv).*$/gm)].map(([row]) => row.split("|").map((cell) => cell.trim()))
      .map((cells) => columns.map((column) => cells[column]!));
  const shown = rows("README.md", [1, 2, 3]);
  assert.equal(shown.length, 12);
  assert.deepEqual(
    shown,
    rows("bench/README.md", [1, 4, 5]).filter(([name]) => shown.some(([other]) => other === name)),
  );
});

test("the links of the README lead to pages, and it links every page", () => {
  const links = [...page("README.md").matchAll(/\]\(([^)#:]+)\)/g)].map((match) => match[1]!);
  for (const link of links) assert.ok(existsSync(new URL(link, ROOT)), link);
  for (const name of docsPages()) assert.ok(links.includes(name), `${name} is not linked`);
});
