// The GDB server of a machine: a port, and the stub for whoever connects.

import { debugAccess } from "../machine/debug_access.ts";
import type { Machine } from "../machine/machine.ts";
import { Monitor, type MonitorHost } from "./monitor.ts";
import { GdbStub } from "./stub.ts";
import { type Address, listen, type Listener } from "./tcp.ts";

/** What a server does when a client wants something that is not the guest's. */
export interface GdbServerOptions extends Address {
  /** The option, for messages. */
  readonly option: string;
  /** What monitor commands need (`quit` and others). */
  readonly monitor: MonitorHost;
  /** The client wants the guest killed. */
  readonly kill: () => void;
  /** Whether the client learns where memory is. */
  readonly memoryMap?: boolean;
}

/**
 * Starts a server.
 *
 * @throws {OptionError} If the port cannot be had.
 */
export async function startGdbServer(machine: Machine, options: GdbServerOptions): Promise<Listener> {
  const debug = debugAccess(machine), monitor = new Monitor(machine, options.monitor);
  return await listen(options, options.option, (socket) => {
    const stub = new GdbStub(debug, {
      send: (bytes) => socket.write(bytes),
      monitor: (line) => monitor.execute(line),
      kill: options.kill,
      ...(options.memoryMap !== undefined && { memoryMap: options.memoryMap }),
    });
    return { receive: (bytes) => stub.receive(bytes), closed: () => stub.close() };
  });
}
