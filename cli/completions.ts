// Completion scripts of the command for bash, zsh and fish, made from the table of options.

import { ACCELERATORS, COMPILER_SETTINGS } from "../machine/accelerator.ts";
import { DEVICE_MODELS, LOADER_PROPERTIES } from "../machine/device_models.ts";
import { BOARDS } from "../machine/machine.ts";
import { CPU_MODELS, CPU_PROPERTIES } from "../machine/cpu.ts";
import { type CommandOption, OPTIONS } from "./options.ts";
import { LOG_ITEMS, type Shell, SHELLS } from "./settings.ts";

/** What may follow an option. */
interface Argument {
  /** Words to choose from. */
  readonly words: readonly string[];
  /** Several words, separated by commas. */
  readonly list: boolean;
  /** A file's name. */
  readonly file: boolean;
}

/** Words of arguments whose help only names their kind: from the tables that the options themselves read. */
const LISTED: Readonly<Record<string, () => readonly string[]>> = {
  machine: () => [...BOARDS.keys(), "help"],
  cpu: () => [...Object.keys(CPU_MODELS), ...CPU_PROPERTIES.map((name) => `${name}=`), "help"],
  accel: () => [
    ...Object.keys(ACCELERATORS),
    ...Object.keys(COMPILER_SETTINGS).map((name) => `${name}=`),
    "stats=on",
    "history=on",
    "help",
  ],
  completions: () => Object.keys(SHELLS),
  device: () => {
    const properties = [LOADER_PROPERTIES, ...[...DEVICE_MODELS.values()].map((model) => model.properties)];
    const names = new Set(properties.flatMap((of) => Object.keys(of)));
    return ["loader", ...DEVICE_MODELS.keys(), ...[...names].map((name) => `${name}=`), "help"];
  },
  d: () => [...Object.keys(LOG_ITEMS), "help"],
  serial: () => ["mon:stdio", "stdio", "file:", "null", "none"],
};

/** The words that an argument's help spells out: of `clock=vm|host` `clock=vm` and `clock=host`, of `loader,file=F` `loader` and `file=`. */
function spelledOut(argument: string): string[] {
  return argument.split(/[,[\]]/).flatMap((part) => {
    const [, key = "", rest = ""] = /^([a-z-]+=(?=[a-z]))?(.*)$/.exec(part)!;
    const words = rest.split("|").flatMap((word) => /^[a-z][\w-]*([=:]|$)/.exec(word)?.[0] ?? []);
    return words.map((word) => key + word);
  });
}

function argumentOf({ names: [name], argument }: CommandOption): Argument | undefined {
  if (argument === undefined) return undefined;
  const words = LISTED[name!]?.() ?? spelledOut(argument);
  return { words, list: argument.includes(","), file: /^FILE\b/.test(argument) };
}

const dashed = ({ names }: CommandOption) => names.map((name) => `-${name}`);

function bash(): string {
  const cases = OPTIONS.flatMap((option) => {
    const argument = argumentOf(option);
    if (argument === undefined) return [];
    const what = [argument.list ? "list" : "word", argument.file ? "file" : "none", ...argument.words];
    return [`    ${dashed(option).join("|")}) _hartbeat_choose ${what.join(" ")} ;;`];
  });
  return String.raw`# bash completion for hartbeat
_hartbeat_choose() {
  local kind=$1 files=$2 done=
  shift 2
  if [[ $kind == list && $word == *,* ]]; then done=${"$"}{word%,*},; fi
  COMPREPLY=($(compgen -P "$done" -W "$*" -- "${"$"}{word#"$done"}"))
  if [[ $files == file ]]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY+=($(compgen -f -- "$word"))
  fi
  if [[ ${"$"}{COMPREPLY[0]-} == *[=:] ]]; then compopt -o nospace 2>/dev/null; fi
}
_hartbeat() {
  # Words as the command gets them: bash splits at = and : as well, and replaces only what comes after the last of these.
  local line=${"$"}{COMP_LINE:0:COMP_POINT} word previous kept k
  word=${"$"}{line##*[[:space:]]}
  previous=${"$"}{line%"$word"}
  previous=${"$"}{previous%"${"$"}{previous##*[![:space:]]}"}
  previous=${"$"}{previous##*[[:space:]]}
  COMPREPLY=()
  case ${"$"}{previous/#--/-} in
${cases.join("\n")}
    *) COMPREPLY=($(compgen -W "${OPTIONS.flatMap(dashed).join(" ")}" -- "${"$"}{word/#--/-}")) ;;
  esac
  kept=${"$"}{word%"${"$"}{word##*[=:]}"}
  for k in "${"$"}{!COMPREPLY[@]}"; do COMPREPLY[k]=${"$"}{COMPREPLY[k]#"$kept"}; done
}
complete -F _hartbeat hartbeat
`;
}

function zsh(): string {
  const quote = (text: string) => text.replaceAll("'", "'\\''").replaceAll(/[[\]:]/g, "\\$&");
  const action = ({ words, list, file }: Argument) => {
    const chosen = words.map((word) => word.replaceAll(":", "\\:")).join(" ");
    if (list) return `_sequence compadd -S "" - ${chosen}`;
    if (words.length === 0) return file ? "_files" : " ";
    return file ? `{ compadd ${chosen}; _files }` : `(${chosen})`;
  };
  const lines = OPTIONS.flatMap((option) => {
    const argument = argumentOf(option);
    const rest = argument === undefined ? "" : `:${quote(option.argument!)}:${action(argument)}`;
    return dashed(option).map((name) => `  '*${name}[${quote(option.help)}]${rest}'`);
  });
  return `#compdef hartbeat\n_arguments \\\n${lines.join(" \\\n")}\n`;
}

function fish(): string {
  const quote = (text: string) => `'${text.replaceAll(/[\\']/g, "\\$&")}'`;
  const lines = OPTIONS.map((option) => {
    const argument = argumentOf(option), names = option.names.map((name) => `-o ${name}`).join(" ");
    const how = argument === undefined ? "" : argument.file ? " -r -F" : " -x";
    const words = argument === undefined || argument.words.length === 0 ? "" : ` -a ${quote(argument.words.join(" "))}`;
    // Of a list separated by commas, the words again after what is there.
    const list = argument?.list
      ? ` -a '(string replace -r "[^,]*\\$" "" -- (commandline -ct)){${argument.words.join(",")}}'`
      : words;
    return `complete -c hartbeat ${names}${how}${list} -d ${quote(option.help)}`;
  });
  return `# fish completion for hartbeat\ncomplete -c hartbeat -f\n${lines.join("\n")}\n`;
}

/** The completion script for a shell. */
export function completions(shell: Shell): string {
  return { bash, zsh, fish }[shell]();
}
