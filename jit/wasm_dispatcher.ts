// What runs a hart: goes from the interpreter's loop to compiled regions, from region to region where none calls the next one, and back,
// as WebAssembly. JavaScript is called only for what neither does.

import { COUNT_END, IN_REGION, LEFT, PAGE_OFFSET, PC_HIGH, REASON, REMAINING, RESULT } from "../hart/counter.ts";
import { COMPILED, FIELD, RECORD_BYTES } from "./decode_cache.ts";
import { type PageTableLayout, pushFirstRecord, pushPageMissed, pushPageOffset } from "./page_table.ts";
import { ELSEWHERE } from "./region_emitter.ts";
import { WasmFunction } from "./wasm_assembler.ts";
import { noteCompiled, noteInterpreted, notePage } from "./wasm_history.ts";
import { findCell } from "./wasm_emitter.ts";

/** Why the dispatcher gave a negative number: `Count.state[REASON]`. */
export const DISPATCH = {
  /** The record whose complement it gave has become hot: by jumps in the interpreter. */
  hot: 0,
  /** The same, since compiled code was left for it. */
  left: 1,
  /** Compiled code ended at the address in `Count.state[RESULT]`, or where the hart's pc says, and somebody must look at why. */
  ended: 2,
  /** Execution goes on at the address in `Count.state[RESULT]`, whose page the table does not know. */
  page: 3,
} as const;

/** Counters that it keeps, 64 bits each. */
export const FIGURE = { entries: 0, regions: 1, executed: 2, slice: 3, notCompiled: 4 } as const;

/** How much hotter a record gets by being where compiled code is left than by a jump: that costs as much as many instructions. */
const LEFT_HEAT = 2;

/** What it depends on. Places are offsets in bytes in the memory that WebAssembly sees. */
export interface DispatcherOptions {
  readonly threshold: number;
  /** How many calls of regions may be within one another. */
  readonly callDepth: number;
  /** Most instructions that a region takes at once. */
  readonly regionInstructions: number;
  /** High half of the addresses whose code it runs. */
  readonly high: number;
  /** What the words of `Hart.access` have to be for that, by index. */
  readonly access: ReadonlyMap<number, number>;
  /** Number of the cache that the records are in, for the history. */
  readonly cache: number;
  readonly layout: PageTableLayout & {
    /** `Count.state`. */
    readonly state: number;
    /** `DecodeCache.words`. */
    readonly records: number;
    /** See `WasmLayout`. */
    readonly ready: number;
    readonly lookUp: number;
    /** Counters: see `FIGURE`. */
    readonly figures: number;
    /** The words of the hart's history (history.ts); undefined where it is not kept. */
    readonly history: number | undefined;
    readonly pages: number;
  };
}

/**
 * Its module, which imports the interpreter's loop as `interpret` and is used like it. Beside what the loop gives, it gives negative
 * numbers for the reasons of `DISPATCH`.
 */
export function dispatcher(options: DispatcherOptions): Uint8Array<ArrayBuffer> {
  const { threshold, callDepth, regionInstructions, high, cache, layout } = options, f = new WasmFunction(false);
  const local = (name: string) => f.local("i32", name);
  const pc = local("pc"), record = local("record"), entry = local("entry"), before = local("before");
  const next = local("next"),
    begun = local("begun"),
    calls = local("calls"),
    stuck = local("stuck"),
    heat = local("heat");
  const state = (index: number) => layout.state + 4 * index;
  const load = (at: number) => (f.i32(0), f.memory("i32.load", at));
  const store = (at: number, value: () => void) => (f.i32(0), value(), f.memory("i32.store", at));
  const field = (at: number) => {
    f.get(record), f.i32(Math.log2(RECORD_BYTES)), f.op("i32.shl"), f.memory("i32.load16_u", layout.records + at);
  };
  const count = (figure: number, value: () => void) => {
    const at = layout.figures + 8 * figure;
    f.i32(0), f.i32(0), f.memory("i64.load", at), value(), f.op("i64.extend_i32_s"), f.op("i64.add");
    f.memory("i64.store", at);
  };
  const give = (value: () => void) => (f.if(), value(), f.op("return"), f.end());
  const giveRecord = () => give(() => f.get(record));
  const reason = (why: number) => store(state(REASON), () => f.i32(why));
  const instructions = () => (load(state(COUNT_END)), load(state(REMAINING)), f.op("i32.sub"));
  const executed = () => {
    count(FIGURE.entries, () => f.i32(1)), count(FIGURE.regions, () => f.get(calls));
    count(FIGURE.executed, () => (instructions(), f.get(begun), f.op("i32.sub")));
  };

  const again = f.loop("again");
  f.get(0), f.call("interpret", 1, 1), f.tee(record), f.i32(0), f.op("i32.lt_s"), giveRecord();
  load(state(REMAINING)), f.i32(0), f.op("i32.le_s"), giveRecord();
  field(FIELD.operation), f.i32(COMPILED), f.op("i32.ne"), giveRecord();
  load(state(PC_HIGH)), f.i32(high), f.op("i32.ne"), giveRecord();
  for (const [index, word] of options.access) {
    load(layout.access + 4 * index), f.i32(word), f.op("i32.ne"), giveRecord();
  }
  load(state(PAGE_OFFSET)), f.get(record), f.i32(1), f.op("i32.shl"), f.op("i32.add"), f.set(pc);
  instructions(), f.set(begun);
  f.i32(0), f.set(calls), f.i32(0), f.set(stuck);
  if (layout.history !== undefined) {
    load(state(REMAINING)), f.set(before), noteCompiled(f, layout.history, entry, before);
  }

  // From region to region.
  const out = f.block("out"), regions = f.loop("regions");
  findCell(f, layout, pc, entry, out);
  f.get(calls), f.i32(1), f.op("i32.add"), f.set(calls);
  load(state(REMAINING)), f.set(before);
  store(state(IN_REGION), () => f.i32(1));
  f.i32(callDepth), f.get(entry), f.callIndirect(), f.set(next);
  store(state(IN_REGION), () => f.i32(0));
  f.get(next), f.i32(ELSEWHERE), f.op("i32.eq"), load(state(LEFT)), f.op("i32.or"), f.if();
  executed(), reason(DISPATCH.ended), store(state(RESULT), () => f.get(next)), f.i32(-1), f.op("return");
  f.end();
  // It did nothing: too little remains, or its first instruction is one for the interpreter.
  f.get(next), f.get(pc), f.op("i32.eq"), load(state(REMAINING)), f.get(before), f.op("i32.eq"), f.op("i32.and");
  f.tee(stuck), f.brIf(out);
  f.get(next), f.set(pc), f.br(regions);
  f.end(), f.op("unreachable");
  f.end();
  f.get(calls), f.op("i32.eqz"), giveRecord();
  executed();
  load(state(REMAINING)), f.i32(regionInstructions), f.op("i32.lt_s"), f.if();
  count(FIGURE.slice, () => f.i32(1));
  f.else();
  count(FIGURE.notCompiled, () => f.i32(1));
  f.end();

  // On in the interpreter.
  pushPageMissed(f, layout, { low: pc, high: () => f.i32(high), entry }), f.if();
  reason(DISPATCH.page), store(state(RESULT), () => f.get(pc)), f.i32(-1), f.op("return");
  f.end();
  store(state(PAGE_OFFSET), () => pushPageOffset(f, layout, pc, entry));
  pushFirstRecord(f, layout, entry),
    f.get(pc),
    f.i32(4095),
    f.op("i32.and"),
    f.i32(1),
    f.op("i32.shr_u"),
    f.op("i32.add"),
    f.set(record);
  if (layout.history !== undefined) {
    load(state(REMAINING)), f.set(before), noteInterpreted(f, layout.history, entry, before, () => f.get(record));
    notePage(f, layout.history, entry, {
      before: () => (f.get(before), f.i32(1), f.op("i32.add")),
      offset: () => load(state(PAGE_OFFSET)),
      high: () => f.i32(high),
      cache,
    });
  }
  f.get(stuck), giveRecord();
  field(FIELD.operation), f.i32(COMPILED), f.op("i32.ne"), f.if();
  f.get(record), f.i32(Math.log2(RECORD_BYTES)), f.op("i32.shl"), field(FIELD.heat), f.tee(heat);
  f.i32(LEFT_HEAT), f.op("i32.add"), f.memory("i32.store16", layout.records + FIELD.heat);
  f.get(heat), f.i32(threshold), f.op("i32.lt_s");
  f.get(heat), f.i32(threshold - LEFT_HEAT), f.op("i32.ge_s"), f.op("i32.and"), f.if();
  reason(DISPATCH.left), f.get(record), f.i32(-1), f.op("i32.xor"), f.op("return");
  f.end();
  f.end();
  load(state(REMAINING)), f.i32(0), f.op("i32.le_s"), giveRecord();
  f.get(record), f.set(0), f.br(again);
  f.end(), f.op("unreachable");
  return f.module(layout.pages);
}
