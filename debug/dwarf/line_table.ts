// `.debug_line`: which source line an instruction comes from (DWARF 5, 6.2; versions 2 to 5).

import { AT, FORM } from "./constants.ts";
import { type Cursor, DwarfError } from "./cursor.ts";
import { type Encoding, readForm } from "./forms.ts";
import { bytesOf, type Sections, textAt } from "./section.ts";
import { Cursor as Reader } from "./cursor.ts";
import type { Unit } from "./unit.ts";

/** A row of the table: what holds from its address to the next row's. */
export interface LineRow {
  readonly address: bigint;
  /** Number of the file as the unit counts. */
  readonly file: number;
  /** Line from 1; 0: no line of the source. */
  readonly line: number;
  /** Column from 1; 0: unknown. */
  readonly column: number;
  /** Whether a statement begins here, so that a breakpoint makes sense. */
  readonly statement: boolean;
}

/** A source file. */
export interface SourceFile {
  /** Its whole path, as far as the compiler knew it. */
  readonly path: string;
  /** Its path from the folder that the compiler ran in. */
  readonly name: string;
}

/** Rows of successive addresses. */
interface Sequence {
  readonly rows: readonly LineRow[];
  readonly low: bigint;
  readonly high: bigint;
}

/** What a unit's line program gives. */
export class LineTable {
  readonly #files: ReadonlyMap<number, SourceFile>;
  readonly #sequences: readonly Sequence[];

  constructor(files: ReadonlyMap<number, SourceFile>, sequences: readonly Sequence[]) {
    this.#files = files;
    this.#sequences = sequences;
  }

  /** A file by the number that rows and entries use. */
  file(number: number): SourceFile | undefined {
    return this.#files.get(number);
  }

  /** All files, by number. */
  get files(): ReadonlyMap<number, SourceFile> {
    return this.#files;
  }

  /** The row that an address belongs to. */
  at(address: bigint): LineRow | undefined {
    for (const { rows, low, high } of this.#sequences) {
      if (address < low || address >= high) continue;
      let from = 0, to = rows.length;
      while (from < to) {
        const middle = (from + to) >>> 1;
        if (rows[middle]!.address <= address) from = middle + 1;
        else to = middle;
      }
      if (from > 0) return rows[from - 1];
    }
    return undefined;
  }

  /** All rows, sequence by sequence. */
  *rows(): Generator<LineRow> {
    for (const { rows } of this.#sequences) yield* rows;
  }
}

/** Joins folder and name, unless the name is a whole path. */
function join(folder: string | undefined, name: string): string {
  if (name.startsWith("/") || /^[A-Za-z]:[\\/]/.test(name) || folder === undefined || folder === "") return name;
  return `${folder.replace(/\/$/, "")}/${name}`;
}

/** Reads the file and folder tables of version 5: each says by itself what it holds. */
function readEntries(cursor: Cursor, encoding: Encoding, sections: Sections): { path: string; folder: number }[] {
  const path = 1, folderIndex = 2;
  const format = Array.from({ length: cursor.u8() }, () => ({ content: cursor.uleb(), form: cursor.uleb() }));
  const count = cursor.uleb();
  if (count > 0 && format.length === 0) throw new DwarfError("a table of files that says nothing of them");
  const entries: { path: string; folder: number }[] = [];
  for (let k = 0; k < count; k++) {
    const entry = { path: "", folder: 0 };
    for (const { content, form } of format) {
      const { value } = readForm(cursor, form, encoding, undefined);
      if (content === path) {
        const name = form === FORM.lineStrp ? ".debug_line_str" : ".debug_str";
        entry.path = typeof value === "string" ? value : textAt(sections(name), Number(value), name);
      } else if (content === folderIndex) entry.folder = Number(value);
    }
    entries.push(entry);
  }
  return entries;
}

function readFiles(cursor: Cursor, encoding: Encoding, sections: Sections, compileFolder: string | undefined) {
  const files = new Map<number, SourceFile>();
  const add = (number: number, folder: string | undefined, path: string) => {
    const name = join(folder, path);
    files.set(number, { name, path: join(compileFolder, name) });
  };
  if (encoding.version >= 5) {
    const folders = readEntries(cursor, encoding, sections).map(({ path }) => path);
    // The first folder is the one that the compiler ran in.
    const folder = (number: number) => number === 0 ? undefined : folders[number];
    readEntries(cursor, encoding, sections).forEach((entry, k) => add(k, folder(entry.folder), entry.path));
    return files;
  }
  const folders: (string | undefined)[] = [undefined];
  for (let name = cursor.string(); name !== ""; name = cursor.string()) folders.push(name);
  for (let name = cursor.string(); name !== ""; name = cursor.string()) {
    add(files.size + 1, folders[cursor.uleb()], name);
    cursor.skipLeb();
    cursor.skipLeb();
  }
  return files;
}

/** The state machine's registers (6.2.2), those that matter here. */
class State {
  address = 0n;
  operation = 0;
  file = 1;
  line = 1;
  column = 0;
  statement: boolean;

  constructor(statement: boolean) {
    this.statement = statement;
  }
}

interface Program {
  readonly minimumLength: number;
  readonly maximumOperations: number;
  readonly defaultStatement: boolean;
  readonly lineBase: number;
  readonly lineRange: number;
  readonly operandCounts: readonly number[];
  readonly addressSize: number;
}

function runProgram(cursor: Cursor, program: Program): Sequence[] {
  const { minimumLength, maximumOperations, defaultStatement, lineBase, lineRange, operandCounts } = program;
  const sequences: Sequence[] = [];
  let state = new State(defaultStatement), rows: LineRow[] = [], sorted = true;
  const emit = () => {
    const { address, file, line, column, statement } = state, last = rows.at(-1);
    if (last !== undefined && address < last.address) sorted = false;
    rows.push({ address, file, line, column, statement });
  };
  const advance = (operations: number) => {
    const sum = state.operation + operations;
    state.address += BigInt(minimumLength * Math.floor(sum / maximumOperations));
    state.operation = sum % maximumOperations;
  };
  const endSequence = () => {
    if (rows.length > 0) {
      if (!sorted) rows.sort((a, b) => a.address < b.address ? -1 : a.address > b.address ? 1 : 0);
      const low = rows[0]!.address, high = state.address;
      if (high > low) sequences.push({ rows, low, high });
    }
    rows = [];
    sorted = true;
    state = new State(defaultStatement);
  };
  const extended = () => {
    const length = cursor.uleb(), start = cursor.position;
    if (length === 0) return;
    switch (cursor.u8()) {
      case 1:
        endSequence();
        break;
      case 2:
        state.address = cursor.unsigned(length - 1);
        state.operation = 0;
        break;
    }
    cursor.skip(start + length - cursor.position);
  };
  const standard = (opcode: number) => {
    switch (opcode) {
      case 1:
        return emit();
      case 2:
        return advance(cursor.uleb());
      case 3:
        state.line += cursor.sleb();
        return;
      case 4:
        state.file = cursor.uleb();
        return;
      case 5:
        state.column = cursor.uleb();
        return;
      case 6:
        state.statement = !state.statement;
        return;
      case 8:
        return advance(Math.floor((255 - operandCounts.length - 1) / lineRange));
      case 9:
        state.address += BigInt(cursor.u16());
        state.operation = 0;
        return;
      default:
        for (let k = operandCounts[opcode - 1]!; k > 0; k--) cursor.skipLeb();
    }
  };
  const firstSpecial = operandCounts.length + 1;
  while (!cursor.done) {
    const opcode = cursor.u8();
    if (opcode === 0) extended();
    else if (opcode < firstSpecial) standard(opcode);
    else {
      const adjusted = opcode - firstSpecial;
      advance(Math.floor(adjusted / lineRange));
      state.line += lineBase + adjusted % lineRange;
      emit();
    }
  }
  return sequences;
}

/** Reads a unit's line table; undefined if it has none. */
export function readLineTable(unit: Unit): LineTable | undefined {
  const offset = unit.root.number(AT.stmtList), { sections } = unit.context, section = sections(".debug_line");
  if (offset === undefined || section === undefined) return undefined;
  const { length, wide } = new Reader(bytesOf(section, offset, Math.min(12, section.size - offset))).initialLength();
  const start = offset + (wide ? 12 : 4);
  const cursor = new Reader(bytesOf(section, start, length), start);
  const version = cursor.u16();
  if (version < 2 || version > 5) throw new DwarfError(`.debug_line: version ${version} at ${offset}`);
  const addressSize = version >= 5 ? cursor.u8() : unit.encoding.addressSize;
  if (version >= 5) cursor.skip(1);
  const headerLength = cursor.word(wide), programStart = cursor.position + headerLength;
  const minimumLength = cursor.u8(), maximumOperations = Math.max(1, version >= 4 ? cursor.u8() : 1);
  const defaultStatement = cursor.u8() !== 0, lineBase = cursor.i8(), lineRange = cursor.u8(), opcodeBase = cursor.u8();
  if (lineRange === 0 || opcodeBase === 0) throw new DwarfError(`.debug_line: a header at ${offset} that cannot be`);
  const operandCounts = Array.from({ length: opcodeBase - 1 }, () => cursor.u8());
  const files = readFiles(cursor, { version, wide, addressSize }, sections, unit.root.text(AT.compDir));
  cursor.skip(programStart - cursor.position);
  const program = {
    minimumLength,
    maximumOperations,
    defaultStatement,
    lineBase,
    lineRange,
    operandCounts,
    addressSize,
  };
  return new LineTable(files, runProgram(cursor, program));
}
