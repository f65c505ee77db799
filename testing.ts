// Boot tests: a machine in a test of Deno, Node or Vitest. The runners' own reports, filters and sharding apply (docs/boot-tests.md).

import { test as nodeTest } from "node:test";
import { ExpectError, HartbeatError } from "./machine/errors.ts";
import { Machine } from "./machine/machine.ts";
import type { MachineOptions } from "./machine/options.ts";
import type { Stop } from "./machine/stop.ts";

/** What registers a test: `Deno.test`, `test` of `node:test` or of Vitest. */
export type TestFunction = (name: string, body: (context: any) => Promise<void>) => unknown;

/** Options of a boot test: those of the machine, and which function registers it. */
export interface BootTestOptions extends MachineOptions {
  /** Registers the test: `test` of `node:test` where absent, which Deno has, too. For Vitest, its `test`. */
  readonly test?: TestFunction;
}

/**
 * Registers a test that boots a machine. A failure of the guest ends the run (all kinds of `FailureOptions`, unless `failures`
 * says otherwise), and what fails in the body says where the guest is. There are no retries; time-outs are the guest's time.
 *
 * @param body Gets the machine, and the runner's context. Its promise is the test's.
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
