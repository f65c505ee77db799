// What the real-time clock shows at power-on.

import { OptionError } from "./errors.ts";

/** What the clock shows at power-on if nobody says otherwise: always the same, so that runs are. */
export const USUAL_RTC_BASE = "2026-01-01T00:00:00";

/**
 * Nanoseconds since 1970-01-01 UTC of a date as `-rtc base=` takes it, `2006-06-17T16:01:21` or `2006-06-17`, in UTC.
 *
 * @throws {OptionError} If it is not a date, or one before 1970.
 */
export function readRtcBase(base: string | Date = USUAL_RTC_BASE): bigint {
  const match = typeof base === "string" ? /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d))?$/.exec(base) : null;
  const iso = match === null ? "" : `${match[1]}T${match[2] ?? "00:00:00"}.000Z`;
  const date = typeof base === "string" ? new Date(iso) : base, time = date.getTime();
  // Also no 31st of February, which would be the 3rd of March.
  if (!(time >= 0) || (typeof base === "string" && date.toISOString() !== iso)) {
    throw new OptionError(
      `-rtc base=${typeof base === "string" ? base : time}: invalid datetime format; ` +
        "valid formats: 2006-06-17T16:01:21 or 2006-06-17",
    );
  }
  return BigInt(Math.floor(time)) * 1_000_000n;
}
