// Lets a machine compile thousands of regions and drop them again, and prints as JSON what stays behind in memory: run by
// code_cache_test.ts with V8's `gc` exposed.

import process from "node:process";
import { Machine } from "../../machine/machine.ts";
import { Program, RAM_BASE } from "./assemble.ts";
import { RAM_SIZE } from "./guest.ts";

/** What is printed. */
export interface CacheUse {
  /** Regions compiled so far, those of their functions that are still there, and bytes of V8's heap: after each phase. */
  readonly phases: readonly { readonly regions: number; readonly functions: number; readonly heap: number }[];
  readonly flushes: number;
  readonly dropped: number;
}

/** Collects all that can be, also what V8 keeps for a while in case that it is compiled again. */
const collect = () =>
  (globalThis as unknown as { gc: (options: object) => void }).gc({
    type: "major",
    execution: "sync",
    flavor: "last-resort",
  });

// The functions of regions are made by a function that `Function` makes: count them while they live.
let alive = 0;
const registry = new FinalizationRegistry(() => void alive--);
const makeFunction = globalThis.Function;
globalThis.Function = new Proxy(makeFunction, {
  construct(target, args) {
    const make = Reflect.construct(target, args);
    return (...values: unknown[]) => {
      const made = make(...values);
      if (made.name.startsWith("region_")) {
        alive++;
        registry.register(made, 0);
      }
      return made;
    };
  },
});

// As WebAssembly, each is the function of an instance of its own, which is given what regions call; the one that goes from region to
// region, and calls the interpreter, is none of them.
const MakeInstance = WebAssembly.Instance;
WebAssembly.Instance = new Proxy(MakeInstance, {
  construct(target, args) {
    const instance = Reflect.construct(target, args) as WebAssembly.Instance;
    const { env } = args[1] as { env: object };
    if ("slowRange" in env && !("interpret" in env)) {
      alive++;
      registry.register(instance.exports["run"] as object, 0);
    }
    return instance;
  },
});

/** Functions that are called one after another, round and round. */
function manyFunctions(count: number): Program {
  const p = new Program(64);
  p.label("loop");
  for (let k = 0; k < count; k++) p.to("jal", `f${k}`, { rd: "ra" });
  p.op("addi", { rd: "s0", rs1: "s0", imm: 1 }).to("jal", "loop");
  for (let k = 0; k < count; k++) {
    p.label(`f${k}`).li("t0", 2).label(`f${k}.again`);
    for (let add = 0; add < 8; add++) p.op("addi", { rd: "a0", rs1: "a0", imm: k });
    p.op("addi", { rd: "t0", rs1: "t0", imm: -1 }).to("bne", `f${k}.again`, { rs1: "t0", rs2: 0 }).op("jalr", {
      rs1: "ra",
    });
  }
  return p;
}

/** Jumps to ever new addresses where nothing is; each jump traps, and the handler comes back. */
function manyAddresses(): Program {
  const p = new Program(64);
  p.la("t0", "handler").csr("csrrw", "mtvec", 0, "t0").li("s0", 0x1000_0000).to("jal", "loop");
  p.align(4).label("handler").la("t0", "loop").csr("csrrw", "mepc", 0, "t0").op("mret");
  p.label("loop").op("addi", { rd: "s0", rs1: "s0", imm: 64 }).op("jalr", { rs1: "s0" });
  return p;
}

/** What is executed in each of several phases. */
interface Scenario {
  readonly program: Program;
  readonly accel: string;
  readonly instructions: number;
  /** What happens to all code: it is written again by a script, or dropped before anything is measured. */
  readonly code?: "written" | "dropped";
}

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  full: { program: manyFunctions(200), accel: "jit,threshold=1,cache=1000", instructions: 6000, code: "dropped" },
  overwritten: { program: manyFunctions(60), accel: "jit,threshold=1", instructions: 20_000, code: "written" },
  addresses: { program: manyAddresses(), accel: "jit,threshold=1", instructions: 1_500_000 },
};

async function use(name: string, target: string): Promise<CacheUse> {
  const { program, accel, instructions, code } = SCENARIOS[name]!, bytes = program.build();
  await using machine = await Machine.create({ cpu: "rv64", memory: RAM_SIZE, accel: `${accel},target=${target}` });
  machine.memory.write(RAM_BASE, bytes);
  machine.hart.pc = RAM_BASE;
  const statistics = () => machine.compilerStatistics!, phases: CacheUse["phases"][number][] = [];
  for (let k = 0; k < 8; k++) {
    for (let part = 0; part < 10; part++) {
      await machine.run({ maxInstructions: instructions / 10 });
      if (code === "written") machine.memory.write(RAM_BASE, bytes);
    }
    // A breakpoint makes the cache forget everything.
    if (code === "dropped") await machine.run({ until: RAM_BASE + RAM_SIZE - 4, maxInstructions: 1 });
    for (let round = 0; round < 3 || (alive > 2 && round < 40); round++) {
      collect();
      // Finalizers have their turn.
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    phases.push({ regions: statistics().regions, functions: alive, heap: process.memoryUsage().heapUsed });
  }
  return { phases, flushes: statistics().flushes, dropped: statistics().dropped };
}

console.log(JSON.stringify(await use(process.argv[2]!, process.argv[3]!)));
