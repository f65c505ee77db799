// GDB on Debian's Linux with the kernel's symbols: what it prints is the same with hartbeat and with QEMU as its target.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { linuxFile } from "../scripts/fetch_linux.ts";
import { kernelSymbols, symbolElf } from "../scripts/linux_symbols.ts";
import { gdbMissing, gdbOfHartbeat, gdbOfQemu } from "./support/gdb.ts";
import { linuxMissing } from "./support/linux.ts";
import { qemuMissing } from "./support/qemu.ts";

// Ten seconds of a processor.
const takesLong = "Deno" in globalThis ? false : "runs under Deno only, since it takes long";

/** GDB's text without which of the harts the firmware starts first, which is a matter of luck. */
function normal(text: string): string {
  const lines = text.split("\n").filter((line) => !line.startsWith("[Switching to")).map((line) =>
    line.replace(/^Thread \d hit /, "Thread hit ").replace(/^([* ]) \d +Thread 1\.\d \(CPU#\d /, "$1 Thread (")
  );
  const harts = lines.filter((line) => /^[* ] Thread \(/.test(line)).sort();
  return lines.map((line) => /^[* ] Thread \(/.test(line) ? harts.shift() : line).join("\n");
}

/** As `normal`, of the part before a mark. */
const before = (text: string) => normal(text.slice(0, text.indexOf("@@")));

test("Linux with its symbols: hbreak start_kernel, backtraces in an interrupt and four harts read as with QEMU", {
  skip: linuxMissing() || takesLong || gdbMissing() || qemuMissing(64),
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-linux-")), elf = join(folder, "symbols.elf");
  const file = (name: string) => linuxFile(name)!;
  try {
    writeFileSync(elf, symbolElf(kernelSymbols(new Uint8Array(readFileSync(file("Image"))))));
    const commands = [
      ...["set osabi none", "x/i start_kernel", "hbreak start_kernel", "continue", "bt", "p $priv", "x/3i $pc"],
      ...["info threads", "stepi", "info symbol $pc", "p/x (long)$satp >> 60", "x/s linux_banner", "delete"],
      ...["hbreak riscv_timer_interrupt", "continue", "bt", "p/x $scause", "finish", "echo @@\\n"],
    ];
    const more = ["monitor bt", "delete", "hbreak smp_cpus_done", "continue", "info threads", "bt", "echo @@end\\n"];
    const append = "nokaslr", memory = "128M", smp = 4;
    const loads = ["-bios", file("fw_jump.bin"), "-kernel", file("Image"), "-append", append, "-m", memory];
    const { text } = await gdbOfHartbeat(elf, [...commands, ...more], {
      ...{ bios: file("fw_jump.bin"), kernel: file("Image"), append, memory, smp },
      symbols: [{ file: elf }],
    });
    const expected = await gdbOfQemu(64, elf, [...commands, "kill"], ["-smp", String(smp)], loads);
    assert.equal(before(text), before(expected));
    assert.match(text, /^Thread 1 hit Breakpoint 1, 0xffffffff[0-9a-f]+ in start_kernel \(\)$/m);
    assert.equal(
      text.match(/^ {2}\d +Thread 1\.\d \(CPU#\d \[halted \]\) 0x00000000800\w+ in \?\? \(\)$/gm)?.length,
      3,
    );
    assert.match(text, /^#0 .* in riscv_timer_interrupt \(\)\n#1 .* in handle_percpu_devid_irq \(\)$/m);
    // Where GDB gives up, hartbeat goes on through the trap.
    const backtrace = text.slice(text.indexOf("@@"));
    assert.match(
      backtrace,
      /in do_irq \(\)\r?\n#\d+ .* in handle_exception \(\)\r?\n {4}<trap>\r?\n(#\d+ .* in \w+ \(\)\r?\n)+#\d+ .* in (start_kernel|ret_from_fork) /,
    );
    const parked = /^ {2}\d +Thread 1\.\d \(CPU#\d \[halted \]\) 0xf\w+ in arch_cpu_idle \(\)$/gm;
    assert.equal(backtrace.match(parked)?.length, 3, backtrace);
    assert.match(backtrace, /^#0 .* in smp_cpus_done \(\)\n#1 .* in smp_init \(\)$/m);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
