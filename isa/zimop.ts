// Zimop and Zcmop: may-be-operations (unprivileged manual, chapter "Zimop"), which other extensions give a meaning.
// Until one does, MOP.R.n and MOP.RR.n write 0 to rd, and C.MOP.n writes nothing. One entry stands for all n, which is in
// the immediate. C.MOP.n is a short form of nothing.

import type { Definition } from "./instruction.ts";

/** MOP.R.n (n from 0 to 31), MOP.RR.n (0 to 7) and C.MOP.n (odd, 1 to 15; the immediate is n − 1). */
export const ZIMOP: readonly Definition[] = [
  {
    name: "mop.r",
    extensions: ["Zimop"],
    format: "R1",
    pattern: "1i00ii0111iisssss100ddddd1110011",
    immediate: "4|3:2|1:0",
    semantics: (b, i) => b.setX(i.rd, b.int(0)),
  },
  {
    name: "mop.rr",
    extensions: ["Zimop"],
    format: "R",
    pattern: "1i00ii1tttttsssss100ddddd1110011",
    immediate: "2|1:0",
    semantics: (b, i) => b.setX(i.rd, b.int(0)),
  },
  {
    name: "c.mop",
    extensions: ["Zcmop"],
    format: "compressed",
    pattern: "01100iii10000001",
    immediate: "3:1",
    semantics: () => {},
  },
];
