// Fields of mstatus and menvcfg (privileged manual, "Machine Status (mstatus and mstatush) Registers", "Machine Environment
// Configuration (menvcfg) Register").

/** Masks of the low word, and of the high word (mstatush on RV32) where the name ends in `_H`. */
export const MSTATUS = {
  SIE: 1 << 1,
  MIE: 1 << 3,
  SPIE: 1 << 5,
  UBE: 1 << 6,
  MPIE: 1 << 7,
  SPP: 1 << 8,
  VS: 3 << 9,
  MPP: 3 << 11,
  MPP_SHIFT: 11,
  FS: 3 << 13,
  XS: 3 << 15,
  MPRV: 1 << 17,
  SUM: 1 << 18,
  MXR: 1 << 19,
  TVM: 1 << 20,
  TW: 1 << 21,
  TSR: 1 << 22,
  SPELP: 1 << 23,
  SD: 1 << 31,
  UXL_H: 3,
  SXL_H: 3 << 2,
  SBE_H: 1 << 4,
  MBE_H: 1 << 5,
} as const;

/** Masks of the low word of menvcfg and senvcfg. CBIE also has the encodings 01 (inval flushes) and 11 (it invalidates). */
export const ENVCFG = { FIOM: 1, CBIE: 3 << 4, CBIE_RESERVED: 2 << 4, CBCFE: 1 << 6, CBZE: 1 << 7 } as const;

/** Masks of the upper word of menvcfg. */
export const MENVCFG_HIGH = { ADUE: 1 << 29, PBMTE: 1 << 30, STCE: 1 << 31 } as const;
