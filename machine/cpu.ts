// The CPUs there are, and how the texts that users write for them are read: a model, and properties that are extensions.

import { COMPATIBLE, type Extension, EXTENSIONS, partsOf, withImplied } from "../isa/extensions.ts";
import { OptionError } from "./errors.ts";
import { nearest } from "./nearest.ts";

/** A CPU as options describe it. */
export interface CpuModel {
  readonly xlen: 32 | 64;
  readonly extensions: ReadonlySet<Extension>;
  /** Whether it has physical memory protection. */
  readonly pmp: boolean;
  /** Bits of the largest virtual addresses: 32 on RV32, 39, 48 or 57 on RV64; 0 if addresses are never translated. */
  readonly addressBits: number;
}

/** What a name stands for. */
interface Model {
  readonly help: string;
  /** Absent: that of the program, else 64. */
  readonly xlen?: 32 | 64;
  /** Absent: everything that is on by default. */
  readonly extensions?: readonly Extension[];
  /** Absent: the most there is. */
  readonly addressBits?: number;
}

const MACHINE_BASE = ["I", "Zicsr", "Zifencei"] as const;
const COUNTERS = ["Zicntr", "Zihpm"] as const;
const IMAC = [...MACHINE_BASE, ...COUNTERS, "M", "A", "C"] as const;
const GC = [...IMAC, "F", "D"] as const;
const RVA22U64 = [
  ...["I", "M", "A", "F", "D", "C", "Zicsr", "Zicntr", "Zihpm", "Zihintpause", "Zba", "Zbb", "Zbs", "Zfhmin", "Zkt"],
  ...["Zicbom", "Zicbop", "Zicboz", "Ziccif", "Ziccrse", "Ziccamoa", "Zicclsm", "Za64rs", "Zic64b"],
] as readonly Extension[];
const RVA22S64 = [
  ...RVA22U64,
  ...["S", "Zifencei", "Svade", "Svpbmt", "Svinval", "Ssccptr", "Sscounterenw", "Sstvala", "Sstvecd"],
] as readonly Extension[];

/** By name: QEMU's, as far as hartbeat has what they have. */
const MODELS: Readonly<Record<string, Model>> = {
  rv32: { help: "32-bit hart with everything that hartbeat implements", xlen: 32 },
  rv64: { help: "64-bit hart with everything that hartbeat implements", xlen: 64 },
  max: { help: "rv32 or rv64, as the program is" },
  any: { help: "the same" },
  rv32i: { help: "RV32I and what properties add", xlen: 32, extensions: ["I"] },
  rv64i: { help: "RV64I and what properties add", xlen: 64, extensions: ["I"] },
  rv32e: { help: "RV32E (16 registers) and what properties add", xlen: 32, extensions: ["I", "E"] },
  rv64e: { help: "RV64E (16 registers) and what properties add", xlen: 64, extensions: ["I", "E"] },
  rva22u64: { help: "what the profile RVA22U64 demands", xlen: 64, extensions: RVA22U64 },
  rva22s64: { help: "what the profile RVA22S64 demands", xlen: 64, extensions: RVA22S64, addressBits: 39 },
  "sifive-e31": { help: "RV32IMAC, machine and user mode", xlen: 32, extensions: IMAC },
  "sifive-e34": { help: "RV32IMAFC, machine and user mode", xlen: 32, extensions: [...IMAC, "F"] },
  "sifive-e51": { help: "RV64IMAC, machine and user mode", xlen: 64, extensions: IMAC },
  "sifive-u34": { help: "RV32GC with supervisor mode", xlen: 32, extensions: [...GC, "S"] },
  "sifive-u54": { help: "RV64GC with supervisor mode, Sv39", xlen: 64, extensions: [...GC, "S"], addressBits: 39 },
  "shakti-c": { help: "RV64GC with supervisor mode, Sv39", xlen: 64, extensions: [...GC, "S"], addressBits: 39 },
  "lowrisc-ibex": {
    help: "RV32IMC, machine and user mode, Smepmp",
    xlen: 32,
    extensions: [...MACHINE_BASE, ...COUNTERS, "M", "C", "Smepmp"],
  },
  "thead-c906": {
    help: "RV64GC with Zfh and supervisor mode, Sv39; without the vendor's own instructions",
    xlen: 64,
    extensions: [...GC, "S", "Zfh"],
    addressBits: 39,
  },
  "veyron-v1": {
    help:
      "RV64GC with bit manipulation, cache blocks, Sstc, Svinval, Svnapot, Svpbmt, Sv48; without hypervisor and AIA",
    xlen: 64,
    extensions: [
      ...[...GC, "S", "Zicbom", "Zicboz", "Zba", "Zbb", "Zbc", "Zbs", "Sstc", "Svinval", "Svnapot", "Svpbmt"] as const,
    ],
    addressBits: 48,
  },
};

/** Names of QEMU's that stand for what hartbeat has not, and why. */
const OTHERS: Readonly<Record<string, string>> = {
  "rva23u64": "RVA23 demands vectors, which hartbeat has not; rva22u64 comes nearest",
  "rva23s64": "RVA23 demands vectors and a hypervisor, which hartbeat has not; rva22s64 comes nearest",
  "x-rv128": "there are no 128-bit harts; write rv64",
  "host": "there is no host to be like; write rv64",
};

/** CPU models with a line for `-cpu help`. */
export const CPU_MODELS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(MODELS).map(([name, { help }]) => [name, help]),
);

/** Names by which `-cpu` properties know the extensions: QEMU's, which are the manual's in small letters. */
const PROPERTIES = new Map<string, Extension>(EXTENSIONS.map((name) => [name.toLowerCase(), name]));

/**
 * Extensions that a hart has only on request, as in QEMU: parts of others, what changes how software without them behaves, and
 * what operating systems use where they see it though older firmware has not allowed it (seed).
 */
const ON_REQUEST: readonly Extension[] = [
  "Zmmul",
  "Zkr",
  "Svade",
  "Smepmp",
  "Smstateen",
  "Ssstateen",
  "Smmpm",
  "Smnpm",
  "Ssnpm",
];

/** Extensions that a hart has unless they are switched off. Zcf is for RV32 only, as its encodings are others' on RV64. */
function defaultExtensions(xlen: 32 | 64): Set<Extension> {
  const extensions = new Set<Extension>(COMPATIBLE);
  for (const name of ON_REQUEST) extensions.delete(name);
  if (xlen === 64) extensions.delete("Zcf");
  return extensions;
}

/** Properties that say how large virtual addresses may be. */
const ADDRESS_BITS: Readonly<Record<string, number>> = { sv32: 32, sv39: 39, sv48: 48, sv57: 57 };

/** Extensions of RV64 only. */
const POINTER_MASKING: readonly string[] = ["smmpm", "smnpm", "ssnpm"];

const BITS_FOR_CRYPTOGRAPHY = ["Zbkb", "Zbkc", "Zbkx"] as const;
const NIST_SUITE = [...BITS_FOR_CRYPTOGRAPHY, "Zknd", "Zkne", "Zknh"] as const;

/** Properties that stand for several extensions: shorthands of the manual, and names that QEMU 7.2 has for extensions. */
const SHORTHANDS: Readonly<Record<string, readonly Extension[]>> = {
  g: ["I", "M", "A", "F", "D", "Zicsr", "Zifencei"],
  zkn: NIST_SUITE,
  zks: [...BITS_FOR_CRYPTOGRAPHY, "Zksed", "Zksh"],
  zk: [...NIST_SUITE, "Zkr", "Zkt"],
  epmp: ["Smepmp"],
  debug: ["Sdtrig"],
};

/** Properties of QEMU 7.2's CPUs for what hartbeat has not: they may be switched off. */
const ABSENT: ReadonlySet<string> = new Set(
  "h v zve32f zve64f sscofpmf smaia ssaia j xventanacondops".split(" "),
);

/** Names of the properties for physical memory protection and for address translation, which are no extensions. */
const PMP = "pmp", MMU = "mmu";

/** What `-cpu` can switch, by the names it knows it by. */
export const CPU_PROPERTIES: readonly string[] = [
  ...PROPERTIES.keys(),
  ...Object.keys(SHORTHANDS),
  ...[PMP, MMU],
  ...Object.keys(ADDRESS_BITS),
];

/**
 * Reads a `-cpu` text: a model and `,extension=on|off` or `,extension` / `,+extension` / `,-extension`. `usual` is the width
 * where the model does not say it.
 *
 * @throws {OptionError} Naming the nearest model, property or value.
 */
export function parseCpu(text: string, usual: 32 | 64 = 64): CpuModel {
  const [name = "", ...properties] = text.split(",");
  if (Object.hasOwn(OTHERS, name)) throw new OptionError(`-cpu ${name}: ${OTHERS[name]}`);
  if (!Object.hasOwn(MODELS, name)) {
    throw new OptionError(`-cpu ${name}: no such CPU${nearest(name, Object.keys(MODELS))}`);
  }
  const model = MODELS[name]!, xlen = model.xlen ?? usual;
  const extensions = model.extensions === undefined ? defaultExtensions(xlen) : withImplied(model.extensions);
  let pmp = true, addressBits = model.addressBits ?? (xlen === 32 ? 32 : 57), wanted = 0;
  for (const property of properties) {
    const { key, on } = readProperty(text, name, property);
    const extension = PROPERTIES.get(key), named = extension === undefined ? SHORTHANDS[key] ?? [] : [extension];
    const bits = ADDRESS_BITS[key];
    if (key === PMP) pmp = on;
    else if (key === MMU) addressBits = on ? addressBits : 0;
    else if (bits !== undefined) {
      if ((bits === 32) !== (xlen === 32)) {
        if (on) throw new OptionError(`-cpu ${text}: rv${xlen} has no ${key}`);
      } else if (on) wanted = Math.max(wanted, bits);
      else addressBits = Math.min(addressBits, bits === 57 ? 48 : bits === 48 ? 39 : 0);
    } else if (!on) named.forEach((each) => removeWithDependents(extensions, each));
    else if (xlen === 32 && POINTER_MASKING.includes(key)) {
      throw new OptionError(`-cpu ${text}: only rv64 can have ${key}`);
    } else if (extension === "Zcf" && xlen === 64) throw new OptionError(`-cpu ${text}: only rv32 can have zcf`);
    else addExtensions(extensions, named);
  }
  if (wanted > 0) addressBits = wanted;
  if (extensions.has("C")) {
    if (extensions.has("F") && xlen === 32) extensions.add("Zcf");
    if (extensions.has("D")) extensions.add("Zcd");
  }
  // Somebody must set A and D.
  if (extensions.has("S") && !extensions.has("Svadu")) extensions.add("Svade");
  if (!extensions.has("I")) throw new OptionError(`-cpu ${text}: every hart has i; it cannot be off`);
  return { xlen, extensions, pmp, addressBits: extensions.has("S") ? addressBits : 0 };
}

/** One property of a `-cpu` text: its name in small letters, and whether it is switched on. */
function readProperty(text: string, model: string, property: string): { key: string; on: boolean } {
  const [name = "", value = "on"] = property.split("=");
  const key = name.replace(/^[+-]/, "").replace(/^x-/, "").toLowerCase(), absent = ABSENT.has(key);
  if (!absent && !CPU_PROPERTIES.includes(key)) {
    throw new OptionError(`-cpu ${model},${property}: no property ${name}${nearest(key, CPU_PROPERTIES)}`);
  }
  const says = { on: true, true: true, yes: true, off: false, false: false, no: false }[value.toLowerCase()];
  if (says === undefined) throw new OptionError(`-cpu ${text}: ${value} is neither on nor off`);
  const on = says && !name.startsWith("-");
  if (absent && on) {
    throw new OptionError(`-cpu ${model},${property}: hartbeat does not have ${key}; it can only be off`);
  }
  return { key, on };
}

/** Extensions of which a hart has one or the other: the later property decides. */
const EXCLUSIVE: readonly (readonly [Extension, Extension])[] = [["F", "Zfinx"], ["Zcd", "Zcmp"], ["Zcd", "Zcmt"]];

/** Adds extensions with what they bring, in place of those that cannot be with them. */
function addExtensions(extensions: Set<Extension>, added: readonly Extension[]): void {
  const all = withImplied(added);
  for (const [one, other] of EXCLUSIVE) {
    if (all.has(one)) removeWithDependents(extensions, other);
    else if (all.has(other)) removeWithDependents(extensions, one);
  }
  for (const name of all) extensions.add(name);
}

/** Removes an extension, its parts, and what cannot be without it. */
function removeWithDependents(extensions: Set<Extension>, removed: Extension): void {
  for (const part of partsOf(removed)) extensions.delete(part);
  // With F and D, C is not whole without its parts for them (unprivileged manual, "Zc*").
  if ((removed === "Zcf" || removed === "Zcd") && extensions.has(removed)) extensions.delete("C");
  extensions.delete(removed);
  for (const other of [...extensions]) {
    const needs = withImplied([other]);
    if ([...needs].some((name) => !extensions.has(name))) extensions.delete(other);
  }
}
