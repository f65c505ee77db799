// Address translation (privileged manual, chapters "Supervisor-Level ISA", sections "Sv32" to "Sv57", "Svnapot", "Svpbmt",
// "Svadu"), with physical memory protection behind it. What it finds is remembered in `tlb.ts`.

import { HIGH } from "../isa/pair.ts";
import { CSR } from "./csr.ts";
import type { Hart } from "./hart.ts";
import { LINE_SHIFT, WATCH } from "./memory.ts";
import { EXECUTE, MIXED, READ, WRITE } from "./pmp.ts";
import { MENVCFG_HIGH, MSTATUS } from "./status.ts";
import { TranslationBuffers } from "./tlb.ts";
import { CAUSE, MACHINE, raise, SUPERVISOR, USER } from "./trap.ts";

/** Bits of a page-table entry. */
const PTE = { V: 1, R: 2, W: 4, X: 8, U: 16, A: 64, D: 128 } as const;
/** R, W and X are those of an access, shifted. */
const PTE_RIGHTS_SHIFT = 1;
/** Upper word of a page-table entry: reserved bits, PBMT, N. */
const PTE_RESERVED_HIGH = 0x7f << 22, PBMT_SHIFT = 29, PTE_N = 1 << 31;

/** Depth of the page table by satp.MODE on RV64 (Sv39, Sv48, Sv57). */
const LEVELS: Readonly<Record<number, number>> = { 8: 3, 9: 4, 10: 5 };

/** Whether satp.MODE has a meaning where virtual addresses have at most some bits. */
export function isTranslationMode(xlen: 32 | 64, mode: number, addressBits: number): boolean {
  if (mode === 0) return true;
  return xlen === 32 ? mode === 1 && addressBits === 32 : mode in LEVELS && 12 + 9 * LEVELS[mode]! <= addressBits;
}

/** What an access is for: which exceptions it raises. */
const PAGE_FAULT = new Map([[READ, CAUSE.loadPage], [WRITE, CAUSE.storePage], [EXECUTE, CAUSE.instructionPage]]);
const ACCESS_FAULT = new Map([[READ, CAUSE.loadAccess], [WRITE, CAUSE.storeAccess], [
  EXECUTE,
  CAUSE.instructionAccess,
]]);

function pageFault(access: number, low: number, high: number): never {
  return raise(PAGE_FAULT.get(access) ?? CAUSE.loadPage, low, high);
}
function accessFault(access: number, low: number, high: number): never {
  return raise(ACCESS_FAULT.get(access) ?? CAUSE.loadAccess, low, high);
}

/** 2 to the power of what a level of a page table leaves to those below. */
const SPANS: readonly number[] = Array.from({ length: 37 }, (_, bits) => 2 ** bits);

/** Index of an entry in a page table: 9 or 10 bits of an address from `shift` on. */
function indexAt(low: number, high: number, shift: number, bits: number): number {
  const from = shift >= 32 ? high >>> shift - 32 : low >>> shift | high << 1 << 31 - shift;
  return from & (1 << bits) - 1;
}

/** What is no access: a look at the page table that neither checks permissions nor changes A and D. */
const PROBE = 0;

/** What a walk gives in place of a page: it ends in a page fault, or in an access fault. */
const NO_PAGE = -1, NO_ACCESS = -2;

/** What is left of a page number or offset modulo a power of 2. */
function modulo(value: number, bits: number): number {
  return bits < 31 ? value & SPANS[bits]! - 1 : value % SPANS[bits]!;
}

/** Translates the addresses of a hart. */
export class Translation {
  readonly #hart: Hart;
  /** What was found, for generated code and for the next time. */
  readonly buffers: TranslationBuffers;
  /** Twice the log2 of the 4 KiB pages that the last page-table entry maps, plus 1 if it belongs to user mode. */
  #kind = 0;
  /** READ and WRITE as far as that page can be accessed without a look at its page-table entry. */
  #permissions = 0;
  /** Nothing may change: see `fetchPage`. */
  #probing = false;
  readonly #napot: boolean;

  constructor(hart: Hart) {
    this.#hart = hart;
    this.#napot = hart.extensions.has("Svnapot");
    this.buffers = new TranslationBuffers(hart.memory.ram, hart.xlen);
  }

  /** Privilege level at which loads and stores are made. */
  get dataPrivilege(): number {
    const status = this.#hart.csrs[2 * CSR.mstatus]!, { privilege } = this.#hart;
    return privilege === MACHINE && (status & MSTATUS.MPRV) !== 0
      ? (status & MSTATUS.MPP) >>> MSTATUS.MPP_SHIFT
      : privilege;
  }

  /** Whether addresses of a privilege level are virtual. */
  isVirtual(privilege: number): boolean {
    if (privilege === MACHINE) return false;
    return this.#hart.xlen === 32
      ? this.#hart.csrs[2 * CSR.satp]! < 0
      : this.#hart.csrs[2 * CSR.satp + 1]! >>> 28 !== 0;
  }

  /**
   * Physical address of an access of `size` bytes, all in one page; `access` is READ, WRITE or EXECUTE. Pages of RAM are
   * remembered for generated code. Raises page faults and access faults.
   */
  translate(low: number, high: number, size: number, access: number): number {
    const hart = this.#hart, privilege = access === EXECUTE ? hart.privilege : this.dataPrivilege, { buffers } = this;
    const known = buffers.find(low, high, privilege, access);
    if (known >= 0) {
      this.#kind = buffers.kind;
      return known + (low & 4095);
    }
    const meant = access === EXECUTE ? high : hart.reportedHigh(high);
    const page = this.#page(low, meant, access, privilege);
    if (page === NO_PAGE) pageFault(access, low, meant);
    if (page === NO_ACCESS) accessFault(access, low, meant);
    const physical = page + (low & 4095);
    const allowed = hart.hasPmp ? hart.pmp.page(page, privilege) : READ | WRITE | EXECUTE;
    const refused = allowed === MIXED ? !hart.pmp.allows(physical, size, access, privilege) : (access & ~allowed) !== 0;
    if (refused) raise(ACCESS_FAULT.get(access)!, low, meant);
    if (allowed === MIXED) return physical;
    buffers.remember(low, high, privilege, access, page, this.#kind);
    if (access !== EXECUTE) {
      const rights = allowed & this.#permissions, offset = page - hart.memory.ram.base;
      if (hart.watchpoints?.mayRemember(low, high, offset) === false) return physical;
      if (hart.triggers.mayAccess(low, high)) return physical;
      buffers.fill(low, high, privilege, offset, this.#kind, (rights & READ) !== 0, (rights & WRITE) !== 0);
    }
    return physical;
  }

  /** As `translate`, but raises a page fault where a page-table entry had to change first. */
  translateUnchanged(low: number, high: number, size: number, access: number): number {
    this.#probing = true;
    try {
      return this.translate(low, high, size, access);
    } finally {
      this.#probing = false;
    }
  }

  /**
   * Physical address that a virtual one means at the present privilege level, whatever may be accessed there; undefined if it
   * means none. Changes nothing. For debuggers.
   */
  probe(low: number, high: number): number | undefined {
    if (!this.isVirtual(this.#hart.privilege)) return (high >>> 0) * 2 ** 32 + (low >>> 0);
    const page = this.#walk(low, high, PROBE, this.#hart.privilege);
    return page < 0 ? undefined : page + (low & 4095);
  }

  /**
   * Physical page that instructions are fetched from at a privilege level; -1 where a fetch would fault, or first had to set a
   * bit of the page-table entry, or where not all of the page is protected alike. Changes nothing.
   */
  fetchPage(low: number, high: number, privilege: number): number {
    const hart = this.#hart;
    this.#probing = true;
    const page = this.#page(low, high, EXECUTE, privilege);
    this.#probing = false;
    if (page < 0) return -1;
    if (!hart.hasPmp) return page;
    const allowed = hart.pmp.page(page, privilege);
    return allowed === MIXED || (EXECUTE & ~allowed) !== 0 ? -1 : page;
  }

  /** log2 of the 4 KiB pages that the page-table entry of the last translation maps. */
  get pageBits(): number {
    return this.#kind >> 1;
  }

  /** Physical address of a page; NO_PAGE or NO_ACCESS if there is none. */
  #page(low: number, high: number, access: number, privilege: number): number {
    this.#kind = 0;
    this.#permissions = READ | WRITE;
    return this.isVirtual(privilege)
      ? this.#walk(low, high, access, privilege)
      : (high >>> 0) * 2 ** 32 + ((low & -4096) >>> 0);
  }

  /**
   * Walks the page table; gives the physical address of the page, NO_PAGE or NO_ACCESS. Raises nothing, since V8 throws optimised code
   * away that comes to its first call in a rare case.
   */
  #walk(low: number, high: number, access: number, privilege: number): number {
    const hart = this.#hart, { csrs, memory } = hart, { ram } = memory, narrow = hart.xlen === 32;
    const satpLow = csrs[2 * CSR.satp]!, satpHigh = csrs[2 * CSR.satp + 1]!;
    const status = csrs[2 * CSR.mstatus]!, environment = csrs[2 * CSR.menvcfg + 1]!;
    const highestType = (environment & MENVCFG_HIGH.PBMTE) !== 0 ? 2 : 0;
    const levels = narrow ? 2 : LEVELS[satpHigh >>> 28]!, bits = narrow ? 10 : 9, pteSize = narrow ? 4 : 8;
    // The virtual page number: up to 52 bits.
    const vpn = narrow ? low >>> 12 : (high >>> 0) * 2 ** 20 + (low >>> 12);
    if (!narrow) {
      // The bits above the highest that is translated equal it.
      const top = high >> 12 + 9 * levels - 33;
      if (top !== 0 && top !== -1) return NO_PAGE;
    }
    let table = narrow ? satpLow & 0x3f_ffff : (satpHigh & 0xfff) * 2 ** 32 + (satpLow >>> 0);
    for (let level = levels - 1; level >= 0; level--) {
      const at = table * 4096 + indexAt(low, narrow ? 0 : high, 12 + bits * level, bits) * pteSize,
        offset = at - ram.base;
      if (access !== PROBE && hart.hasPmp && !this.#tableAllowed(table * 4096, at, pteSize, READ)) return NO_ACCESS;
      let pte: number, pteHigh = 0;
      if (offset >= 0 && offset < ram.size && (ram.lines[offset >>> LINE_SHIFT]! & WATCH.device) === 0) {
        pte = ram.i32[offset >>> 2]!;
        if (!narrow) pteHigh = ram.i32[(offset >>> 2) + 1]!;
      } else {
        if (!memory.isRam(at, pteSize)) return NO_ACCESS;
        pte = memory.read(at, pteSize);
        if (!narrow) pteHigh = HIGH[0]!;
      }
      if ((pte & PTE.V) === 0 || (pte & (PTE.R | PTE.W)) === PTE.W || (pteHigh & PTE_RESERVED_HIGH) !== 0) {
        return NO_PAGE;
      }
      const memoryType = pteHigh >>> PBMT_SHIFT & 3, napot = (pteHigh & PTE_N) !== 0;
      if (memoryType > highestType) return NO_PAGE;
      if (napot && !this.#napot) return NO_PAGE;
      let page = narrow ? pte >>> 10 : (pteHigh & 0x3f_ffff) * 2 ** 22 + (pte >>> 10);
      if ((pte & (PTE.R | PTE.W | PTE.X)) === 0) {
        if ((pte & (PTE.U | PTE.A | PTE.D)) !== 0 || memoryType !== 0 || napot) return NO_PAGE;
        table = page;
        continue;
      }
      const rights = rightsOf(pte, privilege, status);
      if (access !== PROBE && (rights & access) === 0) return NO_PAGE;
      if (modulo(page, bits * level) !== 0) return NO_PAGE;
      if (napot) {
        if (level !== 0 || modulo(page, 4) !== 8) return NO_PAGE;
        page += modulo(vpn, 4) - 8;
      }
      const wanted = access === PROBE ? 0 : PTE.A | (access === WRITE ? PTE.D : 0);
      if ((pte & wanted) !== wanted) {
        if ((environment & MENVCFG_HIGH.ADUE) === 0 || this.#probing) return NO_PAGE;
        if (hart.hasPmp && !this.#tableAllowed(table * 4096, at, pteSize, WRITE)) return NO_ACCESS;
        pte |= wanted;
        memory.write(at, pteSize, pte, pteHigh);
      }
      this.#kind = (napot ? 4 : bits * level) << 1 | ((pte & PTE.U) !== 0 ? 1 : 0);
      this.#permissions = rights & ((pte & PTE.D) !== 0 ? READ | WRITE : READ);
      return (page + modulo(vpn, bits * level)) * 4096;
    }
    return NO_PAGE;
  }

  /** Whether physical memory protection lets the walk at a page-table entry, which lies in a page. */
  #tableAllowed(page: number, physical: number, size: number, access: number): boolean {
    const { pmp } = this.#hart, rights = pmp.page(page, SUPERVISOR);
    return rights === MIXED ? pmp.allows(physical, size, access, SUPERVISOR) : (access & ~rights) === 0;
  }
}

/** READ, WRITE and EXECUTE as far as a page-table entry allows them, whatever its A and D are. */
function rightsOf(pte: number, privilege: number, status: number): number {
  const isUser = (pte & PTE.U) !== 0,
    mayReadCode = (status & MSTATUS.MXR) !== 0,
    mayReachUser = (status & MSTATUS.SUM) !== 0;
  const rights = pte >>> PTE_RIGHTS_SHIFT & (READ | WRITE | EXECUTE);
  const all = mayReadCode && (rights & EXECUTE) !== 0 ? rights | READ : rights;
  if (privilege === USER) return isUser ? all : 0;
  return !isUser ? all : mayReachUser ? all & ~EXECUTE : 0;
}
