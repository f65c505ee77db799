// Runs the machine that a command line describes, with its console on standard input and output.

import { closeSync, openSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { startGdbServer } from "../debug/gdb_server.ts";
import type { MonitorHost } from "../debug/monitor.ts";
import type { MonitorTerminal } from "../debug/monitor_terminal.ts";
import type { Listener } from "../debug/tcp.ts";
import { parseAddressRanges } from "../machine/address_range.ts";
import { debugAccess } from "../machine/debug_access.ts";
import { AddressError, HartbeatError, OptionError } from "../machine/errors.ts";
import type { Console } from "../machine/console.ts";
import { Machine } from "../machine/machine.ts";
import { parseAccel } from "../machine/accelerator.ts";
import type { Stop } from "../machine/stop.ts";
import type { Chardev } from "./device_options.ts";
import { KEYS_TEXT } from "./help.ts";
import { openStandard, Output } from "./output.ts";
import { readTcp } from "./debug_options.ts";
import { consoleMonitor, listenForMonitor } from "./monitors.ts";
import { LOG_ITEMS, type LogItem, type Serial, type Settings } from "./settings.ts";
import { statisticsText } from "../debug/statistics_text.ts";
import { Keyboard } from "./terminal.ts";
import { TraceLog } from "./trace_log.ts";
import { VERSION } from "./version.ts";

/** Standard output and error. */
const STDOUT = openStandard(1), STDERR = openStandard(2);
/** What a shell reports for a program that ended because nobody reads its output (128 + SIGPIPE). */
const BROKEN_PIPE = 141;
/** Typed bytes that may wait for the guest before no more are read. */
const TYPED_LIMIT = 1 << 16;
/** Time between two waits for a timer while the guest runs, milliseconds. */
const TIMER_TURN = 50;
/** How long what ends the session waits for the output to be taken, milliseconds. */
const PATIENCE = 1000;

/** Signals that end the machine in good order. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/**
 * Builds and runs a machine until it ends.
 *
 * @returns The exit code of the process.
 * @throws {HartbeatError} If the machine cannot be built or a file cannot be written.
 */
export async function run(settings: Settings): Promise<number> {
  const started = performance.now();
  const base = rtcBase(settings);
  const machine = await Machine.create({
    ...settings.machine,
    accel: accelerator(settings),
    ...(base !== undefined && { rtcBase: base }),
    ...(settings.hostClock && { hostClock: () => (performance.now() - started) * 1e6 }),
  });
  if (settings.deviceTreeFile !== undefined) {
    return writeDeviceTree(settings.deviceTreeFile, machine.deviceTree);
  }
  const { bios = "none", kernel, loaders = [], drives = [] } = settings.machine;
  const hasFlash = drives.some((drive) => drive.interface === "pflash");
  if (bios === "none" && kernel === undefined && loaders.length === 0 && !hasFlash) {
    throw new OptionError("nothing to run: give -bios FILE or -kernel FILE; --help shows all options");
  }
  try {
    return await new Session(machine, settings).run();
  } finally {
    await machine[Symbol.asyncDispose]();
  }
}

/** The accelerator. Where no script could ask what was executed last, that is only noted on request: it costs some speed. */
function accelerator({ machine: { accel = "jit" }, scripts }: Settings): string {
  return scripts !== undefined || parseAccel(accel).history !== undefined ? accel : `${accel},history=off`;
}

/** What the real-time clock begins with: the host's time only if asked for, or where time follows the host's clock. */
function rtcBase({ rtcBase, hostClock }: Settings): Date | string | undefined {
  const now = new Date();
  if (rtcBase === "localtime") return new Date(now.getTime() - now.getTimezoneOffset() * 60_000);
  return rtcBase === "utc" || (rtcBase === undefined && hostClock) ? now : rtcBase;
}

function writeDeviceTree(path: string, bytes: Uint8Array): number {
  try {
    writeFileSync(path, bytes);
  } catch (e) {
    throw new HartbeatError(`dumpdtb=${path}: ${reason(e)}`);
  }
  console.error(`hartbeat: device tree written to ${path}`);
  return 0;
}

function openForWriting(path: string, option: string): number {
  try {
    return openSync(path, "w");
  } catch (e) {
    throw new HartbeatError(`${option}${path}: ${reason(e)}`);
  }
}

/** What went wrong with a file, in words. */
function reason(e: unknown): string {
  const { code, message } = e as { code?: string; message: string };
  switch (code) {
    case "ENOENT":
      return "there is no such folder";
    case "EISDIR":
      return "it is a folder";
    case "EACCES":
    case "EPERM":
    case "NotCapable":
      return "it may not be written";
    case "ENOSPC":
      return "there is no space left";
    default:
      return code ?? message;
  }
}

/** The ranges of `-dfilter`; null where it was not given. */
function readFilter(machine: Machine, text: string | undefined) {
  if (text === undefined) return null;
  try {
    return parseAddressRanges(text, machine.symbols);
  } catch (e) {
    if (!(e instanceof AddressError)) throw e;
    throw new OptionError(`-dfilter ${e.message}`);
  }
}

/** Stops after which the guest would get no further. */
const FAILURES = new Set<Stop["kind"]>(["trap-loop", "reset-loop", "invalid-jump", "no-progress", "panic"]);

/** A running machine and what it is connected to. */
class Session {
  readonly #machine: Machine;
  readonly #serial: Serial;
  /** What standard input is typed at, where it is: the serial line or a `-chardev stdio`. */
  readonly #console: Console;
  readonly #isTyped: boolean;
  /** Files that consoles write to. */
  readonly #files: number[] = [];
  readonly #output = new Output();
  #log: TraceLog;
  readonly #logDescriptor: number;
  readonly #ranges: ReturnType<typeof readFilter>;
  /** `-accel jit,stats=on`. */
  readonly #statistics: boolean;
  readonly #settings: Settings;
  #keyboard: Keyboard | undefined;
  #gdb: Listener | undefined;
  #listener: Listener | undefined;
  #monitor: MonitorTerminal | undefined;
  #typesAtMonitor = false;
  /** Exit code, once something else than the guest has ended the session. */
  #ended: number | undefined;
  #onEnded: () => void = () => {};
  #lastTimerTurn = 0;

  constructor(machine: Machine, settings: Settings) {
    this.#machine = machine;
    this.#settings = settings;
    const chardev = settings.chardevs?.find(({ target }) => target.kind === "stdio");
    if (chardev !== undefined && settings.serial?.kind === "stdio") {
      throw new OptionError(
        `-chardev stdio,id=${chardev.id}: cannot use stdio by multiple character devices; give -serial none`,
      );
    }
    this.#serial = settings.serial ?? (chardev ? { kind: "null" } : { kind: "stdio", escapes: true });
    this.#console = chardev ? machine.chardev(chardev.id) : machine.console;
    this.#isTyped = chardev !== undefined || this.#serial.kind === "stdio";
    this.#statistics = parseAccel(settings.machine.accel ?? "jit").stats;
    this.#ranges = readFilter(machine, settings.logFilter);
    this.#logDescriptor = settings.logFile === undefined ? STDERR : openForWriting(settings.logFile, "-D ");
    this.#log = this.#startLog(settings.log);
    if (this.#statistics) machine.stopwatch = () => performance.now();
  }

  async run(): Promise<number> {
    const serial = this.#serial;
    for (const warning of this.#machine.warnings) this.#say(`warning: ${warning}`);
    if (this.#log.isIdle) this.#say("warning: -d jit logs nothing, since -accel interpreter compiles nothing");
    this.#output.onClosed = (closed, code) => this.#closed(closed, code);
    this.#connectOutput(this.#machine.console, serial, "-serial file:");
    for (const { id, target } of this.#settings.chardevs ?? []) {
      this.#connectOutput(this.#machine.chardev(id), target, "-chardev file,path=");
    }
    this.#machine.onTurn = () => this.#turn();
    for (const signal of SIGNALS) process.on(signal, this.#signal);
    const monitor = this.#settings.monitor?.kind === "stdio";
    if (this.#isTyped || monitor) {
      this.#connectKeyboard(monitor || serial.kind !== "stdio" || serial.escapes);
    }
    try {
      await this.#openDebugging();
      for (const script of this.#settings.scripts ?? []) await this.#startScript(script);
      const stop = await this.#machine.run();
      for (const atEnd of this.#atEnd) await atEnd(stop);
      const code = this.#exitCode(stop);
      const { compilerStatistics: statistics, instructions } = this.#machine;
      if (this.#statistics && statistics !== undefined) {
        for (const line of statisticsText(instructions, statistics)) this.#say(line);
      }
      await this.#output.finish();
      // What went wrong while the last output was written counts, too.
      return this.#ended ?? code ?? await this.#waitForEnd();
    } finally {
      await this.#gdb?.close();
      await this.#listener?.close();
      this.#keyboard?.close();
      for (const descriptor of this.#files) closeSync(descriptor);
    }
  }

  /** Gives the machine to a user's module. */
  async #startScript(path: string): Promise<void> {
    const option = `-script ${path}`;
    let module: { default?: unknown };
    try {
      module = await import(pathToFileURL(resolve(path)).href);
    } catch (e) {
      throw new OptionError(`${option}: ${(e as Error).message}`);
    }
    if (typeof module.default !== "function") {
      throw new OptionError(`${option}: its default export is to be a function, which gets the machine`);
    }
    const atEnd = await module.default(this.#machine, { say: (text: string) => this.#say(text) });
    if (typeof atEnd === "function") this.#atEnd.push(atEnd as (stop: Stop) => unknown);
  }
  readonly #atEnd: ((stop: Stop) => unknown)[] = [];

  /** Sends what the guest writes where the option says. */
  #connectOutput(console: Console, where: Serial | Chardev["target"], option: string): void {
    // Scripts may expect something of it.
    console.keep = this.#settings.scripts !== undefined;
    if (where.kind === "null") return;
    let descriptor = STDOUT;
    if (where.kind === "file") this.#files.push(descriptor = openForWriting(where.path, option));
    console.onOutput = (byte) => this.#output.put(descriptor, byte);
  }

  /** Logs these items from now on, and no others. */
  #startLog(items: ReadonlySet<LogItem>): TraceLog {
    const machine = this.#machine, write = (text: string) => this.#output.write(this.#logDescriptor, text);
    machine.onTrap = machine.onSbiAnswer = machine.onCompile = null;
    const log = new TraceLog(machine, items, this.#ranges, write);
    debugAccess(machine).observer = log.steps ? log : null;
    return log;
  }

  /** What monitors need. */
  readonly #host: MonitorHost = {
    version: VERSION,
    quit: () => this.#end(0),
    log: (text) => {
      const items = text.split(",").filter((item) => item !== "none");
      if (!items.every((item) => item in LOG_ITEMS)) {
        const rows = Object.entries({ none: "remove all logs", ...LOG_ITEMS });
        return ["Log items (comma separated):", ...rows.map(([item, what]) => `${item.padEnd(15)} ${what}`), ""].join(
          "\n",
        );
      }
      this.#log = this.#startLog(new Set(items as LogItem[]));
      return "";
    },
    gdbServer: (device) => {
      void this.#gdb?.close();
      this.#gdb = undefined;
      if (device === "none") return "Disabled gdbserver\n";
      let address;
      try {
        address = readTcp("gdbserver", device);
      } catch (e) {
        return `${(e as Error).message}\n`;
      }
      this.#startGdb(address).catch((e) => this.#say((e as Error).message));
      return `Waiting for gdb connection on device '${device}'\n`;
    },
  };

  async #startGdb(address: { readonly host: string; readonly port: number }): Promise<void> {
    const option = `-gdb tcp:${address.host}:${address.port}`;
    const kill = () => {
      this.#say("terminated via GDBstub");
      this.#end(0);
    };
    this.#gdb = await startGdbServer(this.#machine, { ...address, option, kill, monitor: this.#host });
  }

  /** The monitor on the console. */
  #openMonitor(): MonitorTerminal {
    const write = (text: string) => {
      this.#output.write(STDOUT, text);
      void this.#output.flush();
    };
    return this.#monitor ??= consoleMonitor(this.#machine, this.#host, write, process.stdin.isTTY === true);
  }

  /** Ctrl-A C: what is typed is for the monitor, or for the guest again. */
  #switch(toMonitor: boolean): void {
    this.#typesAtMonitor = toMonitor;
    if (toMonitor) this.#openMonitor().open();
  }

  /** Starts what lets others hold the machine. */
  async #openDebugging(): Promise<void> {
    const { gdb, halted, monitor } = this.#settings, { control } = debugAccess(this.#machine);
    if (halted) control.halt();
    // While somebody may connect, a machine that only waits has not come to its end.
    if (gdb !== undefined || monitor?.kind === "tcp" || monitor?.kind === "stdio") control.attached++;
    if (gdb !== undefined) await this.#startGdb(gdb);
    if (monitor?.kind === "tcp") this.#listener = await listenForMonitor(this.#machine, this.#host, monitor);
    if (monitor?.kind === "stdio") this.#switch(true);
  }

  #say(text: string): void {
    this.#output.write(STDERR, `hartbeat: ${text}\n`);
  }

  #connectKeyboard(escapes: boolean): void {
    const machine = this.#machine;
    this.#keyboard = new Keyboard(escapes, {
      input: (bytes) => {
        if (this.#typesAtMonitor) return this.#openMonitor().receive(bytes);
        this.#console.send(bytes);
        if (this.#console.unread > TYPED_LIMIT) this.#keyboard?.hold(true);
      },
      quit: () => {
        this.#say("terminated");
        this.#end(0);
      },
      help: () => {
        this.#output.write(STDOUT, KEYS_TEXT);
        void this.#output.flush();
      },
      monitor: () => this.#switch(!this.#typesAtMonitor),
      interrupt: () => this.#signal("SIGINT"),
      end: () => {
        machine.interactive = false;
        // Makes a machine that waits for input notice.
        this.#console.send("");
      },
    });
    machine.interactive = true;
    this.#keyboard.open();
  }

  /** Ends the session from outside of the guest. */
  #end(code: number): void {
    this.#ended ??= code;
    this.#output.hurry(PATIENCE);
    this.#machine.stop();
    this.#onEnded();
  }

  #signal = (signal: string): void => {
    if (this.#ended !== undefined) {
      this.#keyboard?.close();
      process.exit(1);
    }
    this.#say(`terminating on signal ${signal}`);
    this.#end(0);
  };

  #closed(descriptor: number, code: string): void {
    if (descriptor === STDERR) return;
    if (descriptor === STDOUT && (code === "EPIPE" || code === "EIO")) return this.#end(BROKEN_PIPE);
    const option = descriptor === STDOUT
      ? "standard output"
      : descriptor === this.#logDescriptor
      ? "-D"
      : "-serial file";
    this.#say(`${option}: ${reason({ code })}`);
    this.#end(1);
  }

  async #turn(): Promise<void> {
    await this.#output.flush();
    if (this.#console.unread <= TYPED_LIMIT) this.#keyboard?.hold(false);
    // On Deno a terminal's input arrives only where timers do; the machine's own turns of the event loop are too short for it.
    if (performance.now() - this.#lastTimerTurn > TIMER_TURN) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      this.#lastTimerTurn = performance.now();
    }
    if (this.#ended !== undefined) this.#machine.stop();
  }

  /** The exit code that a stop stands for; undefined: none, the machine can do nothing more but has not ended. */
  #exitCode(stop: Stop): number | undefined {
    if (stop.kind === "exit") return stop.code;
    if (FAILURES.has(stop.kind)) {
      this.#say(this.#machine.explain(stop));
      return 1;
    }
    if (stop.kind !== "deadlock") return 0;
    const where = this.#machine.symbols.format(stop.pc);
    this.#say(`every hart waits for an interrupt that nothing will raise, at ${where} (0x${stop.pc.toString(16)})`);
    if (!this.#isTyped) return 1;
    this.#say("input has ended, too; the machine stands still until it is terminated (Ctrl-C)");
    return undefined;
  }

  /** Waits until a signal ends the session. */
  async #waitForEnd(): Promise<number> {
    // Something has to keep the process alive.
    const alive = setInterval(() => {}, 2 ** 30);
    await new Promise<void>((resolve) => this.#onEnded = resolve);
    clearInterval(alive);
    await this.#output.finish();
    return this.#ended!;
  }
}
