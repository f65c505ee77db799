// ELF files: what real ones hold, and that damaged ones are refused with a message.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { elfXlen, headerBytes, isElf, parseElf, physicalEntry } from "../machine/elf.ts";
import { LoadError } from "../machine/errors.ts";
import { Machine } from "../machine/machine.ts";
import { buildElf } from "./elf_builder.ts";
import { Program } from "./support/assemble.ts";

const programs = new URL("./programs/", import.meta.url);
const guests = new URL("../bench/guests/", import.meta.url);
const read = (url: URL) => new Uint8Array(readFileSync(url));
const p0uart = read(new URL("p0uart.elf", programs));
const virt64 = read(new URL("virt64-sha256-1.elf", guests));

/** Header offsets of the two classes. */
const fields = {
  32: { header: 52, segmentTable: 28, sectionTable: 32, segmentEntrySize: 42, segmentCount: 44, segment: 32 },
  64: { header: 64, segmentTable: 32, sectionTable: 40, segmentEntrySize: 54, segmentCount: 56, segment: 56 },
};

function changed(bytes: Uint8Array, change: (view: DataView, copy: Uint8Array) => void): Uint8Array {
  const copy = bytes.slice();
  change(new DataView(copy.buffer), copy);
  return copy;
}

test("the Rust kernel's ELF32 has the header, segment, sections and symbols that readelf shows", () => {
  const elf = parseElf(p0uart, "p0uart.elf");
  assert.equal(elf.xlen, 32);
  assert.equal(elf.type, 2);
  assert.equal(elf.entry, 0x8000_0000n);
  assert.equal(elf.flags, 1);
  assert.deepEqual(elf.warnings, []);
  assert.equal(elf.segments.length, 1);
  const [segment] = elf.segments;
  assert.deepEqual({ ...segment, bytes: segment.bytes.length }, {
    index: 1,
    physicalAddress: 0x8000_0000,
    virtualAddress: 0x8000_0000n,
    bytes: 0xf16,
    memorySize: 0xf30,
    offset: 0x1000,
    flags: 7,
  });
  assert.equal(segment.bytes.buffer, p0uart.buffer, "segments are views of the file");
  assert.equal(segment.bytes.byteOffset, 0x1000);
  const names = [".text", ".rodata", ".bss", ".comment", ".riscv.attributes", ".symtab", ".strtab", ".shstrtab"];
  assert.deepEqual(elf.sections.map(({ name }) => name), names);
  const bss = elf.sections[2];
  assert.deepEqual([bss.index, bss.address, bss.size, bss.bytes.length], [3, 0x8000_0f20n, 0x10n, 0]);
  assert.equal(elf.symbols.length, 101);
  const start = elf.symbols.find(({ name }) => name === "_start")!;
  assert.deepEqual([start.value, start.binding, start.section], [0x8000_0000n, "global", 1]);
  assert.equal(start.sectionEnd, 0x8000_0d06n);
});

test("an ELF64's fields are read from their 64-bit places", () => {
  const elf = parseElf(virt64, "virt64.elf");
  assert.equal(elf.xlen, 64);
  assert.equal(elf.entry, 0x8000_0000n);
  assert.equal(elf.segments[0].physicalAddress, 0x8000_0000);
  const main = elf.symbols.find(({ name }) => name === "main")!;
  assert.deepEqual([main.type, main.binding], ["function", "global"]);
  assert.ok(main.size > 0n);
});

test("the class is told without parsing", () => {
  assert.equal(elfXlen(p0uart), 32);
  assert.equal(elfXlen(virt64), 64);
  assert.equal(elfXlen(new Uint8Array([1, 2, 3])), undefined);
  assert.equal(isElf(p0uart), true);
  assert.equal(isElf(p0uart.subarray(1)), false);
});

const readelf = "riscv64-unknown-elf-readelf";
const noReadelf = spawnSync(readelf, ["--version"]).error !== undefined && !process.env.CI
  ? `${readelf} is missing: apt-get install binutils-riscv64-unknown-elf`
  : false;
test("all symbols of all guest programs are those that readelf lists", { skip: noReadelf }, () => {
  const files = [programs, guests].flatMap((folder) =>
    readdirSync(folder).filter((name) => name.endsWith(".elf")).map((name) => new URL(name, folder))
  );
  assert.ok(files.length >= 16);
  const binding = { local: "LOCAL", global: "GLOBAL", weak: "WEAK", other: "?" };
  const type: Record<string, string> = { function: "FUNC" };
  for (const file of files) {
    const { stdout } = spawnSync(readelf, ["-sW", fileURLToPath(file)], { encoding: "utf8" });
    const line = /^ *(\d+): ([0-9a-f]+) +(\w+) (\w+) +(\w+) +\w+ +(\w+) ?(.*)$/gm;
    const expected = [...stdout.matchAll(line)].slice(1).map(([, , value, size, kind, bind, section, name]) => [
      BigInt(`0x${value}`),
      BigInt(size),
      kind,
      bind,
      section === "UND" ? 0 : section === "ABS" ? 0xfff1 : Number(section),
      name.trim(),
    ]);
    const elf = parseElf(read(file), file.pathname);
    const actual = elf.symbols.map((symbol) => [
      symbol.value,
      symbol.size,
      type[symbol.type] ?? symbol.type.toUpperCase(),
      binding[symbol.binding],
      symbol.section,
      symbol.type === "section" ? elf.sections[symbol.section - 1].name : symbol.name,
    ]);
    assert.deepEqual(actual, expected, file.pathname);
  }
});

test("every malformed header is refused in one line that says what is wrong", () => {
  const header = fields[32];
  const segment = header.header + header.segment;
  const set16 = (at: number, value: number) => changed(p0uart, (view) => view.setUint16(at, value, true));
  const set32 = (at: number, value: number) => changed(p0uart, (view) => view.setUint32(at, value, true));
  const cases: [string, Uint8Array, RegExp][] = [
    ["empty", new Uint8Array(), /^k\.elf: not an ELF file: it is empty$/],
    ["text", new TextEncoder().encode("#!/bin/sh\n"), /^k\.elf: not an ELF file: it starts with 23 21 2f 62$/],
    ["identification", p0uart.slice(0, 10), /truncated: the ELF identification has 16 bytes, the file 10$/],
    ["class", changed(p0uart, (_, copy) => copy[4] = 3), /ELF class \(byte 4\) is 3/],
    ["big-endian", changed(p0uart, (_, copy) => copy[5] = 2), /big-endian/],
    ["encoding", changed(p0uart, (_, copy) => copy[5] = 0), /data encoding \(byte 5\) is 0/],
    ["header", p0uart.slice(0, 51), /truncated: the ELF header has 52 bytes, the file 51$/],
    ["x86-64", set16(18, 62), /for x86-64 \(e_machine 62\), not for RISC-V/],
    ["unknown machine", set16(18, 0x7777), /for another machine \(e_machine 30583\)/],
    ["object", set16(16, 1), /not executable: e_type is 1, it is a relocatable object; link it first/],
    ["other type", set16(16, 9), /not executable: e_type is 9$/],
    ["no segments", set16(header.segmentCount, 0), /no program headers/],
    ["entry size", set16(header.segmentEntrySize, 56), /e_phentsize is 56; it must be 32 in ELF32/],
    [
      "table",
      set32(header.segmentTable, 0x2f98 - 95),
      /program headers at 0x2f39 to 0x2f99 lie outside .* 0x2f98 bytes/,
    ],
    ["count", set16(header.segmentCount, 0xfffe), /program headers at 0x34 to 0x1ffff4 lie outside/],
    [
      "data",
      set32(segment + 4, 0x2f98),
      /segment 1: its data at 0x2f98 to 0x3eae lie past the end of the file at 0x2f98/,
    ],
    ["sizes", set32(segment + 20, 0xf15), /segment 1: size in memory 0xf15 is less than size in file 0xf16/],
    ["none loadable", set32(segment, 4), /no loadable segment \(PT_LOAD\)/],
  ];
  for (const [what, bytes, message] of cases) {
    assert.throws(() => parseElf(bytes, "k.elf"), (error: Error) => {
      assert.ok(error instanceof LoadError, `${what}: ${error.stack}`);
      assert.match(error.message, message, what);
      assert.doesNotMatch(error.message, /\n/, what);
      assert.ok(error.message.startsWith("k.elf: "), what);
      return true;
    }, what);
  }
});

test("a segment of 2^60 bytes or at an address beyond 2^53 is refused, one below is not allocated", () => {
  const at = (physical: bigint, memorySize: bigint) => buildElf(64, 0n, [{ physical, memorySize }]);
  assert.throws(() => parseElf(at(0n, 1n << 60n), "k"), /segment 0: physical address 0x0 .* does not end below 2\^53/);
  assert.throws(() => parseElf(at(0xffff_ffff_8000_0000n, 4n), "k"), LoadError);
  assert.equal(parseElf(at(0n, 1n << 50n), "k").segments[0].memorySize, 2 ** 50);
});

test("a real count of program headers beyond 65,534 is read from section header 0", () => {
  const extended = changed(p0uart, (view) => {
    view.setUint16(fields[32].segmentCount, 0xffff, true);
    view.setUint32(view.getUint32(fields[32].sectionTable, true) + 28, 3, true);
  });
  assert.equal(parseElf(extended, "k").segments.length, 1);
  const headless = changed(extended, (view) => view.setUint32(fields[32].sectionTable, 0, true));
  assert.throws(() => parseElf(headless, "k"), /no section header 0/);
});

test("a count of sections and an index of their names beyond 65,279 are read from section header 0", () => {
  const extended = changed(p0uart, (view) => {
    const sectionTable = view.getUint32(fields[32].sectionTable, true);
    view.setUint16(48, 0, true);
    view.setUint16(50, 0xffff, true);
    view.setUint32(sectionTable + 20, 9, true);
    view.setUint32(sectionTable + 24, 8, true);
  });
  const { sections, symbols, warnings } = parseElf(extended, "k");
  assert.deepEqual(warnings, []);
  assert.deepEqual([sections[0].name, sections.length, symbols.length], [".text", 8, 101]);
});

test("symbols that all name one long string are given up, not read for hours", () => {
  const stringsSize = 200_000;
  const symbolCount = 100_000;
  const elf = buildElf(32, 0n, [{ physical: 0x8000_0000n, bytes: new Uint8Array(4) }]);
  const tableAt = elf.length + 16 * symbolCount + stringsSize;
  const file = new Uint8Array(tableAt + 3 * 40);
  file.set(elf);
  file.fill(0x61, elf.length + 16 * symbolCount, tableAt - 1);
  const view = new DataView(file.buffer);
  view.setUint32(fields[32].sectionTable, tableAt, true);
  view.setUint16(46, 40, true);
  view.setUint16(48, 3, true);
  const section = (index: number, type: number, start: number, size: number, link: number) =>
    [[4, type], [16, start], [20, size], [24, link], [36, 16]].forEach(([field, value]) =>
      view.setUint32(tableAt + 40 * index + field, value, true)
    );
  section(1, 2, elf.length, 16 * symbolCount, 2);
  section(2, 3, elf.length + 16 * symbolCount, stringsSize, 0);
  const { symbols, warnings } = parseElf(file, "k");
  assert.deepEqual(symbols, []);
  assert.deepEqual(warnings, ["k: no symbols: names overlap beyond reason"]);
});

test("an empty segment is left out", () => {
  const bytes = new Uint8Array(4);
  const elf = parseElf(buildElf(32, 0n, [{ physical: 0n }, { physical: 0x8000_0000n, bytes }]), "k");
  assert.deepEqual(elf.segments.map(({ index }) => index), [1]);
});

test("damage in sections or symbols leaves those empty, says so, and does not prevent loading", () => {
  const sectionTable = new DataView(p0uart.buffer).getUint32(fields[32].sectionTable, true);
  const section = (index: number, field: number) => sectionTable + 40 * index + field;
  const set = (at: number, value: number) => changed(p0uart, (view) => view.setUint32(at, value, true));
  const cases: [Uint8Array, RegExp][] = [
    [set(fields[32].sectionTable, 0xffff_fff0), /no sections: section header 0 at 0xfffffff0 lies outside/],
    [changed(p0uart, (view) => view.setUint16(46, 64, true)), /e_shentsize is 64, it must be 40/],
    [changed(p0uart, (view) => view.setUint16(48, 60000, true)), /60000 section headers .* do not fit/],
    [set(section(6, 16), 0xffff_0000), /no symbols: the symbol table lies outside/],
    [set(section(6, 36), 24), /sh_entsize of the symbol table is 24/],
    [set(section(6, 24), 99), /string table is missing/],
    [set(section(7, 20), 4), /no symbols: name at 1 of the string table has no end/],
    [set(section(7, 20), 0), /no symbols: name at 1 lies outside of the string table of 0 bytes/],
  ];
  for (const [bytes, warning] of cases) {
    const elf = parseElf(bytes, "k.elf");
    assert.equal(elf.segments.length, 1);
    assert.deepEqual(elf.symbols, []);
    assert.ok(elf.warnings.some((line) => warning.test(line)), `${warning}: ${elf.warnings.join("; ")}`);
  }
  const stripped = changed(p0uart, (view) => {
    view.setUint32(fields[32].sectionTable, 0, true);
    view.setUint16(48, 0, true);
  });
  const elf = parseElf(stripped, "k.elf");
  assert.deepEqual([elf.sections, elf.symbols, elf.warnings], [[], [], []]);
});

test("without .symtab the dynamic symbols are taken", () => {
  const sectionTable = new DataView(p0uart.buffer).getUint32(fields[32].sectionTable, true);
  const dynamic = changed(p0uart, (view) => view.setUint32(sectionTable + 40 * 6 + 4, 11, true));
  assert.equal(parseElf(dynamic, "k").symbols.length, 101);
});

test("the entry moves with the executable segment that holds it", () => {
  const bytes = new Uint8Array(16);
  const high = 0xffff_ffff_8040_0000n;
  const elf = (flags: number, entry: bigint) =>
    parseElf(buildElf(64, entry, [{ physical: 0x8020_0000n, virtual: high, bytes, flags }]), "k");
  assert.equal(physicalEntry(elf(5, high + 2n)), 0x8020_0002n);
  assert.equal(physicalEntry(elf(6, high + 2n)), high + 2n, "not executable");
  assert.equal(physicalEntry(elf(5, high + 16n)), high + 16n, "outside of the segment");
  assert.equal(physicalEntry(parseElf(p0uart, "k")), 0x8000_0000n);
});

/** Parses what may be damaged: a LoadError of one line is right, a result must be sound. */
function mustBeSound(bytes: Uint8Array, what: string): boolean {
  let elf;
  try {
    elf = parseElf(bytes, "k.elf");
  } catch (error) {
    assert.ok(error instanceof LoadError, `${what}: ${(error as Error).stack}`);
    assert.doesNotMatch(error.message, /\n/, what);
    return false;
  }
  assert.ok(elf.segments.length > 0, what);
  for (const segment of elf.segments) {
    assert.ok(Number.isSafeInteger(segment.physicalAddress + segment.memorySize), what);
    assert.ok(segment.memorySize > 0 && segment.bytes.length <= segment.memorySize, what);
    assert.equal(segment.bytes.buffer, bytes.buffer, what);
  }
  for (const section of elf.sections) assert.ok(section.bytes.length <= bytes.length, what);
  return true;
}

test("a real ELF cut anywhere is refused or sound", () => {
  for (const file of [p0uart, virt64]) {
    const { segments } = parseElf(file, "k");
    const dataEnd = Math.max(...segments.map(({ bytes }) => bytes.byteOffset + bytes.length));
    for (let length = 0; length <= file.length; length++) {
      if (length > 400 && length % 61 !== 0 && Math.abs(length - dataEnd) > 20) continue;
      const loaded = mustBeSound(file.slice(0, length), `cut at ${length}`);
      assert.equal(loaded, length >= dataEnd, `cut at ${length}`);
    }
  }
});

test("a real ELF with any byte of its headers and symbols changed is refused or sound", () => {
  for (const file of [p0uart, virt64]) {
    const elf = parseElf(file, "k");
    const { header, sectionTable } = fields[elf.xlen];
    const view = new DataView(file.buffer);
    const tables = elf.xlen === 32 ? view.getUint32(sectionTable, true) : Number(view.getBigUint64(sectionTable, true));
    const symbols = elf.sections.find(({ type }) => type === 2)!.bytes;
    const ranges = [[0, header + 56 * 4], [tables, file.length], [symbols.byteOffset, symbols.byteOffset + 200]];
    for (const [start, end] of ranges) {
      for (let at = start; at < Math.min(end, file.length); at++) {
        for (const value of [0, 1, 0x7f, 0x80, 0xff, file[at] ^ 1, file[at] ^ 0x40]) {
          mustBeSound(changed(file, (_, copy) => copy[at] = value), `byte ${at} set to ${value}`);
        }
      }
    }
  }
});

test("the headers of the file in a segment, which linkers put there, may lie outside of memory", async () => {
  // What `ld -Ttext=0x80000000` makes: a segment from the file's start on, so that it begins a page before the code.
  const code = new Program(64).li("t0", 0x5555).li("t1", 0x10_0000).op("sw", { rs1: "t1", rs2: "t0" }).build();
  const end = 0x1000 + code.length, bytes = new Uint8Array(end + 2 * 64), view = new DataView(bytes.buffer);
  bytes.set(buildElf(64, 0x8000_0000n, [{ physical: 0x7fff_f000n, memorySize: BigInt(end) }])), bytes.set(code, 0x1000);
  // p_offset and p_filesz of the segment; e_shoff, e_shentsize, e_shnum; a section of the code behind the null section.
  view.setBigUint64(64 + 8, 0n, true), view.setBigUint64(64 + 32, BigInt(end), true);
  view.setBigUint64(40, BigInt(end), true), view.setUint16(58, 64, true), view.setUint16(60, 2, true);
  [1n << 32n, 6n, 0x8000_0000n, 0x1000n, BigInt(code.length)].forEach((field, k) =>
    view.setBigUint64(end + 64 + 8 * k, field, true)
  );
  const elf = parseElf(bytes, "text.elf"), [segment] = elf.segments;
  assert.equal(headerBytes(segment!, elf.sections), 0x1000);
  assert.equal(headerBytes({ ...segment!, offset: 0x1000 }, elf.sections), 0);
  assert.equal(headerBytes(segment!, []), 0, "nobody knows where the program begins");
  await using machine = await Machine.create({ bios: bytes });
  assert.equal((await machine.run()).kind, "exit");
});
