// D: double precision (unprivileged manual, chapter "D"), and its 16-bit loads and stores (chapter "Zc*", Zcd).

import { computational, conversion, D, memory, moves, S } from "./float.ts";
import type { Definition } from "./instruction.ts";
import { shortMemory } from "./rv_f.ts";

const ZCD = { extensions: ["C", "Zcd"], requires: ["D"] } as const;

/** D and Zcd. */
export const RV_D: readonly Definition[] = [
  ...memory(D, "D"),
  ...computational(D),
  ...moves(D, "D"),
  conversion(S, D, "D"),
  conversion(D, S, "D"),
  shortMemory("c.fld", "001iiisssiiddd00", "5:3|7:6", ZCD),
  shortMemory("c.fsd", "101iiisssiittt00", "5:3|7:6", ZCD),
  shortMemory("c.fldsp", "001idddddiiiii10", "5|4:3|8:6", ZCD),
  shortMemory("c.fsdsp", "101iiiiiittttt10", "5:3|8:6", ZCD),
];
