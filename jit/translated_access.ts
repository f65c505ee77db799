// How generated code reaches guest memory when addresses are virtual or protected: a look into the translation look-aside
// buffer decides between a typed array and the hart's slow path.

import type { Value } from "../isa/ir.ts";
import { TLB_MASK, TLB_SHIFT } from "../hart/tlb.ts";
import { add, call, type Expression, isSimple, literal } from "./expression.ts";
import { type Address, MemoryAccess, type ValueEmitter } from "./memory_access.ts";

/** Generates accesses through the buffers LOADS and STORES. */
export class TranslatedAccess extends MemoryAccess {
  readonly #wide: boolean;
  readonly #base: string;

  /** `entries`: where the entries begin, an operand of `|`; null if the buffers hold those of one privilege level only. */
  constructor(base: number, size: number, xlen: 32 | 64, entries: string | null = null) {
    super(base, size, xlen);
    this.#wide = xlen === 64;
    this.#base = entries === null ? "" : ` | ${entries}`;
  }

  /** The halves of the address as names, and a name for the offset that the test computes. */
  override address(emitter: ValueEmitter, v: Value): Address {
    const name = (e: Expression) => isSimple(e) ? e : emitter.temp(e);
    if (!this.#wide) {
      const low = name(emitter.narrow(v));
      return { offset: emitter.fresh(), high: null, low, fullHigh: literal(0) };
    }
    // A register plus a 12-bit immediate: no entry leads to the first or the last page of 4 GiB (`TranslationBuffers.fill`), so
    // wherever there is an entry, the high half is the register's.
    if (this.isOffset(v)) {
      const a = emitter.wide(v.a!), immediate = emitter.wide(v.b!), base = name(a.low), high = name(a.high);
      const low = emitter.temp(add(base, immediate.low));
      return { offset: emitter.fresh(), high, low, fullHigh: call("sumHigh", base, high, immediate.low) };
    }
    const pair = emitter.wide(v), low = name(pair.low), high = name(pair.high);
    return { offset: emitter.fresh(), high, low, fullHigh: high };
  }

  /**
   * Condition for the fast path, which leaves the offset in RAM in its name. The tag is compared with the address but for the
   * bits in a page that an aligned access may have: a misaligned one may lie in two pages.
   */
  override test(address: Address, size: number, stores: boolean): string {
    const low = address.low.text, buffer = stores ? "STORES" : "LOADS";
    const entry = address.offset.text, compared = ~(4095 & ~(size - 1));
    const high = address.high === null ? "" : ` && ${buffer}[${entry} + 1] === ${address.high.text}`;
    return `${buffer}[${entry} = ${low} >>> ${TLB_SHIFT} & ${TLB_MASK}${this.#base}] === (${low} & ${compared})${high} && ` +
      `(${entry} = ${buffer}[${entry} + 2] + ${low} | 0, true)`;
  }

  // Nothing is known of addresses in RAM: they are anywhere.
  override get keepsFromEnds(): boolean {
    return false;
  }
}
