// Zbb: basic bit manipulation (unprivileged manual, chapter "B", section "Zbb: Basic bit-manipulation"). Logic with
// negation, rotations and REV8 are in Zbkb as well. ZEXT.H has the encoding of PACK (RV32) or PACKW (RV64) with
// rs2 = x0, so it also exists where only Zbkb does.

import type { Extension } from "./extensions.ts";
import type { Definition, Format, Xlen } from "./instruction.ts";
import type { Builder, Operands, Value } from "./ir.ts";

const ZBB_ONLY: readonly Extension[] = ["Zbb"];
const ZBB_OR_ZBKB: readonly Extension[] = ["Zbb", "Zbkb"];

interface More {
  readonly extensions?: readonly Extension[];
  readonly xlen?: Xlen;
  readonly valid?: (i: Operands, xlen: Xlen) => boolean;
}

/** An instruction that sets rd to a value. */
function sets(
  name: string,
  format: Format,
  pattern: string,
  value: (b: Builder, i: Operands) => Value,
  more: More = {},
): Definition {
  return {
    name,
    extensions: ZBB_ONLY,
    format,
    pattern,
    semantics: (b, i) => b.setX(i.rd, value(b, i)),
    ...more,
  };
}

const shared: More = { extensions: ZBB_OR_ZBKB };
const rv64: More = { xlen: 64 };
const sharedRv64: More = { ...shared, ...rv64 };

/** The larger (`sign` decides how they are compared) or smaller of two registers. */
function extreme(sign: "Signed" | "Unsigned", larger: boolean) {
  return (b: Builder, i: Operands): Value => {
    const x = b.x(i.rs1), y = b.x(i.rs2), less = b.lt(sign, x, y);
    return larger ? b.select(less, y, x) : b.select(less, x, y);
  };
}

const zeroExtend16 = (b: Builder, i: Operands) => b.zeroExtend16(b.x(i.rs1));
const reverseBytes = (b: Builder, i: Operands) => b.pure("reverseBytes", b.x(i.rs1));

/** Logic with negation, counting, extremes, extensions, rotations and bytes. */
export const ZBB: readonly Definition[] = [
  sets("andn", "R", "0100000tttttsssss111ddddd0110011", (b, i) => b.and(b.x(i.rs1), b.not(b.x(i.rs2))), shared),
  sets("orn", "R", "0100000tttttsssss110ddddd0110011", (b, i) => b.or(b.x(i.rs1), b.not(b.x(i.rs2))), shared),
  sets("xnor", "R", "0100000tttttsssss100ddddd0110011", (b, i) => b.not(b.xor(b.x(i.rs1), b.x(i.rs2))), shared),

  sets("clz", "R1", "011000000000sssss001ddddd0010011", (b, i) => b.clz(b.x(i.rs1))),
  sets("ctz", "R1", "011000000001sssss001ddddd0010011", (b, i) => b.ctz(b.x(i.rs1))),
  sets("cpop", "R1", "011000000010sssss001ddddd0010011", (b, i) => b.cpop(b.x(i.rs1))),
  sets("clzw", "R1", "011000000000sssss001ddddd0011011", (b, i) => b.clz(b.w(i.rs1)), rv64),
  sets("ctzw", "R1", "011000000001sssss001ddddd0011011", (b, i) => b.ctz(b.w(i.rs1)), rv64),
  sets("cpopw", "R1", "011000000010sssss001ddddd0011011", (b, i) => b.cpop(b.w(i.rs1)), rv64),

  sets("min", "R", "0000101tttttsssss100ddddd0110011", extreme("Signed", false)),
  sets("minu", "R", "0000101tttttsssss101ddddd0110011", extreme("Unsigned", false)),
  sets("max", "R", "0000101tttttsssss110ddddd0110011", extreme("Signed", true)),
  sets("maxu", "R", "0000101tttttsssss111ddddd0110011", extreme("Unsigned", true)),

  sets("sext.b", "R1", "011000000100sssss001ddddd0010011", (b, i) => b.signExtend8(b.x(i.rs1))),
  sets("sext.h", "R1", "011000000101sssss001ddddd0010011", (b, i) => b.signExtend16(b.x(i.rs1))),
  sets("zext.h", "R1", "000010000000sssss100ddddd0110011", zeroExtend16, { ...shared, xlen: 32 }),
  sets("zext.h", "R1", "000010000000sssss100ddddd0111011", zeroExtend16, sharedRv64),

  sets("rol", "R", "0110000tttttsssss001ddddd0110011", (b, i) => b.rotl(b.x(i.rs1), b.w(i.rs2)), shared),
  sets("ror", "R", "0110000tttttsssss101ddddd0110011", (b, i) => b.rotr(b.x(i.rs1), b.w(i.rs2)), shared),
  sets("rori", "shift", "011000iiiiiisssss101ddddd0010011", (b, i) => b.rotr(b.x(i.rs1), b.imm32(i)), {
    ...shared,
    valid: (i, xlen) => i.imm < xlen,
  }),
  sets("rolw", "R", "0110000tttttsssss001ddddd0111011", (b, i) => b.rotl(b.w(i.rs1), b.w(i.rs2)), sharedRv64),
  sets("rorw", "R", "0110000tttttsssss101ddddd0111011", (b, i) => b.rotr(b.w(i.rs1), b.w(i.rs2)), sharedRv64),
  sets("roriw", "shift", "0110000iiiiisssss101ddddd0011011", (b, i) => b.rotr(b.w(i.rs1), b.imm32(i)), sharedRv64),

  sets("orc.b", "R1", "001010000111sssss101ddddd0010011", (b, i) => b.pure("orCombineBytes", b.x(i.rs1))),
  sets("rev8", "R1", "011010011000sssss101ddddd0010011", reverseBytes, { ...shared, xlen: 32 }),
  sets("rev8", "R1", "011010111000sssss101ddddd0010011", reverseBytes, sharedRv64),
];
