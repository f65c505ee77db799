// Files with symbols: read in part, moved, as lists; damaged debug information; names of Rust.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { positionAt, scopesAt } from "../debug/dwarf/scopes.ts";
import { attempt } from "../debug/dwarf/dwarf.ts";
import { demangleRust } from "../machine/demangle_rust.ts";
import { SymbolFile } from "../machine/symbol_file.ts";
import { Symbols } from "../machine/symbols.ts";
import { LoadError, Machine } from "../mod.ts";
import { DEBUG_PROGRAMS, programPath } from "./support/debug_programs.ts";

/** A source that counts what is read of it. */
function counted(bytes: Uint8Array, size = bytes.length) {
  const source = { name: "k.elf", size, total: 0, read };
  function read(offset: number, length: number): Uint8Array {
    const part = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
    part.set(bytes.subarray(offset, offset + part.length));
    source.total += part.length;
    return part;
  }
  return source;
}

/** A program whose sections of debug information say that they end at 300 MB: its bytes. */
function stretched(): Uint8Array {
  const bytes = new Uint8Array(readFileSync(programPath("debug_c_5_0"))), view = new DataView(bytes.buffer);
  const table = Number(view.getBigUint64(40, true)), count = view.getUint16(60, true), names = view.getUint16(62, true);
  const strings = Number(view.getBigUint64(table + 64 * names + 24, true));
  let grown = 0;
  for (let k = 0; k < count; k++) {
    const at = table + 64 * k, start = strings + view.getUint32(at, true);
    const name = new TextDecoder().decode(bytes.subarray(start, bytes.indexOf(0, start)));
    if (name === ".debug_str" || name === ".debug_line") {
      view.setBigUint64(at + 32, BigInt(STRETCHED) - view.getBigUint64(at + 24, true), true);
      grown++;
    }
  }
  assert.equal(grown, 2);
  return bytes;
}
const STRETCHED = 300_000_000;

test("of a file of 300 MB some kilobytes are read when it is opened, and little more for a line", () => {
  const source = counted(stretched(), STRETCHED), file = new SymbolFile(source), pc = 0x8000_00c0n;
  assert.ok(source.total < 32_768, `${source.total} bytes to open`);
  assert.equal(positionAt(file.dwarf!, pc)?.name, "debug_c.c");
  assert.ok(source.total < 131_072, `${source.total} bytes for a line`);
});

test("a program of 300 MB is loaded, its symbols and lines found, without reading more than its parts", {
  skip: existsSync("/proc/thread-self/io") ? false : "it takes Linux to count what is read",
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-large-")), path = join(folder, "large.elf");
  try {
    writeFileSync(path, stretched());
    // A hole, no blocks of the disk.
    truncateSync(path, STRETCHED);
    const read = () => Number(/^rchar: (\d+)/.exec(readFileSync("/proc/thread-self/io", "utf8"))![1]);
    const small = await Machine.create({ bios: programPath("debug_c_5_0") });
    for (
      const options of [{ bios: path }, { kernel: path }, { loaders: [{ file: path }] }, {
        bios: new Uint8Array(64),
        symbols: [{ file: path }],
      }]
    ) {
      const before = read(), machine = await Machine.create(options);
      assert.deepEqual(machine.source("leaf"), small.source("leaf"));
      assert.equal(machine.variable("matrix[1][2]").type, "int");
      assert.ok(read() - before < 1 << 20, `${read() - before} bytes`);
    }
    const machine = await Machine.create({ bios: path });
    assert.deepEqual(machine.memory.read(0x8000_0000, 256), small.memory.read(0x8000_0000, 256));
    assert.equal((await machine.run({ until: "leaf", maxInstructions: 10_000 })).kind, "breakpoint");
    // Byte for byte the whole file counts: 9 MB where 8 MiB are left.
    truncateSync(path, 9_000_000);
    await assert.rejects(
      Machine.create({ bios: "none", loaders: [{ file: path, forceRaw: true, address: 0x8780_0000 }] }),
      /0x87800000 to 0x88095440 does not fit/,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("of a program compiled with -gsplit-dwarf lines and callers are known, and variables missed with a reason", async () => {
  const machine = await Machine.create({ bios: programPath("debug_c_split") });
  const whole = await Machine.create({ bios: programPath("debug_c_5_0") });
  assert.deepEqual(machine.source("leaf"), whole.source("leaf"));
  assert.equal((await machine.run({ until: "leaf", maxInstructions: 10_000 })).kind, "breakpoint");
  await whole.run({ until: "leaf" });
  const lines = (each: Machine) => String(each.backtrace()).replace(/\(.*?\) at/g, "() at");
  assert.equal(lines(machine), lines(whole));
  assert.throws(
    () => machine.variable("depth", { frame: 1 }),
    /no variable depth: its debug information is in files such as debug_c\S*\.dwo, .* compile without -gsplit-dwarf$/,
  );
});

test("a list of symbols as nm writes it names addresses up to the next symbol", () => {
  const text =
    "ffffffff80000000 T _start\nffffffff80000010 t helper\nffffffff80001000 D data\n                 U extern\n";
  const bytes = new TextEncoder().encode(text), symbols = new Symbols();
  symbols.addFile(new SymbolFile({ name: "System.map", size: bytes.length, read: (o, n) => bytes.subarray(o, o + n) }));
  assert.equal(symbols.lookup("helper"), 0xffff_ffff_8000_0010n);
  assert.equal(symbols.format(0xffff_ffff_8000_0fffn), "helper+0xfef");
  assert.equal(symbols.format(0xffff_ffff_8000_1001n), "0xffffffff80001001");
  assert.throws(() => new SymbolFile({ name: "x", size: 5, read: () => new TextEncoder().encode("hello") }), LoadError);
});

test("-symbols: a file that runs elsewhere than it is linked gives names, lines and variables there", async () => {
  const bios = new Uint8Array(64);
  await using machine = await Machine.create({
    bios,
    symbols: [{ file: programPath("debug_c_5_0"), offset: 0x10_0000 }],
  });
  const leaf = machine.symbols.lookup("leaf")!;
  assert.equal(leaf, 0x8010_00c0n);
  assert.equal(machine.source(leaf)?.line, machine.source("leaf")?.line);
  assert.equal(machine.source("leaf")?.name, "debug_c.c");
  const matrix = machine.symbols.lookup("matrix")!;
  machine.memory.write32(matrix + 20n, 77);
  assert.equal(machine.variable("matrix[1][2]").value, 77);
  machine.hart.pc = leaf;
  assert.match(String(machine.backtrace()), /^#0 {2}0x00000000801000c0 in leaf \(/);
  await assert.rejects(
    Machine.create({ bios, symbols: [{ file: "/nowhere.elf" }] }),
    /-symbols \/nowhere\.elf: there is no such file/,
  );
});

/** Asks a damaged file for everything; whatever it says, it has to say something. */
function askAll(bytes: Uint8Array): void {
  let file: SymbolFile;
  try {
    file = new SymbolFile({ name: "k.elf", size: bytes.length, read: (o, n) => bytes.subarray(o, o + n) });
  } catch (error) {
    assert.ok(error instanceof LoadError, String(error));
    return;
  }
  const dwarf = attempt(() => file.dwarf);
  for (const pc of [0x8000_0000n, 0x8000_00c4n, 0x8000_0150n, 0x8000_0240n]) {
    for (const table of attempt(() => file.frames) ?? []) attempt(() => table.at(pc));
    if (dwarf === undefined) continue;
    attempt(() => positionAt(dwarf, pc));
    attempt(() => scopesAt(dwarf, pc));
  }
  if (dwarf !== undefined) attempt(() => dwarf.findVariable("nodes"));
}

test("debug information that is cut off anywhere, or has random bytes, gives errors or nothing, and always an end", () => {
  let state = 99;
  const random = (limit: number) => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) % 65521 % limit;
  for (const name of DEBUG_PROGRAMS) {
    const whole = new Uint8Array(readFileSync(programPath(name)));
    for (let length = 0; length < whole.length; length += 97) askAll(whole.subarray(0, length));
    for (let round = 0; round < 60; round++) {
      const bytes = whole.slice();
      for (let k = 0; k < 1 + round % 20; k++) bytes[4096 + random(bytes.length - 4096)] = random(256);
      askAll(bytes);
    }
  }
});

test("names of Rust lose their mangling and their hashes, in both ways of writing them", () => {
  const names: Readonly<Record<string, string | undefined>> = {
    _ZN4core3fmt9Formatter3pad17h0123456789abcdefE: "core::fmt::Formatter::pad",
    "_ZN49_$LT$p0uart..Uart$u20$as$u20$core..fmt..Write$GT$9write_str17hf5c61bdcb8b5c13eE":
      "<p0uart::Uart as core::fmt::Write>::write_str",
    "_ZN3foo17h0123456789abcdefE.llvm.123": "foo",
    _RNvCs1234_7mycrate3foo: "mycrate::foo",
    _RINvNtCs3nThjw4LsQE_10debug_rust6shapes7largesthEB4_: "debug_rust::shapes::largest::<u8>",
    _RNCNvC1a1b0: "a::b::{closure#0}",
    _RNvC6_123foo3bar: "123foo::bar",
    _RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y: "utf8_idents::საჭმელად_გემრიელი_სადილი",
    _RMC0INtC8arrayvec8ArrayVechKj7b_E: "<arrayvec::ArrayVec<u8, 123>>",
    _ZN3foo3barEv: undefined,
    _R: undefined,
    _RNvC1aB_3bar: undefined,
    main: undefined,
  };
  for (const [symbol, expected] of Object.entries(names)) assert.equal(demangleRust(symbol), expected, symbol);
  const symbols = new Symbols(), symbol = "_ZN6kernel4main17h0123456789abcdefE";
  symbols.add([{ name: symbol, value: 16n, size: 4n, type: "function", binding: "global", section: 1 }]);
  assert.deepEqual([symbols.lookup("kernel::main"), symbols.lookup(symbol)], [16n, 16n]);
  assert.equal(symbols.format(18), "kernel::main+0x2");
});
