// Writes cpio archives in the "newc" format, which Linux unpacks as its initial ramdisk (Linux documentation, "initramfs buffer
// format"). The same entries give the same bytes.

/** What an archive can hold. */
export type CpioEntry =
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | { readonly kind: "file"; readonly path: string; readonly bytes: Uint8Array; readonly executable?: boolean };

const DIRECTORY = 0o40755, LINK = 0o120777, FILE = 0o100644, EXECUTABLE = 0o100755;
const encoder = new TextEncoder();

function modeOf(entry: CpioEntry): number {
  if (entry.kind === "directory") return DIRECTORY;
  if (entry.kind === "link") return LINK;
  return entry.executable === true ? EXECUTABLE : FILE;
}

function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  whole.set(bytes);
  return whole;
}

/** The archive of some entries: directories before what is in them, paths without a leading slash. */
export function cpio(entries: readonly CpioEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const add = (path: string, mode: number, content: Uint8Array, inode: number) => {
    const name = encoder.encode(`${path}\0`);
    const fields = [inode, mode, 0, 0, mode === 0 || mode === DIRECTORY ? 2 : 1, 0, content.length, 0, 0, 0, 0];
    const numbers = [...fields, name.length, 0].map((value) => value.toString(16).padStart(8, "0")).join("");
    parts.push(padded(new Uint8Array([...encoder.encode(`070701${numbers}`), ...name])), padded(content));
  };
  entries.forEach((entry, k) => {
    const content = entry.kind === "file"
      ? entry.bytes
      : entry.kind === "link"
      ? encoder.encode(entry.target)
      : new Uint8Array();
    add(entry.path, modeOf(entry), content, k + 1);
  });
  add("TRAILER!!!", 0, new Uint8Array(), 0);
  const archive = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  parts.reduce((at, part) => (archive.set(part, at), at + part.length), 0);
  return archive;
}
