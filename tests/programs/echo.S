# Prints "> ", then every byte it receives, until "q"; ends with exit code 3. Reads the UART by polling.

        .equ    UART, 0x10000000
        .equ    UART_LSR, 5
        .equ    LSR_DATA_READY, 1
        .equ    FINISHER, 0x100000

        .section .text.start, "ax"
        .globl  _start
_start: li      s0, UART
        li      t0, '>'
        sb      t0, 0(s0)
        li      t0, ' '
        sb      t0, 0(s0)
poll:   lbu     t0, UART_LSR(s0)
        andi    t0, t0, LSR_DATA_READY
        beqz    t0, poll
        lbu     a0, 0(s0)
        li      t0, 'q'
        beq     a0, t0, done
        sb      a0, 0(s0)
        j       poll
done:   li      t0, FINISHER
        li      t1, 3 << 16 | 0x3333
        sw      t1, 0(t0)
        j       .
