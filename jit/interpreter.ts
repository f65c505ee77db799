// The interpreter, generated from the instruction table by the emitter: a loop over decoded records with a `switch` of the
// operations that are frequent, and a function for each of the others.

import { type Extension, floatRegisters, hasFloatsInX } from "../isa/extensions.ts";
import { Builder, FIELD_AFTER, FIELD_IMM, FIELD_RD, FIELD_RS1, FIELD_RS2, FIELD_RS3, FIELDS } from "../isa/ir.ts";
import type { Branch, Call, JumpTo, Leave, Load, SetX, Statement, Store, Value } from "../isa/ir.ts";
import { type Instruction, INSTRUCTIONS } from "../isa/table.ts";
import { PAGE_OFFSET, PC_HIGH, RECORD, REMAINING } from "../hart/counter.ts";
import { FIELDS as PACKED, FIRST_OPERATION, type OperationNumbers } from "./decode_cache.ts";
import { add, call, type Expression, primary, SHIFT, ZERO } from "./expression.ts";
import { Emitter, type Pair, sizeOf } from "./emitter.ts";
import { FLOAT_VARIABLES, floatPath, type FloatPlaces, IS_DIRTY, IS_ENABLED, readyInMode } from "./float_paths.ts";
import { hartCall, MemoryAccess } from "./memory_access.ts";
import { INTERPRETER_NOTE } from "./history.ts";
import { TranslatedAccess } from "./translated_access.ts";

/**
 * Instructions that the loop handles itself. The rest are called; a call costs about as much as the instruction. The loop
 * must stay below V8's limit for optimisation (a test measures it).
 */
const INLINE = new Set(
  ("lui auipc jal jalr beq bne blt bge bltu bgeu lb lh lw ld lbu lhu lwu sb sh sw sd addi slti sltiu xori ori andi " +
    "slli srli srai add sub sll slt sltu xor srl sra or and mul addiw slliw srliw sraiw addw subw sllw srlw sraw mulw " +
    "sh1add sh2add sh3add")
    .split(" "),
);

/** One form of an instruction that has an operation number of its own. */
export interface OperationForm {
  readonly instruction: Instruction;
  /** For direct branches and jumps: the target is in the same page. */
  readonly near: boolean;
}

const isDirect = ({ format }: Instruction) => format === "branch" || format === "jump";

/**
 * The forms by operation number less `FIRST_OPERATION`. Those of the loop come first and without gaps: V8 makes a jump table
 * only of a dense `switch`, and anything else costs half the speed.
 */
export const OPERATION_FORMS: readonly OperationForm[] = [
  ...INSTRUCTIONS.filter(({ name }) => INLINE.has(name)).sort((a, b) => Number(a.xlen === 64) - Number(b.xlen === 64))
    .map((instruction) => ({ instruction, near: isDirect(instruction) })),
  ...INSTRUCTIONS.filter((instruction) => !INLINE.has(instruction.name) || isDirect(instruction)).map((
    instruction,
  ) => ({
    instruction,
    near: false,
  })),
];

const numbers: { general: number; near: number }[] = INSTRUCTIONS.map(() => ({ general: 0, near: 0 }));
OPERATION_FORMS.forEach(({ instruction, near }, k) => {
  const entry = numbers[instruction.id]!;
  if (near || !isDirect(instruction)) entry.near = FIRST_OPERATION + k;
  if (!near) entry.general = FIRST_OPERATION + k;
});

/** The operation numbers of an instruction. */
export function operationNumbers(instruction: Instruction): OperationNumbers {
  return numbers[instruction.id]!;
}

/** An operation of the loop. */
export type InlineOperation = OperationNumbers;

/** The operations that the loop handles itself. */
export function inlineOperations(xlen: 32 | 64): InlineOperation[] {
  return INSTRUCTIONS.filter(({ name, xlen: only }) => INLINE.has(name) && (only === undefined || only === xlen))
    .map(operationNumbers);
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
  /** Whether to note each instruction (history.ts). */
  readonly history: boolean;
}

const S = (index: number) => `STATE[${index}]`;

/** Registers of the record whose word is `o`. */
const RD = `(o & ${PACKED.mask})`, RS1 = `(o >>> ${PACKED.rs1})`, RS2 = `(o >> ${PACKED.rs2} & ${PACKED.mask})`;
const RS3 = "RS3[ip]";
const IS_LONG = `(o & ${PACKED.long}) !== 0`;

/**
 * Where execution goes on after an instruction of a record. A branch rather than a sum with the length: the processor
 * predicts it, where it would have to wait for the record's word.
 */
const GO_ON = `if (${IS_LONG}) { ip = ip + 2 | 0; continue; }\nip = ip + 1 | 0; continue;`;

/** Emits an instruction as a case of the loop, or as a function of its own. */
class HandlerEmitter extends Emitter {
  #inline: boolean;
  #near: boolean;
  #memory: MemoryAccess;
  #aligned4: boolean;
  #links: readonly Statement[] = [];
  /** Counts a jump. */
  #count: string;

  constructor(options: InterpreterOptions, inline: boolean, near: boolean) {
    super(options.xlen);
    this.#inline = inline;
    this.#near = near;
    this.#count = options.threshold === 0
      ? ""
      : `if ((HEAT[ip] = HEAT[ip] + 1 | 0) === ${options.threshold}) becameHot(ip); `;
    this.#aligned4 = !options.extensions.has("Zca");
    const { ramBase, ramSize, xlen } = options;
    this.#memory = options.memory === "bare"
      ? new MemoryAccess(ramBase, ramSize, xlen)
      : new TranslatedAccess(ramBase, ramSize, xlen, "ACCESS[0]");
  }

  /**
   * A jump that traps, as its target is misaligned, or is left to its function must not write its link: where that may be, the
   * link comes later.
   */
  override emit(all: readonly Statement[]): void {
    const last = all.at(-1)?.kind;
    const later = last === "jump" ? this.#aligned4 : last === "jumpTo" && (this.#aligned4 || this.#inline);
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
    const words = { rd: RD, rs1: RS1, rs2: RS2, rs3: RS3 }, mode = "IMM[ip]";
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
    if (value.low === FIELD_IMM) return primary("IMM[ip]");
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
    const low = this.temp(add(pc, primary(`(${IS_LONG} ? 4 : 2)`)));
    // Only the last instruction before a multiple of 4 GiB carries.
    const carried = this.xlen === 64 ? primary(`(${low.text} === 0 ? ${high.text} + 1 | 0 : ${high.text})`) : high;
    return { low, high: carried, signExtended: false, zeroExtended: false };
  }

  /** Leaves an instruction of the loop to its function. */
  #slow(lines: readonly string[]): void {
    if (this.#inline) return this.line(`} else break;`);
    this.line(`} else {`);
    for (const line of lines) this.line(line);
    this.line(`}`);
  }

  protected load(s: Load): void {
    const address = this.#memory.address(this, s.address);
    const result = s.memory === "i64" ? [this.fresh(), this.fresh()] as const : [this.fresh()] as const;
    this.line(`if (${this.#memory.test(address, sizeOf(s.memory), s.access === "amo")}) {`);
    for (const line of this.#memory.fastLoad(address, s.memory, result)) this.line(line);
    this.#slow(this.#memory.slowLoad(address, s, result));
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
    this.#slow([this.#memory.slowStore(address, s, low, high)]);
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
   * Goes to an address in any page; in the loop only to one in this page, and all others are left to the function. Jumps to a
   * register are not counted: what a return leads to is the middle of a function, and compiled together with its loops and its
   * entry, which are.
   */
  #go(low: Expression, high: Expression): void {
    if (!this.#inline) {
      const misaligned = this.#aligned4 ? `if (${low.text} & 2) hart.misalignedFetch(${low.text}, ${high.text});` : "";
      this.line(misaligned);
      this.#link();
      this.line(`return enter(${low.text}, ${high.text}) | 0;`);
      return;
    }
    const otherHigh = this.xlen === 64 ? ` || ${high.text} !== ${S(PC_HIGH)}` : "";
    const misaligned = this.#aligned4 ? ` || (${low.text} & 2) !== 0` : "";
    this.line(`if (((${low.text} ^ ${this.#pcLow().text}) & -4096) !== 0${otherHigh}${misaligned}) break;`);
    const next = this.temp(primary(`(${low.text} - ${S(PAGE_OFFSET)} >> 1)`));
    this.#link();
    this.line(`ip = ${next.text}; continue;`);
  }

  #goRelative(): void {
    if (this.#near) {
      this.#link();
      this.line(this.#inline ? `ip = ip + IMM[ip] | 0; ${this.#count}continue;` : `return ip + IMM[ip] | 0;`);
      return;
    }
    const pc = this.address("pc"), low = this.named(pc.low);
    const imm = primary("IMM[ip]");
    const target = this.temp(add(low, imm));
    // The carry into the high half of pc, from the signs of the operands and the result.
    const high = this.xlen === 64
      ? this.temp(primary(
        `(${pc.high.text} + (IMM[ip] >> 31) + ((${low.text} >>> 0) + (IMM[ip] >>> 0) > 4294967295 ? 1 : 0) | 0)`,
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
function statements(instruction: Instruction, { xlen, extensions }: InterpreterOptions): readonly Statement[] {
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
  const emitter = new HandlerEmitter(options, false, near), meaning = statements(instruction, options);
  const isFloat = !hasFloatsInX(options.extensions) && emitter.emitFloat(instruction.name, meaning);
  if (!isFloat) emitter.emit(meaning);
  const name = instruction.name.replaceAll(".", "_");
  const variables = isFloat ? `let ${FLOAT_VARIABLES.map((v) => `${v} = 0`).join(", ")};` : "";
  return `function ${name}(ip) { const o = FIELDS[ip]; ${declare(emitter.maxTemps)} ${variables}\n${
    emitter.lines.join("\n")
  }\nreturn ip + (${IS_LONG} ? 2 : 1) | 0; }`;
}

/** Text of the interpreter's loop. */
export function loopText(instructions: readonly Instruction[], options: InterpreterOptions): string {
  const cases: string[] = [];
  let temps = 0;
  for (const instruction of instructions) {
    if (!INLINE.has(instruction.name) || instruction.semantics === undefined) continue;
    const { general, near } = operationNumbers(instruction);
    const emitter = new HandlerEmitter(options, true, near !== general);
    emitter.emit(statements(instruction, options));
    temps = Math.max(temps, emitter.maxTemps);
    const ends = emitter.lines.at(-1)?.endsWith("continue;");
    cases.push(`case ${near}: // ${instruction.name}\n${emitter.lines.join("\n")}\n${ends ? "" : GO_ON}`);
  }
  // The parameter is a tagged value: without the "| 0", so would be every record number in the loop. A `break` out of the
  // `switch` leads to the function of the operation: one call in the loop instead of one in each slow path, which would keep
  // V8 from holding much in registers.
  return `function interpret(ip) {
    ip = ip | 0;
    let n = ${S(REMAINING)}, o = 0;
    ${declare(temps)}
    do {${options.history ? `\n      ${INTERPRETER_NOTE}` : ""}
      o = FIELDS[ip];
      switch (OPERATION[ip]) {
      ${cases.join("\n")}
      }
      ${S(REMAINING)} = n; ${S(RECORD)} = ip;
      ip = HANDLERS[OPERATION[ip]](ip) | 0;
      n = ${S(REMAINING)};
      if (ip < 0) { n = n - 1 | 0; break; }
    } while ((n = n - 1 | 0) > 0);
    ${S(REMAINING)} = n;
    return ip | 0;
  }`;
}
