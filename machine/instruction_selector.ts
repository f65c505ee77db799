// Which instructions a hook is about.

import type { Decoded } from "../isa/decode.ts";
import { INSTRUCTIONS } from "../isa/table.ts";
import { OptionError } from "./errors.ts";
import { nearest } from "./nearest.ts";

/**
 * Instructions: a mnemonic, several of them, an expression for mnemonics, a pattern of 16 or 32 characters (0, 1, anything else
 * for a bit that does not matter, highest bit first, as the manual writes them), or a mask and a value. The mnemonic of a
 * compressed instruction is its own (`c.addi`) or that of the instruction it stands for.
 *
 * @example
 * ```ts
 * import { Machine, type InstructionSelector } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const atomics: InstructionSelector = /^(lr|sc|amo)/;
 * machine.hook.instruction({ match: atomics }, (context) => console.log(context.place, context.name));
 * await machine.run();
 * ```
 */
export type InstructionSelector =
  | string
  | readonly string[]
  | RegExp
  | { readonly mask: number; readonly value: number };

/** A test for instructions. */
export function instructionTest(selector: InstructionSelector, xlen: 32 | 64): (decoded: Decoded) => boolean {
  if (selector instanceof RegExp) {
    const expression = new RegExp(selector.source, selector.flags.replace(/[gy]/g, ""));
    return ({ encoded, instruction }) => expression.test(encoded.name) || expression.test(instruction.name);
  }
  if (typeof selector === "object" && "mask" in selector) {
    const mask = selector.mask >>> 0, value = selector.value >>> 0;
    return ({ word }) => ((word & mask) >>> 0) === value;
  }
  if (typeof selector === "string" && /^(.{16}|.{32})$/.test(selector) && /^[01]|[01]$/.test(selector)) {
    let mask = 0, value = 0;
    for (const c of selector) {
      mask = mask << 1 | (c === "0" || c === "1" ? 1 : 0);
      value = value << 1 | (c === "1" ? 1 : 0);
    }
    const length = selector.length / 8;
    return (decoded) => decoded.length === length && ((decoded.word & mask) >>> 0) === value >>> 0;
  }
  const names = new Set(typeof selector === "string" ? [selector] : selector as readonly string[]);
  const known = INSTRUCTIONS.filter((entry) => entry.xlen === undefined || entry.xlen === xlen).map(({ name }) => name);
  for (const name of names) {
    if (!known.includes(name)) throw new OptionError(`no instruction ${name}${nearest(name, known)}`);
  }
  return ({ encoded, instruction }) => names.has(encoded.name) || names.has(instruction.name);
}
