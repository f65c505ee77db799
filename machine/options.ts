// What a machine is made from, and how memory sizes are read.

import type {
  ChardevOptions,
  DeviceOptions,
  DriveOptions,
  GlobalProperty,
  NetdevOptions,
  ObjectOptions,
} from "./device_options.ts";
import { OptionError } from "./errors.ts";
import type { FailureOptions } from "./failures.ts";
import type { DevicePlace } from "./mmio.ts";
import type { SemihostingFiles } from "./semihosting_files.ts";

/**
 * A file: its path or URL (read through the host's file system), or its bytes with a name for messages.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const bytes = Uint8Array.from([0x13, 0, 0, 0]); // nop
 * await Machine.create({ bios: bytes });
 * await Machine.create({ bios: { name: "nop.bin", bytes } });
 * ```
 */
export type FileSource = string | URL | Uint8Array | { readonly name: string; readonly bytes: Uint8Array };

/**
 * One `-device loader`.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * await Machine.create({ loaders: [{ file: new Uint8Array([1, 2, 3]), address: 0x8010_0000 }, { data: 7, dataLength: 4, address: 0x8020_0000 }] });
 * ```
 */
export interface LoaderDevice {
  /** `file=`. */
  readonly file?: FileSource;
  /** `addr=`: physical address. */
  readonly address?: number | bigint;
  /** `force-raw=`. */
  readonly forceRaw?: boolean;
  /** `data=`. */
  readonly data?: number | bigint;
  /** `data-len=`: 1 to 8 bytes. */
  readonly dataLength?: number;
  /** `data-be=`. */
  readonly dataBigEndian?: boolean;
  /** `cpu-num=`. */
  readonly hart?: number;
}

/**
 * One `-symbols`: a file with symbols and perhaps debug information of what the guest runs.
 *
 * @example
 * ```ts
 * import { Machine, type SymbolSource } from "hartbeat";
 *
 * const symbols: SymbolSource = { file: "tests/programs/kernel.elf" };
 * const machine = await Machine.create({ symbols: [symbols] });
 * console.log(machine.symbols.lookup("trap"));
 * ```
 */
export interface SymbolSource {
  /** An ELF file (with its debug information), or a list as `nm` writes it (System.map). */
  readonly file: FileSource;
  /** Bytes from where the file is linked to where it runs; may be negative. Default 0. */
  readonly offset?: number | bigint;
}

/**
 * How the guest is answered that makes semihosting calls.
 *
 * @example
 * ```ts
 * import { Machine, type SemihostingOptions } from "hartbeat";
 *
 * const semihosting: SemihostingOptions = { args: ["kernel.elf", "--test"], folder: "tests/programs" };
 * await Machine.create({ bios: "tests/programs/kernel.elf", semihosting });
 * ```
 */
export interface SemihostingOptions {
  /** Whether user mode may make them. Default false. */
  readonly userspace?: boolean;
  /** What SYS_GET_CMDLINE gives, with spaces between. Default: the kernel's file name and command line. */
  readonly args?: readonly string[];
  /** Folder of the host that files are in; nothing outside of it can be reached. Default: there are no files. */
  readonly folder?: string;
  /** Files from elsewhere, in place of a folder. */
  readonly files?: SemihostingFiles;
}

/**
 * Options of `Machine.create`. The names are QEMU's where it has one.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * await Machine.create({ machine: "virt", cpu: "rv64,zbb=off", memory: "64M", smp: 2, bios: "tests/programs/kernel.elf" });
 * ```
 */
export interface MachineOptions {
  /** Board: `virt` (the default) or `spike`. */
  readonly machine?: string;
  /** Timer and software interrupts of the board `virt`: an ACLINT's (true) or a CLINT's (the default); `-machine aclint=`. */
  readonly aclint?: boolean;
  /** CPU with properties, as `-cpu`: `"rv64"`, `"rv32,zbb=off"`, `"sifive-u54"`. Default: by the ELF's class, else `rv64`. */
  readonly cpu?: string;
  /** RAM: bytes, or a text with suffix K, M, G; a number in a text without suffix is MiB. Default 128M. */
  readonly memory?: string | number;
  /** Number of harts. Default 1. */
  readonly smp?: number;
  /** Most instructions that a hart executes before the next one has its turn. Default 5000. */
  readonly quantum?: number;
  /**
   * Firmware; `"none"`: the kernel starts in M-mode; `"default"`: it starts in S-mode, and hartbeat answers its SBI calls. Default:
   * that if there is a kernel, else none.
   */
  readonly bios?: FileSource | "none" | "default";
  /** Kernel. */
  readonly kernel?: FileSource;
  /** Initial ramdisk. */
  readonly initrd?: FileSource;
  /** Kernel command line, for `/chosen/bootargs`. */
  readonly append?: string;
  /** Device tree blob to use in place of the board's own. */
  readonly dtb?: FileSource;
  /** What `-device loader` adds. */
  readonly loaders?: readonly LoaderDevice[];
  /** Disks and flash chips, as `-drive`. */
  readonly drives?: readonly DriveOptions[];
  /** Further devices, as `-device`. */
  readonly devices?: readonly DeviceOptions[];
  /** What network cards are connected to, as `-netdev`. */
  readonly netdevs?: readonly NetdevOptions[];
  /** Outer ends of virtio consoles and ports, as `-chardev`. */
  readonly chardevs?: readonly ChardevOptions[];
  /** Sources of random numbers, as `-object`. */
  readonly objects?: readonly ObjectOptions[];
  /** What the guest's random numbers follow from, as `-seed`: a whole number below 2^32. Default 0. */
  readonly seed?: number;
  /** Defaults of properties of devices, as `-global`. */
  readonly globals?: readonly GlobalProperty[];
  /** True: what the guest writes to any drive is kept in memory only (`-snapshot`). */
  readonly snapshot?: boolean;
  /** Files with symbols besides the programs that are loaded; read when they are needed. */
  readonly symbols?: readonly SymbolSource[];
  /** An instruction takes 2^shift nanoseconds of virtual time; 0 to 10. Default 0. */
  readonly icountShift?: number;
  /**
   * What the real-time clock shows at power-on, in UTC: a date as `-rtc base=` takes it (`2006-06-17T16:01:21`, `2006-06-17`).
   * Default 2026-01-01T00:00:00, so that every run is the same.
   */
  readonly rtcBase?: string | Date;
  /** Nanoseconds since power-on of a host's clock, to use in place of virtual time. */
  readonly hostClock?: () => number;
  /** How instructions are executed: `"interpreter"` or `"jit"` with properties, as `-accel`. */
  readonly accel?: string;
  /** Devices of yours that are there from the start, so that the device tree can name them. */
  readonly mmio?: readonly DevicePlace[];
  /**
   * Answers semihosting calls (`-semihosting`), which without it are breakpoints as any other. The console's input is then for
   * them (SYS_READC, SYS_READ of `:tt`) and not for the UART; where there is none, it has ended, unless `interactive` is set.
   */
  readonly semihosting?: boolean | SemihostingOptions;
  /**
   * Which failures of the guest end a run; false: none but a deadlock of harts that wait, and the last instructions are not noted for
   * reports (`Machine.history`) unless `accel` asks for it.
   */
  readonly failures?: FailureOptions | false;
  /** False: a reset by the guest ends the run (`-no-reboot`). Default true. */
  readonly reboot?: boolean;
}

/** Most RAM, in bytes. */
export const MAX_MEMORY: number = 2 ** 31;

const SUFFIXES: Readonly<Record<string, number>> = {
  "": 2 ** 20,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/**
 * Bytes of a memory size as `-m` takes it: a plain number is MiB, suffixes are b, K, M, G, T. A `size=` in front is allowed.
 *
 * @throws {OptionError} If it is not a size, or not one that a machine can have.
 */
export function parseMemorySize(text: string | number): number {
  const match = typeof text === "number" ? null : /^(?:size=)?(\d+(?:\.\d+)?)([bkmgt]?)$/i.exec(text.trim());
  if (typeof text !== "number" && match === null) {
    throw new OptionError(`-m ${text}: not a size; write 128M or 1G, say`);
  }
  const bytes = match === null ? Number(text) : Number(match[1]) * SUFFIXES[match[2]!.toLowerCase()]!;
  const size = Math.ceil(bytes / 4096) * 4096;
  if (!(size >= 4096)) throw new OptionError(`-m ${text}: a machine needs at least 4K of memory`);
  if (size > MAX_MEMORY) throw new OptionError(`-m ${text}: at most 2G of memory can be had`);
  return size;
}
