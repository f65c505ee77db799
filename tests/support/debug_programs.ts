// The programs for tests of debug information (tests/programs/debug_*).

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openFile } from "../../machine/files.ts";
import { SymbolFile } from "../../machine/symbol_file.ts";

/** Programs with debug information: language, DWARF version, optimisation. */
export const DEBUG_PROGRAMS = [
  ...["debug_c_4_0", "debug_c_4_2", "debug_c_5_0", "debug_c_5_2", "debug_cpp_5_0", "debug_cpp_4_2"],
  ...["debug_c32_5_0", "debug_c32_4_2"],
  ...["debug_rust_5_0", "debug_rust_4_2"],
] as const;

/** Path of a test program. */
export function programPath(name: string): string {
  return fileURLToPath(new URL(`../programs/${name}.elf`, import.meta.url));
}

/** A test program as a file with symbols. */
export function symbolFile(name: string): SymbolFile {
  return new SymbolFile(openFile(programPath(name), "test"));
}

/** Width of the registers of an ELF file's program. */
export function xlenOf(path: string): 32 | 64 {
  return readFileSync(path)[4] === 1 ? 32 : 64;
}
