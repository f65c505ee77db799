// Virtual time: the clock that devices see and the alarms they set, as a function of the instructions executed.

import type { Alarm, Clock } from "../devices/device.ts";
import type { Count } from "../hart/counter.ts";

/** One armed alarm. */
interface Pending {
  /** Nanoseconds. */
  at: number;
  /** Breaks ties: alarms of the same moment expire in the order in which they were set. */
  order: number;
  readonly expire: () => void;
}

/** How many instructions run between looks at the host's clock. */
const HOST_SLICE = 100_000;

/** The clock of a machine. */
export class Timeline implements Clock {
  readonly #count: Count;
  /** An instruction takes 2^shift nanoseconds. */
  readonly #nanosecondsPerCycle: number;
  readonly #hostClock: (() => number) | undefined;
  #pending: Pending[] = [];
  #orders = 0;

  /** `hostClock`, if given, gives nanoseconds since power-on and takes the place of counting instructions. */
  constructor(count: Count, shift: number, hostClock?: () => number) {
    this.#count = count;
    this.#nanosecondsPerCycle = 2 ** shift;
    this.#hostClock = hostClock;
  }

  now(): number {
    return this.#hostClock?.() ?? this.#count.cycles() * this.#nanosecondsPerCycle;
  }

  alarm(expire: () => void): Alarm {
    const alarm: Pending = { at: 0, order: 0, expire };
    return {
      set: (nanoseconds) => {
        this.#remove(alarm);
        alarm.at = nanoseconds;
        alarm.order = this.#orders++;
        this.#pending.push(alarm);
        this.#pending.sort((a, b) => a.at - b.at || a.order - b.order);
        this.#count.limit(this.cyclesToNext());
      },
      cancel: () => this.#remove(alarm),
    };
  }

  #remove(alarm: Pending): void {
    const index = this.#pending.indexOf(alarm);
    if (index >= 0) this.#pending.splice(index, 1);
  }

  /** Cycles until the next alarm: at least 0, Infinity if there is none. */
  cyclesToNext(): number {
    return this.cyclesTo(this.#pending[0]?.at ?? Infinity);
  }

  /** Cycles until a moment of virtual time (nanoseconds): at least 0. */
  cyclesTo(nanoseconds: number): number {
    if (nanoseconds === Infinity) return Infinity;
    if (this.#hostClock !== undefined) return nanoseconds <= this.now() ? 0 : HOST_SLICE;
    return Math.max(0, Math.ceil(nanoseconds / this.#nanosecondsPerCycle) - this.#count.cycles());
  }

  /** Nanoseconds of host time until the next alarm, where time follows the host; undefined where it does not. */
  hostWait(): number | undefined {
    if (this.#hostClock === undefined) return undefined;
    return Math.max(0, (this.#pending[0]?.at ?? Infinity) - this.now());
  }

  /** Lets every alarm expire whose moment has come. */
  expire(): void {
    while (this.#pending.length > 0 && this.#pending[0]!.at <= this.now()) this.#pending.shift()!.expire();
  }
}
