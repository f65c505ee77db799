// What an SBI extension is: functions by number, with their parameters, each answering a call with an error code and a value
// (RISC-V Supervisor Binary Interface Specification 2.0, chapter "Binary Encoding").

import type { Hart } from "../../hart/hart.ts";
import type { SbiFirmware } from "./firmware.ts";

/** Error codes, by the specification's names without `SBI_` and `ERR_`. */
export const SBI_ERROR = {
  SUCCESS: 0,
  FAILED: -1,
  NOT_SUPPORTED: -2,
  INVALID_PARAM: -3,
  DENIED: -4,
  INVALID_ADDRESS: -5,
  ALREADY_AVAILABLE: -6,
  ALREADY_STARTED: -7,
  ALREADY_STOPPED: -8,
  NO_SHMEM: -9,
} as const;

/**
 * What a call returns: `error` goes to a0, `value` to a1. A legacy call has only a0, which is `error`.
 *
 * @example
 * ```ts
 * import { Machine, type SbiAnswer } from "hartbeat";
 *
 * // li a7, 0x10 (Base); li a6, 0 (get_spec_version); ecall; j .
 * const code = new Uint8Array(new Uint32Array([0x0100_0893, 0x0000_0813, 0x0000_0073, 0x0000_006f]).buffer);
 * const machine = await Machine.create({ kernel: code });
 * const version: SbiAnswer = { error: 0, value: 1 << 24 };
 * machine.onSbiCall = ({ name }) => name === "BASE get_spec_version" ? version : undefined;
 * await machine.run({ maxInstructions: 3 });
 * console.log(machine.hart.x.a1);
 * ```
 */
export interface SbiAnswer {
  /** 0, or a negative error code. */
  readonly error: number;
  /** The result, taken modulo 2^XLEN; 0 where absent. */
  readonly value?: number | bigint;
}

/** A call as the functions see it. */
export interface SbiRequest {
  readonly firmware: SbiFirmware;
  /** The hart that called; its pc is at the instruction after the ECALL. */
  readonly hart: Hart;
}

/** A function of an extension. */
export interface SbiFunction {
  /** Its name without `sbi_` and the extension's. */
  readonly name: string;
  /** Names of its parameters, unsigned; those that end in `*` have 64 bits, which take two registers on RV32. */
  readonly parameters: readonly string[];
  /** Does it. Null: the hart does not return from the call, or its registers are set. */
  run(request: SbiRequest, ...parameters: bigint[]): SbiAnswer | null;
}

/** An extension. */
export interface SbiExtension {
  /** EID, which callers have in a7. */
  readonly id: number;
  /** Name, e.g. `TIME`. */
  readonly name: string;
  /** By FID, which callers have in a6. */
  readonly functions: readonly SbiFunction[];
  /** A call of version 0.1: it has no FID, and returns only a0. */
  readonly isLegacy?: boolean;
}

/** The answer of a call that did what it should. */
export const SUCCESS: SbiAnswer = { error: SBI_ERROR.SUCCESS };

/** The answer with an error code. */
export function failed(error: keyof typeof SBI_ERROR): SbiAnswer {
  return { error: SBI_ERROR[error] };
}

/** A parameter of type uint32_t: the upper bits of the register mean nothing. */
export function word(parameter: bigint): number {
  return Number(BigInt.asUintN(32, parameter));
}

/** EID of four letters. */
export function idOf(letters: string): number {
  return [...letters].reduce((id, letter) => id << 8 | letter.charCodeAt(0), 0) >>> 0;
}
