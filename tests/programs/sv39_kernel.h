/* What C and assembly of sv39_kernel share. */
#define STACK_SHIFT 12
#define MTIMECMP 0x2004000
#define MTIME 0x200bff8

/* At the top of the lower half of the address space: the page with the ways in and out, and below it the trap frame. */
#define TRAMPOLINE 0x3ffffff000
#define TRAP_FRAME 0x3fffffe000
/* Offsets in a trap frame behind the registers. */
#define FRAME_STACK 256
#define FRAME_HANDLER 264
#define FRAME_SATP 272

/* DWARF's number of sepc. */
#define CFI_SEPC (4096 + 0x141)
