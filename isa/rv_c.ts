// C (Zca): the 16-bit short forms (unprivileged manual, chapter "C"). Each stands for one base instruction; the hart
// never sees them. Reserved encodings are those the chapter's tables mark RES or NSE; its HINTs expand to what they are
// encoded as, which does nothing.

import type { Operands } from "./ir.ts";
import type { Definition, Expansion, Xlen } from "./instruction.ts";

type Expand = (i: Operands, xlen: Xlen) => Expansion;
type More = Partial<Pick<Definition, "immediate" | "valid" | "xlen">>;

function short(name: string, pattern: string, expand: Expand, more: More = {}): Definition {
  return { name, extensions: ["Zca"], format: "compressed", pattern, expand, ...more };
}

/** Expands to an instruction with rd = rs1. */
function inPlace(name: string): Expand {
  return (i) => ({ name, operands: { rd: i.rd, rs1: i.rd, rs2: i.rs2, imm: i.imm } });
}

/** Expands to a load or store on the stack pointer. */
function onStack(name: string): Expand {
  return (i) => ({ name, operands: { rd: i.rd, rs1: 2, rs2: i.rs2, imm: i.imm } });
}

/** Expands to an instruction with the same operands. */
function same(name: string): Expand {
  return (i) => ({ name, operands: i });
}

const nonzeroImmediate = (i: Operands) => i.imm !== 0;
const nonzeroRd = (i: Operands) => i.rd !== 0;
const shiftAmount = (i: Operands, xlen: Xlen) => i.imm < xlen;

/** Quadrants 0, 1 and 2. */
export const RV_C: readonly Definition[] = [
  short(
    "c.addi4spn",
    "000iiiiiiiiddd00",
    (i) => ({ name: "addi", operands: { rd: i.rd, rs1: 2, imm: i.imm } }),
    { immediate: "5:4|9:6|2|3", valid: nonzeroImmediate },
  ),
  short("c.lw", "010iiisssiiddd00", same("lw"), { immediate: "5:3|2|6" }),
  short("c.ld", "011iiisssiiddd00", same("ld"), { immediate: "5:3|7:6", xlen: 64 }),
  short("c.sw", "110iiisssiittt00", same("sw"), { immediate: "5:3|2|6" }),
  short("c.sd", "111iiisssiittt00", same("sd"), { immediate: "5:3|7:6", xlen: 64 }),

  short("c.addi", "000idddddiiiii01", inPlace("addi"), { immediate: "-5|4:0" }),
  short(
    "c.jal",
    "001iiiiiiiiiii01",
    (i) => ({ name: "jal", operands: { rd: 1, imm: i.imm } }),
    { immediate: "-11|4|9:8|10|6|7|3:1|5", xlen: 32 },
  ),
  short("c.addiw", "001idddddiiiii01", inPlace("addiw"), { immediate: "-5|4:0", xlen: 64, valid: nonzeroRd }),
  short(
    "c.li",
    "010idddddiiiii01",
    (i) => ({ name: "addi", operands: { rd: i.rd, rs1: 0, imm: i.imm } }),
    { immediate: "-5|4:0" },
  ),
  short("c.addi16sp", "011i00010iiiii01", (i) => ({ name: "addi", operands: { rd: 2, rs1: 2, imm: i.imm } }), {
    immediate: "-9|4|6|8:7|5",
    valid: nonzeroImmediate,
  }),
  short(
    "c.lui",
    "011idddddiiiii01",
    (i) => ({ name: "lui", operands: { rd: i.rd, imm: i.imm } }),
    { immediate: "-17|16:12", valid: (i) => i.rd !== 2 && i.imm !== 0 },
  ),
  short("c.srli", "100i00dddiiiii01", inPlace("srli"), { immediate: "5|4:0", valid: shiftAmount }),
  short("c.srai", "100i01dddiiiii01", inPlace("srai"), { immediate: "5|4:0", valid: shiftAmount }),
  short("c.andi", "100i10dddiiiii01", inPlace("andi"), { immediate: "-5|4:0" }),
  short("c.sub", "100011ddd00ttt01", inPlace("sub")),
  short("c.xor", "100011ddd01ttt01", inPlace("xor")),
  short("c.or", "100011ddd10ttt01", inPlace("or")),
  short("c.and", "100011ddd11ttt01", inPlace("and")),
  short("c.subw", "100111ddd00ttt01", inPlace("subw"), { xlen: 64 }),
  short("c.addw", "100111ddd01ttt01", inPlace("addw"), { xlen: 64 }),
  short("c.j", "101iiiiiiiiiii01", (i) => ({ name: "jal", operands: { rd: 0, imm: i.imm } }), {
    immediate: "-11|4|9:8|10|6|7|3:1|5",
  }),
  short("c.beqz", "110iiisssiiiii01", same("beq"), { immediate: "-8|4:3|7:6|2:1|5" }),
  short("c.bnez", "111iiisssiiiii01", same("bne"), { immediate: "-8|4:3|7:6|2:1|5" }),

  short("c.slli", "000idddddiiiii10", inPlace("slli"), { immediate: "5|4:0", valid: shiftAmount }),
  short("c.lwsp", "010idddddiiiii10", onStack("lw"), { immediate: "5|4:2|7:6", valid: nonzeroRd }),
  short("c.ldsp", "011idddddiiiii10", onStack("ld"), { immediate: "5|4:3|8:6", xlen: 64, valid: nonzeroRd }),
  short("c.jr", "1000sssss0000010", (i) => ({ name: "jalr", operands: { rd: 0, rs1: i.rs1 } }), {
    valid: (i) => i.rs1 !== 0,
  }),
  short("c.mv", "1000dddddttttt10", (i) => ({ name: "add", operands: { rd: i.rd, rs1: 0, rs2: i.rs2 } }), {
    valid: (i) => i.rs2 !== 0,
  }),
  short("c.ebreak", "1001000000000010", () => ({ name: "ebreak", operands: {} })),
  short("c.jalr", "1001sssss0000010", (i) => ({ name: "jalr", operands: { rd: 1, rs1: i.rs1 } }), {
    valid: (i) => i.rs1 !== 0,
  }),
  short("c.add", "1001dddddttttt10", inPlace("add"), { valid: (i) => i.rs2 !== 0 }),
  short("c.swsp", "110iiiiiittttt10", onStack("sw"), { immediate: "5:2|7:6" }),
  short("c.sdsp", "111iiiiiittttt10", onStack("sd"), { immediate: "5:3|8:6", xlen: 64 }),
];
