// Watchpoints: who wants to know of loads and stores at certain addresses, and what keeps these accesses out of the fast paths
// of generated code. Code that accesses other memory runs as before; see `Watchpoints` for what each kind costs.

import { HIGH, unsigned64 } from "../isa/pair.ts";
import type { Hart } from "./hart.ts";
import { LINE_SHIFT, type Ram, WATCH } from "./memory.ts";
import { READ, WRITE } from "./pmp.ts";

/**
 * A load or store of a watched address. An AMO is both.
 *
 * @example
 * ```ts
 * import { Machine, type WatchedAccess } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const first = machine.symbols.lookup("ticks")!;
 * const hit = ({ address, oldValue, value }: WatchedAccess) => console.log(address, oldValue, value);
 * machine.watchpoints.add({ first, last: first + 7n, space: "virtual", kinds: 2, hit });
 * await machine.run();
 * ```
 */
export interface WatchedAccess {
  /** Number of the hart. */
  readonly hart: number;
  /** READ or WRITE (hart/pmp.ts). */
  readonly kind: number;
  /** Virtual address of the access, unsigned. */
  readonly address: bigint;
  /** Physical address of its first byte. */
  readonly physical: number;
  /** 1, 2, 4 or 8 bytes. A double-precision access of RV32 is two of 4. */
  readonly size: number;
  /** For a store: what is in memory before, unsigned; undefined where that is a device. */
  readonly oldValue: bigint | undefined;
  /** What is loaded or about to be stored, unsigned. Setting it (modulo its size) changes that. */
  value: bigint;
}

/**
 * What is watched, and who is told.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const first = machine.symbols.lookup("ticks")!;
 * machine.watchpoints.add({ first, last: first + 7n, space: "virtual", kinds: 2, hit: ({ value }) => console.log(value) });
 * await machine.run();
 * ```
 */
export interface Watch {
  /** First address. */
  readonly first: bigint;
  /** Last address. */
  readonly last: bigint;
  /** Whether these are addresses as the guest's instructions use them (virtual where it translates), or physical ones. */
  readonly space: "virtual" | "physical";
  /** READ (1) and WRITE (2), one or both. */
  readonly kinds: number;
  /**
   * Called after the load, or before the store, while the hart's registers and pc are exactly those of the instruction.
   * Whatever must stop the run ends the slice (`Count.stop`).
   */
  readonly hit: (access: WatchedAccess) => void;
}

/**
 * Where watches are added.
 *
 * @example
 * ```ts
 * import { Machine, type Watch, type WatchList } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * const list: WatchList = machine.watchpoints, first = machine.symbols.lookup("ticks")!;
 * const watch: Watch = { first, last: first + 7n, space: "virtual", kinds: 2, hit: () => machine.stop() };
 * list.add(watch);
 * await machine.run();
 * list.remove(watch);
 * ```
 */
export interface WatchList {
  /** Watches, from the next access on. Also while the guest runs. */
  add(watch: Watch): void;
  /** Watches no longer. */
  remove(watch: Watch): void;
}

/** A stretch of addresses with equal high halves; both ends unsigned. */
interface Piece {
  readonly high: number;
  readonly first: number;
  readonly last: number;
  readonly kinds: number;
  readonly watch: Watch;
}

/** A stretch of physical addresses. */
type Stretch = Omit<Piece, "high">;

const LOW = 0xffff_ffffn;

/**
 * The watchpoints of a machine. A write watch marks the 64-byte lines of RAM that it lies on: stores to these take the slow
 * path. A read watch of RAM makes all loads go through the translation look-aside buffers, which never hold its pages.
 */
export class Watchpoints implements WatchList {
  readonly #ram: Ram;
  readonly #harts: readonly Hart[];
  readonly #watches = new Set<Watch>();
  /** By virtual address: READ, WRITE. */
  #virtual: readonly Piece[] = [];
  #physical: readonly Stretch[] = [];
  /** Lines of RAM that are marked. */
  readonly #marked = new Set<number>();

  /** `harts` share the memory and all watchpoints. */
  constructor(ram: Ram, harts: readonly Hart[]) {
    this.#ram = ram;
    this.#harts = harts;
  }

  add(watch: Watch): void {
    this.#watches.add(watch);
    this.#changed();
  }
  remove(watch: Watch): void {
    if (this.#watches.delete(watch)) this.#changed();
  }

  #changed(): void {
    const all = [...this.#watches];
    this.#virtual = all.filter(({ space }) => space === "virtual").flatMap(pieces);
    this.#physical = all.filter(({ space }) => space === "physical").map((watch) => ({
      first: Number(watch.first),
      last: Number(watch.last),
      kinds: watch.kinds,
      watch,
    }));
    const { lines, base, size } = this.#ram;
    for (const line of this.#marked) lines[line]! &= ~WATCH.watchpoint;
    this.#marked.clear();
    // Virtual addresses are physical ones while nothing is translated.
    for (const { first, last, kinds } of all) {
      if ((kinds & WRITE) !== 0) this.#mark(Number(first) - base, Number(last) - base);
    }
    // Virtual ones may lead to RAM from anywhere.
    const loads = all.some(({ first, last, kinds, space }) =>
      (kinds & READ) !== 0 && (space === "virtual" || (Number(last) >= base && Number(first) < base + size))
    );
    for (const hart of this.#harts) {
      hart.watchpoints = all.length > 0 ? this : null;
      hart.watchesLoads = loads;
      hart.translationChanged();
    }
  }

  /** Marks the lines of RAM between two offsets. */
  #mark(first: number, last: number): void {
    const { lines, size } = this.#ram, end = Math.min(last, size - 1);
    if (first >= size || last < 0) return;
    for (let line = Math.max(first, 0) >>> LINE_SHIFT; line <= end >>> LINE_SHIFT; line++) {
      lines[line]! |= WATCH.watchpoint;
      this.#marked.add(line);
    }
  }

  /**
   * To be called before a translation is remembered: the page (its virtual address, and its offset in RAM) may be in the
   * look-aside buffers if this is true; lines of it that stores must not reach directly are marked.
   */
  mayRemember(low: number, high: number, offset: number): boolean {
    const first = (low & -4096) >>> 0, last = first + 4095;
    let may = true;
    for (const piece of this.#virtual) {
      if (piece.high !== high >>> 0 || piece.last < first || piece.first > last) continue;
      if ((piece.watch.kinds & READ) !== 0) may = false;
      const to = offset - first;
      if ((piece.watch.kinds & WRITE) !== 0) {
        this.#mark(Math.max(piece.first, first) + to, Math.min(piece.last, last) + to);
      }
    }
    const page = this.#ram.base + offset;
    for (const watch of this.#physical) {
      if ((watch.kinds & READ) !== 0 && watch.first < page + 4096 && watch.last >= page) may = false;
    }
    return may;
  }

  /**
   * Whether an access hits a watch; `kind` is READ, WRITE, or both, `rest` the physical address of the part in the next page, or -1.
   */
  concerns(kind: number, low: number, high: number, physical: number, rest: number, size: number): boolean {
    for (const piece of this.#virtual) if (hitsPiece(piece, kind, low, high, size)) return true;
    for (const watch of this.#physical) if (hitsWatch(watch, kind, low, physical, rest, size)) return true;
    return false;
  }

  #hits(kind: number, low: number, high: number, physical: number, rest: number, size: number): Watch[] {
    return [
      ...this.#virtual.filter((piece) => hitsPiece(piece, kind, low, high, size)).map(({ watch }) => watch),
      ...this.#physical.filter((watch) => hitsWatch(watch, kind, low, physical, rest, size)).map(({ watch }) => watch),
    ];
  }

  /** Tells of an access; gives the low half of its value afterwards, with the high half in HIGH[0]. */
  tell(
    hart: Hart,
    kind: number,
    low: number,
    high: number,
    physical: number,
    rest: number,
    size: number,
    value: number,
    valueHigh: number,
  ): number {
    const hits = this.#hits(kind, low, high, physical, rest, size);
    if (hits.length === 0) {
      HIGH[0] = valueHigh;
      return value;
    }
    if (size === 8 && hart.xlen === 32) {
      const inFirst = rest < 0 ? 8 : 4096 - (low & 4095), upperAt = inFirst > 4 ? physical + 4 : rest + 4 - inFirst;
      const lower = this.tell(hart, kind, low, high, physical, inFirst < 4 ? rest : -1, 4, value, 0);
      const upper = this.tell(hart, kind, (low + 4) | 0, high, upperAt, inFirst > 4 ? rest : -1, 4, valueHigh, 0);
      HIGH[0] = upper;
      return lower;
    }
    const bits = 8 * size;
    const access: { -readonly [K in keyof WatchedAccess]: WatchedAccess[K] } = {
      hart: hart.id,
      kind,
      address: BigInt.asUintN(hart.xlen, unsigned64(low, high)),
      physical,
      size,
      oldValue: kind === WRITE ? this.#bytes(low, physical, rest, size) : undefined,
      value: BigInt.asUintN(bits, unsigned64(value, valueHigh)),
    };
    for (const watch of hits) {
      watch.hit(access);
      access.value = BigInt.asUintN(bits, access.value);
    }
    HIGH[0] = size === 8 ? Number(BigInt.asIntN(32, access.value >> 32n)) : 0;
    return Number(BigInt.asIntN(32, access.value));
  }

  /** What is in RAM; undefined where something else is. */
  #bytes(low: number, physical: number, rest: number, size: number): bigint | undefined {
    const { base, u8 } = this.#ram, inFirst = rest < 0 ? size : 4096 - (low & 4095);
    let value = 0n;
    for (let k = size - 1; k >= 0; k--) {
      const byte = u8[(k < inFirst ? physical + k : rest + k - inFirst) - base];
      if (byte === undefined) return undefined;
      value = value << 8n | BigInt(byte);
    }
    return value;
  }
}

function hitsPiece(
  { high, first, last, kinds }: Piece,
  kind: number,
  low: number,
  atHigh: number,
  size: number,
): boolean {
  return (kinds & kind) !== 0 && last >= low >>> 0 && first <= (low >>> 0) + size - 1 && high === atHigh >>> 0;
}

function hitsWatch(watch: Stretch, kind: number, low: number, physical: number, rest: number, size: number): boolean {
  if ((watch.kinds & kind) === 0) return false;
  const inFirst = rest < 0 ? size : 4096 - (low & 4095);
  if (watch.first < physical + inFirst && watch.last >= physical) return true;
  return rest >= 0 && watch.first < rest + size - inFirst && watch.last >= rest;
}

/** The range of a watch, cut at multiples of 4 GiB. */
function pieces(watch: Watch): Piece[] {
  const result: Piece[] = [];
  for (let first = watch.first; first <= watch.last; first = (first | LOW) + 1n) {
    const last = (first | LOW) < watch.last ? first | LOW : watch.last;
    result.push({
      high: Number(first >> 32n),
      first: Number(first & LOW),
      last: Number(last & LOW),
      kinds: watch.kinds,
      watch,
    });
  }
  return result;
}
