// Zicsr, Zifencei and the machine-level instructions (unprivileged manual, chapters "Zicsr" and "Zifencei"; privileged
// manual, chapter "Machine-Level ISA", section "Machine-Mode Privileged Instructions").

import type { Definition } from "./instruction.ts";

/** Ways to change a CSR, numbered as in the low two bits of funct3. */
export const CSR_WRITE = 1, CSR_SET = 2, CSR_CLEAR = 3;

function csr(name: string, operation: number, immediate: boolean): Definition {
  return {
    name: immediate ? `${name}i` : name,
    extensions: ["Zicsr"],
    format: immediate ? "csri" : "csr",
    pattern: `iiiiiiiiiiiisssss${immediate ? 1 : 0}${operation.toString(2).padStart(2, "0")}ddddd1110011`,
    // CSRRW with rd = x0 does not read, CSRRS and CSRRC with rs1 = x0 (or a zero immediate) do not write.
    semantics: (b, i) => {
      const source = immediate ? b.zeroExtend(b.number(i.rs1)) : b.x(i.rs1);
      const reads = operation === CSR_WRITE ? b.nonZero(i.rd) : b.i32(1);
      const writes = operation === CSR_WRITE ? b.i32(1) : b.nonZero(i.rs1);
      b.setX(i.rd, b.call("csr", b.word, b.i32(operation), b.imm32(i), source, reads, writes));
    },
  };
}

/** Zicsr, Zifencei, MRET, SRET and WFI. */
export const ZICSR: readonly Definition[] = [
  ...[false, true].flatMap((immediate) => [
    csr("csrrw", CSR_WRITE, immediate),
    csr("csrrs", CSR_SET, immediate),
    csr("csrrc", CSR_CLEAR, immediate),
  ]),
  {
    name: "fence.i",
    extensions: ["Zifencei"],
    format: "none",
    pattern: "-----------------001-----0001111",
    semantics: (b) => b.leave("fenceI"),
  },
  {
    name: "mret",
    extensions: ["I"],
    format: "none",
    pattern: "00110000001000000000000001110011",
    semantics: (b) => b.leave("mret"),
  },
  {
    name: "wfi",
    extensions: ["I"],
    format: "none",
    pattern: "00010000010100000000000001110011",
    semantics: (b) => b.leave("wfi"),
  },
];
