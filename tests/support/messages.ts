// The messages of the errors that users can cause, collected from the sources: `…` stands for what is filled in.

import { readdirSync, readFileSync } from "node:fs";

/** Where such errors are thrown. */
const FOLDERS = ["cli", "debug", "machine"];
/** What makes them: the classes of machine/errors.ts and of what extends these, and the functions that put a place before a text. */
const MAKERS = /\b(?:new (?:Hartbeat|Option|Load|Address|Expect|Hook|Tap)Error|fail|notYet)\(\s*(?=["`])/g;

/** Reads the string or template at a position; templates within it are left out. Gives the text and where it ends. */
function readText(source: string, at: number): { text: string; end: number } {
  const quote = source[at]!;
  let text = "", k = at + 1;
  while (source[k] !== quote) {
    if (source[k] === "\\") {
      text += JSON.parse(`"${source.slice(k, k + 2).replace("\\`", "`")}"`);
      k += 2;
    } else if (quote === "`" && source.startsWith("${", k)) {
      text += "…";
      k = expressionEnd(source, k + 2);
    } else text += source[k++];
  }
  return { text, end: k + 1 };
}

/** Where the `}` of an expression in a template ends. */
function expressionEnd(source: string, at: number): number {
  for (let depth = 1, k = at;;) {
    const character = source[k]!;
    if (character === '"' || character === "`" || character === "'") k = readText(source, k).end;
    else {
      k++;
      if (character === "{") depth++;
      if (character === "}" && --depth === 0) return k;
    }
  }
}

/** All messages with the file that each stands in. */
export function errorMessages(root: URL): { readonly file: string; readonly message: string }[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(new URL(folder, root), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))
      .flatMap((name) => {
        const file = `${folder}/${name}`, source = readFileSync(new URL(file, root), "utf8");
        return [...source.matchAll(MAKERS)].map((match) => {
          let { text, end } = readText(source, match.index + match[0].length);
          // A long message goes on after a +.
          for (let more; (more = /^\s*\+\s*(?=["`])/.exec(source.slice(end))) !== null;) {
            const next = readText(source, end + more[0].length);
            text += next.text;
            end = next.end;
          }
          const goesOn = /^\s*\+/.test(source.slice(end)) ? "…" : "";
          const after = match[0].startsWith("notYet") ? ": not supported yet" : "";
          return { file, message: (text + goesOn + after).replace(/…+/g, "…") };
        });
      })
  );
}
