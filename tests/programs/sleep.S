# Prints every byte from 0 to 255, then waits for an interrupt that never comes.

        .equ    UART, 0x10000000

        .section .text.start, "ax"
        .globl  _start
_start: li      s0, UART
        li      t0, 0
        li      t1, 256
1:      sb      t0, 0(s0)
        addi    t0, t0, 1
        bne     t0, t1, 1b
forever:
        wfi
        j       forever
