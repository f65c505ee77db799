// The npm package as its users have it: built, packed, installed from the tarball into an empty project, and used there from
// JavaScript, from TypeScript, as a command and in two test runners. Needs npm and the registry for the compiler and Vitest.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { build, execute, install, testOutput, TYPESCRIPT } from "../scripts/build_npm_tsc.ts";
import { NAME, packageJson, packageReadme, ROOT, TESTS } from "../scripts/npm_package.ts";
import { program } from "./support/command.ts";
import { missingNpm, nodeOfMajor } from "./support/npm.ts";

const VITEST = "vitest@5.1.1";

const skip = "Deno" in globalThis ? missingNpm() : "the runtime of the tests makes no difference: Deno's do it";

const folder = mkdtempSync(join(realpathSync(tmpdir()), "hartbeat-package-"));
after(() => rmSync(folder, { recursive: true }));

const output = join(folder, "npm"), project = join(folder, "project");
const KERNEL = program("p0uart");
const VERSION = packageJson().version as string;

const TARBALL = join(folder, `${NAME}-${VERSION}.tgz`);

let built = false;

/** Builds the package and installs it into the project, once. */
function installed(): void {
  if (built) return;
  build(output);
  execute(["npm", "pack", "--pack-destination", folder], output);
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }\n');
  install([TARBALL], project);
  built = true;
}

/** Writes a file of the project. */
function write(name: string, text: string): void {
  writeFileSync(join(project, name), text);
}

/** All files below a folder, as paths from there. */
function files(of: string): string[] {
  return readdirSync(of, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) =>
    join(entry.parentPath, entry.name).slice(of.length + 1)
  );
}

const BOOT_TEST = `
import assert from "node:assert/strict";
import { test } from "RUNNER";
import { Machine } from "hartbeat";

test("the kernel prints its panic and ends with 7", async () => {
  const machine = await Machine.create({ machine: "virt", bios: ${JSON.stringify(KERNEL)} });
  const stop = await machine.run({ maxInstructions: 1_000_000 });
  assert.match(machine.console.output, /PANIC: .*\\nindex out of bounds/);
  assert.ok(stop.kind === "exit" && stop.code === 7, stop.kind);
});
`;

test(
  "the package holds modules with types and maps, the command, README and licence, and nothing else",
  { skip },
  () => {
    installed();
    const there = files(join(project, "node_modules", NAME));
    for (
      const name of [
        "package.json",
        "README.md",
        "LICENSE",
        "docs/errors.md",
        "esm/mod.js",
        "esm/mod.d.ts",
        "esm/cli.js",
      ]
    ) {
      assert.ok(there.includes(name), name);
    }
    for (const name of there.filter((name) => name.startsWith("esm/"))) {
      assert.match(name, /\.(js|d\.ts|js\.map)$/);
      assert.doesNotMatch(name, /^esm\/(tests|scripts|bench)\//);
      // What is in the package says nothing of the machine that built it.
      const text = readFileSync(join(project, "node_modules", NAME, name), "utf8");
      assert.ok(!text.includes(ROOT) && !text.includes(folder), name);
    }
    const manifest = JSON.parse(readFileSync(join(project, "node_modules", NAME, "package.json"), "utf8"));
    assert.deepEqual(manifest, JSON.parse(JSON.stringify(packageJson())));
    for (
      const { types, default: module } of Object.values<any>(manifest.exports).filter((e) => typeof e === "object")
    ) {
      for (const path of [types, module]) assert.ok(existsSync(join(project, "node_modules", NAME, path)), path);
    }
  },
);

test("the README of the package imports the package and calls the command by its name", () => {
  const text = packageReadme(readFileSync(join(ROOT, "README.md"), "utf8"));
  assert.match(text, /^import \{ Machine \} from "hartbeat";$/m);
  assert.match(text, /^npx hartbeat -machine virt /m);
  assert.doesNotMatch(text, /mod\.ts"|[^/]cli\.ts -/);
  for (const [, link] of text.matchAll(/\]\(([^)]+)\)/g)) assert.match(link!, /^docs\//);
});

for (const major of [22, 24]) {
  test(`on Node ${major}, tests pass in the package`, { skip }, () => {
    installed();
    const text = testOutput(output, [nodeOfMajor(major)]);
    assert.match(text, /^\W*fail 0$/m);
    assert.ok(Number(/^\W*pass (\d+)$/m.exec(text)?.[1]) >= TESTS.length);
  });

  test(`on Node ${major}, an ES module imports the package`, { skip }, () => {
    installed();
    write(
      "script.js",
      `import { Machine, OptionError } from "hartbeat";
       const machine = await Machine.create({ bios: ${JSON.stringify(KERNEL)} });
       const stop = await machine.run();
       console.log(stop.kind, stop.code, machine.xlen, machine.console.output.length > 100);
       await Machine.create({ machine: "virtt" }).catch((e) => console.log(e instanceof OptionError, e.message));`,
    );
    const text = execute([nodeOfMajor(major), "script.js"], project);
    assert.equal(text, "exit 7 32 true\ntrue -machine virtt: no such board; did you mean virt?\n");
  });

  test(`on Node ${major}, the command boots the kernel and ends with its exit code`, { skip }, () => {
    installed();
    const bin = join(project, "node_modules/.bin/hartbeat");
    const env = { ...process.env, PATH: `${dirname(nodeOfMajor(major))}:${process.env.PATH}` };
    const boot = spawnSync(bin, ["-machine", "virt", "-nographic", "-bios", KERNEL], { encoding: "utf8", env });
    assert.equal(boot.stderr, "");
    assert.match(boot.stdout, /PANIC/);
    assert.equal(boot.status, 7);
    assert.equal(spawnSync(bin, ["-version"], { encoding: "utf8", env }).stdout, `hartbeat ${VERSION}\n`);
  });

  test(`on Node ${major}, a boot test passes under node --test`, { skip }, () => {
    installed();
    write("boot.test.js", BOOT_TEST.replace("RUNNER", "node:test"));
    assert.match(execute([nodeOfMajor(major), "--test", "boot.test.js"], project), /^\W*pass 1$/m);
  });
}

// As npm, pnpm and whoever leaves optional packages out lay packages out.
for (
  const [option, name] of [
    ["--install-strategy=hoisted", "add(int, int)"],
    ["--install-strategy=linked", "add(int, int)"],
    ["--omit=optional", "_Z3addii"],
  ]
) {
  test(`installed with ${option}, the package shows a function of C++ as ${name}`, { skip }, () => {
    installed();
    const other = mkdtempSync(join(folder, "layout-"));
    writeFileSync(join(other, "package.json"), '{ "private": true, "type": "module" }\n');
    install([TARBALL, option!], other);
    writeFileSync(
      join(other, "names.js"),
      `import { Machine } from "hartbeat";
       const machine = await Machine.create({ bios: ${JSON.stringify(program("debug_cpp_5_0"))} });
       console.log(machine.symbols.at(machine.symbols.lookup("_Z3addii"))?.name);`,
    );
    assert.equal(execute([nodeOfMajor(24), "names.js"], other), `${name}\n`);
  });
}

test(
  "TypeScript checks a user of the package, with either module resolution and without types of Node",
  { skip },
  () => {
    installed();
    install([TYPESCRIPT, VITEST], project);
    write(
      "user.ts",
      `import { HartbeatError, Machine, type MachineOptions, type Stop } from "hartbeat";
     const options: MachineOptions = { machine: "virt", bios: new Uint8Array(4) };
     const wide = await Machine.create<64>(options), narrow = await Machine.create<32>(options);
     const stop: Stop = await wide.run({ maxInstructions: 1 });
     const a: bigint = wide.hart.x.a0, b: number = narrow.hart.x.a0;
     console.log(stop.kind, a, b, HartbeatError.name);
     await wide[Symbol.asyncDispose]();
     // @ts-expect-error: there is no such option
     await Machine.create({ bois: "kernel.elf" });
     // @ts-expect-error: what is inside is not exported
     await import("hartbeat/esm/machine/machine.js");`,
    );
    for (const [module, moduleResolution] of [["nodenext", "nodenext"], ["esnext", "bundler"]]) {
      const compilerOptions = { module, moduleResolution, target: "es2022", strict: true, noEmit: true, types: [] };
      write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["user.ts"] }));
      execute([join(project, "node_modules/.bin/tsc"), "-p", "tsconfig.json"], project);
    }
  },
);

test("a boot test passes under Vitest", { skip }, () => {
  installed();
  write("boot.test.ts", BOOT_TEST.replace("RUNNER", "vitest"));
  const vitest = [nodeOfMajor(24), "node_modules/vitest/vitest.mjs", "run", "--no-color", "boot.test.ts"];
  assert.match(execute(vitest, project), /Tests +1 passed/);
});
