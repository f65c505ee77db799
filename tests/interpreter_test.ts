// The interpreter: its loop ends exactly where it should, and whatever executes instructions in its place executes the same.
// Besides, how long compiled regions are. V8 optimises no function whose bytecode is longer than a limit: beyond it the code is
// fifteen times slower, and nothing says so.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Count, PAGE_OFFSET, PC_HIGH, REMAINING } from "../hart/counter.ts";
import { FETCH_KEY, Hart } from "../hart/hart.ts";
import { History } from "../jit/history.ts";
import { Ram } from "../hart/memory.ts";
import type { Extension } from "../isa/extensions.ts";
import { Decoder } from "../isa/decode.ts";
import { DecodeCache } from "../jit/decode_cache.ts";
import { operationNumbers } from "../jit/interpreter.ts";
import { PAGE_ENTRIES, PAGE_ENTRY, pageEntry } from "../jit/page_table.ts";
import { interpreterLayout, makeLoop } from "../jit/wasm_interpreter.ts";
import { Bus } from "../machine/bus.ts";
import { Machine } from "../machine/machine.ts";
import { Program, RAM_BASE } from "./support/assemble.ts";
import { WIDTHS } from "./support/guest.ts";

/** A loop of its own, over the decoded first page of RAM that holds a program, and the undecoded second one. */
function loopOver(p: Program, extensions: readonly Extension[], threshold = 0) {
  const { xlen } = p, ram = new Ram(RAM_BASE, 0x1_0000), memory = new Bus(ram, "ram"), count = new Count(ram.words(32));
  const hart = new Hart({ id: 0, xlen, extensions, count, memory }),
    { state } = count,
    decoder = new Decoder(xlen, hart.extensions);
  const cache = new DecodeCache(decoder, memory, operationNumbers, 2);
  const pages = ram.words(PAGE_ENTRIES * PAGE_ENTRY);
  ram.u8.set(p.build());
  const base = cache.pageAt(RAM_BASE);
  for (let slot = 0; slot < p.build().length / 2;) cache.fill(base + slot), slot += cache.lengthAt(base + slot);
  /** The page of records of a page, in the table by another address if one is given. */
  const page = (physical: number, low = physical, high = 0) => {
    const first = cache.pageAt(physical);
    pages.set([low | hart.access[FETCH_KEY]!, high, first, 0], pageEntry(low));
    return first;
  };
  const loop = makeLoop(
    {
      xlen,
      extensions: hart.extensions,
      ramBase: ram.base,
      ramSize: ram.size,
      memory: "bare",
      threshold,
    },
    interpreterLayout(hart, cache, pages, new History(ram, hart.count.state, null, false)),
    ram.memory!,
  );
  /** Executes at most `most` instructions from an address; gives the address after it, and how many remain. */
  const run = (address: number, most: number) => {
    state[REMAINING] = most;
    state[PAGE_OFFSET] = (RAM_BASE | 0) - 2 * base, state[PC_HIGH] = 0;
    const next = loop(base + (address - RAM_BASE) / 2), hot = next < 0, record = hot ? ~next : next;
    const at = (state[PC_HIGH]! >>> 0) * 2 ** 32 + (state[PAGE_OFFSET]! + 2 * record >>> 0);
    return { at, remain: state[REMAINING]!, ...(hot && { hot }) };
  };
  return { run, hart, page };
}

for (const xlen of WIDTHS) {
  const plain = ["I", "M", "Zicsr"] as const, compressed = ["I", "M", "C", "Zicsr"] as const;

  test(`the RV${xlen} loop executes what remains, and stops before what it does not do`, () => {
    const p = new Program(xlen).op("addi", { rd: "a0", rs1: "a0", imm: 1 }).op("c.addi", { rd: "a0", imm: 2 });
    p.op("addi", { rd: "a0", rs1: "a0", imm: 4 }).op("ecall").op("addi", { rd: "a0", rs1: "a0", imm: 8 });
    const { run, hart } = loopOver(p, compressed);
    assert.deepEqual(run(RAM_BASE, 1), { at: RAM_BASE + 4, remain: 0 });
    assert.equal(hart.readX(10), 1n);
    assert.deepEqual(run(RAM_BASE + 4, 2), { at: RAM_BASE + 10, remain: 0 });
    assert.equal(hart.readX(10), 7n);
    assert.deepEqual(run(RAM_BASE, 100), { at: RAM_BASE + 10, remain: 97 }, "the call is left to its function");
    assert.deepEqual(run(RAM_BASE + 10, 5), { at: RAM_BASE + 10, remain: 5 });
    assert.equal(hart.readX(10), 14n);
  });

  test(`the RV${xlen} loop leaves accesses that are not plainly in RAM as they are`, () => {
    const p = new Program(xlen).op("addi", { rd: "a0", rs1: "a0", imm: 1 }).op("lw", { rd: "a1", rs1: "a2" });
    p.op("sw", { rs1: "a2", rs2: "a0", imm: 4 }).op("ecall");
    const { run, hart } = loopOver(p, plain), end = BigInt(RAM_BASE + 0x1_0000);
    hart.writeX(12, BigInt(RAM_BASE + 0x8000));
    assert.deepEqual(run(RAM_BASE, 10), { at: RAM_BASE + 12, remain: 7 });
    hart.writeX(11, 77n);
    for (const address of [0n, 0x1000_0000n, end, end - 3n, end - 2n, BigInt(RAM_BASE) - 1n, -1n, -4n]) {
      hart.writeX(12, address);
      assert.deepEqual(run(RAM_BASE, 10), { at: RAM_BASE + 4, remain: 9 }, `load from ${address}`);
      assert.deepEqual(run(RAM_BASE + 8, 10), { at: RAM_BASE + 8, remain: 10 }, `store to ${address} + 4`);
    }
    if (xlen === 64) hart.writeX(12, BigInt(RAM_BASE) + 0x1_0000_8000n), assert.equal(run(RAM_BASE, 10).remain, 9);
    assert.equal(hart.readX(11), 77n);
    // The last word; a misaligned load, which is done, and such a store, which may lie on two lines.
    hart.writeX(12, end - 8n);
    assert.equal(run(RAM_BASE, 10).remain, 7);
    hart.writeX(12, BigInt(RAM_BASE + 0x8001));
    assert.deepEqual(run(RAM_BASE, 10), { at: RAM_BASE + 8, remain: 8 });
    // A store to a line that somebody watches: that of the code.
    hart.writeX(12, BigInt(RAM_BASE));
    assert.deepEqual(run(RAM_BASE, 10), { at: RAM_BASE + 8, remain: 8 });
  });

  test(`the RV${xlen} loop jumps within the page, and leaves jumps to pages that it does not know, with their links, to their functions`, () => {
    const p = new Program(xlen).op("jalr", { rd: "ra", rs1: "a0", imm: 4 }).op("addi", { rd: "a1", imm: 5 }).op(
      "ecall",
    );
    for (const extensions of [plain, compressed]) {
      const { run, hart } = loopOver(p, extensions);
      hart.writeX(10, BigInt(RAM_BASE + 1));
      assert.deepEqual(run(RAM_BASE, 9), { at: RAM_BASE + 8, remain: 7 });
      assert.equal(BigInt.asUintN(32, hart.readX(1)), BigInt(RAM_BASE + 4));
      hart.writeX(1, 9n);
      const misaligned = extensions === plain ? [RAM_BASE + 2] : [];
      for (const target of [RAM_BASE + 4096 - 4, RAM_BASE - 5, 0, ...misaligned]) {
        hart.writeX(10, BigInt(target));
        assert.deepEqual(run(RAM_BASE, 9), { at: RAM_BASE, remain: 9 }, `${target}`);
      }
      if (xlen === 64) hart.writeX(10, BigInt(RAM_BASE) + 2n ** 32n), assert.equal(run(RAM_BASE, 9).remain, 9);
      assert.equal(hart.readX(1), 9n);
    }
  });

  test(`the RV${xlen} loop goes to the pages that the table has for the privilege level`, () => {
    const next = RAM_BASE + 4096, p = new Program(xlen).op("jalr", { rd: "ra", rs1: "a0", imm: 4 }).op("ecall");
    p.op("beq", { rs1: "a1", rs2: "a2", imm: 4096 - 8 }).op("jal", { rd: "ra", imm: 4096 + 8 }).op("fence");
    p.op("fence", { imm: 0x10 });
    const { run, hart, page } = loopOver(p, plain);
    assert.deepEqual(run(RAM_BASE + 8, 9), { at: RAM_BASE + 8, remain: 9 }, "the page is not known");
    page(next);
    hart.writeX(10, BigInt(next + 8));
    assert.deepEqual(run(RAM_BASE, 9), { at: next + 12, remain: 8 });
    assert.equal(BigInt.asUintN(32, hart.readX(1)), BigInt(RAM_BASE + 4));
    assert.deepEqual(run(RAM_BASE + 8, 9), { at: next, remain: 8 }, "a branch");
    assert.deepEqual(run(RAM_BASE + 12, 1), { at: next + 20, remain: 0 }, "a jump that ends the slice");
    assert.equal(BigInt.asUintN(32, hart.readX(1)), BigInt(RAM_BASE + 16));
    hart.writeX(11, 1n);
    hart.writeX(1, 9n);
    assert.deepEqual(run(RAM_BASE + 8, 1), { at: RAM_BASE + 12, remain: 0 }, "a branch that is not taken");
    assert.deepEqual(run(RAM_BASE + 16, 9), { at: RAM_BASE + 20, remain: 8 }, "FENCE does nothing, PAUSE may");
    // Not aligned; a page of another privilege level; the same low half elsewhere.
    hart.writeX(10, BigInt(next + 2));
    assert.deepEqual(run(RAM_BASE, 9), { at: RAM_BASE, remain: 9 });
    hart.writeX(10, BigInt(next + 8));
    hart.setPrivilege(1);
    assert.deepEqual(run(RAM_BASE, 9), { at: RAM_BASE, remain: 9 });
    assert.equal(hart.readX(1), 9n);
    hart.setPrivilege(3);
    if (xlen === 32) return;
    hart.writeX(10, 0xffff_ffff_8000_1008n);
    assert.deepEqual(run(RAM_BASE, 9), { at: RAM_BASE, remain: 9 });
    page(next, next, -1);
    assert.deepEqual(run(RAM_BASE, 9), { at: 0xffff_ffff * 2 ** 32 + next + 12, remain: 8 });
  });

  test(`the RV${xlen} loop says when a target of jumps has become hot, once, with the jump counted`, () => {
    const p = new Program(xlen).label("loop").op("addi", { rd: "a0", rs1: "a0", imm: -1 }).to("bne", "loop", {
      rs1: "a0",
    });
    const { run, hart } = loopOver(p.op("ecall"), plain, 3);
    hart.writeX(10, 100n);
    assert.deepEqual(run(RAM_BASE, 1000), { at: RAM_BASE, remain: 994, hot: true });
    assert.deepEqual(run(RAM_BASE, 1000), { at: RAM_BASE + 8, remain: 1000 - 194 });
    assert.equal(hart.readX(10), 0n);
  });

  test(`RV${xlen} without WebAssembly executes the same, interpreted and compiled`, async () => {
    const bios = readFileSync(
      fileURLToPath(new URL(`../bench/guests/virt${xlen === 32 ? "32" : "64i"}-core-1.elf`, import.meta.url)),
    );
    const states = async (accel: string) => {
      await using machine = await Machine.create({ cpu: `rv${xlen}`, bios, accel });
      const found: unknown[] = [];
      for (const maxInstructions of [1, 999, 200_000, 300_000]) {
        await machine.run({ maxInstructions });
        const { hart } = machine;
        found.push([machine.instructions, hart.pc, { ...hart.x }]);
      }
      return found;
    };
    const expected = await states("interpreter"), { Memory } = WebAssembly;
    try {
      WebAssembly.Memory = class {
        constructor() {
          throw new RangeError("none");
        }
      } as never;
      assert.deepEqual(await states("interpreter"), expected);
      assert.deepEqual(await states("jit,threshold=20"), expected);
    } finally {
      WebAssembly.Memory = Memory;
    }
  });
}

/** V8's `max_optimized_bytecode_size`, in bytes. */
const LIMIT = 60 * 1024;
/** What the loop must at least have if the figures that are read are its own. */
const PLAUSIBLE = 2000;

/** Bytecode lengths of the functions that a name (with `*` at its end for any rest) fits, as they are compiled. */
function bytecodeLengths(name: string): number[] {
  const flags = ["--print-bytecode", `--print-bytecode-filter=${name}`];
  const program = fileURLToPath(new URL("support/executed_machines.ts", import.meta.url));
  const options = "Deno" in globalThis ? ["run", "-A", "--no-check", `--v8-flags=${flags.join(",")}`] : flags;
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-")), path = join(folder, "bytecode.txt");
  const file = openSync(path, "w");
  try {
    const { status, stderr } = spawnSync(process.execPath, [...options, program], {
      stdio: ["ignore", file, "pipe"],
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    return [...readFileSync(path, "latin1").matchAll(/^Bytecode length: (\d+)$/gm)].map((line) => Number(line[1]));
  } finally {
    closeSync(file);
    rmSync(folder, { recursive: true });
  }
}

test("the longest regions are short enough to be optimised, on RV32 and RV64", (t) => {
  const lengths = bytecodeLengths("region_*");
  assert.ok(lengths.length > 4, `${lengths.length} regions`);
  const longest = Math.max(...lengths);
  t.diagnostic(`bytecode of the longest of ${lengths.length} regions: ${longest} of at most ${LIMIT} bytes`);
  assert.ok(longest > PLAUSIBLE / 4 && longest < LIMIT, `${longest} bytes of bytecode; ${LIMIT} is V8's limit`);
});
