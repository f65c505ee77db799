// What is in memory when a board of QEMU's kind starts: firmware, kernel, ramdisk, device tree, and what the user adds with
// `-device loader`.
import { LoadError, OptionError } from "./errors.ts";
import { loadImage, loadRamdisk, loadRaw } from "./image.ts";
import type { ImageFile, LoadedImage, LoadPiece } from "./image.ts";
import type { Elf } from "./elf.ts";

/** A stretch of memory that images may go to. */
export interface MemoryRange {
  /** Name for messages, e.g. `RAM`. */
  readonly name: string;
  /** First physical address. */
  readonly address: number;
  /** Length in bytes. */
  readonly size: number;
}

/** One `-device loader`: a file, a value of up to eight bytes, or only where a hart starts. */
export interface LoaderOptions {
  /** `file=`: a program (`loadImage` says which) or any bytes. */
  readonly file?: ImageFile;
  /** `addr=`: physical address of raw bytes or of the value; where the hart starts if there is neither. */
  readonly address?: number;
  /** `force-raw=`: load the file byte for byte though it is an ELF or another known format. */
  readonly forceRaw?: boolean;
  /** `data=`: the value to write, unsigned 64-bit; 0 where absent. */
  readonly data?: bigint;
  /** `data-len=`: how many of its low bytes to write, 1 to 8. */
  readonly dataLength?: number;
  /** `data-be=`: write the first `dataLength` bytes of the value in big-endian order. */
  readonly dataBigEndian?: boolean;
  /** `cpu-num=`: the hart that starts at the file's entry (at `address` for raw bytes) instead of at the reset vector. */
  readonly hart?: number;
}

/** What the user gave to start from. */
export interface BootOptions {
  /** Width of the harts in bits: decides the alignment of the kernel. */
  readonly xlen: 32 | 64;
  /** How many harts there are, numbered from 0. */
  readonly harts: number;
  /** Main memory; execution starts at its first byte. */
  readonly memory: MemoryRange;
  /** Other memory that an image may be in, flash say. */
  readonly otherMemory?: readonly MemoryRange[];
  /** Where execution starts in place of the first byte of RAM: the first flash chip, if the user has filled it. */
  readonly flashEntry?: number;
  /** What the firmware starts next in place of the kernel: the second flash chip, if the user has filled it. */
  readonly flashNext?: number;
  /**
   * `-bios`: the firmware, `"none"`, or `"sbi"` for the built-in SBI, which starts the kernel in supervisor mode. Where absent: the
   * latter if there is a kernel or something in the second flash chip to start, else none; none with firmware in the first.
   */
  readonly bios?: ImageFile | "none" | "sbi";
  /** `-kernel`. */
  readonly kernel?: ImageFile;
  /** `-initrd`; only with a kernel. */
  readonly initrd?: ImageFile;
  /** Each `-device loader`. */
  readonly loaders?: readonly LoaderOptions[];
}

/** What goes where before the first instruction, and where it starts. */
export interface BootPlan {
  /** Firmware, kernel, ramdisk and device tree: no two overlap, all lie in memory. Written at every reset. */
  readonly images: readonly LoadPiece[];
  /** What `-device loader` adds, in order, after the images; it may overwrite them. Written at every reset. */
  readonly patches: readonly LoadPiece[];
  /**
   * Where the reset vector jumps to: the first byte of main memory or of flash, whatever an ELF's entry says. With the built-in SBI, where
   * supervisor mode starts: `nextAddress`, or the kernel's address if there is no kernel.
   */
  readonly entry: number;
  /** Whether the built-in SBI takes the place of firmware. */
  readonly builtInSbi: boolean;
  /** What OpenSBI's fw_dynamic starts next (`next_addr`): the start of the kernel; 0 if there is none. */
  readonly nextAddress: number;
  /** Where the ramdisk is, for `linux,initrd-start` and `linux,initrd-end`. */
  readonly initrd?: { readonly start: number; readonly end: number };
  /** Physical address of the device tree, once `addDeviceTree` has placed it. */
  readonly deviceTree?: number;
  /** Harts that start elsewhere than at the reset vector: hart → pc. */
  readonly startAt: ReadonlyMap<number, bigint>;
  /** The ELF files among them, in the order firmware, kernel, loaders; their symbols are what the debugger shows. */
  readonly elfs: readonly Elf[];
  /** One line for each thing that is allowed but is likely a mistake. */
  readonly warnings: readonly string[];
}

const mebibyte = 0x100000;
/** A device tree is kept below this address so that 32-bit code reaches it. */
const deviceTreeLimit = 3072 * mebibyte;

/** Bytes that QEMU keeps for a device tree that the board makes: they decide its address, not its size. */
export const generatedDeviceTreeRoom: number = mebibyte;

/** Bytes that QEMU keeps for a device tree from a file (`-dtb`) of `fileSize` bytes. */
export function deviceTreeFileRoom(fileSize: number): number {
  return (fileSize + 10000) * 2;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function range(address: number, size: number): string {
  return `${hex(address)} to ${hex(address + size)}`;
}

function alignDown(value: number, alignment: number): number {
  return Math.floor(value / alignment) * alignment;
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/** A piece without as many of its headers as lie in front of the memory in which the rest is; all of it may be headers. */
function withoutHeaders(piece: LoadPiece, memories: readonly MemoryRange[]): LoadPiece {
  const { address, headers = 0, bytes, memorySize } = piece;
  if (headers === 0 || memories.some((m) => address >= m.address && address < m.address + m.size)) return piece;
  const memory = memories.find((m) => address < m.address && address + headers >= m.address);
  if (memory === undefined && headers < memorySize) return piece;
  const left = memory === undefined ? memorySize : memory.address - address;
  return { ...piece, address: address + left, bytes: bytes.subarray(left), memorySize: memorySize - left };
}

/**
 * Checks that every piece lies wholly in one of the memories. A piece of no bytes is in order anywhere.
 *
 * @throws {LoadError} Naming file, address range and the memories' ranges.
 */
export function checkInMemory(pieces: readonly LoadPiece[], memories: readonly MemoryRange[]): void {
  for (const { address, memorySize, what } of pieces) {
    const end = address + memorySize;
    if (memorySize === 0 || memories.some((m) => address >= m.address && end <= m.address + m.size)) continue;
    const where = memories.map((m) => `${m.name} at ${range(m.address, m.size)}`).join(" or ");
    const entered = memories.find((m) => address >= m.address && address < m.address + m.size);
    const remedy = entered ? "give the machine more memory (-m)" : "link or load it there";
    throw new LoadError(`${what}: ${range(address, memorySize)} does not fit into ${where}; ${remedy}`);
  }
}

/**
 * Checks that no two pieces overlap.
 *
 * @throws {LoadError} Naming both and their address ranges.
 */
export function checkNoOverlap(pieces: readonly LoadPiece[]): void {
  const sorted = pieces.filter((piece) => piece.memorySize > 0).toSorted((a, b) => a.address - b.address);
  for (let index = 1; index < sorted.length; index++) {
    const [one, other] = [sorted[index - 1], sorted[index]];
    if (one.address + one.memorySize <= other.address) continue;
    throw new LoadError(
      `${other.what}: ${range(other.address, other.memorySize)} overlaps ${one.what} at ` +
        `${range(one.address, one.memorySize)}; move one, or give the machine more memory (-m)`,
    );
  }
}

/** What one `-device loader` asks for. */
interface Patch {
  readonly pieces: readonly LoadPiece[];
  /** Where the hart starts if one is named. */
  readonly start?: bigint;
  readonly elf?: Elf;
}

function planLoader(loader: LoaderOptions, harts: number): Patch {
  const { file, address = 0, forceRaw = false, data, dataLength = 0, dataBigEndian = false, hart } = loader;
  if (hart !== undefined && !(Number.isInteger(hart) && hart >= 0 && hart < harts)) {
    throw new OptionError(`-device loader: there is no hart ${hart} (cpu-num); the machine has ${harts}, from 0`);
  }
  if (data !== undefined || dataLength !== 0 || dataBigEndian) {
    if (file) throw new OptionError("-device loader: file and data exclude each other; give two loaders");
    if (forceRaw) throw new OptionError("-device loader: force-raw is for a file, not for data");
    if (!(Number.isInteger(dataLength) && dataLength >= 1 && dataLength <= 8)) {
      throw new OptionError(`-device loader: data needs data-len from 1 to 8, not ${dataLength}`);
    }
    const value = data ?? 0n;
    const what = `-device loader,data=0x${value.toString(16)}`;
    if (BigInt.asUintN(64, value) !== value) throw new OptionError(`${what}: the value has no more than 64 bits`);
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, !dataBigEndian);
    return { pieces: [{ address, bytes: bytes.subarray(0, dataLength), memorySize: dataLength, what }] };
  }
  if (file) {
    const image = forceRaw ? loadRaw(file, address) : loadImage(file, address);
    return { pieces: image.pieces, start: image.entry, ...(image.elf && { elf: image.elf }) };
  }
  if (forceRaw) throw new OptionError("-device loader: force-raw needs file=FILE");
  if (address === 0) {
    throw new OptionError("-device loader: give file=FILE, or data= and data-len=, or addr= and cpu-num=");
  }
  if (hart === undefined) {
    throw new OptionError(`-device loader: addr=${hex(address)} alone does nothing; add file=, data= or cpu-num=`);
  }
  return { pieces: [], start: BigInt(address) };
}

/** What the user should know though it is no error. */
function bootWarnings(
  options: BootOptions,
  first: LoadedImage | undefined,
  plan: Omit<BootPlan, "warnings">,
): string[] {
  const warnings = plan.elfs.flatMap((elf) =>
    elf.xlen === options.xlen
      ? elf.warnings
      : [...elf.warnings, `${elf.name}: made for RV${elf.xlen}, but the machine is RV${options.xlen} (-cpu)`]
  );
  if (plan.startAt.has(0)) return warnings;
  const { entry } = plan;
  const covered = [...plan.images, ...plan.patches].some((piece) =>
    piece.address <= entry && entry < piece.address + piece.memorySize
  );
  if (!covered && entry !== options.flashEntry && entry !== options.flashNext) {
    warnings.push(`nothing is loaded at ${hex(entry)}, where execution starts; link the program there`);
  } else if (first?.elf && first.entry !== BigInt(entry)) {
    warnings.push(
      `${first.elf.name}: its entry 0x${first.entry.toString(16)} is not used; execution starts at ${hex(entry)}`,
    );
  }
  return warnings;
}

/**
 * Decides what goes where by the rules of QEMU 7.2's `virt` board (read from its `hw/riscv/boot.c` and `virt.c`, confirmed by
 * `info roms` and a dump of the boot ROM):
 *
 * - The reset vector always jumps to the first byte of RAM (0x80000000), or of the first flash chip where that is filled
 *   (`if=pflash,unit=0`). The entry of an ELF is used nowhere but for a hart that `-device loader,cpu-num=` names.
 * - `-bios FILE`: an ELF goes to its physical addresses, anything else to the start of RAM.
 * - The kernel's address is the end of the firmware (with its zeroed memory) aligned up to 2 MiB, on RV32 to 4 MiB; with
 *   `-bios none` it is the start of RAM.
 * - The built-in SBI (`-bios default`, or a kernel without `-bios`) takes no memory; the kernel's address is the start of RAM plus 2
 *   MiB, on RV32 plus 4 MiB, where it is with OpenSBI. An ELF may just as well be linked to the start of RAM.
 * - A kernel is no part of this where the second flash chip is filled: firmware there gets it by fw_cfg.
 * - `-kernel FILE`: an ELF goes to its physical addresses and is started at the lowest of them, not at its entry; a U-Boot
 *   image goes where it says; a Linux `Image` (its header is ignored) and anything else goes to the kernel's address.
 *   The start goes into the `next_addr` of fw_dynamic's information, which the reset vector's a2 points to. Where the second
 *   flash chip is filled, that is started instead.
 * - `-initrd FILE` goes to the kernel's start plus half of RAM, but at most 128 MiB; not aligned.
 * - The device tree: see `deviceTreeAddress`.
 * - `-device loader`: an ELF or U-Boot image goes where it says, anything else (and everything with `force-raw`) to `addr`.
 *   With `cpu-num` that hart's pc starts at the entry, for raw bytes at `addr`, whenever the machine is reset.
 *
 * Where it differs: QEMU's default firmware is OpenSBI, in memory, and it loads a file outside of
 * memory or in a wrong or compressed format without a word, and lets an image win over `-device loader,data=`.
 *
 * @throws {LoadError} If a file cannot be loaded, does not fit into memory or overlaps another.
 * @throws {OptionError} If the options do not go together.
 */
export function planBoot(options: BootOptions): BootPlan {
  const { memory, initrd, flashEntry, flashNext } = options;
  const bios = options.bios ?? (options.kernel || flashNext !== undefined ? "sbi" : "none");
  const builtInSbi = bios === "sbi" && flashEntry === undefined;
  if (initrd && !options.kernel) throw new OptionError(`-initrd ${initrd.name} needs -kernel FILE`);
  const firmware = bios === "sbi" || bios === "none" ? undefined : loadImage(bios, memory.address);
  const kernelAlignment = (options.xlen === 32 ? 4 : 2) * mebibyte;
  const kernelAddress = alignUp(firmware?.end ?? memory.address + (builtInSbi ? 1 : 0), kernelAlignment);
  const kernel = options.kernel && loadImage(options.kernel, kernelAddress);
  const kernelStart = kernel && (kernel.kind === "uimage" ? Number(kernel.entry) : kernel.low);
  const ramdisk = initrd &&
    loadRamdisk(initrd, kernelStart! + Math.min(Math.floor(memory.size / 2), 128 * mebibyte));
  const loaders = options.loaders ?? [];
  const patches = loaders.map((loader) => planLoader(loader, options.harts));
  const startAt = new Map<number, bigint>();
  patches.forEach(({ start }, index) => {
    const hart = loaders[index].hart;
    if (hart !== undefined && start !== undefined) startAt.set(hart, start);
  });
  const loaded = [firmware, kernel, ramdisk].filter((image) => image !== undefined);
  const memories = [memory, ...options.otherMemory ?? []];
  const pieces = (of: { readonly pieces: readonly LoadPiece[] }) =>
    of.pieces.map((piece) => withoutHeaders(piece, memories));
  const plan = {
    images: loaded.flatMap(pieces),
    patches: patches.flatMap(pieces),
    entry: builtInSbi ? flashNext ?? kernelStart ?? kernelAddress : flashEntry ?? memory.address,
    builtInSbi,
    nextAddress: flashNext ?? kernelStart ?? 0,
    ...(ramdisk && { initrd: { start: ramdisk.low, end: ramdisk.end } }),
    startAt,
    elfs: [...loaded, ...patches].map(({ elf }) => elf).filter((elf) => elf !== undefined),
  };
  checkInMemory([...plan.images, ...plan.patches], memories);
  checkNoOverlap(plan.images);
  return { ...plan, warnings: bootWarnings(options, firmware ?? kernel, plan) };
}

/**
 * Where QEMU 7.2 puts the device tree: as high as it fits below the end of RAM and, if RAM starts below that, below
 * 3 GiB (so that 32-bit code reaches it), aligned down to 2 MiB.
 *
 * @param memory Main memory.
 * @param room Bytes kept for it: `generatedDeviceTreeRoom`, or `deviceTreeFileRoom` for a tree from a file.
 */
export function deviceTreeAddress(memory: MemoryRange, room: number): number {
  const end = memory.address + memory.size;
  const limit = memory.address < deviceTreeLimit ? Math.min(end, deviceTreeLimit) : end;
  return alignDown(limit - room, 2 * mebibyte);
}

/**
 * Adds the flattened device tree to a plan.
 *
 * @param plan What `planBoot` gave; the tree itself may depend on its `initrd`.
 * @param memory Main memory.
 * @param blob The flattened tree.
 * @param room Bytes kept for it (see `deviceTreeAddress`).
 * @throws {LoadError} If it does not fit into RAM or would overlap an image.
 */
export function addDeviceTree(plan: BootPlan, memory: MemoryRange, blob: Uint8Array, room: number): BootPlan {
  const address = deviceTreeAddress(memory, Math.max(room, blob.length));
  if (address < memory.address) {
    throw new LoadError(`no room for the device tree in ${memory.size} bytes of memory; give the machine more (-m)`);
  }
  const piece = { address, bytes: blob, memorySize: blob.length, what: "the device tree" };
  checkInMemory([piece], [memory]);
  const images = [...plan.images, piece];
  checkNoOverlap(images);
  return { ...plan, images, deviceTree: address };
}
