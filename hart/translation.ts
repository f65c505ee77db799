// Address translation (privileged manual, chapters "Supervisor-Level ISA", sections "Sv32" to "Sv57", "Svnapot", "Svpbmt",
// "Svadu"), with physical memory protection behind it, and the translation look-aside buffer that generated code reads.

import { HIGH } from "../isa/pair.ts";
import { CSR } from "./csr.ts";
import type { Hart } from "./hart.ts";
import { EXECUTE, MIXED, READ, WRITE } from "./pmp.ts";
import { MENVCFG_HIGH, MSTATUS } from "./status.ts";
import { CAUSE, Exception, MACHINE, raise, SUPERVISOR, USER } from "./trap.ts";

/** Entries of each of the two buffers. */
export const TLB_ENTRIES = 4096;
/**
 * Words of an entry: low half of the virtual page, high half, what to add (modulo 2^32) to the low half of an address in it to
 * get its offset in RAM, and twice the log2 of the 4 KiB pages that its page-table entry maps, plus 1 if it belongs to user mode.
 */
export const TLB_WORDS = 4;
/** A low half that equals no page and no misaligned address in one. */
const INVALID = 0x800;
/** Above this many filled entries, forgetting them one by one does not pay. */
const MOST_LISTED = 1024;

/** Bits of a page-table entry. */
const PTE = { V: 1, R: 2, W: 4, X: 8, U: 16, A: 64, D: 128 } as const;
/** Upper word of a page-table entry: reserved bits, PBMT, N. */
const PTE_RESERVED_HIGH = 0x7f << 22, PBMT_SHIFT = 29, PTE_N = 1 << 31;

/** Depth of the page table by satp.MODE on RV64 (Sv39, Sv48, Sv57). */
const LEVELS: Readonly<Record<number, number>> = { 8: 3, 9: 4, 10: 5 };

/** Whether satp.MODE has a meaning. */
export function isTranslationMode(xlen: 32 | 64, mode: number): boolean {
  return mode === 0 || (xlen === 32 ? mode === 1 : mode in LEVELS);
}

/** What an access is for: which exceptions it raises. */
const PAGE_FAULT = new Map([[READ, CAUSE.loadPage], [WRITE, CAUSE.storePage], [EXECUTE, CAUSE.instructionPage]]);
const ACCESS_FAULT = new Map([[READ, CAUSE.loadAccess], [WRITE, CAUSE.storeAccess], [
  EXECUTE,
  CAUSE.instructionAccess,
]]);

/** What is no access: a look at the page table that neither checks permissions nor changes A and D. */
const PROBE = 0;

/** Number of the page of 2^`bits` times 4 KiB that an address lies in. */
function largePage(low: number, high: number, bits: number): number {
  return Math.floor(((high >>> 0) * 2 ** 20 + (low >>> 12)) / 2 ** bits);
}

/** Translates the addresses of a hart. */
export class Translation {
  readonly #hart: Hart;
  /** Pages that can be read, and those that can be written: `TLB_WORDS` words each. */
  readonly loads: Int32Array = new Int32Array(TLB_WORDS * TLB_ENTRIES);
  readonly stores: Int32Array = new Int32Array(TLB_WORDS * TLB_ENTRIES);
  /** Indices of the entries that were filled since everything was forgotten, in either buffer. */
  #filled: number[] = [];
  /** Large pages of which something was remembered, by the log2 of their 4 KiB pages. */
  readonly #large = new Map<number, Set<number>>();
  /** Last word of a TLB entry for the page that was translated last. */
  #kind = 0;
  /** READ and WRITE as far as that page can be accessed without a look at its page-table entry. */
  #permissions = 0;

  constructor(hart: Hart) {
    this.#hart = hart;
    this.#clear();
  }

  #clear(): void {
    for (const buffer of [this.loads, this.stores]) {
      for (let at = 0; at < buffer.length; at += TLB_WORDS) buffer[at] = INVALID;
    }
    this.#filled = [];
  }

  /** Forgets all pages. */
  flush(): void {
    this.#large.clear();
    if (this.#filled.length > MOST_LISTED) this.#clear();
    else {
      for (const at of this.#filled) this.loads[at] = this.stores[at] = INVALID;
      this.#filled.length = 0;
    }
  }

  /** Forgets the pages that belong to user mode. */
  flushUser(): void {
    for (const at of this.#filled) {
      if ((this.loads[at + 3]! & 1) !== 0) this.loads[at] = INVALID;
      if ((this.stores[at + 3]! & 1) !== 0) this.stores[at] = INVALID;
    }
  }

  /** Forgets the page of an address, of whatever size it is. */
  flushPage(low: number, high: number): void {
    const at = low >>> 10 & TLB_WORDS * (TLB_ENTRIES - 1);
    this.loads[at] = this.stores[at] = INVALID;
    for (const [bits, pages] of this.#large) {
      if (!pages.has(largePage(low, high, bits))) continue;
      // Others of that size go, too: there are few.
      for (const filled of this.#filled) {
        if (this.loads[filled + 3]! >> 1 === bits) this.loads[filled] = INVALID;
        if (this.stores[filled + 3]! >> 1 === bits) this.stores[filled] = INVALID;
      }
    }
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
    const hart = this.#hart, privilege = access === EXECUTE ? hart.privilege : this.dataPrivilege;
    this.#kind = 0;
    this.#permissions = READ | WRITE;
    const page = this.isVirtual(privilege)
      ? this.#walk(low, high, access, privilege)
      : (high >>> 0) * 2 ** 32 + ((low & -4096) >>> 0);
    const physical = page + (low & 4095);
    const allowed = hart.pmp.page(page, privilege);
    const refused = allowed === MIXED ? !hart.pmp.allows(physical, size, access, privilege) : (access & ~allowed) !== 0;
    if (refused && hart.hasPmp) raise(ACCESS_FAULT.get(access)!, low, high);
    if (access !== EXECUTE && (allowed !== MIXED || !hart.hasPmp)) {
      this.#remember(low, high, page, hart.hasPmp ? allowed & this.#permissions : this.#permissions);
    }
    return physical;
  }

  /**
   * Physical address that a virtual one means at the present privilege level, whatever may be accessed there; undefined if it
   * means none. Changes nothing. For debuggers.
   */
  probe(low: number, high: number): number | undefined {
    if (!this.isVirtual(this.#hart.privilege)) return (high >>> 0) * 2 ** 32 + (low >>> 0);
    try {
      return this.#walk(low, high, PROBE, this.#hart.privilege) + (low & 4095);
    } catch (e) {
      if (e instanceof Exception) return undefined;
      throw e;
    }
  }

  #remember(low: number, high: number, page: number, permissions: number): void {
    const { ram } = this.#hart.memory, offset = page - ram.base;
    if (offset < 0 || offset >= ram.size) return;
    if (this.#hart.watchpoints?.mayRemember(low, high, offset) === false) return;
    const at = low >>> 10 & TLB_WORDS * (TLB_ENTRIES - 1);
    this.#filled.push(at);
    const bits = this.#kind >> 1;
    if (bits > 0) {
      let pages = this.#large.get(bits);
      if (pages === undefined) this.#large.set(bits, pages = new Set());
      pages.add(largePage(low, high, bits));
    }
    if (this.#filled.length > 2 * MOST_LISTED) this.#filled = [...new Set(this.#filled)];
    for (const [buffer, right] of [[this.loads, READ], [this.stores, WRITE]] as const) {
      if ((permissions & right) === 0) continue;
      buffer[at] = low & -4096;
      buffer[at + 1] = high;
      buffer[at + 2] = offset - (low & -4096);
      buffer[at + 3] = this.#kind;
    }
  }

  /** Walks the page table; gives the physical address of the page. */
  #walk(low: number, high: number, access: number, privilege: number): number {
    const hart = this.#hart, { csrs, memory, xlen } = hart, narrow = xlen === 32;
    const satpLow = csrs[2 * CSR.satp]!, satpHigh = csrs[2 * CSR.satp + 1]!;
    const status = csrs[2 * CSR.mstatus]!, environment = csrs[2 * CSR.menvcfg + 1]!;
    const fault = () => raise(PAGE_FAULT.get(access) ?? 0, low, high);
    const levels = narrow ? 2 : LEVELS[satpHigh >>> 28]!;
    const bits = narrow ? 10 : 9, pteSize = narrow ? 4 : 8;
    // The virtual page number: up to 52 bits.
    const vpn = narrow ? low >>> 12 : (high >>> 0) * 2 ** 20 + (low >>> 12);
    if (!narrow) {
      // The bits above the highest that is translated equal it.
      const top = high >> 12 + 9 * levels - 33;
      if (top !== 0 && top !== -1) fault();
    }
    let table = narrow ? satpLow & 0x3f_ffff : (satpHigh & 0xfff) * 2 ** 32 + (satpLow >>> 0);
    for (let level = levels - 1; level >= 0; level--) {
      const span = 2 ** (bits * level);
      const at = table * 4096 + Math.floor(vpn / span) % 2 ** bits * pteSize;
      if (!memory.isRam(at, pteSize) || !this.#tableAllowed(at, pteSize, access && READ)) {
        raise(ACCESS_FAULT.get(access) ?? 0, low, high);
      }
      const pte = memory.read(at, pteSize), pteHigh = narrow ? 0 : HIGH[0]!;
      if ((pte & PTE.V) === 0 || (pte & (PTE.R | PTE.W)) === PTE.W || (pteHigh & PTE_RESERVED_HIGH) !== 0) fault();
      const memoryType = pteHigh >>> PBMT_SHIFT & 3, napot = (pteHigh & PTE_N) !== 0;
      if (memoryType !== 0 && (memoryType === 3 || (environment & MENVCFG_HIGH.PBMTE) === 0)) fault();
      if (napot && !hart.extensions.has("Svnapot")) fault();
      let page = narrow ? pte >>> 10 : (pteHigh & 0x3f_ffff) * 2 ** 22 + (pte >>> 10);
      if ((pte & (PTE.R | PTE.W | PTE.X)) === 0) {
        if ((pte & (PTE.U | PTE.A | PTE.D)) !== 0 || memoryType !== 0 || napot) fault();
        table = page;
        continue;
      }
      if (!this.#permitted(pte, access, privilege, status)) fault();
      if (page % span !== 0) fault();
      if (napot) {
        if (level !== 0 || page % 16 !== 8) fault();
        page += vpn % 16 - 8;
      }
      const wanted = access === PROBE ? 0 : PTE.A | (access === WRITE ? PTE.D : 0);
      let now = pte;
      if ((pte & wanted) !== wanted) {
        if ((environment & MENVCFG_HIGH.ADUE) === 0) fault();
        if (!this.#tableAllowed(at, pteSize, WRITE)) raise(ACCESS_FAULT.get(access)!, low, high);
        now = pte | wanted;
        memory.write(at, pteSize, now, pteHigh);
      }
      this.#kind = (napot ? 4 : bits * level) << 1 | ((pte & PTE.U) !== 0 ? 1 : 0);
      this.#permissions = this.#permitted(now, READ, privilege, status) ? READ : 0;
      if ((now & PTE.D) !== 0 && this.#permitted(now, WRITE, privilege, status)) this.#permissions |= WRITE;
      return (page + vpn % span) * 4096;
    }
    return fault();
  }

  /** Whether physical memory protection lets the walk at a page-table entry. */
  #tableAllowed(physical: number, size: number, access: number): boolean {
    return access === PROBE || !this.#hart.hasPmp || this.#hart.pmp.allows(physical, size, access, SUPERVISOR);
  }

  #permitted(pte: number, access: number, privilege: number, status: number): boolean {
    if (access === PROBE) return true;
    const user = (pte & PTE.U) !== 0;
    if (privilege === USER) { if (!user) return false; }
    else if (user && (access === EXECUTE || (status & MSTATUS.SUM) === 0)) return false;
    if (access === EXECUTE) return (pte & PTE.X) !== 0;
    if (access === WRITE) return (pte & PTE.W) !== 0;
    return (pte & PTE.R) !== 0 || ((pte & PTE.X) !== 0 && (status & MSTATUS.MXR) !== 0);
  }
}
