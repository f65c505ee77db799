// The monitors of a running machine: on the console behind Ctrl-A C, on a port, from GDB.

import type { Machine } from "../machine/machine.ts";
import { Monitor, type MonitorHost } from "../debug/monitor.ts";
import { MonitorTerminal } from "../debug/monitor_terminal.ts";
import { listen, type Listener } from "../debug/tcp.ts";
import { VERSION } from "./version.ts";

/** A monitor for the console. */
export function consoleMonitor(machine: Machine, host: MonitorHost, write: (text: string) => void, echo: boolean) {
  return new MonitorTerminal(new Monitor(machine, host), { write, echo, version: VERSION });
}

/**
 * Listens for whoever wants a monitor.
 *
 * @throws {OptionError} If the port cannot be had.
 */
export async function listenForMonitor(
  machine: Machine,
  host: MonitorHost,
  address: { readonly host: string; readonly port: number },
): Promise<Listener> {
  const encoder = new TextEncoder();
  return await listen(address, `-monitor tcp:${address.host}:${address.port}`, (socket) => {
    const write = (text: string) => void socket.write(encoder.encode(text.replaceAll("\n", "\r\n")));
    const terminal = new MonitorTerminal(new Monitor(machine, host), { write, echo: false, version: VERSION });
    terminal.open();
    return { receive: (bytes) => terminal.receive(bytes), closed: () => {} };
  });
}
