// The built-in SBI on one hart: how the kernel is entered, and every call with its errors (RISC-V Supervisor Binary Interface
// Specification 2.0). Several harts are in sbi_harts_test.ts.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { VERSION } from "../cli/version.ts";
import { withRoom } from "../machine/device_tree.ts";
import { Machine } from "../machine/machine.ts";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { buildElf } from "./elf_builder.ts";
import { hartbeat } from "./support/command.ts";
import { WIDTHS } from "./support/guest.ts";
import { checkCalls, EID, kernelAddress, SupervisorProgram } from "./support/supervisor.ts";

const FIRMWARE = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin";

function withoutOpenSbi(): string | false {
  if (existsSync(FIRMWARE)) return false;
  const why = `${FIRMWARE} is needed: apt-get install opensbi`;
  if (process.env.CI) throw new Error(why);
  return why;
}

const ALL = -1;
/** An instruction that jumps to itself. */
const LOOP = Uint8Array.of(0x6f, 0, 0, 0);
const SUPERVISOR_CSRS = "sstatus sie sip stvec sscratch satp scounteren senvcfg".split(" ");

test("the kernel is entered in the state in which OpenSBI enters it", { skip: withoutOpenSbi() }, async () => {
  const states: unknown[] = [];
  for (const bios of [FIRMWARE, "default"]) {
    await using machine = await Machine.create({ cpu: "rv64", bios, kernel: LOOP, smp: 1 });
    const until = kernelAddress(64), stop = await machine.run({ until, maxInstructions: 30_000_000 });
    const { hart } = machine;
    assert.equal(hart.pc, BigInt(until), bios);
    if (bios !== "default") assert.equal(stop.kind, "breakpoint");
    states.push({
      privilege: hart.privilege,
      a0: hart.x.a0,
      a1: hart.x.a1,
      csrs: [...SUPERVISOR_CSRS, "medeleg", "mideleg", "mcounteren", "menvcfg"].map((
        name,
      ) => [name, hart.readCsr(name)]),
    });
  }
  assert.deepEqual(states[1], states[0]);
});

for (const xlen of WIDTHS) {
  const half = BigInt(xlen - 1), top = 1n << half;

  test(`an RV${xlen} kernel is entered at its address, in S-mode, with the hart's number and the device tree`, async () => {
    const at = kernelAddress(xlen),
      low = RAM_BASE,
      elf = (p: number) => buildElf(xlen, BigInt(p), [{ physical: BigInt(p), bytes: LOOP }]);
    for (
      const [kernel, expected] of [[LOOP, at], [elf(at), at], [elf(low), low], [elf(at + 0x1000), at + 0x1000]] as const
    ) {
      for (const bios of ["default", undefined] as const) {
        await using machine = await Machine.create({ cpu: `rv${xlen}`, kernel, ...(bios && { bios }), smp: 3 });
        const { hart } = machine;
        assert.equal(Number(hart.pc), expected);
        assert.deepEqual([hart.privilege, Number(hart.x.a0)], ["S", 0]);
        const { length } = machine.deviceTree, tree = machine.memory.read(Number(hart.x.a1), length + 1024);
        assert.deepEqual(tree, withRoom(machine.deviceTree, 1024));
        for (const name of ["satp", "sie", "sip", "sscratch"]) assert.equal(Number(hart.readCsr(name)), 0, name);
        assert.equal(Number(hart.readCsr("stvec")), expected);
        assert.deepEqual(machine.harts.map(({ stopped }) => stopped), [false, true, true]);
        assert.deepEqual(machine.warnings, []);
      }
    }
  });

  test(`an RV${xlen} program given to the loader is started by -bios default`, async () => {
    const file = { name: "loop.bin", bytes: LOOP }, address = kernelAddress(xlen);
    await using machine = await Machine.create({ cpu: `rv${xlen}`, bios: "default", loaders: [{ file, address }] });
    assert.equal(Number(machine.hart.pc), address);
    await machine.run({ maxInstructions: 100 });
    assert.equal(Number(machine.hart.pc), address);
    await using empty = await Machine.create({ cpu: `rv${xlen}`, bios: "default" });
    assert.match(empty.warnings.join(), /nothing is loaded at 0x80[24]00000, where execution starts/);
  });

  test(`the RV${xlen} base extension tells what there is`, async () => {
    const version = VERSION.split(".").reduce((all, part) => all << 8 | Number(part), 0);
    const probes = Object.entries(EID).map(([name, id]) => [`probe ${name}`, EID.BASE, 3, [id], "SUCCESS", 1] as const);
    await checkCalls(xlen, [
      ["get_spec_version", EID.BASE, 0, [], "SUCCESS", 2 << 24],
      ["get_impl_id", EID.BASE, 1, [], "SUCCESS", 0x686274],
      ["get_impl_version", EID.BASE, 2, [], "SUCCESS", version],
      ...probes,
      // CPPC, NACL and STA of 2.0, FWFT, DBTR and MPXY of later versions: not there.
      ...[0x4350_5043, 0x4e41_434c, 0x53_5441, 0x4657_4654, 0x4442_5452, 0x4d50_5859].flatMap((id) => [
        [`probe 0x${id.toString(16)}`, EID.BASE, 3, [id], "SUCCESS", 0] as const,
        [`call of 0x${id.toString(16)}`, id, 0, [], "NOT_SUPPORTED", 0] as const,
      ]),
      ["probe 9, a legacy number that is reserved", EID.BASE, 3, [9], "SUCCESS", 0],
      ["probe -1", EID.BASE, 3, [-1], "SUCCESS", 0],
      ["get_mvendorid", EID.BASE, 4, [], "SUCCESS", 0],
      ["get_marchid", EID.BASE, 5, [], "SUCCESS", 0],
      ["get_mimpid", EID.BASE, 6, [], "SUCCESS", 0],
      ["no function of BASE", EID.BASE, 7, [], "NOT_SUPPORTED", 0],
      ["no function of TIME", EID.TIME, 1, [], "NOT_SUPPORTED", 0],
      ["no function -1 of IPI", EID.IPI, -1, [], "NOT_SUPPORTED", 0],
      ["extension -1", -1, 0, [], "NOT_SUPPORTED", 0],
    ]);
  });

  test(`RV${xlen} calls to send interrupts and fences check their harts`, async () => {
    await checkCalls(xlen, [
      ["IPI to itself", EID.IPI, 0, [1, 0], "SUCCESS"],
      ["IPI to all", EID.IPI, 0, [0, ALL], "SUCCESS"],
      ["IPI to nobody", EID.IPI, 0, [0, 0], "SUCCESS"],
      ["IPI to hart 1", EID.IPI, 0, [2, 0], "INVALID_PARAM"],
      ["IPI to hart 0 and 31", EID.IPI, 0, [0x8000_0001, 0], "INVALID_PARAM"],
      ["IPI to hart 1 by base", EID.IPI, 0, [1, 1], "INVALID_PARAM"],
      ["IPI to hart 2^(XLEN-1)", EID.IPI, 0, [1, top], "INVALID_PARAM"],
      ...[0, 1, 2].map((fid) => ["fence on itself", EID.RFENCE, fid, [1, 0, 0, 0, 0], "SUCCESS"] as const),
      ...[0, 1, 2].map((fid) => ["fence on all", EID.RFENCE, fid, [0, ALL, 0, -1, 0], "SUCCESS"] as const),
      ...[0, 1, 2].map((fid) => ["fence on hart 1", EID.RFENCE, fid, [3, 0, 0, 0, 0], "INVALID_PARAM"] as const),
      ...[1, 2].map((fid) => ["one page", EID.RFENCE, fid, [1, 0, 0x1000, 0x1000, 5], "SUCCESS"] as const),
      ...[1, 2].map((fid) => ["the last page", EID.RFENCE, fid, [1, 0, -4096, 4096, 5], "SUCCESS"] as const),
      ...[1, 2].map((fid) => ["past the end", EID.RFENCE, fid, [1, 0, -4096, 4097, 5], "INVALID_ADDRESS"] as const),
      ...[1, 2].map((fid) => ["a lot", EID.RFENCE, fid, [1, 0, 0x1000, 0x1000_0000, 5], "SUCCESS"] as const),
      ...[3, 4, 5, 6].map((fid) => ["hfence", EID.RFENCE, fid, [1, 0, 0, 0, 0], "NOT_SUPPORTED"] as const),
      ["no such fence", EID.RFENCE, 7, [1, 0], "NOT_SUPPORTED"],
    ]);
  });

  test(`RV${xlen} calls about harts, resets and sleep check their arguments`, async () => {
    await checkCalls(xlen, [
      ["start a running hart", EID.HSM, 0, [0, RAM_BASE, 0], "ALREADY_AVAILABLE"],
      ["start no hart", EID.HSM, 0, [1, RAM_BASE, 0], "INVALID_PARAM"],
      ["start hart -1", EID.HSM, 0, [-1, RAM_BASE, 0], "INVALID_PARAM"],
      ["status", EID.HSM, 2, [0], "SUCCESS", 0],
      ["status of no hart", EID.HSM, 2, [7], "INVALID_PARAM"],
      ["suspend in a reserved way", EID.HSM, 3, [1, 0, 0], "INVALID_PARAM"],
      ["suspend in another", EID.HSM, 3, [0x8000_0001, 0, 0], "INVALID_PARAM"],
      ["suspend in the platform's way", EID.HSM, 3, [0x1000_0000, 0, 0], "NOT_SUPPORTED"],
      ["suspend in another of its ways", EID.HSM, 3, [0x9000_0000, 0, 0], "NOT_SUPPORTED"],
      ["resume in a device", EID.HSM, 3, [0x8000_0000, 0x1000_0000, 0], "INVALID_ADDRESS"],
      ["resume at an odd address", EID.HSM, 3, [0x8000_0000, RAM_BASE + 1, 0], "INVALID_ADDRESS"],
      ["no function of HSM", EID.HSM, 4, [], "NOT_SUPPORTED"],
      ["sleep in a reserved way", EID.SUSP, 0, [1, RAM_BASE, 0], "INVALID_PARAM"],
      ["sleep in the platform's way", EID.SUSP, 0, [0x8000_0000, RAM_BASE, 0], "NOT_SUPPORTED"],
      ["wake up nowhere", EID.SUSP, 0, [0, 0x4000_0000, 0], "INVALID_ADDRESS"],
      ["reset in a reserved way", EID.SRST, 0, [3, 0], "INVALID_PARAM"],
      ["reset for a reserved reason", EID.SRST, 0, [0, 2], "INVALID_PARAM"],
      ["reset in the platform's way", EID.SRST, 0, [0xf000_0000, 0], "NOT_SUPPORTED"],
      ["reset for its reason", EID.SRST, 0, [0, 0xe000_0000], "NOT_SUPPORTED"],
      ["no function of SRST", EID.SRST, 1, [0, 0], "NOT_SUPPORTED"],
    ]);
  });

  test(`RV${xlen} console calls check where the bytes are`, async () => {
    await checkCalls(xlen, [
      ["write nothing", EID.DBCN, 0, [0, 0, 0], "SUCCESS", 0],
      ["write from nowhere", EID.DBCN, 0, [1, 0x4000_0000, 0], "INVALID_PARAM"],
      ["write from a device", EID.DBCN, 0, [1, 0x1000_0000, 0], "INVALID_PARAM"],
      ["write past RAM", EID.DBCN, 0, [17, RAM_BASE + 0x100_0000 - 16, 0], "INVALID_PARAM"],
      ["write from above 2^XLEN", EID.DBCN, 0, [1, RAM_BASE, 1], "INVALID_PARAM"],
      ["write everything there is", EID.DBCN, 0, [-1, RAM_BASE, 0], "INVALID_PARAM"],
      ["read nothing", EID.DBCN, 1, [0, 0, 0], "SUCCESS", 0],
      ["read to nowhere", EID.DBCN, 1, [1, 0x4000_0000, 0], "INVALID_PARAM"],
      ["read to ROM", EID.DBCN, 1, [1, 0x1000, 0], "INVALID_PARAM"],
      ["read when nothing was typed", EID.DBCN, 1, [5, "page", 0], "SUCCESS", 0],
      ["write a byte", EID.DBCN, 2, [0x141], "SUCCESS", 0],
      ["no function of DBCN", EID.DBCN, 3, [], "NOT_SUPPORTED"],
    ]);
  });

  test(`RV${xlen} counters: cycle, instret and sixteen for firmware events`, async () => {
    const event = (type: number, code: number) => type << 16 | code, CYCLES = event(0, 1), INSTRUCTIONS = event(0, 2);
    const SET_TIMER = event(15, 5), IPI_SENT = event(15, 6), all = 0b1111_1101;
    await checkCalls(xlen, [
      ["num_counters", EID.PMU, 0, [], "SUCCESS", 19],
      ["info of cycle", EID.PMU, 1, [0], "SUCCESS", 0xc00 | 63 << 12],
      ["info of time", EID.PMU, 1, [1], "INVALID_PARAM"],
      ["info of instret", EID.PMU, 1, [2], "SUCCESS", 0xc02 | 63 << 12],
      ["info of the firmware's", EID.PMU, 1, [3], "SUCCESS", top],
      ["info of the last", EID.PMU, 1, [18], "SUCCESS", top],
      ["info of none", EID.PMU, 1, [19], "INVALID_PARAM"],
      ["cycles", EID.PMU, 2, [0, all, 0, CYCLES, 0, 0], "SUCCESS", 0],
      ["cycles, again", EID.PMU, 2, [0, all, 0, CYCLES, 0, 0], "NOT_SUPPORTED"],
      ["instructions", EID.PMU, 2, [2, 1, 0, INSTRUCTIONS, 0, 0], "SUCCESS", 2],
      ["cache misses", EID.PMU, 2, [0, all, 0, event(0, 4), 0, 0], "NOT_SUPPORTED"],
      ["a raw event", EID.PMU, 2, [0, all, 0, event(2, 0), 1, 0], "NOT_SUPPORTED"],
      ["no firmware event", EID.PMU, 2, [0, all, 0, event(15, 22), 0, 0], "NOT_SUPPORTED"],
      ["a set with one that does not exist", EID.PMU, 2, [0, 3, 0, CYCLES, 0, 0], "INVALID_PARAM"],
      ["a set past the last", EID.PMU, 2, [18, 3, 0, SET_TIMER, 0, 0], "INVALID_PARAM"],
      ["cycle runs already", EID.PMU, 3, [0, 1, 0, 0, 0], "ALREADY_STARTED"],
      ["stop it", EID.PMU, 4, [0, 1, 0], "SUCCESS"],
      ["stop it again", EID.PMU, 4, [0, 1, 0], "ALREADY_STOPPED"],
      ["start it", EID.PMU, 3, [0, 1, 0, 0, 0], "SUCCESS"],
      ["set_timer events, started", EID.PMU, 2, [0, all, 4, SET_TIMER, 0, 0], "SUCCESS", 3],
      ["IPIs", EID.PMU, 2, [0, all, 0, IPI_SENT, 0, 0], "SUCCESS", 4],
      ["a timer", EID.TIME, 0, [ALL, ALL], "SUCCESS"],
      ["a timer", EID.TIME, 0, [ALL, ALL], "SUCCESS"],
      ["an IPI, not counted yet", EID.IPI, 0, [1, 0], "SUCCESS"],
      ["timers", EID.PMU, 5, [3], "SUCCESS", 2],
      ["IPIs", EID.PMU, 5, [4], "SUCCESS", 0],
      ["start counting IPIs at 2^32 - 1", EID.PMU, 3, [4, 1, 1, xlen === 64 ? 0xffff_ffff : -1, 0], "SUCCESS"],
      ["an IPI", EID.IPI, 0, [1, 0], "SUCCESS"],
      ["IPIs", EID.PMU, 5, [4], "SUCCESS", xlen === 64 ? 2n ** 32n : 0],
      ["IPIs, upper half", EID.PMU, 6, [4], "SUCCESS", xlen === 64 ? 0 : 1],
      ["stop both", EID.PMU, 4, [3, 3, 0], "SUCCESS"],
      ["a timer, not counted", EID.TIME, 0, [ALL, ALL], "SUCCESS"],
      ["timers", EID.PMU, 5, [3], "SUCCESS", 2],
      ["cleared without matching", EID.PMU, 2, [3, 1, 3, SET_TIMER, 0, 0], "SUCCESS", 3],
      ["timers", EID.PMU, 5, [3], "SUCCESS", 0],
      ["free it", EID.PMU, 4, [3, 1, 1], "ALREADY_STOPPED"],
      ["it is free", EID.PMU, 2, [0, all, 2, SET_TIMER, 0, 0], "SUCCESS", 3],
      ["read cycle as a firmware counter", EID.PMU, 5, [0], "INVALID_PARAM"],
      ["its upper half", EID.PMU, 6, [0], "INVALID_PARAM"],
      ["read none", EID.PMU, 5, [19], "INVALID_PARAM"],
      ["start none", EID.PMU, 3, [19, 1, 0, 0, 0], "INVALID_PARAM"],
      ["stop time", EID.PMU, 4, [1, 1, 0], "INVALID_PARAM"],
      ["start with a snapshot", EID.PMU, 3, [3, 1, 2, 0, 0], "NO_SHMEM"],
      ["stop with a snapshot", EID.PMU, 4, [3, 1, 2], "NO_SHMEM"],
      ["snapshots", EID.PMU, 7, [0, 0, 0], "NOT_SUPPORTED"],
    ]);
  });

  test(`a stopped RV${xlen} cycle counter stands still, and starts at the value it is given`, async () => {
    const p = new SupervisorProgram(xlen);
    p.call(EID.PMU, 4, 0, 1, 0).noteCsr("cycle").noteCsr("cycle");
    p.call(EID.PMU, 3, 0, 1, 1, 1000, 0).noteCsr("cycle").noteCsr("cycle").end();
    const { notes } = await p.run();
    assert.equal(notes[0], notes[1]);
    assert.deepEqual(notes.slice(2), [1000n, 1003n]);
  });

  for (const sstc of ["on", "off"]) {
    test(`set_timer on RV${xlen} interrupts at its time, and takes an interrupt back (-cpu sstc=${sstc})`, async () => {
      for (const [extension, late] of [[EID.TIME, 5000], [EID.SET_TIMER, 5000], [EID.TIME, 2 ** 33]] as const) {
        const p = new SupervisorProgram(xlen).la("t0", "handler").csr("csrrw", "stvec", 0, "t0");
        // In the past: pending at once; then in the future: not any more.
        p.call(extension, 0, 0, 0).noteCsr("sip").call(
          extension,
          0,
          late % 2 ** 32,
          xlen === 32 ? Math.floor(late / 2 ** 32) : 0,
        );
        if (xlen === 64) p.call(extension, 0, late);
        p.noteCsr("sip").li("t0", 1 << 5).csr("csrrw", "sie", 0, "t0").csri("csrrsi", "sstatus", 0, 2);
        p.label("wait").op("wfi").to("jal", "wait");
        p.align(4).label("handler").noteCsr("scause").noteCsr("time");
        if (xlen === 32) p.noteCsr("timeh");
        p.call(extension, 0, ALL, ALL).noteCsr("sip").end();
        const { notes, stop } = await p.run({ cpu: `rv${xlen},sstc=${sstc}` });
        assert.equal(stop.kind, "exit");
        assert.deepEqual(notes.slice(0, 2), [1n << 5n, 0n]);
        assert.equal(BigInt.asUintN(xlen, notes[2]!), top | 5n);
        const time = xlen === 64 ? notes[3]! : BigInt.asUintN(32, notes[3]!) | notes[4]! << 32n;
        assert.equal(time, BigInt(late));
        assert.equal(notes.at(-1), 0n);
      }
    });
  }

  test(`what is typed reaches an RV${xlen} kernel through both console calls, and what it writes is printed`, async () => {
    for (const machine of ["virt", "spike"]) {
      const p = new SupervisorProgram(xlen);
      p.call(EID.GETCHAR, 0).note("a0").call(EID.GETCHAR, 0).note("a0").noted(EID.DBCN, 1, 4, "page", 0);
      p.noted(EID.DBCN, 1, 100, "page", 0).call(EID.GETCHAR, 0).note("a0");
      p.call(EID.PUTCHAR, 0, 0x41).note("a0").noted(EID.DBCN, 2, 0x42).noted(EID.DBCN, 0, 5, "text", 0).end();
      p.label("text").bytes(new TextEncoder().encode("hello")).align(4096).label("page").org(p.here + 4096);
      const { notes, machine: after } = await p.run({ machine }, ({ console }) => console.send("xyabcdefg"));
      assert.deepEqual(notes, [0x78n, 0x79n, 0n, 4n, 0n, 3n, -1n, 0n, 0n, 0n, 0n, 5n]);
      assert.equal(new TextDecoder().decode(after.memory.read(p.address("page"), 4)), "efgd");
      assert.equal(after.console.output, "ABhello");
    }
  });

  test(`an RV${xlen} guest ends with 0 or 1, or starts again`, async () => {
    const ends: [number, number, number[], string, number | boolean][] = [
      [EID.SRST, 0, [0, 0], "exit", 0],
      [EID.SRST, 0, [0, 1], "exit", 1],
      [EID.SHUTDOWN, 0, [], "exit", 0],
      [EID.SRST, 0, [1, 0], "reset", false],
      [EID.SRST, 0, [2, 1], "reset", false],
    ];
    for (const [extension, number, args, kind, code] of ends) {
      const p = new SupervisorProgram(xlen).call(extension, number, ...args).call(EID.PUTCHAR, 0, 0x21).notes();
      const { machine, stop } = await p.run({ reboot: false });
      assert.deepEqual([stop.kind, "code" in stop && stop.code], [kind, code]);
      assert.equal(machine.console.output, "");
    }
    // The second time, it finds what it wrote before, and registers as they were at first.
    const p = new SupervisorProgram(xlen).la("t0", "times").op("lw", { rd: "t1", rs1: "t0" });
    p.to("bne", "again", { rs1: "t1", rs2: 0 }).li("t1", 1).op("sw", { rs1: "t0", rs2: "t1" }).csri(
      "csrrwi",
      "sie",
      0,
      2,
    );
    p.call(EID.SRST, 0, 1, 0).label("again").note("a0").noteCsr("sie").end();
    // Not in the image, which is loaded again.
    p.align(4096).label("times");
    const { notes, stop } = await p.run();
    assert.equal(stop.kind, "exit");
    assert.deepEqual(notes, [0n, 0n]);
  });

  test(`legacy calls of RV${xlen} read masks of harts in virtual memory, and may fault there`, async () => {
    const p = new SupervisorProgram(xlen).la("t0", "handler").csr("csrrw", "stvec", 0, "t0");
    const sip = () => p.noteCsr("sip");
    p.call(EID.SEND_IPI, 0, "self").note("a0");
    sip().call(EID.CLEAR_IPI, 0).note("a0");
    sip().call(EID.SEND_IPI, 0, "other");
    sip().call(EID.SEND_IPI, 0, 0);
    sip().call(EID.CLEAR_IPI, 0).call(EID.FENCE_I, 0, "self").note("a0").call(EID.SFENCE_VMA, 0, "self", 0, 0).note(
      "a0",
    );
    p.call(EID.SFENCE_VMA_ASID, 0, 0, 0x1000, 0x1000, 1).note("a0");
    // Nothing is there; then nothing is mapped there.
    p.li("s2", 0).label("refused").call(EID.SEND_IPI, 0, 0x1800_0000);
    p.label("went on").to("bne", "done", { rs1: "s2", rs2: 0 });
    p.la("t0", "table").op("srli", { rd: "t0", rs1: "t0", imm: 12 }).li("t1", xlen === 64 ? 8n << 60n : 1n << 31n);
    p.op("or", { rd: "t0", rs1: "t0", rs2: "t1" }).csr("csrrw", "satp", 0, "t0").op("sfence.vma").li("s2", 1);
    // Through the other mapping of the first GiB of RAM (4 MiB on RV32).
    p.la("a0", "self").li("t0", xlen === 64 ? 0x4000_0000 : 0x40_0000).op("add", { rd: "a0", rs1: "a0", rs2: "t0" });
    p.call(EID.SEND_IPI, 0, null).noteCsr("sip").call(EID.CLEAR_IPI, 0).to("jal", "refused");
    p.label("done").more(2).end();
    p.align(4).label("handler").noteCsr("scause").noteCsr("stval").csr("csrrs", "sepc", "t0", 0);
    p.op("addi", { rd: "t0", rs1: "t0", imm: 4 }).csr("csrrw", "sepc", 0, "t0").op("sret");
    p.align(8).label("self").data(1, 8).label("other").data(0xfffe, 8).align(4096).label("table");
    const leaf = (address: number) => Math.floor(address / 4096) * 1024 + 0xcf;
    if (xlen === 64) { for (let k = 0; k < 512; k++) p.data(k === 2 || k === 3 ? leaf(RAM_BASE) : 0, 8); }
    else for (let k = 0; k < 1024; k++) p.word(k === 513 || k === 514 ? leaf(RAM_BASE + 0x40_0000) : 0);
    const { notes, stop } = await p.run();
    assert.equal(stop.kind, "exit");
    const SSIP = 2n, ACCESS = 5n, PAGE = 13n, NOWHERE = 0x1800_0000n;
    assert.deepEqual(
      notes,
      [0n, SSIP, 0n, 0n, 0n, SSIP, 0n, 0n, 0n, ...[ACCESS, NOWHERE], SSIP, PAGE, NOWHERE],
    );
  });

  test(`exceptions that are not delegated reach an RV${xlen} kernel all the same, and counters are emulated where there are none`, async () => {
    for (const accel of ["interpreter", "jit,threshold=1"]) {
      const p = new SupervisorProgram(xlen).la("t0", "handler").csr("csrrw", "stvec", 0, "t0");
      p.csr("csrrs", "time", "t1", 0).csr("csrrs", "cycle", "t2", 0).csr("csrrs", "instret", "t3", 0);
      for (const register of ["t1", "t2", "t3"]) p.note(register);
      // An instruction that is none, a CSR of machine mode, a write to a counter, an address where nothing is.
      p.word(0xffff_ffff).csr("csrrs", "mstatus", "t1", 0).csr("csrrw", "time", 0, "t1");
      p.li("t1", 0x1800_0000).op("lw", { rd: "t0", rs1: "t1" }).op("sw", { rs1: "t1" });
      p.noted(EID.PMU, 2, 3, 0xff, 0, 0xf_0004, 0, 0).noted(EID.PMU, 3, 3, 1, 0, 0, 0).word(0xffff_ffff);
      p.noted(EID.PMU, 5, 3).more(10).end();
      p.align(4).label("handler").noteCsr("scause").noteCsr("stval").csr("csrrs", "sepc", "t0", 0);
      p.op("addi", { rd: "t0", rs1: "t0", imm: 4 }).csr("csrrw", "sepc", 0, "t0").op("sret");
      const { notes, machine } = await p.run({ cpu: `rv${xlen},zicntr=off`, accel });
      assert.ok(notes[0]! >= 0n && notes[1]! === 6n && notes[2]! === 7n, `${notes}`);
      const word = (name: "csrrs" | "csrrw", csr: string, rd: number | string, rs1: number | string) =>
        BigInt.asIntN(
          xlen,
          BigInt(new DataView(new Program(xlen).csr(name, csr, rd, rs1).build().buffer).getUint32(0, true)),
        );
      const ones = BigInt.asIntN(xlen, 0xffff_ffffn), address = 0x1800_0000n;
      assert.deepEqual(notes.slice(3, 13), [
        ...[2n, ones, 2n, word("csrrs", "mstatus", "t1", 0), 2n, word("csrrw", "time", 0, "t1")],
        ...[5n, address, 7n, address],
      ]);
      assert.deepEqual(notes.slice(-2), [0n, 1n]);
      assert.equal(Number(machine.hart.readCsr("mcause")), 0);
    }
  });
}

test("a script may answer a call, and sees each with its answer", async () => {
  const p = new SupervisorProgram(64).noted(EID.BASE, 1).noted(EID.BASE, 3, EID.TIME).noted(0x0900_0000, 5, 1, 2, 3)
    .end();
  const seen: string[] = [];
  const { notes } = await p.run({}, (machine) => {
    machine.onSbiCall = (call) => {
      if (call.name === "BASE get_impl_id") return { error: 0, value: 1234 };
      if (call.extension === 0x0900_0000n) return { error: -3, value: call.parameters.a1! + call.function };
      return undefined;
    };
    machine.onSbiAnswer = ({ name, hart, pc, parameters }, answer) => {
      assert.equal(machine.memory.read32(pc), 0x73);
      seen.push(`${hart} ${name} ${Object.entries(parameters).join(" ")} ${answer?.error} ${answer?.value}`);
    };
    machine.onTrap = () => assert.fail("a call is no trap");
  });
  assert.deepEqual(notes, [0n, 1234n, 0n, 1n, -3n, 7n]);
  assert.deepEqual(seen, [
    "0 BASE get_impl_id  0 1234",
    `0 BASE probe_extension extension_id,${EID.TIME} 0 1`,
    "0 undefined a0,1 a1,2 a2,3 a3,0 a4,0 a5,0 -3 7",
    "0 SRST system_reset reset_type,0 reset_reason,0 undefined undefined",
  ]);
});

test("a call takes one instruction, interpreted and compiled, and the same run is the same each time", async () => {
  const runs: unknown[] = [];
  for (const accel of ["interpreter", "jit,threshold=1", "jit,threshold=1"]) {
    const p = new SupervisorProgram(64).li("s2", 300).label("loop").call(EID.BASE, 3, EID.TIME);
    p.op("add", { rd: "s3", rs1: "s3", rs2: "a1" }).call(EID.TIME, 0, null).op("addi", {
      rd: "s2",
      rs1: "s2",
      imm: -1,
    });
    p.to("bne", "loop", { rs1: "s2", rs2: 0 }).noteCsr("instret").note("s3").end();
    const { notes, stop } = await p.run({ accel });
    runs.push([notes, stop.instructions]);
    assert.equal(notes[1], 300n);
  }
  assert.deepEqual(runs[1], runs[0]);
  assert.deepEqual(runs[2], runs[0]);
});

test("user mode's calls go to the kernel", async () => {
  const p = new SupervisorProgram(64).la("t0", "handler").csr("csrrw", "stvec", 0, "t0").la("t0", "user");
  p.csr("csrrw", "sepc", 0, "t0").op("sret").label("user").call(EID.BASE, 0);
  p.align(4).label("handler").noteCsr("scause").end();
  assert.deepEqual((await p.run()).notes, [8n]);
});

test("-bios default needs supervisor mode, and says so", async () => {
  await assert.rejects(
    Machine.create({ cpu: "rv64,s=off", kernel: LOOP }),
    /-bios default needs a hart with supervisor mode/,
  );
});

test("-d int logs the calls that the built-in SBI answers", () => {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-sbi-"));
  try {
    const p = new SupervisorProgram(64).call(EID.DBCN, 0, 6, "text", 0).call(99, 1).end().label("text");
    writeFileSync(join(folder, "hello.elf"), p.bytes(new TextEncoder().encode("Hello\n")).elf());
    const { code, stdout, stderr } = hartbeat(["-nographic", "-d", "int", "-kernel", join(folder, "hello.elf")]);
    assert.deepEqual([code, stdout], [0, "Hello\n"]);
    const lines = stderr.trim().split("\n").map((line) =>
      line.replace(/^riscv_sbi_call: hart:0, epc:0x0+8020\w{4}, /, "")
    );
    const text = p.address("text").toString(16);
    assert.deepEqual(lines, [
      `DBCN console_write(num_bytes:0x6, base_addr_lo:0x${text}, base_addr_hi:0x0) = error:0, value:0x6`,
      `extension:0x63 function:0x1(a0:0x0, a1:0x6, a2:0x0, a3:0x0, a4:0x0, a5:0x0) = error:-2, value:0x0`,
      "SRST system_reset(reset_type:0x0, reset_reason:0x0) = no return",
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
