// Options of the command: what they set, what is wrong with them, and what the command prints about itself.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { helpText, listingText } from "../cli/help.ts";
import { OPTIONS, parseCommandLine } from "../cli/options.ts";
import { buildElf } from "./elf_builder.ts";
import { hartbeat, program } from "./support/command.ts";

test("one and two dashes are the same, and later options win", () => {
  const parse = (line: string) => parseCommandLine(line.split(" "));
  assert.deepEqual(parse("-machine spike -m 64M -cpu rv32"), parse("--M spike --m 64M --cpu rv32"));
  assert.equal(parse("-m 1G -m 2G").machine.memory, "2G");
  assert.deepEqual(parse("-machine virt -machine dumpdtb=a,,b").machine, { machine: "virt" });
  assert.equal(parse("-machine virt,dumpdtb=a,,b").deviceTreeFile, "a,b");
  assert.deepEqual(parse("-M virt,aclint=on,aia=none,usb=off,graphics=off").machine, { machine: "virt", aclint: true });
  assert.deepEqual(parse("-M virt,kernel=k,firmware=none,append=quiet,initrd=i,dtb=d").machine, {
    ...{ machine: "virt", kernel: "k", bios: "none", append: "quiet", initrd: "i", dtb: "d" },
  });
  assert.equal(parse("-M type=spike").machine.machine, "spike");
});

test("every option sets what it says", () => {
  const settings = parseCommandLine([
    ..."-bios b -kernel k -initrd i -dtb d -smp cpus=1 -m 1G -cpu rv64,zbb=off -accel jit,threshold=3".split(" "),
    ..."-icount shift=3,sleep=off -rtc clock=host -no-reboot -nographic -display none -monitor none".split(" "),
    ..."-serial file:out.txt -serial null -d int,exec -d in_asm -D log.txt -name x".split(" "),
    ...["-append", "console=ttyS0 quiet", "-symbols", "a,,b.elf,offset=-0x10", "-symbols", "System.map"],
    ...["-device", "loader,file=a,,b,addr=0x80400000,force-raw=on,cpu-num=0"],
    ...["-device", "loader,addr=16,data=0xffffffffffffffff,data-len=8,data-be=on"],
    ...["-drive", "file=a,,b.img,format=raw,if=none,id=x0,readonly=on,snapshot=off,discard=unmap,cache=writethrough"],
    ...["-drive", "file=flash.bin,if=pflash,unit=1,file.locking=off"],
    ...["-netdev", "user,id=n1,net=192.168.7.0/24,restrict=on,hostfwd=tcp::2222-:22"],
    ...["-netdev", "hubport,id=n0,hubid=3", "-object", "rng-builtin,id=r0", "-seed", "7"],
    ...["-chardev", "stdio,id=c0,mux=on", "-chardev", "file,id=c1,path=a,,b.txt"],
    ...["-device", "virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0,share-rw", "-snapshot"],
    ...["-global", "virtio-mmio.force-legacy=false", "-global", "driver=virtio-blk-device,property=serial,value=a.b"],
  ]);
  assert.deepEqual(settings, {
    machine: {
      bios: "b",
      kernel: "k",
      initrd: "i",
      dtb: "d",
      smp: 1,
      memory: "1G",
      cpu: "rv64,zbb=off",
      accel: "jit,threshold=3",
      icountShift: 3,
      reboot: false,
      append: "console=ttyS0 quiet",
      symbols: [{ file: "a,b.elf", offset: -16n }, { file: "System.map", offset: 0n }],
      loaders: [
        { file: "a,b", address: 0x80400000n, forceRaw: true, hart: 0 },
        { address: 16n, data: 0xffff_ffff_ffff_ffffn, dataLength: 8, dataBigEndian: true },
      ],
      drives: [
        {
          file: "a,b.img",
          id: "x0",
          interface: "none",
          format: "raw",
          readOnly: true,
          snapshot: false,
          discard: "unmap",
          writeCache: false,
        },
        { file: "flash.bin", interface: "pflash", unit: 1 },
      ],
      devices: [{ driver: "virtio-blk-device", drive: "x0", bus: "virtio-mmio-bus.0", "share-rw": "on" }],
      netdevs: [{ id: "n1", user: { net: "192.168.7.0/24", unreachable: ["hostfwd"] } }, { id: "n0", hubId: 3 }],
      objects: [{ type: "rng-builtin", id: "r0" }],
      seed: 7,
      chardevs: [{ id: "c0" }, { id: "c1" }],
      snapshot: true,
      globals: [
        { driver: "virtio-mmio", property: "force-legacy", value: "false" },
        { driver: "virtio-blk-device", property: "serial", value: "a.b" },
      ],
    },
    serial: { kind: "file", path: "out.txt" },
    hostClock: true,
    log: new Set(["int", "exec", "in_asm"]),
    logFile: "log.txt",
    chardevs: [
      { id: "c0", mux: true, target: { kind: "stdio" } },
      { id: "c1", target: { kind: "file", path: "a,b.txt" } },
    ],
  });
  assert.deepEqual(parseCommandLine(["-serial", "mon:stdio"]).serial, { kind: "stdio", escapes: true });
  assert.deepEqual(parseCommandLine(["-serial", "stdio"]).serial, { kind: "stdio", escapes: false });
  assert.equal(parseCommandLine(["-rtc", "clock=vm"]).hostClock, false);
  assert.equal(parseCommandLine(["-rtc", "base=2020-01-02,clock=vm"]).rtcBase, "2020-01-02");
  assert.deepEqual(parseCommandLine(["-s"]).gdb, { host: "", port: 1234 });
  assert.equal(parseCommandLine(["-S"]).halted, true);
  const semihosting = (...args: string[]) => parseCommandLine(args).machine.semihosting;
  assert.equal(semihosting("-semihosting"), true);
  assert.deepEqual(semihosting("-semihosting-config", "enable=on,target=native,arg=a,,b,arg=c,folder=d,userspace=on"), {
    userspace: true,
    args: ["a,b", "c"],
    folder: "d",
  });
  assert.deepEqual(semihosting("-semihosting-config", "arg=x", "-semihosting"), { userspace: false, args: ["x"] });
  assert.equal(semihosting("-semihosting-config", "enable=off"), false);
  assert.deepEqual(parseCommandLine(["-monitor", "stdio"]).monitor, { kind: "stdio" });
  assert.deepEqual(parseCommandLine(["-monitor", "tcp:127.0.0.1:44,server=on"]).monitor, {
    kind: "tcp",
    host: "127.0.0.1",
    port: 44,
  });
  assert.deepEqual(parseCommandLine(["-gdb", "tcp:[::1]:99,server=on,wait=off"]).gdb, { host: "::1", port: 99 });
  assert.equal(parseCommandLine(["-s", "-gdb", "none"]).gdb, undefined);
  assert.equal(parseCommandLine(["-icount", "4"]).machine.icountShift, 4);
});

for (
  const [line, message] of [
    ["-nographics", "-nographics: no such option; did you mean -nographic?"],
    ["--bois x", "--bois: no such option; did you mean -bios?"],
    ["-xyzzy", "-xyzzy: no such option"],
    ["kernel.elf", "kernel.elf: not an option; a program is given as -bios kernel.elf or -kernel kernel.elf"],
    ["-bios", "-bios needs a value: -bios FILE|none|default"],
    ["-drive if=none,id=x0", '-drive if=none,id=x0: A block device must be specified for "file"'],
    ["-drive file=x,if=non", "-drive file=x,if=non: unsupported bus type 'non'; did you mean none?"],
    [
      "-drive file=x,if=sd",
      "-drive file=x,if=sd: machine type does not support if=sd; there are none, virtio, pflash",
    ],
    [
      "-drive file=x,format=qcow2",
      "-drive file=x,format=qcow2: format=qcow2: only raw images can be used; qemu-img convert -O raw makes one of another",
    ],
    ["-drive file=x,readonl=on", "-drive file=x,readonl=on: no property readonl; did you mean readonly?"],
    ["-drive file=x,readonly=maybe", "-drive readonly=: maybe is neither on nor off"],
    ["-drive file=x,cache=writebak", "-drive cache=writebak: no such value; did you mean writeback?"],
    [
      "-netdev tap,id=n0",
      "-netdev tap,id=n0: there is no way to the host's network; hubport,id=ID,hubid=N connects the cards of this machine, " +
      "and scripts have machine.net(ID) and NetworkHub",
    ],
    [
      "-netdev hubprt,id=n0",
      "-netdev hubprt,id=n0: Parameter 'type' does not accept value 'hubprt'; did you mean hubport?",
    ],
    ["-netdev hubport,id=n0", "-netdev hubport,id=n0: Parameter 'hubid' is missing"],
    ["-chardev null", "-chardev null: chardev: no id specified"],
    ["-chardev stdoi,id=c", "-chardev stdoi,id=c: 'stdoi' is not a valid char driver name; did you mean stdio?"],
    ["-chardev pty,id=c", "-chardev pty,id=c: not supported yet; there are stdio, file and null"],
    ["-chardev file,id=c", "-chardev file,id=c: Parameter 'path' is missing"],
    [
      "-chardev stdio,id=a -chardev stdio,id=b",
      "-chardev stdio,id=b: cannot use stdio by multiple character devices",
    ],
    ["-object rng-builtin", "-object rng-builtin: Parameter 'id' is missing"],
    ["-global foo", "-global foo: write MODEL.property=value, virtio-mmio.force-legacy=false, say"],
    [
      "-semihosting-config target=gdb",
      "-semihosting-config target=gdb: calls are answered here, never by GDB; write native or auto",
    ],
    ["-semihosting-config target=nativ", "-semihosting-config target=nativ: no such value; did you mean native?"],
    ["-semihosting-config foldr=x", "-semihosting-config foldr=x: no property foldr; did you mean folder?"],
    ["-gdb tcp:1234", "-gdb tcp:1234: not an address; write tcp::1234 or tcp:127.0.0.1:1234"],
    ["-gdb tcp::65536", "-gdb tcp::65536: not an address; write tcp::1234 or tcp:127.0.0.1:1234"],
    ["-gdb stdio", "-gdb stdio: not supported yet"],
    ["-gdb tcp::1,serve=on", "-gdb tcp,serve=on: no property serve; did you mean server?"],
    [
      "-gdb tcp::1,server=off",
      "-gdb server=off: hartbeat listens and does not wait; use -S to hold the guest",
    ],
    ["-device loader,fil=x", "-device loader,fil=x: no property fil; did you mean file?"],
    ["-device loader,file=x,addr=0y1", "-device loader,addr=: 0y1 is not a number"],
    ["-device loader,file=x,force-raw=maybe", "-device loader,force-raw=: maybe is neither on nor off"],
    ["-machine virt,aia=aplic", "-machine aia=aplic: not supported yet"],
    ["-machine virt,aia=plic", "-machine aia=plic: no such value; write none"],
    ["-machine virt,usb=on", "-machine usb=on: not supported yet"],
    ["-machine virt,aclint=maybe", "-machine aclint=: maybe is neither on nor off"],
    ["-machine virt,dumpdt=x", "-machine virt,dumpdt=x: no property dumpdt; did you mean dumpdtb?"],
    ["-serial stdo", "-serial stdo: no such value; did you mean stdio?"],
    ["-serial tcp::1", "-serial tcp::1: not supported yet"],
    ["-serial file:", "-serial file: needs a name, as in file:console.txt"],
    ["-serial stdio -serial stdio", "-serial stdio: the machine has one serial line, and it is in use"],
    ["-monitor pty", "-monitor pty: not supported yet"],
    [
      "-monitor stdio -serial mon:stdio",
      "-monitor stdio: cannot use stdio by multiple character devices; -serial mon:stdio has both",
    ],
    ["-display gtk", "-display gtk: there is no window, only none"],
    ["-d in_asn", "-d in_asn: no such value; did you mean in_asm?"],
    ["-d int,guest_errors", "-d guest_errors: not supported yet"],
    ["-rtc clock=hst", "-rtc clock=hst: no such value; did you mean host?"],
    ["-rtc driftfix=slew", "-rtc driftfix=slew: no such value; there are none"],
    ["-icount shift=auto", "-icount shift=auto: give a number from 0 to 10"],
    ["-icount shift=-1", "-icount shift=: -1 is not a number"],
    ["-icount sleep=on", "-icount sleep=on: virtual time never waits for the host; try -rtc clock=host"],
    ["-smp two", "-smp: two is not a number"],
    ["-smp sockets=2", "-smp sockets=2: no property sockets"],
  ] as const
) {
  test(`the command line ${line} is refused in one line`, () => {
    assert.throws(() => parseCommandLine(line.split(" ")), { name: "OptionError", message });
  });
}

for (
  const [line, message] of [
    ["-machine sifive_u", "-machine sifive_u: no such board; there are virt and spike"],
    ["-machine vrit", "-machine vrit: no such board; did you mean virt?"],
    ["-cpu rv65", "-cpu rv65: no such CPU; did you mean rv64?"],
    ["-cpu rv64,v=on", "-cpu rv64,v=on: hartbeat does not have v; it can only be off"],
    ["-cpu rv64,zbbb=on", "-cpu rv64,zbbb=on: no property zbbb; did you mean zbb?"],
    ["-m 128Q", "-m 128Q: not a size; write 128M or 1G, say"],
    ["-accel jitt", "-accel jitt: no such accelerator; did you mean jit?"],
    ["-bios /no/such/file", "-bios /no/such/file: there is no such file"],
    ["", "nothing to run: give -bios FILE or -kernel FILE; --help shows all options"],
  ] as const
) {
  test(`hartbeat ${line}: one line on standard error and exit code 1`, () => {
    const { code, stdout, stderr } = hartbeat(line === "" ? [] : line.split(" "));
    assert.deepEqual({ code, stdout, stderr }, { code: 1, stdout: "", stderr: `hartbeat: ${message}\n` });
  });
}

test("a program that is not an ELF file, or not a whole one, is refused in one line that names it", () => {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-")), path = join(folder, "bad.elf");
  try {
    const whole = readFileSync(program("p0uart"));
    for (const length of [6, 20, 51, 100, 4096]) {
      writeFileSync(path, whole);
      truncateSync(path, length);
      const { code, stdout, stderr } = hartbeat(["-bios", path]);
      assert.equal(code, 1, `${length} bytes`);
      assert.equal(stdout, "");
      assert.match(stderr, /^hartbeat: .*bad\.elf: [^\n]+\n$/, `${length} bytes`);
    }
    // Another machine: x86-64.
    writeFileSync(path, Uint8Array.from(whole, (byte, k) => k === 18 ? 62 : k === 19 ? 0 : byte));
    const { code, stderr } = hartbeat(["-bios", path]);
    assert.equal(code, 1);
    assert.match(stderr, /^hartbeat: [^\n]*bad\.elf: [^\n]*RISC-V[^\n]*\n$/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a segment outside of memory is refused with its addresses", () => {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-")), path = join(folder, "far.elf");
  try {
    writeFileSync(path, buildElf(64, 0x9000_0000n, [{ physical: 0x9000_0000n, bytes: new Uint8Array(16) }]));
    const { code, stderr } = hartbeat(["-m", "64M", "-bios", path]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^hartbeat: [^\n]*far\.elf[^\n]*0x90000000 to 0x90000010 [^\n]*0x80000000 to 0x84000000[^\n]*\n$/,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("command lines of real-time systems and teaching kernels are accepted as they are", () => {
  const rtos =
    "-nographic -machine virt -bios none -m 256 -net none -chardev stdio,id=con,mux=on -serial chardev:con " +
    "-mon chardev=con,mode=readline -icount shift=6,align=off,sleep=off -rtc clock=vm -kernel zephyr.elf";
  const parse = (line: string) => parseCommandLine(line.split(" "));
  const { machine, serial, monitor, chardevs } = parse(rtos);
  assert.deepEqual({ serial, monitor, chardevs }, {
    ...{ serial: { kind: "stdio", escapes: true }, monitor: undefined, chardevs: [] },
  });
  assert.deepEqual(machine, {
    ...{ machine: "virt", bios: "none", memory: "256", chardevs: [], icountShift: 6, kernel: "zephyr.elf" },
  });
  // The serial line may be named before its character device, and the monitor may have one of its own.
  const own = parse("-serial chardev:s -mon m -chardev file,id=s,path=out.txt -chardev stdio,id=m -nic none");
  assert.deepEqual([own.serial, own.monitor], [{ kind: "file", path: "out.txt" }, { kind: "stdio" }]);
  const plain = parse("-chardev stdio,id=c -serial chardev:c");
  assert.deepEqual(plain.serial, { kind: "stdio", escapes: false });
  const xv6 = parse(
    "-machine virt -bios none -kernel kernel/kernel -m 128M -smp 3 -nographic -global virtio-mmio.force-legacy=false " +
      "-drive file=fs.img,if=none,format=raw,id=x0 -device virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0",
  ).machine;
  assert.deepEqual([xv6.smp, xv6.drives, xv6.devices], [
    3,
    [{ file: "fs.img", id: "x0", interface: "none", format: "raw" }],
    [{ driver: "virtio-blk-device", drive: "x0", bus: "virtio-mmio-bus.0" }],
  ]);
  const rcore = parse(
    "-machine virt -nographic -bios default -device loader,file=os.bin,addr=0x80200000 -netdev user,id=net0 " +
      "-device virtio-net-device,netdev=net0",
  ).machine;
  assert.deepEqual([rcore.bios, rcore.loaders, rcore.netdevs], [
    "default",
    [{ file: "os.bin", address: 0x8020_0000n }],
    [{ id: "net0", user: {} }],
  ]);
});

for (
  const [line, message] of [
    ["-serial chardev:x", "-serial chardev:x: can't find value 'x'; there is no -chardev …,id=x"],
    [
      "-chardev stdio,id=c -serial chardev:c -mon c",
      "-mon chardev=c: Device 'c' is in use; -chardev stdio,id=c,mux=on shares it",
    ],
    ["-chardev file,id=c,path=x -mon c", "-mon chardev=c: not supported yet; a monitor is on stdio"],
    ["-mon chardev=c,mode=control", "-mon mode=control: not supported yet"],
    ["-mon mode=readline", "-mon mode=readline: Parameter 'chardev' is missing"],
    ["-net user", "-net user: not supported yet"],
  ] as const
) {
  test(`${line} is refused`, () => {
    assert.throws(() => parseCommandLine(line.split(" ")), { name: "OptionError", message });
  });
}

test("the help names every option and is under one screen", () => {
  const lines = helpText().trimEnd().split("\n");
  assert.ok(lines.length <= 52, `${lines.length} lines`);
  for (const line of lines) assert.ok(line.length <= 110, line);
  for (const { names } of OPTIONS) {
    assert.ok(lines.some((line) => line.startsWith(`  -${names[0]}`)), names[0]);
  }
  const { code, stdout, stderr } = hartbeat(["--help"]);
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: helpText(), stderr: "" });
});

test("the version is that of deno.json", () => {
  const { version } = JSON.parse(readFileSync(new URL("../deno.json", import.meta.url), "utf8"));
  const { code, stdout } = hartbeat(["--version"]);
  assert.deepEqual({ code, stdout }, { code: 0, stdout: `hartbeat ${version}\n` });
});

test("help as a value lists boards, CPUs, accelerators and log items", async () => {
  for (
    const [option, expected] of [
      ["-machine", /^ {2}virt .*\n {2}spike /m],
      ["-cpu", /^ {2}rv32 [^]*^ {2}rv64 [^]* zbb /m],
      ["-accel", /^ {2}interpreter [^]*^ {2}jit /m],
      ["-d", /^ {2}in_asm [^]*^ {2}int [^]*^ {2}exec /m],
    ] as const
  ) {
    const { listing } = parseCommandLine([option, "help"]);
    assert.match(await listingText(listing!), expected);
  }
  assert.equal(hartbeat(["-machine", "help"]).code, 0);
});
