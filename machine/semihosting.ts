// Semihosting: a guest asks its debugger for files, the console, the time and the end ("Semihosting for AArch32 and AArch64",
// ARM IHI 0054, whose operations "RISC-V Semihosting" takes over with a sequence of its own). What the documents leave open is as
// in QEMU. Files are only those that a `SemihostingFiles` hands out.

import type { Hart } from "../hart/hart.ts";
import type { SemihostingHost } from "../hart/semihosting.ts";
import type { Receiver } from "./console.ts";
import { ERRNO, FileError, type SemihostingFile, type SemihostingFiles } from "./semihosting_files.ts";

/** Operations by number. */
const SYS = {
  open: 0x01,
  close: 0x02,
  writec: 0x03,
  write0: 0x04,
  write: 0x05,
  read: 0x06,
  readc: 0x07,
  iserror: 0x08,
  istty: 0x09,
  seek: 0x0a,
  flen: 0x0c,
  tmpnam: 0x0d,
  remove: 0x0e,
  rename: 0x0f,
  clock: 0x10,
  time: 0x11,
  system: 0x12,
  errno: 0x13,
  getCmdline: 0x15,
  heapinfo: 0x16,
  exit: 0x18,
  exitExtended: 0x20,
  elapsed: 0x30,
  tickfreq: 0x31,
} as const;

/** The reason of an exit that is no error (ADP_Stopped_ApplicationExit). */
const APPLICATION_EXIT = 0x20026n;
/** What operations without a result leave in a0. */
const NO_RESULT = 0xdeadbeefn;
/** Contents of `:semihosting-features`: "SHFB", then SYS_EXIT_EXTENDED and separate handles of `:tt` for output and errors. */
const FEATURES: Uint8Array = Uint8Array.of(0x53, 0x48, 0x46, 0x42, 0b11);
/** Longest name and longest text without length, in bytes. */
const LONGEST_NAME = 4096, LONGEST_TEXT = 1 << 20;
/** Most bytes that one operation transfers. */
const LONGEST_TRANSFER = 1 << 24;
/** Most files that are open at once. */
const MOST_FILES = 64;

/** What semihosting needs of a machine. */
export interface SemihostingParts {
  /** Guest memory as a hart sees it, as `DebugAccess` reads and writes it. */
  read(hart: number, address: bigint, length: number): Uint8Array | undefined;
  write(hart: number, address: bigint, bytes: Uint8Array): boolean;
  /** Prints a byte on the console. */
  print(byte: number): void;
  /** Whether input may still come when there is none. */
  mayComeInput(): boolean;
  /** Ends the run. */
  exit(code: number): void;
  /** Virtual nanoseconds since power-on. */
  now(): number;
  /** Seconds since 1970 at power-on. */
  readonly startTime: number;
  /** RAM that nothing was loaded into: where heap and stack may be. */
  readonly free: { readonly start: number; readonly end: number };
  /** Whether user mode may make calls. */
  readonly userMode: boolean;
  /** The program's arguments. */
  readonly commandLine: string;
  /** Files; null: there are none. */
  readonly files: SemihostingFiles | null;
}

/** Something with a handle. */
type Open =
  | { readonly kind: "console" }
  | { readonly kind: "features"; position: number }
  | { readonly kind: "file"; readonly file: SemihostingFile; position: number };

/** Answers a machine's semihosting calls; also where its console input goes. */
export class Semihosting implements SemihostingHost, Receiver {
  readonly userMode: boolean;
  readonly #parts: SemihostingParts;
  /** By handle; 0 is none. */
  readonly #open = new Map<number, Open>();
  #errno = 0;
  #input: number[] = [];
  /** Harts that wait for input. */
  readonly #waiting = new Set<Hart>();

  constructor(parts: SemihostingParts) {
    this.#parts = parts;
    this.userMode = parts.userMode;
  }

  /** Closes all files. */
  reset(): void {
    for (const open of this.#open.values()) if (open.kind === "file") open.file.close();
    this.#open.clear();
    this.#errno = 0;
    this.#waiting.clear();
  }

  // Console input.

  receiverSpace(): number {
    return LONGEST_TEXT - this.#input.length;
  }
  receive(byte: number): void {
    this.#input.push(byte);
  }
  /** To be called when there is input, or will be none. */
  inputChanged(): void {
    for (const hart of this.#waiting) hart.waiting = false;
    this.#waiting.clear();
  }

  /** Does what a hart asks for; false if the instruction is to be executed again, since it waits for input. */
  call(hart: Hart): boolean {
    const operation = Number(BigInt.asIntN(32, hart.readX(10)));
    try {
      const result = this.#operate(hart, operation, hart.readX(11));
      if (result === null) {
        hart.waiting = true;
        this.#waiting.add(hart);
        return false;
      }
      hart.writeX(10, BigInt(result));
    } catch (e) {
      if (!(e instanceof FileError)) throw e;
      this.#errno = e.errno;
      // SYS_READ and SYS_WRITE tell how much was left.
      const transfer = operation === SYS.read || operation === SYS.write;
      hart.writeX(10, transfer && e.errno !== ERRNO.EFAULT ? this.#word(hart, hart.readX(11), 2) : -1n);
    }
    return true;
  }

  // The block of arguments: words of XLEN bits.

  #word(hart: Hart, block: bigint, index: number): bigint {
    const size = hart.xlen / 8, bytes = this.#bytes(hart, block + BigInt(index * size), size);
    let value = 0n;
    for (let k = size - 1; k >= 0; k--) value = value << 8n | BigInt(bytes[k]!);
    return value;
  }
  #setWord(hart: Hart, block: bigint, index: number, value: bigint): void {
    const size = hart.xlen / 8;
    const bytes = Uint8Array.from({ length: size }, (_, k) => Number(value >> BigInt(8 * k) & 255n));
    this.#store(hart, block + BigInt(index * size), bytes);
  }
  #bytes(hart: Hart, address: bigint, length: number): Uint8Array {
    const bytes = this.#parts.read(hart.id, BigInt.asUintN(hart.xlen, address), length);
    if (bytes === undefined) throw new FileError(ERRNO.EFAULT);
    return bytes;
  }
  #store(hart: Hart, address: bigint, bytes: Uint8Array): void {
    const stored = this.#parts.write(hart.id, BigInt.asUintN(hart.xlen, address), bytes);
    if (!stored) throw new FileError(ERRNO.EFAULT);
  }
  /** A name of so many bytes, which a zero byte follows. */
  #name(hart: Hart, address: bigint, length: bigint): string {
    if (length > BigInt(LONGEST_NAME)) throw new FileError(ERRNO.ENAMETOOLONG);
    const bytes = this.#bytes(hart, address, Number(length) + 1);
    if (bytes.at(-1) !== 0) throw new FileError(ERRNO.EINVAL);
    return new TextDecoder().decode(bytes.subarray(0, -1));
  }
  #length(value: bigint): number {
    return value > BigInt(LONGEST_TRANSFER) ? LONGEST_TRANSFER : Number(value);
  }

  /** The result of an operation; null: wait for input. */
  #operate(hart: Hart, operation: number, block: bigint): bigint | number | null {
    const word = (index: number) => this.#word(hart, block, index), { files } = this.#parts;
    switch (operation) {
      case SYS.open:
        return this.#openFile(this.#name(hart, word(0), word(2)), Number(word(1)));
      case SYS.close:
        return this.#close(word(0));
      case SYS.writec:
        this.#parts.print(this.#bytes(hart, block, 1)[0]!);
        return NO_RESULT;
      case SYS.write0:
        this.#writeText(hart, block);
        return NO_RESULT;
      case SYS.write:
        return this.#write(hart, word(0), word(1), word(2));
      case SYS.read:
        return this.#read(hart, word(0), word(1), word(2));
      case SYS.readc:
        return this.#input.shift() ?? (this.#parts.mayComeInput() ? null : -1);
      case SYS.iserror:
        return BigInt.asIntN(hart.xlen, word(0)) < 0n ? 1 : 0;
      case SYS.istty:
        return this.#at(word(0)).kind === "console" ? 1 : 0;
      case SYS.seek:
        return this.#seek(word(0), word(1));
      case SYS.flen: {
        const open = this.#at(word(0));
        if (open.kind === "console") throw new FileError(ERRNO.EINVAL);
        return open.kind === "features" ? FEATURES.length : open.file.size();
      }
      case SYS.tmpnam: {
        const name = new TextEncoder().encode(
          `hartbeat-${(Number(word(1)) & 255).toString(16).padStart(2, "0")}.tmp\0`,
        );
        if (BigInt(name.length) > word(2)) return -1;
        this.#store(hart, word(0), name);
        return 0;
      }
      case SYS.remove:
        if (files === null) throw new FileError(ERRNO.EACCES);
        files.remove(this.#name(hart, word(0), word(1)));
        return 0;
      case SYS.rename:
        if (files === null) throw new FileError(ERRNO.EACCES);
        files.rename(this.#name(hart, word(0), word(1)), this.#name(hart, word(2), word(3)));
        return 0;
      case SYS.clock:
        return Math.floor(this.#parts.now() / 1e7);
      case SYS.time:
        return this.#parts.startTime + Math.floor(this.#parts.now() / 1e9);
      case SYS.system:
        // Nothing of the host's is executed.
        throw new FileError(ERRNO.ENOSYS);
      case SYS.errno:
        return this.#errno;
      case SYS.getCmdline:
        return this.#commandLine(hart, block);
      case SYS.heapinfo: {
        const { start, end } = this.#parts.free, at = word(0);
        [start, end, end, start].forEach((value, index) => this.#setWord(hart, at, index, BigInt(value)));
        return 0;
      }
      case SYS.exit:
      case SYS.exitExtended:
        this.#exit(hart, operation, block);
        return 0;
      case SYS.elapsed: {
        const now = BigInt(Math.floor(this.#parts.now()));
        this.#setWord(hart, block, 0, now);
        if (hart.xlen === 32) this.#setWord(hart, block, 1, now >> 32n);
        return 0;
      }
      case SYS.tickfreq:
        return 1_000_000_000;
      default:
        throw new FileError(ERRNO.ENOSYS);
    }
  }

  // Files.

  #at(handle: bigint): Open {
    const open = this.#open.get(Number(handle));
    if (open === undefined) throw new FileError(ERRNO.EBADF);
    return open;
  }

  #openFile(name: string, mode: number): number {
    if (!(mode >= 0 && mode <= 11)) throw new FileError(ERRNO.EINVAL);
    let handle = 1;
    while (this.#open.has(handle)) handle++;
    if (handle > MOST_FILES) throw new FileError(ERRNO.EMFILE);
    if (name === ":tt") this.#open.set(handle, { kind: "console" });
    else if (name === ":semihosting-features") {
      if (mode > 1) throw new FileError(ERRNO.EACCES);
      this.#open.set(handle, { kind: "features", position: 0 });
    } else {
      if (this.#parts.files === null) throw new FileError(ERRNO.EACCES);
      const way = (["r", "r+", "w", "w+", "a", "a+"] as const)[mode >> 1]!;
      this.#open.set(handle, { kind: "file", file: this.#parts.files.open(name, way), position: 0 });
    }
    return handle;
  }

  #close(handle: bigint): number {
    const open = this.#at(handle);
    this.#open.delete(Number(handle));
    if (open.kind === "file") open.file.close();
    return 0;
  }

  #writeText(hart: Hart, start: bigint): void {
    for (let at = 0; at < LONGEST_TEXT; at++) {
      const [byte] = this.#bytes(hart, start + BigInt(at), 1);
      if (byte === 0) return;
      this.#parts.print(byte!);
    }
  }

  /** Bytes that were not written. */
  #write(hart: Hart, handle: bigint, from: bigint, length: bigint): bigint {
    const open = this.#at(handle), bytes = this.#bytes(hart, from, this.#length(length));
    if (open.kind === "features") throw new FileError(ERRNO.EBADF);
    if (open.kind === "console") {
      for (const byte of bytes) this.#parts.print(byte);
      return length - BigInt(bytes.length);
    }
    const written = open.file.write(open.position, bytes);
    open.position = written.position;
    return length - BigInt(written.count);
  }

  /** Bytes that were not read. */
  #read(hart: Hart, handle: bigint, to: bigint, length: bigint): bigint | null {
    const open = this.#at(handle), most = this.#length(length);
    let bytes: Uint8Array;
    if (open.kind === "console") {
      if (most > 0 && this.#input.length === 0 && this.#parts.mayComeInput()) return null;
      // Up to the end of a line, as a terminal gives them.
      const end = this.#input.findIndex((byte) => byte === 10 || byte === 13);
      bytes = Uint8Array.from(this.#input.splice(0, Math.min(most, end < 0 ? most : end + 1)));
    } else if (open.kind === "features") bytes = FEATURES.slice(open.position, open.position + most);
    else bytes = open.file.read(open.position, most);
    this.#store(hart, to, bytes);
    if (open.kind !== "console") open.position += bytes.length;
    return length - BigInt(bytes.length);
  }

  #seek(handle: bigint, position: bigint): number {
    const open = this.#at(handle);
    if (open.kind === "console") throw new FileError(ERRNO.ESPIPE);
    if (position > BigInt(Number.MAX_SAFE_INTEGER)) throw new FileError(ERRNO.EINVAL);
    if (open.kind === "features" && position > BigInt(FEATURES.length)) throw new FileError(ERRNO.EINVAL);
    open.position = Number(position);
    return 0;
  }

  // The rest.

  #commandLine(hart: Hart, block: bigint): number {
    const text = new TextEncoder().encode(`${this.#parts.commandLine}\0`);
    if (BigInt(text.length) > this.#word(hart, block, 1)) throw new FileError(ERRNO.E2BIG);
    this.#store(hart, this.#word(hart, block, 0), text);
    this.#setWord(hart, block, 1, BigInt(text.length - 1));
    return 0;
  }

  /** On RV32, SYS_EXIT has the reason in a1; else it is in a block, with an exit code. */
  #exit(hart: Hart, operation: number, block: bigint): void {
    if (operation === SYS.exit && hart.xlen === 32) return this.#parts.exit(block === APPLICATION_EXIT ? 0 : 1);
    const reason = this.#word(hart, block, 0), code = this.#word(hart, block, 1);
    this.#parts.exit(reason === APPLICATION_EXIT ? Number(BigInt.asIntN(32, code)) : 1);
  }
}
