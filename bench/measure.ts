// Runs a program in a process of its own and tells what it cost.

import { spawn, spawnSync } from "node:child_process";
import process from "node:process";

/** What a process did. */
export interface Measured {
  /** CPU seconds of all its threads, user and system. */
  readonly seconds: number;
  /** Its standard output. */
  readonly output: string;
}

/** A command that failed: its words and what it said. */
export class CommandError extends Error {
  /** @param why Exit code and what the command wrote to standard error. */
  constructor(command: readonly string[], why: string) {
    super(`${command.join(" ")}: ${why}`);
    this.name = "CommandError";
  }
}

/** No run may take longer, in milliseconds of the host. */
const LIMIT = 900_000;

/**
 * Runs a command to its end. The time is what bash's `time` tells: CPU time of the process and of those it started, to the
 * millisecond. Standard input is empty.
 *
 * @throws {CommandError} If the command fails, or takes longer than 15 minutes.
 */
export function measure(command: readonly string[]): Promise<Measured> {
  return new Promise((resolve, reject) => {
    // The time goes to descriptor 3, apart from what the command says.
    const script = 'TIMEFORMAT="%3U %3S"; { time "$@" 2>&4; } 4>&2 2>&3';
    const child = spawn("bash", ["-c", script, "bash", ...command], {
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      detached: true,
      env: { ...process.env, LC_ALL: "C" },
    });
    const texts = ["", "", "", ""];
    for (const descriptor of [1, 2, 3]) {
      child.stdio[descriptor]!.on("data", (data) => texts[descriptor] += data);
    }
    // The group: bash and the command.
    const timer = setTimeout(() => process.kill(-child.pid!, "SIGKILL"), LIMIT);
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      const [user, system] = texts[3]!.trim().split(" ").map(Number);
      if (code !== 0 || system === undefined) {
        reject(new CommandError(command, `exit code ${code}${texts[2] && `: ${texts[2].trim()}`}`));
      } else resolve({ seconds: user! + system, output: texts[1]! });
    });
  });
}

/**
 * Most memory that a command had resident, in bytes; undefined where GNU time is not installed.
 *
 * @throws {CommandError} If the command fails.
 */
export function residentBytes(command: readonly string[]): number | undefined {
  const run = spawnSync("/usr/bin/time", ["-f", "%M", ...command], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (run.error !== undefined) return undefined;
  const found = /(\d+)\s*$/.exec(run.stderr);
  if (run.status !== 0 || found === null) throw new CommandError(command, run.stderr.trim());
  return Number(found[1]) * 1024;
}

/** The middle one of an odd number of values, the mean of the middle two of an even number. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The n-th root of the product of n values. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** Runs a benchmark; a command that fails ends it with one line and exit code 1. */
export async function runBench(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (e) {
    if (!(e instanceof CommandError)) throw e;
    console.error(`bench: ${e.message}`);
    process.exitCode = 1;
  }
}

/**
 * The number of runs that `--runs=` asks for.
 *
 * @throws {CommandError} If it is not at least 1.
 */
export function runsOf(script: string, text: string): number {
  const runs = Number(text);
  if (!(runs >= 1)) throw new CommandError([script], `--runs=${text}: not a number of at least 1`);
  return runs;
}
