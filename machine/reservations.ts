// Keeps LR's reservations honest while other harts execute (unprivileged manual, "Zalrsc"): an SC fails if, and only if, the
// doubleword was written since the LR by another hart or a device. A hart's own turn costs nothing: only when it ends with
// a reservation is the line of RAM watched, so that stores to it take the slow path.

import type { Hart } from "../hart/hart.ts";
import { LINE_SHIFT, type Ram, WATCH } from "../hart/memory.ts";

/** Bytes that a reservation covers, aligned to their number. */
const COVERED = 8;

/** The reservations of all harts. */
export class Reservations {
  readonly #harts: readonly Hart[];
  readonly #ram: Ram;

  constructor(harts: readonly Hart[], ram: Ram) {
    this.#harts = harts;
    this.#ram = ram;
  }

  #line(hart: Hart): number {
    return (hart.reservation - this.#ram.base) >>> LINE_SHIFT;
  }

  /** Watches the reservation of a hart whose turn has ended. */
  watch(hart: Hart): void {
    if (hart.reservation >= 0) this.#ram.lines[this.#line(hart)]! |= WATCH.reserved;
  }

  /** Ends that, as the hart's next turn begins or its reservation is lost. */
  release(hart: Hart): void {
    if (hart.reservation < 0) return;
    const line = this.#line(hart);
    const shared = this.#harts.some((other) =>
      other !== hart && !other.isRunning && other.reservation >= 0 && this.#line(other) === line
    );
    if (!shared) this.#ram.lines[line]! &= ~WATCH.reserved;
  }

  #drop(hart: Hart, offset: number, length: number): void {
    const start = hart.reservation - hart.reservation % COVERED - this.#ram.base;
    if (hart.reservation < 0 || offset >= start + COVERED || offset + length <= start) return;
    this.release(hart);
    hart.reservation = -1;
  }

  /** The running hart has written a watched line. */
  written(offset: number, length: number): void {
    for (const hart of this.#harts) if (!hart.isRunning) this.#drop(hart, offset, length);
  }

  /** A device, the debugger or a script has written. */
  writtenFromOutside(offset: number, length: number): void {
    for (const hart of this.#harts) this.#drop(hart, offset, length);
  }
}
