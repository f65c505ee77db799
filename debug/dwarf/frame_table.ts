// `.debug_frame` and `.eh_frame`: how to get from a function's registers to its caller's (DWARF 5, 6.4; LSB for `.eh_frame`).

import { Cursor, DwarfError } from "./cursor.ts";
import { bytesOf, type Section } from "./section.ts";

/** Where a register's value of the caller is. */
export type RegisterRule =
  | { readonly kind: "undefined" }
  | { readonly kind: "same" }
  /** In memory, at this distance from the CFA. */
  | { readonly kind: "offset"; readonly offset: bigint }
  /** The CFA plus this. */
  | { readonly kind: "valueOffset"; readonly offset: bigint }
  | { readonly kind: "register"; readonly register: number }
  /** In memory, where the expression says. */
  | { readonly kind: "expression"; readonly expression: Uint8Array }
  | { readonly kind: "valueExpression"; readonly expression: Uint8Array };

/** The canonical frame address: what sp was before the call. */
export type CfaRule =
  | { readonly register: number; readonly offset: bigint }
  | { readonly expression: Uint8Array };

/** The rules that hold at an address. */
export interface FrameRules {
  readonly cfa: CfaRule;
  readonly registers: ReadonlyMap<number, RegisterRule>;
  /** The register whose caller's value is the return address. */
  readonly returnRegister: number;
  /** True for the frame that a trap or signal interrupted another in: its return address is no call's. */
  readonly signal: boolean;
}

interface Common {
  readonly version: number;
  readonly augmentation: string;
  readonly codeAlignment: number;
  readonly dataAlignment: bigint;
  readonly returnRegister: number;
  readonly addressSize: number;
  readonly pointerEncoding: number;
  readonly signal: boolean;
  readonly instructions: Uint8Array;
  readonly offset: number;
}

interface Description {
  readonly low: bigint;
  readonly high: bigint;
  readonly common: number;
  /** Offset and length of what follows the addresses. */
  readonly at: number;
  readonly end: number;
}

/** The encoding of absolute addresses in `.eh_frame`. */
const ABSOLUTE = 0;
/** Depth to which remembered states may be nested. */
const MAX_STATES = 64;

/** The table of one of the two sections. */
export class FrameTable {
  readonly #section: Section;
  /** True for `.eh_frame`. */
  readonly #eh: boolean;
  /** Address of the section in memory, which pointers of `.eh_frame` are relative to. */
  readonly #address: bigint;
  readonly #addressSize: number;
  readonly #commons = new Map<number, Common>();
  #descriptions: readonly Description[] | undefined;

  constructor(section: Section, address: bigint, addressSize: 4 | 8) {
    this.#section = section;
    this.#eh = section.name === ".eh_frame";
    this.#address = address;
    this.#addressSize = addressSize;
  }

  /** The section's name. */
  get name(): string {
    return this.#section.name;
  }

  /** The rules at an address; undefined if the table says nothing of it. */
  at(pc: bigint): FrameRules | undefined {
    const all = this.#descriptions ??= this.#index();
    let from = 0, to = all.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (all[middle]!.low <= pc) from = middle + 1;
      else to = middle;
    }
    // Functions do not overlap, but what the linker threw away may lie at 0 in any number.
    for (let k = from - 1; k >= 0 && k >= from - 4; k--) {
      const found = all[k]!;
      if (pc < found.high) return this.#rules(found, pc);
    }
    return undefined;
  }

  #cursor(offset: number, length: number): Cursor {
    return new Cursor(bytesOf(this.#section, offset, length), offset);
  }

  /** Finds all descriptions; what follows damage is left out. */
  #index(): Description[] {
    const found: Description[] = [], { size } = this.#section;
    try {
      for (let at = 0; at + 4 <= size;) {
        const head = this.#cursor(at, Math.min(20, size - at)), { length, wide } = head.initialLength();
        const start = head.offset, end = start + length;
        if (length === 0) {
          // In .eh_frame zero ends one file's part; the linker may have put another behind it.
          at = start;
          continue;
        }
        const id = head.word(wide && !this.#eh), common = this.#eh ? start - id : id;
        const isCommon = this.#eh ? id === 0 : id === (wide ? NaN : 0xffff_ffff);
        if (!isCommon) {
          const description = this.#describe(common, head.offset, end);
          if (description !== undefined) found.push(description);
        }
        at = end;
      }
    } catch (error) {
      if (!(error instanceof DwarfError)) throw error;
    }
    return found.sort((a, b) => a.low < b.low ? -1 : a.low > b.low ? 1 : 0);
  }

  #describe(commonOffset: number, at: number, end: number): Description | undefined {
    let common: Common;
    try {
      common = this.#common(commonOffset);
    } catch (error) {
      if (error instanceof DwarfError) return undefined;
      throw error;
    }
    const cursor = this.#cursor(at, end - at);
    const low = this.#pointer(cursor, common.pointerEncoding, common.addressSize);
    const length = this.#pointer(cursor, common.pointerEncoding & 0x0f, common.addressSize);
    if (length <= 0n) return undefined;
    return { low, high: low + length, common: commonOffset, at: cursor.offset, end };
  }

  /** A pointer in the encoding that the augmentation names (LSB, "DWARF Exception Header Encoding"). */
  #pointer(cursor: Cursor, encoding: number, addressSize: number): bigint {
    if (encoding === 0x50) throw new DwarfError("aligned pointers in .eh_frame");
    const place = this.#address + BigInt(cursor.offset), bits = 8 * addressSize;
    const value = (() => {
      switch (encoding & 0x0f) {
        case 0x00:
          return cursor.unsigned(addressSize);
        case 0x01:
          return cursor.bigUleb();
        case 0x02:
          return cursor.unsigned(2);
        case 0x03:
          return cursor.unsigned(4);
        case 0x04:
          return cursor.unsigned(8);
        case 0x09:
          return cursor.bigSleb();
        case 0x0a:
          return cursor.signed(2);
        case 0x0b:
          return cursor.signed(4);
        case 0x0c:
          return cursor.signed(8);
      }
      throw new DwarfError(`pointer encoding 0x${encoding.toString(16)}`);
    })();
    switch (encoding & 0x70) {
      case 0x00:
        return BigInt.asUintN(bits, value);
      case 0x10:
        return BigInt.asUintN(bits, place + value);
    }
    throw new DwarfError(`pointer encoding 0x${encoding.toString(16)}`);
  }

  /** The common information entry at an offset. */
  #common(offset: number): Common {
    const known = this.#commons.get(offset);
    if (known !== undefined) return known;
    const head = this.#cursor(offset, Math.min(12, this.#section.size - offset)),
      { length, wide } = head.initialLength();
    const cursor = this.#cursor(head.offset, length), end = cursor.offset + length;
    const id = this.#eh ? cursor.u32() : wide ? Number(cursor.i64()) : cursor.i32();
    if (id !== (this.#eh ? 0 : -1)) throw new DwarfError(`${this.#section.name}: no common entry at ${offset}`);
    const version = cursor.u8(), augmentation = cursor.string();
    let addressSize = this.#addressSize;
    if (version >= 4) {
      addressSize = cursor.u8();
      cursor.skip(1);
    }
    const codeAlignment = cursor.uleb(), dataAlignment = cursor.bigSleb();
    const returnRegister = version === 1 ? cursor.u8() : cursor.uleb();
    let pointerEncoding = ABSOLUTE, signal = augmentation.includes("S");
    if (augmentation.startsWith("z")) {
      const length = cursor.uleb(), stop = cursor.position + length;
      for (const letter of augmentation.slice(1)) {
        if (letter === "R") pointerEncoding = cursor.u8();
        else if (letter === "L") cursor.skip(1);
        else if (letter === "P") this.#pointer(cursor, cursor.u8() & 0x7f, addressSize);
        else if (letter === "S") signal = true;
        else break;
      }
      cursor.skip(stop - cursor.position);
    }
    const instructions = cursor.block(end - cursor.offset);
    const common = {
      ...{ version, augmentation, codeAlignment, dataAlignment, returnRegister, addressSize, pointerEncoding, signal },
      ...{ instructions, offset },
    };
    this.#commons.set(offset, common);
    return common;
  }

  #rules(description: Description, pc: bigint): FrameRules {
    const common = this.#common(description.common);
    const cursor = this.#cursor(description.at, description.end - description.at);
    if (common.augmentation.startsWith("z")) cursor.skip(cursor.uleb());
    const first = new State(undefined, new Map());
    this.#execute(new Cursor(common.instructions), common, first, description.low, pc, new Map());
    const initial = new Map(first.registers);
    this.#execute(cursor, common, first, description.low, pc, initial);
    if (first.cfa === undefined) throw new DwarfError(`${this.#section.name}: no CFA at 0x${pc.toString(16)}`);
    const { returnRegister, signal } = common;
    return { cfa: first.cfa, registers: first.registers, returnRegister, signal };
  }

  /** Executes instructions (6.4.2) until the row of `pc` is complete. */
  #execute(
    cursor: Cursor,
    common: Common,
    state: State,
    start: bigint,
    pc: bigint,
    initial: ReadonlyMap<number, RegisterRule>,
  ): void {
    const { codeAlignment, dataAlignment, addressSize } = common, stack: State[] = [];
    let at = start;
    const set = (register: number, rule: RegisterRule) => void state.registers.set(register, rule);
    const restore = (register: number) => {
      const rule = initial.get(register);
      if (rule === undefined) state.registers.delete(register);
      else state.registers.set(register, rule);
    };
    const factored = () => BigInt(cursor.uleb()) * dataAlignment;
    const register = () => {
      if (state.cfa === undefined || "expression" in state.cfa) throw new DwarfError("the CFA is no register");
      return state.cfa;
    };
    /** True if the new location lies behind pc. */
    const advance = (delta: number) => (at += BigInt(delta * codeAlignment)) > pc;
    while (!cursor.done) {
      const opcode = cursor.u8(), low = opcode & 0x3f;
      if (opcode >= 0xc0) restore(low);
      else if (opcode >= 0x80) set(low, { kind: "offset", offset: factored() });
      else if (opcode >= 0x40) {
        if (advance(low)) return;
      } else {
        switch (opcode) {
          case 0x00:
            break;
          case 0x01:
            at = this.#pointer(cursor, common.pointerEncoding, addressSize);
            if (at > pc) return;
            break;
          case 0x02:
            if (advance(cursor.u8())) return;
            break;
          case 0x03:
            if (advance(cursor.u16())) return;
            break;
          case 0x04:
            if (advance(cursor.u32())) return;
            break;
          case 0x05:
            set(cursor.uleb(), { kind: "offset", offset: factored() });
            break;
          case 0x06:
            restore(cursor.uleb());
            break;
          case 0x07:
            set(cursor.uleb(), { kind: "undefined" });
            break;
          case 0x08:
            set(cursor.uleb(), { kind: "same" });
            break;
          case 0x09:
            set(cursor.uleb(), { kind: "register", register: cursor.uleb() });
            break;
          case 0x0a:
            if (stack.length === MAX_STATES) throw new DwarfError("states nested beyond reason");
            stack.push(new State(state.cfa, new Map(state.registers)));
            break;
          case 0x0b: {
            const saved = stack.pop();
            if (saved === undefined) throw new DwarfError("no state to restore");
            state.cfa = saved.cfa;
            state.registers = saved.registers;
            break;
          }
          case 0x0c:
            state.cfa = { register: cursor.uleb(), offset: BigInt(cursor.uleb()) };
            break;
          case 0x0d:
            // Of RISC-V GNU's assembler begins with this alone, and means a distance of 0.
            state.cfa = { register: cursor.uleb(), offset: state.cfa === undefined ? 0n : register().offset };
            break;
          case 0x0e:
            state.cfa = { register: register().register, offset: BigInt(cursor.uleb()) };
            break;
          case 0x0f:
            state.cfa = { expression: cursor.block(cursor.uleb()) };
            break;
          case 0x10:
            set(cursor.uleb(), { kind: "expression", expression: cursor.block(cursor.uleb()) });
            break;
          case 0x11:
            set(cursor.uleb(), { kind: "offset", offset: cursor.bigSleb() * dataAlignment });
            break;
          case 0x12:
            state.cfa = { register: cursor.uleb(), offset: cursor.bigSleb() * dataAlignment };
            break;
          case 0x13:
            state.cfa = { register: register().register, offset: cursor.bigSleb() * dataAlignment };
            break;
          case 0x14:
            set(cursor.uleb(), { kind: "valueOffset", offset: factored() });
            break;
          case 0x15:
            set(cursor.uleb(), { kind: "valueOffset", offset: cursor.bigSleb() * dataAlignment });
            break;
          case 0x16:
            set(cursor.uleb(), { kind: "valueExpression", expression: cursor.block(cursor.uleb()) });
            break;
          case 0x2d:
            break;
          case 0x2e:
            cursor.skipLeb();
            break;
          case 0x2f:
            set(cursor.uleb(), { kind: "offset", offset: -factored() });
            break;
          default:
            throw new DwarfError(`frame instruction 0x${opcode.toString(16)}`);
        }
      }
    }
  }
}

/** The rules while they are being made. */
class State {
  cfa: CfaRule | undefined;
  registers: Map<number, RegisterRule>;

  constructor(cfa: CfaRule | undefined, registers: Map<number, RegisterRule>) {
    this.cfa = cfa;
    this.registers = registers;
  }
}
