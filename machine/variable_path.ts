// Paths to variables, as C writes them: `*list.head->next[3].name`.

import { AddressError } from "./errors.ts";

/** A step from a value to another. */
export type Step =
  | { readonly kind: "member"; readonly name: string }
  /** The index is a number or the name of a variable. */
  | { readonly kind: "index"; readonly index: number | string }
  | { readonly kind: "target" }
  | { readonly kind: "address" };

/** A variable's name, and the steps from there in the order in which they are taken. */
export interface VariablePath {
  readonly name: string;
  readonly steps: readonly Step[];
}

/**
 * Reads a path.
 *
 * @throws {AddressError} If it is none.
 */
export function parsePath(text: string): VariablePath {
  return new Parser(text).parse();
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): VariablePath {
    const path = this.#unary(0);
    this.#blank();
    if (this.#at < this.#text.length) this.#fail();
    return path;
  }

  #fail(): never {
    const rest = this.#text.slice(this.#at), where = rest === "" ? "its end" : rest;
    throw new AddressError(`${this.#text}: not understood from ${where} on; write list->head[3].name, say`);
  }

  #blank(): void {
    while (this.#text[this.#at] === " ") this.#at++;
  }

  #take(token: string): boolean {
    this.#blank();
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    this.#blank();
    const found = pattern.exec(this.#text.slice(this.#at))?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #unary(depth: number): VariablePath {
    if (depth > 100) this.#fail();
    if (this.#take("*")) {
      const { name, steps } = this.#unary(depth + 1);
      return { name, steps: [...steps, { kind: "target" }] };
    }
    if (this.#take("&")) {
      const { name, steps } = this.#unary(depth + 1);
      return { name, steps: [...steps, { kind: "address" }] };
    }
    return this.#postfix(depth);
  }

  #postfix(depth: number): VariablePath {
    let path: VariablePath;
    if (this.#take("(")) {
      path = this.#unary(depth + 1);
      if (!this.#take(")")) this.#fail();
    } else path = { name: this.#name(), steps: [] };
    const steps = [...path.steps];
    for (;;) {
      if (this.#take("->") || this.#take(".")) {
        const name = this.#match(/^(\w[\w$]*)/);
        if (name === undefined) this.#fail();
        steps.push({ kind: "member", name: name! });
      } else if (this.#take("[")) {
        const number = this.#match(/^-?(0x[0-9a-fA-F]+|\d+)/);
        const index = number === undefined ? this.#match(/^[A-Za-z_][\w:]*/) : Number(number);
        if (index === undefined) this.#fail();
        steps.push({ kind: "index", index: index! });
        if (!this.#take("]")) this.#fail();
      } else return { name: path.name, steps };
    }
  }

  /** A name with its namespaces. */
  #name(): string {
    let name = "";
    for (;;) {
      const part = this.#match(/^[A-Za-z_$][\w$]*|^\((anonymous namespace)\)|^\{[^}]*\}/);
      if (part === undefined) this.#fail();
      name += part + this.#arguments();
      if (!this.#text.startsWith("::", this.#at)) return name;
      this.#at += 2;
      name += "::";
    }
  }

  /** Arguments of a generic type. */
  #arguments(): string {
    if (this.#text[this.#at] !== "<") return "";
    const start = this.#at;
    let depth = 0;
    for (; this.#at < this.#text.length; this.#at++) {
      const letter = this.#text[this.#at];
      if (letter === "<") depth++;
      // The `>` of `->` closes nothing.
      else if (letter === ">" && this.#text[this.#at - 1] !== "-" && --depth === 0) {
        this.#at++;
        return this.#text.slice(start, this.#at);
      }
    }
    this.#at = start;
    return "";
  }
}
