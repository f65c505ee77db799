// A small kernel for QEMU's virt board, RV64IMAC: prints, sleeps until a timer interrupt, runs a function in U-mode that calls
// it with ecall, and ends the machine through the test finisher. No output depends on how fast the machine is.

typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned char u8;

#define UART ((volatile u8 *)0x10000000)
#define UART_LSR 5
#define LSR_THR_EMPTY 0x20
#define FINISHER ((volatile u32 *)0x100000)
#define FINISHER_PASS 0x5555
#define FINISHER_FAIL 0x3333
#define MTIMECMP ((volatile u64 *)0x2004000)
#define MTIME ((volatile u64 *)0x200bff8)

#define INTERRUPT (1UL << 63)
#define MACHINE_TIMER 7
#define ECALL_FROM_U 8
#define MIE_MTIE (1UL << 7)
#define MSTATUS_MIE (1UL << 3)

#define read_csr(name) ({ u64 value; asm volatile("csrr %0, " #name : "=r"(value)); value; })
#define write_csr(name, value) asm volatile("csrw " #name ", %0" ::"r"(value))
#define set_csr(name, bits) asm volatile("csrs " #name ", %0" ::"r"(bits))

enum { SYS_WRITE = 1, SYS_EXIT = 2 };

void enter_user(void (*pc)(void), void *sp);

static volatile u64 ticks;
static u8 user_stack[2048] __attribute__((aligned(16)));

static void put(char c) {
  while (!(UART[UART_LSR] & LSR_THR_EMPTY)) continue;
  UART[0] = c;
}

static void print(const char *text) {
  while (*text) put(*text++);
}

static void print_number(u64 value) {
  if (value >= 10) print_number(value / 10);
  put('0' + value % 10);
}

__attribute__((noreturn)) static void power_off(u32 code) {
  *FINISHER = code ? FINISHER_FAIL | code << 16 : FINISHER_PASS;
  for (;;) continue;
}

static void advance_epc(void) {
  write_csr(mepc, read_csr(mepc) + 4);  // ecall is always four bytes long
}

// Called from trap_entry.
u64 trap(u64 cause, u64 a0, u64 a1, u64 a2) {
  if (cause == (INTERRUPT | MACHINE_TIMER)) {
    *MTIMECMP = -1UL;
    ticks++;
    return a0;
  }
  if (cause == ECALL_FROM_U) {
    advance_epc();
    if (a0 == SYS_WRITE) {
      print((const char *)a1);
      return 0;
    }
    if (a0 == SYS_EXIT) {
      print("kernel: user program ended with ");
      print_number(a1);
      print("\n");
      power_off(a1);
    }
    return -1UL;
  }
  print("kernel: unexpected trap, cause ");
  print_number(cause & ~INTERRUPT);
  print("\n");
  power_off(1);
}

static u64 system_call(u64 number, u64 argument) {
  register u64 a0 asm("a0") = number;
  register u64 a1 asm("a1") = argument;
  asm volatile("ecall" : "+r"(a0) : "r"(a1) : "memory");
  return a0;
}

static void user_main(void) {
  system_call(SYS_WRITE, (u64) "user: hello from U-mode\n");
  system_call(SYS_EXIT, 0);
  for (;;) continue;
}

void kernel_main(void) {
  print("kernel: hello from M-mode on hart ");
  print_number(read_csr(mhartid));
  print("\n");

  write_csr(mscratch, 0UL);
  set_csr(mie, MIE_MTIE);
  for (int count = 0; count < 3; count++) {
    *MTIMECMP = *MTIME + 1000000;  // 0.1 s at 10 MHz
    // With interrupts off, wfi still ends when one is pending, and none can slip in before it.
    asm volatile("wfi");
    set_csr(mstatus, MSTATUS_MIE);
    asm volatile("csrci mstatus, 8");
    print("kernel: timer interrupt ");
    print_number(ticks);
    print("\n");
  }
  print("kernel: starting a program in U-mode\n");
  enter_user(user_main, user_stack + sizeof user_stack);
}
