// Random guests for comparing compiled with interpreted execution: loops in loops, calls of every kind, traps, interrupts,
// devices, code that changes itself. They need not end: whoever runs them says after how many instructions to stop.

import { Decoder } from "../../isa/decode.ts";
import type { Extension } from "../../isa/extensions.ts";
import type { Xlen } from "../../isa/instruction.ts";
import { Program, RAM_BASE } from "./assemble.ts";
import { appendHandler, OWN, OWN_SIZE } from "./guest_handler.ts";
import { GuestStatements } from "./guest_statements.ts";
import { RandomProgram, SCRATCH_SIZE, seeded } from "./random_program.ts";

/** Bytes of RAM that a guest lies in: code, data, stack. */
export const GUEST_SIZE = 0x2_0000;

/** Where data begins. */
const DATA = 0xc000;

/** mstatus.FS: floating point is on. */
const MSTATUS_FS = 0x6000;

/** What a guest is made for. */
export interface GuestOptions {
  readonly xlen: Xlen;
  readonly extensions: ReadonlySet<Extension>;
  readonly base: number;
  /** First address after RAM. */
  readonly ramEnd: number;
  readonly seed: number;
  /** Loops go round some hundred times rather than a few. */
  readonly hot: boolean;
}

/** A function of the guest. */
export interface GuestFunction {
  readonly label: string;
  /** Register that it returns by. */
  readonly link: number;
  /** Whether it can be called by any function: it calls none itself. */
  readonly leaf: boolean;
}

/** What the parts of a guest share while it is made. */
export interface GuestContext extends GuestOptions {
  readonly p: Program;
  readonly decoder: Decoder;
  /** Registers that random instructions do not write. */
  readonly kept: Set<number>;
  readonly items: RandomProgram;
  below(limit: number): number;
  of<T>(choices: readonly T[]): T;
  /** A label that was not used before. */
  fresh(): string;
  /** A load or store as wide as a register, of word `word` from `rs1` on. */
  load(rd: number, word: number, rs1: number): void;
  store(rs2: number, word: number, rs1: number): void;
}

/** Stack, scratch memory, the guest's own area, and the counters of loops within one another. */
export const SP = 2, GP = 3, TP = 4, COUNTERS: readonly number[] = [18, 19, 20, 21], DEPTH_COUNTER = 22;

/** Makes the guest of a seed. */
export function randomGuest(options: GuestOptions): Program {
  const random = seeded(options.seed);
  for (let attempt = 0;; attempt++) {
    try {
      return build(options, random);
    } catch (e) {
      // A branch may lead too far; then the next random numbers make another guest.
      if (attempt === 20 || !(e instanceof Error && e.message.includes("has no encoding"))) throw e;
    }
  }
}

function contextOf(options: GuestOptions, random: () => number): GuestContext {
  const { xlen, base, extensions } = options, p = new Program(xlen, base), size = xlen / 8;
  const kept = new Set([SP, GP, TP, ...COUNTERS, DEPTH_COUNTER]);
  const below = (limit: number) => random() % limit;
  let labels = 0;
  return {
    ...options,
    p,
    decoder: new Decoder(xlen, extensions),
    kept,
    items: new RandomProgram(p, "items", random, { extensions, kept }),
    below,
    of: (choices) => choices[below(choices.length)]!,
    fresh: () => `l${labels++}`,
    load: (rd, word, rs1) => void p.op(xlen === 64 ? "ld" : "lw", { rd, rs1, imm: word * size }),
    store: (rs2, word, rs1) => void p.op(xlen === 64 ? "sd" : "sw", { rs2, rs1, imm: word * size }),
  };
}

/** A double or boxed single, mostly one to compute with. */
function floatValue({ below, of }: GuestContext): bigint {
  const view = new DataView(new ArrayBuffer(8));
  const special = [0, -0, 1, -1, 0.1, 3, 2 ** 31, 2 ** 63, -(2 ** 31), 1e300, 1e-310, Infinity, NaN, 2 ** -149, 1e-40];
  const value = below(3) === 0 ? of(special) : (below(2 ** 31) - 2 ** 30) / 2 ** below(40);
  if (below(2) === 0) view.setFloat64(0, value);
  else view.setFloat32(4, value), view.setInt32(0, -1);
  return view.getBigUint64(0);
}

/** Distance from RAM to where it can be seen again, through virtual addresses. */
export const ALIAS = -0x4000_0000;

/** A table of large pages (privileged manual, "Sv32" and "Sv39"): devices and RAM where they are, and RAM again. */
function appendPageTable(p: Program): void {
  const pages: [virtual: number, physical: number][] = [[RAM_BASE, RAM_BASE], [RAM_BASE + ALIAS, RAM_BASE]];
  if (p.xlen === 64) pages.push([0, 0]);
  else pages.push([0x200_0000, 0x200_0000], [0x1000_0000, 0x1000_0000]);
  const size = p.xlen / 8, shift = p.xlen === 64 ? 30 : 22, flags = 0xcf; // D A X W R V
  const entries = new Map(pages.map(([virtual, physical]) => [virtual >>> shift, (physical / 4096) * 1024 + flags]));
  p.align(4096).label("root");
  for (let entry = 0; entry < 4096 / size; entry++) p.data(entries.get(entry) ?? 0, size);
}

function build(options: GuestOptions, random: () => number): Program {
  const c = contextOf(options, random), { p, below, of } = c;
  const functions = Array.from({ length: 3 + below(4) }, (_, k): GuestFunction => ({
    label: `f${k}`,
    link: below(4) === 0 ? 5 : 1,
    leaf: k >= 2 && below(3) === 0,
  }));
  const statements = new GuestStatements(c, functions);

  p.label("entry");
  p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0");
  // Physical memory protection: one region, all of memory, everything allowed.
  p.li("t0", -1).csr("csrrw", "pmpaddr0", 0, "t0").li("t0", 0x1f).csr("csrrw", "pmpcfg0", 0, "t0");
  p.la("tp", "own").la("t0", "restart").li("sp", options.base + GUEST_SIZE);
  for (const word of [OWN.recover, OWN.jump]) c.store(5, word, TP);
  c.store(SP, OWN.jumpStack, TP);
  p.li("t0", of([1, 3, 40, 150, 400]));
  c.store(5, OWN.period, TP);
  p.li("t0", 2 + below(6));
  c.store(5, OWN.rounds, TP);
  for (let register = 5; register < 32; register++) if (!c.kept.has(register)) p.li(register, c.items.value());
  if (options.extensions.has("D")) {
    p.li("t0", MSTATUS_FS).csr("csrrs", "mstatus", 0, "t0").la("t0", "floats");
    for (let register = 0; register < 32; register++) p.op("fld", { rd: register, rs1: "t0", imm: 8 * register });
  }
  p.label("restart").csr("csrrw", "satp", 0, 0).li("sp", options.base + GUEST_SIZE).la("tp", "own").la("gp", "scratch");
  p.li("t0", MSTATUS_FS).csr("csrrs", "mstatus", 0, "t0");
  p.op("addi", { rd: GP, rs1: GP, imm: SCRATCH_SIZE / 2 }).csr("csrrw", "mscratch", 0, "tp");
  for (const counter of COUNTERS) p.op("addi", { rd: counter, rs1: 0, imm: 1 });
  statements.body(-1);
  c.load(5, OWN.rounds, TP);
  p.op("addi", { rd: 5, rs1: 5, imm: -1 });
  c.store(5, OWN.rounds, TP);
  p.to("beq", "finish", { rs1: 5, rs2: 0 }).to("jal", "restart", {}).label("finish");
  if (below(2) === 0) p.li("t0", 0x10_0000).li("t1", of([0x5555, 0x7_3333])).op("sw", { rs1: 5, rs2: 6 });
  p.to("jal", "restart", {});

  const order = functions.map((_, k) => k).sort(() => below(3) - 1);
  let pads = 0;
  for (const k of order) {
    // Now and then, instructions lie across a page's end.
    if (pads < 2 && below(3) === 0) {
      pads++;
      const step = c.decoder.compressed ? 2 : 4;
      p.align(4096).org(p.here + 4096 - step * below(40));
    }
    if (below(3) === 0) p.align(64);
    statements.define(k);
  }
  appendHandler(c);
  statements.rest();

  p.org(options.base + DATA).label("own").org(p.here + OWN_SIZE);
  statements.tables();
  p.align(8).label("floats");
  for (let register = 0; register < 32; register++) p.data(floatValue(c), 8);
  p.align(SCRATCH_SIZE).label("scratch");
  p.bytes(Array.from({ length: SCRATCH_SIZE }, () => random() & 0xff)).label("buffer").org(p.here + 128);
  appendPageTable(p);
  p.build();
  return p;
}
