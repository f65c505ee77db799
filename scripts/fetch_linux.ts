// Fetches a real Linux guest into guests/linux (`deno task guests`): Debian 13's riscv64 kernel, OpenSBI and static busybox, from
// the Debian mirror that this machine's apt is set to; apt checks the signatures. Builds the initial ramdisks of tests/linux_test.ts
// from them. What is there is not fetched again.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { cpio, type CpioEntry } from "./cpio.ts";
import { progress } from "./progress.ts";

/** Where the guest is kept. */
export const LINUX_FOLDER: string = fileURLToPath(new URL("../guests/linux/", import.meta.url));
const SOURCES = fileURLToPath(new URL("../tests/programs/linux/", import.meta.url));

/** Compiles the self-test; without it there is none. */
const COMPILER = "riscv64-linux-gnu-gcc";
const RELEASE = "trixie", ARCHITECTURE = "riscv64";

/** The files, and the least size in bytes at which they are plausible. */
const FILES: Readonly<Record<string, number>> = {
  "Image": 16 << 20,
  "fw_jump.bin": 200 << 10,
  "fw_dynamic.bin": 200 << 10,
  "initrd-auto.cpio.gz": 500 << 10,
  "initrd-shell.cpio.gz": 500 << 10,
  "initrd-disk.cpio.gz": 500 << 10,
  "initrd-devices.cpio.gz": 500 << 10,
};
/** Sizes of the files as they were made, and what they were made from. */
const MANIFEST = "manifest.json";
interface Manifest {
  readonly sources: string;
  readonly sizes: Readonly<Record<string, number>>;
}

const TOOLS =
  ("sh mount umount cat uname ls free nproc wc seq awk sha256sum gzip md5sum bc sleep dmesg grep head poweroff reboot " +
    "sync setsid cttyhack switch_root insmod echo vi top ps chmod date dd tee ifconfig ping nc udhcpc sed").split(" ");
/** The modules of ramdisks; what they name as needed comes with them. ext4 asks for crc32c only when it mounts. */
const MODULES = {
  disk: ["virtio_mmio", "virtio_blk", "crc32c_generic", "ext4"],
  devices: ["virtio_mmio", "virtio_net", "virtio_console", "virtio_rng", "rtc_goldfish", "af_packet"],
};

/** Runs a program. Throws with its messages if it fails. */
async function run(command: string, args: readonly string[], folder?: string): Promise<string> {
  const child = spawn(command, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let output = "", messages = "";
  child.stdout.on("data", (data) => output += data);
  child.stderr.on("data", (data) => messages += data);
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  if (code !== 0) throw new Error(`${command} ${args.at(-1)} failed:\n${messages}${output}`);
  return output;
}

/** The first Debian mirror among apt's sources, in either of their formats. */
function debianMirror(): string {
  const folder = "/etc/apt/sources.list.d";
  const files = [
    "/etc/apt/sources.list",
    ...(existsSync(folder) ? readdirSync(folder).map((f) => join(folder, f)) : []),
  ];
  for (const file of files.filter((each) => existsSync(each))) {
    const found = /^(?:deb|URIs:)\s.*?(https?:\/\/\S+\/debian\/?)(?:\s|$)/m.exec(readFileSync(file, "utf8"));
    if (found !== null) return found[1]!;
  }
  throw new Error("there is no Debian mirror among this machine's apt sources, which the Linux guest is fetched from");
}

/** Downloads and unpacks the packages; gives the folder with what is in them. */
async function unpackedPackages(work: string): Promise<string> {
  for (const folder of ["lists/partial", "cache/archives/partial", "root"]) {
    mkdirSync(join(work, folder), { recursive: true });
  }
  const list = join(work, "sources.list");
  const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  writeFileSync(list, `deb [signed-by=${keyring}] ${debianMirror()} ${RELEASE} main\n`);
  const options = [
    ...[`APT::Architecture=${ARCHITECTURE}`, `APT::Architectures=${ARCHITECTURE}`, "APT::Sandbox::User=root"],
    ...[`Dir::Etc::sourcelist=${list}`, "Dir::Etc::sourceparts=/dev/null", "Acquire::Retries=3"],
    ...[`Dir::State::Lists=${join(work, "lists")}`, `Dir::Cache=${join(work, "cache")}`],
  ].flatMap((option) => ["-o", option]);
  progress("Linux guest: package lists …");
  await run("apt-get", [...options, "-qq", "update"]);
  const depends = await run("apt-cache", [...options, "depends", `linux-image-${ARCHITECTURE}`]);
  const kernel = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (kernel === undefined) throw new Error(`${RELEASE} has no kernel for ${ARCHITECTURE}`);
  progress(`Linux guest: ${kernel}, busybox, OpenSBI …`);
  await run("apt-get", [...options, "-qq", "download", kernel, "busybox-static", "opensbi"], work);
  for (const file of readdirSync(work).filter((name) => name.endsWith(".deb"))) {
    progress(`Linux guest: unpacking ${file} …`);
    await run("dpkg-deb", ["-x", join(work, file), join(work, "root")]);
  }
  return join(work, "root");
}

/** The first of some paths that exists. */
function firstOf(root: string, ...paths: string[]): string {
  const found = paths.map((path) => join(root, path)).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`the packages have none of ${paths.join(", ")}`);
  return found;
}

/** Kernel modules and those that they need, each after what it needs: file names and contents. */
async function modules(root: string, names: readonly string[]): Promise<[name: string, bytes: Uint8Array][]> {
  const folder = firstOf(root, "usr/lib/modules", "lib/modules"), files = new Map<string, string>();
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const module = /([^/]+)\.ko(\.xz)?$/.exec(file);
    if (module !== null) files.set(module[1]!.replaceAll("-", "_"), join(folder, file));
  }
  const found = new Map<string, Uint8Array>();
  const add = async (name: string) => {
    const file = files.get(name);
    // What has no file is built in.
    if (file === undefined || found.has(name)) return;
    if (file.endsWith(".xz")) await run("xz", ["-dkf", file]);
    const bytes = new Uint8Array(readFileSync(file.replace(/\.xz$/, "")));
    const depends = /\0depends=([^\0]*)\0/.exec(new TextDecoder("latin1").decode(bytes))?.[1] ?? "";
    for (const other of depends.split(",").filter((each) => each !== "")) await add(other.replaceAll("-", "_"));
    found.set(name, bytes);
  };
  for (const name of names) await add(name);
  return [...found].map(([name, bytes]) => [`${name}.ko`, bytes]);
}

function hasCompiler(): boolean {
  return spawnSync(COMPILER, ["--version"]).error === undefined;
}

/** Compiles the self-test; undefined where there is no compiler. */
async function selfTest(work: string): Promise<Uint8Array | undefined> {
  if (!hasCompiler()) return undefined;
  const output = join(work, "selftest");
  await run(COMPILER, [
    "-O2",
    "-static",
    "-Wall",
    "-Werror",
    "-o",
    output,
    join(SOURCES, "selftest.c"),
    "-lm",
    "-lpthread",
  ]);
  return new Uint8Array(readFileSync(output));
}

/** Changes when a source of the ramdisks does, or a compiler for the self-test appears. */
function sourcesDigest(): string {
  const hash = createHash("sha256").update(JSON.stringify([MODULES, TOOLS]));
  for (const name of readdirSync(SOURCES).sort()) hash.update(name).update(readFileSync(join(SOURCES, name)));
  return hash.update(String(hasCompiler())).digest("hex");
}

/** Fetches and builds everything. */
async function fetchLinux(): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), "hartbeat-linux-"));
  try {
    const root = await unpackedPackages(work), boot = join(root, "boot");
    mkdirSync(LINUX_FOLDER, { recursive: true });
    const put = (name: string, bytes: Uint8Array) => writeFileSync(join(LINUX_FOLDER, name), bytes);
    // Already a raw image.
    put("Image", readFileSync(join(boot, readdirSync(boot).find((name) => /^vmlinu.-/.test(name))!)));
    for (const name of ["fw_jump.bin", "fw_dynamic.bin"]) {
      put(name, readFileSync(firstOf(root, `usr/lib/riscv64-linux-gnu/opensbi/generic/${name}`)));
    }
    progress("Linux guest: initial ramdisks …");
    const test = await selfTest(work);
    const withModules = async (names: readonly string[]): Promise<CpioEntry[]> => {
      const drivers = await modules(root, names), order = drivers.map(([name]) => `${name}\n`).join("");
      return [
        { kind: "directory", path: "modules" },
        ...drivers.map(([name, bytes]) => ({ kind: "file", path: `modules/${name}`, bytes }) as const),
        { kind: "file", path: "modules/order", bytes: new TextEncoder().encode(order) },
      ];
    };
    const busybox = new Uint8Array(readFileSync(firstOf(root, "usr/bin/busybox", "bin/busybox")));
    const common: CpioEntry[] = [
      ...["bin", "dev", "mnt", "proc", "sys"].map((path) => ({ kind: "directory", path }) as const),
      { kind: "file", path: "bin/busybox", bytes: busybox, executable: true },
      ...TOOLS.map((tool) => ({ kind: "link", path: `bin/${tool}`, target: "busybox" }) as const),
    ];
    const own: Record<string, CpioEntry[]> = {
      auto: test === undefined ? [] : [{ kind: "file", path: "bin/selftest", bytes: test, executable: true }],
      shell: [],
      disk: await withModules(MODULES.disk),
      devices: await withModules(MODULES.devices),
    };
    for (const [kind, entries] of Object.entries(own)) {
      const init = new Uint8Array(readFileSync(join(SOURCES, `init.${kind}`)));
      const archive = cpio([...common, ...entries, { kind: "file", path: "init", bytes: init, executable: true }]);
      put(`initrd-${kind}.cpio.gz`, gzipSync(archive, { level: 9 }));
    }
    const sizes = Object.entries(FILES).map(([name, least]) => {
      const { size } = statSync(join(LINUX_FOLDER, name));
      if (size < least) throw new Error(`${name} has only ${size} bytes`);
      return [name, size];
    });
    const manifest: Manifest = { sources: sourcesDigest(), sizes: Object.fromEntries(sizes) };
    put(MANIFEST, new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`));
  } finally {
    rmSync(work, { recursive: true });
    progress("");
  }
}

/** Path of a file of the guest; undefined if the guest has not been fetched as a whole. */
export function linuxFile(name: string): string | undefined {
  const manifest = join(LINUX_FOLDER, MANIFEST);
  if (!existsSync(manifest)) return undefined;
  const { sources, sizes } = JSON.parse(readFileSync(manifest, "utf8")) as Manifest;
  const whole = sources === sourcesDigest() && Object.keys(FILES).every((each) => {
    const path = join(LINUX_FOLDER, each);
    return existsSync(path) && statSync(path).size === sizes[each];
  });
  return whole ? join(LINUX_FOLDER, name) : undefined;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const there = linuxFile("Image") !== undefined;
  try {
    if (!there) await fetchLinux();
    console.log(`guests/linux: ${there ? "is there" : "fetched"}`);
  } catch (e) {
    console.error(`guests/linux: ${(e as Error).message}`);
    process.exitCode = 1;
  }
}
