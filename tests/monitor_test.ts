// The monitor: what it prints beside what QEMU's prints for the same commands, and what only hartbeat has.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { Monitor } from "../debug/monitor.ts";
import { MonitorTerminal } from "../debug/monitor_terminal.ts";
import { debugAccess } from "../machine/debug_access.ts";
import { Machine } from "../machine/machine.ts";
import { freePort, hartbeat, program, Running } from "./support/command.ts";
import { monitorOfQemu, qemuMissing } from "./support/qemu.ts";

const COMMANDS = `
info status
info mem
x/4xw 0x1000
xp/2xg 0x1000
x/3c 0x1000
x/4db 0x1000
x/2uh 0x1000
x/2ow 0x1000
x 0x1000
x 0x0
xp 0x0
x/s 0x1000
p 1+2*3
p/x 1+2*3
p/d 0x10
p/c 65
print/o 8
p foo
p $foo
foo bar
info foo
cpu 0
cpu 5
sum 0x1000 16
info status
x
x/
cpu
x/4q 0x1000
p (1
p/x 0x10 | 3
p ~0
p -1
p/d -1
p 1<2
sum
cpu abc
help x
help cont
help info status
x/4xw 0x80000000
x/3xg 0x80000000
x/5dh 0x80000000
x/20xb 0x80000000
x/4xw 0x87fffff8
x/2dg 0x80000000
x/2dw 0x80000000
xp/4xw 0x1018
p 'a'
p 5%3*2
p 10-2-3
p 1+2&3
p 0777
p 99999999999999999999
p $
p
p/q 1
info registers
info registers 0
info registers 3
`.trim().split("\n");

/** What QEMU's monitor answers, before the first instruction. */
function qemuMonitor(xlen: 32 | 64, elf: string, commands: readonly string[]): string[] {
  const text = monitorOfQemu(xlen, ["-cpu", `rv${xlen},h=off`, "-smp", "2", "-bios", elf], commands);
  // Each command is echoed with control sequences after the prompt, up to the end of its line.
  return text.replaceAll("\r", "").split("\n(qemu) ").slice(0, -1).map((part) =>
    `${part.split("\n").slice(1).join("\n")}\n`
  );
}

for (const [xlen, name] of [[32, "p0uart"], [64, "kernel"]] as const) {
  test(`RV${xlen}: the monitor answers as QEMU's does`, { skip: qemuMissing(xlen) }, async () => {
    const machine = await Machine.create({ bios: program(name), smp: 2 });
    const monitor = new Monitor(machine, { quit: () => {} });
    debugAccess(machine).control.halt();
    const expected = qemuMonitor(xlen, program(name), COMMANDS);
    const answers = COMMANDS.map((command) => [command, monitor.execute(command)]);
    assert.deepEqual(answers, COMMANDS.map((command, k) => [command, expected[k + 1] === "\n" ? "" : expected[k + 1]]));
  });
}

test("stop, cont and system_reset hold a machine, let it go and put it back to its first instruction", async () => {
  const machine = await Machine.create({ bios: program("echo") }),
    monitor = new Monitor(machine, { quit: () => machine.stop() });
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  const { control } = debugAccess(machine);
  control.attached++;
  const run = machine.run();
  await until(() => machine.instructions > 0);
  assert.equal(monitor.execute("info status"), "VM status: running\n");
  monitor.execute("stop");
  await until(() => control.halted);
  assert.equal(monitor.execute("info status"), "VM status: paused\n");
  monitor.execute("system_reset");
  assert.equal(machine.hart.pc, 0x1000n);
  assert.equal(monitor.execute("p/x $pc"), "0x1000\n");
  const before = machine.instructions;
  monitor.execute("c");
  await until(() => machine.instructions > before);
  assert.equal(monitor.execute("q"), "");
  assert.equal((await run).kind, "stopped");
});

test("with -no-reboot, system_reset ends the run", async () => {
  const machine = await Machine.create({ bios: program("echo"), reboot: false });
  debugAccess(machine).control.halt();
  const run = machine.run();
  new Monitor(machine, { quit: () => {} }).execute("system_reset");
  assert.equal((await run).kind, "reset");
});

test("x/i disassembles, info roms, mtree, qtree, cpus, jit and tlb tell what there is", async () => {
  const machine = await Machine.create({ bios: program("kernel"), smp: 2 }),
    monitor = new Monitor(machine, { quit: () => {} });
  assert.match(
    monitor.execute("x/2i 0x1000"),
    /^0x0000000000001000: {2}00000297 +auipc +t0,0x0\n0x0000000000001004: .*\n$/,
  );
  assert.match(monitor.execute("info roms"), /^addr=0000000080000000 size=0x\w+ mem=ram name=".*kernel.*"$/m);
  assert.match(monitor.execute("info mtree"), /^ {4}0000000080000000-0000000087ffffff \(prio 0, ram\): virt.ram$/m);
  assert.match(monitor.execute("info qtree"), /^ {2}dev: .*10000000.*\n {4}mmio 0000000010000000\//m);
  assert.match(monitor.execute("info cpus"), /^\* CPU #0: pc=0x0000000000001000\n {2}CPU #1/);
  assert.match(monitor.execute("info jit"), /^executed 0 instructions/);
  assert.equal(monitor.execute("info tlb"), "the TLB is empty\n");
  assert.equal(monitor.execute("p/x $a0 + $f0 + $mstatus * 0"), "0\n");
  assert.match(monitor.execute("help"), /^system_reset {2}-- reset the system$/m);
  assert.match(monitor.execute("info"), /^info registers \[-a\|vcpu\] -- /m);
});

test("a monitor's terminal edits lines and remembers them", async () => {
  const machine = await Machine.create({ bios: program("kernel") });
  let text = "";
  const terminal = new MonitorTerminal(new Monitor(machine, { quit: () => {} }), {
    write: (more) => text += more,
    echo: true,
    version: "1",
  });
  const type = (keys: string) => {
    text = "";
    terminal.receive(new TextEncoder().encode(keys));
    return text;
  };
  terminal.open();
  assert.equal(text, "hartbeat 1 monitor - type 'help' for more information\r\n(qemu) ");
  assert.equal(type("p 12\x7f\r\n"), "p 12\r\x1b[K(qemu) p 1\r\n0x1\r\n(qemu) ");
  assert.equal(type("junk\x15p 2\n"), "junk\r\x1b[K(qemu) p 2\r\n0x2\r\n(qemu) ");
  assert.equal(type("\x1b[A\x1b[A\n"), "\r\x1b[K(qemu) p 2\r\x1b[K(qemu) p 1\r\n0x1\r\n(qemu) ");
  assert.equal(type("\x1b[A\x1b[B\x1b[C\n"), "\r\x1b[K(qemu) p 1\r\x1b[K(qemu) \r\n(qemu) ");
});

test("-monitor stdio takes commands, and quit ends hartbeat with 0", () => {
  const args = ["-monitor", "stdio", "-serial", "null", "-S", "-bios", program("echo")];
  const { code, stdout } = hartbeat(args, "info status\nc\ninfo status\nq\n");
  assert.equal(code, 0);
  assert.match(
    stdout,
    /monitor - type 'help'.*\n\(qemu\) VM status: paused \(prelaunch\)\n\(qemu\) \(qemu\) VM status: running\n/,
  );
});

test("-monitor tcp: takes commands of one client after the other, and quit ends hartbeat with 0", async () => {
  const port = await freePort(), device = `tcp:127.0.0.1:${port},server=on,wait=off`;
  const guest = new Running([
    "-monitor",
    device,
    "-serial",
    "null",
    "-S",
    "-bios",
    program("sv39_kernel"),
    "-smp",
    "2",
  ]);
  /** Sends lines; gives what was answered when a text has come, or the connection has ended. */
  const session = async (lines: string, last: string): Promise<string> => {
    for (;;) {
      const socket = connect(port, "127.0.0.1"), { promise, resolve } = Promise.withResolvers<boolean>();
      let text = "";
      socket.on("connect", () => socket.write(lines)).on("error", () => resolve(false)).on(
        "close",
        () => resolve(text !== ""),
      );
      socket.on("data", (data) => {
        text += data;
        if (text.includes(last)) socket.end();
      });
      if (await promise) return text;
      // It does not listen yet.
      await new Promise((again) => setTimeout(again, 50));
    }
  };
  try {
    const first = await session("info status\nx /2xw 0x1000\np $mhartid\ncpu 1\np $mhartid\n", "0x1\r\n(qemu) ");
    assert.match(first, /monitor - type 'help' for more information\r\n\(qemu\) /);
    assert.match(first, /VM status: paused \(prelaunch\)\r\n\(qemu\) /);
    assert.match(first, /0000000000001000: 0x00000297 0x\w{8}\r\n\(qemu\) /);
    const second = await session("bt\nnonsense\nq\n", "nothing that it says");
    assert.match(second, /#0 {2}0x0000000000001000 in \?\? \(\)\r\n/);
    assert.match(second, /unknown command: 'nonsense'\r\n/);
    assert.equal(await guest.ended(), 0);
  } finally {
    if (guest.process.exitCode === null) guest.signal("SIGTERM");
  }
});

test("Ctrl-A C switches between the console and the monitor", () => {
  const { stdout, code } = hartbeat(["-bios", program("echo")], "\x01cp/x 17\n\x01cabc\x01cquit\n");
  assert.equal(code, 0);
  assert.match(stdout, /\(qemu\) 0x11\n\(qemu\) /);
});
