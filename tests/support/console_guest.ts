// A guest that prints, waits for typed bytes, and ends: for tests of consoles.

import { Program } from "./assemble.ts";

/** What the guest does, step by step. */
export type ConsoleStep =
  /** Prints a text. */
  | { readonly print: string | Uint8Array }
  /** Waits for bytes until this one. */
  | { readonly until: string }
  /** Prints what it waited for. */
  | { readonly sleep: number };

/** Builds it. It ends with exit code 0, unless `end` says otherwise. */
export function consoleGuest(
  xlen: 32 | 64,
  steps: readonly ConsoleStep[],
  end: "exit" | "wfi" | "loop" | "reset" = "exit",
): Program {
  const p = new Program(xlen), encoder = new TextEncoder();
  p.li("s0", 0x1000_0000);
  const texts: [string, Uint8Array][] = [];
  steps.forEach((step, k) => {
    if ("print" in step) {
      const bytes = typeof step.print === "string" ? encoder.encode(step.print) : step.print;
      texts.push([`text${k}`, bytes]);
      p.la("s1", `text${k}`).li("s2", bytes.length).label(`print${k}`);
      p.op("lbu", { rd: "t0", rs1: "s1" }).op("sb", { rs2: "t0", rs1: "s0" }).op("addi", {
        rd: "s1",
        rs1: "s1",
        imm: 1,
      }).op("addi", { rd: "s2", rs1: "s2", imm: -1 }).to("bne", `print${k}`, { rs1: "s2", rs2: 0 });
    } else if ("until" in step) {
      p.li("s3", step.until.charCodeAt(0)).label(`poll${k}`);
      p.op("lbu", { rd: "t0", rs1: "s0", imm: 5 }).op("andi", { rd: "t0", rs1: "t0", imm: 1 });
      p.to("beq", `poll${k}`, { rs1: "t0", rs2: 0 }).op("lbu", { rd: "t0", rs1: "s0" });
      p.to("bne", `poll${k}`, { rs1: "t0", rs2: "s3" });
    } else {
      p.li("t0", step.sleep).label(`sleep${k}`).op("addi", { rd: "t0", rs1: "t0", imm: -1 });
      p.to("bne", `sleep${k}`, { rs1: "t0", rs2: 0 });
    }
  });
  if (end === "wfi") p.label("wait").op("wfi").to("jal", "wait");
  else if (end === "loop") p.label("loop").to("jal", "loop");
  else p.li("t0", end === "exit" ? 0x5555 : 0x7777).li("t1", 0x10_0000).op("sw", { rs2: "t0", rs1: "t1" });
  p.label("stop").to("jal", "stop");
  for (const [label, bytes] of texts) p.label(label).bytes(bytes);
  return p;
}
