// Zbkx: crossbar permutations (unprivileged manual, chapter "Cryptography Extensions: Scalar & Entropy Source
// Instructions", section "Zbkx").

import type { Definition } from "./instruction.ts";

/** Look-up of nibbles and of bytes. */
export const ZBKX: readonly Definition[] = [
  {
    name: "xperm4",
    extensions: ["Zbkx"],
    format: "R",
    pattern: "0010100tttttsssss010ddddd0110011",
    semantics: (b, i) => b.setX(i.rd, b.pure("permuteNibbles", b.x(i.rs1), b.x(i.rs2))),
  },
  {
    name: "xperm8",
    extensions: ["Zbkx"],
    format: "R",
    pattern: "0010100tttttsssss100ddddd0110011",
    semantics: (b, i) => b.setX(i.rd, b.pure("permuteBytes", b.x(i.rs1), b.x(i.rs2))),
  },
];
