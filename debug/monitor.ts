// The monitor: commands about the machine, in QEMU's words.

import type { Machine } from "../machine/machine.ts";

/** The commands of a monitor. */
export class Monitor {
  readonly #machine: Machine;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Executes a command; gives what it prints. */
  execute(line: string): string {
    void this.#machine;
    return `unknown command: '${line}'\n`;
  }
}
