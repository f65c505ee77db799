// A kernel as teaching kernels are made, for tests of debuggers: from machine mode into supervisor mode, Sv39 page tables, two
// processes in user mode with address spaces of their own, timer interrupts. Interrupts are pending before they are enabled, so
// each run interrupts the same instructions.
#include "sv39_kernel.h"

typedef unsigned long u64;
typedef unsigned char u8;

#define PAGE 4096UL
#define UART ((volatile u8 *)0x10000000)
#define FINISHER ((volatile unsigned *)0x100000)
#define KERNEL 0x80000000UL
#define KERNEL_SIZE 0x80000UL
#define USER_CODE 0x10000UL
#define USER_STACK 0x20000UL

#define MSTATUS_MPP (3UL << 11)
#define MSTATUS_MPP_S (1UL << 11)
#define MIE_MTIE (1UL << 7)
#define SIE_SSIE 2UL
#define SIP_SSIP 2UL
#define SSTATUS_SPP (1UL << 8)
#define SATP_SV39 (8UL << 60)
#define INTERRUPT (1UL << 63)
#define ECALL_FROM_U 8

enum bits { V = 1, R = 2, W = 4, X = 8, U = 16, A = 64, D = 128 };
enum { SYS_YIELD = 1, SYS_EXIT = 2 };
enum state { UNUSED, READY, RUNNING, EXITED };

#define read_csr(name) ({ u64 value; asm volatile("csrr %0, " #name : "=r"(value)); value; })
#define write_csr(name, value) asm volatile("csrw " #name ", %0" ::"r"(value) : "memory")

struct trap_frame {
  u64 registers[32];
  u64 kernel_stack, handler, kernel_satp, pc;
};

struct process {
  int id;
  enum state state;
  u64 *table;
  struct trap_frame *frame;
  u64 code;
  char name[8];
};

u8 stacks[8][1 << STACK_SHIFT] __attribute__((aligned(4096)));
static u64 machine_scratch[8][4];
static u8 pool[40][PAGE] __attribute__((aligned(4096)));
static int pages_used;
static u64 *kernel_table;
static struct process processes[2];
static struct process *current;
static volatile int harts_ready;
static volatile int started;
volatile u64 ticks;

extern u8 trampoline[], user_image[], user_vector[], enter_user[];
void user_main(int id);
void machine_vector(void);
void kernel_vector(void);
void main(u64 hart);

/* In machine mode, once on each hart. */
void start(void) {
  u64 hart = read_csr(mhartid);
  write_csr(mstatus, (read_csr(mstatus) & ~MSTATUS_MPP) | MSTATUS_MPP_S);
  write_csr(mepc, main);
  write_csr(medeleg, 0xfUL << 12 | ((1UL << 9) - 1));
  write_csr(mideleg, SIE_SSIE);
  write_csr(pmpaddr0, -1UL);
  write_csr(pmpcfg0, 0x1fUL);
  write_csr(mscratch, machine_scratch[hart]);
  write_csr(mtvec, machine_vector);
  if (hart == 0) write_csr(mie, MIE_MTIE);
  register u64 a0 asm("a0") = hart;
  asm volatile("mret" ::"r"(a0));
}

static void *allocate(void) {
  return pool[pages_used++];
}

/* The entry of the last level for an address; tables are made on the way. */
static u64 *walk(u64 *table, u64 address) {
  for (int level = 2; level > 0; level--) {
    u64 *entry = &table[address >> (12 + 9 * level) & 511];
    if (!(*entry & V)) *entry = (u64)allocate() >> 2 | V;
    table = (u64 *)(*entry << 2 & ~(PAGE - 1));
  }
  return &table[address >> 12 & 511];
}

static void map(u64 *table, u64 address, u64 physical, u64 size, int bits) {
  for (u64 done = 0; done < size; done += PAGE) {
    *walk(table, address + done) = (physical + done) >> 2 | bits | V | A | D;
  }
}

static void make_kernel_table(void) {
  kernel_table = allocate();
  map(kernel_table, (u64)UART, (u64)UART, PAGE, R | W);
  map(kernel_table, (u64)FINISHER, (u64)FINISHER, PAGE, R | W);
  map(kernel_table, KERNEL, KERNEL, KERNEL_SIZE, R | W | X);
  map(kernel_table, TRAMPOLINE, (u64)trampoline, PAGE, R | X);
}

static u64 satp_of(u64 *table) {
  return SATP_SV39 | (u64)table >> 12;
}

static void use_table(u64 *table) {
  asm volatile("sfence.vma" ::: "memory");
  write_csr(satp, satp_of(table));
  asm volatile("sfence.vma" ::: "memory");
}

static void print(const char *text) {
  while (*text) *UART = *text++;
}

static void make_process(struct process *process, int id) {
  process->id = id;
  process->state = READY;
  process->name[0] = 'p';
  process->name[1] = '0' + id;
  process->table = allocate();
  process->frame = allocate();
  u8 *code = allocate();
  for (u64 k = 0; k < PAGE; k++) code[k] = user_image[k];
  map(process->table, TRAMPOLINE, (u64)trampoline, PAGE, R | X);
  map(process->table, TRAP_FRAME, (u64)process->frame, PAGE, R | W);
  map(process->table, USER_CODE, (u64)code, PAGE, R | W | X | U);
  map(process->table, USER_STACK, (u64)allocate(), PAGE, R | W | U);
  process->frame->pc = (u64)user_main;
  process->frame->registers[2] = USER_STACK + PAGE;
  process->frame->registers[10] = id;
}

/* Goes on with the next process that can; the machine ends with the last. */
__attribute__((noreturn)) static void schedule(void) {
  void user_trap(void);
  struct process *next = current == &processes[0] ? &processes[1] : &processes[0];
  if (next->state != READY) next = current;
  if (next->state == EXITED) {
    print("all processes have ended\n");
    *FINISHER = 0x5555;
  }
  current = next;
  next->state = RUNNING;
  struct trap_frame *frame = next->frame;
  frame->kernel_stack = (u64)stacks[1];
  frame->handler = (u64)user_trap;
  frame->kernel_satp = read_csr(satp);
  write_csr(stvec, TRAMPOLINE + (user_vector - trampoline));
  write_csr(sepc, frame->pc);
  asm volatile("csrc sstatus, %0" ::"r"(SSTATUS_SPP));
  void (*leave)(u64) = (void (*)(u64))(TRAMPOLINE + (enter_user - trampoline));
  leave(satp_of(next->table));
  __builtin_unreachable();
}

/* The timer has passed, in whichever mode. */
static void tick(u64 cause) {
  u64 before = ticks;
  ticks = before + 1;
  asm volatile("csrc sip, %0" ::"r"(SIP_SSIP));
}

/* From user_vector, in the kernel's address space. */
void user_trap(void) {
  u64 cause = read_csr(scause);
  struct process *process = current;
  write_csr(stvec, kernel_vector);
  process->frame->pc = read_csr(sepc);
  process->state = READY;
  if (cause & INTERRUPT) {
    tick(cause);
  } else if (cause == ECALL_FROM_U) {
    u64 number = process->frame->registers[17], argument = process->frame->registers[10];
    process->frame->pc += 4;
    process->code = argument;
    if (number == SYS_EXIT) process->state = EXITED;
    /* The first to yield is interrupted as soon as it is back. */
    if (number == SYS_YIELD && ticks == 2) asm volatile("csrs sip, %0" ::"r"(SIP_SSIP));
  } else {
    print("unexpected trap from user mode\n");
    *FINISHER = 0x13333;
  }
  schedule();
}

/* From kernel_vector. */
void kernel_trap(u64 cause, u64 pc) {
  if (cause == (INTERRUPT | 1)) {
    tick(cause);
  } else {
    print("unexpected trap in the kernel\n");
    *FINISHER = 0x23333;
  }
}

/* Asks machine mode for a timer interrupt. */
static void set_timer(u64 delay) {
  register u64 a0 asm("a0") = delay;
  asm volatile("ecall" ::"r"(a0) : "memory");
}

static void wait_for_tick(int number) {
  set_timer(1000 * number);
  asm volatile("wfi");
  asm volatile("csrsi sstatus, 2\n\tnop\n\tcsrci sstatus, 2" ::: "memory");
}

/* Harts but the first wait here for good. */
static void park(u64 hart) {
  u64 own = hart * hart;
  while (!started) continue;
  use_table(kernel_table);
  __sync_fetch_and_add(&harts_ready, 1);
  for (;;) asm volatile("wfi" ::"r"(own));
}

/* In supervisor mode. */
void main(u64 hart) {
  if (hart != 0) park(hart);
  make_kernel_table();
  use_table(kernel_table);
  write_csr(stvec, kernel_vector);
  write_csr(sie, SIE_SSIE);
  __sync_synchronize();
  started = 1;
  for (int number = 1; number <= 2; number++) wait_for_tick(number);
  print("two ticks\n");
  for (int id = 0; id < 2; id++) make_process(&processes[id], id + 1);
  current = &processes[1];
  schedule();
}
