# Start of the programs that tests of debug information run: calls main, then ends with what it gave. Two trap handlers: one
# whose frame only its instructions tell, one with frame information.
  .section .text.start, "ax"
  .globl _start
_start:
  la sp, stack_top
  la t0, plain_trap
  csrw mtvec, t0
  call main
  li t0, 0x100000
  slli a0, a0, 16
  li t1, 0x3333
  or a0, a0, t1
  sw a0, 0(t0)
1:
  j 1b

# Saves what a call may change, and calls handle_trap.
  .text
  .globl plain_trap
  .type plain_trap, @function
  .balign 4
plain_trap:
  addi sp, sp, -160
  sd ra, 0(sp)
  sd t0, 8(sp)
  sd t1, 16(sp)
  sd t2, 24(sp)
  sd a0, 32(sp)
  sd a1, 40(sp)
  sd a2, 48(sp)
  sd a3, 56(sp)
  sd a4, 64(sp)
  sd a5, 72(sp)
  sd a6, 80(sp)
  sd a7, 88(sp)
  sd t3, 96(sp)
  sd t4, 104(sp)
  sd t5, 112(sp)
  sd t6, 120(sp)
  csrr t0, mepc
  sd t0, 128(sp)
  csrr a0, mcause
  beqz a0, 2f
  call handle_trap
2:
  ld t0, 128(sp)
  addi t0, t0, 4
  csrw mepc, t0
  ld ra, 0(sp)
  ld t0, 8(sp)
  ld t1, 16(sp)
  ld t2, 24(sp)
  ld a0, 32(sp)
  ld a1, 40(sp)
  ld a2, 48(sp)
  ld a3, 56(sp)
  ld a4, 64(sp)
  ld a5, 72(sp)
  ld a6, 80(sp)
  ld a7, 88(sp)
  ld t3, 96(sp)
  ld t4, 104(sp)
  ld t5, 112(sp)
  ld t6, 120(sp)
  addi sp, sp, 160
  mret
  .size plain_trap, . - plain_trap

# The same for fewer registers, as a signal frame: column 64 is the address that the trap interrupted.
  .globl framed_trap
  .type framed_trap, @function
  .balign 4
framed_trap:
  .cfi_startproc
  .cfi_signal_frame
  .cfi_return_column 64
  addi sp, sp, -160
  .cfi_def_cfa_offset 160
  sd ra, 0(sp)
  .cfi_offset 1, -160
  sd a0, 32(sp)
  .cfi_offset 10, -128
  sd a1, 40(sp)
  .cfi_offset 11, -120
  sd t0, 8(sp)
  .cfi_offset 5, -152
  csrr t0, mepc
  sd t0, 128(sp)
  .cfi_offset 64, -32
  csrr a0, mcause
  call handle_trap
  ld t0, 128(sp)
  addi t0, t0, 4
  csrw mepc, t0
  ld ra, 0(sp)
  ld a0, 32(sp)
  ld a1, 40(sp)
  ld t0, 8(sp)
  addi sp, sp, 160
  .cfi_def_cfa_offset 0
  mret
  .cfi_endproc
  .size framed_trap, . - framed_trap

  .bss
  .balign 16
  .skip 4096
stack_top:
