// Semihosting: what a guest gets for its calls, beside what it gets from QEMU; and what a guest cannot reach.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Machine } from "../machine/machine.ts";
import type { SemihostingOptions } from "../machine/options.ts";
import type { Stop } from "../machine/stop.ts";
import { Program } from "./support/assemble.ts";
import { hartbeat } from "./support/command.ts";
import { withFolder, withFolderFor } from "./support/folder.ts";
import { printing, qemuMissing } from "./support/qemu.ts";

type Xlen = 32 | 64;
/** An argument: a number, or the address of a label. */
type Argument = number | bigint | string;

const OPEN = 1, CLOSE = 2, WRITEC = 3, WRITE0 = 4, WRITE = 5, READ = 6, READC = 7, ISERROR = 8, ISTTY = 9, SEEK = 10;
const FLEN = 12,
  TMPNAM = 13,
  REMOVE = 14,
  RENAME = 15,
  CLOCK = 16,
  TIME = 17,
  SYSTEM = 18,
  ERRNO = 19,
  GET_CMDLINE = 21;
const HEAPINFO = 22, EXIT = 24, EXIT_EXTENDED = 32, ELAPSED = 48, TICKFREQ = 49;

/** A guest that makes semihosting calls and prints their results and pieces of memory on the UART. */
class Caller {
  readonly p: Program;
  readonly #texts = new Map<string, string>();

  constructor(xlen: Xlen) {
    this.p = new Program(xlen);
  }

  /** Label of a text that ends with a zero byte. */
  text(text: string): string {
    const label = this.#texts.get(text) ?? `text${this.#texts.size}`;
    this.#texts.set(text, label);
    return label;
  }

  #value(register: string, value: Argument): void {
    if (typeof value === "string") this.p.la(register, value);
    else this.p.li(register, value);
  }

  /** The three instructions, in one page. */
  trap(): this {
    while (this.p.here % 16 !== 0) this.p.op("addi");
    this.p.op("slli", { imm: 0x1f }).op("ebreak").op("srai", { imm: 7 });
    return this;
  }

  /** A call with a block of arguments. Its result is in a0. */
  call(operation: number, ...block: Argument[]): this {
    const { p } = this, size = p.xlen / 8;
    block.forEach((value, k) => {
      this.#value("t1", value);
      p.la("t0", "block").op(p.xlen === 32 ? "sw" : "sd", { rs1: "t0", rs2: "t1", imm: k * size });
    });
    return this.direct(operation, "block");
  }

  /** A call whose argument is a1 itself. */
  direct(operation: number, argument: Argument): this {
    this.#value("a1", argument);
    this.p.li("a0", operation);
    return this.trap();
  }

  /** Prints a0. */
  print(): this {
    this.p.to("jal", "print", { rd: "ra" });
    return this;
  }

  /** Prints words of XLEN bits from a label. */
  dump(label: string, count: number): this {
    const { p } = this, size = p.xlen / 8;
    for (let k = 0; k < count; k++) {
      p.la("t0", label).op(size === 4 ? "lw" : "ld", { rd: "a0", rs1: "t0", imm: k * size });
      this.print();
    }
    return this;
  }

  /** Opens a file, prints the handle and keeps it in s1. */
  open(name: string, mode: number): this {
    this.call(OPEN, this.text(name), mode, new TextEncoder().encode(name).length).print();
    return this;
  }

  elf(): Uint8Array<ArrayBuffer> {
    const { p } = this;
    p.to("jal", "exit", { rd: 0 });
    printing(p);
    p.align(16).label("block").data(0, 64).label("buffer").data(0, 256);
    for (const [text, label] of this.#texts) p.label(label).bytes(new TextEncoder().encode(`${text}\0`)).align(8);
    return p.elf();
  }
}

/** What a guest prints in QEMU, with `folder` as working directory, and QEMU's exit code. */
function inQemu(xlen: Xlen, elf: Uint8Array, folder: string, config = ""): { text: string; code: number | null } {
  return withFolder((own) => {
    writeFileSync(join(own, "guest.elf"), elf);
    const options = ["-machine", "virt", "-display", "none", "-monitor", "none", "-bios", join(own, "guest.elf")];
    const output = join(own, "output.txt");
    const { status } = spawnSync(`qemu-system-riscv${xlen}`, [
      ...options,
      ...["-serial", `file:${output}`, "-semihosting-config", `enable=on,target=native${config}`],
    ], { cwd: folder, timeout: 60_000, input: "" });
    return { text: readFileSync(output, "latin1"), code: status };
  });
}

/** The same in hartbeat. */
async function inHartbeat(
  elf: Uint8Array,
  semihosting: boolean | SemihostingOptions,
  input = "",
): Promise<{ text: string; stop: Stop; machine: Machine }> {
  const machine = await Machine.create({ bios: { name: "guest.elf", bytes: elf }, semihosting });
  machine.console.send(input);
  const stop = await machine.run({ maxInstructions: 1_000_000 });
  return { text: machine.console.output, stop, machine };
}

for (const xlen of [32, 64] as const) {
  const skip = qemuMissing(xlen);

  test(`RV${xlen}: files, features, errors, heap and command line are as in QEMU`, { skip }, async () => {
    const g = new Caller(xlen);
    // Writes a file, reads it back, asks about it.
    g.open("new.txt", 4).call(WRITE, 1, g.text("hello, world"), 12).print().call(FLEN, 1).print();
    g.call(CLOSE, 1).print().call(CLOSE, 1).print().direct(ERRNO, 0).print();
    g.open("new.txt", 0).call(READ, 1, "buffer", 5).print().dump("buffer", 2);
    g.call(SEEK, 1, 7).print().call(READ, 1, "buffer", 100).print().dump("buffer", 2).call(READ, 1, "buffer", 8)
      .print();
    g.call(ISTTY, 1).print().call(WRITE, 1, "buffer", 3).print();
    g.open("new.txt", 2).call(WRITE, 2, g.text("HE"), 2).print().call(READ, 2, "buffer", 20).print().dump("buffer", 2);
    g.open("new.txt", 6).call(FLEN, 3).print().call(WRITE, 3, g.text("xyz"), 3).print().call(FLEN, 1).print();
    for (const handle of [1, 2, 3]) g.call(CLOSE, handle).print();
    // What is not there, cannot be done, or is no handle.
    g.open("none.txt", 0).direct(ERRNO, 0).print().open("new.txt", 12).direct(ERRNO, 0).print();
    g.call(READ, 9, "buffer", 4).print().call(FLEN, 9).print().call(SEEK, 9, 0).print().call(ISTTY, 9).print();
    g.call(WRITE, 9, "buffer", 4).print().call(OPEN, 16, 0, 4).print().direct(ERRNO, 0).print();
    g.call(ISERROR, -1).print().call(ISERROR, 0).print().call(ISERROR, 5).print();
    g.call(RENAME, g.text("new.txt"), 7, g.text("other.txt"), 9).print();
    g.call(RENAME, g.text("new.txt"), 7, g.text("other.txt"), 9).print().direct(ERRNO, 0).print();
    g.call(REMOVE, g.text("other.txt"), 9).print().call(REMOVE, g.text("other.txt"), 9).print().direct(ERRNO, 0)
      .print();
    g.open(":semihosting-features", 0).call(READ, 1, "buffer", 5).print().dump("buffer", 1).call(FLEN, 1).print();
    g.call(SEEK, 1, 4).print().call(READ, 1, "buffer", 5).print().call(ISTTY, 1).print().call(CLOSE, 1).print();
    g.call(GET_CMDLINE, "buffer", 200).print().dump("block", 2).dump("buffer", 3);
    g.call(GET_CMDLINE, "buffer", 3).print().direct(ERRNO, 0).print();
    g.call(HEAPINFO, "buffer").print().dump("buffer", 4).direct(TICKFREQ, 0).print().call(ELAPSED, 0, 0).print();
    g.call(TMPNAM, "buffer", 1, 3).print().call(TMPNAM, "buffer", 1, 200).print();
    const elf = g.elf();
    await withFolderFor(async (folder) => {
      const expected = inQemu(xlen, elf, folder, ",arg=prog,arg=first arg");
      const { text, stop } = await inHartbeat(elf, { folder, args: ["prog", "first arg"] });
      assert.deepEqual(text.split(" "), expected.text.split(" "));
      assert.ok(stop.kind === "exit" && stop.code === 0);
      assert.deepEqual(readdirSync(folder), []);
    });
  });

  for (
    const [what, make] of [
      [
        "SYS_EXIT with ApplicationExit",
        (g: Caller) => xlen === 32 ? g.direct(EXIT, 0x20026) : g.call(EXIT, 0x20026, 0),
      ],
      ["SYS_EXIT with another reason", (g: Caller) => xlen === 32 ? g.direct(EXIT, 0x20023) : g.call(EXIT, 0x20023, 5)],
      ["SYS_EXIT_EXTENDED with 7", (g: Caller) => g.call(EXIT_EXTENDED, 0x20026, 7)],
      ["SYS_EXIT_EXTENDED with 300", (g: Caller) => g.call(EXIT_EXTENDED, 0x20026, 300)],
      ["SYS_EXIT_EXTENDED with -1", (g: Caller) => g.call(EXIT_EXTENDED, 0x20026, -1)],
      ["SYS_EXIT_EXTENDED with another reason", (g: Caller) => g.call(EXIT_EXTENDED, 0x20024, 7)],
    ] as const
  ) {
    test(`RV${xlen}: ${what} ends hartbeat with QEMU's exit code`, { skip }, async () => {
      const g = new Caller(xlen);
      make(g);
      const elf = g.elf();
      await withFolderFor((folder) => {
        const path = join(folder, "guest.elf");
        writeFileSync(path, elf);
        assert.equal(hartbeat(["-serial", "null", "-semihosting", "-bios", path]).code, inQemu(xlen, elf, folder).code);
      });
    });
  }

  test(`RV${xlen}: the console, virtual time, and what is refused`, async () => {
    const g = new Caller(xlen);
    g.direct(WRITE0, g.text("Hi ")).direct(WRITEC, g.text("x")).open(":tt", 4).call(WRITE, 1, g.text("out "), 4)
      .print();
    g.call(ISTTY, 1).print().open(":tt", 0).call(READ, 2, "buffer", 32).print().dump("buffer", 1);
    g.direct(READC, 0).print().call(READ, 2, "buffer", 32).print().direct(READC, 0).print().call(READ, 2, "buffer", 32)
      .print();
    g.direct(CLOCK, 0).print().direct(TIME, 0).print().call(SYSTEM, g.text("ls"), 2).print().direct(ERRNO, 0).print();
    g.direct(0x99, 0).print().open("x", 4).direct(ERRNO, 0).print();
    const { text, stop } = await inHartbeat(g.elf(), true, "ab\ncde\n");
    const all = "f".repeat(xlen / 4), word = (value: number | bigint) => value.toString(16).padStart(xlen / 4, "0");
    const machine = await Machine.create({ cpu: `rv${xlen}` });
    await machine[Symbol.asyncDispose]();
    const read = text.slice(text.indexOf("Hi ")).trim().split(" ");
    assert.equal(read[0], "Hi");
    assert.equal(read[1], `x${word(1)}`);
    assert.deepEqual(read.slice(2, 3), ["out"]);
    // 0 left of the write; a terminal; handle 2; 32 - 3 bytes of "ab\n"; "c"; 32 - 3 bytes of "de\n"; then the end.
    const rest = read.slice(3);
    assert.deepEqual(rest.slice(0, 4), [word(0), word(1), word(2), word(29)]);
    assert.equal(BigInt(`0x${rest[4]}`) & 0xffffffn, 0x0a6261n);
    assert.deepEqual(rest.slice(5, 9), [word(0x63), word(29), all, word(32)]);
    assert.equal(rest[9], word(0));
    assert.equal(rest[10], word(Date.UTC(2026, 0, 1) / 1000));
    assert.deepEqual(rest.slice(11), [all, word(38), all, all, word(13)]);
    assert.ok(stop.kind === "exit");
  });

  test(`RV${xlen}: a hart that asks for input waits for it without executing`, async () => {
    const g = new Caller(xlen);
    g.direct(READC, 0).print();
    const machine = await Machine.create({ bios: { name: "guest.elf", bytes: g.elf() }, semihosting: true });
    machine.interactive = true;
    const run = machine.run();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const before = machine.instructions;
    assert.ok(before < 100, String(before));
    machine.console.send("Q");
    const stop = await run;
    assert.ok(stop.kind === "exit");
    assert.equal(machine.console.output, `${"51".padStart(xlen / 4, "0")} `);
  });

  test(`RV${xlen}: without -semihosting, in user mode, across pages or with other instructions it is a breakpoint`, async () => {
    const counts: number[] = [];
    for (
      const [semihosting, userspace, change] of [
        [false, false, ""],
        [true, false, "user"],
        [true, true, "user"],
        [true, false, "page"],
        [true, false, "before"],
        [true, false, "after"],
        [true, false, ""],
      ] as const
    ) {
      const g = new Caller(xlen), { p } = g;
      p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("t0", -1).csr("csrrw", "pmpaddr0", 0, "t0");
      p.li("t0", 0x1f).csr("csrrw", "pmpcfg0", 0, "t0");
      if (change === "user") p.la("t0", "there").csr("csrrw", "mepc", 0, "t0").op("mret");
      p.label("there").li("a0", TICKFREQ);
      if (change === "page") {
        p.to("jal", "last", { rd: 0 }).org(Math.ceil((p.here + 12) / 4096) * 4096 - 8).label("last");
      }
      if (change === "before") p.op("addi").op("ebreak").op("srai", { imm: 7 });
      else if (change === "after") p.op("slli", { imm: 0x1f }).op("ebreak").op("srai", { imm: 8 });
      else if (change === "page") p.op("slli", { imm: 0x1f }).op("ebreak").op("srai", { imm: 7 });
      else g.trap();
      p.label("end").to("jal", "end", { rd: 0 });
      p.align(4).label("handler").li("a0", 77).to("jal", "handler", { rd: 0 });
      const machine = await Machine.create({
        bios: { name: "guest.elf", bytes: g.elf() },
        semihosting: semihosting && { userspace },
      });
      await machine.run({ maxInstructions: 200 });
      counts.push(Number(machine.hart.x.a0));
    }
    assert.deepEqual(counts, [77, 77, 1_000_000_000, 77, 77, 77, 1_000_000_000]);
  });
}

test("what is written to a file opened to append goes to its end, whatever the position", async () => {
  await withFolderFor(async (folder) => {
    writeFileSync(join(folder, "log"), "first\n");
    const g = new Caller(32);
    g.open("log", 8).call(SEEK, 1, 0).call(WRITE, 1, g.text("second\n"), 7).print().call(FLEN, 1).print();
    g.call(READ, 1, "buffer", 4).print().open("log", 10).call(SEEK, 2, 1).call(READ, 2, "buffer", 3).print();
    g.call(WRITE, 2, g.text("!"), 1).print();
    const { text } = await inHartbeat(g.elf(), { folder });
    assert.deepEqual(text.trim().split(" ").map((word) => parseInt(word, 16)), [1, 0, 13, 4, 2, 0, 0]);
    assert.equal(readFileSync(join(folder, "log"), "utf8"), "first\nsecond\n!");
  });
});

test("no name leads out of the folder: .., absolute names, links, devices", async () => {
  await withFolderFor(async (outside) => {
    const folder = join(outside, "inside");
    mkdirSync(join(folder, "sub"), { recursive: true });
    writeFileSync(join(outside, "secret.txt"), "secret");
    writeFileSync(join(folder, "plain.txt"), "plain");
    symlinkSync(join(outside, "secret.txt"), join(folder, "link.txt"));
    symlinkSync("plain.txt", join(folder, "inner.txt"));
    symlinkSync("..", join(folder, "up"));
    symlinkSync(outside, join(folder, "sub", "out"));
    symlinkSync(join(outside, "made.txt"), join(folder, "dangling.txt"));
    linkSync(join(folder, "plain.txt"), join(folder, "second.txt"));
    assert.equal(spawnSync("mkfifo", [join(folder, "pipe")]).status, 0);
    const refused = [
      ...["../secret.txt", "sub/../../secret.txt", "..", join(outside, "secret.txt"), "/etc/passwd", "//etc/passwd"],
      ...["link.txt", "inner.txt", "up/secret.txt", "sub/out/secret.txt", "dangling.txt", "pipe", "sub", ".", ""],
      ...["plain.txt/x", "none/x", "a\\b", "c:x", "./../secret.txt", "up/inside/plain.txt", "x".repeat(5000)],
    ];
    for (const name of refused) {
      for (const mode of [0, 4, 8]) {
        const g = new Caller(64);
        g.open(name, mode);
        const { text } = await inHartbeat(g.elf(), { folder });
        assert.equal(text, `${"f".repeat(16)} `, `${name.slice(0, 40)} ${mode}`);
      }
    }
    const g = new Caller(64);
    for (const name of ["plain.txt", "./plain.txt", "sub//../plain.txt", "sub/new.txt", "second.txt"]) g.open(name, 0);
    g.open("sub/made.txt", 4).call(RENAME, g.text("plain.txt"), 9, g.text("../p"), 4).print();
    g.call(RENAME, g.text("link.txt"), 8, g.text("q"), 1).print().call(REMOVE, g.text("link.txt"), 8).print();
    g.call(RENAME, g.text("plain.txt"), 9, g.text("link.txt"), 8).print().call(REMOVE, g.text("../secret.txt"), 13)
      .print();
    const none = "f".repeat(16), handle = (n: number) => String(n).padStart(16, "0");
    const { text } = await inHartbeat(g.elf(), { folder });
    assert.deepEqual(text.trim().split(" "), [
      ...[handle(1), handle(2), none, none, handle(3), handle(4), none, none, none, none, none],
    ]);
    assert.equal(readFileSync(join(outside, "secret.txt"), "utf8"), "secret");
    assert.deepEqual(readdirSync(outside).sort(), ["inside", "secret.txt"]);
  });
});
