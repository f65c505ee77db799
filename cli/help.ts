// What the command prints about itself.

import type { Board } from "../machine/board.ts";
import { OptionError } from "../machine/errors.ts";
import { GROUPS, OPTIONS } from "./options.ts";
import { type Listing, LOG_ITEMS, type Shell, SHELLS } from "./settings.ts";
import { VERSION } from "./version.ts";

/** Columns of the options in the help. */
const WIDTH = 30;

function table(rows: readonly (readonly [string, string])[], width: number): string[] {
  return rows.map(([left, right]) => `  ${left.padEnd(width - 2)}${left.length > width - 3 ? " " : ""}${right}`);
}

/** The help: at most 50 lines. */
export function helpText(): string {
  return [
    `hartbeat ${VERSION}: a scriptable RISC-V machine. Options are QEMU's, with one or two dashes.`,
    "Try: hartbeat -machine virt -nographic -bios kernel.elf",
    ...GROUPS.flatMap((group) => [
      `${group}:`,
      ...table(
        OPTIONS.filter((option) => option.group === group).map((option) => {
          const names = option.names.map((name) => `-${name}`);
          return [names.join(", ") + (option.argument === undefined ? "" : ` ${option.argument}`), option.help];
        }),
        WIDTH,
      ),
    ]),
    "Keys on the console: Ctrl-A X quits, Ctrl-A C: monitor, Ctrl-A H: help, Ctrl-A Ctrl-A sends Ctrl-A.",
    "Exit code: the guest's (test finisher, tohost); 0 when you quit or it powers off; 1 after an error.",
  ].join("\n") + "\n";
}

/** What Ctrl-A H shows. */
export const KEYS_TEXT = `
Ctrl-A H       print this help
Ctrl-A X       quit
Ctrl-A C       switch between console and monitor
Ctrl-A Ctrl-A  send Ctrl-A to the guest
`;

function boards(all: ReadonlyMap<string, Board>): string {
  const rows = [...all.values()].map(({ name, description }) =>
    [name, name === "virt" ? `${description} (default)` : description] as const
  );
  return ["Boards:", ...table(rows, 22)].join("\n") + "\n";
}

async function devicesText(): Promise<string> {
  const { DEVICE_MODELS } = await import("../machine/device_models.ts");
  const rows: [string, string][] = [["loader", "puts a file or a value in memory"]];
  for (const [name, { description }] of DEVICE_MODELS) rows.push([name, description]);
  return ["Devices:", ...table(rows, 24)].join("\n") + "\n";
}

/** `-device MODEL,help`. */
async function propertiesText(model: string): Promise<string> {
  const { DEVICE_MODELS, LOADER_PROPERTIES } = await import("../machine/device_models.ts");
  const { nearest } = await import("../machine/nearest.ts");
  const properties = model === "loader" ? LOADER_PROPERTIES : DEVICE_MODELS.get(model)?.properties;
  if (properties === undefined) {
    const guess = nearest(model, ["loader", ...DEVICE_MODELS.keys()]);
    throw new OptionError(`-device ${model},help: '${model}' is not a valid device model name${guess}`);
  }
  const rows = Object.entries(properties).map(([name, { type, help, usual }]) => {
    const text = usual === true ? "on" : usual === false ? "off" : usual;
    return [`${name}=<${type}>`, usual === undefined || usual === "" ? help : `${help} (${text})`] as const;
  });
  return [`${model} options:`, ...table(rows, 32)].join("\n") + "\n";
}

/** Text of a listing; `model`: of which device. */
export async function listingText(listing: Listing, model = ""): Promise<string> {
  const lines = (title: string, entries: Readonly<Record<string, string>>) =>
    [title, ...table(Object.entries(entries), 22)].join("\n") + "\n";
  switch (listing) {
    case "help":
      return helpText();
    case "version":
      return `hartbeat ${VERSION}\n`;
    case "log items":
      return lines("Log items (separated by commas):", LOG_ITEMS);
    case "devices":
      return await devicesText();
    case "device properties":
      return await propertiesText(model);
    case "shells":
      return lines("Shells, and where to put what is printed for them:", SHELLS);
    case "machines":
      return boards((await import("../machine/machine.ts")).BOARDS);
    case "accelerators": {
      const { ACCELERATORS, COMPILER_SETTINGS } = await import("../machine/accelerator.ts");
      const settings = Object.entries(COMPILER_SETTINGS).map(([name, { least, most, usual }]) =>
        [`${name}=N`, `${least} to ${most} (${usual})`] as const
      );
      const properties = Object.fromEntries([
        ...settings,
        ["stats=on", "prints figures when the run ends"],
        [
          "history=on",
          "reports of failures show the last 20 instructions (off without -script); the interpreter has it, too",
        ],
      ]);
      return lines("Accelerators:", ACCELERATORS) +
        lines("Properties of jit (what they are if not given):", properties);
    }
    case "cpus": {
      const { CPU_MODELS, CPU_PROPERTIES } = await import("../machine/cpu.ts");
      const names = CPU_PROPERTIES.join(" ").replace(/(.{1,76})(?: |$)/g, "  $1\n");
      return `${lines("CPUs:", CPU_MODELS)}Extensions, each =on or =off (most are on):\n${names}`;
    }
    default:
      return (await import("./completions.ts")).completions(listing.replace("completions for ", "") as Shell);
  }
}
