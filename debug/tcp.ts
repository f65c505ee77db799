// TCP at the edge: one client at a time, on the loopback interface unless somebody asks for another.

import { OptionError } from "../machine/errors.ts";

/** The part of `node:net` that is needed; Deno and Node hand it out without an import, so that a browser's bundle has none. */
interface Net {
  createServer(connected: (socket: Socket) => void): Server;
}

interface Server {
  listen(port: number, host: string, listening: () => void): void;
  on(event: "error", listener: (error: { code?: string; message: string }) => void): void;
  address(): { port: number };
  close(): void;
  unref(): void;
}

/** A connection. */
export interface Socket {
  on(event: "data", listener: (bytes: Uint8Array) => void): void;
  on(event: "close" | "error" | "end" | "drain", listener: () => void): void;
  write(bytes: Uint8Array): boolean;
  end(): void;
  destroy(): void;
  setNoDelay(on: boolean): void;
}

/** A client's view of a server: what to do with what it sends, and when it has gone. */
export interface Client {
  receive(bytes: Uint8Array): void;
  closed(): void;
}

/** A port that is listened on. */
export interface Listener {
  /** The port, also where any was asked for. */
  readonly port: number;
  /** Ends the connection, after what was written has been sent, and listens no more. */
  close(): Promise<void>;
}

/** How long a client may take to accept the last bytes, milliseconds. */
const PATIENCE = 500;

/** `HOST:PORT` or `:PORT`. */
export interface Address {
  /** Name or number of an interface; loopback where empty. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

/**
 * Listens on a port.
 *
 * @param option The option, for messages.
 * @param connected Called for each client; a second one at the same time is turned away.
 * @throws {OptionError} If the port cannot be had, or there is no TCP here.
 */
export async function listen(
  address: Address,
  option: string,
  connected: (socket: Socket) => Client,
): Promise<Listener> {
  const host = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  const net = host.process?.getBuiltinModule?.("net") as Net | undefined;
  if (net === undefined) throw new OptionError(`${option}: there is no TCP here; Deno and Node have it`);
  let current: Socket | undefined, ended = () => {};
  const server = net.createServer((socket) => {
    if (current !== undefined) return socket.destroy();
    current = socket;
    socket.setNoDelay(true);
    const client = connected(socket);
    let gone = false;
    const over = () => {
      if (gone) return;
      gone = true;
      current = undefined;
      socket.destroy();
      client.closed();
      ended();
    };
    socket.on("data", (bytes) => {
      if (!gone) client.receive(bytes);
    });
    for (const event of ["close", "error", "end"] as const) socket.on(event, over);
  });
  const where = address.host === "" ? "127.0.0.1" : address.host;
  await new Promise<void>((resolve, reject) => {
    server.on(
      "error",
      ({ code, message }) => reject(new OptionError(`${option}: ${reason(code, where, address.port) ?? message}`)),
    );
    server.listen(address.port, where, resolve);
  });
  return {
    port: server.address().port,
    async close() {
      server.close();
      if (current === undefined) return;
      const socket = current;
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        ended = resolve;
        timer = setTimeout(resolve, PATIENCE);
        socket.end();
      });
      clearTimeout(timer);
      socket.destroy();
    },
  };
}

function reason(code: string | undefined, host: string, port: number): string | undefined {
  switch (code) {
    case "EADDRINUSE":
      return `port ${port} of ${host} is in use`;
    case "EACCES":
    case "NotCapable":
      return `port ${port} of ${host} may not be listened on`;
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `this computer has no address ${host}`;
    default:
      return undefined;
  }
}
