// Names of C++ as their source has them: by a package, which is loaded when a program has such names. Where it is not installed
// they are shown as they are.

import { readFile } from "./files.ts";

/** The package. Not written into the import, as a runtime would otherwise load it for every program. */
const PACKAGE = "gecko-profiler-demangle";

/** The part of the package that is needed: the JavaScript side of its WebAssembly. */
interface Glue {
  demangle_any(name: string): string;
  __wbg_set_wasm(exports: WebAssembly.Exports): void;
}

/** Loads what demangles names of C++; undefined if the package is not there. */
export async function loadCppDemangler(): Promise<((name: string) => string) | undefined> {
  try {
    const glue: Glue = await import(`${PACKAGE}/index_bg.js`);
    // The package's own way to load this makes Node print a warning.
    const { bytes } = readFile(new URL(import.meta.resolve(`${PACKAGE}/index_bg.wasm`)), PACKAGE);
    const module = await WebAssembly.compile(bytes as Uint8Array<ArrayBuffer>);
    const { exports } = await WebAssembly.instantiate(module, {
      "./index_bg.js": glue as unknown as WebAssembly.ModuleImports,
    });
    glue.__wbg_set_wasm(exports);
    (exports.__wbindgen_start as () => void)();
    return (name) => asOthers(glue.demangle_any(name));
  } catch {
    return undefined;
  }
}

/** What the package calls otherwise than c++filt and GDB do. */
function asOthers(name: string): string {
  const table = /^\{(vtable|vtt)\((.*)\)\}$/.exec(name);
  if (table !== null) return `${table[1] === "vtt" ? "VTT" : "vtable"} for ${asOthers(table[2]!)}`;
  return name.replace(/\b_GLOBAL__N_\w*/g, "(anonymous namespace)");
}
