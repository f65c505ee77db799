// GDB on a kernel with its source: machine, supervisor and user mode, page tables, interrupts, several harts. What it prints is the
// same with hartbeat and with QEMU as its target.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PROGRAMS_FOLDER } from "../scripts/build_guests.ts";
import { Machine } from "../mod.ts";
import { freePort, program, Running } from "./support/command.ts";
import { compareSessions, gdb, gdbMissing } from "./support/gdb.ts";
import { printedByGdb } from "./support/gdb_oracle.ts";
import { qemuMissing } from "./support/qemu.ts";

const skip = gdbMissing() || qemuMissing(64);
const KERNEL = program("sv39_kernel");
const SOURCES = `set substitute-path /guest ${PROGRAMS_FOLDER}`;
/** GDB's own settings for Linux programs step by breakpoints at the next instructions, and know no `mret` and `sret`. */
const STEPS = "set osabi none";
/** Where the trampoline page is in every address space. */
const trampoline = (symbol: string) => `*(0x3ffffff000 + (long)&${symbol} - (long)&trampoline)`;
/** The source line of sv39_kernel.c that has a text. */
const has = (text: string, ...wanted: RegExp[]) => wanted.forEach((each) => assert.match(text, each));

test("a kernel from machine mode to its first interrupt: steps, locals, finish and backtraces read as with QEMU", {
  skip,
}, async () => {
  const text = await compareSessions(64, KERNEL, [
    ...[SOURCES, STEPS, "break start", "continue", "list", "info locals", "next", "next", "p/x hart", "info line main"],
    ...["tbreak sv39_kernel.c:main", "continue", "p $priv", "info args", "next", "next", "step", "bt", "info args"],
    ...["advance satp_of", "bt", "p table == kernel_table", "finish", "break wait_for_tick", "continue", "bt"],
    ...["step", "info locals", "step", "finish", "break kernel_trap", "continue", "bt", "up", "up", "info locals"],
    ...["p number", "p/x $pc", "down", "bt full", "bt -1", "frame function main", "info locals", "frame 0"],
    ...["tbreak tick", "continue", "watch ticks", "continue", "bt 2", "info locals", "delete 6", "finish", "finish"],
    ...[
      "stepi",
      "p $priv",
      "info breakpoints",
      "delete",
      "until",
      "next",
      "next",
      "next",
      "info locals",
      "info scope tick",
    ],
  ]);
  has(text, /^#1 {2}<signal handler called>\n#2 {2}0x[0-9a-f]+ in wait_for_tick \(number=1\) at sv39_kernel\.c:\d+\n/m);
  has(text, /^Old value = 0\nNew value = 1\n/m, /^Value returned is \$\d+ = 9223372036855300121$/m, /^before = 0$/m);
});

test("processes in user mode: variables at their own addresses, watchpoints and finish read as with QEMU", {
  skip,
}, async () => {
  const text = await compareSessions(64, KERNEL, [
    ...[SOURCES, STEPS, "break user_trap", "continue", "info locals", "next", "next", "next", "p *process"],
    ...["p process->name", "p processes", "p/x *process->frame", "p $_siginfo", "watch processes[0].state", "continue"],
    ...["info watchpoints", "delete", "hbreak deposit", "continue", "bt", "info args", "p *to", "info locals"],
    ...["watch to->balance", "continue", "bt", "continue", "p account", "display account.balance"],
    ...["display/i $pc", "next", "next", "info display", "undisplay 2", "finish", "p $_exitcode", "tbreak call"],
    ...["continue", "list", "up", "info locals", "p account.history", "p &account", "ptype account", "whatis &account"],
    ...[
      "p account.history[1]@2",
      "p/x amount",
      "p sizeof account",
      "delete",
      "frame 0",
      "watch account.history[1]",
      "continue",
    ],
    ...[
      "x/i $pc",
      "info symbol $pc",
      "info line *$pc",
      "rwatch account.owner",
      "awatch account.balance",
      "continue",
      "continue",
      "bt",
    ],
  ]);
  has(
    text,
    /Hardware access \(read\/write\) watchpoint \d+: account\.balance/,
    /^\$\d+ = \{owner = 1, balance = 201, history = \{100, 101, 0\}\}$/m,
  );
});

test("single steps across mret, ecall, page tables and sret read as with QEMU", { skip }, async () => {
  const where = ["x/i $pc", "p $priv", "p/x $satp"];
  const step = ["stepi", ...where];
  const text = await compareSessions(64, KERNEL, [
    ...[SOURCES, STEPS, "tbreak main", "break start", "continue", "stepi 38", ...step, ...step, ...step, ...step],
    // The timer's ECALL into machine mode and back.
    ...["tbreak set_timer", "continue", "continue", "stepi 5", ...step, ...step, ...step, "stepi 11", ...step, ...step],
    ...[...step, "bt", "p/x $mepc", "delete", `hbreak ${trampoline("user_vector")}`, "monitor info mem"],
    // From user mode: its page table, then the kernel's.
    ...["continue", "x/3i $pc", ...where, "p/x $sepc", "x/2i $sepc", "monitor info mem", "stepi 38", ...step, ...step],
    ...[...step, "monitor info mem", ...step, ...step, ...step, "bt", "delete"],
    // And back again.
    ...[`hbreak ${trampoline("enter_user")}`, "continue", "x/4i $pc", ...where, ...step, ...step, "monitor info mem"],
    ...[
      "stepi 35",
      "x/i $pc",
      ...step,
      ...step,
      ...step,
      "bt 1",
      "p *(int *)0x10000 == *(int *)&user_main",
      "x/2xw &processes",
    ],
  ]);
  for (const priv of [0, 1, 3]) has(text, new RegExp(`\\$\\d+ = ${priv}$`, "m"));
  has(text, /mret\n/, /sret\n/, /^=> 0x3f{6}[0-9a-f]{3}:\tcsrw\tsatp,t1$/m, /^=> 0x3f{6}[0-9a-f]{3}:\tcsrw\tsatp,a0$/m);
  assert.equal(new Set([...text.matchAll(/= (0x8000[0-9a-f]{12})$/gm)].map((match) => match[1])).size, 3);
});

test(
  "an interrupt at the first instruction of user mode, and stepping there, reads as with QEMU",
  { skip },
  async () => {
    const text = await compareSessions(64, KERNEL, [
      ...[
        SOURCES,
        STEPS,
        "break user_trap if (long)$scause < 0",
        "continue",
        "p/x $scause",
        "bt 1",
        "next",
        "p cause < 0",
      ],
      ...[
        "x/2i $sepc",
        "info symbol $sepc",
        "p/x current->frame->pc",
        "tbreak tick",
        "continue",
        "info args",
        "bt",
        "up",
      ],
      ...["info locals", "p *current", "p ticks", "frame 0", "finish", "maintenance packet qqemu.sstep", "delete"],
      // With interrupts masked by the debugger, as it does when it steps, the step ends in user mode.
      ...[
        `tbreak ${trampoline("enter_user")}`,
        "continue",
        "stepi 37",
        "set $sip = 2",
        "stepi",
        "x/i $pc",
        "p $priv",
        "p/x $sip",
      ],
      ...["stepi", "x/i $pc", "tbreak user_trap", "continue", "p/x $scause", "p/x $sepc"],
    ]);
    has(text, /\$1 = 0x8000000000000001/, /^user_main in section \.user$/m);
  },
);

test("the monitor's answers under translation, in user mode and in the kernel, are QEMU's", { skip }, async () => {
  const asked = [
    ...["info mem", "info registers", "x /4xw 0x10000", "x /2xg 0x20ff0", "xp /4xw 0x80008000", "x /2xw 0x80000000"],
    ...["info status", "xp /2xw 0x10000", "p 2*(3+4)"],
  ].map((command) => `monitor ${command}`);
  const text = await compareSessions(
    64,
    KERNEL,
    [
      ...[
        SOURCES,
        STEPS,
        "tbreak deposit",
        "continue",
        ...asked,
        "tbreak user_trap",
        "continue",
        ...asked,
        "monitor x /2xw 0x3ffffff000",
      ],
      ...["set var $satp = 0", ...asked.slice(0, 6)],
    ],
    1,
    ["-cpu", "rv64,h=off"],
  );
  has(text, /^ satp {5}8000000000080021\r?$/m, /^0000000000010000 00000000800\w+ 0000000000001000 rwxu-ad\r?$/m);
  has(text, /^No translation or protection\r?$/m, /^VM status: paused \(debug\)\r?$/m, /: Cannot access memory\r?$/m);
});

test("addresses are physical where the client says so, as with QEMU", { skip }, async () => {
  const text = await compareSessions(64, KERNEL, [
    ...[STEPS, "tbreak deposit", "continue", "x/2xw 0x80008000", "maintenance packet Qqemu.PhyMemMode:1"],
    ...["maintenance packet qqemu.PhyMemMode", "maintenance flush dcache", "x/2xw 0x80008000"],
    ...[
      "set var *(int *)0x80009000 = 0x1234",
      "x/xw 0x80009000",
      "maintenance packet Qqemu.PhyMemMode:0",
      "x/2xw 0x10000",
    ],
  ]);
  has(text, /^0x80008000:\tCannot access memory at address 0x80008000$/m, /^0x80008000:\t0x\w{8}\t0x\w{8}$/m);
});

test("-S and -gdb hold the command for GDB, one client after the other, and monitor quit ends it with 0", {
  skip: gdbMissing(),
}, async () => {
  const port = await freePort(), target = `127.0.0.1:${port}`;
  const guest = new Running(["-S", "-gdb", `tcp:${target}`, "-nographic", "-bios", KERNEL, "-symbols", KERNEL]);
  try {
    // GDB asks again as long as nobody listens.
    const first = await gdb(target, KERNEL, [
      "p/x $pc",
      "tbreak schedule",
      "continue",
      "monitor bt",
      "break user_trap",
    ]);
    has(
      first,
      /\$1 = 0x1000$/m,
      /^Temporary breakpoint 1, schedule \(\)/m,
      /^#1 .* in main \(hart=0\) at sv39_kernel\.c:/m,
    );
    // GDB detaches at its end; the guest runs on without its breakpoint, to its own end or until somebody stops it.
    await guest.ended();
    assert.match(guest.stdout, /^two ticks\r?\nall processes have ended\r?$/m);
  } finally {
    if (guest.process.exitCode === null) guest.signal("SIGTERM");
  }
  const other = new Running(["-S", "-gdb", `tcp:${target}`, "-nographic", "-bios", KERNEL]);
  try {
    await gdb(target, KERNEL, ["tbreak schedule", "continue", "disconnect"]);
    const second = await gdb(target, KERNEL, ["bt 1", "monitor quit"]);
    has(second, /^#0 {2}schedule \(\) at sv39_kernel\.c:\d+$/m);
    assert.equal(await other.ended(), 0);
  } finally {
    if (other.process.exitCode === null) other.signal("SIGTERM");
  }
});

test("what a run says that failed has functions, lines and arguments of all callers, through the trap", async () => {
  const machine = await Machine.create({ bios: program("debug_c_5_0") });
  const report = machine.explain(await machine.run({ until: "handle_trap", maxInstructions: 100_000 }));
  has(
    report,
    /^ {2}backtrace\n {4}#0 .* in handle_trap \(cause=\d+\) at debug_c\.c:\d+\n {4}#1 .* in plain_trap \(\)/m,
  );
  has(report, /^ {8}<trap>\n {4}#2 .* in provoke \(reason=341\) at debug_c\.c:83\n {4}#3 .* in main \(count=0\)/m);
});

test("four harts with their backtraces and locals read as with QEMU", { skip }, async () => {
  const text = await compareSessions(64, KERNEL, [
    ...[SOURCES, STEPS, "break schedule", "continue", "info threads", "thread apply all bt", "thread 3", "info locals"],
    ...["p $mhartid", "p/x $satp", "thread find CPU#3", "thread 1", "thread apply all p $priv", "p harts_ready"],
    ...[
      "thread apply all -q info args",
      "break user_trap",
      "continue",
      "info threads",
      "thread 2",
      "up",
      "info locals",
    ],
  ], 4);
  has(text, /^ {2}4 +Thread 1\.4 \(CPU#3 \[halted \]\) 0x[0-9a-f]+ in park \(hart=3\) at sv39_kernel\.c:\d+$/m);
  has(text, /^own = 4$/m);
});

test("the backtrace of an interrupt handler is GDB's, and goes on to the function that was interrupted", {
  skip,
}, async () => {
  await using machine = await Machine.create({ bios: KERNEL });
  const commands = ["break tick", "continue", "bt", "info args", "up", "bt 1"];
  const theirs = (await printedByGdb(KERNEL, commands))[2]!.split("\n");
  const breakpoint = /0x[0-9a-f]+/.exec((await printedByGdb(KERNEL, ["break tick"]))[0]!)![0];
  assert.equal((await machine.run({ until: BigInt(breakpoint) })).kind, "breakpoint");
  const mine = String(machine.backtrace()).split("\n");
  const calls = (lines: readonly string[]) => lines.map((line) => line.replace(/^#\d+ +(0x[0-9a-f]+ in )?/, ""));
  assert.equal(theirs[2], "#2  <signal handler called>");
  assert.deepEqual(calls(mine).slice(0, 2), calls(theirs).slice(0, 2));
  assert.match(mine[2]!, /^#2 .* in kernel_vector \(\) at sv39_kernel_start\.S:\d+$/);
  assert.equal(mine[3], "    <trap>");
  assert.deepEqual(calls(mine).slice(4, -1), calls(theirs).slice(3));
  assert.match(mine.at(-1)!, /in _start \(\)/);
});
