// What the npm package is. Name, version, exports, command and engines stand here and in deno.json and nowhere else: both ways
// to build the package (build_npm.ts, build_npm_tsc.ts) take them from here.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import configuration from "../deno.json" with { type: "json" };

/** The checkout. */
export const ROOT: string = fileURLToPath(new URL("../", import.meta.url));

/** Name on npm. (On JSR it has a scope, which deno.json says.) */
export const NAME = "hartbeat";

/** The command, and which of deno.json's exports it is. */
const COMMAND = { name: "hartbeat", export: "./cli" } as const;

/** Sources of all exports, with the command's: paths from the top of the checkout. */
export const EXPORTS: Readonly<Record<string, string>> = configuration.exports;

/** Tests that run in the output: some that need nothing but the modules. `tests/NAME_test.ts`. */
export const TESTS: readonly string[] = ["htif", "symbols", "test_finisher", "uart_16550"];

/** Files that those tests read. */
const TEST_FILES: readonly string[] = ["tests/programs/p0uart.elf"];

/** Types that the command and the builders need. */
export const NODE_TYPES = { name: "@types/node", version: "22.20.5" } as const;

/**
 * Packages that are loaded if they are there: by name, the version that deno.json says. Exactly that, as more of it is used than
 * its exports.
 */
const OPTIONAL: readonly (keyof typeof configuration.imports)[] = ["gecko-profiler-demangle"];

/** Path in the package of what a source becomes. */
export function output(source: string, extension: ".js" | ".d.ts"): string {
  return source.replace("./", "esm/").replace(/\.ts$/, extension);
}

/** Path in the package of the command. */
export const COMMAND_FILE: string = output(EXPORTS[COMMAND.export]!, ".js");

/** The package's `package.json`. */
export function packageJson(): Record<string, unknown> {
  const exports = Object.entries(EXPORTS).filter(([name]) => name !== COMMAND.export).map(([name, source]) =>
    [name, { types: `./${output(source, ".d.ts")}`, default: `./${output(source, ".js")}` }] as const
  );
  return {
    name: NAME,
    version: configuration.version,
    description:
      "A scriptable RISC-V machine: boots kernels, is driven and tested from TypeScript, knows QEMU's options",
    keywords: ["riscv", "risc-v", "emulator", "simulator", "qemu", "kernel", "embedded", "testing"],
    license: configuration.license,
    type: "module",
    exports: { ...Object.fromEntries(exports), "./package.json": "./package.json" },
    bin: { [COMMAND.name]: COMMAND_FILE },
    files: ["docs", "esm", "!esm/package.json", "!esm/tests"],
    optionalDependencies: Object.fromEntries(
      OPTIONAL.map((name) => [name, configuration.imports[name].slice(`npm:${name}@`.length)]),
    ),
    // process.getBuiltinModule came with 22.3.
    engines: { node: ">=22.3" },
    sideEffects: false,
  };
}

/**
 * The README as users of the package read it: programs import the package, the command is installed, and what is only in the
 * checkout is no link.
 */
export function packageReadme(text: string): string {
  return text.replaceAll('from "./mod.ts"', `from "${NAME}"`).replaceAll(
    'from "./testing.ts"',
    `from "${NAME}/testing"`,
  ).replaceAll(/(deno run -A|node) cli\.ts/g, `npx ${NAME}`)
    .replaceAll(/\[([^\]]+)\]\((?!docs\/)[^)]+\)/g, "$1");
}

/** Puts into the output what no compiler does. */
export function complete(folder: string): void {
  const change = (name: string, how: (text: string) => string) =>
    writeFileSync(join(folder, name), how(readFileSync(join(folder, name), "utf8")));
  writeFileSync(join(folder, "package.json"), JSON.stringify(packageJson(), null, 2) + "\n");
  writeFileSync(join(folder, "README.md"), packageReadme(readFileSync(join(ROOT, "README.md"), "utf8")));
  for (const name of ["LICENSE", "docs"]) cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  change(COMMAND_FILE, (text) => text.replace(/^(#!.*\n)?/, "#!/usr/bin/env node\n"));
  // `AsyncDisposable` is not in the library that TypeScript takes for most targets.
  change(output(EXPORTS["."]!, ".d.ts"), (text) => `/// <reference lib="esnext.disposable" />\n${text}`);
}

/** Puts the files that the tests read beside those in the output. */
export function copyTestFiles(folder: string): void {
  for (const file of TEST_FILES) {
    mkdirSync(dirname(join(folder, "esm", file)), { recursive: true });
    cpSync(join(ROOT, file), join(folder, "esm", file));
  }
}
