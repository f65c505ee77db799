// Makes small ELF files for tests of the loaders.

/** One PT_LOAD segment. */
export interface TestSegment {
  readonly physical: bigint;
  readonly virtual?: bigint;
  readonly bytes?: Uint8Array;
  readonly memorySize?: bigint;
  readonly flags?: number;
}

/** An executable ELF for RISC-V with the given segments and no sections. */
export function buildElf(xlen: 32 | 64, entry: bigint, segments: readonly TestSegment[]): Uint8Array<ArrayBuffer> {
  const [headerSize, entrySize] = xlen === 32 ? [52, 32] : [64, 56];
  const dataStart = headerSize + entrySize * segments.length;
  const size = segments.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), dataStart);
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  const word = (at: number, value: bigint) =>
    xlen === 32 ? view.setUint32(at, Number(value), true) : view.setBigUint64(at, value, true);
  file.set([0x7f, 0x45, 0x4c, 0x46, xlen / 32, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 243, true);
  view.setUint32(20, 1, true);
  word(24, entry);
  word(xlen === 32 ? 28 : 32, BigInt(headerSize));
  const tail = xlen === 32 ? 36 : 48;
  view.setUint16(tail + 4, headerSize, true);
  view.setUint16(tail + 6, entrySize, true);
  view.setUint16(tail + 8, segments.length, true);
  let data = dataStart;
  segments.forEach(({ physical, virtual = physical, bytes = new Uint8Array(), memorySize, flags = 7 }, index) => {
    const at = headerSize + index * entrySize;
    view.setUint32(at, 1, true);
    view.setUint32(at + (xlen === 32 ? 24 : 4), flags, true);
    const fields = [BigInt(data), virtual, physical, BigInt(bytes.length), memorySize ?? BigInt(bytes.length)];
    fields.forEach((field, place) => word(at + (xlen === 32 ? 4 + 4 * place : 8 + 8 * place), field));
    file.set(bytes, data);
    data += bytes.length;
  });
  return file;
}
