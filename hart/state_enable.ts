// State enable registers (privileged manual, chapter "Smstateen and Ssstateen"): whether less privileged modes reach state that
// software may know nothing of.

import { CSR_NUMBERS } from "../isa/csr_names.ts";
import { type Extension, hasFloatsInX } from "../isa/extensions.ts";
import type { Xlen } from "../isa/instruction.ts";
import { type CsrEntry, plain, upper } from "./csr.ts";
import type { Hart } from "./hart.ts";
import { MACHINE, SUPERVISOR, USER } from "./trap.ts";

/** Bits of the low words of mstateen0 and sstateen0: fcsr where it is that of Zfinx, and jvt. */
const FCSR = 1 << 1, JVT = 1 << 2;
/** Bits of the upper word of mstateen0: scontext, senvcfg, and in all four registers the sstateen of the same number. */
const CONTEXT = 1 << 25, ENVCFG = 1 << 30, SE = 1 << 31;

const NUMBERS = [0, 1, 2, 3] as const;
const word = (name: string) => 2 * CSR_NUMBERS[name]!;
const MSTATEEN0 = word("mstateen0"), SSTATEEN0 = word("sstateen0");

/** What there is in both registers. */
function lowBits(extensions: ReadonlySet<Extension>): number {
  return (hasFloatsInX(extensions) ? FCSR : 0) | (extensions.has("Zcmt") ? JVT : 0);
}

/** Whether a bit of mstateen0, and for user mode of sstateen0, lets the present mode reach state. */
function isEnabled({ csrs, extensions, privilege }: Hart, bit: number): boolean {
  if (privilege === MACHINE) return true;
  if (extensions.has("Smstateen") && (csrs[MSTATEEN0]! & bit) === 0) return false;
  return privilege === SUPERVISOR || !extensions.has("Ssstateen") || (csrs[SSTATEEN0]! & bit) !== 0;
}

/** Whether a bit of the upper word of mstateen0 to mstateen3 lets supervisor mode reach a register. */
function isEnabledAbove({ csrs, extensions, privilege }: Hart, bit: number, number: number): boolean {
  return privilege === MACHINE || !extensions.has("Smstateen") || (csrs[MSTATEEN0 + 2 * number + 1]! & bit) !== 0;
}

/** Restricts CSRs that a state enable register is about, by name. */
export function restricted(
  entries: readonly [string, CsrEntry][],
  extensions: ReadonlySet<Extension>,
): [string, CsrEntry][] {
  if (!extensions.has("Smstateen") && !extensions.has("Ssstateen")) return [...entries];
  const conditions: Record<string, (hart: Hart) => boolean> = {
    senvcfg: (hart) => isEnabledAbove(hart, ENVCFG, 0),
    scontext: (hart) => isEnabledAbove(hart, CONTEXT, 0),
    jvt: (hart) => isEnabled(hart, JVT),
  };
  if (hasFloatsInX(extensions)) {
    for (const name of ["fflags", "frm", "fcsr"]) conditions[name] = (hart) => isEnabled(hart, FCSR);
  }
  return entries.map(([name, entry]) => {
    const condition = conditions[name], before = entry.allowed;
    if (condition === undefined) return [name, entry];
    return [name, { ...entry, allowed: (hart, writes) => condition(hart) && (before?.(hart, writes) ?? true) }];
  });
}

/** mstateen0 to mstateen3 and sstateen0 to sstateen3. Reset leaves them 0: nothing is enabled below machine mode. */
export function stateEnableEntries(extensions: ReadonlySet<Extension>, xlen: Xlen): [string, CsrEntry][] {
  const entries: [string, CsrEntry][] = [], low = lowBits(extensions), supervisor = extensions.has("S");
  for (const number of NUMBERS) {
    const own = number === 0 ? low : 0, machine = `mstateen${number}`;
    if (extensions.has("Smstateen")) {
      const context = extensions.has("Sdtrig") ? CONTEXT : 0;
      const high = supervisor ? SE | (number === 0 ? ENVCFG | context : 0) : 0;
      entries.push(plain(machine, { low: own, high }));
      if (xlen === 32) entries.push(upper(`${machine}h`, machine, high));
    }
    if (extensions.has("Ssstateen")) entries.push(supervisorEntry(number, own));
  }
  return entries;
}

/** sstateen: what mstateen does not enable reads as 0 and cannot be written. */
function supervisorEntry(number: number, own: number): [string, CsrEntry] {
  const [name, entry] = plain(`sstateen${number}`, { low: own, high: 0 }), above = MSTATEEN0 + 2 * number;
  const visible = ({ csrs, extensions }: Hart) => extensions.has("Smstateen") ? csrs[above]! : -1;
  return [name, {
    read: (hart) => entry.read(hart) & visible(hart),
    write: (hart, low, high) => {
      const at = SSTATEEN0 + 2 * number, kept = hart.csrs[at]! & ~visible(hart);
      entry.write(hart, low & visible(hart) | kept, high);
    },
    allowed: (hart) => hart.privilege !== USER && isEnabledAbove(hart, SE, number),
  }];
}
