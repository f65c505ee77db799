// Names of C++ and Rust beside what c++filt makes of them.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { demangleRust } from "../machine/demangle_rust.ts";
import { loadCppDemangler } from "../machine/demangle_cpp.ts";
import { missing, program } from "./support/command.ts";
import { symbolFile } from "./support/debug_programs.ts";
import { isCppName } from "../machine/symbols.ts";

const skip = missing("c++filt", "--version", "binutils");

/** What c++filt prints for names. */
function filtered(names: readonly string[], options: readonly string[]): string[] {
  const { status, stdout } = spawnSync("c++filt", options, { input: `${names.join("\n")}\n`, encoding: "utf8" });
  assert.equal(status, 0);
  return stdout.trimEnd().split("\n");
}

/** Names of a file of tests/programs, one a line. */
function listed(name: string): string[] {
  return readFileSync(program("x").replace(/x\.elf$/, name), "utf8").trim().split("\n");
}

const symbols = (name: string) => symbolFile(name).symbols().map((symbol) => symbol.name);

test(
  "names of Rust in both ways of mangling are those of c++filt, without hashes and types of constants",
  { skip },
  () => {
    // Of rustc 1.95: from its library, and from a program with traits, closures, constants and functions as parameters.
    const names = [...listed("names_rust.txt"), ...["debug_rust_5_0", "debug_rust_4_2", "p0uart"].flatMap(symbols)];
    const rust = names.filter((name) => demangleRust(name) !== undefined);
    assert.ok(rust.filter((name) => name.startsWith("_R")).length > 80);
    assert.ok(rust.filter((name) => name.startsWith("_ZN")).length > 50);
    const theirs = filtered(rust, ["-s", "rust"]).map((name) =>
      name.replace(/::h[0-9a-f]{16}$/, "").replace(/\[[0-9a-f]+\]/g, "").replace(
        /: (usize|bool|char|[iu]\d+)(?=[\],>])/g,
        "",
      )
    );
    assert.deepEqual(rust.map(demangleRust), theirs);
  },
);

// Node runs the tests of the repository without packages.
const noPackage = "Deno" in globalThis ? false : "gecko-profiler-demangle is not installed here";

test("names of C++ are those of c++filt, but for the results of templates", { skip: skip || noPackage }, async () => {
  const demangle = (await loadCppDemangler())!;
  const names = [...listed("names_cpp.txt"), ...["debug_cpp_5_0", "debug_cpp_4_2"].flatMap(symbols).filter(isCppName)];
  assert.ok(names.length > 80);
  const theirs = filtered(names, ["-i"]);
  for (const [k, name] of names.entries()) {
    const mine = demangle(name).replaceAll("std::nullptr_t", "decltype(nullptr)"), wanted = theirs[k]!;
    assert.notEqual(mine, name);
    assert.ok(mine === wanted || (mine.includes("<") && wanted.endsWith(` ${mine}`)), `${name}: ${mine} | ${wanted}`);
  }
});
