// A guest that makes accesses through random page tables and prints what became of each: here and in QEMU.

import type { Xlen } from "../../isa/instruction.ts";
import { Program, RAM_BASE } from "./assemble.ts";
import { printing } from "./qemu.ts";
import { seeded } from "./random_program.ts";

/** A translation scheme. */
export interface Scheme {
  readonly name: string;
  readonly xlen: Xlen;
  /** satp.MODE. */
  readonly mode: number;
  readonly levels: number;
}

/** All there are. */
export const SCHEMES: readonly Scheme[] = [
  { name: "Sv32", xlen: 32, mode: 1, levels: 2 },
  { name: "Sv39", xlen: 64, mode: 8, levels: 3 },
  { name: "Sv48", xlen: 64, mode: 9, levels: 4 },
  { name: "Sv57", xlen: 64, mode: 10, levels: 5 },
];

const MPRV = 1 << 17, SUM = 1 << 18, MXR = 1 << 19, MPP_S = 1 << 11, MPP = 3 << 11;
/** Physical pages: tables, then data. A run of data pages is aligned to 64 KiB for Svnapot. */
const TABLES = RAM_BASE + 0x1_0000, TABLE_COUNT = 40, DATA = RAM_BASE + 0x4_0000, DATA_COUNT = 32;
/** A physical page where there is nothing. */
const NOWHERE = 0x9_0000;
/** Data in the lower half of each data page, ECALLs in the upper. */
const CODE_OFFSET = 2048;
const KINDS = ["load", "load", "store", "store", "amo", "lr", "fetch"] as const;

/** What the guest does. */
export interface PageTableGuest {
  readonly elf: Uint8Array;
  /** What each line of its output is about. */
  readonly cases: readonly string[];
}

/**
 * Builds a guest that makes `count` accesses. `holes`: some pages lie where there is no memory. Otherwise some accesses lie in
 * two pages: what a store leaves in one of them when there is no other is not the manual's business.
 */
export function pageTableGuest(scheme: Scheme, seed: number, count: number, holes: boolean): PageTableGuest {
  const { xlen, levels, mode } = scheme, random = seeded(seed), size = xlen / 8, bits = xlen === 32 ? 10 : 9;
  const chance = (percent: number) => random() % 100 < percent;
  const pick = <T>(list: readonly T[]): T => list[random() % list.length]!;
  const load = xlen === 64 ? "ld" : "lw";
  const p = new Program(xlen);

  // Driver. s0: the case; s5, s6, s7: cause, value and pc or what was loaded.
  p.la("t0", "trap").csr("csrrw", "mtvec", 0, "t0");
  p.li("t0", -1).csr("csrrw", "pmpaddr0", 0, "t0").li("t0", 0x1f).csr("csrrw", "pmpcfg0", 0, "t0");
  p.la("s0", "cases").li("s9", TABLES).label("next");
  [["s1", 0], ["s2", 1], ["s3", 2], ["s4", 3]].forEach(([rd, k]) =>
    p.op(load, { rd: rd!, rs1: "s0", imm: +k! * size })
  );
  p.op("addi", { rd: "s0", rs1: "s0", imm: 4 * size }).to("bge", "run", { rs1: "s4", rs2: 0 }).to("jal", "finish");
  p.label("run").csr("csrrw", "satp", 0, "s1").op("sfence.vma").li("s5", -1).li("s6", 0).li("s7", 0);
  p.csr("csrrw", "mepc", 0, "s3").csr("csrrs", "mstatus", 0, "s2");
  KINDS.forEach((_, k) => p.li("t0", k).to("beq", `kind${k}`, { rs1: "s4", rs2: "t0" }));
  p.label("kind0").op("lw", { rd: "s7", rs1: "s3" }).to("jal", "after");
  p.label("kind1").op(load, { rd: "s7", rs1: "s3" }).to("jal", "after");
  p.label("kind2").op("sw", { rs2: "s3", rs1: "s3" }).to("jal", "after");
  p.label("kind3").op(xlen === 64 ? "sd" : "sh", { rs2: "s0", rs1: "s3" }).to("jal", "after");
  p.label("kind4").op("amoadd.w", { rd: "s7", rs1: "s3", rs2: "s0" }).to("jal", "after");
  p.label("kind5").op("lr.w", { rd: "s7", rs1: "s3" }).to("jal", "after");
  p.label("kind6").op("mret");
  p.align(4).label("trap").csr("csrrs", "mcause", "s5", 0).csr("csrrs", "mtval", "s6", 0);
  p.li("t0", 6).to("bne", "after", { rs1: "s4", rs2: "t0" }).csr("csrrs", "mepc", "s7", 0);
  p.label("after").li("t0", MPRV | SUM | MXR | MPP).csr("csrrc", "mstatus", 0, "t0");
  for (const register of ["s5", "s6", "s7"]) {
    p.op("addi", { rd: "a0", rs1: register, imm: 0 }).to("jal", "print", { rd: "ra" });
  }
  p.li("a1", 10).to("jal", "put", { rd: "t6" }).to("jal", "next");
  // At the end: what the walks and stores left.
  p.label("finish").li("s1", TABLES).li("s2", DATA + DATA_COUNT * 4096).li("a0", 0).li("t1", 33);
  p.label("sum").op(load, { rd: "t0", rs1: "s1" }).op("mul", { rd: "a0", rs1: "a0", rs2: "t1" });
  p.op("add", { rd: "a0", rs1: "a0", rs2: "t0" }).op("addi", { rd: "s1", rs1: "s1", imm: size });
  p.to("bne", "sum", { rs1: "s1", rs2: "s2" }).to("jal", "print", { rd: "ra" }).to("jal", "exit");
  printing(p);

  // Cases.
  const cases: string[] = [];
  p.align(8).label("cases");
  for (let k = 0; k < count; k++) {
    let kind = random() % KINDS.length;
    // An AMO that may not store leaves the page marked as accessed in QEMU, for which it begins with a load.
    if (!holes && KINDS[kind] === "amo") kind = 0;
    const data = DATA + 4096 * (random() % DATA_COUNT);
    const offset = KINDS[kind] === "fetch"
      ? CODE_OFFSET + 4 * (random() % 400)
      : KINDS[kind] === "amo" || KINDS[kind] === "lr" || chance(60)
      ? 8 * (random() % 200)
      : !holes && chance(50)
      ? 4096 - random() % 8
      : random() % 1600;
    let address = BigInt(data) + BigInt(offset);
    const level = (index: number, value: number) => {
      const shift = BigInt(12 + bits * index), mask = (1n << BigInt(bits)) - 1n;
      address = address & ~(mask << shift) | BigInt(value) << shift;
    };
    for (let index = 2; index < levels - 1; index++) level(index, holes && chance(30) ? 4 : 2);
    level(levels - 1, chance(50) ? random() % 12 : 2 ** bits - 1 - random() % 4);
    if (xlen === 64) {
      address = BigInt.asIntN(12 + bits * levels, address);
      if (chance(3)) address ^= 1n << BigInt(12 + bits * levels + random() % (52 - bits * levels));
    }
    const root = TABLES / 4096 + random() % 2;
    const satp = chance(4) ? 0n : xlen === 32 ? 1n << 31n | BigInt(root) : BigInt(mode) << 60n | BigInt(root);
    const status = (chance(90) && KINDS[kind] !== "fetch" ? MPRV : 0) | (chance(50) ? MPP_S : 0) |
      (chance(50) ? SUM : 0) | (chance(30) ? MXR : 0);
    // Without translation, stores go where they are harmless.
    const free = (status & MPRV) === 0 || satp === 0n;
    if (satp === 0n || (free && KINDS[kind] !== "fetch")) address = BigInt(data + offset);
    for (const value of [satp, BigInt(status), address, BigInt(kind)]) p.data(value, size);
    cases.push(
      `${KINDS[kind]} 0x${BigInt.asUintN(xlen, address).toString(16)} satp 0x${satp.toString(16)} status 0x${
        status.toString(16)
      }`,
    );
  }
  for (const value of [0n, 0n, 0n, -1n]) p.data(value, size);

  // Tables: the first two are roots, each other belongs to one level.
  p.org(TABLES);
  const levelOf = (table: number) => table < 2 ? levels - 1 : table % (levels - 1);
  const entry = (level: number): bigint => {
    if (chance(3)) return 0n;
    let low = BigInt(random() & 0x3ff) | 1n | (chance(80) ? 2n : 0n) | (chance(70) ? 0xc0n : 0n);
    // Not a pointer by chance: what is no table may hold the bits that QEMU does not look at.
    if ((low & 0xen) === 0n) low |= 2n;
    let page: bigint;
    if (level > 0 && chance(75)) {
      const below = Array.from({ length: TABLE_COUNT }, (_, k) => k).filter((k) => k >= 2 && levelOf(k) === level - 1);
      page = BigInt(TABLES / 4096 + pick(below));
      low = 1n | (chance(5) ? 1n << BigInt(4 + random() % 4) : 0n);
    } else if (level === 0) {
      page = holes && chance(5) ? BigInt(NOWHERE) : BigInt(DATA / 4096 + random() % DATA_COUNT);
    } else {
      const span = 1n << BigInt(bits * level);
      page = BigInt(RAM_BASE / 4096) / span * span + (chance(10) ? 1n << BigInt(random() % (bits * level)) : 0n);
    }
    let high = 0n;
    // QEMU marks a page as accessed before it finds a wrong N, which only guests with holes have. It does not look at bits 54 to 60 where it has an extension that defines one above.
    if (xlen === 64 && chance(6)) high = 1n << BigInt(61 + random() % (holes ? 3 : 2));
    if (xlen === 64 && level === 0 && chance(10)) {
      high |= 1n << 63n;
      page = page & ~15n | (!holes || chance(85) ? 8n : BigInt(random() % 16));
    }
    return high | page << 10n | low;
  };
  for (let table = 0; table < TABLE_COUNT; table++) {
    for (let k = 0; k < 4096 / size; k++) p.data(entry(levelOf(table)), size);
  }
  p.org(DATA);
  for (let page = 0; page < DATA_COUNT; page++) {
    for (let k = 0; k < CODE_OFFSET / 4; k++) p.word(0x1000_0000 + page * 0x1_0000 + k);
    for (let k = CODE_OFFSET / 4; k < 1024; k++) p.op("ecall");
  }
  return { elf: p.elf(), cases };
}
