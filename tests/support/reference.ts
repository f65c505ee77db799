// What each integer instruction does, on BigInt, written from the unprivileged manual: the reference that the generated code
// is compared with. Exact, slow, and independent of the IR that the instruction table is written in.

import type { Xlen } from "../../isa/instruction.ts";
import type { Operands } from "../../isa/ir.ts";
import { PURE_OPERATIONS, type PureOperation } from "../../isa/pure_operations.ts";

/** A hart as an instruction sees it. */
export interface Before {
  readonly xlen: Xlen;
  /** Unsigned values of x0 to x31. */
  readonly x: readonly bigint[];
  readonly pc: bigint;
  /** Length of the instruction in bytes. */
  readonly length: bigint;
  /** Reads `size` bytes of memory, unsigned. */
  load(address: bigint, size: number): bigint;
}

/** What an instruction changes. */
export interface Effect {
  /** Register that is written. */
  rd?: number;
  /** Its value; any representative modulo 2^XLEN. */
  value?: bigint;
  /** Next pc, where it is not the following instruction. */
  pc?: bigint;
  store?: { address: bigint; size: number; value: bigint };
}

type Meaning = (s: Before, o: Operands) => Effect;
/** Result of two unsigned operands of `width` bits; any representative modulo 2^width. */
type Arithmetic = (x: bigint, y: bigint, width: number) => bigint;

const u = (width: number, value: bigint) => BigInt.asUintN(width, value);
const s = (width: number, value: bigint) => BigInt.asIntN(width, value);
const amount = (y: bigint, width: number) => y & BigInt(width - 1);
const bool = (condition: boolean) => condition ? 1n : 0n;

const rotated = (x: bigint, left: bigint, width: number) => u(width, x << left) | x >> (BigInt(width) - left);
const extreme = (signed: boolean, larger: boolean): Arithmetic => (x, y, width) => {
  const less = signed ? s(width, x) < s(width, y) : x < y;
  return less === larger ? y : x;
};
const count = (f: (digits: string) => number): Arithmetic => (x, _, width) =>
  BigInt(f(x.toString(2).padStart(width, "0")));
const leading = count((digits) => digits.indexOf("1") < 0 ? digits.length : digits.indexOf("1"));
const trailing = count((digits) => digits.length - 1 - digits.lastIndexOf("1"));
const ones = count((digits) => digits.replaceAll("0", "").length);
const pure = (name: PureOperation): Arithmetic => (x, y, width) => PURE_OPERATIONS[name](width as Xlen, x, y);
/** Division rounds towards zero; by zero it gives all ones, and the remainder the dividend. */
const quotient: Arithmetic = (x, y, width) => y === 0n ? -1n : s(width, x) / s(width, y);
const remainder: Arithmetic = (x, y, width) => y === 0n ? x : s(width, x) % s(width, y);
const quotientUnsigned: Arithmetic = (x, y) => y === 0n ? -1n : x / y;
const remainderUnsigned: Arithmetic = (x, y) => y === 0n ? x : x % y;

/** Operations with a second operand that is rs2 or, with the name in brackets, an immediate. */
const WHOLE: readonly (readonly [name: string, immediate: string, f: Arithmetic])[] = [
  ["add", "addi", (x, y) => x + y],
  ["sub", "", (x, y) => x - y],
  ["sll", "slli", (x, y, w) => x << amount(y, w)],
  ["slt", "slti", (x, y, w) => bool(s(w, x) < s(w, y))],
  ["sltu", "sltiu", (x, y) => bool(x < y)],
  ["xor", "xori", (x, y) => x ^ y],
  ["srl", "srli", (x, y, w) => x >> amount(y, w)],
  ["sra", "srai", (x, y, w) => s(w, x) >> amount(y, w)],
  ["or", "ori", (x, y) => x | y],
  ["and", "andi", (x, y) => x & y],
  ["mul", "", (x, y) => x * y],
  ["mulh", "", (x, y, w) => s(w, x) * s(w, y) >> BigInt(w)],
  ["mulhsu", "", (x, y, w) => s(w, x) * y >> BigInt(w)],
  ["mulhu", "", (x, y, w) => x * y >> BigInt(w)],
  ["div", "", quotient],
  ["divu", "", quotientUnsigned],
  ["rem", "", remainder],
  ["remu", "", remainderUnsigned],
  ["czero.eqz", "", (x, y) => y === 0n ? 0n : x],
  ["czero.nez", "", (x, y) => y !== 0n ? 0n : x],
  ["mop.rr", "", () => 0n],
  ["sh1add", "", (x, y) => y + 2n * x],
  ["sh2add", "", (x, y) => y + 4n * x],
  ["sh3add", "", (x, y) => y + 8n * x],
  ["add.uw", "", (x, y) => y + u(32, x)],
  ["sh1add.uw", "", (x, y) => y + 2n * u(32, x)],
  ["sh2add.uw", "", (x, y) => y + 4n * u(32, x)],
  ["sh3add.uw", "", (x, y) => y + 8n * u(32, x)],
  ["", "slli.uw", (x, y) => u(32, x) << y],
  ["andn", "", (x, y) => x & ~y],
  ["orn", "", (x, y) => x | ~y],
  ["xnor", "", (x, y) => ~(x ^ y)],
  ["min", "", extreme(true, false)],
  ["minu", "", extreme(false, false)],
  ["max", "", extreme(true, true)],
  ["maxu", "", extreme(false, true)],
  ["rol", "", (x, y, w) => rotated(x, amount(y, w), w)],
  ["ror", "rori", (x, y, w) => rotated(x, amount(-y, w), w)],
  ["bclr", "bclri", (x, y, w) => x & ~(1n << amount(y, w))],
  ["bext", "bexti", (x, y, w) => x >> amount(y, w) & 1n],
  ["binv", "binvi", (x, y, w) => x ^ 1n << amount(y, w)],
  ["bset", "bseti", (x, y, w) => x | 1n << amount(y, w)],
  ["clmul", "", pure("carrylessMultiply")],
  ["clmulh", "", pure("carrylessMultiplyHigh")],
  ["clmulr", "", pure("carrylessMultiplyReversed")],
  ["pack", "", (x, y, w) => u(w / 2, y) << BigInt(w / 2) | u(w / 2, x)],
  ["packh", "", (x, y) => u(8, y) << 8n | u(8, x)],
  ["xperm4", "", pure("permuteNibbles")],
  ["xperm8", "", pure("permuteBytes")],
];

/** Operations on the low 32 bits with a sign-extended result. */
const WORD: typeof WHOLE = [
  ["addw", "addiw", (x, y) => x + y],
  ["subw", "", (x, y) => x - y],
  ["sllw", "slliw", (x, y) => x << amount(y, 32)],
  ["srlw", "srliw", (x, y) => x >> amount(y, 32)],
  ["sraw", "sraiw", (x, y) => s(32, x) >> amount(y, 32)],
  ["mulw", "", (x, y) => x * y],
  ["divw", "", quotient],
  ["divuw", "", quotientUnsigned],
  ["remw", "", remainder],
  ["remuw", "", remainderUnsigned],
  ["rolw", "", (x, y) => rotated(x, amount(y, 32), 32)],
  ["rorw", "roriw", (x, y) => rotated(x, amount(-y, 32), 32)],
  ["packw", "", (x, y) => u(16, y) << 16n | u(16, x)],
];

/** Operations on rs1 alone. */
const UNARY: readonly (readonly [name: string, f: Arithmetic])[] = [
  ["clz", leading],
  ["ctz", trailing],
  ["cpop", ones],
  ["clzw", (x) => leading(u(32, x), 0n, 32)],
  ["ctzw", (x) => trailing(u(32, x), 0n, 32)],
  ["cpopw", (x) => ones(u(32, x), 0n, 32)],
  ["sext.b", (x) => s(8, x)],
  ["sext.h", (x) => s(16, x)],
  ["zext.h", (x) => u(16, x)],
  ["orc.b", pure("orCombineBytes")],
  ["rev8", pure("reverseBytes")],
  ["brev8", pure("reverseBitsInBytes")],
  ["zip", pure("interleaveHalves")],
  ["unzip", pure("separateEvenOdd")],
  ["mop.r", () => 0n],
];

const meanings: Record<string, Meaning> = {};
function sets(name: string, value: (h: Before, o: Operands) => bigint): void {
  if (name !== "") meanings[name] = (h, o) => ({ rd: o.rd, value: value(h, o) });
}
for (const [name, immediate, f] of WHOLE) {
  sets(name, ({ x, xlen }, o) => f(x[o.rs1]!, x[o.rs2]!, xlen));
  sets(immediate, ({ x, xlen }, o) => f(x[o.rs1]!, u(xlen, BigInt(o.imm)), xlen));
}
for (const [name, immediate, f] of WORD) {
  sets(name, ({ x }, o) => s(32, f(u(32, x[o.rs1]!), u(32, x[o.rs2]!), 32)));
  sets(immediate, ({ x }, o) => s(32, f(u(32, x[o.rs1]!), u(32, BigInt(o.imm)), 32)));
}
for (const [name, f] of UNARY) sets(name, ({ x, xlen }, o) => f(x[o.rs1]!, 0n, xlen));

sets("lui", (_, o) => BigInt(o.imm));
sets("auipc", ({ pc }, o) => pc + BigInt(o.imm));

const jump = (rd: number, target: (h: Before, o: Operands) => bigint): Meaning => (h, o) => ({
  rd: rd < 0 ? o.rd : rd,
  value: h.pc + h.length,
  pc: target(h, o),
});
meanings["jal"] = jump(-1, ({ pc }, o) => pc + BigInt(o.imm));
meanings["jalr"] = jump(-1, ({ x }, o) => x[o.rs1]! + BigInt(o.imm) & ~1n);

const CONDITIONS: Readonly<Record<string, Arithmetic>> = {
  beq: (x, y) => bool(x === y),
  bne: (x, y) => bool(x !== y),
  blt: (x, y, w) => bool(s(w, x) < s(w, y)),
  bge: (x, y, w) => bool(s(w, x) >= s(w, y)),
  bltu: (x, y) => bool(x < y),
  bgeu: (x, y) => bool(x >= y),
};
for (const [name, f] of Object.entries(CONDITIONS)) {
  meanings[name] = ({ x, xlen, pc }, o) => f(x[o.rs1]!, x[o.rs2]!, xlen) ? { pc: pc + BigInt(o.imm) } : {};
}

const addressOf = ({ x, xlen }: Before, o: Operands) => u(xlen, x[o.rs1]! + BigInt(o.imm));
const SIZES = { b: 1, h: 2, w: 4, d: 8 } as const;
for (const [letter, size] of Object.entries(SIZES)) {
  sets(`l${letter}`, (h, o) => s(8 * size, h.load(addressOf(h, o), size)));
  sets(`l${letter}u`, (h, o) => h.load(addressOf(h, o), size));
  meanings[`s${letter}`] = (h, o) => ({
    store: { address: addressOf(h, o), size, value: u(8 * size, h.x[o.rs2]!) },
  });
}

const AMOS: Readonly<Record<string, Arithmetic>> = {
  amoswap: (_, y) => y,
  amoadd: (x, y) => x + y,
  amoand: (x, y) => x & y,
  amoor: (x, y) => x | y,
  amoxor: (x, y) => x ^ y,
  amomin: extreme(true, false),
  amomax: extreme(true, true),
  amominu: extreme(false, false),
  amomaxu: extreme(false, true),
};
for (const [name, f] of Object.entries(AMOS)) {
  for (const [letter, size] of [["b", 1], ["h", 2], ["w", 4], ["d", 8]] as const) {
    meanings[`${name}.${letter}`] = ({ x, load }, o) => {
      const address = x[o.rs1]!, old = load(address, size), width = 8 * size;
      const value = u(width, f(old, u(width, x[o.rs2]!), width));
      return { rd: o.rd, value: s(width, old), store: { address, size, value } };
    };
  }
}

for (const name of ["fence", "c.mop"]) meanings[name] = () => ({});

/** A compressed instruction in terms of another: the expansions that the manual gives. */
function short(name: string, base: string, operands: (o: Operands) => Partial<Operands>): void {
  meanings[name] = (h, o) => meanings[base]!(h, { rd: 0, rs1: 0, rs2: 0, rs3: 0, imm: 0, ...operands(o) });
}
const onStack = (o: Operands) => ({ ...o, rs1: 2 });
const inPlace = (o: Operands) => ({ ...o, rs1: o.rd });
const same = (o: Operands) => o;
for (const name of ["lw", "ld", "sw", "sd", "lbu", "lhu", "lh", "sb", "sh"]) short(`c.${name}`, name, same);
for (const name of ["lw", "ld", "sw", "sd"]) short(`c.${name}sp`, name, onStack);
for (const name of ["addi", "addiw", "slli", "srli", "srai", "andi"]) short(`c.${name}`, name, inPlace);
for (const name of ["add", "sub", "xor", "or", "and", "addw", "subw", "mul"]) short(`c.${name}`, name, inPlace);
for (const name of ["sext.b", "sext.h", "zext.h"]) short(`c.${name}`, name, inPlace);
short("c.addi4spn", "addi", onStack);
short("c.addi16sp", "addi", (o) => ({ rd: 2, rs1: 2, imm: o.imm }));
short("c.li", "addi", (o) => ({ rd: o.rd, imm: o.imm }));
short("c.lui", "lui", same);
short("c.mv", "add", (o) => ({ rd: o.rd, rs2: o.rs2 }));
short("c.zext.b", "andi", (o) => ({ rd: o.rd, rs1: o.rd, imm: 0xff }));
short("c.zext.w", "add.uw", (o) => ({ rd: o.rd, rs1: o.rd }));
short("c.not", "xori", (o) => ({ rd: o.rd, rs1: o.rd, imm: -1 }));
short("c.beqz", "beq", (o) => ({ rs1: o.rs1, imm: o.imm }));
short("c.bnez", "bne", (o) => ({ rs1: o.rs1, imm: o.imm }));
meanings["c.j"] = jump(0, ({ pc }, o) => pc + BigInt(o.imm));
meanings["c.jal"] = jump(1, ({ pc }, o) => pc + BigInt(o.imm));
meanings["c.jr"] = jump(0, ({ x }, o) => x[o.rs1]! & ~1n);
meanings["c.jalr"] = jump(1, ({ x }, o) => x[o.rs1]! & ~1n);

/** Meanings by mnemonic. What touches CSRs, reservations or register pairs, or traps, is not among them. */
export const REFERENCE: Readonly<Record<string, Meaning>> = meanings;
