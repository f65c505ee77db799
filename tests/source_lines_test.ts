// Source lines and inlined functions: for every instruction of the debug programs what addr2line says.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { lineStarts, positionAt, scopesAt, type SourcePosition } from "../debug/dwarf/scopes.ts";
import { AddressError, Machine, OptionError } from "../mod.ts";
import { listing, objdumpMissing } from "./objdump.ts";
import { gdbMissing } from "./support/gdb.ts";
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

const EXTENSIONS: Readonly<Record<string, string>> = { c: "c", cpp: "cc", rust: "rs" };

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
    assert.ok(unknown <= 2);
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

test("hooks are put at source lines: each place where code of one begins, or the functions that it is in", async () => {
  const source = readFileSync(new URL("programs/debug_c.c", import.meta.url), "utf8").split("\n");
  const lineOf = (text: string) => source.findIndex((line) => line.includes(text)) + 1;
  for (const name of ["debug_c_5_0", "debug_c_4_2"]) {
    await using m = await Machine.create({ bios: programPath(name) });
    const doubled = `debug_c.c:${lineOf("sink = doubled")}`, inLeaf = `/guest/debug_c.c:${lineOf("sink = a;")}`;
    const at: bigint[] = [], calls: string[] = [];
    using line = m.hook.line(doubled, (c) => void at.push(BigInt(c.pc)));
    using call = m.hook.call(inLeaf, { enter: (c) => void calls.push(`${c.name}(${c.signed(0)})`) });
    using count = m.count.block(inLeaf);
    await m.run({ maxInstructions: 1_000_000 });
    assert.ok(at.length > 0 && count.value > 0 && line !== call, name);
    // It is inlined, and with optimisation stands where other lines do.
    const lines = new Set(at.map((pc) => `${m.source(pc)!.name}:${m.source(pc)!.line}`));
    if (name === "debug_c_5_0") assert.deepEqual([...lines], [doubled]);
    assert.ok(new Set(calls.map((text) => text.split("(")[0])).size === 1 && calls[0]!.startsWith("leaf("), calls[0]);
    assert.throws(() => m.hook.line(`debug_c.c:${lineOf("union either {")}`, () => {}), (e: Error) => {
      return e instanceof AddressError && /no code for debug_c.c:12; the next line that has is \d+/.test(e.message);
    });
    assert.throws(() => m.hook.line("bug_c.c:60", () => {}), /no source file bug_c.c/);
    assert.throws(() => m.hook.line("leaf", () => {}), OptionError);
  }
});

for (const name of ["debug_c_4_0", "debug_c_5_2", "debug_cpp_4_2", "debug_rust_5_0"] as const) {
  test(`each line of ${name} has code where GDB says that it begins`, { skip: gdbMissing() }, () => {
    const dwarf = symbolFile(name).dwarf!, file = `${name.replace(/_\d_\d$/, "")}.${EXTENSIONS[name.split("_")[1]!]}`;
    const numbers = Array.from({ length: 130 }, (_, k) => k + 1);
    const commands = numbers.flatMap((line) => ["-ex", `info line ${file}:${line}`]);
    const { stdout } = spawnSync("gdb-multiarch", ["-nx", "-batch", ...commands, programPath(name)], {
      encoding: "utf8",
    });
    let compared = 0;
    for (const [, line, address] of stdout.matchAll(/^Line (\d+) of .* starts at address (0x[0-9a-f]+)/gm)) {
      const { addresses } = lineStarts(dwarf, file, Number(line));
      assert.ok(
        addresses.includes(BigInt(address!)),
        `${file}:${line}: GDB ${address}, here ${addresses.map((a) => a.toString(16))}`,
      );
      compared++;
    }
    assert.ok(compared > 10, stdout);
  });
}
