// The command runs machines: console, exit codes, logs, files, signals.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { buildGuest, COMPILER, compilerIdentity, GUEST_PROGRAMS } from "../scripts/build_guests.ts";
import { hartbeat, missing, program, qemu, Running, shell } from "./support/command.ts";
import { withFolder, withFolderFor } from "./support/folder.ts";
import { qemuMissing } from "./support/qemu.ts";

const NOGRAPHIC = ["-machine", "virt", "-nographic"];

const RUST_KERNEL_TEXT = `\
Hello from p0 on RISC-V
hart 0 atomic 56 hex 0xdeadbeef counter 0
about to index out of bounds
PANIC: panicked at p0uart.rs:35:90:
index out of bounds: the len is 3 but the index is 7
`;

const C_KERNEL_TEXT = `\
kernel: hello from M-mode on hart 0
kernel: timer interrupt 1
kernel: timer interrupt 2
kernel: timer interrupt 3
kernel: starting a program in U-mode
user: hello from U-mode
kernel: user program ended with 0
`;

test("the Rust kernel prints its panic and its exit code is that of the process", () => {
  const { code, stdout, stderr } = hartbeat([
    ..."-machine virt -m 128M -nographic -bios".split(" "),
    program("p0uart"),
  ]);
  assert.deepEqual({ code, stdout, stderr }, { code: 7, stdout: RUST_KERNEL_TEXT, stderr: "" });
});

test("the C kernel sleeps, takes timer interrupts and system calls, and powers off", () => {
  const { code, stdout, stderr } = hartbeat([...NOGRAPHIC, "-bios", program("kernel")]);
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: C_KERNEL_TEXT, stderr: "" });
});

for (const [name, xlen] of [["p0uart", 32], ["kernel", 64], ["reset", 64]] as const) {
  test(`QEMU prints the same and ends with the same code for ${name}`, { skip: qemuMissing(xlen) }, () => {
    const args = [...NOGRAPHIC, "-bios", program(name)];
    const here = hartbeat(args), there = qemu(xlen, args);
    assert.deepEqual([here.stdout, here.code], [there.stdout, there.code]);
  });
}

test("on the spike board console and exit code go through HTIF", { skip: qemuMissing(64) }, () => {
  const args = ["-machine", "spike", "-nographic", "-bios", program("htif")];
  const here = hartbeat(args), there = qemu(64, args);
  assert.deepEqual([here.stdout, here.code], ["hi\n", 9]);
  assert.deepEqual([there.stdout, there.code], ["hi\n", 9]);
});

const noCompiler = missing(COMPILER, "--version", "gcc-riscv64-unknown-elf");
test("the committed guest programs are what their sources give", { skip: noCompiler }, (t) => {
  // The C compiler leaves its version in what it compiles.
  const identity = compilerIdentity()!;
  if (!readFileSync(program("kernel")).includes(identity)) {
    if (process.env.CI) throw new Error(`tests/programs were not built by ${identity}: run \`deno task guests\``);
    return t.skip(`they were built by another compiler than ${identity}`);
  }
  withFolder((folder) => {
    for (const guest of GUEST_PROGRAMS) {
      const output = join(folder, guest.name);
      buildGuest(guest, output);
      assert.deepEqual(
        readFileSync(output),
        readFileSync(program(guest.name)),
        `${guest.name}: run \`deno task guests\``,
      );
    }
  });
});

test("bytes from a pipe reach the guest unchanged, and so do those that it prints", () => {
  const bytes = Uint8Array.from({ length: 5000 }, (_, k) => k % 256).filter((byte) => byte !== 113 && byte !== 1);
  const { code, bytes: output } = hartbeat([...NOGRAPHIC, "-bios", program("echo")], Uint8Array.of(...bytes, 113));
  assert.equal(code, 3);
  assert.deepEqual(output, Uint8Array.of(62, 32, ...bytes));
});

test("Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A H shows the keys, Ctrl-A X ends with 0", () => {
  const { code, stdout, stderr } = hartbeat([...NOGRAPHIC, "-bios", program("echo")], "\x01\x01\x01z\x01h\x01xq");
  assert.equal(code, 0);
  assert.match(stdout, /Ctrl-A X/);
  assert.equal(stderr, "hartbeat: terminated\n");
});

test("with -serial stdio Ctrl-A is for the guest", () => {
  const { code, stdout } = hartbeat(["-serial", "stdio", "-bios", program("echo")], "\x01xq");
  assert.deepEqual({ code, stdout }, { code: 3, stdout: "> \x01x" });
});

test("the end of input does not end the guest", async () => {
  const run = new Running([...NOGRAPHIC, "-bios", program("echo")]);
  run.process.stdin!.end("abc");
  await run.until(() => run.stdout.endsWith("abc"));
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(run.process.exitCode, null);
  run.signal("SIGTERM");
  assert.equal(await run.ended(), 0);
  assert.equal(run.stdout, "> abc");
});

test("a guest that waits for ever after the end of input stays, as in QEMU, but the user is told", async () => {
  const run = new Running([...NOGRAPHIC, "-bios", program("sleep")]);
  run.process.stdin!.end();
  await run.until(() => run.stderr.includes("input has ended"));
  assert.match(run.stderr, /every hart waits .* at forever/);
  assert.equal(run.process.exitCode, null);
  run.signal("SIGINT");
  assert.equal(await run.ended(), 0);
});

test("a guest that waits for ever without any input ends with 1 and a reason", () => {
  const { code, stderr } = hartbeat(["-serial", "null", "-bios", program("sleep")]);
  assert.equal(code, 1);
  assert.match(stderr, /^hartbeat: every hart waits [^\n]* at forever[^\n]*\n$/);
});

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  test(`${signal} ends a busy guest with 0, as in QEMU`, () =>
    withFolderFor(async (folder) => {
      const file = join(folder, "console");
      const run = new Running(["-serial", `file:${file}`, "-bios", program("flood")]);
      await run.until(() => existsSync(file) && statSync(file).size > 0);
      run.signal(signal);
      assert.equal(await run.ended(), 0);
      assert.equal(run.stderr, `hartbeat: terminating on signal ${signal}\n`);
    }));
}

test("a signal ends the process though nobody reads its output", async () => {
  const run = new Running([...NOGRAPHIC, "-bios", program("flood")], false);
  // It has begun to write; no more is taken from the pipe than a buffer.
  await new Promise((resolve) => run.process.stdout!.once("readable", resolve));
  run.signal("SIGTERM");
  assert.equal(await run.ended(), 0);
});

test("when the reader of the output goes away, the machine ends quietly", () => {
  const { stdout, stderr } = shell('{ "$@"; echo $? >&2; } | head -n 1', [...NOGRAPHIC, "-bios", program("flood")]);
  assert.equal(stdout, "x".repeat(63) + "\n");
  assert.equal(stderr, "141\n");
});

test("a full disk is an error", { skip: process.platform !== "linux" && "needs /dev/full" }, () => {
  const { code, stderr } = shell('"$@" > /dev/full', [...NOGRAPHIC, "-bios", program("flood")]);
  assert.deepEqual({ code, stderr }, { code: 1, stderr: "hartbeat: standard output: there is no space left\n" });
});

test("-serial file: writes all bytes to the file", () => {
  withFolder((folder) => {
    const file = join(folder, "console");
    const { code, stdout } = hartbeat(["-serial", `file:${file}`, "-bios", program("sleep")]);
    assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
    assert.deepEqual(new Uint8Array(readFileSync(file)), Uint8Array.from({ length: 256 }, (_, k) => k));
    const failed = hartbeat(["-serial", `file:${folder}/no/console`, "-bios", program("sleep")]);
    assert.equal(failed.code, 1);
    assert.equal(failed.stderr, `hartbeat: -serial file:${folder}/no/console: there is no such folder\n`);
  });
});

test("-no-reboot ends at the guest's reset with 0; without it the guest starts again", () => {
  const once = hartbeat([...NOGRAPHIC, "-no-reboot", "-bios", program("reset")]);
  assert.deepEqual([once.stdout, once.code], ["1\n", 0]);
  const often = hartbeat([...NOGRAPHIC, "-bios", program("reset")]);
  assert.deepEqual([often.stdout, often.code], ["1\n2\n3\n", 5]);
});

test("-device loader starts what it loads, and width of the harts follows it", () => {
  const { code, stdout } = hartbeat([...NOGRAPHIC, "-device", `loader,file=${program("p0uart")}`]);
  assert.deepEqual({ code, stdout }, { code: 7, stdout: RUST_KERNEL_TEXT });
});

test("-rtc clock=host makes the guest sleep in real time", () => {
  const start = performance.now();
  const { code, stdout } = hartbeat([...NOGRAPHIC, "-rtc", "clock=host", "-bios", program("kernel")]);
  assert.deepEqual({ code, stdout }, { code: 0, stdout: C_KERNEL_TEXT });
  assert.ok(performance.now() - start >= 300, "three sleeps of 0.1 s");
});

const noDtc = missing("dtc", "--version", "device-tree-compiler");
for (const machine of ["virt", "spike"]) {
  test(`-machine ${machine},dumpdtb= writes a tree that dtc accepts without a warning`, { skip: noDtc }, () => {
    withFolder((folder) => {
      const file = join(folder, "tree.dtb");
      const { code, stdout } = hartbeat(["-machine", `${machine},dumpdtb=${file}`, "-append", "root=x", "-m", "64M"]);
      assert.deepEqual({ code, stdout }, { code: 0, stdout: "" });
      const { status, stdout: source, stderr } = spawnSync("dtc", ["-I", "dtb", "-O", "dts", file], {
        encoding: "utf8",
      });
      assert.deepEqual([status, stderr], [0, ""]);
      assert.match(source, /bootargs = "root=x";/);
      assert.match(source, /reg = <0x00 0x80000000 0x00 0x4000000>;/);
    });
  });
}

test("-d int logs each trap as QEMU does", { skip: qemuMissing(64) }, () => {
  const args = [...NOGRAPHIC, "-d", "int", "-bios", program("kernel")];
  // The kernel tries out whether there is PMP.
  const qemuLines = (log: string) => log.split("\n").filter((line) => !line.startsWith("  "));
  const lines = (log: string) => qemuLines(log).filter((line) => !line.includes("desc=illegal_instruction"));
  const here = hartbeat(args), there = qemu(64, args);
  assert.deepEqual(lines(here.stderr), lines(there.stderr));
  assert.equal(lines(here.stderr).filter((line) => line.includes("desc=m_timer")).length, 3);
  // What QEMU does not say stands in a line of its own.
  assert.match(here.stderr, /desc=user_ecall\n {2}U to M, mstatus:0x[0-9a-f]{16}, in user_main\+0x[0-9a-f]+\n/);
  assert.match(here.stderr, /desc=m_timer\n {2}M to M, mstatus:0x[0-9a-f]{12}1880, in kernel_main/);
});

test("-d in_asm logs each instruction once, -d exec each time, in order with the traps", () => {
  withFolder((folder) => {
    const file = join(folder, "log");
    const args = [...NOGRAPHIC, "-d", "in_asm,int,exec", "-D", file];
    const { code, stdout, stderr } = hartbeat([...args, "-bios", program("reset")]);
    assert.deepEqual({ code, stdout, stderr }, { code: 5, stdout: "1\n2\n3\n", stderr: "" });
    const lines = readFileSync(file, "utf8").split("\n");
    assert.equal(lines[0], "0000000000001000:\t00000297\tauipc\tt0,0x0");
    assert.equal(lines[1], "Trace 0: [0000000000001000] 0x1000");
    const start = lines.indexOf("Trace 0: [0000000080000000] _start");
    assert.equal(lines[start - 1], "0000000080000000 <_start>:\t10000437\tlui\ts0,0x10000");
    assert.equal(lines.filter((line) => line === lines[start]).length, 3);
    assert.equal(lines.filter((line) => line === lines[start - 1]).length, 1);
    assert.ok(lines.includes("000000008000002a <_start+0x2a>:\t00628863\tbeq\tt0,t1,8000003a <done>"));

    hartbeat([...args, "-bios", program("kernel")]);
    const log = readFileSync(file, "utf8");
    const trap = (name: string, before: string, after: string) =>
      new RegExp(
        `Trace 0: \\[\\w+\\] ${before}.*\\n\\S*riscv_cpu_do_interrupt: .*desc=${name}\\n {2}.*\\n(?:\\w+ <.*\\n)?.*${after}\\n`,
      );
    // The instruction that traps comes before its trap; one that an interrupt displaces comes after the handler.
    assert.match(log, trap("user_ecall", "user_main", " trap_entry"));
    assert.match(log, trap("m_timer", "kernel_main", " trap_entry"));
  });
});

test("-D into a folder that is not there is an error", () => {
  const { code, stderr } = hartbeat(["-D", "/no/such/folder/log", "-d", "int", "-bios", program("reset")]);
  assert.deepEqual({ code, stderr }, {
    code: 1,
    stderr: "hartbeat: -D /no/such/folder/log: there is no such folder\n",
  });
});

/** util-linux's `script` gives a process a terminal. */
const noTerminal = process.platform === "linux"
  ? missing("script", "--version", "bsdutils")
  : "needs script of util-linux";
for (
  const [how, guest, keys, code, shown] of [
    ["Ctrl-A X", "echo", ["\\003", "\\001x"], 0, "> \x03"],
    ["the guest's end", "echo", ["a", "q"], 3, "> a"],
  ] as const
) {
  test(`a terminal is raw while the guest runs and as before after ${how}`, { skip: noTerminal }, () => {
    withFolder((folder) => {
      const inner = join(folder, "inner.sh");
      writeFileSync(inner, 'stty -a > "$DIR/before"; "$@"; echo $? > "$DIR/code"; stty -a > "$DIR/after"\n');
      // The first key comes when the guest has prompted, the next one when it has printed that one.
      const wait = (text: string) => `until grep -q '${text}' "$DIR/out"; do sleep 0.1; done; `;
      const { stdout } = shell(
        `export DIR=${folder}; (${wait("> ")} printf '${keys[0]}'; ${wait("> .")} printf '${keys[1]}'; ` +
          `until [ -s "$DIR/after" ]; do sleep 0.1; done) | script -qfec "sh ${inner} $*" "$DIR/out"`,
        [...NOGRAPHIC, "-bios", program(guest)],
      );
      const read = (name: string) => readFileSync(join(folder, name), "utf8");
      assert.equal(read("code"), `${code}\n`, stdout);
      assert.equal(read("after"), read("before"));
      // In raw mode Ctrl-C is a byte for the guest, which prints it; otherwise it would end the command.
      assert.ok(stdout.includes(shown), stdout);
    });
  });
}
