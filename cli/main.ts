// The command from its arguments to its exit code. Loads only what the arguments ask for.

import { writeSync } from "node:fs";
import { HartbeatError } from "../machine/errors.ts";
import { listingText } from "./help.ts";
import { parseCommandLine } from "./options.ts";
import type { Settings } from "./settings.ts";

/** Writes a short text; nobody reading it is no error. */
function print(descriptor: number, text: string): void {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest));
    } catch (e) {
      if ((e as { code?: string }).code !== "EAGAIN") return;
    }
  }
}

/** What is said about an error: one line, unless the fault is hartbeat's. */
function describe(e: unknown, settings: Settings | undefined): string {
  if (e instanceof HartbeatError) return e.message;
  if (e instanceof RangeError && /allocation failed/i.test(e.message)) {
    return `-m ${settings?.machine.memory ?? ""}: this computer has not enough memory for it`;
  }
  return `internal error; please report it with these lines and the command line\n${(e as Error)?.stack ?? e}`;
}

/**
 * Runs the command.
 *
 * @param args Arguments without the program's name.
 * @returns The exit code.
 */
export async function main(args: readonly string[]): Promise<number> {
  let settings: Settings | undefined;
  try {
    settings = parseCommandLine(args);
    if (settings.listing !== undefined) {
      print(1, await listingText(settings.listing, settings.deviceModel));
      return 0;
    }
    const { run } = await import("./run.ts");
    return await run(settings);
  } catch (e) {
    print(2, `hartbeat: ${describe(e, settings)}\n`);
    return 1;
  }
}
