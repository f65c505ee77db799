// How compiled code reaches guest memory when addresses are virtual or protected: by functions, one for each kind of access,
// that look into the translation look-aside buffers. In line, the look would be most of a region's text: slow to compile,
// slow until it is optimised, and each place of its own would be one that V8 has not seen all ways of. V8 puts these
// functions in line itself where that pays.

import type { MemoryType } from "../isa/ir.ts";
import { LINE_SHIFT } from "../hart/memory.ts";
import { TLB_MASK, TLB_SHIFT } from "../hart/tlb.ts";
import { sizeOf } from "./emitter.ts";
import { accessCode } from "./memory_access.ts";

/** The function that does an access. An AMO's load makes sure that its store will be possible. */
export function accessFunction(kind: "load" | "store", memory: MemoryType, amo: boolean): string {
  if (kind === "store") return `store_${memory.replace("u", "i")}`;
  return `${amo ? "amo" : "load"}_${memory}`;
}

/**
 * Text of the functions, as properties of an object. Each gets an address by the halves of a register and a constant: where
 * there is an entry for the sum, no carry has changed the high half (`TranslationBuffers.fill`). `site` says which instruction
 * it is. What is not plainly in a page that an entry leads to is done by `missedLoad` and `missedStore`.
 */
export function accessFunctions(): string {
  const loads: MemoryType[] = ["i8", "u8", "i16", "u16", "i32", "i64"];
  return `({\n${
    [
      ...loads.map((memory) => loadFunction(memory, false)),
      ...loads.map((memory) => loadFunction(memory, true)),
      ...(["i8", "i16", "i32", "i64"] as const).map(storeFunction),
    ].join(",\n")
  } })`;
}

/** Finds an entry: condition, which leaves its index in `t`. */
function entry(buffer: "LOADS" | "STORES", size: number): string {
  return `${buffer}[t = low >>> ${TLB_SHIFT} & ${TLB_MASK}] === (low & ${~(4095 & ~(size - 1))}) && ` +
    `${buffer}[t + 1] === high`;
}

function element(memory: MemoryType): string {
  switch (memory) {
    case "i8":
      return "I8[t]";
    case "u8":
      return "U8[t]";
    case "i16":
      return "I16[t >> 1]";
    case "u16":
      return "U16[t >> 1]";
    default:
      return "I32[t >> 2]";
  }
}

function loadFunction(memory: MemoryType, amo: boolean): string {
  const size = sizeOf(memory), buffer = amo ? "STORES" : "LOADS";
  const value = memory === "i64" ? `HIGH[0] = I32[(t = t >> 2) + 1]; return I32[t];` : `return ${element(memory)};`;
  const found = `t = ${buffer}[t + 2] + low | 0;`;
  return `${accessFunction("load", memory, amo)}(base, high, immediate, site) {
    const low = base + immediate | 0;
    let t = 0;
    if (${entry(buffer, size)}) { ${found} ${amo ? `if (LINES[t >>> ${LINE_SHIFT}] === 0) { ${value} }` : value} }
    return missedLoad(${accessCode(memory, amo)}, base, high, immediate, site) | 0;
  }`;
}

function storeFunction(memory: MemoryType): string {
  const target = element(memory === "i8" ? "u8" : memory === "i16" ? "u16" : memory);
  const store = memory === "i64"
    ? `I32[t = t >> 2] = value; I32[t + 1] = valueHigh; return;`
    : `${target} = value; return;`;
  const last = memory === "i64" ? ", valueHigh" : "", passed = memory === "i64" ? "valueHigh" : "0";
  return `${accessFunction("store", memory, false)}(base, high, immediate, site, value${last}) {
    const low = base + immediate | 0;
    let t = 0;
    if (${entry("STORES", sizeOf(memory))}) {
      t = STORES[t + 2] + low | 0;
      if (LINES[t >>> ${LINE_SHIFT}] === 0) { ${store} }
    }
    missedStore(${accessCode(memory, false)}, base, high, immediate, site, value, ${passed});
  }`;
}
