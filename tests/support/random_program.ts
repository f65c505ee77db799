// Random instruction streams that end: arithmetic, loads and stores into a scratch area, atomics, forward branches, short
// loops, and instructions that trap. Only what QEMU 7.2 has, and only where QEMU and the manual agree; each exception says why.

import { Decoder } from "../../isa/decode.ts";
import type { Extension } from "../../isa/extensions.ts";
import type { Xlen } from "../../isa/instruction.ts";
import { type Instruction, INSTRUCTIONS } from "../../isa/table.ts";
import { randomWords } from "../random_words.ts";
import { csrNumber, type Fields, type Program } from "./assemble.ts";

/** What QEMU 7.2's `rv32` and `rv64` have, beside floating point, with the properties of `QEMU_CPU`. */
const EXTENSIONS: readonly Extension[] = [
  ...["I", "M", "A", "Zalrsc", "Zaamo", "C", "Zca", "Zicsr", "Zifencei"] as const,
  ...["Zba", "Zbb", "Zbc", "Zbs", "Zbkb", "Zbkc", "Zbkx"] as const,
  ...["Zknd", "Zkne", "Zknh", "Zksed", "Zksh"] as const,
];

/** Properties after QEMU's `-cpu rv32` or `rv64`. */
export const QEMU_CPU = "zba=on,zbb=on,zbc=on,zbs=on,zk=on,zks=on";

/** Bytes of the scratch area; gp points to its middle. */
export const SCRATCH_SIZE = 512;

/** gp holds the scratch area, tp counts loops: no instruction writes them otherwise. */
const GP = 3, TP = 4;

/** What random instructions may be and do. */
export interface RandomOptions {
  /** Extensions whose instructions there are. Default: what QEMU 7.2 has. */
  readonly extensions?: Iterable<Extension>;
  /** Registers that no instruction writes. Default: gp and tp. */
  readonly kept?: ReadonlySet<number>;
}

/** A random source that is good from its first number on, also for consecutive seeds. */
export function seeded(seed: number): () => number {
  const random = randomWords(Math.imul(seed + 1, 0x9e3779b1) || 1);
  for (let k = 0; k < 8; k++) random();
  return random;
}

/** Encodings that no extension gives a meaning: reserved ones, and such that only the other width has. */
const ILLEGAL: Readonly<Record<Xlen, readonly (readonly [bits: number, length: 2 | 4])[]>> = {
  32: [
    ...[[0, 2], [0x6201, 2], [0x4002, 2], [0x6101, 2], [0x8002, 2], [0x9c01, 2]] as const, // c.lui 0, c.lwsp x0, c.subw …
    ...[[0x0000_3003, 4], [0x0000_3023, 4], [0x0200_1013, 4], [0x0000_001b, 4], [0x0000_703b, 4]] as const, // ld, sd, slli 32
    ...[[0x0000_707f, 4], [0x8000_0033, 4], [0x0000_2063, 4], [0x0000_3063, 4]] as const,
  ],
  64: [
    ...[[0, 2], [0x6201, 2], [0x4002, 2], [0x6002, 2], [0x6101, 2], [0x8002, 2], [0x2001, 2]] as const, // c.addiw x0 …
    ...[[0x0000_7003, 4], [0x0000_4023, 4], [0x0200_101b, 4], [0x0000_303b, 4], [0x4000_1033, 4]] as const,
    ...[[0x0000_707f, 4], [0x8000_0033, 4], [0x0000_2063, 4], [0x0000_3063, 4]] as const,
  ],
};

/** CSRs whose access is illegal: not there, or read-only and written. The programs only write them. */
const ILLEGAL_CSRS = ["mvendorid", "mhartid", "cycle", "hpmcounter3", 0x123, 0x800, 0xfff] as const;

/** Physical addresses where nothing is, on either board. */
const NOWHERE = 0x1800_0000;

/** QEMU 7.2 counts beyond 32 bits where the low word is 0. */
const WRONG_IN_QEMU = "ctzw";

const ARITHMETIC = new Set(["R", "R1", "Rbs", "I", "shift", "upper"]);
/** Formats of floating-point instructions but loads and stores; those that write an integer register. */
const FLOATING = new Set(["R4", "fR", "fR1", "fsign", "fcmp", "fcvtx", "fcvtf", "fmvx", "fmvf", "fmvp", "fli"]);
const FLOAT_TO_INTEGER = new Set(["fcmp", "fcvtx", "fmvx"]);
/** Formats of values have registers of their own, so that many operations find what they want. */
const BANKS: Readonly<Record<string, number>> = { d: 0, s: 5, w: 5, h: 10 };
const BANK_SIZE = 5, MODES = [7, 7, 7, 0, 0, 1, 2, 3, 4];
const LOADS: Readonly<Record<string, number>> = {
  lb: 1,
  lbu: 1,
  lh: 2,
  lhu: 2,
  lw: 4,
  lwu: 4,
  ld: 8,
  flh: 2,
  flw: 4,
  fld: 8,
};
const STORES: Readonly<Record<string, number>> = { sb: 1, sh: 2, sw: 4, sd: 8, fsh: 2, fsw: 4, fsd: 8 };

/** Makes programs for one register width. */
export class RandomProgram {
  readonly #xlen: Xlen;
  readonly #random: () => number;
  readonly #decoder: Decoder;
  readonly #here: readonly Instruction[];
  readonly #floating: readonly Instruction[];
  readonly #p: Program;
  readonly #name: string;
  readonly #kept: ReadonlySet<number>;
  readonly #asInQemu: boolean;
  #items = 0;
  #count = 0;

  /** Appends to `program`; labels begin with `name`. */
  constructor(program: Program, name: string, random: () => number, options: RandomOptions = {}) {
    const { xlen } = program, extensions = new Set(options.extensions ?? EXTENSIONS);
    this.#asInQemu = options.extensions === undefined;
    this.#kept = options.kept ?? new Set([GP, TP]);
    this.#p = program;
    this.#name = name;
    this.#xlen = xlen;
    this.#random = random;
    this.#decoder = new Decoder(xlen, extensions);
    this.#here = INSTRUCTIONS.filter(({ xlen: only, extensions: any, requires }) =>
      (only === undefined || only === xlen) && any.some((name) => extensions.has(name)) &&
      (requires === undefined || requires.some((name) => extensions.has(name)))
    );
    this.#floating = this.#here.filter(({ format }) => FLOATING.has(format));
  }

  #below(limit: number): number {
    return this.#random() % limit;
  }
  #of<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)]!;
  }
  #source(): number {
    return this.#below(32);
  }
  #destination(): number {
    for (;;) {
      const register = this.#below(32);
      if (!this.#kept.has(register)) return register;
    }
  }
  /** A register for an address, which is neither x0 nor one that programs use for something. */
  #base(): number {
    for (;;) {
      const register = 5 + this.#below(27);
      if (!this.#kept.has(register)) return register;
    }
  }
  #immediate(): number {
    return this.#of([
      () => this.#random(),
      () => this.#random() & this.#random(),
      () => this.#random() | this.#random(),
    ])();
  }

  /** A random value of a register, among them such as go wrong easily. */
  value(): bigint {
    const random = this.#random, wide = () => BigInt(random()) << 32n | BigInt(random());
    const top = 1n << BigInt(this.#xlen - 1);
    const special = [0n, 1n, -1n, top, top - 1n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, -0x8000_0000n];
    const shapes = [wide, () => wide() & wide() & wide(), () => BigInt(random() & 0xff), () => this.#of(special)];
    return BigInt.asUintN(this.#xlen, this.#of(shapes)());
  }

  /** Appends `count` items, then goes on behind them. */
  generate(count: number): void {
    this.#count = count;
    for (this.#items = 0; this.#items < count; this.#items++) {
      this.#p.label(this.#label(this.#items));
      this.#item(true);
    }
    this.#p.label(this.#label(count));
  }

  #label(item: number): string {
    return `${this.#name}.${item}`;
  }
  /** Label of an item that comes later, mostly soon. */
  #later(): string {
    return this.#label(this.#items + 1 + this.#below(Math.min(6, this.#count - this.#items)));
  }

  /** Appends one item after which execution goes on behind it. */
  item(): void {
    this.#item(false);
  }

  #item(mayBranch: boolean): void {
    if (this.#floating.length > 0 && this.#below(4) === 0) return this.float();
    const dice = this.#below(100);
    if (dice < 45) this.#arithmetic();
    else if (dice < 65) this.#access();
    else if (dice < 70) this.#amo();
    else if (dice < 73) this.#reservation();
    else if (dice < 75) this.#p.op(this.#of(["fence", "fence.i"]));
    else if (dice < 81) this.#trap();
    else if (dice < 84) this.#csr();
    else if (!mayBranch) this.#arithmetic();
    else if (dice < 95) this.#branch();
    else this.#loop();
  }

  /** Any instruction that only computes, compressed ones included. */
  #arithmetic(): void {
    for (;;) {
      const { encoding } = this.#of(this.#here);
      const word = encoding.encode({
        rd: this.#below(32),
        rs1: this.#source(),
        rs2: this.#source(),
        imm: this.#immediate(),
      });
      const decoded = this.#decoder.decode(word);
      if (decoded === null || !ARITHMETIC.has(decoded.instruction.format)) continue;
      if (this.#asInQemu && decoded.instruction.name === WRONG_IN_QEMU) continue;
      if (this.#kept.has(decoded.operands.rd)) continue;
      this.#p.data(word, encoding.length);
      return;
    }
  }

  /** Appends a floating-point instruction, where there are any. */
  float(): void {
    const bank = (suffix: string | undefined) =>
      this.#below(8) === 0 ? this.#below(32) : (BANKS[suffix ?? ""] ?? 0) + this.#below(BANK_SIZE);
    for (;;) {
      const { name, format, encoding } = this.#of(this.#floating), suffixes = name.split(".").slice(1);
      const rd = FLOAT_TO_INTEGER.has(format) ? this.#destination() : bank(suffixes[0]), last = suffixes.at(-1);
      const imm = format === "fli" ? this.#below(32) : this.#of(MODES);
      const word = encoding.encode({ rd, rs1: bank(last), rs2: bank(last), rs3: bank(last), imm });
      if (this.#decoder.decode(word) === null) continue;
      this.#p.data(word, encoding.length);
      return;
    }
  }

  /** A load or store, compressed ones included, at any alignment. */
  #access(): void {
    for (;;) {
      const { encoding } = this.#of(this.#here);
      const base = 8 + this.#below(8);
      const compressedStack = this.#below(8) === 0;
      const word = encoding.encode({
        rd: this.#below(32),
        rs1: base,
        rs2: this.#source(),
        imm: this.#below(256) - (encoding.length === 4 ? 128 : 0),
      });
      const decoded = this.#decoder.decode(word);
      if (decoded === null) continue;
      const { instruction: { name }, operands: { rd, rs1, imm } } = decoded;
      if (!(name in LOADS || name in STORES)) continue;
      if ((name in LOADS && this.#kept.has(rd)) || this.#kept.has(rs1)) continue;
      if (rs1 !== base && !(rs1 === 2 && compressedStack)) continue;
      // The lowest address is gp - 128, the highest gp + 63 + 184 + 7.
      if (imm > 184) continue;
      this.#p.op("andi", { rd: rs1, rs1: this.#source(), imm: this.#of([63, 56, 60]) });
      this.#p.op("add", { rd: rs1, rs1, rs2: GP });
      this.#p.data(word, encoding.length);
      return;
    }
  }

  /** Puts an address in the scratch area into a register that is not x0. */
  #address(mask: number): number {
    const base = this.#base();
    this.#p.op("andi", { rd: base, rs1: this.#source(), imm: mask });
    this.#p.op("add", { rd: base, rs1: base, rs2: GP });
    return base;
  }
  #bits(): { readonly suffix: "w" | "d"; readonly size: 4 | 8 } {
    return this.#xlen === 64 && this.#below(2) === 0 ? { suffix: "d", size: 8 } : { suffix: "w", size: 4 };
  }

  /** An AMO, always aligned: QEMU 7.2 reports a misaligned one as a load's, the manual says as a store's. */
  #amo(): void {
    const { suffix, size } = this.#bits();
    const name = this.#of(["swap", "add", "xor", "and", "or", "min", "max", "minu", "maxu"]);
    const rs1 = this.#address(64 - size);
    this.#p.op(`amo${name}.${suffix}`, { rd: this.#destination(), rs1, rs2: this.#source(), imm: this.#below(4) });
  }

  /**
   * LR and SC with nothing in between that stores or traps: the manual leaves open whether the SC then succeeds. SC is always
   * aligned, since QEMU looks at the reservation first.
   */
  #reservation(): void {
    const { suffix, size } = this.#bits(), rs1 = this.#address(64 - size);
    const other = this.#below(4) === 0, rd = this.#destination();
    this.#p.op(`lr.${suffix}`, { rd: rd === rs1 ? 0 : rd, rs1, imm: this.#below(4) });
    if (other) this.#p.op("xori", { rd: rs1, rs1, imm: 64 });
    const sc = { rd: this.#destination(), rs1, rs2: this.#source(), imm: this.#below(4) };
    this.#p.op(`sc.${suffix}`, sc);
    // Without a reservation, or with one that has been used. QEMU 7.2 never lets it succeed, nor does the manual.
    if (this.#below(3) === 0 && sc.rd !== rs1) this.#p.op(`sc.${suffix}`, { ...sc, rd: this.#destination() });
  }

  /** Traps, but for EBREAK: mtval may then be 0, as in QEMU, or the address. */
  #trap(): void {
    const kind = this.#below(5);
    if (kind === 0) this.#p.op("ecall");
    else if (kind === 1) {
      const base = this.#base(), loads = this.#below(2) === 0;
      this.#p.op("lui", { rd: base, imm: NOWHERE });
      const names = Object.keys(loads ? LOADS : STORES).filter((name) =>
        !name.startsWith("f") && (this.#xlen === 64 || !["ld", "sd", "lwu"].includes(name))
      );
      const imm = this.#below(64) * 8;
      this.#p.op(this.#of(names), loads ? { rd: this.#destination(), rs1: base, imm } : { rs1: base, rs2: 1, imm });
    } else if (kind === 2) {
      this.#p.csr("csrrw", this.#of(ILLEGAL_CSRS), this.#destination(), this.#source());
    } else {
      const { compressed } = this.#decoder;
      this.#p.data(...this.#of(ILLEGAL[this.#xlen].filter(([, length]) => compressed || length === 4)));
    }
  }

  /** mcause and mtval hold any value; mepc is only read, since QEMU keeps its bit 0. */
  #csr(): void {
    const immediate = this.#below(2) === 0, source = this.#source();
    const name = this.#of(["csrrw", "csrrs", "csrrc"] as const), rd = this.#destination();
    if (this.#below(4) === 0) this.#p.csr("csrrs", "mepc", rd, 0);
    else {
      const fields: Fields = { rd, rs1: source, imm: csrNumber(this.#of(["mcause", "mtval"])) };
      this.#p.op(immediate ? `${name}i` : name, fields);
    }
  }

  #branch(): void {
    const kind = this.#below(10), target = this.#later();
    if (kind === 0) this.#p.to("jal", target, { rd: this.#destination() });
    else if (kind === 1) {
      const base = this.#base();
      this.#p.la(base, target).op("jalr", { rd: this.#destination(), rs1: base });
    } else if (kind === 2) {
      const base = this.#base();
      this.#p.la(base, target).op(this.#of(["c.jr", "c.jalr"]), { rs1: base });
    } else if (kind === 3) {
      // Over one item, for which the compressed forms reach far enough.
      const behind = `${this.#label(this.#items)}.behind`;
      const name = this.#of(["c.j", "c.beqz", "c.bnez"]);
      this.#p.to(name, behind, name === "c.j" ? {} : { rs1: 8 + this.#below(8) });
      this.#item(false);
      this.#p.label(behind);
    } else {
      const name = this.#of(["beq", "bne", "blt", "bge", "bltu", "bgeu"]);
      this.#p.to(name, target, { rs1: this.#source(), rs2: this.#source() });
    }
  }

  /** A body executed up to four times; entered from outside, tp is not above what an earlier loop left. */
  #loop(): void {
    const body = `${this.#label(this.#items)}.body`;
    this.#p.op("addi", { rd: TP, rs1: 0, imm: 1 + this.#below(4) }).label(body);
    for (let k = 1 + this.#below(5); k > 0; k--) this.#item(false);
    this.#p.op("addi", { rd: TP, rs1: TP, imm: -1 }).to("blt", body, { rs1: 0, rs2: TP });
  }
}
