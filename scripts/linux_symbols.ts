// The symbols of a Linux image as an ELF file, for GDB and `-symbols`: `deno run -A scripts/linux_symbols.ts Image linux.elf`.
//
// Debian's kernel has no symbol table, and the package with its debug information is a gigabyte. But a kernel with CONFIG_KALLSYMS
// carries the names of its functions and variables for its own messages. Layout: scripts/kallsyms.c of Linux 6.12.

import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** A function or variable of the kernel. */
export interface KernelSymbol {
  readonly name: string;
  readonly address: bigint;
  /** As `nm` writes it: `T` for a global function. */
  readonly letter: string;
}

const TOKENS = 256, MARKED = 256;

/** Position of a sequence of bytes; -1 if it is not there. */
function find(image: Uint8Array, wanted: Uint8Array, from: number): number {
  for (let at = image.indexOf(wanted[0]!, from); at >= 0; at = image.indexOf(wanted[0]!, at + 1)) {
    if (wanted.every((byte, k) => image[at + k] === byte)) return at;
  }
  return -1;
}

/**
 * The symbols in a raw image of a kernel.
 *
 * @throws {Error} If they are not found.
 */
export function kernelSymbols(image: Uint8Array): KernelSymbol[] {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const align = (at: number) => at + 7 & ~7, u16 = (at: number) => view.getUint16(at, true);
  const u32 = (at: number) => view.getUint32(at, true);
  // A token of the table is what one byte of a name stands for; digits stand for themselves. Behind the table: where each token is.
  const digits = Uint8Array.from("0 1 2 3 4 5 6 7 8 9 ", (each) => each === " " ? 0 : each.charCodeAt(0));
  const first = "0".charCodeAt(0);
  for (let at = find(image, digits, 0); at >= 0; at = find(image, digits, at + 1)) {
    for (let index = align(at); index < at + 4096; index += 8) {
      const table = at - u16(index + 2 * first);
      const fits = u16(index) === 0 &&
        Array.from({ length: 9 }, (_, k) => first + 1 + k).every((token) =>
          u16(index + 2 * token) === u16(index + 2 * (token - 1)) + 2
        );
      if (!fits) continue;
      const decoder = new TextDecoder("latin1");
      const tokens = Array.from({ length: TOKENS }, (_, k) => {
        const start = table + u16(index + 2 * k);
        return decoder.decode(image.subarray(start, image.indexOf(0, start)));
      });
      return read(align(index + 2 * TOKENS), table, tokens);
    }
  }
  throw new Error("there is no table of tokens in this image");

  function read(offsets: number, table: number, tokens: readonly string[]): KernelSymbol[] {
    // Before the table: the position of each 256th name, beginning with 0.
    let markers = table;
    while (u32(markers - 4) === 0) markers -= 4;
    let marked = 0;
    do {
      markers -= 4;
      marked++;
    } while (u32(markers) !== 0);
    // Before the markers the names, and their number before those.
    const names = u32(markers + 4 * (marked - 1));
    for (let start = markers - names & ~7; start > markers - names - MARKED * 128; start -= 8) {
      const count = u32(start - 8);
      if (Math.ceil(count / MARKED) !== marked) continue;
      const base = view.getBigUint64(align(offsets + 4 * count), true);
      const symbols: KernelSymbol[] = [];
      let at = start;
      for (let k = 0; k < count; k++) {
        let length = image[at++]!;
        if (length >= 128) length = length & 127 | image[at++]! << 7;
        let text = "";
        for (const end = at + length; at < end;) text += tokens[image[at++]!];
        symbols.push({ name: text.slice(1), letter: text[0]!, address: base + BigInt(u32(offsets + 4 * k)) });
      }
      return symbols;
    }
    throw new Error("there are no names in this image");
  }
}

/** An ELF file with symbols and nothing else, for `gdb` and `-symbols`. */
export function symbolElf(symbols: readonly KernelSymbol[]): Uint8Array {
  const low = symbols.reduce((least, { address }) => address < least ? address : least, symbols[0]!.address);
  const high = symbols.reduce((most, { address }) => address > most ? address : most, low);
  const sectionNames = "\0.text\0.symtab\0.strtab\0.shstrtab\0", names = ["", ...symbols.map(({ name }) => name)];
  const strings = new TextEncoder().encode(`${names.join("\0")}\0`), HEADER = 64, ENTRY = 24;
  const symtab = HEADER, strtab = symtab + ENTRY * names.length, shstrtab = strtab + strings.length;
  const headers = shstrtab + sectionNames.length + 7 & ~7, file = new Uint8Array(headers + 5 * 64);
  const view = new DataView(file.buffer), u64 = (at: number, value: bigint) => view.setBigUint64(at, value, true);
  // ELF64, little-endian, executable, RISC-V.
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  for (const [at, value] of [[16, 2], [18, 243], [52, HEADER], [58, 64], [60, 5], [62, 4]] as const) {
    view.setUint16(at, value, true);
  }
  view.setUint32(20, 1, true);
  u64(40, BigInt(headers));
  file.set(strings, strtab);
  file.set(new TextEncoder().encode(sectionNames), shstrtab);
  let name = 1;
  symbols.forEach((symbol, k) => {
    const at = symtab + ENTRY * (k + 1), code = /[tw]/i.test(symbol.letter);
    view.setUint32(at, name, true);
    file[at + 4] = (symbol.letter === symbol.letter.toUpperCase() ? 16 : 0) | (code ? 2 : 1);
    view.setUint16(at + 6, 1, true);
    u64(at + 8, symbol.address);
    name += new TextEncoder().encode(symbol.name).length + 1;
  });
  // Name, type, flags, address, offset, size, link, info, size of an entry.
  const sections: readonly (readonly number[])[] = [
    [sectionNames.indexOf(".text"), 8, 6, 0, 0, 0, 0, 0, 0],
    [sectionNames.indexOf(".symtab"), 2, 0, 0, symtab, strtab - symtab, 3, 1, ENTRY],
    [sectionNames.indexOf(".strtab"), 3, 0, 0, strtab, strings.length, 0, 0, 0],
    [sectionNames.indexOf(".shstrtab"), 3, 0, 0, shstrtab, sectionNames.length, 0, 0, 0],
  ];
  sections.forEach(([title, type, flags, address, offset, size, link, info, entry], k) => {
    const at = headers + 64 * (k + 1);
    view.setUint32(at, title!, true);
    view.setUint32(at + 4, type!, true);
    [flags!, address!, offset!, size!].forEach((value, field) => u64(at + 8 + 8 * field, BigInt(value)));
    view.setUint32(at + 40, link!, true);
    view.setUint32(at + 44, info!, true);
    u64(at + 48, 8n);
    u64(at + 56, BigInt(entry!));
  });
  u64(headers + 64 + 16, low);
  u64(headers + 64 + 32, high - low);
  return file;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [image, output] = process.argv.slice(2);
  if (image === undefined || output === undefined) {
    console.error("usage: deno run -A scripts/linux_symbols.ts IMAGE OUTPUT.elf");
    process.exitCode = 2;
  } else {
    const symbols = kernelSymbols(new Uint8Array(readFileSync(image)));
    writeFileSync(output, symbolElf(symbols));
    console.log(`${output}: ${symbols.length} symbols`);
  }
}
