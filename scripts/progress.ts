// Progress of what takes longer than a second, for who looks at it: one line on a terminal, nothing in a pipe or a file.

import process from "node:process";

/** Replaces the line of progress; an empty text removes it. */
export function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
