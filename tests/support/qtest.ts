// QEMU's devices without its processor: registers and memory reached through the `qtest` protocol, and the same of a machine here.

import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import process from "node:process";
import type { Width } from "../../devices/device.ts";
import type { Bus } from "../../machine/bus.ts";

/** Physical memory with devices, QEMU's or ours. */
export interface DeviceBoard {
  read(address: number, width: Width): Promise<number>;
  write(address: number, width: Width, value: number): Promise<void>;
  readMemory(address: number, length: number): Promise<Uint8Array>;
  writeMemory(address: number, bytes: Uint8Array): Promise<void>;
  /** Lets time pass until a condition holds. */
  until(done: () => Promise<boolean>): Promise<void>;
  close(): Promise<void>;
}

const LETTER: Readonly<Record<Width, string>> = { 1: "b", 2: "w", 4: "l" };

/** QEMU's `virt` board. */
export class QtestBoard implements DeviceBoard {
  readonly #process: ChildProcessWithoutNullStreams;
  #buffer = "";
  #errors = "";
  readonly #ended: Promise<void>;
  #waiting: ((line: string) => void) | undefined;

  constructor(options: readonly string[], command = "qemu-system-riscv64") {
    const fixed = "-machine virt -S -m 16M -bios none -display none -serial null -monitor none -qtest stdio";
    this.#process = spawn(command, [...fixed.split(" "), "-qtest-log", "none", ...options]);
    this.#process.stderr.on("data", (data) => this.#errors += data);
    this.#process.stdout.on("data", (data) => {
      this.#buffer += data;
      for (let end = this.#buffer.indexOf("\n"); end >= 0; end = this.#buffer.indexOf("\n")) {
        const line = this.#buffer.slice(0, end);
        this.#buffer = this.#buffer.slice(end + 1);
        if (line.startsWith("OK") || line.startsWith("FAIL") || line.startsWith("ERR")) this.#waiting?.(line);
      }
    });
    this.#ended = new Promise((resolve) =>
      this.#process.on("exit", () => {
        this.#waiting?.(`ended: ${this.#errors}`);
        resolve();
      })
    );
  }

  /** Sends a command and gives what follows OK. */
  async command(text: string): Promise<string> {
    const line = await new Promise<string>((resolve) => {
      this.#waiting = resolve;
      this.#process.stdin.write(`${text}\n`);
    });
    assert.match(line, /^OK/, `qtest ${text}: ${this.#errors}`);
    return line.slice(3);
  }

  async read(address: number, width: Width): Promise<number> {
    return Number(await this.command(`read${LETTER[width]} ${address}`));
  }
  async write(address: number, width: Width, value: number): Promise<void> {
    await this.command(`write${LETTER[width]} ${address} ${value >>> 0}`);
  }
  async readMemory(address: number, length: number): Promise<Uint8Array> {
    const hex = (await this.command(`read ${address} ${length}`)).slice(2);
    return Uint8Array.from({ length }, (_, k) => parseInt(hex.slice(2 * k, 2 * k + 2), 16));
  }
  async writeMemory(address: number, bytes: Uint8Array): Promise<void> {
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    await this.command(`write ${address} ${bytes.length} 0x${hex}`);
  }
  /** Waits for a condition, since QEMU reads and writes files on other threads. */
  async until(done: () => Promise<boolean>): Promise<void> {
    while (!await done()) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  async close(): Promise<void> {
    if (this.#process.exitCode === null) process.kill(this.#process.pid!, "SIGTERM");
    await this.#ended;
  }
}

/** A bus of ours. */
export class BusBoard implements DeviceBoard {
  readonly bus: Bus;
  readonly #pass: () => void;

  /** `pass` lets enough virtual time pass for any request. */
  constructor(bus: Bus, pass: () => void) {
    this.bus = bus;
    this.#pass = pass;
  }

  read(address: number, width: Width): Promise<number> {
    const value = this.bus.read(address, width);
    assert.equal(this.bus.fault, false);
    return Promise.resolve(value >>> 0);
  }
  write(address: number, width: Width, value: number): Promise<void> {
    this.bus.write(address, width, value | 0, 0);
    assert.equal(this.bus.fault, false);
    return Promise.resolve();
  }
  readMemory(address: number, length: number): Promise<Uint8Array> {
    return Promise.resolve(this.bus.readBytes(address, length)!);
  }
  writeMemory(address: number, bytes: Uint8Array): Promise<void> {
    assert.ok(this.bus.writeBytes(address, bytes));
    return Promise.resolve();
  }
  async until(done: () => Promise<boolean>): Promise<void> {
    this.#pass();
    assert.ok(await done());
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}
