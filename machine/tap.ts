// Test results that a guest prints: TAP (testanything.org, versions 13 and 14) and KTAP (Linux kernel documentation, "The Kernel
// Test Anything Protocol (KTAP), version 1"), as KUnit does.

import type { ExpectResult } from "./expect.ts";
import { ExpectError, HartbeatError } from "./errors.ts";
import type { Pattern } from "./console_text.ts";

/**
 * One test point with what belongs to it.
 *
 * @example
 * ```ts
 * import { Machine, type TapResult } from "hartbeat";
 *
 * // A guest that prints what is typed, so this stands for a kernel that prints its results.
 * const machine = await Machine.create({ bios: "tests/programs/echo.elf" });
 * machine.console.send("\n1..2\nok 1 - boots\nok 2 - sleeps # SKIP no timer\n");
 * const results: readonly TapResult[] = (await machine.console.tap()).results;
 * for (const { name, passed, directive } of results) console.log(name, passed, directive?.reason);
 * ```
 */
export interface TapResult {
  /** Its number; counted where the line has none. */
  readonly number: number;
  /** Whether the line says `ok`. */
  readonly ok: boolean;
  /** `ok`, or excused by a directive (SKIP, TODO, XFAIL). */
  readonly passed: boolean;
  /** Its description; empty where there is none. */
  readonly name: string;
  /** `SKIP`, `TODO`, `XFAIL`, `TIMEOUT` or `ERROR` with its reason. */
  readonly directive?: { readonly kind: string; readonly reason: string };
  /** Comments and other lines that came before it. */
  readonly diagnostics: readonly string[];
  /** Results of its subtests. */
  readonly children: readonly TapResult[];
}

/**
 * All results.
 *
 * @example
 * ```ts
 * import { Machine, type TapReport } from "hartbeat";
 *
 * // A guest that prints what is typed, so this stands for a kernel that prints its results.
 * const machine = await Machine.create({ bios: "tests/programs/echo.elf" });
 * machine.console.send("\n1..1\nok 1 - boots\n");
 * const report: TapReport = await machine.console.tap();
 * console.log(report.passed, report.planned);
 * ```
 */
export interface TapReport {
  /** Results of the outermost level. */
  readonly results: readonly TapResult[];
  /** How many the plan promised; undefined where there was no plan. */
  readonly planned: number | undefined;
  /** Reason of a `Bail out!`. */
  readonly bailOut: string | undefined;
  /** Whether the plan was met, nothing bailed out and all results passed. */
  readonly passed: boolean;
}

/**
 * The part of a test's context that makes sub-tests: `t.step` of `Deno.test`, `t.test` of `node:test`.
 *
 * @example
 * ```ts
 * import { Machine, type TapContext } from "hartbeat";
 *
 * // A guest that prints what is typed, so this stands for a kernel that prints its results.
 * const machine = await Machine.create({ bios: "tests/programs/echo.elf" });
 * machine.console.send("\n1..1\nok 1 - boots\n");
 * // In a test this is the `t` that it is called with.
 * const t: TapContext = {
 *   async test(name, body) {
 *     console.log(name);
 *     await body(t);
 *   },
 * };
 * await machine.console.tap(t);
 * ```
 */
export interface TapContext {
  /** `node:test`. */
  test?(name: string, body: (context: TapContext) => Promise<void>): unknown;
  /** `Deno.test`. */
  step?(name: string, body: (context: TapContext) => Promise<void>): unknown;
  /** `node:test`. */
  skip?(reason?: string): unknown;
}

/**
 * A guest's tests failed, or were not all run.
 *
 * @example
 * ```ts
 * import { Machine, TapError } from "hartbeat";
 *
 * // A guest that prints what is typed, so this stands for a kernel that prints its results.
 * const machine = await Machine.create({ bios: "tests/programs/echo.elf" });
 * machine.console.send("\n1..1\nnot ok 1 - boots\n");
 * try {
 *   await machine.console.tap();
 * } catch (e) {
 *   if (e instanceof TapError) console.log(e.report.results.filter(({ ok }) => !ok));
 * }
 * ```
 */
export class TapError extends HartbeatError {
  /** The class's name. */
  override name = "TapError";
  /** All results. */
  readonly report: TapReport;

  /** For the console. */
  constructor(message: string, report: TapReport) {
    super(message);
    this.report = report;
  }
}

/** What has been read of one level of indentation. */
interface Level {
  readonly indent: number;
  readonly results: TapResult[];
  planned: number | undefined;
  diagnostics: string[];
}

const RESULT = /^(not )?ok\b *(\d+)?(.*)$/;
const DIRECTIVE = /^(.*?)(?<!\\)#\s*(SKIP|TODO|XFAIL|TIMEOUT|ERROR)\w*\b:?\s*(.*)$/i;
/** What the kernel's log puts before a line. */
const LOG_PREFIX = /^(<\d+>)?\[ *\d+\.\d+\](\[ *[TC]\d+\])? ?/;

/** Reads TAP line by line. */
export class TapParser {
  readonly #levels: Level[] = [{ indent: 0, results: [], planned: undefined, diagnostics: [] }];
  #bailOut: string | undefined;
  #begun = false;
  /** Indentation at which the output began. */
  #base = 0;

  /** Reads a line; true if nothing more is to come. */
  line(text: string): boolean {
    const bare = text.replace(/\r?\n?$/, "").replace(LOG_PREFIX, ""), line = bare.trimStart();
    const indent = bare.length - line.length - this.#base;
    if (!this.#begun) {
      if (!/^(K?TAP version \d+|1\.\.\d+)/.test(line) && !RESULT.test(bare)) return false;
      this.#begun = true;
      this.#base += indent;
    }
    const bail = /^Bail out!\s*(.*)$/.exec(line), plan = /^1\.\.(\d+)/.exec(line), result = RESULT.exec(line);
    if (bail !== null) this.#bailOut = bail[1]!;
    else if (plan !== null) this.#level(Math.max(0, indent)).planned = Number(plan[1]);
    else if (result !== null && indent >= 0) this.#result(Math.max(0, indent), result);
    else if (!/^(K?TAP version \d+|# Subtest:.*|)$/.test(line)) this.#levels.at(-1)!.diagnostics.push(line);
    return this.complete;
  }

  /** The level of an indentation; deeper ones are closed by whoever has a result further out. */
  #level(indent: number): Level {
    let last = this.#levels.at(-1)!;
    if (indent > last.indent) {
      last = { indent, results: [], planned: undefined, diagnostics: [] };
      this.#levels.push(last);
    }
    return this.#levels.findLast((level) => level.indent <= indent)!;
  }

  #result(indent: number, [, not, number, rest]: RegExpExecArray): void {
    const level = this.#level(indent), children: TapResult[] = [];
    const diagnostics: string[] = [];
    while (this.#levels.at(-1) !== level) {
      const inner = this.#levels.pop()!;
      children.unshift(...inner.results);
      diagnostics.unshift(...inner.diagnostics);
    }
    diagnostics.unshift(...level.diagnostics.splice(0));
    const directive = DIRECTIVE.exec(rest!), kind = directive?.[2]?.toUpperCase(), ok = not === undefined;
    level.results.push({
      number: number === undefined ? level.results.length + 1 : Number(number),
      ok,
      passed: (ok && kind !== "TIMEOUT" && kind !== "ERROR") || kind === "SKIP" || kind === "TODO" || kind === "XFAIL",
      name: (directive?.[1] ?? rest!).replace(/^\s*-?\s*/, "").trim(),
      ...(kind !== undefined && { directive: { kind, reason: directive![3]!.trim() } }),
      diagnostics,
      children,
    });
  }

  /** Whether the outermost plan is met, or the guest has bailed out. */
  get complete(): boolean {
    const { planned, results } = this.#levels[0]!;
    return this.#bailOut !== undefined || (planned !== undefined && results.length >= planned);
  }

  /** What has been read. */
  get report(): TapReport {
    const { results, planned } = this.#levels[0]!;
    const met = this.#begun && this.#bailOut === undefined && (planned === undefined || planned === results.length);
    return { results, planned, bailOut: this.#bailOut, passed: met && results.every(({ passed }) => passed) };
  }
}

/** A failed result with its diagnostics and those of its failed subtests, as lines. */
function explain(result: TapResult, indent = ""): string[] {
  return [
    `${indent}not ok ${result.number} ${result.name}`.trimEnd(),
    ...result.diagnostics.map((line) => `${indent}  ${line}`),
    ...result.children.filter(({ passed }) => !passed).flatMap((child) => explain(child, `${indent}  `)),
  ];
}

/** Reports results as sub-tests. */
async function replay(results: readonly TapResult[], context: TapContext): Promise<void> {
  for (const result of results) {
    const body = async (inner: TapContext) => {
      if (result.directive?.kind === "SKIP") inner.skip?.(result.directive.reason);
      await replay(result.children, inner);
      if (!result.passed) throw new Error(explain(result).join("\n"));
    };
    const name = result.name || `test ${result.number}`;
    if (context.test !== undefined) await context.test(name, body);
    else await context.step?.(name, body);
  }
}

/** Reads lines by `expect` until the results are complete. */
export async function runTap(
  expect: (pattern: Pattern) => Promise<ExpectResult>,
  context: TapContext | null,
): Promise<TapReport> {
  const parser = new TapParser();
  for (;;) {
    let line: string;
    try {
      line = (await expect(/^[^\n]*\n/)).match;
    } catch (e) {
      // Without a plan, the end of the guest is the end of the results.
      const ended = e instanceof ExpectError && (e.stop?.kind === "exit" || e.stop?.kind === "reset");
      if (ended && parser.report.planned === undefined && parser.report.results.length > 0) break;
      throw e;
    }
    if (parser.line(line)) break;
  }
  const { report } = parser;
  if (context !== null) await replay(report.results, context);
  const failed = report.results.filter(({ passed }) => !passed);
  if (report.bailOut !== undefined) throw new TapError(`the guest bailed out: ${report.bailOut}`, report);
  if (context === null && failed.length > 0) {
    throw new TapError(
      `${failed.length} of ${report.results.length} failed\n${failed.flatMap((result) => explain(result)).join("\n")}`,
      report,
    );
  }
  return report;
}
