// The guests that are measured: what files there are, what they need, what they print.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { OptionError } from "../machine/errors.ts";
import { parseCpu } from "../machine/cpu.ts";

/** Folder of the guests' sources and ELFs. */
export const GUESTS: string = fileURLToPath(new URL("guests/", import.meta.url));

/** One ELF. */
export interface Guest {
  /** How it was built: `virt32` (rv32ima), `virt64i` (rv64imac) or `virt64` (rv64gc). */
  readonly build: string;
  /** What it computes: `fib`, `sha256` … */
  readonly program: string;
  /** How often it does its work: 1 or 10. */
  readonly scale: number;
  readonly xlen: 32 | 64;
  /** Path of the file. */
  readonly path: string;
}

/** The programs that the geometric mean is taken over: without floating point, in the order in which they are shown. */
export const INTEGER_PROGRAMS: readonly string[] = ["fib", "sha256", "sieve", "dhry", "core"];

/** All guests of a scale, in the order in which they are shown. */
export function guests(scale: number): Guest[] {
  const found = readdirSync(GUESTS).flatMap((file): Guest[] => {
    const name = /^((virt32|virt64)i?)-(\w+)-(\d+)\.elf$/.exec(file);
    if (name === null || Number(name[4]) !== scale) return [];
    return [{
      build: name[1]!,
      program: name[3]!,
      scale,
      xlen: name[2] === "virt32" ? 32 : 64,
      path: GUESTS + file,
    }];
  });
  // The others last.
  const rank = ({ program }: Guest) => INTEGER_PROGRAMS.indexOf(program) >>> 0;
  const ordered = (a: Guest, b: Guest) => a.xlen - b.xlen || rank(a) - rank(b) || (a.build < b.build ? -1 : 1);
  return found.sort(ordered);
}

/** The guest that ends at once, built for a width. */
export function exitGuest(xlen: 32 | 64): string {
  return `${GUESTS}${xlen === 32 ? "virt32" : "virt64i"}-exit.elf`;
}

/** The guest that only loads or stores, whose work a word in memory chooses. */
export const ACCESS_GUEST: string = `${GUESTS}virt64i-access.elf`;
/** Address of that word. */
export const ACCESS_PARAMETERS = 0x8100_0000;
/** Accesses of each of its turns. */
export const ACCESSES_PER_TURN = 16;

/** The word: what is accessed how, and in how many turns. */
export function accessParameters(translated: boolean, stores: boolean, misses: boolean, turns: number): bigint {
  const flags = (translated ? 1 : 0) | (stores ? 2 : 0) | (misses ? 4 : 0);
  return BigInt(turns) << 32n | BigInt(flags);
}

/** Why hartbeat cannot run a guest yet, or false. */
export function notRunnable({ xlen, path }: Guest): string | false {
  // EF_RISCV_FLOAT_ABI (RISC-V ELF psABI, "File Header"): not 0 if floating-point registers are used. e_flags stands at
  // offset 36 of an ELF32 header and 48 of an ELF64 header.
  const flags = readFileSync(path).readUInt32LE(xlen === 32 ? 36 : 48);
  if ((flags & 6) === 0) return false;
  try {
    parseCpu(`rv${xlen},d=on`);
    return false;
  } catch (e) {
    if (!(e instanceof OptionError)) throw e;
    return "it needs the extensions F and D, which hartbeat does not have yet";
  }
}

/** What a guest prints: instructions between the start and the end of its work, and what it computed. */
export interface Report {
  /** `minstret` around the work. QEMU counts instructions only under `-icount`. */
  readonly instructions: number;
  /** 8 hexadecimal digits. */
  readonly result: string;
}

/**
 * Reads what a guest printed.
 *
 * @throws {Error} If that is not what the guests print.
 */
export function parseReport(output: string): Report {
  const found = /^INSTR ([0-9a-f]{16})\nRESULT ([0-9a-f]{8})\n$/.exec(output);
  if (found === null) throw new Error(`not what a guest of bench/guests prints: ${JSON.stringify(output)}`);
  return { instructions: Number(`0x${found[1]}`), result: found[2]! };
}
