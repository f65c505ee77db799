// What the values of the intermediate representation mean, on BigInt: exact, slow and independent of the code generators.
// Only what integer instructions without memory, calls and jumps are made of.
import type { Xlen } from "../isa/instruction.ts";
import { Builder, type Operands, type Value } from "../isa/ir.ts";
import { PURE_OPERATIONS, type PureOperation } from "../isa/pure_operations.ts";
import { instructionNamed } from "../isa/table.ts";

/** Values of the two source registers, unsigned and as wide as a register. */
export interface Sources {
  readonly rs1: bigint;
  readonly rs2: bigint;
}

const widthOf = (value: Value) => value.type === "i64" ? 64 : 32;

/** The value (unsigned). */
function evaluate(value: Value, x: readonly bigint[], xlen: Xlen): bigint {
  const width = widthOf(value), bits = BigInt(width);
  const unsigned = (n: bigint) => BigInt.asUintN(width, n);
  const signed = (operand: Value) => BigInt.asIntN(widthOf(operand), evaluate(operand, x, xlen));
  const of = (operand: Value | null) => evaluate(operand!, x, xlen);
  const { a, b, c } = value;
  const amount = () => of(b) & (bits - 1n);
  const narrow = (from: number) => BigInt.asUintN(from, of(a));
  switch (value.operation) {
    case "const":
      return unsigned(BigInt(value.high) << 32n | BigInt(value.low >>> 0));
    case "x":
      return x[value.low]!;
    case "wrap":
      return unsigned(of(a));
    case "zeroExtend64":
      return of(a);
    case "signExtend64":
      return unsigned(signed(a!));
    case "signExtend8":
      return unsigned(BigInt.asIntN(8, of(a)));
    case "signExtend16":
      return unsigned(BigInt.asIntN(16, of(a)));
    case "zeroExtend8":
      return narrow(8);
    case "zeroExtend16":
      return narrow(16);
    case "countLeadingZeros":
      return bits - BigInt(of(a) === 0n ? 0 : of(a).toString(2).length);
    case "countTrailingZeros":
      return BigInt(of(a).toString(2).padStart(width, "0").split("").reverse().join("").concat("1").indexOf("1"));
    case "countOnes":
      return BigInt(of(a).toString(2).replaceAll("0", "").length);
    case "add":
      return unsigned(of(a) + of(b));
    case "sub":
      return unsigned(of(a) - of(b));
    case "and":
      return of(a) & of(b);
    case "mul":
      return unsigned(of(a) * of(b));
    case "or":
      return of(a) | of(b);
    case "xor":
      return of(a) ^ of(b);
    case "shiftLeft":
      return unsigned(of(a) << amount());
    case "shiftRightUnsigned":
      return of(a) >> amount();
    case "shiftRightSigned":
      return unsigned(signed(a!) >> amount());
    case "rotateLeft":
      return unsigned(of(a) << amount() | of(a) >> (bits - amount()));
    case "rotateRight":
      return unsigned(of(a) >> amount() | of(a) << (bits - amount()));
    case "eq":
      return of(a) === of(b) ? 1n : 0n;
    case "ne":
      return of(a) !== of(b) ? 1n : 0n;
    case "ltSigned":
      return signed(a!) < signed(b!) ? 1n : 0n;
    case "ltUnsigned":
      return of(a) < of(b) ? 1n : 0n;
    case "select":
      return of(a) !== 0n ? of(b) : of(c);
    case "pure":
      return PURE_OPERATIONS[value.name as PureOperation](xlen, of(a), b === null ? 0n : of(b));
    default:
      throw new Error(`${value.operation} is not evaluated here`);
  }
}

/** What an instruction that does nothing but set rd sets it to, from registers (rs1 is x1, rs2 is x2) and an immediate. */
export function resultOf(name: string, xlen: Xlen, { rs1, rs2 }: Sources, imm = 0): bigint {
  const builder = new Builder(xlen, false);
  const operands: Operands = { rd: 3, rs1: 1, rs2: 2, rs3: 0, imm };
  instructionNamed(name, xlen).semantics!(builder, operands);
  const [statement, ...more] = builder.statements;
  if (statement?.kind !== "setX" || statement.register !== 3 || more.length > 0) {
    throw new Error(`${name} does more than set rd`);
  }
  return evaluate(statement.value, [0n, rs1, rs2], xlen);
}
