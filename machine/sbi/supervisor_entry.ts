// The state in which supervisor mode is entered: what the specification demands of hart_start (chapter "Hart State Management
// Extension"), and for the rest what OpenSBI 1.1 and 1.6 leave, read at their kernels' first instruction.

import { CSR, SUPERVISOR_INTERRUPTS } from "../../hart/csr.ts";
import type { Hart } from "../../hart/hart.ts";
import { PMM } from "../../hart/pointer_masking.ts";
import { ENVCFG, MENVCFG_HIGH, MSTATUS } from "../../hart/status.ts";
import { CAUSE, INTERRUPT, SUPERVISOR } from "../../hart/trap.ts";
import { CSR_NUMBERS } from "../../isa/csr_names.ts";

/** Exceptions that S-mode gets directly. The others go through the firmware, which passes them on. */
const DELEGATED = [
  ...[CAUSE.instructionMisaligned, CAUSE.breakpoint, CAUSE.ecallFromU],
  ...[CAUSE.instructionPage, CAUSE.loadPage, CAUSE.storePage],
].reduce<number>((bits, cause) => bits | 1 << cause, 0);

const A0 = 10, A1 = 11;
/** cycle, time and instret for user mode. */
const COUNTERS = 7n;
/** A region of all addresses (NAPOT) that can be read, written and executed. */
const PMP_OPEN = 0x1fn;

/** Sets what belongs to machine mode, after a reset. */
export function configureMachineMode(hart: Hart): void {
  const set = (name: string, value: bigint) => hart.writeCsr(CSR_NUMBERS[name]!, value);
  set("medeleg", BigInt(DELEGATED));
  set("mideleg", BigInt(SUPERVISOR_INTERRUPTS));
  set("mcounteren", -1n);
  // Everything that there is but masked pointers: cache blocks, Sstc, memory types in page tables; A and D bits by hardware unless Svade says otherwise.
  const low = BigInt(ENVCFG.CBIE | ENVCFG.CBCFE | ENVCFG.CBZE);
  const high = BigInt(~(PMM | (hart.extensions.has("Svade") ? MENVCFG_HIGH.ADUE : 0)));
  set("menvcfg", hart.xlen === 64 ? high << 32n | low : low);
  if (hart.xlen === 32) set("menvcfgh", high);
  for (const number of [0, 1, 2, 3]) {
    set(`mstateen${number}`, -1n);
    if (hart.xlen === 32) set(`mstateen${number}h`, -1n);
  }
  if (hart.hasPmp) {
    set("pmpaddr0", -1n);
    set("pmpcfg0", PMP_OPEN);
  }
}

/** Puts a hart into supervisor mode at a physical address, with its number in a0 and `opaque` in a1. */
export function enterSupervisor(hart: Hart, pc: bigint, opaque: bigint): void {
  hart.x.fill(0);
  hart.f.fill(0);
  hart.csrs[2 * CSR.mip]! &= ~(1 << INTERRUPT.supervisorSoftware);
  hart.compareTimer(-1, -1);
  hart.writeCsr(CSR.mie, 0n);
  hart.writeCsr(CSR.scounteren, COUNTERS);
  hart.writeCsr(CSR_NUMBERS.senvcfg!, 0n);
  hart.stopped = false;
  // OpenSBI turns the floating-point unit on.
  hart.writeCsr(CSR.mstatus, BigInt(MSTATUS.FS));
  prepareResume(hart, pc, opaque);
}

/** The part of it that a hart finds which resumes from a suspension without its state. */
export function prepareResume(hart: Hart, pc: bigint, opaque: bigint): void {
  hart.writeX(A0, BigInt(hart.id));
  hart.writeX(A1, opaque);
  hart.writeCsr(CSR.satp, 0n);
  hart.writeCsr(CSR.stvec, pc);
  hart.writeCsr(CSR_NUMBERS.sscratch!, 0n);
  hart.writeCsr(CSR.mstatus, BigInt(hart.csrs[2 * CSR.mstatus]! & ~MSTATUS.SIE));
  hart.reservation = -1;
  hart.setPrivilege(SUPERVISOR);
  hart.pc = pc;
}
