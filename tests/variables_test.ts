// Variables of guest programs: what GDB prints of them in QEMU, and what scripts get.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AddressError, Machine } from "../mod.ts";
import { programPath, xlenOf } from "./support/debug_programs.ts";
import { gdbMissing } from "./support/gdb.ts";
import { printedByGdb } from "./support/gdb_oracle.ts";
import { qemuMissing } from "./support/qemu.ts";

async function at(name: string, where: string): Promise<Machine> {
  const machine = await Machine.create({ bios: programPath(name) });
  assert.equal((await machine.run({ until: where, maxInstructions: 100_000 })).kind, "breakpoint");
  return machine;
}

const C = [
  ...["nodes[1]", "nodes[1].next->next->name", "nodes[1].corners", "nodes[1].color", "nodes[1].either", "nodes[1].run"],
  ...[
    "nodes[1].inner",
    "*nodes[1].next",
    "flagged",
    "flagged.wide",
    "flagged.small",
    "matrix",
    "matrix[1]",
    "matrix[1][2]",
  ],
  ...["ratio", "third", "yes", "letter", "minus", "text", "*text", "nothing", "mode", "odd", "big", "long_list"],
  ...["fibonacci", "hidden", "nodes[1].raw"],
];

for (const name of ["debug_c_4_0", "debug_c_4_2", "debug_c_5_0", "debug_c_5_2", "debug_c32_5_0", "debug_c32_4_2"]) {
  test(
    `${name}: variables are printed as by GDB`,
    { skip: gdbMissing() || qemuMissing(xlenOf(programPath(name))) },
    async () => {
      const machine = await at(name, "recurse"), pc = machine.symbols.lookup("recurse")!;
      const commands = [`tbreak *0x${pc.toString(16)}`, "continue", ...C.map((each) => `print ${each}`)];
      const theirs = (await printedByGdb(programPath(name), commands)).slice(2).map((text) =>
        text.replace(/^\$\d+ = /, "")
      );
      assert.deepEqual(C.map((each) => String(machine.variable(each))), theirs);
    },
  );
}

test("values are JavaScript's own, by type", async () => {
  const machine = await at("debug_c_5_0", "leaf");
  const value = (name: string) => machine.variable(name).value;
  assert.equal(value("matrix[1][2]"), 6);
  assert.equal(value("big"), -5000000000n);
  assert.equal(value("yes"), true);
  assert.equal(value("ratio"), 0.1);
  assert.equal(value("nodes[1].name"), "hello");
  assert.equal(value("mode"), 5);
  assert.deepEqual(value("flagged"), { ready: 1, level: 17, small: -3, wide: 0x123456789an });
  assert.deepEqual(value("nodes[1].corners"), [{ x: 0, y: 0 }, { x: 0, y: 0 }]);
  assert.equal(value("nodes[1].next"), machine.variable("nodes[2]").address);
  assert.equal(value("&nodes[2]"), machine.variable("nodes[2]").address);
  const { name, type, size, address } = machine.variable("nodes[1]");
  assert.deepEqual([name, type, size, address], [
    "nodes[1]",
    "struct node",
    64,
    machine.symbols.lookup("nodes")! + 64n,
  ]);
});

test("names are looked for in the frame that is asked for", async () => {
  const machine = await at("debug_c_5_0", "leaf");
  const frames = machine.backtrace().frames, main = frames.findIndex((frame) => frame.function === "main");
  assert.equal(machine.variable("local.y", { frame: main }).value, 42);
  assert.throws(() => machine.variable("local.y"), { name: "AddressError", message: /^local\.y|no variable local/ });
  assert.equal(machine.variable("depth", { frame: 1 }).value, 0);
  assert.equal(machine.variable("depth", { frame: 3 }).value, 2);
});

for (const name of ["debug_rust_5_0", "debug_rust_4_2"]) {
  test(`${name}: enumerations, tuples and texts of Rust can be read`, async () => {
    const machine = await at(name, "debug_rust::shapes::area"), variable = (each: string) => machine.variable(each);
    assert.equal(String(variable("debug_rust::MAYBE")), "core::option::Option<u32>::Some(5)");
    assert.equal(String(variable("SHAPES[1]")), "debug_rust::shapes::Shape::Circle(2)");
    assert.deepEqual(variable("SHAPES").value, [
      "Empty",
      { Circle: 2 },
      { Rectangle: { corner: { x: -1, y: 2 }, size: [3, 4] } },
    ]);
    assert.equal(variable("SHAPES[2].corner.x").value, -1);
    assert.deepEqual([variable("NOTHING").value, variable("LETTER").value], ["None", "R"]);
    assert.deepEqual([variable("PAIR").value, variable("PAIR.0").value], [[-3, true], -3]);
    assert.equal(variable("GREETING").value, "hello, Rust");
    assert.equal(variable("COUNT").type, "u64");
  });
}

test("members of C++ are reached through this, bases and namespaces", async () => {
  const machine = await at("debug_cpp_5_0", "_ZNK6shapes9Rectangle4areaEv");
  // Behind the prologue.
  for (let k = 0; k < 6; k++) machine.step();
  const value = (name: string) => machine.variable(name).value;
  assert.deepEqual([value("width"), value("this->height"), value("id")], [3, 4, 7]);
  assert.deepEqual([value("hidden"), value("shapes::pair.second"), value("shapes::Shape::count")], [9, 12n, 1]);
  assert.equal(String(machine.variable("mode")), "shapes::Mode::On");
});

test("what is wrong with a name is said", async () => {
  const machine = await at("debug_c_5_0", "leaf");
  const cases: readonly (readonly [string, RegExp])[] = [
    ["nodez", /no variable nodez; did you mean nodes\?/],
    ["nodes[1].colour", /struct node has no member colour; did you mean color\?/],
    ["nodes[3]", /\[3\] lies outside of struct node \[3\]/],
    ["ratio.x", /double has no members/],
    ["ratio[0]", /double is no array/],
    ["*ratio", /double is no pointer/],
    ["*nothing", /points to no type/],
    ["", /not understood from its end on/],
    ["a b", /not understood from b on/],
    ["nodes[", /not understood/],
  ];
  for (const [name, message] of cases) {
    assert.throws(
      () => machine.variable(name),
      (error: Error) => error instanceof AddressError && message.test(error.message),
      name,
    );
  }
  assert.throws(() => machine.variable("nodes", { frame: 99 }), /no frame 99; the backtrace has 7/);
  assert.throws(() => machine.variable("node->next").value, /no memory at 0x/);
});
