// Code blocks of README.md and docs/, run as a reader would: saved at the top of the checkout.

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The checkout. */
export const ROOT: URL = new URL("../../", import.meta.url);

/** Text of a page, by its path from the top of the checkout. */
export function page(name: string): string {
  return readFileSync(new URL(name, ROOT), "utf8");
}

/** Paths of the pages under docs/. */
export function docsPages(): string[] {
  return readdirSync(new URL("docs", ROOT)).filter((name) => name.endsWith(".md")).toSorted().map((name) =>
    `docs/${name}`
  );
}

/** A code block. */
export interface Block {
  readonly language: string;
  readonly text: string;
}

/** The code blocks of a page, in order. */
export function blocks(text: string): Block[] {
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, body]) => ({
    language: language!,
    text: body!,
  }));
}

let count = 0;

/** Saves a program in the checkout under a name that no other has: files of tests run in threads of one process. Gives its path. */
function save(suffix: string, text: string): string {
  for (;;) {
    const path = fileURLToPath(new URL(`page_${process.pid}_${count++}${suffix}.ts`, ROOT));
    try {
      writeFileSync(path, text, { flag: "wx" });
      return path;
    } catch (e) {
      if ((e as { code?: string }).code !== "EEXIST") throw e;
    }
  }
}

/** A block saved in the checkout as a program, or as a file of tests if it imports `node:test` or `testing.ts`. */
export class SavedProgram implements Disposable {
  readonly path: string;
  readonly #isTest: boolean;

  constructor(text: string) {
    this.#isTest = /"node:test"|\/testing(\.ts)?"/.test(text);
    // Only Deno's configuration says what the package's name means in the checkout.
    this.path = save(
      this.#isTest ? "_test" : "",
      onDeno
        ? text
        : text.replaceAll('from "hartbeat"', 'from "./mod.ts"').replaceAll('"hartbeat/testing"', '"./testing.ts"'),
    );
  }

  /** Runs it, without a look at its types. */
  run(): { readonly code: number | null; readonly all: string } {
    const deno = [this.#isTest ? "test" : "run", "-A", "--no-check"], node = this.#isTest ? ["--test"] : [];
    return execute([...(onDeno ? deno : node), this.path]);
  }

  [Symbol.dispose](): void {
    rmSync(this.path);
  }
}

/** Checks the types of programs; a runtime that only removes types has nothing to say. */
export function checkTypes(programs: readonly SavedProgram[]): { readonly code: number | null; readonly all: string } {
  return onDeno ? execute(["check", ...programs.map(({ path }) => path)]) : { code: 0, all: "" };
}

const onDeno = "Deno" in globalThis;

function execute(args: readonly string[]): { readonly code: number | null; readonly all: string } {
  // A test run inside of a test run must not report to the outer one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const run = spawnSync(process.execPath, args, { cwd: fileURLToPath(ROOT), encoding: "utf8", env });
  return { code: run.status, all: run.stdout + run.stderr };
}

/** Runs a program that is nowhere else. */
export function runProgram(text: string): { readonly code: number | null; readonly all: string } {
  using program = new SavedProgram(text);
  return program.run();
}
