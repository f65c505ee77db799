// Loads and stores that the fast paths of generated code do not handle: devices, misaligned addresses, watched lines,
// and the atomic instructions.

import { HIGH, sumHigh } from "../isa/pair.ts";
import { stackList } from "../isa/zcmp.ts";
import { CACHE_BLOCK, CBO_ZERO } from "../isa/zicbo.ts";
import { checkCacheBlock, requireEnabled } from "./cache_blocks.ts";
import { IN_REGION } from "./counter.ts";
import { type Hart, SINK } from "./hart.ts";
import { LINE_SHIFT, WATCH } from "./memory.ts";
import { READ, WRITE } from "./pmp.ts";
import { CAUSE, Exception, INTERPRET, raise } from "./trap.ts";

/** Bits of an access code beside the number of bytes. */
export const SIGN_EXTENDS = 16, AMO = 32;

/** Does the memory accesses of a hart. Addresses are pairs; values of 8 bytes have their high half in HIGH[0]. */
export class LoadStoreUnit {
  #hart: Hart;

  constructor(hart: Hart) {
    this.#hart = hart;
  }

  // A loaded value whose instruction has not been finished.
  #kept = 0;
  #keptHigh = 0;
  /** Whether the next load gets the value that was kept. */
  keeps = false;

  /** Keeps a loaded value, with its high half in HIGH[0], for the same instruction when it is executed again. */
  keep(low: number): void {
    this.#kept = low;
    this.#keptHigh = HIGH[0]!;
    this.keeps = true;
  }

  /** Physical address of an access that lies in one page. */
  #physical(low: number, high: number, size: number, access: number): number {
    return this.#hart.bare
      ? (high >>> 0) * 4294967296 + (low >>> 0)
      : this.#hart.translation.translate(low, high, size, access);
  }

  /** Whether pages matter, and the access lies in two. */
  #crosses(low: number, size: number): boolean {
    return !this.#hart.bare && (low & 4095) + size > 4096;
  }

  /** Physical addresses of the bytes of an access in two pages; `cause` is that of an access fault. */
  #bytes(low: number, high: number, size: number, access: number, cause: number): number[] {
    const first = 4096 - (low & 4095), next = (low + first) | 0;
    const nextHigh = next === 0 && this.#hart.xlen === 64 ? (high + 1) | 0 : high;
    const start = this.#physical(low, high, first, access);
    const rest = this.#physical(next, nextHigh, size - first, access);
    // RAM or ROM: whatever else answers takes no part of an access.
    const isMemory = (physical: number) => this.#hart.memory.executable(physical - physical % 4096) !== null;
    if (!isMemory(start)) raise(cause, low, this.#hart.reportedHigh(high));
    if (!isMemory(rest)) raise(cause, next, this.#hart.reportedHigh(nextHigh));
    return Array.from({ length: size }, (_, k) => k < first ? start + k : rest + k - first);
  }

  #loadAcross(size: number, low: number, high: number): number {
    let value = 0, upper = 0;
    this.#bytes(low, high, size, READ, CAUSE.loadAccess).forEach((physical, k) => {
      const byte = this.#hart.memory.read(physical, 1);
      if (k < 4) value |= byte << 8 * k;
      else upper |= byte << 8 * (k - 4);
    });
    HIGH[0] = upper;
    return value;
  }

  /** Loads; `code` is the number of bytes plus `SIGN_EXTENDS` plus `AMO`. Raises access faults and, for AMOs, misalignment. */
  load(code: number, low: number, high: number): number {
    if (this.keeps) {
      this.keeps = false;
      HIGH[0] = this.#keptHigh;
      return this.#kept;
    }
    const size = code & 15;
    if (this.#hart.triggers.watchesData) {
      this.#hart.triggers.check((code & AMO) !== 0 ? READ | WRITE : READ, low, high, size);
    }
    const watched = this.#hart.watchpoints !== null && this.#isWatched(READ, code, low, high);
    let value = this.#crosses(low, size) && (code & AMO) === 0
      ? this.#loadAcross(size, low, high)
      : this.#loadWithin(code, size, low, high);
    if (watched) value = this.#tell(READ, size, low, high, value, HIGH[0]!);
    if ((code & SIGN_EXTENDS) === 0) return value;
    return size === 1 ? value << 24 >> 24 : value << 16 >> 16;
  }

  #loadWithin(code: number, size: number, low: number, high: number): number {
    const { memory } = this.#hart, amo = (code & AMO) !== 0;
    const physical = amo ? this.#atomic(size, low, high) : this.#physical(low, high, size, READ);
    const value = memory.read(physical, size);
    if (memory.fault) this.#fault(amo ? CAUSE.storeAccess : CAUSE.loadAccess, low, high, physical, size);
    return value;
  }

  /** What `loadPlain` loaded; of 8 bytes the low half, with the high half in HIGH[0]. */
  value = 0;

  /** Loads from plain RAM; false, with nothing done, if it is not that (`plainOffset`). `code` is as for `load`. */
  loadPlain(code: number, low: number, high: number): boolean {
    const size = code & 15, isAmo = (code & AMO) !== 0, { u8 } = this.#hart.memory.ram;
    const at = this.plainOffset(size, low, high, isAmo ? READ | WRITE : READ, isAmo);
    if (at < 0) return false;
    let value = 0;
    for (let k = Math.min(size, 4) - 1; k >= 0; k--) value = value << 8 | u8[at + k]!;
    if (size === 8) HIGH[0] = u8[at + 4]! | u8[at + 5]! << 8 | u8[at + 6]! << 16 | u8[at + 7]! << 24;
    if ((code & SIGN_EXTENDS) !== 0) value = size === 1 ? value << 24 >> 24 : value << 16 >> 16;
    this.value = value;
    return true;
  }

  /** Stores to plain RAM; false, with nothing done, if it is not that. */
  storePlain(code: number, low: number, high: number, value: number, valueHigh: number): boolean {
    const size = code & 15, at = this.plainOffset(size, low, high, WRITE), { u8 } = this.#hart.memory.ram;
    if (at < 0) return false;
    for (let k = 0; k < size; k++) u8[at + k] = k < 4 ? value >>> 8 * k : valueHigh >>> 8 * (k - 4);
    return true;
  }

  /**
   * Offset in RAM of an access that has nothing about it but its address: no device, nobody to be told, all in one page; -1 if it
   * has, or would raise an exception. `access` is READ, WRITE, or both; `isAligned`: it must be. `isEarly`: page tables stay as they
   * are, since not all of it may be accessed in the end.
   */
  plainOffset(size: number, low: number, high: number, access: number, isAligned = false, isEarly = false): number {
    const { memory: { ram }, watchpoints, triggers } = this.#hart;
    if (triggers.watchesData || this.#crosses(low, size) || (isAligned && (low & size - 1) !== 0)) return -1;
    let physical: number;
    try {
      const kind = (access & WRITE) !== 0 ? WRITE : READ;
      physical = isEarly && !this.#hart.bare
        ? this.#hart.translation.translateUnchanged(low, high, size, kind)
        : this.#physical(low, high, size, kind);
    } catch (e) {
      if (e instanceof Exception) return -1;
      throw e;
    }
    const offset = physical - ram.base;
    if (offset < 0 || offset + size > ram.size) return -1;
    if (watchpoints !== null && watchpoints.concerns(access, low, high, physical, -1, size)) return -1;
    let marks = ram.lines[(offset + size - 1) >>> LINE_SHIFT]!;
    for (let at = offset; at < offset + size; at += 1 << LINE_SHIFT) marks |= ram.lines[at >>> LINE_SHIFT]!;
    return (marks & ((access & WRITE) !== 0 ? ~WATCH.watchpoint : WATCH.device)) === 0 ? offset : -1;
  }

  /**
   * The same of a range in which several accesses lie that have not been made yet. It may lie in two pages, if they are neighbours in
   * RAM, too.
   */
  plainRange(size: number, low: number, high: number, access: number): number {
    if (!this.#crosses(low, size)) return this.plainOffset(size, low, high, access, false, true);
    const first = 4096 - (low & 4095), next = (low + first) | 0;
    const start = this.plainOffset(first, low, high, access, false, true);
    // At a multiple of 4 GiB, whatever follows has another high half.
    if (start < 0 || next === 0) return -1;
    return this.plainOffset(size - first, next, high, access, false, true) === start + first ? start : -1;
  }

  // Physical address of an access that is watched, and of its part in the next page (-1: it has none).
  #start = 0;
  #rest = -1;

  /**
   * Whether somebody watches an access; raises what the access would. Compiled code gives it to the interpreter then. `code`
   * is as for `load`.
   */
  #isWatched(kind: number, code: number, low: number, high: number): boolean {
    const hart = this.#hart, size = code & 15;
    this.#rest = -1;
    if ((code & AMO) !== 0) this.#start = this.#atomic(size, low, high);
    else if (this.#crosses(low, size)) {
      const bytes = this.#bytes(low, high, size, kind, kind === READ ? CAUSE.loadAccess : CAUSE.storeAccess);
      this.#start = bytes[0]!;
      this.#rest = bytes[4096 - (low & 4095)]!;
    } else this.#start = this.#physical(low, high, size, kind);
    if (!hart.watchpoints!.concerns(kind, low, high, this.#start, this.#rest, size)) return false;
    if (hart.count.state[IN_REGION] !== 0) throw INTERPRET;
    hart.locate();
    return true;
  }

  /** Tells who watches the access that `#isWatched` found, and gives the value that it has afterwards. */
  #tell(kind: number, size: number, low: number, high: number, value: number, valueHigh: number): number {
    const hart = this.#hart;
    return hart.watchpoints!.tell(hart, kind, low, high, this.#start, this.#rest, size, value, valueHigh);
  }

  /** Stores. */
  store(code: number, low: number, high: number, value: number, valueHigh: number): void {
    const { memory } = this.#hart, size = code & 15;
    // The read of an AMO has been checked for both.
    if (this.#hart.triggers.watchesData && (code & AMO) === 0) this.#hart.triggers.check(WRITE, low, high, size);
    if (this.#hart.watchpoints !== null && this.#isWatched(WRITE, code, low, high)) {
      value = this.#tell(WRITE, size, low, high, value, valueHigh);
      valueHigh = HIGH[0]!;
    }
    if (this.#crosses(low, size)) {
      this.#bytes(low, high, size, WRITE, CAUSE.storeAccess).forEach((physical, k) =>
        memory.write(physical, 1, (k < 4 ? value >>> 8 * k : valueHigh >>> 8 * (k - 4)) & 0xff, 0)
      );
      return;
    }
    const physical = this.#physical(low, high, size, WRITE);
    memory.write(physical, size, value, valueHigh);
    if (memory.fault) this.#fault(CAUSE.storeAccess, low, high, physical, size);
  }

  /**
   * An access fault, with the address of the part of the access that caused it (privileged manual, "Machine Trap Value
   * (mtval) Register"): where it begins in RAM, the first address after.
   */
  #fault(cause: number, low: number, high: number, physical: number, size: number): never {
    const { memory } = this.#hart;
    let good = 0;
    while (good < size - 1 && memory.isRam(physical + good, 1)) good++;
    const part = (low + good) | 0;
    raise(cause, part, this.#hart.reportedHigh((part >>> 0) < (low >>> 0) ? (high + 1) | 0 : high));
  }

  /**
   * Physical address of an atomic access that stores. It must be aligned, and only main memory supports it (privileged
   * manual, "Atomicity PMAs").
   */
  #atomic(size: number, low: number, high: number): number {
    if ((low & (size - 1)) !== 0) raise(CAUSE.storeMisaligned, low, this.#hart.reportedHigh(high));
    const physical = this.#physical(low, high, size, WRITE);
    if (!this.#hart.memory.isRam(physical, size)) raise(CAUSE.storeAccess, low, this.#hart.reportedHigh(high));
    return physical;
  }

  /** LR: loads and reserves the address. */
  loadReserved(size: number, low: number, high: number): number {
    this.#hart.triggers.check(READ, low, high, size);
    if ((low & (size - 1)) !== 0) raise(CAUSE.loadMisaligned, low, this.#hart.reportedHigh(high));
    const { memory } = this.#hart, physical = this.#physical(low, high, size, READ);
    if (!memory.isRam(physical, size)) raise(CAUSE.loadAccess, low, this.#hart.reportedHigh(high));
    const watched = this.#hart.watchpoints !== null && this.#isWatched(READ, size, low, high);
    let value = memory.read(physical, size);
    if (watched) value = this.#tell(READ, size, low, high, value, HIGH[0]!);
    this.#hart.reservation = physical;
    if (size === 4) HIGH[0] = value >> 31;
    return value;
  }

  /** SC: stores if the reservation is still there; 0 if it did, else 1. Any SC ends the reservation. */
  storeConditional(size: number, low: number, high: number, value: number, valueHigh: number): number {
    this.#hart.triggers.check(WRITE, low, high, size);
    const { memory } = this.#hart, physical = this.#atomic(size, low, high);
    const reserved = this.#hart.reservation === physical;
    if (reserved && this.#hart.watchpoints !== null && this.#isWatched(WRITE, size, low, high)) {
      value = this.#tell(WRITE, size, low, high, value, valueHigh);
      valueHigh = HIGH[0]!;
    }
    this.#hart.reservation = -1;
    if (!reserved) return 1;
    memory.write(physical, size, value, valueHigh);
    return 0;
  }

  /** CBO.INVAL, CBO.CLEAN, CBO.FLUSH and CBO.ZERO, by their numbers. */
  cacheBlock(operation: number, low: number, high: number): void {
    const hart = this.#hart, { ram } = hart.memory, start = low & -CACHE_BLOCK;
    requireEnabled(hart, operation);
    let at = -1;
    // What the look-aside buffers hold has been checked. A block lies in one line.
    if (operation === CBO_ZERO && !hart.bare) {
      const { buffers, dataPrivilege } = hart.translation;
      at = buffers.storeOffset(start, high, dataPrivilege);
      if (at >= 0 && ram.lines[at >>> LINE_SHIFT] !== 0) at = -1;
    }
    if (at < 0) {
      checkCacheBlock(hart, operation, low, high);
      if (operation !== CBO_ZERO) return;
      at = this.plainOffset(CACHE_BLOCK, start, high, WRITE);
    }
    if (at < 0) { for (let k = 0; k < CACHE_BLOCK; k += 8) this.store(8, start + k, high, 0, 0); }
    else for (let k = at >> 3, end = k + CACHE_BLOCK / 8; k < end; k++) ram.f64[k] = 0;
  }

  /**
   * AMOCAS: compares memory with register rd (a pair of registers where the size is twice XLEN) and stores rs2 if equal;
   * rd gets what was in memory. A pair that starts at x0 reads as 0 and is not written.
   */
  compareAndSwap(size: number, low: number, high: number, rd: number, rs2: number): void {
    this.#hart.triggers.check(READ | WRITE, low, high, size);
    const { memory, x, xlen } = this.#hart, physical = this.#atomic(size, low, high);
    if (rd === SINK) rd = 0;
    if (size < 4) return this.#compareAndSwapNarrow(size, physical, rd, rs2);
    const words = size / 4, wordsPerRegister = xlen / 32;
    const at = (register: number, word: number) => {
      if (register === 0) return 0;
      return x[register * wordsPerRegister + word]!;
    };
    const old: number[] = [];
    let equal = true;
    for (let word = 0; word < words; word++) {
      const value = memory.read(physical + 4 * word, 4);
      old.push(value);
      if (value !== at(rd, word)) equal = false;
    }
    if (equal) { for (let word = 0; word < words; word++) memory.write(physical + 4 * word, 4, at(rs2, word), 0); }
    if (rd === 0) return;
    for (let word = 0; word < words; word++) x[rd * wordsPerRegister + word] = old[word]!;
    if (xlen === 64 && words === 1) x[2 * rd + 1] = old[0]! >> 31;
  }
  /** CM.PUSH: stores registers below the stack pointer, which then moves down. */
  push(list: number): void {
    const { x, xlen } = this.#hart, size = xlen / 8, { registers, adjustment } = stackList(list, xlen);
    registers.toReversed().forEach((register, k) => {
      const [low, high] = this.#onStack(-size * (k + 1));
      this.store(size, low, high, x[register * size / 4]!, xlen === 64 ? x[2 * register + 1]! : 0);
    });
    this.#moveStack(-adjustment);
  }
  /** CM.POP: loads them back, and moves the stack pointer up. Gives the new ra. Registers are written when all are loaded. */
  pop(list: number): number {
    const { x, xlen } = this.#hart, size = xlen / 8, { registers, adjustment } = stackList(list, xlen);
    const loaded = registers.toReversed().map((register, k) => {
      const [low, high] = this.#onStack(adjustment - size * (k + 1));
      return { register, value: this.load(size, low, high), upper: HIGH[0]! };
    });
    for (const { register, value, upper } of loaded) {
      x[register * size / 4] = value;
      if (xlen === 64) x[2 * register + 1] = upper;
    }
    this.#moveStack(adjustment);
    if (xlen === 64) HIGH[0] = x[3]!;
    return x[size / 4]!;
  }
  /** An address some bytes from the stack pointer. */
  #onStack(distance: number): [low: number, high: number] {
    const { x, xlen } = this.#hart, base = x[xlen / 16]!, low = (base + distance) | 0;
    if (xlen === 32) return [low, 0];
    return [low, sumHigh(base, x[5]!, distance)];
  }
  #moveStack(distance: number): void {
    const { x, xlen } = this.#hart, [low, high] = this.#onStack(distance);
    x[xlen / 16] = low;
    if (xlen === 64) x[5] = high;
  }
  /** AMOCAS on a byte or halfword: rd gets it sign-extended. */
  #compareAndSwapNarrow(size: number, physical: number, rd: number, rs2: number): void {
    const { memory, x, xlen } = this.#hart, words = xlen / 32, shift = 32 - 8 * size;
    const register = (n: number) => n === 0 ? 0 : x[n * words]! << shift >> shift;
    const old = memory.read(physical, size) << shift >> shift;
    if (old === register(rd)) memory.write(physical, size, register(rs2), 0);
    if (rd === 0) return;
    x[rd * words] = old;
    if (xlen === 64) x[2 * rd + 1] = old >> 31;
  }
}
