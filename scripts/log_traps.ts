// Logs every trap, as QEMU's `-d int` does: cause, where it came, its value, which level takes it.
//
//     hartbeat -bios kernel.elf -script scripts/log_traps.ts

import type { Machine } from "../mod.ts";

/** Logs traps. */
export default function logTraps(machine: Machine, { say = console.log }: { say?: (line: string) => void } = {}): void {
  machine.hook.trap({}, (t) => {
    const kind = t.interrupt ? "interrupt" : "exception", value = t.value.toString(16);
    say(
      `hart ${t.hart.id}: ${kind} ${t.code} (${t.cause}) at 0x${
        t.pc.toString(16)
      } <${t.place}>, value 0x${value}, ${t.from} to ${t.to}`,
    );
  });
}
