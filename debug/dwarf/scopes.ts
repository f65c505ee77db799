// Functions at an address, inlined ones included, and the variables that can be seen there.

import { AT, TAG } from "./constants.ts";
import { attempt, type Dwarf, qualifiedName } from "./dwarf.ts";
import type { LineRow, SourceFile } from "./line_table.ts";
import { rangesOf } from "./ranges.ts";
import type { Die } from "./unit.ts";

/**
 * A place in a source file.
 *
 * @example
 * ```ts
 * import { Machine, type SourcePosition } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/debug_c_5_0.elf" });
 * const position: SourcePosition | undefined = machine.source(machine.symbols.lookup("main")!);
 * console.log(`${position?.name}:${position?.line}`);
 * ```
 */
export interface SourcePosition {
  /** The file's whole path, as far as the compiler knew it. */
  readonly file: string;
  /** Its path from the folder that the compiler ran in: short, as GDB shows it. */
  readonly name: string;
  /** From 1. */
  readonly line: number;
  /** From 1; 0 if it is not known. */
  readonly column: number;
}

/** A function that an address is in. */
export interface Scope {
  /** The function's or the inlined call's entry. */
  readonly die: Die;
  /** The function as it was compiled, which it is or was inlined into. */
  readonly compiled: Die;
  /** Its name with what it is in. */
  readonly name: string | undefined;
  /** True if it was inlined into the next. */
  readonly inlined: boolean;
  /** Where in it the address is: for those that others were inlined into the call. */
  readonly position: SourcePosition | undefined;
  /** Blocks that hold the address, from the outermost (the function itself) on. */
  readonly blocks: readonly Die[];
}

/** Blocks nested deeper than any that is not damaged. */
const MAX_DEPTH = 256;

function holds(die: Die, pc: bigint): boolean {
  return (attempt(() => rangesOf(die)) ?? []).some(({ low, high }) => low <= pc && pc < high);
}

function position(file: SourceFile | undefined, line: number, column: number): SourcePosition {
  return { file: file?.path ?? "??", name: file?.name ?? "??", line, column };
}

/** The source line of an address; undefined if there is none. */
export function positionAt(dwarf: Dwarf, pc: bigint): SourcePosition | undefined {
  const unit = dwarf.unitAt(pc), table = unit && dwarf.lines(unit), row = table?.at(pc);
  if (table === undefined || row === undefined || row.line === 0) return undefined;
  return position(table.file(row.file), row.line, row.column);
}

/** Where code of a source line begins, in several places if it was inlined or taken apart. */
export interface LineStarts {
  /** Addresses, ascending, each once. */
  readonly addresses: readonly bigint[];
  /** Whether there is a file of that name. */
  readonly fileKnown: boolean;
  /** The next line of such a file that has code; undefined if none has. */
  readonly nextLine: number | undefined;
}

/** Finds the code of a line; `name` is the path of the file, or the last parts of it. */
export function lineStarts(dwarf: Dwarf, name: string, line: number): LineStarts {
  const addresses = new Set<bigint>(), empty = new Set<bigint>();
  let fileKnown = false, nextLine: number | undefined;
  for (const unit of dwarf.units()) {
    const table = attempt(() => dwarf.lines(unit));
    if (table === undefined) continue;
    const named = [...table.files].filter(([, { path }]) => path === name || path.endsWith(`/${name}`));
    if (named.length === 0) continue;
    fileKnown = true;
    const numbers = new Set(named.map(([number]) => number));
    const rows = [...table.rows()];
    let before: LineRow | undefined;
    for (const [k, row] of rows.entries()) {
      const isNamed = numbers.has(row.file) && row.statement;
      if (isNamed && row.line > line && row.line < (nextLine ?? Infinity)) nextLine = row.line;
      // What goes on in the same line begins nothing.
      const goesOn = before !== undefined && before.line === row.line && before.file === row.file;
      const isEmpty = rows[k + 1]?.address === row.address;
      if (isNamed && row.line === line && !goesOn) (isEmpty ? empty : addresses).add(row.address);
      if (!isEmpty) before = row;
    }
  }
  // A line that was optimised away may still be marked where others are.
  return { addresses: [...addresses.size > 0 ? addresses : empty].sort((a, b) => a < b ? -1 : 1), fileKnown, nextLine };
}

function callPosition(dwarf: Dwarf, die: Die): SourcePosition | undefined {
  const line = die.number(AT.callLine), table = dwarf.lines(die.unit);
  if (line === undefined || line === 0) return undefined;
  return position(table?.file(die.number(AT.callFile) ?? -1), line, die.number(AT.callColumn) ?? 0);
}

/** The functions that an address is in, from the innermost inlined one to the one that was compiled; empty if not known. */
export function scopesAt(dwarf: Dwarf, pc: bigint): Scope[] {
  const compiled = dwarf.functionAt(pc);
  if (compiled === undefined) return [];
  const found: { die: Die; blocks: Die[] }[] = [{ die: compiled, blocks: [compiled] }];
  let at: Die | undefined = compiled;
  for (let depth = 0; at !== undefined && depth < MAX_DEPTH; depth++) {
    let inner: Die | undefined;
    for (const child of at.children()) {
      if (child.tag !== TAG.lexicalBlock && child.tag !== TAG.inlinedSubroutine) continue;
      if (!holds(child, pc)) continue;
      inner = child;
      break;
    }
    if (inner?.tag === TAG.inlinedSubroutine) found.push({ die: inner, blocks: [inner] });
    else if (inner !== undefined) found.at(-1)!.blocks.push(inner);
    at = inner;
  }
  return found.map(({ die, blocks }, index): Scope => {
    const inside = found[index + 1];
    return {
      die,
      compiled,
      name: attempt(() => qualifiedName(die)),
      inlined: index > 0,
      position: attempt(() => inside === undefined ? positionAt(dwarf, pc) : callPosition(dwarf, inside.die)),
      blocks,
    };
  }).reverse();
}

/** A function's parameters, in order. */
export function parametersOf(scope: Scope): Die[] {
  return [...scope.die.children()].filter(({ tag }) => tag === TAG.formalParameter);
}

/** The variable or parameter that a name means in a scope: the innermost block's. */
export function localVariable(scope: Scope, name: string): Die | undefined {
  for (const block of scope.blocks.toReversed()) {
    let found: Die | undefined;
    for (const child of block.children()) {
      // A second variable of one name and block hides the first, as `let` of Rust does.
      if ((child.tag === TAG.variable || child.tag === TAG.formalParameter) && child.name === name) found = child;
    }
    if (found !== undefined) return found;
  }
  return undefined;
}
