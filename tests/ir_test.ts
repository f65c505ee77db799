// The IR's text form and verifier, and that every meaning in the table is well-formed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Builder, FIELDS } from "../isa/ir.ts";
import { irText } from "../isa/ir_text.ts";
import { IrError, verifyIr } from "../isa/ir_verify.ts";
import { instructionNamed, INSTRUCTIONS } from "../isa/table.ts";

const KNOWN = { rd: 10, rs1: 2, rs2: 12, rs3: 13, imm: 8 };

function meaning(name: string, xlen: 32 | 64, symbolic = false): string {
  const b = new Builder(xlen, symbolic);
  instructionNamed(name, xlen).semantics!(b, symbolic ? FIELDS : KNOWN);
  return irText(b.statements);
}

test("every meaning in the table is well-formed, with operands known and unknown, for RV32 and RV64", () => {
  let count = 0;
  for (const xlen of [32, 64] as const) {
    for (const { xlen: only, semantics } of INSTRUCTIONS) {
      if (semantics === undefined || (only !== undefined && only !== xlen)) continue;
      for (const symbolic of [false, true]) {
        const b = new Builder(xlen, symbolic);
        semantics(b, symbolic ? FIELDS : KNOWN);
        verifyIr(b.statements, xlen);
        count++;
      }
    }
  }
  assert.ok(count > 400, `${count} meanings`);
});

test("the text form names registers, fields, temporaries and constants", () => {
  assert.equal(meaning("lw", 64), "t0 = load i32 plain [add(x2, 8)]\nx10 = signExtend64(t0)");
  assert.equal(meaning("lw", 32), "t0 = load i32 plain [add(x2, 8)]\nx10 = t0");
  assert.equal(meaning("beq", 32, true), "branch if eq(x[rs1], x[rs2])");
  assert.equal(meaning("jalr", 32), "t0 = and(add(x2, 8), -2)\nx10 = next\njump to t0");
  assert.equal(meaning("addw", 64), "x10 = signExtend64(add(wrap(x2), wrap(x12)))");
  assert.equal(meaning("ecall", 32), "leave ecall()");
  assert.equal(
    meaning("amoswap.w", 64),
    "t0 = load i32 amo [x2]\nstore i32 amo [x2], wrap(x12)\nx10 = signExtend64(t0)",
  );
});

test("a value of the wrong type is found", () => {
  const b = new Builder(64, false);
  b.setX(5, b.add(b.x(6), b.x(7)));
  assert.throws(() => verifyIr(b.statements, 32), IrError);
});

test("a register that is read after it was set is found", () => {
  const b = new Builder(32, false);
  b.setX(5, b.x(6));
  b.setX(6, b.x(5));
  assert.throws(() => verifyIr(b.statements, 32), /read after a register was set/);
});

test("a temporary that is used before it is defined is found", () => {
  const b = new Builder(32, false);
  const loaded = b.load("i32", b.x(5));
  b.setX(6, loaded);
  assert.throws(() => verifyIr([...b.statements].reverse(), 32), /used before it is defined/);
});

test("control that leaves in the middle is found", () => {
  const b = new Builder(32, false);
  b.jump();
  b.setX(6, b.x(5));
  assert.throws(() => verifyIr(b.statements, 32), /before the last statement/);
});
