// Debug information of C, C++ and Rust programs, optimised and not: line tables and frame tables as readelf prints them, lines and
// variables as GDB shows them.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { positionAt } from "../debug/dwarf/scopes.ts";
import { ABI_NAMES } from "../isa/registers.ts";
import { AddressError, Machine } from "../mod.ts";
import { listing, objdumpMissing } from "./objdump.ts";
import { DEBUG_PROGRAMS, programPath, symbolFile, xlenOf } from "./support/debug_programs.ts";
import { withFolder } from "./support/folder.ts";
import { gdbMissing } from "./support/gdb.ts";
import { printedByGdb } from "./support/gdb_oracle.ts";
import { qemuMissing } from "./support/qemu.ts";

/** Lines that a program prints, into a file: pipes are short. */
function linesOf(command: string, args: readonly string[]): string[] {
  return withFolder((folder) => {
    const path = join(folder, "output"), output = openSync(path, "w");
    try {
      const { status } = spawnSync(command, args, { stdio: ["ignore", output, "ignore"] });
      assert.equal(status, 0, `${command} ${args.join(" ")}`);
    } finally {
      closeSync(output);
    }
    return readFileSync(path, "utf8").split("\n");
  });
}

function readelf(dump: string, path: string): string[] {
  return linesOf("riscv64-unknown-elf-readelf", ["-W", `--debug-dump=${dump}`, path]);
}

const baseName = (path: string) => path.replace(/^.*\//, "");
const KERNEL = "sv39_kernel", WITH_KERNEL = [...DEBUG_PROGRAMS, KERNEL];

for (const name of WITH_KERNEL) {
  test(`every row of the line tables of ${name} is what readelf decodes`, { skip: objdumpMissing() }, () => {
    const path = programPath(name), file = symbolFile(name), expected = new Map<bigint, string>();
    for (const line of readelf("decodedline", path)) {
      const row = /^(\S+) +(\d+|-) +(?:0x)?([0-9a-f]+)\b/.exec(line);
      if (row === null || row[1] === "File") continue;
      const address = BigInt(`0x${row[3]}`);
      // The last of the rows of an address holds; where a sequence ends another may begin.
      if (row[2] === "-") {
        if (!expected.has(address)) expected.set(address, "");
      } else if (file.holds(address)) expected.set(address, `${baseName(row[1]!)}:${row[2]}`);
    }
    assert.ok(expected.size > 40);
    for (const [address, wanted] of expected) {
      // Line 0: no line of the source.
      if (wanted === "" || wanted.endsWith(":0")) continue;
      const position = positionAt(file.dwarf!, address);
      const found = position === undefined ? "" : `${baseName(position.file)}:${position.line}`;
      assert.equal(found, wanted, `0x${address.toString(16)}`);
    }
  });

  test(`every row of the frame tables of ${name} is what readelf interprets`, { skip: objdumpMissing() }, () => {
    const file = symbolFile(name), rows: { section: string; address: bigint; cfa: string; saved: string }[] = [];
    let section = "", columns: string[] = [], common = true;
    for (const line of readelf("frames-interp", programPath(name))) {
      const heading = /^Contents of the (\S+) section/.exec(line);
      if (heading !== null) section = heading[1]!;
      else if (/ CIE /.test(line)) common = true;
      else if (/ FDE /.test(line)) common = false;
      else if (/^ +LOC/.test(line)) columns = line.trim().split(/ +/).slice(2);
      else if (!common && /^[0-9a-f]{8,}/.test(line)) {
        const [address, cfa, ...cells] = line.trim().split(/ +/);
        // readelf calls the return address ra, in whatever column it is: the last, if there are two.
        const saved = cells.map((cell, k) => `${columns.lastIndexOf("ra") === k ? "return" : columns[k]}=${cell}`);
        rows.push({
          ...{ section, address: BigInt(`0x${address}`), cfa: cfa! },
          saved: saved.filter((cell) => !/=(u|s)$/.test(cell)).sort().join(" "),
        });
      }
    }
    if (rows.length === 0) return assert.deepEqual(file.frames.map((table) => table.name), []);
    const signed = (value: bigint) => value < 0n ? String(value) : `+${value}`;
    const register = (number: number) => ABI_NAMES[number] ?? `r${number}`;
    const tables = new Map(file.frames.map((table) => [table.name, table]));
    for (const { section, address, cfa, saved } of rows) {
      const rules = tables.get(section)!.at(address)!;
      assert.ok("register" in rules.cfa, "the CFA is a register and a distance");
      assert.equal(`${register(rules.cfa.register)}${signed(rules.cfa.offset)}`, cfa, `0x${address.toString(16)}`);
      const found = [...rules.registers].flatMap(([number, rule]) =>
        rule.kind === "offset"
          ? [`${number === rules.returnRegister ? "return" : register(number)}=c${signed(rule.offset)}`]
          : []
      );
      assert.equal(found.sort().join(" "), saved, `0x${address.toString(16)}`);
    }
  });
}

for (const name of WITH_KERNEL.filter((each) => each.endsWith("_0") || each === KERNEL)) {
  test(`every instruction of ${name} has the line that GDB's info line says`, { skip: gdbMissing() }, () => {
    const path = programPath(name), { dwarf } = symbolFile(name);
    const addresses = withFolder((folder) => listing(folder, ["-d", path])).map(({ address }) => address);
    const commands = addresses.flatMap((address) => ["-ex", `info line *0x${address.toString(16)}`]);
    const lines = linesOf("gdb-multiarch", ["-nx", "-q", "-batch", path, ...commands]);
    let known = 0;
    addresses.forEach((address, k) => {
      const said = /^Line (\d+) of "(.*)" (?:starts at|is at) address/.exec(lines[k]!);
      if (said === null) return assert.match(lines[k]!, /^No line number information/);
      const position = positionAt(dwarf!, address);
      // rustc also marks instructions that come from no line; GDB takes the statement before them.
      if (position === undefined && name.includes("rust")) return;
      assert.deepEqual(
        [baseName(position?.file ?? ""), position?.line],
        [baseName(said[2]!), Number(said[1])],
        lines[k],
      );
      known++;
    });
    assert.ok(known > addresses.length / 3, `${known} of ${addresses.length}`);
  });
}

/** Where variables are looked at: the program, and text of the line at whose first instruction. */
const PLACES: readonly (readonly [program: string, line: string])[] = [
  ...["debug_c_4_0", "debug_c_5_0", "debug_c_4_2", "debug_c_5_2", "debug_c32_5_0", "debug_c32_4_2"].flatMap((name) =>
    [
      ["return shifted(a)", "if (depth == 0)", "return recurse(", "provoke(result);", "sink = reason + 1"].map((line) =>
        [name, line] as const
      ),
    ].flat()
  ),
  ...["debug_cpp_5_0", "debug_cpp_4_2"].flatMap((name) =>
    ["return width * height", "return a + b.sum()", "return first + second", "total += int("].map((line) =>
      [name, line] as const
    )
  ),
];

/** `name = value` of GDB's lists of variables. */
function variables(text: string): [name: string, value: string][] {
  return text.split("\n").flatMap((line) => {
    const match = /^(\w+) = (.*)$/.exec(line);
    return match === null ? [] : [[match[1]!, match[2]!] as [string, string]];
  });
}

/** Whether a variable is in the debug information, even where it has no value. */
function isKnown(machine: Machine, name: string): boolean {
  try {
    machine.variable(name);
  } catch (error) {
    return error instanceof AddressError && !/no variable/.test(error.message);
  }
  return true;
}

for (const name of [...new Set(PLACES.map(([program]) => program))]) {
  test(`${name}: arguments and local variables are those that GDB lists`, {
    skip: gdbMissing() || qemuMissing(xlenOf(programPath(name))),
  }, async () => {
    const path = programPath(name), { dwarf } = symbolFile(name), source = name.includes("cpp") ? "cc" : "c";
    const file = `debug_${name.includes("cpp") ? "cpp" : "c"}.${source}`;
    const text = readFileSync(new URL(`programs/${file}`, import.meta.url), "utf8").split("\n");
    const machine = await Machine.create({ bios: path });
    const code = withFolder((folder) => listing(folder, ["-d", path])).map(({ address }) => address);
    const places = PLACES.filter(([program]) => program === name).map(([, wanted]) => {
      const line = 1 + text.findIndex((each) => each.includes(wanted));
      assert.ok(line > 0, wanted);
      const at = code.find((address) => {
        const position = positionAt(dwarf!, address);
        // rustc also marks instructions that come from no line; GDB takes the statement before them.
        if (position === undefined && name.includes("rust")) return;
        return position?.line === line && position.name === file;
      });
      return at;
    }).filter((at) => at !== undefined);
    assert.ok(places.length > 2);
    const commands = places.flatMap((at) => [
      ...[`hbreak *0x${at.toString(16)}`, "continue", "info args", "info locals"],
      ...["delete", `info scope *0x${at.toString(16)}`, "monitor system_reset", "maintenance flush register-cache"],
    ]);
    const printed = await printedByGdb(path, commands);
    let compared = 0;
    for (const [k, at] of places.entries()) {
      const [, , args, locals, , scope] = printed.slice(8 * k, 8 * k + 8);
      machine.reset();
      assert.equal((await machine.run({ until: at, maxInstructions: 100_000 })).kind, "breakpoint");
      const seen = new Set<string>();
      for (const [variable, value] of [...variables(args!), ...variables(locals!)]) {
        // Inner blocks come first and hide outer ones.
        if (seen.has(variable)) continue;
        seen.add(variable);
        compared++;
        if (value === "<optimized out>") {
          assert.throws(() => machine.variable(variable), AddressError, `${variable} at 0x${at.toString(16)}`);
          continue;
        }
        // In its lists GDB leaves out the types of pointers.
        const bare = (text: string) => {
          const short = text.replace(/^\([^{}]*\) (?=@?0x)/, "").replace(/<long int>/g, "<long>");
          // Under Node there is no package that undoes C++'s mangling.
          return "Deno" in globalThis ? short : short.replace(/ <(_Z\w+|\w+::\w+)>/, "");
        };
        assert.equal(bare(String(machine.variable(variable))), bare(value), `${variable} at 0x${at.toString(16)}`);
      }
      for (const [, variable] of scope!.matchAll(/^Symbol (\w+) is (?!a function)/gm)) {
        assert.ok(isKnown(machine, variable!), `${variable} at 0x${at.toString(16)}`);
      }
    }
    assert.ok(compared > 4, `${compared} compared`);
  });
}
