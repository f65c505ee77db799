// The CSRs of supervisor mode and of delegation to it (privileged manual, chapter "Supervisor-Level ISA" and sections
// "Machine Trap Delegation (medeleg and mideleg) Registers", "Sstc").

import type { Extension } from "../isa/extensions.ts";
import { HIGH } from "../isa/pair.ts";
import {
  ALL,
  CSR,
  type CsrEntry,
  environmentConfiguration,
  exceptionPc,
  plain,
  SUPERVISOR_INTERRUPTS,
  trapVector,
} from "./csr.ts";
import type { Hart } from "./hart.ts";
import { PMM } from "./pointer_masking.ts";
import { MENVCFG_HIGH, MSTATUS } from "./status.ts";
import { isTranslationMode } from "./translation.ts";
import { CAUSE, INTERRUPT, MACHINE, SUPERVISOR } from "./trap.ts";

/** What of mstatus is seen as sstatus. */
const SSTATUS = MSTATUS.SIE | MSTATUS.SPIE | MSTATUS.UBE | MSTATUS.SPP | MSTATUS.VS | MSTATUS.FS | MSTATUS.XS |
  MSTATUS.SUM | MSTATUS.MXR | MSTATUS.SD;

/** Every exception but those of machine mode's own calls and the reserved codes. */
const DELEGABLE = [
  ...[CAUSE.instructionMisaligned, CAUSE.instructionAccess, CAUSE.illegalInstruction, CAUSE.breakpoint],
  ...[CAUSE.loadMisaligned, CAUSE.loadAccess, CAUSE.storeMisaligned, CAUSE.storeAccess],
  ...[CAUSE.ecallFromU, CAUSE.ecallFromS, CAUSE.instructionPage, CAUSE.loadPage, CAUSE.storePage],
].reduce<number>((bits, cause) => bits | 1 << cause, 0);

/** Bit of the `time` counter in mcounteren. */
const TM = 1 << 1;

/** sstatus: some fields of mstatus. Reading and writing is that register's business. */
const SSTATUS_ENTRY: CsrEntry = {
  read: (hart) => {
    const low = hart.csrTable[CSR.mstatus]!.read(hart);
    HIGH[0] = HIGH[0]! & (MSTATUS.UXL_H | MSTATUS.SD);
    return low & SSTATUS;
  },
  write: (hart, low) => {
    const machine = hart.csrTable[CSR.mstatus]!, old = machine.read(hart);
    machine.write(hart, old & ~SSTATUS | low & SSTATUS, HIGH[0]!);
  },
};

/** sie or sip: the interrupts that are delegated. `writable` of them change. */
function delegated(of: "mie" | "mip", writable: number): CsrEntry {
  const entry = (hart: Hart) => hart.csrTable[CSR[of]]!;
  const mask = (hart: Hart) => hart.csrs[2 * CSR.mideleg]!;
  return {
    read: (hart) => {
      const low = entry(hart).read(hart) & mask(hart);
      HIGH[0] = 0;
      return low;
    },
    write: (hart, low) => {
      const changes = mask(hart) & writable;
      entry(hart).write(hart, hart.csrs[2 * CSR[of]]! & ~changes | low & changes, 0);
    },
  };
}

/** satp: a write with a mode that does not exist changes nothing. In S-mode, TVM makes it illegal. */
function satp(): [string, CsrEntry] {
  const [name, entry] = plain("satp", ALL), at = 2 * CSR.satp;
  return [name, {
    ...entry,
    write: (hart, low, high) => {
      const mode = hart.xlen === 32 ? low >>> 31 : high >>> 28;
      if (!isTranslationMode(hart.xlen, mode, hart.addressBits)) return;
      if (hart.csrs[at] === low && hart.csrs[at + 1] === high) return;
      entry.write(hart, low, high);
      hart.translationChanged();
    },
    allowed: (hart) => hart.privilege !== SUPERVISOR || (hart.csrs[2 * CSR.mstatus]! & MSTATUS.TVM) === 0,
  }];
}

/** stimecmp and stimecmph: in S-mode as mcounteren.TM and menvcfg.STCE say. */
function timerCompare(): [string, CsrEntry][] {
  const at = 2 * CSR.stimecmp;
  const allowed = (hart: Hart) =>
    hart.privilege === MACHINE ||
    (hart.csrs[2 * CSR.mcounteren]! & TM) !== 0 && (hart.csrs[2 * CSR.menvcfg + 1]! & MENVCFG_HIGH.STCE) !== 0;
  const changed = (hart: Hart) => hart.supervisorTimer.compare(hart.csrs[at]!, hart.csrs[at + 1]!);
  const [name, whole] = plain("stimecmp", ALL, changed);
  return [
    [name, { ...whole, allowed }],
    [`${name}h`, {
      read: (hart) => hart.csrs[at + 1]!,
      write: (hart, low) => {
        hart.csrs[at + 1] = low;
        changed(hart);
      },
      allowed,
    }],
  ];
}

/** What a hart with supervisor mode has beside the rest. */
export function supervisorLevel(extensions: ReadonlySet<Extension>): [string, CsrEntry][] {
  if (!extensions.has("S")) return [];
  const entries: [string, CsrEntry][] = [
    plain("medeleg", { low: DELEGABLE, high: 0 }),
    plain("mideleg", { low: SUPERVISOR_INTERRUPTS, high: 0 }, (hart) => hart.interruptsChanged()),
    ["sstatus", SSTATUS_ENTRY],
    ["sie", delegated("mie", -1)],
    ["sip", delegated("mip", 1 << INTERRUPT.supervisorSoftware)],
    trapVector("stvec"),
    plain("scounteren", { low: -1, high: 0 }),
    environmentConfiguration(
      "senvcfg",
      extensions,
      extensions.has("Ssnpm") ? PMM : 0,
      extensions.has("Ssnpm") ? (hart) => hart.translationChanged() : undefined,
    ),
    plain("sscratch", ALL),
    exceptionPc("sepc"),
    plain("scause", ALL),
    plain("stval", ALL),
    satp(),
  ];
  if (extensions.has("Sstc")) entries.push(...timerCompare());
  return entries;
}
