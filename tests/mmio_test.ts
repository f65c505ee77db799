// Devices written in scripts: what they see, and what the guest sees of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDeviceTree } from "../machine/device_tree_reader.ts";
import { nodeAt } from "../machine/device_tree.ts";
import { HookError, OptionError } from "../machine/errors.ts";
import { Machine } from "../machine/machine.ts";
import { Device } from "../machine/mmio.ts";
import { Program } from "./support/assemble.ts";
import { WIDTHS } from "./support/guest.ts";

const AT = 0x1800_0000, PLIC = 0xc00_0000;

/** Sums what it reads `times` times from the device's word at 4, and writes each sum to the one at 8. */
function reader(xlen: 32 | 64, times: number): Program {
  const p = new Program(xlen).li("s0", AT).li("s1", times).li("a0", 0).label("loop");
  p.label("load").op("lw", { rd: "t0", rs1: "s0", imm: 4 }).op("add", { rd: "a0", rs1: "a0", rs2: "t0" });
  p.label("store").op("sw", { rs2: "a0", rs1: "s0", imm: 8 }).op("addi", { rd: "s1", rs1: "s1", imm: -1 });
  p.to("bne", "loop", { rs1: "s1", rs2: 0 }).li("t0", 0x5555).li("t1", 0x10_0000).op("sw", { rs2: "t0", rs1: "t1" });
  return p;
}

for (const xlen of WIDTHS) {
  for (const accel of ["interpreter", "jit,threshold=1"]) {
    test(`functions at an address see every access with exact registers: rv${xlen}, ${accel}`, async () => {
      const p = reader(xlen, 500);
      await using m = await Machine.create({ cpu: `rv${xlen}`, bios: p.elf(), memory: "4M", accel });
      let reads = 0;
      const wrong: string[] = [], written: number[] = [];
      const see = (label: string, register: "s1" | "a0", expected: number) => {
        if (Number(m.hart.pc) !== p.address(label) || Number(m.hart.x[register]) !== expected) {
          wrong.push(`${label}: pc ${m.hart.pc}, ${register} ${m.hart.x[register]}, not ${expected}`);
        }
      };
      m.mmio.map(AT, 0x100, {
        read: (offset, width) => {
          assert.deepEqual([offset, width], [4, 4]);
          see("load", "s1", 500 - reads);
          return ++reads;
        },
        write: (offset, width, value) => {
          assert.deepEqual([offset, width], [8, 4]);
          see("store", "a0", value);
          written.push(value);
        },
      });
      const stop = await m.run();
      assert.equal(stop.kind, "exit");
      assert.deepEqual(wrong, []);
      assert.deepEqual([reads, written.length, written.at(-1)], [500, 500, 125250]);
    });

    test(`an error of a device stops the run at its instruction, and the run can go on: rv${xlen}, ${accel}`, async () => {
      const p = reader(xlen, 50);
      await using m = await Machine.create({ cpu: `rv${xlen}`, bios: p.elf(), memory: "4M", accel });
      let reads = 0;
      m.mmio.map(AT, 0x100, {
        name: "meter",
        read: () => {
          if (++reads === 20) throw new RangeError("out of ink");
          return 1;
        },
      });
      await assert.rejects(() => m.run(), (e: unknown) => {
        assert.ok(e instanceof HookError && e.cause instanceof RangeError);
        assert.match(e.message, /^meter, read of offset 0x4, at .*: out of ink$/);
        assert.equal(Number(e.pc), p.address("load"));
        return true;
      });
      assert.equal(Number(m.hart.pc), p.address("load") + 4);
      assert.equal((await m.run()).kind, "exit");
      assert.deepEqual([reads, Number(m.hart.x.a0)], [50, 49]);
    });
  }
}

test("a device that is taken away leaves what was there before", async () => {
  await using m = await Machine.create({ cpu: "rv64", bios: reader(64, 3).elf(), memory: "4M" });
  const mapping = m.mmio.map(AT, 0x100, {});
  mapping.remove();
  mapping.remove();
  let faults = 0;
  m.onTrap = ({ cause }) => {
    assert.equal(cause, 5);
    faults++;
    m.stop();
  };
  assert.equal((await m.run()).kind, "stopped");
  assert.equal(faults, 1);
});

test("places that are no good for a device are refused", async () => {
  await using m = await Machine.create({ cpu: "rv64", memory: "4M" });
  assert.throws(() => m.mmio.map(0x8000_0000, 0x100, {}), /is in RAM/);
  assert.throws(() => m.mmio.map(AT, 0, {}), OptionError);
  assert.throws(() => m.irq(96, true), /1 to 95/);
  await using spike = await Machine.create({ machine: "spike", cpu: "rv64", memory: "4M" });
  assert.throws(() => spike.irq(1, true), /spike has no interrupt controller/);
});

/** Counts down in virtual time, raises its interrupt, and writes a word to memory by itself. */
class Countdown extends Device {
  readonly events: string[] = [];
  #target = 0;
  constructor() {
    super("countdown", 0x10, { min: 4, max: 4 });
  }
  override deviceNode() {
    return { name: "countdown", properties: { compatible: "test,countdown" } };
  }
  override connected(): void {
    this.#alarm = this.clock.alarm(() => {
      this.memory.write32(this.#target, 0x1234_5678);
      this.irq.set(true);
    });
  }
  #alarm!: { set(nanoseconds: number): void };
  read(offset: number): number {
    return offset;
  }
  write(offset: number, _width: number, value: number): void {
    this.events.push(`${offset} ${value.toString(16)}`);
    if (offset === 0) this.#target = value;
    else if (offset === 4) this.#alarm.set(this.clock.now() + value);
    else this.irq.set(false);
  }
  override reset(): void {
    this.events.push("reset");
  }
}

test("a device class has interrupts, alarms, DMA, and a node of the device tree", async () => {
  const p = new Program(64).la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("s0", AT).la("s1", "word");
  p.li("t0", PLIC + 4 * 40).li("t1", 1).op("sw", { rs2: "t1", rs1: "t0" });
  p.li("t0", PLIC + 0x2000 + 4).li("t1", 1 << 8).op("sw", { rs2: "t1", rs1: "t0" });
  p.li("t0", 1 << 11).csr("csrrs", "mie", 0, "t0").csri("csrrsi", "mstatus", 0, 8);
  p.op("sw", { rs2: "s1", rs1: "s0" }).li("t0", 3_000_000).op("sw", { rs2: "t0", rs1: "s0", imm: 4 });
  p.label("wait").op("wfi").to("jal", "wait").align(4).label("handler");
  p.op("sw", { rs2: 0, rs1: "s0", imm: 8 }).op("lw", { rd: "a0", rs1: "s1" }).csr("csrrs", "mcause", "a1", 0);
  p.li("t0", 0x5555).li("t1", 0x10_0000).op("sw", { rs2: "t0", rs1: "t1" }).align(8).label("word").data(0, 8);
  const device = new Countdown();
  await using m = await Machine.create({
    cpu: "rv64",
    bios: p.elf(),
    memory: "4M",
    mmio: [{ address: AT, device, irq: 40 }],
  });
  const node = nodeAt(parseDeviceTree(m.deviceTree, "tree").root, "/soc/countdown@18000000");
  assert.ok(node !== undefined);
  assert.deepEqual(Object.keys(node.properties), ["compatible", "reg", "interrupts", "interrupt-parent"]);
  assert.equal((await m.run()).kind, "exit");
  assert.equal(m.hart.x.a0, 0x1234_5678n);
  assert.equal(m.hart.x.a1, 1n << 63n | 11n);
  assert.ok(m.nanoseconds >= 3_000_000);
  assert.deepEqual(device.events.slice(-3), [`0 ${p.address("word").toString(16)}`, "4 2dc6c0", "8 0"]);
});
