// Errors that a user can cause. Each message says what is wrong, where, and what to do.

import type { Stop } from "./stop.ts";

/**
 * Base of all errors that hartbeat throws because of what it was given.
 *
 * @example
 * ```ts
 * import { HartbeatError, Machine } from "hartbeat";
 *
 * try {
 *   await Machine.create({ bios: "no/such/kernel.elf" });
 * } catch (error) {
 *   if (!(error instanceof HartbeatError)) throw error;
 *   console.log(error.name, error.message);
 * }
 * ```
 */
export class HartbeatError extends Error {
  /** The class's name. */
  override name = "HartbeatError";
}

/**
 * An option or option value that does not exist or does not fit the others.
 *
 * @example
 * ```ts
 * import { Machine, OptionError } from "hartbeat";
 *
 * await Machine.create({ machine: "vrit" }).catch((error) => console.log(error instanceof OptionError, error.message));
 * ```
 */
export class OptionError extends HartbeatError {
  /** The class's name. */
  override name = "OptionError";
}

/**
 * A file that cannot be loaded: not an ELF, truncated, for another machine, outside of RAM.
 *
 * @example
 * ```ts
 * import { LoadError, Machine } from "hartbeat";
 *
 * await Machine.create({ bios: "mod.ts", kernel: "no/such/file" }).catch((error) => console.log(error instanceof LoadError, error.message));
 * ```
 */
export class LoadError extends HartbeatError {
  /** The class's name. */
  override name = "LoadError";
}

/**
 * What a console was expected to print did not come. The message holds a report on where the guest was.
 *
 * @example
 * ```ts
 * import { ExpectError, Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * await machine.console.expect("login:").catch((error) => {
 *   if (error instanceof ExpectError) console.log(error.stop?.kind, error.unread.length, error.message);
 * });
 * ```
 */
export class ExpectError extends HartbeatError {
  /** The class's name. */
  override name = "ExpectError";
  /** How the run ended; null if it did not. */
  readonly stop: Stop | null;
  /** What was printed and not read. */
  readonly unread: string;

  /** For the console. */
  constructor(message: string, stop: Stop | null, unread: string) {
    super(message);
    this.stop = stop;
    this.unread = unread;
  }
}

/**
 * A hook threw. The machine is as it was when the hook was called, and can go on.
 *
 * @example
 * ```ts
 * import { HookError, Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * machine.hook.instruction("trap", () => {
 *   throw new Error("never again");
 * });
 * await machine.run().catch((error) => console.log(error instanceof HookError, error.pc, error.message));
 * ```
 */
export class HookError extends HartbeatError {
  /** The class's name. */
  override name = "HookError";
  /** Where the guest was: the address of its instruction. */
  readonly pc: bigint;

  /** For the machine. `cause` is what the hook threw. */
  constructor(message: string, pc: bigint, cause: unknown) {
    super(message, { cause });
    this.pc = pc;
  }
}

/**
 * An address with no memory behind it, given by a script or the debugger.
 *
 * @example
 * ```ts
 * import { AddressError, Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * await machine.run({ until: "trapp" }).catch((error) => console.log(error instanceof AddressError, error.message));
 * ```
 */
export class AddressError extends HartbeatError {
  /** The class's name. */
  override name = "AddressError";
}
