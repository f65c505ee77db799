// How instructions are executed: what `-accel` can say, and the compiler's settings that follow.

import type { CompilerOptions } from "../jit/code_cache.ts";
import { OptionError } from "./errors.ts";
import { nearest } from "./nearest.ts";

/** How instructions are executed. */
export interface Accelerator {
  /** `interpreter`: one by one; `jit`: the often executed ones compiled to WebAssembly or JavaScript. Results are the same. */
  readonly name: "interpreter" | "jit";
  /** The compiler's settings; null for the interpreter. */
  readonly compiler: CompilerOptions | null;
  /** Print figures about what was compiled when the run ends. */
  readonly stats: boolean;
  /** Note which instructions are executed, so that reports show the last ones; undefined: as the machine looks for failures or not. */
  readonly history: boolean | undefined;
}

/** Accelerators with a line for `-accel help`. */
export const ACCELERATORS: Readonly<Record<Accelerator["name"], string>> = {
  interpreter: "executes decoded instructions one by one",
  jit: "compiles what is executed often to WebAssembly or JavaScript",
};

/** A setting of the compiler that is a whole number. */
export interface CompilerSetting {
  readonly option: keyof Omit<CompilerOptions, "target">;
  readonly least: number;
  readonly most: number;
  /** Found by sweeping; see bench/README.md. */
  readonly usual: number;
}

/** Settings by the property of `-accel jit` that changes them. */
export const COMPILER_SETTINGS: Readonly<Record<string, CompilerSetting>> = {
  threshold: { option: "threshold", least: 1, most: 60_000, usual: 2000 },
  patience: { option: "patience", least: 1, most: 1000, usual: 16 },
  region: { option: "regionInstructions", least: 1, most: 400, usual: 80 },
  blocks: { option: "regionBlocks", least: 1, most: 400, usual: 100 },
  inline: { option: "inlinedInstructions", least: 0, most: 400, usual: 24 },
  depth: { option: "callDepth", least: 0, most: 400, usual: 200 },
  cache: { option: "cacheInstructions", least: 1000, most: 10_000_000, usual: 200_000 },
};

/** What code can be compiled to. */
const TARGETS: readonly CompilerOptions["target"][] = ["automatic", "webassembly", "javascript"];

/**
 * Reads an `-accel` text: `interpreter`, or `jit` with the properties of `COMPILER_SETTINGS`, `target=automatic|webassembly|javascript`
 * and `stats=on|off`; either with `history=on|off`.
 *
 * @throws {OptionError} Naming the nearest accelerator or property.
 */
export function parseAccel(text: string): Accelerator {
  const [name = "", ...properties] = text.split(",");
  if (name !== "interpreter" && name !== "jit") {
    throw new OptionError(`-accel ${name}: no such accelerator${nearest(name, Object.keys(ACCELERATORS))}`);
  }
  const known = name === "jit" ? [...Object.keys(COMPILER_SETTINGS), "target", "stats", "history"] : ["history"];
  const compiler = Object.fromEntries(
    Object.values(COMPILER_SETTINGS).map(({ option, usual }) => [option, usual]),
  ) as Record<CompilerSetting["option"], number>;
  let stats = false, history: boolean | undefined, target: CompilerOptions["target"] = "automatic";
  for (const property of properties) {
    const [key = "", value = "on"] = property.split("=");
    if (!known.includes(key)) {
      throw new OptionError(`-accel ${text}: ${name} has no property ${key}${nearest(key, known)}`);
    }
    if (key === "stats" || key === "history") {
      if (value !== "on" && value !== "off") throw new OptionError(`-accel ${text}: ${key} is on or off`);
      if (key === "stats") stats = value === "on";
      else history = value === "on";
      continue;
    }
    if (key === "target") {
      const found = TARGETS.find((one) => one === value);
      if (found === undefined) {
        throw new OptionError(`-accel ${text}: target is ${TARGETS.join(", ")}${nearest(value, TARGETS)}`);
      }
      target = found;
      continue;
    }
    const { option, least, most } = COMPILER_SETTINGS[key]!, number = /^\d+$/.test(value) ? Number(value) : NaN;
    if (!(number >= least && number <= most)) {
      throw new OptionError(`-accel ${text}: ${key} is a whole number from ${least} to ${most}`);
    }
    compiler[option] = number;
    // Who says when to compile means just then.
    if (key === "threshold" && !properties.some((other) => other.startsWith("patience="))) compiler.patience = 1;
  }
  return { name, stats, history, compiler: name === "jit" ? { ...compiler, target } : null };
}
