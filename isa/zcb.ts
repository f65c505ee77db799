// Zcb: further 16-bit short forms (unprivileged manual, chapter "Zc*", section "Zcb"). Some exist only where the extension
// of what they stand for does.

import type { Extension } from "./extensions.ts";
import type { Definition } from "./instruction.ts";

type More = Partial<Pick<Definition, "immediate" | "xlen">>;

/** A load or store: same operands. */
function memory(name: string, pattern: string, immediate: string): Definition {
  const base = name.slice("c.".length);
  return {
    name,
    extensions: ["Zcb"],
    format: "compressed",
    pattern,
    immediate,
    expand: (i) => ({ name: base, operands: i }),
  };
}

/** An operation on rd in place; `imm` is that of the base instruction, `requires` the extension that brings it. */
function inPlace(
  name: string,
  pattern: string,
  base: string,
  imm: number,
  requires?: Extension,
  more: More = {},
): Definition {
  return {
    name,
    extensions: ["Zcb"],
    ...(requires === undefined ? {} : { requires: [requires] }),
    format: "compressed",
    pattern,
    expand: (i) => ({ name: base, operands: { rd: i.rd, rs1: i.rd, rs2: i.rs2, imm } }),
    ...more,
  };
}

/** Loads and stores of bytes and halfwords, extensions, NOT and MUL. */
export const ZCB: readonly Definition[] = [
  memory("c.lbu", "100000sssiiddd00", "0|1"),
  memory("c.lhu", "100001sss0iddd00", "1"),
  memory("c.lh", "100001sss1iddd00", "1"),
  memory("c.sb", "100010sssiittt00", "0|1"),
  memory("c.sh", "100011sss0ittt00", "1"),
  inPlace("c.zext.b", "100111ddd1100001", "andi", 255),
  inPlace("c.sext.b", "100111ddd1100101", "sext.b", 0, "Zbb"),
  inPlace("c.zext.h", "100111ddd1101001", "zext.h", 0, "Zbb"),
  inPlace("c.sext.h", "100111ddd1101101", "sext.h", 0, "Zbb"),
  inPlace("c.zext.w", "100111ddd1110001", "add.uw", 0, "Zba", { xlen: 64 }),
  inPlace("c.not", "100111ddd1110101", "xori", -1),
  inPlace("c.mul", "100111ddd10ttt01", "mul", 0, "M"),
];
