// SBI: starting, stopping and suspending harts (chapters "Hart State Management Extension" and "System Suspend Extension").

import type { Hart } from "../../hart/hart.ts";
import { failed, idOf, type SbiExtension, type SbiRequest, SUCCESS, word } from "./extension.ts";
import { enterSupervisor, prepareResume } from "./supervisor_entry.ts";

/** States that hart_get_status tells. Starting and stopping take no time here. */
const STATUS = { started: 0, stopped: 1, suspended: 4 } as const;

/** Kinds of suspension: the default ones; bit 31 says that the hart's state is lost. */
const RETENTIVE = 0, NON_RETENTIVE = 0x8000_0000;
/** From here on, within each half, kinds are the platform's own. */
const PLATFORM_SUSPEND = 0x1000_0000;

/** Sleep types of system_suspend. */
const SUSPEND_TO_RAM = 0, PLATFORM_SLEEP = 0x8000_0000;

/** Whether execution can go to a physical address. */
function isExecutable({ firmware, hart }: SbiRequest, address: bigint): boolean {
  const start = Number(address), alignment = BigInt(hart.instructionAlignment);
  return address % alignment === 0n && firmware.memory.executable(start - start % 4096) !== null;
}

/** Waits until an interrupt is pending that sie enables. */
function wait({ firmware, hart }: SbiRequest): void {
  firmware.suspended(hart);
  hart.sleep();
}

function status({ firmware }: SbiRequest, hart: Hart): number {
  if (hart.stopped) return STATUS.stopped;
  return firmware.isSuspended(hart) ? STATUS.suspended : STATUS.started;
}

/** Harts one by one. */
export const HSM: SbiExtension = {
  id: idOf("\0HSM"),
  name: "HSM",
  functions: [
    {
      name: "hart_start",
      parameters: ["hartid", "start_addr", "opaque"],
      run: (request, id, start, opaque) => {
        const hart = request.firmware.hart(id);
        if (hart === undefined) return failed("INVALID_PARAM");
        if (!hart.stopped) return failed("ALREADY_AVAILABLE");
        if (!isExecutable(request, start)) return failed("INVALID_ADDRESS");
        enterSupervisor(hart, start, opaque);
        return SUCCESS;
      },
    },
    {
      name: "hart_stop",
      parameters: [],
      run: ({ hart }) => {
        hart.stopped = true;
        hart.count.stop();
        return null;
      },
    },
    {
      name: "hart_get_status",
      parameters: ["hartid"],
      run: (request, id) => {
        const hart = request.firmware.hart(id);
        return hart === undefined ? failed("INVALID_PARAM") : { error: 0, value: status(request, hart) };
      },
    },
    {
      name: "hart_suspend",
      parameters: ["suspend_type", "resume_addr", "opaque"],
      run: (request, kind, resume, opaque) => {
        const type = word(kind);
        if (type !== RETENTIVE && type !== NON_RETENTIVE) {
          const isReserved = type % NON_RETENTIVE < PLATFORM_SUSPEND;
          return failed(isReserved ? "INVALID_PARAM" : "NOT_SUPPORTED");
        }
        if (type === RETENTIVE) {
          wait(request);
          return SUCCESS;
        }
        if (!isExecutable(request, resume)) return failed("INVALID_ADDRESS");
        prepareResume(request.hart, resume, opaque);
        wait(request);
        return null;
      },
    },
  ],
};

/** The whole machine: only when this hart is the last one that is not stopped. */
export const SUSP: SbiExtension = {
  id: idOf("SUSP"),
  name: "SUSP",
  functions: [{
    name: "system_suspend",
    parameters: ["sleep_type", "resume_addr", "opaque"],
    run: (request, kind, resume, opaque) => {
      const type = word(kind), { firmware, hart } = request;
      if (type !== SUSPEND_TO_RAM) return failed(type < PLATFORM_SLEEP ? "INVALID_PARAM" : "NOT_SUPPORTED");
      if (!isExecutable(request, resume)) return failed("INVALID_ADDRESS");
      if (firmware.harts.some((other) => other !== hart && !other.stopped)) return failed("DENIED");
      prepareResume(hart, resume, opaque);
      wait(request);
      return null;
    },
  }],
};
