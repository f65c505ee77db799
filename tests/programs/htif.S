# For the spike board: prints "hi" and a newline through HTIF's console, then ends with exit code 9.

        .equ    CONSOLE_PUT, 0x0101     # device 1, command 1, in the upper 16 bits of tohost
        .equ    EXIT_CODE, 9

        .section .text.start, "ax"
        .globl  _start
_start: la      s0, tohost
        li      s1, CONSOLE_PUT << 48
        la      s2, text
next:   lbu     t0, 0(s2)
        beqz    t0, done
        or      t0, t0, s1
        sd      t0, 0(s0)
wait:   ld      t0, 0(s0)               # taken when it reads zero
        bnez    t0, wait
        la      t0, fromhost
        sd      zero, 0(t0)
        addi    s2, s2, 1
        j       next
done:   li      t0, EXIT_CODE << 1 | 1
        sd      t0, 0(s0)
        j       .

        .section .rodata
text:   .asciz  "hi\n"

        .section .data
        .balign 64
        .globl  tohost
        .type   tohost, @object
        .size   tohost, 8
tohost: .dword  0
        .balign 64
        .globl  fromhost
        .type   fromhost, @object
        .size   fromhost, 8
fromhost:
        .dword  0
