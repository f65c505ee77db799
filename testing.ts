// Boot tests: a machine in a test of Deno, Node or Vitest. The runners' own reports, filters and sharding apply (docs/boot-tests.md).

import { test as nodeTest } from "node:test";
import { ExpectError, HartbeatError } from "./machine/errors.ts";
import { Machine } from "./machine/machine.ts";
import type { MachineOptions } from "./machine/options.ts";
import type { Stop } from "./machine/stop.ts";

/**
 * What registers a test: `Deno.test`, `test` of `node:test` or of Vitest.
 *
 * @example
 * ```ts
 * import { bootTest, expectExit, type TestFunction } from "hartbeat/testing";
 *
 * // Runs tests at once.
 * const running: Promise<void>[] = [];
 * const now: TestFunction = (_name, body) => running.push(body(undefined));
 * bootTest("the kernel ends", { bios: "tests/programs/kernel.elf", test: now }, (machine) => expectExit(machine));
 * await Promise.all(running);
 * ```
 */
export type TestFunction = (name: string, body: (context: any) => Promise<void>) => unknown;

/**
 * Options of a boot test: those of the machine, and which function registers it.
 *
 * @example
 * ```ts
 * import type { BootTestOptions } from "hartbeat/testing";
 *
 * // For several tests of the same board.
 * const board: BootTestOptions = { machine: "virt", memory: "64M", failures: { panic: true } };
 * console.log({ ...board, bios: "tests/programs/kernel.elf" });
 * ```
 */
export interface BootTestOptions extends MachineOptions {
  /** Registers the test: `test` of `node:test` where absent, which Deno has, too. For Vitest, its `test`. */
  readonly test?: TestFunction;
}

/**
 * Registers a test that boots a machine. A failure of the guest ends the run (all kinds of `FailureOptions`, unless `failures`
 * says otherwise), and what fails in the body says where the guest is. There are no retries; time-outs are the guest's time.
 *
 * @param body Gets the machine, and the runner's context. Its promise is the test's.
 *
 * @example
 * ```ts
 * import { bootTest, expectExit } from "hartbeat/testing";
 *
 * // In a file of tests leave `test` out: it registers the test with the runner.
 * const running: Promise<void>[] = [];
 * const test = (_name: string, body: (context: unknown) => Promise<void>) => running.push(body(undefined));
 * bootTest("the kernel panics", { bios: "tests/programs/p0uart.elf", test }, async (machine) => {
 *   await machine.console.expect(/PANIC: .*\n/, { within: 0.1 });
 *   await expectExit(machine, 7);
 * });
 * await Promise.all(running);
 * ```
 */
export function bootTest(
  name: string,
  options: BootTestOptions,
  body: (machine: Machine, context: any) => void | Promise<void>,
): void {
  const { test = nodeTest as unknown as TestFunction, ...rest } = options;
  test(name, async (context) => {
    await using machine = await Machine.create({ failures: { panic: true, invalidJump: true }, ...rest });
    try {
      await body(machine, context);
    } catch (e) {
      explain(machine, e);
      throw e;
    }
  });
}

/** Adds where the guest is to what an assertion says. */
function explain(machine: Machine, e: unknown): void {
  if (!(e instanceof Error) || e instanceof ExpectError || (e instanceof HartbeatError && e.message.includes("\n"))) {
    return;
  }
  const stop: Stop = {
    kind: "stopped",
    hart: machine.current.id,
    pc: BigInt(machine.current.pc),
    instructions: machine.instructions,
  };
  try {
    e.message += `\nthe guest when it failed: ${machine.explain(stop)}`;
  } catch {
    // An error whose message cannot be changed says what it says.
  }
}

/**
 * Runs the guest to its end.
 *
 * @param code The exit code that it must end with.
 * @param within Seconds of virtual time that it may take (10).
 * @throws {ExpectError} If it ends otherwise, or not.
 *
 * @example
 * ```ts
 * import { Machine } from "hartbeat";
 * import { expectExit } from "hartbeat/testing";
 *
 * const machine = await Machine.create({ bios: "tests/programs/p0uart.elf" });
 * await expectExit(machine, 7);
 * ```
 */
export async function expectExit(machine: Machine, code = 0, within = 10): Promise<void> {
  const stop = await machine.run({ maxVirtualSeconds: within });
  if (stop.kind === "exit" && stop.code === code) return;
  const how = stop.kind === "exit"
    ? `exit code ${stop.code}`
    : stop.kind === "budget"
    ? `no end within ${within} virtual seconds`
    : stop.kind;
  throw new ExpectError(
    `expected exit code ${code}, got ${how}\n${machine.explain(stop)}`,
    stop,
    machine.console.pending,
  );
}
