# Start, trap entry and change to U-mode of kernel.c.

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
        sd      zero, 0(t0)
        addi    t0, t0, 8
        j       1b
2:      csrr    t0, mhartid             # one hart runs the kernel, others sleep
        bnez    t0, park
        la      t0, no_pmp
        csrw    mtvec, t0
        li      t0, -1                  # U-mode may access all of memory, where there is PMP to say so
        csrw    pmpaddr0, t0
        li      t0, 0x1f
        csrw    pmpcfg0, t0
        .balign 4
no_pmp: la      t0, trap_entry
        csrw    mtvec, t0
        tail    kernel_main

park:   wfi
        j       park

# Saves what C may change, calls trap(cause, a0 … a2 of the interrupted program) and puts its result into a0.
        .text
        .balign 4
        .globl  trap_entry
trap_entry:
        csrrw   sp, mscratch, sp        # from U-mode: the kernel's stack; in the kernel mscratch is 0
        bnez    sp, 1f
        csrrw   sp, mscratch, sp
1:      addi    sp, sp, -128
        sd      ra, 0(sp)
        sd      t0, 8(sp)
        sd      t1, 16(sp)
        sd      t2, 24(sp)
        sd      t3, 32(sp)
        sd      t4, 40(sp)
        sd      t5, 48(sp)
        sd      t6, 56(sp)
        sd      a1, 64(sp)
        sd      a2, 72(sp)
        sd      a3, 80(sp)
        sd      a4, 88(sp)
        sd      a5, 96(sp)
        sd      a6, 104(sp)
        sd      a7, 112(sp)
        mv      a3, a2
        mv      a2, a1
        mv      a1, a0
        csrr    a0, mcause
        call    trap
        ld      ra, 0(sp)
        ld      t0, 8(sp)
        ld      t1, 16(sp)
        ld      t2, 24(sp)
        ld      t3, 32(sp)
        ld      t4, 40(sp)
        ld      t5, 48(sp)
        ld      t6, 56(sp)
        ld      a1, 64(sp)
        ld      a2, 72(sp)
        ld      a3, 80(sp)
        ld      a4, 88(sp)
        ld      a5, 96(sp)
        ld      a6, 104(sp)
        ld      a7, 112(sp)
        addi    sp, sp, 128
        csrrw   sp, mscratch, sp        # back to U-mode: its stack; in the kernel mscratch is 0 again
        bnez    sp, 2f
        csrrw   sp, mscratch, sp
2:      mret

# enter_user(pc, sp): goes to U-mode for good; traps come back on the present stack.
        .globl  enter_user
enter_user:
        csrw    mscratch, sp
        csrw    mepc, a0
        li      t0, 0x1800              # mstatus.MPP = U
        csrc    mstatus, t0
        mv      sp, a1
        mret
