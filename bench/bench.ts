// Speed beside QEMU: every guest in hartbeat and in QEMU by turns, in CPU seconds less those of starting up, as a ratio.
// Usage: deno task bench [NAMES…] [--runs=N] [--scale=1|10] [--accel=interpreter|jit…] [--node]

import { spawnSync } from "node:child_process";
import { cpus } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { exitGuest, type Guest, guests, INTEGER_PROGRAMS, notRunnable, parseReport } from "./guests.ts";
import { progress } from "../scripts/progress.ts";
import { CommandError, geometricMean, measure, median, residentBytes } from "./measure.ts";

const HELP = `deno task bench [NAMES…] [--runs=5] [--scale=10] [--accel=interpreter|jit…] [--node]
NAMES    programs (fib) or builds of them (virt64-fib); default: every program once for each width
--runs   runs of each guest in hartbeat and in QEMU; medians are shown
--scale  1: a tenth of the work
--accel  handed to hartbeat; its own default otherwise
--node   hartbeat under Node 24 in place of Deno`;

const CLI = fileURLToPath(new URL("../cli.ts", import.meta.url));
/** `-m 2G` may cost this much more than `--version`, in CPU seconds, and have this many bytes resident. */
const START_SECONDS = 0.3, START_BYTES = 150e6;

/** Ends with a message. */
function fail(message: string): never {
  console.error(`bench: ${message}`);
  process.exit(1);
}

/** A number of at least 1. */
function count(option: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) fail(`--${option}=${text}: not a number of at least 1`);
  return Number(text);
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        runs: { type: "string", default: "5" },
        scale: { type: "string", default: "10" },
        accel: { type: "string" },
        node: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
  } catch (e) {
    fail((e as Error).message);
  }
}

/** First line that a command prints; fails if there is no such command. */
function firstLine(command: string, args: readonly string[]): string {
  const { stdout, status } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) fail(`${command} ${args.join(" ")} does not run`);
  return stdout.split("\n")[0]!;
}

/** Path of a Node that runs TypeScript by itself: the one at hand, or one that npx fetches. */
function nodePath(): string {
  const print = ["-p", "process.execPath"];
  const { stdout } = spawnSync("node", ["-p", "parseInt(process.versions.node)"], { encoding: "utf8" });
  return Number(stdout) >= 24 ? firstLine("node", print) : firstLine("npx", ["-y", "-p", "node@24", "node", ...print]);
}

/** The guests that names choose. */
function choose(scale: number, names: readonly string[]): Guest[] {
  const all = guests(scale);
  if (all.length === 0) fail(`--scale=${scale}: no guest has it; 1 and 10 there are`);
  const fits = ({ build, program }: Guest, name: string) => name === program || name === `${build}-${program}`;
  const wrong = names.find((name) => !all.some((guest) => fits(guest, name)));
  if (wrong !== undefined) {
    fail(`no guest ${wrong}; there are ${all.map(({ build, program }) => `${build}-${program}`).join(", ")}`);
  }
  // rv64gc builds of programs without floating point differ from rv64imac ones in nothing that is measured.
  const twice = (guest: Guest) =>
    guest.build === "virt64" && all.some((g) => g.build === "virt64i" && g.program === guest.program);
  return all.filter((guest) =>
    names.includes(`${guest.build}-${guest.program}`) ||
    (names.length === 0 || names.includes(guest.program)) && !twice(guest)
  ).filter((guest) => {
    const why = notRunnable(guest);
    if (why !== false) console.log(`${guest.build}-${guest.program} is left out: ${why}.`);
    return why === false;
  });
}

/** A Markdown table whose source is readable too: the first column left, others right. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, k) => k === 0 ? cell.padEnd(widths[k]!) : cell.padStart(widths[k]!)).join(" | ")} |`;
  const rule = widths.map((width, k) => k === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`);
  return [line(rows[0]!), line(rule), ...rows.slice(1).map(line)].join("\n");
}

/** CPU seconds of commands, run by turns: medians. `what` is said of them while they run. */
async function medians(what: string, runs: number, commands: readonly (readonly string[])[]): Promise<number[]> {
  const seconds = commands.map((): number[] => []);
  for (let run = 0; run < runs; run++) {
    progress(`${what}: run ${run + 1} of ${runs}`);
    for (const [k, command] of commands.entries()) seconds[k]!.push((await measure(command)).seconds);
  }
  progress("");
  return seconds.map(median);
}

async function main(): Promise<void> {
  const { values, positionals } = readArguments();
  if (values.help) return console.log(HELP);
  const runs = count("runs", values.runs);
  const chosen = choose(count("scale", values.scale), positionals);
  const widths = ([32, 64] as const).filter((xlen) => chosen.some((guest) => guest.xlen === xlen));

  const onDeno = !values.node && "Deno" in globalThis;
  const host = onDeno
    ? [process.execPath, "run", "-A", "--no-check", CLI]
    : [values.node ? nodePath() : process.execPath, CLI];
  const accel = values.accel === undefined ? [] : ["-accel", values.accel];
  const hartbeat = (path: string, ...more: string[]) => [...host, "-nographic", "-bios", path, ...accel, ...more];
  const qemu = (
    xlen: number,
    path: string,
  ) => [`qemu-system-riscv${xlen}`, "-machine", "virt", "-nographic", "-bios", path];

  const runtime = firstLine(host[0]!, ["--version"]).replace(/^deno (\S+).*/, "Deno $1").replace(/^v/, "Node ");
  const emulator = /version (\S+)/.exec(firstLine("qemu-system-riscv64", ["--version"]))?.[1];
  const processor = `${cpus()[0]?.model.trim()} × ${cpus().length}`;
  console.log(
    `${processor}; ${runtime}; QEMU ${emulator}; -accel ${values.accel ?? "(default)"}; medians of ${runs}\n`,
  );

  const startUp = new Map<number, { ours: number; theirs: number }>();
  for (const xlen of widths) {
    // Short, so it may be done more often: an error here is in every row.
    const [ours, theirs] = await medians(`start-up, rv${xlen}`, Math.max(runs, 5), [
      hartbeat(exitGuest(xlen)),
      qemu(xlen, exitGuest(xlen)),
    ]);
    startUp.set(xlen, { ours: ours!, theirs: theirs! });
  }

  const rows = [["guest", "instructions", "hartbeat s", "QEMU s", "speed / QEMU's", "hartbeat MIPS", "QEMU MIPS"]];
  const ratios = new Map<number, number[]>();
  for (const guest of chosen) {
    const name = `${guest.build}-${guest.program}-${guest.scale}`, start = startUp.get(guest.xlen)!;
    const ours: number[] = [], theirs: number[] = [];
    let instructions = 0;
    for (let run = 0; run < runs; run++) {
      progress(`${name}: run ${run + 1} of ${runs}`);
      const here = await measure(hartbeat(guest.path)), there = await measure(qemu(guest.xlen, guest.path));
      const report = parseReport(here.output), expected = parseReport(there.output).result;
      if (report.result !== expected) fail(`${name}: hartbeat computes ${report.result}, QEMU ${expected}`);
      instructions = report.instructions;
      ours.push(here.seconds - start.ours);
      theirs.push(there.seconds - start.theirs);
    }
    progress("");
    const a = median(ours), b = median(theirs);
    if (INTEGER_PROGRAMS.includes(guest.program)) {
      ratios.set(guest.xlen, [...ratios.get(guest.xlen) ?? [], b / a]);
    }
    const speed = (b / a).toFixed(b / a < 0.1 ? 3 : 2);
    const mips = (seconds: number) => (instructions / seconds / 1e6).toFixed(0);
    rows.push([name, `${instructions}`, a.toFixed(2), b.toFixed(2), speed, mips(a), mips(b)]);
  }
  for (const [xlen, of] of ratios) {
    rows.push([`geometric mean of ${of.length}, rv${xlen}`, "", "", "", geometricMean(of).toFixed(2), "", ""]);
  }
  console.log(table(rows));

  const large = hartbeat(exitGuest(64), "-m", "2G");
  const [start, version] = await medians("start with -m 2G", Math.max(runs, 5), [large, [...host, "--version"]]);
  const bytes = residentBytes(large), over = start! - version!;
  const size = bytes === undefined ? "? MB (apt-get install time)" : `${(bytes / 1e6).toFixed(0)} MB`;
  const list = [...startUp].map(([xlen, { ours, theirs }]) =>
    `rv${xlen} hartbeat ${ours.toFixed(2)} s, QEMU ${theirs.toFixed(2)} s`
  );
  console.log(`\nStart-up, subtracted above: ${list.join("; ")}.`);
  console.log(
    `Start with \`-m 2G\`: ${over.toFixed(2)} s of CPU over \`--version\` (at most ${START_SECONDS}), ` +
      `${size} resident (at most ${START_BYTES / 1e6}).`,
  );
}

try {
  await main();
} catch (e) {
  if (!(e instanceof CommandError)) throw e;
  fail(e.message);
}
