// npm and the versions of Node that come from it, for tests of the package.

import { spawnSync } from "node:child_process";
import process from "node:process";

/** Why npm's registry cannot be used, or false if it can. In CI it has to be. */
export function missingNpm(): string | false {
  const { error, status } = spawnSync("npm", ["view", "typescript", "version", "--prefer-offline"]);
  if (error === undefined && status === 0) return false;
  const why = error === undefined ? "npm's registry cannot be reached" : "npm is needed: install Node";
  if (process.env.CI) throw new Error(why);
  return why;
}

const nodes = new Map<number, string>();

/** Path of Node's newest version with a major number, from npm. */
export function nodeOfMajor(major: number): string {
  let path = nodes.get(major);
  if (path === undefined) {
    const args = ["-y", "--prefer-offline", "-p", `node@${major}`, "node", "-p", "process.execPath"];
    const { stdout, stderr, status } = spawnSync("npx", args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`npx ${args.join(" ")}: ${stderr}`);
    path = stdout.trim();
    nodes.set(major, path);
  }
  return path;
}
