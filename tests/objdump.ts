// GNU objdump as an oracle: listings of binaries and of words that are put together for it.
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const TOOLS = "riscv64-unknown-elf-";
/** The version whose syntax the disassembler writes; others differ in aliases and in what they know. */
const VERSION = "2.40";

/** One line of a listing. */
export interface Listed {
  readonly address: bigint;
  /** The bits (unsigned), as many as `digits` hexadecimal digits say. */
  readonly word: bigint;
  readonly digits: number;
  /** Mnemonic, tab, operands, with symbols behind addresses. */
  readonly text: string;
}

/** Why there is no oracle, or false if there is one. In CI there has to be. */
export function objdumpMissing(): string | false {
  const { stdout } = spawnSync(`${TOOLS}objdump`, ["--version"], { encoding: "utf8" });
  const found = /objdump .*?(\d+\.\d+)/.exec(stdout ?? "")?.[1];
  if (found === VERSION) return false;
  const why = `${TOOLS}objdump ${VERSION} is needed (${
    found ?? "none"
  } found): apt-get install binutils-riscv64-unknown-elf`;
  if (process.env.CI) throw new Error(why);
  return why;
}

/** Runs a tool with its output in a file: pipes are short. Throws if it fails. */
function run(tool: string, args: string[], output: string): void {
  const file = openSync(output, "w");
  try {
    const { status, stderr } = spawnSync(TOOLS + tool, args, { stdio: ["ignore", file, "pipe"] });
    if (status !== 0) throw new Error(`${tool} ${args.join(" ")}: ${stderr}`);
  } finally {
    closeSync(file);
  }
}

/** What objdump makes of a file. `folder` is for intermediate files. */
export function listing(folder: string, args: string[]): Listed[] {
  const output = join(folder, "listing.txt");
  run("objdump", args, output);
  return readFileSync(output, "utf8").split("\n").flatMap((line): Listed[] => {
    const found = /^ *([0-9a-f]+):\t([0-9a-f]+) +\t(.*)$/.exec(line);
    if (found === null) return [];
    const [, address, bits, text] = found;
    return [{ address: BigInt(`0x${address}`), word: BigInt(`0x${bits}`), digits: bits!.length, text: text! }];
  });
}

/** What objdump makes of a program, whatever its attributes say about extensions and versions. */
export function listProgram(folder: string, path: string, args: string[]): Listed[] {
  const copy = join(folder, "copy.elf");
  // Without attributes objdump assumes RV32GC or RV64GC by the file's class, and the newest CSR names.
  run("objcopy", ["--remove-section=.riscv.attributes", path, copy], join(folder, "objcopy.txt"));
  return listing(folder, ["-d", ...args, copy]);
}

/** What objdump makes of words (of 2 or 4 bytes), for an ISA string. */
export function listWords(
  folder: string,
  isa: string,
  words: readonly { readonly bits: number; readonly length: 2 | 4 }[],
  args: string[],
): Listed[] {
  const source = join(folder, "words.s"), object = join(folder, "words.o");
  // `.insn`, as `.4byte` would be marked as data.
  const lines = words.map(({ bits, length }) => `.insn ${length}, 0x${bits.toString(16)}`);
  writeFileSync(source, `.attribute arch, "${isa}"\n${lines.join("\n")}\n`);
  const abi = isa.startsWith("rv32") ? "ilp32" : "lp64";
  run("as", [`-march=${isa}`, `-mabi=${abi}`, "-o", object, source], join(folder, "as.txt"));
  return listing(folder, ["-d", ...args, object]);
}
