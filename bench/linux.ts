// Linux from reset to power-off beside QEMU, in CPU seconds, with the guest that `deno task guests` fetches.
// Usage: deno run -A bench/linux.ts [--runs=N] [--tests] [--accel=…]

import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { linuxFile } from "../scripts/fetch_linux.ts";
import { progress } from "../scripts/progress.ts";
import { CommandError, measure, median, residentBytes, runBench, runsOf } from "./measure.ts";

const HELP = `deno run -A bench/linux.ts [--runs=3] [--tests] [--accel=jit…]
--runs   boots in hartbeat and in QEMU; medians are shown
--tests  with the kernel's own tests of its cryptography, which more than double the instructions
--accel  handed to hartbeat, with stats=on; default: jit`;

const CLI = fileURLToPath(new URL("../cli.ts", import.meta.url));
const MEMORY = "256M";

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "3" },
      tests: { type: "boolean", default: false },
      accel: { type: "string", default: "jit" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return console.log(HELP);
  const runs = runsOf("bench/linux.ts", values.runs), path = (name: string) => linuxFile(name)!;
  if (linuxFile("Image") === undefined) throw new CommandError(["bench/linux.ts"], "no guest: deno task guests");

  const guest = [
    ...["-machine", "virt", "-m", MEMORY, "-nographic", "-bios", path("fw_jump.bin"), "-kernel", path("Image")],
    ...["-initrd", path("initrd-auto.cpio.gz"), "-append", `console=ttyS0${values.tests ? "" : " cryptomgr.notests"}`],
  ];
  const host = "Deno" in globalThis ? [process.execPath, "run", "-A", "--no-check", CLI] : [process.execPath, CLI];
  const hartbeat = [...host, ...guest, "-accel", `${values.accel},stats=on`];
  const ours: number[] = [], theirs: number[] = [];
  let statistics = "";
  for (let run = 0; run < runs; run++) {
    progress(`Linux: run ${run + 1} of ${runs}`);
    // The statistics come on standard error.
    const here = await measure(["bash", "-c", '"$@" 2>&1', "bash", ...hartbeat]);
    const there = await measure(["qemu-system-riscv64", ...guest]);
    for (const { output } of [here, there]) {
      if (!output.includes("GUEST-INIT-DONE")) throw new CommandError(["Linux"], "it did not come to its end");
    }
    ours.push(here.seconds);
    theirs.push(there.seconds);
    statistics = here.output.split("\n").filter((line) => line.startsWith("hartbeat: ")).join("\n");
  }
  progress("");
  const a = median(ours), b = median(theirs), bytes = residentBytes(hartbeat);
  const instructions = /executed (\d+) instructions/.exec(statistics)?.[1] ?? "?";
  const regions = /compiled (\d+) regions/.exec(statistics)?.[1] ?? "?";
  console.log(
    `| Linux, ${
      values.tests ? "with" : "without"
    } the kernel's tests | instructions | regions | hartbeat s | QEMU s | seconds / QEMU's | resident |`,
  );
  console.log("|---|---:|---:|---:|---:|---:|---:|");
  const resident = bytes === undefined ? "?" : `${(bytes / 1e6).toFixed(0)} MB`;
  console.log(
    `| reset to power-off | ${instructions} | ${regions} | ${a.toFixed(1)} | ${b.toFixed(1)} | ${
      (a / b).toFixed(1)
    } | ${resident} |`,
  );
  console.log(`\n${statistics}`);
}

await runBench(main);
