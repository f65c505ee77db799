// The compiled code of one privilege level in 4 GiB of addresses, and which physical pages those addresses lead to.

import type { Hart } from "../hart/hart.ts";
import { LargePages } from "../hart/tlb.ts";
import { CodeCache, type CodeCacheOptions } from "./code_cache.ts";

/** What all spaces of a hart have in common. */
export type CodeSpaceParts = Omit<CodeCacheOptions, "pageOf" | "high">;

/** Physical address of a page where addresses are physical. */
export function physicalPage(low: number, high: number): number {
  return (high >>> 0) * 4294967296 + ((low & -4096) >>> 0);
}

/** Where code is looked up by virtual address. */
export class CodeSpace {
  readonly cache: CodeCache;
  /** Privilege level that executes it. */
  readonly privilege: number;
  /** High half of its addresses. */
  readonly high: number;
  readonly #hart: Hart;
  /** Physical pages of virtual ones, as long as nothing changes them. */
  readonly #pages = new Map<number, number>();
  readonly #large = new LargePages();

  constructor(hart: Hart, privilege: number, high: number, parts: CodeSpaceParts) {
    this.#hart = hart;
    this.privilege = privilege;
    this.high = high;
    const pageOf = parts.access === "bare" ? physicalPage : (low: number) => this.#pageOf(low);
    this.cache = new CodeCache({ ...parts, pageOf, high });
    parts.index.caches.add(this.cache);
  }

  #pageOf(low: number): number {
    const known = this.#pages.get(low);
    if (known !== undefined) return known;
    const { translation } = this.#hart, page = translation.fetchPage(low, this.high, this.privilege);
    if (page < 0) return -1;
    this.#pages.set(low, page);
    this.#large.add(low, this.high, translation.pageBits);
    return page;
  }

  /** To be called when all addresses may lead elsewhere, or those in the page of one address. */
  fetchChanged(low?: number, high?: number): void {
    if (this.#pages.size === 0) return;
    if (low !== undefined && high !== undefined) {
      const known = high === this.high && this.#pages.has(low & -4096);
      if (!known && this.#large.sizesAt(low, high).length === 0) return;
    }
    this.#pages.clear();
    this.#large.clear();
    this.cache.forgetPages();
  }
}
