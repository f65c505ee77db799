// Exception and interrupt causes (privileged manual, "Machine Cause (mcause) Register").

/** Exception codes. */
export const CAUSE = {
  instructionMisaligned: 0,
  instructionAccess: 1,
  illegalInstruction: 2,
  breakpoint: 3,
  loadMisaligned: 4,
  loadAccess: 5,
  storeMisaligned: 6,
  storeAccess: 7,
  ecallFromU: 8,
  ecallFromS: 9,
  ecallFromM: 11,
  instructionPage: 12,
  loadPage: 13,
  storePage: 15,
} as const;

/** Interrupt codes, which are also bit numbers of mip and mie. */
export const INTERRUPT = {
  supervisorSoftware: 1,
  machineSoftware: 3,
  supervisorTimer: 5,
  machineTimer: 7,
  supervisorExternal: 9,
  machineExternal: 11,
} as const;

const EXCEPTION_NAMES = [
  ["instruction address misaligned", "instruction access fault", "illegal instruction", "breakpoint"],
  ["load address misaligned", "load access fault", "store/AMO address misaligned", "store/AMO access fault"],
  ["environment call from U-mode", "environment call from S-mode", "reserved", "environment call from M-mode"],
  ["instruction page fault", "load page fault", "reserved", "store/AMO page fault"],
].flat();

const INTERRUPT_NAMES = new Map<number, string>([
  [INTERRUPT.supervisorSoftware, "supervisor software interrupt"],
  [INTERRUPT.machineSoftware, "machine software interrupt"],
  [INTERRUPT.supervisorTimer, "supervisor timer interrupt"],
  [INTERRUPT.machineTimer, "machine timer interrupt"],
  [INTERRUPT.supervisorExternal, "supervisor external interrupt"],
  [INTERRUPT.machineExternal, "machine external interrupt"],
]);

/** The manual's name of a cause. `code` is without the interrupt bit. */
export function causeName(code: number, interrupt: boolean): string {
  return (interrupt ? INTERRUPT_NAMES.get(code) : EXCEPTION_NAMES[code]) ?? `reserved cause ${code}`;
}

/** Privilege levels (privileged manual, "Privilege Levels"). */
export const USER = 0, SUPERVISOR = 1, MACHINE = 3;

/** Letters of the privilege levels by their encoding. */
export const PRIVILEGE_LETTERS = ["U", "S", "H", "M"] as const;

/**
 * What a slow path throws to abandon the instruction at hand with an exception. There is one such object, so that a trap
 * allocates nothing; the hart that threw it reads its fields at once.
 */
export class Exception {
  /** Exception code. */
  cause = 0;
  /** Value for the trap-value CSR, low half. */
  valueLow = 0;
  /** High half. */
  valueHigh = 0;
}

/**
 * Thrown by what compiled code calls, where somebody wants to see the instruction with all registers in place: the interpreter
 * then executes it. Nothing may have happened yet.
 */
export const INTERPRET: Error = new Error("for the interpreter");

const exception = new Exception();

/** An exception, until the next one. */
export function exceptionOf(cause: number, valueLow: number, valueHigh: number): Exception {
  exception.cause = cause;
  exception.valueLow = valueLow;
  exception.valueHigh = valueHigh;
  return exception;
}

/** Abandons the current instruction with an exception. */
export function raise(cause: number, valueLow: number, valueHigh: number): never {
  throw exceptionOf(cause, valueLow, valueHigh);
}
