// Accesses of compiled code by virtual addresses that share one look into the look-aside buffers: over the borders of pages, where
// pages are missing or refuse, over code, devices and watched words, the guest runs as it does interpreted.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Xlen } from "../isa/instruction.ts";
import { assemble, Program, RAM_BASE } from "./support/assemble.ts";
import { RAM_SIZE, WIDTHS } from "./support/guest.ts";
import { compareRuns, Subject } from "./support/lockstep_guest.ts";

const V = 1, R = 2, W = 4, X = 8, U = 16, A = 64, D = 128, ALL = V | R | W | X | A | D;
/** Where the tables, the data pages and the code that is written over lie. */
const TABLES = RAM_BASE + 0x1_0000, DATA = RAM_BASE + 0x2_0000, CODE = DATA + 0x10_000;
/** First virtual address of the pages below; everything else is where it is. */
const PAGES = 0x4000_0000;
/** Physical pages and permissions of the virtual ones. Two of them are neighbours here and there. */
const MAPPED: readonly (readonly [page: number, flags: number])[] = [
  [DATA, V | R | W | A | D],
  [DATA + 0x3000, V | R | W | A | D],
  [DATA + 0x4000, V | R | W | A | D],
  [DATA + 0x6000, V | R | A | D],
  [DATA + 0x7000, V | R | W | A],
  [DATA + 0x8000, V | R | W],
  [DATA, 0],
  [DATA + 0x9000, V | W | A | D],
  [CODE, V | R | W | A | D],
  [0x1000_0000, V | R | W | A | D],
  [0x9_0000, V | R | W | A | D],
  [DATA + 0xa000, V | R | W | A | D],
  [DATA + 0xb000, V | R | W | U | A | D],
];
/** Bytes of all of them. */
const ALL_BYTES = MAPPED.length * 4096;
/** menvcfg.ADUE, in its upper word. */
const ADUE = 1 << 29;

/** Page tables for the mapped pages, and one large page with all of RAM. */
function tables(p: Program): void {
  const { xlen } = p, size = xlen / 8, levels = xlen === 32 ? 2 : 3, bits = xlen === 32 ? 10 : 9;
  const entry = (page: number, flags: number) => page / 4096 * 1024 + flags;
  const at = (table: number, index: number, value: number) =>
    p.org(TABLES + table * 4096 + index * size).data(value, size);
  const top = 12 + bits * (levels - 1);
  at(0, PAGES / 2 ** top, entry(TABLES + 4096, V));
  at(0, RAM_BASE / 2 ** top, entry(RAM_BASE, ALL));
  if (levels === 3) at(1, 0, entry(TABLES + 8192, V));
  MAPPED.forEach(([page, flags], k) => at(levels - 1, k, entry(page, flags)));
}

/** How a loop goes through the pages. */
interface Walk {
  /** Added to the address in each turn; it begins anew after so many bytes. */
  readonly step: number;
  readonly bytes: number;
  /** Distance of the first address. */
  readonly start?: number;
  /** Whether the hart sets the bits A and D itself. */
  readonly setsBits?: boolean;
  /** How far traps go on after the instruction that they come from. */
  readonly skip?: number;
}

/**
 * A loop of supervisor mode around `body`, with s0 and sp in the pages; s2 counts its turns. Traps go on with the next
 * instruction. Each turn calls the end of the code page.
 */
function loop(
  xlen: Xlen,
  { step, bytes, start = 0, setsBits = false, skip = 4 }: Walk,
  body: (p: Program) => void,
): Program {
  const p = new Program(xlen);
  p.la("t0", "trap").csr("csrrw", "mtvec", 0, "t0").li("t0", -1).csr("csrrw", "pmpaddr0", 0, "t0");
  p.li("t0", 0x1f).csr("csrrw", "pmpcfg0", 0, "t0").li("t0", 1 << 11).csr("csrrw", "mstatus", 0, "t0");
  if (setsBits) {
    if (xlen === 32) p.li("t0", ADUE | 0).csr("csrrw", "menvcfgh", 0, "t0");
    else p.li("t0", BigInt(ADUE) << 32n).csr("csrrw", "menvcfg", 0, "t0");
  }
  const mode = xlen === 32 ? 0x8000_0000n : 8n << 60n;
  p.li("t0", BigInt.asIntN(xlen, mode | BigInt(TABLES / 4096))).csr("csrrw", "satp", 0, "t0").op("sfence.vma");
  p.la("t0", "main").csr("csrrw", "mepc", 0, "t0").li("s4", CODE + 4096 - 32).li("s5", PAGES).li("s6", bytes);
  p.li("s7", TABLES + (xlen === 32 ? 4096 : 8192)).op("mret");
  p.label("main").li("s3", start).label("loop").op("addi", { rd: "s2", rs1: "s2", imm: 1 });
  p.op("add", { rd: "s0", rs1: "s5", rs2: "s3" }).op("addi", { rd: "sp", rs1: "s0", imm: 0 }).to("jal", "body");
  p.label("body").op("addi", { rd: "a6", rs1: "a6", imm: 1 });
  body(p);
  p.op("add", { rd: "a7", rs1: "a7", rs2: "a0" }).op("xor", { rd: "a7", rs1: "a7", rs2: "a1" });
  p.op("jalr", { rd: "ra", rs1: "s4" });
  p.op("addi", { rd: "s3", rs1: "s3", imm: step }).to("bltu", "loop", { rs1: "s3", rs2: "s6" }).to("jal", "main");
  p.align(4).label("trap").csr("csrrs", "mepc", "t1", 0).op("addi", { rd: "t1", rs1: "t1", imm: skip });
  p.csr("csrrw", "mepc", 0, "t1").csr("csrrs", "mcause", "t1", 0).op("add", { rd: "s8", rs1: "s8", rs2: "t1" });
  p.csr("csrrs", "mtval", "t1", 0).op("xor", { rd: "s9", rs1: "s9", rs2: "t1" });
  p.op("addi", { rd: "s10", rs1: "s10", imm: 1 }).op("mret");
  tables(p);
  p.org(CODE);
  for (let k = 0; k < 1024; k++) p.word(assemble(xlen, "addi", { rd: "a0", rs1: "a0", imm: 1 }));
  return p.word(assemble(xlen, "jalr", { rd: 0, rs1: "ra" }));
}

const load = (p: Program, rd: string, rs1: string, imm: number) => p.op("lw", { rd, rs1, imm });
const store = (p: Program, rs1: string, rs2: string, imm: number) => p.op("sw", { rs1, rs2, imm });
/** Puts an instruction into a2 that differs from turn to turn. */
function changing(p: Program): Program {
  p.op("andi", { rd: "a2", rs1: "s2", imm: 0x3f8 }).op("slli", { rd: "a2", rs1: "a2", imm: 20 });
  return p.li("a3", assemble(p.xlen, "addi", { rd: "a0", rs1: "a0", imm: 0 })).op("or", {
    rd: "a2",
    rs1: "a2",
    rs2: "a3",
  });
}

/** The compiled code of the loop's body. */
const bodyText = ({ machine }: Subject, p: Program) =>
  machine.explainCode(`0x${p.address("body").toString(16)}..0x${(p.address("trap") - 4).toString(16)}`) ?? "";

async function compare(p: Program, cpu = "", watch?: (subject: Subject) => void): Promise<void> {
  const subjects: Subject[] = [];
  for (const accel of ["interpreter", "jit,threshold=2,target=webassembly", "jit,threshold=2,target=javascript"]) {
    subjects.push(await Subject.create({ cpu: `rv${p.xlen}${cpu}`, memory: RAM_SIZE, accel }));
  }
  let shared = 0;
  subjects[1]!.machine.onCompile = (code) => {
    if (code.javascript.includes("call $slowRange")) shared++;
  };
  // The stop after most of it comes before checks that fail often are no longer shared.
  const run = { stops: [300, 1, 57, 3000, 5, 60_000, 3, 9000], address: RAM_BASE, length: RAM_SIZE };
  const prepare = (subject: Subject) => {
    subject.load(p);
    watch?.(subject);
  };
  assert.equal(await compareRuns(subjects, prepare, run), undefined);
  for (const { machine } of subjects.slice(1)) {
    assert.ok(machine.compilerStatistics!.executed > 5000, "it ran compiled");
  }
  assert.ok(shared > 0, "checks were shared");
}

for (const xlen of WIDTHS) {
  const scheme = `RV${xlen}, Sv${xlen === 32 ? 32 : 39}`;

  test(`${scheme}: frames anywhere in pages of all kinds are stored to and loaded from as if each access were alone`, async () => {
    for (const [base, start] of [["sp", 0], ["sp", 60], ["s0", 124], ["sp", 180], ["s0", 240], ["sp", 308]] as const) {
      await compare(loop(xlen, { step: 364, bytes: ALL_BYTES - 64, start }, (p) => {
        changing(p);
        store(p, base, "a2", 12), store(p, base, "a2", 0), load(p, "a0", base, 8), store(p, base, "a2", 4);
        p.op("addi", { rd: base, rs1: base, imm: 16 }), store(p, base, "a2", 0), load(p, "a1", base, -16);
      }));
    }
  });

  test(`${scheme}: loads alone need no page that can be written`, async () => {
    for (const start of [0, 64, 120, 300]) {
      await compare(loop(xlen, { step: 364, bytes: ALL_BYTES - 64, start }, (p) => {
        load(p, "a0", "s0", 0), load(p, "a1", "s0", 20), p.op("add", { rd: "a4", rs1: "a4", rs2: "a1" });
        p.op("lbu", { rd: "a1", rs1: "s0", imm: 7 }).op("lh", { rd: "a3", rs1: "s0", imm: 18 });
        p.op("add", { rd: "a1", rs1: "a1", rs2: "a3" });
      }));
    }
  });

  test(`${scheme}: a page's accessed and dirty bits are set by the access that needs them, not before`, async () => {
    await compare(
      loop(xlen, { step: 52, bytes: 6 * 4096 - 64, start: 4 * 4096 - 256, setsBits: true, skip: 8 }, (p) => {
        // The one from t2 traps, which lets the store be passed over.
        load(p, "a0", "s0", 0), load(p, "a1", "s0", 8), load(p, "a1", "s4", 0), load(p, "a3", "s5", 0x640);
        p.li("t2", -4096), load(p, "a4", "t2", 0), store(p, "s0", "s2", 16);
        // Forgets what was set every so often.
        p.op("andi", { rd: "t2", rs1: "s2", imm: 31 }).to("bne", "kept", { rs1: "t2", rs2: 0 });
        for (const page of [4, 5]) {
          p.op(xlen === 32 ? "lw" : "ld", { rd: "t2", rs1: "s7", imm: page * xlen / 8 });
          p.op("andi", { rd: "t2", rs1: "t2", imm: ~(A | D) });
          p.op(xlen === 32 ? "sw" : "sd", { rs1: "s7", rs2: "t2", imm: page * xlen / 8 });
        }
        p.op("sfence.vma").label("kept");
      }),
      ",svadu=on",
    );
  });

  test(`${scheme}: a page that is mapped elsewhere between two accesses is looked up again`, async () => {
    const size = xlen / 8, wide = (name: string) => xlen === 32 ? name.replace("d", "w") : name;
    await compare(loop(xlen, { step: 8, bytes: 2048 }, (p) => {
      load(p, "a0", "s0", 0), store(p, "s0", "s2", 4);
      // Pages 0 and 11 change places.
      for (const [rd, page] of [["t2", 0], ["t3", 11]] as const) p.op(wide("ld"), { rd, rs1: "s7", imm: page * size });
      for (const [rs2, page] of [["t3", 0], ["t2", 11]] as const) {
        p.op(wide("sd"), { rs1: "s7", rs2, imm: page * size });
      }
      p.op("sfence.vma"), load(p, "a1", "s0", 0), store(p, "s0", "a0", 8), store(p, "s0", "a7", 12);
    }));
  });

  test(`${scheme}: a page of user mode is refused after sstatus.SUM was cleared between two accesses`, async () => {
    const SUM = 1 << 18;
    await compare(loop(xlen, { step: 8, bytes: 13 * 4096 - 64, start: 12 * 4096 }, (p) => {
      p.li("t2", SUM).csr("csrrs", "sstatus", 0, "t2"), store(p, "s0", "s2", 0), load(p, "a0", "s0", 4);
      p.csr("csrrc", "sstatus", 0, "t2"), load(p, "a1", "s0", 0), store(p, "s0", "a0", 8);
    }));
  });

  test(`${scheme}: misaligned accesses of a frame are made where they lie, in two pages, too`, async () => {
    for (const start of [0, 85, 300]) {
      await compare(loop(xlen, { step: 363, bytes: 7 * 4096, start }, (p) => {
        store(p, "sp", "s2", 3), load(p, "a0", "sp", 1), store(p, "sp", "a0", 9), load(p, "a1", "sp", 6);
        p.op("sh", { rs1: "sp", rs2: "s2", imm: 15 }).op("lhu", { rd: "a4", rs1: "sp", imm: 13 });
      }));
    }
  });

  test(`${scheme}: a script sees each access to a word of the frame that it watches`, async () => {
    for (const kinds of [1, 2, 3]) {
      const seen: string[][] = [];
      const program = loop(xlen, { step: 4, bytes: 128, start: 32 }, (p) => {
        store(p, "sp", "s2", 0), load(p, "a0", "sp", 4), store(p, "sp", "a7", 8), load(p, "a1", "sp", 0);
      });
      await compare(program, "", ({ machine }) => {
        const log: string[] = [];
        seen.push(log);
        machine.watchpoints.add({
          first: BigInt(PAGES + 64),
          last: BigInt(PAGES + 67),
          space: "virtual",
          kinds,
          hit: ({ kind, address, value }) => void log.push(`${kind} ${address.toString(16)} ${value.toString(16)}`),
        });
      });
      assert.ok(seen[0]!.length > 50);
      for (const log of seen.slice(1)) assert.deepEqual(log, seen[0]);
    }
  });

  test(`${scheme}: a frame that always lies in two pages soon has no check to share`, async () => {
    const program = loop(xlen, { step: 0, bytes: 4096, start: 4096 - 8 }, (p) => {
      store(p, "sp", "s2", 0), load(p, "a0", "sp", 4), store(p, "sp", "a0", 8), load(p, "a1", "sp", 12);
    });
    const subject = await Subject.create({ cpu: `rv${xlen}`, memory: RAM_SIZE, accel: "jit,threshold=2" });
    subject.load(program);
    const { machine } = subject, missed = () => machine.compilerStatistics!.exits.missed;
    await machine.run({ maxInstructions: 1000 });
    assert.match(bodyText(subject, program), /call \$slowRange/);
    assert.ok(missed() > 10, "it leaves each time");
    await machine.run({ maxInstructions: 40_000 });
    const before = missed();
    await machine.run({ maxInstructions: 20_000 });
    assert.ok(before > 100 && missed() - before < 5, "it stays in compiled code");
  });
}
