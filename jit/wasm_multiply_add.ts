// The fused multiply-add of hart/double_operations.ts as a WebAssembly function: for the sums of which the fast path of a region is not
// sure, several of a hundred where sums grow slowly.

import { DOWN, FUSED_SMALL, LARGE, SMALL, UP, VERY_LARGE } from "../hart/double_operations.ts";
import { type PlainInstruction, WasmFunction } from "./wasm_assembler.ts";

/** 2^27 + 1: with it, a double is taken apart into two halves (Dekker). */
const SPLITTER = 134217729;

/** The module of `multiplyAdd`, of three doubles: gives a·b + c rounded once, or NaN where that is not sure. */
export function multiplyAddModule(pages: number): Uint8Array<ArrayBuffer> {
  const f = new WasmFunction(false, ["f64", "f64", "f64"], "f64"), a = 0, b = 1, c = 2;
  const [p, pe, s, d, e, r] = ["p", "pe", "s", "d", "e", "r"].map((name) => f.local("f64", name)) as Six;
  const [x, ah, al, bh, bl, w] = ["x", "ah", "al", "bh", "bl", "w"].map((name) => f.local("f64", name)) as Six;
  /** Pushes the result of an operation on local variables and what functions push. */
  const op = (name: string, ...operands: (number | (() => void))[]) => {
    for (const operand of operands) typeof operand === "number" ? f.get(operand) : operand();
    f.op(`f64.${name}` as PlainInstruction);
  };
  const constant = (value: number) => () => f.f64(value);
  const give = (push: () => void) => (f.if(), push(), f.op("return"), f.end());
  const unsure = () => f.f64(NaN);
  const isMedium = (local: number) => {
    op("ge", () => op("abs", local), constant(SMALL)),
      op("le", () => op("abs", local), constant(LARGE)),
      f.op("i32.and");
  };
  /** Leaves the error of the sum of two in a third. */
  const sumError = (one: number, two: number, sum: number, error: number) => {
    op("sub", sum, one), f.set(w);
    op("add", () => op("sub", one, () => op("sub", sum, w)), () => op("sub", two, w)), f.set(error);
  };
  const split = (of: number, high: number, low: number) => {
    op("mul", of, constant(SPLITTER)), f.set(x);
    op("sub", x, () => op("sub", x, of)), f.set(high);
    op("sub", of, high), f.set(low);
  };
  op("mul", a, b), f.set(p);
  op("eq", a, constant(0)), op("eq", b, constant(0)), f.op("i32.or"), f.if();
  op("le", () => op("abs", c), constant(VERY_LARGE)), give(() => op("add", p, c));
  unsure(), f.op("return");
  f.end();
  isMedium(a), isMedium(b), f.op("i32.and"), f.op("i32.eqz"), give(unsure);
  op("eq", c, constant(0)), give(() => f.get(p));
  isMedium(c), f.op("i32.eqz"), give(unsure);
  split(a, ah, al), split(b, bh, bl);
  const rest = () => op("sub", () => op("sub", p, () => op("mul", ah, bh)), () => op("mul", al, bh));
  op("sub", () => op("mul", al, bl), () => op("sub", rest, () => op("mul", ah, bl))), f.set(pe);
  op("add", p, c), f.set(s), sumError(p, c, s, d);
  op("add", d, pe), f.set(e), sumError(d, pe, e, x);
  op("eq", x, constant(0)), f.if();
  op("add", s, e), f.set(r);
  f.else();
  op("add", s, () => op("mul", e, constant(UP))), f.set(r);
  op("ne", r, () => op("add", s, () => op("mul", e, constant(DOWN)))), give(unsure);
  f.end();
  op("eq", r, constant(0)),
    op("ge", () => op("abs", r), constant(FUSED_SMALL)),
    f.op("i32.or"),
    f.op("i32.eqz"),
    give(unsure);
  f.get(r);
  return f.module(pages);
}

type Six = [number, number, number, number, number, number];
