// The public API.

export { Machine, type RunOptions } from "./machine/machine.ts";
