// Files that options name. The only place of the machine that looks for a host: paths need one, bytes do not.

import { type BlockBackend, SECTOR } from "../devices/block_backend.ts";
import { type ByteSource, PagedSource, sourceOf } from "./byte_source.ts";
import { loadedSize } from "./elf.ts";
import { LoadError } from "./errors.ts";
import type { ImageFile } from "./image.ts";
import type { FileSource } from "./options.ts";

/** The part of `node:fs` that is needed; Deno, Node and Bun hand it out without an import. */
interface FileSystem {
  readFileSync(path: string | URL): Uint8Array;
  openSync(path: string | URL, flags: string): number;
  closeSync(descriptor: number): void;
  statSync(path: string | URL): { readonly size: number; isFile(): boolean };
  fstatSync(descriptor: number): { readonly size: number; isFile(): boolean; isDirectory(): boolean };
  readSync(descriptor: number, into: Uint8Array, offset: number, length: number, position: number): number;
  writeSync(descriptor: number, from: Uint8Array, offset: number, length: number, position: number): number;
  fdatasyncSync(descriptor: number): void;
}

/** The part of `node:zlib` that is needed; the second came later. */
interface Compression {
  inflateSync(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
  zstdDecompressSync?(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

function builtIn<T>(name: string): T | undefined {
  const host = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  return host.process?.getBuiltinModule?.(name) as T | undefined;
}

function fileSystem(): FileSystem | undefined {
  return builtIn<FileSystem>("fs");
}

/**
 * Reads a file that an option names.
 *
 * @param option The option, for messages.
 * @throws {LoadError} If it cannot be read.
 */
export function readFile(source: FileSource, option: string): ImageFile {
  if (source instanceof Uint8Array) return { name: option, bytes: source };
  if (typeof source === "object" && "bytes" in source) return source;
  const name = String(source), files = fileSystem();
  if (files === undefined) throw new LoadError(`${option} ${name}: there is no file system here; give the bytes`);
  try {
    const { buffer, byteOffset, byteLength } = files.readFileSync(source);
    return { name, bytes: new Uint8Array(buffer, byteOffset, byteLength) };
  } catch (e) {
    throw new LoadError(`${option} ${name}: ${reason(e, "read")}`);
  }
}

/** Of an ELF file from this size on only what is loaded is read at once: the rest is debug information. */
const LARGE = 8 << 20;

/**
 * Reads a program that an option names, as `readFile`: of a large ELF file what is loaded, and the rest when it is asked for.
 *
 * @throws {LoadError} If it cannot be read.
 */
export function readProgram(source: FileSource, option: string): ImageFile {
  if (typeof source === "string" || source instanceof URL) {
    const { isFile, size } = statusOf(source);
    if (isFile && size >= LARGE) {
      const whole = openFile(source, option), loaded = loadedSize(whole);
      if (loaded !== undefined) {
        return { name: whole.name, bytes: whole.read(0, loaded), source: new PagedSource(whole) };
      }
    }
  }
  return readFile(source, option);
}

/** Whether a path is that of a file, and its size; what is wrong with it is for others to say. */
function statusOf(path: string | URL): { readonly isFile: boolean; readonly size: number } {
  try {
    const status = fileSystem()?.statSync(path);
    return { isFile: status?.isFile() ?? false, size: status?.size ?? 0 };
  } catch {
    return { isFile: false, size: 0 };
  }
}

function reason(error: unknown, wanted: "read" | "written"): string {
  const { code, message } = error as { code?: string; message: string };
  switch (code) {
    case "ENOENT":
      return "there is no such file";
    case "EISDIR":
      return "it is a folder";
    case "EACCES":
    case "EPERM":
    case "EROFS":
    case "NotCapable":
      return `it may not be ${wanted}`;
    default:
      return message;
  }
}

/** A file that is read and written in place. Where it ends within a sector, the rest of that reads as zeros. */
class FileBlocks implements BlockBackend {
  readonly #files: FileSystem;
  readonly #descriptor: number;
  #isOpen = true;
  readonly size: number;
  readonly readOnly: boolean;

  constructor(files: FileSystem, descriptor: number, size: number, readOnly: boolean) {
    this.#files = files;
    this.#descriptor = descriptor;
    this.size = Math.ceil(size / SECTOR) * SECTOR;
    this.readOnly = readOnly;
  }

  read(offset: number, into: Uint8Array): void {
    let at = 0;
    while (at < into.length) {
      const count = this.#files.readSync(this.#descriptor, into, at, into.length - at, offset + at);
      if (count === 0) break;
      at += count;
    }
    into.fill(0, at);
  }

  write(offset: number, from: Uint8Array): void {
    for (let at = 0; at < from.length;) {
      at += this.#files.writeSync(this.#descriptor, from, at, from.length - at, offset + at);
    }
  }

  flush(): void {
    if (this.#isOpen && !this.readOnly) this.#files.fdatasyncSync(this.#descriptor);
  }

  close(): void {
    if (this.#isOpen) this.#files.closeSync(this.#descriptor);
    this.#isOpen = false;
  }
}

/**
 * Opens a file that is read and written in place.
 *
 * @param readOnly Never write it.
 * @param where The option, for messages.
 * @throws {LoadError} If it cannot be opened.
 */
export function openBlocks(path: string | URL, readOnly: boolean, where: string): BlockBackend {
  const files = fileSystem();
  if (files === undefined) throw new LoadError(`${where}: there is no file system here; give the bytes`);
  let descriptor: number;
  try {
    descriptor = files.openSync(path, readOnly ? "r" : "r+");
  } catch (e) {
    const hint = readOnly ? "" : "; readonly=on or snapshot=on only read it";
    const why = reason(e, readOnly ? "read" : "written");
    throw new LoadError(`${where}: Could not open '${path}': ${why}${why.startsWith("it may not") ? hint : ""}`);
  }
  const status = files.fstatSync(descriptor);
  if (status.isDirectory() || !status.isFile()) {
    files.closeSync(descriptor);
    throw new LoadError(`${where}: Could not open '${path}': it is ${status.isDirectory() ? "a folder" : "no file"}`);
  }
  return new FileBlocks(files, descriptor, status.size, readOnly);
}

/**
 * Opens a file that an option names, of which parts are read later. It is open only while it is read.
 *
 * @param option The option, for messages.
 * @throws {LoadError} If it cannot be read.
 */
export function openFile(source: FileSource, option: string): ByteSource {
  if (typeof source !== "string" && !(source instanceof URL)) return sourceOf(readFile(source, option));
  const name = String(source), files = fileSystem();
  if (files === undefined) throw new LoadError(`${option} ${name}: there is no file system here; give the bytes`);
  const opened = <T>(use: (descriptor: number) => T): T => {
    let descriptor: number | undefined;
    try {
      return use(descriptor = files.openSync(source, "r"));
    } catch (e) {
      throw new LoadError(`${option} ${name}: ${reason(e, "read")}`);
    } finally {
      if (descriptor !== undefined) files.closeSync(descriptor);
    }
  };
  const status = opened((descriptor) => files.fstatSync(descriptor));
  // A pipe can only be read from the start to the end.
  if (!status.isFile()) return sourceOf(readFile(source, option));
  const { size } = status;
  return {
    name,
    size,
    read: (offset, length) => {
      const buffer = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
      const count = buffer.length === 0
        ? 0
        : opened((descriptor) => files.readSync(descriptor, buffer, 0, buffer.length, offset));
      return buffer.subarray(0, count);
    },
  };
}

/**
 * Decompresses a section.
 *
 * @param format `zlib` or `zstd`.
 * @param size Bytes that it has to give.
 * @throws {LoadError} If the host cannot do that.
 */
export function inflate(bytes: Uint8Array, format: string, size: number): Uint8Array {
  const compression = builtIn<Compression>("zlib"), options = { maxOutputLength: Math.max(1, size) };
  if (format === "zlib" && compression !== undefined) return compression.inflateSync(bytes, options);
  if (format === "zstd" && compression?.zstdDecompressSync !== undefined) {
    return compression.zstdDecompressSync(bytes, options);
  }
  throw new LoadError(`${format} is not supported here`);
}
