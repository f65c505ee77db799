// Why a run ended.

/**
 * What every stop tells.
 *
 * @example
 * ```ts
 * import { Machine, type StopBase } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const at = ({ hart, pc, instructions }: StopBase) => `hart ${hart} at ${pc} after ${instructions} instructions`;
 * console.log(at(await machine.run()));
 * ```
 */
export interface StopBase {
  /** Number of the hart that executed last, or that is about to execute the instruction at a breakpoint. */
  readonly hart: number;
  /** Address of the instruction that it would execute next. */
  readonly pc: bigint;
  /** Instructions executed since power-on, by all harts. */
  readonly instructions: number;
}

/** The kinds of stops. */
export const STOP_KINDS = [
  "exit",
  "reset",
  "breakpoint",
  "budget",
  "deadlock",
  "stopped",
  "paused",
  "trap-loop",
  "reset-loop",
  "invalid-jump",
  "no-progress",
  "panic",
] as const;

/**
 * Why `run` returned.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const stop = await machine.run({ maxInstructions: 1_000_000 });
 * if (stop.kind === "exit") console.log("exit code", stop.code);
 * else console.log(machine.explain(stop));
 * ```
 */
export type Stop =
  & StopBase
  & (
    /** The guest ended the machine (test finisher, HTIF): its exit code. */
    | { readonly kind: "exit"; readonly code: number }
    /** The guest reset the machine, and `reboot` is false. */
    | { readonly kind: "reset" }
    /** Reached the `until` address. */
    | { readonly kind: "breakpoint" }
    /** Executed `maxInstructions`, or `maxVirtualSeconds` passed. */
    | { readonly kind: "budget" }
    /**
     * Nothing can happen any more: every hart waits (WFI) or jumps to itself, and nothing inside the machine will raise an
     * interrupt that it takes; console input might.
     */
    | { readonly kind: "deadlock" }
    /** The guest takes the same trap at the same place again and again, in its trap handler perhaps. */
    | { readonly kind: "trap-loop" }
    /** The guest resets the machine again and again. */
    | { readonly kind: "reset-loop" }
    /** The guest has jumped to where nothing can be executed. */
    | { readonly kind: "invalid-jump" }
    /** The guest is in a loop that changes nothing, which no interrupt can end. */
    | { readonly kind: "no-progress" }
    /** The guest has called a function, or printed a text, that says that it gives up: `what`. */
    | { readonly kind: "panic"; readonly what: string }
    /** `stop()` was called. */
    | { readonly kind: "stopped" }
    /** Something that a console was expected to print was printed. */
    | { readonly kind: "paused" }
  );

/** What is known of a stop before the run has ended. */
export type StopCause = Stop extends infer S ? S extends Stop ? Omit<S, keyof StopBase> : never : never;
