// The extensions there are, which ones bring which others, and the ISA string that names a set of them.

/** Extensions that can be named; single letters are the manual's, lower-case names follow the unprivileged manual. */
export const EXTENSIONS = [
  ..."I E M A F D C S".split(" "),
  ..."Zicsr Zifencei Zicntr Zihpm Zihintpause Zihintntl Zimop Zcmop Zicond".split(" "),
  ..."Zicbom Zicbop Zicboz".split(" "),
  ..."Zmmul Zalrsc Zaamo Zabha Zacas Zawrs Zca Zcb Zcmp Zcmt Zba Zbb Zbc Zbs Zbkb Zbkc Zbkx".split(" "),
  ..."Zknd Zkne Zknh Zkr Zksed Zksh Zkt".split(" "),
  ..."Zfh Zfhmin Zfa Zcf Zcd Zfinx Zdinx Zhinx Zhinxmin".split(" "),
  // What names nothing to switch, but how a hart does what others leave open (profiles manual, "Extensions Introduced …").
  ..."Zic64b Ziccamoa Ziccif Zicclsm Ziccrse Za64rs Ssccptr Sscounterenw Sstvala Sstvecd Svvptc".split(" "),
  ..."Smstateen Ssstateen Smmpm Smnpm Ssnpm Sdtrig Sstc Svade Svadu Svinval Svnapot Svpbmt Smepmp".split(" "),
] as const as readonly Extension[];

/** Name of an extension. */
export type Extension =
  | ("I" | "E" | "M" | "A" | "F" | "D" | "C" | "S")
  | ("Zicsr" | "Zifencei" | "Zicntr" | "Zihpm" | "Zihintpause" | "Zihintntl" | "Zimop" | "Zcmop" | "Zicond")
  | ("Zicbom" | "Zicbop" | "Zicboz" | "Zmmul")
  | ("Zalrsc" | "Zaamo" | "Zabha" | "Zacas" | "Zawrs" | "Zca" | "Zcb" | "Zcmp" | "Zcmt")
  | ("Zba" | "Zbb" | "Zbc" | "Zbs" | "Zbkb" | "Zbkc" | "Zbkx")
  | ("Zknd" | "Zkne" | "Zknh" | "Zkr" | "Zksed" | "Zksh" | "Zkt")
  | ("Zfh" | "Zfhmin" | "Zfa" | "Zcf" | "Zcd" | "Zfinx" | "Zdinx" | "Zhinx" | "Zhinxmin")
  | ("Zic64b" | "Ziccamoa" | "Ziccif" | "Zicclsm" | "Ziccrse" | "Za64rs")
  | ("Ssccptr" | "Sscounterenw" | "Sstvala" | "Sstvecd" | "Svvptc")
  | ("Smstateen" | "Ssstateen" | "Smmpm" | "Smnpm" | "Ssnpm")
  | ("Sdtrig" | "Sstc" | "Svade" | "Svadu" | "Svinval" | "Svnapot" | "Svpbmt" | "Smepmp");

/** Extensions that a hart has in place of others: registers and encodings are the same. */
export const ALTERNATIVES: readonly Extension[] = ["E", "Zfinx", "Zdinx", "Zhinx", "Zhinxmin", "Zcmp", "Zcmt"];

/** The extensions that a hart can have together, which are all others. */
export const COMPATIBLE: readonly Extension[] = EXTENSIONS.filter((name) => !ALTERNATIVES.includes(name));

/** What an extension brings with it. */
const IMPLIES: Partial<Record<Extension, readonly Extension[]>> = {
  A: ["Zalrsc", "Zaamo"],
  C: ["Zca"],
  F: ["Zicsr"],
  D: ["F"],
  Zfh: ["Zfhmin"],
  Zfhmin: ["F"],
  Zfa: ["F"],
  Zfinx: ["Zicsr"],
  Zdinx: ["Zfinx"],
  Zhinx: ["Zhinxmin"],
  Zhinxmin: ["Zfinx"],
  Zcf: ["Zca", "F"],
  Zcd: ["Zca", "D"],
  Zcb: ["Zca"],
  Zcmop: ["Zca"],
  Zcmp: ["Zca"],
  Zcmt: ["Zca", "Zicsr"],
  Zabha: ["Zaamo"],
  Ziccamoa: ["Zaamo"],
  Ziccrse: ["Zalrsc"],
  Za64rs: ["Zalrsc"],
  Zacas: ["Zaamo"],
  Zkr: ["Zicsr"],
  Zicntr: ["Zicsr"],
  Zihpm: ["Zicsr"],
  Sdtrig: ["Zicsr"],
  Smstateen: ["Ssstateen"],
  Smmpm: ["Zicsr"],
  Smnpm: ["Zicsr"],
  Ssnpm: ["S"],
  Ssstateen: ["Zicsr"],
  Sstc: ["S"],
  Ssccptr: ["S"],
  Sscounterenw: ["S"],
  Sstvala: ["S"],
  Sstvecd: ["S"],
  Svvptc: ["S"],
  Svade: ["S"],
  Svadu: ["S"],
  Svinval: ["S"],
  Svnapot: ["S"],
  Svpbmt: ["S"],
};

/** The set with everything that its members bring with them. */
export function withImplied(extensions: Iterable<Extension>): Set<Extension> {
  const all = new Set<Extension>();
  const add = (name: Extension) => {
    if (all.has(name)) return;
    all.add(name);
    for (const implied of IMPLIES[name] ?? []) add(implied);
  };
  for (const name of extensions) add(name);
  return all;
}

/** Whether floating-point operands are integer registers. */
export function hasFloatsInX(extensions: ReadonlySet<Extension>): boolean {
  return extensions.has("Zfinx") && !extensions.has("F");
}

/**
 * Which registers floating-point operands are: f; x (Zfinx); or x, where the hart must be asked first, since machine mode may
 * refuse them (Smstateen).
 */
export type FloatRegisters = "f" | "x" | "x, asking";

/** What they are with some extensions. */
export function floatRegisters(extensions: ReadonlySet<Extension>): FloatRegisters {
  return !hasFloatsInX(extensions) ? "f" : extensions.has("Ssstateen") ? "x, asking" : "x";
}

/** Extensions that are a part of a single letter. Where that is present, they are left out of the string. */
const PART_OF: Partial<Record<Extension, Extension>> = {
  Zmmul: "M",
  Zalrsc: "A",
  Zaamo: "A",
  Zca: "C",
  Zcf: "C",
  Zcd: "C",
};

/** Extensions that belong to a single letter: C's floating-point parts only where there is floating point. */
export function partsOf(letter: Extension): Extension[] {
  return EXTENSIONS.filter((name) => PART_OF[name] === letter);
}

/**
 * The order in which the manual lists Z extensions: by the letter after Z in this order, then by name. After all of them come
 * supervisor mode's (Ss… and Sv…), then machine mode's (Sm…).
 */
const CATEGORIES = "imafdqlcbkjtpvh";

function category(name: string): number {
  if (name[0] === "z") return CATEGORIES.indexOf(name[1]!);
  return CATEGORIES.length + (name.startsWith("sm") ? 1 : 0);
}

/**
 * The ISA naming string (unprivileged manual, "ISA Extension Naming Conventions"), e.g. `rv32imac_zicsr_zba`.
 */
export function isaString(xlen: 32 | 64, extensions: ReadonlySet<Extension>): string {
  const base = extensions.has("E") ? "E" : "I";
  const letters = [base, ...["M", "A", "F", "D", "C"].filter((letter) => extensions.has(letter as Extension))];
  const others = [...extensions].filter((name) => {
    const whole = PART_OF[name];
    return name.length > 1 && !(whole !== undefined && extensions.has(whole));
  }).map((name) => name.toLowerCase()).sort((a, b) => category(a) - category(b) || (a < b ? -1 : 1));
  return `rv${xlen}${letters.join("").toLowerCase()}${others.map((name) => `_${name}`).join("")}`;
}
