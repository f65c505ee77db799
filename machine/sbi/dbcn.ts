// SBI: the debug console (chapter "Debug Console Extension").

import { failed, idOf, type SbiExtension, SUCCESS } from "./extension.ts";

/** Physical address by halves of XLEN bits. Nothing lies above 2^XLEN. */
const physical = (low: bigint, high: bigint): number => high === 0n ? Number(low) : Infinity;

/** The console, for kernels that have no driver for it yet. */
export const DBCN: SbiExtension = {
  id: idOf("DBCN"),
  name: "DBCN",
  functions: [
    {
      name: "console_write",
      parameters: ["num_bytes", "base_addr_lo", "base_addr_hi"],
      run: ({ firmware }, length, low, high) => {
        if (length === 0n) return { error: 0, value: 0 };
        const address = physical(low, high);
        if (!firmware.memory.isRam(address, Number(length))) return failed("INVALID_PARAM");
        for (const byte of firmware.memory.readBytes(address, Number(length))!) firmware.console.write(byte);
        return { error: 0, value: length };
      },
    },
    {
      name: "console_read",
      parameters: ["num_bytes", "base_addr_lo", "base_addr_hi"],
      run: ({ firmware }, length, low, high) => {
        if (length === 0n) return { error: 0, value: 0 };
        const address = physical(low, high), bytes: number[] = [];
        if (!firmware.memory.isRam(address, Number(length))) return failed("INVALID_PARAM");
        while (bytes.length < Number(length)) {
          const byte = firmware.console.read();
          if (byte === undefined) break;
          bytes.push(byte);
        }
        firmware.memory.writeBytes(address, Uint8Array.from(bytes));
        return { error: 0, value: bytes.length };
      },
    },
    {
      name: "console_write_byte",
      parameters: ["byte"],
      run: ({ firmware }, byte) => {
        firmware.console.write(Number(byte & 0xffn));
        return SUCCESS;
      },
    },
  ],
};
