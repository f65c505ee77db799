// The options of the command, each once: names, argument, help, and what it does to the settings.

import { DEBUG_OPTIONS } from "./debug_options.ts";
import { OptionError } from "../machine/errors.ts";
import { nearest } from "../machine/nearest.ts";
import {
  readChardev,
  readDevice,
  readDrive,
  readGlobal,
  readLoader,
  readNetdev,
  readObject,
} from "./device_options.ts";
import { linkChardevs } from "./linked_chardevs.ts";
import { readNumber, readProperties, readSwitch, unknownValue } from "./properties.ts";
import { LOG_ITEMS, type LogItem, type Serial, type Settings, type Shell, SHELLS } from "./settings.ts";

/** Headings of the help, in order. */
export const GROUPS = ["Machine", "Programs", "Devices", "Console", "Debugging", "Log and the rest"] as const;

/** An option. */
export interface CommandOption {
  /** Names without dashes; help shows the first. */
  readonly names: readonly string[];
  /** Its argument as help shows it; absent: it has none. */
  readonly argument?: string;
  readonly group: typeof GROUPS[number];
  /** What help says, one line. */
  readonly help: string;
  /** Changes the settings; `option` is its name as the user wrote it. */
  apply(settings: Settings, value: string, option: string): void;
}

/** Names of QEMU's other options, which users may expect; docs/from-qemu.md says what to do instead. */
export const NOT_YET: readonly string[] = [
  ..."qmp qmp-pretty msg set readconfig trace plugin singlestep debugcon".split(" "),
  ..."enable-sync-profile loadvm incoming dump-vmstate only-migratable".split(" "),
  ..."hda hdb hdc hdd cdrom fda fdb sd pflash mtdblock blockdev iscsi virtfs fsdev".split(" "),
  ..."fw_cfg option-rom smbios acpitable boot vga vnc spice full-screen rotate portrait audio audiodev".split(" "),
  ..."audio-help usb usbdevice k parallel tpmdev nodefaults no-user-config no-shutdown action watchdog".split(" "),
  ..."watchdog-action numa mem-path mem-prealloc overcommit enable-kvm compat preconfig async-teardown".split(" "),
  ..."add-fd daemonize pidfile chroot runas sandbox uuid echr L".split(" "),
];

/** Kinds of `-serial` that QEMU has and hartbeat has not. */
const SERIAL_NOT_YET = /^(vc|pty|tcp|telnet|udp|unix|pipe|chardev|websocket|msmouse|braille|mon|\/dev)\b/;

/** Items of `-d` that QEMU has and hartbeat has not. */
const LOG_NOT_YET =
  /^(out_asm|op|op_opt|op_ind|cpu|fpu|mmu|pcall|cpu_reset|unimp|guest_errors|page|nochain|plugin|strace|tid|trace:.*)$/;

function notYet(what: string): OptionError {
  return new OptionError(`${what}: not supported yet`);
}

/** Switches of `-machine` that say how QEMU does its work, and change nothing here. */
const MACHINE_SWITCHES = ["graphics", "dump-guest-core", "mem-merge", "suppress-vmdesc"];

function readMachine(settings: Settings, text: string, option: string): void {
  const files = { kernel: "kernel", initrd: "initrd", append: "append", dtb: "dtb", firmware: "bios" } as const;
  const known = ["dumpdtb", "aclint", "aia", "usb", ...Object.keys(files), ...MACHINE_SWITCHES];
  const properties = readProperties(option, text, "type", known);
  const on = (name: string) => {
    const value = properties.get(name);
    return value === undefined ? undefined : readSwitch(`${option} ${name}=`, value);
  };
  const { machine } = settings, aclint = on("aclint"), aia = properties.get("aia");
  machine.machine = properties.get("type") ?? machine.machine;
  if (aclint !== undefined) machine.aclint = aclint;
  settings.deviceTreeFile = properties.get("dumpdtb") ?? settings.deviceTreeFile;
  for (const [name, key] of Object.entries(files)) {
    const value = properties.get(name);
    if (value !== undefined) machine[key] = value;
  }
  for (const name of MACHINE_SWITCHES) on(name);
  if (aia === "aplic" || aia === "aplic-imsic") throw notYet(`${option} aia=${aia}`);
  if (aia !== undefined && aia !== "none") throw new OptionError(`${option} aia=${aia}: no such value; write none`);
  if (on("usb") === true) throw notYet(`${option} usb=on`);
}

function readSerial(text: string): Serial {
  if (text === "stdio" || text === "mon:stdio") return { kind: "stdio", escapes: text !== "stdio" };
  if (text === "null" || text === "none") return { kind: "null" };
  if (text.startsWith("file:")) {
    if (text === "file:") throw new OptionError("-serial file: needs a name, as in file:console.txt");
    return { kind: "file", path: text.slice(5) };
  }
  if (SERIAL_NOT_YET.test(text)) throw notYet(`-serial ${text}`);
  unknownValue("-serial", text, ["stdio", "mon:stdio", "file:NAME", "null", "none"]);
}

/** All options, by group. */
export const OPTIONS: readonly CommandOption[] = [
  {
    names: ["machine", "M"],
    argument: "NAME",
    group: "Machine",
    help: "board, virt if not given; help lists; dumpdtb=FILE writes its tree; aclint=on",
    apply(settings, value, option) {
      if (value === "help" || value === "?") settings.listing = "machines";
      readMachine(settings, value, option);
    },
  },
  {
    names: ["cpu"],
    argument: "MODEL[,EXT=on|off]",
    group: "Machine",
    help: "rv32, rv64 or others, as the program is if not given; help lists them",
    apply(settings, value) {
      if (value === "help" || value === "?") settings.listing = "cpus";
      settings.machine.cpu = value;
    },
  },
  {
    names: ["m"],
    argument: "SIZE",
    group: "Machine",
    help: "memory: 64M (or 64), 512K, 1G; 128M if not given",
    apply(settings, value) {
      settings.machine.memory = value;
    },
  },
  {
    names: ["smp"],
    argument: "N[,quantum=M]",
    group: "Machine",
    help: "number of harts (1), which take turns of M instructions (5000)",
    apply(settings, value, option) {
      const properties = readProperties(option, value, "cpus", ["quantum"]);
      const cpus = properties.get("cpus"), quantum = properties.get("quantum");
      if (cpus !== undefined) settings.machine.smp = Number(readNumber(option, cpus));
      if (quantum !== undefined) settings.machine.quantum = Number(readNumber(`${option} quantum=`, quantum));
    },
  },
  {
    names: ["accel"],
    argument: "NAME[,threshold=N]",
    group: "Machine",
    help: "jit or interpreter; results are the same; help lists",
    apply(settings, value) {
      if (value === "help" || value === "?") settings.listing = "accelerators";
      settings.machine.accel = value;
    },
  },
  {
    names: ["icount"],
    argument: "shift=N",
    group: "Machine",
    help: "an instruction takes 2^N ns of virtual time (0)",
    apply(settings, value, option) {
      const properties = readProperties(option, value, "shift", ["shift", "sleep", "align"]);
      for (const key of ["sleep", "align"]) {
        if (properties.has(key) && readSwitch(`${option} ${key}=`, properties.get(key)!)) {
          throw new OptionError(`${option} ${key}=on: virtual time never waits for the host; try -rtc clock=host`);
        }
      }
      const shift = properties.get("shift") ?? "0";
      if (shift === "auto") throw new OptionError(`${option} shift=auto: give a number from 0 to 10`);
      settings.machine.icountShift = Number(readNumber(`${option} shift=`, shift));
    },
  },
  {
    names: ["rtc"],
    argument: "clock=vm|host,base=D",
    group: "Machine",
    help: "time by instructions executed (vm) or the host's; base: a date, utc, localtime",
    apply(settings, value, option) {
      const properties = readProperties(option, value, "clock", ["clock", "base", "driftfix"]);
      const fix = properties.get("driftfix"), clock = properties.get("clock"), base = properties.get("base");
      if (fix !== undefined && fix !== "none") unknownValue(`${option} driftfix=`, fix, ["none"]);
      if (clock !== undefined && clock !== "host" && clock !== "vm") {
        unknownValue(`${option} clock=`, clock, ["vm", "host"]);
      }
      if (clock !== undefined) settings.hostClock = clock === "host";
      if (base !== undefined) settings.rtcBase = base;
    },
  },
  {
    names: ["no-reboot"],
    group: "Machine",
    help: "end when the guest resets the machine",
    apply(settings) {
      settings.machine.reboot = false;
    },
  },
  {
    names: ["bios"],
    argument: "FILE|none|default",
    group: "Programs",
    help: "what starts first, in M-mode: firmware or your kernel; default: built-in SBI",
    apply(settings, value) {
      settings.machine.bios = value;
    },
  },
  {
    names: ["kernel"],
    argument: "FILE",
    group: "Programs",
    help: "what firmware starts (ELF, Linux Image, raw); without -bios, the built-in SBI",
    apply(settings, value) {
      settings.machine.kernel = value;
    },
  },
  {
    names: ["symbols"],
    argument: "FILE[,offset=N]",
    group: "Programs",
    help: "symbols and debug information of what runs (ELF, System.map); N: moved by",
    apply(settings, value, option) {
      const properties = readProperties(option, value, "file", ["offset"]), text = properties.get("offset") ?? "0";
      const file = properties.get("file") ?? "", number = readNumber(`${option} offset=`, text.replace(/^-/, ""));
      const offset = text.startsWith("-") ? -number : number;
      settings.machine.symbols = [...settings.machine.symbols ?? [], { file, offset }];
    },
  },
  {
    names: ["initrd"],
    argument: "FILE",
    group: "Programs",
    help: "initial ramdisk for the kernel",
    apply(settings, value) {
      settings.machine.initrd = value;
    },
  },
  {
    names: ["append"],
    argument: "TEXT",
    group: "Programs",
    help: "command line for the kernel",
    apply(settings, value) {
      settings.machine.append = value;
    },
  },
  {
    names: ["dtb"],
    argument: "FILE",
    group: "Programs",
    help: "device tree in place of the board's own",
    apply(settings, value) {
      settings.machine.dtb = value;
    },
  },
  {
    names: ["device"],
    argument: "MODEL[,PROP=VALUE]",
    group: "Devices",
    help: "adds a device (help lists models); loader,file=F,addr=A puts a file in memory",
    apply(settings, value) {
      const model = value.split(",")[0]!;
      if (model === "help" || model === "?") settings.listing = "devices";
      else if (/,(help|\?)$/.test(value)) {
        settings.listing = "device properties";
        settings.deviceModel = model;
      } else if (model === "loader") {
        settings.machine.loaders = [...settings.machine.loaders ?? [], readLoader(value)];
      } else settings.machine.devices = [...settings.machine.devices ?? [], readDevice(value)];
    },
  },
  {
    names: ["drive"],
    argument: "file=F,format=raw,…",
    group: "Devices",
    help: "disk, or if=none,id=X for -device MODEL,drive=X; readonly=on, snapshot=on",
    apply(settings, value, option) {
      settings.machine.drives = [...settings.machine.drives ?? [], readDrive(option, value)];
    },
  },
  {
    names: ["netdev"],
    argument: "KIND,id=X",
    group: "Devices",
    help: "for -device virtio-net-device,netdev=X: user (DHCP, ping) or hubport,hubid=N",
    apply(settings, value, option) {
      settings.machine.netdevs = [...settings.machine.netdevs ?? [], readNetdev(option, value)];
    },
  },
  {
    names: ["net", "nic"],
    argument: "none",
    group: "Devices",
    help: "no network card but those of -device, as is so anyway",
    apply(_settings, value, option) {
      if (value !== "none") throw notYet(`${option} ${value}`);
    },
  },
  {
    names: ["chardev"],
    argument: "KIND,id=X",
    group: "Devices",
    help: "stdio, null, or file with path=F, for -device virtconsole,chardev=X",
    apply(settings, value, option) {
      const chardev = readChardev(option, value), all = settings.chardevs ?? [];
      if (chardev.target.kind === "stdio" && all.some(({ target }) => target.kind === "stdio")) {
        throw new OptionError(`${option} ${value}: cannot use stdio by multiple character devices`);
      }
      settings.chardevs = [...all, chardev];
      settings.machine.chardevs = [...settings.machine.chardevs ?? [], { id: chardev.id }];
    },
  },
  {
    names: ["object"],
    argument: "rng-builtin,id=X",
    group: "Devices",
    help: "what -device virtio-rng-device,rng=X may name; its numbers follow from -seed",
    apply(settings, value, option) {
      settings.machine.objects = [...settings.machine.objects ?? [], readObject(option, value)];
    },
  },
  {
    names: ["seed"],
    argument: "N",
    group: "Devices",
    help: "what the guest's random numbers follow from (0)",
    apply(settings, value, option) {
      settings.machine.seed = Number(readNumber(option, value));
    },
  },
  {
    names: ["snapshot"],
    group: "Devices",
    help: "write to no image: what the guest writes is lost at the end",
    apply(settings) {
      settings.machine.snapshot = true;
    },
  },
  {
    names: ["global"],
    argument: "MODEL.PROP=VALUE",
    group: "Devices",
    help: "default of a property: virtio-mmio.force-legacy=false",
    apply(settings, value, option) {
      settings.machine.globals = [...settings.machine.globals ?? [], readGlobal(option, value)];
    },
  },
  {
    names: ["nographic"],
    group: "Console",
    help: "console here, as always: there is no window",
    apply() {},
  },
  {
    names: ["display"],
    argument: "none",
    group: "Console",
    help: "the same",
    apply(_settings, value, option) {
      if (value !== "none") throw new OptionError(`${option} ${value}: there is no window, only none`);
    },
  },
  {
    names: ["serial"],
    argument: "WHERE",
    group: "Console",
    help: "mon:stdio (Ctrl-A is for hartbeat), stdio, file:NAME, chardev:X, null, none",
    apply(settings, value) {
      const chardev = /^chardev:(.+)$/.exec(value)?.[1];
      const serial: Serial = chardev === undefined ? readSerial(value) : { kind: "stdio", escapes: false };
      if (settings.serial !== undefined && serial.kind !== "null") {
        throw new OptionError(`-serial ${value}: the machine has one serial line, and it is in use`);
      }
      if (settings.serial === undefined && chardev !== undefined) settings.serialChardev = chardev;
      settings.serial ??= serial;
    },
  },
  ...DEBUG_OPTIONS,
  {
    names: ["script"],
    argument: "FILE",
    group: "Log and the rest",
    help: "gives the machine to the function that a module exports by default",
    apply(settings, value) {
      if (value === "") throw new OptionError("-script: needs a file, as in scripts/count_calls.ts");
      (settings.scripts ??= []).push(value);
    },
  },
  {
    names: ["d"],
    argument: "in_asm,int,exec,jit",
    group: "Log and the rest",
    help: "log instructions seen, traps, instructions executed, code compiled; help lists",
    apply(settings, value) {
      if (value === "help" || value === "?") settings.listing = "log items";
      else {
        for (const item of value.split(",")) {
          if (LOG_NOT_YET.test(item)) throw notYet(`-d ${item}`);
          if (!(item in LOG_ITEMS)) unknownValue("-d", item, Object.keys(LOG_ITEMS));
          settings.log.add(item as LogItem);
        }
      }
    },
  },
  {
    names: ["dfilter"],
    argument: "RANGE[,RANGE]",
    group: "Log and the rest",
    help: "log instructions and code only there: A+SIZE, A..B, B-SIZE, or a symbol",
    apply(settings, value) {
      settings.logFilter = value;
    },
  },
  {
    names: ["D"],
    argument: "FILE",
    group: "Log and the rest",
    help: "log to a file in place of standard error",
    apply(settings, value) {
      settings.logFile = value;
    },
  },
  {
    names: ["mon"],
    argument: "chardev=X",
    group: "Console",
    help: "the monitor on a -chardev, also on that of -serial chardev:X if it has mux=on",
    apply(settings, value, option) {
      const properties = readProperties(option, value, "chardev", ["chardev", "mode", "pretty"]);
      const id = properties.get("chardev"), mode = properties.get("mode") ?? "readline";
      if (id === undefined) throw new OptionError(`${option} ${value}: Parameter 'chardev' is missing`);
      if (mode === "control") throw notYet(`${option} mode=control`);
      if (mode !== "readline") unknownValue(`${option} mode=`, mode, ["readline"]);
      settings.monitorChardev = id;
    },
  },
  {
    names: ["name"],
    argument: "TEXT",
    group: "Log and the rest",
    help: "a name for the machine; ignored",
    apply() {},
  },
  {
    names: ["completions"],
    argument: "SHELL",
    group: "Log and the rest",
    help: "a completion script for bash, zsh or fish; help lists where it goes",
    apply(settings, value) {
      if (value === "help" || value === "?") settings.listing = "shells";
      else if (value in SHELLS) settings.listing = `completions for ${value as Shell}`;
      else unknownValue("-completions", value, Object.keys(SHELLS));
    },
  },
  {
    names: ["help", "h"],
    group: "Log and the rest",
    help: "this page",
    apply(settings) {
      settings.listing = "help";
    },
  },
  {
    names: ["version"],
    group: "Log and the rest",
    help: "the version",
    apply(settings) {
      settings.listing = "version";
    },
  },
];

const BY_NAME = new Map(OPTIONS.flatMap((option) => option.names.map((name) => [name, option] as const)));

/**
 * Reads a command line. What asks for a listing ends the reading, as in QEMU.
 *
 * @throws {OptionError} One line that names the option and, where there is one, the nearest that exists.
 */
export function parseCommandLine(args: readonly string[]): Settings {
  const settings: Settings = { machine: {}, hostClock: false, log: new Set() };
  for (let at = 0; at < args.length && settings.listing === undefined; at++) {
    const written = args[at]!, name = written.replace(/^--?/, "");
    if (name === written || name === "") {
      throw new OptionError(`${written}: not an option; a program is given as -bios ${written} or -kernel ${written}`);
    }
    const option = BY_NAME.get(name);
    if (option === undefined) {
      if (NOT_YET.includes(name)) throw notYet(written);
      throw new OptionError(
        `${written}: no such option${nearest(`-${name}`, [...BY_NAME.keys()].map((n) => `-${n}`))}`,
      );
    }
    if (option.argument === undefined) option.apply(settings, "", written);
    else {
      const value = args[++at];
      if (value === undefined) throw new OptionError(`${written} needs a value: ${written} ${option.argument}`);
      option.apply(settings, value, written);
    }
  }
  linkChardevs(settings);
  if (settings.monitor?.kind === "stdio" && settings.serial?.kind === "stdio") {
    throw new OptionError("-monitor stdio: cannot use stdio by multiple character devices; -serial mon:stdio has both");
  }
  return settings;
}
