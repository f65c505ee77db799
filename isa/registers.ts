// Names of the integer registers (unprivileged manual, "RISC-V Calling Conventions" / psABI, "Register Convention").

/** ABI names of x0 to x31, by number. */
export const ABI_NAMES = [
  ..."zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6".split(" "),
] as const;

const numbers = new Map<string, number>([["fp", 8]]);
ABI_NAMES.forEach((name, number) => numbers.set(name, number).set(`x${number}`, number));

/** Number of the integer register with an ABI name (`a0`, `fp`) or a plain one (`x10`), or undefined. */
export function registerNumber(name: string): number | undefined {
  return numbers.get(name);
}
