// A guest of random privileged programs: each case sets up delegation, interrupts, protection and translation, enters a privilege
// level, and executes CSR instructions, returns, fences, calls and accesses there. What happened is hashed and printed.

import type { Xlen } from "../../isa/instruction.ts";
import { Program, RAM_BASE } from "./assemble.ts";
import { printing } from "./qemu.ts";
import { seeded } from "./random_program.ts";

/** Traps after which a case ends. */
const MOST_TRAPS = 40;
/** Where code lies: at its physical address for supervisor mode, here for user mode. No board has anything at these addresses. */
const USER_ALIASES: Readonly<Record<Xlen, number>> = { 32: 0x1800_0000, 64: 0x1_0000_0000 };
/** Physical data pages, and where they are mapped. */
const DATA = RAM_BASE + 0x10_0000, DATA_PAGES = 8, DATA_MAPPED = 0xc000_0000;
/** Page tables. */
const TABLES = RAM_BASE + 0x18_0000;
/** In a7: an environment call that ends the case. */
const END = 0x7ff;

const MSTATUS = { SIE: 1 << 1, MIE: 1 << 3, SPIE: 1 << 5, MPIE: 1 << 7, SPP: 1 << 8, MPP: 3 << 11, FS: 3 << 13 };
const MPRV = 1 << 17, SUM = 1 << 18, MXR = 1 << 19, TVM = 1 << 20, TW = 1 << 21, TSR = 1 << 22;
const V = 1n, R = 2n, W = 4n, X = 8n, U = 16n, A = 64n, D = 128n;

/** Registers of the random code. s0: mapped data, s1: physical data. The handlers have s8 to s11, t5 and t6. */
const VALUES = ["t0", "t1", "t2", "a0", "a1", "a2"];

/** The guest and what each line of its output is about. */
export interface PrivilegedGuest {
  readonly elf: Uint8Array;
  readonly cases: readonly { readonly text: string; readonly address: number }[];
}

/** Builds a guest of `count` cases for a satp.MODE. */
export function privilegedGuest(xlen: Xlen, mode: number, seed: number, count: number): PrivilegedGuest {
  const random = seeded(seed), size = xlen / 8, p = new Program(xlen);
  const below = (limit: number) => random() % limit, chance = (percent: number) => below(100) < percent;
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const load = xlen === 64 ? "ld" : "lw";
  const userAlias = USER_ALIASES[xlen];
  const copy = (rd: string, rs1: string) => p.op("addi", { rd, rs1, imm: 0 });
  /** s9 = 33 · s9 + a register. */
  const hash = (register: string, temporary = "t6") => {
    p.op("slli", { rd: temporary, rs1: "s9", imm: 5 }).op("add", { rd: "s9", rs1: "s9", rs2: temporary });
    p.op("add", { rd: "s9", rs1: "s9", rs2: register });
  };

  // Setup: the timer far away.
  p.la("t0", "machine").csr("csrrw", "mtvec", 0, "t0").li("t0", 0x200_4000).li("t1", -1);
  p.op("sw", { rs1: "t0", rs2: "t1" }).op("sw", { rs1: "t0", rs2: "t1", imm: 4 }).la("s11", "records");
  p.label("next").csr("csrrw", "mstatus", 0, 0).csr("csrrw", "mie", 0, 0).li("t0", END);
  p.op(load, { rd: "t1", rs1: "s11" }).to("beq", "exit", { rs1: "t1", rs2: 0 });
  // The record: pairs of a CSR's number, known here, and its value.
  const setup = [
    "mepc",
    "medeleg",
    "mideleg",
    "mcounteren",
    "scounteren",
    "sscratch",
    "sepc",
    "scause",
    "stval",
    "stvec",
    "mip",
  ]
    .concat([
      "pmpaddr0",
      "pmpaddr1",
      "pmpaddr2",
      "pmpaddr3",
      "pmpcfg0",
      "pmpaddr15",
      xlen === 64 ? "pmpcfg2" : "pmpcfg3",
    ])
    .concat(["satp", "mie", "mstatus"]);
  setup.forEach((name, k) => {
    p.op(load, { rd: "t0", rs1: "s11", imm: k * size });
    // Every case begins with pending bits of its own.
    if (name === "mip") p.li("t1", 0x222).csr("csrrc", "mip", 0, "t1");
    if (name === "mstatus") p.op("sfence.vma");
    if (name === "mstatus") p.li("s9", 0).li("s10", MOST_TRAPS).li("s0", DATA_MAPPED).li("s1", DATA);
    if (name === "mstatus") VALUES.slice(1).forEach((register, j) => p.li(register, 0x1111 * (j + 1)));
    p.csr("csrrw", name, 0, "t0");
  });
  p.op("addi", { rd: "s11", rs1: "s11", imm: setup.length * size }).li("a7", 0).op("mret");

  /** Records a trap in the hash; leaves its cause in t5. EBREAK's value may be 0 or the address. */
  const record = (level: "m" | "s") => {
    p.csr("csrrs", `${level}epc`, "t5", 0);
    hash("t5");
    p.csr("csrrs", `${level}status`, "t5", 0);
    hash("t5");
    p.csr("csrrs", `${level}tval`, "t5", 0).csr("csrrs", `${level}cause`, "t6", 0).op("addi", {
      rd: "t6",
      rs1: "t6",
      imm: -3,
    });
    p.to("bne", `${level}value`, { rs1: "t6", rs2: 0 }).li("t5", 0).csr("csrrw", `${level}tval`, 0, 0).label(
      `${level}value`,
    );
    hash("t5");
    p.csr("csrrs", `${level}cause`, "t5", 0);
    hash("t5");
    p.op("addi", { rd: "s10", rs1: "s10", imm: -1 });
  };
  /** Goes on behind the instruction. */
  const skip = (level: "m" | "s") =>
    p.csr("csrrs", `${level}epc`, "t5", 0).op("addi", { rd: "t5", rs1: "t5", imm: 4 }).csr(
      "csrrw",
      `${level}epc`,
      0,
      "t5",
    );

  p.align(4).label("machine");
  record("m");
  p.to("blt", "mInterrupt", { rs1: "t5", rs2: 0 }).to("beq", "finish", { rs1: "s10", rs2: 0 });
  p.li("t6", END).to("beq", "finish", { rs1: "a7", rs2: "t6" });
  // A fetch that fails does so again.
  for (const cause of [0, 1, 12]) p.li("t6", cause).to("beq", "finish", { rs1: "t5", rs2: "t6" });
  skip("m").op("mret");
  p.label("mInterrupt").li("t6", 0x222).csr("csrrc", "mip", 0, "t6").to("bne", "mReturn", { rs1: "s10", rs2: 0 });
  p.to("jal", "finish").label("mReturn").op("mret");

  p.align(4).label("supervisor");
  record("s");
  p.to("beq", "sEnd", { rs1: "s10", rs2: 0 }).to("blt", "sInterrupt", { rs1: "t5", rs2: 0 });
  p.li("t6", END).to("beq", "sEnd", { rs1: "a7", rs2: "t6" });
  for (const cause of [0, 1, 12]) p.li("t6", cause).to("beq", "sEnd", { rs1: "t5", rs2: "t6" });
  skip("s").op("sret");
  p.label("sInterrupt").li("t6", 1).op("sll", { rd: "t6", rs1: "t6", rs2: "t5" }).csr("csrrc", "sie", 0, "t6").op(
    "sret",
  );
  p.label("sEnd").li("a7", END).op("ecall");

  p.label("finish").csr("csrrw", "mstatus", "s8", 0).csr("csrrw", "satp", 0, 0).csr("csrrw", "mie", "t5", 0);
  for (const register of ["s8", "t5", ...VALUES]) hash(register);
  for (const name of ["sscratch", "sepc", "scause", "stval", "sstatus", "mideleg", "medeleg"]) {
    p.csr("csrrs", name, "t5", 0);
    hash("t5");
  }
  copy("a0", "s9").to("jal", "print", { rd: "ra" }).li("a0", MOST_TRAPS).op("sub", { rd: "a0", rs1: "a0", rs2: "s10" });
  p.to("jal", "print", { rd: "ra" }).li("a1", 10).to("jal", "put", { rd: "t6" }).to("jal", "next");
  printing(p);

  // What is written to CSRs: only what QEMU 7.2 and the manual agree on.
  const interrupts = () => below(8) * 2 & 2 | (chance(50) ? 0x20 : 0) | (chance(50) ? 0x200 : 0);
  // One of them is enabled in a case: of several, QEMU 7.2 takes that with the lowest number, the manual's order is another.
  let only = 0;
  const enabled = () => chance(70) ? only : 0;
  const status = () => {
    const bits = [MSTATUS.SIE, MSTATUS.SPIE, MSTATUS.MPIE, MSTATUS.SPP, SUM, MXR, TVM, TW, TSR];
    let value = bits.reduce((all, bit) => all | (chance(35) ? bit : 0), 0);
    value |= pick([0, 1, 3]) << 11 | pick([0, 1, 2, 3]) << 13;
    return value | (chance(20) ? MPRV : 0) | (chance(20) ? MSTATUS.MIE : 0);
  };
  const root = xlen === 32 ? 1n << 31n | BigInt(TABLES / 4096) : BigInt(mode) << 60n | BigInt(TABLES / 4096);
  const anything = () => BigInt(random()) << 32n | BigInt(random());
  const writes: Record<string, () => number | bigint> = {
    mstatus: status,
    sstatus: () => status() & ~MSTATUS.MPP,
    sscratch: anything,
    mscratch: anything,
    scause: () => below(16),
    stval: anything,
    sepc: () => anything() & ~3n,
    mie: enabled,
    sie: enabled,
    mip: interrupts,
    sip: interrupts,
    mideleg: interrupts,
    medeleg: () => below(0x10000) & 0xb1ff,
    mcounteren: () => below(8),
    scounteren: () => below(8),
    satp: () => pick([0n, root, root]),
  };
  const readable = [
    ...Object.keys(writes),
    "misa",
    "mhartid",
    "mtvec",
    "stvec",
    "pmpcfg0",
    "pmpaddr0",
    "pmpaddr1",
    "pmpaddr2",
  ];
  const illegal = ["cycle", "mvendorid", 0x123, 0x800, 0x6c0, 0xfff];

  let returns = 0;
  const instruction = (level: number) => {
    const rd = pick(VALUES), rs1 = pick(VALUES);
    const kinds: (() => void)[] = [
      () => {
        const name = pick(readable);
        if (name in writes) p.li(rs1, BigInt.asUintN(xlen, BigInt(writes[name]!())));
        p.csr(
          name in writes ? pick(["csrrw", "csrrs", "csrrc"] as const) : "csrrs",
          name,
          rd,
          name in writes ? rs1 : 0,
        );
        // misa: QEMU has other extensions.
        if (name === "misa") p.li(rd, 0);
        else hash(rd, "t4");
      },
      () => {
        p.csr("csrrs", pick(readable.filter((name) => name !== "misa")), rd, 0);
        hash(rd, "t4");
      },
      () => p.csr("csrrw", pick(illegal), rd, rs1),
      () => {
        p.op("addi", { rd: rs1, rs1: pick(["s0", "s0", "s1"]), imm: 0 }).li("t3", 4096 * below(DATA_PAGES));
        p.op("add", { rd: rs1, rs1, rs2: "t3" });
        const imm = 8 * below(256);
        if (chance(60)) {
          p.op(pick(["lw", load, "lbu", "lh"]), { rd, rs1, imm: imm & 0x7f8 });
          hash(rd, "t4");
        } else p.op(pick(["sw", "sb", "sh"]), { rs1, rs2: rd, imm: imm & 0x7f8 });
      },
      () => p.op(pick(["ecall", "ebreak", "fence.i"])),
      () => p.op("sfence.vma", pick([{}, { rs1: 8 }, { rs1: 8, rs2: 9 }])),
      () => {
        const [name, register] = pick([["sret", "sepc"], ["mret", "mepc"]] as const);
        // To the instruction behind, or to the same one at its other address.
        const label = `return${returns++}`;
        p.la(rs1, label);
        if (chance(25)) p.li("t3", userAlias - RAM_BASE).op("add", { rd: rs1, rs1, rs2: "t3" });
        p.csr("csrrw", register, 0, rs1).op(name).label(label);
      },
    ];
    if (level === 0) kinds.push(() => p.op("wfi"));
    pick([kinds[0]!, kinds[0]!, kinds[1]!, ...kinds])();
  };

  const cases: { text: string; address: number }[] = [], records: bigint[][] = [];
  for (let k = 0; k < count; k++) {
    p.align(4);
    only = pick([2, 0x20, 0x200]);
    const address = p.here, level = pick([0, 1, 1, 1, 3]), bare = chance(30);
    for (let n = 6 + below(14); n > 0; n--) instruction(level);
    p.li("a7", END).op("ecall").label(`again${k}`).to("jal", `again${k}`, { rd: 0 });
    const modes = Array.from({ length: 4 }, () => {
      const rights = pick([0, 1, 3, 4, 5, 7]);
      return chance(45) ? 0 : rights | pick([1, 2, 3]) << 3;
    });
    const bounds = modes.map(() => {
      const page = DATA + 4096 * below(DATA_PAGES), ones = below(11);
      return BigInt((page + 8 * below(256)) / 4) & ~((1n << BigInt(ones)) - 1n) | (1n << BigInt(ones)) - 1n;
    });
    // Ranges up to an address begin where the entry before says, and must not take in the code.
    modes.forEach((value, j) => {
      if ((value >> 3 & 3) === 1 && (j === 0 || bounds[j - 1]! < BigInt(DATA / 4))) modes[j] = 0;
    });
    const configuration = modes.reduce((word, value, j) => word | BigInt(value) << BigInt(8 * j), 0n);
    const everything = 0x1fn << BigInt(xlen === 64 ? 56 : 24);
    const value: Record<string, bigint> = {
      mepc: BigInt(!bare && level === 0 ? address - RAM_BASE + userAlias : address),
      medeleg: BigInt(below(0x10000) & 0xb1ff),
      mideleg: BigInt(interrupts()),
      mcounteren: BigInt(below(8)),
      scounteren: BigInt(below(8)),
      sscratch: BigInt(random()),
      sepc: BigInt(address),
      scause: BigInt(below(16)),
      stval: BigInt(random()),
      stvec: BigInt(p.address("supervisor")),
      mip: BigInt(chance(50) ? interrupts() : 0),
      pmpcfg0: configuration,
      pmpaddr15: -1n,
      [xlen === 64 ? "pmpcfg2" : "pmpcfg3"]: everything,
      satp: bare ? 0n : root,
      mie: BigInt(enabled()),
      mstatus: BigInt(status() & ~MSTATUS.MPP & ~MPRV | level << 11),
    };
    bounds.forEach((bound, j) => value[`pmpaddr${j}`] = bound);
    records.push(setup.map((name) => value[name]!));
    const shown = setup.map((name) => `${name} 0x${BigInt.asUintN(xlen, value[name]!).toString(16)}`).join(", ");
    cases.push({ text: `case ${k} at 0x${address.toString(16)}: ${shown}`, address });
  }
  p.align(8).label("records");
  for (const record of [...records, setup.map(() => 0n)]) for (const value of record) p.data(value, size);

  // Data, then tables: from the last level up, one table each; the root maps code twice as the largest page that fits.
  if (p.here > DATA) throw new Error("too many cases");
  p.org(DATA);
  for (let k = 0; k < DATA_PAGES * 1024; k++) p.word(0x1000_0000 + k);
  p.org(TABLES);
  const bits = xlen === 32 ? 10 : 9, levels = xlen === 32 ? 2 : mode - 5;
  const index = (address: number, level: number) => Math.floor(address / 2 ** (12 + bits * level)) % 2 ** bits;
  const entry = (page: number, flags: bigint) => BigInt(page / 4096) << 10n | flags;
  const table = (entries: Record<number, bigint>) => {
    for (let k = 0; k < 4096 / size; k++) p.data(entries[k] ?? 0n, size);
  };
  const all = V | R | W | X | A | D, leafLevel = xlen === 32 ? 1 : 2;
  // Tables above the level of the large pages lead to the next one each.
  let next = TABLES;
  for (let level = levels - 1; level > leafLevel; level--) {
    next += 4096;
    table({ 0: entry(next, V) });
  }
  next += 4096;
  const base = Math.floor(RAM_BASE / 2 ** (12 + bits * leafLevel)) * 2 ** (12 + bits * leafLevel);
  table({
    [index(RAM_BASE, leafLevel)]: entry(base, all),
    [index(userAlias, leafLevel)]: entry(base, all | U),
    [index(DATA_MAPPED, leafLevel)]: entry(next, V),
  });
  for (let level = leafLevel - 1; level > 0; level--) {
    next += 4096;
    table({ [index(DATA_MAPPED, level)]: entry(next, V) });
  }
  table(Object.fromEntries(Array.from({ length: DATA_PAGES }, (_, k) => {
    const flags = V | pick([R, R | W, R | W | X, X, R | X]) | (chance(50) ? U : 0n) | (chance(75) ? A | D : 0n);
    return [index(DATA_MAPPED + 4096 * k, 0), entry(DATA + 4096 * k, flags)];
  })));
  return { elf: p.elf(), cases };
}
