// The console of a machine: what the guest printed, and what is typed at it.

import { matches, type Pattern, UnreadText } from "./console_text.ts";
import type { Hook } from "./hooks.ts";
import { OptionError } from "./errors.ts";
import { type Expectation, type ExpectDriver, type ExpectOptions, type ExpectResult, expectText } from "./expect.ts";
import { runTap, type TapContext, type TapReport } from "./tap.ts";

/**
 * A receiver of bytes, such as a UART.
 *
 * @example
 * ```ts
 * import { Machine, type Receiver } from "hartbeat";
 *
 * // What is typed goes to the test in place of the UART.
 * const bytes: number[] = [];
 * const receiver: Receiver = { receiverSpace: () => 16, receive: (byte) => void bytes.push(byte) };
 * const machine = await Machine.create();
 * machine.console.connect(receiver);
 * machine.console.send("hello");
 * ```
 */
export interface Receiver {
  /** How many bytes it can take now. */
  receiverSpace(): number;
  /** Gives it a byte. */
  receive(byte: number): void;
}

/**
 * A piece of a transcript.
 *
 * @example
 * ```ts
 * import { Machine, type TranscriptEntry } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * await machine.run();
 * const line = ({ from, nanoseconds, text }: TranscriptEntry) => `${nanoseconds} ${from}: ${text.trimEnd()}`;
 * console.log(machine.console.transcript().map(line).join("\n"));
 * ```
 */
export interface TranscriptEntry {
  /** Who wrote it. */
  readonly from: "guest" | "host";
  /** Virtual nanoseconds since power-on when its first byte was written. */
  readonly nanoseconds: number;
  /** What was written, decoded as UTF-8. */
  readonly text: string;
}

/**
 * One serial line, seen from outside the machine.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * await machine.console.expect(/hart (\d)/);
 * await machine.run();
 * console.log(machine.console.output, machine.console.transcript().length);
 * ```
 */
export class Console {
  #chunks: Uint8Array[] = [];
  #open = new Uint8Array(1024);
  #used = 0;
  #input: number[] = [];
  /** Bytes at the start of `#input` that the receiver has. */
  #taken = 0;
  #receiver: Receiver | undefined;
  readonly #unread = new UnreadText();
  readonly #expectations = new Set<Expectation>();
  /** Pieces of output (bytes since power-on) and of input. */
  readonly #transcript: { nanoseconds: number; start: number; length: number; typed?: Uint8Array }[] = [];
  /** Bytes of output that are kept, and whether the last one ended a line. */
  #kept = 0;
  #lineEnded = false;
  /** Its name, such as `serial0`. */
  readonly name: string;
  /** What makes the guest go on while something is expected. For the machine. */
  driver: ExpectDriver | null = null;
  /** What `sendLine` puts after a line. */
  lineEnd = "\n";
  /** Whether what the guest prints is kept for `bytes` and `output`; a run without end is better off without. */
  keep = true;
  /** Called for each byte that the guest prints. */
  onOutput: ((byte: number) => void) | null = null;
  /** Called when input has arrived, so that a waiting machine looks at it. */
  onInput: () => void = () => {};

  /** `name`: what boards and messages call it. */
  constructor(name = "serial0") {
    this.name = name;
  }

  /**
   * Whether escape sequences (colours, cursor movement) are left out of what `expect` sees, from the next byte on. `output`,
   * `bytes` and `transcript` always have them.
   */
  get stripEscapes(): boolean {
    return this.#unread.stripEscapes;
  }
  set stripEscapes(strip: boolean) {
    this.#unread.stripEscapes = strip;
  }

  /** Connects the device at the guest's end. */
  connect(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  /** What the guest does to print a byte. */
  transmit(byte: number): void {
    if (!this.keep) return this.onOutput?.(byte);
    if (this.#used === this.#open.length) {
      this.#chunks.push(this.#open);
      this.#open = new Uint8Array(Math.min(2 * this.#open.length, 1 << 20));
      this.#used = 0;
    }
    this.#open[this.#used++] = byte;
    this.#record(byte);
    const text = this.#unread.add(byte);
    if (byte === 10 && this.#lineListeners.size > 0) {
      const line = this.#unread.lastLine;
      for (const [listener, patterns] of this.#lineListeners) if (matches(line, patterns)) listener(line);
    }
    if (text !== "") { for (const expectation of this.#expectations) expectation.printed(); }
    this.onOutput?.(byte);
  }

  #record(byte: number): void {
    let last = this.#transcript.at(-1);
    if (last === undefined || last.typed !== undefined || this.#lineEnded) {
      last = { nanoseconds: this.driver?.now() ?? 0, start: this.#kept, length: 0 };
      this.#transcript.push(last);
    }
    last.length++;
    this.#kept++;
    this.#lineEnded = byte === 10;
  }

  /** All that was printed and typed while `keep` was set, in order: output line by line, input as it was sent. */
  transcript(): TranscriptEntry[] {
    const decoder = new TextDecoder(), { bytes } = this;
    return this.#transcript.map(({ nanoseconds, start, length, typed }) => ({
      from: typed === undefined ? "guest" : "host",
      nanoseconds,
      text: decoder.decode(typed ?? bytes.subarray(start, start + length)),
    }));
  }

  /** Calls a listener with each line that matches one of the patterns, when it ends. */
  onLine(patterns: readonly Pattern[], listener: (line: string) => void): Hook {
    this.#lineListeners.set(listener, patterns);
    const remove = () => void this.#lineListeners.delete(listener);
    return { remove, [Symbol.dispose]: remove };
  }
  readonly #lineListeners: Map<(line: string) => void, readonly Pattern[]> = new Map();

  /** What was printed and not yet read by `expect`. */
  get pending(): string {
    return this.#unread.text;
  }

  /**
   * Runs the guest until it has printed a text or a match of a regular expression, after what the last call read; reads up to
   * the end of the match. The guest stops right there. Text that ends in no newline, such as a prompt, is seen at once. A regular expression matches as early as it can: `/\d+/` finds the first digit
   * of a number, `/(\d+)\n/` all of it.
   *
   * @param pattern One, or several of which the one that begins first counts.
   * @throws {ExpectError} If it does not come in time (10 virtual seconds if `within` does not say otherwise), the run ends, or
   * something of `failOn` comes first.
   * @throws {OptionError} If the output of this console is not kept.
   */
  expect(pattern: Pattern | readonly Pattern[], options: ExpectOptions = {}): Promise<ExpectResult> {
    if (this.driver === null || !this.keep) {
      return Promise.reject(new OptionError(`expect: the output of ${this.name} is not kept here`));
    }
    return expectText(this.#unread, pattern, options, this.driver, (expectation) => {
      this.#expectations.add(expectation);
      return () => this.#expectations.delete(expectation);
    });
  }

  /** Types a line: the text and `lineEnd`. */
  sendLine(line = ""): void {
    this.send(line + this.lineEnd);
  }

  /**
   * Runs the guest until its TAP (Test Anything Protocol 13 and 14) or KTAP output is complete, and gives the results.
   *
   * @param context The `t` of `Deno.test` or `node:test`: each result becomes a sub-test of it.
   * @throws {TapError} If a test failed and no `context` is given, or the plan is not met.
   * @throws {ExpectError} As `expect`.
   */
  tap(context?: TapContext | null, options: ExpectOptions = {}): Promise<TapReport> {
    return runTap((pattern) => this.expect(pattern, options), context ?? null);
  }
  /** The same for KUnit, whose KTAP the kernel prints with its log. */
  kunit(context?: TapContext | null, options: ExpectOptions = {}): Promise<TapReport> {
    return this.tap(context, options);
  }

  /** All bytes printed since power-on, while `keep` was set. */
  get bytes(): Uint8Array {
    const parts = [...this.#chunks, this.#open.subarray(0, this.#used)];
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  /** All that was printed, decoded as UTF-8. */
  get output(): string {
    return new TextDecoder().decode(this.bytes);
  }

  /** Types text (UTF-8) or bytes. They reach the guest as fast as its receiver takes them; nothing is lost. */
  send(data: string | Uint8Array): void {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    for (const byte of bytes) this.#input.push(byte);
    if (this.keep && bytes.length > 0) {
      this.#transcript.push({ nanoseconds: this.driver?.now() ?? 0, start: 0, length: 0, typed: bytes.slice() });
    }
    this.deliver();
    this.onInput();
  }

  /** Bytes typed but not yet taken by the guest. */
  get unread(): number {
    return this.#input.length - this.#taken;
  }

  /** Hands the receiver what it can take. */
  deliver(): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    while (this.#taken < this.#input.length && receiver.receiverSpace() > 0) {
      receiver.receive(this.#input[this.#taken++]!);
    }
    if (2 * this.#taken >= this.#input.length) {
      this.#input.splice(0, this.#taken);
      this.#taken = 0;
    }
  }
}
