// Shows the interpreter's loop every one of its paths before the first guest instruction.
//
// V8 compiles a path that it has not seen yet as "leave the optimised code", and the loop is one function: without this, a
// guest that executes something for the first time throws away the optimised loop, again and again during its first second.

import { REMAINING } from "../hart/counter.ts";
import type { Hart } from "../hart/hart.ts";
import type { LoadStoreUnit } from "../hart/load_store_unit.ts";
import { CSR } from "../hart/csr.ts";
import { READ } from "../hart/pmp.ts";
import { LINE_SHIFT } from "../hart/memory.ts";
import { MSTATUS } from "../hart/status.ts";
import { tlbBase } from "../hart/tlb.ts";
import { Exception, MACHINE } from "../hart/trap.ts";
import { type DecodeCache, ILLEGAL, packFields, PAGE_RECORDS } from "./decode_cache.ts";
import type { InlineOperation } from "./interpreter.ts";

/** Registers of the training records, as numbers. */
const RD = 5, RS1 = 6, RS2 = 7;
const ROUNDS = 12;
/** Bytes of RAM that are used. */
const TRAINED = 8192;
const NOP = 0x13;

/** What is trained. */
export interface Trainee {
  readonly hart: Hart;
  readonly unit: LoadStoreUnit;
  readonly cache: DecodeCache;
  readonly operations: readonly InlineOperation[];
  readonly interpret: (record: number) => number;
  readonly enter: (low: number, high: number) => number;
  readonly handlers: ((record: number) => number)[];
  readonly heat: Uint16Array;
  readonly threshold: number;
}

/**
 * Runs the loop over records that no guest has. It works on the first two pages of RAM, whose contents it puts back, and
 * leaves no trace but V8's type feedback. The cache must be empty.
 */
export function train(trainee: Trainee): void {
  const { hart, unit, cache } = trainee, { ram } = hart.memory, { state } = hart.count;
  const lines = ram.lines.subarray(0, TRAINED >> LINE_SHIFT), bytes = ram.u8.subarray(0, TRAINED);
  const saved = [hart.x, state, hart.access, lines, bytes].map((words) => ({ words, values: words.slice() }));
  const { privilege, pcLow, pcHigh, translation, csrs, access } = hart, status = csrs[2 * CSR.mstatus]!;
  // Addresses mean themselves in machine mode.
  hart.privilege = MACHINE;
  csrs[2 * CSR.mstatus] = status & ~MSTATUS.MPRV;
  access[0] = tlbBase(MACHINE);
  lines.fill(0);
  translation.buffers.flush();
  unit.rehearsing = true;
  try {
    for (let offset = 0; offset < TRAINED; offset += 4096) translation.translate(ram.base + offset | 0, 0, 1, READ);
    if (trainee.enter(ram.base | 0, 0) >= 0) rehearse(trainee);
  } catch (e) {
    // Locked entries of physical memory protection forbid it.
    if (!(e instanceof Exception)) throw e;
  }
  unit.rehearsing = false;
  cache.flush();
  translation.buffers.flush();
  hart.privilege = privilege;
  csrs[2 * CSR.mstatus] = status;
  hart.setPc(pcLow, pcHigh);
  for (const { words, values } of saved) words.set(values as never);
}

function rehearse({ hart, cache, operations, interpret, enter, handlers, heat, threshold }: Trainee): void {
  const { ram } = hart.memory, { state } = hart.count, scale = hart.xlen / 32;
  const page = ram.base, nextPage = ram.base + Math.min(4096, ram.size - 4096);
  // Aligned and misaligned, in RAM and in the other page, nowhere, operands of every order; sums that overflow 32 bits.
  const most = 2 ** 31 - 1;
  const usual: [number, number][] = [[page + 1024, 1], [page + 1025, -1], [nextPage, page], [64, 64], [-1, 1], [1, -1]];
  const rare: [number, number][] = [[33, 33], [most, most], [-most, -most], [most, -most], [-most, most]];
  const put = (record: number, operation: number, length = 1) => {
    cache.operation[record] = operation;
    cache.fields[record] = packFields(RD * scale, RS1 * scale, RS2 * scale, length);
    cache.immediate[record] = 0;
  };
  let round = 0;
  const run = (pc: number, length: number) => {
    state[REMAINING] = length;
    if (round % 2 === 0) heat.fill(threshold - 1, 0, PAGE_RECORDS);
    const record = enter(pc | 0, 0);
    try {
      interpret(record);
    } catch (e) {
      // A misaligned target, where there are no compressed instructions.
      if (!(e instanceof Exception)) throw e;
    }
  };
  for (; round < ROUNDS; round++) {
    for (const { general, near } of operations) {
      // V8 need see each only once; the rounds are so many for the loop to be optimised.
      const first = round < 2;
      for (const [k, [rs1, rs2]] of (first ? [...usual, ...rare] : usual).entries()) {
        hart.writeX(RS1, BigInt(rs1));
        hart.writeX(RS2, BigInt(rs2));
        // A shift by more than 32, too. The immediate of a branch says where it goes.
        for (const immediate of first && near === general ? [0, 33, -1] : [0]) {
          put(enter(page | 0, 0), near, 1 + (round + k) % 2);
          cache.immediate[enter(page | 0, 0)] = immediate;
          run(page, 1);
        }
      }
      // The general form of a direct branch is a function of its own.
      put(enter(page | 0, 0), general);
      run(page, 1);
    }
    // A handler after which the loop ends.
    const illegal = handlers[ILLEGAL]!;
    handlers[ILLEGAL] = () => -1;
    put(enter(page | 0, 0), ILLEGAL);
    run(page, 2);
    handlers[ILLEGAL] = illegal;
    // Several in a row, over the end of the page, and into a halfword that has not been decoded.
    const { near } = operations[0]!, first = enter(page | 0, 0);
    for (let record = first; record < first + PAGE_RECORDS - 1; record++) put(record, near);
    run(page, 3);
    ram.i32[(nextPage - page) / 4] = NOP;
    run(page + 4092, 3);
    cache.flush();
  }
  heat.fill(0, 0, 2 * PAGE_RECORDS);
}
