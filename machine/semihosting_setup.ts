// Semihosting for a machine as its options describe it.

import type { MachineOptions } from "./options.ts";
import type { Console } from "./console.ts";
import type { DebugAccess } from "./debug_access.ts";
import type { LoadPiece } from "./image.ts";
import { Semihosting } from "./semihosting.ts";
import { hostFolder } from "./semihosting_files.ts";

/** What semihosting is connected to. */
export interface SemihostingWiring {
  readonly debug: DebugAccess;
  readonly console: Console;
  readonly images: readonly LoadPiece[];
  readonly ram: { readonly base: number; readonly size: number };
  /** Nanoseconds since 1970 at power-on. */
  readonly startTime: bigint;
  now(): number;
  mayComeInput(): boolean;
  exit(code: number): void;
}

/** The largest stretch of RAM that nothing is loaded into, the first one of that length. */
function largestGap({ images, ram }: SemihostingWiring): { start: number; end: number } {
  const end = ram.base + ram.size, edges = [...images].sort((a, b) => a.address - b.address);
  let best = { start: ram.base, end: ram.base }, at = ram.base;
  const gap = (to: number) => {
    if (to - at > best.end - best.start) best = { start: at, end: to };
  };
  for (const { address, memorySize } of edges) {
    if (address >= end || address + memorySize <= ram.base) continue;
    gap(address);
    at = Math.max(at, address + memorySize);
  }
  gap(end);
  return best;
}

/**
 * Connects semihosting to a machine's harts and console; null if it is off.
 *
 * @throws {LoadError} If its folder is not there.
 */
export function connectSemihosting(options: MachineOptions, wiring: SemihostingWiring): Semihosting | null {
  if (options.semihosting === undefined || options.semihosting === false) return null;
  const { userspace = false, args, folder, files } = options.semihosting === true ? {} : options.semihosting;
  const { debug, console } = wiring;
  const kernel = typeof options.kernel === "string" ? options.kernel : "kernel";
  const usual = options.kernel === undefined ? [] : [kernel, ...options.append === undefined ? [] : [options.append]];
  const semihosting = new Semihosting({
    userMode: userspace,
    read: (hart, address, length) => debug.read(hart, address, length),
    write: (hart, address, bytes) => debug.write(hart, address, bytes),
    print: (byte) => console.transmit(byte),
    mayComeInput: () => wiring.mayComeInput(),
    exit: (code) => wiring.exit(code),
    now: () => wiring.now(),
    startTime: Number(wiring.startTime / 1_000_000_000n),
    free: largestGap(wiring),
    commandLine: (args ?? usual).join(" "),
    files: files ?? (folder === undefined ? null : hostFolder(folder, "-semihosting-config folder=")),
  });
  console.connect(semihosting);
  for (let hart = 0; hart < debug.harts; hart++) debug.hart(hart).semihosting = semihosting;
  return semihosting;
}
