// The built-in SBI: answers supervisor mode's calls in place of machine-mode firmware (RISC-V Supervisor Binary Interface
// Specification 2.0). A call takes the time of its ECALL, and no guest memory is the firmware's.

import type { ExecutionEnvironment, Hart } from "../../hart/hart.ts";
import { CAUSE } from "../../hart/trap.ts";
import type { Bus } from "../bus.ts";
import { BASE } from "./base.ts";
import { DBCN } from "./dbcn.ts";
import { emulateCounter } from "./emulation.ts";
import { failed, type SbiAnswer, type SbiExtension, type SbiFunction } from "./extension.ts";
import { HSM, SUSP } from "./hsm.ts";
import { IPI } from "./ipi.ts";
import { LEGACY } from "./legacy.ts";
import { FIRMWARE_EVENT, PMU, Pmu } from "./pmu.ts";
import { RFENCE } from "./rfence.ts";
import { SRST } from "./srst.ts";
import { configureMachineMode, enterSupervisor } from "./supervisor_entry.ts";
import { TIME } from "./timer.ts";

const EXTENSIONS = new Map<bigint, SbiExtension>(
  [...LEGACY, BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN, PMU, SUSP].map((
    extension,
  ) => [BigInt(extension.id), extension]),
);

/** Registers of a call. */
const A0 = 10, A1 = 11, A6 = 16, A7 = 17, ARGUMENTS = 6;

/** Firmware events by the exception that the firmware passes on. */
const PASSED_ON = new Map<number, number>([
  [CAUSE.loadMisaligned, FIRMWARE_EVENT.misalignedLoad],
  [CAUSE.storeMisaligned, FIRMWARE_EVENT.misalignedStore],
  [CAUSE.loadAccess, FIRMWARE_EVENT.accessLoad],
  [CAUSE.storeAccess, FIRMWARE_EVENT.accessStore],
  [CAUSE.illegalInstruction, FIRMWARE_EVENT.illegalInstruction],
]);

/**
 * A call, as scripts and logs see it.
 *
 * @example
 * ```ts
 * import { Machine, type SbiCall } from "hartbeat";
 *
 * // li a7, 0x10 (Base); li a6, 0 (get_spec_version); ecall; j .
 * const code = new Uint8Array(new Uint32Array([0x0100_0893, 0x0000_0813, 0x0000_0073, 0x0000_006f]).buffer);
 * const machine = await Machine.create({ kernel: code });
 * const calls: SbiCall[] = [];
 * machine.onSbiCall = (call) => {
 *   calls.push(call);
 *   return undefined; // hartbeat answers
 * };
 * await machine.run({ maxInstructions: 3 });
 * console.log(calls[0]?.name);
 * ```
 */
export interface SbiCall {
  /** Number of the hart that called. */
  readonly hart: number;
  /** Address of the ECALL. */
  readonly pc: bigint;
  /** EID, from a7. */
  readonly extension: bigint;
  /** FID, from a6; a legacy call has none. */
  readonly function: bigint;
  /** Name of extension and function, e.g. `TIME set_timer`; undefined where there is no such call. */
  readonly name: string | undefined;
  /** The parameters (unsigned, those of 64 bits in one), by name where the call is known, else a0 to a5. */
  readonly parameters: Readonly<Record<string, bigint>>;
}

/** What the firmware is made with. */
export interface SbiFirmwareOptions {
  readonly harts: readonly Hart[];
  readonly memory: Bus;
  readonly console: SbiConsole;
  /** Ends the machine with an exit code, after the current instruction. */
  readonly exit: (code: number) => void;
  /** Resets the machine after the current instruction. */
  readonly reset: () => void;
}

/** The console as the firmware reaches it. */
export interface SbiConsole {
  /** Prints a byte. */
  write(byte: number): void;
  /** Takes a byte that was typed; undefined if there is none. */
  read(): number | undefined;
}

/** The firmware of a machine. */
export class SbiFirmware implements ExecutionEnvironment {
  readonly harts: readonly Hart[];
  readonly memory: Bus;
  readonly console: SbiConsole;
  readonly pmu: Pmu;
  readonly exit: (code: number) => void;
  readonly reset: () => void;
  /** By hart: how many instructions it had executed when it was suspended last; -1: never. */
  #suspendedAt: number[];
  /** Asked before each call; what it returns is the answer, undefined leaves it to the firmware. */
  onCall: (call: SbiCall) => SbiAnswer | undefined = () => undefined;
  /** Told of each call with its answer; null where the hart does not return from it. */
  onAnswer: ((call: SbiCall, answer: SbiAnswer | null) => void) | null = null;

  constructor({ harts, memory, console, exit, reset }: SbiFirmwareOptions) {
    this.harts = harts;
    this.memory = memory;
    this.console = console;
    this.exit = exit;
    this.reset = reset;
    this.pmu = new Pmu(harts.length);
    this.#suspendedAt = harts.map(() => -1);
    for (const hart of harts) hart.environment = this;
  }

  /**
   * After a reset of the harts: the first is about to enter the kernel in supervisor mode, the others are stopped, but for those
   * that start elsewhere.
   */
  powerOn(kernel: bigint, deviceTree: bigint, startAt: ReadonlyMap<number, bigint>): void {
    this.pmu.reset();
    this.#suspendedAt.fill(-1);
    for (const hart of this.harts) {
      configureMachineMode(hart);
      const start = startAt.get(hart.id) ?? kernel;
      enterSupervisor(hart, start, deviceTree);
      hart.stopped = hart.id !== 0 && !startAt.has(hart.id);
    }
  }

  /** An extension by its EID. */
  extension(id: bigint): SbiExtension | undefined {
    return EXTENSIONS.get(id);
  }

  /** A hart by its number; undefined if there is none. */
  hart(id: bigint): Hart | undefined {
    return id < BigInt(this.harts.length) ? this.harts[Number(id)] : undefined;
  }

  /**
   * The harts of a mask whose bit 0 stands for hart `base`; all if that is 2^XLEN - 1. Null if one of them does not exist
   * (chapter "Binary Encoding", section "Hart list parameter").
   */
  select(mask: bigint, base: bigint): readonly Hart[] | null {
    const { xlen } = this.harts[0]!;
    if (base === (1n << BigInt(xlen)) - 1n) return this.harts;
    const selected: Hart[] = [];
    for (let bit = 0n; mask >> bit !== 0n; bit++) {
      if ((mask >> bit & 1n) === 0n) continue;
      const hart = this.hart(base + bit);
      if (hart === undefined) return null;
      selected.push(hart);
    }
    return selected;
  }

  /** Notes that a hart is being suspended. */
  suspended(hart: Hart): void {
    this.#suspendedAt[hart.id] = hart.executed;
  }

  /** Whether a hart waits in a suspension: it has executed nothing since the call. */
  isSuspended(hart: Hart): boolean {
    return hart.waiting && hart.executed === this.#suspendedAt[hart.id]! + 1;
  }

  call(hart: Hart): void {
    const extension = hart.readX(A7), number = hart.readX(A6), known = EXTENSIONS.get(extension);
    const entry = known?.isLegacy ? known.functions[0] : known?.functions[Number(number)];
    const parameters = parametersOf(hart, entry), request = { firmware: this, hart };
    const call: SbiCall = {
      hart: hart.id,
      pc: BigInt.asUintN(hart.xlen, hart.pc - 4n),
      extension,
      function: number,
      name: entry && `${known!.name} ${entry.name}`,
      parameters: Object.fromEntries(parameters),
    };
    const answer = this.onCall(call) ??
      (entry === undefined ? failed("NOT_SUPPORTED") : entry.run(request, ...parameters.map(([, value]) => value)));
    if (answer !== null) {
      hart.writeX(A0, BigInt(answer.error));
      if (!known?.isLegacy) hart.writeX(A1, BigInt(answer.value ?? 0));
    }
    this.onAnswer?.(call, answer);
  }

  emulates(hart: Hart, cause: number, value: number, pcLow: number, pcHigh: number): boolean {
    const event = PASSED_ON.get(cause);
    if (event !== undefined) this.pmu.count(hart, event);
    return cause === CAUSE.illegalInstruction && emulateCounter(hart, value, pcLow, pcHigh);
  }

  /** State for a snapshot; that of the harts is theirs. */
  snapshot(): unknown {
    return { pmu: this.pmu.snapshot(), suspendedAt: [...this.#suspendedAt] };
  }
  /** Puts a snapshot back. */
  restore(state: unknown): void {
    const { pmu, suspendedAt } = state as { pmu: unknown; suspendedAt: number[] };
    this.pmu.restore(pmu);
    this.#suspendedAt = [...suspendedAt];
  }
}

/** The parameters of a call by name; of an unknown one, all registers that may hold some. */
function parametersOf(hart: Hart, entry: SbiFunction | undefined): [string, bigint][] {
  const names = entry?.parameters ?? Array.from({ length: ARGUMENTS }, (_, k) => `a${k}`);
  let register = A0;
  return names.map((name) => {
    const isWide = name.endsWith("*");
    let value = hart.readX(register++);
    if (isWide && hart.xlen === 32) value |= hart.readX(register++) << 32n;
    return [isWide ? name.slice(0, -1) : name, value];
  });
}
