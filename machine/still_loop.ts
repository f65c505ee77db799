// Whether a loop changes anything: looks at a guest instruction by instruction until it is again as it was, or does something.

import type { Hart } from "../hart/hart.ts";
import type { Decoder } from "../isa/decode.ts";
import { Builder } from "../isa/ir.ts";
import type { Bus } from "./bus.ts";
import type { DebugAccess } from "./debug_access.ts";

/** Most instructions of a loop that is recognised. */
export const LONGEST_LOOP = 1024;

/** A loop at which somebody looks. */
export class StillLoop {
  readonly #hart: Hart;
  readonly #bus: Bus;
  readonly #debug: DebugAccess;
  readonly #decoder: Decoder;
  readonly #start: Int32Array;
  #looks = 0;

  /** It begins at the hart's pc. */
  constructor(hart: Hart, bus: Bus, debug: DebugAccess, decoder: Decoder) {
    this.#hart = hart;
    this.#bus = bus;
    this.#debug = debug;
    this.#decoder = decoder;
    this.#start = this.#state();
  }

  #state(): Int32Array {
    const { x, f, pcLow, pcHigh, privilege } = this.#hart;
    return Int32Array.of(pcLow, pcHigh, privilege, ...x.subarray(0, 64), ...f.subarray(0, 64));
  }

  #isAsItWas(): boolean {
    if (this.#hart.pcLow !== this.#start[0]) return false;
    const now = this.#state();
    return now.every((word, k) => word === this.#start[k]);
  }

  /** True if the guest is as it was; false if its next instruction may change something that cannot be seen; else undefined. */
  look(): boolean | undefined {
    if (this.#looks++ > 0 && this.#isAsItWas()) return true;
    const hart = this.#hart, pc = hart.pc;
    const bytes = this.#debug.read(hart.id, pc, 4) ?? this.#debug.read(hart.id, pc, 2);
    const decoded = bytes && this.#decoder.decode(bytes.reduceRight((sum, byte) => sum * 256 + byte, 0));
    if (!decoded) return false;
    const builder = new Builder(this.#decoder.xlen, false, this.#decoder.floats);
    decoded.instruction.semantics!(builder, decoded.operands);
    for (const statement of builder.statements) {
      if (statement.kind === "store" || statement.kind === "leave" || statement.kind === "call") return false;
      if (statement.kind !== "load") continue;
      // Memory stays as it is; what a device answers may not.
      const address = hart.readX(decoded.operands.rs1) + BigInt(decoded.operands.imm);
      const physical = this.#debug.translate(hart.id, BigInt.asUintN(hart.xlen, address));
      if (physical === undefined || !this.#bus.isRam(Number(physical), 1)) return false;
    }
    return undefined;
  }
}
