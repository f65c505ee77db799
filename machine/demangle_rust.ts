// Names of Rust as their source has them, from the two ways in which rustc mangles them: the old one, which looks like C++'s with
// a hash at its end, and "v0" (RFC 2603, "Rust Symbol Name Mangling").

/** Nesting and length that no name needs. */
const MAX_DEPTH = 200, MAX_LENGTH = 100_000;

/** Not a name of this kind. */
class NotMangled extends Error {}

/** The name of a symbol of Rust without hashes; undefined if the symbol is none of Rust. */
export function demangleRust(symbol: string): string | undefined {
  try {
    const old = /^_{0,2}ZN(\d.*)$/.exec(symbol);
    if (old !== null) return demangleOld(old[1]!);
    const [, body = "", suffix = ""] = /^_{0,2}R([A-Z]\w*)(\..*)?$/.exec(symbol) ?? [];
    return body === "" || suffix === "." ? undefined : new Demangler(body).symbol();
  } catch (error) {
    if (error instanceof NotMangled) return undefined;
    throw error;
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ SP: "@", BP: "*", RF: "&", LT: "<", GT: ">", LP: "(", RP: ")", C: "," },
};

/** Parts with their lengths in front, an `E`, and perhaps a suffix of the linker's (`.llvm.1234`). */
function demangleOld(text: string): string | undefined {
  const parts: string[] = [];
  let rest = text;
  while (/^\d/.test(rest)) {
    const digits = /^\d+/.exec(rest)![0], length = Number(digits);
    if (length > rest.length) return undefined;
    parts.push(rest.slice(digits.length, digits.length + length));
    rest = rest.slice(digits.length + length);
  }
  if (!/^E(\.|$)/.test(rest) || !/^h[0-9a-f]{16}$/.test(parts.pop() ?? "") || parts.length === 0) return undefined;
  return parts.map((part) =>
    part.replace(/^_\$/, "$").replace(/\$(\w+)\$|\.\.?/g, (whole, name?: string) => {
      if (name === undefined) return whole === ".." ? "::" : ".";
      const code = /^u([0-9a-f]{1,6})$/.exec(name), point = code === null ? NaN : parseInt(code[1]!, 16);
      return ESCAPES[name] ?? (point <= 0x10ffff ? String.fromCodePoint(point) : whole);
    })
  ).join("::");
}

const BASIC_TYPES: Readonly<Record<string, string>> = {
  ...{ a: "i8", b: "bool", c: "char", d: "f64", e: "str", f: "f32", h: "u8", i: "isize", j: "usize", l: "i32" },
  ...{ m: "u32", n: "i128", o: "u128", s: "i16", t: "u16", u: "()", v: "...", x: "i64", y: "u64", z: "!", p: "_" },
};

/** Reads a v0 name and writes it as it goes. */
class Demangler {
  readonly #text: string;
  #at = 0;
  #depth = 0;
  #out = "";
  /** Lifetimes that are bound around here. */
  #bound = 0;

  constructor(text: string) {
    this.#text = text;
  }

  symbol(): string {
    this.#path(true);
    // The crate that made it is of no interest.
    if (this.#at < this.#text.length) {
      const out = this.#out;
      this.#path(false);
      this.#out = out;
    }
    if (this.#at < this.#text.length) throw new NotMangled();
    return this.#out;
  }

  #write(text: string): void {
    this.#out += text;
    if (this.#out.length > MAX_LENGTH) throw new NotMangled();
  }

  #next(): string {
    const letter = this.#text[this.#at++];
    if (letter === undefined) throw new NotMangled();
    return letter;
  }

  #take(letter: string): boolean {
    if (this.#text[this.#at] !== letter) return false;
    this.#at++;
    return true;
  }

  #nested<T>(f: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw new NotMangled();
    const result = f();
    this.#depth--;
    return result;
  }

  /** A number in base 62, which ends in `_`; `_` alone is 0. */
  #base62(): number {
    if (this.#take("_")) return 0;
    let value = 0;
    for (;;) {
      const letter = this.#next();
      if (letter === "_") return value + 1;
      const digit = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".indexOf(letter);
      if (digit < 0) throw new NotMangled();
      // A crate's hash has 64 bits; all that is used is far smaller.
      value = value * 62 + digit;
    }
  }

  /** A number behind a letter; 0 without it. */
  #optional(letter: string): number {
    return this.#take(letter) ? this.#base62() + 1 : 0;
  }

  #identifier(): { readonly name: string; readonly number: number } {
    const number = this.#optional("s");
    return { name: this.#plainIdentifier(), number };
  }

  #plainIdentifier(): string {
    const puny = this.#take("u"), digits = /^(0|[1-9]\d*)/.exec(this.#text.slice(this.#at))?.[0];
    if (digits === undefined) throw new NotMangled();
    this.#at += digits.length;
    this.#take("_");
    const length = Number(digits), name = this.#text.slice(this.#at, this.#at + length);
    if (name.length !== length) throw new NotMangled();
    this.#at += length;
    return puny ? decodePunycode(name) : name;
  }

  /** Goes back to where something was written before. */
  #backReference(f: () => void): void {
    const start = this.#at - 1, target = this.#base62();
    if (target >= start) throw new NotMangled();
    const after = this.#at;
    this.#at = target;
    this.#nested(f);
    this.#at = after;
  }

  /** @param value Whether it names a value, whose generic arguments have `::` in front, or a type. */
  #path(value: boolean): void {
    this.#nested(() => {
      switch (this.#next()) {
        case "C":
          return this.#write(this.#identifier().name);
        case "M":
          this.#implementation();
          this.#write("<");
          this.#type();
          return this.#write(">");
        case "X":
          this.#implementation();
          return this.#asTrait();
        case "Y":
          return this.#asTrait();
        case "N": {
          const space = this.#next();
          if (!/[a-zA-Z]/.test(space)) throw new NotMangled();
          this.#path(value);
          const { name, number } = this.#identifier();
          if (space >= "a") return this.#write(name === "" ? "" : `::${name}`);
          const kind = space === "C" ? "closure" : space === "S" ? "shim" : space;
          return this.#write(`::{${kind}${name === "" ? "" : `:${name}`}#${number}}`);
        }
        case "I":
          this.#path(value);
          this.#write(value ? "::<" : "<");
          this.#list("E", () => this.#argument());
          return this.#write(">");
        case "B":
          return this.#backReference(() => this.#path(value));
      }
      throw new NotMangled();
    });
  }

  /** Where an `impl` stands is not shown. */
  #implementation(): void {
    this.#optional("s");
    const out = this.#out;
    this.#path(false);
    this.#out = out;
  }

  #asTrait(): void {
    this.#write("<");
    this.#type();
    this.#write(" as ");
    this.#path(false);
    this.#write(">");
  }

  #list(end: string, item: () => void): number {
    let count = 0;
    for (; !this.#take(end); count++) {
      if (count > 0) this.#write(", ");
      item();
    }
    return count;
  }

  #argument(): void {
    if (this.#take("L")) return this.#lifetime(this.#base62());
    if (this.#take("K")) return this.#constant();
    this.#type();
  }

  #lifetime(index: number): void {
    if (index === 0) return this.#write("'_");
    const depth = this.#bound - index;
    if (depth < 0) throw new NotMangled();
    this.#write(depth < 26 ? `'${String.fromCharCode(97 + depth)}` : `'_${depth}`);
  }

  /** `for<'a>`, around what `f` writes. */
  #binder(f: () => void): void {
    const count = this.#optional("G");
    if (count > 0) {
      const names = Array.from({ length: Math.min(count, MAX_DEPTH) }, (_, k) => this.#bound + k);
      this.#write(`for<${names.map((k) => k < 26 ? `'${String.fromCharCode(97 + k)}` : `'_${k}`).join(", ")}> `);
    }
    this.#bound += count;
    f();
    this.#bound -= count;
  }

  #type(): void {
    this.#nested(() => {
      const letter = this.#next(), basic = BASIC_TYPES[letter];
      if (basic !== undefined) return this.#write(basic);
      switch (letter) {
        case "A":
          this.#write("[");
          this.#type();
          this.#write("; ");
          this.#constant();
          return this.#write("]");
        case "S":
          this.#write("[");
          this.#type();
          return this.#write("]");
        case "T": {
          this.#write("(");
          if (this.#list("E", () => this.#type()) === 1) this.#write(",");
          return this.#write(")");
        }
        case "R":
        case "Q": {
          this.#write("&");
          const lifetime = this.#take("L") ? this.#base62() : 0;
          if (lifetime > 0) {
            this.#lifetime(lifetime);
            this.#write(" ");
          }
          if (letter === "Q") this.#write("mut ");
          return this.#type();
        }
        case "P":
          this.#write("*const ");
          return this.#type();
        case "O":
          this.#write("*mut ");
          return this.#type();
        case "F":
          return this.#binder(() => this.#function());
        case "D":
          return this.#dynamic();
        case "B":
          return this.#backReference(() => this.#type());
      }
      this.#at--;
      this.#path(false);
    });
  }

  #function(): void {
    if (this.#take("U")) this.#write("unsafe ");
    if (this.#take("K")) {
      this.#write(`extern "${this.#take("C") ? "C" : this.#plainIdentifier().replaceAll("_", "-")}" `);
    }
    this.#write("fn(");
    this.#list("E", () => this.#type());
    this.#write(")");
    if (this.#take("u")) return;
    this.#write(" -> ");
    this.#type();
  }

  #dynamic(): void {
    this.#write("dyn ");
    this.#binder(() => {
      for (let count = 0; !this.#take("E"); count++) {
        if (count > 0) this.#write(" + ");
        this.#trait();
      }
    });
    if (!this.#take("L")) throw new NotMangled();
    const lifetime = this.#base62();
    if (lifetime > 0) {
      this.#write(" + ");
      this.#lifetime(lifetime);
    }
  }

  /** A trait with its arguments and associated types in one pair of brackets. */
  #trait(): void {
    const start = this.#out.length;
    this.#path(false);
    if (this.#text[this.#at] !== "p") return;
    const open = this.#out.endsWith(">") && !this.#out.slice(start).startsWith("<");
    if (open) this.#out = this.#out.slice(0, -1);
    for (let first = !open; this.#take("p"); first = false) {
      this.#write(`${first ? "<" : ", "}${this.#plainIdentifier()} = `);
      this.#type();
    }
    this.#write(">");
  }

  #constant(): void {
    this.#nested(() => {
      const letter = this.#next();
      if (letter === "p") return this.#write("_");
      if (letter === "B") return this.#backReference(() => this.#constant());
      if (!/[abchijlmnostxy]/.test(letter)) throw new NotMangled();
      const negative = this.#take("n"), digits = /^[0-9a-f]*_/.exec(this.#text.slice(this.#at))?.[0];
      if (digits === undefined) throw new NotMangled();
      this.#at += digits.length;
      const value = BigInt(`0x${digits.slice(0, -1) || "0"}`);
      if (letter === "b") return this.#write(value === 0n ? "false" : "true");
      if (letter === "c") return this.#write(`'${value <= 0x10ffffn ? String.fromCodePoint(Number(value)) : "?"}'`);
      this.#write(`${negative ? "-" : ""}${value}`);
    });
  }
}

/** Punycode (RFC 3492) with `_` in place of `-` before the part that is encoded. */
function decodePunycode(text: string): string {
  const split = text.lastIndexOf("_"),
    points = split < 0 ? [] : [...text.slice(0, split)].map((c) => c.codePointAt(0)!);
  let n = 128, i = 0, bias = 72;
  const digits = text.slice(split + 1);
  for (let at = 0; at < digits.length;) {
    const before = i;
    for (let k = 36, weight = 1;; k += 36) {
      const code = digits.charCodeAt(at++),
        digit = code >= 97 && code <= 122 ? code - 97 : code >= 48 && code <= 57 ? code - 22 : -1;
      if (digit < 0) throw new NotMangled();
      i += digit * weight;
      const threshold = Math.min(26, Math.max(1, k - bias));
      if (digit < threshold) break;
      weight *= 36 - threshold;
      if (weight > 2 ** 40) throw new NotMangled();
    }
    const count = points.length + 1;
    let delta = Math.floor((i - before) / (before === 0 ? 700 : 2)), k = 0;
    delta += Math.floor(delta / count);
    for (; delta > 455; k += 36) delta = Math.floor(delta / 35);
    bias = k + Math.floor(36 * delta / (delta + 38));
    n += Math.floor(i / count);
    i %= count;
    if (n > 0x10ffff) throw new NotMangled();
    points.splice(i++, 0, n);
  }
  return String.fromCodePoint(...points);
}
