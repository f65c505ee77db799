// What the tests of devices hold in place of a machine: virtual time that the test moves, and interrupt lines to look at.

import type { Alarm, Clock, InterruptLine } from "../devices/device.ts";

/** Virtual time under a test's control. */
export class FakeClock implements Clock {
  #now = 0;
  #alarms: { moment: number | undefined; expire: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  alarm(expire: () => void): Alarm {
    const entry: { moment: number | undefined; expire: () => void } = { moment: undefined, expire };
    this.#alarms.push(entry);
    return {
      set: (nanoseconds) => {
        if (!Number.isSafeInteger(nanoseconds)) throw new RangeError(`alarm at ${nanoseconds}`);
        entry.moment = nanoseconds;
      },
      cancel: () => entry.moment = undefined,
    };
  }

  /** Moments of the armed alarms, earliest first. */
  armed(): number[] {
    return this.#alarms.flatMap(({ moment }) => moment === undefined ? [] : [moment]).sort((a, b) => a - b);
  }

  /** Moves time to `moment`; alarms on the way expire in order, each at its own moment. */
  advanceTo(moment: number): void {
    for (;;) {
      const due = this.#alarms.filter((entry) => entry.moment !== undefined && entry.moment <= moment)
        .sort((a, b) => a.moment! - b.moment!)[0];
      if (due === undefined) break;
      this.#now = Math.max(this.#now, due.moment!);
      due.moment = undefined;
      due.expire();
    }
    this.#now = moment;
  }

  /** Moves time on by `nanoseconds`. */
  advance(nanoseconds: number): void {
    this.advanceTo(this.#now + nanoseconds);
  }
}

/** An interrupt line that remembers its level. */
export class FakeLine implements InterruptLine {
  level = false;

  set(level: boolean): void {
    this.level = level;
  }
}
