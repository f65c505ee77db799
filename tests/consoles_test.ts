// Several consoles of one machine: further serial ports, and virtio consoles.

import assert from "node:assert/strict";
import { test } from "node:test";
import { OptionError } from "../machine/errors.ts";
import { Machine } from "../machine/machine.ts";
import { SerialPort } from "../machine/serial_port.ts";
import { Program } from "./support/assemble.ts";
import { WIDTHS } from "./support/guest.ts";

const UART0 = 0x1000_0000, UART1 = 0x1000_9000, UART2 = 0x1000_a000, LINE_STATUS = 5, DATA_READY = 1;
/** The emergency write of a virtio console in transport 7: prints without a driver (VIRTIO 1.2, 5.3.4). */
const EMERGENCY_WRITE = 0x1000_8108;

/** Prints a text at the port whose address is in s0. */
function print(p: Program, text: string): void {
  for (const c of text) p.li("t0", c.charCodeAt(0)).op("sb", { rs1: "s0", rs2: "t0" });
}

for (const xlen of WIDTHS) {
  test(`each serial port of RV${xlen} has a console with expectations, input and transcript of its own`, async () => {
    const p = new Program(xlen).li("s0", UART0);
    print(p, "boot\n");
    p.li("s0", UART1);
    print(p, "login: ");
    // Echoes a line at the second port, and each byte at the third.
    p.li("s1", UART2).label("wait").op("lbu", { rd: "t0", rs1: "s0", imm: LINE_STATUS });
    p.op("andi", { rd: "t0", rs1: "t0", imm: DATA_READY }).to("beq", "wait", { rs1: "t0", rs2: 0 });
    p.op("lbu", { rd: "t1", rs1: "s0" }).op("sb", { rs1: "s0", rs2: "t1" }).op("sb", { rs1: "s1", rs2: "t1" });
    p.li("t2", 10).to("bne", "wait", { rs1: "t1", rs2: "t2" });
    p.li("t0", 0x5555).li("t1", 0x10_0000).op("sw", { rs2: "t0", rs1: "t1" }).label("end").to("jal", "end");
    await using m = await Machine.create({
      cpu: `rv${xlen}`,
      bios: p.elf(),
      memory: "4M",
      mmio: [
        { address: UART1, device: new SerialPort("serial1"), irq: 12 },
        { address: UART2, device: new SerialPort("serial2") },
      ],
    });
    assert.deepEqual([...m.consoles.keys()], ["serial0", "serial1", "serial2"]);
    assert.equal(m.consoles.get("serial0"), m.console);
    const [one, two] = [m.consoles.get("serial1")!, m.consoles.get("serial2")!];
    const { before } = await one.expect("login: ");
    assert.deepEqual([before, m.console.output], ["", "boot\n"]);
    assert.equal(two.output, "");
    one.sendLine("root");
    assert.equal((await two.expect(/ro+t/)).match, "root");
    assert.equal((await m.run()).kind, "exit");
    assert.deepEqual([one.output, two.output, m.console.output], ["login: root\n", "root\n", "boot\n"]);
    assert.deepEqual(one.transcript().map(({ from, text }) => `${from} ${text}`), [
      "guest login: ",
      "host root\n",
      "guest root\n",
    ]);
    const report = m.explain({ kind: "stopped", pc: m.hart.pc, instructions: m.instructions, hart: 0 } as never);
    assert.match(report, /console:\n {2}\| boot[^]*console serial1:\n {2}\| login: root[^]*console serial2:/);
    const tree = new TextDecoder("latin1").decode(m.deviceTree);
    assert.match(tree, /serial@10009000[^]*ns16550a/);
    // A reset forgets what was not taken.
    m.reset();
    await one.expect("login: ");
  });
}

test("a virtio console is a console with expectations, too; names must differ", async () => {
  const p = new Program(64).li("s0", EMERGENCY_WRITE);
  print(p, "ready> ");
  p.label("end").to("jal", "end");
  const options = {
    bios: p.elf(),
    memory: "4M",
    devices: [{ driver: "virtio-serial-device" }, { driver: "virtconsole", chardev: "hvc0" }],
    failures: { deadlock: false },
  } as const;
  // Without the feature bit, the device takes no emergency writes.
  await using m = await Machine.create({ ...options, chardevs: [{ id: "hvc0" }] });
  const hvc = m.consoles.get("hvc0")!;
  assert.equal(hvc, m.chardev("hvc0"));
  assert.equal((await hvc.expect(/(\w+)> /)).groups[1], "ready");
  assert.equal(hvc.output, "ready> ");
  const twice = { ...options, chardevs: [{ id: "hvc0" }], mmio: [{ address: UART1, device: new SerialPort("hvc0") }] };
  await assert.rejects(() => Machine.create(twice), OptionError);
});
