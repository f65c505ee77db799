// ELF files: reads the header, segments, sections and symbols of a 32-bit or 64-bit little-endian RISC-V ELF.
import { type ByteSource, sourceOf } from "./byte_source.ts";
import { LoadError } from "./errors.ts";
import { readSections } from "./elf_sections.ts";
import type { ElfSection, ElfSymbol, Sections, SectionTable } from "./elf_sections.ts";

export type { ElfSection, ElfSymbol };

/** A loadable segment (PT_LOAD) that occupies memory. */
export interface ElfSegment {
  /** Index in the program header table. */
  readonly index: number;
  /** Physical address (`p_paddr`) in bytes, below 2^53. */
  readonly physicalAddress: number;
  /** Virtual address (`p_vaddr`), unsigned. */
  readonly virtualAddress: bigint;
  /** The `p_filesz` bytes that the file holds; a view of the file, not a copy. */
  readonly bytes: Uint8Array;
  /** Bytes in memory (`p_memsz`): at least `bytes.length`; what the file does not hold is zero. */
  readonly memorySize: number;
  /** `p_flags`: 1 execute, 2 write, 4 read. */
  readonly flags: number;
  /** `p_offset`: where in the file its bytes are. */
  readonly offset: number;
}

/**
 * Bytes at the start of a segment that are the file's own headers and what aligns the first section: linkers put them there,
 * though no program needs them (`-Ttext=0x80000000` gives a segment from 0x7ffff000 on). 0 if its start is a section, or no section
 * is known.
 */
export function headerBytes(segment: ElfSegment, sections: readonly ElfSection[]): number {
  const { offset, virtualAddress, memorySize, bytes } = segment;
  if (offset !== 0 || bytes.length === 0 || sections.length === 0) return 0;
  const inside = sections.filter(({ flags, address }) =>
    (flags & sectionAllocated) !== 0n && address >= virtualAddress && address < virtualAddress + BigInt(memorySize)
  );
  return inside.reduce((least, { address }) => Math.min(least, Number(address - virtualAddress)), memorySize);
}

/**
 * A parsed ELF file. Physical addresses, sizes and file offsets are `number` (below 2^53, checked); virtual addresses,
 * the entry and symbol values are unsigned `bigint`.
 */
export interface Elf {
  /** File name as given, for messages. */
  readonly name: string;
  /** Width of its addresses in bits (`EI_CLASS`). */
  readonly xlen: 32 | 64;
  /** `e_type`: 2 executable, 3 shared object (position-independent executable). */
  readonly type: number;
  /** `e_entry`, a virtual address. */
  readonly entry: bigint;
  /** `e_flags`: bit 0 compressed instructions, bits 2:1 float ABI, bit 3 RVE, bit 4 TSO (RISC-V ELF psABI, chapter 8). */
  readonly flags: number;
  /** Loadable segments that occupy memory, in file order; at least one. */
  readonly segments: readonly ElfSegment[];
  /** Sections in file order without the null section; empty if the table is absent or damaged. */
  readonly sections: readonly ElfSection[];
  /** Symbols of `.symtab`, else of `.dynsym`, without the null symbol; empty if absent or damaged. */
  readonly symbols: readonly ElfSymbol[];
  /** One line for each damaged part that loading could do without: why sections or symbols are missing. */
  readonly warnings: readonly string[];
  /** The whole file. */
  readonly source: ByteSource;
}

const magic = [0x7f, 0x45, 0x4c, 0x46];
const machineRiscv = 243;
const segmentLoad = 1;
/** SHF_ALLOC of `sh_flags`. */
const sectionAllocated = 2n;
/** `e_phnum` when the real count is in `sh_info` of section header 0 (ELF gABI, "Section Header Table Index"). */
const extendedSegmentCount = 0xffff;

/** Names of `e_machine` values that people mix up with RISC-V (ELF gABI, "Machine Information"). */
const machineNames: Readonly<Record<number, string>> = {
  2: "SPARC",
  3: "x86",
  4: "Motorola 68000",
  8: "MIPS",
  20: "PowerPC",
  21: "64-bit PowerPC",
  22: "S/390",
  40: "Arm",
  42: "SuperH",
  62: "x86-64",
  83: "AVR",
  94: "Xtensa",
  105: "MSP430",
  183: "AArch64",
  189: "MicroBlaze",
  247: "BPF",
  258: "LoongArch",
};

const typeNames: Readonly<Record<number, string>> = {
  0: "has no type",
  1: "is a relocatable object; link it first",
  4: "is a core dump",
};

/** Whether the bytes begin with the ELF magic number. */
export function isElf(bytes: Uint8Array): boolean {
  return magic.every((byte, index) => bytes[index] === byte);
}

/** Address width in bits that an ELF file states (`EI_CLASS`), or undefined for anything else. */
export function elfXlen(bytes: Uint8Array): 32 | 64 | undefined {
  if (!isElf(bytes)) return undefined;
  return bytes[4] === 1 ? 32 : bytes[4] === 2 ? 64 : undefined;
}

/** Formats a number or bigint as the messages show addresses, sizes and file offsets. */
function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/** The fields of the ELF header that the rest of the file is found by. */
interface Header {
  readonly xlen: 32 | 64;
  readonly view: DataView;
  readonly type: number;
  readonly entry: bigint;
  readonly flags: number;
  readonly segmentTable: bigint;
  readonly segmentEntrySize: number;
  readonly segmentCount: number;
  readonly sectionTable: bigint;
  readonly sectionEntrySize: number;
  readonly sectionCount: number;
  readonly sectionNames: number;
}

function readHeader(bytes: Uint8Array, name: string): Header {
  if (!isElf(bytes)) {
    const start = Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    throw new LoadError(`${name}: not an ELF file: ${start ? `it starts with ${start}` : "it is empty"}`);
  }
  if (bytes.length < 16) {
    throw new LoadError(`${name}: truncated: the ELF identification has 16 bytes, the file ${bytes.length}`);
  }
  const xlen = elfXlen(bytes);
  if (xlen === undefined) {
    throw new LoadError(`${name}: ELF class (byte 4) is ${bytes[4]}; it must be 1 (32-bit) or 2 (64-bit)`);
  }
  if (bytes[5] === 2) {
    throw new LoadError(`${name}: big-endian, and only little-endian is supported; build it for riscv32 or riscv64`);
  }
  if (bytes[5] !== 1) {
    throw new LoadError(`${name}: ELF data encoding (byte 5) is ${bytes[5]}; it must be 1 (little-endian)`);
  }
  const size = xlen === 32 ? 52 : 64;
  if (bytes.length < size) {
    throw new LoadError(`${name}: truncated: the ELF header has ${size} bytes, the file ${bytes.length}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const machine = view.getUint16(18, true);
  if (machine !== machineRiscv) {
    const which = machineNames[machine] ?? "another machine";
    throw new LoadError(`${name}: for ${which} (e_machine ${machine}), not for RISC-V (${machineRiscv})`);
  }
  const type = view.getUint16(16, true);
  if (type !== 2 && type !== 3) {
    throw new LoadError(
      `${name}: not executable: e_type is ${type}${typeNames[type] ? `, it ${typeNames[type]}` : ""}`,
    );
  }
  const word = (narrow: number, wide: number): bigint =>
    xlen === 32 ? BigInt(view.getUint32(narrow, true)) : view.getBigUint64(wide, true);
  const tail = xlen === 32 ? 36 : 48;
  return {
    xlen,
    view,
    type,
    entry: word(24, 24),
    flags: view.getUint32(tail, true),
    segmentTable: word(28, 32),
    segmentEntrySize: view.getUint16(tail + 6, true),
    segmentCount: view.getUint16(tail + 8, true),
    sectionTable: word(32, 40),
    sectionEntrySize: view.getUint16(tail + 10, true),
    sectionCount: view.getUint16(tail + 12, true),
    sectionNames: view.getUint16(tail + 14, true),
  };
}

function countSegments(header: Header, name: string): number {
  if (header.segmentCount !== extendedSegmentCount) return header.segmentCount;
  const field = header.sectionTable + (header.xlen === 32 ? 28n : 44n);
  if (header.sectionTable === 0n || field + 4n > BigInt(header.view.byteLength)) {
    throw new LoadError(`${name}: e_phnum is 0xffff, but there is no section header 0 that holds the real count`);
  }
  return header.view.getUint32(Number(field), true);
}

function readSegments(bytes: Uint8Array, header: Header, name: string, fileEnd: bigint): ElfSegment[] {
  const { xlen, view } = header;
  const count = countSegments(header, name);
  if (count === 0) throw new LoadError(`${name}: no program headers, so nothing to load; is it linked?`);
  const entrySize = xlen === 32 ? 32 : 56;
  if (header.segmentEntrySize !== entrySize) {
    throw new LoadError(`${name}: e_phentsize is ${header.segmentEntrySize}; it must be ${entrySize} in ELF${xlen}`);
  }
  const tableEnd = header.segmentTable + BigInt(count * entrySize);
  if (tableEnd > fileEnd) {
    throw new LoadError(
      `${name}: program headers at ${hex(header.segmentTable)} to ${hex(tableEnd)} lie outside of the file, ` +
        `which has ${hex(fileEnd)} bytes: truncated?`,
    );
  }
  const segments: ElfSegment[] = [];
  for (let index = 0; index < count; index++) {
    const at = Number(header.segmentTable) + index * entrySize;
    if (view.getUint32(at, true) !== segmentLoad) continue;
    const word = (narrow: number, wide: number): bigint =>
      xlen === 32 ? BigInt(view.getUint32(at + narrow, true)) : view.getBigUint64(at + wide, true);
    const [offset, virtualAddress, physicalAddress] = [word(4, 8), word(8, 16), word(12, 24)];
    const [fileSize, memorySize] = [word(16, 32), word(20, 40)];
    if (memorySize < fileSize) {
      throw new LoadError(
        `${name}: segment ${index}: size in memory ${hex(memorySize)} is less than size in file ${hex(fileSize)}`,
      );
    }
    if (memorySize === 0n) continue;
    if (fileSize > 0n && offset + fileSize > fileEnd) {
      throw new LoadError(
        `${name}: segment ${index}: its data at ${hex(offset)} to ${hex(offset + fileSize)} lie past the end of the ` +
          `file at ${hex(fileEnd)}: truncated?`,
      );
    }
    if (physicalAddress + memorySize > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new LoadError(
        `${name}: segment ${index}: physical address ${hex(physicalAddress)} with size ${hex(memorySize)} does not ` +
          `end below 2^53; check p_paddr and p_memsz`,
      );
    }
    const start = fileSize > 0n ? Number(offset) : 0;
    segments.push({
      index,
      physicalAddress: Number(physicalAddress),
      virtualAddress,
      bytes: bytes.subarray(start, start + Number(fileSize)),
      memorySize: Number(memorySize),
      offset: start,
      flags: view.getUint32(at + (xlen === 32 ? 24 : 4), true),
    });
  }
  if (segments.length === 0) throw new LoadError(`${name}: no loadable segment (PT_LOAD), so nothing to load`);
  return segments;
}

/**
 * Parses an ELF32 or ELF64 executable for little-endian RISC-V (System V gABI, chapters 4 and 5; RISC-V ELF psABI).
 * Damage in section headers or symbols only leaves those lists empty, with a line in `warnings`.
 *
 * @param bytes The file, at least as much as is loaded of it; segments are views of it.
 * @param name File name for messages.
 * @param source The whole file, where `bytes` is only its beginning.
 * @throws {LoadError} If it cannot be loaded; the message names the file, what is wrong and where.
 */
export function parseElf(bytes: Uint8Array, name: string, source: ByteSource = sourceOf({ name, bytes })): Elf {
  const header = readHeader(bytes, name);
  const segments = readSegments(bytes, header, name, BigInt(source.size));
  const { sections, symbols: readSymbols, warnings } = readSections(source, sectionTable(header, name));
  const symbols = readSymbols();
  return {
    name,
    xlen: header.xlen,
    type: header.type,
    entry: header.entry,
    flags: header.flags,
    segments,
    sections,
    symbols,
    warnings,
    source,
  };
}

/**
 * How many bytes from its start on hold all that is loaded of an ELF file: of a kernel with debug information a small part.
 * Undefined if the file is none that can be loaded.
 */
export function loadedSize(source: ByteSource): number | undefined {
  try {
    const header = readHeader(source.read(0, 64), source.name), { xlen, segmentTable, segmentCount } = header;
    const entrySize = xlen === 32 ? 32 : 56, table = Number(segmentTable), tableSize = segmentCount * entrySize;
    if (segmentCount === extendedSegmentCount || table + tableSize > source.size) return undefined;
    const bytes = source.read(table, tableSize), view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let end = table + tableSize;
    for (let at = 0; at < tableSize; at += entrySize) {
      if (view.getUint32(at, true) !== segmentLoad) continue;
      const word = (narrow: number, wide: number) =>
        xlen === 32 ? view.getUint32(at + narrow, true) : Number(view.getBigUint64(at + wide, true));
      end = Math.max(end, word(4, 8) + word(16, 32));
    }
    return end <= source.size ? end : undefined;
  } catch (error) {
    if (error instanceof LoadError) return undefined;
    throw error;
  }
}

function sectionTable(header: Header, name: string): SectionTable {
  return {
    name,
    xlen: header.xlen,
    table: header.sectionTable,
    entrySize: header.sectionEntrySize,
    count: header.sectionCount,
    names: header.sectionNames,
  };
}

/** What there is in an ELF file besides what is loaded. */
export interface ElfInformation extends Sections {
  readonly xlen: 32 | 64;
}

/**
 * Opens an ELF file for its symbols and debug information. Of a large file only a few kilobytes are read.
 *
 * @throws {LoadError} If it is not an ELF file for RISC-V.
 */
export function openElf(source: ByteSource): ElfInformation {
  const { name } = source, header = readHeader(source.read(0, 64), name);
  return { xlen: header.xlen, ...readSections(source, sectionTable(header, name)) };
}

/**
 * Where execution starts as a physical address. `e_entry` is a virtual address; where an executable segment that is
 * loaded elsewhere than it is linked holds it, it is moved along with that segment, as QEMU does.
 */
export function physicalEntry(elf: Elf): bigint {
  for (const { virtualAddress, physicalAddress, bytes, flags } of elf.segments) {
    const offset = elf.entry - virtualAddress;
    if ((flags & 1) !== 0 && offset >= 0n && offset < BigInt(bytes.length)) return BigInt(physicalAddress) + offset;
  }
  return elf.entry;
}
