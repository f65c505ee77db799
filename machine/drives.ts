// Opens the drives that options name, and hands each to the one device that uses it.

import { type BlockBackend, MemoryBlocks, Overlay } from "../devices/block_backend.ts";
import type { DriveOptions } from "./device_options.ts";
import { OptionError } from "./errors.ts";
import { openBlocks } from "./files.ts";
import { nearest } from "./nearest.ts";

/** A drive that was opened. */
export interface Drive {
  /** Its id: the user's, or one made of interface and number. */
  readonly id: string;
  readonly options: DriveOptions;
  readonly backend: BlockBackend;
  /** The option, for messages. */
  readonly where: string;
}

/** First bytes of images that are not raw, with the name of the format. */
const FORMATS: readonly (readonly [string, string])[] = [
  ["QFI\xfb", "qcow2"],
  ["KDMV", "vmdk"],
  ["# Disk DescriptorFile", "vmdk"],
  ["vhdxfile", "vhdx"],
  ["conectix", "vpc"],
  ["<<< ", "vdi"],
  ["QED\0", "qed"],
];

/** An identifier, as QEMU takes it for an id. */
export function checkId(where: string, id: string): void {
  if (/^[a-z][a-z0-9._-]*$/i.test(id)) return;
  throw new OptionError(
    `${where}: Parameter 'id' expects an identifier: letters, digits, '-', '.', '_', starting with a letter`,
  );
}

function isBackend(file: DriveOptions["file"]): file is BlockBackend {
  return typeof file === "object" && "read" in file && typeof file.read === "function";
}

function nameOf(file: DriveOptions["file"]): string {
  if (typeof file === "string" || file instanceof URL) return String(file);
  return "name" in file && typeof file.name === "string" ? file.name : "bytes";
}

function open(options: DriveOptions, where: string, snapshot: boolean): BlockBackend {
  const { file, readOnly = false } = options;
  let backend: BlockBackend;
  if (isBackend(file)) backend = file;
  else if (typeof file === "string" || file instanceof URL) backend = openBlocks(file, readOnly || snapshot, where);
  else backend = new MemoryBlocks(file instanceof Uint8Array ? file : file.bytes, readOnly || snapshot);
  if (options.format === undefined) refuseOtherFormats(backend, nameOf(file), where);
  return snapshot ? new Overlay(backend, readOnly) : backend;
}

/** A raw image may begin with anything, so this is only for who has not said that it is one. */
function refuseOtherFormats(backend: BlockBackend, name: string, where: string): void {
  const start = new Uint8Array(Math.min(24, backend.size));
  backend.read(0, start);
  const text = String.fromCharCode(...start);
  const format = FORMATS.find(([magic]) => text.startsWith(magic))?.[1];
  if (format === undefined) return;
  backend.close?.();
  throw new OptionError(
    `${where}: '${name}' is a ${format} image, and only raw ones can be used; ` +
      `qemu-img convert -O raw ${name} FILE makes one (format=raw takes it as it is)`,
  );
}

/** All drives of a machine. */
export class Drives {
  readonly all: readonly Drive[];
  readonly #taken = new Set<Drive>();

  /**
   * Opens all of them.
   *
   * @param snapshot `-snapshot`: none is written.
   * @throws {OptionError} If options do not fit.
   * @throws {LoadError} If a file cannot be opened.
   */
  constructor(options: readonly DriveOptions[], snapshot: boolean) {
    const all: Drive[] = [];
    this.all = all;
    try {
      for (const drive of options) {
        const where = `-drive file=${nameOf(drive.file)}`;
        if (drive.format !== undefined && drive.format !== "raw") {
          throw new OptionError(`${where},format=${drive.format}: only raw images can be used`);
        }
        if (drive.id !== undefined) {
          checkId(where, drive.id);
          if (all.some((other) => other.options.id === drive.id)) {
            throw new OptionError(`${where}: Duplicate ID '${drive.id}' for drive`);
          }
        }
        const { interface: kind = "virtio" } = drive;
        const id = drive.id ?? `${kind}${all.filter(({ options }) => (options.interface ?? "virtio") === kind).length}`;
        all.push({ id, options: drive, backend: open(drive, where, drive.snapshot ?? snapshot), where });
      }
    } catch (e) {
      this.close();
      throw e;
    }
  }

  /** Drives for an interface. */
  with(kind: NonNullable<DriveOptions["interface"]>): Drive[] {
    return this.all.filter(({ options }) => (options.interface ?? "virtio") === kind);
  }

  /**
   * The drives of `count` flash chips; undefined where a chip has none.
   *
   * @param size Bytes of a chip.
   * @throws {OptionError} If there is no such chip, or the drive has another size.
   */
  flash(count: number, size: number): (BlockBackend | undefined)[] {
    const chips = new Array<BlockBackend | undefined>(count).fill(undefined);
    for (const { options, backend, where } of this.with("pflash")) {
      const unit = options.unit ?? chips.indexOf(undefined);
      if (!(unit >= 0 && unit < count)) {
        throw new OptionError(
          `${where}: machine type does not support if=pflash,bus=0,unit=${unit < 0 ? count : unit}` +
            (count > 0 ? `; its chips are units 0 to ${count - 1}` : ""),
        );
      }
      if (chips[unit] !== undefined) throw new OptionError(`${where}: drive with bus=0, unit=${unit} exists`);
      const bytes = options.file instanceof Uint8Array ? options.file.length : backend.size;
      if (bytes !== size) {
        throw new OptionError(
          `${where}: device requires ${size} bytes, block backend provides ${bytes} bytes; ` +
            `truncate -s ${size / 2 ** 20}M ${nameOf(options.file)} makes it fit`,
        );
      }
      chips[unit] = backend;
    }
    return chips;
  }

  /**
   * Gives a drive to a device.
   *
   * @param where The device's option, for messages.
   * @throws {OptionError} If there is no such drive, or another device has it.
   */
  take(id: string, model: string, where: string): Drive {
    const drive = this.all.find((other) => other.id === id);
    if (drive === undefined) {
      throw new OptionError(
        `${where}: Property '${model}.drive' can't find value '${id}'` +
          (nearest(id, this.all.map((other) => other.id)) || `; there is no -drive …,id=${id}`),
      );
    }
    if (this.#taken.has(drive)) throw new OptionError(`${where}: Drive '${id}' is already in use by another device`);
    if ((drive.options.interface ?? "virtio") !== "none" && where !== drive.where) {
      throw new OptionError(
        `${where}: Drive '${id}' is already in use because it has been automatically connected to another device ` +
          "(did you need 'if=none' in the drive options?)",
      );
    }
    this.#taken.add(drive);
    return drive;
  }

  /** Makes everything last and frees the files. */
  close(): void {
    for (const { backend } of this.all) {
      if (!backend.readOnly) backend.flush();
      backend.close?.();
    }
  }
}
