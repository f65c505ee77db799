// Finds loads of memory that nothing has written before: of the stack, the heap, or whatever range is given.
//
//     HARTBEAT_RANGE=0x80200000+0x10000 hartbeat -bios kernel.elf -script scripts/uninitialised_reads.ts
//
// HARTBEAT_RANGE: symbols or ranges of physical memory, separated by commas. What images hold and .bss are not initialised by
// stores of the guest: leave them out. Each place that loads is reported once.

import process from "node:process";
import { type Machine, OptionError } from "../mod.ts";

/** Looks for such loads; gives a function that says how many places there were. */
export default function uninitialisedReads(
  machine: Machine,
  { say = console.log, range = process.env.HARTBEAT_RANGE }: { say?: (line: string) => void; range?: string } = {},
) {
  if (range === undefined) throw new OptionError("uninitialised_reads: HARTBEAT_RANGE says where to look");
  const written = new Set<number>(), reported = new Set<string>();
  for (const part of range.split(",")) {
    machine.hook.memory({ within: part, on: ["read", "write"], space: "physical" }, (a) => {
      for (let k = 0; k < a.size; k++) {
        if (a.kind === "write") written.add(a.physical + k);
        else if (!written.has(a.physical + k)) {
          const place = a.place;
          if (!reported.has(place)) {
            say(
              `0x${a.address.toString(16)} is read by ${place} before it was written (value 0x${a.value.toString(16)})`,
            );
          }
          reported.add(place);
          return;
        }
      }
    });
  }
  return () => say(`${reported.size} places read what was not written`);
}
