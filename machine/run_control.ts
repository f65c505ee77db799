// Holding and letting go a machine from outside of the script that runs it, as a debugger and a monitor do.
//
// `Machine.run` goes on as long as nobody holds the machine, and waits while somebody does. So who runs the machine need not
// know of debuggers, and they need not run it.

/** Why a machine was halted. */
export type Halt =
  /** It reached a breakpoint of the debugger. */
  | { readonly kind: "breakpoint"; readonly hart: number }
  /** It made the steps that were asked for. */
  | { readonly kind: "step"; readonly hart: number }
  /** A load or store hit a watchpoint: the object that stands for it. */
  | { readonly kind: "watchpoint"; readonly hart: number; readonly watch: object }
  /** Somebody asked for it. */
  | { readonly kind: "asked" }
  /** The guest has ended, with this exit code; the run is over. */
  | { readonly kind: "exit"; readonly code: number };

/** A wish to execute single instructions. */
export interface Step {
  /** Number of the hart that makes it. */
  readonly hart: number;
  /** Whether that hart takes interrupts meanwhile. */
  readonly interrupts: boolean;
  /** Go on while pc is from `start` to before `end`; one instruction where absent. */
  readonly range?: { readonly start: bigint; readonly end: bigint };
}

/** The state between those who hold a machine and its run. */
export class RunControl {
  #halted = false;
  #why: Halt | null = null;
  #step: Step | null = null;
  #only: ReadonlySet<number> | null = null;
  /** Whether a run is in progress. */
  #running = false;
  readonly #listeners = new Set<(halt: Halt) => void>();
  readonly #resumptions = new Set<() => void>();
  /**
   * How many there are who may halt the machine or let it go on at any time: while there are any, a machine that only waits does
   * not end its run.
   */
  attached = 0;
  /** Called when the run must look at this object. For the machine. */
  onChange: () => void = () => {};

  /** True while the machine is held. */
  get halted(): boolean {
    return this.#halted;
  }

  /** Why the machine is held; null while it is not. */
  get why(): Halt | null {
    return this.#halted ? this.#why : null;
  }

  /** Instructions to execute one by one; null: run freely. */
  get step(): Step | null {
    return this.#halted ? null : this.#step;
  }

  /** Tells a listener of each time that the machine is halted. */
  onHalt(listener: (halt: Halt) => void): void {
    this.#listeners.add(listener);
  }
  /** Tells a listener of each time that the machine goes on. */
  onResume(listener: () => void): void {
    this.#resumptions.add(listener);
  }
  /** Tells a listener nothing any more. */
  forget(halt: (halt: Halt) => void, resume: () => void): void {
    this.#listeners.delete(halt);
    this.#resumptions.delete(resume);
  }

  /**
   * Asks for a halt: at once if the machine is not being run, else when the run next looks at the host. Nothing happens where it
   * is halted already.
   */
  halt(): void {
    if (this.#halted) return;
    if (this.#running) this.request({ kind: "asked" });
    else this.stopped({ kind: "asked" });
  }
  #wanted: Halt | null = null;

  /** Asks for a halt after the instruction that is being executed, for a reason. The first that asks gets its reason reported. */
  request(halt: Halt): void {
    this.#wanted ??= halt;
    this.onChange();
  }

  /** The halt that somebody waits for. For the run. */
  get wanted(): Halt | null {
    return this.#wanted;
  }

  /** Whether a hart stands still while others go on. */
  holds(hart: number): boolean {
    return this.#only !== null && !this.#only.has(hart);
  }

  /**
   * Lets the machine go on.
   *
   * @param step What one hart executes step by step, while the others run; null: all run freely.
   * @param only The harts that may execute; null: all.
   */
  resume(step: Step | null = null, only: ReadonlySet<number> | null = null): void {
    this.#step = step;
    this.#only = only;
    if (!this.#halted) return;
    this.#halted = false;
    for (const listener of [...this.#resumptions]) listener();
    this.onChange();
  }

  /** Holds the machine and tells the listeners why: as was asked for, if anybody has asked. */
  stopped(why: Halt): void {
    const halt = why.kind === "exit" ? why : this.#wanted ?? why;
    this.#halted = halt.kind !== "exit";
    this.#why = halt;
    this.#wanted = null;
    this.#step = null;
    for (const listener of [...this.#listeners]) listener(halt);
  }

  /** For the machine: a run begins or ends. */
  set running(running: boolean) {
    this.#running = running;
    if (!running && this.#wanted !== null) this.stopped(this.#wanted);
  }
}
