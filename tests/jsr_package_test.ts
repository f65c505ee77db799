// What JSR would be given: `deno publish` accepts it without slow types (exports whose types have to be inferred).

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../", import.meta.url);

const skip = "Deno" in globalThis ? false : "publishing to JSR is for Deno";

test("deno publish accepts the package, and gives JSR sources and pages only", { skip }, () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    { cwd: fileURLToPath(ROOT), encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } },
  );
  const text = stdout + stderr;
  assert.equal(status, 0, text);
  const files = text.split("\n").filter((line) => line.includes(ROOT.href)).map((line) =>
    line.trim().slice(ROOT.href.length).replace(/ \(.*/, "")
  );
  for (const name of ["mod.ts", "cli.ts", "deno.json", "README.md", "LICENSE"]) assert.ok(files.includes(name), text);
  for (const name of files) assert.doesNotMatch(name, /_test\.ts$|^(tests|bench|docs|scripts|npm)\//);
});
