// GDB as an oracle for programs in QEMU: what it prints for each of some commands.

import assert from "node:assert/strict";
import { gdbOfQemu } from "./gdb.ts";
import { xlenOf } from "./debug_programs.ts";

/** What GDB prints for each command on a program in QEMU that has not executed anything yet. */
export async function printedByGdb(path: string, commands: readonly string[]): Promise<string[]> {
  const marks = commands.map((_, k) => `@@${k}`);
  const all = commands.flatMap((command, k) => [`echo \\n${marks[k]}\\n`, command]);
  const text = await gdbOfQemu(xlenOf(path), path, [...all, "echo \\n@@end\\n", "kill"]);
  assert.ok(text.includes("\n@@end\n"), `gdb: ${text.slice(-2000)}`);
  return commands.map((_, k) => {
    const start = text.indexOf(`\n${marks[k]}\n`) + marks[k]!.length + 2;
    return text.slice(start, text.indexOf("\n@@", start)).trimEnd();
  });
}
