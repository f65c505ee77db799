// What an access to memory costs, with and without translation, beside QEMU: nanoseconds of CPU time for one load or store and
// the addition that goes on to the next.
// Usage: deno run -A bench/access.ts [--runs=N]

import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { progress } from "../scripts/progress.ts";
import { ACCESS_GUEST, ACCESS_PARAMETERS, ACCESSES_PER_TURN, accessParameters } from "./guests.ts";
import { measure, median, runBench, runsOf } from "./measure.ts";

const HELP = `deno run -A bench/access.ts [--runs=3]
--runs   of each emulator for each kind of access; medians are shown`;

const CLI = fileURLToPath(new URL("../cli.ts", import.meta.url));

/** What runs the guest, and how many turns take it about half a second where translations are known, and where not. */
interface Runner {
  readonly name: string;
  readonly command: readonly string[];
  readonly turns: number;
  readonly missTurns: number;
}

const host = "Deno" in globalThis ? [process.execPath, "run", "-A", "--no-check", CLI] : [process.execPath, CLI];
const RUNNERS: readonly Runner[] = [
  { name: "`jit`", command: [...host, "-accel", "jit"], turns: 10_000_000, missTurns: 100_000 },
  { name: "`interpreter`", command: [...host, "-accel", "interpreter"], turns: 500_000, missTurns: 100_000 },
  { name: "QEMU", command: ["qemu-system-riscv64"], turns: 20_000_000, missTurns: 500_000 },
];

const KINDS = [
  { name: "loads", stores: false, misses: false },
  { name: "stores", stores: true, misses: false },
  { name: "loads, another page each", stores: false, misses: true },
  { name: "stores, another page each", stores: true, misses: true },
];

async function seconds(command: readonly string[], parameters: bigint, runs: number): Promise<number> {
  const loader = `loader,addr=0x${ACCESS_PARAMETERS.toString(16)},data=0x${parameters.toString(16)},data-len=8`;
  const guest = ["-machine", "virt", "-nographic", "-bios", ACCESS_GUEST, "-device", loader];
  const all: number[] = [];
  for (let run = 0; run < runs; run++) all.push((await measure([...command, ...guest])).seconds);
  return median(all);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { runs: { type: "string", default: "3" }, help: { type: "boolean" } } });
  if (values.help === true) return console.log(HELP);
  const runs = runsOf("bench/access.ts", values.runs);
  const columns = RUNNERS.flatMap(({ name }) => [`${name}, physical`, `${name}, Sv39`]);
  console.log(`| nanoseconds for | ${columns.join(" | ")} |\n|---|${"---:|".repeat(columns.length)}`);
  for (const { name, stores, misses } of KINDS) {
    const cells: string[] = [];
    for (const runner of RUNNERS) {
      const { command } = runner, turns = misses ? runner.missTurns : runner.turns;
      for (const translated of [false, true]) {
        progress(`${name}: ${runner.name}`);
        const start = await seconds(command, accessParameters(translated, stores, misses, 1), runs);
        const end = await seconds(command, accessParameters(translated, stores, misses, turns), runs);
        cells.push(((end - start) * 1e9 / (turns * ACCESSES_PER_TURN)).toFixed(1));
      }
    }
    progress("");
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
}

await runBench(main);
