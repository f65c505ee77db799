// What random guests are made of: statements, each a few instructions, within one another.

import { assemble, csrNumber, RAM_BASE } from "./assemble.ts";
import { OWN } from "./guest_handler.ts";
import { ALIAS, COUNTERS, DEPTH_COUNTER, GP, type GuestContext, type GuestFunction, SP, TP } from "./random_guest.ts";

/** Registers for addresses and values between two instructions of a statement. */
const TEMPORARIES = [6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31];
const LINKS = [1, 5];

const MTIME = 0x200_bff8, MTIMECMP = 0x200_4000, MSIP = 0x200_0000, UART = 0x1000_0000;
/** Addresses that loops read, of device registers, ROM and nothing, and those relative to the end of RAM. */
const READS = [MTIME, MTIME + 4, MTIMECMP, MSIP, UART + 5, UART + 2, UART + 7, 0x10_0000]
  .concat(0x1000, 0x1000, 0x1003, 0x101e, 0x1800_0000, 0, 0xfff, 0xffff_fff0, RAM_BASE - 2, RAM_BASE);
const READS_AT_END = [-8, -3, 0];
/** Addresses that loops write. UART + 0 prints. */
const WRITES = [UART, UART, UART + 7, UART + 1, MTIME, MSIP + 4, 0x1000, 0x1800_0000, RAM_BASE - 2];
const WRITES_AT_END = [-4, -3];
const READ_CSRS = "mcycle minstret cycle time instret mip mie mstatus mtvec mepc mcause mtval misa mhartid".split(" ");
const SLOTS = 8, WORDS = 16, TEMPLATES = 3, TEMPLATE_WORDS = 6;

/** Appends statements to a guest. */
export class GuestStatements {
  readonly #c: GuestContext;
  readonly #functions: readonly GuestFunction[];
  readonly #reads: readonly number[];
  readonly #writes: readonly number[];
  /** Number of the function that is being made; -1 for what is outside of all. */
  #function = -1;
  #inline: string[] = [];
  #unplacedSlots = Array.from({ length: SLOTS }, (_, k) => k);
  #switches: string[][] = [];

  constructor(c: GuestContext, functions: readonly GuestFunction[]) {
    this.#c = c;
    this.#reads = [...READS, ...READS_AT_END.map((offset) => c.ramEnd + offset)];
    this.#writes = [...WRITES, ...WRITES_AT_END.map((offset) => c.ramEnd + offset)];
    this.#functions = functions;
  }

  #temporaries(count: number): number[] {
    const free = TEMPORARIES.filter((register) => !this.#c.kept.has(register)), picked: number[] = [];
    while (picked.length < count) picked.push(...free.splice(this.#c.below(free.length), 1));
    return picked;
  }
  #temporary(): number {
    return this.#temporaries(1)[0]!;
  }
  #any(): number {
    return this.#c.below(32);
  }

  // Functions.

  /** Appends statements outside of any function, or of a function. */
  body(number: number): void {
    this.#function = number;
    for (let k = 2 + this.#c.below(4); k > 0; k--) this.#statement(0);
  }

  /** Appends a function. */
  define(number: number): void {
    const { p, below, of, kept, items } = this.#c, { label, link, leaf } = this.#functions[number]!;
    p.label(label);
    if (leaf) {
      kept.add(link);
      for (let k = 1 + below(6); k > 0; k--) items.item();
      if (below(3) === 0) this.#slot();
      kept.delete(link);
      this.#return(link);
      return;
    }
    const saved = [link, ...COUNTERS], frame = 16 * Math.ceil(saved.length * this.#c.xlen / 8 / 16);
    p.op("addi", { rd: SP, rs1: SP, imm: -frame });
    saved.forEach((register, k) => this.#c.store(register, k, SP));
    const recursive = below(5) === 0;
    if (recursive) {
      // As many times as the counter says.
      p.op("addi", { rd: DEPTH_COUNTER, rs1: DEPTH_COUNTER, imm: -1 });
      p.to("bge", `${label}.deep`, { rs1: 0, rs2: DEPTH_COUNTER });
      if (below(2) === 0) items.item();
      p.to("jal", label, { rd: link });
      if (below(2) === 0) items.item();
      p.label(`${label}.deep`);
    }
    this.body(number);
    saved.forEach((register, k) => this.#c.load(register, k, SP));
    p.op("addi", { rd: SP, rs1: SP, imm: frame });
    const later = this.#functions.slice(number + 1).filter((f) => f.link === link);
    if (later.length > 0 && below(4) === 0) p.to("jal", of(later).label);
    else this.#return(link);
  }

  #return(link: number): void {
    const { p, below, decoder } = this.#c;
    // Sometimes behind the instruction after the call, or to an odd address, or where there is none or its middle.
    const dice = below(12);
    if (dice < 3) p.op("jalr", { rs1: link, imm: [4, 1, 2][dice]! });
    else if (decoder.compressed && dice < 7) p.op("c.jr", { rs1: link });
    else p.op("jalr", { rs1: link });
  }

  // Statements.

  #statement(depth: number): void {
    const { below, of } = this.#c, dice = below(100);
    if (dice < 20) { for (let k = 1 + below(4); k > 0; k--) this.#c.items.item(); }
    else if (dice < 22) this.#walk(depth);
    else if (dice < 36 && depth < 3) this.#loop(depth);
    else if (dice < 42 && depth < 4) this.#condition(depth);
    else if (dice < 54) this.#call();
    else if (dice < 60) this.#device();
    else if (dice < 63) this.#csr();
    else if (dice < 65) this.#floats();
    else if (dice < 68) this.#interrupt();
    else if (dice < 78) this.#change();
    else if (dice < 80) this.#copy();
    else if (dice < 83) this.#data();
    else if (dice < 86) this.#middle();
    else if (dice < 88) this.#switch();
    else if (dice < 90) this.#retry();
    else if (dice < 91) this.#wait();
    else if (dice < 92) of([() => this.#user(), () => this.#alias(), () => this.#virtual()])();
    else if (dice < 93) this.#protection();
    else if (dice < 95) this.#longJump();
    else if (dice < 96) this.#slot();
    else if (dice < 98) this.#c.p.op("ebreak");
    else if (dice < 99) this.#memory();
    else this.#walk(depth);
  }
  #statements(depth: number): void {
    for (let k = 1 + this.#c.below(depth > 1 ? 2 : 3); k > 0; k--) this.#statement(depth);
  }

  #rounds(depth: number): number {
    const { below, hot } = this.#c;
    if (below(4) !== 0) return 1 + below(hot ? 30 : 6);
    return depth === 0 ? 1 + below(20) : hot ? 100 + below(600) : 5 + below(40);
  }

  /** Loops of several shapes, some of them left in the middle, some with two entrances. */
  #loop(depth: number): void {
    const { p, below, fresh } = this.#c, counter = COUNTERS[depth]!, rounds = this.#rounds(depth);
    const head = fresh(), end = fresh(), middle = fresh();
    const leave = () => {
      if (below(3) === 0) p.to(below(2) === 0 ? "beq" : "bltu", end, { rs1: this.#any(), rs2: this.#any() });
    };
    switch (below(4)) {
      case 0:
        p.li(counter, rounds).label(head);
        this.#statements(depth + 1);
        leave();
        p.op("addi", { rd: counter, rs1: counter, imm: -1 });
        if (below(2) === 0) p.to("bne", head, { rs1: counter });
        else p.to("blt", head, { rs2: counter });
        break;
      case 1: {
        const limit = this.#temporary();
        p.li(counter, 0).label(head);
        this.#statements(depth + 1);
        p.op("addi", { rd: counter, rs1: counter, imm: 1 }).li(limit, rounds);
        p.to("blt", head, { rs1: counter, rs2: limit });
        break;
      }
      case 2:
        p.li(counter, rounds).label(head).to("beq", end, { rs1: counter, rs2: 0 });
        p.op("addi", { rd: counter, rs1: counter, imm: -1 });
        this.#statements(depth + 1);
        leave();
        p.to("jal", head);
        break;
      default:
        p.li(counter, rounds).to("bltu", middle, { rs1: this.#any(), rs2: this.#any() }).label(head);
        this.#c.items.item();
        p.label(middle);
        this.#statements(depth + 1);
        p.op("addi", { rd: counter, rs1: counter, imm: -1 });
        if (below(2) === 0) p.to("beq", end, { rs1: counter, rs2: 0 }).to("blt", middle, { rs1: this.#any(), rs2: GP });
        p.to("blt", head, { rs1: 0, rs2: counter });
    }
    p.label(end);
  }

  #condition(depth: number): void {
    const { p, of, below, fresh } = this.#c, otherwise = fresh(), end = fresh();
    const name = of(["beq", "bne", "blt", "bge", "bltu", "bgeu"]);
    // Counters make conditions that are sometimes true.
    const rs1 = below(2) === 0 ? of(COUNTERS) : this.#any();
    p.to(name, otherwise, { rs1, rs2: this.#any() });
    this.#statements(depth + 1);
    if (below(2) === 0) {
      p.to("jal", end).label(otherwise);
      this.#statements(depth + 1);
    } else p.label(otherwise);
    p.label(end);
  }

  /** A call of a function that comes later in the list, so that it ends, by all means there are. */
  #call(): void {
    const { p, below, of, decoder, fresh } = this.#c;
    const callable = this.#functions.slice(this.#function + 1);
    if (callable.length === 0) return this.#c.items.item();
    const f = of(callable), link = below(16) === 0 ? of(LINKS) : f.link;
    p.li(DEPTH_COUNTER, of([1, 3, 10, 30, 260]));
    if (below(5) === 0) {
      // A place to jump back to from wherever it calls.
      const t = this.#temporary(), back = fresh();
      p.la(t, back);
      this.#c.store(t, OWN.jump, TP);
      this.#c.store(SP, OWN.jumpStack, TP);
      p.to("jal", f.label, { rd: link }).label(back);
      return;
    }
    const kind = below(5), [t, index] = this.#temporaries(2) as [number, number];
    if (kind < 2) {
      if (link === 1 && this.#c.xlen === 32 && decoder.compressed && below(2) === 0) {
        const near = fresh();
        p.to("c.jal", near).to("jal", f.label, {}).label(near);
      }
      p.to("jal", f.label, { rd: link });
    } else if (kind === 2) {
      p.la(t, f.label);
      if (link === 1 && decoder.compressed && below(2) === 0) p.op("c.jalr", { rs1: t });
      else p.op("jalr", { rd: link, rs1: t });
    } else if (kind === 3) {
      // Through the register of the link itself.
      p.la(link, f.label).op("jalr", { rd: link, rs1: link });
    } else {
      const shift = this.#c.xlen === 64 ? 3 : 2, same = callable.filter((other) => other.link === link);
      if (same.length === 0) return;
      p.op("andi", { rd: index, rs1: of(COUNTERS), imm: 3 }).op("slli", { rd: index, rs1: index, imm: shift });
      p.la(t, this.#table(Array.from({ length: 4 }, () => of(same).label))).op("add", { rd: t, rs1: t, rs2: index });
      this.#c.load(t, 0, t);
      p.op("jalr", { rd: link, rs1: t });
    }
  }
  #table(labels: string[]): string {
    return `table${this.#switches.push(labels) - 1}`;
  }

  #device(): void {
    const { p, of, below, xlen } = this.#c, [t, value] = this.#temporaries(2) as [number, number];
    if (below(3) > 0) {
      const loads = xlen === 64 ? ["lb", "lbu", "lh", "lw", "lw", "lwu", "ld"] : ["lb", "lbu", "lh", "lhu", "lw"];
      this.#address(t, of(this.#reads));
      p.op(of(loads), { rd: below(4) === 0 ? t : value, rs1: t });
    } else {
      this.#address(t, of(this.#writes));
      p.op("addi", { rd: value, rs1: of(COUNTERS), imm: 65 });
      p.op(of(xlen === 64 ? ["sb", "sb", "sh", "sw", "sd"] : ["sb", "sb", "sh", "sw"]), { rs1: t, rs2: value });
    }
  }
  /** An address; on RV64 sometimes another that only differs in its upper half. */
  #address(t: number, address: number): void {
    const { p, xlen, below } = this.#c;
    if (xlen === 64 && below(6) === 0) p.li(t, address | 0);
    else if (xlen === 64 && below(8) === 0) p.li(t, BigInt(address) | 1n << 32n);
    else p.li(t, address);
  }

  #csr(): void {
    const { p, of, below, xlen } = this.#c, t = this.#temporary();
    const kind = below(8);
    if (kind < 3) {
      const name = of(xlen === 32 ? [...READ_CSRS, "mcycleh", "minstreth", "timeh"] : READ_CSRS);
      p.csr("csrrs", name, this.#writable(), 0);
    } else if (kind < 5) {
      p.csri(of(["csrrsi", "csrrci", "csrrsi"]), "mstatus", this.#writable(), 8);
    } else if (kind === 5) {
      p.li(t, of([0x88, 0x80, 8])).csr(of(["csrrs", "csrrs", "csrrc"]), "mie", this.#writable(), t);
    } else if (kind === 6) {
      p.op("csrrw", { rd: t, rs1: t, imm: csrNumber(of(["mcycle", "minstret", "mcountinhibit", "mtval"])) });
    } else {
      const vectored = below(2);
      p.la(t, vectored === 1 ? "vectors" : "handler").op("addi", { rd: t, rs1: t, imm: vectored });
      p.csr("csrrw", "mtvec", 0, t);
    }
  }
  /** Rounding modes, reserved ones too; flags; the state of floating point. All in the midst of instructions that want to know. */
  #floats(): void {
    const { p, below, of, extensions, items } = this.#c, t = this.#temporary();
    if (!extensions.has("F")) return items.item();
    items.float();
    if (below(2) === 0) {
      const [name, value] = of([["frm", below(8)], ["fflags", below(32)], ["fcsr", below(256)]] as const);
      p.li(t, value).csr(of(["csrrw", "csrrs"]), name, this.#writable(), t);
      items.float();
      if (below(3) > 0) p.csri("csrrwi", "frm", 0, 0);
    } else p.li(t, of([0x6000, 0x2000])).csr("csrrc", "mstatus", this.#writable(), t);
    for (let k = below(4); k > 0; k--) items.float();
    if (below(4) > 0) p.li(t, 0x6000).csr("csrrs", "mstatus", 0, t);
  }

  #writable(): number {
    for (;;) {
      const register = this.#any();
      if (!this.#c.kept.has(register) && !(this.#function < 0 && LINKS.includes(register))) return register;
    }
  }

  /** Sets the timer to a moment soon, or raises the software interrupt. */
  #interrupt(): void {
    const { p, of, below } = this.#c, [t, value] = this.#temporaries(2) as [number, number];
    if (below(2) === 0) {
      p.li(t, 0x88).csr("csrrs", "mie", 0, t);
      if (below(2) === 0) p.csri("csrrsi", "mstatus", 0, 8);
    }
    if (below(4) === 0 && this.#c.decoder.compressed) p.li(8, MSIP).li(9, 1).op("c.sw", { rs1: 8, rs2: 9 });
    else if (below(3) === 0) p.li(t, MSIP).op("addi", { rd: value, rs1: 0, imm: 1 }).op("sw", { rs1: t, rs2: value });
    else this.#timer(t, value, of([0, 1, 2, 5, 11, 40, 90]));
  }
  #timer(t: number, value: number, ticks: number): void {
    const { p } = this.#c;
    p.li(t, MTIME).op("lw", { rd: value, rs1: t }).op("addi", { rd: value, rs1: value, imm: ticks });
    p.li(t, MTIMECMP).op("sw", { rs1: t, rs2: value });
  }
  #wait(): void {
    const { p, of } = this.#c, [t, value] = this.#temporaries(2) as [number, number];
    p.li(t, 0x80).csr("csrrs", "mie", 0, t);
    this.#timer(t, value, of([0, 1, 7, 1000]));
    p.op("wfi");
  }

  /** In user or supervisor mode up to an ECALL. */
  #user(): void {
    const { p, of, fresh, items, below } = this.#c, t = this.#temporary(), label = fresh();
    p.la(t, label).csr("csrrw", "mepc", 0, t).li(t, of([0x1800, 0x1800, 0x1000])).csr("csrrc", "mstatus", 0, t);
    p.op("mret").label(label);
    for (let k = 1 + below(3); k > 0; k--) items.item();
    if (below(3) === 0) this.#device();
    if (below(3) === 0) this.#csr();
    if (below(3) === 0) this.#walk(3);
    p.op("ecall");
  }

  /** Memory as user mode sees it, which may see all of it, or only read, or nothing. */
  #protection(): void {
    const { p, of, items, below } = this.#c, [t, value] = this.#temporaries(2) as [number, number];
    p.li(t, of([0x1f, 0x19, 0x18, 0])).csr("csrrw", "pmpcfg0", 0, t);
    p.li(t, 0x1800).csr("csrrc", "mstatus", 0, t).li(t, 0x2_0000).csr("csrrs", "mstatus", 0, t);
    p.op("lw", { rd: value, rs1: GP, imm: 4 * below(8) }).op("addi", { rd: value, rs1: value, imm: 1 });
    p.op("sw", { rs1: GP, rs2: value, imm: 4 * below(8) });
    if (below(2) === 0) items.item();
    p.csr("csrrc", "mstatus", 0, t).li(t, 0x1f).csr("csrrw", "pmpcfg0", 0, t);
  }

  /** Turns translation on for whoever is not in machine mode. */
  #translate(t: number, u: number): void {
    const { p, xlen } = this.#c;
    p.la(t, "root").op("srli", { rd: t, rs1: t, imm: 12 }).li(u, xlen === 64 ? 8n << 60n : 1n << 31n);
    p.op("or", { rd: t, rs1: t, rs2: u }).csr("csrrw", "satp", 0, t).op("sfence.vma");
  }

  /** Writes to code through another address of it, in machine mode with the eyes of supervisor mode. */
  #alias(): void {
    const { p, below } = this.#c, [t, value, u] = this.#temporaries(3) as [number, number, number];
    this.#translate(t, u);
    p.la(t, "words").op("lw", { rd: value, rs1: t, imm: 4 * below(8) }).la(t, `slot${below(SLOTS)}`);
    if (below(4) > 0) p.li(u, ALIAS).op("add", { rd: t, rs1: t, rs2: u });
    p.li(u, 0x1800).csr("csrrc", "mstatus", 0, u).li(u, 0x2_0800).csr("csrrs", "mstatus", 0, u);
    p.op("sw", { rs1: t, rs2: value });
    if (below(2) === 0) this.#c.items.item();
    p.csr("csrrc", "mstatus", 0, u).csr("csrrw", "satp", 0, 0);
  }

  /** In supervisor mode with virtual addresses up to an ECALL, changing code there perhaps. */
  #virtual(): void {
    const { p, fresh, items, below } = this.#c, [t, u] = this.#temporaries(2) as [number, number], label = fresh();
    this.#translate(t, u);
    p.la(t, label).csr("csrrw", "mepc", 0, t).li(t, 0x1000).csr("csrrc", "mstatus", 0, t);
    p.li(t, 0x800).csr("csrrs", "mstatus", 0, t).op("mret").label(label);
    for (let k = 1 + below(3); k > 0; k--) items.item();
    if (below(2) === 0) this.#change();
    if (below(3) === 0) this.#call();
    p.op("ecall").csr("csrrw", "satp", 0, 0);
  }

  #longJump(): void {
    const { p, fresh, below, of } = this.#c, t = this.#temporary(), over = fresh();
    // Not each time.
    p.op("andi", { rd: t, rs1: of(COUNTERS), imm: 1 + below(7) }).to("bne", over, { rs1: t, rs2: 0 });
    this.#c.load(t, OWN.jump, TP);
    this.#c.load(SP, OWN.jumpStack, TP);
    p.op("jalr", { rs1: t }).label(over);
  }

  // Code that changes.

  #alignWord(): void {
    const { p } = this.#c;
    if (p.here % 4 !== 0) p.half(0x0001); // c.nop
  }

  /** An instruction that others overwrite. */
  #slot(): void {
    const number = this.#unplacedSlots.pop();
    this.#alignWord();
    if (number !== undefined) this.#c.p.label(`slot${number}`);
    this.#c.p.op("addi", { rd: this.#temporary(), rs1: this.#any(), imm: this.#c.below(100) });
  }

  /** Instructions to write over others. */
  #words(): number[] {
    const { xlen, below, of, decoder, hot } = this.#c, random: number[] = [];
    const value = () => ({ rd: this.#temporary(), rs1: this.#any(), imm: below(512) - 256 });
    const make: (() => number)[] = [
      ...["addi", "addi", "xori", "ori", "slti"].map((name) => () => assemble(xlen, name, value())),
      () => assemble(xlen, "lui", { rd: this.#temporary(), imm: below(256) << 12 }),
      () => assemble(xlen, "add", { rd: this.#temporary(), rs1: this.#any(), rs2: this.#any() }),
      () => assemble(xlen, "lw", { rd: this.#temporary(), rs1: GP, imm: 4 * below(16) }),
      () => assemble(xlen, "sw", { rs1: GP, rs2: this.#any(), imm: 4 * below(16) }),
      () => assemble(xlen, "csrrs", { rd: this.#temporary(), imm: csrNumber(of(["minstret", "mcycle"])) }),
      () => assemble(xlen, "jal", { imm: of([4, 8, 4, 12]) }),
      () => assemble(xlen, "beq", { rs1: this.#any(), rs2: this.#any(), imm: 8 }),
      () => assemble(xlen, of(["ecall", "ebreak", "fence.i", "fence"])),
      () => 0,
      () => decoder.compressed ? 0x0001_0001 + (below(4) << 2) + (this.#temporary() << 7) : 0x13,
    ];
    const cold = hot ? make.slice(0, 9) : make;
    while (random.length < WORDS) random.push(of(cold)());
    return random;
  }

  /** Overwrites a slot, whole or in part, in its own block, before or behind it, or anywhere else. */
  #change(): void {
    const { p, below, of, xlen, decoder } = this.#c,
      [t, value, index] = this.#temporaries(3) as [number, number, number];
    p.la(t, "words");
    if (below(2) === 0) {
      p.op("andi", { rd: index, rs1: of(COUNTERS), imm: 7 }).op("slli", { rd: index, rs1: index, imm: 2 });
      p.op("add", { rd: t, rs1: t, rs2: index });
    }
    p.op("lw", { rd: value, rs1: t, imm: 4 * below(8) });
    const here = below(2) === 0 && this.#unplacedSlots.length > 0;
    const before = here && below(3) === 0;
    const slot = here ? this.#unplacedSlots.at(-1)! : below(SLOTS);
    if (before) this.#slot();
    p.la(t, `slot${slot}`);
    switch (below(xlen === 64 ? 8 : 7)) {
      case 0:
        p.op("sb", { rs1: t, rs2: value, imm: 3 });
        break;
      case 1:
        // Across its end, or its beginning.
        p.op("sh", { rs1: t, rs2: value, imm: of([2, 2, 3, -1]) });
        break;
      case 2:
        p.op("amoswap.w", { rd: of([0, value, index]), rs1: t, rs2: value });
        break;
      case 3:
        p.op("lr.w", { rd: index, rs1: t }).op("sc.w", { rd: of([index, value, t]), rs1: t, rs2: value });
        break;
      case 7:
        p.op("sd", { rs1: t, rs2: value });
        break;
      case 4:
        if (decoder.compressed) {
          p.op("addi", { rd: 8, rs1: t, imm: 0 }).op("addi", { rd: 9, rs1: value, imm: 0 }).op("c.sw", {
            rs1: 8,
            rs2: 9,
          });
          break;
        }
        // falls through
      default:
        p.op("sw", { rs1: t, rs2: value });
    }
    if (below(3) === 0) p.op("fence.i");
    if (here && !before) {
      if (below(2) === 0) this.#c.items.item();
      this.#slot();
    }
  }

  /** Copies a function to a buffer, perhaps changes it, and calls it. */
  #copy(): void {
    const { p, below, of, fresh } = this.#c,
      [from, to, value, end] = this.#temporaries(4) as [number, number, number, number];
    const buffer = of(["buffer", "space"]), loop = fresh(), offset = 4 * below(4);
    p.la(from, `template${below(TEMPLATES)}`).la(to, buffer).op("addi", { rd: to, rs1: to, imm: offset });
    p.op("addi", { rd: end, rs1: to, imm: 4 * TEMPLATE_WORDS }).label(loop);
    p.op("lw", { rd: value, rs1: from }).op("sw", { rs1: to, rs2: value });
    p.op("addi", { rd: from, rs1: from, imm: 4 }).op("addi", { rd: to, rs1: to, imm: 4 });
    p.to("bne", loop, { rs1: to, rs2: end });
    if (below(2) === 0) p.op("fence.i");
    p.op("jalr", { rd: 1, rs1: end, imm: -4 * TEMPLATE_WORDS });
    if (below(2) === 0) return;
    p.la(to, buffer).la(from, "words").op("lw", { rd: value, rs1: from, imm: 4 * below(8) });
    p.op("sw", { rs1: to, rs2: value, imm: offset + 4 * below(3) }).op("jalr", { rd: 1, rs1: to, imm: offset });
  }

  /** Data among instructions, on the same line of 64 bytes. */
  #data(): void {
    const { p, below, of, xlen, fresh } = this.#c, [t, value] = this.#temporaries(2) as [number, number];
    if (this.#inline.length === 0 || below(2) === 0) {
      const over = fresh(), label = fresh();
      p.to("jal", over).align(8).label(label).data(this.#c.items.value(), 8).label(over);
      this.#inline.push(label);
    }
    p.la(t, of(this.#inline));
    const wide = xlen === 64 && below(2) === 0, imm = wide ? 0 : 4 * below(2);
    p.op(wide ? "ld" : "lw", { rd: value, rs1: t, imm }).op("addi", { rd: value, rs1: value, imm: 1 });
    p.op(wide ? "sd" : "sw", { rs1: t, rs2: value, imm });
  }

  /** An instruction that is sometimes entered in its middle, where another one begins. */
  #middle(): void {
    const { p, below, decoder, fresh, of } = this.#c, label = fresh();
    if (!decoder.compressed) return this.#c.items.item();
    const rs1 = of(COUNTERS), t = this.#temporary();
    for (let attempts = 0; attempts < 200; attempts++) {
      const imm = below(4096) - 2048, source = this.#any();
      const word = assemble(this.#c.xlen, of(["addi", "xori", "andi"]), { rd: t, rs1: source, imm });
      const decoded = decoder.decode(word >>> 16);
      if (decoded === null || decoded.length !== 2 || this.#c.kept.has(decoded.operands.rd)) continue;
      if (!["I", "R", "upper", "shift"].includes(decoded.instruction.format)) continue;
      p.op("andi", { rd: t, rs1, imm: 1 }).to("beq", label, { rs1: t, rs2: 0 });
      p.half(word & 0xffff).label(label).half(word >>> 16);
      return;
    }
  }

  #switch(): void {
    const { p, of, fresh, items } = this.#c, [t, index] = this.#temporaries(2) as [number, number];
    const cases = Array.from({ length: 4 }, fresh), end = fresh();
    p.op("andi", { rd: index, rs1: of(COUNTERS), imm: 3 });
    p.op("slli", { rd: index, rs1: index, imm: this.#c.xlen === 64 ? 3 : 2 });
    p.la(t, this.#table(cases)).op("add", { rd: t, rs1: t, rs2: index });
    this.#c.load(t, 0, t);
    p.op("jalr", { rs1: t });
    for (const label of cases) {
      p.label(label);
      items.item();
      p.to("jal", end);
    }
    p.label(end);
  }

  /** LR and SC until it succeeds, on scratch memory. */
  #retry(): void {
    const { p, fresh, below } = this.#c, [t, value, failed] = this.#temporaries(3) as [number, number, number];
    const again = fresh();
    p.op("addi", { rd: t, rs1: GP, imm: 4 * below(16) }).label(again).op("lr.w", { rd: value, rs1: t });
    if (below(3) === 0) p.op("sw", { rs1: t, rs2: 0 });
    p.op("addi", { rd: value, rs1: value, imm: 1 }).op("sc.w", { rd: failed, rs1: t, rs2: value });
    p.to("bne", again, { rs1: failed, rs2: 0 });
    if (below(2) === 0) p.op("amocas.w", { rd: value, rs1: t, rs2: failed });
  }

  /** Misaligned accesses, on the stack too. */
  #memory(): void {
    const { p, of, below, xlen } = this.#c, value = this.#temporary(), base = of([GP, SP]);
    const imm = base === SP ? -1 - below(60) : below(60) - 30;
    if (below(2) === 0) {
      p.op(of(["lh", "lhu", "lw", ...(xlen === 64 ? ["ld", "lwu"] : [])]), { rd: value, rs1: base, imm });
    } else p.op(of(["sh", "sw", ...(xlen === 64 ? ["sd"] : [])]), { rs2: value, rs1: base, imm });
  }

  /** A loop that goes through memory by a pointer, which is also computed with. */
  #walk(depth: number): void {
    const { p, of, below, xlen, fresh } = this.#c, counter = COUNTERS[Math.min(depth, 3)]!, head = fresh();
    const [t, value, sum, limit] = this.#temporaries(4) as [number, number, number, number];
    const offset = of([0, 4, 8, -8, 16, 2047, -2047, -2048]);
    if (below(3) === 0) this.#address(t, of(this.#reads) - offset);
    else {
      p.la(t, of(["scratch", "words", "buffer"]));
      if (below(2) === 0) p.op("addi", { rd: t, rs1: t, imm: -(offset >> 1) });
    }
    const step = of([1, 4, 8, -4, 2047, -2047, -2048]);
    const loads = xlen === 64 ? ["lb", "lw", "lw", "lwu", "ld", "ld", "lhu"] : ["lb", "lbu", "lw", "lw", "lh"];
    p.li(counter, 1 + below(12)).op("addi", { rd: limit, rs1: t, imm: 64 }).label(head);
    p.op(of(loads), { rd: below(6) === 0 ? t : value, rs1: t, imm: offset });
    p.op("add", { rd: sum, rs1: below(2) === 0 ? value : t, rs2: of([t, value, sum]) });
    if (below(3) === 0) this.#c.items.item();
    if (below(3) === 0) {
      p.op(of(xlen === 64 ? ["sb", "sw", "sd"] : ["sb", "sw"]), { rs1: GP, rs2: sum, imm: 8 * below(8) });
    }
    p.op("addi", { rd: of([t, t, t, sum]), rs1: t, imm: step });
    if (xlen === 64 && below(2) === 0) {
      p.op(of(["srli", "srai"]), { rd: value, rs1: of([t, sum]), imm: of([31, 32, 33, 1]) });
    }
    if (below(2) === 0) p.op(of(["sltu", "slt", "sub"]), { rd: sum, rs1: t, rs2: limit });
    p.op("addi", { rd: counter, rs1: counter, imm: -1 }).to("blt", head, { rs1: 0, rs2: counter });
  }

  // The end.

  /** Appends the slots that found no place, the functions that are copied, and room for copies among code. */
  rest(): void {
    const { p } = this.#c;
    p.align(4);
    while (this.#unplacedSlots.length > 0) this.#slot();
    p.op("jalr", { rs1: 1 });
    for (let k = 0; k < TEMPLATES; k++) {
      p.label(`template${k}`);
      for (let word = 0; word < TEMPLATE_WORDS - 1; word++) {
        p.op("addi", { rd: this.#temporary(), rs1: this.#any(), imm: this.#c.below(64) });
      }
      p.op("jalr", { rs1: 1 });
    }
    p.label("space").org(p.here + 64);
  }

  /** Appends what the statements read: addresses of functions and cases, instructions. */
  tables(): void {
    const { p, xlen } = this.#c;
    p.align(8).label("words");
    for (const word of this.#words()) p.word(word);
    this.#switches.forEach((labels, k) => {
      p.label(`table${k}`);
      for (const label of labels) p.data(p.address(label), xlen / 8);
    });
  }
}
