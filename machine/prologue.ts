// Where a function keeps the registers that it was entered with, found by following its instructions: for code without frame
// information, as hand-written trap handlers and the start of a kernel.

import type { Decoded } from "../isa/decode.ts";
import { stackList } from "../isa/zcmp.ts";

/** What a register held when the function was entered: a register (0 to 31), or a CSR (its number plus `CSR_ORIGIN`). */
export type Origin = number;
/** Origins from here on are CSRs. */
export const CSR_ORIGIN = 0x1000;
/** Origins from here on are values that nothing is known of. */
const UNKNOWN_ORIGIN = 0x10_0000;

/** What was in `origin` at the entry, plus `delta`. */
interface Sum {
  readonly origin: Origin;
  readonly delta: bigint;
}

/** Where a value is: in a register, or in memory at a distance from what a register holds. */
export type Place =
  | { readonly kind: "register"; readonly register: number; readonly delta: bigint }
  | { readonly kind: "memory"; readonly register: number; readonly offset: bigint };

/** Most instructions that are followed. */
const LIMIT = 4096;
const CALLER_SAVED = [1, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31];
/** Formats whose `rd` is a floating-point register. */
const FLOAT_DESTINATION: ReadonlySet<string> = new Set(
  ["fload", "R4", "fR", "fR1", "fsign", "fcvtf", "fmvf", "fmvp", "fli"],
);
/** Formats without `rd`. */
const NO_DESTINATION: ReadonlySet<string> = new Set(["store", "fstore", "branch", "fence", "none", "saved", "table"]);

/** What is known at an instruction. */
class State {
  readonly registers: Sum[];
  readonly csrs: Map<number, Sum>;
  /** What was stored, by origin and distance of the address. */
  readonly memory: Map<string, Sum>;

  constructor(registers: Sum[], csrs: Map<number, Sum>, memory: Map<string, Sum>) {
    this.registers = registers;
    this.csrs = csrs;
    this.memory = memory;
  }

  copy(): State {
    return new State([...this.registers], new Map(this.csrs), new Map(this.memory));
  }
}

/** What a function has done with the registers that it was entered with, up to an instruction. */
export class Prologue {
  readonly #state: State;

  private constructor(state: State) {
    this.#state = state;
  }

  /**
   * Follows the instructions from a function's start to `pc`, in the order in which they stand. Branches are taken to go either
   * way; what is behind a jump or return has the state of a branch that leads there.
   *
   * @param decode The instruction at an address.
   * @param wide True if registers have 64 bits.
   */
  static follow(decode: (address: bigint) => Decoded | null, start: bigint, pc: bigint, wide: boolean): Prologue {
    const walk = new Walk(wide);
    let at = start;
    for (let count = 0; at < pc && count < LIMIT; count++) {
      walk.arrive(at);
      const decoded = decode(at);
      if (decoded === null) break;
      walk.execute(decoded, at);
      at += BigInt(decoded.length);
    }
    walk.arrive(pc);
    return new Prologue(walk.state);
  }

  /** Where an origin's value is now; undefined if it is lost. */
  find(origin: Origin): Place | undefined {
    const { registers, memory } = this.#state;
    const own = registers[origin];
    if (own?.origin === origin) return { kind: "register", register: origin, delta: -own.delta };
    const moved = registers.findIndex((sum) => sum.origin === origin);
    if (moved > 0) return { kind: "register", register: moved, delta: -registers[moved]!.delta };
    for (const [key, sum] of memory) {
      if (sum.origin !== origin || sum.delta !== 0n) continue;
      const [base, delta] = key.split(":"), register = registers.findIndex((each) => each.origin === Number(base));
      if (register > 0) return { kind: "memory", register, offset: BigInt(delta!) - registers[register]!.delta };
    }
    return undefined;
  }

  /** True if a CSR still holds what it held at the entry. */
  keeps(csr: number): boolean {
    const sum = this.#state.csrs.get(csr);
    return sum === undefined || (sum.origin === csr + CSR_ORIGIN && sum.delta === 0n);
  }
}

class Walk {
  state: State;
  readonly #wide: boolean;
  /** States that branches give to the addresses that they lead to. */
  readonly #targets = new Map<bigint, State>();
  /** The last state that a branch was in. */
  #branched: State | undefined;
  /** True behind a jump or return. */
  #dead = false;
  #unknown = UNKNOWN_ORIGIN;

  constructor(wide: boolean) {
    this.#wide = wide;
    this.state = new State(Array.from({ length: 32 }, (_, origin) => ({ origin, delta: 0n })), new Map(), new Map());
  }

  /** Comes to an address. */
  arrive(address: bigint): void {
    const given = this.#targets.get(address);
    if (this.#dead) this.state = (given ?? this.#branched ?? this.state).copy();
    this.#dead = false;
  }

  #fresh(): Sum {
    return { origin: this.#unknown++, delta: 0n };
  }

  #set(register: number, sum: Sum | undefined): void {
    if (register !== 0) this.state.registers[register] = sum ?? this.#fresh();
  }

  #add(a: Sum, b: Sum): Sum | undefined {
    // x0 is always 0, so what it is the origin of is a constant.
    if (a.origin === 0) return { origin: b.origin, delta: b.delta + a.delta };
    return b.origin === 0 ? { origin: a.origin, delta: a.delta + b.delta } : undefined;
  }

  #csr(number: number): Sum {
    return this.state.csrs.get(number) ?? { origin: number + CSR_ORIGIN, delta: 0n };
  }

  /** Registers that are pushed and popped together. */
  #stack(name: string, list: number): void {
    const { registers, memory } = this.state, size = this.#wide ? 8 : 4, stack = registers[2]!;
    const saved = stackList(list, this.#wide ? 64 : 32), pushes = name === "cm.push";
    const top = stack.delta + BigInt(pushes ? 0 : saved.adjustment);
    saved.registers.toReversed().forEach((register, k) => {
      const key = `${stack.origin}:${top - BigInt(size * (k + 1))}`;
      if (pushes) memory.set(key, registers[register]!);
      else this.#set(register, memory.get(key));
    });
    this.#set(2, { ...stack, delta: pushes ? stack.delta - BigInt(saved.adjustment) : top });
    if (name.startsWith("cm.popret")) this.#dead = true;
  }

  execute({ instruction: { name, format }, operands: { rd, rs1, rs2, imm } }: Decoded, at: bigint): void {
    const { registers, memory, csrs } = this.state, left = registers[rs1]!, right = registers[rs2]!;
    const key = () => `${left.origin}:${left.delta + BigInt(imm)}`;
    switch (name) {
      case "addi":
      case "addiw":
        return this.#set(
          rd,
          name === "addi" || left.origin === 0 ? { ...left, delta: left.delta + BigInt(imm) } : undefined,
        );
      case "add":
        return this.#set(rd, this.#add(left, right));
      case "sub":
        return this.#set(rd, right.origin === 0 ? { ...left, delta: left.delta - right.delta } : undefined);
      case "lui":
        return this.#set(rd, { origin: 0, delta: BigInt(imm) });
      case this.#wide ? "sd" : "sw":
        memory.set(key(), right);
        return;
      case this.#wide ? "ld" : "lw":
        return this.#set(rd, memory.get(key()));
      case "csrrw": {
        const old = this.#csr(imm);
        csrs.set(imm, left);
        return this.#set(rd, old);
      }
      case "csrrs":
      case "csrrc":
      case "csrrwi":
      case "csrrsi":
      case "csrrci": {
        const old = this.#csr(imm);
        if (rs1 !== 0 || name === "csrrwi") csrs.set(imm, this.#fresh());
        return this.#set(rd, old);
      }
      case "jal":
      case "jalr":
        if (rd === 0) {
          if (name === "jal") this.#targets.set(at + BigInt(imm), this.state.copy());
          this.#dead = true;
        } else for (const register of CALLER_SAVED) this.#set(register, undefined);
        return;
      case "cm.push":
      case "cm.pop":
      case "cm.popret":
      case "cm.popretz":
        return this.#stack(name, imm);
      case "cm.jt":
        this.#dead = true;
        return;
      case "mret":
      case "sret":
        this.#dead = true;
        return;
    }
    if (format === "branch") {
      this.#branched = this.state.copy();
      this.#targets.set(at + BigInt(imm), this.#branched);
    } else if (!NO_DESTINATION.has(format) && !FLOAT_DESTINATION.has(format)) this.#set(rd, undefined);
  }
}
