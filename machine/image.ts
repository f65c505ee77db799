// Image files: recognises what a file given to `-bios`, `-kernel`, `-initrd` or `-device loader` is, and says which bytes go
// where.
import type { ByteSource } from "./byte_source.ts";
import { LoadError } from "./errors.ts";
import { headerBytes, isElf, parseElf, physicalEntry } from "./elf.ts";
import type { Elf } from "./elf.ts";

/** A file and its name for messages. */
export interface ImageFile {
  /** Name as the user gave it. */
  readonly name: string;
  /** The whole contents; of a large ELF file the part that is loaded. */
  readonly bytes: Uint8Array;
  /** The whole file, where `bytes` is only its beginning. */
  readonly source?: ByteSource;
}

/** All bytes of a file. */
export function wholeFile({ bytes, source }: ImageFile): Uint8Array {
  return source?.read(0, source.size) ?? bytes;
}

/** Bytes that go to one place in memory. */
export interface LoadPiece {
  /** Physical address in bytes, below 2^53. */
  readonly address: number;
  /** What is written there. */
  readonly bytes: Uint8Array;
  /** Bytes that it occupies: at least `bytes.length`; the rest is zero. */
  readonly memorySize: number;
  /** File and part for messages, e.g. `kernel.elf segment 1`. */
  readonly what: string;
  /** Bytes at its start that no program needs: they may lie outside of memory. None if absent. */
  readonly headers?: number;
}

/** What a file is, told by its contents, never by its name. */
export type ImageKind = "elf" | "linux" | "uimage" | "hex" | "zboot" | "gzip" | "xz" | "zstd" | "bzip2" | "lz4" | "raw";

/** A file, ready to be written to memory. */
export interface LoadedImage {
  /** What the file is. */
  readonly kind: ImageKind;
  /** What goes where; in no particular order. */
  readonly pieces: readonly LoadPiece[];
  /** Lowest address of a piece. */
  readonly low: number;
  /** First address after the last piece. */
  readonly end: number;
  /** Physical address where the file says that execution starts; its first byte where it says nothing. */
  readonly entry: bigint;
  /** The parsed ELF, where it is one. */
  readonly elf?: Elf;
}

/**
 * The header of a Linux RISC-V `Image` (Linux Documentation, "Boot image header in RISC-V Linux"). QEMU ignores it and loads
 * the file at the kernel address, and so does hartbeat, except that memory for all of `imageSize` must be there.
 */
export interface LinuxHeader {
  /** Where the image wants to be, in bytes from the start of RAM (`text_offset`); 2 or 4 MiB, 0 for an M-mode kernel. */
  readonly textOffset: bigint;
  /** Bytes that the kernel occupies, with what is not in the file (`image_size`). */
  readonly imageSize: bigint;
  /** Bit 0: big-endian. */
  readonly flags: bigint;
  /** Version of the header: bits 31:16 major, 15:0 minor. */
  readonly version: number;
}

const linuxHeaderSize = 64;
const linuxMagicOffset = 0x38;
const uimageHeaderSize = 64;
const uimageKernel = 2;
const uimageRamdisk = 3;
const uimageUncompressed = 0;

/** Files that must be unpacked first: how they begin and what unpacks them. */
const packed: readonly { kind: ImageKind; magic: readonly number[]; unpack: string }[] = [
  { kind: "gzip", magic: [0x1f, 0x8b], unpack: "gunzip" },
  { kind: "xz", magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], unpack: "unxz" },
  { kind: "zstd", magic: [0x28, 0xb5, 0x2f, 0xfd], unpack: "unzstd" },
  { kind: "bzip2", magic: [0x42, 0x5a, 0x68], unpack: "bunzip2" },
  { kind: "lz4", magic: [0x02, 0x21, 0x4c, 0x18], unpack: "unlz4" },
];

/** Whether `bytes` holds exactly `text` (ASCII) at `offset`. */
function holds(bytes: Uint8Array, offset: number, text: string): boolean {
  return Array.from(text).every((character, index) => bytes[offset + index] === character.charCodeAt(0));
}

/** Tells what a file is by its contents. */
export function imageKind(bytes: Uint8Array): ImageKind {
  if (isElf(bytes)) return "elf";
  if (holds(bytes, 0, "MZ") && holds(bytes, 4, "zimg")) return "zboot";
  if (bytes.length >= linuxHeaderSize && holds(bytes, linuxMagicOffset, "RSC\x05")) return "linux";
  if (bytes.length >= uimageHeaderSize && holds(bytes, 0, "\x27\x05\x19\x56")) return "uimage";
  if (/^:[0-9A-Fa-f]{8}$/.test(String.fromCharCode(...bytes.subarray(0, 9)))) return "hex";
  return packed.find(({ magic }) => magic.every((byte, index) => bytes[index] === byte))?.kind ?? "raw";
}

/** The header of a Linux `Image`, or undefined for another file. */
export function linuxHeader(bytes: Uint8Array): LinuxHeader | undefined {
  if (imageKind(bytes) !== "linux") return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    textOffset: view.getBigUint64(8, true),
    imageSize: view.getBigUint64(16, true),
    flags: view.getBigUint64(24, true),
    version: view.getUint32(32, true),
  };
}

/** One piece as an image. */
function single(kind: ImageKind, piece: LoadPiece, entry = piece.address): LoadedImage {
  const { address, memorySize } = piece;
  return { kind, pieces: [piece], low: address, end: address + memorySize, entry: BigInt(entry) };
}

/** A file's bytes as they are, at an address. */
export function loadRaw(file: ImageFile, address: number): LoadedImage {
  const { name, bytes } = file;
  return single("raw", { address, bytes, memorySize: bytes.length, what: name });
}

function loadElf(file: ImageFile): LoadedImage {
  const elf = parseElf(file.bytes, file.name, file.source);
  const pieces = elf.segments.map((segment): LoadPiece => ({
    address: segment.physicalAddress,
    bytes: segment.bytes,
    memorySize: segment.memorySize,
    what: `${file.name} segment ${segment.index}`,
    headers: headerBytes(segment, elf.sections),
  }));
  return {
    kind: "elf",
    pieces,
    low: pieces.reduce((low, { address }) => Math.min(low, address), Infinity),
    end: pieces.reduce((end, { address, memorySize }) => Math.max(end, address + memorySize), 0),
    entry: physicalEntry(elf),
    elf,
  };
}

function loadLinux(file: ImageFile, address: number): LoadedImage {
  const header = linuxHeader(file.bytes)!;
  if (header.flags & 1n) {
    throw new LoadError(`${file.name}: a big-endian Linux kernel; only little-endian is supported`);
  }
  if (header.imageSize > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new LoadError(`${file.name}: image_size 0x${header.imageSize.toString(16)} at 0x10 of the file is damaged`);
  }
  const memorySize = Math.max(Number(header.imageSize), file.bytes.length);
  return single("linux", { address, bytes: file.bytes, memorySize, what: file.name });
}

/** The payload of U-Boot's legacy image format (U-Boot, `include/image.h`; all fields big-endian). */
function uimagePayload(file: ImageFile, type: number): { bytes: Uint8Array; load: number; entry: number } {
  const { name, bytes } = file;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = view.getUint32(12);
  const end = uimageHeaderSize + size;
  if (bytes[30] !== type) {
    const expected = type === uimageKernel ? "kernel" : "ramdisk";
    throw new LoadError(`${name}: a U-Boot image of type ${bytes[30]}; expected ${type} (${expected})`);
  }
  if (end > bytes.length) {
    throw new LoadError(`${name}: truncated: its U-Boot header promises ${end} bytes, the file has ${bytes.length}`);
  }
  return { bytes: bytes.subarray(uimageHeaderSize, end), load: view.getUint32(16), entry: view.getUint32(20) };
}

function loadUimage(file: ImageFile): LoadedImage {
  const { bytes, load, entry } = uimagePayload(file, uimageKernel);
  if (file.bytes[31] !== uimageUncompressed) {
    throw new LoadError(`${file.name}: its U-Boot payload is compressed; make the image with mkimage -C none`);
  }
  return single("uimage", { address: load, bytes, memorySize: bytes.length, what: file.name }, entry);
}

/** A ramdisk at an address: the file as it is, whatever it is, without a U-Boot header if it has one. */
export function loadRamdisk(file: ImageFile, address: number): LoadedImage {
  if (imageKind(file.bytes) !== "uimage") return loadRaw(file, address);
  return loadRaw({ name: file.name, bytes: uimagePayload(file, uimageRamdisk).bytes }, address);
}

/**
 * A program as QEMU's loaders take it: an ELF at its physical addresses, a U-Boot kernel image at the address it states, a
 * Linux `Image` or anything else at `address`.
 *
 * @param file The file.
 * @param address Where a file goes that does not say where it wants to be, as a physical address.
 * @throws {LoadError} If the file is empty, damaged, compressed or in a format that must be converted first.
 */
export function loadImage(file: ImageFile, address: number): LoadedImage {
  const { name, bytes } = file;
  if (bytes.length === 0) throw new LoadError(`${name}: the file is empty`);
  const kind = imageKind(bytes);
  switch (kind) {
    case "elf":
      return loadElf(file);
    case "linux":
      return loadLinux(file, address);
    case "uimage":
      return loadUimage(file);
    case "raw":
      return loadRaw(file, address);
    case "hex":
      throw new LoadError(`${name}: Intel HEX; convert it first: objcopy -I ihex -O elf32-littleriscv ${name} out.elf`);
    case "zboot":
      throw new LoadError(`${name}: an EFI zboot image, which only EFI can start; use arch/riscv/boot/Image instead`);
    default: {
      const { unpack } = packed.find((each) => each.kind === kind)!;
      throw new LoadError(`${name}: compressed (${kind}); unpack it first with ${unpack}`);
    }
  }
}
