// SBI: counters (chapter "Performance Monitoring Unit Extension"). As in OpenSBI, counter 0 is the CSR cycle, 2 is instret, 1 (time)
// does not exist, and what follows are counters of firmware events.

import { CSR } from "../../hart/csr.ts";
import type { Hart } from "../../hart/hart.ts";
import { failed, idOf, type SbiAnswer, type SbiExtension, SUCCESS } from "./extension.ts";

/** Codes of the firmware events. */
export const FIRMWARE_EVENT = {
  misalignedLoad: 0,
  misalignedStore: 1,
  accessLoad: 2,
  accessStore: 3,
  illegalInstruction: 4,
  setTimer: 5,
  ipiSent: 6,
  ipiReceived: 7,
  fenceISent: 8,
  fenceIReceived: 9,
  sfenceVmaSent: 10,
  sfenceVmaReceived: 11,
  sfenceVmaAsidSent: 12,
  sfenceVmaAsidReceived: 13,
} as const;

/** Firmware events there are, with those of the hypervisor extension, which do not happen. */
const FIRMWARE_EVENTS = 22;

/** Types of events: bits 19 to 16 of their index. */
const HARDWARE = 0, FIRMWARE = 15;
/** Codes of general hardware events. */
const CPU_CYCLES = 1, INSTRUCTIONS = 2;

const CYCLE = 0, INSTRET = 2, FIRST_FIRMWARE = 3, COUNTERS = FIRST_FIRMWARE + 16;

const CONFIGURE = { skipMatch: 1n, clearValue: 2n, autoStart: 4n } as const;
const START = { setValue: 1n, snapshot: 2n } as const;
const STOP = { reset: 1n, snapshot: 2n } as const;

/** CSR number, width less 1 and type, as counter_get_info tells them. */
const CYCLE_CSR = 0xc00, WIDTH_SHIFT = 12, WIDTH = 63;

/** A counter of firmware events. */
interface FirmwareCounter {
  started: boolean;
  /** What it had counted when it was started or stopped last. */
  value: bigint;
  /** How often the event had happened when it was started. */
  from: number;
}

/** The counters of one hart. */
interface HartCounters {
  /** How often each firmware event has happened. */
  readonly happened: number[];
  /** Index of the event that each counter counts; -1: it is free. */
  readonly events: number[];
  readonly firmware: readonly FirmwareCounter[];
}

const unused = (): HartCounters => ({
  happened: new Array(FIRMWARE_EVENTS).fill(0),
  events: new Array(COUNTERS).fill(-1),
  firmware: Array.from({ length: COUNTERS - FIRST_FIRMWARE }, () => ({ started: false, value: 0n, from: 0 })),
});

const exists = (counter: number) => counter < COUNTERS && (counter === CYCLE || counter >= INSTRET);

/** The counters of all harts. */
export class Pmu {
  #harts: HartCounters[];

  constructor(harts: number) {
    this.#harts = Array.from({ length: harts }, unused);
  }

  /** Counts a firmware event. */
  count(hart: Hart, event: number): void {
    this.#harts[hart.id]!.happened[event]!++;
  }

  /** The counters of a set; null if one of them does not exist. */
  counters(base: bigint, mask: bigint): number[] | null {
    const set: number[] = [];
    for (let bit = 0; mask >> BigInt(bit) !== 0n; bit++) {
      if ((mask >> BigInt(bit) & 1n) !== 0n) set.push(Number(base) + bit);
    }
    return set.every(exists) ? set : null;
  }

  /** Whether a counter can count an event. */
  #counts(counter: number, event: number): boolean {
    const type = event >> 16, code = event & 0xffff;
    if (type === HARDWARE) {
      return code === CPU_CYCLES && counter === CYCLE || code === INSTRUCTIONS && counter === INSTRET;
    }
    return type === FIRMWARE && code < FIRMWARE_EVENTS && counter >= FIRST_FIRMWARE;
  }

  /** Gives an event to a counter of a set; its number, or undefined if none is free that can count it. */
  configure(hart: Hart, set: readonly number[], event: number, flags: bigint): number | undefined {
    const { events } = this.#harts[hart.id]!;
    const skip = (flags & CONFIGURE.skipMatch) !== 0n;
    const counter = skip ? set[0] : set.find((k) => events[k]! < 0 && this.#counts(k, event));
    if (counter === undefined) return undefined;
    if (this.#counts(counter, event)) events[counter] = event;
    if ((flags & CONFIGURE.clearValue) !== 0n) this.#write(hart, counter, 0n);
    if ((flags & CONFIGURE.autoStart) !== 0n) this.#set(hart, counter, true);
    return counter;
  }

  /** Whether a counter counts. */
  #isStarted(hart: Hart, counter: number): boolean {
    if (counter >= FIRST_FIRMWARE) return this.#harts[hart.id]!.firmware[counter - FIRST_FIRMWARE]!.started;
    return (hart.csrs[2 * CSR.mcountinhibit]! >>> counter & 1) === 0;
  }

  #set(hart: Hart, counter: number, started: boolean): void {
    if (this.#isStarted(hart, counter) === started) return;
    if (counter < FIRST_FIRMWARE) {
      hart.writeCsr(CSR.mcountinhibit, BigInt(hart.csrs[2 * CSR.mcountinhibit]! ^ 1 << counter));
      return;
    }
    const state = this.#harts[hart.id]!.firmware[counter - FIRST_FIRMWARE]!;
    state.value = this.read(hart, counter)!;
    state.started = started;
    state.from = this.#happened(hart, counter);
  }

  #happened(hart: Hart, counter: number): number {
    const { events, happened } = this.#harts[hart.id]!;
    return events[counter]! < 0 ? 0 : happened[events[counter]! & 0xffff]!;
  }

  #write(hart: Hart, counter: number, value: bigint): void {
    if (counter < FIRST_FIRMWARE) {
      const hardware = counter === CYCLE ? hart.mcycle : hart.minstret;
      hardware.write(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
      return;
    }
    const state = this.#harts[hart.id]!.firmware[counter - FIRST_FIRMWARE]!;
    state.value = value;
    state.from = this.#happened(hart, counter);
  }

  /** Value of a counter of firmware events; undefined if it is none. */
  read(hart: Hart, counter: number): bigint | undefined {
    if (!exists(counter) || counter < FIRST_FIRMWARE) return undefined;
    const { started, value, from } = this.#harts[hart.id]!.firmware[counter - FIRST_FIRMWARE]!;
    return BigInt.asUintN(64, started ? value + BigInt(this.#happened(hart, counter) - from) : value);
  }

  /** Starts counters, at `value` if given; ALREADY_STARTED if one of them was. */
  start(hart: Hart, set: readonly number[], value: bigint | null): SbiAnswer {
    let answer = SUCCESS;
    for (const counter of set) {
      if (this.#isStarted(hart, counter)) {
        answer = failed("ALREADY_STARTED");
        continue;
      }
      if (value !== null) this.#write(hart, counter, value);
      this.#set(hart, counter, true);
    }
    return answer;
  }

  /** Stops counters, and frees them if wanted; ALREADY_STOPPED if one of them was. */
  stop(hart: Hart, set: readonly number[], reset: boolean): SbiAnswer {
    let answer = SUCCESS;
    for (const counter of set) {
      if (!this.#isStarted(hart, counter)) answer = failed("ALREADY_STOPPED");
      this.#set(hart, counter, false);
      if (reset) this.#harts[hart.id]!.events[counter] = -1;
    }
    return answer;
  }

  /** After a reset. */
  reset(): void {
    this.#harts = this.#harts.map(unused);
  }
  /** State for a snapshot. */
  snapshot(): unknown {
    return structuredClone(this.#harts);
  }
  /** Puts a snapshot back. */
  restore(state: unknown): void {
    this.#harts = structuredClone(state as HartCounters[]);
  }
}

/** Information about a counter: a CSR and its width, or that it is the firmware's. */
function information(counter: number, xlen: 32 | 64): bigint {
  if (counter >= FIRST_FIRMWARE) return 1n << BigInt(xlen - 1);
  return BigInt(CYCLE_CSR + counter | WIDTH << WIDTH_SHIFT);
}

/** Counters. */
export const PMU: SbiExtension = {
  id: idOf("\0PMU"),
  name: "PMU",
  functions: [
    { name: "num_counters", parameters: [], run: () => ({ error: 0, value: COUNTERS }) },
    {
      name: "counter_get_info",
      parameters: ["counter_idx"],
      run: ({ hart }, counter) =>
        exists(Number(counter))
          ? { error: 0, value: information(Number(counter), hart.xlen) }
          : failed("INVALID_PARAM"),
    },
    {
      name: "counter_config_matching",
      parameters: ["counter_idx_base", "counter_idx_mask", "config_flags", "event_idx", "event_data*"],
      run: ({ firmware, hart }, base, mask, flags, event) => {
        const set = firmware.pmu.counters(base, mask);
        if (set === null) return failed("INVALID_PARAM");
        const counter = firmware.pmu.configure(hart, set, Number(event), flags);
        return counter === undefined ? failed("NOT_SUPPORTED") : { error: 0, value: counter };
      },
    },
    {
      name: "counter_start",
      parameters: ["counter_idx_base", "counter_idx_mask", "start_flags", "initial_value*"],
      run: ({ firmware, hart }, base, mask, flags, value) => {
        const set = firmware.pmu.counters(base, mask);
        if (set === null) return failed("INVALID_PARAM");
        if ((flags & START.snapshot) !== 0n) return failed("NO_SHMEM");
        return firmware.pmu.start(hart, set, (flags & START.setValue) !== 0n ? value : null);
      },
    },
    {
      name: "counter_stop",
      parameters: ["counter_idx_base", "counter_idx_mask", "stop_flags"],
      run: ({ firmware, hart }, base, mask, flags) => {
        const set = firmware.pmu.counters(base, mask);
        if (set === null) return failed("INVALID_PARAM");
        if ((flags & STOP.snapshot) !== 0n) return failed("NO_SHMEM");
        return firmware.pmu.stop(hart, set, (flags & STOP.reset) !== 0n);
      },
    },
    {
      name: "counter_fw_read",
      parameters: ["counter_idx"],
      run: ({ firmware, hart }, counter) => {
        const value = firmware.pmu.read(hart, Number(counter));
        return value === undefined ? failed("INVALID_PARAM") : { error: 0, value };
      },
    },
    {
      name: "counter_fw_read_hi",
      parameters: ["counter_idx"],
      run: ({ firmware, hart }, counter) => {
        const value = firmware.pmu.read(hart, Number(counter));
        if (value === undefined) return failed("INVALID_PARAM");
        return { error: 0, value: hart.xlen === 32 ? value >> 32n : 0n };
      },
    },
    { name: "snapshot_set_shmem", parameters: [], run: () => failed("NOT_SUPPORTED") },
  ],
};
