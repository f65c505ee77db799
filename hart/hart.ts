// One hardware thread: its architectural state and what traps, returns from traps and waiting do to it.

import { type Extension, withImplied } from "../isa/extensions.ts";
import type { Xlen } from "../isa/instruction.ts";
import { type Count, IN_REGION, PAGE_OFFSET, PC_HIGH, RECORD } from "./counter.ts";
import { give, HIGH, sumHigh, unsigned64 } from "../isa/pair.ts";
import { PAUSE } from "../isa/rv_i.ts";
import { CSR, csrEntries, type CsrEntry, resetCsrs } from "./csr.ts";
import { HardwareCounter } from "./hardware_counter.ts";
import type { PhysicalMemory } from "./memory.ts";
import { EXECUTE, Pmp, pmpEntries } from "./pmp.ts";
import { isSemihostingCall, type SemihostingHost } from "./semihosting.ts";
import { MENVCFG_HIGH, MSTATUS } from "./status.ts";
import { securityEntries } from "./security.ts";
import { hasPointerMasking, maskedBits, withoutMasked } from "./pointer_masking.ts";
import { restricted, stateEnableEntries } from "./state_enable.ts";
import { supervisorLevel } from "./supervisor.ts";
import { tlbBase } from "./tlb.ts";
import { Translation } from "./translation.ts";
import { triggerEntries, Triggers, triggersReturned, triggersTrapped } from "./triggers.ts";
import type { Watchpoints } from "./watchpoints.ts";
import {
  CAUSE,
  type Exception,
  exceptionOf,
  INTERPRET,
  INTERRUPT,
  MACHINE,
  PRIVILEGE_LETTERS,
  raise,
  SUPERVISOR,
  USER,
} from "./trap.ts";

/** Index into `Hart.access`: `fetchKey` of the privilege level. */
export const FETCH_KEY = 1;

/** By what tables of pages of instructions tell privilege levels apart: never 0, and below the bits of a page's address. */
export function fetchKey(privilege: number): number {
  return privilege << 1 | 1;
}

/** Number of the register that writes to x0 go to. */
export const SINK = 32;

/** The order in which simultaneous interrupts are taken (privileged manual, "Machine Interrupt Registers"). */
const INTERRUPT_ORDER = [
  INTERRUPT.machineExternal,
  INTERRUPT.machineSoftware,
  INTERRUPT.machineTimer,
  INTERRUPT.supervisorExternal,
  INTERRUPT.supervisorSoftware,
  INTERRUPT.supervisorTimer,
];

/** Where the `time` CSR comes from: the CLINT's mtime. */
export interface TimeSource {
  /** Low half of mtime as an int32. */
  timeLow(): number;
  /** High half of mtime as an int32. */
  timeHigh(): number;
}

/** What stands in for machine-mode firmware below supervisor mode. */
export interface ExecutionEnvironment {
  /**
   * Answers an ECALL from S-mode; pc is at the instruction that follows. May raise an exception, which is the ECALL's.
   */
  call(hart: Hart): void;
  /**
   * Told of an exception that is not delegated, with the low half of its value. True if it did the instruction's work and moved
   * pc; otherwise S-mode gets the exception.
   */
  emulates(hart: Hart, cause: number, value: number, pcLow: number, pcHigh: number): boolean;
}

/** The comparison of mtime with stimecmp. */
export interface TimeComparator {
  /** Sets what mtime is compared with; the comparator tells the hart's `timerReached` at once and at every change. */
  compare(low: number, high: number): void;
}

/**
 * What a trap was, for whoever wants to know (logs, hooks, failure reports).
 *
 * @example
 * ```ts
 * import { Machine, type TrapRecord } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const traps: TrapRecord[] = [];
 * machine.onTrap = (trap) => traps.push(trap);
 * await machine.run();
 * console.log(traps.filter(({ interrupt }) => interrupt).length, "interrupts");
 * ```
 */
export interface TrapRecord {
  /** Exception or interrupt code, as in xcause without its highest bit. */
  readonly cause: number;
  /** True for an interrupt. */
  readonly interrupt: boolean;
  /** Low half (int32) of the address that went into xepc. */
  readonly pcLow: number;
  /** High half of it. */
  readonly pcHigh: number;
  /** Low half (int32) of what went into xtval. */
  readonly valueLow: number;
  /** High half of it. */
  readonly valueHigh: number;
  /** Privilege level before the trap: 0 U, 1 S, 3 M. */
  readonly fromPrivilege: number;
  /** Privilege level that handles it. */
  readonly toPrivilege: number;
}

/** What happens to the values of a CSR when an instruction reads or writes it. */
export interface CsrHook {
  /** Gives what is read instead; low half, with the high half in HIGH[0]. */
  read(hart: Hart, low: number, high: number): number;
  /** Gives what is written instead. */
  write(hart: Hart, low: number, high: number): number;
}

/** What a hart is made of. */
export interface HartOptions {
  readonly id: number;
  readonly xlen: Xlen;
  readonly extensions: Iterable<Extension>;
  readonly count: Count;
  readonly memory: PhysicalMemory;
  /** Whether it has physical memory protection; true where absent. */
  readonly pmp?: boolean;
  /** Bits of the largest virtual addresses, 0 for none; all there can be where absent. */
  readonly addressBits?: number;
}

/** A hart. Wide values are pairs of int32: fields `…Low` and `…High`. */
export class Hart {
  /** mhartid. */
  readonly id: number;
  readonly xlen: Xlen;
  readonly extensions: ReadonlySet<Extension>;
  readonly count: Count;
  readonly memory: PhysicalMemory;
  /**
   * Integer registers: word n of x[n] on RV32, words 2n (low) and 2n+1 on RV64. Longer than that, so that an index of one
   * byte is always inside and V8 needs no bounds check. x0 stays 0; `SINK` takes writes to it.
   */
  readonly x: Int32Array;
  /** Floating-point registers f0 to f31: words 2n (low) and 2n+1. */
  readonly f: Int32Array;
  /** The same as double-precision numbers: f[n] is element n. */
  readonly doubles: Float64Array;
  /** The same as single-precision numbers: the one in f[n] is element 2n. */
  readonly singles: Float32Array;
  /** Words of the plain CSRs: 2·number (low) and 2·number+1. */
  readonly csrs: Int32Array;
  /** What exists at each CSR number. */
  readonly csrTable: readonly (CsrEntry | undefined)[];
  /** Program counter between instructions. */
  pcLow = 0;
  pcHigh = 0;
  /** Current privilege level: 0 U, 1 S, 3 M. */
  privilege: number = MACHINE;
  /** Interrupt wires from outside, as bits of mip. */
  lines = 0;
  /** Who answers semihosting calls; null: they are breakpoints as any other. */
  semihosting: SemihostingHost | null = null;
  /** While true, a debugger lets only others execute. */
  held = false;
  /** While true, no interrupt is taken, whatever is pending: a debugger steps. */
  holdsInterrupts = false;
  /** True from WFI until an interrupt is pending. */
  waiting = false;
  /** True while no interrupt can make it execute: it was not started, or has stopped (SBI, "Hart State Management"). */
  stopped = false;
  /** Answers what would otherwise go to machine mode; null where that is for the guest's own code. */
  environment: ExecutionEnvironment | null = null;
  /** Address of the reservation of LR, or -1. */
  reservation = -1;
  readonly mcycle: HardwareCounter;
  readonly minstret: HardwareCounter;
  /** Instructions that were counted but trapped, so did not retire. */
  trapped = 0;
  /** The machine's other harts. */
  others: readonly Hart[] = [];
  /** Whether it is this hart's turn to execute. */
  isRunning = true;
  /** Instructions of other harts, up to the start of this hart's turn. */
  #others = 0;
  /** The machine's count when the last turn ended. */
  #suspendedAt = 0;
  /** mtime, once there is a CLINT. */
  time: TimeSource = { timeLow: () => 0, timeHigh: () => 0 };
  /** Compares mtime with stimecmp, once there is a CLINT. */
  supervisorTimer: TimeComparator = { compare: () => {} };
  /** Whether STIP is the result of that comparison (menvcfg.STCE). */
  timerCompared = false;
  #timerReached = false;
  /** Physical memory protection. */
  readonly pmp: Pmp = new Pmp();
  readonly hasPmp: boolean;
  /** Bits of the largest virtual addresses: 32 on RV32, 39, 48 or 57 on RV64; 0 if addresses are never translated. */
  readonly addressBits: number;
  readonly translation: Translation;
  readonly triggers: Triggers;
  /**
   * What generated code that is interpreted needs to know of the present access rights: word 0 is where the entries of the
   * data's privilege level begin in the translation look-aside buffers, `FETCH_KEY` the privilege level of instructions.
   */
  readonly access: Int32Array;
  /**
   * True while addresses of instructions and data are physical and nothing may be refused: then generated code reaches RAM
   * directly. A change ends the slice after the current instruction.
   */
  bare = true;
  /** Who watches loads and stores; null if nobody does. */
  watchpoints: Watchpoints | null = null;
  /** Whether loads are watched, so that the look-aside buffers must be asked. */
  watchesLoads = false;
  /** Whether upper bits of addresses may be masked. */
  readonly #masksPointers: boolean;
  /** SUM and MXR of mstatus, which the remembered translations hold for. */
  #accessedWith = 0;
  /** Called with each CSR instruction of certain CSRs, by number; null if there are none. */
  csrHooks: ReadonlyMap<number, CsrHook> | null = null;
  /**
   * Called before a trap is taken, with pc where it comes; false: it is not taken, and execution goes on at pc (an interrupt that
   * is refused so is not offered again before another interrupt is raised or may have become enabled).
   */
  trapHook: ((trap: TrapRecord) => boolean) | null = null;
  /** Interrupts that were refused. */
  #refused = 0;
  /** Called with every exception, before it is taken, with pc at its instruction. */
  onException: ((cause: number, valueLow: number, valueHigh: number) => void) | null = null;
  /** Called when an instruction jumps to itself; true if the slice is to end after it. */
  onSelfJump: (() => boolean) | null = null;
  /** How often it has returned from a trap; the count of instructions at the last time, and the low half of where to. */
  returns = 0;
  returnedAt = -1;
  returnedLow = 0;
  /** Called at every trap taken. */
  onTrap: ((trap: TrapRecord) => void) | null = null;
  /**
   * Called when virtual addresses of instructions may mean other physical ones than before, or may not be executed: all of
   * them, or those in the page of an address.
   */
  onFetchChange: (low?: number, high?: number) => void = () => {};

  constructor(options: HartOptions) {
    this.id = options.id;
    this.xlen = options.xlen;
    this.extensions = withImplied(options.extensions);
    this.count = options.count;
    this.memory = options.memory;
    const { ram } = options.memory;
    this.x = ram.words(288);
    this.f = ram.words(288);
    this.csrs = ram.words(2 * 4096);
    this.access = ram.words(32);
    this.doubles = new Float64Array(this.f.buffer, this.f.byteOffset, 144);
    this.singles = new Float32Array(this.f.buffer, this.f.byteOffset, 288);
    this.translation = new Translation(this);
    this.triggers = new Triggers(this);
    this.#masksPointers = hasPointerMasking(this);
    this.mcycle = new HardwareCounter(() => this.count.cycles());
    this.minstret = new HardwareCounter(() => this.executed - this.trapped);
    this.hasPmp = options.pmp ?? true;
    this.addressBits = this.extensions.has("S") ? options.addressBits ?? (this.xlen === 32 ? 32 : 57) : 0;
    const restrict = (entries: [string, CsrEntry][]) => restricted(entries, this.extensions);
    this.csrTable = csrEntries(this.xlen, this.extensions, restrict, [
      ...supervisorLevel(this.extensions),
      ...(this.hasPmp ? pmpEntries(this.xlen) : []),
      ...securityEntries(this.extensions, this.hasPmp),
      ...triggerEntries(this.extensions, this.xlen),
      ...stateEnableEntries(this.extensions, this.xlen),
    ]);
    this.reset();
  }

  /** Alignment of instructions in bytes (IALIGN / 8). */
  get instructionAlignment(): 2 | 4 {
    return this.extensions.has("Zca") ? 2 : 4;
  }

  /** Reset state (privileged manual, "Reset"); registers are cleared. The machine sets pc. */
  reset(): void {
    this.x.fill(0);
    this.f.fill(0);
    this.privilege = MACHINE;
    this.waiting = this.stopped = false;
    this.reservation = -1;
    this.trapped = 0;
    resetCsrs(this);
    this.pmp.reset();
    this.triggers.reset();
    this.timerCompared = false;
    this.lines &= ~(1 << INTERRUPT.supervisorTimer);
    // Its reset value is unspecified: this one makes no interrupt pending.
    this.writeCsr(CSR.stimecmp, -1n);
    if (this.xlen === 32) this.writeCsr(CSR.stimecmph, -1n);
    this.translationChanged();
  }

  // Turns.

  /** Instructions that this hart has begun before the current one. */
  get executed(): number {
    return (this.isRunning ? this.count.instructions() : this.#suspendedAt) - this.#others;
  }
  /** Ends its turn. */
  suspend(): void {
    this.#suspendedAt = this.count.instructions();
    this.isRunning = false;
  }
  /** Begins its turn. */
  resume(): void {
    this.#others += this.count.instructions() - this.#suspendedAt;
    this.isRunning = true;
  }
  /** Gives up the rest of its turn, after the current instruction, if another hart can execute. */
  yield(): void {
    if (this.others.length === 0 || !this.others.some((hart) => hart.isReady)) return;
    this.count.yields = true;
    this.count.stop();
  }
  /** Whether it can execute: it was started, no debugger holds it, and it does not wait, or an interrupt is about to end that. */
  get isReady(): boolean {
    if (this.held || this.stopped) return false;
    return !this.waiting || (this.pending() & this.csrs[2 * CSR.mie]!) !== 0;
  }
  /** Ends waiting if it can execute; whether it can. */
  wakes(): boolean {
    if (!this.isReady) return false;
    this.waiting = false;
    return true;
  }

  // What the meaning of addresses depends on.

  /** To be called after a change of the privilege level or of mstatus. */
  accessChanged(): void {
    const data = this.translation.dataPrivilege;
    this.access[0] = tlbBase(data);
    this.access[FETCH_KEY] = fetchKey(this.privilege);
    const masked = this.#masksPointers && maskedBits(this, data) > 0;
    const bare = !this.watchesLoads && !this.triggers.watchesData && !masked && !this.#restricted(this.privilege) &&
      (data === this.privilege || !this.#restricted(data));
    if (bare !== this.bare) {
      this.bare = bare;
      this.count.stop();
    }
    // Nothing that was remembered is used meanwhile, and all of it may be good again afterwards.
    if (bare) return;
    const bits = this.csrs[2 * CSR.mstatus]! & (MSTATUS.SUM | MSTATUS.MXR), lost = this.#accessedWith & ~bits;
    const gained = this.#masksPointers && (bits & ~this.#accessedWith & MSTATUS.MXR) !== 0;
    if ((lost & MSTATUS.MXR) !== 0 || gained) this.translation.buffers.flush();
    else if (lost !== 0) this.translation.buffers.flushUser();
    this.#accessedWith = bits;
  }

  /** High half of a data address as exceptions report it: without masked bits. */
  reportedHigh(high: number): number {
    if (!this.#masksPointers) return high;
    const data = this.translation.dataPrivilege;
    return withoutMasked(high, maskedBits(this, data), this.translation.isVirtual(data));
  }

  /** Whether addresses of a privilege level are virtual, or PMP may refuse some. */
  #restricted(privilege: number): boolean {
    return this.translation.isVirtual(privilege) || (this.hasPmp && this.pmp.restricts(privilege));
  }

  /** To be called after a change of satp, and of everything else that all translations depend on. */
  translationChanged(): void {
    this.translation.buffers.flush();
    this.onFetchChange();
    this.accessChanged();
    // The next instruction's address may already mean something else.
    this.count.stop();
  }
  /** To be called after a change of PMP entries. */
  protectionChanged(): void {
    this.translationChanged();
  }
  /** To be called after a change of menvcfg. */
  environmentChanged(): void {
    this.translationChanged();
    this.timerCompared = (this.csrs[2 * CSR.menvcfg + 1]! & MENVCFG_HIGH.STCE) !== 0;
    if (this.timerCompared) this.csrs[2 * CSR.mip]! &= ~(1 << INTERRUPT.supervisorTimer);
    this.setLine(INTERRUPT.supervisorTimer, this.timerCompared && this.#timerReached);
  }
  /** Sets what mtime is compared with for the supervisor timer interrupt, whether or not there is a stimecmp. */
  compareTimer(low: number, high: number): void {
    this.timerCompared = true;
    if (!this.extensions.has("Sstc")) return this.supervisorTimer.compare(low, high);
    this.csrs[2 * CSR.stimecmp] = low;
    this.csrs[2 * CSR.stimecmp + 1] = high;
    this.supervisorTimer.compare(low, high);
  }
  /** Told by the comparator: whether mtime has reached stimecmp. */
  timerReached(reached: boolean): void {
    this.#timerReached = reached;
    this.setLine(INTERRUPT.supervisorTimer, this.timerCompared && reached);
  }

  // Registers as scripts see them.

  /** Set where a script or debugger changes a register or CSR: compiled code that called it has older values. */
  touched = false;

  /** Value of an integer register, unsigned. */
  readX(n: number): bigint {
    if (this.xlen === 32) return BigInt(this.x[n]! >>> 0);
    return BigInt(this.x[2 * n + 1]! >>> 0) << 32n | BigInt(this.x[2 * n]! >>> 0);
  }
  /** Sets an integer register; x0 stays 0. The value is taken modulo 2^XLEN. */
  writeX(n: number, value: bigint): void {
    if (n === 0) return;
    this.touched = true;
    if (this.xlen === 32) this.x[n] = Number(BigInt.asIntN(32, value));
    else {
      this.x[2 * n] = Number(BigInt.asIntN(32, value));
      this.x[2 * n + 1] = Number(BigInt.asIntN(32, value >> 32n));
    }
  }
  /** The 64 bits of a floating-point register, unsigned. */
  readF(n: number): bigint {
    return unsigned64(this.f[2 * n]!, this.f[2 * n + 1]!);
  }
  /** Sets the 64 bits of a floating-point register; mstatus.FS stays as it is. */
  writeF(n: number, value: bigint): void {
    this.touched = true;
    this.f[2 * n] = give(value);
    this.f[2 * n + 1] = HIGH[0]!;
  }
  /** Program counter, unsigned. */
  get pc(): bigint {
    const low = BigInt(this.pcLow >>> 0);
    return this.xlen === 32 ? low : BigInt(this.pcHigh >>> 0) << 32n | low;
  }
  set pc(value: bigint) {
    this.setPc(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
    this.waiting = false;
  }
  setPc(low: number, high: number): void {
    this.pcLow = low;
    this.pcHigh = this.xlen === 32 ? 0 : high;
  }

  /** Sets pc to the instruction that the interpreter is executing. */
  locate(): void {
    const { state } = this.count;
    this.setPc((state[PAGE_OFFSET]! + 2 * state[RECORD]!) | 0, state[PC_HIGH]!);
  }

  // CSRs.

  /** mip: the wires and the bits that software set. */
  pending(): number {
    return this.lines | this.csrs[2 * CSR.mip]!;
  }

  /** Drives an interrupt wire; `bit` is the interrupt's code. */
  setLine(bit: number, level: boolean): void {
    const lines = level ? this.lines | 1 << bit : this.lines & ~(1 << bit);
    if (lines === this.lines) return;
    this.lines = lines;
    this.#refused &= ~(1 << bit);
    if (level) this.interruptsChanged();
  }

  /**
   * To be called when an interrupt may have become takeable: it is taken before the next instruction. If another hart is
   * executing, that one's turn ends.
   */
  interruptsChanged(): void {
    this.#refused = 0;
    if (this.#takeable() === 0 && !this.waiting) return;
    if (!this.isRunning) this.count.yields = true;
    this.count.stop();
  }

  /** Whether an interrupt is enabled that would be taken in the present mode, were it pending. */
  canBeInterrupted(): boolean {
    const enabled = this.csrs[2 * CSR.mie]!, delegated = this.csrs[2 * CSR.mideleg]!;
    const status = this.csrs[2 * CSR.mstatus]!;
    if ((enabled & ~delegated) !== 0 && (this.privilege < MACHINE || (status & MSTATUS.MIE) !== 0)) return true;
    const supervisor = this.privilege < SUPERVISOR || (this.privilege === SUPERVISOR && (status & MSTATUS.SIE) !== 0);
    return supervisor && (enabled & delegated) !== 0;
  }
  /** Whether an interrupt is enabled that would end waiting. */
  hasEnabledInterrupts(): boolean {
    return this.csrs[2 * CSR.mie] !== 0;
  }

  /** The pending interrupts that would be taken now, if they are of the highest privilege level among them. */
  #takeable(): number {
    // All of it each time: V8 throws optimised code away that comes to a part it has not executed before.
    const { csrs, privilege } = this, status = csrs[2 * CSR.mstatus]!, delegated = csrs[2 * CSR.mideleg]!;
    const ready = this.holdsInterrupts ? 0 : this.pending() & csrs[2 * CSR.mie]! & ~this.#refused;
    const machineEnabled = (status & MSTATUS.MIE) !== 0, supervisorEnabled = (status & MSTATUS.SIE) !== 0;
    const toMachine = privilege < MACHINE || machineEnabled ? ready & ~delegated : 0;
    const toSupervisor = privilege < SUPERVISOR || (privilege === SUPERVISOR && supervisorEnabled)
      ? ready & delegated
      : 0;
    return toMachine !== 0 ? toMachine : toSupervisor;
  }

  /**
   * Executes a CSR instruction: `operation` 1 write, 2 set, 3 clear. Returns the old value (its high half in HIGH[0]) if
   * `reads`. Raises an illegal-instruction exception where the CSR does not exist or the privilege does not suffice.
   */
  csr(operation: number, number: number, low: number, high: number, reads: number, writes: number): number {
    const entry = this.csrTable[number];
    if (
      entry === undefined || (number >> 8 & 3) > this.privilege || (writes !== 0 && number >> 10 === 3) ||
      (entry.allowed !== undefined && !entry.allowed(this, writes !== 0))
    ) raise(CAUSE.illegalInstruction, 0, 0);
    // A write never depends on whether the old value is wanted, except that a read must have no side effects then.
    const hook = this.csrHooks?.get(number);
    if (hook !== undefined) {
      if (this.count.state[IN_REGION] !== 0) throw INTERPRET;
      this.locate();
    }
    let oldLow = reads !== 0 || operation !== 1 ? entry.read(this) : 0, oldHigh = HIGH[0]!;
    if (hook !== undefined && reads !== 0) {
      oldLow = hook.read(this, oldLow, oldHigh);
      oldHigh = HIGH[0]!;
    }
    if (writes !== 0) {
      const stored = operation === 1 ? 0 : entry.stored?.(this) ?? oldLow;
      if (operation === 2) low |= stored, high |= oldHigh;
      else if (operation === 3) low = stored & ~low, high = oldHigh & ~high;
      if (hook !== undefined) {
        low = hook.write(this, low, high);
        high = HIGH[0]!;
      }
      entry.write(this, low, high);
    }
    HIGH[0] = oldHigh;
    return oldLow;
  }

  /** Value of a CSR by number, without side effects or checks; undefined where it does not exist. */
  readCsr(number: number): bigint | undefined {
    const entry = this.csrTable[number];
    if (entry === undefined) return undefined;
    const low = entry.read(this);
    return this.xlen === 32 ? BigInt(low >>> 0) : BigInt(HIGH[0]! >>> 0) << 32n | BigInt(low >>> 0);
  }
  /** Writes a CSR by number as CSRRW in M-mode would; false where it does not exist or is read-only. */
  writeCsr(number: number, value: bigint): boolean {
    const entry = this.csrTable[number];
    if (entry === undefined || number >> 10 === 3) return false;
    this.touched = true;
    entry.write(this, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
    return true;
  }

  // Traps.

  /** Takes an exception raised by the instruction at `pc`. */
  exception(e: Exception, pcLow: number, pcHigh: number): void {
    this.trapped++;
    this.#trap(e.cause, false, pcLow, pcHigh, e.valueLow, e.valueHigh);
  }

  /** Takes the pending enabled interrupt of highest priority, if any. Ends waiting if one is pending and enabled. */
  takeInterrupt(): boolean {
    const ready = this.pending() & this.csrs[2 * CSR.mie]!;
    if (ready === 0) return false;
    this.waiting = false;
    const takeable = this.#takeable();
    if (takeable === 0) return false;
    for (const code of INTERRUPT_ORDER) {
      if ((takeable & 1 << code) === 0) continue;
      this.#trap(code, true, this.pcLow, this.pcHigh, 0, 0);
      return true;
    }
    return false;
  }

  #trap(
    cause: number,
    interrupt: boolean,
    pcLow: number,
    pcHigh: number,
    valueLow: number,
    valueHigh: number,
  ): void {
    const c = this.csrs, from = this.privilege;
    if (this.trapHook !== null && !this.#mayTrap(cause, interrupt, pcLow, pcHigh, valueLow, valueHigh)) return;
    if (!interrupt) this.onException?.(cause, valueLow, valueHigh);
    const delegated = c[2 * (interrupt ? CSR.mideleg : CSR.medeleg)]! >>> cause & 1;
    let to = from < MACHINE && delegated !== 0 ? SUPERVISOR : MACHINE;
    if (to === MACHINE && from < MACHINE && !interrupt && this.environment !== null) {
      // An instruction whose work is done has retired.
      this.trapped--;
      if (this.environment.emulates(this, cause, valueLow, pcLow, pcHigh)) return;
      this.trapped++;
      to = SUPERVISOR;
    }
    const machine = to === MACHINE;
    const epc = 2 * (machine ? CSR.mepc : CSR.sepc), xcause = 2 * (machine ? CSR.mcause : CSR.scause);
    const tval = 2 * (machine ? CSR.mtval : CSR.stval), tvec = 2 * (machine ? CSR.mtvec : CSR.stvec);
    const top = interrupt ? 1 << 31 : 0;
    c[epc] = pcLow, c[epc + 1] = pcHigh;
    c[xcause] = this.xlen === 32 ? cause | top : cause;
    c[xcause + 1] = this.xlen === 32 ? 0 : top;
    c[tval] = valueLow, c[tval + 1] = this.xlen === 32 ? 0 : valueHigh;
    const status = c[2 * CSR.mstatus]!;
    if (machine) {
      triggersTrapped(this);
      const enabled = (status & MSTATUS.MIE) !== 0 ? MSTATUS.MPIE : 0;
      c[2 * CSR.mstatus] = status & ~(MSTATUS.MIE | MSTATUS.MPIE | MSTATUS.MPP) | enabled | from << MSTATUS.MPP_SHIFT;
    } else {
      const enabled = (status & MSTATUS.SIE) !== 0 ? MSTATUS.SPIE : 0;
      c[2 * CSR.mstatus] = status & ~(MSTATUS.SIE | MSTATUS.SPIE | MSTATUS.SPP) | enabled |
        (from === SUPERVISOR ? MSTATUS.SPP : 0);
    }
    const base = c[tvec]!;
    const low = base & ~3, offset = interrupt && (base & 1) !== 0 ? 4 * cause : 0;
    this.setPrivilege(to);
    this.waiting = false;
    this.setPc((low + offset) | 0, c[tvec + 1]! + ((low >>> 0) + offset > 0xffffffff ? 1 : 0));
    if (this.onTrap !== null) {
      this.onTrap({
        cause,
        interrupt,
        pcLow,
        pcHigh,
        valueLow,
        valueHigh,
        fromPrivilege: from,
        toPrivilege: to,
      });
    }
  }

  /** Asks the hook whether a trap is to be taken. */
  #mayTrap(
    cause: number,
    interrupt: boolean,
    pcLow: number,
    pcHigh: number,
    valueLow: number,
    valueHigh: number,
  ): boolean {
    const fromPrivilege = this.privilege;
    const delegated = this.csrs[2 * (interrupt ? CSR.mideleg : CSR.medeleg)]! >>> cause & 1;
    const toPrivilege = fromPrivilege < MACHINE && delegated !== 0 ? SUPERVISOR : MACHINE;
    const trap = { cause, interrupt, pcLow, pcHigh, valueLow, valueHigh, fromPrivilege, toPrivilege };
    if (this.trapHook!(trap)) return true;
    if (interrupt) this.#refused |= 1 << cause;
    return false;
  }

  /** Changes the privilege level. */
  setPrivilege(privilege: number): void {
    this.privilege = privilege;
    this.accessChanged();
  }

  /** Letter of the current privilege level. */
  get privilegeLetter(): string {
    return PRIVILEGE_LETTERS[this.privilege]!;
  }

  // Instructions after which execution goes on where the hart says. Each gets the addresses of the instruction and of the
  // one that follows.

  /** A jump to an address that is not a multiple of IALIGN. */
  misalignedFetch(low: number, high: number): void {
    raise(CAUSE.instructionMisaligned, low, high);
  }
  /** FENCE, with its fields pred and succ: memory is ordered as it is. A hart that spins (PAUSE) lets the others go on. */
  fence(operands: number): void {
    if (operands === PAUSE) this.yield();
  }
  ecall(pcLow: number, pcHigh: number, nextLow: number, nextHigh: number): void {
    if (this.environment !== null && this.privilege === SUPERVISOR) {
      this.setPc(nextLow, nextHigh);
      return this.environment.call(this);
    }
    // Nothing is thrown, which costs as much as a hundred instructions.
    this.setPc(pcLow, pcHigh);
    this.exception(exceptionOf(CAUSE.ecallFromU + this.privilege, 0, 0), pcLow, pcHigh);
  }
  ebreak(pcLow: number, pcHigh: number, nextLow: number, nextHigh: number): void {
    const { semihosting } = this;
    if (semihosting === null || nextLow - pcLow !== 4 || !isSemihostingCall(this, pcLow, pcHigh)) {
      raise(CAUSE.breakpoint, pcLow, pcHigh);
    }
    if (semihosting.call(this)) return this.setPc(nextLow, nextHigh);
    this.setPc(pcLow, pcHigh);
    this.count.stop();
  }
  illegal(): void {
    raise(CAUSE.illegalInstruction, 0, 0);
  }
  mret(): void {
    if (this.privilege < MACHINE) raise(CAUSE.illegalInstruction, 0, 0);
    triggersReturned(this);
    const c = this.csrs, status = c[2 * CSR.mstatus]!;
    const to = (status & MSTATUS.MPP) >>> MSTATUS.MPP_SHIFT;
    let next = status & ~(MSTATUS.MIE | MSTATUS.MPP) | MSTATUS.MPIE;
    if ((status & MSTATUS.MPIE) !== 0) next |= MSTATUS.MIE;
    if (to !== MACHINE) next &= ~MSTATUS.MPRV;
    c[2 * CSR.mstatus] = next;
    this.setPrivilege(to);
    this.setPc(c[2 * CSR.mepc]!, c[2 * CSR.mepc + 1]!);
    this.#returned();
    this.interruptsChanged();
  }
  #returned(): void {
    this.returns++;
    this.returnedAt = this.count.instructions();
    this.returnedLow = this.pcLow;
  }
  sret(): void {
    const c = this.csrs, status = c[2 * CSR.mstatus]!;
    this.#requireSupervisor(MSTATUS.TSR);
    let next = status & ~(MSTATUS.SIE | MSTATUS.SPP | MSTATUS.MPRV) | MSTATUS.SPIE;
    if ((status & MSTATUS.SPIE) !== 0) next |= MSTATUS.SIE;
    c[2 * CSR.mstatus] = next;
    this.setPrivilege((status & MSTATUS.SPP) !== 0 ? SUPERVISOR : USER);
    this.setPc(c[2 * CSR.sepc]!, c[2 * CSR.sepc + 1]!);
    this.#returned();
    this.interruptsChanged();
  }
  /** Illegal in user mode, and in supervisor mode where a bit of mstatus says so. */
  #requireSupervisor(trap: number): void {
    if (this.privilege === MACHINE) return;
    const trapped = this.privilege === USER || (this.csrs[2 * CSR.mstatus]! & trap) !== 0;
    if (trapped) raise(CAUSE.illegalInstruction, 0, 0);
  }
  /** SFENCE.VMA and SINVAL.VMA, with the numbers of the registers that say which address and which address space. */
  sfence(_pcLow: number, _pcHigh: number, nextLow: number, nextHigh: number, address: number, _space: number): void {
    this.#requireSupervisor(MSTATUS.TVM);
    if (address === 0) this.forgetTranslations();
    else {
      const at = address * this.xlen / 32;
      this.forgetTranslation(this.x[at]!, this.xlen === 32 ? 0 : this.x[at + 1]!);
    }
    this.setPc(nextLow, nextHigh);
  }
  /** Forgets what all virtual addresses mean. */
  forgetTranslations(): void {
    this.translation.buffers.flush();
    this.onFetchChange();
  }
  /** Forgets what the addresses of a page mean, of whatever size it is. */
  forgetTranslation(low: number, high: number): void {
    // The page may be remembered under any of its addresses.
    if (this.#masksPointers) return this.forgetTranslations();
    this.translation.buffers.flushPage(low, high);
    this.onFetchChange(low, high);
  }
  /** SFENCE.W.INVAL and SFENCE.INVAL.IR. */
  sfenceInval(_pcLow: number, _pcHigh: number, nextLow: number, nextHigh: number): void {
    this.#requireSupervisor(0);
    this.setPc(nextLow, nextHigh);
  }
  wfi(_pcLow: number, _pcHigh: number, nextLow: number, nextHigh: number): void {
    // Where there is supervisor mode, user mode may not wait at all.
    const trapped = this.privilege === USER && this.extensions.has("S") ||
      this.privilege < MACHINE && (this.csrs[2 * CSR.mstatus]! & MSTATUS.TW) !== 0;
    if (trapped) raise(CAUSE.illegalInstruction, 0, 0);
    this.setPc(nextLow, nextHigh);
    this.sleep();
  }
  /** Waits for an interrupt that mie enables, whether or not it can be taken, unless one is pending. */
  sleep(): void {
    if ((this.pending() & this.csrs[2 * CSR.mie]!) !== 0) return;
    this.waiting = true;
    this.count.stop();
  }
  /** WRS.NTO (0) and WRS.STO (1): the reservation can only be lost when others execute, so they do; then the wait is over. */
  wrs(_pcLow: number, _pcHigh: number, nextLow: number, nextHigh: number, short: number): void {
    if (short === 0 && this.privilege < MACHINE && (this.csrs[2 * CSR.mstatus]! & MSTATUS.TW) !== 0) {
      raise(CAUSE.illegalInstruction, 0, 0);
    }
    this.setPc(nextLow, nextHigh);
    if (this.reservation >= 0) this.yield();
  }
  /** CM.JT and CM.JALT: goes to the address in an entry of jvt's table, which is fetched as an instruction is. */
  tableJump(_pcLow: number, _pcHigh: number, nextLow: number, nextHigh: number, index: number): void {
    const { csrs, memory, x, xlen } = this, base = csrs[2 * CSR.jvt]! & -64, size = xlen / 8;
    if (this.csrTable[CSR.jvt]?.allowed?.(this, false) === false) raise(CAUSE.illegalInstruction, 0, 0);
    const low = (base + index * size) | 0, high = xlen === 32 ? 0 : sumHigh(base, csrs[2 * CSR.jvt + 1]!, index * size);
    const physical = this.translation.translate(low, high, size, EXECUTE);
    // Instructions are fetched from memory only.
    if (memory.executable(physical - physical % 4096) === null) raise(CAUSE.instructionAccess, low, high);
    const target = memory.read(physical, size), targetHigh = HIGH[0]!;
    if (index >= 32) {
      x[size / 4] = nextLow;
      if (xlen === 64) x[3] = nextHigh;
    }
    this.setPc(target & -2, targetHigh);
  }
  fenceI(_pcLow: number, _pcHigh: number, nextLow: number, nextHigh: number): void {
    // Writes to code are seen at once, so there is nothing to synchronise.
    this.setPc(nextLow, nextHigh);
  }
}
