// Expectations of a console: run the guest until it has printed something, and explain what happened if it does not.

import { ExpectError, OptionError } from "./errors.ts";
import type { Found, Pattern, UnreadText } from "./console_text.ts";
import { nearest } from "./nearest.ts";
import { type Stop, STOP_KINDS } from "./stop.ts";

/**
 * How long to wait, in the guest's own measure.
 *
 * @example
 * ```ts
 * import { Machine, type Within } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const within: Within = { virtualSeconds: 0.5, instructions: 1_000_000 };
 * await machine.console.expect("timer interrupt 3", { within });
 * ```
 */
export interface Within {
  /** Seconds of virtual time; 10 where neither is given. */
  readonly virtualSeconds?: number;
  /** Instructions. */
  readonly instructions?: number;
}

/**
 * What `Console.expect` may be told.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * await machine.console.expect("hello from U-mode", { within: { virtualSeconds: 5 }, failOn: [/panic/i, "reset"] });
 * ```
 */
export interface ExpectOptions {
  /** How long the guest may take: seconds of virtual time, or as `Within` says. */
  readonly within?: number | Within;
  /**
   * What must not come first: patterns in the output, and kinds of stops (`"reset"`, `"trap-loop"` …). A stop that ends the run
   * fails the expectation in any case; `"reset"` also does where the machine would boot again.
   */
  readonly failOn?: readonly (Pattern | Stop["kind"])[];
}

/**
 * What was found.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const { groups, before } = await machine.console.expect(/timer interrupt (\d+)/);
 * console.log(groups[1], before);
 * ```
 */
export interface ExpectResult {
  /** The text that matched. */
  readonly match: string;
  /** The match with its groups, as `RegExp.exec` gives it; of a text, the text alone. */
  readonly groups: RegExpExecArray;
  /** What was printed before it and not read yet. */
  readonly before: string;
  /** Which of several patterns. */
  readonly index: number;
}

/**
 * How an expectation makes the guest go on.
 *
 * @example
 * ```ts
 * import { Machine, type ExpectDriver } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const driver: ExpectDriver | null = machine.console.driver;
 * await driver?.run({ maxInstructions: 100, maxVirtualSeconds: 1 });
 * console.log(driver?.instructions());
 * ```
 */
export interface ExpectDriver {
  /**
   * Runs the guest until one of the limits is reached or the run ends, which gives the stop, or until `pause` is called, which
   * gives null. Joins a run that is in progress.
   */
  run(limits: { readonly maxInstructions: number; readonly maxVirtualSeconds: number }): Promise<Stop | null>;
  /** Ends the run after the present instruction. */
  pause(): void;
  /** Virtual nanoseconds since power-on. */
  now(): number;
  /** Instructions since power-on. */
  instructions(): number;
  /** A report on where the guest is, in several lines. */
  report(stop: Stop): string;
  /** Called when the guest has reset the machine; gives back a function that takes this back. */
  onReset(listener: () => void): () => void;
}

const DEFAULT_SECONDS = 10;

function limitsOf(within: ExpectOptions["within"]): { seconds: number; instructions: number; text: string } {
  const { virtualSeconds, instructions } = typeof within === "number"
    ? { virtualSeconds: within, instructions: undefined }
    : within ?? {};
  const seconds = virtualSeconds ?? (instructions === undefined ? DEFAULT_SECONDS : Infinity);
  const most = instructions ?? Infinity;
  if (!(seconds >= 0) || !(most >= 0)) throw new OptionError(`within: ${seconds} seconds, ${most} instructions`);
  const parts = [
    ...(seconds < Infinity ? [`${seconds} virtual seconds`] : []),
    ...(most < Infinity ? [`${most} instructions`] : []),
  ];
  return { seconds, instructions: most, text: parts.join(" or ") };
}

/** A pattern as messages show it. */
export function patternText(pattern: Pattern): string {
  return typeof pattern === "string" ? JSON.stringify(pattern) : String(pattern);
}

/** Watches what is printed for patterns, as one expectation wants. */
export class Expectation {
  readonly #text: UnreadText;
  readonly #patterns: readonly Pattern[];
  readonly #bad: readonly Pattern[];
  readonly #driver: ExpectDriver;
  /** What came first, once something has. */
  found: { readonly good: boolean; readonly found: Found } | null = null;

  constructor(text: UnreadText, patterns: readonly Pattern[], bad: readonly Pattern[], driver: ExpectDriver) {
    this.#text = text;
    this.#patterns = patterns;
    this.#bad = bad;
    this.#driver = driver;
  }

  /** Looks at all text that has not been read. */
  look(): void {
    this.#decide((patterns) => this.#text.find(patterns));
  }
  /** Looks at what the last byte may have completed; ends the run if that decides. */
  printed(): void {
    if (this.found !== null) return;
    this.#decide((patterns) => this.#text.findAfterByte(patterns));
    if (this.found !== null) this.#driver.pause();
  }

  #decide(find: (patterns: readonly Pattern[]) => Found | null): void {
    const all = [...this.#patterns, ...this.#bad], found = find(all);
    if (found === null) return;
    const good = found.index < this.#patterns.length;
    this.found = { good, found: good ? found : { ...found, index: found.index - this.#patterns.length } };
  }
}

/** Splits `failOn` into kinds of stops and patterns. */
function failuresOf(failOn: ExpectOptions["failOn"] = []): { kinds: Set<string>; patterns: Pattern[] } {
  const kinds = new Set<string>(), patterns: Pattern[] = [];
  for (const item of failOn) {
    if (typeof item === "string" && (STOP_KINDS as readonly string[]).includes(item)) kinds.add(item);
    else {
      // A kind that was misspelt would never be found.
      const near = typeof item === "string" && !/\s/.test(item) ? nearest(item, [...STOP_KINDS]) : "";
      if (near !== "" && typeof item === "string" && item.includes("-")) {
        throw new OptionError(`failOn: ${JSON.stringify(item)} is no kind of stop${near}`);
      }
      patterns.push(item as Pattern);
    }
  }
  return { kinds, patterns };
}

/** Runs the guest until one of the patterns is in the unread text, and reads that. `attach` shows printed bytes. */
export async function expectText(
  text: UnreadText,
  wanted: Pattern | readonly Pattern[],
  options: ExpectOptions,
  driver: ExpectDriver,
  attach: (expectation: Expectation) => () => void,
): Promise<ExpectResult> {
  const patterns = Array.isArray(wanted) ? wanted as readonly Pattern[] : [wanted as Pattern];
  if (patterns.length === 0) throw new OptionError("expect: no pattern");
  const limits = limitsOf(options.within), { kinds, patterns: bad } = failuresOf(options.failOn);
  const expectation = new Expectation(text, patterns, bad, driver), detach = attach(expectation);
  const deadline = driver.now() + limits.seconds * 1e9, lastInstruction = driver.instructions() + limits.instructions;
  let hasReset = false;
  const forget = driver.onReset(() => {
    hasReset = true;
    if (kinds.has("reset")) driver.pause();
  });
  const names = patterns.map(patternText).join(", ");
  const fail = (why: string, stop: Stop | null): never => {
    const report = stop === null ? "" : `\n${driver.report(stop)}`;
    throw new ExpectError(`expected ${names}, but ${why}${report}`, stop, text.text);
  };
  try {
    expectation.look();
    let stop: Stop | null = null;
    while (expectation.found === null) {
      const seconds = (deadline - driver.now()) / 1e9, instructions = lastInstruction - driver.instructions();
      stop = await driver.run({
        maxInstructions: Math.max(0, instructions),
        maxVirtualSeconds: Math.max(0, seconds),
      });
      if (expectation.found !== null) break;
      if (hasReset && kinds.has("reset")) fail("the guest reset the machine", stop);
      if (stop === null) continue;
      expectation.look();
      if (expectation.found !== null) break;
      if (stop.kind !== "budget") fail(endOf(stop), stop);
      if (driver.now() >= deadline || driver.instructions() >= lastInstruction) {
        fail(`it did not come within ${limits.text}`, stop);
      }
    }
    const { good, found } = expectation.found!;
    const before = text.text.slice(0, found.start), match = found.match[0];
    if (!good) fail(`${patternText(bad[found.index]!)} came first: ${JSON.stringify(match)}`, stop);
    text.consume(found.start + match.length);
    return { match, groups: found.match, before, index: found.index };
  } finally {
    detach();
    forget();
  }
}

/** How a run ended, for a message. */
function endOf(stop: Stop): string {
  if (stop.kind === "exit") return `the guest ended with exit code ${stop.code}`;
  if (stop.kind === "stopped") return "the run was stopped";
  return `the run ended: ${stop.kind}`;
}
