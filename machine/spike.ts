// The `spike` board: CLINT, RAM and the host-target interface at the symbols `tohost` and `fromhost` of the program, as
// QEMU's board of that name. The public ISA tests run on it as they are.

import type { Clock, Device } from "../devices/device.ts";
import { Htif } from "../devices/htif.ts";
import { LINE_SHIFT, WATCH } from "../hart/memory.ts";
import { type Board, type BoardParts, type BuiltBoard, cpusNode, memoryNode } from "./board.ts";
import { coreInterrupts } from "./core_interrupts.ts";
import type { Elf } from "./elf.ts";
import { LoadError } from "./errors.ts";

/** The memory map: physical addresses and lengths in bytes. */
export const SPIKE = {
  rom: { address: 0x1000, size: 0xf000 },
  clint: { address: 0x200_0000, size: 0x1_0000 },
  ram: { address: 0x8000_0000 },
} as const;

/** Physical address of a symbol: as the segment that holds it is loaded. */
function physicalSymbol(elfs: readonly Elf[], name: string): number | undefined {
  for (const elf of elfs) {
    const symbol = elf.symbols.find((s) => s.name === name);
    if (symbol === undefined) continue;
    for (const segment of elf.segments) {
      const offset = symbol.value - segment.virtualAddress;
      if (offset >= 0n && offset < BigInt(segment.memorySize)) return segment.physicalAddress + Number(offset);
    }
    return Number(symbol.value);
  }
  return undefined;
}

/**
 * Lays the two registers over RAM. Writes reach the device because their lines are watched; reads take the fast path to
 * the RAM below, which is kept equal to the registers.
 */
function addHtif({ bus, timeline, console, exit, elfs }: BoardParts): Device[] {
  const tohost = physicalSymbol(elfs, "tohost"), fromhost = physicalSymbol(elfs, "fromhost");
  if (tohost === undefined || fromhost === undefined) return [];
  for (const [name, address] of [["tohost", tohost], ["fromhost", fromhost]] as const) {
    if (!bus.isRam(address, 8)) {
      throw new LoadError(`${name} at 0x${address.toString(16)}: not in RAM; link the program so that it is`);
    }
  }
  const { ram } = bus;
  const clock: Clock = {
    now: () => timeline.now(),
    alarm: (expire) =>
      timeline.alarm(() => {
        expire();
        mirror();
      }),
  };
  const htif = new Htif({
    memory: {
      read: (address, length) => bus.readBytes(address, length),
      write: (address, bytes) => bus.writeBytes(address, bytes),
    },
    clock,
    transmit: (byte) => console.transmit(byte),
    exit,
    onReceiverReady: () => console.deliver(),
  });
  const windows = [[tohost, htif.tohost, "tohost"], [fromhost, htif.fromhost, "fromhost"]] as const;
  // Between the two halves of a doubleword store nothing may look like a read by the guest, which would settle the command.
  const mirror = () => {
    for (const [address, , name] of windows) {
      const { low, high } = htif.registers[name];
      const view = new DataView(ram.u8.buffer, ram.u8.byteOffset + address - ram.base, 8);
      view.setUint32(0, low, true);
      view.setUint32(4, high, true);
    }
  };
  console.connect({
    receiverSpace: () => htif.receiverSpace(),
    receive: (byte) => {
      htif.receive(byte);
      mirror();
    },
  });
  return windows.map(([address, inner]): Device => {
    const device: Device = {
      name: inner.name,
      size: inner.size,
      read: (offset, width) => inner.read(offset, width),
      write: (offset, width, value) => {
        inner.write(offset, width, value);
        console.deliver();
        mirror();
      },
      reset: () => inner.reset(),
      snapshot: () => inner.snapshot(),
      restore: (state) => inner.restore(state),
    };
    bus.addDevice(address, device);
    ram.lines[(address - ram.base) >>> LINE_SHIFT]! |= WATCH.device;
    ram.lines[(address - ram.base + 7) >>> LINE_SHIFT]! |= WATCH.device;
    return device;
  });
}

/** Without the interface, only the built-in SBI can read what is typed. */
function receiveWithoutHtif({ console }: BoardParts): () => number | undefined {
  const received: number[] = [];
  console.connect({ receiverSpace: () => 1 - received.length, receive: (byte) => received.push(byte) });
  return () => {
    const byte = received.shift();
    console.deliver();
    return byte;
  };
}

function build(parts: BoardParts): BuiltBoard {
  const { bus, harts } = parts;
  const core = coreInterrupts({ clint: SPIKE.clint }, parts);
  const htif = addHtif(parts);
  return {
    devices: [...core.devices, ...htif],
    ...(htif.length > 0 ? { stdoutPath: "/htif" } : { receive: receiveWithoutHtif(parts) }),
    deviceTree: {
      properties: {
        "#address-cells": 2,
        "#size-cells": 2,
        "compatible": "ucbbar,spike-bare-dev",
        "model": "ucbbar,spike-bare,qemu",
      },
      children: {
        chosen: { properties: {} },
        "memory@80000000": memoryNode(bus.ram.base, bus.ram.size),
        cpus: cpusNode(harts),
        soc: {
          properties: { "#address-cells": 2, "#size-cells": 2, "compatible": "simple-bus", "ranges": true },
          children: core.nodes,
        },
        ...(htif.length > 0 ? { htif: { properties: { "compatible": "ucb,htif0" } } } : {}),
      },
    },
  };
}

/** The board as `-machine spike` knows it. */
export const spike: Board = {
  name: "spike",
  description: "RISC-V Spike board",
  maxHarts: 8,
  ramBase: SPIKE.ram.address,
  resetVector: SPIKE.rom.address,
  virtioTransports: 0,
  flash: { address: 0, count: 0, chipSize: 0 },
  romSize: SPIKE.rom.size,
  hasAclint: false,
  build,
};
