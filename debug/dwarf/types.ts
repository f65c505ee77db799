// Types of the guest's program, as its debug information describes them.

import { AT, ENCODING, RUST_LANGUAGE, TAG } from "./constants.ts";
import { attempt, type Dwarf, qualifiedName } from "./dwarf.ts";
import { evaluateValue } from "./expression.ts";
import type { Die } from "./unit.ts";

/** What all types have. */
interface TypeBase {
  /** As the source writes it: `unsigned int`, `struct list *`, `core::option::Option<u32>`. */
  readonly name: string;
  /** In bytes; 0 if it is not known. */
  readonly size: number;
  /** True if the source is Rust. */
  readonly rust: boolean;
}

/** Numbers, characters, truth values. */
export interface BaseType extends TypeBase {
  readonly kind: "integer" | "float" | "boolean" | "character";
  readonly signed: boolean;
}

/** Pointers and references. */
export interface PointerType extends TypeBase {
  readonly kind: "pointer" | "reference";
  /** What it points to; undefined: nothing that has a type (`void`). */
  readonly target: () => Type | undefined;
}

/** Structures, classes and unions. */
export interface RecordType extends TypeBase {
  readonly kind: "struct" | "union";
  readonly members: () => readonly Member[];
  /** Of an enumeration of Rust. */
  readonly variants: () => Variants | undefined;
}

/** A member of a record. */
export interface Member {
  /** Empty: what it holds counts as the record's own. */
  readonly name: string;
  readonly type: () => Type;
  /** From the start of the record, in bytes. */
  readonly offset: number;
  /** Of a bit field: its lowest bit counted from the start of the record, and how many there are. */
  readonly bits?: { readonly first: number; readonly count: number };
  /** True for what a class inherits. */
  readonly base: boolean;
}

/** The variants of an enumeration of Rust. */
export interface Variants {
  /** Holds the number that says which variant it is; undefined where there is only one. */
  readonly discriminant: Member | undefined;
  readonly all: readonly { readonly values: readonly bigint[] | undefined; readonly member: Member }[];
}

/** Enumerations. */
export interface EnumType extends TypeBase {
  readonly kind: "enum";
  readonly signed: boolean;
  readonly enumerators: () => ReadonlyMap<bigint, string>;
}

/** Arrays; those of several dimensions are arrays of arrays. */
export interface ArrayType extends TypeBase {
  readonly kind: "array";
  readonly element: () => Type;
  /** Undefined if it is not known, as of `extern int a[]`. */
  readonly count: number | undefined;
}

/** Functions, which only pointers lead to, and what is not understood. */
export interface OtherType extends TypeBase {
  readonly kind: "function" | "unknown";
}

/** A type without `typedef`, `const` and their like; the name still has them. */
export type Type = BaseType | PointerType | RecordType | EnumType | ArrayType | OtherType;

/** Types wrapped in one another deeper than any that is not damaged. */
const MAX_DEPTH = 64;

const QUALIFIERS: ReadonlyMap<number, string> = new Map<number, string>([
  ...[[TAG.constType, "const "], [TAG.volatileType, "volatile "], [TAG.restrictType, "restrict "]] as const,
  ...[[TAG.atomicType, "_Atomic "], [TAG.immutableType, ""]] as const,
]);

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** Makes types of entries, each once. */
export class Types {
  readonly #dwarf: Dwarf;
  readonly #pointerSize: 4 | 8;
  readonly #made = new Map<string, Type>();

  constructor(dwarf: Dwarf, pointerSize: 4 | 8) {
    this.#dwarf = dwarf;
    this.#pointerSize = pointerSize;
  }

  /** The type of a variable, parameter or member; undefined for none (`void`). */
  of(die: Die): Type | undefined {
    for (const origin of die.origins()) {
      const type = attempt(() => origin.reference(AT.type));
      if (type !== undefined) return this.type(type);
      if (origin.has(AT.type)) return this.#unknown("<unknown type>");
    }
    return undefined;
  }

  /** A pointer to a type. */
  pointerTo(target: Type): PointerType {
    return {
      kind: "pointer",
      name: pointerName(target.name, "*"),
      size: this.#pointerSize,
      rust: target.rust,
      target: () => target,
    };
  }

  /** The type that an entry describes. */
  type(die: Die, depth = 0): Type {
    const { section } = die.unit.header, key = `${section.name}${die.offset}`, known = this.#made.get(key);
    if (known !== undefined) return known;
    const made = attempt(() => this.#make(die, depth)) ?? this.#unknown(attempt(() => die.name) ?? "<unknown type>");
    this.#made.set(key, made);
    return made;
  }

  #unknown(name: string): Type {
    return { kind: "unknown", name, size: 0, rust: false };
  }

  #make(die: Die, depth: number): Type {
    if (depth > MAX_DEPTH) return this.#unknown("<unknown type>");
    const rust = die.unit.language === RUST_LANGUAGE, size = die.number(AT.byteSize) ?? 0;
    const inner = () => {
      const target = die.reference(AT.type);
      return target === undefined ? undefined : this.type(target, depth + 1);
    };
    const qualifier = QUALIFIERS.get(die.tag);
    if (qualifier !== undefined) {
      const type = inner() ?? { ...this.#unknown("void"), rust };
      const after = type.kind === "pointer" && !rust;
      return { ...type, name: after ? `${type.name} ${qualifier.trim()}` : qualifier + type.name };
    }
    switch (die.tag) {
      case TAG.baseType:
        return { ...base(die.number(AT.encoding) ?? 0), name: die.name ?? "?", size, rust };
      case TAG.typedef: {
        const type = inner() ?? { ...this.#unknown("void"), rust };
        return { ...type, name: qualifiedName(die) ?? type.name };
      }
      case TAG.pointerType:
      case TAG.referenceType:
      case TAG.rvalueReference: {
        const kind = die.tag === TAG.pointerType ? "pointer" : "reference", target = once(inner);
        // The target may lead back here, so its name is taken from the entry.
        const mark = kind === "pointer" ? "*" : die.tag === TAG.referenceType ? "&" : "&&";
        const name = (rust ? die.name : undefined) ??
          pointerName(this.#nameOf(die.reference(AT.type), depth + 1), mark);
        return { kind, name, size: size || this.#pointerSize, rust, target };
      }
      case TAG.structureType:
      case TAG.classType:
      case TAG.interfaceType:
      case TAG.unionType:
        return this.#record(this.#complete(die), rust);
      case TAG.enumerationType:
        return this.#enumeration(this.#complete(die), rust);
      case TAG.arrayType:
        return this.#array(die, rust, depth);
      case TAG.subroutineType:
      case TAG.subprogram:
        return { kind: "function", name: this.#nameOf(die, depth), size: 0, rust };
      case TAG.unspecifiedType:
        return { kind: "unknown", name: die.name ?? "void", size: 0, rust };
    }
    return this.#unknown(die.name ?? "<unknown type>");
  }

  /** The name of a type without making it. */
  #nameOf(die: Die | undefined, depth: number): string {
    if (die === undefined) return "void";
    if (depth > MAX_DEPTH) return "…";
    const target = () => this.#nameOf(die.reference(AT.type), depth + 1);
    const qualifier = QUALIFIERS.get(die.tag);
    if (qualifier !== undefined) {
      const name = target();
      return name.endsWith("*") ? `${name} ${qualifier.trim()}` : qualifier + name;
    }
    switch (die.tag) {
      case TAG.pointerType:
        return (die.unit.language === RUST_LANGUAGE ? die.name : undefined) ?? pointerName(target(), "*");
      case TAG.referenceType:
        return pointerName(target(), "&");
      case TAG.rvalueReference:
        return pointerName(target(), "&&");
      case TAG.arrayType:
        return `${target()} []`;
      case TAG.subroutineType: {
        const parameters = [...die.children()].filter(({ tag }) => tag === TAG.formalParameter);
        const names = parameters.map((each) => this.#nameOf(each.reference(AT.type), depth + 1));
        const open = [...die.children()].some(({ tag }) => tag === TAG.unspecifiedParameters);
        return `${target()} (${[...names, ...open ? ["..."] : []].join(", ") || "void"})`;
      }
    }
    return recordName(die);
  }

  /** The whole type where an entry only says that there is one. */
  #complete(die: Die): Die {
    const signature = die.reference(AT.signature);
    if (signature !== undefined) return signature;
    const name = die.has(AT.declaration) ? qualifiedName(die) : undefined;
    if (name === undefined) return die;
    const found = this.#dwarf.findType(name, die.unit);
    return found.find(({ tag }) => tag === die.tag) ?? found[0] ?? die;
  }

  #record(die: Die, rust: boolean): RecordType {
    const kind = die.tag === TAG.unionType ? "union" : "struct";
    const members = once(() =>
      [...die.children()].filter((child) =>
        child.tag === TAG.inheritance ||
        (child.tag === TAG.member && !child.has(AT.external) && !child.has(AT.declaration))
      ).map((child) => this.#member(child))
    );
    const variants = once(() => {
      const part = [...die.children()].find(({ tag }) => tag === TAG.variantPart);
      return part && this.#variants(part);
    });
    return { kind, name: recordName(die), size: die.number(AT.byteSize) ?? 0, rust, members, variants };
  }

  #member(die: Die): Member {
    const type = once(() => this.of(die) ?? this.#unknown("void")), base = die.tag === TAG.inheritance;
    const where = die.raw(AT.dataMemberLocation)?.value;
    const offset = where instanceof Uint8Array
      ? Number(evaluateValue(where, { addressSize: 8, register: () => undefined, memory: () => undefined }, [0n]).bits)
      : Number(where ?? 0);
    const count = die.number(AT.bitSize), name = base ? recordName(die.reference(AT.type) ?? die) : die.name ?? "";
    if (count === undefined) return { name, type, offset, base };
    const first = die.number(AT.dataBitOffset), old = die.number(AT.bitOffset);
    // Up to version 3 bits were counted from the highest of a storage unit.
    const unit = 8 * (die.number(AT.byteSize) ?? type().size);
    const low = first ?? 8 * offset + (old === undefined ? 0 : unit - old - count);
    return { name, type, offset, bits: { first: low, count }, base };
  }

  #variants(part: Die): Variants {
    const discriminant = part.reference(AT.discr);
    const all = [...part.children()].filter(({ tag }) => tag === TAG.variant).flatMap((variant) => {
      const member = [...variant.children()].find(({ tag }) => tag === TAG.member);
      const value = variant.constant(AT.discrValue);
      return member === undefined
        ? []
        : [{ values: value === undefined ? undefined : [value], member: this.#member(member) }];
    });
    return { discriminant: discriminant && this.#member(discriminant), all };
  }

  #enumeration(die: Die, rust: boolean): EnumType {
    const size = die.number(AT.byteSize) ?? 4, underlying = die.reference(AT.type);
    const enumerators = once(() => {
      const found = new Map<bigint, string>();
      for (const child of die.children()) {
        const value = child.tag === TAG.enumerator ? child.constant(AT.constValue) : undefined;
        // As unsigned bits, whatever form they were written in.
        const bits = value === undefined ? undefined : BigInt.asUintN(8 * size, value);
        if (bits !== undefined && !found.has(bits)) found.set(bits, child.name ?? "?");
      }
      return found;
    });
    const type = underlying && this.type(underlying), signed = type?.kind === "integer" && type.signed;
    return { kind: "enum", name: recordName(die), size, rust, signed, enumerators };
  }

  #array(die: Die, rust: boolean, depth: number): Type {
    const element = die.reference(AT.type);
    const counts = [...die.children()].filter(({ tag }) => tag === TAG.subrangeType).map((range) => {
      const count = range.raw(AT.count) ?? range.raw(AT.upperBound);
      if (count === undefined || count.value instanceof Uint8Array || typeof count.value === "string") return undefined;
      const value = range.has(AT.count) ? Number(count.value) : Number(BigInt.asIntN(64, BigInt(count.value))) + 1;
      return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
    });
    if (counts.length === 0) counts.push(undefined);
    let type: Type = element === undefined ? this.#unknown("void") : this.type(element, depth + 1);
    const { name } = type;
    counts.toReversed().forEach((count, k) => {
      const inner = type, dimensions = counts.slice(counts.length - 1 - k).map((each) => `[${each ?? ""}]`).join("");
      const written = rust ? `[${inner.name}; ${count ?? "_"}]` : `${name} ${dimensions}`;
      type = { kind: "array", name: written, size: inner.size * (count ?? 0), rust, count, element: () => inner };
    });
    return type;
  }
}

function base(encoding: number): { kind: BaseType["kind"]; signed: boolean } {
  switch (encoding) {
    case ENCODING.boolean:
      return { kind: "boolean", signed: false };
    case ENCODING.float:
      return { kind: "float", signed: true };
    case ENCODING.signed:
      return { kind: "integer", signed: true };
    case ENCODING.signedChar:
      return { kind: "character", signed: true };
    case ENCODING.unsignedChar:
    case ENCODING.utf:
      return { kind: "character", signed: false };
  }
  return { kind: "integer", signed: false };
}

/** A pointer's or reference's name, as C writes it; the mark of one to a function goes inside. */
function pointerName(target: string, mark: string): string {
  const call = / \(.*\)$/.exec(target);
  if (call !== null && !target.includes("(*")) return `${target.slice(0, call.index)} (${mark})${call[0].slice(1)}`;
  return target.endsWith("*") ? `${target}${mark}` : `${target} ${mark}`;
}

/** A record's or enumeration's name, with C's keyword where the language needs it. */
function recordName(die: Die): string {
  const name = qualifiedName(die) ?? "{...}";
  if (!C_LANGUAGES.has(die.unit.language)) return name;
  switch (die.tag) {
    case TAG.structureType:
      return `struct ${name}`;
    case TAG.unionType:
      return `union ${name}`;
    case TAG.enumerationType:
      return `enum ${name}`;
  }
  return name;
}

/** C in its versions. */
const C_LANGUAGES: ReadonlySet<number> = new Set([0x01, 0x02, 0x0c, 0x1d, 0x2c]);
