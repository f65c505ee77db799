// `machine.debug`: the debugger's door, for scripts.

import { debugAccess } from "./debug_access.ts";
import type { Machine } from "./machine.ts";

/**
 * Where a GDB server listens, and how.
 *
 * @example
 * ```ts
 * import { Machine, type ListenOptions } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * // `target remote :PORT`, with the machine held until GDB says `continue`.
 * const options: ListenOptions = { port: 0, halt: true };
 * await using server = await machine.debug.listen(options);
 * console.log(server.port);
 * ```
 */
export interface ListenOptions {
  /** Port; any free one if 0. Default 1234, QEMU's. */
  readonly port?: number;
  /** Name or address of the interface. Default 127.0.0.1; GDB's protocol has no passwords, so think before you open another. */
  readonly host?: string;
  /** Hold the machine before its next instruction until a client lets it go, as `-S`. Default false. */
  readonly halt?: boolean;
  /** Tell clients where RAM and ROM are. GDB then accesses nothing else, devices neither. Default false. */
  readonly memoryMap?: boolean;
}

/**
 * A GDB server.
 *
 * @example
 * ```ts
 * import { Machine, type DebugServer } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const server: DebugServer = await machine.debug.listen({ port: 0 });
 * console.log(server.port);
 * await server.close();
 * ```
 */
export interface DebugServer extends AsyncDisposable {
  /** The port. */
  readonly port: number;
  /** Ends the connection, if there is one, and listens no more. A machine that the client held stays held. */
  close(): Promise<void>;
}

/**
 * The debugger's door of a machine.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * await using server = await machine.debug.listen({ port: 0 });
 * console.log("target remote :" + server.port);
 * ```
 */
export class Debugging {
  readonly #machine: Machine;

  /** For the machine. */
  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /**
   * Starts a GDB server (`target remote :1234`). The guest executes while `machine.run` runs, and a client decides when it is
   * held; `run` then waits. GDB's `kill` ends the run with `stopped`.
   *
   * @throws {OptionError} If the port cannot be had, or this runtime has no TCP.
   */
  async listen(options: ListenOptions = {}): Promise<DebugServer> {
    // Only who debugs loads the server.
    const { startGdbServer } = await import("../debug/gdb_server.ts");
    const { port = 1234, host = "", halt = false, memoryMap = false } = options, machine = this.#machine;
    const listener = await startGdbServer(machine, {
      option: `listen({ port: ${port} })`,
      host,
      port,
      memoryMap,
      monitor: { quit: () => machine.stop() },
      kill: () => machine.stop(),
    });
    if (halt) debugAccess(machine).control.halt();
    return { port: listener.port, close: () => listener.close(), [Symbol.asyncDispose]: () => listener.close() };
  }

  /** Whether the machine is held by a debugger. */
  get halted(): boolean {
    return debugAccess(this.#machine).control.halted;
  }
}
