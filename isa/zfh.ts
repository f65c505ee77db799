// Zfh: half precision (unprivileged manual, chapter "Zfh"); Zfhmin, its part that only moves and converts.

import { computational, conversion, D, H, memory, moves, S } from "./float.ts";
import type { Definition } from "./instruction.ts";

/** Zfh, which brings Zfhmin. */
export const ZFH: readonly Definition[] = [
  ...memory(H, "Zfhmin"),
  ...moves(H, "Zfhmin"),
  conversion(S, H, "Zfhmin"),
  conversion(H, S, "Zfhmin"),
  conversion(D, H, "Zfhmin", { requires: ["D", "Zdinx"] }),
  conversion(H, D, "Zfhmin", { requires: ["D", "Zdinx"] }),
  ...computational(H),
];
