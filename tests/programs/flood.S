# Prints lines of 63 "x" for ever.

        .equ    UART, 0x10000000

        .section .text.start, "ax"
        .globl  _start
_start: li      s0, UART
        li      t0, 'x'
        li      t2, '\n'
1:      li      t1, 63
2:      sb      t0, 0(s0)
        addi    t1, t1, -1
        bnez    t1, 2b
        sb      t2, 0(s0)
        j       1b
