// Boots Linux to a shell, types commands and powers off: a boot test that is also a script.
//
//     HARTBEAT_LINUX=/path/to/images deno run -A scripts/boot_linux.ts
//
// HARTBEAT_LINUX: a folder with fw_jump.bin (OpenSBI), Image and an initial ramdisk initrd.cpio.gz whose shell has a prompt
// that ends in "# ".

import process from "node:process";
import { Machine, OptionError } from "../mod.ts";

/** Boots, gives what `uname -a` prints, and powers off. */
export async function bootLinux(folder: string, initrd = "initrd.cpio.gz"): Promise<string> {
  await using machine = await Machine.create({
    bios: `${folder}/fw_jump.bin`,
    kernel: `${folder}/Image`,
    initrd: `${folder}/${initrd}`,
    append: "console=ttyS0 cryptomgr.notests",
    memory: "256M",
    failures: { panic: { patterns: [/Kernel panic/], symbols: [] } },
  });
  machine.console.stripEscapes = true;
  await machine.console.expect("# ", { within: 120 });
  machine.console.sendLine("uname -a");
  const { before } = await machine.console.expect("# ", { within: 20 });
  machine.console.sendLine("poweroff -f");
  const stop = await machine.run({ maxVirtualSeconds: 60 });
  if (stop.kind !== "exit") throw new Error(machine.explain(stop));
  return before.split(/\r?\n/)[1] ?? "";
}

if (import.meta.main) {
  const folder = process.env.HARTBEAT_LINUX;
  if (folder === undefined) throw new OptionError("boot_linux: HARTBEAT_LINUX says where the images are");
  console.log(await bootLinux(folder));
}
