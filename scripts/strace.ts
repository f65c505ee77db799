// Lists the system calls of Linux processes from outside: number and arguments in, result out.
//
//     hartbeat -bios fw_jump.bin -kernel Image -initrd initrd.cpio.gz -script scripts/strace.ts
//
// A call is an ECALL of user mode, its result what a0 holds when the process goes on after it. Processes are told apart by their
// address space (satp).

import type { Machine } from "../mod.ts";

/** Names of frequent system calls (Linux, include/uapi/asm-generic/unistd.h). */
const NAMES: Readonly<Record<number, string>> = {
  17: "getcwd",
  23: "dup",
  24: "dup3",
  25: "fcntl",
  29: "ioctl",
  33: "mknodat",
  34: "mkdirat",
  35: "unlinkat",
  40: "mount",
  48: "faccessat",
  49: "chdir",
  56: "openat",
  57: "close",
  59: "pipe2",
  61: "getdents64",
  62: "lseek",
  63: "read",
  64: "write",
  65: "readv",
  66: "writev",
  73: "ppoll",
  78: "readlinkat",
  79: "newfstatat",
  80: "fstat",
  81: "sync",
  93: "exit",
  94: "exit_group",
  96: "set_tid_address",
  98: "futex",
  99: "set_robust_list",
  101: "nanosleep",
  113: "clock_gettime",
  115: "clock_nanosleep",
  129: "kill",
  134: "rt_sigaction",
  135: "rt_sigprocmask",
  142: "reboot",
  154: "setpgid",
  155: "getpgid",
  157: "setsid",
  160: "uname",
  172: "getpid",
  173: "getppid",
  174: "getuid",
  175: "geteuid",
  214: "brk",
  215: "munmap",
  220: "clone",
  221: "execve",
  222: "mmap",
  226: "mprotect",
  260: "wait4",
  261: "prlimit64",
  278: "getrandom",
  291: "statx",
  293: "rseq",
};
/** Which argument is the name of a file. */
const PATHS: Readonly<Record<string, number>> = {
  openat: 1,
  execve: 0,
  faccessat: 1,
  newfstatat: 1,
  chdir: 0,
  unlinkat: 1,
  mkdirat: 1,
  readlinkat: 1,
  statx: 1,
};

/** Lists system calls. */
export default function strace(machine: Machine, { say = console.log }: { say?: (line: string) => void } = {}): void {
  const open = new Map<string, { text: string; resume: { remove(): void } }>();
  machine.hook.trap({ cause: "environment call from U-mode" }, (t) => {
    const { hart, x } = t, number = Number(x.a7), name = NAMES[number] ?? `syscall_${number}`;
    const words = [x.a0, x.a1, x.a2, x.a3, x.a4, x.a5].map((value) => `0x${value.toString(16)}`);
    const path = PATHS[name];
    if (path !== undefined) {
      try {
        words[path] = JSON.stringify(t.readString([x.a0, x.a1][path]!));
      } catch {
        // Not mapped yet: the address says as much as there is to say.
      }
    }
    const space = String(hart.readCsr("satp")), key = `${space} ${t.pc}`, text = `${name}(${words.join(", ")})`;
    if (name === "exit" || name === "exit_group") return say(text);
    if (open.has(key)) return;
    const resume = machine.hook.instruction(BigInt(t.pc) + 4n, (c) => {
      if (c.hart.privilege !== "U" || String(c.hart.readCsr("satp")) !== space) return;
      const result = BigInt.asIntN(machine.xlen, BigInt(c.x.a0));
      say(
        `${text} = ${
          result < 0n && result > -4096n ? result : `0x${BigInt.asUintN(machine.xlen, result).toString(16)}`
        }`,
      );
      open.delete(key);
      resume.remove();
    });
    open.set(key, { text, resume });
  });
}
