// Speed beside QEMU: every guest in hartbeat and in QEMU by turns, in CPU seconds less those of starting up, as a ratio; with
// --node on Node beside Deno, too.
// Usage: deno task bench [NAMES…] [--runs=N] [--scale=1|10] [--accel=interpreter|jit…] [--node]

import { cpus } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { exitGuest, type Guest, guests, INTEGER_PROGRAMS, notRunnable, parseReport } from "./guests.ts";
import { firstLine, type Host, withHosts } from "./hosts.ts";
import { progress } from "../scripts/progress.ts";
import { geometricMean, measure, median, residentBytes, runBench } from "./measure.ts";

const HELP = `deno task bench [NAMES…] [--runs=5] [--scale=10] [--accel=interpreter|jit…] [--node]
NAMES    programs (fib) or builds of them (virt64-fib); default: every program once for each width
--runs   runs of each guest in hartbeat and in QEMU; medians are shown
--scale  1: a tenth of the work
--accel  handed to hartbeat; its own default otherwise
--node   on Node 24 (the npm package, built for it) beside Deno, too`;

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
  await withHosts(values.node, (hosts) => compare(hosts, chosen, runs, values.accel));
}

/** Measures, and prints what comes out. */
async function compare(
  hosts: readonly Host[],
  chosen: readonly Guest[],
  runs: number,
  accel: string | undefined,
): Promise<void> {
  const widths = ([32, 64] as const).filter((xlen) => chosen.some((guest) => guest.xlen === xlen));
  const accelerator = accel === undefined ? [] : ["-accel", accel];
  const hartbeat = ({ command }: Host, path: string) => [...command, "-nographic", "-bios", path, ...accelerator];
  const qemu = (
    xlen: number,
    path: string,
  ) => [`qemu-system-riscv${xlen}`, "-machine", "virt", "-nographic", "-bios", path];
  /** On every host, and in QEMU last. */
  const all = (xlen: number, path: string) => [...hosts.map((host) => hartbeat(host, path)), qemu(xlen, path)];

  const emulator = /version (\S+)/.exec(firstLine(["qemu-system-riscv64", "--version"]))?.[1];
  const processor = `${cpus()[0]?.model.trim()} × ${cpus().length}`;
  const runtimes = hosts.map(({ name, version }) => `${name} ${version}`).join(", ");
  console.log(`${processor}; ${runtimes}; QEMU ${emulator}; -accel ${accel ?? "(default)"}; medians of ${runs}\n`);

  const startUp = new Map<number, readonly number[]>();
  for (const xlen of widths) {
    // Short, so it may be done more often: an error here is in every row.
    startUp.set(xlen, await medians(`start-up, rv${xlen}`, Math.max(runs, 5), all(xlen, exitGuest(xlen))));
  }

  const names = [...hosts.map(({ name }) => name), "QEMU"];
  const ratioNames = [
    ...names.slice(0, -1).map((name) => `${name} / QEMU`),
    ...names.slice(1, -1).map(() => "Node / Deno"),
  ];
  const rows = [[
    "guest",
    "instructions",
    ...names.map((name) => `${name} s`),
    ...names.map((name) => `${name} MIPS`),
    ...ratioNames,
  ]];
  const means = new Map<number, number[][]>();
  for (const guest of chosen) {
    const name = `${guest.build}-${guest.program}-${guest.scale}`, start = startUp.get(guest.xlen)!;
    const commands = all(guest.xlen, guest.path), seconds = commands.map((): number[] => []);
    let instructions = 0;
    for (let run = 0; run < runs; run++) {
      progress(`${name}: run ${run + 1} of ${runs}`);
      const results: string[] = [];
      for (const [k, command] of commands.entries()) {
        const measured = await measure(command), report = parseReport(measured.output);
        seconds[k]!.push(measured.seconds - start[k]!);
        results.push(report.result);
        if (k === 0) ({ instructions } = report);
      }
      for (const [k, result] of results.entries()) {
        if (result !== results.at(-1)) fail(`${name}: ${names[k]} computes ${result}, QEMU ${results.at(-1)}`);
      }
    }
    progress("");
    const times = seconds.map(median), ours = times.slice(0, -1), theirs = times.at(-1)!;
    // Speeds, so the other's time stands above.
    const ratios = [...ours.map((time) => theirs / time), ...ours.slice(1).map((time) => ours[0]! / time)];
    if (INTEGER_PROGRAMS.includes(guest.program)) {
      means.set(guest.xlen, [...means.get(guest.xlen) ?? [], ratios]);
    }
    rows.push([
      name,
      `${instructions}`,
      ...times.map((time) => time.toFixed(2)),
      ...times.map((time) => (instructions / time / 1e6).toFixed(0)),
      ...ratios.map(ratioText),
    ]);
  }
  for (const [xlen, of] of means) {
    const columns = ratioNames.map((_, column) => ratioText(geometricMean(of.map((ratios) => ratios[column]!))));
    rows.push([`geometric mean of ${of.length}, rv${xlen}`, "", ...names.flatMap(() => ["", ""]), ...columns]);
  }
  console.log(table(rows));

  const list = [...startUp].map(([xlen, times]) =>
    `rv${xlen} ${names.map((name, k) => `${name} ${times[k]!.toFixed(2)} s`).join(", ")}`
  );
  console.log(`\nStart-up, subtracted above: ${list.join("; ")}.`);
  for (const host of hosts) await showLargeStart(host, hartbeat(host, exitGuest(64)), runs);
}

/** A ratio for the table. */
function ratioText(ratio: number): string {
  return ratio.toFixed(ratio < 0.1 ? 3 : 2);
}

/** Prints what RAM costs that the guest does not touch. */
async function showLargeStart(host: Host, command: readonly string[], runs: number): Promise<void> {
  const large = [...command, "-m", "2G"];
  const commands = [large, [...host.command, "--version"]];
  const [start, version] = await medians(`${host.name}: start with -m 2G`, Math.max(runs, 5), commands);
  const bytes = residentBytes(large), over = start! - version!;
  const size = bytes === undefined ? "? MB (apt-get install time)" : `${(bytes / 1e6).toFixed(0)} MB`;
  console.log(
    `${host.name}, start with \`-m 2G\`: ${over.toFixed(2)} s of CPU over \`--version\` (at most ${START_SECONDS}), ` +
      `${size} resident (at most ${START_BYTES / 1e6}).`,
  );
}

await runBench(main);
