// Timer and software interrupts of a board's harts: SiFive's CLINT, or, with `-machine aclint=on`, the three devices of the RISC-V ACLINT
// specification, of which two are the CLINT's halves.

import { Clint } from "../devices/clint.ts";
import type { Device, DeviceTreeNode } from "../devices/device.ts";
import { Sswi } from "../devices/sswi.ts";
import type { Hart } from "../hart/hart.ts";
import { CSR } from "../hart/csr.ts";
import { INTERRUPT } from "../hart/trap.ts";
import { hartInterruptController } from "./board.ts";
import type { Bus } from "./bus.ts";
import { cells64 } from "./device_tree.ts";
import type { Timeline } from "./timeline.ts";

/** The CLINT's registers as the ACLINT specification divides them; offsets and lengths in bytes. */
const MSWI_SIZE = 0x4000, MTIMECMP = { offset: 0x4000, size: 0x7ff8 }, MTIME = { offset: 0xbff8, size: 0x4008 };

/** Where they are: physical addresses. */
export interface CoreInterruptMap {
  /** The CLINT. */
  readonly clint: { readonly address: number; readonly size: number };
  /** The ACLINT's supervisor software interrupts; absent: a CLINT. */
  readonly sswi?: { readonly address: number; readonly size: number };
}

/** Makes a supervisor software interrupt pending. */
function interruptSupervisor(hart: Hart): void {
  hart.csrs[2 * CSR.mip]! |= 1 << INTERRUPT.supervisorSoftware;
  hart.interruptsChanged();
}

/** Interrupts of all harts, for `interrupts-extended`. */
function wiredTo(harts: readonly Hart[], ...interrupts: readonly number[]) {
  return harts.flatMap(({ id }) =>
    interrupts.flatMap((interrupt) => [{ reference: hartInterruptController(id) }, interrupt])
  );
}

/** Puts them on the bus, and gives the harts their time. */
export function coreInterrupts(
  { clint: { address, size }, sswi }: CoreInterruptMap,
  { bus, harts, timeline }: { bus: Bus; harts: readonly Hart[]; timeline: Timeline },
): { readonly devices: readonly Device[]; readonly nodes: Readonly<Record<string, DeviceTreeNode>> } {
  const clint = new Clint({
    name: `clint@${address.toString(16)}`,
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
  bus.addDevice(address, clint);
  if (sswi === undefined) {
    const properties = {
      "interrupts-extended": wiredTo(harts, INTERRUPT.machineSoftware, INTERRUPT.machineTimer),
      "reg": cells64(address, size),
      "compatible": ["sifive,clint0", "riscv,clint0"],
    };
    return { devices: [clint], nodes: { [clint.name]: { properties } } };
  }
  const name = `sswi@${sswi.address.toString(16)}`;
  const supervisor = new Sswi(name, harts.map((hart) => () => interruptSupervisor(hart)));
  bus.addDevice(sswi.address, supervisor);
  const software = (interrupt: number, reg: number[], compatible: string): DeviceTreeNode => ({
    properties: {
      "#interrupt-cells": 0,
      "interrupt-controller": true,
      "interrupts-extended": wiredTo(harts, interrupt),
      reg,
      compatible,
    },
  });
  const timer = address + MTIMECMP.offset;
  return {
    devices: [clint, supervisor],
    nodes: {
      [name]: software(INTERRUPT.supervisorSoftware, cells64(sswi.address, sswi.size), "riscv,aclint-sswi"),
      [`mtimer@${timer.toString(16)}`]: {
        properties: {
          "interrupts-extended": wiredTo(harts, INTERRUPT.machineTimer),
          "reg": cells64(address + MTIME.offset, MTIME.size, timer, MTIMECMP.size),
          "compatible": "riscv,aclint-mtimer",
        },
      },
      [`mswi@${address.toString(16)}`]: software(
        INTERRUPT.machineSoftware,
        cells64(address, MSWI_SIZE),
        "riscv,aclint-mswi",
      ),
    },
  };
}
