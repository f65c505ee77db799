// The program of the page that browser_test.ts opens: boots the guests that the page holds, and writes what came of them on the page
// and, for the first, what it printed on the console.

import { Machine } from "../../mod.ts";
import { finalState } from "./machine_state.ts";

/** What the page holds: files in base64. */
declare const GUESTS: readonly { readonly name: string; readonly accel: string; readonly base64: string }[];

/** The part of a browser's page that is used. */
declare const document: { querySelector(selector: string): { append(text: string): void; className: string } };

const page = document.querySelector("pre"), say = (line: string) => page.append(`${line}\n`);
try {
  for (const { name, accel, base64 } of GUESTS) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    say(await finalState({ name, accel, bytes }));
  }
  const bios = Uint8Array.from(atob(GUESTS[0]!.base64), (character) => character.charCodeAt(0));
  const machine = await Machine.create({ bios });
  await machine.run();
  console.log(`guest says: ${machine.console.output}`);
  await Machine.create({ bios: "kernel.elf" }).catch((e) => say(`by path: ${e.message}`));
} catch (e) {
  say(`failed: ${(e as Error).stack}`);
}
page.className = "done";
