// Builds the npm package in npm/ with dnt (`deno task npm`). It needs JSR, and loads what comes from there only when it runs;
// build_npm_tsc.ts builds the same without JSR.
//
//   deno run -A scripts/build_npm.ts [--out=FOLDER] [--no-test]

import { existsSync, readdirSync, rmSync } from "node:fs";
import process from "node:process";
import { complete, copyTestFiles, EXPORTS, NODE_TYPES, output, packageJson, ROOT, TESTS } from "./npm_package.ts";

/** Builds what the arguments ask for. */
async function main(args: string[]): Promise<void> {
  const { build, emptyDir } = await import("@deno/dnt");
  const { parseArgs } = await import("@std/cli/parse-args");
  const { join, relative } = await import("@std/path");
  const { assert } = await import("@std/assert");

  const { out, test } = parseArgs(args, {
    string: ["out"],
    boolean: ["test"],
    negatable: ["test"],
    default: { test: true },
  });
  const folder = out ?? join(ROOT, "npm");
  await emptyDir(folder);
  await build({
    // The command as an export: dnt puts a first line before a command's own first line.
    entryPoints: Object.entries(EXPORTS).map(([name, path]) => ({ name, path: join(ROOT, path) })),
    outDir: folder,
    shims: {},
    scriptModule: false,
    declaration: "inline",
    declarationMap: false,
    skipSourceOutput: true,
    compilerOptions: { target: "ES2022", lib: ["ESNext", "DOM", "DOM.Iterable"], sourceMap: true, inlineSources: true },
    test,
    rootTestDir: ROOT,
    testPattern: `tests/{${TESTS.join(",")}}_test.ts`,
    package: { ...packageJson(), devDependencies: { [NODE_TYPES.name]: NODE_TYPES.version } } as never,
    postBuild: () => copyTestFiles(folder),
  });
  // What dnt needed for the tests.
  for (const name of readdirSync(folder)) if (name !== "esm") rmSync(join(folder, name), { recursive: true });
  for (const source of Object.values(EXPORTS)) {
    for (const extension of [".js", ".d.ts"] as const) {
      const file = join(folder, output(source, extension));
      assert(existsSync(file), `dnt did not write ${relative(ROOT, file)}`);
    }
  }
  complete(folder);
}

await main(process.argv.slice(2));
