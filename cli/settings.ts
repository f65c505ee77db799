// What a command line asks for.

import type { MachineOptions } from "../machine/options.ts";
import type { Chardev } from "./device_options.ts";

/** What can be logged with `-d`, with a line for `-d help`. */
export const LOG_ITEMS = {
  in_asm: "each instruction when it is first executed, in objdump's syntax",
  int: "each exception and interrupt",
  exec: "each executed instruction",
  jit: "each region of guest code that is compiled: why, its instructions, their IR, the JavaScript",
} as const;

/** An item of `-d`. */
export type LogItem = keyof typeof LOG_ITEMS;

/** Where the serial line goes to and comes from. */
export type Serial =
  /** Standard input and output; `escapes`: Ctrl-A is for hartbeat. */
  | { readonly kind: "stdio"; readonly escapes: boolean }
  /** Output to a file, no input. */
  | { readonly kind: "file"; readonly path: string }
  /** Nowhere. */
  | { readonly kind: "null" };

/** Shells that there are completions for, with where each looks for them. */
export const SHELLS = {
  bash: "~/.local/share/bash-completion/completions/hartbeat",
  zsh: "_hartbeat in a folder of $fpath",
  fish: "~/.config/fish/completions/hartbeat.fish",
} as const;

/** A shell that there are completions for. */
export type Shell = keyof typeof SHELLS;

/** Something to print in place of running a machine. */
export type Listing =
  | "help"
  | "version"
  | "machines"
  | "cpus"
  | "accelerators"
  | "log items"
  | "devices"
  | "device properties"
  | "shells"
  | `completions for ${Shell}`;

/** What a command line asks for. */
export interface Settings {
  /** For `Machine.create`. */
  machine: { -readonly [K in keyof MachineOptions]: MachineOptions[K] };
  /** The serial line; undefined: not chosen. */
  serial?: Serial;
  /** `-rtc clock=host`. */
  hostClock: boolean;
  /** `-rtc base=`: a date, `utc` or `localtime`; undefined: not chosen. */
  rtcBase?: string;
  /** `-d`. */
  log: Set<LogItem>;
  /** `-dfilter`: ranges of addresses, read when the machine's symbols are known. */
  logFilter?: string;
  /** `-D`; standard error where absent. */
  logFile?: string;
  /** `-machine dumpdtb=FILE`. */
  deviceTreeFile?: string;
  /** `-s`, `-gdb`: where to wait for GDB. */
  gdb?: { readonly host: string; readonly port: number };
  /** `-monitor`. */
  monitor?: { readonly kind: "stdio" } | { readonly kind: "tcp"; readonly host: string; readonly port: number };
  /** `-S`: hold the machine before its first instruction. */
  halted?: boolean;
  /** `-script`: modules that get the machine. */
  scripts?: string[];
  /** `-serial chardev:ID` and `-mon ID`, until all options are known. */
  serialChardev?: string;
  monitorChardev?: string;
  /** `-chardev`: where each goes to. */
  chardevs?: readonly Chardev[];
  /** Print this and end. */
  listing?: Listing;
  /** The model whose properties are listed. */
  deviceModel?: string;
}
