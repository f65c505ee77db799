// Folders for tests, which are gone afterwards.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Calls `f` with an empty folder. */
export function withFolder<T>(f: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-"));
  try {
    return f(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The same for what takes a while. */
export async function withFolderFor<T>(f: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-"));
  try {
    return await f(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
