// README.md says what is so: its programs run, its help is the command's, its options are accepted.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { helpText } from "../cli/help.ts";
import { hartbeat } from "./support/command.ts";

const ROOT = new URL("../", import.meta.url);
const readme = readFileSync(new URL("README.md", ROOT), "utf8");

/** The code blocks in a language. */
function blocks(language: string): string[] {
  return [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter((match) => match[1] === language).map((match) =>
    match[2]!
  );
}

/** Runs a program as if it had been saved at the top of the checkout. */
function runHere(
  text: string,
  name: string,
  how: { deno: string[]; node: string[] },
): { code: number | null; all: string } {
  const file = fileURLToPath(new URL(name, ROOT));
  writeFileSync(file, text);
  try {
    const args = "Deno" in globalThis ? how.deno : how.node;
    // A test run inside of a test run must not report to the outer one.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const run = spawnSync(process.execPath, [...args, file], { cwd: fileURLToPath(ROOT), encoding: "utf8", env });
    return { code: run.status, all: run.stdout + run.stderr };
  } finally {
    rmSync(file);
  }
}

test("the boot test of the README passes as pasted", () => {
  const text = blocks("ts")[0]!, how = { deno: ["test", "-A"], node: ["--test"] };
  assert.ok(text.split("\n").length <= 13);
  const { code, all } = runHere(text, `boot_${process.pid}_test.ts`, how);
  assert.equal(code, 0, all);
  const unchecked = { ...how, deno: [...how.deno, "--no-check"] };
  const broken = runHere(text.replace("code === 7", "code === 8"), `boot_${process.pid}_test.ts`, unchecked);
  assert.notEqual(broken.code, 0);
});

test("the example of the README runs as pasted", () => {
  const { code, all } = runHere(blocks("ts")[1]!, `example_${process.pid}.ts`, { deno: ["run", "-A"], node: [] });
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
