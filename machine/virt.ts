// The `virt` board: QEMU's generic virtual platform (QEMU documentation, "'virt' Generic Virtual Platform"), at the same
// addresses and interrupt numbers.

import type { DeviceTreeNode } from "../devices/device.ts";
import { Clint } from "../devices/clint.ts";
import { GoldfishRtc } from "../devices/goldfish_rtc.ts";
import { Plic } from "../devices/plic.ts";
import { TestFinisher } from "../devices/test_finisher.ts";
import { Uart16550, UART_INPUT_CLOCK_HZ } from "../devices/uart_16550.ts";
import { INTERRUPT } from "../hart/trap.ts";
import {
  type Board,
  type BoardParts,
  type BuiltBoard,
  cpusNode,
  hartInterruptController,
  memoryNode,
} from "./board.ts";
import { cells64 } from "./device_tree.ts";
import { flashChips } from "./flash_chips.ts";
import { virtioTransports } from "./virtio_transports.ts";

/** The memory map: physical addresses and lengths in bytes. */
export const VIRT = {
  rom: { address: 0x1000, size: 0xf000 },
  test: { address: 0x10_0000, size: 0x1000 },
  rtc: { address: 0x10_1000, size: 0x1000, irq: 11 },
  clint: { address: 0x200_0000, size: 0x1_0000 },
  plic: { address: 0xc00_0000, size: 0x60_0000, sources: 95, maxPriority: 7 },
  uart: { address: 0x1000_0000, size: 0x100, irq: 10 },
  virtio: { address: 0x1000_1000, size: 0x1000, count: 8, irq: 1 },
  flash: { address: 0x2000_0000, count: 2, chipSize: 0x200_0000 },
  ram: { address: 0x8000_0000 },
} as const;

/** Registers of the UART that firmware reads, and bit 0 of the line status. */
const RECEIVER_BUFFER = 0, LINE_STATUS = 5, DATA_READY = 1;

const unit = (name: string, { address }: { address: number }) => `${name}@${address.toString(16)}`;
const reg = ({ address, size }: { address: number; size: number }) => cells64(address, size);

function build({ bus, harts, timeline, console, peripherals, exit, reset }: BoardParts): BuiltBoard {
  const clint = new Clint({
    name: unit("clint", VIRT.clint),
    clock: timeline,
    harts: harts.map((hart) => ({
      software: { set: (level) => hart.setLine(INTERRUPT.machineSoftware, level) },
      timer: { set: (level) => hart.setLine(INTERRUPT.machineTimer, level) },
    })),
  });
  for (const hart of harts) {
    hart.time = clint;
    hart.supervisorTimer = clint.comparator({ set: (level) => hart.timerReached(level) });
  }
  // A context for machine and one for supervisor mode of each hart, in this order.
  const external = harts.flatMap((hart) => [
    { hart, interrupt: INTERRUPT.machineExternal },
    ...(hart.extensions.has("S") ? [{ hart, interrupt: INTERRUPT.supervisorExternal }] : []),
  ]);
  const plic = new Plic({
    name: unit("plic", VIRT.plic),
    size: VIRT.plic.size,
    sources: VIRT.plic.sources,
    maxPriority: VIRT.plic.maxPriority,
    contexts: external.map(({ hart, interrupt }) => ({ set: (level) => hart.setLine(interrupt, level) })),
  });
  const uart = new Uart16550({
    name: unit("serial", VIRT.uart),
    irq: plic.line(VIRT.uart.irq),
    clock: timeline,
    transmit: (byte) => console.transmit(byte),
    onReceiverReady: () => console.deliver(),
  });
  console.connect(uart);
  const rtc = new GoldfishRtc({
    name: unit("rtc", VIRT.rtc),
    irq: plic.line(VIRT.rtc.irq),
    clock: timeline,
    base: peripherals.rtcBase,
  });
  const test = new TestFinisher({ name: unit("test", VIRT.test), exit, reset });
  bus.addDevice(VIRT.test.address, test);
  bus.addDevice(VIRT.rtc.address, rtc);
  bus.addDevice(VIRT.clint.address, clint);
  bus.addDevice(VIRT.plic.address, plic);
  bus.addDevice(VIRT.uart.address, uart);

  const plicPath = `/soc/${unit("plic", VIRT.plic)}`;
  const flash = flashChips(VIRT.flash, bus, peripherals);
  const virtio = virtioTransports(VIRT.virtio, { bus, plic, plicPath, clock: timeline, peripherals });
  const soc: Record<string, DeviceTreeNode> = {
    [unit("test", VIRT.test)]: {
      properties: { "compatible": ["sifive,test1", "sifive,test0", "syscon"], "reg": reg(VIRT.test) },
    },
    [unit("rtc", VIRT.rtc)]: {
      properties: {
        "compatible": "google,goldfish-rtc",
        "reg": reg(VIRT.rtc),
        "interrupts": VIRT.rtc.irq,
        "interrupt-parent": { reference: plicPath },
      },
    },
    [unit("clint", VIRT.clint)]: {
      properties: {
        "compatible": ["sifive,clint0", "riscv,clint0"],
        "reg": reg(VIRT.clint),
        "interrupts-extended": harts.flatMap(({ id }) => [
          { reference: hartInterruptController(id) },
          INTERRUPT.machineSoftware,
          { reference: hartInterruptController(id) },
          INTERRUPT.machineTimer,
        ]),
      },
    },
    [unit("plic", VIRT.plic)]: {
      properties: {
        "compatible": ["sifive,plic-1.0.0", "riscv,plic0"],
        "reg": reg(VIRT.plic),
        "#address-cells": 0,
        "#interrupt-cells": 1,
        "interrupt-controller": true,
        "interrupts-extended": external.flatMap(({ hart, interrupt }) => [
          { reference: hartInterruptController(hart.id) },
          interrupt,
        ]),
        "riscv,ndev": VIRT.plic.sources,
      },
    },
    [unit("serial", VIRT.uart)]: {
      properties: {
        "compatible": "ns16550a",
        "reg": reg(VIRT.uart),
        "clock-frequency": UART_INPUT_CLOCK_HZ,
        "interrupts": VIRT.uart.irq,
        "interrupt-parent": { reference: plicPath },
      },
    },
    ...virtio.nodes,
  };
  const syscon = { reference: `/soc/${unit("test", VIRT.test)}` };
  return {
    devices: [test, rtc, clint, plic, uart, ...flash.devices, ...virtio.devices],
    interrupts: { path: plicPath, sources: VIRT.plic.sources, line: (source) => plic.line(source) },
    stdoutPath: `/soc/${unit("serial", VIRT.uart)}`,
    receive: () => (uart.read(LINE_STATUS, 1) & DATA_READY) !== 0 ? uart.read(RECEIVER_BUFFER, 1) : undefined,
    deviceTree: {
      properties: { "#address-cells": 2, "#size-cells": 2, "compatible": "riscv-virtio", "model": "riscv-virtio,qemu" },
      children: {
        ...flash.nodes,
        [unit("memory", VIRT.ram)]: memoryNode(bus.ram.base, bus.ram.size),
        cpus: cpusNode(harts),
        poweroff: { properties: { "compatible": "syscon-poweroff", "regmap": syscon, "offset": 0, "value": 0x5555 } },
        reboot: { properties: { "compatible": "syscon-reboot", "regmap": syscon, "offset": 0, "value": 0x7777 } },
        soc: {
          properties: { "#address-cells": 2, "#size-cells": 2, "compatible": "simple-bus", "ranges": true },
          children: soc,
        },
      },
    },
  };
}

/** The board as `-machine virt` knows it. */
export const virt: Board = {
  name: "virt",
  description: "RISC-V VirtIO board",
  maxHarts: 8,
  ramBase: VIRT.ram.address,
  resetVector: VIRT.rom.address,
  virtioTransports: VIRT.virtio.count,
  flash: VIRT.flash,
  romSize: VIRT.rom.size,
  build,
};
