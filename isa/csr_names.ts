// Numbers and names of the control and status registers (privileged manual, chapter "Control and Status Registers",
// section "CSR Listing"; the chapters of Ss…, Sm… and Sd… extensions; unprivileged manual for F, V and the entropy source).
// What a hart implements of them is not said here.

/** Names that are consecutive from a number on; `-` stands for a number without a name. */
const RUNS: readonly (readonly [first: number, names: string])[] = [
  // Floating point, vectors, shadow stack pointer, entropy source, table jumps.
  [0x001, "fflags frm fcsr"],
  [0x008, "vstart vxsat vxrm"],
  [0x00f, "vcsr"],
  [0x011, "ssp"],
  [0x015, "seed"],
  [0x017, "jvt"],
  [0xc20, "vl vtype vlenb"],

  // Counters for user mode.
  [0xc00, "cycle time instret"],
  [0xc80, "cycleh timeh instreth"],

  // Supervisor.
  [0x100, "sstatus"],
  [0x104, "sie stvec scounteren"],
  [0x10a, "senvcfg"],
  [0x10c, "sstateen0 sstateen1 sstateen2 sstateen3"],
  [0x114, "sieh"],
  [0x120, "scountinhibit"],
  [0x140, "sscratch sepc scause stval sip"],
  [0x14d, "stimecmp sctrctl sctrstatus siselect sireg sireg2 sireg3 siph sireg4 sireg5 sireg6"],
  [0x15c, "stopei stimecmph"],
  [0x15f, "sctrdepth"],
  [0x180, "satp srmcfg"],
  [0x5a8, "scontext"],
  [0xda0, "scountovf"],
  [0xdb0, "stopi"],

  // Hypervisor and virtual supervisor.
  [0x200, "vsstatus"],
  [0x204, "vsie vstvec"],
  [0x214, "vsieh"],
  [0x240, "vsscratch vsepc vscause vstval vsip"],
  [0x24d, "vstimecmp vsctrctl"],
  [0x250, "vsiselect vsireg vsireg2 vsireg3 vsiph vsireg4 vsireg5 vsireg6"],
  [0x25c, "vstopei vstimecmph"],
  [0x280, "vsatp"],
  [0x600, "hstatus - hedeleg hideleg hie htimedelta hcounteren hgeie hvien hvictl henvcfg"],
  [0x60c, "hstateen0 hstateen1 hstateen2 hstateen3"],
  [0x612, "hedelegh hidelegh - htimedeltah"],
  [0x618, "hvienh - henvcfgh - hstateen0h hstateen1h hstateen2h hstateen3h"],
  [0x643, "htval hip hvip hviprio1 hviprio2"],
  [0x64a, "htinst"],
  [0x655, "hviph hviprio1h hviprio2h"],
  [0x680, "hgatp"],
  [0x6a8, "hcontext"],
  [0xe12, "hgeip"],
  [0xeb0, "vstopi"],

  // Machine.
  [0xf11, "mvendorid marchid mimpid mhartid mconfigptr"],
  [0x300, "mstatus misa medeleg mideleg mie mtvec mcounteren - mvien mvip menvcfg"],
  [0x30c, "mstateen0 mstateen1 mstateen2 mstateen3"],
  [0x310, "mstatush - medelegh midelegh mieh"],
  [0x318, "mvienh mviph menvcfgh - mstateen0h mstateen1h mstateen2h mstateen3h"],
  [0x320, "mcountinhibit mcyclecfg minstretcfg"],
  [0x721, "mcyclecfgh minstretcfgh"],
  [0x340, "mscratch mepc mcause mtval mip"],
  [0x34a, "mtinst mtval2"],
  [0x34e, "mctrctl"],
  [0x350, "miselect mireg mireg2 mireg3 miph mireg4 mireg5 mireg6"],
  [0x35c, "mtopei"],
  [0xfb0, "mtopi"],
  [0x740, "mnscratch mnepc mncause - mnstatus"],
  [0x747, "mseccfg"],
  [0x757, "mseccfgh"],
  [0xb00, "mcycle - minstret"],
  [0xb80, "mcycleh - minstreth"],

  // Debug and trace.
  [0x7a0, "tselect tdata1 tdata2 tdata3 tinfo tcontrol"],
  [0x7a8, "mcontext - mscontext"],
  [0x7b0, "dcsr dpc dscratch0 dscratch1"],
];

/** Families of registers that differ in a number: the CSR number that index 0 would have, and the indices there are. */
const FAMILIES: readonly (readonly [base: number, from: number, to: number, name: (index: number) => string])[] = [
  [0x3a0, 0, 15, (n) => `pmpcfg${n}`],
  [0x3b0, 0, 63, (n) => `pmpaddr${n}`],
  [0x320, 3, 31, (n) => `mhpmevent${n}`],
  [0x720, 3, 31, (n) => `mhpmevent${n}h`],
  [0xb00, 3, 31, (n) => `mhpmcounter${n}`],
  [0xb80, 3, 31, (n) => `mhpmcounter${n}h`],
  [0xc00, 3, 31, (n) => `hpmcounter${n}`],
  [0xc80, 3, 31, (n) => `hpmcounter${n}h`],
];

const numbers: Record<string, number> = {};
const names = new Map<number, string>();

function add(number: number, name: string): void {
  if (names.has(number) || name in numbers) throw new Error(`CSR ${name} (${number}) stands twice in the table`);
  numbers[name] = number;
  names.set(number, name);
}
for (const [first, run] of RUNS) run.split(" ").forEach((name, k) => name === "-" || add(first + k, name));
for (const [base, from, to, name] of FAMILIES) for (let n = from; n <= to; n++) add(base + n, name(n));

/** CSR numbers (12 bits) by the manual's names in lower case. */
export const CSR_NUMBERS: Readonly<Record<string, number>> = numbers;

/** Name of the CSR with a number, or undefined where the manuals assign none. */
export function csrName(number: number): string | undefined {
  return names.get(number);
}
