// The monitor's `info` about harts, memory and devices, in QEMU's layout.

import { CSR_NUMBERS } from "../isa/csr_names.ts";
import { ABI_NAMES, FLOAT_ABI_NAMES } from "../isa/registers.ts";
import type { Hart } from "../hart/hart.ts";
import type { DebugAccess } from "../machine/debug_access.ts";

/** CSRs of `info registers`, as far as a hart has them. */
const SHOWN = [
  ..."mhartid mstatus mstatush mip mie mideleg medeleg mtvec stvec mepc sepc mcause scause mtval stval".split(" "),
  ..."mscratch sscratch satp".split(" "),
];

function hex(value: bigint | number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

/** Lines of `info registers` for a hart. */
export function registersText(hart: Hart): string {
  const digits = hart.xlen / 4, lines = ["", `CPU#${hart.id}`, ` ${"pc".padEnd(8)} ${hex(hart.pc, digits)}`];
  for (const name of SHOWN) {
    const value = hart.readCsr(CSR_NUMBERS[name]!);
    if (value !== undefined) lines.push(` ${name.padEnd(8)} ${hex(value, digits)}`);
  }
  const rows = (letter: string, names: readonly string[], value: (n: number) => string) => {
    for (let n = 0; n < 32; n += 4) {
      lines.push([0, 1, 2, 3].map((k) => ` ${`${letter}${n + k}/${names[n + k]}`.padEnd(8)} ${value(n + k)}`).join(""));
    }
  };
  rows("x", ABI_NAMES, (n) => hex(hart.readX(n), digits));
  if (hart.extensions.has("F")) rows("f", FLOAT_ABI_NAMES, (n) => hex(hart.readF(n), 16));
  return lines.join("\n") + "\n";
}

/** Lines of `info cpus`; `current` is the number of the one that commands are about. */
export function cpusText(debug: DebugAccess, current: number): string {
  return Array.from({ length: debug.harts }, (_, n) => {
    const hart = debug.hart(n);
    return `${n === current ? "*" : " "} CPU #${n}: pc=0x${hex(hart.pc, hart.xlen / 4)}${
      hart.waiting ? " (halted)" : ""
    }\n`;
  }).join("");
}

/** Lines of `info mtree`. */
export function memoryTreeText(debug: DebugAccess): string {
  const kinds = { ram: "ram", rom: "rom", device: "i/o" } as const;
  return [
    "address-space: memory",
    `  ${hex(0, 16)}-${"f".repeat(16)} (prio 0, i/o): system`,
    ...debug.regions.map(({ name, address, size, kind }) =>
      `    ${hex(address, 16)}-${hex(address + size - 1, 16)} (prio 0, ${kinds[kind]}): ${name}`
    ),
    "",
  ].join("\n") + "\n";
}

/** Lines of `info qtree`. */
export function deviceTreeText(debug: DebugAccess): string {
  return [
    "bus: main-system-bus",
    "  type System",
    ...debug.regions.filter(({ kind }) => kind === "device").flatMap(({ name, address, size }) => [
      `  dev: ${name}, id ""`,
      `    mmio ${hex(address, 16)}/${hex(size, 16)}`,
    ]),
  ].join("\n") + "\n";
}

/** Lines of `info roms`: what is loaded at power-on. */
export function romsText(debug: DebugAccess): string {
  return debug.images.map(({ address, memorySize, what }) => {
    const kind = debug.regions.find((r) => r.kind === "rom" && address >= r.address && address < r.address + r.size);
    return `addr=${hex(address, 16)} size=0x${hex(memorySize, 6)} mem=${
      kind === undefined ? "ram" : "rom"
    } name="${what}"\n`;
  }).join("");
}

/** A register or CSR by name, for expressions. */
export function registerByName(hart: Hart, name: string): bigint | undefined {
  if (name === "pc") return hart.pc;
  if (name === "priv") return BigInt(hart.privilege);
  const x = (ABI_NAMES as readonly string[]).indexOf(name === "fp" ? "s0" : name);
  if (x >= 0) return hart.readX(x);
  const plain = /^([xf])(\d{1,2})$/.exec(name), number = Number(plain?.[2]);
  if (plain !== null && number < 32) return plain[1] === "x" ? hart.readX(number) : hart.readF(number);
  const f = FLOAT_ABI_NAMES.indexOf(name);
  if (f >= 0) return hart.readF(f);
  const csr = CSR_NUMBERS[name];
  return csr === undefined ? undefined : hart.readCsr(csr);
}
