// Builds the npm package in npm/ with TypeScript's compiler from npm, under Deno or Node: what build_npm.ts makes, where JSR
// cannot be reached.
//
//   deno run -A scripts/build_npm_tsc.ts [--out=FOLDER] [--no-test]

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { VERSION } from "../cli/version.ts";
import { complete, copyTestFiles, EXPORTS, NODE_TYPES, ROOT, TESTS } from "./npm_package.ts";
import { progress } from "./progress.ts";

/** The compiler, from npm. */
export const TYPESCRIPT = "typescript@7.0.2";

/**
 * Runs a program to its end.
 *
 * @returns What it wrote to standard output.
 * @throws {Error} With all that it wrote, if it fails.
 */
export function execute(command: readonly string[], folder: string): string {
  // A test run inside of a test run must not report to the outer one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout, stderr, error } = spawnSync(command[0]!, command.slice(1), {
    cwd: folder,
    encoding: "utf8",
    env,
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command.join(" ")}: exit code ${status}\n${stdout}${stderr}`);
  return stdout;
}

/** Installs packages from npm into a folder that has a `package.json`; what npm has already fetched is not asked for again. */
export function install(packages: readonly string[], folder: string): void {
  execute(["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", ...packages], folder);
}

/**
 * Builds the package.
 *
 * @param folder Where to; what is there is removed first.
 * @throws {Error} With the compiler's messages, if it fails.
 */
export function build(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  const work = mkdtempSync(join(realpathSync(tmpdir()), "hartbeat-npm-"));
  try {
    writeFileSync(join(work, "package.json"), '{ "private": true }\n');
    progress("fetching the compiler");
    install([TYPESCRIPT, `${NODE_TYPES.name}@${NODE_TYPES.version}`], work);
    const compilerOptions = {
      rootDir: ROOT,
      outDir: join(folder, "esm"),
      target: "es2022",
      lib: ["esnext", "dom", "dom.iterable"],
      module: "esnext",
      moduleResolution: "bundler",
      rewriteRelativeImportExtensions: true,
      resolveJsonModule: true,
      declaration: true,
      sourceMap: true,
      inlineSources: true,
      strict: true,
      skipLibCheck: true,
      types: ["node"],
      typeRoots: [join(work, "node_modules/@types")],
    };
    const files = [...Object.values(EXPORTS), ...TESTS.map((name) => `tests/${name}_test.ts`)].map((source) =>
      join(ROOT, source)
    );
    writeFileSync(join(work, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
    progress("compiling");
    execute([join(work, "node_modules/.bin/tsc"), "-p", "tsconfig.json"], work);
  } finally {
    progress("");
    rmSync(work, { recursive: true });
  }
  // As dnt does: no JSON modules, of which Node warns before 22.12.
  rmSync(join(folder, "esm/deno.json"));
  rmSync(join(folder, "esm/cli/version.js.map"));
  writeFileSync(join(folder, "esm/cli/version.js"), `export const VERSION = ${JSON.stringify(VERSION)};\n`);
  nameSources(join(folder, "esm"));
  complete(folder);
  copyTestFiles(folder);
}

/** Source maps hold their sources; names of those tell nothing of where the package was built. */
function nameSources(esm: string): void {
  for (
    const file of readdirSync(esm, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".js.map"))
  ) {
    const map = JSON.parse(readFileSync(join(esm, file), "utf8"));
    const source = join("../src", file.replace(/\.js\.map$/, ".ts"));
    writeFileSync(join(esm, file), JSON.stringify({ ...map, sources: [relative(dirname(file), source)] }));
  }
}

/** Runs the tests in the output, with `node` as the command's first words. */
export function testOutput(folder: string, node: readonly string[]): string {
  return execute([...node, "--test", ...TESTS.map((name) => `esm/tests/${name}_test.js`)], folder);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { out: { type: "string" }, test: { type: "boolean", default: true } },
    allowNegative: true,
  });
  const folder = resolve(values.out ?? join(ROOT, "npm"));
  build(folder);
  if (values.test) {
    progress("testing the output");
    const text = testOutput(folder, ["node"]);
    progress("");
    process.stdout.write(text);
  }
}
