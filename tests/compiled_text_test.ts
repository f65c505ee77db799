// What the compiler makes of a few tiny functions, character for character, so that the generated code stays readable and what
// is known of values is used; and what must hold for the text of every region.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { Guest, WIDTHS } from "./support/guest.ts";
import { configurationOf, GROUP, guestOf, Subject } from "./support/lockstep_guest.ts";

/** The text of the code at a label, after all of it was executed. */
async function textOf(p: Program, label: string, more = ""): Promise<string> {
  // Hardly ever compiled by itself: the text is that of what would be.
  const guest = await Guest.with(p, "", { accel: `jit,history=off,threshold=60000,target=javascript${more}` });
  await guest.machine.run({ maxInstructions: 30 });
  return guest.machine.compiledText(p.address(label))!;
}

test("an RV32 loop with a load and a store", async () => {
  const p = new Program(32);
  p.li("a0", RAM_BASE + 0x100).li("a1", RAM_BASE + 0x200).label("loop").op("lw", { rd: "a2", rs1: "a0" });
  p.op("addi", { rd: "a2", rs1: "a2", imm: 3 }).op("sw", { rs1: "a0", rs2: "a2" });
  p.op("addi", { rd: "a0", rs1: "a0", imm: 4 }).to("bltu", "loop", { rs1: "a0", rs2: "a1" }).op("jalr", { rs1: "ra" });
  assert.equal(
    await textOf(p, "loop"),
    `function region_80000010(d) {
  let n = STATE[0], r = 0, e = 0, m = 0, thrown = null, q = c0, x10 = 0, x11 = 0, x12 = 0, t0 = 0, t1 = 0;
  try {
    EXIT: {
      x10 = X[10]; x11 = X[11]; x12 = X[12];
      if (n < 5) { e = -2147483632; m = 5120; break EXIT; }
      L80000010: for (;;) {
        if (n < 5) { e = -2147483632; m = 5120; break EXIT; }
        n = n - 5 | 0;
        // 80000010: lw a2,0(a0)
        t0 = x10 ^ -2147483648;
        if ((t0 & ~0xffffc) === 0) { t1 = I32[t0 >> 2]; } else { t1 = slowLoad(4, t0 ^ -2147483648, 0, -2147483632, 5120, n + 5); }
        x12 = t1;
        // 80000014: add a2,a2,3
        x12 = x12 + 3 | 0;
        // 80000018: sw a2,0(a0)
        t0 = x10 ^ -2147483648;
        if ((t0 & ~0xffffc) === 0 && LINES[t0 >>> 6] === 0) { I32[t0 >> 2] = x12; } else { slowStore(4, t0 ^ -2147483648, 0, x12, 0, -2147483624, 5120, n + 3); }
        // 8000001c: add a0,a0,4
        x10 = x10 + 4 | 0;
        // 80000020: bltu a0,a1,80000010
        if (x10 >>> 0 < x11 >>> 0) {
          continue L80000010;
        } else {
          { e = -2147483612; m = 5120; break EXIT; }
        }
      }
    }
  } catch (error) { thrown = error; m = STATE[5]; n = STATE[0]; }
  if (m & 1024) X[10] = x10;
  if (m & 4096) X[12] = x12;
  STATE[0] = n;
  if (thrown !== null) return caught(thrown);
  return e;
}`,
  );
});

test("RV64 arithmetic where upper halves follow from lower ones", async () => {
  const p = new Program(64);
  p.li("a0", 5).li("a1", 7).label("f").op("addw", { rd: "a0", rs1: "a0", rs2: "a1" });
  p.op("slli", { rd: "a2", rs1: "a0", imm: 32 }).op("srli", { rd: "a2", rs1: "a2", imm: 32 });
  p.op("add", { rd: "a3", rs1: "a2", rs2: "a1" }).op("sltu", { rd: "a4", rs1: "a3", rs2: "a2" }).op("jalr", {
    rs1: "ra",
  });
  assert.equal(
    await textOf(p, "f"),
    `function region_80000008(d) {
  let n = STATE[0], r = 0, e = 0, m = 0, thrown = null, q = c0, x1 = 0, x1h = 0, x10 = 0, x10h = 0, x11 = 0, x11h = 0, x12 = 0, x12h = 0, x13 = 0, x13h = 0, x14 = 0, x14h = 0, t0 = 0, t1 = 0;
  EXIT: {
    x1 = X[2]; x1h = X[3]; x10 = X[20]; x10h = X[21]; x11 = X[22]; x11h = X[23];
    if (n < 6) { e = -2147483640; m = 0; break EXIT; }
    if (((x1h ^ x1 >> 31) | (x10h ^ x10 >> 31) | (x11h ^ x11 >> 31)) !== 0) { e = -2147483640; m = 0; break EXIT; }
    n = n - 6 | 0;
    // 80000008: addw a0,a0,a1
    t0 = x10 + x11 | 0;
    x10 = t0;
    x10h = x10 >> 31;
    // 8000000c: sll a2,a0,0x20
    x12h = x10;
    x12 = 0;
    // 80000010: srl a2,a2,0x20
    x12 = x12h;
    x12h = 0;
    // 80000014: add a3,a2,a1
    t0 = x12 + x11 | 0;
    x13h = (x11 >> 31) + ((x12 & x11 | (x12 | x11) & ~t0) >>> 31) | 0;
    x13 = t0;
    // 80000018: sltu a4,a3,a2
    x14 = x13h >>> 0 < 0 || x13h === 0 && x13 >>> 0 < x12 >>> 0 ? 1 : 0;
    x14h = x14 >> 31;
    // 8000001c: ret
    t0 = x1 & -2;
    t1 = x1 >> 31;
    if (t1 !== 0) {
      X[20] = x10; X[21] = x10 >> 31; X[24] = x12; X[25] = 0; X[26] = x13; X[27] = x13h; X[28] = x14; X[29] = 0; STATE[0] = n;
      hart.setPc(t0, t1); return 1; }
    X[20] = x10; X[21] = x10 >> 31; X[24] = x12; X[25] = 0; X[26] = x13; X[27] = x13h; X[28] = x14; X[29] = 0; STATE[0] = n; return t0;
  }
  if (m & 1024) { X[20] = x10; X[21] = 0; }
  if (m & 4096) { X[24] = x12; X[25] = 0; }
  if (m & 8192) { X[26] = x13; X[27] = 0; }
  if (m & 16384) { X[28] = x14; X[29] = 0; }
  STATE[0] = n;
  return e;
}`,
  );
});

test("an RV32 call", async () => {
  const p = new Program(32);
  p.label("f").op("addi", { rd: "sp", rs1: "sp", imm: -16 }).op("addi", { rd: "a0", rs1: 0, imm: 1 });
  p.to("jal", "g", { rd: "ra" }).op("add", { rd: "a0", rs1: "a0", rs2: "a0" }).op("ecall");
  p.label("g").op("jalr", { rs1: "ra" });
  assert.equal(
    await textOf(p, "f", ",inline=0"),
    `function region_80000000(d) {
  let n = STATE[0], r = 0, e = 0, m = 0, thrown = null, q = c0, x1 = 0, x2 = 0, x10 = 0;
  EXIT: {
    x2 = X[2];
    if (n < 3) { e = -2147483648; m = 4; break EXIT; }
    n = n - 3 | 0;
    // 80000000: add sp,sp,-16
    x2 = x2 - 16 | 0;
    // 80000004: li a0,1
    x10 = 1;
    // 80000008: jal 80000014
    x1 = -2147483636;
    X[1] = -2147483636; X[2] = x2; X[10] = 1; STATE[0] = n;
    if (d <= 0) return -2147483628;
    r = c0.run(d - 1); if (r !== -2147483636) return r;
    n = STATE[0];
    if (n < 1) { e = -2147483636; m = 0; break EXIT; }
    x10 = X[10];
    n = n - 1 | 0;
    // 8000000c: add a0,a0,a0
    x10 = x10 + x10 | 0;
    X[10] = x10; STATE[0] = n; return -2147483632;
  }
  if (m & 2) X[1] = x1;
  if (m & 4) X[2] = x2;
  if (m & 1024) X[10] = x10;
  STATE[0] = n;
  return e;
}`,
  );
});

test("an RV32 call of a small function, which is put in its place", async () => {
  const p = new Program(32);
  p.label("f").op("addi", { rd: "a0", rs1: 0, imm: 1 }).to("jal", "g", { rd: "ra" });
  p.op("add", { rd: "a0", rs1: "a0", rs2: "a1" }).op("ecall");
  p.label("g").op("add", { rd: "a1", rs1: "a0", rs2: "a2" }).op("jalr", { rs1: "ra" });
  assert.equal(
    await textOf(p, "f"),
    `function region_80000000(d) {
  let n = STATE[0], r = 0, e = 0, m = 0, thrown = null, q = c0, x1 = 0, x10 = 0, x11 = 0, x12 = 0, t0 = 0;
  EXIT: {
    x12 = X[12];
    if (n < 5) { e = -2147483648; m = 0; break EXIT; }
    n = n - 2 | 0;
    // 80000000: li a0,1
    x10 = 1;
    // 80000004: jal 80000010
    x1 = -2147483640;
    n = n - 2 | 0;
    // 80000010: add a1,a0,a2
    x11 = 1 + x12 | 0;
    // 80000014: ret
    t0 = -2147483640;
    if (t0 !== -2147483640) { e = t0; m = 3074; break EXIT; }
    n = n - 1 | 0;
    // 80000008: add a0,a0,a1
    x10 = 1 + x11 | 0;
    X[1] = -2147483640; X[10] = x10; X[11] = x11; STATE[0] = n; return -2147483636;
  }
  if (m & 2) X[1] = x1;
  if (m & 1024) X[10] = x10;
  if (m & 2048) X[11] = x11;
  STATE[0] = n;
  return e;
}`,
  );
});

for (const xlen of WIDTHS) {
  test(`RV${xlen} regions hold each instruction once, as a comment, variables named after registers, and no BigInt`, async () => {
    let regions = 0;
    for (const seed of [0, 3, 7, 9].map((k) => GROUP * (2 * k + xlen / 32 - 1))) {
      const configuration = configurationOf(seed);
      assert.equal(configuration.xlen, xlen);
      const subject = await Subject.create({ ...configuration, accel: "jit,threshold=4,target=javascript" });
      subject.machine.onCompile = (code) => {
        const text = code.javascript, javascript = text.replace(/\/\/.*/g, "");
        assert.equal(text.split("\n").filter((line) => line.trim().startsWith("//")).length, code.instructions, text);
        assert.doesNotMatch(javascript, /\d+n\b|BigInt/);
        // A register or its upper half, a temporary, or one of a few that stand for something in every region.
        for (const name of javascript.match(/\w+(?= = 0[,;])/g)!) {
          assert.match(name, xlen === 32 ? /^([xft]\d+|[a-z])$/ : /^(x\d+h?|[ft]\d+|[a-z])$/);
        }
        regions++;
      };
      for (let k = 0; k < GROUP / 2; k++) {
        const { program, stops } = guestOf(seed + k, false);
        subject.load(program);
        for (const maxInstructions of stops) await subject.machine.run({ maxInstructions });
      }
    }
    assert.ok(regions > 200, `${regions} regions`);
  });
}
