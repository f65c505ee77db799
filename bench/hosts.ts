// The runtimes that are measured: hartbeat's command on Deno, from the sources, and on Node, from what the npm package holds.

import { spawnSync } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "../scripts/build_npm_tsc.ts";
import { COMMAND_FILE } from "../scripts/npm_package.ts";
import { CommandError } from "./measure.ts";

/** A runtime with the command on it. */
export interface Host {
  /** `Deno` or `Node`. */
  readonly name: string;
  /** Of the runtime. */
  readonly version: string;
  /** The words that the command's arguments follow. */
  readonly command: readonly string[];
}

/**
 * First line that a command prints.
 *
 * @throws {CommandError} If it fails, or there is no such command.
 */
export function firstLine(command: readonly string[]): string {
  const { stdout, status, error } = spawnSync(command[0]!, command.slice(1), { encoding: "utf8" });
  if (error !== undefined) {
    throw new CommandError(
      command,
      command[0]!.startsWith("qemu") ? "apt-get install qemu-system-misc" : error.message,
    );
  }
  if (status !== 0) throw new CommandError(command, `exit code ${status}`);
  return stdout.split("\n")[0]!;
}

/** Deno: the one that runs the bench, or one that npx fetches. */
export function denoHost(): Host {
  const path = "Deno" in globalThis
    ? process.execPath
    : firstLine(["npx", "-y", "deno@2", "eval", "console.log(Deno.execPath())"]);
  const version = firstLine([path, "--version"]).split(" ")[1]!;
  const cli = fileURLToPath(new URL("../cli.ts", import.meta.url));
  return { name: "Deno", version, command: [path, "run", "-A", "--no-check", cli] };
}

/**
 * Node 24 with the npm package, which it builds: the one at hand if it is as new, or one that npx fetches. (Not the sources: V8
 * checks each access to memory after Node has removed types, which takes a third of the interpreter's speed.)
 *
 * @param folder Where the package goes.
 */
function nodeHost(folder: string): Host {
  const print = ["-p", "process.execPath"];
  const { stdout } = spawnSync("node", ["-p", "parseInt(process.versions.node)"], { encoding: "utf8" });
  const path = firstLine(Number(stdout) >= 24 ? ["node", ...print] : ["npx", "-y", "-p", "node@24", "node", ...print]);
  build(folder);
  const version = firstLine([path, "--version"]).slice(1);
  return { name: "Node", version, command: [path, join(folder, COMMAND_FILE)] };
}

/** Gives Deno, and Node if `node` is true, to a function, and removes what had to be built when its promise is settled. */
export async function withHosts(node: boolean, use: (hosts: readonly Host[]) => Promise<void>): Promise<void> {
  if (!node) return await use([denoHost()]);
  const folder = mkdtempSync(join(realpathSync(tmpdir()), "hartbeat-bench-"));
  try {
    await use([denoHost(), nodeHost(join(folder, "npm"))]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
