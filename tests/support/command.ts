// Runs the command as a user does, under the runtime that the tests run under, and QEMU beside it.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { type AddressInfo, createServer } from "node:net";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { PROGRAMS_FOLDER } from "../../scripts/build_guests.ts";

/** The command's first words. */
export const COMMAND: readonly string[] = [
  process.execPath,
  ...("Deno" in globalThis ? ["run", "-A"] : []),
  fileURLToPath(new URL("../../cli.ts", import.meta.url)),
];

/** Longest time that a command may take, milliseconds. */
const LIMIT = 60_000;

/** Path of a program of tests/programs. */
export function program(name: string): string {
  return `${PROGRAMS_FOLDER}${name}.elf`;
}

/** What a finished process left. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly bytes: Uint8Array;
}

function outcome(command: readonly string[], input: string | Uint8Array): Outcome {
  const { status, stdout, stderr, error } = spawnSync(command[0]!, command.slice(1), {
    input,
    timeout: LIMIT,
    maxBuffer: 1 << 26,
  });
  if (error !== undefined) throw error;
  return { code: status, stdout: String(stdout), stderr: String(stderr), bytes: new Uint8Array(stdout) };
}

/** Runs hartbeat to its end. */
export function hartbeat(args: readonly string[], input: string | Uint8Array = ""): Outcome {
  return outcome([...COMMAND, ...args], input);
}

/** Runs QEMU with the same arguments. */
export function qemu(xlen: 32 | 64, args: readonly string[]): Outcome {
  return outcome([`qemu-system-riscv${xlen}`, ...args], "");
}

/** Runs a shell script whose `$@` is the command with its arguments. */
export function shell(script: string, args: readonly string[], input = ""): Outcome {
  return outcome(["sh", "-c", script, "sh", ...COMMAND, ...args], input);
}

/** A hartbeat that is running. */
export class Running {
  readonly process: ChildProcess;
  stdout = "";
  stderr = "";
  readonly #ended: Promise<number | null>;

  /** `read`: false leaves its output in the pipe. */
  constructor(args: readonly string[], read = true) {
    this.process = spawn(COMMAND[0]!, [...COMMAND.slice(1), ...args], { timeout: LIMIT });
    if (read) this.process.stdout!.on("data", (data) => this.stdout += data);
    this.process.stderr!.on("data", (data) => this.stderr += data);
    this.#ended = new Promise((resolve) => this.process.on("exit", resolve));
  }

  /** Waits until the condition holds or the process has ended. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition() && this.process.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** Sends a signal. (Deno's `ChildProcess.kill` takes every exit after it for death by the signal.) */
  signal(signal: "SIGINT" | "SIGTERM" | "SIGHUP"): void {
    process.kill(this.process.pid!, signal);
  }

  /** Waits for the end; gives the exit code. */
  ended(): Promise<number | null> {
    return this.#ended;
  }
}

/** Why a tool is not there, or false if it is. In CI it has to be. */
export function missing(tool: string, versionOption: string, debianPackage: string): string | false {
  if (spawnSync(tool, [versionOption]).error === undefined) return false;
  const why = `${tool} is needed: apt-get install ${debianPackage}`;
  if (process.env.CI) throw new Error(why);
  return why;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
