// Supervisor-level instructions (privileged manual, chapter "Supervisor-Level ISA", section "Supervisor Instructions", and
// chapter "Svinval").

import type { Definition } from "./instruction.ts";

/** The fences whose operands are an address and an address space; the hart reads the registers itself. */
const fence: NonNullable<Definition["semantics"]> = (b, i) => b.leave("sfence", b.number(i.rs1), b.number(i.rs2));

/** SRET, SFENCE.VMA and the instructions of Svinval. */
export const SUPERVISOR: readonly Definition[] = [
  {
    name: "sret",
    extensions: ["S"],
    format: "none",
    pattern: "00010000001000000000000001110011",
    semantics: (b) => b.leave("sret"),
  },
  {
    name: "sfence.vma",
    extensions: ["S"],
    format: "none",
    pattern: "0001001tttttsssss000000001110011",
    semantics: fence,
  },
  {
    name: "sinval.vma",
    extensions: ["Svinval"],
    format: "none",
    pattern: "0001011tttttsssss000000001110011",
    semantics: fence,
  },
  // SINVAL.VMA acts at once, so that there is nothing to order; these two may only be illegal.
  {
    name: "sfence.w.inval",
    extensions: ["Svinval"],
    format: "none",
    pattern: "00011000000000000000000001110011",
    semantics: (b) => b.leave("sfenceInval"),
  },
  {
    name: "sfence.inval.ir",
    extensions: ["Svinval"],
    format: "none",
    pattern: "00011000000100000000000001110011",
    semantics: (b) => b.leave("sfenceInval"),
  },
];
