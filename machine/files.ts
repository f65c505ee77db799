// Files that options name. The only place of the machine that looks for a host: paths need one, bytes do not.

import { LoadError } from "./errors.ts";
import type { ImageFile } from "./image.ts";
import type { FileSource } from "./options.ts";

/** The part of `node:fs` that is needed; Deno, Node and Bun hand it out without an import. */
interface FileSystem {
  readFileSync(path: string | URL): Uint8Array;
}

function fileSystem(): FileSystem | undefined {
  const host = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  return host.process?.getBuiltinModule?.("fs") as FileSystem | undefined;
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
    return { name, bytes: new Uint8Array(files.readFileSync(source)) };
  } catch (e) {
    const { code } = e as { code?: string };
    const why = code === "ENOENT"
      ? "there is no such file"
      : code === "EISDIR"
      ? "it is a folder"
      : code === "EACCES" || code === "NotCapable"
      ? "it may not be read"
      : (e as Error).message;
    throw new LoadError(`${option} ${name}: ${why}`);
  }
}
