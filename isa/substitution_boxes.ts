// The substitution boxes of AES (FIPS 197, section 5.1.1) and SM4 (GB/T 32907-2016), computed from their definitions: inversion
// in a field of 256 elements with affine maps around it.

/** Product in GF(2)[x] modulo a polynomial of degree 8. */
export function fieldProduct(a: number, b: number, polynomial: number): number {
  let product = 0;
  for (; b !== 0; b >>= 1) {
    if ((b & 1) !== 0) product ^= a;
    a = (a & 0x80) !== 0 ? a << 1 ^ polynomial : a << 1;
  }
  return product;
}

/** AES's polynomial x^8 + x^4 + x^3 + x + 1. */
export const AES_POLYNOMIAL = 0x11b;
/** SM4's polynomial x^8 + x^7 + x^6 + x^5 + x^4 + x^2 + 1. */
const SM4_POLYNOMIAL = 0x1f5;

/** Multiplicative inverse: the 254th power, which takes 0 to 0; 254 is 2 + 4 + … + 128. */
function inverse(a: number, polynomial: number): number {
  let power = 1;
  for (let k = 0; k < 7; k++) {
    a = fieldProduct(a, a, polynomial);
    power = fieldProduct(power, a, polynomial);
  }
  return power;
}

const rotated = (byte: number, by: number) => (byte << by | byte >> 8 - by) & 0xff;

/** The sum of a byte's rotations by the amounts whose bits are set in `amounts`. */
function circulant(byte: number, amounts: number): number {
  let sum = 0;
  for (let by = 0; by < 8; by++) if ((amounts >> by & 1) !== 0) sum ^= rotated(byte, by);
  return sum;
}

const bytes = Array.from({ length: 256 }, (_, k) => k);

/** SubBytes of AES. */
export const AES_BOX: Uint8Array = Uint8Array.from(
  bytes,
  (byte) => circulant(inverse(byte, AES_POLYNOMIAL), 0b11111) ^ 0x63,
);
/** InvSubBytes of AES. */
export const AES_INVERSE_BOX: Uint8Array = new Uint8Array(256);
AES_BOX.forEach((to, from) => AES_INVERSE_BOX[to] = from);

const SM4_CONSTANT = 0xd3, SM4_AMOUNTS = 0b11001011;
const sm4Affine = (byte: number) => circulant(byte, SM4_AMOUNTS) ^ SM4_CONSTANT;
/** The box of SM4. */
export const SM4_BOX: Uint8Array = Uint8Array.from(
  bytes,
  (byte) => sm4Affine(inverse(sm4Affine(byte), SM4_POLYNOMIAL)),
);
