// Pointer masking (privileged manual, chapter "Pointer Masking"): upper bits of data addresses that say nothing. There is one
// field PMM for each privilege level, in a register of the level above.

import { CSR_NUMBERS } from "../isa/csr_names.ts";
import type { Hart } from "./hart.ts";
import { MSTATUS } from "./status.ts";
import { MACHINE, SUPERVISOR } from "./trap.ts";

/** PMM in the upper words of mseccfg, menvcfg and senvcfg; 01 is reserved. */
export const PMM = 3, PMM_RESERVED = 1;

/** How many bits are masked (PMLEN), by PMM. */
const MASKED_BITS: readonly number[] = [0, 0, 7, 16];

const upperWord = (name: string) => 2 * CSR_NUMBERS[name]! + 1;
const MSECCFG = upperWord("mseccfg"), MENVCFG = upperWord("menvcfg"), SENVCFG = upperWord("senvcfg");
const MSTATUS_AT = 2 * CSR_NUMBERS["mstatus"]!;

/** Whether a hart has any of the three extensions: Smmpm, Smnpm, Ssnpm. */
export function hasPointerMasking({ extensions, xlen }: Pick<Hart, "extensions" | "xlen">): boolean {
  return xlen === 64 && (extensions.has("Smmpm") || extensions.has("Smnpm") || extensions.has("Ssnpm"));
}

/** How many upper bits are masked in addresses of data that are accessed at a privilege level. */
export function maskedBits({ csrs, extensions }: Hart, privilege: number): number {
  if (privilege === MACHINE) return MASKED_BITS[csrs[MSECCFG]! & PMM]!;
  // What may read pages that are only for execution reads instructions, whose addresses are never masked.
  if ((csrs[MSTATUS_AT]! & MSTATUS.MXR) !== 0) return 0;
  const above = privilege === SUPERVISOR || !extensions.has("S") ? MENVCFG : SENVCFG;
  return MASKED_BITS[csrs[above]! & PMM]!;
}

/** High half of an address without its masked bits: with the sign of what is left if it is virtual, else with zeros. */
export function withoutMasked(high: number, bits: number, isVirtual: boolean): number {
  return isVirtual ? high << bits >> bits : high << bits >>> bits | 0;
}
