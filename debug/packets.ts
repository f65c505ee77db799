// Frames of GDB's remote protocol ("Debugging with GDB", appendix "GDB Remote Serial Protocol", section "Overview"): bytes to
// packets and back. Whatever is no whole packet with the right checksum is dropped.

const DOLLAR = 0x24, HASH = 0x23, PLUS = 0x2b, MINUS = 0x2d, ESCAPE = 0x7d, STAR = 0x2a, INTERRUPT = 3;
/** What a byte after the escape character is combined with. */
const ESCAPE_MASK = 0x20;

/** Bytes as text, one character each. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return text;
}

/** Text of characters below 256 as bytes. */
export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Bytes as pairs of hexadecimal digits. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** Bytes from pairs of hexadecimal digits; undefined if the text is something else. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(text)) return undefined;
  return Uint8Array.from({ length: text.length / 2 }, (_, k) => parseInt(text.slice(2 * k, 2 * k + 2), 16));
}

/** A packet to send: `$`, the text with what must be escaped, `#`, checksum. The text has one character to a byte. */
export function frame(text: string): Uint8Array {
  const body: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const byte = text.charCodeAt(at);
    if (byte === DOLLAR || byte === HASH || byte === ESCAPE || byte === STAR) body.push(ESCAPE, byte ^ ESCAPE_MASK);
    else body.push(byte);
  }
  const sum = body.reduce((total, byte) => total + byte & 255, 0).toString(16).padStart(2, "0");
  return Uint8Array.of(DOLLAR, ...body, HASH, sum.charCodeAt(0), sum.charCodeAt(1));
}

/** What was found in the bytes that a client sent. */
export interface PacketEvents {
  /** A packet, one character to a byte, without escapes. */
  packet(text: string): void;
  /** A packet with a wrong checksum. */
  damaged(): void;
  /** The client wants the last packet again. */
  resend(): void;
  /** Ctrl-C. */
  interrupt(): void;
}

/** Takes a client's bytes apart. */
export class PacketReader {
  readonly #limit: number;
  readonly #events: PacketEvents;
  /** Bytes of the packet at hand, as sent; null between packets. */
  #body: number[] | null = null;
  /** First digit of the checksum; null while there is none. */
  #digit: number | null = null;
  #ended = false;

  /** `limit`: most bytes of a packet; a longer one is dropped. */
  constructor(limit: number, events: PacketEvents) {
    this.#limit = limit;
    this.#events = events;
  }

  /** Takes the next bytes. */
  feed(bytes: Uint8Array): void {
    for (const byte of bytes) this.#take(byte);
  }

  #take(byte: number): void {
    if (this.#body === null) {
      if (byte === DOLLAR) this.#body = [];
      else if (byte === MINUS) this.#events.resend();
      else if (byte === INTERRUPT) this.#events.interrupt();
      // An acknowledgement needs no answer. Anything else is noise.
      else if (byte === PLUS) return;
    } else if (this.#ended) this.#checksum(byte);
    else if (byte === HASH) this.#ended = true;
    else if (byte === DOLLAR) this.#body = [];
    else if (this.#body.length === this.#limit) this.#body = null;
    else this.#body.push(byte);
  }

  #checksum(byte: number): void {
    const digit = parseInt(String.fromCharCode(byte), 16), body = this.#body!, first = this.#digit;
    if (first === null && !Number.isNaN(digit)) {
      this.#digit = digit;
      return;
    }
    this.#body = this.#digit = null;
    this.#ended = false;
    const sum = body.reduce((total, next) => total + next & 255, 0);
    if (first === null || first * 16 + digit !== sum) this.#events.damaged();
    else this.#events.packet(unescape(body));
  }
}

function unescape(body: readonly number[]): string {
  const plain: number[] = [];
  for (let at = 0; at < body.length; at++) {
    plain.push(body[at] === ESCAPE && at + 1 < body.length ? body[++at]! ^ ESCAPE_MASK : body[at]!);
  }
  return latin1(Uint8Array.from(plain));
}
