// A hart as scripts see it: registers and CSRs by name, in the number type that fits its width.

import type { Hart } from "../hart/hart.ts";
import { CSR_NUMBERS } from "../isa/csr_names.ts";
import { ABI_NAMES, FLOAT_ABI_NAMES, floatRegisterNumber, registerNumber } from "../isa/registers.ts";
import { OptionError } from "./errors.ts";
import { nearest } from "./nearest.ts";

/**
 * A register's value: `number` on RV32, `bigint` on RV64, always unsigned.
 *
 * @example
 * ```ts
 * import { Machine, type Word } from "hartbeat";
 *
 * const machine = await Machine.create<64>({ bios: "tests/programs/kernel.elf" });
 * const pc: Word<64> = machine.hart.pc;
 * console.log(pc + 4n);
 * ```
 */
export type Word<X extends 32 | 64> = X extends 32 ? number : bigint;

/**
 * Integer registers by ABI name (`a0`, `fp`) or number (`x10`).
 *
 * @example
 * ```ts
 * import { Machine, type Registers } from "hartbeat";
 *
 * const machine = await Machine.create<64>({ bios: "tests/programs/kernel.elf" });
 * const sum = (x: Registers<64>) => x.a0 + x.x11;
 * console.log(sum(machine.hart.x));
 * ```
 */
export type Registers<X extends 32 | 64> = {
  [name in RegisterName]: Word<X>;
};

/**
 * Names of the integer registers.
 *
 * @example
 * ```ts
 * import { Machine, type RegisterName } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const names: RegisterName[] = ["sp", "ra", "a0"];
 * await machine.run({ until: "trap" });
 * for (const name of names) console.log(name, machine.hart.x[name]);
 * ```
 */
export type RegisterName =
  | ("zero" | "ra" | "sp" | "gp" | "tp" | "fp" | "t0" | "t1" | "t2" | "t3" | "t4" | "t5" | "t6")
  | ("s0" | "s1" | "s2" | "s3" | "s4" | "s5" | "s6" | "s7" | "s8" | "s9" | "s10" | "s11")
  | ("a0" | "a1" | "a2" | "a3" | "a4" | "a5" | "a6" | "a7")
  | `x${number}`;

/**
 * Floating-point registers by ABI name (`fa0`) or number (`f10`): 64 bits, NaN-boxed where they hold a narrower format.
 *
 * @example
 * ```ts
 * import { Machine, type FloatRegisters } from "hartbeat";
 *
 * const machine = await Machine.create({ cpu: "rv64" });
 * const f: FloatRegisters = machine.hart.f;
 * f.fa0 = 0x3ff0_0000_0000_0000n; // 1.0
 * console.log(f.f10);
 * ```
 */
export type FloatRegisters = { [name in `f${string}`]: bigint };

/**
 * One hart of a machine.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * await machine.run({ until: "trap" });
 * const { hart } = machine;
 * console.log(hart.pc, hart.x.a0, hart.readCsr("mcause"), hart.privilege);
 * hart.x.a0 = 0;
 * ```
 */
export class HartView<X extends 32 | 64> {
  readonly #hart: Hart;
  /**
   * Integer registers. Reading gives an unsigned value; writing takes number or bigint, modulo 2^XLEN. An unknown name
   * throws an `OptionError`.
   */
  readonly x: Registers<X>;
  /**
   * Floating-point registers. Reading gives an unsigned value; writing takes number or bigint, modulo 2^64, and leaves
   * mstatus.FS as it is. An unknown name throws an `OptionError`.
   */
  readonly f: FloatRegisters;

  /** For the machine. */
  constructor(hart: Hart) {
    this.#hart = hart;
    this.x = registerProxy(
      ABI_NAMES,
      registerNumber,
      (n) => this.#out(hart.readX(n)),
      (n, value) => hart.writeX(n, value),
    );
    this.f = registerProxy(
      FLOAT_ABI_NAMES,
      floatRegisterNumber,
      (n) => hart.readF(n),
      (n, value) => hart.writeF(n, value),
    );
  }

  #out(value: bigint): Word<X> {
    return (this.#hart.xlen === 32 ? Number(value) : value) as Word<X>;
  }

  /** mhartid. */
  get id(): number {
    return this.#hart.id;
  }
  /** Width of the registers in bits. */
  get xlen(): X {
    return this.#hart.xlen as X;
  }
  /** Privilege level: `"U"`, `"S"` or `"M"`. */
  get privilege(): string {
    return this.#hart.privilegeLetter;
  }
  /** True while it waits for an interrupt (WFI). */
  get waiting(): boolean {
    return this.#hart.waiting;
  }
  /** True if it was not started or has stopped, by SBI calls that the built-in SBI answered. */
  get stopped(): boolean {
    return this.#hart.stopped;
  }
  /** Address of the next instruction. Setting it ends waiting. */
  get pc(): Word<X> {
    return this.#out(this.#hart.pc);
  }
  set pc(value: number | bigint) {
    this.#hart.pc = BigInt(value);
  }

  #csrNumber(name: string | number): number {
    if (typeof name === "number") return name;
    const number = CSR_NUMBERS[name];
    if (number === undefined) throw new OptionError(`no CSR ${name}${nearest(name, Object.keys(CSR_NUMBERS))}`);
    return number;
  }

  /**
   * Value of a CSR by name or number, without side effects.
   *
   * @throws {OptionError} If this hart does not have it.
   */
  readCsr(name: string | number): Word<X> {
    const value = this.#hart.readCsr(this.#csrNumber(name));
    if (value === undefined) throw new OptionError(`this hart has no CSR ${name}`);
    return this.#out(value);
  }

  /**
   * Writes a CSR as an instruction in M-mode would: only what is writable changes.
   *
   * @throws {OptionError} If this hart does not have it, or it is read-only.
   */
  writeCsr(name: string | number, value: number | bigint): void {
    if (!this.#hart.writeCsr(this.#csrNumber(name), BigInt(value))) {
      throw new OptionError(`CSR ${name} does not exist on this hart or is read-only`);
    }
  }
}

/** An object with a property for each name of a register. */
function registerProxy<T extends object>(
  names: readonly string[],
  numberOf: (name: string) => number | undefined,
  read: (number: number) => number | bigint,
  write: (number: number, value: bigint) => void,
): T {
  const number = (name: string | symbol) => {
    const n = numberOf(String(name));
    if (n === undefined) throw new OptionError(`no register ${String(name)}${nearest(String(name), [...names])}`);
    return n;
  };
  return new Proxy({} as T, {
    get: (_, name) => typeof name === "symbol" ? undefined : read(number(name)),
    set: (_, name, value: number | bigint) => {
      write(number(name), BigInt(value));
      return true;
    },
    has: (_, name) => numberOf(String(name)) !== undefined,
    ownKeys: () => [...names],
    getOwnPropertyDescriptor: (_, name) => ({
      enumerable: true,
      configurable: true,
      value: read(number(name)),
    }),
  });
}
