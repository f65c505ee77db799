// A small assembler for tests: instructions by the table's names and patterns, labels, constants, data.

import type { Xlen } from "../../isa/instruction.ts";
import type { Operands } from "../../isa/ir.ts";
import { CSR_NUMBERS } from "../../isa/csr_names.ts";
import { registerNumber } from "../../isa/registers.ts";
import { type Instruction, instructionNamed } from "../../isa/table.ts";
import { buildElf } from "../elf_builder.ts";

/** Where RAM starts, on all boards. */
export const RAM_BASE = 0x8000_0000;

/** A register by number or ABI name. */
export type Register = number | string;

/** Operands as tests write them; those left out are 0 (x8 in compressed instructions' short register fields). */
export interface Fields {
  readonly rd?: Register;
  readonly rs1?: Register;
  readonly rs2?: Register;
  readonly rs3?: Register;
  readonly imm?: number;
}

function registerOf(register: Register): number {
  const number = typeof register === "number" ? register : registerNumber(register);
  if (number === undefined) throw new Error(`no register ${register}`);
  return number;
}

function operandsOf(fields: Fields): Partial<Operands> {
  const { rd, rs1, rs2, rs3, imm } = fields;
  return {
    ...(rd !== undefined && { rd: registerOf(rd) }),
    ...(rs1 !== undefined && { rs1: registerOf(rs1) }),
    ...(rs2 !== undefined && { rs2: registerOf(rs2) }),
    ...(rs3 !== undefined && { rs3: registerOf(rs3) }),
    ...(imm !== undefined && { imm }),
  };
}

/** Bits of an instruction. Throws if the encoding cannot hold the operands: a test would test something else. */
export function encode(instruction: Instruction, fields: Fields): number {
  const wanted = operandsOf(fields), word = instruction.encoding.encode(wanted);
  const got = instruction.encoding.operands(word);
  for (const [key, value] of Object.entries(wanted)) {
    if (got[key as keyof Operands] !== value) throw new Error(`${instruction.name}: ${key} ${value} has no encoding`);
  }
  return word;
}

/** Bits of the instruction with a mnemonic (unsigned). */
export function assemble(xlen: Xlen, name: string, fields: Fields = {}): number {
  return encode(instructionNamed(name, xlen), fields);
}

/** Number of a CSR. */
export function csrNumber(name: string | number): number {
  const number = typeof name === "number" ? name : CSR_NUMBERS[name];
  if (number === undefined) throw new Error(`no CSR ${name}`);
  return number;
}

/** A program at a fixed address. Labels may be used before they are defined. */
export class Program {
  readonly xlen: Xlen;
  /** Address of the first byte. */
  readonly base: number;
  #bytes: number[] = [];
  #labels = new Map<string, number>();
  #fixes: (() => void)[] = [];

  constructor(xlen: Xlen, base: number = RAM_BASE) {
    this.xlen = xlen;
    this.base = base;
  }

  /** Address of what comes next. */
  get here(): number {
    return this.base + this.#bytes.length;
  }

  /** Defines a label here. */
  label(name: string): this {
    if (this.#labels.has(name)) throw new Error(`label ${name} stands twice`);
    this.#labels.set(name, this.here);
    return this;
  }
  /** Address of a label that has been defined. */
  address(label: string): number {
    const address = this.#labels.get(label);
    if (address === undefined) throw new Error(`no label ${label}`);
    return address;
  }

  /** Little-endian bytes. */
  data(value: number | bigint, length: number): this {
    for (let k = 0; k < length; k++) this.#bytes.push(Number(BigInt(value) >> BigInt(8 * k) & 0xffn));
    return this;
  }
  word(value: number): this {
    return this.data(value, 4);
  }
  half(value: number): this {
    return this.data(value, 2);
  }
  /** Bytes as they are. */
  bytes(values: Iterable<number>): this {
    for (const value of values) this.#bytes.push(value & 0xff);
    return this;
  }
  /** Zeros up to a multiple of `boundary`. */
  align(boundary: number): this {
    while (this.here % boundary !== 0) this.#bytes.push(0);
    return this;
  }
  /** Zeros up to an address. */
  org(address: number): this {
    if (address < this.here) throw new Error(`0x${address.toString(16)} is already behind`);
    while (this.here < address) this.#bytes.push(0);
    return this;
  }

  /** An instruction. */
  op(name: string, fields: Fields = {}): this {
    const instruction = instructionNamed(name, this.xlen);
    return this.data(encode(instruction, fields), instruction.encoding.length);
  }
  /** A branch or direct jump to a label or address. */
  to(name: string, target: string | number, fields: Fields = {}): this {
    const at = this.here;
    return this.#later(name, () => ({
      ...fields,
      imm: (typeof target === "string" ? this.address(target) : target) - at,
    }));
  }
  /** Loads the address of a label, relative to pc. */
  la(rd: Register, label: string): this {
    const at = this.here;
    const distance = () => this.address(label) - at;
    this.#later("auipc", () => ({ rd, imm: (distance() + 0x800) & ~0xfff }));
    return this.#later("addi", () => ({ rd, rs1: rd, imm: distance() << 20 >> 20 }));
  }
  /** A jump to a label by AUIPC and JALR, as CALL and TAIL are assembled; `by` gets the upper part of the address. */
  far(target: string, by: Register, rd: Register = 0): this {
    const at = this.here, distance = () => this.address(target) - at;
    this.#later("auipc", () => ({ rd: by, imm: (distance() + 0x800) & ~0xfff }));
    return this.#later("jalr", () => ({ rd, rs1: by, imm: distance() << 20 >> 20 }));
  }
  #later(name: string, fields: () => Fields): this {
    const instruction = instructionNamed(name, this.xlen), at = this.#bytes.length;
    this.#fixes.push(() => {
      const word = encode(instruction, fields());
      for (let k = 0; k < instruction.encoding.length; k++) this.#bytes[at + k] = word >>> 8 * k & 0xff;
    });
    return this.data(0, instruction.encoding.length);
  }

  /** Loads a constant, taken modulo 2^XLEN. */
  li(rd: Register, value: number | bigint): this {
    this.#constant(rd, BigInt.asIntN(this.xlen, BigInt(value)));
    return this;
  }
  #constant(rd: Register, value: bigint): void {
    if (BigInt.asIntN(12, value) === value) {
      this.op("addi", { rd, rs1: 0, imm: Number(value) });
      return;
    }
    const low = BigInt.asIntN(12, value), rest = BigInt.asIntN(this.xlen, value - low);
    if (BigInt.asIntN(32, value) === value) {
      this.op("lui", { rd, imm: Number(BigInt.asIntN(32, rest)) });
      // ADDIW, as the sum with LUI's sign-extended constant may pass 2^31.
      if (low !== 0n) this.op(this.xlen === 64 ? "addiw" : "addi", { rd, rs1: rd, imm: Number(low) });
      return;
    }
    let shift = 12;
    while ((rest >> BigInt(shift) & 1n) === 0n) shift++;
    this.#constant(rd, rest >> BigInt(shift));
    this.op("slli", { rd, rs1: rd, imm: shift });
    if (low !== 0n) this.op("addi", { rd, rs1: rd, imm: Number(low) });
  }

  /** CSRRW, CSRRS or CSRRC. */
  csr(name: "csrrw" | "csrrs" | "csrrc", csr: string | number, rd: Register, rs1: Register): this {
    return this.op(name, { rd, rs1, imm: csrNumber(csr) });
  }
  /** CSRRWI, CSRRSI or CSRRCI. */
  csri(name: "csrrwi" | "csrrsi" | "csrrci", csr: string | number, rd: Register, value: number): this {
    return this.op(name, { rd, rs1: value, imm: csrNumber(csr) });
  }

  /** The bytes, with all labels resolved. */
  build(): Uint8Array<ArrayBuffer> {
    for (const fix of this.#fixes.splice(0)) fix();
    return Uint8Array.from(this.#bytes);
  }
  /** An ELF that is loaded at `base` and starts there. */
  elf(): Uint8Array<ArrayBuffer> {
    return buildElf(this.xlen, BigInt(this.base), [{ physical: BigInt(this.base), bytes: this.build() }]);
  }
}
