// Does what the statements of one instruction say, straight from the intermediate representation: slow, plain, and apart from
// the code generators that tests compare with it. Only what floating-point instructions use.

import type { Definition, Xlen } from "../isa/instruction.ts";
import { Builder, type Operands, type Value } from "../isa/ir.ts";
import { floatOperation } from "../hart/softfloat_operations.ts";
import type { Flags } from "../hart/softfloat.ts";

const NO_OPERANDS: Operands = { rd: 0, rs1: 0, rs2: 0, rs3: 0, imm: 0 };

/** A hart that is only registers and a little memory. */
export class BareHart {
  /** Integer registers, 64 bits unsigned each (sign-extended on RV32). */
  readonly x: bigint[] = new Array(32).fill(0n);
  /** Floating-point registers, 64 bits unsigned each. */
  readonly f: bigint[] = new Array(32).fill(0n);
  /** Memory from address 0. */
  readonly memory: DataView = new DataView(new ArrayBuffer(64));
  /** fflags. */
  readonly flags: Flags = { bits: 0 };
  /** frm. */
  frm = 0;
  /** Whether mstatus.FS is not Off. */
  floatEnabled = true;
}

/** An instruction with known operands, ready to run again and again. */
export class Evaluator {
  readonly #builder: Builder;

  constructor(definition: Definition, xlen: Xlen, operands: Partial<Operands>) {
    this.#builder = new Builder(xlen, false);
    definition.semantics!(this.#builder, { ...NO_OPERANDS, ...operands });
  }

  /** Runs it. Throws where the hart would trap. */
  run(hart: BareHart): void {
    const temps = new Map<Value, bigint>();
    const value = (v: Value): bigint => fit(v, this.#value(v, hart, temps, value));
    for (const s of this.#builder.statements) {
      switch (s.kind) {
        case "setX":
          hart.x[s.register] = BigInt.asUintN(64, value(s.value));
          break;
        case "setF":
          hart.f[s.register] = value(s.value);
          break;
        case "load": {
          const address = Number(value(s.address));
          if (s.memory === "i64") temps.set(s.temp, hart.memory.getBigUint64(address, true));
          else if (s.memory === "i32") temps.set(s.temp, BigInt(hart.memory.getInt32(address, true)));
          else if (s.memory === "u16") temps.set(s.temp, BigInt(hart.memory.getUint16(address, true)));
          else throw new Error(`load ${s.memory}`);
          break;
        }
        case "store": {
          const address = Number(value(s.address)), stored = value(s.value);
          if (s.memory === "i64") hart.memory.setBigUint64(address, stored, true);
          else if (s.memory === "i32") hart.memory.setInt32(address, Number(stored), true);
          else if (s.memory === "u16") hart.memory.setUint16(address, Number(BigInt.asUintN(16, stored)), true);
          else throw new Error(`store ${s.memory}`);
          break;
        }
        case "call":
          if (s.name === "floatEnabled") {
            if (!hart.floatEnabled) throw new Error("illegal instruction");
          } else if (s.name === "float") {
            const [operation, mode, a, b, c] = s.args.map(value) as [bigint, bigint, bigint, bigint, bigint];
            const roundingMode = mode === 7n ? hart.frm : Number(mode);
            temps.set(s.temp!, floatOperation(Number(operation), roundingMode, a, b, c, hart.flags));
          } else throw new Error(`call ${s.name}`);
          break;
        default:
          throw new Error(`statement ${s.kind}`);
      }
    }
  }

  #value(v: Value, hart: BareHart, temps: Map<Value, bigint>, value: (v: Value) => bigint): bigint {
    const a = v.a!, b = v.b!;
    switch (v.operation) {
      case "const":
        return BigInt(v.high) << 32n | BigInt(v.low >>> 0);
      case "x":
        return hart.x[v.low]!;
      case "f":
        return hart.f[v.low]!;
      case "temp":
        return temps.get(v)!;
      case "wrap":
        return value(a);
      case "signExtend64":
        return BigInt.asIntN(32, value(a));
      case "zeroExtend64":
        return BigInt.asUintN(32, value(a));
      case "signExtend16":
        return BigInt.asIntN(16, value(a));
      case "zeroExtend16":
        return BigInt.asUintN(16, value(a));
      case "add":
        return value(a) + value(b);
      case "and":
        return value(a) & value(b);
      case "or":
        return value(a) | value(b);
      case "xor":
        return value(a) ^ value(b);
      case "shiftLeft":
        return value(a) << value(b);
      case "shiftRightUnsigned":
        return BigInt.asUintN(a.type === "i32" ? 32 : 64, value(a)) >> value(b);
      case "shiftRightSigned":
        return BigInt.asIntN(a.type === "i32" ? 32 : 64, value(a)) >> value(b);
      case "eq":
        return value(a) === value(b) ? 1n : 0n;
      case "select":
        return value(a) !== 0n ? value(b) : value(v.c!);
      default:
        throw new Error(`operation ${v.operation}`);
    }
  }
}

/** An i32 as a signed number, an i64 as an unsigned one. */
function fit(v: Value, result: bigint): bigint {
  return v.type === "i32" ? BigInt.asIntN(32, result) : BigInt.asUintN(64, result);
}
