// F: single precision (unprivileged manual, chapter "F"), and its 16-bit loads and stores (chapter "Zc*", Zcf), which exist on
// RV32 only. Registers have 64 bits, so singles lie in them NaN-boxed.

import { computational, memory, moves, S } from "./float.ts";
import type { Definition } from "./instruction.ts";
import type { Operands } from "./ir.ts";

/** Short form of a load or store: C brings it together with `requires`, and so does an extension's own name. */
export function shortMemory(
  name: string,
  pattern: string,
  immediate: string,
  more: Pick<Definition, "extensions" | "requires" | "xlen">,
): Definition {
  const onStack = name.endsWith("sp");
  const base = onStack ? name.slice(2, -2) : name.slice(2);
  const operands = (i: Operands) => onStack ? { ...i, rs1: 2 } : i;
  return {
    name,
    format: "compressed",
    pattern,
    immediate,
    expand: (i) => ({ name: base, operands: operands(i) }),
    ...more,
  };
}

const ZCF = { extensions: ["C", "Zcf"], requires: ["F"], xlen: 32 } as const;

/** F and Zcf. */
export const RV_F: readonly Definition[] = [
  ...memory(S, "F"),
  ...computational(S),
  ...moves(S, "F"),
  shortMemory("c.flw", "011iiisssiiddd00", "5:3|2|6", ZCF),
  shortMemory("c.fsw", "111iiisssiittt00", "5:3|2|6", ZCF),
  shortMemory("c.flwsp", "011idddddiiiii10", "5|4:2|7:6", ZCF),
  shortMemory("c.fswsp", "111iiiiiittttt10", "5:2|7:6", ZCF),
];
