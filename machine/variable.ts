// Variables of the guest's program by name, with members, elements and what pointers point to.

import { CPP_LANGUAGES } from "../debug/dwarf/constants.ts";
import { attempt, type Dwarf } from "../debug/dwarf/dwarf.ts";
import { DwarfError } from "../debug/dwarf/cursor.ts";
import { type Context, Unavailable } from "../debug/dwarf/expression.ts";
import { localVariable } from "../debug/dwarf/scopes.ts";
import type { Type } from "../debug/dwarf/types.ts";
import type { Die } from "../debug/dwarf/unit.ts";
import { type Plain, Value } from "../debug/dwarf/value.ts";
import { ValueText } from "../debug/dwarf/value_text.ts";
import { type ScopedFrame, scopedFrames } from "./backtrace.ts";
import { AddressError } from "./errors.ts";
import { locate, staticContext } from "./frame_context.ts";
import { nearest } from "./nearest.ts";
import type { SymbolFile } from "./symbol_file.ts";
import { addressText } from "./symbols.ts";
import type { UnwindTarget } from "./unwind.ts";
import { parsePath, type Step } from "./variable_path.ts";

/**
 * A variable of the guest's program, or a part of one. Reading it has no side effects.
 *
 * @example
 * ```ts
 * import { Machine, type Variable } from "hartbeat";
 *
 * const machine = await Machine.create({ bios: "tests/programs/debug_c_5_0.elf" });
 * const variable: Variable = machine.variable("nodes[1]");
 * console.log(variable.type, variable.size, variable.address, String(variable));
 * ```
 */
export class Variable {
  /** As it was asked for. */
  readonly name: string;
  readonly #value: Value;
  readonly #text: ValueText;

  /** For the machine. */
  constructor(name: string, value: Value, text: ValueText) {
    this.name = name;
    this.#value = value;
    this.#text = text;
  }

  /** Its type as the source writes it: `struct list *`, `core::option::Option<u32>`. */
  get type(): string {
    return this.#value.type.name;
  }
  /** Its size in bytes. */
  get size(): number {
    return this.#value.type.size;
  }
  /** Its virtual address; undefined if it is not in memory, or a bit field. */
  get address(): bigint | undefined {
    return this.#value.bits === undefined ? this.#value.address : undefined;
  }

  /**
   * What it holds now.
   *
   * @throws {AddressError} If it is in memory that is not there, or the debug information is damaged.
   */
  get value(): Plain {
    return explained(this.name, () => {
      const { type } = this.#value, plain = this.#value.plain();
      // Says why; parts of a value are only left out.
      if (plain === undefined && type.kind !== "unknown" && type.kind !== "function") this.#value.bytes(1);
      return plain;
    });
  }

  /** What it holds now, as GDB's `print` writes it. */
  toString(): string {
    return this.#text.print(this.#value);
  }
}

/** Turns errors of debug information into the user's. */
function explained<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof DwarfError) throw new AddressError(`${name}: ${error.message}`);
    throw error;
  }
}

/**
 * Finds a variable: first among those of the function in a frame, then among those of its file, then among all. What has no debug
 * information is a number of its symbol's size.
 *
 * @param text A name (`counter`, `kernel::COUNTER`) with `.member`, `->member`, `[3]`, `*` and `&`, as in C.
 * @param level Number of the frame as in the backtrace.
 * @throws {AddressError} If there is no such variable, member or frame.
 */
export function findVariable(target: UnwindTarget, text: string, level: number): Variable {
  const path = parsePath(text);
  return explained(text, () => {
    const frame = frameAt(target, level), finder = new Finder(target, frame);
    let value = finder.find(path.name);
    for (const step of path.steps) value = follow(value, step, path.name, finder);
    return new Variable(text, value, new ValueText((address) => addressText(target.info.symbols, address)));
  });
}

function frameAt(target: UnwindTarget, level: number): ScopedFrame {
  let count = 0;
  for (const frame of scopedFrames(target)) if (count++ === level) return frame;
  throw new AddressError(`no frame ${level}; the backtrace has ${count}`);
}

/** A type for what has only a symbol. */
function plainType(size: number): Type {
  const known = size === 1 || size === 2 || size === 4 || size === 8;
  const base = { name: "<data variable, no debug info>", size: known ? size : 4, rust: false };
  return { ...base, kind: "integer", signed: false };
}

class Finder {
  readonly #target: UnwindTarget;
  readonly #frame: ScopedFrame;

  constructor(target: UnwindTarget, frame: ScopedFrame) {
    this.#target = target;
    this.#frame = frame;
  }

  find(name: string): Value {
    const value = this.#local(name) ?? this.#global(name) ?? this.#symbol(name);
    if (value !== undefined) return value;
    const split = this.#target.info.files.map(({ dwarf }) => dwarf && attempt(() => dwarf.splitFile)).find((f) => f);
    const why = split === undefined
      ? nearest(name, this.#names())
      : `: its debug information is in files such as ${split}, which hartbeat does not read; compile without -gsplit-dwarf`;
    throw new AddressError(`no variable ${name}${why}`);
  }

  /** A pointer to a value. */
  pointerTo(value: Value): Value {
    if (value.address === undefined || value.bits !== undefined) {
      throw new AddressError("a value that is not in memory has no address");
    }
    const size = this.#target.xlen / 8, bytes = new Uint8Array(size), { address, type } = value;
    bytes.forEach((_, k) => bytes[k] = Number(address >> BigInt(8 * k) & 0xffn));
    const mark = type.name.endsWith("*") ? "*" : " *";
    const pointer: Type = { kind: "pointer", name: type.name + mark, size, rust: type.rust, target: () => type };
    return Value.of(bytes, pointer, {
      addressSize: size as 4 | 8,
      register: () => undefined,
      memory: this.#target.memory,
    });
  }

  #local(name: string): Value | undefined {
    const { scope, context, file, link } = this.#frame, types = file && this.#target.info.types(file);
    if (scope === undefined || context === undefined || types === undefined) return undefined;
    const die = attempt(() => localVariable(scope, name));
    if (die === undefined) return name === "this" ? undefined : this.#memberOfThis(name);
    const value = locate(die, types, context, link);
    if (value === undefined) throw new Unavailable("it is optimised away here");
    return value;
  }

  /** A member of the object whose method is running, as C++ lets one write it. */
  #memberOfThis(name: string): Value | undefined {
    const { scope } = this.#frame, language = scope?.die.unit.language;
    if (language === undefined || !CPP_LANGUAGES.includes(language)) return undefined;
    const object = this.#local("this")?.target();
    if (object === undefined) return undefined;
    for (const { member, value } of object.members()) if (member.name === name) return value;
    return undefined;
  }

  #global(name: string): Value | undefined {
    const { file: own, scope } = this.#frame, near = scope?.die.unit;
    const files = this.#target.info.files,
      sorted = own === undefined ? files : [own, ...files.filter((each) => each !== own)];
    // A name may leave out the namespaces of the function that is running.
    const outer = scope?.name?.replace(/<.*/, "").split("::").slice(0, -1) ?? [];
    const names = outer.map((_, k) => [...outer.slice(0, outer.length - k), name].join("::"));
    for (const file of sorted) {
      const { dwarf } = file;
      if (dwarf === undefined) continue;
      for (const full of [...names, name]) {
        const found = this.#first(file, dwarf.findVariable(full, file === own ? near : undefined));
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  #first(file: SymbolFile, dies: readonly Die[]): Value | undefined {
    const types = this.#target.info.types(file);
    if (types === undefined) return undefined;
    for (const die of dies) {
      const context: Context = { ...staticContext(this.#target, file), unit: die.unit };
      const value = attempt(() => locate(die, types, context, 0n));
      if (value !== undefined) return value;
    }
    return undefined;
  }

  #symbol(name: string): Value | undefined {
    const symbol = this.#target.info.symbols.find(name);
    if (symbol === undefined) return undefined;
    const context: Context = {
      addressSize: this.#target.xlen === 32 ? 4 : 8,
      register: () => undefined,
      memory: this.#target.memory,
    };
    return Value.inMemory(symbol.value, plainType(Number(symbol.size)), context);
  }

  /** Names that could have been meant. */
  #names(): string[] {
    const { scope, dwarf } = this.#frame, names = new Set(this.#target.info.symbols.names());
    for (const block of scope?.blocks ?? []) {
      for (const child of attempt(() => [...block.children()]) ?? []) {
        const name = attempt(() => child.name);
        if (name !== undefined) names.add(name);
      }
    }
    const unit = scope?.die.unit;
    if (dwarf !== undefined && unit !== undefined) {
      for (const name of attempt(() => (dwarf as Dwarf).names(unit).variables.keys()) ?? []) names.add(name);
    }
    return [...names];
  }
}

/** Takes a step from a value. */
function follow(value: Value, step: Step, name: string, finder: Finder): Value {
  switch (step.kind) {
    case "address":
      return finder.pointerTo(value);
    case "target":
      return pointed(value, name, 0);
    case "index": {
      const index = typeof step.index === "number" ? step.index : Number(finder.find(step.index).integer());
      if (value.type.kind === "pointer") return pointed(value, name, index);
      if (value.type.kind !== "array") {
        throw new AddressError(`${value.type.name} is no array, so it has no [${index}]`);
      }
      const { count } = value.type;
      if (index < 0 || (count !== undefined && count > 0 && index >= count)) {
        throw new AddressError(`[${index}] lies outside of ${value.type.name}`);
      }
      return value.element(index);
    }
  }
  const record = value.type.kind === "pointer" || value.type.kind === "reference" ? pointed(value, name, 0) : value;
  return memberOf(record, step.name);
}

function pointed(value: Value, name: string, index: number): Value {
  if (value.type.kind !== "pointer" && value.type.kind !== "reference") {
    throw new AddressError(`${name}: ${value.type.name} is no pointer`);
  }
  const target = value.target(index);
  if (target === undefined) throw new AddressError(`${name}: ${value.type.name} points to no type`);
  return target;
}

function memberOf(value: Value, name: string): Value {
  const { type } = value;
  if (type.kind !== "struct" && type.kind !== "union") {
    throw new AddressError(`${type.name} has no members, so no .${name}`);
  }
  // The fields of a tuple are numbers in Rust, and names in debug information.
  const wanted = /^\d+$/.test(name) ? `__${name}` : name;
  const variant = value.variant(), inside = variant === undefined ? value : value.member(variant);
  if (variant !== undefined && variant.name === wanted) return inside;
  const known: string[] = [];
  for (const { member, value: found } of inside.members()) {
    if (member.name === wanted) return found;
    known.push(member.name);
  }
  if (inside.type.kind === "struct" || inside.type.kind === "union") {
    for (const member of inside.type.members()) if (member.base && member.name === wanted) return inside.member(member);
  }
  throw new AddressError(`${type.name} has no member ${name}${nearest(name, known)}`);
}
