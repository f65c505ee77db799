// A turn of the host's event loop, in a way that works on every runtime.

/**
 * As it was when this module was loaded: Deno replaces it when `process.getBuiltinModule` is first called (files.ts), and with
 * messages over the new one the event loop never comes to timers, signals and input.
 */
const Channel = MessageChannel;

/** Lets the host's event loop turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new Channel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
