// The high-water mark of a stack: how far down the guest has written it, and where it was deepest.
//
//     HARTBEAT_STACK=stack_bottom..stack_top hartbeat -bios kernel.elf -script scripts/stack_depth.ts
//
// HARTBEAT_STACK: a symbol that names the whole stack, or a range.

import process from "node:process";
import { type Machine, OptionError } from "../mod.ts";

/** Measures; gives a function that says what was found. */
export default function stackDepth(
  machine: Machine,
  { say = console.log, stack = process.env.HARTBEAT_STACK }: { say?: (line: string) => void; stack?: string } = {},
) {
  if (stack === undefined) throw new OptionError("stack_depth: HARTBEAT_STACK says where the stack is");
  let lowest: bigint | undefined, highest = 0n, deepest = "";
  machine.hook.memory({ within: stack, on: "write" }, (a) => {
    const at = BigInt(a.address);
    if (at + BigInt(a.size) > highest) highest = at + BigInt(a.size);
    if (lowest !== undefined && at >= lowest) return;
    lowest = at;
    deepest = a.place;
  });
  return () => {
    if (lowest === undefined) say("nothing was written to the stack");
    else say(`the stack was at most ${highest - lowest} bytes deep, down to 0x${lowest.toString(16)}, in ${deepest}`);
  };
}
