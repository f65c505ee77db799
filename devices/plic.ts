// The platform-level interrupt controller: 95 sources, a context for each hart and privilege level. Register map of SiFive's
// FU540-C000 manual, chapter "Platform-Level Interrupt Controller (PLIC)" (RISC-V PLIC specification); what neither settles is as
// in QEMU 7.2.

import type { AccessRule, Device, InterruptLine, Width } from "./device.ts";

/** What a `Plic` is connected to. */
export interface PlicOptions {
  /** Name for messages, e.g. `plic@c000000`. */
  readonly name: string;
  /** Length of the register block in bytes. */
  readonly size: number;
  /** Interrupt sources, 1 to this number. At most 1023. */
  readonly sources: number;
  /** Largest priority and threshold: a power of two less 1. */
  readonly maxPriority: number;
  /** Where each context's notification goes. */
  readonly contexts: readonly InterruptLine[];
}

const PENDING = 0x1000, ENABLE = 0x2000, ENABLE_STRIDE = 0x80;
const CONTEXT = 0x20_0000, CONTEXT_STRIDE = 0x1000, THRESHOLD = 0, CLAIM = 4;

/** What `snapshot` returns. */
interface State {
  priority: Uint32Array;
  level: Uint8Array;
  pending: Uint8Array;
  claimed: Uint8Array;
  enable: Uint32Array[];
  threshold: Uint32Array;
}

/** A SiFive PLIC. */
export class Plic implements Device {
  /** Name for messages. */
  readonly name: string;
  /** Length of the register block in bytes. */
  readonly size: number;
  /** Words only, as in QEMU. */
  readonly access: AccessRule = { min: 4, max: 4 };

  readonly #sources: number;
  readonly #maxPriority: number;
  readonly #contexts: readonly InterruptLine[];
  /** By source. */
  readonly #priority: Uint32Array;
  readonly #level: Uint8Array;
  readonly #pending: Uint8Array;
  readonly #claimed: Uint8Array;
  /** By context, in words of 32 sources. */
  readonly #enable: Uint32Array[];
  readonly #threshold: Uint32Array;

  /** Connects the PLIC and puts it into its reset state. */
  constructor(options: PlicOptions) {
    this.name = options.name;
    this.size = options.size;
    this.#sources = options.sources;
    this.#maxPriority = options.maxPriority;
    this.#contexts = options.contexts;
    this.#priority = new Uint32Array(options.sources + 1);
    this.#level = new Uint8Array(options.sources + 1);
    this.#pending = new Uint8Array(options.sources + 1);
    this.#claimed = new Uint8Array(options.sources + 1);
    const words = Math.ceil((options.sources + 1) / 32);
    this.#enable = options.contexts.map(() => new Uint32Array(words));
    this.#threshold = new Uint32Array(options.contexts.length);
    this.reset();
  }

  /** The wire of a source, 1 to `sources`. */
  line(source: number): InterruptLine {
    return {
      set: (level) => {
        this.#level[source] = level ? 1 : 0;
        // The gateway forwards no further request before the last one was completed.
        if (level && this.#claimed[source] === 0) this.#pending[source] = 1;
        this.#notify();
      },
    };
  }

  /** Enabled sources in word `word` of context `context`. */
  #enabled(context: number, source: number): boolean {
    return (this.#enable[context]![source >>> 5]! >>> (source & 31) & 1) !== 0;
  }

  /** The pending source of highest priority above the threshold, the lowest among equals; 0 if there is none. */
  #best(context: number): number {
    let best = 0, highest = this.#threshold[context]!;
    for (let source = 1; source <= this.#sources; source++) {
      if (this.#pending[source] === 0 || this.#priority[source]! <= highest || !this.#enabled(context, source)) {
        continue;
      }
      best = source;
      highest = this.#priority[source]!;
    }
    return best;
  }

  #notify(): void {
    this.#contexts.forEach((line, context) => line.set(this.#best(context) !== 0));
  }

  #claim(context: number): number {
    const source = this.#best(context);
    if (source !== 0) {
      this.#pending[source] = 0;
      this.#claimed[source] = 1;
      this.#notify();
    }
    return source;
  }

  /** A completion by a context that has the source not enabled is ignored. */
  #complete(context: number, source: number): void {
    if (source === 0 || source > this.#sources || !this.#enabled(context, source)) return;
    this.#claimed[source] = 0;
    if (this.#level[source] !== 0) this.#pending[source] = 1;
    this.#notify();
  }

  /** Reads a word; offsets without a register read as zero. Reading a claim register claims. */
  read(offset: number, _width: Width): number {
    if (offset < PENDING) return this.#priority[offset >> 2] ?? 0;
    if (offset < ENABLE) return this.#pendingWord((offset - PENDING) >> 2);
    if (offset < CONTEXT) {
      const context = Math.floor((offset - ENABLE) / ENABLE_STRIDE);
      return this.#enable[context]?.[(offset - ENABLE) % ENABLE_STRIDE >> 2] ?? 0;
    }
    const context = Math.floor((offset - CONTEXT) / CONTEXT_STRIDE), register = (offset - CONTEXT) % CONTEXT_STRIDE;
    if (context >= this.#contexts.length) return 0;
    if (register === THRESHOLD) return this.#threshold[context]!;
    return register === CLAIM ? this.#claim(context) : 0;
  }

  #pendingWord(word: number): number {
    let bits = 0;
    for (let k = 0; k < 32; k++) bits |= (this.#pending[32 * word + k] ?? 0) << k;
    return bits >>> 0;
  }

  /** Writes a word. Pending bits are read-only, and source 0 does not exist. */
  write(offset: number, _width: Width, value: number): void {
    if (offset < PENDING) {
      const source = offset >> 2;
      if (source === 0 || source > this.#sources) return;
      this.#priority[source] = value & this.#maxPriority;
    } else if (offset < ENABLE) return;
    else if (offset < CONTEXT) {
      const words = this.#enable[Math.floor((offset - ENABLE) / ENABLE_STRIDE)];
      const word = (offset - ENABLE) % ENABLE_STRIDE >> 2;
      if (words === undefined || word >= words.length) return;
      words[word] = word === 0 ? value & ~1 : value;
    } else {
      const context = Math.floor((offset - CONTEXT) / CONTEXT_STRIDE), register = (offset - CONTEXT) % CONTEXT_STRIDE;
      if (context >= this.#contexts.length) return;
      if (register === THRESHOLD) this.#threshold[context] = value & this.#maxPriority;
      else if (register === CLAIM) return this.#complete(context, value);
    }
    this.#notify();
  }

  /** Everything is 0; the wires of the sources are as the devices drive them. */
  reset(): void {
    for (const words of [this.#priority, this.#pending, this.#claimed, this.#threshold, ...this.#enable]) words.fill(0);
    this.#pending.set(this.#level);
    this.#notify();
  }

  /** All registers and wires. */
  snapshot(): unknown {
    const state: State = {
      priority: this.#priority.slice(),
      level: this.#level.slice(),
      pending: this.#pending.slice(),
      claimed: this.#claimed.slice(),
      enable: this.#enable.map((words) => words.slice()),
      threshold: this.#threshold.slice(),
    };
    return state;
  }

  /** Puts back what `snapshot` gave, of a PLIC with as many sources and contexts. */
  restore(state: unknown): void {
    const saved = state as State;
    this.#priority.set(saved.priority);
    this.#level.set(saved.level);
    this.#pending.set(saved.pending);
    this.#claimed.set(saved.claimed);
    this.#enable.forEach((words, context) => words.set(saved.enable[context]!));
    this.#threshold.set(saved.threshold);
    this.#notify();
  }
}
