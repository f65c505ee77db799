// Deno, Node and a browser run a guest in the same way: the same end, the same number of instructions, the same registers, memory
// and console. And the core asks nothing of the host, so that it can run in a browser.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { missing } from "./support/command.ts";
import { bytesOf, GUESTS, guestStates } from "./support/guest_states.ts";
import { missingNpm, nodeOfMajor } from "./support/npm.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const onDeno = "Deno" in globalThis;
const elsewhere = "Deno compares itself with the others";

test("the core imports nothing of the host and names no runtime", () => {
  const core = ["isa", "hart", "jit", "devices", "machine"].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((name) => `${folder}/${name}`)
  ).filter((name) => name.endsWith(".ts"));
  assert.ok(core.length > 80);
  for (const file of ["mod.ts", ...core]) {
    // Examples in comments import the package by its name.
    const text = readFileSync(join(ROOT, file), "utf8").replaceAll(/\/\*\*.*?\*\//gs, "");
    for (const [, from] of text.matchAll(/\b(?:from|import) ?\(?"([^"]+)"/g)) {
      assert.match(from!, /^\.\.?\//, `${file} imports ${from}`);
      assert.doesNotMatch(from!, /\/(cli|scripts|tests|bench)\//, `${file} imports ${from}`);
    }
    const host = /\b(Deno\.|process\.|require\()/.exec(text.replaceAll(/\/\/.*|\/\*.*?\*\//gs, ""));
    if (file !== "machine/files.ts") assert.equal(host, null, `${file} uses ${host?.[0]}`);
  }
});

test(
  "guests end in the same state under Deno, Node 22 and Node 24",
  { skip: onDeno ? missingNpm() : elsewhere },
  async () => {
    const states = await guestStates();
    assert.match(states, /^tests\/programs\/p0uart.elf interpreter: exit 7 after \d+, [0-9a-f]{64}$/m);
    for (const major of [22, 24]) {
      const { stdout, stderr } = spawnSync(nodeOfMajor(major), ["tests/support/guest_states.ts", "print"], {
        cwd: ROOT,
        encoding: "utf8",
      });
      assert.equal(stdout, states, stderr);
    }
  },
);

test("bundled for browsers, guests end in Chromium in the same state as here", {
  skip: onDeno ? missing("chromium", "--version", "chromium") || missingNpm() : elsewhere,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-browser-"));
  try {
    const bundle = spawnSync(
      process.execPath,
      ["bundle", "--platform", "browser", "-o", join(folder, "page.js"), "tests/support/browser_page.ts"],
      { cwd: ROOT, encoding: "utf8" },
    );
    assert.equal(bundle.status, 0, bundle.stderr);
    const script = readFileSync(join(folder, "page.js"), "utf8");
    const host = /(from|import\(|require\()\s*["'](node|npm|jsr):.*|\bDeno\..*/.exec(
      script.replaceAll(/^ *(\/\/|\*).*/gm, ""),
    );
    assert.equal(host?.[0], undefined);

    const guests = GUESTS.map(([name, accel]) => ({
      name,
      accel,
      base64: Buffer.from(bytesOf(name)).toString("base64"),
    }));
    writeFileSync(
      join(folder, "page.html"),
      `<!doctype html><meta charset="utf-8"><pre></pre><script>const GUESTS = ${JSON.stringify(guests)};</script>` +
        `<script type="module">${script.replaceAll("</script", "<\\/script")}</script>`,
    );
    const { chromium } = await import("playwright-core");
    const browser = await chromium.launch({
      executablePath: spawnSync("which", ["chromium"], { encoding: "utf8" }).stdout.trim(),
      args: ["--no-sandbox"],
      timeout: 120_000,
    });
    try {
      const page = await browser.newPage(), said: string[] = [];
      page.on("console", (message) => said.push(message.text()));
      page.on("pageerror", (error) => said.push(String(error)));
      await page.goto(`file://${join(folder, "page.html")}`);
      await page.waitForSelector("pre.done", { timeout: 120_000 });
      const byPath = "by path: -bios kernel.elf: there is no file system here; give the bytes\n";
      assert.equal(await page.textContent("pre"), await guestStates() + byPath);
      assert.match(said.join("\n"), /^guest says: Hello from p0 on RISC-V\n/);
    } finally {
      await browser.close();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
