// The Berkeley host-target interface of the `spike` board: exit code, console and proxied system calls through two
// 64-bit registers in the middle of RAM, at the program's symbols `tohost` and `fromhost`. There is no manual; this
// follows what Spike's `fesvr` and QEMU 7.2's `riscv_htif` answer.

import type { Alarm, Clock, Device, Width } from "./device.ts";

/** Guest memory as a device reaches it, by physical address. */
export interface HtifMemory {
  /** Copies `length` bytes from `address`; undefined where not all of them are memory, however many they are. */
  read(address: number, length: number): Uint8Array | undefined;
  /** Stores `bytes` at `address`; false, and nothing stored, where not all of it is memory. */
  write(address: number, bytes: Uint8Array): boolean;
}

/** What an `Htif` is connected to. */
export interface HtifOptions {
  /** Where system call blocks and buffers are. */
  readonly memory: HtifMemory;
  /** Virtual time, to tell a command that is only a low word from the first half of a longer one. */
  readonly clock: Clock;
  /** Takes each byte that the guest prints. */
  readonly transmit: (byte: number) => void;
  /** Ends the run; `code` has up to 47 bits. */
  readonly exit: (code: number) => void;
  /** Told when `receiverSpace()` is no longer 0. */
  readonly onReceiverReady?: () => void;
}

/**
 * How long a low word waits for its high word, in nanoseconds of virtual time. RV32 guests store the halves one after
 * the other; some store only the low one and then wait.
 */
export const HTIF_SETTLE_NANOSECONDS = 100_000;

// Bits 63 to 48 of a register, device and command, as they stand in the high word.
const SYSTEM_CALL = 0x0000_0000;
const CONSOLE_GET = 0x0100_0000;
const CONSOLE_PUT = 0x0101_0000;
const DEVICE_AND_COMMAND = 0xffff_0000;

/** Set in a console reply beside the byte, so that a reply is never zero. */
const REPLY_VALID = 0x100;
/** Reply to a system call. */
const SYSTEM_CALL_DONE = 1;

// System call numbers and errors of the RISC-V proxy kernel, which are Linux's.
const SYS_WRITE = 64n;
const SYS_EXIT = 93n;
const EBADF = -9n;
const EFAULT = -14n;
const ENOSYS = -38n;

/** A system call's block: number, then arguments, 64 bits each; the result replaces the number. */
const BLOCK_BYTES = 32;
const TWO_TO_32 = 2 ** 32;

/** A 64-bit register as two unsigned words. */
interface Register {
  low: number;
  high: number;
}

/** All state, in one object so that `snapshot` cannot forget a field. */
interface State {
  tohost: Register;
  fromhost: Register;
  /** `tohost`'s low word was written and its high word has not been since. */
  lowWritten: boolean;
  /** When the low word counts as a whole command, nanoseconds; undefined where `lowWritten` is false. */
  settlesAt: number | undefined;
  /** `fromhost`'s low word was written and its high word has not been since. */
  acknowledging: boolean;
  /** Replies that wait for `fromhost` to become zero; at most one for each device and command. */
  replies: Register[];
  /** Console reads that the guest asked for and has not been answered. */
  reads: number;
}

function powerOn(): State {
  return {
    tohost: { low: 0, high: 0 },
    fromhost: { low: 0, high: 0 },
    lowWritten: false,
    settlesAt: undefined,
    acknowledging: false,
    replies: [],
    reads: 0,
  };
}

/** The host's end of HTIF. The machine lays `tohost` and `fromhost` over RAM at the addresses of those symbols. */
export class Htif {
  /** Window of eight bytes at the symbol `tohost`: commands to the host. Its state is that of the whole interface. */
  readonly tohost: Device;
  /** Window of eight bytes at the symbol `fromhost`: replies. It has no state of its own; `tohost` keeps it. */
  readonly fromhost: Device;

  readonly #memory: HtifMemory;
  readonly #clock: Clock;
  readonly #settle: Alarm;
  readonly #transmit: (byte: number) => void;
  readonly #exit: (code: number) => void;
  readonly #onReceiverReady: (() => void) | undefined;
  #state: State = powerOn();
  #receiverWasReady = false;

  /** Connects the interface. */
  constructor(options: HtifOptions) {
    this.#memory = options.memory;
    this.#clock = options.clock;
    this.#transmit = options.transmit;
    this.#exit = options.exit;
    this.#onReceiverReady = options.onReceiverReady;
    this.#settle = options.clock.alarm(() => this.#settleTohost());
    this.tohost = {
      name: "tohost",
      size: 8,
      read: (offset, width) => {
        this.#settleTohost();
        return extract(this.#state.tohost, offset, width);
      },
      write: (offset, width, value) => this.#writeTohost(offset, width, value),
      reset: () => this.#reset(),
      snapshot: () => structuredClone(this.#state),
      restore: (state) => this.#restore(state as State),
    };
    this.fromhost = {
      name: "fromhost",
      size: 8,
      read: (offset, width) => {
        this.#settleTohost();
        return extract(this.#state.fromhost, offset, width);
      },
      write: (offset, width, value) => this.#writeFromhost(offset, width, value),
      reset: () => {},
      snapshot: () => undefined,
      restore: () => {},
    };
  }

  /** Contents of both registers, without the effects that reading them has. */
  get registers(): { readonly tohost: Readonly<Register>; readonly fromhost: Readonly<Register> } {
    return this.#state;
  }

  /** How many characters `receive` can take now: one where the guest waits for input and has taken the last reply. */
  receiverSpace(): number {
    const { reads, acknowledging } = this.#state;
    return reads > 0 && !acknowledging && this.#fromhostIsFree() ? 1 : 0;
  }

  /** A character of console input; lost where `receiverSpace()` is 0. */
  receive(byte: number): void {
    if (this.receiverSpace() === 0) return;
    this.#state.reads--;
    this.#reply({ high: CONSOLE_GET, low: REPLY_VALID | (byte & 0xff) });
    this.#updateReceiver();
  }

  /**
   * A command is complete when its high word is written after its low word (a doubleword store, or RV32's two stores
   * in that order), or its low word after a high word that is not zero (the other order). A guest that only ever stores
   * low words shows itself by storing the next one, by reading a register, or by waiting.
   */
  #writeTohost(offset: number, width: Width, value: number): void {
    const state = this.#state;
    if (offset === 0) this.#settleTohost();
    insert(state.tohost, offset, width, value);
    const end = offset + width;
    if (end === 8 && state.lowWritten) {
      this.#settleTohost();
    } else if (offset < 4 && !state.lowWritten) {
      state.lowWritten = true;
      if (end === 4 && state.tohost.high !== 0) {
        this.#settleTohost();
      } else {
        state.settlesAt = this.#clock.now() + HTIF_SETTLE_NANOSECONDS;
        this.#settle.set(state.settlesAt);
      }
    }
  }

  /** Runs the command in `tohost` if its low word is there, with what is there of its high word. */
  #settleTohost(): void {
    const state = this.#state;
    if (!state.lowWritten) return;
    const command = state.tohost;
    state.tohost = { low: 0, high: 0 };
    state.lowWritten = false;
    state.settlesAt = undefined;
    this.#settle.cancel();
    if (command.low !== 0 || command.high !== 0) this.#run(command);
    this.#updateReceiver();
  }

  #run({ low, high }: Register): void {
    const payload = (high & ~DEVICE_AND_COMMAND) * TWO_TO_32 + low;
    switch (high & DEVICE_AND_COMMAND) {
      case SYSTEM_CALL:
        if (low & 1) this.#exit(Math.floor(payload / 2));
        else this.#systemCall(payload);
        break;
      case CONSOLE_GET:
        this.#state.reads++;
        break;
      case CONSOLE_PUT:
        this.#transmit(low & 0xff);
        // Spike does not answer, QEMU does: answer, but let the answer stand in nobody's way (`#fromhostIsFree`).
        this.#reply({ high: CONSOLE_PUT, low: REPLY_VALID | (low & 0xff) });
        break;
    }
  }

  #systemCall(address: number): void {
    const block = this.#memory.read(address, BLOCK_BYTES);
    if (block !== undefined) {
      const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
      const word = (index: number) => view.getBigUint64(8 * index, true);
      if (word(0) === SYS_EXIT) {
        this.#exit(Number(BigInt.asUintN(32, word(1))));
        return;
      }
      const result = word(0) === SYS_WRITE ? this.#write(word(1), word(2), word(3)) : ENOSYS;
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigInt64(0, result, true);
      this.#memory.write(address, bytes);
    }
    this.#reply({ high: SYSTEM_CALL, low: SYSTEM_CALL_DONE });
  }

  /** SYS_write to standard output or standard error. */
  #write(descriptor: bigint, address: bigint, length: bigint): bigint {
    if (descriptor !== 1n && descriptor !== 2n) return EBADF;
    if (address + length > BigInt(Number.MAX_SAFE_INTEGER)) return EFAULT;
    const bytes = this.#memory.read(Number(address), Number(length));
    if (bytes === undefined) return EFAULT;
    bytes.forEach((byte) => this.#transmit(byte));
    return length;
  }

  /** A reply may be stored where the guest has zeroed the last one, or where that only acknowledged a printed byte. */
  #fromhostIsFree(): boolean {
    const { low, high } = this.#state.fromhost;
    return (low === 0 && high === 0) || high === CONSOLE_PUT;
  }

  #reply(reply: Register): void {
    const state = this.#state;
    if (this.#fromhostIsFree()) {
      state.fromhost = reply;
    } else {
      // A guest that never takes its replies must not make them pile up.
      state.replies = [...state.replies.filter(({ high }) => high !== reply.high), reply];
    }
  }

  #writeFromhost(offset: number, width: Width, value: number): void {
    const state = this.#state;
    insert(state.fromhost, offset, width, value);
    // Between an RV32 guest's two stores `fromhost` may be zero, but the second would destroy a reply put there.
    state.acknowledging = offset + width < 8;
    if (!state.acknowledging && this.#fromhostIsFree()) {
      const next = state.replies.shift();
      if (next !== undefined) state.fromhost = next;
    }
    this.#updateReceiver();
  }

  #reset(): void {
    this.#state = powerOn();
    this.#settle.cancel();
    this.#receiverWasReady = false;
  }

  #restore(state: State): void {
    this.#state = structuredClone(state);
    if (state.settlesAt === undefined) this.#settle.cancel();
    else this.#settle.set(state.settlesAt);
    // The back end is restored to the same moment, so it must not be told of a change that this is not.
    this.#receiverWasReady = this.receiverSpace() > 0;
  }

  #updateReceiver(): void {
    const ready = this.receiverSpace() > 0;
    const wasReady = this.#receiverWasReady;
    this.#receiverWasReady = ready;
    if (ready && !wasReady) this.#onReceiverReady?.();
  }
}

/** Reads `width` bytes at `offset` of a register. */
function extract(register: Register, offset: number, width: Width): number {
  const word = offset & 4 ? register.high : register.low;
  return (word >>> (8 * (offset & 3))) & mask(width);
}

/** Replaces `width` bytes at `offset` of a register, as a store to memory would. */
function insert(register: Register, offset: number, width: Width, value: number): void {
  const half = offset & 4 ? "high" : "low";
  const shift = 8 * (offset & 3);
  const bits = mask(width) << shift;
  register[half] = ((register[half] & ~bits) | ((value << shift) & bits)) >>> 0;
}

/** All ones in the low `width` bytes, as int32. */
function mask(width: Width): number {
  return width === 4 ? -1 : (1 << (8 * width)) - 1;
}
