// Backtraces: what GDB shows of the same program in QEMU, and beyond that through traps, without frame information, on stacks
// that are broken.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Machine } from "../mod.ts";
import { programPath, xlenOf } from "./support/debug_programs.ts";
import { gdbMissing } from "./support/gdb.ts";
import { printedByGdb } from "./support/gdb_oracle.ts";
import { qemuMissing } from "./support/qemu.ts";

/** A machine that has run to an address or symbol, for the n-th time. */
async function at(name: string, where: string | bigint, times = 1): Promise<Machine> {
  const machine = await Machine.create({ bios: programPath(name) });
  for (let k = 0; k < times; k++) {
    const stop = await machine.run({ until: where, maxInstructions: 100_000 });
    assert.equal(stop.kind, "breakpoint");
  }
  return machine;
}

const functions = (machine: Machine) => machine.backtrace().frames.map((frame) => frame.function);

/**
 * Lines without what GDB does differently: the address of a frame that stands at a line's start, `@entry`, short names of
 * numbers' types; and in optimised code it takes the line of the statement for that of the instruction.
 */
function normal(text: string, optimised: boolean): string[] {
  return text.split("\n").map((line) =>
    line.replace(/^(#\d+ +)0x[0-9a-f]+ in /, "$1").replace(/(\w+)=\1@entry=/g, "$1=").replace("<long int>", "<long>")
      .replace(optimised ? /^(#0 .*):\d+$/ : /$^/, "$1").trimEnd()
  );
}

const places: readonly (readonly [program: string, where: string])[] = [
  ...["debug_c_4_0", "debug_c_5_0", "debug_c_4_2", "debug_c_5_2", "debug_c32_5_0", "debug_c32_4_2"].flatMap((name) =>
    [[name, "recurse"], [name, "provoke"]] as const
  ),
  ...["debug_c_4_0", "debug_c_5_0"].map((name) => [name, "leaf"] as const),
  ...["debug_cpp_5_0", "debug_cpp_4_2"].map((name) => [name, "_ZNK6shapes9Rectangle4areaEv"] as const),
  ["debug_cpp_5_0", "_Z3addlRKN6shapes4PairIlEE"],
  ["debug_cpp_5_0", "_ZNK6shapes4PairIlE3sumEv"],
  ["debug_cpp_4_2", "_Z3addlRKN6shapes4PairIlEE"],
];

for (const [name, where] of places) {
  test(`the backtrace of ${name} at ${where} is GDB's, and goes on to _start`, {
    skip: gdbMissing() || qemuMissing(xlenOf(programPath(name))),
  }, async () => {
    const machine = await at(name, where), pc = machine.symbols.lookup(where)!;
    const [, , theirs] = await printedByGdb(programPath(name), [`tbreak *0x${pc.toString(16)}`, "continue", "bt"]);
    const optimised = name.endsWith("_2"), mine = normal(String(machine.backtrace()), optimised);
    assert.match(mine.at(-1)!, /_start \(\) at debug_start\.S:9$/);
    assert.deepEqual(mine.slice(0, -1), normal(theirs!, optimised));
  });
}

test("the frames of Rust have their modules, lines and text arguments", async () => {
  const machine = await at("debug_rust_5_0", "debug_rust::shapes::area");
  const [area, total, main, start] = machine.backtrace();
  assert.deepEqual(
    [area, total, main, start].map((frame) => [frame!.function, frame!.source?.name]),
    [
      ["debug_rust::shapes::area", "debug_rust.rs"],
      ["debug_rust::total", "debug_rust.rs"],
      ["debug_rust::main", "debug_rust.rs"],
      ["_start", undefined],
    ],
  );
  assert.deepEqual(total!.arguments, [{ name: "name", text: '"hello, Rust"' }, { name: "extra", text: "..." }]);
});

const TRAPPING = ["debug_c_4_0", "debug_c_4_2", "debug_c_5_0", "debug_c_5_2", "debug_c_plain", "debug_c_fp"];
for (const name of [...TRAPPING, "debug_c32_5_0", "debug_c32_4_2"]) {
  test(`${name}: a backtrace goes through both kinds of trap handlers to what they interrupted`, async () => {
    const expected = ["handle_trap", "plain_trap", "provoke", "main", "_start"];
    const machine = await at(name, "handle_trap", 1), frames = machine.backtrace().frames;
    assert.deepEqual(frames.map((frame) => frame.function), expected);
    assert.deepEqual(frames.map(({ trap }) => trap), [false, true, false, false, false]);
    const ebreak = frames[2]!.pc;
    assert.equal(machine.disassemble(ebreak)?.text, "ebreak", "the instruction itself, not the one before it");
    assert.ok(frames.every(({ sp }, k) => k === 0 || sp! >= frames[k - 1]!.sp!), "the stack grows down");
    await machine.run({ until: "handle_trap" });
    expected[1] = "framed_trap";
    assert.deepEqual(functions(machine), expected);
    assert.equal(machine.backtrace().frames[1]!.trap, true);
  });
}

test("within a trap handler the backtrace shows what was interrupted at every instruction, and changes nothing", async () => {
  const machine = await at("debug_c_5_2", "plain_trap");
  const expected = ["plain_trap", "provoke", "main", "_start"];
  for (let steps = 0; steps < 200; steps++) {
    const names = functions(machine);
    if (names.includes("handle_trap")) expected.unshift("handle_trap");
    else if (names[0] === "provoke") return;
    assert.deepEqual(names, expected, `at 0x${machine.hart.pc.toString(16)}`);
    if (expected[0] === "handle_trap") expected.shift();
    machine.step();
  }
  assert.fail("the handler does not return");
});

for (const name of ["debug_c_plain", "debug_c_fp", "debug_c_4_2", "debug_c_5_0", "debug_c32_4_2"]) {
  test(`${name}: at every instruction of all functions the callers are right`, async () => {
    const machine = await at(name, "main");
    const calls: string[] = ["main", "_start"];
    let depth = 0, looked = 0;
    for (let steps = 0; steps < 3000; steps++) {
      const names = functions(machine).filter((each) => !["square", "shifted"].includes(each ?? ""));
      if (names[0] === "_start") break;
      assert.deepEqual(names.slice(-2), calls, `at ${machine.symbols.format(machine.hart.pc)}: ${names}`);
      for (const [k, each] of names.slice(0, -3).entries()) {
        const caller = names[k + 1]!;
        const allowed: Record<string, RegExp> = {
          leaf: /^recurse$|^main$/,
          recurse: /^(recurse|main)$/,
          provoke: /^main$/,
          handle_trap: /^(plain|framed)_trap$/,
          plain_trap: /^provoke$/,
          framed_trap: /^provoke$/,
        };
        assert.match(caller, allowed[each!] ?? /^$/, `at ${machine.symbols.format(machine.hart.pc)}: ${names}`);
      }
      depth = Math.max(depth, names.length);
      looked++;
      machine.step();
    }
    assert.ok(looked > 100 && depth >= 3);
  });
}

test("a backtrace ends, whatever registers and stack hold", async () => {
  let state = 7;
  const random = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 4;
  for (const name of ["debug_c_5_2", "debug_c_plain", "debug_rust_5_0"]) {
    const machine = await at(name, "main"), { hart } = machine;
    const code = [...machine.symbols.names()].map((each) => machine.symbols.lookup(each)!).filter((a) =>
      a >= 0x8000_0000n
    );
    const stack = BigInt(hart.x.sp) - 0x800n;
    for (let round = 0; round < 150; round++) {
      const value = () => {
        const kind = random() % 4;
        if (kind === 0) return code[random() % code.length]! + BigInt(random() % 64);
        if (kind === 1) return stack + BigInt(random() % 0x1000);
        return kind === 2 ? BigInt(random()) * 0x1_0000_0001n : 0n;
      };
      for (let k = 0; k < 512; k++) machine.memory.write64(stack + BigInt(8 * k), value());
      for (const register of ["ra", "sp", "s0", "s1", "a0", "gp"] as const) hart.x[register] = value();
      hart.pc = code[random() % code.length]! + BigInt(2 * (random() % 64));
      const { frames } = machine.backtrace();
      assert.ok(frames.length >= 1 && frames.length <= 1000);
      assert.equal(typeof String(machine.backtrace()), "string");
    }
    // Frames that lead to themselves.
    hart.x.s0 = hart.x.sp = stack;
    hart.pc = hart.x.ra = machine.symbols.lookup("main")! + 8n;
    for (let k = 0; k < 512; k += 2) {
      machine.memory.write64(stack + BigInt(8 * k), stack + 64n);
      machine.memory.write64(stack + BigInt(8 * k + 8), hart.pc);
    }
    assert.ok(machine.backtrace().frames.length < 1000);
  }
});

test("a hart in the middle of nowhere has one frame without a name", async () => {
  await using machine = await Machine.create({ bios: programPath("debug_c_5_0") });
  machine.hart.pc = 0x9000_0000n;
  assert.equal(String(machine.backtrace()), "#0  0x0000000090000000 in ?? ()");
  await using narrow = await Machine.create({ bios: programPath("p0uart") });
  await narrow.run({ until: "_start" });
  assert.equal(String(narrow.backtrace()), "#0  0x80000000 in _start ()");
});

test("on RV32 without debug information the frames of Rust have their symbols' names", async () => {
  await using machine = await Machine.create({ bios: programPath("p0uart") });
  const name = machine.symbols.names().find((each) =>
    machine.symbols.at(machine.symbols.lookup(each)!)!.name === "core::fmt::write"
  )!;
  await machine.run({ until: name });
  assert.deepEqual(functions(machine), ["core::fmt::write", "entry"]);
});
