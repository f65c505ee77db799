// Figures about what was compiled and how much it is used, for `-accel jit,stats=on`.

/**
 * Why compiled code gave control back to the interpreter. Each stretch of compiled code, which may go through many regions,
 * ends in one of these ways.
 *
 * @example
 * ```ts
 * import { Machine, type CompiledExits } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf", accel: "jit,threshold=2" });
 * await machine.run();
 * const exits: CompiledExits | undefined = machine.compilerStatistics?.exits;
 * console.log(exits?.slice, exits?.trap);
 * ```
 */
export interface CompiledExits {
  /** Fewer instructions remained, until the machine looks at time and interrupts, than a region may take at once. */
  slice: number;
  /**
   * Execution went on where nothing is compiled: on a way that had not been executed when the region was made, at an
   * instruction for the interpreter, or in code that is not hot yet.
   */
  notCompiled: number;
  /** An exception. */
  trap: number;
  /** Something had to be looked at after an instruction: a device, a timer, an overwritten region, a jump over 4 GiB. */
  attention: number;
  /** An access by virtual address to something else than plain RAM: a device, a page that is not there, watched memory. */
  missed: number;
  /** A region did nothing: what it assumes of a register's value does not hold, or it starts with a jump that will trap. */
  refused: number;
}

/**
 * Figures of the compiler and of compiled code.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf", accel: "jit,threshold=2" });
 * await machine.run();
 * console.log(machine.compilerStatistics?.regions, machine.compilerStatistics?.executed);
 * ```
 */
export interface CompilerStatistics {
  /** Regions that were compiled. */
  regions: number;
  /** Guest instructions in them. */
  instructions: number;
  /** Characters of JavaScript that were made. */
  textLength: number;
  /**
   * Time spent on it, in milliseconds: reading the guest's code, making JavaScript, V8's first compilation of that, but not
   * its optimising compilers, which run beside. 0 unless a stopwatch was given.
   */
  milliseconds: number;
  /** Instructions that were executed in compiled code. */
  executed: number;
  /** How often control went from the interpreter to compiled code. */
  entries: number;
  /** How often it went from one region to another without a call from region to region. */
  links: number;
  /** How often a region called a function that was not compiled; the interpreter runs it then. */
  callsNotCompiled: number;
  /** Why control came back. */
  readonly exits: CompiledExits;
  /** Regions that were dropped since the guest wrote over their instructions. */
  dropped: number;
  /** How often a region was compiled anew since it had assumed too much of a register's value. */
  refusals: number;
  /** How often everything was dropped, since the cache was full or breakpoints changed. */
  flushes: number;
}

/** Figures before anything was compiled. */
export function noStatistics(): CompilerStatistics {
  return {
    regions: 0,
    instructions: 0,
    textLength: 0,
    milliseconds: 0,
    executed: 0,
    entries: 0,
    links: 0,
    callsNotCompiled: 0,
    exits: { slice: 0, notCompiled: 0, trap: 0, attention: 0, missed: 0, refused: 0 },
    dropped: 0,
    refusals: 0,
    flushes: 0,
  };
}

/** Figures of several compilers together. */
export function sumOfStatistics(all: readonly CompilerStatistics[]): CompilerStatistics {
  const sum = noStatistics();
  for (const { exits, ...figures } of all) {
    for (const [key, value] of Object.entries(figures)) sum[key as keyof typeof figures] += value;
    for (const [key, value] of Object.entries(exits)) sum.exits[key as keyof CompiledExits] += value;
  }
  return sum;
}
