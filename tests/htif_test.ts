// HTIF: when a command in tohost is complete for the ways in which guests store it, what each command does, and how
// replies appear in fromhost.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Device } from "../devices/device.ts";
import { Htif, HTIF_SETTLE_NANOSECONDS } from "../devices/htif.ts";
import { FakeClock } from "./device_fakes.ts";

const RAM_BASE = 0x8000_0000;
const RAM_SIZE = 0x1000;
const BLOCK = RAM_BASE + 0x100;
const BUFFER = RAM_BASE + 0x200;

class Host {
  readonly clock = new FakeClock();
  readonly ram = new Uint8Array(RAM_SIZE);
  readonly printed: number[] = [];
  readonly exits: number[] = [];
  ready = 0;
  readonly htif = new Htif({
    memory: {
      read: (address, length) => {
        const start = address - RAM_BASE;
        return start < 0 || start + length > RAM_SIZE ? undefined : this.ram.slice(start, start + length);
      },
      write: (address, bytes) => {
        const start = address - RAM_BASE;
        if (start < 0 || start + bytes.length > RAM_SIZE) return false;
        this.ram.set(bytes, start);
        return true;
      },
    },
    clock: this.clock,
    transmit: (byte) => this.printed.push(byte),
    exit: (code) => this.exits.push(code),
    onReceiverReady: () => this.ready++,
  });

  /** An RV64 `sd` as the bus splits it, or RV32's two `sw`, low word first. */
  store(window: Device, value: bigint): void {
    window.write(0, 4, Number(value & 0xffffffffn));
    window.write(4, 4, Number(value >> 32n));
  }

  load(window: Device): bigint {
    const low = BigInt(window.read(0, 4) >>> 0);
    return (BigInt(window.read(4, 4) >>> 0) << 32n) | low;
  }

  /** Takes the reply in fromhost as a guest does: reads it and writes zero. */
  take(): bigint {
    const reply = this.load(this.htif.fromhost);
    this.store(this.htif.fromhost, 0n);
    return reply;
  }

  /** Makes a system call and returns its result, having checked Spike's acknowledgement. */
  call(...words: bigint[]): bigint {
    const view = new DataView(this.ram.buffer);
    words.forEach((word, index) => view.setBigUint64(BLOCK - RAM_BASE + 8 * index, word, true));
    this.store(this.htif.tohost, BigInt(BLOCK));
    assert.equal(this.load(this.htif.tohost), 0n);
    assert.equal(this.take(), 1n);
    return view.getBigInt64(BLOCK - RAM_BASE, true);
  }

  text(): string {
    return String.fromCharCode(...this.printed);
  }
}

const GETC = 0x0100_0000_0000_0000n;
const PUTC = 0x0101_0000_0000_0000n;

// --- When a command is complete ------------------------------------------------------------------------------------

test("a doubleword store with bit 0 set exits with the payload without that bit", () => {
  for (
    const [value, code] of [[1n, 0], [3n, 1], [(1337n << 1n) | 1n, 1337], [0xffff_ffff_ffffn, 2 ** 47 - 1]] as const
  ) {
    const host = new Host();
    host.store(host.htif.tohost, value);
    assert.deepEqual(host.exits, [code]);
    assert.equal(host.load(host.htif.tohost), 0n, "tohost reads zero once consumed");
  }
});

test("the low half of a doubleword store is not mistaken for an exit", () => {
  const host = new Host();
  host.htif.tohost.write(0, 4, 0x41);
  assert.deepEqual(host.exits, []);
  host.htif.tohost.write(4, 4, 0x01010000);
  assert.deepEqual(host.exits, []);
  assert.equal(host.text(), "A");
});

test("riscv-tests on RV32: sw code to tohost, sw zero to tohost + 4, in a loop", () => {
  const host = new Host();
  host.htif.tohost.write(0, 4, 1);
  assert.deepEqual(host.exits, []);
  host.htif.tohost.write(4, 4, 0);
  assert.deepEqual(host.exits, [0]);
});

test("older riscv-tests: sw code to tohost alone, in a loop", () => {
  const host = new Host();
  host.htif.tohost.write(0, 4, 7);
  host.htif.tohost.write(0, 4, 7);
  assert.deepEqual(host.exits, [3]);
});

test("a single sw to tohost counts as a command when no high word follows in time", () => {
  const host = new Host();
  host.htif.tohost.write(0, 4, 5);
  host.clock.advance(HTIF_SETTLE_NANOSECONDS - 1);
  assert.deepEqual(host.exits, []);
  host.clock.advance(1);
  assert.deepEqual(host.exits, [2]);
  host.clock.advance(HTIF_SETTLE_NANOSECONDS);
  assert.deepEqual(host.exits, [2], "once");
});

test("a completed command leaves no alarm behind", () => {
  const host = new Host();
  host.store(host.htif.tohost, PUTC | 0x41n);
  assert.deepEqual(host.clock.armed(), []);
});

test("RV32 code that stores the high word first is understood", () => {
  const host = new Host();
  host.htif.tohost.write(4, 4, 0x01010000);
  assert.equal(host.text(), "");
  host.htif.tohost.write(0, 4, 0x43);
  assert.equal(host.text(), "C");
  assert.equal(host.load(host.htif.tohost), 0n);
  host.htif.tohost.write(4, 4, 0);
  host.htif.tohost.write(0, 4, 3);
  host.clock.advance(HTIF_SETTLE_NANOSECONDS);
  assert.deepEqual(host.exits, [1]);
});

test("reading a register shows that the guest has finished storing low words", () => {
  for (const look of ["tohost", "fromhost"] as const) {
    const host = new Host();
    host.htif.tohost.write(0, 4, 9);
    host.htif[look].read(0, 4);
    assert.deepEqual(host.exits, [4], look);
  }
});

test("stores of bytes and halfwords assemble a command as in memory", () => {
  const bytes = new Host();
  [0x5a, 0, 0, 0, 0, 0, 1, 1].forEach((byte, offset) => bytes.htif.tohost.write(offset, 1, byte));
  assert.equal(bytes.text(), "Z");
  const halves = new Host();
  [0x0059, 0, 0, 0x0101].forEach((half, index) => halves.htif.tohost.write(2 * index, 2, half));
  assert.equal(halves.text(), "Y");
});

test("zero in tohost is no command", () => {
  const host = new Host();
  host.store(host.htif.tohost, 0n);
  host.clock.advance(HTIF_SETTLE_NANOSECONDS);
  assert.equal(host.load(host.htif.fromhost), 0n);
  assert.deepEqual([host.exits, host.printed], [[], []]);
});

test("unknown devices and commands are consumed and do nothing", () => {
  const host = new Host();
  for (const value of [0x0200n, 0x0102n, 0x01ffn, 0x0001n, 0xff00n, 0x8000n]) {
    host.store(host.htif.tohost, (value << 48n) | 1n);
    assert.equal(host.load(host.htif.tohost), 0n);
  }
  assert.equal(host.load(host.htif.fromhost), 0n);
  assert.deepEqual([host.exits, host.printed], [[], []]);
});

// --- System calls --------------------------------------------------------------------------------------------------

test("SYS_write to descriptors 1 and 2 prints and returns the length", () => {
  for (const descriptor of [1n, 2n]) {
    const host = new Host();
    host.ram.set(new TextEncoder().encode("hello\n"), BUFFER - RAM_BASE);
    assert.equal(host.call(64n, descriptor, BigInt(BUFFER), 6n), 6n);
    assert.equal(host.text(), "hello\n");
  }
});

test("SYS_write of nothing returns zero", () => {
  const host = new Host();
  assert.equal(host.call(64n, 1n, BigInt(BUFFER), 0n), 0n);
  assert.equal(host.text(), "");
});

test("SYS_write to another descriptor returns -EBADF", () => {
  const host = new Host();
  for (const descriptor of [0n, 3n, 0xffffffff_ffffffffn]) {
    assert.equal(host.call(64n, descriptor, BigInt(BUFFER), 1n), -9n);
  }
  assert.equal(host.text(), "");
});

test("SYS_write from outside of memory returns -EFAULT and prints nothing", () => {
  const host = new Host();
  const buffers: [bigint, bigint][] = [
    [0x1000n, 1n],
    [BigInt(RAM_BASE + RAM_SIZE - 1), 2n],
    [BigInt(BUFFER), 0xffffffff_ffffffffn],
    [0xffffffff_fffffff0n, 1n],
  ];
  for (const [address, length] of buffers) assert.equal(host.call(64n, 1n, address, length), -14n);
  assert.equal(host.text(), "");
});

test("SYS_exit exits with its argument", () => {
  const host = new Host();
  const view = new DataView(host.ram.buffer);
  view.setBigUint64(BLOCK - RAM_BASE, 93n, true);
  view.setBigUint64(BLOCK - RAM_BASE + 8, 42n, true);
  host.store(host.htif.tohost, BigInt(BLOCK));
  assert.deepEqual(host.exits, [42]);
});

test("other system calls return -ENOSYS", () => {
  const host = new Host();
  for (const number of [0n, 63n, 2011n]) assert.equal(host.call(number, 1n, BigInt(BUFFER), 1n), -38n);
  assert.deepEqual([host.exits, host.printed], [[], []]);
});

test("a system call block outside of memory is acknowledged and nothing else", () => {
  const host = new Host();
  host.store(host.htif.tohost, 0x1000n);
  assert.equal(host.take(), 1n);
  host.store(host.htif.tohost, BigInt(RAM_BASE + RAM_SIZE - 8));
  assert.equal(host.take(), 1n);
  assert.deepEqual(host.ram, new Uint8Array(RAM_SIZE));
});

test("an RV32 guest that only stores low words gets its system calls answered", () => {
  const host = new Host();
  host.ram[BUFFER - RAM_BASE] = 0x21;
  const view = new DataView(host.ram.buffer);
  for (let count = 0; count < 3; count++) {
    [64n, 1n, BigInt(BUFFER), 1n].forEach((word, index) => view.setBigUint64(BLOCK - RAM_BASE + 8 * index, word, true));
    host.htif.tohost.write(0, 4, BLOCK);
    assert.equal(host.htif.fromhost.read(0, 4), 1);
    host.htif.fromhost.write(0, 4, 0);
    assert.equal(host.htif.fromhost.read(0, 4), 0);
  }
  assert.equal(host.text(), "!!!");
});

// --- Console -------------------------------------------------------------------------------------------------------

test("putc prints the payload's low byte and is acknowledged as in QEMU", () => {
  const host = new Host();
  host.store(host.htif.tohost, PUTC | 0x3ffn);
  assert.deepEqual(host.printed, [0xff]);
  assert.equal(host.load(host.htif.fromhost), PUTC | 0x1ffn);
});

test("a guest that never takes putc's acknowledgement can go on printing, reading and calling, as on Spike", () => {
  const host = new Host();
  for (const byte of [0x61n, 0x62n, 0x63n]) host.store(host.htif.tohost, PUTC | byte);
  assert.equal(host.text(), "abc");
  host.store(host.htif.tohost, GETC);
  host.htif.receive(0x71);
  assert.equal(host.take(), GETC | 0x171n);
  host.store(host.htif.tohost, PUTC | 0x64n);
  host.store(host.htif.tohost, BigInt(BLOCK));
  assert.equal(host.take(), 1n);
  assert.equal(host.load(host.htif.fromhost), 0n);
});

test("getc is answered when input arrives: device, command, 0x100 and the byte, as Spike and QEMU do", () => {
  const host = new Host();
  assert.equal(host.htif.receiverSpace(), 0);
  host.htif.receive(0x41);
  host.store(host.htif.tohost, GETC);
  assert.equal(host.load(host.htif.fromhost), 0n, "input without a request is not kept");
  assert.equal(host.htif.receiverSpace(), 1);
  host.htif.receive(0x42);
  assert.equal(host.htif.receiverSpace(), 0);
  assert.equal(host.take(), GETC | 0x142n);
  assert.equal(host.htif.receiverSpace(), 0, "one request, one character");
});

test("every getc request is answered, one character at a time, each after the last was taken", () => {
  const host = new Host();
  host.store(host.htif.tohost, GETC);
  host.store(host.htif.tohost, GETC);
  host.htif.receive(0x31);
  assert.equal(host.htif.receiverSpace(), 0);
  host.htif.receive(0x32);
  assert.equal(host.take(), GETC | 0x131n);
  assert.equal(host.htif.receiverSpace(), 1);
  host.htif.receive(0x33);
  assert.equal(host.take(), GETC | 0x133n);
  assert.equal(host.htif.receiverSpace(), 0);
});

test("onReceiverReady comes with each chance to receive, once", () => {
  const host = new Host();
  host.store(host.htif.tohost, PUTC | 0x41n);
  assert.equal(host.ready, 0);
  host.store(host.htif.tohost, GETC);
  assert.equal(host.ready, 1);
  host.store(host.htif.tohost, GETC);
  assert.equal(host.ready, 1);
  host.htif.receive(0x31);
  assert.equal(host.ready, 1);
  host.take();
  assert.equal(host.ready, 2);
});

test("a system call's reply waits until the guest has taken the input in fromhost", () => {
  const host = new Host();
  host.store(host.htif.tohost, GETC);
  host.htif.receive(0x41);
  host.store(host.htif.tohost, BigInt(BLOCK));
  assert.equal(host.take(), GETC | 0x141n);
  assert.equal(host.take(), 1n);
  assert.equal(host.take(), 0n);
});

test("replies that are never taken do not pile up", () => {
  const host = new Host();
  host.store(host.htif.tohost, GETC);
  host.htif.receive(0x41);
  for (let count = 0; count < 5; count++) {
    host.store(host.htif.tohost, BigInt(BLOCK));
    host.store(host.htif.tohost, PUTC | BigInt(0x30 + count));
  }
  assert.equal(host.take(), GETC | 0x141n);
  assert.equal(host.take(), 1n);
  assert.equal(host.take(), PUTC | 0x134n);
  assert.equal(host.take(), 0n);
});

test("a reply is not stored between an RV32 guest's two stores of zero, where the second would destroy it", () => {
  const host = new Host();
  host.store(host.htif.tohost, GETC);
  host.store(host.htif.tohost, BigInt(BLOCK));
  assert.equal(host.load(host.htif.fromhost), 1n);
  host.htif.fromhost.write(0, 4, 0);
  assert.equal(host.htif.receiverSpace(), 0);
  host.htif.fromhost.write(4, 4, 0);
  assert.equal(host.htif.receiverSpace(), 1);
  host.htif.receive(0x41);
  assert.equal(host.load(host.htif.fromhost), GETC | 0x141n);
});

test("fromhost reads back what the guest stores, in any width", () => {
  const host = new Host();
  const { fromhost } = host.htif;
  host.store(fromhost, 0x8899aabb_ccddeeffn);
  assert.deepEqual([0, 1, 2, 3, 4, 5, 6, 7].map((offset) => fromhost.read(offset, 1) & 0xff), [
    0xff,
    0xee,
    0xdd,
    0xcc,
    0xbb,
    0xaa,
    0x99,
    0x88,
  ]);
  assert.equal(fromhost.read(6, 2) & 0xffff, 0x8899);
  fromhost.write(5, 1, 0x11);
  fromhost.write(2, 2, 0x2233);
  assert.equal(host.load(fromhost), 0x889911bb_2233eeffn);
});

// --- Reset and snapshot --------------------------------------------------------------------------------------------

test("the windows are eight bytes each", () => {
  const { htif } = new Host();
  assert.deepEqual([htif.tohost.size, htif.fromhost.size], [8, 8]);
  assert.deepEqual([htif.tohost.name, htif.fromhost.name], ["tohost", "fromhost"]);
});

test("reset forgets half a command, requests and replies", () => {
  const host = new Host();
  host.store(host.htif.tohost, GETC);
  host.htif.receive(0x41);
  host.store(host.htif.tohost, GETC);
  host.store(host.htif.tohost, BigInt(BLOCK));
  host.htif.tohost.write(0, 4, 1);
  host.htif.tohost.reset();
  host.htif.fromhost.reset();
  assert.deepEqual(host.clock.armed(), []);
  assert.equal(host.take(), 0n);
  assert.equal(host.load(host.htif.tohost), 0n);
  assert.equal(host.htif.receiverSpace(), 0);
  assert.deepEqual(host.exits, []);
});

test("restore goes on in the middle of a command, a request and a queue of replies", () => {
  const host = new Host();
  host.store(host.htif.tohost, GETC);
  host.htif.receive(0x41);
  host.store(host.htif.tohost, BigInt(BLOCK));
  host.store(host.htif.tohost, GETC);
  host.clock.advance(500);
  host.htif.tohost.write(0, 4, 0x42);
  const state = structuredClone(host.htif.tohost.snapshot());
  const kept = structuredClone(state);

  for (let round = 0; round < 2; round++) {
    const other = new Host();
    other.htif.tohost.restore(state);
    other.htif.fromhost.restore(host.htif.fromhost.snapshot());
    assert.deepEqual(other.clock.armed(), [500 + HTIF_SETTLE_NANOSECONDS]);
    other.htif.tohost.write(4, 4, 0x01010000);
    assert.equal(other.text(), "B");
    assert.deepEqual(other.clock.armed(), []);
    assert.equal(other.take(), GETC | 0x141n);
    assert.equal(other.take(), 1n);
    assert.equal(other.take(), PUTC | 0x142n);
    assert.equal(other.htif.receiverSpace(), 1);
    assert.deepEqual(state, kept);
  }
});
