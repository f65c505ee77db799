// The supervisor software interrupts of the RISC-V Advanced Core Local Interruptor ("ACLINT", chapter "SSWI"): a register for each hart, through
// which S-mode sends an interrupt without a call of the firmware.

import type { AccessRule, Device, Width } from "./device.ts";

/** An SSWI device. Reads give 0. */
export class Sswi implements Device {
  /** Name for messages, e.g. `sswi@2f00000`. */
  readonly name: string;
  /** Length of the register block in bytes. */
  readonly size = 0x4000;
  /** Words, as in QEMU. */
  readonly access: AccessRule = { min: 4, max: 4 };
  readonly #harts: readonly (() => void)[];

  /** `harts`: by number, what makes the supervisor software interrupt of a hart pending; the hart itself takes that back. */
  constructor(name: string, harts: readonly (() => void)[]) {
    this.name = name;
    this.#harts = harts;
  }

  /** Always 0. */
  read(): number {
    return 0;
  }

  /** Bit 0 of a hart's word makes its interrupt pending. */
  write(offset: number, _width: Width, value: number): void {
    if ((value & 1) !== 0) this.#harts[offset >> 2]?.();
  }

  /** It has no state. */
  reset(): void {}
  /** It has no state. */
  snapshot(): unknown {
    return null;
  }
  /** It has no state. */
  restore(): void {}
}
