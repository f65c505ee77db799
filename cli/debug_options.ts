// Options of the command for those who look into the guest: GDB, monitor, semihosting.

import { OptionError } from "../machine/errors.ts";
import type { CommandOption } from "./options.ts";
import { readProperties, readSwitch } from "./properties.ts";

/** Reads `tcp:HOST:PORT`, with properties that say what is so anyway. */
export function readTcp(option: string, text: string): { readonly host: string; readonly port: number } {
  const match = /^tcp:(?:\[([^\]]*)\]|([^:,]*)):(\d+)((?:,[^,]+)*)$/.exec(text), port = Number(match?.[3]);
  if (match === null || port > 65535) {
    if (/^(stdio|pty|chardev:|unix:|telnet:|udp:|pipe:|file:|\/dev\/)/.test(text)) {
      throw new OptionError(`${option} ${text}: not supported yet`);
    }
    throw new OptionError(`${option} ${text}: not an address; write tcp::1234 or tcp:127.0.0.1:1234`);
  }
  const known = ["server", "wait", "nodelay", "ipv4", "ipv6"];
  const properties = readProperties(option, `tcp${match[4]}`, "kind", known);
  for (const key of known) {
    const on = properties.has(key) && readSwitch(`${option} ${key}=`, properties.get(key)!);
    if (properties.has(key) && (key === "server" ? !on : key === "wait" && on)) {
      throw new OptionError(
        `${option} ${key}=${properties.get(key)}: hartbeat listens and does not wait; use -S to hold the guest`,
      );
    }
  }
  return { host: match[1] ?? match[2]!, port };
}

/** The options, for the table of all. */
export const DEBUG_OPTIONS: readonly CommandOption[] = [
  {
    names: ["s"],
    group: "Debugging",
    help: "wait for GDB (target remote :1234), as -gdb tcp::1234",
    apply(settings) {
      settings.gdb = { host: "", port: 1234 };
    },
  },
  {
    names: ["S"],
    group: "Debugging",
    help: "hold the machine before its first instruction: GDB or the monitor lets it go",
    apply(settings) {
      settings.halted = true;
    },
  },
  {
    names: ["monitor"],
    argument: "stdio|tcp:HOST:PORT|none",
    group: "Debugging",
    help: "where the monitor is, beside Ctrl-A C on the console",
    apply(settings, value, option) {
      if (value === "none" || value === "null") delete settings.monitor;
      else if (value === "stdio") settings.monitor = { kind: "stdio" };
      else settings.monitor = { kind: "tcp", ...readTcp(option, value) };
    },
  },
  {
    names: ["gdb"],
    argument: "tcp:HOST:PORT",
    group: "Debugging",
    help: "wait for GDB there; without HOST on 127.0.0.1; none",
    apply(settings, value, option) {
      if (value === "none") delete settings.gdb;
      else settings.gdb = readTcp(option, value);
    },
  },
];
