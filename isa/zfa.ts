// Zfa: additional floating-point instructions (unprivileged manual, chapter "Zfa").

import { choice, comparison, D, define, float, H, rounded, S } from "./float.ts";
import type { Definition } from "./instruction.ts";

/** The constant that FLI.fmt loads as number 1 is the smallest positive normal one of its format. */
export const FLI_SMALLEST_NORMAL = 1;

/** Constants of FLI.fmt by number (table "Immediate values loaded by the FLI.S instruction"), but for number 1. */
export const FLI_CONSTANTS: readonly number[] = [
  ...[-1, NaN, 2 ** -16, 2 ** -15, 2 ** -8, 2 ** -7, 2 ** -4, 2 ** -3],
  ...[0.25, 0.3125, 0.375, 0.4375, 0.5, 0.625, 0.75, 0.875],
  ...[1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 8, 16, 128, 256, 2 ** 15, 2 ** 16, Infinity, NaN],
];

/** Zfa for each format, and what D adds. */
export const ZFA: readonly Definition[] = [
  ...[S, D, H].flatMap((x): Definition[] => {
    const requires = x === S ? {} : { requires: [x.extension] };
    const named = (name: string) => `${name}.${x.suffix}`;
    return [
      define(named("fli"), "Zfa", "fli", `11110${x.fmt}00001iiiii000ddddd1010011`, (b, i) => {
        b.setF(i.rd, float(b, named("fli"), b.i32(0), b.signExtend64(b.imm32(i))));
      }, requires),
      choice(named("fminm"), "Zfa", x, "010", requires),
      choice(named("fmaxm"), "Zfa", x, "011", requires),
      rounded(named("fround"), "Zfa", `01000${x.fmt}00100sssssiiiddddd1010011`, 1, requires),
      rounded(named("froundnx"), "Zfa", `01000${x.fmt}00101sssssiiiddddd1010011`, 1, requires),
      comparison(named("fleq"), "Zfa", x, "100", requires),
      comparison(named("fltq"), "Zfa", x, "101", requires),
    ];
  }),
  // The only rounding mode that is not reserved is RTZ.
  define("fcvtmod.w.d", "Zfa", "fcvtx", "110000101000sssssiiiddddd1010011", (b, i) => {
    b.setX(i.rd, b.wrap(float(b, "fcvtmod.w.d", b.imm32(i), b.f(i.rs1))));
  }, { requires: ["D"], valid: (i) => i.imm === 1 }),
  define("fmvh.x.d", "Zfa", "fmvx", "111000100001sssss000ddddd1010011", (b, i) => {
    b.setX(i.rd, b.wrap(b.shrUnsigned(b.f(i.rs1), b.i32(32))));
  }, { requires: ["D"], xlen: 32 }),
  define("fmvp.d.x", "Zfa", "fmvp", "1011001tttttsssss000ddddd1010011", (b, i) => {
    const high = b.shl(b.zeroExtend64(b.w(i.rs2)), b.i32(32));
    b.setF(i.rd, b.or(high, b.zeroExtend64(b.w(i.rs1))));
  }, { requires: ["D"], xlen: 32 }),
];
