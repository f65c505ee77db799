// Which traps a hook is about.

import { causeName } from "../hart/trap.ts";
import { OptionError } from "./errors.ts";
import { nearest } from "./nearest.ts";

/**
 * Traps: all where nothing is said.
 *
 * @example
 * ```ts
 * import { Machine, type TrapSelector } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const timer: TrapSelector = { interrupt: true, cause: 7 };
 * machine.hook.trap(timer, (trap) => console.log(trap.place));
 * await machine.run();
 * ```
 */
export interface TrapSelector {
  /** Exceptions or interrupts by code or by the manual's name (`"breakpoint"`, `"load page fault"`), one or several. */
  readonly cause?: number | string | readonly (number | string)[];
  /** Only interrupts, or only exceptions. */
  readonly interrupt?: boolean;
}

/** All names with what they stand for. */
const CAUSES = [false, true].flatMap((interrupt) =>
  Array.from({ length: 20 }, (_, code) => ({ name: causeName(code, interrupt), code, interrupt }))
).filter(({ name }) => !name.startsWith("reserved"));

/** Names without regard to case, dashes and the ends that nobody says. */
const plain = (name: string) => name.toLowerCase().replace(/[-_ ]+/g, " ").trim();

/** A test for traps. */
export function trapTest(selector: TrapSelector): (code: number, interrupt: boolean) => boolean {
  const { cause, interrupt: only } = selector;
  const wanted = cause === undefined ? null : [cause].flat().map((one) => {
    if (typeof one === "number") return { code: one, interrupt: only ?? false };
    const found = CAUSES.find(({ name }) => plain(name) === plain(one));
    if (found === undefined) throw new OptionError(`no cause ${one}${nearest(one, CAUSES.map(({ name }) => name))}`);
    return found;
  });
  return (code, interrupt) =>
    (only === undefined || only === interrupt) &&
    (wanted === null || wanted.some((one) => one.code === code && one.interrupt === interrupt));
}
