// Zknd, Zkne, Zknh, Zksed, Zksh: the instructions put together to the ciphers and hashes that they are for, with the examples of
// the standards. Single instructions are compared with QEMU by lockstep_qemu_test.ts, the pure helpers in library_test.ts.

import assert from "node:assert/strict";
import { createCipheriv, createHash } from "node:crypto";
import { test } from "node:test";
import { Guest, unsigned, WIDTHS } from "./support/guest.ts";

const RD = 5, RS1 = 6, RS2 = 7;

/** Result of an instruction on two registers. */
type Execute = (name: string, a: bigint, b?: bigint, imm?: number) => bigint;

function executor(guest: Guest): Execute {
  return (name, a, b = 0n, imm) => {
    guest.setX(RS1, a);
    guest.setX(RS2, b);
    const two = /^(aes64(ds|es|ks2)|aes32|sm4|sha512(sig..|sum.r)$)/.test(name);
    guest.execute(name, { rd: RD, rs1: RS1, ...(two && { rs2: RS2 }), ...(imm !== undefined && { imm }) });
    return guest.x(RD);
  };
}

const words = (bytes: Uint8Array, little: boolean): number[] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / 4 }, (_, k) => view.getUint32(4 * k, little));
};
const bytesOf = (values: readonly number[], little: boolean): Uint8Array => {
  const bytes = new Uint8Array(4 * values.length), view = new DataView(bytes.buffer);
  values.forEach((value, k) => view.setUint32(4 * k, value, little));
  return bytes;
};
const hex = (text: string) => Uint8Array.from(text.match(/../g)!, (pair) => parseInt(pair, 16));
const pair = (low: number, high: number) => BigInt(high >>> 0) << 32n | BigInt(low >>> 0);
const halves = (value: bigint) => [Number(value & 0xffff_ffffn), Number(value >> 32n)];

/** AES on one block by the RV64 instructions, forwards and back. */
function aes64(execute: Execute, key: Uint8Array, block: Uint8Array): { encrypted: Uint8Array; decrypted: Uint8Array } {
  const k = words(key, true), length = k.length, rounds = length + 6;
  // The key schedule in doublewords.
  const schedule = Array.from({ length: length / 2 }, (_, n) => pair(k[2 * n]!, k[2 * n + 1]!));
  for (let round = 0; schedule.length < 2 * (rounds + 1); round++) {
    const n = length / 2, last = schedule.slice(-n);
    let previous = execute("aes64ks1i", last[n - 1]!, 0n, round);
    for (let j = 0; j < n; j++) {
      if (length === 8 && j === 2) previous = execute("aes64ks1i", previous, 0n, 10);
      previous = execute("aes64ks2", previous, last[j]!);
      schedule.push(previous);
    }
  }
  const at = (round: number) => [schedule[2 * round]!, schedule[2 * round + 1]!] as const;
  const input = words(block, true), add = (s: readonly bigint[], r: readonly bigint[]) => s.map((v, j) => v ^ r[j]!);
  const both = (name: string, [a, b]: readonly bigint[]) => [execute(name, a!, b!), execute(name, b!, a!)];
  let state = add([pair(input[0]!, input[1]!), pair(input[2]!, input[3]!)], at(0));
  for (let round = 1; round < rounds; round++) state = add(both("aes64esm", state), at(round));
  state = add(both("aes64es", state), at(rounds));
  const encrypted = bytesOf(state.flatMap(halves), true);
  // The equivalent inverse cipher: round keys through the inverse of MixColumns.
  state = add(state, at(rounds));
  for (let round = rounds - 1; round > 0; round--) {
    state = add(both("aes64dsm", state), at(round).map((v) => execute("aes64im", v)));
  }
  state = add(both("aes64ds", state), at(0));
  return { encrypted, decrypted: bytesOf(state.flatMap(halves), true) };
}

/** One round of AES with key 0 on RV32: `name` over the four bytes that make up each column. */
function columns32(execute: Execute, name: string, state: readonly number[], direction: 1 | -1): number[] {
  return state.map((_, column) => {
    let value = 0n;
    for (let row = 0; row < 4; row++) {
      value = execute(name, value, BigInt(state[(column + direction * row + 4) % 4]! >>> 0), row);
    }
    return Number(value);
  });
}

const VECTORS = [
  // FIPS 197, appendix C.
  ["000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff", "69c4e0d86a7b0430d8cdb78070b4c55a"],
  [
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "00112233445566778899aabbccddeeff",
    "8ea2b7ca516745bfeafc49904b496089",
  ],
] as const;

test("AES-128 and AES-256 by the RV64 instructions give the examples of FIPS 197, and back", async () => {
  const execute = executor(await Guest.create(64));
  for (const [key, plain, cipher] of VECTORS) {
    const { encrypted, decrypted } = aes64(execute, hex(key), hex(plain));
    assert.deepEqual(encrypted, hex(cipher));
    assert.deepEqual(decrypted, hex(plain));
  }
  assert.throws(() => execute("aes64ks1i", 0n, 0n, 16), /no encoding/);
});

test("AES by the RV32 instructions encrypts as the host does, and back", async () => {
  const execute = executor(await Guest.create(32));
  // Without key schedule: the round keys are those of a key that the host expands by encrypting.
  for (const [key, plain, cipher] of VECTORS) {
    const k = words(hex(key), true), length = k.length, rounds = length + 6, schedule = [...k];
    const substitute = (word: number) => {
      let value = 0n;
      for (let byte = 0; byte < 4; byte++) value = execute("aes32esi", value, BigInt(word >>> 0), byte);
      return Number(value);
    };
    let constant = 1;
    for (let n = length; n < 4 * (rounds + 1); n++) {
      let word = schedule[n - 1]!;
      if (n % length === 0) {
        word = substitute((word >>> 8 | word << 24) >>> 0) ^ constant;
        constant = constant << 1 ^ (constant & 0x80 ? 0x11b : 0);
      } else if (length > 6 && n % length === 4) word = substitute(word);
      schedule.push((schedule[n - length]! ^ word) >>> 0);
    }
    const add = (state: readonly number[], round: number) => state.map((v, j) => (v ^ schedule[4 * round + j]!) >>> 0);
    let state = add(words(hex(plain), true), 0);
    for (let round = 1; round < rounds; round++) state = add(columns32(execute, "aes32esmi", state, 1), round);
    state = add(columns32(execute, "aes32esi", state, 1), rounds);
    assert.deepEqual(bytesOf(state, true), hex(cipher));
    const host = createCipheriv(`aes-${8 * hex(key).length}-ecb`, hex(key), null).update(hex(plain));
    assert.deepEqual(new Uint8Array(host), hex(cipher));
    // Round keys back through MixColumns: its inverse is aes32dsmi after aes32esi.
    const unmixed = (word: number) => {
      let value = 0n;
      const substituted = substitute(word);
      for (let byte = 0; byte < 4; byte++) value = execute("aes32dsmi", value, BigInt(substituted >>> 0), byte);
      return Number(value);
    };
    state = add(state, rounds);
    for (let round = rounds - 1; round > 0; round--) {
      const mixed = columns32(execute, "aes32dsmi", state, -1);
      state = mixed.map((v, j) => (v ^ unmixed(schedule[4 * round + j]!)) >>> 0);
    }
    assert.deepEqual(bytesOf(add(columns32(execute, "aes32dsi", state, -1), 0), true), hex(plain));
  }
});

/** Constants of SHA-2: fractional bits of roots of the first primes. */
function fractions(count: number, root: 2n | 3n, bits: number): bigint[] {
  const primes: bigint[] = [];
  for (let n = 2n; primes.length < count; n++) if (primes.every((p) => n % p !== 0n)) primes.push(n);
  return primes.map((prime) => {
    const target = prime << root * BigInt(bits);
    let low = 0n, high = 1n << BigInt(bits + 12);
    while (high - low > 1n) {
      const middle = low + high >> 1n;
      if (middle ** root <= target) low = middle;
      else high = middle;
    }
    return BigInt.asUintN(bits, low);
  });
}

/** SHA-256 or SHA-512 of a message that fits one block; `sigma` computes the functions that have instructions. */
function sha2(message: Uint8Array, width: 32 | 64, sigma: (name: string, x: bigint) => bigint): Uint8Array {
  const rounds = width === 32 ? 64 : 80, size = width / 8, block = new Uint8Array(16 * size);
  block.set(message);
  block[message.length] = 0x80;
  new DataView(block.buffer).setUint32(block.length - 4, 8 * message.length);
  const u = (value: bigint) => BigInt.asUintN(width, value), constants = fractions(rounds, 3n, width);
  const w = Array.from(
    { length: 16 },
    (_, k) => block.slice(k * size, (k + 1) * size).reduce((v, byte) => v << 8n | BigInt(byte), 0n),
  );
  for (let k = 16; k < rounds; k++) {
    w.push(u(w[k - 16]! + sigma("sig0", w[k - 15]!) + w[k - 7]! + sigma("sig1", w[k - 2]!)));
  }
  const start = fractions(8, 2n, width);
  let [a, b, c, d, e, f, g, h] = start as [bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint];
  for (let k = 0; k < rounds; k++) {
    const t1 = h + sigma("sum1", e) + (e & f ^ u(~e) & g) + constants[k]! + w[k]!;
    const t2 = sigma("sum0", a) + (a & b ^ a & c ^ b & c);
    [h, g, f, e, d, c, b, a] = [g, f, e, u(d + t1), c, b, a, u(t1 + t2)];
  }
  const digits = [a, b, c, d, e, f, g, h].map((v, k) => u(v + start[k]!).toString(16).padStart(width / 4, "0"));
  return hex(digits.join(""));
}

for (const xlen of WIDTHS) {
  test(`SHA-256 and SHA-512 by the RV${xlen} instructions`, async () => {
    const execute = executor(await Guest.create(xlen)), message = new TextEncoder().encode("abc");
    const digest = (name: string) => new Uint8Array(createHash(name).update(message).digest());
    const sha256 = sha2(message, 32, (name, x) => {
      // The upper half of the source does not count; the result is sign-extended.
      const junk = xlen === 64 ? 0x1234_5678_0000_0000n : 0n, result = execute(`sha256${name}`, x | junk);
      assert.equal(result, unsigned(BigInt.asIntN(32, result), xlen));
      return unsigned(result, 32);
    });
    assert.deepEqual(sha256, digest("sha256"));
    const sha512 = sha2(message, 64, (name, x) => {
      if (xlen === 64) return execute(`sha512${name}`, x);
      const low = unsigned(x, 32), high = x >> 32n, [l, h] = name.startsWith("sum") ? ["r", "r"] : ["l", "h"];
      return execute(`sha512${name}${h}`, high, low) << 32n | execute(`sha512${name}${l}`, low, high);
    });
    assert.deepEqual(sha512, digest("sha512"));
  });

  test(`SM4 by the RV${xlen} instructions gives the example of its standard`, async () => {
    const execute = executor(await Guest.create(xlen));
    // Words are as they lie in memory: little-endian.
    const turn = (name: string, value: bigint, source: bigint) => {
      for (let byte = 0; byte < 4; byte++) value = execute(name, value, source, byte);
      return unsigned(value, 32);
    };
    const reversed = (word: number) => BigInt(new DataView(bytesOf([word], false).buffer).getUint32(0, true));
    const text = hex("0123456789abcdeffedcba9876543210"), load = () => words(text, true).map(BigInt);
    const family = [0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc].map(reversed);
    const key = load().map((word, k) => word ^ family[k]!), state = load();
    for (let round = 0; round < 32; round++) {
      const bytes = [0, 1, 2, 3].map((j) => (4 * round + j) * 7 & 0xff);
      const constant = bytes.reduceRight((value, byte) => value << 8n | BigInt(byte), 0n);
      key.push(turn("sm4ks", key[round]!, key[round + 1]! ^ key[round + 2]! ^ key[round + 3]! ^ constant));
      const source = state[round + 1]! ^ state[round + 2]! ^ state[round + 3]! ^ key.at(-1)!;
      state.push(turn("sm4ed", state[round]!, source));
    }
    const result = bytesOf(state.slice(-4).reverse().map(Number), true);
    assert.deepEqual(result, hex("681edf34d206965e86b3e94f536e4246"));
  });

  test(`SM3 by the RV${xlen} instructions gives the example of its standard`, async () => {
    const execute = executor(await Guest.create(xlen)), u = (value: bigint) => unsigned(value, 32);
    const rotl = (x: bigint, n: number) => u(x << BigInt(n % 32)) | x >> BigInt(32 - n % 32);
    const p0 = (x: bigint) => u(execute("sm3p0", x)), p1 = (x: bigint) => u(execute("sm3p1", x));
    const block = new Uint8Array(64);
    block.set([0x61, 0x62, 0x63, 0x80]);
    block[63] = 24;
    const w = words(block, false).map(BigInt);
    for (let k = 16; k < 68; k++) {
      w.push(p1(w[k - 16]! ^ w[k - 9]! ^ rotl(w[k - 3]!, 15)) ^ rotl(w[k - 13]!, 7) ^ w[k - 6]!);
    }
    const start = "7380166f 4914b2b9 172442d7 da8a0600 a96f30bc 163138aa e38dee4d b0fb0e4e".split(" ")
      .map((digits) => BigInt(`0x${digits}`));
    let [a, b, c, d, e, f, g, h] = start as [bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint];
    for (let k = 0; k < 64; k++) {
      const constant = k < 16 ? 0x79cc_4519n : 0x7a87_9d8an, early = k < 16;
      const s1 = rotl(u(rotl(a, 12) + e + rotl(constant, k)), 7), s2 = s1 ^ rotl(a, 12);
      const t1 = u((early ? a ^ b ^ c : a & b | a & c | b & c) + d + s2 + (w[k]! ^ w[k + 4]!));
      const t2 = u((early ? e ^ f ^ g : e & f | u(~e) & g) + h + s1 + w[k]!);
      [d, c, b, a, h, g, f, e] = [c, rotl(b, 9), a, t1, g, rotl(f, 19), e, p0(t2)];
    }
    const digest = [a, b, c, d, e, f, g, h].map((v, k) => (v ^ start[k]!).toString(16).padStart(8, "0")).join("");
    assert.equal(digest, "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
  });
}
