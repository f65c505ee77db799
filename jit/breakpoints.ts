// Where execution stops before an instruction: addresses as the program counter has them, and physical ones.

/** An address at which execution stops. */
export interface BreakpointAddress {
  /** Whether `address` is what pc is then (`"virtual"`), or where the instruction lies in physical memory. */
  readonly kind: "virtual" | "physical";
  /** Unsigned. */
  readonly address: bigint;
}

/** Addresses of instructions that are left to the executor. */
export interface AddressSet {
  has(address: number): boolean;
}

/** The guest's own breakpoints, as far as they are about instructions. */
export interface ExecuteTriggers {
  /** Whether there may be one at an address with this offset in its page. */
  mayExecute(offset: number): boolean;
}

/** The breakpoints of a hart. */
export class Breakpoints {
  readonly #triggers: ExecuteTriggers;
  /** High halves of pc by its low half. */
  readonly #pcs = new Map<number, Set<number>>();
  readonly #physical = new Set<number>();
  readonly #offsets = new Set<number>();

  constructor(triggers: ExecuteTriggers) {
    this.#triggers = triggers;
  }

  /** Where execution may stop, or the guest have a trigger, while addresses are physical. */
  readonly bare: AddressSet = {
    has: (address) =>
      (this.#offsets.size > 0 && this.stopsAt(address | 0, Math.floor(address / 2 ** 32) | 0, address)) ||
      this.#triggers.mayExecute(address & 4095),
  };

  /**
   * Where execution may stop while addresses are virtual: at whatever has the same offset in its page, since which page a
   * virtual address means may change at any time. Takes virtual and physical addresses.
   */
  readonly translated: AddressSet = {
    has: (address) =>
      (this.#offsets.size > 0 && this.#offsets.has(address & 4095)) || this.#triggers.mayExecute(address & 4095),
  };

  /** Sets all of them. */
  replace(addresses: readonly BreakpointAddress[], xlen: 32 | 64): void {
    this.#pcs.clear();
    this.#physical.clear();
    this.#offsets.clear();
    for (const { kind, address } of addresses) {
      this.#offsets.add(Number(address & 4095n));
      if (kind === "physical") {
        this.#physical.add(Number(address));
        continue;
      }
      const low = Number(BigInt.asIntN(32, address)), highs = this.#pcs.get(low) ?? new Set();
      this.#pcs.set(low, highs.add(xlen === 32 ? 0 : Number(BigInt.asIntN(32, address >> 32n))));
    }
  }

  /** Whether execution stops before an instruction: its pc (halves as int32), and where it lies in physical memory. */
  stopsAt(low: number, high: number, physical: number): boolean {
    return this.#physical.has(physical) || (this.#pcs.get(low)?.has(high) ?? false);
  }
}
