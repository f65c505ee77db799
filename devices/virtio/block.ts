// The virtio disk: Virtual I/O Device (VIRTIO) 1.2, section 5.2; as QEMU 7.2's virtio-blk-device where that leaves room.

import type { Alarm } from "../device.ts";
import { type BlockBackend, SECTOR } from "../block_backend.ts";
import { STATUS, type VirtioConnection, VirtioDevice } from "./device.ts";
import { type Chain, QueueError, slices, type Virtqueue } from "./queue.ts";

/** Settings of a disk. The names are the properties of QEMU's device. */
export interface BlockSettings {
  /** What GET_ID answers; the first 20 bytes of it. */
  readonly serial?: string;
  /** Bytes of a block, a power of two from 512 to 2 MiB. */
  readonly logicalBlockSize?: number;
  /** Bytes of a block of the medium, a multiple of the logical block by a power of two. */
  readonly physicalBlockSize?: number;
  /** Smallest and best sizes of requests in bytes, as advice to the driver. */
  readonly minIoSize?: number;
  readonly optIoSize?: number;
  /** Request queues (1), and entries of each (256). */
  readonly queues?: number;
  readonly queueSize?: number;
  /** Whether DISCARD is offered (true), and whether it makes the bytes zero (false: nothing happens). */
  readonly discard?: boolean;
  readonly unmap?: boolean;
  /** Whether WRITE_ZEROES is offered (true). */
  readonly writeZeroes?: boolean;
  /** Whether the driver may change the write cache's mode (true), and the mode it begins with (true: writeback). */
  readonly configWriteCache?: boolean;
  readonly writeCache?: boolean;
}

/** Virtual time from the notification to the interrupt, nanoseconds: as a fast solid state disk answers. */
export const BLOCK_LATENCY = 10_000;

// Features (5.2.3).
const SEG_MAX = 1n << 2n, GEOMETRY = 1n << 4n, READ_ONLY = 1n << 5n, BLOCK_SIZE = 1n << 6n, SCSI = 1n << 7n;
const FLUSH = 1n << 9n, TOPOLOGY = 1n << 10n, CONFIG_WRITE_CACHE = 1n << 11n, MULTI_QUEUE = 1n << 12n;
const DISCARD = 1n << 13n, WRITE_ZEROES = 1n << 14n;

// Requests (5.2.6).
const TYPE_OUT = 1, TYPE_BARRIER = 0x8000_0000;
const TYPE_IN = 0, TYPE_SCSI = 2, TYPE_FLUSH = 4, TYPE_GET_ID = 8, TYPE_DISCARD = 11, TYPE_WRITE_ZEROES = 13;
const STATUS_OK = 0, STATUS_IO_ERROR = 1, STATUS_UNSUPPORTED = 2;
const HEADER_SIZE = 16, ID_SIZE = 20, RANGE_SIZE = 16, RANGE_UNMAP = 1;

/** Most sectors of one DISCARD or WRITE_ZEROES. */
const MAX_RANGE_SECTORS = 0x3f_ffff;
/** Length of the configuration up to `write_zeroes_may_unmap`, and where its write cache mode is. */
const CONFIG_SIZE = 57, CONFIG_WRITE_CACHE_AT = 32;
/** Most bytes of zeros that are written at once. */
const ZEROS = new Uint8Array(1 << 16);

/** A request that was carried out and is not given back yet. */
interface FinishedRequest {
  readonly queue: number;
  readonly head: number;
  readonly written: number;
  /** When it is given back, nanoseconds. */
  readonly due: number;
}

/** A disk. */
export class VirtioBlock extends VirtioDevice {
  readonly deviceId = 2;
  protected override readonly anyLayout = false;
  protected readonly queueSizes: readonly number[];
  readonly #backend: BlockBackend;
  readonly #settings: Required<BlockSettings>;
  /** Whether what is written may wait until FLUSH. */
  #writeCache: boolean;
  #alarm!: Alarm;
  #clock!: VirtioConnection["clock"];
  /** Requests that were carried out and not given back, in order. */
  #finished: FinishedRequest[] = [];
  /** What the backend threw last. */
  lastError: unknown;

  constructor(backend: BlockBackend, settings: BlockSettings = {}) {
    super();
    this.#backend = backend;
    const logicalBlockSize = settings.logicalBlockSize ?? SECTOR;
    this.#settings = {
      serial: "",
      logicalBlockSize,
      physicalBlockSize: logicalBlockSize,
      minIoSize: 0,
      optIoSize: 0,
      queues: 1,
      queueSize: 256,
      discard: true,
      unmap: false,
      writeZeroes: true,
      configWriteCache: true,
      writeCache: true,
      ...settings,
    };
    this.#writeCache = this.#settings.writeCache;
    this.queueSizes = Array.from({ length: this.#settings.queues }, () => this.#settings.queueSize);
  }

  protected override connected({ clock }: VirtioConnection): void {
    this.#clock = clock;
    this.#alarm = clock.alarm(() => this.#giveBack());
  }

  protected ownFeatures(legacy: boolean): bigint {
    const { discard, writeZeroes, configWriteCache, queues } = this.#settings;
    return SEG_MAX | GEOMETRY | BLOCK_SIZE | TOPOLOGY |
      (legacy ? SCSI : 0n) |
      (this.#backend.readOnly ? READ_ONLY : 0n) |
      (configWriteCache ? CONFIG_WRITE_CACHE | FLUSH : this.#writeCache ? FLUSH : 0n) |
      (queues > 1 ? MULTI_QUEUE : 0n) |
      (discard ? DISCARD : 0n) |
      (writeZeroes ? WRITE_ZEROES : 0n);
  }

  /** Sectors of 512 bytes. */
  get #sectors(): number {
    return Math.ceil(this.#backend.size / SECTOR);
  }

  /** `virtio_blk_config` (5.2.4). */
  override configuration(): Uint8Array {
    const bytes = new Uint8Array(CONFIG_SIZE), view = new DataView(bytes.buffer), settings = this.#settings;
    const blockSectors = settings.logicalBlockSize / SECTOR;
    view.setBigUint64(0, BigInt(this.#sectors), true);
    view.setUint32(12, settings.queueSize - 2, true);
    view.setUint16(16, Math.min(16383, Math.max(2, Math.floor(this.#sectors / (16 * 63)))), true);
    bytes[18] = 16;
    const track = Math.floor(Math.floor(this.#backend.size / 16) / 63);
    bytes[19] = track % settings.logicalBlockSize === 0 ? 63 : 63 & ~(blockSectors - 1);
    view.setUint32(20, settings.logicalBlockSize, true);
    bytes[24] = Math.log2(settings.physicalBlockSize / settings.logicalBlockSize);
    view.setUint16(26, settings.minIoSize / settings.logicalBlockSize, true);
    view.setUint32(28, settings.optIoSize / settings.logicalBlockSize, true);
    bytes[CONFIG_WRITE_CACHE_AT] = this.#writeCache ? 1 : 0;
    view.setUint16(34, settings.queues, true);
    if (settings.discard) {
      view.setUint32(36, MAX_RANGE_SECTORS, true);
      view.setUint32(40, 1, true);
      view.setUint32(44, blockSectors, true);
    }
    if (settings.writeZeroes) {
      view.setUint32(48, MAX_RANGE_SECTORS, true);
      view.setUint32(52, 1, true);
      bytes[56] = 1;
    }
    return bytes.subarray(0, settings.writeZeroes ? CONFIG_SIZE : settings.discard ? 48 : 36);
  }

  override configure(configuration: Uint8Array): void {
    this.#writeCache = configuration[CONFIG_WRITE_CACHE_AT] !== 0;
    if (!this.#writeCache) this.#backend.flush();
  }

  protected override statusChanged(status: number): void {
    // A driver that cannot change the mode has said by FLUSH whether it can live with a cache (5.2.6.2).
    if ((status & STATUS.driverOk) !== 0 && !this.has(CONFIG_WRITE_CACHE)) this.#writeCache = this.has(FLUSH);
  }

  /** Carries out all requests, and holds them back for a while. */
  protected notified(index: number, queue: Virtqueue): void {
    const due = this.#clock.now() + BLOCK_LATENCY;
    try {
      for (let chain = queue.take(); chain !== undefined; chain = queue.take()) {
        this.#finished.push({ queue: index, head: chain.head, written: this.#request(chain), due });
      }
    } finally {
      queue.setNotification(true);
      this.#schedule();
    }
  }
  #schedule(): void {
    const first = this.#finished[0];
    if (first === undefined) this.#alarm?.cancel();
    else this.#alarm.set(first.due);
  }

  /** Gives back the requests whose time has come. */
  #giveBack(): void {
    const now = this.#clock.now(), told = new Set<Virtqueue>();
    while (this.#finished.length > 0 && this.#finished[0]!.due <= now) {
      const { queue: index, head, written } = this.#finished.shift()!, queue = this.queues[index]!;
      queue.give(head, written);
      told.add(queue);
    }
    for (const queue of told) this.interruptFor(queue);
    this.#schedule();
  }

  protected override queueReset(index: number): void {
    this.#finished = this.#finished.filter(({ queue }) => queue !== index);
    this.#schedule();
  }

  /** Carries out a request; gives how many bytes were written into its buffers. */
  #request(chain: Chain): number {
    if (chain.out.length === 0 || chain.in.length === 0) throw new QueueError("virtio-blk missing headers");
    if (chain.outLength < HEADER_SIZE) throw new QueueError("virtio-blk request outhdr too short");
    const header = new DataView(chain.read(0, HEADER_SIZE).buffer);
    const type = header.getUint32(0, true), sector = header.getBigUint64(8, true);
    const last = chain.inLength - 1;
    let status: number;
    try {
      status = this.#carryOut(chain, type, sector, last);
    } catch (e) {
      if (e instanceof QueueError) throw e;
      this.lastError = e;
      status = STATUS_IO_ERROR;
    }
    chain.write(Uint8Array.of(status), last);
    return chain.inLength;
  }

  /** `room`: bytes that the device may write before the status. */
  #carryOut(chain: Chain, type: number, sector: bigint, room: number): number {
    const isOut = (type & TYPE_OUT) !== 0;
    // The barrier bit is of old, and means nothing.
    switch ((type & ~(TYPE_OUT | TYPE_BARRIER)) >>> 0) {
      case TYPE_IN:
        return isOut ? this.#write(chain, sector) : this.#read(chain, sector, room);
      case TYPE_FLUSH:
        this.#backend.flush();
        return STATUS_OK;
      case TYPE_GET_ID: {
        // Without the final zero where it has 20 bytes.
        const id = new TextEncoder().encode(`${this.#settings.serial}\0`);
        chain.write(id.subarray(0, Math.min(room, ID_SIZE)));
        return STATUS_OK;
      }
      case TYPE_DISCARD & ~TYPE_OUT:
      case TYPE_WRITE_ZEROES & ~TYPE_OUT:
        return this.#range(chain, isOut, (type & ~TYPE_BARRIER) === TYPE_WRITE_ZEROES);
      case TYPE_SCSI:
        if (chain.out.length < 2 || chain.in.length < 3) return STATUS_IO_ERROR;
        // `errors` of the answer.
        chain.write(
          Uint8Array.of(255, 0, 0, 0),
          chain.inLength - chain.in.at(-1)!.bytes.length - chain.in.at(-2)!.bytes.length,
        );
        return STATUS_UNSUPPORTED;
      default:
        return STATUS_UNSUPPORTED;
    }
  }

  /** Whether a request lies on the disk and in whole blocks. */
  #fits(sector: bigint, length: number): boolean {
    const { logicalBlockSize } = this.#settings;
    return length % logicalBlockSize === 0 && sector % BigInt(logicalBlockSize / SECTOR) === 0n &&
      sector + BigInt(length / SECTOR) <= BigInt(this.#sectors);
  }

  #read(chain: Chain, sector: bigint, length: number): number {
    if (!this.#fits(sector, length)) return STATUS_IO_ERROR;
    let at = Number(sector) * SECTOR;
    chain.writeWith(0, length, (piece) => {
      this.#backend.read(at, piece);
      at += piece.length;
    });
    return STATUS_OK;
  }

  #write(chain: Chain, sector: bigint): number {
    const length = chain.outLength - HEADER_SIZE;
    if (!this.#fits(sector, length) || this.#backend.readOnly) return STATUS_IO_ERROR;
    let at = Number(sector) * SECTOR;
    for (const { bytes } of slices(chain.out, HEADER_SIZE, length)) {
      this.#backend.write(at, bytes);
      at += bytes.length;
    }
    if (!this.#writeCache) this.#backend.flush();
    return STATUS_OK;
  }

  /** DISCARD and WRITE_ZEROES of one range. */
  #range(chain: Chain, isOut: boolean, zero: boolean): number {
    const { outLength } = chain;
    if (!isOut || outLength - HEADER_SIZE > RANGE_SIZE) return STATUS_UNSUPPORTED;
    if (outLength - HEADER_SIZE < RANGE_SIZE) {
      throw new QueueError("virtio-blk discard/write_zeroes header too short");
    }
    const range = new DataView(chain.read(HEADER_SIZE).buffer);
    const sector = range.getBigUint64(0, true), sectors = range.getUint32(8, true), flags = range.getUint32(12, true);
    if (sectors > MAX_RANGE_SECTORS || !this.#fits(sector, sectors * SECTOR)) return STATUS_IO_ERROR;
    if ((flags & ~RANGE_UNMAP) !== 0 || (!zero && flags !== 0)) return STATUS_UNSUPPORTED;
    if (sectors === 0 || (!zero && !this.#settings.unmap)) return STATUS_OK;
    if (this.#backend.readOnly) return STATUS_IO_ERROR;
    const start = Number(sector) * SECTOR, end = start + sectors * SECTOR;
    for (let at = start; at < end; at += ZEROS.length) {
      this.#backend.write(at, ZEROS.subarray(0, Math.min(ZEROS.length, end - at)));
    }
    if (!this.#writeCache) this.#backend.flush();
    return STATUS_OK;
  }

  protected override resetOwn(): void {
    this.#writeCache = this.#settings.writeCache;
    this.#finished = [];
    this.#schedule();
  }

  protected override snapshotOwn(): unknown {
    return {
      writeCache: this.#writeCache,
      finished: this.#finished.map((request) => ({ ...request })),
      blocks: this.#backend.snapshot?.(),
    };
  }

  protected override restoreOwn(own: unknown): void {
    const saved = own as { writeCache: boolean; finished: FinishedRequest[]; blocks: unknown };
    this.#writeCache = saved.writeCache;
    this.#finished = saved.finished.map((request) => ({ ...request }));
    this.#schedule();
    if (saved.blocks !== undefined) this.#backend.restore?.(saved.blocks);
  }
}
