// The real-time clock of the `virt` board: Goldfish RTC. Registers of the Android emulator's "Goldfish Virtual Hardware", chapter
// "Goldfish timer"; where that leaves room, as QEMU 7.2's `goldfish_rtc`.

import type { AccessRule, Alarm, Clock, Device, InterruptLine, Width } from "./device.ts";

/** What a `GoldfishRtc` is connected to. */
export interface GoldfishRtcOptions {
  /** Name for messages, e.g. `rtc@101000`. */
  readonly name: string;
  /** Interrupt of the alarm. */
  readonly irq: InterruptLine;
  /** Virtual time. */
  readonly clock: Clock;
  /** What time it is when virtual time is 0, in nanoseconds since 1970-01-01 UTC. */
  readonly base: bigint;
}

const TIME_LOW = 0x00, TIME_HIGH = 0x04, ALARM_LOW = 0x08, ALARM_HIGH = 0x0c, IRQ_ENABLED = 0x10, CLEAR_ALARM = 0x14;
const ALARM_STATUS = 0x18, CLEAR_INTERRUPT = 0x1c;

interface State {
  /** Nanoseconds since 1970 when virtual time is 0: the base, and what the guest has changed. */
  offset: bigint;
  /** Upper half of the time when its lower half was read. */
  timeHigh: number;
  /** Moment of the alarm, nanoseconds since 1970. */
  alarm: bigint;
  running: boolean;
  pending: boolean;
  enabled: boolean;
}

/** `value` with its lower or upper 32 bits replaced, as an unsigned 64-bit number. */
function deposit(value: bigint, high: boolean, half: number): bigint {
  const unsigned = BigInt.asUintN(64, value);
  return high ? BigInt(half) << 32n | unsigned & 0xffff_ffffn : unsigned >> 32n << 32n | BigInt(half);
}

/** The clock: nanoseconds since 1970, and one alarm. */
export class GoldfishRtc implements Device {
  /** Name for messages. */
  readonly name: string;
  /** Length of the register block, as in QEMU; the device tree says 0x1000. */
  readonly size = 0x24;
  /** Words only. */
  readonly access: AccessRule = { min: 4, max: 4 };
  readonly #irq: InterruptLine;
  readonly #clock: Clock;
  readonly #base: bigint;
  readonly #alarm: Alarm;
  #state: State;

  /** Connects the clock; it shows `base` plus virtual time. */
  constructor(options: GoldfishRtcOptions) {
    this.name = options.name;
    this.#irq = options.irq;
    this.#clock = options.clock;
    this.#base = options.base;
    this.#alarm = options.clock.alarm(() => this.#ring());
    this.#state = this.#powerOn();
  }

  #powerOn(): State {
    return { offset: this.#base, timeHigh: 0, alarm: 0n, running: false, pending: false, enabled: false };
  }

  /** Nanoseconds since 1970. */
  #now(): bigint {
    return BigInt.asUintN(64, this.#state.offset + BigInt(Math.floor(this.#clock.now())));
  }

  #update(): void {
    this.#irq.set(this.#state.pending && this.#state.enabled);
  }

  #ring(): void {
    this.#state.running = false;
    this.#state.pending = true;
    this.#update();
  }

  /** Rings now if the alarm's moment has passed, else later. */
  #arm(): void {
    const left = this.#state.alarm - this.#now();
    this.#alarm.cancel();
    if (left <= 0n) return this.#ring();
    this.#state.running = true;
    // A moment that virtual time cannot count to does not come.
    const moment = Math.floor(this.#clock.now()) + Number(left);
    if (moment <= Number.MAX_SAFE_INTEGER) this.#alarm.set(moment);
  }

  /** Reads a register; reading the time's lower half keeps its upper half for the next read of that. */
  read(offset: number, _width: Width): number {
    const state = this.#state;
    switch (offset) {
      case TIME_LOW: {
        const now = this.#now();
        state.timeHigh = Number(now >> 32n);
        return Number(now & 0xffff_ffffn);
      }
      case TIME_HIGH:
        return state.timeHigh;
      case ALARM_LOW:
        return Number(state.alarm & 0xffff_ffffn);
      case ALARM_HIGH:
        return Number(state.alarm >> 32n);
      case IRQ_ENABLED:
        return state.enabled ? 1 : 0;
      case ALARM_STATUS:
        return state.running ? 1 : 0;
      default:
        return 0;
    }
  }

  /** Writes a register; writing the alarm's lower half arms it. */
  write(offset: number, _width: Width, value: number): void {
    const state = this.#state;
    switch (offset) {
      case TIME_LOW:
      case TIME_HIGH: {
        const now = this.#now();
        state.offset += deposit(now, offset === TIME_HIGH, value) - now;
        break;
      }
      case ALARM_LOW:
        state.alarm = deposit(state.alarm, false, value);
        this.#arm();
        break;
      case ALARM_HIGH:
        state.alarm = deposit(state.alarm, true, value);
        break;
      case IRQ_ENABLED:
        state.enabled = (value & 1) !== 0;
        this.#update();
        break;
      case CLEAR_ALARM:
        this.#alarm.cancel();
        state.running = false;
        break;
      case CLEAR_INTERRUPT:
        state.pending = false;
        this.#update();
        break;
    }
  }

  /** Back to the base, without alarm. */
  reset(): void {
    this.#alarm.cancel();
    this.#state = this.#powerOn();
    this.#update();
  }

  /** Time and alarm. */
  snapshot(): unknown {
    return { ...this.#state };
  }

  /** Puts back what `snapshot` gave. */
  restore(saved: unknown): void {
    this.#state = { ...saved as State };
    this.#alarm.cancel();
    if (this.#state.running) this.#arm();
    this.#update();
  }
}
