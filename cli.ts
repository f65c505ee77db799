#!/usr/bin/env -S deno run -A
// The `hartbeat` command.

import process from "node:process";
import { main } from "./cli/main.ts";

process.exit(await main(process.argv.slice(2)));
