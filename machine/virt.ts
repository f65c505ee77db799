// The `virt` board: QEMU's generic virtual platform (QEMU documentation, "'virt' Generic Virtual Platform"), at the same
// addresses and interrupt numbers.

import type { DeviceTreeNode } from "../devices/device.ts";
import { FwCfg } from "../devices/fw_cfg.ts";
import { GoldfishRtc } from "../devices/goldfish_rtc.ts";
import { Plic } from "../devices/plic.ts";
import { TestFinisher } from "../devices/test_finisher.ts";
import { Uart16550, UART_INPUT_CLOCK_HZ } from "../devices/uart_16550.ts";
import { Xoshiro } from "../devices/xoshiro.ts";
import type { Hart } from "../hart/hart.ts";
import { INTERRUPT } from "../hart/trap.ts";
import {
  type Board,
  type BoardParts,
  type BuiltBoard,
  cpusNode,
  hartInterruptController,
  memoryNode,
} from "./board.ts";
import { coreInterrupts } from "./core_interrupts.ts";
import { cells64 } from "./device_tree.ts";
import { flashChips } from "./flash_chips.ts";
import { withBootOrder } from "./fw_cfg_items.ts";
import { pcieBus, type PcieMap } from "./pcie.ts";
import { virtioTransports } from "./virtio_transports.ts";

/** The memory map: physical addresses and lengths in bytes. */
export const VIRT = {
  rom: { address: 0x1000, size: 0xf000 },
  test: { address: 0x10_0000, size: 0x1000 },
  rtc: { address: 0x10_1000, size: 0x1000, irq: 11 },
  clint: { address: 0x200_0000, size: 0x1_0000 },
  sswi: { address: 0x2f0_0000, size: 0x4000 },
  pciePorts: { address: 0x300_0000, size: 0x1_0000, irq: 32 },
  platformBus: { address: 0x400_0000, size: 0x200_0000 },
  plic: { address: 0xc00_0000, size: 0x60_0000, sources: 95, maxPriority: 7 },
  uart: { address: 0x1000_0000, size: 0x100, irq: 10 },
  virtio: { address: 0x1000_1000, size: 0x1000, count: 8, irq: 1 },
  fwCfg: { address: 0x1010_0000, size: 0x18 },
  flash: { address: 0x2000_0000, count: 2, chipSize: 0x200_0000 },
  pcie: { address: 0x3000_0000, size: 0x1000_0000 },
  pcieMemory: { address: 0x4000_0000, size: 0x4000_0000 },
  ram: { address: 0x8000_0000 },
  pcieHighMemory: {
    32: { address: 0x3_0000_0000, size: 0x1_0000_0000 },
    64: { address: 0x4_0000_0000, size: 0x4_0000_0000 },
  },
} as const;

/** What the device tree says of the number of interrupts: as QEMU 7.2's, one more than there are. */
const INTERRUPTS_IN_TREE = VIRT.plic.sources + 1;
/** Bytes of the random seed for the guest. */
const SEED_SIZE = 32;
/** Registers of the UART that firmware reads, and bit 0 of the line status. */
const RECEIVER_BUFFER = 0, LINE_STATUS = 5, DATA_READY = 1;

const unit = (name: string, { address }: { address: number }) => `${name}@${address.toString(16)}`;
const reg = ({ address, size }: { address: number; size: number }) => cells64(address, size);

function pcieMap(xlen: 32 | 64): PcieMap {
  return {
    configuration: VIRT.pcie,
    ports: VIRT.pciePorts,
    memory: VIRT.pcieMemory,
    highMemory: VIRT.pcieHighMemory[xlen],
    irq: VIRT.pciePorts.irq,
  };
}

/** The wires from the interrupt controller: a context for machine and one for supervisor mode of each hart, in this order. */
function externalInterrupts(harts: readonly Hart[]): { readonly hart: Hart; readonly interrupt: number }[] {
  return harts.flatMap((hart) => [
    { hart, interrupt: INTERRUPT.machineExternal },
    ...(hart.extensions.has("S") ? [{ hart, interrupt: INTERRUPT.supervisorExternal }] : []),
  ]);
}

/** Random bits with which the guest's generator begins. They follow from the seed, by way of its complement: no device has those. */
function guestSeed(seed: number): number[] {
  const random = new Xoshiro(~seed);
  return Array.from({ length: SEED_SIZE / 4 }, () => random.next() >>> 0);
}

function build({ bus, harts, timeline, console, peripherals, fwCfg, aclint, exit, reset }: BoardParts): BuiltBoard {
  const core = coreInterrupts({ clint: VIRT.clint, ...(aclint && { sswi: VIRT.sswi }) }, { bus, harts, timeline });
  const external = externalInterrupts(harts);
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
  const contents = withBootOrder(fwCfg, peripherals.bootDevices, VIRT.virtio);
  const firmware = new FwCfg({ name: unit("fw-cfg", VIRT.fwCfg), memory: bus.directMemory, ...contents });
  bus.addDevice(VIRT.test.address, test);
  bus.addDevice(VIRT.rtc.address, rtc);
  bus.addDevice(VIRT.plic.address, plic);
  bus.addDevice(VIRT.uart.address, uart);
  bus.addDevice(VIRT.fwCfg.address, firmware);

  const plicPath = `/soc/${unit("plic", VIRT.plic)}`, interruptParent = { reference: plicPath };
  const flash = flashChips(VIRT.flash, bus, peripherals);
  const virtio = virtioTransports(VIRT.virtio, { bus, plic, plicPath, clock: timeline, peripherals });
  const pcie = pcieBus(pcieMap(harts[0]!.xlen), bus, plicPath);
  // Nodes and properties are in the order of QEMU's tree: systems number their devices by it.
  const soc: Record<string, DeviceTreeNode> = {
    [unit("rtc", VIRT.rtc)]: {
      properties: {
        "interrupts": VIRT.rtc.irq,
        "interrupt-parent": interruptParent,
        "reg": reg(VIRT.rtc),
        "compatible": "google,goldfish-rtc",
      },
    },
    [unit("serial", VIRT.uart)]: {
      properties: {
        "interrupts": VIRT.uart.irq,
        "interrupt-parent": interruptParent,
        "clock-frequency": UART_INPUT_CLOCK_HZ,
        "reg": reg(VIRT.uart),
        "compatible": "ns16550a",
      },
    },
    [unit("test", VIRT.test)]: {
      properties: { "reg": reg(VIRT.test), "compatible": ["sifive,test1", "sifive,test0", "syscon"] },
    },
    ...pcie.nodes,
    ...virtio.nodes,
    [unit("plic", VIRT.plic)]: {
      properties: {
        "riscv,ndev": INTERRUPTS_IN_TREE,
        "reg": reg(VIRT.plic),
        "interrupts-extended": external.flatMap(({ hart, interrupt }) => [
          { reference: hartInterruptController(hart.id) },
          interrupt,
        ]),
        "interrupt-controller": true,
        "compatible": ["sifive,plic-1.0.0", "riscv,plic0"],
        "#address-cells": 0,
        "#interrupt-cells": 1,
      },
    },
    ...core.nodes,
  };
  const regmap = { reference: `/soc/${unit("test", VIRT.test)}` };
  return {
    devices: [test, rtc, ...core.devices, plic, uart, firmware, ...flash.devices, ...pcie.devices, ...virtio.devices],
    interrupts: { path: plicPath, sources: VIRT.plic.sources, line: (source) => plic.line(source) },
    stdoutPath: `/soc/${unit("serial", VIRT.uart)}`,
    receive: () => (uart.read(LINE_STATUS, 1) & DATA_READY) !== 0 ? uart.read(RECEIVER_BUFFER, 1) : undefined,
    deviceTree: {
      properties: { "#address-cells": 2, "#size-cells": 2, "compatible": "riscv-virtio", "model": "riscv-virtio,qemu" },
      children: {
        [unit("fw-cfg", VIRT.fwCfg)]: {
          properties: { "dma-coherent": true, "reg": reg(VIRT.fwCfg), "compatible": "qemu,fw-cfg-mmio" },
        },
        ...flash.nodes,
        chosen: { properties: { "rng-seed": guestSeed(peripherals.seed) } },
        poweroff: { properties: { "value": 0x5555, "offset": 0, regmap, "compatible": "syscon-poweroff" } },
        reboot: { properties: { "value": 0x7777, "offset": 0, regmap, "compatible": "syscon-reboot" } },
        [unit("platform-bus", VIRT.platformBus)]: {
          properties: {
            "interrupt-parent": interruptParent,
            "ranges": [0, ...cells64(VIRT.platformBus.address), VIRT.platformBus.size],
            "#address-cells": 1,
            "#size-cells": 1,
            "compatible": ["qemu,platform", "simple-bus"],
          },
        },
        [unit("memory", VIRT.ram)]: memoryNode(bus.ram.base, bus.ram.size),
        cpus: cpusNode(harts),
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
  hasAclint: true,
  build,
};
