// SiFive's test device, through which a guest ends the run or resets the machine. Its commands are those of QEMU 7.2's
// `sifive_test`, which the device tree offers to guests as `syscon-poweroff` and `syscon-reboot`.

import type { AccessRule, Device, Width } from "./device.ts";

/** The commands, in bits 15 to 0 of a write to offset 0. */
export const FINISHER_COMMAND = {
  /** The run failed; bits 31 to 16 are the exit code. */
  fail: 0x3333,
  /** The run passed; exit code 0. */
  pass: 0x5555,
  /** The machine resets. */
  reset: 0x7777,
} as const;

/** What a `TestFinisher` is connected to. */
export interface TestFinisherOptions {
  /** Name for messages, e.g. `test@100000`. */
  readonly name: string;
  /** Ends the run; `code` has 16 bits. */
  readonly exit: (code: number) => void;
  /** Resets the machine. */
  readonly reset: () => void;
}

/** The test finisher: one write-only register at offset 0. It has no state. */
export class TestFinisher implements Device {
  /** Name for messages. */
  readonly name: string;
  /** Length of the register block in bytes. */
  readonly size = 0x1000;
  /** Halfwords and words, as in QEMU; other widths are an access fault. */
  readonly access: AccessRule = { min: 2, max: 4 };

  readonly #exit: (code: number) => void;
  readonly #reset: () => void;

  /** Connects the device. */
  constructor(options: TestFinisherOptions) {
    this.name = options.name;
    this.#exit = options.exit;
    this.#reset = options.reset;
  }

  /** Reads zero everywhere. */
  read(_offset: number, _width: Width): number {
    return 0;
  }

  /** Runs a command; anything else is ignored. */
  write(offset: number, _width: Width, value: number): void {
    if (offset !== 0) return;
    switch (value & 0xffff) {
      case FINISHER_COMMAND.fail:
        this.#exit(value >>> 16);
        break;
      case FINISHER_COMMAND.pass:
        this.#exit(0);
        break;
      case FINISHER_COMMAND.reset:
        this.#reset();
        break;
    }
  }

  /** Nothing to do. */
  reset(): void {}

  /** Nothing to keep. */
  snapshot(): unknown {
    return undefined;
  }

  /** Nothing to put back. */
  restore(_state: unknown): void {}
}
