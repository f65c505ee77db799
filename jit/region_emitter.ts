// A region as a JavaScript function: registers in locals, structured control flow, calls as calls.
//
// The function gets the depth of calls that it may still make and returns where the guest goes on: the low half of an
// address, or 1 if the hart's own pc says (after a trap, or when the executor must look at something). Before it returns,
// all registers are in the register file and the count of instructions is exact.

import type { Branch, Call, JumpTo, Leave, Load, Statement, Store, Value } from "../isa/ir.ts";
import { POSITION, REMAINING, SITE, SITE_DIRTY, SITE_PC } from "../hart/counter.ts";
import { READY_STATE, UNKNOWN_STATE } from "../hart/float_unit.ts";
import { Emitter, type Pair, sizeOf } from "./emitter.ts";
import { type Expression, inside, isSimple, literal, literalValue, primary, SHIFT, shift, ZERO } from "./expression.ts";
import {
  assumedFact,
  type Assumption,
  type Fact,
  type Facts,
  meetFacts,
  MEMORY_ROOM,
  sameFacts,
  UNKNOWN,
  withoutShrinkingRooms,
} from "./facts.ts";
import type { HookSite } from "./code_hooks.ts";
import { FLOAT_STATE, FLOAT_VARIABLES, floatPath, type FloatPlaces, IS_ENABLED, isNearest } from "./float_paths.ts";
import { markWords, WAY_MASK } from "./history.ts";
import { isMarked, marksEntry, positionIn, quietWay, wayTo } from "./positions.ts";
import { accessFunction } from "./called_access.ts";
import { accessCode, hartCall, MemoryAccess } from "./memory_access.ts";
import { type Block, computedRegisters, type Region, type RegionInstruction, type RegisterSet } from "./region.ts";

/** Returned by compiled code when the hart's pc says where to go on. */
export const ELSEWHERE = 1;
/** Bit of an access code: the instruction is 2 bytes long. */
export const SHORT_INSTRUCTION = 64;

/** Forms of a high half: the sign of the low one, or 0. */
const SIGN = 1, ZEROES = 2;

/** sp, s0 to s11 (psABI, "Integer Register Convention"). */
const CALLEE_SAVED: RegisterSet = 1 << 2 | 3 << 8 | 0x3ff << 18;

/** What the text of a region depends on beside the region. */
export interface RegionEmitterOptions {
  readonly xlen: 32 | 64;
  /** Whether instructions may lie on any halfword. */
  readonly compressed: boolean;
  readonly ramBase: number;
  readonly ramSize: number;
  /** Whether addresses of data are physical or go through the translation look-aside buffers. */
  readonly memory: "bare" | "translated";
  /** Number of the region's first place (positions.ts). */
  readonly position: number;
  /** Whether to note what is executed (history.ts). */
  readonly history: boolean;
  /** How a register's value at the entry is taken to be; the function refuses to run where it is not. */
  readonly assume?: (register: number) => Assumption | undefined;
  /** Text of an instruction for comments; none where absent. */
  readonly comment?: (i: RegionInstruction) => string;
}

/** A compiled region's text and what it refers to. */
export interface RegionText {
  readonly text: string;
  /** Low halves of the addresses whose cells it calls, in the order of their names `c0`, `c1` … */
  readonly cells: readonly number[];
  /**
   * Four words for each instruction at which the function may be left for the interpreter: address, registers that are in
   * locals only, what must be added to the count, number of the place (see `#sitePlace`).
   */
  readonly sites: readonly number[];
  /** Least number of instructions that must remain for it to do anything. */
  readonly need: number;
  /** Whether it has hooked instructions. */
  readonly hooked: boolean;
}

/** Words of a site. */
const SITE_WORDS = 4;

const S = (index: number) => `STATE[${index}]`;
const hex = (pc: number) => (pc >>> 0).toString(16);

function registersOf(set: RegisterSet): number[] {
  const list: number[] = [];
  for (let n = 1; n < 32; n++) if ((set & 1 << n) !== 0) list.push(n);
  return list;
}

/** JavaScript text of the double whose halves these are; undefined if they are not known, or for a NaN. */
function doubleOf(low: number | undefined, high: number | undefined): string | undefined {
  if (low === undefined || high === undefined) return undefined;
  const view = new DataView(new ArrayBuffer(8));
  view.setInt32(0, high);
  view.setInt32(4, low);
  const value = view.getFloat64(0);
  return Number.isNaN(value) ? undefined : Object.is(value, -0) ? "-0" : String(value);
}

/** Emits the function of one region. */
export class RegionEmitter extends Emitter {
  readonly #region: Region;
  readonly #options: RegionEmitterOptions;
  readonly #memory: MemoryAccess;
  /** Whether memory is accessed by calls of functions. */
  readonly #calls: boolean;
  readonly #sites: number[] = [];
  readonly #cells = new Map<number, string>();
  /** Facts at the start of each block. */
  #factsIn = new Map<Block, Facts>();
  /** By register: which forms its high half has wherever the shared exit may write it back; bits. */
  readonly #highForms: number[] = new Array(32).fill(SIGN | ZEROES);
  /** Facts at the end of each block. */
  readonly #factsAfter = new Map<Block, Facts>();
  /** Facts at the entry that the function checks. */
  readonly #assumed: Facts = new Map();
  /** Registers whose values matter. */
  readonly #computed: RegisterSet;
  /** Facts where the emitter is. */
  #facts: Facts = new Map();
  /** Registers that differ from the register file where the emitter is. */
  #dirty: RegisterSet = 0;
  #instruction!: RegionInstruction;
  #block!: Block;
  /** What must be added to `n` for the instructions that remain including the present one. */
  #ahead = 0;
  #mayStop = false;
  #slowPaths = false;
  /** Whether a function that does an access may leave the region. */
  #misses = false;
  /** Whether mstatus.FS is known to be Dirty where the emitter is. */
  #floatDirty = false;
  /** Accesses go the slow way, since a fast one has been tried. */
  #onlySlow = false;
  /** Whether there are floating-point instructions; the variable `z` is the floating-point state then. */
  readonly #floats: boolean;
  /**
   * Floating-point registers that fast paths read as doubles. Their values are in variables, too, such as `f5`: reading back what
   * was just written costs more than adding two numbers. FD is always up to date.
   */
  readonly #mirrored = new Set<number>();

  constructor(region: Region, options: RegionEmitterOptions) {
    super(options.xlen);
    this.#region = region;
    this.#options = options;
    this.#memory = new MemoryAccess(options.ramBase, options.ramSize, options.xlen);
    this.#calls = options.memory === "translated";
    this.#floats = region.blocks.some(({ instructions }) =>
      instructions.some(({ statements }) => statements.some((s) => s.kind === "call" && s.name === "floatEnabled"))
    );
    this.#computed = region.blocks.reduce((set, block) => set | computedRegisters(block), 0);
    for (const n of registersOf(options.xlen === 64 ? this.#computed & region.entry.liveIn : 0)) {
      const assumption = options.assume?.(n);
      if (assumption !== undefined) this.#assumed.set(n, assumedFact(assumption));
    }
  }

  protected override line(text: string): void {
    this.lines.push(text);
  }

  // Registers.

  protected readLow(register: number): Expression {
    if (register === 0) return ZERO;
    const fact = this.#facts.get(register);
    return fact?.low !== undefined ? literal(fact.low) : primary(`x${register}`);
  }
  protected readPair(register: number): Pair {
    if (register === 0) return this.constant(0, 0);
    const fact = this.#facts.get(register) ?? UNKNOWN;
    if (fact.low !== undefined) return this.constant(fact.low, fact.high!);
    const low = primary(`x${register}`);
    const high = fact.zeroExtended
      ? ZERO
      : fact.signExtended
      ? shift(low, ">>", literal(31))
      : primary(`x${register}h`);
    const { signExtended, zeroExtended, room } = fact;
    return { low, high, signExtended, zeroExtended, ...(room !== undefined && { room }) };
  }
  #define(register: number, fact: Fact): void {
    if (fact.signExtended || fact.zeroExtended || fact.low !== undefined) this.#facts.set(register, fact);
    else this.#facts.delete(register);
    this.#dirty |= 1 << register;
  }
  protected write32(register: number, value: Expression): void {
    const low = literalValue(value);
    this.line(`x${register} = ${value.text};`);
    this.#define(register, low === undefined ? UNKNOWN : { ...UNKNOWN, low, high: 0 });
  }
  protected write64(register: number, value: Pair): void {
    const name = `x${register}`, low = literalValue(value.low), high = literalValue(value.high);
    if (value.signExtended && low === undefined) {
      this.line(`${name} = ${value.low.text};`);
      this.line(`${name}h = ${name} >> 31;`);
    } else if (high !== undefined) {
      this.line(`${name} = ${value.low.text};`);
      this.line(`${name}h = ${high};`);
    } else {
      const held = this.named(value.low);
      this.line(`${name}h = ${value.high.text};`);
      this.line(`${name} = ${held.text};`);
    }
    const { signExtended, zeroExtended, room } = value;
    this.#define(
      register,
      low !== undefined && high !== undefined
        ? { signExtended, zeroExtended, low, high }
        : { signExtended, zeroExtended, ...(room !== undefined && { room }) },
    );
  }
  protected readF(register: number): Pair {
    return {
      low: primary(`F[${2 * register}]`),
      high: primary(`F[${2 * register + 1}]`),
      signExtended: false,
      zeroExtended: false,
    };
  }
  protected writeF(register: number, value: Pair): void {
    const low = this.named(value.low), high = this.named(value.high);
    const known = doubleOf(literalValue(low), literalValue(high));
    if (known !== undefined) this.line(`FD[${register}] = ${known};`);
    else this.line(`F[${2 * register}] = ${low.text}; F[${2 * register + 1}] = ${high.text};`);
    if (!this.#floatDirty) this.line(`if (z === ${UNKNOWN_STATE}) z = floats.markDirty();`);
    this.#mirror(register);
  }
  /** After a floating-point register was set: its variable follows, if it has one. */
  #mirror(register: number): void {
    if (this.#mirrored.has(register)) this.line(`f${register} = FD[${register}];`);
  }
  /** The variables of all floating-point registers from the register file. */
  #loadFloats(): void {
    for (const register of this.#mirrored) this.#mirror(register);
  }

  /** A floating-point instruction: by its fast path where that may be taken, else as its meaning says. */
  #float({ instruction, operands, statements }: RegionInstruction): void {
    const { rd, rs1, rs2, imm } = operands, condition = (holds: boolean) => holds ? "" : null;
    const text = (e: Expression) => isSimple(e) ? e.text : `(${e.text})`;
    const places: FloatPlaces = {
      double: (place) => {
        this.#mirrored.add(operands[place]);
        return `f${operands[place]}`;
      },
      single: (place) => `FS[${2 * operands[place]}]`,
      low: (place) => `F[${2 * operands[place]}]`,
      high: (place) => `F[${2 * operands[place] + 1}]`,
      x: () => {
        if (this.xlen === 32) return { low: text(this.readLow(rs1)), high: "0" };
        const { low, high } = this.readPair(rs1);
        return { low: text(low), high: text(high) };
      },
      dirty: this.#floatDirty ? "" : `z !== ${UNKNOWN_STATE}`,
      ready: isNearest(imm) ? `z === ${READY_STATE}` : null,
      isMode: (mode, is) => condition((imm === mode) === is),
      sameSources: rs1 === rs2,
    };
    this.begin();
    const isAccess = statements.some(({ kind }) => kind === "load" || kind === "store");
    const path = this.#calls && isAccess ? null : floatPath(instruction.name, statements, this, this.#memory, places);
    if (path === null) {
      this.#floatMeaning(statements);
      return;
    }
    const always = path.condition === "";
    if (!always) this.line(`if (${path.condition}) {`);
    if (path.double !== undefined) {
      this.line(`${this.#mirrored.has(rd) ? `f${rd} = ` : ""}FD[${rd}] = ${path.double};`);
    } else if (path.statements !== undefined) {
      this.line(path.statements);
      if (statements.some(({ kind }) => kind === "setF")) this.#mirror(rd);
    }
    if (path.low !== undefined && rd !== 0) {
      this.line(`x${rd} = ${path.low};`);
      if (this.xlen === 64) this.line(`x${rd}h = ${path.high ?? `x${rd} >> 31`};`);
    }
    if (!always) {
      this.line(`} else {`);
      this.#onlySlow = true;
      this.#floatMeaning(statements);
      this.#onlySlow = false;
      this.line(`}`);
    }
  }

  /** The statements of a floating-point instruction; in short where they are one operation from f registers to another. */
  #floatMeaning(statements: readonly Statement[]): void {
    const [, operation, set] = statements;
    if (
      operation?.kind === "call" && operation.name === "float" && set?.kind === "setF" && set.value === operation.temp
    ) {
      const [number, mode, ...sources] = operation.args as [Value, Value, ...Value[]];
      if (sources.every((source, k) => source.operation === "f" || (k > 0 && source.operation === "const"))) {
        this.#slowPaths = true;
        const registers = sources.map((source) => source.operation === "f" ? source.low : -1);
        const args = [number.low, mode.low, set.register, ...registers].join(", ");
        this.line(`z = floats.operate(${args}, ${this.#site()});`);
        this.#mirror(set.register);
        return;
      }
    }
    this.emit(statements);
  }
  protected field(_value: Value): Expression {
    throw new Error("an operand of compiled code is always known");
  }
  protected address(which: "pc" | "next"): Pair {
    const { pc, length } = this.#instruction;
    const low = which === "pc" ? pc : (pc + length) | 0;
    const carried = which === "next" && low >= 0 && low < 4 && pc < 0;
    return this.constant(low, (this.#region.high + (carried ? 1 : 0)) | 0);
  }

  // Memory and calls.

  /** Arguments by which a slow path knows where it was called from. */
  #site(): string {
    this.#written(this.#dirty, this.#facts);
    const { pc } = this.#instruction;
    const where = this.#options.history ? `(${S(POSITION)} = ${this.#here()}, ${pc})` : String(pc);
    return `${where}, ${this.#dirty}, n + ${this.#ahead}`;
  }
  #code(s: Load | Store): number {
    return accessCode(s.memory, s.access === "amo") + (this.#instruction.length === 2 ? SHORT_INSTRUCTION : 0);
  }

  /** The arguments of a function that does an access: address and site. */
  #addressArguments(v: Value): string {
    const site = this.#sites.length / SITE_WORDS;
    this.#written(this.#dirty, this.#facts);
    this.#sites.push(this.#instruction.pc, this.#dirty, this.#ahead, this.#sitePlace());
    this.#misses = true;
    let immediate = 0;
    if (this.#memory.isOffset(v) && v.b!.operation === "const") immediate = v.b!.low, v = v.a!;
    if (this.xlen === 32) return `${this.narrow(v).text}, 0, ${immediate}, ${site}`;
    const { low, high } = this.wide(v);
    return `${low.text}, ${high.text}, ${immediate}, ${site}`;
  }

  #loadByCall(s: Load): void {
    const low = this.temp(
      primary(`${accessFunction("load", s.memory, s.access === "amo")}(${this.#addressArguments(s.address)})`),
    );
    if (s.memory !== "i64") this.define(s.temp, low);
    else this.define(s.temp, { low, high: this.temp(primary("HIGH[0]")), signExtended: false, zeroExtended: false });
  }

  #storeByCall(s: Store): void {
    const address = this.#addressArguments(s.address), name = accessFunction("store", s.memory, s.access === "amo");
    if (s.memory !== "i64") this.line(`${name}(${address}, ${this.narrow(s.value).text});`);
    else {
      const { low, high } = this.wide(s.value);
      this.line(`${name}(${address}, ${low.text}, ${high.text});`);
    }
  }

  protected load(s: Load): void {
    if (this.#calls) return this.#loadByCall(s);
    this.#slowPaths = true;
    const address = this.#memory.address(this, s.address);
    const low = this.fresh(), high = s.memory === "i64" ? this.fresh() : null;
    const results = high === null ? [low] : [low, high];
    const slow =
      `${low.text} = slowLoad(${this.#code(s)}, ${address.low.text}, ${address.fullHigh.text}, ${this.#site()});` +
      (high === null ? "" : ` ${high.text} = HIGH[0];`);
    const fast = this.#memory.fastLoad(address, s.memory, results).join(" ");
    if (this.#onlySlow) this.line(slow);
    else {
      const test = this.#memory.test(address, sizeOf(s.memory), s.access === "amo");
      this.line(`if (${test}) { ${fast} } else { ${slow} }`);
    }
    this.#accessed(s.address);
    this.define(
      s.temp,
      high === null ? low : { low, high, signExtended: false, zeroExtended: false },
    );
  }

  protected store(s: Store): void {
    if (this.#calls) return this.#storeByCall(s);
    this.#slowPaths = true;
    const address = this.#memory.address(this, s.address);
    const pair = s.memory === "i64" ? this.wide(s.value) : null;
    const low = this.named(pair === null ? this.narrow(s.value) : pair.low);
    const high = pair === null ? null : this.named(pair.high);
    const fast = this.#memory.fastStore(address, s.memory, low, high).join(" ");
    const slow = `slowStore(${this.#code(s)}, ${address.low.text}, ${address.fullHigh.text}, ${low.text}, ${
      high?.text ?? "0"
    }, ${this.#site()});`;
    const test = `${this.#memory.test(address, sizeOf(s.memory), true)} && ${this.#memory.unwatched(address)}`;
    if (s.access === "amo") {
      // Its register is written after the store: where the executor must look at something, that comes first.
      this.#mayStop = true;
      this.line(`${S(REMAINING)} = n + ${this.#ahead};`);
    }
    if (this.#onlySlow) this.line(slow);
    else this.line(`if (${test}) { ${fast} } else { ${slow} }`);
    this.#accessed(s.address);
  }

  /**
   * After an access that did not trap, the register that it went by is known to lie in the first 4 GiB: there is no memory
   * elsewhere, nor near the ends of them.
   */
  #accessed(address: Value): void {
    if (this.xlen === 32 || !this.#memory.keepsFromEnds) return;
    const base = address.operation === "add" ? address.a! : address;
    if (base.operation !== "x" || base.low === 0) return;
    const fact = this.#facts.get(base.low) ?? UNKNOWN;
    if (fact.low !== undefined) return;
    this.#facts.set(base.low, { signExtended: fact.signExtended, zeroExtended: true, room: MEMORY_ROOM });
  }

  protected call(s: Call): void {
    this.#slowPaths = true;
    const isCheck = s.name === "floatEnabled", changesFloats = s.name === "float" || s.name === "csr";
    if (!isCheck && s.name !== "float") this.#mayStop = true;
    if (isCheck) {
      // Operations look themselves.
      if (
        this.#floatDirty ||
        this.#instruction.statements.some((other) => other.kind === "call" && other.name === "float")
      ) return;
      this.line(`if (z === ${UNKNOWN_STATE} && !(${IS_ENABLED})) {`);
    }
    const invocation = hartCall(this, s).text;
    this.#written(this.#dirty, this.#facts);
    this.line(`${S(SITE_PC)} = ${this.#instruction.pc}; ${S(SITE_DIRTY)} = ${this.#dirty};`);
    this.#storePosition();
    this.line(`${S(REMAINING)} = n + ${this.#ahead};`);
    if (s.temp === null) this.line(`${invocation};`);
    else if (s.temp.type === "i64") {
      const low = this.temp(primary(invocation)), high = this.temp(primary("HIGH[0]"));
      this.define(s.temp, { low, high, signExtended: false, zeroExtended: false });
    } else this.define(s.temp, this.temp(primary(invocation)));
    if (isCheck) this.line(`}`);
    else if (this.#floats && changesFloats) {
      this.line(`z = floats.state();`);
      if (s.name === "csr") this.#floatDirty = false;
    }
  }

  // Control flow is the terminators' business; see `#terminate`.
  protected branch(_s: Branch): void {}
  protected jump(): void {}
  protected jumpTo(_s: JumpTo): void {}
  protected leave(_s: Leave): void {
    throw new Error("a region holds no instruction that leaves");
  }

  // Blocks.

  #loads(set: RegisterSet): void {
    const texts = registersOf(set).map((n) =>
      this.xlen === 32 ? `x${n} = X[${n}];` : `x${n} = X[${2 * n}]; x${n}h = X[${2 * n + 1}];`
    );
    if (texts.length > 0) this.line(texts.join(" "));
  }

  #writeBack(set: RegisterSet, facts: Facts = this.#facts): string {
    return registersOf(set).map((n) => {
      const fact = facts.get(n);
      if (this.xlen === 32) return `X[${n}] = ${fact?.low ?? `x${n}`};`;
      const high = fact?.high ?? (fact?.zeroExtended ? "0" : fact?.signExtended ? `x${n} >> 31` : `x${n}h`);
      return `X[${2 * n}] = ${fact?.low ?? `x${n}`}; X[${2 * n + 1}] = ${high};`;
    }).join(" ");
  }

  #cell(pc: number): string {
    let name = this.#cells.get(pc);
    if (name === undefined) this.#cells.set(pc, name = `c${this.#cells.size}`);
    return name;
  }

  /** Notes that the shared exit may write registers back from where these facts hold. */
  #written(set: RegisterSet, facts: Facts): void {
    if (this.xlen === 32) return;
    for (const n of registersOf(set)) {
      const fact = facts.get(n);
      const forms = fact === undefined ? 0 : (fact.signExtended ? SIGN : 0) | (fact.zeroExtended ? ZEROES : 0);
      this.#highForms[n]! &= forms;
    }
  }

  // What was executed last (history.ts).

  /** Number of the place before the instruction at hand. */
  #here(): string {
    return this.#place(this.#block, this.#block.instructions.length - this.#ahead, `n + ${this.#ahead}`);
  }
  /** Number of a place, where `remaining` is the count; 0 if whoever led there has noted it. */
  #place(block: Block, executed: number, remaining: string): string {
    if (!this.#options.history) return "0";
    const quiet = quietWay(this.#region, block);
    if (executed > 0) return String(positionIn(this.#region, block, executed, this.#options.position));
    if (quiet === null) return "0";
    const usual = String(this.#endOf(quiet)), mark = markWords(remaining);
    return isMarked(this.#region, block) ? `(${mark.remaining} === ${remaining} ? ${mark.position} : ${usual})` : usual;
  }
  /** The number for a site: where marks tell the place, that of the usual one, less than 0. */
  #sitePlace(): number {
    const { length } = this.#block.instructions, executed = length - this.#ahead;
    if (!this.#options.history) return 0;
    if (executed > 0) return positionIn(this.#region, this.#block, executed, this.#options.position);
    const quiet = quietWay(this.#region, this.#block);
    if (quiet === null) return 0;
    return isMarked(this.#region, this.#block) ? -this.#endOf(quiet) : this.#endOf(quiet);
  }
  /** Notes by a mark that a place was come to. */
  #mark(position: number): void {
    const mark = markWords("n");
    if (this.#options.history) this.line(`${mark.remaining} = n; ${mark.position} = ${position};`);
  }
  /** Number of a block's end. */
  #endOf(block: Block): number {
    return positionIn(this.#region, block, block.instructions.length, this.#options.position);
  }
  /** Notes that a place was come to. */
  #note(position: number | string): void {
    if (this.#options.history) this.line(`HISTORY[n & ${WAY_MASK}] = ${position};`);
  }
  /** Says where the region stands, to what it calls. */
  #storePosition(): void {
    if (this.#options.history) this.line(`${S(POSITION)} = ${this.#here()};`);
  }

  /** Leaves the region for an address: the usual way. */
  #exit(block: Block, pc: number): void {
    this.#note(this.#endOf(block));
    this.line(`${this.#writeBack(this.#dirty)} ${S(REMAINING)} = n; return ${pc};`);
  }

  /**
   * Leaves the region for an address by the way that all rare exits share. V8 has seen that way before it optimises (see
   * code_cache.ts), while a way of its own would throw away the optimised function when it is taken for the first time.
   */
  #rareExit(pc: number | string, dirty: RegisterSet, facts: Facts = this.#facts, position = "0"): string {
    this.#written(dirty, facts);
    const isNoted = position !== "0" && this.#options.history;
    return `{ e = ${pc}; m = ${dirty};${!isNoted ? "" : ` k = ${position};`} break EXIT; }`;
  }

  /** Leaves if fewer instructions remain than the way to the next check is long. */
  #check(block: Block, dirty: RegisterSet): void {
    const exit = this.#rareExit(block.pc, dirty, this.#factsIn.get(block)!, this.#place(block, 0, "n"));
    this.line(`if (n < ${block.stretch}) ${exit}`);
  }

  /** The instructions of a block, without how it ends. Returns the condition of a branch, or the target of a jump. */
  #body(block: Block): Expression | Pair | null {
    const { instructions } = block;
    this.#block = block;
    this.#facts = new Map(this.#factsIn.get(block)!);
    this.#dirty = block.dirtyIn;
    this.#floatDirty = false;
    this.line(`n = n - ${instructions.length} | 0;`);
    let result: Expression | Pair | null = null;
    instructions.forEach((i, k) => {
      this.#instruction = i;
      this.#ahead = instructions.length - k;
      this.#mayStop = false;
      if (this.#options.comment) this.line(`// ${this.#options.comment(i)}`);
      if (i.hooks !== undefined) this.#hooks(i.hooks);
      const last = i.statements.at(-1);
      if (last?.kind === "branch") {
        this.emit(i.statements.slice(0, -1));
        result = this.condition(last.condition);
      } else if (last?.kind === "jumpTo") result = this.#indirect(i.statements, last);
      else if (i.statements.some((s) => s.kind === "call" && s.name === "floatEnabled")) {
        this.#float(i);
        if (i.statements.some(({ kind }) => kind === "setF")) this.#floatDirty = true;
      } else this.emit(i.statements);
      if (this.#mayStop) {
        const ahead = this.#ahead;
        this.line(`if (${S(REMAINING)} !== n + ${ahead}) {`);
        this.line(`${this.#writeBack(this.#dirty)} n = ${S(REMAINING)} = ${S(REMAINING)} - 1;`);
        this.#note(positionIn(this.#region, block, k + 1, this.#options.position));
        this.line(`hart.setPc(${(i.pc + i.length) | 0}, ${this.address("next").high.text}); return ${ELSEWHERE}; }`);
      }
    });
    return result;
  }

  /** Calls the hooks of the instruction at hand, with registers in the register file, and counts it. */
  #hooks({ id, calls, counters }: HookSite): void {
    if (calls.length > 0) {
      this.line(`${this.#writeBack(this.#dirty)} ${S(REMAINING)} = n + ${this.#ahead};`);
      this.#storePosition();
      this.#dirty = 0;
      this.line(`if ((r = hooked(${id}, ${this.#instruction.pc})) !== 0) return r;`);
    }
    for (const counter of counters) {
      const [low, high] = [2 * counter, 2 * counter + 1];
      this.line(`if ((COUNTS[${low}] = COUNTS[${low}] + 1 | 0) === 0) COUNTS[${high}] = COUNTS[${high}] + 1 | 0;`);
    }
  }

  /** The statements of a jump to a register, up to the jump; gives the target. */
  #indirect(statements: readonly Statement[], last: JumpTo): Expression | Pair {
    const [first, ...rest] = statements.slice(0, -1);
    this.emit(first === undefined ? [] : [first]);
    const target = this.xlen === 32 ? this.narrow(last.target) : this.wide(last.target);
    const low = "low" in target ? target.low : target;
    if (!this.#options.compressed) {
      // A misaligned target traps, which the interpreter does.
      const { pc, hooks } = this.#instruction, answer = hooks === undefined ? pc : `withoutHooks(${pc})`;
      const { length } = this.#block.instructions, here = this.#place(this.#block, length - this.#ahead, "n");
      this.line(`if (${low.text} & 2) { ${this.#writeBack(this.#dirty)} n = ${S(REMAINING)} = n + ${this.#ahead};`);
      if (this.#options.history) this.line(`${S(POSITION)} = ${here};`);
      if (here !== "0") this.line(`if (${S(POSITION)} !== 0) HISTORY[n & ${WAY_MASK}] = ${S(POSITION)};`);
      this.line(`return ${answer}; }`);
    }
    this.continueWith(rest);
    return target;
  }

  /** What follows the body of a block. */
  #terminate(block: Block, result: Expression | Pair | null): void {
    const { terminator: t } = block;
    const to = (pc: number) => block.successors.find((b) => b.pc === pc);
    const go = (pc: number) => {
      const next = to(pc);
      if (next !== undefined) this.#goto(block, next);
      else if (t.kind === "branch") this.line(this.#rareExit(pc, this.#dirty, this.#facts, String(this.#endOf(block))));
      else this.#exit(block, pc);
    };
    switch (t.kind) {
      case "branch": {
        const facts = this.#facts, dirty = this.#dirty;
        this.line(`if (${(result as Expression).text}) {`);
        go(t.taken);
        this.#facts = facts, this.#dirty = dirty;
        this.line(`} else {`);
        go(t.next);
        this.line(`}`);
        break;
      }
      case "jump":
        go(t.target);
        break;
      case "exit":
        this.#exit(block, t.pc);
        break;
      case "call": {
        const next = to(t.next);
        if (next === undefined) {
          this.#exit(block, t.target);
          break;
        }
        this.#callCell(block, next, String(t.target), `${this.#cell(t.target)}`);
        break;
      }
      case "return": {
        const low = this.#leaveForPair(result!), next = to(t.next);
        if (next === undefined) {
          this.#note(this.#endOf(block));
          this.line(`${this.#writeBack(this.#dirty)} ${S(REMAINING)} = n; return ${low.text};`);
          break;
        }
        if (literalValue(low) !== t.next) {
          const exit = this.#rareExit(low.text, this.#dirty, this.#facts, String(this.#endOf(block)));
          this.line(`if (${low.text} !== ${t.next}) ${exit}`);
        }
        this.#goto(block, next);
        break;
      }
      case "indirectCall":
      case "indirectJump": {
        const low = this.#leaveForPair(result!);
        const next = t.kind === "indirectCall" ? to(t.next) : undefined;
        if (next === undefined) {
          this.#note(this.#endOf(block));
          this.line(`${this.#writeBack(this.#dirty)} ${S(REMAINING)} = n; return ${low.text};`);
          break;
        }
        this.line(`q = CELLS[${inside(low, SHIFT)} >>> 1 & 4095]; if (q.pc !== ${low.text}) q = lookUp(${low.text});`);
        this.#callCell(block, next, low.text, "q");
      }
    }
  }

  /** Leaves if a jump's target is in another 4 GiB; gives the low half of the target, by name. */
  #leaveForPair(target: Expression | Pair): Expression {
    if (!("low" in target)) return this.#held(target);
    const low = this.#held(target.low), high = literalValue(target.high);
    if (high !== this.#region.high) {
      this.line(`if (${inside(target.high, 11)} !== ${this.#region.high}) {`);
      this.#note(this.#endOf(this.#block));
      this.line(`${this.#writeBack(this.#dirty)} ${S(REMAINING)} = n;`);
      this.line(`hart.setPc(${low.text}, ${target.high.text}); return ${ELSEWHERE}; }`);
    }
    return low;
  }
  #held(e: Expression): Expression {
    return isSimple(e) && !/^x\d/.test(e.text) ? e : this.temp(e);
  }

  #callCell(block: Block, next: Block, target: string, cell: string): void {
    this.#note(this.#endOf(block));
    this.line(`${this.#writeBack(this.#dirty)} ${S(REMAINING)} = n;`);
    this.line(`if (d <= 0) return ${target};`);
    this.line(`r = ${cell}.run(d - 1); if (r !== ${next.pc}) return r;`);
    this.line(`n = ${S(REMAINING)};`);
    if (this.#floats) this.line(`z = floats.state();`);
    this.#loadFloats();
    this.#check(next, 0);
    this.#loads(next.liveIn);
    const kept = this.#keptOverCall(block, next);
    if (kept.size > 0) this.line(`if ((${this.#guard(kept)}) !== 0) ${this.#rareExit(next.pc, 0)}`);
    this.#goOn(block, next);
  }

  /** Condition that is 0 where registers are as facts say. */
  #guard(facts: Facts): string {
    return [...facts].map(([n, { signExtended, room }]) => {
      if (signExtended) return `(x${n}h ^ x${n} >> 31)`;
      return room === undefined ? `x${n}h` : `x${n}h | ${this.#memory.outside(`x${n}`)}`;
    }).join(" | ");
  }

  /**
   * Facts about callee-saved registers before a call, which are checked again after it: functions that keep to the calling
   * convention bring the values back.
   */
  #keptOverCall(block: Block, next: Block): Facts {
    const kept: Facts = new Map();
    if (this.xlen === 32) return kept;
    for (const [n, fact] of this.#factsAfter.get(block) ?? []) {
      if ((CALLEE_SAVED & next.liveIn & this.#computed & 1 << n) === 0) continue;
      if (fact.zeroExtended) kept.set(n, assumedFact(fact.room ? "memory" : "zero"));
      else if (fact.signExtended) kept.set(n, assumedFact("signed"));
    }
    return kept;
  }

  // Structure: every block is emitted once, inside its dominator; see "Beyond Relooper" (Ramsey, 2022).

  #goto(from: Block, to: Block): void {
    const way = wayTo(this.#region, from, to);
    if (way === "noted") this.#note(this.#endOf(from));
    else if (way === "marked") this.#mark(this.#endOf(from));
    this.#goOn(from, to);
  }
  /** Goes on at a block; what led there is noted. */
  #goOn(from: Block, to: Block): void {
    if (!this.#region.reducible) this.line(`b = ${to.order}; continue S;`);
    else if (to.order <= from.order) this.line(`continue L${to.label};`);
    else if (to.isMerge) this.line(`break B${to.label};`);
    else this.#tree(to);
  }

  #tree(block: Block): void {
    const merges = block.children.filter((child) => child.isMerge);
    if (block.isLoop) {
      this.line(`L${block.label}: for (;;) {`);
      this.#check(block, block.dirtyIn);
    }
    this.#within(block, merges);
    if (block.isLoop) this.line(`}`);
  }

  #within(block: Block, merges: readonly Block[]): void {
    const [first, ...rest] = merges;
    if (first === undefined) {
      this.#terminate(block, this.#body(block));
      return;
    }
    this.line(`B${first.label}: {`);
    this.#within(block, rest);
    this.line(`}`);
    this.#tree(first);
  }

  /** For a loop with several entrances: a switch over blocks. */
  #switch(): void {
    const { blocks, entry } = this.#region;
    this.line(`let b = ${entry.order};`);
    this.line(`S: for (;;) { switch (b) {`);
    for (const block of blocks) {
      this.line(`case ${block.order}: {`);
      if (block.isLoop) this.#check(block, block.dirtyIn);
      this.#terminate(block, this.#body(block));
      this.line(`}`);
    }
    this.line(`} }`);
  }

  /** Facts at the start of every block: emits all blocks, to nowhere, until nothing changes any more. */
  #solveFacts(): void {
    const { blocks, entry } = this.#region;
    const after = this.#factsAfter;
    this.#factsIn = new Map(blocks.map((block) => [block, new Map()]));
    const reached = new Set<Block>([entry]);
    const work = [...blocks];
    let rounds = 0;
    for (let changed = true; changed && rounds < 20; rounds++) {
      changed = false;
      for (const block of work) {
        if (!reached.has(block)) continue;
        let facts: Facts | null = block === entry ? this.#assumed : null;
        for (const from of block.predecessors) {
          const reachedFrom = after.get(from);
          if (reachedFrom === undefined) continue; // not emitted yet: assume the best
          const out = from.calls ? this.#keptOverCall(from, block) : reachedFrom;
          facts = facts === null ? out : meetFacts(facts, out);
        }
        facts ??= new Map();
        if (after.has(block)) {
          facts = withoutShrinkingRooms(this.#factsIn.get(block)!, facts);
          if (sameFacts(facts, this.#factsIn.get(block)!)) continue;
        }
        this.#factsIn.set(block, facts);
        this.lines = [];
        this.#body(block);
        after.set(block, new Map(this.#facts));
        for (const to of block.successors) reached.add(to);
        changed = true;
      }
    }
    if (rounds === 20) this.#factsIn = new Map(blocks.map((block) => [block, new Map()]));
    this.lines = [];
  }

  /** The text of the region's function. */
  build(): RegionText {
    const { entry, registers } = this.#region;
    this.#solveFacts();
    this.#slowPaths = this.#misses = false;
    this.#sites.length = 0;
    this.#highForms.fill(SIGN | ZEROES);
    this.#loads(entry.liveIn);
    this.#loadFloats();
    const loads = this.lines.length;
    if (marksEntry(this.#region)) this.#mark(0);
    if (this.#region.reducible) this.#tree(entry);
    else this.#switch();
    const body = this.lines;
    this.lines = [];
    const locals = registersOf(registers).flatMap((n) =>
      this.xlen === 32 ? [`x${n} = 0`] : [`x${n} = 0`, `x${n}h = 0`]
    );
    const temps = Array.from({ length: this.maxTemps }, (_, k) => `t${k} = 0`);
    const declared = [
      `n = ${S(REMAINING)}`,
      "r = 0",
      "e = 0",
      "m = 0",
      ...(this.#options.history ? ["k = 0"] : []),
      "thrown = null",
      "q = c0",
      ...locals,
      ...temps,
    ];
    if (this.#floats) {
      const variables = [...FLOAT_VARIABLES, ...[...this.#mirrored].map((n) => `f${n}`)];
      declared.push(`z = ${FLOAT_STATE}`, ...variables.map((name) => `${name} = 0`));
    }
    const lines = [
      `function region_${hex(entry.pc)}(d) {`,
      `let ${declared.join(", ")};`,
      ...(this.#slowPaths || this.#misses ? ["try {"] : []),
      `EXIT: {`,
      ...body.slice(0, loads),
      `if (n < ${entry.stretch}) { e = ${entry.pc}; m = ${this.#unchanged()}; break EXIT; }`,
      ...(this.#assumed.size > 0 ? [`if ((${this.#guard(this.#assumed)}) !== 0) ${this.#rareExit(entry.pc, 0)}`] : []),
      ...body.slice(loads),
      `}`,
      ...this.#catches(),
      ...this.#sharedExit(),
      `}`,
    ];
    if (this.#cells.size === 0) this.#cell(entry.pc);
    const hooked = this.#region.blocks.some(({ instructions }) =>
      instructions.some(({ hooks }) => hooks !== undefined)
    );
    return { text: indent(lines), cells: [...this.#cells.keys()], sites: this.#sites, need: entry.stretch, hooked };
  }

  /** What becomes of an exception: the shared exit finds it, or the address to go on from. */
  #catches(): string[] {
    if (!this.#slowPaths && !this.#misses) return [];
    const slow = `thrown = error; m = ${S(SITE_DIRTY)}; n = ${S(REMAINING)};`;
    if (!this.#misses) return [`} catch (error) { ${slow} }`];
    const mark = markWords("n");
    return [
      `} catch (error) {`,
      `if (error === MISSED) {`,
      `r = ${SITE_WORDS} * ${S(SITE)}; e = SITES[r]; m = SITES[r + 1]; n = n + SITES[r + 2] | 0; ${
        this.#options.history ? `k = SITES[r + 3]; if (k < 0) k = ${mark.remaining} === n ? ${mark.position} : -k;` : ""
      } }`,
      `else { ${slow} }`,
      `}`,
    ];
  }

  /** Registers that may be in locals only, somewhere in the region. */
  #writtenRegisters(): RegisterSet {
    return this.#region.blocks.reduce((set, block) => set | block.dirtyOut, 0);
  }

  /** A register's high half, wherever the shared exit writes it back. */
  #highForm(n: number): string {
    const forms = this.#highForms[n]!;
    return forms & ZEROES ? "0" : forms & SIGN ? `x${n} >> 31` : `x${n}h`;
  }

  /**
   * Registers that the shared exit can write back at the entry with the values that they have: nothing differs from the
   * register file yet, and doing it shows V8 the way.
   */
  #unchanged(): RegisterSet {
    const whole = registersOf(this.#region.entry.liveIn).filter((n) => this.xlen === 32 || this.#highForms[n] === 0);
    return this.#writtenRegisters() & whole.reduce((set, n) => set | 1 << n, 0);
  }

  /** Writes back what is in locals only, as `m` says, and lets the executor deal with whatever was thrown. */
  #sharedExit(): string[] {
    return [
      ...registersOf(this.#writtenRegisters()).map((n) =>
        this.xlen === 32
          ? `if (m & ${1 << n}) X[${n}] = x${n};`
          : `if (m & ${1 << n}) { X[${2 * n}] = x${n}; X[${2 * n + 1}] = ${this.#highForm(n)}; }`
      ),
      `${S(REMAINING)} = n;`,
      ...(this.#slowPaths || this.#misses ? [`if (thrown !== null) return caught(thrown);`] : []),
      ...(this.#options.history ? [`if (k !== 0) HISTORY[n & ${WAY_MASK}] = k;`] : []),
      `return e;`,
    ];
  }
}

/** Indents lines by their braces. */
function indent(lines: readonly string[]): string {
  let depth = 0;
  return lines.map((line) => {
    const code = line.startsWith("//") ? "" : line;
    const closes = /^\s*\}/.test(code) ? 1 : 0;
    const text = "  ".repeat(Math.max(0, depth - closes)) + line.trim();
    for (const c of code) {
      if (c === "{") depth++;
      else if (c === "}") depth--;
    }
    return text;
  }).join("\n");
}
