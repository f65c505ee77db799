// The interpreter's loop is one function, and so is a compiled region. V8 optimises no function whose bytecode is longer than
// a limit: beyond it the code is fifteen times slower, and nothing says so.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

/** V8's `max_optimized_bytecode_size`, in bytes. */
const LIMIT = 60 * 1024;
/** What the loop must at least have if the figures that are read are its own. */
const PLAUSIBLE = 2000;

/** Bytecode lengths of the functions that a name (with `*` at its end for any rest) fits, as they are compiled. */
function bytecodeLengths(name: string): number[] {
  const flags = ["--print-bytecode", `--print-bytecode-filter=${name}`];
  const program = fileURLToPath(new URL("support/executed_machines.ts", import.meta.url));
  const options = "Deno" in globalThis ? ["run", "-A", "--no-check", `--v8-flags=${flags.join(",")}`] : flags;
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-")), path = join(folder, "bytecode.txt");
  const file = openSync(path, "w");
  try {
    const { status, stderr } = spawnSync(process.execPath, [...options, program], {
      stdio: ["ignore", file, "pipe"],
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    return [...readFileSync(path, "latin1").matchAll(/^Bytecode length: (\d+)$/gm)].map((line) => Number(line[1]));
  } finally {
    closeSync(file);
    rmSync(folder, { recursive: true });
  }
}

test("the interpreter's loop is short enough to be optimised, on RV32 and RV64", (t) => {
  const lengths = bytecodeLengths("interpret");
  // V8 may have thrown a loop's bytecode away and made it again.
  assert.ok(lengths.length >= 6, "one that counts jumps, one that does not, and one for virtual addresses");
  t.diagnostic(`bytecode of the loops: ${lengths.join(", ")} of at most ${LIMIT} bytes`);
  for (const length of lengths) {
    assert.ok(length > PLAUSIBLE && length < LIMIT, `${length} bytes of bytecode; ${LIMIT} is V8's limit`);
  }
});

test("the longest regions are short enough to be optimised, on RV32 and RV64", (t) => {
  const lengths = bytecodeLengths("region_*");
  assert.ok(lengths.length > 4, `${lengths.length} regions`);
  const longest = Math.max(...lengths);
  t.diagnostic(`bytecode of the longest of ${lengths.length} regions: ${longest} of at most ${LIMIT} bytes`);
  assert.ok(longest > PLAUSIBLE / 4 && longest < LIMIT, `${longest} bytes of bytecode; ${LIMIT} is V8's limit`);
});
