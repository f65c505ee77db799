// Errors that a user can cause. Each message says what is wrong, where, and what to do.

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

/** An address with no memory behind it, given by a script or the debugger. */
export class AddressError extends HartbeatError {
  /** The class's name. */
  override name = "AddressError";
}
