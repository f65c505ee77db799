// A hart's backtrace: its frames with function, source line and arguments, inlined functions included.

import { attempt, type Dwarf } from "../debug/dwarf/dwarf.ts";
import type { Context } from "../debug/dwarf/expression.ts";
import { parametersOf, type Scope, scopesAt, type SourcePosition } from "../debug/dwarf/scopes.ts";
import { ValueText } from "../debug/dwarf/value_text.ts";
import { addressText } from "./symbols.ts";
import { frameContext, locate } from "./frame_context.ts";
import type { SymbolFile } from "./symbol_file.ts";
import { unwind, type UnwindTarget, type UnwoundFrame } from "./unwind.ts";

/**
 * An argument of a function.
 *
 * @example
 * ```ts
 * import { Machine, type FrameArgument } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/debug_c_5_0.elf" });
 * await machine.run({ until: "main" });
 * const text = ({ name, text }: FrameArgument) => `${name}=${text}`;
 * for (const frame of machine.backtrace().frames) console.log(`${frame.function}(${frame.arguments.map(text)})`);
 * ```
 */
export interface FrameArgument {
  /** The parameter's name. */
  readonly name: string;
  /** Its value as GDB writes it: `5`, `0x80001000 <table>`, `...` for a structure, `<optimized out>`. */
  readonly text: string;
}

/**
 * A frame of a backtrace.
 *
 * @example
 * ```ts
 * import { Machine, type Frame } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * await machine.run({ until: "trap" });
 * const [frame]: readonly Frame[] = machine.backtrace().frames;
 * console.log(frame?.function, frame?.pc);
 * ```
 */
export interface Frame {
  /** 0 is the innermost. */
  readonly level: number;
  /** Address of the next instruction; in callers where the call returns to. */
  readonly pc: bigint;
  /** Stack pointer; undefined if it is not known. */
  readonly sp: bigint | undefined;
  /** Name of the function; undefined if no symbol says it. */
  readonly function: string | undefined;
  /** Where in the source the function is: in callers the call. Undefined without debug information. */
  readonly source: SourcePosition | undefined;
  /** Parameters with their values; empty without debug information. */
  readonly arguments: readonly FrameArgument[];
  /** True if the compiler put the function into the one of the next frame. */
  readonly inlined: boolean;
  /** True if a trap entered the function: the next frame is what it interrupted. */
  readonly trap: boolean;
}

/**
 * The functions that a hart is in, from the innermost on.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/kernel.elf" });
 * await machine.run({ until: "print" });
 * console.log(String(machine.backtrace()));
 * ```
 */
export class Backtrace implements Iterable<Frame> {
  /** The frames, at least one. */
  readonly frames: readonly Frame[];
  readonly #xlen: 32 | 64;

  /** For the machine. */
  constructor(frames: readonly Frame[], xlen: 32 | 64) {
    this.frames = frames;
    this.#xlen = xlen;
  }

  /** The frames. */
  [Symbol.iterator](): Iterator<Frame> {
    return this.frames[Symbol.iterator]();
  }

  /**
   * A line for each frame, as GDB's `bt` writes it: `#1  0x80000010 in main (argc=1) at main.c:10`. A function that another was
   * inlined into has no address of its own; a line `<trap>` stands before what a trap interrupted.
   */
  toString(): string {
    return this.frames.flatMap((frame, index) => {
      const outer = this.frames[index - 1]?.inlined ?? false;
      const place = outer ? "" : `0x${frame.pc.toString(16).padStart(this.#xlen / 4, "0")} in `;
      const list = frame.arguments.map(({ name, text }) => `${name}=${text}`).join(", ");
      const at = frame.source === undefined ? "" : ` at ${frame.source.name}:${frame.source.line}`;
      const line = `#${String(frame.level).padEnd(2)} ${place}${frame.function ?? "??"} (${list})${at}`;
      return frame.trap ? [line, "    <trap>"] : [line];
    }).join("\n");
  }
}

/** A frame with what its variables are found by. */
export interface ScopedFrame {
  readonly unwound: UnwoundFrame;
  readonly file: SymbolFile | undefined;
  readonly dwarf: Dwarf | undefined;
  readonly scope: Scope | undefined;
  /** `lookup` as the file was linked. */
  readonly link: bigint;
  /** What variables are evaluated with; undefined without debug information. */
  readonly context: Context | undefined;
  /** True if this is the last of the functions that were inlined at one place, the one that was compiled. */
  readonly outermost: boolean;
}

/** All frames, those of inlined functions included. */
export function* scopedFrames(target: UnwindTarget): Generator<ScopedFrame> {
  const unwound = unwind(target);
  let next = unwound.next();
  while (!next.done) {
    const frame: UnwoundFrame = next.value;
    // The caller is needed for what a variable was when its function was entered.
    next = unwound.next();
    const caller = next.done ? undefined : next.value;
    const found = target.info.at(frame.lookup), dwarf = found?.file.dwarf;
    const scopes = dwarf === undefined ? [] : attempt(() => scopesAt(dwarf, found!.link)) ?? [];
    const base = { unwound: frame, file: found?.file, dwarf, link: found?.link ?? frame.lookup };
    if (scopes.length === 0) yield { ...base, scope: undefined, context: undefined, outermost: true };
    for (const [index, scope] of scopes.entries()) {
      const context = frameContext(target, base, scope, caller);
      yield { ...base, scope, context, outermost: index === scopes.length - 1 };
    }
  }
}

/** Makes a backtrace. */
export function backtrace(target: UnwindTarget): Backtrace {
  const { symbols } = target.info, frames: Frame[] = [];
  for (const { unwound, file, scope, link, context, outermost } of scopedFrames(target)) {
    const text = new ValueText((address) => addressText(symbols, address));
    const types = file && target.info.types(file);
    const parameters = scope === undefined || context === undefined || types === undefined
      ? []
      : (attempt(() => parametersOf(scope)) ?? []).map((die): FrameArgument => {
        const value = attempt(() => locate(die, types, context, link));
        return {
          name: attempt(() => die.name) ?? "?",
          text: value === undefined ? "<optimized out>" : text.argument(value),
        };
      });
    frames.push({
      level: frames.length,
      pc: unwound.pc,
      sp: unwound.register(2),
      function: scope?.name ?? symbols.at(unwound.lookup)?.name,
      source: scope?.position ?? (scope === undefined ? target.info.source(unwound.lookup) : undefined),
      arguments: parameters,
      inlined: scope?.inlined ?? false,
      trap: unwound.trap && outermost,
    });
  }
  return new Backtrace(frames, target.xlen);
}
