// Completions of the command, asked of the shells themselves.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { completions } from "../cli/completions.ts";
import { OPTIONS } from "../cli/options.ts";
import type { Shell } from "../cli/settings.ts";
import { hartbeat, missing } from "./support/command.ts";

const folder = mkdtempSync(join(tmpdir(), "hartbeat-completions-"));
after(() => rmSync(folder, { recursive: true }));
for (const file of ["kernel.elf", "kernel.txt", "rootfs.cpio"]) writeFileSync(join(folder, file), "");

const ALL_NAMES = OPTIONS.flatMap(({ names }) => names.map((name) => `-${name}`)).toSorted();

/** What a shell offers at the end of a line, in a folder with three files. */
const ask: Readonly<Record<"bash" | "fish", (line: string) => string[]>> = {
  bash(line) {
    writeFileSync(join(folder, "hartbeat.bash"), completions("bash"));
    const script = `source "$1"; COMP_LINE=$2 COMP_POINT=\${#2}; _hartbeat; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return run("bash", ["--norc", "-c", script, "bash", join(folder, "hartbeat.bash"), line]);
  },
  fish(line) {
    writeFileSync(join(folder, "hartbeat.fish"), completions("fish"));
    const script = `source $argv[1]; complete -C $argv[2]`;
    const offered = run("fish", ["--no-config", "-c", script, join(folder, "hartbeat.fish"), line]);
    return offered.map((one) => one.split("\t")[0]!);
  },
};

function run(shell: Shell, args: readonly string[]): string[] {
  const { status, stdout, stderr } = spawnSync(shell, args, { cwd: folder, encoding: "utf8", timeout: 60_000 });
  assert.equal(status, 0, stderr);
  assert.equal(stderr, "");
  return stdout.split("\n").filter((line) => line !== "").toSorted();
}

for (const shell of ["bash", "fish"] as const) {
  test(
    `${shell} offers every option, and after one what it takes`,
    { skip: missing(shell, "--version", shell) },
    () => {
      const offers = (line: string, expected: readonly string[]) =>
        assert.deepEqual(ask[shell](line), [...expected].toSorted(), line);
      offers("hartbeat -", ALL_NAMES);
      offers("hartbeat -m 64M -no", ALL_NAMES.filter((name) => name.startsWith("-no")));
      offers("hartbeat -machine spi", ["spike"]);
      offers("hartbeat -M vi", ["virt"]);
      offers("hartbeat -bios roo", ["rootfs.cpio"]);
      offers("hartbeat -kernel kern", ["kernel.elf", "kernel.txt"]);
      offers("hartbeat -nographic -d in_asm,e", ["in_asm,exec"]);
      offers("hartbeat -accel jit,thr", ["jit,threshold="]);
      offers("hartbeat -completions f", ["fish"]);
    },
  );
}

test("bash replaces only what follows = and :, where it splits words", () => {
  assert.deepEqual(ask.bash("hartbeat -rtc clock=h"), ["host"]);
  assert.deepEqual(ask.bash("hartbeat -rtc c"), ["clock=host", "clock=vm"]);
  assert.deepEqual(ask.bash("hartbeat -serial mon:"), ["stdio"]);
  assert.deepEqual(ask.bash("hartbeat --serial mo"), ["mon:stdio"]);
});

test("zsh completes options, words, lists and files", { skip: missing("zsh", "--version", "zsh") }, () => {
  mkdirSync(join(folder, "zsh"));
  writeFileSync(join(folder, "zsh/_hartbeat"), completions("zsh"));
  // A shell on a terminal of its own; a line with a tab in it, and what the terminal then shows.
  const script = `zmodload zsh/zpty
    zpty z zsh -f -i
    zpty -w z 'PS1=; unsetopt zle_bracketed_paste; fpath=($FOLDER $fpath); autoload -Uz compinit; compinit -u -D; echo re""ady'
    zpty -r z shown '*ready*'
    ask() { zpty -w -n z $'\\x15'"$1"$'\\t'; zpty -r z shown "*$2*" && print -r -- "$2" }
    ask 'hartbeat -nogr' 'hartbeat -nographic'
    ask 'hartbeat -m 64M -rtc clock=h' 'clock=host'
    ask 'hartbeat -serial mon' 'mon:stdio'
    ask 'hartbeat -d in_asm,ex' 'in_asm,exec'
    ask 'hartbeat -bios roo' 'rootfs.cpio'
    zpty -d z`;
  const { stdout, stderr } = spawnSync("zsh", ["-f", "-c", script], {
    cwd: folder,
    encoding: "utf8",
    timeout: 60_000,
    env: { PATH: "/usr/bin:/bin", TERM: "dumb", FOLDER: join(folder, "zsh") },
  });
  const seen = stdout.split("\n");
  for (const text of ["hartbeat -nographic", "clock=host", "mon:stdio", "in_asm,exec", "rootfs.cpio"]) {
    assert.ok(seen.includes(text), `${text} in: ${stdout}${stderr}`);
  }
});

test("the command prints a script for each shell", () => {
  for (const shell of ["bash", "zsh", "fish"] as const) {
    assert.equal(hartbeat(["-completions", shell]).stdout, completions(shell));
  }
  assert.match(hartbeat(["-completions", "help"]).stdout, /^ {2}fish +~\/\.config/m);
  const wrong = hartbeat(["-completions", "fihs"]);
  assert.equal(wrong.stderr, "hartbeat: -completions fihs: no such value; did you mean fish?\n");
  assert.equal(wrong.code, 1);
});
