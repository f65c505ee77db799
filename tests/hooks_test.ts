// Hooks: what they see and can change, in the interpreter and in compiled code.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AddressError, HookError, OptionError } from "../machine/errors.ts";
import type { Hook } from "../machine/hooks.ts";
import { Machine } from "../machine/machine.ts";
import { Program } from "./support/assemble.ts";
import { WIDTHS } from "./support/guest.ts";

const FINISHER = 0x10_0000;

function finish(p: Program): Program {
  return p.li("t0", 0x5555).li("t1", FINISHER).op("sw", { rs2: "t0", rs1: "t1" }).label("end").to("jal", "end");
}

/** Calls double(n) for n from `times` down to 1 and sums what it gives in s2; double itself calls add. */
function calling(xlen: 32 | 64, times: number): Program {
  const p = new Program(xlen), word = xlen / 8, load = xlen === 64 ? "ld" : "lw", store = xlen === 64 ? "sd" : "sw";
  p.la("sp", "stack").li("s1", times).li("s2", 0).label("loop");
  p.op("addi", { rd: "a0", rs1: "s1" }).li("a1", 7).to("jal", "double", { rd: "ra" }).label("back");
  p.op("add", { rd: "s2", rs1: "s2", rs2: "a0" }).op("addi", { rd: "s1", rs1: "s1", imm: -1 });
  p.to("bne", "loop", { rs1: "s1", rs2: 0 });
  finish(p);
  p.label("double").op("addi", { rd: "sp", rs1: "sp", imm: -16 }).op(store, { rs2: "ra", rs1: "sp", imm: word });
  p.op("addi", { rd: "a1", rs1: "a0" }).to("jal", "add", { rd: "ra" }).op(load, { rd: "ra", rs1: "sp", imm: word });
  p.op("addi", { rd: "sp", rs1: "sp", imm: 16 }).op("jalr", { rs1: "ra" });
  p.label("add").op("add", { rd: "a0", rs1: "a0", rs2: "a1" }).op("jalr", { rs1: "ra" });
  return p.align(16).org(p.here + 256).label("stack");
}

async function create(p: Program, accel: string): Promise<Machine> {
  return await Machine.create({ cpu: `rv${p.xlen}`, bios: p.elf(), memory: "4M", accel });
}

for (const xlen of WIDTHS) {
  for (const accel of ["interpreter", "jit,threshold=1", "jit"]) {
    const on = `rv${xlen}, ${accel}`;

    test(`a hook at an address sees every execution with exact registers and counts, and changes nothing: ${on}`, async () => {
      const p = calling(xlen, 2000);
      await using plain = await create(p, accel), m = await create(p, accel);
      const expected = await plain.run();
      let calls = 0;
      const counts: number[] = [];
      m.hook.instruction(p.address("add"), (c) => {
        assert.equal(Number(c.pc), p.address("add"));
        assert.equal(Number(c.x.a0), 2000 - calls++);
        assert.equal(c.name, "add");
        counts.push(m.instructions);
      });
      assert.deepEqual(await m.run(), expected);
      assert.equal(calls, 2000);
      assert.ok(counts.every((n, k) => k < 2 || n - counts[k - 1]! === counts[k - 1]! - counts[k - 2]!));
      assert.equal(m.hart.x.s2, plain.hart.x.s2);
    });

    test(`a call is seen with arguments and result, and may be skipped: ${on}`, async () => {
      const p = calling(xlen, 600);
      await using m = await create(p, accel);
      const results: number[] = [];
      m.hook.call(p.address("double"), {
        enter: (c) => {
          assert.deepEqual([Number(c.arg(1)), Number(c.signed(0))], [7, Number(c.arg(0))]);
          if (Number(c.arg(0)) % 3 === 0) c.return(1);
        },
        leave: (c) => {
          assert.equal(Number(c.pc), p.address("back"));
          assert.equal(Number(c.result), 2 * Number(c.arg(0)));
          results.push(Number(c.result));
          c.result = 0;
        },
      });
      assert.equal((await m.run()).kind, "exit");
      assert.equal(results.length, 400);
      // 200 calls were skipped and gave 1, all others give 0.
      assert.equal(Number(m.hart.x.s2), 200);
    });

    test(`hooks come and go while the code runs compiled: ${on}`, async () => {
      const p = calling(xlen, 3000);
      await using m = await create(p, accel);
      await m.run({ maxInstructions: 20_000 });
      let first = 0, second = 0;
      let other: Hook | null = null;
      const hook = m.hook.instruction(p.address("add"), () => {
        if (++first === 10) {
          other = m.hook.instruction(p.address("back"), () => {
            if (++second === 20) other!.remove();
          });
        }
        if (first === 50) hook.remove();
      });
      assert.equal((await m.run()).kind, "exit");
      assert.deepEqual([first, second], [50, 20]);
      assert.equal(Number(m.hart.x.s2), 3000 * 3001);
    });

    test(`instructions are matched by mnemonic, expression, bits and mask, everywhere or in a range: ${on}`, async () => {
      const p = calling(xlen, 300);
      await using m = await create(p, accel);
      using adds = m.count.instruction({ match: "add" });
      using jumps = m.count.instruction({ match: /^jal/ });
      using bits = m.count.instruction({ match: "0000000..........000.....0110011" });
      using masked = m.count.instruction({ match: { mask: 0xfe00_707f, value: 0x33 } });
      const within = { first: BigInt(p.address("add")), last: BigInt(p.address("add") + 7) };
      using inside = m.count.instruction({ match: ["add", "sub"], within });
      using all = m.count.instruction({ within });
      using block = m.count.block(p.address("loop"));
      assert.equal((await m.run()).kind, "exit");
      assert.deepEqual([adds.value, bits.value, masked.value, inside.value, all.value, block.value], [
        600,
        600,
        600,
        300,
        600,
        300,
      ]);
      // Another one is in the boot ROM.
      assert.equal(jumps.value, 4 * 300 + 1);
    });

    test(`blocks of a range are seen at their starts: ${on}`, async () => {
      const p = calling(xlen, 100);
      await using m = await create(p, accel);
      const seen = new Map<number, number>();
      m.hook.block({ first: BigInt(p.address("loop")), last: BigInt(p.address("end") - 1) }, ({ pc }) => {
        seen.set(Number(pc), (seen.get(Number(pc)) ?? 0) + 1);
      });
      await m.run();
      const after = p.address("end") - 12;
      assert.deepEqual([...seen], [[p.address("loop"), 100], [p.address("back"), 100], [[...seen.keys()][2]!, 1]]);
      assert.ok(seen.size === 3 && Math.abs([...seen.keys()][2]! - after) <= 8);
    });

    test(`what a hook throws ends the run before the instruction, which the next run executes: ${on}`, async () => {
      const p = calling(xlen, 500);
      await using m = await create(p, accel);
      let calls = 0;
      m.hook.instruction(p.address("add"), () => {
        if (++calls === 300) throw new TypeError("no");
      });
      await assert.rejects(() => m.run(), (e: unknown) => {
        assert.ok(e instanceof HookError && e.cause instanceof TypeError);
        assert.match(e.message, /^hook.instruction, at 0x80000.*: no$/);
        return Number(e.pc) === p.address("add");
      });
      assert.equal(Number(m.hart.pc), p.address("add"));
      assert.equal(Number(m.hart.x.a0), 500 - 299);
      assert.equal((await m.run()).kind, "exit");
      assert.equal(calls, 500);
      assert.equal(Number(m.hart.x.s2), 500 * 501);
    });

    test(`a hook may end the run, go elsewhere, or skip its instruction: ${on}`, async () => {
      const p = calling(xlen, 400);
      await using m = await create(p, accel);
      let calls = 0;
      m.hook.instruction(p.address("add"), (c) => {
        if (++calls === 100) c.stop();
        if (calls > 200) c.skip();
        if (calls > 300) c.hart.pc = c.x.ra as never;
      });
      const stop = await m.run();
      assert.deepEqual([stop.kind, Number(stop.pc)], ["stopped", p.address("add")]);
      assert.equal((await m.run()).kind, "exit");
      assert.equal(calls, 400);
      // The first 200 calls doubled 400 to 201; the others gave n from 200 to 1.
      assert.equal(Number(m.hart.x.s2), (400 * 401 - 200 * 201) + 200 * 201 / 2);
    });

    test(`CSR hooks see and change what is read and written: ${on}`, async () => {
      const p = new Program(xlen).li("s1", 300).li("s2", 0).label("loop");
      p.csr("csrrw", "mscratch", "t1", "s1").op("add", { rd: "s2", rs1: "s2", rs2: "t1" });
      p.csri("csrrsi", "mscratch", 0, 1).csr("csrrs", "mscratch", "t2", 0);
      p.op("addi", { rd: "s1", rs1: "s1", imm: -1 }).to("bne", "loop", { rs1: "s1", rs2: 0 });
      finish(p);
      await using m = await create(p, accel);
      const reads: number[] = [], writes: number[] = [];
      const hook = m.hook.csr("mscratch", {
        read: (value, c) => {
          assert.equal(c.hart.pc, c.pc);
          reads.push(Number(value));
          return reads.length === 1 ? 1000 : undefined;
        },
        write: (value, c) => {
          writes.push(Number(value));
          if (Number(c.x.s1) === 100) hook.remove();
        },
      });
      await m.run();
      // Each turn reads three times and writes twice; the hook goes with the first write of the 201st.
      assert.deepEqual([reads.length, writes.length], [601, 401]);
      assert.deepEqual([reads.slice(0, 3), writes.slice(0, 3)], [[0, 300, 301], [300, 301, 299]]);
    });

    test(`trap hooks let traps be, resume elsewhere, or stop at the handler: ${on}`, async () => {
      const p = new Program(xlen).la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("s1", 200).label("loop");
      p.label("break").op("ebreak").label("after").op("addi", { rd: "s1", rs1: "s1", imm: -1 });
      p.to("bne", "loop", { rs1: "s1", rs2: 0 });
      finish(p).align(4).label("handler").op("addi", { rd: "s3", rs1: "s3", imm: 1 });
      p.csr("csrrs", "mepc", "t0", 0).op("addi", { rd: "t0", rs1: "t0", imm: 4 }).csr("csrrw", "mepc", 0, "t0").op(
        "mret",
      );
      await using m = await create(p, accel);
      let traps = 0;
      m.hook.trap({ cause: "breakpoint" }, (t) => {
        assert.deepEqual([Number(t.pc), t.code, t.from, t.to], [p.address("break"), 3, "M", "M"]);
        if (++traps > 100) t.resume(Number(t.pc) + 4);
        if (traps === 50) t.stop();
      });
      const stop = await m.run();
      assert.deepEqual([stop.kind, Number(stop.pc)], ["stopped", p.address("handler")]);
      assert.equal((await m.run()).kind, "exit");
      assert.deepEqual([traps, Number(m.hart.x.s3)], [200, 100]);
      assert.throws(() => m.hook.trap({ cause: "brakpoint" }, () => {}), /breakpoint/);
    });

    test(`memory hooks see reads, writes and fetches with the value before and after: ${on}`, async () => {
      const p = calling(xlen, 200);
      await using m = await create(p, accel);
      const stack = p.address("stack") - 16 + xlen / 8;
      const seen = { read: 0, write: 0, fetch: 0 };
      let old: unknown = undefined;
      m.hook.memory({ at: stack }, (a) => {
        seen[a.kind]++;
        assert.equal(Number(a.value), p.address("back"));
        if (a.kind === "write") old = a.oldValue;
      });
      m.hook.memory({ at: p.address("add"), on: "fetch" }, (a) => {
        seen[a.kind]++;
        assert.equal(a.size, 4);
      });
      assert.equal((await m.run()).kind, "exit");
      assert.deepEqual(seen, { read: 200, write: 200, fetch: 200 });
      assert.equal(Number(old), p.address("back"));
    });

    test(`a device that is there can be observed and replaced: ${on}`, async () => {
      const p = new Program(xlen).li("s0", 0x1000_0000).li("s1", 100).label("loop").op("lbu", {
        rd: "t0",
        rs1: "s0",
        imm: 5,
      });
      p.op("add", { rd: "s2", rs1: "s2", rs2: "t0" }).label("print").op("sb", { rs2: "s1", rs1: "s0" });
      p.op("addi", { rd: "s1", rs1: "s1", imm: -1 }).to("bne", "loop", { rs1: "s1", rs2: 0 });
      finish(p);
      await using m = await create(p, accel);
      let reads = 0;
      m.hook.mmio("serial", {
        read: ({ offset, proceed }) => {
          assert.equal(offset, 5);
          return ++reads <= 50 ? proceed()! & 0x20 : 1;
        },
        write: ({ value }) => {
          assert.equal(Number(m.hart.pc), p.address("print"));
          assert.equal(value, Number(m.hart.x.s1) & 0xff);
          return value !== 65;
        },
      });
      await m.run();
      assert.equal(m.console.output, "A");
      assert.equal(Number(m.hart.x.s2), 50 * 0x20 + 50);
    });
  }

  test(`a longjmp out of a function leaves no return behind, and recursion is told apart: rv${xlen}`, async () => {
    const p = new Program(xlen), word = xlen / 8, load = xlen === 64 ? "ld" : "lw", store = xlen === 64 ? "sd" : "sw";
    p.la("sp", "stack").li("a0", 3).to("jal", "down", { rd: "ra" }).label("first").li("a0", -1);
    p.to("jal", "down", { rd: "ra" }).label("never").op("ebreak").label("landing").li("a0", 2).to("jal", "down", {
      rd: "ra",
    });
    finish(p);
    // down(n): n > 0: down(n - 1) + 1; n < 0: jumps out, with the stack pointer as it was.
    p.label("down").op("addi", { rd: "sp", rs1: "sp", imm: -16 }).op(store, { rs2: "ra", rs1: "sp", imm: word });
    p.to("beq", "up", { rs1: "a0", rs2: 0 }).to("blt", "out", { rs1: "a0", rs2: 0 }).op("addi", {
      rd: "a0",
      rs1: "a0",
      imm: -1,
    });
    p.to("jal", "down", { rd: "ra" }).op("addi", { rd: "a0", rs1: "a0", imm: 1 }).label("up");
    p.op(load, { rd: "ra", rs1: "sp", imm: word }).op("addi", { rd: "sp", rs1: "sp", imm: 16 }).op("jalr", {
      rs1: "ra",
    });
    p.label("out").op("addi", { rd: "sp", rs1: "sp", imm: 16 }).to("jal", "landing");
    p.align(16).org(p.here + 512).label("stack");
    await using m = await create(p, "jit");
    const log: string[] = [];
    m.hook.call(p.address("down"), {
      enter: (c) => log.push(`> ${c.signed(0)}`),
      leave: (c) => log.push(`< ${BigInt.asIntN(xlen, BigInt(c.arg(0)))} = ${c.result}`),
    });
    assert.equal((await m.run()).kind, "exit");
    assert.deepEqual(log, [
      ...["> 3", "> 2", "> 1", "> 0", "< 0 = 0", "< 1 = 1", "< 2 = 2", "< 3 = 3"],
      "> -1",
      ...["> 2", "> 1", "> 0", "< 0 = 0", "< 1 = 1", "< 2 = 2"],
    ]);
  });
}

for (const target of ["javascript", "webassembly"]) {
  for (const xlen of WIDTHS) {
    test(`code without hooks is compiled to the very same text; hooked code has nothing more than them: rv${xlen}, ${target}`, async () => {
      const p = calling(xlen, 100), places = ["loop", "double", "add"].map((label) => p.address(label));
      // Hardly ever compiled by itself: the text is that of what would be.
      await using m = await create(p, `jit,threshold=60000,inline=0,target=${target}`);
      await m.run({ maxInstructions: 300 });
      const texts = () => places.map((address) => m.compiledText(address)!), [loop, double, add] = texts();
      const counter = m.count.block(p.address("add"));
      const counted = texts();
      assert.deepEqual(counted.slice(0, 2), [loop, double]);
      assert.notEqual(counted[2], add);
      assert.doesNotMatch(counted[2]!, /hooked/, "a counter is no call");
      counter.remove();
      assert.deepEqual(texts(), [loop, double, add]);
      const hook = m.hook.instruction(p.address("add") + 4, () => {});
      const [, , hooked] = texts();
      assert.deepEqual(texts().slice(0, 2), [loop, double]);
      // Up to the exit that rare ones share: fewer registers may be left to write back there.
      const body = (text: string) => text.split("\n  end\n")[0]!.split("\n");
      const lines = body(add!), left = body(hooked!);
      assert.match(hooked!, /hooked/);
      // What is there without hooks is still there, in order, but that registers are written back earlier.
      const kept = lines.filter((line) =>
        !/X\[|i\d\d\.store|i32.const 0|i64.const|local.get|STATE|EXIT|\be =/.test(line)
      );
      for (const line of kept) {
        const at = left.indexOf(line);
        assert.ok(at >= 0, `${line} is missing in:\n${hooked}`);
        left.splice(0, at + 1);
      }
      hook.remove();
      assert.deepEqual(texts(), [loop, double, add]);
    });

    test(`hooks and counters in compiled code see what the interpreter's see, also where they change registers: rv${xlen}, ${target}`, async () => {
      const p = calling(xlen, 3000), results: unknown[] = [];
      for (
        const accel of ["interpreter", `jit,threshold=1,target=${target}`, `jit,threshold=50,inline=0,target=${target}`]
      ) {
        await using m = await create(p, accel);
        const seen: string[] = [], counters = ["add", "loop", "double"].map((label) => m.count.block(p.address(label)));
        // Carries into the upper word.
        counters[0]!.value = 2 ** 32 - 10;
        m.hook.instruction(p.address("back"), (c) => {
          seen.push(`${m.instructions} ${c.x.a0} ${c.x.s1} ${c.x.s2} ${c.hart.readCsr("mcycle")}`);
          if (Number(c.x.s1) % 3 === 0) c.x.a0 = 7 as never;
          if (Number(c.x.s1) % 5 === 0) c.x.s2 = BigInt(c.x.s2) + (1n << 40n) as never;
          if (Number(c.x.s1) % 7 === 0) c.skip();
        });
        m.hook.instruction(p.address("add"), (c) => {
          if (Number(c.x.a0) % 11 === 0) c.x.a1 = -1 as never;
          if (Number(c.x.a0) % 100 === 1) c.stop();
        });
        const stops: string[] = [];
        for (let kind = ""; kind !== "exit";) {
          const stop = await m.run();
          kind = stop.kind;
          stops.push(`${kind} ${stop.instructions} ${stop.pc} ${m.hart.x.a0}`);
        }
        assert.ok(seen.length === 3000 && stops.length === 31);
        results.push([seen, stops, counters.map(({ value }) => value), m.hart.x.s2]);
      }
      assert.deepEqual(results[1], results[0]);
      assert.deepEqual(results[2], results[0]);
    });
  }
}

test("a hook and a counter on a jump to itself see each turn, however the run is cut", async () => {
  const p = new Program(64).li("a0", 1).label("here").to("jal", "here");
  for (const accel of ["interpreter", "jit,threshold=1"]) {
    await using m = await Machine.create({ cpu: "rv64", bios: p.elf(), memory: "4M", accel, failures: false });
    let calls = 0;
    m.hook.instruction(p.address("here"), () => void calls++);
    using count = m.count.block(p.address("here"));
    // Seven instructions come before.
    for (const maxInstructions of [107, 5000, 1, 30_000]) await m.run({ maxInstructions });
    assert.deepEqual([calls, count.value], [35_101, 35_101], accel);
  }
});

test("a counter keeps its value when it is removed, and takes integers only", async () => {
  const p = calling(64, 50);
  await using m = await create(p, "jit,threshold=1");
  const one = m.count.block(p.address("add")), other = m.count.instruction({ match: "jal" });
  m.hook.instruction(p.address("back"), (c) => {
    if (Number(c.x.s1) === 21) one.remove();
  });
  await m.run();
  assert.deepEqual([one.value, other.value >= 100], [30, true]);
  using more = m.count.block(p.address("loop"));
  assert.deepEqual([one.value, more.value], [30, 0]);
  one.value = 5;
  assert.equal(one.value, 5);
  assert.throws(() => more.value = 1.5, OptionError);
  assert.throws(() => more.value = -1, OptionError);
});

test("an RV32 result of 64 bits fills a0 and a1, and so does an argument", async () => {
  const p = calling(32, 1);
  await using m = await create(p, "jit");
  let seen = 0n, result = 0n;
  m.hook.call(p.address("double"), {
    enter: (c) => void (seen = c.arg64(0)),
  });
  m.hook.call(p.address("add"), { enter: (c) => c.return(0x1_0000_0002n) });
  m.hook.instruction(p.address("back"), (c) => void (result = BigInt(c.x.a1) << 32n | BigInt(c.x.a0)));
  await m.run();
  assert.deepEqual([seen, result], [7n << 32n | 1n, 0x1_0000_0002n]);
});

test("what does not exist is refused with the nearest that does", async () => {
  await using m = await Machine.create({ bios: "tests/programs/kernel.elf" });
  assert.throws(() => m.hook.call("trp", {}), (e: Error) => e instanceof AddressError && /trap/.test(e.message));
  assert.throws(
    () => m.hook.instruction({ match: "csrw" }, () => {}),
    (e: Error) => e instanceof OptionError && /csrrw/.test(e.message),
  );
  assert.throws(() => m.hook.instruction({}, () => {}), OptionError);
  assert.throws(() => m.hook.csr("mscrach", {}), /mscratch/);
  assert.throws(() => m.hook.mmio("serail", {}), /serial/);
  assert.throws(() => m.hook.memory({}, () => {}), OptionError);
});

test("a hook that gives back a promise ends the run", async () => {
  const p = calling(64, 3);
  await using m = await create(p, "jit");
  m.hook.instruction(p.address("add"), (async () => {}) as () => void);
  await assert.rejects(() => m.run(), /must not be asynchronous/);
});
