// The console of a machine: what the guest printed, and what is typed at it.

/** A receiver of bytes, such as a UART. */
export interface Receiver {
  /** How many bytes it can take now. */
  receiverSpace(): number;
  /** Gives it a byte. */
  receive(byte: number): void;
}

/** One serial line, seen from outside the machine. */
export class Console {
  #chunks: Uint8Array[] = [];
  #open = new Uint8Array(1024);
  #used = 0;
  #input: number[] = [];
  /** Bytes at the start of `#input` that the receiver has. */
  #taken = 0;
  #receiver: Receiver | undefined;
  /** Whether what the guest prints is kept for `bytes` and `output`; a run without end is better off without. */
  keep = true;
  /** Called for each byte that the guest prints. */
  onOutput: ((byte: number) => void) | null = null;
  /** Called when input has arrived, so that a waiting machine looks at it. */
  onInput: () => void = () => {};

  /** Connects the device at the guest's end. */
  connect(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  /** What the guest does to print a byte. */
  transmit(byte: number): void {
    if (!this.keep) return this.onOutput?.(byte);
    if (this.#used === this.#open.length) {
      this.#chunks.push(this.#open);
      this.#open = new Uint8Array(Math.min(2 * this.#open.length, 1 << 20));
      this.#used = 0;
    }
    this.#open[this.#used++] = byte;
    this.onOutput?.(byte);
  }

  /** All bytes printed since power-on, while `keep` was set. */
  get bytes(): Uint8Array {
    const parts = [...this.#chunks, this.#open.subarray(0, this.#used)];
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  /** All that was printed, decoded as UTF-8. */
  get output(): string {
    return new TextDecoder().decode(this.bytes);
  }

  /** Types text (UTF-8) or bytes. They reach the guest as fast as its receiver takes them; nothing is lost. */
  send(data: string | Uint8Array): void {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    for (const byte of bytes) this.#input.push(byte);
    this.deliver();
    this.onInput();
  }

  /** Bytes typed but not yet taken by the guest. */
  get unread(): number {
    return this.#input.length - this.#taken;
  }

  /** Hands the receiver what it can take. */
  deliver(): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    while (this.#taken < this.#input.length && receiver.receiverSpace() > 0) {
      receiver.receive(this.#input[this.#taken++]!);
    }
    if (2 * this.#taken >= this.#input.length) {
      this.#input.splice(0, this.#taken);
      this.#taken = 0;
    }
  }
}
