// The instruction table: every entry is well formed, and no encoding belongs to two.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EXTENSIONS } from "../isa/extensions.ts";
import type { Format, Xlen } from "../isa/instruction.ts";
import { type Instruction, instructionNamed, INSTRUCTIONS } from "../isa/table.ts";
import { PURE_OPERATIONS } from "../isa/pure_operations.ts";
import { Builder, FIELDS } from "../isa/ir.ts";
import type { Value } from "../isa/ir.ts";
import { randomFields, randomWords } from "./random_words.ts";

const WIDTHS: readonly Xlen[] = [32, 64];

function title({ name, xlen }: Instruction): string {
  return xlen === undefined ? name : `${name} (RV${xlen})`;
}

function existsOn(instruction: Instruction, xlen: Xlen): boolean {
  return instruction.xlen === undefined || instruction.xlen === xlen;
}

/** True if `word` (unsigned) is this instruction for a register width. */
function matches(instruction: Instruction, word: number, xlen: Xlen): boolean {
  const { mask, match, operands } = instruction.encoding;
  if (((word & mask) >>> 0) !== match) return false;
  return instruction.valid === undefined || instruction.valid(operands(word), xlen);
}

/** Bits of the fields of a pattern (neither fixed nor ignored). */
function fieldBits(pattern: string): number {
  return [...pattern].reduce((bits, c) => bits << 1 | (/[dstSTri]/.test(c) ? 1 : 0), 0) >>> 0;
}

/** Letters of the fields that the 32-bit formats have. Where there are two sets, both occur. */
const FIELDS_OF: Readonly<Record<Exclude<Format, "compressed">, readonly string[]>> = {
  stack: ["i"],
  saved: ["ST"],
  table: ["i"],
  R: ["dst", "dist"],
  R1: ["ds", "dis"],
  I: ["dis"],
  shift: ["dis"],
  load: ["dis"],
  store: ["ist"],
  branch: ["ist"],
  upper: ["di"],
  jump: ["di"],
  jalr: ["dis"],
  csr: ["dis"],
  csri: ["dis"],
  fence: ["i"],
  none: ["", "st"],
  amo: ["dist"],
  lr: ["dis"],
  cbo: ["s"],
  Rbs: ["dist"],
  fload: ["dis"],
  fstore: ["ist"],
  R4: ["dirst"],
  fR: ["dist"],
  fR1: ["dis"],
  fsign: ["dst"],
  fcmp: ["dst"],
  fcvtx: ["dis"],
  fcvtf: ["dis"],
  fmvx: ["ds"],
  fmvf: ["ds"],
  fmvp: ["dst"],
  fli: ["di"],
};

test("every entry has the fields of its format, a known extension and either a meaning or an expansion", () => {
  for (const instruction of INSTRUCTIONS) {
    const { pattern, format, extensions, requires, semantics, expand, encoding } = instruction;
    const where = title(instruction);
    const letters = [...new Set(pattern.replace(/[01-]/g, ""))].sort().join("");
    if (format === "compressed") assert.equal(encoding.length, 2, where);
    else {
      assert.equal(encoding.length, /^(stack|saved|table)$/.test(format) ? 2 : 4, where);
      assert.ok(FIELDS_OF[format].includes(letters), `${where}: ${format} with the fields ${letters}`);
    }
    assert.equal(encoding.length * 8, pattern.length, where);
    // The lowest two bits say how long an instruction is.
    assert.equal((encoding.mask & 3) === 3 && (encoding.match & 3) === 3, encoding.length === 4, where);
    assert.ok(extensions.length > 0, where);
    for (const name of [...extensions, ...requires ?? []]) {
      assert.ok(EXTENSIONS.includes(name as "I"), `${where}: ${name}`);
    }
    assert.ok((semantics === undefined) !== (expand === undefined), where);
  }
});

test("ids are positions and mnemonics are unique for a register width", () => {
  INSTRUCTIONS.forEach((instruction, id) => assert.equal(instruction.id, id));
  for (const xlen of WIDTHS) {
    const names = INSTRUCTIONS.filter((instruction) => existsOn(instruction, xlen)).map(({ name }) => name);
    assert.deepEqual(names.filter((name, k) => names.indexOf(name) !== k), []);
  }
  assert.equal(instructionNamed("rev8", 64).xlen, 64);
  assert.throws(() => instructionNamed("addw", 32), /no instruction addw for RV32/);
});

test("taking operands out and putting them back gives the same word, for every entry", () => {
  const random = randomWords(1);
  for (const instruction of INSTRUCTIONS) {
    const { mask, match, operands, encode } = instruction.encoding;
    const fields = fieldBits(instruction.pattern);
    assert.equal((mask & fields) >>> 0, 0, title(instruction));
    const seen = new Set<string>();
    for (let k = 0; k < 200; k++) {
      const word = randomFields(random, match, fields);
      const taken = operands(word);
      assert.equal(encode(taken), word, `${title(instruction)} ${word.toString(16)}`);
      seen.add(JSON.stringify(taken));
    }
    // Different words have different operands.
    if (fields !== 0) assert.ok(seen.size > 1, title(instruction));
  }
});

test("operands survive encoding at the ends of their ranges, for every entry", () => {
  for (const instruction of INSTRUCTIONS) {
    const { encoding, pattern } = instruction;
    const fields = fieldBits(pattern);
    for (const word of [encoding.match, (encoding.match | fields) >>> 0]) {
      const taken = encoding.operands(word);
      assert.deepEqual(encoding.operands(encoding.encode(taken)), taken, title(instruction));
      for (const [letter, key] of [["d", "rd"], ["s", "rs1"], ["t", "rs2"], ["r", "rs3"]] as const) {
        const isSaved = pattern.includes(letter.toUpperCase());
        const width = pattern.split(isSaved ? letter.toUpperCase() : letter).length - 1;
        const low = width === 3 ? 8 : 0;
        assert.equal(
          taken[key],
          word === encoding.match ? low : isSaved ? 23 : low + (1 << width) - 1,
          `${title(instruction)} ${key}`,
        );
      }
    }
  }
});

test("no halfword is two instructions", () => {
  const short = INSTRUCTIONS.filter(({ encoding }) => encoding.length === 2);
  // Zcmp and Zcmt have encodings of Zcd.
  const isZcd = ({ extensions }: Instruction) => extensions.includes("Zcd");
  const isInstead = ({ extensions }: Instruction) => extensions.includes("Zcmp") || extensions.includes("Zcmt");
  for (const [xlen, left] of WIDTHS.flatMap((xlen) => [[xlen, isZcd], [xlen, isInstead]] as const)) {
    const here = short.filter((instruction) => existsOn(instruction, xlen) && !left(instruction));
    for (let halfword = 0; halfword < 0x10000; halfword++) {
      const found = here.filter((instruction) => matches(instruction, halfword, xlen));
      assert.ok(found.length <= 1, `RV${xlen} ${halfword.toString(16)}: ${found.map(title).join(", ")}`);
      if ((halfword & 3) === 3) assert.equal(found.length, 0);
    }
  }
});

test("no word is two instructions: patterns that overlap are kept apart by their operands", () => {
  const random = randomWords(2);
  const long = INSTRUCTIONS.filter(({ encoding }) => encoding.length === 4);
  const overlapping: string[] = [];
  for (const [k, first] of long.entries()) {
    for (const second of long.slice(k + 1)) {
      const a = first.encoding, b = second.encoding;
      if (((a.match ^ b.match) & a.mask & b.mask) !== 0) continue;
      for (const xlen of WIDTHS) {
        if (!existsOn(first, xlen) || !existsOn(second, xlen)) continue;
        overlapping.push(`${first.name} ${second.name} ${xlen}`);
        const common = (a.match | b.match) >>> 0, free = ~(a.mask | b.mask) >>> 0;
        for (let n = 0; n < 5000; n++) {
          const word = randomFields(random, common, free);
          assert.ok(
            !(matches(first, word, xlen) && matches(second, word, xlen)),
            `RV${xlen} ${word.toString(16)}: ${first.name} and ${second.name}`,
          );
        }
      }
    }
  }
  // PACK (RV32) and PACKW (RV64) with rs2 = x0 are ZEXT.H.
  assert.deepEqual(overlapping, ["zext.h pack 32", "zext.h packw 64"]);
});

test("random words are at most one instruction", () => {
  const random = randomWords(3);
  const long = INSTRUCTIONS.filter(({ encoding }) => encoding.length === 4);
  let known = 0;
  for (let n = 0; n < 20_000; n++) {
    // Major opcodes with something in them, so that most words are near an instruction.
    const near = long[random() % long.length]!.encoding;
    const word = (near.match ^ (random() & random() & random() & ~3)) >>> 0;
    for (const xlen of WIDTHS) {
      const found = long.filter((instruction) => existsOn(instruction, xlen) && matches(instruction, word, xlen));
      assert.ok(found.length <= 1, `RV${xlen} ${word.toString(16)}: ${found.map(title).join(", ")}`);
      known += found.length;
    }
  }
  assert.ok(known > 1000, `only ${known} of the words were instructions`);
});

test("every meaning builds, known and symbolic, and names only pure helpers that are defined", () => {
  const used = new Set<string>();
  const visit = (value: Value | null | undefined): void => {
    if (!value) return;
    if (value.operation === "pure") used.add(value.name);
    visit(value.a), visit(value.b), visit(value.c);
  };
  for (const instruction of INSTRUCTIONS) {
    for (const xlen of WIDTHS) {
      if (!existsOn(instruction, xlen) || instruction.semantics === undefined) continue;
      for (const symbolic of [false, true]) {
        const b = new Builder(xlen, symbolic);
        instruction.semantics(b, symbolic ? FIELDS : { rd: 1, rs1: 2, rs2: 3, rs3: 4, imm: 5 });
        for (const statement of b.statements) {
          for (const part of Object.values(statement)) {
            if (Array.isArray(part)) part.forEach(visit);
            else if (typeof part === "object") visit(part as Value);
          }
        }
      }
    }
  }
  const unknown = [...used].filter((name) => !(name in PURE_OPERATIONS));
  const unused = Object.keys(PURE_OPERATIONS).filter((name) => !used.has(name));
  assert.deepEqual({ unknown, unused }, { unknown: [], unused: [] });
});
