// Says who writes an address: each store with the old and the new value, where it is, and who called.
//
//     HARTBEAT_WATCH=ticks hartbeat -bios kernel.elf -script scripts/watch_writes.ts
//
// HARTBEAT_WATCH: a symbol (all of it), an address, or a range such as 0x80001000+0x40.

import process from "node:process";
import { type Machine, OptionError } from "../mod.ts";

/** Watches writes. */
export default function watchWrites(
  machine: Machine,
  { say = console.log, watch = process.env.HARTBEAT_WATCH }: { say?: (line: string) => void; watch?: string } = {},
): void {
  if (watch === undefined) throw new OptionError("watch_writes: HARTBEAT_WATCH says which address or symbol");
  const hex = (value: number | bigint | undefined) => value === undefined ? "?" : `0x${value.toString(16)}`;
  machine.hook.memory({ within: watch, on: "write" }, (a) => {
    say(
      `${hex(a.address)}: ${hex(a.oldValue)} -> ${hex(a.value)} by ${a.place}, returns to ${
        machine.symbols.format(BigInt(a.x.ra))
      }`,
    );
  });
}
