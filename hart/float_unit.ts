// The floating-point unit of a hart: fcsr, its share of mstatus, and the operations that instructions name by number
// (unprivileged manual, chapter "F"; privileged manual, "Extension Context Status in mstatus Register").

import { give, HIGH, unsigned64 } from "../isa/pair.ts";
import { hasFloatsInX } from "../isa/extensions.ts";
import { CSR_NUMBERS } from "../isa/csr_names.ts";
import { REMAINING, SITE_DIRTY, SITE_PC } from "./counter.ts";
import type { CsrEntry } from "./csr.ts";
import { doubleOperation, result } from "./double_operations.ts";
import type { Hart } from "./hart.ts";
import { type Flags, NX, RMM } from "./softfloat.ts";
import { floatOperation } from "./softfloat_operations.ts";
import { MSTATUS } from "./status.ts";
import { CAUSE, raise } from "./trap.ts";

/** Word of `Hart.csrs` with mstatus.FS, and the one with fcsr: fflags in bits 4:0, frm in bits 7:5. */
export const MSTATUS_WORD: number = 2 * CSR_NUMBERS["mstatus"]!, FCSR_WORD: number = 2 * CSR_NUMBERS["fcsr"]!;

/** fflags and frm in fcsr. */
export const FFLAGS = 0x1f, FRM = 0xe0;
const FRM_SHIFT = 5;

/** The rounding mode in an instruction that stands for the one in frm. */
export const DYNAMIC = 7;

/**
 * What generated code may take for granted of the floating-point state: nothing; that mstatus.FS is Dirty; besides, that frm is
 * RNE and NX is raised already, so that no ordinary result changes anything but its register.
 */
export const UNKNOWN_STATE = 0, DIRTY_STATE = 1, READY_STATE = 3;

/** Floating-point state and operations of a hart. */
export class FloatUnit {
  readonly #hart: Hart;
  readonly #csrs: Int32Array;
  readonly #flags: Flags = { bits: 0 };
  /** Operands are integer registers (Zfinx): mstatus.FS is 0, and has no part in anything. */
  readonly #inX: boolean;

  constructor(hart: Hart) {
    this.#hart = hart;
    this.#csrs = hart.csrs;
    this.#inX = hasFloatsInX(hart.extensions);
  }

  /** UNKNOWN_STATE, DIRTY_STATE or READY_STATE. */
  state(): number {
    if ((this.#csrs[MSTATUS_WORD]! & MSTATUS.FS) !== MSTATUS.FS) return UNKNOWN_STATE;
    return (this.#csrs[FCSR_WORD]! & (FRM | NX)) === NX ? READY_STATE : DIRTY_STATE;
  }

  /** Sets mstatus.FS to Dirty, as every change of f registers or fcsr does. Gives the state after that. */
  markDirty(): number {
    this.#csrs[MSTATUS_WORD]! |= MSTATUS.FS;
    return this.state();
  }

  /** Traps as an illegal instruction where mstatus.FS is Off. */
  floatEnabled(): void {
    if (this.#inX) this.floatAllowed();
    else if ((this.#csrs[MSTATUS_WORD]! & MSTATUS.FS) === 0) raise(CAUSE.illegalInstruction, 0, 0);
  }
  /** Traps as an illegal instruction where fcsr may not be accessed, operands being integer registers. */
  floatAllowed(): void {
    if (this.#hart.csrTable[FCSR_WORD / 2]?.allowed?.(this.#hart, true) === false) {
      raise(CAUSE.illegalInstruction, 0, 0);
    }
  }

  /**
   * Does operation `number` of FLOAT_OPERATIONS on whole registers (pairs of int32); the high half of the result is left in
   * HIGH[0]. `mode` is that of the instruction. Traps as an illegal instruction where mstatus.FS is Off, or the mode is dynamic
   * and frm holds none.
   */
  float(
    number: number,
    mode: number,
    a: number,
    aHigh: number,
    b: number,
    bHigh: number,
    c: number,
    cHigh: number,
  ): number {
    this.floatEnabled();
    const roundingMode = mode === DYNAMIC ? (this.#csrs[FCSR_WORD]! & FRM) >> FRM_SHIFT : mode;
    if (roundingMode > RMM) raise(CAUSE.illegalInstruction, 0, 0);
    if (doubleOperation(number, roundingMode, a, aHigh, b, bHigh, c, cHigh)) {
      if (result.inexact) this.#raise(NX);
      HIGH[0] = result.high;
      return result.low;
    }
    const flags = this.#flags;
    flags.bits = 0;
    const value = floatOperation(
      number,
      roundingMode,
      unsigned64(a, aHigh),
      unsigned64(b, bHigh),
      unsigned64(c, cHigh),
      flags,
    );
    this.#raise(flags.bits);
    return give(value);
  }

  /**
   * Does an operation from f registers to an f register, for compiled code; a source of -1 is one that it does not have. Gives the
   * state after that.
   */
  operateRegisters(number: number, mode: number, rd: number, rs1: number, rs2: number, rs3: number): number {
    const { f } = this.#hart;
    const low = this.float(
      number,
      mode,
      f[2 * rs1]!,
      f[2 * rs1 + 1]!,
      rs2 < 0 ? 0 : f[2 * rs2]!,
      rs2 < 0 ? 0 : f[2 * rs2 + 1]!,
      rs3 < 0 ? 0 : f[2 * rs3]!,
      rs3 < 0 ? 0 : f[2 * rs3 + 1]!,
    );
    f[2 * rd] = low;
    f[2 * rd + 1] = HIGH[0]!;
    return this.markDirty();
  }
  /** The same; the last three say where it stands (see `SITE_PC`). */
  operate(
    number: number,
    mode: number,
    rd: number,
    rs1: number,
    rs2: number,
    rs3: number,
    pc: number,
    dirty: number,
    remaining: number,
  ): number {
    const { state } = this.#hart.count;
    state[SITE_PC] = pc, state[SITE_DIRTY] = dirty, state[REMAINING] = remaining;
    return this.operateRegisters(number, mode, rd, rs1, rs2, rs3);
  }

  #raise(flags: number): void {
    const before = this.#csrs[FCSR_WORD]!;
    if ((before | flags) === before) return;
    this.#csrs[FCSR_WORD] = before | flags;
    if (!this.#inX) this.markDirty();
  }
}

/** Whether mstatus.SD reads as 1: one of FS, VS and XS is Dirty. */
export function isStateDirty(mstatus: number): boolean {
  const { FS, VS, XS } = MSTATUS;
  return (mstatus & FS) === FS || (mstatus & VS) === VS || (mstatus & XS) === XS;
}

/** A part of fcsr as a register of its own. Illegal to access where FS is Off; a write makes it Dirty: not so with `inX`. */
function part(name: string, mask: number, shift: number, inX: boolean): [string, CsrEntry] {
  return [name, {
    read: (hart) => {
      HIGH[0] = 0;
      return (hart.csrs[FCSR_WORD]! & mask) >> shift;
    },
    write: (hart, low) => {
      hart.csrs[FCSR_WORD] = hart.csrs[FCSR_WORD]! & ~mask | low << shift & mask;
      if (!inX) hart.csrs[MSTATUS_WORD]! |= MSTATUS.FS;
    },
    allowed: (hart) => inX || (hart.csrs[MSTATUS_WORD]! & MSTATUS.FS) !== 0,
  }];
}

/** fflags, frm and fcsr; `inX`: of a hart whose floating-point operands are integer registers. */
export function floatCsrs(inX: boolean): [string, CsrEntry][] {
  return [part("fflags", FFLAGS, 0, inX), part("frm", FRM, FRM_SHIFT, inX), part("fcsr", FRM | FFLAGS, 0, inX)];
}
