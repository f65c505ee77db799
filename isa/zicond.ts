// Zicond: conditional zero (unprivileged manual, chapter "Zicond").

import type { Definition } from "./instruction.ts";

/** rd = 0 if rs2 is (not) 0, else rs1. */
export const ZICOND: readonly Definition[] = [
  {
    name: "czero.eqz",
    extensions: ["Zicond"],
    format: "R",
    pattern: "0000111tttttsssss101ddddd0110011",
    semantics: (b, i) => b.setX(i.rd, b.select(b.eq(b.x(i.rs2), b.int(0)), b.int(0), b.x(i.rs1))),
  },
  {
    name: "czero.nez",
    extensions: ["Zicond"],
    format: "R",
    pattern: "0000111tttttsssss111ddddd0110011",
    semantics: (b, i) => b.setX(i.rd, b.select(b.ne(b.x(i.rs2), b.int(0)), b.int(0), b.x(i.rs1))),
  },
];
