// docs/from-qemu.md says of every option of QEMU and of every one of hartbeat's whether it is there.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { NOT_YET, OPTIONS } from "../cli/options.ts";
import { missing } from "./support/command.ts";
import { page } from "./support/pages.ts";

const text = page("docs/from-qemu.md");

/** Options in the first column of a section's table. */
function listed(heading: string): string[] {
  const section = text.slice(text.indexOf(`## ${heading}`)).slice(3).split("\n## ")[0]!;
  const rows = section.split("\n").filter((line) => line.startsWith("| `-"));
  return rows.flatMap((row) => [...row.split(" | ")[0]!.matchAll(/`-([\w-]+)`/g)].map((match) => match[1]!)).toSorted();
}

test("the page lists the options that are there, each once", () => {
  assert.deepEqual(listed("What is there"), OPTIONS.flatMap(({ names }) => names).toSorted());
});

test("the page lists QEMU's options that are not there, each once", () => {
  assert.deepEqual(listed("What is not there"), [...NOT_YET].toSorted());
  const there = new Set(OPTIONS.flatMap(({ names }) => names));
  for (const name of NOT_YET) assert.ok(!there.has(name), `-${name} is there`);
});

for (const program of ["qemu-system-riscv64", "qemu-system-riscv32"]) {
  test(`every option of ${program} is known`, { skip: missing(program, "--version", "qemu-system-misc") }, () => {
    const { stdout } = spawnSync(program, ["-help"], { encoding: "utf8" });
    const names = [...stdout.matchAll(/^-(?:-)?([\w-]+)/gm)].map((match) => match[1]!);
    assert.ok(names.length > 80);
    const known = new Set([...NOT_YET, ...OPTIONS.flatMap(({ names }) => names)]);
    assert.deepEqual(names.filter((name) => !known.has(name)), []);
  });
}
