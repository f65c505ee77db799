// Text of a console that arrives byte by byte: UTF-8 and escape sequences across the borders of writes, and patterns found in
// what was not read yet.

/**
 * What is looked for: a text as it stands, or a regular expression.
 *
 * @example
 * ```ts
 * import { Machine, type Pattern } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const patterns: Pattern[] = ["hello from M-mode", /panic: (.*)\n/];
 * const { index } = await machine.console.expect(patterns);
 * console.log(index);
 * ```
 */
export type Pattern = string | RegExp;

/** A pattern that was found. */
export interface Found {
  /** Which of the patterns. */
  readonly index: number;
  /** Where it begins in the unread text, in UTF-16 units. */
  readonly start: number;
  /** The match as `RegExp.exec` gives it; of a text, the text alone. */
  readonly match: RegExpExecArray;
}

/** Of unread text that is longer, only so many UTF-16 units at the end are looked at before the end of a line. */
const TAIL = 1024;

/** Removes ECMA-48 escape sequences (colours, cursor movement, titles) from text that comes in pieces. */
export class EscapeFilter {
  /** What has been read of a sequence; empty outside of one. */
  #sequence = "";

  /** The text without escape sequences; one that has not ended is held back. */
  filter(text: string): string {
    let result = "";
    for (const c of text) {
      if (this.#sequence === "") {
        if (c === "\x1b") this.#sequence = c;
        else result += c;
        continue;
      }
      this.#sequence += c;
      if (isWhole(this.#sequence)) this.#sequence = "";
    }
    return result;
  }
}

/** Whether an escape sequence has ended (ECMA-48, sections 5.3 and 5.4; operating system commands end with BEL or ST). */
function isWhole(sequence: string): boolean {
  const kind = sequence[1];
  if (kind === "[") return sequence.length > 2 && /[@-~]$/.test(sequence);
  // Strings: DCS, SOS, OSC, PM, APC.
  if (kind !== undefined && "PX]^_".includes(kind)) {
    return sequence.length > 2 && (sequence.endsWith("\x07") || sequence.endsWith("\x1b\\"));
  }
  return /[0-~]$/.test(sequence);
}

/** The printed text that nothing has consumed yet. */
export class UnreadText {
  #decoder = new TextDecoder();
  #escapes = new EscapeFilter();
  /** Whether escape sequences are left out of what is printed from now on. */
  stripEscapes = false;
  #text = "";
  /** The end of `#text`, or all of it. */
  #tail = "";

  /** All of it. */
  get text(): string {
    return this.#text;
  }

  /** Adds a printed byte; gives the text that it completes. */
  add(byte: number): string {
    let text = this.#decoder.decode(Uint8Array.of(byte), { stream: true });
    if (this.stripEscapes) text = this.#escapes.filter(text);
    if (text === "") return "";
    this.#text += text;
    this.#tail += text;
    this.#line = this.#line.endsWith("\n") ? text : this.#line + text;
    return text;
  }

  /** The line that was printed last, with its end if that has come. */
  get lastLine(): string {
    return this.#line;
  }
  #line = "";

  /** Removes text from the start. */
  consume(length: number): void {
    this.#text = this.#text.slice(length);
    this.#tail = this.#text.slice(-TAIL);
  }

  /**
   * The first of the patterns in the unread text, by where it begins; of those that begin together, the first in the list.
   */
  find(patterns: readonly Pattern[]): Found | null {
    return search(patterns, this.#text, 0);
  }

  /**
   * The same after a byte was added, at less cost: matches that begin long before it are found only when a line ends.
   */
  findAfterByte(patterns: readonly Pattern[]): Found | null {
    if (this.#tail.endsWith("\n")) return this.find(patterns);
    if (this.#tail.length > 2 * TAIL) this.#tail = this.#tail.slice(-TAIL);
    const cut = this.#text.length - this.#tail.length;
    // From its second unit on: at the first one, "^" would match.
    const found = search(patterns, this.#tail, cut > 0 ? 1 : 0);
    return found && { ...found, start: found.start + cut };
  }
}

function search(patterns: readonly Pattern[], text: string, from: number): Found | null {
  let best: Found | null = null;
  patterns.forEach((pattern, index) => {
    const match = matchOf(pattern, text, from);
    if (match !== null && (best === null || match.index < best.start)) best = { index, start: match.index, match };
  });
  return best;
}

/** Whether a text holds one of the patterns. */
export function matches(text: string, patterns: readonly Pattern[]): boolean {
  return patterns.some((pattern) => matchOf(pattern, text, 0) !== null);
}

/** Patterns that can begin anywhere, by those that users gave. */
const searching = new WeakMap<RegExp, RegExp>();

function matchOf(pattern: Pattern, text: string, from: number): RegExpExecArray | null {
  if (typeof pattern === "string") {
    const index = text.indexOf(pattern, from);
    return index < 0 ? null : Object.assign([pattern], { index, input: text }) as unknown as RegExpExecArray;
  }
  let copy = searching.get(pattern);
  if (copy === undefined) {
    copy = new RegExp(pattern.source, `${pattern.flags.replace(/[gy]/g, "")}g`);
    searching.set(pattern, copy);
  }
  copy.lastIndex = from;
  return copy.exec(text);
}
