# Prints how often it was started (a digit that lies outside of the image, so that a reset keeps it) and resets the machine;
# the third time it ends with exit code 5.

        .equ    UART, 0x10000000
        .equ    FINISHER, 0x100000

        .section .text.start, "ax"
        .globl  _start
_start: li      s0, UART
        li      s1, FINISHER
        la      s2, stack_top
        lw      t0, 0(s2)
        addi    t0, t0, 1
        sw      t0, 0(s2)
        addi    t1, t0, '0'
        sb      t1, 0(s0)
        li      t1, '\n'
        sb      t1, 0(s0)
        li      t1, 3
        beq     t0, t1, done
        li      t1, 0x7777
        sw      t1, 0(s1)
        j       .
done:   li      t1, 5 << 16 | 0x3333
        sw      t1, 0(s1)
        j       .
