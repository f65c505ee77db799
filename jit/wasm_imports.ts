// The functions that compiled WebAssembly calls. They give 0 if all went well, with results in two words of the shared state;
// else the instruction is left to the interpreter, and nothing has happened yet.

import { HIGH } from "../isa/pair.ts";
import type { HartCall } from "../isa/ir.ts";
import { RESULT } from "../hart/counter.ts";
import { type FloatUnit, READY_STATE } from "../hart/float_unit.ts";
import type { Hart } from "../hart/hart.ts";
import type { LoadStoreUnit } from "../hart/load_store_unit.ts";
import { Exception, INTERPRET } from "../hart/trap.ts";
import { callOwner } from "./memory_access.ts";
import * as pureLibrary from "./pure_library.ts";
import { unpackOperation } from "./wasm_float.ts";
import { slowAccessOf } from "./wasm_slow_access.ts";

type ImportedFunction = (...args: number[]) => number | void;

/** Makes them for one hart. */
export class WasmImports {
  readonly #hart: Hart;
  readonly #unit: LoadStoreUnit;
  readonly #floats: FloatUnit;
  /** Told that the instruction is left to the interpreter, with what was thrown if that is no exception of the guest. */
  readonly #leave: (error: unknown) => void;
  readonly #functions: Record<string, ImportedFunction> = {};
  /** Told that the check which accesses from an instruction on share makes the region leave, or takes a call each time. */
  onRangeMissed: (pc: number, leaves: boolean) => void = () => {};

  constructor(hart: Hart, unit: LoadStoreUnit, floats: FloatUnit, leave: (error: unknown) => void) {
    this.#hart = hart;
    this.#unit = unit;
    this.#floats = floats;
    this.#leave = leave;
    this.#functions["plainOffset"] = (low, high, code) => {
      const { size, access, isAligned } = slowAccessOf(code!);
      const at = unit.plainOffset(size, low!, high!, access, isAligned);
      if (at < 0) leave(null);
      return at;
    };
    this.#functions["plainRange"] = (low, high, code, pc) => {
      const { size, access } = slowAccessOf(code!), at = unit.plainRange(size, low!, high!, access);
      if (at < 0) leave(null);
      if (at < 0 || (!hart.bare && (low! & 4095) + size > 4096)) this.onRangeMissed(pc!, at < 0);
      return at;
    };
    this.#functions["goOnAt"] = (low, high) => hart.setPc(low!, high!);
    this.#functions["leave"] = () => leave(null);
    Object.assign(this.#functions, this.#floatFunctions());
  }

  /** Operations of the floating-point unit: what results must be below after that (`WasmFloatRegisters.pushLimit`), or NaN for a trap. */
  #floatFunctions(): Record<string, ImportedFunction> {
    const floats = this.#floats, { state } = this.#hart.count;
    const trapped = (e: unknown) => {
      this.#leave(e instanceof Exception ? null : e);
      return NaN;
    };
    const limit = (floatState: number) => floatState === READY_STATE ? Infinity : -1;
    return {
      operate: (packed) => {
        const { number, mode, rd, rs1, rs2, rs3 } = unpackOperation(packed!);
        try {
          return limit(floats.operateRegisters(number, mode, rd, rs1, rs2, rs3));
        } catch (e) {
          return trapped(e);
        }
      },
      float: (number, mode, a, aHigh, b, bHigh, c, cHigh) => {
        try {
          state[RESULT] = floats.float(number!, mode!, a!, aHigh!, b!, bHigh!, c!, cHigh!);
          state[RESULT + 1] = HIGH[0]!;
          return limit(floats.state());
        } catch (e) {
          return trapped(e);
        }
      },
    };
  }

  /** The function of a name: one of the hart, or a pure helper. */
  resolve(name: string): ImportedFunction {
    return this.#functions[name] ??= name in pureLibrary ? this.#pure(name) : this.#call(name as HartCall);
  }

  /** A pure helper gives its low half and leaves the high one behind. */
  #pure(name: string): ImportedFunction {
    const helper = pureLibrary[name as keyof typeof pureLibrary] as (...args: number[]) => number;
    const { state } = this.#hart.count;
    return (...args) => {
      const low = helper(...args);
      state[RESULT + 1] = HIGH[0]!;
      return low;
    };
  }

  #call(name: HartCall): ImportedFunction {
    const owner = { unit: this.#unit, floats: this.#floats, hart: this.#hart }[callOwner(name)];
    const { state } = this.#hart.count;
    const target = owner as unknown as Record<string, (...args: (number | undefined)[]) => number | void>;
    const called = target[name]!;
    // Named, since an array of arguments would be made at each call; none has more.
    return (a, b, c, d, e, f) => {
      try {
        const value = called.call(owner, a, b, c, d, e, f);
        state[RESULT] = value ?? 0;
        state[RESULT + 1] = HIGH[0]!;
        return 0;
      } catch (e) {
        this.#leave(e instanceof Exception || e === INTERPRET ? null : e);
        return 1;
      }
    };
  }
}
