// A compiled region as text for people: why it was compiled, the guest's instructions, their IR, the generated JavaScript.

import type { Decoder } from "../isa/decode.ts";
import { disassemble } from "../isa/disassemble.ts";
import { statementText } from "../isa/ir_text.ts";
import { ABI_NAMES } from "../isa/registers.ts";
import type { Compilation, CompileReason, CompilerOptions } from "./code_cache.ts";
import type { Assumption } from "./facts.ts";
import type { RegionInstruction } from "./region.ts";

/** What `CompiledCode` takes from the machine. */
export interface ListingContext {
  readonly decoder: Decoder;
  readonly options: CompilerOptions;
  /** An address as symbol and offset; undefined where there is no symbol. */
  readonly symbol: (address: bigint) => string | undefined;
}

/**
 * Addresses from `first` to `last`, both included, unsigned.
 *
 * @example
 * ```ts
 * import { Machine, type AddressRange } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const page: AddressRange = { first: 0x8000_0000n, last: 0x8000_0fffn };
 * using _hook = machine.hook.instruction({ match: "wfi", within: page }, ({ place }) => console.log(place));
 * await machine.run();
 * ```
 */
export interface AddressRange {
  /** Lowest address. */
  readonly first: bigint;
  /** Highest address. */
  readonly last: bigint;
}

const ASSUMED: Readonly<Record<Assumption, string>> = {
  memory: "the address of RAM",
  signed: "a sign-extended word",
  zero: "a zero-extended word",
};

/**
 * Guest code that was compiled together: a region.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf", accel: "jit,threshold=2" });
 * machine.onCompile = (code) => console.log(code.heading);
 * await machine.run();
 * ```
 */
export class CompiledCode {
  /** Address at which it is entered, unsigned. */
  readonly entry: bigint;
  /** Guest instructions in it. */
  readonly instructions: number;
  /** Basic blocks in it. */
  readonly blocks: number;
  /** Why it was compiled; null if it is not compiled, and this is only what would be. */
  readonly reason: CompileReason | null;
  readonly #made: Compilation;
  readonly #context: ListingContext;

  /** `made`: what the code cache says of it. */
  constructor(made: Compilation, context: ListingContext) {
    this.#made = made;
    this.#context = context;
    this.entry = this.#address(made.region.entry.pc);
    this.instructions = made.region.size;
    this.blocks = made.region.blocks.length;
    this.reason = made.reason;
  }

  #address(pc: number): bigint {
    return BigInt(this.#made.region.high >>> 0) << 32n | BigInt(pc >>> 0);
  }

  #inOrder(): RegionInstruction[] {
    const all = this.#made.region.blocks.flatMap((block) => block.instructions);
    return all.sort((a, b) => (a.pc >>> 0) - (b.pc >>> 0));
  }

  /** Whether any of its instructions lies in a range of addresses. */
  overlaps({ first, last }: AddressRange): boolean {
    return this.#made.region.blocks.some(({ instructions }) =>
      instructions.some((i) => {
        const start = this.#address(i.pc);
        return start <= last && start + BigInt(i.length) > first;
      })
    );
  }

  /** The generated JavaScript, with the guest's instructions as comments. */
  get javascript(): string {
    return this.#made.text((i) => `${this.#address(i.pc).toString(16)}: ${this.#assembly(i).replace("\t", " ")}`);
  }

  #assembly(i: RegionInstruction): string {
    const { decoder, symbol } = this.#context;
    return disassemble(decoder, i.word, this.#address(i.pc), { symbol }).text;
  }

  /** What it is, why it was compiled, and what it takes for granted: a line each. */
  get heading(): string {
    const { decoder, symbol, options } = this.#context, { drops, assumptions } = this.#made;
    const name = symbol(this.entry), plural = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
    const often = plural(options.threshold, "time") + (options.patience > 1 ? " or more" : "");
    const lines = [
      `region ${this.entry.toString(16).padStart(decoder.xlen / 4, "0")}${name === undefined ? "" : ` <${name}>`}: ` +
      `${plural(this.instructions, "instruction")} in ${plural(this.blocks, "block")}`,
    ];
    switch (this.reason) {
      case "hot":
        lines.push(`compiled since the interpreter came to it ${often}`);
        break;
      case "called":
        lines.push("compiled since compiled code called it");
        break;
      case "exit":
        lines.push(`compiled since compiled code went on there ${often}`);
        break;
      case "refused":
        lines.push("compiled anew since a register was not as assumed before");
        break;
      default:
        lines.push("not compiled; this is what would be made of it now");
    }
    if (drops > 0) lines.push(`dropped ${plural(drops, "time")} before, since the guest wrote over it`);
    for (const [n, assumption] of assumptions) {
      lines.push(`checks at the entry that x${n} (${ABI_NAMES[n]}) is ${ASSUMED[assumption]}`);
    }
    return lines.join("\n");
  }

  /** Heading, guest instructions in objdump's syntax, each with its IR, and JavaScript. */
  toString(): string {
    const { decoder, symbol } = this.#context;
    const guest = this.#inOrder().map((i) => {
      const address = this.#address(i.pc), name = symbol(address);
      const where = `${address.toString(16).padStart(decoder.xlen / 4, "0")}${name === undefined ? "" : ` <${name}>`}`;
      const word = (i.word >>> 0).toString(16).padStart(2 * i.length, "0").padEnd(8);
      const ir = i.statements.map((s) => `    ${statementText(s)}\n`).join("");
      return `${where}:\t${word}\t${this.#assembly(i)}\n${ir}`;
    });
    return `${this.heading}\n\n${guest.join("")}\n${this.javascript}\n`;
  }
}
