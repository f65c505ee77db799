# Start and trap entry of virtio_disk.c, RV32 or RV64.

#if __riscv_xlen == 64
#define STORE sd
#define LOAD ld
#define REG 8
#else
#define STORE sw
#define LOAD lw
#define REG 4
#endif

        .section .text.start, "ax"
        .globl  _start
_start:
        .option push
        .option norelax
        la      gp, __global_pointer$
        .option pop
        la      sp, stack_top
        la      t0, bss_start
        la      t1, bss_end
1:      bgeu    t0, t1, 2f
        STORE   zero, 0(t0)
        addi    t0, t0, REG
        j       1b
2:      la      t0, trap_entry
        csrw    mtvec, t0
        tail    main

        .text
        .balign 4
trap_entry:
        addi    sp, sp, -16 * REG
        .irp    n, 0, 1, 2, 3, 4, 5, 6
        STORE   t\n, \n * REG(sp)
        .endr
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        STORE   a\n, (7 + \n) * REG(sp)
        .endr
        STORE   ra, 15 * REG(sp)
        call    trap
        .irp    n, 0, 1, 2, 3, 4, 5, 6
        LOAD    t\n, \n * REG(sp)
        .endr
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        LOAD    a\n, (7 + \n) * REG(sp)
        .endr
        LOAD    ra, 15 * REG(sp)
        addi    sp, sp, 16 * REG
        mret
