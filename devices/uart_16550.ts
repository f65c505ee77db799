// The serial port of the `virt` board: an NS16550A. Registers and FIFOs after National Semiconductor's PC16550D
// datasheet (June 1995), chapter 8; where the datasheet leaves room, as QEMU 7.2's `serial_mm`.

import type { AccessRule, Alarm, Clock, Device, InterruptLine, Width } from "./device.ts";

/** Frequency of the baud generator's input clock in hertz; the device tree's `clock-frequency`. */
export const UART_INPUT_CLOCK_HZ = 3_686_400;

/** Characters that each FIFO holds (datasheet, general description). */
export const UART_FIFO_DEPTH = 16;

/** What a `Uart16550` is connected to. */
export interface Uart16550Options {
  /** Name for messages, e.g. `serial@10000000`. */
  readonly name: string;
  /** The INTR output. */
  readonly irq: InterruptLine;
  /** Virtual time, for the character time-out. */
  readonly clock: Clock;
  /** Takes each byte that leaves on SOUT. */
  readonly transmit: (byte: number) => void;
  /** Told when `receiverSpace()` is no longer 0. */
  readonly onReceiverReady?: () => void;
}

/** A modem input of the port (datasheet, 8.9): clear to send, data set ready, ring indicator, data carrier detect. */
export type ModemInput = "cts" | "dsr" | "ri" | "dcd";

// Register offsets (datasheet table II).
const RBR_THR_DLL = 0;
const IER_DLM = 1;
const IIR_FCR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;
const MSR = 6;
const SCR = 7;

const IER_RECEIVED_DATA = 0x01;
const IER_THR_EMPTY = 0x02;
const IER_LINE_STATUS = 0x04;
const IER_MODEM_STATUS = 0x08;
const IER_MASK = 0x0f;

// Interrupt identification, table IV, from the highest priority to the lowest.
const IIR_LINE_STATUS = 0x06;
const IIR_CHARACTER_TIMEOUT = 0x0c;
const IIR_RECEIVED_DATA = 0x04;
const IIR_THR_EMPTY = 0x02;
const IIR_MODEM_STATUS = 0x00;
const IIR_NONE = 0x01;
const IIR_FIFOS_ENABLED = 0xc0;

const FCR_ENABLE = 0x01;
const FCR_RECEIVER_RESET = 0x02;
const FCR_TRANSMITTER_RESET = 0x04;
const TRIGGER_LEVELS = [1, 4, 8, 14];

const LCR_WORD_LENGTH = 0x03;
const LCR_STOP_BITS = 0x04;
const LCR_PARITY = 0x08;
const LCR_DLAB = 0x80;

const MCR_DTR = 0x01;
const MCR_RTS = 0x02;
const MCR_OUT1 = 0x04;
const MCR_OUT2 = 0x08;
const MCR_LOOP = 0x10;
const MCR_MASK = 0x1f;

const LSR_DATA_READY = 0x01;
const LSR_OVERRUN = 0x02;
const LSR_BREAK = 0x10;
const LSR_THR_EMPTY = 0x20;
const LSR_TRANSMITTER_EMPTY = 0x40;
const LSR_FIFO_ERROR = 0x80;

const MSR_CTS = 0x10;
const MSR_DSR = 0x20;
const MSR_RI = 0x40;
const MSR_DCD = 0x80;
const MSR_DELTA_SHIFT = 4;
const MODEM_INPUT_BITS: Readonly<Record<ModemInput, number>> = { cts: MSR_CTS, dsr: MSR_DSR, ri: MSR_RI, dcd: MSR_DCD };

/** Marks a received character as a break; above the eight data bits. */
const CHARACTER_IS_BREAK = 0x100;

/** All state, in one object so that `snapshot` cannot forget a field. */
interface State {
  /** Divisor latch, 16 bits. */
  divisor: number;
  ier: number;
  lcr: number;
  mcr: number;
  scr: number;
  /** FCR bit 0. */
  fifosEnabled: boolean;
  /** Characters in the receiver FIFO at which it interrupts. */
  trigger: number;
  /** Received characters, oldest first: up to 16 in FIFO mode, one otherwise. */
  received: number[];
  /** What RBR holds in 16450 mode; still read there after its character was taken. */
  rbr: number;
  /** LSR bits that stay until LSR is read: overrun, and break in 16450 mode, where no FIFO carries it. */
  lineErrors: number;
  /** A character time-out was reached and RBR has not been read since. */
  timeoutPending: boolean;
  /** When the character time-out expires, nanoseconds; undefined where it does not run. */
  timeoutAt: number | undefined;
  /** THR became empty and neither an IIR read nor a THR write has acknowledged it. */
  thrEmptyPending: boolean;
  /** Levels on the modem inputs as MSR bits 4 to 7. */
  inputs: number;
  /** Levels that the modem status logic sees: `inputs`, or in loopback the modem outputs. */
  lines: number;
  /** MSR bits 0 to 3. */
  deltas: number;
}

/** Reset values: datasheet, table I, except divisor, OUT2 and modem inputs, which are QEMU's. */
function powerOn(): State {
  return {
    divisor: 12,
    ier: 0,
    lcr: 0,
    mcr: MCR_OUT2,
    scr: 0,
    fifosEnabled: false,
    trigger: TRIGGER_LEVELS[0],
    received: [],
    rbr: 0,
    lineErrors: 0,
    timeoutPending: false,
    timeoutAt: undefined,
    thrEmptyPending: false,
    inputs: MSR_DCD | MSR_DSR | MSR_CTS,
    lines: MSR_DCD | MSR_DSR | MSR_CTS,
    deltas: 0,
  };
}

/**
 * An NS16550A (PC16550D datasheet, chapter 8). Every access, whatever its width, reaches the one register at its
 * offset. A transmitted character leaves at once, so LSR always shows the transmitter empty. Characters keep eight bits
 * whatever word length LCR sets, as there is no wire that could shorten them.
 */
export class Uart16550 implements Device {
  /** Name for messages. */
  readonly name: string;
  /** Eight byte-wide registers, no spacing between them. */
  readonly size = 8;
  /** Any width; a doubleword reaches the register at its offset and no second one. */
  readonly access: AccessRule = { min: 1, max: 8, doubleword: "low" };

  readonly #irq: InterruptLine;
  readonly #clock: Clock;
  readonly #timeout: Alarm;
  readonly #transmit: (byte: number) => void;
  readonly #onReceiverReady: (() => void) | undefined;
  #state: State = powerOn();
  #receiverWasFull = false;

  /** Connects the port and puts it into its reset state. */
  constructor(options: Uart16550Options) {
    this.name = options.name;
    this.#irq = options.irq;
    this.#clock = options.clock;
    this.#transmit = options.transmit;
    this.#onReceiverReady = options.onReceiverReady;
    this.#timeout = options.clock.alarm(() => {
      this.#state.timeoutAt = undefined;
      this.#state.timeoutPending = true;
      this.#update();
    });
    this.reset();
  }

  /** Reads the register at `offset`, with the side effects that the datasheet gives it. */
  read(offset: number, _width: Width): number {
    const state = this.#state;
    switch (offset) {
      case RBR_THR_DLL:
        return state.lcr & LCR_DLAB ? state.divisor & 0xff : this.#readReceiverBuffer();
      case IER_DLM:
        return state.lcr & LCR_DLAB ? state.divisor >> 8 : state.ier;
      case IIR_FCR:
        return this.#readInterruptIdentification();
      case LCR:
        return state.lcr;
      case MCR:
        return state.mcr;
      case LSR:
        return this.#readLineStatus();
      case MSR: {
        const value = state.lines | state.deltas;
        state.deltas = 0;
        this.#update();
        return value;
      }
      case SCR:
        return state.scr;
      default:
        return 0;
    }
  }

  /** Writes the low byte of `value` to the register at `offset`. LSR and MSR are read only (8.4, 8.9). */
  write(offset: number, _width: Width, value: number): void {
    const state = this.#state;
    const byte = value & 0xff;
    switch (offset) {
      case RBR_THR_DLL:
        if (state.lcr & LCR_DLAB) state.divisor = (state.divisor & 0xff00) | byte;
        else this.#send(byte);
        break;
      case IER_DLM:
        if (state.lcr & LCR_DLAB) state.divisor = (state.divisor & 0x00ff) | (byte << 8);
        else this.#writeInterruptEnable(byte);
        break;
      case IIR_FCR:
        this.#writeFifoControl(byte);
        break;
      case LCR:
        state.lcr = byte;
        break;
      case MCR:
        state.mcr = byte & MCR_MASK;
        this.#updateModemLines();
        this.#update();
        break;
      case SCR:
        state.scr = byte;
        break;
    }
  }

  /** A character arrives on SIN. In loopback SIN is disconnected and the character is lost (8.8, bit 4). */
  receive(byte: number): void {
    if (this.#state.mcr & MCR_LOOP) return;
    this.#accept(byte & 0xff);
    this.#update();
  }

  /** A break arrives on SIN: one zero character with LSR's break indicator (8.4, bit 4). Lost in loopback. */
  receiveBreak(): void {
    if (this.#state.mcr & MCR_LOOP) return;
    this.#accept(CHARACTER_IS_BREAK);
    this.#update();
  }

  /** How many characters `receive` can take now without an overrun; 0 in loopback. */
  receiverSpace(): number {
    if (this.#state.mcr & MCR_LOOP) return 0;
    return (this.#state.fifosEnabled ? UART_FIFO_DEPTH : 1) - this.#state.received.length;
  }

  /** Drives a modem input; `asserted` is what MSR shows as 1 (the pin itself is active low, 8.9). */
  setModemInput(input: ModemInput, asserted: boolean): void {
    const bit = MODEM_INPUT_BITS[input];
    this.#state.inputs = asserted ? this.#state.inputs | bit : this.#state.inputs & ~bit;
    this.#updateModemLines();
    this.#update();
  }

  /** Back to the reset values. */
  reset(): void {
    this.#state = powerOn();
    this.#timeout.cancel();
    this.#update();
  }

  /** All registers, the receiver FIFO and the running character time-out. */
  snapshot(): unknown {
    return { ...this.#state, received: [...this.#state.received] };
  }

  /** Puts back what `snapshot` gave and drives the interrupt line accordingly. */
  restore(state: unknown): void {
    const saved = state as State;
    this.#state = { ...saved, received: [...saved.received] };
    if (saved.timeoutAt === undefined) this.#timeout.cancel();
    else this.#timeout.set(saved.timeoutAt);
    // The back end is restored to the same moment, so it must not be told of a change that this is not.
    this.#receiverWasFull = this.receiverSpace() === 0;
    this.#update();
  }

  #send(byte: number): void {
    // THR empties in the same instant, so the interrupt that the write acknowledged is pending again at once.
    this.#state.thrEmptyPending = true;
    if (this.#state.mcr & MCR_LOOP) this.#accept(byte);
    else this.#transmit(byte);
    this.#update();
  }

  #readReceiverBuffer(): number {
    const state = this.#state;
    const character = state.received.shift();
    const value = state.fifosEnabled ? (character ?? 0) & 0xff : state.rbr;
    state.timeoutPending = false;
    this.#restartTimeout();
    this.#update();
    return value;
  }

  #readInterruptIdentification(): number {
    const state = this.#state;
    const identification = this.#identifyInterrupt();
    const value = identification | (state.fifosEnabled ? IIR_FIFOS_ENABLED : 0);
    // Reading IIR acknowledges the THR empty interrupt, but only where IIR shows it as the source (table IV).
    if (identification === IIR_THR_EMPTY) {
      state.thrEmptyPending = false;
      this.#update();
    }
    return value;
  }

  #readLineStatus(): number {
    const state = this.#state;
    const { received } = state;
    const errors = this.#lineErrors();
    let value = LSR_THR_EMPTY | LSR_TRANSMITTER_EMPTY | errors;
    if (received.length > 0) value |= LSR_DATA_READY;
    if (received.some((character) => character & CHARACTER_IS_BREAK)) value |= LSR_FIFO_ERROR;
    if (errors !== 0) {
      state.lineErrors = 0;
      if (received.length > 0) received[0] &= ~CHARACTER_IS_BREAK;
      this.#update();
    }
    return value;
  }

  #writeInterruptEnable(value: number): void {
    const state = this.#state;
    const ier = value & IER_MASK;
    // THR is always empty here, so enabling the interrupt raises it, also after an IIR read acknowledged it: the
    // datasheet is silent, real ports do it and drivers rely on it. Only the bit's rise counts, as in QEMU.
    if (ier & ~state.ier & IER_THR_EMPTY) state.thrEmptyPending = true;
    state.ier = ier;
    this.#update();
  }

  #writeFifoControl(value: number): void {
    const state = this.#state;
    const enable = (value & FCR_ENABLE) !== 0;
    const changed = enable !== state.fifosEnabled;
    // Bit 0 must be 1 where other bits are written or they are not programmed; its change clears both FIFOs.
    if (!enable && !changed) return;
    if (changed || value & FCR_RECEIVER_RESET) {
      state.received = [];
      state.timeoutPending = false;
      this.#restartTimeout();
    }
    // The first transmitter interrupt after a change of bit 0 is immediate (8.11); clearing the FIFO does it in QEMU.
    if (changed || value & FCR_TRANSMITTER_RESET) state.thrEmptyPending = true;
    state.fifosEnabled = enable;
    if (enable) state.trigger = TRIGGER_LEVELS[value >> 6];
    this.#update();
  }

  /** Puts a character into the receiver, from SIN or the looped-back transmitter. */
  #accept(character: number): void {
    const state = this.#state;
    if (state.fifosEnabled) {
      // A full FIFO keeps its contents; the character in the shift register is the one that is lost (8.4, bit 1).
      if (state.received.length < UART_FIFO_DEPTH) state.received.push(character);
      else state.lineErrors |= LSR_OVERRUN;
      this.#restartTimeout();
    } else {
      // Without FIFOs the new character overwrites the one in RBR (8.4, bit 1).
      if (state.received.length > 0) state.lineErrors |= LSR_OVERRUN;
      if (character & CHARACTER_IS_BREAK) state.lineErrors |= LSR_BREAK;
      state.rbr = character & 0xff;
      state.received = [state.rbr];
    }
  }

  /** Time-out of four characters without arrival or RBR read while the FIFO holds some (8.11). */
  #restartTimeout(): void {
    const state = this.#state;
    if (state.fifosEnabled && state.received.length > 0) {
      state.timeoutAt = this.#clock.now() + Math.ceil(4 * this.#characterNanoseconds());
      this.#timeout.set(state.timeoutAt);
    } else if (state.timeoutAt !== undefined) {
      state.timeoutAt = undefined;
      this.#timeout.cancel();
    }
  }

  /** Duration of one character on the wire: start, data, parity and stop bits, sixteen clocks of the divisor each. */
  #characterNanoseconds(): number {
    const { lcr, divisor } = this.#state;
    const dataBits = 5 + (lcr & LCR_WORD_LENGTH);
    const stopBits = lcr & LCR_STOP_BITS ? (dataBits === 5 ? 1.5 : 2) : 1;
    const bits = 1 + dataBits + (lcr & LCR_PARITY ? 1 : 0) + stopBits;
    // A divisor of zero is "not recommended" (8.3); it counts as 1 so that characters still time out.
    return (bits * 16 * Math.max(1, divisor) * 1e9) / UART_INPUT_CLOCK_HZ;
  }

  #updateModemLines(): void {
    const state = this.#state;
    const lines = state.mcr & MCR_LOOP ? loopedBack(state.mcr) : state.inputs;
    const changed = (lines ^ state.lines) & ~MSR_RI;
    // The ring indicator has a trailing edge detector, the others note any change (8.9).
    const trailingEdge = state.lines & ~lines & MSR_RI;
    state.deltas |= (changed | trailingEdge) >> MSR_DELTA_SHIFT;
    state.lines = lines;
  }

  /** LSR's error bits: in FIFO mode a break shows while its character is the oldest in the FIFO (8.4, bit 4). */
  #lineErrors(): number {
    const { received, lineErrors } = this.#state;
    return received[0] & CHARACTER_IS_BREAK ? lineErrors | LSR_BREAK : lineErrors;
  }

  /** The enabled pending interrupt of highest priority, as IIR bits 0 to 3 (table IV). */
  #identifyInterrupt(): number {
    const { ier, received, fifosEnabled, trigger, timeoutPending, thrEmptyPending, deltas } = this.#state;
    if (ier & IER_LINE_STATUS && this.#lineErrors() !== 0) return IIR_LINE_STATUS;
    if (ier & IER_RECEIVED_DATA) {
      if (timeoutPending) return IIR_CHARACTER_TIMEOUT;
      if (received.length >= (fifosEnabled ? trigger : 1)) return IIR_RECEIVED_DATA;
    }
    if (ier & IER_THR_EMPTY && thrEmptyPending) return IIR_THR_EMPTY;
    if (ier & IER_MODEM_STATUS && deltas !== 0) return IIR_MODEM_STATUS;
    return IIR_NONE;
  }

  /** Drives INTR, then tells the back end of new room: last, as it may call `receive` from there. */
  #update(): void {
    this.#irq.set(this.#identifyInterrupt() !== IIR_NONE);
    const full = this.receiverSpace() === 0;
    const wasFull = this.#receiverWasFull;
    this.#receiverWasFull = full;
    if (wasFull && !full) this.#onReceiverReady?.();
  }
}

/** Modem inputs in loopback: RTS drives CTS, DTR drives DSR, OUT1 drives RI and OUT2 drives DCD (8.8, bit 4). */
function loopedBack(mcr: number): number {
  return (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) | (mcr & MCR_OUT1 ? MSR_RI : 0) |
    (mcr & MCR_OUT2 ? MSR_DCD : 0);
}
