// What QEMU's boards tell firmware by the fw_cfg device.

import { FW_CFG_KEY } from "../devices/fw_cfg.ts";
import type { BootDevice } from "./peripherals.ts";

/** Contents of the device: items by key, files by name. */
export interface FwCfgContents {
  readonly items: ReadonlyMap<number, Uint8Array>;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** What the contents follow from. */
export interface FwCfgSources {
  readonly harts: number;
  /** What firmware in the second flash chip is to start; absent where it is loaded into memory. */
  readonly kernel?: Uint8Array;
  readonly initrd?: Uint8Array;
  /** The kernel's command line. */
  readonly append?: string;
  /** Files that the user adds. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
}

function word(value: number, bytes: 2 | 4): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, k) => value >>> 8 * k);
}

/** A text and a zero. */
function text(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`);
}

/** The contents, but for the order in which to boot from devices (`withBootOrder`). */
export function fwCfgContents({ harts, kernel, initrd, append, files = {} }: FwCfgSources): FwCfgContents {
  const items = new Map<number, Uint8Array>([[FW_CFG_KEY.cpus, word(harts, 2)]]);
  const add = (size: number, data: number, bytes: Uint8Array) => {
    items.set(size, word(bytes.length, 4));
    items.set(data, bytes);
  };
  if (kernel !== undefined) {
    add(FW_CFG_KEY.kernelSize, FW_CFG_KEY.kernelData, kernel);
    if (initrd !== undefined) add(FW_CFG_KEY.initrdSize, FW_CFG_KEY.initrdData, initrd);
    add(FW_CFG_KEY.commandLineSize, FW_CFG_KEY.commandLine, text(append ?? ""));
  }
  return {
    items,
    files: new Map([
      ["bios-geometry", new Uint8Array()],
      // Milliseconds after which a firmware that finds nothing to boot tries again: never.
      ["etc/boot-fail-wait", word(-1, 4)],
      ...Object.entries(files),
    ]),
  };
}

/** Adds the devices from which to boot, first ones first; `transports` is where they are: address and length of each. */
export function withBootOrder(
  { items, files }: FwCfgContents,
  devices: readonly BootDevice[],
  transports: { readonly address: number; readonly size: number },
): FwCfgContents {
  const paths = devices.toSorted((a, b) => a.index - b.index).map(({ slot, unit }) => {
    const address = transports.address + slot * transports.size;
    return `/virtio-mmio@${address.toString(16).padStart(16, "0")}/${unit}`;
  });
  return {
    items,
    files: new Map([...files, ["bootorder", paths.length === 0 ? new Uint8Array() : text(paths.join("\n"))]]),
  };
}
