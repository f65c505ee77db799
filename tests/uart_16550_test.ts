// The NS16550A, rule by rule of the PC16550D datasheet (section numbers in the names), and where that is silent as QEMU.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Uart16550 } from "../devices/uart_16550.ts";
import { FakeClock, FakeLine } from "./device_fakes.ts";

const RBR = 0, THR = 0, DLL = 0, IER = 1, DLM = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7;
const DLAB = 0x80;
const LOOP = 0x10;

class Port {
  readonly clock = new FakeClock();
  readonly irq = new FakeLine();
  readonly sent: number[] = [];
  ready = 0;
  onReady: () => void = () => {};
  readonly uart = new Uart16550({
    name: "serial@10000000",
    irq: this.irq,
    clock: this.clock,
    transmit: (byte) => this.sent.push(byte),
    onReceiverReady: () => {
      this.ready++;
      this.onReady();
    },
  });

  read(register: number): number {
    return this.uart.read(register, 1);
  }

  write(register: number, value: number): void {
    this.uart.write(register, 1, value);
  }

  receive(...bytes: number[]): void {
    bytes.forEach((byte) => this.uart.receive(byte));
  }

  /** Interrupt identification without the FIFO bits, and the line, which must agree. */
  pending(): number {
    const level = this.irq.level;
    const identification = this.read(IIR) & 0x3f;
    assert.equal(level, (identification & 1) === 0, "INTR agrees with IIR bit 0");
    return identification;
  }
}

const NONE = 0x01, LINE_STATUS = 0x06, RECEIVED = 0x04, TIMEOUT = 0x0c, THR_EMPTY = 0x02, MODEM = 0x00;

/** The rate of 8.11's example: 300 baud at 3.6864 MHz. */
function set300Baud(port: Port, lcr: number): void {
  port.write(LCR, lcr | DLAB);
  port.write(DLL, 768 & 0xff);
  port.write(DLM, 768 >> 8);
  port.write(LCR, lcr);
}

// --- Registers -----------------------------------------------------------------------------------------------------

test("table I, reset values; MCR OUT2, DCD, DSR, CTS and divisor 12 as QEMU's serial_mm", () => {
  const port = new Port();
  assert.deepEqual([IER, IIR, LCR, MCR, LSR, MSR, SCR].map((register) => port.read(register)), [
    0x00,
    0x01,
    0x00,
    0x08,
    0x60,
    0xb0,
    0x00,
  ]);
  port.write(LCR, DLAB);
  assert.deepEqual([port.read(DLL), port.read(DLM)], [12, 0]);
  assert.equal(port.irq.level, false);
});

test("eight byte-wide registers answer every width, a doubleword as one register, as QEMU's serial_mm", () => {
  const { uart } = new Port();
  assert.equal(uart.size, 8);
  assert.deepEqual(uart.access, { min: 1, max: 8, doubleword: "low" });
  uart.write(SCR, 1, 0x5a);
  uart.write(MCR, 4, 0xffffff0b);
  assert.equal(uart.read(MCR, 4), 0x0b);
  assert.equal(uart.read(MCR, 2), 0x0b);
  assert.equal(uart.read(SCR, 1), 0x5a);
});

test("8.1 LCR keeps all eight bits and bit 7 switches offsets 0 and 1 to the divisor latch", () => {
  const port = new Port();
  for (const value of [0x00, 0x55, 0xaa, 0xff]) {
    port.write(LCR, value);
    assert.equal(port.read(LCR), value);
  }
  port.write(LCR, DLAB);
  port.write(DLL, 0x34);
  port.write(DLM, 0x12);
  assert.deepEqual([port.read(DLL), port.read(DLM)], [0x34, 0x12]);
  assert.deepEqual(port.sent, []);
  port.write(LCR, 0x03);
  assert.deepEqual([port.read(RBR), port.read(IER)], [0, 0]);
  port.write(IER, 0x05);
  port.write(LCR, DLAB);
  assert.deepEqual([port.read(DLL), port.read(DLM)], [0x34, 0x12]);
});

test("8.7 IER keeps bits 0 to 3, bits 4 to 7 are always 0", () => {
  const port = new Port();
  for (let value = 0; value < 16; value++) {
    port.write(IER, value | 0xf0);
    assert.equal(port.read(IER), value);
  }
});

test("8.8 MCR keeps bits 0 to 4 in and out of loopback, bits 5 to 7 are always 0", () => {
  const port = new Port();
  for (let value = 0; value < 32; value++) {
    port.write(MCR, value | 0xe0);
    assert.equal(port.read(MCR), value);
  }
});

test("8.10 the scratchpad holds eight bits and controls nothing", () => {
  const port = new Port();
  for (const value of [0x00, 0xa5, 0x5a, 0xff]) {
    port.write(SCR, value);
    assert.equal(port.read(SCR), value);
  }
  assert.equal(port.pending(), NONE);
});

test("8.4, 8.9 writes to LSR and MSR change nothing", () => {
  const port = new Port();
  port.write(IER, 0x0d);
  port.write(LSR, 0xff);
  port.write(MSR, 0xff);
  assert.equal(port.pending(), NONE);
  assert.deepEqual([port.read(LSR), port.read(MSR)], [0x60, 0xb0]);
});

// --- Transmitter ---------------------------------------------------------------------------------------------------

test("a byte written to THR is transmitted at once and the transmitter is empty again (8.4, bits 5 and 6)", () => {
  const port = new Port();
  for (const byte of [0x48, 0x00, 0xff]) {
    port.write(THR, byte);
    assert.equal(port.read(LSR), 0x60);
  }
  port.write(FCR, 1);
  for (let byte = 0; byte < 20; byte++) port.write(THR, byte);
  assert.deepEqual(port.sent, [0x48, 0x00, 0xff, ...Array.from({ length: 20 }, (_, byte) => byte)]);
});

test("8.7 bit 1: enabling the THR empty interrupt raises it, as THR is empty", () => {
  const port = new Port();
  port.write(IER, 0x02);
  assert.equal(port.irq.level, true);
  assert.equal(port.pending(), THR_EMPTY);
});

test("table IV: reading IIR where it shows THR empty clears that interrupt", () => {
  const port = new Port();
  port.write(IER, 0x02);
  assert.equal(port.read(IIR), 0x02);
  assert.equal(port.irq.level, false);
  assert.equal(port.read(IIR), 0x01);
});

test("table IV: reading IIR does not clear THR empty while it shows another source", () => {
  const port = new Port();
  port.write(IER, 0x03);
  port.receive(0x41);
  assert.equal(port.pending(), RECEIVED);
  assert.equal(port.pending(), RECEIVED);
  port.read(RBR);
  assert.equal(port.pending(), THR_EMPTY);
  assert.equal(port.pending(), NONE);
});

test("table IV: writing THR re-arms the THR empty interrupt", () => {
  const port = new Port();
  port.write(IER, 0x02);
  port.read(IIR);
  port.write(THR, 0x41);
  assert.equal(port.pending(), THR_EMPTY);
});

test("IER bit 1 off and on again raises THR empty; writing it again as it is does not (as QEMU)", () => {
  const port = new Port();
  port.write(IER, 0x02);
  port.read(IIR);
  port.write(IER, 0x02);
  assert.equal(port.pending(), NONE);
  port.write(IER, 0x03);
  assert.equal(port.pending(), NONE);
  port.write(IER, 0x01);
  port.write(IER, 0x03);
  assert.equal(port.pending(), THR_EMPTY);
});

test("a masked THR empty interrupt neither shows in IIR nor drives INTR (8.7)", () => {
  const port = new Port();
  port.write(THR, 0x41);
  assert.equal(port.pending(), NONE);
});

test("8.11: the first transmitter interrupt after changing FCR bit 0 is immediate", () => {
  for (const steps of [[1], [1, 0]]) {
    const port = new Port();
    port.write(IER, 0x02);
    for (const fcr of steps) {
      assert.equal(port.pending(), THR_EMPTY);
      assert.equal(port.pending(), NONE);
      port.write(FCR, fcr);
    }
    assert.equal(port.pending(), THR_EMPTY);
  }
});

// --- Receiver without FIFOs ----------------------------------------------------------------------------------------

test("8.4 bit 0: a received character sets data ready until RBR is read", () => {
  const port = new Port();
  port.receive(0xc3);
  assert.equal(port.read(LSR), 0x61);
  assert.equal(port.read(RBR), 0xc3);
  assert.equal(port.read(LSR), 0x60);
  assert.equal(port.read(RBR), 0xc3, "RBR holds its character");
});

test("table IV: received data interrupts until RBR is read", () => {
  const port = new Port();
  port.receive(0x41);
  assert.equal(port.pending(), NONE);
  port.write(IER, 0x01);
  assert.equal(port.pending(), RECEIVED);
  port.read(RBR);
  assert.equal(port.pending(), NONE);
});

test("8.4 bit 1: without FIFOs an overrun destroys the previous character and reading LSR resets it", () => {
  const port = new Port();
  port.write(IER, 0x04);
  port.receive(0x41, 0x42);
  assert.equal(port.pending(), LINE_STATUS);
  assert.equal(port.read(LSR), 0x63);
  assert.equal(port.pending(), NONE);
  assert.equal(port.read(LSR), 0x61);
  assert.equal(port.read(RBR), 0x42);
});

test("8.4 bit 4: without FIFOs a break sets BI until LSR is read, with a zero character", () => {
  const port = new Port();
  port.write(IER, 0x04);
  port.uart.receiveBreak();
  assert.equal(port.pending(), LINE_STATUS);
  assert.equal(port.read(RBR), 0);
  assert.equal(port.pending(), LINE_STATUS);
  assert.equal(port.read(LSR), 0x70);
  assert.equal(port.read(LSR), 0x60);
  assert.equal(port.pending(), NONE);
});

test("without FIFOs characters never time out", () => {
  const port = new Port();
  port.write(IER, 0x01);
  port.receive(0x41);
  assert.deepEqual(port.clock.armed(), []);
});

// --- Receiver with FIFOs -------------------------------------------------------------------------------------------

test("8.6 bits 6 and 7 of IIR are set while FCR bit 0 is", () => {
  const port = new Port();
  port.write(FCR, 0x01);
  assert.equal(port.read(IIR), 0xc1);
  port.write(FCR, 0x00);
  assert.equal(port.read(IIR), 0x01);
});

test("the receiver FIFO holds sixteen characters in order and reads zero when empty", () => {
  const port = new Port();
  port.write(FCR, 0x01);
  const bytes = Array.from({ length: 16 }, (_, index) => 0x60 + index);
  port.receive(...bytes);
  assert.equal(port.read(LSR), 0x61);
  assert.deepEqual(bytes.map(() => port.read(RBR)), bytes);
  assert.equal(port.read(LSR), 0x60);
  assert.equal(port.read(RBR), 0);
});

test("8.4 bit 1: the seventeenth character is lost and sets OE at once, the FIFO keeps its contents", () => {
  const port = new Port();
  port.write(FCR, 0x01);
  port.write(IER, 0x04);
  const bytes = Array.from({ length: 16 }, (_, index) => index);
  port.receive(...bytes);
  assert.equal(port.pending(), NONE);
  port.receive(0xee);
  assert.equal(port.pending(), LINE_STATUS);
  assert.equal(port.read(LSR), 0x63);
  assert.equal(port.read(LSR), 0x61);
  assert.deepEqual(bytes.map(() => port.read(RBR)), bytes);
});

for (const [bits, level] of [[0x00, 1], [0x40, 4], [0x80, 8], [0xc0, 14]]) {
  test(`8.5, 8.11: trigger level ${level} interrupts at ${level} characters and clears below that`, () => {
    const port = new Port();
    port.write(FCR, 0x01 | bits);
    port.write(IER, 0x01);
    for (let count = 1; count <= 16; count++) {
      port.receive(count);
      assert.equal(port.pending(), count >= level ? RECEIVED : NONE, `${count} characters`);
    }
    for (let count = 15; count >= 0; count--) {
      port.read(RBR);
      assert.equal(port.pending(), count >= level ? RECEIVED : NONE, `${count} characters left`);
    }
  });
}

test("8.5: a change of the trigger level takes effect at once and keeps the FIFO", () => {
  const port = new Port();
  port.write(FCR, 0xc1);
  port.write(IER, 0x01);
  port.receive(1, 2, 3, 4);
  assert.equal(port.pending(), NONE);
  port.write(FCR, 0x41);
  assert.equal(port.pending(), RECEIVED);
  assert.equal(port.read(RBR), 1);
});

test("8.5 bit 1 clears the receiver FIFO, its interrupt and its time-out; the bit clears itself", () => {
  const port = new Port();
  port.write(FCR, 0x01);
  port.write(IER, 0x01);
  port.receive(1, 2, 3);
  port.write(FCR, 0x03);
  assert.equal(port.pending(), NONE);
  assert.equal(port.read(LSR), 0x60);
  assert.deepEqual(port.clock.armed(), []);
  port.receive(4);
  assert.equal(port.read(RBR), 4);
});

test("8.5 bit 1 also clears a time-out that is already pending", () => {
  const port = new Port();
  port.write(FCR, 0xc1);
  port.write(IER, 0x01);
  port.receive(1);
  port.clock.advance(1e9);
  assert.equal(port.pending(), TIMEOUT);
  port.write(FCR, 0xc3);
  assert.equal(port.pending(), NONE);
});

test("8.5 bit 2 clears the transmitter FIFO only", () => {
  const port = new Port();
  port.write(FCR, 0x01);
  port.receive(1);
  port.write(FCR, 0x05);
  assert.equal(port.read(LSR), 0x61);
});

test("8.5 bit 0: changing it either way clears the receiver, with no reset bits", () => {
  const port = new Port();
  port.receive(1);
  port.write(FCR, 0x01);
  assert.equal(port.read(LSR), 0x60);
  port.receive(2, 3);
  port.write(FCR, 0x00);
  assert.equal(port.read(LSR), 0x60);
  assert.deepEqual(port.clock.armed(), []);
});

test("8.5 bit 0: other bits written without it are not programmed", () => {
  const port = new Port();
  port.write(IER, 0x03);
  port.read(IIR);
  port.receive(0x41);
  port.write(FCR, 0xc6);
  assert.equal(port.pending(), RECEIVED);
  assert.equal(port.read(RBR), 0x41);
  assert.equal(port.pending(), NONE);
  port.write(FCR, 0x01);
  port.receive(0x42);
  assert.equal(port.pending(), RECEIVED, "the trigger level is still 1");
});

test("8.4 bit 4: in the FIFO a break belongs to its zero character and shows when that is the oldest", () => {
  const port = new Port();
  port.write(FCR, 0x01);
  port.write(IER, 0x04);
  port.receive(0x41);
  port.uart.receiveBreak();
  port.receive(0x42);
  assert.equal(port.pending(), NONE);
  assert.equal(port.read(LSR), 0xe1, "bit 7: an error somewhere in the FIFO");
  assert.equal(port.read(RBR), 0x41);
  assert.equal(port.pending(), LINE_STATUS);
  assert.equal(port.read(LSR), 0xf1);
  assert.equal(port.read(LSR), 0x61, "reading LSR reset both");
  assert.equal(port.pending(), NONE);
  assert.equal(port.read(RBR), 0);
  assert.equal(port.read(RBR), 0x42);
});

test("8.4 bit 7 stays set by LSR reads while errors follow in the FIFO", () => {
  const port = new Port();
  port.write(FCR, 0x01);
  port.uart.receiveBreak();
  port.uart.receiveBreak();
  assert.equal(port.read(LSR), 0xf1);
  assert.equal(port.read(LSR), 0xe1);
  port.read(RBR);
  assert.equal(port.read(LSR), 0xf1);
  assert.equal(port.read(LSR), 0x61);
});

test("8.4: a break for a full FIFO is an overrun", () => {
  const port = new Port();
  port.write(FCR, 0x01);
  for (let count = 0; count < 16; count++) port.receive(count);
  port.uart.receiveBreak();
  assert.equal(port.read(LSR), 0x63);
});

test("reading LSR with an overrun and an empty FIFO invents no character", () => {
  const port = new Port();
  port.write(FCR, 0x01);
  for (let count = 0; count < 17; count++) port.receive(count);
  port.write(FCR, 0x03);
  assert.equal(port.read(LSR), 0x62);
  assert.equal(port.read(LSR), 0x60);
});

// --- Character time-out --------------------------------------------------------------------------------------------

test("8.11: at 300 baud with 12-bit characters the time-out comes after 160 ms", () => {
  const port = new Port();
  set300Baud(port, 0x0f);
  port.write(FCR, 0xc1);
  port.write(IER, 0x01);
  port.receive(0x41);
  port.clock.advanceTo(159_999_999);
  assert.equal(port.pending(), NONE);
  port.clock.advanceTo(160_000_000);
  assert.equal(port.read(IIR), 0xcc);
  assert.equal(port.irq.level, true);
});

test("8.1, 8.11: four character times follow word length, parity and stop bits", () => {
  const bitNanoseconds = 1e9 / 300;
  for (
    const [lcr, bits] of [[0x00, 7], [0x03, 10], [0x07, 11], [0x04, 7.5], [0x0b, 11], [0x1b, 11], [0x2b, 11], [0x02, 9]]
  ) {
    const port = new Port();
    set300Baud(port, lcr);
    port.write(FCR, 0x01);
    port.receive(0x41);
    assert.deepEqual(port.clock.armed(), [Math.ceil(4 * bits * bitNanoseconds)], `LCR ${lcr.toString(16)}`);
  }
});

test("8.3: a divisor of zero still times out", () => {
  const port = new Port();
  port.write(LCR, DLAB | 3);
  port.write(DLL, 0);
  port.write(LCR, 3);
  port.write(FCR, 0xc1);
  port.write(IER, 0x01);
  port.receive(0x41);
  port.clock.advance(1e6);
  assert.equal(port.pending(), TIMEOUT);
});

test("8.11: a received character restarts the time-out", () => {
  const port = new Port();
  set300Baud(port, 0x0f);
  port.write(FCR, 0xc1);
  port.write(IER, 0x01);
  port.receive(1);
  port.clock.advanceTo(100_000_000);
  port.receive(2);
  port.clock.advanceTo(259_999_999);
  assert.equal(port.pending(), NONE);
  port.clock.advanceTo(260_000_000);
  assert.equal(port.pending(), TIMEOUT);
});

test("8.11: an RBR read restarts the time-out while characters are left, and stops it with the last", () => {
  const port = new Port();
  set300Baud(port, 0x0f);
  port.write(FCR, 0xc1);
  port.write(IER, 0x01);
  port.receive(1, 2);
  port.clock.advanceTo(100_000_000);
  port.read(RBR);
  assert.deepEqual(port.clock.armed(), [260_000_000]);
  port.read(RBR);
  assert.deepEqual(port.clock.armed(), []);
  port.clock.advance(1e9);
  assert.equal(port.pending(), NONE);
});

test("8.11: reading RBR clears a time-out that occurred and starts the next; IIR and LSR reads do not", () => {
  const port = new Port();
  set300Baud(port, 0x0f);
  port.write(FCR, 0xc1);
  port.write(IER, 0x01);
  port.receive(1, 2);
  port.clock.advanceTo(160_000_000);
  assert.equal(port.pending(), TIMEOUT);
  port.read(LSR);
  assert.equal(port.pending(), TIMEOUT);
  port.read(RBR);
  assert.equal(port.pending(), NONE);
  port.clock.advanceTo(320_000_000);
  assert.equal(port.pending(), TIMEOUT);
});

test("8.7 bit 0 masks the time-out too; it is remembered (8.11)", () => {
  const port = new Port();
  port.write(FCR, 0xc1);
  port.receive(1);
  port.clock.advance(1e9);
  assert.equal(port.pending(), NONE);
  port.write(IER, 0x01);
  assert.equal(port.pending(), TIMEOUT);
});

// --- Priorities ----------------------------------------------------------------------------------------------------

test("table IV: line status, received data, THR empty and modem status in this order of priority", () => {
  const port = new Port();
  port.write(IER, 0x0f);
  port.read(IIR);
  port.uart.setModemInput("cts", false);
  port.write(THR, 0x41);
  port.receive(1, 2);
  assert.equal(port.pending(), LINE_STATUS);
  port.read(LSR);
  assert.equal(port.pending(), RECEIVED);
  port.read(RBR);
  assert.equal(port.pending(), THR_EMPTY);
  assert.equal(port.pending(), MODEM);
  port.read(MSR);
  assert.equal(port.pending(), NONE);
});

test("table IV: a time-out precedes THR empty; line status precedes a time-out", () => {
  const port = new Port();
  port.write(FCR, 0xc1);
  port.write(IER, 0x07);
  port.receive(1);
  port.clock.advance(1e9);
  for (let count = 0; count < 16; count++) port.receive(count);
  assert.equal(port.pending(), LINE_STATUS);
  port.read(LSR);
  assert.equal(port.pending(), TIMEOUT);
  port.write(FCR, 0xc3);
  assert.equal(port.pending(), THR_EMPTY);
});

test("8.7: each source is enabled by its own bit", () => {
  const sources: [number, (port: Port) => void][] = [
    [LINE_STATUS, (port) => port.receive(1, 2)],
    [THR_EMPTY, (port) => port.write(THR, 1)],
    [MODEM, (port) => port.uart.setModemInput("dcd", false)],
  ];
  const bits = new Map([[LINE_STATUS, 0x04], [THR_EMPTY, 0x02], [MODEM, 0x08]]);
  for (const [identification, cause] of sources) {
    const port = new Port();
    cause(port);
    port.write(IER, 0x0e & ~bits.get(identification)! & ~0x02);
    assert.equal(port.pending(), NONE);
    port.write(IER, bits.get(identification)!);
    assert.equal(port.pending(), identification);
    port.write(IER, 0);
    assert.equal(port.irq.level, false);
  }
});

// --- Modem lines and loopback --------------------------------------------------------------------------------------

test("8.9: each modem input shows in bits 4 to 7 and its change in bits 0 to 3, which reading MSR resets", () => {
  for (const [input, line, delta] of [["cts", 0x10, 0x01], ["dsr", 0x20, 0x02], ["dcd", 0x80, 0x08]] as const) {
    const port = new Port();
    port.write(IER, 0x08);
    port.uart.setModemInput(input, true);
    assert.equal(port.pending(), NONE, "no change");
    port.uart.setModemInput(input, false);
    assert.equal(port.pending(), MODEM);
    assert.equal(port.read(MSR), (0xb0 & ~line) | delta);
    assert.equal(port.read(MSR), 0xb0 & ~line);
    assert.equal(port.pending(), NONE);
    port.uart.setModemInput(input, true);
    assert.equal(port.read(MSR), 0xb0 | delta);
  }
});

test("8.9 bit 2: the ring indicator reports its trailing edge only", () => {
  const port = new Port();
  port.write(IER, 0x08);
  port.uart.setModemInput("ri", true);
  assert.equal(port.pending(), NONE);
  assert.equal(port.read(MSR), 0xf0);
  port.uart.setModemInput("ri", false);
  assert.equal(port.pending(), MODEM);
  assert.equal(port.read(MSR), 0xb4);
});

test("8.9: a line that changed and changed back still shows its delta", () => {
  const port = new Port();
  port.uart.setModemInput("cts", false);
  port.uart.setModemInput("cts", true);
  assert.equal(port.read(MSR), 0xb1);
});

test("8.8 bit 4: in loopback RTS, DTR, OUT1 and OUT2 are CTS, DSR, RI and DCD", () => {
  const port = new Port();
  for (let outputs = 0; outputs < 16; outputs++) {
    port.write(MCR, LOOP | outputs);
    const expected = (outputs & 2 ? 0x10 : 0) | (outputs & 1 ? 0x20 : 0) | (outputs & 4 ? 0x40 : 0) |
      (outputs & 8 ? 0x80 : 0);
    assert.equal(port.read(MSR) & 0xf0, expected);
  }
});

test("8.8: in loopback the modem status interrupt's sources are MCR's low bits, with their deltas", () => {
  const port = new Port();
  port.write(MCR, LOOP);
  port.read(MSR);
  port.write(IER, 0x08);
  for (const [bit, delta] of [[0x02, 0x01], [0x01, 0x02], [0x08, 0x08]]) {
    port.write(MCR, LOOP | bit);
    assert.equal(port.pending(), MODEM);
    assert.equal(port.read(MSR) & 0x0f, delta);
    port.write(MCR, LOOP);
    assert.equal(port.read(MSR) & 0x0f, delta);
    assert.equal(port.pending(), NONE);
  }
  port.write(MCR, LOOP | 0x04);
  assert.equal(port.pending(), NONE, "ring indicator: leading edge");
  port.write(MCR, LOOP);
  assert.equal(port.pending(), MODEM);
  assert.equal(port.read(MSR), 0x04);
});

test("8.8: outside loopback modem outputs do not reach modem inputs", () => {
  const port = new Port();
  for (let outputs = 0; outputs < 16; outputs++) {
    port.write(MCR, outputs);
    assert.equal(port.read(MSR), 0xb0);
  }
});

test("8.8: in loopback modem inputs are disconnected, and back when it ends", () => {
  const port = new Port();
  port.write(MCR, LOOP);
  port.read(MSR);
  port.uart.setModemInput("cts", false);
  assert.equal(port.read(MSR), 0x00);
  port.write(MCR, 0);
  assert.equal(port.read(MSR), 0xa0 | 0x0a);
});

test("8.8 bit 4: in loopback a transmitted character is received at once and does not leave", () => {
  const port = new Port();
  port.write(MCR, LOOP);
  port.write(IER, 0x01);
  port.write(THR, 0x5a);
  assert.equal(port.pending(), RECEIVED);
  assert.equal(port.read(LSR), 0x61);
  assert.equal(port.read(RBR), 0x5a);
  port.write(FCR, 0x01);
  for (let byte = 0; byte < 17; byte++) port.write(THR, byte);
  assert.equal(port.read(LSR), 0x63, "overrun in loopback");
  for (let byte = 0; byte < 16; byte++) assert.equal(port.read(RBR), byte);
  assert.deepEqual(port.sent, []);
});

test("8.8 bit 4: in loopback SIN is disconnected, for characters and breaks", () => {
  const port = new Port();
  port.write(MCR, LOOP);
  assert.equal(port.uart.receiverSpace(), 0);
  port.receive(0x41);
  port.uart.receiveBreak();
  assert.equal(port.read(LSR), 0x60);
});

test("8.1 bit 6: the break control acts on SOUT only, not on the transmitter or loopback", () => {
  const port = new Port();
  port.write(LCR, 0x43);
  port.write(MCR, LOOP);
  port.write(THR, 0x41);
  assert.equal(port.read(RBR), 0x41);
  assert.equal(port.read(LSR), 0x60);
});

// --- Back end ------------------------------------------------------------------------------------------------------

test("receiverSpace is the room in the FIFO, or one while RBR is empty", () => {
  const port = new Port();
  assert.equal(port.uart.receiverSpace(), 1);
  port.receive(1);
  assert.equal(port.uart.receiverSpace(), 0);
  port.write(FCR, 0x01);
  for (let space = 16; space > 0; space--) {
    assert.equal(port.uart.receiverSpace(), space);
    port.receive(space);
  }
  assert.equal(port.uart.receiverSpace(), 0);
});

test("onReceiverReady comes once when space appears after none, however it appears", () => {
  const ways: [string, (port: Port) => void, (port: Port) => void][] = [
    ["RBR read", (port) => port.receive(1), (port) => port.read(RBR)],
    ["FIFOs enabled", (port) => port.receive(1), (port) => port.write(FCR, 1)],
    ["loopback ends", (port) => port.write(MCR, LOOP), (port) => port.write(MCR, 0)],
    ["reset", (port) => port.receive(1), (port) => port.uart.reset()],
    ["full FIFO read", (port) => {
      port.write(FCR, 1);
      for (let count = 0; count < 16; count++) port.receive(count);
    }, (port) => port.read(RBR)],
    ["full FIFO cleared", (port) => {
      port.write(FCR, 1);
      for (let count = 0; count < 16; count++) port.receive(count);
    }, (port) => port.write(FCR, 3)],
  ];
  for (const [name, fill, empty] of ways) {
    const port = new Port();
    fill(port);
    assert.equal(port.ready, 0, name);
    empty(port);
    assert.equal(port.ready, 1, name);
    port.read(LSR);
    assert.equal(port.ready, 1, name);
  }
});

test("onReceiverReady may call receive, and the RBR read that caused it still gives its own character", () => {
  const port = new Port();
  let next = 0x42;
  port.onReady = () => port.receive(next++);
  port.receive(0x41);
  assert.deepEqual([port.read(RBR), port.read(RBR), port.read(RBR)], [0x41, 0x42, 0x43]);
  assert.equal(port.read(LSR), 0x61);
});

// --- Reset and snapshot --------------------------------------------------------------------------------------------

/** A port with something in every field. */
function busyPort(): Port {
  const port = new Port();
  set300Baud(port, 0x0b);
  port.write(FCR, 0x81);
  port.write(IER, 0x0d);
  port.write(SCR, 0x77);
  port.write(MCR, 0x07);
  port.uart.setModemInput("ri", true);
  port.uart.setModemInput("dsr", false);
  for (let count = 0; count < 17; count++) port.receive(0x30 + count);
  port.read(RBR);
  port.uart.receiveBreak();
  return port;
}

/** Everything that a guest can read, in an order in which no read hides another's value. */
function readAll(port: Port): number[] {
  const values = [MCR, LCR, SCR, IER, IIR, LSR, LSR, MSR, MSR, IIR].map((register) => port.read(register));
  for (let count = 0; count < 17; count++) values.push(port.read(LSR), port.read(RBR));
  const lcr = port.read(LCR);
  port.write(LCR, lcr | DLAB);
  values.push(port.read(DLL), port.read(DLM));
  port.write(LCR, lcr);
  return values;
}

test("reset puts every register back, disarms the time-out and lowers INTR", () => {
  const port = busyPort();
  assert.equal(port.irq.level, true);
  port.uart.reset();
  assert.equal(port.irq.level, false);
  assert.deepEqual(port.clock.armed(), []);
  assert.deepEqual(readAll(port), readAll(new Port()));
});

test("restore gives the same registers, FIFO, interrupt and time-out, after a structured clone", () => {
  const port = busyPort();
  const state = structuredClone(port.uart.snapshot());
  const armed = port.clock.armed();
  const expected = readAll(port);

  const other = new Port();
  other.uart.restore(state);
  assert.equal(other.irq.level, true);
  assert.deepEqual(other.clock.armed(), armed);
  assert.equal(other.ready, 0);
  assert.deepEqual(readAll(other), expected);
  assert.notDeepEqual(expected, readAll(new Port()));
});

test("a snapshot is independent of what the port does later and can be restored twice", () => {
  const port = busyPort();
  const state = port.uart.snapshot();
  const copy = structuredClone(state);
  const first = readAll(port);
  assert.deepEqual(state, copy);
  port.uart.restore(state);
  assert.deepEqual(readAll(port), first);
  assert.deepEqual(state, copy);
});

test("restore keeps a time-out that has occurred, and drops one that was running", () => {
  const port = new Port();
  port.write(FCR, 0xc1);
  port.write(IER, 0x01);
  const idle = port.uart.snapshot();
  port.receive(1);
  port.clock.advance(1e9);
  const timedOut = port.uart.snapshot();
  port.uart.reset();
  port.uart.restore(timedOut);
  assert.equal(port.pending(), TIMEOUT);
  port.read(RBR);
  port.receive(2);
  assert.equal(port.clock.armed().length, 1);
  port.uart.restore(idle);
  assert.deepEqual(port.clock.armed(), []);
});
