// The registers of a hart as GDB numbers and describes them: target descriptions with the features that GDB's manual lists for
// RISC-V (appendix "Target Descriptions", section "RISC-V Features"), in the order and with the numbers that QEMU gives them.

import type { Hart } from "../hart/hart.ts";
import { MACHINE, SUPERVISOR } from "../hart/trap.ts";
import { csrName } from "../isa/csr_names.ts";
import { ABI_NAMES, FLOAT_ABI_NAMES } from "../isa/registers.ts";

/** Numbers: x0 to x31, pc, f0 to f31, the privilege level, CSRs from here on. */
const PC = 32, FLOAT = 33, PRIVILEGE = 65, CSRS = 66;
/** Registers of a `g` packet. */
const GENERAL = 33;

const HEAD = '<?xml version="1.0"?><!DOCTYPE';

/** Types by which GDB knows what a register holds. */
const TYPES: Readonly<Record<string, string>> = {
  ra: "code_ptr",
  sp: "data_ptr",
  gp: "data_ptr",
  tp: "data_ptr",
  fp: "data_ptr",
};

/** Reads, writes and describes the registers of one kind of hart. */
export class RegisterFile {
  readonly #xlen: 32 | 64;
  /** Bits of an f register; 0 where there are none. */
  readonly #flen: 0 | 32 | 64;
  /** The target description: its files by name. */
  readonly files: ReadonlyMap<string, string>;

  /** `hart`: one of the machine's, which are alike. */
  constructor(hart: Hart) {
    this.#xlen = hart.xlen;
    this.#flen = hart.extensions.has("D") ? 64 : hart.extensions.has("F") ? 32 : 0;
    const files = new Map<string, string>(), names = [`riscv-${hart.xlen}bit-cpu.xml`];
    files.set(names[0]!, this.#core());
    if (this.#flen > 0) files.set(names[names.push(`riscv-${this.#flen}bit-fpu.xml`) - 1]!, this.#float());
    files.set(names[names.push(`riscv-${hart.xlen}bit-virtual.xml`) - 1]!, this.#virtual());
    if (hart.csrTable.some((entry) => entry !== undefined)) {
      files.set(names[names.push("riscv-csr.xml") - 1]!, this.#csrs(hart));
    }
    const includes = names.map((name) => `<xi:include href="${name}"/>`).join("");
    files.set(
      "target.xml",
      `${HEAD} target SYSTEM "gdb-target.dtd"><target><architecture>riscv:rv${hart.xlen}</architecture>${includes}</target>`,
    );
    this.files = files;
  }

  #core(): string {
    const names = ABI_NAMES.map((name) => name === "s0" ? "fp" : name);
    return this.#feature("cpu", [
      ...names.map((name, n) => register(name, this.#xlen, n, TYPES[name] ?? "int")),
      register("pc", this.#xlen, PC, "code_ptr"),
    ]);
  }

  #float(): string {
    const type = this.#flen === 64 ? "riscv_double" : "ieee_single";
    const union = '<union id="riscv_double"><field name="float" type="ieee_single"/>' +
      '<field name="double" type="ieee_double"/></union>';
    return this.#feature("fpu", [
      ...this.#flen === 64 ? [union] : [],
      ...FLOAT_ABI_NAMES.map((name, n) => register(name, this.#flen, FLOAT + n, type)),
    ]);
  }

  #virtual(): string {
    return this.#feature("virtual", [register("priv", this.#xlen, PRIVILEGE)]);
  }

  #csrs(hart: Hart): string {
    const all = hart.csrTable.flatMap((entry, number) =>
      entry === undefined ? [] : [register(csrName(number)!, this.#xlen, CSRS + number)]
    );
    return this.#feature("csr", all);
  }

  #feature(name: string, parts: readonly string[]): string {
    return `${HEAD} feature SYSTEM "gdb-target.dtd"><feature name="org.gnu.gdb.riscv.${name}">${
      parts.join("")
    }</feature>`;
  }

  /** Bytes of a register; undefined where there is none of that number. */
  read(hart: Hart, number: number): Uint8Array | undefined {
    const value = this.#value(hart, number);
    if (value === undefined) return undefined;
    const bytes = new Uint8Array(this.#size(number));
    for (let k = 0; k < bytes.length; k++) bytes[k] = Number(value >> BigInt(8 * k) & 255n);
    return bytes;
  }

  #size(number: number): number {
    return (number >= FLOAT && number < PRIVILEGE ? this.#flen : this.#xlen) / 8;
  }

  #value(hart: Hart, number: number): bigint | undefined {
    if (number < PC) return hart.readX(number);
    if (number === PC) return hart.pc;
    if (number < PRIVILEGE) return this.#flen === 0 ? undefined : hart.readF(number - FLOAT);
    if (number === PRIVILEGE) return BigInt(hart.privilege);
    return hart.readCsr(number - CSRS);
  }

  /**
   * Writes a register. Of a CSR only what is writable changes; of the privilege level, the reserved value means supervisor mode.
   *
   * @returns How many of the bytes were its value; 0 if there is no such register or too few bytes.
   */
  write(hart: Hart, number: number, bytes: Uint8Array): number {
    const size = this.#size(number);
    if (bytes.length < size || this.#value(hart, number) === undefined) return 0;
    let value = 0n;
    for (let k = size - 1; k >= 0; k--) value = value << 8n | BigInt(bytes[k]!);
    if (number < PC) hart.writeX(number, value);
    else if (number === PC) hart.pc = value & ~1n;
    else if (number < PRIVILEGE) hart.writeF(number - FLOAT, this.#flen === 32 ? value | 0xffffffffn << 32n : value);
    else if (number === PRIVILEGE) hart.setPrivilege(privilegeOf(hart, Number(value & 3n)));
    else hart.writeCsr(number - CSRS, value);
    return size;
  }

  /** All registers of a `g` packet. */
  readAll(hart: Hart): Uint8Array {
    return Uint8Array.from(Array.from({ length: GENERAL }, (_, n) => [...this.read(hart, n)!]).flat());
  }

  /** Writes the registers of a `G` packet, as many as there are. */
  writeAll(hart: Hart, bytes: Uint8Array): void {
    for (let n = 0, at = 0; n < GENERAL; n++) {
      const taken = this.write(hart, n, bytes.subarray(at));
      if (taken === 0) return;
      at += taken;
    }
  }
}

function register(name: string, bits: number, number: number, type?: string): string {
  return `<reg name="${name}" bitsize="${bits}" regnum="${number}"${type === undefined ? "" : ` type="${type}"`}/>`;
}

/** A privilege level that the hart has. */
function privilegeOf(hart: Hart, level: number): number {
  if (level === MACHINE || level === 0) return level;
  return hart.extensions.has("S") ? SUPERVISOR : hart.privilege;
}
