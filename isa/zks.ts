// Zksed and Zksh: SM4 and SM3 (unprivileged manual, chapter "Cryptography Extensions: Scalar & Entropy Source Instructions",
// sections "Zksed" and "Zksh").

import type { Definition } from "./instruction.ts";
import type { Builder, Value } from "./ir.ts";
import { addRotated, selectedByte, sigma } from "./zkn.ts";

/** A byte through SM4's box, then `linear`. */
function sm4(name: string, funct5: string, linear: (b: Builder, x: Value) => Value): Definition {
  return {
    name,
    extensions: ["Zksed"],
    format: "Rbs",
    pattern: `ii${funct5}tttttsssss000ddddd0110011`,
    semantics: (b, i) => addRotated(b, i, linear(b, b.pure("sm4SubstituteByte", selectedByte(b, i)))),
  };
}

/** The sum of a word and its rotations to the left. */
const rotations = (...amounts: number[]) => (b: Builder, x: Value) =>
  amounts.reduce((total, n) => b.xor(total, b.rotl(x, b.i32(n))), x);
/** The sum of what some bits of a word are when shifted to the left. SM4's words are big-endian, the instructions' are not. */
const masked = (...terms: readonly (readonly [mask: number, by: number])[]) => (b: Builder, x: Value) =>
  terms.reduce<Value>((total, [mask, by]) => b.xor(total, b.shl(b.and(x, b.i32(mask)), b.i32(by))), b.i32(0));
const ALL = 0xff;

/** SM4 and SM3. */
export const ZKS: readonly Definition[] = [
  sm4("sm4ed", "11000", masked([ALL, 0], [ALL, 8], [ALL, 2], [ALL, 18], [0x3f, 26], [0xc0, 10])),
  sm4("sm4ks", "11010", masked([ALL, 0], [7, 29], [0xfe, 7], [1, 23], [0xf8, 13])),
  sigma("sm3p0", "Zksh", "000100001000", 32, rotations(9, 17)),
  sigma("sm3p1", "Zksh", "000100001001", 32, rotations(15, 23)),
];
