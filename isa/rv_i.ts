// RV32I and RV64I: the base integer instructions (unprivileged manual, chapters "RV32I" and "RV64I"), with the hints
// that have names of their own as encodings of FENCE and ADD.

import type { Builder, MemoryType, Operands, Value } from "./ir.ts";
import type { Definition, Format } from "./instruction.ts";

type Meaning = (b: Builder, i: Operands) => void;

/** Operands of the FENCE that is PAUSE (unprivileged manual, "Zihintpause"): predecessor W, no successor. */
export const PAUSE = 0x10;

const I = ["I"] as const;
const rv64 = { xlen: 64 } as const;

/** Register-register: rd = f(rs1, rs2). */
function register(name: string, pattern: string, f: (b: Builder, a: Value, c: Value) => Value): Definition {
  return {
    name,
    extensions: I,
    format: "R",
    pattern,
    semantics: (b, i) => b.setX(i.rd, f(b, b.x(i.rs1), b.x(i.rs2))),
  };
}

/** Register-register on the low words, with a sign-extended result. */
function registerW(name: string, pattern: string, f: (b: Builder, a: Value, c: Value) => Value): Definition {
  return {
    name,
    extensions: I,
    ...rv64,
    format: "R",
    pattern,
    semantics: (b, i) => b.setX(i.rd, f(b, b.w(i.rs1), b.w(i.rs2))),
  };
}

function immediate(name: string, funct3: string, f: (b: Builder, a: Value, m: Value) => Value): Definition {
  return {
    name,
    extensions: I,
    format: "I",
    pattern: `iiiiiiiiiiiisssss${funct3}ddddd0010011`,
    immediate: "-11:0",
    semantics: (b, i) => b.setX(i.rd, f(b, b.x(i.rs1), b.imm(i))),
  };
}

function shift(name: string, pattern: string, f: (b: Builder, a: Value, m: Value) => Value): Definition {
  return {
    name,
    extensions: I,
    format: "shift",
    pattern,
    valid: (i, xlen) => i.imm < xlen,
    semantics: (b, i) => b.setX(i.rd, f(b, b.x(i.rs1), b.imm32(i))),
  };
}

function shiftW(name: string, pattern: string, f: (b: Builder, a: Value, m: Value) => Value): Definition {
  return {
    name,
    extensions: I,
    ...rv64,
    format: "shift",
    pattern,
    semantics: (b, i) => b.setX(i.rd, f(b, b.w(i.rs1), b.imm32(i))),
  };
}

function branch(name: string, funct3: string, f: (b: Builder, a: Value, c: Value) => Value): Definition {
  return {
    name,
    extensions: I,
    format: "branch",
    pattern: `iiiiiiitttttsssss${funct3}iiiii1100011`,
    immediate: "-12|10:5|4:1|11",
    semantics: (b, i) => b.branch(f(b, b.x(i.rs1), b.x(i.rs2))),
  };
}

function load(name: string, funct3: string, memory: MemoryType, more: Partial<Definition> = {}): Definition {
  return {
    name,
    extensions: I,
    format: "load",
    pattern: `iiiiiiiiiiiisssss${funct3}ddddd0000011`,
    immediate: "-11:0",
    semantics: (b, i) => b.setX(i.rd, b.load(memory, b.address(i))),
    ...more,
  };
}

function store(name: string, funct3: string, memory: MemoryType, more: Partial<Definition> = {}): Definition {
  return {
    name,
    extensions: I,
    format: "store",
    pattern: `iiiiiiitttttsssss${funct3}iiiii0100011`,
    immediate: "-11:5|4:0",
    semantics: (b, i) => b.store(memory, b.address(i), b.x(i.rs2)),
    ...more,
  };
}

function other(name: string, format: Format, pattern: string, semantics: Meaning, immediate?: string): Definition {
  return { name, extensions: I, format, pattern, semantics, ...(immediate === undefined ? {} : { immediate }) };
}

/** RV32I and RV64I. */
export const RV_I: readonly Definition[] = [
  other("lui", "upper", "iiiiiiiiiiiiiiiiiiiiddddd0110111", (b, i) => b.setX(i.rd, b.imm(i)), "-31:12"),
  other(
    "auipc",
    "upper",
    "iiiiiiiiiiiiiiiiiiiiddddd0010111",
    (b, i) => b.setX(i.rd, b.add(b.pc(), b.imm(i))),
    "-31:12",
  ),
  other("jal", "jump", "iiiiiiiiiiiiiiiiiiiiddddd1101111", (b, i) => {
    b.setX(i.rd, b.next());
    b.jump();
  }, "-20|10:1|11|19:12"),
  other("jalr", "jalr", "iiiiiiiiiiiisssss000ddddd1100111", (b, i) => {
    const target = b.let(b.and(b.address(i), b.int(-2)));
    b.setX(i.rd, b.next());
    b.jumpTo(target);
  }, "-11:0"),

  branch("beq", "000", (b, x, y) => b.eq(x, y)),
  branch("bne", "001", (b, x, y) => b.ne(x, y)),
  branch("blt", "100", (b, x, y) => b.lt("Signed", x, y)),
  branch("bge", "101", (b, x, y) => b.ge("Signed", x, y)),
  branch("bltu", "110", (b, x, y) => b.lt("Unsigned", x, y)),
  branch("bgeu", "111", (b, x, y) => b.ge("Unsigned", x, y)),

  load("lb", "000", "i8"),
  load("lh", "001", "i16"),
  load("lw", "010", "i32"),
  load("ld", "011", "i64", rv64),
  load("lbu", "100", "u8"),
  load("lhu", "101", "u16"),
  load("lwu", "110", "i32", {
    ...rv64,
    semantics: (b, i) => b.setX(i.rd, b.zeroExtend(b.load("i32", b.address(i)))),
  }),
  store("sb", "000", "i8"),
  store("sh", "001", "i16"),
  store("sw", "010", "i32"),
  store("sd", "011", "i64", rv64),

  immediate("addi", "000", (b, x, m) => b.add(x, m)),
  immediate("slti", "010", (b, x, m) => b.lt("Signed", x, m)),
  immediate("sltiu", "011", (b, x, m) => b.lt("Unsigned", x, m)),
  immediate("xori", "100", (b, x, m) => b.xor(x, m)),
  immediate("ori", "110", (b, x, m) => b.or(x, m)),
  immediate("andi", "111", (b, x, m) => b.and(x, m)),
  shift("slli", "000000iiiiiisssss001ddddd0010011", (b, x, m) => b.shl(x, m)),
  shift("srli", "000000iiiiiisssss101ddddd0010011", (b, x, m) => b.shrUnsigned(x, m)),
  shift("srai", "010000iiiiiisssss101ddddd0010011", (b, x, m) => b.shrSigned(x, m)),

  register("add", "0000000tttttsssss000ddddd0110011", (b, x, y) => b.add(x, y)),
  register("sub", "0100000tttttsssss000ddddd0110011", (b, x, y) => b.sub(x, y)),
  register("sll", "0000000tttttsssss001ddddd0110011", (b, x, y) => b.shl(x, b.wrap(y))),
  register("slt", "0000000tttttsssss010ddddd0110011", (b, x, y) => b.lt("Signed", x, y)),
  register("sltu", "0000000tttttsssss011ddddd0110011", (b, x, y) => b.lt("Unsigned", x, y)),
  register("xor", "0000000tttttsssss100ddddd0110011", (b, x, y) => b.xor(x, y)),
  register("srl", "0000000tttttsssss101ddddd0110011", (b, x, y) => b.shrUnsigned(x, b.wrap(y))),
  register("sra", "0100000tttttsssss101ddddd0110011", (b, x, y) => b.shrSigned(x, b.wrap(y))),
  register("or", "0000000tttttsssss110ddddd0110011", (b, x, y) => b.or(x, y)),
  register("and", "0000000tttttsssss111ddddd0110011", (b, x, y) => b.and(x, y)),

  {
    name: "addiw",
    extensions: I,
    ...rv64,
    format: "I",
    pattern: "iiiiiiiiiiiisssss000ddddd0011011",
    immediate: "-11:0",
    semantics: (b, i) => b.setX(i.rd, b.add(b.w(i.rs1), b.imm32(i))),
  },
  shiftW("slliw", "0000000iiiiisssss001ddddd0011011", (b, x, m) => b.shl(x, m)),
  shiftW("srliw", "0000000iiiiisssss101ddddd0011011", (b, x, m) => b.shrUnsigned(x, m)),
  shiftW("sraiw", "0100000iiiiisssss101ddddd0011011", (b, x, m) => b.shrSigned(x, m)),
  registerW("addw", "0000000tttttsssss000ddddd0111011", (b, x, y) => b.add(x, y)),
  registerW("subw", "0100000tttttsssss000ddddd0111011", (b, x, y) => b.sub(x, y)),
  registerW("sllw", "0000000tttttsssss001ddddd0111011", (b, x, y) => b.shl(x, y)),
  registerW("srlw", "0000000tttttsssss101ddddd0111011", (b, x, y) => b.shrUnsigned(x, y)),
  registerW("sraw", "0100000tttttsssss101ddddd0111011", (b, x, y) => b.shrSigned(x, y)),

  // Harts run one after another and devices answer at once, so memory is always ordered: FENCE has nothing to do but for
  // PAUSE. The fields rs1, rd and reserved fm values are ignored, as the manual asks of simple implementations.
  other("fence", "fence", "iiiiiiiiiiii-----000-----0001111", (b, i) => {
    if (b.symbolic || i.imm === PAUSE) b.call("fence", null, b.imm32(i));
  }),
  other("ecall", "none", "00000000000000000000000001110011", (b) => b.leave("ecall")),
  other("ebreak", "none", "00000000000100000000000001110011", (b) => b.leave("ebreak")),
];
