// Source lines and inlined functions: for every instruction of the debug programs what addr2line says.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { positionAt, scopesAt, type SourcePosition } from "../debug/dwarf/scopes.ts";
import { Machine } from "../mod.ts";
import { listing, objdumpMissing } from "./objdump.ts";
import { DEBUG_PROGRAMS, programPath, symbolFile } from "./support/debug_programs.ts";

/** What addr2line prints for addresses: function and line, from the innermost inlined function outwards. */
function addr2line(path: string, addresses: readonly bigint[]): string[][] {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-"));
  try {
    // Through files: pipes are short.
    const input = join(folder, "addresses"), output = join(folder, "lines");
    writeFileSync(input, addresses.map((address) => `0x${address.toString(16)}\n`).join(""));
    const command = `exec riscv64-unknown-elf-addr2line -f -i -a -e "$0" <"$1" >"$2"`;
    const { status, stderr } = spawnSync("sh", ["-c", command, path, input, output], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    return readFileSync(output, "utf8").split(/^0x[0-9a-f]+\n/m).slice(1).map((text) => text.trimEnd().split("\n"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const written = (position: SourcePosition | undefined) =>
  position === undefined ? "??:?" : `${position.file}:${position.line}`;

for (const name of DEBUG_PROGRAMS) {
  test(`every instruction of ${name} has the line that addr2line says, in as many inlined functions`, {
    skip: objdumpMissing(),
  }, () => {
    const path = programPath(name), file = symbolFile(name), dwarf = file.dwarf!;
    const folder = mkdtempSync(join(tmpdir(), "hartbeat-"));
    const addresses = listing(folder, ["-d", path]).map(({ address }) => address);
    rmSync(folder, { recursive: true });
    assert.ok(addresses.length > 100);
    let known = 0, unknown = 0, missed = 0, inlined = 0;
    addr2line(path, addresses).forEach((lines, k) => {
      const address = addresses[k]!, scopes = scopesAt(dwarf, address);
      // Where code of one file ends and another's begins, addr2line 2.40 knows neither.
      if (lines[1] === "??:?" && scopes.length > 0) return void unknown++;
      const expected = lines.filter((_, line) => line % 2 === 1).map((line) =>
        // It takes the name of the unit, in which rustc puts a number, for that of file 0.
        line.replace(/ \(discriminator \d+\)$/, "").replace(/\/@\/[^:]*/, "").replace(/^.*:(0|\?)$/, "??:?")
      );
      const actual = scopes.length > 0
        ? scopes.map(({ position }) => written(position))
        : [written(positionAt(dwarf, address))];
      // It misses what was inlined from another unit.
      if (expected.length === 1 && actual.length > 1 && ++missed < addresses.length / 50) actual.length = 1;
      assert.deepEqual(actual, expected, `0x${address.toString(16)}`);
      if (actual[0] !== "??:?") known++;
      if (scopes.length > 1) inlined++;
    });
    assert.ok(unknown <= 1);
    assert.ok(known > addresses.length / 3, `${known} of ${addresses.length}`);
    if (name.endsWith("_2") && !name.includes("cpp")) assert.ok(inlined > 0);
  });
}

test("a machine tells the source line of a symbol and of an address", async () => {
  await using machine = await Machine.create({ bios: programPath("debug_c_5_0") });
  const source = machine.source("leaf")!;
  const text = readFileSync(new URL("programs/debug_c.c", import.meta.url), "utf8").split("\n");
  assert.match(text[source.line - 1]!, /int leaf\(/);
  assert.deepEqual({ ...source, line: 0 }, { file: "/guest/debug_c.c", name: "debug_c.c", line: 0, column: 62 });
  assert.equal(machine.source(machine.symbols.lookup("leaf")! + 2n)?.line, source.line);
  assert.equal(machine.source(0x1000), undefined, "the boot ROM");
  assert.match(machine.source("plain_trap")!.file, /debug_start\.S$/);
  await using bare = await Machine.create({ bios: programPath("kernel") });
  assert.equal(bare.source("_start"), undefined);
});
