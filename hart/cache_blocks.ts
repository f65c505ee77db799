// The cache-block operations (unprivileged manual, chapter "CMO Extensions"). There are no caches, so that clean, flush and
// inval have nothing to do, and inval never loses data; what remains is who may execute them on which addresses.

import { CACHE_BLOCK, CBO_INVAL, CBO_ZERO } from "../isa/zicbo.ts";
import { CSR } from "./csr.ts";
import type { Hart } from "./hart.ts";
import { READ, WRITE } from "./pmp.ts";
import { ENVCFG } from "./status.ts";
import { CAUSE, Exception, MACHINE, raise, USER } from "./trap.ts";

/** What an operation raises in place of a load's exceptions. */
const AS_STORE: Readonly<Record<number, number>> = {
  [CAUSE.loadPage]: CAUSE.storePage,
  [CAUSE.loadAccess]: CAUSE.storeAccess,
};

/** Raises what keeps a cache-block operation that is enabled from the block that holds an address. */
export function checkCacheBlock(hart: Hart, operation: number, low: number, high: number): void {
  const zeroes = operation === CBO_ZERO, physical = blockAddress(hart, zeroes ? WRITE : READ, low, high);
  // Only main memory has cache blocks to be zeroed.
  const there = zeroes ? hart.memory.isRam(physical, CACHE_BLOCK) : hart.memory.exists(physical);
  if (!there) raise(CAUSE.storeAccess, low, hart.reportedHigh(high));
}

/** Raises an illegal-instruction exception where menvcfg or senvcfg does not allow the operation. */
export function requireEnabled({ privilege, csrs, extensions }: Hart, operation: number): void {
  if (privilege === MACHINE) return;
  const field = operation === CBO_ZERO ? ENVCFG.CBZE : operation === CBO_INVAL ? ENVCFG.CBIE : ENVCFG.CBCFE;
  let allowed = csrs[2 * CSR.menvcfg]!;
  if (privilege === USER && extensions.has("S")) allowed &= csrs[2 * CSR.senvcfg]!;
  if ((allowed & field) === 0) raise(CAUSE.illegalInstruction, 0, 0);
}

/** Physical address of the block. All exceptions are those of a store, and their value is the address in rs1. */
function blockAddress(hart: Hart, access: number, low: number, high: number): number {
  const start = low & -CACHE_BLOCK;
  if (hart.bare) return (high >>> 0) * 2 ** 32 + (start >>> 0);
  try {
    return hart.translation.translate(start, high, CACHE_BLOCK, access);
  } catch (e) {
    if (!(e instanceof Exception)) throw e;
    return raise(AS_STORE[e.cause] ?? e.cause, low, hart.reportedHigh(high));
  }
}
