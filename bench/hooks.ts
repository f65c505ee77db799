// What hooks cost: each as a ratio of CPU time to the same run without hooks.
//
//     deno run -A bench/hooks.ts [scale]
//
// CPU time of one process, with V8's compiler threads, the best of three; a busy machine makes it 10 % to 30 % uncertain.

import process from "node:process";
import { Machine } from "../mod.ts";
import { GUESTS } from "./guests.ts";

/** A row of the table. */
interface Row {
  readonly what: string;
  readonly guest: string;
  /** Attaches the hook; gives what counts how often it was called. */
  readonly attach: (machine: Machine) => () => number;
}

const ROWS: readonly Row[] = [
  {
    what: "a hook at each call of a function",
    guest: "fib",
    attach: (m) => {
      let calls = 0;
      m.hook.instruction("fib", () => void calls++);
      return () => calls;
    },
  },
  {
    what: "enter and leave of each call",
    guest: "fib",
    attach: (m) => {
      let calls = 0;
      m.hook.call("fib", { enter: () => void calls++, leave: () => void calls++ });
      return () => calls;
    },
  },
  {
    what: "enter of each call, of which half return at once (`c.return(1)`)",
    guest: "fib",
    attach: (m) => {
      let calls = 0;
      m.hook.call("fib", { enter: (c) => (++calls, c.arg(0) < 2n) ? c.return(1) : undefined });
      return () => calls;
    },
  },
  {
    what: "a counter of the calls of a function",
    guest: "fib",
    attach: (m) => {
      const calls = m.count.block("fib");
      return () => calls.value;
    },
  },
  {
    what: "a hook on each block of a function",
    guest: "fib",
    attach: (m) => {
      let calls = 0;
      m.hook.block("fib", () => void calls++);
      return () => calls;
    },
  },
  {
    what: "a hook on a function that is not called",
    guest: "fib",
    attach: (m) => {
      let calls = 0;
      m.hook.instruction("puts_", () => void calls++);
      return () => calls;
    },
  },
  {
    what: "a write watch on one word of the busy stack, which is hit",
    guest: "fib",
    attach: (m) => {
      let calls = 0;
      m.hook.memory({ at: BigInt(m.symbols.lookup("_stack_top")!) - 320n, size: 4, on: "write" }, () => void calls++);
      return () => calls;
    },
  },
  {
    what: "a write watch on one word beside the busy stack",
    guest: "fib",
    attach: (m) => {
      let calls = 0;
      m.hook.memory({ at: BigInt(m.symbols.lookup("_stack_top")!) - 2048n, size: 4, on: "write" }, () => void calls++);
      return () => calls;
    },
  },
  {
    what: "a read watch on one word beside the busy stack",
    guest: "fib",
    attach: (m) => {
      let calls = 0;
      m.hook.memory({ at: BigInt(m.symbols.lookup("_stack_top")!) - 2048n, size: 4, on: "read" }, () => void calls++);
      return () => calls;
    },
  },
  {
    what: "a hook on every csrrs",
    guest: "fib",
    attach: (m) => {
      let calls = 0;
      m.hook.instruction({ match: "csrrs" }, () => void calls++);
      return () => calls;
    },
  },
  {
    what: "a hook on every jalr",
    guest: "fib",
    attach: (m) => {
      let calls = 0;
      m.hook.instruction({ match: "jalr" }, () => void calls++);
      return () => calls;
    },
  },
  {
    what: "a counter of every jalr",
    guest: "fib",
    attach: (m) => {
      const calls = m.count.instruction({ match: "jalr" });
      return () => calls.value;
    },
  },
];

/** CPU seconds of a run, and how often the hook was called in it. */
async function run(row: Row | null, path: string): Promise<{ seconds: number; calls: number }> {
  await using machine = await Machine.create({ bios: path });
  const calls = row?.attach(machine) ?? (() => 0), before = process.cpuUsage();
  await machine.run();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (user + system) / 1e6, calls: calls() };
}

// The first run has V8 compile hartbeat itself.
const scale = process.argv[2] ?? "1";
await run(null, `${GUESTS}virt64i-fib-${scale}.elf`);
const plain = new Map<string, number>();
console.log(
  "| What | Guest | Seconds without | Seconds with | Ratio | Calls | Nanoseconds per call |\n|---|---|---|---|---|---|---|",
);
for (const row of ROWS) {
  const path = `${GUESTS}virt64i-${row.guest}-${scale}.elf`, times = [], hooked = [];
  for (let k = 0; k < 3; k++) {
    if (!plain.has(path)) times.push((await run(null, path)).seconds);
    hooked.push(await run(row, path));
  }
  if (times.length > 0) plain.set(path, Math.min(...times));
  const without = plain.get(path)!, best = hooked.reduce((a, b) => a.seconds < b.seconds ? a : b);
  const each = best.calls === 0 ? "" : ((best.seconds - without) / best.calls * 1e9).toFixed(0);
  const cells = [row.what, row.guest, without.toFixed(2), best.seconds.toFixed(2), (best.seconds / without).toFixed(2)];
  console.log(`| ${cells.join(" | ")} | ${best.calls} | ${each} |`);
}
