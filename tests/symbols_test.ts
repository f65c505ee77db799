// Symbols: which name an address gets and which address a name has.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parseElf } from "../machine/elf.ts";
import type { ElfSymbol } from "../machine/elf.ts";
import { Symbols } from "../machine/symbols.ts";

function symbol(name: string, value: bigint, other: Partial<ElfSymbol> = {}): ElfSymbol {
  return { name, value, size: 0n, type: "notype", binding: "local", section: 1, sectionEnd: 0x2000n, ...other };
}

function symbols(...list: ElfSymbol[]): Symbols {
  const all = new Symbols();
  all.add(list);
  return all;
}

const functionOf = (name: string, value: bigint, size: bigint, other: Partial<ElfSymbol> = {}) =>
  symbol(name, value, { size, type: "function", binding: "global", ...other });

test("an address is named by the function around it, with the offset in hexadecimal", () => {
  const all = symbols(functionOf("one", 0x1000n, 0x20n), functionOf("two", 0x1020n, 0x10n));
  assert.equal(all.format(0x1000n), "one");
  assert.equal(all.format(0x101f), "one+0x1f");
  assert.equal(all.format(0x1020), "two");
  assert.deepEqual(all.at(0x1024), { name: "two", offset: 4n, symbol: functionOf("two", 0x1020n, 0x10n) });
});

test("an address that nothing holds has no name", () => {
  const all = symbols(functionOf("one", 0x1000n, 0x20n));
  assert.equal(all.at(0xfffn), undefined);
  assert.equal(all.at(0x2000n), undefined, "after the section");
  assert.equal(all.format(0x2000), "0x2000");
  assert.equal(new Symbols().at(0n), undefined);
  assert.equal(new Symbols().format(-1), "0xffffffffffffffff");
});

test("past a sized symbol's end a label without size wins, and only without one the symbol itself", () => {
  const sized = functionOf("sized", 0x1010n, 0x10n);
  assert.equal(symbols(sized, symbol("label", 0x1000n)).format(0x1030n), "label+0x30");
  assert.equal(symbols(sized, symbol("label", 0x1028n)).format(0x1030n), "label+0x8");
  assert.equal(symbols(sized).format(0x1030n), "sized+0x20");
  const elsewhere = { ...sized, sectionEnd: 0x1020n };
  assert.equal(symbols(elsewhere).format(0x1030n), "0x1030");
});

test("a label inside a sized function does not hide the function", () => {
  const all = symbols(functionOf("f", 0x1000n, 0x40n), symbol("loop", 0x1010n, { binding: "global" }));
  assert.equal(all.format(0x1014n), "f+0x14");
  assert.equal(all.lookup("loop"), 0x1010n);
});

test("a label without size reaches to the end of its section, and one at the end only names that address", () => {
  const all = symbols(symbol("start", 0x1000n), symbol("_end", 0x2000n));
  assert.equal(all.format(0x1fffn), "start+0xfff");
  assert.equal(all.format(0x2000n), "_end");
  assert.equal(all.format(0x2001n), "0x2001");
  const { sectionEnd: _, ...unknown } = symbol("raw", 0x1000n);
  assert.equal(symbols(unknown).format(0x5000n), "raw+0x4000");
});

test("of symbols at one address functions win over objects over the rest, then global over weak over local", () => {
  const at = (name: string, type: ElfSymbol["type"], binding: ElfSymbol["binding"], size = 4n) =>
    symbol(name, 0x1000n, { type, binding, size });
  const ordered = [
    at("a", "function", "global"),
    at("b", "function", "weak"),
    at("c", "function", "local"),
    at("d", "object", "global"),
    at("e", "object", "local"),
    at("f", "notype", "global"),
    at("g", "notype", "weak"),
    at("h", "notype", "local"),
    at("i", "notype", "local", 0n),
  ];
  for (let first = 0; first < ordered.length; first++) {
    const some = ordered.slice(first);
    assert.equal(symbols(...some).format(0x1002n), `${some[0].name}+0x2`);
    assert.equal(symbols(...some.toReversed()).format(0x1002n), `${some[0].name}+0x2`);
  }
});

test("the innermost of nested functions wins, but no object in a function", () => {
  const outer = functionOf("outer", 0x1000n, 0x100n);
  assert.equal(symbols(outer, functionOf("inner", 0x1010n, 0x10n)).format(0x1018n), "inner+0x8");
  assert.equal(symbols(outer, functionOf("inner", 0x1010n, 0x10n)).format(0x1028n), "outer+0x28");
  const local = functionOf("local", 0x1010n, 0x10n, { binding: "local" });
  assert.equal(symbols(outer, local).format(0x1018n), "local+0x8");
  const table = functionOf("table", 0x1010n, 0x10n, { type: "object" });
  assert.equal(symbols(outer, table).format(0x1018n), "outer+0x18");
});

test("mapping, section, file, undefined and assembler-local symbols name nothing", () => {
  const names = ["$x", "$d", "$x.12", "$d.3", "$xrv64i2p1_m2p0", "$xrv32imac.7", ".L12", ""];
  const hidden = names.map((name) => symbol(name, 0x1000n));
  hidden.push(symbol("text", 0x1000n, { type: "section" }), symbol("a.c", 0x1000n, { type: "file" }));
  hidden.push(symbol("extern", 0x1000n, { section: 0 }), symbol("tls", 0x1000n, { type: "tls" }));
  const all = symbols(...hidden);
  assert.deepEqual(all.names(), []);
  assert.equal(all.at(0x1000n), undefined);
  assert.deepEqual(symbols(symbol("$xylophone", 1n), symbol("$data", 2n)).names(), ["$xylophone", "$data"]);
});

test("an absolute constant is found by name but names no address, an absolute function does", () => {
  const { sectionEnd: _, ...constant } = symbol("STACK_SIZE", 0x1000n, { section: 0xfff1, binding: "global" });
  const all = symbols(constant, { ...constant, name: "rom_putc", value: 0x3000n, type: "function" });
  assert.equal(all.lookup("STACK_SIZE"), 0x1000n);
  assert.equal(all.at(0x1004n), undefined);
  assert.equal(all.format(0x3004n), "rom_putc+0x4");
});

test("of one name's symbols the global one is looked up, else the first added", () => {
  const all = symbols(symbol("f", 1n), symbol("f", 2n), symbol("f", 3n, { binding: "weak" }));
  assert.equal(all.lookup("f"), 3n);
  all.add([symbol("f", 4n, { binding: "global" }), symbol("f", 5n, { binding: "global" })]);
  assert.equal(all.lookup("f"), 4n);
  assert.equal(symbols(symbol("f", 1n), symbol("f", 2n)).lookup("f"), 1n);
  assert.equal(all.lookup("constructor"), undefined);
  assert.deepEqual(all.names(), ["f"]);
});

test("symbols added with an offset are found where they were moved to, also after a look-up", () => {
  const all = symbols(functionOf("low", 0x1000n, 0x10n));
  assert.equal(all.format(0x8000_1004n), "0x80001004");
  all.add([functionOf("moved", 0x1000n, 0x10n)], 0x8000_0000);
  assert.equal(all.format(0x8000_1004n), "moved+0x4");
  assert.equal(all.lookup("moved"), 0x8000_1000n);
  assert.equal(all.at(0x8000_1fffn)?.symbol.sectionEnd, 0x8000_2000n);
  assert.equal(all.format(0x1004), "low+0x4");
  const high = symbols();
  high.add([functionOf("wrapped", 0xffff_ffff_8000_0000n, 4n)], 0x8000_0000n);
  assert.equal(high.lookup("wrapped"), 0n);
});

test("every function of the Rust kernel explains its first and last byte", () => {
  const file = new URL("./programs/p0uart.elf", import.meta.url);
  const elf = parseElf(new Uint8Array(readFileSync(file)), "p0uart.elf");
  const all = symbols(...elf.symbols);
  const functions = elf.symbols.filter(({ type }) => type === "function");
  assert.ok(functions.length > 20);
  for (const { value, size } of functions) {
    for (const offset of [0n, size - 1n]) {
      const match = all.at(value + offset)!;
      assert.equal(match.offset, offset);
      assert.equal(match.symbol.value, value);
    }
  }
  assert.equal(all.format(0x8000_0000n), "_start");
  assert.equal(all.format(0x8000_0008n), "_start+0x8");
  assert.equal(all.lookup("_start"), 0x8000_0000n);
  assert.equal(all.at(0x1000_0000n), undefined);
});

test("look-ups agree with a search of all symbols, for random sets", () => {
  let state = 12345;
  const random = (limit: number) => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) % 65521 % limit;
  for (let round = 0; round < 50; round++) {
    const list = Array.from({ length: 30 }, (_, index) =>
      symbol(`s${index}`, BigInt(random(200)), {
        size: BigInt(random(3) === 0 ? 0 : 1 + random(40)),
        type: "function",
        sectionEnd: 220n,
      }));
    const all = symbols(...list);
    for (let address = 0n; address < 230n; address++) {
      const starts = (some: ElfSymbol[]) => some.map(({ value }) => value).reduce((a, b) => a > b ? a : b, -1n);
      const before = list.filter(({ value }) => value <= address && address < 220n);
      const around = starts(list.filter(({ value, size }) => value <= address && address < value + size));
      const labels = starts(before.filter(({ size }) => size === 0n));
      const expected = around >= 0n ? around : labels >= 0n ? labels : starts(before);
      assert.equal(all.at(address)?.symbol.value ?? -1n, expected, `round ${round}, address ${address}`);
    }
  }
});
