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
  readonly #alarms: readonly Alarm[];
  readonly #msip: Uint8Array;
  readonly #compareLow: Int32Array;
  readonly #compareHigh: Int32Array;
  // `mtime` minus the ticks since power-on, modulo 2^64.
  #offsetLow = 0;
  #offsetHigh = 0;

  /** Connects the CLINT and puts it into its reset state. */
  constructor(options: ClintOptions) {
    this.name = options.name;
    this.#clock = options.clock;
    this.#harts = options.harts;
    this.#alarms = options.harts.map((_, hart) => options.clock.alarm(() => this.#updateTimer(hart)));
    this.#msip = new Uint8Array(options.harts.length);
    this.#compareLow = new Int32Array(options.harts.length);
    this.#compareHigh = new Int32Array(options.harts.length);
    this.reset();
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
      const compare = offset & 4 ? this.#compareHigh : this.#compareLow;
      return compare[(offset - MTIMECMP_BASE) >> 3] ?? 0;
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
      const hart = (offset - MTIMECMP_BASE) >> 3;
      if (hart >= this.#harts.length) return;
      const compare = offset & 4 ? this.#compareHigh : this.#compareLow;
      compare[hart] = value;
      this.#updateTimer(hart);
    } else if (offset === MTIME) {
      this.#setTime(value, this.timeHigh());
    } else if (offset === MTIME + 4) {
      this.#setTime(this.timeLow(), value);
    }
  }

  /** `mtime`, all `mtimecmp` and all `msip` become zero, so every timer interrupt is pending, as in QEMU. */
  reset(): void {
    this.#msip.fill(0);
    this.#compareLow.fill(0);
    this.#compareHigh.fill(0);
    this.#setTime(0, 0);
    this.#driveSoftwareLines();
  }

  /** All registers; `mtime` as its distance from the clock, which is restored separately. */
  snapshot(): unknown {
    const state: State = {
      offsetLow: this.#offsetLow,
      offsetHigh: this.#offsetHigh,
      msip: this.#msip.slice(),
      compareLow: this.#compareLow.slice(),
      compareHigh: this.#compareHigh.slice(),
    };
    return state;
  }

  /** Puts back what `snapshot` gave, of a CLINT with as many harts; the clock must be restored already. */
  restore(state: unknown): void {
    const saved = state as State;
    this.#offsetLow = saved.offsetLow;
    this.#offsetHigh = saved.offsetHigh;
    this.#msip.set(saved.msip);
    this.#compareLow.set(saved.compareLow);
    this.#compareHigh.set(saved.compareHigh);
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
    for (let hart = 0; hart < this.#harts.length; hart++) this.#updateTimer(hart);
  }

  /**
   * Drives a hart's timer line to `mtime >= mtimecmp` (unsigned) and arms its alarm for the moment at which that
   * changes: when `mtime` reaches `mtimecmp`, or when it wraps to zero.
   */
  #updateTimer(hart: number): void {
    const ticks = this.#ticks();
    const time = (BigInt(this.timeHigh() >>> 0) << 32n) | BigInt(this.timeLow() >>> 0);
    const compare = (BigInt(this.#compareHigh[hart] >>> 0) << 32n) | BigInt(this.#compareLow[hart] >>> 0);
    const pending = time >= compare;
    this.#harts[hart].timer.set(pending);
    const ticksToChange = (pending ? 1n << 64n : compare) - time;
    // A large difference loses low bits as a double; such a moment is far beyond what the clock can count.
    const moment = (ticks + Number(ticksToChange)) * NANOSECONDS_PER_TICK;
    const never = pending && compare === 0n;
    if (!never && moment <= Number.MAX_SAFE_INTEGER) this.#alarms[hart].set(moment);
    else this.#alarms[hart].cancel();
  }
}
