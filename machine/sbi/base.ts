// SBI: the base extension (chapter "Base Extension").

import { CSR_NUMBERS } from "../../isa/csr_names.ts";
import type { SbiExtension, SbiFunction } from "./extension.ts";

/** Version 2.0, as major << 24 | minor. */
const SPECIFICATION = 2 << 24;
/** "hbt": the specification has no number for hartbeat. */
const IMPLEMENTATION = 0x68_6274;
/** hartbeat's version, as major << 16 | minor << 8 | patch. */
const VERSION = 0x00_0100;

const constant = (name: string, value: number): SbiFunction => ({
  name,
  parameters: [],
  run: () => ({ error: 0, value }),
});

const identity = (csr: string): SbiFunction => ({
  name: `get_${csr}`,
  parameters: [],
  run: ({ hart }) => ({ error: 0, value: hart.readCsr(CSR_NUMBERS[csr]!) ?? 0 }),
});

/** What the firmware is, and what it can do. */
export const BASE: SbiExtension = {
  id: 0x10,
  name: "BASE",
  functions: [
    constant("get_spec_version", SPECIFICATION),
    constant("get_impl_id", IMPLEMENTATION),
    constant("get_impl_version", VERSION),
    {
      name: "probe_extension",
      parameters: ["extension_id"],
      run: ({ firmware }, id) => ({ error: 0, value: firmware.extension(id) === undefined ? 0 : 1 }),
    },
    identity("mvendorid"),
    identity("marchid"),
    identity("mimpid"),
  ],
};
