// The instruction table: every instruction that hartbeat knows, once.

import { type Definition, type Pattern, readPattern } from "./instruction.ts";
import { RV_A } from "./rv_a.ts";
import { RV_C } from "./rv_c.ts";
import { RV_D } from "./rv_d.ts";
import { RV_F } from "./rv_f.ts";
import { RV_I } from "./rv_i.ts";
import { RV_M } from "./rv_m.ts";
import { SUPERVISOR } from "./supervisor.ts";
import { ZBA } from "./zba.ts";
import { ZBB } from "./zbb.ts";
import { ZBC } from "./zbc.ts";
import { ZBKB } from "./zbkb.ts";
import { ZBKX } from "./zbkx.ts";
import { ZBS } from "./zbs.ts";
import { ZCB } from "./zcb.ts";
import { ZCMP } from "./zcmp.ts";
import { ZFA } from "./zfa.ts";
import { ZFH } from "./zfh.ts";
import { ZICBO } from "./zicbo.ts";
import { ZICOND } from "./zicond.ts";
import { ZICSR } from "./zicsr.ts";
import { ZIMOP } from "./zimop.ts";
import { ZKN } from "./zkn.ts";
import { ZKS } from "./zks.ts";

/** A definition with its pattern made ready. */
export interface Instruction extends Definition {
  /** Position in the table; the number by which decoded instructions name it. */
  readonly id: number;
  /** Its encoding. */
  readonly encoding: Pattern;
}

/** All instructions, in the order of their ids. */
export const INSTRUCTIONS: readonly Instruction[] = [
  ...RV_I,
  ...RV_M,
  ...RV_A,
  ...ZICSR,
  ...SUPERVISOR,
  ...ZICBO,
  ...ZICOND,
  ...ZIMOP,
  ...ZBA,
  ...ZBB,
  ...ZBC,
  ...ZBS,
  ...ZBKB,
  ...ZBKX,
  ...ZKN,
  ...ZKS,
  ...RV_C,
  ...ZCB,
  ...RV_F,
  ...RV_D,
  ...ZFH,
  ...ZFA,
  ...ZCMP,
].map(instructionOf);

/** An entry of the table: all have one shape, which V8 likes. */
function instructionOf(definition: Definition, id: number): Instruction {
  const { name, extensions, requires, xlen, format, pattern, immediate, valid, semantics, expand } = definition;
  return {
    name,
    extensions,
    requires,
    xlen,
    format,
    pattern,
    immediate,
    valid,
    semantics,
    expand,
    id,
    encoding: readPattern(definition),
  };
}

const byName = new Map<string, Instruction[]>();
for (const instruction of INSTRUCTIONS) {
  const same = byName.get(instruction.name);
  if (same === undefined) byName.set(instruction.name, [instruction]);
  else same.push(instruction);
}

/** The instruction with a mnemonic for a register width. Throws if there is none: names come from the table itself. */
export function instructionNamed(name: string, xlen: 32 | 64): Instruction {
  const found = byName.get(name)?.find((entry) => entry.xlen === undefined || entry.xlen === xlen);
  if (found === undefined) throw new Error(`no instruction ${name} for RV${xlen}`);
  return found;
}
