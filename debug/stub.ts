// The server's side of GDB's remote protocol ("Debugging with GDB", appendix "GDB Remote Serial Protocol"), for one client: bytes
// in, bytes out. What it answers, and with which errors, follows QEMU's server, whose users' scripts expect it.
//
// A client becomes one with its first whole packet. Until then the guest runs as if nobody had connected; from then on it is
// held, until the client lets it go. No packet reaches the host's files.

import type { Hart } from "../hart/hart.ts";
import { READ, WRITE } from "../hart/pmp.ts";
import type { Watch } from "../hart/watchpoints.ts";
import type { DebugAccess } from "../machine/debug_access.ts";
import type { Halt, Step } from "../machine/run_control.ts";
import { HALT } from "../jit/executor.ts";
import { bytesOf, frame, fromHex, latin1, PacketReader, toHex } from "./packets.ts";
import { crc32, memoryMap, offer, searchMemory } from "./queries.ts";
import { RegisterFile } from "./registers.ts";

/** Most bytes of a packet. */
const PACKET_SIZE = 0x4000;
/** GDB's numbers of signals. */
const SIGINT = 2, SIGTRAP = 5;
/** Errors, as QEMU numbers them. */
const FAULT = "E14", INVALID = "E22", UNREADABLE = "E01", OK = "OK";
/** Number of the only process. */
const PROCESS = 1;

/** How single steps are made: QEMU's bits. */
const STEP_ENABLE = 1, STEP_NO_INTERRUPTS = 2, STEP_NO_TIMERS = 4;

/** What the stub is connected to. */
export interface StubOptions {
  /** Sends bytes to the client. */
  readonly send: (bytes: Uint8Array) => void;
  /** Executes a monitor command; gives what it prints. */
  readonly monitor: (line: string) => string;
  /** The client wants the guest killed. */
  readonly kill: () => void;
  /** Whether the client learns where there is RAM and ROM; GDB then refuses every other address, devices too. */
  readonly memoryMap?: boolean;
}

/** A breakpoint or watchpoint of the client. */
interface Watched {
  readonly watch: Watch;
  /** How GDB calls it in a stop reply. */
  readonly name: "watch" | "rwatch" | "awatch";
}

/** One client. */
export class GdbStub {
  readonly #debug: DebugAccess;
  readonly #options: StubOptions;
  readonly #registers: RegisterFile;
  readonly #reader: PacketReader;
  readonly #watches = new Map<string, Watched>();
  /** The client has sent a packet. */
  #known = false;
  /** The client waits for a stop reply. */
  #waits = false;
  #acknowledges = true;
  #multiprocess = false;
  #last: Uint8Array | null = null;
  /** Harts that `g` and others, and that `c` and `s`, are about. */
  #hart = 0;
  #stepped = 0;
  /** Threads that are still to be listed. */
  #listed = 0;
  #physical = false;
  #stepBits = STEP_ENABLE | STEP_NO_INTERRUPTS | STEP_NO_TIMERS;
  /** Packets that came while the guest ran. */
  #queue: string[] = [];
  #closed = false;

  constructor(debug: DebugAccess, options: StubOptions) {
    this.#debug = debug;
    this.#options = options;
    this.#registers = new RegisterFile(debug.hart(0));
    this.#reader = new PacketReader(PACKET_SIZE, {
      packet: (text) => this.#packet(text),
      damaged: () => this.#acknowledge("-"),
      resend: () => {
        if (this.#last !== null && this.#acknowledges) options.send(this.#last);
      },
      interrupt: () => {
        if (this.#waits) this.#debug.control.halt();
      },
    });
  }

  /** Takes what the client sent. */
  receive(bytes: Uint8Array): void {
    if (!this.#closed) this.#reader.feed(bytes);
  }

  /** The client is gone: its breakpoints are removed. The guest stays held if it is held, and runs on if it runs. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forget();
  }

  #forget(): void {
    const { control } = this.#debug;
    control.forget(this.#halted, this.#resumed);
    this.#removeAll();
    if (this.#known) control.attached--;
    this.#known = this.#waits = false;
  }

  #acknowledge(sign: "+" | "-"): void {
    if (this.#acknowledges) this.#options.send(bytesOf(sign));
  }

  #reply(text: string): void {
    this.#last = frame(text);
    this.#options.send(this.#last);
  }

  #packet(text: string): void {
    this.#acknowledge("+");
    const { control } = this.#debug;
    if (!this.#known) {
      this.#known = true;
      control.attached++;
      control.onHalt(this.#halted);
      control.onResume(this.#resumed);
    }
    if (control.halted) return this.#answer(text);
    // All-stop: whoever sends something stops the guest first.
    this.#queue.push(text);
    control.halt();
  }

  #halted = (halt: Halt): void => {
    if (this.#waits) {
      this.#waits = false;
      this.#reply(this.#stopReply(halt));
    }
    const queue = this.#queue;
    this.#queue = [];
    for (const text of queue) this.#answer(text);
  };

  /** Somebody else may have let the machine go; then the next halt is one that the client did not ask for. */
  #resumed = (): void => {
    this.#waits = true;
  };

  #stopReply(halt: Halt): string {
    if (halt.kind === "exit") return `W${byte(halt.code & 255)}`;
    if (halt.kind === "asked") return this.#signal(SIGINT);
    this.#hart = this.#stepped = halt.hart;
    if (halt.kind !== "watchpoint") return this.#signal(SIGTRAP);
    const found = [...this.#watches.values()].find(({ watch }) => watch === halt.watch);
    return this.#signal(SIGTRAP) + (found === undefined ? "" : `${found.name}:${found.watch.first.toString(16)};`);
  }

  #signal(signal: number): string {
    return `T${byte(signal)}thread:${this.#thread(this.#hart)};`;
  }

  /** How a hart is called. */
  #thread(hart: number): string {
    return this.#multiprocess ? `p${byte(PROCESS)}.${byte(hart + 1)}` : byte(hart + 1);
  }

  /**
   * The hart that a thread's name means; `"any"` for all or any.
   *
   * @returns undefined if there is none.
   */
  #named(name: string): number | "any" | undefined {
    const match = /^(?:p(-1|[0-9a-f]+)(?:\.|$))?(-1|[0-9a-f]+)?$/i.exec(name);
    if (match === null || name === "") return undefined;
    const [process, thread] = [match[1], match[2]].map((text) => text === undefined ? -1 : parseInt(text, 16));
    if (process! > PROCESS) return undefined;
    if (thread! <= 0) return "any";
    return thread! <= this.#debug.harts ? thread! - 1 : undefined;
  }

  /** Answers a packet; the guest is held. */
  #answer(text: string): void {
    const reply = this.#command(text);
    if (reply !== null) this.#reply(reply);
  }

  /** Does what a packet says; gives the answer, null where there is none yet. */
  #command(text: string): string | null {
    const rest = text.slice(1);
    switch (text[0]) {
      case "?":
        // A client that begins finds no breakpoints.
        this.#removeAll();
        return this.#signal(SIGTRAP);
      case "!":
        return OK;
      case "g":
        return toHex(this.#registers.readAll(this.#at()));
      case "G": {
        const bytes = fromHex(rest);
        if (bytes === undefined) return INVALID;
        this.#registers.writeAll(this.#at(), bytes);
        return OK;
      }
      case "p": {
        const number = hex(rest),
          bytes = number === undefined ? undefined : this.#registers.read(this.#at(), Number(number));
        return bytes === undefined ? FAULT : toHex(bytes);
      }
      case "P": {
        const [name = "", value = ""] = rest.split("="), number = hex(name), bytes = fromHex(value);
        if (number === undefined || bytes === undefined) return INVALID;
        return this.#registers.write(this.#at(), Number(number), bytes) > 0 ? OK : FAULT;
      }
      case "m":
        return this.#read(rest);
      case "M":
      case "X":
        return this.#write(rest, text[0] === "X");
      case "Z":
      case "z":
        return this.#breakpoint(rest, text[0] === "Z");
      case "H":
        return this.#select(rest);
      case "T":
        return this.#named(rest) === undefined ? INVALID : OK;
      case "c":
      case "s":
      case "C":
      case "S":
        return this.#resume(
          rest.replace(/^[0-9a-f]*;?/i, (signal) => /[CS]/.test(text[0]!) ? "" : signal),
          /s/i.test(text[0]!),
        );
      case "D":
        return this.#detach();
      case "k":
        this.#options.kill();
        return null;
      case "v":
        return this.#multi(text);
      case "q":
        return this.#query(text);
      case "Q":
        return this.#setting(text);
      default:
        return "";
    }
  }

  #at(): Hart {
    return this.#debug.hart(this.#hart);
  }

  // Memory.

  #read(rest: string): string {
    const [address, length] = numbers(rest);
    if (address === undefined || length === undefined || 2n * length > BigInt(PACKET_SIZE)) return INVALID;
    const bytes = this.#debug.read(this.#space(), address, Number(length));
    return bytes === undefined ? FAULT : toHex(bytes);
  }

  #write(rest: string, binary: boolean): string {
    const colon = rest.indexOf(":"), data = rest.slice(colon + 1);
    const [address, length] = numbers(rest.slice(0, Math.max(colon, 0)));
    const bytes = binary ? bytesOf(data) : fromHex(data);
    if (address === undefined || length === undefined || bytes === undefined || BigInt(bytes.length) !== length) {
      return INVALID;
    }
    return this.#debug.write(this.#space(), address, bytes) ? OK : FAULT;
  }

  /** Through whose eyes memory is seen; null: addresses are physical. */
  #space(): number | null {
    return this.#physical ? null : this.#hart;
  }

  // Breakpoints and watchpoints.

  #breakpoint(rest: string, on: boolean): string {
    const [kind = "", where = "", size = ""] = rest.split(";")[0]!.split(",");
    const address = hex(where), length = hex(size);
    if (!/^\d+$/.test(kind) || address === undefined || length === undefined) return INVALID;
    const { xlen } = this.#at(), first = BigInt.asUintN(xlen, address);
    if (kind === "0" || kind === "1") {
      const breakpoint = { kind: "virtual", address: first } as const, { breakpoints } = this.#debug;
      if (on) breakpoints.add(this, breakpoint);
      else breakpoints.remove(this, breakpoint);
      return OK;
    }
    const watched = {
      "2": { name: "watch", kinds: WRITE },
      "3": { name: "rwatch", kinds: READ },
      "4": { name: "awatch", kinds: READ | WRITE },
    } as const;
    if (!(kind in watched)) return "";
    if (length === 0n || first + length > 1n << BigInt(xlen)) return INVALID;
    const { name, kinds } = watched[kind as keyof typeof watched], key = `${kind} ${first} ${length}`;
    this.#unwatch(key);
    if (!on) return OK;
    const watch: Watch = {
      first,
      last: first + length - 1n,
      space: "virtual",
      kinds,
      hit: ({ hart }) => this.#hit(hart, watch),
    };
    this.#watches.set(key, { watch, name });
    this.#debug.watchpoints.add(watch);
    return OK;
  }

  /**
   * An access of a watched address: the guest stops before its instruction. GDB expects that of RISC-V: it makes a step, and then
   * looks at the value. Who goes on without one passes.
   */
  #hit(hart: number, watch: Watch): void {
    const now = this.#debug.hart(hart).count.instructions();
    if (this.#heldAt === now) return;
    this.#heldAt = now;
    this.#debug.control.request({ kind: "watchpoint", hart, watch });
    throw HALT;
  }
  /** Count of instructions at the last access that stopped the guest. */
  #heldAt = -1;

  #unwatch(key: string): void {
    const watched = this.#watches.get(key);
    if (watched === undefined) return;
    this.#watches.delete(key);
    this.#debug.watchpoints.remove(watched.watch);
  }

  #removeAll(): void {
    this.#debug.breakpoints.removeAll(this);
    for (const key of [...this.#watches.keys()]) this.#unwatch(key);
  }

  // Execution.

  #select(rest: string): string {
    const hart = this.#named(rest.slice(1));
    if (hart === undefined || !/^[gc]/.test(rest)) return INVALID;
    const number = hart === "any" ? this.#hart : hart;
    if (rest[0] === "g") this.#hart = number;
    else this.#stepped = number;
    return OK;
  }

  /** `c` and `s`, perhaps from another address. */
  #resume(where: string, step: boolean): string | null {
    if (where !== "") {
      const address = hex(where);
      if (address === undefined) return INVALID;
      this.#debug.hart(this.#stepped).pc = address & ~1n;
    }
    this.#go(step ? this.#step(this.#stepped) : null);
    return null;
  }

  #step(hart: number, range?: Step["range"]): Step {
    return { hart, interrupts: (this.#stepBits & STEP_NO_INTERRUPTS) === 0, ...(range && { range }) };
  }

  #go(step: Step | null, only: ReadonlySet<number> | null = null): void {
    this.#waits = true;
    this.#debug.control.resume(step, only);
  }

  /** `vCont` and other packets that begin with `v`. */
  #multi(text: string): string | null {
    if (text === "vCont?") return "vCont;c;C;s;S;r";
    if (text.startsWith("vCont;")) return this.#continue(text.slice(6));
    if (text.startsWith("vKill;")) {
      this.#reply(OK);
      this.#options.kill();
      return null;
    }
    if (text.startsWith("vAttach;")) return hex(text.slice(8)) === BigInt(PROCESS) ? this.#signal(SIGTRAP) : INVALID;
    return "";
  }

  /** Actions of `vCont`: for each hart the first counts that names it, or all. A hart without one stands still. */
  #continue(text: string): string | null {
    const going = new Set<number>();
    let step: Step | null = null;
    for (const part of text.split(";")) {
      const match = /^(?:([cs])|[CS]([0-9a-f]{2})|r([0-9a-f]+),([0-9a-f]+))(?::(.*))?$/i.exec(part);
      if (match === null) return "";
      const thread = match[5] === undefined ? "any" : this.#named(match[5]);
      if (thread === undefined) return INVALID;
      const harts = thread === "any" ? Array.from({ length: this.#debug.harts }, (_, hart) => hart) : [thread];
      const fresh = harts.filter((hart) => !going.has(hart));
      for (const hart of fresh) going.add(hart);
      if (step !== null || fresh.length === 0 || !/^[srS]/.test(part)) continue;
      const start = hex(match[3] ?? ""), end = hex(match[4] ?? "");
      const range = start === undefined || end === undefined ? undefined : { start, end };
      step = this.#step(fresh.includes(this.#hart) ? this.#hart : fresh[0]!, range);
    }
    this.#go(step, going.size < this.#debug.harts ? going : null);
    return null;
  }

  #detach(): string | null {
    this.#removeAll();
    this.#physical = false;
    this.#reply(OK);
    this.#forget();
    this.#debug.control.resume();
    return null;
  }

  // Queries and settings.

  #query(text: string): string | null {
    const [name, argument] = split(text);
    switch (name) {
      case "qSupported":
        this.#multiprocess = /(^|;)multiprocess\+/.test(argument);
        return `PacketSize=${PACKET_SIZE.toString(16)};qXfer:features:read+;qXfer:threads:read+;QStartNoAckMode+;` +
          `vContSupported+;multiprocess+${this.#options.memoryMap ? ";qXfer:memory-map:read+" : ""}`;
      case "qAttached":
        return "1";
      case "qC":
        return `QC${this.#thread(this.#hart)}`;
      case "qfThreadInfo":
        this.#listed = 0;
        return this.#nextThread();
      case "qsThreadInfo":
        return this.#nextThread();
      case "qThreadExtraInfo": {
        const hart = this.#named(argument);
        return typeof hart === "number" ? toHex(bytesOf(this.#describe(hart))) : INVALID;
      }
      case "qXfer":
        return this.#transfer(argument);
      case "qRcmd": {
        const line = fromHex(argument);
        return line === undefined ? UNREADABLE : this.#monitor(latin1(line));
      }
      case "qCRC": {
        const [address, length] = numbers(argument);
        if (address === undefined || length === undefined) return INVALID;
        const crc = crc32(this.#chunks(address, length));
        return crc === undefined ? FAULT : `C${crc.toString(16)}`;
      }
      case "qSearch":
        return this.#search(argument);
      case "qSymbol":
        return OK;
      case "qqemu.sstepbits":
        return `ENABLE=${STEP_ENABLE},NOIRQ=${STEP_NO_INTERRUPTS},NOTIMER=${STEP_NO_TIMERS}`;
      case "qqemu.sstep":
        return `0x${this.#stepBits.toString(16)}`;
      case "qqemu.PhyMemMode":
        return this.#physical ? "1" : "0";
      case "qqemu.Supported":
        return "sstepbits;sstep;PhyMemMode";
      default:
        return name.startsWith("qqemu.sstep=") ? this.#setStep(name.slice(12)) : "";
    }
  }

  #setting(text: string): string {
    const [name, argument] = split(text);
    if (name === "QStartNoAckMode") {
      this.#acknowledges = false;
      return OK;
    }
    if (name.startsWith("Qqemu.sstep=")) return this.#setStep(name.slice(12));
    if (name === "Qqemu.PhyMemMode") {
      if (!/^[0-9a-f]+$/i.test(argument)) return INVALID;
      this.#physical = !/^0+$/.test(argument);
      return OK;
    }
    return "";
  }

  #setStep(text: string): string {
    const bits = Number(hex(text) ?? -1);
    if (bits < 0 || bits > 7) return INVALID;
    this.#stepBits = bits;
    return OK;
  }

  #nextThread(): string {
    return this.#listed < this.#debug.harts ? `m${this.#thread(this.#listed++)}` : "l";
  }

  #describe(hart: number): string {
    return `CPU#${hart} [${this.#debug.hart(hart).waiting ? "halted " : "running"}]`;
  }

  #monitor(line: string): string {
    const text = this.#options.monitor(line);
    if (text !== "") {
      const bytes = new TextEncoder().encode(text.replaceAll("\n", "\r\n")), most = (PACKET_SIZE - 1) / 2 | 0;
      for (let at = 0; at < bytes.length; at += most) this.#reply(`O${toHex(bytes.subarray(at, at + most))}`);
    }
    return OK;
  }

  /** `qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH`. */
  #transfer(text: string): string {
    const match = /^(features|threads|memory-map):read:([^:]*):([0-9a-f]+),([0-9a-f]+)$/i.exec(text);
    if (match === null) return "";
    const [, object, annex, offset, length] = match as unknown as [string, string, string, string, string];
    let whole: string | undefined;
    if (object === "features") whole = this.#registers.files.get(annex);
    else if (object === "threads") {
      const threads = Array.from(
        { length: this.#debug.harts },
        (_, hart) => `<thread id="${this.#thread(hart)}" core="${hart}">${this.#describe(hart)}</thread>`,
      );
      whole = `<?xml version="1.0"?><threads>${threads.join("")}</threads>`;
    } else if (this.#options.memoryMap) whole = memoryMap(this.#debug.regions);
    else return "";
    return whole === undefined
      ? "E00"
      : offer(whole, parseInt(offset, 16), Math.min(parseInt(length, 16), PACKET_SIZE / 2));
  }

  /** Memory in pieces of a page; one that is not there is undefined. */
  *#chunks(address: bigint, length: bigint): Generator<Uint8Array | undefined> {
    for (let at = 0n; at < length;) {
      const size = Math.min(Number(length - at), 4096);
      yield this.#debug.read(this.#space(), address + at, size);
      at += BigInt(size);
    }
  }

  /** `qSearch:memory:ADDRESS;LENGTH;PATTERN`. */
  #search(text: string): string {
    const match = /^memory:([0-9a-f]+);([0-9a-f]+);(.+)$/is.exec(text);
    if (match === null) return INVALID;
    const start = BigInt(`0x${match[1]}`), length = BigInt(`0x${match[2]}`);
    const found = searchMemory(this.#chunks(start, length), bytesOf(match[3]!));
    if (found === undefined) return FAULT;
    return found < 0 ? "0" : `1,${(start + BigInt(found)).toString(16)}`;
  }
}

function byte(value: number): string {
  return value.toString(16).padStart(2, "0");
}

/** A hexadecimal number of at most 64 bits; undefined for anything else. */
function hex(text: string): bigint | undefined {
  return /^[0-9a-f]{1,16}$/i.test(text) ? BigInt(`0x${text}`) : undefined;
}

/** Hexadecimal numbers between commas. */
function numbers(text: string): (bigint | undefined)[] {
  return text.split(",").map(hex);
}

/** A packet's name and what follows its `:` or `,`. */
function split(text: string): [name: string, argument: string] {
  const match = /^([^:,]*)[:,]?(.*)$/s.exec(text)!;
  return [match[1]!, match[2]!];
}
