// What a failed run says: where the guest is, how it came there, its last trap, what it printed last.

import { causeName } from "../hart/trap.ts";
import type { Machine } from "./machine.ts";
import type { Stop } from "./stop.ts";

/** How many lines of the console are shown. */
const CONSOLE_LINES = 10;
/** How many lines of a backtrace are shown. */
const BACKTRACE_LINES = 20;

const hex = (value: number | bigint) => `0x${BigInt(value).toString(16)}`;

/** What a report is made from. */
export type Reported = Pick<
  Machine,
  "harts" | "symbols" | "console" | "disassemble" | "backtrace" | "history" | "consoles"
>;

/** A report in several lines. */
export function failureReport(machine: Reported, stop: Stop): string {
  const lines = [`${stop.kind} after ${stop.instructions} instructions`];
  for (const hart of machine.harts) {
    const { pc, x } = hart, place = machine.symbols.format(BigInt(pc));
    const where = place.startsWith("0x") ? place : `${hex(pc)} <${place}>`;
    lines.push(`hart ${hart.id}: pc ${where}, ${hart.privilege}-mode${hart.waiting ? ", waiting (wfi)" : ""}`);
    const instruction = machine.disassemble(pc as bigint);
    if (instruction !== undefined) lines.push(`  instruction  ${instruction.text.replace("\t", " ")}`);
    const names = ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"] as const;
    lines.push(`  arguments    ${names.map((name) => `${name} ${hex(x[name])}`).join(", ")}`);
    lines.push(`  returns to   ${machine.symbols.format(BigInt(x.ra))}, sp ${hex(x.sp)}`);
    lines.push(...trapLines(hart));
    const executed = machine.history(hart);
    if (executed.length > 0) lines.push("  last instructions");
    for (const { pc, place, text } of executed) lines.push(`    ${hex(pc)} <${place}>  ${text.replace("\t", " ")}`);
    lines.push(
      "  backtrace",
      ...String(machine.backtrace(hart)).split("\n").slice(0, BACKTRACE_LINES).map((line) => `    ${line}`),
    );
  }
  if (machine.harts.every((hart) => machine.history(hart).length === 0)) {
    lines.push('  (the same run with accel "jit,history=on" shows the last 20 instructions)');
  }
  for (const console of machine.consoles.values()) {
    const text = console.output.split(/\r?\n/).filter((line, k, all) => line !== "" || k < all.length - 1);
    if (text.length === 0) continue;
    lines.push(console === machine.console ? "console:" : `console ${console.name}:`);
    lines.push(...text.slice(-CONSOLE_LINES).map((line) => `  | ${line}`));
  }
  return lines.join("\n");
}

/** The trap whose registers stand in the CSRs of the present privilege level. */
function trapLines(hart: Machine["harts"][number]): string[] {
  const lines: string[] = [];
  for (const level of ["m", "s"]) {
    let cause: bigint;
    try {
      cause = BigInt(hart.readCsr(`${level}cause`));
    } catch {
      continue;
    }
    const epc = BigInt(hart.readCsr(`${level}epc`)), value = BigInt(hart.readCsr(`${level}tval`));
    if (cause === 0n && epc === 0n) continue;
    const interrupt = (cause >> BigInt(hart.xlen - 1)) !== 0n, code = Number(BigInt.asUintN(hart.xlen - 1, cause));
    const status = hex(hart.readCsr(`${level}status`)), vector = hex(hart.readCsr(`${level}tvec`));
    lines.push(
      `  last trap    ${causeName(code, interrupt)}: ${level}epc ${hex(epc)}, ${level}tval ${hex(value)}, ` +
        `${level}status ${status}, ${level}tvec ${vector}`,
    );
  }
  return lines;
}
