// The disassembler: every line of real binaries and of every instruction with many operands is as objdump prints it.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { EXACT_CONVERSIONS } from "../isa/aliases.ts";
import { CSR_NUMBERS, csrName } from "../isa/csr_names.ts";
import { Decoder, isCompressed } from "../isa/decode.ts";
import { disassemble } from "../isa/disassemble.ts";
import { COMPATIBLE, type Extension, withImplied } from "../isa/extensions.ts";
import type { Xlen } from "../isa/instruction.ts";
import type { Operands } from "../isa/ir.ts";
import { INSTRUCTIONS } from "../isa/table.ts";
import { type Listed, listing, listProgram, listWords, objdumpMissing } from "./objdump.ts";
import { randomWords } from "./random_words.ts";

function decoder(xlen: Xlen, extensions: string): Decoder {
  return new Decoder(xlen, withImplied(extensions.split(" ") as Extension[]));
}

/** What objdump assumes where a file says nothing. */
const GENERAL = "I M A F D C S Zicsr Zifencei";

/** Instructions that may be missing from the table, by what they belong to. While they are, they are shown as bits. */
const NOT_YET: Readonly<Record<string, readonly string[]>> = {
  "F and D": [
    ..."c.flw c.fsw c.fld c.fsd c.flwsp c.fswsp c.fldsp c.fsdsp".split(" "),
    ..."flw fsw fld fsd fmv.x.w fmv.w.x fmv.x.d fmv.d.x fadd.s fsub.s fadd.d fsub.d fmul.d fdiv.d".split(" "),
    ..."fmadd.s fmsub.s fnmsub.s fnmadd.s fmadd.d fmsub.d fnmsub.d fnmadd.d fsgnjn.d fcvt.d.w fcvt.w.d".split(" "),
  ],
  "N, which was never ratified": ["uret"],
};

/** Extensions that objdump 2.40 does not know. */
const NEWER_EXTENSIONS: readonly Extension[] = ["Zicond", "Zimop", "Zcmop", "Zcb", "Zacas", "Zabha", "Zfa"];

/** CSRs that objdump 2.40 does not know. */
const NEWER_CSRS: readonly string[] = [
  ..."ssp jvt scountinhibit sctrctl sctrstatus sctrdepth srmcfg vsctrctl hedelegh".split(" "),
  ..."sireg2 sireg3 sireg4 sireg5 sireg6 vsireg2 vsireg3 vsireg4 vsireg5 vsireg6".split(" "),
  ..."medelegh mcyclecfg minstretcfg mcyclecfgh minstretcfgh mctrctl mireg2 mireg3 mireg4 mireg5 mireg6".split(" "),
  ..."mnscratch mnepc mncause mnstatus".split(" "),
];

function withoutNewerCsrs(text: string): string {
  return text.replace(
    /[\t,]([a-z0-9]+)/g,
    (all, name) => NEWER_CSRS.includes(name) ? `${all[0]}0x${CSR_NUMBERS[name]!.toString(16)}` : all,
  );
}

/** Why a line may differ from objdump's, or undefined if it may not. */
function excuse(decoder: Decoder, line: Listed, theirs: string, ours: string): string | undefined {
  const word = Number(line.word), mnemonic = theirs.split("\t")[0]!;
  const unknownToUs = /^\.[24]byte\t/.test(ours), unknownToThem = /^\.[24]byte\t/.test(theirs);
  if (line.digits > 8) return "instructions longer than 32 bits";
  if (/^\.(word|short|byte|dword)$/.test(mnemonic)) return "data, says the file";
  if (!unknownToUs && withoutNewerCsrs(ours) === theirs) return "CSRs that objdump 2.40 does not know";
  if (unknownToUs && !unknownToThem) {
    const inTable = INSTRUCTIONS.some(({ name }) => name === mnemonic);
    for (const [what, mnemonics] of Object.entries(NOT_YET)) {
      if (!inTable && mnemonics.includes(mnemonic)) return `${what}: ${mnemonic}`;
    }
    if (word === 0x6101) return "C.ADDI16SP with 0, which is reserved";
    if (decoder.xlen === 32 && /,0x[23][0-9a-f]$/.test(theirs)) {
      return "shifts by 32 and more on RV32, which are illegal";
    }
    if (/^f.*,unknown$/.test(theirs)) return "reserved rounding modes, which are illegal";
  }
  const decoded = decoder.decode(word);
  if (unknownToThem && decoded !== null) {
    const { extensions, requires, name } = decoded.encoded;
    if (/^fence/.test(name)) return "FENCE with reserved fields, which are ignored";
    if (
      extensions.every((each) => NEWER_EXTENSIONS.includes(each)) ||
      (requires ?? []).some((each) => NEWER_EXTENSIONS.includes(each))
    ) {
      return `extensions that objdump 2.40 does not know: ${[...extensions].join(" or ")}`;
    }
    if (EXACT_CONVERSIONS.has(name)) return "rounding modes in conversions that never round";
  }
  return undefined;
}

/** Compares a listing with what the disassembler makes of the same bits, and says what was left out and why. */
function compare(t: TestContext, title: string, decoder: Decoder, lines: readonly Listed[], aliases = true): void {
  const plain = lines.map(({ text }) => text.replace(/ # (0x)?[0-9a-f]+( <[^>]*>)?$/, "").trimEnd());
  const symbols = new Map<bigint, string>();
  for (const text of plain) {
    const found = /[\t,]([0-9a-f]+) <([^>]+)>$/.exec(text);
    if (found !== null) symbols.set(BigInt(`0x${found[1]}`), found[2]!);
  }
  const options = { aliases, symbol: (address: bigint) => symbols.get(address) };
  const excused = new Map<string, number>(), wrong: string[] = [];
  let equal = 0;
  lines.forEach((line, k) => {
    // In files without symbols targets begin with 0x.
    const theirs = plain[k]!.replace(/^((?:j|jal|b(?:eq|ne|lt|ge|le|gt)u?z?)\t.*?)0x([0-9a-f]+)$/, "$1$2");
    const { text: ours, length } = disassemble(decoder, Number(line.word & 0xffffffffn), line.address, options);
    if (ours === theirs) {
      assert.equal(length * 2, line.digits, `${title} ${line.address.toString(16)}: ${ours}`);
      equal++;
      return;
    }
    const why = excuse(decoder, line, theirs, ours);
    if (why !== undefined) excused.set(why, (excused.get(why) ?? 0) + 1);
    else wrong.push(`${line.address.toString(16)}: ${line.word.toString(16)} ${JSON.stringify({ theirs, ours })}`);
  });
  assert.equal(wrong.length, 0, `${title}: ${wrong.length} lines differ\n${wrong.slice(0, 20).join("\n")}`);
  assert.ok(equal > lines.length / 2, `${title}: only ${equal} of ${lines.length} lines compared`);
  const left = [...excused].map(([why, count]) => `${count} × ${why}`).join("; ");
  t.diagnostic(`${title}: ${equal} lines equal${left === "" ? "" : `, left out: ${left}`}`);
}

const skip = objdumpMissing();

/** Runs with a folder for intermediate files. */
function inFolder(body: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "hartbeat-"));
  try {
    body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Files of a Debian package, or why the test is skipped. In CI they have to be there. */
function packaged(name: string, ...paths: string[]): { skip: string | false; paths: string[] } {
  const missing = paths.find((path) => !existsSync(path));
  if (missing === undefined) return { skip, paths };
  const why = `${missing} is missing: apt-get install ${name}`;
  if (process.env.CI) throw new Error(why);
  return { skip: why, paths };
}

function xlenOf(path: string): Xlen {
  return readFileSync(path)[4] === 1 ? 32 : 64;
}

const root = fileURLToPath(new URL("..", import.meta.url));

test("the guest programs of this repository", { skip }, (t) => {
  const paths = ["tests/programs", "bench/guests"].flatMap((folder) =>
    readdirSync(join(root, folder)).filter((name) => name.endsWith(".elf")).sort().map((name) => `${folder}/${name}`)
  );
  assert.ok(paths.includes("tests/programs/p0uart.elf"));
  inFolder((folder) => {
    for (const path of paths) {
      const whole = join(root, path);
      const here = decoder(xlenOf(whole), GENERAL);
      for (const aliases of [true, false]) {
        const lines = listProgram(folder, whole, aliases ? [] : ["-M", "no-aliases"]);
        compare(t, `${path}${aliases ? "" : " (no aliases)"}`, here, lines, aliases);
      }
    }
  });
});

const opensbi = packaged(
  "opensbi",
  ...["fw_jump.elf", "fw_dynamic.elf", "fw_jump.bin"].map((n) => `/usr/lib/riscv64-linux-gnu/opensbi/generic/${n}`),
);
const uboot = packaged(
  "u-boot-qemu",
  ...["qemu-riscv64/uboot.elf", "qemu-riscv64_smode/uboot.elf", "qemu-riscv64/u-boot.bin"].map((n) =>
    `/usr/lib/u-boot/${n}`
  ),
);

for (const [name, files] of [["OpenSBI", opensbi], ["U-Boot", uboot]] as const) {
  test(`${name}: its programs, and its raw image with all the data in it`, { skip: files.skip }, (t) => {
    inFolder((folder) => {
      for (const path of files.paths) {
        const raw = path.endsWith(".bin");
        const lines = raw
          ? listing(folder, ["-D", "-b", "binary", "-m", "riscv:rv64", path])
          : listProgram(folder, path, []);
        assert.ok(lines.length > 25_000, path);
        compare(t, path, decoder(64, GENERAL), lines);
      }
    });
  });
}

/** Everything that objdump 2.40 knows and we have; the hints of Zihintntl are ADDs for it. */
const KNOWN = COMPATIBLE.filter((name) => name !== "Zihintntl").join(" ");
const KNOWN_ISA = "imafdc_zicsr_zifencei_zihintpause_zawrs_zba_zbb_zbc_zbs_zbkb_zbkc_zbkx_zfh_svinval" +
  "_zicbom_zicbop_zicboz_zk_zks";

test("every halfword, on RV32 and RV64, with aliases and without", { skip }, (t) => {
  const words = Array.from({ length: 0x10000 }, (_, bits) => ({ bits, length: 2 as const }))
    .filter(({ bits }) => isCompressed(bits));
  inFolder((folder) => {
    for (const xlen of [32, 64] as const) {
      for (const aliases of [true, false]) {
        const lines = listWords(folder, `rv${xlen}${KNOWN_ISA}`, words, aliases ? [] : ["-M", "no-aliases"]);
        assert.equal(lines.length, words.length);
        compare(t, `halfwords of RV${xlen}${aliases ? "" : " (no aliases)"}`, decoder(xlen, KNOWN), lines, aliases);
      }
    }
  });
});

/** Values of fields that have spellings of their own, and random ones. */
const REGISTERS = [0, 1, 2, 5, 8, 10, 15], IMMEDIATES = [0, 1, -1, 2, 7, 16, 31, 255, -2048, 2047, 0x833, 0xc00, 0xc81];

test("every instruction of the table with many operands, with aliases and without", { skip }, (t) => {
  inFolder((folder) => {
    for (const xlen of [32, 64] as const) {
      const random = randomWords(xlen);
      const oneOf = (values: readonly number[]) =>
        random() % 3 === 0 ? random() | 0 : values[random() % values.length]!;
      const words = new Map<number, { bits: number; length: 2 | 4 }>();
      for (const { xlen: only, encoding, valid } of INSTRUCTIONS) {
        if (only !== undefined && only !== xlen) continue;
        for (let k = 0; k < 100; k++) {
          const register = () => oneOf(REGISTERS) & 31;
          const operands: Operands = {
            rd: register(),
            rs1: register(),
            rs2: register(),
            rs3: register(),
            imm: oneOf(IMMEDIATES),
          };
          if (random() % 4 === 0) operands.rs2 = operands.rs1;
          const bits = encoding.encode(operands);
          if (valid !== undefined && !valid(encoding.operands(bits), xlen)) continue;
          words.set(bits, { bits, length: encoding.length });
        }
      }
      const list = [...words.values()];
      for (const aliases of [true, false]) {
        const lines = listWords(folder, `rv${xlen}${KNOWN_ISA}`, list, aliases ? [] : ["-M", "no-aliases"]);
        assert.equal(lines.length, list.length);
        compare(t, `table on RV${xlen}${aliases ? "" : " (no aliases)"}`, decoder(xlen, KNOWN), lines, aliases);
      }
    }
  });
});

test("PACK with x0 is ZEXT.H only where Zbb is", { skip }, (t) => {
  inFolder((folder) => {
    for (const [xlen, bits] of [[32, 0x0805c533], [64, 0x0805c53b], [64, 0x0805c533]] as const) {
      const words = [{ bits, length: 4 }, { bits: bits | 12 << 20, length: 4 }] as const;
      compare(t, "zbkb", decoder(xlen, "I Zbkb"), listWords(folder, `rv${xlen}i_zbkb`, words, []));
      compare(t, "zbb_zbkb", decoder(xlen, "I Zbb Zbkb"), listWords(folder, `rv${xlen}i_zbb_zbkb`, words, []));
    }
  });
});

test("the names of all 4096 CSRs are objdump's, but for those that are newer", { skip }, () => {
  inFolder((folder) => {
    const words = Array.from({ length: 4096 }, (_, csr) => ({ bits: (csr << 20 | 0x59573) >>> 0, length: 4 as const }));
    const lines = listWords(folder, "rv64i_zicsr", words, []);
    const newer: string[] = [];
    lines.forEach(({ text }, number) => {
      const theirs = /^csrrw\ta0,(.*),a1$/.exec(text)![1]!;
      const ours = csrName(number) ?? `0x${number.toString(16)}`;
      if (ours !== theirs) {
        assert.equal(theirs, `0x${number.toString(16)}`);
        newer.push(ours);
      }
    });
    assert.deepEqual(newer.sort(), [...NEWER_CSRS].sort());
  });
});

test("CSR names and numbers are inverses of one another", () => {
  for (const [name, number] of Object.entries(CSR_NUMBERS)) assert.equal(csrName(number), name);
  // Spot values of the privileged manual's tables, at the ends of the families.
  const { mstatus, mhpmcounter3, mhpmcounter31h, mhpmevent31, mhpmevent3h, hpmcounter31, pmpcfg15, pmpaddr63 } =
    CSR_NUMBERS;
  assert.deepEqual(
    { mstatus, mhpmcounter3, mhpmcounter31h, mhpmevent31, mhpmevent3h, hpmcounter31, pmpcfg15, pmpaddr63 },
    {
      mstatus: 0x300,
      mhpmcounter3: 0xb03,
      mhpmcounter31h: 0xb9f,
      mhpmevent31: 0x33f,
      mhpmevent3h: 0x723,
      hpmcounter31: 0xc1f,
      pmpcfg15: 0x3af,
      pmpaddr63: 0x3ef,
    },
  );
  assert.equal(csrName(0xb01), undefined);
  assert.equal(csrName(0x7c0), undefined);
});

function text(xlen: Xlen, word: number, aliases = true): string {
  return disassemble(new Decoder(xlen, new Set(COMPATIBLE)), word, 0x8000_0000n, { aliases }).text;
}

const noFli = INSTRUCTIONS.some(({ name }) => name === "fli.s") ? false : "Zfa is not in the table yet";

test("instructions that objdump 2.40 does not know have the newer versions' syntax", () => {
  assert.equal(text(64, 0x0ec5d533), "czero.eqz\ta0,a1,a2");
  assert.equal(text(32, 0x0ec5f533), "czero.nez\ta0,a1,a2");
  assert.equal(text(64, 0xcdf5c573), "mop.r.31\ta0,a1");
  assert.equal(text(64, 0x82c5c573), "mop.rr.0\ta0,a1,a2");
  assert.equal(text(64, 0x6081), "c.mop.1");
  assert.equal(text(64, 0x6781, false), "c.mop.15");
  assert.equal(text(64, 0x2ec5b52f), "amocas.d.aqrl\ta0,a2,(a1)");
  const zcb = [
    [0x81c8, "lbu\ta0,1(a1)", "c.lbu\ta0,1(a1)"],
    [0x8da8, "sh\ta0,2(a1)", "c.sh\ta0,2(a1)"],
    [0x9d61, "zext.b\ta0,a0", "c.zext.b\ta0"],
    [0x9d65, "sext.b\ta0,a0", "c.sext.b\ta0"],
    [0x9d69, "zext.h\ta0,a0", "c.zext.h\ta0"],
    [0x9d71, "zext.w\ta0,a0", "c.zext.w\ta0"],
    [0x9d75, "not\ta0,a0", "c.not\ta0"],
    [0x9d4d, "mul\ta0,a0,a1", "c.mul\ta0,a1"],
  ] as const;
  for (const [word, base, short] of zcb) assert.deepEqual([text(64, word), text(64, word, false)], [base, short]);
});

test("the constants of FLI are shown as newer versions of objdump do", { skip: noFli }, () => {
  const shown = (number: number) => text(64, (0xf0100053 | number << 15 | 10 << 7) | 0).replace("fli.s\tfa0,", "");
  assert.deepEqual([0, 1, 2, 8, 9, 10, 11, 16, 21, 29, 30, 31].map(shown), [
    ..."-0x1p+0 min 0x1p-16 0x1p-2 0x1.4p-2 0x1.8p-2 0x1.cp-2 0x1p+0 0x1.4p+1 0x1p+16 inf nan".split(" "),
  ]);
});

test("hints are named where their extension is on", () => {
  assert.equal(text(64, 0x0100000f), "pause");
  assert.deepEqual(
    [0x00200033, 0x00300033, 0x00400033, 0x00500033].map((word) => text(32, word)),
    ["ntl.p1", "ntl.pall", "ntl.s1", "ntl.all"],
  );
  assert.deepEqual([0x900a, 0x900e, 0x9012, 0x9016].map((word) => text(32, word)), [
    "ntl.p1",
    "ntl.pall",
    "ntl.s1",
    "ntl.all",
  ]);
  const plain = decoder(64, "I C");
  assert.equal(disassemble(plain, 0x0100000f, 0n).text, "fence\tw,unknown");
  assert.equal(disassemble(plain, 0x00200033, 0n).text, "add\tzero,zero,sp");
  assert.equal(disassemble(plain, 0x900a, 0n).text, "c.add\tzero,sp");
});

test("targets wrap at the register's width and carry the symbol that is given for them", () => {
  const back = 0xfe000ee3 | 0; // beqz zero, pc - 4
  assert.deepEqual(disassemble(decoder(32, "I"), back, 0n), { text: "beqz\tzero,fffffffc", length: 4 });
  assert.equal(disassemble(decoder(64, "I"), back, 0n).text, "beqz\tzero,fffffffffffffffc");
  const symbol = (address: bigint) => address === 0x8000_0004n ? "main+0x4" : undefined;
  assert.equal(disassemble(decoder(64, "I"), 0x0040006f, 0x8000_0000n, { symbol }).text, "j\t80000004 <main+0x4>");
  assert.equal(disassemble(decoder(64, "I"), 0x0080006f, 0x8000_0000n, { symbol }).text, "j\t80000008");
});

test("what cannot be decoded is shown as its bits, with the length that they say", () => {
  const c = decoder(64, "I C");
  assert.deepEqual(disassemble(c, 0x1234_0000, 0n), { text: "unimp", length: 2 });
  assert.deepEqual(disassemble(c, 0x1234_8002, 0n), { text: ".2byte\t0x8002", length: 2 });
  assert.deepEqual(disassemble(c, 0x02c5_8533, 0n), { text: ".4byte\t0x2c58533", length: 4 });
  assert.deepEqual(disassemble(c, 0xffff_ffff, 0n), { text: ".2byte\t0xffff", length: 2 });
  assert.deepEqual(disassemble(c, 0xc000_1073 | 0, 0n), { text: ".4byte\t0xc0001073", length: 4 });
});
