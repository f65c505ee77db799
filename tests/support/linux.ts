// The Linux guest that tests boot.

import process from "node:process";
import { linuxFile } from "../../scripts/fetch_linux.ts";

/** Why there is no Linux to boot, or false if there is. In CI there has to be. */
export function linuxMissing(): string | false {
  if (linuxFile("Image") !== undefined) return false;
  const why = "guests/linux is needed: deno task guests";
  if (process.env.CI) throw new Error(why);
  return why;
}
