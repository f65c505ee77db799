// Ways in which several harts count in one word without losing anything, and code that one of them overwrites.

import type { Program } from "./assemble.ts";

const unlock = (p: Program) => p.op("amoswap.w", { rs1: "s2", rs2: 0, imm: 1 });

/** Each way adds 1 to the word at s1; locks are at s2. */
export const WAYS: Record<string, (p: Program) => void> = {
  "an AMO": (p) => p.li("t0", 1).op("amoadd.w", { rs1: "s1", rs2: "t0" }),
  "LR and SC": (p) =>
    p.label("again").op("lr.w", { rd: "t0", rs1: "s1" }).op("addi", { rd: "t0", rs1: "t0", imm: 1 })
      .op("sc.w", { rd: "t1", rs1: "s1", rs2: "t0" }).to("bne", "again", { rs1: "t1", rs2: 0 }),
  "AMOCAS": (p) =>
    p.label("again").op("lw", { rd: "t0", rs1: "s1" }).op("addi", { rd: "t1", rs1: "t0", imm: 1 })
      .op("addi", { rd: "t2", rs1: "t0" }).op("amocas.w", { rd: "t0", rs1: "s1", rs2: "t1" })
      .to("bne", "again", { rs1: "t0", rs2: "t2" }),
  "a spinlock that swaps": (p) => {
    p.li("t0", 1).label("again").op("amoswap.w", { rd: "t1", rs1: "s2", rs2: "t0", imm: 2 });
    p.to("bne", "again", { rs1: "t1", rs2: 0 }).op("lw", { rd: "t1", rs1: "s1" });
    unlock(p.op("addi", { rd: "t1", rs1: "t1", imm: 1 }).op("sw", { rs1: "s1", rs2: "t1" }));
  },
  "a spinlock that reads, pauses and reserves": (p) => {
    p.label("again").op("lw", { rd: "t0", rs1: "s2" }).to("beq", "try", { rs1: "t0", rs2: 0 });
    p.op("fence", { imm: 0x10 }).to("jal", "again").label("try").li("t0", 1).op("lr.w", { rd: "t1", rs1: "s2" });
    p.to("bne", "again", { rs1: "t1", rs2: 0 }).op("sc.w", { rd: "t1", rs1: "s2", rs2: "t0" });
    p.to("bne", "again", { rs1: "t1", rs2: 0 }).op("lw", { rd: "t1", rs1: "s1" });
    unlock(p.op("addi", { rd: "t1", rs1: "t1", imm: 1 }).op("sw", { rs1: "s1", rs2: "t1" }));
  },
};
