// What `-serial chardev:ID` and `-mon ID` mean, once all options are known.

import { OptionError } from "../machine/errors.ts";
import { nearest } from "../machine/nearest.ts";
import type { Settings } from "./settings.ts";

/** Takes a character device from those that devices of the guest may have. */
function take(settings: Settings, option: string, id: string) {
  const all = settings.chardevs ?? [], found = all.find((chardev) => chardev.id === id);
  if (found === undefined) {
    const known = all.map((chardev) => chardev.id), guess = nearest(id, known) || `; there is no -chardev …,id=${id}`;
    throw new OptionError(`${option}: can't find value '${id}'${guess}`);
  }
  settings.chardevs = all.filter((chardev) => chardev !== found);
  settings.machine.chardevs = settings.machine.chardevs!.filter((chardev) => chardev.id !== id);
  return found;
}

/** Connects the serial line and the monitor to what they name. @throws {OptionError} If it is not there, or in use. */
export function linkChardevs(settings: Settings): void {
  const { serialChardev, monitorChardev } = settings;
  let shared = false;
  if (serialChardev !== undefined) {
    const { target, mux = false } = take(settings, `-serial chardev:${serialChardev}`, serialChardev);
    settings.serial = target.kind === "stdio" ? { kind: "stdio", escapes: mux } : target;
    shared = target.kind === "stdio" && mux;
  }
  if (monitorChardev === undefined) return;
  // Ctrl-A C goes to the monitor already.
  if (monitorChardev === serialChardev && shared) return;
  const option = `-mon chardev=${monitorChardev}`;
  if (monitorChardev === serialChardev) {
    throw new OptionError(
      `${option}: Device '${monitorChardev}' is in use; -chardev stdio,id=${monitorChardev},mux=on shares it`,
    );
  }
  const { target } = take(settings, option, monitorChardev);
  if (target.kind === "file") throw new OptionError(`${option}: not supported yet; a monitor is on stdio`);
  settings.monitor = target.kind === "stdio" ? { kind: "stdio" } : undefined;
}
