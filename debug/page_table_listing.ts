// The monitor's `info mem` and `info tlb`: what a hart's page table maps, and what its look-aside buffers hold.

import { CSR } from "../hart/csr.ts";
import type { Hart } from "../hart/hart.ts";
import { TLB_WORDS, TranslationBuffers } from "../hart/tlb.ts";
import type { DebugAccess } from "../machine/debug_access.ts";

const VALID = 1, LEAF = 0b1110;
/** Bits of an entry by the letters of its listing. */
const ATTRIBUTES: readonly (readonly [letter: string, bit: number])[] = [
  ...([["r", 1], ["w", 2], ["x", 3], ["u", 4], ["g", 5], ["a", 6], ["d", 7]] as const),
];
/** More page tables than this are not listed: they may refer to themselves. */
const MOST_TABLES = 1 << 16;

/** Bytes that are mapped alike and without a gap, virtual and physical. */
interface Mapping {
  readonly virtual: bigint;
  readonly physical: bigint;
  readonly attributes: number;
  size: bigint;
}

function attributesText(attributes: number): string {
  return ATTRIBUTES.map(([letter, bit]) => (attributes & 1 << bit) !== 0 ? letter : "-").join("");
}

function hex(value: bigint, digits: number): string {
  return BigInt.asUintN(4 * digits, value).toString(16).padStart(digits, "0");
}

/** Lines of `info mem`. */
export function pageTableListing(debug: DebugAccess, hart: Hart): string {
  const { xlen } = hart, satp = hart.readCsr(CSR.satp) ?? 0n, narrow = xlen === 32;
  const mode = Number(narrow ? satp >> 31n : satp >> 60n);
  if (mode === 0) return "No translation or protection\n";
  const levels = narrow ? 2 : mode - 5, bits = narrow ? 10 : 9, entrySize = narrow ? 4 : 8;
  const virtualBits = 12 + levels * bits, mappings: Mapping[] = [];
  let tables = 0;
  const walk = (table: bigint, start: bigint, level: number) => {
    if (tables++ >= MOST_TABLES) return;
    const bytes = debug.read(null, table, entrySize << bits), size = 1n << BigInt(12 + level * bits);
    if (bytes === undefined) return;
    const view = new DataView(bytes.buffer);
    for (let index = 0; index < 1 << bits; index++) {
      const entry = narrow ? BigInt(view.getUint32(4 * index, true)) : view.getBigUint64(8 * index, true);
      const attributes = Number(entry & 255n), virtual = start + BigInt(index) * size;
      if ((attributes & VALID) === 0) continue;
      const physical = (entry >> 10n & (1n << 44n) - 1n) << 12n;
      if ((attributes & LEAF) === 0) {
        if (level > 0) walk(physical, virtual, level - 1);
        continue;
      }
      const last = mappings.at(-1);
      const goesOn = last !== undefined && last.attributes === attributes && last.physical + last.size === physical &&
        last.virtual + last.size === virtual;
      if (goesOn) last.size += size;
      else mappings.push({ virtual, physical, attributes, size });
    }
  };
  walk((narrow ? satp & 0x3fffffn : satp & (1n << 44n) - 1n) << 12n, 0n, levels - 1);
  const digits = xlen / 4, title = (text: string) => text.padEnd(digits);
  const lines = mappings.map(({ virtual, physical, size, attributes }) =>
    `${hex(BigInt.asIntN(virtualBits, virtual), digits)} ${hex(physical, 16)} ${hex(size, digits)} ${
      attributesText(attributes)
    }`
  );
  const rule = "-".repeat(digits);
  return [
    `${title("vaddr")} ${"paddr".padEnd(16)} ${title("size")} attr`,
    `${rule} ${"-".repeat(16)} ${rule} -------`,
    ...lines,
    ...tables > MOST_TABLES ? ["too many page tables"] : [],
  ].join("\n") + "\n";
}

/** Lines of `info tlb`: pages of RAM that are reached without a walk at the present privilege level, and how. */
export function tlbListing(hart: Hart): string {
  const { dataPrivilege, buffers: { loads, stores } } = hart.translation, { ram } = hart.memory, digits = hart.xlen / 4;
  const pages = new Map<string, { physical: number; read: boolean; write: boolean; user: boolean }>();
  for (const whole of [loads, stores]) {
    const buffer = TranslationBuffers.part(whole, dataPrivilege);
    for (let at = 0; at < buffer.length; at += TLB_WORDS) {
      const low = buffer[at]!;
      if ((low & 4095) !== 0) continue;
      const key = hex(BigInt(buffer[at + 1]!) << 32n | BigInt(low >>> 0), digits);
      const page = pages.get(key) ?? { physical: 0, read: false, write: false, user: false };
      page.physical = ram.base + ((buffer[at + 2]! + low) >>> 0);
      page.user = (buffer[at + 3]! & 1) !== 0;
      if (whole === loads) page.read = true;
      else page.write = true;
      pages.set(key, page);
    }
  }
  if (pages.size === 0) return "the TLB is empty\n";
  return [...pages].sort(([a], [b]) => a < b ? -1 : 1).map(([virtual, { physical, read, write, user }]) =>
    `${virtual}: ${hex(BigInt(physical), 16)} ${read ? "r" : "-"}${write ? "w" : "-"}${user ? "u" : "-"}\n`
  ).join("");
}
