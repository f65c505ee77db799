// Reading of little-endian data piece by piece, with every access checked.

/** Debug information that cannot be understood: damaged, or of a kind that is not supported. */
export class DwarfError extends Error {
  /** The class's name. */
  override name = "DwarfError";
}

/** The data end before what was to be read: damage, or the window into a section was too short. */
export class EndOfData extends DwarfError {}

const decoder = new TextDecoder();

/** A position in bytes that moves forward as they are read. */
export class Cursor {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  /** Index of the next byte. */
  position: number;
  /** Index after the last byte that may be read. */
  readonly end: number;
  /** Offset of `bytes` in their section. */
  readonly base: number;

  constructor(bytes: Uint8Array, base = 0, position = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = position;
    this.end = Math.min(end, bytes.length);
    this.base = base;
  }

  /** Offset of the next byte in the section. */
  get offset(): number {
    return this.base + this.position;
  }

  /** True if nothing is left. */
  get done(): boolean {
    return this.position >= this.end;
  }

  #take(count: number): number {
    const at = this.position;
    if (!(count >= 0) || at + count > this.end) {
      throw new EndOfData(
        `the data end at ${this.base + this.end}, and ${count} bytes were to be read at ${this.offset}`,
      );
    }
    this.position = at + count;
    return at;
  }

  skip(count: number): void {
    this.#take(count);
  }

  u8(): number {
    return this.bytes[this.#take(1)]!;
  }
  i8(): number {
    return this.#view.getInt8(this.#take(1));
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }
  i16(): number {
    return this.#view.getInt16(this.#take(2), true);
  }
  u24(): number {
    const at = this.#take(3);
    return this.#view.getUint16(at, true) | this.bytes[at + 2]! << 16;
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }
  i32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }
  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }
  i64(): bigint {
    return this.#view.getBigInt64(this.#take(8), true);
  }

  /** An unsigned number of 1, 2, 4 or 8 bytes. */
  unsigned(size: number): bigint {
    switch (size) {
      case 1:
        return BigInt(this.u8());
      case 2:
        return BigInt(this.u16());
      case 4:
        return BigInt(this.u32());
      case 8:
        return this.u64();
    }
    throw new DwarfError(`an address of ${size} bytes`);
  }

  /** A signed number of 1, 2, 4 or 8 bytes. */
  signed(size: number): bigint {
    return BigInt.asIntN(8 * size, this.unsigned(size));
  }

  /** ULEB128 that has to be a count, size or offset. */
  uleb(): number {
    let value = 0, scale = 1;
    for (;;) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 128;
    }
    if (value > Number.MAX_SAFE_INTEGER) throw new DwarfError(`a count at ${this.offset} is beyond reason`);
    return value;
  }

  /** ULEB128, modulo 2^64. */
  bigUleb(): bigint {
    let value = 0n;
    for (let shift = 0n;; shift += 7n) {
      const byte = this.u8();
      if (shift < 64n) value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
  }

  /** SLEB128 as 64-bit number. */
  bigSleb(): bigint {
    let value = 0n;
    for (let shift = 0n;;) {
      const byte = this.u8();
      if (shift < 64n) value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte < 0x80) {
        return (byte & 0x40) && shift < 64n ? BigInt.asIntN(Number(shift), value) : BigInt.asIntN(64, value);
      }
    }
  }

  /** SLEB128 that has to be small. */
  sleb(): number {
    return Number(this.bigSleb());
  }

  skipLeb(): void {
    while (this.u8() >= 0x80);
  }

  /** An offset or length in the 32-bit or 64-bit format. */
  word(wide: boolean): number {
    if (!wide) return this.u32();
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new DwarfError(`the offset 0x${value.toString(16)} is beyond reason`);
    }
    return Number(value);
  }

  /** A unit's length, which also says which format the unit has. */
  initialLength(): { readonly length: number; readonly wide: boolean } {
    const first = this.u32();
    if (first < 0xffff_fff0) return { length: first, wide: false };
    if (first !== 0xffff_ffff) {
      throw new DwarfError(`a unit at ${this.offset - 4} has the reserved length 0x${first.toString(16)}`);
    }
    return { length: this.word(true), wide: true };
  }

  /** A text up to the next zero byte. */
  string(): string {
    const end = this.bytes.indexOf(0, this.position);
    if (end < 0 || end >= this.end) throw new EndOfData(`the text at ${this.offset} has no end`);
    const text = decoder.decode(this.bytes.subarray(this.position, end));
    this.position = end + 1;
    return text;
  }

  skipString(): void {
    const end = this.bytes.indexOf(0, this.position);
    if (end < 0 || end >= this.end) throw new EndOfData(`the text at ${this.offset} has no end`);
    this.position = end + 1;
  }

  /** The next bytes, as a view. */
  block(length: number): Uint8Array {
    const at = this.#take(length);
    return this.bytes.subarray(at, at + length);
  }
}
