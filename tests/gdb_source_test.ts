// GDB's commands about source, on programs with debug information: what it prints is the same with hartbeat and with QEMU.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { PROGRAMS_FOLDER } from "../scripts/build_guests.ts";
import { programPath, xlenOf } from "./support/debug_programs.ts";
import { compareSessions, gdbMissing } from "./support/gdb.ts";
import { qemuMissing } from "./support/qemu.ts";

const SOURCES = `set substitute-path /guest ${PROGRAMS_FOLDER}`;

/** `file:line` of the first line with a text. */
function at(file: string, text: string): string {
  const lines = readFileSync(new URL(`programs/${file}`, import.meta.url), "utf8").split("\n");
  const line = 1 + lines.findIndex((each) => each.includes(text));
  assert.ok(line > 0, text);
  return `${file}:${line}`;
}

async function session(name: string, commands: readonly string[], ...shown: readonly RegExp[]): Promise<void> {
  const path = programPath(name), text = await compareSessions(xlenOf(path), path, [SOURCES, ...commands]);
  for (const each of shown) assert.match(text, each);
}

const skipOf = (name: string) => gdbMissing() || qemuMissing(xlenOf(programPath(name)));

const START = ["break main", "continue", "info args", "info locals", "list"];
const VALUES = [
  ...["p nodes[1]", "p &nodes[2]", "p *nodes[1].run", "p matrix", "p/x matrix[1]", "p $_", "x/3dw &matrix"],
  ...["p fibonacci[5]@4", "p flagged", "p sizeof(struct node)", "whatis nodes[0].corners", "info symbol leaf"],
  ...[
    "info address sink",
    "set var sink = 99",
    "p sink",
    "p text",
    "p ratio",
    "ptype struct node",
    "info scope recurse",
  ],
];
const TRAP = [
  "delete",
  "tbreak provoke",
  "continue",
  "next",
  "info line",
  "tbreak handle_trap",
  "continue",
  "p cause",
  "bt 1",
];

for (const name of ["debug_c_5_0", "debug_c32_5_0"]) {
  test(
    `${name}: lists, steps, locals, displays and watchpoints read as with QEMU`,
    { skip: skipOf(name) },
    async () => {
      await session(
        name,
        [
          ...[
            ...START,
            `break ${at("debug_c.c", "int result =")}`,
            "continue",
            "info locals",
            "p local",
            "ptype local",
          ],
          ...["display local.x", "display/x sink"],
          ...[
            "step",
            "bt",
            "info args",
            "next",
            "step",
            "until",
            `advance ${at("debug_c.c", "if (depth == 0)")}`,
            "bt",
          ],
          ...[
            `break ${at("debug_c.c", "node->corners[1].x = a")} if a > 15`,
            "continue",
            "bt",
            "next",
            "next",
            "info locals",
            "p *node",
            "p node->corners",
            "up",
          ],
          ...[
            "info locals",
            "up",
            "p depth + sum",
            "frame 0",
            "watch sink",
            "continue",
            "continue",
            "bt",
            "info display",
          ],
          ...[
            "undisplay 1",
            "delete",
            "list 1,3",
            "info source",
            "finish",
            "p $",
            "next",
            ...VALUES,
            ...TRAP,
            "info locals",
          ],
        ],
        /^2: \/x sink = 0x0$/m,
        /^Hardware watchpoint \d+: sink$/m,
        /^\$\d+ = \{\{1, 2, 3\}, \{4, 5, 6\}\}$/m,
      );
    },
  );
}

for (const name of ["debug_c_4_2", "debug_c32_4_2"]) {
  test(`${name}: optimised code with inlined functions reads as with QEMU`, { skip: skipOf(name) }, async () => {
    await session(
      name,
      [
        ...[
          ...START,
          "break recurse",
          "continue",
          "bt",
          "info locals",
          "delete",
          "hbreak square",
          "info breakpoints",
        ],
        ...[
          "continue",
          "bt",
          "info args",
          "info locals",
          "up",
          "bt 1",
          "step",
          "next",
          "until",
        ],
        ...["watch sink", "continue", "bt", "continue", "info watchpoints", ...VALUES],
      ],
      /^#0 .*square \(.*\) at debug_c\.c:\d+\n#1 .*shifted \(/m,
      /^Hardware watchpoint \d+: sink$/m,
    );
  });
}

test(
  "C++: methods, references, templates and lambdas read as with QEMU",
  { skip: skipOf("debug_cpp_5_0") },
  async () => {
    await session(
      "debug_cpp_5_0",
      [
        ...[
          "break shapes::Rectangle::area",
          "continue",
          "bt",
          "info args",
          "p *this",
          "p this->width",
          "p id",
          "p hidden",
        ],
        ...[
          "next",
          "finish",
          "break add",
          "info breakpoints",
          "continue",
          "info args",
          "next",
          "up",
          "info locals",
          "down",
        ],
        ...["delete", "tbreak shapes::Pair<long>::sum", "continue", "bt", "p *this", "finish", "ptype shapes::pair"],
        ...[
          `tbreak ${at("debug_cpp.cc", "a > b ? a : b")}`,
          "continue",
          "info args",
          "p shapes::mode",
          "p alias",
          "p made",
        ],
        ...["p *(shapes::Rectangle *)made", "info symbol shapes::Shape::identity", "info line shapes::Shape::identity"],
      ],
      /shapes::Rectangle::area \(this=0x/,
      /^a = @0x[0-9a-f]+: 1$/m,
      /\(2 locations\)/,
    );
  },
);

for (const name of ["debug_rust_5_0", "debug_rust_4_2"]) {
  // Nothing here prints an enumeration with data: GDB 13 crashes on that.
  test(`${name}: slices, enumerations and modules of Rust read as with QEMU`, { skip: skipOf(name) }, async () => {
    await session(
      name,
      [
        ...["break main", "continue", "info locals", "tbreak debug_rust::shapes::area", "continue", "bt", "info args"],
        ...["p *shape", "next", "up", "info locals", "list", "p debug_rust::MAYBE", "down"],
        ...[
          "p debug_rust::GREETING",
          "finish",
          "watch debug_rust::shapes::COUNT",
          "continue",
          "info breakpoints",
          "delete",
        ],
        ...["ptype debug_rust::shapes::Shape", "info symbol $pc", "step", "next", "until"],
      ],
      /debug_rust::shapes::area/,
      /^Hardware watchpoint \d+: debug_rust::shapes::COUNT$/m,
    );
  });
}
