// Counts calls of functions of the guest and prints the most frequent at the end.
//
//     hartbeat -bios kernel.elf -script scripts/count_calls.ts
//
// HARTBEAT_FUNCTIONS: a regular expression for the names that count; all functions of the program where it is not set.

import process from "node:process";
import type { Counter, Machine } from "../mod.ts";

/** How many functions are listed. */
const MOST = 30;

/** Counts calls; gives a function that prints them. */
export default function countCalls(machine: Machine, { say = console.log }: { say?: (line: string) => void } = {}) {
  const wanted = new RegExp(process.env.HARTBEAT_FUNCTIONS ?? ""), counters: [string, Counter][] = [];
  for (const name of machine.symbols.names()) {
    const address = machine.symbols.lookup(name)!, match = machine.symbols.at(address);
    // One name for each address, and functions only: labels in assembler code have no type.
    if (match?.name !== name || match.symbol.type !== "function" || !wanted.test(name)) continue;
    counters.push([name, machine.count.block(name)]);
  }
  return () => {
    const called = counters.filter(([, { value }]) => value > 0).sort(([, a], [, b]) => b.value - a.value);
    for (const [name, { value }] of called.slice(0, MOST)) say(`${String(value).padStart(10)} ${name}`);
    if (called.length > MOST) say(`and ${called.length - MOST} more functions`);
  };
}
