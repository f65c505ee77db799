// A turn of the host's event loop, in a way that works on every runtime.

/**
 * As it was when this module was loaded: Deno replaces it when `process.getBuiltinModule` is first called (files.ts), and with
 * messages over the new one the event loop never comes to timers, signals and input.
 */
const Channel = MessageChannel;

/** Node's own way. Its first message over a channel loads its whole implementation of `fetch`, which takes 60 ms. */
const immediate: ((callback: () => void) => unknown) | undefined = "Deno" in globalThis
  ? undefined
  : (globalThis as { setImmediate?: (callback: () => void) => unknown }).setImmediate;

/** Lets the host's event loop turn. */
export function turn(): Promise<void> {
  if (immediate !== undefined) return new Promise((resolve) => void immediate(resolve));
  return new Promise((resolve) => {
    const { port1, port2 } = new Channel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
