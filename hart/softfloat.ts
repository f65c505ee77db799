// Exact IEEE 754 arithmetic on bit patterns, as the RISC-V manual defines it (unprivileged manual, chapters "F", "D" and
// "Zfh"): here the formats, exception flags, NaNs and rounding that the operations in softfloat_arithmetic.ts,
// softfloat_compare.ts and softfloat_convert.ts stand on. The hart's entry is in softfloat_operations.ts.
//
// Every finite number is taken apart into sign, exponent and an integer significand of any length, the operation is done
// exactly (or with a sticky bit for what is left over), and `roundAndPack` rounds once. A bit pattern is an unsigned
// bigint as wide as its format.

/** A binary interchange format (IEEE 754-2019, 3.6). */
export interface Format {
  /** Width in bits: 16, 32 or 64. */
  readonly width: number;
  /** Bits of the significand with the implicit one: 11, 24 or 53. */
  readonly precision: number;
  /** Exponent of the smallest positive number, which is that of a subnormal's last bit: -24, -149 or -1074. */
  readonly minExponent: number;
  /** Exponent field of infinities and NaNs. */
  readonly specialExponent: number;
  /** The sign bit. */
  readonly signBit: bigint;
  /** Positive infinity. */
  readonly infinity: bigint;
  /** The bit that tells quiet NaNs from signalling ones. */
  readonly quietBit: bigint;
  /** The canonical NaN: positive, quiet, no payload. */
  readonly nan: bigint;
}

function interchangeFormat(width: number, exponentBits: number): Format {
  const fractionBits = width - 1 - exponentBits;
  const specialExponent = 2 ** exponentBits - 1, bias = 2 ** (exponentBits - 1) - 1;
  const infinity = BigInt(specialExponent) << BigInt(fractionBits);
  const quietBit = 1n << BigInt(fractionBits - 1);
  return {
    width,
    precision: fractionBits + 1,
    minExponent: 1 - bias - fractionBits,
    specialExponent,
    signBit: 1n << BigInt(width - 1),
    infinity,
    quietBit,
    nan: infinity | quietBit,
  };
}

/** Half, single and double precision. */
export const HALF: Format = interchangeFormat(16, 5),
  SINGLE: Format = interchangeFormat(32, 8),
  DOUBLE: Format = interchangeFormat(64, 11);

/** Rounding modes as `rm` and `frm` hold them (chapter "F", table "Rounding mode encoding"). */
export const RNE = 0, RTZ = 1, RDN = 2, RUP = 3, RMM = 4;

/** Accrued exception flags as `fflags` holds them (chapter "F", table "Accrued exception flag encoding"). */
export const NX = 1, UF = 2, OF = 4, DZ = 8, NV = 16;

/** Where operations add the exception flags that they raise; nothing ever clears one. */
export interface Flags {
  /** NX, UF, OF, DZ and NV. */
  bits: number;
}

/** What a bit pattern stands for. A zero is a finite number whose significand is 0. */
export interface Unpacked {
  /** Class of the number. */
  readonly kind: "finite" | "infinite" | "quiet NaN" | "signalling NaN";
  /** True for a minus sign. */
  readonly sign: boolean;
  /** Of a finite number: exponent of the significand's last bit. */
  readonly exponent: number;
  /** Of a finite number: its magnitude is significand × 2^exponent. */
  readonly significand: bigint;
}

/** Takes a bit pattern apart. */
export function unpack(format: Format, bits: bigint): Unpacked {
  const sign = (bits & format.signBit) !== 0n;
  const fraction = bits & ((format.quietBit << 1n) - 1n);
  const field = Number(bits >> BigInt(format.precision - 1)) & format.specialExponent;
  if (field === 0) return { kind: "finite", sign, exponent: format.minExponent, significand: fraction };
  if (field !== format.specialExponent) {
    const significand = fraction | (format.quietBit << 1n);
    return { kind: "finite", sign, exponent: format.minExponent + field - 1, significand };
  }
  const nan = (fraction & format.quietBit) !== 0n ? "quiet NaN" : "signalling NaN";
  return { kind: fraction === 0n ? "infinite" : nan, sign, exponent: 0, significand: 0n };
}

/** True for either kind of NaN. */
export function isNaNKind(x: Unpacked): boolean {
  return x.kind === "quiet NaN" || x.kind === "signalling NaN";
}

/** The canonical NaN, for an operation on NaNs: raises NV if one of the operands is signalling. */
export function propagateNaN(format: Format, flags: Flags, ...operands: Unpacked[]): bigint {
  if (operands.some((x) => x.kind === "signalling NaN")) flags.bits |= NV;
  return format.nan;
}

/** The canonical NaN, for an operation that has no value. Raises NV. */
export function invalid(format: Format, flags: Flags): bigint {
  flags.bits |= NV;
  return format.nan;
}

/** Zero or infinity with a sign. */
export function withSign(format: Format, sign: boolean, magnitude: bigint): bigint {
  return sign ? magnitude | format.signBit : magnitude;
}

/** Bits of a number that is not negative; 0 has none. */
export function bitLength(value: bigint): number {
  let length = 0;
  while (value > 0xffff_ffffn) {
    value >>= 32n;
    length += 32;
  }
  return length + 32 - Math.clz32(Number(value));
}

/**
 * A magnitude divided by 2^shift and rounded to an integer; a negative shift multiplies. `sign` is that of the number,
 * which decides where RDN and RUP go.
 */
export function roundedShift(sign: boolean, magnitude: bigint, shift: number, roundingMode: number): bigint {
  if (shift <= 0) return magnitude << BigInt(-shift);
  const n = BigInt(shift), floor = magnitude >> n, rest = magnitude - (floor << n);
  if (rest === 0n) return floor;
  const half = 1n << (n - 1n);
  let away: boolean;
  switch (roundingMode) {
    case RNE:
      away = rest > half || (rest === half && (floor & 1n) === 1n);
      break;
    case RDN:
      away = sign;
      break;
    case RUP:
      away = !sign;
      break;
    case RMM:
      away = rest >= half;
      break;
    default:
      away = false; // RTZ
  }
  return away ? floor + 1n : floor;
}

/**
 * Rounds the number ±significand × 2^exponent to a format. Raises NX, OF and UF; a number is tiny if it is below the
 * smallest normal one after rounding to the format's precision with an unbounded exponent (chapter "F": "tininess is
 * detected after rounding").
 */
export function roundAndPack(
  format: Format,
  sign: boolean,
  exponent: number,
  significand: bigint,
  roundingMode: number,
  flags: Flags,
): bigint {
  const { precision, minExponent } = format;
  if (significand === 0n) return withSign(format, sign, 0n);
  // Exponent of the last bit that is kept: of a normal number, and here.
  const unbounded = exponent + bitLength(significand) - precision;
  const last = Math.max(unbounded, minExponent);
  const shift = last - exponent;
  const rounded = roundedShift(sign, significand, shift, roundingMode);
  const inexact = shift > 0 && rounded << BigInt(shift) !== significand;
  if (inexact) {
    flags.bits |= NX;
    if (unbounded < minExponent) {
      const limit = 1n << BigInt(precision);
      const reachesNormal = unbounded === minExponent - 1 &&
        roundedShift(sign, significand, unbounded - exponent, roundingMode) === limit;
      if (!reachesNormal) flags.bits |= UF;
    }
  }
  // The implicit one adds 1 to the exponent field, and so does a carry out of the significand; a subnormal has no such one.
  const magnitude = (BigInt(last - minExponent) << BigInt(precision - 1)) + rounded;
  if (magnitude < format.infinity) return withSign(format, sign, magnitude);
  flags.bits |= OF | NX;
  const toInfinity = roundingMode === RNE || roundingMode === RMM || roundingMode === (sign ? RDN : RUP);
  return withSign(format, sign, toInfinity ? format.infinity : format.infinity - 1n);
}
