// The control and status registers of a hart: what each holds, which of its bits can be written and what a write does.
// Numbers and names come from isa/csr_names.ts; this table says what exists (privileged manual, chapter "Machine-Level ISA").

import { CSR_NUMBERS } from "../isa/csr_names.ts";
import { type Extension, hasFloatsInX } from "../isa/extensions.ts";
import type { Xlen } from "../isa/instruction.ts";
import { HIGH } from "../isa/pair.ts";
import { floatCsrs, isStateDirty } from "./float_unit.ts";
import type { HardwareCounter } from "./hardware_counter.ts";
import type { Hart } from "./hart.ts";
import { PMM, PMM_RESERVED } from "./pointer_masking.ts";
import { resetSecurity } from "./security.ts";
import { ENVCFG, MENVCFG_HIGH, MSTATUS } from "./status.ts";
import { INTERRUPT, MACHINE, SUPERVISOR, USER } from "./trap.ts";

/** Bits of mip and mie. */
export const MACHINE_INTERRUPTS: number = 1 << INTERRUPT.machineSoftware | 1 << INTERRUPT.machineTimer |
  1 << INTERRUPT.machineExternal;
export const SUPERVISOR_INTERRUPTS: number = 1 << INTERRUPT.supervisorSoftware | 1 << INTERRUPT.supervisorTimer |
  1 << INTERRUPT.supervisorExternal;

/**
 * Numbers of the CSRs whose words the hart works on directly. Each is a property of a literal, which V8 takes for a constant; the
 * table of all names is a dictionary.
 */
export const CSR = {
  mstatus: CSR_NUMBERS.mstatus as number,
  mtvec: CSR_NUMBERS.mtvec as number,
  mepc: CSR_NUMBERS.mepc as number,
  mcause: CSR_NUMBERS.mcause as number,
  mtval: CSR_NUMBERS.mtval as number,
  mie: CSR_NUMBERS.mie as number,
  mip: CSR_NUMBERS.mip as number,
  mcounteren: CSR_NUMBERS.mcounteren as number,
  mcountinhibit: CSR_NUMBERS.mcountinhibit as number,
  mideleg: CSR_NUMBERS.mideleg as number,
  medeleg: CSR_NUMBERS.medeleg as number,
  menvcfg: CSR_NUMBERS.menvcfg as number,
  senvcfg: CSR_NUMBERS.senvcfg as number,
  scounteren: CSR_NUMBERS.scounteren as number,
  stvec: CSR_NUMBERS.stvec as number,
  sepc: CSR_NUMBERS.sepc as number,
  scause: CSR_NUMBERS.scause as number,
  stval: CSR_NUMBERS.stval as number,
  satp: CSR_NUMBERS.satp as number,
  stimecmp: CSR_NUMBERS.stimecmp as number,
  stimecmph: CSR_NUMBERS.stimecmph as number,
  jvt: CSR_NUMBERS.jvt as number,
} as const;

/** What stands behind a CSR number. */
export interface CsrEntry {
  /** Value: low half, with the high half in HIGH[0]. */
  read(hart: Hart): number;
  /** Writes what can be written (WARL) and does what follows from it. On RV32 `high` is meaningless. */
  write(hart: Hart, low: number, high: number): void;
  /** What CSRRS and CSRRC change bits of, where that is not all that is read (low half). */
  stored?(hart: Hart): number;
  /** False if the access is illegal for a reason other than privilege and number. */
  allowed?(hart: Hart, writes: boolean): boolean;
}

/** Writable bits of a plain register. */
export interface Mask {
  readonly low: number;
  readonly high: number;
}

/** Every bit. */
export const ALL: Mask = { low: -1, high: -1 };

/** A register of the hart's own words; `after` does what follows from a write. */
export function plain(name: string, mask: Mask, after?: (hart: Hart) => void): [string, CsrEntry] {
  const at = 2 * CSR_NUMBERS[name]!;
  return [name, {
    read: (hart) => {
      HIGH[0] = hart.csrs[at + 1]!;
      return hart.csrs[at]!;
    },
    write: (hart, low, high) => {
      hart.csrs[at] = hart.csrs[at]! & ~mask.low | low & mask.low;
      if (hart.xlen === 64) hart.csrs[at + 1] = hart.csrs[at + 1]! & ~mask.high | high & mask.high;
      after?.(hart);
    },
  }];
}

/** The upper word of a 64-bit register, which RV32 reaches by a number of its own. */
export function upper(name: string, of: string, mask: number, after?: (hart: Hart) => void): [string, CsrEntry] {
  const at = 2 * CSR_NUMBERS[of]! + 1;
  return [name, {
    read: (hart) => hart.csrs[at]!,
    write: (hart, low) => {
      hart.csrs[at] = hart.csrs[at]! & ~mask | low & mask;
      after?.(hart);
    },
  }];
}

/** A register whose value never changes. */
function constant(
  name: string,
  low: (hart: Hart) => number,
  high: (hart: Hart) => number = () => 0,
): [string, CsrEntry] {
  return [name, {
    read: (hart) => {
      HIGH[0] = high(hart);
      return low(hart);
    },
    write: () => {},
  }];
}

function counter(name: string, which: (hart: Hart) => HardwareCounter): [string, CsrEntry][] {
  return [
    [name, {
      read: (hart) => which(hart).read(),
      write: (hart, low, high) => {
        if (hart.xlen === 32) {
          which(hart).read();
          high = HIGH[0]!;
        }
        which(hart).write(low, high);
      },
    }],
    [`${name}h`, {
      read: (hart) => {
        which(hart).read();
        return HIGH[0]!;
      },
      write: (hart, low) => {
        // The other half keeps the value that it has for this instruction.
        which(hart).write(which(hart).read(), low);
      },
    }],
  ];
}

/** A view of a counter: readable below M-mode where mcounteren says so, below S-mode where scounteren does, too. */
function shadow(name: string, of: CsrEntry, bit: number): [string, CsrEntry] {
  return [name, {
    read: (hart) => of.read(hart),
    write: () => {},
    allowed: (hart) =>
      hart.privilege === MACHINE ||
      (hart.csrs[2 * CSR.mcounteren]! & 1 << bit) !== 0 &&
        (hart.privilege !== USER || !hart.extensions.has("S") || (hart.csrs[2 * CSR.scounteren]! & 1 << bit) !== 0),
  }];
}

/** misa: MXL and a letter for each single-letter extension and supervisor mode, with U for user mode. Hardwired, as WARL allows. */
function misa(hart: Hart): number {
  let letters = 1 << 20;
  const instead = hart.extensions.has("E") ? "I" : "";
  for (const name of hart.extensions) {
    if (name.length === 1 && name !== instead) letters |= 1 << (name.charCodeAt(0) - 65);
  }
  if (["Zba", "Zbb", "Zbs"].every((name) => hart.extensions.has(name as Extension))) letters |= 1 << 1;
  return letters;
}

const MSTATUS_WRITABLE = MSTATUS.MIE | MSTATUS.MPIE | MSTATUS.MPP | MSTATUS.MPRV | MSTATUS.TW;
/** What else can be written where there is supervisor mode. */
const MSTATUS_SUPERVISOR = MSTATUS.SIE | MSTATUS.SPIE | MSTATUS.SPP | MSTATUS.SUM | MSTATUS.MXR | MSTATUS.TVM |
  MSTATUS.TSR;

/** What the meaning of data addresses depends on. */
const MSTATUS_ACCESS = MSTATUS.MPRV | MSTATUS.MPP | MSTATUS.SUM | MSTATUS.MXR;

function mstatus(extensions: ReadonlySet<Extension>): [string, CsrEntry] {
  const at = 2 * CSR.mstatus, supervisor = extensions.has("S"), { SD } = MSTATUS;
  const writable = MSTATUS_WRITABLE | (supervisor ? MSTATUS_SUPERVISOR : 0) | (extensions.has("F") ? MSTATUS.FS : 0);
  return ["mstatus", {
    read: (hart) => {
      const low = hart.csrs[at]!, summary = isStateDirty(low) ? SD : 0;
      HIGH[0] = hart.csrs[at + 1]! | (hart.xlen === 64 ? summary : 0);
      return hart.xlen === 32 ? low | summary : low;
    },
    write: (hart, low) => {
      let mask = writable;
      // MPP is WARL: a level that is not there leaves it as it was.
      const mpp = (low & MSTATUS.MPP) >>> MSTATUS.MPP_SHIFT;
      if (mpp !== MACHINE && mpp !== USER && !(supervisor && mpp === SUPERVISOR)) mask &= ~MSTATUS.MPP;
      const old = hart.csrs[at]!, value = hart.csrs[at] = old & ~mask | low & mask;
      if (((old ^ value) & MSTATUS_ACCESS) !== 0) hart.accessChanged();
      // Kernels disable and enable interrupts all the time.
      if ((value & ~old & (MSTATUS.MIE | MSTATUS.SIE)) !== 0) hart.interruptsChanged();
    },
  }];
}

/** mtvec or stvec: direct or vectored mode, base aligned to 4 bytes. A reserved mode keeps the old one. */
export function trapVector(register: "mtvec" | "stvec"): [string, CsrEntry] {
  const at = 2 * CSR[register];
  const [name, entry] = plain(register, ALL);
  return [name, {
    ...entry,
    write: (hart, low, high) => {
      entry.write(hart, (low & 2) !== 0 ? low & ~3 | hart.csrs[at]! & 3 : low, high);
    },
  }];
}

/** mepc or sepc: a multiple of IALIGN. */
export function exceptionPc(register: "mepc" | "sepc"): [string, CsrEntry] {
  const [name, entry] = plain(register, ALL);
  return [name, {
    ...entry,
    write: (hart, low, high) => entry.write(hart, low & -hart.instructionAlignment, high),
  }];
}

/** menvcfg or senvcfg. `high` are the bits of the upper half that can be written. */
export function environmentConfiguration(
  register: "menvcfg" | "senvcfg",
  extensions: ReadonlySet<Extension>,
  high = 0,
  after?: (hart: Hart) => void,
): [string, CsrEntry] {
  const blocks = extensions.has("Zicbom"), at = 2 * CSR[register];
  const low = ENVCFG.FIOM | (blocks ? ENVCFG.CBIE | ENVCFG.CBCFE : 0) | (extensions.has("Zicboz") ? ENVCFG.CBZE : 0);
  const [name, entry] = plain(register, { low, high }, after);
  return [name, {
    ...entry,
    write: (hart, value, upper) => {
      if ((upper & PMM) === PMM_RESERVED) upper = upper & ~PMM | hart.csrs[at + 1]! & PMM;
      // CBIE 10 is reserved and leaves the field as it was.
      if ((value & ENVCFG.CBIE) === ENVCFG.CBIE_RESERVED) value = value & ~ENVCFG.CBIE | hart.csrs[at]! & ENVCFG.CBIE;
      entry.write(hart, value, upper);
    },
  }];
}

/** mcountinhibit: CY and IR; the hardware performance counters do not count anyway. */
function mcountinhibit(): [string, CsrEntry] {
  const at = 2 * CSR.mcountinhibit;
  return plain("mcountinhibit", { low: 0b101, high: 0 }, (hart) => {
    hart.mcycle.inhibited = (hart.csrs[at]! & 1) !== 0;
    hart.minstret.inhibited = (hart.csrs[at]! & 4) !== 0;
  });
}

/** Everything that a hart with machine and user mode has; `h` registers are only for RV32. */
function machineLevel(xlen: Xlen, extensions: ReadonlySet<Extension>): [string, CsrEntry][] {
  const zero = () => 0;
  const cycle = counter("mcycle", (hart) => hart.mcycle);
  const instret = counter("minstret", (hart) => hart.minstret);
  const numbered = Array.from({ length: 29 }, (_, k) => k + 3);
  const timeLow: CsrEntry = {
    read: (hart) => {
      HIGH[0] = hart.time.timeHigh();
      return hart.time.timeLow();
    },
    write: () => {},
  };
  const timeHigh: CsrEntry = { read: (hart) => hart.time.timeHigh(), write: () => {} };
  const zeroEntry: CsrEntry = constant("", zero)[1];
  const supervisor = extensions.has("S"), environment = writableEnvironment(extensions);
  const environmentChanged = (hart: Hart) => hart.environmentChanged();

  const entries: [string, CsrEntry][] = [
    constant("mvendorid", zero),
    constant("marchid", zero),
    constant("mimpid", zero),
    constant("mhartid", (hart) => hart.id),
    constant("mconfigptr", zero),
    mstatus(extensions),
    xlen === 32 ? constant("misa", (hart) => misa(hart) | 1 << 30) : constant("misa", misa, () => 2 << 30),
    plain(
      "mie",
      { low: MACHINE_INTERRUPTS | (supervisor ? SUPERVISOR_INTERRUPTS : 0), high: 0 },
      (hart) => hart.interruptsChanged(),
    ),
    // MSIP, MTIP and MEIP are wires: software cannot write them here. SEIP is a wire beside the bit that software writes.
    ["mip", {
      read: (hart) => {
        HIGH[0] = 0;
        return hart.pending();
      },
      stored: (hart) => hart.csrs[2 * CSR.mip]!,
      write: (hart, low) => {
        let mask = supervisor ? SUPERVISOR_INTERRUPTS : 0;
        if (hart.timerCompared) mask &= ~(1 << INTERRUPT.supervisorTimer);
        hart.csrs[2 * CSR.mip] = hart.csrs[2 * CSR.mip]! & ~mask | low & mask;
        hart.interruptsChanged();
      },
    }],
    trapVector("mtvec"),
    plain("mcounteren", { low: -1, high: 0 }),
    environmentConfiguration("menvcfg", extensions, environment, environmentChanged),
    mcountinhibit(),
    plain("mscratch", ALL),
    exceptionPc("mepc"),
    plain("mcause", ALL),
    plain("mtval", ALL),
    ...cycle,
    ...instret,
    ...numbered.flatMap((n): [string, CsrEntry][] => [
      [`mhpmcounter${n}`, zeroEntry],
      [`mhpmcounter${n}h`, zeroEntry],
      [`mhpmevent${n}`, zeroEntry],
    ]),
  ];
  if (xlen === 32) {
    entries.push(upper("mstatush", "mstatus", 0), upper("menvcfgh", "menvcfg", environment, environmentChanged));
  }
  const inX = hasFloatsInX(extensions);
  if (extensions.has("F") || inX) entries.push(...floatCsrs(inX));
  // Mode 0, jumps by a table, is the only one; a write of another keeps it, as the manual's WARL field may.
  if (extensions.has("Zcmt")) entries.push(plain("jvt", { low: -64, high: -1 }));
  if (extensions.has("Zicntr")) {
    entries.push(
      shadow("cycle", cycle[0]![1], 0),
      shadow("cycleh", cycle[1]![1], 0),
      shadow("time", timeLow, 1),
      shadow("timeh", timeHigh, 1),
      shadow("instret", instret[0]![1], 2),
      shadow("instreth", instret[1]![1], 2),
    );
  }
  if (extensions.has("Zihpm")) {
    for (const n of numbered) {
      entries.push(shadow(`hpmcounter${n}`, zeroEntry, n), shadow(`hpmcounter${n}h`, zeroEntry, n));
    }
  }
  return entries;
}

/** The fields of the upper half of menvcfg that there are. */
function writableEnvironment(extensions: ReadonlySet<Extension>): number {
  return (extensions.has("Svadu") ? MENVCFG_HIGH.ADUE : 0) | (extensions.has("Svpbmt") ? MENVCFG_HIGH.PBMTE : 0) |
    (extensions.has("Sstc") ? MENVCFG_HIGH.STCE : 0) | (extensions.has("Smnpm") ? PMM : 0);
}

/** RV32's numbers for upper halves. */
const UPPER_HALF = /^(m?(cycle|instret|time|hpmcounter\d+)|mstatus|menvcfg|mseccfg|stimecmp)h$/;

/** The CSRs of a hart, by number: those of machine mode, and `others`, with what `restrict` makes of them. */
export function csrEntries(
  xlen: Xlen,
  extensions: ReadonlySet<Extension>,
  restrict: (entries: [string, CsrEntry][]) => [string, CsrEntry][],
  others: readonly [string, CsrEntry][],
): (CsrEntry | undefined)[] {
  const table = new Array<CsrEntry | undefined>(4096).fill(undefined);
  if (!extensions.has("Zicsr")) return table;
  for (const [name, entry] of restrict([...machineLevel(xlen, extensions), ...others])) {
    if (xlen === 64 && UPPER_HALF.test(name)) continue;
    const number = CSR_NUMBERS[name];
    if (number === undefined) throw new Error(`CSR ${name} has no number`);
    // All have one shape, which V8 likes.
    table[number] = { read: entry.read, write: entry.write, stored: entry.stored, allowed: entry.allowed };
  }
  return table;
}

/** Sets the CSRs to their reset values: all 0 but for the fields that are read-only and not 0. */
export function resetCsrs(hart: Hart): void {
  hart.csrs.fill(0);
  const supervisor = hart.extensions.has("S");
  if (hart.xlen === 64) hart.csrs[2 * CSR.mstatus + 1] = supervisor ? 2 << 2 | 2 : 2; // SXL, UXL
  // Hardware updates A and D (unless there is Svade, too), and PTEs may hold memory types, until software says otherwise, as in
  // QEMU.
  const off = MENVCFG_HIGH.STCE | PMM | (hart.extensions.has("Svade") ? MENVCFG_HIGH.ADUE : 0);
  hart.csrs[2 * CSR.menvcfg + 1] = writableEnvironment(hart.extensions) & ~off;
  resetSecurity(hart);
  hart.mcycle.reset();
  hart.minstret.reset();
}
