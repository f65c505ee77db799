// Zicbom and Zicboz: cache-block operations (unprivileged manual, chapter "CMO Extensions"). Zicbop's prefetches are
// encodings of ORI with rd = x0, which does nothing: they have names (aliases.ts) and no entries.

import type { Extension } from "./extensions.ts";
import type { Definition } from "./instruction.ts";

/** The operations by the number that is their immediate. */
export const CBO_INVAL = 0, CBO_CLEAN = 1, CBO_FLUSH = 2, CBO_ZERO = 4;

/** Bytes of a cache block, for all operations. */
export const CACHE_BLOCK = 64;

function operation(name: string, extension: Extension, number: number): Definition {
  return {
    name,
    extensions: [extension],
    format: "cbo",
    pattern: `${number.toString(2).padStart(12, "0")}sssss010000000001111`,
    semantics: (b, i) => {
      b.call("cacheBlock", null, b.i32(number), b.x(i.rs1));
    },
  };
}

/** CBO.INVAL, CBO.CLEAN, CBO.FLUSH and CBO.ZERO. */
export const ZICBO: readonly Definition[] = [
  operation("cbo.inval", "Zicbom", CBO_INVAL),
  operation("cbo.clean", "Zicbom", CBO_CLEAN),
  operation("cbo.flush", "Zicbom", CBO_FLUSH),
  operation("cbo.zero", "Zicboz", CBO_ZERO),
];
