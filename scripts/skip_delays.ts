// Skips functions that only wait, such as `delay` or `udelay`: they return at once. Boots get shorter, the guest does not notice.
//
//     HARTBEAT_SKIP=delay,udelay hartbeat -bios kernel.elf -script scripts/skip_delays.ts
//
// HARTBEAT_SKIP: names of the functions, separated by commas; those that are not there are left out.

import process from "node:process";
import type { Machine } from "../mod.ts";

const USUAL = "delay,udelay,mdelay,ndelay,__delay,__udelay,delay_us,delay_ms,usleep,sleep_ms";

/** Skips them; gives a function that says how often. */
export default function skipDelays(
  machine: Machine,
  { say = console.log, names = process.env.HARTBEAT_SKIP ?? USUAL }: { say?: (line: string) => void; names?: string } =
    {},
) {
  let skipped = 0;
  for (const name of names.split(",")) {
    if (machine.symbols.lookup(name) === undefined) continue;
    machine.hook.call(name, {
      enter: (c) => {
        skipped++;
        c.return(0);
      },
    });
  }
  return () => say(`${skipped} delays were skipped`);
}
