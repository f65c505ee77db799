// The trap handler of random guests: skips the instruction that trapped, quiets the interrupt, or starts over.

import type { GuestContext } from "./random_guest.ts";

/** Words of the guest's own area. */
export const OWN = { saved: 0, traps: 3, recover: 4, jump: 5, jumpStack: 6, period: 7, rounds: 8 } as const;
/** Bytes of the guest's own area. */
export const OWN_SIZE = 128;

const TP = 4, T0 = 5, T1 = 6, T2 = 7;
/** mstatus.MPP. */
const MPP = 0x1800;

/** Appends `handler`, and `vectors` for mtvec's vectored mode. mscratch holds the own area. */
export function appendHandler(c: GuestContext): void {
  const { p } = c;
  p.align(4).label("handler").csr("csrrw", "mscratch", TP, TP);
  [T0, T1, T2].forEach((register, k) => c.store(register, OWN.saved + k, TP));
  c.load(T0, OWN.traps, TP);
  p.op("addi", { rd: T0, rs1: T0, imm: 1 });
  c.store(T0, OWN.traps, TP);
  p.csr("csrrs", "mcause", T0, 0).to("blt", "interrupt", { rs1: T0, rs2: 0 });
  // Nothing can be fetched there, or it is misaligned.
  p.op("addi", { rd: T1, rs1: 0, imm: 2 }).to("bltu", "recover", { rs1: T0, rs2: T1 });
  p.op("addi", { rd: T1, rs1: 0, imm: 12 }).to("beq", "recover", { rs1: T0, rs2: T1 });
  // ECALL from user or supervisor mode leads back to machine mode.
  p.op("andi", { rd: T2, rs1: T0, imm: -2 }).op("addi", { rd: T1, rs1: 0, imm: 8 });
  p.to("bne", "skip", { rs1: T2, rs2: T1 });
  p.li(T1, MPP).csr("csrrs", "mstatus", 0, T1);
  p.label("skip").csr("csrrs", "mepc", T0, 0).op("lhu", { rd: T1, rs1: T0 }).op("andi", { rd: T1, rs1: T1, imm: 3 });
  p.op("addi", { rd: T2, rs1: 0, imm: 3 }).op("addi", { rd: T0, rs1: T0, imm: 2 });
  p.to("bne", "short", { rs1: T1, rs2: T2 }).op("addi", { rd: T0, rs1: T0, imm: 2 }).label("short");
  p.csr("csrrw", "mepc", 0, T0);
  p.label("back");
  [T0, T1, T2].forEach((register, k) => c.load(register, OWN.saved + k, TP));
  p.csr("csrrw", "mscratch", TP, TP).op("mret");

  p.label("recover");
  c.load(T0, OWN.recover, TP);
  p.csr("csrrw", "mepc", 0, T0).li(T1, MPP).csr("csrrs", "mstatus", 0, T1).to("jal", "back");

  p.label("interrupt").op("andi", { rd: T0, rs1: T0, imm: 4 }).to("bne", "timer", { rs1: T0, rs2: 0 });
  p.li(T1, 0x200_0000).op("sw", { rs1: T1, rs2: 0 }).to("jal", "back");
  p.label("timer").li(T1, 0x200_bff8).op("lw", { rd: T2, rs1: T1 });
  c.load(T0, OWN.period, TP);
  p.op("add", { rd: T2, rs1: T2, rs2: T0 }).li(T1, 0x200_4000).op("sw", { rs1: T1, rs2: T2 }).to("jal", "back");

  p.align(64).label("vectors");
  for (let cause = 0; cause < 12; cause++) p.to("jal", "handler");
}
