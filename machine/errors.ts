// Errors that a user can cause. Each message says what is wrong, where, and what to do.

import type { Stop } from "./stop.ts";

/** Base of all errors that hartbeat throws because of what it was given. */
export class HartbeatError extends Error {
  /** The class's name. */
  override name = "HartbeatError";
}

/** An option or option value that does not exist or does not fit the others. */
export class OptionError extends HartbeatError {
  /** The class's name. */
  override name = "OptionError";
}

/** A file that cannot be loaded: not an ELF, truncated, for another machine, outside of RAM. */
export class LoadError extends HartbeatError {
  /** The class's name. */
  override name = "LoadError";
}

/** What a console was expected to print did not come. The message holds a report on where the guest was. */
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

/** A hook threw. The machine is as it was when the hook was called, and can go on. */
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

/** An address with no memory behind it, given by a script or the debugger. */
export class AddressError extends HartbeatError {
  /** The class's name. */
  override name = "AddressError";
}
