// Files that semihosting may reach: the interface, and a folder of the host as one. Nothing outside of the folder can be named.

import { LoadError } from "./errors.ts";

/**
 * Error numbers, as Linux and newlib have them.
 *
 * @example
 * ```ts
 * import { ERRNO, FileError } from "hartbeat";
 *
 * const e = new FileError(ERRNO.ENOENT);
 * console.log(e.errno === ERRNO.ENOENT);
 * ```
 */
export const ERRNO = {
  ENOENT: 2,
  EIO: 5,
  E2BIG: 7,
  EBADF: 9,
  EACCES: 13,
  EFAULT: 14,
  EEXIST: 17,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EMFILE: 24,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
} as const;

/**
 * An operation on a file failed.
 *
 * @example
 * ```ts
 * import { ERRNO, FileError, Machine } from "hartbeat";
 *
 * // A guest that may open nothing.
 * const refuse = () => {
 *   throw new FileError(ERRNO.EACCES);
 * };
 * await Machine.create({
 *   bios: "tests/programs/kernel.elf",
 *   semihosting: { files: { open: refuse, remove: refuse, rename: refuse } },
 * });
 * ```
 */
export class FileError extends Error {
  /** A number of `ERRNO`. */
  readonly errno: number;

  /** `errno`: a number of `ERRNO`. */
  constructor(errno: number) {
    super(`errno ${errno}`);
    this.errno = errno;
  }
}

/**
 * How a file is opened, as C's `fopen` names it.
 *
 * @example
 * ```ts
 * import type { FileMode } from "hartbeat";
 *
 * const writes = (mode: FileMode) => mode !== "r";
 * console.log(writes("r+"));
 * ```
 */
export type FileMode = "r" | "r+" | "w" | "w+" | "a" | "a+";

/**
 * An open file. All functions throw a `FileError` where they fail.
 *
 * @example
 * ```ts
 * import type { SemihostingFile } from "hartbeat";
 *
 * // A file that can be read.
 * const file = (bytes: Uint8Array): SemihostingFile => ({
 *   read: (position, length) => bytes.subarray(position, position + length),
 *   write: (position) => ({ count: 0, position }),
 *   size: () => bytes.length,
 *   close: () => {},
 * });
 * console.log(file(new Uint8Array(7)).size());
 * ```
 */
export interface SemihostingFile {
  /** Up to `length` bytes from a position; fewer at the end. */
  read(position: number, length: number): Uint8Array;
  /** Writes at a position, or at the end if it was opened so; how many bytes, and the position after them. */
  write(position: number, bytes: Uint8Array): { readonly count: number; readonly position: number };
  /** Its length in bytes. */
  size(): number;
  /** It is not used any more. */
  close(): void;
}

/**
 * Where a guest's files are. All functions throw a `FileError` where they fail.
 *
 * @example
 * ```ts
 * import { ERRNO, FileError, Machine, type SemihostingFiles } from "hartbeat";
 *
 * // One file, from memory.
 * const bytes = new TextEncoder().encode("hello");
 * const files: SemihostingFiles = {
 *   open(name, mode) {
 *     if (name !== "greeting" || mode !== "r") throw new FileError(ERRNO.ENOENT);
 *     return {
 *       read: (position, length) => bytes.subarray(position, position + length),
 *       write: (position) => ({ count: 0, position }),
 *       size: () => bytes.length,
 *       close: () => {},
 *     };
 *   },
 *   remove() {
 *     throw new FileError(ERRNO.EROFS);
 *   },
 *   rename() {
 *     throw new FileError(ERRNO.EROFS);
 *   },
 * };
 * await Machine.create({ bios: "tests/programs/kernel.elf", semihosting: { files } });
 * ```
 */
export interface SemihostingFiles {
  /** Opens a file, or makes one as the mode says. */
  open(name: string, mode: FileMode): SemihostingFile;
  /** Removes a file. */
  remove(name: string): void;
  /** Gives a file another name. */
  rename(from: string, to: string): void;
}

/** The part of `node:fs` that is needed. */
interface FileSystem {
  readonly constants: Readonly<Record<string, number>>;
  realpathSync(path: string): string;
  lstatSync(path: string): { isSymbolicLink(): boolean; isDirectory(): boolean; isFile(): boolean };
  openSync(path: string, flags: number, mode: number): number;
  fstatSync(descriptor: number): { readonly size: number; isFile(): boolean; isDirectory(): boolean };
  readSync(descriptor: number, bytes: Uint8Array, offset: number, length: number, position: number): number;
  writeSync(descriptor: number, bytes: Uint8Array, offset: number, length: number, position: number | null): number;
  closeSync(descriptor: number): void;
  unlinkSync(path: string): void;
  renameSync(from: string, to: string): void;
}

/** Flags of `open` by mode. */
const FLAGS: Readonly<Record<FileMode, readonly string[]>> = {
  "r": ["O_RDONLY"],
  "r+": ["O_RDWR"],
  "w": ["O_WRONLY", "O_CREAT", "O_TRUNC"],
  "w+": ["O_RDWR", "O_CREAT", "O_TRUNC"],
  "a": ["O_WRONLY", "O_CREAT"],
  "a+": ["O_RDWR", "O_CREAT"],
};

/** A folder of the host as a guest's files. */
class HostFolder implements SemihostingFiles {
  readonly #fs: FileSystem;
  readonly #root: string;

  constructor(fs: FileSystem, root: string) {
    this.#fs = fs;
    this.#root = root;
  }

  /** Calls a function of the host; its errors become those of the guest. */
  #host<T>(f: () => T): T {
    try {
      return f();
    } catch (e) {
      if (e instanceof FileError) throw e;
      const { code } = e as { code?: string };
      if (code === "NotCapable" || code === "EPERM") throw new FileError(ERRNO.EACCES);
      throw new FileError(ERRNO[code as keyof typeof ERRNO] ?? ERRNO.EIO);
    }
  }

  /**
   * Path of the host for a name. Names go down from the folder only, and through no link: neither in the folders that lead to the
   * file nor, where one is there, as the file itself.
   */
  #path(name: string): string {
    const parts = name.split("/").filter((part) => part !== "" && part !== ".");
    const strange = name.startsWith("/") || /[\0\\:]/.test(name) || parts.includes("..");
    if (strange || parts.length === 0) {
      throw new FileError(parts.length === 0 && !strange ? ERRNO.EISDIR : ERRNO.EACCES);
    }
    let path = this.#root;
    parts.forEach((part, k) => {
      path += `/${part}`;
      let there;
      try {
        there = this.#fs.lstatSync(path);
      } catch (e) {
        // The last one need not be there.
        if (k === parts.length - 1 && (e as { code?: string }).code === "ENOENT") return;
        throw e;
      }
      if (there.isSymbolicLink()) throw new FileError(ERRNO.ELOOP);
      if (k < parts.length - 1 && !there.isDirectory()) throw new FileError(ERRNO.ENOTDIR);
      if (k === parts.length - 1 && there.isDirectory()) throw new FileError(ERRNO.EISDIR);
      if (k === parts.length - 1 && !there.isFile()) throw new FileError(ERRNO.EACCES);
    });
    return path;
  }

  open(name: string, mode: FileMode): SemihostingFile {
    return this.#host(() => {
      const { constants } = this.#fs, path = this.#path(name);
      // Should the file have become something else meanwhile: no link is followed, and no pipe waited for.
      const flags = [...FLAGS[mode], "O_NOFOLLOW", "O_NONBLOCK"].reduce((sum, flag) => sum | (constants[flag] ?? 0), 0);
      const descriptor = this.#fs.openSync(path, flags, 0o644);
      if (!this.#fs.fstatSync(descriptor).isFile()) {
        this.#fs.closeSync(descriptor);
        throw new FileError(ERRNO.EACCES);
      }
      return this.#file(descriptor, mode.startsWith("a"));
    });
  }

  #file(descriptor: number, appends: boolean): SemihostingFile {
    const fs = this.#fs, size = () => fs.fstatSync(descriptor).size;
    return {
      read: (position, length) =>
        this.#host(() => {
          const bytes = new Uint8Array(Math.max(0, Math.min(length, size() - position)));
          let count = 0;
          while (count < bytes.length) {
            const more = fs.readSync(descriptor, bytes, count, bytes.length - count, position + count);
            if (more === 0) break;
            count += more;
          }
          return bytes.subarray(0, count);
        }),
      write: (position, bytes) =>
        this.#host(() => {
          const start = appends ? size() : position;
          let count = 0;
          while (count < bytes.length) {
            count += fs.writeSync(descriptor, bytes, count, bytes.length - count, start + count);
          }
          return { count, position: start + count };
        }),
      size: () => this.#host(size),
      close: () => this.#host(() => fs.closeSync(descriptor)),
    };
  }

  remove(name: string): void {
    this.#host(() => {
      const path = this.#path(name);
      this.#fs.unlinkSync(path);
    });
  }

  rename(from: string, to: string): void {
    this.#host(() => {
      const source = this.#path(from), target = this.#path(to);
      this.#fs.lstatSync(source);
      this.#fs.renameSync(source, target);
    });
  }
}

/**
 * A folder of the host as a guest's files.
 *
 * @param option The option, for messages.
 * @throws {LoadError} If there is no such folder, or no file system here.
 */
export function hostFolder(path: string, option: string): SemihostingFiles {
  const host = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  const fs = host.process?.getBuiltinModule?.("fs") as FileSystem | undefined;
  if (fs === undefined) throw new LoadError(`${option} ${path}: there is no file system here`);
  let root;
  try {
    root = fs.realpathSync(path);
    if (!fs.lstatSync(root).isDirectory()) throw new LoadError(`${option} ${path}: it is no folder`);
  } catch (e) {
    if (e instanceof LoadError) throw e;
    const { code } = e as { code?: string };
    throw new LoadError(`${option} ${path}: ${code === "ENOENT" ? "there is no such folder" : "it may not be read"}`);
  }
  return new HostFolder(fs, root);
}
