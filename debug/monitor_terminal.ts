// A monitor at the end of a line: prompt, line editing, history. Bytes in, text out.

import type { Monitor } from "./monitor.ts";

/** What ends every answer: QEMU's, which scripts wait for. */
const PROMPT = "(qemu) ";

const BACKSPACE = 8, LINE_FEED = 10, RETURN = 13, CTRL_C = 3, CTRL_U = 21, ESCAPE = 27, DELETE = 127;
/** Longest line. */
const LIMIT = 4096;
/** Lines that are remembered. */
const HISTORY = 100;

/** How a terminal is connected. */
export interface TerminalOptions {
  readonly write: (text: string) => void;
  /** Whether what is typed is shown and edited here: the other end is a raw terminal. */
  readonly echo: boolean;
  /** Version in the greeting. */
  readonly version: string;
}

/** A monitor with who types at it. */
export class MonitorTerminal {
  readonly #monitor: Monitor;
  readonly #options: TerminalOptions;
  readonly #history: string[] = [];
  /** Index of the line of the history that is shown. */
  #shown = 0;
  #line = "";
  /** What came of an escape sequence. */
  #sequence = "";
  #lastReturn = false;
  readonly #decoder = new TextDecoder();
  #greeted = false;

  constructor(monitor: Monitor, options: TerminalOptions) {
    this.#monitor = monitor;
    this.#options = options;
  }

  /** Greets whoever comes for the first time, and shows the prompt. */
  open(): void {
    if (!this.#greeted) this.#write(`hartbeat ${this.#options.version} monitor - type 'help' for more information\n`);
    this.#greeted = true;
    this.#write(PROMPT + this.#line);
  }

  #write(text: string): void {
    this.#options.write(this.#options.echo ? text.replaceAll("\n", "\r\n") : text);
  }

  /** Takes what was typed. */
  receive(bytes: Uint8Array): void {
    for (const character of this.#decoder.decode(bytes, { stream: true })) this.#take(character);
  }

  #take(character: string): void {
    const code = character.charCodeAt(0), afterReturn = this.#lastReturn;
    this.#lastReturn = code === RETURN;
    if (this.#sequence !== "") return this.#escaped(character);
    switch (code) {
      case LINE_FEED:
        if (!afterReturn) this.#enter();
        return;
      case RETURN:
        return this.#enter();
      case ESCAPE:
        this.#sequence = character;
        return;
      case BACKSPACE:
      case DELETE:
        return this.#show(this.#line.slice(0, -1));
      case CTRL_C:
      case CTRL_U:
        return this.#show("");
    }
    if (code < 32 || this.#line.length >= LIMIT) return;
    this.#line += character;
    if (this.#options.echo) this.#write(character);
  }

  /** Replaces the line. */
  #show(line: string): void {
    if (this.#options.echo) this.#write(`\r\x1b[K${PROMPT}${line}`);
    this.#line = line;
  }

  /** Arrow keys up and down. */
  #escaped(character: string): void {
    this.#sequence += character;
    if (this.#sequence === "\x1b[" || this.#sequence === "\x1bO") return;
    const key = this.#sequence.at(-1);
    this.#sequence = "";
    if (key !== "A" && key !== "B") return;
    this.#shown = Math.min(Math.max(this.#shown + (key === "A" ? -1 : 1), 0), this.#history.length);
    this.#show(this.#history[this.#shown] ?? "");
  }

  #enter(): void {
    const line = this.#line;
    this.#line = "";
    if (this.#options.echo) this.#write("\n");
    if (line.trim() !== "" && this.#history.at(-1) !== line) this.#history.push(line);
    if (this.#history.length > HISTORY) this.#history.shift();
    this.#shown = this.#history.length;
    this.#write(this.#monitor.execute(line) + PROMPT);
  }
}
