// Decoding: words of the manual, reserved encodings, and which instructions a set of extensions brings.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Decoded, Decoder, isCompressed } from "../isa/decode.ts";
import { ALTERNATIVES, COMPATIBLE, type Extension, withImplied } from "../isa/extensions.ts";
import type { Xlen } from "../isa/instruction.ts";
import type { Operands } from "../isa/ir.ts";
import { INSTRUCTIONS } from "../isa/table.ts";
import { randomFields, randomWords } from "./random_words.ts";

const ZC = new Set<Extension>(["I", "Zicsr", "Zca", "Zcmp", "Zcmt"]);
const alternative = { 32: new Decoder(32, ZC), 64: new Decoder(64, ZC) };
const everything = { 32: new Decoder(32, new Set(COMPATIBLE)), 64: new Decoder(64, new Set(COMPATIBLE)) };

function decoder(xlen: Xlen, extensions: string): Decoder {
  return new Decoder(xlen, withImplied(extensions.split(" ") as Extension[]));
}

/** `name` or `short name -> name`, and the operands that the base instruction has. */
function describe(decoded: Decoded | null): string {
  if (decoded === null) return "nothing";
  const { instruction, encoded, operands } = decoded;
  const has = (letter: string) => instruction.pattern.toLowerCase().includes(letter);
  const shown = ([["rd", "d"], ["rs1", "s"], ["rs2", "t"], ["rs3", "r"], ["imm", "i"]] as const)
    .filter(([, letter]) => has(letter)).map(([key]) => ` ${key}=${operands[key as keyof Operands]}`);
  return (encoded === instruction ? "" : `${encoded.name} -> `) + instruction.name + shown.join("");
}

/** Lines of a word in hexadecimal and what it is. The words are GNU as's, or the manual's where it knows none. */
function check(xlen: Xlen, lines: string, decoders: Readonly<Record<Xlen, Decoder>> = everything): void {
  for (const line of lines.trim().split("\n")) {
    const [, bits, what] = /^ *([0-9a-f]+) (.*)$/.exec(line)!;
    const word = parseInt(bits!, 16);
    const decoded = decoders[xlen].decode(word);
    assert.equal(describe(decoded), what, `RV${xlen} ${bits}`);
    assert.equal(decoded!.length, bits!.length / 2);
    assert.equal(decoded!.word, word);
  }
}

const BOTH = `
  08c5852f amoswap.b rd=10 rs1=11 rs2=12 imm=0
  08c5952f amoswap.h rd=10 rs1=11 rs2=12 imm=0
  00c5852f amoadd.b rd=10 rs1=11 rs2=12 imm=0
  00c5952f amoadd.h rd=10 rs1=11 rs2=12 imm=0
  20c5852f amoxor.b rd=10 rs1=11 rs2=12 imm=0
  20c5952f amoxor.h rd=10 rs1=11 rs2=12 imm=0
  60c5852f amoand.b rd=10 rs1=11 rs2=12 imm=0
  60c5952f amoand.h rd=10 rs1=11 rs2=12 imm=0
  40c5852f amoor.b rd=10 rs1=11 rs2=12 imm=0
  40c5952f amoor.h rd=10 rs1=11 rs2=12 imm=0
  80c5852f amomin.b rd=10 rs1=11 rs2=12 imm=0
  80c5952f amomin.h rd=10 rs1=11 rs2=12 imm=0
  a0c5852f amomax.b rd=10 rs1=11 rs2=12 imm=0
  a0c5952f amomax.h rd=10 rs1=11 rs2=12 imm=0
  c0c5852f amominu.b rd=10 rs1=11 rs2=12 imm=0
  c0c5952f amominu.h rd=10 rs1=11 rs2=12 imm=0
  e0c5852f amomaxu.b rd=10 rs1=11 rs2=12 imm=0
  e0c5952f amomaxu.h rd=10 rs1=11 rs2=12 imm=0
  28c5852f amocas.b rd=10 rs1=11 rs2=12 imm=0
  28c5952f amocas.h rd=10 rs1=11 rs2=12 imm=0
  0005a00f cbo.inval rs1=11
  0015a00f cbo.clean rs1=11
  0025a00f cbo.flush rs1=11
  0045a00f cbo.zero rs1=11
  10259513 sha256sig0 rd=10 rs1=11
  10359513 sha256sig1 rd=10 rs1=11
  10059513 sha256sum0 rd=10 rs1=11
  10159513 sha256sum1 rd=10 rs1=11
  10859513 sm3p0 rd=10 rs1=11
  10959513 sm3p1 rd=10 rs1=11
  f0c58533 sm4ed rd=10 rs1=11 rs2=12 imm=3
  f4c58533 sm4ks rd=10 rs1=11 rs2=12 imm=3
  12345537 lui rd=10 imm=305418240
  fffff517 auipc rd=10 imm=-4096
  234010ef jal rd=1 imm=4660
  ffc580e7 jalr rd=1 rs1=11 imm=-4
  feb508e3 beq rs1=10 rs2=11 imm=-16
  7eb51fe3 bne rs1=10 rs2=11 imm=4094
  80b54063 blt rs1=10 rs2=11 imm=-4096
  00b55463 bge rs1=10 rs2=11 imm=8
  00b56463 bltu rs1=10 rs2=11 imm=8
  00b57463 bgeu rs1=10 rs2=11 imm=8
  fff58503 lb rd=10 rs1=11 imm=-1
  00259503 lh rd=10 rs1=11 imm=2
  0045a503 lw rd=10 rs1=11 imm=4
  7ff5c503 lbu rd=10 rs1=11 imm=2047
  8005d503 lhu rd=10 rs1=11 imm=-2048
  fea58fa3 sb rs1=11 rs2=10 imm=-1
  00a59123 sh rs1=11 rs2=10 imm=2
  7ea5afa3 sw rs1=11 rs2=10 imm=2047
  fff58513 addi rd=10 rs1=11 imm=-1
  0015a513 slti rd=10 rs1=11 imm=1
  8005b513 sltiu rd=10 rs1=11 imm=-2048
  7ff5c513 xori rd=10 rs1=11 imm=2047
  0015e513 ori rd=10 rs1=11 imm=1
  0015f513 andi rd=10 rs1=11 imm=1
  01f59513 slli rd=10 rs1=11 imm=31
  0015d513 srli rd=10 rs1=11 imm=1
  4115d513 srai rd=10 rs1=11 imm=17
  00c58533 add rd=10 rs1=11 rs2=12
  40c58533 sub rd=10 rs1=11 rs2=12
  00c59533 sll rd=10 rs1=11 rs2=12
  00c5a533 slt rd=10 rs1=11 rs2=12
  00c5b533 sltu rd=10 rs1=11 rs2=12
  00c5c533 xor rd=10 rs1=11 rs2=12
  00c5d533 srl rd=10 rs1=11 rs2=12
  40c5d533 sra rd=10 rs1=11 rs2=12
  00c5e533 or rd=10 rs1=11 rs2=12
  00c5f533 and rd=10 rs1=11 rs2=12
  0310000f fence imm=49
  00000073 ecall
  00100073 ebreak
  0000100f fence.i
  30059573 csrrw rd=10 rs1=11 imm=768
  3005a573 csrrs rd=10 rs1=11 imm=768
  3005b573 csrrc rd=10 rs1=11 imm=768
  ffffd573 csrrwi rd=10 rs1=31 imm=4095
  3000e573 csrrsi rd=10 rs1=1 imm=768
  3000f573 csrrci rd=10 rs1=1 imm=768
  30200073 mret
  10500073 wfi
  02c58533 mul rd=10 rs1=11 rs2=12
  02c59533 mulh rd=10 rs1=11 rs2=12
  02c5a533 mulhsu rd=10 rs1=11 rs2=12
  02c5b533 mulhu rd=10 rs1=11 rs2=12
  02c5c533 div rd=10 rs1=11 rs2=12
  02c5d533 divu rd=10 rs1=11 rs2=12
  02c5e533 rem rd=10 rs1=11 rs2=12
  02c5f533 remu rd=10 rs1=11 rs2=12
  1405a52f lr.w rd=10 rs1=11 imm=2
  1ac5a52f sc.w rd=10 rs1=11 rs2=12 imm=1
  0ec5a52f amoswap.w rd=10 rs1=11 rs2=12 imm=3
  00c5a52f amoadd.w rd=10 rs1=11 rs2=12 imm=0
  20c5a52f amoxor.w rd=10 rs1=11 rs2=12 imm=0
  60c5a52f amoand.w rd=10 rs1=11 rs2=12 imm=0
  40c5a52f amoor.w rd=10 rs1=11 rs2=12 imm=0
  80c5a52f amomin.w rd=10 rs1=11 rs2=12 imm=0
  a0c5a52f amomax.w rd=10 rs1=11 rs2=12 imm=0
  c0c5a52f amominu.w rd=10 rs1=11 rs2=12 imm=0
  e0c5a52f amomaxu.w rd=10 rs1=11 rs2=12 imm=0
  00d00073 wrs.nto
  01d00073 wrs.sto
  20c5a533 sh1add rd=10 rs1=11 rs2=12
  20c5c533 sh2add rd=10 rs1=11 rs2=12
  20c5e533 sh3add rd=10 rs1=11 rs2=12
  40c5f533 andn rd=10 rs1=11 rs2=12
  40c5e533 orn rd=10 rs1=11 rs2=12
  40c5c533 xnor rd=10 rs1=11 rs2=12
  60059513 clz rd=10 rs1=11
  60159513 ctz rd=10 rs1=11
  60259513 cpop rd=10 rs1=11
  0ac5e533 max rd=10 rs1=11 rs2=12
  0ac5f533 maxu rd=10 rs1=11 rs2=12
  0ac5c533 min rd=10 rs1=11 rs2=12
  0ac5d533 minu rd=10 rs1=11 rs2=12
  60459513 sext.b rd=10 rs1=11
  60559513 sext.h rd=10 rs1=11
  60c59533 rol rd=10 rs1=11 rs2=12
  60c5d533 ror rd=10 rs1=11 rs2=12
  61f5d513 rori rd=10 rs1=11 imm=31
  2875d513 orc.b rd=10 rs1=11
  0ac59533 clmul rd=10 rs1=11 rs2=12
  0ac5b533 clmulh rd=10 rs1=11 rs2=12
  0ac5a533 clmulr rd=10 rs1=11 rs2=12
  48c59533 bclr rd=10 rs1=11 rs2=12
  49f59513 bclri rd=10 rs1=11 imm=31
  48c5d533 bext rd=10 rs1=11 rs2=12
  4815d513 bexti rd=10 rs1=11 imm=1
  68c59533 binv rd=10 rs1=11 rs2=12
  68159513 binvi rd=10 rs1=11 imm=1
  28c59533 bset rd=10 rs1=11 rs2=12
  28159513 bseti rd=10 rs1=11 imm=1
  08c5c533 pack rd=10 rs1=11 rs2=12
  08c5f533 packh rd=10 rs1=11 rs2=12
  6875d513 brev8 rd=10 rs1=11
  28c5a533 xperm4 rd=10 rs1=11 rs2=12
  28c5c533 xperm8 rd=10 rs1=11 rs2=12
  1fe8 c.addi4spn -> addi rd=10 rs1=2 imm=1020
  5de8 c.lw -> lw rd=10 rs1=11 imm=124
  c1a8 c.sw -> sw rs1=11 rs2=10 imm=64
  1501 c.addi -> addi rd=10 rs1=10 imm=-32
  457d c.li -> addi rd=10 rs1=0 imm=31
  7101 c.addi16sp -> addi rd=2 rs1=2 imm=-512
  7501 c.lui -> lui rd=10 imm=-131072
  817d c.srli -> srli rd=10 rs1=10 imm=31
  8505 c.srai -> srai rd=10 rs1=10 imm=1
  997d c.andi -> andi rd=10 rs1=10 imm=-1
  8d0d c.sub -> sub rd=10 rs1=10 rs2=11
  8d2d c.xor -> xor rd=10 rs1=10 rs2=11
  8d4d c.or -> or rd=10 rs1=10 rs2=11
  8d6d c.and -> and rd=10 rs1=10 rs2=11
  b001 c.j -> jal rd=0 imm=-2048
  d101 c.beqz -> beq rs1=10 rs2=0 imm=-256
  ed7d c.bnez -> bne rs1=10 rs2=0 imm=254
  057e c.slli -> slli rd=10 rs1=10 imm=31
  557e c.lwsp -> lw rd=10 rs1=2 imm=252
  8502 c.jr -> jalr rd=0 rs1=10 imm=0
  852e c.mv -> add rd=10 rs1=0 rs2=11
  9002 c.ebreak -> ebreak
  9502 c.jalr -> jalr rd=1 rs1=10 imm=0
  952e c.add -> add rd=10 rs1=10 rs2=11
  dfaa c.swsp -> sw rs1=2 rs2=10 imm=252
  0000000f fence imm=0
  8330000f fence imm=2099
  0ec5d533 czero.eqz rd=10 rs1=11 rs2=12
  0ec5f533 czero.nez rd=10 rs1=11 rs2=12
  81c5c573 mop.r rd=10 rs1=11 imm=0
  81d5c573 mop.r rd=10 rs1=11 imm=1
  85c5c573 mop.r rd=10 rs1=11 imm=4
  c1c5c573 mop.r rd=10 rs1=11 imm=16
  cdf5c573 mop.r rd=10 rs1=11 imm=31
  82c5c573 mop.rr rd=10 rs1=11 rs2=12 imm=0
  86c5c573 mop.rr rd=10 rs1=11 rs2=12 imm=1
  c2c5c573 mop.rr rd=10 rs1=11 rs2=12 imm=4
  cec5c573 mop.rr rd=10 rs1=11 rs2=12 imm=7
  6081 c.mop imm=0
  6781 c.mop imm=14
  28c5a52f amocas.w rd=10 rs1=11 rs2=12 imm=0
  2ec5b52f amocas.d rd=10 rs1=11 rs2=12 imm=3
  8188 c.lbu -> lbu rd=10 rs1=11 imm=0
  81c8 c.lbu -> lbu rd=10 rs1=11 imm=1
  81a8 c.lbu -> lbu rd=10 rs1=11 imm=2
  8588 c.lhu -> lhu rd=10 rs1=11 imm=0
  85a8 c.lhu -> lhu rd=10 rs1=11 imm=2
  85c8 c.lh -> lh rd=10 rs1=11 imm=0
  85e8 c.lh -> lh rd=10 rs1=11 imm=2
  8988 c.sb -> sb rs1=11 rs2=10 imm=0
  89e8 c.sb -> sb rs1=11 rs2=10 imm=3
  8d88 c.sh -> sh rs1=11 rs2=10 imm=0
  8da8 c.sh -> sh rs1=11 rs2=10 imm=2
  9d61 c.zext.b -> andi rd=10 rs1=10 imm=255
  9d65 c.sext.b -> sext.b rd=10 rs1=10
  9d69 c.zext.h -> zext.h rd=10 rs1=10
  9d6d c.sext.h -> sext.h rd=10 rs1=10
  9d75 c.not -> xori rd=10 rs1=10 imm=-1
  9d4d c.mul -> mul rd=10 rs1=10 rs2=11
`;

const ONLY_32 = `
  aac58533 aes32dsi rd=10 rs1=11 rs2=12 imm=2
  aec58533 aes32dsmi rd=10 rs1=11 rs2=12 imm=2
  a2c58533 aes32esi rd=10 rs1=11 rs2=12 imm=2
  a6c58533 aes32esmi rd=10 rs1=11 rs2=12 imm=2
  5cc58533 sha512sig0h rd=10 rs1=11 rs2=12
  54c58533 sha512sig0l rd=10 rs1=11 rs2=12
  5ec58533 sha512sig1h rd=10 rs1=11 rs2=12
  56c58533 sha512sig1l rd=10 rs1=11 rs2=12
  50c58533 sha512sum0r rd=10 rs1=11 rs2=12
  52c58533 sha512sum1r rd=10 rs1=11 rs2=12
  0805c533 zext.h rd=10 rs1=11
  6985d513 rev8 rd=10 rs1=11
  08f59513 zip rd=10 rs1=11
  08f5d513 unzip rd=10 rs1=11
  2ffd c.jal -> jal rd=1 imm=2046
`;

const ONLY_64 = `
  30059513 aes64im rd=10 rs1=11
  10659513 sha512sig0 rd=10 rs1=11
  10759513 sha512sig1 rd=10 rs1=11
  10459513 sha512sum0 rd=10 rs1=11
  10559513 sha512sum1 rd=10 rs1=11
  3ac58533 aes64ds rd=10 rs1=11 rs2=12
  3ec58533 aes64dsm rd=10 rs1=11 rs2=12
  32c58533 aes64es rd=10 rs1=11 rs2=12
  36c58533 aes64esm rd=10 rs1=11 rs2=12
  7ec58533 aes64ks2 rd=10 rs1=11 rs2=12
  31a59513 aes64ks1i rd=10 rs1=11 imm=10
  0805c53b zext.h rd=10 rs1=11
  6b85d513 rev8 rd=10 rs1=11
  0045e503 lwu rd=10 rs1=11 imm=4
  0085b503 ld rd=10 rs1=11 imm=8
  00a5b423 sd rs1=11 rs2=10 imm=8
  03f59513 slli rd=10 rs1=11 imm=63
  03f5d513 srli rd=10 rs1=11 imm=63
  43f5d513 srai rd=10 rs1=11 imm=63
  fff5851b addiw rd=10 rs1=11 imm=-1
  01f5951b slliw rd=10 rs1=11 imm=31
  01f5d51b srliw rd=10 rs1=11 imm=31
  41f5d51b sraiw rd=10 rs1=11 imm=31
  00c5853b addw rd=10 rs1=11 rs2=12
  40c5853b subw rd=10 rs1=11 rs2=12
  00c5953b sllw rd=10 rs1=11 rs2=12
  00c5d53b srlw rd=10 rs1=11 rs2=12
  40c5d53b sraw rd=10 rs1=11 rs2=12
  02c5853b mulw rd=10 rs1=11 rs2=12
  02c5c53b divw rd=10 rs1=11 rs2=12
  02c5d53b divuw rd=10 rs1=11 rs2=12
  02c5e53b remw rd=10 rs1=11 rs2=12
  02c5f53b remuw rd=10 rs1=11 rs2=12
  1005b52f lr.d rd=10 rs1=11 imm=0
  18c5b52f sc.d rd=10 rs1=11 rs2=12 imm=0
  08c5b52f amoswap.d rd=10 rs1=11 rs2=12 imm=0
  00c5b52f amoadd.d rd=10 rs1=11 rs2=12 imm=0
  20c5b52f amoxor.d rd=10 rs1=11 rs2=12 imm=0
  60c5b52f amoand.d rd=10 rs1=11 rs2=12 imm=0
  40c5b52f amoor.d rd=10 rs1=11 rs2=12 imm=0
  80c5b52f amomin.d rd=10 rs1=11 rs2=12 imm=0
  a0c5b52f amomax.d rd=10 rs1=11 rs2=12 imm=0
  c0c5b52f amominu.d rd=10 rs1=11 rs2=12 imm=0
  e0c5b52f amomaxu.d rd=10 rs1=11 rs2=12 imm=0
  08c5853b add.uw rd=10 rs1=11 rs2=12
  20c5a53b sh1add.uw rd=10 rs1=11 rs2=12
  20c5c53b sh2add.uw rd=10 rs1=11 rs2=12
  20c5e53b sh3add.uw rd=10 rs1=11 rs2=12
  0bf5951b slli.uw rd=10 rs1=11 imm=63
  6005951b clzw rd=10 rs1=11
  6015951b ctzw rd=10 rs1=11
  6025951b cpopw rd=10 rs1=11
  60c5953b rolw rd=10 rs1=11 rs2=12
  60c5d53b rorw rd=10 rs1=11 rs2=12
  61f5d51b roriw rd=10 rs1=11 imm=31
  63f5d513 rori rd=10 rs1=11 imm=63
  2bf59513 bseti rd=10 rs1=11 imm=63
  08c5c53b packw rd=10 rs1=11 rs2=12
  7de8 c.ld -> ld rd=10 rs1=11 imm=248
  fde8 c.sd -> sd rs1=11 rs2=10 imm=248
  357d c.addiw -> addiw rd=10 rs1=10 imm=-1
  9d0d c.subw -> subw rd=10 rs1=10 rs2=11
  9d2d c.addw -> addw rd=10 rs1=10 rs2=11
  157e c.slli -> slli rd=10 rs1=10 imm=63
  757e c.ldsp -> ld rd=10 rs1=2 imm=504
  ffaa c.sdsp -> sd rs1=2 rs2=10 imm=504
  917d c.srli -> srli rd=10 rs1=10 imm=63
  9d71 c.zext.w -> add.uw rd=10 rs1=10 rs2=0
  28c5c52f amocas.q rd=10 rs1=11 rs2=12 imm=0
`;

test("words of RV32 are the instructions that the manual says", () => {
  check(32, BOTH);
  check(32, ONLY_32);
});

test("words of RV64 are the instructions that the manual says", () => {
  check(64, BOTH);
  check(64, ONLY_64);
});

/** Zcmp and Zcmt: words of LLVM's assembler. */
const INSTEAD_OF_ZCD = `
  b842 cm.push imm=16
  b8f2 cm.push imm=60
  ba42 cm.pop imm=16
  bc42 cm.popretz imm=16
  be42 cm.popret imm=16
  befe cm.popret imm=63
  aca2 cm.mvsa01 rs1=9 rs2=8
  ace2 cm.mva01s rs1=9 rs2=8
  adfe cm.mva01s rs1=19 rs2=23
  a006 cm.jt imm=1
  a07e cm.jt imm=31
  a082 cm.jalt imm=32
  a3fe cm.jalt imm=255
`;

test("16-bit instructions in place of Zcd's are decoded where they are, and nothing else is reserved there", () => {
  for (const xlen of [32, 64] as const) {
    check(xlen, INSTEAD_OF_ZCD, alternative);
    for (const line of INSTEAD_OF_ZCD.trim().split("\n")) {
      assert.equal(everything[xlen].decode(parseInt(line, 16))?.encoded.name, "c.fsdsp");
    }
    reserved(alternative[xlen], 0xb802, 0xb83e, 0xaca6 & ~(7 << 2) | 1 << 2, 0xa802, 0xbc02);
  }
});

test("every instruction of the table except floating point stands in the lists above", () => {
  const listed = new Set([...`${BOTH}${ONLY_32}${ONLY_64}`.matchAll(/^ *[0-9a-f]+ (\S+)/gm)].map((match) => match[1]));
  for (const match of INSTEAD_OF_ZCD.matchAll(/^ *[0-9a-f]+ (\S+)/gm)) listed.add(match[1]);
  const float = /^(c\.)?f(?!ence)/;
  const system = /^(sret|sfence|sinval|hfence|hlv|hsv)/;
  const missing = INSTRUCTIONS.map(({ name }) => name).filter((name) =>
    !listed.has(name) && !float.test(name) && !system.test(name)
  );
  assert.deepEqual(missing, []);
});

test("the upper half of a word does not matter where the lower one is a short form", () => {
  assert.equal(describe(everything[32].decode(0xdead_4501 | 0)), "c.li -> addi rd=10 rs1=0 imm=0");
  assert.equal(everything[32].decode(0xdead_4501)!.word, 0x4501);
  assert.ok(isCompressed(0x4501) && !isCompressed(0x0013));
});

test("words may be signed", () => {
  assert.equal(describe(everything[64].decode(0xfff58513 | 0)), "addi rd=10 rs1=11 imm=-1");
  assert.equal(everything[64].decode(0xfff58513 | 0)!.word, 0xfff58513);
});

/** Asserts that a halfword (or word) is nothing for a decoder. */
function reserved(decoder: Decoder, ...words: number[]): void {
  for (const word of words) {
    assert.equal(describe(decoder.decode(word)), "nothing", `RV${decoder.xlen} ${word.toString(16)}`);
  }
}

const registers = Array.from({ length: 32 }, (_, k) => k);

test("reserved short forms are illegal (RES in the manual's tables)", () => {
  for (const xlen of [32, 64] as const) {
    const c = decoder(xlen, "I M C");
    // The all-zero halfword, and C.ADDI4SPN with nzuimm = 0.
    reserved(c, ...registers.slice(0, 8).map((rd) => rd << 2));
    // Quadrant 0, funct3 100: where Zcb is not.
    for (let low = 0; low < 0x800; low++) reserved(c, 0x8000 | low << 2 & 0x1fff);
    // C.ADDI16SP and C.LUI with nzimm = 0, for every rd.
    reserved(c, ...registers.map((rd) => 0x6001 | rd << 7));
    // C.LWSP with rd = x0, for every offset; C.JR with rs1 = x0.
    reserved(c, ...registers.flatMap((low) => [0x4002 | low << 2, 0x5002 | low << 2]));
    reserved(c, 0x8002);
    // Quadrant 1, funct3 100, bit 12 set, bits 11:10 set, bits 6:5 = 10 or 11: where Zcb is not.
    for (let rd = 0; rd < 8; rd++) {
      for (let low = 0; low < 8; low++) reserved(c, 0x9c41 | rd << 7 | low << 2, 0x9c61 | rd << 7 | low << 2);
    }
    // Without F and D there are no loads and stores of theirs.
    const memory = xlen === 32 ? [1, 3, 5, 7] : [1, 5];
    for (const funct3 of memory) {
      if (xlen === 64 || funct3 !== 1) reserved(c, ...registers.map((low) => funct3 << 13 | low << 7));
      reserved(c, ...registers.map((low) => funct3 << 13 | low << 7 | 2));
    }
  }
});

test("short forms that only RV64 has are illegal or something else on RV32", () => {
  const c = decoder(32, "I M C");
  // C.SUBW and C.ADDW.
  for (let low = 0; low < 8; low++) reserved(c, 0x9c01 | low << 2 | low << 7, 0x9c21 | low << 2 | low << 7);
  // Shift amounts of 32 and more are for custom extensions: C.SRLI, C.SRAI, C.SLLI.
  for (const low of registers) reserved(c, 0x9001 | low << 2, 0x9401 | low << 2, 0x1502 | low << 2);
  // C.JAL has the encoding of RV64's C.ADDIW, in which rd = x0 is reserved.
  assert.equal(describe(c.decode(0x2001)), "c.jal -> jal rd=1 imm=0");
  reserved(decoder(64, "I C"), ...registers.flatMap((low) => [0x2001 | low << 2, 0x3001 | low << 2]));
  // C.LDSP with rd = x0.
  reserved(decoder(64, "I C"), ...registers.flatMap((low) => [0x6002 | low << 2, 0x7002 | low << 2]));
});

test("hints are legal short forms", () => {
  const c = everything[64];
  assert.equal(describe(c.decode(0x0005)), "c.addi -> addi rd=0 rs1=0 imm=1");
  assert.equal(describe(c.decode(0x0501)), "c.addi -> addi rd=10 rs1=10 imm=0");
  assert.equal(describe(c.decode(0x4001)), "c.li -> addi rd=0 rs1=0 imm=0");
  assert.equal(describe(c.decode(0x6005)), "c.lui -> lui rd=0 imm=4096");
  assert.equal(describe(c.decode(0x0002)), "c.slli -> slli rd=0 rs1=0 imm=0");
  assert.equal(describe(c.decode(0x8001)), "c.srli -> srli rd=8 rs1=8 imm=0");
  assert.equal(describe(c.decode(0x802e)), "c.mv -> add rd=0 rs1=0 rs2=11");
  assert.equal(describe(c.decode(0x900a)), "c.add -> add rd=0 rs1=0 rs2=2");
});

test("every halfword that begins a longer instruction and every unknown major opcode is illegal", () => {
  for (const xlen of [32, 64] as const) {
    // 48 bits and more; custom-0 to custom-3; OP-V, OP-VE and the reserved ones; all ones.
    const free = [0x1f, 0x3f, 0x5f, 0x7f, 0x0b, 0x2b, 0x5b, 0x7b, 0x57, 0x77, 0x6b];
    reserved(everything[xlen], ...free.flatMap((opcode) => [opcode, (opcode | 0xffffff80) >>> 0]), 0xffffffff);
  }
  // Major opcodes that only RV64 has.
  reserved(everything[32], 0x0000001b, 0x0000003b);
});

test("reserved functions of the base opcodes are illegal", () => {
  for (const xlen of [32, 64] as const) {
    const base = decoder(xlen, "I M A Zicsr Zifencei");
    // JALR with funct3 not 0; branches 010 and 011; loads 111; stores from 100 on (011 on RV32); SYSTEM 100.
    for (let funct3 = 1; funct3 < 8; funct3++) reserved(base, 0x67 | funct3 << 12);
    reserved(base, 0x2063, 0x3063, 0x7003, 0x4023, 0x5023, 0x6023, 0x7023, 0x4073);
    if (xlen === 32) reserved(base, 0x3003, 0x6003, 0x3023);
    // OP with a funct7 that nothing uses; SUB's and SRA's on other functions.
    reserved(base, 0x04000033, 0x80000033, 0x40001033, 0x40002033, 0x40003033, 0x40004033, 0x40006033, 0x40007033);
    // Shifts with bits above the amount; amounts of 32 and more on RV32.
    reserved(base, 0x80001013, 0x80005013, 0x20005013, 0x40001013);
    if (xlen === 32) reserved(base, 0x02001013, 0x02005013, 0x42005013);
    else reserved(base, 0x0200101b, 0x0200501b, 0x4200501b, 0x0000201b, 0x0000301b);
    // ECALL, EBREAK, MRET and WFI with rd or rs1; other functions beside them.
    for (const word of [0x00000073, 0x00100073, 0x30200073, 0x10500073]) reserved(base, word | 1 << 7, word | 1 << 15);
    reserved(base, 0x00200073, 0x00300073, 0x30300073, 0x7b200073);
    // AMO widths; LR with rs2; .D on RV32.
    reserved(base, 0x0000002f, 0x0000102f, 0x0000402f, 0x1015a52f);
    if (xlen === 32) reserved(base, 0x0000302f, 0x1005b52f);
    // MISC-MEM from 2 on.
    for (let funct3 = 2; funct3 < 8; funct3++) reserved(base, 0x0f | funct3 << 12);
  }
});

test("FENCE and FENCE.I ignore the fields that the manual reserves", () => {
  for (const xlen of [32, 64] as const) {
    assert.equal(describe(everything[xlen].decode(0xfff00f8f | 0x1f << 15)), "fence imm=4095");
    assert.equal(describe(everything[xlen].decode(0xffffff8f & ~0x6000)), "fence.i");
  }
});

test("pairs of registers in AMOCAS begin at even ones", () => {
  reserved(everything[32], 0x28c5b5af, 0x28d5b52f);
  reserved(everything[64], 0x28c5c5af, 0x28d5c52f);
  assert.equal(describe(everything[64].decode(0x28d5b5af)), "amocas.d rd=11 rs1=11 rs2=13 imm=0");
});

/** Asserts that a word is legal with the second set of extensions and illegal with the first. */
function needs(xlen: Xlen, word: number, without: string, having: string): void {
  reserved(decoder(xlen, without), word);
  assert.notEqual(decoder(xlen, having).decode(word), null, `RV${xlen} ${word.toString(16)} with ${having}`);
}

test("an instruction exists where one of its extensions does", () => {
  for (const xlen of [32, 64] as const) {
    const rev8 = xlen === 32 ? 0x6985d513 : 0x6b85d513;
    const zextH = xlen === 32 ? 0x0805c533 : 0x0805c53b;
    for (const word of [rev8, zextH, 0x40c5f533, 0x40c5e533, 0x40c5c533, 0x60c59533, 0x60c5d533, 0x61f5d513]) {
      needs(xlen, word, "I M A C Zba Zbc Zbs Zbkc Zbkx", "I Zbb");
      needs(xlen, word, "I M A C Zba Zbc Zbs Zbkc Zbkx", "I Zbkb");
    }
    for (const word of [0x0ac59533, 0x0ac5b533]) {
      needs(xlen, word, "I Zbb Zbkb", "I Zbc");
      needs(xlen, word, "I Zbb Zbkb", "I Zbkc");
    }
    needs(xlen, 0x0ac5a533, "I Zbkc", "I Zbc"); // clmulr
    needs(xlen, 0x08c5c533, "I Zbb", "I Zbkb"); // pack
    needs(xlen, 0x6875d513, "I Zbb", "I Zbkb"); // brev8
    needs(xlen, 0x2875d513, "I Zbkb", "I Zbb"); // orc.b
    needs(xlen, 0x28c5a52f, "I A", "I A Zacas");
    needs(xlen, 0x1405a52f, "I Zaamo", "I Zalrsc");
    needs(xlen, 0x00c5a52f, "I Zalrsc", "I Zaamo");
    needs(xlen, 0x81c5c573, "I Zicsr Zcmop", "I Zicsr Zimop");
  }
});

test("a short form of Zcb exists where the extension of what it stands for does", () => {
  for (const xlen of [32, 64] as const) {
    needs(xlen, 0x9d4d, "I C Zcb", "I M Zcb"); // c.mul
    needs(xlen, 0x9d65, "I M Zcb Zba Zbkb", "I Zcb Zbb"); // c.sext.b
    needs(xlen, 0x9d69, "I M Zcb Zba Zbkb", "I Zcb Zbb"); // c.zext.h: Zbkb's PACK is not enough
    needs(xlen, 0x9d6d, "I M Zcb Zba Zbkb", "I Zcb Zbb"); // c.sext.h
    for (const word of [0x8188, 0x8588, 0x85c8, 0x8988, 0x8d88, 0x9d61, 0x9d75]) {
      needs(xlen, word, "I C M Zbb", "I Zcb");
    }
    needs(xlen, 0x6081, "I C Zcb", "I Zcmop");
  }
  needs(64, 0x9d71, "I M Zcb Zbb", "I Zcb Zba"); // c.zext.w
  reserved(everything[32], 0x9d71);
});

const SETS = [
  "I C",
  "I M A C Zicsr Zifencei",
  "I Zcb",
  "I M Zcb",
  "I Zcb Zbb",
  "I Zcb Zbkb",
  "I M Zcb Zba",
  "I M A F D C Zicsr Zifencei",
  "I F C Zicsr",
  COMPATIBLE.join(" "),
];

test("what a short form stands for exists, and has the same operands when it is encoded in 32 bits", () => {
  for (const xlen of [32, 64] as const) {
    for (const set of SETS) {
      const here = decoder(xlen, set);
      let legal = 0;
      for (let halfword = 0; halfword < 0x10000; halfword++) {
        const decoded = isCompressed(halfword) ? here.decode(halfword) : null;
        if (decoded === null) continue;
        legal++;
        assert.equal(decoded.length, 2);
        if (decoded.encoded.expand === undefined) continue;
        const long = here.decode(decoded.instruction.encoding.encode(decoded.operands));
        const where = `RV${xlen} ${set}: ${halfword.toString(16)}`;
        assert.equal(long?.instruction, decoded.instruction, where);
        assert.deepEqual(long!.operands, decoded.operands, where);
      }
      assert.ok(legal > 28_000, `RV${xlen} ${set}: ${legal} halfwords`);
    }
  }
});

test("every 32-bit entry is found again from random operands", () => {
  const random = randomWords(4);
  for (const xlen of [32, 64] as const) {
    for (const instruction of INSTRUCTIONS) {
      const { mask, match, length, operands } = instruction.encoding;
      if (instruction.xlen !== undefined && instruction.xlen !== xlen) continue;
      let found = 0;
      for (let k = 0; k < 100; k++) {
        const word = randomFields(random, match, length === 2 ? ~mask & 0xffff : ~mask);
        if (instruction.valid !== undefined && !instruction.valid(operands(word), xlen)) continue;
        const decoder = instruction.extensions.some((name) => ALTERNATIVES.includes(name) && name.startsWith("Zc"))
          ? alternative[xlen]
          : everything[xlen];
        assert.equal(decoder.decode(word)?.encoded, instruction, `${instruction.name} ${word.toString(16)}`);
        found++;
      }
      assert.ok(found > 0, instruction.name);
    }
  }
});
