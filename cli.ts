#!/usr/bin/env -S deno run -A
// The `hartbeat` command.

import * as module from "node:module";
import process from "node:process";

// What V8 made of the modules last time, as Deno keeps it, too. (Since Node 22.8; NODE_DISABLE_COMPILE_CACHE=1 is Node's way out.)
if (!("Deno" in globalThis)) module.enableCompileCache?.();
const { main } = await import("./cli/main.ts");
process.exit(await main(process.argv.slice(2)));
