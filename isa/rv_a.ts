// A: atomic instructions (unprivileged manual, chapter "A": Zaamo and Zalrsc), those of bytes and halfwords (Zabha),
// compare-and-swap (Zacas) and waiting on a reservation (Zawrs). Harts take turns between instructions, so a read followed by a write is atomic; the aq and rl bits
// have nothing to add. The immediate holds them (aq in bit 1) for the disassembler.

import type { Builder, Value } from "./ir.ts";
import type { Definition } from "./instruction.ts";
import type { Extension } from "./extensions.ts";

const WIDTHS = [
  { suffix: "w", funct3: "010", memory: "i32" },
  { suffix: "d", funct3: "011", memory: "i64" },
] as const;
const NARROW_WIDTHS = [
  { suffix: "b", funct3: "000", memory: "i8" },
  { suffix: "h", funct3: "001", memory: "i16" },
] as const;

function amo(name: string, funct5: string, f: (b: Builder, old: Value, source: Value) => Value): Definition[] {
  return [...WIDTHS, ...NARROW_WIDTHS].map(({ suffix, funct3, memory }) => ({
    name: `${name}.${suffix}`,
    extensions: [memory === "i8" || memory === "i16" ? "Zabha" : "Zaamo"],
    ...(memory === "i64" ? { xlen: 64 } as const : {}),
    format: "amo",
    pattern: `${funct5}iitttttsssss${funct3}ddddd0101111`,
    semantics: (b, i) => {
      const address = b.x(i.rs1), old = b.load(memory, address, "amo");
      const source = sourceOf(b, memory, i.rs2);
      b.store(memory, address, f(b, old, source), "amo");
      b.setX(i.rd, old);
    },
  }));
}

/** The source of an AMO, sign-extended to the type of what is in memory. */
function sourceOf(b: Builder, memory: "i8" | "i16" | "i32" | "i64", register: number): Value {
  if (memory === "i64") return b.x(register);
  const word = b.w(register);
  return memory === "i8" ? b.signExtend8(word) : memory === "i16" ? b.signExtend16(word) : word;
}

function pick(sign: "Signed" | "Unsigned", wantLess: boolean) {
  return (b: Builder, old: Value, source: Value) =>
    wantLess ? b.select(b.lt(sign, old, source), old, source) : b.select(b.lt(sign, old, source), source, old);
}

const even = (register: number) => register % 2 === 0;

/** Zaamo, Zabha, Zalrsc, Zacas and Zawrs. */
export const RV_A: readonly Definition[] = [
  ...amo("amoadd", "00000", (b, old, source) => b.add(old, source)),
  ...amo("amoswap", "00001", (_, _old, source) => source),
  ...amo("amoxor", "00100", (b, old, source) => b.xor(old, source)),
  ...amo("amoor", "01000", (b, old, source) => b.or(old, source)),
  ...amo("amoand", "01100", (b, old, source) => b.and(old, source)),
  ...amo("amomin", "10000", pick("Signed", true)),
  ...amo("amomax", "10100", pick("Signed", false)),
  ...amo("amominu", "11000", pick("Unsigned", true)),
  ...amo("amomaxu", "11100", pick("Unsigned", false)),

  ...WIDTHS.flatMap(({ suffix, funct3, memory }, size): Definition[] => {
    const only = memory === "i64" ? { xlen: 64 } as const : {};
    const extensions: readonly Extension[] = ["Zalrsc"];
    return [
      {
        name: `lr.${suffix}`,
        extensions,
        ...only,
        format: "lr",
        pattern: `00010ii00000sssss${funct3}ddddd0101111`,
        semantics: (b, i) => b.setX(i.rd, b.call("loadReserved", memory, b.i32(4 << size), b.x(i.rs1))),
      },
      {
        name: `sc.${suffix}`,
        extensions,
        ...only,
        format: "amo",
        pattern: `00011iitttttsssss${funct3}ddddd0101111`,
        semantics: (b, i) => b.setX(i.rd, b.call("storeConditional", "i32", b.i32(4 << size), b.x(i.rs1), b.x(i.rs2))),
      },
    ];
  }),

  // The hart reads and writes the registers itself: a pair of them is compared where the width is twice the register's.
  ...["w", "d", "q"].map((suffix, size): Definition => ({
    name: `amocas.${suffix}`,
    extensions: ["Zacas"],
    ...(suffix === "q" ? { xlen: 64 } as const : {}),
    format: "amo",
    pattern: `00101iitttttsssss${["010", "011", "100"][size]}ddddd0101111`,
    valid: (i, xlen) => 32 << size <= xlen || (even(i.rd) && even(i.rs2)),
    semantics: (b, i) => {
      b.call("compareAndSwap", null, b.i32(4 << size), b.x(i.rs1), b.number(i.rd), b.number(i.rs2));
    },
  })),
  ...NARROW_WIDTHS.map(({ suffix, funct3 }, size): Definition => ({
    name: `amocas.${suffix}`,
    extensions: ["Zacas"],
    requires: ["Zabha"],
    format: "amo",
    pattern: `00101iitttttsssss${funct3}ddddd0101111`,
    semantics: (b, i) => {
      b.call("compareAndSwap", null, b.i32(1 << size), b.x(i.rs1), b.number(i.rd), b.number(i.rs2));
    },
  })),

  ...[["wrs.nto", "000000001101"], ["wrs.sto", "000000011101"]].map(([name, funct12], k): Definition => ({
    name: name!,
    extensions: ["Zawrs"],
    format: "none",
    pattern: `${funct12}00000000000001110011`,
    semantics: (b) => b.leave("wrs", b.i32(k)),
  })),
];
