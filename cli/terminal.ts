// Standard input as the console's keyboard: raw on a terminal, plain bytes from a pipe, and the keys after Ctrl-A.

import process from "node:process";

/** What happens on the keyboard. */
export interface KeyboardEvents {
  /** Bytes for the guest. */
  input(bytes: Uint8Array): void;
  /** Ctrl-A X. */
  quit(): void;
  /** Ctrl-A H. */
  help(): void;
  /** Ctrl-A C. */
  monitor(): void;
  /** Ctrl-C where it is not for the guest. */
  interrupt(): void;
  /** There will be no more input. */
  end(): void;
}

const CTRL_A = 1, CTRL_C = 3;

/** Finds the keys after Ctrl-A among what is typed. */
export class EscapeKeys {
  readonly #events: Pick<KeyboardEvents, "input" | "quit" | "help" | "monitor">;
  /** The last byte was Ctrl-A. */
  #escaped = false;

  constructor(events: Pick<KeyboardEvents, "input" | "quit" | "help" | "monitor">) {
    this.#events = events;
  }

  /** Takes what was typed: hands on what is for the guest, calls the events for the rest. */
  type(bytes: Uint8Array): void {
    let plain: number[] = [];
    const send = () => {
      if (plain.length > 0) this.#events.input(Uint8Array.from(plain));
      plain = [];
    };
    for (const byte of bytes) {
      if (!this.#escaped) {
        if (byte === CTRL_A) this.#escaped = true;
        else plain.push(byte);
        continue;
      }
      this.#escaped = false;
      const key = String.fromCharCode(byte).toLowerCase();
      if (byte === CTRL_A) plain.push(byte);
      else if (["x", "h", "?", "c"].includes(key)) {
        send();
        if (key === "x") return this.#events.quit();
        if (key === "c") this.#events.monitor();
        else this.#events.help();
      }
      // Any other key is dropped, as QEMU does.
    }
    send();
  }
}

/** Standard input. */
export class Keyboard {
  readonly #escapes: EscapeKeys | undefined;
  readonly #events: KeyboardEvents;
  #raw = false;
  #ended = false;

  /** `escapes`: Ctrl-A is for hartbeat, and Ctrl-C for the guest. */
  constructor(escapes: boolean, events: KeyboardEvents) {
    this.#events = events;
    this.#escapes = escapes ? new EscapeKeys(events) : undefined;
  }

  /** Starts reading. */
  open(): void {
    const { stdin } = process;
    this.#setRaw(true);
    process.on("exit", this.close);
    if (this.#raw) {
      process.on("SIGTSTP", this.#suspend);
      process.on("SIGCONT", this.#resume);
    }
    stdin.on("data", (data: Uint8Array) => this.#type(data));
    stdin.on("end", () => this.#end());
    stdin.on("close", () => this.#end());
    // A closed or lost input is an input that has ended.
    stdin.on("error", () => this.#end());
  }

  /** Puts the terminal back into the state it was in. */
  close = (): void => {
    this.#setRaw(false);
  };

  /** Reads no more for now (true) or goes on (false). */
  hold(on: boolean): void {
    const { stdin } = process;
    if (on === stdin.isPaused() || this.#ended) return;
    if (on) stdin.pause();
    else stdin.resume();
  }

  #type(bytes: Uint8Array): void {
    if (this.#escapes !== undefined) this.#escapes.type(bytes);
    else if (this.#raw && bytes.includes(CTRL_C)) this.#events.interrupt();
    else this.#events.input(bytes);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#events.end();
  }

  #setRaw(raw: boolean): void {
    const { stdin } = process;
    if (!stdin.isTTY || raw === this.#raw) return;
    try {
      stdin.setRawMode(raw);
      this.#raw = raw;
    } catch {
      // The terminal is gone.
    }
  }

  #suspend = (): void => {
    this.#setRaw(false);
    process.kill(process.pid, "SIGSTOP");
  };

  #resume = (): void => this.#setRaw(true);
}
