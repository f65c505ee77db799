// Instructions as text, in the syntax of GNU objdump 2.40 (`objdump -d`): the mnemonic, a tab, the operands separated by
// commas without blanks; without operands there is no tab. Constants are decimal, except shift amounts, upper immediates and
// unnamed CSRs (0x…) and branch targets (hexadecimal without 0x). Short forms are shown as what they stand for. What cannot
// be decoded is `.2byte` or `.4byte` and the bits. Deviations from objdump: FENCE and FENCE.I with fields that the manual
// tells implementations to ignore are shown without them, and nothing is added about addresses that several instructions
// compute together (`# 80001000 <symbol>`).

import { ALIASES, EXACT_CONVERSIONS, OWN_OPERANDS, PARTICULAR, ROUNDING_MODES, type Spelling } from "./aliases.ts";
import { csrName } from "./csr_names.ts";
import type { Decoded, Decoder } from "./decode.ts";
import type { Extension } from "./extensions.ts";
import type { Format, Xlen } from "./instruction.ts";
import type { Operands } from "./ir.ts";
import { ABI_NAMES, FLOAT_ABI_NAMES } from "./registers.ts";
import type { Instruction } from "./table.ts";
import { stackList } from "./zcmp.ts";
import { FLI_CONSTANTS, FLI_SMALLEST_NORMAL } from "./zfa.ts";

/** How the text should look. */
export interface DisassemblyOptions {
  /** Text for an address (`main+0x10`, say), shown in angle brackets behind targets; undefined where there is none. */
  readonly symbol?: (address: bigint) => string | undefined;
  /** False: only the manual's mnemonics, short forms under their own (`objdump -M no-aliases`). Default: true. */
  readonly aliases?: boolean;
}

/** Text of one instruction. */
export interface Disassembly {
  /** Mnemonic, tab, operands. */
  readonly text: string;
  /** Length in memory in bytes. */
  readonly length: 2 | 4;
}

/** Operands in the order of the assembly text. */
const OPERANDS: Readonly<Record<Format, string>> = {
  R: "rd,rs1,rs2",
  R1: "rd,rs1",
  I: "rd,rs1,imm",
  shift: "rd,rs1,shamt",
  load: "rd,imm(rs1)",
  store: "rs2,imm(rs1)",
  branch: "rs1,rs2,target",
  upper: "rd,upper",
  jump: "rd,target",
  jalr: "rd,imm(rs1)",
  csr: "rd,csr,rs1",
  csri: "rd,csr,uimm",
  fence: "pred,succ",
  none: "",
  amo: "rd,rs2,(rs1)",
  lr: "rd,(rs1)",
  cbo: "(rs1)",
  Rbs: "rd,rs1,rs2,shamt",
  fload: "fd,imm(rs1)",
  fstore: "fs2,imm(rs1)",
  R4: "fd,fs1,fs2,fs3,rm",
  fR: "fd,fs1,fs2,rm",
  fR1: "fd,fs1,rm",
  fsign: "fd,fs1,fs2",
  fcmp: "rd,fs1,fs2",
  fcvtx: "rd,fs1,rm",
  fcvtf: "fd,rs1,rm",
  fmvx: "rd,fs1",
  fmvf: "fd,rs1",
  fmvp: "fd,rs1,rs2",
  fli: "fd,fli",
  stack: "list,adjustment",
  saved: "rs1,rs2",
  table: "imm",
  compressed: "",
};

type Condition = (i: Operands, xlen: Xlen, extensions: ReadonlySet<Extension>) => boolean;

function readCondition(text: string): Condition {
  const terms = text.split(" ").filter((term) => term !== "").map((term): Condition => {
    const [key, value] = term.split("=");
    if (value === undefined) {
      const off = term.startsWith("!"), name = (off ? term.slice(1) : term) as Extension;
      return (_i, _xlen, extensions) => extensions.has(name) !== off;
    }
    if (/^rs/.test(value)) return (i) => i[key as keyof Operands] === i[value as keyof Operands];
    const wanted = Number(value), [field = "", modulus] = key!.split("%");
    if (modulus !== undefined) return (i) => (i[field as keyof Operands] & Number(modulus) - 1) === wanted;
    return key === "xlen" ? (_i, xlen) => xlen === wanted : (i) => i[key as keyof Operands] === wanted;
  });
  return (i, xlen, extensions) => terms.every((holds) => holds(i, xlen, extensions));
}

interface Candidate {
  readonly holds: Condition;
  readonly mnemonic: string;
  readonly operands: string;
}

function byInstruction(spellings: readonly Spelling[]): ReadonlyMap<string, Candidate[]> {
  const all = new Map<string, Candidate[]>();
  for (const [instruction, condition, mnemonic, operands] of spellings) {
    const list = all.get(instruction) ?? [];
    all.set(instruction, list);
    list.push({ holds: readCondition(condition), mnemonic, operands });
  }
  return all;
}

const particular = byInstruction(PARTICULAR);
const aliases = byInstruction(ALIASES);

function find(spellings: ReadonlyMap<string, Candidate[]>, decoded: Decoded, decoder: Decoder): Candidate | undefined {
  const { operands, encoded, instruction } = decoded;
  for (const name of new Set([encoded.name, instruction.name])) {
    const found = spellings.get(name)?.find(({ holds }) => holds(operands, decoder.xlen, decoder.extensions));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The mnemonic, with what the immediate adds: ordering bits of atomic instructions, numbers of may-be-operations. */
function mnemonicOf({ name, format }: Instruction, { imm }: Operands): string {
  if (format === "amo" || format === "lr") return name + ["", ".rl", ".aq", ".aqrl"][imm];
  if (name === "mop.r" || name === "mop.rr") return `${name}.${imm}`;
  return name === "c.mop" ? `${name}.${imm + 1}` : name;
}

/** The predecessor or successor set of a FENCE. */
function orderedSet(bits: number): string {
  return bits === 0 ? "unknown" : [..."iorw"].filter((_, k) => (bits & 8 >> k) !== 0).join("");
}

function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/** A number with at most five significant bits as C's `%a` prints it. */
function hexadecimalFloat(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : "inf";
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  const digit = (Math.abs(value) / 2 ** exponent - 1) * 16;
  const digits = digit === 0 ? "1" : `1.${digit.toString(16)}`;
  return `${value < 0 ? "-" : ""}0x${digits}p${exponent < 0 ? "" : "+"}${exponent}`;
}

/** `{ra,s0-s3}`. */
function registerList(immediate: number): string {
  const { registers } = stackList(immediate, 32), saved = registers.length - 1;
  return `{ra${saved === 0 ? "" : saved === 1 ? ",s0" : `,s0-s${saved - 1}`}}`;
}

function operandText(token: string, i: Operands, target: () => string, floatsInX: boolean): string {
  switch (token) {
    case "imm":
      return String(i.imm);
    case "block":
      return String(i.imm & -32);
    case "shamt":
      return hex(i.imm);
    case "upper":
      return hex(i.imm >>> 12);
    case "uimm":
      return String(i.rs1);
    case "csr":
      return csrName(i.imm) ?? hex(i.imm);
    case "pred":
      return orderedSet(i.imm >>> 4 & 15);
    case "succ":
      return orderedSet(i.imm & 15);
    case "rm":
      return ROUNDING_MODES[i.imm]!;
    case "fli":
      return i.imm === FLI_SMALLEST_NORMAL ? "min" : hexadecimalFloat(FLI_CONSTANTS[i.imm]!);
    case "target":
      return target();
    case "rd":
    case "rs1":
    case "rs2":
      return ABI_NAMES[i[token]]!;
    default: // fd, fs1, fs2, fs3
      return (floatsInX ? ABI_NAMES : FLOAT_ABI_NAMES)[i[`r${token.slice(1)}` as "rd" | "rs1" | "rs2" | "rs3"]]!;
  }
}

/**
 * Text of the instruction whose bits are the low ones of `word`, as it stands at address `pc`. The upper half of `word` is
 * ignored where the lower one is a short form. `decoder` says which instructions there are.
 */
export function disassemble(
  decoder: Decoder,
  word: number,
  pc: bigint,
  options: DisassemblyOptions = {},
): Disassembly {
  const wantAliases = options.aliases ?? true;
  const decoded = decoder.decode(word);
  if (decoded === null) {
    // x111xxxxx1111111 is reserved for 192 bits and more: objdump shows halfwords of it.
    const length = (word & 3) === 3 && (word & 0x707f) !== 0x707f ? 4 : 2;
    const bits = length === 4 ? word >>> 0 : word & 0xffff;
    // The all-zero halfword is defined to be illegal and has a name.
    if (length === 2 && bits === 0) return { text: wantAliases ? "unimp" : "c.unimp", length };
    return { text: `.${length}byte\t${hex(bits)}`, length };
  }
  const { operands, encoded, instruction, length } = decoded;
  const target = () => {
    const address = BigInt.asUintN(decoder.xlen, pc + BigInt(operands.imm));
    const symbol = options.symbol?.(address);
    return address.toString(16) + (symbol === undefined ? "" : ` <${symbol}>`);
  };
  const spelling = find(particular, decoded, decoder) ?? (wantAliases ? find(aliases, decoded, decoder) : undefined);
  const shown = wantAliases ? instruction : encoded;
  const mnemonic = spelling?.mnemonic ?? mnemonicOf(shown, operands);
  if (shown.format === "stack") {
    const { adjustment } = stackList(operands.imm, decoder.xlen);
    return {
      text: `${mnemonic}\t${registerList(operands.imm)},${mnemonic === "cm.push" ? -adjustment : adjustment}`,
      length,
    };
  }
  const whole = spelling?.operands ?? OWN_OPERANDS[shown.name] ?? OPERANDS[shown.format];
  // The dynamic rounding mode is what an assembler puts where none is written.
  const unrounded = operands.imm === 7 || (operands.imm === 0 && EXACT_CONVERSIONS.has(shown.name));
  const form = unrounded ? whole.replace(/,rm$/, "") : whole;
  if (form === "") return { text: mnemonic, length };
  return {
    text: `${mnemonic}\t${form.replace(/\w+/g, (token) => operandText(token, operands, target, decoder.floatsInX))}`,
    length,
  };
}
