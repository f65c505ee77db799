# Start of sv39_kernel.c, its trap entries and its ways into user mode.
#include "sv39_kernel.h"

  .section .text.start, "ax"
  .globl _start
_start:
  la sp, stacks
  csrr t0, mhartid
  addi t0, t0, 1
  slli t0, t0, STACK_SHIFT
  add sp, sp, t0
  call start

# Machine mode: a timer interrupt becomes a software interrupt of supervisor mode; ECALL from there sets the timer to a0 from now.
  .text
  .globl machine_vector
  .type machine_vector, @function
  .balign 4
machine_vector:
  csrrw sp, mscratch, sp
  sd t0, 0(sp)
  sd t1, 8(sp)
  csrr t0, mcause
  li t1, MTIMECMP
  bltz t0, 1f
  csrr t0, mepc
  addi t0, t0, 4
  csrw mepc, t0
  li t0, MTIME
  ld t0, 0(t0)
  add t0, t0, a0
  sd t0, 0(t1)
  j 2f
1:
  li t0, -1
  sd t0, 0(t1)
  csrsi mip, 2
2:
  ld t0, 0(sp)
  ld t1, 8(sp)
  csrrw sp, mscratch, sp
  mret
  .size machine_vector, . - machine_vector

# A trap from supervisor mode: on the same stack. Its frame information leads to what was interrupted, whose address is in sepc.
  .cfi_sections .debug_frame
  .globl kernel_vector
  .type kernel_vector, @function
  .balign 4
kernel_vector:
  .cfi_startproc
  .cfi_signal_frame
  .cfi_return_column CFI_SEPC
  addi sp, sp, -144
  .cfi_def_cfa_offset 144
  sd ra, 0(sp)
  .cfi_offset ra, -144
  sd t0, 8(sp)
  .cfi_offset t0, -136
  sd t1, 16(sp)
  .cfi_offset t1, -128
  sd t2, 24(sp)
  .cfi_offset t2, -120
  sd a0, 32(sp)
  .cfi_offset a0, -112
  sd a1, 40(sp)
  .cfi_offset a1, -104
  sd a2, 48(sp)
  .cfi_offset a2, -96
  sd a3, 56(sp)
  .cfi_offset a3, -88
  sd a4, 64(sp)
  .cfi_offset a4, -80
  sd a5, 72(sp)
  .cfi_offset a5, -72
  sd a6, 80(sp)
  .cfi_offset a6, -64
  sd a7, 88(sp)
  .cfi_offset a7, -56
  sd t3, 96(sp)
  .cfi_offset t3, -48
  sd t4, 104(sp)
  .cfi_offset t4, -40
  sd t5, 112(sp)
  .cfi_offset t5, -32
  sd t6, 120(sp)
  .cfi_offset t6, -24
  csrr t0, sepc
  sd t0, 128(sp)
  .cfi_offset CFI_SEPC, -16
  csrr a0, scause
  mv a1, t0
  call kernel_trap
  ld t0, 128(sp)
  csrw sepc, t0
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
  addi sp, sp, 144
  .cfi_def_cfa_offset 0
  sret
  .cfi_endproc
  .size kernel_vector, . - kernel_vector

# The page that all address spaces have in the same place. A trap from user mode: saves its registers in the process's trap frame,
# and goes to the kernel's address space.
  .section .trampoline, "ax"
  .globl user_vector
  .type user_vector, @function
user_vector:
  csrw sscratch, a0
  li a0, TRAP_FRAME
  .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  sd x\n, 8 * \n(a0)
  .endr
  csrr t0, sscratch
  sd t0, 8 * 10(a0)
  ld sp, FRAME_STACK(a0)
  ld t0, FRAME_HANDLER(a0)
  ld t1, FRAME_SATP(a0)
  sfence.vma
  csrw satp, t1
  sfence.vma
  jr t0
  .size user_vector, . - user_vector

# enter_user(satp): to the address space of a process, and on with it as its trap frame says.
  .globl enter_user
  .type enter_user, @function
enter_user:
  sfence.vma
  csrw satp, a0
  sfence.vma
  li a0, TRAP_FRAME
  .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  ld x\n, 8 * \n(a0)
  .endr
  ld a0, 8 * 10(a0)
  sret
  .size enter_user, . - enter_user
