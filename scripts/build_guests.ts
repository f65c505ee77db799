// Rebuilds the guest programs of tests/programs from their sources (`deno task guests`). The ELF files are committed, so only
// who changes a source needs the compiler. The Rust programs p0, p0uart and debug_rust
// (rustc 1.96; DWARF 5 at -O0 with v0 names, DWARF 4 at -O2 with the old ones) are built elsewhere and kept as they are.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** A program: its name (that of the ELF file), the sources that are linked, in this order, and its width if not 64 bits. */
export interface GuestProgram {
  readonly name: string;
  readonly sources: readonly string[];
  /** What the sources include. */
  readonly headers?: readonly string[];
  /** Width of registers; 64 if absent. */
  readonly xlen?: 32 | 64;
  /** Options of the compiler for all sources in place of `-O2`. */
  readonly options?: readonly string[];
  /** The linker's script; `bare.ld` if absent. */
  readonly script?: string;
}

/** A program for tests of debug information. */
function debug(name: string, source: string, options: string): GuestProgram {
  return { name, sources: ["debug_start.S", source], options: options.split(" "), script: "debug.ld" };
}

/** All programs. They are RV64IMAC or RV32IMAC. */
export const GUEST_PROGRAMS: readonly GuestProgram[] = [
  { name: "kernel", sources: ["kernel_start.S", "kernel.c"] },
  { name: "echo", sources: ["echo.S"] },
  { name: "reset", sources: ["reset.S"] },
  { name: "sleep", sources: ["sleep.S"] },
  { name: "flood", sources: ["flood.S"] },
  { name: "htif", sources: ["htif.S"] },
  { name: "virtio_disk", sources: ["virtio_disk_start.S", "virtio_disk.c"] },
  { name: "virtio_disk32", sources: ["virtio_disk_start.S", "virtio_disk.c"], xlen: 32 },
  {
    name: "sv39_kernel",
    sources: ["sv39_kernel_start.S", "sv39_kernel.c", "sv39_user.c"],
    headers: ["sv39_kernel.h"],
    options: ["-gdwarf-5", "-O0"],
    script: "sv39.ld",
  },
  debug("debug_c_4_0", "debug_c.c", "-gdwarf-4 -O0"),
  debug("debug_c_4_2", "debug_c.c", "-gdwarf-4 -O2 -fasynchronous-unwind-tables"),
  debug("debug_c_5_0", "debug_c.c", "-gdwarf-5 -O0"),
  debug("debug_c_5_2", "debug_c.c", "-gdwarf-5 -O2 -Wl,--compress-debug-sections=zlib"),
  debug("debug_c_split", "debug_c.c", "-gdwarf-5 -O0 -gsplit-dwarf"),
  debug("debug_c_plain", "debug_c.c", "-g0 -O1"),
  debug("debug_c_fp", "debug_c.c", "-g0 -O1 -fno-omit-frame-pointer"),
  {
    ...debug("debug_c32_5_0", "debug_c.c", "-gdwarf-5 -O0"),
    ...{ xlen: 32, sources: ["debug32_start.S", "debug_c.c"], headers: ["debug_start.S"] },
  },
  {
    ...debug("debug_c32_4_2", "debug_c.c", "-gdwarf-4 -O2 -fasynchronous-unwind-tables"),
    ...{ xlen: 32, sources: ["debug32_start.S", "debug_c.c"], headers: ["debug_start.S"] },
  },
  debug("debug_cpp_5_0", "debug_cpp.cc", "-gdwarf-5 -O0 -fno-exceptions -fno-rtti"),
  debug("debug_cpp_4_2", "debug_cpp.cc", "-gdwarf-4 -O2 -fno-exceptions -fno-rtti"),
];

/** Folder with sources and ELF files. */
export const PROGRAMS_FOLDER: string = fileURLToPath(new URL("../tests/programs/", import.meta.url));

/** The compiler. */
export const COMPILER = "riscv64-unknown-elf-gcc";

const TARGET: Readonly<Record<32 | 64, readonly string[]>> = {
  32: ["-march=rv32imac_zicsr", "-mabi=ilp32"],
  64: ["-march=rv64imac_zicsr", "-mabi=lp64"],
};
const COMPILE = "-mcmodel=medany -Wall -Werror -ffreestanding -c".split(" ");
const LINK = "-nostdlib -static -Wl,--build-id=none".split(" ");

/** `GCC: (…) 12.2.0` as the compiler writes it into what it compiles; undefined if it is not installed. */
export function compilerIdentity(): string | undefined {
  const { stdout } = spawnSync(COMPILER, ["--version"], { encoding: "utf8" });
  const line = stdout?.split("\n")[0]?.replace(/^\S+ /, "");
  return line === undefined || line === "" ? undefined : `GCC: ${line}`;
}

/**
 * Builds a program. Two builds by one compiler give the same bytes.
 *
 * @param output Path of the ELF file.
 * @throws {Error} With the compiler's messages, if it fails.
 */
export function buildGuest(
  { name, sources, headers = [], xlen = 64, options = ["-O2"], script = "bare.ld" }: GuestProgram,
  output: string,
): void {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-guest-"));
  try {
    const inputs = [script, ...headers, ...sources];
    for (const file of inputs) copyFileSync(join(PROGRAMS_FOLDER, file), join(folder, file));
    const run = (args: string[]) => {
      const { status, stderr, error } = spawnSync(COMPILER, args, { cwd: folder, encoding: "utf8" });
      if (error !== undefined) throw new Error(`${COMPILER} is needed: apt-get install gcc-riscv64-unknown-elf`);
      if (status !== 0) throw new Error(`${name}: ${COMPILER} failed:\n${stderr}`);
    };
    const objects = sources.map((source) => `${source}.o`);
    const language = (source: string) =>
      options.filter((option) => source.endsWith(".cc") || !/^-fno-(exceptions|rtti)$/.test(option));
    // Debug information names the folder.
    const place = [`-ffile-prefix-map=${folder}=/guest`, `-Wa,--debug-prefix-map=${folder}=/guest`];
    sources.forEach((source, k) =>
      run([...TARGET[xlen], ...COMPILE, ...place, ...language(source), source, "-o", objects[k]!])
    );
    run([...TARGET[xlen], ...LINK, ...options, `-Wl,-T,${script}`, ...objects, "-o", `${name}.elf`]);
    copyFileSync(join(folder, `${name}.elf`), output);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const program of GUEST_PROGRAMS) {
    const output = join(PROGRAMS_FOLDER, `${program.name}.elf`);
    buildGuest(program, output);
    console.log(`${program.name}.elf: ${readFileSync(output).length} bytes from ${program.sources.join(", ")}`);
  }
}
