// What can be seen of the guest's program while it stands still: backtraces, variables, source lines.

import type { SourcePosition } from "../debug/dwarf/scopes.ts";
import type { Hart } from "../hart/hart.ts";
import type { Decoder } from "../isa/decode.ts";
import { type Backtrace, backtrace } from "./backtrace.ts";
import type { DebugAccess } from "./debug_access.ts";
import type { DebugInfo } from "./debug_info.ts";
import type { UnwindTarget } from "./unwind.ts";
import { findVariable, type Variable } from "./variable.ts";

/** DWARF numbers from here on are floating-point registers. */
const FIRST_FLOAT = 32;

/** Looks at the program of a machine. Nothing that it does has side effects on the guest. */
export class Inspector {
  readonly #debug: DebugAccess;
  readonly #info: DebugInfo;
  readonly #decoder: Decoder;

  constructor(debug: DebugAccess, info: DebugInfo, decoder: Decoder) {
    this.#debug = debug;
    this.#info = info;
    this.#decoder = decoder;
  }

  backtrace(hart: number): Backtrace {
    return backtrace(this.#target(hart));
  }

  variable(name: string, hart: number, frame: number): Variable {
    return findVariable(this.#target(hart), name, frame);
  }

  source(address: bigint): SourcePosition | undefined {
    return this.#info.source(address);
  }

  #target(number: number): UnwindTarget {
    const hart: Hart = this.#debug.hart(number);
    return {
      xlen: hart.xlen,
      decoder: this.#decoder,
      info: this.#info,
      pc: hart.pc,
      register: (n) => n < FIRST_FLOAT ? hart.readX(n) : n < 2 * FIRST_FLOAT ? hart.readF(n - FIRST_FLOAT) : undefined,
      csr: (n) => hart.readCsr(n),
      memory: (address, length) => this.#memory(number, address, length),
    };
  }

  #memory(hart: number, address: bigint, length: number): Uint8Array | undefined {
    const bytes = this.#debug.peek(hart, address, length);
    if (bytes !== undefined) return bytes;
    // Before the guest translates addresses, what is linked elsewhere is found where it was loaded.
    for (const { moved } of this.#info.files) {
      for (const { link, run, size } of moved) {
        if (address >= link && address - link < size) return this.#debug.peek(hart, address - link + run, length);
      }
    }
    return undefined;
  }
}
