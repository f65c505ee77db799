// Other spellings of instructions in assembly text: the pseudoinstructions (unprivileged manual, chapter "RISC-V Assembly
// Programmer's Handbook"), the hints with names of their own, and how objdump 2.40 shows short forms.

/**
 * One spelling: the instruction (of a short form or of what it stands for), when it is spelled so, the mnemonic, the
 * operands. Conditions are separated by blanks and must all hold: `rs1=0`, `imm%32=1`, `rs1=rs2` (fields of the operands of
 * the base instruction, or `xlen`), `F` (an extension is on), `!F` (it is off).
 */
export type Spelling = readonly [instruction: string, condition: string, mnemonic: string, operands: string];

/** Names of particular encodings, whether aliases are wanted or not. The first that fits counts. */
export const PARTICULAR: readonly Spelling[] = [
  // fm is the upper four bits of the immediate: 1000 with RW,RW is FENCE.TSO. PAUSE is FENCE W,0.
  ["fence", "imm=2099", "fence.tso", ""],
  ["fence", "imm=16 Zihintpause", "pause", ""],
  ["csrrw", "rd=0 rs1=0 imm=3072", "unimp", ""],
  // Zicbop: ORI with rd = x0, whose lowest five bits of immediate say what for.
  ["ori", "rd=0 imm%32=0 Zicbop", "prefetch.i", "block(rs1)"],
  ["ori", "rd=0 imm%32=1 Zicbop", "prefetch.r", "block(rs1)"],
  ["ori", "rd=0 imm%32=3 Zicbop", "prefetch.w", "block(rs1)"],
  // PACK and PACKW with rs2 = x0 are called ZEXT.H only where Zbb is.
  ["zext.h", "xlen=32 !Zbb", "pack", "rd,rs1,rs2"],
  ["zext.h", "xlen=64 !Zbb", "packw", "rd,rs1,rs2"],
  // Short forms that shift by nothing are hints, or RV128's shifts by 64.
  ["c.slli", "imm=0", "c.slli64", "rd"],
  ["c.srli", "imm=0", "c.srli64", "rd"],
  ["c.srai", "imm=0", "c.srai64", "rd"],
  ["c.add", "rd=0 rs2=2 Zihintntl", "ntl.p1", ""],
  ["c.add", "rd=0 rs2=3 Zihintntl", "ntl.pall", ""],
  ["c.add", "rd=0 rs2=4 Zihintntl", "ntl.s1", ""],
  ["c.add", "rd=0 rs2=5 Zihintntl", "ntl.all", ""],
  ["add", "rd=0 rs1=0 rs2=2 Zihintntl", "ntl.p1", ""],
  ["add", "rd=0 rs1=0 rs2=3 Zihintntl", "ntl.pall", ""],
  ["add", "rd=0 rs1=0 rs2=4 Zihintntl", "ntl.s1", ""],
  ["add", "rd=0 rs1=0 rs2=5 Zihintntl", "ntl.all", ""],
];

/** Aliases. The first that fits counts. */
export const ALIASES: readonly Spelling[] = [
  ["addi", "rd=0 rs1=0 imm=0", "nop", ""],
  ["c.li", "rd=0", "c.li", "rd,imm"],
  ["c.addi", "rd=0 imm=0", "nop", ""],
  ["c.addi", "rd=0", "c.nop", "imm"],
  ["c.addi", "", "add", "rd,rs1,imm"],
  ["addi", "rs1=0", "li", "rd,imm"],
  ["addi", "imm=0", "mv", "rd,rs1"],
  ["c.mv", "rd=0", "c.mv", "rd,rs2"],
  ["c.mv", "", "mv", "rd,rs2"],
  ["c.add", "rd=0", "c.add", "rd,rs2"],
  ["c.lui", "rd=0", "c.lui", "rd,upper"],
  ["xori", "imm=-1", "not", "rd,rs1"],
  ["andi", "imm=255", "zext.b", "rd,rs1"],
  ["addiw", "imm=0", "sext.w", "rd,rs1"],
  ["add.uw", "rs2=0", "zext.w", "rd,rs1"],
  ["sub", "rs1=0", "neg", "rd,rs2"],
  ["subw", "rs1=0", "negw", "rd,rs2"],
  ["sltiu", "imm=1", "seqz", "rd,rs1"],
  ["sltu", "rs1=0", "snez", "rd,rs2"],
  ["slt", "rs2=0", "sltz", "rd,rs1"],
  ["slt", "rs1=0", "sgtz", "rd,rs2"],

  ["beq", "rs2=0", "beqz", "rs1,target"],
  ["bne", "rs2=0", "bnez", "rs1,target"],
  ["bge", "rs1=0", "blez", "rs2,target"],
  ["bge", "rs2=0", "bgez", "rs1,target"],
  ["blt", "rs2=0", "bltz", "rs1,target"],
  ["blt", "rs1=0", "bgtz", "rs2,target"],
  ["jal", "rd=0", "j", "target"],
  ["jal", "rd=1", "jal", "target"],
  ["jalr", "rd=0 rs1=1 imm=0", "ret", ""],
  ["jalr", "rd=0 imm=0", "jr", "rs1"],
  ["jalr", "rd=0", "jr", "imm(rs1)"],
  ["jalr", "rd=1 imm=0", "jalr", "rs1"],
  ["jalr", "rd=1", "jalr", "imm(rs1)"],
  ["jalr", "imm=0", "jalr", "rd,rs1"],
  ["fence", "imm=255", "fence", ""],
  ["sfence.vma", "rs1=0 rs2=0", "sfence.vma", ""],
  ["sfence.vma", "rs2=0", "sfence.vma", "rs1"],

  ["csrrs", "rs1=0 imm=3072", "rdcycle", "rd"],
  ["csrrs", "rs1=0 imm=3073", "rdtime", "rd"],
  ["csrrs", "rs1=0 imm=3074", "rdinstret", "rd"],
  ["csrrs", "rs1=0 imm=3200 xlen=32", "rdcycleh", "rd"],
  ["csrrs", "rs1=0 imm=3201 xlen=32", "rdtimeh", "rd"],
  ["csrrs", "rs1=0 imm=3202 xlen=32", "rdinstreth", "rd"],
  ["csrrs", "rs1=0 imm=1 F", "frflags", "rd"],
  ["csrrs", "rs1=0 imm=2 F", "frrm", "rd"],
  ["csrrs", "rs1=0 imm=3 F", "frcsr", "rd"],
  ["csrrw", "rd=0 imm=1 F", "fsflags", "rs1"],
  ["csrrw", "imm=1 F", "fsflags", "rd,rs1"],
  ["csrrw", "rd=0 imm=2 F", "fsrm", "rs1"],
  ["csrrw", "imm=2 F", "fsrm", "rd,rs1"],
  ["csrrw", "rd=0 imm=3 F", "fscsr", "rs1"],
  ["csrrw", "imm=3 F", "fscsr", "rd,rs1"],
  ["csrrwi", "imm=1 F", "fsflagsi", "rd,uimm"],
  ["csrrwi", "imm=2 F", "fsrmi", "rd,uimm"],
  ["csrrs", "rs1=0", "csrr", "rd,csr"],
  ["csrrw", "rd=0", "csrw", "csr,rs1"],
  ["csrrs", "rd=0", "csrs", "csr,rs1"],
  ["csrrc", "rd=0", "csrc", "csr,rs1"],
  ["csrrwi", "rd=0", "csrw", "csr,uimm"],
  ["csrrsi", "rd=0", "csrs", "csr,uimm"],
  ["csrrci", "rd=0", "csrc", "csr,uimm"],

  ["c.slli", "rd=0", "c.slli", "rd,shamt"],

  ...["s", "d", "h"].flatMap((width): Spelling[] => [
    [`fsgnj.${width}`, "rs1=rs2", `fmv.${width}`, "fd,fs1"],
    [`fsgnjn.${width}`, "rs1=rs2", `fneg.${width}`, "fd,fs1"],
    [`fsgnjx.${width}`, "rs1=rs2", `fabs.${width}`, "fd,fs1"],
  ]),

  // The assembler takes the register forms' mnemonics with an immediate, and objdump 2.40 prints those.
  ["addi", "", "add", "rd,rs1,imm"],
  ["andi", "", "and", "rd,rs1,imm"],
  ["ori", "", "or", "rd,rs1,imm"],
  ["xori", "", "xor", "rd,rs1,imm"],
  ["slli", "", "sll", "rd,rs1,shamt"],
  ["srli", "", "srl", "rd,rs1,shamt"],
  ["srai", "", "sra", "rd,rs1,shamt"],
  ["addiw", "", "addw", "rd,rs1,imm"],
  ["slliw", "", "sllw", "rd,rs1,shamt"],
  ["srliw", "", "srlw", "rd,rs1,shamt"],
  ["sraiw", "", "sraw", "rd,rs1,shamt"],
  ["rori", "", "ror", "rd,rs1,shamt"],
  ["roriw", "", "rorw", "rd,rs1,shamt"],
  ["bclri", "", "bclr", "rd,rs1,shamt"],
  ["bexti", "", "bext", "rd,rs1,shamt"],
  ["binvi", "", "binv", "rd,rs1,shamt"],
  ["bseti", "", "bset", "rd,rs1,shamt"],
  ["csrrwi", "", "csrrw", "rd,csr,uimm"],
  ["csrrsi", "", "csrrs", "rd,csr,uimm"],
  ["csrrci", "", "csrrc", "rd,csr,uimm"],
];

/** Conversions that never round: rounding mode 0, which assemblers put there, is not shown. */
export const EXACT_CONVERSIONS: ReadonlySet<string> = new Set([
  ..."fcvt.d.w fcvt.d.wu fcvt.d.s fcvt.d.h fcvt.s.h".split(" "),
]);

/** Names of the rounding modes by number; 5 and 6 are reserved. */
export const ROUNDING_MODES: readonly string[] = ["rne", "rtz", "rdn", "rup", "rmm", "unknown", "unknown", "dyn"];

/**
 * Operands of instructions whose format does not say: short forms under their own mnemonics (operands are named as in the
 * base instruction) and what few others there are.
 */
export const OWN_OPERANDS: Readonly<Record<string, string>> = {
  "sfence.vma": "rs1,rs2",
  "sinval.vma": "rs1,rs2",
  "c.addi4spn": "rd,rs1,imm",
  "c.lw": "rd,imm(rs1)",
  "c.ld": "rd,imm(rs1)",
  "c.sw": "rs2,imm(rs1)",
  "c.sd": "rs2,imm(rs1)",
  "c.addi": "rd,imm",
  "c.jal": "target",
  "c.addiw": "rd,imm",
  "c.li": "rd,imm",
  "c.addi16sp": "rd,imm",
  "c.lui": "rd,upper",
  "c.srli": "rd,shamt",
  "c.srai": "rd,shamt",
  "c.andi": "rd,imm",
  "c.sub": "rd,rs2",
  "c.xor": "rd,rs2",
  "c.or": "rd,rs2",
  "c.and": "rd,rs2",
  "c.subw": "rd,rs2",
  "c.addw": "rd,rs2",
  "c.j": "target",
  "c.beqz": "rs1,target",
  "c.bnez": "rs1,target",
  "c.slli": "rd,shamt",
  "c.lwsp": "rd,imm(rs1)",
  "c.ldsp": "rd,imm(rs1)",
  "c.jr": "rs1",
  "c.mv": "rd,rs2",
  "c.ebreak": "",
  "c.jalr": "rs1",
  "c.add": "rd,rs2",
  "c.swsp": "rs2,imm(rs1)",
  "c.sdsp": "rs2,imm(rs1)",
  "c.flw": "fd,imm(rs1)",
  "c.fld": "fd,imm(rs1)",
  "c.fsw": "fs2,imm(rs1)",
  "c.fsd": "fs2,imm(rs1)",
  "c.flwsp": "fd,imm(rs1)",
  "c.fldsp": "fd,imm(rs1)",
  "c.fswsp": "fs2,imm(rs1)",
  "c.fsdsp": "fs2,imm(rs1)",
  "c.lbu": "rd,imm(rs1)",
  "c.lhu": "rd,imm(rs1)",
  "c.lh": "rd,imm(rs1)",
  "c.sb": "rs2,imm(rs1)",
  "c.sh": "rs2,imm(rs1)",
  "c.zext.b": "rd",
  "c.sext.b": "rd",
  "c.zext.h": "rd",
  "c.sext.h": "rd",
  "c.zext.w": "rd",
  "c.not": "rd",
  "c.mul": "rd,rs2",
};
