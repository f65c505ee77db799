// Options of the command for those who look into the guest: GDB, monitor, semihosting.

import { OptionError } from "../machine/errors.ts";
import type { SemihostingOptions } from "../machine/options.ts";
import type { CommandOption } from "./options.ts";
import { readProperties, readSwitch, splitCommas, unknownValue } from "./properties.ts";

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

/** Reads `-semihosting-config`; naming it switches semihosting on, as in QEMU. */
function readSemihosting(option: string, text: string): SemihostingOptions | false {
  const known = ["enable", "target", "chardev", "userspace", "arg", "folder"], args: string[] = [];
  // `arg` may be there several times.
  const rest = splitCommas(text).filter((part) => {
    if (part.startsWith("arg=")) args.push(part.slice(4));
    return !part.startsWith("arg=");
  });
  const properties = readProperties(option, rest.map((part) => part.replaceAll(",", ",,")).join(","), "enable", known);
  const read = (key: string) => properties.has(key) && readSwitch(`${option} ${key}=`, properties.get(key)!);
  const target = properties.get("target") ?? "auto", folder = properties.get("folder");
  if (target === "gdb") {
    throw new OptionError(`${option} target=gdb: calls are answered here, never by GDB; write native or auto`);
  }
  if (target !== "native" && target !== "auto") unknownValue(`${option} target=`, target, ["native", "auto"]);
  if (properties.has("chardev")) throw new OptionError(`${option} chardev=: not supported yet`);
  const userspace = read("userspace");
  if (properties.get("enable") !== undefined && properties.get("enable") !== "" && !read("enable")) return false;
  return { userspace, ...(args.length > 0 && { args }), ...(folder !== undefined && { folder }) };
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
    names: ["semihosting"],
    group: "Debugging",
    help: "answer semihosting calls; more with -semihosting-config",
    apply(settings) {
      const { semihosting } = settings.machine;
      settings.machine.semihosting = typeof semihosting === "object" ? semihosting : true;
    },
  },
  {
    names: ["semihosting-config"],
    argument: "arg=A,folder=DIR",
    group: "Debugging",
    help: "arguments, where its files are; more: enable=off, userspace=on",
    apply(settings, value, option) {
      settings.machine.semihosting = readSemihosting(option, value);
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
