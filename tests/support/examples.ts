// The examples in doc comments: found, and put together into one program, each a test of it. `deno test --doc` runs them too, but
// each in an isolate of its own that loads everything anew, which takes ten times as long.

import { readdirSync, readFileSync } from "node:fs";

/** Where sources with examples are. */
const PLACES = ["mod.ts", "testing.ts", "debug", "devices", "hart", "isa", "jit", "machine"];

/** An example. */
export interface Example {
  /** File and line of its first line. */
  readonly place: string;
  /** Its text without the comment's stars. */
  readonly text: string;
}

/** The sources below the places, as paths from the top of the checkout. */
function sources(root: URL): string[] {
  return PLACES.flatMap((place) =>
    place.endsWith(".ts")
      ? [place]
      : readdirSync(new URL(place, root), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))
        .toSorted().map((name) => `${place}/${name}`)
  );
}

/** All examples: blocks of TypeScript in doc comments. */
export function examples(root: URL): Example[] {
  return sources(root).flatMap((file) => {
    const text = readFileSync(new URL(file, root), "utf8");
    return [...text.matchAll(/^ *\* ```ts\n(.*?)^ *\* ```$/gms)].map((match) => ({
      place: `${file}:${text.slice(0, match.index).split("\n").length + 1}`,
      text: match[1]!.replace(/^ *\* ?/gm, ""),
    }));
  });
}

/**
 * A program with a test for each example. Imports are brought together, so an example may declare what another one imports.
 *
 * @throws {Error} If an import is not understood, or two mean different things by one name.
 */
export function programOf(examples: readonly Example[]): string {
  /** By local name: what it is, as an import that is not of a type. */
  const imports = new Map<string, { readonly from: string; readonly clause: string; isType: boolean }>();
  const note = (place: string, name: string, from: string, clause: string, isType: boolean) => {
    const known = imports.get(name) ?? { from, clause, isType };
    if (known.from !== from || known.clause !== clause) {
      throw new Error(`${place}: ${name} is something else elsewhere`);
    }
    known.isType &&= isType;
    imports.set(name, known);
  };
  const tests = examples.map(({ place, text }) => {
    const body = text.replaceAll(
      /^import (type )?(\w+)?(?:, )?(?:\{([^}]*)\})? from ("[^"]+");\n/gm,
      (_, type, main, names, from) => {
        if (main !== undefined) note(place, main, from, main, false);
        for (
          const each of (names ?? "").split(",").map((one: string) => one.trim()).filter((one: string) => one !== "")
        ) {
          const [, isType, name] = /^(type )?(\w+)$/.exec(each) ?? [];
          if (name === undefined) throw new Error(`${place}: import ${each}`);
          note(place, name, from, `{ ${name} }`, type !== undefined || isType !== undefined);
        }
        return "";
      },
    );
    if (/^(import|export)\b/m.test(body)) throw new Error(`${place}: an import or export that is not understood`);
    return `runnerTest(${JSON.stringify(place)}, async () => {\n${body}});\n`;
  });
  const lines = [...imports.values()].map(({ from, clause, isType }) =>
    `import ${isType ? "type " : ""}${clause} from ${from};\n`
  );
  return `import { test as runnerTest } from "node:test";\n${lines.join("")}${tests.join("")}`;
}
