// The core-local interruptor of the `virt` and `spike` boards: software interrupts, `mtime` and the timers. Register
// map of SiFive's FU540-C000 manual, chapter "Core Local Interruptor"; `mtime` and `mtimecmp` as in the RISC-V
// privileged manual, "Machine Timer (mtime and mtimecmp) Registers". What neither settles is as in QEMU 7.2.

import type { AccessRule, Alarm, Clock, Device, InterruptLine, Width } from "./device.ts";

/** Ticks of `mtime` per second of virtual time; the device tree's `timebase-frequency`. */
export const TIMEBASE_HZ = 10_000_000;

/** Harts that the register map has room for (RISC-V ACLINT specification, MSWI device: 4095, then a reserved word). */
export const CLINT_MAX_HARTS = 4095;

/** The two interrupt inputs of a hart that the CLINT drives. */
export interface ClintHart {
  /** Machine software interrupt, `mip.MSIP`. */
  readonly software: InterruptLine;
  /** Machine timer interrupt, `mip.MTIP`. */
  readonly timer: InterruptLine;
}

/** What a `Clint` is connected to. */
export interface ClintOptions {
  /** Name for messages, e.g. `clint@2000000`. */
  readonly name: string;
  /** Virtual time. */
  readonly clock: Clock;
  /** Interrupt inputs by hart number, up to `CLINT_MAX_HARTS`. */
  readonly harts: readonly ClintHart[];
}

const NANOSECONDS_PER_TICK = 1e9 / TIMEBASE_HZ;
const MSIP_BASE = 0x0000;
const MTIMECMP_BASE = 0x4000;
const MTIME = 0xbff8;
const TWO_TO_32 = 2 ** 32;

/** Compares `mtime` with a register that is elsewhere, as stimecmp is in a hart. */
export interface Comparator {
  /** Sets what `mtime` is compared with, by halves (int32). */
  compare(low: number, high: number): void;
}

/** A comparison of `mtime` with a value, and the line that tells its result. */
interface Timer {
  readonly line: InterruptLine;
  readonly alarm: Alarm;
  low: number;
  high: number;
}

/** What `snapshot` returns; words are int32. */
interface State {
  offsetLow: number;
  offsetHigh: number;
  msip: Uint8Array;
  compareLow: Int32Array;
  compareHigh: Int32Array;
}

/** A SiFive CLINT for any number of harts. Registers are words; a doubleword is two of them. */
export class Clint implements Device {
  /** Name for messages. */
  readonly name: string;
  /** Length of the register block in bytes. */
  readonly size = 0x10000;
  /** Words and doublewords, as in QEMU: a byte or halfword is an access fault. */
  readonly access: AccessRule = { min: 4, max: 8 };

  readonly #clock: Clock;
  readonly #harts: readonly ClintHart[];
  readonly #msip: Uint8Array;
  /** Those of `mtimecmp` by hart number. */
  readonly #timers: readonly Timer[];
  /** Those of `comparator`. */
  readonly #comparators: Timer[] = [];
  // `mtime` minus the ticks since power-on, modulo 2^64.
  #offsetLow = 0;
  #offsetHigh = 0;

  /** Connects the CLINT and puts it into its reset state. */
  constructor(options: ClintOptions) {
    this.name = options.name;
    this.#clock = options.clock;
    this.#harts = options.harts;
    this.#timers = options.harts.map(({ timer }) => this.#timer(timer));
    this.#msip = new Uint8Array(options.harts.length);
    this.reset();
  }

  #timer(line: InterruptLine): Timer {
    const timer: Timer = {
      line,
      alarm: this.#clock.alarm(() => this.#updateTimer(timer)),
      low: 0,
      high: 0,
    };
    return timer;
  }

  /** Makes a comparator that drives `line` to `mtime` >= its value (unsigned), which is all ones at first. */
  comparator(line: InterruptLine): Comparator {
    const timer = this.#timer(line);
    this.#comparators.push(timer);
    const compare = (low: number, high: number) => {
      timer.low = low;
      timer.high = high;
      this.#updateTimer(timer);
    };
    compare(-1, -1);
    return { compare };
  }

  /** Bits 31 to 0 of `mtime` now, as int32. */
  timeLow(): number {
    return (this.#ticks() + this.#offsetLow) | 0;
  }

  /** Bits 63 to 32 of `mtime` now, as int32. */
  timeHigh(): number {
    const ticks = this.#ticks();
    const carry = (ticks % TWO_TO_32) + (this.#offsetLow >>> 0) >= TWO_TO_32 ? 1 : 0;
    return (Math.floor(ticks / TWO_TO_32) + carry + this.#offsetHigh) | 0;
  }

  /** Reads a word; offsets without a register, and those of harts that are not there, read as zero. */
  read(offset: number, _width: Width): number {
    if (offset < MTIMECMP_BASE) return this.#msip[(offset - MSIP_BASE) >> 2] ?? 0;
    if (offset < MTIME) {
      const timer = this.#timers[(offset - MTIMECMP_BASE) >> 3];
      return (offset & 4 ? timer?.high : timer?.low) ?? 0;
    }
    if (offset === MTIME) return this.timeLow();
    if (offset === MTIME + 4) return this.timeHigh();
    return 0;
  }

  /** Writes a word; only bit 0 of `msip` is writable. A word without a register ignores the write. */
  write(offset: number, _width: Width, value: number): void {
    if (offset < MTIMECMP_BASE) {
      const hart = (offset - MSIP_BASE) >> 2;
      if (hart >= this.#harts.length) return;
      this.#msip[hart] = value & 1;
      this.#harts[hart].software.set((value & 1) !== 0);
    } else if (offset < MTIME) {
      const timer = this.#timers[(offset - MTIMECMP_BASE) >> 3];
      if (timer === undefined) return;
      if ((offset & 4) !== 0) timer.high = value | 0;
      else timer.low = value | 0;
      this.#updateTimer(timer);
    } else if (offset === MTIME) {
      this.#setTime(value, this.timeHigh());
    } else if (offset === MTIME + 4) {
      this.#setTime(this.timeLow(), value);
    }
  }

  /** `mtime`, all `mtimecmp` and all `msip` become zero, so every timer interrupt is pending, as in QEMU. */
  reset(): void {
    this.#msip.fill(0);
    for (const timer of this.#timers) timer.low = timer.high = 0;
    this.#setTime(0, 0);
    this.#driveSoftwareLines();
  }

  /** All registers; `mtime` as its distance from the clock, which is restored separately. */
  snapshot(): unknown {
    const state: State = {
      offsetLow: this.#offsetLow,
      offsetHigh: this.#offsetHigh,
      msip: this.#msip.slice(),
      compareLow: Int32Array.from(this.#timers, ({ low }) => low),
      compareHigh: Int32Array.from(this.#timers, ({ high }) => high),
    };
    return state;
  }

  /** Puts back what `snapshot` gave, of a CLINT with as many harts; the clock must be restored already. */
  restore(state: unknown): void {
    const saved = state as State;
    this.#offsetLow = saved.offsetLow;
    this.#offsetHigh = saved.offsetHigh;
    this.#msip.set(saved.msip);
    this.#timers.forEach((timer, hart) => {
      timer.low = saved.compareLow[hart]!;
      timer.high = saved.compareHigh[hart]!;
    });
    this.#driveSoftwareLines();
    this.#updateTimers();
  }

  /** Whole ticks of virtual time since power-on; below 2^47, so exact. */
  #ticks(): number {
    return Math.floor(this.#clock.now() / NANOSECONDS_PER_TICK);
  }

  #setTime(low: number, high: number): void {
    const ticks = this.#ticks();
    const ticksLow = ticks % TWO_TO_32;
    const borrow = low >>> 0 < ticksLow ? 1 : 0;
    this.#offsetLow = (low - ticksLow) | 0;
    this.#offsetHigh = (high - Math.floor(ticks / TWO_TO_32) - borrow) | 0;
    this.#updateTimers();
  }

  #driveSoftwareLines(): void {
    this.#harts.forEach((hart, index) => hart.software.set(this.#msip[index] !== 0));
  }

  #updateTimers(): void {
    for (const timer of this.#timers) this.#updateTimer(timer);
    for (const timer of this.#comparators) this.#updateTimer(timer);
  }

  /**
   * Drives a timer's line to `mtime >= mtimecmp` (unsigned) and arms its alarm for the moment at which that
   * changes: when `mtime` reaches `mtimecmp`, or when it wraps to zero.
   */
  #updateTimer(timer: Timer): void {
    const ticks = this.#ticks();
    const time = (BigInt(this.timeHigh() >>> 0) << 32n) | BigInt(this.timeLow() >>> 0);
    const compare = (BigInt(timer.high >>> 0) << 32n) | BigInt(timer.low >>> 0);
    const pending = time >= compare;
    timer.line.set(pending);
    const ticksToChange = (pending ? 1n << 64n : compare) - time;
    // A large difference loses low bits as a double; such a moment is far beyond what the clock can count.
    const moment = (ticks + Number(ticksToChange)) * NANOSECONDS_PER_TICK;
    const never = pending && compare === 0n;
    if (!never && moment <= Number.MAX_SAFE_INTEGER) timer.alarm.set(moment);
    else timer.alarm.cancel();
  }
}
