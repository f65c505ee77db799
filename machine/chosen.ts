// What a machine tells its guest in the `/chosen` node of the device tree (Devicetree Specification v0.4, section 3.6).

import type { DeviceTreeNode } from "../devices/device.ts";
import type { BootPlan } from "./boot.ts";
import { cells64, withProperty } from "./device_tree.ts";

/** The tree with `/chosen`: command line, ramdisk, console. */
export function withChosen(
  tree: DeviceTreeNode,
  stdoutPath: string | undefined,
  plan: BootPlan,
  append: string | undefined,
): DeviceTreeNode {
  let result = tree;
  if (append !== undefined) result = withProperty(result, "/chosen", "bootargs", append);
  if (stdoutPath !== undefined) result = withProperty(result, "/chosen", "stdout-path", stdoutPath);
  if (plan.initrd !== undefined) {
    result = withProperty(result, "/chosen", "linux,initrd-start", cells64(plan.initrd.start));
    result = withProperty(result, "/chosen", "linux,initrd-end", cells64(plan.initrd.end));
  }
  return result;
}
