// `deno task demo`: boots two real kernels and explains what happens. Coloured on a terminal, plain in a pipe or with NO_COLOR.

import { relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";
import { causeName } from "../hart/trap.ts";
import { Machine } from "../mod.ts";

type Style = Parameters<typeof styleText>[0];

const coloured = process.stdout.isTTY === true && !process.env.NO_COLOR;

function paint(style: Style, text: string): string {
  return coloured ? styleText(style, text, { validateStream: false }) : text;
}

function say(text = ""): void {
  process.stdout.write(`${text}\n`);
}

function path(name: string): string {
  return relative(process.cwd(), fileURLToPath(new URL(`../tests/programs/${name}.elf`, import.meta.url)));
}

/** Shows what the guest printed. */
function showConsole(text: string): void {
  for (const line of text.trimEnd().split("\n")) say(`  ${paint("gray", "|")} ${paint("cyan", line)}`);
}

let failures = 0;

/** Says whether something is as it should be. */
function check(what: string, actual: unknown, expected: unknown): void {
  const good = actual === expected;
  if (!good) failures++;
  say(
    good
      ? `  ${paint("green", "ok")}  ${what}: ${actual}`
      : `  ${paint("red", "FAILED")}  ${what}: ${actual}, expected ${expected}`,
  );
}

async function rustKernel(): Promise<void> {
  const elf = path("p0uart");
  say(paint("bold", "1. A Rust kernel (riscv32imac) that panics"));
  say("   On the command line, with QEMU's options:");
  say(paint("yellow", `   deno run -A cli.ts -machine virt -nographic -bios ${elf}`));
  say("   From TypeScript, stopping at its entry first:");
  await using machine = await Machine.create({ machine: "virt", bios: elf });

  const entry = await machine.run({ until: "entry" });
  const { hart } = machine;
  say(`   stopped: ${entry.kind} at ${machine.symbols.format(entry.pc)} after ${entry.instructions} instructions,`);
  say(`   ${machine.xlen} bits, sp = 0x${hart.x.sp.toString(16)}; what comes next:`);
  for (let address = entry.pc, n = 0; n < 3; n++) {
    const { text, length } = machine.disassemble(address)!;
    say(`     ${paint("gray", address.toString(16))}  ${text.replace("\t", " ")}`);
    address += BigInt(length);
  }
  say("   Running on. It prints, indexes out of bounds, and its panic handler ends the machine with 7:");
  const stop = await machine.run();
  showConsole(machine.console.output);
  check("exit code", stop.kind === "exit" ? stop.code : stop.kind, 7);
  check("the panic is on the console", machine.console.output.includes("PANIC: panicked at p0uart.rs:35"), true);
  say();
}

async function cKernel(): Promise<void> {
  const elf = path("kernel");
  say(paint("bold", "2. A C kernel (rv64imac) with timer interrupts and a program in U-mode"));
  say(paint("yellow", `   deno run -A cli.ts -machine virt -nographic -d int -bios ${elf}`));
  say("   It sleeps three times for 0.1 s. Time is virtual: sleeping costs nothing, and every run is the same.");
  await using machine = await Machine.create({ machine: "virt", bios: elf });
  const traps: string[] = [];
  machine.onTrap = ({ cause, interrupt, pcLow }) => {
    traps.push(`${causeName(cause, interrupt)} at ${machine.symbols.format(pcLow >>> 0)}`);
  };
  const stop = await machine.run();
  showConsole(machine.console.output);
  check("exit code", stop.kind === "exit" ? stop.code : stop.kind, 0);
  say(
    `   ${stop.instructions} instructions in ${
      (machine.nanoseconds / 1e9).toFixed(3)
    } virtual seconds. Traps, as a script sees them`,
  );
  say("   (the illegal instruction is the kernel finding out that there is no memory protection yet):");
  for (const trap of traps) say(`     ${paint("magenta", trap)}`);
  check("timer interrupts", traps.filter((trap) => trap.startsWith("machine timer interrupt")).length, 3);
  check("system calls", traps.filter((trap) => trap.startsWith("environment call from U-mode")).length, 2);
  say();
}

say(`${paint(["bold", "inverse"], " hartbeat ")} a scriptable RISC-V machine`);
say();
await rustKernel();
await cKernel();
say(
  failures === 0 ? paint("green", "Everything as expected.") : paint("red", `${failures} things were not as expected.`),
);
say("Next: README.md, or `deno run -A cli.ts --help`.");
process.exitCode = failures === 0 ? 0 : 1;
