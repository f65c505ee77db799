// What a board is, and the parts that boards have in common.

import type { Device, DeviceTreeNode, InterruptLine } from "../devices/device.ts";
import { type Extension, isaString } from "../isa/extensions.ts";
import { CACHE_BLOCK } from "../isa/zicbo.ts";
import { TIMEBASE_HZ } from "../devices/clint.ts";
import type { Hart } from "../hart/hart.ts";
import type { Bus } from "./bus.ts";
import type { Console } from "./console.ts";
import type { BootPlan } from "./boot.ts";
import type { Elf } from "./elf.ts";
import type { FlashChips, Peripherals } from "./peripherals.ts";
import type { FwCfgContents } from "./fw_cfg_items.ts";
import type { Timeline } from "./timeline.ts";
import { cells64 } from "./device_tree.ts";

/** What a board is built from. */
export interface BoardParts {
  readonly bus: Bus;
  readonly harts: readonly Hart[];
  readonly timeline: Timeline;
  readonly console: Console;
  /** What options add to the board. */
  readonly peripherals: Peripherals;
  /** What the firmware is told by a device of its own, on boards that have one. */
  readonly fwCfg: FwCfgContents;
  /** Whether timer and software interrupts are those of an ACLINT. */
  readonly aclint: boolean;
  /** Programs that are loaded, for boards whose devices stand at symbols. */
  readonly elfs: readonly Elf[];
  /** Ends the run with an exit code. */
  readonly exit: (code: number) => void;
  /** Resets the machine after the current instruction. */
  readonly reset: () => void;
}

/** The interrupt controller that devices are wired to. */
export interface BoardInterrupts {
  /** Path of its node in the device tree. */
  readonly path: string;
  /** Its interrupts are numbered from 1 to this. */
  readonly sources: number;
  /** The wire of an interrupt. */
  readonly line: (source: number) => InterruptLine;
}

/** A board that has been built. */
export interface BuiltBoard {
  /** All devices, in the order in which they are reset and saved. */
  readonly devices: readonly Device[];
  /** Nodes of the device tree that the board describes itself with, without `/chosen`. */
  readonly deviceTree: DeviceTreeNode;
  /** Where devices may be wired to; undefined where there is no such controller. */
  readonly interrupts?: BoardInterrupts;
  /** Path of the console's node, for `stdout-path`; undefined if it has none. */
  readonly stdoutPath?: string;
  /** Takes a byte from the console's receiver, as firmware would; undefined if there is none. Absent: no receiver. */
  readonly receive?: () => number | undefined;
}

/** A kind of machine. */
export interface Board {
  /** Name as `-machine` knows it. */
  readonly name: string;
  /** One line for `-machine help`. */
  readonly description: string;
  /** Most harts it can have. */
  readonly maxHarts: number;
  /** Physical address of RAM. */
  readonly ramBase: number;
  /** Length of the boot ROM that holds the reset vector, and where it is. */
  readonly resetVector: number;
  /** How many virtio transports it has. */
  readonly virtioTransports: number;
  /** Its flash chips. */
  readonly flash: FlashChips;
  readonly romSize: number;
  /** Whether it can have an ACLINT. */
  readonly hasAclint: boolean;
  /** Adds its devices to the bus. */
  build(parts: BoardParts): BuiltBoard;
}

/** Words of the instructions of QEMU's reset vector, up to the data that follows it. */
function resetInstructions(xlen: 32 | 64): number[] {
  return [
    0x00000297, // auipc t0, 0
    0x02828613, // addi a2, t0, 40: fw_dynamic information
    0xf1402573, // csrr a0, mhartid
    xlen === 32 ? 0x0202a583 : 0x0202b583, // lw or ld a1, 32(t0): device tree
    xlen === 32 ? 0x0182a283 : 0x0182b283, // lw or ld t0, 24(t0): entry
    0x00028067, // jr t0
  ];
}

/** "OSBI" and the version of the structure (OpenSBI, "FW_DYNAMIC"). */
const DYNAMIC_MAGIC = 0x4942534f, DYNAMIC_VERSION = 2;
/** Privilege level in which the next stage starts: supervisor. */
const NEXT_MODE_S = 1;

/**
 * The boot ROM: QEMU's six instructions, then the entry (8 bytes), the device tree's address (8), and OpenSBI's
 * fw_dynamic information in words of XLEN bits.
 */
export function resetRom(xlen: 32 | 64, plan: BootPlan, size: number): Uint8Array {
  const rom = new Uint8Array(size), view = new DataView(rom.buffer);
  resetInstructions(xlen).forEach((word, k) => view.setUint32(4 * k, word, true));
  view.setBigUint64(24, BigInt(plan.entry), true);
  view.setBigUint64(32, BigInt(plan.deviceTree ?? 0), true);
  [DYNAMIC_MAGIC, DYNAMIC_VERSION, plan.nextAddress, NEXT_MODE_S, 0, 0].forEach((value, k) => {
    if (xlen === 32) view.setUint32(40 + 4 * k, value, true);
    else view.setBigUint64(40 + 8 * k, BigInt(value), true);
  });
  return rom;
}

/** Path of a hart's interrupt controller in the device tree. */
export function hartInterruptController(hart: number): string {
  return `/cpus/cpu@${hart}/interrupt-controller`;
}

/** `/cpus`, as the RISC-V bindings of Linux describe it. */
export function cpusNode(harts: readonly Hart[]): DeviceTreeNode {
  const children: Record<string, DeviceTreeNode> = {};
  for (const { id, xlen, extensions, addressBits } of harts) {
    children[`cpu@${id}`] = {
      properties: {
        "device_type": "cpu",
        "reg": id,
        "status": "okay",
        "compatible": "riscv",
        "riscv,isa": isaString(xlen, extensions),
        "riscv,isa-base": `rv${xlen}${extensions.has("E") ? "e" : "i"}`,
        "riscv,isa-extensions": [...extensions].filter((name) => name !== "S" && !(name === "I" && extensions.has("E")))
          .map((name) => name.toLowerCase()),
        ...cacheBlockSizes(extensions),
        "mmu-type": addressBits === 0 ? "riscv,none" : `riscv,sv${addressBits}`,
      },
      children: {
        "interrupt-controller": {
          properties: {
            "#interrupt-cells": 1,
            "interrupt-controller": true,
            "compatible": "riscv,cpu-intc",
            // QEMU's tree lacks it, and dtc warns of that.
            "#address-cells": 0,
          },
        },
      },
    };
  }
  const cores = harts.map(({ id }) => [`core${id}`, { properties: { "cpu": { reference: `/cpus/cpu@${id}` } } }]);
  children["cpu-map"] = {
    properties: {},
    children: { cluster0: { properties: {}, children: Object.fromEntries(cores) } },
  };
  return {
    properties: { "#address-cells": 1, "#size-cells": 0, "timebase-frequency": TIMEBASE_HZ },
    children,
  };
}

/** The sizes of the blocks that the cache-block operations there are work on. */
function cacheBlockSizes(extensions: ReadonlySet<Extension>): Record<string, number> {
  const operations = (["Zicbom", "Zicbop", "Zicboz"] as const).filter((name) => extensions.has(name));
  return Object.fromEntries(operations.map((name) => [`riscv,cbo${name.at(-1)}-block-size`, CACHE_BLOCK]));
}

/** A `memory@` node. */
export function memoryNode(base: number, size: number): DeviceTreeNode {
  return { properties: { "device_type": "memory", "reg": cells64(base, size) } };
}
