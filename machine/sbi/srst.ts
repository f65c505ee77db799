// SBI: power-off and reboot (chapter "System Reset Extension").

import { failed, idOf, type SbiExtension, word } from "./extension.ts";

const TYPE = { shutdown: 0, coldReboot: 1, warmReboot: 2 } as const;
const REASON = { none: 0, systemFailure: 1 } as const;
/** From here on, types and reasons are those of the implementation, then of the platform: there are none. */
const NOT_RESERVED = 0xe000_0000;

/** Ends or restarts the machine. */
export const SRST: SbiExtension = {
  id: idOf("SRST"),
  name: "SRST",
  functions: [{
    name: "system_reset",
    parameters: ["reset_type", "reset_reason"],
    run: ({ firmware }, kind, why) => {
      const type = word(kind), reason = word(why);
      if ((type > TYPE.warmReboot && type < NOT_RESERVED) || (reason > REASON.systemFailure && reason < NOT_RESERVED)) {
        return failed("INVALID_PARAM");
      }
      if (type >= NOT_RESERVED || reason >= NOT_RESERVED) return failed("NOT_SUPPORTED");
      if (type === TYPE.shutdown) firmware.exit(reason === REASON.systemFailure ? 1 : 0);
      else firmware.reset();
      return null;
    },
  }],
};
