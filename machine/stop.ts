// Why a run ended.

/** What every stop tells. */
export interface StopBase {
  /** Number of the hart that executed last, or that is about to execute the instruction at a breakpoint. */
  readonly hart: number;
  /** Address of the instruction that it would execute next. */
  readonly pc: bigint;
  /** Instructions executed since power-on, by all harts. */
  readonly instructions: number;
}

/** Why `run` returned. */
export type Stop =
  & StopBase
  & (
    /** The guest ended the machine (test finisher, HTIF): its exit code. */
    | { readonly kind: "exit"; readonly code: number }
    /** The guest reset the machine, and `reboot` is false. */
    | { readonly kind: "reset" }
    /** Reached the `until` address. */
    | { readonly kind: "breakpoint" }
    /** Executed `maxInstructions`. */
    | { readonly kind: "budget" }
    /** Every hart waits for an interrupt that nothing inside the machine will raise; console input might. */
    | { readonly kind: "deadlock" }
    /** `stop()` was called. */
    | { readonly kind: "stopped" }
  );
