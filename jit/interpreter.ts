// The interpreter in parts: which operations there are, and a JavaScript function for each, generated from the instruction table by the
// emitter when it is first needed. `wasm_interpreter.ts` is the loop that does the frequent ones itself.

import type { Decoded } from "../isa/decode.ts";
import { type Extension, floatRegisters, hasFloatsInX } from "../isa/extensions.ts";
import { Builder, FIELD_AFTER, FIELD_IMM, FIELD_RD, FIELD_RS1, FIELD_RS2, FIELD_RS3, FIELDS } from "../isa/ir.ts";
import type { Branch, Call, JumpTo, Leave, Load, SetX, Statement, Store, Value } from "../isa/ir.ts";
import { type Instruction, INSTRUCTIONS } from "../isa/table.ts";
import { PAGE_OFFSET, PC_HIGH } from "../hart/counter.ts";
import { FIELD, FIRST_OPERATION, IS_LONG, type OperationNumbers, RECORD_BYTES } from "./decode_cache.ts";
import { add, call, type Expression, primary, SHIFT, ZERO } from "./expression.ts";
import { Emitter, type Pair, sizeOf } from "./emitter.ts";
import { FLOAT_VARIABLES, floatPath, type FloatPlaces, IS_DIRTY, IS_ENABLED, readyInMode } from "./float_paths.ts";
import { hartCall, MemoryAccess } from "./memory_access.ts";
import { TranslatedAccess } from "./translated_access.ts";

/** Instructions that the loop does itself. The rest are called, which costs several times as much as the instruction. */
const INLINE = new Set(
  ("lui auipc fence jal jalr beq bne blt bge bltu bgeu lb lh lw ld lbu lhu lwu sb sh sw sd addi slti sltiu xori ori andi " +
    "slli srli srai add sub sll slt sltu xor srl sra or and mul mulh mulhu mulhsu div divu rem remu addiw slliw srliw sraiw addw subw " +
    "sllw srlw sraw mulw divw divuw remw remuw sh1add sh2add sh3add add.uw")
    .split(" "),
);

/** One form of an instruction that has an operation number of its own. */
export interface OperationForm {
  readonly instruction: Instruction;
  /** For direct branches and jumps: the target is in the same page. */
  readonly near: boolean;
  /** The loop does it. */
  readonly inline: boolean;
  /** Halfwords, where the loop does it: a constant there. */
  readonly length: 1 | 2;
}

const isDirect = ({ format }: Instruction) => format === "branch" || format === "jump";

/** Names of the instructions that compressed ones expand to. */
const SHORT: ReadonlySet<string> = new Set(
  INSTRUCTIONS.flatMap(({ expand }) => {
    if (expand === undefined) return [];
    const operands = { rd: 8, rs1: 8, rs2: 8, rs3: 0, imm: 4 };
    return ([32, 64] as const).map((xlen) => expand(operands, xlen).name);
  }),
);

/** The forms by operation number less `FIRST_OPERATION`. Those of the loop come first and without gaps, for its jump table. */
export const OPERATION_FORMS: readonly OperationForm[] = [
  ...INSTRUCTIONS.filter(({ name }) => INLINE.has(name)).sort((a, b) => Number(a.xlen === 64) - Number(b.xlen === 64))
    .flatMap((instruction) => {
      const lengths = SHORT.has(instruction.name) ? [2, 1] as const : [2] as const;
      const distances = isDirect(instruction) ? [true, false] : [false];
      return distances.flatMap((near) => lengths.map((length) => ({ instruction, near, inline: true, length })));
    }),
  ...INSTRUCTIONS.filter(({ name }) => !INLINE.has(name)).map((
    instruction,
  ) => ({ instruction, near: false, inline: false, length: 2 } as const)),
];

/** So many operations, from the first one, are the loop's. */
export const INLINE_OPERATIONS: number = OPERATION_FORMS.filter(({ inline }) => inline).length;

const numbers: { general: number; near: number }[][] = INSTRUCTIONS.map(() => []);
OPERATION_FORMS.forEach(({ instruction, near, inline, length }, k) => {
  const operation = FIRST_OPERATION + k;
  for (const at of inline ? [length] : [1, 2]) {
    const entry = numbers[instruction.id]![at] ??= { general: operation, near: operation };
    if (!near) entry.general = operation;
  }
});

/** The operation numbers of an instruction. */
export function operationNumbers({ instruction, length }: Pick<Decoded, "instruction" | "length">): OperationNumbers {
  return numbers[instruction.id]![length / 2]!;
}

/** What the generated code depends on. */
export interface InterpreterOptions {
  readonly xlen: 32 | 64;
  readonly extensions: ReadonlySet<Extension>;
  /** Physical address and length of RAM. */
  readonly ramBase: number;
  readonly ramSize: number;
  /** Whether generated code reaches RAM directly or through the hart's translation. */
  readonly memory: "bare" | "translated";
  /** How often an instruction is jumped to before `becameHot` is called; 0 for never. */
  readonly threshold: number;
}

const S = (index: number) => `STATE[${index}]`;

/** A field of the record whose halfwords begin at `o`: of registers, the offset in bytes. */
const half = (field: keyof typeof FIELD) => `HALVES[o + ${FIELD[field] / 2}]`;
/** Words of the register file. */
const RD = `(${half("rd")} >> 2)`, RS1 = `(${half("rs1")} >> 2)`, RS2 = `(${half("rs2")} >> 2)`;
const RS3 = `((${half("rs3")} & ${IS_LONG - 1}) >> 2)`;
const IMMEDIATE = `WORDS[(o >> 1) + ${FIELD.immediate / 4}]`;
const LENGTH = `((${half("rs3")} >> 15) + 1)`;

/** Emits an instruction as a function of its own. */
class HandlerEmitter extends Emitter {
  #near: boolean;
  #memory: MemoryAccess;
  #aligned4: boolean;
  #links: readonly Statement[] = [];
  /** Counts a jump. */
  #count: string;

  constructor(options: InterpreterOptions, near: boolean) {
    super(options.xlen);
    this.#near = near;
    this.#count = options.threshold === 0 ? "" : `if (heat(ip) === ${options.threshold}) becameHot(ip); `;
    this.#aligned4 = !options.extensions.has("Zca");
    const { ramBase, ramSize, xlen } = options;
    this.#memory = options.memory === "bare"
      ? new MemoryAccess(ramBase, ramSize, xlen)
      : new TranslatedAccess(ramBase, ramSize, xlen, "ACCESS[0]");
  }

  /**
   * A jump that traps, as its target is misaligned, must not write its link: where that may be, the link comes later.
   */
  override emit(all: readonly Statement[]): void {
    const last = all.at(-1)?.kind;
    const later = this.#aligned4 && (last === "jump" || last === "jumpTo");
    this.#links = later ? all.filter(({ kind }) => kind === "setX") : [];
    super.emit(all.filter((s) => !this.#links.includes(s)));
  }
  #link(): void {
    for (const s of this.#links as readonly SetX[]) {
      if (this.xlen === 32) this.write32(s.register, this.narrow(s.value));
      else this.write64(s.register, this.wide(s.value));
    }
  }

  /** Index of a register's words: of one that a field names, or of the register that an instruction always means. */
  #field(number: number): string {
    if (number < FIELD_RD) return String(number * this.xlen / 32);
    if (number >= FIELD_AFTER) return `(${this.#field(number - FIELD_AFTER)} + ${this.xlen / 32})`;
    return { [FIELD_RD]: RD, [FIELD_RS1]: RS1, [FIELD_RS2]: RS2, [FIELD_RS3]: RS3 }[number]!;
  }

  protected readLow(register: number): Expression {
    return primary(`X[${this.#field(register)}]`);
  }
  protected readPair(register: number): Pair {
    return {
      low: primary(`X[${this.#field(register)}]`),
      high: primary(`X[${this.#field(register)} + 1]`),
      signExtended: false,
      zeroExtended: false,
    };
  }
  protected write32(register: number, value: Expression): void {
    this.line(`X[${this.#field(register)}] = ${value.text};`);
  }
  protected write64(register: number, value: Pair): void {
    const rd = this.temp(primary(this.#field(register)));
    const low = value.signExtended ? this.named(value.low) : value.low;
    // Both halves are computed before one is written: the destination may be a source.
    const high = this.named(value.high);
    this.line(`X[${rd.text}] = ${low.text};`);
    this.line(`X[${rd.text} + 1] = ${high.text};`);
  }
  protected readF(register: number): Pair {
    const index = this.named(primary(this.#field(register)));
    return {
      low: primary(`F[${index.text}]`),
      high: primary(`F[${index.text} + 1]`),
      signExtended: false,
      zeroExtended: false,
    };
  }
  protected writeF(register: number, value: Pair): void {
    const rd = this.temp(primary(this.#field(register)));
    const high = this.named(value.high);
    this.line(`F[${rd.text}] = ${value.low.text};`);
    this.line(`F[${rd.text} + 1] = ${high.text};`);
    this.line(`if (!(${IS_DIRTY})) floats.markDirty();`);
  }

  /**
   * A floating-point instruction: by its fast path, or as its meaning says. False if it has no fast path. Never in the loop,
   * which has no room for it.
   */
  emitFloat(name: string, statements: readonly Statement[]): boolean {
    const words = { rd: RD, rs1: RS1, rs2: RS2, rs3: RS3 }, mode = IMMEDIATE;
    const places: FloatPlaces = {
      double: (place) => `FD[${words[place]} >> 1]`,
      single: (place) => `FS[${words[place]}]`,
      low: (place) => `F[${words[place]}]`,
      high: (place) => `F[${words[place]} + 1]`,
      x: () => ({ low: `X[${words.rs1}]`, high: `X[${words.rs1} + 1]` }),
      dirty: IS_DIRTY,
      ready: readyInMode(mode),
      isMode: (wanted, is) => `${mode} ${is ? "===" : "!=="} ${wanted}`,
      sameSources: false,
    };
    this.begin();
    const path = floatPath(name, statements, this, this.#memory, places);
    if (path === null) return false;
    this.line(`if (${path.condition}) {`);
    if (path.double !== undefined) this.line(`FD[${words.rd} >> 1] = ${path.double};`);
    if (path.statements !== undefined) this.line(path.statements);
    if (path.low !== undefined) {
      this.line(`X[${RD}] = ${path.low};`);
      if (this.xlen === 64) this.line(`X[${RD} + 1] = ${path.high ?? `X[${RD}] >> 31`};`);
    }
    this.line(`} else {`);
    this.emit(statements);
    this.line(`}`);
    return true;
  }
  protected field(value: Value): Expression {
    if (value.low === FIELD_IMM) return primary(IMMEDIATE);
    const field = this.#field(value.low), scale = this.xlen === 64 ? 1 : 0;
    if (value.name === "nonZero") {
      const none = value.low === FIELD_RD ? `${32 << scale}` : "0";
      return primary(`(${field} !== ${none} ? 1 : 0)`);
    }
    return { text: `${field} >> ${scale}`, level: SHIFT };
  }

  #pcLow(): Expression {
    return primary(`(${S(PAGE_OFFSET)} + (ip << 1) | 0)`);
  }
  protected address(which: "pc" | "next"): Pair {
    const pc = this.#pcLow();
    const high = primary(S(PC_HIGH));
    if (which === "pc") return { low: pc, high, signExtended: false, zeroExtended: false };
    const low = this.temp(add(pc, primary(`2 * ${LENGTH}`)));
    // Only the last instruction before a multiple of 4 GiB carries.
    const carried = this.xlen === 64 ? primary(`(${low.text} === 0 ? ${high.text} + 1 | 0 : ${high.text})`) : high;
    return { low, high: carried, signExtended: false, zeroExtended: false };
  }

  protected load(s: Load): void {
    const address = this.#memory.address(this, s.address);
    const result = s.memory === "i64" ? [this.fresh(), this.fresh()] as const : [this.fresh()] as const;
    this.line(`if (${this.#memory.test(address, sizeOf(s.memory), s.access === "amo")}) {`);
    for (const line of this.#memory.fastLoad(address, s.memory, result)) this.line(line);
    this.line(`} else {`);
    for (const line of this.#memory.slowLoad(address, s, result)) this.line(line);
    this.line(`}`);
    if (s.memory === "i64") {
      this.define(s.temp, { low: result[0], high: result[1]!, signExtended: false, zeroExtended: false });
    } else this.define(s.temp, result[0]);
  }

  protected store(s: Store): void {
    const address = this.#memory.address(this, s.address);
    const wide = s.memory === "i64" ? this.wide(s.value) : null;
    const low = this.named(wide === null ? this.narrow(s.value) : wide.low);
    const high = wide === null ? null : this.named(wide.high);
    this.line(`if (${this.#memory.test(address, sizeOf(s.memory), true)} && ${this.#memory.unwatched(address)}) {`);
    for (const line of this.#memory.fastStore(address, s.memory, low, high)) this.line(line);
    this.line(`} else {`);
    this.line(this.#memory.slowStore(address, s, low, high));
    this.line(`}`);
  }

  protected call(s: Call): void {
    if (s.name === "floatEnabled") this.line(`if (!(${IS_ENABLED}))`);
    const invocation = hartCall(this, s).text;
    if (s.temp === null) this.line(`${invocation};`);
    else if (s.temp.type === "i64") {
      const low = this.temp(primary(invocation)), high = this.temp(primary("HIGH[0]"));
      this.define(s.temp, { low, high, signExtended: false, zeroExtended: false });
    } else this.define(s.temp, this.temp(primary(invocation)));
  }

  /**
   * Goes to an address in any page. Jumps to a register are not counted: what a return leads to is the middle of a function, and compiled
   * together with its loops and its entry, which are.
   */
  #go(low: Expression, high: Expression): void {
    if (this.#aligned4) this.line(`if (${low.text} & 2) hart.misalignedFetch(${low.text}, ${high.text});`);
    this.#link();
    this.line(`return enter(${low.text}, ${high.text}) | 0;`);
  }

  #goRelative(): void {
    if (this.#near) {
      this.#link();
      this.line(`ip = ip + ${IMMEDIATE} | 0; jumped(ip); ${this.#count}return ip;`);
      return;
    }
    const pc = this.address("pc"), low = this.named(pc.low);
    const imm = primary(IMMEDIATE);
    const target = this.temp(add(low, imm));
    // The carry into the high half of pc, from the signs of the operands and the result.
    const high = this.xlen === 64
      ? this.temp(primary(
        `(${pc.high.text} + (${IMMEDIATE} >> 31) + ((${low.text} >>> 0) + (${IMMEDIATE} >>> 0) > 4294967295 ? 1 : 0) | 0)`,
      ))
      : ZERO;
    this.#go(target, high);
  }

  protected branch(s: Branch): void {
    this.line(`if (${this.condition(s.condition).text}) {`);
    this.#goRelative();
    this.line(`}`);
  }
  protected jump(): void {
    this.#goRelative();
  }
  protected jumpTo(s: JumpTo): void {
    if (this.xlen === 32) this.#go(this.named(this.narrow(s.target)), ZERO);
    else {
      const target = this.wide(s.target);
      this.#go(this.named(target.low), this.named(target.high));
    }
  }
  protected leave(s: Leave): void {
    const pc = this.address("pc"), next = this.address("next");
    const args = s.args.map((value) => this.narrow(value));
    this.line(`${call(`hart.${s.name}`, pc.low, pc.high, next.low, next.high, ...args).text};`);
    this.line(`return enter(hart.pcLow, hart.pcHigh) | 0;`);
  }
}

/** The statements of an instruction whose operands are fields, with the changes of order that make `jal` simple. */
export function statements(instruction: Instruction, { xlen, extensions }: InterpreterOptions): readonly Statement[] {
  const b = new Builder(xlen, true, floatRegisters(extensions));
  instruction.semantics!(b, FIELDS);
  return b.statements;
}

/** Names of the temporaries up to a number. */
function declare(count: number): string {
  if (count === 0) return "";
  return `let ${Array.from({ length: count }, (_, k) => `t${k} = 0`).join(", ")};`;
}

/** Text of a function that executes the instruction of a record and returns the next record. */
export function handlerText(instruction: Instruction, near: boolean, options: InterpreterOptions): string {
  const emitter = new HandlerEmitter(options, near), meaning = statements(instruction, options);
  const isFloat = !hasFloatsInX(options.extensions) && emitter.emitFloat(instruction.name, meaning);
  if (!isFloat) emitter.emit(meaning);
  const name = instruction.name.replaceAll(".", "_");
  const variables = isFloat ? `let ${FLOAT_VARIABLES.map((v) => `${v} = 0`).join(", ")};` : "";
  return `function ${name}(ip) { const o = ${RECORD_BYTES / 2} * ip; ${declare(emitter.maxTemps)} ${variables}\n${
    emitter.lines.join("\n")
  }\nreturn ip + ${LENGTH} | 0; }`;
}
