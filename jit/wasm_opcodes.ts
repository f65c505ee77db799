// Opcodes of WebAssembly (WebAssembly Core Specification, appendix "Index of Instructions"), as far as they are used.

/** Opcodes that follow one another, from the first on. */
function row<Name extends string>(first: number, ...names: Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name, k) => [name, first + k])) as Record<Name, number>;
}

const FLOAT_COMPARISONS = ["eq", "ne", "lt", "gt", "le", "ge"] as const;
const FLOAT_OPERATIONS = [
  ...["abs", "neg", "ceil", "floor", "trunc", "nearest", "sqrt"] as const,
  ...["add", "sub", "mul", "div", "min", "max", "copysign"] as const,
] as const;

function floats<Type extends "f32" | "f64", Name extends string>(
  type: Type,
  first: number,
  names: readonly Name[],
): Record<`${Type}.${Name}`, number> {
  return row(first, ...names.map((name): `${Type}.${Name}` => `${type}.${name}`));
}

/** Opcodes of the instructions without immediates, by name. */
export const PLAIN = {
  "unreachable": 0x00,
  "else": 0x05,
  "end": 0x0b,
  "return": 0x0f,
  "drop": 0x1a,
  "select": 0x1b,
  ...row(0x45, "i32.eqz", "i32.eq", "i32.ne", "i32.lt_s", "i32.lt_u", "i32.gt_s", "i32.gt_u"),
  ...row(0x4c, "i32.le_s", "i32.le_u", "i32.ge_s", "i32.ge_u"),
  ...row(0x50, "i64.eqz", "i64.eq", "i64.ne", "i64.lt_s", "i64.lt_u", "i64.gt_s", "i64.gt_u"),
  ...row(0x57, "i64.le_s", "i64.le_u", "i64.ge_s", "i64.ge_u"),
  ...floats("f32", 0x5b, FLOAT_COMPARISONS),
  ...floats("f64", 0x61, FLOAT_COMPARISONS),
  ...row(0x67, "i32.clz", "i32.ctz", "i32.popcnt", "i32.add", "i32.sub", "i32.mul"),
  ...row(0x6d, "i32.div_s", "i32.div_u", "i32.rem_s", "i32.rem_u", "i32.and", "i32.or", "i32.xor"),
  ...row(0x74, "i32.shl", "i32.shr_s", "i32.shr_u", "i32.rotl", "i32.rotr"),
  ...row(0x79, "i64.clz", "i64.ctz", "i64.popcnt", "i64.add", "i64.sub", "i64.mul"),
  ...row(0x7f, "i64.div_s", "i64.div_u", "i64.rem_s", "i64.rem_u", "i64.and", "i64.or", "i64.xor"),
  ...row(0x86, "i64.shl", "i64.shr_s", "i64.shr_u", "i64.rotl", "i64.rotr"),
  ...floats("f32", 0x8b, FLOAT_OPERATIONS),
  ...floats("f64", 0x99, FLOAT_OPERATIONS),
  ...row(0xa7, "i32.wrap_i64", "i32.trunc_f32_s", "i32.trunc_f32_u", "i32.trunc_f64_s", "i32.trunc_f64_u"),
  ...row(0xac, "i64.extend_i32_s", "i64.extend_i32_u"),
  ...row(0xae, "i64.trunc_f32_s", "i64.trunc_f32_u", "i64.trunc_f64_s", "i64.trunc_f64_u"),
  ...row(0xb2, "f32.convert_i32_s", "f32.convert_i32_u", "f32.convert_i64_s", "f32.convert_i64_u", "f32.demote_f64"),
  ...row(0xb7, "f64.convert_i32_s", "f64.convert_i32_u", "f64.convert_i64_s", "f64.convert_i64_u", "f64.promote_f32"),
  ...row(0xbc, "i32.reinterpret_f32", "i64.reinterpret_f64", "f32.reinterpret_i32", "f64.reinterpret_i64"),
  ...row(0xc0, "i32.extend8_s", "i32.extend16_s"),
} as const;

/** Loads and stores: opcode and log2 of the natural alignment. */
export const MEMORY = {
  "i32.load": [0x28, 2],
  "i64.load": [0x29, 3],
  "f32.load": [0x2a, 2],
  "f64.load": [0x2b, 3],
  "i32.load8_s": [0x2c, 0],
  "i32.load8_u": [0x2d, 0],
  "i32.load16_s": [0x2e, 1],
  "i32.load16_u": [0x2f, 1],
  "i32.store": [0x36, 2],
  "i64.store": [0x37, 3],
  "f32.store": [0x38, 2],
  "f64.store": [0x39, 3],
  "i32.store8": [0x3a, 0],
  "i32.store16": [0x3b, 1],
} as const;

/** An instruction without immediates. */
export type PlainInstruction = keyof typeof PLAIN;
/** A load or store. */
export type MemoryInstruction = keyof typeof MEMORY;
