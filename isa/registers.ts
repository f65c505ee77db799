// Names of the registers (unprivileged manual, "RISC-V Calling Conventions" / psABI, "Register Convention").

/** ABI names of x0 to x31, by number. */
export const ABI_NAMES = [
  ..."zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6".split(" "),
] as const;

/** ABI names of the floating-point registers f0 to f31, by number. */
export const FLOAT_ABI_NAMES: readonly string[] = [
  ..."ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7".split(" "),
  ..."fs2 fs3 fs4 fs5 fs6 fs7 fs8 fs9 fs10 fs11 ft8 ft9 ft10 ft11".split(" "),
];

const numbers = new Map<string, number>([["fp", 8]]);
ABI_NAMES.forEach((name, number) => numbers.set(name, number).set(`x${number}`, number));

/** Number of the integer register with an ABI name (`a0`, `fp`) or a plain one (`x10`), or undefined. */
export function registerNumber(name: string): number | undefined {
  return numbers.get(name);
}

const floatNumbers = new Map<string, number>();
FLOAT_ABI_NAMES.forEach((name, number) => floatNumbers.set(name, number).set(`f${number}`, number));

/** Number of the floating-point register with an ABI name (`fa0`) or a plain one (`f10`), or undefined. */
export function floatRegisterNumber(name: string): number | undefined {
  return floatNumbers.get(name);
}
