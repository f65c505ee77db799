// The monitor: QEMU's commands about a machine, in QEMU's words, as far as hartbeat has what they are about. Text in, text out.

import { debugAccess } from "../machine/debug_access.ts";
import type { DebugAccess } from "../machine/debug_access.ts";
import type { Machine } from "../machine/machine.ts";
import type { Hart } from "../hart/hart.ts";
import { cpusText, deviceTreeText, memoryTreeText, registerByName, registersText, romsText } from "./machine_info.ts";
import { checksum, dumpMemory, valueText } from "./memory_dump.ts";
import { Arguments, type Format, MonitorError } from "./monitor_expression.ts";
import { pageTableListing, tlbListing } from "./page_table_listing.ts";
import { statisticsText } from "./statistics_text.ts";

/** What the monitor cannot do by itself. */
export interface MonitorHost {
  /** For `info version`. */
  readonly version?: string;
  /** Ends the program that runs the machine. */
  quit(): void;
  /** Starts a GDB server on a device such as `tcp::1234`, or ends it (`none`); gives what is to be said. */
  gdbServer?(device: string): string;
  /** Sets what is logged; gives what is to be said. */
  log?(items: string): string;
}

/** A command. */
interface Command {
  /** Names; help shows them all. */
  readonly names: readonly string[];
  /** Arguments as help shows them. */
  readonly parameters: string;
  /** What help says. */
  readonly help: string;
  run(args: Arguments): string;
}

/** Most bytes that `sum` looks at. */
const MOST_SUMMED = 1n << 31n;

/** A monitor with its own current hart and formats. */
export class Monitor {
  readonly #machine: Machine;
  readonly #debug: DebugAccess;
  readonly #host: MonitorHost;
  #current = 0;
  readonly #format: { format: string; size: number } = { format: "x", size: 4 };
  readonly #commands: readonly Command[];
  readonly #info: readonly Command[];

  constructor(machine: Machine, host: MonitorHost) {
    this.#machine = machine;
    this.#debug = debugAccess(machine);
    this.#host = host;
    this.#info = this.#infoCommands();
    this.#commands = this.#allCommands();
  }

  /** Executes a command line; gives what it prints. */
  execute(line: string): string {
    const [, name = "", rest = ""] = /^\s*(\S*)(.*)$/s.exec(line)!;
    if (name === "") return "";
    // A format may follow the name at once: x/4xw.
    const [, word, format] = /^([^/]*)(\/.*)?$/s.exec(name)!;
    const command = find(this.#commands, word!);
    if (command === undefined) return `unknown command: '${name}'\n`;
    const given = `${format ?? ""}${rest}`;
    if (command.names[0] === "info") return this.#runInfo(given);
    return this.#run(command, word!, given);
  }

  #runInfo(rest: string): string {
    const [, name = "", more = ""] = /^\s*(\S*)(.*)$/s.exec(rest)!;
    if (name === "") return helpOf(this.#info, "info ");
    const command = find(this.#info, name);
    return command === undefined ? `unknown command: 'info ${name}'\n` : this.#run(command, `info ${name}`, more);
  }

  #run(command: Command, name: string, rest: string): string {
    const args = new Arguments(rest, (register) => registerByName(this.#hart, register));
    try {
      const text = command.run(args);
      return args.ended
        ? text
        : `${command.names.join("|")}: extraneous characters at the end of line\n${tryHelp(name)}`;
    } catch (e) {
      if (!(e instanceof MonitorError)) throw e;
      return `${e.message}\n${tryHelp(name)}`;
    }
  }

  get #hart(): Hart {
    return this.#debug.hart(this.#current);
  }

  #allCommands(): readonly Command[] {
    const { control } = this.#debug;
    const command = (names: string, parameters: string, help: string, run: (args: Arguments) => string): Command => ({
      names: names.split("|"),
      parameters,
      help,
      run,
    });
    const silently = (f: () => void) => (args: Arguments) => {
      if (args.ended) f();
      return "";
    };
    return [
      command("bt", "[hart]", "show the call stack of a hart", (args) => this.#backtrace(args)),
      command("cont|c", "", "resume emulation", silently(() => control.resume())),
      command("cpu", "index", "set the default CPU", (args) => {
        const index = args.integer();
        if (index < 0 || index >= this.#debug.harts) return "invalid CPU index\n";
        this.#current = index;
        return "";
      }),
      command(
        "gdbserver",
        "[device]",
        "start gdbserver on given device (default 'tcp::1234'), stop with 'none'",
        (args) => {
          const device = args.word() ?? "tcp::1234";
          return this.#host.gdbServer?.(device) ?? "there is no GDB server to start here\n";
        },
      ),
      command("help|?", "[cmd]", "show the help", (args) => this.#help(args)),
      command("info", "[subcommand]", "show various information about the system state", () => ""),
      command("log", "item1[,...]", "activate logging of the specified items", (args) => {
        const items = args.word();
        if (items === undefined) throw new MonitorError("unexpected end of expression");
        return this.#host.log?.(items) ?? "there is no log here\n";
      }),
      command("print|p", "/fmt expr", "print expression value (use $reg for CPU register access)", (args) => {
        const { format } = args.format(this.#format);
        return `${valueText(format, args.expression())}\n`;
      }),
      command("quit|q", "", "quit the emulator", silently(() => this.#host.quit())),
      command("stop|s", "", "stop emulation", silently(() => control.halt())),
      command("sum", "addr size", "compute the checksum of a memory region", (args) => this.#sum(args)),
      command("system_powerdown", "", "send system power down event", silently(() => {})),
      command("system_reset", "", "reset the system", silently(() => this.#debug.reset())),
      command("x", "/fmt addr", "virtual memory dump starting at 'addr'", (args) => this.#dump(args, this.#current)),
      command("xp", "/fmt addr", "physical memory dump starting at 'addr'", (args) => this.#dump(args, null)),
    ];
  }

  #infoCommands(): readonly Command[] {
    const info = (name: string, help: string, text: (args: Arguments) => string, parameters = ""): Command => ({
      names: [name],
      parameters,
      help,
      run: text,
    });
    return [
      info("cpus", "show infos for each CPU", () => cpusText(this.#debug, this.#current)),
      info("jit", "show dynamic compiler info", () => {
        const statistics = this.#machine.compilerStatistics;
        if (statistics === undefined) return "JIT information is only available with accel=jit\n";
        return statisticsText(this.#machine.instructions, statistics).map((line) => `${line}\n`).join("");
      }),
      info("mem", "show the active virtual memory mappings", () => pageTableListing(this.#debug, this.#hart)),
      info("mtree", "show memory tree", () => memoryTreeText(this.#debug)),
      info("qtree", "show device tree", () => deviceTreeText(this.#debug)),
      info(
        "registers",
        "show the cpu registers (-a: show register info for all cpus; vcpu: specific vCPU to query; " +
          "show the current CPU's registers if no argument is specified)",
        (args) => this.#registers(args),
        "[-a|vcpu]",
      ),
      info("roms", "show roms", () => romsText(this.#debug)),
      info("status", "show the current VM status (running|paused)", () => {
        const { why } = this.#debug.control;
        if (why === null) return "VM status: running\n";
        // A debugger's stop has a name of its own, one that somebody asked for has none.
        const how = why.kind !== "asked" ? " (debug)" : this.#machine.instructions === 0 ? " (prelaunch)" : "";
        return `VM status: paused${how}\n`;
      }),
      info("tlb", "show virtual to physical memory mappings", () => tlbListing(this.#hart)),
      info("version", "show the version of hartbeat", () => `${this.#host.version ?? "hartbeat"}\n`),
    ];
  }

  #help(args: Arguments): string {
    const name = args.word();
    if (name === undefined) return helpOf(this.#commands, "");
    if (name !== "info") return helpOf(this.#commands.filter((c) => c.names.includes(name)), "");
    const subcommand = args.word();
    return helpOf(
      subcommand === undefined ? this.#info : this.#info.filter((c) => c.names.includes(subcommand)),
      "info ",
    );
  }

  #registers(args: Arguments): string {
    if (args.ended) return registersText(this.#hart);
    const which = args.word()!;
    if (which === "-a") {
      return Array.from({ length: this.#debug.harts }, (_, n) => registersText(this.#debug.hart(n))).join("");
    }
    if (!/^\d+$/.test(which)) throw new MonitorError(`invalid char '${which[0]}' in expression`);
    return Number(which) < this.#debug.harts
      ? registersText(this.#debug.hart(Number(which)))
      : "CPU#" + which + " not available\n";
  }

  #dump(args: Arguments, hart: number | null): string {
    const format = args.format(this.#format), address = args.expression();
    if (!args.ended) return "";
    const read = (at: bigint, length: number) => this.#debug.read(hart, at, length);
    if (format.format === "i") return this.#instructions(address, format, read);
    return dumpMemory(read, address, format, hart === null ? 16 : this.#machine.xlen / 4);
  }

  #instructions(
    start: bigint,
    { count }: Format,
    read: (at: bigint, length: number) => Uint8Array | undefined,
  ): string {
    let text = "", address = start;
    for (let n = 0; n < Math.min(count, 1 << 16); n++) {
      const at = `0x${address.toString(16).padStart(this.#machine.xlen / 4, "0")}`, low = read(address, 2);
      if (low === undefined) return `${text}${at}:  Cannot access memory\n`;
      const bytes = (low[0]! & 3) === 3 ? read(address, 4) ?? low : low;
      const instruction = this.#debug.disassemble(bytes, address);
      const word = instruction.word.toString(16).padStart(2 * instruction.length, "0");
      const [mnemonic = "", operands = ""] = instruction.text.split("\t");
      text += `${at}:  ${word.padEnd(16)}  ${operands === "" ? mnemonic : `${mnemonic.padEnd(23)} ${operands}`}\n`;
      address += BigInt(instruction.length);
    }
    return text;
  }

  #sum(args: Arguments): string {
    const address = args.expression(), size = args.expression();
    if (!args.ended) return "";
    const bytes = size > MOST_SUMMED ? undefined : this.#debug.read(null, address, Number(size));
    return bytes === undefined ? "Cannot access memory\n" : `${String(checksum(bytes)).padStart(5, "0")}\n`;
  }

  #backtrace(args: Arguments): string {
    const index = args.ended ? this.#current : args.integer();
    if (index < 0 || index >= this.#debug.harts) return "invalid CPU index\n";
    return `${this.#debug.backtrace(index)}\n`;
  }
}

function find(commands: readonly Command[], name: string): Command | undefined {
  return commands.find(({ names }) => names.includes(name));
}

function helpOf(commands: readonly Command[], prefix: string): string {
  return commands.map(({ names, parameters, help }) => `${prefix}${names.join("|")} ${parameters} -- ${help}\n`).join(
    "",
  );
}

function tryHelp(name: string): string {
  return `Try "help ${name}" for more information\n`;
}
