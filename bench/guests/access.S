# What accesses to memory cost: loads or stores, by physical or by Sv39 addresses, whose translations are known or never are.
# The word at 0x81000000, which `-device loader` writes, says which: bit 0 Sv39, bit 1 stores, bit 2 a page for each access;
# the upper half says how many turns of 16 accesses. Powers off at the end.
.set PARAMETERS, 0x81000000
.set BUFFER, 0x82000000
.section .text.init,"ax"
.globl _start
_start:
 li t0,PARAMETERS
 ld s0,0(t0)
 # Supervisor mode may access everything.
 li t0,-1
 csrw pmpaddr0,t0
 li t0,0x1f
 csrw pmpcfg0,t0
 li t0,1<<11
 csrw mstatus,t0
 la t0,1f
 csrw mepc,t0
 mret
1:
 andi t0,s0,1
 beqz t0,2f
 # Addresses of the first 4 GiB mean themselves, by four large pages.
 la t0,table
 li t1,0xcf
 li t2,1<<28
 sd t1,0(t0)
 add t1,t1,t2
 sd t1,8(t0)
 add t1,t1,t2
 sd t1,16(t0)
 add t1,t1,t2
 sd t1,24(t0)
 srli t0,t0,12
 li t1,8<<60
 or t0,t0,t1
 csrw satp,t0
 sfence.vma
2:
 # From one access to the next, and how far: 64 KiB or, with a page for each, 64 MiB.
 li s1,8
 li s2,0xffff
 andi t0,s0,4
 beqz t0,3f
 li s1,4096+64
 li s2,0x3ffffff
3:
 srli s3,s0,32
 li s4,BUFFER
 li t0,0
 andi t1,s0,2
 bnez t1,stores
loads:
 add a0,s4,t0
 .rept 16
 ld a1,0(a0)
 add a0,a0,s1
 .endr
 sub t0,a0,s4
 and t0,t0,s2
 addi s3,s3,-1
 bnez s3,loads
 j end
stores:
 add a0,s4,t0
 .rept 16
 sd a1,0(a0)
 add a0,a0,s1
 .endr
 sub t0,a0,s4
 and t0,t0,s2
 addi s3,s3,-1
 bnez s3,stores
end:
 li t0,0x100000
 li t1,0x5555
 sw t1,0(t0)
4: j 4b
.bss
.balign 4096
table: .zero 4096
